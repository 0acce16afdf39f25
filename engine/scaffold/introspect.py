"""Look into a client's database and propose a first view: by what tables and columns are called, and a few rows.

What comes of it is a beginning. Names are those that ERPs give in English and Afrikaans; each proposal that is not
plain says so in a TODO, and nothing but names goes from the database into the view.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.database.open import open_source
from engine.errors import QueryError, UsageError
from engine.model.fields import ENTITIES
from engine.quoting import alias, ident
from engine.scaffold.vocabulary import (
    COLUMNS,
    DEFAULT,
    DRIVERS,
    ELSEWHERE,
    FOLDED,
    OWN_TABLES,
    PASSING,
    RESERVED,
    SYSTEM,
    TABLES,
    WHOSE,
)
from engine.testing.anonymise import about_a_person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.database.connection import Connection
    from engine.model.settings import SourceSettings
    from engine.scaffold.vocabulary import Words

SAMPLES = 4
"""How many values of a column are shown."""

WIDEST = 28
"""How many letters of a value are shown."""

PLAIN = 3
"""From this weight on a column's name says plainly what it is."""

LIMITS = {
    **dict.fromkeys(("tsql", "access", "pervasive"), ("top {} ", "")),
    "firebird": ("first {} ", ""),
    "oracle": ("", " fetch first {} rows only"),
}
"""What stands before and behind a SELECT's columns and tables to limit its rows, where it is not LIMIT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table or a view of the database, with its columns and their types in lower case."""

    schema: str
    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may feed a field: SQL, a doubt in words (blank: none), and a few values, masked if personal."""

    field: str
    expression: str
    doubt: str = ""
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A first view of an entity: its table, that one's rows (None: not told), what feeds which field, and the SQL."""

    entity: str
    table: str
    rows: int | None
    candidates: tuple[Candidate, ...]
    sql: str


def dialect_of(connection: str | None, database: str | None) -> str | None:
    """The dialect that a connection string, or the name of a file, speaks for; None where it does not say."""
    text = (connection or "").lower()
    if database is not None:
        return "sqlite" if re.search(r"\.(sqlite3?|db3?)$", database.lower()) else "duckdb"
    return next((dialect for pattern, dialect in DRIVERS if re.search(pattern, text)), None)


def introspect(settings: SourceSettings) -> tuple[Proposal, ...]:
    """Propose a view for each entity of which the source has a likely table.

    Reads the catalogue, counts the rows of the tables that are proposed and reads a few of them. Raises
    :class:`SourceError` as a run does, and :class:`UsageError` where no table looks like products.
    """
    with open_source(settings) as connection:
        tables = _tables(connection)
        looked = _Looking(connection, settings.dialect, tables)
        proposals = tuple(filter(None, (looked.proposal(entity) for entity in COLUMNS)))
    if not any(each.entity == "products" for each in proposals):
        names = ", ".join(sorted(table.name for table in tables)[:20])
        raise UsageError(
            f"None of the {len(tables)} tables that the login sees looks like products.",
            hint=f"Write views/products.sql by hand. There are: {names or 'none; look at the rights of the login'}.",
        )
    return proposals


def _tables(connection: Connection) -> list[Table]:
    tables: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in connection.list_columns():
        if not (SYSTEM.fullmatch(schema) or OWN_TABLES.fullmatch(table)):
            tables.setdefault((schema, table), {})[column] = kind
    return [Table(schema=schema, name=name, columns=columns) for (schema, name), columns in sorted(tables.items())]


