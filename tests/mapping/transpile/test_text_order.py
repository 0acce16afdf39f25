"""Where the order of texts decides about rows, a run on fixtures gives what the database gives, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.database.open import open_source
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.query import Query
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import MariaDb, Postgres

    from engine.database.connection import Connection

TEXTS = (
    "apple",
    "Apple",
    "Zebra",
    "zebra",
    "arm",
    "\u00e4rm",
    "A1-10",
    "A110",
    "A1_2",
    "B2",
    "b10",
    "coop",
    "co-op",
    "",
    "9",
)
"""Texts of which every collation has its own order: case, accents, hyphens, underscores, digits."""

VIEWS = (
    "select max(name), min(name) from item where id in ({ids})",
    "select id, row_number() over (order by name, id) from item where id in ({ids})",
    "select id, lag(id) over (partition by 1 order by name desc, id) from item where id in ({ids})",
    "select max(name) over () from item where id in ({ids})",
    "select a.id, b.id as other from item a join item b on a.name < b.name where a.id in ({ids}) and b.id in ({ids})",
    "select id from item where id in ({ids}) and name between 'b' and 'z'",
    "select id from item where id in ({ids}) order by name, id limit 2",
    "select id, name as sku from item where id in ({ids}) order by sku desc, id limit 1",
)

LISTS = {
    "postgres": (
        "select string_agg(name, ',' order by name) from item where id in ({ids})",
        "select string_agg(distinct name, ',' order by name) from item where id in ({ids})",
        "select string_agg(name, ',' order by name desc) filter (where id >= 0) from item where id in ({ids})",
        "select string_agg(id::text, ',' order by name, id) from item where id in ({ids})",
    ),
    "mysql": (
        "select group_concat(name order by name separator ',') from item where id in ({ids})",
        "select group_concat(distinct name order by name) from item where id in ({ids})",
        "select group_concat(id order by name desc, id) from item where id in ({ids})",
    ),
}
"""Lists of texts of several rows."""


class Linguistic:
    """A table of texts in a database that orders them as people do, and the same in DuckDB."""

    def __init__(self, source: Connection, dialect: str) -> None:
        self._source, self._dialect = source, dialect
        self._duckdb = duckdb.connect()
        self._duckdb.execute("set threads = 1; create table item (id integer, name varchar)")
        self._duckdb.executemany("insert into item values (?, ?)", list(enumerate(TEXTS)))

    def compare(self, sql: str) -> bool:
        """Assert that both give the same rows; false where the run on fixtures says that they may differ."""
        query = Query(sql=sql, path=Path("views/products.sql"))
        try:
            found = self._duckdb.execute(to_duckdb(query, dialect=self._dialect)).fetchall()
        except duckdb.InvalidInputException:  # of error(…)
            return False
        live: list[tuple[Any, ...]] = []
        for batch in self._source.read(sql):
            live += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        assert sorted(found, key=repr) == sorted(live, key=repr), sql
        return True


@pytest.fixture(scope="module")
def postgresql(postgres: Postgres) -> Iterator[Linguistic]:
    """PostgreSQL, with ICU's English collation."""
    database = postgres.fresh_database()
    rows = ", ".join(f"({number}, '{text}')" for number, text in enumerate(TEXTS))
    table = 'create table item (id integer, name varchar(20) collate "en-x-icu")'
    postgres.execute(database, table, f"insert into item values {rows}", "grant select on item to public")
    with open_source(SourceSettings(dialect="postgres", connection=postgres.connection(database))) as source:
        yield Linguistic(source, "postgres")


@pytest.fixture(scope="module")
def mysql(mariadb: MariaDb) -> Iterator[Linguistic]:
    """MariaDB, with a collation that ignores case, as is usual."""
    database = mariadb.fresh_database()
    rows = ", ".join(
        f"({number}, convert(x'{text.encode().hex()}' using utf8mb4))" for number, text in enumerate(TEXTS)
    )
    table = "create table item (id integer, name varchar(20)) character set utf8mb4 collate utf8mb4_unicode_ci"
    mariadb.execute(database, table, f"insert into item values {rows}")
    with open_source(SourceSettings(dialect="mysql", connection=mariadb.connection(database))) as source:
        yield Linguistic(source, "mysql")


def some(dialect: str) -> st.SearchStrategy[str]:
    """Views over some of the texts."""
    texts = st.sets(st.sampled_from(range(len(TEXTS))), min_size=2, max_size=4)
    return st.tuples(st.sampled_from((*VIEWS, *LISTS[dialect])), texts).map(
        lambda it: it[0].format(ids=", ".join(map(str, sorted(it[1]))))
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sql=some("postgres"))
def test_the_order_of_texts_is_postgresqls_or_it_is_said(postgresql: Linguistic, sql: str) -> None:
    """On the real server, whatever texts stand beside each other."""
    postgresql.compare(sql)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sql=some("mysql"))
def test_the_order_of_texts_is_mariadbs_or_it_is_said(mysql: Linguistic, sql: str) -> None:
    """On the real server, whatever texts stand beside each other."""
    mysql.compare(sql)


@pytest.mark.parametrize("view", VIEWS)
def test_texts_that_every_collation_orders_alike_are_ordered(
    postgresql: Linguistic, mysql: Linguistic, view: str
) -> None:
    """Apple, arm, B2 and Zebra are: nothing is refused where there is no doubt."""
    alike = view.format(ids=", ".join(str(TEXTS.index(text)) for text in ("9", "A110", "B2", "Zebra")))
    if "between" in view:
        alike = alike.replace("'b'", "'AA'").replace("'z'", "'Zz'")
    assert postgresql.compare(alike)
    assert mysql.compare(alike)


@pytest.mark.parametrize("view", [view for view in VIEWS if "between" not in view and "limit 2" not in view])
def test_upper_and_lower_case_beside_each_other_are_told(postgresql: Linguistic, view: str) -> None:
    """Apple comes before Zebra in PostgreSQL's order, and after it in DuckDB's."""
    assert not postgresql.compare(view.format(ids=f"{TEXTS.index('apple')}, {TEXTS.index('Zebra')}"))


@pytest.mark.parametrize(("dialect", "view"), [(dialect, view) for dialect, many in LISTS.items() for view in many])
def test_a_list_of_texts_is_in_an_order_that_is_certain_or_it_is_said(
    postgresql: Linguistic, mysql: Linguistic, dialect: str, view: str
) -> None:
    """Texts that are equal but for case have no order among each other; A110, B2 and Zebra have one everywhere."""
    server = postgresql if dialect == "postgres" else mysql
    for pair in (("apple", "Zebra"), ("apple", "Apple")):
        if "id order" not in view or pair == ("apple", "Zebra"):
            assert not server.compare(view.format(ids=", ".join(str(TEXTS.index(text)) for text in pair)))
    assert server.compare(view.format(ids=", ".join(str(TEXTS.index(text)) for text in ("9", "A110", "B2", "Zebra"))))


def test_sqlite_orders_texts_as_duckdb_does() -> None:
    """By their code points: nothing is added to the view."""
    query = Query(sql="SELECT MAX(name) FROM item ORDER BY 1 LIMIT 2", path=Path("views/products.sql"))
    assert "ERROR" not in to_duckdb(query, dialect="sqlite")
