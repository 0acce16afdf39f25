"""Serve HTTP in a thread of its own, on every system for as long as the process lives."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    import uvicorn


def serve(server: uvicorn.Server, *listeners: socket.socket) -> None:
    """Run ``server`` in this thread until it is told to end, on ``listeners`` where they are given."""

    async def served() -> None:
        try:
            await server.serve(sockets=list(listeners) or None)
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    loop = _loop()
    try:
        loop.run_until_complete(served())
    finally:
        loop.close()


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that goes on listening whatever a client does.

    The usual one of Windows closes the socket that it listens on, for good, where a client resets its connection while
    it is accepted (https://github.com/python/cpython/issues/93821); the other one breaks at the 512th connection.
    """
    if sys.platform == "win32":

        class Accepting(asyncio.IocpProactor):
            """Accepts the next connection where one was lost."""

            def accept(self, listener: socket.socket) -> asyncio.Future[Any]:
                once = super().accept

                async def accepted() -> Any:
                    while True:
                        try:
                            return await once(listener)
                        except OSError:
                            if listener.fileno() == -1:
                                raise
                            await asyncio.sleep(0.01)

                return asyncio.ensure_future(accepted(), loop=loop)

        loop: asyncio.AbstractEventLoop = asyncio.ProactorEventLoop(Accepting())

        def heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not isinstance(context.get("exception"), OSError):  # a connection that is lost is its client's matter
                loop.default_exception_handler(context)

        loop.set_exception_handler(heard)
    else:
        loop = asyncio.new_event_loop()
    return loop
