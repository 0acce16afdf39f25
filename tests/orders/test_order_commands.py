"""The commands for orders: what they print and what they refuse."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from support.erp import ROOT, STATEMENTS, order_document, order_line, parsed
from support.output import read_result

from engine.orders.ledger import Ledger
from engine.orders.pipeline import OrderProcessor
from engine.orders.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.erp import Erp


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
    path.write_text(json.dumps(order_document()), "utf-8")
    held = erp.s2s("orders", "import", "acme", str(path), "--hold")
    assert (held.returncode, erp.entry().status, erp.orders()) == (0, "waiting", [])
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
    assert (erp.entry().status, len(erp.orders())) == ("raised", 1)


def test_an_order_that_is_held_is_due_at_no_moment(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that looks for what is due meanwhile would raise it."""
    due = []
    change = Ledger._change

    @contextmanager
    def looking(ledger: Ledger) -> Iterator[None]:
        with change(ledger):
            yield
        due.extend(ledger.list_due())

    monkeypatch.setattr(Ledger, "_change", looking)
    with erp.ledger() as ledger, closing(OrderProcessor(erp.project)) as processor:
        entry = processor.enqueue_for_review(ledger, parsed(order_document()), via="import")
    assert (entry.status, entry.rule, due) == ("waiting", "held", [])


def test_the_commands_tell_an_orders_story(erp: Erp) -> None:
    """Import, list, show, plan, retry and skip, with exit code 4 where an order waits; nobody's name is printed."""
    folder = erp.workspace / "inbox"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(order_document(1)), "utf-8")
    (folder / "b.json").write_text(json.dumps(order_document(2, line_items=[order_line(sku="Z")], total=None)), "utf-8")
    (folder / "c.json").write_text("{", "utf-8")
    assert erp.s2s("orders", "list", "acme").stdout == "acme has no orders.\n"
    assert erp.s2s("orders", "list", "acme", "--status", "failed").stdout == "acme has no orders that are failed.\n"
    ran = erp.s2s("orders", "import", "acme", str(folder))
    assert (ran.returncode, "SO1" in ran.stdout, "c.json" in ran.stdout) == (4, True, True)
    assert "waiting" in erp.s2s("orders", "list", "acme").stdout
    shown = erp.s2s("orders", "show", "acme", "2")
    assert RULES["unknown_sku"].remedy in shown.stdout
    planned = erp.s2s("orders", "plan", "acme", "2")
    assert "insert into erp_order" in planned.stdout
    assert "<header.id>" in planned.stdout
    for number in ("2", order_document(2)["channel_order_code"]):
        assert RULES["unknown_sku"].remedy in erp.s2s("explain", "acme", number, "--entity", "orders").stdout
    assert "order 1: raised as SO1" in erp.s2s("explain", "acme", "SO1", "--entity", "orders").stdout
    said = ran.stdout + shown.stdout + planned.stdout
    assert [word for word in ("someone@example.com", "Leave at the gate") if word in said] == []
    assert erp.s2s("orders", "retry", "acme", "2").returncode == 4
    assert "skipped" in erp.s2s("orders", "skip", "acme", "2").stdout
    listed = read_result(erp.s2s("orders", "list", "acme", "--output", "json").stdout)
    assert [(entry["order_id"], entry["status"]) for entry in listed] == [(1, "raised"), (2, "skipped")]
    unknown = erp.s2s("orders", "show", "acme", "77")
    assert (unknown.returncode, "orders list" in unknown.stderr) == (2, True)


def test_doctor_looks_at_the_way_back_too(erp: Erp) -> None:
    """The login that writes, the statements, and orders that wait."""
    erp.receive(order_document(line_items=[order_line(sku="Z")], total=None))
    said = erp.s2s("doctor", "acme").stdout
    assert "the login that writes connects" in said
    assert "1 orders wait or failed" in said
    (erp.root / "orders" / "lookup.sql").unlink()
    (erp.root / "orders" / "header.sql").write_text("select 1", "utf-8")
    assert "does not say when it is run" in erp.s2s("doctor", "acme").stdout


