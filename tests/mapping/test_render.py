"""Values are never syntax: what a template writes becomes a literal, whatever is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RenderError
from engine.mapping.render import render_bound, render_view
from engine.model.fields import ACTIVE_WORDS
from engine.model.settings import EntitySettings, Project, SourceSettings, Stock2ShopSettings
from engine.quoting import ident, literal, regions

if TYPE_CHECKING:
    from collections.abc import Callable

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
    with closing(sqlite3.connect(":memory:")) as connection:
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
        ("select 1\n{% set a %}x{% endset %}{{ a ~ vars.name }}", "joins texts, not SQL"),
        ("select 1\n{{ vars }}", "A table has no literal"),
        ("select 1\n{{ vars.name.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_fault_in_a_template_names_its_line(render: Callable[..., str], template: str, said: str) -> None:
    """Every trap is an error with file and line, never a surprise in the SQL."""
    with pytest.raises(RenderError) as raised:
        render(template, name="x", none=[])
    (fault,) = raised.value.diagnostics
    assert said in fault.message
    assert (fault.path and fault.path.name, fault.line) == ("products.sql", 2)


def test_a_fault_in_an_included_macro_names_the_macros_line(render: Callable[..., str]) -> None:
    """The file that is wrong is named, not the one that imports it."""
    with pytest.raises(RenderError) as raised:
        render(
            '{% import "shared.sql" as shared %}\nselect {{ shared.m() }}',
            files={"shared.sql": "{% macro m() %}\n\n{{ vars.nope }}\n{% endmacro %}"},
        )
    (fault,) = raised.value.diagnostics
    assert (fault.path and fault.path.name, fault.line) == ("shared.sql", 3)


def test_a_misspelt_name_is_guessed(render: Callable[..., str]) -> None:
    """The hint names what was likely meant."""
    with pytest.raises(RenderError) as raised:
        render("select {{ vars.warehose }}", warehouse="JHB")
    assert "Did you mean vars.warehouse?" in raised.value.diagnostics[0].hint


def test_a_missing_template_says_where_it_was_looked_for(render: Callable[..., str]) -> None:
    """The places are listed in their order."""
    with pytest.raises(RenderError) as raised:
        render('select 1\n{% include "nope.sql" %}')
    (fault,) = raised.value.diagnostics
    assert fault.line == 2
    assert "templates" in fault.hint


def test_a_missing_view_is_a_clear_error(tmp_path: Path) -> None:
    """It says what to write."""
    with pytest.raises(RenderError, match="There is no such view"):
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
    with closing(sqlite3.connect(":memory:")) as connection:
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


@pytest.mark.parametrize(
    ("value", "dialect", "expected"),
    [
        (date(2024, 1, 13), "tsql", "'20240113'"),
        (datetime(2024, 1, 13, 9, 30), "tsql", "'2024-01-13T09:30:00'"),  # noqa: DTZ001 - a local time, as TOML's
        (datetime(2024, 1, 13, tzinfo=timezone.utc), "tsql", "'2024-01-13T00:00:00+00:00'"),
        (datetime(2024, 1, 13, tzinfo=timezone.utc), "postgres", "TIMESTAMPTZ '2024-01-13 00:00:00+00:00'"),
        (date(2024, 1, 13), "oracle", "DATE '2024-01-13'"),
        (date(2024, 1, 13), "access", "#2024-01-13#"),
        (date(2024, 1, 13), "sqlite", "'2024-01-13'"),
        (time(9, 30), "postgres", "TIME '09:30:00'"),
        (True, "access", "TRUE"),
        ("C:\\\r\n'x", "tsql", "('C:\\' + '\r\n''x')"),
        ("it's \\ \n", "bigquery", "'it\\'s \\\\ \\n'"),
        (Decimal("1E+3"), "tsql", "1000"),
    ],
)
def test_a_value_means_the_same_whatever_the_login_speaks(value: object, dialect: str, expected: str) -> None:
    """No date order, line continuation, escape or exponent turns a value into another one."""
    assert literal(value, dialect) == expected


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), "a\x00b", "\ud800", [], {"a": 1}, b"x", object()],
)
def test_what_has_no_literal_is_refused(value: object) -> None:
    """Nothing is written in its place."""
    with pytest.raises(ValueError, match=r"\w"):
        literal(value, "duckdb")


def test_a_time_with_a_zone_is_refused_where_there_is_no_literal_for_it() -> None:
    """The zone is not dropped in silence."""
    with pytest.raises(ValueError, match="without one"):
        literal(datetime(2024, 1, 13, tzinfo=timezone.utc), "mysql")


DIALECTS = ["tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "snowflake", "redshift", "bigquery"]


@given(TEXTS, st.sampled_from(DIALECTS))
def test_no_text_changes_a_statements_structure(text: str, dialect: str) -> None:
    """Whatever is in a value, the text around it is where it was, and the value is one text."""
    written = literal(text, dialect)
    sql = f"select {written} as a, 'b' as c"
    found = [sql[region.start : region.end] for region in regions(sql, dialect)]
    assert found[-1] == "'b'"
    assert all(part.startswith("'") for part in found)
    assert len(found) == 2 or (dialect == "tsql" and written.startswith("("))


@given(TEXTS, TEXTS)
def test_values_are_bound_in_the_order_of_their_marks(first: str, second: str) -> None:
    """Property 4: the text of a statement never depends on the values."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        statement = folder / "orders" / "insert.sql"
        statement.parent.mkdir()
        statement.write_text("insert into t values ({{ order.a }}, {{ order.b }}, {{ order.b | upper }})")
        query = render_bound(project(folder), statement, {"order": {"a": first, "b": second}})
    assert query.sql == "insert into t values (?, ?, ?)"
    assert query.binds == (first, second, second.upper())


