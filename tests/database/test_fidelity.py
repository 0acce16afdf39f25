"""Hard values, put into real databases and read back: never cut, never different without an error.

The values are in support/hard_values.py. Where a driver is wrong and the engine cannot correct it, a test says what
arrives, and that `s2s doctor` says so too.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from support.hard_values import HardValue, statements, values

from engine.database.connection import SEPARATOR
from engine.database.driver_sql import refuse_question_marks
from engine.database.drivers import PROFILES
from engine.database.odbc_values import Column, correct_values, has_corrections
from engine.database.open import open_source
from engine.errors import QueryError
from engine.model.settings import SourceSettings
from engine.sync.layout import canonical_macros

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client
    from support.servers import MariaDb, Postgres, Server

Rows = list[tuple[str | None, ...]]


def read(settings: SourceSettings, query: str) -> Rows:
    """Every row as the staging query sees it: as text."""
    with open_source(settings) as connection:
        rows: Rows = []
        for batch in connection.read(query):
            columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
            rows += zip(*columns, strict=True)
        return rows


def notes(settings: SourceSettings) -> str:
    """What doctor says of the driver."""
    with open_source(settings) as connection:
        return " ".join(connection.describe().notes)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hard values in a SQLite and in a DuckDB file."""
    folder = tmp_path_factory.mktemp("files")
    with closing(sqlite3.connect(folder / "erp.sqlite")) as connection:
        for statement in statements("sqlite"):
            connection.execute(statement)
        connection.commit()
    with duckdb.connect(str(folder / "erp.duckdb")) as database:
        for statement in statements("duckdb"):
            database.execute(statement)
    return folder


@pytest.fixture(scope="session")
def from_postgresql(postgres: Postgres) -> Rows:
    """The hard values through psqlODBC."""
    database = postgres.fresh_database()
    postgres.execute(database, *statements("postgresql"))
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    return read(settings, "select * from hard order by n")


def read_packed(settings: SourceSettings, query: str) -> Rows:
    """Every row as the staging query sees it, where each arrives as one text."""
    with duckdb.connect() as staging, open_source(settings) as connection:
        staging.execute(canonical_macros())
        read = connection.read(query, pack=True)
        assert read.packed
        width = len(read.columns)
        unpacked = ", ".join(f"packed_value(v[{n}])" for n in range(1, width + 1))
        rows: Rows = []
        for batch in read:
            assert batch.num_columns == 1
            for row in batch.column(0).to_pylist():
                assert row.count(SEPARATOR) == width - 1, row.split(SEPARATOR)
                rows += staging.execute(f"select {unpacked} from (select packed_values($1) as v)", [row]).fetchall()
        return rows


@pytest.fixture(scope="session")
def from_postgresql_packed(postgres: Postgres) -> Rows:
    """The hard values through psqlODBC, each row as one text, taken apart as staging does it."""
    database = postgres.fresh_database()
    postgres.execute(database, *statements("postgresql"))
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    with open_source(settings) as connection:
        # Rows with bytes are not packed, because each value must be looked at.
        assert not connection.read("select * from hard order by n", pack=True).packed
    columns = [
        f"convert_from(c{number}, 'UTF8') as c{number}" if value.put["postgresql"][0] == "bytea" else f"c{number}"
        for number, value in enumerate(values("postgresql"))
    ]
    return read_packed(settings, f"select n, {', '.join(columns)} from hard order by n")


@pytest.fixture(scope="session")
def from_mariadb_packed(mariadb: MariaDb) -> Rows:
    """The hard values through MariaDB Connector/ODBC, each row as one text, taken apart as staging does it."""
    database = mariadb.fresh_database()
    mariadb.execute(database, *statements("mariadb"))
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    with open_source(settings) as connection:
        assert not connection.read("select * from hard order by n", pack=True).packed
    columns = []
    for number, value in enumerate(values("mariadb")):
        kind = value.put["mariadb"][0]
        if kind.startswith("bit"):
            columns.append(f"if(c{number}, 'true', if(c{number} is null, null, 'false')) as c{number}")
        elif "blob" in kind or "binary" in kind:
            columns.append(f"convert(c{number} using utf8mb4) as c{number}")
        else:
            columns.append(f"c{number}")
    return read_packed(settings, f"select n, {', '.join(columns)} from hard order by n")


