"""Rules of SQL Server; see :mod:`engine.mapping.transpile.functions`. Source: Microsoft's Transact-SQL reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.functions_common import MONTHS, interval, moved, same_name, unit_of, whole_quotient
from engine.mapping.transpile.kinds import is_kind
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


TSQL_RULES: Mapping[str, Callable[[Any], Any]] = {
    "Div": _division,
    "DateAdd": _date_add,
    "LastDay": _last_day,
    "Reverse": same_name("reverse", "text"),
}
"""The rule of each kind of part in SQL Server."""
