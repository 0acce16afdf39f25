"""What was sent is what is held: after a run, neither `verify` nor `adopt` and `plan` find a difference.

On every mapping, whatever is blank, zero, written in several columns, or differs between the variants of a product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.sync import pipeline
from engine.sync.adopt import adopt, verify
from engine.sync.context import RunOptions

if TYPE_CHECKING:
    from support.client import Client

TEXT = st.sampled_from([None, "", "Alpha", "Ä & <b>", '12" pipe', "x:y,z", "trailing  "])
AMOUNT = st.sampled_from([None, "0", "19.90", "100", "0.0001", "1e2"])
COUNT = st.sampled_from([None, "0", "5", "5.7", "-3"])
YES_NO = st.sampled_from([None, "yes", "no", "1"])

PRODUCT_COLUMNS: dict[str, st.SearchStrategy[str | None]] = {
    "body_html": TEXT,
    "vendor": TEXT,
    "tags": st.sampled_from([None, "b, a", "a", "a,b,a"]),
    "variants.barcode": TEXT,
    "variants.qty": COUNT,
    "variants.grams": COUNT,
    "variants.inventory_management": YES_NO,
    "csv_price_tiers": st.sampled_from([None, "100", "Trade:80", "100,Trade:80,Gold:70", '"a,b":1', "Trade:0"]),
    "variants.price": AMOUNT,
    "price_Trade": AMOUNT,
    "price_Gold": AMOUNT,
    "qty_JHB": COUNT,
    "meta_colour": TEXT,
    "image1": st.sampled_from([None, "https://example.com/1.jpg"]),
}

CUSTOMER_COLUMNS: dict[str, st.SearchStrategy[str | None]] = {
    "first_name": TEXT,
    "accepts_marketing": YES_NO,
    "price_tier": TEXT,
    "qty_availability": TEXT,
    "meta_rep": TEXT,
    "address1.type": st.just("shipping"),
    "address1.default": YES_NO,
    "address1.country_code": st.just("ZA"),
    "address1.first_name": TEXT,
    "address1.address_code": st.sampled_from([None, "A", "B"]),
    "address1.city": TEXT,
    "address2.address1": TEXT,
    "address2.type": st.sampled_from([None, "billing"]),
    "address4.address_code": st.sampled_from([None, "A", "C"]),
    "address4.zip": TEXT,
}


@st.composite
def catalogues(draw: st.DrawFn, columns: dict[str, st.SearchStrategy[str | None]]) -> list[dict[str, str | None]]:
    """Rows with some of ``columns``, by the names that the view gives them."""
    chosen = draw(st.lists(st.sampled_from(sorted(columns)), unique=True, min_size=1))
    rows = []
    for number in range(draw(st.integers(2, 5))):
        row = {"key": f"K{number}", "active": draw(st.sampled_from(["Yes"] * 6 + ["Delete", "Ignore"]))}
        rows.append({**row, **{column: draw(columns[column]) for column in chosen}})
    return rows


def view_of(fixed: dict[str, str], row: dict[str, str | None]) -> str:
    """A view with the fixed expressions, and every further column of the table ``mapped`` under its own name."""
    names = [name for name in row if name not in {"key", "active"}]
    selected = [f'{expression} as "{name}"' for name, expression in fixed.items()]
    selected += [f'c{number} as "{name}"' for number, name in enumerate(names)]
    return "select\n    " + ",\n    ".join(selected) + "\nfrom mapped\n"


def fill(client: Client, rows: list[dict[str, str | None]]) -> None:
    """Put ``rows`` into the table ``mapped``."""
    count = len(rows[0]) - 2
    columns = ", ".join(["key varchar", "active varchar", *(f"c{number} varchar" for number in range(count))])
    quoted = [
        ", ".join("null" if value is None else "'" + value.replace("'", "''") + "'" for value in row.values())
        for row in rows
    ]
    client.sql(
        "drop table if exists mapped",
        f"create table mapped ({columns})",
        f"insert into mapped values {', '.join(f'({row})' for row in quoted)}",
    )


def assert_settled(client: Client, entity: str) -> None:
    """After a run nothing differs; a new state that adopts what is held has nothing to send."""
    client.sandbox.reset()
    client.project.state.unlink(missing_ok=True)
    pipeline.run(client.project, entity, options=RunOptions())
    assert verify(client.project, entity) == ()
    client.project.state.unlink()
    adopt(client.project, entity)
    plan = pipeline.plan(client.project, entity, options=RunOptions())
    assert [(change.kind, change.key, change.columns) for change in plan.changes] == []
    assert verify(client.project, entity) == ()
    assert pipeline.run(client.project, entity, options=RunOptions()).sent == 0


few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(rows=catalogues(PRODUCT_COLUMNS), tier=st.sampled_from([None, "Trade"]), width=st.integers(1, 3))
def test_products_that_were_sent_are_no_difference(
    client: Client, rows: list[dict[str, str | None]], tier: str | None, width: int
) -> None:
    """Variants of a product differ in whatever they like but their options."""
    fixed = {
        "source_product_code": f"'P' || (substr(key, 2)::integer // {width})",
        "source_variant_code": "key",
        "title": "'Title of ' || key",
        "product_active": "active",
        "variants.sku": "key",
        "variants.option1_value": "key",
    }
    tiers = tier is not None and any(name in rows[0] for name in ("csv_price_tiers", "price_Trade"))
    client.write(settings='default_price_tier = "Trade"' if tiers else "", view=view_of(fixed, rows[0]))
    fill(client, rows)
    assert_settled(client, "products")


@few
@given(rows=catalogues(CUSTOMER_COLUMNS))
def test_customers_that_were_sent_are_no_difference(client: Client, rows: list[dict[str, str | None]]) -> None:
    """With gaps between the numbers of addresses, addresses of constants alone, and none at all."""
    fixed = {"source_customer_code": "key", "customer_active": "active", "email": "lower(key) || '@example.com'"}
    client.write(more='\n[customers]\nsearch_path = "/customers/elastic_search"\n')
    (client.root / "views" / "customers.sql").write_text(view_of(fixed, rows[0]), "utf-8")
    fill(client, rows)
    assert_settled(client, "customers")


@pytest.fixture
def two_items(client: Client) -> Client:
    """A default price in a column beside tiers in a list, and an item that was removed long ago."""
    client.write(view=VIEW)
    client.item("A", price="Trade:80,Gold:70", qty=None)
    client.item("B", price="Trade:8,Gold:7", qty="0")
    client.item("C", active="Delete")
    client.run()
    return client


VIEW = """\
select
    product as source_product_code,
    code as source_variant_code,
    title,
    active as product_active,
    price as csv_price_tiers,
    99.5 as "variants.price",
    qty as "variants.qty",
    sku as "variants.sku"
