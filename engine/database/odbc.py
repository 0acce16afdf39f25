"""Open a client's database and read batches as Arrow.

Two kinds of sources: anything that ODBC reaches, through pyodbc, which was measured to be right with every driver;
and DuckDB or SQLite files, which need no driver manager. What differs between drivers is data:
:mod:`engine.database.drivers`.

Every value arrives as text, or as an Arrow integer or boolean: dates and timestamps in ISO 8601, decimals with all
their digits, floats as the shortest text that reads back the same, bytes in lower-case hexadecimal. The text of a
value depends on that value alone, never on its neighbours in a batch, so that the same data always reads the same.
"""

from __future__ import annotations

import gc
import math
import re
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from engine.database.drivers import HELD, OTHER, bare, connection_string, options, profile_of, shortest
from engine.database.error_messages import (
    PASSING_STATES,
    PASSING_WORDS,
    UNDONE,
    explained,
    impersonal,
    plain,
    state_and_text,
)
from engine.database.watchdog import GRACE, Patience
from engine.errors import ConnectError, DriverError, QueryError, SilentError, SourceError, WriteError
from engine.files import exists, is_dir
from engine.quoting import regions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from engine.model.settings import SourceSettings

T = TypeVar("T")

SQL_ATTR_ACCESS_MODE = 101
SQL_MODE_READ_ONLY = 1

CHUNK = 500
"""Rows that are fetched and transposed at a time: few enough to stay in the processor's cache, which was measured to
save 5 to 20 % of a run's CPU time over 2,000."""

BYTES = 4_000_000
"""About how large a batch may be: of rows with descriptions of 100 KB, 2,000 would take 200 MB."""

FEWEST = 80
"""Fewer rows are no batch, however wide: up to 64, DuckDB's joins would gather them until 2,048 are together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What answered: ``read_only`` is None where it cannot be told; ``notes`` are a driver's traps, for people."""

    driver: str
    driver_version: str
    dbms: str
    dbms_version: str
    read_only: bool | None = None
    notes: tuple[str, ...] = ()


