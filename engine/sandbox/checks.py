"""The sandbox's checks of what a request asks for, and its search.

The checks are those that Stock2Shop documents, and stricter where a mistake would be silent. Pure functions over
parsed JSON; what does not pass raises :class:`RefusalError`.
"""

from __future__ import annotations

import hashlib
import json
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

Json = dict[str, Any]

MAX_ITEMS = 500
"""Items a request, as Stock2Shop's incumbent agent sends at most."""

REQUIRED = {
    "source": ("source_id", "product_active", "source_product_code", "sync_token", "fetch_token"),
    "product": ("title",),
    "variants": ("source_variant_code", "sku"),
}
"""What Stock2Shop's API itself needs in an item."""

TEXTS = {
    "source": ("product_active", "source_product_code", "sync_token", "fetch_token"),
    "product": ("title", "body_html", "collection", "product_type", "tags", "vendor"),
    "variants": ("source_variant_code", "sku", "barcode", "inventory_management"),
}

MAX_RESULT_WINDOW = 10_000
"""How far into its hits Elasticsearch goes: the default of ``index.max_result_window``."""


class RefusalError(Exception):
    """An answer other than 200, as a JSON error document."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.document: Json = {"error": {"message": message, **more}}


def parse_json(raw: bytes) -> Any:
    """The JSON value of a request's body; raises :class:`RefusalError` where it is not JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        raise RefusalError(400, "The body is not JSON.") from None


def json_object(raw: bytes) -> Json:
    """The JSON object of a request's body; raises :class:`RefusalError` where it is anything else."""
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise RefusalError(400, "The body is not a JSON object.")
    return body


def stored_item(stored: dict[str, Json], request: Request) -> Json:
    """Everything stored, or the one item that the request asks for by its code."""
    code = request.query_params.get("code")
    if code is None:
        return stored
    if code not in stored:
        raise RefusalError(404, f"{code} is not held.")
    return stored[code]


def count_items(body: Any) -> int:
    """How many items a request queues."""
    lists = (body.get(name) for name in ("system_products", "system_customers")) if isinstance(body, dict) else ()
    return sum(len(items) for items in lists if isinstance(items, list))


def request_items(body: Any, name: str) -> list[Json]:
    """The items that a request queues under ``name``: at least one, and at most :data:`MAX_ITEMS`."""
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not items:
        raise RefusalError(400, f"{name} needs a list with at least one item.")
    if len(items) > MAX_ITEMS:
        raise RefusalError(413, f"{len(items)} items are too many: {MAX_ITEMS} at most.")
    return items


def search(name: str, stored: list[Json], body: Any, *, document: Callable[[Json], Json] = dict) -> Json:
    """The answer to a search among ``stored``, by id; ``document`` makes of each what is answered."""
    if not isinstance(body, dict):
        raise RefusalError(400, "The search is not an object.")
    size, start = body.get("size", 10), body.get("from", 0)
    if not (is_whole_number(size) and is_whole_number(start) and size + start <= MAX_RESULT_WINDOW):
        raise RefusalError(400, f"size and from need numbers, together at most {MAX_RESULT_WINDOW}.")
    if not isinstance(body.get("query", {}), dict) or not isinstance(body.get("sort", {}), (dict, list)):
        raise RefusalError(400, "query needs an object, sort an object or a list.")
    terms = list(_terms(body.get("query")))
    found = [entry for entry in stored if all(_matches(entry.get(name), how, value) for name, how, value in terms)]
    found.sort(key=lambda entry: int(entry["id"]))
    return {"total": len(found), name: [document(entry) for entry in found[start : start + size]]}


def check_customer(number: int, item: Any, source_id: int) -> None:
    """The checks on one customer, made like those on a product: what Stock2Shop's own are is not public."""
    source, customer = (item.get(name) if isinstance(item, dict) else None for name in ("source", "customer"))

    def refuse(field: str, message: str) -> None:
        code = source.get("source_customer_code") if isinstance(source, dict) else None
        shown = code if isinstance(code, str) else None
        raise RefusalError(400, message, index=number, source_customer_code=shown, field=field)

    if not isinstance(source, dict) or not isinstance(customer, dict):
        refuse("source", "An item needs source and customer, as objects.")
        return
    for name in ("source_customer_code", "customer_active", "sync_token"):
        if not isinstance(source.get(name), str) or not source[name]:
            refuse(f"source.{name}", f"source.{name} needs a text.")
    if source.get("source_id") != source_id:
        refuse("source.source_id", "source.source_id is not the source of the request.")
    if source["customer_active"] not in {"true", "false"}:
        refuse("source.customer_active", 'source.customer_active needs "true" or "false".')
    if customer.get("source_customer_code") != source["source_customer_code"]:
        refuse("customer.source_customer_code", "customer.source_customer_code is not that of its source.")
    if source["customer_active"] == "true" and (
        not isinstance(customer.get("email"), str) or "@" not in customer["email"]
    ):
        refuse("customer.email", "customer.email needs an address.")
    for name in ("first_name", "last_name"):
        if not isinstance(customer.get(name, ""), str):
            refuse(f"customer.{name}", f"customer.{name} needs a text.")
    for name in ("addresses", "meta"):
        entries = customer.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            refuse(f"customer.{name}", f"customer.{name} needs a list of objects.")


