"""Who may send orders to the receiver: its token or password, its own name, and no web page of somebody else's.

A receiver without a token listens on this machine only. Two things could still reach it from outside, both through a
browser that runs here: a page that posts to it, and a page whose own name was made to lead to this machine (DNS
rebinding). The first is told by ``Origin``, the second by ``Host``.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections import deque
from typing import TYPE_CHECKING

from engine.orders.replies import error_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.model.settings import ReceiverSettings
    from engine.orders.replies import Reply

MAX_FAILED_LOGINS_PER_MINUTE = 20
"""After so many wrong tokens in a minute, further wrong ones are answered with 429."""

FAILED_LOGIN_DELAY_SECONDS = 1.0
"""So long the answer to a wrong token or password waits."""

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names under which this machine calls itself."""


class AccessRules:
    """Decides which requests the receiver of one project takes.

    ``on_refused`` is called with a sentence about each wrong login, and with its facts as keyword arguments.
    """

    def __init__(self, settings: ReceiverSettings, *, on_refused: Callable[..., None]) -> None:
        self._settings = settings
        self._on_refused = on_refused
        self._failed_logins: deque[float] = deque(maxlen=MAX_FAILED_LOGINS_PER_MINUTE)

    @property
    def is_open(self) -> bool:
        """Whether orders are taken without a token or a password."""
        return not (self._settings.token or (self._settings.username and self._settings.password))

    def check_host(self, headers: Mapping[str, str]) -> Reply | None:
        """Return None where a request is for this receiver, else what to answer.

        With a token any ``Host`` is taken, for a tunnel may have a name of its own.
        """
        name = headers.get("host", "").strip().lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if not self.is_open or name in OWN_NAMES or name == self._settings.host.lower():
            return None
        return error_reply(
            421,
            "The request's Host is not the name of this receiver.",
            f"Send to {self._settings.host}, or set a token under [orders.serve].",
        )

    def check_origin(self, headers: Mapping[str, str], *, scheme: str) -> Reply | None:
        """Return None unless a request may be from a web page of somebody else's, else what to answer.

        ``scheme`` is http or https. A page cannot send a token by itself, but it can have the browser send a password.
        """
        login = headers.get("authorization", "").partition(" ")[0].lower()
        if not self.is_open and login != "basic":
            return None
        origin = headers.get("origin")
        if origin is None:
            from_browser = "sec-fetch-site" in headers or headers.get("user-agent", "").startswith("Mozilla/")
            own = not from_browser
        else:
            own = origin.strip().lower() == f"{scheme}://{headers.get('host', '').strip().lower()}"
        if own:
            return None
        return error_reply(403, "Web pages may not send orders.", "Set a token under [orders.serve].")

    def check_credentials(self, authorization: str) -> Reply | None:
        """Return None where the Authorization header is right, else what to answer; in constant time."""
        settings = self._settings
        accepted = []
        if settings.token:
            accepted.append(f"Bearer {settings.token}")
        if settings.username and settings.password:
            pair = f"{settings.username}:{settings.password}".encode()
            accepted.append(f"Basic {base64.b64encode(pair).decode()}")
        if not accepted:
            return None
        scheme, _, credentials = authorization.partition(" ")
        given = f"{scheme.title()} {credentials.strip()}"  # a scheme is the same in any case (RFC 9110, 11.1)
        matches = [hmac.compare_digest(given.encode(), each.encode()) for each in accepted]
        if any(matches):
            return None
        at = time.monotonic()
        too_many = len(self._failed_logins) == MAX_FAILED_LOGINS_PER_MINUTE and at - self._failed_logins[0] < 60  # noqa: PLR2004 - a minute
        self._failed_logins.append(at)
        if too_many:
            return error_reply(429, "Too many wrong tokens.", "Wait a minute.", retry_after=60)
        self._on_refused("A request was refused: the token or the password is missing or wrong.", status=401)
        return error_reply(
            401, "The token or the password is missing or wrong.", "Send it in the Authorization header."
        )