@pytest.fixture(scope="session")
def from_mariadb(mariadb: MariaDb) -> Rows:
    """The hard values through MariaDB Connector/ODBC."""
    database = mariadb.fresh_database()
    mariadb.execute(database, *statements("mariadb"))
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    return read(settings, "select * from hard order by n")


@pytest.fixture(scope="session")
def from_sqlite_by_odbc(files: Path) -> Rows:
    """The hard values through sqliteodbc."""
    connection = f"Driver=SQLite3;Database={files / 'erp.sqlite'}"
    return read(SourceSettings(dialect="sqlite", connection=connection), "select * from hard order by n")


@pytest.fixture(scope="session")
def from_sqlite(files: Path) -> Rows:
    """The hard values through Python's own module."""
    return read(SourceSettings(dialect="sqlite", database=files / "erp.sqlite"), "select * from hard order by n")


@pytest.fixture(scope="session")
def from_duckdb(files: Path) -> Rows:
    """The hard values from a DuckDB file."""
    return read(SourceSettings(dialect="duckdb", database=files / "erp.duckdb"), "select * from hard order by n")


READERS = {
    "from_postgresql": "postgresql",
    "from_postgresql_packed": "postgresql",
    "from_mariadb": "mariadb",
    "from_mariadb_packed": "mariadb",
    "from_sqlite_by_odbc": "sqlite",
    "from_sqlite": "sqlite",
    "from_duckdb": "duckdb",
}

CASES = [
    pytest.param(reader, number, value, id=f"{value.name} {reader.replace('_', ' ')}")
    for reader, database in READERS.items()
    for number, value in enumerate(values(database), start=1)
]


@pytest.mark.parametrize(("reader", "number", "value"), CASES)
def test_a_hard_value_arrives_as_it_was_put_in(
    request: pytest.FixtureRequest, reader: str, number: int, value: HardValue
) -> None:
    """Between two NULLs, from a column of its own."""
    rows: Rows = request.getfixturevalue(reader)
    assert [row[number] for row in rows] == [None, value.expected, None]


def test_a_text_that_is_not_utf_8_is_read_as_windows_wrote_it(tmp_path: Path) -> None:
    """SQLite takes any bytes for text; none of them is lost, and `decoding` can say better."""
    path = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (a text)")
        connection.execute("insert into t values (cast(x'636166e92080' as text))")
        connection.commit()
    assert read(SourceSettings(dialect="sqlite", database=path), "select a from t") == [("café €",)]
    russian = SourceSettings(dialect="sqlite", database=path, decoding="cp1251")
    assert read(russian, "select a from t") == [("cafй Ђ",)]


def test_a_postgresql_database_in_latin1_reads_right(postgres: Postgres) -> None:
    """Though it cannot even hold the letters that the encoding is usually probed with."""
    database = postgres.fresh_database(encoding="LATIN1")
    postgres.execute(database, "create table t (a varchar(20))", "insert into t values ('café ß')")
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    assert read(settings, "select a, 'é' as b from t") == [("café ß", "é")]


def test_the_driver_for_ansi_reads_unicode_too(postgres: Postgres) -> None:
    """The name that people pick from the list must not decide over their data."""
    connection = postgres.connection("postgres").replace("PostgreSQL Unicode", "PostgreSQL ANSI")
    settings = SourceSettings(dialect="postgres", connection=connection)
    assert read(settings, "select 'é 漢 😀' as a, date 'infinity' as b") == [("é 漢 😀", "infinity")]


def test_letters_beyond_ascii_in_a_view_reach_the_database(postgres: Postgres, mariadb: MariaDb, files: Path) -> None:
    """Each driver takes the SQL itself in another encoding."""
    for settings in (
        SourceSettings(dialect="postgres", connection=postgres.connection("postgres")),
        SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database)),
        SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={files / 'erp.sqlite'}"),
        SourceSettings(dialect="sqlite", database=files / "erp.sqlite"),
        SourceSettings(dialect="duckdb", database=files / "erp.duckdb"),
    ):
        assert read(settings, "select 'Größe 漢 😀' as a") == [("Größe 漢 😀",)]


