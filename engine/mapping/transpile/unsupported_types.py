"""Casts and dates that are not known to mean the same in DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    CALENDAR_UNITS,
    COMPARISONS,
    DATE_ONLY_DIALECTS,
    DATE_STYLES,
    DATE_TYPES,
    INTEGER_TYPES,
    KNOWN_DIALECTS,
    MAX_DATETIME_LENGTH,
    MONEY_TYPES,
    PADDED_TYPES,
    TEXT_TYPES,
    is_current_time,
    is_fractional,
    is_textual,
    is_whole_literal,
    literal_integer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.mapping.transpile.facts import Unsupported


def _coalesce(node: Any, dialect: str) -> Unsupported:
    """T-SQL's ISNULL gives its second value the type of its first, so that 0.5 is 0 beside a whole number."""
    if not node.args.get("is_null"):
        return None
    (value,) = node.expressions
    if is_whole_literal(value):
        return None
    return (
        ("ISNULL, which takes 0.5 for 0 beside a whole number", "COALESCE.") if is_fractional(value, dialect) else None
    )


def _cast(node: Any, dialect: str) -> Unsupported:
    to = node.to if type(node).__name__ == "Cast" else node.this
    kind = to.this.name
    if dialect not in KNOWN_DIALECTS:
        return "a cast", "sql.cast_number(…) or sql.cast_text(…)."
    if kind == "DATE" and dialect in DATE_ONLY_DIALECTS and not is_current_time(node):
        return None
    if kind in DATE_TYPES:
        return _datetime(node, dialect)
    if kind in PADDED_TYPES and dialect in {"postgres", "sqlite"}:
        return f"a cast to {kind}, which pads", "VARCHAR, or sql.cast_text(…)."
    known = INTEGER_TYPES | TEXT_TYPES | PADDED_TYPES | {"DECIMAL", "DOUBLE"}
    if dialect == "tsql":
        known |= MONEY_TYPES.keys() | {"BIT"}
    if kind == "FLOAT" and dialect in {"tsql", "sqlite"} and not to.expressions:
        return None
    return None if kind in known else (f"a cast to {kind}", "sql.cast_number(…) or sql.cast_text(…).")


def _try_cast(node: Any, dialect: str) -> Unsupported:
    to = node.to if type(node).__name__ == "TryCast" else node.this
    fine = dialect == "tsql" and (to.this.name in INTEGER_TYPES or (to.this.name == "DECIMAL" and to.expressions))
    said = "TRY_CAST or TRY_CONVERT to other than a whole number or a decimal with digits"
    return None if fine else (said, "sql.try_number(…) or sql.try_int(…).")


def _convert(node: Any, dialect: str) -> Unsupported:
    style = node.args.get("style")
    if style is not None:
        to = node.this
        length = to.expressions[0].name if to.expressions else ""
        dated = (
            to.this.name in TEXT_TYPES | PADDED_TYPES
            and not node.args.get("safe")
            and str(literal_integer(style)) in DATE_STYLES
        )
        if dated and length.isdigit() and int(length) <= MAX_DATETIME_LENGTH and not is_current_time(node):
            return None
        return (
            "CONVERT with a style of its own",
            "style 23, 120, 112, 103 or another of dates, to a text of 19 letters at most, or sql.cast_text(…).",
        )
    if node.args.get("safe"):
        return _try_cast(node, dialect)
    return _cast(node, dialect)


def _datetime(node: Any, dialect: str) -> Unsupported:
    """Refuse a date or time that is not compared: databases agree in its order, but not in its text."""
    at = node.parent
    passing = {"Paren", "Add", "Sub", "DateAdd", "DateSub", "Cast", "Convert", "Neg", "TimeStrToTime", "TsOrDsToDate"}
    while at is not None and type(at).__name__ in passing:
        at = at.parent
    if dialect in KNOWN_DIALECTS - {"sqlite"} and type(at).__name__ in COMPARISONS | {
        "DateDiff",
        "Extract",
        "Year",
        "Month",
    }:
        return None
    return "a date that is not compared", "the column as it is: times are staged alike from every database."


def _interval(node: Any, dialect: str) -> Unsupported:
    unit = node.args.get("unit")
    fine = unit is not None and unit.name.upper().rstrip("S") in CALENDAR_UNITS | {"HOUR", "MINUTE", "SECOND", "WEEK"}
    return _datetime(node, dialect) if fine else ("an interval", "one of days, months or years.")


def _date_diff(node: Any, dialect: str) -> Unsupported:
    unit = node.args.get("unit")
    if dialect == "tsql" and unit is not None and unit.name.upper() in CALENDAR_UNITS:
        return None
    return "a difference of dates", "a condition on the dates themselves."


def _date_part(node: Any, dialect: str) -> Unsupported:
    if type(node).__name__ == "Extract" and node.name.upper() not in CALENDAR_UNITS:
        return f"the {node.name.lower()} of a date", "its year, month or day."
    return None if dialect in KNOWN_DIALECTS - {"sqlite"} else ("a part of a date", "a macro.")


def _addition(node: Any, dialect: str) -> Unsupported:
    if any(type(side).__name__ in {"Interval", "CurrentDate", "CurrentTimestamp"} for side in node.iter_expressions()):
        return _datetime(node, dialect)
    if dialect == "tsql" or not is_textual(node):
        return None
    return "+ between texts", "sql.concat([…])."


def _difference(node: Any, _: str) -> Unsupported:
    """Refuse the difference of two dates or times, unless a rule of the dialect knows it."""
    moments = {"date", "timestamp"}
    if all(side.meta.get("kind") in moments for side in (node.left, node.right)):
        return "a difference of dates or times", "a condition on the dates themselves."
    return None


TYPE_CHECKS: dict[str, Callable[[Any, str], Unsupported]] = {
    "Coalesce": _coalesce,
    "Add": _addition,
    "Sub": _difference,
    "Cast": _cast,
    "TryCast": _try_cast,
    "Convert": _convert,
    "DateAdd": _datetime,
    "DateSub": _datetime,
    "Interval": _interval,
    "DateDiff": _date_diff,
    "Extract": _date_part,
    "Year": _date_part,
    "Month": _date_part,
    "Day": _date_part,
    "CurrentTimestamp": _datetime,
    "CurrentDate": _datetime,
}
"""The check of each kind of part, as :func:`engine.mapping.transpile.unsupported.find_unsupported` runs it."""
