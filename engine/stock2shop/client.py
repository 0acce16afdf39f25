"""Stock2Shop over HTTP: tokens, pace, retries, receipts.

The facts come from Stock2Shop's public developer pages and repositories. Each method's docstring says how firmly
they stand: **P** is stated there, **I** is inferred from them, **U** is not public and read leniently.

Sending twice is safe, because Stock2Shop upserts by source code (P). So whatever leaves it open whether a request
was taken (a dropped connection, a timeout, half an answer) is simply tried again.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from engine import __version__
from engine.errors import (
    AnswerError,
    ApiError,
    AuthenticationError,
    CancelledError,
    DeadlineError,
    Diagnostic,
    ProjectError,
    RefusedError,
    ServerError,
    UnavailableError,
)
from engine.stock2shop.diagnosis import PROXY_HINT, URL_HINT, diagnose, error_causes
from engine.stock2shop.redaction import Secrets
from engine.stock2shop.responses import (
    DENIED_STATUSES,
    error_messages,
    find_list,
    find_token,
    hits,
    item_id,
    parse_retry_after,
    queued_count,
    token_is_valid,
    whole_number,
)
from engine.stock2shop.transport import (
    BACKOFF_SECONDS,
    HALF_ANSWER,
    MAX_BACKOFF_SECONDS,
    MAX_RESPONSE_BYTES,
    MAX_WAIT_SECONDS,
    READ_CHUNK_BYTES,
    RETRY_HINT,
    TRANSIENT_STATUSES,
    Answer,
    ApiRequest,
    Failure,
    Timing,
    host_of,
    log,
    no_credentials,
    printable,
    proxies_for,
    status_phrase,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import requests

    from engine.model.settings import Stock2ShopSettings

LOGIN_REQUESTS = 2
"""How many requests a run makes before its first batch: it authenticates, and asks for its source's sync token."""

PAGE_PRODUCTS = 250
"""How many products a page of the read-back holds: a few MB with long descriptions."""

MAX_REASON_CHARACTERS = 500
"""Characters of an answer that an error repeats."""

_WRONG_USER = DENIED_STATUSES | {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

_NOT_VALID = DENIED_STATUSES | {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}

_WRONG_ADDRESS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})


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
    host = host_of(url)
    if not host or urlsplit(url).scheme not in {"http", "https"}:
        fault = Diagnostic(message="`url` under [stock2shop] is no HTTP address", hint="Write it as https://host/path.")
        raise ProjectError([fault], hint=URL_HINT)
    secrets = Secrets([settings.password, settings.username])
    pool = logging.getLogger("urllib3.connectionpool")
    pool.addFilter(secrets.filter)
    try:
        with requests.Session() as session:
            session.auth = no_credentials
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
        secrets: Secrets,
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
        found = find_list(answer.data, "system_sources", "sources")
        if found is None:
            raise self._odd(answer, "the answer holds no list of sources")
        sources = []
        for entry in found:
            number = whole_number(entry.get("id"))
            if number is None:
                raise self._odd(answer, "a source has no id")
            token = entry.get("sync_token")
            sources.append(
                RemoteSource(
                    id=number,
                    sync_token="0" if token is None else str(token),
                    description=printable(str(entry.get("description") or "")),
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
        complaint = self._clean(error_messages(answer.data))
        queued = queued_count(answer.data)
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
                "size": PAGE_PRODUCTS,
                "from": 0,
                "sort": {"id": {"order": "asc", "unmapped_type": "long"}},
            }
            document = json.dumps(query).encode()
            answer = self._ask("POST", path, document=document, exact=True)
            found = find_list(answer.data, name)
            if found is None:
                raise self._odd(answer, f"the answer holds no list {name}")
            ids = [*map(item_id, found), *map(item_id, hits(answer.data))]
            if not ids:
                return
            if any(number is None or number <= last for number in ids):
                raise self._odd(answer, "a page repeats what the one before held, or gives it no id")
            yield from (
                entry for entry in found if whole_number(entry.get("source_id")) in {None, self._settings.source_id}
            )
            last = max(number for number in ids if number is not None)

    def valid_token(self) -> bool:
        """Whether the token in use is good: ``GET /users/valid_token/{token}`` (P; the answer's shape is I).

        Authenticates first where there is no token yet.
        """
        token = self._token or self._authenticate()
        answer = self._patiently(
            ApiRequest(
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
            valid = token_is_valid(answer.data)
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
        found = find_list(answer.data, "system_queue_items", "system_queue", "queue_items", "items")
        if found is None:
            raise self._odd(answer, "the answer holds no list of queue items")
        return found

    def _authenticate(self) -> str:
        """A fresh token: ``POST /users/authenticate`` (P). Every earlier token of the user ends with it (P)."""
        user = {"username": self._settings.username, "password": self._settings.password}
        answer = self._patiently(
            ApiRequest(
                method="POST",
                path="/users/authenticate",
                params={"format": "json"},
                document=json.dumps({"system_user_auth": user}).encode(),
            )
        )
        accepted = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        token = find_token(answer.data) if accepted else ""
        if token:
            self._secrets.add(token)
            self._token = token
            return token
        if answer.status in _WRONG_USER or (accepted and error_messages(answer.data)):
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
        raise AnswerError(refused, hint=URL_HINT)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        document: bytes | None = None,
        exact: bool = False,
        retries: int | None = None,
    ) -> Answer:
        """Send a request with the token, renewed at most once, and give its 2xx answer."""
        request = ApiRequest(method=method, path=path, params=params or {}, document=document, exact=exact)
        answer = self._patiently(request.with_token(self._token or self._authenticate()), retries=retries)
        if answer.status in DENIED_STATUSES:
            self._token = ""
            answer = self._patiently(request.with_token(self._authenticate()), retries=retries)
        if answer.status in DENIED_STATUSES:
            raise AuthenticationError(
                f"Stock2Shop at {self._host} refuses {answer.what} even with a fresh token."
                f" It says: {self._reason(answer)}",
                hint="Give this project a user of its own, since each login ends the user's other tokens;"
                " check too that the user may use this source.",
            )
        self._accept(answer)
        return answer

    def _patiently(self, request: ApiRequest, *, retries: int | None = None) -> Answer:
        """Send ``request`` until it has an answer worth reading: 2xx with JSON, 3xx or 4xx."""
        retries = self._settings.retries if retries is None else min(retries, self._settings.retries)
        tries = 0
        while True:
            tries += 1
            self._take_turn(request)
            outcome = self._attempt(request)
            trouble = outcome if isinstance(outcome, Failure) else self._trouble(outcome)
            if trouble is None:
                assert isinstance(outcome, Answer)
                return outcome
            if not trouble.passing or tries > retries:
                raise self._failed(request, trouble, tries)
            ceiling = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (tries - 1))
            seconds = self._timing.draw(0.0, ceiling) if trouble.wait is None else trouble.wait
            if seconds > MAX_WAIT_SECONDS:
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

    def _take_turn(self, request: ApiRequest) -> None:
        """Wait for this request's token: the bucket holds one, and fills at the configured pace."""
        now = self._timing.now()
        due = max(now, self._turn)
        self._pause(due - now, request=request, why="takes requests at a limited pace")
        if self._settings.pace > 0:
            self._turn = max(due, self._timing.now()) + 1 / self._settings.pace

    def _pause(self, seconds: float, *, request: ApiRequest, why: str) -> None:
        if not self._stop.is_set():
            if self._until is not None and self._timing.now() + seconds > self._until:
                raise DeadlineError(
                    f"The run's deadline comes before the next attempt at {request.method} {request.shown}:"
                    f" Stock2Shop at {self._host} {why}",
                    hint=RETRY_HINT,
                )
            if seconds > 0:
                self._timing.wait(self._stop, seconds)
        if self._stop.is_set():
            raise CancelledError("Stopped before the next request to Stock2Shop", hint=RETRY_HINT)

    def _attempt(self, request: ApiRequest) -> Answer | Failure:
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
                proxies=proxies_for(self._settings.url),
            ) as response:
                body = self._body(response, began)
                received = response.raw.tell()
        except (OSError, ValueError) as error:
            return diagnose(error, settings=self._settings)
        if isinstance(body, Failure):
            return body
        seconds = self._timing.now() - began
        log.debug("%s %s answered %d in %.3f s", request.method, request.shown, response.status_code, seconds)
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and received < int(length):
            return HALF_ANSWER
        answer = Answer.of(request, response.status_code, body, response.headers, seconds)
        if answer.date:
            self._clock_offset = (answer.date - self._timing.utc()).total_seconds()
        return answer

    def _body(self, response: requests.Response, began: float) -> bytes | Failure:
        """What ``response`` holds, a piece at a time as it arrives: a read timeout is for each piece alone."""
        from urllib3.exceptions import HTTPError

        body = bytearray()
        try:
            while piece := response.raw.read1(READ_CHUNK_BYTES, decode_content=True):
                body += piece
                if len(body) > MAX_RESPONSE_BYTES:
                    what = f"answers with more than {MAX_RESPONSE_BYTES // 1_000_000} MB"
                    return Failure(what=what, hint=URL_HINT, passing=False, kind=AnswerError)
                if self._timing.now() - began > MAX_WAIT_SECONDS:
                    return Failure(
                        what=f"did not come to the end of its answer within {MAX_WAIT_SECONDS:g} s", passing=False
                    )
        except (HTTPError, OSError) as error:
            late = any(isinstance(cause, TimeoutError) for cause in error_causes(error))
            return diagnose(error, settings=self._settings) if late else HALF_ANSWER
        return bytes(body)

    def _trouble(self, answer: Answer) -> Failure | None:
        """What keeps ``answer`` from being read, or None."""
        phrase = f"answers {status_phrase(answer.status)}"
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in TRANSIENT_STATUSES:
            wait = parse_retry_after(answer.retry_after, answer.date or self._timing.utc())
            slow = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            hint = "Lower `pace` under [stock2shop], and see what else uses the same user." if slow else ""
            broken = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
            return Failure(what=phrase, hint=hint, wait=wait, kind=ServerError if broken else UnavailableError)
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and not answer.read:
            if answer.is_page:
                what = f"{phrase} with a web page where JSON belongs"
                return Failure(what=what, hint=URL_HINT, passing=False, kind=AnswerError)
            return Failure(what=f"{phrase} with broken JSON", hint=URL_HINT, kind=AnswerError)
        return None

    def _failed(self, request: ApiRequest, trouble: Failure, tries: int) -> ApiError:
        tried = f"{request.method} {request.shown} was tried {tries} times" if tries > 1 else request.line
        return trouble.kind(
            f"Stock2Shop at {self._host} {trouble.what} ({tried})", hint=f"{trouble.hint} {RETRY_HINT}".lstrip()
        )

    def _accept(self, answer: Answer) -> None:
        """Raise unless ``answer`` is a 2xx."""
        status = answer.status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status < HTTPStatus.BAD_REQUEST:
            place = host_of(urljoin(self._settings.url, answer.location)) if answer.location else ""
            raise AnswerError(
                f"Stock2Shop at {self._host} answers {answer.what} with a redirect"
                f" ({status_phrase(status)}){f' to {printable(place)}' if place else ''}, which is not followed",
                hint=URL_HINT,
            )
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise UnavailableError(f"The proxy before {self._host} wants a login", hint=PROXY_HINT)
        if status in _WRONG_ADDRESS:
            hint = URL_HINT
        elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            hint = "Lower `batch_variants` under [stock2shop] in project.toml."
        else:
            hint = "Its words name the cause; they may also be read in Stock2Shop's console."
        reason = self._reason(answer)
        raise RefusedError(
            f"Stock2Shop at {self._host} refuses {answer.what} ({status_phrase(status)}): {reason}",
            reason=reason,
            status=status,
            hint=hint,
        )

    def _odd(self, answer: Answer, what: str) -> AnswerError:
        complaint = self._clean(error_messages(answer.data))
        return AnswerError(
            f"Stock2Shop at {self._host} answers {answer.what} in an unknown way:"
            f" {what}{f'. It says: {complaint}' if complaint else ''}",
            hint=URL_HINT,
        )

    def _reason(self, answer: Answer) -> str:
        text = error_messages(answer.data) or answer.text
        return self._clean(text) or status_phrase(answer.status)

    def _clean(self, text: str) -> str:
        # Cut last: a secret that is cut in two would not be found.
        return printable(self._secrets.without(text))[:MAX_REASON_CHARACTERS].rstrip()
