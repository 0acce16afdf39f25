"""Rank the tables of a database by how likely each is that of the products, or of the customers, and say why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.scaffold.catalogue import letters_and_digits
from engine.scaffold.vocabulary import (
    COLUMN_PATTERNS,
    KIND_COLUMNS,
    LANGUAGE_COLUMNS,
    MAIN_SUFFIXES,
    PART_WORDS,
    SOLD_QUANTITIES,
    TABLE_PATTERNS,
    TRANSACTION_PARTS,
    TRANSACTION_WORDS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.scaffold.catalogue import Catalogue, Table
    from engine.scaffold.vocabulary import WeightedPatterns

MAX_REFERRING = 6
"""How many tables that refer to a table count for it."""

EMPTY_FACTOR = 0.15
"""What is left of the score of a table without a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A table that may be an entity's, its score, and the reasons for and against it."""

    table: Table
    score: float
    reasons: tuple[str, ...]


@lru_cache(maxsize=65536)
def weigh(words: WeightedPatterns, column: str) -> int:
    """How clearly a column's name matches, from 0 (not at all) to 5."""
    letters = letters_and_digits(column)
    return max((weight for pattern, weight in words if re.search(pattern, letters)), default=0)


def best_match(words: WeightedPatterns, columns: Iterable[str]) -> tuple[int, str]:
    """The highest weight of any column and that column, the first of equals; 0 and blank where none matches."""
    return max(((weigh(words, each), each) for each in columns), key=lambda each: each[0], default=(0, ""))


def records_transactions(table: Table) -> bool:
    """Whether a table's name says that it records orders, quotes, carts, history and the like."""
    if any(TRANSACTION_WORDS.fullmatch(word) for word in table.words):
        return True
    return bool(TRANSACTION_PARTS.search(table.letters)) and len(table.words) == 1


def sells(table: Table) -> bool:
    """Whether a table is one of order lines: it records transactions, and how many were ordered."""
    return records_transactions(table) and any(
        SOLD_QUANTITIES.search(letters_and_digits(each)) for each in table.columns
    )


def rank(entity: str, catalogue: Catalogue, kinds: Mapping[str, str]) -> list[Ranked]:
    """The tables that may be an entity's, the likeliest first.

    ``kinds`` are tables that hold rows of many kinds, with the kind that is a product.
    """
    found = [_ranked(entity, catalogue, table, kinds) for table in catalogue.tables]
    return sorted((each for each in found if each is not None), key=lambda each: -each.score)


def with_rows(ranked: Iterable[Ranked], rows: Mapping[str, int | None]) -> list[Ranked]:
    """The tables ranked again by their numbers of rows: one without any is hardly it. None is unknown."""
    counted = []
    for each in ranked:
        count = rows.get(each.table.name)
        empty = count == 0
        reason = "its number of rows is unknown" if count is None else f"{count:,} {'row' if count == 1 else 'rows'}"
        counted.append(
            Ranked(
                table=each.table,
                score=each.score * (EMPTY_FACTOR if empty else 1),
                reasons=("it is empty" if empty else reason, *each.reasons),
            )
        )
    return sorted(counted, key=lambda each: -each.score)


def _ranked(entity: str, catalogue: Catalogue, table: Table, kinds: Mapping[str, str]) -> Ranked | None:
    weights = {field: best_match(words, table.columns)[0] for field, words in COLUMN_PATTERNS[entity].items()}
    likely, never = TABLE_PATTERNS[entity]
    if re.search(never, table.letters):
        return None
    named = _named(table, likely)
    if entity == "products":
        weights["title"] = max(weights["title"], _title_elsewhere(catalogue, table))
        possible = (weights["code"] or table.single_key) and weights["title"]
        email = best_match(COLUMN_PATTERNS["customers"]["email"], table.columns)[0]
        possible = possible and not email
        if not (named or table.name in kinds or weights["code"] > 1 or _order_lines(catalogue, table)):
            return None
    else:
        known = named or weights["first_name"] or weights["code"] > 1
        possible = (weights["code"] or table.single_key) and known
        possible = possible and (weights["email"] or (weights["first_name"] and named))
        weights.pop("address1.phone")
    if not possible:
        return None
    reasons = []
    score: float = sum(weights.values()) + named
    if named:
        reasons.append(f"its name says {entity}" if named == _EXACT else f"its name speaks of {entity}")
    if table.name in kinds:
        score += _EXACT
        reasons.append(f"some of its rows are of the kind {kinds[table.name]!r}")
    referring = catalogue.referring(table)
    if referring:
        score += min(len(referring), MAX_REFERRING)
        reasons.append(f"{len(referring)} {'table refers' if len(referring) == 1 else 'tables refer'} to it")
    lines = _order_lines(catalogue, table)
    if entity == "products" and lines:
        score += 5
        reasons.append(f"{lines[0].name} counts it in orders or carts")
    columns = [field for field in ("code", "title", "csv_price_tiers", "variants.qty", "email") if weights.get(field)]
    reasons.append(f"it has columns for {', '.join(_SHORT.get(each, each) for each in columns)}")
    factor = 1.0
    if len(table.key) > 1:
        factor *= 0.4
        reasons.append("its key is of several columns")
    if records_transactions(table):
        factor *= 0.2
        reasons.append("its name is that of a log, of orders, carts or the like")
    elif any(PART_WORDS.fullmatch(word) for word in table.words) and named != _EXACT:
        factor *= 0.5
        reasons.append("its name is that of a part of an item")
    if table.view:
        factor *= 0.4
        reasons.append("it is a view, which may filter")
    return Ranked(table=table, score=score * factor, reasons=tuple(reasons))


_EXACT = 8
_SHORT = {"csv_price_tiers": "price", "variants.qty": "quantity"}


def _named(table: Table, likely: str) -> int:
    """How clearly a table's name says what it holds: 8 where it says nothing else, 6 for a part of it."""
    whole = rf"(ic|in|im|ar|ap|o|st|stk|stock|inv|catalog|tbl|tab|m|mst|master|all)?{likely}(es|s|n|en)?{MAIN_SUFFIXES}"
    if re.fullmatch(whole, table.letters):
        return _EXACT
    return 6 if re.search(likely, table.letters) else 0


def _title_elsewhere(catalogue: Catalogue, table: Table) -> int:
    """The weight of a title in a table of languages or attributes, or in one that ``table`` refers to."""
    words = COLUMN_PATTERNS["products"]["title"]
    found = 0
    for child, _, _ in catalogue.referring(table).values():
        letters = {letters_and_digits(each) for each in child.columns}
        if any(LANGUAGE_COLUMNS.search(each) for each in letters):
            found = max(found, best_match(words, child.columns)[0] - 1)
        elif {"attributeid", "value"} <= letters:
            found = max(found, 2)
    if weigh_code(table) > 1:
        for parent, _, _ in catalogue.parents(table):
            if re.search(TABLE_PATTERNS["products"][0], parent.letters):
                found = max(found, best_match(words, parent.columns)[0] - 1)
    return found


def weigh_code(table: Table) -> int:
    """How clearly a table has a column with the code of an item."""
    return best_match(COLUMN_PATTERNS["products"]["code"], table.columns)[0]


def _order_lines(catalogue: Catalogue, table: Table) -> list[Table]:
    """The tables of order lines that refer to a table."""
    return [child for child, _, _ in catalogue.referring(table).values() if sells(child)]


def kind_column(table: Table) -> str | None:
    """The column that says of each row what it is, in a table that holds many kinds of things."""
    return next((each for each in table.columns if KIND_COLUMNS.search(letters_and_digits(each))), None)