class Batches(Protocol):
    """A result: its columns as the driver names them, and its rows as record batches, to be read once.

    Where it is ``packed`` a batch has one column: each row as PostgreSQL writes a composite value, such as
    ``(A,"1,5",,"")``, in which nothing between commas is NULL. Iterating raises :class:`QueryError` when the database
    breaks off: a result never just ends early.
    """

    columns: tuple[str, ...]
    packed: bool

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class Connection(Protocol):
    """An open source."""

    def read(self, sql: str, *, pack: bool = False) -> Batches:
        """Run one SELECT; with ``pack`` the rows may come packed, where that is cheaper.

        Raises :class:`QueryError` when the database refuses it, breaks off or takes too long.
        """

    def hold(self) -> bool:
        """Let all that is read from now on be of one moment; tells whether the database can."""

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema (blank where there is none), table, column and type.

        In the order of the tables' columns. Raises :class:`QueryError` as :meth:`read` does.
        """

    def describe(self) -> ServerFacts:
        """What answered, for ``s2s doctor``."""

    def close(self) -> None:
        """Give the connection back."""


@contextmanager
def open_source(settings: SourceSettings, *, read_only: bool = True) -> Iterator[Connection]:
    """Connect to the source that ``settings`` describe, to read unless told otherwise.

    Files are never written to. Raises :class:`DriverError` when the driver manager or the driver is missing and
    :class:`ConnectError` when the database cannot be reached or refuses the login.
    """
    connection: Connection
    if settings.database is not None:
        connection = _kind_of(settings.database)(settings.database, settings)
    else:
        connection = _Odbc(settings, read_only=read_only)
    try:
        yield connection
    finally:
        connection.close()


class Writer(Protocol):
    """A transaction on the read-write login.

    Raises :class:`WriteError`, which is ``retriable`` where the same may succeed later.
    """

    def execute(self, sql: str, binds: Sequence[object]) -> list[dict[str, Any]]:
        """Run one statement with its values; gives the rows of the first result that has columns, names as written."""

    def commit(self) -> None:
        """Keep what was executed."""

    def rollback(self) -> None:
        """Undo what was executed and not kept; never raises."""


@contextmanager
def open_writer(settings: SourceSettings) -> Iterator[Writer]:
    """Connect to raise orders: nothing is kept but by :meth:`Writer.commit`.

    Raises :class:`DriverError` and :class:`ConnectError` as :func:`open_source` does.
    """
    writer: _Written
    if settings.database is not None:
        writer = _file_writer(settings.database, settings)
    else:
        odbc = _Odbc(settings, read_only=False)
        errors = (_pyodbc().Error, OverflowError, ValueError)
        writer = _Written(
            odbc.writable(),
            odbc.close,
            errors=errors,
            cleaned=odbc.without_secrets,
            written=odbc.plain_sql,
            patience=odbc.patience,
        )
    try:
        yield writer
    finally:
        writer.rollback()
        writer.close()


@dataclass
class _Written:
    """A DB-API connection that writes; they differ in how values go in and how errors speak."""

    connection: Any
    close: Callable[[], None]
    bound: Callable[[object], object] = lambda value: value
    errors: tuple[type[Exception], ...] = ()
    begin: str = ""
    cleaned: Callable[[str], str] = str
    written: Callable[[str], str] = str
    own_cursor: bool = True
    patience: Patience | None = None
    _open: bool = False

    def execute(self, sql: str, binds: Sequence[object]) -> list[dict[str, Any]]:
        sql = self.written(sql)
        try:
            # Another cursor of DuckDB's is another transaction.
            cursor = self._asked(self.connection.cursor) if self.own_cursor else self.connection
            if self.begin and not self._open:
                cursor.execute(self.begin)
            self._open = True
            values = [self.bound(value) for value in binds]

            def executed() -> list[dict[str, Any]]:
                cursor.execute(sql, values) if values else cursor.execute(sql)
                return _first_result(cursor)

            return self._asked(executed, cursor.cancel if self.patience else None)
        except SilentError as error:
            raise WriteError(error.message, hint=AGAIN, retriable=True) from None
        except QueryError:
            raise WriteError(
                f"A statement of the order took more than {WAIT} s: somebody may hold a lock on its rows.",
                hint=AGAIN,
                retriable=True,
            ) from None
        except self.errors as error:
            raise self._failed(error, binds=binds) from None

    def commit(self) -> None:
        try:
            # Not given up: it might arrive after the order was looked up and raised again. The network itself gives up
            # what it cannot deliver, after about a quarter of an hour.
            self._asked(self.connection.commit, seconds=math.inf)
        except self.errors as error:
            raise self._failed(error, committing=True) from None
        self._open = False

    def rollback(self) -> None:
        if self._open:
            with suppress(Exception):  # a connection that is lost has undone it
                self._asked(self.connection.rollback)
        self._open = False

    def _asked(
        self, call: Callable[[], T], cancel: Callable[[], object] | None = None, *, seconds: float | None = None
    ) -> T:
        if self.patience is None:
            return call()
        return self.patience.wait(call, seconds=WAIT if seconds is None else seconds, cancel=cancel)

    def _failed(self, error: Exception, *, committing: bool = False, binds: Sequence[object] = ()) -> WriteError:
        state, text = state_and_text(error)
        text = self.cleaned(plain(text))
        # The words of a constraint's error are the order's as much as the database's.
        refused = state[:2] in {"22", "23"} or any(
            kind.__name__ in {"IntegrityError", "DataError"} for kind in type(error).__mro__
        )
        passing = not refused and bool(PASSING_STATES.fullmatch(state) or PASSING_WORDS.search(text))
        # Whatever breaks while committing, but for a refusal, leaves open whether the order was kept.
        uncertain = committing and not refused and state not in UNDONE
        text = impersonal(text, binds)
        said = f"The database says: {text} [{state}]" if state else f"The database says: {text}"
        if passing or uncertain:
            return WriteError(
                f"The database could not take the order just now. {said}",
                hint=AGAIN,
                retriable=True,
                uncertain=uncertain,
            )
        return WriteError(
            f"The database refused a statement of the order. {said}",
            hint="Mend the statement in orders/, or what it runs into, then retry the order.",
        )


WAIT = 30
"""Seconds that a statement of an order may take, most of which is waiting for somebody else's lock."""

AGAIN = "It is tried again by itself."


