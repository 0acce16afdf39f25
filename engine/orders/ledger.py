"""The order ledger: what is known of each order of a project, by its Stock2Shop id.

The ledger is a SQLite file beside the state and not the DuckDB state itself: ``s2s orders serve`` runs for months and
must not keep ``s2s run`` out, and several processes receive orders at once. Every change is on the disk before the
method that makes it returns. An order changes its status only as :data:`TRANSITIONS` allows.

Its file is opened, and orders are locked while they are raised, in :mod:`engine.orders.ledger_file`.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from engine.clock import zoned_text
from engine.errors import UsageError
from engine.orders.corrections import list_corrections
from engine.orders.document import parse_document, says_cancelled
from engine.orders.identity import DERIVED_IDS, channel_key_of
from engine.orders.ledger_file import LEDGER_SUFFIX, connect_ledger, translate_errors
from engine.run_log.record import RunLog, record_order_changes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from engine.model.settings import Project

OrderStatus = Literal["received", "raising", "waiting", "failed", "raised", "answered", "skipped"]

TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    "received": frozenset({"raising", "waiting", "raised", "skipped"}),
    "raising": frozenset({"raised", "waiting", "failed"}),
    "waiting": frozenset({"received", "raised", "skipped"}),
    "failed": frozenset({"raising", "received", "raised", "waiting", "skipped"}),
    "raised": frozenset({"answered"}),
    "answered": frozenset(),
    "skipped": frozenset({"received"}),
}
"""The statuses that may follow each status; ``docs/orders.md`` draws them. :meth:`Ledger.reopen` is the exception."""

FINISHED_STATUSES: frozenset[OrderStatus] = frozenset({"raised", "answered", "skipped"})
"""The statuses of orders of which nothing more is to be raised."""

PENDING_STATUSES: frozenset[OrderStatus] = frozenset({"received", "raising", "failed"})
"""The statuses of orders that are raised without anybody asking for it."""

RETRY_DELAY_MINUTES = (1, 5, 30, 120, 600)
"""Minutes until a failed order is due again, after the first failure, the second and so on; the last one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order of the ledger. Times are UTC, as text such as ``2026-01-31 10:20:30.000``.

    ``via`` is how it arrived: serve, pull or import. ``rule`` names the rule that a waiting order breaks, and
    ``reason`` says it in words. ``uncertain`` means that the order may be in the client's database already: its commit
    was sent at ``commit_sent_at``, under ``expected_code``, and never confirmed. ``rolled_back`` means that statements
    were run for it and undone. ``approved_by`` is who had it raised although it was cancelled, or raised before.
    ``attempts`` counts failed attempts to raise it, and ``next_attempt_at`` is when it is due again. ``note`` is what
    an operator should know besides, such as that the order arrived again with other content.
    """

    order_id: int
    status: OrderStatus
    via: str
    rule: str
    reason: str
    uncertain: bool
    attempts: int
    next_attempt_at: str | None
    source_order_code: str | None
    source_customer_code: str | None
    received_at: str
    raised_at: str | None
    answered_at: str | None
    note: str
    expected_code: str | None
    commit_sent_at: str | None
    rolled_back: bool
    approved_by: str
    gone_at: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry as commands print it: its fields, times with their zone."""
        return {name: zoned_text(value) if name.endswith("_at") else value for name, value in asdict(self).items()}


NO_DOUBT: Mapping[str, Any] = {"uncertain": 0, "expected_code": None, "commit_sent_at": None, "rolled_back": 0}
"""The columns about earlier attempts, of an order of which nothing is in doubt."""

ENTRY_COLUMNS = ", ".join(Entry.__dataclass_fields__)


