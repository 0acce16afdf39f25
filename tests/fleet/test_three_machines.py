"""The model of the way out, where each run is on another machine, and a run that dies leaves only what it stored."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import import_module
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from support.client import Client

from engine.errors import SyncError
from engine.fleet.checkout import Checkout
from engine.fleet.database import FleetDatabase
from engine.fleet.lease import take_lease
from engine.state.store import open_state
from engine.sync import pipeline
from engine.sync.context import RunOptions

model: Any = import_module("sync.test_model")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from support.fleet import Fleet

    from engine.model.plan import Outcome
    from engine.state.store import State


class Machines:
    """Three machines that take turns."""

    def __init__(self, fleet: Fleet, database: FleetDatabase) -> None:
        self._states = cycle(fleet.folder / f"machine{number}" / "acme.duckdb" for number in range(3))
        self._database = database

    @contextmanager
    def at_hand(self) -> Iterator[Checkout]:
        """Have the state on the next machine; whoever is killed stores nothing more, and gives no lease back."""
        # So that what a machine left unanswered is remembered by one run, and sent once more by a later one.
        self._database.rows("update lease set vanished_at = vanished_at - interval '90 s'")
        lease = take_lease(self._database, "acme")
        checkout = Checkout(lease, next(self._states))
        try:
            checkout.bring()
            yield checkout
        except model.Killed:
            checkout.close()
            self._database.rows("update lease set expires_at = now() - interval '1 s'")
            raise
        except SyncError:
            checkout.finish()
            lease.give_back(seconds=0, exit_code=1)
            raise
        checkout.finish()
        lease.give_back(seconds=0, exit_code=0)

    def run(self, client: Client, **options: Any) -> Outcome:
        """Run products on the next machine."""
        with self.at_hand() as checkout:
            project = replace(client.project, state=checkout.path)
            return pipeline.run(project, "products", options=RunOptions(**options), replica=checkout)

    @contextmanager
    def open_state(self, _path: Path) -> Iterator[State]:
        """Open the state on the next machine."""
        with self.at_hand() as checkout, open_state(checkout.path) as state:
            yield state


@pytest.mark.parametrize(("module", "name", "when"), model.CRASH_POINTS[:2])
def test_stock2shop_holds_what_the_source_says_whichever_machine_runs_and_dies(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, when: str
) -> None:
    """Each run, and each command that opens the state, is on the next of three machines."""
    with closing(FleetDatabase(fleet.client.environment["S2S_FLEET"])) as database:
        machines = Machines(fleet, database)
        monkeypatch.setattr(Client, "run", lambda client, **options: machines.run(client, **options))  # noqa: PLW0108 - so that it is a method
        monkeypatch.setattr(model, "open_state", machines.open_state)
        model.test_stock2shop_holds_what_the_source_says_whatever_step_runs_died_in(fleet.client, module, name, when)
