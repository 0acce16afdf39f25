"""What a canonical row's prices and addresses come to in a document, to compare what Stock2Shop holds with it; pure.

The documents themselves are made in SQL, by :mod:`engine.sync.documents`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.fields import Field, Role
    from engine.model.settings import PriceSettings

    Json = dict[str, Any]
    Row = Mapping[str, Any]

ADDRESS_CONTENT = frozenset({"address_code", "address1", "address2", "city", "zip", "company", "phone"})
"""The parts of an address of which at least one must have a value: a type, a country or a name alone is no address."""

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


def _values(row: Row, parts: Iterable[tuple[str, str, Field]]) -> Json:
    return {name: bool(row[column]) if field.type == "boolean" else row[column] or "" for column, name, field in parts}
