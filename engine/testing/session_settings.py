"""What the settings of a source's session mean for a rehearsal: followed, without effect, refused, or said.

The same view gives other rows where the session reads it otherwise: in MySQL ``"x"`` is a column with ``ANSI_QUOTES``,
and a division has other decimals with ``div_precision_increment``. A rehearsal knows one meaning of each construct,
which is that of the database's usual settings. So it looks at both places where others come from:

- the statements of ``session`` under ``[source]``, which :func:`read_statements` sorts;
- the server's own configuration and the login's, which :func:`read_unusual_settings` asks for when fixtures are
  captured, and which ``types.toml`` keeps.

The settings and what they change stand in the manuals: MySQL 8.4 reference manual, "Server SQL Modes" and "Server
System Variables"; MariaDB, "SQL_MODE"; PostgreSQL 17, chapter 19.11 "Client Connection Defaults" and 19.13 "Version and
Platform Compatibility"; SQLite, "Pragma statements"; SQL Server, "SET Statements (Transact-SQL)"; Oracle 19c Database
Reference, "NLS parameters". Those of SQL Server and Oracle were not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import QueryError
from engine.quoting import regions
from engine.testing.catalogue_types import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.database.connection import Connection

_MODES = (
    *("ANSI", "ANSI_QUOTES", "DB2", "EMPTY_STRING_IS_NULL", "HIGH_NOT_PRECEDENCE", "MAXDB", "MSSQL"),
    *("NO_BACKSLASH_ESCAPES", "NO_UNSIGNED_SUBTRACTION", "ORACLE", "PAD_CHAR_TO_FULL_LENGTH", "PIPES_AS_CONCAT"),
    *("POSTGRESQL", "REAL_AS_FLOAT"),
)
"""The SQL modes of MySQL's and MariaDB's with which a SELECT means something else."""

_OFF, _ON = "0|off|false|no", "1|on|true|yes"

_UNUSUAL: Mapping[str, Mapping[str, str]] = {
    "mysql": {
        "sql_mode": rf"(?!.*\b({'|'.join(_MODES)})\b).*",
        "div_precision_increment": "4|default",
        "lc_time_names": "en_us|default",
        "sql_select_limit": r"default|\d{19,}",
        "sql_auto_is_null": _OFF,
    },
    "postgres": {
        "datestyle": "iso.*|default",
        "intervalstyle": "postgres|default",
        "standard_conforming_strings": f"{_ON}|default",
        "transform_null_equals": f"{_OFF}|default",
        "extra_float_digits": "[123]|default",
    },
    "sqlite": {"case_sensitive_like": _OFF},
    "tsql": {
        **dict.fromkeys(("ansi_nulls", "quoted_identifier", "concat_null_yields_null", "ansi_warnings"), "on"),
        "ansi_defaults": "on",
        **dict.fromkeys(("arithignore", "numeric_roundabort"), "off"),
        "dateformat": "mdy|ymd",
        "language": "us_english|english",
        "rowcount": "0",
        "textsize": "-1|2147483647",
    },
    # Oracle's formats of dates decide only where a date becomes a text without one, which is refused as it is.
    "oracle": dict.fromkeys(("nls_comp", "nls_sort"), "binary"),
}
"""The settings with which a view means something else, and the values, in lower case, with which it does not."""

_WITHOUT_EFFECT: Mapping[str, str] = {
    "mysql": "autocommit|(tx|transaction)_(isolation|read_only)|time_zone|group_concat_max_len|max_allowed_packet"
    "|max_(execution|statement)_time|max_heap_table_size|sql_(big_selects|safe_updates|log_bin)|long_query_time"
    r"|\w*_timeout|\w*_(buffer|table)_size|foreign_key_checks|unique_checks|optimizer_switch|character_set_results",
    "postgres": r"application_name|bytea_output|client_(encoding|min_messages)|\w*_timeout|timezone|role|row_security"
    r"|(default_)?transaction_\w+|search_path|work_mem|temp_buffers|maintenance_work_mem|synchronous_commit"
    r"|enable_\w+|jit\w*|geqo\w*|cpu_\w+|\w*_cost|effective_\w+|max_parallel_\w+|\w+_collapse_limit",
    "sqlite": "automatic_index|busy_timeout|cache_size|foreign_keys|mmap_size|recursive_triggers|temp_store|threads"
    "|query_only|read_uncommitted|journal_mode|synchronous",
    "tsql": "nocount|transaction|xact_abort|arithabort|lock_timeout|deadlock_priority|datefirst|ansi_padding"
    "|implicit_transactions|ansi_null_dflt_(on|off)|query_governor_cost_limit|context_info|cursor_close_on_commit|statistics",
    "oracle": r"nls_(date|timestamp|timestamp_tz)_format|current_schema|time_zone|isolation_level|optimizer_\w+"
    r"|cursor_sharing|parallel\w*",
    "duckdb": "schema|search_path|threads|memory_limit|disabled_optimizers",
}
"""The settings that change no row of a view, or only what is captured with the fixtures, as the zone of its times."""

_WITHOUT_EFFECT_WHOLE: Mapping[str, str] = {
    "mysql": r"use\s+\S+|set\s+names\s+[\w']+|set\s+(session\s+|local\s+)?transaction\b.*",
    "postgres": r"set\s+(session\s+|local\s+)?(time\s+zone|role|schema|names|transaction|characteristics)\b.*"
    r"|set\s+session\s+characteristics\b.*",
    "tsql": r"use\s+\S+|set\s+transaction\s+isolation\s+level\b.*",
}
"""Statements without effect that do not have the form of a setting and its value."""

_FOLLOWED = {"duckdb": "default_null_order|null_order|default_collation|timezone"}
"""The settings that a rehearsal sets as well, because it runs in the same database."""

_ASSIGNED = re.compile(r"([a-z_][\w.]*)\s*(?::?=|\bto\b)\s*('[^']*'|\"[^\"]*\"|\([^()]*\)|[^\s,;]+)")
_PRAGMA = re.compile(r"\bpragma\s+(?:\w+\.)?(\w+)\s*(?:=\s*|\(\s*)['\"]?([\w-]+)")
_CONFIG = re.compile(r"\bset_config\s*\(\s*'(\w+)'\s*,\s*'([^']*)'")
_SWITCH = re.compile(r"\bset\s+((?:\w+\s*,\s*)*\w+)\s+([\w-]+|'[^']*')")
"""How databases write a setting and its value: with a sign between them, as a pragma, a function, or side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatements:
    """What the statements of a session are to a rehearsal, by their numbers from 1.

    ``unusual`` have the name of a setting with which a view means something else. Of ``unknown`` it is not known.
    ``followed`` are those that a rehearsal runs as well.
    """

    unusual: tuple[tuple[int, str], ...]
    unknown: tuple[int, ...]
    followed: tuple[str, ...]


