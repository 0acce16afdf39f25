"""A transpiled view gives in DuckDB what the database gives; where that cannot be known, it is refused."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.constructs import canonical
from support.mapping import itself

from engine.database.open import open_source
from engine.errors import SyncError, ViewError
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.query import Query
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import MariaDb, Postgres

    Rows = list[tuple[Any, ...]]

COLUMNS = (
    "id integer, code varchar(20), name varchar(50), qty integer, price decimal(12, 4), weight {double},"
    " mark varchar(9), made date"
)
VALUES = (
    "(1, 'A1', 'Hammer', 5, 2.75, 0.5, 'x', '2024-01-31'), (2, 'B2', null, -3, 0.5, -2.25, '', '2023-12-01'),"
    " (3, 'c3', 'O''Neil', 0, null, 1e15, ' y ', null),"
    " (4, '0012', 'Bälg ÄÖß', 1000000, 99999999.9999, null, 'Yes', null),"
    " (5, '12', 'a%b_c', null, -1.005, 0.125, null, '2024-02-29'), (6, '', '  ', 2, 2.5, -0.5, 'no ', '1999-12-31'),"
    " (7, '1.5', 'HAMMER', 7, 0.0001, 3, '5', '2024-01-31'),"
    " (8, null, 'x & <y>', -7, 1.2345, 2.5, '\u00a0z', '2000-01-01')"
)
"""Rows with NULL, blank, padded, negative, halved, large, and other letters than ASCII's; texts that are numbers."""


class Both:
    """The same table in a database and in DuckDB, and what both give for one SELECT."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._reader = open_source(settings)
        self._live = self._reader.__enter__()
        self._duckdb = duckdb.connect()
        self._duckdb.execute(f"set threads = 1; create table item ({COLUMNS.format(double='double')})")
        self._duckdb.execute(f"insert into item values {VALUES}")

    def close(self) -> None:
        """Let go of both."""
        self._reader.__exit__(None, None, None)
        self._duckdb.close()

    def live(self, sql: str) -> Rows | None:
        """What the database gives, over the engine's own reader; None for its error."""
        try:
            rows: Rows = []
            for batch in self._live.read(sql):
                rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except SyncError:
            self._reader.__exit__(None, None, None)
            self._reader = open_source(self._settings)
            self._live = self._reader.__enter__()
            return None
        return rows

    def rehearsed(self, sql: str) -> Rows | str:
        """What DuckDB gives for the transpiled SELECT; or why it does not."""
        try:
            own = transpiled(sql, self._settings.dialect)
        except ViewError as error:
            return error.diagnostics[0].message
        try:
            return self._duckdb.execute(own).fetchall()
        except duckdb.Error as error:
            return str(error)

    def alike(self, sql: str, *, exact: bool = True) -> str:
        """Assert that both give the same rows, unless the rehearsal is refused, and why it is.

        Digits after the ninth are not compared without ``exact``: SQLite calculates with binary fractions.
        """
        rehearsed = self.rehearsed(sql)
        if isinstance(rehearsed, str):
            return rehearsed
        live = self.live(sql)
        if live is not None:
            told = (sql, transpiled(sql, self._settings.dialect))
            assert canonical(rehearsed, exact=exact) == canonical(live, exact=exact), told
        return ""


def transpiled(sql: str, dialect: str) -> str:
    """The view in DuckDB's SQL."""
    return to_duckdb(Query(sql=sql, path=Path("views/products.sql")), dialect=dialect)


@pytest.fixture(scope="module")
def postgresql(postgres: Postgres) -> Iterator[Both]:
    """PostgreSQL, where letters beyond ASCII have a case."""
    postgres.execute("postgres", "create database letters encoding 'UTF8' template template0 locale 'C.UTF-8'")
    columns = COLUMNS.format(double="double precision")
    grant = "grant select on item to public"
    postgres.execute("letters", f"create table item ({columns})", f"insert into item values {VALUES}", grant)
    both = Both(SourceSettings(dialect="postgres", connection=postgres.connection("letters")))
    yield both
    both.close()


@pytest.fixture(scope="module")
def mysql(mariadb: MariaDb) -> Iterator[Both]:
    """MariaDB, with a collation that compares texts exactly, since fixtures do.

    Other letters than ASCII's are written as bytes: MariaDB Connector/ODBC 3.1.15 damages its memory with a statement
    that holds any.
    """
    database = mariadb.fresh_database()
    texts = "character set utf8mb4 collate utf8mb4_nopad_bin"
    values = re.sub(r"'[^']*[^\x00-\x7f][^']*'", lambda it: f"x'{it[0][1:-1].encode().hex()}'", VALUES)
    mariadb.execute(database, f"create table item ({COLUMNS.format(double='double')}) {texts}")
    mariadb.execute(database, f"insert into item values {values}")
    exactly = ("set collation_connection = utf8mb4_nopad_bin",)
    both = Both(SourceSettings(dialect="mysql", connection=mariadb.connection(database), session=exactly))
    yield both
    both.close()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """SQLite."""
    path = tmp_path_factory.mktemp("sqlite") / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"create table item ({COLUMNS.format(double='double')})")
        connection.execute(f"insert into item values {VALUES}")
        connection.commit()
    both = Both(SourceSettings(dialect="sqlite", database=path))
    yield both
    both.close()


