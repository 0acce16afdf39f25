"""Rules of dates in MySQL and MariaDB; see :mod:`engine.mapping.transpile.functions`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import operands
from engine.mapping.transpile.functions_common import MONTHS, date_text, interval, moved, moves_moment, text_of, unit_of
from engine.mapping.transpile.kinds import fold_of, is_kind
from engine.mapping.transpile.snippets import snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATE_PATTERNS = {
    "%Y%m%d": r"\d{8}",
    "%Y-%m-%d": r"\d{4}-\d\d-\d\d",
    "%d/%m/%Y": r"\d\d/\d\d/\d{4}",
    "%d-%m-%Y": r"\d\d-\d\d-\d{4}",
    "%d.%m.%Y": r"\d\d[.]\d\d[.]\d{4}",
    "%m/%d/%Y": r"\d\d/\d\d/\d{4}",
}
"""Formats of STR_TO_DATE, and the texts that it reads as DuckDB does."""

FULL_UNITS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}
"""Units of TIMESTAMPDIFF that are months."""

MOMENTS = ("date", "timestamp")


NO_DATE = """
    case when VALUE like '0000%' or VALUE like '%-00%'
    then error('databases differ in what they make of a date such as 0000-00-00: compare it with that before')
    else cast(VALUE as timestamp) end"""


def _date_format(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    if pattern is None:
        return None
    made = date_text(node.this, pattern, "Y y m d H M S -d -m B b A a j p I -H -I %")
    inner = node.this.meta.get("zero") or (node.this.this if type(node.this).__name__ == "TsOrDsToTimestamp" else None)
    if made is None or not is_kind(inner, "zerodate", "zerotime") or not re.fullmatch(r"(?:%[YymdHMS]|[^%])+", pattern):
        return made
    zeros = re.sub("%[ymdHMS]", "00", pattern.replace("%Y", "0000"))
    text = f"case when A like '0000-00-00%' then '{zeros}' else B end"
    return snippet(text, a=inner, b=made)


def _moment(value: Any) -> Any:
    """A date or a time, as a column or written out; one that may be zero raises where it is. None for others."""
    if is_kind(value, "date", "timestamp"):
        return value
    if is_kind(value, "zerodate", "zerotime"):
        return snippet(NO_DATE, value=value)
    if WRITTEN_DATE.fullmatch(text_of(value) or "") and not ZERO_DATE.fullmatch(text_of(value) or ""):
        return snippet("cast(VALUE as timestamp)", value=value)
    return None


def _as_moment(node: Any) -> Any:
    """What sqlglot puts around a date or a time that is formatted."""
    moment = _moment(node.this) if text_of(node.this) is None else None
    if moment is None:
        return None
    kind = "date" if type(node).__name__ in {"TsOrDsToDate", "Date"} else "timestamp"
    if node.expressions:
        return None
    made = snippet(f"cast(VALUE as {kind})", value=moment)
    if moment is not node.this:
        made.meta["zero"] = node.this.copy()
    return made


def _str_to_date(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    if pattern not in DATE_PATTERNS or not is_kind(node.this, "text"):
        return None
    text = f"""
        case when VALUE is null then null when not regexp_full_match(VALUE, '{DATE_PATTERNS[pattern]}')
        then error('databases differ in a text that is not written as its format: compare it as a text')
        when try_strptime(VALUE, '{pattern}') is null
        then error('databases differ in a date that no month has, such as the 31st of February: compare it as a text')
        else cast(strptime(VALUE, '{pattern}') as date) end"""
    return snippet(text, value=node.this)


def _date_diff(node: Any) -> Any:
    later, earlier = _moment(node.this), _moment(node.expression)
    if later is None or earlier is None or "'0000-01-01'" in node.expression.sql():  # as TO_DAYS is read
        return None
    return snippet("date_diff('day', cast(B as date), cast(A as date))", a=later, b=earlier)


def _timestamp_diff(node: Any) -> Any:
    """Complete units between two dates or times; of months, a day of the month that is reached."""
    unit = unit_of(node)
    later, earlier = _moment(node.this), _moment(node.expression)
    if not unit or later is None or earlier is None:
        return None
    first, last = "cast(EARLIER as timestamp)", "cast(LATER as timestamp)"
    months = f"(year({last}) - year({first})) * 12 + month({last}) - month({first})"
    begin, end = (f"strftime({moment}, '%d%H%M%S%f')" for moment in (first, last))
    rest = f"""
        (case when {end} < {begin} and {last} > {first} then -1
        when {end} > {begin} and {last} < {first} then 1 else 0 end)"""
    text = f"date_sub('{unit.lower()}', {first}, {last})"
    if unit in FULL_UNITS:
        text = f"({months} + {rest}) // {FULL_UNITS[unit]}"
    return snippet(text, earlier=earlier, later=later)


def _interval(node: Any) -> Any:
    unit = unit_of(node)
    return interval(node.this, unit) if unit and moves_moment(node) else None


def moved_moment(moment: Any, operator: str, by: Any, *, months: bool, daily: bool) -> Any:
    """Return a date or a time moved by an interval: a date where it was one and ``daily`` is true."""
    made = moved(moment, operator, by, months=months)
    return snippet("cast(VALUE as date)", value=made) if is_kind(moment, "date") and daily else made


def _date_shift(node: Any) -> Any:
    unit = unit_of(node)
    by = interval(node.expression, unit) if unit and is_kind(node.this, "date", "timestamp") else None
    operator = "-" if type(node).__name__ == "DateSub" else "+"
    return (
        None
        if by is None
        else moved_moment(
            node.this, operator, by, months=unit in MONTHS, daily=unit not in {"HOUR", "MINUTE", "SECOND"}
        )
    )


def _days_shift(operator: str) -> Callable[[Any], Any]:
    """ADDDATE and SUBDATE with a number of days."""

    def rule(node: Any) -> Any:
        moment, days = node.expressions if len(node.expressions) == 2 else (None, None)  # noqa: PLR2004 - a moment and days
        by = interval(days, "DAY") if moment is not None and is_kind(moment, "date", "timestamp") else None
        return None if by is None else moved_moment(moment, operator, by, months=False, daily=True)

    return rule


def _date_part(text: str, *kinds: str) -> Callable[[Any], Any]:
    def rule(node: Any) -> Any:
        value = node.expressions[0] if type(node).__name__ == "Anonymous" else node.this
        moment = _moment(value) if text_of(value) is None else None
        fine = is_kind(value, *kinds, "zerotime", *(("zerodate",) if "date" in kinds else ()))
        return snippet(text, a=moment) if fine and moment is not None else None

    return rule


def _part_or_zero(text: str) -> Callable[[Any], Any]:
    """YEAR, MONTH and DAY, which are 0 of a zero date."""

    def rule(node: Any) -> Any:
        inner = node.this.meta.get("zero") or (node.this.this if type(node.this).__name__ == "TsOrDsToDate" else None)
        if not is_kind(inner, "zerodate", "zerotime"):
            return None
        made = snippet(text, a=node.this)
        return snippet("case when A like '0000-00-00%' then 0 else B end", a=inner, b=made)

    return rule


def _extract(node: Any) -> Any:
    part = str(node.this.name).upper()
    fine = part in {"YEAR", "QUARTER", "MONTH", "DAY"} and is_kind(node.expression, "date", "timestamp")
    return snippet(f"date_part('{part.lower()}', A)", a=node.expression) if fine else None


def _month_name(node: Any) -> Any:
    return snippet("dayname(cast(A as date))", a=node.this) if is_kind(node.this, "date", "timestamp") else None


ZERO_DATE = re.compile(r"0000-00-00( 00:00:00)?|\d{4}-00-\d\d.*|\d{4}-\d\d-00.*")
"""A date that only MySQL has."""

WRITTEN_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?")


def _compared_zero_dates(node: Any) -> Any:
    """Compare dates of which some may be zero as their texts, whose order is the same."""
    values = operands(node)
    zero = any(is_kind(value, "zerodate", "zerotime") for value in values)
    if not zero and not any(ZERO_DATE.fullmatch(text_of(value) or "") for value in values):
        return None
    timed = any(is_kind(value, "timestamp", "zerotime") for value in values)
    copy = node.copy()
    texts = [_date_as_text(value, timed=timed) for value in operands(copy)]
    if node.args.get("query") is not None or any(text is None for text in texts):
        return None
    for value, text in zip(operands(copy), texts, strict=True):
        value.replace(text)
    return copy


def _is_null(node: Any) -> Any:
    """A zero date of a column that may not be NULL counts as NULL in IS NULL alone, where that is a filter's condition.

    It does not in IS NOT NULL, under NOT, in an output column, in a CASE, or where an outer join is made.
    """
    at = node.parent
    while type(at).__name__ in {"Paren", "And", "Or"}:
        at = at.parent
    filters = type(at).__name__ in {"Where", "Having"} or (type(at).__name__ == "Join" and not at.side)
    if type(node.expression).__name__ != "Null" or "required" not in fold_of(node.this) or not filters:
        return None
    return snippet("(VALUE is null or VALUE like '0000-00-00%')", value=node.this)


def _date_as_text(value: Any, *, timed: bool) -> Any:
    """The text of a date or a time, ``timed`` with the hours; None for what is neither."""
    written = text_of(value)
    suffix = " 00:00:00" if timed else ""
    if written is not None:
        found = WRITTEN_DATE.fullmatch(written)
        if found is None or (found[1] and not timed):
            return None
        return snippet(f"'{written if found[1] else written + suffix}'")
    if is_kind(value, "date", "timestamp"):
        return snippet(f"strftime(cast(VALUE as timestamp), '%Y-%m-%d{' %H:%M:%S' if timed else ''}')", value=value)
    if is_kind(value, "zerodate", "zerotime"):
        return snippet(f"VALUE || '{suffix}'", value=value) if is_kind(value, "zerodate") and suffix else value.copy()
    return None


MYSQL_DATE_RULES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Between", "In", "NullSafeEQ"), _compared_zero_dates),
    "Is": _is_null,
    "TimeToStr": _date_format,
    "TsOrDsToTimestamp": _as_moment,
    "TsOrDsToDate": _as_moment,
    "StrToDate": _str_to_date,
    "DateDiff": _date_diff,
    "TimestampDiff": _timestamp_diff,
    "Interval": _interval,
    "DateAdd": _date_shift,
    "DateSub": _date_shift,
    "TimestampAdd": _date_shift,
    "adddate()": _days_shift("+"),
    "subdate()": _days_shift("-"),
    "Year": _part_or_zero("year(A)"),
    "Month": _part_or_zero("month(A)"),
    "Day": _part_or_zero("day(A)"),
    "DayOfWeek": _date_part("dayofweek(A) + 1", *MOMENTS),
    "DayOfMonth": _date_part("day(A)", *MOMENTS),
    "DayOfYear": _date_part("dayofyear(A)", *MOMENTS),
    "Quarter": _date_part("quarter(A)", *MOMENTS),
    "weekday()": _date_part("isodow(A) - 1", *MOMENTS),
    "Hour": _date_part("hour(A)", "timestamp"),
    "Minute": _date_part("minute(A)", "timestamp"),
    "Second": _date_part("second(A)", "timestamp"),
    "Dayname": _month_name,
    "LastDay": _date_part("last_day(cast(A as date))", *MOMENTS),
    "Extract": _extract,
}
"""The rule of each kind of part that is about dates."""
