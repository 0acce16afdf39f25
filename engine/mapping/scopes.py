"""The SELECTs of a statement, and what the names in each stand for: a table of the database, or another query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Scopes:
    """The SELECTs of a statement, each with what its FROM and JOINs call what; it must stay as it is meanwhile."""

    def __init__(self, statement: Any, schema: Mapping[str, Sequence[str]]) -> None:
        self._schema = {
            table.lower().rpartition(".")[2]: [column.lower() for column in columns]
            for table, columns in schema.items()
        }
        self._statement = statement
        self._froms: dict[int, list[tuple[str, Any]]] = {}

    def tables(self) -> Iterator[str]:
        """The tables of the database, in the order of the text."""
        from sqlglot import exp

        for table in self._statement.find_all(exp.Table, bfs=False):
            if not is_function(table) and not isinstance(self._named(table), exp.Query):
                yield qualified_name(table)

    def of(self, node: Any, seen: set[tuple[int, str]]) -> Iterator[tuple[str, str]]:
        """The database's columns that an expression is made of."""
        from sqlglot import exp

        if (id(node), "") in seen:  # a recursive WITH
            return
        seen = seen | {(id(node), "")}
        for column in node.find_all(exp.Column, bfs=False):
            if self._feeds(column, node):
                for source, name in self._sources(column):
                    yield from self._of_source(source, name, seen)

    def _of_source(self, source: Any, name: str, seen: set[tuple[int, str]]) -> Iterator[tuple[str, str]]:
        """The database's columns that the column ``name`` of a table or query is made of."""
        if isinstance(source, str):
            yield source, name
            return
        for arm in union_arms(source):
            for part in self._outputs(source, arm, name):
                if not is_star(part):
                    yield from self.of(part, seen)
                elif (id(part), name.lower()) not in seen:
                    inner = self._of_star(arm, part, name)
                    yield from self._of_source(inner, name, seen | {(id(part), name.lower())})

    def _of_star(self, select: Any, star: Any, name: str) -> Any:
        """The table or query whose column ``name`` a ``*`` of ``select`` gives; ``"?"`` where that cannot be told."""
        sources = self.star_sources(select, star)
        having = [source for source in sources if self._has(source, name)]
        candidates = having or [source for source in sources if self._has(source, name) is None]
        return candidates[0] if len(candidates) == 1 or name.lower() in self._shared_names(select) else "?"

    def star_sources(self, select: Any, star: Any) -> list[Any]:
        """The tables and queries whose columns a ``*`` or ``x.*`` of ``select`` gives."""
        sources = dict(self._from(select))
        qualifier = star.table.lower() if hasattr(star, "table") else ""
        return [source for name, source in sources.items() if not qualifier or name == qualifier]

    def joined_by_name(self, select: Any) -> Iterator[tuple[str, str]]:
        """The tables and columns that USING or a NATURAL JOIN of ``select`` joins by their names."""
        tables = [source for _, source in self._from(select) if isinstance(source, str)]
        for name in self._shared_names(select):
            having = [table for table in tables if self._has(table, name)]
            for table in having or [table for table in tables if self._has(table, name) is None]:
                yield table, name

    def _shared_names(self, select: Any) -> set[str]:
        """The names by which USING or a NATURAL JOIN of ``select`` joins, in lower case."""
        joins = select.args.get("joins") or ()
        names = {each.name.lower() for join in joins for each in join.args.get("using") or ()}
        if any(str(join.args.get("method") or "").upper() == "NATURAL" for join in joins):
            tables = [source for _, source in self._from(select) if isinstance(source, str)]
            known = [set(self._columns(table) or ()) for table in tables]
            names |= {name for columns in known for name in columns if sum(name in each for each in known) > 1}
        return names

    def direct(self, column: Any) -> Iterator[tuple[str, str]]:
        """The database's own table and column, where a column names one itself."""
        for source, name in self._sources(column):
            if isinstance(source, str):
                yield source, name

    def givers(self, column: Any) -> Iterator[Any]:
        """What gives a column its name: a table's own name, or the outputs of a query, as they stand there."""
        for source, name in self._sources(column):
            if isinstance(source, str):
                yield source
            elif not (source.parent is not None and (source.parent.args.get("alias") or source).args.get("columns")):
                arm = next(union_arms(source))
                yield from (part for part in self._outputs(source, arm, name) if not is_star(part))

    def lacks(self, column: Any) -> bool:
        """Whether no table and no query that a column may be of has one of its name."""
        select = column.parent_select
        while select is not None:
            sources = dict(self._from(select)).values()
            if any(source == "?" or self._has(source, column.name) is not False for source in sources):
                return False
            select = select.parent_select
        return True

    def definitions(self, column: Any) -> Iterator[Any]:
        """What a column stands for: a table's name and its column, or the expression that a query calls so."""
        for source, name in self._sources(column):
            yield from self._definitions(source, name, frozenset())

    def _definitions(self, source: Any, name: str, seen: frozenset[int]) -> Iterator[Any]:
        if isinstance(source, str):
            yield source, name
            return
        for arm in union_arms(source):
            for part in self._outputs(source, arm, name):
                if not is_star(part):
                    yield part.unalias()
                elif id(part) not in seen:
                    yield from self._definitions(self._of_star(arm, part, name), name, seen | {id(part)})

    @staticmethod
    def _feeds(column: Any, node: Any) -> bool:
        """Whether a column inside ``node`` is part of its value, not of a filter or an order in a subquery of it."""
        from sqlglot import exp

        at = column
        while at is not node and at is not None:
            parent = at.parent
            if isinstance(parent, exp.Select) and at.arg_key != "expressions":
                return False
            at = parent
        return True

    @staticmethod
    def _outputs(source: Any, arm: Any, name: str) -> Iterator[Any]:
        """The expressions of ``arm`` that the column ``name`` of ``source`` stands for."""
        names = _output_names(source)
        for position, part in enumerate(arm.selects):
            if name.lower() not in names:
                if is_star(part) and name.lower() not in _excepted_names(part):
                    yield part
            elif position < len(names) and names[position] == name.lower():
                yield part

    def _sources(self, column: Any) -> Iterator[tuple[Any, str]]:
        """What a column is of: a table's name, or the query that gives it; from the innermost SELECT outwards."""
        from sqlglot import exp

        select = column.parent_select
        while select is not None:
            sources = dict(self._from(select))
            if column.table:
                if column.table.lower() in sources:
                    yield sources[column.table.lower()], column.name
                    return
            elif sources and not (column.name.lower() in self._aliases(select) and self._orders(column, select)):
                having = [source for source in sources.values() if self._has(source, column.name)]
                unknown = [source for source in sources.values() if self._has(source, column.name) is None]
                candidates = having or unknown
                if len(candidates) == 1 or (candidates and column.name.lower() in self._shared_names(select)):
                    yield candidates[0], column.name
                    return
                if candidates:
                    yield "?", column.name
                    return
            select = select.parent_select
        if not isinstance(column.parent, exp.Dot):
            yield "?", column.name

    @staticmethod
    def _aliases(select: Any) -> set[str]:
        return {part.alias.lower() for part in select.selects if part.alias}

    @staticmethod
    def _orders(column: Any, select: Any) -> bool:
        """Whether a column stands in ORDER BY or GROUP BY, where it may be an output's name."""
        from sqlglot import exp

        found = column.find_ancestor(exp.Order, exp.Group, exp.Having)
        return found is not None and found.parent is select

    def _from(self, select: Any) -> list[tuple[str, Any]]:
        """What the names in a FROM stand for: a table's own name, or a query. It is asked of each column."""
        if id(select) not in self._froms:
            self._froms[id(select)] = list(self._find_sources(select))
        return self._froms[id(select)]

    def _find_sources(self, select: Any) -> Iterator[tuple[str, Any]]:
        from sqlglot import exp

        joined = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or ())]
        for part in [*(each.this for each in joined if each is not None), *(select.args.get("laterals") or ())]:
            inner = part.this if isinstance(part, exp.Lateral) else part
            if isinstance(inner, exp.Table):
                named = self._named(inner)
                source = "?" if is_function(inner) else named if isinstance(named, exp.Query) else qualified_name(inner)
                yield (part.alias_or_name or inner.name).lower(), source
                for more in inner.args.get("joins") or ():
                    if isinstance(more.this, exp.Table):
                        yield more.this.alias_or_name.lower(), qualified_name(more.this)
            elif isinstance(inner, exp.Subquery):
                yield part.alias_or_name.lower(), inner.this

    def _named(self, table: Any) -> Any:
        """The query that a name in FROM stands for, where a WITH around it gives it; else None."""
        from sqlglot import exp

        if table.args.get("db"):
            return None
        at = table
        while at is not None:
            clause = at.args.get("with_") or at.args.get("with") if isinstance(at, exp.Query) else None
            for cte in clause.expressions if clause is not None else ():
                if cte.alias.lower() == table.name.lower():
                    return cte.this
            at = at.parent
        return None

    def _has(self, source: Any, name: str, seen: frozenset[int] = frozenset()) -> bool | None:
        """Whether a table or query has a column, None where that is not known."""
        if isinstance(source, str):
            columns = self._columns(source)
            return None if columns is None else name.lower() in columns
        if name.lower() in _output_names(source):
            return True
        if id(source) in seen:
            return False
        stars = [part for part in source.selects if is_star(part) and name.lower() not in _excepted_names(part)]
        answers = [
            self._has(inner, name, seen | {id(source)})
            for part in stars
            for inner in self.star_sources(next(union_arms(source)), part)
        ]
        return True if True in answers else None if None in answers else False

    def _columns(self, table: str) -> Sequence[str] | None:
        return self._schema.get(table.lower().rpartition(".")[2])


