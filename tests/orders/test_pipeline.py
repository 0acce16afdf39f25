"""Orders come home: each raised exactly once, with nothing in it ever becoming SQL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.erp import DYING, ROOT, STATEMENTS, document
from support.servers import free_port
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import ConfigError, OrderError, UnavailableError, UsageError, ViewError
from engine.orders import document as inbox
from engine.orders import pipeline as orders
from engine.orders.ledger import TRANSITIONS, open_ledger
from engine.orders.pull import pull_orders
from engine.orders.receiver import listening
from engine.orders.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.erp import Erp

TOKEN = "a-long-token-of-the-tests"


def test_an_order_is_raised_with_its_lines_and_answered_with_its_code(any_erp: Erp) -> None:
    """In one transaction, on every kind of database."""
    (entry,) = any_erp.receive(document())
    assert (entry.standing, entry.source_order_code, entry.source_customer_code) == ("raised", "SO1", "C1")
    assert any_erp.orders() == [("#1001", "C1")]
    assert any_erp.lines() == [("A", 2.0, 10.5), ("B", 1.0, 5.0)]


def test_the_same_order_is_raised_once_however_often_it_comes(any_erp: Erp) -> None:
    """And answered the same each time."""
    entries = any_erp.receive(*[document()] * 10)
    assert {(entry.standing, entry.source_order_code) for entry in entries} == {("raised", "SO1")}
    assert len(any_erp.orders()) == 1


def test_an_order_that_comes_again_with_other_content_stays_as_it_was(erp: Erp) -> None:
    """That is noted, because somebody may have to look."""
    erp.receive(document(), document(notes="Other notes"))
    assert erp.rows("select notes from erp_order") == [("Leave at the gate",)]
    assert "other content" in erp.entry().note


def test_an_order_that_the_database_has_is_found_not_raised(any_erp: Erp) -> None:
    """Though the ledger was lost."""
    any_erp.receive(document())
    for path in any_erp.project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    (entry,) = any_erp.receive(document())
    assert (entry.standing, entry.source_order_code, len(any_erp.orders())) == ("raised", "SO1", 1)


BOUNDARIES = ("after receipt", "before the transaction", "in the transaction", "before the commit", "after the commit")


@pytest.mark.parametrize("boundary", [*BOUNDARIES, "before the answer"])
def test_a_process_that_is_killed_leaves_the_order_to_be_raised_once(any_erp: Erp, boundary: str) -> None:
    """Whatever it had done by then, the next one that is sent the order raises it or finds it."""
    assert any_erp.die_at(boundary, document()) == -9
    (entry,) = any_erp.receive(document())
    assert entry.standing in {"raised", "answered"}
    assert [
        (f"SO{number}", reference) for number, reference in any_erp.rows("select id, reference from erp_order")
    ] == [(entry.source_order_code, "#1001")]
    assert len(any_erp.lines()) == 2


def test_a_killed_process_leaves_what_is_due_to_the_next_import(erp: Erp) -> None:
    """Nobody has to send the order again."""
    erp.die_at("in the transaction", document())
    assert erp.entry().standing == "raising"
    (entry,) = orders.raise_due(erp.project, stop=threading.Event())
    assert (entry.standing, len(erp.orders())) == ("raised", 1)


def test_without_a_lookup_a_killed_order_waits_for_somebody_to_look(erp: Erp) -> None:
    """It may be in the database; then it is skipped under its code, else retried."""
    erp.write(statements={"lookup.sql": None})
    erp.die_at("after the commit", document())
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.rule, len(erp.orders())) == ("waiting", "uncertain", 1)
    assert orders.skip(erp.project, 1001, code="SO1").source_order_code == "SO1"
    erp.die_at("in the transaction", document(1002))
    (entry,) = erp.receive(document(1002))
    assert entry.rule == "uncertain"
    (entry,) = orders.retry(erp.project, (1002,), stop=threading.Event())
    assert (entry.standing, len(erp.orders())) == ("raised", 2)


def line(**changes: Any) -> dict[str, Any]:
    """One line."""
    return {"sku": "A", "qty": 1, "price": 10, **changes}


BROKEN = [
    ("no_lines", {"line_items": []}, ""),
    ("blank_sku", {"line_items": [line(sku=" ")]}, ""),
    ("blank_sku", {"line_items": [line(sku=None)]}, ""),
    ("unknown_sku", {"line_items": [line(sku="Z")]}, ""),
    ("bad_quantity", {"line_items": [line(qty=0)]}, ""),
    ("bad_quantity", {"line_items": [line(qty=-1)]}, ""),
    ("bad_quantity", {"line_items": [line(qty=None)]}, ""),
    ("repeated_sku", {"line_items": [line(), line()]}, 'repeated_skus = "refuse"'),
    ("foreign_line", {"line_items": [line(source_id=58)]}, ""),
    ("unknown_channel", {"channel_id": 99}, "known_channels_only = true\nchannels = { 12 = {} }"),
    ("no_customer", {"sources": []}, ""),
    ("unknown_customer", {"sources": [{"source_id": 57, "source_customer_code": "C9"}]}, ""),
    ("totals_differ", {"total": 80}, ""),
    ("short_stock", {"line_items": [line(sku="B", qty=2)]}, 'stock = "refuse"'),
    ("unreadable", {"line_items": [line(price="10,50")]}, ""),
    ("unreadable", {"line_items": "A"}, ""),
    ("unreadable", {"created": "yesterday"}, ""),
    ("unreadable", {"notes": {"a": 1}}, ""),
    ("unreadable", {"line_items": [line(price=1e60)]}, ""),
]


@pytest.mark.parametrize(("rule", "changes", "config"), BROKEN)
def test_an_order_that_breaks_a_rule_waits_with_its_reason(
    erp: Erp, rule: str, changes: dict[str, Any], config: str
) -> None:
    """Nothing of it is in the database; the reason is in words."""
    erp.write(config)
    changed = document(**changes) if "total" in changes else document(**changes, total=None)
    (entry,) = erp.receive(changed)
    assert (entry.standing, entry.rule) == ("waiting", rule)
    assert entry.reason.startswith(RULES[rule].reason)
    assert erp.orders() == []


def test_every_rule_has_a_test() -> None:
    """A rule that nobody broke is a rule that nobody knows."""
    elsewhere = {"no_code", "refused", "uncertain", "held"}
    assert {rule for rule, _, _ in BROKEN} | elsewhere == set(RULES)


def test_a_waiting_order_is_raised_when_its_cause_is_mended(erp: Erp) -> None:
    """By retrying it; its story tells both."""
    erp.receive(document(line_items=[line(sku="NEW")], total=None))
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as connection:
        connection.execute("insert into erp_item values ('NEW', 1)")
        connection.commit()
    (entry,) = orders.retry(erp.project, (), stop=threading.Event())
    assert entry.standing == "raised"
    with open_ledger(erp.project) as ledger:
        told = [standing for _, standing, _ in ledger.story(1001)]
    assert told == ["received", "raising", "waiting", "received", "raising", "raised"]


def test_a_statement_that_gives_no_code_keeps_nothing(erp: Erp) -> None:
    """What was inserted before is undone."""
    erp.write(statements={"90_code.sql": "select 1 as something"})
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.rule, erp.orders(), erp.lines()) == ("waiting", "no_code", [], [])


def test_a_constraint_that_is_violated_is_not_tried_again(any_erp: Erp) -> None:
    """The order waits, without its values in the reason."""
    any_erp.write(statements={"lookup.sql": None})
    any_erp.receive(document())
    (entry,) = any_erp.receive(document(1002, channel_order_code="#1001"))
    assert (entry.standing, entry.rule, entry.tries) == ("waiting", "refused", 0)
    assert "#1001" not in entry.reason


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
        raising = pool.submit(any_erp.receive, document())
        time.sleep(0.5)
        assert not raising.done()
        if any_erp.dialect == "mysql":
            holder.execute("unlock tables")
        holder.rollback() if any_erp.dialect != "sqlite" else holder.execute("rollback")
        (entry,) = raising.result(timeout=60)
    holder.close()
    assert (entry.standing, len(any_erp.orders())) == ("raised", 1)


def test_a_database_that_is_away_leaves_the_order_for_later(erp: Erp) -> None:
    """It failed for now, and is due again after a while."""
    path = erp.workspace / "erp.sqlite"
    path.rename(path.with_suffix(".away"))
    (entry,) = erp.receive(document())
    assert (entry.standing, entry.tries) == ("failed", 1)
    assert entry.next_try_at is not None
    path.with_suffix(".away").rename(path)
    (entry,) = erp.receive(document())
    assert entry.standing == "raised"


def test_an_order_without_a_customer_takes_the_default(erp: Erp) -> None:
    """The channel's own one first."""
    erp.receive(document(sources=[]))
    erp.write('default_customer = "CASH"\nchannels = { 12 = { customer = "C1", warehouse = "JHB" } }')
    erp.receive(document(1002, sources=[]))
    assert erp.orders() == [("#1001", "CASH"), ("#1002", "C1")]
    assert erp.rows("select warehouse from erp_order order by id") == [(None,), ("JHB",)]


