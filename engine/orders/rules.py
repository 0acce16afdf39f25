"""The rules that an order must keep before it is raised; an order that breaks one waits.

:data:`RULES` names each rule and says what to do. :func:`check_order` checks those that need no database; the others
are checked while the order is raised.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.orders.statements import statement_exists

if TYPE_CHECKING:
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: ``reason`` says what is wrong with the order and ``remedy`` what to do, for people in the shop."""

    reason: str
    remedy: str


RULES: dict[str, Rule] = {
    "unreadable": Rule(
        reason="a value of the order cannot be used",
        remedy="Correct the order in the channel or in Stock2Shop, and send it again under a new id; or skip it.",
    ),
    "no_lines": Rule(reason="the order has no lines", remedy="Skip it; there is nothing to deliver."),
    "blank_sku": Rule(
        reason="a line has no SKU",
        remedy="Give the product its SKU in the channel, or enter the order by hand and skip it.",
    ),
    "unknown_sku": Rule(
        reason="a line's SKU is not in the database",
        remedy="Create the item, or correct its code, then retry the order.",
    ),
    "repeated_sku": Rule(
        reason="a SKU appears on more than one line",
        remedy='Write repeated_skus = "allow" or "merge" under [orders]; or enter it by hand and skip it.',
    ),
    "bad_quantity": Rule(
        reason="a line's quantity is not above 0", remedy="It may be a return: enter it by hand and skip it."
    ),
    "foreign_line": Rule(
        reason="a line belongs to another source", remedy="Check in Stock2Shop which source fulfils the order."
    ),
    "unknown_channel": Rule(
        reason="the order is from a channel that project.toml does not know",
        remedy="Add it under [orders.channels], then retry the order.",
    ),
    "no_customer": Rule(
        reason="the order has no customer, and there is no default",
        remedy="Link the customer in Stock2Shop, or set default_customer under [orders], then retry the order.",
    ),
    "unknown_customer": Rule(
        reason="the customer is not in the database",
        remedy="Create the customer, or set create_customer = true under [orders], then retry the order.",
    ),
    "ambiguous_customer": Rule(
        reason="orders/find_customer.sql returned more than one customer",
        remedy="Link the customer in Stock2Shop, or let find_customer.sql return one row; then retry the order.",
    ),
    "totals_differ": Rule(
        reason="the order's amounts contradict each other",
        remedy="Look at the order in Stock2Shop: a discount or a fee may be missing from its lines.",
    ),
    "no_price": Rule(
        reason="a line's price cannot be known from what the order says",
        remedy="Enter it by hand and skip it; or see whether `prices` under [orders] is what the database needs.",
    ),
    "cancelled": Rule(
        reason="the order was cancelled",
        remedy="Skip it. If it is to be raised all the same: s2s orders raise PROJECT ID --by NAME.",
    ),
    "short_stock": Rule(reason="there is too little stock of an item", remedy="Retry the order when there is stock."),
    "no_code": Rule(
        reason="no statement returned a source_order_code, so nothing was kept",
        remedy="Have the last statement in orders/ return a column source_order_code, then retry the order.",
    ),
    "ambiguous_code": Rule(
        reason="a statement that is run once an order made several, so nothing was kept",
        remedy="Let it write and return one row: a join or a select may find two. Then retry the order.",
    ),
    "refused": Rule(
        reason="the database refused it",
        remedy="Fix what it says, then retry the order. If it passes by itself, name a part of the message in"
        " transient_errors under [orders]: such orders are retried automatically.",
    ),
    "nothing_written": Rule(
        reason="a statement wrote no row, so nothing was kept",
        remedy="Look why it finds nothing to write. If that may be, write the comment `-- s2s: may write no row` into"
        " its file. Then retry the order.",
    ),
    "template": Rule(
        reason="a statement cannot be rendered for this order",
        remedy="Let the statement allow for what this order does not say, then retry the order.",
    ),
    "lookup_differs": Rule(
        reason="orders/lookup.sql does not find exactly what was raised, so nothing was kept",
        remedy="Let lookup.sql find by order.id, and let a statement store order.id unchanged; then retry the order.",
    ),
    "ambiguous_lookup": Rule(
        reason="orders/lookup.sql returned more than one order",
        remedy="Let lookup.sql find one row by order.id, then retry the order by its id.",
    ),
    "code_taken": Rule(
        reason="its code belongs to another order",
        remedy="Let lookup.sql and the statements tell orders apart by order.id, not by the channel's number alone;"
        " then retry the order by its id. After a restore of the database: s2s orders verify PROJECT first. Where it is"
        " an order of another account, have them tell the accounts apart as well.",
    ),
    "half_raised": Rule(
        reason="an attempt to raise it was undone, and yet it is in the database",
        remedy="Look at it there: a table may undo nothing (MyISAM, Aria), or a procedure commits by itself. If it is"
        " whole: s2s orders skip PROJECT ID --as CODE. If not: delete it, then s2s orders retry PROJECT ID.",
    ),
    "arrived_twice": Rule(
        reason="the ledger has it already, under another id",
        remedy="It arrived with Stock2Shop's id, and as the channel's document without one. Skip it: s2s orders skip"
        " PROJECT ID --as CODE, with the code of the other. If they are two orders: s2s orders raise PROJECT ID --by"
        " NAME.",
    ),
    "held": Rule(
        reason="it was imported for review",
        remedy="Look with `s2s orders plan`, then raise it with `s2s orders retry`.",
    ),
    "no_document": Rule(
        reason="its document was deleted while it was put aside",
        remedy="Send it again from Stock2Shop: then it is raised. If it is in the database: s2s orders skip PROJECT ID"
        " --as CODE.",
    ),
    "uncertain": Rule(
        reason="raising was interrupted, and the order may be in the database already",
        remedy="Look for it there. If it is there: s2s orders skip PROJECT ID --as CODE. If not: s2s orders retry. With"
        " an orders/lookup.sql this is found out automatically.",
    ),
}