def is_star(part: Any) -> bool:
    """Whether an output, or a column, is ``*`` or ``x.*``."""
    from sqlglot import exp

    return isinstance(part, exp.Star) or (isinstance(part, exp.Column) and isinstance(part.this, exp.Star))


def output_stars(scopes: Scopes, select: Any) -> Iterator[str]:
    """The tables of the database that a ``*`` among the outputs of ``select`` reads; EXISTS reads no column."""
    from sqlglot import exp

    if not isinstance(select.parent, exp.Exists):
        for part in select.expressions:
            if is_star(part):
                yield from (source for source in scopes.star_sources(select, part) if isinstance(source, str))


def _excepted_names(star: Any) -> set[str]:
    """The names that ``* EXCEPT (…)`` leaves out, in lower case."""
    inner = star if "except_" in star.args or not hasattr(star, "table") else star.this
    return {each.name.lower() for each in inner.args.get("except_") or inner.args.get("except") or ()}


def _output_names(source: Any) -> list[str]:
    """What a query's columns are called outside: as it says, or as the name it was given lists them."""
    names = [part.output_name.lower() for part in source.selects]
    alias = source.parent.args.get("alias") if source.parent is not None else None
    listed = [column.name.lower() for column in alias.args.get("columns") or ()] if alias else []
    names[: len(listed)] = listed
    return names


def is_function(table: Any) -> bool:
    """Whether what stands for a table is a call, such as ``json_each(item.tags)``: it is none of the database."""
    from sqlglot import exp

    return isinstance(table.this, exp.Func)


def qualified_name(table: Any) -> str:
    """A table's name as the view writes it, without quotes."""
    return ".".join(part.name for part in table.parts)
