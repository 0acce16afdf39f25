"""A stand-in for SQL Server's first words: PRELOGIN over TCP, TLS inside of it, and the Browser over UDP.

It speaks as Microsoft's open specifications MS-TDS and MC-SQLR say; no SQL Server was asked.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def packet(body: bytes) -> bytes:
    """A TDS packet of a server."""
    return struct.pack(">BBHHBB", 0x04, 1, len(body) + 8, 0, 0, 0) + body


def _read(connected: socket.socket) -> bytes:
    head = connected.recv(8, socket.MSG_WAITALL)
    return connected.recv(struct.unpack(">H", head[2:4])[0] - 8, socket.MSG_WAITALL)


@contextmanager
def sql_server(*, encryption: int, certificate: Path | None = None, greeting: bytes = b"") -> Iterator[int]:
    """Listen on a free port; gives it. ``greeting`` is what something else says instead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, encryption, certificate, greeting), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(listener: socket.socket, encryption: int, certificate: Path | None, greeting: bytes) -> None:
    with suppress(OSError, struct.error):
        connected, _ = listener.accept()
        with connected:
            _read(connected)
            if greeting:
                connected.sendall(greeting)
                return
            options = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF)
            connected.sendall(packet(options + struct.pack(">BBHH", 15, 0, 4123, 0) + bytes([encryption])))
            if certificate is not None:
                _shake_hands(connected, certificate)


def _shake_hands(connected: socket.socket, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with suppress(ssl.SSLError):
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    connected.sendall(packet(outgoing.read()))
                incoming.write(_read(connected))
    if outgoing.pending:
        connected.sendall(packet(outgoing.read()))


@contextmanager
def browser(instance: str, port: int) -> Iterator[int]:
    """Answer for one instance as SQL Server Browser does; gives the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def serve() -> None:
            with suppress(OSError):
                while True:
                    asked, sender = listener.recvfrom(1024)
                    if not sender:  # the end
                        return
                    if asked == b"\x04" + instance.encode() + b"\x00":
                        words = (
                            f"ServerName;ERP;InstanceName;{instance};IsClustered;No;Version;15.0.4123.1;tcp;{port};;"
                        )
                        listener.sendto(b"\x05" + struct.pack("<H", len(words)) + words.encode(), sender)
                    else:
                        listener.sendto(b"\x05\x00\x00", sender)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
