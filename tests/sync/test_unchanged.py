"""A run that finds little new leaves steps out; what it says and records is what it would say with all of them."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.client import COLUMNS

from engine.errors import SyncError
from engine.state.store import open_state
from engine.sync import data_tests, validate

if TYPE_CHECKING:
    from support.client import Client

SETTINGS = "max_deletes = 1000\nmax_changes = 1000\nmax_deletes_per_day = 1000"

CHANGES = (
    "update item set title = 'Other {number}' where code = '{code}'",
    "update item set active = '{flag}' where code = '{code}'",
    "update item set qty = '{quantity}' where code = '{code}'",
    "update item set code = null where code = '{code}'",
    "delete from item where code = '{code}'",
    "insert into item from start where code = '{code}' limit 1",
    "create or replace table item as select distinct * from item",
)


def plan_whole(client: Client, patch: pytest.MonkeyPatch, **options: Any) -> Any:
    """The plan with no step left out."""
    with patch.context() as patched:
        patched.setattr(data_tests, "has_data_tests", lambda *_: True)
        patched.setattr(data_tests, "run_data_tests", lambda *_: ())
        patched.setattr(validate, "MAX_ROWS", -1)
        return client.plan(**options)


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_is_the_same_whether_steps_were_left_out_or_not(
    client: Client, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After changes drawn by lot, of which many change nothing, and runs of which some are not answered."""
    draw = random.Random(seed)
    client.write(settings=SETTINGS)
    client.items(4)
    client.shirt("P", "S", "M")
    client.sql("create table start as from item")
    for _ in range(6):
        for _ in range(draw.randint(0, 2)):
            client.sql(
                draw.choice(CHANGES).format(
                    code=draw.choice(("I000", "I001", "I002", "P-S", "P-M")),
                    number=draw.randint(1, 2),
                    flag=draw.choice(("Yes", "Ignore", "Delete")),
                    quantity=draw.choice(("7", "8", "many")),
                )
            )
        client.sandbox.faults.drops_after = draw.choice((0, 0, 2))
        with suppress(SyncError):
            client.run()
        client.sandbox.faults.clear()
        assert client.plan() == plan_whole(client, monkeypatch)


def test_rows_that_resemble_each_other_are_found_whether_rules_were_left_out_or_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few rows it is looked first which rules they may break together."""
    client.items(2)
    client.shirt("P", "S", "M")
    client.run()
    draw = random.Random(1)
    found: set[str] = set()
    for _ in range(12):
        client.sql("delete from item where code like 'X%'")
        for number in range(draw.randint(1, 3)):
            client.item(
                f"X{number}",
                product=draw.choice(("P", "P", f"X{number}")),
                sku=draw.choice(("I000", "i000", f"X{number}")),
                barcode=draw.choice(("600", None, None)),
                title=draw.choice(("Item I000", "ITEM I000", "Shirt P", f"Item {number}")),
                size=draw.choice(("S", "s", "L", "XL", None)),
                colour=draw.choice(("Red", None, None)),
            )
        plan = client.plan(everything=True)
        assert plan == plan_whole(client, monkeypatch, everything=True)
        found |= {problem.rule for problem in (*plan.quarantine, *plan.warnings)}
    together = {"repeated_sku", "similar_value", "repeated_title", "repeated_barcode", "options_missing"}
    assert found >= {*together, "repeated_options", "differs_within_product"}


def test_what_left_quarantine_is_closed_by_a_run_that_finds_nothing_else(client: Client) -> None:
    """The row that broke a rule is gone, and was never published: no row differs, and still something ended."""
    client.item("A")
    client.item("B", qty="many")
    client.run()
    client.sql("delete from item where code = 'B'")
    client.run()
    with open_state(client.project.state) as state:
        assert state.value("select count(*) from quarantine where resolved_at is null") == 0


def test_a_run_that_finds_nothing_new_compares_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what most runs are, and should cost little more than reading the rows."""
    client.items(3)
    client.run()

    def compared(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("engine.sync.compare.validate", compared)
    assert client.run().plan.counts.unchanged == 3


def test_few_rows_are_read_as_many_are(client: Client) -> None:
    """Whole numbers and booleans of a catalogue that shrinks are no change; one row that changes is sent alone."""
    project = client.root / "project.toml"
    client.write(settings=SETTINGS)
    text = project.read_text("utf-8").replace("duckdb", "sqlite")
    project.write_text(text.replace("erp.duckdb", "erp.sqlite"), "utf-8")
    with closing(sqlite3.connect(client.root / "erp.sqlite")) as erp, erp:
        erp.execute(f"create table item ({', '.join(COLUMNS)})")
        erp.executemany(
            "insert into item (product, code, title, active, price, qty, sku)"
            " values (:code, :code, :code, 1, :price, :qty, :code)",
            [
                {"code": f"I{number:04}", "price": number, "qty": -number if number % 3 else None}
                for number in range(1_200)
            ],
        )
    assert client.run().sent == 1_200
    with closing(sqlite3.connect(client.root / "erp.sqlite")) as erp, erp:
        erp.execute("delete from item where code >= 'I0900'")
        erp.execute("update item set title = 'Other' where code = 'I0007'")
    plan = client.plan()
    assert (plan.counts.unchanged, plan.counts.updates, plan.counts.deleted) == (899, 1, 300)
