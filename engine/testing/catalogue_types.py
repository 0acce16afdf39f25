"""Read from a source's catalogue what the types of a table's columns are, in the database's own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import QueryError
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.database.connection import Connection

_STANDARD = """
    select column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, {collation}, is_nullable
    from {catalogue}information_schema.columns where lower(table_name) = {table} and {schema}"""

_MYSQL = """
    select column_name, column_type, null, null, null, collation_name, is_nullable
    from information_schema.columns where lower(table_name) = {table} and {schema}"""

_POSTGRES = """
    select a.attname, case when t.typtype = 'e' then 'enum' when t.typcategory = 'A' then 'array'
        when n.nspname <> 'pg_catalog' then t.typname
        else format_type(t.oid, case d.typtype when 'd' then d.typtypmod else a.atttypmod end) end,
        null, null, null, null, case when a.attnotnull or d.typnotnull then 'NO' end
    from pg_attribute a
    join pg_type d on d.oid = a.atttypid
    join pg_type t on t.oid = case d.typtype when 'd' then d.typbasetype else d.oid end
    join pg_namespace n on n.oid = t.typnamespace
    where a.attrelid = to_regclass({named}) and a.attnum > 0 and not a.attisdropped"""

_ORACLE = """
    select column_name, data_type, char_length, data_precision, data_scale, null, nullable
    from all_tab_columns where lower(table_name) = {table} and {schema}"""

_HANA = """
    select column_name, data_type_name, length, length, scale, null, is_nullable
    from sys.table_columns where lower(table_name) = {table} and {schema}"""

_SCHEMAS = {
    "mysql": ("lower(table_schema) = {owner}", "table_schema = database()"),
    "tsql": (
        "lower(table_schema) = {owner}",
        # A name alone is one of the login's own schema, and else of dbo.
        """table_schema = case when exists (select 1 from information_schema.tables where lower(table_name) = {table}
        and table_schema = schema_name()) then schema_name() else 'dbo' end""",
    ),
    "duckdb": ("lower(table_schema) = {owner}", "table_schema = current_schema()"),
    "oracle": ("lower(owner) = {owner}", "1 = 1"),
    "hana": ("lower(schema_name) = {owner}", "1 = 1"),
}
"""Which schema a table is of, where its name says one and where it does not."""

_SIZED_TEXT = re.compile("char", re.IGNORECASE)
_SIZED_NUMBER = re.compile("dec|numeric|number", re.IGNORECASE)


def read_catalogue_types(connection: Connection, table: str, dialect: str, *, name: str = "") -> dict[str, str]:
    """Return the type of each column of a table, by the column's name in lower case; none where nothing is known.

    ``table`` is the table as SQL names it, ``name`` the same without quotes. A type reads like
    ``numeric(12,4) not null``, as :func:`engine.testing.column_types.parse_type` reads it again. Where there are
    several tables of that name, and it cannot be told which is meant, nothing is known of what differs.
    """
    catalogue, _, last = (name or table).rpartition(".")
    if dialect == "sqlite":
        return dict(_sqlite_types(connection, last))
    asked = {"mysql": _MYSQL, "postgres": _POSTGRES, "oracle": _ORACLE, "hana": _HANA}.get(dialect, _STANDARD)
    database, _, owner = catalogue.rpartition(".")
    named = {"table": literal(last.lower(), dialect), "owner": literal(owner.lower(), dialect)}
    own, other = _SCHEMAS.get(dialect, ("lower(table_schema) = {owner}", "1 = 1"))
    sql = asked.format(
        **named,
        named=literal(table, dialect),
        schema=(own if owner else other).format(**named),
        collation="collation_name" if dialect in {"tsql", "duckdb"} else "null",
        catalogue=f"{ident(database, dialect)}." if database and dialect == "tsql" else "",
    )
    found: dict[str, set[str]] = {}
    try:
        for row in read_rows(connection, sql):
            found.setdefault(str(row[0]).lower(), set()).add(_written(*row[1:]))
    except QueryError:
        return {}
    return {column: written.pop() for column, written in found.items() if len(written) == 1}


def read_rows(connection: Connection, sql: str) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a SELECT. Raises :class:`QueryError` where the database refuses it."""
    for batch in connection.read(sql):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _written(
    kind: object, length: object, precision: object, scale: object, collation: object, nullable: object
) -> str:
    """Write a type from what the catalogue says of it."""
    text = re.sub(r"^(enum|set)\(.*\)", r"\1", str(kind).lower(), flags=re.DOTALL)
    if "(" not in text:
        size, digits, places = (_number(each) for each in (length, precision, scale))
        if _SIZED_TEXT.search(text) and size is not None:
            text += f"({size})" if size > 0 else "(max)"
        elif _SIZED_NUMBER.search(text) and digits is not None and places is not None:
            text += f"({digits},{places})"
    collated = f" collate {collation}" if collation else ""
    required = " not null" if str(nullable).strip().upper() in {"NO", "N", "FALSE"} else ""
    return f"{text}{collated}{required}"


def _number(value: object) -> int | None:
    """Return a whole number that a driver may give as a number or as a text."""
    found = re.match(r"-?\d+", str(value))
    return None if value is None or found is None else int(found[0])


def _sqlite_types(connection: Connection, table: str) -> Iterator[tuple[str, str]]:
    """Yield the types that a table of SQLite declares; its collations stand in the text of its CREATE TABLE only."""
    named = literal(table, "sqlite")
    try:
        info = list(read_rows(connection, f'select name, type, "notnull" from pragma_table_info({named})'))  # noqa: S608 - a quoted literal
        made = list(read_rows(connection, f"select sql from sqlite_master where lower(name) = lower({named})"))  # noqa: S608 - as above
    except QueryError:
        return
    text = str(made[0][0]) if made else ""
    for column, kind, required in info:
        name = re.escape(str(column))
        found = re.search(rf"(?i)(?<![\w]){name}[\"'`\]]?\s[^,]*?\bcollate\s+(\w+)", text)
        collated = f" collate {found[1].lower()}" if found else ""
        yield str(column).lower(), f"{str(kind).lower()}{collated}{' not null' if str(required) == '1' else ''}"
