"""The two kinds of rows that a review runs its mappings over: those of the fixtures, and those of the live source."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.state.store import open_state
from engine.sync.compare import Comparison, compare
from engine.sync.context import RunContext, RunOptions
from engine.testing.assumptions import assume_session
from engine.testing.fixture_run import (
    SYNC_TOKEN,
    data_test_limits,
    in_memory_state,
    run_view,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from engine.database.connection import Connection
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.testing.fixture_run import FixtureSession


class RowSource(ABC):
    """One entity of a project as it is ``now`` and as it was ``before``, and the rows to run both mappings over.

    ``live`` says that the rows are the source's own. ``notes`` collects what a reader should know of how they were run.
    """

    live: bool

    def __init__(self, now: Project, before: Project | None, entity: str) -> None:
        self.now = now
        self.before = before
        self.entity = entity
        self.notes: tuple[str, ...] = ()

    @abstractmethod
    def state(self) -> AbstractContextManager[State]:
        """A temporary state."""

    @abstractmethod
    def compare(self, state: State, project: Project, query: Query) -> Comparison:
        """Run one mapping over the rows and compare the result with what ``state`` has as published.

        Raises :class:`ConfigError` or :class:`QueryError` where it does not run.
        """

    @abstractmethod
    def data_test_limits(self, state: State) -> AbstractContextManager[None]:
        """What holds for the data tests of the project as it is now, while they run over the rows of ``state``."""


class FixtureRows(RowSource):
    """The fixtures of the project as it is now, for both mappings, so that only the mapping makes a difference."""

    live = False

    def __init__(self, session: FixtureSession, now: Project, before: Project | None, entity: str) -> None:
        super().__init__(now, before, entity)
        self._session = session

    @contextmanager
    def state(self) -> Iterator[State]:
        """A state in memory, with a temporary folder of its own."""
        with (
            tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True) as folder,
            in_memory_state(Path(folder) / "state.duckdb") as state,
        ):
            yield state

    def compare(self, state: State, project: Project, query: Query) -> Comparison:
        """Run one mapping over the fixtures of now; where it needs others, over those of its own project."""
        loaded = self._session.load()
        if self.now.root in loaded.faults:
            raise loaded.faults[self.now.root]
        try:
            ran = run_view(loaded, project, self.entity, query, state=state, fixtures=self.now.root)
            notes = ran.notes
        except ConfigError:
            if project is self.now or project.root not in loaded.schemas or project.root in loaded.faults:
                raise
            ran = run_view(loaded, project, self.entity, query, state=state)
            notes = (*ran.notes, "The mapping as it was needs other fixtures, and was run on its own.")
        assumed = (f"Assumed: {each}." for each in assume_session(project))
        self.notes = tuple(dict.fromkeys((*self.notes, *notes, *assumed)))
        return ran.comparison

    def data_test_limits(self, state: State) -> AbstractContextManager[None]:
        """The time at which the fixtures were captured, and an end to what runs too long."""
        return data_test_limits(self._session.load(), self.now, state)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSource:
    """An open source, a folder for what is staged of it, and what stops and reports the reading.

    ``earlier`` is the same source as it was read before: the same connection where that makes no difference.
    """

    connection: Connection
    earlier: Connection
    folder: Path
    stop: threading.Event
    progress: Callable[[str, int, int | None], None]


class LiveRows(RowSource):
    """The rows of the live source, read once for each mapping, in one transaction where the database supports it."""

    live = True

    def __init__(
        self,
        now: Project,
        before: Project | None,
        entity: str,
        *,
        source: LiveSource,
        notes: tuple[str, ...],
    ) -> None:
        super().__init__(now, before, entity)
        self._source = source
        self.notes = notes

    def state(self) -> AbstractContextManager[State]:
        """A state in a file of its own."""
        return open_state(self._source.folder / f"{self.entity}.duckdb")

    def compare(self, state: State, project: Project, query: Query) -> Comparison:
        """Run one mapping over all rows of the source."""
        context = RunContext(
            state=state,
            project=project,
            entity=self.entity,
            ask_sync_token=lambda: SYNC_TOKEN,
            options=RunOptions(full=True),  # rows that both mappings quarantine must be counted for both
            cancel=self._source.stop,
            progress=self._source.progress,
        )
        source = self._source.earlier if project is self.before else self._source.connection
        return compare(context, query=query, source=source)

    def data_test_limits(self, state: State) -> AbstractContextManager[None]:  # noqa: ARG002 - as a run has it
        """None: as in a run."""
        return nullcontext()
