"""A view whose rows depend on which of several rows is read first is refused on fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mapping import rehearsed, write_project

from engine.errors import FixtureError

if TYPE_CHECKING:
    from pathlib import Path

ITEM = "code,descr,qty\nA1,Hammer,5\nB2,Tent,2\n"

PRICE = """\
code,amount,since
A1,10.00,2024-01-01
A1,12.00,2024-01-01
A1,9.00,2023-01-01
B2,5.00,2024-02-01
B2,5.00,2024-02-01
B2,4.00,2023-02-01
B2,3.00,2023-02-01
"""
"""Two prices of A1 are equal in their day; of B2 those that are newest are the same."""

VIEW = """\
select
    item.code as source_product_code,
    item.code as source_variant_code,
    item.descr as title,
    'Yes' as product_active,
    {price} as csv_price_tiers,
    item.qty as "variants.qty",
    item.code as "variants.sku"
from item{rest}
"""

NEWEST = "(select p.amount from price p where p.code = item.code order by {order} limit 1)"

NUMBERED = """
join (
    select code, amount, row_number() over (partition by code order by {order}) as place from price
) as newest on newest.code = item.code and newest.place = 1"""


def rehearse(folder: Path, dialect: str, *, price: str, rest: str = "") -> None:
    """Run the view with this price on the fixtures."""
    view = VIEW.format(price=price, rest=rest)
    write_project(folder, dialect=dialect, view=view, fixtures={"item": ITEM, "price": PRICE})
    rehearsed(folder)


@pytest.mark.parametrize(
    ("dialect", "price", "rest"),
    [
        ("postgres", NEWEST.format(order="p.since desc"), ""),
        ("duckdb", NEWEST.format(order="p.since desc"), ""),
        ("tsql", "(select top 1 p.amount from price p where p.code = item.code order by p.since desc)", ""),
        ("tsql", "newest.amount", NUMBERED.format(order="since desc")),
    ],
)
def test_a_price_that_one_of_two_equal_rows_decides_is_an_error_that_names_its_column(
    tmp_path: Path, dialect: str, price: str, rest: str
) -> None:
    """In the database it may be the other one, and another one tomorrow."""
    with pytest.raises(FixtureError) as refused:
        rehearse(tmp_path, dialect, price=price, rest=rest)
    (fault,) = refused.value.diagnostics
    assert "happens to read first: csv_price_tiers." in fault.message
    assert fault.line is not None
    assert "ORDER BY" in fault.hint


@pytest.mark.parametrize(
    ("price", "rest"),
    [
        (NEWEST.format(order="p.since desc, p.amount"), ""),
        ("newest.amount", NUMBERED.format(order="since desc, amount")),
        ("(select sum(p.amount) from price p where p.code = item.code)", "\norder by item.qty"),
    ],
)
def test_equal_rows_that_decide_nothing_are_no_error(tmp_path: Path, price: str, rest: str) -> None:
    """An order that tells them apart, rows that are the same, and an order of what is sent anyway."""
    rehearse(tmp_path, "postgres", price=price, rest=rest)
