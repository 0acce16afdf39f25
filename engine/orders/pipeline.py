"""The way back, top to bottom: an order of Stock2Shop's is raised in the client's database, exactly once.

    receive ─▶ ledger ─▶ check ─▶ lookup ─▶ raise ─▶ ledger ─▶ answer

Whatever brings an order in, it is kept in the ledger before anything else, each id once. Raising is one at a time. A
process that dies between the commit and the ledger leaves the order in ``raising``; the next one asks the database,
through ``orders/lookup.sql``, whether it is there.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.database.open import open_writer
from engine.errors import ConfigError, OrderError, SourceError, UsageError, WriteError
from engine.files import is_dir, is_file, listed
from engine.orders import document as inbox
from engine.orders.ledger import PENDING_STATUSES, now, open_ledger, raising_lock
from engine.orders.plan import planned_queries
from engine.orders.raise_order import raise_order
from engine.orders.rules import RuleError, check_order
from engine.orders.statements import is_there, statements

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.database.connection import Writer
    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.ledger import Entry, Ledger
    from engine.orders.raise_order import Raised

QUICK = (0.1, 0.4, 1.6)
"""Seconds to wait before an order that met a deadlock or a lost connection is tried again at once."""


def at_boundary(_name: str) -> None:
    """Called at each point where a process may die, so that the tests can let it die there; it does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What raising an order would run: the statements with their values, or the rule that it breaks."""

    order_id: int
    queries: tuple[tuple[Path, Query], ...]
    rule: str = ""
    reason: str = ""


def settings_of(project: Project) -> OrderSettings:
    """How the project raises orders. Raises :class:`UsageError` where it does not."""
    if project.orders is None:
        raise UsageError(
            f"{project.name} raises no orders.",
            hint="Write an [orders] table in its project.toml, and the statements in orders/.",
        )
    return project.orders


class Raiser:
    """Raises orders of one project, one after the other, over one connection as long as that holds."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.settings = settings_of(project)
        statements(project)
        self._stack = ExitStack()
        self._writer: Writer | None = None

    def close(self) -> None:
        """Give the connection back."""
        self._writer = None
        self._stack.close()

    def receive(self, ledger: Ledger, document: Mapping[str, Any], *, via: str) -> Entry:
        """Keep an order and raise it, unless it is known; gives what became of it.

        An order that is known and was not raised for a passing reason is tried again.
        """
        order_id = inbox.order_id_of(document)
        ledger.receive(order_id, document, via=via)
        at_boundary("after receipt")
        return self.raise_one(ledger, order_id)

    def hold(self, ledger: Ledger, document: Mapping[str, Any], *, via: str) -> Entry:
        """Keep an order and let it wait, unless it is known; gives where it stands."""
        order_id = inbox.order_id_of(document)
        if ledger.receive(order_id, document, via=via):
            self._wait(ledger, order_id, RuleError("held"), uncertain=False)
        return ledger.entry(order_id)

    def raise_one(self, ledger: Ledger, order_id: int) -> Entry:
        """Raise one order if it is still to be raised; gives what became of it."""
        with raising_lock(self.project):
            entry = ledger.entry(order_id)
            if entry.standing in PENDING_STATUSES:
                self._raise(ledger, entry)
                if self.settings.source.database is not None:
                    self._drop()  # an open file keeps other programs out
            return ledger.entry(order_id)

    def _raise(self, ledger: Ledger, entry: Entry) -> None:
        order_id = entry.order_id
        # Whether the database may have the order already; it stays so until the database was asked.
        uncertain = entry.uncertain or entry.standing == "raising"
        document = ledger.document(order_id) or {"id": str(order_id)}
        try:
            order = inbox.read(document, self.settings, source_id=self.project.stock2shop.source_id)
            check_order(self.project, order, self.settings)
        except RuleError as broken:
            self._wait(ledger, order_id, broken, uncertain=uncertain)
            return
        if entry.standing != "raising":
            ledger.move(order_id, "raising", uncertain=int(uncertain))
        at_boundary("before the transaction")
        try:
            raised = self._tried(order, uncertain=uncertain)
        except RuleError as broken:
            self._wait(ledger, order_id, broken, uncertain=uncertain)
        except WriteError as error:
            self._drop()
            if error.retriable:
                ledger.fail(order_id, reason=error.message, uncertain=uncertain or error.uncertain)
            else:
                self._wait(ledger, order_id, RuleError("refused", error.message), uncertain=uncertain)
        except (SourceError, ConfigError) as error:
            self._drop()
            ledger.fail(order_id, reason=error.message, uncertain=uncertain)
        else:
            at_boundary("after the commit")
            ledger.move(
                order_id,
                "raised",
                reason="found in the database" if raised.found else "",
                uncertain=0,
                source_order_code=raised.source_order_code,
                source_customer_code=raised.source_customer_code,
                raised_at=now(),
            )

    def _tried(self, order: Order, *, uncertain: bool) -> Raised:
        """Raise an order, again after a moment where the database could not take it just then."""
        has_lookup = is_there(self.project.root / "orders" / "lookup.sql")
        pauses = iter(QUICK)
        while True:
            if uncertain and not has_lookup:
                raise RuleError("uncertain")
            try:
                return raise_order(self.project, self.settings, order, self._connected(), at=at_boundary)
            except WriteError as error:
                self._drop()
                pause = next(pauses, None)
                # What a commit left open goes to the ledger first: it must outlive whatever comes next.
                if not error.retriable or error.uncertain or pause is None:
                    raise
                time.sleep(pause)
            finally:
                if self._writer is not None:
                    self._writer.rollback()

    def _connected(self) -> Writer:
        if self._writer is None:
            self._writer = self._stack.enter_context(open_writer(self.settings.source))
        return self._writer

    def _drop(self) -> None:
        self._writer = None
        self._stack.close()

    @staticmethod
    def _wait(ledger: Ledger, order_id: int, broken: RuleError, *, uncertain: bool) -> None:
        ledger.move(order_id, "waiting", rule=broken.rule, reason=broken.reason, uncertain=int(uncertain))


