"""Rules of MySQL and MariaDB; see :mod:`engine.mapping.transpile.functions`. Source: MariaDB's and MySQL's manuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import literal_integer
from engine.mapping.transpile.functions_common import (
    MAX_DECIMALS,
    MONTHS,
    date_text,
    interval,
    json_text,
    moved,
    moves_moment,
    number_text,
    portable_replacement,
    same_name,
    text_of,
    truncated,
    unit_of,
    whole_quotient,
    written,
)
from engine.mapping.transpile.kinds import is_kind, kind, scale_of
from engine.mapping.transpile.snippets import snippet, typed_snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TEXT_NUMBER = r"""
    case when VALUE is null then null else coalesce(try_cast(regexp_extract(VALUE,
    '^\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?') as double), 0) end"""
"""The number that a text begins with; 0 where it begins with none."""

UNSIGNED = """
    case when RESULT < 0 then cast(RESULT as hugeint) + 18446744073709551616 else cast(RESULT as hugeint) end"""
"""A whole number of 64 bits without a sign, which MySQL's operators of bits give."""

FULL_UNITS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}
"""Units of TIMESTAMPDIFF that are months."""

DATE_PATTERNS = {
    "%Y%m%d": r"\d{8}",
    "%Y-%m-%d": r"\d{4}-\d\d-\d\d",
    "%d/%m/%Y": r"\d\d/\d\d/\d{4}",
    "%d-%m-%Y": r"\d\d-\d\d-\d{4}",
    "%d.%m.%Y": r"\d\d[.]\d\d[.]\d{4}",
    "%m/%d/%Y": r"\d\d/\d\d/\d{4}",
}
"""Formats of STR_TO_DATE, and the texts that it reads as DuckDB does."""

QUOTIENT_DECIMALS = 4
"""Decimals that a quotient or an average has more than what is divided: div_precision_increment."""

SEEN_AS_IT_IS = frozenset({"Alias", "Select", "Paren", "Coalesce"})
"""Parts that show a quotient with the decimals that it has."""


def _is_shown(node: Any) -> bool:
    """Return whether a quotient becomes a column as it is: within a calculation it has more decimals."""
    at = node.parent
    while type(at).__name__ in {"Paren", "Alias"}:
        at = at.parent
    return at is None or type(at).__name__ == "Select"


