"""`s2s init` begins a project: by flags, by asking on a terminal, and by looking into the client's database."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
import tomli
from support.command import run_command
from support.servers import PASSWORDS, READER, braced

from engine.config.schema import schema
from engine.errors import QueryError, UsageError
from engine.model.settings import SourceSettings
from engine.quoting import blanked
from engine.scaffold.introspect import dialect_of, introspect
from engine.scaffold.sql_text import spell_name
from engine.testing.fixtures import read_fixture

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

    from support.servers import MariaDb, Postgres, Server

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "templates" / "sql"

SHOP = (
    "create table stock_item (stock_code varchar(20), description varchar(80), barcode varchar(20), web varchar(10))",
    "create table price (stock_code varchar(20), list_no int, amount decimal(12,2))",
    "create table stock_level (stock_code varchar(20), warehouse varchar(10), qty_on_hand int)",
    "create table stock_history (stock_code varchar(20), description varchar(80), quantity int, price decimal(12,2))",
    "create table customer (account varchar(20), name varchar(80), email varchar(80), phone varchar(20))",
    "insert into stock_item values ('A1', 'Hammer', '6001', 'Yes'), ('A2', 'Saw', null, 'No')",
    "insert into price values ('A1', 1, 10.50), ('A2', 1, 4)",
    "insert into stock_level values ('A1', 'JHB', 4), ('A1', 'CPT', 2)",
    "insert into customer values ('C1', 'Thandi Nkosi', 'thandi@example.com', '082 555 0100')",
)
PERSONAL = ("Thandi", "thandi@", "082 555")


def s2s(workspace: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a scheduler would, without a terminal."""
    return run_command(*words, folder=workspace, variables=environ)


