"""Ledgers in files: one SQLite file a project, beside its state, and the lock under which orders are raised.

It is not the DuckDB state itself: ``s2s orders serve`` runs for months and must not keep ``s2s run`` out, and several
processes receive orders at once.

:func:`raising_lock` allows one process at a time to raise orders of a project. Whoever holds it and finds an order in
``raising`` therefore knows that the process which was raising it has died.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.embedded import connect_own_sqlite, read_own_sqlite
from engine.errors import StateError, StateLockedError, SyncError
from engine.file_lock import file_lock, is_locked_error
from engine.files import create_private_file, exists, make_private_folder
from engine.orders.ledger import Ledger, utc_now
from engine.orders.origin import order_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from engine.database.origin import Origin
    from engine.model.settings import Project

SQL_FOLDER = Path(__file__).parent / "sql"

LEDGER_SUFFIX = ".orders.sqlite"
"""What follows the project's name in the name of a ledger's file."""

LEDGER_VERSION = 6
"""The version of the ledger's tables, kept as SQLite's ``user_version``. Older ledgers are migrated when opened."""

MIGRATIONS = ("ledger.sql", "ledger_2.sql", "ledger_3.sql", "ledger_4.sql", "ledger_5.sql", "ledger_6.sql")
"""The scripts that lead from no tables to version 1, from version 1 to 2, and so on."""

OPEN_TIMEOUT_SECONDS = 60
"""How long a process waits for another one that writes to the ledger."""

LOCK_TIMEOUT_SECONDS = 120
"""How long a process waits for another one that raises an order."""


class LedgerFile:
    """The rows of a ledger in its file, see :class:`engine.orders.ledger_store.LedgerStore`.

    Raises :class:`StateError` where it cannot be used or is from a newer version, and :class:`StateLockedError` where
    another process keeps it locked.
    """

    scope: Mapping[str, object] = MappingProxyType({})
    holders_may_return = False

    def __init__(self, state_folder: Path, project: str) -> None:
        self._folder = state_folder
        self._project = project
        self._path = ledger_path(state_folder, project)
        self._connection = connect_ledger(self._path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def now(self) -> str:
        """The time by the machine's clock."""
        return utc_now()

    def read(self, sql: str, values: Sequence[object]) -> list[Any]:
        """Give the rows of a query."""
        with translate_errors(self._path):
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement; gives how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    @contextmanager
    def change(self) -> Iterator[None]:
        """Have the block be one transaction, which is on the disk when it ends, or undone."""
        with translate_errors(self._path):
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends it by itself
                    self._connection.execute("rollback")
                raise

    def raising(self) -> AbstractContextManager[None]:
        """Have the turn to raise orders of the project."""
        return raising_lock(self._folder, self._project)


class LocalLedgers:
    """The ledgers that this machine keeps for itself, in the folder of states; see :class:`.ledger.Ledgers`."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder

    @contextmanager
    def opened(self, project: Project) -> Iterator[Ledger]:
        """A project's ledger, opened, and created where there is none, readable by its owner only."""
        with self._open(project.name, order_origin(project)) as ledger:
            ledger.bind()
            yield ledger

    def viewed(self, name: str) -> AbstractContextManager[Ledger]:
        """The ledger of the project ``name``, opened to be looked at, or rebound."""
        return self._open(name, None)

    def _open(self, name: str, origin: Origin | None) -> AbstractContextManager[Ledger]:
        return closing(Ledger(LedgerFile(self._folder, name), name, self._folder, origin=origin))

    def has_ledger(self, project: str) -> bool:
        """Whether there is a file with something in it."""
        path = ledger_path(self._folder, project)
        with translate_errors(path):
            return exists(path) and path.stat().st_size > 0

    def count_pending(self, projects: Sequence[str]) -> Mapping[str, Mapping[str, int] | SyncError]:
        """The number of each project's unfinished orders by status, or why its ledger cannot be read."""
        found: dict[str, Mapping[str, int] | SyncError] = {}
        for project in projects:
            try:
                found[project] = self._count(project) if self.has_ledger(project) else {}
            except StateError as error:
                found[project] = error
        return found

    def _count(self, project: str) -> Mapping[str, int]:
        """Count without writing anything: whoever looks may have no right to."""
        path = ledger_path(self._folder, project)
        with translate_errors(path), closing(read_own_sqlite(path, timeout=OPEN_TIMEOUT_SECONDS)) as connection:
            try:
                return dict(connection.execute(COUNT_PENDING).fetchall())
            except sqlite3.OperationalError as error:
                if "no such" in str(error):  # it is being made, or is older than this engine, which migrates it
                    return {}
                raise