def raise_due(project: Project, *, stop: threading.Event) -> list[Entry]:
    """Raise every order that is due; gives what became of them."""
    done = []
    with open_ledger(project) as ledger, closing(Raiser(project)) as raiser:
        for entry in ledger.due():
            if stop.is_set():
                break
            done.append(raiser.raise_one(ledger, entry.order_id))
        ledger.prune(keep_days=raiser.settings.keep_days)
    return done


def take_files(
    project: Project, path: Path, *, stop: threading.Event, hold: bool = False
) -> Iterator[tuple[Path, Entry | None, str]]:
    """Raise the orders in a JSON file, or in each ``*.json`` of a folder; gives each with what is wrong with it.

    The files stay where they are: one that comes again is known by its order's id. Orders of before that are due
    come last, under ``path`` itself. With ``hold`` nothing is raised: new orders wait to be retried.
    """
    files = listed(path, "*.json") if is_dir(path) else [path]
    if not files or not all(map(is_file, files)):
        raise UsageError(f"There is no order in {path}.", hint="Name a JSON file, or a folder of them.")
    with open_ledger(project) as ledger, closing(Raiser(project)) as raiser:
        for file in files:
            if stop.is_set():
                return
            try:
                document = inbox.parse(file.read_bytes())
            except OrderError as error:
                yield file, None, error.message
                continue
            except OSError as error:
                yield file, None, f"The file cannot be read: {error.strerror}."
                continue
            take = raiser.hold if hold else raiser.receive
            yield file, take(ledger, document, via="import"), ""
        for entry in () if hold else ledger.due():
            if stop.is_set():
                return
            yield path, raiser.raise_one(ledger, entry.order_id), ""
        ledger.prune(keep_days=raiser.settings.keep_days)


def retry(project: Project, order_ids: tuple[int, ...], *, stop: threading.Event) -> list[Entry]:
    """Raise orders that wait or failed; where none is named, all of them and all that are due.

    Gives what became of them.
    """
    with open_ledger(project) as ledger, closing(Raiser(project)) as raiser:
        entries = [ledger.entry(each) for each in order_ids] or ledger.entries("standing in ('waiting', 'failed')")
        done = [] if order_ids else [raiser.raise_one(ledger, entry.order_id) for entry in ledger.due()]
        entries = [entry for entry in entries if entry.order_id not in {each.order_id for each in done}]
        for entry in entries:
            if stop.is_set():
                break
            # What nobody has finished needs no leave to go on: raising it waits for whoever may be at it.
            if entry.standing not in {"received", "raising"}:
                # Who retries an order that nobody knows to be there has looked.
                looked = {"uncertain": 0} if entry.rule == "uncertain" else {}
                ledger.move(entry.order_id, "received", reason="retried by hand", **looked)
            done.append(raiser.raise_one(ledger, entry.order_id))
        return done


def skip(project: Project, order_id: int, *, code: str | None = None) -> Entry:
    """Raise an order no more; with ``code`` it counts as raised by hand under that code, and is answered so."""
    settings_of(project)
    if code is not None and not (code.strip() and code.isprintable()):
        raise UsageError("An order cannot have a blank code.", hint="Give the code that it has in the database.")
    with open_ledger(project) as ledger:
        if code is None:
            ledger.move(order_id, "skipped", reason="skipped by hand")
        else:
            ledger.move(order_id, "raised", reason="raised by hand", source_order_code=code.strip(), raised_at=now())
        return ledger.entry(order_id)


def planned(project: Project, order_ids: tuple[int, ...]) -> list[Planned]:
    """What raising would run, for the orders that are named, else for all that are due or wait; runs nothing."""
    settings = settings_of(project)
    statements(project)
    found = []
    with open_ledger(project) as ledger:
        entries = [ledger.entry(each) for each in order_ids] or ledger.entries(
            "standing in ('received', 'waiting', 'failed', 'raising')"
        )
        for entry in entries:
            document = ledger.document(entry.order_id)
            if document is None:
                continue
            order = inbox.read(document, settings, source_id=project.stock2shop.source_id)
            rule = reason = ""
            try:
                check_order(project, order, settings)
            except RuleError as broken:
                rule, reason = broken.rule, broken.reason
            found.append(
                Planned(
                    order_id=entry.order_id,
                    queries=() if rule == "unreadable" else tuple(planned_queries(project, settings, order)),
                    rule=rule,
                    reason=reason,
                )
            )
    return found