def refusal(number: int, item: Any, name: str, message: str) -> RefusalError:
    """The refusal of the product item at index ``number``, which names its variant and the field ``name``."""
    code = None
    if isinstance(item, dict) and isinstance(item.get("product"), dict):
        variant = item["product"].get("variants")
        code = variant.get("source_variant_code") if isinstance(variant, dict) else None
    return RefusalError(
        400, message, index=number, source_variant_code=code if isinstance(code, str) else None, field=name
    )


def check_product(number: int, item: Any, source_id: int) -> None:
    """The documented checks on one item; raises with its index, its variant's code and the field."""
    parts: Json = {"source": None, "product": None}
    if isinstance(item, dict):
        parts = {"source": item.get("source"), "product": item.get("product")}
    for name in ("source", "product"):
        if not isinstance(parts[name], dict):
            raise refusal(number, item, name, f"{name} needs an object.")
    parts["variants"] = parts["product"].get("variants")
    if not isinstance(parts["variants"], dict):
        raise refusal(number, item, "product.variants", "variants needs one variant, as an object.")
    for part, names in REQUIRED.items():
        for name in names:
            if parts[part].get(name) in (None, ""):
                raise refusal(number, item, f"{part}.{name}", f"{part}.{name} is required.")
    for part, names in TEXTS.items():
        for name in names:
            if not isinstance(parts[part].get(name, ""), str):
                raise refusal(number, item, f"{part}.{name}", f"{part}.{name} needs a text.")
    if parts["source"]["source_id"] != source_id:
        raise refusal(number, item, "source.source_id", "source.source_id is not the source of the request.")
    if parts["source"]["product_active"] not in {"true", "false"}:
        raise refusal(number, item, "source.product_active", 'source.product_active needs "true" or "false".')
    _check_variant(number, item, parts["variants"])
    for name, keys in (("options", ("name", "position")), ("meta", ("key", "value"))):
        _check_list(number, item, parts["product"].get(name, []), f"product.{name}", keys)


def _check_variant(number: int, item: Any, variant: Json) -> None:
    for name in ("qty", "grams"):
        if name in variant and not is_whole_number(variant[name]):
            raise refusal(number, item, f"variants.{name}", f"variants.{name} needs a whole number, not negative.")
    if "price" in variant and not _number(variant["price"]):
        raise refusal(number, item, "variants.price", "variants.price needs a number, not negative.")
    for name in ("option1", "option2", "option3"):
        if not isinstance(variant.get(name), (str, type(None))):
            raise refusal(number, item, f"variants.{name}", f"variants.{name} needs a text or null.")
    if variant.get("inventory_management", "true") not in {"true", "false"}:
        raise refusal(number, item, "variants.inventory_management", 'inventory_management needs "true" or "false".')
    _check_list(number, item, variant.get("price_tiers", []), "variants.price_tiers", ("tier", "price"))
    _check_list(number, item, variant.get("qty_availability", []), "variants.qty_availability", ("description", "qty"))


def _check_list(number: int, item: Any, entries: Any, name: str, keys: tuple[str, str]) -> None:
    if not isinstance(entries, list):
        raise refusal(number, item, name, f"{name} needs a list.")
    for entry in entries:
        sound = isinstance(entry, dict) and isinstance(entry.get(keys[0]), str)
        value = entry.get(keys[1]) if isinstance(entry, dict) else None
        right = {"price": _number(value), "value": isinstance(value, str)}.get(keys[1], is_whole_number(value))
        if not sound or not right:
            raise refusal(number, item, name, f"{name} needs entries of {keys[0]} and {keys[1]}.")


def is_whole_number(value: object) -> bool:
    """Whether ``value`` is an integer that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


MATCHING_TYPES: dict[type, Callable[[Any], bool]] = {
    bool: lambda value: isinstance(value, bool),
    list: lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    float: _number,
    int: is_whole_number,
}
"""Whether a value may replace another of the given type."""


def _terms(query: Any) -> Iterator[tuple[str, str, Any]]:
    """Field, comparison and value of every term, match and range in an Elasticsearch query, however they are nested."""
    if isinstance(query, list):
        for part in query:
            yield from _terms(part)
    elif isinstance(query, dict):
        for name, value in query.items():
            if name in {"term", "match"} and isinstance(value, dict):
                for column, wanted in value.items():
                    plain = wanted.get("value", wanted.get("query")) if isinstance(wanted, dict) else wanted
                    yield column.removesuffix(".keyword"), "eq", plain
            elif name == "range" and isinstance(value, dict):
                for column, bounds in value.items():
                    yield from ((column, how, bound) for how, bound in bounds.items() if isinstance(bounds, dict))
            else:
                yield from _terms(value)


def _matches(value: Any, how: str, wanted: Any) -> bool:
    if how == "eq":
        return str(value) == str(wanted)
    if not isinstance(value, int) or not isinstance(wanted, int):
        return False
    compare = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}.get(how)
    return compare is not None and bool(compare(value, wanted))


def product_document(product: Json) -> Json:
    """A stored product as the search answers it: its variants as a list, and a hash of everything."""
    variants = sorted(product["variants"].values(), key=lambda variant: str(variant["source_variant_code"]))
    checksum = hashlib.md5(json.dumps([product, variants], sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    return {**product, "variants": variants, "hash": checksum}
