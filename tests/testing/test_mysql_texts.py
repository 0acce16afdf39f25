"""What MySQL and MariaDB write of a value is what a rehearsal writes of it, or it is refused by name and place."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import constructs
from support.mapping import PROJECT, rehearsed, write

from engine.config.loader import load
from engine.database.open import open_source
from engine.errors import ViewError
from engine.model.settings import SourceSettings
from engine.testing.capture import capture_fixtures

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import MariaDb

TABLE = (
    (
        "create table t (id int, y year, b bit(1), db double, du decimal(10,2), dt3 datetime(3), nm varchar(9),"
        " big bigint unsigned)"
    ),
    "insert into t values (1, 2026, 1, 2.5, 10.50, '2026-03-01 23:30:00.25', 'Ann', 18446744073709551615)",
    "insert into t values (2, 0, 0, -0.5, 0, '2026-07-01', 'Bo', 0), (3, null, null, null, null, null, null, null)",
)

VIEW = """\
{{% import 'macros/dialect.sql' as sql %}}
select id as source_product_code, id as source_variant_code, {{{{ sql.concat([col('nm'), 'z']) }}}} as title,
    'Yes' as product_active, 1 as csv_price_tiers, 1 as `variants.qty`, id as `variants.sku`,
    {} as meta_shown
from t
"""
"""A macro beside what is shown: the view has a second rendering, in DuckDB's own SQL."""

SHOWN = (
    *("concat(y, '-')", "y", "b + 0", "round(db, 3)", "round(du, 3)", "coalesce(round(du, 3), 0)", "cast(y as char)"),
    *("ceil(db)", "floor(big)", "ceil(big) + 0"),
)
"""Values with digits that only MySQL writes."""

REFUSED = {
    "b": "a BIT in a field of text",
    "dt3": "a time with parts of a second",
    "timestamp '2024-02-29 10:20:30.250000'": "a time with parts of a second",
    "coalesce(round(db, 3), 0)": "a text of a rounded floating number",
    "date_add(dt3, interval 1 month)": "a time with parts of a second",
    "round(db, 3) * 2": "a text of a rounded floating number",
    "count(*) over (partition by if(id > 1, 'A', 'a'))": "groups of texts of the view's own",
}
"""Values that a rehearsal would write, or group, in another way."""


@pytest.fixture(scope="module")
def source(mariadb: MariaDb) -> SourceSettings:
    """The table in MariaDB."""
    database = mariadb.fresh_database()
    mariadb.execute(database, *TABLE)
    return SourceSettings(dialect="mysql", connection=mariadb.connection(database))


@pytest.fixture
def captured(source: SourceSettings, tmp_path: Path) -> Path:
    """A project with the fixtures of the table; gives the file of its view."""
    root = tmp_path / "projects" / "acme"
    settings = PROJECT.format(dialect="mysql")
    said = f"connection = {json.dumps(source.connection)}"
    write(root / "project.toml", re.sub("connection = .*", lambda _: said, settings))
    view = write(root / "views" / "products.sql", VIEW.format("concat(y, b + 0, db, du, dt3, big)"))
    environ = {"TEST_URL": "http://127.0.0.1:9", "TEST_USER": "u", "TEST_PASSWORD": "p"}
    capture_fixtures(load("acme", workspace=tmp_path, environ=environ), rows=40, stop=threading.Event())
    return view


def shown(workspace: Path) -> list[Any]:
    """What the documents of the rehearsal show, by their keys."""
    found = []
    for _, document in rehearsed(workspace).documents:
        metas = {each["key"]: each["value"] for each in document["product"]["meta"]}
        found.append(metas.get("shown"))
    return found


def read_texts(source: SourceSettings, sql: str) -> list[str]:
    """The texts of a SELECT's only column as a run reads them, with a blank for NULL."""
    with open_source(source) as connection:
        batches = list(connection.read(sql, pack=True))
    return [value.replace("\x1e", "") for batch in batches for value in batch.columns[0].to_pylist()]


@pytest.mark.parametrize("expression", SHOWN)
def test_digits_that_mysql_writes_are_those_of_a_rehearsal(
    source: SourceSettings, captured: Path, tmp_path: Path, expression: str
) -> None:
    """The year 0 is 0000 in a text, and what is rounded to three decimals has three."""
    write(captured, VIEW.format(expression))
    assert shown(tmp_path) == read_texts(source, f"select {expression} as x from t order by id")


@pytest.mark.parametrize("expression", sorted(REFUSED))
def test_what_mysql_writes_otherwise_is_refused_though_a_macro_is_beside_it(
    captured: Path, tmp_path: Path, expression: str
) -> None:
    """The second rendering, in DuckDB's own SQL, has it too: there it is the same text."""
    write(captured, VIEW.format(expression))
    with pytest.raises(ViewError) as refused:
        rehearsed(tmp_path)
    (fault, *_) = refused.value.diagnostics
    assert REFUSED[expression] in fault.message
    assert fault.line == 4


def test_the_largest_of_bits_is_refused(source: SourceSettings, tmp_path: Path) -> None:
    """MariaDB's driver reads it as false in a SELECT of one row."""
    with constructs.captured(source, {"t": ("id", "b", "db")}, tmp_path) as rehearsal:
        assert "max()" in str(rehearsal("select max(b) as x from t"))
        constructs.require_equal(
            rehearsal, source, "select max(b + 0) as x, count(distinct if(id > 1, 'A', 'b')) as y from t"
        )


@pytest.mark.parametrize(
    "call", ["sql.try_number(col('b'))", "sql.concat([sql.number_text(sql.try_number(col('b')))])"]
)
def test_a_macro_does_not_hide_what_mysql_makes_of_a_bit(captured: Path, tmp_path: Path, call: str) -> None:
    """Its text is a control character there, and no number."""
    write(captured, VIEW.format(f"{{{{ {call} }}}}"))
    with pytest.raises(ViewError, match=r"BIT|bit"):
        rehearsed(tmp_path)


def test_nothing_in_place_of_a_zero_date_that_is_a_blank(mariadb: MariaDb, tmp_path: Path) -> None:
    """NULLIF of a date and a blank text is NULL for 0000-00-00, which the fixtures keep as a text."""
    database = mariadb.fresh_database()
    mariadb.execute(
        database, "create table t (id int, d date)", "insert into t values (1, '0000-00-00'), (2, '2024-02-29')"
    )
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    with constructs.captured(source, {"t": ("id", "d")}, tmp_path) as rehearsal:
        assert "nullif()" in str(rehearsal("select id, nullif(d, '') as x from t"))
        constructs.require_equal(rehearsal, source, "select id, nullif(d, '0000-00-00') as x from t")