def _first_result(cursor: Any) -> list[dict[str, Any]]:
    """The rows of the first result that has columns, with all results read: an error may come after the last row."""
    more = getattr(cursor, "nextset", bool)  # only ODBC has several
    rows: list[dict[str, Any]] | None = None
    while True:
        if cursor.description is not None:
            names = _names(cursor.description)
            fetched = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            rows = fetched if rows is None else rows
        # Statements that come before, and triggers, give counts first.
        if not more():
            return rows or []


def _file_writer(path: Path, settings: SourceSettings) -> _Written:
    """A SQLite or DuckDB file, to write to."""
    if _kind_of(path) is _Sqlite:
        import sqlite3

        # Whoever reads first cannot: what a program left half-written when it was killed is undone by one that writes.
        connection = _sqlite(path, settings, mode="rw")
        return _Written(
            connection,
            connection.close,
            bound=_for_sqlite,
            errors=(sqlite3.Error, sqlite3.Warning, OverflowError),
            begin="begin immediate",
        )
    import duckdb

    _DuckDb(path, settings).close()  # it says what is wrong with the file
    try:
        opened = duckdb.connect(str(path))
    except duckdb.Error as error:
        raise WriteError(
            f"The file {path} cannot be opened to write: {plain(str(error))}",
            hint="It is tried again by itself: another program holds it.",
            retriable=True,
        ) from None
    with _closed_unless_ready(opened):
        _begin(settings.session, opened.execute, errors=duckdb.Error)
    return _Written(opened, opened.close, errors=(duckdb.Error,), begin="begin transaction", own_cursor=False)


