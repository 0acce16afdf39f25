"""Orders that come again with other content, that were cancelled, or that Stock2Shop knows to be raised already."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document, order_line, parsed
from support.output import read_result

from engine.orders import operations, pipeline
from engine.orders.corrections import list_corrections

if TYPE_CHECKING:
    from support.erp import Erp


def test_a_correction_of_an_order_that_waits_is_raised(erp: Erp) -> None:
    """Until an order is raised its newest content counts."""
    (entry,) = erp.receive(order_document(line_items=[order_line(sku="")], total=None))
    assert entry.rule == "blank_sku"
    (entry,) = erp.receive(order_document(modified="2026-03-02 10:00:00"))
    assert (entry.status, len(erp.lines())) == ("raised", 2)
    with erp.ledger() as ledger:
        history = [status for _, status, _ in ledger.status_history(1001)]
    assert history == ["received", "waiting", "received", "raising", "raised"]


def test_the_same_content_again_lets_an_order_wait(erp: Erp) -> None:
    """Nothing about it has changed."""
    document = order_document(line_items=[order_line(sku="Z")], total=None)
    erp.receive(document, document)
    with erp.ledger() as ledger:
        assert [status for _, status, _ in ledger.status_history(1001)] == ["received", "raising", "waiting"]


def test_an_older_version_that_arrives_later_is_not_used(erp: Erp) -> None:
    """Queues deliver in any order."""
    newer = order_document(modified="2026-03-02 10:00:00", line_items=[order_line(sku="Z")], total=None)
    (_, entry) = erp.receive(newer, order_document(modified="2026-03-01 10:00:00"))
    assert (entry.status, "older version" in entry.note) == ("waiting", True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01 11:00:00"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:30:00Z"),
        ("2026-03-01 10:00:00", "0000-00-00 00:00:00"),
        ("2026-03-01 10:00:00", ""),
    ],
)
def test_versions_are_told_apart_by_their_times_however_these_are_written(erp: Erp, before: str, after: str) -> None:
    """One that does not say when it was changed is as new as its arrival."""
    erp.receive(order_document(modified=before, line_items=[order_line(sku="Z")], total=None))
    (entry,) = erp.receive(order_document(modified=after, status="cancelled"))
    assert (entry.status, entry.rule) == ("waiting", "cancelled")
    (entry,) = erp.receive(order_document(modified="2026-03-01T11:30:00+02:00"))
    assert entry.rule == ("cancelled" if after[:2] == "20" else "")


def arriving(erp: Erp, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> None:
    """Have a document arrive over another way while an order is being raised, once."""
    documents = [document]

    def arrive(name: str) -> None:
        if name == "in the transaction" and documents:
            arrived = documents.pop()
            with erp.ledger() as ledger:
                ledger.receive(arrived["id"], parsed(arrived), via="serve")

    monkeypatch.setattr(pipeline, "crash_point", arrive)


def test_a_correction_that_arrives_while_an_order_is_raised_in_vain_is_raised(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried at once, as one is that arrives while the order waits already."""
    arriving(erp, monkeypatch, order_document(notes="The second"))
    (entry,) = erp.receive(order_document(line_items=[order_line(sku="Z")], total=None))
    assert (entry.status, entry.note) == ("raised", "Its content changed before it was raised.")
    assert erp.rows("select notes from erp_order") == [("The second",)]
    with erp.ledger() as ledger:
        assert ledger.corrections(1001) == []


def test_the_last_of_several_corrections_counts(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one arrived while the first was being raised, and the third one cancels the order."""
    arriving(erp, monkeypatch, order_document(line_items=[order_line(sku="Y")], total=None))
    (entry,) = erp.receive(order_document(line_items=[order_line(sku="Z")], total=None))
    assert (entry.status, entry.reason[-3:]) == ("waiting", ": Y")
    (entry,) = erp.receive(order_document(status="cancelled"))
    assert (entry.rule, erp.orders()) == ("cancelled", [])


def test_a_correction_that_arrives_while_the_database_is_away_is_what_is_raised(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger says of it stays true."""
    erp.write('transient_errors = ["books"]', statements={"25_books.sql": "select books"})
    arriving(erp, monkeypatch, order_document(notes="The second"))
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.note) == ("failed", "Its content changed before it was raised.")
    (entry,) = erp.receive(order_document(notes="The third"))
    assert entry.status == "failed"
    erp.write()
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.status, entry.note) == ("raised", "Its content changed before it was raised.")
    assert erp.rows("select notes from erp_order") == [("The third",)]


