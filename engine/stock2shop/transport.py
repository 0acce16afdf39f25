"""HTTP to Stock2Shop: pace, attempts, retries with backoff, and answers read within limits of time and size.

A request goes in, an answer worth reading comes out: 2xx with JSON, or any 3xx or 4xx but those that say "later".
What an answer means is :mod:`engine.stock2shop.client`'s matter. Sending twice is safe, because Stock2Shop upserts
by source code (P), so whatever leaves it open whether a request was taken (a dropped connection, a timeout, half an
answer) is retried.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import AnswerError, ApiError, CancelledError, DeadlineError, ServerError
from engine.stock2shop.diagnosis import URL_HINT, Failure, diagnose, error_causes
from engine.stock2shop.exchange import Answer, host_of, status_phrase
from engine.stock2shop.responses import parse_retry_after

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import requests

    from engine.model.settings import Stock2ShopSettings
    from engine.stock2shop.exchange import ApiRequest
    from engine.stock2shop.user import Pace

BACKOFF_SECONDS = 1.0
"""The ceiling of the first backoff; it doubles with every further one."""

MAX_BACKOFF_SECONDS = 60.0
"""The ceiling of every backoff."""

MAX_WAIT_SECONDS = 600.0
"""A longer ``Retry-After`` is left to the next run, which the scheduler starts anyway. So is an answer whose body is
still arriving by then: each single read of it may stay within the read timeout for ever."""

MAX_RESPONSE_BYTES = 256_000_000
"""A longer answer is not Stock2Shop's; a page of the read-back with long descriptions is a tenth of it."""

READ_CHUNK_BYTES = 65_536
"""Bytes of an answer that are read at a time, at most."""

RETRY_HINT = "Nothing is lost: the next run sends the same changes again."

TRANSIENT_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})

SINGLE_ITEM_RETRIES = 2
"""How often a request of one item is tried again at least that is answered 500: an item is not blamed lightly."""

_HALF_ANSWER = Failure(what="broke off in the middle of its answer")

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


