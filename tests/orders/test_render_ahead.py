"""Statements are rendered before an order's turn: others wait for its transaction, not for its rendering."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import STATEMENTS, order_document, order_line, parsed

from engine.mapping import limits
from engine.mapping.render import BoundStatement
from engine.orders import ledger_file, pipeline, statements
from engine.orders.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.erp import Erp


@pytest.fixture
def rendered_late(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that are rendered while the project's lock is held."""
    held = threading.Event()
    names: list[str] = []
    lock, render = ledger_file.raising_lock, BoundStatement.render

    @contextmanager
    def watched_lock(*arguments: Any) -> Iterator[None]:
        with lock(*arguments):
            held.set()
            try:
                yield
            finally:
                held.clear()

    def watched_render(statement: BoundStatement, values: Any) -> Any:
        if held.is_set():
            names.append(statement._path.name)
        return render(statement, values)

    monkeypatch.setattr(ledger_file, "raising_lock", watched_lock)
    monkeypatch.setattr(BoundStatement, "render", watched_render)
    return names


def test_no_statement_is_rendered_while_other_orders_wait(any_erp: Erp, rendered_late: list[str]) -> None:
    """Though most of them write what the database gives: the header's number, the customer's code."""
    any_erp.write('default_customer = "CASH"\nshipping_item = "SHIP"')
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, rendered_late, len(any_erp.lines())) == ("raised", [], 3)
    assert any_erp.rows("select count(*) from erp_line as l join erp_order as o on o.id = l.order_id") == [(3,)]


CALCULATED = {
    "a sum": ("{{ results.header.id + 1000 }}", "1001"),
    "a text": ("{{ 'no ' ~ results.header.id }}", "no 1"),
    "a condition": ("{% if results.header.id is none %}'none'{% else %}'some'{% endif %}", "some"),
    "the customer": ("{{ order.customer_code | lower }}", "c1"),
    "the customer by another name": ("{% set c = customer %}{{ c.code }}", "C1"),
}


@pytest.mark.parametrize("how", CALCULATED)
def test_a_statement_that_calculates_with_what_the_database_gives_is_rendered_in_its_turn(
    erp: Erp, rendered_late: list[str], how: str
) -> None:
    """With the value itself."""
    expression, expected = CALCULATED[how]
    line = f"insert into erp_line (order_id, sku, qty, price, tax_code) values (1, 'A', 1, 1, {expression})"
    erp.write(statements={"20_lines.line.sql": line})
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.reason) == ("raised", "")
    assert erp.rows("select tax_code from erp_line") == [(expected,)] * 2
    assert set(rendered_late) == {"20_lines.line.sql"}


@pytest.mark.parametrize("written", ["{{ line.backorder }}", "{{ 'true' if line.backorder else 'false' }}"])
def test_a_back_order_is_known_only_when_stock_was_asked_for(erp: Erp, written: str) -> None:
    """Whichever way a statement writes it; of two lines the second is short."""
    erp.write(
        'stock = "backorder"',
        statements={
            "20_lines.line.sql": f"insert into erp_line (sku, backorder) values ({{{{ line.sku }}}}, {written})"
        },
    )
    lines = [order_line(sku="A", qty=1), order_line(sku="B", qty=5)]
    (entry,) = erp.receive(order_document(line_items=lines, total=None))
    assert entry.status == "raised"
    found = [
        (sku, str(value).lower() in {"1", "true"}) for sku, value in erp.rows("select sku, backorder from erp_line")
    ]
    assert found == [("A", False), ("B", True)]


def test_a_column_that_a_statement_does_not_return_is_named(erp: Erp) -> None:
    """As it would be without rendering ahead."""
    line = STATEMENTS["20_lines.line.sql"].replace("results.header.id", "results.header.number")
    erp.write(statements={"20_lines.line.sql": line})
    (entry,) = erp.receive(order_document())
    assert "number" in entry.reason
    assert (entry.status, erp.orders()) == ("waiting", [])


def test_a_correction_that_arrives_before_an_orders_turn_is_what_is_raised(erp: Erp) -> None:
    """What was rendered of the former content is not used."""
    with erp.ledger() as ledger, closing(pipeline.OrderProcessor(erp.project)) as processor:
        ledger.receive(1001, parsed(order_document()), via="serve")
        prepared = processor.prepare(ledger, 1001)
        ledger.receive(1001, parsed(order_document(line_items=[order_line(qty=7)], total=None)), via="serve")
        entry = processor.raise_one(ledger, 1001, prepared)
    assert (entry.status, erp.lines()) == ("raised", [("A", 7.0, 10.0)])


def test_a_short_order_does_not_wait_for_the_rendering_of_a_long_one(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised and answered while the long one is still being rendered."""
    render = statements.StatementRenderer.render_unwritten
    rendering, go_on = threading.Event(), threading.Event()

    def slow(renderer: Any, path: Any, values: Any) -> Any:
        if values["order"]["id"] == 1:
            rendering.set()
            assert go_on.wait(60)
        return render(renderer, path, values)

    monkeypatch.setattr(statements.StatementRenderer, "render_unwritten", slow)
    with closing(Receiver(erp.project, erp.ledgers)) as receiver, ThreadPoolExecutor() as pool:
        long = pool.submit(receiver.receive, json.dumps(order_document(1)).encode())
        assert rendering.wait(60)
        short = pool.submit(receiver.receive, json.dumps(order_document(2)).encode()).result(timeout=60)
        assert (short.status, long.done(), erp.orders()) == (200, False, [("#2", "C1")])
        go_on.set()
        assert long.result(timeout=60).status == 200


def test_the_limits_of_a_template_are_those_of_one_rendering(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of all lines together: an order of thousands would come to an end with them."""
    monkeypatch.setattr(limits, "MAX_OUTPUT_LETTERS", 1_000)
    lines = [order_line(qty=1)] * 50
    (entry,) = erp.receive(order_document(line_items=lines, total=None))
    assert (entry.status, entry.reason, len(erp.lines())) == ("raised", "", 50)
