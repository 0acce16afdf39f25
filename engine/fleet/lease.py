"""The lease of a project: who may send, in PostgreSQL's own time, numbered by an epoch.

A lease is taken where it is free or has expired, which raises its epoch; it is renewed by a thread while the run lasts,
and given back at its end. Whatever the holder writes to PostgreSQL names its epoch, and finds nothing to write to once
another holder has a higher one.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import LeaseError, SyncError
from engine.fleet.database import FleetDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 30.0
"""How long a lease lasts that is not renewed: how long a project waits for another machine after its own one died."""

ORDERS_SUFFIX = "/orders"
"""What follows a project's name in the name of the lease under which its orders are raised, and of the job that pulls
them; no project's name has a slash."""

_MARK = " #"

_HELD_HINT = "Wait until it ends. Where that machine died, the lease ends by itself."


@dataclass(frozen=True, slots=True)
class Stored:
    """What PostgreSQL has of a project's state: entries up to ``last_seq``, of which ``snapshot_seq`` is a whole file.

    ``last_epoch`` is that of the holder who stored the last one. ``snapshot_seq`` is 0 where there is none. The bytes
    are packed. ``snapshot_object`` is the name of the file in the object store, None where PostgreSQL has it.
    ``format`` is how the file is stored, and ``written_versions`` what else must be known to read it, see
    :mod:`engine.fleet.versions`. ``vanished_ago`` is how many seconds ago the last lease ended that was never given
    back.
    """

    last_seq: int
    last_epoch: int
    snapshot_seq: int
    snapshot_bytes: int
    snapshot_object: str | None
    journal_bytes: int
    format: int
    written_versions: str
    vanished_ago: float | None


class Lease:
    """A lease that was taken: its ``epoch``, and what was ``stored`` at that moment."""

    def __init__(self, database: FleetDatabase, project: str, *, epoch: int, vanished: bool, stored: Stored) -> None:
        self.database = database
        self.project = project
        self.epoch = epoch
        self.stored = stored
        self.login_is_due = vanished
        """Whether a holder vanished, whose token may still be in use: so this one logs in to Stock2Shop once more."""
        self._taken_at = time.monotonic()
        self._good_until = self._taken_at + LEASE_SECONDS
        self._is_lost = False

    @property
    def seconds_since_vanished(self) -> float | None:
        """How long ago the last lease ended that was never given back; None where all were."""
        ago = self.stored.vanished_ago
        return None if ago is None else ago + time.monotonic() - self._taken_at

    @property
    def key(self) -> dict[str, object]:
        """What each statement of the holder names."""
        return {"project": self.project, "epoch": self.epoch}

    def check(self) -> None:
        """Raise :class:`LeaseError` where the lease is lost.

        One that was not renewed in time is renewed now, unless another holder has it: PostgreSQL says.
        """
        if self._is_lost:
            raise self.lost()
        if time.monotonic() > self._good_until:
            self.renew(self.database)

    def lost(self) -> LeaseError:
        """Note that the lease is lost; gives what to raise."""
        self._is_lost = True
        return LeaseError(
            f"Another machine of the fleet took {self.project} over: this one could not renew its lease in time."
            " It sends nothing more, and what it did not store does not count.",
            hint="The other machine goes on. Look for what held this one up for more than"
            f" {LEASE_SECONDS:.0f} s: memory, a frozen virtual machine, the network to PostgreSQL.",
        )

    def renew(self, database: FleetDatabase) -> None:
        """Make the lease last again. Raises :class:`LeaseError` where it is lost."""
        began = time.monotonic()
        sql = (
            f"update lease set expires_at = now() + interval '{LEASE_SECONDS} s'"  # noqa: S608 - a number
            " where project = %(project)s and epoch = %(epoch)s and expires_at > '-infinity' returning 1"
        )
        if database.row(sql, self.key) is None:
            raise self.lost()
        self._good_until = began + LEASE_SECONDS

    def logged_in(self) -> None:
        """Note that a token was got since this lease was taken: what a vanished holder had is worth nothing now."""
        if self.login_is_due:
            self.database.rows(
                "update lease set vanished = false where project = %(project)s and epoch = %(epoch)s", self.key
            )
            self.login_is_due = False

    def give_back(self, *, seconds: float, exit_code: int | None) -> None:
        """End the lease; ``exit_code`` is what a run came to, None where it was something else."""
        outcome = (
            ", ended_at = now(), seconds = %(seconds)s, exit_code = %(code)s,"
            " failures = case when %(code)s in (0, 4) then 0 when %(code)s = 130 then failures else failures + 1 end"
        )
        self.database.rows(
            f"update lease set expires_at = '-infinity'{'' if exit_code is None else outcome}"  # noqa: S608 - as above
            " where project = %(project)s and epoch = %(epoch)s and expires_at > '-infinity'",
            {**self.key, "seconds": seconds, "code": exit_code},
        )


