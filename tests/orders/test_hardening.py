"""What is hard on the way back: hostile documents, broken connections, errors that come late, several ways at once."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
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
from hypothesis import given, settings
from hypothesis import strategies as st
from support.erp import DYING, ROOT, STATEMENTS, document, on_server
from support.servers import falling_silent, free_port

from engine.database import error_messages as complaints
from engine.database import odbc, watchdog, writer
from engine.errors import OrderError, StateError, WriteError
from engine.model.settings import OrderSettings, SourceSettings
from engine.orders import document as inbox
from engine.orders import pipeline as orders
from engine.orders import receiver
from engine.orders.ledger import open_ledger
from engine.orders.pull import pull_orders
from engine.orders.receiver import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.erp import Erp
    from support.servers import MariaDb, Postgres, Proxy

    from engine.orders.ledger import Entry, Ledger
    from engine.sandbox.server import Sandbox

NOWHERE = OrderSettings(source=SourceSettings(dialect="sqlite"), timezone="America/New_York")


def read(raw: bytes) -> inbox.Order:
    """A document as the statements would see it."""
    return inbox.read(inbox.parse(raw), NOWHERE, source_id=57)


def take(erp: Erp, raw: bytes) -> Entry:
    """Receive a document that Python would not write so."""
    with open_ledger(erp.project) as ledger, closing(orders.Raiser(erp.project)) as raiser:
        return raiser.receive(ledger, inbox.parse(raw), via="import")


def test_a_text_that_never_ends_is_refused_at_once() -> None:
    """However many quotes are in it: looking for its end from each of them would take hours."""
    with pytest.raises(OrderError, match="no JSON"):
        inbox.parse(b'{"id": 1, "notes": "' + b'\\"' * 900_000)


@pytest.mark.parametrize("number", [b"1001", b"1001.0", b"1.001e3", b'"1001"'])
def test_an_id_is_a_number_however_it_is_written(erp: Erp, number: bytes) -> None:
    """And one order, not four."""
    erp.receive(document())
    assert take(erp, b'{"id": ' + number + b"}").source_order_code == "SO1"


def test_a_number_with_an_exponent_is_that_number(erp: Erp) -> None:
    """Also after it was kept in the ledger."""
    take(erp, b'{"id": 1, "line_items": [{"sku": "A", "qty": 1e2, "price": 25e-2}], "sources": []}')
    assert erp.lines() == [("A", 100.0, 0.25)]


@pytest.mark.parametrize(
    ("number", "there"),
    [
        (b"0.0000001", "0.0000001"),
        (b"1e-9", "0.000000001"),
        (b'"1.0E-7"', "0.00000010"),
        (b"5.551115123125783e-17", "0.000000000000000055511151231258"),
        (b"10.10", "10.10"),
        (b"123456789012345.123456789", "123456789012345.123456789"),
    ],
)
def test_a_number_stays_what_it_is_on_its_way_through_the_ledger(erp: Erp, number: bytes, there: str) -> None:
    """All its digits, however small it is: sums of floats leave a dust that says nothing against an order."""
    erp.write(
        'default_customer = "CASH"',
        statements={
            "10_header.sql": "insert into erp_order (reference, customer, notes) values"
            " ({{ order.reference }}, 'C1', {{ order.total_discount }}) returning id"
        },
    )
    taken = take(erp, b'{"id": 1, "total_discount": ' + number + b', "line_items": [{"sku": "A", "qty": 1}]}')
    assert (taken.standing, taken.reason) == ("raised", "")
    assert erp.rows("select notes from erp_order") == [(there,)]


@pytest.mark.parametrize(
    "changes",
    [
        b'"line_items": [{"sku": "A", "qty": 3, "sub_total": 1234567890123456789012345678}]',
        b'"line_items": [{"sku": "A", "qty": 1e-29, "sub_total": 1e29}]',
        b'"line_items": [{"sku": "A", "qty": 1e999999999, "price": 1}]',
        b'"created": "0001-01-01 00:00:00"',
        b'"created": "9999-12-31 23:59:59-12:00"',
        b'"channel_id": "' + b"9" * 5000 + b'"',
        b'"notes": 1e999999999',
        b'"total": -0e999999999',
    ],
)
def test_a_value_beyond_all_bounds_breaks_nothing(changes: bytes) -> None:
    """It is a value, or a reason to wait."""
    order = read(b'{"id": 1, ' + changes + b"}")
    assert order.id == 1


def test_no_date_is_no_fault() -> None:
    """As MySQL writes a date that there is none of."""
    order = read(b'{"id": 1, "modified": "0000-00-00 00:00:00"}')
    assert (order.order["modified"], order.reason) == (None, "")


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("9" * 5000))
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = ("id", "channel_id", "created", "customer", "line_items", "shipping_lines", "sources", "total", "notes")
LINE = ("sku", "qty", "price", "sub_total", "tax", "total", "tax_lines", "source_id")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), anything, max_size=5),
    st.lists(st.dictionaries(st.sampled_from(LINE), anything, max_size=5), max_size=3),
)
def test_no_document_raises_anything_but_that_it_is_no_order(changes: dict[str, Any], lines: list[Any]) -> None:
    """Whatever stands in whatever place."""
    with suppress(OrderError):
        order = read(json.dumps({"id": 1, "line_items": lines, **changes}).encode())
        assert order.id > 0


def test_texts_of_all_scripts_arrive_as_they_are(any_erp: Erp) -> None:
    """Those of the order, and those of the statements."""
    header = "/* Kopf für 漢 */ " + STATEMENTS["10_header.sql"].replace("{{ order.warehouse }}", "'Größe 漢'")
    any_erp.write(statements={"10_header.sql": header})
    any_erp.receive(document(notes="é 漢 😀 \\ ' \" % ? {x}"))
    assert any_erp.rows("select notes, warehouse from erp_order") == [("é 漢 😀 \\ ' \" % ? {x}", "Größe 漢")]


def test_a_value_that_sounds_like_a_deadlock_is_not_tried_again(any_erp: Erp) -> None:
    """The database repeats it in the error of a constraint."""
    any_erp.write(statements={"lookup.sql": None})
    words = "deadlock conflict busy O'Brien"
    any_erp.receive(document(channel_order_code=words))
    (entry,) = any_erp.receive(document(1002, channel_order_code=words))
    assert (entry.standing, entry.rule) == ("waiting", "refused")
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
    """Somebody must be able to mend it, and nobody is to read who ordered."""
    assert complaints.redact_values(said, ["O'Brien & Sons", None, 7]) == shown


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
def test_an_error_that_comes_after_a_result_undoes_the_order(any_erp: Erp) -> None:
    """A procedure may fail when it has already given its rows."""
    with suppress(Exception):  # a statement that gives no rows
        any_erp.rows(
            "create procedure late(p bigint) begin select 'SO1' as source_order_code;"
            " signal sqlstate '45000' set message_text = 'Period is closed'; end"
        )
    any_erp.write(statements={"90_code.sql": "{call late({{ results.header.id }})}"})
    (entry,) = any_erp.receive(document())
    assert (entry.standing, entry.rule, any_erp.orders()) == ("waiting", "refused", [])
    assert "Period is closed" in entry.reason


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
    with open_ledger(any_erp.project) as ledger, closing(orders.Raiser(any_erp.project)) as raiser:
        for number in (1, 2):
            entry = raiser.receive(ledger, inbox.parse(json.dumps(document(number)).encode()), via="import")
            if any_erp.dialect != "sqlite":
                cut_connections(any_erp)
            assert entry.standing == "raised"
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
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.uncertain) == ("failed", True)
    (entry,) = erp.receive(document())
    assert (entry.standing, len(erp.orders())) == ("raised", 1)


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


def test_a_database_that_falls_silent_holds_no_order_up(
    behind_proxy: tuple[Erp, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that hung would take no order any more."""
    erp, proxy = behind_proxy
    impatient(monkeypatch)
    with open_ledger(erp.project) as ledger, closing(orders.Raiser(erp.project)) as raiser:

        def receive(number: int) -> Entry:
            return raiser.receive(ledger, inbox.parse(json.dumps(document(number)).encode()), via="serve")

        receive(1)
        monkeypatch.setattr(orders, "at_boundary", silent_at(proxy, "before the transaction"))
        assert (receive(2).standing, receive(2).uncertain) == ("failed", False)
        monkeypatch.setattr(orders, "at_boundary", lambda _name: None)
        proxy.speak()
        assert receive(2).standing == "raised"
    assert erp.orders() == [("#1", "C1"), ("#2", "C1")]