def test_a_bound_list_is_as_many_marks_as_items(tmp_path: Path) -> None:
    """And a block that is written twice binds its value twice."""
    statement = tmp_path / "s.sql"
    statement.write_text("{% set a %}{{ vars.w }}{% endset %}select {{ a }}, {{ codes }}, {{ a }}")
    query = render_bound(project(tmp_path, w=1), statement, {"codes": ["x", None]})
    assert (query.sql, query.binds) == ("select ?, ?, ?, ?", (1, "x", None, 1))


SPLICE = "x; drop table item --"
SQL = "{% macro m() %}a{% endmacro %}{% set s %}b{% endset %}\n"


@pytest.mark.parametrize(
    "expression",
    [
        "m() + vars.v",
        "vars.v + m()",
        "m() % vars.v",
        "vars.v % m()",
        "[m(), vars.v] | join",
        "[vars.v, 'a'] | join(s)",
        "vars.v | replace('x', m())",
        "vars.v | truncate(5, true, m())",
        "vars.v | indent(m())",
        "m().escape(vars.v)",
        "m()['escape'](vars.v)",
        "s.replace('b', vars.v)",
        "s.format(vars.v)",
        "s.join([vars.v])",
        "(m() | attr('escape'))(vars.v)",
        "vars.v | safe",
        "vars.v | escape",
        "vars.v | tojson",
        "[vars.v] | map('safe') | first",
        "s | upper",
        "s | ident",
        "[s, vars.v]",
        "lipsum()",
    ],
)
def test_no_expression_makes_sql_of_a_value(render: Callable[..., str], expression: str) -> None:
    """Property 4: whatever mixes SQL and values is an error on its line."""
    with pytest.raises(RenderError) as raised:
        render(f"{SQL}select {{{{ {expression} }}}}", v=SPLICE)
    assert raised.value.diagnostics[0].line == 2


def test_a_list_of_sql_parts_is_refused_as_a_whole(render: Callable[..., str]) -> None:
    """A list is values; SQL parts are written by a loop."""
    with pytest.raises(RenderError, match="A value is required here, but this is SQL"):
        render("{% set a %}x{% endset %}select {{ [a] }}")


def test_autoescape_cannot_be_switched_off(render: Callable[..., str]) -> None:
    """It is what tells SQL from values."""
    with pytest.raises(RenderError, match="cannot be switched"):
        render("{% autoescape false %}{{ vars.v }}{% endautoescape %}", v=SPLICE)


@pytest.mark.parametrize(
    ("dialect", "template"),
    [
        ("duckdb", "select '{% block a %}{{ vars.v }}{% endblock %}'"),
        ("duckdb", "select '{% for x in [1] %}{{ vars.v }}{% endfor %}'"),
        ("duckdb", "{% macro m() %}{{ vars.v }}{% endmacro %}select '{{ m() }}'"),
        ("duckdb", "select '{% if true %}a{% endif %}{{ vars.v }}'"),
        ("duckdb", 'select 1 as "{{ vars.v }}"'),
        ("duckdb", 'select 1 as "{{ vars.v | ident }}"'),
        ("duckdb", "select $$ {{ vars.v }} $$"),
        ("tsql", "select 1 as [{{ vars.v }}]"),
        ("mysql", "select 1 as `{{ vars.v }}`"),
        ("mysql", r"select 'it\'s {{ vars.v }}'"),
        ("postgres", r"select e'it\'s {{ vars.v }}'"),
        ("oracle", "select q'[it's {{ vars.v }}]' from dual"),
    ],
)
def test_a_value_inside_quotes_is_found_where_it_ends_up(
    render: Callable[..., str], dialect: str, template: str
) -> None:
    """Through blocks, loops and macros, and whatever the dialect's quotes are."""
    with pytest.raises(RenderError, match="stands inside quotes"):
        render(template, dialect=dialect, v=SPLICE)


