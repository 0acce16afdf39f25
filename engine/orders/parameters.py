"""Write the parameters of an order's statements, with their type where the database would guess it otherwise.

PostgreSQL takes the type of a parameter from what stands beside it: ``? / 2`` is a division of integers, whatever is
bound. SQLite has no decimals, and is given them as text, which it divides as integers where they look like some. So an
amount would change with its being whole or not. A parameter that is calculated with, or handed to a function, therefore
carries its type. One that is inserted, assigned or compared as it is takes the column's, which refuses what does not
fit.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.quoting import regions

if TYPE_CHECKING:
    from collections.abc import Sequence

PARAMETER = "\ue002"
"""What stands for a parameter until it is written: a private character of Unicode's, which SQL does not have."""

_TOKEN = re.compile(r"\s+|[A-Za-z_][\w$]*|\d+(?:\.\d+)?|<=|>=|<>|!=|\|\||::|.", re.DOTALL)

_OPERATORS = frozenset({"+", "-", "*", "/", "%", "||", "^"})

_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "like", "ilike", "between"})

_ANY_TYPE = frozenset(
    {"concat", "concat_ws", "format", "json_build_object", "jsonb_build_object", "to_json", "to_jsonb"}
)
"""Functions of PostgreSQL that take values of any type, and so refuse a text whose type it does not know."""

_OF_NUMBERS_AND_DATES = frozenset(
    {"coalesce", "ifnull", "iif", "nullif", "greatest", "least", "max", "min", "sum", "round", "abs", "ceil", "ceiling"}
    | {"floor", "trunc", "mod", "div", "power", "sqrt", "to_char", "date_trunc", "date_part", "age"}
)
"""Functions of the databases' own whose result depends on the type of what they are given.

A client's own functions are not among them: PostgreSQL finds those by the types that it is given.
"""


def write_parameters(sql: str, binds: Sequence[object], dialect: str) -> str:
    """Return ``sql`` with each :data:`PARAMETER` written as ``?``, or as a cast where ``dialect`` needs one."""
    if dialect not in {"postgres", "sqlite"} or PARAMETER not in sql:
        return sql.replace(PARAMETER, "?")
    texts, surroundings = _split(sql, dialect)
    written = [texts[0]]
    for value, around, text in zip(binds, surroundings, texts[1:], strict=True):
        cast = _type_of(value, dialect, *around)
        written += [f"cast(? as {cast})" if cast else "?", text]
    return "".join(written)


@lru_cache(maxsize=200)
def _split(sql: str, dialect: str) -> tuple[tuple[str, ...], tuple[tuple[frozenset[str], str], ...]]:
    """Return the texts before, between and after the parameters, and what each parameter's type depends on.

    The lines of an order have the same SQL, which is therefore looked at once.
    """
    tokens = _tokens(sql, dialect)
    places = [number for number, token in enumerate(tokens) if token == PARAMETER]
    starts, ends = [0, *(place + 1 for place in places)], [*places, len(tokens)]
    texts = tuple("".join(tokens[start:end]) for start, end in zip(starts, ends, strict=True))
    return texts, tuple(_surroundings(tokens, place, dialect) for place in places)


def _tokens(sql: str, dialect: str) -> list[str]:
    """Split SQL into words, numbers, operators and whitespace; quoted parts and comments are one token each."""
    tokens: list[str] = []
    position = 0
    for region in regions(sql, dialect):
        tokens += _TOKEN.findall(sql[position : region.start])
        tokens.append(sql[region.start : region.end])
        position = region.end
    return [*tokens, *_TOKEN.findall(sql[position:])]


def _surroundings(tokens: Sequence[str], number: int, dialect: str) -> tuple[frozenset[str], str]:
    """Return the operators beside a parameter that its type depends on, and the function that it is handed to."""
    left = [index for index in range(number - 1, -1, -1) if not _is_blank(tokens[index])]
    right = [index for index in range(number + 1, len(tokens)) if not _is_blank(tokens[index])]
    # Parentheses around the parameter alone change nothing.
    around = 0
    while around < min(len(left), len(right)) and (tokens[left[around]], tokens[right[around]]) == ("(", ")"):
        around += 1
    before = tokens[left[around]].lower() if around < len(left) else ""
    after = tokens[right[around]].lower() if around < len(right) else ""
    # What is compared with = may be assigned: it takes the column's type. In SQLite a text is greater than every
    # number, and joins as it is.
    if dialect == "sqlite":
        operators = (_OPERATORS | _COMPARISONS) - {"||"}
    else:
        operators = _OPERATORS | (_COMPARISONS - {"=", "like", "ilike"})
    beside = frozenset({before, after}) & operators | (frozenset({before}) & {"then", "else"})
    return beside, _function_around(tokens, number)


def _is_blank(token: str) -> bool:
    return token.isspace() or token.startswith(("--", "/*"))


def _function_around(tokens: Sequence[str], number: int) -> str:
    """Return the function of the database's own in whose parentheses a token stands directly; blank for none."""
    depth = 0
    for index in range(number - 1, -1, -1):
        if tokens[index] == ")":
            depth += 1
        elif tokens[index] == "(":
            if depth == 0:
                name = next((each.lower() for each in reversed(tokens[:index]) if not _is_blank(each)), "")
                return name if name in _ANY_TYPE | _OF_NUMBERS_AND_DATES else ""
            depth -= 1
    return ""


def _type_of(value: object, dialect: str, beside: frozenset[str], function: str) -> str:
    """Return the type that a parameter is to carry; blank where the database finds the right one."""
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    if not (beside or function):
        return ""
    if dialect == "sqlite":
        return "real" if isinstance(value, Decimal) else ""
    if number:
        return "numeric" if isinstance(value, Decimal) else "bigint"
    if isinstance(value, datetime):
        return "timestamp"
    if isinstance(value, date):
        return "date"
    if isinstance(value, str) and ("||" in beside or function in _ANY_TYPE):
        return "text"
    return ""
