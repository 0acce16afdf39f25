"""Columns of types that fixtures keep as texts: compared as their database does, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import constructs

from engine.errors import QueryError
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import MariaDb, Postgres

POSTGRES = (
    (
        "create table t (id int primary key, tz timestamptz, tm time, ttz timetz, u uuid, iv interval, ip inet,"
        " vb varbit, m money, ia int[], jb jsonb, d date, ts timestamp, raw bytea)"
    ),
    (
        "insert into t values (1, '2026-03-01 23:30:00+00', '08:30', '08:30+02',"
        " 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '1 day 2 hours', '10.0.0.1', B'101', '1234.50', '{1,2}',"
        " '{\"a\": 1}', '2026-03-02', '2026-03-02 01:30', 'AB'),"
        " (2, '2026-07-01 12:00:00.5+00', '18:30:00.25', '07:30+00', 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',"
        " '25 hours', '9.0.0.1', B'1010', '-3', '{10}', '{\"a\":1.0}', '2026-07-01', '2026-07-01 00:00', 'c')"
    ),
    "insert into t (id) values (3)",
    "grant select on t to public",
)

MYSQL = (
    "create table t (id int primary key, tm time, tm3 time(3), y year, d date, dt datetime, dt3 datetime(3))",
    (
        "insert into t values (1, '08:30:00', '08:30:00.5', 2026, '2026-03-02', '2026-03-01 23:30:00',"
        " '2026-03-01 23:30:00.25'), (2, '-01:00:00', '101:30:00', 1999, '2026-07-01', '2026-07-01 00:00:00',"
        " '2026-07-01 00:00:00'), (3, null, null, null, null, null, null)"
    ),
)

COLUMNS = {
    "postgres": {
        "tz": ("'2026-3-2'", "'2026-03-02 01:30'", "'2026-03-01 23:30:00+00'", "now()", "current_date", "d", "ts"),
        "tm": ("'8:30'", "'08:30:00'"),
        "ttz": ("'08:30+02'",),
        "u": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        "iv": ("'26 hours'", "interval '1 day'"),
        "ip": ("'10.0.0.1/32'",),
        "vb": ("B'101'", "'101'"),
        "m": ("'1234.5'", "1234.5::money"),
        "ia": ("'{1, 2}'",),
        "jb": ("'{\"a\":1}'",),
        "raw": ("'AB'",),
    },
    "mysql": {
        "tm": ("'8:30'", "83000", "d"),
        "tm3": ("'08:30:00.5'", "tm"),
        "y": ("2026", "99"),
        "d": ("'2026-3-2'", "'2026-03-02 10:00'", "dt"),
        "dt": ("'2026-3-1 23:30'", "'2026-07-01'", "d"),
        "dt3": ("'2026-07-01 00:00:00'", "'2026-07-01'", "dt", "d"),
    },
}
"""Columns, each with what it is compared with: spelled as the database writes it, and otherwise."""


def selects(column: str, others: tuple[str, ...]) -> Iterator[str]:
    """SELECTs that show, compare, order, merge and calculate with a column."""
    yield f"select id, {column} as v from t"
    for other in others:
        yield from (f"select id from t where {column} {operator} {other}" for operator in ("=", "<>", "<", ">="))
        yield f"select id from t where {column} in ({other})"
        yield f"select id from t where {column} between {other} and {other}"
        yield f"select id, coalesce({column}, {other}) as v from t"
        yield f"select id, nullif({column}, {other}) as v from t"
        yield f"select id, case {column} when {other} then 'y' else 'n' end as v from t"
    yield f"select a.id from t as a join t as b on a.{column} = b.{column} and a.id <= b.id"
    yield f"select max({column}) as v, min({column}) as w from t"
    yield f"select id from t order by {column}, id limit 2"
    yield f"select id, row_number() over (order by {column}, id) as v from t where {column} is not null"
    yield f"select count(distinct {column}) as v from t"
    yield f"select distinct {column} as v from t"
    yield f"select {column} as v, count(*) as n from t group by {column}"
    yield f"select v, count(*) as n from (select max({column}) as v from t group by id) as x group by v"
    yield f"select concat({column}, 'x') as v from t"
    yield f"select upper({column}) as v from t"
    yield f"select {column} + 1 as v from t"
    yield f"select cast({column} as char(40)) as v from t"
    yield f"select cast({column} as {'text' if column == 'raw' else 'char'}) as v from t"


@pytest.mark.parametrize(
    ("dialect", "zone"), [("postgres", "Africa/Johannesburg"), ("postgres", "America/St_Johns"), ("mysql", "+02:00")]
)
def test_what_fixtures_keep_as_a_text_means_what_its_database_means_by_it(
    dialect: str, zone: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """8:30 is the time 08:30:00, and a moment with a zone the same one in another: equal here as there, or refused."""
    server = postgres if dialect == "postgres" else mariadb
    database = server.fresh_database()
    server.execute(database, *(POSTGRES if dialect == "postgres" else MYSQL))
    session = (f"set {'timezone' if dialect == 'postgres' else 'time_zone'} = '{zone}'",)
    source = SourceSettings(dialect=dialect, connection=server.connection(database), session=session)
    wrong, equal = [], 0
    columns = COLUMNS[dialect]
    with constructs.captured(source, {"t": ("id", *dict.fromkeys([*columns, "d"]))}, tmp_path) as rehearsal:
        for column, others in columns.items():
            for sql in selects(column, others):
                given = rehearsal(sql)
                try:
                    live = constructs.read_rows(source, sql)
                except QueryError:  # a type that has no such operator
                    continue
                if isinstance(given, str):
                    continue
                equal += 1
                if constructs.canonical(given) != constructs.canonical(live):
                    wrong.append((sql, given, live))
    assert not wrong
    assert equal > 60
