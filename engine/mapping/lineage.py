"""Which source columns feed which Stock2Shop field: read from a view's SQL alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import ViewError
from engine.mapping.check import resolve_column
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import ParseFailure, parse, parse_cached, sqlglot_dialect, start_offset, union_arms
from engine.quoting import blanked, regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.fields import Entity, Field
    from engine.model.query import Query

_SELECT = re.compile(r"(?i)\bselect(\s+(distinct|all))?(\s+top\s*(\(\s*\d+\s*\)|\d+)(\s+percent)?)?\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where one output column comes from.

    ``sources`` are tables and columns as the view writes them; those that only a join or a filter uses are none. A
    column whose table cannot be told stands under ``?``. ``expression`` is the project's own SQL, on one line.
    """

    field: Field
    alias: str
    sources: tuple[tuple[str, str], ...]
    kind: Literal["column", "expression", "constant"]
    expression: str

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The columns whose table cannot be told without the database."""
        return tuple(column for table, column in self.sources if table == "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """A table, and the columns of it that the view reads anywhere."""

    table: str
    columns: tuple[str, ...]


def trace_columns(
    query: Query, *, dialect: str, entity: Entity, schema: Mapping[str, Sequence[str]] | None = None
) -> tuple[Trace, ...]:
    """Trace each output column of a view, in its order; of a UNION the sources of all its arms.

    ``schema`` gives tables' columns, where it is known, to tell columns without a table apart. Raises
    :class:`ViewError` where the view cannot be parsed.
    """
    statement = _parsed(query, dialect)
    scopes = _Scopes(statement, schema or {})
    found: list[Trace] = []
    sql = query.sql.lstrip("\ufeff")
    plain_sql = blanked(sql, dialect)
    for position, part in enumerate(statement.selects):
        sources: dict[tuple[str, str], None] = {}
        for arm in union_arms(statement):
            if position < len(arm.selects):
                sources |= dict.fromkeys(scopes.of(arm.selects[position], set()))
        field = resolve_column(part.output_name, entity)
        if field is None:
            continue
        plain = part.unalias()
        kind: Literal["column", "expression", "constant"] = "expression"
        if not sources:
            kind = "constant"
        elif _is_column(plain):
            kind = "column"
        text = _source_text(part, sql, plain_sql, dialect) if kind != "column" else ""
        found.append(
            Trace(
                field=field,
                alias=part.output_name,
                sources=tuple(sources),
                kind=kind,
                expression=text or re.sub(r"\s+", " ", plain.sql(dialect=sqlglot_dialect(dialect), comments=False)),
            )
        )
    return tuple(found)


def tables_read(
    query: Query, *, dialect: str, schema: Mapping[str, Sequence[str]] | None = None
) -> tuple[TableRead, ...]:
    """Every table that a view reads, with the columns that it reads of it anywhere; a column under no one is left out.

    Raises :class:`ViewError` where the view cannot be parsed.
    """
    from sqlglot import exp

    statement = _parsed(query, dialect)
    scopes = _Scopes(statement, schema or {})
    found: dict[str, dict[str, None]] = {}
    for table in scopes.tables():
        found.setdefault(table, {})
    for column in statement.find_all(exp.Column):
        for table, name in scopes.direct(column):
            if table != "?":
                found.setdefault(table, {})[name] = None
    return tuple(TableRead(table=table, columns=tuple(columns)) for table, columns in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRow:
    """A row of the mapping table: the source columns (``table.column``) of a field, and what the field is.

    ``expression`` is blank where the field is a column as it is.
    """

    field: str
    sources: tuple[str, ...]
    expression: str
    required: bool
    meaning: str


def mapping_rows(query: Query, *, dialect: str, entity: Entity, linked: bool) -> tuple[MappingRow, ...]:
    """The mapping as the Custom Database guide's table. Raises :class:`ViewError` where the view cannot be parsed."""
    required = {field.name for field in entity.required(linked=linked)}
    return tuple(
        MappingRow(
            field=each.field.name,
            sources=tuple(f"{table}.{column}" if table != "?" else column for table, column in each.sources),
            expression="" if each.kind == "column" else each.expression,
            required=each.field.name in required,
            meaning=each.field.meaning.replace("NAME", each.field.placeholder_value)
            if each.field.placeholder_value
            else each.field.meaning,
        )
        for each in trace_columns(query, dialect=dialect, entity=entity)
    )


def mapping_markdown(rows: Sequence[MappingRow]) -> str:
    """The mapping table: source, field, whether it is required, description."""
    lines = ["| Custom Database | Stock2Shop | Required | Description |", "| --- | --- | --- | --- |"]
    for row in rows:
        code = f"`{_cell(row.expression)}`" if row.expression else ""
        sources = ": ".join(filter(None, (", ".join(f"`{source}`" for source in row.sources), code)))
        lines.append(f"| {sources} | {row.field} | {'yes' if row.required else ''} | {_cell(row.meaning)} |")
    return "\n".join(lines) + "\n"


