"""Rules of SQLite; see :mod:`engine.mapping.transpile.functions`. Source: sqlite.org, "Built-in functions".

SQLite keeps a whole number of a decimal column as a whole number, and other ones as floating numbers; its dates are
texts. A fixture's column has the one type, so a rule looks at each value where that matters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import literal_integer
from engine.mapping.transpile.functions_common import (
    MICROSECONDS,
    date_text,
    is_compared,
    json_path,
    json_text,
    text_of,
    within_calendar,
    written,
)
from engine.mapping.transpile.kinds import is_kind
from engine.mapping.transpile.snippets import as_text, snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PRINTED = re.compile(r"%(?:(?P<text>s)|(?P<zeros>0(?P<width>[1-9]))?d|[.](?P<decimals>[0-6])f|(?P<percent>%))")
"""Formats of PRINTF: a text, a whole number with or without zeros in front, a number with decimals."""

HALFWAY = """
    error('databases differ in how they round a floating number halfway between two: give it another value')"""

DECIMAL_TEXT = "regexp_replace(cast(VALUE as varchar), '[.]?0+$', '')"
"""The text of a decimal number in a column: SQLite writes no zeros at its end."""

PREFIX_INTEGER = r"coalesce(try_cast(regexp_extract(VALUE, '^\s*([-+]?[0-9]+)', 1) as bigint), 0)"
PREFIX_REAL = r"""
    coalesce(try_cast(regexp_extract(VALUE, '^\s*([-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?)', 1)
    as double), 0.0)"""
"""The number that a text begins with; 0 where it begins with none."""

MODIFIER = re.compile(r"\s*([+-]?\d+)\s+(day|month|year|hour|minute|second)s?\s*")


def _printf(node: Any) -> Any:
    from sqlglot import exp

    values = [node.this, *node.expressions] if type(node).__name__ == "Format" else list(node.expressions)
    pattern, rest = text_of(values[0]) if values else None, values[1:]
    if pattern is None:
        return None
    made: Any = exp.Literal.string("")
    at = 0
    for found in PRINTED.finditer(pattern):
        if "%" in pattern[at : found.start()]:
            return None
        piece = _printed(found, rest)
        if piece is None:
            return None
        text = exp.Literal.string(pattern[at : found.start()])
        made = exp.DPipe(this=exp.DPipe(this=made, expression=text), expression=exp.Paren(this=piece))
        at = found.end()
    if "%" in pattern[at:] or rest:
        return None
    return exp.Paren(this=exp.DPipe(this=made, expression=exp.Literal.string(pattern[at:])))


def _printed(found: Any, rest: list[Any]) -> Any:
    """The text of the next value by one format; takes the value from ``rest``. NULL is a blank, or 0."""
    from sqlglot import exp

    if found["percent"]:
        return exp.Literal.string("%")
    if not rest:
        return None
    value = rest.pop(0)
    if found["text"]:
        return snippet("coalesce(VALUE, '')", value=as_text(value)) if is_kind(value, "text", "integer") else None
    if found["decimals"] is None:
        if not is_kind(value, "integer"):
            return None
        width = found["width"] or "1"
        whole = "cast(abs(VALUE) as varchar)"
        digits = f"greatest({width} - (case when VALUE < 0 then 1 else 0 end), length({whole}))"
        text = f"(case when VALUE < 0 then '-' else '' end) || lpad({whole}, cast({digits} as integer), '0')"
        return snippet(text, value=snippet("coalesce(VALUE, 0)", value=value))
    decimals = int(found["decimals"])
    if not is_kind(value, "integer", "decimal"):
        return None
    rounded = f"cast(round(coalesce(VALUE, 0), {decimals}) as decimal(36, {decimals}))"
    tie = f"abs(abs(coalesce(VALUE, 0) * 1{'0' * decimals}) % 1 - 0.5) < 0.0000001"
    return snippet(f"case when {tie} then {HALFWAY} else cast({rounded} as varchar) end", value=value)


def _strftime(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    return None if pattern is None else date_text(node.this, pattern, "Y m d H M S j w")


def _as_moment(node: Any) -> Any:
    return snippet("cast(VALUE as timestamp)", value=node.this) if is_kind(node.this, "date", "timestamp") else None


def _moved(node: Any, values: list[Any]) -> Any:
    """A date or a time moved by modifiers: days and months that overflow go on into the next month."""
    if not values:
        return None
    if text_of(values[0]) == "now" and is_compared(node):
        made = snippet("cast(current_timestamp as timestamp)")
    elif is_kind(values[0], "date", "timestamp"):
        made = snippet("cast(VALUE as timestamp)", value=values[0])
    else:
        return None
    for each in values[1:]:
        text = (text_of(each) or "").strip().lower()
        found = MODIFIER.fullmatch(text)
        start = re.fullmatch("start of (day|month|year)", text)
        if start:
            made = snippet(f"cast(date_trunc('{start[1]}', VALUE) as timestamp)", value=made)
        elif found and found[2] in {"month", "year"}:
            months = int(found[1]) * (12 if found[2] == "year" else 1)
            first = "cast(date_trunc('month', VALUE) as timestamp)"
            begin = f"epoch_us({first} + to_months({months}))"
            made = snippet(f"make_timestamp({begin} + epoch_us(VALUE) - epoch_us({first}))", value=made)
        elif found:
            span = int(found[1]) * MICROSECONDS[found[2].upper()]
            made = snippet(f"make_timestamp(epoch_us(VALUE) + {span})", value=made)
        else:
            return None
    return within_calendar(made, "timestamp") if len(values) > 1 else made


def _date(node: Any) -> Any:
    values = list(node.expressions) if type(node).__name__ == "Anonymous" else [node.this, *node.expressions]
    made = _moved(node, values)
    return None if made is None else snippet("cast(VALUE as date)", value=made)


def _datetime(node: Any) -> Any:
    made = _moved(node, list(node.expressions))
    return None if made is None else snippet("strftime(VALUE, '%Y-%m-%d %H:%M:%S')", value=made)


def _time(node: Any) -> Any:
    made = _moved(node, list(node.expressions))
    return None if made is None else snippet("strftime(VALUE, '%H:%M:%S')", value=made)


def _julian_day(node: Any) -> Any:
    made = _moved(node, list(node.expressions))
    return None if made is None else snippet("2440587.5 + epoch(VALUE) / 86400e0", value=made)


def _modulo(node: Any) -> Any:
    if not (is_kind(node.left, "integer") and is_kind(node.right, "integer")):
        return None
    return snippet("cast(A as bigint) % nullif(B, 0)", a=node.left, b=node.right)


def _division(node: Any) -> Any:
    """Of two whole numbers the quotient is one, too; a decimal column's values may be whole."""
    left, right = node.left, node.right
    if is_kind(left, "integer") and is_kind(right, "integer"):
        return snippet("cast(A as bigint) // nullif(B, 0)", a=left, b=right)
    doubles = [is_kind(side, "double") or _is_fraction(side) for side in (left, right)]
    if any(doubles) and all(is_kind(side, "number") for side in (left, right)):
        return snippet("cast(A as double) / nullif(cast(B as double), 0)", a=left, b=right)
    return None


