"""Orders are told apart by Stock2Shop's id; documents of a channel, which have none, by the channel and its number."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document, order_line

from engine.errors import OrderError
from engine.orders import operations
from engine.orders.identity import is_derived
from engine.orders.pull import pull_orders
from engine.orders.receiver import Receiver

if TYPE_CHECKING:
    from support.erp import Erp


def channel_order(**changes: Any) -> dict[str, Any]:
    """A document as Stock2Shop's public ChannelOrder: github.com/stock2shop/share, tests/mocks/ChannelOrder.json."""
    address = {"address1": "1 Long Street", "city": "Cape Town", "country_code": "ZA", "first_name": "Some"}
    return {
        "channel_order_code": "WEB-1",
        "channel_id": 12,
        "notes": "notes-1",
        "total_discount": 0,
        "ordered_date": "1970-01-01 00:00:00",
        "instruction": "add_order",
        "params": {"param-1": "param-1"},
        "customer": {"channel_customer_code": "7", "email": "someone@example.com", "accepts_marketing": True},
        "line_items": [
            {
                "barcode": "barcode",
                "price": 35000,
                "qty": 1,
                "sku": "A",
                "title": "title-1",
                "grams": 10,
                "total_discount": 0,
                "tax_lines": [{"price": 5250, "rate": 15, "title": "title-1", "code": "taxed"}],
            }
        ],
        "shipping_lines": [
            {
                "price": 100,
                "title": "Next Day",
                "tax_lines": [{"price": 15, "rate": 15, "title": "VAT", "code": "taxed"}],
            }
        ],
        "meta": [{"key": "key-1", "value": "value-1"}],
        "shipping_address": address,
        "billing_address": address,
        **changes,
    }


def system_order(**changes: Any) -> dict[str, Any]:
    """The same order as Stock2Shop has it."""
    return order_document(70001, channel_order_code="WEB-1", **changes)


def test_a_document_of_a_channel_is_raised_once(any_erp: Erp) -> None:
    """However often it comes; its shipping and its taxes are read as those of any other."""
    any_erp.write('default_customer = "CASH"\nshipping_item = "SHIP"\nprices = "including"')
    first, second = any_erp.receive(channel_order(), channel_order(notes="again"))
    assert (first.status, first.order_id, first.source_order_code) == ("raised", second.order_id, "SO1")
    assert is_derived(first.order_id)
    assert (any_erp.orders(), any_erp.lines()) == ([("WEB-1", "CASH")], [("A", 1.0, 40250.0), ("SHIP", 1.0, 115.0)])
    assert any_erp.rows("select s2s_id from erp_order") == [(first.order_id,)]


def test_stock2shops_own_sample_of_an_order_is_raised_as_it_is(any_erp: Erp) -> None:
    """Its totals say shipping in three ways: github.com/stock2shop/share, tests/mocks/SystemOrder.json."""
    any_erp.write('default_customer = "CASH"\nshipping_item = "SHIP"')
    vat = {"rate": 15, "title": "VAT", "code": "taxed"}
    line = {
        "qty": 1,
        "grams": 10,
        "total_discount": 0,
        "source_id": 57,
        "fulfillments": [],
        "price_display": "35 000.00",
    }
    document = {
        "id": 1,
        "created": "1970-01-01 00:00:00",
        "modified": "1970-01-01 00:00:00",
        "channel_id": 1,
        "channel_order_code": "channel_order_code-1",
        "client_id": 21,
        "state": "saved",
        "status": "processing",
        "total_discount": 0,
        "line_item_sub_total": 0,
        "line_item_tax": 0,
        "shipping_sub_total": 0,
        "shipping_tax": 15,
        "shipping_total": 100,
        "sub_total": 45000,
        "tax": 6765,
        "total": 51865,
        "customer": {"email": "email-1", "id": 1, "meta": [{"key": "k", "value": "v"}], "user": {"segments": []}},
        "sources": [{"source_id": 57, "source_order_code": None, "source_customer_code": "C1"}],
        "line_items": [
            {**line, "sku": "A", "price": 35000, "tax_lines": [{**vat, "price": 5250}]}
            | {"sub_total": 35000, "tax": 5250, "tax_per_unit": 5250, "total": 40250},
            {**line, "sku": "B", "price": 10000, "tax_lines": [{**vat, "price": 1500}]}
            | {"sub_total": 10000, "tax": 1500, "tax_per_unit": 1500, "total": 11500},
        ],
        "shipping_lines": [
            {"price": 100, "title": "Next Day", "total_discount": 0, "tax_lines": [{**vat, "price": 15}]}
            | {"sub_total": 100, "tax": 15, "tax_per_unit": 15, "total": 115}
        ],
        "history": [{"instruction": "sync_order"}, {"instruction": "unpaid_order"}],
        "fulfillments": [{"id": 1, "line_items": [{"sku": "sku-1", "qty": 1, "fulfilled_qty": 0}]}],
        "total_display": "51 865.00",
    }
    (entry,) = any_erp.receive({"system_order": document})
    assert (entry.status, entry.reason) == ("raised", "")
    assert any_erp.lines() == [("A", 1.0, 35000.0), ("B", 1.0, 10000.0), ("SHIP", 1.0, 100.0)]


