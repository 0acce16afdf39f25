"""Open a client's database, to read it or to write orders into it.

Two kinds of sources: anything that ODBC reaches (``connection`` under ``[source]``), and DuckDB or SQLite files
(``database``), which need no driver manager and are told apart by their first bytes.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine.database.columnar import ColumnarConnection
from engine.database.connection_string import password_hint
from engine.database.duckdb_file import DuckDbSource
from engine.database.error_messages import plain_message
from engine.database.odbc import OdbcConnection
from engine.database.odbc_driver import load_pyodbc
from engine.database.session import closed_on_error, run_session_statements
from engine.database.sqlite_file import SqliteSource, open_sqlite
from engine.database.writer import DbApiWriter, to_sqlite_value
from engine.embedded import connect_duckdb
from engine.errors import ConnectError, WriteError
from engine.files import is_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.clock import Deadline
    from engine.database.connection import Connection, Writer
    from engine.model.settings import SourceSettings

PYODBC = "pyodbc"
"""The reader of every database over ODBC, unless ``reader`` names another."""


@contextmanager
def open_source(
    settings: SourceSettings, *, read_only: bool = True, deadline: Deadline | None = None
) -> Iterator[Connection]:
    """Connect to the source that ``settings`` describe; the connection is closed at the end of the block.

    Files are always opened read-only; with ``read_only=False`` an ODBC connection may write. Whatever is read is broken
    off at ``deadline`` with a :class:`DeadlineError`, and at its stop with a :class:`CancelledError`. Raises
    :class:`DriverError` when the driver manager or the driver is missing and :class:`ConnectError` when the database
    cannot be reached or refuses the login.
    """
    connection: Connection
    if settings.database is not None:
        connection = _reader_of(settings.database)(settings.database, settings, deadline)
    else:
        columnar = settings.reader != PYODBC and read_only
        try:
            connection = (ColumnarConnection if columnar else OdbcConnection)(
                settings, read_only=read_only, deadline=deadline
            )
        except ConnectError as error:
            if hint := password_hint(settings.connection or ""):
                raise ConnectError(error.message, hint=f"{hint} {error.hint}") from None
            raise
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def open_writer(settings: SourceSettings) -> Iterator[Writer]:
    """Connect to raise orders: whatever :meth:`Writer.commit` did not commit is rolled back at the end.

    Raises :class:`DriverError` and :class:`ConnectError` as :func:`open_source` does.
    """
    writer: DbApiWriter
    if settings.database is not None:
        writer = _file_writer(settings.database, settings)
    else:
        odbc = OdbcConnection(settings, read_only=False)
        errors = (load_pyodbc().Error, OverflowError, ValueError)
        writer = DbApiWriter(
            odbc.begin_transactions(),
            odbc.close,
            errors=errors,
            without_secrets=odbc.without_secrets,
            to_driver_sql=odbc.to_driver_sql,
            watchdog=odbc.watchdog,
            confirm_statement="select 1" if settings.dialect in {"postgres", "mysql", "tsql"} else "",
        )
    try:
        yield writer
    finally:
        writer.rollback()
        writer.close()


def _file_writer(path: Path, settings: SourceSettings) -> DbApiWriter:
    """Open a SQLite or DuckDB file to write to."""
    if _reader_of(path) is SqliteSource:
        import sqlite3

        # Not read first: what a program left half-written when it was killed is undone only by one that may write.
        connection = open_sqlite(path, settings, mode="rw")
        return DbApiWriter(
            connection,
            connection.close,
            to_driver_value=to_sqlite_value,
            errors=(sqlite3.Error, sqlite3.Warning, OverflowError),
            begin_statement="begin immediate",
        )
    import duckdb

    DuckDbSource(path, settings).close()  # raises what is wrong with the file
    try:
        opened = connect_duckdb(path)
    except duckdb.Error as error:
        raise WriteError(
            f"The file {path} cannot be opened to write: {plain_message(str(error))}",
            hint="Another program has it open. It is retried automatically.",
            retriable=True,
        ) from None
    with closed_on_error(opened):
        run_session_statements(settings.session, opened.execute, errors=duckdb.Error)
    return DbApiWriter(
        opened,
        opened.close,
        errors=(duckdb.Error,),
        begin_statement="begin transaction",
        own_cursor=False,
        count_column="Count",
    )


def _reader_of(path: Path) -> type[SqliteSource | DuckDbSource]:
    """The class that reads the file at ``path``, chosen by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise ConnectError(
            f"There is no file {path}.", hint="Check `database` under [source]; it is relative to the project's folder."
        ) from None
    except OSError as error:
        hint = "Check its rights for the account that runs s2s."
        with suppress(OSError):  # Windows says of a folder, too, that it may not be opened
            if is_dir(path):
                hint = "Name the file itself in `database` under [source]; it is relative to the project's folder."
        raise ConnectError(f"The file {path} cannot be read: {error.strerror}.", hint=hint) from None
    if head.startswith(b"SQLite format 3\x00"):
        return SqliteSource
    if head[8:12] == b"DUCK":
        return DuckDbSource
    wrong = "is empty" if not head else "is neither a DuckDB nor a SQLite file"
    raise ConnectError(
        f"The file {path} {wrong}.",
        hint="Check `database` under [source], and that the copy of the file is complete. Other databases need"
        " `connection` instead.",
    )