def test_a_missing_customer_is_made_where_the_project_wants_that(any_erp: Erp) -> None:
    """In the same transaction: an order that fails leaves no customer behind."""
    any_erp.write("create_customer = true")
    new = [{"source_id": 57, "source_customer_code": "C9"}]
    any_erp.receive(document(sources=new, line_items=[line(sku="Z")], total=None))
    assert any_erp.rows("select code from erp_customer where code = 'C9'") == []
    any_erp.receive(document(1002, sources=new))
    assert any_erp.rows("select name from erp_customer where code = 'C9'") == [("One",)]
    assert any_erp.orders() == [("#1002", "C9")]


def test_shipping_is_a_line_where_it_has_an_item(erp: Erp) -> None:
    """Else it is left out."""
    erp.write('shipping_item = "SHIP"')
    erp.receive(document())
    assert ("SHIP", 1.0, 50.0) in erp.lines()


def test_prices_tax_codes_and_dates_are_as_the_project_says(erp: Erp) -> None:
    """Including tax, by the database's own codes, in the client's time zone."""
    erp.write('prices = "including"\ntax_codes = { taxed = "1", exempt = "0" }\ntimezone = "Africa/Johannesburg"')
    erp.receive(document())
    assert erp.lines() == [("A", 2.0, 12.075), ("B", 1.0, 5.0)]
    assert erp.rows("select tax_code from erp_line") == [("1",), ("0",)]
    assert erp.rows("select placed from erp_order") == [("2026-03-02 00:30:00",)]


