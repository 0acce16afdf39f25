"""Hard values, put into real databases and read back: never cut, never silently different.

Each case is SQL for a value and the text that must arrive. Where a driver is wrong and nothing can mend it, the case
says what arrives, and the driver's page and `s2s doctor` say so too.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from engine.model import SourceSettings
from engine.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client
    from support.servers import MariaDb, Postgres

HTML = "<p>é 漢 😀</p>" * 7_200


def read(settings: SourceSettings, query: str) -> list[tuple[str | None, ...]]:
    """Every row as the staging query sees it: as text."""
    with open_source(settings) as connection:
        rows: list[tuple[str | None, ...]] = []
        for batch in connection.read(query):
            columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
            rows += zip(*columns, strict=True)
        return rows


COMMON = [
    ("cast(null as char(1))", None),
    ("''", ""),
    ("'  '", "  "),
    ("'é 漢 😀'", "é 漢 😀"),
    ("cast(1.5 as decimal(18,4))", "1.5000"),
    ("cast(-99999999999999.9999 as decimal(18,4))", "-99999999999999.9999"),
    ("'0'", "0"),
]

POSTGRES = [
    *COMMON,
    ("cast('ab' as char(10))", "ab        "),
    ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ("cast(9223372036854775807 as bigint)", "9223372036854775807"),
    ("cast(-9223372036854775808 as bigint)", "-9223372036854775808"),
    ("cast(0.1 as double precision)", "0.1"),
    ("cast(0.1 as real)", "0.1"),
    ("true", "true"),
    ("false", "false"),
    ("date '2024-02-29'", "2024-02-29"),
    ("date '0001-01-01'", "0001-01-01"),
    ("timestamp '2024-02-29 12:34:56.789'", "2024-02-29 12:34:56.789000"),
    ("cast(timestamptz '2024-02-29 12:34:56+02' at time zone 'UTC' as text)", "2024-02-29 10:34:56"),
    ("decode('00ff', 'hex')", "00ff"),
    # The driver's own, as docs/drivers/postgresql.md says:
    ("cast('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' as uuid)", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
]

MARIADB = [
    *COMMON,
    ("cast(9223372036854775807 as signed)", "9223372036854775807"),
    ("cast(18446744073709551615 as unsigned)", "18446744073709551615"),
    ("cast(0.1 as double)", "0.1"),
    ("date '2024-02-29'", "2024-02-29"),
    ("timestamp '2024-02-29 12:34:56.789'", "2024-02-29 12:34:56.789000"),
    ("cast(time '-12:34:56' as char)", "-12:34:56"),
    ("x'00ff'", "00ff"),
    ("b'1'", "1"),
    ("convert('café €' using latin1)", "café €"),
]

SQLITE = [
    *[(sql, expected) for sql, expected in COMMON if "decimal" not in sql],
    ("9223372036854775807", "9223372036854775807"),
    ("0.1", "0.1"),
    ("-1e300", "-1e+300"),
    ("x'00ff'", "00ff"),
    ("cast(x'636166e9' as text)", "café"),
]

DUCKDB = [
    *COMMON,
    ("170141183460469231731687303715884105727::hugeint", "170141183460469231731687303715884105727"),
    ("18446744073709551615::ubigint", "18446744073709551615"),
    ("0.1::float", "0.1"),
    ("true", "true"),
    ("date '2024-02-29'", "2024-02-29"),
    ("timestamptz '2024-02-29 12:34:56+02'", "2024-02-29 10:34:56+00"),
    ("[1, 2]", "[1, 2]"),
    ("'a'::enum('a', 'b')", "a"),
]


@pytest.mark.parametrize(("sql", "expected"), POSTGRES)
def test_a_value_arrives_from_postgresql(postgres: Postgres, sql: str, expected: str | None) -> None:
    """Through psqlODBC, with its cursor, as the reader."""
    settings = SourceSettings(dialect="postgres", connection=postgres.connection("postgres"))
    assert read(settings, f"select {sql}") == [(expected,)]


@pytest.mark.parametrize(("sql", "expected"), MARIADB)
def test_a_value_arrives_from_mariadb(mariadb: MariaDb, sql: str, expected: str | None) -> None:
    """Through MariaDB Connector/ODBC, as the reader."""
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database))
    assert read(settings, f"select {sql}") == [(expected,)]


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with one table of mixed types."""
    path = tmp_path_factory.mktemp("sqlite") / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table mixed (number integer, day date)")
        connection.execute("insert into mixed values (1, '2024-02-29'), ('text', 'no date'), (null, null)")
        connection.commit()
    return path


@pytest.mark.parametrize(("sql", "expected"), SQLITE)
def test_a_value_arrives_from_a_sqlite_file(sqlite_file: Path, sql: str, expected: str | None) -> None:
    """Through Python's own module."""
    assert read(SourceSettings(dialect="sqlite", database=sqlite_file), f"select {sql}") == [(expected,)]


def test_mixed_types_of_a_sqlite_column_arrive_each_as_its_text(sqlite_file: Path) -> None:
    """SQLite has no types to speak of; nothing becomes NULL for it."""
    rows = read(SourceSettings(dialect="sqlite", database=sqlite_file), "select number, day from mixed")
    assert rows == [("1", "2024-02-29"), ("text", "no date"), (None, None)]


