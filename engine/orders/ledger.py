"""The order ledger: what is known of each order of a project, by its Stock2Shop id.

Every change is on a disk before the method that makes it returns. An order changes its status only as
:data:`~engine.orders.entry.TRANSITIONS` allows. Where the rows are, and who may raise orders, is the ledger's
:class:`~engine.orders.ledger_store.LedgerStore`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import UsageError
from engine.orders.corrections import list_corrections
from engine.orders.document import parse_document, read_modified, says_cancelled
from engine.orders.entry import ENTRY_COLUMNS, FINISHED_STATUSES, TRANSITIONS, Entry, read_entry
from engine.orders.former import HAS_NUMBER, FormerOrders
from engine.orders.identity import DERIVED_IDS, channel_key_of, is_derived
from engine.orders.ledger_table import LedgerTable
from engine.orders.origin import bind, rebind, recorded_origin
from engine.run_log.record import RunLog, record_order_changes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal
    from pathlib import Path

    from engine.database.origin import Origin
    from engine.errors import SyncError
    from engine.model.settings import Project
    from engine.orders.entry import OrderStatus
    from engine.orders.ledger_store import LedgerStore
    from engine.orders.origin import ReboundLedger

RETRY_DELAY_MINUTES = (1, 5, 30, 120, 600)
"""Minutes until a failed order is due again, after the first failure, the second and so on; the last one repeats."""


class Ledger:
    """An open ledger, to be used by one thread; ``state_folder`` is that of the run log, which has each change as well.

    Its orders are those of ``origin``; without one it is only looked at, and they may be anyone's. ``former`` are those
    that are put aside.

    Each method raises :class:`StateError` or :class:`FleetError` where the rows cannot be used,
    :class:`StateLockedError` where another process keeps them locked, and :class:`OriginChangedError` where its orders
    are another account's or database's, as opening it does.
    """

    def __init__(self, store: LedgerStore, project: str, state_folder: Path, *, origin: Origin | None) -> None:
        self._store = store
        self._project = project
        self._origin = origin
        self._orders = LedgerTable(store, "orders")
        self._transitions = LedgerTable(store, "transitions")
        self._maintenance = LedgerTable(store, "maintenance")
        self.former = FormerOrders(store, origin)
        self._run_log = RunLog(state_folder)
        self._noted: list[tuple[int, str, str]] = []

    def close(self) -> None:
        """Close what the ledger needs."""
        self._store.close()
        self._run_log.close()

    def bind(self) -> None:
        """Have the ledger belong to its origin, if it has one, or raise :class:`OriginChangedError`."""
        recorded = self.belongs_to()
        if self._origin is not None and (recorded is None or not self._origin.is_same(recorded)):
            with self._change():
                pass

    def belongs_to(self) -> Origin | None:
        """Return the account and the database of its orders; None where it does not know yet."""
        return recorded_origin(self._store)

    def rebind(self, origin: Origin, *, forget: bool) -> ReboundLedger:
        """Have the ledger belong to ``origin``, whatever it belonged to, once no order is being raised.

        With ``forget`` its orders are put aside, and without it they are those of ``origin``.
        """
        with self._store.raising(), self._store.change():
            return rebind(self._store, self.former, origin, forget=forget, at=self.now(), project=self._project)

    @property
    def holders_may_return(self) -> bool:
        """Whether a process that lost its turn to raise orders may still be alive, and wake up later."""
        return self._store.holders_may_return

    def now(self) -> str:
        """Return the time in UTC, to the millisecond, as the ledger keeps all times, by the clock that it goes by."""
        return self._store.now()

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Have the turn to raise orders of the project: whoever has it, and finds an order in ``raising``, goes on.

        Nobody rebinds the ledger meanwhile. Raises :class:`StateLockedError` where others have it for minutes.
        """
        with self._store.raising():
            self.bind()
            yield

    def receive(
        self, order_id: int, document: Mapping[str, Any], *, via: str, held_for: tuple[str, str] | None = None
    ) -> bool:
        """Store an order as ``received`` and return True; return False where its id is known already.

        With ``held_for``, a rule and its reason, a new order is ``waiting`` from the beginning, so that nobody raises
        it. Until an order is raised its newest content counts: other content replaces the document, and an order that
        waits for it is received again. Once it is raised, or may be, other content is kept beside the document. A
        document that was deleted is kept again.
        """
        raw = json.dumps(document, default=_format_number, sort_keys=True).encode()
        with self._change():
            known = self._find("document, latest, status, uncertain, rule", order_id)
            if known is None:
                self._orders.insert(
                    order_id=order_id,
                    status="received",
                    via=via,
                    document=raw,
                    received_at=self.now(),
                    channel_key=channel_key_of(document),
                )
                self._note(order_id, "received", f"by {via}")
                if held_for is not None:
                    rule, reason = held_for
                    self._set(order_id, status="waiting", rule=rule, reason=reason)
                    self._note(order_id, "waiting", reason)
            elif known[0] is None:
                self._set(order_id, document=raw)
                if known[4] == "no_document":
                    self._receive_again(order_id)
            elif raw not in {bytes(each) for each in known[:2] if each is not None}:
                self._receive_other_content(order_id, document, raw, known)
            return known is None

    def _receive_other_content(
        self, order_id: int, document: Mapping[str, Any], raw: bytes, known: Sequence[Any]
    ) -> None:
        stored, latest, status, uncertain, rule = known
        newest = parse_document(bytes(latest or stored))
        received = parse_document(raw)
        unfinished = status not in FINISHED_STATUSES
        # Which source has an order under which code says something until it is raised here.
        if not (
            list_corrections(newest, document) or (unfinished and newest.get("sources") != received.get("sources"))
        ):
            return
        before, after = read_modified(newest), read_modified(received)
        if before is not None and after is not None and after < before:
            self._set(order_id, note="An older version of it arrived later, and was not used.")
        elif status in FINISHED_STATUSES or status == "raising" or uncertain:
            what = "was cancelled" if says_cancelled(received) else "arrived with other content"
            done = "skipped" if status == "skipped" else "raised"
            note = f"It {what} after it was {done}: s2s orders show shows what changed."
            self._set(order_id, latest=raw, note=note)
        else:
            self._replace_content(order_id, raw, approved_by="")
            if status == "waiting" and rule != "held":
                self._receive_again(order_id)

    def move(
        self, order_id: int, status: OrderStatus, *, reason: str = "", notes: Sequence[str] = (), **facts: object
    ) -> None:
        """Change an order's status, together with ``reason`` and further columns of the ledger.

        ``notes`` are added to its note, which may say by now that it arrived again. Raises :class:`UsageError` where
        its present status does not allow that.
        """
        before = [name for name, after in TRANSITIONS.items() if status in after]
        with self._change():
            values: dict[str, object] = {
                "rule": "",
                "next_attempt_at": None,
                "finished_at": self.now() if status in FINISHED_STATUSES else None,
                **facts,
                "status": status,
                "reason": reason,
            }
            known = self._find("note", order_id) if notes else None
            if known is not None:
                values["note"] = " ".join([*(each for each in notes if each not in known[0]), known[0]]).strip()
            condition = f"order_id = ? and status in ({', '.join('?' * len(before))})"
            if not self._orders.update(values, condition, order_id, *before):
                entry = self.get_entry(order_id)
                hint = "`s2s orders show` shows its history."
                if entry.status == "raising":
                    hint = (
                        "A process is raising it now, or died doing so; `s2s orders retry` finds out what became of it."
                    )
                raise UsageError(f"Order {order_id} is {entry.status}: it cannot become {status}.", hint=hint)
            self._note(order_id, status, reason)

    def reopen(self, order_id: int, *, by: str) -> None:
        """Set an order to ``received`` from any status but ``raising``, because ``by`` wants it to be raised.

        What is known of attempts that nobody confirmed stays: a commit may still be on its way. Raises
        :class:`UsageError` where a process is raising it.
        """
        entry = self.get_entry(order_id)
        with self._change():
            gone = ("next_attempt_at", "finished_at", "raised_at", "answered_at", "source_order_code", "gone_at")
            columns = {"status": "received", "rule": "", "reason": "", "approved_by": by, **dict.fromkeys(gone)}
            if not self._orders.update(columns, "order_id = ? and status <> 'raising'", order_id):
                raise UsageError(f"Order {order_id} is being raised now.", hint="Look again with `s2s orders show`.")
            former = f"; it was {entry.status} as {entry.source_order_code}" if entry.source_order_code else ""
            self._note(order_id, "received", f"to be raised on purpose, by {by}{former}")

    def mark_commit_sent(self, order_id: int, code: str) -> None:
        """Note that the commit of an order that is being raised as ``code`` is sent now.

        From here on the order may be in the database, whatever becomes of this process.
        """
        with self._change():
            columns = {"commit_sent_at": self.now(), "expected_code": code, "uncertain": 1}
            self._orders.update(columns, "order_id = ? and status = 'raising'", order_id)

    def mark_gone(self, order_id: int, *, gone: bool) -> None:
        """Note whether a raised order is gone from the database; once it is, until it is there again."""
        with self._change():
            columns = {"gone_at": self.now() if gone else None}
            if self._orders.update(columns, f"order_id = ? and gone_at is {'null' if gone else 'not null'}", order_id):
                status = self.get_entry(order_id).status
                self._note(order_id, status, "gone from the database" if gone else "in the database again")

    def find_order_with_code(self, code: str, *, besides: int) -> Entry | None:
        """Return another order than ``besides`` that was raised as ``code``, or may have been; None for none.

        Orders that are gone from the database do not count: after a restore it gives their codes to others.
        """
        condition = "order_id <> ? and gone_at is null and (source_order_code = ? or expected_code = ?)"
        found = self.list_entries(condition, besides, code, code)
        return next((entry for entry in found if entry.source_order_code == code), found[0] if found else None)

    def find_twin(self, order_id: int) -> Entry | None:
        """Return the same order under another id: one of the two has an id that was derived from its channel.

        None where there is none, or it was skipped, or waits because of this one.
        """
        own = self._find("channel_key", order_id)
        if own is None or own[0] is None:
            return None
        between = "not between" if is_derived(order_id) else "between"
        found = self.list_entries(
            f"order_id <> ? and channel_key = ? and order_id {between} ? and ?"
            " and status <> 'skipped' and rule <> 'arrived_twice'",
            *(order_id, own[0], DERIVED_IDS.start, DERIVED_IDS.stop - 1),
        )
        return found[0] if found else None

    def mark_answered(self, order_id: int, *, via: str = "") -> None:
        """Note that Stock2Shop was told the order's code; do nothing where another process noted it first.

        ``via`` is the way on which it was told, where that may be another one than the order came by.
        """
        with self._change():
            columns = {"status": "answered", "answered_at": self.now(), **({"via": via} if via else {})}
            condition = "order_id = ? and (status = 'raised' or (status = 'answered' and ? not in ('', via)))"
            if self._orders.update(columns, condition, order_id, via):
                self._note(order_id, "answered", f"by {via}" if via else "")

    def mark_failed(self, order_id: int, *, reason: str, not_before: str = "", **facts: Any) -> None:
        """Note that raising failed for now. The order is due again after :data:`RETRY_DELAY_MINUTES`.

        It is not due before ``not_before``, a time in UTC. ``facts`` are further columns of the ledger.
        """
        attempts = self.get_entry(order_id).attempts + 1
        minutes = RETRY_DELAY_MINUTES[min(attempts, len(RETRY_DELAY_MINUTES)) - 1]
        due = add_seconds(self.now(), minutes * 60)
        self.move(
            order_id,
            "failed",
            reason=reason,
            attempts=attempts,
            next_attempt_at=max(due, not_before),
            **facts,
        )

    def get_entry(self, order_id: int) -> Entry:
        """Return one order. Raises :class:`UsageError` for an id that is not known."""
        found = self.list_entries("order_id = ?", order_id)
        if not found:
            self.bind()  # somebody may have rebound the ledger since the order was received
            hint = self.former.whereabouts(self._project, order_id) or "`s2s orders list` shows what there is."
            raise UsageError(f"There is no order {order_id} in the ledger.", hint=hint)
        return found[0]

    def list_entries(self, condition: str = "true", *values: object) -> list[Entry]:
        """Return the orders that fit an SQL condition, by id."""
        return [read_entry(row) for row in self._orders.select(ENTRY_COLUMNS, condition, values, "order by order_id")]

    def find_entries(self, number: str) -> list[Entry]:
        """Return the orders with a number: Stock2Shop's id, the channel's, or the order's code in the database."""
        return self.list_entries(HAS_NUMBER, *(number,) * 4)

    def list_newest(self, *, status: str | None = None, limit: int) -> list[Entry]:
        """Return the ``limit`` newest orders, of one status or of all, by id."""
        condition, values = ("true", []) if status is None else ("status = ?", [status])
        newest = f"order by received_at desc, order_id desc limit {limit}"
        rows = self._orders.select(ENTRY_COLUMNS, condition, values, newest)
        return sorted(map(read_entry, rows), key=lambda entry: entry.order_id)

    def list_due(self) -> list[Entry]:
        """Return what should be raised now: new orders, failed ones that are due, and those whose process died."""
        return self.list_entries(
            "status in ('received', 'raising') or (status = 'failed' and next_attempt_at <= ?)", self.now()
        )

    def load_document(self, order_id: int) -> dict[str, Any] | None:
        """Return the document as it was received; None where it was deleted after ``keep_days``."""
        raw = self.load_raw_document(order_id)
        return None if raw is None else parse_document(raw)

    def load_raw_document(self, order_id: int) -> bytes | None:
        """Return the document's JSON; None where it was deleted after ``keep_days``."""
        found = self._find("document", order_id)
        return None if found is None or found[0] is None else bytes(found[0])

    def has_newer_content(self, order_id: int) -> bool:
        """Return whether other content than the document arrived while the order was raised, or may have been."""
        found = self._find("latest", order_id)
        return found is not None and found[0] is not None

    def take_newest_content(self, order_id: int, **columns: object) -> None:
        """Let the newest content of an order count, which is not in the database; ``columns`` change with it."""
        if not self.has_newer_content(order_id):
            return
        with self._change():
            found = self._find("latest", order_id)
            if found is not None and found[0] is not None:
                self._replace_content(order_id, found[0], **columns)

    def take_correction(self, order_id: int, *, doubtful_rules: Collection[str]) -> None:
        """Let content count that arrived while an order was being raised in vain.

        An order that waits is received again with it. Nothing changes where the order may be in the database, as one
        may that waits for one of ``doubtful_rules``.
        """
        if not self.has_newer_content(order_id):
            return
        with self._change():
            found = self._find("latest, status, rule, uncertain", order_id)
            if found is None or found[0] is None or found[3] or found[2] in doubtful_rules:
                return
            latest, status = found[:2]
            if status in {"waiting", "failed"}:
                self._replace_content(order_id, latest, approved_by="")
            elif status == "received":
                self._replace_content(order_id, latest)
            if status == "waiting":
                self._receive_again(order_id)

    def _replace_content(self, order_id: int, raw: bytes, **columns: object) -> None:
        note = "Its content changed before it was raised."
        self._set(order_id, document=raw, latest=None, note=note, **columns)

    def _receive_again(self, order_id: int) -> None:
        self._set(order_id, status="received", rule="", reason="")
        self._note(order_id, "received", "with other content")

    def corrections(self, order_id: int) -> list[tuple[str, Any, Any]]:
        """Return what the newest content of an order has changed after it was raised: path, before and after."""
        found = self._find("document, latest", order_id)
        if found is None or None in found:
            return []
        return list_corrections(*(parse_document(bytes(raw)) for raw in found))

    def status_history(self, order_id: int) -> list[tuple[str, str, str]]:
        """Return the order's past as (time in UTC, status, reason), the oldest first."""
        return self._transitions.select("at, status, reason", "order_id = ?", [order_id], "order by rowid")

    def prune(self, *, keep_days: int) -> None:
        """Delete the documents of orders that were finished ``keep_days`` ago: they hold personal data. Once a day."""
        now = self.now()
        if self._maintenance.select("1", "task = 'prune' and done_at > ?", [add_seconds(now, -86_400)]):
            return
        with self._change():
            before = add_seconds(now, -86_400 * keep_days)
            self._orders.update({"document": None, "latest": None}, "document is not null and finished_at < ?", before)
            self.former.prune(before=before)
            if not self._maintenance.update({"done_at": now}, "task = 'prune'"):
                self._maintenance.insert(task="prune", done_at=now)

    def _note(self, order_id: int, status: str, reason: str) -> None:
        at = self.now()
        self._transitions.insert(order_id=order_id, at=at, status=status, reason=reason)
        self._noted.append((order_id, at, status))

    def _find(self, columns: str, order_id: int) -> Sequence[Any] | None:
        """Columns of an order; None where it is not known."""
        found = self._orders.select(columns, "order_id = ?", [order_id])
        return found[0] if found else None

    def _set(self, order_id: int, **columns: object) -> None:
        self._orders.update(columns, "order_id = ?", order_id)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Run the block in one transaction, which is on the disk when it ends, or undone; then the run log has it."""
        assert self._origin is not None  # whoever looks at a ledger changes nothing in it
        self._noted.clear()
        with self._store.change():
            bind(self._store, self._origin, project=self._project)
            yield
        if self._noted:
            record_order_changes(self._run_log, self._project, self._noted)


class Ledgers(Protocol):
    """Where the ledgers of a workspace's projects are. Errors are those of :class:`Ledger`."""

    def opened(self, project: Project) -> AbstractContextManager[Ledger]:
        """A project's ledger, opened, and created where there is none.

        Raises :class:`OriginChangedError` where its orders are those of another account than ``project.toml`` names, or
        of another database, and :class:`UsageError` where the project raises no orders.
        """

    def viewed(self, name: str) -> AbstractContextManager[Ledger]:
        """The ledger of the project ``name``, to look at it, or rebind it; its orders may be another account's."""

    def has_ledger(self, project: str) -> bool:
        """Whether a project has a ledger; a look makes none."""

    def count_pending(self, projects: Sequence[str]) -> Mapping[str, Mapping[str, int] | SyncError]:
        """The number of each project's unfinished orders by status, or why its ledger cannot be read."""


def utc_now() -> str:
    """Return the time in UTC, to the millisecond, by the clock of this machine."""
    return _format_time(datetime.now(timezone.utc))


def add_seconds(at: str, seconds: float) -> str:
    """Return a time of the ledger, ``seconds`` later."""
    return _format_time(datetime.fromisoformat(at) + timedelta(seconds=seconds))


def _format_number(number: Decimal) -> str:
    """Write a number with all its digits and without an exponent."""
    return format(number, "f")


def _format_time(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", timespec="milliseconds")
