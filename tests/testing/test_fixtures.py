"""Fixtures are read exactly as written, and a rehearsal on them is what a run would do."""

from __future__ import annotations

import errno
import json
import re
import sqlite3
import threading
import time
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as some
from support.client import COLUMNS
from support.mapping import ITEM, PRICE, VIEW, offline, rehearsed, write, write_project

from engine.config.loader import load
from engine.errors import FixtureError, UsageError, ViewError
from engine.files import WorkspaceFiles
from engine.testing.anonymise import Anonymiser
from engine.testing.capture import capture_fixtures
from engine.testing.fixture_database import create_fixture_database, load_fixtures
from engine.testing.fixture_run import fixture_session, run_on_fixtures
from engine.testing.fixtures import infer_type, read_fixture

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client
    from support.servers import Postgres


def loaded(folder: Path, query: str, **files: str) -> list[tuple[object, ...]]:
    """Load fixtures, given by table, and run a query on them."""
    for name, text in files.items():
        write(folder / "acme" / "fixtures" / (f"{name}.sql" if name == "schema" else f"{name}.csv"), text)
    with create_fixture_database(folder / "fixtures.duckdb") as connection:
        load_fixtures(connection, folder / "acme", schema="client0")
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a,b\n1,\n", (1, None)),
        ('a,b\n1,""\n', (1, "")),
        ("a,b\n1,x  \n", (1, "x  ")),
        ("a,b\n1,0012\n", (1, "0012")),
        ("a,b\n1,-0\n", (1, "-0")),
        ("a,b\n1,1e5\n", (1, "1e5")),
        ("a,b\n1,12345678901234567890\n", (1, "12345678901234567890")),
        ('a,b\n1,"x, ""y""\nz"\n', (1, 'x, "y"\nz')),
        ("a,b\r\n1,é 漢 😀\r\n", (1, "é 漢 😀")),
        ("\ufeffa,b\n1,x\n", (1, "x")),
        ("a,b\n1,9.50", (1, Decimal("9.50"))),
        ("a,b:text\n1,12\n", (1, "12")),
        ("a,b:decimal(12,4)\n1,12\n", (1, Decimal("12.0000"))),
        ('a,"b:decimal(12,4)"\n1,12\n', (1, Decimal("12.0000"))),
        ("a,b\n1,true\n", (1, True)),
    ],
)
def test_a_value_is_read_as_it_is_written(tmp_path: Path, written: str, expected: tuple[object, ...]) -> None:
    """NULL, blank, padding, zeros in front and digits survive; types are inferred only where nothing is lost."""
    assert loaded(tmp_path, "from client0.t", t=written) == [expected]


SHAPES = (
    r"-?[0-9]{1,20}",
    r"-?[0-9]{1,3}\.[0-9]{1,4}",
    r"20[0-9]{2}-[01][0-9]-[0-3][0-9]",
    "true|false|True",
    "[ a0.-]*",
)


@settings(deadline=None)  # the first of them opens a database
@given(some.sampled_from(SHAPES).flatmap(lambda shape: some.lists(some.from_regex(shape, fullmatch=True), min_size=1)))
def test_what_a_type_is_agreed_on_reads_back_as_the_same_text(values: list[str]) -> None:
    """No inferred type changes what a value says."""
    kind = infer_type(values)
    with duckdb.connect() as connection:
        for value in values if kind != "varchar" else []:
            (text,) = connection.execute(f"select cast(cast(? as {kind}) as varchar)", [value]).fetchall()[0]
            assert text == value or Decimal(text) == Decimal(value)


def test_a_schema_wins_over_what_the_values_look_like(tmp_path: Path) -> None:
    """``schema.sql`` says the types, and a table without a file is empty."""
    schema = "create table item (code varchar, qty decimal(18, 4), note varchar);\ncreate table empty (a int);"
    rows = loaded(tmp_path, "select code, qty, note from client0.item", schema=schema, item="qty,code\n5,100\n")
    assert rows == [("100", Decimal("5.0000"), None)]


def test_the_last_part_of_a_file_name_is_the_table(tmp_path: Path) -> None:
    """``dbo.Item.csv`` is the table item."""
    assert loaded(tmp_path, "from client0.item", **{"dbo.Item": "a\n1\n"}) == [(1,)]


@pytest.mark.parametrize(
    ("files", "line", "said"),
    [
        ({"t": ""}, 1, "no header"),
        ({"t": "a,b\n1\n"}, 2, "1 fields, the header 2"),
        ({"t": 'a,b\n1,x"y\n'}, 2, "double quote"),
        ({"t": "a,A\n1,2\n"}, 1, "twice"),
        ({"t": "a,\n1,2\n"}, 1, "no name"),
        ({"t": "a:int\n1\nx\n"}, 3, "The value of a is no int"),
        ({"t": "a:nonsense\n1\n"}, 2, "no nonsense"),
        ({"schema": "create table t (a int);", "t": "a,b\n1,2\n"}, 1, "no column b"),
        ({"schema": "create table t (a int);\ndrop table t;"}, 2, "only creates"),
        ({"schema": "create table t (\n a nonsense);"}, None, "DuckDB refuses"),
    ],
)
def test_a_wrong_fixture_is_named_with_its_line(
    tmp_path: Path, files: dict[str, str], line: int | None, said: str
) -> None:
    """The fault has file, line and what to do."""
    with pytest.raises(FixtureError) as caught:
        loaded(tmp_path, "select 1", **files)
    (fault,) = caught.value.diagnostics
    assert said in fault.message
    assert fault.path is not None
    assert line in {None, fault.line}


def test_a_wrong_fixture_does_not_say_its_values(tmp_path: Path) -> None:
    """A value may be somebody's."""
    with pytest.raises(FixtureError) as caught:
        loaded(tmp_path, "select 1", t="a:int\nanna@example.com\n")
    assert "anna" not in str(caught.value)