def test_a_commit_is_waited_for_however_long_the_database_is_silent(
    behind_proxy: tuple[Erp, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up, it could arrive after the order was looked up in vain, and raised again."""
    erp, proxy = behind_proxy
    impatient(monkeypatch)
    monkeypatch.setattr(orders, "at_boundary", silent_at(proxy, "before the commit"))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(erp.receive, document())
        threading.Event().wait(3)
        assert not waiting.done()
        proxy.speak()
        (entry,) = waiting.result(timeout=60)
    assert (entry.standing, len(erp.orders())) == ("raised", 1)


def test_a_commit_that_nobody_confirmed_waits_where_nothing_looks_it_up(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the database is away by the time of the next try."""
    erp.write(statements={"lookup.sql": None})
    broken_commit(monkeypatch, kept=True)
    erp.receive(document())
    away = erp.workspace / "away"
    (erp.workspace / "erp.sqlite").rename(away)
    erp.receive(document())
    away.rename(erp.workspace / "erp.sqlite")
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)


def test_an_order_that_may_be_there_stays_so_whatever_rule_it_breaks_meanwhile(erp: Erp) -> None:
    """A retry does not forget that its process died."""
    nothing: dict[str, str | None] = {"lookup.sql": None}
    erp.write(statements=nothing)
    erp.die_at("after the commit", document())
    erp.write("known_channels_only = true", statements=nothing)
    assert erp.receive(document())[0].rule == "unknown_channel"
    erp.write(statements=nothing)
    (entry,) = orders.retry(erp.project, (1001,), stop=threading.Event())
    assert (entry.rule, len(erp.orders())) == ("uncertain", 1)


@pytest.mark.parametrize("name", ["lookup.sql", "item.sql", "find_customer.sql"])
def test_a_statement_that_may_not_be_looked_at_is_not_taken_for_absent(erp: Erp, name: str) -> None:
    """Without its lookup an order that is there would be raised once more."""
    shared = erp.workspace / "shared"
    shared.mkdir()
    (erp.root / "orders" / name).rename(shared / name)
    (erp.root / "orders" / name).symlink_to(shared / name)
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    shared.chmod(0o000)
    ran = erp.s2s("orders", "import", "acme", str(path), rights=False)
    shared.chmod(0o700)
    assert ran.returncode in {2, 4}, ran.stderr
    assert f"orders/{name}: " in ran.stdout + ran.stderr
    assert "It cannot be told whether this is there: Permission denied." in ran.stdout + ran.stderr
    assert erp.orders() == []
    assert erp.s2s("orders", "import", "acme", str(path)).returncode == 0
    assert len(erp.orders()) == 1


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_folder_of_statements_that_may_not_be_read_is_said(erp: Erp, mode: int) -> None:
    """By the check, by doctor, and before an order is raised."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    (erp.root / "orders").chmod(mode)
    ran = [
        erp.s2s(*words, rights=False)
        for words in (("check", "acme"), ("doctor", "acme"), ("orders", "import", "acme", str(path)))
    ]
    (erp.root / "orders").chmod(0o700)
    for each in ran:
        assert each.returncode in {1, 2}, each.stderr
        assert "orders" in each.stdout + each.stderr
        assert "Permission denied" in each.stdout + each.stderr
        assert "the account that runs s2s" in each.stdout + each.stderr
    assert erp.orders() == []


def test_an_import_raises_what_is_due_from_before(erp: Erp) -> None:
    """Also where the file with that order is gone."""
    erp.die_at("in the transaction", document())
    path = erp.workspace / "next.json"
    path.write_text(json.dumps(document(1002)), "utf-8")
    found = list(orders.take_files(erp.project, path, stop=threading.Event()))
    assert [entry.order_id for _, entry, _ in found if entry is not None] == [1002, 1001]
    assert len(erp.orders()) == 2


def test_a_receiver_raises_what_is_due_when_it_begins(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to send it again; who does hears the code."""
    erp.die_at("before the commit", document())
    # The next look is half a minute later.
    monkeypatch.setattr("engine.orders.receiver.DUE", 1_000_000)
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with listening(erp.project) as address:
        while erp.entry().standing != "raised":
            threading.Event().wait(0.02)
        answer = requests.post(f"{address}/orders", json=document(), timeout=30)
    assert (answer.status_code, answer.json()["source_order_code"], len(erp.orders())) == (200, "SO1", 1)


def test_a_document_that_cannot_be_read_stops_no_other(erp: Erp) -> None:
    """It is named when all others are raised and answered."""
    erp.sandbox.place_order({**document(), "id": 0})
    erp.sandbox.place_order(document(5))
    with pytest.raises(OrderError, match="1 of Stock2Shop's orders"):
        pull_orders(erp.project, stop=threading.Event())
    assert erp.entry(5).standing == "answered"


def test_a_web_page_cannot_send_orders_to_a_receiver_without_a_token(erp: Erp) -> None:
    """A browser on the same machine would do so for any page; it says where the page is from."""
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with listening(erp.project) as address:
        body, headers = json.dumps(document()), {"Origin": "https://example.com", "Content-Type": "text/plain"}
        answer = requests.post(f"{address}/orders", data=body, headers=headers, timeout=30)
    assert (answer.status_code, erp.orders()) == (403, [])


def test_a_sender_that_hangs_up_in_the_middle_leaves_nothing(erp: Erp, caplog: pytest.LogCaptureFixture) -> None:
    """Half an order is none; the next one is taken."""
    port = free_port()
    erp.write(f"[orders.serve]\nport = {port}")
    with listening(erp.project) as address:
        with closing(socket.create_connection(("127.0.0.1", port))) as half:
            half.sendall(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + b'{"id": 1001, ')
        answer = requests.post(f"{address}/orders", json=document(1002), timeout=30)
    assert (answer.status_code, len(erp.orders())) == (200, 1)
    assert caplog.records == []


def test_one_order_that_comes_over_several_ways_at_once_is_raised_once(any_erp: Erp) -> None:
    """Four imports as processes of their own, a receiver and a poll, all in the same moment."""
    any_erp.write(f"[orders.serve]\nport = {free_port()}")
    any_erp.sandbox.place_order(document())
    path = any_erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    environment = {**any_erp.environment, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with listening(any_erp.project) as address:
        ways = [["orders", "import", "acme", str(path)]] * 4 + [["orders", "pull", "acme"]]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "engine", *words],
                cwd=any_erp.workspace,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            for words in ways
        ]
        codes = {
            requests.post(f"{address}/orders", json=document(), timeout=60).json()["source_order_code"]
            for _ in range(5)
        }
        assert [process.wait(timeout=120) for process in running] == [0] * 5
    assert len(codes) == 1
    assert any_erp.orders() == [("#1001", "C1")]