def _date_format(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    if pattern is None:
        return None
    return date_text(node.this, pattern, "Y y m d H M S -d -m B b A a j p I -H -I %")


def _as_moment(node: Any) -> Any:
    """What sqlglot puts around a date or a time that is formatted."""
    if not is_kind(node.this, "date", "timestamp"):
        return None
    kind = "date" if type(node).__name__ in {"TsOrDsToDate", "Date"} else "timestamp"
    return snippet(f"cast(VALUE as {kind})", value=node.this) if not node.expressions else None


def _str_to_date(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    if pattern not in DATE_PATTERNS or not is_kind(node.this, "text"):
        return None
    text = f"""
        case when VALUE is null then null when not regexp_full_match(VALUE, '{DATE_PATTERNS[pattern]}')
        then error('databases differ in a text that is not written as its format: compare it as a text')
        else cast(try_strptime(VALUE, '{pattern}') as date) end"""
    return snippet(text, value=node.this)


def _date_diff(node: Any) -> Any:
    if not (is_kind(node.this, "date", "timestamp") and is_kind(node.expression, "date", "timestamp")):
        return None
    if "0000" in node.expression.sql():  # as TO_DAYS is read
        return None
    return snippet("date_diff('day', cast(B as date), cast(A as date))", a=node.this, b=node.expression)


def _timestamp_diff(node: Any) -> Any:
    """Complete units between two dates or times; of months, a day of the month that is reached."""
    unit = unit_of(node)
    later, earlier = node.this, node.expression
    if not unit or not (is_kind(later, "date", "timestamp") and is_kind(earlier, "date", "timestamp")):
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


def _moved(moment: Any, operator: str, by: Any, *, months: bool, daily: bool) -> Any:
    made = moved(moment, operator, by, months=months)
    return snippet("cast(VALUE as date)", value=made) if is_kind(moment, "date") and daily else made


def _date_shift(node: Any) -> Any:
    unit = unit_of(node)
    by = interval(node.expression, unit) if unit and is_kind(node.this, "date", "timestamp") else None
    operator = "-" if type(node).__name__ == "DateSub" else "+"
    return (
        None
        if by is None
        else _moved(node.this, operator, by, months=unit in MONTHS, daily=unit not in {"HOUR", "MINUTE", "SECOND"})
    )


def _days_shift(operator: str) -> Callable[[Any], Any]:
    """ADDDATE and SUBDATE with a number of days."""

    def rule(node: Any) -> Any:
        moment, days = node.expressions if len(node.expressions) == 2 else (None, None)  # noqa: PLR2004
        by = interval(days, "DAY") if moment is not None and is_kind(moment, "date", "timestamp") else None
        return None if by is None else _moved(moment, operator, by, months=False, daily=True)

    return rule


def _add(node: Any) -> Any:
    """A date plus or minus an interval; a text as the number that it begins with."""
    operator = {"Add": "+", "Sub": "-", "Mul": "*"}[type(node).__name__]
    left, right = node.left, node.right
    if is_kind(left, "date", "timestamp") and is_kind(right, "interval"):
        shown = node.meta.get("kind") == "date"
        return _moved(left, operator, right, months=kind(right) == "interval:months", daily=shown)
    texts = [is_kind(side, "text") and not is_literal_text(side) for side in (left, right)]
    if any(texts) and all(is_kind(side, "text", "number") and not is_literal_text(side) for side in (left, right)):
        sides = [
            snippet(TEXT_NUMBER, value=side) if text else side for side, text in zip((left, right), texts, strict=True)
        ]
        return snippet(f"A {operator} B", a=sides[0], b=sides[1])
    return None


def is_literal_text(node: Any) -> bool:
    """Return whether a part is a text that is written out."""
    return text_of(node.unnest()) is not None


def _field(node: Any) -> Any:
    first, *others = node.expressions
    if not others or not is_kind(first, "text") or not all(is_kind(each, "text") for each in others):
        return None
    cases = " ".join(f"when V = {chr(65 + place)} then {place + 1}" for place in range(len(others)) if place < 20)  # noqa: PLR2004
    if len(others) > 20:  # noqa: PLR2004 - as many letters as names for them
        return None
    return snippet(f"case {cases} else 0 end", v=first, **{chr(97 + place): each for place, each in enumerate(others)})


def _elt(node: Any) -> Any:
    if not is_kind(node.this, "integer") or not all(is_kind(each, "text") for each in node.expressions):
        return None
    from sqlglot import exp

    ifs = [
        exp.If(this=exp.EQ(this=node.this.copy(), expression=exp.Literal.number(place)), true=each.copy())
        for place, each in enumerate(node.expressions, 1)
    ]
    return exp.Case(ifs=ifs)


def _number_format(node: Any) -> Any:
    count = literal_integer(node.args.get("format"))
    if count is None or count < 0 or node.args.get("culture") is not None:
        return None
    return number_text(node.this, decimals=count, grouped=True)


def _division(node: Any) -> Any:
    """A quotient has four decimals more than what is divided, where it is shown as it is."""
    scale = scale_of(node.left)
    if scale is None or scale_of(node.right) is None or not _is_shown(node):
        return None
    return _shown(snippet("A / nullif(B, 0)", a=node.left, b=node.right), scale)


def _shown(made: Any, scale: int) -> Any:
    digits = scale + QUOTIENT_DECIMALS
    if digits > MAX_DECIMALS - QUOTIENT_DECIMALS:
        return None
    kind = f"decimal(30, {digits})"
    return typed_snippet(f"cast(round(cast(VALUE as decimal(32, 14)), {digits}) as KIND)", kind, value=made)


def _average(node: Any) -> Any:
    scale = scale_of(node.this)
    return None if scale is None or not _is_shown(node) else _shown(node.copy(), scale)


def _whole_quotient(node: Any) -> Any:
    return whole_quotient(node, null=True)


def _bits(operator: str) -> Callable[[Any], Any]:
    def rule(node: Any) -> Any:
        if not (is_kind(node.left, "integer") and is_kind(node.right, "integer")):
            return None
        pair = f"cast(A as bigint) {operator} cast(B as bigint)"
        if operator == "^":
            pair = "xor(cast(A as bigint), cast(B as bigint))"
        result = snippet(pair, a=node.left, b=node.right)
        return snippet(UNSIGNED, result=result)

    return rule


def _json_unquote(node: Any) -> Any:
    inner = node.expressions[0] if len(node.expressions) == 1 else None
    if type(inner).__name__ == "JSONExtract":
        return json_text(inner, null_text=True)
    return inner.copy() if inner is not None and inner.meta.get("unquoted") else None


def _json_extract(node: Any) -> Any:
    """JSON_EXTRACT inside of JSON_UNQUOTE: by itself it gives a text with quotes."""
    parent = node.parent
    outer = type(parent).__name__ == "Anonymous" and str(parent.this).lower() == "json_unquote"
    made = json_text(node, null_text=True) if outer else None
    if made is not None:
        made.meta["unquoted"] = True
    return made


def _left_out(node: Any) -> Any:
    """The text from so many letters before its end; blank where it has not so many."""
    start = literal_integer(node.args.get("start"))
    if start is None or start >= 0 or not is_kind(node.this, "text"):
        return None
    length = node.args.get("length")
    count = literal_integer(length) if length is not None else None
    if length is not None and (count is None or count < 0):
        return None
    tail = f"case when length(VALUE) >= {-start} then right(VALUE, {-start}) when VALUE is not null then '' end"
    made = snippet(tail, value=node.this)
    return made if count is None else snippet(f"left(VALUE, {count})", value=made)


def _mid(node: Any) -> Any:
    values = node.expressions
    start = literal_integer(values[1]) if len(values) == 3 else None  # noqa: PLR2004 - a text, a place, a length
    count = literal_integer(values[2]) if start is not None else None
    if start is None or count is None or start < 1 or count < 0 or not is_kind(values[0], "text"):
        return None
    return snippet(f"substring(VALUE, {start}, {count})", value=values[0])


def _locate(node: Any) -> Any:
    """A search from a place onwards."""
    place = literal_integer(node.args.get("position"))
    substring = text_of(node.args.get("substr"))
    if place is None or place < 1 or not substring or not is_kind(node.this, "text"):
        return None
    found = f"strpos(substring(A, {place}), B)"
    return snippet(f"case when {found} = 0 then 0 else {found} + {place - 1} end", a=node.this, b=node.args["substr"])


def _insert(node: Any) -> Any:
    start, length = literal_integer(node.args["start"]), literal_integer(node.args["length"])
    if start is None or length is None or start < 1 or length < 0 or not is_kind(node.this, "text"):
        return None
    text = f"case when length(A) < {start} then A else left(A, {start - 1}) || B || substring(A, {start + length}) end"
    return snippet(f"case when B is not null then {text} end", a=node.this, b=node.expression)


def _regexp_replace(node: Any) -> Any:
    pattern, replacement = text_of(node.expression), text_of(node.args.get("replacement"))
    if not portable_replacement(pattern, replacement) or not is_kind(node.this, "text"):
        return None
    if any(letter.isalpha() for letter in pattern or ""):  # with or without case, as the collation says
        return None
    return snippet("regexp_replace(A, B, C, 'g')", a=node.this, b=node.expression, c=node.args["replacement"])


def _square_root(node: Any) -> Any:
    if not is_kind(node.this, "number"):
        return None
    return snippet("case when A >= 0 then sqrt(cast(A as double)) end", a=node.this)


def _power(node: Any) -> Any:
    fine = is_kind(node.this, "number") and is_kind(node.expression, "number")
    return snippet("pow(cast(A as double), cast(B as double))", a=node.this, b=node.expression) if fine else None


def _xor(node: Any) -> Any:
    fine = is_kind(node.left, "number") and is_kind(node.right, "number")
    return snippet("(A <> 0) <> (B <> 0)", a=node.left, b=node.right) if fine else None


def _hexadecimal(node: Any) -> Any:
    if is_kind(node.this, "integer"):
        return snippet("to_hex(cast(A as bigint))", a=node.this)
    return snippet("hex(A)", a=node.this) if is_kind(node.this, "text") else None


def _cast(node: Any) -> Any:
    """A text of a date, a time without fractions, or an exact number."""
    to = node.to.this.name
    if to in {"CHAR", "VARCHAR", "TEXT"} and not node.to.expressions and is_kind(node.this, "date", "decimal"):
        return snippet("cast(VALUE as varchar)", value=node.this)
    if to == "CHARACTER_SET":
        return node.this.copy() if is_kind(node.this, "text") and _charset(node).startswith("utf8") else None
    if to == "DATE" and is_kind(node.this, "date", "timestamp"):
        return snippet("cast(VALUE as date)", value=node.this)
    return None


def _charset(node: Any) -> str:
    named = node.to.args.get("kind")
    return str(named.name) if named is not None else ""


def _padded_number(node: Any) -> Any:
    """LPAD and RPAD of a whole number, which they take for its text."""
    count, fill = literal_integer(node.expression), text_of(node.args.get("fill_pattern"))
    if not fill or count is None or count < 0 or not is_kind(node.this, "integer"):
        return None
    side = "lpad" if node.args.get("is_left") else "rpad"
    return snippet(f"{side}(cast(A as varchar), {count}, B)", a=node.this, b=node.args["fill_pattern"])


def _window(node: Any) -> Any:
    ordered = type(node.parent).__name__ == "Window" and node.parent.args.get("order") is not None
    count = node.args.get("offset") or (node.this if type(node).__name__ == "Ntile" else None)
    return node.copy() if ordered and (count is None or (literal_integer(count) or 0) > 0) else None


def _date_part(text: str, *kinds: str) -> Callable[[Any], Any]:
    def rule(node: Any) -> Any:
        value = node.expressions[0] if type(node).__name__ == "Anonymous" else node.this
        return snippet(text, a=value) if is_kind(value, *kinds) else None

    return rule


def _extract(node: Any) -> Any:
    part = str(node.this.name).upper()
    fine = part in {"YEAR", "QUARTER", "MONTH", "DAY"} and is_kind(node.expression, "date", "timestamp")
    return snippet(f"date_part('{part.lower()}', A)", a=node.expression) if fine else None


def _month_name(node: Any) -> Any:
    return snippet("dayname(cast(A as date))", a=node.this) if is_kind(node.this, "date", "timestamp") else None


MOMENTS = ("date", "timestamp")

MYSQL_RULES: Mapping[str, Callable[[Any], Any]] = {
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
    "Add": _add,
    "Sub": _add,
    "Mul": _add,
    "find_in_set()": written("case when A is null or B is null then null when B = '' then 0"
                             " else coalesce(list_position(string_split(B, ','), A), 0) end", "text"),
    "field()": _field,
    "Elt": _elt,
    "Trunc": truncated,
    "NumberToStr": _number_format,
    "Div": _division,
    "Avg": _average,
    "IntDiv": _whole_quotient,
    "BitwiseAnd": _bits("&"),
    "BitwiseOr": _bits("|"),
    "BitwiseXor": _bits("^"),
    "Hex": _hexadecimal,
    "MD5": same_name("md5", "text"),
    "SHA": same_name("sha1", "text"),
    "json_unquote()": _json_unquote,
    "JSONExtract": _json_extract,
    "Reverse": same_name("reverse", "text"),
    "Substring": _left_out,
    "mid()": _mid,
    "StrPosition": _locate,
    "Stuff": _insert,
    "Ascii": written("case when A is null then null when A = '' then 0 else unicode(left(A, 1)) end", "text"),
    "octet_length()": written("strlen(A)", "text"),
    "RegexpReplace": _regexp_replace,
    "Sqrt": _square_root,
    "Pow": _power,
    "Xor": _xor,
    "Cast": _cast,
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
    "LastValue": _window,
    "NthValue": _window,
    "Ntile": _window,
    "Pad": _padded_number,
}  # fmt: skip
"""The rule of each kind of part in MySQL and MariaDB."""
