"""Open a client's database and read batches as Arrow.

Two kinds of sources: anything that ODBC reaches, through pyodbc, which was measured to be right with every driver;
and DuckDB or SQLite files, which need no driver manager. What differs between drivers is data: a :class:`Profile`.

Every value arrives as text or as an Arrow type whose text is exact and the same on each run: dates and timestamps in
ISO 8601, decimals with all their digits, bytes that are no text in lower-case hexadecimal.
"""

from __future__ import annotations

import gc
import re
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import ConnectError, DriverError, QueryError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from engine.model import SourceSettings

DATETIMEOFFSET = -155
"""SQL Server's own type, which pyodbc cannot read without being told how."""

SQL_ATTR_ACCESS_MODE = 101
SQL_MODE_READ_ONLY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What answered: ``read_only`` is None where it cannot be told; ``notes`` are a driver's traps, for people."""

    driver: str
    driver_version: str
    dbms: str
    dbms_version: str
    read_only: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a family of ODBC drivers needs.

    ``options`` go into the connection string unless it has them already. ``reading`` are statements that make the
    session read-only; ``timed`` limit a statement to ``{seconds}`` where the driver itself cannot, and need not all be
    known to the server.
    ``cursor`` reads through a cursor that is declared in SQL: the driver holds the whole result without one.
    """

    name: str
    match: str
    options: tuple[tuple[str, str], ...] = ()
    reading: tuple[str, ...] = ()
    timed: tuple[str, ...] = ()
    cursor: bool = False
    utf8: bool = False
    notes: tuple[str, ...] = ()


PROFILES = (
    Profile(
        name="psqlodbc",
        match=r"psqlodbc|postgres",
        options=(("BoolsAsChar", "0"),),
        reading=("set session characteristics as transaction read only",),
        timed=("set statement_timeout = '{seconds}s'",),
        # The driver's own cursors (UseDeclareFetch) crash the process when the connection breaks, in 13.02.
        cursor=True,
        utf8=True,
        notes=("psqlODBC drops the zone of timestamptz, and reads the date infinity as today: cast them to text.",),
    ),
    Profile(
        name="mariadb",
        match=r"maodbc|mariadb|myodbc|mysql",
        reading=("set session transaction read only",),
        # The first is MariaDB's, the second MySQL's.
        timed=("set session max_statement_time = {seconds}", "set session max_execution_time = {seconds}000"),
        utf8=True,
        notes=(
            "The MariaDB driver holds the whole result in memory, about 700 bytes a row of 25 columns.",
            "INT UNSIGNED of 2³¹ and more arrives negative: write `col + 0` in the view.",
            "TIME loses its sign and its fraction: write `cast(col as char)` in the view.",
        ),
    ),
    Profile(
        name="sqliteodbc",
        match=r"sqlite",
        options=(("StepAPI", "1"), ("BigInt", "1")),
        notes=("For SQLite files prefer `database = …`: this driver types an expression by its first row.",),
    ),
    Profile(
        name="mdbtools",
        match=r"mdb",
        notes=("mdbtools ignores some WHERE clauses and knows no JOIN: read whole tables, and filter elsewhere.",),
    ),
    Profile(
        name="sqlserver",
        match=r"odbc driver \d+ for sql server|msodbcsql|sql server",
        options=(("ApplicationIntent", "ReadOnly"),),
    ),
    Profile(name="freetds", match=r"freetds|tdsodbc", options=(("TDS_Version", "7.4"),)),
    Profile(name="pervasive", match=r"pervasive|zen|btrieve"),
    Profile(name="hana", match=r"hdbodbc|hana"),
    Profile(name="firebird", match=r"firebird|interbase", utf8=True),
    Profile(name="oracle", match=r"oracle|sqora"),
)
OTHER = Profile(name="other", match="")


class Batches(Protocol):
    """A result: its columns as the driver names them, and its rows as record batches, to be read once."""

    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class Connection(Protocol):
    """An open source."""

    def read(self, sql: str) -> Batches:
        """Run one SELECT. Raises :class:`QueryError` when the database refuses it or breaks off."""

    def describe(self) -> ServerFacts:
        """What answered, for ``s2s doctor``."""

    def close(self) -> None:
        """Give the connection back."""


@contextmanager
def open_source(settings: SourceSettings, *, read_only: bool = True) -> Iterator[Connection]:
    """Connect to the source that ``settings`` describe, to read unless told otherwise.

    Raises :class:`DriverError` when the driver manager or the driver is missing and :class:`ConnectError` when the
    database cannot be reached or refuses the login.
    """
    connection: Connection
    if settings.database is not None:
        connection = _open_file(settings.database, settings)
    else:
        connection = _Odbc(settings, read_only=read_only)
    try:
        yield connection
    finally:
        connection.close()


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
            "then the driver of the client's database.",
        ) from None
    return pyodbc


@dataclass
class _Result:
    """Batches from a generator, with its columns known before the first row."""

    columns: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches


class _Odbc:
    """A database behind an ODBC driver."""

    def __init__(self, settings: SourceSettings, *, read_only: bool) -> None:
        self._settings = settings
        self._driver = _pyodbc()
        given = settings.connection or ""
        options = _options(given)
        self._secrets = [options[name] for name in ("pwd", "password") if options.get(name)]
        self._profile = _profile(f"{options.get('driver', '')} {options.get('dsn', '')}")
        text = given.rstrip("; ")
        for name, value in self._profile.options:
            if name.lower() not in options and (read_only or name.lower() not in {"readonly", "applicationintent"}):
                text += f";{name}={value}"
        attributes = dict(settings.attributes)
        if read_only:
            attributes.setdefault(SQL_ATTR_ACCESS_MODE, SQL_MODE_READ_ONLY)
        try:
            self._connection = self._driver.connect(
                text,
                autocommit=not self._profile.cursor,
                timeout=settings.connect_timeout,
                attrs_before=attributes,
            )
        except self._driver.Error as error:
            raise self._explained(error, connecting=True) from None
        try:
            self._prepare(read_only=read_only)
        except self._driver.Error as error:
            self.close()
            raise self._explained(error, connecting=True) from None

    def _prepare(self, *, read_only: bool) -> None:
        connection, settings = self._connection, self._settings
        if not self._profile.timed:
            with suppress(self._driver.Error):  # not every driver has a timeout for statements
                connection.timeout = settings.query_timeout
        if hasattr(connection, "decimal_mode"):
            connection.decimal_mode = "text"
        connection.add_output_converter(DATETIMEOFFSET, _datetimeoffset)
        if settings.decoding:
            connection.setdecoding(self._driver.SQL_CHAR, encoding=settings.decoding)
        if settings.wide_decoding:
            connection.setdecoding(self._driver.SQL_WCHAR, encoding=settings.wide_decoding)
        if settings.encoding:
            connection.setencoding(encoding=settings.encoding)
        if self._profile.utf8 and not settings.decoding and sys.platform != "win32":
            self._narrow()
        for statement in self._profile.timed:
            with suppress(self._driver.Error):
                connection.execute(statement.format(seconds=settings.query_timeout)).close()
        for statement in (*(self._profile.reading if read_only else ()), *settings.session):
            connection.execute(statement).close()
        if self._profile.cursor:
            connection.commit()

    def _narrow(self) -> None:
        """Read texts as UTF-8 bytes, which costs half of UTF-16; a probe tells whether the driver really sends them."""
        connection, driver = self._connection, self._driver
        for kind in (driver.SQL_CHAR, driver.SQL_WCHAR):
            connection.setdecoding(kind, encoding="utf-8", ctype=driver.SQL_CHAR)
        try:
            right = connection.execute("select 'é漢'").fetchval() == "é漢"
        except (driver.Error, UnicodeDecodeError):
            right = False
        if not right:
            connection.setdecoding(driver.SQL_CHAR, encoding="utf-8", ctype=driver.SQL_CHAR)
            connection.setdecoding(driver.SQL_WCHAR, encoding="utf-16le", ctype=driver.SQL_WCHAR)
        if self._profile.cursor:
            connection.rollback()

    def read(self, sql: str) -> _Result:
        cursor = self._connection.cursor()
        size = self._settings.batch_rows
        try:
            if self._profile.cursor:
                cursor.execute(f"declare s2s_view no scroll cursor for {sql.rstrip().rstrip(';')}").close()
                cursor = self._connection.cursor()
                cursor.execute(f"fetch forward {size} from s2s_view")
            else:
                cursor.execute(sql)
        except (self._driver.Error, UnicodeDecodeError) as error:
            raise self._explained(error) from None
        if cursor.description is None:
            raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
        columns = tuple(column[0] for column in cursor.description)
        return _Result(columns=columns, batches=self._batches(cursor, columns, size))

    def _batches(self, cursor: Any, columns: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                with _no_collections():
                    rows = cursor.fetchmany(size)
                    batch = _transposed(rows, columns)
                if rows and self._profile.cursor:
                    cursor.execute(f"fetch forward {size} from s2s_view")
            except (self._driver.Error, UnicodeDecodeError, ValueError) as error:
                raise self._explained(error) from None
            if not rows:
                return
            del rows
            yield batch

    def describe(self) -> ServerFacts:
        driver = self._driver
        read_only: bool | None = None
        with suppress(driver.Error):
            read_only = self._connection.getinfo(driver.SQL_DATA_SOURCE_READ_ONLY) == "Y" or None
        return ServerFacts(
            driver=self._connection.getinfo(driver.SQL_DRIVER_NAME),
            driver_version=self._connection.getinfo(driver.SQL_DRIVER_VER),
            dbms=self._connection.getinfo(driver.SQL_DBMS_NAME),
            dbms_version=self._connection.getinfo(driver.SQL_DBMS_VER),
            read_only=read_only,
            notes=self._profile.notes,
        )

    def close(self) -> None:
        with suppress(self._driver.Error):
            self._connection.close()

    def _explained(self, error: Exception, *, connecting: bool = False) -> SourceError:
        state = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
        text = str(error.args[-1]) if error.args else str(error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"\s*\((SQL\w+|\d+)\)\s*$", "", re.sub(r"^\[[0-9A-Z]{5}\]\s*", "", text)).strip()
        return explained(state, text, connecting=connecting, drivers=installed_drivers)


def explained(state: str, text: str, *, connecting: bool, drivers: Callable[[], Sequence[str]] = tuple) -> SourceError:
    """What a driver's SQLSTATE and message come to, and what to do; ``text`` holds no secret."""
    low = text.lower()
    said = f"The database says: {text} [{state}]" if state else f"The database says: {text}"
    if state in {"IM002", "01000"} and (
        "can't open lib" in low or "data source name not found" in low or state == "IM002"
    ):
        known = ", ".join(drivers()) or "none"
        return DriverError(
            f"The ODBC driver or data source of the connection is not installed here. {said}",
            hint=f"Installed drivers: {known}. Install the right one, or mend Driver= in the connection.",
        )
    if state == "28000" or "18456" in low or "password authentication failed" in low or "access denied" in low:
        return ConnectError(
            f"The database refuses the login. {said}",
            hint="Check the user and the password in .env, and that the login may connect from this machine.",
        )
    if "certificate" in low or "ssl" in low:
        return ConnectError(
            f"The encrypted connection failed. {said}",
            hint="Microsoft's driver 18 encrypts unless told otherwise and refuses a self-signed certificate: install"
            " the server's certificate, or add TrustServerCertificate=yes on a network that you trust.",
        )
    if state in {"HYT00", "HYT01"} or "timeout" in low or "statement timeout" in low or "max_statement_time" in low:
        if connecting:
            return ConnectError(
                f"The database does not answer. {said}",
                hint="Check the server's name and port, that it runs, and the firewall between here and there.",
            )
        return QueryError(
            f"The view took too long. {said}",
            hint="Raise query_timeout under [source], or make the view faster: an index, fewer joins.",
        )
    if connecting or state in {"08001", "08S01", "08003", "08007", "08004"} or "server closed the connection" in low:
        if connecting:
            return ConnectError(
                f"The database cannot be reached. {said}",
                hint="Check server, port and database name in the connection; `s2s doctor` tries them.",
            )
        return QueryError(
            f"The connection broke while the view was read; nothing of it is used. {said}",
            hint="Run again. If it comes back, look at the database's log and the network.",
        )
    if state in {"42S02", "42P01"} or "does not exist" in low or "no such table" in low or "doesn't exist" in low:
        return QueryError(
            f"The view names a table or column that the database does not have. {said}",
            hint="Check the spelling and the schema, and that the login may see it. `s2s render` shows the SQL.",
        )
    return QueryError(
        f"The database refused the view. {said}",
        hint="`s2s render` shows the SQL as it was sent; try it in the database's own console.",
    )


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


