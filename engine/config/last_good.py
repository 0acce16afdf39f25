"""The last version of a project's files that had no errors, kept beside the states: what runs while an edit is broken.

A copy has what a run reads: ``project.toml``, views, statements of orders and data tests. Variables, database files and
the workspace's shared templates are not in it: they are as they are now. Of ``workspace.toml`` the agent keeps a copy
as well: an agent that begins while that is broken knows when projects run, and whom to tell.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.clock import now
from engine.file_lock import file_lock
from engine.files import (
    WorkspaceFiles,
    create_private_file,
    exists,
    is_file,
    list_paths,
    make_private_folder,
    replace_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "last-good"

WORKSPACE_COPY = ".workspace.toml"
"""The copy of workspace.toml; no project is called so."""

NOTE = "copied.json"
"""The file of a copy that says which version it is, and since when it is good."""

LEFT_OUT = frozenset({"fixtures", "snapshots"})
"""Folders of a project that no run reads."""

LOCK_SECONDS = 10
"""How long to wait for another process that keeps a copy."""

MAX_FILES, MAX_BYTES = 500, 5_000_000
"""Of a project with more files, or larger ones, no copy is made."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy of a project's files: the folder, its version, and when it was found good, in UTC without a zone."""

    folder: Path
    version: str
    at: datetime


def read_files(root: Path, workspace: Path) -> dict[str, bytes]:
    """The files of a project that a run reads, by their paths below its folder; empty where there are too many.

    Raises :class:`OSError` where one cannot be read, and :class:`OutsideWorkspaceError` for a link that leads out.
    """
    files = WorkspaceFiles.of(workspace, root)
    found: dict[str, bytes] = {}
    for path in (root / "project.toml", *list_paths(root, "**/*.sql")):
        below = path.relative_to(root)
        if not LEFT_OUT & {*below.parts} and not any(part.startswith(".") for part in below.parts) and is_file(path):
            found[below.as_posix()] = files.read(path)
    return found if len(found) <= MAX_FILES and sum(map(len, found.values())) <= MAX_BYTES else {}


def version_of(files: Mapping[str, bytes]) -> str:
    """What names the content of files.

    >>> version_of({"a": b"1"}) == version_of({"a": b"1"}), version_of({"a": b"1"}) == version_of({"b": b"1"})
    (True, False)
    """
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()


def find_copy(state_folder: Path, name: str) -> Copied | None:
    """The copy of a project's last good version; None where there is none that can be read."""
    folder = state_folder / FOLDER / name
    try:
        if not exists(folder / NOTE):
            return None
        note = json.loads(WorkspaceFiles((folder,)).read(folder / NOTE))
        copied = Copied(folder, str(note["version"]), datetime.fromisoformat(note["at"]))
        return copied if version_of(read_files(folder, folder)) == copied.version else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_copy(state_folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Keep a version of a project's files as the last good one, in place of the one before.

    Raises :class:`OSError` and :class:`StateError` where it cannot be written.
    """
    parent = state_folder / FOLDER
    make_private_folder(parent)
    with file_lock(parent / "lock.sqlite", seconds=LOCK_SECONDS) as held:
        if held:
            _replace_copy(parent, name, files)


def keep_workspace_file(state_folder: Path, content: bytes) -> None:
    """Keep what workspace.toml has as its last good version. Raises :class:`OSError` and :class:`StateError`."""
    parent = state_folder / FOLDER
    make_private_folder(parent)
    replace_file(parent / WORKSPACE_COPY, content, mode=0o600)


def find_workspace_file(state_folder: Path) -> Path | None:
    """The copy of the last good workspace.toml; None where there is none."""
    path = state_folder / FOLDER / WORKSPACE_COPY
    try:
        return path if is_file(path) else None
    except OSError:
        return None


def _replace_copy(parent: Path, name: str, files: Mapping[str, bytes]) -> None:
    new, old = (parent / f".{name}.{secrets.token_hex(4)}" for _ in range(2))
    note = json.dumps({"version": version_of(files), "at": now().isoformat(timespec="seconds")}).encode()
    try:
        for path, content in {**files, NOTE: note}.items():
            target = new / path
            make_private_folder(target.parent)
            create_private_file(target)
            WorkspaceFiles((new,)).write(target, content, mode=0o600)
        if exists(parent / name):
            (parent / name).rename(old)
        new.rename(parent / name)
    finally:
        for each in (new, old):
            with suppress(OSError):
                WorkspaceFiles((parent,)).remove(each)
