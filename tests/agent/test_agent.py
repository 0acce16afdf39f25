"""The agent keeps every project's cadence, whatever one of them does to its worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from support.agent import running_agent
from support.command import run_command

from engine.agent import agent as agent_module
from engine.agent import lanes, workers
from engine.agent.agent import RELOAD_SECONDS, Agent, AgentSettings, LastRuns, Projects, spread
from engine.agent.lanes import Lane, LaneLimits
from engine.agent.workers import Job, Workers
from engine.clock import now
from engine.config.schedule import Schedule

if TYPE_CHECKING:
    import subprocess

    from support.client import Client

    from engine.agent.workers import Ended


def test_a_worker_that_dies_or_hangs_is_replaced_and_the_others_keep_their_cadence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is named with what became of it; workers are renewed after so many runs; stopping ends all of them.

    What somebody asks for is done between two runs of the project, once.
    """
    monkeypatch.setattr(lanes, "KILL_AFTER_SECONDS", 0.3)
    ended: list[Ended] = []
    stop = threading.Event()

    def on_end(each: Ended, _seconds: float) -> None:
        ended.append(each)
        raise BrokenPipeError  # nobody reads what the agent prints

    schedules = dict.fromkeys(("dies", "hangs", "one", "two"), Schedule(every=timedelta(seconds=0.5)))
    projects = Projects(
        run="support.jobs:run",
        schedules=lambda: schedules,
        request=lambda name: {"name": name},
        on_event=lambda _event: None,
        on_end=on_end,
        last=LastRuns(seconds={"hangs": 999.0}),
    )
    limits = LaneLimits(max_runs=3, run_seconds=1.0)
    agent = Agent(projects, AgentSettings(workers=1, limits=limits, stop_seconds=5))
    thread = threading.Thread(target=agent.serve, args=(stop,))
    thread.start()
    until = time.monotonic() + 60
    while time.monotonic() < until and not _seen(ended):
        time.sleep(0.05)
    assert agent.is_alive
    asked: list[Ended] = []
    assert agent.ask("one", {"name": "asked"}, asked.append)
    while time.monotonic() < until and not asked:
        time.sleep(0.05)
    assert asked[0].answer is not None
    assert [agent.ask("hangs", {"name": "one"}) for _ in range(2)] == [True, False]  # it waits for the one that hangs
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert _seen(ended)
    assert {each.exit_code for each in ended if each.job.name == "dies"} == {9}
    assert next(each for each in ended if each.job.name == "hangs").answer is None
    shared = Counter(each.answer["process"] for each in ended if each.answer is not None)
    assert max(shared.values()) <= 3
    for process in shared:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_project_that_hangs_again_holds_up_none_whose_runs_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have lanes of their own."""
    monkeypatch.setattr(agent_module, "RELOAD_SECONDS", 0.1)
    often = Schedule(every=timedelta(seconds=0.5))
    schedules = {"hangs": often}
    ended: SimpleQueue[str] = SimpleQueue()

    def request(name: str) -> dict[str, str]:
        schedules["long"] = often  # not before the other one is in its lane
        return {"name": name}

    projects = Projects(
        run="support.jobs:run",
        schedules=lambda: dict(schedules),
        request=request,
        on_event=lambda _event: None,
        on_end=lambda each, _seconds: ended.put(each.job.name),
        last=LastRuns(seconds={"hangs": 999.0, "long": 999.0}, failing=frozenset({"hangs"})),
    )
    stop = threading.Event()
    agent = Agent(projects, AgentSettings(workers=1, stop_seconds=0.1))
    thread = threading.Thread(target=agent.serve, args=(stop,))
    thread.start()
    try:
        assert ended.get(timeout=60) == "long"
    finally:
        stop.set()
        thread.join(60)


def test_no_turn_is_lost_because_a_worker_was_killed(tmp_path: Path) -> None:
    """The run is begun once more, at once: its next turn is an hour away."""
    ended: SimpleQueue[Ended] = SimpleQueue()
    projects = Projects(
        run="support.jobs:run",
        schedules=lambda: {"dies_once": Schedule(every=timedelta(hours=1))},
        request=lambda name: {"name": name, "marker": str(tmp_path / "marker")},
        on_event=lambda _event: None,
        on_end=lambda each, _seconds: ended.put(each),
        last=LastRuns(began={"dies_once": now() - timedelta(hours=1, seconds=1)}),
    )
    stop = threading.Event()
    thread = threading.Thread(target=Agent(projects, AgentSettings(workers=1, stop_seconds=1)).serve, args=(stop,))
    thread.start()
    try:
        assert [ended.get(timeout=60).answer is None for _ in range(2)] == [True, False]
    finally:
        stop.set()
        thread.join(60)


def test_many_databases_that_hang_at_once_hold_up_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives way once others wait, and is tried again where it holds up those that hang alone."""
    monkeypatch.setattr(agent_module, "LONG_RUN_SECONDS", 0.2)
    monkeypatch.setattr(lanes, "WAITING_SECONDS", 0.05)
    began: list[str] = []
    ended: SimpleQueue[Ended] = SimpleQueue()
    schedules = {f"waits_{number}": Schedule(every=timedelta(seconds=0.5)) for number in range(4)}

    def request(name: str) -> dict[str, str]:
        began.append(name)
        if len(began) >= 2:
            schedules["one"] = Schedule(every=timedelta(seconds=0.5))
        return {"name": name}

    projects = Projects(
        run="support.jobs:run",
        schedules=lambda: dict(schedules),
        request=request,
        on_event=lambda _event: None,
        on_end=lambda each, _seconds: ended.put(each),
    )
    monkeypatch.setattr(agent_module, "RELOAD_SECONDS", 0.1)
    stop = threading.Event()
    agent = Agent(projects, AgentSettings(workers=1, stop_seconds=1))
    thread = threading.Thread(target=agent.serve, args=(stop,))
    thread.start()
    seen: list[Ended] = []
    try:
        while [each.job.name for each in seen].count("one") < 2:
            seen.append(ended.get(timeout=60))
    finally:
        stop.set()
        thread.join(60)
    assert {each.gave_way for each in seen if each.job.name != "one"} == {True}
    assert {each.gave_way for each in seen if each.job.name == "one"} == {False}


