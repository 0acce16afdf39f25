"""Where a session's token comes from.

Authenticating ends every earlier token of the user (P), so whoever shares a user must share its token too. The
protocol is the seam for that; the default keeps one token for one session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Tokens(Protocol):
    """Keeps the token that is in use."""

    def get(self, log_in: Callable[[], str]) -> str:
        """The token in use. Where there is none, ``log_in`` authenticates and gives a fresh one."""

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""


class SessionTokens:
    """The token of one session, kept in memory."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, log_in: Callable[[], str]) -> str:
        """The token in use. Where there is none, ``log_in`` authenticates and gives a fresh one."""
        if not self._token:
            self._token = log_in()
        return self._token

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""
        if token == self._token:
            self._token = ""
