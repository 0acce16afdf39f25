"""The ledger, lookup.sql and the raising transaction must agree on what is in the database; else an order waits."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import STATEMENTS, order_document, order_line, wait_until

from engine.database.writer import DbApiWriter
from engine.errors import WriteError
from engine.orders import operations, pipeline, raise_order

if TYPE_CHECKING:
    from pathlib import Path

    from support.erp import Erp

    from engine.orders.entry import Entry

BY_REFERENCE: dict[str, str | None] = {
    "lookup.sql": STATEMENTS["lookup.sql"].replace("s2s_id = {{ order.id }}", "reference = {{ order.reference }}"),
}


def run(erp: Erp, *statements: str) -> None:
    """Run statements that give no rows."""
    for statement in statements:
        if erp.dialect == "sqlite":
            import sqlite3

            with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
                connection.execute(statement)
        else:
            with suppress(Exception):  # no rows to fetch
                erp.rows(statement)


def lookup(erp: Erp, condition: str) -> dict[str, str | None]:
    """A lookup with another condition, in the erp's own SQL."""
    code = "concat('SO', id)" if erp.dialect == "mysql" else "'SO' || id"
    return {"lookup.sql": f"select {code} as source_order_code from erp_order where {condition}"}


def drop_unique(erp: Erp) -> None:
    """Let the database itself keep no second order out."""
    constraint = "index reference" if erp.dialect == "mysql" else "constraint erp_order_reference_key"
    run(erp, f"alter table erp_order drop {constraint}")


def retry(erp: Erp, *order_ids: int) -> list[Entry]:
    """Retry orders as the command does."""
    return operations.retry_orders(erp.project, erp.ledgers, order_ids, stop=threading.Event())


def test_two_channels_with_one_number_are_two_orders(erp: Erp) -> None:
    """A lookup by the channel's number alone finds the other one: the second order waits, without an answer."""
    run(erp, "create table erp_order_2 as select * from erp_order", "drop table erp_order")
    columns = "id integer primary key, s2s_id bigint, reference, customer, notes, placed, warehouse"
    run(erp, f"create table erp_order ({columns})")
    erp.write(statements=BY_REFERENCE)
    first, second = erp.receive(
        order_document(1, channel_id=4, channel_order_code="1001"),
        order_document(2, channel_id=5, channel_order_code="1001"),
    )
    assert (first.status, second.status, second.rule) == ("raised", "waiting", "code_taken")
    assert (second.source_order_code, len(erp.orders())) == (None, 1)
    assert "SO1, which is the code of order 1" in second.reason
    erp.write()
    (second,) = retry(erp, 2)
    assert (second.status, second.source_order_code, len(erp.orders())) == ("raised", "SO2", 2)


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
@pytest.mark.parametrize(("first", "second"), [("ABcd9", "abCD9"), ("1001", "1001 ")])
def test_a_collation_that_takes_two_references_for_one_raises_both_or_waits(
    any_erp: Erp, first: str, second: str
) -> None:
    """MariaDB compares without case and without trailing blanks."""
    run(any_erp, "alter table erp_order drop index reference")
    any_erp.write(statements=lookup(any_erp, "reference = {{ order.reference }}"))
    entries = any_erp.receive(order_document(1, channel_order_code=first), order_document(2, channel_order_code=second))
    assert [entry.source_order_code for entry in entries] == ["SO1", None]
    assert (entries[1].status, entries[1].rule) == ("waiting", "code_taken")


def test_a_header_that_inserts_nothing_gives_no_order_the_code_of_another(erp: Erp) -> None:
    """As with ON CONFLICT DO NOTHING, where the code is read by the reference afterwards."""
    statements = {
        "lookup.sql": None,
        "10_header.sql": STATEMENTS["10_header.sql"].replace("returning id", "on conflict do nothing"),
        "20_lines.line.sql": "insert into erp_line (sku, qty, price) values ({{ line.sku }}, {{ line.qty }}, 1)",
        "30_shipping.shipping.sql": None,
        "90_code.sql": "select 'SO' || id as source_order_code from erp_order where reference = {{ order.reference }}",
    }
    erp.write(statements=statements)
    first, second = erp.receive(order_document(1, channel_order_code="7"), order_document(2, channel_order_code="7"))
    assert (first.status, second.status, second.rule) == ("raised", "waiting", "nothing_written")
    allowed = {**statements, "10_header.sql": f"-- s2s: may write no row\n{statements['10_header.sql']}"}
    erp.write(statements=allowed)
    (second,) = retry(erp, 2)
    assert (second.rule, len(erp.lines())) == ("code_taken", 2)


