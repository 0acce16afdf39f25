"""Rules of PostgreSQL; see :mod:`engine.mapping.transpile.functions`. Source: PostgreSQL's manual, chapter 9."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import COMPARISONS, literal_integer
from engine.mapping.transpile.functions_common import (
    UNITS,
    date_text,
    in_list,
    interval,
    json_path,
    json_text,
    moved,
    moves_moment,
    number_text,
    one_value,
    same_name,
    summed,
    text_of,
    truncated,
    unit_of,
    whole_quotient,
    within_calendar,
    written,
)
from engine.mapping.transpile.functions_postgres_text import POSTGRES_TEXT_RULES
from engine.mapping.transpile.kinds import fold_of, is_kind, kind
from engine.mapping.transpile.own_types import compare_zoned
from engine.mapping.transpile.rewrite_text import uppercase
from engine.mapping.transpile.snippets import as_text, snippet, typed_snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INITCAP = rf"""
    array_to_string(list_transform(regexp_extract_all(VALUE, '[\p{{L}}\p{{N}}]+|[^\p{{L}}\p{{N}}]+'),
    lambda word: {uppercase("left(word, 1)")} || lower(substring(word, 2))), '')"""

DATE_PARTS = {
    "DAY": "day", "MONTH": "month", "YEAR": "year", "QUARTER": "quarter", "DOW": "dow", "ISODOW": "isodow",
    "DOY": "doy", "WEEK": "week", "ISOYEAR": "isoyear", "HOUR": "hour", "MINUTE": "minute",
}  # fmt: skip
"""Parts of a date that are whole numbers, and the same in DuckDB."""

TIME_PARTS = frozenset({"HOUR", "MINUTE"})

DATE_PATTERNS = {"%Y%m%d": r"\d{8}", "%Y-%m-%d": r"\d{4}-\d\d-\d\d", "%d/%m/%Y": r"\d\d/\d\d/\d{4}"}
"""Formats of TO_DATE, and the texts that every database reads by them."""

DAY_PARENTS = frozenset({"Cast", "TimeToStr", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Between", "Extract"})


def _initcap(node: Any) -> Any:
    return snippet(INITCAP, value=node.this) if is_kind(node.this, "text") else None


def _array_to_string(node: Any) -> Any:
    """Texts of a list that the view makes itself; columns of lists are no part of fixtures."""
    listed = node.this
    known = {"Array", "StringToArray", "ArrayAgg"}
    if type(listed).__name__ not in known and not listed.meta.get("listed"):
        return None
    if text_of(node.expression) is None or node.args.get("null"):
        return None
    # Of a list of NULLs alone PostgreSQL makes a blank text.
    made = "coalesce(array_to_string(A, B), case when A is not null then '' end)"
    return snippet(made, a=listed, b=node.expression)


def _array(node: Any) -> Any:
    """ARRAY(SELECT … ORDER BY …) of texts, and ARRAY[…] beside ANY."""
    from sqlglot import exp

    parent = type(node.parent).__name__
    if len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Select):
        select = node.expressions[0]
        texts = len(select.selects) == 1 and _is_listed_alike(select.selects[0].unalias())
        made = node.copy() if texts and select.args.get("order") and parent == "ArrayToString" else None
    else:
        made = node.copy() if parent in {"Paren", "Any"} and node.find_ancestor(exp.Any) else None
    return _as_list(made)


def _is_listed_alike(value: Any) -> bool:
    """Return whether a value has the same text in a list; a CHAR keeps its blanks there."""
    return is_kind(value, "text", "integer") and "padded" not in fold_of(value).split("-")


def _as_list(made: Any) -> Any:
    if made is not None:
        made.meta["listed"] = True
    return made


def _string_to_array(node: Any) -> Any:
    if not text_of(node.expression) or not is_kind(node.this, "text") or node.args.get("null"):
        return None
    if type(node.parent).__name__ not in {"ArrayToString", "Bracket", "Anonymous"}:
        return None
    return _as_list(snippet("case when A = '' then [] else string_split(A, B) end", a=node.this, b=node.expression))


def _array_agg(node: Any) -> Any:
    ordered = type(node.this).__name__ == "Order" and _is_listed_alike(node.this.this)
    return _as_list(node.copy()) if ordered and type(node.parent).__name__ == "ArrayToString" else None


def _to_char(node: Any) -> Any:
    """TO_CHAR of a date by its numbers, and of a number by FM, zeros, nines and commas."""
    pattern = text_of(node.args.get("format")) or ""
    number = re.fullmatch(r"FM(9[9,]*0|0+)(?:\.(0+))?", pattern)
    if number:
        whole = number[1].replace(",", "")
        decimals = len(number[2] or "")
        zeros = len(whole.lstrip("9"))
        return number_text(node.this, decimals=decimals, grouped="," in number[1], digits=len(whole), padded=zeros)
    return date_text(node.this, re.sub(r'"([TZ :./-]*)"', r"\1", pattern), "Y m d H M S", literals=r"[-/. :,TZ_]")


def _date_trunc(node: Any) -> Any:
    """DATE_TRUNC; of a date the result has a zone, which shows unless it becomes a date, a text or is compared."""
    unit = unit_of(node)
    if not unit or unit == "SECOND":
        return None
    if is_kind(node.this, "timestamp"):
        return snippet(f"date_trunc('{unit.lower()}', VALUE)", value=node.this)
    at = node.parent
    while type(at).__name__ in {"Add", "Sub", "Paren"}:
        at = at.parent
    if is_kind(node.this, "date") and type(at).__name__ in DAY_PARENTS:
        return snippet(f"cast(date_trunc('{unit.lower()}', VALUE) as timestamp)", value=node.this)
    return None


def _interval(node: Any) -> Any:
    """An interval that is added to a date or a time, or is multiplied for that."""
    unit = unit_of(node)
    return interval(node.this, unit) if unit and moves_moment(node) else None


def _add(node: Any) -> Any:
    """A date or time plus or minus days or an interval; the days between two dates."""
    left, right = node.left, node.right
    operator = "+" if type(node).__name__ == "Add" else "-"
    if is_kind(left, "date", "timestamp") and is_kind(right, "interval"):
        return moved(left, operator, right, months=kind(right) == "interval:months")
    if is_kind(left, "date") and (is_kind(right, "integer") or (is_kind(right, "date") and operator == "-")):
        if is_kind(right, "date"):
            return snippet("A - B", a=left, b=right)
        return within_calendar(snippet(f"A {operator} cast(B as integer)", a=left, b=right), "date")
    return None


def _mul(node: Any) -> Any:
    pair = {kind(node.left), kind(node.right)}
    fine = pair in ({"integer", "interval:months"}, {"integer", "interval:time"})
    return snippet("A * B", a=node.left, b=node.right) if fine and moves_moment(node) else None


def _extract(node: Any) -> Any:
    part = str(node.this.name).upper()
    if part not in DATE_PARTS or not is_kind(node.expression, "date", "timestamp"):
        return None
    if part in TIME_PARTS and not is_kind(node.expression, "timestamp"):
        return None
    return snippet(f"date_part('{DATE_PARTS[part]}', VALUE)", value=node.expression)


def _to_date(node: Any) -> Any:
    pattern = text_of(node.args.get("format"))
    if pattern not in DATE_PATTERNS or not is_kind(node.this, "text"):
        return None
    text = f"""
        case when VALUE is null then null when not regexp_full_match(VALUE, '{DATE_PATTERNS[pattern]}')
        then error('databases differ in a text that is not written as its format: compare it as a text')
        else cast(strptime(VALUE, '{pattern}') as date) end"""
    return snippet(text, value=node.this)


def _format(node: Any) -> Any:
    """FORMAT with %s alone: NULL is blank."""
    from sqlglot import exp

    pattern = text_of(node.this)
    if pattern is None or re.search("%(?!s)", pattern.replace("%%", "")):
        return None
    pieces = re.split("%s", pattern.replace("%%", "\0"))
    if len(pieces) != len(node.expressions) + 1:
        return None
    made: Any = exp.Literal.string(pieces[0].replace("\0", "%"))
    for value, piece in zip(node.expressions, pieces[1:], strict=True):
        text = snippet("coalesce(VALUE, '')", value=as_text(value))
        made = exp.DPipe(
            this=exp.DPipe(this=made, expression=text), expression=exp.Literal.string(piece.replace("\0", "%"))
        )
    return exp.Paren(this=made)


def _division(node: Any) -> Any:
    return whole_quotient(node, null=False)


def _overlay(node: Any) -> Any:
    start, length = literal_integer(node.args["from_"]), literal_integer(node.args.get("for_"))
    if not start or start < 1 or length is None or length < 0:
        return None
    text = f"left(A, {start - 1}) || B || substring(A, {start + length})"
    return snippet(text, a=node.this, b=node.expression)


def _left_or_right(node: Any) -> Any:
    """A negative number leaves out so many of the other end."""
    count = literal_integer(node.expression)
    if count is None or count >= 0:
        return None
    return snippet(f"{type(node).__name__.lower()}(VALUE, {count})", value=node.this)


def _repeat(node: Any) -> Any:
    return (
        snippet("case when B is not null then repeat(A, greatest(B, 0)) end", a=node.this, b=node.args["times"])
        if is_kind(node.args["times"], "integer")
        else None
    )


def _octets(node: Any) -> Any:
    """The bytes of a text; those of a CHAR are counted with its blanks."""
    padded = "padded" in fold_of(node.expressions[0]).split("-")
    return None if padded else written("strlen(A)", "text")(node)


def _power(node: Any) -> Any:
    fine = is_kind(node.this, "integer", "double") and is_kind(node.expression, "integer", "double")
    return snippet("pow(cast(A as double), cast(B as double))", a=node.this, b=node.expression) if fine else None


def _square_root(node: Any) -> Any:
    return snippet("sqrt(cast(A as double))", a=node.this) if is_kind(node.this, "integer", "double") else None


def _any(node: Any) -> Any:
    return node.copy() if type(node.parent).__name__ == "EQ" and in_list(node.parent) is not None else None


def _cast(node: Any) -> Any:
    """A text of a date, a truth or an exact number; a date of a time."""
    to = node.to.this.name if hasattr(node.to.this, "name") else "INTERVAL"
    if to == "INTERVAL":
        return _cast_interval(node)
    if to == "DECIMAL" and node.to.expressions and is_kind(node.this, "single"):
        return typed_snippet(SINGLE_AS_DECIMAL, node.to.sql("duckdb"), value=node.this)
    if to in {"TEXT", "VARCHAR"} and not node.to.expressions and is_kind(node.this, "date", "boolean", "decimal"):
        return snippet("cast(VALUE as varchar)", value=node.this)
    if to == "DATE" and is_kind(node.this, "timestamp", "date"):
        return snippet("cast(VALUE as date)", value=node.this)
    if to in {"TIMESTAMP", "TIMESTAMPNTZ"} and is_kind(node.this, "date"):
        return snippet("cast(VALUE as timestamp)", value=node.this)
    return None


SINGLE_AS_DECIMAL = r"""
    case when length(ltrim(regexp_replace(cast(VALUE as varchar), '[^0-9]', '', 'g'), '0')) > 6
    then error('databases differ in the digits after the sixth of a number of single precision')
    else cast(VALUE as KIND) end"""


def _cast_interval(node: Any) -> Any:
    """``'3 days'::interval`` and ``(n || ' days')::interval``, which are added to a date or a time."""
    if not moves_moment(node):
        return None
    if "interval" in node.meta:  # as it was found before its parts were rewritten
        return node.meta["interval"].copy()
    inner = node.this.unnest()
    count, text = None, text_of(inner)
    if type(inner).__name__ == "DPipe":
        count, text = inner.left, text_of(inner.right)
        text = None if text is None else f"0 {text}"
    found = re.fullmatch(r"(-?\d+)\s+([a-z]+?)s?", (text or "").strip().lower())
    plain = count is None or type(count).__name__ in {"Column", "Literal"}
    if found is None or found[2].upper() not in UNITS or not plain:
        return None
    from sqlglot import exp

    made = interval(exp.Literal.string(found[1]) if count is None else count, found[2].upper())
    if made is not None:
        node.meta["interval"] = made
    return made


def _json_object(node: Any) -> Any:
    """``->`` before another ``->`` or ``->>``."""
    path = json_path(node.expression)
    if (
        path is None
        or not is_kind(node.this, "json")
        or type(node.parent).__name__ not in {"JSONExtract", "JSONExtractScalar"}
    ):
        return None
    return snippet(f"json_extract(DATA, '{path}')", data=node.this)


def _json_text(node: Any) -> Any:
    return json_text(node)


def _json_path_text(node: Any) -> Any:
    """``#>>`` with a path of names."""
    path = text_of(node.expression) or ""
    names = re.fullmatch(r"\{([A-Za-z_]\w*(?:,[A-Za-z_]\w*)*)\}", path)
    if names is None or not is_kind(node.this, "json"):
        return None
    from sqlglot import exp

    root = exp.JSONPath(expressions=[exp.JSONPathRoot(), *(exp.JSONPathKey(this=name) for name in names[1].split(","))])
    copy = exp.JSONExtractScalar(this=node.this.copy(), expression=root)
    return json_text(copy)


