"""What was sent and is held is no difference, whatever the mapping; and what differs is found in its column."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import document

from engine.model.fields import CUSTOMERS, PRODUCTS
from engine.model.settings import PriceSettings
from engine.stock2shop.read_back import Reader, held_rows

if TYPE_CHECKING:
    from engine.model.fields import Entity, Field

Row = dict[str, Any]


def resolve(entity: Entity, *columns: str) -> list[Field]:
    """The fields of a view's columns."""
    return [field for column in columns if (field := entity.resolve(column)) is not None]


def held(entity: Entity, fields: list[Field], row: Row, tier: str | None = None) -> dict[str, Any]:
    """What Stock2Shop holds after ``row`` was sent to an empty account."""
    body = document(
        entity.name, [row], fields=fields, source_id=57, sync_token="0", price_settings=PriceSettings(default_tier=tier)
    )
    (item,) = json.loads(body, parse_float=Decimal)[f"system_{entity.name}"]
    if entity.group is None:
        found: dict[str, Any] = item["customer"]
        return found
    product = item["product"]
    return {
        **product,
        "source_product_code": item["source"]["source_product_code"],
        "variants": [product["variants"]],
    }


def differing(
    entity: Entity, fields: list[Field], row: Row, remote: dict[str, Any], tier: str | None = None
) -> dict[str, str | None]:
    """The columns in which ``remote`` is not what is sent of ``row``, with what is held."""
    reader = Reader(entity, fields, fields=fields, price_settings=PriceSettings(default_tier=tier))
    (one,) = held_rows(entity, remote)
    assert one is not None
    texts = reader.texts(one, row)
    return {field.name: text for field, text in zip(fields, texts, strict=True) if text != text_of(row[field.name])}


