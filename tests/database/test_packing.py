"""A row that arrives as one text holds what its columns hold; a view of which one cannot is read column by column."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from engine.database.connection import NULL_MARK, SEPARATOR
from engine.database.driver_sql import MAX_ARGUMENTS
from engine.database.open import open_source
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.client import Client
    from support.servers import MariaDb, Postgres

ROWS = int(os.environ.get("S2S_EXAMPLES", "60"))
"""How many random rows are compared; for more set S2S_EXAMPLES."""

Rows = list[tuple[str | None, ...]]

LETTERS = "aZ 0'\"\\,()%_;é漢😀\t\n\u00a0\u0001{}?:`$"

TYPES = {
    "mysql": {
        "varchar(60) character set utf8mb4": "text",
        "varchar(60) character set latin1": "latin",
        "char(20) character set utf8mb4": "text",
        "longtext character set utf8mb4": "text",
        "int": "int",
        "int unsigned zerofill": "unsigned",
        "bigint": "int",
        "tinyint(1)": "bit",
        "bit(1)": "boolean",
        "decimal(30, 10)": "decimal",
        "decimal(12, 2) zerofill": "unsigned",
        "double": "double",
        "float": "small",
        "date": "date",
        "datetime(6)": "datetime",
        "timestamp(3) null": "datetime",
        "time(6)": "time",
    },
    "postgres": {
        "varchar(60)": "text",
        "char(20)": "text",
        "text": "text",
        "integer": "int",
        "bigint": "int",
        "smallint": "bit",
        "boolean": "boolean",
        "numeric(30, 10)": "decimal",
        "numeric": "decimal",
        "double precision": "double",
        "real": "small",
        "money": "small",
        "date": "date",
        "timestamp": "datetime",
        "timestamptz": "datetime",
        "inet": "inet",
        "integer[]": "array",
    },
}


def text(chance: random.Random, letters: str, dialect: str) -> str:
    """A random text as SQL."""
    value = "".join(chance.choices(letters, k=chance.randrange(12))).replace("'", "''")
    return "'" + (value.replace("\\", "\\\\") if dialect == "mysql" else value) + "'"


def literal(kind: str, chance: random.Random, dialect: str) -> str:
    """A random value as SQL."""
    if chance.random() < 0.15:
        return "null"
    moment = datetime(2001, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=chance.randrange(10**15))
    made: dict[str, Callable[[], str]] = {
        "text": lambda: text(chance, LETTERS, dialect),
        "latin": lambda: text(chance, "aZ '\\é", dialect),
        "int": lambda: str(chance.randrange(-(2**31), 2**31)),
        "unsigned": lambda: str(chance.randrange(2**31)),
        "bit": lambda: chance.choice("01"),
        "boolean": lambda: chance.choice(("true", "false")),
        "decimal": lambda: f"{chance.randrange(-(10**12), 10**12)}.{chance.randrange(10**10):010}",
        "double": lambda: repr(chance.choice((0.1, 1, chance.random() * 10.0 ** chance.randrange(-12, 14)))),
        "small": lambda: f"{chance.randrange(-(10**4), 10**4)}.{chance.randrange(100):02}",
        "date": lambda: f"'{moment:%Y-%m-%d}'",
        "datetime": lambda: f"'{moment:%Y-%m-%d %H:%M:%S.%f}'",
        "time": lambda: f"'{chance.choice(('', '-'))}{moment:%H:%M:%S.%f}'",
        "inet": lambda: f"'10.0.0.{chance.randrange(255)}'",
        "array": lambda: f"'{{{chance.randrange(9)},null}}'",
    }
    return made[kind]()


def read(settings: SourceSettings, query: str, *, pack: bool) -> Rows:
    """All rows as text, packed or not."""
    rows: Rows = []
    with open_source(settings) as connection:
        read = connection.read(query, pack=pack)
        assert read.packed is pack
        for batch in read:
            columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
            if pack:
                for row in columns[0]:
                    parts = [None if part == NULL_MARK else part for part in row.split(SEPARATOR)]
                    assert len(parts) == len(read.columns)
                    rows.append(tuple(parts))
            else:
                rows += zip(*columns, strict=True)
    return rows


@pytest.mark.parametrize("dialect", ["mysql", "postgres"])
def test_a_packed_row_holds_what_its_columns_hold(dialect: str, request: pytest.FixtureRequest) -> None:
    """Random values of every type, from each database that packs."""
    server: MariaDb | Postgres = request.getfixturevalue("mariadb" if dialect == "mysql" else "postgres")
    chance = random.Random(2026)
    types = TYPES[dialect]
    database = server.fresh_database()
    columns = [f"c{number} {kind}" for number, kind in enumerate(types)]
    values = [
        f"({number}, {', '.join(literal(kind, chance, dialect) for kind in types.values())})" for number in range(ROWS)
    ]
    server.execute(
        database, f"create table t (n int, {', '.join(columns)})", f"insert into t values {', '.join(values)}"
    )
    settings = SourceSettings(dialect=dialect, connection=server.connection(database))
    query = f"select n, {', '.join(f'c{number}' for number in range(len(types)))} from t order by n"
    rows = read(settings, query, pack=False)
    assert read(settings, query, pack=True) == rows
    assert len(rows) == ROWS
    # More columns than a function takes arguments.
    wide = (
        f"select n, {', '.join(f'n + {number} as a{number}' for number in range(MAX_ARGUMENTS + 20))} from t order by n"
    )
    assert read(settings, wide, pack=True) == read(settings, wide, pack=False)


@pytest.fixture(params=["mysql", "postgres"])
def execute(client: Client, request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """The client's two items are in a server's database; gives what runs a statement there."""
    dialect = request.param
    server: MariaDb | Postgres = request.getfixturevalue("mariadb" if dialect == "mysql" else "postgres")
    database = server.fresh_database()
    kind, quote = ("longtext character set utf8mb4", "`") if dialect == "mysql" else ("text", '"')
    server.execute(
        database,
        f"create table item (code varchar(12), title varchar(99), html {kind})",
        "insert into item values ('A', 'Anvil', 'plain'), ('B', 'Bolt', null)",
    )
    client.environ["ERP"] = server.connection(database)
    client.write(
        view="select code as source_product_code, code as source_variant_code, title, 'Yes' as product_active,"
        f" html as body_html, html as meta_html, code as {quote}variants.sku{quote} from item"
    )
    text = (client.root / "project.toml").read_text()
    source = f'dialect = "{dialect}"\nconnection = "${{ERP}}"'
    (client.root / "project.toml").write_text(text.replace('dialect = "duckdb"\ndatabase = "erp.duckdb"', source))
    yield lambda statement: server.execute(database, statement)
    if dialect == "mysql":
        server.execute(database, "set global max_allowed_packet = default")


def test_a_view_with_a_value_that_cannot_be_packed_is_read_column_by_column(
    client: Client, execute: Callable[[str], None]
) -> None:
    """From the run on that meets it, and nothing else is sent again for that."""
    assert client.run().sent == 2
    character = "char(31)" if client.project.source.dialect == "mysql" else "chr(31)"
    execute(f"update item set html = concat('a', {character}, 'b') where code = 'B'")
    assert client.run().sent == 1
    assert client.held()["B"]["body_html"] == "ab"
    assert client.run().sent == 0
    execute("update item set title = 'Anvil 2' where code = 'A'")
    assert client.run().sent == 1
    assert client.held()["A"]["body_html"] == "plain"


@pytest.mark.parametrize("execute", ["mysql"], indirect=True)
def test_a_row_that_is_longer_than_the_server_sends_as_one_text_arrives_whole(
    client: Client, execute: Callable[[str], None]
) -> None:
    """MariaDB makes NULL of it, with a warning that nobody sees."""
    execute("set global max_allowed_packet = 1048576")
    execute("update item set html = repeat('h', 700000) where code = 'B'")
    assert client.run().sent == 2
    assert len(client.held()["B"]["meta"][0]["value"]) == 700_000