def test_a_lookup_that_finds_something_without_its_code_is_no_leave_to_raise(erp: Erp) -> None:
    """A misspelt column must not raise the order twice."""
    erp.receive(document())
    for path in erp.project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    erp.write(statements={"lookup.sql": STATEMENTS["lookup.sql"].replace("source_order_code", "source_ordercode")})
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)
    assert "lookup.sql" in entry.reason


BY_NAME: dict[str, str | None] = {
    "find_customer.sql": "select code as source_customer_code from erp_customer where name = {{ customer.last_name }}"
}


def test_a_customer_without_a_code_is_found_by_what_is_known(erp: Erp) -> None:
    """By name here, by e-mail in most shops; who is not found takes the default, or waits."""
    erp.write(statements=BY_NAME)
    stranger = {"email": "x@example.com", "last_name": "Else"}
    erp.receive(document(sources=[]), document(1002, sources=[], customer=stranger))
    assert (erp.entry().source_customer_code, erp.entry(1002).rule) == ("C1", "no_customer")
    erp.write('default_customer = "CASH"', statements=BY_NAME)
    (entry,) = orders.retry(erp.project, (1002,), stop=threading.Event())
    assert entry.source_customer_code == "CASH"


def test_two_lines_of_one_item_need_stock_for_both(erp: Erp) -> None:
    """Each by itself would fit."""
    erp.write('stock = "refuse"')
    lines = [{"sku": "A", "qty": 6, "price": 1}, {"sku": "A", "qty": 6, "price": 1}]
    (entry,) = erp.receive(document(line_items=lines, total=None))
    assert (entry.rule, "10" in entry.reason, "12" in entry.reason) == ("short_stock", True, True)