def test_every_wrong_file_is_named_at_once(tmp_path: Path) -> None:
    """Two broken files are two faults."""
    with pytest.raises(FixtureError) as caught:
        loaded(tmp_path, "select 1", a="x,y\n1\n", b="")
    assert len(caught.value.diagnostics) == 2


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """The line of the first wrong byte is told."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\nx\n\xff\n")
    with pytest.raises(FixtureError) as caught:
        read_fixture(path)
    assert caught.value.diagnostics[0].line == 3


def test_a_rehearsal_gives_the_documents_as_they_would_be_sent(tmp_path: Path) -> None:
    """Sound rows are documents by key, broken ones stand in quarantine, and nothing needs a database or a secret."""
    write_project(tmp_path)
    made = rehearsed(tmp_path)
    assert [key for key, _ in made.documents] == ["A1", "B2"]
    assert made.documents[0][1]["product"]["variants"]["price"] == Decimal("99.5")
    assert [(row.key, row.column, row.rule) for row in made.quarantine] == [("C3", "title", "blank_field")]
    assert made.counts.ignored == 1


def test_a_rehearsal_sends_what_a_run_sends(client: Client) -> None:
    """The same rows live and as fixtures come to the very same documents."""
    client.item("A", price="12.50", tags="b,a", trade="11", barcode="600")
    client.item("N", title=None)
    client.shirt("S", "M", "L", colour="Red")
    client.sandbox.requests.clear()
    client.run()
    sent = [
        item
        for request in client.sandbox.requests
        if request.path.endswith("/products/queue")
        for item in json.loads(request.body or b"{}")["system_products"]
    ]
    with duckdb.connect(str(client.root / "erp.duckdb")) as connection:
        (client.root / "fixtures").mkdir()
        columns = ", ".join(f"{name} varchar" for name in COLUMNS)
        write(client.root / "fixtures" / "schema.sql", f"create table item ({columns});")
        connection.execute(f"copy item to '{client.root}/fixtures/item.csv' (header)")
    made = rehearsed(client.workspace)
    documents = json.loads(json.dumps([document for _, document in made.documents], default=float))
    for document in documents + sent:
        document["source"].pop("sync_token")
    assert sorted(documents, key=str) == sorted(sent, key=str)


@pytest.mark.parametrize(
    "statement",
    [
        "create macro main.upper(x) as 'another text'",
        "create macro if not exists client0.upper(x) as 'another text'",
        """create or replace macro "main" . "upper"(x) as 'another text'""",
        "create table if not exists main.other (code varchar)",
        "create view fixtures.main.other as select 1 as code",
    ],
)
def test_the_schema_of_one_project_creates_nothing_for_another(tmp_path: Path, statement: str) -> None:
    """All projects are loaded into one database, each into a schema of its own."""
    view = VIEW.replace("item.descr as title", "upper(item.descr) as title")
    write_project(tmp_path, name="other", view=view)
    write_project(tmp_path, name="acme", view=view, fixtures={"item": ITEM, "price": PRICE, "schema.sql": statement})
    other, acme = offline(tmp_path, "other"), offline(tmp_path)
    alone = "HAMMER"
    with fixture_session([other, acme]) as session:
        assert run_on_fixtures(session, other, "products").documents[0][1]["product"]["title"] == alone
        with pytest.raises(FixtureError, match="without a schema before their names"):
            run_on_fixtures(session, acme, "products")


@pytest.mark.parametrize(
    "statement",
    [
        'create table "my list" ("code.of" varchar)',
        "create or replace view listed as select code from item",
        "create table if not exists listed as select 'x' as code",
        "create type mood as enum ('good', 'bad')",
        "create macro listed(x) as trim(x)",
    ],
)
def test_the_schema_of_a_project_creates_what_its_view_needs(tmp_path: Path, statement: str) -> None:
    """Tables, views, types and macros, with quoted names too."""
    text = f"create table item (code varchar, descr varchar, web varchar, qty int, brand varchar);{statement};"
    rows = "code,descr,web,qty,brand\nA1,Hammer,Yes,1,\n"
    write_project(tmp_path, fixtures={"item": rows, "price": PRICE, "schema.sql": text})
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A1"]


def test_a_rehearsal_does_not_depend_on_the_environment(tmp_path: Path) -> None:
    """A variable stands for itself, so that every machine renders the same."""
    view = VIEW.replace("item.brand as vendor", "{{ vars.brand }} as vendor")
    root = write_project(tmp_path, view=view, settings='\n[vars]\nbrand = "${BRAND}"\n')
    write(root / ".env", "BRAND=secret\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAND", "other")
        assert "'BRAND' as vendor" in rehearsed(tmp_path).sql


@pytest.mark.parametrize("dialect", ["tsql", "mysql", "postgres", "sqlite"])
def test_macros_and_the_rest_of_a_view_are_rehearsed_in_any_dialect(tmp_path: Path, dialect: str) -> None:
    """What a macro writes for the dialect and what the view says by itself are transpiled together."""
    view = '{% import "macros/dialect.sql" as sql %}\n' + VIEW.replace(
        "item.descr as title", '{{ sql.concat([sql.trim(col("item.descr")), "!"]) }} as title'
    )
    if dialect == "mysql":
        view = view.replace('"variants.qty"', "`variants.qty`").replace('"variants.sku"', "`variants.sku`")
    if dialect == "tsql":
        view = view.replace('"variants.qty"', "[variants.qty]").replace("item.qty as", "isnull(item.qty, 0) as")
    write_project(tmp_path, dialect=dialect, view=view, fixtures={"item": ITEM, "price": PRICE})
    made = rehearsed(tmp_path)
    assert made.documents[0][1]["product"]["title"] == "Hammer!"
    assert made.notes == ()


def test_a_missing_table_is_named_with_the_line_that_reads_it(tmp_path: Path) -> None:
    """The message says which fixture to write."""
    write_project(tmp_path, fixtures={"item": ITEM})
    with pytest.raises(FixtureError) as caught:
        rehearsed(tmp_path)
    (fault,) = caught.value.diagnostics
    assert "price" in fault.message
    assert fault.line == 11
    assert "price.csv" in fault.hint


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """The message says which column the fixtures lack."""
    write_project(tmp_path, fixtures={"item": ITEM.replace("brand", "maker"), "price": PRICE})
    with pytest.raises(FixtureError) as caught:
        rehearsed(tmp_path)
    assert "brand" in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].line == 9


def test_a_project_without_fixtures_says_how_to_make_them(tmp_path: Path) -> None:
    """The next step is a command."""
    write_project(tmp_path, fixtures={})
    with pytest.raises(FixtureError) as caught:
        rehearsed(tmp_path)
    assert "s2s fixtures capture acme" in caught.value.diagnostics[0].hint


def test_what_cannot_be_transpiled_is_loud(tmp_path: Path) -> None:
    """A construct that DuckDB does not have stops the rehearsal with the view's file."""
    view = VIEW.replace("item.descr as title", "no_such_function(item.descr) as title")
    root = write_project(tmp_path, dialect="tsql", view=view.replace('"variants.qty"', "[variants.qty]"))
    with pytest.raises((ViewError, FixtureError)) as caught:
        rehearsed(tmp_path)
    assert caught.value.diagnostics[0].path == root / "views" / "products.sql"
    assert "no_such_function" in str(caught.value).lower()