def test_a_connectors_document_is_raised_once_it_names_its_channel(erp: Erp) -> None:
    """It writes the price with tax where the tax belongs: github.com/stock2shop/connector, orderDTO1.json."""
    line = {"barcode": None, "grams": 1, "title": "111_111111"}
    tax = {"code": None, "title": "111_111111", "rate": 15}
    document: dict[str, Any] = {
        "channel_order_code": "111111111",
        "notes": "",
        "total_discount": None,
        "state": None,
        "instruction": "",
        "meta": [],
        "params": [],
        "customer": {"accepts_marketing": False, "email": "someone@example.com", "channel_customer_code": None},
        "line_items": [
            {**line, "sku": "A", "price": 200, "qty": 1, "total_discount": 0, "tax_lines": [{**tax, "price": 230}]},
            {**line, "sku": "B", "price": 270, "qty": 2, "total_discount": 30, "tax_lines": [{**tax, "price": 345}]},
        ],
        "shipping_lines": [{"price": None, "title": None, "tax_lines": []}],
    }
    with pytest.raises(OrderError, match="channel_id with a channel_order_code"):
        erp.receive({**document, "channel_id": None})
    (entry,) = erp.receive({**document, "channel_id": 12})
    assert (entry.status, entry.reason) == ("raised", "")
    assert erp.lines() == [("A", 1.0, 200.0), ("B", 2.0, 255.0)]


def test_one_number_of_two_channels_is_two_orders(erp: Erp) -> None:
    """And a number that is written as a number or as a text is one."""
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as connection:
        connection.execute("drop table erp_order")
        connection.execute(
            "create table erp_order (id integer primary key, s2s_id, reference, customer, notes, placed, warehouse)"
        )
    found = erp.receive(
        channel_order(channel_order_code=1001),
        channel_order(channel_order_code="1001", channel_id="12"),
        channel_order(channel_order_code="1001", channel_id=13),
    )
    assert [entry.source_order_code for entry in found] == ["SO1", "SO1", "SO2"]


def test_a_process_that_died_finds_a_channels_order_again(erp: Erp) -> None:
    """By the id that was derived: the same one in every process, and without the ledger."""
    erp.die_at("after the commit", channel_order())
    (entry,) = erp.receive(channel_order())
    assert (entry.status, entry.reason, len(erp.orders())) == ("raised", "found in the database", 1)
    for path in erp.project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    (entry,) = erp.receive(channel_order())
    assert (entry.status, entry.reason, len(erp.orders())) == ("raised", "found in the database", 1)


@pytest.mark.parametrize("missing", [{"channel_id": None}, {"channel_order_code": ""}, {"channel_id": "web"}])
def test_a_document_that_names_no_order_is_refused(erp: Erp, missing: dict[str, Any]) -> None:
    """As a connector's without its channel: two of them may have one number."""
    with pytest.raises(OrderError, match="channel_id with a channel_order_code"):
        erp.receive(channel_order(**missing))


