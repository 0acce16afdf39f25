"""Propose a first view of each entity from the names of tables and columns in a client's database, and a few rows.

A proposal is a starting point: every guess is marked with a TODO. Only names go from the database into the view, never
values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.database.open import open_source
from engine.errors import QueryError, UsageError
from engine.model.fields import ENTITIES
from engine.quoting import alias
from engine.scaffold.sql_text import on_one_line, spell_name, without_jinja
from engine.scaffold.vocabulary import (
    COLUMN_PATTERNS,
    DEFAULT_SCHEMAS,
    DRIVER_DIALECTS,
    REFERENCE_PREFIXES,
    RELATED_FIELDS,
    SYSTEM_SCHEMAS,
    SYSTEM_TABLES,
    TABLE_PATTERNS,
    TRANSACTION_TABLES,
)
from engine.testing.anonymise import is_personal_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.database.connection import Connection
    from engine.model.settings import SourceSettings
    from engine.scaffold.vocabulary import WeightedPatterns

MAX_SAMPLES = 4
"""How many example values of a column are displayed."""

MAX_VALUE_LETTERS = 28
"""How many letters of an example value are displayed."""

CLEAR_WEIGHT = 3
"""The weight from which the name of a column is not a guess."""

ROW_LIMITS = {
    **dict.fromkeys(("tsql", "access", "pervasive"), ("top {} ", "")),
    "firebird": ("first {} ", ""),
    "oracle": ("", " fetch first {} rows only"),
}
"""How a dialect limits the rows of a SELECT: the text before its columns and the text at its end; others use LIMIT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table or view of the database; ``columns`` are its columns' types in lower case, by name."""

    schema: str
    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A SQL expression that may feed a field, a question about it or blank, and example values, masked if personal."""

    field: str
    expression: str
    doubt: str = ""
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A first view of an entity: its main table, its number of rows (None: unknown), its candidates, and the SQL."""

    entity: str
    table: str
    rows: int | None
    candidates: tuple[Candidate, ...]
    sql: str


def dialect_of(connection: str | None, database: str | None) -> str | None:
    """The dialect that a connection string's driver or a file's extension implies; None where that is unknown."""
    text = (connection or "").lower()
    if database is not None:
        return "sqlite" if re.search(r"\.(sqlite3?|db3?)$", database.lower()) else "duckdb"
    return next((dialect for pattern, dialect in DRIVER_DIALECTS if re.search(pattern, text)), None)


def introspect(settings: SourceSettings) -> tuple[Proposal, ...]:
    """Propose a view for each entity that the source has a likely table for.

    1. Read the names of all tables and columns.
    2. Score the tables of each entity and take the best one.
    3. Count its rows, choose its key and the columns that feed fields, and read a few example values.

    Raises :class:`SourceError` where the source cannot be read, and :class:`UsageError` where no table looks like
    products.
    """
    with open_source(settings) as connection:
        tables = _tables(connection)
        introspection = _Introspection(connection, settings.dialect, tables)
        proposals = tuple(filter(None, (introspection.proposal(entity) for entity in COLUMN_PATTERNS)))
    if not any(each.entity == "products" for each in proposals):
        names = ", ".join(sorted(on_one_line(table.name) for table in tables)[:20])
        raise UsageError(
            f"None of the {len(tables)} tables that the login sees looks like products.",
            hint=f"Write views/products.sql by hand. Tables: {names or 'none; check the rights of the login'}.",
        )
    return proposals


def _tables(connection: Connection) -> list[Table]:
    tables: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in connection.list_columns():
        if not (SYSTEM_SCHEMAS.fullmatch(schema) or SYSTEM_TABLES.fullmatch(table)):
            tables.setdefault((schema, table), {})[column] = kind
    return [Table(schema=schema, name=name, columns=columns) for (schema, name), columns in sorted(tables.items())]


