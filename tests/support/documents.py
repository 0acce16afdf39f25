"""Stock2Shop documents of rows in plain Python: what the engine's own, made in SQL, are compared with.

Nothing of the engine makes them, so that a fault there cannot be here too.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.model.settings import PriceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.fields import Field, Role

    Json = dict[str, Any]
    Row = Mapping[str, Any]

NO_PRICES = PriceSettings()
"""Nothing is sent where the source gives no price."""

ADDRESS_CONTENT = frozenset({"address_code", "address1", "address2", "city", "zip", "company", "phone"})
"""The parts of an address of which at least one must have a value: a type, a country or a name alone is no address."""

NUMBER = "\ue000"
"""Stands for a price until it is written: no value has it."""

_PRICE = re.compile(r'(?:(?P<tier>"(?:[^"]|"")*"|[^,:"]*):)?(?P<price>[^,:"]+)(?:,|$)')


class Places:
    """Where each field of a mapping stands in a document, looked up once for all rows."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._by_role: defaultdict[Role, list[tuple[str, str, Field]]] = defaultdict(list)
        addresses: defaultdict[int, list[tuple[str, str, Field]]] = defaultdict(list)
        for field in fields:
            place = (field.name, field.json_name, field)
            self._by_role[field.role].append(place)
            if field.role == "address":
                addresses[field.position].append(place)
        self.addresses = [addresses[position] for position in sorted(addresses)]
        """The fields of each address, by its number."""
        self.option_positions = {name: field.position for name, _, field in self.of("option_name")}

    def of(self, role: Role) -> Sequence[tuple[str, str, Field]]:
        """The column, the name in a document and the field of each field of ``role``."""
        return self._by_role[role]


def document(
    entity: str,
    rows: Iterable[Row],
    *,
    fields: Sequence[Field],
    source_id: int,
    sync_token: str,
    price_settings: PriceSettings = NO_PRICES,
) -> bytes:
    """The JSON body that queues ``rows`` of ``entity``, in their order.

    Each row holds ``_key``, ``_group``, ``kind`` and the canonical fields by name. A row of kind ``delete`` becomes
    an item whose active flag is ``"false"``.
    """
    places = Places(fields)
    items = []
    for row in rows:
        active = "false" if row["kind"] == "delete" else "true"
        if entity == "customers":
            source = {"source_id": source_id, "customer_active": active, "source_customer_code": row["_key"]}
            content = customer(row, places) if active == "true" else _customer_removal(row)
            items.append({"source": {**source, "sync_token": sync_token}, "customer": content})
        else:
            source = {"source_id": source_id, "product_active": active, "source_product_code": row["_group"]}
            content = product(row, places, price_settings) if active == "true" else _product_removal(row)
            items.append({"source": {**source, "sync_token": sync_token, "fetch_token": "0"}, "product": content})
    return _json({f"system_{entity}": items})


def product(row: Row, places: Places, settings: PriceSettings) -> Json:
    """A product with one variant, ``row``.

    A variant's blank boolean is left out, and so is a blank default price unless ``settings`` have a price for it:
    Stock2Shop has no word for them.
    """
    content: Json = {name: row[column] or "" for column, name, _ in places.of("product")}
    variant: Json = {"source_variant_code": row["_key"]}
    for column, name, field in places.of("variant"):
        value = row[column]
        if field.type == "boolean":
            if value is not None:
                variant[name] = "true" if value else "false"
        else:
            variant[name] = value or (0 if field.type == "integer" else "")
    if places.of("option"):
        variant |= {name: row[column] for column, name, _ in places.of("option")}
        names = ((position, row[column]) for column, position in places.option_positions.items())
        content["options"] = [{"name": name, "position": position} for position, name in names if name is not None]
    if places.of("warehouse"):
        variant["qty_availability"] = [
            {"description": field.placeholder_value, "qty": row[column] or 0}
            for column, _, field in places.of("warehouse")
        ]
    default, tiers = row_prices(row, places, settings)
    if default is not None:
        variant["price"] = default
    if places.of("prices") or places.of("tier"):
        # An empty list too, so that a tier can go.
        variant["price_tiers"] = [{"tier": tier, "price": price} for tier, price in sorted(tiers.items())]
    return {**content, **_meta(row, places), "variants": variant}


