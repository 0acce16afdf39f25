"""Read from a source's catalogue what the types of a table's columns are, in the database's own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import QueryError
from engine.quoting import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.database.connection import Connection

_STANDARD = """
    select column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, {collation}, is_nullable
    from information_schema.columns where lower(table_name) = {table}{schema}"""

_MYSQL = """
    select column_name, column_type, null, null, null, collation_name, is_nullable
    from information_schema.columns where lower(table_name) = {table} and table_schema = database()"""

_POSTGRES = """
    select column_name, case when data_type = 'USER-DEFINED' then udt_name else data_type end, character_maximum_length,
        numeric_precision, numeric_scale, null, is_nullable
    from information_schema.columns where lower(table_name) = {table}{schema}"""

_ORACLE = """
    select column_name, data_type, char_length, data_precision, data_scale, null, nullable
    from all_tab_columns where lower(table_name) = {table}"""

_HANA = """
    select column_name, data_type_name, length, length, scale, null, is_nullable
    from sys.table_columns where lower(table_name) = {table}"""

_SIZED_TEXT = re.compile("char", re.IGNORECASE)
_SIZED_NUMBER = re.compile("dec|numeric|number", re.IGNORECASE)


def read_catalogue_types(connection: Connection, table: str, dialect: str) -> dict[str, str]:
    """Return the type of each column of a table, by the column's name in lower case; none where nothing is known.

    A type reads like ``numeric(12,4) not null``, as :func:`engine.testing.column_types.parse_type` reads it again.
    """
    schema, _, name = table.rpartition(".")
    if dialect == "sqlite":
        return dict(_sqlite_types(connection, name))
    asked = {"mysql": _MYSQL, "postgres": _POSTGRES, "oracle": _ORACLE, "hana": _HANA}.get(dialect, _STANDARD)
    owner = schema.rpartition(".")[2].lower()
    sql = asked.format(
        table=literal(name.lower(), dialect),
        schema=f" and lower(table_schema) = {literal(owner, dialect)}" if owner else "",
        collation="collation_name" if dialect in {"tsql", "duckdb"} else "null",
    )
    try:
        return {str(row[0]).lower(): _written(*row[1:]) for row in _rows(connection, sql)}
    except QueryError:
        return {}


def _rows(connection: Connection, sql: str) -> Iterator[tuple[object, ...]]:
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
        info = list(_rows(connection, f'select name, type, "notnull" from pragma_table_info({named})'))  # noqa: S608 - a quoted literal
        made = list(_rows(connection, f"select sql from sqlite_master where lower(name) = lower({named})"))  # noqa: S608 - as above
    except QueryError:
        return
    text = str(made[0][0]) if made else ""
    for column, kind, required in info:
        name = re.escape(str(column))
        found = re.search(rf"(?i)(?<![\w]){name}[\"'`\]]?\s[^,]*?\bcollate\s+(\w+)", text)
        collated = f" collate {found[1].lower()}" if found else ""
        yield str(column).lower(), f"{str(kind).lower()}{collated}{' not null' if str(required) == '1' else ''}"