def read_statements(session: Sequence[str], dialect: str) -> SessionStatements:
    """Sort the statements of a session by what they are to a rehearsal of a view in ``dialect``."""
    unusual: list[tuple[int, str]] = []
    unknown: list[int] = []
    followed: list[str] = []
    for number, statement in enumerate(session, start=1):
        text = " ".join(_without_comments(statement, dialect).lower().split()).rstrip("; ")
        found = list(_settings(text, dialect))
        names = [name for name, _ in found]
        unusual += [(number, name) for name, value in found if not _is_usual(name, value, text, dialect)]
        if names and all(re.fullmatch(_FOLLOWED.get(dialect, "(?!)"), name) for name in names):
            followed.append(statement)
        elif not _is_known(text, names, dialect):
            unknown.append(number)
    return SessionStatements(unusual=tuple(unusual), unknown=tuple(unknown), followed=tuple(followed))


def _without_comments(statement: str, dialect: str) -> str:
    kept, at = [], 0
    for region in regions(statement, dialect):
        if region.kind == "comment":
            kept.append(statement[at : region.start])
            at = region.end
    return " ".join([*kept, statement[at:]])


def _settings(text: str, dialect: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values that a statement sets."""
    if dialect in {"sqlite", "duckdb"}:
        yield from _PRAGMA.findall(text)
    if dialect == "postgres":
        yield from _CONFIG.findall(text)
    if dialect == "tsql":
        for names, value in _SWITCH.findall(text):
            yield from ((name.strip(), value.strip("'")) for name in names.split(","))
        return
    if re.match(r"(set|alter session)\b", text):
        for name, value in _ASSIGNED.findall(text):
            yield name.rpartition(".")[2], value.strip("'\"")


def _is_usual(name: str, value: str, statement: str, dialect: str) -> bool:
    """Whether a view means the same with this value; of a value that is calculated, whether nothing in it says not."""
    usual = _UNUSUAL.get(dialect, {}).get(name)
    if usual is None:
        return True
    return re.fullmatch(usual, statement if name == "sql_mode" else value, re.IGNORECASE | re.DOTALL) is not None


def _is_known(text: str, names: Sequence[str], dialect: str) -> bool:
    if re.fullmatch(_WITHOUT_EFFECT_WHOLE.get(dialect, "(?!)"), text):
        return True
    known = f"{_WITHOUT_EFFECT.get(dialect, '(?!)')}|{'|'.join(_UNUSUAL.get(dialect, ()))}"
    return bool(names) and all(re.fullmatch(known, name) for name in names)


def read_unusual_settings(connection: Connection, dialect: str) -> tuple[str, ...]:
    """Return the settings of an open session with which a view means something else, as ``sql_mode: ANSI_QUOTES``.

    None where the database has no such settings or does not tell them.
    """
    asked = {"mysql": "@@{}", "postgres": "current_setting('{}')"}.get(dialect)
    if asked is None:
        return ()
    names = list(_UNUSUAL[dialect])
    values = _first_row(connection, f"select {', '.join(asked.format(name) for name in names)}")
    found = []
    for name, value in zip(names, values, strict=False):
        if not _is_usual(name, str(value).lower(), str(value), dialect):
            shown = re.findall(rf"\b({'|'.join(_MODES)})\b", str(value)) if name == "sql_mode" else [str(value)]
            found.append(f"{name}: {', '.join(shown)}")
    return tuple(found)


_LETTERS_OF = """
    select coalesce(
        case described ->> 'datlocprovider' when 'i' then '' when 'b' then described ->> 'datlocale' end, datctype)
    from (select datctype, to_jsonb(d) as described from pg_database as d where datname = current_database()) as named
"""
"""What decides in a database of PostgreSQL's which letters have a case; older versions know of fewer providers."""


def has_ascii_case(connection: Connection, dialect: str) -> bool:
    """Return whether only the letters from a to z have a case in the database, as in PostgreSQL's of the locale C.

    False where the database does not tell it.
    """
    return dialect == "postgres" and _first_row(connection, _LETTERS_OF)[:1] in {("C",), ("POSIX",)}


_CLOCKS = {
    "mysql": "select now()",
    "postgres": "select localtimestamp",
    "sqlite": "select datetime('now')",
    "tsql": "select cast(getdate() as datetime2(0))",
    "oracle": "select sysdate from dual",
    "hana": "select current_timestamp from dummy",
}


def read_clock(connection: Connection, dialect: str) -> datetime | None:
    """Return the time that the session's own clock shows, without a zone and a second's parts.

    A view compares its dates with that time, and not with this machine's. None where the database does not tell it.
    """
    asked = _CLOCKS.get(dialect)
    for value in _first_row(connection, asked) if asked else ():
        try:
            return datetime.fromisoformat(str(value)).replace(microsecond=0, tzinfo=None)
        except ValueError:
            return None
    return None


def _first_row(connection: Connection, sql: str) -> tuple[object, ...]:
    """Return the first row of a SELECT; empty where the database refuses it."""
    try:
        return next(read_rows(connection, sql), ())
    except QueryError:
        return ()
