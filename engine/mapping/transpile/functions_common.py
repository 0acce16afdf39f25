"""Rules of several dialects; see :mod:`engine.mapping.transpile.functions`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import COMPARISONS, is_text_literal, literal_integer
from engine.mapping.transpile.kinds import fold_of, is_kind, kind, scale_of
from engine.mapping.transpile.snippets import snippet, typed_snippet

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Any], Any]

MAX_DECIMALS = 12
"""Decimals that a result may have: more do not fit beside the digits before the point."""

MONTHS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}
"""Units that are months."""

MICROSECONDS = {
    "WEEK": 604_800_000_000,
    "DAY": 86_400_000_000,
    "HOUR": 3_600_000_000,
    "MINUTE": 60_000_000,
    "SECOND": 1_000_000,
}
"""Units that are shorter, and always as long."""

UNITS = MONTHS.keys() | MICROSECONDS.keys()

DIFFERENT_JSON = """
    case when json_type(DATA, PATH) in ('OBJECT', 'ARRAY')
    then error('databases differ in the text of a JSON object or list: read its values one by one')
    when json_type(DATA, PATH) = 'DOUBLE'
    then error('databases differ in the text of a JSON number with decimals: cast it to a decimal')
    else VALUE end"""


def same_name(function: str, *kinds: str) -> Rule:
    """Return a rule for a function that DuckDB has under the name ``function``, with the same meaning.

    With ``kinds`` its first value must be of one of them.
    """

    def rule(node: Any) -> Any:
        from sqlglot import exp

        values = arguments(node)
        if kinds and not is_kind(values[0], *kinds):
            return None
        return exp.Anonymous(this=function, expressions=[value.copy() for value in values])

    return rule


def written(text: str, *kinds: str) -> Rule:
    """Return a rule that writes a snippet with A, B, C… for the values; the first must be of one of ``kinds``."""

    def rule(node: Any) -> Any:
        values = arguments(node)
        if kinds and not is_kind(values[0], *kinds):
            return None
        return snippet(text, **{chr(97 + place): value for place, value in enumerate(values)})

    return rule


def arguments(node: Any) -> list[Any]:
    """Return the values of a function, in the order of sqlglot's arguments."""
    values: list[Any] = []
    for key in node.arg_types:
        value = node.args.get(key)
        if isinstance(value, list):
            values += value
        elif hasattr(value, "args") and not (key == "this" and type(node).__name__ == "Anonymous"):
            values.append(value)
    return values


def is_compared(node: Any) -> bool:
    """Return whether a part is a side of a comparison."""
    at = node.parent
    while type(at).__name__ == "Paren":
        at = at.parent
    return type(at).__name__ in COMPARISONS


def text_of(node: Any) -> str | None:
    """Return the value of a text literal; None for anything else."""
    return str(node.name) if node is not None and is_text_literal(node) else None


def text_literal(text: str) -> Any:
    """Return a text that is written out."""
    from sqlglot import exp

    return exp.Literal.string(text)


def unit_of(node: Any) -> str:
    """Return the unit of an interval or of a function of dates, in capitals and without a plural's S; or a blank."""
    unit = node.args.get("unit")
    found = str(unit.name).upper().rstrip("S") if unit is not None else ""
    return found if found in UNITS else ""


def interval(count: Any, unit: str) -> Any:
    """Return an interval: months, or for shorter units microseconds as a number; ``count`` may be a text of digits.

    To DuckDB 2.0 an interval of 30 days equals one of a month, and so may be put in its place.
    """
    given = text_of(count)
    if given is not None and not re.fullmatch(r"\s*[-+]?\d+\s*", given):
        return None
    if given is None and literal_integer(count) is None and not is_kind(count, "integer"):
        return None
    value = snippet(f"cast('{int(given)}' as bigint)") if given is not None else count
    if unit in MONTHS:
        return snippet(f"to_months(cast(COUNT as integer) * {MONTHS[unit]})", count=value)
    return snippet(f"(cast(COUNT as bigint) * {MICROSECONDS[unit]})", count=value)


def moves_moment(node: Any) -> bool:
    """Return whether an interval is added to a date or a time, or subtracted from one, perhaps multiplied before."""
    at = node
    while type(at.parent).__name__ in {"Paren", "Mul"}:
        at = at.parent
    fine = type(at.parent).__name__ in {"Add", "Sub"} and at.arg_key == "expression"
    return fine and is_kind(at.parent.this, "date", "timestamp")


WITHIN_CALENDAR = """
    list_transform([VALUE], lambda made: case
        when made is null or made between cast('0001-01-01' as KIND) and cast('9999-12-31 23:59:59.999999' as KIND)
        then made
        else cast('databases differ in dates before the year 1 and after 9999: leave such rows out' as KIND)
    end)[1]"""