def test_a_file_with_two_statements_is_refused_with_its_reason(erp: Erp) -> None:
    """SQLite takes one at a time; nothing of the first is kept."""
    erp.write(statements={"90_code.sql": "select 1; select 2"})
    (entry,) = erp.receive(document())
    assert (entry.rule, "one statement" in entry.reason, erp.orders()) == ("refused", True, [])


def test_an_answer_that_is_refused_keeps_no_other_from_being_given(erp: Erp) -> None:
    """It is given again with the next pull."""
    erp.receive(document(1), via="pull")
    erp.sandbox.place_order(document(2))
    with pytest.raises(OrderError, match="1 of Stock2Shop's orders"):
        pull_orders(erp.project, stop=threading.Event())
    assert (erp.entry(1).standing, erp.entry(2).standing) == ("raised", "answered")
    erp.sandbox.place_order(document(1))
    pull_orders(erp.project, stop=threading.Event())
    assert erp.entry(1).standing == "answered"


def test_a_process_that_only_sleeps_still_holds_the_order(any_erp: Erp) -> None:
    """Another one waits for it, however long: only a process that died has left its order behind."""
    path = any_erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    sleeping = subprocess.Popen(
        [sys.executable, "-c", DYING.replace("SIGKILL", "SIGSTOP"), "in the transaction", any_erp.workspace, path],
        env={**os.environ, **any_erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    assert os.WIFSTOPPED(os.waitpid(sleeping.pid, os.WUNTRACED)[1])
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(any_erp.receive, document())
        # Were it not to wait, it would have raised the order by then.
        threading.Event().wait(1)
        sleeping.send_signal(signal.SIGCONT)
        (entry,) = waiting.result()
    assert sleeping.wait(timeout=60) == 0
    assert entry.standing in {"raised", "answered"}
    assert any_erp.rows("select id from erp_order") == [(int(str(entry.source_order_code).removeprefix("SO")),)]
    with open_ledger(any_erp.project) as ledger:
        told = [standing for _, standing, _ in ledger.story(1001)]
    assert told == ["received", "raising", "raised", "answered"]


def serving(erp: Erp, port: int) -> subprocess.Popen[str]:
    """A receiver as a process of its own that takes orders by now."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "orders", "serve", "acme", "--port", str(port)],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert f":{port}/orders" in process.stdout.readline()
    return process


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process does; after two minutes it is not busy but stands still."""
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("It stood still.")


def in_hand(erp: Erp) -> bool:
    """Whether an order is being raised."""
    with open_ledger(erp.project) as ledger:
        return bool(ledger.entries("standing = 'raising'"))


def test_a_receiver_that_is_stopped_ends_with_the_order_in_hand(erp: Erp) -> None:
    """Its sender hears the code; whoever comes after that finds nobody."""
    port = free_port()
    process = serving(erp, port)
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        with ThreadPoolExecutor() as pool:
            sent = pool.submit(requests.post, f"http://127.0.0.1:{port}/orders", json=document(), timeout=60)
            until(lambda: in_hand(erp))
            process.terminate()
            holder.execute("rollback")
            answer = sent.result()
    process.communicate(timeout=60)
    assert (answer.status_code, answer.json()["source_order_code"]) == (200, "SO1")
    assert (process.returncode, len(erp.orders())) == (0, 1)


def test_receivers_that_are_killed_under_load_lose_and_double_nothing(any_erp: Erp) -> None:
    """Senders try again until they are answered, as Stock2Shop does; the receiver dies three times meanwhile."""
    port = free_port()
    done: list[int] = []
    over = threading.Event()

    def send(number: int) -> str:
        while not over.is_set():
            with suppress(requests.RequestException):
                answer = requests.post(f"http://127.0.0.1:{port}/orders", json=document(number), timeout=60)
                if answer.status_code == 200:
                    done.append(number)
                    return str(answer.json()["source_order_code"])
            over.wait(0.05)
        return "never answered"

    process = serving(any_erp, port)
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(send, number) for number in range(1, 61)]
        try:
            for deaths in (1, 2, 3):
                until(lambda: len(done) >= 15 * deaths)  # noqa: B023 - it is asked now
                process.kill()
                process.communicate()
                process = serving(any_erp, port)
            until(lambda: len(done) == len(sent))
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


def test_a_receiver_whose_output_nobody_reads_takes_orders_all_the_same(erp: Erp) -> None:
    """Marked text in a console of Windows stops whoever writes there; what was left out is told afterwards."""
    port = free_port()
    process = serving(erp, port)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    with requests.Session() as sender:
        for number in range(1_500):
            refused = sender.post(f"http://127.0.0.1:{port}/orders", data=b"no order", timeout=60)
            assert refused.status_code == 400, number
        assert sender.post(f"http://127.0.0.1:{port}/orders", json=document(), timeout=60).status_code == 200
    lines: list[str] = []
    while not lines or "lines were left out" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    process.terminate()
    rest = process.communicate(timeout=60)[0]
    told = sum("An order was not taken" in line for line in lines)
    assert told >= 1_000
    assert f"{1_501 - told:,} lines were left out" in lines[-1]
    assert "Stopped" in rest


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /orders HTTP/1.1\r\nHost: x\r\n", b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"],
    ids=["nothing", "header", "body"],
)
def test_a_request_that_never_ends_is_hung_up_on(erp: Erp, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """A byte now and then holds no connection for ever; an order in hand is not cut off."""
    monkeypatch.setattr(receiver, "PATIENCE", 0.3)
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with listening(erp.project) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(begun)
            assert slow.recv(1000) == b""
        monkeypatch.setattr(orders, "at_boundary", lambda _: time.sleep(0.2))
        assert requests.post(f"{address}/orders", json=document(), timeout=30).status_code == 200


def test_a_scheme_is_the_same_in_any_case(erp: Erp) -> None:
    """As HTTP has it: a tunnel may write bearer, or BASIC."""
    erp.write('[orders.serve]\ntoken = "a-long-token-of-the-tests"\nusername = "s2s"\npassword = "a-password"')
    taker = receiver.Receiver(erp.project)
    assert taker.admits("bearer a-long-token-of-the-tests") is None
    assert taker.admits("BASIC czJzOmEtcGFzc3dvcmQ=") is None
    assert taker.admits("Bearer A-LONG-TOKEN-OF-THE-TESTS") is not None


@pytest.mark.parametrize("said", ["No such file", "cannot be used for TLS"])
def test_tls_files_that_cannot_be_used_are_named(erp: Erp, said: str) -> None:
    """Another port would not help."""
    erp.write('[orders.serve]\ntls_certificate = "own.pem"\ntls_key = "own.key"')
    (erp.root / "own.pem").write_text("no certificate", "utf-8")
    if said != "No such file":
        (erp.root / "own.key").write_text("no key", "utf-8")
    ran = erp.s2s("orders", "serve", "acme", "--port", "0")
    assert (ran.returncode, said in ran.stderr, "own." in ran.stderr, "--port" in ran.stderr) == (2, True, True, False)


def test_a_receiver_says_once_what_keeps_it_from_raising(erp: Erp) -> None:
    """Nobody has to send an order first; and again when it is something else."""
    told: list[str] = []
    taker = receiver.Receiver(erp.project, tell=lambda text, **_: told.append(text))
    ledger = erp.project.state.with_name("acme.orders.sqlite")
    ledger.parent.mkdir()
    ledger.write_bytes(b"no ledger" * 100)
    for _ in range(3):
        taker.raise_due(threading.Event())
    assert [("cannot be raised now" in text, "not a database" in text) for text in told] == [(True, True)]
    ledger.unlink()
    taker.raise_due(threading.Event())
    ledger.write_bytes(b"no ledger" * 100)
    taker.raise_due(threading.Event())
    assert len(told) == 2


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
    erp.receive(document())
    harm(erp.project.state.with_name("acme.orders.sqlite"))
    asked: tuple[Callable[[Ledger], object], ...] = (
        lambda ledger: ledger.entry(1001),
        lambda ledger: ledger.due(),
        lambda ledger: ledger.document(1001),
        lambda ledger: ledger.story(1001),
    )
    for each in asked:
        with pytest.raises(StateError, match=said), open_ledger(erp.project) as ledger:
            each(ledger)
    ran = erp.s2s("orders", "list", "acme")
    assert (ran.returncode, said in ran.stderr, "→" in ran.stderr, "unforeseen" in ran.stderr) == (1, True, True, False)


def test_a_number_that_no_order_has_is_a_wrong_word(erp: Erp) -> None:
    """The ledger could not even look for it."""
    ran = erp.s2s("orders", "show", "acme", "9" * 30)
    assert (ran.returncode, "unforeseen" in ran.stderr) == (2, False)


def test_an_order_writes_no_line_of_its_own_into_a_log(erp: Erp) -> None:
    """Nor turns one around, nor fills it: what is shown of its codes is one line of printable characters."""
    sku = "Z\n2026-03-01 07:00:00 UTC  Order 2 is raised as SO9\u202e" + "x" * 5000
    (entry,) = erp.receive(document(line_items=[{"sku": sku, "qty": 1}], total=None))
    assert entry.reason.startswith("a line's SKU is not in the database: Z\ufffd2026-03-01")
    assert (entry.reason.isprintable(), len(entry.reason) < 1000) == (True, True)


def test_an_order_that_was_broken_off_may_be_retried_by_its_number(erp: Erp) -> None:
    """As whoever sees it in the list will try to."""
    erp.die_at("after the commit", document())
    assert erp.entry().standing == "raising"
    ran = erp.s2s("orders", "skip", "acme", "1001")
    assert (ran.returncode, "s2s orders retry" in ran.stderr) == (2, True)
    assert erp.s2s("orders", "retry", "acme", "1001").returncode == 0
    assert (erp.entry().standing, erp.entry().reason, len(erp.orders())) == ("raised", "found in the database", 1)


@pytest.mark.parametrize("code", ["", "  ", "SO\n1"])
def test_an_order_is_not_skipped_under_a_code_that_is_none(erp: Erp, code: str) -> None:
    """Stock2Shop would be told it."""
    erp.receive(document(line_items=[]))
    assert erp.s2s("orders", "skip", "acme", "1001", "--as", code).returncode == 2
    assert erp.entry().standing == "waiting"


def test_a_plan_shows_what_one_line_takes_from_another(erp: Erp) -> None:
    """Each line has a result of its own, as when they are raised."""
    more = "update erp_line set tax_code = {{ results.lines[line.number - 1].sku }}"
    lines = STATEMENTS["20_lines.line.sql"] + " returning sku"
    erp.write(statements={"20_lines.line.sql": lines, "25_more.line.sql": more})
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    erp.s2s("orders", "import", "acme", str(path), "--hold")
    planned = erp.s2s("orders", "plan", "acme")
    assert (planned.returncode, planned.stdout.count("<lines.sku>")) == (0, 2)
    assert erp.s2s("orders", "retry", "acme").returncode == 0


DYING_COMMAND = """\
import os, signal, sys
from engine.orders import pipeline as orders
from engine.cli.app import main

boundary = sys.argv.pop(1)

def die(name):
    if name == boundary:
        os.kill(os.getpid(), signal.SIGKILL)

orders.at_boundary = die
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
    path.write_text(json.dumps(document()), "utf-8")
    erp.sandbox.place_order(document())
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
                requests.post(f"http://127.0.0.1:{port}/orders", json=document(), timeout=60)
        assert dying.wait(60) == -signal.SIGKILL
    if way == "import":
        list(orders.take_files(erp.project, path, stop=threading.Event()))
    elif way == "pull":
        pull_orders(erp.project, stop=threading.Event())
    else:
        receiver.Receiver(erp.project).take(path.read_bytes())
    assert (erp.entry().standing, erp.entry().source_order_code) == ("raised" if way == "import" else "answered", "SO1")
    assert (erp.orders(), len(erp.lines())) == ([("#1001", "C1")], 2)
    if way == "pull":
        assert erp.sandbox.orders()[1001]["sources"][0]["source_order_code"] == "SO1"


def test_an_order_that_was_raised_meanwhile_is_told_once(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads of it twice would fear that it is there twice."""
    told: list[str] = []
    taker = receiver.Receiver(erp.project, tell=lambda text, **_: told.append(text))
    with open_ledger(erp.project) as ledger:
        ledger.receive(1001, document(), via="serve")
        due = ledger.due()
    taker.take(json.dumps(document()).encode())
    monkeypatch.setattr("engine.orders.ledger.Ledger.due", lambda _: due)
    taker.raise_due(threading.Event())
    assert len(told) == 1


PARTS = {"sku": "A", "qty": 1, "sub_total": 10, "tax": 1.5}


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"line_items": [PARTS], "shipping_lines": [{"total": 50}], "total": 61.5}, "raised"),
        ({"line_items": [PARTS], "shipping_lines": [{"sub_total": 40, "tax": 10}], "total": 61.5}, "raised"),
        ({"line_items": [PARTS], "shipping_lines": [], "total": 61.5}, "waiting"),
        ({"line_items": [{**PARTS, "tax": None}], "shipping_lines": [], "total": 61.5}, "raised"),
    ],
)
def test_totals_are_added_up_from_what_the_order_says(erp: Erp, changes: dict[str, Any], standing: str) -> None:
    """Of shipping by its lines where the order itself says nothing, of a line by its parts; else there is nothing."""
    none: dict[str, Any] = {"shipping_sub_total": None, "shipping_tax": None}
    (entry,) = erp.receive(document(**none, **changes))
    assert (entry.standing, entry.rule) == (standing, "totals_differ" if standing == "waiting" else "")


