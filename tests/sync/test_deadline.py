"""A deadline is for the whole command: reading counts, and a run that came to nothing says what took the time."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.output import read_envelope

from engine.clock import Deadline
from engine.errors import CancelledError, DeadlineError
from engine.state.store import open_state
from engine.sync import history, pipeline
from engine.sync.context import RunOptions

if TYPE_CHECKING:
    from support.client import Client
    from support.servers import MariaDb, Postgres

MAX_SECONDS = 15
"""Every view here takes longer, most of them for ever."""

ITEM = """\
select
    n as source_product_code, n as source_variant_code, 'Item' as title, 'Yes' as product_active,
    '1' as csv_price_tiers, '1' as "variants.qty", n as "variants.sku", true as "variants.inventory_management"
"""


def read_slowly(client: Client, source: str, view: str) -> None:
    """Have the project read ``view`` of another ``source``."""
    client.write(view=view)
    path = client.root / "project.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('dialect = "duckdb"\ndatabase = "erp.duckdb"', source), "utf-8")


def stopped_while_reading(client: Client) -> str:
    """Run with a deadline of a second; what the error says."""
    began = time.monotonic()
    with pytest.raises(DeadlineError) as raised:
        client.run(deadline=Deadline.after(1))
    assert time.monotonic() - began < MAX_SECONDS
    assert raised.value.exit_code == 1
    assert raised.value.message.startswith("The deadline of 1 s came before anything was sent: ")
    assert "reading the view" in raised.value.message
    assert client.held() == {}
    with open_state(client.project.state) as state:
        assert [run["outcome"] for run in history.runs(state, limit=9)] == ["failed"]
    return raised.value.message


ENDLESS = "(with recursive t(i) as (select 1 union all select i + 1 from t) select max(i) as n from t) as e"
"""A view of SQLite that gives nothing."""


@pytest.mark.parametrize(
    ("dialect", "view"),
    [
        ("postgres", "(select pg_sleep(60) as n) as slow"),
        ("mysql", "(select sleep(60) as n) as slow"),
        ("sqlite", ENDLESS),
        ("duckdb", "range(1000000000000) as t(n) where n < 0"),
    ],
)
def test_a_view_that_gives_nothing_is_broken_off_when_the_run_is_asked_to_stop(
    client: Client, postgres: Postgres, mariadb: MariaDb, dialect: str, view: str
) -> None:
    """Long before its time is over, whatever database it is; nothing is sent."""
    with closing(sqlite3.connect(client.root / "erp.sqlite")) as erp:
        erp.execute("create table item (n)")
    servers = {"postgres": postgres.connection("postgres"), "mysql": mariadb.connection(mariadb.database)}
    file = {"sqlite": "erp.sqlite", "duckdb": "erp.duckdb"}.get(dialect)
    where = f'database = "{file}"' if file else f"connection = {json.dumps(servers[dialect])}"
    item = ITEM.replace('"', "`") if dialect == "mysql" else ITEM
    read_slowly(client, f'dialect = "{dialect}"\n{where}', f"{item} from {view}")
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError, match="Stopped as asked"):
        pipeline.run(client.project, "products", cancel=stop)
    assert time.monotonic() - began < MAX_SECONDS
    assert client.posted() == 0


@pytest.mark.parametrize("rows", [0, 5_000])
def test_reading_a_slow_database_ends_at_the_deadline(client: Client, postgres: Postgres, rows: int) -> None:
    """Whether it gives nothing for a minute, or thousands of rows and then nothing."""
    source = f'dialect = "postgres"\nbatch_rows = 1000\nconnection = {json.dumps(postgres.connection("postgres"))}'
    slow = f"{ITEM} from generate_series(1, 9000) as t(n) where n < {rows} or pg_sleep(60) is not null"
    read_slowly(client, source, slow)
    message = stopped_while_reading(client)
    assert ("rows had been read" in message) == bool(rows)


def test_reading_through_another_driver_ends_at_the_deadline(client: Client, mariadb: MariaDb) -> None:
    """MariaDB's cancels on a connection of its own."""
    source = f'dialect = "mysql"\nconnection = {json.dumps(mariadb.connection(mariadb.database))}'
    read_slowly(client, source, ITEM.replace('"', "`") + " from (select sleep(60) as n) as slow")
    stopped_while_reading(client)


def test_reading_an_endless_view_of_a_file_ends_at_the_deadline(client: Client) -> None:
    """No server is there that could stop it."""
    with closing(sqlite3.connect(client.root / "erp.sqlite")) as erp:
        erp.execute("create table item (n)")
    read_slowly(client, 'dialect = "sqlite"\ndatabase = "erp.sqlite"', f"{ITEM} from {ENDLESS}")
    stopped_while_reading(client)


def test_reading_a_view_that_takes_duckdb_for_ever_ends_at_the_deadline(client: Client) -> None:
    """As with the other kind of file."""
    client.sql("insert into item (code) select n from range(200000) as t(n)")
    crossed = "(select sum(hash(a.code, b.code) % 7) as n from item as a, item as b) as c"
    client.write(view=f"{ITEM} from {crossed}")
    stopped_while_reading(client)


def test_a_deadline_in_the_project_counts_while_reading_too(client: Client, postgres: Postgres) -> None:
    """The setting and the option are one thing."""
    source = f'dialect = "postgres"\nconnection = {json.dumps(postgres.connection("postgres"))}'
    read_slowly(client, source, f"{ITEM} from (select pg_sleep(60), 1 as n) as slow")
    path = client.root / "project.toml"
    path.write_text(path.read_text("utf-8").replace("pace = 0", "pace = 0\ndeadline = 1"), "utf-8")
    with pytest.raises(DeadlineError, match="The deadline of 1 s came before anything was sent"):
        client.run()


