"""Orders are raised in the database with their lines, or wait with their reason."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document, order_line

from engine.orders import operations
from engine.orders.rules import RULES

if TYPE_CHECKING:
    from support.erp import Erp


def test_an_order_is_raised_with_its_lines_and_answered_with_its_code(any_erp: Erp) -> None:
    """In one transaction, on every kind of database."""
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.source_order_code, entry.source_customer_code) == ("raised", "SO1", "C1")
    assert any_erp.orders() == [("#1001", "C1")]
    assert any_erp.lines() == [("A", 2.0, 10.5), ("B", 1.0, 5.0)]


def test_an_order_has_nothing_of_the_session_that_the_one_before_had(any_erp: Erp) -> None:
    """Its header writes nothing: the last identity of the session would put its lines under the order before."""
    last = {"sqlite": "last_insert_rowid()", "mysql": "last_insert_id()", "postgres": "currval('erp_order_id_seq')"}
    header = (
        "-- s2s: may write no row\ninsert into erp_order (s2s_id, reference, customer)"
        " select {{ order.id }}, {{ order.reference }}, code from erp_customer where code = {{ order.notes }}"
    )
    lines = "insert into erp_line (order_id, sku, qty) values ({{ results.last.id }}, {{ line.sku }}, {{ line.qty }})"
    any_erp.write(
        statements={
            **dict.fromkeys(("lookup.sql", "30_shipping.shipping.sql")),
            "10_header.sql": header,
            "15_last.sql": f"select {last[any_erp.dialect]} as id",
            "20_lines.line.sql": lines,
            "90_code.sql": "select {{ order.reference }} as source_order_code",
        }
    )
    any_erp.receive(order_document(1, notes="C1"), order_document(2, notes="nobody"))
    assert any_erp.rows("select sku from erp_line where order_id = 1 order by sku") == [("A",), ("B",)]


def test_a_header_that_writes_two_rows_is_not_one_order_without_a_word(any_erp: Erp) -> None:
    """Two codes are refused. Without codes the order says that there may be two: no lookup counts them."""
    header = "insert into erp_order (s2s_id, customer) select {{ order.id }}, code from erp_customer where code > ''"
    silent: dict[str, str | None] = dict.fromkeys(("lookup.sql", "20_lines.line.sql", "30_shipping.shipping.sql"))
    code = {"90_code.sql": "select {{ order.reference }} as source_order_code"}
    any_erp.write(statements={**silent, "10_header.sql": header, **code})
    (entry,) = any_erp.receive(order_document(1))
    said = "orders/10_header.sql wrote or returned 2 rows, and there is no lookup.sql that would see two orders."
    assert (entry.status, entry.note) == ("raised", said)
    returning = "" if any_erp.dialect == "mysql" else f"{header} returning id as source_order_code"
    codes = returning or "select id as source_order_code from erp_order"
    any_erp.write(statements={**silent, "10_header.sql": codes, "90_code.sql": None})
    (entry,) = any_erp.receive(order_document(2))
    assert (entry.status, entry.rule, len(any_erp.orders())) == ("waiting", "ambiguous_code", 2)


def test_the_same_order_is_raised_once_however_often_it_comes(any_erp: Erp) -> None:
    """And answered the same each time."""
    entries = any_erp.receive(*[order_document()] * 10)
    assert {(entry.status, entry.source_order_code) for entry in entries} == {("raised", "SO1")}
    assert len(any_erp.orders()) == 1


def test_an_order_that_comes_again_with_other_content_stays_as_it_was(erp: Erp) -> None:
    """That is noted, because somebody may have to look."""
    erp.receive(order_document(), order_document(notes="Other notes"))
    assert erp.rows("select notes from erp_order") == [("Leave at the gate",)]
    assert "other content" in erp.entry().note


def test_an_order_that_the_database_has_is_found_not_raised(any_erp: Erp) -> None:
    """Though the ledger was lost."""
    any_erp.receive(order_document())
    for path in any_erp.project.state.parent.glob("*.orders.sqlite*"):
        path.unlink()
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.source_order_code, len(any_erp.orders())) == ("raised", "SO1", 1)


BROKEN = [
    ("no_lines", {"line_items": []}, ""),
    ("blank_sku", {"line_items": [order_line(sku=" ")]}, ""),
    ("blank_sku", {"line_items": [order_line(sku=None)]}, ""),
    ("unknown_sku", {"line_items": [order_line(sku="Z")]}, ""),
    ("bad_quantity", {"line_items": [order_line(qty=0)]}, ""),
    ("bad_quantity", {"line_items": [order_line(qty=-1)]}, ""),
    ("bad_quantity", {"line_items": [order_line(qty=None)]}, ""),
    ("repeated_sku", {"line_items": [order_line(), order_line()]}, 'repeated_skus = "refuse"'),
    ("foreign_line", {"line_items": [order_line(source_id=58)]}, ""),
    ("unknown_channel", {"channel_id": 99}, "known_channels_only = true\nchannels = { 12 = {} }"),
    ("no_customer", {"sources": []}, ""),
    ("unknown_customer", {"sources": [{"source_id": 57, "source_customer_code": "C9"}]}, ""),
    ("totals_differ", {"total": 80}, ""),
    ("short_stock", {"line_items": [order_line(sku="B", qty=2)]}, 'stock = "refuse"'),
    ("unreadable", {"line_items": [order_line(price="10,50")]}, ""),
    ("unreadable", {"line_items": "A"}, ""),
    ("unreadable", {"created": "yesterday"}, ""),
    ("unreadable", {"notes": {"a": 1}}, ""),
    ("unreadable", {"line_items": [order_line(price=1e60)]}, ""),
]


@pytest.mark.parametrize(("rule", "changes", "config"), BROKEN)
def test_an_order_that_breaks_a_rule_waits_with_its_reason(
    erp: Erp, rule: str, changes: dict[str, Any], config: str
) -> None:
    """Nothing of it is in the database; the reason is in words."""
    erp.write(config)
    changed = order_document(**changes) if "total" in changes else order_document(**changes, total=None)
    (entry,) = erp.receive(changed)
    assert (entry.status, entry.rule) == ("waiting", rule)
    assert entry.reason.startswith(RULES[rule].reason)
    assert erp.orders() == []


def test_every_rule_has_a_test() -> None:
    """A rule that nobody broke is a rule that nobody knows."""
    elsewhere = {
        "no_code",
        "ambiguous_code",
        "refused",
        "uncertain",
        "held",
        "nothing_written",
        "template",
        "lookup_differs",
    }
    elsewhere |= {"ambiguous_lookup", "code_taken", "half_raised", "cancelled", "no_price", "arrived_twice"}
    elsewhere |= {"ambiguous_customer", "no_document"}
    assert {rule for rule, _, _ in BROKEN} | elsewhere == set(RULES)


def test_a_waiting_order_is_raised_when_its_cause_is_fixed(erp: Erp) -> None:
    """By retrying it; its story tells both."""
    erp.receive(order_document(line_items=[order_line(sku="NEW")], total=None))
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as connection:
        connection.execute("insert into erp_item values ('NEW', 1)")
        connection.commit()
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (), stop=threading.Event())
    assert entry.status == "raised"
    with erp.ledger() as ledger:
        told = [standing for _, standing, _ in ledger.status_history(1001)]
    assert told == ["received", "raising", "waiting", "received", "raising", "raised"]


def test_a_constraint_that_is_violated_is_not_tried_again(any_erp: Erp) -> None:
    """The order waits, without its values in the reason."""
    any_erp.write(statements={"lookup.sql": None})
    any_erp.receive(order_document())
    (entry,) = any_erp.receive(order_document(1002, channel_order_code="#1001"))
    assert (entry.status, entry.rule, entry.attempts) == ("waiting", "refused", 0)
    assert "#1001" not in entry.reason


def test_an_order_without_a_customer_takes_the_default(erp: Erp) -> None:
    """The channel's own one first."""
    erp.receive(order_document(sources=[]))
    erp.write('default_customer = "CASH"\nchannels = { 12 = { customer = "C1", warehouse = "JHB" } }')
    erp.receive(order_document(1002, sources=[]))
    assert erp.orders() == [("#1001", "CASH"), ("#1002", "C1")]
    assert erp.rows("select warehouse from erp_order order by id") == [(None,), ("JHB",)]


