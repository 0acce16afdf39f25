"""The agent keeps every project's cadence, whatever one of them does to its worker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command import PROGRAM, environment, run_command

from engine.agent import lanes
from engine.agent.agent import Agent, AgentSettings, Projects, spread
from engine.agent.lanes import LaneLimits
from engine.config.schedule import Schedule

if TYPE_CHECKING:
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
        seconds={"hangs": 999.0},
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
    words = ("agent", "--every", "1s", "--workers", "1", "--port", "0")
    with subprocess.Popen(
        [*PROGRAM, *words],
        cwd=client.workspace,
        env=environment(client.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            address = re.findall(r"http://\S+(?=/ )", first)[0]
            _wait(lambda: sorted(client.held()) == ["A"])
            (worker,) = _children(process.pid)
            os.kill(worker, signal.SIGKILL)
            client.item("B")
            _wait(lambda: sorted(client.held()) == ["A", "B"])
            assert urllib.request.urlopen(f"{address}/ready").read() == b"ok\n"
            # The run that sent it ends a moment later; until then the last one is that which was killed.
            _wait(lambda: b's2s_failing{project="acme"} 0\n' in urllib.request.urlopen(f"{address}/metrics").read())
            left = _children(process.pid)
            process.terminate()
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Stopped" in out
    for each in left:
        with pytest.raises(ProcessLookupError):
            os.kill(each, 0)


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