def test_one_project_is_not_taken_for_another(tmp_path: Path) -> None:
    """Projects with tables of the same names keep their rows apart in one session."""
    from engine.testing.fixture_run import fixture_session, run_on_fixtures

    write_project(tmp_path, name="acme")
    write_project(tmp_path, name="zeta", fixtures={"item": ITEM.replace("A1", "Z9"), "price": PRICE})
    projects = [offline(tmp_path, "acme"), offline(tmp_path, "zeta")]
    with fixture_session(projects) as session:
        keys = [[key for key, _ in run_on_fixtures(session, project, "products").documents] for project in projects]
    assert keys == [["A1", "B2"], ["B2", "Z9"]]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A live client: items with variants, flags and NULLs, customers with people in them."""
    root = write_project(tmp_path, fixtures={})
    text = (root / "project.toml").read_text("utf-8")
    connection = next(line for line in text.splitlines() if line.startswith("connection"))
    write(root / "project.toml", text.replace(connection, 'database = "erp.duckdb"'))
    write(
        root / "views" / "customers.sql",
        "select c.code as source_customer_code, c.email, c.contact as first_name, 'Yes' as customer_active,"
        ' c.tel as "address1.phone" from customer as c',
    )
    with duckdb.connect(str(root / "erp.duckdb")) as connected:
        connected.execute(
            "create table item"
            " (code char(12), descr varchar, web varchar, qty decimal(18, 4), brand varchar, cost int);"
            "insert into item select printf('%04d   ', n), 'Item ' || n, ['Yes', 'No', ''][1 + n % 3], n + 0.5,"
            " ['Karoo', null, ''][1 + n % 3], n from range(2000) as r(n);"
            "insert into item values ('X', null, 'Delete', -3, 'Karoo', 1);"
            "create table price as select code, cast(cost as decimal(18, 4)) as amount from item;"
            "create table customer (code varchar, email varchar, contact varchar, tel varchar);"
            "insert into customer select 'C' || n, 'person' || n % 50 || '@client.co.za', 'Thandi Real ' || n,"
            " '+27 82 555 ' || (1000 + n) from range(300) as r(n);"
            "insert into customer values ('C-BAD', 'thandi at client', 'Thandi Real', null);"
        )
    return tmp_path


def captured(workspace: Path, *, rows: int = 40, replace: bool = False) -> dict[str, str]:
    """Capture the fixtures of ``acme``; gives the files."""
    environ = {"TEST_URL": "http://127.0.0.1:9", "TEST_USER": "u", "TEST_PASSWORD": "p", "TEST_HOST": "h"}
    project = load("acme", workspace=workspace, environ=environ)
    taken = capture_fixtures(project, rows=rows, replace=replace, stop=threading.Event())
    return {each.path.name: each.path.read_text("utf-8") for each in taken}


def test_capture_takes_what_the_views_read_and_nothing_else(live: Path) -> None:
    """A file a table, a column a column that a view reads, a few dozen rows."""
    files = captured(live)
    assert sorted(files) == ["customer.csv", "item.csv", "price.csv"]
    header, *rows = files["item.csv"].splitlines()
    assert "cost" not in header
    assert 10 < len(rows) < 300


def test_capture_writes_a_table_that_is_named_like_a_path_into_the_fixtures(tmp_path: Path) -> None:
    """SAP has such names; the file's name has no slash in it, and is read back as the table."""
    database = tmp_path / "projects" / "acme" / "erp.sqlite"
    names = ("/BIC/AITEM", "a:b", "con")
    view = " union all ".join(
        f'select "{name}".code as source_product_code, "{name}".code as source_variant_code, "{name}".code as title,'
        f' "{name}".code as "variants.sku", \'Yes\' as product_active from "{name}"'
        for name in names
    )
    root = write_project(tmp_path, dialect="sqlite", fixtures={}, view=view)
    with closing(sqlite3.connect(database)) as connection:
        for number, name in enumerate(names):
            connection.execute(f'create table "{name}" (code varchar(10))')
            connection.execute(f'insert into "{name}" values (?)', [f"A{number}"])
        connection.commit()
    settings = (root / "project.toml").read_text("utf-8")
    connection_line = next(line for line in settings.splitlines() if line.startswith("connection"))
    write(root / "project.toml", settings.replace(connection_line, 'database = "erp.sqlite"'))
    assert sorted(captured(tmp_path)) == ["%2Fbic%2Faitem.csv", "%63on.csv", "a%3Ab.csv"]
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A0", "A1", "A2"]


SQLITE_SHOP = (
    'create table item (code text, name text, "from" text, "order" integer, cost integer)',
    "insert into item values ('A1', 'Hammer', 'ZA', 1, 7), ('B2', 'Tent', 'DE', 2, 8)",
    "create table price (code text, amount numeric(10, 2))",
    "insert into price values ('A1', 9.5), ('B2', 10)",
    "create table settings (name text)",
    "insert into settings values ('on')",
    "create table person (person_id text, addressid text, full_name text)",
    "insert into person values ('P-1', 'thandi', 'Thandi Real'), ('P-2', 'sipho', 'Sipho Real')",
    "create table item_of (item text, person_id text, address text)",
    "insert into item_of values ('A1', 'P-1', 'thandi'), ('B2', 'P-2', 'sipho')",
)


def shop(workspace: Path, view: str) -> Path:
    """A project that reads a SQLite file."""
    root = write_project(workspace, dialect="sqlite", fixtures={}, view=view)
    with closing(sqlite3.connect(root / "erp.sqlite")) as connection:
        for statement in SQLITE_SHOP:
            connection.execute(statement)
        connection.commit()
    settings = (root / "project.toml").read_text("utf-8")
    line = next(line for line in settings.splitlines() if line.startswith("connection"))
    write(root / "project.toml", settings.replace(line, 'database = "erp.sqlite"'))
    return root


FIELDS = '{0}.code as source_product_code, {0}.code as source_variant_code, {0}.code as "variants.sku",'


@pytest.mark.parametrize(
    ("source", "title", "header"),
    [
        ("(select * from item) as a", "a.name", "code,name,from,order,cost\n"),
        ("(select x.* from item as x) as a", "a.name", "code,name,from,order,cost\n"),
        ("item as a join price using (code)", "a.name", "code,name\n"),
        ("item as a where exists (select 1 from settings)", "a.name", "code,name\n"),
        ('item as a order by a."order"', 'a."from"', "code,from,order\n"),
    ],
)
def test_capture_reads_what_stars_joins_by_name_and_existence_need(
    tmp_path: Path, source: str, title: str, header: str
) -> None:
    """The database says which columns a star has; a table of which only rows count has one of them."""
    shop(tmp_path, f"select {FIELDS.format('a')} {title} as title, 'Yes' as product_active from {source}")
    files = captured(tmp_path)
    assert files["item.csv"].startswith(header)
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A1", "B2"]


def test_a_key_is_replaced_one_to_one_or_not_at_all(tmp_path: Path) -> None:
    """Whatever it is called: joins hold on the fixtures as they do in the database, and names are gone."""
    view = (
        "select {} item_of.person_id as title, person.full_name as vendor, 'Yes' as product_active from item as a"
        " join item_of on item_of.item = a.code"
        " join person on person.person_id = item_of.person_id and upper(person.addressid) = upper(item_of.address)"
    )
    shop(tmp_path, view.format(FIELDS.format("a")))
    files = captured(tmp_path)
    assert "P-1" in files["person.csv"]
    for name in ("thandi", "Thandi", "sipho", "Real"):
        assert name not in "".join(files.values())
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A1", "B2"]


@pytest.mark.parametrize(
    "text",
    [
        "code;descr;qty\n007;Hammer, red;1,50\nB2;;\n",
        "sep=;\r\ncode;descr;qty\r\n007;Hammer, red;1,50\r\nB2;;\r\n",
        'code\tdescr\tqty\n007\t"Hammer, red"\t1,50\nB2\t\t\n',
        "code;descr;qty:decimal(12,2)\n007;Hammer, red;1,5\nB2;;\n",
        '"code";"descr";"qty"\n"007";"Hammer, red";"1.50"\n"B2";;\n',
    ],
)
def test_a_file_that_excel_has_saved_in_europe_is_read(tmp_path: Path, text: str) -> None:
    """With semicolons or tabs, and with decimal commas in columns of numbers alone."""
    fixture = read_fixture(write(tmp_path / "ITEM.CSV", text))
    assert fixture.columns == ("code", "descr", "qty")
    assert fixture.table == "item"
    (first, second) = fixture.rows
    assert first[:2] == ("007", "Hammer, red")
    assert Decimal(str(first[2])) == Decimal("1.5")
    assert second == ("B2", None, None)
    assert fixture.inferred[2].startswith("decimal")


def test_a_file_whose_extension_is_in_capitals_is_loaded(tmp_path: Path) -> None:
    """As Windows and old systems write it."""
    root = write_project(tmp_path)
    (root / "fixtures" / "item.csv").rename(root / "fixtures" / "ITEM.CSV")
    assert len(rehearsed(tmp_path).documents) == 2


