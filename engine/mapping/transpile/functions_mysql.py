"""Rules of MySQL and MariaDB; see :mod:`engine.mapping.transpile.functions`. Source: MariaDB's and MySQL's manuals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import INTEGER_TYPES, decimal_places, is_shown, literal_integer
from engine.mapping.transpile.functions_common import (
    MAX_DECIMALS,
    finds_alike,
    finds_nothing,
    json_text,
    number_text,
    one_value,
    plain_pattern,
    portable_replacement,
    same_name,
    searched,
    summed,
    text_literal,
    text_of,
    truncated,
    whole_quotient,
    written,
)
from engine.mapping.transpile.functions_mysql_dates import MYSQL_DATE_RULES, moved_moment
from engine.mapping.transpile.kind_parts import mixes_texts
from engine.mapping.transpile.kinds import fold_of, is_kind, kind, scale_of
from engine.mapping.transpile.snippets import snippet, typed_snippet
from engine.mapping.transpile.text_equality import counts_all, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TEXT_NUMBER = r"""
    case when VALUE is null then null else coalesce(try_cast(regexp_extract(VALUE,
    '^\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?') as double), 0) end"""
"""The number that a text begins with; 0 where it begins with none."""

UNSIGNED = """
    case when RESULT < 0 then cast(RESULT as hugeint) + 18446744073709551616 else cast(RESULT as hugeint) end"""
"""A whole number of 64 bits without a sign, which MySQL's operators of bits give."""

NOT_NEGATIVE = """
    case when RESULT < 0
    then error('an unsigned number would be below 0, which is an error in MySQL: cast it as signed first')
    else RESULT end"""
"""A sum, a difference or a product with an unsigned column."""

LAST_LINE_BREAK = r"""
    case when regexp_matches(VALUE, '\n$')
    then error('databases differ in where a text with a line break ends: replace the line break first')
    else VALUE end"""
"""A text whose end is the same for every regular expression engine."""

QUOTIENT_DECIMALS = 4
"""Decimals that a quotient or an average has more than what is divided: div_precision_increment."""


def _add(node: Any) -> Any:
    """A date plus or minus an interval; a text as the number that it begins with; a number without a sign."""
    operator = {"Add": "+", "Sub": "-", "Mul": "*"}[type(node).__name__]
    left, right = node.left, node.right
    if is_kind(node, "integer") and fold_of(node) == "unsigned":
        return snippet(NOT_NEGATIVE, result=snippet(f"A {operator} B", a=left, b=right))
    if is_kind(left, "date", "timestamp") and is_kind(right, "interval"):
        shown = node.meta.get("kind") == "date"
        return moved_moment(left, operator, right, months=kind(right) == "interval:months", daily=shown)
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
    fold = comparison_of(node.expressions)
    if fold == "?":
        return None
    if not others or not is_kind(first, "text") or not all(is_kind(each, "text") for each in others):
        return None
    cases = " ".join(f"when V = {chr(65 + place)} then {place + 1}" for place in range(len(others)) if place < 20)  # noqa: PLR2004 - as below
    if len(others) > 20:  # noqa: PLR2004 - as many letters as names for them
        return None
    values = {chr(97 + place): folded(each, fold) for place, each in enumerate(others)}
    return snippet(f"case {cases} else 0 end", v=folded(first, fold), **values)


def comparison_of(values: list[Any]) -> str:
    """Return what does not count where texts are compared by their columns' collation; ``?`` where these differ."""
    folds = {fold_of(value) for value in values} - {""}
    return folds.pop() if len(folds) == 1 else "?" if folds else ""


def _find_in_set(node: Any) -> Any:
    """The place of a text in a list with commas; blanks at the end count."""
    values = node.expressions
    fold = comparison_of(values)
    if len(values) != 2 or fold == "?" or not all(is_kind(value, "text") for value in values):  # noqa: PLR2004 - a text and a list
        return None
    text = """
        case when A is null or B is null then null when B = '' then 0
        else coalesce(list_position(string_split(B, ','), A), 0) end"""
    without = fold.replace("-pad", "")
    return snippet(text, a=folded(values[0], without), b=folded(values[1], without))


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
    if scale is None or scale_of(node.right) is None or not is_shown(node):
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
    return None if scale is None or not is_shown(node) else _shown(node.copy(), scale)


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
        return json_text(inner, null_text=True, wraps=True)
    return inner.copy() if inner is not None and inner.meta.get("unquoted") else None


