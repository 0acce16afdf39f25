"""Where the commands of a history run: on one machine, or on the machines of a fleet, by lot.

A place gives commands a state, and says what becomes of it: its file is lost, a machine dies or is frozen, the network
to PostgreSQL fails. Of the engine's doings it knows one table, ``lease``, in which it lets time pass.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from support.servers import ADMIN, PASSWORDS, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from support.servers import Postgres

    from model.commands import Commands, Result

PROJECT = "acme"

Network = tuple[str, float]
"""What befalls the way to PostgreSQL, and how many seconds after a command has begun."""


class Place(Protocol):
    """Where commands run."""

    @property
    def name(self) -> str:
        """Where the last one ran."""

    def run(
        self,
        argv: Sequence[str],
        *,
        started: Callable[[int], object] = lambda _: None,
        kill_after: float | None = None,
        network: Network | None = None,
        fresh: bool = False,
        warm: bool = False,
    ) -> Result:
        """Run a command to its end, as :meth:`model.commands.Commands.run` does."""

    def lose_state(self) -> None:
        """What was known of the project is lost, wherever it was."""

    def close(self) -> None:
        """End what is left."""


class OneMachine:
    """One machine, with its state in a file."""

    name = ""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self._folder, self._commands = folder, commands

    def run(
        self,
        argv: Sequence[str],
        *,
        started: Callable[[int], object] = lambda _: None,
        kill_after: float | None = None,
        network: Network | None = None,
        fresh: bool = False,
        warm: bool = False,
    ) -> Result:
        """Run a command to its end; there is no network that matters."""
        assert network is None
        return self._commands.run(
            ["--workspace", str(self._folder), *argv],
            {"S2S_STATE": str(self._folder / "state")},
            started=started,
            kill_after=kill_after,
            fresh=fresh,
            warm=warm,
        )

    def lose_state(self) -> None:
        """The file is lost."""
        shutil.rmtree(self._folder / "state", ignore_errors=True)

    def close(self) -> None:
        """There is nothing left."""


class FleetServer:
    """A PostgreSQL with the tables of a fleet, for one history after the other."""

    def __init__(self, server: Postgres, folder: Path, commands: Commands) -> None:
        self._server = server
        self._database = server.fresh_database()
        self.port = server.port
        (folder / "projects").mkdir(parents=True, exist_ok=True)
        write_settings(folder)
        environ = {"S2S_FLEET": self.address(self.port), "S2S_STATE": str(folder / "state")}
        made = commands.run(["--workspace", str(folder), "fleet", "init"], environ)
        assert made.code == 0, made

    def address(self, port: int) -> str:
        """The address of the database, behind the proxy at a port."""
        return f"postgresql://{ADMIN}:{quote(PASSWORDS[ADMIN])}@127.0.0.1:{port}/{self._database}"


def write_settings(folder: Path) -> None:
    """Have a workspace be a fleet's."""
    (folder / "workspace.toml").write_text('[fleet]\ndatabase = "${S2S_FLEET}"\n', "utf-8")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: where its commands run, its folder for states, and its way to PostgreSQL."""

    name: str
    commands: Commands
    folder: Path
    network: Proxy


class Fleet:
    """Several machines, of which each command is given to one by lot.

    ``vanished`` is whether the last holder never gave its lease back: it was killed or frozen, or lost PostgreSQL.
    ``home`` is the machine that has the project for itself, while the workspace is no fleet's.
    """

    def __init__(self, folder: Path, server: FleetServer, commands: Sequence[Commands], *, seed: int) -> None:
        import psycopg

        self._folder, self._server = folder, server
        self._dice = random.Random(f"fleet {seed}")
        self._resources = ExitStack()
        address, options = server.address(server.port), "-c search_path=s2s_fleet"
        self._sql: Any = self._resources.enter_context(
            closing(psycopg.connect(address, autocommit=True, options=options))
        )
        self._machines = [
            Machine(
                name,
                each,
                folder / f"machine-{name}",
                self._resources.enter_context(closing(Proxy(server.port, after=sys.maxsize, cuts=False))),
            )
            for name, each in zip("ABCDEFGH", commands, strict=False)
        ]
        self._begin_anew()
        write_settings(folder)
        self._at_work = self._machines[0]
        self.home: Machine | None = None
        self.vanished = False
        self.vanished_at = 0.0
        self.frozen: list[tuple[Machine, Result, int]] = []
        """Commands that may go on at any time, with the epoch of the lease that each believes to have."""

    @property
    def name(self) -> str:
        """The machine that the last command ran on."""
        return self._at_work.name

    def run(
        self,
        argv: Sequence[str],
        *,
        started: Callable[[int], object] = lambda _: None,
        kill_after: float | None = None,
        network: Network | None = None,
        fresh: bool = False,
        warm: bool = False,
    ) -> Result:
        """Run a command to its end on any machine, once the lease of a holder that vanished has ended."""
        self.end_lease()
        machine = self._at_work = self.home or self._dice.choice(self._machines)
        done = threading.Event()

        def fail(kind: str, seconds: float) -> None:
            if not done.wait(seconds):
                self.fail(kind)

        failing = threading.Thread(target=fail, args=network) if network else None
        if failing is not None:
            failing.start()
        result = machine.commands.run(
            ["--workspace", str(self._folder), *argv],
            self._environ(machine),
            started=started,
            kill_after=kill_after,
            fresh=fresh,
            warm=warm,
        )
        done.set()
        if failing is not None:
            failing.join()
        machine.network.speak()
        if result.is_frozen:
            epoch, is_held = self._lease()
            if is_held:
                self.frozen.append((machine, result, epoch))
            else:  # it had given the lease back already
                result = machine.commands.wake(result)
        self.vanished = self.home is None and self._lease()[1]
        return result

    def fail(self, kind: str) -> None:
        """The connections of the machine at work break; where PostgreSQL is ``away``, none can be made either."""
        network = self._at_work.network
        if kind == "away":
            network.cut()
        else:
            network.forget()

    def try_at_once(self, argv: Sequence[str]) -> Result | None:
        """A command while a holder that vanished may still be at work; None where it cannot be, or, by lot, mostly."""
        if not self.vanished or self._dice.random() < 0.7:
            return None
        machine = self._at_work = self._dice.choice(self._machines)
        # Not that it ends meanwhile on a busy machine.
        self._sql.execute("update lease set expires_at = now() + interval '1 min' where expires_at > '-infinity'")
        return machine.commands.run(["--workspace", str(self._folder), *argv], self._environ(machine))

    def end_lease(self) -> None:
        """Let the time pass in which a holder that vanished might come back."""
        if self.vanished:
            self._sql.execute("update lease set expires_at = now() - interval '1 ms' where expires_at > '-infinity'")
            self.vanished, self.vanished_at = False, time.monotonic()

    def wait(self) -> None:
        """Let the time pass in which Stock2Shop might still be at work on what a holder had sent that vanished."""
        self.end_lease()
        passed = "interval '1 hour'"
        self._sql.execute(f"update lease set vanished_at = vanished_at - {passed}, expires_at = expires_at - {passed}")

    def wake(self) -> list[Result]:
        """Have those that were frozen go on whose lease another command has had since; gives how they ended."""
        epoch, _ = self._lease()
        woken = [each for each in self.frozen if each[2] < epoch]
        self.frozen = [each for each in self.frozen if each[2] == epoch]
        return [machine.commands.wake(result) for machine, result, _ in woken]

    def clear_cache(self) -> None:
        """A machine loses its folder."""
        shutil.rmtree(self._dice.choice(self._machines).folder, ignore_errors=True)

    def lose_state(self) -> None:
        """PostgreSQL is begun anew."""
        self._begin_anew()
        self.vanished = False
        if self.home is not None:
            shutil.rmtree(self.home.folder, ignore_errors=True)

    def move(self) -> Sequence[Result]:
        """Bring the project home to one machine, or back into the fleet."""
        self.end_lease()
        if self.home is None:
            machine = self._dice.choice(self._machines)
            (machine.folder / f"{PROJECT}.duckdb").unlink(missing_ok=True)  # the file of another time
            results = [self._call(machine, "fleet", "export-local", PROJECT)]
            (self._folder / "workspace.toml").unlink()
            self.home = self._at_work = machine
        else:
            machine, self.home = self.home, None
            write_settings(self._folder)
            results = [
                self._call(machine, "fleet", "adopt-local", PROJECT, "--replace"),
                self._call(machine, "fleet", "resume", PROJECT),
            ]
        return results

    def close(self) -> None:
        """End what is frozen."""
        for machine, result, _ in self.frozen:
            with suppress(ProcessLookupError):
                os.kill(result.pid, signal.SIGKILL)
            machine.commands.wake(result)
        self._resources.close()

    def _begin_anew(self) -> None:
        for table in ("lease", "journal", "snapshot", "run_log", "run_copy", "stock2shop_user"):
            self._sql.execute(f"delete from {table}")
        self._sql.execute("update fleet set id = gen_random_uuid()")

    def _call(self, machine: Machine, *words: str) -> Result:
        return machine.commands.run(["--workspace", str(self._folder), *words], self._environ(machine))

    def _environ(self, machine: Machine) -> Mapping[str, str]:
        return {"S2S_STATE": str(machine.folder), "S2S_FLEET": self._server.address(machine.network.port)}

    def _lease(self) -> tuple[int, bool]:
        """The epoch of the last lease, and whether it was not given back."""
        row = self._sql.execute(
            "select epoch, expires_at > '-infinity' from lease where project = %s", [PROJECT]
        ).fetchone()
        return (0, False) if row is None else (int(row[0]), bool(row[1]))
