"""What a change does to files: unified diffs of settings, statements and data tests, with passwords masked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from engine.config.masking import mask_settings, mask_sql
from engine.errors import OutsideWorkspaceError
from engine.files import WorkspaceFiles, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def file_diffs(name: str, earlier: Path, workspace: Path, *, root: Path | None = None) -> Iterator[str]:
    """Unified diffs of project.toml, the order statements and the data tests, with secrets masked.

    They are those of the project ``name`` in both workspaces, or of ``root`` where it was named by its path.
    """
    roots = (earlier / "projects" / name, root or workspace / "projects" / name)
    sides = [(root, WorkspaceFiles.of(folder, root)) for root, folder in zip(roots, (earlier, workspace), strict=True)]
    old, new = (_file_text(root / "project.toml", files) for root, files in sides)
    masked = mask_settings(old, new)
    if masked is not None:
        yield unified_diff(*masked, "project.toml")
    elif old != new:
        yield "# project.toml changed. It is not shown: it is not valid TOML, so secrets in it cannot be masked.\n"
    for file in sorted({f"{path.parent.name}/{path.name}" for root in roots for path in root.glob("*/*.sql")}):
        if not file.startswith("views/"):
            before, after = (mask_sql(_file_text(root / file, files)) for root, files in sides)
            yield unified_diff(before, after, file)


def _file_text(path: Path, files: WorkspaceFiles) -> str:
    """The text of a file for a diff, blank where there is none."""
    try:
        return files.read(path).decode("utf-8-sig", "replace").replace("\r\n", "\n") if is_file(path) else ""
    except OutsideWorkspaceError as error:
        return f"# {error.diagnostics[0].message}"


def unified_diff(before: str, after: str, name: str) -> str:
    """A unified diff of two texts that are called ``name``; blank where they are equal."""
    lines = difflib.unified_diff(
        before.strip().splitlines(), after.strip().splitlines(), f"a/{name}", f"b/{name}", lineterm="", n=2
    )
    return "".join(f"{line}\n" for line in lines)
