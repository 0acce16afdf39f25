"""The secrets that a project.toml names by variables: which stand in plain files, and what is never to be printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config.secret_names import is_secret_name
from engine.config.variables import VARIABLE, environment_name, read_dotenv, read_variables
from engine.files import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def plain_secrets(root: Path, *, workspace: Path, environ: Mapping[str, str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield each ``.env`` file from which the project at ``root`` takes secrets, and their names.

    A secret that the environment sets is taken from there, and one of the project's own file hides the workspace's.
    """
    secret = [name for name in _secret_names(root, workspace) if environment_name(name) not in environ]
    taken: set[str] = set()
    for path in (root / ".env", workspace / ".env"):
        values, _ = read_dotenv(path)
        found = tuple(name for name in secret if values.get(name) and name not in taken)
        taken |= set(found)
        if found:
            yield path, found


def named_secrets(root: Path, *, workspace: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of all secrets that the project at ``root`` names, also of tables that a command does without.

    A client's data may repeat one of them, and what is printed of it must not.
    """
    values, _ = read_variables(root, workspace=workspace, environ=environ)
    return tuple(value for name in _secret_names(root, workspace) if (value := values.get(name)))


def _secret_names(root: Path, workspace: Path) -> list[str]:
    text = WorkspaceFiles.of(workspace, root).read(root / "project.toml").decode("utf-8-sig", errors="replace")
    names = {found["name"] for found in VARIABLE.finditer(text) if found["name"] is not None}
    return sorted(name for name in names if is_secret_name(name))
