"""The HTTP receiver that Stock2Shop's tunnel calls with an order: kept, raised and answered in one request.

``POST /orders`` (or ``/``) takes a ``system_order`` and answers ``{source_id, source_order_code,
source_customer_code}``; ``GET /health`` says that it listens. That Stock2Shop calls the agent beside the database
and expects the source's order code back is public; the exact contract is not.
"""

from __future__ import annotations

import base64
import hmac
import logging
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import http_server as serving
from engine.errors import OrderError, StateLockedError, SyncError, UsageError
from engine.orders import document as inbox
from engine.orders import pipeline as orders
from engine.orders.ledger import PENDING_STATUSES, open_ledger
from engine.orders.pipeline import Raiser, settings_of
from engine.orders.pull import answer
from engine.orders.rules import RULES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from engine.model.settings import Project, ReceiverSettings
    from engine.orders.ledger import Entry

log = logging.getLogger(__name__)

DUE = 30
"""Seconds between two looks at what is due from before: orders whose process died, and those that failed for now."""

PATIENCE = 60
"""Seconds for a request to arrive whole: who sends a byte now and then would hold a connection for ever."""

GUESSES = 20
"""Wrong tokens a minute; then everybody with a wrong one waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP status, the JSON that goes with it, and after how many seconds to come again."""

    status: int
    body: dict[str, Any]
    retry_after: int = 0


class Receiver:
    """Takes orders of one project; safe to be called from several threads."""

    def __init__(self, project: Project, *, tell: Callable[..., None] = lambda _text, **_facts: None) -> None:
        """``tell`` hears a sentence of every order and every refusal, with nothing personal in it, and its facts."""
        self._tell = tell
        self.project = project
        self.settings: ReceiverSettings = settings_of(project).receiver
        self._raiser = Raiser(project)
        self._turn = threading.Lock()
        self._wrong: deque[float] = deque(maxlen=GUESSES)
        self._trouble = ""

    @property
    def open(self) -> bool:
        """Whether anybody may send orders who reaches the address."""
        return not (self.settings.token or (self.settings.username and self.settings.password))

    def close(self) -> None:
        """Finish the order in hand and give the connection back."""
        with self._turn:
            self._raiser.close()

    def admits(self, authorization: str) -> Reply | None:
        """None where the header lets in, else what to answer; equally fast for every wrong one."""
        wanted = []
        if self.settings.token:
            wanted.append(f"Bearer {self.settings.token}")
        if self.settings.username and self.settings.password:
            pair = f"{self.settings.username}:{self.settings.password}".encode()
            wanted.append(f"Basic {base64.b64encode(pair).decode()}")
        if not wanted:
            return None
        scheme, _, credentials = authorization.partition(" ")
        given = f"{scheme.title()} {credentials.strip()}"  # a scheme is the same in any case (RFC 9110, 11.1)
        right = [hmac.compare_digest(given.encode(), each.encode()) for each in wanted]
        if any(right):
            return None
        at = time.monotonic()
        often = len(self._wrong) == GUESSES and at - self._wrong[0] < 60  # noqa: PLR2004 - a minute
        self._wrong.append(at)
        if often:
            return _refusal(429, "Too many wrong tokens.", "Wait a minute.", retry_after=60)
        self._say("Somebody was refused: the token or the password is missing or wrong.", status=401)
        return _refusal(401, "The token or the password is missing or wrong.", "Send it in the Authorization header.")

    def raise_due(self, stop: threading.Event) -> None:
        """Raise what is due from before, and say what keeps it from that: once, until something else does."""
        trouble = ""
        try:
            with open_ledger(self.project) as ledger:
                for entry in ledger.due():
                    if stop.is_set():
                        return
                    with self._turn:
                        # While it waited for its turn, the request that brought it may have raised it.
                        if ledger.entry(entry.order_id).standing in PENDING_STATUSES:
                            self._told(self._raiser.raise_one(ledger, entry.order_id))
                ledger.prune(keep_days=self._raiser.settings.keep_days)
        except SyncError as error:
            trouble = f"{error.message} {error.hint}"
        except Exception as error:  # noqa: BLE001 - it is tried again; its text may hold what is in an order
            trouble = f"Something unforeseen went wrong: {type(error).__name__}"
        if trouble and trouble != self._trouble:
            self._say(f"Orders from before cannot be raised now: {trouble}")
        self._trouble = trouble

    def take(self, raw: bytes) -> Reply:
        """Keep an order, raise it, and say what became of it."""
        reply = self._take(raw)
        wrong = reply.body.get("error", {})
        if wrong and "standing" not in wrong:
            self._say(f"An order was not taken: {wrong['reason']}", status=reply.status)
        return reply

    def _say(self, text: str, **facts: object) -> None:
        with suppress(Exception):  # an order does not suffer from a full disk of logs, or from nobody listening
            self._tell(text, **facts)

    def _told(self, entry: Entry, *, again: bool = False) -> None:
        """Tell what became of an order."""
        code = f" as {entry.source_order_code}" if entry.source_order_code else ""
        reason = f": {entry.reason}" if entry.reason else ""
        became = f"came again, and is {entry.standing}" if again else f"is {entry.standing}"
        self._say(
            f"Order {entry.order_id} {became}{code}{reason}",
            order=entry.order_id,
            standing=entry.standing,
            rule=entry.rule,
            source_order_code=entry.source_order_code,
        )

    def _take(self, raw: bytes) -> Reply:
        try:
            document = inbox.parse(raw)
            with open_ledger(self.project) as ledger:
                new = ledger.receive(inbox.order_id_of(document), document, via="serve")
                orders.at_boundary("after receipt")
                with self._turn:
                    entry = self._raiser.raise_one(ledger, inbox.order_id_of(document))
                self._told(entry, again=not new)
                if entry.standing in {"raised", "answered"}:
                    orders.at_boundary("before the answer")
                    ledger.answered(entry.order_id)
                    return Reply(status=200, body=answer(self.project, entry))
                return _unraised(entry)
        except OrderError as error:
            return _refusal(error.status, error.message, error.hint or "Send the order as Stock2Shop has it.")
        except StateLockedError as error:
            return _refusal(503, error.message, "Send it again.", retry_after=5)
        except SyncError as error:
            return _refusal(503, error.message, error.hint, retry_after=60)
        except Exception as error:  # noqa: BLE001 - the sender hears of it, and sends the order again
            # Its text may hold what is in the order.
            log.error("An order met something unforeseen: %s", type(error).__name__)  # noqa: TRY400 - as above
            return _refusal(503, "Something unforeseen went wrong.", "Send it again.", retry_after=60)


