"""A name that PostgreSQL does not find for its case is refused on fixtures, by the name that it has there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support import constructs
from support.mapping import PROJECT, itself, write

from engine.config.loader import load
from engine.errors import QueryError, ViewError
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.settings import SourceSettings
from engine.testing.capture import capture_fixtures
from engine.testing.fixture_database import create_fixture_database, load_fixtures

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import Postgres

TABLE = (
    'create table item (id int primary key, "ItemCode" varchar(10), "Qty" int, Nm text)',
    "insert into item values (1, 'A', 3, 'x'), (2, 'b', 4, 'y')",
    "grant select on item to public",
)

VIEW = """\
select id as source_product_code, "ItemCode" as source_variant_code, nm as title, "Qty" as csv_price_tiers,
    'Yes' as product_active, "Qty" as "variants.qty", id as "variants.sku"
from item
"""

REFUSED = {
    'select x.Foo from (select id as "Foo" from item) x': '"Foo"',
    'select x."Foo" from (select id as Foo from item) x': '"foo"',
    'select "I".id from item i': '"i"',
    'with "C" as (select 1 as a) select a from c': '"C"',
    'select id as "Foo" from item order by foo': '"Foo"',
    'select "Qty" as "Foo", count(*) from item group by foo': '"Foo"',
}
"""SELECTs that PostgreSQL refuses for the case of a name, and the name as it should be written."""

TAKEN = (
    'select ID, "ItemCode", NM, I."Qty" from Item as i order by I.id',
    'select x."Foo", X.bar from (select id as "Foo", nm as Bar from item) x',
    'select x.foo from (select id as "Foo" from item) as x(Foo)',
    'with C as (select "Qty" as q from item) select Q from c',
    'select a.id from item a join item b using ("Qty")',
    'select "Qty" as "Foo", count(*) as n from item group by "Foo" order by "Foo", N',
    'select id as "Foo" from item union all select "Qty" as foo from item order by "Foo"',
)
"""SELECTs that it takes."""


def test_a_name_in_another_case_than_the_databases_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    """Without quotes a name is one in small letters there; DuckDB finds it in any case."""
    database = postgres.fresh_database()
    postgres.execute(database, *TABLE)
    source = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    root = tmp_path / "projects" / "acme"
    environ = {
        "TEST_URL": "http://127.0.0.1:9",
        "TEST_USER": "u",
        "TEST_PASSWORD": "p",
        "TEST_SOURCE": postgres.connection(database),
    }
    settings = PROJECT.format(dialect="postgres").splitlines()
    lines = ['connection = "${TEST_SOURCE}"' if line.startswith("connection") else line for line in settings]
    write(root / "project.toml", "\n".join(lines))
    write(root / "views" / "products.sql", VIEW)
    capture_fixtures(load("acme", workspace=tmp_path, environ=environ), rows=40, stop=threading.Event())
    with create_fixture_database(tmp_path / "fixtures.duckdb") as connection:
        kinds = load_fixtures(connection, root, schema="client0", dialect="postgres")
        for sql, name in REFUSED.items():
            with pytest.raises(QueryError):
                constructs.read_rows(source, sql)
            with pytest.raises(ViewError, match="which the database refuses") as refused:
                to_duckdb(itself(sql, root / "views" / "products.sql"), dialect="postgres", columns=kinds)
            (fault, *_) = refused.value.diagnostics
            assert f"and not {name}" in fault.message, sql
            assert fault.line == 1
        for sql in TAKEN:
            translated = to_duckdb(itself(sql, root / "views" / "products.sql"), dialect="postgres", columns=kinds)
            given = connection.execute(translated).fetchall()
            assert constructs.canonical(given) == constructs.canonical(constructs.read_rows(source, sql)), sql