COUNT_PENDING = (
    "select status, count(*) from orders where status in ('received', 'raising', 'waiting', 'failed') group by status"
)


def ledger_path(state_folder: Path, project: str) -> Path:
    """Return where the ledger of a project is, or would be."""
    return state_folder / f"{project}{LEDGER_SUFFIX}"


def connect_ledger(path: Path) -> sqlite3.Connection:
    """Open the file of a ledger with the tables of this version, creating or migrating it where needed.

    Raises :class:`StateError` where it cannot be used or is from a newer version, and :class:`StateLockedError` where
    another process keeps it locked.
    """
    with translate_errors(path):
        make_private_folder(path.parent)
        create_private_file(path)  # SQLite gives the files beside it the same rights
        connection = connect_own_sqlite(path, timeout=OPEN_TIMEOUT_SECONDS)
    try:
        with translate_errors(path):
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or migrate those of an older version; several processes may do so at once."""
    for attempts_left in range(OPEN_TIMEOUT_SECONDS * 10, -1, -1):
        try:
            # SQLite ignores its own timeout for the lock that a change of the journal mode takes.
            connection.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError as error:
            # A full disk, for one, does not get better by waiting.
            if not attempts_left or not is_locked_error(error):
                raise
            time.sleep(0.1)
    connection.execute("pragma synchronous = full")
    if _read_version(connection, path) == LEDGER_VERSION:
        return
    connection.execute("begin immediate")
    try:
        # Another process may have done it while this one waited.
        for version in range(_read_version(connection, path), LEDGER_VERSION):
            for statement in (SQL_FOLDER / MIGRATIONS[version]).read_text("utf-8").split(";"):
                connection.execute(statement)
        connection.execute(f"pragma user_version = {LEDGER_VERSION}")
        connection.execute("commit")
    finally:
        if connection.in_transaction:
            connection.execute("rollback")


def _read_version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("pragma user_version").fetchone()[0]
    if version > LEDGER_VERSION:
        raise StateError(f"The ledger {path} was written by a newer s2s.", hint="Install the newer s2s again.")
    return version


@contextmanager
def raising_lock(state_folder: Path, project: str, *, seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Let one thread of one process raise orders of ``project``; the lock is freed when its process dies.

    Raises :class:`StateLockedError` when another one holds it for ``seconds``.
    """
    path = state_folder / f"{project}.raising.sqlite"
    with ExitStack() as stack:
        with translate_errors(path):
            held = stack.enter_context(file_lock(path, seconds=seconds))
        if not held:
            raise StateLockedError(
                f"Another process has been raising orders for {seconds:.0f} s and holds the lock {path}.",
                hint="Wait until it ends. The lock is freed with the process; nothing needs to be deleted.",
            )
        yield


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite and the file system to :class:`StateError` and :class:`StateLockedError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        message = str(error)
        if is_locked_error(error):
            raise StateLockedError(f"The ledger {path} is locked by another process.", hint="Try again.") from error
        raise StateError(
            f"The ledger {path} cannot be used: {message}.",
            hint="Check the folder's rights and free space; restore a damaged ledger from a backup. Orders that are in"
            " the database are found again by orders/lookup.sql.",
        ) from error
