"""The requests that bring orders: which are taken, and what is answered, for one receiver or for several.

``POST /orders`` (or ``/``) is for the receiver of ``s2s orders serve``, ``POST /orders/<project>`` for those of the
agent. A project's orders are raised in threads of their own number: one whose database hangs keeps no thread from the
others.
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from engine.orders import access
from engine.orders.replies import Reply, error_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from engine.orders.connections import OpenConnections
    from engine.orders.receiver import Receiver

MAX_ORDERS_AT_ONCE = 40
"""So many orders of one project are worked on at once, one of which is raised; further ones wait."""


class OrderRequests:
    """Takes requests for receivers, on ``connections``."""

    def __init__(self, connections: OpenConnections) -> None:
        self._connections = connections
        self._threads: dict[str, anyio.CapacityLimiter] = {}

    async def take(self, request: Request, receiver: Receiver) -> Response:
        """Check a request, store and raise its order, and answer."""
        rules = receiver.access
        refused = rules.check_host(request.headers) or rules.check_origin(request.headers, scheme=request.url.scheme)
        if refused is not None:
            return respond_and_close(refused)
        refused = rules.check_credentials(request.headers.get("authorization", ""))
        if refused is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_disconnected(request), access.FAILED_LOGIN_DELAY_SECONDS)
            return respond_and_close(refused)
        refused = _check_framing(request.headers)
        if refused is not None:
            return respond_and_close(refused)
        limit = receiver.settings.max_body
        raw = bytearray()
        try:
            async for part in request.stream():
                raw += part
                if len(raw) > limit:
                    return respond(_too_large(limit))
        except ClientDisconnect:
            return respond(error_reply(400, "The request ended before the order was complete.", "Send it again."))
        self._connections.accept(request.scope["client"])
        body = _decode_body(bytes(raw), request.headers, limit=limit)
        if isinstance(body, Reply):
            return respond(body)
        threads = self._threads.setdefault(receiver.project.name, anyio.CapacityLimiter(MAX_ORDERS_AT_ONCE))
        return respond(await anyio.to_thread.run_sync(receiver.receive, body, limiter=threads))


def receiver_application(receiver: Receiver, connections: OpenConnections) -> Starlette:
    """Return the ASGI application that serves one receiver, on ``connections``."""
    requests = OrderRequests(connections)

    async def take(request: Request) -> Response:
        return await requests.take(request, receiver)

    async def health(request: Request) -> Response:
        refused = receiver.access.check_host(request.headers)
        return JSONResponse({"status": "ok"}) if refused is None else respond_and_close(refused)

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


def order_routes(find: Callable[[str], Receiver | Reply], connections: OpenConnections) -> list[Route]:
    """Return the routes of several receivers: ``find`` gives that of a project, or what to answer in its place."""
    requests = OrderRequests(connections)

    async def take(request: Request) -> Response:
        found = find(request.path_params["project"])
        return respond_and_close(found) if isinstance(found, Reply) else await requests.take(request, found)

    return [Route("/orders/{project}", take, methods=["POST"])]


def respond(reply: Reply) -> Response:
    """Return the response for a reply."""
    headers = {"Retry-After": str(reply.retry_after)} if reply.retry_after else {}
    if reply.status == 401:  # noqa: PLR2004 - Unauthorized
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(reply.body, reply.status, headers)


def respond_and_close(reply: Reply) -> Response:
    """Return the response for a reply after which the connection ends."""
    response = respond(reply)
    response.headers["Connection"] = "close"
    return response


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