COMMITS = {
    "a statement that commits": "create table erp_log (x int)",
    "a procedure that commits": "{call log_it()}",
}


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
@pytest.mark.parametrize("how", COMMITS)
def test_what_is_found_after_an_attempt_that_was_undone_waits_for_a_person(any_erp: Erp, how: str) -> None:
    """Half of an order is there, because something committed it: it is never answered as raised."""
    run(any_erp, "alter table erp_line add constraint few check (qty < 2)")
    run(any_erp, "create procedure log_it() begin commit; select 1 as logged; end")
    any_erp.write(statements={"15_log.sql": COMMITS[how]})
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.rule, len(any_erp.orders())) == ("waiting", "refused", 1)
    run(any_erp, "alter table erp_line drop constraint few", "drop table if exists erp_log")
    assert [each.rule for each in retry(any_erp, 1001)] == ["half_raised"]
    assert [each.rule for each in retry(any_erp)] == ["half_raised"], "and without ids it is left alone"
    run(any_erp, "delete from erp_order")
    any_erp.write()
    assert [(each.status, len(any_erp.lines())) for each in retry(any_erp, 1001)] == [("raised", 2)]


def test_half_an_order_is_not_taken_for_a_whole_one_on_purpose_either(erp: Erp) -> None:
    """Whoever wants it raised has not seen that half of it is there."""
    erp.die_at("in the transaction", order_document())
    run(erp, "insert into erp_order (s2s_id, reference, customer) values (1001, 'half', 'C1')")
    assert erp.receive(order_document())[0].rule == "half_raised"
    entry = operations.raise_on_purpose(erp.project, erp.ledgers, 1001, by="Thandi", stop=threading.Event())
    assert (entry.status, entry.rule, len(erp.orders())) == ("waiting", "half_raised", 1)


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
@pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
def test_a_table_that_undoes_nothing_leaves_no_order_that_counts_as_raised(any_erp: Erp, engine: str) -> None:
    """Nor one that is there twice."""
    run(any_erp, f"alter table erp_order engine = {engine}")
    any_erp.write(statements={"20_lines.line.sql": "insert into nowhere values (1)"})
    (entry,) = any_erp.receive(order_document())
    assert (entry.rule, len(any_erp.orders())) == ("refused", 1)
    any_erp.write()
    assert [(each.rule, len(any_erp.orders())) for each in retry(any_erp, 1001)] == [("half_raised", 1)]


CANNOT_FIND = {
    "a column too short": (
        "'#' || substr({{ order.reference }}, 2, 3)",
        "reference = {{ order.reference }}",
        "shorter",
    ),
    "upper": ("upper({{ order.reference }})", "reference = {{ order.reference }}", "upper()"),
    "nothing stored": ("'x'", "reference = {{ order.reference }}", "finds nothing"),
}


@pytest.mark.parametrize("how", CANNOT_FIND)
def test_a_lookup_that_would_not_find_the_order_again_keeps_nothing(erp: Erp, how: str) -> None:
    """After a crash the order would be raised a second time."""
    stored, condition, hint = CANNOT_FIND[how]
    header = STATEMENTS["10_header.sql"].replace("{{ order.reference }}", stored)
    erp.write(statements={"10_header.sql": header, **lookup(erp, condition)})
    (entry,) = erp.receive(order_document(channel_order_code="#order-of-the-shop"))
    assert (entry.status, entry.rule, erp.orders(), erp.lines()) == ("waiting", "lookup_differs", [], [])
    assert hint in entry.reason


def test_a_lookup_that_finds_another_order_beside_it_keeps_nothing(erp: Erp) -> None:
    """As LIKE does: an order's number may be the beginning of another's."""
    erp.write(statements=lookup(erp, "reference like {{ order.reference ~ '%' }}"))
    first, second = erp.receive(order_document(1, channel_order_code="10"), order_document(2, channel_order_code="1"))
    assert (first.status, second.rule, len(erp.orders())) == ("raised", "code_taken", 1)
    erp.write(statements=lookup(erp, "reference like {{ '%' ~ order.reference }}"))
    (third,) = erp.receive(order_document(3, channel_order_code="#10"))
    assert third.status == "raised"
    (fourth,) = erp.receive(order_document(4, channel_order_code="0"))
    assert (fourth.status, fourth.rule, "2 rows" in fourth.reason) == ("waiting", "ambiguous_lookup", True)


