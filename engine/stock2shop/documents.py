"""Changes to Stock2Shop documents; pure.

One item a row, exactly the fields that the mapping gives: a field that a linked source does not map must not
overwrite what another source owns. A product's shape, one variant an item as an object, is that of Stock2Shop's
public developer pages for ``POST /products/queue``. A customer's is not public: it is put together from Stock2Shop's
public data objects, and the same in form as a product's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.fields import Field, Role


class _Place(NamedTuple):
    """What a field comes to in a document, looked up once for all rows."""

    name: str
    json_name: str
    placeholder_value: str
    type: str
    position: int


def document(
    entity: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    fields: Sequence[Field],
    source_id: int,
    sync_token: str,
    default_price_tier: str | None = None,
) -> bytes:
    """The JSON body that queues ``rows`` of ``entity``, in their order.

    Each row holds ``_key``, ``_group``, ``kind`` and the canonical fields by name. A row of kind ``delete`` becomes
    an item whose active flag is ``"false"``.
    """
    if entity == "customers":
        return customers(rows, fields=fields, source_id=source_id, sync_token=sync_token)
    return products(
        rows, fields=fields, source_id=source_id, sync_token=sync_token, default_price_tier=default_price_tier
    )


_ITEM = re.compile(r'(?:(?P<tier>"(?:[^"]|"")*"|[^,:"]*):)?(?P<price>[^,:"]+)(?:,|$)')


def products(
    rows: Iterable[Mapping[str, Any]],
    *,
    fields: Sequence[Field],
    source_id: int,
    sync_token: str,
    default_price_tier: str | None = None,
) -> bytes:
    """The JSON body that queues variants; Stock2Shop needs a title and a SKU even for one that is removed."""
    by_role = _places(fields)
    items = [
        {
            "source": {
                "source_id": source_id,
                "product_active": "false" if row["kind"] == "delete" else "true",
                "source_product_code": row["_group"],
                "sync_token": sync_token,
                "fetch_token": "0",
            },
            "product": _removal(row) if row["kind"] == "delete" else _product(row, by_role, default_price_tier),
        }
        for row in rows
    ]
    return _json({"system_products": items})


def customers(rows: Iterable[Mapping[str, Any]], *, fields: Sequence[Field], source_id: int, sync_token: str) -> bytes:
    """The JSON body that queues customers; of one that is removed only its code and what Stock2Shop knows it by."""
    by_role = _places(fields)
    items = [
        {
            "source": {
                "source_id": source_id,
                "customer_active": "false" if row["kind"] == "delete" else "true",
                "source_customer_code": row["_key"],
                "sync_token": sync_token,
            },
            "customer": {"source_customer_code": row["_key"], "email": row.get("email") or ""}
            if row["kind"] == "delete"
            else _customer(row, by_role),
        }
        for row in rows
    ]
    return _json({"system_customers": items})


def _places(fields: Iterable[Field]) -> defaultdict[Role, list[_Place]]:
    by_role: defaultdict[Role, list[_Place]] = defaultdict(list)
    for field in fields:
        position = field.position if field.role in {"option_name", "address"} else 0
        by_role[field.role].append(_Place(field.name, field.json_name, field.placeholder_value, field.type, position))
    return by_role


def _json(value: object) -> bytes:
    import orjson

    return orjson.dumps(value, default=_number)


def _number(value: Any) -> Any:
    import orjson

    if isinstance(value, Decimal):
        return orjson.Fragment(plain(value).encode())
    raise TypeError(type(value).__name__)


def plain(number: Decimal) -> str:
    """``number`` as digits, without an exponent and trailing zeros: a float would not hold every price."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def prices(canonical: str | None) -> tuple[Decimal | None, dict[str, Decimal]]:
    """The default price and the price tiers of a canonical ``csv_price_tiers``.

    >>> prices('100,"Retail, incl":120.5')
    (Decimal('100'), {'Retail, incl': Decimal('120.5')})
    """
    default, tiers = None, {}
    for item in _ITEM.finditer(canonical or ""):
        tier, price = item["tier"], Decimal(item["price"])
        if tier is None:
            default = price
        else:
            tiers[tier[1:-1].replace('""', '"') if tier.startswith('"') else tier] = price
    return default, tiers


def _removal(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": row.get("title") or row["_key"],
        "variants": {"source_variant_code": row["_key"], "sku": row.get("variants.sku") or row["_key"]},
    }


def _product(
    row: Mapping[str, Any], fields: Mapping[Role, Sequence[_Place]], default_tier: str | None
) -> dict[str, Any]:
    product: dict[str, Any] = {field.json_name: row[field.name] or "" for field in fields["product"]}
    variant: dict[str, Any] = {"source_variant_code": row["_key"]}
    for field in fields["variant"]:
        value = row[field.name]
        if field.type == "boolean":
            if value is not None:
                variant[field.json_name] = "true" if value else "false"
        else:
            variant[field.json_name] = value or (0 if field.type == "integer" else "")
    if fields["option"]:
        variant |= {field.json_name: row[field.name] for field in fields["option"]}
        named = ((field.position, row[field.name]) for field in fields["option_name"])
        product["options"] = [{"name": name, "position": position} for position, name in named if name is not None]
    if fields["meta"]:
        product["meta"] = [{"key": field.placeholder_value, "value": row[field.name] or ""} for field in fields["meta"]]
    if fields["warehouse"]:
        variant["qty_availability"] = [
            {"description": field.placeholder_value, "qty": row[field.name] or 0} for field in fields["warehouse"]
        ]
    product["variants"] = variant | _priced(row, fields, default_tier)
    return product