def expressions(dialect: str) -> dict[str, st.SearchStrategy[str]]:
    """Expressions of numbers, texts and conditions, each of a few levels, as people write them for the dialect."""
    whole = {"mysql": "signed"}.get(dialect, "integer")
    varchar = {"mysql": "char"}.get(dialect, "varchar")
    joined = "concat({0}, {1})" if dialect == "mysql" else "({0} || {1})"
    forms = {
        "number": [
            *("({0} + {1})", "({0} - {1})", "({0} * {1})", "-({0})", "abs({0})", "coalesce({0}, {1})", "floor({0})"),
            *("nullif({0}, {1})", "round({0}, 2)", "round({0})", "round({0} / {1}, 2)", "round({0} / 3.0, 2)"),
            *("{0} / 100.0", "{0} * (1 - {1} / 100.0)"),
            *(
                "cast({0} as decimal(12, 2))",
                "cast({0} as decimal(14, 1))",
                "round({0} / cast({1} as decimal(9, 2)), 2)",
                "ceil({0})",
                "greatest({0}, {1})",
            ),
            *(f"cast({{0}} as {whole})", f"cast({{text}} as {whole})", "cast({text} as decimal(10, 1))", "{0} % {1}"),
            *("length({text})", "case when {condition} then {0} else {1} end", "case when {condition} then {0} end"),
            *("case {0} when {1} then 1 when 2 then {0} else 0 end", "least({0}, {1})", "round(cast({0} as float), 1)"),
            *(("if({condition}, {0}, {1})", "{0} div {1}", "char_length({text})") if dialect == "mysql" else ()),
            *(("ifnull({0}, {1})", "instr({text}, 'a')", "{condition}") if dialect != "postgres" else ()),
            *(("round({0} / cast({1} as real), 2)", "round({0}, 1) / 10.0") if dialect == "sqlite" else ()),
            *(("({0})::numeric(12, 2)", "({text})::int", "strpos({text}, 'a')") if dialect == "postgres" else ()),
        ],
        "text": [
            *(
                "upper({0})",
                "lower({0})",
                "trim({0})",
                "ltrim({0})",
                "rtrim({0})",
                "substr({0}, 2)",
                "substr({0}, 1, 3)",
            ),
            *("replace({0}, 'a', 'bb')", joined, "coalesce({0}, {1})", "nullif({0}, {1})", "substr({0}, {number}, 2)"),
            *(f"cast({{0}} as {varchar}(3))", f"cast({{number}} as {varchar}(12))", f"cast({{0}} as {varchar})"),
            *("case when {condition} then {0} else {1} end", joined.format("{0}", "{number}"), "coalesce({0}, '-')"),
            *(f"cast(cast({{number}} as decimal(14, 2)) as {varchar})", "coalesce({0}, {number})", "max(mark) over ()"),
            *(
                ("left({0}, 2)", "right({0}, 2)", "left({0}, {number})", "lpad({0}, 5, '0')")
                if dialect != "sqlite"
                else ()
            ),
            *(("concat_ws('-', {0}, {1})", "concat({0}, '-', {number})") if dialect != "sqlite" else ()),
            *(("substring_index({0}, ' ', 1)", "'it''s'", "if({condition}, {0}, {1})") if dialect == "mysql" else ()),
            *(("split_part({0}, ' ', 1)", "({number})::text") if dialect == "postgres" else ()),
        ],
        "condition": [
            *("{number} > {number}", "{number} = {number}", "{text} = {text}", "{text} <> {text}", "{text} like '%a%'"),
            *("{text} is null", "{number} is not null", "{text} in ('A1', 'x', '5')", "{number} in (0, 2, 5)"),
            *("({0} and {1})", "({0} or {1})", "not ({0})", "{number} between {number} and {number}", "{text} < 'b'"),
            *(
                "{text} = {number}",
                "{text} > 1",
                "{number} = '5'",
                "{number} < '1.5'",
                "{text} like 'H%'",
                "made is null",
            ),
            *("made > '2024-01-15'", "made = '2024-01-31'", "{text} like '_'", "{text} in (5, 12)", "{text} = ''"),
            *(
                ("{0} is true", "{text} regexp '^-?[0-9]+$'", "{number}", "{text} <=> {text}")
                if dialect == "mysql"
                else ()
            ),
            *(("{number}", "{text} is {text}") if dialect == "sqlite" else ()),
            *(("{text} ~ '^[0-9]+([.][0-9]+)?$'", "{text} ilike 'h%'") if dialect == "postgres" else ()),
            *(("{text} is distinct from {text}", "made >= current_date") if dialect == "postgres" else ()),
        ],
    }
    leaves = {
        "number": st.sampled_from(["qty", "price", "weight", "id", "0", "1", "2.5", "-3", "100", "1.005"]),
        "text": st.sampled_from(["code", "name", "mark", "'a'", "''", "' b '", "'1.5'"]),
        "condition": st.sampled_from(["qty > 0", "mark = 'x'", "name is null", "price < 2.75"]),
    }

    def deeper(inner: dict[str, st.SearchStrategy[str]], kind: str) -> st.SearchStrategy[str]:
        def made(form: str) -> st.SearchStrategy[str]:
            parts = {name: inner[name] for name in inner if f"{{{name}}}" in form}
            sides = st.tuples(inner[kind], inner[kind])
            return st.tuples(sides, st.fixed_dictionaries(parts)).map(lambda it: form.format(*it[0], **it[1]))

        return st.one_of(inner[kind], st.sampled_from(forms[kind]).flatmap(made))

    found = leaves
    for _ in range(3):
        found = {kind: deeper(found, kind) for kind in forms}
    return found


