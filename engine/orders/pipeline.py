"""The way of one order, from its document to the client's database: start reading here.

1. A document arrives: pushed to :mod:`~engine.orders.receiver`, asked for by :mod:`~engine.orders.pull`, or read from
   a file by :mod:`~engine.orders.operations`. :func:`~engine.orders.document.parse_document` refuses what is no order.
2. :meth:`OrderProcessor.receive` stores it in the :mod:`~engine.orders.ledger` as ``received``, once for each id,
   before anything else is done with it.
3. :func:`~engine.orders.prepare.prepare_order` makes plain values of the document with
   :func:`~engine.orders.document.read_order`, and renders the statements as far as that needs no database.
4. :meth:`OrderProcessor.raise_one` takes the project's turn, so that one order is raised at a time.
   :func:`~engine.orders.rules.check_order` checks the order: one that breaks a rule becomes ``waiting``, with the rule.
   One that Stock2Shop knows to be in this source already becomes ``raised`` without being raised.
5. The order becomes ``raising``. From here on a process that dies leaves it so, and the next one continues.
6. :func:`~engine.orders.raise_order.raise_order` asks ``lookup.sql`` whether the database has the order already, runs
   the project's :mod:`~engine.orders.statements` in one transaction, has ``lookup.sql`` find what it raised, notes in
   the ledger that the commit is sent, and commits.
7. The order becomes ``raised``, with its code in the database; ``waiting``, where a person has to look; or ``failed``,
   where the database was away or locked and the same may succeed later.
8. Whoever brought the order answers Stock2Shop with the code, and the order becomes ``answered``.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.database.open import open_writer
from engine.errors import ConfigError, RenderError, SourceError, SyncError, WriteError
from engine.orders.entry import NO_DOUBT, PENDING_STATUSES
from engine.orders.identity import order_id_of
from engine.orders.ledger import add_seconds
from engine.orders.prepare import prepare_order
from engine.orders.raise_order import Attempt, EarlierAttempt, SupersededError, raise_order
from engine.orders.rules import MAY_BE_THERE_RULES, RuleError, check_order
from engine.orders.session import make_strict
from engine.orders.settings import order_settings
from engine.orders.statement_checks import check_statements
from engine.orders.statements import list_statements, statement_exists

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.database.connection import Writer
    from engine.model.settings import Project
    from engine.orders.document import Order
    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledger
    from engine.orders.prepare import PreparedOrder
    from engine.orders.raise_order import RaisedOrder

log = logging.getLogger(__name__)

IMMEDIATE_RETRY_SECONDS = (0.1, 0.4, 1.6)
"""Pauses before an order that met a deadlock or a lost connection is tried again at once."""


def crash_point(_name: str) -> None:
    """Do nothing; the tests replace it, to let a process die at each point where that matters."""


def find_known_code(ledger: Ledger, entry: Entry, order: Order) -> str | None:
    """Return the code under which Stock2Shop knows an order to be in this source already; None where it knows none.

    Raises :class:`RuleError` where the ledger has the order under another id, or the code is another order's.
    """
    if entry.approved_by:
        return None
    twin = ledger.find_twin(entry.order_id)
    if twin is not None:
        raised = f", raised as {twin.source_order_code}" if twin.source_order_code else ""
        raise RuleError("arrived_twice", f"it is order {twin.order_id}{raised}")
    code = None if entry.uncertain else order.source_order_code
    if code is None or ledger.former.was_raised_elsewhere(entry.order_id, code, unless=known_already(code)):
        return None
    holder = ledger.find_order_with_code(code, besides=entry.order_id)
    if holder is not None:
        raise RuleError("code_taken", f"Stock2Shop says {code}, which is the code of order {holder.order_id}")
    former = ledger.former.find_with_code(code, besides=entry.order_id)
    if former is not None:
        raise RuleError("code_taken", f"Stock2Shop says {code}, which is the code of {former.title}")
    return code


def known_already(code: str) -> str:
    """Say why an order counts as raised that was not raised here."""
    return f"Stock2Shop knows it as {code} already"


class OrderProcessor:
    """Raises orders of one project, one after the other, each over a connection of its own.

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
        held = RuleError("held")
        ledger.receive(order_id, document, via=via, held_for=(held.rule, held.reason))
        return ledger.get_entry(order_id)

    def prepare(self, ledger: Ledger, order_id: int) -> PreparedOrder | None:
        """Do what can be done before an order's turn (step 3), while others may be raised; None if it is not pending.

        Raises :class:`UsageError` for an id that is not known.
        """
        return prepare_order(self.project, self.settings, ledger, order_id)

    def raise_one(self, ledger: Ledger, order_id: int, prepared: PreparedOrder | None = None) -> Entry:
        """Raise one order if it is pending (steps 3 to 7); return what became of it.

        ``prepared`` is what :meth:`prepare` returned, where that was called before.
        """
        prepared = prepared or self.prepare(ledger, order_id)
        with ledger.raising():
            try:
                return self._raise_pending(ledger, order_id, prepared)
            finally:
                # A session's variables, temporary tables and last identity are this order's, and no other's; and an
                # open file would lock other programs out.
                self.close()

    def _raise_pending(self, ledger: Ledger, order_id: int, prepared: PreparedOrder | None) -> Entry:
        ledger.take_correction(order_id, doubtful_rules=MAY_BE_THERE_RULES)
        entry = ledger.get_entry(order_id)
        while entry.status in PENDING_STATUSES:
            if prepared is None or not prepared.is_current(ledger):
                prepared = self.prepare(ledger, order_id)
            assert prepared is not None  # the order is pending, and the lock is held
            self._raise(ledger, entry, prepared)
            ledger.take_correction(order_id, doubtful_rules=MAY_BE_THERE_RULES)
            entry = ledger.get_entry(order_id)
            if entry.status != "received":
                break
        return entry

    def _raise(self, ledger: Ledger, entry: Entry, prepared: PreparedOrder) -> None:
        order_id = entry.order_id
        grace_ends = self._grace_end(ledger, entry)
        if grace_ends and grace_ends > ledger.now():
            self._postpone(ledger, entry, grace_ends)
            return
        earlier = _earlier_attempt(entry)
        order = prepared.order
        if prepared.raw is None:
            self._wait(ledger, order_id, RuleError("no_document"), earlier)
            return
        try:
            code = find_known_code(ledger, entry, order)
            if code is not None:
                ledger.move(
                    order_id,
                    "raised",
                    reason=known_already(code),
                    source_order_code=code,
                    source_customer_code=order.customer["code"],
                    raised_at=ledger.now(),
                    **NO_DOUBT,
                )
                return
            check_order(self.project, order, self.settings, approved=bool(entry.approved_by))
        except RuleError as broken:
            self._wait(ledger, order_id, broken, earlier)
            return
        if entry.status != "raising":
            ledger.move(order_id, "raising")
        crash_point("before the transaction")
        attempt = Attempt(
            project=self.project,
            settings=self.settings,
            order=order,
            rendered=prepared.rendered,
            superseded=ledger.has_newer_content(order_id),
            earlier=earlier,
            find_holder=lambda code: ledger.find_order_with_code(code, besides=order_id),
            find_former_holder=lambda code: ledger.former.find_with_code(code, besides=order_id),
            before_commit=lambda code: ledger.mark_commit_sent(order_id, code),
            crash_point=crash_point,
        )
        try:
            raised = self._raise_with_retry(attempt)
        except SupersededError:
            ledger.take_newest_content(order_id, **{**NO_DOUBT, "rolled_back": 1})
            newest = self.prepare(ledger, order_id)
            assert newest is not None  # it is being raised
            self._raise(ledger, ledger.get_entry(order_id), newest)
        except RuleError as broken:
            self._wait(ledger, order_id, broken, attempt.earlier)
        except (WriteError, SourceError, ConfigError) as error:
            self._handle_error(ledger, order_id, error, attempt.earlier)
        except SyncError:
            raise
        except Exception as error:  # noqa: BLE001 - it would hold up all orders behind this one
            self._handle_unexpected_error(ledger, order_id, error, attempt.earlier)
        else:
            crash_point("after the commit")
            ledger.move(
                order_id,
                "raised",
                reason="found in the database" if raised.found else "",
                source_order_code=raised.source_order_code,
                source_customer_code=raised.source_customer_code,
                raised_at=ledger.now(),
                notes=attempt.notes,
                **NO_DOUBT,
            )

    def _raise_with_retry(self, attempt: Attempt) -> RaisedOrder:
        """Raise an order; try again at once, a few times, where the database could not take it just then."""
        has_lookup = statement_exists(attempt.path("lookup"))
        pauses = iter(IMMEDIATE_RETRY_SECONDS)
        while True:
            if not has_lookup and (attempt.earlier.commit_sent or attempt.earlier.interrupted):
                raise RuleError("uncertain")
            attempt.wrote = False
            try:
                attempt.writer = self._connect()
                return raise_order(attempt)
            except WriteError as error:
                self.close()
                pause = next(pauses, None)
                # That a commit may have succeeded is stored in the ledger before anything else is tried.
                if not error.retriable or error.uncertain or pause is None:
                    raise
                time.sleep(pause)
            finally:
                if attempt.wrote:
                    attempt.earlier = replace(attempt.earlier, rolled_back=True)
                if self._writer is not None:
                    self._writer.rollback()

    def _grace_end(self, ledger: Ledger, entry: Entry) -> str:
        """Return until when an order may not be looked up, because its commit may still be on its way; or ""."""
        # A file has no network before it: nothing is on its way there when a process has died.
        arrives_at_once = self.settings.source.database is not None and not ledger.holders_may_return
        if entry.commit_sent_at is None or arrives_at_once:
            return ""
        return self._end_of_grace(entry.commit_sent_at)

    def _end_of_grace(self, sent_at: str) -> str:
        return add_seconds(sent_at, self.settings.commit_grace)

    def _postpone(self, ledger: Ledger, entry: Entry, until: str) -> None:
        """Let an order wait until its commit cannot be on its way any more."""
        if entry.status == "failed" and (entry.next_attempt_at or "") >= until:
            return
        if entry.status != "raising":
            ledger.move(entry.order_id, "raising")
        reason = f"its commit was not confirmed; it is looked up in the database after {until[:19]} UTC"
        ledger.move(entry.order_id, "failed", reason=reason, next_attempt_at=until)

    def _handle_error(
        self, ledger: Ledger, order_id: int, error: WriteError | SourceError | ConfigError, earlier: EarlierAttempt
    ) -> None:
        """Let an order that met an error be retried automatically, or wait where it would meet it again."""
        if isinstance(error, RenderError):
            self._handle_template_error(ledger, order_id, error, earlier)
            return
        self.close()
        if not isinstance(error, WriteError):
            self._fail(ledger, order_id, error.message, earlier)
        elif error.uncertain:
            self._fail_in_doubt(ledger, order_id, error.message)
        elif error.retriable or self._is_transient(error.message):
            self._fail(ledger, order_id, error.message, earlier)
        else:
            self._wait(ledger, order_id, RuleError("refused", error.message), earlier)

    def _handle_unexpected_error(
        self, ledger: Ledger, order_id: int, error: Exception, earlier: EarlierAttempt
    ) -> None:
        """Let an order be retried that met an error which nobody expected; its text may hold personal data."""
        self.close()
        reason = f"An unexpected error occurred: {type(error).__name__}."
        log.error("Order %d cannot be raised. %s", order_id, reason)
        if ledger.get_entry(order_id).uncertain:
            self._fail_in_doubt(ledger, order_id, reason)
        else:
            self._fail(ledger, order_id, reason, earlier)

    def _handle_template_error(
        self, ledger: Ledger, order_id: int, error: RenderError, earlier: EarlierAttempt
    ) -> None:
        """Let the order wait where only this order cannot be rendered; else retry, for somebody fixes the statement."""
        if any(problem.severity == "error" for problem in check_statements(self.project, self.settings)):
            self._fail(ledger, order_id, error.message, earlier)
        else:
            self._wait(ledger, order_id, RuleError("template", error.message), earlier)

    def _is_transient(self, message: str) -> bool:
        """Return whether the project says that such an error passes, as where a month's end closes the books."""
        return any(part.casefold() in message.casefold() for part in self.settings.transient_errors)

    @staticmethod
    def _fail(ledger: Ledger, order_id: int, reason: str, earlier: EarlierAttempt) -> None:
        ledger.mark_failed(order_id, reason=reason, **_doubt(earlier))

    def _fail_in_doubt(self, ledger: Ledger, order_id: int, reason: str) -> None:
        """Note that the commit of an order was sent and not confirmed."""
        # It may have been sent until now: the network tries for a quarter of an hour.
        ended = ledger.now()
        ledger.mark_failed(order_id, reason=reason, not_before=self._end_of_grace(ended), commit_sent_at=ended)

    @staticmethod
    def _wait(ledger: Ledger, order_id: int, broken: RuleError, earlier: EarlierAttempt) -> None:
        ledger.move(order_id, "waiting", rule=broken.rule, reason=broken.reason, **_doubt(earlier))

    def _connect(self) -> Writer:
        if self._writer is None:
            self._writer = self._stack.enter_context(open_writer(self.settings.source))
            make_strict(self._writer, self.settings.source.dialect)
        return self._writer


def _earlier_attempt(entry: Entry) -> EarlierAttempt:
    """Return what the ledger knows of earlier attempts.

    An order that was left in ``raising`` without its commit sent is not in the database, unless a table undoes nothing
    or a procedure commits by itself: the same as if it had been rolled back.
    """
    interrupted = entry.status == "raising"
    return EarlierAttempt(
        expected_code=entry.expected_code,
        commit_sent=entry.uncertain,
        rolled_back=entry.rolled_back or (interrupted and not entry.uncertain),
        interrupted=interrupted,
    )


def _doubt(earlier: EarlierAttempt) -> dict[str, Any]:
    """Return the ledger's columns for an order of which nothing was committed in this attempt."""
    if not earlier.commit_sent:
        return {**NO_DOUBT, "rolled_back": int(earlier.rolled_back)}
    return {"rolled_back": int(earlier.rolled_back)}
