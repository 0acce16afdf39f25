"""Whether a workspace is run by several machines: ``[fleet]`` of ``workspace.toml``.

[fleet]
database = "${S2S_FLEET}"
snapshots = "s3://bucket/prefix"   # where large states are; without it they are in the database as well
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.config.last_good import find_workspace_file
from engine.config.secret_names import is_secret_name
from engine.config.toml_text import parse_toml, read_settings_text
from engine.config.variables import VARIABLE, read_variables
from engine.config.workspace import state_folder
from engine.errors import ConfigError, Diagnostic
from engine.files import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HINT = 'Write [fleet] and below it database = "${S2S_FLEET}", and S2S_FLEET=postgresql://… in .env.'

_STORE_HINT = (
    "Write it like s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or file:///srv/shared/folder. Whoever"
    " may use it is said by variables such as AWS_ACCESS_KEY_ID, never by the address."
)

KEYS = ("database", "snapshots")

_STORE_ADDRESS = re.compile(r"(?:s3|gs|az)://[^/@\s?#]+(?:/[^@\s?#]*)?|file:///[^\s?#]+")

_STORE_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """``database`` is the address of the fleet's PostgreSQL, with its password.

    ``snapshots`` is that of an object store for large states, without a secret, blank where there is none;
    ``store_variables`` are the variables with which its own tools log in to it, such as AWS_SECRET_ACCESS_KEY.
    """

    database: str = field(repr=False)
    snapshots: str = ""
    store_variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of ``store_variables`` that must not be printed."""
        return tuple(value for name, value in self.store_variables.items() if is_secret_name(name))


def read_fleet(workspace: Path, *, environ: Mapping[str, str]) -> FleetSettings | None:
    """The fleet of a workspace; None where one machine runs it. Raises :class:`ConfigError` where it cannot be read."""
    path = workspace / "workspace.toml"
    table: Any = _table(path, find_workspace_file(state_folder(workspace, environ)))
    if table is None:
        return None
    texts = table if isinstance(table, dict) else {}
    if "database" not in texts or not all(key in KEYS and isinstance(value, str) for key, value in texts.items()):
        raise _wrong(path, "[fleet] has the key `database`, and perhaps `snapshots`, which are texts")
    variables = read_variables(workspace, workspace=workspace, environ=environ)[0]

    def filled(key: str) -> str:
        def value(found: re.Match[str]) -> str:
            if found["name"] is None:
                return "${"
            if not variables.get(found["name"]):
                raise _wrong(path, f"[fleet] {key}: the variable {found['name']} is not set")
            return variables[found["name"]]

        return VARIABLE.sub(value, texts.get(key, ""))

    snapshots = filled("snapshots")
    if snapshots and not _STORE_ADDRESS.fullmatch(snapshots):
        raise _wrong(path, "[fleet] snapshots: this is no address of an object store", hint=_STORE_HINT)
    return FleetSettings(
        database=filled("database"),
        snapshots=snapshots,
        store_variables={
            name: value for name, value in sorted(variables.items()) if snapshots and name.startswith(_STORE_VARIABLES)
        },
    )


def _wrong(path: Path, message: str, *, hint: str = "") -> ConfigError:
    return ConfigError([Diagnostic(path=path, message=f"{message}.", hint=hint or _HINT)])


def _table(path: Path, copy: Path | None) -> Any:
    """The table [fleet] of a file; None where it has none, or there is no file.

    Where it is no TOML or no UTF-8, the last good version says whether one machine runs the workspace: the rest of an
    edit may have been cut off. Raises :class:`ConfigError` where that is a fleet, or not known.
    """
    try:
        return _read_toml(path).get("fleet")
    except ConfigError as error:
        known = _speaks_of_fleet(path, error) if copy is None else "fleet" in _read_toml(copy)
        if known:
            raise
        return None


def _read_toml(path: Path) -> dict[str, Any]:
    """What a file says. Raises :class:`ConfigError` where it cannot be read."""
    text = read_settings_text(path, path.parent)
    return {} if text is None else parse_toml(text, path=path)


def _speaks_of_fleet(path: Path, error: ConfigError) -> bool:
    """Whether a file that is not understood has the word, in UTF-16 too. Raises ``error`` where it cannot be read."""
    try:
        return b"fleet" in WorkspaceFiles((path.parent,)).read(path).replace(b"\0", b"")
    except OSError:
        raise error from None
