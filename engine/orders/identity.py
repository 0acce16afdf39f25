"""Tell orders apart: by Stock2Shop's id, or by the channel and its number where a document has no id. Pure.

Stock2Shop's SystemOrder has an id. Its ChannelOrder, the form in which a channel hands an order in, has none: there the
channel and the channel's number name the order, and an id is derived from them, the same one every time.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import OrderError

if TYPE_CHECKING:
    from collections.abc import Mapping

DERIVED_IDS = range(8 * 10**15, 9 * 10**15)
"""The ids that are derived: Stock2Shop's own are far below, and JSON readers keep all digits of both."""


def order_id_of(document: Mapping[str, Any]) -> int:
    """Return the id of an order: Stock2Shop's, or one of :data:`DERIVED_IDS` for a document of a channel.

    Raises :class:`OrderError` where there is neither an id nor what one can be derived from.
    """
    found = document.get("id")
    if isinstance(found, str) and re.fullmatch(r"[1-9][0-9]{0,17}(\.0+)?", found):
        return int(found.partition(".")[0])
    if isinstance(found, Decimal) and found == found.to_integral_value() and 0 < found < 10**18:
        return int(found)
    key = channel_key_of(document)
    if found is None and key is not None:
        digest = hashlib.sha256(key.encode()).digest()
        return DERIVED_IDS.start + int.from_bytes(digest[:8], "big") % len(DERIVED_IDS)
    raise OrderError(
        "The order has no id: a whole number above 0 is needed, or a channel_id with a channel_order_code.",
        hint="Orders are told apart by it.",
    )


def channel_key_of(document: Mapping[str, Any]) -> str | None:
    """Return the channel and its number of an order as one text, such as ``12/WEB-1042``; None where one is missing."""
    channel, code = document.get("channel_id"), document.get("channel_order_code")
    channel, code = (format(each, "f") if isinstance(each, Decimal) else each for each in (channel, code))
    if not (isinstance(channel, str) and re.fullmatch(r"[0-9]{1,18}", channel.strip())):
        return None
    code = code.strip() if isinstance(code, str) and code.isprintable() else ""
    return f"{int(channel)}/{code}" if code else None


def is_derived(order_id: int) -> bool:
    """Return whether an id was derived from the channel and its number."""
    return order_id in DERIVED_IDS
