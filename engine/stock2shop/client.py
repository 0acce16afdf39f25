"""Stock2Shop over HTTP: tokens, pace, retries, receipts.

The facts come from Stock2Shop's public developer pages and repositories. Each method's docstring says how firmly
they stand: **P** is stated there, **I** is inferred from them, **U** is not public and read leniently.

Sending twice is safe, because Stock2Shop upserts by source code (P). So whatever leaves it open whether a request
was taken (a dropped connection, a timeout, half an answer) is simply tried again.
"""

from __future__ import annotations

import errno
import html
import json
import logging
import random
import re
import socket
import ssl
import threading
import time
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, quote_plus, urljoin, urlsplit

from engine import __version__
from engine.errors import (
    AnswerError,
    ApiError,
    AuthenticationError,
    CancelledError,
    DeadlineError,
    Fault,
    ProjectError,
    RefusedError,
    ServerError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import requests

    from engine.model.settings import Stock2ShopSettings

BACKOFF = 1.0
"""Seconds: the ceiling of the first backoff; it doubles with every further one."""

BACKOFF_CAP = 60.0
"""Seconds: the ceiling of every backoff."""

PATIENCE = 600.0
"""Seconds: a longer ``Retry-After`` is left to the next run, which the scheduler starts anyway. So is an answer that
still trickles in by then: no read of it may ever time out."""

LARGEST = 256_000_000
"""Bytes: a longer answer is none of Stock2Shop's; a page of the read-back with long descriptions is a tenth of it."""

PIECE = 65_536
"""Bytes of an answer that are taken at a time, at most."""

OPENING = 2
"""How many requests a run makes before its first batch: it authenticates, and asks for its source's sync token."""

PAGE = 250
"""How many products a page of the read-back holds: a few MB with long descriptions."""

REASON = 500
"""Characters of an answer that an error repeats."""

AGAIN = "Nothing is lost: the next run sends the same changes again."

_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_WRONG_USER = _DENIED | {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_NOT_VALID = _DENIED | {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
_WRONG_ADDRESS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})

_URL_HINT = "Check `url` under [stock2shop] in project.toml; Stock2Shop's own is https://app.stock2shop.com/v1."
_PROXY_HINT = (
    "Check HTTPS_PROXY and NO_PROXY in the environment of the run; on Windows also the proxy in the settings of the"
    " account that runs it."
)
_CA_HINT = (
    "Where a company's proxy inspects TLS, point REQUESTS_CA_BUNDLE to a file with its CA certificate;"
    " otherwise check `url` under [stock2shop] and this machine's clock."
)

_INSTRUCTION = re.compile(r"(sync|add|delete)_(product|customer)(s|_\w+)?")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """A source as Stock2Shop knows it.

    Each product echoes ``sync_token``; a source whose token changed wants everything again (I).
    """

    id: int
    sync_token: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What Stock2Shop answered for a batch that it took.

    ``queued`` is its own count, or None where the answer holds none. ``answered_at`` is UTC; ``seconds`` is how
    long the request that it took was on its way, waits and failed attempts not counted.
    """

    status: int
    queued: int | None
    answered_at: datetime
    seconds: float


class Api(Protocol):
    """What the engine needs of Stock2Shop: the seam between a run and the network."""

    @property
    def requests_made(self) -> int:
        """How many requests went out so far, failed attempts and authentications included."""

    def sources(self) -> tuple[RemoteSource, ...]:
        """Every source of the user."""

    def source(self) -> RemoteSource:
        """The project's own source."""

    def queue(self, path: str, document: bytes, *, items: int, retries: int | None = None) -> Receipt:
        """Queue ``document``, which holds ``items`` items; ``retries`` stands in for the project's own number."""

    def read_back(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        """Everything of the source that Stock2Shop holds now, as the list ``name`` of what ``path`` answers."""

    def valid_token(self) -> bool:
        """Whether the token in use is good."""

    def queue_summary(self) -> dict[str, Any]:
        """The counts of what Stock2Shop has not worked through yet."""

    def queue_items(
        self,
        *,
        status: str | None = None,
        instructions: str | None = None,
        limit: int = 100,
        more: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """The items of the source's queue."""


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


@contextmanager
def open_api(
    settings: Stock2ShopSettings,
    *,
    until: float | None = None,
    stop: threading.Event | None = None,
    timing: Timing | None = None,
) -> Iterator[Stock2Shop]:
    """Give a session with Stock2Shop that lasts as long as the block. Nothing is sent before the first call.

    ``until`` is a :func:`time.monotonic` time: no wait lasts beyond it, and no request begins after it. One that
    is on its way by then is waited for, since what it did could not be known otherwise. Once ``stop`` is set,
    waits end and no further request begins. ``timing`` stands in for the clock.

    Proxies and REQUESTS_CA_BUNDLE are taken from the environment; ``.netrc`` is not read. Raises
    :class:`ProjectError` when the settings' ``url`` is no HTTP address.
    """
    import requests

    url = settings.url.rstrip("/")
    host = _host(url)
    if not host or urlsplit(url).scheme not in {"http", "https"}:
        fault = Fault(message="`url` under [stock2shop] is no HTTP address", hint="Write it as https://host/path.")
        raise ProjectError([fault], hint=_URL_HINT)
    secrets = _Secrets([settings.password, settings.username])
    pool = logging.getLogger("urllib3.connectionpool")
    pool.addFilter(secrets.filter)
    try:
        with requests.Session() as session:
            session.auth = _no_credentials
            session.headers["User-Agent"] = f"stock2shop-sync/{__version__}"
            session.headers["Accept"] = "application/json"
            yield Stock2Shop(
                replace(settings, url=url),
                session=session,
                host=host,
                secrets=secrets,
                until=until,
                stop=stop or threading.Event(),
                timing=timing or Timing(),
            )
    finally:
        pool.removeFilter(secrets.filter)


class Stock2Shop:
    """A session with Stock2Shop, made by :func:`open_api`; it belongs to one thread.

    Every method may raise :class:`UnavailableError` (not reached, or failing until the retries ran out),
    :class:`AuthenticationError`, :class:`AnswerError` (not what is documented), :class:`RefusedError` (any other
    4xx) and :class:`CancelledError`.
    """

    def __init__(
        self,
        settings: Stock2ShopSettings,
        *,
        session: requests.Session,
        host: str,
        secrets: _Secrets,
        until: float | None,
        stop: threading.Event,
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._session = session
        self._host = host
        self._secrets = secrets
        self._until = until
        self._stop = stop
        self._timing = timing
        self._token = ""
        self._turn = timing.now()
        self._requests_made = 0
        self._clock_offset: float | None = None

    @property
    def requests_made(self) -> int:
        """How many requests went out so far, failed attempts and authentications included."""
        return self._requests_made

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which Stock2Shop's clock was ahead of this machine's at its last answer; None where unknown."""
        return self._clock_offset

    def sources(self) -> tuple[RemoteSource, ...]:
        """Every source of the user: ``GET /sources`` (P; the answer's names are I)."""
        answer = self._ask("GET", "/sources", params={"format": "json"})
        found = _list(answer.data, "system_sources", "sources")
        if found is None:
            raise self._odd(answer, "the answer holds no list of sources")
        sources = []
        for entry in found:
            number = _whole(entry.get("id"))
            if number is None:
                raise self._odd(answer, "a source has no id")
            token = entry.get("sync_token")
            sources.append(
                RemoteSource(
                    id=number,
                    sync_token="0" if token is None else str(token),
                    description=_printable(str(entry.get("description") or "")),
                )
            )
        return tuple(sources)

    def source(self) -> RemoteSource:
        """The source that the settings name.

        Raises :class:`AuthenticationError`, with the sources that there are, when it is not one of the user's.
        """
        sources = self.sources()
        for source in sources:
            if source.id == self._settings.source_id:
                return source
        known = ", ".join(f"{one.id} ({one.description})" if one.description else str(one.id) for one in sources)
        raise AuthenticationError(
            f"Stock2Shop gives this user no source {self._settings.source_id}."
            f" {f'It gives: {known}.' if known else 'It gives none at all.'}",
            hint="Set `source_id` under [stock2shop] in project.toml to one of the user's sources,"
            " or have the source assigned to the user in Stock2Shop's console.",
        )

    def queue(self, path: str, document: bytes, *, items: int, retries: int | None = None) -> Receipt:
        """Queue ``document``, JSON with ``items`` items, at ``path`` such as ``/products/queue`` (P).

        The answer's shape is not public (U); a public client reads ``{"system_products": {"sync_product": 2}}``.
        A 2xx answer that names errors, or counts fewer than ``items``, is a :class:`RefusedError`, so that the
        sender can look for the item that is at fault. ``retries`` stands in for the project's own number of them.
        Raises :class:`ServerError` where Stock2Shop answers 500 until they run out.
        """
        params = {"source_id": str(self._settings.source_id)}
        answer = self._ask("POST", path, params=params, document=document, retries=retries)
        complaint = self._clean(_complaint(answer.data))
        queued = _queued(answer.data)
        if not complaint and queued is not None and queued < items:
            complaint = f"it queued {queued} of {items} items"
        if complaint:
            raise RefusedError(
                f"Stock2Shop did not take all of {answer.what}: {complaint}",
                reason=complaint,
                status=answer.status,
                hint="Mend the item in the source, or leave it out of the view.",
            )
        return Receipt(status=answer.status, queued=queued, answered_at=self._timing.utc(), seconds=answer.seconds)

    def read_back(
        self, path: str = "/products/elastic_search", name: str = "system_products"
    ) -> Iterator[dict[str, Any]]:
        """Everything of the source that Stock2Shop holds now, by its id, a page at a time.

        ``POST /products/elastic_search`` takes an Elasticsearch query. ``system_products`` of its answer is the
        live data; which products are found follows an index that may lag behind and knows active ones only (P).
        Each page asks for ids above the last, so that changes in between shift nothing and Elasticsearch's limit
        of 10,000 hits is no limit here; that ``id`` can be sorted by is I. Fractions are Decimals.
        """
        last = 0
        while True:
            query = {
                "query": {
                    "bool": {
                        "filter": [
                            {"term": {"source_id": self._settings.source_id}},
                            {"range": {"id": {"gt": last}}},
                        ]
                    }
                },
                "size": PAGE,
                "from": 0,
                "sort": {"id": {"order": "asc", "unmapped_type": "long"}},
            }
            document = json.dumps(query).encode()
            answer = self._ask("POST", path, document=document, exact=True)
            found = _list(answer.data, name)
            if found is None:
                raise self._odd(answer, f"the answer holds no list {name}")
            ids = [*map(_identity, found), *map(_identity, _hits(answer.data))]
            if not ids:
                return
            if any(number is None or number <= last for number in ids):
                raise self._odd(answer, "a page repeats what the one before held, or gives it no id")
            yield from (entry for entry in found if _whole(entry.get("source_id")) in {None, self._settings.source_id})
            last = max(number for number in ids if number is not None)

    def valid_token(self) -> bool:
        """Whether the token in use is good: ``GET /users/valid_token/{token}`` (P; the answer's shape is I).

        Authenticates first where there is no token yet.
        """
        token = self._token or self._authenticate()
        answer = self._patiently(
            _Request(
                method="GET",
                path=f"/users/valid_token/{quote(token, safe='')}",
                shown="/users/valid_token",
                params={"format": "json"},
            )
        )
        if answer.status in _NOT_VALID:
            valid = False
        else:
            self._accept(answer)
            valid = _vouched(answer.data)
        if not valid:
            self._token = ""
        return valid

    def queue_summary(self) -> dict[str, Any]:
        """The counts of what Stock2Shop has not worked through yet: ``GET /queue/summary`` (P; shape U)."""
        answer = self._ask("GET", "/queue/summary", params={"format": "json"})
        if not isinstance(answer.data, dict):
            raise self._odd(answer, "the answer is no JSON object")
        return answer.data

    def queue_items(
        self,
        *,
        status: str | None = None,
        instructions: str | None = None,
        limit: int = 100,
        more: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """At most ``limit`` items of the source's queue: ``GET /queue/items`` (P, seen in use; shape U).

        ``status`` such as ``failed`` and ``instructions`` such as ``add_order`` narrow them down; ``more`` are other
        parameters. Numbers with a fraction are Decimals: an item may be an order, with money in it.
        """
        source_id = str(self._settings.source_id)
        params = {"format": "json", "source_id": source_id, "limit": str(limit), **(more or {})}
        if status is not None:
            params["status"] = status
        if instructions is not None:
            params["instructions"] = instructions
        answer = self._ask("GET", "/queue/items", params=params, exact=True)
        found = _list(answer.data, "system_queue_items", "system_queue", "queue_items", "items")
        if found is None:
            raise self._odd(answer, "the answer holds no list of queue items")
        return found

    def _authenticate(self) -> str:
        """A fresh token: ``POST /users/authenticate`` (P). Every earlier token of the user ends with it (P)."""
        user = {"username": self._settings.username, "password": self._settings.password}
        answer = self._patiently(
            _Request(
                method="POST",
                path="/users/authenticate",
                params={"format": "json"},
                document=json.dumps({"system_user_auth": user}).encode(),
            )
        )
        accepted = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        token = _token(answer.data) if accepted else ""
        if token:
            self._secrets.add(token)
            self._token = token
            return token
        if answer.status in _WRONG_USER or (accepted and _complaint(answer.data)):
            raise AuthenticationError(
                f"Stock2Shop at {self._host} refuses the user name or the password. It says: {self._reason(answer)}",
                hint="Check `username` and `password` under [stock2shop] in project.toml, and the variables or the"
                " .env that fill them in.",
            )
        if accepted:
            raise self._odd(answer, "the answer holds no token")
        try:
            self._accept(answer)
        except RefusedError as error:
            refused = error.message
        raise AnswerError(refused, hint=_URL_HINT)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        document: bytes | None = None,
        exact: bool = False,
        retries: int | None = None,
    ) -> _Answer:
        """Send a request with the token, renewed at most once, and give its 2xx answer."""
        request = _Request(method=method, path=path, params=params or {}, document=document, exact=exact)
        answer = self._patiently(request.with_token(self._token or self._authenticate()), retries=retries)
        if answer.status in _DENIED:
            self._token = ""
            answer = self._patiently(request.with_token(self._authenticate()), retries=retries)
        if answer.status in _DENIED:
            raise AuthenticationError(
                f"Stock2Shop at {self._host} refuses {answer.what} even with a fresh token."
                f" It says: {self._reason(answer)}",
                hint="Give this project a user of its own, since each login ends the user's other tokens;"
                " check too that the user may use this source.",
            )
        self._accept(answer)
        return answer

    def _patiently(self, request: _Request, *, retries: int | None = None) -> _Answer:
        """Send ``request`` until it has an answer worth reading: 2xx with JSON, 3xx or 4xx."""
        retries = self._settings.retries if retries is None else min(retries, self._settings.retries)
        tries = 0
        while True:
            tries += 1
            self._take_turn(request)
            outcome = self._attempt(request)
            trouble = outcome if isinstance(outcome, _Trouble) else self._trouble(outcome)
            if trouble is None:
                assert isinstance(outcome, _Answer)
                return outcome
            if not trouble.passing or tries > retries:
                raise self._failed(request, trouble, tries)
            ceiling = min(BACKOFF_CAP, BACKOFF * 2 ** (tries - 1))
            seconds = self._timing.draw(0.0, ceiling) if trouble.wait is None else trouble.wait
            if seconds > PATIENCE:
                asked = replace(trouble, what=f"{trouble.what}, and asks to wait {seconds:.0f} s")
                raise self._failed(request, asked, tries)
            log.warning(
                "%s %s: Stock2Shop at %s %s; attempt %d of %d, the next in %.1f s",
                request.method,
                request.shown,
                self._host,
                trouble.what,
                tries,
                retries + 1,
                seconds,
            )
            self._pause(seconds, request=request, why=trouble.what)

    def _take_turn(self, request: _Request) -> None:
        """Wait for this request's token: the bucket holds one, and fills at the configured pace."""
        now = self._timing.now()
        due = max(now, self._turn)
        self._pause(due - now, request=request, why="takes requests at a limited pace")
        if self._settings.pace > 0:
            self._turn = max(due, self._timing.now()) + 1 / self._settings.pace

    def _pause(self, seconds: float, *, request: _Request, why: str) -> None:
        if not self._stop.is_set():
            if self._until is not None and self._timing.now() + seconds > self._until:
                raise DeadlineError(
                    f"The run's deadline comes before the next attempt at {request.method} {request.shown}:"
                    f" Stock2Shop at {self._host} {why}",
                    hint=AGAIN,
                )
            if seconds > 0:
                self._timing.wait(self._stop, seconds)
        if self._stop.is_set():
            raise CancelledError("Stopped before the next request to Stock2Shop", hint=AGAIN)

    def _attempt(self, request: _Request) -> _Answer | _Trouble:
        """Send ``request`` once.

        What goes wrong is described, never raised or chained: the library's exceptions hold the address, and with
        it the token.
        """
        self._requests_made += 1
        began = self._timing.now()
        try:
            with self._session.request(
                request.method,
                self._settings.url + request.path,
                params=request.params,
                data=request.document,
                headers={"Content-Type": "application/json"} if request.document is not None else None,
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                allow_redirects=False,
                stream=True,
                proxies=_proxies(self._settings.url),
            ) as response:
                body = self._body(response, began)
                received = response.raw.tell()
        except (OSError, ValueError) as error:
            return _diagnose(error, settings=self._settings)
        if isinstance(body, _Trouble):
            return body
        seconds = self._timing.now() - began
        log.debug("%s %s answered %d in %.3f s", request.method, request.shown, response.status_code, seconds)
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and received < int(length):
            return _HALF
        answer = _Answer.of(request, response.status_code, body, response.headers, seconds)
        if answer.date:
            self._clock_offset = (answer.date - self._timing.utc()).total_seconds()
        return answer

    def _body(self, response: requests.Response, began: float) -> bytes | _Trouble:
        """What ``response`` holds, a piece at a time as it arrives: a read timeout is for each piece alone."""
        from urllib3.exceptions import HTTPError

        body = bytearray()
        try:
            while piece := response.raw.read1(PIECE, decode_content=True):
                body += piece
                if len(body) > LARGEST:
                    what = f"answers with more than {LARGEST // 1_000_000} MB"
                    return _Trouble(what=what, hint=_URL_HINT, passing=False, kind=AnswerError)
                if self._timing.now() - began > PATIENCE:
                    return _Trouble(what=f"did not come to the end of its answer within {PATIENCE:g} s", passing=False)
        except (HTTPError, OSError) as error:
            late = any(isinstance(cause, TimeoutError) for cause in _causes(error))
            return _diagnose(error, settings=self._settings) if late else _HALF
        return bytes(body)

    def _trouble(self, answer: _Answer) -> _Trouble | None:
        """What keeps ``answer`` from being read, or None."""
        phrase = f"answers {_phrase(answer.status)}"
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _PASSING:
            wait = _retry_after(answer.retry_after, answer.date or self._timing.utc())
            slow = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            hint = "Lower `pace` under [stock2shop], and see what else uses the same user." if slow else ""
            broken = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
            return _Trouble(what=phrase, hint=hint, wait=wait, kind=ServerError if broken else UnavailableError)
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and not answer.read:
            if answer.is_page:
                what = f"{phrase} with a web page where JSON belongs"
                return _Trouble(what=what, hint=_URL_HINT, passing=False, kind=AnswerError)
            return _Trouble(what=f"{phrase} with broken JSON", hint=_URL_HINT, kind=AnswerError)
        return None

    def _failed(self, request: _Request, trouble: _Trouble, tries: int) -> ApiError:
        tried = f"{request.method} {request.shown} was tried {tries} times" if tries > 1 else request.line
        return trouble.kind(
            f"Stock2Shop at {self._host} {trouble.what} ({tried})", hint=f"{trouble.hint} {AGAIN}".lstrip()
        )

    def _accept(self, answer: _Answer) -> None:
        """Raise unless ``answer`` is a 2xx."""
        status = answer.status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status < HTTPStatus.BAD_REQUEST:
            place = _host(urljoin(self._settings.url, answer.location)) if answer.location else ""
            raise AnswerError(
                f"Stock2Shop at {self._host} answers {answer.what} with a redirect"
                f" ({_phrase(status)}){f' to {_printable(place)}' if place else ''}, which is not followed",
                hint=_URL_HINT,
            )
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise UnavailableError(f"The proxy before {self._host} wants a login", hint=_PROXY_HINT)
        if status in _WRONG_ADDRESS:
            hint = _URL_HINT
        elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            hint = "Lower `batch_variants` under [stock2shop] in project.toml."
        else:
            hint = "Its words name the cause; they may also be read in Stock2Shop's console."
        reason = self._reason(answer)
        raise RefusedError(
            f"Stock2Shop at {self._host} refuses {answer.what} ({_phrase(status)}): {reason}",
            reason=reason,
            status=status,
            hint=hint,
        )

    def _odd(self, answer: _Answer, what: str) -> AnswerError:
        complaint = self._clean(_complaint(answer.data))
        return AnswerError(
            f"Stock2Shop at {self._host} answers {answer.what} in an unknown way:"
            f" {what}{f'. It says: {complaint}' if complaint else ''}",
            hint=_URL_HINT,
        )

    def _reason(self, answer: _Answer) -> str:
        text = _complaint(answer.data) or answer.text
        return self._clean(text) or _phrase(answer.status)

    def _clean(self, text: str) -> str:
        # Cut last: a secret that is cut in two would not be found.
        return _printable(self._secrets.without(text))[:REASON].rstrip()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Request:
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
        return f"{self.method} {self.shown}"

    def with_token(self, token: str) -> _Request:
        return replace(self, params={**self.params, "token": token})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Why an attempt came to nothing: a predicate for Stock2Shop, and whether the next attempt may do better."""

    what: str
    hint: str = ""
    passing: bool = True
    wait: float | None = None
    kind: type[ApiError] = UnavailableError


_HALF = _Trouble(what="broke off in the middle of its answer")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Answer:
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
    def of(cls, request: _Request, status: int, body: bytes, headers: Mapping[str, str], seconds: float) -> _Answer:
        read, data = _json(body, exact=request.exact)
        if not body and status == HTTPStatus.NO_CONTENT:
            read = True
        return cls(
            what=request.line,
            status=status,
            body=body,
            content_type=headers.get("Content-Type", ""),
            location=headers.get("Location", ""),
            retry_after=headers.get("Retry-After", ""),
            date=_date(headers.get("Date", "")),
            seconds=seconds,
            data=data,
            read=read,
        )

    @property
    def is_page(self) -> bool:
        return "html" in self.content_type.lower() or self.body.lstrip()[:1] == b"<"

    @property
    def text(self) -> str:
        text = self.body.decode("utf-8", "replace")
        if self.is_page:
            text = html.unescape(re.sub(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>", " ", text))
        return text


class _Secrets:
    """What must not be read anywhere. Its filter is for urllib3's log, which holds the addresses of requests."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Know ``secret`` too, in each form in which it may turn up."""
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
        self._forms |= forms - {""}

    def without(self, text: str) -> str:
        """``text`` with every secret blotted out, the longest first: one may be part of another."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, "[secret]")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        record.msg, record.args = self.without(record.getMessage()), ()
        return True


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # Any auth at all keeps requests from reading .netrc; the proxies of the environment stay in use.
    return request


def _proxies(url: str) -> dict[str, str]:
    """No proxy to this machine itself, whatever Windows' settings or the environment say of one."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if host in {"localhost", "127.0.0.1", "::1"} else {}


def _host(url: str) -> str:
    """The host and port of ``url``, never its user; empty where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    return f"{parts.hostname or ''}:{port}" if port else parts.hostname or ""


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _printable(text: str) -> str:
    """``text`` on one line, without control characters."""
    kept = (" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join("".join(kept).split())


def _diagnose(error: Exception, *, settings: Stock2ShopSettings) -> _Trouble:
    """What the HTTP library's ``error`` means, in words of our own."""
    import requests.exceptions as http

    causes = tuple(_causes(error))
    login = any("407" in str(cause) for cause in causes)
    distrust = next((one.verify_message for one in causes if isinstance(one, ssl.SSLCertVerificationError)), "")
    numbers = {one.errno for one in causes if isinstance(one, OSError)} - {None}
    # The first that fits counts: a proxy's trouble is also one of connections, and a certificate's a ValueError.
    known: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], _Trouble], ...] = (
        (
            http.ProxyError,
            _Trouble(
                what=f"is behind a proxy that {'wants a login' if login else 'cannot be used'}",
                hint=_PROXY_HINT,
                passing=not login,
            ),
        ),
        (
            ssl.SSLCertVerificationError,
            _Trouble(
                what=f"shows a TLS certificate that this machine does not trust ({distrust})",
                hint=_CA_HINT,
                passing=False,
            ),
        ),
        (
            http.ConnectTimeout,
            _Trouble(
                what=f"did not take a connection within {settings.connect_timeout:g} s",
                hint="Check that this machine may reach it: firewall, route, proxy.",
            ),
        ),
        (
            (TimeoutError, http.Timeout),
            _Trouble(
                what=f"did not answer within {settings.read_timeout:g} s",
                hint="If this goes on, lower `batch_variants` under [stock2shop] in project.toml.",
            ),
        ),
        (
            (ssl.SSLError, http.SSLError),
            _Trouble(
                what="could not agree on TLS with this machine",
                hint=f"Does `url` say https where the server speaks http? {_CA_HINT}",
            ),
        ),
        (
            socket.gaierror,
            _Trouble(
                what="has a name that this machine cannot look up",
                hint=f"Check this machine's DNS and network. {_URL_HINT}",
            ),
        ),
        (
            ConnectionRefusedError,
            _Trouble(what="refuses the connection", hint=f"Is a firewall in the way? {_URL_HINT}"),
        ),
        (ValueError, _Trouble(what="has an address that cannot be used", hint=_URL_HINT, passing=False)),
    )
    for kinds, trouble in known:
        if any(isinstance(cause, kinds) for cause in causes):
            return trouble
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return _Trouble(what="has no route from this machine", hint="Check this machine's network.")
    if not isinstance(error, http.RequestException) and not numbers:
        what = "was not asked: REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there"
        return _Trouble(what=what, hint="Correct or unset it.", passing=False)
    return _Trouble(what="dropped the connection without an answer")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything that it came from: urllib3 puts causes in arguments and ``reason`` too."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _date(text: str) -> datetime | None:
    """The UTC time of an HTTP date, or None."""
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _retry_after(text: str, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for, given as a number or as an HTTP date; None without one."""
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    date = _date(text)
    return max(0.0, (date - now).total_seconds()) if date else None


def _json(body: bytes, *, exact: bool) -> tuple[bool, Any]:
    """Whether ``body`` is JSON, and what it holds; with ``exact``, numbers with a fraction as Decimals."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return True, json.loads(body, parse_float=Decimal if exact else None, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False, None


def _whole(value: object) -> int | None:
    """A count or an id, which Stock2Shop also writes as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return None


def _list(data: Any, *names: str) -> list[dict[str, Any]] | None:
    """The list of objects that ``data`` is or holds under one of ``names``."""
    places = [data.get(name) for name in names] if isinstance(data, dict) else [data]
    for place in places:
        if isinstance(place, list) and all(isinstance(entry, dict) for entry in place):
            return place
    return None


def _hits(data: Any) -> list[dict[str, Any]]:
    """The hits beside ``system_products``: a product that was deleted since it was indexed is only among them."""
    hits = data.get("hits") if isinstance(data, dict) else None
    return _list(hits, "hits") or [] if isinstance(hits, dict) else []


def _identity(entry: Mapping[str, Any]) -> int | None:
    return _whole(entry.get("id", entry.get("_id")))


def _token(data: Any) -> str:
    user = data.get("system_user") if isinstance(data, dict) else None
    token = user.get("token") if isinstance(user, dict) else None
    return token if isinstance(token, str) else ""


def _vouched(data: Any) -> bool:
    """Whether an answer about a token speaks for it: by its user, as a public client reads it, or by no denial."""
    if isinstance(data, dict) and "system_user" in data:
        return bool(data["system_user"])
    denied = data is False or (isinstance(data, dict) and data.get("valid") is False)
    return not denied and not _complaint(data)


def _nested(data: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Every name and value in ``data``, down to ``depth`` objects or lists."""
    if depth and isinstance(data, dict):
        for name, value in data.items():
            yield name, value
            yield from _nested(value, depth - 1)
    elif depth and isinstance(data, list):
        for value in data:
            yield from _nested(value, depth - 1)


def _complaint(data: Any) -> str:
    """The errors that an answer names, as text; empty where it names none."""
    found = [
        _words(value)
        for name, value in _nested(data)
        if name.lower() in {"error", "errors"} and str(value).lower() not in {"", "0", "false", "none", "null"}
    ]
    words = "; ".join(text for text in found if text)
    if not words and isinstance(data, dict) and data.get("success") is False:
        words = _words(data.get("message")) or "success is false"
    return words


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(text for text in map(_words, value) if text)
    return json.dumps(value, ensure_ascii=False, default=str) if value else ""


def _queued(data: Any) -> int | None:
    """How many items an answer says were queued: a bare number, ``queued``, or counts by instruction, added up."""
    if isinstance(data, (int, str)):
        return _whole(data)
    numbers = [(name.lower(), _whole(value)) for name, value in _nested(data)]
    totals = [number for name, number in numbers if number is not None and "queued" in name]
    by_instruction = [number for name, number in numbers if number is not None and _INSTRUCTION.fullmatch(name)]
    if totals:
        return totals[0]
    return sum(by_instruction) if by_instruction else None
