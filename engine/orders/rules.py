"""rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.orders.document import line_total
from engine.orders.statements import is_there

if TYPE_CHECKING:
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an order may break; it waits then. The words are for somebody in the shop."""

    reason: str
    mend: str


RULES: dict[str, Rule] = {
    "unreadable": Rule(
        reason="a value of the order cannot be used",
        mend="Correct the order in the channel or in Stock2Shop, and send it again under a new id; or skip it.",
    ),
    "no_lines": Rule(reason="the order has no lines", mend="Skip it; there is nothing to deliver."),
    "blank_sku": Rule(
        reason="a line has no SKU",
        mend="Give the product its SKU in the channel, or enter the order by hand and skip it.",
    ),
    "unknown_sku": Rule(
        reason="a line's SKU is not in the database", mend="Make the item, or mend its code, then retry the order."
    ),
    "repeated_sku": Rule(
        reason="a SKU stands on more than one line",
        mend='Write repeated_skus = "allow" or "merge" under [orders]; or enter it by hand and skip it.',
    ),
    "bad_quantity": Rule(
        reason="a line's quantity is not above 0", mend="It may be a return: enter it by hand and skip it."
    ),
    "foreign_line": Rule(
        reason="a line belongs to another source", mend="Check in Stock2Shop which source fulfils the order."
    ),
    "unknown_channel": Rule(
        reason="the order is from a channel that project.toml does not know",
        mend="Add it under [orders.channels], then retry the order.",
    ),
    "no_customer": Rule(
        reason="the order has no customer, and there is no default",
        mend="Link the customer in Stock2Shop, or set default_customer under [orders], then retry the order.",
    ),
    "unknown_customer": Rule(
        reason="the customer is not in the database",
        mend="Make the customer, or set create_customer = true under [orders], then retry the order.",
    ),
    "totals_differ": Rule(
        reason="the lines do not add up to the order's total",
        mend="Look at the order in Stock2Shop: a discount or a fee may be missing from its lines.",
    ),
    "short_stock": Rule(reason="there is too little stock of an item", mend="Retry the order when there is stock."),
    "no_code": Rule(
        reason="no statement gave a source_order_code, so nothing was kept",
        mend="Let the last statement in orders/ give a column source_order_code, then retry the order.",
    ),
    "refused": Rule(reason="the database refused it", mend="Mend what it says, then retry the order."),
    "held": Rule(
        reason="it was imported to be looked at first",
        mend="Look with `s2s orders plan`, then raise it with `s2s orders retry`.",
    ),
    "uncertain": Rule(
        reason="raising was broken off, and nothing tells whether the order is in the database",
        mend="Look for it there. If it is there: s2s orders skip PROJECT ID --as CODE. If not: s2s orders retry. With"
        " an orders/lookup.sql this is found out by itself.",
    ),
}

LONGEST = 500
"""So many characters of what an order says are in a reason."""


class RuleError(Exception):
    """The order breaks a rule; ``reason`` says which, and where.

    Codes of the order are in it, and it goes to logs and terminals: it is one line of printable characters, so that no
    order can write a line of its own there, or turn one around.
    """

    def __init__(self, rule: str, said: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said[:LONGEST])
        self.reason = RULES[rule].reason + (f": {shown}" if shown else "") + ("…" if len(said) > LONGEST else "")


def check_order(project: Project, order: Order, settings: OrderSettings) -> None:
    """Hold the order against the rules that need no database. Raises :class:`RuleError`."""
    source_id = project.stock2shop.source_id
    if order.reason:
        raise RuleError("unreadable", order.reason)
    if not order.lines:
        raise RuleError("no_lines")
    if settings.known_channels_only and str(order.order["channel_id"]) not in {str(id_) for id_ in settings.channels}:
        raise RuleError("unknown_channel", f"channel {order.order['channel_id'] or '(none)'}")
    for line in order.lines:
        if line["sku"] is None:
            raise RuleError("blank_sku", f"line {line['number']}")
        if line["qty"] is None or line["qty"] <= 0:
            raise RuleError("bad_quantity", f"line {line['number']}, {line['sku']}: {line['qty']}")
        if line["source_id"] is not None and line["source_id"] != str(source_id):
            raise RuleError("foreign_line", f"line {line['number']}, {line['sku']}: source {line['source_id']}")
    if settings.repeated_skus == "refuse":
        repeated = [sku for sku, count in Counter(line["sku"] for line in order.lines).items() if count > 1]
        if repeated:
            raise RuleError("repeated_sku", ", ".join(repeated))
    found = settings.create_customer or is_there(project.root / "orders" / "find_customer.sql")
    if order.customer["code"] is None and not found:
        raise RuleError("no_customer")
    _add_up(order, settings)


def _add_up(order: Order, settings: OrderSettings) -> None:
    """What is on the lines must be the total, where the document says both. Shipping counts whether raised or not."""
    stated = order.order["total"]
    totals = [total for line in order.lines if (total := line_total(line)) is not None]
    if stated is None or len(totals) < len(order.lines):
        return
    found = sum(totals, Decimal(0)) + order.shipping
    if abs(found - stated) > settings.tolerance:
        raise RuleError("totals_differ", f"{found} on the lines and for shipping, {stated} in all")
