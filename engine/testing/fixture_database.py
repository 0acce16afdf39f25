"""Load fixtures into a DuckDB file, each table with the types that are known of its columns."""

from __future__ import annotations

import re
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from engine.embedded import connect_duckdb, parse_duckdb
from engine.errors import Diagnostic, FixtureError, OutsideWorkspaceError
from engine.files import WorkspaceFiles, is_file
from engine.mapping.engine_sql import render_sql
from engine.mapping.transpile.kind_parts import kind_of_type
from engine.mapping.transpile.own_types import own_kind
from engine.quoting import blanked, ident
from engine.testing.column_types import (
    duckdb_type,
    has_zero_dates,
    kind_of_column,
    read_capture,
    read_column_types,
    stored_value,
)
from engine.testing.fixtures import csv_files, infer_type, read_fixture, read_fixture_text
from engine.testing.limits import MAX_SECONDS, MEMORY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

    from engine.testing.column_types import ColumnType
    from engine.testing.fixtures import Fixture

DEFAULT_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - as databases have it, without a zone
"""The current time for fixtures that have neither dates nor times."""

_CREATE_STATEMENT = re.compile(
    r"(?i)create\s+(or\s+replace\s+)?(table|type|view|macro|function)\b"
    r"(\s+if\s+not\s+exists\b|(?!\s+if\s+not\s+exists\b))\s+\w*(?!\w|\s*\.)"
)
"""A statement with its quoted names blanked out: it creates something, and no name stands before its own."""


