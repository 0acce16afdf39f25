"""Fixtures are read exactly as written, and a rehearsal on them is what a run would do."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
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
from engine.testing.capture import capture_fixtures
from engine.testing.fixture_database import create_fixture_database, load_fixtures
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


def test_capture_replaces_one_value_by_one_other(live: Path) -> None:
    """Customers who shared an address share one afterwards, and a second capture draws others."""
    first = captured(live, rows=120)["customer.csv"]
    fixture = read_fixture(live / "projects" / "acme" / "fixtures" / "customer.csv")
    emails = [row[fixture.columns.index("email")] for row in fixture.rows]
    assert 1 < len(set(emails)) <= 51
    assert len(emails) > 60
    assert captured(live, rows=120, replace=True)["customer.csv"] != first


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


def test_null_is_sorted_as_the_database_sorts_it_in_duckdbs_own_sql(tmp_path: Path) -> None:
    """Before all values in most, though DuckDB has it last."""
    one = "(select substr_before(t.descr, '~') from (select i.descr from item i order by i.qty + 0 limit 1) t)"
    own = one.replace("substr_before(t.descr, '~')", "t.descr")
    view = VIEW.replace("item.descr as", f"{{% if dialect == 'hana' %}}{one}{{% else %}}{own}{{% endif %}} as")
    write_project(tmp_path, dialect="hana", view=view)
    assert rehearsed(tmp_path).documents[0][1]["product"]["title"] == "Tent"


@pytest.mark.parametrize(
    ("title", "more", "line", "column", "said"),
    [
        ("'R ' || item.qty / 10.0", "", 4, 5, "the text of a number"),
        ("item.descr", "where item.made > item.code", 12, 7, "Cannot compare values of type DATE and type VARCHAR"),
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


def test_a_missing_column_is_named_though_something_else_was_refused(tmp_path: Path) -> None:
    """What is refused in the database's dialect runs in DuckDB's own by a macro; the column is what is wrong."""
    macro = "{% macro old(x) %}{% if dialect == 'duckdb' %}{{ x }}{% else %}age({{ x }}){% endif %}{% endmacro %}"
    view = "{% import 'own.sql' as own %}" + VIEW.replace("item.descr as", "{{ own.old(col('item.none')) }} as")
    write(write_project(tmp_path, dialect="postgres", view=view) / "own.sql", macro)
    with pytest.raises(FixtureError, match="the column none, which the fixtures do not have") as caught:
        rehearsed(tmp_path)
    assert "s2s fixtures capture acme --replace" in caught.value.diagnostics[0].hint