@pytest.mark.parametrize(
    ("dialect", "template"),
    [
        ("duckdb", "select 1 -- {{ vars.v }}"),
        ("duckdb", "select 1 /* a\n {{ vars.v }} */"),
        ("postgres", "select 1 /* /* */ {{ vars.v }} */"),
        ("mysql", "select 1 # {{ vars.v }}"),
        ("snowflake", "select 1 // {{ vars.v }}"),
    ],
)
def test_a_value_inside_a_comment_is_refused(render: Callable[..., str], dialect: str, template: str) -> None:
    """A line's end in it would end the comment."""
    with pytest.raises(RenderError, match="inside a comment"):
        render(template, dialect=dialect, v=SPLICE)


@pytest.mark.parametrize(
    ("dialect", "template", "expected"),
    [
        ("tsql", "select [it's], {{ vars.v }}, [it's]", "select [it's], 1, [it's]"),
        ("duckdb", "select ['a', {{ vars.v }}]", "select ['a', 1]"),
        ("mysql", "select 5--{{ vars.v }}", "select 5--1"),
        ("mysql", r"select 'it\'s', {{ vars.v }}", r"select 'it\'s', 1"),
        ("sqlite", "select `it's`, {{ vars.v }}", "select `it's`, 1"),
        ("duckdb", "select 1 /* it's */ + {{ vars.v }}", "select 1 /* it's */ + 1"),
        ("duckdb", "{# it's #}select {{ vars.v }}", "select 1"),
    ],
)
def test_an_apostrophe_elsewhere_opens_no_quotes(
    render: Callable[..., str], dialect: str, template: str, expected: str
) -> None:
    """In names and comments, and after a backslash, it is a letter like any other."""
    assert render(template, dialect=dialect, v=1) == expected


@pytest.mark.parametrize(
    "template",
    [
        "select 'a'{{ vars.v }}",
        "select {{ vars.v }}'a'",
        "select {{ vars.v }}{{ vars.v }}",
        "select e{{ vars.v }}",
        "select price_{{ vars.n }}",
        "select {{ vars.n }}px",
        "select 1.{{ vars.n }}",
        "select a{{ vars.v | ident }}",
        "select {{ vars.v | ident }}{{ vars.v | ident }}",
    ],
)
def test_a_value_right_against_a_word_is_refused(render: Callable[..., str], template: str) -> None:
    """It would become one word, one text or an escape with what stands beside it."""
    with pytest.raises(RenderError, match="directly beside other text"):
        render(template, v="x", n=1)


def test_a_negative_number_begins_no_comment(render: Callable[..., str]) -> None:
    """`a-{{ x }}` with -5 is a subtraction still."""
    assert render("select 3-{{ vars.n }}", n=-5) == "select 3- -5"


def test_every_misplaced_value_is_reported_at_once(render: Callable[..., str]) -> None:
    """Each with its own line."""
    with pytest.raises(RenderError) as raised:
        render("select '{{ vars.v }}',\n1 -- {{ vars.v }}", v="x")
    assert [fault.line for fault in raised.value.diagnostics] == [1, 2]


def test_a_quoted_value_in_a_macro_names_the_macros_line(render: Callable[..., str]) -> None:
    """The file that writes the value is named."""
    with pytest.raises(RenderError) as raised:
        render(
            '{% import "shared.sql" as shared %}\nselect {{ shared.m() }}',
            files={"shared.sql": "{% macro m() %}\n'{{ dialect }}'\n{% endmacro %}"},
        )
    (fault,) = raised.value.diagnostics
    assert (fault.path and fault.path.name, fault.line) == ("shared.sql", 2)


def test_a_var_may_be_called_as_a_tables_method(render: Callable[..., str]) -> None:
    """`vars.items` is the project's own value."""
    assert render("select {{ vars.items }}, {{ vars.prices.values() }}", items=3, prices={"a": 1}) == "select 3, 1"