def text_of(value: object) -> str | None:
    """A canonical value as text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


NUMBERS = st.none() | st.sampled_from([Decimal(0), Decimal("19.99"), Decimal(100), Decimal("0.0001")])
TEXTS = st.none() | st.sampled_from(["a", 'Ä, "b"', "x:1", "0"])
VALUES = {
    "text": TEXTS,
    "html": TEXTS,
    "url": TEXTS,
    "email": TEXTS,
    "code": TEXTS,
    "tags": st.none() | st.sampled_from(["a", "a,b"]),
    "integer": st.none() | st.integers(0, 5),
    "number": NUMBERS,
    "boolean": st.none() | st.booleans(),
    "prices": st.none() | st.sampled_from(["100", "Trade:80", "100,Retail:90,Trade:80", '"a,b":1,Retail:0', "0"]),
}

PRODUCT_COLUMNS = (
    *("title", "body_html", "tags", "vendor", "variants.sku", "variants.qty", "variants.grams", "variants.barcode"),
    *("variants.inventory_management", "csv_price_tiers", "variants.price", "price_Trade", "price_Retail"),
    *("qty_JHB", "qty_CPT", "meta_colour", "variants.option1_value", "variants.option2_value", "image1"),
)

CUSTOMER_COLUMNS = (
    *("email", "first_name", "accepts_marketing", "price_tier", "qty_availability", "meta_rep"),
    *("address1.type", "address1.default", "address1.address_code", "address1.address1", "address1.city"),
    *("address3.type", "address3.address_code", "address3.address1", "address3.zip"),
    *("address4.city", "address4.country"),
)


@st.composite
def mapped_rows(draw: st.DrawFn, entity: Entity, columns: tuple[str, ...]) -> tuple[list[Field], Row]:
    """Some columns in any order, and a canonical row of them."""
    chosen = draw(st.lists(st.sampled_from(columns), unique=True, min_size=1))
    names = [f"option{name[15]}_name" for name in chosen if name.startswith("variants.option")]
    fields = resolve(entity, *chosen, *names)
    row: Row = {"_key": "K", "_group": "G" if entity.group else "K", "kind": "insert"}
    for field in fields:
        row[field.name] = draw(VALUES[field.type])
    for name in names:
        has_value = row[f"variants.{name.removesuffix('_name')}_value"] is not None
        row[name] = draw(st.sampled_from(["Size", "Colour"])) if has_value else None
    return fields, row


@given(mapped_rows(PRODUCTS, PRODUCT_COLUMNS), st.sampled_from([None, "Trade", "Gold"]))
def test_a_product_that_was_sent_is_held_as_it_is(mapped: tuple[list[Field], Row], tier: str | None) -> None:
    """On every mapping: blanks and zeros, prices in one column or in several, a tier that stands in for the default."""
    fields, row = mapped
    assert differing(PRODUCTS, fields, row, held(PRODUCTS, fields, row, tier), tier) == {}


@given(mapped_rows(CUSTOMERS, CUSTOMER_COLUMNS), st.randoms(use_true_random=False))
def test_a_customer_that_was_sent_is_held_as_it_is(mapped: tuple[list[Field], Row], random: Any) -> None:
    """Also with a gap between addresses, and where Stock2Shop gives the addresses in another order."""
    fields, row = mapped
    remote = held(CUSTOMERS, fields, row)
    codes = [one.get("address_code") for one in remote.get("addresses", [])]
    if all(codes) and len(set(codes)) == len(codes):
        random.shuffle(remote.get("addresses", []))
    assert differing(CUSTOMERS, fields, row, remote) == {}


PRODUCT = resolve(
    PRODUCTS, "title", "variants.qty", "csv_price_tiers", "variants.price", "price_Trade", "meta_colour", "image1"
)
ROW: Row = {
    "_key": "K",
    "_group": "G",
    "kind": "insert",
    "title": "T",
    "variants.qty": None,
    "meta_colour": None,
    "csv_price_tiers": "Retail:90",
    "variants.price": Decimal(100),
    "price_Trade": Decimal(80),
    "image1": "x.png",
}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"title": "Other"}, {"title": "Other"}),
        ({"title": None}, {"title": None}),
        ({"meta": [{"key": "colour", "value": "red"}]}, {"meta_colour": "red"}),
        ({"qty": 3}, {"variants.qty": "3"}),
        ({"price": 99}, {"variants.price": "99"}),
        ({"price": None}, {"variants.price": None}),
        (
            {"price_tiers": [{"tier": "Trade", "price": 80}, {"tier": "Retail", "price": 91}]},
            {"csv_price_tiers": '"Retail":91'},
        ),
        ({"price_tiers": [{"tier": "Retail", "price": 90}]}, {"price_Trade": None}),
        ({"price_tiers": []}, {"price_Trade": None, "csv_price_tiers": None}),
    ],
)
def test_what_differs_is_found_in_its_column(change: dict[str, Any], found: dict[str, str | None]) -> None:
    """And nothing else is."""
    remote = held(PRODUCTS, PRODUCT, ROW)
    for name, value in change.items():
        place = remote["variants"][0] if name in {"qty", "price", "price_tiers"} else remote
        place[name] = value
    assert differing(PRODUCTS, PRODUCT, ROW, remote) == found


CUSTOMER = resolve(CUSTOMERS, "address1.address_code", "address1.city", "address2.city", "address2.type")


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ([{"city": "B", "type": "t", "address_code": ""}, {"address_code": "1", "city": "A"}], {}),
        ([{"address_code": "1", "city": "X"}, {"city": "B", "type": "t"}], {"address1.city": "X"}),
        ([{"address_code": "1", "city": "A"}, {"city": "X", "type": "t"}], {"address2.city": "X"}),
        ([{"address_code": "1", "city": "A"}], {"address2.city": None, "address2.type": None}),
        ([{"address_code": "9", "city": "A"}, {"city": "B", "type": "t"}], {"address1.address_code": "9"}),
    ],
)
def test_an_address_is_known_by_its_code_else_by_its_content(
    addresses: list[dict[str, Any]], found: dict[str, str | None]
) -> None:
    """Stock2Shop sorts them as it likes."""
    row = {
        "_key": "K",
        "_group": "K",
        "kind": "insert",
        "address1.address_code": "1",
        "address1.city": "A",
        "address2.city": "B",
        "address2.type": "t",
    }
    assert differing(CUSTOMERS, CUSTOMER, row, {"source_customer_code": "K", "addresses": addresses}) == found


def test_an_address_that_says_nothing_of_a_place_is_none() -> None:
    """A type, a country and a name that a view writes for every customer make no address."""
    fields = resolve(CUSTOMERS, "address1.type", "address1.country_code", "address1.first_name", "address1.default")
    row = {
        "_key": "K",
        "_group": "K",
        "kind": "insert",
        "address1.type": "shipping",
        "address1.country_code": "ZA",
        "address1.first_name": "Thandi",
        "address1.default": True,
    }
    assert held(CUSTOMERS, fields, row)["addresses"] == []
    assert differing(CUSTOMERS, fields, row, {"source_customer_code": "K", "addresses": []}) == {}
    assert differing(CUSTOMERS, fields, row, {"source_customer_code": "K", "addresses": "text"}) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just(Decimal("1E+999999999")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("title", "variants", "options", "meta", "price_tiers", "qty_availability", "price", "qty", "option1", "tags")


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.dictionaries(st.sampled_from(NAMES), JSON), st.booleans())
def test_a_document_of_any_shape_costs_no_more_than_its_own_row(
    product: dict[str, Any],
    variant: dict[str, Any],
    known: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """What has not the documented type counts as blank, and nothing else comes of it."""
    variants = product.get("variants", [{**variant, "source_variant_code": "K"}])
    document = {**product, "source_product_code": "G", "variants": variants}
    fields = resolve(PRODUCTS, *(name for name in PRODUCT_COLUMNS if "option2" not in name), "option1_name")
    reader = Reader(PRODUCTS, fields, fields=fields, price_settings=PriceSettings())
    row = {"_key": "K", "_group": "G", **{field.name: None for field in fields}} if known else None
    for one in held_rows(PRODUCTS, document):
        if one is not None:
            assert all(text is None or isinstance(text, str) for text in reader.texts(one, row))


@pytest.mark.parametrize("document", [{}, {"source_product_code": "G"}, {"source_product_code": "G", "variants": "V"}])
def test_a_product_without_variants_is_counted_as_unreadable(document: dict[str, Any]) -> None:
    """It is one row that nobody can name, not no row."""
    assert list(held_rows(PRODUCTS, document)) == [None]
