"""The workspace: the folder that holds ``projects/``, and which projects there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Diagnostic, ProjectError
from engine.files import is_dir, is_file, list_paths

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_workspace(start: Path, *, environ: Mapping[str, str]) -> Path:
    """The folder that ``S2S_WORKSPACE`` names, else the nearest from ``start`` upwards that holds ``projects/``.

    Raises :class:`ProjectError` when there is none.
    """
    named = environ.get("S2S_WORKSPACE")
    if named:
        if is_dir(Path(named) / "projects"):
            return Path(named).resolve()
        raise ProjectError([Diagnostic(message=f"S2S_WORKSPACE is {named}, which holds no projects/ folder.")])
    start = start.resolve()
    for folder in (start, *start.parents):
        if is_dir(folder / "projects"):
            return folder
    raise ProjectError(
        [
            Diagnostic(
                message=f"There is no workspace here: neither {start} nor a folder above it holds projects/.",
                hint="Change to the workspace, name it with --workspace, or create one with `s2s init NAME`.",
            )
        ]
    )


def state_folder(workspace: Path, environ: Mapping[str, str]) -> Path:
    """The folder of all projects' states and ledgers, and of the run log: ``S2S_STATE``, else ``.state``."""
    return Path(environ.get("S2S_STATE") or workspace / ".state")


def discover(workspace: Path) -> tuple[str, ...]:
    """The names of the workspace's projects, sorted.

    One whose folder this account may not read is among them, and fails when it is loaded.
    """
    return tuple(folder.name for folder in list_paths(workspace / "projects", "*") if _is_project(folder))


def _is_project(folder: Path) -> bool:
    try:
        return is_file(folder / "project.toml")
    except PermissionError:
        return True