def test_a_lookup_that_returns_the_code_in_another_form_keeps_nothing(erp: Erp) -> None:
    """Which of the two Stock2Shop would be told depended on a crash."""
    erp.write(statements={"lookup.sql": STATEMENTS["lookup.sql"].replace("'SO' ||", "'so' ||")})
    (entry,) = erp.receive(order_document())
    assert (entry.rule, "SO1" in entry.reason, "so1" in entry.reason, erp.orders()) == (
        "lookup_differs",
        True,
        True,
        [],
    )


def test_an_order_that_is_found_under_another_code_than_it_was_raised_waits(erp: Erp) -> None:
    """Somebody may have entered it by hand meanwhile, and it may be there twice."""
    erp.die_at("after the commit", order_document())
    run(erp, "update erp_order set id = 5")
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, entry.source_order_code) == ("waiting", "uncertain", None)
    assert "SO1" in entry.reason
    assert "SO5" in entry.reason


def test_a_retry_without_ids_leaves_orders_in_doubt_alone(erp: Erp) -> None:
    """Nobody has looked whether they are there."""
    nothing: dict[str, str | None] = {"lookup.sql": None}
    erp.write(statements=nothing)
    erp.die_at("after the commit", order_document(1))
    erp.receive(order_document(1), order_document(2, line_items=[order_line(sku="NEW")], total=None))
    run(erp, "insert into erp_item values ('NEW', 1)")
    entries = {entry.order_id: entry for entry in retry(erp)}
    assert (entries[1].status, entries[1].rule, entries[2].status) == ("waiting", "uncertain", "raised")
    assert [reference for reference, _ in erp.orders()] == ["#1", "#2"]


