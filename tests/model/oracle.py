"""What Stock2Shop must hold, from the source's rows and the documented rules alone; nothing comes from the engine.

:func:`judge` says of every row what the rules of ``docs/reference/rules.md`` make of it, and of every key that is sent
what Stock2Shop has to hold for it. Documents are compared in a form in which what means the same is the same: blanks
are left out, numbers are numbers, lists of pairs are dictionaries.

Where the documents leave open what a rule means for its neighbours, the row is *unclear*: it may be sent or not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model.sources import Row

Json = dict[str, Any]
Fate = Literal["active", "delete", "ignore", "quarantined", "unclear"]

FLAGS: dict[str, Fate] = {
    **dict.fromkeys(("active", "a", "true", "yes", "1", "publish", "active\\publish"), "active"),
    **dict.fromkeys(("delete", "d", "unpublish", "delete\\unpublish"), "delete"),
    **dict.fromkeys(("ignore", "i", "false", "no", "0", ""), "ignore"),
}
"""The part of the vocabulary in ``docs/reference/fields.md`` that histories use."""

LEAVING = {"products": ("vendor", "tags", "season", "barcode"), "customers": ("first", "note")}
"""Columns that may leave the view and come back; Stock2Shop keeps what it was sent of them."""

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

MAPPINGS: dict[str, dict[str, str]] = {
    "products": {
        "product": "source_product_code",
        "code": "source_variant_code",
        "title": "title",
        "active": "product_active",
        "qty": "variants.qty",
        "sku": "variants.sku",
        "track": "variants.inventory_management",
        "size": "variants.option1_value",
        "vendor": "vendor",
        "tags": "tags",
        "season": "meta_Season",
        "barcode": "variants.barcode",
    },
    "customers": {
        "code": "source_customer_code",
        "active": "customer_active",
        "email": "email",
        "first": "first_name",
        "last": "last_name",
        "news": "accepts_marketing",
        "tier": "price_tier",
        "street": "address1.address1",
        "city": "address1.city",
        "street2": "address2.address1",
        "city2": "address2.city",
        "note": "meta_Note",
    },
}

PRICES = {
    "csv": {"prices": "csv_price_tiers"},
    "columns": {"price": "variants.price", "trade": "price_Trade", "cape": "qty_Cape"},
    "both": {"prices": "csv_price_tiers", "price": "variants.price"},
}
"""How a products view may say its prices; the last takes the default price from the column, and tiers from the CSV."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What Stock2Shop holds for a key: its product, the product's fields, and its own."""

    product: str
    shared: Mapping[str, Any]
    own: Mapping[str, Any]
    unsaid: frozenset[str] = frozenset()
    """Fields of which the source says nothing, and for which the API has no known way to say nothing."""


@dataclass(kw_only=True)
class Catalogue:
    """What becomes of the rows of one read."""

    rows: int = 0
    fates: dict[str, Fate] = field(default_factory=dict)
    expected: dict[str, Expected] = field(default_factory=dict)
    vague_products: set[str] = field(default_factory=set)
    """Products of which a row is unclear, so that what their fields are is unclear too."""
    blank_rows: int = 0
    shown: set[str] = field(default_factory=set)
    """Every key that the read shows, whatever becomes of it."""


def blank(value: str | None) -> bool:
    """Whether a value says nothing."""
    return value is None or not value.strip()


def text(value: str | None) -> str | None:
    """A text as it is compared; None for blank."""
    return None if value is None or not value.strip() else value.rstrip()


def number(value: str | None) -> Decimal | None:
    """A number. Raises :class:`InvalidOperation` for what is none."""
    return None if value is None or not value.strip() else Decimal(value.strip())


def count(value: str | None) -> int:
    """A quantity as it is sent: negative ones as 0, fractions rounded down, blank as 0."""
    found = number(value)
    return max(0, int(found.to_integral_value("ROUND_FLOOR"))) if found is not None else 0


def tags(value: str | None) -> frozenset[str]:
    """Tags, whose order does not matter."""
    return frozenset(tag.strip() for tag in (value or "").split(",") if tag.strip())


def prices(value: str | None) -> tuple[Decimal | None, dict[str, Decimal]]:
    """The default price and the tiers of a CSV. Raises :class:`InvalidOperation` for what is none."""
    default, tiers = None, {}
    for item in (value or "").split(","):
        if not item.strip():
            continue
        tier, colon, price = item.rpartition(":")
        if colon:
            tiers[tier.strip()] = Decimal(price.strip())
        else:
            default = Decimal(price.strip())
    return default, tiers