def test_a_missing_customer_is_made_where_the_project_wants_that(any_erp: Erp) -> None:
    """In the same transaction: an order that fails leaves no customer behind."""
    any_erp.write("create_customer = true")
    new = [{"source_id": 57, "source_customer_code": "C9"}]
    any_erp.receive(order_document(sources=new, line_items=[order_line(sku="Z")], total=None))
    assert any_erp.rows("select code from erp_customer where code = 'C9'") == []
    any_erp.receive(order_document(1002, sources=new))
    assert any_erp.rows("select name from erp_customer where code = 'C9'") == [("One",)]
    assert any_erp.orders() == [("#1002", "C9")]


def test_shipping_is_a_line_where_it_has_an_item(erp: Erp) -> None:
    """Else it is left out."""
    erp.write('shipping_item = "SHIP"')
    erp.receive(order_document())
    assert ("SHIP", 1.0, 50.0) in erp.lines()


def test_prices_tax_codes_and_dates_are_as_the_project_says(erp: Erp) -> None:
    """Including tax, by the database's own codes, in the client's time zone."""
    erp.write('prices = "including"\ntax_codes = { taxed = "1", exempt = "0" }\ntimezone = "Africa/Johannesburg"')
    erp.receive(order_document())
    assert erp.lines() == [("A", 2.0, 12.075), ("B", 1.0, 5.0)]
    assert erp.rows("select tax_code from erp_line") == [("1",), ("0",)]
    assert erp.rows("select placed from erp_order") == [("2026-03-02 00:30:00",)]


