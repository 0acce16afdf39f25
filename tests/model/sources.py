"""The client's database: one table of texts and a few switches, on SQLite, DuckDB or PostgreSQL by ODBC.

The views read the table as it stands. ``hidden`` holds the rows that a read does not see, as a replica that lags
behind does not; ``mode`` makes a read empty, or has it break off on the way.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from support.servers import Postgres

Row = dict[str, str | None]

PRODUCT_COLUMNS = (
    "product",
    "code",
    "title",
    "active",
    "prices",
    "price",
    "trade",
    "qty",
    "cape",
    "sku",
    "track",
    "size",
    "vendor",
    "tags",
    "season",
    "barcode",
)

CUSTOMER_COLUMNS = (
    "code",
    "active",
    "email",
    "first",
    "last",
    "news",
    "tier",
    "street",
    "city",
    "street2",
    "city2",
    "note",
)

COLUMNS = {"products": PRODUCT_COLUMNS, "customers": CUSTOMER_COLUMNS}

_LAST = (
    "(select mode from switch) = 'broken'"
    " and row_no = (select max(row_no) from item where row_no not in (select row_no from hidden))"
)
BREAKING = {
    "sqlite": f"case when {_LAST} then json('{{' || row_no) else COLUMN end",
    "duckdb": f"case when {_LAST} then cast(cast('x' || row_no as integer) as varchar) else COLUMN end",
    "postgres": f"case when {_LAST} then cast(cast('x' || row_no as integer) as varchar) else COLUMN end",
}
"""An expression that fails at one row, once the read is under way."""


class Source(Protocol):
    """A database that the history edits and the engine reads."""

    dialect: str

    def settings(self) -> str:
        """The lines under [source] in project.toml that name the database."""

    def execute(self, statements: Sequence[tuple[str, Sequence[str | None]]]) -> None:
        """Run statements, each with its values for ``?``, in one transaction."""

    def close(self) -> None:
        """Leave the database."""


class Sqlite:
    """A SQLite file."""

    dialect = "sqlite"

    def __init__(self, root: Path) -> None:
        self._path = root / "erp.sqlite"

    def settings(self) -> str:
        """The file, from the project's folder."""
        return 'database = "erp.sqlite"'

    def execute(self, statements: Sequence[tuple[str, Sequence[str | None]]]) -> None:
        """Run statements."""
        with closing(sqlite3.connect(self._path)) as connection:
            for sql, values in statements:
                connection.execute(sql, values)
            connection.commit()

    def close(self) -> None:
        """There is nothing to leave."""


class DuckDb:
    """A DuckDB file."""

    dialect = "duckdb"

    def __init__(self, root: Path) -> None:
        self._path = root / "erp.duckdb"

    def settings(self) -> str:
        """The file, from the project's folder."""
        return 'database = "erp.duckdb"'

    def execute(self, statements: Sequence[tuple[str, Sequence[str | None]]]) -> None:
        """Run statements."""
        import duckdb

        with duckdb.connect(str(self._path), config={"threads": 1}) as connection:
            connection.begin()
            for sql, values in statements:
                connection.execute(sql, list(values))
            connection.commit()

    def close(self) -> None:
        """There is nothing to leave."""


class PostgresDatabase:
    """A database of its own on a real PostgreSQL server."""

    dialect = "postgres"

    def __init__(self, server: Postgres) -> None:
        import pyodbc

        self._server = server
        self._name = server.fresh_database()
        self._connection: Any = pyodbc.connect(server.connection(self._name, login="admin"))

    def settings(self) -> str:
        """The connection string of a login that may only read."""
        return f"connection = '''{self._server.connection(self._name)}'''"

    def execute(self, statements: Sequence[tuple[str, Sequence[str | None]]]) -> None:
        """Run statements."""
        for sql, values in statements:
            self._connection.execute(sql, *values)
        self._connection.commit()

    def close(self) -> None:
        """Leave, and drop the database."""
        self._connection.close()
        self._server.execute("postgres", f"drop database {self._name} with (force)")


def create(source: Source, entity: str) -> None:
    """Make the empty tables."""
    columns = ", ".join(f"{name} varchar(200)" for name in COLUMNS[entity])
    source.execute(
        [
            (f"create table item (row_no varchar(20), {columns})", ()),
            ("create table hidden (row_no varchar(20))", ()),
            ("create table switch (mode varchar(20))", ()),
            ("insert into switch values ('whole')", ()),
        ]
    )


def write(source: Source, entity: str, rows: Mapping[int, Row], hidden: frozenset[int], mode: str) -> None:
    """Let the database hold exactly this."""
    names = COLUMNS[entity]
    marks = ", ".join("?" * (len(names) + 1))
    source.execute(
        [
            ("delete from item", ()),
            ("delete from hidden", ()),
            ("update switch set mode = ?", (mode,)),
            *(
                (f"insert into item values ({marks})", (str(number), *(row[name] for name in names)))
                for number, row in rows.items()
            ),
            *(("insert into hidden values (?)", (str(number),)) for number in sorted(hidden)),
        ]
    )


def view(entity: str, dialect: str, columns: Mapping[str, str]) -> str:
    """The view's SQL; ``columns`` gives a field's name for each column of the table that is mapped."""
    breaking = "title" if entity == "products" else "last"
    selected = []
    for column, name in columns.items():
        expression = BREAKING[dialect].replace("COLUMN", column) if column == breaking else column
        selected.append(f'    {expression} as "{name}"')
    listed = ",\n".join(selected)
    return (
        f"select\n{listed}\nfrom item\nwhere\n    (select mode from switch) <> 'empty'\n"
        "    and row_no not in (select row_no from hidden)\n"
    )
