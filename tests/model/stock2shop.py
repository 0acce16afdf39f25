"""A Stock2Shop of the model's own, with faults on demand: nothing of it comes from the engine.

It takes what ``docs/openapi.yaml`` documents and keeps what the public pages say of it: products are upserted by their
source codes, product fields are the product's, ``"false"`` removes the variant that an item names and the product with
its last variant, and a field that is left out stays as it was. How a variant is known is not public, so both readings
are served: by its product and its code (``moves`` is false), or by its code alone, so that an item under another
product moves it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

Json = dict[str, Any]

MAX_ITEMS = 500
USERNAME, PASSWORD = "soak", "only of this test"

LOST_FOR_ONE = frozenset({"cut_after", "half", "slow", "kill_after", "kill_answered", "500_after", "503_after"})
NOT_TAKEN_OF_ONE = frozenset({"cut_before", "500_before", "429", "401", "kill_before", "term_before"})

FAULTS = (*sorted(LOST_FOR_ONE), *sorted(NOT_TAKEN_OF_ONE), "term_after")
"""What may befall a batch; ``term_after`` is a stop that is asked for while it is on its way, which is answered."""

LOST_FOR_FLEET = frozenset({"freeze_after", "freeze_answered", "away_after", "away_answered"})
NOT_TAKEN_OF_FLEET = frozenset({"freeze_before", "away_before", "kill_late"})

FLEET_FAULTS = (*sorted(LOST_FOR_FLEET), *sorted(NOT_TAKEN_OF_FLEET), "blink_before", "blink_after", "blink_answered")
"""What besides may befall one where several machines run the project.

``freeze``: the process is stopped, and may go on at any time. ``away``: its machine no longer reaches PostgreSQL.
``blink``: its connections to PostgreSQL break, and new ones can be made. ``kill_late``: the process dies, and the
batch, which has arrived, is taken late.
"""

LOST = LOST_FOR_ONE | LOST_FOR_FLEET
"""Faults of a batch that was taken, and whose sender does not learn it, or can tell nobody."""

NOT_TAKEN = NOT_TAKEN_OF_ONE | NOT_TAKEN_OF_FLEET
"""Faults of a batch that was not taken."""

REFUSALS = ("400", "422", "413", "500", "errors", "errors_taken", "short", "error_status")
"""How a refused item is answered: by status, or with a success that complains."""


@dataclass
class Account:
    """One source of one Stock2Shop: what it holds, and the token that it wants to see echoed."""

    source_id: int
    moves: bool
    sync_token: str = "0"
    products: dict[str, Json] = field(default_factory=dict)
    customers: dict[str, Json] = field(default_factory=dict)
    ids: int = 0

    def variants(self) -> dict[tuple[str, str], Json]:
        """Every variant by its product's and its own code, with the product's fields beside its own."""
        return {
            (code, key): {**product["fields"], **variant}
            for code, product in self.products.items()
            for key, variant in product["variants"].items()
        }

    def take(self, entity: str, item: Json) -> tuple[str, str] | None:
        """Take one item; gives the product's and the item's code where something that was held is gone."""
        source = item["source"]
        if entity == "customers":
            code = source["source_customer_code"]
            if source["customer_active"] == "false":
                return (code, code) if self.customers.pop(code, None) is not None else None
            held = self.customers.setdefault(code, {"id": self._new_id(), "source_id": self.source_id})
            held.update(item["customer"])
            return None
        code, variant = source["source_product_code"], item["product"]["variants"]
        key = variant["source_variant_code"]
        if source["product_active"] == "false":
            return (code, key) if self.remove(code, key) else None
        if self.moves:
            for other in [other for other, product in self.products.items() if key in product["variants"]]:
                if other != code:
                    self.remove(other, key)
        product = self.products.setdefault(code, {"id": self._new_id(), "fields": {}, "variants": {}})
        product["fields"].update({name: value for name, value in item["product"].items() if name != "variants"})
        product["variants"].setdefault(key, {}).update(variant)
        return None

    def remove(self, code: str, key: str) -> bool:
        """Remove a variant, and its product with the last one; says whether it was there."""
        product = self.products.get(code)
        if product is None or product["variants"].pop(key, None) is None:
            return False
        if not product["variants"]:
            del self.products[code]
        return True

    def read_back(self, entity: str, *, above: int, size: int) -> list[Json]:
        """What a search finds: the live documents with an id above ``above``, by id."""
        if entity == "customers":
            found = list(self.customers.values())
        else:
            found = [
                {
                    "id": product["id"],
                    "source_id": self.source_id,
                    "source_product_code": code,
                    **product["fields"],
                    "variants": [product["variants"][key] for key in sorted(product["variants"])],
                }
                for code, product in self.products.items()
            ]
        return sorted((one for one in found if one["id"] > above), key=lambda one: int(one["id"]))[:size]

    def _new_id(self) -> int:
        self.ids += 1
        return self.ids


@dataclass(kw_only=True)
class Faults:
    """What goes wrong while one command runs.

    ``at`` gives what befalls the queue's requests by their number, from 1; ``ever`` what befalls every one from that
    number on. ``refused`` are the codes of products and items that are refused, in the way that ``refusal`` names.
    ``asking`` befalls the other requests: the login, the source, the search. ``elsewhere`` is whether something goes
    wrong that is not of Stock2Shop's making.
    """

    at: dict[int, str] = field(default_factory=dict)
    ever: tuple[int, str] | None = None
    refused: frozenset[str] = frozenset()
    refusal: str = "400"
    asking: str = ""
    elsewhere: bool = False

    def of(self, number: int) -> str:
        """What befalls the queue's request ``number``; blank for nothing."""
        if self.ever is not None and number >= self.ever[0]:
            return self.ever[1]
        return self.at.get(number, "")

    @property
    def any(self) -> bool:
        """Whether something may go wrong at all."""
        return bool(self.at or self.ever or self.refused or self.asking or self.elsewhere)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One item of a batch: whether it was taken, and whether its sender got to know."""

    account: str
    entity: str
    item: Json
    batch: int
    taken: bool
    answered: bool

    @property
    def code(self) -> str:
        """The item's own code."""
        source = self.item["source"]
        if self.entity == "customers":
            return str(source["source_customer_code"])
        return str(self.item["product"]["variants"]["source_variant_code"])

    @property
    def product(self) -> str:
        """The code of the item's product; a customer's own."""
        source = self.item["source"]
        return str(source["source_customer_code"] if self.entity == "customers" else source["source_product_code"])

    @property
    def removes(self) -> bool:
        """Whether the item asks for a removal."""
        source = self.item["source"]
        return str(source.get("product_active", source.get("customer_active"))) == "false"


