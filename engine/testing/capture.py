"""Make fixtures from a live source: for every table that the views read, a CSV file with the columns they read.

1. Run each view and sample its output; the codes in the sampled rows are the first keys.
2. Sample the tables that the codes come from: rows that hold one of those keys, and rows that show each value of a
   column with few values, so that rows which a view filters out are there as well.
3. Sample the tables that the views join with these, by the values that join them, then those that are joined with
   them in turn; and what is joined with nothing, by the codes in any of its columns.
4. Replace personal data (:mod:`engine.testing.anonymise`) and write ``fixtures/<table>.csv``.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.clock import Deadline, now
from engine.config.toml_text import parse_toml
from engine.database.open import open_source
from engine.errors import ConfigError, QueryError, UsageError, ViewError
from engine.files import WorkspaceFiles
from engine.mapping.case_twins import CASED_DIALECTS, find_case_twins, table_names
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.quoting import ident
from engine.sync.context import no_progress
from engine.testing.anonymise import FIELD_KINDS, UNQUOTED_NAME, Anonymiser
from engine.testing.catalogue_types import read_catalogue_types
from engine.testing.column_types import FILE_NAME, Capture, parse_type, value_form, write_column_types
from engine.testing.fixture_run import entities
from engine.testing.fixtures import csv_files, fixture_file_name, fixture_table, infer_type, table_of_file
from engine.testing.sampling import SampledTable, choose_rows, join_key, join_keys
from engine.testing.session_settings import has_ascii_case, read_clock, read_unusual_settings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.database.connection import Batches, Connection
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.testing.column_types import Form

CLOCKS_AGREE = timedelta(minutes=1)
"""How far the database's clock may be from UTC, and show it all the same."""


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

        def sample(table: SampledTable, keys: Mapping[int, frozenset[str]]) -> None:
            read = _read_columns(connection, table, types[table.name], project.source.dialect)
            found = choose_rows(
                read, keys=keys, rows=rows, stop=stop, progress=lambda seen: progress(table.name, seen, None)
            )
            table.chosen, table.rows_read, table.arrived_types = found.chosen, found.rows_read, found.arrived_types

        tables, joins = _tables_read(project, queries, connection)
        _refuse_shared_files(tables)
        types = {table.name: _column_types(connection, project, table) for table in tables}
        for entity, query in queries.items():
            read = connection.read(query.sql)
            chosen = choose_rows(read, keys={}, rows=rows, stop=stop, progress=lambda _: None)
            contract = ENTITIES[entity]
            codes = {
                place
                for place, column in enumerate(read.columns)
                if (known := contract.resolve(column)) is not None and known.type == "code"
            }
            keys |= {key for row in chosen.chosen for place in codes if (key := join_key(row[place]))}
        _sample_by_joins(tables, joins, frozenset(keys), sample)
        capture = _capture(connection, project.source.dialect)
    anonymiser = Anonymiser(secrets.token_bytes(32))
    for table in tables:
        for name, kind, column in zip(
            table.columns, anonymiser.kinds(table), zip(*table.chosen, strict=True), strict=False
        ):
            anonymiser.learn(
                column,
                kind,
                joined=name.lower() in table.joined,
                people=table.holds_people,
                limit=_text_length(types[table.name].get(name)),
                compared=table.compared.get(name.lower(), ()),
            )
    made = [_fixture(folder, table, types[table.name], anonymiser) for table in tables]
    kept = _types_of_others(folder, files, existing, tables)
    written = {**kept, **{fixture_table(table.name): types[table.name] for table in tables}}
    # What is interrupted in between leaves tables that do not fit together, and says so.
    files.write(folder / FILE_NAME, write_column_types(written, capture=capture, incomplete=True).encode("utf-8"))
    for fixture, text in made:
        files.write(fixture.path, text.encode("utf-8"))
    files.write(folder / FILE_NAME, write_column_types(written, capture=capture).encode("utf-8"))
    return tuple(fixture for fixture, _ in made)


def _capture(connection: Connection, dialect: str) -> Capture:
    """What a rehearsal has to know of this moment and of the session."""
    moment = now()
    shown = read_clock(connection, dialect)
    if shown is not None and abs(shown - moment) < CLOCKS_AGREE:
        moment = shown
    return Capture(
        moment=moment,
        database_time=shown,
        settings=read_unusual_settings(connection, dialect),
        ascii_case=has_ascii_case(connection, dialect),
    )


def _types_of_others(
    folder: Path, files: WorkspaceFiles, existing: Sequence[Path], tables: Sequence[SampledTable]
) -> dict[str, dict[str, str]]:
    """The types in ``types.toml`` of the fixtures that stay as they are; none where it cannot be read."""
    captured = {fixture_file_name(table.name) for table in tables}
    staying = {table_of_file(path) for path in existing if path.name.lower() not in captured}
    with suppress(OSError, ConfigError):
        document = parse_toml(files.read_utf8(folder / FILE_NAME), path=folder / FILE_NAME)
        return {
            table: {column: str(kind) for column, kind in columns.items()}
            for table, columns in document.items()
            if table.lower() in staying and isinstance(columns, dict)
        }
    return {}


