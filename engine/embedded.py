"""Open DuckDB and SQLite databases inside this process. No other module opens one.

A project's views, data tests and ``schema.sql`` run in these databases, and a project may come from a branch that
nobody has read yet. So whatever SQL runs in one sees that database alone:

- DuckDB reads and writes no file but the database itself and what is in its scratch folder, loads no extension that is
  not built in, sees no variable of Python's, and its configuration is locked but for a few harmless settings.
- SQLite attaches no other file, loads no extension and takes no pragma that writes or lifts a restriction.

Errors are those of ``duckdb`` and ``sqlite3``: the caller knows what the database is for.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

_CLOSED_CONFIG = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
}
"""Settings of DuckDB with which nothing outside of the database is looked for, from the first moment on."""

_HARMLESS_SETTINGS = (
    "TimeZone",
    "schema",
    "search_path",
    "default_null_order",
    "default_collation",
    "memory_limit",
    "threads",
    "disabled_optimizers",
    # DuckDB 1.5 sets it itself while it adds a column that may not be NULL.
    "current_transaction_invalidation_policy",
)
"""Settings of DuckDB that a project's ``session`` may change although the configuration is locked."""

_COMPUTING_FUNCTIONS = frozenset(
    {"unnest", "range", "generate_series", "repeat", "json_each", "json_tree", "regexp_split_to_table"}
)
"""Functions of DuckDB that give a table and read none."""

_settings_found: set[str] = set()

MAX_TEMP_SIZE = "8GB"
"""How much of the disk DuckDB may use for what does not fit into its memory."""

