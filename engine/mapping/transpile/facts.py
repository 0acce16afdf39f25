"""What is known of the dialects, and questions about a part of a parsed statement.

Parts of a statement are sqlglot's expressions, named here by their classes, such as ``GroupConcat``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Unsupported = tuple[str, str] | None
    """The name of what is refused and what to write instead; None where nothing is refused."""

FOR_XML = "FOR XML"

REFUSED_LIVE = ", which the database refuses"
"""How the name of a construct ends that the database itself would not run."""


def refuses_for_sure(message: str) -> bool:
    """Return whether a message says that the database would not run the view, whatever its version."""
    return message.removesuffix(".").endswith(REFUSED_LIVE)


def is_refused_live(name: str) -> bool:
    """Return whether the name of a construct says that the database, or an older one of its kind, would not run it."""
    return name.endswith(" refuses")


KNOWN_DIALECTS = frozenset({"tsql", "mysql", "postgres", "sqlite", "oracle"})
"""Dialects of which more is known than what all databases have in common."""

PORTABLE_NODES = frozenset(
    {"Alias", "And", "Between", "Boolean", "CTE", "Case", "Coalesce", "Collate", "Count", "DPipe", "DataType"}
    | {"DataTypeParam", "Distinct", "EQ", "Except", "Exists", "Filter", "From", "GT", "GTE", "Having", "Hint"}
    | {"Identifier", "If", "In", "IndexTableHint", "Intersect", "JSONPath", "JSONPathKey", "JSONPathRoot", "JoinHint"}
    | {"JSONPathSubscript", "LT", "LTE", "LimitOptions", "Max", "Min"}
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
        "Union",
    }
    | {"Values", "Var", "Where", "WindowSpec", "With", "WithTableHint", "WithinGroup"}
)
"""Parts that mean the same everywhere, are made to by a rewrite, or are refused by their keywords."""

KNOWN_DIALECT_NODES = frozenset(
    {"Abs", "Ceil", "ConcatWs", "DecodeCase", "DenseRank", "Floor", "Greatest", "Least", "Left", "Length"}
    | {"Lower", "Nvl2", "Rank", "Right", "RowNumber", "Sign", "Upper", "Concat", "TsOrDsToDate", "TimeStrToTime"}
)
"""Parts that mean the same, or are made to by a rewrite, in the known dialects."""

SELECT_PARTS = frozenset(
    {"with_", "expressions", "distinct", "from_", "joins", "laterals", "where", "group", "having", "order", "limit"}
    | {"offset", "hint", "options", "operation_modifiers"}
)
"""Clauses that a SELECT may have; hints and options do not change a result."""

INTEGER_TYPES = frozenset(
    {"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT"}
)

TEXT_TYPES = frozenset({"TEXT", "VARCHAR", "NVARCHAR"})

PADDED_TYPES = frozenset({"CHAR", "NCHAR"})

MONEY_TYPES = {"MONEY": "decimal(19, 4)", "SMALLMONEY": "decimal(10, 4)"}

DATE_TYPES = frozenset({"DATE", "DATETIME", "DATETIME2", "SMALLDATETIME", "TIMESTAMP", "TIMESTAMPNTZ"})

DATE_ONLY_DIALECTS = frozenset({"tsql", "mysql", "postgres"})
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

MAX_DATETIME_LENGTH = 19
"""Characters of a date and time without fractions of a second, which differ between DATETIME and DATETIME2."""

ALL_PERCENT = 100

LOOSELY_TYPED_DIALECTS = frozenset({"mysql", "sqlite", "oracle"})
"""Dialects that compare a text with a number by rules of their own."""

EXACT_QUOTIENT_DECIMALS = 4
"""Decimals to which every dialect's quotient is exact; MySQL's quotient of two whole numbers has no more."""

FIRST_NON_ASCII_CODE = 128
"""Characters below this code have the same code everywhere."""

CALENDAR_UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "DAY"})
"""Units of time that begin at the same moment everywhere; a week begins on different days."""

DATE_NODES = frozenset(
    {"CurrentDate", "CurrentTimestamp", "DateAdd", "DateSub", "Interval", "TsOrDsToDate", "TimeStrToTime"}
    | {"Boolean", "Null"}
)
"""Parts that are no text and no number, whatever their columns are."""

COMPARISONS = frozenset({"EQ", "NEQ", "GT", "GTE", "LT", "LTE", "Between", "In", "NullSafeEQ", "NullSafeNEQ"})


SQL_NAMES = {
    "EQ": "=",
    "NEQ": "<>",
    "GT": ">",
    "GTE": ">=",
    "LT": "<",
    "LTE": "<=",
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "Mod": "%",
    "DPipe": "||",
    "BitwiseAnd": "&",
    "BitwiseOr": "|",
    "BitwiseXor": "^",
    "BitwiseNot": "~",
    "BitwiseLeftShift": "<<",
    "BitwiseRightShift": ">>",
    "JSONValue": "JSON_VALUE()",
    "NullSafeEQ": "IS NOT DISTINCT FROM",
    "NullSafeNEQ": "IS DISTINCT FROM",
    "Neg": "-",
    "SimilarTo": "SIMILAR TO",
    "JSONExtract": "->",
    "JSONExtractScalar": "->>",
    "JSONBContainsTopKey": "the operator ? of JSON",
    "PropertyEQ": "a variable (:=)",
    "Bracket": "[…]",
    "Slice": "[…:…]",
    "AtTimeZone": "AT TIME ZONE",
    "RegexpLike": "a regular expression",
    "RegexpILike": "a regular expression without case (~*)",
    "ByteString": "a text with escapes (E'…')",
    "TsOrDsToTimestamp": "the format of what may be no date",
    "TsOrDsToDate": "the date of what may be none",
    "Window": "a window function",
    "Literal": "a literal",
    "All": "ALL (…)",
    "Introducer": "a character set before a text",
    "SessionParameter": "a variable of the session (@@…)",
    "HexString": "a text in hexadecimal (x'…')",
    "Select": "GROUP BY, DISTINCT or LIMIT",
    "In": "IN",
    "Between": "BETWEEN",
    "Like": "LIKE",
    "ILike": "ILIKE",
    "Case": "CASE",
    "Lambda": "->",
    "Dot": ".",
    "Cast": "CAST()",
    "TryCast": "TRY_CAST()",
    "Convert": "CONVERT()",
}
"""What SQL calls parts of a statement whose class in sqlglot has another name."""


_SIGNS = {"NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}


def construct_name(node: Any) -> str:
    """Return the SQL name of a part of a statement, for messages."""
    from sqlglot import exp

    if isinstance(node, exp.Any):
        return f"{_SIGNS.get(type(node.parent).__name__, '=')} ANY (…)"
    if type(node).__name__ in SQL_NAMES:
        return SQL_NAMES[type(node).__name__]

    if isinstance(node, exp.Anonymous):
        return f"{node.this}()"
    if isinstance(node, exp.Func):
        return f"{node.sql_name().replace('J_S_O_N', 'JSON')}()"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def is_text_literal(node: Any) -> bool:
    """Return whether it is a text literal."""
    return type(node).__name__ == "National" or bool(type(node).__name__ == "Literal" and node.is_string)


def summands(node: Any) -> Iterator[Any]:
    """Yield the operands of a chain of ``+``, without brackets around the chain."""
    inner = node.unnest()
    if type(inner).__name__ == "Add":
        yield from summands(inner.this)
        yield from summands(inner.expression)
    else:
        yield node


def is_textual(node: Any) -> bool:
    """Return whether it is a text, whatever the types of its columns are."""
    name = type(node).__name__
    if is_text_literal(node):
        return True
    if name in {"Cast", "Convert"}:
        return (node.to if name == "Cast" else node.this).this.name in TEXT_TYPES | PADDED_TYPES
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


def is_numeric(node: Any) -> bool:
    """Return whether it is a number, whatever the types of its columns are."""
    inner = node.unnest()
    name = type(inner).__name__
    if name == "Cast":
        return inner.to.this.name in INTEGER_TYPES | MONEY_TYPES.keys() | {"DECIMAL", "DOUBLE", "FLOAT"}
    if name == "Literal":
        return not inner.is_string
    if name == "Add":  # which joins texts in T-SQL
        return not is_textual(inner)
    return name in {"Abs", "Avg", "Ceil", "Count", "Div", "Floor", "IntDiv", "Length", "Mod", "Mul", "Neg"} | {
        *("Round", "RowNumber", "Sign", "StrPosition", "Sub", "Sum"),
    }


def is_fractional(node: Any, dialect: str) -> bool:
    """Return whether it is known not to be an integer."""
    name = type(node).__name__
    kind = str(node.meta.get("kind") or "")  # of a declared type; SQLite keeps 5.00 as a whole number
    if kind in {"double", "single", "numeric"} or (kind.startswith("decimal") and dialect != "sqlite"):
        return True
    if name == "Literal":
        return not node.is_string and "." in node.name
    if name == "Cast":
        # To SQLite a decimal is any number: what is whole stays an integer.
        kinds = {"DOUBLE", "FLOAT"} if dialect == "sqlite" else {"DECIMAL", "DOUBLE", "FLOAT", *MONEY_TYPES}
        return node.to.this.name in kinds and decimal_places(node.to) != 0
    if name in {"Paren", "Neg", "Sum", "Max", "Min", "Nullif", "Abs", "Coalesce"}:
        return is_fractional(node.this, dialect)
    if name == "Round":
        return dialect == "sqlite"
    return name in {"Mul", "Sub", "Add"} and (
        is_fractional(node.this, dialect) or is_fractional(node.expression, dialect)
    )


def decimal_places(to: Any) -> int | None:
    """Return the scale of a decimal type; None where the type has none."""
    if not to.expressions:
        return None
    return int(to.expressions[1].name) if len(to.expressions) > 1 else 0


def operands(node: Any) -> list[Any]:
    """Return what is compared with each other in a comparison, a NULLIF, or a CASE with a value."""
    name = type(node).__name__
    if name == "Between":
        return [node.this, node.args["low"], node.args["high"]]
    if name == "In":
        return [node.this, *node.expressions]
    if name == "Case":
        return [node.this, *(part.this for part in node.args["ifs"])] if node.this is not None else []
    return [node.this, node.expression]


def decides_rows(ordered: Any) -> bool:
    """Return whether a term of an ORDER BY may decide about the rows, or about what is in them."""
    select = ordered.parent.parent
    return type(select).__name__ not in {"Select", "Union", "Subquery"} or select.args.get("limit") is not None


def sorted_part(ordered: Any) -> Any:
    """Return what a term of an ORDER BY sorts by, where it is an output's alias or number, too."""
    select = ordered.parent.parent
    return output_of(select, ordered.this) if type(select).__name__ == "Select" else ordered.this


