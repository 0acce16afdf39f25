"""Several projects of one workspace that run at the same time."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support.command import PROGRAM, environment, run_process
from support.output import read_result

from engine.cli.run import run_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.client import Client

    from engine.sandbox.server import Sandbox

VIEW = """\
select
    code as source_product_code, code as source_variant_code, 'Item' as title, 'Yes' as product_active,
    price as csv_price_tiers, '1' as "variants.qty", code as "variants.sku", true as "variants.inventory_management"
from item
"""


def add_project(client: Client, name: str, *, remote: str = "pace = 0") -> Client:
    """Another project of the workspace, of the same user, with one item that is called like the project."""
    other = type(client)(workspace=client.workspace, sandbox=client.sandbox, name=name)
    other.write(view=VIEW, remote=remote)
    with duckdb.connect(str(other.root / "erp.duckdb")) as connection:
        connection.execute("create table item as select $1 as code, '1' as price", [name.upper()])
    return other


def asked(sandbox: Sandbox) -> list[tuple[str, int]]:
    """The requests so far: the end of the path, and the status of the answer."""
    return sorted((request.path.rpartition("/")[2], request.status) for request in sandbox.requests)


def test_projects_that_share_a_user_run_at_the_same_time(client: Client) -> None:
    """Four processes that begin together: one logs in, no token is refused, none exceeds the pace."""
    names = ("north", "south", "east", "west")
    for name in names:
        add_project(client, name, remote="pace = 5")

    def run(name: str) -> str:
        ran = run_process("run", name, folder=client.workspace, variables=client.environment)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    began = time.time()
    with ThreadPoolExecutor(len(names)) as pool:
        printed = "".join(pool.map(run, names))
    assert asked(client.sandbox) == [("authenticate", 200), *[("queue", 200)] * 4, *[("sources", 200)] * 4]
    assert sorted(client.held()) == sorted(name.upper() for name in names)
    (file,) = (client.workspace / ".state").glob(f"stock2shop-{'?' * 16}.sqlite")
    with closing(sqlite3.connect(file)) as shared:
        ((next_turn,),) = shared.execute("select next_turn from stock2shop_user")
    assert next_turn - began >= 8 / 5  # eight turns, one after the other
    (token,) = client.sandbox.endpoints.tokens
    assert token not in printed


ENDLESS = VIEW.replace("from item", "from item, range(1000000000000) as t(n) where n < 0")
"""A view that has read nothing after an hour."""


@pytest.fixture
def start(client: Client) -> Iterator[Any]:
    """Start a command, and kill what is left of it in the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # Who runs the tests in the background ignores Ctrl-C, and what they start would, too.
            ["env", "--default-signal=INT", *PROGRAM, *words],
            cwd=client.workspace,
            env=environment(client.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        for pid in [*workers_of(process), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The numbers of the processes that a process started."""
    found: list[int] = []
    for task in Path(f"/proc/{process.pid}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def read_until(process: subprocess.Popen[str], words: int, stream: str = "stdout") -> list[str]:
    """So many lines of what a process prints."""
    lines = getattr(process, stream)
    return [lines.readline() for _ in range(words)]


def test_a_slow_project_holds_up_no_other_and_one_whose_worker_dies_is_named(client: Client, start: Any) -> None:
    """Each project's lines stand together, when it ends; the gravest exit code counts."""
    add_project(client, "aaa").write(view=ENDLESS)
    for name in ("beta", "gamma"):
        add_project(client, name)
    (client.root / "project.toml").unlink()
    process = start("run", "--all", "--jobs", "2")
    printed = read_until(process, 4)
    assert [line.split()[0] for line in printed] == ["beta", "source", "gamma", "source"]
    for pid in workers_of(process):
        os.kill(pid, signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert (output, process.returncode) == ("", 1)
    assert errors.startswith("aaa: The process that ran it ended before it was done (killed by SIGKILL).")
    assert sorted(client.held()) == ["BETA", "GAMMA"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_projects_and_no_worker_is_left(client: Client, start: Any, number: int) -> None:
    """What was not begun is counted, the result stays one JSON document, and the log one a line."""
    for name in ("aaa", "beta", "gamma"):
        add_project(client, name).write(view=ENDLESS)
    (client.root / "project.toml").unlink()
    process = start("--log-format", "json", "--debug", "run", "--all", "--jobs", "2", "--output", "json")
    read_until(process, 2, "stderr")  # both are reading
    workers = workers_of(process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    ended = read_result(output, errors=2)  # in the order of ending, and both end at once
    assert sorted((one["project"], one["outcome"]) for one in ended) == [("aaa", "failed"), ("beta", "failed")]
    events = [json.loads(line) for line in errors.splitlines()]
    assert [event["event"] for event in events] == ["stopping", "error", "error", "stopped"]
    assert events[-1]["not_begun"] == 1
    assert len(workers) == 2
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_disk_without_room_for_what_one_project_printed_stops_no_other(client: Client) -> None:
    """Each runs, what is lost is named, and the exit code is that of a failure."""
    for name in ("one", "two"):
        add_project(client, name)
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*PROGRAM, "run", "one", "two", "--jobs", "2"],
            cwd=client.workspace,
            env=environment(client.environment),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    lines = {line for line in ran.stderr.splitlines() if "is lost" in line}
    assert ran.returncode == 1, ran.stderr
    assert lines == {f"What {name} printed is lost: No space left on device." for name in ("one", "two")}
    assert sorted(client.held()) == ["ONE", "TWO"]


def test_a_project_knows_nothing_of_the_one_that_ran_before_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same worker: neither its variables nor what is hidden for its sake."""
    for name, value in client.environment.items():
        monkeypatch.setenv(name, value)
    first, second = add_project(client, "first"), add_project(client, "second")
    (first.root / ".env").write_text("SHIBBOLETH=hunter2hunter2", "utf-8")
    toml = (first.root / "project.toml").read_text("utf-8")
    (first.root / "project.toml").write_text(f'{toml}\n[vars]\npassword = "${{SHIBBOLETH}}"\n', "utf-8")
    second.write(view=VIEW.replace("'Item'", "hunter2hunter2"))

    def run(name: str) -> dict[str, Any]:
        job = {"project": name, "workspace": str(client.workspace), "debug": False, "log_format": "text"}
        return run_job({**job, "task": None, "deadline": None, "request": {"several": True}}, threading.Event(), print)

    assert run("first")["code"] == 0
    answer = run("second")
    assert "hunter2hunter2" in answer["lines"][0][1]
    toml = (second.root / "project.toml").read_text("utf-8")
    (second.root / "project.toml").write_text(f'{toml}\n[vars]\npassword = "${{SHIBBOLETH}}"\n', "utf-8")
    answer = run("second")
    assert (answer["code"], "SHIBBOLETH is not set" in answer["lines"][0][1]) == (2, True)