def test_a_repeated_sku_is_added_up_where_the_project_wants_that(erp: Erp) -> None:
    """With one price; with two prices it stays two lines."""
    erp.write('repeated_skus = "merge"')
    erp.receive(document(line_items=[line(qty=2), line(qty=3), line(price=9)], total=None))
    assert erp.lines() == [("A", 5.0, 10.0), ("A", 1.0, 9.0)]


def test_short_stock_marks_the_line_as_a_backorder(erp: Erp) -> None:
    """Where the project wants that."""
    erp.write('stock = "backorder"')
    erp.receive(document(line_items=[line(sku="B", qty=2), line()], total=None))
    assert erp.rows("select sku, backorder from erp_line") == [("B", "yes"), ("A", "no")]


HOSTILE = [
    "'; drop table erp_order; --",
    '" or 1=1 --',
    "{{ order.id }} {% raw %}",
    "${jndi:ldap://x}",
    "?, ?); delete from erp_line; --",
    "\u202eevil\u2066",
    "\\'; --",
    "x" * 1_000_000,
    "\ue0000\ue001",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_raised_as_plain_data(any_erp: Erp, text: str) -> None:
    """As they are, in every field that takes them."""
    any_erp.write(statements={"10_header.sql": STATEMENTS["10_header.sql"].replace("{{ order.notes }}", "'-'")})
    (entry,) = any_erp.receive(document(notes=text, channel_order_code=text[:90]))
    assert entry.standing == "raised"
    assert any_erp.rows("select reference from erp_order") == [(text[:90],)]


def test_control_characters_do_not_reach_the_database(erp: Erp) -> None:
    """Line ends and tabs stay; half a surrogate goes."""
    erp.receive(document(notes="a\x00b\x1bc\ud800d\ne\tf"))
    assert erp.rows("select notes from erp_order") == [("abcd\ne\tf",)]


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b"[]", 422, "needs an object"),
        (b"{}", 422, "no id"),
        (b'{"id": -1}', 422, "no id"),
        (b'{"id": true}', 422, "no id"),
        (b'{"id": 1.5}', 422, "no id"),
        (b'{"id": NaN}', 400, "NaN"),
        (b'{"id": 1, "id": 2}', 400, "twice"),
        (b'{"id": 1, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "deep"),
        (b'{"id": 99999999999999999999}', 422, "no id"),
    ],
)
def test_what_is_no_order_is_refused(raw: bytes, status: int, said: str) -> None:
    """With the HTTP status that says why."""
    with pytest.raises(OrderError, match=said) as refused:
        inbox.parse(raw)
    assert refused.value.status == status


