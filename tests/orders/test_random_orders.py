"""Random orders, said in random ways, are each raised whole or wait; an oracle adds up what lies in the database.

Some dozens by default; S2S_RANDOM_ORDERS=1000 tries a thousand.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

from support.erp import order_document

if TYPE_CHECKING:
    from support.erp import Erp

COUNT = int(os.environ.get("S2S_RANDOM_ORDERS", "60"))

LINE = (
    "insert into erp_line (order_id, sku, qty, price, tax_code) values"
    " ({{ results.header.id }}, {{ line.sku }}, {{ line.qty }}, {{ line.price_excluding }}, {{ line.total }})"
)
STATEMENTS: dict[str, str | None] = {"20_lines.line.sql": LINE, "30_shipping.shipping.sql": LINE}


def cents(value: int) -> float:
    """Money of the documents; the truth is kept in whole cents."""
    return value / 100


class Truth:
    """What an order really costs, in cents, and a document that says so in one of many ways."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        rate = self.random.choice([0, 15, 20])
        self.lines = [self.line(rate) for _ in range(self.random.randint(1, 6))]
        self.shipping = self.line(rate, qty=1) if self.random.random() < 0.5 else None
        every = [*self.lines, *([self.shipping] if self.shipping else [])]
        self.net = sum(line["net"] for line in every)
        self.total = sum(line["net"] + line["tax"] for line in every)
        self.wrong = self.random.random() < 0.2
        self.document = self.write(number)

    def line(self, rate: int, qty: int = 0) -> dict[str, int]:
        """One line: its units, and in cents its price, discount, sub-total and tax."""
        qty = qty or self.random.randint(1, 9)
        price = self.random.randint(1, 500) * 100
        discount = self.random.choice([0, 0, 100]) if price > 100 else 0
        net = price * qty - discount
        return {"qty": qty, "price": price, "discount": discount, "net": net, "tax": net * rate // 100, "rate": rate}

    def write(self, number: int) -> dict[str, Any]:
        """A document of all that, with more or less said."""
        says_total = self.wrong or self.random.random() < 0.7
        lines = [self.say(line) for line in self.lines]
        total = self.total + (self.random.choice([-1, 1]) * self.random.randint(50, 5_000) if self.wrong else 0)
        order: dict[str, Any] = {"line_items": lines, "total": cents(total) if says_total else None}
        order |= {"shipping_lines": [], "shipping_sub_total": None, "shipping_tax": None}
        if self.shipping and self.random.random() < 0.5:
            order["shipping_lines"] = [self.say(self.shipping)]
        elif self.shipping:
            order["shipping_sub_total"] = cents(self.shipping["net"])
            order["shipping_tax"] = cents(self.shipping["tax"])
        return order_document(number, **order)

    def say(self, line: dict[str, int]) -> dict[str, Any]:
        """One line, in one of the ways in which documents say it."""
        said: dict[str, Any] = {"sku": "A", "qty": line["qty"], "price": cents(line["price"])}
        if line["discount"]:
            said["total_discount"] = cents(line["discount"])
        way = self.random.randrange(6)
        if way == 0:
            said |= {"sub_total": cents(line["net"]), "tax": cents(line["tax"])}
        elif way == 1:
            said |= {"sub_total": cents(line["net"]), "total": cents(line["net"] + line["tax"])}
        elif way == 2:
            said |= {"total": cents(line["net"] + line["tax"]), "tax": cents(line["tax"])}
        elif way == 3 and line["rate"]:
            said |= {"tax_lines": [{"rate": line["rate"]}]}
        elif way == 4 and line["rate"]:
            said |= {"tax_lines": [{"rate": line["rate"], "price": cents(line["tax"])}]}
        else:
            said |= {"sub_total": cents(line["net"]), "tax": cents(line["tax"])}
            said |= {"total": str(cents(line["net"] + line["tax"]))}
        return said


def test_random_orders_are_raised_whole_or_wait(erp: Erp) -> None:
    """Those that contradict themselves wait; of all others every line is there, and adds up."""
    erp.write('default_customer = "CASH"\nshipping_item = "SHIP"', statements=STATEMENTS)
    truths = {number: Truth(number) for number in range(1, COUNT + 1)}
    entries = {entry.order_id: entry for entry in erp.receive(*(truth.document for truth in truths.values()))}
    found = erp.rows(
        "select o.s2s_id, count(*), sum(l.qty * l.price), sum(l.tax_code + 0.0)"
        " from erp_order as o join erp_line as l on l.order_id = o.id group by o.s2s_id"
    )
    raised = {number: (count, net, total) for number, count, net, total in found}
    for number, truth in truths.items():
        entry = entries[number]
        if truth.wrong:
            assert (entry.status, entry.rule, number in raised) == ("waiting", "totals_differ", False), truth.document
            continue
        assert (entry.status, entry.reason) == ("raised", ""), truth.document
        count, net, total = raised[number]
        assert count == len(truth.lines) + bool(truth.shipping), truth.document
        assert abs(net * 100 - truth.net) < 2, truth.document
        assert abs(total * 100 - truth.total) <= count, truth.document
    assert len(raised) == sum(not truth.wrong for truth in truths.values())