def test_a_repeated_sku_is_added_up_where_the_project_wants_that(erp: Erp) -> None:
    """With one price; with two prices it stays two lines."""
    erp.write('repeated_skus = "merge"')
    erp.receive(order_document(line_items=[order_line(qty=2), order_line(qty=3), order_line(price=9)], total=None))
    assert erp.lines() == [("A", 5.0, 10.0), ("A", 1.0, 9.0)]


def test_lines_of_other_tax_rates_are_not_added_up(erp: Erp) -> None:
    """The rate of one of them would hold for both."""
    line = "insert into erp_line (sku, qty, price) values ({{ line.sku }}, {{ line.qty }}, {{ line.tax_rate }})"
    erp.write('repeated_skus = "merge"', statements={"20_lines.line.sql": line})
    lines = [order_line(qty=qty, tax_lines=[{"rate": rate}]) for qty, rate in ((1, 15), (2, 0), (4, 15))]
    erp.receive(order_document(line_items=lines, total=None))
    assert erp.lines() == [("A", 5.0, 15.0), ("A", 2.0, 0.0)]


def test_short_stock_marks_the_line_as_a_backorder(erp: Erp) -> None:
    """Where the project wants that."""
    erp.write('stock = "backorder"')
    erp.receive(order_document(line_items=[order_line(sku="B", qty=2), order_line()], total=None))
    assert erp.rows("select sku, backorder from erp_line") == [("B", "yes"), ("A", "no")]


BY_NAME: dict[str, str | None] = {
    "find_customer.sql": "select code as source_customer_code from erp_customer where name = {{ customer.last_name }}"
}


def test_a_customer_without_a_code_is_found_by_what_is_known(erp: Erp) -> None:
    """By name here, by e-mail in most shops; who is not found takes the default, or waits."""
    erp.write(statements=BY_NAME)
    stranger = {"email": "x@example.com", "last_name": "Else"}
    erp.receive(order_document(sources=[]), order_document(1002, sources=[], customer=stranger))
    assert (erp.entry().source_customer_code, erp.entry(1002).rule) == ("C1", "no_customer")
    erp.write('default_customer = "CASH"', statements=BY_NAME)
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1002,), stop=threading.Event())
    assert entry.source_customer_code == "CASH"


def test_a_customer_who_may_be_one_of_two_is_not_guessed(erp: Erp) -> None:
    """As where two have one e-mail address; two rows that name one customer are one."""
    find = "select code as source_customer_code from erp_customer"
    erp.write(statements={"find_customer.sql": find})
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, erp.orders()) == ("waiting", "ambiguous_customer", [])
    assert "C1, CASH" in entry.reason
    erp.write(statements={"find_customer.sql": f"{find} where code = 'C1' union all {find} where code = 'C1'"})
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.status, erp.orders()) == ("raised", [("#1001", "C1")])


