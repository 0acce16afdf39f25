"""What PostgreSQL refuses for the types of its values is refused on fixtures, and what it takes is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import constructs

from engine.errors import QueryError
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.constructs import Rehearsal
    from support.servers import Postgres

TABLE = (
    "create type mood as enum ('sad', 'ok', 'Happy')",
    "create extension if not exists citext",
    (
        "create table t (id int primary key, nm varchar(40), c6 char(6), ct citext, i int, n2 numeric(12,2),"
        " db double precision, d date, ts timestamp, fl boolean, day8 varchar(8), mo mood, jb jsonb, u uuid, ip inet,"
        " ia int[], iv interval, m money, o oid, b3 bit(3))"
    ),
    (
        "insert into t values (1, 'Hammer', 'A1', 'Abc', 7, 10.50, 2.5, '2026-03-02', '2026-03-02 01:30', true,"
        " '20260302', 'ok', '{\"a\": 1}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1', '{1,2}', '1 day',"
        " 5, 9, b'101'),"
        " (2, 'axe', 'B2', 'aBC', 0, 0, -0.5, '2026-07-01', '2026-07-01', false, '20260701', 'sad', '{\"a\": 1.0}',"
        " 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '9.0.0.1', '{}', '24 hours', 0, 4294967295, b'010')"
    ),
    "insert into t (id) values (3)",
    "grant select on t to public",
)

COLUMNS = (
    "id",
    "nm",
    "c6",
    "ct",
    "i",
    "n2",
    "db",
    "d",
    "ts",
    "fl",
    "day8",
    "mo",
    "jb",
    "u",
    "ip",
    "ia",
    "iv",
    "m",
    "o",
    "b3",
)

REFUSED = {
    "select id from t where i": "a number as a condition",
    "select id from t where not n2": "a number as a condition",
    "select id from t where fl and nm": "a text as a condition",
    "select id, case when i then 'a' end as v from t": "a number as a condition",
    "select id from t where m is true": "as a condition",
    "select a.id from t as a join t as b on a.i": "a number as a condition",
    "select id from t where fl = 1": "a comparison of a truth with a number",
    "select id from t where fl in (0, 1)": "a comparison of a truth with a number",
    "select id, case fl when 1 then 'a' end as v from t": "a comparison of a truth with a number",
    "select id from t where i = true": "a comparison of a number with a truth",
    "select id from t where day8 = 20260302": "a comparison of a text with a number",
    "select id from t where i in (select day8 from t)": "a comparison of a number with a text",
    "select id, nullif(nm, 0) as v from t": "a comparison of a text with a number",
    "select id from t where day8 > current_date": "a comparison of a text with a date",
    "select id from t where i = '1.5'": "a comparison of a number and a text that is none",
    "select id from t where n2 <> ''": "a comparison of a number and a blank text",
    "select id from t where d <> ''": "a comparison of a date and a blank text",
    "select id from t where mo = ''": "a comparison of an ENUM and a blank text",
    "select id, coalesce(fl, 0) as v from t": "COALESCE() of a truth and a number",
    "select id, coalesce(n2, '') as v from t": "COALESCE() of a number and a blank text",
    "select id, coalesce(d, '-') as v from t": "COALESCE() of a date and a text that is none",
    "select id, coalesce(mo, '') as v from t": "COALESCE() of an ENUM and a blank text",
    "select id, case when i > 1 then i else '-' end as v from t": "CASE of a number and a text that is none",
    "select id, case when i > 1 then nm else 0 end as v from t": "CASE of a text and a number",
    "select id, greatest(fl, 1) as v from t": "GREATEST() of a truth and a number",
    "select nm as v from t union all select 0": "UNION of a text and a number",
    "select d as v from t union all select ''": "UNION of a date and a blank text",
    "select u as v from t union all select ''": "a value of the type uuid beside a value of another type",
    "select max(u) as v from t": "a value of the type uuid of which the first or the last is taken",
    "select max(fl) as v from t": "MAX() of a truth",
    "select sum(fl) as v from t": "SUM() of a truth",
    "select sum(i > 1) as v from t": "SUM() of a truth",
    "select sum(nm) as v from t": "SUM() of a text",
    "select avg(d) as v from t": "AVG() of a date",
    "select id, round(db, 2) as v from t": "ROUND() of a floating number with decimals",
    "select id, db % 2 as v from t": "the remainder of a floating number",
    "select id, left(n2, 3) as v from t": "LEFT() of a number",
    "select id, upper(mo) as v from t": "UPPER() of an ENUM",
    "select id, length(i) as v from t": "LENGTH() of a number",
    "select id, i like '7%' as v from t": "LIKE of a number",
    "select id, d like '2026%' as v from t": "LIKE of a date",
    "select string_agg(i, ',' order by id) as v from t": "STRING_AGG() of a number",
    "select id, replace(nm, 'a', 1) as v from t": "REPLACE() with what is no text",
    "select id, i || n2 as v from t": "|| between values that are no texts",
    "select id, u || u as v from t": "|| between values that are no texts",
    "select id, i || iv as v from t": "|| between values that are no texts",
    "select id, '' || ia as v from t": "a value of the type array in a text",
    "select id, b3 || i as v from t": "a value of the type bit in a text",
    "select id from t where fl = any(array[1, 7])": "a comparison of a truth with a number",
    "select id from t where n2 in (select m from t)": "a value of the type money beside one that is written otherwise",
    "select id, nm ->> 'a' as v from t": "->> of a text",
    "select id, o + 1 as v from t": "a value of the type oid that is calculated with",
    "select id, sum(o) over () as v from t": "sum()",
    "select id, nm + 1 as v from t": "a calculation with a text",
    "select id, fl + 1 as v from t": "a calculation with a truth",
    "select id, d + n2 as v from t": "a date or time with a number that is no whole one of days",
    "select id, ts + 1 as v from t": "a date or time with a number that is no whole one of days",
    "select id, fl::numeric as v from t": "a cast of a truth to a number",
    "select id, max(i, 2) as v from t group by id": "MAX() of several values",
    "select count(distinct i, nm) as v from t": "COUNT(DISTINCT …) of several values",
}
"""SELECTs that PostgreSQL refuses, and what the refusal on fixtures names."""

OTHER_ROWS = {
    "select id, ip::text as v from t": "a value of the type inet",
    "select id, ip || 'x' as v from t": "a value of the type inet",
    "select id, row_number() over (partition by jb order by id) as v from t": "a value of the type json",
    "select id, row_number() over (partition by iv order by id) as v from t": "a value of the type interval",
    "select array_to_string(array_agg(c6 order by id), ',') as v from t": "array_agg()",
    "select array_to_string(array(select c6 from t order by id), ',') as v from t": "array()",
    "select id, octet_length(c6) as v from t": "octet_length()",
    "select id from t where ct = any(array['Abc', 'x'])": "= ANY (…)",
    "select id from t where o > id": "a value of the type oid",
}
"""SELECTs of which PostgreSQL makes something else than of the texts that fixtures keep."""

EQUAL = (
    "select id from t where fl",
    "select id from t where not fl and i = 0",
    "select id from t where coalesce(fl, false) or i in (select id from t)",
    "select id from t where (select fl from t as x where x.id = t.id)",
    "select id from t where fl = 't' or fl = (i > 1)",
    "select id from t where i = ' 7 ' or n2 = '10.5' or d > '2026-1-5'",
    "select id from t where nm = any(array['axe', 'x'])",
    "select id from t where i = any(array[7, 8])",
    "select id, coalesce(i, '0') as v, coalesce(n2, 0) as w, coalesce(d, '2024-01-01') as x from t",
    "select id, coalesce(mo::text, '') as v, (i > 1)::int as w from t",
    "select id, round(db::numeric, 1) as v, round(1e3, 2) as w from t",
    "select id, i || '' as v, nm || i as w, 'x' || i || n2 as x from t",
    "select id, left(i::text, 1) as v, n2 * fl::int as w from t",
    "select id, d + 7 as v, d - 7 as w, ts - interval '1 day' as x from t",
    "select i as v from t union all select n2 from t union all select null",
    "select id, case when fl then 1.5 else i end as v, greatest(d, '2026-04-01') as w from t",
    "with c as (select id, i > 1 as big from t) select id from c where big",
    "select bool_or(fl) as v, max(fl::int) as w, count(fl) as x from t",
    "select a.id, a.o as v from t as a join t as b on a.o = b.o",
)
"""SELECTs that PostgreSQL takes, beside those that it refuses."""


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> SourceSettings:
    """The table in PostgreSQL."""
    database = postgres.fresh_database()
    postgres.execute(database, *TABLE)
    return SourceSettings(dialect="postgres", connection=postgres.connection(database))


@pytest.fixture
def rehearsal(source: SourceSettings, tmp_path: Path) -> Iterator[Rehearsal]:
    """The same table as fixtures."""
    with constructs.captured(source, {"t": COLUMNS}, tmp_path) as made:
        yield made


def test_what_postgresql_refuses_for_its_types_is_refused_by_name(source: SourceSettings, rehearsal: Rehearsal) -> None:
    """DuckDB would take a number for a truth, and any value for a text."""
    for sql, name in REFUSED.items():
        with pytest.raises(QueryError):
            constructs.read_rows(source, sql)
        given = rehearsal(sql)
        assert isinstance(given, str), sql
        assert f"The view has {name}" in given or name in given, (sql, given)


def test_what_postgresql_makes_otherwise_of_a_type_is_refused_by_name(
    source: SourceSettings, rehearsal: Rehearsal
) -> None:
    """An address has its mask in a text, a CHAR its blanks in a list, and two spellings of a value are one group."""
    for sql, name in OTHER_ROWS.items():
        assert constructs.read_rows(source, sql)
        given = rehearsal(sql)
        assert isinstance(given, str), sql
        assert name in given, (sql, given)


def test_what_postgresql_takes_beside_it_gives_the_same_rows(source: SourceSettings, rehearsal: Rehearsal) -> None:
    """A truth as a condition, a text in quotes beside a number, a cast before a function."""
    for sql in EQUAL:
        constructs.require_equal(rehearsal, source, sql)


def test_a_whole_number_that_is_cut_has_the_decimals_that_are_asked_for(
    source: SourceSettings, rehearsal: Rehearsal
) -> None:
    """TRUNC makes a numeric of it, which shows in a field of text."""
    sql = "select trunc(i, 1) as v, trunc(i) as w from t where i is not null order by id"
    live = constructs.read_rows(source, sql)
    assert live[0][0] == "7.0"
    assert [tuple(map(str, row)) for row in rehearsal(sql)] == live
