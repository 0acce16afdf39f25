"""Orders that were raised and are gone from the database: named, and raised again on purpose."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from support.erp import order_document, order_line
from support.output import read_result

from engine.orders.operations import skip_order

if TYPE_CHECKING:
    from support.erp import Erp


def run(erp: Erp, statement: str) -> None:
    """Run a statement that gives no rows."""
    if erp.dialect == "sqlite":
        import sqlite3

        with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
            connection.execute(statement)
    else:
        with suppress(Exception):  # no rows to fetch
            erp.rows(statement)


def test_orders_that_are_gone_are_named_and_raised_again_one_by_one(any_erp: Erp) -> None:
    """As after a restore; the ledger keeps who wanted it, and under which code the order was."""
    any_erp.receive(*(order_document(number) for number in (1, 2, 3)))
    ran = any_erp.s2s("orders", "verify", "acme")
    assert (ran.returncode, "3 of 3 orders are there" in ran.stdout) == (0, True)
    run(any_erp, "delete from erp_order where s2s_id in (1, 3)")
    ran = any_erp.s2s("orders", "verify", "acme")
    assert (ran.returncode, "1 of 3 orders are there" in ran.stdout) == (4, True)
    assert "order 1, SO1: lookup.sql does not find it" in ran.stdout
    assert "s2s orders raise acme 1 --by NAME" in ran.stdout
    ran = any_erp.s2s("orders", "raise", "acme", "1", "--by", "Thandi of the shop")
    assert (ran.returncode, any_erp.entry(1).status) == (0, "raised"), ran.stdout + ran.stderr
    assert {reference for reference, _ in any_erp.orders()} == {"#1", "#2"}
    with any_erp.ledger() as ledger:
        reasons = [reason for _, _, reason in ledger.status_history(1)]
    assert "to be raised on purpose, by Thandi of the shop; it was raised as SO1" in reasons
    found = read_result(any_erp.s2s("orders", "verify", "acme", "--output", "json").stdout)
    assert {each["order_id"]: each["state"] for each in found} == {1: "there", 2: "there", 3: "gone"}


def test_an_order_that_is_there_is_not_raised_again(erp: Erp) -> None:
    """Whoever wants it."""
    erp.receive(order_document())
    ran = erp.s2s("orders", "raise", "acme", "1001", "--by", "Thandi")
    assert (ran.returncode, "is not gone from the database" in ran.stderr) == (2, True)
    assert (erp.entry().status, len(erp.orders())) == ("raised", 1)
    assert erp.s2s("orders", "raise", "acme", "1001", "--by", " ").returncode == 2


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("by_hand", [True, False])
def test_an_order_that_somebody_else_raised_is_not_taken_for_gone(erp: Erp, *, by_hand: bool, answered: bool) -> None:
    """Nobody stored there what the lookup looks for, and raising it again would double it."""
    document = order_document(line_items=[order_line(sku="Z")], total=None)
    sources = [] if by_hand else [{"source_id": 57, "source_order_code": "HAND-1"}]
    erp.receive({**document, "sources": sources}, order_document(1))
    if by_hand:
        skip_order(erp.project, erp.ledgers, 1001, code="HAND-1")
    with erp.ledger() as ledger:
        if answered:
            ledger.mark_answered(1001)
    ran = erp.s2s("orders", "verify", "acme")
    assert (ran.returncode, "acme: 1 of 2 orders are there. Look for 1 yourself." in ran.stdout) == (0, True)
    assert "order 1001, HAND-1: it was not raised by s2s, and lookup.sql does not find it" in ran.stdout
    assert (erp.entry().gone_at, "orders raise" in ran.stdout) == (None, False)
    ran = erp.s2s("orders", "raise", "acme", "1001", "--by", "Thandi")
    assert (ran.returncode, "is not gone from the database" in ran.stderr) == (2, True)
    assert erp.entry().source_order_code == "HAND-1"


def test_an_order_that_is_raised_again_is_the_engines_own(erp: Erp) -> None:
    """However it was finished before."""
    erp.receive(order_document(status="cancelled"))
    skip_order(erp.project, erp.ledgers, 1001)
    assert erp.s2s("orders", "raise", "acme", "1001", "--by", "Thandi").returncode == 0
    run(erp, "delete from erp_order")
    assert "order 1001, SO1: lookup.sql does not find it" in erp.s2s("orders", "verify", "acme").stdout


def test_an_order_whose_document_was_deleted_is_verified_by_its_id(erp: Erp) -> None:
    """And said to be beyond raising again."""
    erp.receive(order_document())
    with erp.ledger() as ledger:
        ledger._store.write("update orders set document = null", [])
    assert erp.s2s("orders", "verify", "acme").returncode == 0
    run(erp, "delete from erp_order")
    assert erp.s2s("orders", "verify", "acme").returncode == 4
    ran = erp.s2s("orders", "raise", "acme", "1001", "--by", "Thandi")
    assert (ran.returncode, "was deleted" in ran.stderr) == (2, True)


def test_an_order_whose_document_was_deleted_is_raised_once_it_is_sent_again(erp: Erp) -> None:
    """As whoever asks for it is told; a skipped one, too."""
    erp.receive(order_document(1), order_document(2, status="cancelled"))
    skip_order(erp.project, erp.ledgers, 2)
    run(erp, "delete from erp_order")
    with erp.ledger() as ledger:
        ledger._store.write("update orders set document = null", [])
    ways = (("raise", "acme", "1", "--by", "Thandi"), ("retry", "acme", "2"))
    for words in ways:
        ran = erp.s2s("orders", *words)
        assert (ran.returncode, "Send it again from Stock2Shop" in ran.stderr) == (2, True)
    assert erp.entry(2).status == "skipped"
    erp.receive(order_document(1), order_document(2))
    for words in ways:
        assert erp.s2s("orders", *words).returncode == 0
    assert erp.orders() == [("#1", "C1"), ("#2", "C1")]


def test_an_order_that_has_another_code_by_now_is_named(erp: Erp) -> None:
    """It is there, and Stock2Shop was told another code."""
    erp.receive(order_document())
    run(erp, "update erp_order set id = 7")
    ran = erp.s2s("orders", "verify", "acme")
    assert (ran.returncode, "finds it as SO7, not as SO1" in ran.stdout) == (4, True)
