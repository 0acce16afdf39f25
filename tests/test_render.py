"""Values are never syntax: what a template writes becomes a literal, whatever is in it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import ACTIVE_WORDS
from engine.errors import RenderError
from engine.model import EntitySettings, Project, SourceSettings, Stock2ShopSettings
from engine.render import ident, literal, render_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.servers import MariaDb, Postgres


TEXTS = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
"""Every text that a database can hold: no lone surrogates, no NUL."""


def project(folder: Path, dialect: str = "duckdb", **values: Any) -> Project:
    """A project whose view is ``folder/views/products.sql``."""
    view = folder / "views" / "products.sql"
    return Project(
        name="acme",
        root=folder,
        workspace=folder.parent,
        description="",
        source=SourceSettings(dialect=dialect, database=folder / "erp.duckdb"),
        stock2shop=Stock2ShopSettings(source_id=57, username="u", password="p"),
        entities={"products": EntitySettings(name="products", view=view, active=ACTIVE_WORDS)},
        vars=values,
        state=folder / "state.duckdb",
    )


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., str]:
    """Render a template with values as `vars`."""

    def go(template: str, *, dialect: str = "duckdb", files: dict[str, str] | None = None, **values: Any) -> str:
        folder = tmp_path / "acme"
        (folder / "views").mkdir(parents=True, exist_ok=True)
        (folder / "views" / "products.sql").write_text(template, "utf-8")
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        return render_view(project(folder, dialect, **values), "products").sql

    return go


@pytest.mark.parametrize(
    ("value", "dialect", "expected"),
    [
        ("O'Brien", "duckdb", "'O''Brien'"),
        ("C:\\ERP", "mysql", "'C:\\\\ERP'"),
        ("C:\\ERP", "postgres", "'C:\\ERP'"),
        ("Größe", "tsql", "N'Größe'"),
        (None, "tsql", "NULL"),
        (True, "tsql", "1"),
        (True, "postgres", "TRUE"),
        (Decimal("1.10"), "tsql", "1.10"),
        (["JHB", "CPT"], "tsql", "'JHB', 'CPT'"),
        ([1, 2], "mysql", "1, 2"),
    ],
)
def test_a_value_becomes_a_literal_of_the_dialect(value: object, dialect: str, expected: str) -> None:
    """Quotes, backslashes, Unicode and booleans are written as the database wants them."""
    assert literal(value, dialect) == expected


@given(TEXTS)
def test_any_text_comes_back_from_duckdb_as_it_went_in(text: str) -> None:
    """A literal is a value, never syntax."""
    with duckdb.connect() as connection:
        assert connection.execute(f"select {literal(text, 'duckdb')}").fetchall() == [(text,)]


@given(TEXTS)
def test_any_text_comes_back_from_sqlite_as_it_went_in(text: str) -> None:
    """A literal is a value, never syntax."""
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute(f"select {literal(text, 'sqlite')}").fetchall() == [(text,)]


def test_a_text_that_stands_in_the_template_is_a_value_too(render: Callable[..., str]) -> None:
    """A constant is quoted as any other value is."""
    assert render("select {{ 'a' }}, {{ \"it's\" }}, {{ 'b' ~ 'c' }}") == "select 'a', 'it''s', 'bc'"


def test_an_identifier_is_quoted_for_its_dialect() -> None:
    """Its own closing quote is doubled."""
    assert [ident("a]b", "tsql"), ident("a`b", "mysql"), ident('a"b', "postgres")] == ["[a]]b]", "`a``b`", '"a""b"']


def test_a_value_in_a_template_is_quoted(render: Callable[..., str]) -> None:
    """No quotes are written around it."""
    assert render("select {{ vars.name }}", name="x'; drop table item; --") == "select 'x''; drop table item; --'"


def test_a_name_is_written_with_ident(render: Callable[..., str]) -> None:
    """`| ident` quotes a name instead of a value."""
    assert render('select 1 as {{ ("qty_" ~ vars.w) | ident }}', w="JHB", dialect="tsql") == "select 1 as [qty_JHB]"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("select 1\nfrom t where x = {{ vars.nope }}", "'vars.nope' is not defined"),
        ("select 1\nfrom t where x = {{ nope }}", "'nope' is not defined"),
        ("select 1\nfrom t where x = '{{ vars.name }}'", "inside quotes"),
        ("select 1\n-- {{ vars.name }}", "inside a comment"),
        ("select 1\nfrom t where x in ({{ vars.none }})", "The list is empty"),
        ("select 1\n{% if %}", "Expected an expression"),
        ("select 1\n{{ vars.name | safe }}", "safe"),
        ("select 1\n{% set a %}x{% endset %}{{ a ~ vars.name }}", "glues texts, never SQL"),
        ("select 1\n{{ vars }}", "A table has no literal"),
        ("select 1\n{{ vars.name.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_fault_in_a_template_names_its_line(render: Callable[..., str], template: str, said: str) -> None:
    """Every trap is an error with file and line, never a surprise in the SQL."""
    with pytest.raises(RenderError) as raised:
        render(template, name="x", none=[])
    (fault,) = raised.value.faults
    assert said in fault.message
    assert (fault.path and fault.path.name, fault.line) == ("products.sql", 2)


def test_a_fault_in_an_included_macro_names_the_macros_line(render: Callable[..., str]) -> None:
    """The file that is wrong is named, not the one that imports it."""
    with pytest.raises(RenderError) as raised:
        render(
            '{% import "shared.sql" as shared %}\nselect {{ shared.m() }}',
            files={"shared.sql": "{% macro m() %}\n\n{{ vars.nope }}\n{% endmacro %}"},
        )
    (fault,) = raised.value.faults
    assert (fault.path and fault.path.name, fault.line) == ("shared.sql", 3)


def test_a_misspelt_name_is_guessed(render: Callable[..., str]) -> None:
    """The hint names what was likely meant."""
    with pytest.raises(RenderError) as raised:
        render("select {{ vars.warehose }}", warehouse="JHB")
    assert "Did you mean vars.warehouse?" in raised.value.faults[0].hint


def test_a_missing_template_says_where_it_was_looked_for(render: Callable[..., str]) -> None:
    """The places are listed in their order."""
    with pytest.raises(RenderError) as raised:
        render('select 1\n{% include "nope.sql" %}')
    (fault,) = raised.value.faults
    assert fault.line == 2
    assert "templates" in fault.hint


def test_a_missing_view_is_a_clear_error(tmp_path: Path) -> None:
    """It says what to write."""
    with pytest.raises(RenderError, match="There is no view"):
        render_view(project(tmp_path), "products")


def test_a_projects_own_template_wins_over_the_workspaces(tmp_path: Path) -> None:
    """Loader order: project, workspace, engine."""
    folder = tmp_path / "acme"
    (folder / "views").mkdir(parents=True)
    (folder / "views" / "products.sql").write_text('select {% include "part.sql" %}')
    (tmp_path / "templates" / "sql").mkdir(parents=True)
    (tmp_path / "templates" / "sql" / "part.sql").write_text("1")
    made = project(folder)
    assert render_view(made, "products").sql == "select 1"
    (folder / "part.sql").write_text("2")
    assert render_view(made, "products").sql == "select 2"


MACROS = """\
{% import "macros/dialect.sql" as sql %}
{% set padded %}'  x '{% endset %}
{% set amount %}12.50{% endset %}
{% set nothing %}null{% endset %}
select
    {{ sql.trim(padded) }} as trimmed,
    {{ sql.cast_text(amount) }} as words,
    {{ sql.cast_int(amount) }} as whole,
    {{ sql.cast_number(amount) }} as number,
    {{ sql.concat([sql.cast_text(amount), sql.comma(), sql.cast_text(nothing)]) }} as joined,
    {{ sql.price_tiers([("Trade", amount), ("Retail", nothing), ("A, b", amount)]) }} as tiers,
    {{ sql.now() }} as at
