"""facts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

XML = "FOR XML"

KNOWN = frozenset({"tsql", "mysql", "postgres", "sqlite", "oracle"})
"""Dialects of which more is known than what all have in common."""

PLAIN = frozenset(
    {"Alias", "And", "Between", "Boolean", "CTE", "Case", "Coalesce", "Collate", "Count", "DPipe", "DataType"}
    | {"DataTypeParam", "Distinct", "EQ", "Except", "Exists", "Filter", "From", "GT", "GTE", "Having", "Hint"}
    | {"Identifier", "If", "In", "IndexTableHint", "Intersect", "JoinHint", "LT", "LTE", "LimitOptions", "Max", "Min"}
    | {"Mul", "NEQ", "National", "Neg", "Not", "Null", "NullSafeEQ", "NullSafeNEQ", "Nullif", "Offset", "Or", "Order"}
    | {
        "Pivot",
        "PivotAlias",
        "Ordered",
        "Paren",
        "QueryOption",
        "Star",
        "Sub",
        "Subquery",
        "Sum",
        "Table",
        "TableAlias",
        "Tuple",
        "Union",
    }
    | {"Values", "Var", "Where", "WindowSpec", "With", "WithTableHint", "WithinGroup"}
)
"""Parts of a statement that mean the same everywhere, are made to by a rewrite alone, or are refused by their words."""

MAIN = frozenset(
    {"Abs", "Ceil", "ConcatWs", "DecodeCase", "DenseRank", "Floor", "Greatest", "Least", "Left", "Length"}
    | {"Lower", "Nvl2", "Rank", "Right", "RowNumber", "Sign", "Upper", "Concat", "TsOrDsToDate", "TimeStrToTime"}
)
"""Parts that are known in the dialects that are."""

SELECT_PARTS = frozenset(
    {"with_", "expressions", "distinct", "from_", "joins", "laterals", "where", "group", "having", "order", "limit"}
    | {"offset", "hint", "options", "operation_modifiers"}
)
"""What a SELECT may have; hints and options change no result."""

INTEGERS = frozenset({"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT"})

TEXTS = frozenset({"TEXT", "VARCHAR", "NVARCHAR"})

PADDED = frozenset({"CHAR", "NCHAR"})

MONEY = {"MONEY": "decimal(19, 4)", "SMALLMONEY": "decimal(10, 4)"}

DATES = frozenset({"DATE", "DATETIME", "DATETIME2", "SMALLDATETIME", "TIMESTAMP", "TIMESTAMPNTZ"})

PLAIN_DATES = frozenset({"tsql", "mysql", "postgres"})
"""Dialects whose DATE has no time of the day."""

DATE_STYLES = {
    "20": "%Y-%m-%d %H:%M:%S",
    "120": "%Y-%m-%d %H:%M:%S",
    "21": "%Y-%m-%d %H:%M:%S",
    "121": "%Y-%m-%d %H:%M:%S",
    "23": "%Y-%m-%d",
    "112": "%Y%m%d",
    "111": "%Y/%m/%d",
    "102": "%Y.%m.%d",
    "126": "%Y-%m-%dT%H:%M:%S",
    "101": "%m/%d/%Y",
    "103": "%d/%m/%Y",
    "104": "%d.%m.%Y",
    "105": "%d-%m-%Y",
    "110": "%m-%d-%Y",
}
"""T-SQL's styles of CONVERT for a date and a time, as far as seconds. Microsoft's reference of CAST and CONVERT."""

LONGEST_DATE = 19
"""Letters of a date and a time without fractions of a second, which differ between DATETIME and DATETIME2."""

LOOSE = frozenset({"mysql", "sqlite", "oracle"})
"""Dialects that compare a text with a number, by rules of their own."""

PLACES = 4
"""Decimals to which every dialect's quotient is exact: MySQL's has no more for two whole numbers."""

ASCII = 128
"""Letters below it have one code everywhere."""

UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "DAY"})
"""Units of time whose borders are the same everywhere; a week begins on another day elsewhere."""

COMPARISONS = frozenset({"EQ", "NEQ", "GT", "GTE", "LT", "LTE", "Between", "In", "NullSafeEQ", "NullSafeNEQ"})


def construct_name(node: Any) -> str:
    """What people call a part of a statement."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return f"{node.this}()"
    if isinstance(node, exp.Func):
        return f"{node.sql_name()}()"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def is_text(node: Any) -> bool:
    """Whether it is a text in quotes."""
    return type(node).__name__ == "National" or bool(type(node).__name__ == "Literal" and node.is_string)