def test_a_customer_who_is_found_without_a_code_is_none(erp: Erp) -> None:
    """The column has another name, or the customer has no code there yet."""
    header = "insert into erp_order (s2s_id, customer) values ({{ order.id }}, coalesce({{ order.customer_code }}, ''))"
    found = {"find_customer.sql": "select name from erp_customer where code = 'C1'"}
    erp.write(statements={**found, "10_header.sql": f"{header} returning id"})
    (entry,) = erp.receive(order_document(sources=[]))
    assert (entry.rule, "find_customer.sql returned a row without" in entry.reason) == ("no_customer", True)
    (entry,) = erp.receive(order_document(2))
    assert (entry.status, entry.source_customer_code) == ("raised", "C1")


def test_a_customer_who_is_not_made_makes_the_order_wait(erp: Erp) -> None:
    """A statement that writes must write something, this one too."""
    make = "insert into erp_customer select {{ customer.code }}, 'x' where 1 = 0"
    erp.write("create_customer = true", statements={"customer.sql": make})
    document = order_document(sources=[{"source_id": 57, "source_customer_code": "NEW"}])
    (entry,) = erp.receive(document)
    assert (entry.status, entry.rule, "customer.sql" in entry.reason) == ("waiting", "nothing_written", True)


def test_stock_in_several_rows_is_not_guessed(erp: Erp) -> None:
    """The first of them may be any warehouse's."""
    erp.write('stock = "refuse"', statements={"stock.sql": "select on_hand from erp_item"})
    (entry,) = erp.receive(order_document())
    assert (entry.status, "returned 3 rows" in entry.reason, erp.orders()) == ("failed", True, [])


@pytest.mark.parametrize("stock", ["'NaN'", "'many'"])
def test_stock_that_is_no_number_is_said(erp: Erp, stock: str) -> None:
    """Databases have a number that is none, too."""
    erp.write('stock = "refuse"', statements={"stock.sql": f"select {stock}"})
    (entry,) = erp.receive(order_document())
    assert (entry.status, "stock.sql: Its result is not a number" in entry.reason) == ("failed", True)


@pytest.mark.parametrize(
    ("code", "answered"),
    [
        ("cast('SO1' as blob)", "SO1"),
        ("12.0", "12"),
        ("123456789012345678", "123456789012345678"),
        ("' 7.50 '", "7.50"),
    ],
)
def test_a_code_is_text_whatever_type_it_has_in_the_database(erp: Erp, code: str, answered: str) -> None:
    """Stock2Shop is answered with it as people write it."""
    found = f"select {code} as source_order_code from erp_order where s2s_id = {{{{ order.id }}}}"
    erp.write(statements={"lookup.sql": found, "90_code.sql": found})
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.source_order_code) == ("raised", answered)


def test_two_lines_of_one_item_need_stock_for_both(erp: Erp) -> None:
    """Each by itself would fit."""
    erp.write('stock = "refuse"')
    lines = [{"sku": "A", "qty": 6, "price": 1}, {"sku": "A", "qty": 6, "price": 1}]
    (entry,) = erp.receive(order_document(line_items=lines, total=None))
    assert (entry.rule, "10" in entry.reason, "12" in entry.reason) == ("short_stock", True, True)


def test_a_price_with_tax_that_cannot_be_known_makes_the_order_wait(erp: Erp) -> None:
    """The order says its tax, and not of which line; without tax both lines are known."""
    document = order_document(line_items=[order_line(), order_line(sku="B")], total=23, tax=3, shipping_lines=[])
    document |= {"shipping_sub_total": None}
    erp.write('prices = "including"')
    (entry,) = erp.receive(document)
    assert (entry.status, entry.rule, "line 1, A" in entry.reason) == ("waiting", "no_price", True)
    erp.write()
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert (entry.status, erp.lines()) == ("raised", [("A", 1.0, 10.0), ("B", 1.0, 10.0)])


@pytest.mark.parametrize("any_erp", ["sqlite", "postgres"], indirect=True)
def test_the_cost_of_an_order_grows_with_its_lines_and_no_faster(any_erp: Erp) -> None:
    """A thousand lines take less than three seconds of CPU time, and other orders wait no longer than that."""
    any_erp.receive(order_document(1))
    line = {"sku": "A", "qty": 1, "price": 1, "sub_total": 1, "tax": 0, "total": 1}
    before = time.process_time()
    (entry,) = any_erp.receive(order_document(2, line_items=[line] * 1_000, total=1_050))
    assert (entry.status, len(any_erp.lines())) == ("raised", 1_002)
    assert time.process_time() - before < 3
