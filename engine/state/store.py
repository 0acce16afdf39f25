"""The state of one project: a DuckDB file, which is also the lock.

The file holds what Stock2Shop acknowledged (``published``), the runs, the changes, the quarantine and the rows
that need nothing more (``settled``). A run's own working set lives in a second file, attached as ``run`` and thrown
away when the run ends, so that a broken run leaves nothing behind. The operating system gives the lock back
when the process ends, however it ends.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import StateError, StateMemoryError
from engine.state.blocks import SpillFile
from engine.state.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

T = TypeVar("T")

VERSION = 3

MEMORY_LIMITS = ("48MB", "192MB", "640MB", "2560MB")
"""What DuckDB may hold in memory; beyond it, it works from disk.

The first is enough for millions of rows of a few KB. Wide ones, with descriptions of 100 KB, need the next: DuckDB
holds a whole row group before it writes it. After the last it may take what it takes by default.
"""

SQL = Path(__file__).parent / "sql"


class State:
    """An open state file: SQL goes in, tuples come out, faults come as :class:`StateError`."""

    def __init__(self, path: Path, *, kept: int = 0) -> None:
        self.path = path
        self.scratch = path.parent
        self._kept = kept
        self._memory = list(MEMORY_LIMITS)
        self._scripts: dict[str, None] = {}
        self._in_transaction = False
        self._open()

    def _open(self) -> None:
        with translate_errors(self.path):
            self._connection = _connect(self.path)
        # Parsed once, which `execute` does twice with DuckDB 2: a quarter of what a statement costs that has few rows.
        self._statements = lru_cache(maxsize=self._kept)(self._connection.extract_statements)

    def close(self) -> None:
        """Close the file, which its journal is written into; any number of times."""
        self._connection.close()

    def configure(self, scratch: Path) -> None:
        """Have the working set in the folder ``scratch``, which is this process's own."""
        self.scratch = scratch
        quoted = str(scratch).replace("'", "''")
        # First of all: what a killed run left in the journal may be too much to be held, and where it goes to disk then
        # can be told only before it does.
        self.run(f"set temp_directory = '{quoted}'")
        self._limit()
        self.run("set preserve_insertion_order = false; set timezone = 'UTC'; set enable_progress_bar = false")
        # The reader is one, and whoever lands rows waits for it: two threads end no sooner, take nearly twice the CPU
        # time, and hold 30 MB more.
        self.run("set threads = 1")
        # Each checkpoint writes the last row group of a table anew, with wide rows hundreds of MB: with DuckDB's own
        # 16 MB a first load of rows with 10 KB took a quarter more CPU time.
        self.run("set wal_autocheckpoint = '64MB'")
        # What DuckDB knows of its row groups stays in memory, 15 MB less of two million rows than with 8,192. With
        # 32,768, rows with 60 KB would take half as much again while they land.
        self.run(f"attach '{quoted}/run.duckdb' as run (row_group_size 16384)")

    def _reopen(self) -> None:
        """Close the file and open it again, with the same working set."""
        self.run("detach run")
        self.close()
        self._open()
        self.configure(self.scratch)
        for script in self._scripts:
            self.run(script)

    def increase_memory_limit(self) -> bool:
        """Give DuckDB more memory; false where it has all that there is."""
        if not self._memory:
            return False
        self._memory.pop(0)
        self._limit()
        return True

    def _limit(self) -> None:
        self.run(f"set memory_limit = '{self._memory[0]}'" if self._memory else "reset memory_limit")

    def release_buffers(self) -> None:
        """Have DuckDB give back what it keeps of its files in memory, before something else needs it."""
        with suppress(StateMemoryError):  # what is in use stays
            self.run("set memory_limit = '8MB'")
        self._limit()

    def save_memory_limit(self) -> None:
        """Let the next run begin with as much memory as this one came to, instead of reading its source twice."""
        grown = len(MEMORY_LIMITS) - len(self._memory)
        if grown > int(self.meta("memory") or 0):
            self.set_meta("memory", str(grown))

    def restore_memory_limit(self) -> None:
        """Begin with as much memory as was kept."""
        for _ in range(int(self.meta("memory") or 0)):
            self.increase_memory_limit()

    def with_retry(self, work: Callable[[], T]) -> T:
        """Do ``work``, which may be done again from its beginning, with more memory where it needs it.

        A transaction that ran out of memory is lost: it is for whoever began it to begin it again.
        """
        while True:
            try:
                return work()
            except StateMemoryError:
                if self._in_transaction or not self.increase_memory_limit():
                    raise

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows: for results that are small by nature."""
        return self.with_retry(lambda: self._fetched(sql, parameters, _all))

    def _fetched(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object],
        fetch: Callable[[duckdb.DuckDBPyConnection], T],
    ) -> T:
        with translate_errors(self.path):
            *before, last = self._statements(sql)
            for statement in before:
                self._connection.execute(statement)
            return fetch(self._connection.execute(last, parameters))

    def row(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> tuple[Any, ...]:
        """Run ``sql`` and give its only row."""
        (only,) = self.rows(sql, parameters)
        return only

    def value(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Any:
        """Run ``sql`` and give the first column of its only row."""
        return self.row(sql, parameters)[0]

    def run(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> None:
        """Run one statement, or several when there are no parameters: those are not run again for want of memory."""
        if parameters:
            self.rows(sql, parameters)
        else:
            self._fetched(sql, (), _all)

    def run_with_retry(self, sql: str) -> None:
        """Run statements that may be run again from the first, with more memory where they need it."""
        self.with_retry(lambda: self.run(sql))

    def run_once(self, script: str) -> None:
        """Run ``script``, unless this connection has: for what lives as long as the connection does."""
        if script not in self._scripts:
            self.run(script)
            self._scripts[script] = None

    def dicts(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """Run one statement and give its rows by column name."""

        def named(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        return self.with_retry(lambda: self._fetched(sql, parameters, named))

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of ``table``, which is there, in order."""
        return tuple(name for (name,) in self.rows("select name from pragma_table_info($1) order by cid", [table]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done inside is kept together, or not at all."""
        self.run("begin transaction")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            with translate_errors(self.path):
                self._connection.execute("rollback")
            raise
        finally:
            self._in_transaction = False
        self.run("commit")

    def numbers(self, sql: str, parameters: Sequence[object] = ()) -> npt.NDArray[np.uint64]:
        """Run one statement and give its only column, of 64-bit numbers without NULL, as an array of one's own."""

        def column(result: duckdb.DuckDBPyConnection) -> npt.NDArray[np.uint64]:
            (only,) = result.fetchnumpy().values()
            return only

        return self.with_retry(lambda: self._fetched(sql, parameters, column))

    @contextmanager
    def spill_file(self) -> Iterator[SpillFile]:
        """Inside, arrays of numbers may be kept on disk, in the working set."""
        with translate_errors(self.path):
            file = (self.scratch / "blocks").open("w+b", buffering=0)
        with file:
            yield SpillFile(file, self.path)

    def transaction_with_retry(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a transaction; from its beginning, with more memory, where it needs that.

        DuckDB takes nothing back of a `delete` that ran out of memory: until the file is opened anew, each that meets
        the same rows ends in a conflict with it.
        """
        while True:
            try:
                with self.transaction():
                    work()
            except StateMemoryError:
                if not self.increase_memory_limit():
                    raise
                self._reopen()
            else:
                return

    @contextmanager
    def registered(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        """Inside, the relation ``name`` gives ``rows``: a table any number of times, a reader once."""
        self._connection.register(name, rows)
        try:
            yield
        finally:
            self._connection.unregister(name)

    def meta(self, name: str) -> str | None:
        """A remembered value, or None."""
        found = self.rows("select value from meta where name = $1", [name])
        return str(found[0][0]) if found else None

    def set_meta(self, name: str, value: str) -> None:
        """Keep ``value`` under ``name``."""
        self.run("delete from meta where name = $1", [name])
        self.run("insert into meta values ($1, $2)", [name, value])


def _all(result: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return result.fetchall()


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    # A file of another kind would have DuckDB download what reads it.
    return duckdb.connect(str(path), config={"autoinstall_known_extensions": "false"})


@contextmanager
def open_state(path: Path, *, kept: int = 0) -> Iterator[State]:
    """Open the state file at ``path``, creating or migrating it, with an empty working set attached as ``run``.

    The file and its folder are readable by their owner only. ``kept`` is how many scripts stay parsed, for who runs the
    same ones again and again. Raises :class:`StateLockedError` when another process holds the file and
    :class:`StateError` when it is damaged, newer than this engine or cannot be written.
    """
    from engine.files import exists

    with translate_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if exists(path) and not os.access(path, os.W_OK):
            raise StateError(
                f"The state file {path} cannot be written.",
                hint="Give the account that runs s2s the right to write it, or set S2S_STATE to another folder.",
            )
    before = os.umask(0o077)  # to the end: DuckDB makes the journal beside the file when it first writes
    try:
        state = State(path, kept=kept)
        try:
            # Closed before its folder goes: it writes its journal into the file then, and may need the disk for that.
            # Where it cannot, it says nothing, and whoever opens the file next reads the journal once more.
            with _scratch(path) as folder, closing(state):
                state.configure(folder)
                _migrate(state)
                state.restore_memory_limit()
                try:
                    yield state
                except BaseException:
                    with suppress(StateError):  # what ended the run says more
                        state.run("detach run")
                    raise
                state.run("detach run")
        finally:
            state.close()
    finally:
        os.umask(before)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A folder beside the state at ``path`` for the working set, gone with the run.

    Whoever holds the state knows that no other run is under way: what runs left behind that were killed goes too.
    """
    with translate_errors(path):
        for folder in path.parent.iterdir():
            if re.fullmatch(rf"\.{re.escape(path.stem)}-[a-z0-9_]{{8}}", folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        made = tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent, ignore_cleanup_errors=True)
    with made as name:
        yield Path(name)


def _migrate(state: State) -> None:
    exists = state.value(
        "select count(*) from duckdb_tables() where database_name = current_database() and table_name = 'meta'"
    )
    version = int(state.meta("version") or 0) if exists else 0
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
