"""Look at the way to a SQL Server step by step: its name, its instance's port, TCP, and what it says of encryption.

Microsoft's driver answers "Login timeout expired" to an unknown host, a closed port and an unknown instance alike. The
messages are those of Microsoft's open specifications: SQL Server Resolution Protocol (MC-SQLR) on UDP 1434, and the
PRELOGIN message of Tabular Data Stream (MS-TDS). Neither logs in.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.database.connection_string import parse_options, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_PORT = 1433
BROWSER_PORT = 1434
"""The UDP port of SQL Server Browser, which knows the ports of instances."""

TIMEOUT_SECONDS = 3.0
"""How long each step may take."""

MAX_PACKET_BYTES = 4096
_PRELOGIN = 0x12
_END_OF_MESSAGE = 0x01
_VERSION, _ENCRYPTION, _END = 0x00, 0x01, 0xFF
_ENCRYPTION_WORDS = {
    0: "encrypts the login alone",
    1: "encrypts everything",
    2: "does not encrypt",
    3: "requires encryption",
}
_NOT_ENCRYPTED = 2
_VERSION_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStep:
    """One step on the way to a server: whether it went well, what was seen, and what to do where it did not."""

    state: Literal["ok", "warn", "bad"]
    detail: str
    todo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """A server as a connection names it; ``port`` is None where the instance's name has to be asked for it."""

    host: str
    instance: str
    port: int | None


def server_address(connection: str) -> ServerAddress | None:
    """The server of a connection string; None where it names none, or one that is reached in another way than by TCP.

    >>> server_address("Driver=x;Server=tcp:erp,1500")
    ServerAddress(host='erp', instance='', port=1500)
    """
    options = {name.lower(): unquote(value) for name, value in parse_options(connection)}
    text = next((options[name] for name in ("server", "address", "addr", "data source") if options.get(name)), "")
    found = re.fullmatch(r"(?i)\s*(?:tcp:)?([^\\,:]+|\[[^\]]+\])(?:\\([^,]+))?(?:,\s*(\d+))?\s*", text)
    if not found or found[1].lower().startswith("(localdb)"):
        return None
    host = "localhost" if found[1].strip().lower() in {".", "(local)"} else found[1].strip("[] ")
    port = found[3] or options.get("port")
    instance = (found[2] or "").strip()
    number = int(port) if port and port.isdigit() else None if instance else DEFAULT_PORT
    return ServerAddress(host=host, instance=instance, port=number)


