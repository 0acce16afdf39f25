"""What was answered about a new project, by options or on a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class SourceAnswers:
    """What was answered about a new project's source; None where nothing was.

    ``values`` are written to .env, by the names of their variables.
    """

    dialect: str | None = None
    connection: str | None = None
    database: str | None = None
    source_id: int = 0
    values: dict[str, str] = field(default_factory=dict)
