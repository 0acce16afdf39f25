"""Changes to Stock2Shop documents; pure.

One item a variant, the variant as an object, exactly the fields that the mapping gives: a field that a linked
source does not map must not overwrite what another source owns. The shape is that of Stock2Shop's public developer
pages for ``POST /products/queue``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.contract import Field

_ITEM = re.compile(r'(?:(?P<tier>"(?:[^"]|"")*"|[^,:"]*):)?(?P<price>[^,:"]+)(?:,|$)')


def products(
    rows: Iterable[Mapping[str, Any]],
    *,
    fields: Sequence[Field],
    source_id: int,
    sync_token: str,
    default_price_tier: str | None = None,
) -> bytes:
    """The JSON body that queues ``rows``, in their order.

    Each row holds ``_key``, ``_group``, ``kind`` and the canonical fields by name. A row of kind ``delete`` becomes
    an item with ``product_active: "false"``; Stock2Shop needs a title and a SKU even there.
    """
    import orjson  # noqa: PLC0415 - kept out of the start-up of `s2s --help`

    items = [
        {
            "source": {
                "source_id": source_id,
                "product_active": "false" if row["kind"] == "delete" else "true",
                "source_product_code": row["_group"],
                "sync_token": sync_token,
                "fetch_token": "0",
            },
            "product": _removal(row) if row["kind"] == "delete" else _product(row, fields, default_price_tier),
        }
        for row in rows
    ]
    return orjson.dumps({"system_products": items}, default=_number)


def _number(value: Any) -> Any:
    import orjson  # noqa: PLC0415 - see products

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


def _product(row: Mapping[str, Any], fields: Sequence[Field], default_price_tier: str | None) -> dict[str, Any]:
    product: dict[str, Any] = {}
    variant: dict[str, Any] = {"source_variant_code": row["_key"]}
    tiers: dict[str, Decimal] = {}
    options: list[dict[str, Any]] = []
    meta: list[dict[str, str]] = []
    quantities: list[dict[str, Any]] = []
    default: Decimal | None = None
    mapped_options = mapped_tiers = False
    for field in fields:
        value = row[field.name]
        name = field.name.removeprefix("variants.")
        if field.type == "prices":
            mapped_tiers = True
            default, found = prices(value)
            tiers = {**found, **tiers}
        elif field.name.startswith("price_"):
            mapped_tiers = True
            if value is not None:
                tiers[field.part] = value
        elif field.name.startswith("qty_"):
            quantities.append({"description": field.part, "qty": value or 0})
        elif field.name.startswith("meta_"):
            meta.append({"key": field.part, "value": value or ""})
        elif name.startswith("option") and name.endswith("_value"):
            mapped_options = True
            variant[name.removesuffix("_value")] = value
        elif name.startswith("option") and name.endswith("_name"):
            if value is not None:
                options.append({"name": value, "position": int(name[6])})
        elif field.type == "boolean":
            if value is not None:
                variant[name] = "true" if value else "false"
        elif name == "price":
            default = value if value is not None else default
        elif field.type == "integer":
            variant[name] = value or 0
        else:
            (variant if field.level == "variant" else product)[name] = value or ""
    if mapped_options:
        product["options"] = options
    if meta:
        product["meta"] = meta
    if default is None and default_price_tier is not None:
        default = tiers.get(default_price_tier)
    if default is not None:
        variant["price"] = default
    if mapped_tiers:
        # An empty list too: a tier that is gone from the source goes from Stock2Shop.
        variant["price_tiers"] = [{"tier": tier, "price": price} for tier, price in sorted(tiers.items())]
    if quantities:
        variant["qty_availability"] = quantities
    product["variants"] = variant
    return product


def texts(document: Mapping[str, Any], fields: Sequence[Field]) -> list[list[str | None]]:
    """A product as Stock2Shop reads it back, as rows of text in the order of ``fields``: one row a variant.

    The inverse of :func:`products`, so that what is read back can be compared with what was sent. The shape is that
    of ``system_products`` in Stock2Shop's public search; what it leaves out is None.
    """
    variants = document.get("variants") or []
    meta = {item.get("key"): item.get("value") for item in document.get("meta") or []}
    names = {item.get("position"): item.get("name") for item in document.get("options") or []}
    own_tiers = {field.part for field in fields if field.name.startswith("price_")}
    rows = []
    for variant in variants:
        tiers = {item.get("tier"): item.get("price") for item in variant.get("price_tiers") or []}
        stock = {item.get("description"): item.get("qty") for item in variant.get("qty_availability") or []}
        row: list[str | None] = []
        for field in fields:
            name = field.name.removeprefix("variants.")
            value: Any
            if field.type == "flag":
                value = "Active"
            elif field.type == "prices":
                value = _csv(variant.get("price"), {t: p for t, p in tiers.items() if t not in own_tiers})
            elif field.name.startswith("price_"):
                value = tiers.get(field.part)
            elif field.name.startswith("qty_"):
                value = stock.get(field.part)
            elif field.name.startswith("meta_"):
                value = meta.get(field.part)
            elif name.startswith("option") and name.endswith("_name"):
                value = names.get(int(name[6]))
            elif name.startswith("option") and name.endswith("_value"):
                value = variant.get(name.removesuffix("_value"))
            elif field.level == "variant":
                value = variant.get(name)
            else:
                value = document.get(name)
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