def selects(dialect: str) -> st.SearchStrategy[str]:
    """Views of one table: a column, a condition, or a sum of a group."""
    some = expressions(dialect)
    forms = {
        "select id, {0} as x from item order by id": "number",
        "select id, {0} as x, 1 from item order by id": "text",
        "select id from item where {0} order by id": "condition",
        "select mark, sum({0}), count(*) from item group by mark order by 1": "number",
        "select max({0}), min({0}), count(distinct {0}) from item": "text",
        "select id from (select id, {0} as x from item) as d where x is not null order by x, id": "number",
        "select round(avg({0}), 2) from item": "number",
        "select id, row_number() over (order by {0} desc, id) from item order by id": "number",
        "select a.id, b.id from item as a left join item as b on b.code = {0} and b.id > a.id order by a.id, b.id": "",
    }
    return st.sampled_from(sorted(forms)).flatmap(
        lambda form: (some[forms[form]] if forms[form] else st.just("a.mark")).map(form.format)
    )


EVERYWHERE = [
    "select id, code, coalesce(name, 'none'), qty from item where id in (1, 3, 5)",
    "select id, upper(code), lower(name), trim(mark), ltrim(mark), rtrim(mark) from item",
    "select case when qty > 0 then 'Active' else 'Delete' end as flag, id from item",
    "select id, round(price / 3.0, 2), round(price / 7.0, 4) as seventh from item where id <> 5",
    "select sum(qty), count(name), max(price), min(code), count(*) as rows_, count(distinct mark) as marks from item",
    "select id, substr(name, 2, 3), substr(name, 5), replace(name, 'm', '') from item",
    "select id from item where code in ('A1', 'B2') and price between 0.1 and 3 and made > '2023-12-31'",
    "with d as (select id, qty * 2 as q from item) select d.id, d.q from d",
    "select id, cast(price as decimal(12, 1)), cast('1.5' as decimal(9, 3)) from item",
    "select id, abs(qty), nullif(mark, 'x'), abs(price) as size, -qty from item",
    "select id, row_number() over (order by qty desc, id), rank() over (order by upper(mark)) from item",
    "select id, row_number() over (order by qty, id desc), max(qty) over (partition by mark) from item",
    "select id from item order by qty, id desc limit 3",
    "select id from item order by upper(mark) desc, id limit 3",
    "select distinct mark from item",
    "select mark, count(*) from item group by mark having count(*) > 0",
    "select id from item where name like '%a%' and name not like 'a!%%' escape '!'",
    "select id from item where not exists (select 1 from item as o where o.qty > item.qty)",
    "select id from item where mark not in (select code from item where code is not null)",
    "select a.id, b.id as other from item a left join item b on b.made = a.made and b.id <> a.id",
    "select id from item where made = '2024-01-31' union all select qty from item where made is null",
    "select id, price * 1.15 as a, price + qty as b, price - 0.0001 as c from item where id < 4",
    "select id, coalesce(qty, 0) - coalesce(price, 0) from item",
    "select id, price * (1 - qty / 100.0) as a, price * 115 / 1000.0 as b from item where id < 4",
]
"""Plain SQL, of which nothing may be refused."""


