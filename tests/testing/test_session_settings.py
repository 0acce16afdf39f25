"""What the settings of a source's session and its clock are to a rehearsal."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import tomli
from support import constructs
from support.mapping import PROJECT, offline, rehearsed, write, write_project

from engine.config.loader import load
from engine.errors import QueryError, ViewError
from engine.mapping.views import render_checked_view
from engine.model.settings import SourceSettings
from engine.sync.extract import extract
from engine.testing.capture import capture_fixtures
from engine.testing.fixture_run import fixture_session, run_on_fixtures
from engine.testing.session_settings import read_statements

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import MariaDb, Postgres

VIEW = """
select code as source_product_code, code as source_variant_code, {title} as title, 'Yes' as product_active,
    {price} as csv_price_tiers, 1 as "variants.qty", code as "variants.sku" from item
"""

ITEM = "code,price\nA1,10.00\n"

REFUSED = {
    "mysql": (
        ("set sql_mode = 'ANSI_QUOTES'", 'concat("code", code)'),
        ("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI')", 'concat("code", code)'),
        ("set @@session.sql_mode := 'no_backslash_escapes'", r"'a\\b'"),
        ("set sql_mode = 'HIGH_NOT_PRECEDENCE'", "case when not price between 0 and 20 then 'x' else 'y' end"),
        ("set sql_mode = 'PIPES_AS_CONCAT'", "code || 'x'"),
        ("set sql_mode = 'ORACLE'", "concat(code, null)"),
        ("set sql_mode = 'EMPTY_STRING_IS_NULL'", "coalesce('', code)"),
        ("set autocommit = 1, div_precision_increment = 8", "price / 3"),
        ("set /* prices */ div_precision_increment = 8", "price / 3"),
        ("set local lc_time_names = 'de_DE'", "monthname('2026-05-01')"),
        ("set sql_select_limit = 0", "code"),
    ),
    "postgres": (
        ("set standard_conforming_strings = off", r"'a\\b'"),
        ("set transform_null_equals to on", "case when not (code = null) then 'x' end"),
        ("select set_config('transform_null_equals', 'on', false)", "case when not (null = code) then 'x' end"),
        ("set datestyle = 'German, DMY'", "date '2026-05-01'"),
        ("SET SESSION IntervalStyle TO 'iso_8601'", "interval '1 day'::text"),
        ("set extra_float_digits = -5", "(1::float8 / 3)::text"),
    ),
    "sqlite": (
        ("PRAGMA case_sensitive_like = ON", "case when 'A' like 'a' then 'x' else 'y' end"),
        ("pragma case_sensitive_like(1)", "case when 'A' like 'a' then 'x' else 'y' end"),
    ),
}
"""Statements of a session, each with an expression to which a real database gives another value after it."""


def with_session(workspace: Path, *statements: str, dialect: str, **given: Any) -> Path:
    """A project whose source runs these statements first."""
    root = write_project(workspace, dialect=dialect, **given)
    text = (root / "project.toml").read_text("utf-8")
    write(root / "project.toml", text.replace("[stock2shop]", f"session = {json.dumps(statements)}\n\n[stock2shop]"))
    return root


@pytest.mark.parametrize("dialect", sorted(REFUSED))
def test_a_setting_with_which_a_view_means_something_else_is_refused(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """Each is one that changes what the real database gives, and none is run as if it were not there."""
    source = constructs.make_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    table = {"mysql": "(select 'A1' as code, 10.00 as price)", "postgres": "(values ('A1', 10.00))"}.get(
        dialect, "(select 'A1' as code, 10.0 as price)"
    )
    named = "item(code, price)" if dialect == "postgres" else "item"
    for number, (statement, expression) in enumerate(REFUSED[dialect]):
        sql = f"select {expression} as x from {table} as {named}"
        usual, unusual = (constructs.read_rows(replace(source, session=session), sql) for session in ((), (statement,)))
        assert usual != unusual, statement
        view = VIEW.format(title="code", price="price")
        with_session(tmp_path / str(number), "select 1", statement, dialect=dialect, view=view, fixtures={"item": ITEM})
        with pytest.raises(ViewError, match=r"Statement 2 of `session` under \[source\] sets \w+") as refused:
            rehearsed(tmp_path / str(number))
        assert all("--live" in each.hint for each in refused.value.diagnostics)


WITHOUT_EFFECT = {
    "mysql": (
        "set names utf8mb4",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;",
        "set max_statement_time = 60, lock_wait_timeout = 5",
        "set sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        "set sql_mode = (select replace(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))",
        "set time_zone = '+02:00'",
        "set div_precision_increment = 4",
        "use client_1",
    ),
    "postgres": (
        "set search_path = erp, public",
        "set statement_timeout to '60s'; set application_name = 's2s'",
        "set time zone 'Africa/Johannesburg'",
        "set session characteristics as transaction read only",
        "set datestyle = 'ISO, DMY'",
    ),
    "sqlite": ("pragma busy_timeout = 5000", "pragma case_sensitive_like = off"),
    "tsql": ("set nocount on; set transaction isolation level snapshot", "set lock_timeout 5000", "set dateformat mdy"),
    "oracle": ("alter session set current_schema = ERP", "alter session set nls_date_format = 'YYYY-MM-DD'"),
    "duckdb": ("set threads = 2",),
}


@pytest.mark.parametrize(
    ("dialect", "statement"), [(name, each) for name, many in WITHOUT_EFFECT.items() for each in many]
)
def test_a_setting_without_effect_on_rows_is_passed_over(dialect: str, statement: str) -> None:
    """Neither refused nor remarked on."""
    found = read_statements((statement,), dialect)
    assert (found.unusual, found.unknown) == ((), ())


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("set dateformat dmy", "dateformat"),
        ("SET NOCOUNT ON; SET LANGUAGE british", "language"),
        ("set ansi_nulls, quoted_identifier off", "quoted_identifier"),
        ("set concat_null_yields_null off", "concat_null_yields_null"),
        ("set rowcount 100", "rowcount"),
    ],
)
def test_settings_of_sql_server_are_told_by_what_its_manual_says(statement: str, name: str) -> None:
    """There is no server to ask here."""
    assert (1, name) in read_statements((statement,), "tsql").unusual


def test_a_statement_of_which_nothing_is_known_is_said(tmp_path: Path) -> None:
    """By its number, not by its text, which may hold a secret."""
    view = VIEW.format(title="code", price="price")
    with_session(
        tmp_path, "set names utf8mb4", "call open_shop('s3cret')", dialect="mysql", view=view.replace('"', "`"),
        fixtures={"item": ITEM},
    )  # fmt: skip
    (assumed,) = rehearsed(tmp_path).assumptions
    assert assumed.startswith("statement 2 of `session` under [source] is not run on fixtures")


def test_a_duckdb_source_is_rehearsed_with_the_order_and_collation_of_its_session(tmp_path: Path) -> None:
    """It is the same database, so that the same statement does the same."""
    path = tmp_path / "erp.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table item (code varchar, price decimal(10, 2))")
        connection.execute("insert into item values ('A1', 10), ('b2', null)")
    session = ("set default_null_order = 'nulls_first'", "set default_collation = 'nocase'")
    shown = "(select string_agg(coalesce(price::varchar, 'none'), ',' order by price) from item)"
    shown += " || case when code = 'B2' then ' twin' else '' end"
    view = VIEW.format(title=shown, price="price")
    fixtures = {"item": 'code,"price:decimal(10,2)"\nA1,10.00\nb2,\n'}
    with_session(tmp_path, *session, dialect="duckdb", view=view, fixtures=fixtures)
    titles = [document["product"]["title"] for _, document in rehearsed(tmp_path).documents]
    live = constructs.read_rows(
        SourceSettings(dialect="duckdb", database=path, session=session), f"select {shown} from item order by code"
    )
    assert titles == [title for (title,) in live]
    assert titles[0].startswith("none")
    assert titles[1].endswith(" twin")


def test_the_session_of_one_project_does_not_reach_the_next_project(tmp_path: Path) -> None:
    """DuckDB has one order of NULL and one collation for all connections to the fixtures of all projects."""
    shown = "(select string_agg(coalesce(price::varchar, 'none'), ',' order by price) from item)"
    view = VIEW.format(title=shown + " || case when code = 'B2' then ' twin' else '' end", price="price")
    fixtures = {"item": 'code,"price:decimal(10,2)"\nA1,10.00\nb2,\n'}
    session = ("set default_null_order = 'nulls_first'", "set default_collation = 'nocase'")
    with_session(tmp_path, *session, name="before", dialect="duckdb", view=view, fixtures=fixtures)
    # Nothing translates xmlserialize(), so this one is run as it is written for DuckDB.
    chosen = (
        "{% if dialect == 'duckdb' %}code{% else %}xmlserialize(content xmlelement(name x, code) as text){% endif %}"
    )
    own = VIEW.format(title=chosen, price="price")
    write_project(tmp_path, name="other", dialect="postgres", view=own, fixtures=fixtures)
    write_project(tmp_path, view=view, fixtures=fixtures)
    projects = [offline(tmp_path, name) for name in ("before", "other", "acme")]
    with fixture_session(projects) as together:
        for project in projects[:2]:
            run_on_fixtures(together, project, "products")
        after_others = run_on_fixtures(together, projects[2], "products")
    assert after_others.documents == rehearsed(tmp_path).documents


def live_project(workspace: Path, source: SourceSettings, view: str, session: tuple[str, ...] = ()) -> Path:
    """A project on a real server."""
    text = PROJECT.format(dialect=source.dialect)
    (old,) = [line for line in text.splitlines() if line.startswith("connection")]
    said = f"connection = {json.dumps(source.connection)}\nsession = {json.dumps(session)}"
    root = workspace / "projects" / "acme"
    write(root / "project.toml", text.replace(old, said))
    write(root / "views" / "products.sql", view)
    return root


def capture(workspace: Path) -> dict[str, Any]:
    """Capture the fixtures of the project; gives what types.toml says."""
    environ = {"TEST_URL": "http://127.0.0.1:9", "TEST_USER": "u", "TEST_PASSWORD": "p"}
    project = load("acme", workspace=workspace, environ=environ)
    capture_fixtures(project, rows=40, stop=threading.Event())
    return tomli.loads((project.root / "fixtures" / "types.toml").read_text("utf-8"))


def test_what_the_server_is_configured_with_is_captured_with_the_fixtures(mariadb: MariaDb, tmp_path: Path) -> None:
    """A setting that stands in no file of the project is as much one as a statement of the session is."""
    database = mariadb.fresh_database()
    mariadb.execute(database, "create table item (code varchar(9), price decimal(10, 2))")
    mariadb.execute(database, "insert into item values ('A1', 10)")
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    view = VIEW.format(title="code", price="price").replace('"', "`")
    root = live_project(tmp_path, source, view)
    mariadb.execute(database, "set global div_precision_increment = 8", "set global sql_mode = 'ANSI_QUOTES'")
    try:
        assert capture(tmp_path)["session_settings"] == ["sql_mode: ANSI_QUOTES", "div_precision_increment: 8"]
    finally:
        mariadb.execute(database, "set global div_precision_increment = 4", "set global sql_mode = default")
    with pytest.raises(ViewError, match="The database's session had sql_mode: ANSI_QUOTES") as refused:
        rehearsed(tmp_path)
    assert {each.path for each in refused.value.diagnostics} == {root / "fixtures" / "types.toml"}


def far_zone() -> str:
    """The zone in which it is another day now than in UTC, as its hours."""
    return "+12:00" if datetime.now(timezone.utc).hour >= 12 else "-12:00"


@pytest.mark.parametrize("dialect", ["mysql", "postgres"])
def test_views_see_the_day_that_the_database_had_when_it_was_captured(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """A special that ends today ends by the client's calendar, not by the one of UTC."""
    server = postgres if dialect == "postgres" else mariadb
    database = server.fresh_database()
    server.execute(database, "create table item (code varchar(9), price decimal(10, 2), day date)")
    # PostgreSQL counts such a zone from the other side.
    hours = far_zone()
    turned = hours.translate(str.maketrans("+-", "-+"))
    session = f"set time_zone = '{hours}'" if dialect == "mysql" else f"set timezone = '<x>{turned}'"
    days = [datetime.now(timezone.utc).date() + timedelta(days=days) for days in (-1, 0, 1)]
    for place, day in enumerate(days):
        server.execute(database, f"insert into item values ('A{place}', 10, '{day}')")
    if dialect == "postgres":
        server.execute(database, "grant select on item to public")
    source = SourceSettings(dialect=dialect, connection=server.connection(database))
    view = VIEW.format(title="case when day = current_date then 'today' else 'no' end", price="price")
    live_project(tmp_path, source, view if dialect == "postgres" else view.replace('"', "`"), (session,))
    said = capture(tmp_path)
    assert abs(said["database_time"] - said["captured"]) > timedelta(hours=11)
    live = constructs.read_rows(
        replace(source, session=(session,)),
        "select case when day = current_date then 'today' else 'no' end from item order by code",
    )
    assert [document["product"]["title"] for _, document in rehearsed(tmp_path).documents] == [
        title for (title,) in live
    ]