def _sample_by_joins(
    tables: Sequence[SampledTable],
    joins: Iterable[frozenset[tuple[str, str]]],
    codes: frozenset[str],
    sample: Callable[[SampledTable, Mapping[int, frozenset[str]]], None],
) -> None:
    """Call ``sample`` for each table once, with the keys that its columns may hold, by their places.

    First those that the codes come from, then those that are joined with what was sampled, and at last the others.
    """
    sampled: dict[str, SampledTable] = {}
    left = list(tables)
    while left:
        keys_of: dict[str, dict[int, frozenset[str]]] = {}
        for table in left:
            keys = {
                place: frozenset(
                    key
                    for join in joins
                    if (table.name.lower(), column.lower()) in join
                    for other in sampled.values()
                    for key in join_keys(other, {name for owner, name in join if owner == other.name.lower()})
                )
                | (codes if column.lower() in table.codes else frozenset())
                for place, column in enumerate(table.columns)
            }
            keys_of[table.name] = {place: found for place, found in keys.items() if found}
        reached = [table for table in left if keys_of[table.name]]
        for table in reached or left[:1]:
            sample(table, keys_of[table.name] or dict.fromkeys(range(len(table.columns)), codes))
            sampled[table.name] = table
        left = [table for table in left if table.name not in sampled]


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


def _tables_read(
    project: Project, queries: Mapping[str, Query], connection: Connection
) -> tuple[list[SampledTable], frozenset[frozenset[tuple[str, str]]]]:
    """The tables that the views read, each with the columns that they read and what is known of these, and the joins.

    A join is the set of tables and columns, in lower case, that have the same values.
    """
    from engine.mapping.lineage import compared_texts, joined_columns, tables_read, trace_columns

    dialect = project.source.dialect
    written = _written_names(queries, dialect)
    schema = _schema(connection, written)
    columns: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    people: set[str] = set()
    fed: dict[tuple[str, str], set[str]] = {}
    others: set[tuple[str, str]] = set()
    plain: set[tuple[str, str]] = set()
    about: set[tuple[str, str]] = set()
    joins: set[frozenset[tuple[str, str]]] = set()
    codes: set[tuple[str, str]] = set()
    compared: dict[tuple[str, str], frozenset[str]] = {}
    for entity, query in queries.items():
        joins |= joined_columns(query, dialect=dialect, schema=schema)
        for place, texts in compared_texts(query, dialect=dialect, schema=schema).items():
            compared[place] = compared.get(place, frozenset()) | texts
        for each in trace_columns(query, dialect=dialect, entity=ENTITIES[entity], schema=schema):
            for table, column in each.sources:
                place = (table.lower(), column.lower())
                if each.field.type == "code":
                    codes.add(place)
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
    for key, known in columns.items():
        _refuse_twins(names[key], known, schema.get(key, ()))
        # As the table has them, which is how a * of one table stands beside a * of another in a UNION.
        ordered = [column.lower() for column in schema.get(key, ()) if column.lower() in known]
        columns[key] = {column: known[column] for column in dict.fromkeys((*ordered, *known))}
    joined = codes.union(*joins)
    found = [
        SampledTable(
            name=names[key],
            sql_name=written[key],
            columns=tuple(columns[key].values()),
            holds_people=key in people,
            # A full name feeds both first_name and last_name. A column that a CASE tests feeds other fields as well.
            field_kinds={
                column: next(iter(kinds)) if len(kinds) == 1 else "person"
                for (table, column), kinds in fed.items()
                if table == key and (table, column) not in others
            },
            spelled=_database_names(tuple(columns[key].values()), schema.get(key, ())),
            codes=frozenset(column for table, column in codes if table == key),
            joined=frozenset(column for table, column in joined if table == key),
            plain=frozenset(column for table, column in plain - about if table == key),
            compared={column: texts for (table, column), texts in compared.items() if table == key},
        )
        for key in sorted(columns, key=lambda key: (-len(columns[key]), key))
    ]
    return found, frozenset(joins)


def _written_names(queries: Mapping[str, Query], dialect: str) -> dict[str, str]:
    """How the SQL of the views names each table, by the name without quotes in lower case.

    Raises :class:`ViewError` for names that fixtures cannot tell apart, and :class:`UsageError` where these are in
    different views.
    """
    from engine.mapping.lineage import parsed_view

    written: dict[str, str] = {}
    known: dict[str, str] = {}
    for query in queries.values():
        statement = parsed_view(query, dialect)
        twins = [*find_case_twins(query, statement, dialect)]
        if twins:
            raise ViewError(twins)
        for name, real, sql in table_names(statement, dialect):
            other = known.setdefault(name.lower(), real)
            if real.lower() == other.lower() and real != other and dialect in CASED_DIALECTS:
                raise UsageError(
                    f"The views read {other} and {real}, which fixtures cannot tell apart: their names differ only in"
                    " case.",
                    hint="Give one of them another name in a view of the database, and read that.",
                )
            written.setdefault(name.lower(), sql)
    return written