def summands(node: Any) -> Iterator[Any]:
    """The parts that a chain of + has, without brackets around the chain."""
    inner = node.unnest()
    if type(inner).__name__ == "Add":
        yield from summands(inner.this)
        yield from summands(inner.expression)
    else:
        yield node


def is_textual(node: Any) -> bool:
    """Whether it is a text whatever its columns are."""
    name = type(node).__name__
    if is_text(node):
        return True
    if name in {"Cast", "Convert"}:
        return (node.to if name == "Cast" else node.this).this.name in TEXTS | PADDED
    if name == "Paren":
        return is_textual(node.this)
    if name == "Add":
        return any(map(is_textual, summands(node)))
    if name == "Coalesce":
        return is_textual(node.this) or any(map(is_textual, node.expressions))
    return name in {
        *("Concat", "ConcatWs", "DPipe", "GroupConcat", "Left", "Lower", "Pad", "Replace", "Right", "SplitPart"),
        *("Repeat", "Space", "Stuff", "Substring", "SubstringIndex", "ToChar", "Trim", "Upper"),
    }


def numeric(node: Any) -> bool:
    """Whether it is a number whatever its columns are."""
    inner = node.unnest()
    name = type(inner).__name__
    if name == "Cast":
        return inner.to.this.name in INTEGERS | MONEY.keys() | {"DECIMAL", "DOUBLE", "FLOAT"}
    if name == "Literal":
        return not inner.is_string
    return name in {"Abs", "Add", "Avg", "Ceil", "Count", "Div", "Floor", "IntDiv", "Length", "Mod", "Mul", "Neg"} | {
        *("Round", "RowNumber", "Sign", "StrPosition", "Sub", "Sum"),
    }


def fractional(node: Any, dialect: str) -> bool:
    """Whether it is known to be no integer."""
    name = type(node).__name__
    if name == "Literal":
        return not node.is_string and "." in node.name
    if name == "Cast":
        # To SQLite a decimal is any number: what is whole stays an integer.
        kinds = {"DOUBLE", "FLOAT"} if dialect == "sqlite" else {"DECIMAL", "DOUBLE", "FLOAT", *MONEY}
        return node.to.this.name in kinds and places(node.to) != 0
    if name in {"Paren", "Neg", "Sum", "Max", "Min", "Nullif", "Abs", "Coalesce"}:
        return fractional(node.this, dialect)
    if name == "Round":
        return dialect == "sqlite"
    return name in {"Mul", "Sub", "Add"} and (fractional(node.this, dialect) or fractional(node.expression, dialect))


def places(to: Any) -> int | None:
    """The decimals that a decimal type gives; None where it does not say."""
    if not to.expressions:
        return None
    return int(to.expressions[1].name) if len(to.expressions) > 1 else 0


def operands(node: Any) -> list[Any]:
    """What is compared with each other in a comparison, a NULLIF, or a CASE that has a value."""
    name = type(node).__name__
    if name == "Between":
        return [node.this, node.args["low"], node.args["high"]]
    if name == "In":
        return [node.this, *node.expressions]
    if name == "Case":
        return [node.this, *(part.this for part in node.args["ifs"])] if node.this is not None else []
    return [node.this, node.expression]


def takes_all(node: Any) -> bool:
    """Whether it is TOP 100 PERCENT, without which SQL Server takes no ORDER BY in a view."""
    options = node.args.get("limit_options")
    ties = options is None or options.args.get("with_ties")
    return bool(options and options.args.get("percent") and not ties and node.expression.name == "100")


def is_whole(node: Any) -> bool:
    """Whether it is a number such as 0.00, which is the same as a whole one."""
    return type(node).__name__ == "Literal" and not node.is_string and not node.name.partition(".")[2].strip("0")


def is_current_time(node: Any) -> bool:
    """Return whether the current date or time is part of an expression."""
    return any(type(part).__name__ in {"CurrentTimestamp", "CurrentDate"} for part in node.walk())