def test_a_cancellation_that_arrives_while_an_order_is_raised_is_said(
    erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is there by then."""
    arriving(erp, monkeypatch, order_document(status="cancelled"))
    (entry,) = erp.receive(order_document())
    assert entry.status == "raised"
    assert "It was cancelled after it was raised" in erp.s2s("orders", "list", "acme").stdout


def test_half_an_order_is_no_reason_to_take_a_correction(erp: Erp) -> None:
    """What is there is of the first version; the ledger says what has changed since."""
    erp.die_at("in the transaction", order_document())
    erp.receive(order_document(notes="The second"))
    assert erp.rows("select notes from erp_order") == [("The second",)]
    document = order_document(1002)
    erp.die_at("in the transaction", document)
    erp.write(statements={"lookup.sql": "select 'SO9' as source_order_code"})
    (entry,) = erp.receive(order_document(1002, notes="The second"))
    assert (entry.status, entry.rule) == ("waiting", "half_raised")
    with erp.ledger() as ledger:
        assert [path for path, _, _ in ledger.corrections(1002)] == ["notes"]


def test_a_cancelled_order_waits_as_cancelled(erp: Erp) -> None:
    """Also where it waited for something else; and it is raised neither by a retry of all nor by its id alone."""
    lines = [order_line(sku="NEW")]
    erp.receive(order_document(line_items=lines, total=None, status="processing"))
    cancelled = order_document(line_items=lines, total=None, status="Cancelled", modified="2026-03-02 10:00:00")
    (entry,) = erp.receive(cancelled)
    assert (entry.status, entry.rule) == ("waiting", "cancelled")
    for ids in ((), (1001,)):
        (entry,) = operations.retry_orders(erp.project, erp.ledgers, ids, stop=threading.Event())
        assert (entry.rule, erp.orders()) == ("cancelled", [])


@pytest.mark.parametrize("cancelled", [{"state": "canceled"}, {"status": "refunded"}, {"instruction": "cancel_order"}])
def test_an_order_that_arrives_cancelled_waits(erp: Erp, cancelled: dict[str, Any]) -> None:
    """In any of the words."""
    (entry,) = erp.receive(order_document(**cancelled))
    assert (entry.rule, erp.orders()) == ("cancelled", [])


def test_a_cancelled_order_is_raised_where_somebody_answers_for_it(erp: Erp) -> None:
    """The ledger says who."""
    erp.receive(order_document(status="cancelled"))
    ran = erp.s2s("orders", "raise", "acme", "1001", "--by", "Thandi")
    assert (ran.returncode, erp.entry().status, len(erp.orders())) == (0, "raised", 1)
    assert "to be raised on purpose, by Thandi" in erp.s2s("orders", "show", "acme", "1001").stdout


def test_a_correction_after_raising_is_shown_by_field(erp: Erp) -> None:
    """What was raised stays; values are about a person, and shown only with --reveal."""
    erp.receive(order_document())
    lines = [{**line, "qty": 9} if line["sku"] == "A" else line for line in order_document()["line_items"]]
    (entry,) = erp.receive(order_document(notes="Ring twice", line_items=lines, modified="2026-03-02 10:00:00"))
    assert (entry.status, len(erp.orders()), erp.lines()[0]) == ("raised", 1, ("A", 2.0, 10.5))
    shown = erp.s2s("orders", "show", "acme", "1001").stdout
    assert "changed after it was raised: notes\n" in shown
    assert "changed after it was raised: line_items[0].qty\n" in shown
    assert "Ring twice" not in shown
    with erp.ledger() as ledger:
        assert ("notes", "Leave at the gate", "Ring twice") in ledger.corrections(1001)
    listed = read_result(erp.s2s("orders", "show", "acme", "1001", "--output", "json").stdout)
    assert listed["corrections"] == ["line_items[0].qty", "notes"]


def test_a_correction_after_skipping_is_said_to_be_one(erp: Erp) -> None:
    """And is what is raised where somebody thinks better of it."""
    erp.receive(order_document(status="cancelled"))
    operations.skip_order(erp.project, erp.ledgers, 1001)
    erp.receive(order_document(notes="Ring twice"))
    shown = erp.s2s("orders", "show", "acme", "1001").stdout
    assert "It arrived with other content after it was skipped" in shown
    assert "changed after it was skipped: notes\n" in shown
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.status, erp.rows("select notes from erp_order")) == ("raised", [("Ring twice",)])


def test_an_order_that_was_raised_elsewhere_while_it_waited_is_not_raised_again(erp: Erp) -> None:
    """Somebody entered it by hand, and Stock2Shop sends it again with its code; nothing else of it has changed."""
    document = order_document(line_items=[order_line(sku="NEW")], total=None)
    assert erp.receive(document)[0].rule == "unknown_sku"
    sources = [{"source_id": 57, "source_order_code": "HAND-1", "source_customer_code": "C1"}]
    (entry,) = erp.receive({**document, "sources": sources})
    assert (entry.status, entry.source_order_code, erp.orders()) == ("raised", "HAND-1", [])


@pytest.mark.parametrize("lookup", [True, False])
@pytest.mark.parametrize("boundary", ["in the transaction", "before the commit"])
def test_a_correction_of_an_order_that_turns_out_not_to_be_there_is_raised(
    erp: Erp, boundary: str, *, lookup: bool
) -> None:
    """Its process died, and whether it was raised was unknown when the correction came."""
    erp.write('default_customer = "CASH"', statements={} if lookup else {"lookup.sql": None})
    erp.die_at(boundary, order_document())
    (entry,) = erp.receive(order_document(line_items=[order_line(qty=9)], total=None))
    if not lookup:
        assert (entry.status, entry.rule) == ("waiting", "uncertain")
        (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.status, erp.lines()) == ("raised", [("A", 9.0, 10.0)])
    with erp.ledger() as ledger:
        assert ledger.corrections(1001) == []


def test_an_order_that_was_cancelled_while_it_was_in_doubt_is_not_raised(erp: Erp) -> None:
    """Unless it is there already: then that is said."""
    erp.die_at("after the commit", order_document(2))
    erp.die_at("before the commit", order_document(1))
    first, second = erp.receive(order_document(1, status="cancelled"), order_document(2, status="cancelled"))
    assert (first.status, first.rule, second.status) == ("waiting", "cancelled", "raised")
    assert second.note.startswith("It was cancelled after it was raised")
    assert erp.orders() == [("#2", "C1")]
    assert "It was cancelled after it was raised" in erp.s2s("orders", "list", "acme").stdout


def test_what_stock2shop_keeps_for_itself_is_no_correction() -> None:
    """Nor are other ways to write the same."""
    before = parsed(order_document(sources=[], modified="1", extra=None))
    after = parsed(order_document(sources=[{"source_order_code": "SO1"}], modified="2", total="79.150"))
    assert list_corrections({**before, "total": after["total"]}, after) == []


def test_an_amount_that_is_written_in_another_way_is_no_correction(erp: Erp) -> None:
    """A queue writes 10.5 where a request writes 10.50; codes are texts, whatever they look like."""
    document = order_document(channel_order_code="1.10")
    erp.receive(document)
    line = {**document["line_items"][0], "price": "10.500", "qty": 2.0}
    again = {**document, "line_items": [line, document["line_items"][1]], "channel_id": "12", "total": "79.150"}
    (entry,) = erp.receive(again)
    assert entry.note == ""
    line["sku"] = "0A"
    (entry,) = erp.receive({**again, "channel_order_code": "1.1"})
    assert entry.note != ""
    with erp.ledger() as ledger:
        assert [path for path, _, _ in ledger.corrections(1001)] == ["channel_order_code", "line_items[0].sku"]


def test_an_order_that_is_at_this_source_already_is_answered_and_not_raised(erp: Erp) -> None:
    """Stock2Shop knows its code: from the agent before, by hand, or from a ledger that was lost."""
    sources = [{"source_id": 57, "source_order_code": "SO777", "source_customer_code": "C1"}]
    (entry,) = erp.receive(order_document(sources=sources))
    assert (entry.status, entry.source_order_code, erp.orders()) == ("raised", "SO777", [])
    (entry,) = erp.receive(order_document(1002, sources=sources))
    assert (entry.status, entry.rule, erp.orders()) == ("waiting", "code_taken", [])
    elsewhere = [{"source_id": 8, "source_order_code": "SO9"}, {"source_id": 57, "source_customer_code": "C1"}]
    (entry,) = erp.receive(order_document(1003, sources=elsewhere))
    assert (entry.status, entry.source_order_code) == ("raised", "SO1")


def test_a_source_that_is_named_twice_is_known_by_what_either_entry_says(erp: Erp) -> None:
    """One of them may have the customer, and the other one the order."""
    sources = [{"source_id": 57, "source_customer_code": "C1"}, {"source_id": 57, "source_order_code": "SO777"}]
    (entry,) = erp.receive(order_document(sources=sources))
    assert (entry.source_order_code, entry.source_customer_code, erp.orders()) == ("SO777", "C1", [])
