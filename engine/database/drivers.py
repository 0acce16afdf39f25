"""What differs between ODBC drivers, as data: options, encodings, session statements, traps and their mends.

What each driver gets wrong was measured where it is said to be run on its page under ``docs/drivers``, and is from its
maker's documentation elsewhere.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.model.settings import SourceSettings

DATETIMEOFFSET = -155
"""SQL Server's own type, which pyodbc cannot read without being told how."""

SQL_TYPE_TIMESTAMP = 93
SQL_FLOAT = 6


def _datetimeoffset(raw: bytes | None) -> str | None:
    """SQL_SS_TIMESTAMPOFFSET_STRUCT as ISO 8601; its layout is in Microsoft's reference of the ODBC types."""
    if raw is None:
        return None
    year, month, day, hour, minute, second, nanos, hours, minutes = struct.unpack("<6hI2h", raw)
    sign = "-" if hours < 0 or minutes < 0 else "+"
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".") if nanos else ""
    return (
        f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{fraction}"
        f"{sign}{abs(hours):02d}:{abs(minutes):02d}"
    )


def _timestamp(raw: bytes | None) -> str | None:
    """SQL_TIMESTAMP_STRUCT as ISO 8601, even where the date is one that no calendar has."""
    if raw is None:
        return None
    year, month, day, hour, minute, second, nanos = struct.unpack("<6hI", raw)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{fraction}"


def _single(raw: bytes | None) -> float | None:
    """A float that came in four bytes; one that came in eight is whole."""
    if raw is None:
        return None
    if len(raw) > 4:  # noqa: PLR2004 - a float's bytes
        return float(struct.unpack("<d", raw)[0])
    return shortest(float(struct.unpack("<f", raw)[0]))


