"""A rendered template: the SQL, the values bound to it, and where in the templates each part of it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocation:
    """A place in a template: its file, and the line and column there, counted from 1.

    ``called_from`` is where the outermost macro around the place was called; None outside of macros.
    """

    path: Path
    line: int
    column: int
    called_from: SourceLocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A rendered template: the SQL, the values bound to its ``?`` in order, and the file it came from.

    ``source_map`` takes the SQL and returns a function from an offset in that SQL to its place in a template, or None
    where the place is unknown. Calling it renders the templates again, so it is called only to report a problem.
    ``escaped_at`` is the offset in the SQL of the first value in which a backslash is written as two, since the dialect
    takes it for an escape; None where there is none.
    """

    sql: str
    path: Path
    binds: tuple[object, ...] = ()
    sources: tuple[Path, ...] = ()
    source_map: Callable[[str], Callable[[int], SourceLocation | None]] | None = field(
        default=None, repr=False, compare=False
    )

    escaped_at: int | None = field(default=None, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name exactly this SQL."""
        return sha256(self.sql.encode()).hexdigest()[:16]
