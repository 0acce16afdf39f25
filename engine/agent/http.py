"""What a monitor asks the agent over HTTP, on this machine alone: ``/health``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine import http_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@contextmanager
def serve_monitor(port: int, *, is_alive: Callable[[], bool], metrics: Callable[[], str]) -> Iterator[str]:
    """Listen in a thread until the block ends; gives the address.

    ``/health`` says that the process answers, ``/ready`` whether it does its work (503 where it does not), and
    ``/metrics`` gives ``metrics``. Raises :class:`OSError` where the port cannot be had.
    """
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def ready(_request: Request) -> Response:
        return PlainTextResponse("ok\n") if is_alive() else PlainTextResponse("stalled\n", 503)

    def numbers(_request: Request) -> Response:
        return PlainTextResponse(metrics() + "\n", media_type=METRICS_TYPE)

    routes = [Route("/health", health), Route("/ready", ready), Route("/metrics", numbers)]
    config = uvicorn.Config(
        Starlette(routes=routes),
        host=HOST,
        port=port,
        ws="none",
        proxy_headers=False,
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with suppress(BaseException):  # uvicorn leaves with SystemExit where it cannot listen
            http_server.serve(server)

    thread = threading.Thread(target=serve, name="monitor", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise OSError(f"Nothing could listen on {HOST}:{port}.")
        yield f"http://{HOST}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