def judge(entity: str, rows: Iterable[Row], mapped: Iterable[str]) -> Catalogue:
    """What becomes of ``rows``; ``mapped`` are the columns of the table that the view shows."""
    rows, columns = list(rows), set(mapped)
    found = Catalogue(rows=len(rows), blank_rows=sum(blank(row["code"]) for row in rows))
    times = Counter(str(row["code"]).strip() for row in rows if not blank(row["code"]))
    found.shown = set(times)
    single = [row for row in rows if not blank(row["code"]) and times[str(row["code"]).strip()] == 1]
    for key, many in times.items():
        if many > 1:
            found.fates[key] = "quarantined"
    wrong = product_errors if entity == "products" else customer_errors
    for row in single:
        flag = FLAGS.get((row["active"] or "").strip().lower())
        fate: Fate = "quarantined" if flag is None else flag
        if fate in {"active", "delete"} and wrong(row, columns):
            fate = "quarantined" if fate == "active" else "unclear"
        found.fates[str(row["code"]).strip()] = fate
    if entity == "products":
        _compare_rows(found, single, rows)
        _expect_products(found, single, columns)
    else:
        for row in single:
            key = str(row["code"]).strip()
            if found.fates[key] in {"active", "unclear"}:
                found.expected[key] = customer(row, columns)
    return found


def product_errors(row: Row, mapped: set[str]) -> bool:
    """Whether a row breaks a rule by itself."""
    if any(blank(row[name]) for name in ("product", "title", "sku")):
        return True
    if not blank(row["track"]) and (row["track"] or "").strip().lower() not in BOOLEANS:
        return True
    try:
        default, tiers = prices(row["prices"]) if "prices" in mapped else (None, {})
        said = [default, *tiers.values()]
        said += [number(row[name]) for name in ("price", "trade") if name in mapped]
        for name in ("qty", "cape"):
            if name in mapped:
                count(row[name])
    except InvalidOperation:
        return True
    return any(price is not None and price < 0 for price in said)


def customer_errors(row: Row, _mapped: set[str]) -> bool:
    """Whether a row breaks a rule by itself."""
    if blank(row["email"]) or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", (row["email"] or "").strip()):
        return True
    return not blank(row["news"]) and (row["news"] or "").strip().lower() not in BOOLEANS


def _compare_rows(found: Catalogue, single: list[Row], rows: list[Row]) -> None:
    """Apply the rules that look at more than one row: SKUs and options."""
    active = [row for row in single if _flag(row) == "active"]
    sound = [row for row in active if found.fates[str(row["code"]).strip()] == "active"]
    skus = Counter(text(row["sku"]) for row in sound if not blank(row["sku"]))
    every_sku = Counter(text(row["sku"]) for row in rows if not blank(row["sku"]))
    products = defaultdict(list)
    for row in active:
        if not blank(row["product"]):
            products[str(row["product"]).strip()].append(row)
    for row in active:
        key, sku = str(row["code"]).strip(), text(row["sku"])
        if found.fates[key] != "active" or sku is None:
            continue
        if skus[sku] > 1:
            found.fates[key] = "quarantined"
        elif every_sku[sku] > 1:
            found.fates[key] = "unclear"
    for siblings in products.values():
        sound = [row for row in siblings if found.fates[str(row["code"]).strip()] == "active"]
        for row in siblings:
            key = str(row["code"]).strip()
            if found.fates[key] != "active":
                continue
            if _options_clash(row, sound):
                found.fates[key] = "quarantined"
            elif any(_options_clash(each, siblings) for each in siblings):
                found.fates[key] = "unclear"


def _options_clash(row: Row, siblings: list[Row]) -> bool:
    """Whether a variant has an option that another lacks, or the same one as another."""
    return any(
        blank(row["size"]) != blank(other["size"]) or text(row["size"]) == text(other["size"])
        for other in siblings
        if other is not row
    )


def _flag(row: Row) -> Fate | None:
    return FLAGS.get((row["active"] or "").strip().lower())


def _expect_products(found: Catalogue, single: list[Row], mapped: set[str]) -> None:
    speakers: dict[str, Row] = {}
    for row in sorted(single, key=lambda row: str(row["code"]).strip()):
        fate = found.fates[str(row["code"]).strip()]
        if fate == "active":
            speakers.setdefault(str(row["product"]).strip(), row)
        elif fate == "unclear":
            found.vague_products.add(str(row["product"] or "").strip())
    for row in single:
        key = str(row["code"]).strip()
        if found.fates[key] in {"active", "unclear"} and not blank(row["product"]):
            speaker = speakers.get(str(row["product"]).strip(), row)
            found.expected[key] = product(row, speaker, mapped)


