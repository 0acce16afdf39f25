"""Open a client's database and read batches as Arrow.

Two kinds of sources: anything that ODBC reaches, through pyodbc, which was measured to be right with every driver;
and DuckDB or SQLite files, which need no driver manager. What differs between drivers is data:
:mod:`engine.database.drivers`.

Every value arrives as text, or as an Arrow integer or boolean: dates and timestamps in ISO 8601, decimals with all
their digits, floats as the shortest text that reads back the same, bytes in lower-case hexadecimal. The text of a
value depends on that value alone, never on its neighbours in a batch, so that the same data always reads the same.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from engine.database.arrow import FETCH_ROWS, BatchResult, column_names, fetch_batch, float_text, next_batch_rows
from engine.database.connection import ServerFacts
from engine.database.drivers import HELD, OTHER, bare, connection_string, options, profile_of, shortest
from engine.database.error_messages import state_and_text, translate_error
from engine.database.session import require_file, run_session_statements
from engine.database.watchdog import CANCEL_GRACE_SECONDS, Watchdog
from engine.errors import ConnectError, DriverError, QueryError, SourceError
from engine.quoting import regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from engine.model.settings import SourceSettings

T = TypeVar("T")

SQL_ATTR_ACCESS_MODE = 101

SQL_MODE_READ_ONLY = 1


def installed_drivers() -> tuple[str, ...]:
    """The ODBC drivers that the driver manager knows. Raises :class:`DriverError` when there is no driver manager."""
    return tuple(load_pyodbc().drivers())


def load_pyodbc() -> Any:
    """The module ``pyodbc``. Raises :class:`DriverError` where there is no driver manager."""
    try:
        import pyodbc
    except ImportError as error:
        raise DriverError(
            f"ODBC cannot be used here: {error}",
            hint="Install the ODBC driver manager:\n"
            "  Debian, Ubuntu:  apt-get install unixodbc\n"
            "  RHEL, Fedora:    dnf install unixODBC\n"
            "  macOS:           brew install unixodbc\n"
            "  Windows:         it is part of Windows; reinstall pyodbc\n"
            "then the driver of the client's database. DuckDB and SQLite files need neither: name them in `database`.",
        ) from None
    pyodbc.pooling = False  # a pooled connection would come back with another run's session settings
    return pyodbc


_COMMENTED = re.compile(r"--|/\*|#")

_LETTERS = re.compile(r"[^\n]")

HINTS = {"mysql": ("/*+", "/*!"), "oracle": ("/*+", "--+")}
"""What begins a comment that the database reads; elsewhere it is the first alone."""


class OdbcConnection:
    """A database behind an ODBC driver."""

    def __init__(self, settings: SourceSettings, *, read_only: bool) -> None:
        self._settings = settings
        self._held = False
        self.patience = Watchdog()
        self._driver = load_pyodbc()
        given = options(settings.connection or "")
        known = {name.lower(): value for name, value in given}
        self._secrets = [bare(value) for name, value in given if re.search("pwd|pass|secret|token|key", name.lower())]
        self._profile = profile_of(self._driver, known)
        require_file(bare(known.get(self._profile.file, "")))
        attributes = dict(settings.attributes)
        if read_only:
            attributes.setdefault(SQL_ATTR_ACCESS_MODE, SQL_MODE_READ_ONLY)
        connecting = partial(
            self._driver.connect,
            connection_string(given, self._profile, settings, read_only=read_only),
            autocommit=self._profile.autocommit,
            timeout=settings.connect_timeout,
            attrs_before=attributes,
        )
        try:
            # The driver's own limit comes first, where it has one.
            self._connection = self.patience.wait(connecting, seconds=settings.connect_timeout + CANCEL_GRACE_SECONDS)
        except QueryError:
            self.patience.end()
            raise ConnectError(
                f"The database did not answer within {settings.connect_timeout + CANCEL_GRACE_SECONDS} s.",
                hint="Run again. If it comes back, look for a firewall in between, and at the server's load.",
            ) from None
        except self._driver.Error as error:
            self.patience.end()
            raise self._explained(error, connecting=True) from None
        try:
            cursor = self._cursor()
            self.patience.wait(
                lambda: self._prepare(cursor, read_only=read_only),
                seconds=settings.connect_timeout,
                cancel=cursor.cancel,
            )
        except ConnectError:
            self.close()
            raise
        except (self._driver.Error, QueryError) as error:
            self.close()
            if isinstance(error, QueryError):
                raise ConnectError(
                    f"The database took the connection, and then did not answer within {settings.connect_timeout} s.",
                    hint="Run again. If it comes back, look at the database's load, or raise connect_timeout.",
                ) from None
            raise self._explained(error, connecting=True) from None

    def writable(self) -> Any:
        """The connection itself, with every statement in a transaction."""
        self.patience.wait(partial(setattr, self._connection, "autocommit", False), seconds=math.inf)
        return self._connection

    def without_secrets(self, text: str) -> str:
        """``text`` without what the connection string holds."""
        for secret in filter(None, (self._settings.connection, *self._secrets)):
            text = text.replace(secret, "***")
        return text

    def _prepare(self, cursor: Any, *, read_only: bool) -> None:
        connection, settings, profile, driver = self._connection, self._settings, self._profile, self._driver
        if profile.timeout:
            with suppress(driver.Error):  # some drivers know no timeout; the watchdog does
                connection.timeout = settings.query_timeout
        if hasattr(connection, "decimal_mode"):
            connection.decimal_mode = "text"
        early = profile.early if profile.mended and self._version() < profile.mended else {}
        for kind, converter in (*profile.converters.items(), *early.items()):
            connection.add_output_converter(kind, converter)
        if profile.narrow and not settings.decoding and sys.platform != "win32":
            self._narrow(cursor)
        self._decode(driver.SQL_CHAR, settings.decoding or profile.decoding)
        self._decode(driver.SQL_WCHAR, settings.wide_decoding or profile.wide_decoding)
        if encoding := settings.encoding or profile.encoding:
            connection.setencoding(encoding=encoding, ctype=self._ctype(encoding))
        for statement in profile.session if read_only else ():
            cursor.execute(statement)
        run_session_statements(
            settings.session,
            cursor.execute,
            errors=driver.Error,
            said=lambda error: self.without_secrets(state_and_text(error)[1]),
        )
        cursor.close()
        if not profile.autocommit:
            connection.commit()  # a rollback would take the session's settings back

    def _version(self) -> tuple[int, ...]:
        """The version of a driver that is a database itself; none where it says nothing of it."""
        with suppress(self._driver.Error):
            said = str(self._connection.getinfo(self._driver.SQL_DBMS_VER))
            return tuple(int(number) for number in re.findall(r"\d+", said)[:3])
        return ()

    def _ctype(self, encoding: str) -> int:
        wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf16"))
        kind: int = self._driver.SQL_WCHAR if wide else self._driver.SQL_CHAR
        return kind

    def _decode(self, kind: int, encoding: str) -> None:
        if encoding:
            self._connection.setdecoding(kind, encoding=encoding, ctype=self._ctype(encoding))

    def _narrow(self, cursor: Any) -> None:
        """Find out how texts travel, with a literal that only the right way brings back.

        As UTF-8 bytes they cost half of UTF-16. Drivers without wide functions want the SQL as bytes too; and in the
        C locale psqlODBC gives nothing but UTF-16.
        """
        driver = self._driver
        ways = (("utf-16le", "utf-8"), ("utf-8", "utf-8"), ("utf-16le", "utf-16le"))
        for literal in ("é漢😀", "é"):  # not every server's encoding has them all
            for sent, received in ways:
                self._connection.setencoding(encoding=sent, ctype=self._ctype(sent))
                for kind in (driver.SQL_CHAR, driver.SQL_WCHAR):
                    self._decode(kind, received)
                with suppress(driver.Error, UnicodeError):
                    if cursor.execute(f"select {self._literal(literal)}").fetchval() == literal:
                        self._roll_back()
                        return
                self._roll_back()

    def _literal(self, text: str) -> str:
        return self._profile.text.format(text.replace("'", "''"), text.encode().hex())

    def plain_sql(self, sql: str) -> str:
        """The view without what the driver cannot take: letters of texts in hexadecimal, and blanks for comments.

        Drivers look for parameters, statements and escapes in comments too: sqliteodbc 0.9998 takes a question mark in
        one for a parameter that has no value, and a semicolon for a second statement; 0.99991 leaves out all that
        follows ``--``, a WHERE too. Hints stay as they are.
        """
        texts = not sql.isascii() and self._profile.text != OTHER.text
        if not (texts or _COMMENTED.search(sql)):
            return sql
        parts, position = [], 0
        for region in regions(sql, self._settings.dialect):
            part = sql[region.start : region.end]
            parts.append(sql[position : region.start])
            position = region.end
            if region.kind == "comment" and not part.startswith(HINTS.get(self._settings.dialect, ("/*+",))):
                parts.append(_LETTERS.sub(" ", part))
            elif not texts or part.isascii() or region.kind != "text":
                parts.append(part)
            elif "\\" in part or re.search(r"\w$|\b_\w+\s+$", parts[-1]):
                parts.append(part)  # with an escape, or with a prefix of its own such as N or _utf8mb4
            else:
                parts.append(self._literal(part[1:-1].replace(part[0] * 2, part[0])))
        return "".join([*parts, sql[position:]])

    def hold(self) -> bool:
        """Begin the transaction in which everything that is read is of one moment."""
        if self._profile.moment:
            self._end()
            cursor = self._cursor()

            def held() -> None:
                for statement in self._profile.moment:
                    cursor.execute(statement)
                if not self._profile.autocommit:
                    cursor.execute(f"savepoint {HELD}")
                    self._held = True
                cursor.close()

            self._asked(cursor, held)
        return bool(self._profile.moment)

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema, table, column and type."""
        cursor = self._cursor()

        def listed() -> list[tuple[str, str, str, str]]:
            # Where a catalogue is a database, as in MySQL, the others' tables are not this client's.
            here = None
            with suppress(self._driver.Error):
                here = self._connection.getinfo(self._driver.SQL_DATABASE_NAME).strip("\0 ") or None
            # By the places that ODBC gives them: drivers write these columns' own names in different cases.
            rows = [(row[1] or "", row[2], row[3], row[5]) for row in cursor.columns(catalog=here)]
            cursor.close()
            return rows

        rows = self._asked(cursor, listed)
        self._end()
        yield from rows

    def _end(self) -> None:
        """End the transaction that reading needed, or go back to where its moment began."""
        with suppress(QueryError):  # what was read is read
            self.patience.wait(self._roll_back, seconds=self._settings.connect_timeout)

    def _roll_back(self) -> None:
        if self._profile.autocommit:
            return
        with suppress(self._driver.Error):
            if self._held:
                self._connection.execute(f"rollback to savepoint {HELD}").close()
            else:
                self._connection.rollback()

    def read(self, sql: str, *, pack: bool = False) -> BatchResult:
        """Run one SELECT, as :class:`~engine.database.connection.Connection` says."""
        # What comes after a last semicolon is nothing; inside brackets or behind DECLARE it would be an error.
        sql = self.plain_sql(sql.rstrip().rstrip(";"))
        cursor = self._cursor()
        described = self._describe(cursor, sql)
        columns = tuple(name for name, _, _ in described)
        if pack and described and self._profile.pack:
            try:
                fetch = self._execute(cursor, self._selected(sql, described, pack=True))
            except QueryError:
                self._end()  # not every database behind this driver packs; what else is wrong will show again
            else:
                return BatchResult(columns=columns, batches=self._batches(cursor, (str,), fetch), packed=True)
        fetch = self._execute(cursor, self._selected(sql, described))
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        kinds = tuple(column[1] for column in cursor.description)
        columns = columns or column_names(cursor.description)
        batches = self._batches(cursor, kinds, fetch)
        if self._profile.recast and not described:
            batches = self._unharmed(batches, cursor.description)
        if self._profile.cut:
            sizes = tuple(column[3] for column in cursor.description)
            batches = (self._mended(batch, columns, kinds, sizes) for batch in batches)
        return BatchResult(columns=columns, batches=batches)

    def _execute(self, cursor: Any, sql: str) -> str:
        """Run a SELECT; gives the statement that fetches its next rows, where it is read in portions."""

        def executed() -> str:
            fetch = ""
            if self._profile.declare:
                cursor.execute(f"declare s2s_view no scroll cursor for\n{sql}")
                fetch = "fetch forward {} from s2s_view"
            cursor.execute(fetch.format(self._first) or sql)
            return fetch

        return self._asked(cursor, executed)

    @property
    def _first(self) -> int:
        """So many rows to begin with, before it is known how wide they are."""
        return min(FETCH_ROWS, self._settings.batch_rows)

    def _describe(self, cursor: Any, sql: str) -> list[tuple[str, str, int]]:
        """The view's columns as name, type and size, where the driver needs some of them cast; else nothing.

        Without rows, the database tells them for the price of a plan. Where the view cannot stand in brackets, or
        has a name twice, it is left as it is.
        """
        profile = self._profile
        if not profile.recast:
            return []
        limited = f"select * from (\n{sql}\n) as v limit 0"  # noqa: S608 - the view is trusted SQL
        try:
            self._waited(cursor, lambda: cursor.execute(limited))
            described = cursor.description or ()
        except self._driver.Error:
            described = ()
        self._end()
        names = column_names(described)
        if all(name.startswith("v.") for name in names):  # sqliteodbc's long names, of the star
            names = tuple(name.removeprefix("v.") for name in names)
        # Where a name stands twice, which SQLite's star tells as a:1, the view itself says so best.
        if len({re.sub(r":\d+$", "", name.lower()) for name in names}) < len(names):
            return []
        return [(name, column[1].__name__, column[3]) for name, column in zip(names, described, strict=True)]

    def _selected(self, sql: str, described: Sequence[tuple[str, str, int]], *, pack: bool = False) -> str:
        """The view, with those columns cast that the driver would garble; packed into one where ``pack`` says so."""
        profile = self._profile
        columns, changed = [], pack
        for name, kind, size in described:
            quoted = f"v.{profile.quote}{name.replace(profile.quote, profile.quote * 2)}{profile.quote}"
            cast = _cast(profile.packed if pack else profile.recast, kind, size)
            changed = changed or cast is not None
            columns.append((cast or "{0}").format(quoted))
        if not changed:
            return sql
        if pack:
            listed = f"{profile.pack.format(', '.join(columns))} as packed"
        else:
            listed = ",\n".join(f"{column} as c{number}" for number, column in enumerate(columns))
        return f"select {listed} from (\n{sql}\n) as v"  # noqa: S608 - the view is trusted SQL

    def _batches(self, cursor: Any, kinds: Sequence[type], fetch: str) -> Iterator[pa.RecordBatch]:
        size = self._first
        try:
            while True:
                batch = self._asked(cursor, partial(fetch_batch, cursor.fetchmany, kinds, size))
                if batch.num_rows:
                    yield batch
                if batch.num_rows < size:
                    return
                size = next_batch_rows(batch, self._settings.batch_rows)
                if fetch:
                    self._asked(cursor, partial(cursor.execute, fetch.format(size)))
        finally:
            with suppress(self._driver.Error, QueryError):
                self._waited(cursor, cursor.close)
            self._end()

    def _unharmed(self, batches: Iterator[pa.RecordBatch], description: Sequence[Any]) -> Iterator[pa.RecordBatch]:
        """The batches of a view that could not be described, unless a column is of a type that the driver garbles."""
        garbled = [
            name
            for name, column in zip(column_names(description), description, strict=True)
            if _cast(self._profile.recast, column[1].__name__, column[3])
        ]
        if garbled:
            raise QueryError(
                f"The driver would garble {', '.join(garbled)}, and the view cannot be read in the way that mends it:"
                " the database does not take it in brackets, or it has a name twice.",
                hint="Run again. If it comes back, cast these columns to text in the view; s2s render shows the SQL.",
            )
        yield from batches

    def _mended(
        self, batch: pa.RecordBatch, columns: Sequence[str], kinds: Sequence[type], sizes: Sequence[int]
    ) -> pa.RecordBatch:
        """A batch with the signs that the driver lost, and the digits that Singles have; a cut text is an error."""
        import pyarrow as pa
        import pyarrow.compute as pc

        arrays = []
        for name, kind, size, values in zip(columns, kinds, sizes, batch.columns, strict=True):
            if pa.types.is_string(values.type) and (pc.max(pc.binary_length(values)).as_py() or 0) >= self._profile.cut:
                raise QueryError(
                    f"The driver gives no more than {self._profile.cut:,} bytes of a text, and the column {name} has"
                    " one that is as long or longer.",
                    hint="Leave the column out, or read the file with Microsoft's driver on Windows.",
                )
            if kind is int and size in self._profile.unsigned and pa.types.is_integer(values.type):
                bits = 8 * size
                lost = pc.greater_equal(values, pa.scalar(1 << (bits - 1), values.type))
                values = pc.if_else(lost, pc.subtract(values, pa.scalar(1 << bits, values.type)), values)  # noqa: PLW2901 - the column as it was is done with
            if kind is float and size in self._profile.singles:
                digits = (each and float_text(shortest(float(each))) for each in values.to_pylist())
                values = pa.array(list(digits), pa.string())  # noqa: PLW2901 - the column as it was is done with
            arrays.append(values)
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def _cursor(self) -> Any:
        return self.patience.wait(self._connection.cursor, seconds=self._settings.query_timeout)

    def _asked(self, cursor: Any, call: Callable[[], T]) -> T:
        """What ``call`` gives, which asks the database with ``cursor``; what goes wrong with that, in words."""
        try:
            return self._waited(cursor, call)
        except (self._driver.Error, ValueError, ArithmeticError) as error:
            raise self._explained(error) from None

    def _waited(self, cursor: Any, call: Callable[[], T]) -> T:
        return self.patience.wait(call, seconds=self._settings.query_timeout, cancel=cursor.cancel)

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, for ``s2s doctor``."""
        return self._asked(self._cursor(), self._facts)

    def _facts(self) -> ServerFacts:
        driver, connection = self._driver, self._connection
        read_only: bool | None = None
        if self._profile.asks:
            with suppress(driver.Error):
                row = connection.execute(self._profile.asks).fetchone()
                read_only = row is not None and str(row[-1]).lower() in {"on", "1"}
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
            notes=self._profile.notes,
        )

    def close(self) -> None:
        """Close the connection, unless a call of the driver's never ended."""
        with suppress(self._driver.Error, QueryError):
            self.patience.wait(self._connection.close, seconds=self._settings.connect_timeout)
        self.patience.end()

    def _explained(self, error: Exception, *, connecting: bool = False) -> SourceError:
        if not isinstance(error, self._driver.Error):
            return QueryError(
                "The driver gave a value that cannot be: a date that no calendar has, or text in another encoding"
                f" ({type(error).__name__}).",
                hint="Cast dates to text in the view, or give `decoding` under [source]; the driver's page says more.",
            )
        state, text = (str(part) for part in (*error.args, "", "")[:2])
        text = self.without_secrets(text)
        return translate_error(state, text, connecting=connecting, drivers=installed_drivers)


def _cast(casts: Mapping[tuple[str, int | None], str], kind: str, size: int) -> str | None:
    """What gets a column of this type and size across unharmed, where it needs that."""
    return casts.get((kind, size)) or casts.get((kind, None))