def look_at_network(connection: str, *, browser_port: int = BROWSER_PORT) -> Iterator[NetworkStep]:
    """Yield the steps on the way to a connection's server, up to the first that fails; none where it names none."""
    server = server_address(connection)
    if server is None:
        return
    try:
        found = socket.getaddrinfo(server.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        yield NetworkStep(
            state="bad",
            detail=f"the name {server.host} is not known on this machine's network",
            todo="Check the spelling of Server= and the machine's DNS; its IP address works without DNS.",
        )
        return
    addresses = sorted({str(each[4][0]) for each in found})
    yield NetworkStep(state="ok", detail=f"{server.host} is {', '.join(addresses)}")
    port = server.port
    if port is None:
        port = ask_browser(server.host, server.instance, port=browser_port)
        if port is None:
            yield NetworkStep(
                state="bad",
                detail=f"SQL Server Browser on {server.host}, UDP {browser_port}, knows no instance {server.instance}"
                " with TCP",
                todo="Start SQL Server Browser and open UDP 1434, or write the port: Server=host,51433. Enable TCP/IP"
                " for the instance in SQL Server Configuration Manager.",
            )
            return
        yield NetworkStep(state="ok", detail=f"the instance {server.instance} listens on port {port}")
    yield from _look_at_port(server.host, port)


def ask_browser(host: str, instance: str, *, port: int = BROWSER_PORT) -> int | None:
    """The TCP port of an instance, as SQL Server Browser says; None where it does not answer, or knows none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(TIMEOUT_SECONDS)
            asking.sendto(b"\x04" + instance.encode("ascii", "replace") + b"\x00", (host, port))
            answer = asking.recv(MAX_PACKET_BYTES)
    except OSError:
        return None
    found = re.search(r"(?i);tcp;(\d+)", answer[3:].decode("latin-1"))
    return int(found[1]) if found else None


def _look_at_port(host: str, port: int) -> Iterator[NetworkStep]:
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connected:
            connected.settimeout(TIMEOUT_SECONDS)
            yield NetworkStep(state="ok", detail=f"port {port} answers")
            yield from _look_at_server(connected, host)
    except ConnectionRefusedError:
        yield NetworkStep(
            state="bad",
            detail=f"{host} is there, but nothing listens on port {port}",
            todo="Enable TCP/IP in SQL Server Configuration Manager and restart the service; look there for its port.",
        )
    except OSError:
        yield NetworkStep(
            state="bad",
            detail=f"port {port} of {host} does not answer within {TIMEOUT_SECONDS:g} s",
            todo=f"A firewall is in between, or the server is off: have TCP {port} opened from this machine to it.",
        )


def _look_at_server(connected: socket.socket, host: str) -> Iterator[NetworkStep]:
    """What the server says before a login: its version, whether it encrypts, and with which certificate."""
    try:
        connected.sendall(_packet(_prelogin_options()))
        version, encryption = _prelogin_answer(_read_packet(connected))
    except (OSError, ValueError, struct.error):
        yield NetworkStep(
            state="bad",
            detail="what listens there does not speak SQL Server's protocol",
            todo="Check the port: is it another service's, or a web proxy in between?",
        )
        return
    words = _ENCRYPTION_WORDS.get(encryption, f"says {encryption} of encryption")
    yield NetworkStep(state="ok", detail=f"SQL Server {version} {words}")
    if encryption != _NOT_ENCRYPTED:
        yield _look_at_tls(connected, host)


def _look_at_tls(connected: socket.socket, host: str) -> NetworkStep:
    """Shake hands as a driver does, inside of PRELOGIN packets, and check the certificate."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    try:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            if outgoing.pending:
                connected.sendall(_packet(outgoing.read()))
            incoming.write(_read_packet(connected))
    except ssl.SSLCertVerificationError as error:
        return NetworkStep(
            state="warn",
            detail=f"its certificate is not trusted here: {error.verify_message}",
            todo="Driver 18 refuses it. Install the certificate of who issued it, or write TrustServerCertificate=yes"
            " on a network that you trust.",
        )
    except (ssl.SSLError, OSError, ValueError, struct.error):
        return NetworkStep(
            state="warn",
            detail="no version of TLS is known to both sides",
            todo="An old server speaks only TLS 1.0: update it, or use driver 17 with Encrypt=no on a network that you"
            " trust.",
        )
    return NetworkStep(state="ok", detail=f"{tls.version()}, with a certificate that this machine trusts")


def _prelogin_options() -> bytes:
    """A PRELOGIN message that names a version of the driver, and asks for encryption."""
    options = ((_VERSION, bytes(6)), (_ENCRYPTION, b"\x01"))
    offset = 5 * len(options) + 1
    head, body = b"", b""
    for kind, value in options:
        head += struct.pack(">BHH", kind, offset + len(body), len(value))
        body += value
    return head + bytes([_END]) + body


def _prelogin_answer(body: bytes) -> tuple[str, int]:
    """The version and the word on encryption in a server's PRELOGIN. Raises :class:`ValueError` for anything else."""
    found: dict[int, bytes] = {}
    for position in range(0, len(body), 5):
        if body[position] == _END:
            break
        kind, offset, length = struct.unpack(">BHH", body[position : position + 5])
        found[kind] = body[offset : offset + length]
    if len(found.get(_VERSION, b"")) < _VERSION_BYTES or not found.get(_ENCRYPTION):
        raise ValueError("This is no answer to PRELOGIN.")
    major, minor, build = struct.unpack(">BBH", found[_VERSION][:_VERSION_BYTES])
    return f"{major}.{minor}.{build}", found[_ENCRYPTION][0]


def _packet(body: bytes) -> bytes:
    return struct.pack(">BBHHBB", _PRELOGIN, _END_OF_MESSAGE, len(body) + 8, 0, 0, 0) + body


def _read_packet(connected: socket.socket) -> bytes:
    """The body of a server's next packet. Raises :class:`ValueError` where there is none."""
    head = _read(connected, 8)
    (length,) = struct.unpack(">H", head[2:4])
    if head[0] not in {_PRELOGIN, 0x04} or not 8 <= length <= 8 * MAX_PACKET_BYTES:  # noqa: PLR2004 - the head itself
        raise ValueError("This is no packet of SQL Server's.")
    return _read(connected, length - 8)


def _read(connected: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connected.recv(size - len(parts))
        if not part:
            raise ValueError("The connection ended.")
        parts += part
    return parts
