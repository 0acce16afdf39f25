"""How long each step of a run took: what to say of a run whose deadline came before it sent anything."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import DeadlineError
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.clock import Deadline

FIRST_STEP = "opening the state"

ASKING_STEP = "asking Stock2Shop for the sync token"

STEP_NAMES = {"reading": "reading the view", "comparing": "comparing the rows", "sending": "sending"}


class Steps:
    """Reports progress on, and keeps how long each step took and how far it came."""

    def __init__(self, progress: Callable[[str, int, int | None], None]) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._rows = 0
        self._step, self._since = FIRST_STEP, time.monotonic()

    def report(self, step: str, done: int, total: int | None) -> None:
        """Take the progress of ``step``, in the form that a run reports it."""
        if step == "reading":
            self._rows = done
        self._begin(STEP_NAMES.get(step, step))
        self._progress(step, done, total)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The time inside the block goes to asking for the sync token, unless an error ends it there."""
        before = self._step
        self._begin(ASKING_STEP)
        yield
        self._begin(before)

    def _begin(self, step: str) -> None:
        now = time.monotonic()
        self._seconds[self._step] = self._seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step, now

    def deadline_error(self, error: DeadlineError, deadline: Deadline) -> DeadlineError:
        """What to raise for a run that ``error`` ended before it sent anything."""
        self._begin(self._step)
        spent = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in self._seconds.items())
        rows = f" {self._rows:,} {plural(self._rows, 'row')} had been read." if self._rows else ""
        return DeadlineError(
            f"The deadline of {deadline.seconds:g} s came before anything was sent: {spent}.{rows} {error.message}",
            hint="Raise the deadline: `deadline` under [stock2shop] in project.toml, or --deadline. If most of the time"
            " went into reading, make the view faster: an index, fewer joins.",
        )
