"""Propose a first view of each entity from what a client's database says of its tables, and a few rows.

A proposal is a starting point: every guess is marked with a TODO. Names go from the database into the view, and short
codes such as those of languages and price lists, but no other values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.database.open import open_source
from engine.errors import QueryError, UsageError
from engine.model.fields import ENTITIES
from engine.quoting import alias, literal
from engine.scaffold.candidates import CLEAR_WEIGHT, SAFE_CODE, Finder, first_of
from engine.scaffold.catalogue import read_catalogue
from engine.scaffold.ranking import Ranked, kind_column, rank, weigh, with_rows
from engine.scaffold.sql_text import on_one_line, without_jinja
from engine.scaffold.vocabulary import COLUMN_PATTERNS, DRIVER_DIALECTS, ITEM_WORDS, RELATED_FIELDS
from engine.testing.anonymise import is_personal_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.database.connection import Connection
    from engine.model.settings import SourceSettings
    from engine.scaffold.candidates import Origin
    from engine.scaffold.catalogue import Catalogue, Table

    Choose = Callable[[str, Sequence["Option"]], int]

MAX_SAMPLES = 4
"""How many example values of a column are displayed."""

MAX_VALUE_LETTERS = 28
"""How many letters of an example value are displayed."""

MAX_COUNTED_TABLES = 8
"""Of how many likely tables the rows are counted."""

MAX_OPTIONS = 6
"""Among how many tables or expressions somebody may choose."""

CHOSEN_FIELDS = ("title", "csv_price_tiers", "variants.qty", "email", "first_name")
"""Fields about which somebody at a terminal is asked where several expressions may feed them."""

ROW_LIMITS = {
    **dict.fromkeys(("tsql", "access", "pervasive"), ("top {} ", "")),
    "firebird": ("first {} ", ""),
    "oracle": ("", " fetch first {} rows only"),
}
"""How a dialect limits the rows of a SELECT: the text before its columns and the text at its end; others use LIMIT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Something to choose: what it is, and what speaks for it or what stands in it."""

    label: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What somebody decided before: the table of an entity, and the column or SQL of a field."""

    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A SQL expression that may feed a field, a question about it or blank, and example values, masked if personal."""

    field: str
    expression: str
    doubt: str = ""
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A first view of an entity: its main table, its number of rows (None: unknown), its candidates, and the SQL.

    ``reasons`` say why that table, and ``others`` which it may be instead, with their reasons.
    """

    entity: str
    table: str
    rows: int | None
    candidates: tuple[Candidate, ...]
    sql: str
    reasons: tuple[str, ...] = ()
    others: tuple[Option, ...] = ()


def dialect_of(connection: str | None, database: str | None) -> str | None:
    """The dialect that a connection string's driver or a file's extension implies; None where that is unknown."""
    text = (connection or "").lower()
    if database is not None:
        return "sqlite" if re.search(r"\.(sqlite3?|db3?)$", database.lower()) else "duckdb"
    return next((dialect for pattern, dialect in DRIVER_DIALECTS if re.search(pattern, text)), None)


def introspect(
    settings: SourceSettings, choices: Choices | None = None, choose: Choose | None = None
) -> tuple[Proposal, ...]:
    """Propose a view for each entity that the source has a likely table for.

    1. Read the names of all tables and columns, and which keys refer to which.
    2. Rank the tables of each entity, count the rows of the likeliest, and take the best.
    3. Find its key and what may feed the fields, in it and in the tables that belong to it.
    4. Read a few example values.

    ``choices`` decide for themselves. ``choose`` is asked about what is left to decide, with a question and options; it
    gives the number of one, from 0. Raises :class:`SourceError` where the source cannot be read, and
    :class:`UsageError` where no table looks like products or customers, and where a chosen table is unknown.
    """
    with open_source(settings) as connection:
        catalogue = read_catalogue(connection, settings.dialect)
        introspection = _Introspection(connection, settings.dialect, catalogue, choices or Choices(), choose)
        proposals = tuple(filter(None, (introspection.proposal(entity) for entity in COLUMN_PATTERNS)))
    if not proposals:
        tables = catalogue.tables
        names = ", ".join(sorted(on_one_line(table.name) for table in tables)[:20])
        raise UsageError(
            f"None of the {len(tables)} tables that the login sees looks like products.",
            hint="Name the table with --table, or write views/products.sql by hand."
            f" Tables: {names or 'none; check the rights of the login'}.",
        )
    return proposals


def table_names(settings: SourceSettings) -> tuple[str, ...]:
    """The names of all tables that the login sees. Raises :class:`SourceError` where the source cannot be read."""
    with open_source(settings) as connection:
        return tuple(dict.fromkeys(table for _, table, _, _ in connection.list_columns()))


