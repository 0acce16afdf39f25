"""A local Stock2Shop: the documented API with state, pace and faults, for the demo, the tests and trying a mapping.

It serves what ``docs/openapi.yaml`` describes, and under ``/_sandbox`` calls of its own. Where Stock2Shop's public
pages say nothing, the sandbox takes the plainest reading, and the document marks it: customers are queued and read
back as products are; an order waits in the queue until its source's order code comes back.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from engine import http_server
from engine.errors import UsageError
from engine.sandbox.account import Account, Recorded
from engine.sandbox.checks import RefusalError, count_items, json_object, parse_json
from engine.sandbox.control import Control
from engine.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from typing_extensions import Self

    from engine.sandbox.checks import Json


class Sandbox(Account):
    """A Stock2Shop of one's own; serves in a thread between :meth:`start` and :meth:`stop`."""

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        super().__init__(settings or SandboxSettings())
        self._bucket = (float(self.settings.burst), time.monotonic())
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._port = self.settings.port

    @property
    def url(self) -> str:
        """The base of every path, such as ``http://127.0.0.1:8057/v1``."""
        return f"http://{self.settings.host}:{self._port}/v1"

    def start(self) -> Self:
        """Listen; gives itself. The port is chosen by the system when the settings say 0."""
        import socket

        import uvicorn

        self.store.save()  # a file that cannot be written is reported now, not after the first request
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # With SO_REUSEADDR on Windows, a second sandbox would listen on the port of the first.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        try:
            listener.bind((self.settings.host, self.settings.port))
        except OSError:
            listener.close()
            raise
        self._port = int(listener.getsockname()[1])
        config = uvicorn.Config(self.app(), log_level="error", access_log=False, lifespan="off", ws="none", http="h11")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=http_server.serve, args=(self._server, listener), name="sandbox", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OSError(f"The sandbox could not listen on {self.settings.host}:{self._port}.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def app(self) -> Callable[..., Any]:
        """The ASGI application: faults around the documented API."""
        routes = self._routes()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await self._serve(routes, scope, receive, send)

        return answer

    async def _serve(self, routes: Starlette, scope: Any, receive: Any, send: Any) -> None:
        """Put the faults that were asked for between a request and its answer."""
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await routes(scope, receive, send)
            return
        queue = scope["path"].endswith("/queue")
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        if self.faults.take("drops"):
            await _abort(send)
            return
        drop_after = queue and self.faults.take("drops_after")
        half = self.faults.take("halves")
        begun: Json = {}

        async def through(message: Any) -> None:
            if drop_after:
                return
            if half and message["type"] == "http.response.start":
                begun.update(message)
                return
            if half and begun:
                body = message.get("body", b"")
                headers = [(k, v) for k, v in begun["headers"] if k != b"content-length"]
                await send({**begun, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
                await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
                await asyncio.sleep(0.05)
                await _abort(send)
                return
            await send(message)

        await routes(scope, receive, through)
        if drop_after:
            await _abort(send)

    def _routes(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [Route(path, self._control(act), methods=[method]) for method, path, act in Control(self).calls()]
        routes += [
            Route(path, self._endpoint(act, guarded=guarded), methods=[method])
            for method, path, act, guarded in self.endpoints.calls()
        ]
        return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})

    def _endpoint(self, act: Callable[[Request, Any], Any], *, guarded: bool) -> Callable[[Request], Any]:
        from starlette.responses import JSONResponse, Response

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            status, document, headers, items = 200, {}, {}, 0
            try:
                self._admit(request, guarded=guarded)
                body = parse_json(raw) if request.method == "POST" else None
                items = count_items(body) if guarded else 0
                with self.store.lock:
                    document = act(request, body)
            except RefusalError as refused:
                status, document = refused.status, refused.document
                if status == 429 and self.settings.retry_after:  # noqa: PLR2004 - Too Many Requests
                    headers = {"Retry-After": "1"}
            self._record(request, raw, status, items)
            if self.faults.take("pages"):
                return Response("<html><body>Please sign in to the network.</body></html>", media_type="text/html")
            if self.faults.take("malformed"):
                return Response('{"queued": ', media_type="application/json")
            return JSONResponse(document, status_code=status, headers=headers)

        return endpoint

    def _record(self, request: Request, raw: bytes, status: int, items: int) -> None:
        query = {name: "…" if name == "token" else value for name, value in request.query_params.items()}
        path = request.url.path
        if "valid_token" in path:
            path = path.rsplit("/", 1)[0] + "/…"
        secret = path.endswith("/authenticate")
        self.requests.append(
            Recorded(
                method=request.method,
                path=path,
                query=query,
                status=status,
                items=items,
                received_at=datetime.now(timezone.utc),
                body=raw if self.settings.keep_bodies and not secret else None,
            )
        )

    def _admit(self, request: Request, *, guarded: bool) -> None:
        self._check_pace()
        if self.faults.take("errors"):
            raise RefusalError(self.faults.error_status, "A fault was asked for.")
        if guarded:
            self.endpoints.check_token(request)

    def _check_pace(self) -> None:
        if not self.settings.pace:
            return
        with self.store.lock:
            left, at = self._bucket
            now = time.monotonic()
            left = min(float(self.settings.burst), left + (now - at) * self.settings.pace)
            self._bucket = (left - 1 if left >= 1 else left, now)
            if left < 1:
                raise RefusalError(429, "Too Many Requests: about one a second is right.")

    def _control(self, act: Callable[[Request, Any], Json]) -> Callable[[Request], Any]:
        """A call that Stock2Shop does not have, answered so that a person can read it."""
        from starlette.responses import Response

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            status, document = 200, {}
            try:
                body = json_object(raw or b"{}") if request.method == "POST" else {}
                with self.store.lock:
                    document = act(request, body)
            except RefusalError as refused:
                status, document = refused.status, refused.document
            text = json.dumps(document, indent=2, ensure_ascii=False)
            return Response(f"{text}\n", status_code=status, media_type="application/json")

        return endpoint


def serve(settings: SandboxSettings, *, ready: Callable[[str], object]) -> None:
    """Serve until the process is interrupted; ``ready`` gets the address once somebody listens there.

    Raises :class:`UsageError` when nothing can listen there, or the file is not to be used.
    """
    try:
        sandbox = Sandbox(settings).start()
    except OSError as error:
        place = f"{settings.host}:{settings.port}" if error.filename is None else error.filename
        raise UsageError(
            f"The sandbox cannot use {place}: {error.strerror or error}.",
            hint="Choose another port with --port, or another file with --state.",
        ) from None
    with suppress(KeyboardInterrupt):
        ready(sandbox.url)
        while True:
            time.sleep(1)  # waiting on an event would not hear Ctrl-C on Windows
    sandbox.stop()


async def _abort(send: Any) -> None:
    """Close the client's connection as a broken network does. Uvicorn's send is a method of the cycle that holds it.

    Uvicorn reports an application that leaves a connection open without an answer, so the end of it is waited for.
    """
    cycle = send.__self__
    cycle.transport.abort()
    while not cycle.disconnected:  # noqa: ASYNC110 - uvicorn sets it, and has no event for it
        await asyncio.sleep(0)


def _not_found(_request: Request, error: Any) -> Response:
    from starlette.responses import JSONResponse

    status = int(getattr(error, "status_code", 404))
    headers = dict(getattr(error, "headers", None) or {})
    return JSONResponse({"error": {"message": "There is no such call."}}, status_code=status, headers=headers)
