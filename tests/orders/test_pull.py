"""Orders that are asked for in Stock2Shop's queue."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.erp import order_document, order_line

from engine.errors import OrderError
from engine.orders.pull import pull_orders

if TYPE_CHECKING:
    from support.erp import Erp


def test_orders_are_pulled_raised_and_answered(erp: Erp) -> None:
    """Through the queue, as far as that can be guessed; once each."""
    for number in (1, 2):
        erp.sandbox.place_order(order_document(number))
    found = pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert [(entry.order_id, entry.status) for entry in found] == [(1, "answered"), (2, "answered")]
    wanted = [{"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}]
    assert erp.sandbox.orders()[1]["sources"] == wanted
    assert pull_orders(erp.project, erp.ledgers, stop=threading.Event()) == []
    assert len(erp.orders()) == 2


def test_orders_that_wait_in_the_queue_hide_no_newer_ones(erp: Erp) -> None:
    """Pages are asked for until one brings nothing new; also where Stock2Shop knows no pages."""
    erp.write("[orders.pull]\nlimit = 2")
    for number in range(1, 6):
        sku = "Z" if number < 5 else "A"
        lines = [order_line(sku=sku)]
        erp.sandbox.place_order(order_document(number, line_items=lines, total=None))
    found = pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert [(entry.order_id, entry.status) for entry in found] == [
        *((number, "waiting") for number in range(1, 5)),
        (5, "answered"),
    ]
    erp.sandbox.place_order(order_document(6))
    erp.write('[orders.pull]\nlimit = 2\noffset = "mode"')
    found = pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert [entry.order_id for entry in found] == [1, 2]


def test_a_document_that_cannot_be_read_stops_no_other(erp: Erp) -> None:
    """It is named when all others are raised and answered."""
    erp.sandbox.place_order({**order_document(), "id": 0})
    erp.sandbox.place_order(order_document(5))
    with pytest.raises(OrderError, match="1 of Stock2Shop's orders"):
        pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert erp.entry(5).status == "answered"


def test_an_answer_that_is_refused_keeps_no_other_from_being_given(erp: Erp) -> None:
    """It is given again with the next pull."""
    erp.receive(order_document(1), via="pull")
    erp.sandbox.place_order(order_document(2))
    with pytest.raises(OrderError, match="1 of Stock2Shop's orders"):
        pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert (erp.entry(1).status, erp.entry(2).status) == ("raised", "answered")
    erp.sandbox.place_order(order_document(1))
    pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert erp.entry(1).status == "answered"


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("via", ["serve", "import"])
def test_an_order_that_came_on_another_way_is_answered_where_the_queue_has_it(
    erp: Erp, via: str, *, answered: bool
) -> None:
    """Who sent it may have gone before the answer; once is enough, whatever the queue gives afterwards."""
    erp.receive(order_document(1), order_document(2), via=via)
    with erp.ledger() as ledger:
        if answered:
            ledger.mark_answered(1)
    for _ in range(2):
        erp.sandbox.place_order(order_document(1))
        pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    with erp.ledger() as ledger:
        told = [reason for _, status, reason in ledger.status_history(1) if status == "answered"]
    assert told == [*([""] if answered else []), "by pull"]
    assert (erp.entry(1).via, erp.entry(2).status, len(erp.orders())) == ("pull", "raised", 2)
