"""What one plan or run is about, in one frozen value that its steps hand on.

It holds the open state, the project and the entity, Stock2Shop's sync token, what the command line asks, and how to
cancel and to report progress. Whoever begins a plan or a run makes it once; no step changes it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.clock import Deadline
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.settings import EntitySettings, Project, Stock2ShopSettings
    from engine.state.store import State
    from engine.stock2shop.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line asks of one plan or run.

    ``full`` compares every row again, ignoring the cached fingerprints. ``everything`` has a plan list every change,
    not a sample. ``expect`` is the digest of the plan that was approved. ``approve_deletes`` and ``approve_changes``
    are limits in place of the project's, for this run only. ``deadline`` takes the place of the project's.
    ``offline`` plans without asking Stock2Shop. ``reveal`` shows personal data in the plan.
    """

    full: bool = False
    everything: bool = False
    expect: str | None = None
    approve_deletes: int | None = None
    approve_changes: int | None = None
    deadline: Deadline | None = None
    offline: bool = False
    reveal: bool = False


def no_progress(_step: str, _done: int, _total: int | None) -> None:
    """Report progress to nobody."""


class Replica(Protocol):
    """Keeps a project's state somewhere else, too, so that another machine can go on with it at any moment."""

    @property
    def seconds_since_vanished(self) -> float | None:
        """How long ago the last machine vanished that had the project; None where none did."""

    def user(self, settings: Stock2ShopSettings) -> User:
        """The token and the pace of the Stock2Shop user, which are shared with those machines."""

    def secure(self, state: State) -> None:
        """Store there what was committed to ``state`` until now.

        It raises a :class:`SyncError` where it cannot, or where another machine has the project: nothing may be sent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One plan or run of one entity.

    ``ask_sync_token`` gives the source's sync token, each time the same. ``cancel`` is set by whoever wants the run to
    end early. ``progress`` is called with the name of a step, how much of it is done, and of how much where that is
    known. Reading is broken off, and no batch begins, after ``deadline``. ``replica`` is told of each batch before it
    is sent; None where the state is on this machine alone.
    """

    state: State
    project: Project
    entity: str
    ask_sync_token: Callable[[], str]
    options: RunOptions = field(default_factory=RunOptions)
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[str, int, int | None], None] = no_progress
    deadline: Deadline = field(default_factory=Deadline)
    replica: Replica | None = None

    @property
    def settings(self) -> EntitySettings:
        """What the project says of the entity. Raises :class:`UsageError` when it has no such entity."""
        found = self.project.entities.get(self.entity)
        if found is None:
            raise UsageError(
                f"{self.project.name} has no {self.entity}.",
                hint=f"Write views/{self.entity}.sql and a [{self.entity}] table in its project.toml.",
            )
        return found

    @property
    def sync_token(self) -> str:
        """The source's sync token; a run asks Stock2Shop for it when it is first needed."""
        return self.ask_sync_token()

    @property
    def delivery_key(self) -> str:
        """What a document depends on besides its row, see :meth:`EntitySettings.delivery_key`."""
        return self.settings.delivery_key(self.sync_token)