def _plain(name: str) -> str:
    """A name's letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _best(words: Words, columns: Iterable[str]) -> tuple[int, str]:
    """How plainly a column says what it is, and which; the first of several."""
    weighed = (
        (max((w for pattern, w in words if re.search(pattern, _plain(each))), default=0), each) for each in columns
    )
    return max(weighed, key=lambda each: each[0], default=(0, ""))


def _score(entity: str, table: Table) -> float:
    """How much a table looks like the one of an entity; 0 where it cannot be."""
    likely, never = TABLES[entity]
    name = _plain(table.name)
    weights = {field: _best(words, table.columns)[0] for field, words in COLUMNS[entity].items()}
    possible: object
    if entity == "products":
        possible = weights["code"] and weights["title"] and not _best(COLUMNS["customers"]["email"], table.columns)[0]
    else:
        possible = weights["code"] and (weights["email"] or (weights["first_name"] and re.search(likely, name)))
    if not possible or re.search(never, name):
        return 0
    score = sum(weights.values()) + (6 if re.search(likely, name) else 0)
    return score * (0.3 if PASSING.search(name) else 1)


class _Looking:
    """One look into a database."""

    def __init__(self, connection: Connection, dialect: str, tables: Sequence[Table]) -> None:
        self._connection = connection
        self._dialect = dialect
        self._all = tables

    def proposal(self, entity: str) -> Proposal | None:
        scored = sorted(((_score(entity, table), table) for table in self._all), key=lambda each: -each[0])
        if not scored or not scored[0][0]:
            return None
        table = scored[0][1]
        key, rows, repeated = self._key(entity, table)
        candidates = [*self._own(entity, table, key, repeated)]
        candidates += self._elsewhere(entity, table, key, {each.field for each in candidates})
        order = [field.name for field in ENTITIES[entity].fields]
        candidates.sort(key=lambda each: order.index(each.field) if each.field in order else len(order))
        others = [other.name for score, other in scored[1:4] if score > scored[0][0] / 2]
        return Proposal(
            entity=entity,
            table=table.name,
            rows=rows,
            candidates=tuple(self._sampled(table, candidates, people=entity == "customers")),
            sql=self._view(entity, table, candidates, others),
        )

    def _key(self, entity: str, table: Table) -> tuple[str, int | None, int]:
        """The column that identifies a row, how many rows there are, and how many of them repeat a code."""
        words = COLUMNS[entity]["code"]
        likely = sorted(
            (column for column in table.columns if _best(words, [column])[0]),
            key=lambda column: -_best(words, [column])[0],
        )[:3]
        counts = ", ".join(f"count(distinct {self._column(table, column)})" for column in likely)
        sql = f"select count(*), {counts} from {self._table(table)}"  # noqa: S608 - names
        try:
            rows, *distinct = (int(float(value or 0)) for value in self._rows(sql, 1)[0])
        except QueryError:  # Access and some drivers know no count(distinct)
            return likely[0], None, 0
        whole = [column for column, count in zip(likely, distinct, strict=True) if count == rows]
        return (whole[0], rows, 0) if whole else (likely[0], rows, rows - distinct[0])

    def _own(self, entity: str, table: Table, key: str, repeated: int) -> Iterable[Candidate]:
        """What the entity's own table gives."""
        contract = ENTITIES[entity]
        code = self._column(table, key)
        doubt = f"{repeated:,} rows repeat another's code: what tells them apart?" if repeated else ""
        yield Candidate(field=contract.key, expression=code, doubt=doubt)
        if entity == "products":
            yield Candidate(
                field="source_product_code",
                expression=code,
                doubt="each item is a product of its own; if sizes and colours have a code in common, it belongs here",
            )
            yield Candidate(field="variants.sku", expression=code)
            yield Candidate(field="variants.inventory_management", expression="1")
        for field, words in COLUMNS[entity].items():
            weight, column = _best(words, (each for each in table.columns if each != key))
            if field == "code":
                continue
            if field == contract.flag and weight < PLAIN:
                doubt = f"does {column} say which should go?" if weight else "which should go?"
                yield Candidate(field=field, expression="'Yes'", doubt=f"this sends every row: {doubt}")
            elif field == contract.flag:
                doubt = "are its values words that stand for Active, Delete and Ignore? See `active` in project.toml"
                yield Candidate(field=field, expression=self._column(table, column), doubt=doubt)
            elif weight:
                doubt = "" if weight >= PLAIN else "a guess by the column's name alone"
                yield Candidate(field=field, expression=self._column(table, column), doubt=doubt)
            elif field == "last_name":
                yield Candidate(field=field, expression="''", doubt="no column is called so")

    def _elsewhere(self, entity: str, item: Table, key: str, had: set[str]) -> Iterable[Candidate]:
        """What stands in a table of its own, such as one row a price list or a warehouse."""
        for field, hint, one, question in ELSEWHERE[entity]:
            if field in had:
                continue
            found = []
            for table in self._all:
                weight, column = _best(COLUMNS[entity][field], table.columns)
                joined = _joined(entity, item, key, table)
                if weight and joined and table is not item:
                    named = bool(re.search(hint, _plain(table.name)))
                    passing = bool(PASSING.search(_plain(table.name))) and not named
                    found.append((weight + 3 * named - 4 * passing, table, column, joined))
            if found:
                _, table, column, (theirs, ours) = max(found, key=lambda each: each[0])
                yield Candidate(
                    field=field,
                    expression=f"(select {one}({self._column(table, column)}) from {self._table(table)}"  # noqa: S608 - names
                    f" where {self._column(table, theirs)} = {self._column(item, ours)})",
                    doubt=f"{question} And do {table.name}.{theirs} and {item.name}.{ours} belong together?",
                )

    def _sampled(self, table: Table, candidates: Sequence[Candidate], *, people: bool) -> Iterable[Candidate]:
        """The candidates with a few values each; what may be about a person is masked."""
        wanted = list(dict.fromkeys(each.expression for each in candidates if "." in each.expression))
        values = self._values(table, wanted)
        if not values:  # of one that the database refuses the others need not suffer
            values = {expression: each for one in wanted for expression, each in self._values(table, [one]).items()}
        for each in candidates:
            hidden = (people and each.field != ENTITIES["customers"].flag) or about_a_person(each.expression)
            yield replace(
                each,
                samples=tuple(
                    "***" if value and hidden else _shown(value) for value in values.get(each.expression, ())
                ),
            )

    def _values(self, table: Table, expressions: Sequence[str]) -> dict[str, list[str | None]]:
        sql = _limited(f"{', '.join(expressions)} from {self._table(table)}", SAMPLES, self._dialect)
        try:
            rows = self._rows(sql, SAMPLES)
        except QueryError:
            return {}
        return {expression: [row[place] for row in rows] for place, expression in enumerate(expressions)}

    def _rows(self, sql: str, limit: int) -> list[list[str | None]]:
        rows = (
            [None if value is None else str(value) for value in row]
            for batch in self._connection.read(sql)
            for row in zip(*(part.to_pylist() for part in batch.columns), strict=True)
        )
        return list(islice(rows, limit))

    def _table(self, table: Table) -> str:
        parts = [table.name] if table.schema.lower() in DEFAULT else [table.schema, table.name]
        return ".".join(spelled(part, self._dialect) for part in parts)

    def _column(self, table: Table, column: str) -> str:
        return f"{spelled(table.name, self._dialect)}.{spelled(column, self._dialect)}"

    def _view(self, entity: str, table: Table, candidates: Sequence[Candidate], others: Sequence[str]) -> str:
        lines = ["-- Proposed by what tables and columns are called. A TODO is a guess: look, mend, and take it away."]
        if others:
            lines.append(f"-- TODO: {', '.join(others)} may be the table as well.")
        lines.append("select")
        for number, each in enumerate(candidates):
            if each.doubt:
                lines.append(f"    -- TODO: {each.doubt}")
            comma = "," if number < len(candidates) - 1 else ""
            lines.append(f"    {each.expression} as {alias(each.field, self._dialect)}{comma}")
        had = {each.field for each in candidates}
        lines += [f"    -- TODO: no column looks like {name}" for name, *_ in ELSEWHERE[entity] if name not in had]
        return "\n".join([*lines, f"from {self._table(table)}", ""])