@pytest.mark.parametrize("first", ["with the id", "without"])
def test_an_order_that_arrives_with_an_id_and_without_is_raised_once(erp: Erp, first: str) -> None:
    """The second waits, and names the first."""
    documents = [system_order(), channel_order()]
    one, other = erp.receive(*(documents if first == "with the id" else reversed(documents)))
    assert (one.status, other.status, other.rule, len(erp.orders())) == ("raised", "waiting", "arrived_twice", 1)
    assert f"it is order {one.order_id}, raised as SO1" in other.reason
    assert [
        entry.status for entry in operations.retry_orders(erp.project, erp.ledgers, (), stop=threading.Event())
    ] == ["waiting"]
    skipped = operations.skip_order(erp.project, erp.ledgers, other.order_id, code="SO1")
    assert (skipped.status, len(erp.orders())) == ("raised", 1)


def test_an_order_that_waits_for_its_own_sake_is_raised_though_its_twin_came_later(erp: Erp) -> None:
    """The twin waits because of it, and not the other way round."""
    lines = [order_line(sku="NEW")]
    one, other = erp.receive(system_order(line_items=lines, total=None), channel_order())
    assert (one.rule, other.rule) == ("unknown_sku", "arrived_twice")
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
        connection.execute("insert into erp_item values ('NEW', 1)")
    (one,) = operations.retry_orders(erp.project, erp.ledgers, (one.order_id,), stop=threading.Event())
    assert (one.status, len(erp.orders())) == ("raised", 1)


def test_two_orders_that_only_look_like_one_are_raised_where_somebody_answers_for_it(erp: Erp) -> None:
    """The ledger keeps the name."""
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as connection:
        connection.execute("drop table erp_order")
        connection.execute(
            "create table erp_order (id integer primary key, s2s_id, reference, customer, notes, placed, warehouse)"
        )
    _, other = erp.receive(system_order(), channel_order())
    entry = operations.raise_on_purpose(erp.project, erp.ledgers, other.order_id, by="Thandi", stop=threading.Event())
    assert (entry.status, entry.approved_by, len(erp.orders())) == ("raised", "Thandi", 2)


def test_orders_of_a_ledger_of_before_are_known_by_their_channel(erp: Erp) -> None:
    """It did not note the channel in a column of its own."""
    erp.receive(system_order())
    path = erp.project.state.with_name("acme.orders.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("drop index orders_channel_key")
        connection.execute("drop index orders_received")
        connection.execute("alter table orders drop column channel_key")
        for table in ("order_origin", "former_orders", "former_transitions"):
            connection.execute(f"drop table {table}")
        connection.execute("pragma user_version = 4")
    (entry,) = erp.receive(channel_order())
    assert (entry.rule, len(erp.orders())) == ("arrived_twice", 1)


def test_the_newest_orders_are_those_that_arrived_last(erp: Erp) -> None:
    """Whichever id they have."""
    erp.receive(channel_order(), order_document(1))
    with erp.ledger() as ledger:
        ledger._store.write("update orders set received_at = '2026-01-01' where order_id > 1", [])
        assert [entry.order_id for entry in ledger.list_newest(limit=1)] == [1]
        assert [entry.order_id for entry in ledger.list_newest(status="raised", limit=1)] == [1]


def test_a_receiver_answers_a_channels_document(erp: Erp) -> None:
    """With the code, as any other."""
    with closing(Receiver(erp.project, erp.ledgers)) as receiver:
        reply = receiver.receive(json.dumps(channel_order()).encode())
    assert (reply.status, reply.body["source_order_code"]) == (200, "SO1")


def test_a_queue_gives_no_order_without_an_id(erp: Erp) -> None:
    """Stock2Shop could not be answered for it."""
    erp.sandbox.place_order(order_document(1))
    erp.sandbox.store._orders[1]["data"] = channel_order()
    with pytest.raises(OrderError, match="no id"):
        pull_orders(erp.project, erp.ledgers, stop=threading.Event())
    assert erp.orders() == []