@pytest.mark.parametrize(
    "sql",
    [
        *EVERYWHERE,
        "select id, code || '-' || qty, price::decimal(12, 4)::text, name::varchar(3), qty::bigint::text from item",
        "select id, price::int, (price * -1)::int, '7'::int, left(name, 2), lpad(code, 4, '0') from item",
        "select id, concat(code, '-', name), concat_ws(',', code, name), strpos(name, 'a'), right(name, 2) from item",
        "select string_agg(code, ',' order by id desc) from item",
        "select string_agg(distinct upper(mark), ';' order by upper(mark)) from item",
        "select id, split_part(name, ' ', 1), greatest(qty, 3), least(price, 1), qty % 3, sign(price) from item",
        "select id from item where code ~ '^[0-9]+([.][0-9]+)?$' or name ilike 'ham%' or mark is distinct from 'x'",
        "select sum(qty) filter (where price > 1), round(avg(price), 2) from item",
        "select id from item where made < current_date - interval '1 month' and made >= date '2000-01-01'",
    ],
)
def test_postgresql_and_duckdb_give_the_same(postgresql: Both, sql: str) -> None:
    """Row by row, on the real server, and nothing is refused."""
    assert postgresql.alike(sql) == ""
    assert postgresql.live(sql)


@pytest.mark.parametrize(
    "sql",
    [
        *EVERYWHERE,
        "select id, concat(code, name), ifnull(name, 'none'), `qty`, concat_ws('-', code, name) from `item`",
        "select group_concat(code order by id separator ';') from item",
        "select group_concat(distinct upper(mark) order by upper(mark)) from item",
        'select id, if(qty > 0, "yes", "no"), if(qty, 1, 0), qty > 2, not qty, true, false from item',
        "select id, length(name), char_length(name), left(name, 2), lpad(code, 5, '0'), locate('a', name) from item",
        "select id, cast(price as signed), cast(name as char(3)), cast(cast(qty as decimal(9, 1)) as char) from item",
        "select id, greatest(qty, price), least(qty, 1), qty % 2, qty <=> null, round(qty / 3, 2) from item",
        "select id, substring_index(name, ' ', 1), instr(name, 'a'), 'it\\'s', price % 0 from item",
        "select id from item where code regexp '^-?[0-9]{1,12}([.][0-9]+)?$' or (qty > 2) is true or qty",
        "select round(avg(price), 2), round(sum(price) / count(*), 2) from item",
        "select id from item where made < date_sub(now(), interval 1 day) and made < now()",
    ],
)
def test_mariadb_and_duckdb_give_the_same(mysql: Both, sql: str) -> None:
    """Row by row, on the real server, and nothing is refused."""
    assert mysql.alike(sql) == ""
    assert mysql.live(sql)


@pytest.mark.parametrize(
    "sql",
    [
        *EVERYWHERE,
        "select id, cast(price as integer), ifnull(name, '-'), iif(qty > 0, 1, 0), code || '-' || qty from item",
        "select group_concat(code, ';') from (select code from item order by code) as d",
        "select id, length(name), instr(name, 'a'), max(qty, 1), qty is null, qty > 1 from item where id <> 1",
        "select id, round(price, 1) from item where id <> 1",
        "select id from item where name like 'HAM%' or qty",
    ],
)
def test_sqlite_and_duckdb_give_the_same(sqlite: Both, sql: str) -> None:
    """Also where SQLite cuts off and DuckDB would round."""
    assert sqlite.alike(sql, exact=False) == ""
    assert sqlite.live(sql)


MANY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@MANY
@given(sql=selects("postgres"))
def test_whatever_runs_for_postgresql_gives_the_same(postgresql: Both, sql: str) -> None:
    """An expression is the same in DuckDB or refused, never silently another."""
    postgresql.alike(sql)


@MANY
@given(sql=selects("mysql"))
def test_whatever_runs_for_mariadb_gives_the_same(mysql: Both, sql: str) -> None:
    """An expression is the same in DuckDB or refused, never silently another."""
    mysql.alike(sql)


@MANY
@given(sql=selects("sqlite"))
def test_whatever_runs_for_sqlite_gives_the_same(sqlite: Both, sql: str) -> None:
    """An expression is the same in DuckDB or refused, never silently another."""
    sqlite.alike(sql, exact=False)


def in_duckdb(sql: str, dialect: str, *tables: str) -> Rows:
    """What DuckDB gives for a transpiled SELECT of another dialect."""
    with duckdb.connect() as connection:
        connection.execute(f"create table item ({COLUMNS.format(double='double')})")
        connection.execute(f"insert into item values {VALUES}")
        for table in tables:
            connection.execute(table)
        return connection.execute(transpiled(sql, dialect)).fetchall()


MADE = date(2024, 1, 31)

