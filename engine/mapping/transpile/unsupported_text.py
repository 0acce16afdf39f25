"""Operations on text that are not known to give the same text in DuckDB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    COMPARISONS,
    FIRST_NON_ASCII_CODE,
    KNOWN_DIALECTS,
    LOOSELY_TYPED_DIALECTS,
    construct_name,
    is_count,
    is_text_literal,
    literal_integer,
    operands,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.mapping.transpile.facts import Unsupported

BACKSLASH_PATTERN_DIALECTS = frozenset({"mysql", "postgres"})
"""Dialects in which a backslash in the pattern of LIKE escapes what follows it."""

NUMERIC_TEXT = re.compile(r"\s*[-+]?(\d+[.eE]|[.]\d)[-+\d.eE]*\s*|\s+[-+]?\d+\s*|[-+]?\d+\s+")
"""A text that is a number, but not a plain whole one."""

PORTABLE_PATTERN = re.compile(r"\^?[\w ,/(){}?*+|-]*\$?", re.ASCII)
"""What all regular expression engines agree in, besides sets of characters."""


CALCULATING_PARTS = frozenset(
    {"Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "Pow", "Sqrt", "Abs", "Sign", "Round", "Trunc", "Floor", "Ceil"}
    | {"Sum", "Avg", "Lag", "Lead", "BitwiseAnd", "BitwiseOr", "BitwiseXor"}
)
"""Parts that take a text for a number, and in DuckDB for one of the type beside it: ``qty * '1.15'`` is ``qty * 1``."""


def _literal(node: Any, dialect: str) -> Unsupported:
    """Refuse a number in quotes where the database may compare it, or calculate with it, by rules of its own."""
    if not node.is_string:
        return None
    at = node
    while type(at.parent).__name__ in {"Paren", "National"}:
        at = at.parent
    parent = type(at.parent).__name__
    if parent in CALCULATING_PARTS and NUMERIC_TEXT.fullmatch(node.name):
        return "a calculation with a number in quotes", "the number without quotes; in [vars], too: vat = 1.15."
    if dialect not in LOOSELY_TYPED_DIALECTS:
        return None
    if parent == "If" and at.arg_key == "this":
        at, parent = at.parent, "Case"
    if parent not in COMPARISONS | {"Nullif", "Case", "Coalesce", "If", "Greatest", "Least", "DecodeCase"}:
        return None
    whole = re.fullmatch(r"[-+]?\d+", node.name)
    if NUMERIC_TEXT.fullmatch(node.name) or (whole and dialect == "sqlite" and not _compares_column(at.parent)):
        return "a number in quotes", "the number without quotes, or another text."
    return None


def _compares_column(node: Any) -> bool:
    """Return whether a column is compared: SQLite reads a text by the type of the column."""
    kinds = {"Column", "Literal"}
    return type(node).__name__ in COMPARISONS and {type(part).__name__ for part in operands(node)} <= kinds


def _like(node: Any, dialect: str) -> Unsupported:
    pattern = node.expression
    if not is_text_literal(pattern):
        odd = dialect not in {"oracle", "sqlite"}
        return ("LIKE with a pattern that is no text", "sql.concat([…]) compared in another way.") if odd else None
    if dialect not in KNOWN_DIALECTS - {"tsql"} and re.search(r"[\[\]#?*]", pattern.name):
        return "LIKE with a class of letters", "several conditions."
    if dialect in BACKSLASH_PATTERN_DIALECTS and "\\" in pattern.name:
        return "LIKE with a backslash", "ESCAPE '!' and an exclamation mark."
    return None


def _escape(node: Any, _: str) -> Unsupported:
    fine = is_text_literal(node.expression) and re.fullmatch(r"[^\w%]", node.expression.name)
    return None if fine else ("ESCAPE with a letter", "ESCAPE '!' and an exclamation mark.")


def _regexp(node: Any, dialect: str) -> Unsupported:
    pattern = node.expression
    instead = ("a regular expression", "sql.try_number(…), LIKE, or a macro of your own.")
    if dialect not in {"postgres", "mysql"} or not is_text_literal(pattern) or node.args.get("flag"):
        return instead
    outside = re.sub(r"\[\^?[-\w. ]+\]", "", pattern.name, flags=re.ASCII)
    cased = dialect == "mysql" and re.search(r"[A-Za-z]", pattern.name)
    return instead if cased or not PORTABLE_PATTERN.fullmatch(outside) or "(?" in outside else None


def _trim(node: Any, dialect: str) -> Unsupported:
    letters = node.args.get("expression")
    if letters is None:
        return None
    single = dialect in {"mysql", "oracle"}
    fine = (
        dialect in KNOWN_DIALECTS
        and is_text_literal(letters)
        and letters.name
        and (len(letters.name) == 1 or not single)
    )
    return None if fine else ("TRIM of more than one letter", "REPLACE.")


def _substring(node: Any, dialect: str) -> Unsupported:
    start = node.args.get("start")
    if dialect not in KNOWN_DIALECTS or start is None or is_text_literal(start):
        return "SUBSTRING", "sql.first_word(…), or a macro of your own."
    whole = type(start).__name__ == "Literal" and start.name.isdigit()
    if type(start).__name__ == "Neg" or (type(start).__name__ == "Literal" and not (whole and int(start.name))):
        return "SUBSTRING that does not begin at 1 or later", "RIGHT, or a positive place."
    return None


def _position(node: Any, dialect: str) -> Unsupported:
    if dialect not in KNOWN_DIALECTS:
        return "LOCATE, or another search for a text", "sql.first_word(…), or a macro of your own."
    if node.args.get("position") or node.args.get("occurrence"):
        return "a search from a place", "the search from the beginning."
    substring = node.args["substr"]
    if is_text_literal(substring) and not substring.name:
        return "a search for nothing", "another text."
    return None


def _replace(node: Any, _: str) -> Unsupported:
    if node.args.get("replacement") is None:
        return "REPLACE without a third value", "'' as the third."
    return None


def _pad(node: Any, dialect: str) -> Unsupported:
    fine = dialect in {"mysql", "postgres"} and is_text_literal(node.args.get("fill_pattern"))
    fine = fine and node.args["fill_pattern"].name and is_count(node.expression)
    return None if fine else ("LPAD or RPAD", "sql.concat([…]), or a macro of your own.")


def _split_part(node: Any, dialect: str) -> Unsupported:
    index, letters = node.args.get("part_index"), node.args.get("delimiter")
    fine = dialect == "postgres" and is_text_literal(letters) and letters.name and is_count(index, minimum=1)
    return None if fine else ("SPLIT_PART", "sql.first_word(…), or a macro of your own.")


def _substring_index(node: Any, _: str) -> Unsupported:
    letters, count = node.args.get("delimiter"), node.args.get("count")
    fine = is_text_literal(letters) and len(letters.name) == 1 and literal_integer(count) in {1, -1}
    return None if fine else ("SUBSTRING_INDEX", "sql.first_word(…), or a macro of your own.")


def _group_concat(node: Any, dialect: str) -> Unsupported:
    """Refuse an aggregate of texts without an order."""
    from sqlglot import exp

    order = node.this if isinstance(node.this, exp.Order) else None
    if order is not None and isinstance(order.this, exp.Distinct):
        (text,) = order.this.expressions[:1]
        if len(order.expressions) > 1 or order.expressions[0].this != text:
            return (
                "texts of several rows without duplicates, in an order of something else",
                "ORDER BY the text itself.",
            )
    if order is not None or isinstance(node.parent, exp.WithinGroup):
        return None
    select = node.find_ancestor(exp.Select)
    source = select.args["from_"].this if select is not None and select.args.get("from_") else None
    inner = source.this if isinstance(source, exp.Subquery) else None
    plain = select is not None and not select.args.get("joins") and not select.args.get("group")
    if dialect == "sqlite" and inner is not None and inner.args.get("order") and plain:
        return None
    return "texts of several rows without an order", "sql.list_of(…), which has one."


def _repeat(node: Any, dialect: str) -> Unsupported:
    """Refuse a calculated number of repetitions: databases differ in a negative one."""
    times = node.args.get("times") or node.this
    fine = dialect in {"tsql", "mysql", "postgres"} and type(times).__name__ == "Literal" and times.name.isdigit()
    return (
        None
        if fine
        else (f"{construct_name(node)} with a calculated number", "LPAD by RIGHT('0000' + …, 4), or a macro.")
    )


def _stuff(node: Any, _: str) -> Unsupported:
    """Refuse STUFF with calculated positions; for FOR XML see ``rewrite_text.rewrite_xml_lists``."""
    numbers = (node.args["start"], node.args["length"])
    whole = all(type(number).__name__ == "Literal" and number.name.isdigit() for number in numbers)
    plain = whole and int(numbers[0].name) and type(node.this).__name__ not in {"Subquery", "Dot"}
    return None if plain else ("STUFF of rows, or at a calculated place", "sql.list_of(…), or LEFT and SUBSTRING.")


def _chr(node: Any, dialect: str) -> Unsupported:
    codes = node.expressions
    fine = (
        dialect in KNOWN_DIALECTS - {"mysql"}
        and len(codes) == 1
        and (literal_integer(codes[0]) or 0) in range(1, FIRST_NON_ASCII_CODE)
    )
    return None if fine else ("CHAR() of more than one letter of ASCII", "the letters in quotes.")


def _to_char(node: Any, _: str) -> Unsupported:
    return ("TO_CHAR with a format", "sql.number_text(…).") if node.args.get("format") else None


TEXT_CHECKS: dict[str, Callable[[Any, str], Unsupported]] = {
    "Literal": _literal,
    "Like": _like,
    "ILike": _like,
    "Escape": _escape,
    "RegexpLike": _regexp,
    "Trim": _trim,
    "Substring": _substring,
    "StrPosition": _position,
    "Replace": _replace,
    "Pad": _pad,
    "SplitPart": _split_part,
    "SubstringIndex": _substring_index,
    "GroupConcat": _group_concat,
    "Repeat": _repeat,
    "Space": _repeat,
    "Stuff": _stuff,
    "Chr": _chr,
    "ToChar": _to_char,
}
"""The check of each kind of part, as :func:`engine.mapping.transpile.unsupported.find_unsupported` runs it."""
