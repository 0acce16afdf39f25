"""Read fixtures: the tables of a client's database as a few dozen rows in CSV files, to run views on offline.

``fixtures/<table>.csv`` is UTF-8 with a header. An empty field is NULL, a quoted empty one (``""``) is blank text, and
blanks around a value are part of it. Files that Excel has saved with semicolons or tabs are read too, and there with
decimal commas. The type of a column is the first of:

1. what ``fixtures/schema.sql`` creates the table with,
2. what the header says (``code:text,qty:decimal(12,2)``),
3. the narrowest type that all its values fit (:func:`infer_type`).

The inference is the engine's own, so that no release of DuckDB reads the same file in another way, and it is
conservative: a value with a leading zero, a padded one or a stray word makes the column text, so that codes stay as
they are.

:mod:`engine.testing.capture` makes such files from a live source.
"""

from __future__ import annotations

import re
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from engine.embedded import connect_duckdb, parse_duckdb
from engine.errors import Diagnostic, FixtureError, OutsideWorkspaceError
from engine.files import WorkspaceFiles, is_file, list_paths
from engine.mapping.engine_sql import render_sql
from engine.quoting import blanked, ident
from engine.testing.limits import MAX_SECONDS, MEMORY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

TEXT = "varchar"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_FIELDS = {
    delimiter: re.compile(
        rf'(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^{delimiter}"\r\n]*))(?P<end>{delimiter}|\r?\n|\r|\Z)'
    )
    for delimiter in _DELIMITERS
}
_DECIMAL_COMMA = re.compile(r"-?\d+(,\d+)?", re.ASCII)
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?")
_INTEGER = re.compile(r"(?!-0)-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"(?!-[0.]+\Z)-?(?P<whole>0|[1-9]\d*)(?:\.(?P<places>\d+))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(_DATE.pattern + r" ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII)
_CREATE_STATEMENT = re.compile(r"(?i)create\s+(or\s+replace\s+)?(table|type|view|macro)\b")
_BOOLEAN = re.compile("true|false")
_WINDOWS_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
_DECIMAL_DIGITS = 18
"""The precision of an inferred decimal. DuckDB's widest, 38, overflows as soon as two are multiplied."""

DEFAULT_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - as databases have it, without a zone
"""The current time for fixtures that have neither dates nor times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """One CSV file. ``types`` are those of its header, None where it has none; ``lines`` where each row begins."""

    path: Path
    columns: tuple[str, ...]
    types: tuple[str | None, ...]
    rows: tuple[tuple[str | None, ...], ...]
    lines: tuple[int, ...]

    @property
    def table(self) -> str:
        """The table's name in lower case: the last part of the file's name, without a schema; ``%2F`` stands for /."""
        return unquote(self.path.stem.rpartition(".")[2]).lower()

    @property
    def inferred(self) -> tuple[str, ...]:
        """The DuckDB type of each column: the header's, or the one that all values fit."""
        values = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(
            given or infer_type(value for value in column if value is not None)
            for given, column in zip(self.types, values, strict=True)
        )


def read_fixture(path: Path, *, files: WorkspaceFiles | None = None) -> Fixture:
    """Read one CSV file, through ``files`` where it may be a link.

    Raises :class:`FixtureError` with file and line where it is not well formed.
    """
    text = _read_text(path, files or WorkspaceFiles((path.parent,)))
    delimiter, begin = _find_delimiter(text)
    records = list(_parse_records(path, text, delimiter, begin))
    if not records or records[0][1] == ((None, False),):
        raise _fixture_error(path, 1, "The file has no header.", "The first line names the columns: code,descr,qty")
    _, header = records[0]
    named = [_split_heading(cell or "") for cell, _ in _join_types(header)]
    columns = tuple(name for name, _ in named)
    for name in columns:
        if not name:
            raise _fixture_error(
                path, 1, "A column of the header has no name.", "Name every column, as the table does."
            )
        if [other.lower() for other in columns].count(name.lower()) > 1:
            raise _fixture_error(path, 1, f"The header names {name} twice.", "Keep one of them.")
    rows, lines = [], []
    for line, record in records[1:]:
        if record == ((None, False),) and len(columns) > 1:
            continue
        if len(record) != len(columns):
            raise _fixture_error(
                path,
                line,
                f"The row has {len(record)} fields, the header {len(columns)}.",
                f"A {_DELIMITERS[delimiter]} within a value needs double quotes around the value.",
            )
        rows.append(tuple(value if value or quoted else None for value, quoted in record))
        lines.append(line)
    if delimiter != ",":
        rows = _with_decimal_points(rows)
    types = tuple(kind for _, kind in named)
    return Fixture(path=path, columns=columns, types=types, rows=tuple(rows), lines=tuple(lines))


def fixture_file_name(table: str) -> str:
    """The name of a table's CSV file. What a file's name may not hold on every system is percent-encoded.

    >>> fixture_file_name("dbo.Item"), fixture_file_name("/BIC/AITEM")
    ('item.csv', '%2Fbic%2Faitem.csv')
    """
    name = table.rpartition(".")[2].lower()
    inner = re.sub(r"[^\w $#@-]|^ | \Z", lambda found: quote(found[0], safe=""), name)
    if _WINDOWS_DEVICE.fullmatch(inner):
        inner = f"%{ord(inner[0]):02X}{inner[1:]}"
    return f"{inner}.csv"


def has_fixtures(root: Path) -> bool:
    """Whether the project in the folder ``root`` has fixtures."""
    return bool(csv_files(list_paths(root / "fixtures", "*"))) or is_file(root / "fixtures" / "schema.sql")


def csv_files(paths: Iterable[Path]) -> list[Path]:
    """Those paths that are CSV files, with their extension in capitals or not."""
    return [path for path in paths if path.suffix.lower() == ".csv"]


@contextmanager
def create_fixture_database(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a new DuckDB file, to load fixtures into; others can read the file once this ends."""
    with closing(connect_duckdb(database, settings={"threads": "1", "memory_limit": MEMORY_LIMIT})) as connection:
        yield connection


def load_fixtures(
    connection: duckdb.DuckDBPyConnection, root: Path, *, schema: str, files: WorkspaceFiles | None = None
) -> tuple[str, ...]:
    """Load the fixtures of the project in the folder ``root`` into a new ``schema``, whose name is a plain word.

    Gives the names of the tables. A table of ``schema.sql`` without a CSV file is empty. Raises :class:`FixtureError`
    with all faults of all files, and :class:`OutsideWorkspaceError` for links that lead out of ``files``, which are
    those of ``root`` where none are given.
    """
    folder = root / "fixtures"
    files = files or WorkspaceFiles((root,))
    connection.execute(f"create schema {schema}; set schema = '{schema}'")
    faults: list[Diagnostic] = []
    declared = _create_tables(connection, folder / "schema.sql", faults, files=files)
    found: dict[str, Path] = {}
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
        faults += _insert_rows(connection, fixture, declared.get(fixture.table), schema=schema)
    if faults:
        raise FixtureError(faults)
    return tuple(sorted({*declared, *found}))


def freeze_time(connection: duckdb.DuckDBPyConnection, schemas: Sequence[str]) -> None:
    """Fix the current time of each schema to the newest time in its fixtures, so that every run gives the same."""
    columns = connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns()"
        " where not internal and regexp_matches(data_type, '^(DATE|TIMESTAMP)')"
    ).fetchall()
    newest = dict(connection.execute(render_sql("newest.sql", columns=columns)).fetchall()) if columns else {}
    connection.execute("begin transaction")
    for schema in schemas:
        connection.execute(render_sql("clock.sql", schema=schema, moment=newest.get(schema, DEFAULT_TIME)))
    connection.execute("commit")


def infer_type(values: Iterable[str]) -> str:
    """The narrowest DuckDB type that holds all ``values`` exactly as they are written; text where there is none.

    >>> agreed(["1", "-20"]), agreed(["1", "9.50"]), agreed(["007", "8"]), agreed([])
    ('bigint', 'decimal(18, 2)', 'varchar', 'varchar')
    """
    known = list(values)
    if not known:
        return TEXT
    for kind, pattern in (("bigint", _INTEGER), ("date", _DATE), ("timestamp", _TIMESTAMP), ("boolean", _BOOLEAN)):
        if all(pattern.fullmatch(value) for value in known):
            dated = kind in {"date", "timestamp"}
            return kind if not dated or all(_is_date(value[:10]) for value in known) else TEXT
    numbers = [_DECIMAL.fullmatch(value) for value in known]
    if all(numbers):
        places = max(len(number["places"] or "") for number in numbers if number)
        whole = max(len(number["whole"]) for number in numbers if number)
        if whole + places <= _DECIMAL_DIGITS:
            return f"decimal({_DECIMAL_DIGITS}, {places})"
    return TEXT


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read_text(path: Path, files: WorkspaceFiles) -> str:
    try:
        content = files.read(path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _fixture_error(path, line, "The file is not UTF-8.", "Save it as UTF-8.") from None
    except OSError as error:
        raise FixtureError([Diagnostic(path=path, message=f"The file cannot be read: {error.strerror}.")]) from None


def _find_delimiter(text: str) -> tuple[str, int]:
    """What parts the fields of a CSV text, and where its header begins.

    Excel saves semicolons where a comma is the decimal sign, and may say so in a first line ``sep=;``.
    """
    said = re.match(r"(?i)sep=([,;\t])\r?\n", text)
    if said:
        return said[1], said.end()
    header = re.sub(r'"[^"]*"|\([^)]*\)', "", text.partition("\n")[0])
    return max(_DELIMITERS, key=header.count), 0


def _with_decimal_points(rows: Sequence[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    """Rows with a decimal point in those columns whose values are all numbers, and some have a decimal comma."""
    decimal = [
        all(value is None or _DECIMAL_COMMA.fullmatch(value) for value in column) for column in zip(*rows, strict=True)
    ]
    return [
        tuple(
            value.replace(",", ".") if value and number else value for value, number in zip(row, decimal, strict=True)
        )
        for row in rows
    ]


def _parse_records(
    path: Path, text: str, delimiter: str = ",", position: int = 0
) -> Iterator[tuple[int, tuple[tuple[str | None, bool], ...]]]:
    """The records of a CSV text: the line that each begins on, and its fields, each with whether it was quoted.

    Python's csv module does not distinguish an empty field from a quoted empty one before 3.12.
    """
    line = begun = 1 + text.count("\n", 0, position)
    record: list[tuple[str | None, bool]] = []
    while position < len(text):
        found = _FIELDS[delimiter].match(text, position)
        if found is None:
            raise _fixture_error(
                path,
                line,
                "A double quote is in the wrong place.",
                f'A value with a quote, a {_DELIMITERS[delimiter]} or a line end is written "like ""this""".',
            )
        quoted = found["quoted"]
        record.append((found["bare"] or None, False) if quoted is None else (quoted.replace('""', '"'), True))
        position = found.end()
        line += found[0].count("\n")
        if found["end"] != delimiter:
            yield begun, tuple(record)
            record, begun = [], line
    if record:
        # The text ends with a delimiter, behind which one more field is empty.
        yield begun, (*record, (None, False))


def _join_types(header: Sequence[tuple[str | None, bool]]) -> Iterator[tuple[str | None, bool]]:
    """The header's cells; a type such as ``decimal(12,2)``, split at its comma, is joined again."""
    cells = list(header)
    while cells:
        cell, quoted = cells.pop(0)
        while not quoted and cell and cell.count("(") > cell.count(")") and cells:
            cell = f"{cell},{cells.pop(0)[0] or ''}"
        yield cell, quoted


def _split_heading(cell: str) -> tuple[str, str | None]:
    """A header's cell as a column's name and its type, None where it has none."""
    name, separator, kind = cell.rpartition(":")
    kind = kind.strip()
    if separator and _TYPE.fullmatch(kind):
        return name.strip(), TEXT if kind.lower() == "text" else kind
    return cell.strip(), None


def _create_tables(
    connection: duckdb.DuckDBPyConnection, path: Path, faults: list[Diagnostic], *, files: WorkspaceFiles
) -> Mapping[str, Mapping[str, str]]:
    """Run ``schema.sql``; gives the columns of the tables that it creates, with their types."""
    import duckdb

    if not is_file(path):
        return {}
    text, position = _read_text(path, files), 0
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
                        message="schema.sql only creates tables.",
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


def _fixture_error(path: Path, line: int, message: str, hint: str) -> FixtureError:
    return FixtureError([Diagnostic(path=path, line=line, message=message, hint=hint)])
