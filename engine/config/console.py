"""Who may look at the console, and where it listens: ``[console]`` of ``workspace.toml``.

Without it the console is for whoever is at this machine, shows, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.config.toml_text import parse_toml, read_settings_text
from engine.config.values import LOOPBACK_HOSTS
from engine.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Role = Literal["viewer", "operator"]

KEYS = ("host", "names", "tls_certificate", "tls_key", "proxy_header", "users")

HASH_BEGINS = "$argon2id$"
"""How the hash of a password begins, which ``s2s console password`` prints."""

EVERY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what is not let in without names
"""Hosts that stand for all addresses of a machine, and name none."""


@dataclass(frozen=True, slots=True)
class ConsoleUser:
    """Somebody who may log in. A viewer sees masked data, an operator may reveal it, and act.

    ``password`` is a hash of argon2; empty for those whom only a proxy lets in.
    """

    name: str
    role: Role = "viewer"
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Where the console listens, and whom it lets in.

    ``names`` are the names under which browsers reach it besides ``host``. A reverse proxy on this machine says in
    ``proxy_header`` who it is that asks.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    proxy_header: str = ""
    users: Mapping[str, ConsoleUser] = field(default_factory=dict)

    @property
    def needs_login(self) -> bool:
        """Whether it is to be known who asks."""
        return bool(self.users or self.proxy_header)

    @property
    def is_open_to_others(self) -> bool:
        """Whether other machines reach it, directly or through a proxy."""
        return self.host not in LOOPBACK_HOSTS or bool(self.proxy_header or self.names)


def read_console(workspace: Path, *, shared: Path | None = None) -> ConsoleSettings:
    """The console's settings, those of ``shared`` in place of workspace.toml.

    Raises :class:`ConfigError` where they cannot be read, or would let in anybody.
    """
    path = shared or workspace / "workspace.toml"
    text = read_settings_text(path, path.parent)
    if text is None:
        return ConsoleSettings()
    table = parse_toml(text, path=path).get("console", {})
    try:
        return _settings(table, workspace)
    except ValueError as error:
        hint = "`s2s help console` has an example of [console]."
        raise ConfigError([Diagnostic(path=path, message=f"[console] {error}.", hint=hint)]) from None


def _settings(table: Any, workspace: Path) -> ConsoleSettings:
    """Check the table. Raises :class:`ValueError` with what is wrong, and no hash of a password."""
    if not isinstance(table, dict):
        raise ValueError("is no table")  # noqa: TRY004 - of a file
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        raise ValueError(f"has {unknown[0]}, which is none of {', '.join(KEYS)}")
    for key in ("host", "tls_certificate", "tls_key", "proxy_header"):
        if key in table and not (isinstance(table[key], str) and table[key]):
            raise ValueError(f"{key} is no text")
    names = table.get("names", [])
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise ValueError('names is no list such as ["s2s.example.com"]')
    files = {key: workspace / table[key] if key in table else None for key in ("tls_certificate", "tls_key")}
    settings = ConsoleSettings(
        host=table.get("host", "127.0.0.1"),
        names=tuple(each.lower() for each in names),
        proxy_header=table.get("proxy_header", ""),
        users=_users(table.get("users", {})),
        **files,
    )
    _check_access(settings)
    return settings


def _users(table: Any) -> dict[str, ConsoleUser]:
    if not isinstance(table, dict) or not all(isinstance(each, dict) for each in table.values()):
        raise ValueError("users is no table of tables such as [console.users.anna]")
    found = {}
    for name, values in table.items():
        unknown = [key for key in values if key not in {"role", "password"}]
        if unknown:
            raise ValueError(f"users.{name} has {unknown[0]}, which is none of role, password")
        role, password = values.get("role", "viewer"), values.get("password", "")
        if role not in {"viewer", "operator"}:
            raise ValueError(f'users.{name} has a role that is neither "viewer" nor "operator"')
        if password and not (isinstance(password, str) and password.startswith(HASH_BEGINS)):
            raise ValueError(f"users.{name} has a password that is no hash: `s2s console password {name}` prints one")
        found[name] = ConsoleUser(name, role, password)
    return found


def _check_access(settings: ConsoleSettings) -> None:
    """Refuse what would let in more than is meant."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ValueError("TLS needs both tls_certificate and tls_key")
    has_password = any(user.password for user in settings.users.values())
    if settings.proxy_header and settings.host not in LOOPBACK_HOSTS:
        raise ValueError("proxy_header is for a proxy on this machine: any other one could be anybody; leave out host")
    if settings.users and not (has_password or settings.proxy_header):
        raise ValueError("has users of whom none has a password: `s2s console password NAME` prints one")
    if settings.names and not settings.needs_login:
        raise ValueError("has names under which others reach it, and no users: anybody could look")
    if settings.host not in LOOPBACK_HOSTS:
        if not has_password:
            raise ValueError("listens to other machines, and has no users with a password")
        if settings.tls_certificate is None:
            raise ValueError("listens to other machines without TLS: passwords could be read on the way")
        if settings.host in EVERY_ADDRESS and not settings.names:
            raise ValueError("listens on every address: names has to say under which names browsers reach it")
