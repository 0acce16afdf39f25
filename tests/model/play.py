"""Play a history from its beginning to its end, and make one that fails shorter."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.referee import ViolationError
from model.sources import DuckDb, PostgresDatabase, Sqlite, create
from model.stock2shop import Stock2Shop
from model.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.servers import Postgres

    from model.commands import Commands
    from model.history import History
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


def play(history: History, commands: Commands, postgres: Callable[[], Postgres] | None = None) -> Played:
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
                assert postgres is not None
                source = PostgresDatabase(postgres())
        stack.enter_context(closing(source))
        create(source, history.setting.entity)
        shop = stack.enter_context(Stock2Shop(moves=history.setting.moves))
        world = World(history, folder, commands, source, shop)
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


def shorten(
    failed: Played, commands: Commands, postgres: Callable[[], Postgres] | None = None, *, seconds: float
) -> Played:
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
            tried = play(replace(best.history, steps=steps[:start] + steps[start + size :]), commands, postgres)
            if tried.violation is not None and tried.violation.kind == kind:
                best, shorter = tried, True
            else:
                start += size
        if not shorter or size > 1:
            size //= 2
    return best