def application(receiver: Receiver) -> Starlette:
    """The ASGI application around a receiver."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def reply(made: Reply) -> Response:
        headers = {"Retry-After": str(made.retry_after)} if made.retry_after else {}
        if made.status == 401:  # noqa: PLR2004 - Unauthorized
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(made.body, made.status, headers)

    async def take(request: Request) -> Response:
        shut = receiver.admits(request.headers.get("authorization", ""))
        if shut is None and receiver.open and "origin" in request.headers:
            # Any page that is open in a browser on this machine could post here.
            shut = _refusal(403, "Web pages may not send orders.", "Set a token under [orders.serve].")
        if shut is not None:
            return reply(shut)
        raw = bytearray()
        try:
            async for part in request.stream():
                raw += part
                if len(raw) > receiver.settings.max_body:
                    return reply(
                        _refusal(
                            413,
                            f"The order is larger than {receiver.settings.max_body:,} bytes.",
                            "Raise max_body under [orders.serve] if orders are so large.",
                        )
                    )
        except ClientDisconnect:  # nobody is left to hear of it
            return reply(_refusal(400, "The order broke off.", "Send it again."))
        return reply(await run_in_threadpool(receiver.take, bytes(raw)))

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def elsewhere(_request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        return reply(_refusal(status, "There is no such call.", "POST orders to /orders; GET /health."))

    routes = [
        Route("/", take, methods=["POST"]),
        Route("/orders", take, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={404: elsewhere, 405: elsewhere})


def _impatient() -> type[asyncio.Protocol]:
    """The server's side of a connection, which is closed where a request does not arrive whole."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait(ended=True)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait()

        def _wait(self, *, ended: bool = False) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = None if ended else self.loop.call_later(PATIENCE, self._give_up)

        def _give_up(self) -> None:
            cycle = self.cycle  # None before the first request, which uvicorn's annotation leaves out
            if cycle is None or cycle.more_body or cycle.response_complete:  # type: ignore[redundant-expr]
                self.transport.close()

    return Impatient


def _readable(settings: ReceiverSettings) -> None:
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
def listening(
    project: Project,
    *,
    tell: Callable[..., None] = lambda _text, **_facts: None,
    gone: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Listen in a thread until the block ends; gives the address. The order in hand is finished first.

    ``tell`` hears of every order, as :class:`Receiver` says; ``gone`` is called there when it listens no more.

    Raises :class:`OSError` where the port cannot be had, and :class:`UsageError` where the TLS files cannot be used.
    """
    import uvicorn

    receiver = Receiver(project, tell=tell)
    settings = receiver.settings
    _readable(settings)
    config = uvicorn.Config(
        application(receiver),
        host=settings.host,
        port=settings.port,
        http=_impatient(),
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
            serving.serve(server)
        gone()

    ended = threading.Event()

    def mind() -> None:
        receiver.raise_due(ended)
        while not ended.wait(DUE):
            receiver.raise_due(ended)

    thread = threading.Thread(target=serve, daemon=True)
    minding = threading.Thread(target=mind, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise OSError(f"Nothing could listen on {settings.host}:{settings.port}.")
        minding.start()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if settings.tls_certificate else 'http'}://{settings.host}:{port}"
    finally:
        server.should_exit = True
        ended.set()
        thread.join(timeout=90)
        if minding.is_alive():
            minding.join(timeout=90)
        receiver.close()


def _unraised(entry: Entry) -> Reply:
    """What to say of an order that waits, failed for now, or was skipped."""
    body = {"order": entry.order_id, "standing": entry.standing, "rule": entry.rule, "reason": entry.reason}
    if entry.standing == "failed":
        return Reply(
            status=503,
            body={"error": {**body, "what_to_do": "Send it again later: it is raised once."}},
            retry_after=60,
        )
    mend = RULES[entry.rule].mend if entry.rule in RULES else "Look with `s2s orders show`."
    return Reply(status=422, body={"error": {**body, "what_to_do": mend}})


def _refusal(status: int, reason: str, what_to_do: str, *, retry_after: int = 0) -> Reply:
    return Reply(status=status, body={"error": {"reason": reason, "what_to_do": what_to_do}}, retry_after=retry_after)
