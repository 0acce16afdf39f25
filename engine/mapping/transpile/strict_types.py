"""Uses of a value for whose type PostgreSQL has no operator and no function.

It converts hardly a type by itself, where DuckDB takes a number for a truth, a text for a number, and any value for a
text: what PostgreSQL refuses would run on fixtures. PostgreSQL 17, chapters 9 "Functions and Operators" and 10 "Type
Conversion". A text that is written out has no type of its own: it becomes one of the type beside it, if it reads so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms
from engine.mapping.transpile.facts import (
    COMPARISONS,
    INTEGER_TYPES,
    REFUSED_LIVE,
    construct_name,
    is_condition,
    is_text_literal,
    operands,
)
from engine.mapping.transpile.kind_parts import BRANCHING_PARTS, branches
from engine.mapping.transpile.kinds import is_kind, kind
from engine.mapping.transpile.own_types import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.mapping.transpile.facts import Unsupported

NUMBER, TEXT, TRUTH, DATE, ENUM, INTERVAL, DOCUMENT = (
    *("a number", "a text", "a truth", "a date", "an ENUM", "an interval"),
    "a JSON document",
)

_FAMILIES = {"text": TEXT, "boolean": TRUTH, "date": DATE, "timestamp": DATE, "listed": ENUM, "json": DOCUMENT}

_OF_TEXTS = frozenset(
    {"Left", "Right", "Upper", "Lower", "Trim", "Length", "Replace", "Pad", "StrPosition", "SplitPart", "Substring"}
    | {"RegexpReplace", "MD5", "Initcap", "StartsWith", "Reverse", "Repeat", "Translate", "Overlay", "Ascii"}
    | {"GroupConcat", "Like", "ILike", "RegexpLike", "RegexpILike", "SimilarTo", "StringToArray"}
)
"""Parts whose value is a text."""

_OF_NUMBERS = frozenset({"Sum", "Avg", "Round", "Trunc", "Abs", "Floor", "Ceil", "Sign", "Sqrt", "Pow", "Neg", "Mod"})
"""Parts whose value is a number, or an interval."""

_OF_JSON = frozenset({"JSONExtract", "JSONExtractScalar", "JSONBExtract", "JSONBExtractScalar"})
"""Parts that look into a document."""

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Mod"})

_WRITTEN = {
    NUMBER: r"[-+]?(\d+[.]?\d*|[.]\d+)(e[-+]?\d+)?|nan|[-+]?inf(inity)?",
    TRUTH: "t(rue)?|f(alse)?|y(es)?|no?|on|off|1|0",
    DATE: r"\d+([-/.]\d+){2}.*|\d{8}.*|.*[a-z]{3}.*|-?infinity|now|today|yesterday|tomorrow|epoch",
}
"""How a text reads that becomes a value of a family, in lower case."""


def find_strict_type(node: Any) -> Unsupported:
    """Return why PostgreSQL refuses a part for the types of its values; None where it does not, or is not known to."""
    name = type(node).__name__
    if is_condition(node) and _family(node) not in {"", TRUTH}:
        return f"{_family(node)} as a condition{REFUSED_LIVE}", "a comparison, as in qty > 0."
    if name in COMPARISONS | {"Nullif", "Case"} and (compared := _compared(node)):
        return compared
    if name in {"Union", "Except", "Intersect"}:
        return _united(node)
    if name in BRANCHING_PARTS - {"Nullif"} and (mixed := _mixed(branches(node), construct_name(node))):
        return mixed
    if name in _ARITHMETIC and (calculated := _calculated(node, name)):
        return calculated
    if name == "DPipe" and not any(map(_may_be_text, (node.left, node.right))):
        return f"|| between values that are no texts{REFUSED_LIVE}", "CONCAT, or ::text behind one of them."
    return _argument(node, name) or _cast(node, name)


def _family(node: Any) -> str:
    """What PostgreSQL takes a value for; blank where that is not known, or is what stands beside it."""
    if node is None or is_text_literal(node.unnest()) or type(node.unnest()).__name__ in {"Null", "Any"}:
        return ""
    if is_kind(node, "number", "single"):
        return NUMBER
    return INTERVAL if is_kind(node, "interval") else _FAMILIES.get(kind(node), "")


def _may_be_text(node: Any) -> bool:
    """Return whether a value may be one that || takes beside a value of another type."""
    return is_text_literal(node.unnest()) or (_family(node) in {"", TEXT} and not kind(node).startswith(PREFIX))


def _compared(node: Any) -> Unsupported:
    values = operands(node)
    values += [each for value in values for each in _listed(value)]
    query = node.args.get("query")
    if query is not None:
        values += [part.unalias() for part in query.unnest().selects[:1]]
    families = _several(values)
    if len(families) > 1:
        instead = "a CAST of one to the type of the other."
        if TRUTH in families:
            instead = "the truth alone, as in flag, or flag = true."
        return f"a comparison of {families[0]} with {families[1]}{REFUSED_LIVE}", instead
    return _unfit(values, "a comparison of")


def _listed(node: Any) -> list[Any]:
    """The values of ``ANY (ARRAY[…])``."""
    if type(node).__name__ != "Any" or type(node.this.unnest()).__name__ != "Array":
        return []
    return list(node.this.unnest().expressions)


def _mixed(values: list[Any], part: str) -> Unsupported:
    """Refuse branches that have no type in common."""
    families = _several(values)
    if len(families) > 1:
        return f"{part} of {families[0]} and {families[1]}{REFUSED_LIVE}", "a CAST of one to the type of the other."
    return _unfit(values, f"{part} of")


def _united(node: Any) -> Unsupported:
    """Refuse outputs of two arms that have no type in common, or of which one is written out as a text.

    DuckDB makes texts of all of them.
    """
    name = type(node).__name__.upper()
    for parts in zip(*(arm.selects for arm in union_arms(node)), strict=False):
        values = [part.unalias() for part in parts]
        mixed = _mixed(values, name)
        if mixed is not None:
            return mixed
        families = _several(values)
        if families and families[0] != TEXT and any(is_text_literal(value.unnest()) for value in values):
            return f"{name} of {families[0]} and a text in quotes", "the value without quotes, or NULL."
    return None


def _several(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(family for value in values if (family := _family(value))))


def _unfit(values: list[Any], lead: str) -> Unsupported:
    """Refuse a text that is written out beside a value of another type, and does not read as one of that."""
    families = _several(values)
    family = families[0] if families else ""
    for value in values if family in {*_WRITTEN, ENUM} else ():
        text = value.unnest().name.strip().lower() if is_text_literal(value.unnest()) else None
        whole = family == NUMBER and any(is_kind(each, "integer") for each in values) and not _has_fractions(values)
        pattern = r"[-+]?\d+" if whole else _WRITTEN.get(family, ".+")
        if text is not None and not re.fullmatch(pattern, text, re.DOTALL):
            named = "a blank text" if not text else "a text that is none"
            return f"{lead} {family} and {named}{REFUSED_LIVE}", "another value, or a CAST of the column to a text."
    return None


def _has_fractions(values: list[Any]) -> bool:
    return any(_family(value) == NUMBER and not is_kind(value, "integer") for value in values)


def _calculated(node: Any, name: str) -> Unsupported:
    sides = [node.left, node.right]
    families = [_family(side) for side in sides]
    for family in families:
        if family in {TEXT, TRUTH, ENUM, DOCUMENT} or (family == DATE and name not in {"Add", "Sub"}):
            return f"a calculation with {family}{REFUSED_LIVE}", "a CAST of it to a number."
    if DATE in families and NUMBER in families:
        (date,) = [side for side in sides if _family(side) == DATE]
        (number,) = [side for side in sides if _family(side) == NUMBER]
        if not is_kind(date, "date") or not is_kind(number, "integer"):
            return f"a date or time with a number that is no whole one of days{REFUSED_LIVE}", "an INTERVAL."
    if name == "Mod" and any(map(_is_floating, sides)):
        return f"the remainder of a floating number{REFUSED_LIVE}", "a CAST of it to numeric."
    return None


def _argument(node: Any, name: str) -> Unsupported:
    """Refuse the value of a function that has none of its type."""
    part = "STRING_AGG()" if name == "GroupConcat" else construct_name(node)
    first = _first(node)
    family = _family(first)
    if name in _OF_TEXTS and family not in {"", TEXT}:
        return f"{part} of {family}{REFUSED_LIVE}", "::text behind it."
    if name in _OF_JSON and family not in {"", DOCUMENT}:
        return f"{part} of {family}{REFUSED_LIVE}", "::jsonb behind it."
    if name in _OF_NUMBERS and family not in {"", NUMBER, INTERVAL}:
        return f"{part} of {family}{REFUSED_LIVE}", "a CAST of it to a number."
    if name in {"Round", "Trunc"} and node.args.get("decimals") is not None and _is_floating(first):
        return f"{part} of a floating number with decimals{REFUSED_LIVE}", "ROUND(weight::numeric, 2)."
    if name in {"Max", "Min"} and family in {TRUTH, DOCUMENT}:
        return f"{part} of {family}{REFUSED_LIVE}", "BOOL_OR, BOOL_AND or a CAST to a number."
    if name in {"Replace", "Translate"}:
        others = [_family(value) for value in node.iter_expressions()]
        if any(other not in {"", TEXT} for other in others):
            return f"{part} with what is no text{REFUSED_LIVE}", "texts alone, in quotes."
    return None


def _first(node: Any) -> Any:
    """The value of a function, whatever order or DISTINCT stands around it."""
    value = node.this
    while type(value).__name__ in {"Order", "Distinct", "Paren"}:
        value = value.expressions[0] if type(value).__name__ == "Distinct" else value.this
    return value if hasattr(value, "unnest") else None


def _is_floating(node: Any) -> bool:
    """Return whether a value is a floating number; 1e3 is a numeric there."""
    written = (part for part in node.walk() if type(part).__name__ == "Literal")
    return is_kind(node, "double", "single") and not any(is_kind(part, "double") for part in written)


def _cast(node: Any, name: str) -> Unsupported:
    """Refuse a cast that PostgreSQL has not."""
    if name != "Cast":
        return None
    family = _family(node.this)
    to = node.to.this.name if hasattr(node.to.this, "name") else ""
    number = to in INTEGER_TYPES | {"DECIMAL", "DOUBLE", "FLOAT"}
    if (family == TRUTH and number and to != "INT") or (family == DATE and number):
        return f"a cast of {family} to a number{REFUSED_LIVE}", "CASE, or ::int of a truth."
    if family == NUMBER and to in {"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPNTZ"}:
        return f"a cast of a number to a date{REFUSED_LIVE}", "TO_DATE of its text."
    return None
