"""Each order is raised exactly once, whatever is killed, cut, locked or away."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests
from support.erp import DYING, ROOT, STATEMENTS, on_server, order_document, parsed, wait_until
from support.servers import falling_silent, free_port

from engine.database import error_messages as complaints
from engine.database import odbc, watchdog, writer
from engine.database.odbc import OdbcConnection
from engine.errors import WriteError
from engine.orders import document, operations, pipeline, receiver
from engine.orders.pull import pull_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.erp import Erp
    from support.servers import MariaDb, Postgres, Proxy

    from engine.orders.entry import Entry
    from engine.sandbox.server import Sandbox


BOUNDARIES = ("after receipt", "before the transaction", "in the transaction", "before the commit", "after the commit")


@pytest.mark.parametrize("boundary", [*BOUNDARIES, "before the answer"])
def test_a_process_that_is_killed_leaves_the_order_to_be_raised_once(any_erp: Erp, boundary: str) -> None:
    """Whatever it had done by then, the next one that is sent the order raises it or finds it."""
    assert any_erp.die_at(boundary, order_document()) == -9
    (entry,) = any_erp.receive(order_document())
    assert entry.status in {"raised", "answered"}
    assert [
        (f"SO{number}", reference) for number, reference in any_erp.rows("select id, reference from erp_order")
    ] == [(entry.source_order_code, "#1001")]
    assert len(any_erp.lines()) == 2


def test_a_killed_process_leaves_what_is_due_to_the_next_retry(erp: Erp) -> None:
    """Nobody has to send the order again."""
    erp.die_at("in the transaction", order_document())
    assert erp.entry().status == "raising"
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (), stop=threading.Event())
    assert (entry.status, len(erp.orders())) == ("raised", 1)


def test_without_a_lookup_a_killed_order_waits_for_somebody_to_look(erp: Erp) -> None:
    """It may be in the database; then it is skipped under its code, else retried."""
    erp.write(statements={"lookup.sql": None})
    erp.die_at("after the commit", order_document())
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)
    assert operations.skip_order(erp.project, erp.ledgers, 1001, code="SO1").source_order_code == "SO1"
    erp.die_at("in the transaction", order_document(1002))
    (entry,) = erp.receive(order_document(1002))
    assert entry.rule == "uncertain"
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1002,), stop=threading.Event())
    assert (entry.status, len(erp.orders())) == ("raised", 2)


def test_an_order_that_meets_a_lock_is_tried_again(any_erp: Erp) -> None:
    """At once a few times; here the lock goes while it waits."""
    if any_erp.dialect == "sqlite":
        holder = sqlite3.connect(any_erp.workspace / "erp.sqlite", isolation_level=None, check_same_thread=False)
        holder.execute("begin immediate")
    else:
        import pyodbc

        holder = pyodbc.connect(json.loads(any_erp.target.removeprefix("connection = ")), autocommit=False)
        lock = (
            "lock table erp_order in exclusive mode" if any_erp.dialect == "postgres" else "lock tables erp_order write"
        )
        holder.execute(lock)
    with ThreadPoolExecutor() as pool:
        raising = pool.submit(any_erp.receive, order_document())
        time.sleep(0.5)
        assert not raising.done()
        if any_erp.dialect == "mysql":
            holder.execute("unlock tables")
        holder.rollback() if any_erp.dialect != "sqlite" else holder.execute("rollback")
        (entry,) = raising.result(timeout=60)
    holder.close()
    assert (entry.status, len(any_erp.orders())) == ("raised", 1)


def test_a_database_that_is_away_leaves_the_order_for_later(erp: Erp) -> None:
    """It failed for now, and is due again after a while."""
    path = erp.workspace / "erp.sqlite"
    path.rename(path.with_suffix(".away"))
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.attempts) == ("failed", 1)
    assert entry.next_attempt_at is not None
    path.with_suffix(".away").rename(path)
    (entry,) = erp.receive(order_document())
    assert entry.status == "raised"


def test_the_runner_of_the_crash_tests_raises_when_it_is_not_killed(any_erp: Erp) -> None:
    """Or those tests would prove nothing; it ends, though nobody closes its connection."""
    assert "os.kill" in DYING
    assert any_erp.die_at("nowhere", order_document()) == 0
    assert len(any_erp.orders()) == 1


def take(erp: Erp, raw: bytes) -> Entry:
    """Receive a document that Python would not write so."""
    with erp.ledger() as ledger, closing(pipeline.OrderProcessor(erp.project)) as processor:
        return processor.receive(ledger, document.parse_document(raw), via="import")


def test_a_value_that_sounds_like_a_deadlock_is_not_tried_again(any_erp: Erp) -> None:
    """The database repeats it in the error of a constraint."""
    any_erp.write(statements={"lookup.sql": None})
    words = "deadlock conflict busy O'Brien"
    any_erp.receive(order_document(channel_order_code=words))
    (entry,) = any_erp.receive(order_document(1002, channel_order_code=words))
    assert (entry.status, entry.rule) == ("waiting", "refused")
    assert [word for word in words.split() if word in entry.reason] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Duplicate entry 'O'Brien & Sons' for key 'reference'", "Duplicate entry … for key 'reference'"),
        (
            'violates unique constraint "order_key"; Key (reference)=(O\'Brien & Sons) already exists.',
            'violates unique constraint "order_key"; Key (reference)=… already exists.',
        ),
        ("The duplicate key value is (Some, 1).", "The duplicate key value is …."),
        ("conflicted with \"FK_Customer\", column 'Code'", "conflicted with \"FK_Customer\", column 'Code'"),
        ("Column 'total' cannot be null", "Column 'total' cannot be null"),
        ("Duplicate entry 'SMITH' for key 'name'", "Duplicate entry … for key 'name'"),
        (
            "Conversion failed for the nvarchar value 'Smith' to int.",
            "Conversion failed for the nvarchar value … to int.",
        ),
        ("Incorrect integer value: 'Smith' for column 'total'", "Incorrect integer value: … for column 'total'"),
        ('invalid input syntax for type integer: "Smith"', "invalid input syntax for type integer: …"),
        ("The duplicate key value is (Smith).", "The duplicate key value is …."),
    ],
)
def test_an_error_names_the_column_and_not_the_value(said: str, shown: str) -> None:
    """Somebody must be able to fix it, and nobody is to read who ordered."""
    assert complaints.redact_values(said, ["O'Brien & Sons", None, 7]) == shown


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
def test_an_error_that_comes_after_a_result_undoes_the_order(any_erp: Erp) -> None:
    """A procedure may fail when it has already given its rows."""
    with suppress(Exception):  # a statement that gives no rows
        any_erp.rows(
            "create procedure late(p bigint) begin select 'SO1' as source_order_code;"
            " signal sqlstate '45000' set message_text = 'Not today'; end"
        )
    any_erp.write(statements={"90_code.sql": "{call late({{ results.header.id }})}"})
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.rule, any_erp.orders()) == ("waiting", "refused", [])
    assert "Not today" in entry.reason


def cut_connections(erp: Erp) -> None:
    """End every connection to the database but the one that says so."""
    if erp.dialect == "postgres":
        erp.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and datname = current_database()"
        )
        return
    others = "select id from information_schema.processlist where db = database() and id <> connection_id()"
    for (number,) in erp.rows(others):
        with suppress(Exception):  # a statement that gives no rows
            erp.rows(f"kill {number}")


class Lost:
    """A connection that the server ends before the commit, which the driver then calls a success all the same."""

    def __init__(self, erp: Erp, real: Any) -> None:
        self._erp, self._real = erp, real

    def commit(self) -> None:
        """End the session, and say nothing of it."""
        (process,) = self._real.cursor().execute("select pg_backend_pid()").fetchone()
        self._erp.rows(f"select pg_terminate_backend({process}, 10000)")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("any_erp", ["postgres"], indirect=True)
def test_a_commit_that_the_driver_only_says_has_succeeded_raises_nothing(
    any_erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As psqlODBC does where the server is killed right before; the next attempt looks the order up, and raises it."""
    begin = OdbcConnection.begin_transactions
    with monkeypatch.context() as lying:
        lying.setattr(OdbcConnection, "begin_transactions", lambda connection: Lost(any_erp, begin(connection)))
        (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.uncertain, any_erp.orders()) == ("failed", True, [])
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, len(any_erp.orders())) == ("raised", 1)


