"""What a change of ``workspace.toml`` does: it has no rows, and holds for all projects at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.config.console import read_console
from engine.config.notifications import check_notify
from engine.config.schedule import read_schedule
from engine.config.toml_text import parse_toml
from engine.config.workspace import discover
from engine.errors import ConfigError, located_messages
from engine.files import WorkspaceFiles
from engine.review.diffs import settings_diff
from engine.review.model import Review
from engine.review.settings import setting_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE = "workspace.toml"

MAX_NAMES = 3
"""How many projects a sentence names."""

_CADENCE = ("every", "cron")


def review_workspace(workspace: Path, earlier: Path, *, against: str) -> Review | None:
    """Compare ``workspace.toml`` with that of the workspace at the reference, ``earlier``, or give None."""
    found = settings_diff(earlier, workspace, FILE)
    if not found.diff:
        return None
    faults: list[str] = []
    for check in (check_notify, read_console, lambda folder: read_schedule(folder, "")):
        try:
            check(workspace)
        except ConfigError as error:
            faults += located_messages(error, workspace)
    projects = {name: _tables(workspace, name) for name in discover(workspace)}
    return Review(
        project=FILE,
        description="",
        against=against,
        rows="none",
        new=False,
        shared=True,
        settings=found.diff,
        orders="",
        entities=(),
        setting_changes=tuple(
            replace(each, effect=f"{each.effect}{_scope(each.name.split('.'), projects)}")
            for each in setting_changes(found.before, found.after, FILE)
        ),
        faults=tuple(dict.fromkeys(faults)),
    )


def _tables(workspace: Path, name: str) -> Mapping[str, Any]:
    """What a project.toml says; nothing where it cannot be read, which its own review says."""
    path = workspace / "projects" / name / "project.toml"
    with suppress(ConfigError, OSError):
        return parse_toml(WorkspaceFiles.of(workspace, path.parent).read_utf8(path), path=path)
    return {}


def _scope(at: Sequence[str], projects: Mapping[str, Mapping[str, Any]]) -> str:
    """For whom a key of workspace.toml counts: a project's own comes before it."""
    if at[0] not in {"schedule", "notify"} or len(at) == 1:
        return ""
    keys = _CADENCE if at[1] in _CADENCE else at[1:2]
    own = [
        name
        for name, tables in projects.items()
        if isinstance(tables.get(at[0]), dict) and any(key in tables[at[0]] for key in keys)
    ]
    if not own:
        return " It holds for every client."
    if len(own) == len(projects):
        return " No client heeds it: each has its own."
    more = f" and {len(own) - MAX_NAMES:,} more" if len(own) > MAX_NAMES else ""
    return f" It holds for every client but those with their own: {', '.join(own[:MAX_NAMES])}{more}."
