"""The receiver's connections: how many there may be, and how long each may take to say what it wants.

Nobody who has not logged in can keep an order away: where there are too many connections, the oldest of those that have
sent no accepted request makes room for the new one. A connection counts from the moment that it is there, also while
its TLS handshake goes on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    import ssl

MAX_CONNECTIONS = 128
"""How many connections may be open at once."""

MAX_CONNECTIONS_PER_ADDRESS = 64
"""How many of them may be from one address; a tunnel or a proxy is one."""

HEADER_TIMEOUT_SECONDS = 10
"""How long a connection may take for its TLS handshake and the headers of a request."""

REQUEST_TIMEOUT_SECONDS = 60
"""How long a request may take to arrive whole, so that slow senders cannot hold connections for ever."""

TLS_GOODBYE_SECONDS = 1
"""How long a TLS connection that ends waits for the other side to say so, too: many never do."""


class OpenConnections:
    """The connections that are open, the oldest first. Used in the thread of the event loop alone."""

    def __init__(self) -> None:
        self._open: dict[LimitedProtocol, str] = {}

    def admit(self, connection: LimitedProtocol, address: str) -> bool:
        """Whether a new connection may stay; another one may be closed for it."""
        crowd = [each for each, known in self._open.items() if known == address]
        if len(crowd) < MAX_CONNECTIONS_PER_ADDRESS:
            crowd = list(self._open) if len(self._open) >= MAX_CONNECTIONS else []
        if crowd:
            oldest = next((each for each in crowd if not each.accepted), None)
            if oldest is None:
                return False
            self.forget(oldest)
            oldest.hang_up()
        self._open[connection] = address
        return True

    def forget(self, connection: LimitedProtocol) -> None:
        """Count a connection no more."""
        self._open.pop(connection, None)

    def accept(self, client: tuple[str, int] | None) -> None:
        """Take note that the request which ``client`` is sending has passed its login."""
        for each in self._open:
            if each.client == client:
                each.accepted = True


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP protocol within the limits of this module; with ``tls`` it makes the handshake itself."""

    def __init__(
        self, *args: Any, open_connections: OpenConnections, tls: ssl.SSLContext | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.accepted = False
        """Whether it is sending a request that has passed its login, or waits for the answer to it."""
        self._open_connections = open_connections
        self._tls = tls
        self._socket: asyncio.Transport | None = None
        self._ready = False
        self._ended = False
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection, or end it."""
        self._socket = transport
        peer = transport.get_extra_info("peername")
        if not self._open_connections.admit(self, str(peer[0]) if peer else ""):
            self._ended = True
            transport.abort()
            return
        self._restart_timer()
        if self._tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()  # until the handshake reads
            self._handshake = self.loop.create_task(self._start_tls(transport, self._tls))

    async def _start_tls(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        limits: dict[str, Any] = {"ssl_handshake_timeout": HEADER_TIMEOUT_SECONDS}
        if sys.version_info >= (3, 11):
            limits["ssl_shutdown_timeout"] = TLS_GOODBYE_SECONDS
        try:
            encrypted = await self.loop.start_tls(transport, self, context, server_side=True, **limits)
        except OSError:  # no TLS, or the connection is gone
            self._end()
            transport.abort()
            return
        if encrypted is None or self._ended:
            return
        self._begin(encrypted)
        early, self._early = self._early, b""
        if early:
            super().data_received(early)

    def _begin(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._ready = True

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if not self._ready:  # it came with the end of the handshake
            self._early += data
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no more."""
        self._end()
        if self._ready:
            super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.accepted = False
        super().on_response_complete()
        self._limit_goodbye()
        self._restart_timer()

    def hang_up(self) -> None:
        """End the connection at once."""
        self._end()
        if self._socket is not None:
            self._socket.abort()

    def _end(self) -> None:
        self._ended = True
        self._open_connections.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self._ended else self.loop.call_later(HEADER_TIMEOUT_SECONDS, self._require_headers)

    def _require_headers(self) -> None:
        cycle = self.cycle  # None before the first request, which uvicorn's annotation does not say
        if cycle is None or cycle.response_complete:  # type: ignore[redundant-expr] # as above
            self._close()
        else:
            seconds = REQUEST_TIMEOUT_SECONDS - HEADER_TIMEOUT_SECONDS
            self._timer = self.loop.call_later(seconds, self._require_body)

    def _require_body(self) -> None:
        if self.cycle.more_body or self.cycle.response_complete:
            self._close()

    def shutdown(self) -> None:
        """End the connection, after the request that is under way."""
        super().shutdown()
        self._limit_goodbye()

    def _close(self) -> None:
        if not self._ready:
            self.hang_up()  # a handshake has nothing to say goodbye to
        else:
            self.transport.close()
            self._limit_goodbye()

    def _limit_goodbye(self) -> None:
        """Have a TLS connection that is closing end in any case; Python 3.10 would wait for the other side."""
        if self._tls is not None and self._socket is not None and self.transport.is_closing():
            self.loop.call_later(TLS_GOODBYE_SECONDS, self._socket.abort)


def limited_protocol(open_connections: OpenConnections, tls: ssl.SSLContext | None) -> type[asyncio.Protocol]:
    """Return the protocol that uvicorn makes for each connection, which counts in ``open_connections``."""

    class Protocol(LimitedProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, open_connections=open_connections, tls=tls, **kwargs)

    return Protocol