@pytest.mark.parametrize(
    ("state", "text", "passing", "uncertain"),
    [
        ("40001", "could not serialize access", True, False),
        ("08S01", "Communication link failure", True, True),
        ("HY000", "no words that anybody knows", True, True),
        ("23505", "duplicate key value; the server is busy", False, False),
    ],
)
def test_a_commit_that_fails_is_uncertain_unless_it_was_undone(
    state: str, text: str, *, passing: bool, uncertain: bool
) -> None:
    """What the database says that it rolled back or refused is not there."""
    error = writer.DbApiWriter(None, lambda: None)._failed(Exception(state, text), committing=True)
    assert (error.retriable, error.uncertain) == (passing, uncertain)


def test_a_connection_that_went_away_between_two_orders_is_made_anew(any_erp: Erp) -> None:
    """Nobody has to look: the first statement failed, so nothing was kept."""
    any_erp.write(statements={"lookup.sql": None})
    with any_erp.ledger() as ledger, closing(pipeline.OrderProcessor(any_erp.project)) as processor:
        for number in (1, 2):
            entry = processor.receive(ledger, parsed(order_document(number)), via="import")
            if any_erp.dialect != "sqlite":
                cut_connections(any_erp)
            assert entry.status == "raised"
    assert len(any_erp.orders()) == 2