def shortest(value: float) -> float:
    """A float of four bytes, as short as it reads back the same."""
    raw = struct.pack("<f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((short for short in shorter if struct.pack("<f", short) == raw), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a family of ODBC drivers needs.

    ``match`` is looked for in the driver's name. ``options`` go into the connection string unless it has them, with
    ``{connect_timeout}``, ``{query_timeout}`` and ``{network_timeout}`` filled in; ``superseded`` ones are taken out,
    because something better does their work. ``session`` statements run on a connection that only reads, and ``asks``
    is a query whose last value tells whether it does. ``narrow`` probes how texts travel cheapest. ``text``
    writes a text that is not ASCII, with its UTF-8 in hexadecimal as ``{1}``. ``timeout`` tells
    whether the driver knows ODBC's own query timeout. ``recast`` names, by the type and the size under which the
    driver describes a column (None for any size), the SQL that gets its value across unharmed; ``quote`` is what
    encloses a name there. ``pack`` is SQL that makes one text of all values, and ``packed`` is like ``recast`` for the
    types whose text in there is not what this module promises. ``declare`` reads through a cursor of the server's.
    ``converters`` make a value of the bytes of an ODBC type that pyodbc reads wrong; those in ``early`` only where the
    driver is older than the version ``mended``. ``unsigned`` are the sizes in bytes of integers that arrive without
    their sign, ``singles`` those of floats with more digits than they have, and a text of ``cut`` bytes may be the
    beginning of a longer one.
    ``file`` is the option that names the database's file, where it has one. ``moment`` begins a transaction in which
    every read sees the same moment.
    """

    name: str
    match: str
    options: tuple[tuple[str, str], ...] = ()
    superseded: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    asks: str = ""
    encoding: str = ""
    decoding: str = ""
    wide_decoding: str = ""
    narrow: bool = False
    text: str = "'{0}'"
    autocommit: bool = True
    timeout: bool = True
    recast: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    quote: str = '"'
    pack: str = ""
    packed: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    declare: bool = False
    converters: Mapping[int, Callable[[bytes | None], object]] = field(default_factory=dict)
    early: Mapping[int, Callable[[bytes | None], object]] = field(default_factory=dict)
    mended: tuple[int, ...] = ()
    unsigned: frozenset[int] = frozenset()
    singles: frozenset[int] = frozenset()
    cut: int = 0
    file: str = ""
    moment: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_SQLITE_TEXT = (
    "case when typeof({0}) <> 'real' then cast({0} as text)"
    " when cast(printf('%!.15g', {0}) as real) = {0} then printf('%!.15g', {0}) else printf('%!.17g', {0}) end"
)
"""A SQLite value's text; a float with as many digits as it needs, where a plain cast stops at 15."""

_SQLSERVER_ASKS = (
    "select case when has_perms_by_name(db_name(), 'DATABASE', 'INSERT') = 1"
    " or has_perms_by_name(db_name(), 'DATABASE', 'UPDATE') = 1"
    " or has_perms_by_name(db_name(), 'DATABASE', 'DELETE') = 1 then 'off' else 'on' end"
)
"""SQL Server has no read-only session: what the login may do is what there is to know."""

_WHOLE_LISTS = "set session group_concat_max_len = 4294967295"
"""GROUP_CONCAT cuts its result at 1,024 bytes (MySQL) or 1 MB (MariaDB) unless the session says otherwise."""

HELD = "s2s_moment"
"""The savepoint at which a moment that is held begins."""

_SNAPSHOT = "start transaction with consistent snapshot, read only"

PROFILES = (
    Profile(
        name="psqlodbc",
        match=r"psqlodbc|postgres",
        # Without a cursor the driver holds the whole result in memory. Its own cursors (UseDeclareFetch, or B6) crash
        # the process when the connection is cut in mid-result (13.02); its ReadOnly (A0) refuses to declare one.
        options=(
            ("BoolsAsChar", "0"),
            ("LFConversion", "0"),
            ("UseDeclareFetch", "0"),
            ("ReadOnly", "0"),
            ("KeepaliveTime", "60"),
            ("KeepaliveInterval", "10"),
        ),
        superseded=("usedeclarefetch", "b6", "readonly", "a0"),
        session=(
            "set session characteristics as transaction read only",
            "set datestyle = 'ISO'",
            "set intervalstyle = 'postgres'",
            "set bytea_output = 'hex'",
            "set cursor_tuple_fraction = 1.0",  # all rows will be read, so plan for all of them
        ),
        asks="show transaction_read_only",
        narrow=True,
        autocommit=False,
        timeout=False,
        # It reads the date infinity as today, drops the sign of years BC and the zone of timestamptz, and writes
        # a uuid (described as 37 characters) in upper case.
        recast={
            ("Decimal", None): "cast({0} as text)",  # of which one may be NaN
            ("float", 10): "cast(cast({0} as numeric) as text)",  # money, whose own text has a currency and commas
            ("date", None): "cast({0} as text)",
            ("datetime", None): "cast({0} as text)",
            ("time", None): "cast({0} as text)",
            ("str", 36): "cast({0} as text)",
            ("str", 37): "cast({0} as text)",
        },
        # One value a row instead of one a column: fetching a view of 25 columns costs a quarter of the CPU time.
        pack="cast(row({0}) as text)",
        packed={
            ("bool", None): "case when {0} then 'true' when not {0} then 'false' end",
            ("bytearray", None): "encode({0}, 'hex')",
            ("float", 10): "cast({0} as numeric)",
        },
        declare=True,
        moment=("set transaction isolation level repeatable read",),
        notes=("A timestamptz reads with the offset of the session's time zone: fix that with `session`.",),
    ),
    Profile(
        name="mariadb",
        match=r"maodbc|mariadb",
        # It knows nothing of ODBC's login timeout, and waits for ever on a connection that went dead.
        options=(("CONN_TIMEOUT", "{connect_timeout}"), ("READ_TIMEOUT", "{network_timeout}")),
        session=("set session transaction read only", _WHOLE_LISTS),
        asks="show session variables where variable_name in ('tx_read_only', 'transaction_read_only')",
        narrow=True,
        # SQL that is not ASCII damages its memory (3.1.15): now and then a syntax error where there is none, or the end
        # of the process.
        text="convert(x'{1}' using utf8mb4)",
        encoding="utf-8",
        timeout=False,
        # INT UNSIGNED of 2³¹ and more arrives negative, FLOAT with invented digits, TIME without sign and fraction,
        # 0000-00-00 as NULL; an impossible date raises.
        recast={
            ("int", 10): "{0} + 0",
            ("float", 7): "cast({0} as char)",
            ("date", None): "cast({0} as char)",
            ("datetime", None): "cast({0} as char)",
            ("time", None): "cast({0} as char)",
        },
        quote="`",
        moment=("set session transaction isolation level repeatable read", _SNAPSHOT),
        notes=(
            "The MariaDB driver holds the whole result in memory, about 700 bytes a row of 25 columns.",
            "The server takes the padding off CHAR; BIT(n) of more than one bit reads as hexadecimal.",
            "TINYINT(1) and BOOLEAN read as numbers.",
        ),
    ),
    Profile(
        name="mysql",
        match=r"myodbc|mysql",
        session=("set session transaction read only", _WHOLE_LISTS),
        asks="show session variables where variable_name in ('tx_read_only', 'transaction_read_only')",
        narrow=True,
        quote="`",
        moment=("set session transaction isolation level repeatable read", _SNAPSHOT),
        notes=(
            "MySQL's driver holds the whole result in memory, unless NO_CACHE=1;FORWARD_CURSOR=1 is in the connection.",
        ),
    ),
    Profile(
        name="sqliteodbc",
        match=r"sqlite",
        # Rows one by one, whole 64-bit integers, no empty file where there is none, and names with their dots.
        options=(("StepAPI", "1"), ("BigInt", "1"), ("NoCreat", "1"), ("LongNames", "1")),
        session=("pragma query_only = on",),
        asks="pragma query_only",
        file="database",
        narrow=True,
        timeout=False,
        moment=("begin",),
        # It types an expression by its first row, and text in a column of another type reads as NULL.
        recast=dict.fromkeys(
            [(kind, None) for kind in ("str", "int", "float", "bool", "Decimal", "date", "datetime", "time")],
            _SQLITE_TEXT,
        ),
        notes=(
            "For SQLite files prefer `database = …` under [source]: it needs no driver, and is faster.",
            "This driver cuts a text at a NUL character.",
        ),
    ),
    Profile(
        name="mdbtools",
        match=r"mdbtools|libmdbodbc",
        # It gives dates with a day 0 for the first days that Access knows, which no Python date can be; an Integer
        # without its sign; and of a long text what fits into its buffer. Of a Single it gives four bytes where ODBC has
        # eight; since 1.0.1 it gives all eight, and will not give its bytes as they are.
        converters={SQL_TYPE_TIMESTAMP: _timestamp},
        early={SQL_FLOAT: _single},
        mended=(1, 0, 1),
        unsigned=frozenset({2}),
        singles=frozenset({4}),
        cut=16_383,
        file="dbq",
        notes=(
            "mdbtools ignores WHERE on money columns and knows no JOIN, ORDER BY or aliases: read whole tables.",
            "mdbtools gives ?? for letters beyond the first 65,536 of Unicode, such as 😀.",
        ),
    ),
    Profile(name="access", match=r"microsoft access|\*\.mdb", file="dbq"),
    Profile(
        name="freetds",
        match=r"freetds|tdsodbc",
        options=(("TDS_Version", "7.4"), ("ClientCharset", "UTF-8")),
        asks=_SQLSERVER_ASKS,
        converters={DATETIMEOFFSET: _datetimeoffset},
    ),
    Profile(
        name="sqlserver",
        match=r"odbc driver \d+ for sql server|msodbcsql|sql server",
        options=(("ApplicationIntent", "ReadOnly"),),
        asks=_SQLSERVER_ASKS,
        converters={DATETIMEOFFSET: _datetimeoffset},
        # As SQL_C_CHAR, texts come in the code page of the locale, and a scheduler's is often C.
        decoding="utf-16le",
    ),
    Profile(name="pervasive", match=r"pervasive|actian|\bzen\b|btrieve"),
    Profile(name="hana", match=r"hdbodbc|\bhana\b"),
    # A driver built without its wide functions cuts texts short unless they are fetched as bytes.
    Profile(
        name="firebird",
        match=r"firebird|interbase|odbcfb",
        encoding="utf-8",
        decoding="utf-8",
        wide_decoding="utf-8",
        notes=("Give CHARSET=UTF8 in the connection: texts are read as UTF-8.",),
    ),
    Profile(
        name="oracle",
        match=r"oracle|sqora",
        notes=("Set NLS_LANG to a UTF-8 character set, such as .AL32UTF8, where s2s runs.",),
    ),
)
OTHER = Profile(name="other", match="")


def options(connection: str) -> list[tuple[str, str]]:
    """The connection string's options in their order; a value keeps the braces around it."""
    found = re.findall(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", connection)
    return [(name, value.strip()) for name, value in found]


def bare(value: str) -> str:
    """An option's value without the braces of ODBC."""
    if value.startswith("{") and value.endswith("}"):
        return value[1:-1].replace("}}", "}")
    return value


def connection_string(
    given: Sequence[tuple[str, str]], profile: Profile, settings: SourceSettings, *, read_only: bool
) -> str:
    """What the user gave, and what the driver needs besides."""
    names = {name.lower() for name, _ in given if name.lower() not in profile.superseded}
    kept = [(name, value) for name, value in given if name.lower() in names]
    seconds = {
        "connect_timeout": settings.connect_timeout,
        "query_timeout": settings.query_timeout,
        # The network comes last: a query that is cancelled in time still hears of it.
        "network_timeout": settings.query_timeout + 30 if settings.query_timeout else 0,
    }
    added = [
        (name, value.format(**seconds))
        for name, value in profile.options
        if name.lower() not in names and (read_only or name != "ApplicationIntent")
    ]
    return ";".join(f"{name}={value}" for name, value in (*kept, *added))


def profile_of(driver: Any, options: Mapping[str, str]) -> Profile:
    """The profile of the driver that the connection names, itself or through a data source."""
    name = bare(options.get("driver", "")) or driver.dataSources().get(bare(options.get("dsn", "")), "")
    return next((profile for profile in PROFILES if re.search(profile.match, name, re.IGNORECASE)), OTHER)
