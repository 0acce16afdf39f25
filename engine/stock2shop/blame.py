"""Which rows of a batch an answer speaks of: by a code, by the state of an item, by another value, or by a position.

The shape of a refusal is not public (U), so the whole answer is looked through, whatever it calls its parts. What is
found is a guess of a kind: the search for the refused rows tries those first, and learns from that which kinds of
guesses to believe. Only numbers of rows come out, never a value of theirs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from engine.stock2shop.responses import contradiction, error_messages, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Named = Mapping[str, Sequence[int]]
    """The kinds of guesses, the surest first, each with the numbers of its rows."""

MAX_TEXT_CHARACTERS = 20_000
"""Characters of an answer that are looked through."""

MIN_VALUE_CHARACTERS = 3
"""A shorter value is found in nearly every text."""

MAX_ROWS_WITH_VALUE = 2
"""A value that more rows have names none of them."""

_CODES = ("_key", "variants.sku", "_group")

_ITEM_PARTS = frozenset({"source", "product", "customer", "variants"})
"""Names in an item as it is sent."""

_INTERNAL = frozenset({"position", "kind", "is_doubted"})

_POSITION_NAMES = frozenset({"index", "idx", "position", "row", "item", "line", "offset", "number"})

_POSITION = re.compile(
    r"(?i)(?:\b|_)(?:products?|customers?|items?|rows?|entry|entries|elements?|records?|lines?|index|position|number)"
    r"\W{0,3}(?:(?:no|number|index)\b\W{0,3})?(\d{1,6})\b"
)
"""``system_products.3.product.title``, ``/system_products/3``, ``items[3]``, ``row no. 3``, ``Item #3``."""


def find_named(rows: Sequence[Mapping[str, Any]], data: Any, text: str) -> dict[str, list[int]]:
    """The rows that an answer names, numbered from 0: ``data`` is its JSON value, None for none, ``text`` its text.

    >>> rows = [{"_key": "A1", "title": "Chair"}, {"_key": "B2", "title": "Table"}, {"_key": "C3", "title": "Lamp"}]
    >>> find_named(rows, {"error": "Unknown SKU b2."}, "")
    {'code': [1]}
    >>> find_named(rows, {"items": [{"ok": True}, {"ok": True}, {"error": "no"}]}, "")
    {'state': [2]}
    >>> find_named(rows, {"errors": {"system_products.2.title": ["is too long"]}}, "")
    {'position from 0': [2], 'position from 1': [1]}
    """
    whole = "\n".join(_texts(data)) if data is not None else text
    for words in filter(None, (error_messages(data), whole)):
        searched = " ".join(words[:MAX_TEXT_CHARACTERS].casefold().split())
        named = {
            "code": _with_code(rows, searched),
            "state": failed_entries(data, len(rows)) or _worded_entries(data, len(rows)),
            "value": _with_value(rows, searched),
            **_at_positions(data, words[:MAX_TEXT_CHARACTERS], len(rows)),
        }
        found = {kind: numbers for kind, numbers in named.items() if 0 < len(numbers) < len(rows)}
        if found:
            return found
    return {}


def failed_entries(data: Any, count: int) -> list[int]:
    """The numbers of those of ``count`` items that failed, where ``data`` holds a list with an object an item."""
    for entries in _lists(data):
        if len(entries) == count and all(isinstance(entry, dict) for entry in entries):
            failed = [number for number, entry in enumerate(entries) if _is_failure(entry)]
            if failed:
                return failed
    return []


def _worded_entries(data: Any, count: int) -> list[int]:
    """The numbers of the items with an entry that says something, where others in the list say nothing."""
    for entries in _lists(data):
        if len(entries) == count and all(entry is None or isinstance(entry, (str, dict, list)) for entry in entries):
            return [number for number, entry in enumerate(entries) if entry]
    return []


def _is_failure(entry: dict[str, Any]) -> bool:
    """Whether an entry says that its item failed; one that repeats the item itself may have a state of the item's."""
    if not _ITEM_PARTS.isdisjoint(entry):
        return bool(error_messages(entry))
    outright = any(entry.get(name) is False for name in ("success", "ok", "valid", "queued"))
    return outright or bool(error_messages(entry) or contradiction(entry))


def _lists(data: Any, depth: int = 4) -> Iterator[list[Any]]:
    if isinstance(data, list):
        yield data
    if depth and isinstance(data, (dict, list)):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _lists(value, depth - 1)


def _texts(data: Any, depth: int = 6) -> Iterator[str]:
    """Every name and value in ``data``, as text."""
    if isinstance(data, dict):
        for name, value in data.items() if depth else ():
            yield str(name)
            yield from _texts(value, depth - 1)
    elif isinstance(data, list):
        for value in data if depth else ():
            yield from _texts(value, depth - 1)
    elif data is not None and not isinstance(data, bool):
        yield str(data)


def _is_in(value: str, text: str) -> bool:
    """Whether ``value`` stands in ``text`` by itself, and not as a part of a longer code or word."""
    if value not in text:
        return False
    return re.search(rf"(?<!\w)(?<!\w[-./_]){re.escape(value)}(?!\w)(?![-./_]\w)", text) is not None


def _folded(value: object) -> str:
    return " ".join(str(value).casefold().split())


def _with_code(rows: Sequence[Mapping[str, Any]], text: str) -> list[int]:
    """The rows whose own code or SKU is named; where none is, those whose product is."""
    *own, product = _CODES
    found = [
        number
        for number, row in enumerate(rows)
        if any(row.get(column) and _is_in(_folded(row[column]), text) for column in own)
    ]
    return found or [
        number for number, row in enumerate(rows) if row.get(product) and _is_in(_folded(row[product]), text)
    ]


def _with_value(rows: Sequence[Mapping[str, Any]], text: str) -> list[int]:
    """The rows of which another value is named that hardly any other row has: a title, a barcode, an e-mail address."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    for number, row in enumerate(rows):
        for column, value in row.items():
            if column in _INTERNAL or column in _CODES or value is None or isinstance(value, bool):
                continue
            folded = _folded(value)
            if len(folded) >= MIN_VALUE_CHARACTERS and folded in text:
                places[folded].add(number)
    named = [
        numbers for value, numbers in places.items() if len(numbers) <= MAX_ROWS_WITH_VALUE and _is_in(value, text)
    ]
    return sorted(set().union(*named))


def _at_positions(data: Any, text: str, count: int) -> dict[str, list[int]]:
    """The rows at the positions that are named, counted from 0 and from 1: which it is shows when they are tried."""
    numbers = {int(number) for number in _POSITION.findall(text)} | set(_position_values(data))
    return {
        f"position from {first}": sorted(number - first for number in numbers if first <= number < count + first)
        for first in (0, 1)
    }


def _position_values(data: Any, depth: int = 6) -> Iterator[int]:
    """Numbers that stand as a name in an object, or under a name such as ``index``."""
    if isinstance(data, dict):
        for name, value in data.items() if depth else ():
            number = whole_number(value) if str(name).lower() in _POSITION_NAMES else whole_number(name)
            if number is not None:
                yield number
            yield from _position_values(value, depth - 1)
    elif isinstance(data, list):
        for value in data if depth else ():
            yield from _position_values(value, depth - 1)
