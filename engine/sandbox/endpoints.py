"""The calls of Stock2Shop's API as the sandbox answers them; ``docs/openapi.yaml`` describes each.

Each call takes the request and its parsed body, and gives the document to answer with or raises
:class:`engine.sandbox.checks.RefusalError`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from engine.sandbox.checks import (
    RefusalError,
    check_customer,
    check_product,
    product_document,
    refusal,
    request_items,
    search,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from engine.sandbox.checks import Json
    from engine.sandbox.faults import Faults
    from engine.sandbox.settings import SandboxSettings
    from engine.sandbox.store import Store


class Endpoints:
    """The documented calls over one store, and the tokens that they accept."""

    def __init__(self, settings: SandboxSettings, store: Store, faults: Faults) -> None:
        self.tokens: set[str] = set()
        self._settings = settings
        self._store = store
        self._faults = faults

    def calls(self) -> list[tuple[str, str, Callable[[Request, Any], Json], bool]]:
        """Every call: its method, its path, what answers it, and whether it needs a token."""
        return [
            ("POST", "/v1/users/authenticate", self._authenticate, False),
            ("GET", "/v1/users/valid_token/{token}", self._valid_token, False),
            ("GET", "/v1/sources", self._list_sources, True),
            ("POST", "/v1/products/queue", self._queue_products, True),
            ("GET", "/v1/queue/summary", self._queue_summary, True),
            ("GET", "/v1/queue/items", self._queue_items, True),
            ("POST", "/v1/products/elastic_search", self._search_products, True),
            ("POST", "/v1/customers/queue", self._queue_customers, True),
            ("POST", "/v1/customers/elastic_search", self._search_customers, True),
            ("POST", "/v1/orders/sources", self._answer_order, True),
        ]

    def check_token(self, request: Request) -> None:
        """Refuse a request without a token that is in use."""
        if request.query_params.get("token") not in self.tokens:
            raise RefusalError(401, "The token is missing, stale or wrong: authenticate again.")

    def _authenticate(self, _request: Request, body: Any) -> Json:
        user = body.get("system_user_auth") if isinstance(body, dict) else None
        if not isinstance(user, dict) or not all(isinstance(user.get(name), str) for name in ("username", "password")):
            raise RefusalError(400, "system_user_auth needs username and password, as texts.")
        given = f"{user['username']}\0{user['password']}".encode()
        right = f"{self._settings.username}\0{self._settings.password}".encode()
        if not secrets.compare_digest(given, right):
            raise RefusalError(401, "The user name or the password is wrong.")
        token = secrets.token_hex(16)
        self.tokens.clear()
        self.tokens.add(token)
        sources = [{"id": one["id"], "description": one["description"]} for one in self._store.sources.values()]
        return {
            "system_user": {
                "id": 1,
                "client_id": 1,
                "username": self._settings.username,
                "token": token,
                "channels": [],
                "sources": sources,
            }
        }

    def _valid_token(self, request: Request, _body: Any) -> Json:
        if request.path_params["token"] not in self.tokens:
            raise RefusalError(401, "The token is stale or wrong.")
        return {"system_user": {"id": 1, "client_id": 1, "username": self._settings.username}}

    def _list_sources(self, _request: Request, _body: Any) -> Json:
        return {"system_sources": list(self._store.sources.values())}

    def _source_id(self, request: Request, *, required: bool = True) -> int:
        text = request.query_params.get("source_id")
        if text is None and not required:
            return self._settings.source_id
        if text is None or not text.isascii() or not text.isdigit() or int(text) not in self._store.sources:
            raise RefusalError(400, "source_id names no source of this user.")
        return int(text)

    def _queue_products(self, request: Request, body: Any) -> Json:
        source_id = self._source_id(request)
        items = request_items(body, "system_products")
        for number, item in enumerate(items):
            check_product(number, item, source_id)
        for number, item in enumerate(items):
            sku = item["product"]["variants"]["sku"]
            if sku in self._faults.refused_skus:
                raise refusal(number, item, "variants.sku", f"The SKU {sku} is not welcome.")
            if sku in self._faults.breaking_skus:
                raise RefusalError(500, "Something went wrong.")
        for item in items:
            self._store.queue_product(source_id, item)
        self._store.save()
        return self._receipt("system_products", "sync_product", len(items))

    def _queue_customers(self, request: Request, body: Any) -> Json:
        source_id = self._source_id(request)
        items = request_items(body, "system_customers")
        for number, item in enumerate(items):
            check_customer(number, item, source_id)
        for item in items:
            self._store.queue_customer(source_id, item)
        self._store.save()
        return self._receipt("system_customers", "sync_customer", len(items))

    def _receipt(self, name: str, instruction: str, count: int) -> Json:
        if self._faults.take("complaints"):
            return {"errors": [{"message": "The batch was not taken."}]}
        return {name: {instruction: count - (1 if self._faults.take("short_counts") else 0)}}

    def _queue_summary(self, request: Request, _body: Any) -> Json:
        self._source_id(request, required=False)
        return {"unprocessed": 0, "failed": 0}

    def _queue_items(self, request: Request, _body: Any) -> Json:
        self._source_id(request, required=False)
        query = request.query_params
        limit, offset = (query.get(name, default) for name, default in (("limit", "100"), ("offset", "0")))
        if not all(number.isascii() and number.isdigit() for number in (limit, offset)):
            raise RefusalError(400, "limit or offset is not a number.")
        status = query.get("status", "new")
        if query.get("instructions", "add_order") != "add_order" or status == "failed":
            return {"system_queue_items": []}
        waiting = [
            {"id": number, "instruction": "add_order", "status": order["status"], "data": order["data"]}
            for number, order in sorted(self._store.orders().items())
            if order["status"] == status
        ]
        return {"system_queue_items": waiting[int(offset) :][: int(limit)]}

    def _search_products(self, _request: Request, body: Any) -> Json:
        return search("system_products", self._store.all_products(), body, document=product_document)

    def _search_customers(self, _request: Request, body: Any) -> Json:
        return search("system_customers", self._store.all_customers(), body)

    def _answer_order(self, request: Request, body: Any) -> Json:
        source_id = self._source_id(request)
        order = body.get("system_order") if isinstance(body, dict) else None
        sources = order.get("sources") if isinstance(order, dict) else None
        valid = isinstance(sources, list) and all(
            isinstance(entry, dict) and entry.get("source_id") == source_id and entry.get("source_order_code")
            for entry in sources
        )
        if not isinstance(order, dict) or not valid or not sources:
            raise RefusalError(400, "system_order needs an id, and sources with source_id and source_order_code.")
        if not self._store.answer_order(order.get("id"), sources):
            raise RefusalError(404, "There is no such order.")
        return {"system_order": {"id": order["id"], "sources": sources}}
