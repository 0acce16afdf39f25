"""Make fixtures from a live source: for every table that the views read, a CSV file with the columns they read.

1. Run each view and sample its output; the codes in the sampled rows are the first keys.
2. Sample each table: rows that hold one of those keys in any column, so that variants and joined rows come along, and
   rows that show each value of a column with few values, so that rows which a view filters out are there as well.
3. Sample large tables without any of those keys again, by the keys of the rows that were chosen so far.
4. Replace personal data (:mod:`engine.testing.anonymise`) and write ``fixtures/<table>.csv``.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import Deadline, now
from engine.database.open import open_source
from engine.errors import QueryError, UsageError
from engine.files import WorkspaceFiles
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.quoting import ident
from engine.sync.context import no_progress
from engine.testing.anonymise import FIELD_KINDS, UNQUOTED_NAME, Anonymiser
from engine.testing.catalogue_types import read_catalogue_types
from engine.testing.column_types import FILE_NAME, parse_type, value_form, write_column_types
from engine.testing.fixture_run import entities
from engine.testing.fixtures import csv_files, fixture_file_name, fixture_table, infer_type
from engine.testing.sampling import SampledTable, choose_rows, join_key

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine.database.connection import Batches, Connection
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.testing.column_types import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedTable:
    """A file that was written: how many of the rows read are in it, and the columns in which values were replaced."""

    path: Path
    rows: int
    rows_read: int
    replaced: tuple[str, ...]


def capture_fixtures(
    project: Project,
    *,
    rows: int = 40,
    replace: bool = False,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> tuple[CapturedTable, ...]:
    """Write ``fixtures/<table>.csv`` for every table that the project's views read, about ``rows`` rows each.

    ``progress`` is called with a table's name, the rows read so far, and None for the unknown total. Raises
    :class:`UsageError` where there are fixtures already and ``replace`` is false or two tables would have one file,
    :class:`ConfigError` for a view that is wrong, and :class:`SourceError` where the source cannot be read.
    """
    folder = project.root / "fixtures"
    files = WorkspaceFiles.of(project.workspace, project.root)
    existing = csv_files(files.list_paths(folder, "*"))
    if existing and not replace:
        raise UsageError(
            f"{project.name} has fixtures: {', '.join(path.name for path in existing)}.",
            hint=f"To overwrite those that are captured again: s2s fixtures capture {project.name} --replace",
        )
    queries = {entity: render_checked_view(project, entity).query for entity in entities(project)}
    keys: set[str] = set()
    with open_source(project.source, deadline=Deadline(stop=stop)) as connection:

        def sample(table: SampledTable, keys: frozenset[str]) -> None:
            read = _read_columns(connection, table, project.source.dialect)
            found = choose_rows(
                read, keys=keys, rows=rows, stop=stop, progress=lambda seen: progress(table.name, seen, None)
            )
            table.chosen, table.rows_read = found.chosen, found.rows_read
            table.arrived_types, table.matched = found.arrived_types, found.matched

        tables = _tables_read(project, queries, connection)
        _refuse_shared_files(tables)
        for entity, query in queries.items():
            read = connection.read(query.sql)
            chosen = choose_rows(read, keys=frozenset(), rows=rows, stop=stop, progress=lambda _: None)
            contract = ENTITIES[entity]
            codes = {
                place
                for place, column in enumerate(read.columns)
                if (known := contract.resolve(column)) is not None and known.type == "code"
            }
            keys |= {key for row in chosen.chosen for place in codes if (key := join_key(row[place]))}
        more: set[str] = set()
        for table in tables:
            sample(table, frozenset(keys))
            if table.matched:
                more |= {key for row in table.chosen for value in row if (key := join_key(value))}
        # A large table that has none of the views' keys is joined through other columns of the tables that have them.
        for table in tables:
            if not table.matched and table.rows_read > rows:
                sample(table, frozenset(keys | more))
        types = {table.name: _column_types(connection, project, table) for table in tables}
    anonymiser = Anonymiser(secrets.token_bytes(32))
    for table in tables:
        for name, kind, column in zip(
            table.columns, anonymiser.kinds(table), zip(*table.chosen, strict=True), strict=False
        ):
            anonymiser.learn(column, kind, joined=name.lower() in table.joined)
    captured = tuple(_write(folder, table, types[table.name], anonymiser, files) for table in tables)
    written = {fixture_table(table.name): types[table.name] for table in tables}
    files.write(folder / FILE_NAME, write_column_types(written, captured=now()).encode("utf-8"))
    return captured


def _refuse_shared_files(tables: Sequence[SampledTable]) -> None:
    """Refuse two tables whose fixtures would be one file. Raises :class:`UsageError` that names them."""
    names: dict[str, str] = {}
    for table in tables:
        other = names.setdefault(fixture_file_name(table.name).lower(), table.name)
        if other != table.name:
            first, second = sorted((other, table.name))
            raise UsageError(
                f"The views read {first} and {second}, but there is one fixture {fixture_file_name(first)} for both.",
                hint="Where both are the same table, write it alike in all views; else give one of them another name in"
                " the database.",
            )


def _tables_read(project: Project, queries: Mapping[str, Query], connection: Connection) -> list[SampledTable]:
    """The tables that the views read, each with the columns that they read and what is known of these."""
    from engine.mapping.lineage import joined_columns, tables_read, trace_columns

    dialect = project.source.dialect
    schema = _schema(connection, dialect, queries)
    columns: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    people: set[str] = set()
    fed: dict[tuple[str, str], set[str]] = {}
    others: set[tuple[str, str]] = set()
    plain: set[tuple[str, str]] = set()
    about: set[tuple[str, str]] = set()
    joined: set[tuple[str, str]] = set()
    for entity, query in queries.items():
        joined |= joined_columns(query, dialect=dialect, schema=schema)
        for each in trace_columns(query, dialect=dialect, entity=ENTITIES[entity], schema=schema):
            for table, column in each.sources:
                place = (table.lower(), column.lower())
                if each.field.type == "code":
                    joined.add(place)
                if each.field.personal and each.field.role != "meta":
                    fed.setdefault(place, set()).add(FIELD_KINDS.get(each.field.name.rpartition(".")[2], "person"))
                elif not each.field.personal:
                    others.add(place)
                (about if each.field.personal or each.field.type == "code" else plain).add(place)
        for read in tables_read(query, dialect=dialect, schema=schema):
            known = columns.setdefault(read.table.lower(), {})
            names.setdefault(read.table.lower(), read.table)
            known.update({column.lower(): column for column in read.columns if column.lower() not in known})
            if entity == "customers":
                people.add(read.table.lower())
    return [
        SampledTable(
            name=names[key],
            columns=tuple(columns[key].values()),
            holds_people=key in people,
            # A full name feeds both first_name and last_name. A column that a CASE tests feeds other fields as well.
            field_kinds={
                column: next(iter(kinds)) if len(kinds) == 1 else "person"
                for (table, column), kinds in fed.items()
                if table == key and (table, column) not in others
            },
            spelled=_database_names(tuple(columns[key].values()), schema.get(key, ())),
            joined=frozenset(column for table, column in joined if table == key),
            plain=frozenset(column for table, column in plain - about if table == key),
        )
        for key in sorted(columns, key=lambda key: (-len(columns[key]), key))
    ]


def _schema(connection: Connection, dialect: str, queries: Mapping[str, Query]) -> dict[str, tuple[str, ...]]:
    """All columns of the tables that the views read, by the table's name in lower case, as the database spells them.

    A table that this login may not read as a whole is left out: then what the views name is all that is known of it.
    """
    from engine.mapping.lineage import tables_read

    found: dict[str, tuple[str, ...]] = {}
    for query in queries.values():
        for read in tables_read(query, dialect=dialect):
            if read.table.lower() not in found:
                with suppress(QueryError):
                    sql = f"select * from {_spell_table(read.table, dialect)} where 1 = 0"  # noqa: S608 - a name
                    result = connection.read(sql)
                    deque(result, maxlen=0)  # some drivers have one open result at a time
                    found[read.table.lower()] = result.columns
    return found


def _database_names(columns: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """``columns`` as the database spells them; none where it does not know them all."""
    exact = {name: name for name in known}
    by_letters = {name.lower(): name for name in reversed(known)}
    found = tuple(exact.get(column) or by_letters.get(column.lower(), "") for column in columns)
    return found if all(found) else ()


def _read_columns(connection: Connection, table: SampledTable, dialect: str) -> Batches:
    """All rows of a table, the columns that the views read."""
    columns = [ident(name, dialect) for name in table.spelled] or [_spell(name, dialect) for name in table.columns]
    target = _spell_table(table.name, dialect)
    return connection.read(f"select {', '.join(columns)} from {target}")  # noqa: S608 - names that the view itself reads


def _spell_table(name: str, dialect: str) -> str:
    return ".".join(_spell(part, dialect) for part in name.split("."))


def _spell(name: str, dialect: str) -> str:
    """Quote a name only where that is necessary, because quotes make a name case-sensitive."""
    return name if UNQUOTED_NAME.fullmatch(name) else ident(name, dialect)


def _column_types(connection: Connection, project: Project, table: SampledTable) -> dict[str, str]:
    """The types of the table's columns as the catalogue has them, by column as the fixture spells it."""
    known = read_catalogue_types(connection, table.name, project.source.dialect)
    found = {column: known.get(column.lower(), "") for column in table.columns}
    return {column: kind for column, kind in found.items() if parse_type(kind) is not None}