def _customer(row: Mapping[str, Any], fields: Mapping[Role, Sequence[_Place]]) -> dict[str, Any]:
    customer: dict[str, Any] = {"source_customer_code": row["_key"]}
    customer |= {field.json_name: _said(row, field) for field in fields["customer"]}
    addresses: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for field in fields["address"]:
        addresses[field.position][field.json_name] = _said(row, field)
    if addresses:
        # An address of which the source says nothing is none: a customer with one address has no blank second one.
        customer["addresses"] = [address for _, address in sorted(addresses.items()) if any(address.values())]
    if fields["user"]:
        customer["user"] = {field.json_name: _said(row, field) for field in fields["user"]}
    if fields["meta"]:
        customer["meta"] = [
            {"key": field.placeholder_value, "value": row[field.name] or ""} for field in fields["meta"]
        ]
    return customer


def _said(row: Mapping[str, Any], field: _Place) -> Any:
    return bool(row[field.name]) if field.type == "boolean" else row[field.name] or ""


def _priced(
    row: Mapping[str, Any], fields: Mapping[Role, Sequence[_Place]], default_tier: str | None
) -> dict[str, Any]:
    """The default price, where there is one, and the price tiers: an empty list too, so that a tier can go."""
    default: Decimal | None = None
    tiers: dict[str, Decimal] = {}
    for field in fields["prices"]:
        default, tiers = prices(row[field.name])
    tiers |= {field.placeholder_value: row[field.name] for field in fields["tier"] if row[field.name] is not None}
    for field in fields["price"]:
        default = default if row[field.name] is None else row[field.name]
    if default is None and default_tier is not None:
        default = tiers.get(default_tier)
    priced: dict[str, Any] = {} if default is None else {"price": default}
    if fields["prices"] or fields["tier"]:
        priced["price_tiers"] = [{"tier": tier, "price": price} for tier, price in sorted(tiers.items())]
    return priced


def texts(entity: str, document: Mapping[str, Any], fields: Sequence[Field]) -> list[list[str | None]]:
    """A product or a customer as Stock2Shop reads it back, as rows of text in the order of ``fields``.

    The inverse of :func:`document`, so that what is read back can be compared with what was sent. A product's shape
    is that of ``system_products`` in Stock2Shop's public search; what it leaves out is None.
    """
    return [_customer_texts(document, fields)] if entity == "customers" else _product_texts(document, fields)


def _customer_texts(document: Mapping[str, Any], fields: Sequence[Field]) -> list[str | None]:
    addresses, user = document.get("addresses") or [], document.get("user") or {}
    meta = {item.get("key"): item.get("value") for item in document.get("meta") or []}
    row: list[str | None] = []
    for field in fields:
        value: Any
        match field.role:
            case "address":
                value = addresses[field.position - 1].get(field.json_name) if field.position <= len(addresses) else None
            case "user":
                value = user.get(field.json_name)
            case "meta":
                value = meta.get(field.placeholder_value)
            case _:
                value = "Active" if field.type == "flag" else document.get(field.json_name)
        row.append(_text(value))
    return row


def _product_texts(document: Mapping[str, Any], fields: Sequence[Field]) -> list[list[str | None]]:
    variants = document.get("variants") or []
    meta = {item.get("key"): item.get("value") for item in document.get("meta") or []}
    names = {item.get("position"): item.get("name") for item in document.get("options") or []}
    own_tiers = {field.placeholder_value for field in fields if field.role == "tier"}
    rows = []
    for variant in variants:
        tiers = {item.get("tier"): item.get("price") for item in variant.get("price_tiers") or []}
        stock = {item.get("description"): item.get("qty") for item in variant.get("qty_availability") or []}
        row: list[str | None] = []
        for field in fields:
            value: Any
            match field.role:
                case "prices":
                    value = _csv(variant.get("price"), {t: p for t, p in tiers.items() if t not in own_tiers})
                case "tier":
                    value = tiers.get(field.placeholder_value)
                case "warehouse":
                    value = stock.get(field.placeholder_value)
                case "meta":
                    value = meta.get(field.placeholder_value)
                case "option_name":
                    value = names.get(field.position)
                case "product":
                    value = "Active" if field.type == "flag" else document.get(field.json_name)
                case _:
                    value = variant.get(field.json_name)
            row.append(_text(value))
        rows.append(row)
    return rows


def _csv(price: Any, tiers: Mapping[Any, Any]) -> str | None:
    items = [] if price is None else [str(_text(price))]
    for tier, value in tiers.items():
        quoted = '"' + str(tier).replace('"', '""') + '"'
        items.append(f"{quoted}:{_text(value)}")
    return ",".join(items) or None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