def _truncated(node: Any) -> Any:
    """Return a number without the decimals after so many; of a whole one with as many zeros as are asked for."""
    made, count = truncated(node), literal_integer(node.args.get("decimals")) or 0
    whole = made is not None and count > 0 and is_kind(node.this, "integer")
    return typed_snippet("cast(VALUE as KIND)", f"decimal(38, {count})", value=made) if whole else made


def _current_date(node: Any) -> Any:
    return node.copy() if type(node.parent).__name__ in {"Sub", "Add"} else None


def _last_value(node: Any) -> Any:
    ordered = type(node.parent).__name__ == "Window" and node.parent.args.get("order") is not None
    offset = node.args.get("offset")
    return node.copy() if ordered and (offset is None or (literal_integer(offset) or 0) > 0) else None


def _ntile(node: Any) -> Any:
    ordered = type(node.parent).__name__ == "Window" and node.parent.args.get("order") is not None
    return node.copy() if ordered and (node.this is None or (literal_integer(node.this) or 0) > 0) else None


def _percentile(node: Any) -> Any:
    within = type(node.parent).__name__ == "WithinGroup"
    by = node.parent.expression.expressions[0].this if within else None
    return node.copy() if within and is_kind(by, "integer", "double") else None


def _bits(operator: str) -> Callable[[Any], Any]:
    def rule(node: Any) -> Any:
        fine = is_kind(node.left, "integer") and is_kind(node.right, "integer")
        return snippet(f"A {operator} B", a=node.left, b=node.right) if fine else None

    return rule


