"""Limits of an offline run: fixtures are a few dozen rows, and a view on them may come from a branch nobody has read.

Memory and disk are limited by DuckDB's own settings; time and rows are limited here.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import CancelledError, Diagnostic, FixtureError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_SECONDS = 60
"""How long one view, one entity's data tests, or schema.sql may take on fixtures."""

MAX_ROWS = 20_000
"""How many rows a view may give on fixtures."""

MEMORY_LIMIT = "1GB"
"""How much memory DuckDB may use for the fixtures and a view on them."""

RARE_COLLECTIONS = (20_000, 10, 100)
"""The collector's thresholds of a rehearsal, in objects and in collections of the younger generation."""


class RowLimit:
    """Sets ``cancel`` once a run has read more than :data:`MAX_ROWS`; it is called with the progress of that run."""

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self.exceeded = False

    def __call__(self, step: str, done: int, _total: int | None) -> None:
        """Count the rows that ``step`` has ``done``."""
        if step == "reading" and done > MAX_ROWS:
            self.exceeded = True
            self.cancel.set()


@contextmanager
def limited(path: Path, what: str, *, interrupt: Callable[[], object], rows: RowLimit | None = None) -> Iterator[None]:
    """Interrupt what is done here after :data:`MAX_SECONDS`.

    ``interrupt`` is called from another thread. Raises :class:`FixtureError` that names ``path``, and that ``what``,
    such as "The view", takes too long or, by ``rows``, gives too many rows; other errors are raised as they are.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        interrupt()

    timer = threading.Timer(MAX_SECONDS, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (StateError, CancelledError):
        if rows is not None and rows.exceeded:
            message = f"{what} gives more than {MAX_ROWS:,} rows on the fixtures."
        elif expired.is_set():
            message = f"{what} takes more than {MAX_SECONDS} s on the fixtures."
        else:
            raise
        hint = "Fixtures are a few dozen rows: look for a join without a condition."
        raise FixtureError([Diagnostic(path=path, message=message, hint=hint)]) from None
    finally:
        timer.cancel()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Have the garbage collector look for cycles less often: in parsed SQL it would search for them in vain."""
    usual = gc.get_threshold()
    gc.set_threshold(*RARE_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