def _for_sqlite(value: object) -> object:
    """SQLite has neither decimals nor times; a column's affinity makes numbers of what looks like one."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, (date, time)) else value


def installed_drivers() -> tuple[str, ...]:
    """The ODBC drivers that the driver manager knows. Raises :class:`DriverError` when there is no driver manager."""
    return tuple(_pyodbc().drivers())


def _pyodbc() -> Any:
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


@dataclass
class _Result:
    """Batches from a generator, with its columns known before the first row."""

    columns: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]
    packed: bool = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches


_COMMENTED = re.compile(r"--|/\*|#")
_LETTERS = re.compile(r"[^\n]")

HINTS = {"mysql": ("/*+", "/*!"), "oracle": ("/*+", "--+")}
"""What begins a comment that the database reads; elsewhere it is the first alone."""


class _Odbc:
    """A database behind an ODBC driver."""

    def __init__(self, settings: SourceSettings, *, read_only: bool) -> None:
        self._settings = settings
        self._held = False
        self.patience = Patience()
        self._driver = _pyodbc()
        given = options(settings.connection or "")
        known = {name.lower(): value for name, value in given}
        self._secrets = [bare(value) for name, value in given if re.search("pwd|pass|secret|token|key", name.lower())]
        self._profile = profile_of(self._driver, known)
        _there(bare(known.get(self._profile.file, "")))
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
            self._connection = self.patience.wait(connecting, seconds=settings.connect_timeout + GRACE)
        except QueryError:
            self.patience.end()
            raise ConnectError(
                f"The database did not answer within {settings.connect_timeout + GRACE} s.",
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
        _begin(
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

    def read(self, sql: str, *, pack: bool = False) -> _Result:
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
                return _Result(columns=columns, batches=self._batches(cursor, (str,), fetch), packed=True)
        fetch = self._execute(cursor, self._selected(sql, described))
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        kinds = tuple(column[1] for column in cursor.description)
        columns = columns or _names(cursor.description)
        batches = self._batches(cursor, kinds, fetch)
        if self._profile.recast and not described:
            batches = self._unharmed(batches, cursor.description)
        if self._profile.cut:
            sizes = tuple(column[3] for column in cursor.description)
            batches = (self._mended(batch, columns, kinds, sizes) for batch in batches)
        return _Result(columns=columns, batches=batches)

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
        return min(CHUNK, self._settings.batch_rows)

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
        names = _names(described)
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
                batch = self._asked(cursor, partial(_batch, cursor.fetchmany, kinds, size))
                if batch.num_rows:
                    yield batch
                if batch.num_rows < size:
                    return
                size = _size(batch, self._settings.batch_rows)
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
            for name, column in zip(_names(description), description, strict=True)
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
                digits = (each and _float(shortest(float(each))) for each in values.to_pylist())
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
        return explained(state, text, connecting=connecting, drivers=installed_drivers)


def _cast(casts: Mapping[tuple[str, int | None], str], kind: str, size: int) -> str | None:
    """What gets a column of this type and size across unharmed, where it needs that."""
    return casts.get((kind, size)) or casts.get((kind, None))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Fetching makes many small objects that none of them keeps: the collector would look through them in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _batch(fetch: Callable[[int], Sequence[Sequence[Any]]], kinds: Sequence[type | None], size: int) -> pa.RecordBatch:
    """Up to ``size`` rows as a record batch; fewer only where there are no more.

    ``kinds`` are the Python types under which the driver describes the columns, None where it says nothing.
    """
    import pyarrow as pa

    chunks: list[list[pa.Array]] = [[] for _ in kinds]
    left = size
    with _no_collections():
        while left:
            wanted = min(left, CHUNK)
            rows = fetch(wanted)
            for chunk, kind, values in zip(chunks, kinds, zip(*rows, strict=True), strict=bool(rows)):
                chunk.append(_array(values, kind))
            left -= len(rows)
            if len(rows) < wanted:
                break
    arrays = [_joined(chunk) for chunk in chunks]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{number}" for number in range(len(kinds))])


def _size(batch: pa.RecordBatch, limit: int) -> int:
    """How many rows the next batch should have, by the width of the last one's; ``limit`` at most."""
    return min(limit, max(FEWEST, BYTES * int(batch.num_rows) // max(int(batch.nbytes), 1)))


def _joined(chunks: Sequence[pa.Array]) -> pa.Array:
    import pyarrow as pa

    if len(chunks) == 1:
        return chunks[0]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [chunk.cast(pa.string()) for chunk in chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


def _array(values: Sequence[Any], kind: type | None) -> pa.Array:
    """One column's values: texts, integers and booleans as Arrow has them, anything else as text."""
    import pyarrow as pa

    if kind is str:
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):  # an output converter may have made something else
            return pa.array(values, pa.string())
    kinds = set(map(type, values))
    blanks = type(None) in kinds
    kinds.discard(type(None))
    if kinds <= {str}:
        return pa.array(values, pa.string())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int}:
        with suppress(pa.ArrowInvalid, OverflowError):  # beyond 64 bits it goes on as text
            return pa.array(values, pa.int64())
    texts: list[str | None]
    if kinds == {Decimal}:
        texts = list(map(str, values))
        if blanks or "E" in "".join(map(str, values)):
            texts = [None if value is None else format(value, "f") for value in values]
    else:
        texts = [None if value is None else _text(value) for value in values]
    return pa.array(texts, pa.string())


def _text(value: Any) -> str:
    """The text of one value; equal to what Arrow makes of it where a whole column has its type."""
    return _TEXTS.get(type(value), str)(value)


def _float(value: float) -> str:
    """The shortest text that reads back the same; whole numbers as such, because an ERP may keep a code in a float."""
    return repr(value).removesuffix(".0")


def _hex(value: bytes | bytearray) -> str:
    return value.hex()


_TEXTS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    Decimal: lambda value: format(value, "f"),
    bytes: _hex,
    bytearray: _hex,
    date: date.isoformat,
    datetime: lambda value: value.isoformat(" "),
    time: time.isoformat,
}


def _names(description: Sequence[Any]) -> tuple[str, ...]:
    """The columns' names; sqliteodbc puts a NUL behind those that are not ASCII."""
    return tuple(column[0].rstrip("\0") for column in description)


