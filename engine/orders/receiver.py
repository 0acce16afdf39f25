"""The HTTP receiver of ``s2s orders serve``: an order is stored, raised and answered in one request.

``POST /orders`` (or ``/``) takes an order document and answers ``{source_id, source_order_code,
source_customer_code}``; ``GET /health`` answers while it listens. That Stock2Shop calls the agent beside the database
and expects the source's order code back is public; the exact contract is not.
"""

from __future__ import annotations

import base64
import hmac
import logging
import threading
import time
import zlib
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import http_server
from engine.errors import OrderError, StateLockedError, SyncError, UsageError
from engine.orders import pipeline
from engine.orders.document import parse_document
from engine.orders.identity import order_id_of
from engine.orders.ledger import PENDING_STATUSES, open_ledger
from engine.orders.pipeline import OrderProcessor, order_settings
from engine.orders.pull import answer_body
from engine.orders.rules import RULES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from engine.model.settings import Project, ReceiverSettings
    from engine.orders.ledger import Entry

log = logging.getLogger(__name__)

RETRY_INTERVAL_SECONDS = 30
"""How often orders that are due are looked for: those whose process died, and those that failed for now."""

REQUEST_TIMEOUT_SECONDS = 60
"""How long a request may take to arrive whole, so that slow senders cannot hold connections for ever."""

MAX_FAILED_LOGINS_PER_MINUTE = 20
"""After so many wrong tokens in a minute, further wrong ones are answered with 429."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP status, its JSON body, and after how many seconds to try again (0: the header is left out)."""

    status: int
    body: dict[str, Any]
    retry_after: int = 0


class Receiver:
    """Takes orders of one project; safe to be called from several threads.

    ``on_event`` is called with a sentence about each order and each refusal, which holds nothing personal, and with
    its facts as keyword arguments.
    """

    def __init__(self, project: Project, *, on_event: Callable[..., None] = lambda _text, **_facts: None) -> None:
        self._on_event = on_event
        self.project = project
        self.settings: ReceiverSettings = order_settings(project).receiver
        self._processor = OrderProcessor(project)
        self._raising = threading.Lock()
        self._failed_logins: deque[float] = deque(maxlen=MAX_FAILED_LOGINS_PER_MINUTE)
        self._last_error = ""

    @property
    def is_open(self) -> bool:
        """Whether orders are taken without a token or a password."""
        return not (self.settings.token or (self.settings.username and self.settings.password))

    def close(self) -> None:
        """Wait for the order that is being raised, and close the connection to the database."""
        with self._raising:
            self._processor.close()

    def check_credentials(self, authorization: str) -> Reply | None:
        """Return None where the Authorization header is right, else what to answer; in constant time."""
        accepted = []
        if self.settings.token:
            accepted.append(f"Bearer {self.settings.token}")
        if self.settings.username and self.settings.password:
            pair = f"{self.settings.username}:{self.settings.password}".encode()
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
            return _error_reply(429, "Too many wrong tokens.", "Wait a minute.", retry_after=60)
        self._emit("A request was refused: the token or the password is missing or wrong.", status=401)
        return _error_reply(
            401, "The token or the password is missing or wrong.", "Send it in the Authorization header."
        )

    def raise_due(self, stop: threading.Event) -> None:
        """Raise all orders that are due. An error that stops it is reported once, until there is another one."""
        problem = ""
        try:
            with open_ledger(self.project) as ledger:
                for entry in ledger.list_due():
                    if stop.is_set():
                        return
                    prepared = self._processor.prepare(ledger, entry.order_id)
                    with self._raising:
                        # Its own request may have raised it meanwhile.
                        if ledger.get_entry(entry.order_id).status in PENDING_STATUSES:
                            self._report(self._processor.raise_one(ledger, entry.order_id, prepared))
                ledger.prune(keep_days=self._processor.settings.keep_days)
        except SyncError as error:
            problem = f"{error.message} {error.hint}"
        except Exception as error:  # noqa: BLE001 - it is retried; its text may hold personal data
            problem = f"An unexpected error occurred: {type(error).__name__}"
        if problem and problem != self._last_error:
            self._emit(f"Earlier orders cannot be raised now: {problem}")
        self._last_error = problem

    def receive(self, raw: bytes) -> Reply:
        """Store an order, raise it, and return what to answer; never raises."""
        reply = self._receive(raw)
        error = reply.body.get("error", {})
        if error and "order" not in error:
            self._emit(f"An order was not taken: {error['reason']}", status=reply.status)
        return reply

    def _emit(self, text: str, **facts: object) -> None:
        with suppress(Exception):  # a full disk of logs must not stop an order
            self._on_event(text, **facts)

    def _report(self, entry: Entry, *, again: bool = False) -> None:
        """Report what became of an order."""
        code = f" as {entry.source_order_code}" if entry.source_order_code else ""
        reason = f": {entry.reason}" if entry.reason else ""
        outcome = f"arrived again, and is {entry.status}" if again else f"is {entry.status}"
        self._emit(
            f"Order {entry.order_id} {outcome}{code}{reason}",
            order=entry.order_id,
            status=entry.status,
            standing=entry.status,  # its former name
            rule=entry.rule,
            source_order_code=entry.source_order_code,
        )

    def _receive(self, raw: bytes) -> Reply:
        try:
            document = parse_document(raw)
            with open_ledger(self.project) as ledger:
                order_id = order_id_of(document)
                new = ledger.receive(order_id, document, via="serve")
                pipeline.crash_point("after receipt")
                prepared = self._processor.prepare(ledger, order_id)  # while another order is raised
                with self._raising:
                    entry = self._processor.raise_one(ledger, order_id, prepared)
                self._report(entry, again=not new)
                if entry.status in {"raised", "answered"}:
                    pipeline.crash_point("before the answer")
                    ledger.mark_answered(entry.order_id)
                    return Reply(status=200, body=answer_body(self.project, entry))
                return _unraised_reply(entry)
        except OrderError as error:
            return _error_reply(error.status, error.message, error.hint or "Send the order as Stock2Shop has it.")
        except StateLockedError as error:
            return _error_reply(503, error.message, "Send it again.", retry_after=5)
        except SyncError as error:
            return _error_reply(503, error.message, error.hint, retry_after=60)
        except Exception as error:  # noqa: BLE001 - the sender is answered, and sends the order again
            # Its text may hold personal data.
            log.error("An order met an unexpected error: %s", type(error).__name__)  # noqa: TRY400 - as above
            return _error_reply(503, "An unexpected error occurred.", "Send it again.", retry_after=60)


