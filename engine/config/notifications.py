"""Who is notified of what: ``[notify]`` of ``workspace.toml``, and of a ``project.toml`` over it, key by key.

It is read without the rest of a project, as a cadence is: a project whose configuration is broken is news, too.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.config.last_good import find_workspace_file
from engine.config.schedule import is_between, parse_digest, parse_duration, parse_quiet
from engine.config.toml_text import parse_toml, read_settings_text
from engine.config.variables import VARIABLE, read_variables
from engine.config.workspace import discover, state_folder
from engine.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping
    from datetime import datetime, time, timedelta
    from pathlib import Path

    from engine.config.schedule import DigestTime

KEYS = ("urls", "ping", "failures", "held", "late", "quiet", "digest")


def _parse_quiet(text: str) -> tuple[time, time]:
    begin, end = parse_quiet(text)
    if begin == end:
        raise ValueError("quiet hours end when they begin: leave quiet out, or urls where nothing is to be sent")
    return begin, end


PARSERS: Mapping[str, Callable[[str], Any]] = {"late": parse_duration, "quiet": _parse_quiet, "digest": parse_digest}
"""How the keys are read that hold times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Who is notified of a project, and when.

    ``urls`` are addresses as apprise has them, ``ping`` is one that is asked for after runs. ``failures`` is how many
    runs in a row have to fail, ``held`` is how many rows may be held. ``late`` is how long a project may not run; None
    for two cadences. ``quiet`` is from when to when nothing is sent, in this machine's zone. ``digest`` is
    when one message a day says how all is; None for never.
    """

    urls: tuple[str, ...] = ()
    ping: str = ""
    failures: int = 3
    held: int = 50
    late: timedelta | None = None
    quiet: tuple[time, time] | None = None
    digest: DigestTime | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is not to be printed."""
        return (*self.urls, self.ping) if self.ping else self.urls


def read_notify(
    workspace: Path,
    name: str,
    *,
    environ: Mapping[str, str],
    shared_only: bool = False,
    shared: Path | None = None,
) -> NotifySettings:
    """The settings of the project ``name``; without addresses where nothing says so.

    With ``shared_only`` those that the workspace has for it; ``shared`` is read in place of workspace.toml. Raises
    :class:`ConfigError` where they cannot be read.
    """
    own = workspace / "projects" / name
    shared_path, own_path = shared or workspace / "workspace.toml", own / "project.toml"
    table: dict[str, Any] = {}
    for path in (shared_path,) if shared_only else (shared_path, own_path):
        found = _table(path, workspace)
        if not found:
            continue
        try:
            table |= _checked(_filled(found, read_variables(own, workspace=workspace, environ=environ)[0]))
        except ValueError as error:
            hint = "`s2s help schedule` has an example of [notify]."
            raise ConfigError([Diagnostic(path=path, message=f"[notify] {error}.", hint=hint)]) from None
    return NotifySettings(**table)


def read_all_notify(workspace: Path, *, environ: Mapping[str, str]) -> tuple[dict[str, NotifySettings], list[str]]:
    """The settings of each project, and what is wrong with those that cannot be read.

    For a project whose own cannot be read the workspace's count, and where those cannot be read, the last good ones:
    that a file is broken is what people must hear.
    """
    found: dict[str, NotifySettings] = {}
    wrong: list[str] = []
    copy = find_workspace_file(state_folder(workspace, environ))
    for name in discover(workspace):
        try:
            found[name] = read_notify(workspace, name, environ=environ)
        except ConfigError as error:
            others = [(False, copy), (True, None), (True, copy)] if copy else [(True, None)]
            for shared_only, shared in others:
                with suppress(ConfigError):
                    found[name] = read_notify(workspace, name, environ=environ, shared_only=shared_only, shared=shared)
                    break
            wrong += [f"{each.relative_location(workspace)}: {each.message}".rstrip(".") for each in error.diagnostics]
    return found, wrong


def check_notify(workspace: Path) -> None:
    """Raise :class:`ConfigError` where [notify] of workspace.toml is wrong, whatever its variables hold."""
    path = workspace / "workspace.toml"
    table = _table(path, workspace)
    stand_ins = {name: f"https://{name}" for name in VARIABLE.sub(r"\n\g<name>\n", str(table)).split("\n")}
    try:
        _checked(_filled(table, stand_ins))
    except ValueError as error:
        raise ConfigError([Diagnostic(path=path, message=f"[notify] {error}.")]) from None


def is_quiet(settings: NotifySettings, local: datetime) -> bool:
    """Whether a moment of this machine's zone is in the quiet hours."""
    return settings.quiet is not None and is_between(local.time(), settings.quiet)


def _table(path: Path, workspace: Path) -> dict[str, Any]:
    """The table [notify] of a file; empty where there is none."""
    text = read_settings_text(path, workspace if path.is_relative_to(workspace) else path.parent)
    if text is None:
        return {}
    if path.name == "project.toml" and "notify" not in text:  # 200 projects, and none is parsed for nothing
        return {}
    table: Any = parse_toml(text, path=path).get("notify")
    return table if isinstance(table, dict) else {}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with its variables. Raises :class:`ValueError` where one is not set."""
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match["escape"]:
            return "${"
        if not variables.get(match["name"]):
            raise ValueError(f"names the variable {match['name']}, which is not set")
        return variables[match["name"]]

    return VARIABLE.sub(fill, value)


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    """The values as :class:`NotifySettings` has them. Raises :class:`ValueError`, which repeats no address."""
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        raise ValueError(f"has {unknown[0]}, which is none of {', '.join(KEYS)}")
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key == "urls":
            if not isinstance(value, list) or not all(isinstance(each, str) and "://" in each for each in value):
                raise ValueError('urls is no list of addresses such as ["mailto://…"]')
            found[key] = tuple(value)
        elif key == "ping":
            if not isinstance(value, str) or not _is_web_address(value):
                raise ValueError("ping is no web address")
            found[key] = value.rstrip("/")
        elif key in {"failures", "held"}:
            if not str(value).isdecimal() or int(value) < (key == "failures"):
                raise ValueError(f"{key} is no such number")
            found[key] = int(value)
        else:
            found[key] = PARSERS[key](str(value))
    return found


def _is_web_address(text: str) -> bool:
    try:
        return urlsplit(text).scheme in {"http", "https"} and bool(urlsplit(text).hostname)
    except ValueError:  # whose text repeats parts of the address
        return False
