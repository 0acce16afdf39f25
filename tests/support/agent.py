"""A real `s2s agent` in a process of its own."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from support.command import PROGRAM, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STOP_SECONDS = 60


@dataclass(kw_only=True)
class RunningAgent:
    """An agent that listens at ``address``, which has no slash at its end."""

    process: subprocess.Popen[str]
    address: str
    error_file: IO[str]

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        self.error_file.seek(0)
        return self.error_file.read()

    def stop(self) -> str:
        """Ask it to stop, which it does with exit code 0; gives what it printed since it began to listen."""
        self.process.terminate()
        printed, _ = self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, self.errors
        return printed


@contextmanager
def running_agent(workspace: Path, variables: Mapping[str, str], *words: str) -> Iterator[RunningAgent]:
    """An agent of a workspace, with one worker and a port that the system chooses; ``words`` are its other options."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [*PROGRAM, "agent", "--workers", "1", "--port", "0", *words],
            cwd=workspace,
            env=environment(variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        ) as process,
    ):
        try:
            assert process.stdout is not None
            agent = RunningAgent(process=process, address="", error_file=errors)
            found = re.search(r"https?://\S+(?=/ )", process.stdout.readline())
            assert found, agent.errors
            agent.address = found[0]
            yield agent
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
