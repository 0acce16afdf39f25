"""Workers share the projects of a workspace: each runs once at a time, whatever becomes of one worker."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import datetime, time, timedelta
from itertools import pairwise
from time import sleep
from typing import TYPE_CHECKING, Any

from support.console import Visit, write_users
from support.output import read_envelope
from support.servers import free_port

from engine.config.schedule import Schedule
from engine.fleet.due import LastRun, find_due

if TYPE_CHECKING:
    import subprocess

    from support.client import Client
    from support.fleet import Fleet

VIEW = """\
select
    code as source_product_code, code as source_variant_code, 'Item' as title, 'Yes' as product_active,
    price as csv_price_tiers, '1' as "variants.qty", code as "variants.sku", 'true' as "variants.inventory_management"
from item
"""

NAMES = ("north", "south", "east")


def add_project(client: Client, name: str) -> Client:
    """A project of the workspace with ten items that are called after it, in five batches."""
    other = type(client)(workspace=client.workspace, sandbox=client.sandbox, name=name)
    other.write(view=VIEW, remote="pace = 0\nbatch_variants = 2", settings="max_changes = 100")
    path = other.root / "project.toml"
    path.write_text(path.read_text("utf-8").replace("duckdb", "sqlite"), "utf-8")  # which is read while it is written
    with closing(sqlite3.connect(other.root / "erp.sqlite")) as erp, erp:
        erp.execute("create table item (code text, price text)")
        erp.executemany("insert into item values (?, '1')", [(f"{name}{number}",) for number in range(10)])
    return other


def runs(fleet: Fleet, *machines: str) -> list[tuple[str, str, str]]:
    """The project, the begin and the end of each run that has ended, as the machines' own run logs have them."""
    found: set[tuple[str, str, str]] = set()  # a machine has the others' runs as well
    for machine in machines:
        path = fleet.folder / machine / "runs.sqlite"
        if path.exists():
            with closing(sqlite3.connect(path)) as log, suppress(sqlite3.OperationalError):  # it is being made
                found |= {*log.execute("select project, started_at, finished_at from runs where outcome = 'done'")}
    return sorted(found)


def overlaps(runs: list[tuple[str, str, str]]) -> int:
    """How many runs began before another one of the same project had ended."""
    return sum(one[0] == other[0] and other[1] < one[2] for one, other in pairwise(runs))


def start_worker(fleet: Fleet, machine: str) -> subprocess.Popen[bytes]:
    """Start a worker of two slots."""
    words = ("fleet", "worker", "--every", "1s", "--slots", "2", "--port", str(free_port()))
    return fleet.start(machine, *words)


def test_workers_share_projects_and_one_goes_on_for_another_that_died(fleet: Fleet) -> None:
    """Killed in mid-send, PostgreSQL restarted, drained: no run overlaps, and Stock2Shop is as the source is."""
    client = fleet.client
    (client.root / "project.toml").unlink()
    projects = [add_project(client, name) for name in NAMES]
    first = start_worker(fleet, "a")
    client.sandbox.faults.latency = 0.1
    fleet.wait(lambda: client.posted() >= 4, first)
    first.kill()
    first.wait()
    second = start_worker(fleet, "b")
    fleet.wait(lambda: len(client.held()) == 30, second)
    assert client.posted() <= 30 + 2 * 2  # two slots, a batch each
    client.sandbox.faults.clear()

    fleet.postgres.stop()
    sleep(1)
    fleet.postgres.start()
    for project in projects:
        with closing(sqlite3.connect(project.root / "erp.sqlite", timeout=30)) as erp, erp:
            erp.execute("update item set price = '2'")
    fleet.wait(lambda: {each["price"] for each in client.held().values()} == {2}, second)

    third = start_worker(fleet, "c")
    before = len(runs(fleet, "c"))
    fleet.wait(lambda: len(runs(fleet, "c")) > before, second, third)
    status = read_envelope(fleet.run("c", "fleet", "status", "--output", "json"))["result"]
    assert {each["project"] for each in status["projects"]} == {*NAMES}
    workers = {each["worker"] for each in status["workers"] if each["seen_seconds_ago"] < 5}
    assert len(workers) == 2
    (drained,) = (name for name in workers if f"-{second.pid}-" in name)
    assert f"{drained} takes no more" in fleet.run("c", "fleet", "drain", drained)
    fleet.end(second, code=0)
    third.terminate()
    fleet.end(third, code=0)
    assert overlaps(runs(fleet, "a", "b", "c")) == 0


def test_a_worker_shows_what_other_machines_did_and_runs_what_is_asked(fleet: Fleet) -> None:
    """Whoever is let in to its console sees the whole fleet there, and has a project run on this machine."""
    client, path = fleet.client, fleet.client.workspace / "workspace.toml"
    settings = path.read_text("utf-8")
    write_users(client.workspace)
    path.write_text(path.read_text("utf-8") + settings, "utf-8")
    client.items(3)
    port = free_port()
    worker = fleet.start("b", "fleet", "worker", "--every", "23h", "--slots", "1", "--port", str(port))
    fleet.wait(lambda: "Ctrl-C stops it" in fleet.printed(worker), worker)
    visit = Visit(f"http://127.0.0.1:{port}")
    assert visit.log_in("olga").status_code == 303
    assert "It has not run yet" in visit.get("/").text
    fleet.run("a", "run", "acme")
    fleet.wait(lambda: "It has not run yet" not in visit.get("/").text, worker)
    client.sql("update item set price = '7' where code = 'I001'")
    assert visit.post("/clients/acme/run").status_code == 303
    fleet.wait(lambda: client.posted() == 4, worker)
    worker.terminate()
    fleet.end(worker, code=0)


def test_projects_are_due_at_their_own_moment_and_less_often_where_they_fail() -> None:
    """A turn that nobody looked at is made up for once; a paused project has none; a long one has its own lane."""
    schedules = dict.fromkeys(("one", "two", "three"), Schedule(every=timedelta(seconds=100)))
    day = datetime(2026, 3, 2)  # noqa: DTZ001 - UTC

    def turns(schedule: Schedule = schedules["one"], **last: Any) -> int:
        moments = [day + timedelta(seconds=seconds) for seconds in range(0, 10_005, 5)]
        return sum(
            "one" in find_due({"one": schedule}, {"one": LastRun(**last)}, after=after, upto=upto)
            for after, upto in pairwise(moments)
        )

    assert turns() == 100
    assert turns(failures=2) == 100
    assert turns(failures=3) == 50
    assert 11 <= turns(failures=50) <= 13
    assert turns(paused=True) == 0
    assert turns(Schedule(cron="0 * * * *")) == 2
    assert turns(Schedule(every=timedelta(seconds=100), quiet=((time(1), time(4)),))) == 36
    # One of a day whose turn falls into quiet hours has it when they end.
    daily = Schedule(every=timedelta(days=1), quiet=((time(10), time(12)),))
    minutes = [day + timedelta(minutes=minutes) for minutes in range(24 * 60)]
    assert [upto for after, upto in pairwise(minutes) if find_due({"one": daily}, {}, after=after, upto=upto)] == [
        day + timedelta(hours=12)
    ]
    late = day + timedelta(days=1)
    assert find_due(schedules, {}, after=day, upto=late) == dict.fromkeys(schedules, "runs")
    assert find_due(schedules, {"one": LastRun(seconds=60)}, after=day, upto=late)["one"] == "long"
