"""A state belongs to one Stock2Shop account and to one database; somebody says what is meant where either changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import run_command

from engine.database.origin import origin_of
from engine.errors import OriginChangedError
from engine.state.store import open_state
from engine.sync.adopt import adopt, verify

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from support.client import Client

    from engine.sandbox.server import Sandbox


@pytest.fixture
def moved(client: Client, make_sandbox: Callable[..., Sandbox]) -> Client:
    """A client whose two items one account acknowledged, and whose project now names another."""
    client.item("A")
    client.item("B")
    client.run()
    client.sandbox = make_sandbox()
    return client


def s2s(client: Client, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return run_command(*words, folder=client.workspace, variables=client.environment)


@pytest.mark.parametrize("command", ["plan", "run", "verify", "adopt"])
def test_another_account_is_sent_nothing_before_somebody_says_what_is_meant(moved: Client, command: str) -> None:
    """It holds nothing of what was acknowledged elsewhere; the message names both accounts and the way on."""
    ran = s2s(moved, command, "acme")
    assert ran.returncode == 3
    assert "source 57 acknowledged or refused, but project.toml names" in ran.stderr
    assert "s2s rebind acme --forget" in ran.stderr
    assert moved.held() == {}


def test_a_plan_without_stock2shop_stops_at_another_account_too(moved: Client) -> None:
    """Offline it would promise that there is nothing to send."""
    with pytest.raises(OriginChangedError):
        moved.plan(offline=True)


def test_the_doctor_says_that_the_state_is_another_accounts(moved: Client) -> None:
    """And names the command that says what is meant."""
    ran = s2s(moved, "doctor", "acme")
    assert ran.returncode != 0
    assert "s2s rebind acme" in ran.stdout


def test_forgetting_fills_the_other_account(moved: Client) -> None:
    """Every row is new there."""
    assert s2s(moved, "rebind", "acme", "--forget").returncode == 0
    assert moved.run().sent == 2
    assert sorted(moved.held()) == ["A", "B"]
    assert moved.run().sent == 0


def test_what_one_account_refused_is_offered_to_the_other(client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    """A refusal is an account's own."""
    client.item("A")
    client.item("B")
    client.sandbox.faults.refused_skus = {"B"}
    assert client.run().refused == 1
    client.sandbox = make_sandbox()
    s2s(client, "rebind", "acme", "--forget")
    client.run()
    assert sorted(client.held()) == ["A", "B"]


