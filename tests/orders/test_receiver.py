"""The HTTP receiver: who may send orders, what is answered, and how it starts and stops."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
import requests
import uvicorn
from support.erp import ROOT, order_document, order_line, wait_until
from support.servers import free_port
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import ConfigError, UnavailableError
from engine.orders import access, connections, pipeline, receiver
from engine.orders.rules import RULES
from engine.orders.serve import run_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.erp import Erp


TOKEN = "a-long-token-of-the-tests"
HEAD = "POST /orders HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def receiver_url(erp: Erp) -> Iterator[str]:
    """The receiver of a client with a token."""
    erp.write(f'default_customer = "CASH"\n[orders.serve]\nport = 0\ntoken = "{TOKEN}"\nmax_body = 100000')
    with run_receiver(erp.project, erp.ledgers) as address:
        yield address


def send(address: str, order: object, token: str = TOKEN) -> requests.Response:
    """Send an order as Stock2Shop's tunnel does."""
    return requests.post(f"{address}/orders", json=order, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def test_an_order_that_is_sent_is_answered_with_its_code(erp: Erp, receiver_url: str) -> None:
    """The first time and every other; it counts as answered."""
    wanted = {"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}
    for body in (order_document(), {"system_order": order_document()}):
        answer = send(receiver_url, body)
        assert (answer.status_code, answer.json()) == (200, wanted)
    assert (erp.entry().status, len(erp.orders())) == ("answered", 1)


def test_an_order_that_waits_is_answered_with_what_to_do(receiver_url: str) -> None:
    """Not as an error of the server's."""
    answer = send(receiver_url, order_document(line_items=[order_line(sku="Z")], total=None))
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["rule"], error["order"], error["what_to_do"]) == ("unknown_sku", 1001, RULES["unknown_sku"].remedy)


def test_without_the_token_nothing_is_taken(erp: Erp, receiver_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And after too many guesses there is a pause, though not for who has it."""
    monkeypatch.setattr(access, "FAILED_LOGIN_DELAY_SECONDS", 0)
    assert send(receiver_url, order_document(), token="wrong").status_code == 401
    assert requests.post(f"{receiver_url}/orders", json=order_document(), timeout=10).status_code == 401
    guesses = {send(receiver_url, order_document(), token=f"guess {number}").status_code for number in range(30)}
    assert guesses == {401, 429}
    assert erp.orders() == []
    assert send(receiver_url, order_document()).status_code == 200


def test_what_is_no_order_gets_a_clear_answer(receiver_url: str) -> None:
    """Never a 500."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.post(f"{receiver_url}/orders", data=b"{", headers=headers, timeout=10).status_code == 400
    assert requests.post(f"{receiver_url}/orders", data=b"x" * 200_000, headers=headers, timeout=10).status_code == 413
    assert requests.get(f"{receiver_url}/orders", headers=headers, timeout=10).status_code == 405
    assert requests.get(f"{receiver_url}/elsewhere", timeout=10).status_code == 404
    assert requests.get(f"{receiver_url}/health", timeout=10).json() == {"status": "ok"}


def test_the_same_order_ten_times_at_once_is_raised_once(erp: Erp, receiver_url: str) -> None:
    """From senders, and from an import that runs beside them."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    with ThreadPoolExecutor(10) as pool:
        imported = pool.submit(erp.s2s, "orders", "import", "acme", str(path), alone=True)
        answers = list(pool.map(lambda _: send(receiver_url, order_document()), range(10)))
    wanted = {"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, wanted)] * 10
    assert imported.result().returncode == 0
    assert len(erp.orders()) == 1


def test_hundreds_of_orders_from_eight_senders_are_all_raised_once(erp: Erp, receiver_url: str) -> None:
    """None lost, none doubled, none stuck."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: send(receiver_url, order_document(number)).status_code, range(1, 301)))
    assert set(answers) == {200}
    assert [reference for reference, _ in sorted(erp.orders())] == sorted(f"#{number}" for number in range(1, 301))
    with erp.ledger() as ledger:
        assert len(ledger.list_entries("status = 'answered'")) == 300


def test_serve_takes_orders_until_it_is_stopped(erp: Erp) -> None:
    """As a process of its own, which ends cleanly."""
    port = free_port()
    erp.write(f'default_customer = "CASH"\n[orders.serve]\ntoken = "{TOKEN}"')
    import os

    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "orders", "serve", "acme", "--port", str(port)],
        cwd=erp.workspace,
        env={**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert f"127.0.0.1:{port}/orders" in process.stdout.readline()
    assert send(f"http://127.0.0.1:{port}", order_document()).status_code == 200
    process.terminate()
    assert "every order that came in is in the ledger" in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_clients_that_break_off_as_they_connect_keep_no_order_away(receiver_url: str) -> None:
    """As port scans do; on Windows one of them had it listen no more."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(receiver_url.rpartition(":")[2]))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert send(receiver_url, order_document()).status_code == 200


def test_a_receiver_that_nobody_can_reach_any_more_ends(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever started it starts it again: a process that lives and hears nothing looks well."""

    async def deaf(_: uvicorn.Server) -> None:
        await asyncio.sleep(0.1)

    monkeypatch.setattr(uvicorn.Server, "main_loop", deaf)
    for name, value in erp.environment.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(app, ["--workspace", str(erp.workspace), "orders", "serve", "acme", "--port", "0"])
    assert isinstance(ran.exception, UnavailableError)
    assert "Nobody listens at http://127.0.0.1:" in ran.exception.message


def test_a_port_that_is_taken_is_said(erp: Erp) -> None:
    """With what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        ran = erp.s2s("orders", "serve", "acme", "--port", str(holder.getsockname()[1]))
    assert (ran.returncode, "Traceback" in ran.stderr, "--port" in ran.stderr) == (2, False, True)


def test_a_public_address_without_a_token_is_refused(erp: Erp) -> None:
    """Anybody could raise orders there."""
    erp.write('[orders.serve]\nhost = "0.0.0.0"')
    with pytest.raises(ConfigError, match="could raise orders"):
        _ = erp.project


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_receiver_says_what_becomes_of_each_order(erp: Erp, form: str) -> None:
    """A line an order and a line a refusal, at once, with the time and with nobody's name."""
    port = free_port()
    erp.write(f'[orders.serve]\nport = {port}\ntoken = "{TOKEN}"')
    command = [sys.executable, "-m", "engine", "--log-format", form, "orders", "serve", "acme"]
    environment = {**os.environ, **erp.environment, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=erp.workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as served:
        assert served.stdout is not None
        lines = [served.stdout.readline()]
        address = f"http://127.0.0.1:{port}"
        sent = [
            (order_document(1), TOKEN),
            (order_document(1), TOKEN),
            (order_document(2, line_items=[order_line(sku="Z")], total=None), TOKEN),
            (order_document(3), "wrong"),
            ([], TOKEN),
        ]
        for body, token in sent:
            send(address, body, token=token)
            lines.append(served.stdout.readline())
        served.terminate()
        lines += served.stdout.readlines()
        assert served.wait(60) == 0
    said = "".join(lines)
    for wanted in (
        "Order 1 is raised as SO1",
        "Order 1 arrived again, and is answered as SO1",
        "Order 2 is waiting: a line's SKU is not in the database: Z",
        "A request was refused: the token",
        "An order was not taken: The document is not an order",
    ):
        assert said.count(wanted) == 1, said
    assert "someone@example.com" not in said
    if form == "json":
        told = [json.loads(each) for each in lines if each.startswith("{")]
        assert (told[0]["event"], told[0]["order"], told[0]["source_order_code"]) == ("order", 1, "SO1")
    else:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+  Order 1", lines[1])


def test_a_receiver_raises_what_is_due_when_it_begins(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to send it again; who does hears the code."""
    erp.die_at("before the commit", order_document())
    # The next look is half a minute later.
    monkeypatch.setattr("engine.orders.receiver.RETRY_INTERVAL_SECONDS", 1_000_000)
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with run_receiver(erp.project, erp.ledgers) as address:
        while erp.entry().status != "raised":
            threading.Event().wait(0.02)
        answer = requests.post(f"{address}/orders", json=order_document(), timeout=30)
    assert (answer.status_code, answer.json()["source_order_code"], len(erp.orders())) == (200, "SO1", 1)


def raw(address: str, *lines: str) -> bytes:
    """Send a request as it is written, and read all that is answered."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=30) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        with suppress(ConnectionResetError):
            while part := client.recv(10_000):
                answer += part
    return answer


@pytest.fixture
def open_receiver(erp: Erp) -> Iterator[str]:
    """The address of a receiver without a token, which listens on this machine alone."""
    erp.write("[orders.serve]\nport = 0")
    with run_receiver(erp.project, erp.ledgers) as address:
        yield address


PAGES = {
    "a page of another site": ({"Origin": "https://example.com"}, 403),
    "a page without a name": ({"Origin": "null"}, 403),
    "a page of another program on this machine": ({"Origin": "http://localhost:3000"}, 403),
    "a form of a browser that says where it is from": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "a form of an old browser": ({"User-Agent": "Mozilla/5.0"}, 403),
    "its own address": ({"Origin": "OWN"}, 422),
    "a program": ({"User-Agent": "curl/8"}, 422),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_browser_has_to_say_that_its_page_is_the_receivers_own(open_receiver: str, page: str) -> None:
    """Where there is no token: any page may have the browser post a form."""
    given, status = PAGES[page]
    headers = {name: value.replace("OWN", open_receiver) for name, value in given.items()}
    order = order_document(line_items=[order_line(sku="Z")], total=None)
    assert requests.post(f"{open_receiver}/orders", json=order, headers=headers, timeout=30).status_code == status


def test_a_page_cannot_use_the_password_that_a_browser_keeps(erp: Erp) -> None:
    """A token no browser sends by itself, so with one the page's name does not matter."""
    erp.write(f'[orders.serve]\nport = 0\ntoken = "{TOKEN}"\nusername = "s2s"\npassword = "a-password"')
    page, url = {"Origin": "https://example.com"}, ""
    with run_receiver(erp.project, erp.ledgers) as address:
        url = f"{address}/orders"
        with_password = requests.post(url, json=[], headers=page, auth=("s2s", "a-password"), timeout=30)
        with_token = requests.post(url, json=[], headers={**page, "Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert (with_password.status_code, with_token.status_code) == (403, 422)


@pytest.mark.parametrize("path", ["orders", "orders/", "health", ""])
def test_without_a_token_a_receiver_answers_to_its_own_name_alone(open_receiver: str, erp: Erp, path: str) -> None:
    """A page whose name was made to lead to this machine is of the same origin to a browser."""
    method = "GET" if path == "health" else "POST"
    for host in ("rebound.example.com", "rebound.example.com:8058", "127.0.0.1.example.com", ""):
        answer = raw(open_receiver, f"{method} /{path} HTTP/1.1", f"Host: {host}", "Content-Length: 0")
        assert answer.startswith(b"HTTP/1.1 421 "), host
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8058", "[::1]:8058"):
        answer = raw(
            open_receiver, f"{method} /{path} HTTP/1.1", f"Host: {host}", "Content-Length: 0", "Connection: close"
        )
        assert answer.startswith(b"HTTP/1.1 200 " if path == "health" else b"HTTP/1.1 400 "), host
    assert erp.orders() == []


def test_with_a_token_a_receiver_has_any_name(receiver_url: str) -> None:
    """A tunnel has a name of its own."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "tunnel.example.com"}
    assert requests.post(f"{receiver_url}/orders", json=[], headers=headers, timeout=30).status_code == 422


def test_a_slash_behind_the_path_leads_nowhere_else(receiver_url: str) -> None:
    """A redirect would be to whatever host its sender wrote, with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "elsewhere.example.com"}
    for path in ("orders/", "health/", "elsewhere/"):
        answer = requests.post(
            f"{receiver_url}/{path}", json=order_document(), headers=headers, timeout=30, allow_redirects=False
        )
        assert answer.status_code == (200 if path == "orders/" else 404)
        assert "location" not in answer.headers


def test_a_wrong_guess_is_answered_late_and_its_connection_closed(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are taken meanwhile, also where the guess has to make room."""
    guessed = threading.Event()
    request = (HEAD + "Authorization: Bearer guess", "Content-Length: 0")
    erp.write(f'[orders.serve]\nport = 0\ntoken = "{TOKEN}"')
    monkeypatch.setattr(access, "FAILED_LOGIN_DELAY_SECONDS", 1_000_000)
    with (
        run_receiver(erp.project, erp.ledgers, on_event=lambda *_, **__: guessed.set()) as address,
        ThreadPoolExecutor(1) as pool,
    ):
        guess = pool.submit(raw, address, *request)
        assert guessed.wait(60)
        assert send(address, order_document()).status_code == 200
        assert not guess.done()
        monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
        assert send(address, order_document()).status_code == 200
        assert guess.result(timeout=60) == b""
        monkeypatch.setattr(access, "FAILED_LOGIN_DELAY_SECONDS", 0)
        answer = raw(address, *request)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("limit", ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS"])
@pytest.mark.parametrize("begun", ["", HEAD, HEAD + "Content-Length: 9\r\n\r\nx"], ids=["nothing", "header", "body"])
def test_half_sent_requests_keep_no_order_away(
    erp: Erp, receiver_url: str, monkeypatch: pytest.MonkeyPatch, limit: str, begun: str
) -> None:
    """Where there are too many, those that have waited longest make room."""
    monkeypatch.setattr(connections, limit, 5)
    monkeypatch.setattr(access, "FAILED_LOGIN_DELAY_SECONDS", 1_000_000)
    address = ("127.0.0.1", int(receiver_url.rpartition(":")[2]))
    half = []
    try:
        for _ in range(12):
            half.append(socket.create_connection(address, timeout=30))
            half[-1].sendall(begun.encode())
            assert requests.get(f"{receiver_url}/health", timeout=30).status_code == 200  # it has arrived
        assert send(receiver_url, order_document()).status_code == 200
        for oldest in half[:7]:
            with suppress(ConnectionResetError):
                assert oldest.recv(100) == b""
        for newest in half[-3:]:
            newest.setblocking(False)
            with pytest.raises(BlockingIOError):
                newest.recv(100)
    finally:
        for each in half:
            each.close()


def test_orders_in_hand_are_not_cut_off_for_new_connections(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is, and its sender tries again."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT_SECONDS", 0.1)
    erp.write("[orders.serve]\nport = 0")
    with (
        run_receiver(erp.project, erp.ledgers) as address,
        closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as holder,
    ):
        holder.isolation_level = None
        holder.execute("begin immediate")
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(requests.post, f"{address}/orders", json=order_document(n), timeout=60) for n in (1, 2)]
            wait_until(lambda: len(ledger_entries(erp)) == 2)
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{address}/health", timeout=30)
            holder.execute("rollback")
            assert [each.result().status_code for each in sent] == [200, 200]
        assert requests.get(f"{address}/health", timeout=30).status_code == 200


def ledger_entries(erp: Erp) -> list[object]:
    """All orders that have come in."""
    with erp.ledger() as ledger:
        return [*ledger.list_entries("1 = 1")]


@pytest.fixture
def tls_files(erp: Erp) -> Path:
    """A certificate for localhost and its key, made by openssl; gives the certificate."""
    certificate: Path = erp.root / "own.pem"
    key = erp.root / "own.key"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", *words, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate


def test_orders_come_over_tls_and_handshakes_that_never_end_keep_none_away(
    erp: Erp, tls_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count as connections before there is a request."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    erp.write(
        f'[orders.serve]\nport = 0\ntoken = "{TOKEN}"\ntls_certificate = "own.pem"\ntls_key = "own.key"',
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with run_receiver(erp.project, erp.ledgers) as address:
        port = int(address.rpartition(":")[2])
        assert address.startswith("https://")
        half = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(8)]
        half[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")  # no TLS
        with requests.Session() as sender:
            for number in (1, 2):
                url = f"https://localhost:{port}/orders"
                answer = sender.post(
                    url, json=order_document(number), headers=headers, timeout=30, verify=str(tls_files)
                )
                assert answer.status_code == 200
        monkeypatch.setattr(connections, "HEADER_TIMEOUT_SECONDS", 0.2)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow, suppress(ConnectionResetError):
            assert slow.recv(100) == b""
        for each in half:
            each.close()
    assert len(erp.orders()) == 2


def test_a_web_page_cannot_send_orders_to_a_receiver_without_a_token(erp: Erp) -> None:
    """A browser on the same machine would do so for any page; it says where the page is from."""
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with run_receiver(erp.project, erp.ledgers) as address:
        body, headers = json.dumps(order_document()), {"Origin": "https://example.com", "Content-Type": "text/plain"}
        answer = requests.post(f"{address}/orders", data=body, headers=headers, timeout=30)
    assert (answer.status_code, erp.orders()) == (403, [])


def test_a_sender_that_hangs_up_in_the_middle_leaves_nothing(erp: Erp, caplog: pytest.LogCaptureFixture) -> None:
    """Half an order is none; the next one is taken."""
    port = free_port()
    erp.write(f"[orders.serve]\nport = {port}")
    with run_receiver(erp.project, erp.ledgers) as address:
        with closing(socket.create_connection(("127.0.0.1", port))) as half:
            half.sendall(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + b'{"id": 1001, ')
        answer = requests.post(f"{address}/orders", json=order_document(1002), timeout=30)
    assert (answer.status_code, len(erp.orders())) == (200, 1)
    assert caplog.records == []


def test_one_order_that_comes_over_several_ways_at_once_is_raised_once(any_erp: Erp) -> None:
    """Four imports as processes of their own, a receiver and a poll, all in the same moment."""
    any_erp.write(f"[orders.serve]\nport = {free_port()}")
    any_erp.sandbox.place_order(order_document())
    path = any_erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    environment = {**any_erp.environment, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with run_receiver(any_erp.project, any_erp.ledgers) as address:
        ways = [["orders", "import", "acme", str(path)]] * 4 + [["orders", "pull", "acme"]]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "engine", *words],
                cwd=any_erp.workspace,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            for words in ways
        ]
        codes = {
            requests.post(f"{address}/orders", json=order_document(), timeout=60).json()["source_order_code"]
            for _ in range(5)
        }
        assert [process.wait(timeout=120) for process in running] == [0] * 5
    assert len(codes) == 1
    assert any_erp.orders() == [("#1001", "C1")]


def in_hand(erp: Erp) -> bool:
    """Whether an order is being raised."""
    with erp.ledger() as ledger:
        return bool(ledger.list_entries("status = 'raising'"))


def test_a_receiver_that_is_stopped_ends_with_the_order_in_hand(erp: Erp) -> None:
    """Its sender hears the code; whoever comes after that finds nobody."""
    port = free_port()
    process = erp.serve(port)
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        with ThreadPoolExecutor() as pool:
            sent = pool.submit(requests.post, f"http://127.0.0.1:{port}/orders", json=order_document(), timeout=60)
            wait_until(lambda: in_hand(erp))
            process.terminate()
            holder.execute("rollback")
            answer = sent.result()
    process.communicate(timeout=60)
    assert (answer.status_code, answer.json()["source_order_code"]) == (200, "SO1")
    assert (process.returncode, len(erp.orders())) == (0, 1)


def test_a_receiver_whose_output_nobody_reads_takes_orders_all_the_same(erp: Erp) -> None:
    """Marked text in a console of Windows stops whoever writes there; what was left out is told afterwards."""
    port = free_port()
    process = erp.serve(port)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    with requests.Session() as sender:
        for number in range(1_500):
            refused = sender.post(f"http://127.0.0.1:{port}/orders", data=b"no order", timeout=60)
            assert refused.status_code == 400, number
        assert sender.post(f"http://127.0.0.1:{port}/orders", json=order_document(), timeout=60).status_code == 200
    lines: list[str] = []
    while not lines or "lines were left out" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    process.terminate()
    rest = process.communicate(timeout=60)[0]
    told = sum("An order was not taken" in line for line in lines)
    assert told >= 1_000
    assert f"{1_501 - told:,} lines were left out" in lines[-1]
    assert "Stopped" in rest


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /orders HTTP/1.1\r\nHost: x\r\n",
        b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "header", "body"],
)
def test_a_request_that_never_ends_is_hung_up_on(erp: Erp, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """A byte now and then holds no connection for ever; an order in hand is not cut off."""
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT_SECONDS", 0.3)
    erp.write(f"[orders.serve]\nport = {free_port()}")
    with run_receiver(erp.project, erp.ledgers) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(begun)
            assert slow.recv(1000) == b""
        monkeypatch.setattr(pipeline, "crash_point", lambda _: time.sleep(0.2))
        assert requests.post(f"{address}/orders", json=order_document(), timeout=30).status_code == 200


def test_a_scheme_is_the_same_in_any_case(erp: Erp) -> None:
    """As HTTP has it: a tunnel may write bearer, or BASIC."""
    erp.write('[orders.serve]\ntoken = "a-long-token-of-the-tests"\nusername = "s2s"\npassword = "a-password"')
    taker = receiver.Receiver(erp.project, erp.ledgers)
    assert taker.access.check_credentials("bearer a-long-token-of-the-tests") is None
    assert taker.access.check_credentials("BASIC czJzOmEtcGFzc3dvcmQ=") is None
    assert taker.access.check_credentials("Bearer A-LONG-TOKEN-OF-THE-TESTS") is not None


@pytest.mark.parametrize("said", ["No such file", "cannot be used for TLS"])
def test_tls_files_that_cannot_be_used_are_named(erp: Erp, said: str) -> None:
    """Another port would not help."""
    erp.write('[orders.serve]\ntls_certificate = "own.pem"\ntls_key = "own.key"')
    (erp.root / "own.pem").write_text("no certificate", "utf-8")
    if said != "No such file":
        (erp.root / "own.key").write_text("no key", "utf-8")
    ran = erp.s2s("orders", "serve", "acme", "--port", "0")
    assert (ran.returncode, said in ran.stderr, "own." in ran.stderr, "--port" in ran.stderr) == (2, True, True, False)


def test_a_receiver_says_once_what_keeps_it_from_raising(erp: Erp) -> None:
    """Nobody has to send an order first; and again when it is something else."""
    told: list[str] = []
    taker = receiver.Receiver(erp.project, erp.ledgers, on_event=lambda text, **_: told.append(text))
    ledger = erp.project.state.with_name("acme.orders.sqlite")
    ledger.parent.mkdir()
    ledger.write_bytes(b"no ledger" * 100)
    for _ in range(3):
        taker.raise_due(threading.Event())
    assert [("cannot be raised now" in text, "not a database" in text) for text in told] == [(True, True)]
    ledger.unlink()
    taker.raise_due(threading.Event())
    ledger.write_bytes(b"no ledger" * 100)
    taker.raise_due(threading.Event())
    assert len(told) == 2


def test_an_order_that_was_raised_meanwhile_is_told_once(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads of it twice would fear that it is there twice."""
    told: list[str] = []
    taker = receiver.Receiver(erp.project, erp.ledgers, on_event=lambda text, **_: told.append(text))
    with erp.ledger() as ledger:
        ledger.receive(1001, order_document(), via="serve")
        due = ledger.list_due()
    taker.receive(json.dumps(order_document()).encode())
    monkeypatch.setattr("engine.orders.ledger.Ledger.list_due", lambda _: due)
    taker.raise_due(threading.Event())
    assert len(told) == 1


def test_a_request_of_two_lengths_is_refused_and_its_connection_closed(receiver_url: str, erp: Erp) -> None:
    """What one program takes for its body is another's next request."""
    body = json.dumps(order_document()).encode()
    smuggled = b"0\r\n\r\nPOST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    head = f"POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", int(receiver_url.rpartition(":")[2])), timeout=30) as client:
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + smuggled)
        answer = b""
        while part := client.recv(10_000):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert erp.orders() == []


def test_a_body_with_gzip_is_read_within_the_limit(receiver_url: str, erp: Erp) -> None:
    """A small body may hold gigabytes; other encodings are refused by name."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Encoding": "gzip"}
    packed = gzip.compress(json.dumps(order_document()).encode())
    assert requests.post(f"{receiver_url}/orders", data=packed, headers=headers, timeout=30).status_code == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    for body, status in ((bomb, 413), (packed[:-20], 400), (b"{}", 400)):
        assert requests.post(f"{receiver_url}/orders", data=body, headers=headers, timeout=30).status_code == status
    answer = requests.post(
        f"{receiver_url}/orders", data=b"x", headers={**headers, "Content-Encoding": "br"}, timeout=30
    )
    assert (answer.status_code, "'br'" in answer.json()["error"]["reason"]) == (415, True)
    assert len(erp.orders()) == 1
