"""What the sandbox holds: sources, products, customers and orders, in memory and on request in a JSON file.

Where Stock2Shop's public pages say nothing, the store takes the plainest reading: an item with
``product_active: "false"`` removes its variant, and the product with its last one; a field that an item leaves out
stays as it was. A linked source changes the variants of its primary source that have the same code, and adds and
removes none of them; an item for a variant that the primary source does not have is queued and then ignored. Every
method may be called from any thread.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.files import exists
from engine.sandbox.checks import TEXTS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.sandbox.checks import Json


class Store:
    """What one sandbox holds; ``lock`` makes several steps one."""

    def __init__(self, *, source_id: int, path: Path | None) -> None:
        self.lock = threading.RLock()
        self.sources: dict[int, Json] = {}
        self._source_id = source_id
        self._path = path
        self._products: dict[int, dict[str, Json]] = {}
        self._variants: dict[int, dict[str, str]] = {}
        self._customers: dict[int, dict[str, Json]] = {}
        self._orders: dict[int, Json] = {}
        self._primaries: dict[int, int] = {}
        """The primary source of each linked one."""
        self._last_id = 0
        self.clear()
        self._load()

    def clear(self) -> None:
        """Forget everything but the source, whose sync token is 0 again."""
        with self.lock:
            self.sources, self._products, self._variants, self._customers = {}, {}, {}, {}
            self._orders, self._primaries = {}, {}
            self._last_id = 0
            self._add(self._source_id, "Sandbox source")

    def link_source(self, source_id: int) -> None:
        """Add a source that is linked to the sandbox's own: it enriches products, and owns none."""
        with self.lock:
            self._add(source_id, "Linked source")
            self._primaries[source_id] = self._source_id
            self.save()

    def _add(self, number: int, description: str) -> None:
        self.sources[number] = {"id": number, "sync_token": "0", "description": description, "type": "custom"}
        self._products[number], self._variants[number], self._customers[number] = {}, {}, {}

    def counts(self) -> Json:
        """How many of each there are."""
        return {
            "products": len(self._products[self._source_id]),
            "variants": len(self._variants[self._source_id]),
            "customers": len(self._customers[self._source_id]),
            "orders": len(self._orders),
        }

    def variants(self, source_id: int) -> dict[str, Json]:
        """The variants of a source by their code, each with its product's fields beside its own."""
        with self.lock:
            found = {}
            for product in self._products.get(source_id, {}).values():
                shared = {name: value for name, value in product.items() if name != "variants"}
                for variant in product["variants"].values():
                    found[variant["source_variant_code"]] = {**shared, **variant}
            return found

    def customers(self, source_id: int) -> dict[str, Json]:
        """The customers of a source by their code."""
        with self.lock:
            return {code: dict(customer) for code, customer in self._customers.get(source_id, {}).items()}

    def orders(self) -> dict[int, Json]:
        """Every order by its id: ``status`` is new or done, ``sources`` what was answered for it."""
        with self.lock:
            return {number: dict(order) for number, order in self._orders.items()}

    def all_products(self) -> list[Json]:
        """The products of every source, each with its variants by their code."""
        return [product for products in self._products.values() for product in products.values()]

    def all_customers(self) -> list[Json]:
        """The customers of every source."""
        return [customer for customers in self._customers.values() for customer in customers.values()]

    def queue_product(self, source_id: int, item: Json) -> None:
        """Add, change or remove the variant of a product item."""
        source, product = item["source"], item["product"]
        code, variant = source["source_product_code"], product["variants"]
        key = variant["source_variant_code"]
        if source_id in self._primaries and not self._enrich(self._primaries[source_id], key, item):
            return
        current_code = self._variants[source_id].get(key)
        if source["product_active"] == "false":
            if current_code == code:
                self.remove_variant(source_id, key)
            return
        if current_code is not None and current_code != code:
            self.remove_variant(source_id, key)
        stored = self._products[source_id].setdefault(
            code,
            {
                "id": self._new_id(),
                "source_id": source_id,
                "source_product_code": code,
                "variants": {},
            },
        )
        stored.update({name: value for name, value in product.items() if name != "variants"})
        stored["modified"] = _now()
        stored["variants"].setdefault(key, {}).update(variant)
        self._variants[source_id][key] = code

    def _enrich(self, primary_id: int, key: str, item: Json) -> bool:
        """Change the primary source's variant as a linked source asks; gives whether there is such a variant."""
        code = self._variants[primary_id].get(key)
        if code is None:
            return False
        if item["source"]["product_active"] == "true":
            stored = self._products[primary_id][code]
            stored.update({name: value for name, value in item["product"].items() if name != "variants"})
            stored["modified"] = _now()
            stored["variants"][key].update(item["product"]["variants"])
        return True

    def queue_customer(self, source_id: int, item: Json) -> None:
        """Add, change or remove the customer of a customer item."""
        customers = self._customers.setdefault(source_id, {})
        code = item["source"]["source_customer_code"]
        if item["source"]["customer_active"] == "false":
            customers.pop(code, None)
            return
        stored = customers.setdefault(code, {"id": self._new_id(), "source_id": source_id})
        stored.update(item["customer"])
        stored["modified"] = _now()

    def place_order(self, order: Json) -> None:
        """Put a ``system_order`` into the queue, as a channel's sale does."""
        with self.lock:
            number = int(order["id"])
            self._orders[number] = {"id": number, "status": "new", "data": order}
            self.save()

    def answer_order(self, number: object, sources: list[Json]) -> bool:
        """Record what a source answered for an order; gives whether there is such an order."""
        order = self._orders.get(number) if isinstance(number, int) else None
        if order is None:
            return False
        order |= {"status": "done", "sources": sources}
        self.save()
        return True

    def change_variant(self, source_id: int, variant_code: str, **values: object) -> None:
        """Change a variant, or its product's fields, without a queue item, as somebody in the console might."""
        with self.lock:
            product = self._products[source_id][self._variants[source_id][variant_code]]
            for name, value in values.items():
                place = product if name in TEXTS["product"] else product["variants"][variant_code]
                place[name] = value

    def change_customer(self, source_id: int, code: str, **values: object) -> None:
        """Change a customer without a queue item."""
        with self.lock:
            self._customers[source_id][code].update(values)

    def remove_variant(self, source_id: int, variant_code: str) -> None:
        """Remove a variant, and its product with the last one."""
        with self.lock:
            code = self._variants[source_id].pop(variant_code)
            product = self._products[source_id][code]
            product["variants"].pop(variant_code)
            if not product["variants"]:
                del self._products[source_id][code]

    def set_sync_token(self, source_id: int, token: str) -> None:
        """Give the source another sync token: it wants everything again."""
        with self.lock:
            self.sources[source_id]["sync_token"] = token
            self.save()

    def save(self) -> None:
        """Write everything to the file, where there is one: whole or not at all."""
        if self._path is None:
            return
        beside = self._path.with_suffix(self._path.suffix + ".new")
        kept = {
            "products": self._products,
            "customers": self._customers,
            "sources": self.sources,
            "orders": self._orders,
            "primaries": self._primaries,
            "last_id": self._last_id,
        }
        beside.write_text(json.dumps(kept), "utf-8")
        beside.replace(self._path)

    def _load(self) -> None:
        path = self._path
        if path is None or not exists(path):
            return
        try:
            kept = json.loads(path.read_text("utf-8"))
            self._products, self._customers = (
                {int(number): held for number, held in kept[name].items()} for name in ("products", "customers")
            )
            self.sources = {int(number): source for number, source in kept["sources"].items()}
            self._orders = {int(number): order for number, order in kept["orders"].items()}
            self._last_id = int(kept["last_id"])
            self._primaries = {int(number): int(primary) for number, primary in kept.get("primaries", {}).items()}
            self._variants = {
                number: {key: code for code, product in products.items() for key in product["variants"]}
                for number, products in self._products.items()
            }
            known = set(self.sources)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{path} is not a sandbox's file.", hint="Name another file, or remove it.") from None
        if self._source_id not in known:
            raise UsageError(
                f"{path} is a sandbox of the source {', '.join(map(str, sorted(known)))}, not of {self._source_id}.",
                hint="Give that number with --source-id, or name another file.",
            )

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