def take_lease(database: FleetDatabase, project: str, *, even_paused: bool = False) -> Lease:
    """Take the lease of a project. Raises :class:`LeaseError` where another holder has it, or the project is paused."""
    values = {
        "project": project,
        # What follows the mark is this very call's: where the answer was lost, it finds its own lease.
        "holder": f"{socket.gethostname()}, process {os.getpid()}{_MARK}{secrets.token_hex(8)}",
        "even_paused": even_paused,
    }
    taken = (
        "epoch, vanished, last_seq, last_epoch, snapshot_seq, snapshot_bytes, snapshot_object, journal_bytes, format,"
        " written_versions, extract(epoch from now() - vanished_at)::double precision"
    )
    sql = (
        "update lease set holder = %(holder)s, taken_at = now(),"  # noqa: S608 - as above
        # By the clock, so that none comes twice where PostgreSQL was restored from a backup.
        " epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),"
        " vanished_at = case when expires_at > '-infinity' then expires_at else vanished_at end,"
        f" vanished = vanished or expires_at > '-infinity', expires_at = now() + interval '{LEASE_SECONDS} s'"
        " where project = %(project)s and expires_at < now() and (not paused or %(even_paused)s)"
        f" returning {taken}"
    )
    row = database.row(sql, values)
    if row is None:
        database.rows("insert into lease (project) values (%(project)s) on conflict do nothing", values)
        row = database.row(sql, values)
    if row is None:
        own = f"select {taken} from lease where project = %(project)s and holder = %(holder)s"  # noqa: S608 - no value
        row = database.row(own, values)
    if row is None:
        raise _not_free(database, project)
    return Lease(database, project, epoch=row[0], vanished=row[1], stored=Stored(*row[2:]))


def _not_free(database: FleetDatabase, project: str) -> LeaseError:
    row = database.row(
        "select paused, expires_at > now(), holder, to_char(taken_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
        " from lease where project = %(project)s",
        {"project": project},
    )
    if row is not None and row[0] and not row[1]:
        return LeaseError(f"{project} is paused.", hint=f"`s2s fleet resume {project}` lets it run again.")
    holder, since = (shown_holder(row[2]), row[3]) if row else ("", "")
    return LeaseError(f"{project} is held by {holder}, since {since} UTC.", hint=_HELD_HINT)


def shown_holder(holder: str) -> str:
    """Who has a lease, as people read it; blank for nobody.

    >>> shown_holder("north, process 12 #0f3a")
    'north, process 12'
    """
    return holder.partition(_MARK)[0]


@contextmanager
def renewing(lease: Lease) -> Iterator[None]:
    """Renew a lease in a thread, with a connection of its own, until the block ends.

    While PostgreSQL is away it goes on trying.
    """
    done = threading.Event()

    def renew() -> None:
        database: FleetDatabase | None = None
        try:
            while not done.wait(LEASE_SECONDS / 3):
                database = database or FleetDatabase(lease.database.url, name=f"lease of {lease.project}")
                try:
                    lease.renew(database)
                except LeaseError:
                    return
                except SyncError:  # PostgreSQL is away
                    continue
        finally:
            if database is not None:
                database.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