def is_top_100_percent(node: Any) -> bool:
    """Return whether it is TOP 100 PERCENT, without which SQL Server accepts no ORDER BY in a subquery."""
    options = node.args.get("limit_options")
    ties = options is None or options.args.get("with_ties")
    return bool(
        options and options.args.get("percent") and not ties and literal_integer(node.expression) == ALL_PERCENT
    )


def literal_integer(node: Any) -> int | None:
    """Return the value of a whole number that is written out, with its sign; None for anything else.

    A part's ``name`` is that of what is inside of it: for ``-1`` it is ``1``, so it tells nothing of a number.
    """
    sign = 1
    while type(node).__name__ in {"Neg", "Paren"}:
        sign = -sign if type(node).__name__ == "Neg" else sign
        node = node.this
    if type(node).__name__ != "Literal" or node.is_string or not re.fullmatch("[0-9]+", node.name):
        return None
    return sign * int(node.name)


def is_count(node: Any, *, minimum: int = 0) -> bool:
    """Return whether a part is a whole number that is written out, not less than ``minimum``."""
    number = literal_integer(node) if node is not None else None
    return number is not None and number >= minimum


def is_whole_literal(node: Any) -> bool:
    """Return whether it is a number such as 0.00, which is equal to a whole number."""
    return type(node).__name__ == "Literal" and not node.is_string and not node.name.partition(".")[2].strip("0")


