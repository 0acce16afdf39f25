"""The HTTP library, set up for Stock2Shop: headers bounded in time, no redirects, no credentials of other programs.

A read timeout bounds each single read, so a server that sends its headers a byte a second would never be late. Here
the timeout bounds the whole head of an answer. The body is read, within limits of its own, by
:mod:`engine.stock2shop.transport`.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from engine import __version__

if TYPE_CHECKING:
    import socket


class Session(requests.Session):
    """A kept-alive session whose answers are never redirects to follow."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())
        # Any auth at all keeps requests from reading .netrc; the proxies of the environment stay in use.
        self.auth = _add_nothing
        self.headers["User-Agent"] = f"stock2shop-sync/{__version__}"
        self.headers["Accept"] = "application/json"

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the name is the base class's
        """No target, whatever the answer says.

        Even where redirects are not followed, requests parses Location, which may be malformed, and reads the body
        to its end, however long it is.
        """
        return None


def _add_nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _TimedReader(io.RawIOBase):
    """Reads a socket; while ``deadline`` is set, no read lasts beyond it."""

    def __init__(self, sock: socket.socket) -> None:
        self.deadline: float | None = None
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the headers took too long")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Readable:
    """What an HTTPResponse asks of a socket: a file to read."""

    def __init__(self, reader: _TimedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _Response(HTTPResponse):
    """A response whose status line and headers arrive within the socket's timeout, all together.

    The time counts from where the response is made, which is just before it is read: a proxy's answer to CONNECT is
    read without :meth:`begin`.
    """

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._reader = _TimedReader(sock)
        self._reader.deadline = None if self._timeout is None else time.monotonic() + self._timeout
        super().__init__(_Readable(self._reader), debuglevel, method, url)  # type: ignore[arg-type]  # it only reads

    def begin(self) -> None:
        try:
            super().begin()
        finally:
            self._reader.deadline = None
        self._sock.settimeout(self._timeout)


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, ProxyManager):  # the manager of a SOCKS proxy has pools of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager
