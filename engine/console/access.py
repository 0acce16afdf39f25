"""Who asks, whether they may, and whether it was they who asked and not a page of somebody else's.

A browser that runs on this machine, or on one from which the console may be reached, is a way in for every page that
it shows. Three things keep such pages out. ``Host`` has to be a name of the console, so that no other name can be made
to lead here (DNS rebinding). What changes something has to come from the console's own origin, and to repeat a token
that only its own pages know (CSRF). And the session's cookie goes with requests of its own site alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.config.console import EVERY_ADDRESS
from engine.config.values import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from engine.config.console import ConsoleSettings

SESSION_SECONDS = 12 * 3600.0
"""After so long somebody has to log in again."""

MAX_SESSIONS = 1_000
"""So many people may be logged in; the oldest makes room."""

MAX_FAILED_LOGINS_PER_MINUTE = 10
"""After so many wrong passwords from one address in a minute, further ones from there are not looked at."""

MAX_ADDRESSES = 10_000
"""Of so many addresses it is known how many wrong passwords came from there."""

MAX_NAME_LENGTH = 100

COOKIE = "s2s-console"
"""The cookie of a session; over TLS with the prefix ``__Host-``, with which no other site can set it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. ``name`` is empty for somebody at this machine where nobody has to log in: they may look."""

    name: str = ""
    may_act: bool = False
    identity: str = ""
    """What the token of their forms is made with; a secret."""


@dataclass(frozen=True, slots=True)
class _Session:
    name: str
    password: str
    ends_at: float


class Passwords:
    """Checks passwords, one at a time: a check takes 64 MB and a good part of a second's work, on purpose."""

    def __init__(self) -> None:
        from argon2 import PasswordHasher

        self._hasher = PasswordHasher()
        self._hashing = threading.Lock()
        self._counting = threading.Lock()
        self._failed: dict[str, deque[float]] = {}
        self._nobody = self.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """The hash of a password, as ``workspace.toml`` has it."""
        return self._hasher.hash(password)

    def may_try(self, address: str) -> bool:
        """Whether a password from an address is looked at: not where too many from there were wrong."""
        with self._counting:
            failed = self._failed.get(address)
            if failed is None or len(failed) < MAX_FAILED_LOGINS_PER_MINUTE:
                return True
            return time.monotonic() - failed[0] >= 60  # noqa: PLR2004 - a minute

    def check(self, hashed: str, password: str, *, address: str) -> bool:
        """Whether a password is right. An empty hash is nobody's, and takes as long."""
        from argon2.exceptions import Argon2Error, InvalidHashError

        with self._hashing:
            if not self.may_try(address):
                return False
            try:
                self._hasher.verify(hashed or self._nobody, password)
                right = bool(hashed)
            except (Argon2Error, InvalidHashError):
                right = False
            if not right:
                self._count(address)
            return right

    def _count(self, address: str) -> None:
        with self._counting:
            if len(self._failed) >= MAX_ADDRESSES:
                self._failed.pop(next(iter(self._failed)))
            at = self._failed.setdefault(address, deque(maxlen=MAX_FAILED_LOGINS_PER_MINUTE))
            at.append(time.monotonic())


class Access:
    """Decides who asks; ``settings`` gives the settings as they are now."""

    def __init__(self, settings: Callable[[], ConsoleSettings], passwords: Passwords) -> None:
        self._settings = settings
        self._passwords = passwords
        self._key = secrets.token_bytes(32)
        self._sessions: dict[str, _Session] = {}

    @property
    def settings(self) -> ConsoleSettings:
        """The settings as they are now."""
        return self._settings()

    def is_own_host(self, request: Request) -> bool:
        """Whether a request is for this console: ``Host`` is one of its names."""
        return _name_of(request.headers.get("host", "")) in self._names()

    def is_own_origin(self, request: Request) -> bool:
        """Whether a request that changes something comes from a page of this console."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        try:
            origin = urlsplit(request.headers.get("origin", ""))
        except ValueError:
            return False
        host = request.headers.get("host", "").strip().lower()
        # Behind a proxy Host may be the proxy's own idea; the names are those that browsers use.
        return bool(origin.netloc) and (origin.netloc.lower() == host or origin.hostname in self.settings.names)

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None where they have to log in first, or where the proxy does not say who it is."""
        settings = self.settings
        if not settings.needs_login:
            return Visitor()
        if settings.proxy_header:
            names = request.headers.getlist(settings.proxy_header)
            if len(names) != 1 or not names[0].isprintable() or not 0 < len(names[0].strip()) <= MAX_NAME_LENGTH:
                return None
            name = names[0].strip()
            user = settings.users.get(name)
            return Visitor(name, user is not None and user.role == "operator", f"proxy {name}")
        token = request.cookies.get(self.cookie(request), "")
        session = self._sessions.get(_digest(token))
        user = None if session is None else settings.users.get(session.name)
        if session is None or user is None or session.ends_at < time.monotonic() or session.password != user.password:
            return None
        return Visitor(user.name, user.role == "operator", token)

    def log_in(self, name: str, password: str, *, address: str) -> str | None:
        """Begin a session, and give its token; None where the name or the password is wrong."""
        user = self.settings.users.get(name)
        hashed = "" if user is None else user.password
        if not self._passwords.check(hashed, password, address=address) or user is None:
            return None
        token = secrets.token_urlsafe(32)
        now = time.monotonic()
        self._sessions = {each: known for each, known in self._sessions.items() if known.ends_at > now}
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(token)] = _Session(name, user.password, now + SESSION_SECONDS)
        return token

    def log_out(self, request: Request) -> None:
        """End the session of a request."""
        self._sessions.pop(_digest(request.cookies.get(self.cookie(request), "")), None)

    def may_try(self, address: str) -> bool:
        """Whether a password from an address is looked at."""
        return self._passwords.may_try(address)

    def form_token(self, identity: str) -> str:
        """What a form has to repeat that a page showed to ``identity``."""
        return hmac.new(self._key, identity.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, token: str, identity: str) -> bool:
        """Whether a form repeats it."""
        return hmac.compare_digest(token.encode(), self.form_token(identity).encode())

    @staticmethod
    def cookie(request: Request) -> str:
        """The name of the session's cookie."""
        return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE

    def _names(self) -> frozenset[str]:
        settings = self.settings
        return (LOOPBACK_HOSTS | {settings.host.lower(), *settings.names}) - EVERY_ADDRESS


def may_read_metrics(settings: ConsoleSettings, request: Request) -> bool:
    """Whether a request for the numbers of all projects comes from this machine, and from no page of a browser's.

    What comes through a proxy comes from this machine, too, so there nobody may.
    """
    own = _name_of(request.headers.get("host", "")) in LOOPBACK_HOSTS
    return own and client_address(request) in LOOPBACK_HOSTS and not settings.proxy_header


def client_address(request: Request) -> str:
    """The address from which a request came."""
    return request.client.host if request.client is not None else ""


def _name_of(host: str) -> str:
    """The name or address in a header ``Host``, without its port."""
    host = host.strip().lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
