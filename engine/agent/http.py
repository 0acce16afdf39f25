"""Serve what the agent answers over HTTP, and what a monitor asks it: ``/health``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import SyncError
from engine.http_server import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route

    from engine.http_server import Listener

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
    from starlette.applications import Starlette

    application = Starlette(routes=routes)
    application.router.redirect_slashes = False  # a redirect would repeat whatever Host its sender wrote
    with serve_in_thread(application, listener, grace_seconds=30) as address:
        yield address