def _source_text(part: Any, sql: str, plain_sql: str, dialect: str) -> str:
    """An output column's expression as the view has it, on one line; blank where that cannot be told.

    No writer's next release changes it, and none has a function's name in Pervasive or Firebird. ``plain_sql`` is the
    SQL with its texts and comments blanked out.
    """
    from sqlglot import exp

    end = start_offset(part) if isinstance(part, exp.Alias) else None
    if end is None:
        return ""
    end = len(re.sub(r"(?i)(\bas)?\s*\Z", "", plain_sql[:end]))
    begin, depth = end, 0
    while begin > 0 and depth >= 0:
        letter = plain_sql[begin - 1]
        depth += (letter == ")") - (letter == "(")
        if depth < 0 or (depth == 0 and (letter == "," or _SELECT.search(plain_sql, 0, begin))):
            break
        begin -= 1
    text = _on_one_line(sql[begin:end], dialect)
    again = parse(f"select {text}", dialect)
    same = not isinstance(again, ParseFailure) and len(again) == 1 and again[0].selects == [part.this]
    return text if same else ""


def _on_one_line(sql: str, dialect: str) -> str:
    """SQL without comments, and with one blank for many outside of quotes."""
    parts, position = [], 0
    for region in regions(sql, dialect):
        parts.append(_collapse_blanks(sql[position : region.start]))
        parts.append(" " if region.kind == "comment" else sql[region.start : region.end])
        position = region.end
    return re.sub(r"\s*\n\s*", " ", "".join([*parts, _collapse_blanks(sql[position:])])).strip()


def _collapse_blanks(sql: str) -> str:
    return re.sub(r"(?<=\() | (?=\))", "", re.sub(r"\s+", " ", sql))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def _parsed(query: Query, dialect: str) -> Any:
    from sqlglot import exp

    statements = parse_cached(query.sql.lstrip("\ufeff"), dialect)
    if isinstance(statements, ParseFailure) or len(statements) != 1 or not isinstance(statements[0], exp.Query):
        reason = statements.message if isinstance(statements, ParseFailure) else "it is not one SELECT"
        hint = "Its columns are checked when it runs."
        raise ViewError([diagnostic_at(query, None, f"The view cannot be traced: {reason}.", hint)])
    return statements[0]


def _is_column(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Column)


class _Scopes:
    """The SELECTs of a statement, each with what its FROM and JOINs call what."""

    def __init__(self, statement: Any, schema: Mapping[str, Sequence[str]]) -> None:
        self._schema = {table.lower().rpartition(".")[2]: columns for table, columns in schema.items()}
        self._statement = statement

    def tables(self) -> Iterator[str]:
        """The tables of the database, in the order of the text."""
        from sqlglot import exp

        for table in self._statement.find_all(exp.Table, bfs=False):
            if not isinstance(self._named(table), (exp.Query,)):
                yield _qualified_name(table)

    def of(self, node: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
        """The database's columns that an expression is made of."""
        from sqlglot import exp

        if id(node) in seen:  # a recursive WITH
            return
        seen = seen | {id(node)}
        for column in node.find_all(exp.Column, bfs=False):
            if self._feeds(column, node):
                for source, name in self._sources(column):
                    if isinstance(source, str):
                        yield source, name
                        continue
                    for arm in union_arms(source):
                        for part in self._outputs(source, arm, name):
                            yield from self.of(part, seen)

    def direct(self, column: Any) -> Iterator[tuple[str, str]]:
        """The database's own table and column, where a column names one itself."""
        for source, name in self._sources(column):
            if isinstance(source, str):
                yield source, name

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
            if (position < len(names) and names[position] == name.lower()) or part.is_star:
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
                if len(having) == 1:
                    yield having[0], column.name
                    return
                if not having and len(unknown) == 1:
                    yield unknown[0], column.name
                    return
                if having or unknown:
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

    def _from(self, select: Any) -> Iterator[tuple[str, Any]]:
        """What the names in a FROM stand for: a table's own name, or a query."""
        from sqlglot import exp

        joined = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or ())]
        for part in [*(each.this for each in joined if each is not None), *(select.args.get("laterals") or ())]:
            inner = part.this if isinstance(part, exp.Lateral) else part
            if isinstance(inner, exp.Table):
                named = self._named(inner)
                source = named if isinstance(named, exp.Query) else _qualified_name(inner)
                yield (part.alias_or_name or inner.name).lower(), source
                for more in inner.args.get("joins") or ():
                    if isinstance(more.this, exp.Table):
                        yield more.this.alias_or_name.lower(), _qualified_name(more.this)
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

    def _has(self, source: Any, name: str) -> bool | None:
        """Whether a source has a column, None where that is not known."""
        if isinstance(source, str):
            columns = self._schema.get(source.lower().rpartition(".")[2])
            return None if columns is None else name.lower() in {column.lower() for column in columns}
        return None if any(part.is_star for part in source.selects) else name.lower() in _output_names(source)


def _output_names(source: Any) -> list[str]:
    """What a query's columns are called outside: as it says, or as the name it was given lists them."""
    names = [part.output_name.lower() for part in source.selects]
    alias = source.parent.args.get("alias") if source.parent is not None else None
    listed = [column.name.lower() for column in alias.args.get("columns") or ()] if alias else []
    names[: len(listed)] = listed
    return names


def _qualified_name(table: Any) -> str:
    """A table's name as the view writes it, without quotes."""
    return ".".join(part.name for part in table.parts)
