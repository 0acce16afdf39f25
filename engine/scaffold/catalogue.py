"""Read what a database says of its own tables: columns, keys, references, and which of them are views."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from engine.errors import QueryError
from engine.scaffold.vocabulary import ITEM_WORDS, PEOPLE_WORDS, SYSTEM_SCHEMAS, SYSTEM_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.database.connection import Connection

MIN_PREFIX_SHARE = 0.6
"""From which share of the tables a beginning that they have in common is a prefix."""

MIN_PREFIX_TABLES = 3
"""Fewer tables have no prefix in common."""

_INFORMATION_SCHEMA_KEYS = """
select k.table_schema, k.table_name, k.column_name, c.constraint_type, r.unique_constraint_name, u.table_name,
    u.column_name
from information_schema.table_constraints c
join information_schema.key_column_usage k
    on k.constraint_name = c.constraint_name and k.constraint_schema = c.constraint_schema
    and k.table_name = c.table_name
left join information_schema.referential_constraints r
    on r.constraint_name = c.constraint_name and r.constraint_schema = c.constraint_schema
left join information_schema.key_column_usage u
    on u.constraint_name = r.unique_constraint_name and u.constraint_schema = r.unique_constraint_schema
    and u.ordinal_position = k.ordinal_position
where c.constraint_type in ('PRIMARY KEY', 'FOREIGN KEY')
order by k.table_schema, k.table_name, k.ordinal_position
"""

_MYSQL_KEYS = """
select table_schema, table_name, column_name,
    case when constraint_name = 'PRIMARY' then 'PRIMARY KEY' else 'FOREIGN KEY' end, constraint_name,
    referenced_table_name, referenced_column_name
from information_schema.key_column_usage
where table_schema = database() and (constraint_name = 'PRIMARY' or referenced_table_name is not null)
order by table_schema, table_name, ordinal_position
"""

_SQLITE_KEYS = """
select '', t.name, c.name, 'PRIMARY KEY', '', null, null
from sqlite_master as t, pragma_table_info(t.name) as c where t.type = 'table' and c.pk > 0
union all
select '', t.name, f."from", 'FOREIGN KEY', '', f."table", f."to"
from sqlite_master as t, pragma_foreign_key_list(t.name) as f where t.type = 'table'
"""

_DUCKDB_KEYS = """
select schema_name, table_name, unnest(constraint_column_names), constraint_type, '', referenced_table,
    unnest(referenced_column_names)
from duckdb_constraints() where constraint_type in ('PRIMARY KEY', 'FOREIGN KEY')
"""

_POSTGRES_KEYS = """
select n.nspname::text, c.relname::text, a.attname::text,
    case k.contype when 'p' then 'PRIMARY KEY' else 'FOREIGN KEY' end, k.conname::text, target.relname::text,
    target_column.attname::text
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral unnest(k.conkey) with ordinality as part (number, place)
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = part.number
left join pg_catalog.pg_class target on target.oid = k.confrelid
left join pg_catalog.pg_attribute target_column
    on target_column.attrelid = k.confrelid and target_column.attnum = k.confkey[part.place]
where k.contype in ('p', 'f')
order by 1, 2, part.place
"""
"""PostgreSQL's information schema shows constraints to those alone who may write."""

KEYS_SQL = {
    "sqlite": _SQLITE_KEYS,
    "duckdb": _DUCKDB_KEYS,
    "mysql": _MYSQL_KEYS,
    "postgres": _POSTGRES_KEYS,
    "tsql": _INFORMATION_SCHEMA_KEYS,
}
"""By dialect: a SELECT of each column of a key, with schema, table, column, kind, and what it refers to."""

VIEWS_SQL = {
    "sqlite": "select '', name from sqlite_master where type = 'view'",
    **dict.fromkeys(
        ("tsql", "postgres", "mysql", "duckdb"),
        "select table_schema, table_name from information_schema.tables where table_type = 'VIEW'",
    ),
}
"""By dialect: a SELECT of schema and name of each view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A column that refers to a column of another table."""

    column: str
    table: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or view of the database.

    ``columns`` are its columns' types in lower case, by name. ``stem`` is its name without what most tables of the
    database begin with. ``key`` are the columns of its primary key; none where the database names none.
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    stem: str = ""
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    view: bool = False

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words that the name consists of, in lower case."""
        return name_words(self.stem or self.name)

    @cached_property
    def letters(self) -> str:
        """The stem, reduced to letters and digits."""
        return letters_and_digits(self.stem or self.name)

    @cached_property
    def single_key(self) -> str | None:
        """The column that alone identifies a row: of the primary key, or by its name; None where there is none."""
        if self.key:
            return self.key[0] if len(self.key) == 1 else None
        whose = rf"({re.escape(self.letters)}|{re.escape(_singular(self.letters))}|{ITEM_WORDS}|{PEOPLE_WORDS})"
        fitting = rf"^(id|rowid|{whose}id|id{whose}|pk{whose}|{whose}(link|key))$"
        return next((each for each in self.columns if re.search(fitting, letters_and_digits(each))), None)


class Catalogue:
    """All tables, and who refers to whom: as the database says, or else as columns are called."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self._by_name = {each.name.lower(): each for each in self.tables}
        self._columns: dict[str, list[tuple[Table, str]]] = {}
        for table in self.tables:
            for column in table.columns:
                self._columns.setdefault(letters_and_digits(column), []).append((table, column))
        self._declared: dict[str, list[tuple[Table, Reference]]] = {}
        for table in self.tables:
            for each in table.references:
                self._declared.setdefault(each.table.lower(), []).append((table, each))
        self._found: dict[str, dict[str, tuple[Table, str, str]]] = {}

    def find(self, name: str) -> Table | None:
        """The table of a name, with or without its schema, in any case."""
        return self._by_name.get(name.rpartition(".")[2].strip('[]"`').lower())

    def referring(self, table: Table) -> dict[str, tuple[Table, str, str]]:
        """The tables that refer to ``table``, by name: each with its column and the column of ``table``."""
        if table.name not in self._found:
            found: dict[str, tuple[Table, str, str]] = {}
            for other, each in self._declared.get(table.name.lower(), ()):
                target = each.target if each.target in table.columns else table.single_key
                if other is not table and target is not None:
                    found.setdefault(other.name, (other, each.column, target))
            for name, target in _reference_names(table):
                for other, column in self._columns.get(name, ()):
                    declared = any(each.column == column for each in other.references)
                    if other is not table and not declared:
                        found.setdefault(other.name, (other, column, target))
            self._found[table.name] = found
        return self._found[table.name]

    def parents(self, table: Table) -> Iterator[tuple[Table, str, str]]:
        """The tables that ``table`` refers to: each with the column of ``table`` and its own."""
        seen = set()
        for each in table.references:
            parent = self._by_name.get(each.table.lower())
            if parent is not None and parent is not table:
                seen.add(parent.name)
                yield parent, each.column, each.target if each.target in parent.columns else parent.single_key or ""
        for parent in self.tables:
            if parent.name in seen or parent is table or parent.single_key is None:
                continue
            found = self.referring(parent).get(table.name)
            if found is not None and found[1] != table.single_key:
                yield parent, found[1], found[2]