def moved(moment: Any, operator: str, by: Any, *, months: bool) -> Any:
    """Return a date or a time as a time, moved by what :func:`interval` returned for ``months`` or a shorter unit."""
    text = "cast(A as timestamp) {} B" if months else "make_timestamp(epoch_us(cast(A as timestamp)) {} B)"
    return within_calendar(snippet(text.format(operator), a=moment, b=by), "timestamp")


def within_calendar(moment: Any, kind: str) -> Any:
    """Return a date or time of this ``kind`` of DuckDB's, raising outside of the years that all databases write alike.

    It raises by a cast, since DuckDB sorts no window by what calls ``error``; and in a list's function, so that the
    moment is written once.
    """
    return typed_snippet(WITHIN_CALENDAR, kind, value=moment)


def date_text(moment: Any, pattern: str, letters: str, *, literals: str = r"[-/. :,T_]") -> Any:
    """Return the text of a date or time by a pattern of Python's, of which only ``letters`` are the same everywhere."""
    known = "|".join(f"%{letter}" for letter in letters.split())
    if not is_kind(moment, "date", "timestamp") or not re.fullmatch(f"(?:{known}|{literals})+", pattern):
        return None
    return snippet(f"strftime(cast(VALUE as timestamp), '{pattern}')", value=moment)


CLASS_OF_LETTERS = r"\[\^?[-\w. /,:;#()+*<>=\"'!@%?$|{}~]+\]"
"""A set of letters that all regular expression engines read alike."""

OTHER_DIGITS = r"""
    case when regexp_matches(VALUE, '[^\x00-\x7f]')
        and regexp_matches(regexp_replace(VALUE, '[0-9]', '', 'g'), '\p{Nd}')
    then error('databases differ in digits of other scripts: write [0-9] for \d') else VALUE end"""
"""A text in which ``\\d`` finds the same everywhere: some databases take other digits than 0 to 9 for such, too."""


def plain_pattern(pattern: str) -> str:
    r"""Return a regular expression with its digits, and its escaped signs, as sets of letters.

    >>> plain_pattern(r"\D+[.]\(")
    '[^0-9]+[.][(]'
    """

    def letters(found: re.Match[str]) -> str:
        return {"d": "[0-9]", "D": "[^0-9]"}.get(found[1], f"[{found[1]}]")

    return re.sub(r"\\([dD.()+*?|/-])", letters, pattern)


def finds_alike(pattern: str) -> bool:
    """Return whether a regular expression, as :func:`plain_pattern` gives it, finds the same text in all engines."""
    outside = re.sub(CLASS_OF_LETTERS, "x", pattern, flags=re.ASCII)
    return bool(re.fullmatch(r"\^?(?:[\w ,/:;#<>=\"'!@%~-][+*]?)+\$?", outside, flags=re.ASCII))


def searched(value: Any, pattern: str) -> Any:
    """Return the text that a regular expression is looked for in: one with other digits raises, where they matter."""
    return snippet(OTHER_DIGITS, value=value) if re.search(r"\\[dD]", pattern) else value


def portable_replacement(pattern: str | None, replacement: str | None) -> bool:
    """Return whether a regular expression finds the same text in all engines, and is replaced alike."""
    if pattern is None or replacement is None or re.search(r"[\\&$]", replacement):
        return False
    return finds_alike(plain_pattern(pattern))


def finds_nothing(pattern: str) -> bool:
    """Return whether a regular expression, which :func:`finds_alike`, also finds the nothing between two letters.

    Engines differ in where they go on behind that, so in how often they replace it.
    """
    return re.search(plain_pattern(pattern), "") is not None


def truncated(node: Any) -> Any:
    """Return a number without the decimals after so many, towards zero."""
    decimals = node.args.get("decimals")
    count = 0 if decimals is None else literal_integer(decimals)
    scale = scale_of(node.this)
    if count is None or not 0 <= count <= MAX_DECIMALS:
        return None
    if is_kind(node.this, "numeric"):
        text = (
            f"cast(sign(VALUE) * floor(abs(VALUE) * 1{'0' * count}) as decimal(26, 0)) * cast({10**-count:.{count}f} as"
        )
        return snippet(f"{text} decimal({count + 1}, {count}))", value=node.this)
    if scale is None:
        return None
    if count >= scale:
        return node.this.copy()
    half = f"0.{'0' * count}5"
    rounded = f"round(cast(VALUE as decimal(28, {max(scale, count + 1)})) - sign(VALUE) * {half}, {count})"
    return snippet(f"cast({rounded} as decimal(18, {count}))", value=node.this)


def summed(node: Any) -> Any:
    """Return a sum of decimal numbers with 28 digits.

    DuckDB's has 38, and beside a number with more decimals, as in COALESCE, that would lose them without an error.
    """
    found = kind(node)
    if not found.startswith("decimal") or type(node.parent).__name__ in {"Window", "Filter"}:
        return None
    return typed_snippet("cast(VALUE as KIND)", f"decimal(28, {found.partition(':')[2]})", value=node)


