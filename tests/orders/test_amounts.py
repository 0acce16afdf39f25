"""What an order costs, from whatever its document says of it; or the two numbers that contradict each other."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from engine.model.settings import OrderSettings, SourceSettings
from engine.orders.document import Order, parse_document, read_order

SOURCE = SourceSettings(dialect="sqlite")


def read(document: dict[str, Any], **settings: Any) -> Order:
    """A document as the statements would see it."""
    parsed = parse_document(json.dumps({"id": 1, **document}).encode())
    return read_order(parsed, OrderSettings(source=SOURCE, **settings), source_id=57)


def amounts(line: dict[str, Any]) -> tuple[Any, ...]:
    """A line's price without and with tax, its sub-total, its tax and its total, as text."""
    names = ("price_excluding", "price_including", "sub_total", "tax", "total")
    return tuple(None if line[name] is None else str(line[name]) for name in names)


VAT = [{"price": 60, "rate": 15, "title": "VAT"}]

LINES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "all is said": (
        {"price": 10.5, "qty": 2, "sub_total": 21, "tax": 3.15, "total": 24.15},
        {},
        "10.5 12.075 21 3.15 24.15",
    ),
    "a tax line alone": ({"price": 200, "qty": 2, "tax_lines": VAT}, {"total": 460, "tax": 60}, "200 230 400 60 460"),
    "a tax line alone, and no total": ({"price": 200, "qty": 2, "tax_lines": VAT}, {}, "200 230 400 60 460"),
    "a rate alone": ({"price": 9.99, "qty": 3, "tax_lines": [{"rate": 15}]}, {}, "9.99 11.49 29.97 4.5 34.47"),
    "a rate as a fraction": ({"price": 100, "tax_lines": [{"rate": 0.15}]}, {}, "100 115 100 15 115"),
    "a tax of each unit": (
        {"price": 200, "qty": 2, "tax_lines": [{"price": 30, "rate": 15}]},
        {},
        "200 230 400 60 460",
    ),
    "a price with tax where the tax belongs": (
        {"price": 200, "qty": 1, "tax_lines": [{"price": 230, "rate": 15}]},
        {},
        "200 230 200 30 230",
    ),
    "the same before a discount": (
        {"price": 270, "qty": 2, "total_discount": 30, "tax_lines": [{"price": 345, "rate": 15}]},
        {"total": 586.5},
        "255 293.25 510 76.5 586.5",
    ),
    "two taxes": (
        {"price": 100, "tax_lines": [{"price": 15, "rate": 15}, {"price": 2, "rate": 2}]},
        {"total": 117},
        "100 117 100 17 117",
    ),
    "tax per unit": ({"price": 10, "qty": 3, "tax_per_unit": 1.5}, {}, "10 11.5 30 4.5 34.5"),
    "prices with tax": ({"price": 115, "tax_lines": [{"price": 15, "rate": 15}]}, {"total": 115}, "100 115 100 15 115"),
    "prices with tax, by the rate": ({"price": 115, "tax_lines": [{"rate": 15}]}, {"total": 115}, "100 115 100 15 115"),
    "a discount of the line": ({"price": 100, "total_discount": 20}, {"total": 80}, "80 80 80 0 80"),
    "a discount in the price": ({"price": 80, "total_discount": 20}, {"total": 80}, "80 80 80 0 80"),
    "a discount of each unit": ({"price": 100, "qty": 2, "total_discount": 20}, {"total": 160}, "80 80 160 0 160"),
    "a discount and no total": ({"price": 100, "qty": 2, "total_discount": 20}, {}, "90 90 180 0 180"),
    "a discount and a tax": (
        {"price": 100, "qty": 2, "total_discount": 20, "tax_lines": [{"rate": 15}]},
        {"total": 207},
        "90 103.5 180 27 207",
    ),
    "a total alone": ({"qty": 2, "total": 23}, {"total": 23}, "11.5 11.5 23 0 23"),
    "a sub-total and a tax": ({"qty": 2, "sub_total": 20, "tax": 3}, {"total": 23}, "10 11.5 20 3 23"),
    "a total and a tax": ({"qty": 2, "total": 23, "tax": 3}, {"total": 23}, "10 11.5 20 3 23"),
    "a sub-total with its tax in it": (
        {"sub_total": 115, "tax": 15, "total": 115},
        {"total": 115},
        "100 115 100 15 115",
    ),
    "zeros that say nothing": ({"price": 5, "sub_total": 0, "tax": 0, "total": 0}, {"total": 5}, "5 5 5 0 5"),
    "nothing but a price": ({"price": 5, "qty": 4}, {}, "5 5 20 0 20"),
    "for nothing": (
        {"price": 10, "total_discount": 10, "sub_total": 0, "tax": 0, "total": 0},
        {"total": 0},
        "0 0 0 0 0",
    ),
    "three for twenty": (
        {"qty": 3, "sub_total": 20, "tax": 0, "total": 20},
        {"total": 20},
        "6.666667 6.666667 20 0 20",
    ),
    "an exponent": ({"price": 100, "qty": 20, "sub_total": 2000, "tax": 0, "total": 2000}, {}, "100 100 2000 0 2000"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_lines_amounts_are_worked_out_from_what_is_said(name: str) -> None:
    """Exactly, and such that they agree with the order's own totals."""
    line, order, wanted = LINES[name]
    found = read({"line_items": [{"sku": "A", **line}], **order})
    assert (found.reason, found.contradiction) == ("", "")
    assert amounts(found.lines[0]) == tuple(wanted.split())


UNSAID_TAXES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "the others have all of it": (
        [{"sub_total": 100, "tax": 15, "total": 115}, {"price": 50}],
        {"tax": 15, "total": 165},
        "50 50 50 0 50",
    ),
    "the others and shipping have all of it": (
        [{"sub_total": 100, "tax": 15, "total": 115}, {"price": 50}],
        {"shipping_lines": [{"sub_total": 20, "tax": 3, "total": 23}], "tax": 18, "total": 188},
        "50 50 50 0 50",
    ),
    "prices have tax in them, and the order a sub-total": (
        [{"price": 115, "tax_lines": [{"rate": 15}]}, {"price": 50}],
        {"sub_total": 150, "tax": 15, "total": 165},
        "50 50 50 0 50",
    ),
    "the others leave some of it": (
        [{"sub_total": 100, "tax": 15, "total": 115}, {"price": 50}],
        {"tax": 22.5, "total": 172.5},
        "50 None 50 None None",
    ),
    "it is the order's alone, and there is no total": ([{"price": 100}], {"tax": 15}, "100 None 100 None None"),
}