def broken_commit(monkeypatch: pytest.MonkeyPatch, *, kept: bool) -> None:
    """Let the next commit be done, or not, and the connection break before the database says so."""
    commit = writer.DbApiWriter.commit

    def breaking(writer: Any) -> None:
        monkeypatch.undo()
        if kept:
            commit(writer)
        raise WriteError("The connection was lost.", retriable=True, uncertain=True)

    monkeypatch.setattr(writer.DbApiWriter, "commit", breaking)


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_that_nobody_confirmed_is_looked_up(erp: Erp, monkeypatch: pytest.MonkeyPatch, *, kept: bool) -> None:
    """The order is found, or raised; once in both cases."""
    broken_commit(monkeypatch, kept=kept)
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.uncertain) == ("failed", True)
    (entry,) = erp.receive(order_document())
    assert (entry.status, len(erp.orders())) == ("raised", 1)


@pytest.fixture(params=["postgres", "mysql"])
def behind_proxy(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, postgres: Postgres, mariadb: MariaDb
) -> Iterator[tuple[Erp, Proxy]]:
    """An ERP on each server in turn, and what it is reached through, which can fall silent."""
    server: Postgres | MariaDb = postgres if request.param == "postgres" else mariadb
    made = on_server(server, request.param, tmp_path, sandbox)
    with falling_silent(server.port) as proxy:
        made.target = made.target.replace(f"Port={server.port}", f"Port={proxy.port}")
        made.write('default_customer = "CASH"')
        path = made.root / "project.toml"
        path.write_text(path.read_text("utf-8").replace("[source]", "[source]\nconnect_timeout = 1"), "utf-8")
        yield made, proxy


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a database be given up after a second or two."""
    for module, name in (
        (writer, "STATEMENT_TIMEOUT_SECONDS"),
        (odbc, "CANCEL_GRACE_SECONDS"),
        (watchdog, "CANCEL_GRACE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.5)


def silent_at(proxy: Proxy, boundary: str) -> Callable[[str], None]:
    """What a boundary calls, to have the database fall silent there."""
    return lambda name: proxy.silence() if name == boundary else None


@pytest.mark.parametrize("back", ["forget", "speak"])
def test_a_database_that_falls_silent_holds_no_order_up(
    behind_proxy: tuple[Erp, Proxy], monkeypatch: pytest.MonkeyPatch, back: str
) -> None:
    """A receiver that hung would take no order any more.

    Connections come back, or are lost: either way the session that was given up keeps no lock on the order.
    """
    erp, proxy = behind_proxy
    impatient(monkeypatch)
    with erp.ledger() as ledger, closing(pipeline.OrderProcessor(erp.project)) as processor:

        def receive(number: int) -> Entry:
            return processor.receive(ledger, parsed(order_document(number)), via="serve")

        receive(1)
        monkeypatch.setattr(pipeline, "crash_point", silent_at(proxy, "before the transaction"))
        assert (receive(2).status, receive(2).uncertain) == ("failed", False)
        monkeypatch.setattr(pipeline, "crash_point", lambda _name: None)
        getattr(proxy, back)()
        wait_until(lambda: receive(2).status == "raised")  # the server undoes what the lost session did
    assert erp.orders() == [("#1", "C1"), ("#2", "C1")]


def test_a_commit_is_waited_for_however_long_the_database_is_silent(
    behind_proxy: tuple[Erp, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up, it could arrive after the order was looked up in vain, and raised again."""
    erp, proxy = behind_proxy
    impatient(monkeypatch)
    monkeypatch.setattr(pipeline, "crash_point", silent_at(proxy, "before the commit"))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(erp.receive, order_document())
        threading.Event().wait(3)
        assert not waiting.done()
        proxy.speak()
        (entry,) = waiting.result(timeout=60)
    assert (entry.status, len(erp.orders())) == ("raised", 1)


