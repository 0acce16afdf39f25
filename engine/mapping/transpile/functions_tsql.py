"""Rules of SQL Server; see :mod:`engine.mapping.transpile.functions`. Source: Microsoft's Transact-SQL reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.functions_common import (
    MONTHS,
    interval,
    moved,
    same_name,
    summed,
    unit_of,
    whole_quotient,
)
from engine.mapping.transpile.kinds import fold_of, is_kind
from engine.mapping.transpile.snippets import snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _division(node: Any) -> Any:
    return whole_quotient(node, null=False)


def _date_add(node: Any) -> Any:
    """DATEADD has the type of its date; the last day of a shorter month where the day is not there."""
    unit = unit_of(node)
    by = interval(node.expression, unit) if unit and is_kind(node.this, "date", "timestamp") else None
    if by is None or (is_kind(node.this, "date") and unit in {"HOUR", "MINUTE", "SECOND"}):
        return None
    kind = "date" if is_kind(node.this, "date") else "timestamp"
    return snippet(f"cast(VALUE as {kind})", value=moved(node.this, "+", by, months=unit in MONTHS))


def _last_day(node: Any) -> Any:
    return snippet("last_day(cast(A as date))", a=node.this) if is_kind(node.this, "date", "timestamp") else None


def _choose(node: Any) -> Any:
    """CHOOSE gives the value at a place, and NULL where there is none."""
    index, *values = node.expressions
    if not is_kind(index, "integer") or not values:
        return None
    from sqlglot import exp

    ifs = [
        exp.If(this=exp.EQ(this=index.copy(), expression=exp.Literal.number(place)), true=value.copy())
        for place, value in enumerate(values, 1)
    ]
    return exp.Case(ifs=ifs)


def _date_from_parts(node: Any) -> Any:
    parts = [node.args["year"], node.args["month"], node.args["day"]]
    if not all(is_kind(part, "integer") for part in parts):
        return None
    return snippet("make_date(A, B, C)", **dict(zip("abc", parts, strict=True)))


def _average(node: Any) -> Any:
    """The average of whole numbers is one, without its fraction."""
    plain = type(node.parent).__name__ not in {"Window", "Filter"} and type(node.this).__name__ != "Distinct"
    if not plain or not is_kind(node.this, "integer"):
        return None
    return snippet("cast(sum(A) as bigint) // nullif(count(A), 0)", a=node.this)


def _translate(node: Any) -> Any:
    """TRANSLATE finds letters as ``=`` does: where case does not count, others than DuckDB."""
    return None if "ci" in fold_of(node.this).split("-") else same_name("translate", "text")(node)


def _square_root(node: Any) -> Any:
    return snippet("sqrt(cast(A as double))", a=node.this) if is_kind(node.this, "integer", "double") else None


def _date_part(node: Any) -> Any:
    """DATEPART of what every setting of the session gives alike: the week and its days depend on DATEFIRST."""
    part = str(node.this.name).upper()
    kinds = ("timestamp",) if part in {"HOUR", "MINUTE"} else ("date", "timestamp")
    if part not in {"HOUR", "MINUTE", "DOY", "DAYOFYEAR"} or not is_kind(node.expression, *kinds):
        return None
    name = "doy" if part.startswith("D") else part.lower()
    return snippet(f"date_part('{name}', A)", a=node.expression)


TSQL_RULES: Mapping[str, Callable[[Any], Any]] = {
    "Div": _division,
    "DateAdd": _date_add,
    "LastDay": _last_day,
    "Reverse": same_name("reverse", "text"),
    "Translate": _translate,
    "choose()": _choose,
    "DateFromParts": _date_from_parts,
    "Avg": _average,
    "Sqrt": _square_root,
    "Extract": _date_part,
    "Sum": summed,
}
"""The rule of each kind of part in SQL Server."""
