"""The operating system's own store for secrets: Windows Credential Manager, macOS Keychain, Secret Service.

``${keyring:acme/password}`` in project.toml reads one of it. A secret is of the account that wrote it: on Windows and
macOS nobody else reads it, so the account that a schedule runs as has to write its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

REFERENCE = re.compile(r"keyring:(?P<project>[A-Za-z0-9._-]+)/(?P<name>[A-Za-z0-9._-]+)")
"""What stands in ``${…}`` for a secret of the store: a project's name, and the secret's, whose case does not matter."""

SERVICE_PREFIX = "s2s/"
"""What the names of our secrets begin with in the store: nothing else in it is ever read."""

ACCOUNT = "s2s"
"""The user name that each secret stands under; the store wants one."""


def read_secret(project: str, name: str) -> str | None:
    """Read a secret; None where the store has none of this name. Raises :class:`UsageError` where it cannot be used."""
    keyring = _keyring()
    try:
        found: str | None = keyring.get_password(_service(project, name), ACCOUNT)
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None
    return found


def write_secret(project: str, name: str, value: str) -> str:
    """Write a secret in place of an earlier one, and give the store's name. Raises :class:`UsageError` as reading."""
    keyring = _keyring()
    try:
        keyring.set_password(_service(project, name), ACCOUNT, value)
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None
    return str(keyring.get_keyring().name)


def remove_secret(project: str, name: str) -> bool:
    """Remove a secret; gives whether there was one. Raises :class:`UsageError` as reading."""
    keyring = _keyring()
    try:
        if keyring.get_password(_service(project, name), ACCOUNT) is None:
            return False
        keyring.delete_password(_service(project, name), ACCOUNT)
    except keyring.errors.KeyringError as error:
        raise _refused(error) from None
    return True


def _service(project: str, name: str) -> str:
    """The name of a secret in the store; each has one of its own, since Windows keeps one user a name."""
    return f"{SERVICE_PREFIX}{project}/{name}".lower()


def _keyring() -> ModuleType:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise UsageError(
            "The keyring library is not installed, so the system's store of secrets cannot be read.",
            hint="Install it with `pip install keyring`, or write the secret to .env.",
        ) from None
    return keyring


def _refused(error: Exception) -> UsageError:
    return UsageError(
        f"The system's store of secrets cannot be used: {type(error).__name__}.",
        hint="On a Linux server there is usually none: write the secret to .env, or set it in the environment. On"
        " Windows and macOS the account that runs s2s must be logged on, with its profile loaded.",
    )
