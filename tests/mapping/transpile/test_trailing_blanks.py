"""T-SQL compares texts without their trailing blanks: so does a view on fixtures, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.errors import ViewError
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.query import Query

ITEMS = "(1, 'A1', 'x '), (2, 'B2 ', 'y'), (3, 'B2', null), (4, 'C3', 'x')"
STOCK = "('A1  ', 5), ('C3', 1)"


def rows(sql: str) -> list[tuple[Any, ...]]:
    """The rows of a T-SQL SELECT in DuckDB, sorted; codes of ``item`` and ``stock`` differ in trailing blanks."""
    with duckdb.connect() as connection:
        connection.execute(f"create table item as select * from (values {ITEMS}) as v(id, code, mark)")
        connection.execute(f"create table stock as select * from (values {STOCK}) as v(code, qty)")
        query = Query(sql=sql, path=Path("views/products.sql"))
        return sorted(connection.execute(to_duckdb(query, dialect="tsql")).fetchall(), key=repr)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id from item where code in (select code from stock)", [(1,), (4,)]),
        ("select id from item where code not in (select code from stock)", [(2,), (3,)]),
        ("select id from item where (code) in (select code from stock where qty > 1 union select 'C3 ')", [(1,), (4,)]),
        ("select id from item where code = (select max(code) from stock where qty = 5)", [(1,)]),
        ("select id from item i where exists (select 1 from stock s where s.code = i.code)", [(1,), (4,)]),
        ("select i.id, s.qty from item i join stock s on s.code = i.code", [(1, 5), (4, 1)]),
        ("select id, row_number() over (partition by code order by id) from item where id in (2, 3)", [(2, 1), (3, 2)]),
        ("select id, count(*) over (partition by code) from item where id > 1", [(2, 2), (3, 2), (4, 1)]),
        ("select count(distinct code), count(distinct id) from item", [(3, 4)]),
        (
            "select '[' + nullif(mark, 'y') + ']', nullif(code, 'B2') from item where id in (1, 2)",
            [("[x ]", "A1"), (None, None)],
        ),
        ("select id, case mark when 'x' then 1 else 0 end from item where id in (1, 4)", [(1, 1), (4, 1)]),
        ("select code, sum(qty) from stock group by code having sum(qty) > 1", [("A1  ", 5)]),
        ("select id, count(*) from item group by id", [(1, 1), (2, 1), (3, 1), (4, 1)]),
        ("select distinct code from item where id in (1, 2, 4)", [("A1",), ("B2 ",), ("C3",)]),
        ("select code from item where id = 4 union select code from stock", [("A1  ",), ("C3",)]),
    ],
)
def test_trailing_blanks_make_no_difference(sql: str, expected: list[tuple[Any, ...]]) -> None:
    """In every place where T-SQL compares texts, and only there: what is returned keeps its blanks."""
    assert rows(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select code, count(*) from item group by code",
        "select code, count(*) from item group by code having count(*) > 1",
        "select distinct code from item",
        "select distinct top 2 code from item order by code",
        "select distinct code, count(*) over (partition by code) from item",
        "select count(*) from (select code from item group by code) as d",
        "select code from item union select code from stock",
        "select code from item where id = 3 union all select 'B2 ' union select 'B2' where 1 = 0 order by code",
        "select id from item where mark like '%x' or mark like 'x!%' escape '!'",
    ],
)
def test_which_of_two_equal_texts_is_returned_is_not_guessed(sql: str) -> None:
    """T-SQL may return either; the run on fixtures says so."""
    with pytest.raises(duckdb.Error, match="databases differ in"):
        rows(sql)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("select code from item except select code from stock", "EXCEPT"),
        ("select code from item intersect select code from stock", "INTERSECT"),
        ("select distinct first_value(code) over (order by id) from item", "DISTINCT of a window function"),
        ("select code, rank() over (order by count(*)) from item group by code having count(*) > 1", "HAVING"),
    ],
)
def test_what_cannot_be_checked_for_trailing_blanks_is_refused(sql: str, name: str) -> None:
    """By its name, with what to write instead."""
    with pytest.raises(ViewError, match=name):
        rows(sql)