def test_every_value_that_statements_see_is_in_the_docs() -> None:
    """Somebody who writes them has nothing else to know the names from."""
    order = read(json.dumps(document()).encode())
    seen = [*order.order, *order.order["billing_address"], *order.customer, *order.lines[0]]
    said = (ROOT / "docs" / "orders.md").read_text("utf-8")
    assert [name for name in seen if f"`{name}`" not in said] == []


@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_a_procedure_raises_an_order(any_erp: Erp) -> None:
    """Called as ODBC has it, on each database; what it gives is there for the lines."""
    bodies = {
        "postgres": "create function raise_order(r varchar, c varchar) returns table(id integer) language sql as"
        " $$ insert into erp_order (reference, customer) values (r, c) returning id $$",
        "mysql": "create procedure raise_order(r varchar(100), c varchar(40)) begin"
        " insert into erp_order (reference, customer) values (r, c); select last_insert_id() as id; end",
    }
    with suppress(Exception):  # a statement that gives no rows
        any_erp.rows(bodies[any_erp.dialect])
    call = "{call raise_order({{ order.reference }}, {{ order.customer_code }})}"
    any_erp.write(statements={"10_header.sql": call})
    (entry,) = any_erp.receive(document())
    assert (entry.standing, entry.source_order_code, len(any_erp.lines())) == ("raised", "SO1", 2)