def _heading_type(table: SampledTable, place: int) -> str | None:
    """The type for the header of a column of which the catalogue says none; None where its values tell it.

    A column of digits that did not arrive as integers is a text: a code.
    """
    meant = infer_type(value for row in table.chosen if (value := row[place]) is not None)
    arrived = table.arrived_types[place] if table.arrived_types else None
    return "text" if meant == "bigint" and arrived != "bigint" else None


def _write(
    folder: Path, table: SampledTable, types: Mapping[str, str], anonymiser: Anonymiser, files: WorkspaceFiles
) -> CapturedTable:
    kinds = anonymiser.kinds(table)
    forms = [_form(table, place, types.get(column)) for place, column in enumerate(table.columns)]
    replaced: dict[str, None] = {}
    lines = []
    for row in sorted(table.chosen, key=lambda row: [(value is not None, value or "") for value in row]):
        cells = []
        for column, kind, form, value in zip(table.columns, kinds, forms, row, strict=True):
            shown = value if value is None else anonymiser(value, kind, form)
            if shown != value:
                replaced[column] = None
            cells.append(_csv_value(shown))
        lines.append(",".join(cells))
    headings = [None if column in types else _heading_type(table, place) for place, column in enumerate(table.columns)]
    header = ",".join(
        _csv_heading(column if kind is None else f"{column}:{kind}")
        for column, kind in zip(table.columns, headings, strict=True)
    )
    path = folder / fixture_file_name(table.name)
    files.write(path, "\n".join([header, *lines, ""]).encode("utf-8"))
    return CapturedTable(path=path, rows=len(lines), rows_read=table.rows_read, replaced=tuple(replaced))


def _form(table: SampledTable, place: int, known: str | None) -> Form:
    """What a column holds: as the catalogue says, else as its values read."""
    kind = parse_type(known) if known else None
    if kind is not None:
        return value_form(kind)
    meant = infer_type(value for row in table.chosen if (value := row[place]) is not None)
    if meant in {"date", "timestamp"}:
        return "moment"
    return "number" if meant == "bigint" and _heading_type(table, place) is None else "text"


def _csv_heading(text: str) -> str:
    return f'"{text}"' if "," in text else _csv_value(text)


def _csv_value(value: str | None) -> str:
    """A value as :func:`engine.testing.fixtures.read_fixture` reads it: NULL is empty, blank text is ``""``."""
    if value is None:
        return ""
    if not value or value != value.strip() or re.search('[",\r\n]', value):
        return '"' + value.replace('"', '""') + '"'
    return value