def _reference_names(table: Table) -> Iterator[tuple[str, str]]:
    """Names of columns, as letters and digits, that refer to a table, and the column of it that they mean."""
    key = table.single_key
    if key is None:
        return
    plain = letters_and_digits(key)
    if plain not in {"id", "rowid", "code", "name", "key", "ref", "number", "no"}:
        yield plain, key
    for whose in dict.fromkeys((table.letters, _singular(table.letters))):
        for name in (f"{whose}id", f"id{whose}", f"fk{whose}", f"{whose}fk", f"{whose}link", f"{whose}ref"):
            yield name, key


def read_catalogue(connection: Connection, dialect: str) -> Catalogue:
    """Read the tables that the login sees, with their keys and references where the database's dialect can be asked."""
    tables: dict[tuple[str, str], dict[str, str]] = {}
    for schema, name, column, kind in connection.list_columns():
        if not (SYSTEM_SCHEMAS.fullmatch(schema) or SYSTEM_TABLES.fullmatch(name)):
            tables.setdefault((schema, name), {})[column] = kind.lower()
    keys: dict[str, list[str]] = {}
    references: dict[str, list[Reference]] = {}
    for _, name, column, kind, _, target_table, target in _asked(connection, KEYS_SQL.get(dialect)):
        if kind == "PRIMARY KEY":
            keys.setdefault(name.lower(), []).append(column)
        elif target_table:
            references.setdefault(name.lower(), []).append(
                Reference(column=column, table=target_table, target=target or "")
            )
    views = {name.lower() for _, name in _asked(connection, VIEWS_SQL.get(dialect))}
    prefix = common_prefix([name for _, name in tables])
    return Catalogue(
        [
            Table(
                schema=schema,
                name=name,
                columns=columns,
                stem=name[len(prefix) :],
                key=tuple(dict.fromkeys(keys.get(name.lower(), ()))),
                references=tuple(references.get(name.lower(), ())),
                view=name.lower() in views,
            )
            for (schema, name), columns in sorted(tables.items())
        ]
    )


def _asked(connection: Connection, sql: str | None) -> list[list[Any]]:
    """The rows of a SELECT on the catalogue; none where the database refuses it."""
    if sql is None:
        return []
    try:
        return [
            [None if value is None else str(value) for value in row]
            for batch in connection.read(sql)
            for row in zip(*(part.to_pylist() for part in batch.columns), strict=True)
        ]
    except QueryError:
        return []


def common_prefix(names: Sequence[str]) -> str:
    """What most names of tables begin with, such as ``oc_``, ``llx_``, ``tab`` or ``tbl``; blank for nothing."""
    if len(names) < MIN_PREFIX_TABLES:
        return ""
    beginnings = Counter(
        found[0] for name in names if (found := re.match(r"[A-Za-z0-9]+_|(tab|tbl)(?=[A-Z])|[a-z]{1,3}(?=[A-Z])", name))
    )
    if not beginnings:
        return ""
    prefix, count = beginnings.most_common(1)[0]
    word = letters_and_digits(prefix)
    meaning = re.fullmatch(ITEM_WORDS, word) or re.fullmatch(PEOPLE_WORDS, word)
    return "" if meaning or count < MIN_PREFIX_SHARE * len(names) else prefix


@lru_cache(maxsize=65536)
def letters_and_digits(name: str) -> str:
    """A name in lower case, without accents, reduced to letters and digits."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).lower()
    return re.sub(r"[^a-z0-9]", "", plain)


@lru_cache(maxsize=4096)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a name: parted by anything but letters and digits, and where capitals begin."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return tuple(
        word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z]|[^A-Za-z]|$)|[A-Z]?[a-z]+|[A-Z]+|\d+", plain)
    )


def _singular(letters: str) -> str:
    if letters.endswith("ies"):
        return f"{letters[:-3]}y"
    return letters[:-1] if letters.endswith("s") and not letters.endswith("ss") else letters
