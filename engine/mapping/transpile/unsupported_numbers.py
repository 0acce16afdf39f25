"""Calculations that are not known to give the same number in DuckDB: division, average, rounding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    EXACT_QUOTIENT_DECIMALS,
    INTEGER_TYPES,
    KNOWN_DIALECTS,
    MONEY_TYPES,
    decimal_places,
    is_count,
    is_fractional,
    literal_integer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.mapping.transpile.facts import Unsupported

FRACTIONAL_DIVISION_DIALECTS = frozenset({"mysql", "oracle"})
"""Dialects in which 1/2 is 0.5; it is 0 in most others, and nowhere else is it taken for known."""

LONG_QUOTIENT_DIALECTS = frozenset({"postgres", "oracle"})
"""Dialects whose quotients have 16 digits and more, so that a product of one may still be rounded."""


def _division(node: Any, dialect: str) -> Unsupported:
    if dialect not in KNOWN_DIALECTS:
        return "a division", "a macro for it."
    if dialect not in FRACTIONAL_DIVISION_DIALECTS and not (
        is_fractional(node.this, dialect) or is_fractional(node.expression, dialect)
    ):
        return "a division that may be one of integers", "one side as sql.cast_number(…)."
    if not (_only_moves_point(node) or _is_rounded(node, dialect)):
        return "a division whose digits each database rounds in its own way", "ROUND(…, 2) around it."
    return None


def _only_moves_point(node: Any) -> bool:
    """Return whether a division is by 10, 100, 1000 or 10000, as for a percentage, and its result is not truncated."""
    by = node.expression
    if type(by).__name__ != "Literal" or not re.fullmatch(rf"10{{1,{EXACT_QUOTIENT_DECIMALS}}}([.]0+)?", by.name):
        return False
    within = [type(part).__name__ for part in node.this.walk()]
    if "Div" in within or within.count("Mul") > 1:  # more digits than are kept
        return False
    while node.parent is not None:
        node = node.parent
        cast = type(node).__name__ == "Cast" and node.to.this.name in INTEGER_TYPES
        if cast or type(node).__name__ in {"Floor", "Ceil"}:
            return False
    return True


def _average(node: Any, dialect: str) -> Unsupported:
    if dialect not in KNOWN_DIALECTS - {"tsql"} and not is_fractional(node.this, dialect):
        return "an average that may be one of integers", "AVG(sql.cast_number(…))."
    if dialect not in KNOWN_DIALECTS or not _is_rounded(node, dialect):
        return "an average whose digits each database rounds in its own way", "ROUND(…, 2) around it."
    return None


def _is_rounded(node: Any, dialect: str) -> bool:
    """Return whether a quotient is rounded to few decimals before anything else can see its digits."""
    passing = {"Paren", "Add", "Sub", "Neg", "Coalesce", "Case", "If", "Nullif", "Sum", "Max", "Min"}
    if dialect in LONG_QUOTIENT_DIALECTS:
        passing |= {"Mul", "Div"}
    at, below = node.parent, node
    while at is not None and type(at).__name__ in passing:
        if (type(at).__name__ in {"If", "Case"} and below.arg_key == "this") or type(at).__name__ == "Nullif":
            return False
        at, below = at.parent, at
    name = type(at).__name__
    if name == "Cast" and at.to.this.name in {"DECIMAL", "MONEY"} and dialect != "sqlite":
        given = MONEY_TYPES.get(at.to.this.name)
        decimals = EXACT_QUOTIENT_DECIMALS if given else decimal_places(at.to)
        return decimals is not None and decimals <= EXACT_QUOTIENT_DECIMALS
    if name == "Round":
        asked = at.args.get("decimals")
        return below.arg_key == "this" and (
            asked is None or literal_integer(asked) in range(EXACT_QUOTIENT_DECIMALS + 1)
        )
    return False


def _round(node: Any, dialect: str) -> Unsupported:
    decimals = node.args.get("decimals")
    if node.args.get("truncate"):
        return "ROUND with a third value", "CASE, or FLOOR."
    if dialect in KNOWN_DIALECTS and (decimals is None or is_count(decimals)):
        return None
    return "ROUND to other than a number of decimals", "ROUND(…, 2)."


NUMBER_CHECKS: dict[str, Callable[[Any, str], Unsupported]] = {
    "Div": _division,
    "Avg": _average,
    "Round": _round,
}
"""The check of each kind of part, as :func:`engine.mapping.transpile.unsupported.find_unsupported` runs it."""
