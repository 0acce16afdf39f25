"""One request to Stock2Shop and one answer, as values, and how messages show them.

Neither prints its parameters or its body: they may hold the token, the password or a customer's data.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from engine.stock2shop.responses import parse_date, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Contents:
    """What is known of what a request holds, to read the answer to it.

    ``redact`` hides what the request holds of people in a text. ``find_named`` takes the answer's JSON value and its
    text, and gives the items of the request that it speaks of: by the kind of the guess, numbered from 0. ``items`` is
    how many there are; 0 where that does not matter.
    """

    redact: Callable[[str], str] = str
    find_named: Callable[[Any, str], Mapping[str, Sequence[int]]] = lambda _data, _text: {}
    items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApiRequest:
    """One request.

    ``path`` follows the settings' ``url``; ``shown`` is the path that messages show, where the real one holds a
    secret. With ``exact``, the answer's numbers with a fraction are read as Decimals. Without ``takes_turn`` it
    does not wait for the pace.
    """

    method: str
    path: str
    shown: str = ""
    params: Mapping[str, str]
    document: bytes | None = None
    exact: bool = False
    takes_turn: bool = True
    contents: Contents = field(default_factory=Contents)

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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """An answer that arrived whole.

    ``what`` is the request's line. ``data`` is the body's JSON value where ``is_json``, else None. ``date`` is the
    server's clock in UTC, where it told it; ``seconds`` is how long the request took.
    """

    what: str
    status: int
    body: bytes
    content_type: str
    location: str
    retry_after: str
    date: datetime | None
    seconds: float
    data: Any
    is_json: bool
    contents: Contents

    @classmethod
    def of(cls, request: ApiRequest, status: int, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """The answer to ``request``, with its body parsed as JSON where it is JSON."""
        is_json, data = parse_json(body, exact=request.exact)
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
            is_json=is_json or (not body and status == HTTPStatus.NO_CONTENT),
            contents=request.contents,
        )

    @property
    def succeeded(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def named(self) -> Mapping[str, Sequence[int]]:
        """The items of the request that the answer speaks of, by the kind of the guess, numbered from 0."""
        return self.contents.find_named(self.data, self.text)

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page, such as a captive portal's, instead of JSON."""
        return "html" in self.content_type.lower() or self.body.lstrip()[:1] == b"<"

    def redirect_host(self, url: str) -> str:
        """The host that a redirect of a request to ``url`` leads to; empty where its Location names none."""
        try:
            return host_of(urljoin(url, self.location)) if self.location else ""
        except ValueError:
            return ""

    @property
    def text(self) -> str:
        """The body as text, a web page without its tags."""
        text = self.body.decode("utf-8", "replace")
        if self.is_page:
            text = html.unescape(re.sub(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>", " ", text))
        return text


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
    """``text`` on one line, without control characters, surrogates and invisible format characters."""
    kept = (" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join("".join(kept).split())