@pytest.mark.parametrize("words", [("show", "acme", "1001", "--reveal"), ("plan", "acme", "--reveal")])
def test_what_an_order_says_does_not_steer_the_terminal(erp: Erp, words: tuple[str, ...]) -> None:
    """That it is shown on: directions and line ends are shown by their numbers."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document(notes="a\u202eb\nc")), "utf-8")
    erp.s2s("orders", "import", "acme", str(path), "--hold")
    shown, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "engine", "orders", *words],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=terminal,
    ) as ran:
        os.close(terminal)
        said = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(shown, 10_000):
                said += part
    assert ran.returncode == 0
    assert b"a\\u202eb" in said
    assert "\u202e".encode() not in said


@pytest.mark.parametrize(
    ("name", "sql", "said"),
    [
        ("10_header.sql", "insert into erp_order (reference)\nvalues ({{ order.referense }})", "10_header.sql:2"),
        ("20_lines.line.sql", "insert into erp_line (sku) values ({{ line.skew }})", "skew"),
        ("90_code.sql", "select {{ line.sku }} as source_order_code", "line"),
        ("lookup.sql", "select 1 where 'x' = '{{ order.reference }}'", "lookup.sql:1"),
        ("stock.sql", "select {{ line.qty }", "stock.sql:1"),
    ],
)
def test_a_mistake_in_a_statement_is_found_before_there_is_an_order(erp: Erp, name: str, sql: str, said: str) -> None:
    """By check, which asks no database, and with the file and the line."""
    erp.write(statements={name: sql})
    checked = erp.s2s("check", "acme")
    assert (checked.returncode, said in checked.stdout) == (2, True), checked.stdout
    assert f"orders/{name}" in checked.stdout


def test_statements_that_calculate_with_what_the_database_gives_pass_the_check(erp: Erp) -> None:
    """What that will be is not known before."""
    calculated = "insert into erp_line (order_id, sku, qty, price) values ({{ results.header.id * 10 + 1 }}, 'x',"
    erp.write(statements={"20_lines.line.sql": f"{calculated} {{{{ line.qty / 2 }}}}, {{{{ -results.header.id }}}})"})
    assert erp.s2s("check", "acme").returncode == 0
