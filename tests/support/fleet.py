"""A fleet for the tests: machines that share a workspace and a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from engine.fleet import database, lease
from support.command import environment, run_command
from support.fleet_machine import LEASE_SECONDS
from support.servers import ADMIN, PASSWORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.client import Client
    from support.servers import Postgres

TESTS = Path(__file__).parents[1]


@dataclass
class Fleet:
    """Machines that share a workspace; each has a folder of its own for states."""

    client: Client
    postgres: Postgres
    folder: Path
    database: str
    started: dict[subprocess.Popen[bytes], Path] = field(default_factory=dict)

    def variables(self, machine: str) -> dict[str, str]:
        """What a command on a machine sees."""
        return {**self.client.environment, "S2S_STATE": str(self.folder / machine)}

    def run(self, machine: str, *words: str, code: int = 0) -> str:
        """Run a command on a machine to its end; gives what it printed."""
        ran = run_command(*words, folder=self.client.workspace, variables=self.variables(machine))
        assert ran.returncode == code, (ran.stdout, ran.stderr)
        return ran.stdout + ran.stderr

    def sql(self, statement: str) -> None:
        """Run a statement in the fleet's PostgreSQL."""
        self.postgres.execute(self.database, statement)

    def start(
        self, machine: str, *words: str, freeze: str = "never", at: int = 0, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on a machine, in a process of its own that freezes at a point; see ``fleet_machine``."""
        log = self.folder / f"{machine}-{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "support.fleet_machine", freeze, str(at), *words],
                cwd=self.client.workspace,
                env=environment({**self.variables(machine), "PYTHONPATH": str(TESTS), **(env or {})}),
                stdout=file,
                stderr=file,
            )
        self.started[process] = log
        return process

    def printed(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has printed."""
        return self.started[process].read_text("utf-8")

    def end(self, process: subprocess.Popen[bytes], *, code: int) -> str:
        """Wait until a process has ended with a code; gives what it printed."""
        assert process.wait(60) == code, self.printed(process)
        return self.printed(process)

    def wait(self, until: Callable[[], object], *running: subprocess.Popen[bytes], seconds: float = 60) -> None:
        """Wait until something is so, while processes run."""
        end = time.monotonic() + seconds
        while not until():
            for process in running:
                assert process.poll() is None, self.printed(process)
            assert time.monotonic() < end, [*map(self.printed, running)]
            time.sleep(0.02)

    def wait_until_frozen(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process has stopped itself, and another machine may have its project."""
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), self.printed(process)
        time.sleep(LEASE_SECONDS + 0.2)


@pytest.fixture
def fleet(client: Client, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A fleet whose leases are short, with its tables made."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(database, "RETRY_SECONDS", 1.0)
    (client.workspace / "workspace.toml").write_text('[fleet]\ndatabase = "${S2S_FLEET}"\n', "utf-8")
    secret = quote(PASSWORDS[ADMIN])
    name = postgres.fresh_database()
    client.environ["S2S_FLEET"] = f"postgresql://{ADMIN}:{secret}@127.0.0.1:{postgres.port}/{name}"
    made = Fleet(client, postgres, tmp_path, name)
    assert "version 1" in made.run("a", "fleet", "init")
    yield made
    for process in made.started:
        process.kill()
        process.wait()
