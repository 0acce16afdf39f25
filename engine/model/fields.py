"""Every Stock2Shop field name that a mapping may use, as data.

The facts come from Stock2Shop's public help pages, developer pages and repositories. ``confidence`` says how firmly:
``P`` is stated there, ``I`` is inferred from several of those, ``U`` is not public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Type = Literal["code", "text", "html", "flag", "prices", "integer", "number", "boolean", "tags", "url", "email"]
Level = Literal["product", "variant", "customer"]
Confidence = Literal["P", "I", "U"]
Role = Literal[
    "product",
    "variant",
    "price",
    "prices",
    "tier",
    "warehouse",
    "meta",
    "option",
    "option_name",
    "customer",
    "address",
    "user",
]

LISTS: dict[str, Role] = {"price_": "tier", "qty_": "warehouse", "meta_": "meta"}
"""How the names of fields begin that come in any number."""

USER = ("price_tier", "qty_availability")
"""What a customer sees in the trade store: which price list, and which warehouse's quantities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One Stock2Shop field.

    ``name`` is canonical and also the column's name in staging; ``aliases`` are other names that guides use for the
    same field. ``dynamic`` is the placeholder in the name of a field that comes in any number, and
    ``placeholder_value`` what stands there, such as ``Trade`` in ``price_Trade``. ``required`` is what Stock2Shop's
    API itself needs; ``recommended`` is what the Custom Database guide asks a mapping to give; ``sent`` is false
    where Stock2Shop has no known place for the field. ``personal`` marks what is about a person: it is masked
    wherever it would be printed.
    """

    name: str
    level: Level
    type: Type
    meaning: str
    required: bool = False
    recommended: bool = False
    aliases: tuple[str, ...] = ()
    dynamic: Literal["", "NAME", "N"] = ""
    placeholder_value: str = ""
    confidence: Confidence = "P"
    sent: bool = True
    personal: bool = False

    @property
    def role(self) -> Role:
        """The place that the field has in a document: a list of its own, or a plain value of its level."""
        lead = self.name.removeprefix("variants.")
        if self.type == "prices":
            return "prices"
        if self.dynamic == "NAME":
            return LISTS[self.name.removesuffix(self.placeholder_value)]
        if lead.startswith("option"):
            return "option" if lead.endswith("_value") else "option_name"
        if lead == "price":
            return "price"
        if self.level == "customer":
            if self.dynamic == "N":
                return "address"
            return "user" if lead in USER else "customer"
        return "variant" if self.level == "variant" else "product"

    @property
    def position(self) -> int:
        """The number in an option's or an address's name, from 1."""
        return int(self.placeholder_value) if self.dynamic == "N" else int(self.name.removeprefix("variants.")[6])

    @property
    def json_name(self) -> str:
        """The field's name in a document: without the level or the address, and an option without ``_value``."""
        name = self.name.removeprefix("variants.")
        if self.role == "address":
            return name.partition(".")[2]
        return name.removesuffix("_value") if self.role == "option" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity's contract: its fields, and which of them play a part in every entity.

    ``key`` identifies a row; ``group`` names the column that gathers rows into one product, where there is one.
    ``plural_name`` is what Stock2Shop calls the rows. ``unique`` names the rules that a value breaks which several
    rows have: exactly, and but for case, blanks or what cannot be seen.
    """

    name: str
    plural_name: str
    key: str
    group: str | None
    flag: str
    fields: tuple[Field, ...]
    unique: tuple[tuple[str, str, str], ...] = ()

    def resolve(self, column: str) -> Field | None:
        """The field that a view's column name means, or None. Names compare by case."""
        return _resolver(self.name)(column)

    def suggest(self, column: str) -> tuple[str, ...]:
        """Known names that look like ``column``, best first, at most three."""
        known = {name.lower(): name for name in self.names()}
        close = get_close_matches(column.lower(), known, n=3, cutoff=0.6)
        return tuple(known[name] for name in close)

    def names(self) -> tuple[str, ...]:
        """Every name and alias, dynamic ones with their placeholder."""
        return tuple(name for field in self.fields for name in (field.name, *field.aliases))

    def required(self, *, linked: bool) -> tuple[Field, ...]:
        """The fields that a view must have: a linked source needs only its codes."""
        always = {self.key, self.group}
        return tuple(field for field in self.fields if field.name in always or (field.required and not linked))