def _is_fraction(node: Any) -> bool:
    """Return whether a part is a number that is written with a point, which SQLite takes for a floating number."""
    inner = node.unnest()
    return type(inner).__name__ == "Literal" and not inner.is_string and "." in inner.name


def _glob(node: Any) -> Any:
    pattern = text_of(node.expression)
    fine = pattern is not None and not re.search(r"[\[\]\\]", pattern) and is_kind(node.this, "text")
    return node.copy() if fine else None


def _json_extract(node: Any) -> Any:
    """A value in a document: a truth is 1 or 0."""
    made = json_text(node)
    if made is None:
        return None
    path = json_path(node.expression)
    truth = "case VALUE when 'true' then '1' else '0' end"
    text = f"case json_type(DATA, '{path}') when 'BOOLEAN' then {truth} else VALUE end"
    return snippet(text, data=node.this, value=made)


def _substring(node: Any) -> Any:
    start, length = literal_integer(node.args.get("start")), node.args.get("length")
    if start is None or start >= 0 or length is not None or not is_kind(node.this, "text"):
        return None
    return snippet(f"right(VALUE, {-start})", value=node.this)


CUT = """
    case when abs(VALUE) > 0.5 and abs(VALUE - round(VALUE)) < 0.000000001
    then error('databases differ in the whole part of a number that is nearly whole: write ROUND inside the cast')
    else cast(trunc(VALUE) as bigint) end"""
