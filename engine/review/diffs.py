"""What a change does to files: unified diffs of settings, statements and data tests, with passwords masked."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from engine.config.masking import has_variable_vars, mask_settings, mask_sql
from engine.errors import OutsideWorkspaceError
from engine.files import WorkspaceFiles, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INCLUDES = re.compile(r"\{%-?\s*(extends|include|import|from)\b")


def file_diffs(name: str, earlier: Path, workspace: Path, *, root: Path | None = None) -> Iterator[str]:
    """Unified diffs of project.toml, the order statements and the data tests, with secrets masked.

    They are those of the project ``name`` in both workspaces, or of ``root`` where it was named by its path. Of views
    and templates the rendered SQL is compared, which is not all of them: where a value of ``[vars]`` comes from the
    environment, a live run may take another branch of a template than a review, and statements are only rendered for
    the one order of the fixtures. Then the diffs of what they are made of are here, too.
    """
    roots = (earlier / "projects" / name, root or workspace / "projects" / name)
    sides = [(root, WorkspaceFiles.of(folder, root)) for root, folder in zip(roots, (earlier, workspace), strict=True)]
    old, new = (_file_text(root / "project.toml", files) for root, files in sides)
    masked = mask_settings(old, new)
    if masked is not None:
        yield unified_diff(*masked, "project.toml")
    elif old != new:
        yield "# project.toml changed. It is not shown: it is not valid TOML, so secrets in it cannot be masked.\n"
    hidden = any(map(has_variable_vars, (old, new)))
    included = hidden or any(_includes_templates(root, files) for root, files in sides)
    pairs = {path.relative_to(root).as_posix(): roots for root in roots for path in root.glob("**/*.sql")}
    pairs = {file: roots for file, roots in pairs.items() if hidden or not file.startswith("views/")}
    shared = (earlier / "templates" / "sql", workspace / "templates" / "sql")
    templates = {path.relative_to(root).as_posix() for root in shared for path in root.glob("**/*.sql") if included}
    compared = [(file, file, bases) for file, bases in pairs.items()]
    compared += [(f"templates/sql/{file}", file, shared) for file in templates]
    for label, file, bases in sorted(compared):
        before, after = (_file_text(base / file, files) for base, (_, files) in zip(bases, sides, strict=True))
        shown = unified_diff(mask_sql(before), mask_sql(after), label)
        if not shown and before.split() != after.split():
            shown = f"# {label} changed in a value that is masked.\n"
        yield shown


def _includes_templates(root: Path, files: WorkspaceFiles) -> bool:
    """Whether an order statement of the project in the folder ``root`` is made of further templates."""
    return any(_INCLUDES.search(_file_text(path, files)) for path in root.glob("orders/*.sql"))


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
