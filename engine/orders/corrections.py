"""What changed between two versions of an order document, by field. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.orders.document import TOTALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BOOKKEEPING = frozenset({"modified", "history", "sources", "fulfillments", "params"})
"""Fields that change without the order changing: Stock2Shop keeps its own and our answers there."""

NUMBERS = frozenset({*TOTALS, "grams", "qty", "price", "rate", "tax_per_unit"})
"""Fields that are numbers, which a document may write as text; other texts of digits are codes."""

_NUMBER = re.compile(r"\s*-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?\s*")
"""A text that may be a number; one that begins with zeros is a code."""


def list_corrections(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each field that differs as its path, such as ``line_items[0].qty``, with its values before and after.

    A blank value and a missing one are the same; so are ``5`` and ``5.00``, also where one of them is a text.
    """
    return [
        (path, old, new)
        for name in {**before, **after}
        if name not in BOOKKEEPING
        for path, old, new in _differences(name, before.get(name), after.get(name))
    ]


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _differences(f"{path}.{name}", before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            pair = (values[index] if index < len(values) else None for values in (before, after))
            yield from _differences(f"{path}[{index}]", *pair)
    elif not _same(before, after, number=path.rpartition(".")[2] in NUMBERS):
        yield path, before, after


def _same(before: Any, after: Any, *, number: bool) -> bool:
    """Return whether two values are the same; ``number`` says that they are numbers, even where both are texts."""
    if number or isinstance(before, Decimal) is not isinstance(after, Decimal):
        before, after = _as_number(before), _as_number(after)
    return bool(_plain(before) == _plain(after))


def _as_number(value: Any) -> Any:
    """Return the number that a text is; other values, and other texts, as they are."""
    return Decimal(value.strip()) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _plain(value: Any) -> Any:
    """Return a value in a form in which equal ones are equal."""
    if value is None or value in ("", [], {}):
        return None
    return str(value) if isinstance(value, Decimal) and value.is_nan() else value
