"""A client whose orders are raised: an ERP of three tables on each kind of database, and the statements for it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.config.loader import load
from engine.database.origin import Origin
from engine.orders.document import parse_document
from engine.orders.ledger import Ledger
from engine.orders.ledger_file import LedgerFile, LocalLedgers
from engine.orders.pipeline import OrderProcessor
from support.command import run_command, run_process
from support.rights import powerless

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from engine.model.settings import Project
    from engine.orders.entry import Entry
    from engine.sandbox.server import Sandbox
    from support.servers import MariaDb, Postgres

ROOT = Path(__file__).parents[2]

TABLES = (
    "create table erp_customer (code varchar(40) primary key, name varchar(200))",
    "create table erp_item (code varchar(40) primary key, on_hand decimal(12, 2))",
    """create table erp_order (id {serial}, s2s_id bigint, reference varchar(100) unique, customer varchar(40) not null,
        notes varchar(2000), placed varchar(40), warehouse varchar(20))""",
    """create table erp_line (order_id integer, sku varchar(40), qty decimal(12, 2), price decimal(12, 4),
        tax_code varchar(10), backorder varchar(5))""",
    "insert into erp_customer values ('C1', 'One'), ('CASH', 'Cash')",
    "insert into erp_item values ('A', 10), ('B', 1), ('SHIP', 9999)",
)
SERIAL = {
    "sqlite": "integer primary key",
    "postgres": "serial primary key",
    "mysql": "integer auto_increment primary key",
}

STATEMENTS = {
    "lookup.sql": "select 'SO' || id as source_order_code, customer as source_customer_code from erp_order"
    " where s2s_id = {{ order.id }}",
    "item.sql": "select code from erp_item where code = {{ line.sku }}",
    "stock.sql": "select on_hand from erp_item where code = {{ line.sku }}",
    "find_customer.sql": "select code as source_customer_code from erp_customer where code = {{ customer.code }}",
    "customer.sql": "insert into erp_customer (code, name) values ({{ customer.code }}, {{ customer.last_name }})",
    "10_header.sql": "insert into erp_order (s2s_id, reference, customer, notes, placed, warehouse) values"
    " ({{ order.id }}, {{ order.reference }}, {{ order.customer_code }}, {{ order.notes }}, {{ order.date }},"
    " {{ order.warehouse }})"
    " returning id",
    "20_lines.line.sql": "insert into erp_line (order_id, sku, qty, price, tax_code, backorder) values"
    " ({{ results.header.id }}, {{ line.sku }}, {{ line.qty }}, {{ line.price }}, {{ line.tax_code }},"
    " {{ 'yes' if line.backorder else 'no' }})",
    "30_shipping.shipping.sql": "insert into erp_line (order_id, sku, qty, price) values"
    " ({{ results.header.id }}, {{ line.sku }}, 1, {{ line.price }})",
    "90_code.sql": "select 'SO' || id as source_order_code from erp_order where id = {{ results.header.id }}",
}

NOTHING_UNIQUE: dict[str, str | None] = {
    "10_header.sql": STATEMENTS["10_header.sql"].replace("{{ order.reference }}", "null")
}
"""With this, nothing in the database keeps an order from being there twice."""

MYSQL = {
    "lookup.sql": "select concat('SO', id) as source_order_code, customer as source_customer_code from erp_order"
    " where s2s_id = {{ order.id }}",
    "90_code.sql": "select concat('SO', id) as source_order_code from erp_order where id = {{ results.header.id }}",
}


def order_document(order_id: int = 1001, **changes: Any) -> dict[str, Any]:
    """A sound order of two lines, as Stock2Shop's public data objects have it; about nobody."""
    made: dict[str, Any] = {
        "id": order_id,
        "channel_id": 12,
        "channel_order_code": f"#{order_id}",
        "created": "2026-03-01 22:30:00",
        "notes": "Leave at the gate",
        "customer": {"email": "someone@example.com", "first_name": "Some", "last_name": "One"},
        "sources": [{"source_id": 57, "source_customer_code": "C1"}],
        "line_items": [
            {"sku": "A", "qty": 2, "price": 10.5, "sub_total": 21, "tax": 3.15, "total": 24.15},
            {"sku": "B", "qty": 1, "price": "5.00", "sub_total": 5, "tax": 0, "total": 5},
        ],
        "shipping_lines": [{"title": "Courier", "price": 50, "sub_total": 50, "tax": 0, "total": 50}],
        "shipping_sub_total": 50,
        "shipping_tax": 0,
        "total": 79.15,
    }
    made.update(changes)
    return made