"""A number that is calculated from decimals, without them: 1.15 * 100 is 114.99999999999999 there."""


def _cast(node: Any) -> Any:
    to = node.to.this.name
    if to in {"INT", "BIGINT"} and type(node.this.unnest()).__name__ in {"Add", "Sub", "Mul"}:
        return snippet(CUT, value=node.this) if is_kind(node.this, "decimal", "double") else None
    if to in {"INT", "BIGINT"} and is_kind(node.this, "text"):
        return snippet(f"case when VALUE is not null then {PREFIX_INTEGER} end", value=node.this)
    if to in {"DOUBLE", "FLOAT"} and is_kind(node.this, "text"):
        return snippet(f"case when VALUE is not null then {PREFIX_REAL} end", value=node.this)
    if to in {"TEXT", "VARCHAR"} and is_kind(node.this, "date"):
        return snippet("cast(VALUE as varchar)", value=node.this)
    if to in {"TEXT", "VARCHAR"} and type(node.this).__name__ == "Column" and is_kind(node.this, "decimal"):
        return snippet(
            f"case when cast(VALUE as varchar) like '%.%' then {DECIMAL_TEXT} else cast(VALUE as varchar) end",
            value=node.this,
        )
    return None


def _average(node: Any) -> Any:
    return (
        snippet("avg(cast(VALUE as double))", value=node.this)
        if _plain(node) and is_kind(node.this, "number")
        else None
    )


def _plain(node: Any) -> bool:
    return type(node.this).__name__ != "Distinct" and type(node.parent).__name__ not in {"Window", "Filter"}


def _total(node: Any) -> Any:
    value = node.expressions[0] if len(node.expressions) == 1 else None
    if value is None or not is_kind(value, "number") or type(node.parent).__name__ in {"Window", "Filter"}:
        return None
    return snippet("coalesce(sum(cast(VALUE as double)), 0.0)", value=value)


def _window(node: Any) -> Any:
    ordered = type(node.parent).__name__ == "Window" and node.parent.args.get("order") is not None
    count = node.args.get("offset") or (node.this if type(node).__name__ == "Ntile" else None)
    return node.copy() if ordered and (count is None or (literal_integer(count) or 0) > 0) else None


def _bits(operator: str) -> Callable[[Any], Any]:
    def rule(node: Any) -> Any:
        fine = is_kind(node.left, "integer") and is_kind(node.right, "integer")
        return snippet(f"cast(A as bigint) {operator} cast(B as bigint)", a=node.left, b=node.right) if fine else None

    return rule


SQLITE_RULES: Mapping[str, Callable[[Any], Any]] = {
    "printf()": _printf,
    "Format": _printf,
    "TimeToStr": _strftime,
    "TsOrDsToTimestamp": _as_moment,
    "Date": _date,
    "date()": _date,
    "datetime()": _datetime,
    "time()": _time,
    "julianday()": _julian_day,
    "Mod": _modulo,
    "Div": _division,
    "Glob": _glob,
    "JSONExtractScalar": _json_extract,
    "Substring": _substring,
    "Cast": _cast,
    "Avg": _average,
    "total()": _total,
    "Hex": written("coalesce(hex(A), '')", "text"),
    "LowerHex": written("coalesce(lower(hex(A)), '')", "text"),
    "Unicode": written("case when A = '' then null else unicode(left(A, 1)) end", "text"),
    "BitwiseAnd": _bits("&"),
    "BitwiseOr": _bits("|"),
    "LastValue": _window,
    "NthValue": _window,
    "Ntile": _window,
    "PercentRank": _window,
    "CumeDist": _window,
}
"""The rule of each kind of part in SQLite."""