def test_a_retry_without_ids_leaves_orders_alone_that_changed_meanwhile(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may raise them, or somebody skip them; the rest is retried all the same."""
    documents = [order_document(number, line_items=[order_line(sku="NEW")], total=None) for number in (1, 2, 3)]
    erp.receive(*documents)
    run(erp, "insert into erp_item values ('NEW', 1)")
    raise_one = pipeline.OrderProcessor.raise_one

    def raise_after_somebody_skipped(processor: Any, ledger: Any, order_id: int) -> Entry:
        if order_id == 1:
            operations.skip_order(erp.project, erp.ledgers, 2)
        return raise_one(processor, ledger, order_id)

    monkeypatch.setattr(pipeline.OrderProcessor, "raise_one", raise_after_somebody_skipped)
    assert {each.order_id: each.status for each in retry(erp)} == {1: "raised", 2: "skipped", 3: "raised"}


def test_a_skipped_order_keeps_its_code_from_no_other(erp: Erp) -> None:
    """It was being raised under it and is not there: the database gives the code to the next one."""
    erp.write(statements={"lookup.sql": None})
    erp.die_at("before the commit", order_document(1))
    assert erp.receive(order_document(1))[0].rule == "uncertain"
    operations.skip_order(erp.project, erp.ledgers, 1)
    (entry,) = erp.receive(order_document(2))
    assert (entry.status, entry.source_order_code) == ("raised", "SO1")


def test_a_code_that_an_order_in_doubt_may_have_is_no_matter_for_a_person(erp: Erp) -> None:
    """A database that counts by what it holds gives the code again; it passes when the doubt is settled."""
    erp.die_at("before the commit", order_document(1))
    (entry,) = erp.receive(order_document(2))
    assert (entry.status, "may be the code of order 1" in entry.reason, erp.orders()) == ("failed", True, [])
    assert {each.order_id: each.status for each in retry(erp)} == {1: "raised", 2: "raised"}
    assert [entry.source_order_code for entry in (erp.entry(1), erp.entry(2))] == ["SO1", "SO2"]


def test_a_process_that_died_before_its_commit_leaves_no_doubt(erp: Erp) -> None:
    """The ledger knows that no commit was sent: what is found then, it did not raise."""
    erp.die_at("in the transaction", order_document())
    run(erp, "insert into erp_order (s2s_id, reference, customer) values (1001, 'by hand', 'C1')")
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule) == ("waiting", "half_raised")
    assert operations.skip_order(erp.project, erp.ledgers, 1001, code="SO1").status == "raised"


def test_a_line_statement_that_writes_no_row_makes_the_order_wait(any_erp: Erp) -> None:
    """Named with its line; a comment in the file says where that may be."""
    lines = (
        "insert into erp_line (order_id, sku, qty, price) select {{ results.header.id }}, code, {{ line.qty }},"
        " {{ line.price }} from erp_item where code = {{ line.sku }}"
    )
    statements: dict[str, str | None] = {"item.sql": None, "20_lines.line.sql": lines}
    any_erp.write(statements=statements)
    document = order_document(line_items=[order_line(), order_line(sku="GONE")], total=None)
    (entry,) = any_erp.receive(document)
    assert (entry.status, entry.rule, any_erp.orders()) == ("waiting", "nothing_written", [])
    assert "orders/20_lines.line.sql for line 2, GONE" in entry.reason
    any_erp.write(statements={**statements, "20_lines.line.sql": f"-- s2s: may write no row\n{lines}"})
    (entry,) = retry(any_erp, 1001)
    assert (entry.status, len(any_erp.lines())) == ("raised", 1)


def test_an_update_that_hits_no_row_makes_the_order_wait(any_erp: Erp) -> None:
    """As of a counter that is not there, or of stock in a warehouse that is none."""
    any_erp.write(statements={"40_stock.line.sql": "update erp_item set on_hand = on_hand - 1 where code = 'x'"})
    (entry,) = any_erp.receive(order_document())
    assert (entry.rule, any_erp.orders()) == ("nothing_written", [])


def test_a_statement_that_only_reads_may_find_nothing(any_erp: Erp) -> None:
    """It is for the next one."""
    any_erp.write(statements={"05_look.sql": "select code from erp_item where code = 'x'"})
    (entry,) = any_erp.receive(order_document())
    assert entry.status == "raised"


def test_a_directive_that_does_not_exist_is_a_fault(erp: Erp) -> None:
    """Found by check, with its file."""
    erp.write(statements={"90_code.sql": f"-- s2s: may touch nothing\n{STATEMENTS['90_code.sql']}"})
    checked = erp.s2s("check", "acme")
    assert (checked.returncode, "There is no directive 'may touch nothing'" in checked.stdout) == (2, True)


def two_machines(erp: Erp, folder: Path) -> Erp:
    """The same client on another machine, with a ledger of its own."""
    other = type(erp)(folder, erp.sandbox, erp.dialect, erp.target, erp.rows)
    other.write('default_customer = "CASH"')
    return other


ISOLATION = {
    "the usual isolation": "",
    "a snapshot": "repeatable read",
    "the strictest isolation": "serializable",
}


@pytest.mark.parametrize("isolation", ISOLATION)
@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_two_machines_never_raise_one_order_at_once(any_erp: Erp, tmp_path: Path, isolation: str) -> None:
    """The second waits for the first in the database, and then finds what it raised; also where it would not see it."""
    drop_unique(any_erp)
    machines = [any_erp, two_machines(any_erp, tmp_path / "other")]
    if level := ISOLATION[isolation]:
        characteristics = "characteristics as " if any_erp.dialect == "postgres" else ""
        for machine in machines:
            machine.write(f'session = ["set session {characteristics}transaction isolation level {level}"]')
    inside = threading.Barrier(2)
    entries: list[Entry] = []

    def slow(name: str) -> None:
        # Whoever is in the transaction waits for the other one, which can never come in.
        if name == "in the transaction":
            with suppress(threading.BrokenBarrierError):
                inside.wait(timeout=2)

    def receive(machine: Erp) -> None:
        entries.extend(machine.receive(order_document()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "crash_point", slow)
        threads = [threading.Thread(target=receive, args=(machine,)) for machine in machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {(entry.status, entry.source_order_code) for entry in entries} == {("raised", "SO1")}
    assert (len(any_erp.orders()), len(any_erp.lines())) == (1, 2)


def test_an_order_in_doubt_is_looked_up_only_after_a_while(any_erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit may still be on its way; a file has no way to it."""
    any_erp.write('default_customer = "CASH"\ncommit_grace = 3600')
    any_erp.die_at("before the commit", order_document())
    (entry,) = any_erp.receive(order_document())
    if any_erp.dialect == "sqlite":
        assert entry.status == "raised"
        return
    assert (entry.status, entry.uncertain, any_erp.orders()) == ("failed", True, [])
    assert "looked up in the database after" in entry.reason
    assert entry.next_attempt_at is not None
    with any_erp.ledger() as ledger:
        assert ledger.list_due() == []
    assert [each.status for each in retry(any_erp, 1001)] == ["failed"], "not by hand either"
    on_purpose = operations.raise_on_purpose(
        any_erp.project, any_erp.ledgers, 1001, by="Thandi", stop=threading.Event()
    )
    assert (on_purpose.status, on_purpose.uncertain) == ("failed", True), "not on purpose either"
    with any_erp.ledger() as ledger:
        ledger._store.write("update orders set commit_sent_at = '2026-01-01 00:00:00.000'", [])
    assert [(each.status, len(any_erp.orders())) for each in retry(any_erp, 1001)] == [("raised", 1)]


@pytest.mark.parametrize("any_erp", ["postgres"], indirect=True)
def test_the_grace_period_begins_when_the_commit_was_given_up(any_erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network may have tried to deliver it until then, a quarter of an hour after it was sent."""
    any_erp.write("commit_grace = 3600")

    def give_up(_writer: Any) -> None:
        with any_erp.ledger() as ledger:
            ledger._store.write("update orders set commit_sent_at = '2026-01-01 00:00:00.000'", [])
        raise WriteError("The connection was lost.", retriable=True, uncertain=True)

    monkeypatch.setattr(DbApiWriter, "commit", give_up)
    (entry,) = any_erp.receive(order_document())
    monkeypatch.undo()
    assert (entry.status, entry.uncertain) == ("failed", True)
    assert [each.status for each in retry(any_erp, 1001)] == ["failed"]
    assert "looked up in the database after" in any_erp.entry().reason


class DelayingProxy:
    """A TCP proxy that can cut its clients off and deliver to the server, seconds later, what they sent last."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._delay = 0.0
        self._loses = False
        self.delivered = threading.Event()
        self._answered = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, *, seconds: float) -> None:
        """Cut off whoever sends next, and deliver what it sent after ``seconds``."""
        self._delay = seconds

    def lose_next(self) -> None:
        """Cut off whoever sends next, and never deliver what it sent."""
        self._loses = True
        self.cut_next(seconds=0.01)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
                threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(16_384):
                if self._delay:
                    seconds, self._delay = self._delay, 0.0
                    client.settimeout(0.2)
                    with suppress(TimeoutError, socket.timeout):  # a driver may send a message in parts
                        while more := client.recv(16_384):
                            data += more
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(seconds)
                    if self._loses:
                        server.shutdown(socket.SHUT_RDWR)
                        break
                    self._answered.clear()
                    server.sendall(data)
                    self._answered.wait(30)  # or the server would see the end before it has done what it was sent
                    self.delivered.set()
                    break
                server.sendall(data)
        server.close()

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(16_384):
                self._answered.set()
                client.sendall(data)
        client.close()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_a_connection_that_is_cut_at_the_commit_leaves_the_order_there_once(
    any_erp: Erp, monkeypatch: pytest.MonkeyPatch, *, arrives: bool
) -> None:
    """Before the commit arrives, or after: the two look the same to whoever sent it."""
    drop_unique(any_erp)
    found = re.search(r"Port=(\d+)", any_erp.target)
    assert found
    with closing(DelayingProxy(int(found[1]))) as proxy:
        any_erp.target = any_erp.target.replace(found[0], f"Port={proxy.port}")
        any_erp.write()
        cut = partial(proxy.cut_next, seconds=0.01) if arrives else proxy.lose_next

        def cut_at_commit(name: str) -> None:
            if name == "before the commit":
                cut()

        monkeypatch.setattr(pipeline, "crash_point", cut_at_commit)
        (entry,) = any_erp.receive(order_document())
        monkeypatch.undo()
        assert (entry.status, entry.uncertain) == ("failed", True)
        if arrives:
            assert proxy.delivered.wait(30)
        (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.reason) == ("raised", "found in the database" if arrives else "")
    assert (len(any_erp.orders()), len(any_erp.lines())) == (1, 2)


@pytest.mark.parametrize("how", ["the lock in the database", "the grace period"])
@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_a_commit_that_arrives_seconds_late_raises_the_order_once(
    any_erp: Erp, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Though its sender sends it again at once: either of two guards is enough."""
    drop_unique(any_erp)
    found = re.search(r"Port=(\d+)", any_erp.target)
    assert found
    with closing(DelayingProxy(int(found[1]))) as proxy:
        any_erp.target = any_erp.target.replace(found[0], f"Port={proxy.port}")
        by_lock = how == "the lock in the database"
        any_erp.write(f"commit_grace = {0 if by_lock else 4}")
        monkeypatch.setattr(
            pipeline, "crash_point", lambda name: proxy.cut_next(seconds=2) if name == "before the commit" else None
        )
        (entry,) = any_erp.receive(order_document())
        monkeypatch.setattr(pipeline, "crash_point", lambda _name: None)
        assert (entry.status, entry.uncertain, any_erp.orders()) == ("failed", True, [])
        if not by_lock:
            monkeypatch.setattr(raise_order, "acquire_order_lock", lambda *_args, **_names: None)
        (entry,) = any_erp.receive(order_document())
        assert entry.status == ("raised" if by_lock else "failed")
        assert proxy.delivered.wait(30)
        wait_until(lambda: any_erp.receive(order_document())[0].status == "raised")
    assert (len(any_erp.orders()), len(any_erp.lines())) == (1, 2)
    assert any_erp.entry().reason == "found in the database"
