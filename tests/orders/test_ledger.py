"""The order ledger: its statuses, its documents and its file."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document

from engine.embedded import connect_own_sqlite
from engine.errors import StateError, UsageError
from engine.orders import ledger_file
from engine.orders.entry import TRANSITIONS
from engine.orders.ledger_file import SQL_FOLDER
from engine.orders.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.erp import Erp

    from engine.orders.ledger import Ledger


def test_an_order_goes_only_where_it_may(erp: Erp) -> None:
    """From every status to every other: what the table does not allow is refused."""
    ways = {"received": (), "waiting": ("waiting",), "raising": ("raising",), "skipped": ("skipped",)}
    ways |= {
        "failed": ("raising", "failed"),
        "raised": ("raising", "raised"),
        "answered": ("raising", "raised", "answered"),
    }
    number = 0
    with erp.ledger() as ledger:
        for standing, way in ways.items():
            for target in TRANSITIONS:
                number += 1
                ledger.receive(number, {"id": number}, via="import")
                for step in way:
                    ledger.move(number, step)  # type: ignore[arg-type]  # the names are the table's own
                if target in TRANSITIONS[standing]:  # type: ignore[index]  # as above
                    ledger.move(number, target)
                else:
                    with pytest.raises(UsageError, match=f"is {standing}"):
                        ledger.move(number, target)


def test_each_change_of_an_order_is_in_the_run_log(erp: Erp) -> None:
    """Of all projects in one file, without what is known of a person; an order is counted without a password."""
    erp.receive(order_document())
    with erp.ledger() as ledger:
        ledger.receive(7, {"id": 7}, via="import")
    folder = erp.project.state.parent
    with closing(connect_own_sqlite(folder / "runs.sqlite", timeout=1)) as log:
        found = log.execute("select project, order_id, status from order_changes order by id").fetchall()
    assert found == [
        *(("acme", 1001, status) for status in ("received", "raising", "raised")),
        ("acme", 7, "received"),
    ]
    assert erp.ledgers.count_pending(["acme", "nobody"]) == {"acme": {"received": 1}, "nobody": {}}


def test_finished_orders_lose_their_documents_after_a_while(erp: Erp) -> None:
    """They are about people; the code stays, and the order is still known."""
    erp.receive(order_document())
    with erp.ledger() as ledger:
        # That it waited for long is no reason: what counts is when it was finished.
        ledger._store.write("update orders set received_at = '2020-01-01 00:00:00.000'", [])
        ledger.prune(keep_days=30)
        assert ledger.load_document(1001) is not None
        ledger._store.write("update orders set finished_at = '2020-01-01 00:00:00.000'", [])
        ledger.prune(keep_days=30)
        assert ledger.load_document(1001) is not None, "once a day is enough"
        ledger._store.write("delete from maintenance", [])
        ledger.prune(keep_days=30)
        assert ledger.load_document(1001) is None
    (entry,) = erp.receive(order_document())
    assert (entry.source_order_code, len(erp.orders())) == ("SO1", 1)


def test_the_ledger_is_its_owners_alone(erp: Erp) -> None:
    """It holds names and addresses."""
    erp.receive(order_document())
    path = erp.project.state.with_name("acme.orders.sqlite")
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def _damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"Z" * (path.stat().st_size - 4096))


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma user_version = 99")


@pytest.mark.parametrize(("harm", "said"), [(_damaged, "malformed"), (_newer, "newer s2s")])
def test_a_ledger_that_cannot_be_used_is_said(erp: Erp, harm: Callable[[Path], None], said: str) -> None:
    """Whatever is asked of it, and by the command with what to do."""
    erp.receive(order_document())
    harm(erp.project.state.with_name("acme.orders.sqlite"))
    asked: tuple[Callable[[Ledger], object], ...] = (
        lambda ledger: ledger.get_entry(1001),
        lambda ledger: ledger.list_due(),
        lambda ledger: ledger.load_document(1001),
        lambda ledger: ledger.status_history(1001),
    )
    for each in asked:
        with pytest.raises(StateError, match=said), erp.ledger() as ledger:
            each(ledger)
    ran = erp.s2s("orders", "list", "acme")
    assert (ran.returncode, said in ran.stderr, "→" in ran.stderr, "unforeseen" in ran.stderr) == (1, True, True, False)


def test_a_ledger_of_version_1_is_opened_with_all_that_is_in_it(erp: Erp) -> None:
    """Its columns had other names; what they say stays, also where two processes open it at once."""
    path = erp.project.state.with_name("acme.orders.sqlite")
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SQL_FOLDER / "ledger.sql").read_text("utf-8"))
        connection.execute(
            "insert into orders (order_id, standing, via, document, tries, next_try_at, received_at)"
            " values (1001, 'failed', 'import', ?, 3, '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000')",
            [json.dumps(order_document()).encode()],
        )
        connection.execute("insert into transitions values (1001, '2026-01-01 00:00:00.000', 'failed', 'away')")
        connection.execute("pragma user_version = 1")
        connection.commit()
    with ThreadPoolExecutor() as pool:
        entries = list(pool.map(lambda _: erp.entry(), range(4)))
    assert {(entry.status, entry.attempts, entry.next_attempt_at) for entry in entries} == {
        ("failed", 3, "2026-01-01 00:00:00.000")
    }
    with erp.ledger() as ledger:
        assert ledger.status_history(1001) == [("2026-01-01 00:00:00.000", "failed", "away")]
    (entry,) = erp.receive(order_document())
    assert (entry.status, len(erp.orders())) == ("raised", 1)


def test_a_ledger_whose_disk_is_full_is_said_at_once(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting does not help: who sent the order sends it again."""
    erp.receive(order_document())

    class Full:
        def execute(self, *_statement: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        def close(self) -> None:
            pass

    monkeypatch.setattr("engine.orders.ledger_file.connect_own_sqlite", lambda *_args, **_names: Full())
    before = time.monotonic()
    with pytest.raises(StateError, match="disk is full"), erp.ledger():
        pass
    assert time.monotonic() - before < 5


def test_an_order_that_the_ledger_has_no_space_for_is_refused_at_once_and_lost_nowhere(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself finds that it cannot grow; whoever sent the order sends it again, and it is raised once."""
    large = json.dumps(order_document(2, notes="x" * 100_000)).encode()
    with closing(Receiver(erp.project, erp.ledgers)) as receiver:
        receiver.receive(json.dumps(order_document(1)).encode())
        connect = connect_own_sqlite

        def connect_full(path: Path, **options: Any) -> sqlite3.Connection:
            connection = connect(path, **options)
            pages = connection.execute("pragma page_count").fetchone()[0]
            connection.execute(f"pragma max_page_count = {max(pages, 1)}")
            return connection

        monkeypatch.setattr(ledger_file, "connect_own_sqlite", connect_full)
        before = time.monotonic()
        reply = receiver.receive(large)
        assert (reply.status, "disk is full" in reply.body["error"]["reason"], reply.retry_after) == (503, True, 60)
        assert (time.monotonic() - before < 5, erp.orders()) == (True, [("#1", "C1")])
        monkeypatch.undo()
        assert receiver.receive(large).status == 200
    assert erp.orders() == [("#1", "C1"), ("#2", "C1")]


def test_the_newest_orders_are_listed_and_no_others_read(erp: Erp) -> None:
    """Of one status or of all."""
    erp.receive(*(order_document(number) for number in (1, 2, 3)))
    with erp.ledger() as ledger:
        assert [entry.order_id for entry in ledger.list_newest(limit=2)] == [2, 3]
        assert ledger.list_newest(status="waiting", limit=2) == []
