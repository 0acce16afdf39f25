"""The sandbox's own calls, which Stock2Shop does not have: look at what is held, place orders, ask for faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.sandbox.checks import MATCHING_TYPES, RefusalError, is_whole_number, stored_item

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from engine.sandbox.account import Account
    from engine.sandbox.checks import Json


class Control:
    """The calls under ``/_sandbox``, over one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._source_id = account.settings.source_id

    def calls(self) -> list[tuple[str, str, Callable[[Request, Any], Json]]]:
        """Every call: its method, its path, and what answers it."""
        return [
            ("GET", "/_sandbox", self._show_all),
            ("GET", "/_sandbox/products", self._show_products),
            ("GET", "/_sandbox/customers", self._show_customers),
            ("GET", "/_sandbox/orders", self._show_orders),
            ("GET", "/_sandbox/requests", self._show_requests),
            ("GET", "/_sandbox/faults", self._show_faults),
            ("POST", "/_sandbox/faults", self._set_faults),
            ("POST", "/_sandbox/orders", self._place_order),
            ("POST", "/_sandbox/sources", self._link_source),
            ("POST", "/_sandbox/sources/{source_id:int}/sync_token", self._set_sync_token),
            ("POST", "/_sandbox/reset", self._reset),
        ]

    def _show_all(self, _request: Request, _body: Json) -> Json:
        return {
            "source": self._account.store.sources[self._source_id],
            "held": self._account.store.counts(),
            "requests": len(self._account.requests),
            "faults": self._pending_faults(),
            "calls": {
                "GET /_sandbox/products": "what is held, by variant; ?code= shows one",
                "GET /_sandbox/customers": "the same of customers",
                "GET /_sandbox/orders": "every order, and what was answered for it",
                "GET /_sandbox/requests": "what was requested so far",
                "GET /_sandbox/faults": "every fault there is; POST asks for some",
                "POST /_sandbox/orders": "a sale: the body is a system_order",
                "POST /_sandbox/sources": 'a source that is linked to this one: {"id": 58}',
                f"POST /_sandbox/sources/{self._source_id}/sync_token": (
                    'the source wants everything again: {"sync_token": "1"}'
                ),
                "POST /_sandbox/reset": "forget everything",
            },
        }

    def _show_products(self, request: Request, _body: Json) -> Json:
        return stored_item(self._account.products(self._source_id), request)

    def _show_customers(self, request: Request, _body: Json) -> Json:
        return stored_item(self._account.customers(self._source_id), request)

    def _show_orders(self, _request: Request, _body: Json) -> Json:
        return {str(number): order for number, order in self._account.orders().items()}

    def _show_requests(self, _request: Request, _body: Json) -> Json:
        requests = [
            {"method": r.method, "path": r.path, "status": r.status, "items": r.items, "at": r.received_at.isoformat()}
            for r in self._account.requests
        ]
        return {"requests": requests}

    def _pending_faults(self) -> Json:
        faults = self._account.faults
        values = ((name, getattr(faults, name)) for name in faults.__dataclass_fields__)
        return {name: sorted(value) if isinstance(value, set) else value for name, value in values}

    def _show_faults(self, _request: Request, _body: Json) -> Json:
        return self._pending_faults()

    def _set_faults(self, _request: Request, requested: Json) -> Json:
        known = self._pending_faults() | {"expire_tokens": False}
        for name, value in requested.items():
            if name not in known:
                raise RefusalError(400, f"There is no fault {name}. Known faults: {', '.join(sorted(known))}.")
            current = known[name]
            if not MATCHING_TYPES[type(current)](value):
                raise RefusalError(400, f"{name} needs a value like {json.dumps(current)}.")
        if not 400 <= requested.get("error_status", 500) <= 599:  # noqa: PLR2004 - what HTTP calls errors
            raise RefusalError(400, "error_status needs a number from 400 to 599.")
        if requested.get("expire_tokens"):
            self._account.expire_tokens()
        for name, value in requested.items():
            if name != "expire_tokens":
                setattr(self._account.faults, name, set(value) if isinstance(known[name], list) else value)
        return self._pending_faults()

    def _reset(self, _request: Request, _body: Json) -> Json:
        self._account.reset()
        self._account.store.save()
        return {}

    def _place_order(self, _request: Request, order: Json) -> Json:
        if not is_whole_number(order.get("id")):
            raise RefusalError(400, "An order is an object with a number as its id.")
        self._account.place_order(order)
        return {"id": order["id"]}

    def _link_source(self, _request: Request, body: Json) -> Json:
        number = body.get("id")
        if not isinstance(number, int) or not is_whole_number(number):
            raise RefusalError(400, "A linked source needs a number as its id.")
        if number in self._account.store.sources:
            raise RefusalError(400, f"There is a source {number} already.")
        self._account.store.link_source(number)
        return self._account.store.sources[number]

    def _set_sync_token(self, request: Request, body: Json) -> Json:
        number, token = request.path_params["source_id"], body.get("sync_token")
        if number not in self._account.store.sources:
            raise RefusalError(404, f"There is no source {number}.")
        if not isinstance(token, str) or not token:
            raise RefusalError(400, "sync_token needs a text.")
        self._account.set_sync_token(number, token)
        return {"sync_token": token}
