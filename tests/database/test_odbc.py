"""What goes wrong with a client's database is said clearly, and nothing is made of half a result."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support.client import COLUMNS
from support.command import run_process
from support.erp import ROOT, wait_until
from support.servers import PASSWORDS, READER, braced, cutting, falling_silent, free_port

from engine.database import odbc, watchdog
from engine.database.drivers import PROFILES, profile_of
from engine.database.open import open_source, open_writer
from engine.errors import ConnectError, DriverError, QueryError, SourceError
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.client import Client
    from support.servers import MariaDb, Postgres

    from engine.database.connection import Batches
    from engine.database.driver_profile import DriverProfile


def drain(settings: SourceSettings, query: str) -> int:
    """Read everything; gives the number of rows."""
    with open_source(settings) as connection:
        return sum(batch.num_rows for batch in connection.read(query))


def test_a_wrong_password_is_a_refused_login(postgres: Postgres, mariadb: MariaDb) -> None:
    """The message names the user, never the password."""
    for dialect, connection in (
        ("postgres", postgres.connection("postgres")),
        ("mysql", mariadb.connection(mariadb.database)),
    ):
        wrong = connection.replace("only}}}", "wrong-one}")
        with pytest.raises(ConnectError, match="refuses the login") as raised:
            drain(SourceSettings(dialect=dialect, connection=wrong), "select 1")
        assert "wrong-one" not in raised.value.message
        assert ".env" in raised.value.hint


def test_a_session_statement_that_is_refused_is_said_by_its_number(
    changing: tuple[SourceSettings, Callable[[str], None]],
) -> None:
    """The server was reached: nobody should look for a firewall. What is in the statement stays there."""
    settings, _ = changing
    session = ("select 1", "select 'kept to itself' from nowhere")
    with pytest.raises(ConnectError, match="statement 2 of `session`") as raised:
        drain(replace(settings, session=session), "select 1")
    assert "nowhere" in raised.value.message
    assert "kept to itself" not in raised.value.message
    assert drain(replace(settings, session=session[:1]), "select qty from item") == 1


@pytest.mark.parametrize("opened", [open_source, open_writer])
@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_a_file_that_cannot_be_used_is_let_go_at_once(tmp_path: Path, dialect: str, opened: Any) -> None:
    """On Windows nobody else could write to it, or move it away."""
    path = tmp_path / "erp"
    with closing((sqlite3 if dialect == "sqlite" else duckdb).connect(str(path))) as connection:
        connection.execute("create table item (qty int)")
    settings = SourceSettings(dialect=dialect, database=path, session=("select * from nowhere",))
    with pytest.raises(ConnectError) as raised, opened(settings):
        pass
    held = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink() and each.readlink() == path]
    assert (held, "statement 1" in raised.value.message) == ([], True)


@pytest.mark.parametrize(
    ("dialect", "session", "query"),
    [
        ("sqlite", "pragma foreign_keys = on", "pragma foreign_keys"),
        ("duckdb", "set variable mine = 1", "select getvariable('mine')"),
    ],
)
def test_the_session_of_a_file_is_there_for_the_statements_of_orders(
    tmp_path: Path, dialect: str, session: str, query: str
) -> None:
    """Not only for the look at the file before it is written to."""
    path = tmp_path / "erp"
    with closing((sqlite3 if dialect == "sqlite" else duckdb).connect(str(path))) as connection:
        connection.execute("create table item (qty int)")
    with open_writer(SourceSettings(dialect=dialect, database=path, session=(session,))) as writer:
        assert [list(row.values()) for row in writer.execute(query, []).rows] == [[1]]


@pytest.mark.parametrize("opened", [open_source, open_writer])
def test_a_sqlite_file_is_found_by_any_name(tmp_path: Path, opened: Any) -> None:
    """Also by one that begins as shares of Windows do, or holds what a URI would take for something else."""
    path = tmp_path / "a b%20c?d#e.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table item (qty int)")
    with opened(SourceSettings(dialect="sqlite", database=Path(f"/{path}"))):
        pass
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


KILLED = """\
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size = 1")
connection.execute("begin immediate")
connection.execute("update item set note = 'half'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sqlite_file_whose_writer_was_killed_is_recovered_by_a_connection_that_may_write(tmp_path: Path) -> None:
    """Pages of the broken transaction are in the file: to read them would be wrong, to undo them takes a login."""
    path = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table item (note text)")
        connection.executemany("insert into item values (?)", [("whole" * 100,)] * 2_000)
        connection.commit()
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -signal.SIGKILL
    settings = SourceSettings(dialect="sqlite", database=path)
    query = "select count(*) as found from item where note = 'half'"
    with pytest.raises(ConnectError, match="readonly") as raised:
        drain(settings, query)
    assert "open the file once with the program that it belongs to" in raised.value.hint
    with open_writer(settings) as writer:
        assert writer.execute(query, []).rows == [{"found": 0}]
    assert drain(settings, "select * from item") == 2_000


def test_an_unknown_database_is_named(postgres: Postgres) -> None:
    """The database's own words are there."""
    with pytest.raises(ConnectError, match="nowhere"):
        drain(SourceSettings(dialect="postgres", connection=postgres.connection("nowhere")), "select 1")


def test_a_port_where_nobody_listens_is_unreachable(postgres: Postgres) -> None:
    """The hint says where to look."""
    connection = postgres.connection("postgres", port=free_port())
    before = set(threading.enumerate())
    with pytest.raises(ConnectError) as raised:
        drain(SourceSettings(dialect="postgres", connection=connection), "select 1")
    assert "server" in raised.value.hint.lower()
    assert set(threading.enumerate()) <= before


def test_an_unknown_driver_lists_those_that_are_there() -> None:
    """Somebody who was not there can choose from the list."""
    settings = SourceSettings(dialect="tsql", connection="Driver={ODBC Driver 18 for SQL Server};Server=x")
    with pytest.raises(DriverError) as raised:
        drain(settings, "select 1")
    assert "PostgreSQL Unicode" in raised.value.hint


def test_a_missing_driver_manager_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """On each kind of system."""
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    with pytest.raises(DriverError) as raised:
        drain(SourceSettings(dialect="tsql", connection="Driver=x"), "select 1")
    assert all(word in raised.value.hint for word in ("Debian", "RHEL", "macOS", "Windows"))


def test_a_missing_table_and_a_missing_column_are_named(postgres: Postgres, mariadb: MariaDb) -> None:
    """With the name that the database does not know."""
    for dialect, connection in (
        ("postgres", postgres.connection("postgres")),
        ("mysql", mariadb.connection(mariadb.database)),
    ):
        settings = SourceSettings(dialect=dialect, connection=connection)
        with pytest.raises(QueryError, match="nowhere"):
            drain(settings, "select 1 from nowhere")
        with pytest.raises(QueryError, match="nothing_like_it"):
            drain(settings, "select nothing_like_it")


def test_a_column_may_be_called_after_what_goes_wrong_with_connections(tmp_path: Path) -> None:
    """Its name in a message is no sign of that."""
    with closing(sqlite3.connect(tmp_path / "erp.sqlite")) as connection:
        connection.execute("create table item (code text)")
    settings = SourceSettings(dialect="sqlite", database=tmp_path / "erp.sqlite")
    for column in ("certificate", "extradtls", "tls", "ssl_error"):
        with pytest.raises(QueryError, match="names a column that its tables do not have"):
            drain(settings, f"select {column} from item")


def test_a_view_that_takes_too_long_is_stopped(postgres: Postgres, mariadb: MariaDb, tmp_path: Path) -> None:
    """query_timeout holds on every driver that is run here."""
    slow = {
        "postgres": ("select pg_sleep(60)", postgres.connection("postgres")),
        "mysql": ("select sleep(60) from (select 1 union select 2) as rows_", mariadb.connection(mariadb.database)),
    }
    for dialect, (query, connection) in slow.items():
        with pytest.raises(QueryError, match="took too long"):
            drain(SourceSettings(dialect=dialect, connection=connection, query_timeout=1), query)


def test_an_endless_view_of_a_file_is_stopped(tmp_path: Path) -> None:
    """A SQLite file has no server that could stop it."""
    import sqlite3

    path = tmp_path / "erp.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("create table t (a)")
    connection.close()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    with pytest.raises(QueryError, match="took too long"):
        drain(SourceSettings(dialect="sqlite", database=path, query_timeout=1), endless)


def test_what_was_asked_is_let_go_before_the_connection_closes(mariadb: MariaDb) -> None:
    """A thread that still held a cursor would have drivers write into memory that is no longer theirs."""
    connection = mariadb.connection(mariadb.database, login="admin")
    for _ in range(20):
        before = set(threading.enumerate())
        with open_writer(SourceSettings(dialect="mysql", connection=connection)) as writer:
            for number in range(5):
                writer.execute("select ?", [number])
        assert set(threading.enumerate()) <= before


def test_a_connection_cut_in_mid_result_is_never_a_short_result(postgres: Postgres, mariadb: MariaDb) -> None:
    """Half a result is an error, whatever arrived before."""
    queries = {
        "postgres": (postgres, "postgres", "select n, repeat('x', 500) from generate_series(1, 50000) as numbers(n)"),
        "mysql": (mariadb, mariadb.database, "select seq, repeat('x', 500) from seq_1_to_50000"),
    }
    for dialect, (server, database, query) in queries.items():
        with cutting(server.port, cut_after=2_000_000) as proxy:
            connection = server.connection(database, port=proxy.port)
            with pytest.raises(SourceError):
                drain(SourceSettings(dialect=dialect, connection=connection), query)


@pytest.mark.parametrize("after", [200_000, 0], ids=["in mid result", "from the first byte"])
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_that_falls_silent_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres, mariadb: MariaDb, kind: str, after: int
) -> None:
    """A VPN forgets a connection, and drivers wait for ever; others are read meanwhile.

    Where the network comes back, the session that was given up is closed, and holds nothing in the database.
    """
    monkeypatch.setattr(watchdog, "CANCEL_GRACE_SECONDS", 1)
    monkeypatch.setattr(odbc, "CANCEL_GRACE_SECONDS", 1)
    server, database, query = {
        "postgres": (postgres, "postgres", "select n, repeat('x', 500) from generate_series(1, 50000) as numbers(n)"),
        "mysql": (mariadb, mariadb.database, "select seq, repeat('x', 500) from seq_1_to_50000"),
    }[kind]
    with falling_silent(server.port, after=after) as proxy:
        settings = SourceSettings(
            dialect=kind,
            connection=server.connection(database, port=proxy.port),
            query_timeout=1,
            connect_timeout=1,
        )
        with pytest.raises(SourceError, match="stopped responding" if after else None) as raised:
            drain(settings, query)
        assert raised.value.hint
        direct = SourceSettings(dialect=kind, connection=server.connection(database))
        assert drain(direct, query) == 50_000
        proxy.speak()
        wait_until(lambda: server.sessions(READER) == 0)


