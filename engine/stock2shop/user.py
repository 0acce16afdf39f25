"""What the sessions of one Stock2Shop user share: the token, and when the next request may begin.

Authenticating ends every earlier token of the user (P), and Stock2Shop limits a user's requests, however many programs
send them. :class:`Tokens` and :class:`Pace` are the seams for that. Here they are kept in memory, for one session or
for several of one process; :mod:`engine.stock2shop.local_user` keeps them for all processes of a machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Tokens(Protocol):
    """Keeps the token that is in use."""

    def get(self, log_in: Callable[[], str], *, wait: Callable[[float], None]) -> str:
        """The token in use. Where there is none, ``log_in`` authenticates and gives a fresh one.

        While another session authenticates, its token is waited for: ``wait`` sleeps for so many seconds, or raises
        what ends the session.
        """

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""


class Pace(Protocol):
    """Who says when the next request may begin: one run for itself, or several that share a Stock2Shop user."""

    def reserve(self) -> float:
        """Reserve the next turn; gives the seconds until it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The token and the pace of one Stock2Shop user."""

    tokens: Tokens
    pace: Pace


PASSWORD_CHECK_BYTES = 2
"""Bytes of a salted hash of the password: they show that it was changed, and say too little of it to find it out."""


def check_of_password(password: str, salt: bytes) -> bytes:
    """What is kept beside a shared token, so that whoever has another password by now does not use it."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1_000, PASSWORD_CHECK_BYTES)


class SessionTokens:
    """The token of one session, kept in memory."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, log_in: Callable[[], str], *, wait: Callable[[float], None]) -> str:  # noqa: ARG002 - nobody else logs in
        """The token in use. Where there is none, ``log_in`` authenticates and gives a fresh one."""
        if not self._token:
            self._token = log_in()
        return self._token

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""
        if token == self._token:
            self._token = ""


class SteadyPace:
    """The pace of one run: turns at even intervals, and a pause earns no burst.

    >>> pace = SteadyPace(2.0, now=lambda: 100.0)
    >>> [pace.reserve() for _ in range(3)]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, requests_per_second: float, *, now: Callable[[], float]) -> None:
        self._interval = 1 / requests_per_second if requests_per_second > 0 else 0.0
        self._now = now
        self._next_turn = now()

    def reserve(self) -> float:
        """Reserve the next turn; gives the seconds until it comes."""
        now = self._now()
        turn = max(now, self._next_turn)
        self._next_turn = turn + self._interval
        return turn - now