class Ledger:
    """An open ledger, to be used by one thread.

    Each method raises :class:`StateError` where the file cannot be used, and :class:`StateLockedError` where another
    process keeps it locked.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._run_log = RunLog(path.parent)
        self._noted: list[tuple[int, str, str]] = []

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._run_log.close()

    def receive(self, order_id: int, document: Mapping[str, Any], *, via: str) -> bool:
        """Store an order as ``received`` and return True; return False where its id is known already.

        Until an order is raised its newest content counts: other content replaces the document, and an order that
        waits for it is received again. Once it is raised, or may be, other content is kept beside the document.
        """
        raw = json.dumps(document, default=_format_number, sort_keys=True).encode()
        with self._change():
            sql = "select document, latest, status, uncertain, rule from orders where order_id = ?"
            known = self._connection.execute(sql, [order_id]).fetchone()
            if known is None:
                self._connection.execute(
                    "insert into orders (order_id, status, via, document, received_at, channel_key)"
                    " values (?, 'received', ?, ?, ?, ?)",
                    [order_id, via, raw, utc_now(), channel_key_of(document)],
                )
                self._note(order_id, "received", f"by {via}")
            elif known[0] is not None and raw not in {bytes(each) for each in known[:2] if each is not None}:
                self._receive_other_content(order_id, raw, known)
            return known is None

    def _receive_other_content(self, order_id: int, raw: bytes, known: Sequence[Any]) -> None:
        document, latest, status, uncertain, rule = known
        newest = parse_document(bytes(latest or document))
        received = parse_document(raw)
        unfinished = status not in FINISHED_STATUSES
        # Which source has an order under which code says something until it is raised here.
        if not (
            list_corrections(newest, received) or (unfinished and newest.get("sources") != received.get("sources"))
        ):
            return
        modified = [str(each.get("modified") or "") for each in (newest, received)]
        if all(modified) and modified[1] < modified[0]:
            self._update(order_id, note="An older version of it arrived later, and was not used.")
        elif status in FINISHED_STATUSES or status == "raising" or uncertain:
            what = "was cancelled" if says_cancelled(received) else "arrived with other content"
            note = f"It {what} after it was raised: s2s orders show shows what changed."
            self._update(order_id, latest=raw, note=note)
        else:
            self._update(order_id, document=raw, note="Its content changed before it was raised.", approved_by="")
            if status == "waiting" and rule != "held":
                self._update(order_id, status="received", rule="", reason="")
                self._note(order_id, "received", "with other content")

    def _update(self, order_id: int, **columns: object) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._connection.execute(
            f"update orders set {assignments} where order_id = ?",  # noqa: S608 - column names of this module
            [*columns.values(), order_id],
        )

    def move(self, order_id: int, status: OrderStatus, *, reason: str = "", **facts: object) -> None:
        """Change an order's status, together with ``reason`` and further columns of the ledger.

        Raises :class:`UsageError` where its present status does not allow that.
        """
        before = [name for name, after in TRANSITIONS.items() if status in after]
        values: dict[str, object] = {
            "rule": "",
            "next_attempt_at": None,
            "finished_at": utc_now() if status in FINISHED_STATUSES else None,
            **facts,
            "status": status,
            "reason": reason,
        }
        assignments = ", ".join(f"{name} = ?" for name in values)
        marks = ", ".join("?" * len(before))
        with self._change():
            moved = self._connection.execute(
                f"update orders set {assignments} where order_id = ? and status in ({marks})",  # noqa: S608 - column names of this module
                [*values.values(), order_id, *before],
            )
            if moved.rowcount == 0:
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
            changed = self._connection.execute(
                "update orders set status = 'received', rule = '', reason = '', next_attempt_at = null,"
                " finished_at = null, raised_at = null, answered_at = null, source_order_code = null, gone_at = null,"
                " approved_by = ?"
                " where order_id = ? and status <> 'raising'",
                [by, order_id],
            )
            if changed.rowcount == 0:
                raise UsageError(f"Order {order_id} is being raised now.", hint="Look again with `s2s orders show`.")
            former = f"; it was {entry.status} as {entry.source_order_code}" if entry.source_order_code else ""
            self._note(order_id, "received", f"to be raised on purpose, by {by}{former}")

    def mark_commit_sent(self, order_id: int, code: str) -> None:
        """Note that the commit of an order that is being raised as ``code`` is sent now.

        From here on the order may be in the database, whatever becomes of this process.
        """
        with self._change():
            self._connection.execute(
                "update orders set commit_sent_at = ?, expected_code = ?, uncertain = 1"
                " where order_id = ? and status = 'raising'",
                [utc_now(), code, order_id],
            )

    def mark_gone(self, order_id: int, *, gone: bool) -> None:
        """Note whether a raised order is gone from the database; once it is, until it is there again."""
        with self._change():
            changed = self._connection.execute(
                "update orders set gone_at = ? where order_id = ? and (gone_at is null) = ?",
                [utc_now() if gone else None, order_id, int(gone)],
            )
            if changed.rowcount:
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
        first, last = DERIVED_IDS.start, DERIVED_IDS.stop - 1
        found = self.list_entries(
            "order_id <> ? and channel_key = (select channel_key from orders where order_id = ?)"
            " and (order_id between ? and ?) <> (? between ? and ?)"
            " and status <> 'skipped' and rule <> 'arrived_twice'",
            *(order_id, order_id, first, last, order_id, first, last),
        )
        return found[0] if found else None

    def mark_answered(self, order_id: int) -> None:
        """Note that Stock2Shop was told the order's code; do nothing where another process noted it first."""
        with self._change():
            changed = self._connection.execute(
                "update orders set status = 'answered', answered_at = ? where order_id = ? and status = 'raised'",
                [utc_now(), order_id],
            )
            if changed.rowcount:
                self._note(order_id, "answered", "")

    def mark_failed(self, order_id: int, *, reason: str, not_before: str = "", **facts: object) -> None:
        """Note that raising failed for now. The order is due again after :data:`RETRY_DELAY_MINUTES`.

        It is not due before ``not_before``, a time in UTC. ``facts`` are further columns of the ledger.
        """
        attempts = self.get_entry(order_id).attempts + 1
        minutes = RETRY_DELAY_MINUTES[min(attempts, len(RETRY_DELAY_MINUTES)) - 1]
        due = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        self.move(
            order_id,
            "failed",
            reason=reason,
            attempts=attempts,
            next_attempt_at=max(_format_time(due), not_before),
            **facts,
        )

    def get_entry(self, order_id: int) -> Entry:
        """Return one order. Raises :class:`UsageError` for an id that is not known."""
        found = self.list_entries("order_id = ?", order_id)
        if not found:
            raise UsageError(
                f"There is no order {order_id} in the ledger.", hint="`s2s orders list` shows what there is."
            )
        return found[0]

    def list_entries(self, condition: str = "true", *values: object) -> list[Entry]:
        """Return the orders that fit an SQL condition, by id."""
        sql = f"select {ENTRY_COLUMNS} from orders where {condition} order by order_id"  # noqa: S608 - conditions are written in this package
        return [_read_entry(row) for row in self._read(sql, values)]

    def find_entries(self, number: str) -> list[Entry]:
        """Return the orders with a number: Stock2Shop's id, the channel's, or the order's code in the database."""
        return self.list_entries(
            "cast(order_id as text) = ? or source_order_code = ? or expected_code = ?"
            " or substr(channel_key, instr(channel_key, '/') + 1) = ?",
            *(number,) * 4,
        )

    def list_newest(self, *, status: str | None = None, limit: int) -> list[Entry]:
        """Return the ``limit`` newest orders, of one status or of all, by id."""
        if status is None:
            condition = "order_id in (select order_id from orders order by received_at desc, order_id desc limit ?)"
            return self.list_entries(condition, limit)
        condition = (
            "order_id in (select order_id from orders where status = ?"
            " order by received_at desc, order_id desc limit ?)"
        )
        return self.list_entries(condition, status, limit)

    def list_due(self) -> list[Entry]:
        """Return what should be raised now: new orders, failed ones that are due, and those whose process died."""
        return self.list_entries(
            "status in ('received', 'raising') or (status = 'failed' and next_attempt_at <= ?)", utc_now()
        )

    def load_document(self, order_id: int) -> dict[str, Any] | None:
        """Return the document as it was received; None where it was deleted after ``keep_days``."""
        raw = self.load_raw_document(order_id)
        return None if raw is None else parse_document(raw)

    def load_raw_document(self, order_id: int) -> bytes | None:
        """Return the document's JSON; None where it was deleted after ``keep_days``."""
        found = self._read("select document from orders where order_id = ?", [order_id])
        return None if not found or found[0][0] is None else bytes(found[0][0])

    def has_newer_content(self, order_id: int) -> bool:
        """Return whether other content than the document arrived while the order was raised, or may have been."""
        return bool(self._read("select 1 from orders where order_id = ? and latest is not null", [order_id]))

    def take_newest_content(self, order_id: int, **columns: object) -> None:
        """Let the newest content of an order count, which is not in the database; ``columns`` change with it."""
        if self.has_newer_content(order_id):
            with self._change():
                sql = "select latest from orders where order_id = ?"
                (latest,) = self._connection.execute(sql, [order_id]).fetchone()
                note = "Its content changed before it was raised."
                self._update(order_id, document=latest, latest=None, note=note, **columns)

    def corrections(self, order_id: int) -> list[tuple[str, Any, Any]]:
        """Return what the newest content of an order has changed after it was raised: path, before and after."""
        found = self._read("select document, latest from orders where order_id = ?", [order_id])
        if not found or None in found[0]:
            return []
        return list_corrections(*(parse_document(bytes(raw)) for raw in found[0]))

    def status_history(self, order_id: int) -> list[tuple[str, str, str]]:
        """Return the order's past as (time in UTC, status, reason), the oldest first."""
        sql = "select at, status, reason from transitions where order_id = ? order by rowid"
        return self._read(sql, [order_id])

    def prune(self, *, keep_days: int) -> None:
        """Delete the documents of orders that were finished ``keep_days`` ago: they hold personal data. Once a day."""
        now = datetime.now(timezone.utc)
        done = self._read("select done_at from maintenance where task = 'prune'", [])
        if done and done[0][0] > _format_time(now - timedelta(days=1)):
            return
        with self._change():
            self._connection.execute(
                "update orders set document = null, latest = null where document is not null and finished_at < ?",
                [_format_time(now - timedelta(days=keep_days))],
            )
            self._connection.execute("insert or replace into maintenance values ('prune', ?)", [_format_time(now)])

    def _note(self, order_id: int, status: str, reason: str) -> None:
        at = utc_now()
        self._connection.execute("insert into transitions values (?, ?, ?, ?)", [order_id, at, status, reason])
        self._noted.append((order_id, at, status))

    def _read(self, sql: str, values: Sequence[object]) -> list[Any]:
        with translate_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Run the block in one transaction, which is on the disk when it ends, or undone; then the run log has it."""
        self._noted.clear()
        with translate_errors(self.path):
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends it by itself
                    self._connection.execute("rollback")
                raise
        if self._noted:
            record_order_changes(self._run_log, self.path.name.removesuffix(LEDGER_SUFFIX), self._noted)


def _read_entry(row: Sequence[Any]) -> Entry:
    columns: dict[str, Any] = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    return Entry(**{**columns, "uncertain": bool(columns["uncertain"]), "rolled_back": bool(columns["rolled_back"])})


def ledger_path(project: Project) -> Path:
    """Return where the project's ledger is, or would be."""
    return project.state.with_name(f"{project.name}{LEDGER_SUFFIX}")


@contextmanager
def open_ledger(project: Project) -> Iterator[Ledger]:
    """Open the project's ledger, creating it where there is none, readable by its owner only.

    Raises :class:`StateError` where it cannot be used or is from a newer version, and :class:`StateLockedError` where
    another process keeps it locked.
    """
    path = ledger_path(project)
    with closing(Ledger(connect_ledger(path), path)) as ledger:
        yield ledger


def utc_now() -> str:
    """Return the time in UTC, to the millisecond, as the ledger keeps all times."""
    return _format_time(datetime.now(timezone.utc))


def add_seconds(at: str, seconds: float) -> str:
    """Return a time of the ledger, ``seconds`` later."""
    return _format_time(datetime.fromisoformat(at) + timedelta(seconds=seconds))


def _format_number(number: Decimal) -> str:
    """Write a number with all its digits and without an exponent."""
    return format(number, "f")


def _format_time(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", timespec="milliseconds")
