"""Expressions that a view may have, and the table of hard rows on which they are compared between databases."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from contextlib import closing, contextmanager
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from engine.config.loader import load
from engine.database.open import open_source
from engine.errors import ViewError
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.query import Query
from engine.model.settings import SourceSettings
from engine.testing.capture import capture_fixtures
from engine.testing.fixture_database import create_fixture_database, load_fixtures
from engine.testing.fixtures import read_fixture
from support.mapping import PROJECT, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from support.servers import MariaDb, Postgres

    Rows = list[tuple[Any, ...]]

FOLDER = Path(__file__).parent.parent / "mapping" / "constructs"

COLUMNS = {
    "id": "integer",
    "n": "integer",
    "m": "integer",
    "big": "bigint",
    "price": "decimal(12, 4)",
    "amount": "decimal(9, 2)",
    "weight": "double precision",
    "name": "varchar(40)",
    "code": "varchar(10)",
    "digits": "varchar(10)",
    "list": "varchar(20)",
    "grp": "varchar(3)",
    "made": "date",
    "made2": "date",
    "seen": "timestamp",
    "day8": "varchar(8)",
    "flag": "boolean",
    "js": "jsonb",
}
"""The columns of the table ``probe``, with PostgreSQL's types."""

DIALECT_TYPES = {
    "postgres": {},
    "mysql": {"jsonb": "text", "boolean": "tinyint(1)", "timestamp": "datetime", "double precision": "double"},
    "sqlite": {"jsonb": "text", "boolean": "integer", "double precision": "real"},
}
"""What the other databases call those types."""

DUCKDB_TYPES = {
    "postgres": {"jsonb": "json", "double precision": "double"},
    "mysql": {"jsonb": "varchar", "boolean": "tinyint", "double precision": "double"},
    "sqlite": {"jsonb": "varchar", "boolean": "integer", "double precision": "double"},
}
"""What DuckDB calls them."""


def rows() -> tuple[tuple[str | None, ...], ...]:
    """The rows of the table: NULL, blanks, other letters, ties, negatives, many digits, ends of months, leap days."""
    return read_fixture(FOLDER / "probe.csv").rows


def _literal(value: str | None, kind: str, dialect: str) -> str:
    if value is None:
        return "null"
    if kind == "boolean":
        return value if dialect in {"postgres", "duckdb"} else str(int(value == "true"))
    if dialect == "mysql" and re.search("[^\x00-\x7f]", value):
        return f"x'{value.encode().hex()}'"  # MariaDB Connector/ODBC 3.1.15 damages its memory with such a statement
    return "'" + value.replace("'", "''") + "'"


def statements(dialect: str, *, table: str = "probe") -> list[str]:
    """The statements that make the table in a database of ``dialect``."""
    types = DIALECT_TYPES[dialect]
    return _statements(types, dialect, table)


def duckdb_statements(dialect: str, *, table: str = "probe") -> list[str]:
    """The statements that make the same table in DuckDB, for the rehearsal of ``dialect``."""
    own = "sqlite" if dialect in {"mysql", "sqlite"} else "duckdb"
    return _statements(DUCKDB_TYPES.get(dialect, DUCKDB_TYPES["postgres"]), own, table)


def _statements(types: dict[str, str], dialect: str, table: str) -> list[str]:
    columns = ", ".join(f"{name} {types.get(kind, kind)}" for name, kind in COLUMNS.items())
    kinds = list(COLUMNS.values())
    literals = [[_literal(value, kind, dialect) for value, kind in zip(row, kinds, strict=True)] for row in rows()]
    values = ", ".join(f"({', '.join(row)})" for row in literals)
    texts = " character set utf8mb4 collate utf8mb4_nopad_bin" if dialect == "mysql" else ""
    return [f"create table {table} ({columns}){texts}", f"insert into {table} values {values}"]


def duckdb_types(dialect: str) -> dict[str, str]:
    """The types in DuckDB of the columns, by name."""
    types = DUCKDB_TYPES.get(dialect, DUCKDB_TYPES["postgres"])
    return {name: types.get(kind, kind) for name, kind in COLUMNS.items()}


def constructs(dialect: str) -> dict[str, dict[str, Any]]:
    """The expressions of a dialect by topic; each topic has ``equal``, a list, and ``refused``, a table of names."""
    return tomli.loads((FOLDER / f"{dialect}.toml").read_text("utf-8"))


def canonical(rows: Rows, *, exact: bool = True) -> list[tuple[str | None, ...]]:
    """Rows as staging sees them, whatever their order: as texts, in which 2.7500 is 2.75 and true is 1."""

    def text(value: Any) -> str | None:
        if value is None:
            return None
        said = {"True": "1", "False": "0", "t": "1", "f": "0", "true": "1", "false": "0"}.get(str(value), str(value))
        try:
            number = Decimal(said)
            tiny = abs(number) < Decimal("1e-9")
        except DecimalException:
            return said
        if tiny:
            return "0"
        # An odd place for the cut: halfway is where the last bit of a binary fraction would show.
        return f"{number.normalize():.12e}" if exact else f"{number * Decimal('1.000000000271'):.8e}"

    return sorted((tuple(map(text, row)) for row in rows), key=repr)