class Transport:
    """Sends requests over one kept-alive session; belongs to one thread.

    ``until`` is a time of ``timing.now``: no wait lasts beyond it, and no request begins after it. One that is on its
    way by then is waited for, since what it did could not be known otherwise. Once ``stop`` is set, waits end and no
    further request begins.
    """

    def __init__(
        self,
        settings: Stock2ShopSettings,
        *,
        session: requests.Session,
        pace: Pace,
        timing: Timing,
        until: float | None,
        stop: threading.Event,
    ) -> None:
        self.host = host_of(settings.url)
        self.timing = timing
        self.requests_made = 0
        self.clock_offset: float | None = None
        """Seconds by which Stock2Shop's clock was ahead of this machine's at its last answer; None where unknown."""
        self._settings = settings
        self._session = session
        self._pace = pace
        self._until = until
        self._stop = stop
        self._planned_turn: float | None = None

    def send(self, request: ApiRequest, *, retries: int | None = None) -> Answer:
        """Send ``request`` until it has an answer worth reading: 2xx with JSON, or a 3xx or 4xx that is final.

        ``retries`` replaces the settings' number where it is lower. Raises :class:`UnavailableError` when Stock2Shop
        was not reached or kept failing, :class:`ServerError` when it kept answering 500, :class:`AnswerError` when
        what it answers is not JSON, :class:`DeadlineError` and :class:`CancelledError`.
        """
        retries = self._settings.retries if retries is None else min(retries, self._settings.retries)
        attempts = 0
        while True:
            attempts += 1
            self._throttle(request)
            outcome = self._attempt(request)
            failure = outcome if isinstance(outcome, Failure) else self._find_failure(outcome)
            if failure is None:
                assert isinstance(outcome, Answer)
                return outcome
            blamable = failure.kind is ServerError and request.contents.items == 1
            allowed = max(retries, SINGLE_ITEM_RETRIES) if blamable else retries
            if not failure.transient or attempts > allowed:
                raise self._error(request, failure, attempts)
            ceiling = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (attempts - 1))
            seconds = self.timing.draw(0.0, ceiling) if failure.wait is None else failure.wait
            if seconds > MAX_WAIT_SECONDS:
                asks_to_wait = replace(failure, what=f"{failure.what}, and asks to wait {seconds:.0f} s")
                raise self._error(request, asks_to_wait, attempts)
            log.warning(
                "%s: Stock2Shop at %s %s; attempt %d of %d, the next in %.1f s",
                request.line,
                self.host,
                failure.what,
                attempts,
                allowed + 1,
                seconds,
            )
            self._pause(seconds, what=request.line, why=failure.what)

    def plan_turn(self) -> None:
        """Reserve the turn of the next request now, so that it comes while the caller does something else."""
        if self._planned_turn is None:
            self._planned_turn = self.timing.now() + self._pace.reserve()

    def wait_for_login(self, seconds: float) -> None:
        """Wait while another run of the same user logs in."""
        self._pause(seconds, what="a login", why="is being logged in to by another run of this user")

    def _throttle(self, request: ApiRequest) -> None:
        """Wait for this request's turn, where it takes one."""
        seconds = 0.0
        if request.takes_turn:
            self.plan_turn()
            assert self._planned_turn is not None
            seconds = max(0.0, self._planned_turn - self.timing.now())
            self._planned_turn = None
        self._pause(seconds, what=request.line, why="takes requests at a limited pace")

    def _pause(self, seconds: float, *, what: str, why: str) -> None:
        if not self._stop.is_set():
            if self._until is not None and self.timing.now() + seconds > self._until:
                raise DeadlineError(
                    f"The run's deadline comes before the next attempt at {what}: Stock2Shop at {self.host} {why}",
                    hint=RETRY_HINT,
                )
            if seconds > 0:
                self.timing.wait(self._stop, seconds)
        if self._stop.is_set():
            raise CancelledError("Stopped before the next request to Stock2Shop", hint=RETRY_HINT)

    def _attempt(self, request: ApiRequest) -> Answer | Failure:
        """Send ``request`` once.

        What goes wrong is described, never raised or chained: the library's exceptions hold the address, and with
        it the token.
        """
        self.requests_made += 1
        began = self.timing.now()
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
                proxies=_proxies_for(self._settings.url),
            ) as response:
                body = self._read_body(response, began)
                received = response.raw.tell()
        except (OSError, ValueError) as error:
            return diagnose(error, settings=self._settings)
        if isinstance(body, Failure):
            return body
        seconds = self.timing.now() - began
        log.debug("%s answered %d in %.3f s", request.line, response.status_code, seconds)
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and received < int(length):
            return _HALF_ANSWER
        answer = Answer.of(request, response.status_code, body, response.headers, seconds)
        if answer.date:
            self.clock_offset = (answer.date - self.timing.utc()).total_seconds()
        return answer

    def _read_body(self, response: requests.Response, began: float) -> bytes | Failure:
        """The body of ``response``, read as it arrives: a read timeout bounds each single read alone."""
        from urllib3.exceptions import HTTPError

        body = bytearray()
        try:
            while piece := response.raw.read1(READ_CHUNK_BYTES, decode_content=True):
                body += piece
                if len(body) > MAX_RESPONSE_BYTES:
                    what = f"answers with more than {MAX_RESPONSE_BYTES // 1_000_000} MB"
                    return Failure(what=what, hint=URL_HINT, transient=False, kind=AnswerError)
                if self.timing.now() - began > MAX_WAIT_SECONDS:
                    what = f"did not come to the end of its answer within {MAX_WAIT_SECONDS:g} s"
                    return Failure(what=what, transient=False)
        except (HTTPError, OSError) as error:
            timed_out = any(isinstance(cause, TimeoutError) for cause in error_causes(error))
            return diagnose(error, settings=self._settings) if timed_out else _HALF_ANSWER
        return bytes(body)

    def _find_failure(self, answer: Answer) -> Failure | None:
        """What keeps ``answer`` from being read, or None."""
        what = f"answers {status_phrase(answer.status)}"
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in TRANSIENT_STATUSES:
            wait = parse_retry_after(answer.retry_after, answer.date or self.timing.utc())
            too_many = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            hint = "Lower `pace` under [stock2shop], and see what else uses the same user." if too_many else ""
            broken = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
            if broken:
                return Failure(what=what, hint=hint, wait=wait, kind=ServerError, named=answer.named)
            return Failure(what=what, hint=hint, wait=wait)
        if answer.succeeded and not answer.is_json:
            if answer.is_page:
                what = f"{what} with a web page where JSON belongs"
                return Failure(what=what, hint=URL_HINT, transient=False, kind=AnswerError)
            return Failure(what=f"{what} with broken JSON", hint=URL_HINT, kind=AnswerError)
        return None

    def _error(self, request: ApiRequest, failure: Failure, attempts: int) -> ApiError:
        tried = f"{request.line} was tried {attempts} times" if attempts > 1 else request.line
        message = f"Stock2Shop at {self.host} {failure.what} ({tried})"
        hint = f"{failure.hint} {RETRY_HINT}".lstrip()
        if failure.kind is ServerError:
            return ServerError(message, hint=hint, named=failure.named)
        return failure.kind(message, hint=hint)


def _proxies_for(url: str) -> dict[str, str]:
    """No proxy to this machine itself, whatever Windows' settings or the environment say of one."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if host in {"localhost", "127.0.0.1", "::1"} else {}