"""


def checked(row: tuple[Any, ...]) -> None:
    """What every dialect must make of the macros."""
    trimmed, words, whole, number, joined, tiers, at = row
    assert trimmed == "x"
    assert Decimal(words) == Decimal("12.5")
    assert int(whole) in {12, 13}
    assert Decimal(str(number)) == Decimal("12.5")
    assert joined.startswith("12.5")
    assert [part.split(":")[0] for part in tiers.rstrip(",").split(",") if ":" in part] == ["Trade", ' b"']
    assert at is not None


def test_macros_run_on_duckdb(render: Callable[..., str]) -> None:
    """Each macro is executed."""
    with duckdb.connect() as connection:
        query = f'select * replace (cast("at" as varchar) as "at") from ({render(MACROS)})'
        checked(connection.execute(query).fetchall()[0])


def test_macros_run_on_sqlite(render: Callable[..., str]) -> None:
    """Each macro is executed."""
    with sqlite3.connect(":memory:") as connection:
        checked(connection.execute(render(MACROS, dialect="sqlite")).fetchone())


def test_macros_run_on_postgresql(render: Callable[..., str], postgres: Postgres) -> None:
    """Each macro is executed."""
    checked(postgres.row("postgres", render(MACROS, dialect="postgres")))


def test_macros_run_on_mariadb(render: Callable[..., str], mariadb: MariaDb) -> None:
    """Each macro is executed."""
    checked(mariadb.row(mariadb.fresh_database(), render(MACROS, dialect="mysql")))


@pytest.mark.parametrize("dialect", ["tsql", "oracle", "snowflake"])
def test_macros_parse_where_no_server_can_be_had(render: Callable[..., str], dialect: str) -> None:
    """SQL Server, Oracle and Snowflake are not run here; their SQL parses."""
    source = MACROS + ("from dual" if dialect == "oracle" else "")
    assert sqlglot.parse_one(render(source, dialect=dialect), dialect=dialect) is not None


def test_a_macro_refuses_a_dialect_that_it_does_not_know(render: Callable[..., str]) -> None:
    """It never guesses."""
    with pytest.raises(RenderError, match="does not know the dialect bigquery"):
        render(MACROS, dialect="bigquery")


def test_the_query_knows_the_files_it_came_from(tmp_path: Path) -> None:
    """A change of a shared file is a change of the view."""
    folder = tmp_path / "acme"
    (folder / "views").mkdir(parents=True)
    (folder / "views" / "products.sql").write_text('select {% include "part.sql" %}')
    (folder / "part.sql").write_text("1")
    query = render_view(replace(project(folder)), "products")
    assert [path.name for path in query.sources] == ["products.sql", "part.sql"]
