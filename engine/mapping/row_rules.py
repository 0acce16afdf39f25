"""Which rows a view reads, in words: its tables, how they are joined, and its filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.mapping.lineage import parsed_view
from engine.mapping.parse import sqlglot_dialect, union_arms, write_sql
from engine.mapping.scopes import qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.query import Query

COMPARISONS = {
    "EQ": "is",
    "NEQ": "is not",
    "GT": "is more than",
    "GTE": "is at least",
    "LT": "is less than",
    "LTE": "is at most",
}
"""Words for comparisons, by the names of sqlglot's classes."""

JOINS = {
    "left": "Each row gets the row of {table}{condition}. Without one it stays, and what comes from {table} is blank.",
    "right": "Each row of {table} gets the row before it{condition}. Without one it stays, and the rest is blank.",
    "full": "Each row gets the row of {table}{condition}. On both sides rows without one stay.",
    "inner": "Each row needs a row of {table}{condition}. Rows without one are left out.",
    "cross": "Each row is combined with every row of {table}.",
}
"""What becomes of rows in a join, by its kind."""

WITHOUT_WORDS = ("laterals", "pivots", "match")
"""Clauses that decide about rows and have no words, by sqlglot's names."""

PLAIN_JOINS = frozenset({"", "inner", "outer", "cross"})
"""Kinds of joins that have words; SEMI and ANTI have none."""

EXCEPT = "Rows of the first part that the other part also gives are left out."
COMBINED = "The parts are combined by EXCEPT or INTERSECT: read the SQL."
INTERSECT = "Only rows that both parts give stay."
TOO_DEEP = "The query is nested too deeply to be put in words: read its SQL."


def row_rules(query: Query, *, dialect: str) -> tuple[str, ...]:
    """Sentences on the tables, joins and filters of a view, those of the queries inside it first.

    Names and values in them are as the view writes them, so a printer has to escape them. What has no words stands as
    SQL. Raises :class:`ViewError` where the view cannot be parsed.

    Example: ``from item left join price on price.code = item.code where item.web = 'Y'`` becomes *Rows are those of
    item.*, *Each row gets the row of price where price.code is item.code. Without one it stays, and what comes from
    price is blank.* and *Only rows where item.web is "Y".*
    """
    statement = parsed_view(query, dialect)
    try:
        return tuple(_Sentences(dialect).of_query(statement, "", frozenset()))
    except RecursionError:
        return (TOO_DEEP,)