def test_a_commit_that_nobody_confirmed_waits_where_nothing_looks_it_up(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the database is away by the time of the next try."""
    erp.write(statements={"lookup.sql": None})
    broken_commit(monkeypatch, kept=True)
    erp.receive(order_document())
    away = erp.workspace / "away"
    (erp.workspace / "erp.sqlite").rename(away)
    erp.receive(order_document())
    away.rename(erp.workspace / "erp.sqlite")
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)


def test_an_order_that_may_be_there_stays_so_whatever_rule_it_breaks_meanwhile(erp: Erp) -> None:
    """A retry does not forget that its process died."""
    nothing: dict[str, str | None] = {"lookup.sql": None}
    erp.write(statements=nothing)
    erp.die_at("after the commit", order_document())
    erp.write("known_channels_only = true", statements=nothing)
    assert erp.receive(order_document())[0].rule == "unknown_channel"
    erp.write(statements=nothing)
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.rule, len(erp.orders())) == ("uncertain", 1)


def test_an_import_raises_what_is_due_from_before(erp: Erp) -> None:
    """Also where the file with that order is gone."""
    erp.die_at("in the transaction", order_document())
    path = erp.workspace / "next.json"
    path.write_text(json.dumps(order_document(1002)), "utf-8")
    found = list(operations.import_orders(erp.project, erp.ledgers, path, stop=threading.Event()))
    assert [entry.order_id for _, entry, _ in found if entry is not None] == [1002, 1001]
    assert len(erp.orders()) == 2


@pytest.mark.parametrize("kept", [False, True])
def test_an_order_that_meets_an_unexpected_error_holds_up_no_other(
    erp: Erp, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """It is retried later; what a driver or a library raises may be anything, also after the commit."""
    commit = writer.DbApiWriter.commit
    failing = [1]

    def break_commit(opened: writer.DbApiWriter) -> None:
        if failing and kept:
            commit(opened)
        if failing:
            failing.pop()
            raise TypeError("of somebody")
        commit(opened)

    for number in (1, 2):
        erp.sandbox.place_order(order_document(number))
    monkeypatch.setattr(writer.DbApiWriter, "commit", break_commit)
    pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    entry = erp.entry(1)
    assert (entry.status, entry.reason, entry.uncertain) == ("failed", "An unexpected error occurred: TypeError.", True)
    # Where the first one is not there, the database gives its code to the second, which then waits for the first.
    assert (erp.entry(2).status, len(erp.orders())) == (("answered", 2) if kept else ("failed", 0))
    found = operations.retry_orders(erp.project, erp.ledgers, (1,) if kept else (1, 2), stop=threading.Event())
    assert {entry.status for entry in found} == {"raised"}
    assert len(erp.orders()) == 2


def test_an_unexpected_error_before_the_commit_leaves_no_doubt(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the order is there."""

    def broken(*_arguments: object) -> None:
        raise TypeError

    with monkeypatch.context() as patch:
        patch.setattr(writer.DbApiWriter, "execute", broken)
        (entry,) = erp.receive(order_document())
    assert (entry.status, entry.uncertain, erp.orders()) == ("failed", False, [])
    (entry,) = erp.receive(order_document())
    assert (entry.status, len(erp.orders())) == ("raised", 1)


def test_a_lookup_that_finds_something_without_its_code_is_no_leave_to_raise(erp: Erp) -> None:
    """A misspelt column must not raise the order twice."""
    erp.receive(order_document())
    for path in erp.project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    erp.write(statements={"lookup.sql": STATEMENTS["lookup.sql"].replace("source_order_code", "source_ordercode")})
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)
    assert "lookup.sql" in entry.reason