def test_sqliteodbc_drops_text_in_an_integer_column(sqlite_file: Path) -> None:
    """The trap for which its page says to read the file without ODBC."""
    settings = SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={sqlite_file}")
    assert read(settings, "select number from mixed") == [("1",), (None,), (None,)]
    with open_source(settings) as connection:
        assert any("prefer `database" in note for note in connection.describe().notes)


def test_sqliteodbc_gives_integers_of_64_bits(sqlite_file: Path) -> None:
    """With the option that the engine adds."""
    settings = SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={sqlite_file}")
    assert read(settings, "select 9223372036854775807") == [("9223372036854775807",)]


@pytest.fixture(scope="session")
def duckdb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty DuckDB file."""
    path = tmp_path_factory.mktemp("duckdb") / "erp.duckdb"
    duckdb.connect(str(path)).close()
    return path


@pytest.mark.parametrize(("sql", "expected"), DUCKDB)
def test_a_value_arrives_from_a_duckdb_file(duckdb_file: Path, sql: str, expected: str | None) -> None:
    """Every type has its text."""
    assert read(SourceSettings(dialect="duckdb", database=duckdb_file), f"select {sql}") == [(expected,)]


def test_a_long_text_is_not_cut(postgres: Postgres, mariadb: MariaDb) -> None:
    """100 KB of HTML, letter for letter."""
    for server, database, dialect in (
        (postgres, postgres.fresh_database(), "postgres"),
        (mariadb, mariadb.fresh_database(), "mysql"),
    ):
        kind = "text" if dialect == "postgres" else "longtext character set utf8mb4"
        server.execute(database, f"create table page (html {kind})")
        server.execute(database, "insert into page values (repeat('<p>é 漢 😀</p>', 7200))")
        settings = SourceSettings(dialect=dialect, connection=server.connection(database))
        assert read(settings, "select html from page") == [(HTML,)]


def test_no_rows_and_one_row(postgres: Postgres) -> None:
    """An empty result is no error, and keeps its columns."""
    settings = SourceSettings(dialect="postgres", connection=postgres.connection("postgres"))
    assert read(settings, "select 1 where false") == []
    assert read(settings, "select 1") == [("1",)]
    with open_source(settings) as connection:
        assert connection.read('select 1 as "variants.qty" where false').columns == ("variants.qty",)


def test_more_rows_than_a_batch_all_arrive(postgres: Postgres) -> None:
    """The cursor goes on over batches and fetches of different sizes."""
    settings = SourceSettings(dialect="postgres", connection=postgres.connection("postgres"), batch_rows=700)
    assert len(read(settings, "select n from generate_series(1, 5003) as numbers(n)")) == 5003


def test_what_the_drivers_get_wrong_is_said_by_doctor(postgres: Postgres, mariadb: MariaDb) -> None:
    """A value that nothing here can mend is at least announced."""
    for server, dialect, said in ((postgres, "postgres", "timestamptz"), (mariadb, "mysql", "INT UNSIGNED")):
        database = "postgres" if dialect == "postgres" else mariadb.database
        with open_source(SourceSettings(dialect=dialect, connection=server.connection(database))) as connection:
            assert said in " ".join(connection.describe().notes)


def staged_like(client: Client, server: Any, dialect: str, kind: str) -> None:
    """The same catalogue from a server: first run, unchanged run, one change."""
    database = server.fresh_database()
    server.execute(
        database,
        f"create table item (code char(12), descr {kind}, price decimal(18,4), qty decimal(18,4))",
        "insert into item values ('A', 'é 漢 😀', 9.50, 3), ('B', 'plain', 10, -2), ('C', 'half', 1.25, 2.5)",
    )
    quote = "`" if dialect == "mysql" else '"'
    view = (
        "select code as source_product_code, code as source_variant_code, descr as title, 'Yes' as product_active,"
        " price as csv_price_tiers, qty as 'variants.qty', code as 'variants.sku',"
        " 1 as 'variants.inventory_management' from item"
    ).replace("as '", f"as {quote}")
    for name in ("qty", "sku", "inventory_management"):
        view = view.replace(f"variants.{name}'", f"variants.{name}{quote}")
    client.environ["ERP"] = server.connection(database)
    client.write(view=view)
    text = (client.root / "project.toml").read_text()
    text = text.replace(
        'dialect = "duckdb"\ndatabase = "erp.duckdb"', f'dialect = "{dialect}"\nconnection = "${{ERP}}"'
    )
    (client.root / "project.toml").write_text(text)
    assert client.run().sent == 3
    held = client.held()
    assert held["A"]["title"] == "é 漢 😀"
    assert (held["A"]["price"], held["B"]["qty"], held["C"]["qty"]) == (9.5, 0, 2)
    assert client.run().sent == 0
    server.execute(database, "update item set price = 9.51 where code = 'A'")
    assert client.run().sent == 1
    assert client.held()["A"]["price"] == 9.51


def test_a_catalogue_is_kept_in_step_from_postgresql(client: Client, postgres: Postgres) -> None:
    """First run, nothing on the second, one item on the third."""
    staged_like(client, postgres, "postgres", "varchar(100)")


def test_a_catalogue_is_kept_in_step_from_mariadb(client: Client, mariadb: MariaDb) -> None:
    """First run, nothing on the second, one item on the third."""
    staged_like(client, mariadb, "mysql", "varchar(100) character set utf8mb4")