ABANDONING = """\
import sys
from engine.database import watchdog
from engine.cli.app import main
watchdog.CANCEL_GRACE_SECONDS = 1
main()
"""


def test_a_run_whose_database_fell_silent_ends_and_the_next_project_is_run(client: Client, postgres: Postgres) -> None:
    """A run that hung would hold the state, and every one after it would find it held."""
    client.item("A")
    other = client.root.with_name("aaa")
    (other / "views").mkdir(parents=True)
    (other / "views" / "products.sql").write_bytes((client.root / "views" / "products.sql").read_bytes())
    database = postgres.fresh_database()
    columns = ", ".join(f"'I' || n as {name}" for name in COLUMNS)
    postgres.execute(database, f"create table item as select {columns} from generate_series(1, 20000) as t(n)")
    settings = (client.root / "project.toml").read_text("utf-8").replace('"duckdb"', '"postgres"')
    for words in (["run", "aaa"], ["run", "--all", "--jobs", "1"]):
        with falling_silent(postgres.port, after=300_000) as proxy:
            silent = "query_timeout = 1\nconnection = " + json.dumps(postgres.connection(database, port=proxy.port))
            (other / "project.toml").write_text(settings.replace('database = "erp.duckdb"', silent), "utf-8")
            ran = subprocess.run(
                [sys.executable, "-c", ABANDONING, *words],
                cwd=client.workspace,
                env={**os.environ, **client.environment, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                encoding="utf-8",
                check=False,
                timeout=60,
            )
        assert (ran.returncode, "stopped responding" in ran.stderr, "Traceback" in ran.stderr) == (1, True, False)
    assert list(client.held()) == ["A"]


def test_a_connection_that_breaks_leaves_published_untouched(client: Client, postgres: Postgres) -> None:
    """Exit code 1, nothing sent, and the next run goes on."""
    database = postgres.fresh_database()
    postgres.execute(
        database,
        "create table item as select 'I' || n as code, repeat('x', 500) as descr from generate_series(1, 20000) t(n)",
    )
    view = (
        "select code as source_product_code, code as source_variant_code, descr as title, 'Yes' as product_active,"
        ' code as "variants.sku" from item'
    )
    client.write(view=view)
    path = client.root / "project.toml"
    path.write_text(
        path.read_text().replace(
            'dialect = "duckdb"\ndatabase = "erp.duckdb"', 'dialect = "postgres"\nconnection = "${ERP}"'
        )
    )
    with cutting(postgres.port, cut_after=1_000_000) as proxy:
        client.environ["ERP"] = postgres.connection(database, port=proxy.port)
        with pytest.raises(SourceError) as raised:
            client.run()
    assert raised.value.exit_code == 1
    assert client.held() == {}
    client.environ["ERP"] = postgres.connection(database)
    assert client.plan().counts.inserts == 20_000


def test_the_way_out_cannot_write(postgres: Postgres, mariadb: MariaDb) -> None:
    """Even a login that may write reads only: the connection itself refuses."""
    database = postgres.fresh_database()
    postgres.execute(database, "create table t (a int)")
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database, login="admin"))
    with pytest.raises(QueryError):
        drain(settings, "insert into t values (1) returning a")
    assert postgres.row(database, "select count(*) from t") == (0,)
    database = mariadb.fresh_database()
    mariadb.execute(database, "create table t (a int)")
    settings = SourceSettings(dialect="mysql", connection=mariadb.connection(database, login="admin"))
    with pytest.raises(QueryError):
        drain(settings, "insert into t values (1) returning a")
    assert mariadb.row(database, "select count(*) from t") == (0,)