def is_current_time(node: Any) -> bool:
    """Return whether the current date or time is part of an expression."""
    return any(type(part).__name__ in {"CurrentTimestamp", "CurrentDate"} for part in node.walk())


def output_of(select: Any, term: Any) -> Any:
    """Return the expression that a term of ORDER BY or GROUP BY stands for: it may be an output's alias or number."""
    number = literal_integer(term)
    if number is not None and 0 < number <= len(select.selects):
        return select.selects[number - 1].unalias()
    if type(term).__name__ == "Column" and not term.table:
        for part in select.selects:
            if part.alias and part.alias.lower() == term.name.lower():
                return part.unalias()
    return term


def is_condition(node: Any) -> bool:
    """Return whether a part stands where a condition is required."""
    at = node
    while type(at.parent).__name__ == "Paren":
        at = at.parent
    parent, key = type(at.parent).__name__, at.arg_key
    if parent == "If":
        case = at.parent.parent
        return key == "this" and not (type(case).__name__ == "Case" and case.this is not None)
    if parent == "Join":
        return bool(key == "on")
    if parent == "Is":
        return key == "this" and type(at.parent.expression).__name__ == "Boolean"
    return parent in {"Where", "Having", "And", "Or", "Not"}


def is_shown(node: Any) -> bool:
    """Return whether a part becomes a column as it is, and is not within a calculation."""
    at = node.parent
    while type(at).__name__ in {"Paren", "Alias"}:
        at = at.parent
    return at is None or type(at).__name__ == "Select"