from item
"""


def test_a_change_in_the_console_is_the_only_difference(two_items: Client) -> None:
    """It is found in its column, and the next run sends that item alone."""
    two_items.sandbox.change(57, "B", price_tiers=[{"tier": "Gold", "price": 7}, {"tier": "Trade", "price": 9}])
    (drift,) = verify(two_items.project, "products")
    assert (drift.key, drift.kind, drift.column) == ("B", "differs", "csv_price_tiers")
    assert (drift.published, drift.remote) == ("Gold:7,Trade:8", "Gold:7,Trade:9")
    two_items.project.state.unlink()
    adopt(two_items.project, "products")
    (change,) = two_items.plan().changes
    assert (change.key, change.kind) == ("B", "update")
    two_items.run()
    assert verify(two_items.project, "products") == ()


def test_a_repair_ends(two_items: Client) -> None:
    """What drifted is sent once."""
    two_items.sandbox.change(57, "A", price=1)
    verify(two_items.project, "products", repair=True)
    assert two_items.run().sent == 1
    assert verify(two_items.project, "products", repair=True) == ()
    assert two_items.run().sent == 0


def test_what_is_flagged_delete_and_not_held_is_not_removed_again(two_items: Client) -> None:
    """Adopting finds out that it is gone; where it is held it is removed."""
    two_items.project.state.unlink()
    adopt(two_items.project, "products")
    assert two_items.plan().changes == ()
    two_items.sql("update item set active = 'Delete' where code = 'B'")
    two_items.project.state.unlink()
    adopt(two_items.project, "products")
    assert [(change.kind, change.key) for change in two_items.plan(approve_deletes=1).changes] == [("delete", "B")]


def test_a_document_of_another_shape_costs_that_document(two_items: Client) -> None:
    """It is counted as unreadable, and the others are adopted."""
    two_items.sandbox.change(57, "A", title={"en": "A"})
    product: Any = two_items.sandbox.store.all_products()[1]
    product["options"] = "text"
    product["variants"]["B"]["price_tiers"] = {"Trade": 8}
    two_items.project.state.unlink()
    taken = adopt(two_items.project, "products")
    assert (taken.remote, taken.published, taken.unreadable) == (2, 2, 0)
    assert sorted(change.key for change in two_items.plan().changes) == ["A", "B"]