TAGS = "create table tag as select * from (values ('A1', 'b & c'), ('A1', 'a'), ('B2', null)) as t(code, name)"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select top 1 [code] from [dbo].[Item] where code > '' order by [code]", [("0012",)]),
        (
            "select isnull(i.name, '-'), len(i.mark) from acme.dbo.item as i where id in (2, 3)",
            [("-", 0), ("O'Neil", 2)],
        ),
        ("select dbo.item.code from dbo.item with (nolock) where dbo.item.qty = 5", [("A1",)]),
        ("select cast(price as int), cast(-price as int) from item where id in (1, 2)", [(2, -2), (0, 0)]),
        ("select cast('7' as int), cast(' 8 ' as int), convert(int, 7.9)", [(7, 8, 7)]),
        ("select iif(qty > 0, N'ja', N'nein') from item where id < 3", [("ja",), ("nein",)]),
        ("select string_agg(code, ',') within group (order by code desc) from item where id < 4", [("c3,B2,A1",)]),
        ("select code + ' - ' + name, code + '/' from item where id < 3", [("A1 - Hammer", "A1/"), (None, "B2/")]),
        ("select isnull(code, '') + isnull(name, '') + '!' from item where id < 3", [("A1Hammer!",), ("B2!",)]),
        ("select concat(code, '-', name), concat(qty, '') from item where id < 3", [("A1-Hammer", "5"), ("B2-", "-3")]),
        (
            "select cast('abcdef' as varchar(3)), convert(varchar(3), 'abcdef'), convert(nvarchar(max), 'ab')",
            [("abc", "abc", "ab")],
        ),
        ("select cast(name as varchar), cast(code as char(4)) + '|' from item where id = 1", [("Hammer", "A1  |")]),
        (f"select len(cast('{'x' * 40}' as varchar)), len(convert(varchar, '{'x' * 40}'))", [(30, 30)]),
        ("select convert(varchar(20), cast(price as decimal(12, 2))) from item where id = 1", [("2.75",)]),
        (
            "select try_cast('12.5' as decimal(9, 2)), try_cast('1e3' as decimal(9, 2)), try_cast('x' as decimal(9))",
            [(Decimal("12.50"), None, None)],
        ),
        (
            "select round(cast(7 as decimal(9, 2)) / 3, 2), round(price, 1) from item where id = 1",
            [(Decimal("2.33"), Decimal("2.8"))],
        ),
        ("select qty % 3, -7 % 3 from item where id = 1", [(2, -1)]),
        (
            "select left(name, 2), right(name, 2), substring(name, 2, 3), charindex('m', name) from item where id = 1",
            [("Ha", "er", "amm", 3)],
        ),
        ("select title = code from item where name like '%eil' or name like 'Ham%' order by code", [("A1",), ("c3",)]),
        (
            (
                "select i.code, z.name from item i outer apply (select top 1 t.name from tag t"
                " where t.code = i.code order by t.name) z where i.id < 4 order by i.id"
            ),
            [("A1", "a"), ("B2", None), ("c3", None)],
        ),
        (
            (
                "select stuff((select ',' + t.name from tag t where t.code = item.code order by t.name"
                " for xml path('')), 1, 1, '') from item where id < 4"
            ),
            [("a,b &amp; c",), (None,), (None,)],
        ),
        (
            (
                "select stuff((select ', ' + t.name from tag t where t.code = 'A1' order by t.name"
                " for xml path(''), type).value('.', 'nvarchar(max)'), 1, 2, '')"
            ),
            [("a, b & c",)],
        ),
        (
            "select id from item where made >= dateadd(day, -30, '2024-02-29') and made < getdate() order by id",
            [(1,), (5,), (7,)],
        ),
        ("select datediff(day, made, '2024-02-01') from item where id = 1", [(1,)]),
        ("select row_number() over (partition by mark order by qty) from item where id < 3", [(1,), (1,)]),
        (
            "select isnull(name, code), replace(code, char(49), char(33)) from item where id < 3",
            [("Hammer", "A!"), ("B2", "B2")],
        ),
        (
            "select cast(price * (1 - qty / 100.0) as decimal(9, 4)) from item where id < 3",
            [(Decimal("2.6125"),), (Decimal("0.5150"),)],
        ),
        ("select coalesce(qty, 0.5), isnull(qty, 0) from item where id = 5", [(Decimal("0.5"), 0)]),
        ("select isnull(qty, 0.00), isnull(price, 0.0) from item where id = 5", [(0, Decimal("-1.0050"))]),
        (
            (
                "select i.code, z.name from item i cross apply (select top 1 t.name from tag t"
                " where t.code = i.code order by t.name desc) z"
            ),
            [("A1", "b & c"), ("B2", None)],
        ),
        ("select top 100 percent code from item where id < 3 order by code option (recompile)", [("A1",), ("B2",)]),
        (
            "with r as (select 1 as n union all select r.n + 1 from r where r.n < 3) select n from r",
            [(1,), (2,), (3,)],
        ),
        (
            (
                "select stuff((select ', ' + t.name from tag t where t.code = 'A1' order by t.name"
                " for xml path(''), type).value('(./text())[1]', 'nvarchar(max)'), 1, 2, '')"
            ),
            [("a, b & c",)],
        ),
        ("select id from item where made >= '20240131' and made < '20240201' or code = '20240131'", [(1,), (7,)]),
        ("select id from item where made > getdate() - 20000 and id = 1", [(1,)]),
        ("select id from item where datediff(day, made, getdate()) > 30 and id = 1", [(1,)]),
        (
            (
                "select convert(varchar(10), made, 120), convert(char(8), made, 112), convert(varchar(10), made, 103),"
                " convert(varchar(19), cast(made as date), 120) from item where id = 1"
            ),
            [("2024-01-31", "20240131", "31/01/2024", "2024-01-31")],
        ),
        ("select cast(made as date), cast(qty as bit), convert(bit, 0) from item where id = 1", [(MADE, True, False)]),
        (
            (
                "select try_cast('12' as int), try_convert(int, ' 7 '), try_cast('' as int), try_cast('1.5' as int),"
                " try_cast('x' as int), try_convert(decimal(9, 2), '1.5'), try_cast(-price as int) from item"
                " where id = 1"
            ),
            [(12, 7, 0, None, None, Decimal("1.50"), -2)],
        ),
        (
            (
                "select replicate('0', 3) + code, space(2) + '|', stuff(code, 2, 1, 'x'), stuff('abc', 4, 1, 'x'),"
                " right(replicate('0', 5) + cast(qty as varchar(5)), 5) from item where id = 1"
            ),
            [("000A1", "  |", "Ax", None, "00005")],
        ),
        (
            (
                "select lag(code) over (order by code), lead(code, 1, '-') over (order by code),"
                " first_value(code) over (order by code desc) from item where id < 3"
            ),
            [(None, "B2", "B2"), ("A1", "-", "B2")],
        ),
        (
            (
                "select id, nullif(code, 'A1 '), case code when 'A1  ' then 1 end from item"
                " where code + ' ' = 'A1' and code in ('A1   ', 'x')"
            ),
            [(1, None, 1)],
        ),
    ],
)
def test_sql_servers_ways_are_kept(sql: str, expected: Rows) -> None:
    """By what Microsoft's Transact-SQL reference says of them: there is no SQL Server to ask here."""
    assert sorted(in_duckdb(sql, "tsql", TAGS), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select nvl(name, 'none'), nvl(mark, '') from item where id in (2, 5)", [("none", ""), ("a%b_c", None)]),
        ("select code || name || '-' from item where id < 3", [("A1Hammer-",), ("B2-",)]),
        ("select '' || trim('  ') from dual", [(None,)]),
        ("select id from item where code = '' or length('') > 0", []),
        ("select replace(code, '1', ''), substr(code, 9), nvl2(name, 1, 0) from item where id = 1", [("A", None, 1)]),
        ("select cast(2.5 as integer), cast(-2.5 as integer), round(1 / 3, 2) from dual", [(3, -3, Decimal("0.33"))]),
        ("select mod(7, 0), mod(-7, 3) from dual", [(7, -1)]),
        ("select decode(code, 'A1', 'one', 'other'), decode('', null, 1, 2) from item where id = 1", [("one", 1)]),
        ("select id from item where made > sysdate - 20000 and id = 1", [(1,)]),
        ("select greatest(qty, null), least(1, 2) from item where id = 1", [(None, 1)]),
        ("select listagg(code, ',') within group (order by code desc) from item where id < 4", [("c3,B2,A1",)]),
        ("select id from item order by qty desc fetch first 1 rows only", [(5,)]),
        (
            "select to_char(qty) || '!', instr(name, 'm'), case when '' is null then 1 end from item where id = 1",
            [("5!", 3, 1)],
        ),
    ],
)
def test_oracles_ways_are_kept(sql: str, expected: Rows) -> None:
    """By what Oracle's SQL Language Reference says of them: there is no Oracle to ask here."""
    assert sorted(in_duckdb(sql, "oracle"), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("dialect", "sql", "said"),
    [
        ("tsql", "select code + price from item", "No function matches"),
        ("tsql", "select '-' + qty from item", "rtrim"),
        ("tsql", "select concat(price, '') from item", "sql.number_text"),
        ("tsql", "select cast(weight as varchar(9)) from item", "sql.number_text"),
        ("tsql", "select cast(qty as varchar(2)) from item", "longer than its text"),
        ("tsql", "select cast('1.5' as int)", "no whole number"),
        ("tsql", "select round(weight, 2) from item", "halfway"),
        ("tsql", "select round(cast(1 as decimal(9, 2)) / qty, 2) from item", "division by zero"),
        ("tsql", "select substring(name, qty, 1) from item", "before the first letter"),
        ("tsql", "select convert(varchar(10), code, 103) from item", "CONVERT with a style"),
        ("tsql", "select try_cast('- 1' as int)", "almost a whole number"),
        ("oracle", "select id from item where code = 1", "sql.try_number"),
        ("mysql", "select id from item where mark = 1", "sql.try_number"),
        ("sqlite", "select code || price from item", "sql.number_text"),
        ("sqlite", "select round(price, 2) from item", "halfway"),
    ],
)
def test_what_the_columns_types_make_different_is_an_error_of_the_query(dialect: str, sql: str, said: str) -> None:
    """What the SQL alone does not tell is asked of the fixtures' types, and never another row."""
    with pytest.raises(duckdb.Error, match=re.escape(said)):
        in_duckdb(sql, dialect)


