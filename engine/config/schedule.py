"""How often a project runs: ``[schedule]`` of its ``project.toml``, or of the workspace's ``workspace.toml``.

It is read without the rest of a project, its variables least of all: who looks whether a project is late has no
passwords, and wants to know it of a project whose configuration is broken, too.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.config.toml_text import parse_toml
from engine.errors import ConfigError, Diagnostic
from engine.files import WorkspaceFiles, exists

if TYPE_CHECKING:
    from pathlib import Path

DURATION = r"^\s*[1-9]\d*\s*(s|m|h|d)\s*$"
"""How a cadence is written: a whole number of seconds, minutes, hours or days."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """A cadence such as ``3m``. Raises :class:`ValueError` for anything else.

    >>> parse_duration("90s").total_seconds()
    90.0
    """
    found = re.match(DURATION, text)
    if not found:
        raise ValueError('a cadence is a whole number of s, m, h or d, such as "3m"')
    return timedelta(**{_UNITS[found[1]]: int(text.strip().rstrip("smhd"))})


def check_duration(text: str) -> str:
    """``text`` as it is. Raises :class:`ValueError` where :func:`parse_duration` does."""
    parse_duration(text)
    return text


def read_cadence(workspace: Path, name: str) -> timedelta | None:
    """How often the project ``name`` of a workspace is to run; None where nothing says so.

    Raises :class:`ConfigError` where a file cannot be read.
    """
    for path in (workspace / "projects" / name / "project.toml", workspace / "workspace.toml"):
        every = _every(path, workspace)
        if every is not None:
            return every
    return None


def _every(path: Path, workspace: Path) -> timedelta | None:
    hint = 'Write [schedule] and below it every = "3m".'
    try:
        if not exists(path):
            return None
        text = WorkspaceFiles((workspace,)).read(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Diagnostic(path=path, message=f"The file cannot be read: {error}.")]) from None
    table: Any = parse_toml(text, path=path, hint="`s2s check` says more.").get("schedule")
    every = table.get("every") if isinstance(table, dict) else None
    if every is None:
        return None
    try:
        return parse_duration(str(every))
    except ValueError as error:
        raise ConfigError([Diagnostic(path=path, message=f"[schedule] every: {error}.", hint=hint)]) from None
