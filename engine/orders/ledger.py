"""The order ledger: each order once, by its Stock2Shop id, and the only ways in which it may go on.

A SQLite file beside the state, not the DuckDB state itself: ``s2s orders serve`` runs for ever and must not keep
``s2s run`` out, and several processes receive orders at once. Every change is on the disk before it counts. Raising
is one at a time for a project: whoever holds the lock and finds an order in ``raising`` knows that its process died.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import StateError, StateLockedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from engine.model.settings import Project

OrderStatus = Literal["received", "raising", "waiting", "failed", "raised", "answered", "skipped"]

TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    "received": frozenset({"raising", "waiting", "skipped"}),
    "raising": frozenset({"raised", "waiting", "failed"}),
    "waiting": frozenset({"received", "raised", "skipped"}),
    "failed": frozenset({"raising", "received", "raised", "waiting", "skipped"}),
    "raised": frozenset({"answered"}),
    "answered": frozenset(),
    "skipped": frozenset({"received"}),
}
"""Where an order may go from where it stands; ``docs/orders.md`` draws it."""

PENDING_STATUSES: frozenset[OrderStatus] = frozenset({"received", "raising", "failed"})
"""Where an order stands that is to be raised without anybody's leave."""

SQL = Path(__file__).parent / "sql"

VERSION = 1

BACKOFF = (1, 5, 30, 120, 600)
"""Minutes until a failed order is tried again by the next ``pull``, ``import`` or ``retry``; the last for ever."""