@pytest.mark.parametrize(
    ("dialect", "sql", "said"),
    [
        ("tsql", "select stuff((select ',' + code from item for xml path('')), 1, 1, '') as title", "FOR XML"),
        ("tsql", "select (select code from item order by code for xml raw) as title", "FOR XML"),
        ("tsql", "select convert(varchar(10), code, 100) as title from item", "CONVERT with a style"),
        ("tsql", "select convert(varchar(30), made, 121) as title from item", "CONVERT with a style"),
        ("tsql", "select convert(varchar(10), getdate(), 103) as title from item", "CONVERT with a style"),
        ("tsql", "select lag(code) over (partition by code) as title from item", "without ORDER BY"),
        ("tsql", "select replicate('0', qty) as title from item", "calculated number"),
        ("tsql", "select dbo.price_of(code) as title from item", "a function of a schema"),
        ("tsql", "select f.x as title from item cross apply dbo.parts(code) f", "APPLY with a function"),
        ("tsql", "select top 5 code as title from item", "without ORDER BY"),
        ("tsql", "select top 5 percent code as title from item order by code", "PERCENT"),
        ("tsql", "select qty / 2 as title from item", "division that may be one of integers"),
        ("tsql", "select round(qty / 2, 2) as title from item", "division that may be one of integers"),
        ("tsql", "select round(avg(qty), 2) as title from item", "average that may be one of integers"),
        ("tsql", "select isnumeric(code) as title from item", "isnumeric"),
        ("tsql", "select isnull(qty, 0.5) as title from item", "ISNULL"),
        ("tsql", "select code from item where name like '[A-C]%'", "class of letters"),
        ("tsql", "select code from item where name like '%' + mark", "LIKE with a pattern"),
        ("tsql", "select try_cast(code as date) as title from item", "TRY_CAST"),
        ("tsql", "select cast(code as uniqueidentifier) as title from item", "a cast to"),
        ("tsql", "select format(price, 'N2') as title from item", "()"),
        ("tsql", "select getdate() as title from item", "a date that is not compared"),
        ("tsql", "select code collate Latin1_General_CI_AS as title from item", "COLLATE"),
        ("tsql", "select {fn ucase(code)} as title from item", "ODBC escape"),
        ("tsql", "select sum(qty) as title from item group by rollup (code)", "ROLLUP"),
        ("mysql", "select code || name as title from item", "reads as OR"),
        ("mysql", "select price / 3 as title from item", "rounds in its own way"),
        ("mysql", "select round(price / 3 * 100, 2) as title from item", "rounds in its own way"),
        ("mysql", "select datediff(code, name) as title from item", "difference of dates"),
        ("mysql", "select group_concat(code) as title from item", "without an order"),
        ("mysql", "select code from item where name like 'a\\\\b'", "backslash"),
        ("mysql", "select code from item where qty = '5.5'", "a number in quotes"),
        ("mysql", "select qty div 2 as title from item", "without a remainder"),
        ("oracle", "select a.code as title from item a, kit b where a.code = b.code (+)", "(+)"),
        ("oracle", "select code from item where rownum < 5", "ROWNUM"),
        ("hana", "select locate(code, 'a') as title from item", "LOCATE"),
        ("firebird", "select round(price, 2) as title from item", "ROUND"),
        ("access", "select code + '-' as title from item", "+ between texts"),
        ("postgres", "select my_function(code) as title from item", "my_function"),
        ("postgres", "select substr(code, 0) as title from item", "begin at 1"),
        ("postgres", "select code::char(9) as title from item", "pads"),
        ("postgres", "select code ~ '\\d+' as title from item", "regular expression"),
        ("postgres", 'select i."Name" as title, i.name as vendor from item i', "the columns Name and name of item"),
        ("postgres", 'select i.code as title from item i join "Item" j on j.code = i.code', "tables item and Item"),
        ("oracle", 'select code as title, "code" as vendor from item', "the columns CODE and code of item"),
        ("postgres", "select a.item.code as title, b.item.code from a.item, b.item", "one fixture item.csv"),
        ("sqlite", "select round(qty / cast(3 as decimal(9, 2)), 2) as title from item", "one of integers"),
        ("sqlite", "select qty % 2 as title from item", "a remainder"),
        ("sqlite", "select total(qty) as title from item", "total"),
    ],
)
def test_what_may_differ_is_refused_by_name(dialect: str, sql: str, said: str) -> None:
    """With what to write instead; never silently run as something else."""
    with pytest.raises(ViewError) as refused:
        transpiled(sql, dialect)
    fault = next(fault for fault in refused.value.diagnostics if said.lower() in fault.message.lower())
    assert fault.hint


