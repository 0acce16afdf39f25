"""A day with the ERP away: what passes is tried again by itself, and what a person must decide waits for one."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
from support.erp import on_server, order_document, order_line

from engine.orders import operations, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.erp import Erp
    from support.servers import MariaDb, Postgres

    from engine.orders.entry import Entry
    from engine.sandbox.server import Sandbox

    Server = Postgres | MariaDb


def retry(erp: Erp, *order_ids: int) -> list[Entry]:
    """Retry orders as the command does."""
    return operations.retry_orders(erp.project, erp.ledgers, order_ids, stop=threading.Event())


def run(erp: Erp, *statements: str) -> None:
    """Run statements that give no rows, as the administrator."""
    if erp.dialect == "sqlite":
        import sqlite3

        with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    for statement in statements:
        with suppress(Exception):  # no rows to fetch
            erp.rows(statement)


def as_clerk(erp: Erp) -> str:
    """Have orders raised by a login without rights over the server, and return its connection string."""
    database = re.search(r"Database=(\w+)", erp.target)
    assert database
    name = f"clerk_{database[1]}"
    if erp.dialect == "postgres":
        run(
            erp,
            f"create role {name} login password 'clerk' connection limit 2",
            f"grant all on all tables in schema public to {name}",
            f"grant all on all sequences in schema public to {name}",
        )
    else:
        run(
            erp,
            f"create user {name}@'127.0.0.1' identified by 'clerk'",
            f"grant select, insert, update, delete on {database[1]}.* to {name}@'127.0.0.1'",
        )
    erp.target = re.sub(r"UID=\w+;PWD=[^\"]*", f"UID={name};PWD=clerk", erp.target)
    erp.write()
    return erp.target.removeprefix("connection = ").strip('"')


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
def test_a_server_that_only_reads_for_the_night_is_tried_again(any_erp: Erp) -> None:
    """MariaDB's error 1290; nothing is in doubt, because nothing was sent."""
    as_clerk(any_erp)
    try:
        run(any_erp, "set global read_only = 1")
        (entry,) = any_erp.receive(order_document())
    finally:
        run(any_erp, "set global read_only = 0")
    assert (entry.status, entry.attempts, entry.uncertain) == ("failed", 1, False), entry.reason
    assert [each.status for each in retry(any_erp, 1001)] == ["raised"]
    assert len(any_erp.lines()) == 2


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDb) -> Iterator[Server]:
    """Each server in turn, which runs again afterwards, whatever a test did."""
    servers: dict[str, Server] = {"postgres": postgres, "mysql": mariadb}
    chosen = servers[request.param]
    yield chosen
    if not chosen.is_running:
        chosen.start()


@pytest.fixture
def erp_on(server: Server, tmp_path: Path, sandbox: Sandbox) -> Erp:
    """An ERP on that server."""
    dialect = "mysql" if server.account == "mysql" else "postgres"
    made = on_server(server, dialect, tmp_path, sandbox)
    made.write('default_customer = "CASH"')
    return made


def at(monkeypatch: pytest.MonkeyPatch, boundary: str, action: Callable[[], None]) -> None:
    """Do something the first time that an order comes to a boundary."""
    done = threading.Event()

    def act(name: str) -> None:
        if name == boundary and not done.is_set():
            done.set()
            action()

    monkeypatch.setattr(pipeline, "crash_point", act)


@pytest.mark.parametrize("boundary", ["before the transaction", "in the transaction"])
def test_a_server_that_restarts_in_the_middle_is_tried_again_at_once(
    erp_on: Erp, server: Server, monkeypatch: pytest.MonkeyPatch, boundary: str
) -> None:
    """By the time that it is back nobody has noticed."""

    def restart() -> None:
        server.shut_down()
        server.start()

    erp_on.receive(order_document(1))
    at(monkeypatch, boundary, restart)
    (entry,) = erp_on.receive(order_document(2))
    assert entry.status == "raised", entry.reason
    assert (len(erp_on.orders()), len(erp_on.lines())) == (2, 4)


def test_a_server_that_stays_away_is_tried_again_later(
    erp_on: Erp, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order failed for now, whether it was in the middle or had not begun; no person has to decide anything."""
    at(monkeypatch, "in the transaction", server.shut_down)
    entries = erp_on.receive(order_document(1), order_document(2))
    found = [(entry.status, entry.uncertain) for entry in entries]
    assert found == [("failed", False)] * 2, [entry.reason for entry in entries]
    server.start()
    assert [entry.status for entry in retry(erp_on)] == ["raised"] * 2
    assert (len(erp_on.orders()), len(erp_on.lines())) == (2, 4)


def test_a_server_that_goes_away_with_the_commit_leaves_the_order_to_be_looked_up(
    erp_on: Erp, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the commit arrived: it is found out, and the order is there once."""
    at(monkeypatch, "before the commit", server.shut_down)
    (entry,) = erp_on.receive(order_document())
    assert (entry.status, entry.uncertain) == ("failed", True)
    server.start()
    assert [each.status for each in retry(erp_on, 1001)] == ["raised"]
    assert (len(erp_on.orders()), len(erp_on.lines())) == (1, 2)


@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_a_server_without_free_connections_is_tried_again(any_erp: Erp) -> None:
    """PostgreSQL's 53300 and MariaDB's 1040."""
    import pyodbc

    connection = as_clerk(any_erp)
    with ExitStack() as held:
        try:
            run(any_erp, "set global max_connections = 10")
            with suppress(pyodbc.Error):
                for _ in range(20):
                    held.enter_context(closing(pyodbc.connect(connection)))
            (entry,) = any_erp.receive(order_document())
        finally:
            run(any_erp, "set global max_connections = 151")
    assert (entry.status, entry.attempts, entry.uncertain) == ("failed", 1, False)
    assert "takes no more connections" in entry.reason
    assert [each.status for each in retry(any_erp, 1001)] == ["raised"]


CLOSED = {
    "sqlite": (
        "create trigger closed before insert on erp_order begin select raise(abort, 'The period is closed'); end",
        "drop trigger closed",
    ),
    "postgres": (
        (
            "create function closed() returns trigger language plpgsql as"
            " $$ begin raise 'The period is closed'; end $$;"
            " create trigger closed before insert on erp_order for each row execute function closed()"
        ),
        "drop trigger closed on erp_order",
    ),
    "mysql": (
        (
            "create trigger closed before insert on erp_order for each row"
            " signal sqlstate '45000' set message_text = 'The period is closed'"
        ),
        "drop trigger closed",
    ),
}


def test_the_books_that_are_closed_for_a_months_end_are_told_from_what_a_person_must_decide(any_erp: Erp) -> None:
    """By what the trigger says, without a setting; an order for an item that is not there waits meanwhile."""
    close, open_again = CLOSED[any_erp.dialect]
    run(any_erp, close)
    any_erp.write("transient_errors = []")
    (entry,) = any_erp.receive(order_document(1))
    assert (entry.status, entry.rule) == ("waiting", "refused"), entry.reason
    assert "The period is closed" in entry.reason
    any_erp.write()
    missing, closed = any_erp.receive(
        order_document(2, line_items=[order_line(sku="NEW")], total=None), order_document(3)
    )
    assert (missing.status, missing.rule) == ("waiting", "unknown_sku")
    assert (closed.status, closed.attempts, closed.uncertain) == ("failed", 1, False)
    assert any_erp.orders() == []
    run(any_erp, open_again)
    assert {each.order_id: each.status for each in retry(any_erp)} == {1: "raised", 2: "waiting", 3: "raised"}
    assert len(any_erp.orders()) == 2