def parsed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as it is read from JSON."""
    return parse_document(json.dumps(document).encode())


def order_line(**changes: Any) -> dict[str, Any]:
    """One line of an order."""
    return {"sku": "A", "qty": 1, "price": 10, **changes}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process does, for two minutes at most."""
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("It did not happen.")


def open_ledger(state_folder: Path, name: str = "acme") -> AbstractContextManager[Ledger]:
    """The ledger of a project that is nowhere else, to be changed; it belongs to somebody."""
    somebody = Origin(account="https://app.stock2shop.com/v1, source 57", database="server erp")
    return closing(Ledger(LedgerFile(state_folder, name), name, state_folder, origin=somebody))


@dataclass
class Erp:
    """A client's database that orders are raised in."""

    workspace: Path
    sandbox: Sandbox
    dialect: str
    target: str
    rows: Callable[[str], list[tuple[Any, ...]]]

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.workspace / "projects" / "acme"

    @property
    def environment(self) -> dict[str, str]:
        """What the project's variables come from."""
        return {"TEST_URL": self.sandbox.url, "TEST_USER": "sandbox", "TEST_PASSWORD": "sandbox"}

    def write(self, settings: str = "", *, statements: dict[str, str | None] | None = None) -> None:
        """Write project.toml with ``settings`` under [orders], and the statements; one that is None is left out."""
        (self.root / "orders").mkdir(parents=True, exist_ok=True)
        grace = "" if "commit_grace" in settings else "commit_grace = 0\n"
        (self.root / "project.toml").write_text(
            f'[source]\ndialect = "{self.dialect}"\n{self.target}\n'
            '[stock2shop]\nurl = "${TEST_URL}"\nsource_id = 57\nusername = "${TEST_USER}"\n'
            'password = "${TEST_PASSWORD}"\npace = 0\n'
            f"[orders]\n{self.target}\n{grace}{settings}\n",
            "utf-8",
        )
        for old in (self.root / "orders").glob("*.sql"):
            old.unlink()
        own = MYSQL if self.dialect == "mysql" else {}
        for name, sql in {**STATEMENTS, **own, **(statements or {})}.items():
            if sql is not None:
                (self.root / "orders" / name).write_text(sql, "utf-8")

    @property
    def project(self) -> Project:
        """The project as it is loaded now."""
        return load("acme", workspace=self.workspace, environ=self.environment)

    @property
    def ledgers(self) -> LocalLedgers:
        """Where the orders of the workspace are kept."""
        return LocalLedgers(self.project.state.parent)

    def ledger(self) -> AbstractContextManager[Ledger]:
        """The project's ledger, opened."""
        return self.ledgers.opened(self.project)

    def receive(self, *documents: dict[str, Any], via: str = "import") -> list[Entry]:
        """Receive orders, one after the other."""
        with self.ledger() as ledger, closing(OrderProcessor(self.project)) as processor:
            return [processor.receive(ledger, parsed(each), via=via) for each in documents]

    def entry(self, order_id: int = 1001) -> Entry:
        """What the ledger says of an order."""
        with self.ledgers.viewed("acme") as ledger:
            return ledger.get_entry(order_id)

    def orders(self) -> list[tuple[Any, ...]]:
        """The orders in the database."""
        return self.rows("select reference, customer from erp_order order by id")

    def lines(self) -> list[tuple[Any, ...]]:
        """The lines in the database."""
        found = self.rows("select sku, qty, price from erp_line")
        return [(sku, float(qty), float(price)) for sku, qty, price in found]

    def s2s(self, *words: str, rights: bool = True, alone: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the command; in a process of its own where it runs ``alone``, or without ``rights`` over files."""
        if rights and not alone:
            return run_command(*words, folder=self.workspace, variables=self.environment)
        before = () if rights else tuple(powerless())
        return run_process(*words, folder=self.workspace, variables=self.environment, before=before, timeout=60)

    def serve(self, port: int) -> subprocess.Popen[str]:
        """Start a receiver as a process of its own; it takes orders when this returns."""
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", "orders", "serve", "acme", "--port", str(port)],
            cwd=self.workspace,
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert process.stdout is not None
        assert f":{port}/orders" in process.stdout.readline()
        return process

    def die_at(self, boundary: str, order: dict[str, Any]) -> int:
        """Receive an order in a process that kills itself at a boundary; gives its exit code."""
        path = self.workspace / "order.json"
        path.write_text(json.dumps(order), "utf-8")
        return subprocess.run(
            [sys.executable, "-c", DYING, boundary, str(self.workspace), str(path)],
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            check=False,
            stdout=subprocess.DEVNULL,
            timeout=60,
        ).returncode


DYING = """\
import os, signal, sys
from pathlib import Path
from engine.orders import pipeline
from engine.config.loader import load
from engine.orders.ledger_file import LocalLedgers
from engine.orders.receiver import Receiver

def die(name):
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

pipeline.crash_point = die
project = load("acme", workspace=Path(sys.argv[2]), environ=os.environ)
print(Receiver(project, LocalLedgers(project.state.parent)).receive(Path(sys.argv[3]).read_bytes()))
"""


def in_sqlite(workspace: Path, sandbox: Sandbox, *, name: str = "erp.sqlite") -> Erp:
    """An ERP in a SQLite file of ``workspace``."""
    path = workspace / name

    def rows(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()

    with closing(sqlite3.connect(path)) as connection:
        for statement in TABLES:
            connection.execute(statement.format(serial=SERIAL["sqlite"]))
        connection.commit()
    return Erp(workspace, sandbox, "sqlite", f"database = {json.dumps(str(path))}", rows)


def on_server(server: Postgres | MariaDb, dialect: str, workspace: Path, sandbox: Sandbox) -> Erp:
    """An ERP in a database of ``server``."""
    import pyodbc

    database = server.fresh_database()
    server.execute(database, *(statement.format(serial=SERIAL[dialect]) for statement in TABLES))
    connection = server.connection(database, login="admin")

    def rows(sql: str) -> list[tuple[Any, ...]]:
        with closing(pyodbc.connect(connection, autocommit=True)) as opened:
            return [tuple(row) for row in opened.execute(sql).fetchall()]

    return Erp(workspace, sandbox, dialect, f"connection = {json.dumps(connection)}", rows)


@pytest.fixture
def other_erp(any_erp: Erp, postgres: Postgres, mariadb: MariaDb) -> Erp:
    """Another ERP for the same project, which :meth:`Erp.write` points it to, on the same kind of database."""
    if any_erp.dialect == "sqlite":
        return in_sqlite(any_erp.workspace, any_erp.sandbox, name="other.sqlite")
    servers: dict[str, Postgres | MariaDb] = {"postgres": postgres, "mysql": mariadb}
    return on_server(servers[any_erp.dialect], any_erp.dialect, any_erp.workspace, any_erp.sandbox)


@pytest.fixture
def erp(tmp_path: Path, sandbox: Sandbox) -> Erp:
    """An ERP in a SQLite file."""
    made = in_sqlite(tmp_path, sandbox)
    made.write('default_customer = "CASH"')
    return made


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def any_erp(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, postgres: Postgres, mariadb: MariaDb
) -> Erp:
    """An ERP on each kind of database in turn."""
    if request.param == "sqlite":
        made = in_sqlite(tmp_path, sandbox)
    else:
        servers: dict[str, Postgres | MariaDb] = {"postgres": postgres, "mysql": mariadb}
        made = on_server(servers[request.param], request.param, tmp_path, sandbox)
    made.write('default_customer = "CASH"')
    return made
