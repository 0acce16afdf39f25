"""Compare texts without their trailing blanks, as T-SQL does everywhere, under every collation.

Source: Microsoft's "How SQL Server compares strings with trailing spaces". Where one of two equal texts must be chosen,
for GROUP BY, DISTINCT and UNION, T-SQL returns either of them: DuckDB's query then raises, unless they are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import DATE_NODES, is_text_literal, operands
from engine.mapping.transpile.snippets import (
    aliased,
    copy_with,
    has_known_type,
    is_known_number,
    named_query,
    snippet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TRIMMED = "cast_to_type(rtrim(cast(VALUE as varchar), ' '), VALUE)"
"""A value without trailing blanks, if it is a text: only DuckDB may know its type."""

REJECT_AMBIGUOUS = """
    case when AMBIGUOUS then error('databases differ in which of two texts that are equal but for trailing blanks they
    return from GROUP BY, DISTINCT or UNION: write rtrim(…) around the column') else CONDITION end"""

REJECT_LIKE = """
    case when MATCHED is distinct from TRIMMED then error('databases differ in trailing blanks before LIKE: write
    rtrim(…) around the value') else MATCHED end"""


def compare_trimmed(node: Any, made: Any) -> Any:
    """Return a comparison, NULLIF or CASE with its operands trimmed; ``made`` is what it was rewritten to so far."""
    from sqlglot import exp

    values = operands(node)
    if any(map(is_known_number, values)):
        return made
    if isinstance(node, exp.Nullif):
        # NULLIF returns its first operand, which may keep its blanks: only the comparison may see it trimmed.
        left, right = operands(made or node)
        equal = exp.EQ(this=trimmed(left), expression=trimmed(right))
        return snippet("case when EQUAL then null else VALUE end", equal=equal, value=node.this)
    copy = (made or node).copy()
    for was, value in zip(values, operands(copy), strict=True):
        if is_text_literal(was) == is_text_literal(value):
            value.replace(trimmed(value))
    query = copy.args.get("query")
    if query is not None:
        value = snippet(TRIMMED, value=exp.column("value", table="listed"))
        copy.set("query", exp.Subquery(this=exp.select(value).from_(named_query(query, ["value"]))))
    return copy


def trimmed(value: Any) -> Any:
    """Return a value without trailing blanks if it is a text, else as it is."""
    if is_known_number(value) or type(value).__name__ in DATE_NODES:
        return value.copy()
    if has_known_type(value, "text"):
        return snippet("rtrim(VALUE, ' ')", value=value)
    return snippet(TRIMMED, value=value)


def _select(node: Any, _: str) -> Any:
    """Raise in DuckDB where GROUP BY or DISTINCT would merge texts that differ.

    HAVING becomes part of QUALIFY, because it may see only the merged groups.
    """
    from sqlglot import exp

    group = node.args.get("group")
    keys = _text_keys(group.expressions) if group is not None else []
    made = node.copy()
    if keys:
        having = made.args.get("having")
        condition = having.this if having is not None else exp.true()
        made.set("having", None)
        made.set("qualify", exp.Qualify(this=_reject_ambiguous(keys, condition)))
    if node.args.get("distinct") is not None:
        keys = [key for key in _text_keys(part.unalias() for part in node.selects) if not isinstance(key, exp.Window)]
        if keys:
            qualify = made.args.get("qualify")
            condition = qualify.this if qualify is not None else exp.true()
            made.set("qualify", exp.Qualify(this=_reject_ambiguous(keys, condition)))
    return made if made.args.get("qualify") is not None else None


def _union(node: Any, _: str) -> Any:
    """Write UNION as a DISTINCT of UNION ALL, whose keys can be checked."""
    from sqlglot import exp

    if not node.args.get("distinct"):
        return None
    names = [part.output_name for part in node.selects]
    listed = [f"value_{number}" for number in range(len(names))]
    arms = node.copy()
    clauses = {key: arms.args.get(key) for key in ("with_", "order", "limit", "offset")}
    for key in clauses:
        arms.set(key, None)
    arms.set("distinct", False)
    columns = [exp.column(column, table="listed") for column in listed]
    select = exp.Select(
        expressions=aliased(columns, names),
        from_=exp.From(this=named_query(arms, listed)),
        distinct=exp.Distinct(),
        qualify=exp.Qualify(this=_reject_ambiguous(columns, exp.true())),
    )
    for key, clause in clauses.items():
        select.set(key, clause)
    return select


def _text_keys(expressions: Any) -> list[Any]:
    """Return those of some expressions that may be texts."""
    return [
        part
        for part in expressions
        if not is_known_number(part) and type(part).__name__ not in {"Literal", *DATE_NODES}
    ]


def _reject_ambiguous(keys: list[Any], condition: Any) -> Any:
    """Return ``condition``, raising in DuckDB where keys are equal only without their trailing blanks."""
    from sqlglot import exp

    texts = [exp.cast(key.copy(), "varchar") for key in keys]
    partition = [snippet("rtrim(VALUE, ' ')", value=text) for text in texts]

    def over(kind: Any, text: Any) -> Any:
        return exp.Window(this=kind(this=text.copy()), partition_by=[part.copy() for part in partition])

    ambiguous = exp.or_(*(exp.NullSafeNEQ(this=over(exp.Min, text), expression=over(exp.Max, text)) for text in texts))
    return snippet(REJECT_AMBIGUOUS, ambiguous=ambiguous, condition=condition)


def _partition(node: Any, _: str) -> Any:
    """Trim the keys of PARTITION BY."""
    keys = node.args.get("partition_by")
    return copy_with(node, partition_by=[trimmed(key) for key in keys]) if keys else None


def _distinct(node: Any, _: str) -> Any:
    """Trim what COUNT(DISTINCT …) counts."""
    if type(node.parent).__name__ != "Count":
        return None
    return copy_with(node, expressions=[trimmed(part) for part in node.expressions])


def _like(node: Any, _: str) -> Any:
    """Raise in DuckDB where trailing blanks decide about LIKE: they count for NVARCHAR, but not for VARCHAR."""
    if type(node.parent).__name__ == "Escape":
        return None
    without = node.copy()
    like = without.this if type(node).__name__ == "Escape" else without
    like.set("this", trimmed(like.this))
    return snippet(REJECT_LIKE, matched=node, trimmed=without)


TRAILING_BLANK_REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Select": _select,
    "Union": _union,
    "Window": _partition,
    "Distinct": _distinct,
    "Like": _like,
    "Escape": _like,
}
"""The rewrite in T-SQL of each kind of part that compares texts, besides comparisons themselves."""