_raising: dict[Path, threading.RLock] = {}
_guard = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order of the ledger; times are UTC. ``uncertain`` means that it may be in the database already."""

    order_id: int
    standing: OrderStatus
    via: str
    rule: str
    reason: str
    uncertain: bool
    tries: int
    next_try_at: str | None
    source_order_code: str | None
    source_customer_code: str | None
    received_at: str
    raised_at: str | None
    answered_at: str | None
    note: str


COLUMNS = ", ".join(Entry.__dataclass_fields__)


class Ledger:
    """An open ledger, for one thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def receive(self, order_id: int, document: Mapping[str, Any], *, via: str) -> bool:
        """Keep an order; false where it is known. Then what was kept first holds, and that it came again is noted."""
        raw = json.dumps(document, default=_digits, sort_keys=True).encode()
        with self._change():
            known = self._connection.execute("select document from orders where order_id = ?", [order_id]).fetchone()
            if known is None:
                self._connection.execute(
                    "insert into orders (order_id, standing, via, document, received_at)"
                    " values (?, 'received', ?, ?, ?)",
                    [order_id, via, raw, now()],
                )
                self._note(order_id, "received", f"by {via}")
            elif known[0] is not None and bytes(known[0]) != raw:
                self._connection.execute(
                    "update orders set note = 'It came again with other content; what came first holds.'"
                    " where order_id = ?",
                    [order_id],
                )
            return known is None

    def move(self, order_id: int, standing: OrderStatus, *, reason: str = "", **facts: object) -> None:
        """Let an order go on to ``standing``, with what is known by then.

        Raises :class:`UsageError` where it may not go there from where it stands.
        """
        before = [name for name, after in TRANSITIONS.items() if standing in after]
        values: dict[str, object] = {"rule": "", "next_try_at": None, **facts, "standing": standing, "reason": reason}
        assignments = ", ".join(f"{name} = ?" for name in values)
        marks = ", ".join("?" * len(before))
        with self._change():
            moved = self._connection.execute(
                f"update orders set {assignments} where order_id = ? and standing in ({marks})",  # noqa: S608 - names of this module's own
                [*values.values(), order_id, *before],
            )
            if moved.rowcount == 0:
                entry = self.entry(order_id)
                hint = "`s2s orders show` tells how it came to that."
                if entry.standing == "raising":
                    hint = (
                        "Somebody raises it just now; or broke off, and `s2s orders retry` finds out what became of it."
                    )
                raise UsageError(f"Order {order_id} is {entry.standing}: it cannot become {standing}.", hint=hint)
            self._note(order_id, standing, reason)

    def answered(self, order_id: int) -> None:
        """Note that Stock2Shop was told the code; where another process told it first, nothing is to be noted."""
        with self._change():
            told = self._connection.execute(
                "update orders set standing = 'answered', answered_at = ? where order_id = ? and standing = 'raised'",
                [now(), order_id],
            )
            if told.rowcount:
                self._note(order_id, "answered", "")

    def fail(self, order_id: int, *, reason: str, uncertain: bool) -> None:
        """Note that raising failed for now: it is due again after a while, longer each time."""
        tries = self.entry(order_id).tries + 1
        minutes = BACKOFF[min(tries, len(BACKOFF)) - 1]
        due = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        self.move(order_id, "failed", reason=reason, tries=tries, next_try_at=_text(due), uncertain=int(uncertain))

    def entry(self, order_id: int) -> Entry:
        """One order. Raises :class:`UsageError` for an id that is not known."""
        found = self.entries("order_id = ?", order_id)
        if not found:
            raise UsageError(
                f"There is no order {order_id} in the ledger.", hint="`s2s orders list` shows what there is."
            )
        return found[0]

    def entries(self, condition: str = "true", *values: object) -> list[Entry]:
        """The orders that fit an SQL condition, by id."""
        sql = f"select {COLUMNS} from orders where {condition} order by order_id"  # noqa: S608 - written in this package
        return [
            Entry(**{**dict(zip(Entry.__dataclass_fields__, row, strict=True)), "uncertain": bool(row[5])})
            for row in self._read(sql, values)
        ]

    def due(self) -> list[Entry]:
        """What should be raised now: new orders, failed ones whose time has come, and those whose process died."""
        return self.entries("standing in ('received', 'raising') or (standing = 'failed' and next_try_at <= ?)", now())

    def document(self, order_id: int) -> dict[str, Any] | None:
        """The document as it was received; None where it was dropped after ``keep_days``."""
        from engine.orders.document import parse

        found = self._read("select document from orders where order_id = ?", [order_id])
        return None if not found or found[0][0] is None else parse(bytes(found[0][0]))

    def story(self, order_id: int) -> list[tuple[str, str, str]]:
        """Where the order has been: times in UTC, standings and reasons, the oldest first."""
        sql = "select at, standing, reason from transitions where order_id = ? order by rowid"
        return self._read(sql, [order_id])

    def prune(self, *, keep_days: int) -> None:
        """Drop the documents of orders that were finished so long ago: they are about people."""
        before = _text(datetime.now(timezone.utc) - timedelta(days=keep_days))
        with self._change():
            self._connection.execute(
                "update orders set document = null where document is not null"
                " and standing in ('answered', 'raised', 'skipped')"
                " and (select max(at) from transitions where order_id = orders.order_id) < ?",
                [before],
            )

    def _note(self, order_id: int, standing: str, reason: str) -> None:
        self._connection.execute("insert into transitions values (?, ?, ?, ?)", [order_id, now(), standing, reason])

    def _read(self, sql: str, values: Sequence[object]) -> list[Any]:
        with _translated(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """All of it, or nothing; on the disk when it ends."""
        with _translated(self.path):
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("rollback")
                raise


@contextmanager
def open_ledger(project: Project) -> Iterator[Ledger]:
    """Open the project's ledger, making it where there is none; readable by its owner only."""
    path = project.state.with_name(f"{project.name}.orders.sqlite")
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = os.umask(0o077)
        try:
            connection = sqlite3.connect(str(path), isolation_level=None, timeout=60)
        finally:
            os.umask(before)
    try:
        with _translated(path):
            _prepare(connection, path)
        yield Ledger(connection, path)
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none yet; several processes may come to it at once."""
    for patience in range(600, -1, -1):
        try:
            # SQLite does not wait by itself for the lock that a change of the journal's mode takes.
            connection.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError:
            if not patience:
                raise
            time.sleep(0.1)
    connection.execute("pragma synchronous = full")
    version = connection.execute("pragma user_version").fetchone()[0]
    if version > VERSION:
        raise StateError(f"The ledger {path} was written by a newer s2s.", hint="Install the newer s2s again.")
    if version < VERSION:
        connection.execute("begin immediate")
        for statement in (SQL / "ledger.sql").read_text("utf-8").split(";"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")


@contextmanager
def raising_lock(project: Project, *, seconds: float = 120) -> Iterator[None]:
    """Be the only one that raises orders of ``project``, over threads and processes; freed when the process dies.

    Raises :class:`StateLockedError` when somebody else holds it for ``seconds``.
    """
    path = project.state.with_name(f"{project.name}.raising.sqlite")
    with _guard:
        mine = _raising.setdefault(path, threading.RLock())
    if not mine.acquire(timeout=seconds):
        raise _held(path)
    try:
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite's lock is the operating system's, on every system; a file of its own holds nothing else.
            connection = sqlite3.connect(str(path), isolation_level=None, timeout=seconds)
        try:
            try:
                with _translated(path):
                    connection.execute("begin exclusive")
            except StateLockedError:
                raise _held(path) from None
            yield
        finally:
            connection.close()
    finally:
        mine.release()


def now() -> str:
    """Return the time in UTC, to the millisecond, as the ledger keeps all times."""
    return _text(datetime.now(timezone.utc))


def _digits(number: Decimal) -> str:
    """A number as a document is kept with it: all digits, no exponent."""
    return format(number, "f")


def _text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", timespec="milliseconds")


def _held(path: Path) -> StateLockedError:
    return StateLockedError(
        f"Another process is raising orders, and has been for long: it holds {path}.",
        hint="Wait until it ends. The lock goes with the process: nothing needs to be deleted.",
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = str(error)
        if "locked" in said or "busy" in said:
            raise StateLockedError(f"The ledger {path} is held by another process.", hint="Try again.") from error
        raise StateError(
            f"The ledger {path} cannot be used: {said}.",
            hint="Check the folder's rights and free space; a damaged ledger comes back from a backup. Orders that the"
            " database has are found again by orders/lookup.sql.",
        ) from error