def test_a_login_that_may_write_is_told_from_one_that_may_not(postgres: Postgres, mariadb: MariaDb) -> None:
    """Although both connections refuse to write: a right that nobody needs is a risk all the same."""
    for server, dialect, database in (
        (postgres, "postgres", postgres.fresh_database()),
        (mariadb, "mysql", mariadb.fresh_database()),
    ):
        server.execute(database, "create table t (a int)")
        for login, may_write in (("reader", False), ("admin", True)):
            settings = SourceSettings(dialect=dialect, connection=server.connection(database, login=login))
            with open_source(settings) as connection:
                facts = connection.describe()
            assert (facts.read_only, facts.login_may_write) == (True, may_write)


def test_doctor_names_the_log_that_the_driver_begins_and_no_password_is_in_it(
    client: Client, postgres: Postgres, tmp_path: Path
) -> None:
    """Debian's driver begins one for each process, and a data source may ask it to log whatever is sent."""
    drivers = tmp_path / "odbcinst.ini"
    drivers.write_text("[PostgreSQL Unicode]\nDriver=psqlodbcw.so\nDebug=0\nCommLog=1\n", "utf-8")
    sources = tmp_path / "odbc.ini"
    server = f"Servername=127.0.0.1\nPort={postgres.port}\nDatabase={postgres.fresh_database()}"
    sources.write_text(f"[erp]\nDriver=PostgreSQL Unicode\n{server}\nCommLog=1\nDebug=1\n", "utf-8")
    source = "connection = " + json.dumps(f"DSN=erp;UID={READER};PWD={braced(PASSWORDS[READER])}")
    settings = (client.root / "project.toml").read_text("utf-8").replace('"duckdb"', '"postgres"')
    (client.root / "project.toml").write_text(settings.replace('database = "erp.duckdb"', source), "utf-8")
    variables = {**client.environment, "ODBCSYSINI": str(tmp_path), "ODBCINI": str(sources)}
    ran = run_process("doctor", "acme", folder=client.workspace, variables=variables)
    (log,) = {Path(name) for name in re.findall(r"/tmp/\w+\.log", ran.stdout)}
    written = log.read_text("utf-8")
    log.unlink()
    assert "`odbcinst -j` says where the file is" in ran.stdout
    assert PASSWORDS[READER] not in written
    assert "127.0.0.1" not in written


def test_a_file_that_is_not_there_or_not_a_database_is_said(tmp_path: Path) -> None:
    """With its path, and what else there is."""
    with pytest.raises(ConnectError, match="There is no file"):
        drain(SourceSettings(dialect="sqlite", database=tmp_path / "nowhere.sqlite"), "select 1")
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(ConnectError, match="is empty"):
        drain(SourceSettings(dialect="sqlite", database=tmp_path / "empty.db"), "select 1")
    (tmp_path / "text.db").write_text("sku;title\n")
    with pytest.raises(ConnectError, match="cannot be read") as raised:
        drain(SourceSettings(dialect="sqlite", database=tmp_path), "select 1")
    assert "Name the file itself" in raised.value.hint
    with pytest.raises(ConnectError, match="neither a DuckDB nor a SQLite file"):
        drain(SourceSettings(dialect="sqlite", database=tmp_path / "text.db"), "select 1")


def test_no_error_repeats_the_password(postgres: Postgres) -> None:
    """Whatever the driver says."""
    for connection in (
        postgres.connection("nowhere"),
        postgres.connection("postgres", port=free_port()),
        postgres.connection("postgres") + ";Driver={none}",
    ):
        with pytest.raises(SourceError) as raised:
            drain(SourceSettings(dialect="postgres", connection=connection), "select nope")
        assert PASSWORDS[READER] not in str(raised.value) + raised.value.hint


@pytest.fixture(params=["PostgreSQL", "MariaDB", "SQLite over ODBC", "SQLite"])
def changing(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SourceSettings, Callable[[str], None]]:
    """A database with a table ``item`` of one row, and how another program changes it."""
    if request.param in {"PostgreSQL", "MariaDB"}:
        server: Postgres | MariaDb = request.getfixturevalue(request.param.lower().replace("postgresql", "postgres"))
        database = server.fresh_database()
        dialect = "postgres" if request.param == "PostgreSQL" else "mysql"
        settings = SourceSettings(dialect=dialect, connection=server.connection(database))

        def change(statement: str) -> None:
            server.execute(database, statement)
    else:
        file = tmp_path / "client.sqlite"

        def change(statement: str) -> None:
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute("pragma journal_mode = wal")
                connection.execute(statement)

        settings = (
            SourceSettings(dialect="sqlite", database=file)
            if request.param == "SQLite"
            else SourceSettings(dialect="sqlite", connection=f"Driver=SQLite3;Database={file}")
        )
    change("create table item (qty int)")
    change("insert into item values (1)")
    return settings, change


def test_what_is_read_of_one_moment_does_not_see_what_others_change(
    changing: tuple[SourceSettings, Callable[[str], None]],
) -> None:
    """So two mappings that are compared over the live source differ by the mapping alone."""
    settings, change = changing
    query = "select qty from item"
    with open_source(settings) as connection:
        assert connection.begin_snapshot()
        assert texts(connection.read(query)) == ["1"]
        change("update item set qty = 2")
        assert texts(connection.read(query)) == ["1"]
    with open_source(settings) as connection:
        assert texts(connection.read(query)) == ["2"]


def texts(batches: Batches) -> list[str]:
    """The first column of a result."""
    return [str(value) for batch in batches for value in batch.column(0).to_pylist()]


def test_a_comment_may_say_anything(changing: tuple[SourceSettings, Callable[[str], None]]) -> None:
    """Drivers look for parameters, texts and a second statement in comments too, and stumble."""
    settings, _ = changing
    query = (
        "-- which warehouse? The client's own; see {fn} and [dbo]\n"
        "select qty, 'a; b -- ?' as said /* why? it's \"so\"; ünlike é */\nfrom item -- only one;\nwhere qty = 1"
    )
    with open_source(settings) as connection:
        batches = connection.read(query)
        assert texts(batches) == ["1"]
        said = [value for batch in connection.read(query) for value in batch.column(1).to_pylist()]
    assert said == ["a; b -- ?"]


def test_a_catalogue_is_read_by_sql_where_the_driver_gives_none(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQL Server's is, whose words PostgreSQL understands as well."""
    database = postgres.fresh_database()
    postgres.execute(database, "create table item (code text, price numeric)", "grant select on item to public")
    settings = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    query = next(each for each in PROFILES if each.name == "sqlserver").columns_query

    def profile(*found: Any) -> DriverProfile:
        return replace(profile_of(*found), columns_query=query, columns_pattern="nothing")

    monkeypatch.setattr(odbc, "profile_of", profile)
    with open_source(settings) as connection:
        columns = [(table, column) for _, table, column, _ in connection.list_columns() if table == "item"]
    assert columns == [("item", "code"), ("item", "price")]
