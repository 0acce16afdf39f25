"""What a change does to files: unified diffs of settings, statements and data tests, with passwords masked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.config.masking import has_variable_vars, mask_settings, mask_sql
from engine.errors import OutsideWorkspaceError
from engine.files import WorkspaceFiles, is_file
from engine.mapping.environment import named_templates
from engine.review.model import FileChange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATES = "templates/sql/"


@dataclass(frozen=True, slots=True)
class FileDiff:
    """A file in both versions, blank where one does not have it, and a unified diff in which secrets are masked."""

    path: str
    before: str
    after: str
    diff: str

    @property
    def change(self) -> FileChange:
        """What becomes of the file."""
        kind = "new" if not self.before.strip() else "gone" if not self.after.strip() else "changed"
        return FileChange(path=self.path, kind=kind)  # type: ignore[arg-type]  # one of three words


def settings_diff(earlier: Path, workspace: Path, file: str) -> FileDiff:
    """The difference of a ``project.toml`` or ``workspace.toml``, which stands at ``file`` below both folders."""
    old, new = (_file_text(folder / file, WorkspaceFiles.of(folder, folder)) for folder in (earlier, workspace))
    return _settings_diff(old, new, file)


def _settings_diff(old: str, new: str, name: str) -> FileDiff:
    masked = mask_settings(old, new)
    if masked is not None:
        return FileDiff(name, old, new, unified_diff(*masked, name))
    hidden = f"# {name} changed. It is not shown: it is not valid TOML, so secrets in it cannot be masked.\n"
    return FileDiff(name, old, new, hidden if old != new else "")


def file_diffs(name: str, earlier: Path, workspace: Path, *, root: Path | None = None) -> Iterator[FileDiff]:
    """What differs of project.toml, which comes first, the order statements and the data tests, with secrets masked.

    They are those of the project ``name`` in both workspaces, or of ``root`` where it was named by its path. Of views
    and templates the rendered SQL is compared, which is not all of them: where a value of ``[vars]`` comes from the
    environment, a live run may take another branch of a template than a review, and statements are only rendered for
    the one order of the fixtures. Then the diffs of what they are made of are here, too.
    """
    roots = (earlier / "projects" / name, root or workspace / "projects" / name)
    sides = [
        _Side(root, folder, WorkspaceFiles.of(folder, root))
        for root, folder in zip(roots, (earlier, workspace), strict=True)
    ]
    settings = [side.text("project.toml") for side in sides]
    found = _settings_diff(settings[0], settings[1], "project.toml")
    if found.diff:
        yield found
    hidden = any(map(has_variable_vars, settings))
    for label in sorted(set().union(*(side.files_of_runs(views=hidden) for side in sides))):
        before, after = (side.text(label) for side in sides)
        shown = unified_diff(mask_sql(before), mask_sql(after), label)
        if not shown and before.split() != after.split():
            shown = f"# {label} changed in a value that is masked.\n"
        if shown:
            yield FileDiff(label, before, after, shown)


@dataclass(frozen=True, slots=True)
class _Side:
    """A project in one of the two versions of a workspace."""

    root: Path
    workspace: Path
    files: WorkspaceFiles

    def text(self, label: str) -> str:
        """The text of a file of the project, or of the workspace's templates."""
        return _file_text((self.workspace if label.startswith(TEMPLATES) else self.root) / label, self.files)

    def files_of_runs(self, *, views: bool) -> set[str]:
        """The project's statements and tests, its views where those count, and the templates that these are made of."""
        own = {path.relative_to(self.root).as_posix() for path in self.root.glob("**/*.sql")}
        found = {label for label in own if views or not label.startswith("views/")}
        waiting = list(found)
        while waiting:
            names = named_templates(self.text(waiting.pop()))
            for label in self._all_templates(own) if names is None else filter(None, map(self._label, names)):
                if label not in found:
                    found.add(label)
                    waiting.append(label)
        return found

    def _label(self, template: str) -> str | None:
        """The file that a template's name stands for, where it is one of the project's or of the workspace's."""
        own, shared = self.root / template, self.workspace / TEMPLATES / template
        return template if is_file(own) else f"{TEMPLATES}{template}" if is_file(shared) else None

    def _all_templates(self, own: set[str]) -> set[str]:
        shared = self.workspace / TEMPLATES
        return own | {f"{TEMPLATES}{path.relative_to(shared).as_posix()}" for path in shared.glob("**/*.sql")}


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