def product(row: Row, speaker: Row, mapped: set[str]) -> Expected:
    """What Stock2Shop holds for a variant; ``speaker`` is the row whose product fields are sent for all of them."""
    default, tiers = prices(row["prices"]) if "prices" in mapped and not _broken(row) else (None, {})
    own: Json = {"sku": text(row["sku"]), "option1": text(row["size"])}
    if "barcode" in mapped:
        own["barcode"] = text(row["barcode"])
    unsaid = set()
    try:
        if "price" in mapped and not blank(row["price"]):
            default = number(row["price"])
        if "trade" in mapped and not blank(row["trade"]):
            tiers["Trade"] = number(row["trade"]) or Decimal(0)
        own["qty"] = count(row["qty"])
        if "cape" in mapped:
            own["warehouses"] = {"Cape": count(row["cape"])}
    except InvalidOperation:
        pass  # the row is unclear at most
    own["price"], own["tiers"] = default, tiers
    own["tracked"] = None if blank(row["track"]) else BOOLEANS.get((row["track"] or "").strip().lower())
    unsaid |= {name for name in ("price", "tracked") if own[name] is None}
    shared: Json = {
        "title": text(speaker["title"]),
        "vendor": text(speaker["vendor"]),
        "tags": tags(speaker["tags"]),
        "season": {} if blank(speaker["season"]) else {"Season": text(speaker["season"])},
    }
    shared = {{"season": "meta"}.get(name, name): said for name, said in shared.items() if name in mapped}
    return Expected(product=str(row["product"]).strip(), shared=shared, own=own, unsaid=frozenset(unsaid))


def _broken(row: Row) -> bool:
    try:
        prices(row["prices"])
    except InvalidOperation:
        return True
    return False


def customer(row: Row, mapped: set[str]) -> Expected:
    """What Stock2Shop holds for a customer."""
    addresses = [
        {name: said for name, said in (("address1", text(street)), ("city", text(city))) if said}
        for street, city in ((row["street"], row["city"]), (row["street2"], row["city2"]))
    ]
    own: Json = {
        "email": text(row["email"]),
        "last_name": text(row["last"]),
        "accepts_marketing": bool(BOOLEANS.get((row["news"] or "").strip().lower())),
        "price_tier": text(row["tier"]),
        "addresses": _sorted(addresses),
    }
    if "first" in mapped:
        own["first_name"] = text(row["first"])
    if "note" in mapped:
        own["meta"] = {} if blank(row["note"]) else {"Note": text(row["note"])}
    return Expected(product=str(row["code"]).strip(), shared={}, own=own)


def _sorted(addresses: Iterable[Json]) -> list[Json]:
    return sorted((address for address in addresses if address), key=lambda one: sorted(one.items()))


def understood(entity: str, code: str, document: Json) -> Expected:
    """A document as Stock2Shop holds it, or an item as it is sent, in the form that is compared.

    A product's ``document`` is the variant with its product's fields beside its own.
    """
    if entity == "customers":
        user = document.get("user") or {}
        own: Json = {name: document.get(name) or None for name in ("email", "first_name", "last_name")}
        own["accepts_marketing"] = bool(document.get("accepts_marketing"))
        own["price_tier"] = user.get("price_tier") or None
        own["meta"] = _pairs(document, "meta", "key", "value")
        own["addresses"] = _sorted(
            {name: said for name, said in address.items() if said} for address in document.get("addresses") or []
        )
        return Expected(product=code, shared={}, own=own)
    own = {name: document.get(name) or None for name in ("sku", "barcode", "option1")}
    own["qty"] = int(document.get("qty") or 0)
    own["price"] = None if document.get("price") is None else Decimal(str(document["price"]))
    own["tiers"] = {
        name: Decimal(str(price)) for name, price in _pairs(document, "price_tiers", "tier", "price").items()
    }
    own["tracked"] = {"true": True, "false": False}.get(str(document.get("inventory_management")))
    if "qty_availability" in document:
        own["warehouses"] = {
            name: int(qty) for name, qty in _pairs(document, "qty_availability", "description", "qty").items()
        }
    shared = {
        "title": document.get("title") or None,
        "vendor": document.get("vendor") or None,
        "tags": tags(document.get("tags")),
        "meta": _pairs(document, "meta", "key", "value"),
    }
    return Expected(product=code, shared=shared, own=own)


def _pairs(document: Json, name: str, key: str, value: str) -> Json:
    """A list of pairs as a dictionary, without blanks."""
    return {entry[key]: entry[value] for entry in document.get(name) or [] if entry[value] not in {None, ""}}


def differences(expected: Expected, held: Expected, *, shared: bool = True) -> list[str]:
    """What differs, field by field, in words; the fields of the product only where ``shared``."""
    found = []
    parts = [("", expected.own, held.own), *([("product ", expected.shared, held.shared)] if shared else [])]
    for level, wanted, got in parts:
        found += [
            f"{level}{name}: {got.get(name)!r} instead of {wanted[name]!r}"
            for name in wanted
            if wanted[name] != got.get(name)
        ]
    if expected.product != held.product:
        found.append(f"product: {held.product!r} instead of {expected.product!r}")
    return found
