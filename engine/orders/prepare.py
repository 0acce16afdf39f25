"""Do for an order what needs neither the project's lock nor the database: read it, and render its statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.orders.document import parse_document, read_order
from engine.orders.entry import PENDING_STATUSES
from engine.orders.render_ahead import render_ahead
from engine.orders.rules import RuleError, check_order
from engine.orders.statements import StatementRenderer, template_values

if TYPE_CHECKING:
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.ledger import Ledger
    from engine.orders.render_ahead import Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOrder:
    """An order as it was read from the document ``raw``, and those of its statements that were rendered ahead.

    ``raw`` is None where the document was deleted; of such an order only its id is known.
    """

    raw: bytes | None
    order: Order
    rendered: Rendered

    def is_current(self, ledger: Ledger) -> bool:
        """Return whether the ledger still has the document that was read; a correction may have arrived."""
        return ledger.load_raw_document(self.order.id) == self.raw


def prepare_order(project: Project, settings: OrderSettings, ledger: Ledger, order_id: int) -> PreparedOrder | None:
    """Read an order and render its statements; None where it is not pending.

    Raises :class:`UsageError` for an id that is not known.
    """
    entry = ledger.get_entry(order_id)
    if entry.status not in PENDING_STATUSES:
        return None
    raw = ledger.load_raw_document(order_id)
    document = {"id": str(order_id)} if raw is None else parse_document(raw)
    order = read_order(document, settings, source_id=project.stock2shop.source_id)
    rendered: Rendered = {}
    if not order.source_order_code or entry.approved_by or entry.uncertain:
        try:
            check_order(project, order, settings, approved=bool(entry.approved_by))
        except RuleError:
            pass  # found again when it is the order's turn
        else:
            renderer = StatementRenderer(project, settings)
            rendered = render_ahead(project, settings, order, template_values(order), renderer)
    return PreparedOrder(raw=raw, order=order, rendered=rendered)
