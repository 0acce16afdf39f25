"""Read fixtures: the tables of a client's database as a few dozen rows in CSV files, to run views on offline.

``fixtures/<table>.csv`` is UTF-8 with a header. An empty field is NULL, a quoted empty one (``""``) is blank text, and
blanks around a value are part of it. Files that Excel has saved with semicolons or tabs are read too, and there with
decimal commas. The type of a column is the first of:

1. what ``fixtures/schema.sql`` creates the table with,
2. what the header says (``code:text,qty:decimal(12,2)``),
3. what ``fixtures/types.toml`` says (:mod:`engine.testing.column_types`),
4. the narrowest type that all its values fit (:func:`infer_type`).

The inference is the engine's own, so that no release of DuckDB reads the same file in another way, and it is
conservative: a value with a leading zero, a padded one or a stray word makes the column text, so that codes stay as
they are.

:mod:`engine.testing.fixture_database` loads them; :mod:`engine.testing.capture` makes them from a live source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from engine.errors import Diagnostic, FixtureError
from engine.files import WorkspaceFiles, is_file, list_paths, not_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


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
_BOOLEAN = re.compile("true|false")
_WINDOWS_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
_DECIMAL_DIGITS = 18
"""The precision of an inferred decimal. DuckDB's widest, 38, overflows as soon as two are multiplied."""


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
        return table_of_file(self.path)

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
    text = read_fixture_text(path, files or WorkspaceFiles((path.parent,)))
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


def fixture_table(table: str) -> str:
    """The name under which fixtures know a table: the last part of its name, in lower case."""
    return table.rpartition(".")[2].lower()


def table_of_file(path: Path) -> str:
    """The table whose rows a CSV file has, as :func:`fixture_table` calls it."""
    return unquote(path.stem.rpartition(".")[2]).lower()


def has_fixtures(root: Path) -> bool:
    """Whether the project in the folder ``root`` has fixtures."""
    return bool(csv_files(list_paths(root / "fixtures", "*"))) or is_file(root / "fixtures" / "schema.sql")


def csv_files(paths: Iterable[Path]) -> list[Path]:
    """Those paths that are CSV files, with their extension in capitals or not."""
    return [path for path in paths if path.suffix.lower() == ".csv"]


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


def read_fixture_text(path: Path, files: WorkspaceFiles) -> str:
    """Read a file of the fixtures, which is UTF-8. Raises :class:`FixtureError` where it is not, or cannot be read."""
    try:
        content = files.read(path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FixtureError([not_utf8(path, content, error)]) from None
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


def _fixture_error(path: Path, line: int, message: str, hint: str) -> FixtureError:
    return FixtureError([Diagnostic(path=path, line=line, message=message, hint=hint)])