texts = st.text(max_size=40)
values = st.one_of(st.none(), texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        dict.fromkeys(("notes", "channel_id", "channel_order_code", "created", "total", "status"), values)
    ),
    st.lists(
        st.fixed_dictionaries(dict.fromkeys(("sku", "qty", "price", "total", "tax", "title"), values)), max_size=3
    ),
)
def test_the_statements_text_never_depends_on_the_order(
    erp: Erp, changes: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    """Whatever is in it: only the values that are bound do."""
    order = inbox.read(
        inbox.parse(json.dumps(document(**changes, line_items=lines)).encode()),
        orders.settings_of(erp.project),
        source_id=57,
    )
    from engine.orders.plan import planned_queries

    made = list(planned_queries(erp.project, orders.settings_of(erp.project), order))
    plain = {
        path.name: query.sql
        for path, query in planned_queries(
            erp.project,
            orders.settings_of(erp.project),
            inbox.read(inbox.parse(json.dumps(document()).encode()), orders.settings_of(erp.project), source_id=57),
        )
    }
    assert {(path.name, query.sql) for path, query in made} <= set(plain.items())
    assert all(
        isinstance(bind, (str, int, Decimal, type(None))) or hasattr(bind, "isoformat")
        for _, query in made
        for bind in query.binds
    )


@pytest.fixture
def receiver(erp: Erp) -> Iterator[str]:
    """The receiver of a client with a token."""
    erp.write(f'default_customer = "CASH"\n[orders.serve]\nport = 0\ntoken = "{TOKEN}"\nmax_body = 100000')
    with listening(erp.project) as address:
        yield address


def send(address: str, order: object, token: str = TOKEN) -> requests.Response:
    """Send an order as Stock2Shop's tunnel does."""
    return requests.post(f"{address}/orders", json=order, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def test_an_order_that_is_sent_is_answered_with_its_code(erp: Erp, receiver: str) -> None:
    """The first time and every other; it counts as answered."""
    wanted = {"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}
    for body in (document(), {"system_order": document()}):
        answer = send(receiver, body)
        assert (answer.status_code, answer.json()) == (200, wanted)
    assert (erp.entry().standing, len(erp.orders())) == ("answered", 1)


def test_an_order_that_waits_is_answered_with_what_to_do(receiver: str) -> None:
    """Not as an error of the server's."""
    answer = send(receiver, document(line_items=[line(sku="Z")], total=None))
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["rule"], error["order"], error["what_to_do"]) == ("unknown_sku", 1001, RULES["unknown_sku"].mend)


def test_without_the_token_nothing_is_taken(erp: Erp, receiver: str) -> None:
    """And after too many guesses there is a pause, though not for who has it."""
    assert send(receiver, document(), token="wrong").status_code == 401
    assert requests.post(f"{receiver}/orders", json=document(), timeout=10).status_code == 401
    guesses = {send(receiver, document(), token=f"guess {number}").status_code for number in range(30)}
    assert guesses == {401, 429}
    assert erp.orders() == []
    assert send(receiver, document()).status_code == 200


def test_what_is_no_order_gets_a_clear_answer(receiver: str) -> None:
    """Never a 500."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.post(f"{receiver}/orders", data=b"{", headers=headers, timeout=10).status_code == 400
    assert requests.post(f"{receiver}/orders", data=b"x" * 200_000, headers=headers, timeout=10).status_code == 413
    assert requests.get(f"{receiver}/orders", headers=headers, timeout=10).status_code == 405
    assert requests.get(f"{receiver}/elsewhere", timeout=10).status_code == 404
    assert requests.get(f"{receiver}/health", timeout=10).json() == {"status": "ok"}


def test_the_same_order_ten_times_at_once_is_raised_once(erp: Erp, receiver: str) -> None:
    """From senders, and from an import that runs beside them."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    with ThreadPoolExecutor(10) as pool:
        imported = pool.submit(erp.s2s, "orders", "import", "acme", str(path), alone=True)
        answers = list(pool.map(lambda _: send(receiver, document()), range(10)))
    wanted = {"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, wanted)] * 10
    assert imported.result().returncode == 0
    assert len(erp.orders()) == 1


def test_a_thousand_orders_from_eight_senders_are_all_raised_once(erp: Erp, receiver: str) -> None:
    """None lost, none doubled, none stuck."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: send(receiver, document(number)).status_code, range(1, 1001)))
    assert set(answers) == {200}
    assert [reference for reference, _ in sorted(erp.orders())] == sorted(f"#{number}" for number in range(1, 1001))
    with open_ledger(erp.project) as ledger:
        assert len(ledger.entries("standing = 'answered'")) == 1000


def test_serve_takes_orders_until_it_is_stopped(erp: Erp) -> None:
    """As a process of its own, which ends cleanly."""
    port = free_port()
    erp.write(f'default_customer = "CASH"\n[orders.serve]\ntoken = "{TOKEN}"')
    import os

    from support.erp import ROOT

    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "orders", "serve", "acme", "--port", str(port)],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert f"127.0.0.1:{port}/orders" in process.stdout.readline()
    assert send(f"http://127.0.0.1:{port}", document()).status_code == 200
    process.terminate()
    assert "every order that came in is in the ledger" in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_clients_that_break_off_as_they_connect_keep_no_order_away(receiver: str) -> None:
    """As port scans do; on Windows one of them had it listen no more."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(receiver.rpartition(":")[2]))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert send(receiver, document()).status_code == 200


def test_a_receiver_that_nobody_can_reach_any_more_ends(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever started it starts it again: a process that lives and hears nothing looks well."""

    async def deaf(_: uvicorn.Server) -> None:
        await asyncio.sleep(0.1)

    monkeypatch.setattr(uvicorn.Server, "main_loop", deaf)
    for name, value in erp.environment.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(app, ["--workspace", str(erp.workspace), "orders", "serve", "acme", "--port", "0"])
    assert isinstance(ran.exception, UnavailableError)
    assert "Nobody listens at http://127.0.0.1:" in ran.exception.message


def test_a_port_that_is_taken_is_said(erp: Erp) -> None:
    """With what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        ran = erp.s2s("orders", "serve", "acme", "--port", str(holder.getsockname()[1]))
    assert (ran.returncode, "Traceback" in ran.stderr, "--port" in ran.stderr) == (2, False, True)


def test_a_public_address_without_a_token_is_refused(erp: Erp) -> None:
    """Anybody could raise orders there."""
    erp.write('[orders.serve]\nhost = "0.0.0.0"')
    with pytest.raises(ConfigError, match="could raise orders"):
        _ = erp.project


def test_orders_are_pulled_raised_and_answered(erp: Erp) -> None:
    """Through the queue, as far as that can be guessed; once each."""
    for number in (1, 2):
        erp.sandbox.place_order(document(number))
    found = pull_orders(erp.project, stop=threading.Event())
    assert [(entry.order_id, entry.standing) for entry in found] == [(1, "answered"), (2, "answered")]
    wanted = [{"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}]
    assert erp.sandbox.orders()[1]["sources"] == wanted
    assert pull_orders(erp.project, stop=threading.Event()) == []
    assert len(erp.orders()) == 2


def test_orders_that_wait_in_the_queue_hide_no_newer_ones(erp: Erp) -> None:
    """Pages are asked for until one brings nothing new; also where Stock2Shop knows no pages."""
    erp.write("[orders.pull]\nlimit = 2")
    for number in range(1, 6):
        sku = "Z" if number < 5 else "A"
        lines = [line(sku=sku)]
        erp.sandbox.place_order(document(number, line_items=lines, total=None))
    found = pull_orders(erp.project, stop=threading.Event())
    assert [(entry.order_id, entry.standing) for entry in found] == [
        *((number, "waiting") for number in range(1, 5)),
        (5, "answered"),
    ]
    erp.sandbox.place_order(document(6))
    erp.write('[orders.pull]\nlimit = 2\noffset = "mode"')
    found = pull_orders(erp.project, stop=threading.Event())
    assert [entry.order_id for entry in found] == [1, 2]


@pytest.mark.parametrize("digits", ["", ".1", ".12", ".1234567", ".123456789"])
@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_times_may_have_any_number_of_digits(erp: Erp, digits: str, zone: str) -> None:
    """On every Python alike; the database's own precision decides."""
    read = inbox.parse(json.dumps(document(created=f"2026-03-01T22:30:00{digits}{zone}")).encode())
    order = inbox.read(read, orders.settings_of(erp.project), source_id=57)
    wanted = f"{digits[1:]:0<6.6}"
    assert (order.reason, order.order["date"].strftime("%H:%M:%S.%f")) == ("", f"22:30:00.{wanted}")


def test_an_order_is_imported_to_be_looked_at_first(erp: Erp) -> None:
    """Nothing is raised; plan shows every statement in its order, retry raises it, and it may come again."""
    erp.write(
        'create_customer = true\nstock = "refuse"',
        statements={
            "item.sql": "select 1 where {{ line.sku }} <> 'Z'",
            "stock.sql": "select 100",
            "find_customer.sql": "select 'C1' as source_customer_code where {{ customer.email }} <> ''",
            "customer.sql": "select 'NEW' as source_customer_code",
        },
    )
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(document()), "utf-8")
    held = erp.s2s("orders", "import", "acme", str(path), "--hold")
    assert (held.returncode, erp.entry().standing, erp.orders()) == (0, "waiting", [])
    assert "s2s orders plan acme 1001" in held.stdout
    planned = erp.s2s("orders", "plan", "acme").stdout
    shown = re.findall(r"(?m)^-- orders/(\S+?)(?:, again)?$", planned)
    assert shown == [
        "lookup.sql",
        "item.sql",
        "stock.sql",
        "item.sql",
        "stock.sql",
        "find_customer.sql",
        "customer.sql",
        "10_header.sql",
        "20_lines.line.sql",
        "20_lines.line.sql",
        "90_code.sql",
    ]
    assert "<source_customer_code>" in planned
    assert "someone@example.com" not in planned
    assert erp.s2s("orders", "import", "acme", str(path), "--hold").returncode == 0
    assert erp.orders() == []
    assert erp.s2s("orders", "retry", "acme").returncode == 0
    assert (erp.entry().standing, len(erp.orders())) == ("raised", 1)


def test_a_statement_that_the_database_refuses_is_named(erp: Erp) -> None:
    """By its file: somebody who was not there must find it."""
    erp.write(statements={"20_lines.line.sql": "insert into nowhere values ({{ line.sku }})"})
    (entry,) = erp.receive(document())
    assert "the database refused it: orders/20_lines.line.sql: The database refused a statement" in entry.reason


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_receiver_says_what_becomes_of_each_order(erp: Erp, form: str) -> None:
    """A line an order and a line a refusal, at once, with the time and with nobody's name."""
    port = free_port()
    erp.write(f'[orders.serve]\nport = {port}\ntoken = "{TOKEN}"')
    command = [sys.executable, "-m", "engine", "--log-format", form, "orders", "serve", "acme"]
    environment = {**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=erp.workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as served:
        assert served.stdout is not None
        lines = [served.stdout.readline()]
        address = f"http://127.0.0.1:{port}"
        sent = [
            (document(1), TOKEN),
            (document(1), TOKEN),
            (document(2, line_items=[line(sku="Z")], total=None), TOKEN),
            (document(3), "wrong"),
            ([], TOKEN),
        ]
        for body, token in sent:
            send(address, body, token=token)
            lines.append(served.stdout.readline())
        served.terminate()
        lines += served.stdout.readlines()
        assert served.wait(60) == 0
    said = "".join(lines)
    for wanted in (
        "Order 1 is raised as SO1",
        "Order 1 came again, and is answered as SO1",
        "Order 2 is waiting: a line's SKU is not in the database: Z",
        "Somebody was refused: the token",
        "An order was not taken: The document is no order",
    ):
        assert said.count(wanted) == 1, said
    assert "someone@example.com" not in said
    if form == "json":
        told = [json.loads(each) for each in lines if each.startswith("{")]
        assert (told[0]["event"], told[0]["order"], told[0]["source_order_code"]) == ("order", 1, "SO1")
    else:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  Order 1", lines[1])


def test_the_commands_tell_an_orders_story(erp: Erp) -> None:
    """Import, list, show, plan, retry and skip, with exit code 4 where an order waits; nobody's name is printed."""
    folder = erp.workspace / "inbox"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(document(1)), "utf-8")
    (folder / "b.json").write_text(json.dumps(document(2, line_items=[line(sku="Z")], total=None)), "utf-8")
    (folder / "c.json").write_text("{", "utf-8")
    ran = erp.s2s("orders", "import", "acme", str(folder))
    assert (ran.returncode, "SO1" in ran.stdout, "c.json" in ran.stdout) == (4, True, True)
    assert "waiting" in erp.s2s("orders", "list", "acme").stdout
    shown = erp.s2s("orders", "show", "acme", "2")
    assert RULES["unknown_sku"].mend in shown.stdout
    planned = erp.s2s("orders", "plan", "acme", "2")
    assert "insert into erp_order" in planned.stdout
    assert "<header.id>" in planned.stdout
    said = ran.stdout + shown.stdout + planned.stdout
    assert [word for word in ("someone@example.com", "Leave at the gate") if word in said] == []
    assert erp.s2s("orders", "retry", "acme", "2").returncode == 4
    assert "skipped" in erp.s2s("orders", "skip", "acme", "2").stdout
    listed = json.loads(erp.s2s("orders", "list", "acme", "--output", "json").stdout)
    assert [(entry["order_id"], entry["standing"]) for entry in listed] == [(1, "raised"), (2, "skipped")]
    unknown = erp.s2s("orders", "show", "acme", "77")
    assert (unknown.returncode, "orders list" in unknown.stderr) == (2, True)


def test_an_order_goes_only_where_it_may(erp: Erp) -> None:
    """From every standing to every other: what the table does not allow is refused."""
    ways = {"received": (), "waiting": ("waiting",), "raising": ("raising",), "skipped": ("skipped",)}
    ways |= {
        "failed": ("raising", "failed"),
        "raised": ("raising", "raised"),
        "answered": ("raising", "raised", "answered"),
    }
    number = 0
    with open_ledger(erp.project) as ledger:
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


def test_finished_orders_lose_their_documents_after_a_while(erp: Erp) -> None:
    """They are about people; the code stays, and the order is still known."""
    erp.receive(document())
    with open_ledger(erp.project) as ledger:
        # That it waited for long is no reason: what counts is when it was finished.
        ledger._connection.execute("update orders set received_at = '2020-01-01 00:00:00.000'")
        ledger.prune(keep_days=30)
        assert ledger.document(1001) is not None
        ledger._connection.execute("update transitions set at = '2020-01-01 00:00:00.000'")
        ledger.prune(keep_days=30)
        assert ledger.document(1001) is None
    (entry,) = erp.receive(document())
    assert (entry.source_order_code, len(erp.orders())) == ("SO1", 1)


def test_the_ledger_is_its_owners_alone(erp: Erp) -> None:
    """It holds names and addresses."""
    erp.receive(document())
    path = erp.project.state.with_name("acme.orders.sqlite")
    assert oct(path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ({"header.sql": "select 1"}, "does not say when it is run"),
        (dict.fromkeys(STATEMENTS), "no statements"),
    ],
)
def test_statements_that_cannot_be_are_named(erp: Erp, statements: dict[str, str | None], said: str) -> None:
    """Before an order is touched."""
    erp.write(statements=statements)
    with pytest.raises(ViewError, match=said):
        erp.receive(document())


def test_a_statement_with_an_unknown_name_leaves_the_order_for_later(erp: Erp) -> None:
    """It is the project's fault, not the order's."""
    erp.write(statements={"10_header.sql": "insert into erp_order (reference) values ({{ order.refrence }})"})
    (entry,) = erp.receive(document())
    assert (entry.standing, "refrence" in entry.reason, erp.orders()) == ("failed", True, [])


def test_the_runner_of_the_crash_tests_raises_when_it_is_not_killed(erp: Erp) -> None:
    """Or those tests would prove nothing."""
    assert "os.kill" in DYING
    assert erp.die_at("nowhere", document()) == 0
    assert len(erp.orders()) == 1


def test_doctor_looks_at_the_way_back_too(erp: Erp) -> None:
    """The login that writes, the statements, and orders that wait."""
    erp.receive(document(line_items=[line(sku="Z")], total=None))
    said = erp.s2s("doctor", "acme").stdout
    assert "the login that writes connects" in said
    assert "1 wait to be looked at" in said
    (erp.root / "orders" / "lookup.sql").unlink()
    (erp.root / "orders" / "header.sql").write_text("select 1", "utf-8")
    assert "does not say when it is run" in erp.s2s("doctor", "acme").stdout
