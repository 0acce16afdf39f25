"""An order's document as it may be shown to whom has not asked for personal data: amounts, SKUs and dates alone."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.model.fields import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_PERSONAL_LENGTH = 3
"""A text of an order that is shorter is not looked for in messages: it is in many words."""

SHOWN = frozenset(
    {
        *("id", "channel_id", "source_id", "created", "modified", "state", "status", "instruction"),
        *("line_items", "shipping_lines", "sources", "tax_lines", "system_order"),
        *("sku", "qty", "price", "sub_total", "tax", "total", "discount", "rate", "tax_rate", "total_discount"),
        *("shipping_sub_total", "shipping_tax", "shipping_total", "line_item_sub_total", "line_item_tax"),
        *("source_variant_code", "source_product_code", "channel_order_code", "has_taxes_incl"),
    }
)
"""The keys whose values are shown; all others are masked, whatever they hold."""

MAX_TEXT = 60
"""A text that is longer is masked, whatever its key: it is no code and no date."""


def masked_document(value: Any) -> Any:
    """``value`` with everything masked that may be about a person.

    A key that is not known is masked like its value: it may hold anything, too.

    >>> masked_document({"total": 5, "notes": "for Ann", "customer": {"name": "Ann"}, "Ann": 1})
    {'total': 5, '***': '3 masked'}
    """
    if isinstance(value, dict):
        found = {str(key): masked_document(each) for key, each in value.items() if key in SHOWN}
        hidden = len(value) - len(found)
        return {**found, MASK: f"{hidden} masked"} if hidden else found
    if isinstance(value, list):
        return [masked_document(each) for each in value]
    if value is None or isinstance(value, (bool, int, float, Decimal)):
        return value
    return value if isinstance(value, str) and len(value) <= MAX_TEXT and "@" not in value else MASK


def masked_text(text: str, document: Any) -> str:
    """``text`` with what a document says of people masked: a database repeats it in the messages of its errors.

    >>> masked_text("Duplicate entry 'Ann Smith'", {"customer": {"name": "Ann Smith"}})
    "Duplicate entry '***'"
    """
    for value in sorted(set(_personal_texts(document, shown=True)), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def _personal_texts(value: Any, *, shown: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _personal_texts(each, shown=shown and key in SHOWN)
    elif isinstance(value, list):
        for each in value:
            yield from _personal_texts(each, shown=shown)
    elif isinstance(value, str) and len(value) >= MIN_PERSONAL_LENGTH and (not shown or masked_document(value) == MASK):
        yield value