def number_text(value: Any, *, decimals: int, grouped: bool, digits: int = 15, padded: int = 1) -> Any:
    """Return the text of a whole or decimal number with so many decimals, rounded half away from zero.

    ``digits`` are the most that it may have before the point, ``padded`` the fewest; ``grouped`` puts commas.
    """
    if (scale_of(value) is None and not is_kind(value, "numeric")) or decimals > MAX_DECIMALS:
        return None
    whole = "cast(trunc(abs(ROUNDED)) as bigint)"
    text_of_whole = f"cast({whole} as varchar)"
    width = f"cast(greatest({padded}, length({text_of_whole})) as integer)"
    shown = f"format('{{:,}}', {whole})" if grouped else f"lpad({text_of_whole}, {width}, '0')"
    fraction = f"|| '.' || right(cast(abs(ROUNDED) as varchar), {decimals})" if decimals else ""
    text = f"""
        case when VALUE is null then null when abs(ROUNDED) >= 1{"0" * digits}
        then error('databases differ in a number that is longer than its format: give the format more digits')
        else (case when ROUNDED < 0 then '-' else '' end) || {shown} {fraction} end"""
    rounded = snippet(f"cast(round(VALUE, {decimals}) as decimal(38, {decimals}))", value=value)
    return snippet(text, value=value, rounded=rounded)


ONE_VALUE = """
    case when count(distinct VALUE) > 1 or count(VALUE) not in (0, count(*))
    then error('databases differ in a column that is not the same in all rows of a group: add it to GROUP BY')
    else any_value(VALUE) end"""


def one_value(node: Any) -> Any:
    """Return the value that all rows of a group have."""
    return snippet(ONE_VALUE, value=node.this)


def in_list(node: Any) -> Any:
    """Return ``x = any(array[…])`` as IN; beside such a list PostgreSQL compares a citext as a text."""
    from sqlglot import exp

    many = node.expression
    if type(many).__name__ != "Any" or "ci" in fold_of(node.this).split("-"):
        return None
    listed = many.this.unnest()
    if type(listed).__name__ != "Array" or not listed.expressions or isinstance(listed.expressions[0], exp.Query):
        return None
    return exp.In(this=node.this.copy(), expressions=[each.copy() for each in listed.expressions])


NO_JSON_LIST = """
    case when json_type(DATA, LIST) <> 'ARRAY'
    then error('databases differ in a place of what is no JSON list: read it by its name') else VALUE end"""


def json_text(node: Any, *, null_text: bool = False, wraps: bool = False) -> Any:
    """Return a value in a JSON document as a text, if it is no object, no list, and no number with decimals.

    With ``null_text`` JSON's null is the text ``null``. A database that ``wraps`` takes a value that is no list for a
    list of that one.
    """
    path = json_path(node.expression)
    if path is None or not is_kind(node.this, "json", "text"):
        return None
    value = f"json_extract_string(DATA, '{path}')"
    if null_text:
        value = f"case when json_type(DATA, '{path}') = 'NULL' then 'null' else {value} end"
    at = node.parent.parent if type(node.parent).__name__ in {"Anonymous", "Paren"} else node.parent
    numeric = type(at).__name__ == "Cast" and at.to.this.name == "DECIMAL"
    text = DIFFERENT_JSON.replace("VALUE", value).replace("PATH", f"'{path}'")
    for place in re.finditer(r"\[", path) if wraps else ():
        text = NO_JSON_LIST.replace("VALUE", text).replace("LIST", f"'{path[: place.start()]}'")
    return snippet(text.replace("'DOUBLE'", "'-'") if numeric else text, data=node.this)


def json_path(node: Any) -> str | None:
    """Return a path of names and places into a JSON document as ``$.a.b[0]``; None for any other."""
    if type(node).__name__ != "JSONPath":
        return None
    path = "$"
    for part in node.expressions:
        name = type(part).__name__
        if name == "JSONPathKey" and isinstance(part.this, str) and re.fullmatch(r"\w+", part.this):
            path += f".{part.this}"
        elif name == "JSONPathSubscript" and isinstance(part.this, int) and part.this >= 0:
            path += f"[{part.this}]"
        elif name != "JSONPathRoot":
            return None
    return path


def whole_quotient(node: Any, *, null: bool) -> Any:
    """Return the quotient of two whole numbers without its fraction; of a division by zero ``null``, or an error."""
    if not (is_kind(node.left, "integer") and is_kind(node.right, "integer")):
        return None
    guard = "nullif(B, 0)" if null else "case when B = 0 then error('division by zero') else B end"
    return snippet(f"cast(A as bigint) // {guard}", a=node.left, b=node.right)
