"""Make fixtures from a live source: of every table that the views read, the columns that they read and a few rows.

The rows are chosen in three steps. From each view's own output come rows that show every value of a column that has
few, a NULL and a blank where there are any, and some more; their codes are the keys to begin with. From each table come
the rows that hold one of those keys in any column, so that the variants of a product and what a join finds come along.
And from each table come rows that show its own few values, so that what a view filters out is there to be filtered out.

What is about a person is replaced: what the customers' view makes a name, an e-mail address or an address of, columns
that are called like such, values in the shape of an e-mail address or of a telephone number, and a whole name or street
that was replaced in one place wherever else it is mentioned. The same value gets the same replacement throughout one
capture; what decides it is thrown away.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.database.open import open_source
from engine.errors import QueryError, UsageError
from engine.files import listed
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.quoting import ident, literal
from engine.sync.compare import no_progress
from engine.testing.anonymise import FIELD_KINDS, PLAIN_NAME, Anonymiser
from engine.testing.fixture_run import entities
from engine.testing.fixtures import agreed
from engine.testing.sampling import SampledTable, choose_rows, join_key

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine.database.connection import Connection
    from engine.model.settings import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One file that was written: how many rows of those seen, and the columns in which something was replaced."""

    path: Path
    rows: int
    seen: int
    replaced: tuple[str, ...]


def capture(
    project: Project,
    *,
    rows: int = 40,
    replace: bool = False,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> tuple[Captured, ...]:
    """Write ``fixtures/<table>.csv`` for every table that the project's views read, about ``rows`` rows each.

    Raises :class:`UsageError` where there are fixtures and ``replace`` is not asked for, and :class:`SourceError` as a
    run does.
    """
    folder = project.root / "fixtures"
    there = listed(folder, "*.csv")
    if there and not replace:
        raise UsageError(
            f"{project.name} has fixtures: {', '.join(path.name for path in there)}.",
            hint=f"To overwrite those that are captured again: s2s fixtures capture {project.name} --replace",
        )
    queries = {entity: render_checked_view(project, entity).query for entity in entities(project)}
    tables = _tables(project, queries)
    keys: set[str] = set()
    with open_source(project.source) as connection:
        for entity, query in queries.items():
            read = connection.read(query.sql)
            chosen = choose_rows(read, keys=frozenset(), rows=rows, stop=stop, progress=lambda _: None)
            contract = ENTITIES[entity]
            codes = {
                place
                for place, column in enumerate(read.columns)
                if (known := contract.resolve(column)) is not None and known.type == "code"
            }
            keys |= {key for row in chosen.kept for place in codes if (key := join_key(row[place]))}
        more: set[str] = set()
        for table in tables:
            _select(connection, project, table, keys=frozenset(keys), rows=rows, stop=stop, progress=progress)
            if table.matched:
                more |= {key for row in table.kept for value in row if (key := join_key(value))}
        # A large table without the views' keys is joined by what those that have them refer to.
        for table in tables:
            if not table.matched and table.seen > rows:
                _select(
                    connection, project, table, keys=frozenset(keys | more), rows=rows, stop=stop, progress=progress
                )
        types = {table.name: _types(connection, project, table) for table in tables}
    folder.mkdir(exist_ok=True)
    disguise = Anonymiser(secrets.token_bytes(32))
    for table in tables:
        for kind, column in zip(disguise.kinds(table), zip(*table.kept, strict=True), strict=False):
            disguise.learn(column, kind)
    return tuple(_write(folder, table, types[table.name], disguise) for table in tables)


def _tables(project: Project, queries: Mapping[str, Any]) -> list[SampledTable]:
    from engine.mapping.lineage import tables_read, trace_columns

    columns: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    people: set[str] = set()
    fed: dict[tuple[str, str], set[str]] = {}
    others: set[tuple[str, str]] = set()
    for entity, query in queries.items():
        for each in trace_columns(query, dialect=project.source.dialect, entity=ENTITIES[entity]):
            for table, column in each.sources:
                place = (table.lower(), column.lower())
                if each.field.personal and each.field.role != "meta":
                    fed.setdefault(place, set()).add(FIELD_KINDS.get(each.field.name.rpartition(".")[2], "person"))
                elif not each.field.personal:
                    others.add(place)
        for read in tables_read(query, dialect=project.source.dialect):
            known = columns.setdefault(read.table.lower(), {})
            names.setdefault(read.table.lower(), read.table)
            known.update({column.lower(): column for column in read.columns if column.lower() not in known})
            if entity == "customers":
                people.add(read.table.lower())
    return [
        SampledTable(
            name=names[key],
            columns=tuple(columns[key].values()),
            people=key in people,
            # A column of a whole name feeds both the first and the last; one that a CASE looks at feeds others too.
            fed={
                column: next(iter(kinds)) if len(kinds) == 1 else "person"
                for (table, column), kinds in fed.items()
                if table == key and (table, column) not in others
            },
        )
        for key in sorted(columns, key=lambda key: (-len(columns[key]), key))
    ]


def _select(
    connection: Connection,
    project: Project,
    table: SampledTable,
    *,
    keys: frozenset[str],
    rows: int,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None],
) -> None:
    names = ", ".join(_name(column, project.source.dialect) for column in table.columns)
    target = ".".join(_name(part, project.source.dialect) for part in table.name.split("."))
    read = connection.read(f"select {names} from {target}")  # noqa: S608 - names that the view itself reads
    found = choose_rows(read, keys=keys, rows=rows, stop=stop, progress=lambda seen: progress(table.name, seen, None))
    table.kept, table.seen, table.kinds, table.matched = found.kept, found.seen, found.kinds, found.matched


