"""The types of a source's columns, as its catalogue says them: ``fixtures/types.toml``.

One table a fixture, one line a column, in the database's own words, so that a difference reads like one of the schema::

    [item]
    code = "character(12) not null"
    name = "varchar(60) collate utf8mb4_general_ci"
    price = "numeric(12,4)"

Before them ``captured = 2024-05-31T10:20:30`` says when that was, in UTC: the clock of a rehearsal stands there.
``database_time`` says what the database's own clock showed then, where that is another time,
``session_settings`` with what settings a view means something else there than in a rehearsal, and ``lc_ctype = "C"``
that only the letters from a to z have a case.
``s2s fixtures capture`` writes the file, and a hand-written fixture may do without. What a type means on fixtures:
:func:`duckdb_type` says how its values are kept, :func:`stored_value` how they are padded, and :func:`kind_of_column`
what a translation may rely on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from engine.config.toml_text import parse_toml
from engine.errors import ConfigError, Diagnostic, FixtureError
from engine.files import is_file
from engine.mapping.transpile.kind_parts import kind_of_type
from engine.mapping.transpile.own_types import own_kind
from engine.testing.fixtures import read_fixture_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.files import WorkspaceFiles

FILE_NAME = "types.toml"

CAPTURED = "captured"
"""The key beside the tables for when the fixtures were captured."""

DATABASE_TIME = "database_time"
"""The key beside the tables for what the database's own clock showed then."""

SESSION_SETTINGS = "session_settings"
"""The key beside the tables for the settings of its session with which a view means something else."""

LC_CTYPE = "lc_ctype"
"""The key beside the tables for the locale that says which letters have a case, where that is C."""

INCOMPLETE = "incomplete"
"""The key beside the tables for that a capture has begun to write the files, and has not ended."""

Form = Literal["text", "number", "moment", "json", "other"]

_TYPE = re.compile(
    r"(?P<name>[\w ]*?\w)\s*(?:\(\s*(?P<sizes>max|\d+\s*(?:,\s*\d+\s*)?)\s*\))?(?P<more>[\w ]*?)"
    r"(?:\s+collate\s+(?P<collation>[\w.-]+))?(?P<required>\s+not\s+null)?",
    re.IGNORECASE,
)

_PADDED = frozenset({"char", "character", "nchar", "national character", "bpchar"})
_TEXTS = _PADDED | {
    *(
        "varchar",
        "character varying",
        "varchar2",
        "nvarchar",
        "nvarchar2",
        "text",
        "tinytext",
        "mediumtext",
        "longtext",
    ),
    *("clob", "nclob", "ntext", "citext", "enum", "set", "uuid", "uniqueidentifier", "name", "sysname", "shorttext"),
}
_FIXED_VALUES = frozenset({"enum", "set", "uuid", "uniqueidentifier"})
_INTEGERS = {
    **dict.fromkeys(("int", "integer", "int4", "mediumint", "serial", "smallint", "int2", "tinyint"), "integer"),
    **dict.fromkeys(("bigint", "int8", "bigserial"), "bigint"),
}
_DOUBLES = frozenset(
    {"double", "double precision", "float", "float4", "float8", "real", "binary_float", "binary_double"}
)
_SINGLES = {"postgres": ("real", "float4"), "tsql": ("real",), "mysql": ("float",)}
"""Numbers of single precision, which databases calculate with as what they are: 6.1 is 6.0999999."""

_DECIMALS = frozenset({"decimal", "numeric", "number", "dec"})
_MONEY = {"money": 4, "smallmoney": 4}
_MOMENTS = {
    "date": "date",
    **dict.fromkeys(
        ("datetime", "datetime2", "smalldatetime", "timestamp", "timestamp without time zone", "seconddate"),
        "timestamp",
    ),
}
_PADDING_REMOVED = frozenset({"postgres", "mysql", "redshift"})
"""Dialects that give a CHAR without the blanks at its end, or ignore them everywhere but in LIKE."""