@contextmanager
def _closed_unless_ready(connection: Any) -> Iterator[None]:
    """Close a connection that cannot be made ready: nobody else will get hold of it to do so."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _begin(
    session: Sequence[str],
    execute: Callable[[str], object],
    *,
    errors: type[Exception] | tuple[type[Exception], ...],
    said: Callable[[Exception], str] = str,
) -> None:
    """Run the project's own statements of a new connection; what one may hold is nobody's business but its number.

    Raises :class:`ConnectError` for one that the database refuses, with what it ``said``.
    """
    for number, statement in enumerate(session, start=1):
        try:
            execute(statement)
        except errors as error:
            raise ConnectError(
                f"The database refuses statement {number} of `session`. It says: {plain(said(error))}",
                hint="Mend the statement under [source] in project.toml, or under [orders] where it raises orders.",
            ) from None


def _there(file: str) -> None:
    """Say that a file is missing before a driver does so in its own way, or makes an empty one."""
    try:
        there = not file or exists(Path(file))
    except OSError as error:
        hint = "Check its rights for the account that runs s2s."
        if sys.platform == "win32" and isinstance(error, PermissionError):
            hint = f"If another program holds it, let that end. {hint}"
        raise ConnectError(f"The file {file} cannot be read: {error.strerror}.", hint=hint) from None
    if not there:
        raise ConnectError(f"There is no file {file}.", hint="Check the file's path in the connection.")


def _kind_of(path: Path) -> type[_Sqlite | _DuckDb]:
    """What reads a DuckDB or SQLite file, told apart by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise ConnectError(
            f"There is no file {path}.", hint="Check `database` under [source]; it counts from the project's folder."
        ) from None
    except OSError as error:
        hint = "Check its rights for the account that runs s2s."
        with suppress(OSError):  # Windows says of a folder, too, that it may not be opened
            if is_dir(path):
                hint = "Name the file itself in `database` under [source]; it counts from the project's folder."
        raise ConnectError(f"The file {path} cannot be read: {error.strerror}.", hint=hint) from None
    if head.startswith(b"SQLite format 3\x00"):
        return _Sqlite
    if head[8:12] == b"DUCK":
        return _DuckDb
    wrong = "is empty" if not head else "is neither a DuckDB nor a SQLite file"
    raise ConnectError(
        f"The file {path} {wrong}.",
        hint="Check `database` under [source], and that the copy of the file is complete. Other databases need"
        " `connection` instead.",
    )