def _field(name: str, level: Level, type_: Type, meaning: str, **more: object) -> Field:
    return replace(Field(name=name, level=level, type=type_, meaning=meaning), **more)  # type: ignore[arg-type]  # the tables below are checked by the tests


def _options() -> Iterable[Field]:
    for n in (1, 2, 3):
        yield _field(
            f"variants.option{n}_value",
            "variant",
            "text",
            f"Option {n} of a variable product, such as XL; every variant of the product has one.",
            recommended=True,
            aliases=(f"variants.option{n}", f"option{n}_value"),
        )
    for n in (1, 2, 3):
        yield _field(
            f"option{n}_name",
            "product",
            "text",
            f"What option {n} is called, such as Size; the same over all variants of a product.",
            aliases=(f"variants.option{n}_name",),
        )


PRODUCTS = Entity(
    name="products",
    plural_name="variants",
    unique=(
        ("variants.sku", "repeated_sku", "similar_value"),
        ("variants.barcode", "repeated_barcode", "similar_value"),
    ),
    key="source_variant_code",
    group="source_product_code",
    flag="product_active",
    fields=(
        _field(
            "source_product_code",
            "product",
            "code",
            "Groups variants into a product; equals the item code for a simple product.",
            required=True,
            recommended=True,
        ),
        _field(
            "source_variant_code",
            "variant",
            "code",
            "The item's code, unique in the source: the key of the row.",
            required=True,
            recommended=True,
        ),
        _field("title", "product", "text", "The title of the product.", required=True, recommended=True),
        _field(
            "product_active",
            "product",
            "flag",
            "Active is sent, Delete is removed, Ignore is left alone.",
            required=True,
            recommended=True,
        ),
        _field(
            "csv_price_tiers",
            "variant",
            "prices",
            "The default price as a bare number, or several prices as CSV of tier:price.",
            recommended=True,
            confidence="I",
        ),
        _field(
            "variants.qty",
            "variant",
            "integer",
            "The quantity available to sell: on hand less what is on sales orders.",
            recommended=True,
        ),
        _field(
            "variants.sku",
            "variant",
            "code",
            "The stock-keeping unit, unique; may equal source_variant_code.",
            required=True,
            recommended=True,
        ),
        _field(
            "variants.inventory_management",
            "variant",
            "boolean",
            "Whether stock is tracked.",
            recommended=True,
        ),
        *_options(),
        _field("body_html", "product", "html", "The product's description, as HTML."),
        _field("collection", "product", "text", "The collection that the product is in."),
        _field("product_type", "product", "text", "The product's type."),
        _field("tags", "product", "tags", "Comma-separated; their order does not matter."),
        _field("vendor", "product", "text", "The brand or the supplier."),
        _field("variants.barcode", "variant", "text", "The barcode, unique to one variant."),
        _field(
            "variants.grams",
            "variant",
            "integer",
            "The weight in grams.",
            aliases=("variants.weight",),
        ),
        _field("variants.price", "variant", "number", "The default price."),
        _field(
            "price_NAME",
            "variant",
            "number",
            "The price in the price tier NAME.",
            aliases=("variants.NAME_price",),
            dynamic="NAME",
        ),
        _field("qty_NAME", "variant", "integer", "The quantity in the warehouse NAME.", dynamic="NAME"),
        _field("meta_NAME", "product", "text", "The product's attribute NAME.", dynamic="NAME"),
        _field(
            "imageN",
            "product",
            "url",
            "An image's address, numbered from 1. The queue has no public place for it: staged, never sent.",
            dynamic="N",
            confidence="U",
            sent=False,
        ),
    ),
)


def _address(part: str, type_: Type, meaning: str, *, personal: bool = True) -> Field:
    return _field(f"addressN.{part}", "customer", type_, meaning, dynamic="N", confidence="I", personal=personal)