_PADDING_KEPT = frozenset({"tsql", "oracle", "firebird", "hana", "pervasive", "db2"})
"""Dialects whose CHAR(n) always has n letters."""

_MAX_DIGITS = 38
_USUAL_DIGITS = 18
"""Digits of a decimal: DuckDB's widest, and those of which two can be multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """A column's type: its name in lower case, its length or digits, its collation, and whether it may be NULL.

    ``unsigned`` is a number of MySQL's that is not below 0.
    """

    name: str
    sizes: tuple[int, ...] = ()
    collation: str = ""
    nullable: bool = True
    unsigned: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether it is a text of a fixed length."""
        return self.name in _PADDED


def parse_type(text: str) -> ColumnType | None:
    """Return a type as ``types.toml`` writes it; None where it is not written like one.

    >>> parse_type("numeric(12,4) not null")
    ColumnType(name='numeric', sizes=(12, 4), collation='', nullable=False, unsigned=False)
    """
    found = _TYPE.fullmatch(text.strip())
    if found is None:
        return None
    sizes = found["sizes"] or ""
    return ColumnType(
        name=re.sub(r"\s+", " ", found["name"] + (found["more"] or "").replace("unsigned", "").rstrip()).lower(),
        sizes=() if sizes.lower() == "max" else tuple(int(size) for size in sizes.split(",") if size),
        collation=found["collation"] or "",
        nullable=found["required"] is None,
        unsigned="unsigned" in text.lower(),
    )


def read_column_types(folder: Path, files: WorkspaceFiles) -> dict[str, dict[str, ColumnType]]:
    """Return the types that ``types.toml`` in a folder says, by table and column in lower case.

    Raises :class:`FixtureError` with line and column where it is wrong.
    """
    path = folder / FILE_NAME
    if not is_file(path):
        return {}
    text = read_fixture_text(path, files)
    try:
        document = parse_toml(text, path=path)
    except ConfigError as error:
        raise FixtureError(error.diagnostics) from None
    if document.get(INCOMPLETE) is True:
        message = "The capture of these fixtures was interrupted: their tables may not fit together."
        hint = "Capture them again with `s2s fixtures capture --replace`, or take the old ones back from git."
        raise FixtureError([Diagnostic(path=path, message=message, hint=hint)])
    found: dict[str, dict[str, ColumnType]] = {}
    for table, columns in document.items():
        for column, written in columns.items() if isinstance(columns, dict) else ():
            kind = parse_type(written) if isinstance(written, str) else None
            if kind is None:
                line = next((at for at, row in enumerate(text.splitlines(), 1) if row.strip().startswith(column)), None)
                message = f"The type of {table}.{column} is not understood."
                raise FixtureError([Diagnostic(path=path, line=line, message=message, hint=_HINT)])
            found.setdefault(table.lower(), {})[column.lower()] = kind
    return found