def test_a_run_that_only_waited_for_stock2shop_says_so(client: Client) -> None:
    """Here the view is fast, and the pace too slow for the deadline."""
    client.write(remote="pace = 0.1")
    client.plan()  # takes a turn of the user, so that the next one comes in ten seconds
    client.item("A")
    with pytest.raises(DeadlineError, match=r"came before anything was sent: .*asking Stock2Shop for the sync token"):
        client.run(deadline=Deadline.after(1))


def test_a_run_whose_deadline_came_before_its_first_batch_is_an_error(client: Client) -> None:
    """All was compared, and each run would come just as far: a scheduler must see it. Nothing is lost."""
    client.write(remote="pace = 0.1")  # the sync token at once, a batch after ten seconds
    client.item("A")
    with pytest.raises(DeadlineError) as raised:
        client.run(deadline=Deadline.after(6))
    assert "comparing the rows" in raised.value.message
    assert "1 changes left" in raised.value.message
    client.write()
    assert client.run().sent == 1


@pytest.mark.parametrize("ends", ["deadline", "stop"])
def test_a_batch_that_only_waited_for_its_turn_is_not_in_doubt(client: Client, ends: str) -> None:
    """Nothing of it went out, so nobody has to be told when its rows are gone, and no limit counts them."""
    client.write(remote="pace = 0.1")  # the sync token at once, a batch after ten seconds
    client.items(4)
    stop = threading.Event()
    threading.Timer(4, stop.set if ends == "stop" else lambda: None).start()
    options = RunOptions(deadline=Deadline.after(4) if ends == "deadline" else None)
    with pytest.raises((DeadlineError, CancelledError)):
        pipeline.run(client.project, "products", options=options, cancel=stop)
    client.write()
    client.sql("delete from item where code <> (select min(code) from item)")
    plan = client.plan()
    assert (plan.counts.published, plan.counts.inserts, plan.counts.removals, plan.notes) == (0, 1, 0, ())
    assert client.run().sent == 1


def test_a_run_with_nothing_to_send_may_come_late(client: Client) -> None:
    """What the deadline did not keep from being sent is no error."""
    client.item("A")
    client.run()
    client.write(remote="pace = 1")
    client.run()
    assert client.run(deadline=Deadline.after(1.5)).outcome == "done"


def other_project(client: Client, name: str) -> Client:
    """Another project of the workspace, with one item."""
    other = type(client)(workspace=client.workspace, sandbox=client.sandbox, name=name)
    other.write()
    other.sql("create table item as select * from (values (1)) as t(n)")
    (other.root / "views" / "products.sql").write_text(f"{ITEM} from item", "utf-8")
    return other


def test_the_deadline_of_a_command_is_for_all_its_projects(client: Client, postgres: Postgres) -> None:
    """Those that it did not begin are named, and the command fails; without the deadline they are run."""
    source = f'dialect = "postgres"\nconnection = {json.dumps(postgres.connection("postgres"))}'
    read_slowly(client, source, f"{ITEM} from (select pg_sleep(60), 1 as n) as slow")
    other_project(client, "late")
    other_project(client, "later")
    began = time.monotonic()
    words = ("run", "--all", "--jobs", "1", "--deadline", "1")
    ran = run_command(*words, "--output", "json", folder=client.workspace, variables=client.environment)
    assert time.monotonic() - began < MAX_SECONDS
    assert ran.returncode == 1
    acme, *others = read_envelope(ran.stdout)["errors"]
    assert "reading the view" in acme["message"]
    assert [(one["project"], one["message"]) for one in others] == [
        ("late", "Not begun: the deadline of 1 s came before."),
        ("later", "Not begun: the deadline of 1 s came before."),
    ]
    assert "late: Not begun" in ran.stderr
    assert run_command("run", "late", folder=client.workspace, variables=client.environment).returncode == 0


def test_the_deadline_of_a_project_is_for_all_its_entities(client: Client, postgres: Postgres) -> None:
    """Customers are not begun where products took all of it."""
    source = f'dialect = "postgres"\nconnection = {json.dumps(postgres.connection("postgres"))}'
    read_slowly(client, source, f"{ITEM} from (select pg_sleep(60), 1 as n) as slow")
    path = client.root / "project.toml"
    path.write_text(path.read_text("utf-8").replace("pace = 0", "pace = 0\ndeadline = 1") + "\n[customers]\n", "utf-8")
    (client.root / "views" / "customers.sql").write_text(
        "select 'C' as source_customer_code, 'Yes' as customer_active, 'A' as first_name, 'B' as last_name,"
        " 'a@example.com' as email"
    )
    ran = run_command("run", "acme", folder=client.workspace, variables=client.environment)
    assert ran.returncode == 1
    assert "acme customers: Not begun: the deadline of 1 s came before." in ran.stderr


def test_a_deadline_of_zero_is_none(client: Client) -> None:
    """So that a command can do without the project's."""
    client.write(remote="pace = 0.5\ndeadline = 1")
    client.item("A")
    words = ("run", "acme", "--deadline", "0")
    assert run_command(*words, folder=client.workspace, variables=client.environment).returncode == 0
    assert list(client.held()) == ["A"]
