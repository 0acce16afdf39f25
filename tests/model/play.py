"""Play a history from its beginning to its end, and make one that fails shorter."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.commands import Commands
from model.places import Fleet, FleetServer, OneMachine
from model.referee import ViolationError
from model.sources import DuckDb, PostgresDatabase, Sqlite, create
from model.stock2shop import Stock2Shop
from model.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.servers import Postgres

    from model.history import History
    from model.places import Place
    from model.sources import Source


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of a history: what was done in it, and the invariant that did not hold, if any."""

    history: History
    runs: int
    kills: int
    faults: int
    log: tuple[str, ...]
    violation: ViolationError | None = None

    def told(self) -> str:
        """The history, what happened in it, and what was wrong, as lines to read."""
        head = f"seed {self.history.seed}: {self.history.setting}"
        return "\n".join([head, *self.log, f"VIOLATION of {self.violation}"])


class Machines:
    """What histories are played with: processes for commands, and a PostgreSQL, each begun when it is first needed."""

    def __init__(self, folder: Path, postgres: Callable[[], Postgres]) -> None:
        self._folder = folder
        self.postgres = postgres
        self._commands: list[Commands] = []
        self._fleet: FleetServer | None = None

    def commands(self, count: int = 1) -> list[Commands]:
        """So many processes that run commands."""
        while len(self._commands) < count:
            folder = self._folder / str(len(self._commands))
            folder.mkdir()
            self._commands.append(Commands(folder))
        return self._commands[:count]

    def place(self, history: History, folder: Path) -> Place:
        """Where the commands of a history run."""
        count = history.setting.machines
        if not count:
            return OneMachine(folder, *self.commands())
        if self._fleet is None:
            self._fleet = FleetServer(self.postgres(), self._folder / "fleet", *self.commands())
        # Commands that fork share nothing; what one warm process remembers is one machine's.
        commands = self.commands(count) if history.setting.warm else self.commands() * count
        return Fleet(folder, self._fleet, commands, seed=history.seed)

    def close(self) -> None:
        """End the processes."""
        for each in self._commands:
            each.close()


def play(history: History, machines: Machines) -> Played:
    """Play ``history`` in a folder of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2s-soak-")))
        root = folder / "projects" / "acme"
        root.mkdir(parents=True)
        source: Source
        match history.setting.dialect:
            case "sqlite":
                source = Sqlite(root)
            case "duckdb":
                source = DuckDb(root)
            case _:
                source = PostgresDatabase(machines.postgres())
        stack.enter_context(closing(source))
        create(source, history.setting.entity)
        setting = history.setting
        shop = stack.enter_context(Stock2Shop(moves=setting.moves, read_timeout=setting.read_timeout))
        place = stack.enter_context(closing(machines.place(history, folder)))
        world = World(history, folder, place, source, shop)
        violation = None
        done = 0
        try:
            for name, arguments in history.steps:
                done += 1
                world.play(name, arguments)
            world.settle()
        except ViolationError as error:
            violation = error
        return Played(
            history=replace(history, steps=history.steps[:done]),
            runs=world.runs,
            kills=world.kills,
            faults=world.faults,
            log=tuple(world.log),
            violation=violation,
        )


def shorten(failed: Played, machines: Machines, *, seconds: float) -> Played:
    """A history with fewer steps that violates the same invariant; the shortest that ``seconds`` suffice to find."""
    assert failed.violation is not None
    kind = failed.violation.kind
    ends = time.monotonic() + seconds
    best = failed
    size = max(1, len(best.history.steps) // 2)
    while size:
        start = 0
        shorter = False
        while start < len(best.history.steps):
            if time.monotonic() > ends:
                return best
            steps = best.history.steps
            tried = play(replace(best.history, steps=steps[:start] + steps[start + size :]), machines)
            if tried.violation is not None and tried.violation.kind == kind:
                best, shorter = tried, True
            else:
                start += size
        if not shorter or size > 1:
            size //= 2
    return best