def test_the_text_of_a_value_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    """A number reads the same alone, beside a float and beside a text, or unchanged rows would look changed."""
    path = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (n integer, a)")
        rows = [(1, 5), (2, 5.0), (3, 12345678901.25), (4, 1e300), (5, "x"), (6, b"\xc3\xa9"), (7, None), (8, 10**18)]
        connection.executemany("insert into t values (?, ?)", rows)
        connection.commit()
    together = SourceSettings(dialect="sqlite", database=path)
    alone = SourceSettings(dialect="sqlite", database=path, batch_rows=1)
    expected = [("5",), ("5",), ("12345678901.25",), ("1" + "0" * 300,), ("x",), ("é",), (None,), (str(10**18),)]
    assert read(together, "select a from t order by n") == expected
    assert read(alone, "select a from t order by n") == expected


def test_columns_keep_their_names_and_their_order(postgres: Postgres, mariadb: MariaDb, files: Path) -> None:
    """Also where the driver made it necessary to cast some of them, and where one name stands twice."""
    for settings, quote in (
        (SourceSettings(dialect="postgres", connection=postgres.connection("postgres")), '"'),
        (SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database)), "`"),
        (SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={files / 'erp.sqlite'}"), '"'),
        (SourceSettings(dialect="sqlite", database=files / "erp.sqlite"), '"'),
        (SourceSettings(dialect="duckdb", database=files / "erp.duckdb"), '"'),
    ):
        first, second = f"{quote}variants.qty{quote}", f"{quote}it''s{quote}"
        with open_source(settings) as connection:
            assert connection.read(
                f"select 1 as {first}, current_timestamp as {second}, 'x' as {quote}é{quote} where 1 = 0"
            ).columns == ("variants.qty", "it''s", "é")
            assert connection.read("select 1 as a, 2 as a").columns == ("a", "a")


def test_a_value_that_cannot_be_corrected_is_an_error_and_never_another_value(
    postgres: Postgres, mariadb: MariaDb
) -> None:
    """A name that stands twice keeps the engine from casting what the driver would garble."""
    for settings, query in (
        (
            SourceSettings(dialect="postgres", connection=postgres.connection("postgres")),
            "select date 'infinity' as a, 1 as a",
        ),
        (
            SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database)),
            "select cast(4294967295 as unsigned) as a, 'x' as a",
        ),
    ):
        with pytest.raises(QueryError, match="would garble a"):
            read(settings, query)
        assert read(settings, "select 'x' as a, 'y' as a") == [("x", "y")]


