"""What a database has not got is refused on fixtures too, though the translation could read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from support import constructs
from support.mapping import itself

from engine.errors import QueryError, ViewError
from engine.mapping.transpile.kind_parts import kind_of_type
from engine.mapping.transpile.to_duckdb import to_duckdb

if TYPE_CHECKING:
    from support.servers import MariaDb, Postgres

FUNCTIONS = {
    "postgres": (
        *("len(name)", "ucase(name)", "lcase(name)", "instr(name, 'a')", "locate('a', name)", "charindex('a', name)"),
        *("substring_index(name, ' ', 1)", "ifnull(name, 'x')", "nvl(name, 'x')", "iif(n > 1, 'a', 'b')"),
        *("if(n > 1, 'a', 'b')", "decode(n, 1, 'a', 'b')", "truncate(price, 1)", "year(made)", "month(made)"),
        *("day(made)", "space(3)", "stuff(name, 1, 1, 'x')", "insert(name, 1, 1, 'x')", "name regexp '^H'"),
        *("n <=> 1", "n == 1", "made > '2024-01-01'::date - interval 1 day", "cast(price as double)"),
        *("cast(n as nvarchar(10))", "cast(n as string)", "max(n, 2)", "code in ()"),
    ),
    "mysql": (
        *("len(name)", "strpos(name, 'a')", "charindex('a', name)", "iif(n > 1, 'a', 'b')", "trunc(price, 1)"),
        *("stuff(name, 1, 1, 'x')", "to_hex(n)", "n::char", "name ilike 'h%'", "n == 1", "n is distinct from 1"),
        *("name isnull", "cast(n as text)", "cast(n as varchar)", "cast(price as numeric(10, 1))", "max(n, 2)"),
        *("cast(coalesce(code, name) as bigint)", "trim(name, 'x')", "rtrim(name, 'x')", "isnull(name, 'x')"),
        *("code in ()", "n in (select n from probe order by n limit 1)"),
        *("made + interval '1 day'", "date_add(made, interval '1 month')"),
    ),
    "sqlite": (
        *("left(name, 2)", "right(name, 2)", "len(name)", "char_length(name)", "ucase(name)", "locate('a', name)"),
        *("position('a' in name)", "strpos(name, 'a')", "substring_index(name, ' ', 1)", "greatest(n, 1)"),
        *("least(n, 1)", "nvl(name, 'x')", "decode(n, 1, 'a', 'b')", "n::text", "name ilike 'h%'", "n <=> 1"),
        *("substring(name from 1 for 2)", "trim(both ' ' from name)", "trim('x' from name)", "N'abc'"),
        *("insert(name, 1, 1, 'x')", "stuff(name, 1, 1, 'x')"),
    ),
}
"""Expressions that each of these refuses."""

VIEWS = {
    "postgres": (
        "select id from probe order by id limit 1, 2",
        "select a.id from probe as a cross apply (select a.id as x) as b",
        "select a.id from probe as a left join probe as b",
        "select a.id from probe as a straight_join probe as b on a.id = b.id",
        "select id from probe with (nolock)",
        "select group_concat(name order by id) from probe",
        "select count(distinct n, m) from probe",
        "with c as (select 1 as i union all select i + 1 from c where i < 3) select i from c",
        "select id as x from probe where x > 1",
        "select id + 1 as x, x + 1 as y from probe",
        "select grp, count(*) as x from probe group by grp having x > 1",
        "select n as x from probe order by x + 1 limit 1",
    ),
    "mysql": (
        "select string_agg(name, ',' order by id) from probe",
        "select sum(n) filter (where n > 1) from probe",
        "select a.id from probe as a full join probe as b on a.id = b.id",
        "select a.id from probe as a left join probe as b",
        "select id from (select id from probe)",
        "select distinct on (grp) grp, id from probe order by grp, id",
        "select id from probe order by n nulls last, id limit 2",
        "select id from probe order by id offset 1",
        "with c as (select 1 as i union all select i + 1 from c where i < 3) select i from c",
        "select id as x from probe where x > 1",
        "select id + 1 as x, x + 1 as y from probe",
    ),
    "sqlite": (
        "select id from probe order by id fetch first 2 rows only",
        "select id from probe order by id offset 1",
        "select distinct on (grp) grp, id from probe order by grp, id",
        "select id from probe except all select id from probe where id = 1",
        "select a.id from probe as a cross join lateral (select a.id as x) as b",
        "select a.id from probe as a straight_join probe as b on a.id = b.id",
        "select id from probe with (nolock)",
        "select count(distinct n, m) from probe",
        "with probe as (select * from probe where n > 1) select id from probe",
        "select id + 1 as x, x + 1 as y from probe",
    ),
}
"""SELECTs that each of these refuses."""

NEWER = ("concat(name, code)", "concat_ws('-', name, code)", "if(n > 1, 'a', 'b')", "string_agg(name, ',')")
NEWER_ORDER = "group_concat(name, ',' order by id)"
"""What SQLite has from 3.44 or 3.48."""

TAKEN = {
    "postgres": (
        "with probe as (select id, n from probe where n > 1) select id, n from probe",
        "select n as x from probe order by x, id limit 3",
        "select grp as x, count(*) as y from probe group by x",
        "select id as n, n as id from probe where n > 1",
        "select (select max(n) from probe as x where x.id = y.id) as m, id from probe as y where id > 2",
        'select "left".id from probe as "left" left join probe as "right" on "left".id = "right".id',
        "select id, 'x :: y <=> ifnull(z)' as x from probe  -- iif(a, b)",
    ),
    "mysql": (
        "select grp, count(*) as x from probe group by grp having x > 1",
        "select a.id from probe as a straight_join probe as b on a.id = b.id",
        "select id, trim(coalesce(name, code)) as x from probe",
        "select x.text from (select code as text from probe) as x",
        "select id, made + interval '1' day as x, date_sub(made, interval n day) as y from probe where n < 9",
        "with recursive c as (select 1 as i union all select i + 1 from c where i < 3) select i from c",
    ),
    "sqlite": (
        "select id as x from probe where x > 1",
        "with c as (select 1 as i union all select i + 1 from c where i < 3) select i from c",
        "select a.id from probe as a left join probe as b on a.id = b.id",
    ),
}  # fmt: skip
"""SELECTs that look alike, and that each of these takes."""


def translate(sql: str, dialect: str) -> str:
    """A SELECT on the table ``probe`` in DuckDB's SQL."""
    kinds = {"probe": {name: kind_of_type(kind) for name, kind in constructs.duckdb_types(dialect).items()}}
    return to_duckdb(itself(sql, Path("views/products.sql")), dialect=dialect, columns=kinds)