def _schema(connection: Connection, written: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """All columns of the tables that the views read, by the table's name in lower case, as the database spells them.

    A table that this login may not read as a whole is left out: then what the views name is all that is known of it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, sql in written.items():
        with suppress(QueryError):
            result = connection.read(f"select * from {sql} where 1 = 0")  # noqa: S608 - a name
            deque(result, maxlen=0)  # some drivers have one open result at a time
            found[name] = result.columns
    return found


def _refuse_twins(table: str, read: Mapping[str, str], columns: Sequence[str]) -> None:
    """Refuse a column that is read of a table with two of its name. Raises :class:`UsageError` that names them."""
    known: dict[str, str] = {}
    for column in columns:
        other = known.setdefault(column.lower(), column)
        if other != column and column.lower() in read:
            raise UsageError(
                f"{table} has the columns {other} and {column}, which fixtures cannot tell apart: their names differ"
                " only in case.",
                hint="Give one of them another name in a view of the database, and read that.",
            )


def _database_names(columns: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """``columns`` as the database spells them; none where it does not know them all."""
    exact = {name: name for name in known}
    by_letters = {name.lower(): name for name in reversed(known)}
    found = tuple(exact.get(column) or by_letters.get(column.lower(), "") for column in columns)
    return found if all(found) else ()


def _read_columns(connection: Connection, table: SampledTable, types: Mapping[str, str], dialect: str) -> Batches:
    """All rows of a table, the columns that the views read."""
    columns = [ident(name, dialect) for name in table.spelled] or [_spell(name, dialect) for name in table.columns]
    if dialect == "mysql":  # whose drivers give bits as bytes
        bits = {place for place, name in enumerate(table.columns) if re.match(r"bit\b", types.get(name, ""))}
        columns = [f"{name} + 0 as {name}" if place in bits else name for place, name in enumerate(columns)]
    return connection.read(f"select {', '.join(columns)} from {table.sql_name}")  # noqa: S608 - names of the view


def _spell(name: str, dialect: str) -> str:
    """Quote a name only where that is necessary, because quotes make a name case-sensitive."""
    return name if UNQUOTED_NAME.fullmatch(name) else ident(name, dialect)


def _column_types(connection: Connection, project: Project, table: SampledTable) -> dict[str, str]:
    """The types of the table's columns as the catalogue has them, by column as the fixture spells it."""
    known = read_catalogue_types(connection, table.sql_name, project.source.dialect, name=table.name)
    found = {column: known.get(column.lower(), "") for column in table.columns}
    return {column: kind for column, kind in found.items() if parse_type(kind) is not None}


def _heading_type(table: SampledTable, place: int) -> str | None:
    """The type for the header of a column of which the catalogue says none; None where its values tell it.

    A column of digits that did not arrive as integers is a text: a code.
    """
    meant = infer_type(value for row in table.chosen if (value := row[place]) is not None)
    arrived = table.arrived_types[place] if table.arrived_types else None
    return "text" if meant == "bigint" and arrived != "bigint" else None


def _text_length(known: str | None) -> int | None:
    """The length of a column of texts, None where it has none."""
    kind = parse_type(known) if known else None
    return kind.sizes[0] if kind is not None and kind.sizes and value_form(kind) == "text" else None


def _fixture(
    folder: Path, table: SampledTable, types: Mapping[str, str], anonymiser: Anonymiser
) -> tuple[CapturedTable, str]:
    """The file of a table, and what is to be written into it."""
    kinds = anonymiser.kinds(table)
    forms = [_form(table, place, types.get(column)) for place, column in enumerate(table.columns)]
    known = {column: parse_type(written) for column, written in types.items()}
    padded = {column for column, declared in known.items() if declared is not None and declared.is_padded}
    replaced: dict[str, None] = {}
    lines = []
    for row in sorted(table.chosen, key=lambda row: [(value is not None, value or "") for value in row]):
        cells = []
        for column, kind, form, value in zip(table.columns, kinds, forms, row, strict=True):
            shown = value if value is None else anonymiser(value, kind, form)
            if value is not None and shown is not None and shown != value:
                replaced[column] = None
                if column in padded:
                    shown = shown.rstrip(" ").ljust(len(value))
            cells.append(_csv_value(shown))
        lines.append(",".join(cells))
    headings = [None if column in types else _heading_type(table, place) for place, column in enumerate(table.columns)]
    header = ",".join(
        _csv_heading(column if kind is None else f"{column}:{kind}")
        for column, kind in zip(table.columns, headings, strict=True)
    )
    path = folder / fixture_file_name(table.name)
    captured = CapturedTable(path=path, rows=len(lines), rows_read=table.rows_read, replaced=tuple(replaced))
    return captured, "\n".join([header, *lines, ""])


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