CLOCKS = (
    "now()::date",
    "current_date",
    "today()",
    "current_timestamp::date",
    "localtimestamp::date",
)


@pytest.mark.parametrize("clock", CLOCKS)
def test_data_tests_see_the_time_of_the_fixtures(tmp_path: Path, clock: str) -> None:
    """What holds today holds when the same commit is tested in a year."""
    root = write_project(tmp_path, fixtures={"item": ITEM}, view=VIEW.format(title="code", price="price"))
    write(root / "fixtures" / "types.toml", "captured = 2026-05-03T10:20:30\n")
    write(root / "tests" / "on_the_day.sql", f"select * from products where {clock} = date '2026-05-03'")
    write(root / "tests" / "later.sql", f"select * from products where {clock} > date '2026-05-03'")
    assert [test.name for test in rehearsed(tmp_path).failed] == ["on_the_day"]


def test_every_function_of_the_clock_stands_still(tmp_path: Path) -> None:
    """Those that give the time of the day, and the age until today, as well."""
    shown = "concat_ws(' ', current_time, get_current_time(), localtime, current_localtime(), age(date '2026-04-01'))"
    root = write_project(tmp_path, fixtures={"item": ITEM}, view=VIEW.format(title=shown, price="price"))
    write(root / "fixtures" / "types.toml", "captured = 2026-05-03T10:20:30\n")
    ((_, document),) = rehearsed(tmp_path).documents
    assert document["product"]["title"] == "10:20:30+00 10:20:30+00 10:20:30 10:20:30 1 month 2 days"


