"""The example project's statements for orders, on a real PostgreSQL: what the documentation teaches is right."""

from __future__ import annotations

import csv
import json
import re
import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.servers import PASSWORDS

from engine.config.loader import load
from engine.orders import operations
from engine.orders.document import parse_document
from engine.orders.ledger_file import LocalLedgers
from engine.orders.pipeline import OrderProcessor
from engine.orders.statement_checks import check_statements

if TYPE_CHECKING:
    from support.servers import Postgres

    from engine.model.settings import Project
    from engine.orders.entry import Entry

ROOT = Path(__file__).parents[2]

SALES_ORDER = """create table sales_order (number serial primary key, stock2shop_id bigint unique, reference text,
    customer_code text not null, placed_at timestamp, warehouse text, channel_order text, note text)"""
SALES_ORDER_LINE = """create table sales_order_line (order_number integer references sales_order, line_number integer,
    item_code text, quantity numeric(12, 2), price numeric(12, 2), backorder boolean)"""


@pytest.fixture
def karoo(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, Postgres, str]:
    """The example project with a database of its fixtures."""
    shutil.copytree(ROOT / "projects" / "karoo_outdoor", tmp_path / "projects" / "karoo_outdoor")
    database = postgres.fresh_database()
    postgres.execute(database, SALES_ORDER, SALES_ORDER_LINE)
    for name in ("customer", "item", "stock"):
        lines = (ROOT / "projects" / "karoo_outdoor" / "fixtures" / f"{name}.csv").read_text("utf-8").splitlines()
        header, *rows = csv.reader(lines)
        columns = [column.partition(":")[0] for column in header]
        kinds = ["numeric" if column in {"on_hand", "reserved"} else "text" for column in columns]
        defined = ", ".join(f"{column} {kind}" for column, kind in zip(columns, kinds, strict=True))
        values = (
            "(" + ", ".join("null" if v == "" else "'" + v.replace("'", "''") + "'" for v in row) + ")" for row in rows
        )
        postgres.execute(database, f"create table {name} ({defined})", f"insert into {name} values {', '.join(values)}")
    path = tmp_path / "projects" / "karoo_outdoor" / "project.toml"
    text = path.read_text("utf-8").replace("Server=${KAROO_HOST}", f"Server=127.0.0.1;Port={postgres.port}")
    path.write_text(text, "utf-8")
    names = set(re.findall(r"\$\{(\w+)\}", text))
    environment = dict.fromkeys(names, "x" * 20) | {"KAROO_DATABASE": database}
    environment |= {f"KAROO_{role}": "admin" for role in ("USER", "ORDERS_USER")}
    environment |= {f"KAROO_{role}": PASSWORDS["admin"] for role in ("PASSWORD", "ORDERS_PASSWORD")}
    return load("karoo_outdoor", workspace=tmp_path, environ=environment), postgres, database


def receive(project: Project, **changes: Any) -> Entry:
    """Receive the example's order, changed."""
    document = json.loads((project.root / "fixtures" / "order.json").read_text("utf-8")) | changes
    with (
        LocalLedgers(project.state.parent).opened(project) as ledger,
        closing(OrderProcessor(project)) as processor,
    ):
        return processor.receive(ledger, parse_document(json.dumps(document).encode()), via="import")


def test_the_examples_order_is_raised_found_again_and_told_from_another_channels(
    karoo: tuple[Project, Postgres, str],
) -> None:
    """With the trade customer that its e-mail address is of; a lost ledger raises nothing twice."""
    project, server, database = karoo
    assert project.orders is not None
    assert check_statements(project, project.orders) == ()
    assert (receive(project).status, receive(project, id=70013, channel_id=5).status) == ("raised", "raised")
    for path in project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    entry = receive(project)
    assert (entry.status, entry.reason, entry.source_order_code) == ("raised", "found in the database", "1")
    assert server.row(database, "select count(*), min(customer_code), max(channel_order) from sales_order") == (
        2,
        "K002",
        "WEB-1042",
    )
    assert server.row(
        database, "select count(*), sum(quantity * price) from sales_order_line where order_number = 1"
    ) == (
        3,
        pytest.approx(537 + 1899 + 95),
    )


def test_the_examples_customer_is_the_one_that_stock2shop_names(karoo: tuple[Project, Postgres, str]) -> None:
    """Whatever e-mail address somebody ordered under; one who is not there makes the order wait."""
    project, server, database = karoo
    entry = receive(project, sources=[{"source_id": 58, "source_customer_code": "K001"}])
    assert (entry.status, entry.source_customer_code) == ("raised", "K001")
    assert server.row(database, "select customer_code from sales_order") == ("K001",)
    entry = receive(project, id=2, sources=[{"source_id": 58, "source_customer_code": "GONE"}])
    assert (entry.status, entry.rule) == ("waiting", "unknown_customer")
    entry = receive(project, id=3, customer={"email": "nobody@example.com"})
    assert (entry.status, entry.source_customer_code) == ("raised", "K001")
    assert (
        operations.retry_orders(project, LocalLedgers(project.state.parent), (), stop=threading.Event())[0].status
        == "waiting"
    )