def shop(path: Path) -> Path:
    """A SQLite file with a small shop in it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in SHOP:
            connection.execute(statement)
    return path


def settle(workspace: Path) -> None:
    """Fill in what only an engineer knows."""
    project = workspace / "projects" / "acme" / "project.toml"
    project.write_text(project.read_text("utf-8").replace("source_id = 0", "source_id = 57"), "utf-8")
    dotenv = project.parent / ".env"
    lines = (f"{line}x" if line.endswith("=") else line for line in dotenv.read_text("utf-8").splitlines())
    dotenv.write_text("\n".join(lines) + "\n", "utf-8")


def assert_proposed(workspace: Path, looked: subprocess.CompletedProcess[str]) -> None:
    """The views that were written check clean and run, and nothing personal was shown."""
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "stock_item.description" in looked.stdout.replace('"', "").replace("`", "")
    assert "Hammer · Saw" in looked.stdout
    assert [word for word in PERSONAL if word in looked.stdout] == []
    settle(workspace)
    checked = s2s(workspace, "check", "acme")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    planned = s2s(workspace, "plan", "acme", "--offline")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "1 to send + 1 ignored" in planned.stdout
    assert "+ A1" in planned.stdout
    assert "+ C1" in planned.stdout


def test_a_sqlite_file_is_looked_into(tmp_path: Path) -> None:
    """From an empty folder to a plan with one command and the three values that nobody else can know."""
    shop(tmp_path / "shop.db")
    looked = s2s(tmp_path, "init", "acme", "--database", "shop.db", "--introspect")
    assert_proposed(tmp_path, looked)
    written = tomli.loads((tmp_path / "projects" / "acme" / "project.toml").read_text("utf-8"))["source"]
    assert written == {"dialect": "sqlite", "database": "../../shop.db"}


def test_a_duckdb_file_is_looked_into(tmp_path: Path) -> None:
    """Its dialect is told by its first bytes, whatever it is called."""
    with closing(duckdb.connect(str(tmp_path / "warehouse.bin"))) as connection:
        for statement in SHOP:
            connection.execute(statement)
    assert_proposed(tmp_path, s2s(tmp_path, "init", "acme", "--database", "warehouse.bin", "--introspect"))


def test_a_sqlite_file_is_looked_into_over_odbc(tmp_path: Path) -> None:
    """The driver's own catalogue tells the tables."""
    shop(tmp_path / "shop.db")
    connection = f"Driver={{SQLite3}};Database={tmp_path / 'shop.db'}"
    assert_proposed(tmp_path, s2s(tmp_path, "init", "acme", "--connection", connection, "--introspect"))


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_server_is_looked_into(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a login that only reads; the dialect is told by the driver's name, and no password is an argument."""
    server: Server = request.getfixturevalue(kind)
    database = server.fresh_database()
    server.execute(database, *SHOP)
    connection = server.connection(database)
    refused = s2s(tmp_path, "init", "acme", "--connection", connection, "--introspect")
    assert (refused.returncode, "list of processes" in refused.stderr) == (2, True)
    assert "PWD=${ACME_PASSWORD}" in refused.stderr
    assert "read;only" not in refused.stdout + refused.stderr
    assert not (tmp_path / "projects").exists()
    monkeypatch.setenv("ACME_PASSWORD", PASSWORDS[READER])
    connection = connection.replace(braced(PASSWORDS[READER]), "${ACME_PASSWORD}")
    looked = s2s(tmp_path, "init", "acme", "--connection", connection, "--introspect")
    assert_proposed(tmp_path, looked)
    written = (tmp_path / "projects" / "acme" / "project.toml").read_text("utf-8")
    assert "PWD=${ACME_PASSWORD}" in written
    assert "read;only" not in written + looked.stdout


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_keys_count_more_than_names_for_a_login_that_only_reads(kind: str, request: pytest.FixtureRequest) -> None:
    """A column whose name says nothing refers to a table by its declared key."""
    server: Server = request.getfixturevalue(kind)
    database = server.fresh_database()
    server.execute(
        database,
        "create table category (nr int primary key, name varchar(40))",
        "create table item (item_code varchar(20) primary key, description varchar(40), price decimal(9,2), grp int,"
        " constraint one foreign key (grp) references category (nr))",
        "insert into category values (7, 'Tools')",
        "insert into item values ('A', 'Hammer', 10, 7), ('B', 'Saw', 4, 7)",
        *(f"grant select on {name} to public" for name in ("category", "item") if kind == "postgres"),
    )
    dialect = "mysql" if kind == "mariadb" else kind
    (found,) = introspect(SourceSettings(dialect=dialect, connection=server.connection(database)))
    by_field = {each.field: each for each in found.candidates}
    kinds = by_field["product_type"]
    assert "from category where category.nr = item.grp" in kinds.expression
    assert kinds.samples == ("Tools", "Tools")


def test_tables_of_another_database_of_the_server_are_not_looked_at(mariadb: MariaDb) -> None:
    """What the login may see besides is not this client's."""
    other, database = mariadb.fresh_database(), mariadb.fresh_database()
    mariadb.execute(other, *SHOP)
    mariadb.execute(database, "create table note (id int, said varchar(20))")
    with pytest.raises(UsageError, match="None of the 1 tables"):
        introspect(SourceSettings(dialect="mysql", connection=mariadb.connection(database)))


def test_a_table_in_a_schema_is_named_with_it(postgres: Postgres) -> None:
    """And a name that the database would fold is put in quotes."""
    database = postgres.fresh_database()
    postgres.execute(
        database,
        "create schema erp",
        'create table erp."StockItem" ("ItemCode" text, "Item Name" text, price numeric)',
        "insert into erp.\"StockItem\" values ('A', 'Hammer', 1)",
        "grant usage on schema erp to public",
        'grant select on erp."StockItem" to public',
    )
    (found,) = introspect(SourceSettings(dialect="postgres", connection=postgres.connection(database)))
    assert 'from erp."StockItem"\n' in found.sql
    assert '"StockItem"."Item Name" as "title"' in found.sql
    assert '"StockItem".price as "csv_price_tiers"' in found.sql


KNOWN = {
    # the table of products and its code, that of customers and its code, and where price and quantity are found
    "iq_retail": ("STOCK.CODE", "DEBTORS.ACCOUNT", "STOCK.SELLPRICE1", "STOCK.ONHAND"),
    "omni": (
        "STOCK_ITEMS.STOCKCODE",
        "CUSTOMERS.CUSTOMER_CODE",
        "STOCK_ITEMS.SELLINGPRICE1",
        "STOCK_ITEMS.OAVAILABLE",
    ),
    "sage_300": ("ICITEM.ITEMNO", "ARCUS.IDCUST", "max(ICPRICP.UNITPRICE)", "sum(ICILOC.QTYONHAND)"),
    "sage_evolution": (
        "StkItem.Code",
        "Client.Account",
        "max(_etblPriceListPrices.fExclPrice)",
        "StkItem.Qty_On_Hand",
    ),
    "sage_pastel": ("Inventory.ItemCode", "CustomerMaster.CustomerCode", "max(MultiStoreTrn.SellInc01)", None),
    "sap_business_one": ("OITM.ItemCode", "OCRD.CardCode", "max(ITM1.Price)", "sum(OITW.OnHand)"),
    "syspro": (
        "InvMaster.StockCode",
        "ArCustomer.Customer",
        "max(InvPrice.SellingPrice)",
        "sum(InvWarehouse.QtyOnHand)",
    ),
}


@pytest.mark.parametrize("system", sorted(KNOWN))
def test_the_tables_of_a_known_system_are_found(tmp_path: Path, system: str) -> None:
    """By their names alone, as a client's engineer meets them; only Pastel's quantity is no column, but a sum."""
    with closing(duckdb.connect(str(tmp_path / "erp.duckdb"))) as connection:
        for path in (LIBRARY / system / "fixtures").glob("*.csv"):
            fixture = read_fixture(path)
            typed = zip(fixture.columns, fixture.inferred, strict=True)
            columns = ", ".join(f'"{name}" {kind}' for name, kind in typed)
            connection.execute(f'create table "{path.stem}" ({columns})')
            connection.executemany(
                f'insert into "{path.stem}" values ({", ".join("?" * len(fixture.columns))})', fixture.rows
            )
    products, customers = introspect(SourceSettings(dialect="duckdb", database=tmp_path / "erp.duckdb"))
    by_field = {each.field: each.expression for each in (*products.candidates, *customers.candidates)}
    item, customer, price, quantity = KNOWN[system]
    assert by_field["source_variant_code"] == item
    assert by_field["source_customer_code"] == customer
    assert price in by_field["csv_price_tiers"]
    assert quantity in by_field["variants.qty"] if quantity else "variants.qty" not in by_field
    with closing(duckdb.connect(str(tmp_path / "erp.duckdb"), read_only=True)) as connection:
        assert connection.sql(products.sql).fetchall()
        assert connection.sql(customers.sql).fetchall()


def test_a_database_without_products_says_what_there_is(tmp_path: Path) -> None:
    """So that the engineer knows whether the login sees the right tables at all."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("create table invoice_header (number int, total numeric)")
    looked = s2s(tmp_path, "init", "acme", "--database", "other.db", "--introspect")
    assert looked.returncode == 2
    assert "None of the 1 tables that the login sees looks like products." in looked.stderr
    assert "Tables: invoice_header." in looked.stderr
    assert (tmp_path / "projects" / "acme" / "views" / "products.sql").is_file()


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_view_that_somebody_wrote_stays(tmp_path: Path, encoding: str) -> None:
    """What would have been proposed is printed beside it."""
    shop(tmp_path / "shop.db")
    assert s2s(tmp_path, "init", "acme", "--database", "shop.db").returncode == 0
    view = tmp_path / "projects" / "acme" / "views" / "products.sql"
    view.write_text("select 'für' as mine", encoding)
    looked = s2s(tmp_path, "init", "acme", "--introspect")
    assert looked.returncode == 0, looked.stderr
    assert view.read_text(encoding) == "select 'für' as mine"
    assert "was edited by somebody, so it is kept" in looked.stdout
    assert 'stock_item.web as "product_active"' in looked.stdout
    assert (view.parent / "customers.sql").is_file()


def test_the_view_that_a_project_begins_with_is_replaced(tmp_path: Path) -> None:
    """Once its values are filled in, as the hint of the first try says."""
    first = s2s(tmp_path, "init", "acme", "--dialect", "postgres", "--introspect")
    assert first.returncode == 2
    assert "these variables need a value: ACME_HOST, ACME_DATABASE, ACME_USER" in first.stderr
    assert "s2s init acme --introspect" in first.stderr
    shop(tmp_path / "shop.db")
    project = tmp_path / "projects" / "acme" / "project.toml"
    lines = project.read_text("utf-8").replace('"postgres"', '"sqlite"').splitlines()
    lines = ['database = "../../shop.db"' if line.startswith("connection") else line for line in lines]
    project.write_text("\n".join(lines) + "\n", "utf-8")
    looked = s2s(tmp_path, "init", "acme", "--introspect")
    assert looked.returncode == 0, looked.stderr
    assert "from stock_item\n" in (project.parent / "views" / "products.sql").read_text("utf-8")


def test_how_to_reach_a_project_is_not_said_twice(tmp_path: Path) -> None:
    """Flags beside --introspect would contradict project.toml."""
    assert s2s(tmp_path, "init", "acme", "--dialect", "duckdb", "--database", "x.duckdb").returncode == 0
    again = s2s(tmp_path, "init", "acme", "--introspect", "--database", "y.duckdb")
    assert again.returncode == 2
    assert "its project.toml says how to reach its database" in again.stderr


def test_a_template_is_not_looked_up(tmp_path: Path) -> None:
    """It has the views already."""
    refused = s2s(tmp_path, "init", "acme", "--template", "syspro", "--introspect")
    assert refused.returncode == 2
    assert not (tmp_path / "projects").exists()


def test_a_view_that_the_driver_cannot_sample_is_proposed_without_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mdbtools knows neither TOP nor subqueries nor count(distinct)."""
    from engine.database.sqlite_file import SqliteSource

    def refuse(*_: object, **__: object) -> None:
        raise QueryError("The database does not understand the view's SQL.")

    monkeypatch.setattr(SqliteSource, "read", refuse)
    products, _ = introspect(SourceSettings(dialect="sqlite", database=shop(tmp_path / "shop.db")))
    assert products.rows is None
    assert {each.samples for each in products.candidates} == {()}
    assert "from stock_item\n" in products.sql


@pytest.mark.parametrize(
    ("connection", "dialect"),
    [
        ("Driver={ODBC Driver 18 for SQL Server};Server=x", "tsql"),
        ("Driver=FreeTDS;Server=x", "tsql"),
        ("Driver={PostgreSQL Unicode(x64)};Server=x", "postgres"),
        ("Driver={MariaDB ODBC 3.2 Driver};Server=x", "mysql"),
        ("Driver={MySQL ODBC 9.1 Unicode Driver};Server=x", "mysql"),
        ("Driver={HDBODBC};ServerNode=x", "hana"),
        ("Driver={Pervasive ODBC Interface};ServerName=x", "pervasive"),
        ("Driver={Firebird/InterBase(r) driver};DbName=x", "firebird"),
        ("Driver={Microsoft Access Driver (*.mdb, *.accdb)};DBQ=x", "access"),
        ("Driver={Oracle in OraClient19Home1};DBQ=x", "oracle"),
        ("DSN=erp", None),
    ],
)
def test_the_driver_tells_the_dialect(connection: str, dialect: str | None) -> None:
    """A data source's name says nothing."""
    assert dialect_of(connection, None) == dialect


@pytest.mark.parametrize(
    ("name", "dialect", "sql"),
    [
        ("ItemCode", "tsql", "ItemCode"),
        ("Item Code", "tsql", "[Item Code]"),
        ("Order", "tsql", "[Order]"),
        ("ItemCode", "postgres", '"ItemCode"'),
        ("item_code", "postgres", "item_code"),
        ("ITEMCODE", "oracle", "ITEMCODE"),
        ("ItemCode", "hana", '"ItemCode"'),
        ("desc", "mysql", "`desc`"),
    ],
)
def test_names_are_quoted_where_the_database_needs_it(name: str, dialect: str, sql: str) -> None:
    """And left bare where it does not, as people write them."""
    assert spell_name(name, dialect) == sql


def on_a_terminal(workspace: Path, *words: str, answers: Iterable[str]) -> tuple[int, str]:
    """Run the command on a terminal and answer its questions; gives its exit code and what it printed."""
    child, terminal = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests in the background ignores it
        os.chdir(workspace)
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        os.execv(sys.executable, [sys.executable, "-m", "engine", *words])
    printed, waiting = b"", list(answers)
    while True:
        if not select.select([terminal], [], [], 60)[0]:
            os.kill(child, 9)
            raise AssertionError(f"It waits for ever: {printed.decode()}")
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        printed += chunk
        if waiting and printed.rstrip(b" ").endswith(b":") and printed.endswith(b" "):
            os.write(terminal, f"{waiting.pop(0)}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed.decode()


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """System, database, login, source and table; a password is not echoed, and stands in .env alone."""
    with closing(sqlite3.connect(shop(tmp_path / "shop.db"))) as connection, connection:
        connection.execute("create table web_item (item_code text, title text)")
        connection.execute("insert into web_item values ('A1', 'Hammer')")
    code, printed = on_a_terminal(
        tmp_path,
        "init",
        "acme",
        answers=["", "shop.db", "me@example.com", "hunter2hunter2", "57", "y", "9", "1", *("",) * 4],
    )
    assert code == 0, printed
    assert "Which table holds the products?" in printed
    assert "9 is not one of them." in printed
    assert "Which system does the client have?" in printed
    assert "hunter2" not in printed
    root = tmp_path / "projects" / "acme"
    assert (root / ".env").read_text("utf-8").splitlines()[1:] == [
        'ACME_S2S_USER="me@example.com"',
        'ACME_S2S_PASSWORD="hunter2hunter2"',
    ]
    assert "hunter2" not in (root / "project.toml").read_text("utf-8")
    assert "from stock_item\n" in (root / "views" / "products.sql").read_text("utf-8")
    checked = s2s(tmp_path, "check", "acme")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_connection_that_is_typed_in_keeps_its_login_out_of_git(tmp_path: Path) -> None:
    """User and password go to .env, and variables take their place."""
    typed = "Driver={PostgreSQL Unicode};Server=db;Database=erp;UID=reader;PWD={hunter2;hunter2}"
    code, printed = on_a_terminal(tmp_path, "init", "acme", answers=["what", "none", typed, "", "", "", "0", "n"])
    assert code == 0, printed
    assert "what is not one of them." in printed
    root = tmp_path / "projects" / "acme"
    source = tomli.loads((root / "project.toml").read_text("utf-8"))["source"]
    assert source == {
        "dialect": "postgres",
        "connection": "Driver={PostgreSQL Unicode};Server=db;Database=erp;UID=${ACME_USER};PWD=${ACME_PASSWORD}",
    }
    assert 'ACME_PASSWORD="{hunter2;hunter2}"' in (root / ".env").read_text("utf-8")


def test_who_leaves_half_way_finds_nothing_written(tmp_path: Path) -> None:
    """Ctrl-C at a question."""
    code, _ = on_a_terminal(tmp_path, "init", "acme", answers=["", "shop.db", "\x03"])
    assert code == 130
    assert list(tmp_path.iterdir()) == []


def test_editors_find_the_schema_of_project_toml(tmp_path: Path) -> None:
    """The first line of project.toml names it, as Taplo and Even Better TOML read it; a newer version renews it."""
    (tmp_path / "project.schema.json").write_text("{}", "utf-8")
    assert s2s(tmp_path, "init", "acme").returncode == 0
    project = tmp_path / "projects" / "acme" / "project.toml"
    directive, _, path = project.read_text("utf-8").splitlines()[0].partition(" ")
    assert directive == "#:schema"
    assert json.loads((project.parent / path).read_text("utf-8")) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "projects").glob("*/project.toml")), ids=lambda path: path.parent.name
)
def test_the_examples_name_the_schema(path: Path) -> None:
    """It is the generated one."""
    named = path.read_text("utf-8").splitlines()[0].removeprefix("#:schema ")
    assert (path.parent / named).resolve() == REPOSITORY / "docs" / "reference" / "project.schema.json"


def test_a_name_from_the_database_is_neither_sql_nor_a_template_of_the_view(tmp_path: Path) -> None:
    """Line breaks stay in quotes and out of comments; braces are braces."""
    path = tmp_path / "shop.db"
    names = (
        "stock_item\n{{ fail('no') }} {% include 'views/products.sql' %} {# ; drop",
        "items\n; delete from stock_item; -- {{ vars }}",
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in names:
            connection.execute(f'create table "{name}" (stock_code text, description text, price real, web text)')
            connection.execute(f"insert into \"{name}\" values ('A1', 'Hammer', 9.5, 'Yes')")
    began = s2s(tmp_path, "init", "acme", "--source-id", "7", "--database", str(path))
    assert began.returncode == 0, began.stdout + began.stderr
    began = s2s(tmp_path, "init", "acme", "--introspect", ACME_S2S_USER="u", ACME_S2S_PASSWORD="p")
    assert began.returncode == 0, began.stdout + began.stderr
    rendered = s2s(tmp_path, "render", "acme", "products", ACME_S2S_USER="u", ACME_S2S_PASSWORD="p").stdout
    assert ";" not in blanked(rendered, "sqlite")
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute(rendered).fetchall()
    assert "A1" in row
