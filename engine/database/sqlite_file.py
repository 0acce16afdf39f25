"""Read a SQLite file through Python's own module, and open one to write orders into."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from engine.database.arrow import MIN_BATCH_ROWS, BatchResult, FetchedColumn, fetch_batch, next_batch_rows
from engine.database.binary import BinaryValueError
from engine.database.connection import ServerFacts
from engine.database.error_messages import translate_error
from engine.database.session import closed_on_error, run_session_statements
from engine.database.watchdog import Watchdog
from engine.embedded import connect_sqlite
from engine.errors import ConnectError, QueryError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from engine.clock import Deadline
    from engine.database.watchdog import T
    from engine.model.settings import SourceSettings


def open_sqlite(path: Path, settings: SourceSettings, *, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open an existing SQLite file and run the project's session statements; no transaction is begun.

    Raises :class:`ConnectError` where it cannot be opened.
    """
    import sqlite3

    errors = (sqlite3.Error, sqlite3.Warning)  # a second statement is a mere warning before Python 3.12
    try:
        # Only one thread at a time uses it, but not always the same: DuckDB's pulls the rows, a server's raises orders.
        connection = connect_sqlite(path, mode=mode, timeout=settings.connect_timeout)
    except errors as error:
        hint = "Check that it is a whole SQLite file, not encrypted, and that no other program has it open."
        if mode == "ro" and "readonly" in str(error):
            hint = (
                "The program that wrote to it last was interrupted, and only a program that may write can undo what it"
                " left: open the file once with the program that it belongs to. s2s never writes to a source."
            )
        raise ConnectError(f"The file {path} cannot be opened: {error}.", hint=hint) from None
    connection.text_factory = _decoder(settings.decoding)
    with closed_on_error(connection):
        run_session_statements(settings.session, lambda statement: connection.execute(statement).close(), errors=errors)
    return connection


class SqliteSource:
    """A SQLite file, read through Python's own module."""

    def __init__(self, path: Path, settings: SourceSettings, deadline: Deadline | None = None) -> None:
        import sqlite3

        self._settings = settings
        self._watchdog = Watchdog(deadline)
        self._errors = (sqlite3.Error, sqlite3.Warning)
        self._version = sqlite3.sqlite_version
        self._connection = open_sqlite(path, settings, mode="ro")

    def read(self, sql: str, *, pack: bool = False) -> BatchResult:  # noqa: ARG002 - there is nothing to gain
        """Run one SELECT, as :class:`~engine.database.connection.Connection` says."""
        cursor = self._call(partial(self._connection.execute, sql))
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        columns = tuple(column[0] for column in cursor.description)
        return BatchResult(columns=columns, batches=self._batches(cursor, columns))

    def _batches(self, cursor: Any, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        columns = [FetchedColumn(name) for name in names]
        size = min(MIN_BATCH_ROWS, self._settings.batch_rows)
        try:
            while True:
                batch = self._call(partial(fetch_batch, cursor.fetchmany, columns, size))
                if batch.num_rows:
                    yield batch
                if batch.num_rows < size:
                    return
                size = next_batch_rows(batch, self._settings.batch_rows)
        finally:
            # Where the reader stopped early, this runs when the connection is closed already.
            with suppress(*self._errors):
                cursor.close()

    def begin_snapshot(self) -> bool:
        """Begin the transaction in which everything that is read is of one moment."""
        self._call(partial(self._connection.execute, "begin")).close()
        return True

    def list_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema, table, column and type."""
        sql = (
            "select '', t.name, c.name, c.type from sqlite_master as t, pragma_table_info(t.name) as c"
            " where t.type in ('table', 'view') order by t.name, c.cid"
        )
        yield from self._call(lambda: self._connection.execute(sql).fetchall())

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return self._watchdog.call(call, seconds=self._settings.query_timeout, cancel=self._connection.interrupt)
        except BinaryValueError as error:
            raise error.as_query_error("sqlite") from None
        except self._errors as error:
            raise translate_error("", str(error), connecting=False) from None

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, for ``s2s doctor``."""
        return ServerFacts(
            driver="Python's sqlite3",
            driver_version=self._version,
            dbms="SQLite",
            dbms_version=self._version,
            read_only=True,
        )

    def close(self) -> None:
        """Close the connection; one whose call never ended is closed once it does."""
        with suppress(QueryError):
            self._watchdog.close(self._connection.close, seconds=self._settings.query_timeout)


def _decoder(encoding: str | None) -> Callable[[bytes], str]:
    """Read texts in ``encoding``, by default UTF-8; what is not valid in it is read as Windows-1252."""

    def decoded(raw: bytes) -> str:
        try:
            return raw.decode(encoding or "utf-8")
        except UnicodeDecodeError:
            return raw.decode("cp1252", "backslashreplace")

    return decoded