def test_capture_covers_flags_nulls_and_joins(live: Path) -> None:
    """Every flag and NULL is there, and what a kept row is joined with."""
    captured(live)
    made = rehearsed(live)
    fixture = read_fixture(live / "projects" / "acme" / "fixtures" / "item.csv")
    web = fixture.columns.index("web")
    brand = fixture.columns.index("brand")
    assert {row[web] for row in fixture.rows} == {"Yes", "No", "", "Delete"}
    assert None in {row[brand] for row in fixture.rows}
    assert len(made.documents) > 5
    assert all("price" in document["product"]["variants"] for _, document in made.documents[1:-1])


def test_capture_keeps_codes_as_they_are(live: Path) -> None:
    """Padding and zeros in front come back from the file as they stood in the database."""
    captured(live)
    fixture = read_fixture(live / "projects" / "acme" / "fixtures" / "item.csv")
    codes = {row[fixture.columns.index("code")] for row in fixture.rows}
    assert any(code and code.startswith("0") and code.endswith("   ") for code in codes)


def test_capture_keeps_each_of_rows_that_are_alike(tmp_path: Path) -> None:
    """Two lines of stock with the same quantity are a sum of both, and two prices alike make a key twice."""
    view = VIEW.replace("item.qty as", "(select sum(s.qty) from stock as s where s.code = item.code) as")
    root = write_project(tmp_path, view=view, fixtures={})
    configured = re.sub("connection = .*", 'database = "erp.duckdb"', (root / "project.toml").read_text("utf-8"))
    write(root / "project.toml", configured)
    with duckdb.connect(str(root / "erp.duckdb")) as connected:
        connected.execute(
            "create table item (code varchar, descr varchar, web varchar, brand varchar);"
            "insert into item values ('A1', 'Hammer', 'Yes', null), ('B2', 'Tent', 'Yes', null);"
            "create table stock (code varchar, batch varchar, qty integer);"
            "insert into stock values ('A1', 'x', 7), ('A1', 'y', 7), ('A1', 'z', 2);"
            "create table price (code varchar, amount integer, note varchar);"
            "insert into price values ('A1', 5, ''), ('B2', 6, 'old'), ('B2', 6, 'new');"
        )
    captured(tmp_path)
    made = rehearsed(tmp_path)
    assert {key: document["product"]["variants"]["qty"] for key, document in made.documents} == {"A1": 16}
    assert {(each.rule, each.key) for each in made.quarantine} == {("repeated_key", "B2")}


def test_capture_refuses_tables_of_two_schemas_that_would_have_one_file(tmp_path: Path) -> None:
    """One would be written over the other, and a view that runs on the wrong rows says nothing."""
    root = write_project(tmp_path, fixtures={})
    configured = re.sub("connection = .*", 'database = "erp.duckdb"', (root / "project.toml").read_text("utf-8"))
    write(root / "project.toml", configured)
    customers = "select c.code as source_customer_code, c.email, 'Yes' as customer_active from crm.item as c"
    write(root / "views" / "customers.sql", customers)
    with duckdb.connect(str(root / "erp.duckdb")) as connected:
        connected.execute(
            "create table item (code varchar, descr varchar, web varchar, qty integer, brand varchar);"
            "create table price (code varchar, amount integer);"
            "create schema crm; create table crm.item (code varchar, email varchar);"
        )
    with pytest.raises(UsageError, match=r"crm\.item and item, but there is one fixture item\.csv"):
        captured(tmp_path)
    assert not (root / "fixtures").exists()


def test_capture_replaces_what_is_personal(live: Path) -> None:
    """No name, address or number of a person reaches a file; a malformed address stays malformed."""
    text = "".join(captured(live).values())
    assert "Thandi" not in text
    assert "client" not in text
    assert "+27 82 555" not in text
    made = rehearsed(live, "customers")
    assert made.documents
    assert [row.rule for row in made.quarantine] == ["malformed_email"]


def test_capture_knows_by_the_view_and_by_mention_what_is_personal(tmp_path: Path) -> None:
    """Whatever its column is called: what becomes a name is one, and it is known again in any text of any table."""
    root = write_project(
        tmp_path,
        dialect="sqlite",
        fixtures={},
        view="select code as source_product_code, code as source_variant_code, descr as title, 'Yes' as product_active,"
        ' code as "variants.sku", note as body_html, 1 as csv_price_tiers from item',
    )
    write(
        root / "views" / "customers.sql",
        "select acc as source_customer_code, hold as customer_active, nm as first_name, nm2 as last_name, m as email,"
        " shown as meta_shown, idnr as meta_id, dob as meta_born, area as meta_area from debtor",
    )
    text = (root / "project.toml").read_text("utf-8")
    connection = next(line for line in text.splitlines() if line.startswith("connection"))
    write(root / "project.toml", text.replace(connection, 'database = "erp.sqlite"'))
    with closing(sqlite3.connect(root / "erp.sqlite")) as database:
        database.executescript(
            "create table item (code text, descr text, note text);"
            "insert into item values ('A1', 'Hammer', 'Reserved for thandi mokoena.'), ('B2', 'Tent', null);"
            "create table debtor (acc text, hold text, nm text, nm2 text, m text, shown text, idnr text, dob text,"
            " area text);"
            "insert into debtor values ('C1', 'Y', 'Thandi Mokoena', 'Mokoena', 'thandi@home.example',"
            " 'C1: Thandi Mokoena', '8501015009087', '1985-01-01', 'NORTH')"
        )
    files = captured(tmp_path)
    for secret in ("thandi", "mokoena", "8501015009087", "1985-01-01"):
        assert secret not in "".join(files.values()).lower()
    assert "NORTH" in files["debtor.csv"]
    assert "Reserved for " in files["item.csv"]
    assert "C1: " in files["debtor.csv"]