MAY_BE_THERE_RULES = frozenset({"uncertain", "ambiguous_lookup", "code_taken", "half_raised"})
"""Rules of orders that may be in the database already, in whole or in part."""

ONLY_BY_ID_RULES = MAY_BE_THERE_RULES | {"cancelled", "arrived_twice"}
"""Rules of orders that are retried only by their id: they may be in the database already, or were cancelled."""

MAX_REASON_LENGTH = 500
"""How many characters of an order's own values a reason may hold."""


class RuleError(Exception):
    """An order breaks a rule; ``reason`` says which, and where.

    ``detail`` may hold codes of the order, and goes to logs and terminals. It is cut to one line of printable
    characters, so that no order can write lines of its own there, or change the direction of the text.
    """

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        printable = "".join(
            letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in detail[:MAX_REASON_LENGTH]
        )
        self.reason = (
            RULES[rule].reason
            + (f": {printable}" if printable else "")
            + ("…" if len(detail) > MAX_REASON_LENGTH else "")
        )


def check_order(project: Project, order: Order, settings: OrderSettings, *, approved: bool = False) -> None:
    """Check the rules that need no database. Raises :class:`RuleError` for the first one that the order breaks.

    With ``approved``, somebody wants the order to be raised although it was cancelled.
    """
    source_id = project.stock2shop.source_id
    if order.reason:
        raise RuleError("unreadable", order.reason)
    if order.cancelled and not approved:
        raise RuleError("cancelled", f"its status is {order.order['status'] or order.order['state'] or 'cancelled'}")
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
    may_be_found = settings.create_customer or statement_exists(project.root / "orders" / "find_customer.sql")
    if order.customer["code"] is None and not may_be_found:
        raise RuleError("no_customer")
    if order.contradiction:
        raise RuleError("totals_differ", order.contradiction)
    for line in [*order.lines, *order.shipping_lines]:
        if line["price"] is None and line["unit_price"] is not None:
            raise RuleError("no_price", f"line {line['number']}, {line['sku']}: its tax is not said")