@pytest.mark.parametrize(
    ("dialect", "kind", "value", "cast"),
    [
        ("postgres", "bytea", r"'\x00ff'", "encode(photo, 'hex')"),
        ("postgres", "bytea", r"'\xe9'", "convert_from(photo, 'LATIN1')"),
        ("mysql", "blob", "x'ffd8ff'", "hex(photo)"),
        ("mysql", "varbinary(8)", "x'01'", "hex(photo)"),
        ("mysql", "bit(8)", "b'101'", "photo + 0"),
        ("mysql", "bit(16)", "b'100000101000001'", "photo + 0"),
        ("sqlite", "blob", "x'00ff'", "hex(photo)"),
        ("duckdb", "blob", "'\\x00\\xFF'::blob", "hex(photo)"),
    ],
)
def test_bytes_that_are_no_text_are_refused_by_the_name_of_their_column(  # noqa: PLR0917 - fixtures and parameters
    postgres: Postgres, mariadb: MariaDb, tmp_path: Path, dialect: str, kind: str, value: str, cast: str
) -> None:
    """With the cast to write, which then works; sent as hexadecimal digits nobody could use them."""
    statements = (
        f"create table t (code varchar(20), photo {kind})",
        "insert into t values ('A', null)",
        f"insert into t values ('B', {value})",
    )
    if dialect in {"postgres", "mysql"}:
        server: Postgres | MariaDb = postgres if dialect == "postgres" else mariadb
        database = server.fresh_database()
        server.execute(database, *statements)
        settings = SourceSettings(dialect=dialect, connection=server.connection(database))
    else:
        settings = SourceSettings(dialect=dialect, database=tmp_path / "erp")
        with closing((sqlite3 if dialect == "sqlite" else duckdb).connect(str(tmp_path / "erp"))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
    with pytest.raises(QueryError, match="The column photo holds b") as raised:
        read(settings, "select code, photo from t")
    assert cast in raised.value.hint
    assert len(read(settings, f"select code, {cast} as photo from t")) == 2


def test_a_text_made_of_bytes_and_text_is_a_text(mariadb: MariaDb) -> None:
    """MariaDB makes bytes of both together."""
    database = mariadb.fresh_database()
    mariadb.execute(
        database,
        "create table t (title text character set utf8mb4, more blob)",
        "insert into t values ('Größe', 'é')",
    )
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    assert read(settings, "select concat(title, char(13, 10), more) as a from t") == [("Größe\r\né",)]


def test_a_literal_takes_the_collation_of_the_column_that_it_is_compared_with(mariadb: MariaDb) -> None:
    """As a literal in the database's own console does; where a text is a name or a separator, it stays as it is."""
    database = mariadb.fresh_database()
    mariadb.execute(
        database,
        "create table t (title varchar(40) character set utf8mb4 collate utf8mb4_unicode_ci, n int)",
        "insert into t values ('Café', 1), ('CAFÉ', 2), ('Thé', 3)",
    )
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    for condition in ("= 'Café'", "in ('x', 'Café')", "like 'caf_' and title <> 'Thé'", "between 'café' and 'CAFÉ'"):
        assert read(settings, f"select n from t where title {condition} order by n") == [("1",), ("2",)]
    with open_source(settings) as connection:
        assert connection.read("select title as 'Größe', 'é' 'é' as b from t").columns == ("Größe", "b")
    assert read(settings, "select group_concat(title order by n separator ' · ') as a from t") == [
        ("Café · CAFÉ · Thé",)
    ]


def test_a_list_of_any_length_is_whole(mariadb: MariaDb) -> None:
    """GROUP_CONCAT would cut it at the server's default, with a warning that nobody sees."""
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database))
    query = "select length(group_concat(repeat('x', 1000) separator '')) as n from seq_1_to_3000"
    assert read(settings, query) == [("3000000",)]


@pytest.mark.parametrize(
    ("operator", "function", "value"),
    [
        ("?", "jsonb_exists", "'a'"),
        ("?|", "jsonb_exists_any", "array['a']"),
        ("?&", "jsonb_exists_all", "array['a', '?']"),
    ],
)
def test_an_operator_of_jsonb_is_no_parameter(postgres: Postgres, operator: str, function: str, value: str) -> None:
    """Though ODBC takes a question mark for one; the function that does the same works, too."""
    settings = SourceSettings(dialect="postgres", connection=postgres.connection("postgres"))
    document = '\'{"a": 1, "?": 2}\'::jsonb'
    assert read(settings, f"select 'why?' as a where {document} {operator} {value}") == [("why?",)]
    assert read(settings, f"select 'why?' as a where {function}({document}, {value}) -- ?") == [("why?",)]


@pytest.mark.parametrize(
    ("operator", "function"), [("?", "jsonb_exists"), ("?|", "jsonb_exists_any"), ("?&", "jsonb_exists_all")]
)
def test_an_operator_that_odbc_takes_for_a_parameter_is_named(operator: str, function: str) -> None:
    """With the function that does the same, where the driver reads the view itself."""
    with pytest.raises(QueryError, match="takes for a parameter") as raised:
        refuse_question_marks(f"select 'why?' as a where b {operator} 'c'", "postgres")
    assert f"{function}(a, b)" in raised.value.hint


def test_a_float_of_four_bytes_has_no_more_digits_than_it_needs() -> None:
    """SQL Server's drivers give a real as a float of eight bytes, and describe it as of 24 bits."""
    for profile in (each for each in PROFILES if each.name in {"sqlserver", "freetds"}):
        columns = (Column("price", "float", 24), Column("rate", "float", 53))
        assert has_corrections(columns, profile)
        batch = pa.RecordBatch.from_arrays(
            [pa.array(["19.99", None, "19.989999771118164"]), pa.array(["19.989999771118164", None, "1e+20"])],
            ["a", "b"],
        )
        corrected = correct_values(batch, ("price", "rate"), columns, profile).to_pydict()
        assert corrected == {
            "a": ["19.99", None, "19.99"],
            "b": ["19.989999771118164", None, "100000000000000000000"],
        }


