"""Serve HTTP in a thread of its own, on every system for as long as the process lives."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    import uvicorn


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where and how to listen; ``protocol`` is what uvicorn makes for each connection, with ``tls`` inside it."""

    host: str
    port: int
    protocol: type[asyncio.Protocol]
    tls: ssl.SSLContext | None = None


log = logging.getLogger(__name__)


class _Lines(logging.Handler):
    """Has what uvicorn logs in the program's own log, as one line without the text of an error: it may name a person.

    What it says before it listens is in the error of whoever wanted it to.
    """

    def __init__(self, server: uvicorn.Server) -> None:
        super().__init__(logging.WARNING)
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first line, and the kind of the error."""
        if self._server.started:
            kind = f": {record.exc_info[0].__name__}" if record.exc_info and record.exc_info[0] else ""
            log.warning("%s%s", record.getMessage().partition("\n")[0], kind)


@contextmanager
def serve_in_thread(
    application: Callable[..., Any],
    listener: Listener,
    *,
    grace_seconds: int,
    on_stopped: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Answer by an ASGI ``application`` in a thread until the block ends; gives the address.

    At the end, requests that are being answered have ``grace_seconds`` to be finished. ``on_stopped`` is called in the
    thread when it listens no more. Raises :class:`OSError` where the port cannot be had.
    """
    import uvicorn

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
        timeout_graceful_shutdown=grace_seconds,
    )
    server = uvicorn.Server(config)
    messages = logging.getLogger("uvicorn.error")
    messages.propagate, messages.handlers = False, [_Lines(server)]

    def run() -> None:
        with suppress(BaseException):  # uvicorn leaves with SystemExit where it cannot listen
            serve(server)
        on_stopped()

    thread = threading.Thread(target=run, name="http", daemon=True)
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
        thread.join(timeout=grace_seconds + 30)


def serve(server: uvicorn.Server, *listeners: socket.socket) -> None:
    """Run ``server`` in this thread until it is asked to stop, on ``listeners`` where they are given."""
    for listener in listeners:
        # An answer is written in two pieces, of which the second would wait 40 ms for the first to be confirmed.
        # asyncio sees to that for the sockets that it makes itself; from these, connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run() -> None:
        try:
            await server.serve(sockets=list(listeners) or None)
        finally:
            remaining = asyncio.all_tasks() - {asyncio.current_task()}
            for task in remaining:
                task.cancel()
            await asyncio.gather(*remaining, return_exceptions=True)

    loop = _loop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that goes on listening whatever a client does.

    The usual one of Windows closes the socket that it listens on, and never opens it again, where a client resets its
    connection while it is accepted (https://github.com/python/cpython/issues/93821); the other one breaks at the 512th
    connection.
    """
    if sys.platform == "win32":

        class Proactor(asyncio.IocpProactor):
            """Accepts the next connection where one is reset."""

            def accept(self, listener: socket.socket) -> asyncio.Future[Any]:
                accept_once = super().accept

                async def accepted() -> Any:
                    while True:
                        try:
                            return await accept_once(listener)
                        except OSError:
                            if listener.fileno() == -1:
                                raise
                            await asyncio.sleep(0.01)

                return asyncio.ensure_future(accepted(), loop=loop)

        loop: asyncio.AbstractEventLoop = asyncio.ProactorEventLoop(Proactor())

        def handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not isinstance(context.get("exception"), OSError):  # a lost connection is its client's matter
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle_exception)
    else:
        loop = asyncio.new_event_loop()
    return loop