_HINT = 'Write a table for each fixture: [item], and a line for each column: code = "varchar(12) not null".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What is known of the moment at which fixtures were captured, beside the types of their columns.

    ``moment`` is in UTC, ``database_time`` what the database's own clock showed, which a view compares with; both
    without a zone, and None where nobody has said them. ``settings`` are those of the session with which a view means
    something else than in a rehearsal, as :func:`engine.testing.session_settings.read_unusual_settings` has them.
    With ``ascii_case`` only the letters from a to z have a case in the database.
    """

    moment: datetime | None = None
    database_time: datetime | None = None
    settings: tuple[str, ...] = ()
    ascii_case: bool = False


def read_capture(folder: Path, files: WorkspaceFiles) -> Capture:
    """Return what ``types.toml`` says of the capture of the fixtures.

    ``database_time`` is the same as ``moment`` where it is not told. Raises :class:`FixtureError` where the file cannot
    be read.
    """
    path = folder / FILE_NAME
    if not is_file(path):
        return Capture()
    try:
        said = parse_toml(read_fixture_text(path, files), path=path)
    except ConfigError as error:
        raise FixtureError(error.diagnostics) from None
    # A table of one of these names is a fixture's.
    times = {key: value for key in (CAPTURED, DATABASE_TIME) if isinstance(value := said.get(key), datetime)}
    moment = times[CAPTURED].replace(tzinfo=None) if CAPTURED in times else None
    shown = times[DATABASE_TIME].replace(tzinfo=None) if DATABASE_TIME in times else moment
    settings = said.get(SESSION_SETTINGS)
    return Capture(
        moment=moment,
        database_time=shown,
        settings=tuple(map(str, settings)) if isinstance(settings, list) else (),
        ascii_case=said.get(LC_CTYPE) == "C",
    )


def write_column_types(tables: Mapping[str, Mapping[str, str]], *, capture: Capture, incomplete: bool = False) -> str:
    """Return the text of ``types.toml`` with the types, as written, of columns by table.

    ``incomplete`` says that the tables' files are yet to be written.
    """
    said: dict[str, str] = {}
    if capture.moment is not None:
        said[CAPTURED] = f"{capture.moment:%Y-%m-%dT%H:%M:%S}"
    if capture.database_time not in {None, capture.moment}:
        said[DATABASE_TIME] = f"{capture.database_time:%Y-%m-%dT%H:%M:%S}"
    if capture.settings:
        said[SESSION_SETTINGS] = f"[{', '.join(map(_quoted, capture.settings))}]"
    if capture.ascii_case:
        said[LC_CTYPE] = _quoted("C")
    if incomplete:
        said[INCOMPLETE] = "true"
    parts = ["# The types of the source's columns, as its catalogue has them. Made by `s2s fixtures capture`.\n"]
    # TOML would not tell a key from a table of its name.
    parts += [f"{key} = {value}\n" for key, value in said.items() if key not in tables]
    for table, columns in sorted(tables.items()):
        if columns:
            parts.append(f"\n[{_key(table)}]\n")
            parts += [f"{_key(column)} = {_quoted(kind)}\n" for column, kind in columns.items()]
    return "".join(parts)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def duckdb_type(kind: ColumnType, values: Iterable[str | None], dialect: str) -> str | None:
    """Return the type of DuckDB's that keeps a column's values; None where that is to be inferred from them."""
    if kind.name in _TEXTS:
        return "varchar"
    if kind.name in _INTEGERS or _is_own_integer(kind, dialect):
        unsigned = {"bigint": "hugeint"}.get(kind.name, "bigint") if kind.unsigned else ""
        return unsigned or _INTEGERS.get(kind.name, "bigint")
    if kind.name in _DOUBLES:
        return "double"
    if kind.name in _MOMENTS:
        return _moment_type(_MOMENTS[kind.name], list(values), dialect)
    if kind.name in {"boolean", "bool"} and dialect in {"postgres", "duckdb"}:
        return "boolean"
    if kind.name in {"json", "jsonb"} and dialect in {"postgres", "duckdb"}:
        return "json"
    if kind.name in _MONEY:
        return f"decimal(19, {2 if dialect == 'postgres' else _MONEY[kind.name]})"  # there as many as its locale has
    if kind.name in _DECIMALS:
        scale = kind.sizes[1] if len(kind.sizes) > 1 else 0 if kind.sizes else None
        if scale is None or dialect == "sqlite":  # SQLite keeps all decimals, whatever the type says
            written = [value.strip().lstrip("-") for value in values if value]
            scale = max((len(value.partition(".")[2]) for value in written), default=scale or 0)
            whole = max((len(value.partition(".")[0]) for value in written), default=1)
        else:
            whole = kind.sizes[0] - scale
        digits = max(whole + scale, 1)
        return f"decimal({_USUAL_DIGITS if digits <= _USUAL_DIGITS else _MAX_DIGITS}, {min(scale, 18)})"
    return None


def _is_own_integer(kind: ColumnType, dialect: str) -> bool:
    """Whether it is a whole number that MySQL writes or compares in its own way."""
    return dialect == "mysql" and (kind.name in {"year", "bit"} or kind.name.endswith(" zerofill"))


def _moment_type(kind: str, values: Sequence[str | None], dialect: str) -> str | None:
    """The type for dates or times: Oracle's DATE has a time of the day, and a column of SQLite holds any value."""
    if dialect == "sqlite":
        return None
    if dialect == "mysql" and has_zero_dates(values):
        return "varchar"
    days_alone = dialect != "oracle" and all(value is None or len(value) <= len("2024-01-31") for value in values)
    return kind if days_alone else "timestamp"


