"""Orders that come again with other content, that were cancelled, or that Stock2Shop knows to be raised already."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document, order_line, parsed
from support.output import read_result

from engine.orders import operations
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