@dataclass(frozen=True, slots=True)
class _Sentences:
    """Puts the parts of a query into words; ``dialect`` is that of the SQL which has none."""

    dialect: str

    def of_query(self, query: Any, name: str, outer: frozenset[int]) -> Iterator[str]:
        """Sentences on a query that is called ``name`` (blank for the view itself), and on those inside it."""
        from sqlglot import exp

        if id(query) in outer:  # a recursive WITH
            return
        outer = outer | {id(query)}
        arms = list(union_arms(query))
        for cte in query.find_all(exp.CTE):
            if any(cte.parent.parent is each for each in (query, *arms)):
                yield from self.of_query(cte.this, cte.alias, outer)
        for number, select in enumerate(arms, 1):
            if not isinstance(select, exp.Select):
                continue
            for part in _joined(select):
                if isinstance(part.this, exp.Subquery):
                    yield from self.of_query(part.this.this, part.this.alias, outer)
            lead = f"In {name}" if name else ""
            if len(arms) > 1:
                lead = f"{lead}{', part' if lead else 'Part'} {number} of {len(arms)}"
            for sentence in self._of_select(select):
                yield f"{lead}: {sentence[0].lower()}{sentence[1:]}" if lead else sentence
        if isinstance(query, exp.SetOperation):
            if len(arms) == 2 and type(query) in {exp.Except, exp.Intersect}:  # noqa: PLR2004 - a pair
                yield EXCEPT if isinstance(query, exp.Except) else INTERSECT
            elif query.find(exp.Except, exp.Intersect) is not None:
                yield COMBINED
            elif query.args.get("distinct"):
                yield "Rows that several parts give are read once."
            yield from self._limits(query)

    def _of_select(self, select: Any) -> Iterator[str]:
        from sqlglot import exp

        first, *joins = _joined(select) or [None]
        if first is not None:
            yield f"Rows are those of {self._table(first.this)}."
        for join in joins:
            yield self._join(join)
        for clause in ("where", "qualify"):
            found = select.args.get(clause)
            if found is not None:
                for condition in _parts(found.this, exp.And):
                    yield f"Only rows where {self.condition(condition)}."
        group = select.args.get("group")
        if group is not None:
            columns = ", ".join(self.value(each) for each in group.expressions)
            plain = not any(value for name, value in group.args.items() if name != "expressions")
            yield (
                f"Rows that have the same {columns} become one."
                if plain
                else f"Rows become groups: {self._sql(group)}."
            )
        having = select.args.get("having")
        if having is not None:
            for condition in _parts(having.this, exp.And):
                yield f"Of these, only where {self.condition(condition)}."
        distinct = select.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            yield f"Rows are read once for each {self._sql(distinct.args['on'])}."
        elif distinct:
            yield "Rows that are equal are read once."
        for clause in WITHOUT_WORDS:
            for part in select.args.get(clause) or ():
                yield f"And: {self._sql(part)}."
        if select.args.get("connect") is not None:
            yield f"And: {self._sql(select.args['connect'])}."
        yield from self._limits(select)

    def _limits(self, query: Any) -> Iterator[str]:
        from sqlglot import exp

        limit, offset = query.args.get("limit"), query.args.get("offset")
        if offset is not None:
            yield f"Not all rows are read: {self._sql(offset)}."
        if (
            isinstance(limit, exp.Limit)
            and isinstance(limit.expression, exp.Literal)
            and not limit.args.get("limit_options")
        ):
            yield f"At most {limit.expression.name} rows."
        elif limit is not None:
            yield f"Not all rows are read: {self._sql(limit)}."

    def _join(self, join: Any) -> str:
        from sqlglot import exp

        side, kind, method = (str(join.args.get(each) or "").lower() for each in ("side", "kind", "method"))
        if kind not in PLAIN_JOINS or method not in {"", "natural"} or isinstance(join.this, exp.Lateral):
            return f"Rows are joined: {self._sql(join)}."
        using, condition = join.args.get("using"), join.args.get("on")
        words = ""
        if condition is not None:
            words = f" where {self.condition(condition)}"
        elif using:
            words = f" with the same {', '.join(each.name for each in using)}"
        elif method == "natural":
            words = " with the same values in columns of the same name"
        form = side if side in JOINS else "inner" if words and kind != "cross" else "cross"
        return JOINS[form].format(table=self._table(join.this), condition=words)

    def _table(self, source: Any) -> str:
        """A table's name, with its alias where it has another one; a query's name."""
        from sqlglot import exp

        if any(source.args.get(each) for each in ("joins", "sample", "pivots", "laterals")):
            return self._sql(source)
        if isinstance(source, exp.Table) and source.name:
            name = qualified_name(source)
            return f"{name} (as {source.alias})" if source.alias and source.alias != source.name else name
        return source.alias_or_name or self._sql(source)

    def condition(self, node: Any, *, negated: bool = False) -> str:
        """A condition in words; ``negated`` gives its opposite."""
        from sqlglot import exp

        node = node.unnest()
        if isinstance(node, exp.Not):
            return self.condition(node.this, negated=not negated)
        if isinstance(node, (exp.And, exp.Or)):
            word = " and " if isinstance(node, exp.And) else " or "
            text = word.join(self._inner(part) for part in _parts(node, type(node)))
            return f"not ({text})" if negated else text
        # NOT LIKE and IS NOT are negated in themselves.
        simple = self._simple(node, negated=negated != bool(node.args.get("negate")))
        if simple is not None or not negated:
            return simple or self._sql(node)
        return f"not ({self.condition(node)})"

    def _inner(self, node: Any) -> str:
        """A condition among others, in brackets where it has an AND or OR itself."""
        from sqlglot import exp

        text = self.condition(node)
        return f"({text})" if isinstance(node.unnest(), (exp.And, exp.Or)) else text

    def _simple(self, node: Any, *, negated: bool) -> str | None:
        """A condition without AND and OR in words; None where there are none for it."""
        from sqlglot import exp

        if type(node).__name__ in COMPARISONS and not negated:
            return f"{self.value(node.this)} {COMPARISONS[type(node).__name__]} {self.value(node.expression)}"
        no = " not" if negated else ""
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return f"{self.value(node.this)} has {'a' if negated else 'no'} value"
        if isinstance(node, exp.In) and node.expressions:
            listed = ", ".join(self.value(each) for each in node.expressions)
            return f"{self.value(node.this)} is {'none' if negated else 'one'} of {listed}"
        if isinstance(node, exp.In) and node.args.get("query") is not None:
            inner = self._rows(node.args["query"].unnest())
            selected = ", ".join(self.value(each.unalias()) for each in node.args["query"].unnest().selects)
            return inner and f"{self.value(node.this)} is{no} among {selected} of {inner}"
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            low, high = self.value(node.args["low"]), self.value(node.args["high"])
            return f"{self.value(node.this)} is{no} from {low} to {high}"
        if isinstance(node, exp.Like):
            return self._like(node, negated=negated)
        if isinstance(node, exp.Exists):
            inner = self._rows(node.this.unnest())
            return inner and f"there is {'no' if negated else 'a'} row of {inner}"
        return None

    def _rows(self, query: Any) -> str | None:
        """The rows that a query inside a condition reads; None where it is more than one table and a filter."""
        from sqlglot import exp

        more = ("joins", "group", "having", "limit", "qualify", "with_")
        if not isinstance(query, exp.Select) or any(query.args.get(each) for each in more) or not _joined(query):
            return None
        found = query.args.get("where")
        condition = f" where {self.condition(found.this)}" if found is not None else ""
        return f"{self._table(_joined(query)[0].this)}{condition}"

    def _like(self, node: Any, *, negated: bool) -> str | None:
        """LIKE with a text whose only wildcards are ``%`` at its ends."""
        from sqlglot import exp

        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            return None
        text = pattern.name
        inner = text.strip("%")
        if not inner or any(letter in inner for letter in "%_[\\"):
            return None
        words = {
            (False, True): ("begins", "begin"),
            (True, False): ("ends", "end"),
            (True, True): ("contains", "contain"),
        }.get((text.startswith("%"), text.endswith("%")))
        if words is None:
            return None
        verb = f"does not {words[1]}" if negated else words[0]
        return f'{self.value(node.this)} {verb}{"" if words[1] == "contain" else " with"} "{inner}"'

    def value(self, node: Any) -> str:
        """A column, a text in quotes, or the SQL of anything else."""
        from sqlglot import exp

        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            return ".".join(part.name for part in node.parts)
        if isinstance(node, exp.Literal) and node.is_string:
            return f'"{node.name}"'
        return self._sql(node)

    def _sql(self, node: Any) -> str:
        # Blanks stay as they are: a password that is written out is masked later, where it stands to the letter.
        return write_sql(node, sqlglot_dialect(self.dialect))


def _joined(select: Any) -> list[Any]:
    """FROM and the joins after it, each with what it reads in ``this``; commas and APPLY are joins as well."""
    parts = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or ())]
    return [part for part in parts if part is not None]


def _parts(node: Any, kind: Any) -> list[Any]:
    """The conditions that ``kind`` (AND or OR) joins, in the order of the text."""
    node = node.unnest()
    return list(node.flatten()) if isinstance(node, kind) else [node]
