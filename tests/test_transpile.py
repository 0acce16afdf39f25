"""A transpiled view gives in DuckDB what the database gives; where that cannot be known, it is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support.mapping import itself

from engine.errors import ViewError
from engine.model import Query, SourceSettings
from engine.source import open_source
from engine.transpile import to_duckdb

if TYPE_CHECKING:
    from support.servers import MariaDb, Postgres

ROWS = "('A1', 'Hammer', 5, 2.75, 'x'), ('B2', null, -3, 0.5, ''), ('c3', 'O''Neil', 0, null, ' y ')"
TABLE = "create table item (code varchar(20), name varchar(50), qty integer, price decimal(12, 4), mark varchar(9))"


def transpiled(sql: str, dialect: str) -> str:
    """The view in DuckDB's SQL."""
    return to_duckdb(Query(sql=sql, path=Path("views/products.sql")), dialect=dialect)


def canonical(rows: list[tuple[Any, ...]]) -> list[tuple[str | None, ...]]:
    """Rows as staging sees them: as texts, in which 2.7500 is 2.75."""

    def text(value: Any) -> str | None:
        if value is None:
            return None
        try:
            return format(Decimal(str(value)).normalize(), "f")
        except ArithmeticError:
            return {"True": "true", "False": "false", "t": "true", "f": "false"}.get(str(value), str(value))

    return [tuple(map(text, row)) for row in rows]


def in_duckdb(sql: str) -> list[tuple[str | None, ...]]:
    """What DuckDB gives."""
    with duckdb.connect() as connection:
        connection.execute(TABLE)
        connection.execute(f"insert into item values {ROWS}")
        return canonical(connection.execute(sql).fetchall())


def live(settings: SourceSettings, sql: str) -> list[tuple[str | None, ...]]:
    """What the database gives, over the engine's own reader."""
    with open_source(settings) as connection:
        rows: list[tuple[Any, ...]] = []
        for batch in connection.read(sql):
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return canonical(rows)


EVERYWHERE = [
    "select code, coalesce(name, 'none'), qty from item order by code",
    "select upper(code), lower(name), trim(mark) from item order by code",
    "select case when qty > 0 then 'Active' else 'Delete' end as flag, code from item order by code",
    "select code, round(price / 3.0, 2) from item order by code",
    "select sum(qty), count(name), max(price), min(code) from item",
    "select substr(name, 2, 3), length(name) from item order by code",
    "select code from item where code in ('A1', 'B2') and price between 0.1 and 3 order by code desc",
    "with d as (select code, qty * 2 as q from item) select d.code, d.q from d order by d.code",
    "select code, cast(price as decimal(12, 1)) from item order by code",
    "select code, abs(qty), nullif(mark, 'x') from item order by code",
]


@pytest.mark.parametrize("sql", [*EVERYWHERE, "select code || '-' || qty, price::text from item order by code"])
def test_postgresql_and_duckdb_give_the_same(postgres: Postgres, sql: str) -> None:
    """Row by row, on the real server."""
    database = postgres.fresh_database()
    postgres.execute(database, TABLE, f"insert into item values {ROWS}")
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    assert in_duckdb(transpiled(sql, "postgres")) == live(settings, sql)


@pytest.mark.parametrize(
    "sql",
    [
        *EVERYWHERE,
        "select concat(code, name), ifnull(name, 'none'), `qty` from `item` order by code",
        "select group_concat(code order by code separator ';') from item",
        'select code, if(qty > 0, "yes", "no") from item order by code',
    ],
)
def test_mariadb_and_duckdb_give_the_same(mariadb: MariaDb, sql: str) -> None:
    """Row by row, on the real server."""
    database = mariadb.fresh_database()
    mariadb.execute(database, TABLE, f"insert into item values {ROWS}")
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    assert in_duckdb(transpiled(sql, "mysql")) == live(settings, sql)