CUSTOMERS = Entity(
    name="customers",
    plural_name="customers",
    unique=(("email", "repeated_email", "repeated_email"),),
    key="source_customer_code",
    group=None,
    flag="customer_active",
    fields=(
        _field(
            "source_customer_code",
            "customer",
            "code",
            "The customer's account code, unique in the source: the key of the row.",
            required=True,
            recommended=True,
        ),
        _field(
            "customer_active",
            "customer",
            "flag",
            "Active is sent, Delete is removed, Ignore is left alone.",
            required=True,
            recommended=True,
        ),
        _field(
            "email",
            "customer",
            "email",
            "The e-mail address; it cannot be blank.",
            required=True,
            recommended=True,
            personal=True,
        ),
        _field("first_name", "customer", "text", "The first name.", recommended=True, personal=True),
        _field("last_name", "customer", "text", "The last name.", recommended=True, personal=True),
        _field("accepts_marketing", "customer", "boolean", "Whether the customer agreed to marketing."),
        _field(
            "price_tier",
            "customer",
            "text",
            "The price list that the customer sees in the trade store.",
            confidence="I",
        ),
        _field(
            "qty_availability",
            "customer",
            "text",
            "The warehouse whose quantities the customer sees in the trade store.",
            confidence="I",
        ),
        _address("type", "text", "What the address is for: shipping or billing.", personal=False),
        _address("default", "boolean", "Whether it is the customer's default address.", personal=False),
        _address("address_code", "text", "The address's own code in the source.", personal=False),
        _address("first_name", "text", "The first name at the address."),
        _address("last_name", "text", "The last name at the address."),
        _address("company", "text", "The company at the address."),
        _address("address1", "text", "The street and number."),
        _address("address2", "text", "The rest of the street address."),
        _address("city", "text", "The city."),
        _address("province", "text", "The province."),
        _address("province_code", "text", "The province's code.", personal=False),
        _address("country", "text", "The country.", personal=False),
        _address("country_code", "text", "The country's code of two letters.", personal=False),
        _address("zip", "text", "The postal code."),
        _address("phone", "text", "The telephone number."),
        _field(
            "meta_NAME",
            "customer",
            "text",
            "The customer's attribute NAME.",
            dynamic="NAME",
            confidence="I",
            personal=True,
        ),
    ),
)

ENTITIES = {entity.name: entity for entity in (PRODUCTS, CUSTOMERS)}


@cache
def _resolver(entity: str) -> _Resolver:
    return _Resolver(ENTITIES[entity].fields)


class _Resolver:
    """Finds fields by name: the fixed names first, then the dynamic patterns in the table's order."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fixed = {name: field for field in fields if not field.dynamic for name in (field.name, *field.aliases)}
        self._patterns = [
            (_pattern(name, field.dynamic), field)
            for field in fields
            if field.dynamic
            for name in (field.name, *field.aliases)
        ]

    def __call__(self, column: str) -> Field | None:
        if column in self._fixed:
            return self._fixed[column]
        for pattern, field in self._patterns:
            found = pattern.fullmatch(column)
            if found:
                part = found["part"]
                return replace(field, name=field.name.replace(field.dynamic, part), placeholder_value=part, aliases=())
        # Where a database knows no dots in names, two underscores stand for one.
        return self(column.replace("__", ".", 1)) if "__" in column else None


def _pattern(name: str, placeholder: str) -> re.Pattern[str]:
    part = r"(?P<part>[1-9]\d*)" if placeholder == "N" else r"(?P<part>\S(?:.*\S)?)"
    before, after = name.split(placeholder)
    return re.compile(re.escape(before) + part + re.escape(after))


ACTIVE_WORDS: dict[str, Literal["Active", "Delete", "Ignore"]] = {
    **dict.fromkeys(
        ("active", "a", "true", "t", "yes", "y", "1", "-1", "on", "publish", "active\\publish", "active/publish"),
        "Active",
    ),
    **dict.fromkeys(
        ("delete", "d", "unpublish", "delete\\unpublish", "delete/unpublish"),
        "Delete",
    ),
    **dict.fromkeys(("ignore", "i", "false", "f", "no", "n", "0", "off", ""), "Ignore"),
}
"""The words that clients really use for the three-state flag, in lower case and trimmed.

``false``, ``no`` and ``0`` mean Ignore, never Delete: a two-state tick box says that an item is not for
Stock2Shop, and an untouched box must not remove a product. A project that means Delete says so in its own words.
"""

MASK = "***"
"""What stands where personal data would be printed."""


@cache
def personal(entity: str, column: str) -> bool:
    """Whether what stands in ``column`` is about a person; a column of the engine's own is not."""
    field = ENTITIES[entity].resolve(column)
    return field is not None and field.personal


def masked(entity: str, column: str, value: Any) -> Any:
    """``value`` as it may be printed: personal data only as that there is some."""
    return MASK if value not in {None, ""} and personal(entity, column) else value


def unmasked(_entity: str, _column: str, value: Any) -> Any:
    """``value`` itself: what stands in for :func:`masked` where somebody asked to see personal data."""
    return value