def _letters_and_digits(name: str) -> str:
    """A name in lower case, reduced to letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _best_match(words: WeightedPatterns, columns: Iterable[str]) -> tuple[int, str]:
    """The highest weight of any column and that column, the first of equals; 0 and blank where none matches."""
    weighed = (
        (max((w for pattern, w in words if re.search(pattern, _letters_and_digits(each))), default=0), each)
        for each in columns
    )
    return max(weighed, key=lambda each: each[0], default=(0, ""))


def _score(entity: str, table: Table) -> float:
    """How likely a table is that of an entity; 0 where it cannot be."""
    likely, never = TABLE_PATTERNS[entity]
    name = _letters_and_digits(table.name)
    weights = {field: _best_match(words, table.columns)[0] for field, words in COLUMN_PATTERNS[entity].items()}
    possible: object
    if entity == "products":
        possible = (
            weights["code"]
            and weights["title"]
            and not _best_match(COLUMN_PATTERNS["customers"]["email"], table.columns)[0]
        )
    else:
        possible = weights["code"] and (weights["email"] or (weights["first_name"] and re.search(likely, name)))
    if not possible or re.search(never, name):
        return 0
    score = sum(weights.values()) + (6 if re.search(likely, name) else 0)
    return score * (0.3 if TRANSACTION_TABLES.search(name) else 1)


class _Introspection:
    """Proposes views from one open connection and the tables that it has."""

    def __init__(self, connection: Connection, dialect: str, tables: Sequence[Table]) -> None:
        self._connection = connection
        self._dialect = dialect
        self._all = tables

    def proposal(self, entity: str) -> Proposal | None:
        """Propose a view of ``entity``, None where no table is likely."""
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
        """The column that identifies a row, the number of rows (None: unknown), and how many of them repeat a code."""
        words = COLUMN_PATTERNS[entity]["code"]
        likely = sorted(
            (column for column in table.columns if _best_match(words, [column])[0]),
            key=lambda column: -_best_match(words, [column])[0],
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
        """Candidates from the entity's own table."""
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
        for field, words in COLUMN_PATTERNS[entity].items():
            weight, column = _best_match(words, (each for each in table.columns if each != key))
            if field == "code":
                continue
            if field == contract.flag and weight < CLEAR_WEIGHT:
                doubt = f"does {column} say which should go?" if weight else "which should go?"
                yield Candidate(field=field, expression="'Yes'", doubt=f"this sends every row: {doubt}")
            elif field == contract.flag:
                doubt = "are its values words that stand for Active, Delete and Ignore? See `active` in project.toml"
                yield Candidate(field=field, expression=self._column(table, column), doubt=doubt)
            elif weight:
                doubt = "" if weight >= CLEAR_WEIGHT else "a guess by the column's name alone"
                yield Candidate(field=field, expression=self._column(table, column), doubt=doubt)
            elif field == "last_name":
                yield Candidate(field=field, expression="''", doubt="no column is called so")

    def _elsewhere(self, entity: str, item: Table, key: str, had: set[str]) -> Iterable[Candidate]:
        """Candidates from other tables, such as one with a row for each price list or warehouse."""
        for field, hint, one, question in RELATED_FIELDS[entity]:
            if field in had:
                continue
            found = []
            for table in self._all:
                weight, column = _best_match(COLUMN_PATTERNS[entity][field], table.columns)
                joined = _join_columns(entity, item, key, table)
                if weight and joined and table is not item:
                    named = bool(re.search(hint, _letters_and_digits(table.name)))
                    passing = bool(TRANSACTION_TABLES.search(_letters_and_digits(table.name))) and not named
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
        """The candidates with example values; those that may be personal are masked."""
        wanted = list(dict.fromkeys(each.expression for each in candidates if "." in each.expression))
        values = self._values(table, wanted)
        if not values:  # the database refused one of them, so each is read on its own
            values = {expression: each for one in wanted for expression, each in self._values(table, [one]).items()}
        for each in candidates:
            hidden = (people and each.field != ENTITIES["customers"].flag) or is_personal_column(each.expression)
            yield replace(
                each,
                samples=tuple(
                    "***" if value and hidden else _display_value(value) for value in values.get(each.expression, ())
                ),
            )

    def _values(self, table: Table, expressions: Sequence[str]) -> dict[str, list[str | None]]:
        sql = _select_some(f"{', '.join(expressions)} from {self._table(table)}", MAX_SAMPLES, self._dialect)
        try:
            rows = self._rows(sql, MAX_SAMPLES)
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
        parts = [table.name] if table.schema.lower() in DEFAULT_SCHEMAS else [table.schema, table.name]
        return ".".join(spell_name(part, self._dialect) for part in parts)

    def _column(self, table: Table, column: str) -> str:
        return f"{spell_name(table.name, self._dialect)}.{spell_name(column, self._dialect)}"

    def _view(self, entity: str, table: Table, candidates: Sequence[Candidate], others: Sequence[str]) -> str:
        lines = ["-- Proposed from the names of tables and columns. Each TODO is a guess: check it, then remove it."]
        if others:
            lines.append(f"-- TODO: {on_one_line(', '.join(others))} may be the table as well.")
        lines.append("select")
        for number, each in enumerate(candidates):
            if each.doubt:
                lines.append(f"    -- TODO: {on_one_line(each.doubt)}")
            comma = "," if number < len(candidates) - 1 else ""
            lines.append(f"    {each.expression} as {alias(each.field, self._dialect)}{comma}")
        had = {each.field for each in candidates}
        lines += [f"    -- TODO: no column looks like {name}" for name, *_ in RELATED_FIELDS[entity] if name not in had]
        return without_jinja("\n".join([*lines, f"from {self._table(table)}", ""]))


def _join_columns(entity: str, item: Table, key: str, table: Table) -> tuple[str, str] | None:
    """The columns that join another table to an item's: the other table's and the item's; None where there are none."""
    whose = REFERENCE_PREFIXES[entity]
    for column in table.columns:
        if _letters_and_digits(column) == _letters_and_digits(key):
            return column, key
    number = next(
        (each for each in item.columns if re.search(rf"^{whose}?(id|link)$", _letters_and_digits(each))), None
    )
    for column in table.columns:
        if number is not None and re.search(rf"^(i|wh)?{whose}(id|link)$", _letters_and_digits(column)):
            return column, number
        if re.search(rf"^{whose}(code|no|num|number)?$", _letters_and_digits(column)):
            return column, key
    return None


def _display_value(value: str | None) -> str:
    text = "NULL" if value is None else " ".join(value.split()) or "(blank)"
    return text if len(text) <= MAX_VALUE_LETTERS else f"{text[: MAX_VALUE_LETTERS - 1]}…"


def _select_some(rest: str, rows: int, dialect: str) -> str:
    """``select <rest>``, limited to ``rows`` rows."""
    before, after = ROW_LIMITS.get(dialect, ("", f" limit {rows}"))
    return f"select {before.format(rows)}{rest}{after.format(rows)}"