_READING_PRAGMAS = {
    *("collation_list", "compile_options", "data_version", "database_list", "foreign_key_check", "foreign_key_list"),
    *("freelist_count", "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "module_list"),
    *("page_count", "pragma_list", "quick_check", "table_info", "table_list", "table_xinfo"),
}
"""Pragmas of SQLite that only tell something, whatever their argument."""

_TELLING_PRAGMAS = {"application_id", "encoding", "page_size", "query_only", "schema_version", "user_version"}
"""Pragmas of SQLite that only tell something where they have no argument."""

_SESSION_PRAGMAS = {
    *("automatic_index", "busy_timeout", "cache_size", "case_sensitive_like", "foreign_keys", "mmap_size"),
    *("recursive_triggers", "temp_store", "threads"),
}
"""Pragmas of SQLite that concern the connection alone."""

_WRITING_PRAGMAS = {"defer_foreign_keys", "journal_mode", "synchronous", "wal_autocheckpoint"}
"""Further pragmas of SQLite, for a connection that writes."""


def connect_duckdb(
    database: Path | Literal[":memory:"],
    *,
    read_only: bool = False,
    scratch: Path | None = None,
    settings: Mapping[str, str] | None = None,
    changeable: Sequence[str] = (),
    keep_journal: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB database that can reach nothing but itself and the folder ``scratch``.

    In ``scratch`` further databases may be attached, and what does not fit into memory is kept there; DuckDB makes the
    folder when it first needs it. Without one there is a private folder, only for what does not fit into memory.
    ``settings`` are set before the configuration is locked; ``changeable`` ones may be set afterwards, too. With
    ``keep_journal`` closing leaves the database's journal as it is. A database that this process has open already keeps
    the settings that it has.
    """
    import duckdb

    in_memory = database == ":memory:"
    temp = scratch or (None if in_memory else _private_folder() / hashlib.sha256(str(database).encode()).hexdigest())
    config: dict[str, str | bool | int | float | list[str]] = {
        **_CLOSED_CONFIG,
        "temp_directory": str(temp or ""),
        **({"max_temp_directory_size": MAX_TEMP_SIZE} if temp and not scratch else {}),
    }
    connection = duckdb.connect(str(database), read_only=read_only, config=config)
    try:
        connection.execute("set timezone = 'UTC'")  # zoned timestamps would read differently on each machine
        (locked,) = connection.execute("select current_setting('lock_configuration')").fetchall()[0]
        if not locked:
            for name, value in (settings or {}).items():
                connection.execute(f"set {name} = {_text(value)}")
            if keep_journal:
                connection.execute("pragma disable_checkpoint_on_shutdown")
            # The folders first: they cannot be changed any more once the access is off.
            if scratch:
                connection.execute(f"set allowed_directories = [{_text(str(scratch))}]")
            connection.execute("set enable_external_access = false")
            known = _known_settings(connection)
            names = [_text(name) for name in (*_HARMLESS_SETTINGS, *changeable) if name.lower() in known]
            connection.execute(f"set allowed_configs = [{', '.join(names)}]")
            connection.execute("set lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _known_settings(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of all settings of this DuckDB, in lower case; asked for once in a process."""
    if not _settings_found:
        found = connection.execute("select name from duckdb_settings()").fetchall()
        _settings_found.update(name.lower() for (name,) in found)
    return _settings_found


def is_known_setting(name: str) -> bool:
    """Whether this DuckDB has a setting of that name, which is in lower case; known once a database was opened."""
    return name in _settings_found


def duckdb_version() -> str:
    """The version of the DuckDB that is installed, such as ``2.0.0``."""
    import duckdb

    return str(duckdb.__version__)


def parse_duckdb(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, str]]:
    """The statements in ``sql`` as DuckDB itself reads them: the kind of each, such as ``SELECT``, and its text.

    Whoever runs a statement of a project's must ask this first: another reading of where a text or a comment ends may
    not see that there is a second one. Raises ``duckdb.Error`` where DuckDB cannot read it.
    """
    return [(statement.type.name, statement.query) for statement in connection.extract_statements(sql)]


def parse_script(connection: duckdb.DuckDBPyConnection, script: str) -> Sequence[duckdb.Statement]:
    """The statements of a script of the engine's own, to be run by any connection of this process.

    They are kept, since parsing costs as much as running them over a few rows: by ``execute``, DuckDB 2 parses twice.
    Raises ``duckdb.Error`` where DuckDB cannot read the script.
    """
    parsed = _parsed_scripts.get(script)
    if parsed is None:
        if len(_parsed_scripts) >= MAX_PARSED_SCRIPTS:
            _parsed_scripts.clear()
        parsed = _parsed_scripts[script] = connection.extract_statements(script)
    return parsed


MAX_PARSED_SCRIPTS = 1_000
"""How many scripts stay parsed: those of some dozen projects, whose views have different columns."""

_parsed_scripts: dict[str, Sequence[duckdb.Statement]] = {}


def parse_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement | None:
    """The one statement in ``sql``, to be run; None where it is none that only reads, or more than one."""
    statements = connection.extract_statements(sql)
    return statements[0] if [statement.type.name for statement in statements] == ["SELECT"] else None


def is_one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether ``sql`` is one statement that only reads, as :func:`parse_select` says."""
    return parse_select(connection, sql) is not None


def find_foreign_relations(connection: duckdb.DuckDBPyConnection, sql: str, *, own: str) -> list[str]:
    """What a SELECT reads besides the table ``own`` and what it defines itself, by DuckDB's own reading of it.

    A name of its WITH counts as foreign, too, where the database has a table or a view of that name: which of the two
    is meant depends on where it stands. Functions that give tables count, but for :data:`_COMPUTING_FUNCTIONS`: many
    read the catalogue, or a table that is named by a text. Raises ``duckdb.Error`` where DuckDB cannot read the SELECT.
    """
    (text,) = connection.execute("select json_serialize_sql($1)", [sql]).fetchall()[0]
    there = "select lower(table_name) from duckdb_tables() union all select lower(view_name) from duckdb_views()"
    known = {name for (name,) in connection.execute(there).fetchall()}
    tables: dict[str, str] = {}
    others: dict[str, None] = {}
    defined: set[str] = set()
    remaining = [json.loads(text)]
    while remaining:
        node = remaining.pop()
        if isinstance(node, list):
            remaining += node
        elif isinstance(node, dict):
            remaining += node.values()
            kind = node.get("type")
            if kind == "BASE_TABLE":
                name = ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
                tables[name.lower()] = name
            elif kind == "TABLE_FUNCTION":
                function = str(node["function"].get("function_name"))
                others |= {} if function in _COMPUTING_FUNCTIONS else {f"{function}()": None}
            elif kind == "SHOW_REF":
                others["SHOW, DESCRIBE or SUMMARIZE"] = None
            defined |= {entry["key"].lower() for entry in (node.get("cte_map") or {}).get("map", [])}
    allowed = {own.lower()} | (defined - known)
    return [*(name for key, name in tables.items() if key not in allowed), *others]


def connect_sqlite(
    path: Path, *, mode: Literal["ro", "rw"], timeout: float, immutable: bool = False
) -> sqlite3.Connection:
    """Open a SQLite file that is there, outside of any transaction, so that its SQL reaches no other file.

    ``timeout`` is in seconds, for other programs' locks. Any thread may use the connection, one at a time. The text
    of what is refused is ``not authorized``. With ``immutable`` no lock is taken: for a file that nobody can change.
    """
    from urllib.parse import quote

    name = path.absolute().as_posix()  # of a drive C:/…, of a share of Windows //server/…, which is no host of a URI
    connection = sqlite3.connect(
        f"file://{'' if name.startswith('/') else '/'}{quote(name, safe='/:')}?mode={mode}&immutable={int(immutable)}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=timeout,
    )
    try:
        if mode == "ro":
            connection.execute("pragma query_only = on").close()
        connection.execute("select count(*) from sqlite_master").close()
        if sys.version_info >= (3, 11):
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        allowed = _SESSION_PRAGMAS | (_WRITING_PRAGMAS if mode == "rw" else set())

        def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
            if action == sqlite3.SQLITE_PRAGMA:
                pragma = (first or "").lower()
                telling = pragma in _READING_PRAGMAS or (pragma in _TELLING_PRAGMAS and second is None)
                return sqlite3.SQLITE_OK if telling or pragma in allowed else sqlite3.SQLITE_DENY
            # VACUUM, which can write to another file, attaches that one.
            outside = action in {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
            loads = action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in {"load_extension", "fts3_tokenizer"}
            return sqlite3.SQLITE_DENY if outside or loads else sqlite3.SQLITE_OK

        connection.set_authorizer(authorize)
    except BaseException:
        connection.close()
        raise
    return connection


def read_own_sqlite(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open a SQLite file of the engine's own for reading, as :func:`connect_sqlite` does.

    Even to read one with a journal SQLite makes files beside it. A disk that is read-only, or a backup, takes none: the
    file is read without them there, unless it has a journal that nobody can take in.
    """
    try:
        return connect_sqlite(path, mode="ro", timeout=timeout)
    except sqlite3.OperationalError:
        if os.access(path.parent, os.W_OK) or os.access(f"{path}-wal", os.F_OK):
            raise
        return connect_sqlite(path, mode="ro", timeout=timeout, immutable=True)


def connect_own_sqlite(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open or make a SQLite file of the engine's own, in which only the engine's own SQL runs.

    ``timeout`` is in seconds, for other processes' locks. Only the thread that opened it may use the connection.
    """
    return sqlite3.connect(str(path), isolation_level=None, timeout=timeout)


def find_syntax_error(sql: str, dialect: str) -> str:
    """What the parser of DuckDB or SQLite, as ``dialect`` says, finds wrong with ``sql``; empty where it reads it.

    Nothing is run, and no table is looked for. Other dialects have no parser here: it is empty for them.
    """
    if dialect == "duckdb":
        import duckdb

        with _parser_lock:
            try:
                parse_duckdb(_parser(), sql)
            except duckdb.ParserException as error:
                return str(error).partition("\n")[0].removeprefix("Parser Error: ")
    elif dialect == "sqlite":
        with closing(sqlite3.connect(":memory:")) as connection:
            try:
                connection.execute(f"explain {sql}")
            except sqlite3.Error as error:
                # Parsed before any name is looked up: https://www.sqlite.org/arch.html
                found = str(error)
                return found if _SQLITE_SYNTAX_ERROR.search(found) else ""
    return ""


_parser_lock = Lock()


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty database that only parses: to open one takes longer than to parse a view."""
    return connect_duckdb(":memory:")


_SQLITE_SYNTAX_ERROR = re.compile(r"syntax error$|^incomplete input$|^unrecognized token: ")


@cache
def _private_folder() -> Path:
    """A folder for this process alone, gone when it ends."""
    folder = tempfile.mkdtemp(prefix="s2s-duckdb-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
