"""The query for one page of what Stock2Shop holds of a source."""

from __future__ import annotations

import json

PAGE_PRODUCTS = 250
"""How many products a page holds: a few MB with long descriptions."""


def page_query(*, source_id: int, after: int) -> bytes:
    """The body of a request for the next page of a source, whose ids are above ``after``; by their ids (I)."""
    source = {"term": {"source_id": source_id}}
    return json.dumps(
        {
            "query": {"bool": {"filter": [source, {"range": {"id": {"gt": after}}}]}},
            "size": PAGE_PRODUCTS,
            "from": 0,
            "sort": {"id": {"order": "asc", "unmapped_type": "long"}},
        }
    ).encode()
