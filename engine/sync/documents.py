"""Have DuckDB make the documents that queue the delta at Stock2Shop: one item a row, with the fields that are mapped.

In: rows in ``run.window_rows``. Out: the same rows by their keys, each with its item as JSON, and a request's body of
items. A product's shape, one variant an item as an object, is that of Stock2Shop's public developer pages for
``POST /products/queue``. A customer's is not public: it is put together from Stock2Shop's public data objects, and the
same in form as a product's. The inverse is :mod:`engine.stock2shop.read_back`.

What Stock2Shop has no word for is left out: a variant's blank boolean, and a blank default price unless there is a
price for it. A customer's blank boolean is sent as false, any other blank as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, get_args

from engine.mapping.engine_sql import render_sql
from engine.model.fields import Role
from engine.stock2shop.sent_values import ADDRESS_CONTENT, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.settings import PriceSettings
    from engine.state.store import State
    from engine.sync.layout import StagingLayout, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """How the items of an entity's rows are made: from which fields, for which source, under which sync token."""

    layout: StagingLayout
    source_id: int
    sync_token: str
    prices: PriceSettings

    def rows(self, state: State, window: Window) -> list[dict[str, Any]]:
        """The rows of ``run.window_rows`` in ``window``, in the order of sending.

        Each has ``position``, ``_key``, ``_group``, ``kind``, ``is_doubted``, and its ``item`` as JSON in UTF-8. A row
        of kind ``delete`` becomes an item whose active flag is ``"false"``.
        """
        # Not sorted by DuckDB, which would copy each document twice for that.
        return sorted(state.dicts(self.sql(), window.bounds), key=itemgetter("position"))

    def body(self, items: Iterable[bytes]) -> bytes:
        """The JSON body of a request that queues ``items``, in their order."""
        return b'{"system_%b":[%b]}' % (self.layout.entity.name.encode(), b",".join(items))

    def sql(self) -> str:
        """The SELECT of the rows of ``run.window_rows`` above ``$after`` and up to ``$upto``; see :meth:`rows`."""
        layout, prices = self.layout, self.prices
        roles = {role: [field for field in layout.fields if field.role == role] for role in get_args(Role)}
        tiers = [field.placeholder_value for field in roles["tier"]]
        numbers = sorted({field.position for field in roles["address"]})
        return render_sql(
            "documents.sql",
            group=layout.entity.group,
            source_id=self.source_id,
            sync_token=self.sync_token,
            roles=roles,
            addresses=[[field for field in roles["address"] if field.position == number] for number in numbers],
            address_content=ADDRESS_CONTENT,
            csv_prices=next((field.name for field in roles["prices"]), None),
            tier_names={tier: json.dumps(tier, ensure_ascii=False) for tier in tiers},
            default_tier=prices.default_tier,
            blank_price=None if prices.blank is None else plain(prices.blank),
            blank_tier=None if prices.blank_tier is None else plain(prices.blank_tier),
            has_title=layout.has("title"),
            has_sku=layout.has("variants.sku"),
            has_email=layout.has("email"),
        )