def test_a_worker_that_is_killed_while_it_answers_is_its_projects_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The half of an answer ends neither the run of all projects nor the agent; nor does a machine without memory."""
    with Workers("support.jobs:run", count=1) as running:
        ended = {
            each.job.name: each for each in running.run([Job(name, {"name": name}) for name in ("garbage", "one")])
        }
    assert (ended["garbage"].answer, ended["one"].exit_code) == (None, 0)
    assert ended["garbage"].exit_code
    queue: SimpleQueue[Job | None] = SimpleQueue()
    noted: list[tuple[str, bool]] = []

    def on_end(each: Ended, _seconds: float) -> None:
        noted.append((each.job.name, each.answer is not None))
        raise ValueError  # of whoever notes it

    for name in ("garbage", "one"):
        queue.put(Job(name, {"name": name}))
    queue.put(None)
    Lane(queue, run="support.jobs:run", limits=LaneLimits(), on_event=lambda _event: None, on_end=on_end).thread.join(
        60
    )
    assert noted == [("garbage", False), ("one", True)]

    def start_nothing(_run: str) -> subprocess.Popen[bytes]:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(workers, "start_worker", start_nothing)
    with Workers("support.jobs:run", count=2) as running:
        codes = {each.job.name: each.exit_code for each in running.run([Job("one", {}), Job("two", {})])}
    assert codes == {"one": 1, "two": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_a_worker_that_does_not_end_when_it_is_renewed_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next job has a new one."""
    monkeypatch.setattr(lanes, "END_SECONDS", -4.5)  # five seconds are added
    queue: SimpleQueue[Job | None] = SimpleQueue()
    processes: list[int] = []

    def on_end(each: Ended, _seconds: float) -> None:
        assert each.answer is not None
        processes.append(each.answer["process"])

    for name in ("stays", "one"):
        queue.put(Job(name, {"name": name}))
    queue.put(None)
    limits = LaneLimits(max_runs=1)
    Lane(queue, run="support.jobs:run", limits=limits, on_event=lambda _event: None, on_end=on_end).thread.join(30)
    assert len({*processes}) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def _seen(ended: list[Ended]) -> bool:
    """Whether everything was seen that is to happen."""
    counts = Counter(each.job.name for each in ended)
    return counts["one"] >= 4 and counts["two"] >= 4 and counts["dies"] >= 2 and counts["hangs"] >= 1