@pytest.mark.parametrize("dialect", sorted(VIEWS))
def test_what_a_database_has_not_got_is_refused_by_name_and_place(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """A rehearsal that runs what no live run can is worth nothing."""
    source = constructs.make_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    for sql in (*(f"select id, {each} as x from probe" for each in FUNCTIONS[dialect]), *VIEWS[dialect]):
        with pytest.raises(QueryError):
            constructs.read_rows(source, sql)
        with pytest.raises(ViewError) as refused:
            translate(sql, dialect)
        (first, *_) = refused.value.diagnostics
        assert first.message.endswith(" refuses."), (sql, first.message)
        assert first.line == 1, sql
        assert first.hint, sql


def test_what_only_a_new_sqlite_has_is_refused() -> None:
    """The same view may run on one machine and not on another."""
    for expression in (*NEWER, NEWER_ORDER):
        with pytest.raises(ViewError, match=r"which SQLite before 3\.4[48] refuses"):
            translate(f"select {expression} as x from probe", "sqlite")


@pytest.mark.parametrize("dialect", sorted(TAKEN))
def test_what_only_looks_foreign_runs(dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path) -> None:
    """Words in texts, comments and names, and a name where it is a column or may be an output's."""
    source = constructs.make_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    with duckdb.connect() as connection:
        for statement in constructs.duckdb_statements(dialect):
            connection.execute(statement)
        for sql in TAKEN[dialect]:
            given = connection.execute(translate(sql, dialect)).fetchall()
            assert constructs.canonical(given) == constructs.canonical(constructs.read_rows(source, sql)), sql
