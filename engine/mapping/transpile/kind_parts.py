"""What kind of value a type of DuckDB's has, and parts of a statement do, whatever they are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT_PARTS = frozenset(
    {"Concat", "ConcatWs", "DPipe", "GroupConcat", "Initcap", "Left", "Lower", "MD5", "National", "Pad", "Replace"}
    | {"Right", "SplitPart", "Repeat", "Reverse", "Space", "Stuff", "Substring", "SubstringIndex", "ToChar", "Trim"}
    | {"Upper", "TimeToStr", "ArrayToString", "RegexpReplace", "Overlay", "Translate", "Hex", "LowerHex", "Elt"}
    | {"NumberToStr", "Format", "Dayname", "SHA", "ByteString"}
)

INTEGER_PARTS = frozenset(
    {"Length", "StrPosition", "RowNumber", "Rank", "DenseRank", "Count", "Year", "Month", "Day", "DateDiff"}
    | {"TimestampDiff", "DayOfWeek", "DayOfMonth", "DayOfYear", "Quarter", "Hour", "Minute", "Second", "Ascii"}
    | {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "IntDiv", "Unicode", "Ntile"}
)

CONDITION_PARTS = frozenset(
    {"And", "Or", "Not", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Between", "In", "Is", "Like", "ILike", "Exists"}
    | {"RegexpLike", "RegexpILike", "LogicalAnd", "LogicalOr", "NullSafeEQ", "NullSafeNEQ", "StartsWith", "Boolean"}
    | {"Glob", "Xor", "Any"}
)

BRANCHING_PARTS = frozenset({"Coalesce", "Case", "If", "Nullif", "Greatest", "Least"})


def kind_of_type(declared: str) -> str:
    """Return the kind of a type of DuckDB's.

    >>> kind_of_type("DECIMAL(12,4)"), kind_of_type("BIGINT"), kind_of_type("VARCHAR")
    ('decimal:4', 'integer', 'text')
    """
    name = re.sub(r"^(VARCHAR|TEXT)\(\d+\)$", "VARCHAR", declared.upper())
    decimal = re.fullmatch(r"(?:DECIMAL|NUMERIC)\(\s*\d+\s*,\s*(\d+)\s*\)", name)
    if decimal:
        return f"decimal:{decimal[1]}"
    if name.endswith("[]"):
        return "list"
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", name):
        return "integer"
    simple = {"DOUBLE": "double", "FLOAT": "double", "REAL": "double", "DATE": "date", "BOOLEAN": "boolean"}
    simple |= {"VARCHAR": "text", "TEXT": "text", "JSON": "json", "TIMESTAMP": "timestamp"}
    return simple.get(name, "")


def branches(node: Any) -> list[Any]:
    """Return the parts of which one is the value of a CASE, a COALESCE or the like."""
    name = type(node).__name__
    if name == "Case":
        default = node.args.get("default")
        return [*(each.args["true"] for each in node.args["ifs"]), *([default] if default is not None else [])]
    if name == "If":
        return [node.args["true"], *([node.args["false"]] if node.args.get("false") is not None else [])]
    return [node.this] if name == "Nullif" else [node.this, *node.expressions]


def interval_units(node: Any) -> set[str]:
    """Return the units of the intervals in a part, without a plural's S."""
    from sqlglot import exp

    return {
        str(each.args["unit"] or "").upper().rstrip("S") if each.args.get("unit") else ""
        for each in node.find_all(exp.Interval)
    }


def mixes_texts(kinds: set[str], values: Iterable[Any]) -> bool:
    """Return whether values of these kinds are texts, dates and whole numbers; a date that is written out is none."""
    written = [str(value.name) for value in values if type(value).__name__ == "Literal" and value.is_string]
    dates = "date" in kinds and any(re.match(r"\d{4}-\d\d-\d\d", text) for text in written)
    return "text" in kinds and kinds <= {"text", "date", "integer"} and not dates