def test_a_number_that_no_order_has_is_a_wrong_word(erp: Erp) -> None:
    """The ledger could not even look for it."""
    ran = erp.s2s("orders", "show", "acme", "9" * 30)
    assert (ran.returncode, "unforeseen" in ran.stderr) == (2, False)


def test_an_order_writes_no_line_of_its_own_into_a_log(erp: Erp) -> None:
    """Nor turns one around, nor fills it: what is shown of its codes is one line of printable characters."""
    sku = "Z\n2026-03-01 07:00:00 UTC  Order 2 is raised as SO9\u202e" + "x" * 5000
    (entry,) = erp.receive(order_document(line_items=[{"sku": sku, "qty": 1}], total=None))
    assert entry.reason.startswith("a line's SKU is not in the database: Z\ufffd2026-03-01")
    assert (entry.reason.isprintable(), len(entry.reason) < 1000) == (True, True)


@pytest.mark.parametrize("code", ["", "  ", "SO\n1"])
def test_an_order_is_not_skipped_under_a_code_that_is_none(erp: Erp, code: str) -> None:
    """Stock2Shop would be told it."""
    erp.receive(order_document(line_items=[]))
    assert erp.s2s("orders", "skip", "acme", "1001", "--as", code).returncode == 2
    assert erp.entry().status == "waiting"


def test_a_plan_shows_what_one_line_takes_from_another(erp: Erp) -> None:
    """Each line has a result of its own, as when they are raised."""
    more = "update erp_line set tax_code = {{ results.lines[line.number - 1].sku }}"
    lines = STATEMENTS["20_lines.line.sql"] + " returning sku"
    erp.write(statements={"20_lines.line.sql": lines, "25_more.line.sql": more})
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    erp.s2s("orders", "import", "acme", str(path), "--hold")
    planned = erp.s2s("orders", "plan", "acme")
    assert (planned.returncode, planned.stdout.count("<lines.sku>")) == (0, 2)
    assert erp.s2s("orders", "retry", "acme").returncode == 0


def test_a_plan_says_of_an_order_that_is_there_already_that_nothing_is_run(erp: Erp) -> None:
    """And of one that the ledger has under another id that it would wait."""
    sources = [{"source_id": 57, "source_order_code": "SO777"}]
    erp.receive(order_document(2))
    again = order_document(channel_order_code="#2")
    del again["id"]
    with erp.ledger() as ledger, closing(OrderProcessor(erp.project)) as processor:
        for document in (order_document(sources=sources), again):
            processor.enqueue_for_review(ledger, parsed(document), via="import")
    planned = erp.s2s("orders", "plan", "acme").stdout
    assert "acme · order 1001: nothing to raise: Stock2Shop knows it as SO777 already\n" in planned
    first, second = read_result(erp.s2s("orders", "plan", "acme", "--output", "json").stdout)
    assert (first["order_id"], first["statements"], first["rule"]) == (1001, [], "")
    assert (second["rule"], "it is order 2, raised as SO1" in second["reason"]) == ("arrived_twice", True)


@pytest.mark.parametrize("words", [("show", "acme", "1001", "--reveal"), ("plan", "acme", "--reveal")])
def test_what_an_order_says_does_not_steer_the_terminal(erp: Erp, words: tuple[str, ...]) -> None:
    """That it is shown on: directions and line ends are shown by their numbers."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document(notes="a\u202eb\nc")), "utf-8")
    erp.s2s("orders", "import", "acme", str(path), "--hold")
    shown, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "engine", "orders", *words],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=terminal,
    ) as ran:
        os.close(terminal)
        said = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(shown, 10_000):
                said += part
    assert ran.returncode == 0
    assert b"a\\u202eb" in said
    assert "\u202e".encode() not in said