def test_a_literal_that_names_its_character_set_is_left_as_it_is(mariadb: MariaDb) -> None:
    """With a blank after the name and without one."""
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database))
    assert read(settings, "select _utf8mb4 'é' as a, _utf8mb4'é' as b, 'é' as c") == [("é", "é", "é")]


def test_a_view_may_end_in_a_semicolon_or_a_comment(postgres: Postgres, mariadb: MariaDb, files: Path) -> None:
    """As people leave it."""
    for settings in (
        SourceSettings(dialect="postgres", connection=postgres.connection("postgres")),
        SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database)),
        SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={files / 'erp.sqlite'}"),
        SourceSettings(dialect="sqlite", database=files / "erp.sqlite"),
        SourceSettings(dialect="duckdb", database=files / "erp.duckdb"),
    ):
        for end in (";", " -- the end", " -- the end\n;\n", ""):
            assert read(settings, f"select current_date - current_date as a, 'x' as b{end}")[0][1] == "x"


def test_no_rows_one_row_and_more_than_a_batch_all_arrive(postgres: Postgres, mariadb: MariaDb, files: Path) -> None:
    """Batches and fetches of other sizes, full and partly full, lose nothing."""
    for settings in (
        SourceSettings(dialect="postgres", connection=postgres.connection("postgres"), batch_rows=700),
        SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database), batch_rows=700),
        SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={files / 'erp.sqlite'}", batch_rows=700),
        SourceSettings(dialect="sqlite", database=files / "erp.sqlite", batch_rows=700),
        SourceSettings(dialect="duckdb", database=files / "erp.duckdb", batch_rows=700),
    ):
        for count in (0, 1, 500, 700, 1_400, 5_003):
            counted = (
                f"with recursive t as (select 1 as n union all select n + 1 from t where n < {count})"
                f" select n, 'x' as x from t where n <= {count}"
            )
            if settings.dialect == "mysql":
                counted = f"select seq as n, 'x' as x from seq_1_to_6000 where seq <= {count}"
            with open_source(settings) as connection:
                batches = list(connection.read(counted))
            assert max((batch.num_rows for batch in batches), default=0) <= 700
            numbers = [int(n) for batch in batches for n in batch.column(0).cast(pa.string()).to_pylist()]
            assert sorted(numbers) == list(range(1, count + 1))


def test_what_a_driver_gets_wrong_and_cannot_be_corrected_is_said_by_doctor(
    postgres: Postgres, mariadb: MariaDb, files: Path
) -> None:
    """The offset of a zoned timestamp is the session's, bits are bytes, and memory grows with a MariaDB result."""
    settings = SourceSettings(
        dialect="postgres",
        connection=postgres.connection("postgres"),
        session=("set timezone = 'Africa/Johannesburg'",),
    )
    assert read(settings, "select timestamptz '2024-02-29 12:34:56+00' as a") == [("2024-02-29 14:34:56+02",)]
    assert "session's time zone" in notes(settings)
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb.database))
    assert "memory" in notes(settings)
    settings = SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={files / 'erp.sqlite'}")
    assert "prefer `database" in notes(settings)
    assert read(settings, "select 'a' || char(0) || 'b' as a") == [("a",)]
    assert "NUL" in notes(settings)
    direct = SourceSettings(dialect="sqlite", database=files / "erp.sqlite")
    assert read(direct, "select 'a' || char(0) || 'b' as a") == [("a\0b",)]


def test_a_result_larger_than_memory_allows_is_read_in_parts(postgres: Postgres) -> None:
    """A server's cursor stands behind the first batch, so that the client never holds the whole result."""
    settings = SourceSettings(dialect="postgres", connection=postgres.connection("postgres"))
    with open_source(settings) as connection:
        batches = iter(connection.read("select n, repeat('x', 1000) as x from generate_series(1, 100000) as t(n)"))
        next(batches)
        assert postgres.row(
            "postgres", "select count(*) from pg_stat_activity where state = 'idle in transaction'"
        ) == (1,)


def staged_like(client: Client, server: Server, dialect: str, kind: str) -> None:
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