@pytest.mark.parametrize(
    "sql",
    [
        *EVERYWHERE,
        "select code, cast(price as integer), ifnull(name, '-') from item order by code",
        "select group_concat(code, ';') from (select code from item order by code) as d",
    ],
)
def test_sqlite_and_duckdb_give_the_same(tmp_path: Path, sql: str) -> None:
    """Also where SQLite cuts off and DuckDB would round."""
    path = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(TABLE)
        connection.execute(f"insert into item values {ROWS}")
        connection.commit()
    assert in_duckdb(transpiled(sql, "sqlite")) == live(SourceSettings(dialect="sqlite", database=path), sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select top 1 [code] from [dbo].[Item] order by [code]", [("A1",)]),
        (
            "select isnull(i.name, '-'), len(i.mark) from acme.dbo.item as i order by i.code",
            [("Hammer", "1"), ("-", "0"), ("O'Neil", "2")],
        ),
        ("select dbo.item.code from dbo.item where dbo.item.qty = 5", [("A1",)]),
        ("select cast(price as int) from item order by code", [("2",), ("0",), (None,)]),
        ("select iif(qty > 0, N'ja', N'nein') from item order by code", [("ja",), ("nein",), ("nein",)]),
        ("select string_agg(code, ',') within group (order by code) from item", [("A1,B2,c3",)]),
    ],
)
def test_sql_servers_ways_are_kept(sql: str, expected: list[tuple[str | None, ...]]) -> None:
    """By what Microsoft's reference says of them: there is no SQL Server to ask here."""
    assert in_duckdb(transpiled(sql, "tsql")) == expected


@pytest.mark.parametrize(
    ("dialect", "sql", "said"),
    [
        ("tsql", "select\n  code + '-' + name as title\nfrom item", "+ between texts"),
        ("tsql", "select stuff((select ',' + code from item for xml path('')), 1, 1, '') as title", "FOR XML"),
        ("tsql", "select convert(varchar(10), code, 103) as title from item", "CONVERT with a style"),
        ("tsql", "select dbo.price_of(code) as title from item", "a function of a schema"),
        ("tsql", "select f.x as title from item cross apply dbo.parts(code) f", "APPLY with a function"),
        ("tsql", "select top 5 code as title from item", "without ORDER BY"),
        ("tsql", "select qty / 2 as title from item", "division that may be one of integers"),
        ("tsql", "select isnumeric(code) as title from item", "isnumeric"),
        ("tsql", "select code collate Latin1_General_CI_AS as title from item", "COLLATE"),
        ("tsql", "select {fn ucase(code)} as title from item", "{fn"),
        ("mysql", "select code || name as title from item", "reads as OR"),
        ("mysql", "select price / 3 as title from item", "rounds in its own way"),
        ("mysql", "select datediff(code, name) as title from item", "difference of dates"),
        ("oracle", "select a.code as title from item a, kit b where a.code = b.code (+)", "(+)"),
        ("hana", "select locate(code, 'a') as title from item", "LOCATE"),
        ("postgres", "select my_function(code) as title from item", "my_function"),
        ("postgres", "select a.item.code as title, b.item.code from a.item, b.item", "one fixture item.csv"),
    ],
)
def test_what_may_differ_is_refused_by_name(dialect: str, sql: str, said: str) -> None:
    """With what to write instead; never silently run as something else."""
    with pytest.raises(ViewError) as refused:
        transpiled(sql, dialect)
    fault = next(fault for fault in refused.value.faults if said.lower() in fault.message.lower())
    assert fault.hint


def test_a_refusal_names_its_place(tmp_path: Path) -> None:
    """And its column."""
    sql = "select\n  code,\n  stuff((select code from item for xml path('')), 1, 1, '') as title\n"
    with pytest.raises(ViewError) as refused:
        to_duckdb(itself(sql, tmp_path / "products.sql"), dialect="tsql")
    assert refused.value.faults[0].where == f"{tmp_path / 'products.sql'}:3:32"


def test_duckdbs_own_views_stay_as_they_are() -> None:
    """To the letter."""
    assert transpiled("select  1 as a -- x", "duckdb") == "select  1 as a -- x"