class _Introspection:
    """Proposes views from one open connection and the tables that it has."""

    def __init__(
        self, connection: Connection, dialect: str, catalogue: Catalogue, choices: Choices, choose: Choose | None
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._catalogue = catalogue
        self._choices = choices
        self._choose = choose
        self._rows_of: dict[str, int | None] = {}
        self._kinds: dict[str, tuple[str, list[str]]] = {}

    def proposal(self, entity: str) -> Proposal | None:
        """Propose a view of ``entity``, None where no table is likely."""
        ranked = self._ranked(entity)
        if not ranked:
            return None
        best = ranked[0]
        table = best.table
        finder = Finder(entity, self._catalogue, table, dialect=self._dialect, ask=self._ask)
        rows, doubt = self._decide_key(entity, finder, table)
        candidates = self._candidates(entity, finder, table, doubt)
        order = [each.name for each in ENTITIES[entity].fields]
        candidates.sort(key=lambda each: order.index(each.field) if each.field in order else len(order))
        others = [each for each in ranked[1:MAX_OPTIONS] if each.score > best.score / 3]
        return Proposal(
            entity=entity,
            table=table.name,
            rows=rows if rows is not None else self._rows_of.get(table.name),
            candidates=tuple(self._sampled(finder, table, candidates, people=entity == "customers")),
            sql=self._view(entity, finder, table, candidates, [each.table.name for each in others]),
            reasons=tuple(each for each in best.reasons if not re.match(r"[\d,]+ rows?$", each)),
            others=tuple(Option(label=each.table.name, detail="; ".join(each.reasons)) for each in others),
        )

    def _ranked(self, entity: str) -> list[Ranked]:
        """The tables that may be the entity's, with the chosen one first."""
        if entity == "products" and not self._kinds:
            self._kinds = dict(self._read_kinds())
        ranked = rank(entity, self._catalogue, {name: kinds[0] for name, (_, kinds) in self._kinds.items()})
        named = self._choices.tables.get(entity)
        if named is not None:
            table = self._catalogue.find(named)
            if table is None:
                close = ", ".join(each.table.name for each in ranked[:3])
                raise UsageError(
                    f"There is no table {named!r} among those that the login sees.",
                    hint=f"Likely ones: {close}." if close else "Check the name, and the rights of the login.",
                )
            chosen = [each for each in ranked if each.table is table]
            return chosen[:1] or [_named_by_hand(table)]
        for each in ranked[:MAX_COUNTED_TABLES]:
            self._rows_of[each.table.name] = self._count(each.table)
        ranked = with_rows(ranked[:MAX_COUNTED_TABLES], self._rows_of)
        if self._choose is not None and len(ranked) > 1:
            options = [
                Option(label=each.table.name, detail="; ".join(each.reasons))
                for each in ranked[:MAX_OPTIONS]
                if each.score > ranked[0].score / 10
            ]
            at = self._choose(f"Which table holds the {entity}?", options) if len(options) > 1 else 0
            ranked.insert(0, ranked.pop(at))
        return ranked

    def _read_kinds(self) -> Iterable[tuple[str, tuple[str, list[str]]]]:
        """The tables that hold many kinds of rows, some of them products: the column of the kind, and those kinds."""
        for table in self._catalogue.tables:
            column = kind_column(table)
            if column is None or not any(weigh(COLUMN_PATTERNS["products"]["title"], each) for each in table.columns):
                continue
            finder = Finder("products", self._catalogue, table, dialect=self._dialect, ask=self._ask)
            name = finder.column(table, column)
            rows = self._ask(f"select distinct {name} from {finder.table(table)}", 100)  # noqa: S608 - names
            kinds = [str(kind) for (kind,) in rows if kind and re.fullmatch(rf"{ITEM_WORDS}(_\w+)?", str(kind).lower())]
            kinds = sorted(kind for kind in kinds if SAFE_CODE.fullmatch(kind) or re.fullmatch(r"\w{1,20}", kind))
            if kinds:
                yield table.name, (column, kinds)

    def _count(self, table: Table) -> int | None:
        finder = Finder("products", self._catalogue, table, dialect=self._dialect, ask=self._ask)
        rows = self._ask(f"select count(*) from {finder.table(table)}", 1)  # noqa: S608 - names
        return int(float(rows[0][0] or 0)) if rows else None

    def _decide_key(self, entity: str, finder: Finder, table: Table) -> tuple[int | None, Candidate]:
        """Set the finder's key, and give the number of rows (None: unknown) and the candidate of the key's field."""
        contract = ENTITIES[entity]
        named = self._choices.columns.get(contract.key)
        codes = finder.codes()
        counted = [each.column for each in codes if each.column][:4]
        highest = [
            column
            for column in table.columns
            if any(weigh(words, column) for name, words in COLUMN_PATTERNS[entity].items() if name not in _NO_HIGHEST)
        ]
        rows, distinct = self._read_facts(finder, table, counted, highest)
        for origin in [each for each in codes if not each.column]:
            rest = f"{finder.table(table)}{self._where(finder, table)}"
            found = self._ask(f"select count(distinct {origin.expression}) from {rest}", 1)  # noqa: S608 - names
            distinct[origin.expression] = int(float(found[0][0] or 0)) if found else 0
        told = {each.expression: distinct.get(each.column or each.expression, 0) for each in codes}
        if named is not None:
            finder.key = named
            return rows, Candidate(field=contract.key, expression=finder.named(named, contract.key))
        if not codes:
            return rows, Candidate(field=contract.key, expression="''", doubt="no column looks like a code")
        if rows is None:
            best = codes[0]
        else:
            full = [each for each in codes if told[each.expression] == rows and each.weight >= 1]
            filled = [each for each in codes if told[each.expression] > 1 or rows <= 1]
            best = (full or filled or codes)[0]
        finder.key = best.column or best.expression
        repeated = 0 if rows is None else rows - told[best.expression]
        doubt = f"{repeated:,} rows repeat another's code, or have none: what tells them apart?" if repeated else ""
        return rows, Candidate(field=contract.key, expression=best.expression, doubt=doubt or best.doubt)

    def _read_facts(
        self, finder: Finder, table: Table, counted: Sequence[str], highest: Sequence[str]
    ) -> tuple[int | None, dict[str, int]]:
        """The number of rows, how many different values columns have, and the highest value of others."""
        name = finder.table(table) + self._where(finder, table)
        parts = ["count(*)", *(f"count(distinct {finder.column(table, each)})" for each in counted)]
        most = [f"max({finder.column(table, each)})" for each in highest]
        for asked in ([*parts, *most], parts):  # some types have no highest value
            found = self._ask(f"select {', '.join(asked)} from {name}", 1)  # noqa: S608 - names
            if found:
                numbers = [int(float(value or 0)) for value in found[0][: len(parts)]]
                if len(asked) > len(parts):
                    finder.highest = dict(zip(highest, found[0][len(parts) :], strict=True))
                if not numbers[0]:
                    finder.highest = {}
                return numbers[0], dict(zip(counted, numbers[1:], strict=True))
        return None, {}  # Access and some drivers know no count(distinct)

    def _candidates(self, entity: str, finder: Finder, table: Table, key: Candidate) -> list[Candidate]:
        """What feeds each field."""
        contract = ENTITIES[entity]
        found = [key]
        if entity == "products":
            code = key.expression
            found += [
                Candidate(
                    field="source_product_code",
                    expression=code,
                    doubt="each item is a product of its own; if sizes and colours have a code in common, it belongs"
                    " here",
                ),
                Candidate(field="variants.sku", expression=code),
                Candidate(field="variants.inventory_management", expression="1"),
            ]
        for name in COLUMN_PATTERNS[entity]:
            if name == "code" or name in self._choices.columns:
                continue
            if name == contract.flag:
                found.append(self._flag(name, finder))
                continue
            origin = self._chosen(name, finder, table)
            if origin is not None:
                found.append(Candidate(field=name, expression=origin.expression, doubt=origin.doubt))
            elif name == "last_name":
                found.append(Candidate(field=name, expression="''", doubt="no column is called so"))
        chosen = {
            name: Candidate(field=name, expression=finder.named(text, name))
            for name, text in self._choices.columns.items()
            if contract.resolve(name) is not None
        }
        return [each for each in found if each.field not in chosen] + [*chosen.values()]

    def _flag(self, name: str, finder: Finder) -> Candidate:
        """The flag: a column that is clearly meant for Stock2Shop, or every row with a question."""
        origins = finder.origins(name)
        clear = next((each for each in origins if each.column and each.weight - 2 >= CLEAR_WEIGHT), None)
        if clear is not None:
            doubt = "are its values words that stand for Active, Delete and Ignore? See `active` in project.toml"
            return Candidate(field=name, expression=clear.expression, doubt=doubt)
        column = next((each.column for each in origins if each.column), "")
        doubt = f"does {column} say which should go?" if column else "which should go?"
        return Candidate(field=name, expression="'Yes'", doubt=f"this sends every row: {doubt}")

    def _chosen(self, name: str, finder: Finder, table: Table) -> Origin | None:
        """What feeds a field: the likeliest, or what somebody chooses."""
        origins = [each for each in finder.origins(name) if each.weight > 0][:MAX_OPTIONS]
        best = first_of(origins)
        if self._choose is None or name not in CHOSEN_FIELDS or len(origins) < 2 or best is None:  # noqa: PLR2004 - one is no choice
            return best
        people = name in {"email", "first_name"}
        values = self._values(finder, table, [each.expression for each in origins])
        options = [
            Option(
                label=each.expression,
                detail=" · ".join("***" if people else _display_value(one) for one in values.get(each.expression, [])),
            )
            for each in origins
        ]
        return origins[self._choose(f"What is {name}?", options)]

    def _sampled(
        self, finder: Finder, table: Table, candidates: Sequence[Candidate], *, people: bool
    ) -> Iterable[Candidate]:
        """The candidates with example values; those that may be personal are masked."""
        wanted = list(dict.fromkeys(each.expression for each in candidates if "." in each.expression))
        values = self._values(finder, table, wanted)
        if not values:  # the database refused one of them, so each is read on its own
            values = {
                expression: each for one in wanted for expression, each in self._values(finder, table, [one]).items()
            }
        for each in candidates:
            hidden = (people and each.field != ENTITIES["customers"].flag) or is_personal_column(each.expression)
            yield replace(
                each,
                samples=tuple(
                    "***" if value and hidden else _display_value(value) for value in values.get(each.expression, ())
                ),
            )

    def _values(self, finder: Finder, table: Table, expressions: Sequence[str]) -> dict[str, list[str | None]]:
        where = self._where(finder, table)
        rest = f"{', '.join(expressions)} from {finder.table(table)}{where}"
        rows = self._ask(_select_some(rest, MAX_SAMPLES, self._dialect), MAX_SAMPLES) if expressions else []
        return (
            {expression: [row[place] for row in rows] for place, expression in enumerate(expressions)} if rows else {}
        )

    def _where(self, finder: Finder, table: Table) -> str:
        """The condition that leaves the products of a table of many kinds."""
        if table.name not in self._kinds:
            return ""
        column, kinds = self._kinds[table.name]
        values = ", ".join(literal(kind, self._dialect) for kind in kinds)
        return f" where {finder.column(table, column)} in ({values})"

    def _ask(self, sql: str, limit: int) -> list[list[str | None]]:
        """At most ``limit`` rows of a SELECT, as texts; none where the database refuses it."""
        try:
            rows = (
                [None if value is None else str(value) for value in row]
                for batch in self._connection.read(sql)
                for row in zip(*(part.to_pylist() for part in batch.columns), strict=True)
            )
            return list(islice(rows, limit))
        except QueryError:
            return []

    def _view(
        self, entity: str, finder: Finder, table: Table, candidates: Sequence[Candidate], others: Sequence[str]
    ) -> str:
        lines = [
            "-- Proposed from what the database says of its tables. Each TODO is a guess: check it, then remove it."
        ]
        if others:
            lines.append(f"-- TODO: {on_one_line(', '.join(others))} may be the table as well.")
        if entity == "products":
            lines += [f"-- TODO: {on_one_line(each)}." for each in finder.seen()]
        lines.append("select")
        for number, each in enumerate(candidates):
            if each.doubt:
                lines.append(f"    -- TODO: {on_one_line(each.doubt)}")
            comma = "," if number < len(candidates) - 1 else ""
            lines.append(f"    {each.expression} as {alias(each.field, self._dialect)}{comma}")
        had = {each.field for each in candidates}
        lines += [f"    -- TODO: no column looks like {name}" for name, *_ in RELATED_FIELDS[entity] if name not in had]
        end = f"from {finder.table(table)}\n{self._where(finder, table).strip()}"
        return without_jinja("\n".join([*lines, end.rstrip(), ""]))


_NO_HIGHEST = frozenset({"product_active", "customer_active", "vendor", "product_type"})
"""Fields of which no highest value is read: flags have none in some databases."""


def _named_by_hand(table: Table) -> Ranked:
    """A table that somebody chose although nothing speaks for it."""
    return Ranked(table=table, score=1, reasons=("it was named",))


def _display_value(value: str | None) -> str:
    text = "NULL" if value is None else " ".join(value.split()) or "(blank)"
    return text if len(text) <= MAX_VALUE_LETTERS else f"{text[: MAX_VALUE_LETTERS - 1]}…"


def _select_some(rest: str, rows: int, dialect: str) -> str:
    """``select <rest>``, limited to ``rows`` rows."""
    before, after = ROW_LIMITS.get(dialect, ("", f" limit {rows}"))
    return f"select {before.format(rows)}{rest}{after.format(rows)}"