def has_zero_dates(values: Iterable[str | None]) -> bool:
    """Whether values are dates or times, and some of them dates that only MySQL has, such as 0000-00-00."""
    known = [value for value in values if value is not None]
    dates = all(re.fullmatch(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", value) for value in known)
    return dates and any(re.search("^0000|-00", value[:10]) for value in known)


def value_form(kind: ColumnType) -> Form:
    """What the values of a column are written as, which decides what another value of it may be."""
    if kind.name in {"json", "jsonb"}:
        return "json"
    if kind.name in _MOMENTS or kind.name.startswith(("timestamp", "datetimeoffset", "time")):
        return "moment"
    if kind.name in _INTEGERS or kind.name in _DOUBLES or kind.name in _DECIMALS or kind.name in _MONEY:
        return "number"
    return "text" if kind.name in _TEXTS - _FIXED_VALUES or "char" in kind.name or "text" in kind.name else "other"


def stored_value(value: str | None, kind: ColumnType, dialect: str) -> str | None:
    """Return a value as the database gives it: a CHAR with its padding, or without where that counts nowhere."""
    if value is None or not kind.is_padded:
        return value
    if dialect in _PADDING_REMOVED:
        return value.rstrip(" ")
    return value.ljust(kind.sizes[0]) if dialect in _PADDING_KEPT and kind.sizes else value


def kind_of_column(kind: ColumnType, duckdb: str, dialect: str) -> str:
    """Return what :mod:`engine.mapping.transpile.kinds` calls a column: for a text, how it is compared as well."""
    found = kind_of_type(duckdb)
    own = own_kind(kind.name, dialect, known=kind.name in _TEXTS or found != "text")
    if own:
        return own
    if kind.name in _MOMENTS and found == "text":
        return f"{'zerodate' if kind.name == 'date' else 'zerotime'}/{'known' if kind.nullable else 'required'}"
    if _is_own_integer(kind, dialect):
        return kind.name.rpartition(" ")[2]
    if found == "text":
        folding = "-".join(_foldings(kind, dialect))
        name = "listed" if kind.name in {"enum", "set"} else "text"
        return f"{name}/{folding}" if folding else name
    if found == "double" and kind.name in _SINGLES.get(dialect, ()):
        return "single"
    if found == "integer" and kind.unsigned:
        return "integer/unsigned"
    if dialect == "mysql" and found == "timestamp" and any(kind.sizes):
        return "timestamp/fraction"
    without_scale = kind.name in _DECIMALS and not kind.sizes and dialect != "sqlite"
    return "numeric" if without_scale and found.startswith("decimal") else found


def _foldings(kind: ColumnType, dialect: str) -> Iterable[str]:
    """Yield in what texts may differ and be equal: ``ci`` case, ``ai`` accents, ``pad`` blanks at the end."""
    name = kind.collation.lower()
    if dialect == "postgres":
        if kind.name == "citext":
            yield "ci"
        if kind.is_padded:
            yield "padded"
    elif dialect == "sqlite":
        if name == "nocase":
            yield "ascii"
        if name == "rtrim":
            yield "pad"
    elif dialect in {"mysql", "tsql"} and name:
        if re.search("_ci(_|$)", name):
            yield "ci"
            if (dialect == "mysql" and "_as_" not in name) or re.search("_ai(_|$)", name):
                yield "ai"
        if dialect == "tsql" or not re.search("nopad|_0900_", name):
            yield "pad"
    if dialect in {"mysql", "tsql"} and name:
        yield "known"