def debtors(workspace: Path, view: str, *statements: str) -> dict[str, str]:
    """Capture what a view of customers reads of a SQLite file; gives the files."""
    item = "select code as source_product_code, code as source_variant_code, code as title, 'Yes' as product_active,"
    root = shop(workspace, f'{item} code as "variants.sku" from item')
    write(root / "views" / "customers.sql", view)
    with closing(sqlite3.connect(root / "erp.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return captured(workspace, rows=1000)


def cells(workspace: Path, table: str, column: str) -> list[str]:
    """A column of a captured fixture."""
    fixture = read_fixture(workspace / "projects" / "acme" / "fixtures" / f"{table}.csv")
    return [row[fixture.columns.index(column)] or "" for row in fixture.rows]


DEBTOR = "select acc as source_customer_code, 'Y' as customer_active, nm as first_name, mail as email from debtor"


def test_customers_who_differ_still_do_where_they_are_replaced(tmp_path: Path) -> None:
    """Names, towns and numbers are replaced one to one; case, accents and blanks at the end differ as they did."""
    alike = ("Zoe Real", "ZOE REAL", "zoe real", "Zoë Real", "Zoe Real ")
    debtors(
        tmp_path,
        DEBTOR.replace(" from", ', town as "address1.city" from'),
        "create table debtor (acc integer, nm text, mail text, town text)",
        "with recursive n(x) as (select 1000 union all select x + 1 from n where x < 1299) insert into debtor"
        " select x, 'Real Name ' || x, 'real' || x || '@home.example', 'Town ' || (x % 40) from n",
        *(f"insert into debtor values ({place}, '{name}', null, null)" for place, name in enumerate(alike)),
    )
    names = dict(zip(cells(tmp_path, "debtor", "acc"), cells(tmp_path, "debtor", "nm"), strict=True))
    assert len(set(names.values())) == len(names) == 305
    assert len({name.strip().lower() for name in names.values()}) == 302
    title, upper, lower, accented, padded = (names[str(place)] for place in range(5))
    assert (title.upper(), title.lower(), title + " ") == (upper, lower, padded)
    assert accented.strip().lower() != lower
    towns = cells(tmp_path, "debtor", "town")
    assert len(set(towns)) == 41
    assert len({(town, made) for town, made in zip(towns, names.values(), strict=True)}) == 305
    assert len(set(cells(tmp_path, "debtor", "mail"))) == 301


@pytest.mark.parametrize("column", ["account_no", "vat_no"])
def test_numbers_of_customers_stay_apart(tmp_path: Path, column: str) -> None:
    """A key of digits stays, and another number becomes one that nobody else has."""
    view = DEBTOR.replace("acc as", "account_no as").replace(" from", ", vat_no as meta_vat from")
    debtors(
        tmp_path,
        view,
        "create table debtor (account_no integer, vat_no integer, nm text, mail text)",
        "with recursive n(x) as (select 1 union all select x + 1 from n where x < 200) insert into debtor"
        " select x, 4010 + x, 'Real Name ' || x, x || '@home.example' from n",
    )
    found = cells(tmp_path, "debtor", column)
    assert len(set(found)) == 200
    assert (found == [str(4010 + int(key)) for key in cells(tmp_path, "debtor", "account_no")]) is False


@pytest.mark.parametrize(
    "condition",
    [
        "nm not like 'DO NOT%'",
        "upper(nm) = 'CASH SALE'",
        "mail like '%@trade.example' or nm like '%(old)'",
        "case nm when 'Cash sale' then 0 else instr(mail, 'trade') end = 0",
        "town in ('Cape Town', 'Durban')",
    ],
)
def test_a_filter_leaves_the_same_customers_on_captured_fixtures(tmp_path: Path, condition: str) -> None:
    """What the view compares a replaced value with stays in it; the rest of it does not."""
    rows = (
        ("C1", "Cash sale", "", "Cape Town"),
        ("C2", "DO NOT USE Thandi", "thandi@trade.example", "DURBAN"),
        ("C3", "Thandi (old)", "sipho@home.example", "Durban"),
        ("C4", "Sipho", "sipho@trade.example", "cape town"),
        ("C5", "", "thandi", "Paarl"),
    )
    view = DEBTOR.replace(" from", ', town as "address1.city" from') + f" where {condition}"
    files = debtors(
        tmp_path,
        view,
        "create table debtor (acc text, nm text, mail text, town text)",
        *(f"insert into debtor values {row!r}" for row in rows),
    )
    with closing(sqlite3.connect(tmp_path / "projects" / "acme" / "erp.sqlite")) as connection:
        expected = [str(row[0]) for row in connection.execute(f"{view} order by 1")]
    made = rehearsed(tmp_path, "customers")
    found = {key for key, _ in made.documents} | {str(row.key) for row in made.quarantine}
    assert sorted(found) == expected
    for secret in ("thandi", "sipho"):
        assert secret not in files["debtor.csv"].lower()


def test_codes_stay_and_of_a_text_only_the_address_in_it_is_replaced(tmp_path: Path) -> None:
    """An item's code may look like a telephone number, and a description is more than the address that it names."""
    root = shop(tmp_path, f"select {FIELDS.format('a')} a.name as title, 'Yes' as product_active from item as a")
    with closing(sqlite3.connect(root / "erp.sqlite")) as connection:
        connection.execute("insert into item (code, name) values ('0110-123456', 'Ask (thandi@real.example), 5 mm')")
        connection.commit()
    text = captured(tmp_path)["item.csv"]
    assert "0110-123456," in text
    assert re.search(r"Ask \([\w.]+@example\.com\), 5 mm", text)


@pytest.mark.parametrize("sign", [";", ",", "/", "|", ">;<", ", "])
def test_each_of_several_addresses_in_a_text_is_replaced(sign: str) -> None:
    """Also where no blank parts them."""
    text = Anonymiser(b"key")(sign.join(["ann@real.example", "ben@real.example", "cy@other.example"]), None)
    assert "real" not in text
    assert "other" not in text
    assert len(re.findall(r"[\w.]+@example\.com", text)) == 3


def test_a_telephone_number_that_is_a_customers_code_is_replaced_wherever_it_joins(tmp_path: Path) -> None:
    """Unlike an item's code of that shape it is a person's."""
    files = debtors(
        tmp_path,
        "select d.acc as source_customer_code, 'Y' as customer_active, d.nm as first_name, '' as email,"
        " b.due as meta_due from debtor as d join balance as b on b.who = d.acc",
        "create table debtor (acc char(16), nm text)",
        "insert into debtor values ('082 555 0100', 'Thandi'), ('082 555 0101', 'Sipho')",
        "create table balance (who text, due integer)",
        "insert into balance values ('082 555 0100', 5), ('082 555 0101', 6)",
    )
    assert "555 01" not in "".join(files.values())
    assert len(rehearsed(tmp_path, "customers").quarantine) == 2  # without an e-mail address
    assert sorted(cells(tmp_path, "debtor", "acc")) == sorted(cells(tmp_path, "balance", "who"))


def test_a_long_text_is_looked_through_at_once() -> None:
    """A picture in a column of texts is a hundred thousand letters without a blank, and no address."""
    begun = time.process_time()
    anonymise = Anonymiser(b"key")
    text = "iVBORw0KGgo" * 10_000
    assert anonymise(text, None) == text
    assert time.process_time() - begun < 5


def test_capture_replaces_one_value_by_one_other(live: Path) -> None:
    """Customers who shared an address share one afterwards, and a second capture draws others."""
    first = captured(live, rows=120)["customer.csv"]
    fixture = read_fixture(live / "projects" / "acme" / "fixtures" / "customer.csv")
    emails = [row[fixture.columns.index("email")] for row in fixture.rows]
    assert 1 < len(set(emails)) <= 51
    assert len(emails) > 60
    assert captured(live, rows=120, replace=True)["customer.csv"] != first


def test_capture_follows_joins_to_their_end(tmp_path: Path) -> None:
    """Of large tables the rows that belong together, however many tables lie between, so that no join finds nothing."""
    root = shop(
        tmp_path,
        "select i.code as source_product_code, i.code as source_variant_code, 'Yes' as product_active,"
        ' d.name as title, i.code as "variants.sku" from big as i join a on a.id = i.a_id join b on b.id = a.b_id'
        " join c on c.id = b.c_id join d using (d_id)",
    )
    count = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 900)"
    with closing(sqlite3.connect(root / "erp.sqlite")) as connection:
        for statement in (
            "create table big (code text, a_id int)",
            "create table a (id int, b_id int)",
            "create table b (id int, c_id int)",
            "create table c (id int, d_id int)",
            "create table d (d_id int, name text)",
            f"{count} insert into big select 'S-' || x, 900 - x from n",
            f"{count} insert into a select x, (x * 7) % 901 from n",
            f"{count} insert into b select x, (x * 11) % 901 from n",
            f"{count} insert into c select x, (x * 13) % 901 from n",
            f"{count} insert into d select x, 'D' || x from n",
        ):
            connection.execute(statement)
        connection.commit()
    captured(tmp_path, rows=10)
    assert len(rehearsed(tmp_path).documents) >= 10


def test_columns_stand_in_a_fixture_as_in_their_table(tmp_path: Path) -> None:
    """In a UNION of stars the columns are told by their places, whichever of them the view names elsewhere."""
    root = shop(
        tmp_path,
        "select i.code as source_product_code, i.code as source_variant_code, 'Yes' as product_active, i.a as title,"
        ' i.code as "variants.sku", i.b as vendor, (select max(b) from y2) as product_type'
        " from (select * from y1 union all select * from y2) as i",
    )
    with closing(sqlite3.connect(root / "erp.sqlite")) as connection:
        for number in (1, 2):
            connection.execute(f"create table y{number} (code text, a text, b text)")
            connection.execute(f"insert into y{number} values ('C{number}', 'a{number}', 'b{number}')")
        connection.commit()
    assert captured(tmp_path)["y2.csv"].startswith("code,a,b\n")
    products = [document["product"] for _, document in rehearsed(tmp_path).documents]
    assert [(product["title"], product["vendor"]) for product in products] == [("a1", "b1"), ("a2", "b2")]


def test_a_capture_that_was_interrupted_is_not_rehearsed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some files would be of this capture and others of the one before, whose values are replaced by others."""
    shop(
        tmp_path,
        f"select {FIELDS.format('a')} p.full_name as title, 'Yes' as product_active from item as a"
        " join item_of as o on o.item = a.code join person as p on p.person_id = o.person_id",
    )
    captured(tmp_path)
    write_file = WorkspaceFiles.write

    def full(files: WorkspaceFiles, path: Path, content: bytes) -> None:
        if path.name == "person.csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_file(files, path, content)

    monkeypatch.setattr(WorkspaceFiles, "write", full)
    with pytest.raises(OSError, match="No space"):
        captured(tmp_path, replace=True)
    with pytest.raises(FixtureError) as caught:
        rehearsed(tmp_path)
    assert "interrupted" in str(caught.value)
    assert "--replace" in caught.value.diagnostics[0].hint
    monkeypatch.undo()
    captured(tmp_path, replace=True)
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A1", "B2"]


def test_the_types_of_fixtures_that_are_not_captured_again_stay(tmp_path: Path) -> None:
    """A fixture by hand beside the captured ones keeps what somebody wrote of it."""
    root = shop(tmp_path, f"select {FIELDS.format('a')} a.name as title, 'Yes' as product_active from item as a")
    write(root / "fixtures" / "extra.csv", "code\nA1\n")
    write(root / "fixtures" / "types.toml", '[extra]\ncode = "char(9)"\n[gone]\nx = "int"\n')
    captured(tmp_path, replace=True)
    types = tomli.loads((root / "fixtures" / "types.toml").read_text("utf-8"))
    assert types["extra"] == {"code": "char(9)"}
    assert "gone" not in types
    assert types["item"]["code"] == "text"


@pytest.mark.parametrize("captured_at", ["", "captured = 2024-05-31T10:00:00\n", "captured = 2024-05-31T10:00:00Z\n"])
def test_the_clock_of_captured_fixtures_stands_where_they_were_captured(tmp_path: Path, captured_at: str) -> None:
    """A price that is valid until 2099 is valid then; of fixtures by hand only the newest date is known."""
    view = VIEW.replace("price.amount as", "case when price.until > now() then price.amount end as")
    root = write_project(
        tmp_path,
        dialect="postgres",
        view=view,
        fixtures={"item": ITEM, "price": "code,amount,until\nA1,9.00,2099-12-31\n"},
    )
    write(root / "fixtures" / "types.toml", f'{captured_at}[price]\nuntil = "date"\n')
    documents = dict(rehearsed(tmp_path).documents)
    prices = documents["A1"]["product"]["variants"].get("price")
    assert (prices is not None) == bool(captured_at)


def test_capture_does_not_overwrite_by_itself(live: Path) -> None:
    """Fixtures that were fixed by hand are kept unless one says otherwise."""
    captured(live)
    with pytest.raises(UsageError) as caught:
        captured(live)
    assert "--replace" in caught.value.hint


def _typed(workspace: Path, source: str, *, dialect: str) -> None:
    """Capture one table whose columns all read as digits."""
    root = write_project(
        workspace,
        fixtures={},
        view="select item.code as source_product_code, item.code as source_variant_code, item.code as title,"
        ' item.flag as product_active, item.qty as "variants.qty", item.price as csv_price_tiers,'
        ' item.code as "variants.sku" from item',
    )
    text = (root / "project.toml").read_text("utf-8")
    connection = next(line for line in text.splitlines() if line.startswith("connection"))
    write(root / "project.toml", text.replace(connection, source).replace('"duckdb"', f'"{dialect}"'))
    captured(workspace)


TYPED = (
    "create table item (code varchar(10), qty numeric(18, 4), price numeric(10, 2), flag integer)",
    "insert into item values ('1001', 5, 9.5, 1), ('1002', 6, 10, 0)",
)


def test_capture_asks_the_database_what_its_digits_are(tmp_path: Path, postgres: Postgres) -> None:
    """Over ODBC everything arrives as text: a code stays one, and a quantity is a number again."""
    database = postgres.fresh_database()
    postgres.execute(database, *TYPED)
    _typed(tmp_path, f"connection = {json.dumps(postgres.connection(database))}", dialect="postgres")
    text = (tmp_path / "projects" / "acme" / "fixtures" / "types.toml").read_text("utf-8")
    found = tomli.loads(text)
    assert found.pop("captured").year >= 2024
    assert found.pop("lc_ctype", "C") == "C"  # where the server's own locale is
    assert found == {
        "item": {
            "code": "character varying(10)",
            "qty": "numeric(18,4)",
            "price": "numeric(10,2)",
            "flag": "integer",
        }
    }


def test_what_capture_puts_in_place_of_personal_values_can_be_read_back(tmp_path: Path, postgres: Postgres) -> None:
    """A truth, a date or a number under a personal name stays one, JSON keeps its keys, a country its name."""
    database = postgres.fresh_database()
    postgres.execute(
        database,
        "create table partner (ref varchar, name varchar, email varchar, is_company boolean, person_rank int, phone_no"
        " bigint, registered_on timestamp, birthday date, address jsonb, country_id int, contact_kind uuid)",
        "create table country (id int, name jsonb)",
        'insert into country values (1, \'{"en_US": "South Africa"}\')',
        "insert into partner values ('C1', 'Thandi Mokoena', 'thandi@home.example', true, 3, 27825550100,"
        ' \'2024-02-29 10:11:12\', \'1985-01-01\', \'{"street": "9 Mokoena Way", "tags": ["x", 7]}\', 1,'
        " '11111111-1111-4111-8111-111111111111')",
    )
    root = write_project(
        tmp_path,
        dialect="postgres",
        fixtures={},
        view="select p.ref as source_product_code, p.ref as source_variant_code, p.ref as title, 'Yes' as"
        " product_active, p.ref as \"variants.sku\", (select string_agg(t, ',' order by t) from"
        " json_array_elements_text((p.address->'tags')::json) as t) as tags from partner p",
    )
    write(
        root / "views" / "customers.sql",
        "select p.ref as source_customer_code, case when p.is_company then 'Yes' end as customer_active, p.name as"
        " first_name, p.email, p.address->>'street' as \"address1.address1\", c.name->>'en_US' as"
        ' "address1.country", p.person_rank as meta_rank, p.phone_no as meta_phone, p.registered_on as meta_since,'
        " p.birthday as meta_born, p.contact_kind as meta_kind from partner p join country c on c.id = p.country_id",
    )
    text = (root / "project.toml").read_text("utf-8")
    connection = next(line for line in text.splitlines() if line.startswith("connection"))
    live = f"connection = {json.dumps(postgres.connection(database))}"
    write(root / "project.toml", text.replace(connection, live))
    files = captured(tmp_path)
    for secret in ("thandi", "mokoena", "27825550100", "1985-01-01"):
        assert secret not in "".join(files.values()).lower()
    partner = read_fixture(root / "fixtures" / "partner.csv")
    row = dict(zip(partner.columns, partner.rows[0], strict=True))
    assert str(row["is_company"]).lower() == "true"
    assert row["person_rank"] == "3"
    assert str(row["registered_on"]).startswith("2024-02-29 10:11:12")
    assert row["contact_kind"] == "11111111-1111-4111-8111-111111111111"
    assert json.loads(str(row["address"]))["tags"][1] == 7
    ((_, document),) = rehearsed(tmp_path, "customers").documents
    assert document["customer"]["addresses"][0]["country"] == "South Africa"


def _postgres_shop(workspace: Path, postgres: Postgres, view: str, *statements: str) -> None:
    """A project that reads a new database of PostgreSQL's."""
    database = postgres.fresh_database()
    postgres.execute(database, *statements)
    root = write_project(workspace, dialect="postgres", fixtures={}, view=view)
    text = (root / "project.toml").read_text("utf-8")
    connection = next(line for line in text.splitlines() if line.startswith("connection"))
    write(root / "project.toml", text.replace(connection, f"connection = {json.dumps(postgres.connection(database))}"))


def test_capture_reads_the_table_that_the_database_takes_a_name_for(tmp_path: Path, postgres: Postgres) -> None:
    """Not one of that name in another schema, nor in other case; a materialized view has types as well."""
    _postgres_shop(
        tmp_path,
        postgres,
        'select i."Code" as source_product_code, i."Code" as source_variant_code, i.Price::text as title,'
        ' \'Yes\' as product_active, s.qty as "variants.qty", i."Code" as "variants.sku" from "Item" i'
        ' join stock s on s.code = i."Code" where i."Code" = \'A1\'',
        "create schema aaa",
        'create table aaa."Item" ("Code" text, price text)',
        "create table item (code text, price text)",
        'create table "Item" ("Code" char(8), price numeric(9, 3))',
        "insert into \"Item\" values ('A1', 2.5)",
        "create materialized view stock as select 'A1'::text as code, 5::numeric(9, 1) as qty",
    )
    captured(tmp_path)
    types = tomli.loads((tmp_path / "projects" / "acme" / "fixtures" / "types.toml").read_text("utf-8"))
    assert types["item"] == {"Code": "character(8)", "Price": "numeric(9,3)"}
    assert types["stock"] == {"code": "text", "qty": "numeric(9,1)"}
    ((key, document),) = rehearsed(tmp_path).documents
    assert (key, document["product"]["title"]) == ("A1", "2.500")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('item as i join "Item" as j on j.code = i.code', "the tables item and Item"),
        ('item as i where i.name <> i."Name"', "the columns name and Name of item"),
        ("item as i where i.name <> ''", "item has the columns name and Name"),
    ],
)
def test_names_that_differ_only_in_case_are_refused_by_capture(
    tmp_path: Path, postgres: Postgres, source: str, said: str
) -> None:
    """Fixtures would take the one for the other, and show a value that a run does not send."""
    _postgres_shop(
        tmp_path,
        postgres,
        f"select {FIELDS.format('i')} 'x' as title, 'Yes' as product_active from {source}",
        'create table item (code text, name text, "Name" text)',
        'create table "Item" (code text)',
    )
    with pytest.raises((UsageError, ViewError), match=said) as caught:
        captured(tmp_path)
    assert "another name" in caught.value.hint or isinstance(caught.value, ViewError)


