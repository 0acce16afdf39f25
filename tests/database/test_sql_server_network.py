"""`s2s doctor` looks at the way to a SQL Server itself: against a stand-in that speaks as Microsoft's pages say.

Microsoft's driver says "Login timeout expired" of an unknown host, a closed port and an unknown instance alike.
"""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.servers import free_port
from support.sql_server import browser, sql_server

from engine.database.sql_server_network import look_at_network, server_address
from engine.doctor import check_project
from engine.orders.ledger_file import LocalLedgers

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody trusts, and its key."""
    path = tmp_path / "own.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(["openssl", *words, *names, *files], check=True, capture_output=True)
    return path


def steps(server: str, **more: int) -> list[tuple[str, str]]:
    """What is seen on the way to a server: each state and what it says."""
    found = look_at_network(f"Driver={{ODBC Driver 18 for SQL Server}};Server={server};UID=x", **more)
    return [(each.state, each.detail) for each in found]


@pytest.mark.parametrize(
    ("server", "host", "instance", "port"),
    [
        ("erp", "erp", "", 1433),
        ("erp,1500", "erp", "", 1500),
        ("tcp:erp.example.com,1500", "erp.example.com", "", 1500),
        (r"erp\SQLEXPRESS", "erp", "SQLEXPRESS", None),
        (r"erp\SQLEXPRESS, 1500", "erp", "SQLEXPRESS", 1500),
        (".", "localhost", "", 1433),
        (r"(local)\PASTEL", "localhost", "PASTEL", None),
        ("{erp}", "erp", "", 1433),
    ],
)
def test_a_server_is_read_as_drivers_read_it(server: str, host: str, instance: str, port: int | None) -> None:
    """With an instance, a port, a protocol, or none of them."""
    found = server_address(f"Driver=x;Server={server};Database=Evo")
    assert found is not None
    assert (found.host, found.instance, found.port) == (host, instance, port)


@pytest.mark.parametrize("connection", [r"Server=(localdb)\MSSQLLocalDB", "DSN=erp", r"Server=np:\\erp\pipe\sql\query"])
def test_what_is_not_reached_by_tcp_is_not_looked_at(connection: str) -> None:
    """LocalDB, a data source's name, a named pipe."""
    assert [*look_at_network(connection)] == []


def test_an_unknown_host_a_closed_port_and_an_unknown_instance_are_told_apart() -> None:
    """Each ends the way, with what to do."""
    assert steps("nowhere.invalid")[-1] == ("bad", "the name nowhere.invalid is not known on this machine's network")
    port = free_port()
    assert steps(f"127.0.0.1,{port}")[-1] == ("bad", f"127.0.0.1 is there, but nothing listens on port {port}")
    with browser("SQLEXPRESS", 1) as udp:
        (_, (state, detail)) = steps(r"127.0.0.1\PASTEL", browser_port=udp)
    assert state == "bad"
    assert detail.endswith("knows no instance PASTEL with TCP")


def test_a_firewall_that_swallows_is_told_from_a_port_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes back at all."""

    def swallow(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("engine.database.sql_server_network.socket.create_connection", swallow)
    assert steps("127.0.0.1,1433")[-1] == ("bad", "port 1433 of 127.0.0.1 does not answer within 3 s")


def test_an_instance_is_asked_for_its_port_and_the_server_for_its_version(certificate: Path) -> None:
    """Up to the certificate, which nobody has issued."""
    with sql_server(encryption=3, certificate=certificate) as port, browser("SQLEXPRESS", port) as udp:
        found = steps(r"localhost\SQLEXPRESS", browser_port=udp)
    assert [state for state, _ in found] == ["ok", "ok", "ok", "ok", "warn"]
    assert found[1][1] == f"the instance SQLEXPRESS listens on port {port}"
    assert found[3][1] == "SQL Server 15.0.4123 requires encryption"
    assert found[4][1].startswith("its certificate is not trusted here: self")


def test_a_certificate_that_is_trusted_is_named_with_its_protocol(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a driver that verifies would see it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with sql_server(encryption=1, certificate=certificate) as port:
        assert steps(f"localhost,{port}")[-1] == ("ok", "TLSv1.3, with a certificate that this machine trusts")


@pytest.mark.parametrize(
    ("greeting", "detail"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens there does not speak SQL Server's protocol"),
        (b"\x04\x01\x00\x09\x00\x00\x00\x00\xff", "what listens there does not speak SQL Server's protocol"),
    ],
)
def test_what_is_no_sql_server_is_said(greeting: bytes, detail: str) -> None:
    """A web server on the port, or an answer that says nothing."""
    with sql_server(encryption=1, greeting=greeting) as port:
        assert steps(f"127.0.0.1,{port}")[-1] == ("bad", detail)


def test_doctor_shows_the_way_before_the_drivers_own_words(client: Client) -> None:
    """A server that does not encrypt ends it: there is no certificate to look at."""
    with sql_server(encryption=2) as port:
        toml = client.root / "project.toml"
        text = toml.read_text("utf-8").replace('dialect = "duckdb"', 'dialect = "tsql"')
        source = f"connection = 'Driver=none;Server=127.0.0.1,{port}'"
        lines = [source if line.startswith("database") else line for line in text.splitlines()]
        toml.write_text("\n".join(lines) + "\n", "utf-8")
        ledgers = LocalLedgers(client.workspace / ".state")
        found = [each for each in check_project(client.project, ledgers) if each.name in {"network", "source"}]
    assert [each.detail for each in found[:3]] == [
        "127.0.0.1 is 127.0.0.1",
        f"port {port} answers",
        "SQL Server 15.0.4123 does not encrypt",
    ]
    assert found[3].name == "source"
    assert socket.gethostname() not in found[3].detail
