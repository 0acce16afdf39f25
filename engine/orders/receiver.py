"""Receive orders over HTTP: an order is stored, raised and answered in one request.

An order document is answered ``{source_id, source_order_code, source_customer_code}``. That Stock2Shop calls the agent
beside the database and expects the source's order code back is public; the exact contract is not.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import OrderError, StateLockedError, SyncError
from engine.orders import pipeline
from engine.orders.access import AccessRules
from engine.orders.document import parse_document
from engine.orders.entry import PENDING_STATUSES
from engine.orders.identity import order_id_of
from engine.orders.pipeline import OrderProcessor
from engine.orders.pull import answer_body
from engine.orders.replies import Reply, error_reply
from engine.orders.rules import RULES
from engine.orders.settings import order_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.settings import Project, ReceiverSettings
    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledgers

log = logging.getLogger(__name__)

RETRY_INTERVAL_SECONDS = 30
"""How often orders that are due are looked for: those whose process died, and those that failed for now."""


class Receiver:
    """Takes orders of one project; safe to be called from several threads.

    ``on_event`` is called with a sentence about each order and each refusal, which holds nothing personal, and with
    its facts as keyword arguments.
    """

    def __init__(
        self, project: Project, ledgers: Ledgers, *, on_event: Callable[..., None] = lambda _text, **_facts: None
    ) -> None:
        self._on_event = on_event
        self._ledgers = ledgers
        self.project = project
        self.settings: ReceiverSettings = order_settings(project).receiver
        self._processor = OrderProcessor(project)
        self.access = AccessRules(self.settings, on_refused=self._emit)
        self._raising = threading.Lock()
        self._last_error = ""

    def close(self) -> None:
        """Wait for the order that is being raised, and close the connection to the database.

        An order that came before and is raised after it opens a connection of its own, and closes it.
        """
        with self._raising:
            self._processor.close()

    def raise_due(self, stop: threading.Event) -> None:
        """Raise all orders that are due. An error that stops it is reported once, until there is another one."""
        problem = ""
        try:
            if self._ledgers.has_ledger(self.project.name):  # a look makes none
                self._raise_due(stop)
        except SyncError as error:
            problem = f"{error.message} {error.hint}"
        except Exception as error:  # noqa: BLE001 - it is retried; its text may hold personal data
            problem = f"An unexpected error occurred: {type(error).__name__}"
        if problem and problem != self._last_error:
            self._emit(f"Earlier orders cannot be raised now: {problem}")
        self._last_error = problem

    def _raise_due(self, stop: threading.Event) -> None:
        with self._ledgers.opened(self.project) as ledger:
            for entry in ledger.list_due():
                if stop.is_set():
                    return
                prepared = self._processor.prepare(ledger, entry.order_id)
                with self._raising:
                    # Its own request may have raised it meanwhile.
                    if ledger.get_entry(entry.order_id).status in PENDING_STATUSES:
                        self._report(self._processor.raise_one(ledger, entry.order_id, prepared))
            ledger.prune(keep_days=self._processor.settings.keep_days)

    def raise_due_regularly(self, stop: threading.Event) -> None:
        """Raise all orders that are due, again and again until ``stop`` is set; for a thread of its own."""
        self.raise_due(stop)
        while not stop.wait(RETRY_INTERVAL_SECONDS):
            self.raise_due(stop)

    def receive(self, raw: bytes) -> Reply:
        """Store an order, raise it, and return what to answer; never raises."""
        reply = self._receive(raw)
        error = reply.body.get("error", {})
        if error and "order" not in error:
            self._emit(f"An order was not taken: {error['reason']}", status=reply.status)
        return reply

    def _emit(self, text: str, **facts: object) -> None:
        with suppress(Exception):  # a full disk of logs must not stop an order
            self._on_event(text, **facts)

    def _report(self, entry: Entry, *, again: bool = False) -> None:
        """Report what became of an order."""
        code = f" as {entry.source_order_code}" if entry.source_order_code else ""
        reason = f": {entry.reason}" if entry.reason else ""
        outcome = f"arrived again, and is {entry.status}" if again else f"is {entry.status}"
        self._emit(
            f"Order {entry.order_id} {outcome}{code}{reason}",
            order=entry.order_id,
            status=entry.status,
            standing=entry.status,  # its former name
            rule=entry.rule,
            source_order_code=entry.source_order_code,
        )

    def _receive(self, raw: bytes) -> Reply:
        try:
            document = parse_document(raw)
            with self._ledgers.opened(self.project) as ledger:
                order_id = order_id_of(document)
                new = ledger.receive(order_id, document, via="serve")
                pipeline.crash_point("after receipt")
                prepared = self._processor.prepare(ledger, order_id)  # while another order is raised
                with self._raising:
                    entry = self._processor.raise_one(ledger, order_id, prepared)
                self._report(entry, again=not new)
                if entry.status in {"raised", "answered"}:
                    pipeline.crash_point("before the answer")
                    ledger.mark_answered(entry.order_id)
                    return Reply(status=200, body=answer_body(self.project, entry))
                return _unraised_reply(entry)
        except OrderError as error:
            return error_reply(error.status, error.message, error.hint or "Send the order as Stock2Shop has it.")
        except StateLockedError as error:
            return error_reply(503, error.message, "Send it again.", retry_after=5)
        except SyncError as error:
            return error_reply(503, error.message, error.hint, retry_after=60)
        except Exception as error:  # noqa: BLE001 - the sender is answered, and sends the order again
            # Its text may hold personal data.
            log.error("An order met an unexpected error: %s", type(error).__name__)  # noqa: TRY400 - as above
            return error_reply(503, "An unexpected error occurred.", "Send it again.", retry_after=60)


def _unraised_reply(entry: Entry) -> Reply:
    """Return what to answer for an order that waits, failed for now, or was skipped."""
    body = {
        "order": entry.order_id,
        "status": entry.status,
        "standing": entry.status,
        "rule": entry.rule,
        "reason": entry.reason,
    }
    if entry.status == "failed":
        return Reply(
            status=503,
            body={"error": {**body, "what_to_do": "Send it again later: it is raised once."}},
            retry_after=60,
        )
    remedy = RULES[entry.rule].remedy if entry.rule in RULES else "Look with `s2s orders show`."
    return Reply(status=422, body={"error": {**body, "what_to_do": remedy}})
