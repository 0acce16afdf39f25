"""The HTTP receiver of ``s2s orders serve``: an order is stored, raised and answered in one request.

``POST /orders`` (or ``/``) takes an order document and answers ``{source_id, source_order_code,
source_customer_code}``; ``GET /health`` answers while it listens. That Stock2Shop calls the agent beside the database
and expects the source's order code back is public; the exact contract is not.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine import http_server
from engine.errors import OrderError, StateLockedError, SyncError, UsageError
from engine.orders import access, pipeline
from engine.orders.access import AccessRules
from engine.orders.document import parse_document
from engine.orders.identity import order_id_of
from engine.orders.ledger import PENDING_STATUSES, open_ledger
from engine.orders.pipeline import OrderProcessor, order_settings
from engine.orders.pull import answer_body
from engine.orders.replies import Reply, error_reply
from engine.orders.rules import RULES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from engine.model.settings import Project, ReceiverSettings
    from engine.orders.connections import OpenConnections
    from engine.orders.ledger import Entry

log = logging.getLogger(__name__)

RETRY_INTERVAL_SECONDS = 30
"""How often orders that are due are looked for: those whose process died, and those that failed for now."""


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
        self.access = AccessRules(self.settings, on_refused=self._emit)
        self._raising = threading.Lock()
        self._last_error = ""

    def close(self) -> None:
        """Wait for the order that is being raised, and close the connection to the database."""
        with self._raising:
            self._processor.close()

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
            return error_reply(error.status, error.message, error.hint or "Send the order as Stock2Shop has it.")
        except StateLockedError as error:
            return error_reply(503, error.message, "Send it again.", retry_after=5)
        except SyncError as error:
            return error_reply(503, error.message, error.hint, retry_after=60)
        except Exception as error:  # noqa: BLE001 - the sender is answered, and sends the order again
            # Its text may hold personal data.
            log.error("An order met an unexpected error: %s", type(error).__name__)  # noqa: TRY400 - as above
            return error_reply(503, "An unexpected error occurred.", "Send it again.", retry_after=60)


def build_application(receiver: Receiver, connections: OpenConnections) -> Starlette:
    """Return the ASGI application that serves ``receiver``, on ``connections``."""
    import asyncio

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

    def closing(reply: Reply) -> Response:
        response = respond(reply)
        response.headers["Connection"] = "close"
        return response

    async def disconnected(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def take(request: Request) -> Response:
        rules = receiver.access
        refused = rules.check_host(request.headers) or rules.check_origin(request.headers, scheme=request.url.scheme)
        if refused is not None:
            return closing(refused)
        refused = rules.check_credentials(request.headers.get("authorization", ""))
        if refused is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(disconnected(request), access.FAILED_LOGIN_DELAY_SECONDS)
            return closing(refused)
        refused = _check_framing(request.headers)
        if refused is not None:
            return closing(refused)
        limit = receiver.settings.max_body
        raw = bytearray()
        try:
            async for part in request.stream():
                raw += part
                if len(raw) > limit:
                    return respond(_too_large(limit))
        except ClientDisconnect:
            return respond(error_reply(400, "The request ended before the order was complete.", "Send it again."))
        connections.accept(request.scope["client"])
        body = _decode_body(bytes(raw), request.headers, limit=limit)
        return respond(body if isinstance(body, Reply) else await run_in_threadpool(receiver.receive, body))

    async def health(request: Request) -> Response:
        refused = receiver.access.check_host(request.headers)
        return JSONResponse({"status": "ok"}) if refused is None else closing(refused)

    async def not_found(_request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        return respond(error_reply(status, "There is no such call.", "POST orders to /orders; GET /health."))

    routes = [
        Route("/", take, methods=["POST"]),
        Route("/orders", take, methods=["POST"]),
        Route("/orders/", take, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    application = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})
    application.router.redirect_slashes = False  # a redirect would repeat whatever Host its sender wrote
    return application


def _check_framing(headers: Mapping[str, str]) -> Reply | None:
    """Return what to answer for a request whose body cannot be read as its headers say; None where it can."""
    if "content-length" in headers and "transfer-encoding" in headers:
        # Two programs that read it differently would see two requests (RFC 9112, 6.1).
        return error_reply(400, "The request has Content-Length and Transfer-Encoding.", "Send one of the two.")
    encoding = _encoding_of(headers)
    if encoding not in {"identity", "gzip", "x-gzip"}:
        reason = f"Bodies with Content-Encoding {encoding!r} are not read."
        return error_reply(415, reason, "Send it as it is, or with gzip.")
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
        return error_reply(400, "The body is not whole gzip, as its Content-Encoding says.", "Send it again.")
    return body


def _too_large(limit: int) -> Reply:
    hint = "Raise max_body under [orders.serve] if orders are so large."
    return error_reply(413, f"The order is larger than {limit:,} bytes.", hint)


def _tls_context(settings: ReceiverSettings) -> ssl.SSLContext | None:
    """Return what TLS is made with, None without TLS files; raise :class:`UsageError` where they cannot be used."""
    import ssl

    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}.", hint=f"Check {name} under [orders.serve]."
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate} and {key} cannot be used for TLS: {error.reason or error}.",
            hint="tls_certificate is a PEM file with the certificate and what leads to it, tls_key one with its private"
            " key, without a password.",
        ) from None
    return context


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

    from engine.orders.connections import OpenConnections, limited_protocol

    receiver = Receiver(project, on_event=on_event)
    settings = receiver.settings
    tls = _tls_context(settings)
    connections = OpenConnections()
    config = uvicorn.Config(
        build_application(receiver, connections),
        host=settings.host,
        port=settings.port,
        http=limited_protocol(connections, tls),
        ws="none",
        proxy_headers=False,  # who sends is told by the connection
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=60,
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
