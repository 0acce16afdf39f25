"""Orders that were raised and are gone from the database: named, and raised again on purpose."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

from support.erp import order_document
from support.output import read_result

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


def test_an_order_that_has_another_code_by_now_is_named(erp: Erp) -> None:
    """It is there, and Stock2Shop was told another code."""
    erp.receive(order_document())
    run(erp, "update erp_order set id = 7")
    ran = erp.s2s("orders", "verify", "acme")
    assert (ran.returncode, "finds it as SO7, not as SO1" in ran.stdout) == (4, True)
