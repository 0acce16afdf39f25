"""The state of one project: a DuckDB file, which is also the lock.

The file holds what Stock2Shop acknowledged (``published``), the runs, the changes, the quarantine and the rows
that need nothing more (``settled``). A run's own working set lives in a second file, attached as ``run`` and thrown
away when the run ends, so that a broken run leaves nothing behind. The operating system gives the lock back
when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from contextlib import closing, contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import StateError, StateLockedError, StateMemoryError, SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import FileIO

    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

T = TypeVar("T")

VERSION = 3
MEMORY = ("48MB", "192MB", "640MB", "2560MB")
"""What DuckDB may hold in memory; beyond it, it works from disk.

The first is enough for millions of rows of a few KB. Wide ones, with descriptions of 100 KB, need the next: DuckDB
holds a whole row group before it writes it. After the last it may take what it takes by default.
"""

SQL = Path(__file__).parent / "sql"

ROOM = 16_000_000
"""Bytes that DuckDB may want at once: a write that failed with less than that free was refused for want of room."""

_HELD = frozenset({32, 33})
"""Windows' numbers for a file that another process has open, or has locked in part."""

_FORBIDDEN = frozenset({5, 19})
"""Windows' numbers for access that is denied, and for a medium that may not be written."""


class State:
    """An open state file: SQL goes in, tuples come out, faults come as :class:`StateError`."""

    def __init__(self, path: Path, *, kept: int = 0) -> None:
        self.path = path
        self.scratch = path.parent
        self._kept = kept
        self._memory = list(MEMORY)
        self._scripts: dict[str, None] = {}
        self._in_transaction = False
        self._open()

    def _open(self) -> None:
        with _translated(self.path):
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

    def grow(self) -> bool:
        """Give DuckDB more memory; false where it has all that there is."""
        if not self._memory:
            return False
        self._memory.pop(0)
        self._limit()
        return True

    def _limit(self) -> None:
        self.run(f"set memory_limit = '{self._memory[0]}'" if self._memory else "reset memory_limit")

    def let_go(self) -> None:
        """Have DuckDB give back what it keeps of its files in memory, before something else needs it."""
        with suppress(StateMemoryError):  # what is in use stays
            self.run("set memory_limit = '8MB'")
        self._limit()

    def keep_memory(self) -> None:
        """Let the next run begin with as much memory as this one came to, instead of reading its source twice."""
        grown = len(MEMORY) - len(self._memory)
        if grown > int(self.meta("memory") or 0):
            self.remember("memory", str(grown))

    def recall_memory(self) -> None:
        """Begin with as much memory as was kept."""
        for _ in range(int(self.meta("memory") or 0)):
            self.grow()

    def with_memory(self, work: Callable[[], T]) -> T:
        """Do ``work``, which may be done again from its beginning, with more memory where it needs it.

        A transaction that ran out of memory is lost: it is for whoever began it to begin it again.
        """
        while True:
            try:
                return work()
            except StateMemoryError:
                if self._in_transaction or not self.grow():
                    raise

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows: for results that are small by nature."""
        return self.with_memory(lambda: self._fetched(sql, parameters, _all))

    def _fetched(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object],
        fetch: Callable[[duckdb.DuckDBPyConnection], T],
    ) -> T:
        with _translated(self.path):
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

    def rerun(self, sql: str) -> None:
        """Run statements that may be run again from the first, with more memory where they need it."""
        self.with_memory(lambda: self.run(sql))

    def once(self, script: str) -> None:
        """Run ``script``, unless this connection has: for what lives as long as the connection does."""
        if script not in self._scripts:
            self.run(script)
            self._scripts[script] = None

    def dicts(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """Run one statement and give its rows by column name."""

        def named(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        return self.with_memory(lambda: self._fetched(sql, parameters, named))

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
            with _translated(self.path):
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

        return self.with_memory(lambda: self._fetched(sql, parameters, column))

    @contextmanager
    def blocks(self) -> Iterator[Blocks]:
        """Inside, arrays of numbers may be kept on disk, in the working set."""
        with _translated(self.path):
            file = (self.scratch / "blocks").open("w+b", buffering=0)
        with file:
            yield Blocks(file, self.path)

    def transact(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a transaction; from its beginning, with more memory, where it needs that.

        DuckDB takes nothing back of a `delete` that ran out of memory: until the file is opened anew, each that meets
        the same rows ends in a conflict with it.
        """
        while True:
            try:
                with self.transaction():
                    work()
            except StateMemoryError:
                if not self.grow():
                    raise
                self._reopen()
            else:
                return

    @contextmanager
    def given(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
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

    def remember(self, name: str, value: str) -> None:
        """Keep ``value`` under ``name``."""
        self.run("delete from meta where name = $1", [name])
        self.run("insert into meta values ($1, $2)", [name, value])


class Blocks:
    """Arrays of 64-bit numbers that lie on disk, one of them in memory at a time."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.sizes: list[int] = []

    def append(self, numbers: npt.NDArray[np.uint64]) -> None:
        """Write ``numbers`` behind those that are there."""
        with _translated(self._path):
            self._file.seek(0, os.SEEK_END)
            left = numbers.data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        self.sizes.append(len(numbers))

    def __iter__(self) -> Iterator[npt.NDArray[np.uint64]]:
        """Read them, in order; each until the next one is asked for."""
        import numpy as np

        memory = np.empty(max(self.sizes, default=0), dtype=np.uint64)
        self._file.seek(0)
        for size in self.sizes:
            block = memory[:size]
            with _translated(self._path):
                if self._file.readinto(block.data) != block.nbytes:
                    raise OSError(errno.EIO, "The working set was cut short")
            yield block


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

    with _translated(path):
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
                state.recall_memory()
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


@cache
def _beside() -> duckdb.DuckDBPyConnection:
    """A database in memory that lasts as long as the process: a rehearsal of many views would wait for each anew."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1})


@contextmanager
def hashing(expression: str) -> Iterator[Callable[[Sequence[pa.RecordBatch]], npt.NDArray[np.uint64]]]:
    """Inside, a function gives what the SQL ``expression``, of 64 bits, comes to in every row of some batches.

    It works in a database of its own, in memory: the state's is busy while rows stream into it.
    """
    import pyarrow as pa

    sql = f"select {expression} as hashed from batch"  # noqa: S608 - the caller's own SQL
    with _beside().cursor() as connection:

        def hashed(batches: Sequence[pa.RecordBatch]) -> npt.NDArray[np.uint64]:
            connection.register("batch", pa.Table.from_batches(batches))
            return connection.execute(sql).fetchnumpy()["hashed"]

        yield hashed


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A folder beside the state at ``path`` for the working set, gone with the run.

    Whoever holds the state knows that no other run is under way: what runs left behind that were killed goes too.
    """
    with _translated(path):
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
                state.remember("version", number)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what DuckDB and the file system say into what to do about it."""
    import duckdb

    try:
        yield
    except SyncError:
        raise
    except (duckdb.Error, OSError, MemoryError) as error:
        raise _explain(error, path) from error


def _explain(error: Exception, path: Path) -> StateError:
    text = str(error)
    low = text.lower()
    asked = "cannot open file" in low and str(path) in text  # any other, this process may hold itself by now
    number = getattr(error, "winerror", None) or (_refusal(path) if asked else 0)
    # The second is what DuckDB adds on Windows, whose own words are in the language of the machine.
    if ("lock" in low and ("conflicting" in low or "could not set" in low)) or "file is already open in" in low:
        holder = re.search(r"PID (\d+)", text)
        by = f" (process {holder[1]})" if holder else ""
        return StateLockedError(
            f"Another run holds {path}{by}.",
            hint="Wait until it ends and run again. The lock goes with the process: nothing needs to be deleted.",
        )
    if number in _HELD or "being used by another process" in low:
        return StateLockedError(
            f"Another run or program holds {path}, or did just now: a backup, or a virus scanner.",
            hint="Run again. If it stays so, leave the folder out of the backup's and the scanner's work.",
        )
    if "out of memory" in low or "failed to pin" in low or isinstance(error, MemoryError):
        return StateMemoryError(
            "The rows of the view need more memory than this machine has free. Nothing was lost.",
            hint="Close other programs, or leave very long texts out of the view.",
        )
    if (
        "no space" in low
        or "disk full" in low
        or "file too large" in low
        or "enospc" in low
        or "max_temp_directory_size" in low
        or getattr(error, "errno", None) == errno.ENOSPC
        or ("could not write" in low and _is_full(path))
    ):
        return StateError(
            f"The disk is full: {path.parent} could not take the working set of the run. Nothing was lost.",
            hint="Free some space there, or set S2S_STATE to a folder on a larger disk, and run again.",
        )
    if re.search("not a valid duckdb|corrupt|checksum|deserializ|could not read (enough|all) bytes|extension", low):
        return StateError(
            f"The state file {path} is damaged or is no DuckDB file.",
            hint="Restore it from a backup; or move it away and run `s2s adopt`, which reads from Stock2Shop"
            " what it holds, so that nothing is deleted or sent twice for a lost state.",
        )
    if "newer" in low or "storage version" in low or "version number" in low:
        return StateError(
            f"The state file {path} was written by a newer DuckDB.",
            hint="Install the DuckDB version that wrote it, or move the file away and run `s2s adopt`.",
        )
    if number in _FORBIDDEN or "permission denied" in low or "read-only" in low or isinstance(error, PermissionError):
        return StateError(
            f"The state file {path} cannot be written.",
            hint="Give the account that runs s2s the right to write the folder, or set S2S_STATE to another one.",
        )
    return StateError(
        f"The state file {path} could not be used: {text.splitlines()[0] if text else type(error).__name__}",
        hint="Run again with --debug for the details.",
    )


def _refusal(path: Path) -> int:
    """Windows' number for why the file cannot be opened to write, whose words are in the machine's language; else 0."""
    if sys.platform == "win32":
        import _winapi

        access = _winapi.GENERIC_READ | _winapi.GENERIC_WRITE
        try:
            _winapi.CloseHandle(_winapi.CreateFile(str(path), access, 0, 0, _winapi.OPEN_EXISTING, 0, 0))
        except OSError as error:
            return error.winerror or 0
    return 0


def _is_full(path: Path) -> bool:
    """Whether the disk hardly has room for anything DuckDB writes at a time."""
    try:
        return shutil.disk_usage(path.parent).free < ROOM
    except OSError:
        return False
