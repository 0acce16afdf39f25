"""Whatever happens on the way, the last run leaves Stock2Shop as the source is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from engine.errors import ApiError
from engine.state.store import open_state
from engine.sync import history
from engine.sync.adopt import verify

if TYPE_CHECKING:
    from support.client import Client

ROOT = Path(__file__).parents[2]

SETTINGS = "max_deletes = 10000\nmax_changes = 10000\n"
REMOTE = "pace = 0\nbatch_variants = 7\n"

CHANGES = (
    "update item set price = '{number}.50' where code = '{code}'",
    "update item set qty = '{number}' where code = '{code}'",
    "update item set sku = '{code}/{number}' where code = '{code}'",
    "update item set trade = '{number}' where code = '{code}'",
    "update item set title = 'Title {number}' where product = '{code}'",
    "update item set product = 'P9', size = 'size {code}' where code = '{code}'",
    "update item set active = 'Delete' where code = '{code}'",
    "update item set active = '' where code = '{code}'",
    "update item set active = 'Yes' where code = '{code}'",
    "update item set qty = 'many' where code = '{code}'",
    "insert into item select * from item where code = '{code}'",
    "delete from item where code = '{code}'",
    "insert into item (product, code, title, active, price, qty) values ('N', 'N{number}', 'New', 'Yes', '1', '1')",
)

MENDS = (
    "create or replace table item as select distinct * from item",
    "delete from item where code in (select code from item group by code having count(*) > 1)",
    "update item set qty = '7' where qty = 'many'",
    "update item set active = 'Yes' where active = ''",
    "update item set product = code where product = 'N'",
    "update item set sku = code where sku is null",
    "update item set title = 'Product ' || product",
    "update item set size = null where product in (select product from item group by product having count(*) = 1)",
)

FAULTS = ("errors", "drops", "drops_after", "halves", "malformed", "pages", "complaints", "short_counts")


def run_killed(client: Client, *, after: int) -> None:
    """Begin a run in a process of its own and kill it once it has asked for so many things, or is done."""
    environment = {**os.environ, **client.environment, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "run", client.name],
        cwd=client.workspace,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = len(client.sandbox.requests)
    while process.poll() is None and len(client.sandbox.requests) < before + after:
        time.sleep(0.001)
    process.kill()
    process.wait()


def mishap(client: Client, draw: random.Random) -> None:
    """Something goes wrong at Stock2Shop, or somebody works in its console."""
    faults, held = client.sandbox.faults, sorted(client.held())
    match draw.choice(("fault", "fault", "fault", "token", "refused", "console", "resend")):
        case "fault":
            setattr(faults, draw.choice(FAULTS), draw.randint(1, 3))
        case "token":
            client.sandbox.expire_tokens()
        case "refused":
            faults.refuse_sku(*draw.sample(held, min(2, len(held))))
        case "console" if held:
            faults.clear()
            client.sandbox.change(57, draw.choice(held), qty=99_999)
            client.sandbox.forget(57, draw.choice(held))
            verify(client.project, "products", repair=True)
        case "resend":
            client.sandbox.set_sync_token(57, str(draw.randint(0, 9)))


def wanted(client: Client) -> dict[str, tuple[Any, ...]]:
    """What Stock2Shop should hold of each active row."""
    with duckdb.connect(str(client.root / "erp.duckdb")) as connection:
        rows = connection.execute(
            "select code, product, title, price, qty, sku, size, trade from item where active = 'Yes'"
        ).fetchall()
    return {
        code: (product, title, float(price), int(qty), sku, size, [float(trade)] if trade else [])
        for code, product, title, price, qty, sku, size, trade in rows
    }


def held(client: Client) -> dict[str, tuple[Any, ...]]:
    """The same of what it does hold."""
    names = ("source_product_code", "title", "price", "qty", "sku", "option1")
    return {
        code: (*(row.get(name) for name in names), [float(tier["price"]) for tier in row.get("price_tiers") or []])
        for code, row in client.held().items()
    }


def test_after_any_mishaps_stock2shop_holds_what_the_source_says(client: Client) -> None:
    """Changes, faults, refusals, hands in the console and `kill -9`, in an order drawn by lot."""
    draw = random.Random(0)
    client.write(settings=SETTINGS, remote=REMOTE)
    client.items(12)
    for product in ("P1", "P2", "P9"):
        client.shirt(product, "S", "M", "L")
    for turn in range(10):
        codes = [f"I{number:03}" for number in range(12)] + [f"P{n}-{size}" for n in (1, 2, 9) for size in "SML"]
        client.sql(
            *(
                draw.choice(CHANGES).format(code=draw.choice(codes), number=draw.randint(1, 999))
                for _ in range(draw.randint(0, 6))
            )
        )
        mishap(client, draw)
        if turn % 5 == 2:
            run_killed(client, after=draw.randint(1, 6))
        else:
            with suppress(ApiError):
                client.run()

    client.sandbox.faults.clear()
    client.sql(*MENDS)
    with open_state(client.project.state) as state:
        history.retry(state, keys=())
    client.run()
    assert held(client) == wanted(client)
    assert verify(client.project, "products") == ()
    assert client.run().sent == 0