def test_what_one_account_refused_alone_keeps_the_state_its_own(
    client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    """Else the other one would never be offered what it may well take."""
    client.item("B")
    client.sandbox.faults.refused_skus = {"B"}
    assert client.run().refused == 1
    client.sandbox = make_sandbox()
    with pytest.raises(OriginChangedError, match="acknowledged or refused"):
        client.run()


def test_an_account_that_was_left_is_not_taken_for_an_empty_one(
    moved: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    """It may hold items of which nothing is known since the state was forgotten, whatever the other one holds."""
    assert s2s(moved, "rebind", "acme", "--forget").returncode == 0
    moved.sandbox = make_sandbox()
    for command in ("plan", "run", "adopt"):
        ran = s2s(moved, command, "acme")
        assert ran.returncode == 3
        assert "since a rebind, but project.toml names" in ran.stderr
    assert s2s(moved, "rebind", "acme", "--forget").returncode == 0
    assert moved.run().sent == 2


def test_keeping_goes_on_where_the_account_only_moved(moved: Client) -> None:
    """What is published stays so."""
    assert s2s(moved, "rebind", "acme", "--keep").returncode == 0
    assert moved.run().sent == 0
    assert moved.held() == {}


@pytest.mark.parametrize("words", [(), ("--keep", "--forget")])
def test_a_rebind_without_a_clear_word_changes_nothing(moved: Client, words: tuple[str, ...]) -> None:
    """It is a usage error."""
    assert s2s(moved, "rebind", "acme", *words).returncode == 2
    with pytest.raises(OriginChangedError):
        moved.plan()


def test_another_source_id_is_another_account(client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    """Rows are acknowledged for a source, not for a user."""
    client.sandbox = make_sandbox(source_id=58)
    client.item("A")
    toml = client.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("source_id = 57", "source_id = 58"), "utf-8")
    assert client.run().sent == 1
    toml.write_text(toml.read_text("utf-8").replace("source_id = 58", "source_id = 57"), "utf-8")
    with pytest.raises(OriginChangedError, match="source 58 acknowledged"):
        client.plan()


def test_another_database_is_not_compared_with_what_came_from_the_first(client: Client) -> None:
    """Its empty tables would look like removals."""
    client.item("A")
    client.run()
    shutil.copy(client.root / "erp.duckdb", client.root / "test.duckdb")
    toml = client.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("erp.duckdb", "test.duckdb"), "utf-8")
    with pytest.raises(OriginChangedError, match=r"came from the file projects/acme/erp\.duckdb"):
        client.run()
    s2s(client, "rebind", "acme", "--keep")
    assert client.run().sent == 0


def test_what_keeps_the_items_says_nothing_of_the_orders(client: Client) -> None:
    """From a test database to the live one, both change; the orders that were tried are not in the live one."""
    client.item("A")
    client.run()
    toml = client.root / "project.toml"
    shutil.copy(client.root / "erp.duckdb", client.root / "live.duckdb")
    text = toml.read_text("utf-8").replace("erp.duckdb", "live.duckdb")
    for more, command in (("", "--keep`"), ('\n[orders]\ndatabase = "live.duckdb"\n', "--keep --only state`")):
        toml.write_text(text + more, "utf-8")
        with pytest.raises(OriginChangedError) as stopped:
            client.plan()
        assert f"s2s rebind acme {command}" in stopped.value.hint


def test_a_state_that_holds_nothing_takes_whatever_the_project_names(
    client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    """Trying one's way to the right address needs no command."""
    client.write(settings="min_rows = 0")
    client.run()
    client.sandbox = make_sandbox()
    client.item("A")
    assert client.run().sent == 1


def test_a_state_of_before_takes_the_account_that_it_finds(client: Client) -> None:
    """An older engine did not record it."""
    client.item("A")
    client.run()
    with open_state(client.project.state) as state:
        state.run("delete from meta where name in ('account', 'database')")
    assert client.run().sent == 0
    with open_state(client.project.state) as state:
        assert state.meta("account") == origin_of(client.project).account


def test_what_was_adopted_belongs_to_its_account(client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    """As what was acknowledged does."""
    client.item("A")
    client.run()
    (client.project.state).unlink()
    adopt(client.project, "products")
    client.sandbox = make_sandbox()
    with pytest.raises(OriginChangedError):
        verify(client.project, "products")


OPTIONS = st.dictionaries(
    st.sampled_from(["UID", "PWD", "Encrypt", "UseDeclareFetch", "App"]), st.text("abc;{", max_size=4), max_size=3
)


@given(first=OPTIONS, second=OPTIONS)
def test_a_login_or_a_drivers_option_is_not_part_of_what_a_database_is(
    first: dict[str, str], second: dict[str, str]
) -> None:
    """A new password, or another way to read, is no other database; nor is the order of options."""

    def database(options: dict[str, str], *, reverse: bool) -> str:
        named = [("Server", "ERP01"), ("Database", "Evo"), *options.items()]
        text = ";".join(f"{name}={{{value.replace('}', '}}')}}}" for name, value in named[:: -1 if reverse else 1])
        return origin_of(project(text)).database

    assert database(first, reverse=False) == database(second, reverse=True) == "server erp01, database Evo"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Driver=HDBODBC;SERVERNODE=erp:30015", "Driver=HDBODBC;SERVERNODE=test:30015"),
        ("Driver=HDBODBC;SERVERNODE=e:1;CURRENTSCHEMA=SBO_A", "Driver=HDBODBC;SERVERNODE=e:1;CURRENTSCHEMA=SBO_B"),
        ("Driver=DB2;Hostname=erp;Database=X", "Driver=DB2;Hostname=test;Database=X"),
        ("Driver=IBM i Access;System=erp", "Driver=IBM i Access;System=test"),
        ("Driver=Pervasive;ServerName=erp;DBQ=A", "Driver=Pervasive;ServerName=erp;DBQ=B"),
        ("Driver=Firebird;Dbname=erp:/data/a.fdb", "Driver=Firebird;Dbname=erp:/data/b.fdb"),
        ("Driver=Pervasive;ServerName=erp;ServerDSN=A", "Driver=Pervasive;ServerName=erp;ServerDSN=B"),
        ("Driver=SQL Anywhere;Host=a;ServerName=x;DBN=y", "Driver=SQL Anywhere;Host=b;ServerName=x;DBN=y"),
        ("Driver=SQL Anywhere;ENG=x;DBN=a", "Driver=SQL Anywhere;ENG=x;DBN=b"),
        ("Driver=SQL Anywhere;ENG=x;DBF=a.db", "Driver=SQL Anywhere;ENG=x;DBF=b.db"),
        ("Driver=IBM i Access;System=erp;Database=S;DBQ=LIVE", "Driver=IBM i Access;System=erp;Database=S;DBQ=TEST"),
        ("Driver=MariaDB;Server=localhost;Socket=/a.sock", "Driver=MariaDB;Server=localhost;Socket=/b.sock"),
        ("Driver=MariaDB;Server=erp;Database=a", "Driver=MariaDB;Server=erp;Database=a;InitStmt={use b}"),
        ("Driver=PG;Server=erp;Database=a", "Driver=PG;Server=erp;Database=a;ConnSettings={set+search_path+to+test}"),
        ("Driver=PG;Server=erp;Database=a", "Driver=PG;Server=erp;Database=a;pqopt={options=-csearch_path=test}"),
        ("Server=erp;Database=Evo", "Server=erp;Database=EVO"),
        ("Server=erp,1433;Database=Evo", "Server=erp,1434;Database=Evo"),
        (r"Server=erp\LIVE,1433;Database=Evo", r"Server=erp\LIVE;Database=Evo"),
        (r"Server=erp\LIVE;Database=Evo", r"Server=erp\TEST;Database=Evo"),
    ],
)
def test_another_server_company_or_file_is_another_database(one: str, other: str) -> None:
    """Whatever the driver calls it."""
    first, second = (origin_of(project(each)) for each in (one, other))
    assert not first.is_same(second)
    assert not second.is_same(first)


@pytest.mark.parametrize(
    ("statement", "is_other"),
    [
        ("set search_path to test", True),
        ("alter session set current_schema = TEST", True),
        ("set schema TEST", True),
        ("use test", True),
        ("set lock_timeout = '2s'", False),
        ("set datestyle to iso; set time zone 'UTC'", False),
    ],
)
def test_a_session_that_begins_in_another_schema_is_in_another_database(statement: str, *, is_other: bool) -> None:
    """Its views read, and its orders are in, other tables; what else it begins with says nothing."""
    made = project("Server=erp;Database=a", dialect="postgres")
    before = origin_of(made)
    made.source = replace(made.source, session=(statement,))
    assert origin_of(made).is_same(before) != is_other


@pytest.mark.parametrize(
    ("dialect", "one", "other"),
    [
        ("tsql", "Driver={ODBC Driver 17 for SQL Server};Server=ERP;Database=Evo", "Driver=FreeTDS;Server=erp;DB=Evo"),
        ("tsql", "Server=tcp:erp.example.com,1433;Database=Evo", "Server=erp.example.com.;Database=Evo"),
        ("tsql", "Server=(local);Database=Evo", "Server=127.0.0.1;Database=Evo"),
        ("tsql", r"Server=.\EVO;Database=Evo", r"Server=localhost\EVO;Database=Evo"),
        ("postgres", "Server=erp;Port=5432;Database=a", "Servername=erp;Database=a"),
        ("postgres", "Server=localhost;Database=a", "Server=127.0.0.1;Port=5432;Database=a"),
        ("mysql", "Server=erp;Port=3306;Database=a", "Server=erp;Database=a"),
    ],
)
def test_a_connection_that_is_only_written_otherwise_leads_to_the_same_database(
    dialect: str, one: str, other: str
) -> None:
    """Another driver, the usual port, or another name for this machine is no other database."""
    first, second = (origin_of(project(each, dialect=dialect)) for each in (one, other))
    assert first.is_same(second)
    assert second.is_same(first)


def test_what_may_be_another_server_of_this_machine_is_not_taken_for_the_same() -> None:
    """With MySQL, localhost is a socket; the usual port of one kind of database is another one's."""
    mysql = [origin_of(project(f"Server={name};Database=a", dialect="mysql")) for name in ("localhost", "127.0.0.1")]
    assert not mysql[0].is_same(mysql[1])
    kinds = [
        origin_of(project(f"Server=erp;Port={port};Database=a", dialect=dialect))
        for dialect, port in (("mysql", 3306), ("postgres", 5432))
    ]
    assert not kinds[0].is_same(kinds[1])
    assert not kinds[1].is_same(kinds[0])


def test_a_file_is_the_same_by_whatever_path_it_is_named(client: Client) -> None:
    """From the project's folder or from the root; another file is another one."""
    made = client.project
    files = [client.root / ".." / "acme" / "erp.duckdb", client.root / "erp.duckdb", client.root / ".." / "erp.duckdb"]
    first, second, third = (
        origin_of(replace(made, source=replace(made.source, database=each))).database for each in files
    )
    assert first == second == "the file projects/acme/erp.duckdb"
    assert third == "the file projects/erp.duckdb"


def test_a_state_goes_on_with_a_connection_that_is_written_otherwise(client: Client) -> None:
    """It notes the database as it is written now."""
    client.item("A")
    client.run()
    with open_state(client.project.state) as state:
        state.set_meta("database", "the file projects/acme/../acme/erp.duckdb")
    client.item("B")
    assert client.run().sent == 1
    with open_state(client.project.state) as state:
        assert state.meta("database") == "the file projects/acme/erp.duckdb"


def project(connection: str, *, dialect: str = "tsql") -> Any:
    """A project that has nothing but what an origin is made of."""
    from pathlib import Path
    from types import SimpleNamespace

    from engine.model.settings import SourceSettings, Stock2ShopSettings

    return SimpleNamespace(
        source=SourceSettings(dialect=dialect, connection=connection),
        stock2shop=Stock2ShopSettings(source_id=57, username="u", password="p"),
        workspace=Path("/clients"),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://APP.stock2shop.com/v1", "https://app.stock2shop.com/v1/"),
        ("https://app.stock2shop.com:443/v1", "https://app.stock2shop.com/v1"),
        ("https://app.stock2shop.com:x/v1", "https://app.stock2shop.com:x/v1"),
    ],
)
def test_an_address_that_is_only_written_otherwise_is_the_same(one: str, other: str) -> None:
    """Case, a slash at the end and the usual port say nothing."""
    made = project("DSN=x")
    accounts = set()
    for url in (one, other):
        made.stock2shop = replace(made.stock2shop, url=url)
        accounts.add(origin_of(made).account)
    assert len(accounts) == 1