def _sqlite(path: Path, settings: SourceSettings, *, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """A connection of Python's own module on a SQLite file that is there, outside of any transaction."""
    import sqlite3
    from urllib.parse import quote

    errors = (sqlite3.Error, sqlite3.Warning)  # a second statement is a mere warning before Python 3.12
    name = path.absolute().as_posix()  # of a drive C:/…, of a share of Windows //server/…, which is no host of a URI
    try:
        # Only one thread at a time uses it, but not always the same: DuckDB's pulls the rows, a server's raises orders.
        connection = sqlite3.connect(
            f"file://{'' if name.startswith('/') else '/'}{quote(name, safe='/:')}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=settings.connect_timeout,
        )
        with _closed_unless_ready(connection):
            connection.text_factory = _decoder(settings.decoding)
            if mode == "ro":
                connection.execute("pragma query_only = on").close()
            connection.execute("select count(*) from sqlite_master").close()
    except errors as error:
        hint = "Check that it is a whole SQLite file, not encrypted, and not held by another program."
        if mode == "ro" and "readonly" in str(error):
            hint = (
                "The program that wrote to it last was broken off in the middle, and only one that may write can undo"
                " that: open the file once with the program that it belongs to. s2s never writes to a source."
            )
        raise ConnectError(f"The file {path} cannot be opened: {error}.", hint=hint) from None
    with _closed_unless_ready(connection):
        _begin(settings.session, lambda statement: connection.execute(statement).close(), errors=errors)
    return connection


class _Sqlite:
    """A SQLite file, read through Python's own module."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        import sqlite3

        self._settings = settings
        self._patience = Patience()
        self._errors = (sqlite3.Error, sqlite3.Warning)
        self._version = sqlite3.sqlite_version
        self._connection = _sqlite(path, settings, mode="ro")

    def read(self, sql: str, *, pack: bool = False) -> _Result:  # noqa: ARG002 - there is nothing to gain
        cursor = self._asked(partial(self._connection.execute, sql))
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        columns = tuple(column[0] for column in cursor.description)
        return _Result(columns=columns, batches=self._batches(cursor, len(columns)))

    def _batches(self, cursor: Any, width: int) -> Iterator[pa.RecordBatch]:
        size = min(CHUNK, self._settings.batch_rows)
        try:
            while True:
                batch = self._asked(partial(_batch, cursor.fetchmany, [None] * width, size))
                if batch.num_rows:
                    yield batch
                if batch.num_rows < size:
                    return
                size = _size(batch, self._settings.batch_rows)
        finally:
            # Where the reading was broken off, this runs when the connection is closed already.
            with suppress(*self._errors):
                cursor.close()

    def hold(self) -> bool:
        self._asked(partial(self._connection.execute, "begin")).close()
        return True

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        sql = (
            "select '', t.name, c.name, c.type from sqlite_master as t, pragma_table_info(t.name) as c"
            " where t.type in ('table', 'view') order by t.name, c.cid"
        )
        yield from self._asked(lambda: self._connection.execute(sql).fetchall())

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return self._patience.wait(call, seconds=self._settings.query_timeout, cancel=self._connection.interrupt)
        except self._errors as error:
            raise explained("", str(error), connecting=False) from None

    def describe(self) -> ServerFacts:
        return ServerFacts(
            driver="Python's sqlite3",
            driver_version=self._version,
            dbms="SQLite",
            dbms_version=self._version,
            read_only=True,
        )

    def close(self) -> None:
        if not self._patience.given_up:
            self._connection.close()
        self._patience.end()


def _decoder(encoding: str | None) -> Callable[[bytes], str]:
    """Text as ``encoding`` says; else as UTF-8, and where it is not that, as Windows writes it: nothing is lost."""

    def decoded(raw: bytes) -> str:
        try:
            return raw.decode(encoding or "utf-8")
        except UnicodeDecodeError:
            return raw.decode("cp1252", "backslashreplace")

    return decoded


class _DuckDb:
    """A DuckDB file, on a connection of its own."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        import duckdb

        self._settings = settings
        self._patience = Patience()
        self._readers: list[pa.RecordBatchReader] = []
        self._error = duckdb.Error
        self._version = duckdb.__version__
        try:
            self._connection = duckdb.connect(str(path), read_only=True)
            with _closed_unless_ready(self._connection):
                # Zoned timestamps would read differently on each machine, and nothing may be downloaded on the way.
                for statement in ("set timezone = 'UTC'", "set autoinstall_known_extensions = false"):
                    self._connection.execute(statement)
        except duckdb.Error as error:
            raise ConnectError(
                f"The file {path} cannot be opened: {plain(str(error))}",
                hint="If another program holds it, let that end; a newer DuckDB may have written it.",
            ) from None
        with _closed_unless_ready(self._connection):
            _begin(settings.session, self._connection.execute, errors=duckdb.Error)

    def read(self, sql: str, *, pack: bool = False) -> _Result:  # noqa: ARG002 - there is nothing to gain
        def reading() -> tuple[tuple[str, ...], pa.RecordBatchReader]:
            relation = self._connection.sql(sql)
            if relation is None:
                raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
            texts = [_duck_text(number, str(kind)) for number, kind in enumerate(relation.types, start=1)]
            return tuple(relation.columns), _arrow_reader(relation.project(", ".join(texts)), self._settings.batch_rows)

        columns, reader = self._asked(reading)
        self._readers.append(reader)
        return _Result(columns=columns, batches=self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            while True:
                batch = self._asked(partial(next, reader, None))
                if batch is None:
                    return
                yield batch
        finally:
            reader.close()

    def hold(self) -> bool:
        self._asked(partial(self._connection.execute, "begin transaction"))
        return True

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        sql = (
            "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
            " and database_name = current_database() order by schema_name, table_name, column_index"
        )
        yield from self._asked(lambda: self._connection.execute(sql).fetchall())

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return self._patience.wait(call, seconds=self._settings.query_timeout, cancel=self._connection.interrupt)
        except (self._error, OSError) as error:  # Arrow's errors of a stream are OSErrors
            raise explained("", str(error), connecting=False) from None

    def describe(self) -> ServerFacts:
        return ServerFacts(
            driver="DuckDB", driver_version=self._version, dbms="DuckDB", dbms_version=self._version, read_only=True
        )

    def close(self) -> None:
        if not self._patience.given_up:
            # DuckDB connects to a file anew only when all that read from it is gone, and waits for that without an end.
            # A result that was broken off may be held by an error's traceback until the collector comes by.
            for reader in self._readers:
                reader.close()
            self._connection.close()
        self._patience.end()


def _duck_text(number: int, kind: str) -> str:
    """SQL for the text of column ``number``: DuckDB's own casts are exact, but for what this module promises."""
    text = f"cast(#{number} as varchar)"
    if kind in {"FLOAT", "DOUBLE"}:
        text = rf"regexp_replace({text}, '\.0$', '')"
    elif kind == "BLOB":
        text = f"lower(hex(#{number}))"
    return f"{text} as c{number}"


def _arrow_reader(relation: Any, rows: int) -> Any:
    """DuckDB 2 renamed what streams a relation as Arrow."""
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    return stream(rows)