def customer(row: Row, places: Places) -> Json:
    """A customer. A blank is sent as such, a blank boolean as false."""
    content: Json = {"source_customer_code": row["_key"], **_values(row, places.of("customer"))}
    if places.addresses:
        content["addresses"] = [one for parts in places.addresses if (one := address(row, parts)) is not None]
    if places.of("user"):
        content["user"] = _values(row, places.of("user"))
    return {**content, **_meta(row, places)}


def address(row: Row, parts: Sequence[tuple[str, str, Field]]) -> Json | None:
    """One address of a customer, or None where the source says nothing of a place."""
    values = _values(row, parts)
    return values if any(value for name, value in values.items() if name in ADDRESS_CONTENT) else None


def row_prices(row: Row, places: Places, settings: PriceSettings) -> tuple[Decimal | None, dict[str, Decimal]]:
    """The default price, or None, and the price tiers of a row, from all columns that say some, and for blank ones."""
    default: Decimal | None = None
    tiers: dict[str, Decimal] = {}
    for column, _, _ in places.of("prices"):
        default, tiers = prices(row[column])
    tiers |= {field.placeholder_value: row[column] for column, _, field in places.of("tier") if row[column] is not None}
    for column, _, _ in places.of("price"):
        default = default if row[column] is None else row[column]
    if default is None and settings.default_tier is not None:
        default = tiers.get(settings.default_tier)
    if settings.blank_tier is not None:
        for _, _, field in places.of("tier"):
            tiers.setdefault(field.placeholder_value, settings.blank_tier)
    return settings.blank if default is None else default, tiers


def prices(canonical: str | None) -> tuple[Decimal | None, dict[str, Decimal]]:
    """The default price and the price tiers of a canonical ``csv_price_tiers``.

    >>> prices('100,"Retail, incl":120.5')
    (Decimal('100'), {'Retail, incl': Decimal('120.5')})
    """
    default, tiers = None, {}
    for item in _PRICE.finditer(canonical or ""):
        tier, price = item["tier"], Decimal(item["price"])
        if tier is None:
            default = price
        else:
            tiers[tier[1:-1].replace('""', '"') if tier.startswith('"') else tier] = price
    return default, tiers


def plain(number: Decimal) -> str:
    """``number`` as digits, without an exponent and trailing zeros: a float would not hold every price."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _product_removal(row: Row) -> Json:
    """What a removed variant is known by: Stock2Shop needs a title and a SKU even then."""
    variant = {"source_variant_code": row["_key"], "sku": row.get("variants.sku") or row["_key"]}
    return {"title": row.get("title") or row["_key"], "variants": variant}


def _customer_removal(row: Row) -> Json:
    """What a removed customer is known by."""
    return {"source_customer_code": row["_key"], "email": row.get("email") or ""}


def _values(row: Row, parts: Iterable[tuple[str, str, Field]]) -> Json:
    return {name: bool(row[column]) if field.type == "boolean" else row[column] or "" for column, name, field in parts}


def _meta(row: Row, places: Places) -> Json:
    meta = places.of("meta")
    if not meta:
        return {}
    return {"meta": [{"key": field.placeholder_value, "value": row[column] or ""} for column, _, field in meta]}


def _json(value: object) -> bytes:
    """``value`` as JSON; a price as all its digits."""
    numbers: list[str] = []

    def number(value: object) -> str:
        assert isinstance(value, Decimal)
        numbers.append(plain(value))
        return f"{NUMBER}{len(numbers) - 1}"

    text = json.dumps(value, ensure_ascii=False, default=number, separators=(",", ":"))
    return re.sub(rf'"{NUMBER}(\d+)"', lambda found: numbers[int(found[1])], text).encode()
