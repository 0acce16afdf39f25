"""Read any database that has an ODBC driver, through pyodbc, which was measured to be right with every driver.

What differs between drivers is data: :mod:`engine.database.drivers`. A connection goes through these steps:

1. The connection string is completed with the driver's options (:mod:`engine.database.connection_string`).
2. Once connected, the session is made read-only, the texts' encoding is found out, and the project's own ``session``
   statements run.
3. A view is described without its rows, so that columns which the driver would garble are cast on the server
   (:mod:`engine.database.driver_sql`).
4. Its rows are fetched in batches (:mod:`engine.database.arrow`), and what no cast could keep right is corrected or
   refused (:mod:`engine.database.odbc_values`).

Every call of the driver is made through a :class:`~engine.database.watchdog.Watchdog`, since a driver may never
return.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.database.arrow import MIN_BATCH_ROWS, BatchResult, FetchedColumn, fetch_batch, next_batch_rows
from engine.database.binary import BinaryValueError
from engine.database.connection import ServerFacts
from engine.database.connection_string import connection_string, parse_options, secret_values, unquote
from engine.database.driver_sql import (
    SERVER_CURSOR,
    cast_columns,
    column_names,
    declare_cursor,
    described_columns,
    needs_cast,
    pack_columns,
    refuse_question_marks,
    text_literal,
    to_driver_sql,
)
from engine.database.drivers import SNAPSHOT_SAVEPOINT, profile_of
from engine.database.error_messages import state_and_text, translate_error
from engine.database.odbc_driver import installed_drivers, load_pyodbc
from engine.database.odbc_values import correct_values, has_corrections
from engine.database.session import require_file, run_session_statements
from engine.database.watchdog import CANCEL_GRACE_SECONDS, Watchdog
from engine.errors import CancelledError, ConnectError, DeadlineError, QueryError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from engine.clock import Deadline
    from engine.database.odbc_values import Column
    from engine.database.watchdog import T
    from engine.model.settings import SourceSettings

SQL_ATTR_ACCESS_MODE = 101

SQL_MODE_READ_ONLY = 1


class OdbcConnection:
    """A database behind an ODBC driver.

    Raises :class:`DriverError` when the driver manager or the driver is missing and :class:`ConnectError` when the
    database cannot be reached or refuses the login.
    """

    def __init__(self, settings: SourceSettings, *, read_only: bool, deadline: Deadline | None = None) -> None:
        self._settings = settings
        self._in_snapshot = False
        self._counts_statements = False
        self.watchdog = Watchdog(deadline)
        self._driver = load_pyodbc()
        written = parse_options(settings.connection or "")
        by_name = {name.lower(): value for name, value in written}
        self._secrets = secret_values(written)
        self._profile = profile_of(self._driver, by_name)
        require_file(unquote(by_name.get(self._profile.file_option, "")))
        attributes = dict(settings.attributes)
        if read_only:
            attributes.setdefault(SQL_ATTR_ACCESS_MODE, SQL_MODE_READ_ONLY)
        connect = partial(
            self._driver.connect,
            connection_string(written, self._profile, settings, read_only=read_only),
            autocommit=self._profile.autocommit,
            timeout=settings.connect_timeout,
            attrs_before=attributes,
        )
        # The driver's own limit comes first, where it has one.
        limit = settings.connect_timeout + CANCEL_GRACE_SECONDS
        try:
            self._connection = self.watchdog.call(connect, seconds=limit, discard=lambda late: late.close())
        except QueryError:
            self.watchdog.end()
            raise ConnectError(
                f"The database did not answer within {limit} s.",
                hint="Run again. If it happens again, look for a firewall in between, and at the server's load.",
            ) from None
        except self._driver.Error as error:
            self.watchdog.end()
            raise self._translated(error, connecting=True) from None
        try:
            cursor = self._cursor()
            self.watchdog.call(
                lambda: self._prepare(cursor, read_only=read_only),
                seconds=settings.connect_timeout,
                cancel=cursor.cancel,
            )
        except (ConnectError, DeadlineError, CancelledError):
            self.close()
            raise
        except (self._driver.Error, QueryError) as error:
            self.close()
            if isinstance(error, QueryError):
                raise ConnectError(
                    f"The database took the connection, and then did not answer within {settings.connect_timeout} s.",
                    hint="Run again. If it happens again, look at the database's load, or raise connect_timeout.",
                ) from None
            raise self._translated(error, connecting=True) from None

    def begin_transactions(self) -> Any:
        """The pyodbc connection itself, from now on with every statement in a transaction."""
        self.watchdog.call(partial(setattr, self._connection, "autocommit", False), seconds=math.inf)
        return self._connection

    def to_driver_sql(self, sql: str) -> str:
        """``sql`` as this connection's driver takes it."""
        return to_driver_sql(sql, self._profile, self._settings.dialect)

    def without_secrets(self, text: str) -> str:
        """``text`` without what the connection string holds."""
        for secret in filter(None, (self._settings.connection, *self._secrets)):
            text = text.replace(secret, "***")
        return text

    def _prepare(self, cursor: Any, *, read_only: bool) -> None:
        """Set up a new connection: timeouts, converters, encodings, then the session."""
        connection, settings, profile, driver = self._connection, self._settings, self._profile, self._driver
        if profile.has_query_timeout:
            with suppress(driver.Error):  # some drivers know no timeout; the watchdog does
                connection.timeout = settings.query_timeout
        if hasattr(connection, "decimal_mode"):
            connection.decimal_mode = "text"
        legacy = profile.legacy_converters if profile.fixed_in and self._version() < profile.fixed_in else {}
        for odbc_type, converter in (*profile.converters.items(), *legacy.items()):
            connection.add_output_converter(odbc_type, converter)
        if profile.probes_encoding and not settings.decoding and sys.platform != "win32":
            self._probe_text_encoding(cursor)
        self._decode(driver.SQL_CHAR, settings.decoding or profile.decoding)
        self._decode(driver.SQL_WCHAR, settings.wide_decoding or profile.wide_decoding)
        if encoding := settings.encoding or profile.encoding:
            connection.setencoding(encoding=encoding, ctype=self._ctype(encoding))
        if read_only and profile.counts_statements:
            with suppress(driver.Error):  # others that speak PostgreSQL's protocol have no such blocks
                cursor.execute("do 'begin end'")
                self._counts_statements = True
            self._roll_back()
        for statement in profile.read_only_session if read_only else ():
            cursor.execute(statement)
        run_session_statements(
            settings.session,
            cursor.execute,
            errors=driver.Error,
            message_of=lambda error: self.without_secrets(state_and_text(error)[1]),
        )
        cursor.close()
        if not profile.autocommit:
            connection.commit()  # a rollback would take the session's settings back

    def _version(self) -> tuple[int, ...]:
        """The version of a driver that is a database itself; empty where it gives none."""
        with suppress(self._driver.Error):
            version = str(self._connection.getinfo(self._driver.SQL_DBMS_VER))
            return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        return ()

    def _ctype(self, encoding: str) -> int:
        wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf16"))
        ctype: int = self._driver.SQL_WCHAR if wide else self._driver.SQL_CHAR
        return ctype

    def _decode(self, odbc_type: int, encoding: str) -> None:
        if encoding:
            self._connection.setdecoding(odbc_type, encoding=encoding, ctype=self._ctype(encoding))

    def _probe_text_encoding(self, cursor: Any) -> None:
        """Find out how texts travel, with a literal that only the right encoding brings back.

        As UTF-8 bytes they cost half of UTF-16. Drivers without wide functions want the SQL as bytes too; and in the
        C locale psqlODBC gives nothing but UTF-16.
        """
        driver = self._driver
        encodings = (("utf-16le", "utf-8"), ("utf-8", "utf-8"), ("utf-16le", "utf-16le"))
        for text in ("é漢😀", "é"):  # not every server's encoding has them all
            for sent, received in encodings:
                self._connection.setencoding(encoding=sent, ctype=self._ctype(sent))
                for odbc_type in (driver.SQL_CHAR, driver.SQL_WCHAR):
                    self._decode(odbc_type, received)
                with suppress(driver.Error, UnicodeError):
                    if cursor.execute(f"select {text_literal(text, self._profile)}").fetchval() == text:
                        self._roll_back()
                        return
                self._roll_back()

    def begin_snapshot(self) -> bool:
        """Begin a transaction in which every read sees the same moment; False where the driver has none."""
        if not self._profile.snapshot_transaction:
            return False
        self._end_transaction()
        cursor = self._cursor()

        def begin() -> None:
            for statement in self._profile.snapshot_transaction:
                cursor.execute(statement)
            if not self._profile.autocommit:
                cursor.execute(f"savepoint {SNAPSHOT_SAVEPOINT}")
                self._in_snapshot = True
            cursor.close()

        self._run(cursor, begin)
        return True

    def list_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema, table, column and type."""
        cursor = self._cursor()

        def listed() -> list[tuple[str, str, str, str]]:
            with suppress(self._driver.Error):  # the driver's own catalogue is the second choice
                if self._profile.columns_query:
                    return [(row[0] or "", *row[1:]) for row in cursor.execute(self._profile.columns_query).fetchall()]
            # Where a catalogue is a database, as in MySQL, the others' tables are not this client's.
            catalog = None
            with suppress(self._driver.Error):
                catalog = self._connection.getinfo(self._driver.SQL_DATABASE_NAME).strip("\0 ") or None
            # By the places that ODBC gives them: drivers write these columns' own names in different cases.
            found = cursor.columns(table=self._profile.columns_pattern, catalog=catalog)
            rows = [(row[1] or "", row[2], row[3], row[5]) for row in found]
            cursor.close()
            return rows

        rows = self._run(cursor, listed)
        self._end_transaction()
        yield from rows

    def _end_transaction(self) -> None:
        """End the transaction that reading needed, or go back to where its snapshot began."""
        with suppress(QueryError):  # what was read is read
            self.watchdog.call(self._roll_back, seconds=self._settings.connect_timeout)

    def _roll_back(self) -> None:
        if self._profile.autocommit:
            return
        with suppress(self._driver.Error):
            if self._in_snapshot:
                self._connection.execute(f"rollback to savepoint {SNAPSHOT_SAVEPOINT}").close()
            else:
                self._connection.rollback()

    def read(self, sql: str, *, pack: bool = False) -> BatchResult:
        """Run one SELECT, as :class:`~engine.database.connection.Connection` says."""
        # What comes after a last semicolon is nothing; inside brackets or behind DECLARE it would be an error.
        sql = self.to_driver_sql(sql.rstrip().rstrip(";"))
        if not self._counts_statements:
            refuse_question_marks(sql, self._settings.dialect)
        cursor = self._cursor()
        if self._profile.read_only_again:
            self._run(cursor, partial(cursor.execute, self._profile.read_only_again))
        described = self._describe(cursor, sql)
        names = tuple(column.name for column in described)
        # Bytes must be looked at one by one: they may be text or not.
        packs = bool(described) and all(column.type_name != "bytearray" for column in described)
        if pack and packs and self._profile.packed_text:
            try:
                fetch = self._execute(cursor, pack_columns(sql, described, self._profile))
            except QueryError:
                self._end_transaction()  # not every database behind this driver packs; other errors will show again
            else:
                packed = (FetchedColumn("packed", str),)
                return BatchResult(columns=names, batches=self._batches(cursor, packed, fetch), packed=True)
        fetch = self._execute(cursor, cast_columns(sql, described, self._profile))
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        fetched = described_columns(cursor.description)
        names = names or tuple(column.name for column in fetched)
        kinds = [column[1] for column in cursor.description]
        batches = self._batches(cursor, self._fetched_columns(names, fetched, kinds), fetch)
        if self._profile.casts and not described:
            batches = self._refuse_garbled(batches, fetched)
        before_casts = described or fetched
        if has_corrections(before_casts, self._profile):
            batches = (correct_values(batch, names, before_casts, self._profile) for batch in batches)
        return BatchResult(columns=names, batches=batches)

    def _fetched_columns(
        self, names: Sequence[str], columns: Sequence[Column], kinds: Sequence[type]
    ) -> tuple[FetchedColumn, ...]:
        return tuple(
            FetchedColumn(
                name, kind, column.size if self._profile.bits_as_bytes and column.type_name == "bytearray" else None
            )
            for name, column, kind in zip(names, columns, kinds, strict=True)
        )

    def _execute(self, cursor: Any, sql: str) -> str:
        """Run a SELECT; gives the statement that fetches its next rows, where it is read in portions."""

        def executed() -> str:
            fetch = ""
            if self._profile.server_cursor:
                cursor.execute(declare_cursor(sql, counted=self._counts_statements))
                fetch = f"fetch forward {{}} from {SERVER_CURSOR}"
            cursor.execute(fetch.format(self._first_batch_rows) or sql)
            return fetch

        return self._run(cursor, executed)

    @property
    def _first_batch_rows(self) -> int:
        """So many rows to begin with, before it is known how wide they are."""
        return min(MIN_BATCH_ROWS, self._settings.batch_rows)

    def _describe(self, cursor: Any, sql: str) -> tuple[Column, ...]:
        """The view's columns, where the driver needs some of them cast; else nothing.

        Without rows, the database tells them for the price of a plan. Where the view cannot stand in brackets, or
        has a name twice, it is left as it is.
        """
        if not self._profile.casts:
            return ()
        limited = f"select * from (\n{sql}\n) as v limit 0"  # noqa: S608 - one SELECT, as the checks or the server say
        statements = [limited]
        if self._counts_statements:
            statements = [declare_cursor(limited, counted=True, name="s2s_columns"), "fetch forward 0 from s2s_columns"]
        try:
            for statement in statements:
                self._call(cursor, partial(cursor.execute, statement))
            description = cursor.description or ()
        except self._driver.Error:
            description = ()
        self._end_transaction()
        names = column_names(description)
        if all(name.startswith("v.") for name in names):  # sqliteodbc's long names, of the star
            names = tuple(name.removeprefix("v.") for name in names)
        # Where a name stands twice, which SQLite's star tells as a:1, the view itself says so best.
        if len({re.sub(r":\d+$", "", name.lower()) for name in names}) < len(names):
            return ()
        return described_columns([(name, *rest[1:]) for name, rest in zip(names, description, strict=True)])

    def _batches(self, cursor: Any, columns: Sequence[FetchedColumn], fetch: str) -> Iterator[pa.RecordBatch]:
        size = self._first_batch_rows
        try:
            while True:
                batch = self._run(cursor, partial(fetch_batch, cursor.fetchmany, columns, size))
                if batch.num_rows:
                    yield batch
                if batch.num_rows < size:
                    return
                size = next_batch_rows(batch, self._settings.batch_rows)
                if fetch:
                    self._run(cursor, partial(cursor.execute, fetch.format(size)))
        finally:
            with suppress(self._driver.Error, QueryError):
                self._call(cursor, cursor.close, ends=True)
            self._end_transaction()

    def _refuse_garbled(self, batches: Iterator[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        """The batches of a view that could not be described, unless a column is of a type that the driver garbles."""
        garbled = [column.name for column in columns if needs_cast(column, self._profile)]
        if garbled:
            raise QueryError(
                f"The driver would garble {', '.join(garbled)}, and the engine cannot cast in this view: the database"
                " does not accept it as a subquery, or a column name appears twice.",
                hint="Give every column its own name, or cast these columns to text in the view; s2s render shows the"
                " SQL.",
            )
        yield from batches

    def _cursor(self) -> Any:
        return self.watchdog.call(self._connection.cursor, seconds=self._settings.query_timeout)

    def _run(self, cursor: Any, call: Callable[[], T]) -> T:
        """What ``call`` gives, which uses ``cursor``; an error of the driver's is translated."""
        try:
            return self._call(cursor, call)
        except (self._driver.Error, ValueError, ArithmeticError) as error:
            raise self._translated(error) from None

    def _call(self, cursor: Any, call: Callable[[], T], *, ends: bool = False) -> T:
        seconds = self._settings.query_timeout
        return self.watchdog.call(call, seconds=seconds, cancel=cursor.cancel, after_deadline=ends)

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, for ``s2s doctor``."""
        return self._run(self._cursor(), self._facts)

    def _facts(self) -> ServerFacts:
        driver, connection = self._driver, self._connection
        read_only: bool | None = None
        if self._profile.read_only_query:
            with suppress(driver.Error):
                row = connection.execute(self._profile.read_only_query).fetchone()
                read_only = row is not None and str(row[-1]).lower() in {"on", "1"}
        self._roll_back()
        login_may_write: bool | None = None
        if self._profile.write_rights_query:
            with suppress(driver.Error):
                login_may_write = str(connection.execute(self._profile.write_rights_query).fetchval()) == "1"
        self._roll_back()
        if read_only is None:
            with suppress(driver.Error):
                read_only = connection.getinfo(driver.SQL_DATA_SOURCE_READ_ONLY) == "Y" or None
        facts = []
        for number in (driver.SQL_DRIVER_NAME, driver.SQL_DRIVER_VER, driver.SQL_DBMS_NAME, driver.SQL_DBMS_VER):
            fact = ""
            with suppress(driver.Error):
                fact = str(connection.getinfo(number))
            facts.append(fact.strip("\0 "))
        return ServerFacts(
            driver=facts[0],
            driver_version=facts[1],
            dbms=facts[2],
            dbms_version=facts[3],
            read_only=read_only,
            login_may_write=login_may_write,
            notes=self._profile.notes,
        )

    def close(self) -> None:
        """Close the connection; one whose call never ended is closed once it does."""
        with suppress(self._driver.Error, QueryError):
            self.watchdog.close(self._connection.close, seconds=self._settings.connect_timeout)

    def _translated(self, error: Exception, *, connecting: bool = False) -> SourceError:
        if isinstance(error, BinaryValueError):
            return error.as_query_error(self._settings.dialect)
        if not isinstance(error, self._driver.Error):
            return QueryError(
                "The driver returned an invalid value: a date that no calendar has, or text in another encoding"
                f" ({type(error).__name__}).",
                hint="Cast dates to text in the view, or give `decoding` under [source]; the driver's page says more.",
            )
        state, text = (str(part) for part in (*error.args, "", "")[:2])
        return translate_error(
            state, text, connecting=connecting, drivers=installed_drivers, without_secrets=self.without_secrets
        )
