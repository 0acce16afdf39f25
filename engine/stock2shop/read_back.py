"""Read products and customers as Stock2Shop holds them; the inverse of :mod:`engine.sync.documents`.

What Stock2Shop holds of a row comes out as text, in the order of a view's columns. One document may be what several
rows come to: a blank and a zero quantity, prices in one column or in many, a second address that is the only one. So
what is held is compared as a document with the row that it should be, and wherever the two agree the row's own value
comes out. What was sent and is held is thus no difference, whatever the mapping.

Nothing in a document is relied on: what has not the documented type counts as blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from engine.stock2shop.sent_values import Places, address, plain, prices, row_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.model.fields import Entity, Field
    from engine.model.settings import PriceSettings

    Json = Mapping[str, Any]
    Row = Mapping[str, Any]
    Texts = list[str | None]


class Held:
    """One row as Stock2Shop holds it: the key, its product where there is one, and the parts of its document."""

    __slots__ = ("group", "key", "shared", "variant")

    def __init__(self, key: str, group: str, shared: Json, variant: Json) -> None:
        self.key = key
        self.group = group
        self.shared = shared
        """The customer, or the product without its variants."""
        self.variant = variant
        """The variant; empty for a customer."""

    @property
    def size(self) -> int:
        """About how many characters its texts have."""
        return sum(
            len(value) for part in (self.shared, self.variant) for value in part.values() if isinstance(value, str)
        )


def held_rows(entity: Entity, document: Json) -> Iterator[Held | None]:
    """The rows in a document: one a variant, or the customer; None for one that cannot be told from others."""
    if entity.group is None:
        key = _text(document.get(entity.key))
        yield None if key is None else Held(key, key, document, {})
        return
    group = _text(document.get(entity.group))
    variants = document.get("variants")
    if group is None or not isinstance(variants, list):
        yield None
        return
    for variant in variants:
        key = _text(variant.get(entity.key)) if isinstance(variant, Mapping) else None
        yield None if key is None else Held(key, group, document, variant)


class Reader:
    """Writes what is held in the columns of a view.

    ``columns`` are the view's fields in its order, ``fields`` all that are sent. ``price_settings`` says what
    is sent for blank prices. ``stated`` are columns in which rows of the view have values, and which a blank does not
    clear: there a blank row does not agree with what is held.
    """

    def __init__(
        self,
        entity: Entity,
        columns: Sequence[Field],
        *,
        fields: Sequence[Field],
        price_settings: PriceSettings,
        stated: frozenset[str] = frozenset(),
    ) -> None:
        own: dict[str | None, Callable[[Held], str]] = {
            entity.key: lambda held: held.key,
            entity.group: lambda held: held.group,
            entity.flag: lambda _: "Active",
        }
        self._columns = [
            (
                field.name,
                own.get(field.name),
                _finder(field) if field.sent else None,
                _comparison(field, stated=field.name in stated),
            )
            for field in columns
        ]
        """Of each column of the view, which is looked up once and not for each row: its name, what is no field of a
        document, where in a document it stands, and when it is what a row sends."""
        self._places = Places(fields)
        self._price_settings = price_settings
        priced = [field.name for role in ("prices", "price", "tier") for _, _, field in self._places.of(role)]
        self._states_default_prices = not stated.isdisjoint(priced)
        self._own_tiers = {field.placeholder_value for _, _, field in self._places.of("tier")}

    def texts(self, held: Held, row: Row | None) -> Texts:
        """``held`` as text; where it agrees with what is sent of ``row``, a canonical row, as ``row`` has it."""
        values = self._prices(held, row) | self._addresses(held, row)
        texts: Texts = []
        for name, own, find, agrees in self._columns:
            if own is not None:
                texts.append(own(held))
            elif find is None:
                texts.append(None if row is None else _own(row.get(name)))
            elif name in values:
                texts.append(values[name])
            else:
                value = find(held)
                is_own = row is not None and agrees(row[name], value)
                texts.append(_own(row[name]) if is_own and row is not None else _text(value))
        return texts

    def _prices(self, held: Held, row: Row | None) -> dict[str, str | None]:
        """The columns of prices, which share one default price and one list of tiers."""
        all_columns, price_columns = self._places.of("prices"), self._places.of("price")
        if not (all_columns or price_columns or self._own_tiers):
            return {}
        default = _number(held.variant.get("price"))
        tiers = {
            tier: price
            for item in _objects(held.variant.get("price_tiers"))
            if (tier := _text(item.get("tier"))) is not None and (price := _number(item.get("price"))) is not None
        }
        sent_default, sent_tiers = (None, {}) if row is None else row_prices(row, self._places, self._price_settings)
        unsaid = sent_default is None and not (default and self._states_default_prices)
        default_agrees = row is not None and (unsaid or sent_default == default)
        values: dict[str, str | None] = {}
        for column, _, field in self._places.of("tier"):
            tier = field.placeholder_value
            is_own = row is not None and sent_tiers.get(tier) == tiers.get(tier)
            values[column] = _own(row[column]) if is_own and row is not None else _own(tiers.get(tier))
        for column, _, _ in price_columns:
            values[column] = _own(row[column]) if default_agrees and row is not None else _own(default)
        for column, _, _ in all_columns:
            others = {tier: price for tier, price in tiers.items() if tier not in self._own_tiers}
            sent_others = {tier: price for tier, price in sent_tiers.items() if tier not in self._own_tiers}
            # Where a default price that differs has a column of its own, it is told there.
            if row is not None and others == sent_others and (default_agrees or price_columns):
                values[column] = _own(row[column])
            else:
                in_row = None if row is None else prices(row[column])[0]
                values[column] = _price_list(in_row if price_columns or default_agrees else default, others)
        return values

    def _addresses(self, held: Held, row: Row | None) -> dict[str, str | None]:
        """The columns of addresses.

        Each is matched with the held address of its code, else of its content, else with what is left, in order.
        """
        places = self._places.addresses
        if not places:
            return {}
        left = [dict(one) for one in _objects(held.shared.get("addresses"))]
        sent = [None if row is None else address(row, parts) for parts in places]
        matched: list[Json | None] = [None] * len(places)
        for same in (_same_code, _same_content):
            for number, wanted in enumerate(sent):
                if wanted is not None and matched[number] is None:
                    found = next((one for one in left if same(wanted, one)), None)
                    if found is not None:
                        matched[number] = found
                        left = [one for one in left if one is not found]
        free = [number for number, wanted in enumerate(sent) if wanted is not None and matched[number] is None]
        free += [number for number, wanted in enumerate(sent) if wanted is None]
        for number, one in zip(free, left, strict=False):
            matched[number] = one
        values: dict[str, str | None] = {}
        for number, parts in enumerate(places):
            counterpart = matched[number]
            for column, name, field in parts:
                value = None if counterpart is None else counterpart.get(name)
                is_none = sent[number] is None and counterpart is None
                is_own = row is not None and (is_none or _comparison(field)(row[column], value))
                values[column] = _own(row[column]) if is_own and row is not None else _text(value)
        return values


def _finder(field: Field) -> Callable[[Held], Any]:
    """What gives what is held of a field that is one value."""
    name, placeholder = field.json_name, field.placeholder_value
    match field.role:
        case "warehouse":
            return lambda held: _named(held.variant.get("qty_availability"), "description", placeholder, "qty")
        case "meta":
            return lambda held: _named(held.shared.get("meta"), "key", placeholder, "value")
        case "option_name":
            position = str(field.position)
            return lambda held: _named(held.shared.get("options"), "position", position, "name")
        case "user":
            return lambda held: user.get(name) if isinstance(user := held.shared.get("user"), Mapping) else None
        case "product" | "customer":
            return lambda held: held.shared.get(name)
        case _:
            return lambda held: held.variant.get(name)


def _comparison(field: Field, *, stated: bool = False) -> Callable[[Any, Any], bool]:
    """What tells whether a held value is what is sent for a canonical one."""
    match field.type:
        case "boolean":
            # Of a variant, a blank is left out of the document, so where no row states a value, what is held is not the
            # view's matter.
            left_out = field.role == "variant" and not stated
            return lambda own, held: (own is None and left_out) or (own or False) == (_boolean(held) or False)
        case "integer" | "number":
            return lambda own, held: (own or 0) == (_number(held) or 0)
        case "tags":
            return lambda own, held: own == held or _tags(own) == _tags(_text(held))
        case _:
            return lambda own, held: own == held or (own or "") == (_text(held) or "").rstrip()


def _same_code(sent: Json, held: Json) -> bool:
    code = _text(sent.get("address_code"))
    return code is not None and code == _text(held.get("address_code"))


def _same_content(sent: Json, held: Json) -> bool:
    return all(
        value == (_boolean(held.get(name)) or False)
        if isinstance(value, bool)
        else (value or "") == (_text(held.get(name)) or "").rstrip()
        for name, value in sent.items()
    )


def _objects(value: Any) -> Iterable[Json]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _named(items: Any, name: str, wanted: str, value: str) -> Any:
    """The ``value`` of the item in a list whose ``name`` is ``wanted``."""
    return next((one.get(value) for one in _objects(items) if _text(one.get(name)) == wanted), None)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 40 else None  # noqa: PLR2004 - no price is as long


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int)) else None


def _tags(text: str | None) -> set[str]:
    return {tag.strip() for tag in (text or "").split(",")} - {""}


def _price_list(default: Decimal | None, tiers: Mapping[str, Decimal]) -> str | None:
    items = [] if default is None else [plain(default)]
    for tier, price in sorted(tiers.items()):
        quoted = tier.replace('"', '""')
        items.append(f'"{quoted}":{plain(price)}')
    return ",".join(items) or None


def _own(value: Any) -> str | None:
    """A canonical value as the text that it is read from."""
    return plain(value) if isinstance(value, Decimal) else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Decimal)):
        return str(value)
    return None
