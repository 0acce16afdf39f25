"""What changed between two versions of an order document, by field. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BOOKKEEPING = frozenset({"modified", "history", "sources", "fulfillments", "params"})
"""Fields that change without the order changing: Stock2Shop keeps its own and our answers there."""


def list_corrections(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each field that differs as its path, such as ``line_items[0].qty``, with its values before and after.

    A blank value and a missing one are the same; so are ``5`` and ``5.00``.
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
    elif _plain(before) != _plain(after):
        yield path, before, after


def _plain(value: Any) -> Any:
    """Return a value in a form in which equal ones are equal."""
    if value is None or value in ("", [], {}):
        return None
    return value.normalize() if isinstance(value, Decimal) else value