def _joined(entity: str, item: Table, key: str, table: Table) -> tuple[str, str] | None:
    """The columns by which another table's rows belong to an item: theirs and the item's."""
    whose = WHOSE[entity]
    for column in table.columns:
        if _plain(column) == _plain(key):
            return column, key
    number = next((each for each in item.columns if re.search(rf"^{whose}?(id|link)$", _plain(each))), None)
    for column in table.columns:
        if number is not None and re.search(rf"^(i|wh)?{whose}(id|link)$", _plain(column)):
            return column, number
        if re.search(rf"^{whose}(code|no|num|number)?$", _plain(column)):
            return column, key
    return None


def _shown(value: str | None) -> str:
    text = "NULL" if value is None else " ".join(value.split()) or "(blank)"
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _limited(rest: str, rows: int, dialect: str) -> str:
    """``select <rest>`` of so many rows."""
    before, after = LIMITS.get(dialect, ("", f" limit {rows}"))
    return f"select {before.format(rows)}{rest}{after.format(rows)}"


def spelled(name: str, dialect: str) -> str:
    """A name as SQL has it: bare where the database finds it so, else in quotes."""
    folded = FOLDED.get(dialect, str)(name)
    bare = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and folded == name and name.lower() not in RESERVED
    return name if bare else ident(name, dialect)