def test_a_value_with_a_backslash_is_not_doubled_by_a_session_without_escapes(mariadb: MariaDb, tmp_path: Path) -> None:
    """The run stops at the value's place; without one, and in the usual session, it goes on."""
    database = mariadb.fresh_database()
    mariadb.execute(database, "create table item (code varchar(9))", "insert into item values ('A1')")
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    mode = "set sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')"
    environ = {"TEST_URL": "http://127.0.0.1:9", "TEST_USER": "u", "TEST_PASSWORD": "p"}

    def titles(value: str, *session: str) -> list[str]:
        view = VIEW.format(title="{{ vars.folder }}", price="1").replace('"', "`")
        root = live_project(tmp_path, source, view, session)
        write(root / "project.toml", (root / "project.toml").read_text("utf-8") + f"\n[vars]\nfolder = '{value}'\n")
        project = load("acme", workspace=tmp_path, environ=environ)
        query = render_checked_view(project, "products").query
        with extract(project, query, entity="products", cancel=threading.Event()) as (names, _, batches):
            return [value for batch in batches for value in batch.column(names.index("title")).to_pylist()]

    assert titles("a\\b") == ["a\\b"]
    assert titles("a/b", mode) == ["a/b"]
    with pytest.raises(QueryError, match=r"products.sql:2:\d+: A value of the view has a backslash") as refused:
        titles("a\\b", mode)
    assert "NO_BACKSLASH_ESCAPES', ''" in refused.value.hint