class Stock2Shop:
    """The accounts, behind HTTP on loopback. An account's name is a path such as ``a/57``.

    ``read_timeout`` is how many seconds the project waits for an answer.
    """

    def __init__(self, *, moves: bool, read_timeout: float) -> None:
        self.read_timeout = read_timeout
        self.accounts = {name: Account(int(name[2:]), moves) for name in ("a/57", "a/58", "b/57")}
        self.faults = Faults()
        self.sent: list[Sent] = []
        self.removed: list[tuple[str, str, str]] = []
        self.undocumented: list[str] = []
        self.befell: list[str] = []
        self.late: list[tuple[str, str, list[Json]]] = []
        """Batches that have arrived, and are taken late: each with its account and its entity."""
        self.logins = 0
        self.on_network: Callable[[str], object] = lambda _: None
        """What makes the way to PostgreSQL fail, in the way that it is given."""
        self.lock = threading.RLock()
        self.victim: int | None = None
        self._victim_known = threading.Event()
        self._queued = 0
        self._tokens: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, base: str) -> str:
        """The address of one of the two Stock2Shops, a or b."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{base}/v1"

    def expect(self, faults: Faults) -> None:
        """Begin a command: forget what the last one sent, and let ``faults`` befall this one."""
        with self.lock:
            self.faults = faults
            self._queued = 0
            for kept in (self.sent, self.removed, self.undocumented, self.befell):
                kept.clear()
            self.victim = None
            self._victim_known.clear()

    def started(self, pid: int) -> None:
        """Say whom a kill is meant for."""
        self.victim = pid
        self._victim_known.set()

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Json, str]:
        """The answer to a request: status, document, and the fault that befalls it on its way back."""
        with self.lock:
            base, _, call = path.strip("/").partition("/v1/")
            if call not in {"products/queue", "customers/queue"} and self.faults.asking:
                self.befell.append(self.faults.asking)
                if self.faults.asking != "slow":
                    return 503, _error("Away."), self.faults.asking
            if (method, call) == ("POST", "users/authenticate"):
                return self._authenticate(body)
            if query.get("token") not in self._tokens:
                return 401, _error("The token is stale."), ""
            if (method, call) == ("GET", "sources"):
                sources = [
                    {"id": account.source_id, "sync_token": account.sync_token, "description": name}
                    for name, account in self.accounts.items()
                    if name.startswith(base)
                ]
                return 200, {"system_sources": sources}, ""
            entity = call.split("/")[0]
            if method == "POST" and call in {"products/elastic_search", "customers/elastic_search"}:
                return 200, self._found(base, entity, body), ""
            if method == "POST" and call in {"products/queue", "customers/queue"}:
                return self._queue(f"{base}/{query.get('source_id')}", entity, body)
            return 404, _error("There is no such call."), ""

    def kill(self, number: int) -> None:
        """Send a signal to the process that runs the command."""
        assert self._victim_known.wait(10)
        assert self.victim is not None
        os.kill(self.victim, number)

    def befall(self, how: str) -> None:
        """Let happen what befalls the sender of a batch, or the batch on its way."""
        match how:
            case "kill" | "freeze" | "term":
                self.kill({"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "term": signal.SIGTERM}[how])
            case "away" | "blink":
                self.on_network(how)
            case "slow":
                time.sleep(self.read_timeout + 0.5)

    def _authenticate(self, body: Any) -> tuple[int, Json, str]:
        if body != {"system_user_auth": {"username": USERNAME, "password": PASSWORD}}:
            return 401, _error("Wrong user or password."), ""
        token = secrets.token_hex(8)
        self._tokens = {token}
        self.logins += 1
        return 200, {"system_user": {"token": token, "client_id": 1, "channels": [], "sources": []}}, ""

    def _found(self, base: str, entity: str, body: Json) -> Json:
        text = json.dumps(body)
        source = re.search(r'"source_id": (\d+)', text)
        above = re.search(r'"gt": (\d+)', text)
        assert source is not None
        account = self.accounts[f"{base}/{source[1]}"]
        found = account.read_back(entity, above=int(above[1]) if above else 0, size=int(body["size"]))
        return {f"system_{entity}": found}

    def _queue(self, name: str, entity: str, body: Any) -> tuple[int, Json, str]:
        account = self.accounts.get(name)
        if account is None:
            self.undocumented.append(f"there is no account {name}")
            return 400, _error("There is no such source."), ""
        items: list[Json] = body[f"system_{entity}"]
        for item in items:
            self.undocumented += _faults_of(entity, item, account)
        if self.undocumented or not 0 < len(items) <= MAX_ITEMS:
            return 400, _error("That is not as documented."), ""
        self._queued += 1
        fault = self.faults.of(self._queued)
        if fault:
            self.befell.append(f"{fault} at {self._queued}")
        if fault in NOT_TAKEN:
            self._record(name, entity, items, taken=frozenset(), answered=False)
            if fault == "401":
                self._tokens.clear()
            if fault == "kill_late":
                self.late.append((name, entity, items))
            status = {"500_before": 500, "429": 429, "401": 401}.get(fault, 503)
            return status, _error("Not now."), fault
        bad = [number for number, item in enumerate(items) if self._is_refused(entity, item)]
        if bad:
            return self._refuse(name, entity, items, bad)
        self._take(account, name, entity, items)
        self._record(name, entity, items, taken=frozenset(range(len(items))), answered=fault not in LOST)
        done = {"system_products": {"sync_product": len(items)}, "system_customers": {"sync_customer": len(items)}}
        status = {"500_after": 500, "503_after": 503}.get(fault, 200)
        return status, {f"system_{entity}": done[f"system_{entity}"]} if status == 200 else _error("Oh."), fault

    def take_late(self, batch: tuple[str, str, list[Json]]) -> set[tuple[str, str]]:
        """Take a batch that arrived before; gives the codes of the products and the items that it is about."""
        name, entity, items = batch
        with self.lock:
            self._take(self.accounts[name], name, entity, items)
            self.removed.clear()
        sent = (Sent(account=name, entity=entity, item=item, batch=0, taken=True, answered=False) for item in items)
        return {(one.product, one.code) for one in sent}

    def _refuse(self, name: str, entity: str, items: list[Json], bad: list[int]) -> tuple[int, Json, str]:
        """Refuse a batch for some of its items, in the way that is asked for."""
        how = self.faults.refusal
        self.befell.append(f"{how} for {len(bad)} of {len(items)}")
        taken: frozenset[int] = frozenset()
        if how in {"errors_taken", "short"}:
            taken = frozenset(range(len(items))) - (frozenset(bad) if how == "short" else frozenset())
            self._take(self.accounts[name], name, entity, [items[number] for number in sorted(taken)])
        self._record(name, entity, items, taken=taken, answered=False)
        if how in {"errors", "errors_taken"}:
            return 200, {"errors": [{"message": "An item is not welcome."}]}, ""
        if how == "short":
            word = "sync_product" if entity == "products" else "sync_customer"
            return 200, {f"system_{entity}": {word: len(taken)}}, ""
        if how == "error_status":
            return 200, {"status": "error", "message": "An item is not welcome."}, ""
        return int(how), _error("An item is not welcome."), ""

    def _is_refused(self, entity: str, item: Json) -> bool:
        source = item["source"]
        if entity == "customers":
            return source["source_customer_code"] in self.faults.refused
        codes = {source["source_product_code"], item["product"]["variants"]["source_variant_code"]}
        return bool(codes & self.faults.refused)

    def _take(self, account: Account, name: str, entity: str, items: list[Json]) -> None:
        for item in items:
            gone = account.take(entity, item)
            if gone is not None:
                self.removed.append((name, *gone))

    def _record(self, name: str, entity: str, items: list[Json], *, taken: frozenset[int], answered: bool) -> None:
        self.sent += [
            Sent(account=name, entity=entity, item=item, batch=self._queued, taken=number in taken, answered=answered)
            for number, item in enumerate(items)
        ]


def _error(message: str) -> Json:
    return {"error": {"message": message}}


def _faults_of(entity: str, item: Json, account: Account) -> list[str]:
    """What of an item is not as it is documented."""
    source = item.get("source", {})
    part = item.get("customer" if entity == "customers" else "product", {})
    if entity == "customers":
        required = {
            "source_customer_code": source.get("source_customer_code"),
            "echo": part.get("source_customer_code"),
        }
        active = source.get("customer_active")
        if active == "true":
            required["email"] = part.get("email")
    else:
        variant = part.get("variants", {})
        required = {
            "source_product_code": source.get("source_product_code"),
            "fetch_token": source.get("fetch_token"),
            "title": part.get("title"),
            "source_variant_code": variant.get("source_variant_code"),
            "sku": variant.get("sku"),
        }
        active = source.get("product_active")
    found = [f"{name} is {value!r}" for name, value in required.items() if not isinstance(value, str) or not value]
    if active not in {"true", "false"}:
        found.append(f"the flag is {active!r}")
    if source.get("source_id") != account.source_id:
        found.append(f"source_id is {source.get('source_id')!r}")
    if source.get("sync_token") != account.sync_token:
        found.append(f"sync_token is {source.get('sync_token')!r}, not {account.sync_token!r}")
    return found


def _handler(shop: Stock2Shop) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or an answer's body waits 40 ms for its headers to be acknowledged

        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._serve(json.loads(raw))

        def _serve(self, body: Any) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, document, fault = shop.answer(self.command, parts.path, query, body)
            how, _, moment = fault.partition("_")
            if moment != "answered":
                shop.befall(how)
            if how in {"kill", "freeze", "cut"} and moment != "answered":
                self._cut()
                return
            payload = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if status >= 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if fault == "half" else payload)
            self.wfile.flush()
            if fault == "half":
                self._cut()
            if moment == "answered":
                time.sleep(secrets.randbelow(8) / 1000)
                shop.befall(how)

        def _cut(self) -> None:
            """End the connection without a word, as a broken network does."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # the other side was killed

        def log_message(self, *_: object) -> None:
            return

    return Handler