def test_capture_asks_a_sqlite_file_what_its_digits_are(tmp_path: Path) -> None:
    """SQLite has its own way to tell a column's type."""
    (tmp_path / "projects" / "acme").mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "projects" / "acme" / "erp.sqlite")) as connection:
        for statement in TYPED:
            connection.execute(statement)
        connection.commit()
    _typed(tmp_path, 'database = "erp.sqlite"', dialect="sqlite")
    text = (tmp_path / "projects" / "acme" / "fixtures" / "types.toml").read_text("utf-8")
    found = tomli.loads(text)
    assert found.pop("captured").year >= 2024
    assert found == {
        "item": {"code": "varchar(10)", "qty": "numeric(18, 4)", "price": "numeric(10, 2)", "flag": "integer"}
    }


@pytest.mark.parametrize(
    ("dialect", "since"),
    [
        ("tsql", "dateadd(day, -30, getdate())"),
        ("mysql", "date_sub(now(), interval 30 day)"),
        ("postgres", "now() - interval '30 days'"),
        ("duckdb", "cast(now() as timestamp) - interval 30 day"),
        ("duckdb", "current_date - 30"),
    ],
)
def test_the_time_in_fixtures_is_the_newest_that_they_have(tmp_path: Path, dialect: str, since: str) -> None:
    """A rehearsal comes to the same on any day; what is said to end in the year 9999 is no time."""
    view = VIEW.replace("item.brand as vendor", f"case when item.made > {since} then 'new' else 'old' end as vendor")
    times = ("made", "2024-01-01 00:00:00", "2024-03-01 10:00:00", "9999-12-31 00:00:00", "2024-02-28 00:00:00")
    item = "".join(f"{row},{made}\n" for row, made in zip(ITEM.splitlines(), times, strict=True))
    quotes = view.replace('"', "`") if dialect == "mysql" else view
    write_project(tmp_path, dialect=dialect, view=quotes, fixtures={"item": item, "price": PRICE})
    vendors = [document["product"]["vendor"] for _, document in rehearsed(tmp_path).documents]
    assert vendors == ["old", "new"]


