"""query."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocation:
    """A place in a template; line and column count from 1. ``call`` is where the macro that it is in was called."""

    path: Path
    line: int
    column: int
    call: SourceLocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A rendered template: the SQL, the values bound to its ``?`` in order, and the file it came from.

    ``places`` takes the SQL and gives what finds the place in a template of an offset in it.
    """

    sql: str
    path: Path
    binds: tuple[object, ...] = ()
    sources: tuple[Path, ...] = ()
    places: Callable[[str], Callable[[int], SourceLocation | None]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name exactly this SQL."""
        return sha256(self.sql.encode()).hexdigest()[:16]