def test_a_template_cannot_change_the_projects_values(tmp_path: Path) -> None:
    """What one view appends, the next does not see."""
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "products.sql").write_text("{% set _ = vars.w.append(2) %}select {{ vars.w }}")
    made = project(tmp_path, w=[1])
    assert [render_view(made, "products").sql for _ in range(2)] == ["select 1, 2"] * 2


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{{ vars.name | uper }}", "Did you mean upper?"),
        ("{{ vars.table.wharehouse }}", "Did you mean warehouse?"),
        ('{% import "macros/dialect.sql" as sql %}{{ sql.tirm(1) }}', "Did you mean trim?"),
        ('{% import "macros/dialct.sql" as sql %}', "Did you mean macros/dialect.sql?"),
        ("{{ [vars.nmae] }}", "Did you mean vars.name?"),
    ],
)
def test_what_is_not_there_is_guessed(render: Callable[..., str], template: str, hint: str) -> None:
    """Filters, keys, macros, files and names in lists."""
    with pytest.raises(RenderError) as raised:
        render(template, name="x", table={"warehouse": 1})
    assert hint in raised.value.diagnostics[0].hint


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ vars.name[:x] }}", "{{ [1, 'a'] | sort }}", "{{ 'a' * -1.5 }}"]
)
def test_an_expression_that_fails_is_a_fault_on_its_line(render: Callable[..., str], template: str) -> None:
    """Never a traceback."""
    with pytest.raises(RenderError) as raised:
        render(f"select\n{template}", name="x")
    assert raised.value.diagnostics[0].line == 2


def test_macros_that_call_themselves_are_a_clear_error(render: Callable[..., str]) -> None:
    """No endless recursion."""
    with pytest.raises(RenderError, match="endlessly"):
        render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


def test_a_template_cannot_read_the_secrets_file(render: Callable[..., str]) -> None:
    """It lies in the project's folder, and is no template."""
    with pytest.raises(RenderError, match="There is no template"):
        render('{% include ".env" %}', files={".env": "PASSWORD=hidden"})


def test_a_file_from_windows_renders_the_same(tmp_path: Path) -> None:
    """A byte-order mark and CRLF are no SQL."""
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "products.sql").write_bytes(b"\xef\xbb\xbfselect\r\n    {{ vars.a }}\r\n")
    assert render_view(project(tmp_path, a=1), "products").sql == "select\n    1\n"


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    """The line of the first byte that is wrong."""
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "products.sql").write_bytes(b"select\n'\xe9'")
    with pytest.raises(RenderError, match="not UTF-8") as raised:
        render_view(project(tmp_path), "products")
    assert raised.value.diagnostics[0].line == 2


def test_a_view_may_lie_outside_of_the_projects_folder(tmp_path: Path) -> None:
    """As `view = "../shared/products.sql"` says."""
    (tmp_path / "shared.sql").write_text("select {{ vars.a }}")
    made = project(tmp_path / "acme", a=1)
    view = replace(made.entities["products"], view=made.root / ".." / "shared.sql")
    made.root.mkdir()
    assert render_view(replace(made, entities={"products": view}), "products").sql == "select 1"


def test_a_child_replaces_one_block_of_its_parent(render: Callable[..., str]) -> None:
    """What else the parent says stays, and `super()` is SQL."""
    parent = "select {% block a %}{{ vars.v }}{% endblock %} from {% block b %}item{% endblock %}"
    child = '{% extends "erp.sql" %}{% block a %}upper({{ super() }}){% endblock %}'
    assert render(child, files={"erp.sql": parent}, v="x") == "select upper('x') from item"


def test_a_view_can_be_rendered_for_another_dialect(tmp_path: Path) -> None:
    """The same view runs on fixtures in DuckDB."""
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "products.sql").write_text("select {{ vars.a | ident }}")
    made = project(tmp_path, "tsql", a="x")
    assert render_view(made, "products").sql == "select [x]"
    assert render_view(made, "products", dialect="duckdb").sql == 'select "x"'


def test_sql_that_looks_like_the_template_says_how_to_write_it(render: Callable[..., str]) -> None:
    """LIKE '{%' begins a block to Jinja."""
    with pytest.raises(RenderError) as raised:
        render("select 1 as title\nfrom item where name like '{%'")
    (problem,) = raised.value.diagnostics
    assert "{% raw %}" in problem.hint


def test_what_a_macro_refuses_is_shown_where_it_was_given(render: Callable[..., str]) -> None:
    """Not inside of the library, which nobody need read."""
    inner = "{% macro inner(x) %}{{ fail(x ~ ' is odd.') }}{% endmacro %}"
    macros = inner + "{% macro outer(x) %}\n\n{{ inner(x) }}{% endmacro %}"
    with pytest.raises(RenderError) as raised:
        render("{% import 'own.sql' as own %}\nselect\n  {{ own.outer('y') }} as title", files={"own.sql": macros})
    (problem,) = raised.value.diagnostics
    assert (problem.message, problem.line, problem.path and problem.path.name) == ("y is odd.", 3, "products.sql")