LETTERS = (
    "create extension citext",
    "create table t (id int primary key, nm text, ct citext)",
    "insert into t values (1, 'Éa', 'É'), (2, 'éA ß', 'é'), (3, 'Straße', 'x')",
    "grant select on t to public",
)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_letters_have_the_case_on_fixtures_that_the_database_gives_them(
    locale: str, postgres: Postgres, tmp_path: Path
) -> None:
    """In a database of PostgreSQL's with the locale C only those from a to z have one."""
    database = f"letters_{postgres.fresh_database()}"
    postgres.execute("postgres", f"create database {database} encoding 'UTF8' template template0 locale '{locale}'")
    postgres.execute(database, *LETTERS)
    source = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    with constructs.captured(source, {"t": ("id", "nm", "ct")}, tmp_path) as rehearsal:
        for shown in ("upper(nm)", "lower(nm)", "nm ilike 'é%'", "nm not ilike '%É%'", "ct = 'é'"):
            constructs.require_equal(rehearsal, source, f"select id, {shown} as x from t")


def test_letters_whose_case_depends_on_the_character_set_are_refused(mariadb: MariaDb, tmp_path: Path) -> None:
    """UPPER of µ is another letter in utf8mb4, and itself in latin1."""
    database = mariadb.fresh_database()
    mariadb.execute(
        database,
        "create table t (id int, nm varchar(9) character set latin1) character set utf8mb4",
        "insert into t values (1, convert(x'C3A9' using utf8mb4)), (2, convert(x'C2B546' using utf8mb4))",
    )
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    with constructs.captured(source, {"t": ("id", "nm")}, tmp_path) as rehearsal:
        constructs.require_equal(rehearsal, source, "select id, upper(nm) as x from t where id = 1")
        for function in ("upper", "lower"):
            assert "letters such as µ" in str(rehearsal(f"select id, {function}(nm) as x from t"))