def _transposed(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> pa.RecordBatch:
    """Rows as a record batch; a column whose values do not share one exact Arrow type becomes text."""
    import pyarrow as pa

    arrays = [_array(values) for values in (zip(*rows, strict=True) if rows else [()] * len(columns))]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{number}" for number in range(len(columns))])


def _array(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    kinds = set(map(type, values))
    blanks = type(None) in kinds
    kinds.discard(type(None))
    if not kinds or kinds == {str}:
        return pa.array(values, pa.string())
    kind = kinds.pop() if len(kinds) == 1 else object
    if kind in _EXACT:
        with suppress(pa.ArrowInvalid, OverflowError):  # an integer beyond 64 bits goes on as text
            return pa.array(values, getattr(pa, _EXACT[kind])())
    text = _TEXTS.get(kind, _text)
    if blanks:
        return pa.array([None if value is None else text(value) for value in values], pa.string())
    return pa.array(list(map(text, values)), pa.string())


_EXACT: dict[type, str] = {int: "int64", bool: "bool_", float: "float64"}
"""Python types whose Arrow type says the same."""

_TEXTS: dict[type, Callable[[Any], str]] = {Decimal: str, int: str, date: date.isoformat, time: time.isoformat}
"""How other types become text, where a column has no other; the common ones without a detour."""


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return _bytes(bytes(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)


def _bytes(value: bytes) -> str:
    """A bit as 0 or 1, other bytes in hexadecimal."""
    if value in {b"\x00", b"\x01"}:
        return str(value[0])
    return value.hex()


def _datetimeoffset(raw: bytes) -> str:
    """SQL_SS_TIMESTAMPOFFSET_STRUCT as ISO 8601; its layout is in Microsoft's reference of the ODBC types."""
    import struct

    year, month, day, hour, minute, second, nanos, hours, minutes = struct.unpack("<6hI2h", raw)
    sign = "-" if hours < 0 or minutes < 0 else "+"
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".") if nanos else ""
    return (
        f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{fraction}"
        f"{sign}{abs(hours):02d}:{abs(minutes):02d}"
    )


def _options(connection: str) -> dict[str, str]:
    """The connection string's options by lower-case name; braces keep what is in them."""
    found = {}
    for part in re.finditer(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", connection):
        value = part[2].strip()
        if value.startswith("{") and value.endswith("}"):
            value = value[1:-1].replace("}}", "}")
        found[part[1].strip().lower()] = value
    return found


def _profile(name: str) -> Profile:
    return next((profile for profile in PROFILES if re.search(profile.match, name, re.IGNORECASE)), OTHER)


def _open_file(path: Path, settings: SourceSettings) -> Connection:
    """A DuckDB or SQLite file, told apart by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise ConnectError(
            f"There is no file {path}.", hint="Check `database` under [source]; it counts from the project's folder."
        ) from None
    except OSError as error:
        raise ConnectError(
            f"The file {path} cannot be read: {error.strerror}.", hint="Check its rights for the account that runs s2s."
        ) from None
    if head.startswith(b"SQLite format 3\x00"):
        return _Sqlite(path, settings)
    if head[8:12] == b"DUCK":
        return _DuckDb(path, settings)
    raise ConnectError(
        f"{path} is neither a DuckDB nor a SQLite file.", hint="Other databases need `connection` under [source]."
    )


class _Sqlite:
    """A SQLite file, read through Python's own module."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        import sqlite3
        from urllib.parse import quote

        self._settings = settings
        self._error = sqlite3.Error
        self._version = sqlite3.sqlite_version
        # The rows are pulled from DuckDB's thread; only one thread uses the connection at a time.
        self._connection = sqlite3.connect(
            f"file:{quote(path.as_posix())}?mode=ro",
            uri=True,
            check_same_thread=False,
            timeout=settings.connect_timeout,
        )
        self._connection.text_factory = _sqlite_text

    def read(self, sql: str) -> _Result:
        timer = threading.Timer(self._settings.query_timeout, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            cursor = self._connection.execute(sql)
        except self._error as error:
            timer.cancel()
            raise self._explained(error) from None
        columns = tuple(column[0] for column in cursor.description or ())

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                while True:
                    try:
                        with _no_collections():
                            rows = cursor.fetchmany(self._settings.batch_rows)
                            batch = _transposed(rows, columns)
                    except self._error as error:
                        raise self._explained(error) from None
                    if not rows:
                        return
                    yield batch
            finally:
                timer.cancel()
                cursor.close()

        return _Result(columns=columns, batches=batches())

    def describe(self) -> ServerFacts:
        return ServerFacts(
            driver="Python's sqlite3",
            driver_version=self._version,
            dbms="SQLite",
            dbms_version=self._version,
            read_only=True,
        )

    def close(self) -> None:
        self._connection.close()

    def _explained(self, error: Exception) -> SourceError:
        text = str(error)
        if "interrupted" in text:
            return explained("HYT00", text, connecting=False)
        return explained("", text, connecting=False)


def _sqlite_text(raw: bytes) -> str:
    """Text as UTF-8; where it is not, as Windows wrote it, so that nothing is lost in silence."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "backslashreplace")


class _DuckDb:
    """A DuckDB file, on a connection of its own."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        import duckdb

        self._settings = settings
        self._error = duckdb.Error
        self._version = duckdb.__version__
        try:
            self._connection = duckdb.connect(str(path), read_only=True)
            self._connection.execute("set autoinstall_known_extensions = false; set timezone = 'UTC'").fetchall()
        except duckdb.Error as error:
            raise ConnectError(
                f"The file {path} cannot be opened: {str(error).splitlines()[0]}",
                hint="If another program holds it, let that end; a newer DuckDB may have written it.",
            ) from None

    def read(self, sql: str) -> _Result:
        timer = threading.Timer(self._settings.query_timeout, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            relation = self._connection.sql(sql)
            if relation is None:
                raise QueryError("The view gave no rows and no columns: it is not a SELECT.")
            columns = tuple(relation.columns)
            texts = ", ".join(f"cast(#{number} as varchar)" for number in range(1, len(columns) + 1))
            reader = _arrow_reader(relation.project(texts), self._settings.batch_rows)
        except self._error as error:
            timer.cancel()
            raise self._explained(error) from None

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from reader
            except (self._error, OSError) as error:
                raise self._explained(error) from None
            finally:
                timer.cancel()

        return _Result(columns=columns, batches=batches())

    def describe(self) -> ServerFacts:
        return ServerFacts(
            driver="DuckDB", driver_version=self._version, dbms="DuckDB", dbms_version=self._version, read_only=True
        )

    def close(self) -> None:
        self._connection.close()

    def _explained(self, error: Exception) -> SourceError:
        text = str(error).splitlines()[0]
        return explained("HYT00" if "INTERRUPT" in text.upper() else "", text, connecting=False)


def _arrow_reader(relation: Any, rows: int) -> Any:
    """DuckDB 2 renamed what streams a relation as Arrow."""
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    return stream(rows)
