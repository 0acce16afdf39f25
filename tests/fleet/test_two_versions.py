"""Two versions of the engine share a workspace, as during a deploy: nothing is sent twice, and nothing stops."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.output import read_envelope
from support.servers import free_port

from engine.fleet import database
from engine.fleet.versions import Versions, Worker, choose_queue, own_queue
from engine.state import store

workers: Any = import_module("fleet.test_worker")

if TYPE_CHECKING:
    import subprocess

    from support.fleet import Fleet

ROOT = Path(__file__).parents[2]

NAMES = ("north", "south", "east")


@pytest.fixture(scope="session")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What has a process run the next version: a copy of this one whose formats are all one higher.

    Its states have a table more, its fleet's tables a column, and its jobs an argument.
    """
    folder = tmp_path_factory.mktemp("next-version")
    for name in ("engine", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def change(name: str, old: str, new: str) -> None:
        path = folder / "engine" / name
        text = path.read_text("utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), "utf-8")

    def add(name: str, text: str) -> None:
        with (folder / "engine" / name).open("a", encoding="utf-8") as file:
            file.write(text)

    state, tables = store.VERSION + 1, database.VERSION + 1
    change("state/store.py", f"\nVERSION = {store.VERSION}\n", f"\nVERSION = {state}\n")
    add("state/sql/migrations.sql", f"\n-- version {state}\ncreate table of_the_next_version (name varchar);\n")
    change("fleet/database.py", f"\nVERSION = {database.VERSION}\n", f"\nVERSION = {tables}\n")
    add("fleet/sql/migrations.sql", f"\n-- version {tables}\nalter table lease add column of_the_next text;\n")
    change("fleet/worker.py", "defer_async(project=project)", 'defer_async(project=project, of_the_next="argument")')
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests")])}


class Deploy:
    """Workers of both versions, and a source that changes while they run."""

    def __init__(self, fleet: Fleet, next_version: dict[str, str]) -> None:
        self.fleet = fleet
        self.next_version = next_version
        self.client = fleet.client
        (self.client.root / "project.toml").unlink()
        self.projects = [workers.add_project(self.client, name) for name in NAMES]
        self.prices = count(2)
        self.changes = 30  # the items that there are
        self.client.environ["LEASE_SECONDS"] = "30"  # so that nothing is sent twice because this machine is slow

    def start(self, machine: str, *, is_next: bool) -> subprocess.Popen[bytes]:
        """Start a worker of one of the versions."""
        words = ("fleet", "worker", "--every", "1s", "--slots", "2", "--port", str(free_port()))
        return self.fleet.start(machine, *words, env=self.next_version if is_next else {})

    def change(self) -> None:
        """Give an item of each project a price that none had before."""
        for project in self.projects:
            price = next(self.prices)
            with closing(sqlite3.connect(project.root / "erp.sqlite", timeout=30)) as erp, erp:
                erp.execute("update item set price = ? where code like ?", [str(price), f"%{price % 10}"])
            self.changes += 1

    def is_settled(self) -> bool:
        """Whether Stock2Shop holds what the sources say."""
        wanted: dict[str, float] = {}
        for project in self.projects:
            with closing(sqlite3.connect(project.root / "erp.sqlite", timeout=30)) as erp:
                wanted |= {code: float(price) for code, price in erp.execute("select code, price from item")}
        return {code: float(each["price"]) for code, each in self.client.held().items()} == wanted

    def settle(self, *running: subprocess.Popen[bytes]) -> None:
        """Wait until Stock2Shop holds what the sources say, with each change sent once."""
        self.fleet.wait(self.is_settled, *running, seconds=120)
        assert self.client.posted() == self.changes

    def needs(self, words: str) -> int:
        """How many projects' states say that they need something."""
        sql = f"select count(*) from s2s_fleet.lease where written_versions like '%{words}%'"
        return int(self.fleet.postgres.row(self.fleet.database, sql)[0])

    def status(self) -> dict[str, Any]:
        """What ``fleet status`` says, as the version of before has it."""
        found: dict[str, Any] = read_envelope(self.fleet.run("x", "fleet", "status", "--output", "json"))["result"]
        return found

    def drain(self, process: subprocess.Popen[bytes]) -> None:
        """Drain a worker, which then ends by itself."""
        (name,) = (each["worker"] for each in self.status()["workers"] if f"-{process.pid}-" in each["worker"])
        self.fleet.run("x", "fleet", "drain", name)
        self.fleet.end(process, code=0)


def test_workers_of_two_versions_share_the_projects_until_the_old_ones_are_drained(
    fleet: Fleet, next_version: dict[str, str]
) -> None:
    """Each change is sent once, no run overlaps another, no project counts as broken; status says who leaves what."""
    deploy = Deploy(fleet, next_version)
    a, b = deploy.start("a", is_next=False), deploy.start("b", is_next=False)
    deploy.settle(a, b)
    fleet.end(fleet.start("c", "fleet", "init", env=next_version), code=0)
    deploy.change()
    deploy.settle(a, b)
    new = f"state={store.VERSION + 1}"
    c = deploy.start("c", is_next=True)
    while deploy.needs(new) < len(NAMES):
        deploy.change()
        deploy.settle(a, b, c)
    for _ in range(3):
        deploy.change()
        deploy.settle(a, b, c)
    said = fleet.run("x", "fleet", "status")
    assert said.count(f"leaves 3 projects to newer workers: it does not read {new}") == 2
    assert {each["readable_by"] for each in deploy.status()["projects"]} == {"1 of 3 workers"}

    deploy.drain(a)
    d = deploy.start("d", is_next=True)
    deploy.change()
    deploy.settle(b, c, d)
    deploy.drain(b)
    deploy.change()
    deploy.settle(c, d)
    fleet.wait(lambda: {each["readable_by"] for each in deploy.status()["projects"]} == {"all workers"}, c, d)
    assert {each["failures"] for each in deploy.status()["projects"]} == {0}
    c.terminate()
    fleet.end(c, code=0)
    deploy.change()
    deploy.settle(d)
    d.terminate()
    fleet.end(d, code=0)
    assert workers.overlaps(workers.runs(fleet, *"abcd")) == 0


def test_projects_wait_for_a_newer_worker_where_the_only_one_died(fleet: Fleet, next_version: dict[str, str]) -> None:
    """The old ones stay up and begin nothing from nothing; status says so; the next new one goes on."""
    deploy = Deploy(fleet, next_version)
    fleet.end(fleet.start("c", "fleet", "init", env=next_version), code=0)
    c = deploy.start("c", is_next=True)
    deploy.settle(c)
    a = deploy.start("a", is_next=False)
    fleet.wait(lambda: "leaves 3 projects to newer workers" in fleet.run("x", "fleet", "status"), a, c)
    c.kill()
    c.wait()
    deploy.change()
    fleet.wait(lambda: fleet.run("x", "fleet", "status").count("No worker reads the state of") == len(NAMES), a)
    # What was queued for the dead one is no longer: nothing would take it.
    fleet.wait(lambda: not any(each["waiting"] for each in deploy.status()["queue"].values()), a)
    assert deploy.client.posted() == 30
    assert {each["failures"] for each in deploy.status()["projects"]} == {0}
    fleet.sql("update s2s_fleet.lease set expires_at = '-infinity', vanished = false, vanished_at = null")
    assert f"this one does not read state={store.VERSION + 1}" in fleet.run("x", "run", "north", code=1)
    d = deploy.start("d", is_next=True)
    deploy.settle(a, d)
    for process in (a, d):
        process.terminate()
        fleet.end(process, code=0)


def test_a_project_is_queued_for_those_who_read_its_state() -> None:
    """For all where all do; otherwise for the version with the most slots that does; for nobody where none does."""

    def worker(slots: int, known: str) -> Worker:
        return Worker(name="w", slots=slots, known=Versions.parse(known))

    old, new, newest = worker(8, "state=4 duckdb=1.5"), worker(2, "state=5 duckdb=2.0"), worker(1, "state=6 duckdb=2.0")
    four, five, six = (Versions.parse(f"state={number}") for number in (4, 5, 6))
    assert choose_queue("runs", four, [old, new, newest]) == "runs"
    assert choose_queue("long", five, [old, new, newest]) == own_queue("long", new.known)
    assert choose_queue("runs", five, [old, new, newest, newest, newest]) == own_queue("runs", newest.known)
    assert choose_queue("runs", six, [old, new]) is None
    assert choose_queue("runs", Versions.parse("state=4 unheard-of=1"), [old, new]) is None
    assert choose_queue("runs", Versions.parse("duckdb=2.0"), [new, newest]) == "runs"


def test_what_an_older_job_queue_cannot_go_on_with_is_left_until_no_such_worker_runs(fleet: Fleet) -> None:
    """And `fleet init` says that it is to be called once more."""
    fleet.sql("delete from s2s_fleet.queue_migration where name like '03.04.00_50_post%'")
    columns = "name, host, process, slots, versions"
    fleet.sql(f"insert into s2s_fleet.worker ({columns}) values ('old-1-ab', 'old', 1, 2, 'queue=3.3')")
    assert "Left for when no older worker runs any more, the job queue: 03.04.00_50" in fleet.run("a", "fleet", "init")
    fleet.sql("update s2s_fleet.worker set versions = 'queue=3.4'")
    assert "Made the job queue: 03.04.00_50" in fleet.run("a", "fleet", "init")
    assert "up to date" in fleet.run("a", "fleet", "init")