def test_projects_are_spread_over_their_cadence() -> None:
    """Two hundred of them do not begin at once: no twentieth of the cadence has more than twice its share."""
    shares = Counter(int(spread(f"client_{number}") * 20) for number in range(200))
    assert len(shares) == 20
    assert max(shares.values()) <= 20


@pytest.mark.skipif(sys.platform != "linux", reason="it kills processes by their numbers")
def test_the_agent_goes_on_when_its_worker_is_killed(client: Client) -> None:
    """`kill -9` of the worker: the next run sends the rest. Monitors are answered, and SIGTERM ends all processes."""
    # An item that the killed run sent without an answer counts as published, and one more would be twice as many.
    client.write(settings="max_changes = 10")
    client.item("A")
    with running_agent(client.workspace, client.environment, "--every", "1s") as agent:
        _wait(lambda: sorted(client.held()) == ["A"])
        (worker,) = _children(agent.process.pid)
        os.kill(worker, signal.SIGKILL)
        client.item("B")
        _wait(lambda: sorted(client.held()) == ["A", "B"])
        assert urllib.request.urlopen(f"{agent.address}/ready").read() == b"ok\n"
        second = run_command("agent", "--every", "1s", folder=client.workspace, variables=client.environment)
        assert (second.returncode, "Another agent runs the projects" in second.stderr) == (75, True)
        # The run that sent it ends a moment later; until then the last one is that which was killed.
        good = b's2s_failing{project="acme"} 0\n'
        _wait(lambda: good in urllib.request.urlopen(f"{agent.address}/metrics").read())
        left = _children(agent.process.pid)
        assert "Stopped" in agent.stop()
    for each in left:
        with pytest.raises(ProcessLookupError):
            os.kill(each, 0)


@pytest.mark.skipif(os.name == "nt", reason="a folder that is in use cannot be renamed on Windows")
def test_the_agent_starts_and_goes_on_whatever_happens_to_the_files_of_its_workspace(client: Client) -> None:
    """A damaged run log, a folder whose name is no text, and projects/ that is away for a moment."""
    client.write(settings="max_changes = 10")
    client.item("A")
    projects = client.workspace / "projects"
    odd = projects / os.fsdecode(b"M\xfcller")
    odd.mkdir()
    (odd / "project.toml").write_text("", "utf-8")
    (client.workspace / ".state").mkdir(mode=0o700, exist_ok=True)
    (client.workspace / ".state" / "runs.sqlite").write_bytes(b"this is no database" * 100)
    variables = {**client.environment, "S2S_WORKSPACE": ""}
    with running_agent(client.workspace, variables, "--every", "1s") as agent:
        _wait(lambda: sorted(client.held()) == ["A"])
        projects.rename(client.workspace / "away")
        time.sleep(RELOAD_SECONDS + 0.5)
        (client.workspace / "away").rename(projects)
        client.item("B")
        _wait(lambda: sorted(client.held()) == ["A", "B"])
        assert b's2s_failing{project="acme"}' in urllib.request.urlopen(f"{agent.address}/metrics").read()
        agent.stop()
        assert "It is not known when projects ran last." in agent.errors


def test_a_port_that_is_taken_is_one_line_of_the_log(client: Client) -> None:
    """Which is JSON, as every other one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("--log-format", "json", "agent", "--every", "1h", "--port", str(taken.getsockname()[1]))
        ran = run_command(*words, folder=client.workspace, variables=client.environment)
    assert (ran.returncode, json.loads(ran.stderr)["kind"]) == (2, "usage")


def test_an_agent_that_would_run_nothing_says_so(client: Client) -> None:
    """Without a cadence there is nothing to do."""
    ran = run_command("agent", folder=client.workspace, variables={})
    assert (ran.returncode, "No project has a cadence or takes orders" in ran.stderr) == (2, True)


def _wait(done: object) -> None:
    assert callable(done)
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found