@pytest.mark.parametrize(
    ("dialect", "title"),
    [
        ("postgres", "format('%10s', item.code)"),
        ("hana", "concat(item.code, item.descr)"),
        ("hana", "item.descr || cast(item.qty as decimal(9, 1))"),
        ("firebird", "left(item.descr, 2)"),
    ],
)
def test_what_nothing_is_known_of_is_refused_though_duckdb_would_run_it(
    tmp_path: Path, dialect: str, title: str
) -> None:
    """DuckDB has a function of the same name: what is written by hand is not taken for it."""
    write_project(tmp_path, dialect=dialect, view=VIEW.replace("item.descr as", f"{title} as"))
    with pytest.raises(ViewError) as refused:
        rehearsed(tmp_path)
    assert refused.value.diagnostics[0].line == 4


def test_what_databases_take_in_different_ways_is_not_run_in_another_way_instead(tmp_path: Path) -> None:
    """The text of a number without digits of its own is each database's own, though DuckDB has one too."""
    write_project(tmp_path, dialect="postgres", view=VIEW.replace("item.descr as", "'R ' || price.amount as"))
    with pytest.raises(FixtureError, match="text of a number"):
        rehearsed(tmp_path)


OWN_MACRO = "{% macro sound(x) %}{% if dialect == 'duckdb' %}{{ x }}{% else %}soundex({{ x }}){% endif %}{% endmacro %}"
"""What only DuckDB's own SQL can run."""