def build_application(receiver: Receiver) -> Starlette:
    """Return the ASGI application that serves ``receiver``."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def respond(reply: Reply) -> Response:
        headers = {"Retry-After": str(reply.retry_after)} if reply.retry_after else {}
        if reply.status == 401:  # noqa: PLR2004 - Unauthorized
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(reply.body, reply.status, headers)

    async def take(request: Request) -> Response:
        refused = receiver.check_credentials(request.headers.get("authorization", ""))
        if refused is None and receiver.is_open and "origin" in request.headers:
            # Otherwise any page in a browser on this machine could post orders.
            refused = _error_reply(403, "Web pages may not send orders.", "Set a token under [orders.serve].")
        if refused is not None:
            return respond(refused)
        refused = _check_framing(request.headers)
        if refused is not None:
            response = respond(refused)
            response.headers["Connection"] = "close"
            return response
        limit = receiver.settings.max_body
        raw = bytearray()
        try:
            async for part in request.stream():
                raw += part
                if len(raw) > limit:
                    return respond(_too_large(limit))
        except ClientDisconnect:
            return respond(_error_reply(400, "The request ended before the order was complete.", "Send it again."))
        body = _decode_body(bytes(raw), request.headers, limit=limit)
        return respond(body if isinstance(body, Reply) else await run_in_threadpool(receiver.receive, body))

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def not_found(_request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        return respond(_error_reply(status, "There is no such call.", "POST orders to /orders; GET /health."))

    routes = [
        Route("/", take, methods=["POST"]),
        Route("/orders", take, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})


def _protocol_with_timeout() -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, which also closes a connection whose request does not arrive whole in time."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class ProtocolWithTimeout(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            self._restart_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._restart_timer(ended=True)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._restart_timer()

        def _restart_timer(self, *, ended: bool = False) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = None if ended else self.loop.call_later(REQUEST_TIMEOUT_SECONDS, self._close_if_incomplete)

        def _close_if_incomplete(self) -> None:
            cycle = self.cycle  # None before the first request, which uvicorn's annotation does not say
            if cycle is None or cycle.more_body or cycle.response_complete:  # type: ignore[redundant-expr]
                self.transport.close()

    return ProtocolWithTimeout


def _check_framing(headers: Mapping[str, str]) -> Reply | None:
    """Return what to answer for a request whose body cannot be read as its headers say; None where it can."""
    if "content-length" in headers and "transfer-encoding" in headers:
        # Two programs that read it differently would see two requests (RFC 9112, 6.1).
        return _error_reply(400, "The request has Content-Length and Transfer-Encoding.", "Send one of the two.")
    encoding = _encoding_of(headers)
    if encoding not in {"identity", "gzip", "x-gzip"}:
        reason = f"Bodies with Content-Encoding {encoding!r} are not read."
        return _error_reply(415, reason, "Send it as it is, or with gzip.")
    return None


def _encoding_of(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "identity").strip().lower()


def _decode_body(raw: bytes, headers: Mapping[str, str], *, limit: int) -> bytes | Reply:
    """Return the body without gzip, or what to answer where that cannot be undone within ``limit`` bytes."""
    if _encoding_of(headers) == "identity":
        return raw
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(raw, limit + 1)
    except zlib.error:
        body = b""
    if len(body) > limit:
        return _too_large(limit)
    if not unpacker.eof:
        return _error_reply(400, "The body is not whole gzip, as its Content-Encoding says.", "Send it again.")
    return body


def _too_large(limit: int) -> Reply:
    hint = "Raise max_body under [orders.serve] if orders are so large."
    return _error_reply(413, f"The order is larger than {limit:,} bytes.", hint)


def _check_tls_files(settings: ReceiverSettings) -> None:
    """Raise :class:`UsageError` where the TLS files cannot be used."""
    import ssl

    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}.", hint=f"Check {name} under [orders.serve]."
            ) from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate} and {key} cannot be used for TLS: {error.reason or error}.",
            hint="tls_certificate is a PEM file with the certificate and what leads to it, tls_key one with its private"
            " key, without a password.",
        ) from None


@contextmanager
def run_receiver(
    project: Project,
    *,
    on_event: Callable[..., None] = lambda _text, **_facts: None,
    on_stopped: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Listen in a thread until the block ends, and yield the address; an order that is being raised is finished first.

    ``on_event`` is called as :class:`Receiver` says; ``on_stopped`` is called in the thread when it stops listening.

    Raises :class:`OSError` where the port cannot be had, and :class:`UsageError` where the TLS files cannot be used.
    """
    import uvicorn

    receiver = Receiver(project, on_event=on_event)
    settings = receiver.settings
    _check_tls_files(settings)
    config = uvicorn.Config(
        build_application(receiver),
        host=settings.host,
        port=settings.port,
        http=_protocol_with_timeout(),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=60,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with suppress(BaseException):  # uvicorn leaves with SystemExit where it cannot listen
            http_server.serve(server)
        on_stopped()

    stopping = threading.Event()

    def raise_due_regularly() -> None:
        receiver.raise_due(stopping)
        while not stopping.wait(RETRY_INTERVAL_SECONDS):
            receiver.raise_due(stopping)

    thread = threading.Thread(target=serve, daemon=True)
    due_thread = threading.Thread(target=raise_due_regularly, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise OSError(f"Nothing could listen on {settings.host}:{settings.port}.")
        due_thread.start()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if settings.tls_certificate else 'http'}://{settings.host}:{port}"
    finally:
        server.should_exit = True
        stopping.set()
        thread.join(timeout=90)
        if due_thread.is_alive():
            due_thread.join(timeout=90)
        receiver.close()


def _unraised_reply(entry: Entry) -> Reply:
    """Return what to answer for an order that waits, failed for now, or was skipped."""
    body = {
        "order": entry.order_id,
        "status": entry.status,
        "standing": entry.status,
        "rule": entry.rule,
        "reason": entry.reason,
    }
    if entry.status == "failed":
        return Reply(
            status=503,
            body={"error": {**body, "what_to_do": "Send it again later: it is raised once."}},
            retry_after=60,
        )
    remedy = RULES[entry.rule].remedy if entry.rule in RULES else "Look with `s2s orders show`."
    return Reply(status=422, body={"error": {**body, "what_to_do": remedy}})


def _error_reply(status: int, reason: str, what_to_do: str, *, retry_after: int = 0) -> Reply:
    return Reply(status=status, body={"error": {"reason": reason, "what_to_do": what_to_do}}, retry_after=retry_after)