def _json_extract(node: Any) -> Any:
    """JSON_EXTRACT inside of JSON_UNQUOTE: by itself it gives a text with quotes."""
    parent = node.parent
    outer = type(parent).__name__ == "Anonymous" and str(parent.this).lower() == "json_unquote"
    made = json_text(node, null_text=True, wraps=True) if outer else None
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
    if (
        place is None
        or place < 1
        or not substring
        or not is_kind(node.this, "text")
        or not counts_all(fold_of(node.this))
    ):
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
    if finds_nothing(pattern or "") and (replacement or not (pattern or "").startswith("^")):
        return None
    plain = plain_pattern(pattern or "")
    if any(letter.isalpha() for letter in plain):  # with or without case, as the collation says
        return None
    made = text_literal(plain)
    value = searched(node.this, pattern or "")
    if plain.endswith("$"):
        value = snippet(LAST_LINE_BREAK, value=value)
    return snippet("regexp_replace(A, B, C, 'g')", a=value, b=made, c=node.args["replacement"])


def _coalesce(node: Any) -> Any:
    """COALESCE and IFNULL of texts and dates or whole numbers, which are texts there."""
    values = [node.this, *node.expressions]
    kinds = {kind(value) for value in values if type(value).__name__ != "Null"}
    if len(kinds) == 1 or not mixes_texts(kinds, values):
        return None
    from sqlglot import exp

    texts = [
        value.copy() if is_kind(value, "text") else snippet("cast(VALUE as varchar)", value=value) for value in values
    ]
    return exp.Coalesce(this=texts[0], expressions=texts[1:])


def _regexp(node: Any) -> Any:
    """REGEXP with letters, whose case counts as the column's collation says."""
    pattern, fold = text_of(node.expression), fold_of(node.this).split("-")
    if pattern is None or not pattern.isascii() or not re.search("[A-Za-z]", pattern) or "known" not in fold:
        return None
    if not finds_alike(pattern.removesuffix("$")):
        return None
    end = "\n?$" if pattern.endswith("$") else ""  # which also matches before a text's last line break
    made = text_literal(pattern.removesuffix("$") + end)
    return snippet(f"regexp_matches(A, B, '{'i' if 'ci' in fold else 'c'}')", a=node.this, b=made)


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


WRITTEN_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


def _cast(node: Any) -> Any:
    """A text of a date, a time without fractions, or an exact number."""
    to = node.to.this.name
    if is_kind(node.this, "single") and (to in INTEGER_TYPES or to == "DECIMAL"):
        return _single_as_number(node)
    if to in {"CHAR", "VARCHAR", "TEXT"} and not node.to.expressions and is_kind(node.this, "date", "decimal"):
        return snippet("cast(VALUE as varchar)", value=node.this)
    if to == "CHARACTER_SET":
        return node.this.copy() if is_kind(node.this, "text") and _charset(node).startswith("utf8") else None
    if to == "TIMESTAMPTZ" and WRITTEN_MOMENT.fullmatch(text_of(node.this) or ""):  # as TIMESTAMP '…' is read
        return snippet("cast(VALUE as timestamp)", value=node.this)
    if to == "DATE" and is_kind(node.this, "date", "timestamp"):
        return snippet("cast(VALUE as date)", value=node.this)
    return None


SINGLE_AS_NUMBER = r"""
    case when length(ltrim(regexp_replace(cast(VALUE as varchar), '[^0-9]', '', 'g'), '0')) > 5
        or abs(VALUE) > 0 and abs(VALUE) < 0.001 or abs(abs(VALUE) * SCALE % 1 - 0.5) < 0.001
    then error('databases differ in the digits after the sixth of a number of single precision: write its column with
    the type decimal, or leave it as it is') else cast(cast(VALUE as decimal(38, 10)) as KIND) end"""
"""MySQL shows six digits of such a number and calculates with eight, so that one of six digits may have more."""


def _single_as_number(node: Any) -> Any:
    scale = decimal_places(node.to) or 0
    return typed_snippet(SINGLE_AS_NUMBER, node.to.sql("duckdb"), value=node.this, scale=str(10**scale))


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


MYSQL_RULES: Mapping[str, Callable[[Any], Any]] = {
    **MYSQL_DATE_RULES,
    "Add": _add,
    "Sub": _add,
    "Mul": _add,
    "find_in_set()": _find_in_set,
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
    "AnyValue": one_value,
    "Coalesce": _coalesce,
    "RegexpLike": _regexp,
    "Sqrt": _square_root,
    "Pow": _power,
    "Sum": summed,
    "Xor": _xor,
    "Cast": _cast,
    "LastValue": _window,
    "NthValue": _window,
    "Ntile": _window,
    "Pad": _padded_number,
}  # fmt: skip
"""The rule of each kind of part in MySQL and MariaDB."""
