"""Serve what the agent answers over HTTP, and what a monitor asks it: ``/health``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import http_server
from engine.errors import SyncError

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where and how to listen; ``protocol`` is what uvicorn makes for each connection, with ``tls`` inside it."""

    host: str
    port: int
    protocol: type[asyncio.Protocol]
    tls: ssl.SSLContext | None = None


def monitor_routes(
    *, is_alive: Callable[[], bool], metrics: Callable[[], str], may_read: Callable[[Request], bool]
) -> list[Route]:
    """What monitors ask.

    ``/health`` says that the process answers, ``/ready`` whether it does its work (503 where it does not), and
    ``/metrics`` gives ``metrics`` to whom ``may_read`` lets; 503 where they cannot be told now.
    """
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def ready(_request: Request) -> Response:
        return PlainTextResponse("ok\n") if is_alive() else PlainTextResponse("stalled\n", 503)

    def numbers(request: Request) -> Response:
        if not may_read(request):
            return PlainTextResponse("Metrics are for this machine alone.\n", 403)
        try:
            return PlainTextResponse(metrics() + "\n", media_type=METRICS_TYPE)
        except (SyncError, OSError) as error:
            return PlainTextResponse(f"{error}\n", 503)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", numbers)]


@contextmanager
def serve_http(routes: Sequence[BaseRoute], listener: Listener) -> Iterator[str]:
    """Answer what ``routes`` are for, in a thread, until the block ends; gives the address.

    Raises :class:`OSError` where the port cannot be had.
    """
    import uvicorn
    from starlette.applications import Starlette

    application = Starlette(routes=routes)
    application.router.redirect_slashes = False  # a redirect would repeat whatever Host its sender wrote
    config = uvicorn.Config(
        application,
        host=listener.host,
        port=listener.port,
        http=listener.protocol,
        ws="none",
        proxy_headers=False,  # who asks is told by the connection
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=30,
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with suppress(BaseException):  # uvicorn leaves with SystemExit where it cannot listen
            http_server.serve(server)

    thread = threading.Thread(target=serve, name="http", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise OSError(f"Nothing could listen on {listener.host}:{listener.port}.")
        port = server.servers[0].sockets[0].getsockname()[1]
        host = f"[{listener.host}]" if ":" in listener.host else listener.host
        yield f"{'https' if listener.tls else 'http'}://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=40)
