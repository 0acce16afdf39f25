"""Whatever shape a refusal has, the rows that it names are found; and what merely looks like a name costs little."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.stock2shop.blame import failed_entries, find_named

ROWS: list[dict[str, Any]] = [
    {
        "_key": f"CH-{number}",
        "_group": f"P-{number // 2}",
        "position": number + 1,
        "kind": "insert",
        "is_doubted": False,
        "variants.sku": f"SKU {number}",
        "title": f"Chair of the year {1990 + number}",
        "variants.barcode": f"60012345678{number}",
        "email": f"zoe.{number}@example.com",
        "variants.qty": 422,
    }
    for number in range(8)
]

FIVE: dict[str, Any] = {
    "code": {"error": "ch-5: no"},
    "code in a sentence": {"message": "The variant CH-5. It is refused"},
    "code as a name": {"errors": {"CH-5": ["title is too long"]}},
    "code deep inside": {"response": {"details": [{"item": {"source": {"source_variant_code": "CH-5"}}}]}},
    "SKU with a blank": {"error": {"message": 'Duplicate entry "SKU  5" for key sku'}},
    "barcode": {"error": "barcode 600123456785 is not unique"},
    "title": {"error": "Title 'Chair of the Year 1995' is taken"},
    "e-mail address": {"error": {"email": "zoe.5@example.com already exists"}},
    "path in dots": {"errors": {"system_products.5.product.title": ["The title is required."]}},
    "path in brackets": {"errors": [{"field": "system_products[5].product.title"}]},
    "JSON pointer": {"errors": [{"source": {"pointer": "/system_products/5/product"}}]},
    "index": {"error": {"message": "no", "index": 5}},
    "index as text": {"errors": [{"row": "5", "message": "no"}]},
    "names that are numbers": {"errors": {"5": {"title": ["no"]}}},
    "an object an item": {"system_products": [{"status": "ok"}] * 5 + [{"status": "failed"}] + [{"status": "ok"}] * 2},
    "an error an item": {"items": [{"error": None}] * 5 + [{"error": "no"}] + [{"error": None}] * 2},
    "a code of HTTP an item": {"r": [{"code": 200}] * 5 + [{"code": 422}] + [{"code": 200}] * 2},
    "a text an item": {"errors": [None, None, None, None, None, "no", None, None]},
}


@pytest.mark.parametrize("shape", FIVE)
def test_a_row_that_a_refusal_names_is_found(shape: str) -> None:
    """As the first guess, or the second where it might be counted from 1."""
    named = find_named(ROWS, FIVE[shape], json.dumps(FIVE[shape]))
    assert [5] in list(named.values())
    assert all(len(numbers) == 1 for numbers in named.values())


@pytest.mark.parametrize("text", ["Row 6: no", "item no. 6 is refused", "<p>Line #6</p>", "Record 6 of 8"])
def test_a_row_that_is_counted_from_one_is_found(text: str) -> None:
    """People count so, also on a page."""
    assert find_named(ROWS, None, text)["position from 1"][0] == 5


def test_several_rows_are_found() -> None:
    """A refusal may name every one."""
    data = {"errors": [{"sku": "SKU 1"}, {"sku": "SKU 6"}]}
    assert find_named(ROWS, data, "")["code"] == [1, 6]


def test_a_product_names_its_variants_where_no_variant_is_named() -> None:
    """Any of them may be the cause."""
    assert find_named(ROWS, {"error": "Product P-2 is wrong"}, "")["code"] == [4, 5]
    assert find_named(ROWS, {"error": "Variant CH-5 of product P-2 is wrong"}, "")["code"] == [5]


@pytest.mark.parametrize(
    "text",
    [
        "Unprocessable",
        "title is required",
        "CH-55 is not there",
        "CH-5-XL is not there",
        "X-CH-5",
        "422",  # all rows have this quantity
        json.dumps([row["_key"] for row in ROWS]),  # an echo names everybody, and so nobody
    ],
)
def test_what_names_no_row_of_the_batch_finds_none(text: str) -> None:
    """Longer codes, values that many rows have, and an echo of everything."""
    assert find_named(ROWS, None, text) == {}


def test_an_echo_does_not_hide_what_the_error_says() -> None:
    """The error is looked through before the rest."""
    data = {"error": "CH-5 is wrong", "request": [row["_key"] for row in ROWS]}
    assert find_named(ROWS, data, "")["code"] == [5]


def test_the_engines_own_columns_name_nothing() -> None:
    """The place of a row in the run is not Stock2Shop's to know."""
    rows = [{"_key": "A", "_group": "A", "position": 1234}, {"_key": "B", "_group": "B", "position": 1235}]
    assert find_named(rows, {"error": "code 1235"}, "") == {}


def test_a_list_of_ids_says_nothing_of_failures() -> None:
    """Only objects that say so are failures."""
    assert failed_entries({"ids": [0, 1, 2]}, 3) == []
    assert failed_entries({"system_products": [{"id": 1}, {"id": 2}, {"id": 3}]}, 3) == []