def test_a_refusal_names_its_place(tmp_path: Path) -> None:
    """And its column."""
    sql = "select\n  code,\n  stuff((select code from item for xml path('')), 1, 1, '') as title\n"
    with pytest.raises(ViewError) as refused:
        to_duckdb(itself(sql, tmp_path / "products.sql"), dialect="tsql")
    assert refused.value.diagnostics[0].where == f"{tmp_path / 'products.sql'}:3:32"


def test_duckdbs_own_views_stay_as_they_are() -> None:
    """To the letter."""
    assert transpiled("select  1 as a -- x", "duckdb") == "select  1 as a -- x"


TAGGED = "create table listed as select * from (values (10, 'a'), (2, 'b'), (1, null)) as t(n, name)"


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("mysql", "select substring_index('a/b/c.jpg', '/', -1), substring_index('abc', '/', -1)", [("c.jpg", "abc")]),
        ("mysql", "select substring_index('a/b/c.jpg', '/', 1)", [("a",)]),
        ("mysql", "select group_concat(n order by n) from listed", [("1,2,10",)]),
        ("mysql", "select group_concat(n order by n desc separator ';') from listed", [("10;2;1",)]),
        ("tsql", "select string_agg(n, ',') within group (order by n) from listed", [("1,2,10",)]),
        ("postgres", "select string_agg(n::text, ',' order by n) from listed", [("1,2,10",)]),
    ],
)
def test_a_sign_and_the_type_of_what_is_sorted_are_seen(dialect: str, sql: str, expected: Rows) -> None:
    """A count of -1 is from the end, and numbers in a list are sorted as numbers."""
    assert in_duckdb(sql, dialect, TAGGED) == expected


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("mysql", "select substring_index(code, '/', -2) as title from item"),
        ("mysql", "select round(price, -1) as title from item"),
        ("tsql", "select round(price, -2) as title from item"),
        ("postgres", "select lag(code, -1) over (order by id) as title from item"),
        ("mysql", "select lpad(code, -1, 'x') as title from item"),
        ("postgres", "select split_part(code, ' ', -1) as title from item"),
        ("tsql", "select convert(varchar(10), made, -103) as title from item"),
        ("tsql", "select stuff(code, -1, 1, 'x') as title from item"),
        ("tsql", "select char(-65) as title from item"),
        ("sqlite", "select code as title from item order by id limit -1"),
        ("postgres", "select code as title from item order by id limit 1 + 1"),
    ],
)
def test_a_negative_number_is_not_taken_for_a_positive_one(dialect: str, sql: str) -> None:
    """Each database reads it in its own way, or not at all."""
    with pytest.raises(ViewError):
        transpiled(sql, dialect)


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite", "oracle"])
@pytest.mark.parametrize(
    "condition",
    ["(id, mark) = (1, null)", "(id, qty) > (1, 2)", "not (id, qty) in ((1, 2), (3, null))", "(id, qty) <> (1, null)"],
)
def test_row_values_are_refused(dialect: str, condition: str) -> None:
    """Beside NULL, DuckDB gives other rows than the databases."""
    with pytest.raises(ViewError, match="row values"):
        transpiled(f"select code as title from item where {condition}", dialect)


