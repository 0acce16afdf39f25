"""Open the state of one project, a DuckDB file that is also the project's lock, and run SQL in it.

The file holds what Stock2Shop acknowledged (``published``), the runs, the changes, the quarantine and the rows
that need nothing more (``settled``). A run's own working set is in a second file, attached as ``run`` and deleted
when the run ends, so that an interrupted run leaves nothing behind. The operating system releases the lock when the
process ends, however it ends.

DuckDB begins with little memory and is given more where a statement needs it (:data:`MEMORY_LIMITS`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from engine.embedded import connect_duckdb, find_foreign_relations, is_known_setting, is_one_select, parse_script
from engine.errors import StateError, StateMemoryError
from engine.state.errors import translate_errors
from engine.state.spill_file import BatchLog, SpillFile
from engine.state.torn_tables import TornTables
from engine.state.working_folder import prepare_file, working_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

T = TypeVar("T")

VERSION = 4
"""The version of the tables; ``sql/migrations.sql`` has a block for each version."""

MEMORY_LIMITS = ("48MB", "192MB", "640MB", "2560MB")
"""How much memory DuckDB may use; beyond that it works from disk.

The first is enough for millions of rows of a few KB. Wide rows, with descriptions of 100 KB, need the next. After the
last one DuckDB's own default applies.
"""

DUCKDB_SETTINGS = {
    "preserve_insertion_order": "false",
    "enable_progress_bar": "false",
    # There is one reader, and loading rows waits for it: two threads are no faster, take nearly twice the CPU time and
    # 30 MB more memory.
    "threads": "1",
    # Each checkpoint writes the last row group of a table again, with wide rows hundreds of MB: with DuckDB's default
    # of 16 MB a first load of rows of 10 KB took a quarter more CPU time.
    "wal_autocheckpoint": "64MB",
}
"""DuckDB's settings for a state."""

_CHANGEABLE_SETTINGS = ("enable_optimizer", "checkpoint_on_detach", "max_vacuum_tasks")
"""Settings that are changed while a state is open, besides the harmless ones."""

SQL = Path(__file__).parent / "sql"