def _name(name: str, dialect: str) -> str:
    """A name as the view may have written it: quoted only where it must be, because quotes fix its case."""
    return name if PLAIN_NAME.fullmatch(name) else ident(name, dialect)


def _types(connection: Connection, project: Project, table: SampledTable) -> list[str | None]:
    """The type to say in the header, None where the values say it themselves.

    Every reader gives decimals, dates and texts as text, so the database is asked what they are, where it can be asked
    in the standard's way. Where it cannot, a column of digits that did not arrive as integers is text: a code.
    """
    declared: dict[str, tuple[str, str | None]] = {}
    name = table.name.rpartition(".")[2]
    dialect = project.source.dialect
    asked = (
        f"select name, type, null from pragma_table_info({literal(name, dialect)})"  # noqa: S608 - a literal
        if dialect == "sqlite"
        else "select column_name, data_type, cast(numeric_scale as char(10)) from information_schema.columns"  # noqa: S608 - as above
        f" where lower(table_name) = {literal(name.lower(), dialect)}"
    )
    try:
        for batch in connection.read(asked):
            for column, kind, scale in zip(*(part.to_pylist() for part in batch.columns), strict=True):
                declared[str(column).lower()] = (str(kind).lower(), None if scale is None else str(scale).strip())
    except QueryError:
        declared = {}
    types: list[str | None] = []
    for place, column in enumerate(table.columns):
        values = [row[place] for row in table.kept if row[place] is not None]
        meant = agreed(value for value in values if value is not None)
        kind, scale = declared.get(column.lower(), ("", None))
        types.append(_type(kind, scale, meant, arrived=table.kinds[place] if table.kinds else None))
    return types


def _type(kind: str, scale: str | None, meant: str, *, arrived: str | None) -> str | None:
    if re.search("char|text|clob|uuid|uniqueidentifier", kind):
        return None if meant == "varchar" else "text"
    if re.search("dec|numeric|money", kind) and meant.startswith(("bigint", "decimal", "varchar")):
        places = re.search(r"\(\s*\d+\s*,\s*(\d+)\s*\)", kind)
        digits = int(places[1]) if places else int(scale) if scale and scale.isdigit() else 4
        return f"decimal(18,{digits})" if meant != "varchar" else None
    if re.search("double|float|real", kind):
        return "double" if meant != "varchar" else None
    if kind or arrived == "bigint":
        return None
    return "text" if meant == "bigint" else None


def _write(folder: Path, table: SampledTable, types: Sequence[str | None], disguise: Anonymiser) -> Captured:
    kinds = disguise.kinds(table)
    replaced: dict[str, None] = {}
    lines = []
    for row in sorted(table.kept, key=lambda row: [(value is not None, value or "") for value in row]):
        cells = []
        for column, kind, value in zip(table.columns, kinds, row, strict=True):
            shown = value if value is None else disguise(value, kind)
            if shown != value:
                replaced[column] = None
            cells.append(_cell(shown))
        lines.append(",".join(cells))
    header = ",".join(
        _heading(column if kind is None else f"{column}:{kind}")
        for column, kind in zip(table.columns, types, strict=True)
    )
    path = folder / f"{table.name.rpartition('.')[2].lower()}.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode("utf-8"))
    return Captured(path=path, rows=len(lines), seen=table.seen, replaced=tuple(replaced))


def _heading(text: str) -> str:
    return f'"{text}"' if "," in text else _cell(text)


def _cell(value: str | None) -> str:
    """A value as the fixtures' rules read it back: NULL is nothing at all, blank text a pair of quotes."""
    if value is None:
        return ""
    if not value or value != value.strip() or re.search('[",\r\n]', value):
        return '"' + value.replace('"', '""') + '"'
    return value