def test_a_process_that_only_sleeps_still_holds_the_order(any_erp: Erp) -> None:
    """Another one waits for it, however long: only a process that died has left its order behind."""
    path = any_erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    sleeping = subprocess.Popen(
        [sys.executable, "-c", DYING.replace("SIGKILL", "SIGSTOP"), "in the transaction", any_erp.workspace, path],
        env={**os.environ, **any_erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    assert os.WIFSTOPPED(os.waitpid(sleeping.pid, os.WUNTRACED)[1])
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(any_erp.receive, order_document())
        # Were it not to wait, it would have raised the order by then.
        threading.Event().wait(1)
        sleeping.send_signal(signal.SIGCONT)
        (entry,) = waiting.result()
    assert sleeping.wait(timeout=60) == 0
    assert entry.status in {"raised", "answered"}
    assert any_erp.rows("select id from erp_order") == [(int(str(entry.source_order_code).removeprefix("SO")),)]
    with any_erp.ledger() as ledger:
        told = [standing for _, standing, _ in ledger.status_history(1001)]
    assert told == ["received", "raising", "raised", "answered"]


def test_receivers_that_are_killed_under_load_lose_and_double_nothing(any_erp: Erp) -> None:
    """Senders try again until they are answered, as Stock2Shop does; the receiver dies three times meanwhile."""
    port = free_port()
    done: list[int] = []
    over = threading.Event()

    def send(number: int) -> str:
        while not over.is_set():
            with suppress(requests.RequestException):
                answer = requests.post(f"http://127.0.0.1:{port}/orders", json=order_document(number), timeout=60)
                if answer.status_code == 200:
                    done.append(number)
                    return str(answer.json()["source_order_code"])
            over.wait(0.05)
        return "never answered"

    process = any_erp.serve(port)
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(send, number) for number in range(1, 61)]
        try:
            for deaths in (1, 2, 3):
                wait_until(lambda: len(done) >= 15 * deaths)  # noqa: B023 - it is asked now
                process.kill()
                process.communicate()
                process = any_erp.serve(port)
            wait_until(lambda: len(done) == len(sent))
        finally:
            over.set()
            process.terminate()
    process.communicate(timeout=60)
    codes = [each.result() for each in sent]
    found = any_erp.rows("select id, reference from erp_order")
    assert sorted((f"SO{number}", reference) for number, reference in found) == sorted(
        (code, f"#{number}") for number, code in enumerate(codes, 1)
    )
    assert len(any_erp.lines()) == 120


def test_an_order_that_was_broken_off_may_be_retried_by_its_number(erp: Erp) -> None:
    """As whoever sees it in the list will try to."""
    erp.die_at("after the commit", order_document())
    assert erp.entry().status == "raising"
    ran = erp.s2s("orders", "skip", "acme", "1001")
    assert (ran.returncode, "s2s orders retry" in ran.stderr) == (2, True)
    assert erp.s2s("orders", "retry", "acme", "1001").returncode == 0
    assert (erp.entry().status, erp.entry().reason, len(erp.orders())) == ("raised", "found in the database", 1)


DYING_COMMAND = """\
import os, signal, sys
from engine.orders import operations, pipeline
from engine.cli.app import main

boundary = sys.argv.pop(1)

def die(name):
    if name == boundary:
        os.kill(os.getpid(), signal.SIGKILL)

pipeline.crash_point = die
sys.exit(main())
"""


WITHIN = ("after receipt", "before the transaction", "in the transaction", "before the commit", "after the commit")


@pytest.mark.parametrize(
    ("way", "boundary"),
    [
        *((way, boundary) for way in ("import", "pull", "serve") for boundary in WITHIN),
        ("pull", "before the answer"),
        ("serve", "before the answer"),
    ],
)
def test_a_command_that_is_killed_raises_the_order_once_all_the_same(erp: Erp, way: str, boundary: str) -> None:
    """By each way in, when the order comes that way again; the ledger, the database and Stock2Shop agree."""
    port = free_port()
    erp.write(f"[orders.serve]\nport = {port}")
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    erp.sandbox.place_order(order_document())
    words = ["import", "acme", str(path)] if way == "import" else [way, "acme"]
    with subprocess.Popen(
        [sys.executable, "-c", DYING_COMMAND, boundary, "orders", *words],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as dying:
        if way == "serve":
            assert dying.stdout is not None
            dying.stdout.readline()
            with pytest.raises(requests.ConnectionError):
                requests.post(f"http://127.0.0.1:{port}/orders", json=order_document(), timeout=60)
        assert dying.wait(60) == -signal.SIGKILL
    if way == "import":
        list(operations.import_orders(erp.project, erp.ledgers, path, stop=threading.Event()))
    elif way == "pull":
        pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    else:
        receiver.Receiver(erp.project, erp.ledgers).receive(path.read_bytes())
    assert (erp.entry().status, erp.entry().source_order_code) == ("raised" if way == "import" else "answered", "SO1")
    assert (erp.orders(), len(erp.lines())) == ([("#1001", "C1")], 2)
    if way == "pull":
        assert erp.sandbox.orders()[1001]["sources"][0]["source_order_code"] == "SO1"


@pytest.mark.parametrize("any_erp", ["postgres"], indirect=True)
def test_a_database_that_only_reads_for_the_night_is_tried_again(any_erp: Erp) -> None:
    """No person has to retry the orders of the night; what a constraint refuses is another matter."""
    any_erp.write('session = ["set default_transaction_read_only = on"]')
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.attempts) == ("failed", 1), entry.reason
    any_erp.write()
    (entry,) = operations.retry_orders(any_erp.project, any_erp.ledgers, (1001,), stop=threading.Event())
    assert entry.status == "raised"


@pytest.mark.parametrize("words", ["", "  "])
def test_a_blank_text_is_no_part_of_an_error(erp: Erp, words: str) -> None:
    """Whatever the database refuses would be retried for ever, and nobody asked to look."""
    erp.write(f'transient_errors = ["closed", "{words}"]')
    ran = erp.s2s("check", "acme")
    assert (ran.returncode, "A blank text is a part of every message" in ran.stdout + ran.stderr) == (2, True)


def test_an_error_that_the_project_knows_to_pass_is_tried_again(erp: Erp) -> None:
    """As a trigger's, while the stock is counted."""
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
        connection.execute(
            "create trigger closed before insert on erp_order begin select raise(abort, 'We are counting'); end"
        )
        (entry,) = erp.receive(order_document())
        assert (entry.status, entry.rule) == ("waiting", "refused")
        erp.write('transient_errors = ["are COUNTING"]')
        (entry,) = erp.receive(order_document(1002))
        assert (entry.status, entry.attempts) == ("failed", 1)
        connection.execute("drop trigger closed")
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1002,), stop=threading.Event())
    assert entry.status == "raised"