@contextmanager
def create_fixture_database(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a new DuckDB file, to load fixtures into; others can read the file once this ends."""
    with closing(connect_duckdb(database, settings={"threads": "1", "memory_limit": MEMORY_LIMIT})) as connection:
        yield connection


def load_fixtures(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    *,
    schema: str,
    dialect: str = "duckdb",
    files: WorkspaceFiles | None = None,
) -> dict[str, dict[str, str]]:
    """Load the fixtures of the project in the folder ``root`` into a new ``schema``, whose name is a plain word.

    ``dialect`` is the one of the database that the types of ``types.toml`` are of. Gives for each table the kinds of
    its columns, by their names in lower case, as :mod:`engine.mapping.transpile.kinds` has them. A table of
    ``schema.sql`` without a CSV file is empty. Raises :class:`FixtureError` with all faults of all
    files, and :class:`OutsideWorkspaceError` for links that lead out of ``files``, which are those of ``root`` where
    none are given.
    """
    folder = root / "fixtures"
    files = files or WorkspaceFiles((root,))
    connection.execute(f"create schema {schema}; set schema = '{schema}'")
    faults: list[Diagnostic] = []
    declared = _create_tables(connection, folder / "schema.sql", faults, files=files)
    found: dict[str, Path] = {}
    kinds = {table: _declared_kinds(columns) for table, columns in declared.items()}
    types: Mapping[str, Mapping[str, ColumnType]] = {}
    try:
        types = read_column_types(folder, files)
    except (FixtureError, OutsideWorkspaceError) as error:
        faults += error.diagnostics
    for path in csv_files(files.list_paths(folder, "*")):
        try:
            fixture = read_fixture(path, files=files)
        except (FixtureError, OutsideWorkspaceError) as error:
            faults += error.diagnostics
            continue
        if fixture.table in found:
            other = found[fixture.table].name
            faults.append(
                Diagnostic(path=path, message=f"{other} is the table {fixture.table}, too.", hint="Keep one of them.")
            )
            continue
        found[fixture.table] = path
        fixture, known = _with_types(fixture, types.get(fixture.table, {}), dialect)
        kinds.setdefault(fixture.table, known)
        faults += _insert_rows(connection, fixture, declared.get(fixture.table), schema=schema)
    if faults:
        raise FixtureError(faults)
    if read_capture(folder, files).ascii_case:
        connection.execute(render_sql("letter_case.sql", schema=schema))
    return dict(sorted(kinds.items()))


def _declared_kinds(columns: Mapping[str, str]) -> dict[str, str]:
    return {column.lower(): kind_of_type(kind) for column, kind in columns.items()}


def _with_types(fixture: Fixture, types: Mapping[str, ColumnType], dialect: str) -> tuple[Fixture, dict[str, str]]:
    """A fixture with the types that ``types.toml`` says where its header says none, and the kinds of its columns.

    The kind of a number is unknown unless one of both says its type.
    """
    columns = [list(column) for column in zip(*fixture.rows, strict=True)] or [[] for _ in fixture.columns]
    given: list[str | None] = []
    kinds: dict[str, str] = {}
    for place, (column, header) in enumerate(zip(fixture.columns, fixture.types, strict=True)):
        known = types.get(column.lower())
        if known is not None and header is None:
            columns[place] = [stored_value(value, known, dialect) for value in columns[place]]
            header = duckdb_type(known, columns[place], dialect)  # noqa: PLW2901 - as if the header said it
            if header is None and own_kind(known.name, dialect, known=False):
                header = "varchar"  # noqa: PLW2901 - as above
        given.append(header)
        kind = kind_of_type(header or infer_type(value for value in columns[place] if value is not None))
        if known is not None and header is not None:
            kind = kind_of_column(known, header, dialect)
        elif kind == "text" and dialect == "mysql" and has_zero_dates(columns[place]):
            kind = "zerotime" if any(":" in (value or "") for value in columns[place]) else "zerodate"
        certain = {"text", "date", "timestamp", "zerodate", "zerotime"}
        kinds[column.lower()] = kind if header or kind in certain else ""
    rows = tuple(zip(*columns, strict=True)) if fixture.rows else ()
    return replace(fixture, types=tuple(given), rows=rows), kinds


def uncollated_texts(connection: duckdb.DuckDBPyConnection, kinds: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """The texts in those columns of the current schema of which no collation is known."""
    columns = [(table, column) for table, found in kinds.items() for column, kind in found.items() if kind == "text"]
    if not columns:
        return frozenset()
    selects = (
        f"select distinct {ident(column, 'duckdb')} as x from {ident(table, 'duckdb')}"  # noqa: S608 - names
        for table, column in columns
    )
    found = connection.execute(" union ".join(selects)).fetchall()
    return frozenset(text for (text,) in found if text is not None)


def freeze_time(
    connection: duckdb.DuckDBPyConnection, schemas: Mapping[str, datetime | None]
) -> Mapping[str, datetime]:
    """Fix the current time of each schema, so that every run gives the same; gives where each stands.

    It is the time that is given, when the fixtures were captured; else the newest time in the schema's fixtures.
    """
    columns = connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns()"
        " where not internal and regexp_matches(data_type, '^(DATE|TIMESTAMP)')"
    ).fetchall()
    newest = dict(connection.execute(render_sql("newest.sql", columns=columns)).fetchall()) if columns else {}
    moments = {schema: given or newest.get(schema, DEFAULT_TIME) for schema, given in schemas.items()}
    connection.execute("begin transaction")
    for schema, moment in moments.items():
        connection.execute(render_sql("clock.sql", schema=schema, moment=moment))
    connection.execute("commit")
    return moments


def _create_tables(
    connection: duckdb.DuckDBPyConnection, path: Path, faults: list[Diagnostic], *, files: WorkspaceFiles
) -> Mapping[str, Mapping[str, str]]:
    """Run ``schema.sql``; gives the columns of the tables that it creates, with their types."""
    import duckdb

    if not is_file(path):
        return {}
    text, position = read_fixture_text(path, files), 0
    try:
        for kind, statement in parse_duckdb(connection, text):
            position = max(position, text.find(statement, position))
            written = blanked(statement, "duckdb")
            code = written.lstrip()
            if kind != "CREATE" or not _CREATE_STATEMENT.match(code):
                faults.append(
                    Diagnostic(
                        path=path,
                        line=text.count("\n", 0, position + len(written) - len(code)) + 1,
                        message="schema.sql only creates tables, without a schema before their names.",
                        hint="The rows stand in <table>.csv beside it.",
                    )
                )
                return {}
        timer = threading.Timer(MAX_SECONDS, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            connection.execute(text)
        finally:
            timer.cancel()
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = current_schema() order by ordinal_position"
        ).fetchall()
    except duckdb.Error as error:
        place = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        faults.append(
            Diagnostic(
                path=path,
                line=int(place[1]) if place else None,
                message=f"DuckDB refuses it: {_database_message(error)}",
                hint="Write CREATE TABLE statements in DuckDB's types.",
            )
        )
        return {}
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in columns:
        tables.setdefault(str(table).lower(), {})[str(column)] = str(kind)
    return tables


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, fixture: Fixture, declared: Mapping[str, str] | None, *, schema: str
) -> list[Diagnostic]:
    """Insert a fixture's rows into its table, which is created unless it is ``declared``; gives the faults."""
    import duckdb

    if declared is None:
        types = dict(zip(fixture.columns, fixture.inferred, strict=True))
    else:
        known = {column.lower(): kind for column, kind in declared.items()}
        unknown = [column for column in fixture.columns if column.lower() not in known]
        if unknown:
            return [
                Diagnostic(
                    path=fixture.path,
                    line=1,
                    message=f"schema.sql has no column {unknown[0]} in {fixture.table}.",
                    hint=f"It has: {', '.join(declared)}.",
                )
            ]
        types = {column: known[column.lower()] for column in fixture.columns}
    lost = _find_lost_digits(fixture, types)
    if lost is not None:
        return [lost]
    target = f"{schema}.{ident(fixture.table, 'duckdb')}"
    names = ", ".join(ident(column, "duckdb") for column in fixture.columns)
    connection.execute("begin transaction")  # one write to the disk for each table
    try:
        if declared is None:
            columns = ", ".join(f"{ident(column, 'duckdb')} {kind}" for column, kind in types.items())
            connection.execute(f"create table {target} ({columns})")
        if fixture.rows:
            # One list for each column takes a quarter of the time that one parameter for each value takes.
            columns = ", ".join(["unnest(?::varchar[])"] * len(fixture.columns))
            values = [list(column) for column in zip(*fixture.rows, strict=True)]
            connection.execute(f"insert into {target} ({names}) select {columns}", values)
        connection.execute("commit")
    except duckdb.Error as error:
        connection.execute("rollback")
        return [_find_bad_value(connection, fixture, types, error)]
    return []


def _find_lost_digits(fixture: Fixture, types: Mapping[str, str]) -> Diagnostic | None:
    """Find a value with more decimals than its column keeps: DuckDB would round it without an error."""
    for place, (column, kind) in enumerate(types.items()):
        found = re.fullmatch(r"(?i)(?:decimal|numeric)\(\s*\d+\s*,\s*(\d+)\s*\)", kind)
        for line, row in zip(fixture.lines, fixture.rows, strict=True) if found else ():
            decimals = (row[place] or "").strip().partition(".")[2].rstrip("0")
            if found and decimals.isdigit() and len(decimals) > int(found[1]):
                return Diagnostic(
                    path=fixture.path,
                    line=line,
                    message=f"The value of {column} has more decimals than {kind} keeps.",
                    hint="Fix the value, or the type in the header, in types.toml or in schema.sql.",
                )
    return None


def _find_bad_value(
    connection: duckdb.DuckDBPyConnection, fixture: Fixture, types: Mapping[str, str], error: Exception
) -> Diagnostic:
    """Find the value that does not fit its column. The message does not show it: it may be personal."""
    import duckdb

    for line, row in zip(fixture.lines, fixture.rows, strict=True):
        for (column, kind), value in zip(types.items(), row, strict=True):
            try:
                connection.execute(f"select cast(? as {kind})", [value])
            except duckdb.Error:
                return Diagnostic(
                    path=fixture.path,
                    line=line,
                    message=f"The value of {column} is no {kind}.",
                    hint="Fix the value, or the type in the header or in schema.sql.",
                )
    return Diagnostic(
        path=fixture.path,
        line=1,
        message=f"DuckDB refuses the table: {_database_message(error)}",
        hint="Types in the header are DuckDB's: text, bigint, decimal(18,4), date, timestamp, boolean, double.",
    )


def _database_message(error: Exception) -> str:
    return re.sub(r"^[\w ]+ Error: ", "", str(error).strip().splitlines()[0])
