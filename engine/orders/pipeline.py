"""The way of one order, from its document to the client's database: start reading here.

1. A document arrives: pushed to :mod:`~engine.orders.receiver`, asked for by :mod:`~engine.orders.pull`, or read from
   a file by :mod:`~engine.orders.operations`. :func:`~engine.orders.document.parse_document` refuses what is no order.
2. :meth:`OrderProcessor.receive` stores it in the :mod:`~engine.orders.ledger` as ``received``, once for each id,
   before anything else is done with it.
3. :meth:`OrderProcessor.raise_one` takes the lock of the project, so that one order is raised at a time.
4. :func:`~engine.orders.document.read_order` makes plain values of the document, and
   :func:`~engine.orders.rules.check_order` checks them. An order that breaks a rule becomes ``waiting``, with the rule.
5. The order becomes ``raising``. From here on a process that dies leaves it so, and the next one continues.
6. :func:`~engine.orders.raise_order.raise_order` asks ``lookup.sql`` whether the database has the order already, runs
   the project's :mod:`~engine.orders.statements` in one transaction and commits it.
7. The order becomes ``raised``, with its code in the database; ``waiting``, where a person has to look; or ``failed``,
   where the database was away or locked and the same may succeed later.
8. Whoever brought the order answers Stock2Shop with the code, and the order becomes ``answered``.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from engine.database.open import open_writer
from engine.errors import ConfigError, SourceError, UsageError, WriteError
from engine.orders.document import order_id_of, read_order
from engine.orders.ledger import PENDING_STATUSES, raising_lock, utc_now
from engine.orders.raise_order import raise_order
from engine.orders.rules import RuleError, check_order
from engine.orders.statements import list_statements, statement_exists

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.database.connection import Writer
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.ledger import Entry, Ledger
    from engine.orders.raise_order import RaisedOrder

IMMEDIATE_RETRY_SECONDS = (0.1, 0.4, 1.6)
"""Pauses before an order that met a deadlock or a lost connection is tried again at once."""


def crash_point(_name: str) -> None:
    """Do nothing; the tests replace it, to let a process die at each point where that matters."""


def order_settings(project: Project) -> OrderSettings:
    """Return how the project raises orders. Raises :class:`UsageError` where it does not raise any."""
    if project.orders is None:
        raise UsageError(
            f"{project.name} raises no orders.",
            hint="Write an [orders] table in its project.toml, and the statements in orders/.",
        )
    return project.orders


class OrderProcessor:
    """Raises orders of one project, one after the other, and keeps its connection open as long as that works.

    Raises :class:`UsageError` where the project raises no orders and :class:`ViewError` where its statements cannot
    be listed.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.settings = order_settings(project)
        list_statements(project)
        self._stack = ExitStack()
        self._writer: Writer | None = None

    def close(self) -> None:
        """Close the connection to the database."""
        self._writer = None
        self._stack.close()

    def receive(self, ledger: Ledger, document: Mapping[str, Any], *, via: str) -> Entry:
        """Store an order in the ledger and raise it (steps 2 to 7); return what became of it.

        An order that is known already is raised only if it is still pending. ``via`` is how it arrived.
        """
        order_id = order_id_of(document)
        ledger.receive(order_id, document, via=via)
        crash_point("after receipt")
        return self.raise_one(ledger, order_id)

    def enqueue_for_review(self, ledger: Ledger, document: Mapping[str, Any], *, via: str) -> Entry:
        """Store an order in the ledger as ``waiting``, unless it is known already; return its entry."""
        order_id = order_id_of(document)
        if ledger.receive(order_id, document, via=via):
            self._wait(ledger, order_id, RuleError("held"), uncertain=False)
        return ledger.get_entry(order_id)

    def raise_one(self, ledger: Ledger, order_id: int) -> Entry:
        """Raise one order if it is pending (steps 3 to 7); return what became of it."""
        with raising_lock(self.project):
            entry = ledger.get_entry(order_id)
            if entry.status in PENDING_STATUSES:
                self._raise(ledger, entry)
                if self.settings.source.database is not None:
                    self.close()  # an open file would lock other programs out
            return ledger.get_entry(order_id)

    def _raise(self, ledger: Ledger, entry: Entry) -> None:
        order_id = entry.order_id
        # An order stays uncertain until the database was asked, whatever else happens to it.
        uncertain = entry.uncertain or entry.status == "raising"
        document = ledger.load_document(order_id) or {"id": str(order_id)}
        try:
            order = read_order(document, self.settings, source_id=self.project.stock2shop.source_id)
            check_order(self.project, order, self.settings)
        except RuleError as broken:
            self._wait(ledger, order_id, broken, uncertain=uncertain)
            return
        if entry.status != "raising":
            ledger.move(order_id, "raising", uncertain=int(uncertain))
        crash_point("before the transaction")
        try:
            raised = self._raise_with_retry(order, uncertain=uncertain)
        except RuleError as broken:
            self._wait(ledger, order_id, broken, uncertain=uncertain)
        except WriteError as error:
            self.close()
            if error.retriable:
                ledger.mark_failed(order_id, reason=error.message, uncertain=uncertain or error.uncertain)
            else:
                self._wait(ledger, order_id, RuleError("refused", error.message), uncertain=uncertain)
        except (SourceError, ConfigError) as error:
            self.close()
            ledger.mark_failed(order_id, reason=error.message, uncertain=uncertain)
        else:
            crash_point("after the commit")
            ledger.move(
                order_id,
                "raised",
                reason="found in the database" if raised.found else "",
                uncertain=0,
                source_order_code=raised.source_order_code,
                source_customer_code=raised.source_customer_code,
                raised_at=utc_now(),
            )

    def _raise_with_retry(self, order: Order, *, uncertain: bool) -> RaisedOrder:
        """Raise an order; try again at once, a few times, where the database could not take it just then."""
        has_lookup = statement_exists(self.project.root / "orders" / "lookup.sql")
        pauses = iter(IMMEDIATE_RETRY_SECONDS)
        while True:
            if uncertain and not has_lookup:
                raise RuleError("uncertain")
            try:
                return raise_order(self.project, self.settings, order, self._connect(), crash_point=crash_point)
            except WriteError as error:
                self.close()
                pause = next(pauses, None)
                # That a commit may have succeeded is stored in the ledger before anything else is tried.
                if not error.retriable or error.uncertain or pause is None:
                    raise
                time.sleep(pause)
            finally:
                if self._writer is not None:
                    self._writer.rollback()

    def _connect(self) -> Writer:
        if self._writer is None:
            self._writer = self._stack.enter_context(open_writer(self.settings.source))
        return self._writer

    @staticmethod
    def _wait(ledger: Ledger, order_id: int, broken: RuleError, *, uncertain: bool) -> None:
        ledger.move(order_id, "waiting", rule=broken.rule, reason=broken.reason, uncertain=int(uncertain))
