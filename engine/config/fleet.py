"""Whether a workspace is run by several machines: ``[fleet]`` of ``workspace.toml``.

[fleet]
database = "${S2S_FLEET}"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.config.last_good import find_workspace_file
from engine.config.toml_text import parse_toml
from engine.config.variables import VARIABLE, read_variables
from engine.config.workspace import state_folder
from engine.errors import ConfigError, Diagnostic
from engine.files import WorkspaceFiles, exists

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from pathlib import Path

_HINT = 'Write [fleet] and below it database = "${S2S_FLEET}", and S2S_FLEET=postgresql://… in .env.'


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """``database`` is the address of the fleet's PostgreSQL, with its password."""

    database: str = field(repr=False)


def read_fleet(workspace: Path, *, environ: Mapping[str, str]) -> FleetSettings | None:
    """The fleet of a workspace; None where one machine runs it. Raises :class:`ConfigError` where it cannot be read."""
    path = workspace / "workspace.toml"
    try:
        if not exists(path):
            return None
        text = WorkspaceFiles((workspace,)).read(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"The file cannot be read: {error}") from None
    table: Any = _table(text, path, find_workspace_file(state_folder(workspace, environ)))
    if table is None:
        return None
    database = table.get("database") if isinstance(table, dict) else None
    if not isinstance(database, str) or [*table] != ["database"]:
        raise _wrong(path, "[fleet] has one key, `database`, which is a text")
    variables = read_variables(workspace, workspace=workspace, environ=environ)[0]

    def value(found: re.Match[str]) -> str:
        if found["name"] is None:
            return "${"
        if not variables.get(found["name"]):
            raise _wrong(path, f"[fleet] database: the variable {found['name']} is not set")
        return variables[found["name"]]

    return FleetSettings(database=VARIABLE.sub(value, database))


def _wrong(path: Path, message: str) -> ConfigError:
    return ConfigError([Diagnostic(path=path, message=f"{message}.", hint=_HINT)])


def _table(text: str, path: Path, copy: Path | None) -> Any:
    """The table [fleet] of a text; None where it has none.

    Where it is no TOML, the last good version says whether one machine runs the workspace: the rest of an edit may have
    been cut off. Raises :class:`ConfigError` where that is a fleet, or not known.
    """
    try:
        return parse_toml(text, path=path, hint=_HINT).get("fleet")
    except ConfigError:
        known = "fleet" in text if copy is None else "fleet" in _read_copy(copy)
        if known:
            raise
        return None


def _read_copy(path: Path) -> dict[str, Any]:
    """What the last good version says. Raises :class:`ConfigError` where it cannot be read."""
    try:
        return parse_toml(WorkspaceFiles((path.parent,)).read(path).decode("utf-8-sig"), path=path, hint=_HINT)
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"The file cannot be read: {error}") from None
