"""Have a project's state on this machine, under its lease, for as long as a command needs it.

    take the lease ─▶ bring the state ─▶ the command: stored before each batch ─▶ store the rest ─▶ give the lease back

The state file here is a cache: it is used where it is what PostgreSQL has, and fetched otherwise. What a command writes
goes through DuckDB's own journal, a file beside the state to which each commit appends. So what was committed since the
last time is that file's new end, and a state elsewhere is the stored file and all these ends in order. A file that was
written to besides, which DuckDB does for many rows at once, is stored whole.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from engine.errors import FleetError, LeaseError, ObjectStoreError, StateError, StateLockedError, SyncError
from engine.files import create_private_file, exists, list_paths, make_private_folder, replace_file
from engine.fleet.lease import renewing, take_lease
from engine.fleet.shared_runs import hand_on_runs, take_in_runs
from engine.fleet.stored_states import (
    is_large,
    remove_unused_objects,
    require_readable,
    restore,
    store_journal,
    store_snapshot,
)
from engine.fleet.users import fleet_user
from engine.state.store import open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from engine.fleet.database import FleetDatabase
    from engine.fleet.lease import Lease
    from engine.fleet.object_store import ObjectStore
    from engine.model.settings import Stock2ShopSettings
    from engine.state.store import State
    from engine.stock2shop.user import User

    Progress = Callable[[str, int, int | None], None]

UNTOUCHED_NS = 946_684_800 * 10**9
"""When a state file here was last written to, as far as the file system says: any other time, and it was since."""

MIN_JOURNAL_BYTES = 128_000
"""So much of a journal is kept before a whole file is stored in its place, however small that is."""

MAX_JOURNAL_SHARE = 0.2
"""Beyond this share of the stored file the journal is replaced by a whole file."""


log = logging.getLogger(__name__)


class Checkout:
    """A project's state on this machine, under a lease; see :class:`engine.sync.context.Replica`.

    ``exit_code`` is set by whoever runs the project: what the run came to. ``was_known`` says whether the fleet had a
    state of it before, and ``has_stored_file`` whether a whole file was stored since.
    """

    def __init__(self, lease: Lease, own_state: Path, objects: ObjectStore | None = None) -> None:
        self.exit_code: int | None = None
        self.was_known = lease.stored.snapshot_seq > 0
        self.has_stored_file = False
        self.path = own_state.with_name(f"{own_state.stem}.{lease.epoch}.duckdb")
        self._own_state = own_state
        self._mark_path = own_state.with_suffix(".fleet")
        self._lease = lease
        self._objects = objects
        self._fleet_id = lease.database.fleet_id
        self._is_here = False
        self._seq = lease.stored.last_seq
        self._last_epoch = lease.stored.last_epoch
        self._stored_to = 0
        self._journal_bytes = lease.stored.journal_bytes
        self._snapshot_bytes = lease.stored.snapshot_bytes
        self._file: BinaryIO | None = None

    @property
    def seconds_since_vanished(self) -> float | None:
        """How long ago the last holder's lease ended that never gave it back, by PostgreSQL's clock."""
        return self._lease.seconds_since_vanished

    def user(self, settings: Stock2ShopSettings) -> User:
        """The token and the pace of the project's Stock2Shop user, which the whole fleet shares."""
        return fleet_user(settings, self._lease)

    def watched(self, progress: Progress) -> Progress:
        """``progress``, which besides raises :class:`LeaseError` once the lease is lost."""

        def report(step: str, done: int, total: int | None) -> None:
            self._lease.check()
            progress(step, done, total)

        return report

    def secure(self, state: State) -> None:
        """Store what was committed to ``state``, which is this very file, since the last time.

        Raises :class:`LeaseError` where the lease is lost, :class:`FleetError` where PostgreSQL is away, and
        :class:`ObjectStoreError` where the object store is needed and cannot be used.
        """
        self._lease.check()
        if self._is_untouched():
            self._store_journal()
            return
        state.run("checkpoint")
        assert self._file is not None
        self._store_file(self._file)

    def bring(self) -> None:
        """Have the state here as it is stored, or an empty one where the project is new.

        Raises :class:`StateError` where it is new and this machine has a state of its own, and where what is stored
        cannot be read: an older state is never taken instead.
        """
        with _translated(self.path):
            make_private_folder(self.path.parent)
            self._use_cache()
            if not self.was_known:
                if exists(self._own_state):
                    raise StateError(
                        f"{self._own_state} is a state of this machine's own, which the fleet does not know.",
                        hint=f"`s2s fleet adopt-local {self._lease.project}` takes it over; or move the file away.",
                    )
                self.store_own()
            elif not exists(self.path):
                self._fetch()
            self._stored_to = _size(self._journal)
            self._touch()
            # Its end would release DuckDB's lock on the file, so it stays open until DuckDB has closed it.
            self._file = self.path.open("rb")
        self._is_here = True

    def replace_by(self, file: Path) -> None:
        """Have a copy of another state file here in place of :meth:`bring`, and store it, whatever is stored."""
        with _translated(self.path):
            self._use_cache()
            for path in (self.path, self._journal):
                path.unlink(missing_ok=True)
            create_private_file(self.path)
            shutil.copyfile(file, self.path)
            self.store_own()
        self._is_here = True

    def store_own(self) -> None:
        """Store the file that is here, whole; an empty state where there is none."""
        with open_state(self.path):
            pass  # which folds its journal into it
        with self.path.open("rb") as file:
            self._store_file(file)

    def finish(self) -> None:
        """Store what was committed since the last time, now that the state is closed, and mark the file as stored."""
        self.close()
        if not self._is_here:
            return
        self._lease.check()  # where it is lost, another run of this very machine may have removed the file
        with _translated(self.path):
            if not self._is_untouched():
                self.store_own()
            elif _size(self._journal) > self._stored_to:
                self._store_journal()
            share = max(MIN_JOURNAL_BYTES, self._snapshot_bytes * MAX_JOURNAL_SHARE)
            if self._journal_bytes > share and self._can_store_file():
                self.store_own()
            mark = {**self._entry(), "file": self.path.name, "journal": self._stored_to}
            replace_file(self._mark_path, json.dumps(mark).encode(), mode=0o600)

    def close(self) -> None:
        """Close the file that :meth:`bring` left open; DuckDB has closed it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _can_store_file(self) -> bool:
        """Whether a whole file can be stored now. Where not, the journal goes on growing: nothing is lost."""
        if self._objects is not None and is_large(_size(self.path)):
            try:
                self._objects.require_reachable()
            except ObjectStoreError as error:
                log.warning("The whole state of %s is stored later: %s", self._lease.project, error)
                return False
        return True

    @property
    def _journal(self) -> Path:
        return _journal_of(self.path)

    def _store_journal(self) -> None:
        body = b""
        if exists(self._journal):
            with self._journal.open("rb") as file:
                file.seek(self._stored_to)
                body = file.read()
        self._journal_bytes += store_journal(self._lease, self._seq + 1, body)
        self._seq, self._last_epoch = self._seq + 1, self._lease.epoch
        self._stored_to += len(body)

    def _store_file(self, file: BinaryIO) -> None:
        self._snapshot_bytes = store_snapshot(self._lease, self._seq + 1, file, self._objects, self.path.parent)
        self._seq, self._last_epoch = self._seq + 1, self._lease.epoch
        self._stored_to = self._journal_bytes = 0
        self.has_stored_file = True
        self._touch()

    def _entry(self) -> dict[str, object]:
        """The last entry that is stored, which no other entry is like, whatever became of PostgreSQL meanwhile."""
        return {"fleet": self._fleet_id, "epoch": self._last_epoch, "seq": self._seq}

    def _use_cache(self) -> None:
        """Take over the file that an earlier run left here, where it is what is stored; remove all others.

        Each lease has a file of its own: a run that was frozen, and does not know yet that it lost the lease, may have
        an older one open.
        """
        try:
            mark = json.loads(self._mark_path.read_bytes())
        except (FileNotFoundError, ValueError):
            mark = {}
        self._mark_path.unlink(missing_ok=True)  # until it is stored again, what is here may be anything
        cached = self._own_state.with_name(str(mark.get("file")))
        if (
            {name: mark.get(name) for name in self._entry()} == self._entry()
            and exists(cached)
            and cached.stat().st_mtime_ns == UNTOUCHED_NS
            and _size(_journal_of(cached)) == mark.get("journal")
        ):
            if exists(_journal_of(cached)):
                _journal_of(cached).replace(self._journal)
            cached.replace(self.path)
        pattern = re.compile(rf"{re.escape(self._own_state.stem)}\.\d+\.duckdb(\.wal)?")
        for path in list_paths(self.path.parent, f"{self._own_state.stem}.*"):
            if pattern.fullmatch(path.name) and path not in {self.path, self._journal}:
                with suppress(PermissionError):  # Windows keeps a file that is open
                    path.unlink(missing_ok=True)

    def _fetch(self) -> None:
        for path in (self.path, self._journal):
            path.unlink(missing_ok=True)
            create_private_file(path)
        with self.path.open("wb") as file, self._journal.open("wb") as journal:
            restore(self._lease, file, journal, self._objects, self.path.parent)
        if not _size(self._journal):
            self._journal.unlink()

    def _touch(self) -> None:
        os.utime(self.path, ns=(UNTOUCHED_NS, UNTOUCHED_NS))

    def _is_untouched(self) -> bool:
        return self.path.stat().st_mtime_ns == UNTOUCHED_NS


def _journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _size(path: Path) -> int:
    return path.stat().st_size if exists(path) else 0


@contextmanager
def check_out(
    database: FleetDatabase,
    objects: ObjectStore | None,
    project: str,
    own_state: Path,
    *,
    even_paused: bool = False,
    adopts: bool = False,
) -> Iterator[Checkout]:
    """Have the state of a project at the checkout's ``path`` inside the block; what it commits is stored.

    ``own_state`` is where the project's state would be without a fleet; the fleet's is beside it. With ``adopts``
    nothing is fetched, and the block calls :meth:`Checkout.replace_by`. However the block ends, what it committed is
    stored, unless the lease is lost. Raises :class:`LeaseError` where another machine has the project or took it over,
    :class:`FleetError` where PostgreSQL is away.
    """
    began = time.monotonic()
    lease = take_lease(database, project, even_paused=even_paused)
    with ExitStack() as stack:
        stack.enter_context(renewing(lease))
        take_in_runs(database, own_state.parent, [project])
        checkout = Checkout(lease, own_state, objects)
        stack.callback(checkout.close)
        try:
            require_readable(project, lease.stored)
            if not adopts:
                checkout.bring()
            yield checkout
        except (LeaseError, FleetError):  # the lease is lost, or expires: whoever takes it next logs in once more
            raise
        except BaseException as error:
            if not isinstance(error, StateLockedError):
                with suppress(SyncError, OSError):
                    checkout.finish()
            _give_back(lease, checkout, began)
            raise
        try:
            checkout.finish()
        except (LeaseError, FleetError):  # as above
            raise
        except StateError:
            if checkout.exit_code is not None:
                checkout.exit_code = StateError.exit_code
            _give_back(lease, checkout, began)
            raise
        _give_back(lease, checkout, began)
        if objects is not None and checkout.has_stored_file:
            remove_unused_objects(database, objects)


def _give_back(lease: Lease, checkout: Checkout, began: float) -> None:
    """Hand on what the run log has, and end the lease. Where that fails it expires, and its next holder logs in."""
    hand_on_runs(lease, checkout.path.parent)
    with suppress(SyncError):
        lease.give_back(seconds=time.monotonic() - began, exit_code=checkout.exit_code)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(
            f"The state file {path} cannot be used: {error.strerror or error}.",
            hint="Check the disk and the rights of the account that runs s2s. The fleet has what was stored.",
        ) from error