@pytest.mark.parametrize("name", UNSAID_TAXES)
def test_a_line_that_says_no_tax_has_what_the_order_leaves_for_it(name: str) -> None:
    """None where the other lines and shipping have all of it; it is unknown where something is left."""
    lines, order, wanted = UNSAID_TAXES[name]
    found = read({"line_items": [{"sku": "A", **line} for line in lines], **order})
    assert (found.reason, found.contradiction) == ("", "")
    assert " ".join(map(str, amounts(found.lines[-1]))) == wanted


CONTRADICTIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], tuple[str, ...]]] = {
    "the lines and the total": ([{"price": 76.15, "total": 76.15}], {"total": 80}, ("76.15", "80")),
    "a line in itself": ([{"sub_total": 21, "tax": 3.15, "total": 30}], {}, ("3.15", "30")),
    "a tax and its rate": ([{"price": 100, "tax_lines": [{"price": 40, "rate": 15}]}], {}, ("15", "40")),
    "the taxes": ([{"price": 100, "tax_lines": [{"rate": 15}]}], {"tax": 14, "total": 115}, ("15", "14")),
    "the sub-total": ([{"price": 100, "tax_lines": [{"rate": 15}]}], {"sub_total": 90, "total": 115}, ("100", "90")),
    "a tax that no line has": ([{"sub_total": 10}], {"total": 61.5}, ("10", "61.5")),
    "a discount that no line has": ([{"price": 100}], {"total": 90, "total_discount": 10}, ("100", "90", "discount")),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_itself_is_said_with_both_numbers(name: str) -> None:
    """Whoever looks at it must see which they are."""
    lines, order, words = CONTRADICTIONS[name]
    found = read({"line_items": [{"sku": "A", **line} for line in lines], **order})
    assert found.contradiction
    assert [word for word in words if word not in found.contradiction] == []


SHIPPING: dict[str, tuple[dict[str, Any], float]] = {
    "by its line": ({"shipping_lines": [{"price": 100, "tax": 15, "sub_total": 100, "total": 115}]}, 125),
    "by its line, beside zeros": (
        {"shipping_lines": [{"total": 115}], "shipping_sub_total": 0, "shipping_tax": 15, "shipping_total": 100},
        125,
    ),
    "by the order alone": ({"shipping_sub_total": 100, "shipping_tax": 15}, 125),
    "by the order's total": ({"shipping_total": 115, "shipping_tax": 15}, 125),
    "not at all": ({}, 10),
    "an empty line": ({"shipping_lines": [{"price": None, "title": None, "tax_lines": []}]}, 10),
    "for nothing": ({"shipping_lines": [{"price": 0}]}, 10),
}


@pytest.mark.parametrize("item", [None, "SHIP"])
@pytest.mark.parametrize("name", SHIPPING)
def test_shipping_is_read_wherever_it_is_said(name: str, item: str | None) -> None:
    """Its lines must add up with the rest where they are raised."""
    order, total = SHIPPING[name]
    found = read({"line_items": [{"sku": "A", "price": 10, "tax": 0}], **order, "total": total}, shipping_item=item)
    assert found.contradiction == ""
    whole = sum((line["total"] for line in [*found.lines, *found.shipping_lines]), Decimal(0))
    assert whole == (total if item else 10)


def test_shipping_that_is_raised_and_not_in_the_total_is_a_contradiction() -> None:
    """The order would cost more in the database than in the shop; where shipping is left out it is none."""
    document = {"line_items": [{"sku": "A", "price": 10, "tax": 0}], "shipping_lines": [{"total": 5}], "total": 10}
    assert read(document).contradiction == ""
    assert "15" in read(document, shipping_item="SHIP").contradiction


@pytest.mark.parametrize(("lines", "difference", "agrees"), [(1, "0.06", True), (1, "0.07", False), (100, "1", True)])
def test_totals_may_differ_by_the_tolerance_and_a_cent_a_line(lines: int, difference: str, *, agrees: bool) -> None:
    """Each line was rounded by somebody."""
    total = str(10 * lines + Decimal(difference))
    found = read({"line_items": [{"sku": "A", "price": 10, "tax": 0}] * lines, "total": total})
    assert (found.contradiction == "") is agrees


PUBLIC_LINE: dict[str, Any] = {
    "barcode": "b",
    "price": 35000,
    "qty": 1,
    "sku": "sku-1",
    "grams": 10,
    "total_discount": 0,
    "tax_lines": [{"price": 5250, "rate": 15, "title": "VAT", "code": "taxed"}],
}
TOTALS_OF_LINE = {"sub_total": 35000, "tax": 5250, "tax_per_unit": 5250, "total": 40250, "total_display": "40 250.00"}
PUBLIC_SHIPPING = {"price": 100, "title": "Next Day", "tax_lines": [{"price": 15, "rate": 15, "code": "taxed"}]}


@pytest.mark.parametrize("prices", ["excluding", "including"])
@pytest.mark.parametrize(
    "order",
    [
        {"line_items": [PUBLIC_LINE], "shipping_lines": [PUBLIC_SHIPPING], "instruction": "add_order"},
        {
            "line_items": [{**PUBLIC_LINE, **TOTALS_OF_LINE}],
            "shipping_lines": [{**PUBLIC_SHIPPING, "sub_total": 100, "tax": 15, "total": 115}],
            "line_item_sub_total": 0,
            "line_item_tax": 0,
            "shipping_sub_total": 0,
            "shipping_tax": 15,
            "shipping_total": 100,
            "sub_total": 35000,
            "tax": 5265,
            "total": 40365,
            "total_discount": 0,
        },
    ],
    ids=["ChannelOrder", "SystemOrder"],
)
def test_the_public_documents_of_stock2shop_go_through(order: dict[str, Any], prices: str) -> None:
    """In the shapes of its public data objects: github.com/stock2shop/share, tests/mocks."""
    found = read(order, prices=prices, shipping_item="SHIP")
    assert (found.reason, found.contradiction) == ("", "")
    wanted = {"excluding": ["35000", "100"], "including": ["40250", "115"]}
    assert [str(line["price"]) for line in [*found.lines, *found.shipping_lines]] == wanted[prices]
    assert [str(line["total"]) for line in [*found.lines, *found.shipping_lines]] == ["40250", "115"]


def test_a_document_of_a_channel_without_an_id_is_refused_by_name() -> None:
    """Stock2Shop's own orders have one."""
    with pytest.raises(Exception, match="no id"):
        parse_document(json.dumps({"channel_order_code": "1", "line_items": [PUBLIC_LINE]}).encode())


def test_meta_payment_and_tax_lines_are_there_for_statements() -> None:
    """What a document does not have of them is None."""
    found = read(
        {
            "line_items": [PUBLIC_LINE],
            "meta": [{"key": "gift", "value": "yes"}, {"key": "n", "value": 5}],
            "payment": {"method": "card", "amount_paid": 12.5, "more": {"a": 1}},
        }
    )
    assert (found.order["meta"]["gift"], found.order["meta"]["n"], found.order["meta"]["other"]) == ("yes", "5", None)
    assert (found.order["payment"]["method"], found.order["payment"]["amount_paid"]) == ("card", "12.5")
    assert found.lines[0]["tax_lines"] == [
        {"code": "taxed", "title": "VAT", "price": Decimal(5250), "rate": Decimal(15)},
    ]


def test_lines_of_another_source_are_left_out_where_the_project_wants_that() -> None:
    """The order's total counts them all the same."""
    lines = [{"sku": "A", "price": 10, "tax": 0, "source_id": 57}, {"sku": "B", "price": 5, "tax": 0, "source_id": 8}]
    document = {"line_items": lines, "total": 15}
    kept = read(document, foreign_lines="skip")
    assert ([line["sku"] for line in kept.lines], kept.contradiction) == (["A"], "")
    assert [line["sku"] for line in read(document).lines] == ["A", "B"]