def make_source(dialect: str, folder: Path, *, postgres: Postgres, mariadb: MariaDb) -> SourceSettings:
    """The table ``probe`` in a new database of ``dialect``, as a source; ``folder`` is for a file of SQLite's."""
    if dialect == "sqlite":
        path = folder / "probe.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements(dialect):
                connection.execute(statement)
            connection.commit()
        return SourceSettings(dialect=dialect, database=path)
    if dialect == "mysql":
        database = mariadb.fresh_database()
        mariadb.execute(database, *statements(dialect))
        exactly = ("set collation_connection = utf8mb4_nopad_bin",)
        return SourceSettings(dialect=dialect, connection=mariadb.connection(database), session=exactly)
    database = f"probe_{postgres.fresh_database()}"  # with letters beyond ASCII that have a case
    postgres.execute("postgres", f"create database {database} encoding 'UTF8' template template0 locale 'C.UTF-8'")
    postgres.execute(database, *statements(dialect), "grant select on probe to public")
    return SourceSettings(dialect=dialect, connection=postgres.connection(database))


def read_rows(source: SourceSettings, sql: str) -> Rows:
    """What a database gives for a SELECT, by the engine's own reader."""
    rows: Rows = []
    with open_source(source) as connection:
        for batch in connection.read(sql):
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return rows


def require_equal(rehearsal: Rehearsal, source: SourceSettings, sql: str) -> None:
    """Assert that the rehearsal accepts a SELECT, and gives what the database gives."""
    given = rehearsal(sql)
    assert not isinstance(given, str), (sql, given)
    assert canonical(given) == canonical(read_rows(source, sql)), sql


def documented() -> list[dict[str, Any]]:
    """What manuals say: the dialect, a SELECT, what it gives, and the page."""
    found: list[dict[str, Any]] = tomli.loads((FOLDER / "documented.toml").read_text("utf-8"))["documented"]
    return found


@contextmanager
def captured(source: SourceSettings, tables: dict[str, Iterable[str]], workspace: Path) -> Iterator[Rehearsal]:
    """The fixtures that are captured of these tables and columns, loaded, as a rehearsal of the source's dialect.

    The columns must be some that a view may show, and the first of each table a code.
    """
    address = f'database = "{source.database}"' if source.database else f"connection = {json.dumps(source.connection)}"
    session = f"session = {json.dumps(list(source.session))}"
    root = workspace / "projects" / "acme"
    settings = re.sub("connection = .*", lambda _: f"{address}\n{session}", PROJECT.format(dialect=source.dialect))
    quote = "`" if source.dialect == "mysql" else '"'
    shown = [f"{table}.{column} as meta_{table}_{column}" for table, columns in tables.items() for column in columns]
    (first, *others) = tables
    code = f"{first}.{next(iter(tables[first]))}"
    required = ["source_product_code", "source_variant_code", "title", "product_active", "csv_price_tiers"]
    outputs = [f"{code} as {name}" for name in required] + [
        f"{code} as {quote}variants.{name}{quote}" for name in ("qty", "sku")
    ]
    joins = "".join(f" cross join {table}" for table in others)
    write(root / "project.toml", settings)
    write(root / "views" / "products.sql", f"select {', '.join([*outputs, *shown])} from {first}{joins}")
    environ = {"TEST_URL": "http://127.0.0.1:9", "TEST_USER": "u", "TEST_PASSWORD": "p", "TEST_HOST": "h"}
    project = load("acme", workspace=workspace, environ=environ)
    capture_fixtures(project, rows=1000, stop=threading.Event())
    with create_fixture_database(workspace / "fixtures.duckdb") as connection:
        kinds = load_fixtures(connection, root, schema="client0", dialect=source.dialect)
        connection.execute("set disabled_optimizers = 'common_subexpressions'")
        yield Rehearsal(connection, kinds, source.dialect)


class Rehearsal:
    """Runs SELECTs on captured fixtures."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kinds: dict[str, dict[str, str]], dialect: str) -> None:
        self.connection, self.kinds, self.dialect = connection, kinds, dialect

    def __call__(self, sql: str) -> Rows | str:
        """What the fixtures give for a SELECT: rows, or why it is refused."""
        import duckdb

        try:
            query = Query(sql=sql, path=Path("views/products.sql"))
            return self.connection.execute(to_duckdb(query, dialect=self.dialect, columns=self.kinds)).fetchall()
        except ViewError as error:
            return error.diagnostics[0].message
        except duckdb.Error as error:
            return str(error)
