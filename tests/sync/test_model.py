"""Whatever is drawn by lot, a run that nothing disturbs leaves Stock2Shop as the rows of the source alone say.

Nothing that the engine remembers is asked: what Stock2Shop should hold is computed from the client's table.
"""

from __future__ import annotations

import random
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from engine.errors import GuardError, SyncError
from engine.state.store import open_state
from engine.sync import dispatch, history, pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from support.client import Client

PRODUCTS = {"P": ("P1", "P2", "P3"), "Q": ("Q1", "Q2"), "A": ("A",), "B": ("B",), "C": ("C",), "D": ("D",)}
CODES = [code for codes in PRODUCTS.values() for code in codes]

CHANGES = (
    "update item set price = '{number}.50' where code = '{code}'",
    "update item set price = null where code = '{code}'",
    "update item set qty = '{number}' where code = '{code}'",
    "update item set qty = 'many' where code = '{code}'",
    "update item set title = 'Title {number}' where code = '{code}'",
    "update item set vendor = 'Vendor {number}' where product = '{product}'",
    "update item set product = '{product}', size = code where code = '{code}'",
    "update item set active = 'Delete' where code = '{code}'",
    "update item set active = '' where code = '{code}'",
    "update item set active = 'Yes' where code = '{code}'",
    "delete from item where code = '{code}'",
    "insert into item from start where code = '{code}' and code not in (select code from item)",
    "delete from item where code = '{code}'; insert into item from start where code = '{code}'",
    "delete from item; insert into item from before",
)
"""The last three bring rows back as they were, so that the comparison alone would see no change."""

FIXES = (
    "update item set qty = '7' where qty = 'many'",
    "update item set price = '3' where price is null",
    "update item set active = 'Yes' where active = ''",
)


class Killed(BaseException):
    """The process ends here."""


CRASH_POINTS = (
    (dispatch, "mark_in_flight", "after"),
    (dispatch, "record_receipt", "before"),
    (dispatch, "record_receipt", "after"),
    (pipeline, "record_local_outcomes", "before"),
    (pipeline, "record_local_outcomes", "after"),
    (pipeline, "compact_journal", "before"),
)


@contextmanager
def crash(draw: random.Random, module: ModuleType, name: str, when: str) -> Iterator[None]:
    """Inside, the process is killed at a crash point, the first or a later time that it is passed."""
    passes = draw.choice((1, 1, 2, 3))
    step = getattr(module, name)

    def crashing(*arguments: Any, **named: Any) -> Any:
        nonlocal passes
        passes -= 1
        if passes == 0 and when == "before":
            raise Killed
        result = step(*arguments, **named)
        if passes == 0:
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, crashing)
        with suppress(Killed):
            yield


def expected(client: Client) -> dict[str, tuple[Any, ...]]:
    """What Stock2Shop should hold of each row that is Active and valid: the lowest code speaks for its product."""
    with duckdb.connect(str(client.root / "erp.duckdb")) as connection:
        rows = connection.execute(
            "select code, product, first_value(title) over spoken, coalesce(first_value(vendor) over spoken, ''),"
            " price::double, qty::int from item"
            " where active = 'Yes' and qty <> 'many' and price is not null"
            " window spoken as (partition by product order by code) order by code"
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def held(client: Client) -> dict[str, tuple[Any, ...]]:
    """The same of what it does hold."""
    names = ("source_product_code", "title", "vendor", "price", "qty")
    return {code: tuple(row.get(name) for name in names) for code, row in client.held().items()}


def absent(client: Client) -> set[str]:
    """The codes that Stock2Shop must not hold: without a row, or flagged Delete."""
    with duckdb.connect(str(client.root / "erp.duckdb")) as connection:
        kept = connection.execute("select code from item where active <> 'Delete'").fetchall()
    return set(CODES) - {code for (code,) in kept}


def disturb(client: Client, draw: random.Random) -> None:
    """Let something go wrong at Stock2Shop."""
    faults = client.sandbox.faults
    match draw.choice(("none", "drops_after", "drops", "errors", "complaints", "refused", "token")):
        case "none":
            pass
        case "refused":
            faults.refuse_sku(draw.choice("ABCD"))
        case "token":
            client.sandbox.set_sync_token(57, str(draw.randint(0, 9)))
        case fault:
            setattr(faults, fault, draw.randint(1, 3))


def run_empty(client: Client) -> None:
    """The view gives nothing: nothing may be removed for it."""
    before = held(client)
    client.sql("create or replace table full_item as from item", "delete from item")
    with pytest.raises((GuardError, SyncError)):
        client.run()
    client.sql("insert into item from full_item")
    assert held(client) == before


@pytest.mark.parametrize(("module", "name", "when"), CRASH_POINTS)
def test_stock2shop_holds_what_the_source_says_whatever_step_runs_died_in(
    client: Client, module: ModuleType, name: str, when: str
) -> None:
    """With lost answers, refusals, empty reads; rows that change, move, turn blank, go, and come back as before."""
    draw = random.Random(f"{name} {when}")
    client.write(settings="max_deletes = 1000\nmax_changes = 1000", remote="pace = 0\nbatch_variants = 3")
    for product, codes in PRODUCTS.items():
        for code in codes:
            client.item(code, product=product, title=f"Item {code}", size=code)
    client.sql("create table start as from item", "create table before as from item")
    for _ in range(5):
        disturb(client, draw)
        if draw.random() < 0.2:
            client.sandbox.faults.clear()
            run_empty(client)
        with suppress(SyncError), crash(draw, module, name, when):
            client.run()
        client.sandbox.faults.clear()
        changes = [
            draw.choice(CHANGES).format(
                code=draw.choice(CODES), product=draw.choice(tuple(PRODUCTS)), number=draw.randint(1, 999)
            )
            for _ in range(draw.randint(0, 4))
        ]
        client.sql("create or replace table earlier as from item")
        client.sql(*changes, "create or replace table before as from earlier")
        if draw.random() < 0.5:
            with open_state(client.project.state) as state:
                history.retry(state, keys=())
            client.sql(*FIXES)
            client.run()
            assert {code: row for code, row in held(client).items() if code in expected(client)} == expected(client)
            assert absent(client) & set(held(client)) == set()
    client.sql(*FIXES)
    with open_state(client.project.state) as state:
        history.retry(state, keys=())
    client.run()
    assert held(client) == expected(client)
    assert (client.run().sent, client.run(full=True).sent) == (0, 0)