POSTGRES_RULES: Mapping[str, Callable[[Any], Any]] = {
    **POSTGRES_TEXT_RULES,
    "Initcap": _initcap,
    "ArrayToString": _array_to_string,
    "Array": _array,
    "ArrayAgg": _array_agg,
    "StringToArray": _string_to_array,
    "AnyValue": one_value,
    "TimeToStr": _to_char,
    "TimestampTrunc": _date_trunc,
    "Interval": _interval,
    "Add": _add,
    "Sub": _add,
    "Mul": _mul,
    "Extract": _extract,
    "StrToDate": _to_date,
    "Format": _format,
    "Div": _division,
    "Translate": same_name("translate", "text"),
    "Trunc": _truncated,
    "LogicalAnd": same_name("bool_and", "boolean"),
    "LogicalOr": same_name("bool_or", "boolean"),
    "MD5": same_name("md5", "text"),
    "Reverse": same_name("reverse", "text"),
    "Repeat": _repeat,
    "Overlay": _overlay,
    "Left": _left_or_right,
    "Right": _left_or_right,
    "octet_length()": _octets,
    "Ascii": written("case when A is null then null when A = '' then 0 else unicode(left(A, 1)) end", "text"),
    "StartsWith": same_name("starts_with", "text"),
    "make_date()": same_name("make_date", "integer"),
    "Pow": _power,
    "Sum": summed,
    "Sqrt": _square_root,
    **dict.fromkeys(COMPARISONS, compare_zoned),
    "EQ": lambda node: in_list(node) or compare_zoned(node),
    "Any": _any,
    "Cast": _cast,
    "JSONExtract": _json_object,
    "JSONExtractScalar": _json_text,
    "JSONBExtractScalar": _json_path_text,
    "CurrentDate": _current_date,
    "LastValue": _last_value,
    "NthValue": _last_value,
    "Ntile": _ntile,
    "PercentRank": _ntile,
    "CumeDist": _ntile,
    "PercentileCont": _percentile,
    "BitwiseAnd": _bits("&"),
    "BitwiseOr": _bits("|"),
}  # fmt: skip
"""The rule of each kind of part in PostgreSQL."""