@pytest.mark.parametrize("kind", ["natural join", "natural left join"])
def test_a_natural_join_is_refused(kind: str) -> None:
    """A fixture need not have all columns of its table, and so would join on others."""
    with pytest.raises(ViewError, match="NATURAL JOIN"):
        transpiled(f"select code as title from item {kind} price", "postgres")


@pytest.mark.parametrize(
    ("dialect", "part", "name"),
    [
        ("postgres", "tags[1]", "[…]"),
        ("postgres", "data ->> 'name'", "->>"),
        ("mysql", "flags & 4", "&"),
        ("postgres", "made at time zone 'UTC'", "AT TIME ZONE"),
        ("postgres", "code similar to 'A%'", "SIMILAR TO"),
    ],
)
def test_a_refusal_names_what_sql_calls_it_and_its_line(tmp_path: Path, dialect: str, part: str, name: str) -> None:
    """Not what the parser calls it."""
    sql = f"select\n  code,\n  {part} as title\nfrom item"
    with pytest.raises(ViewError) as refused:
        to_duckdb(itself(sql, tmp_path / "products.sql"), dialect=dialect)
    (first, *_) = refused.value.diagnostics
    assert f"has {name}," in first.message
    assert first.line == 3


def test_a_column_may_be_called_as_a_word_of_duckdbs_own() -> None:
    """In the database it is a name like any other."""
    table = 'create table words as select 1 as "at", 2 as "Lambda"'
    sql = "select w.at, at + lambda as sum_of from words as w where lambda = 2 group by at, lambda"
    assert in_duckdb(sql, "postgres", table) == [(1, 3)]
