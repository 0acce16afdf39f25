"""A local Stock2Shop: the documented API with state, pace and faults, for the demo, the tests and trying a mapping.

It serves what ``docs/openapi.yaml`` describes. Where Stock2Shop's public pages say nothing, the sandbox takes the
plainest reading, and the document marks it: an item with ``product_active: "false"`` removes its variant, and the
product with its last one; a field that an item leaves out stays as it was; customers are queued and read back as
products are; an order waits in the queue until its source's order code comes back.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from engine import http_server as serving
from engine.errors import UsageError
from engine.files import exists
from engine.sandbox.checks import (
    IS_CLAUSES,
    TEXTS,
    RefusalError,
    check_customer,
    check_product,
    held_item,
    is_whole_number,
    json_object,
    page_size,
    parse_json,
    product_document,
    refusal,
    request_items,
    search,
)
from engine.sandbox.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from typing_extensions import Self

    from engine.sandbox.checks import Json

RECORDED = 20_000
"""Requests that are remembered, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox is served.

    ``pace`` is requests a second before 429, 0 for no limit; ``retry_after`` whether such an answer says how long
    to wait; ``path`` a JSON file that keeps everything but requests and faults over a restart.
    """

    host: str = "127.0.0.1"
    port: int = 0
    username: str = "sandbox"
    password: str = "sandbox"  # noqa: S105 - everybody may know it: it listens on this machine only
    source_id: int = 57
    pace: float = 0.0
    burst: int = 3
    retry_after: bool = True
    path: Path | None = None
    keep_bodies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request that came in; never a token or a password. ``body`` is kept only when the settings ask for it."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    items: int
    received_at: datetime
    body: bytes | None = None


class Sandbox:
    """A Stock2Shop of one's own; serves in a thread between :meth:`start` and :meth:`stop`."""

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.faults = Faults()
        self.requests: deque[Recorded] = deque(maxlen=RECORDED)
        self._lock = threading.RLock()
        self._tokens: set[str] = set()
        self._sources: dict[int, Json] = {}
        self._products: dict[int, dict[str, Json]] = {}
        self._variants: dict[int, dict[str, str]] = {}
        self._customers: dict[int, dict[str, Json]] = {}
        self._orders: dict[int, Json] = {}
        self._bucket = (float(self.settings.burst), time.monotonic())
        self._last_id = 0
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._port = self.settings.port
        self.reset()
        self._read()

    @property
    def url(self) -> str:
        """The base of every path, such as ``http://127.0.0.1:8057/v1``."""
        return f"http://{self.settings.host}:{self._port}/v1"

    def reset(self) -> None:
        """Forget products, requests, tokens and faults."""
        with self._lock:
            self.faults.clear()
            self.requests.clear()
            self._tokens.clear()
            number = self.settings.source_id
            self._sources = {
                number: {"id": number, "sync_token": "0", "description": "Sandbox source", "type": "custom"}
            }
            self._products = {number: {}}
            self._variants = {number: {}}
            self._customers = {number: {}}
            self._orders = {}
            self._last_id = 0

    def products(self, source_id: int) -> dict[str, Json]:
        """What is held, by variant code: each variant with its product's fields beside its own."""
        with self._lock:
            found = {}
            for product in self._products.get(source_id, {}).values():
                shared = {name: value for name, value in product.items() if name != "variants"}
                for variant in product["variants"].values():
                    found[variant["source_variant_code"]] = {**shared, **variant}
            return found

    def customers(self, source_id: int) -> dict[str, Json]:
        """The customers that are held, by code."""
        with self._lock:
            return {code: dict(customer) for code, customer in self._customers.get(source_id, {}).items()}

    def place_order(self, order: Json) -> None:
        """Put a ``system_order`` into the queue, as a channel's sale does."""
        with self._lock:
            number = int(order["id"])
            self._orders[number] = {"id": number, "status": "new", "data": order}
            self._write()

    def orders(self) -> dict[int, Json]:
        """Every order by its id: ``status`` is new or done, ``sources`` what was answered for it."""
        with self._lock:
            return {number: dict(order) for number, order in self._orders.items()}

    def change(self, source_id: int, variant_code: str, **values: object) -> None:
        """Change a variant, or what is its product's, behind the engine's back, as somebody in the console might."""
        with self._lock:
            product = self._products[source_id][self._variants[source_id][variant_code]]
            for name, value in values.items():
                place = product if name in TEXTS["product"] else product["variants"][variant_code]
                place[name] = value

    def forget(self, source_id: int, variant_code: str) -> None:
        """Remove a variant behind the engine's back."""
        with self._lock:
            self._remove(source_id, variant_code)

    def set_sync_token(self, source_id: int, token: str) -> None:
        """Give the source another sync token: it wants everything again."""
        with self._lock:
            self._sources[source_id]["sync_token"] = token
            self._write()

    def expire_tokens(self) -> None:
        """Make every token stale, as may happen at any time."""
        with self._lock:
            self._tokens.clear()

    def start(self) -> Self:
        """Listen; gives itself. The port is chosen by the system when the settings say 0."""
        import socket

        import uvicorn

        self._write()  # a file that cannot be written is said now, not after the first request
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # With SO_REUSEADDR on Windows, a second sandbox would listen on the port of the first.
        alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, alone, 1)
        try:
            listener.bind((self.settings.host, self.settings.port))
        except OSError:
            listener.close()
            raise
        self._port = int(listener.getsockname()[1])
        config = uvicorn.Config(self.app(), log_level="error", access_log=False, lifespan="off", ws="none", http="h11")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=serving.serve, args=(self._server, listener), name="sandbox", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OSError(f"The sandbox could not listen on {self.settings.host}:{self._port}.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def app(self) -> Callable[..., Any]:
        """The ASGI application: faults around the documented API."""
        routes = self._routes()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await self._serve(routes, scope, receive, send)

        return answer

    async def _serve(self, routes: Starlette, scope: Any, receive: Any, send: Any) -> None:
        """Put the faults that were asked for between a request and its answer."""
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await routes(scope, receive, send)
            return
        queue = scope["path"].endswith("/queue")
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        if self.faults.take("drops"):
            await _abort(send)
            return
        drop_after = queue and self.faults.take("drops_after")
        half = self.faults.take("halves")
        begun: Json = {}

        async def through(message: Any) -> None:
            if drop_after:
                return
            if half and message["type"] == "http.response.start":
                begun.update(message)
                return
            if half and begun:
                body = message.get("body", b"")
                headers = [(k, v) for k, v in begun["headers"] if k != b"content-length"]
                await send({**begun, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
                await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
                await asyncio.sleep(0.05)
                await _abort(send)
                return
            await send(message)

        await routes(scope, receive, through)
        if drop_after:
            await _abort(send)

    def _routes(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.routing import Route

        own: list[tuple[str, str, Callable[[Request, Any], Json]]] = [
            ("GET", "", self._show_all),
            ("GET", "/products", self._show_products),
            ("GET", "/customers", self._show_customers),
            ("GET", "/orders", self._show_orders),
            ("GET", "/requests", self._show_requests),
            ("GET", "/faults", self._show_faults),
            ("POST", "/faults", self._set_faults),
            ("POST", "/orders", self._do_order),
            ("POST", "/sources/{source_id:int}/sync_token", self._do_sync_token),
            ("POST", "/reset", self._do_reset),
        ]
        plain = [Route(f"/_sandbox{path}", self._control(act), methods=[method]) for method, path, act in own]
        api: list[tuple[str, str, Callable[[Request, Any], Any], bool]] = [
            ("POST", "/v1/users/authenticate", self._authenticate, False),
            ("GET", "/v1/users/valid_token/{token}", self._valid_token, False),
            ("GET", "/v1/sources", self._list_sources, True),
            ("POST", "/v1/products/queue", self._queue_products, True),
            ("GET", "/v1/queue/summary", self._queue_summary, True),
            ("GET", "/v1/queue/items", self._queue_items, True),
            ("POST", "/v1/products/elastic_search", self._search, True),
            ("POST", "/v1/customers/queue", self._queue_customers, True),
            ("POST", "/v1/customers/elastic_search", self._search_customers, True),
            ("POST", "/v1/orders/sources", self._answer_order, True),
        ]
        routes = [
            Route(path, self._endpoint(act, guarded=guarded), methods=[method]) for method, path, act, guarded in api
        ]
        return Starlette(routes=[*plain, *routes], exception_handlers={404: self._not_found, 405: self._not_found})

    def _endpoint(self, act: Callable[[Request, Any], Any], *, guarded: bool) -> Callable[[Request], Any]:
        from starlette.responses import JSONResponse, Response

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            status, document, headers, items = 200, {}, {}, 0
            try:
                self._admit(request, guarded=guarded)
                body = parse_json(raw) if request.method == "POST" else None
                items = page_size(body) if guarded else 0
                with self._lock:
                    document = act(request, body)
            except RefusalError as refused:
                status, document = refused.status, refused.document
                if status == 429 and self.settings.retry_after:  # noqa: PLR2004 - Too Many Requests
                    headers = {"Retry-After": "1"}
            self._record(request, raw, status, items)
            if self.faults.take("pages"):
                return Response("<html><body>Please sign in to the network.</body></html>", media_type="text/html")
            if self.faults.take("malformed"):
                return Response('{"queued": ', media_type="application/json")
            return JSONResponse(document, status_code=status, headers=headers)

        return endpoint

    def _record(self, request: Request, raw: bytes, status: int, items: int) -> None:
        query = {name: "…" if name == "token" else value for name, value in request.query_params.items()}
        path = request.url.path
        if "valid_token" in path:
            path = path.rsplit("/", 1)[0] + "/…"
        secret = path.endswith("/authenticate")
        self.requests.append(
            Recorded(
                method=request.method,
                path=path,
                query=query,
                status=status,
                items=items,
                received_at=datetime.now(timezone.utc),
                body=raw if self.settings.keep_bodies and not secret else None,
            )
        )

    def _admit(self, request: Request, *, guarded: bool) -> None:
        self._take_turn()
        if self.faults.take("errors"):
            raise RefusalError(self.faults.error_status, "A fault was asked for.")
        if guarded and request.query_params.get("token") not in self._tokens:
            raise RefusalError(401, "The token is missing, stale or wrong: authenticate again.")

    def _take_turn(self) -> None:
        if not self.settings.pace:
            return
        with self._lock:
            left, at = self._bucket
            now = time.monotonic()
            left = min(float(self.settings.burst), left + (now - at) * self.settings.pace)
            self._bucket = (left - 1 if left >= 1 else left, now)
            if left < 1:
                raise RefusalError(429, "Too Many Requests: about one a second is right.")

    def _authenticate(self, _request: Request, body: Any) -> Json:
        user = body.get("system_user_auth") if isinstance(body, dict) else None
        if not isinstance(user, dict) or not all(isinstance(user.get(name), str) for name in ("username", "password")):
            raise RefusalError(400, "system_user_auth needs username and password, as texts.")
        given = f"{user['username']}\0{user['password']}".encode()
        right = f"{self.settings.username}\0{self.settings.password}".encode()
        if not secrets.compare_digest(given, right):
            raise RefusalError(401, "The user name or the password is wrong.")
        token = secrets.token_hex(16)
        self._tokens = {token}
        sources = [{"id": source["id"], "description": source["description"]} for source in self._sources.values()]
        return {
            "system_user": {
                "id": 1,
                "client_id": 1,
                "username": self.settings.username,
                "token": token,
                "channels": [],
                "sources": sources,
            }
        }

    def _valid_token(self, request: Request, _body: Any) -> Json:
        if request.path_params["token"] not in self._tokens:
            raise RefusalError(401, "The token is stale or wrong.")
        return {"system_user": {"id": 1, "client_id": 1, "username": self.settings.username}}

    def _list_sources(self, _request: Request, _body: Any) -> Json:
        return {"system_sources": list(self._sources.values())}

    def _source(self, request: Request, *, needed: bool = True) -> int:
        text = request.query_params.get("source_id")
        if text is None and not needed:
            return self.settings.source_id
        if text is None or not text.isascii() or not text.isdigit() or int(text) not in self._sources:
            raise RefusalError(400, "source_id names no source of this user.")
        return int(text)

    def _queue_products(self, request: Request, body: Any) -> Json:
        source_id = self._source(request)
        items = request_items(body, "system_products")
        for number, item in enumerate(items):
            check_product(number, item, source_id)
        for number, item in enumerate(items):
            sku = item["product"]["variants"]["sku"]
            if sku in self.faults.refused_skus:
                raise refusal(number, item, "variants.sku", f"The SKU {sku} is not welcome.")
            if sku in self.faults.breaking_skus:
                raise RefusalError(500, "Something went wrong.")
        for item in items:
            self._upsert(source_id, item)
        self._write()
        if self.faults.take("complaints"):
            return {"errors": [{"message": "The batch was not taken."}]}
        return {"system_products": {"sync_product": len(items) - (1 if self.faults.take("short_counts") else 0)}}

    def _queue_customers(self, request: Request, body: Any) -> Json:
        source_id = self._source(request)
        items = request_items(body, "system_customers")
        for number, item in enumerate(items):
            check_customer(number, item, source_id)
        held = self._customers.setdefault(source_id, {})
        for item in items:
            code = item["source"]["source_customer_code"]
            if item["source"]["customer_active"] == "false":
                held.pop(code, None)
                continue
            kept = held.setdefault(code, {"id": self._new_id(), "source_id": source_id})
            kept.update(item["customer"])
            kept["modified"] = _now()
        self._write()
        if self.faults.take("complaints"):
            return {"errors": [{"message": "The batch was not taken."}]}
        return {"system_customers": {"sync_customer": len(items) - (1 if self.faults.take("short_counts") else 0)}}

    def _search_customers(self, _request: Request, body: Any) -> Json:
        held = [customer for customers in self._customers.values() for customer in customers.values()]
        return search("system_customers", held, body)

    def _answer_order(self, request: Request, body: Any) -> Json:
        source_id = self._source(request)
        order = body.get("system_order") if isinstance(body, dict) else None
        sources = order.get("sources") if isinstance(order, dict) else None
        sound = isinstance(sources, list) and all(
            isinstance(entry, dict) and entry.get("source_id") == source_id and entry.get("source_order_code")
            for entry in sources
        )
        if not isinstance(order, dict) or not sound or not sources:
            raise RefusalError(400, "system_order needs an id, and sources with source_id and source_order_code.")
        kept = self._orders.get(order["id"]) if isinstance(order.get("id"), int) else None
        if kept is None:
            raise RefusalError(404, "There is no such order.")
        kept |= {"status": "done", "sources": sources}
        self._write()
        return {"system_order": {"id": order["id"], "sources": sources}}

    def _upsert(self, source_id: int, item: Json) -> None:
        source, product = item["source"], item["product"]
        code, variant = source["source_product_code"], product["variants"]
        key = variant["source_variant_code"]
        held = self._variants[source_id].get(key)
        if source["product_active"] == "false":
            if held == code:
                self._remove(source_id, key)
            return
        if held is not None and held != code:
            self._remove(source_id, key)
        kept = self._products[source_id].setdefault(
            code,
            {
                "id": self._new_id(),
                "source_id": source_id,
                "source_product_code": code,
                "variants": {},
            },
        )
        kept.update({name: value for name, value in product.items() if name != "variants"})
        kept["modified"] = _now()
        kept["variants"].setdefault(key, {}).update(variant)
        self._variants[source_id][key] = code

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _remove(self, source_id: int, key: str) -> None:
        code = self._variants[source_id].pop(key)
        product = self._products[source_id][code]
        product["variants"].pop(key)
        if not product["variants"]:
            del self._products[source_id][code]

    def _queue_summary(self, request: Request, _body: Any) -> Json:
        self._source(request, needed=False)
        return {"unprocessed": 0, "failed": 0}

    def _queue_items(self, request: Request, _body: Any) -> Json:
        self._source(request, needed=False)
        asked = request.query_params
        limit, offset = (asked.get(name, usual) for name, usual in (("limit", "100"), ("offset", "0")))
        if not all(number.isascii() and number.isdigit() for number in (limit, offset)):
            raise RefusalError(400, "limit or offset is no number.")
        if asked.get("instructions", "add_order") != "add_order" or asked.get("status", "new") == "failed":
            return {"system_queue_items": []}
        waiting = [
            {"id": number, "instruction": "add_order", "status": order["status"], "data": order["data"]}
            for number, order in sorted(self._orders.items())
            if order["status"] == asked.get("status", "new")
        ]
        return {"system_queue_items": waiting[int(offset) :][: int(limit)]}

    def _search(self, _request: Request, body: Any) -> Json:
        held = [product for products in self._products.values() for product in products.values()]
        return search("system_products", held, body, shown=product_document)

    def _not_found(self, _request: Request, error: Any) -> Response:
        from starlette.responses import JSONResponse

        status = int(getattr(error, "status_code", 404))
        headers = dict(getattr(error, "headers", None) or {})
        return JSONResponse({"error": {"message": "There is no such call."}}, status_code=status, headers=headers)

    def _control(self, act: Callable[[Request, Any], Json]) -> Callable[[Request], Any]:
        """A call that Stock2Shop does not have, answered so that a person can read it."""
        from starlette.responses import Response

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            status, document = 200, {}
            try:
                body = json_object(raw or b"{}") if request.method == "POST" else {}
                with self._lock:
                    document = act(request, body)
            except RefusalError as refused:
                status, document = refused.status, refused.document
            text = json.dumps(document, indent=2, ensure_ascii=False)
            return Response(f"{text}\n", status_code=status, media_type="application/json")

        return endpoint

    def _show_all(self, _request: Request, _body: Json) -> Json:
        number = self.settings.source_id
        return {
            "source": self._sources[number],
            "held": {
                "products": len(self._products[number]),
                "variants": len(self._variants[number]),
                "customers": len(self._customers[number]),
                "orders": len(self._orders),
            },
            "requests": len(self.requests),
            "faults": self._due(),
            "calls": {
                "GET /_sandbox/products": "what is held, by variant; ?code= shows one",
                "GET /_sandbox/customers": "the same of customers",
                "GET /_sandbox/orders": "every order, and what was answered for it",
                "GET /_sandbox/requests": "what was asked so far",
                "GET /_sandbox/faults": "every fault there is; POST asks for some",
                "POST /_sandbox/orders": "a sale: the body is a system_order",
                f"POST /_sandbox/sources/{number}/sync_token": 'the source wants everything again: {"sync_token": "1"}',
                "POST /_sandbox/reset": "forget everything",
            },
        }

    def _show_products(self, request: Request, _body: Json) -> Json:
        return held_item(self.products(self.settings.source_id), request)

    def _show_customers(self, request: Request, _body: Json) -> Json:
        return held_item(self.customers(self.settings.source_id), request)

    def _show_orders(self, _request: Request, _body: Json) -> Json:
        return {str(number): order for number, order in self.orders().items()}

    def _show_requests(self, _request: Request, _body: Json) -> Json:
        shown = [
            {"method": r.method, "path": r.path, "status": r.status, "items": r.items, "at": r.received_at.isoformat()}
            for r in self.requests
        ]
        return {"requests": shown}

    def _due(self) -> Json:
        faults = ((name, getattr(self.faults, name)) for name in self.faults.__dataclass_fields__)
        return {name: sorted(value) if isinstance(value, set) else value for name, value in faults}

    def _show_faults(self, _request: Request, _body: Json) -> Json:
        return self._due()

    def _set_faults(self, _request: Request, wanted: Json) -> Json:
        known = self._due() | {"expire_tokens": False}
        for name, value in wanted.items():
            if name not in known:
                raise RefusalError(400, f"There is no fault {name}. Known faults: {', '.join(sorted(known))}.")
            usual = known[name]
            if not IS_CLAUSES[type(usual)](value):
                raise RefusalError(400, f"{name} needs a value like {json.dumps(usual)}.")
        if not 400 <= wanted.get("error_status", 500) <= 599:  # noqa: PLR2004 - what HTTP calls errors
            raise RefusalError(400, "error_status needs a number from 400 to 599.")
        if wanted.get("expire_tokens"):
            self.expire_tokens()
        for name, value in wanted.items():
            if name != "expire_tokens":
                setattr(self.faults, name, set(value) if isinstance(known[name], list) else value)
        return self._due()

    def _do_reset(self, _request: Request, _body: Json) -> Json:
        self.reset()
        self._write()
        return {}

    def _do_order(self, _request: Request, order: Json) -> Json:
        if not is_whole_number(order.get("id")):
            raise RefusalError(400, "An order is an object with a number as its id.")
        self.place_order(order)
        return {"id": order["id"]}

    def _do_sync_token(self, request: Request, body: Json) -> Json:
        number, token = request.path_params["source_id"], body.get("sync_token")
        if number not in self._sources:
            raise RefusalError(404, f"There is no source {number}.")
        if not isinstance(token, str) or not token:
            raise RefusalError(400, "sync_token needs a text.")
        self.set_sync_token(number, token)
        return {"sync_token": token}

    def _read(self) -> None:
        path = self.settings.path
        if path is None or not exists(path):
            return
        try:
            kept = json.loads(path.read_text("utf-8"))
            self._products, self._customers = (
                {int(number): held for number, held in kept[name].items()} for name in ("products", "customers")
            )
            self._sources = {int(number): source for number, source in kept["sources"].items()}
            self._orders = {int(number): order for number, order in kept["orders"].items()}
            self._last_id = int(kept["last_id"])
            self._variants = {
                number: {key: code for code, product in products.items() for key in product["variants"]}
                for number, products in self._products.items()
            }
            held = set(self._sources)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{path} is no file of a sandbox.", hint="Name another file, or remove it.") from None
        if self.settings.source_id not in held:
            raise UsageError(
                f"{path} is a sandbox of the source {', '.join(map(str, sorted(held)))},"
                f" not of {self.settings.source_id}.",
                hint="Say so with --source-id, or name another file.",
            )

    def _write(self) -> None:
        path = self.settings.path
        if path is None:
            return
        beside = path.with_suffix(path.suffix + ".new")
        kept = {
            "products": self._products,
            "customers": self._customers,
            "sources": self._sources,
            "orders": self._orders,
            "last_id": self._last_id,
        }
        beside.write_text(json.dumps(kept), "utf-8")
        beside.replace(path)


def serve(settings: SandboxSettings, *, ready: Callable[[str], object]) -> None:
    """Serve until the process is interrupted; ``ready`` gets the address once somebody listens there.

    Raises :class:`UsageError` when nothing can listen there, or the file is not to be used.
    """
    try:
        sandbox = Sandbox(settings).start()
    except OSError as error:
        place = f"{settings.host}:{settings.port}" if error.filename is None else error.filename
        raise UsageError(
            f"The sandbox cannot use {place}: {error.strerror or error}.",
            hint="Choose another port with --port, or another file with --state.",
        ) from None
    with suppress(KeyboardInterrupt):
        ready(sandbox.url)
        while True:
            time.sleep(1)  # waiting on an event would not hear Ctrl-C on Windows
    sandbox.stop()


async def _abort(send: Any) -> None:
    """Close the client's connection as a broken network does. Uvicorn's send is a method of the cycle that holds it.

    Uvicorn reports an application that leaves a connection open without an answer, so the end of it is waited for.
    """
    cycle = send.__self__
    cycle.transport.abort()
    while not cycle.disconnected:  # noqa: ASYNC110 - uvicorn sets it, and has no event for it
        await asyncio.sleep(0)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