@pytest.mark.parametrize(
    "where",
    [
        "where 1 = 1 {% if dialect == 'postgres' %}and item.qty > 3{% endif %}",
        "where item.qty {% if dialect != 'postgres' %}is not null{% else %}> 3{% endif %}",
        "{% if dialect in ('tsql', 'postgres') and vars.old is not defined %}where item.qty > 3{% endif %}",
        "where item.qty > {{ 3 if dialect == 'postgres' else 0 }}",
        "{% set fewest = {'postgres': 3}.get(dialect, 0) %}where item.qty > {{ fewest }}",
        "where 1 = 1 {{ own.stocked() }}",
    ],
)
def test_what_a_template_writes_for_its_database_alone_is_not_left_out_on_fixtures(tmp_path: Path, where: str) -> None:
    """A filter that DuckDB does not get would show other rows than a run sends; its place is named."""
    stocked = "\n{% macro stocked() %}{% if dialect == 'postgres' %}and item.qty > 3{% endif %}{% endmacro %}"
    view = "{% import 'own.sql' as own %}" + VIEW.replace("item.descr as", "{{ own.sound(col('item.descr')) }} as")
    write(write_project(tmp_path, dialect="postgres", view=view + where) / "own.sql", OWN_MACRO + stocked)
    with pytest.raises(ViewError) as refused:
        rehearsed(tmp_path)
    fault = refused.value.diagnostics[-1]
    assert "something else for postgres than for other databases" in fault.message
    assert str(fault.path).endswith("own.sql" if "stocked" in where else "products.sql")


@pytest.mark.parametrize(
    "where",
    [
        "where item.qty {% if dialect in ('postgres', 'duckdb') %}> 3{% else %}is null{% endif %}",
        "where item.qty > 3 {% if dialect == 'tsql' %}and item.brand is null{% endif %}",
        "{% if dialect not in ('mysql', 'tsql') or vars.x %}where item.qty > 3{% endif %}",
        "{% if dialect == 'mysql' %}{{ fail('no ' ~ dialect) }}{% endif %}where item.qty > 3",
    ],
)
def test_what_a_template_writes_for_its_database_and_for_fixtures_runs_there(tmp_path: Path, where: str) -> None:
    """Where the condition names DuckDB, or is about other databases."""
    view = "{% import 'own.sql' as own %}" + VIEW.replace("item.descr as", "{{ own.sound(col('item.descr')) }} as")
    write(write_project(tmp_path, dialect="postgres", view=view + where) / "own.sql", OWN_MACRO)
    assert [key for key, _ in rehearsed(tmp_path).documents] == ["A1"]


def test_null_is_sorted_as_the_database_sorts_it_in_duckdbs_own_sql(tmp_path: Path) -> None:
    """Before all values in most, though DuckDB has it last."""
    one = "(select substr_before(t.descr, '~') from (select i.descr from item i order by i.qty + 0 limit 1) t)"
    own = one.replace("substr_before(t.descr, '~')", "t.descr")
    view = VIEW.replace("item.descr as", f"{{% if dialect == 'duckdb' %}}{own}{{% else %}}{one}{{% endif %}} as")
    write_project(tmp_path, dialect="hana", view=view)
    assert rehearsed(tmp_path).documents[0][1]["product"]["title"] == "Tent"


@pytest.mark.parametrize(
    ("title", "more", "line", "column", "said"),
    [
        ("'R ' || item.qty / 10.0", "", 4, 5, "the text of a number"),
        ("item.descr", "where item.made > item.code", 12, 7, "a comparison of a date with a text"),
        ("item.descr", "where item.qty > item.code", 12, 7, "a comparison of a number and a text"),
        ("left(price.amount, 2)", "", 4, 5, "LEFT() of a number"),
        ("left(item.descr, item.none)", "", 4, 27, "the column none"),
        ("format('%10s', item.none)", "", 4, 5, "the view has format()"),
    ],
)
def test_what_fixtures_cannot_run_is_named_at_its_place(
    tmp_path: Path, title: str, more: str, line: int, column: int, said: str
) -> None:
    """Also what DuckDB finds: the part of the view that fails by itself, at line and column of the template."""
    item = "".join(
        f"{row},{made}\n" for row, made in zip(ITEM.splitlines(), ("made", *["2024-01-31"] * 4), strict=True)
    )
    view = VIEW.replace("item.descr as", f"{title} as") + more
    write_project(tmp_path, dialect="postgres", view=view, fixtures={"item": item, "price": PRICE})
    with pytest.raises((FixtureError, ViewError)) as caught:
        rehearsed(tmp_path)
    (fault, *_) = caught.value.diagnostics
    assert said.lower() in fault.message.lower()
    assert "Binder Error" not in fault.message
    assert (fault.line, fault.column) == (line, column)


@pytest.mark.parametrize(
    ("dialect", "title", "said"),
    [
        ("mysql", "left(price.amount, 2)", "LEFT() of a number"),
        ("mysql", "trim(item.qty)", "TRIM() of a number"),
        ("mysql", "if(item.qty like '5%', 1, 0)", "LIKE of a number"),
        ("mysql", "round(item.descr, 1)", "ROUND() of a text"),
        ("mysql", "locate('5', item.qty)", "INSTR(), LOCATE() or POSITION() of a number"),
        ("sqlite", "substr(item.qty, 1, 1)", "SUBSTRING() of a number"),
        ("sqlite", "coalesce(item.qty, item.descr)", "COALESCE of a number and a text"),
        ("sqlite", "upper(item.qty)", "UPPER(), LOWER() or LIKE of a number"),
    ],
)
def test_what_a_database_converts_by_itself_is_named_in_the_words_of_sql(
    tmp_path: Path, dialect: str, title: str, said: str
) -> None:
    """DuckDB has no such function; the macro that makes a text or a number of the value is named."""
    view = VIEW.replace("item.descr as", f"{title} as").replace('"', "`" if dialect == "mysql" else '"')
    write_project(tmp_path, dialect=dialect, view=view)
    with pytest.raises(FixtureError, match=r"cannot run on fixtures as the database would run it") as caught:
        rehearsed(tmp_path)
    (fault, *_) = caught.value.diagnostics
    assert fault.message.startswith(f"The view has {said},")
    assert "sql.cast_text(…)" in fault.hint or "sql.try_number(…)" in fault.hint
    assert fault.line == 4


def test_what_the_database_refuses_is_not_run_in_duckdbs_own_sql(tmp_path: Path) -> None:
    """A macro writes a cast for PostgreSQL that it has not, and another for DuckDB that DuckDB has."""
    view = "{% import 'macros/dialect.sql' as sql %}" + VIEW.replace(
        "item.descr as", "{{ sql.cast_number(col('item.web')) }} as"
    )
    item = ITEM.replace("web", "web:boolean").replace("Yes", "true")
    write_project(tmp_path, dialect="postgres", view=view, fixtures={"item": item, "price": PRICE})
    with pytest.raises(ViewError, match="a cast of a truth to a number, which the database refuses"):
        rehearsed(tmp_path)


def test_a_missing_column_is_named_though_something_else_was_refused(tmp_path: Path) -> None:
    """What is refused in the database's dialect runs in DuckDB's own by a macro; the column is what is wrong."""
    macro = "{% macro old(x) %}{% if dialect == 'duckdb' %}{{ x }}{% else %}age({{ x }}){% endif %}{% endmacro %}"
    view = "{% import 'own.sql' as own %}" + VIEW.replace("item.descr as", "{{ own.old(col('item.none')) }} as")
    write(write_project(tmp_path, dialect="postgres", view=view) / "own.sql", macro)
    with pytest.raises(FixtureError, match="the column none, which the fixtures do not have") as caught:
        rehearsed(tmp_path)
    assert "s2s fixtures capture acme --replace" in caught.value.diagnostics[0].hint