class State:
    """An open state file: SQL goes in, tuples come out. Raises :class:`StateError` for whatever fails."""

    _version: ClassVar[str] = ""

    def __init__(self, path: Path, *, scratch: Path, keep_journal: bool = False) -> None:
        self.path = path
        self.scratch = scratch
        self._keep_journal = keep_journal
        self._memory_limits = list(MEMORY_LIMITS)
        self._scripts: dict[str, None] = {}
        self._meta: dict[str, str] | None = None
        self._in_transaction = False
        self._torn = TornTables()
        self._merges = True
        self._open()

    def _open(self) -> None:
        with translate_errors(self.path):
            self._connection = connect_duckdb(
                self.path,
                scratch=self.scratch,
                settings=DUCKDB_SETTINGS,
                changeable=_CHANGEABLE_SETTINGS,
                keep_journal=self._keep_journal,
            )

    def close(self) -> None:
        """Close the file, after its journal was written into it unless that is kept; may be called repeatedly."""
        self._connection.close()

    def interrupt(self) -> None:
        """Cancel the statement that is running, from another thread; it raises :class:`StateError`."""
        self._connection.interrupt()

    def attach_working_set(self) -> None:
        """Attach the working set as ``run``, in the folder ``scratch``, which belongs to this process alone."""
        quoted = str(self.scratch).replace("'", "''")
        self._apply_memory_limit()
        if not self._merges:
            self.run("set max_vacuum_tasks = 0")
        # Without a journal, since the file is deleted when the run ends: a fifth less CPU time for small tables.
        # DuckDB's metadata of row groups stays in memory: for two million rows 15 MB less than with groups of 8,192.
        self.run(f"attach '{quoted}/run.duckdb' as run (recovery_mode 'no_wal_writes', row_group_size 16384)")

    def drop_working_set(self) -> None:
        """Detach the working set, whose file is about to be deleted: what it holds need not be written into it."""
        if is_known_setting("checkpoint_on_detach"):  # DuckDB 2
            self.run("set checkpoint_on_detach = 'DISABLED'")
        self.run("detach run")

    def _reopen(self) -> None:
        """Close the file and open it again, with the same working set."""
        self.run("detach run")
        self.close()
        self._open()
        self.attach_working_set()
        for script in self._scripts:
            self.run(script)

    def increase_memory_limit(self) -> bool:
        """Raise DuckDB's memory limit to the next of :data:`MEMORY_LIMITS`; False where it has the last one already."""
        if not self._memory_limits:
            return False
        self._memory_limits.pop(0)
        self._apply_memory_limit()
        return True

    def ensure_memory_limit(self, megabytes: float) -> None:
        """Raise DuckDB's memory limit to at least so much, where it has less."""
        while self._memory_limits and int(self._memory_limits[0].removesuffix("MB")) < megabytes:
            self.increase_memory_limit()

    def _apply_memory_limit(self) -> None:
        self.run(f"set memory_limit = '{self._memory_limits[0]}'" if self._memory_limits else "reset memory_limit")

    def set_merging(self, *, merges: bool) -> None:
        """Whether a checkpoint merges the parts of a table with each other where they are small.

        It holds them all in memory, and writes them once more. A part of which no row is left is removed at any rate.
        """
        if merges != self._merges:
            self.run("reset max_vacuum_tasks" if merges else "set max_vacuum_tasks = 0")
            self._merges = merges

    def release_buffers(self) -> None:
        """Have DuckDB free the memory in which it caches its files, before something else needs that memory."""
        with suppress(StateMemoryError):  # what is in use stays
            self.run("set memory_limit = '8MB'")
        self._apply_memory_limit()

    def save_memory_limit(self) -> None:
        """Save the memory limit for the next run, which then need not read its source twice to find out."""
        grown = len(MEMORY_LIMITS) - len(self._memory_limits)
        if grown > int(self.meta("memory") or 0):
            self.set_meta("memory", str(grown))

    def restore_memory_limit(self) -> None:
        """Set the memory limit that the last run saved."""
        for _ in range(int(self.meta("memory") or 0)):
            self.increase_memory_limit()

    def with_retry(self, work: Callable[[], T]) -> T:
        """Call ``work``, and call it again with a higher memory limit while it runs out of memory; gives its result.

        ``work`` must be repeatable from its beginning. Inside a transaction the error is raised instead: a transaction
        that ran out of memory is lost, and must be repeated as a whole.
        """
        while True:
            try:
                return work()
            except StateMemoryError:
                if self._in_transaction or not self.increase_memory_limit():
                    raise
                self._torn.replace(self)

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows: for results that are small by nature."""
        return self.with_retry(lambda: self._fetch(sql, parameters, _all))

    def _translated_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self.path, memory_limit=self._memory_limits[0] if self._memory_limits else "")

    def _fetch(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object],
        fetch: Callable[[duckdb.DuckDBPyConnection], T],
    ) -> T:
        with self._torn.watching(sql, in_transaction=self._in_transaction), self._translated_errors():
            *before, last = parse_script(self._connection, sql)
            for statement in before:
                self._connection.execute(statement, _named_in(statement, parameters))
            return fetch(self._connection.execute(last, _named_in(last, parameters)))

    def row(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> tuple[Any, ...]:
        """Run ``sql`` and give its only row."""
        (only,) = self.rows(sql, parameters)
        return only

    def value(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Any:
        """Run ``sql`` and give the first column of its only row."""
        return self.row(sql, parameters)[0]

    def run(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> None:
        """Run any number of statements, which are not repeated with more memory.

        ``parameters`` by name are for whichever statement names them; a sequence is for one statement, which is
        repeated.
        """
        if parameters and not isinstance(parameters, Mapping):
            self.rows(sql, parameters)
        elif sql and not sql.isspace():
            self._fetch(sql, parameters, _all)

    def run_with_retry(self, sql: str, parameters: Mapping[str, object] = MappingProxyType({})) -> None:
        """Run statements that may be repeated from the first one, with more memory where they need it."""
        self.with_retry(lambda: self.run(sql, parameters))

    def run_once(self, script: str) -> None:
        """Run ``script`` unless this connection ran it before: for macros and temporary tables, which live as long."""
        if script not in self._scripts:
            self.run(script)
            self._scripts[script] = None

    def dicts(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """Run one statement and give its rows by column name."""
        return self.with_retry(lambda: self._fetch(sql, parameters, _named))

    def is_one_select(self, sql: str) -> bool:
        """Whether ``sql`` is one statement that only reads, as DuckDB itself counts them."""
        with translate_errors(self.path):
            return is_one_select(self._connection, sql)

    def find_foreign_relations(self, sql: str, *, own: str) -> list[str]:
        """What a SELECT reads besides the table ``own``, as :func:`engine.embedded.find_foreign_relations` says."""
        with translate_errors(self.path):
            return find_foreign_relations(self._connection, sql, own=own)

    def read_only_dicts(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[dict[str, Any]]:
        """Run one statement in a transaction that cannot write, and give its rows by column name.

        For SQL of a project's, which must be one SELECT (:meth:`is_one_select`).
        """

        def read() -> list[dict[str, Any]]:
            self.run("begin transaction read only")
            try:
                with self._translated_errors():
                    return _named(self._connection.execute(sql, parameters))
            finally:
                self.run("rollback")

        return self.with_retry(read)

    @property
    def version(self) -> str:
        """DuckDB's own version, such as v2.0.0."""
        if not State._version:
            State._version = str(self.value("select version()"))
        return State._version

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of ``table``, which is there, in order."""
        return tuple(name for (name,) in self.rows("select name from pragma_table_info($1) order by cid", [table]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that is done inside the block, or nothing of it where the block raises."""
        self.run("begin transaction")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._meta = None
            with translate_errors(self.path):
                self._connection.execute("rollback")
            raise
        finally:
            self._in_transaction = False
        self.run("commit")

    def numbers(self, sql: str, parameters: Sequence[object] = ()) -> npt.NDArray[np.uint64]:
        """Run one statement and give its only column, of 64-bit numbers without NULL, as an array."""

        def column(result: duckdb.DuckDBPyConnection) -> npt.NDArray[np.uint64]:
            (only,) = result.fetchnumpy().values()
            return only

        return self.with_retry(lambda: self._fetch(sql, parameters, column))

    @contextmanager
    def batch_log(self, schema: pa.Schema) -> Iterator[BatchLog]:
        """Inside the block, record batches can be kept to be read again, on disk in the working folder."""
        log = BatchLog(self.scratch / "rows", schema)
        try:
            yield log
        finally:
            log.clear()

    @contextmanager
    def spill_file(self) -> Iterator[SpillFile]:
        """Inside the block, arrays of numbers may be kept on disk, in the working folder."""
        with translate_errors(self.path):
            file = (self.scratch / "blocks").open("w+b", buffering=0)
        with file:
            yield SpillFile(file, self.path)

    def transaction_with_retry(self, work: Callable[[], None]) -> None:
        """Call ``work`` in a transaction, and again from its beginning with more memory while it runs out of memory.

        DuckDB does not undo a `delete` that ran out of memory: until the file is opened again, each `delete` of the
        same rows conflicts with it.
        """
        while True:
            try:
                with self.transaction():
                    work()
            except StateMemoryError:
                if not self.increase_memory_limit():
                    raise
                self._torn.replace(self)
                self._reopen()
            else:
                return

    @contextmanager
    def registered(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        """Inside the block, ``rows`` can be selected from ``name``: a table any number of times, a reader once."""
        self._connection.register(name, rows)
        try:
            yield
        finally:
            self._connection.unregister(name)

    def meta(self, name: str) -> str | None:
        """The value that :meth:`set_meta` stored under ``name``, or None."""
        if self._meta is None:  # read at once: a statement costs more than all rows of it
            self._meta = dict(self.rows("select name, value from meta"))
        return self._meta.get(name)

    def set_meta(self, name: str, value: str) -> None:
        """Store ``value`` under ``name``, in place of any value before."""
        self.run("delete from meta where name = $1", [name])
        self.run("insert into meta values ($1, $2)", [name, value])
        self._meta = None

    def forget_meta(self, name: str) -> None:
        """Remove what is stored under ``name``."""
        self.run("delete from meta where name = $1", [name])
        self._meta = None


def _named_in(
    statement: duckdb.Statement, parameters: Sequence[object] | Mapping[str, object]
) -> Sequence[object] | Mapping[str, object]:
    """Those of the ``parameters`` that ``statement`` has."""
    if not isinstance(parameters, Mapping):
        return parameters
    return {name: value for name, value in parameters.items() if name in statement.named_parameters}


def _named(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _all(result: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return result.fetchall()


@contextmanager
def open_state(path: Path, *, keep_journal: bool = False) -> Iterator[State]:
    """Open the state file at ``path``, creating or migrating it, with an empty working set attached as ``run``.

    At the end DuckDB writes its journal, to which each commit appends, into the file; with ``keep_journal`` it stays a
    file of its own, ``path`` with ``.wal``. The file and its folder are readable by their owner only. Raises
    :class:`StateLockedError` when another process
    holds the file and :class:`StateError` when it is damaged, newer than this engine or cannot be written.
    """
    prepare_file(path)
    before = os.umask(0o077)  # until the end: DuckDB creates the journal beside the file when it first writes
    try:
        # Named before the file is opened: the journal of a killed run may need more than the memory.
        scratch = path.with_name(f".{path.stem}-{secrets.token_hex(4)}")
        state = State(path, scratch=scratch, keep_journal=keep_journal)
        try:
            # Closed before its folder is deleted: closing writes the journal into the file, and may need the folder for
            # that. Where it fails, no error is raised, and the next run reads the journal again.
            with working_folder(path, scratch), closing(state):
                state.attach_working_set()
                _migrate(state)
                state.restore_memory_limit()
                try:
                    yield state
                except BaseException as error:
                    with suppress(StateError):  # the error that ended the run says more
                        if isinstance(error, StateMemoryError) and state.increase_memory_limit():
                            state.save_memory_limit()
                        state.drop_working_set()
                    raise
                state.drop_working_set()
        finally:
            state.close()
    finally:
        os.umask(before)


def _has_tables(state: State) -> bool:
    """Whether the file is a state already. Looking for the table in the catalogue would cost 20 times as much."""
    import duckdb

    try:
        state.meta("version")
    except StateError as error:
        if isinstance(error.__cause__, duckdb.CatalogException):
            return False
        raise
    return True


def _migrate(state: State) -> None:
    """Create the tables, or bring those of an older version up to :data:`VERSION`, one version a transaction."""
    version = int(state.meta("version") or 0) if _has_tables(state) else 0
    if version > VERSION:
        raise StateError(
            f"The state file {state.path} was written by a newer s2s (version {version}, this one knows {VERSION}).",
            hint="Install the newer s2s again, or move the file away and run `s2s adopt`.",
        )
    blocks = re.split(r"^-- version (\d+)$", (SQL / "migrations.sql").read_text("utf-8"), flags=re.MULTILINE)
    for number, block in zip(blocks[1::2], blocks[2::2], strict=True):
        if int(number) > version:
            with state.transaction():
                state.run(block)
                state.set_meta("version", number)
