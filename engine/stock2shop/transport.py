"""transport."""

from __future__ import annotations

import html
import logging
import random
import re
import time
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.errors import ApiError, UnavailableError
from engine.stock2shop.responses import parse_date, parse_json

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    import requests

BACKOFF_SECONDS = 1.0
"""Seconds: the ceiling of the first backoff; it doubles with every further one."""

MAX_BACKOFF_SECONDS = 60.0
"""Seconds: the ceiling of every backoff."""

MAX_WAIT_SECONDS = 600.0
"""Seconds: a longer ``Retry-After`` is left to the next run, which the scheduler starts anyway. So is an answer that
still trickles in by then: no read of it may ever time out."""

MAX_RESPONSE_BYTES = 256_000_000
"""Bytes: a longer answer is none of Stock2Shop's; a page of the read-back with long descriptions is a tenth of it."""

READ_CHUNK_BYTES = 65_536
"""Bytes of an answer that are taken at a time, at most."""

RETRY_HINT = "Nothing is lost: the next run sends the same changes again."

TRANSIENT_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})

log = logging.getLogger(__name__)


def _utc() -> datetime:
    return datetime.now(timezone.utc)


def _wait(stop: threading.Event, seconds: float) -> None:
    """Wait for ``stop``, or so many seconds; Windows hears Ctrl-C only between two waits."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, 1)):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How time passes for pace and backoff.

    ``now`` counts seconds and never steps back, ``utc`` is the time of day, ``wait`` sleeps until the event is set
    or so many seconds went by, and ``draw`` picks a number between two.
    """

    now: Callable[[], float] = time.monotonic
    utc: Callable[[], datetime] = _utc
    wait: Callable[[threading.Event, float], object] = _wait
    draw: Callable[[float, float], float] = random.SystemRandom().uniform


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApiRequest:
    """One request; ``params`` may hold the token and ``document`` the password, so neither is in its repr."""

    method: str
    path: str
    shown: str = ""
    params: Mapping[str, str]
    document: bytes | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.shown:
            object.__setattr__(self, "shown", self.path)

    @property
    def line(self) -> str:
        """Method and path, as messages show the request."""
        return f"{self.method} {self.shown}"

    def with_token(self, token: str) -> ApiRequest:
        """The same request with ``token`` as its query parameter."""
        return replace(self, params={**self.params, "token": token})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt came to nothing: a predicate for Stock2Shop, and whether the next attempt may do better."""

    what: str
    hint: str = ""
    passing: bool = True
    wait: float | None = None
    kind: type[ApiError] = UnavailableError


HALF_ANSWER = Failure(what="broke off in the middle of its answer")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """An answer that arrived whole. ``read`` says whether its body is JSON, which ``data`` then holds."""

    what: str
    status: int
    body: bytes
    content_type: str
    location: str
    retry_after: str
    date: datetime | None
    seconds: float
    data: Any
    read: bool

    @classmethod
    def of(cls, request: ApiRequest, status: int, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """The answer to ``request``, with its body parsed as JSON where it is JSON."""
        read, data = parse_json(body, exact=request.exact)
        if not body and status == HTTPStatus.NO_CONTENT:
            read = True
        return cls(
            what=request.line,
            status=status,
            body=body,
            content_type=headers.get("Content-Type", ""),
            location=headers.get("Location", ""),
            retry_after=headers.get("Retry-After", ""),
            date=parse_date(headers.get("Date", "")),
            seconds=seconds,
            data=data,
            read=read,
        )

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page, such as a captive portal's, instead of JSON."""
        return "html" in self.content_type.lower() or self.body.lstrip()[:1] == b"<"

    @property
    def text(self) -> str:
        """The body as text, a web page without its tags."""
        text = self.body.decode("utf-8", "replace")
        if self.is_page:
            text = html.unescape(re.sub(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>", " ", text))
        return text


def no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: any ``auth`` at all keeps requests from reading .netrc, and proxies stay in use."""
    return request


def proxies_for(url: str) -> dict[str, str]:
    """No proxy to this machine itself, whatever Windows' settings or the environment say of one."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if host in {"localhost", "127.0.0.1", "::1"} else {}


def host_of(url: str) -> str:
    """The host and port of ``url``, never its user; empty where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    return f"{parts.hostname or ''}:{port}" if port else parts.hostname or ""


def status_phrase(status: int) -> str:
    """``status`` with its standard phrase, such as ``404 Not Found``."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def printable(text: str) -> str:
    """``text`` on one line, without control characters."""
    kept = (" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join("".join(kept).split())
