"""Stock2Shop over HTTP, against a real server on loopback that answers from a script."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import logging
import re
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from urllib3 import HTTPConnectionPool

from engine.errors import (
    AnswerError,
    ApiError,
    AuthenticationError,
    CancelledError,
    DeadlineError,
    ProjectError,
    RefusedError,
    UnavailableError,
)
from engine.model.settings import Stock2ShopSettings
from engine.stock2shop import client, paging, transport
from engine.stock2shop.api import Receipt, RemoteSource
from engine.stock2shop.client import open_api
from engine.stock2shop.delivery import Sender
from engine.stock2shop.transport import RETRY_HINT, Timing
from engine.stock2shop.user import SessionTokens, SteadyPace, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

USERNAME = "jane@example.com"
PASSWORD = 'pa/ss &"wörd"'
TOKEN = "tok/en+&=%1"
NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
QUEUED = {"system_products": {"sync_product": 1}}


@dataclass
class Reply:
    """What the server does with one request."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    drop: bool = False
    hold: bool = False
    before_each_byte: Callable[[], object] | None = None
    headers_in_pieces: float = 0.0

    def content(self) -> bytes:
        """The body as it travels."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Server:
    """A script and what was asked; each login gets a token of its own, unless ``logins`` says otherwise."""

    url: str
    replies: deque[Reply] = field(default_factory=deque)
    logins: deque[Reply] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    answer: Callable[[Seen], Reply] | None = None

    def script(self, *replies: Reply) -> None:
        """Answer the next requests with ``replies``, in their order."""
        self.replies.extend(replies)

    def reply(self, seen: Seen) -> Reply:
        """Remember the request and give its answer."""
        self.seen.append(seen)
        if seen.path == "/v1/users/authenticate":
            if self.logins:
                return self.logins.popleft()
            number = sum(one.path == seen.path for one in self.seen)
            return Reply({"system_user": {"token": f"{TOKEN}-{number}"}})
        return self.answer(seen) if self.answer else self.replies.popleft()

    @property
    def asked(self) -> list[str]:
        """The requests so far, by method and path."""
        return [f"{one.method} {one.path.removeprefix('/v1')}" for one in self.seen]

    @property
    def tokens(self) -> list[str]:
        """The tokens that came as a parameter, each by the number of its login."""
        return [one.query["token"].removeprefix(TOKEN) for one in self.seen if "token" in one.query]


class Trickle(io.BufferedIOBase):
    """Writes byte by byte, with a pause before each; without one, as it comes."""

    def __init__(self, whole: Any, seconds: float) -> None:
        self._whole = whole
        self._seconds = seconds

    def write(self, data: Any) -> int:
        """Write ``data`` at the reply's speed."""
        for piece in [bytes([byte]) for byte in data] if self._seconds else [data]:
            time.sleep(self._seconds)
            self._whole.write(piece)
        return len(data)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, asks the script, and breaks off where the script says so."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    script: Server

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        seen = Seen(
            method=self.command,
            path=parts.path,
            query={name: values[0] for name, values in parse_qs(parts.query).items()},
            headers=dict(self.headers),
            body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            connection=self.client_address[1],
        )
        reply = self.script.reply(seen)
        if reply.hold:
            self.script.released.wait()
        self.close_connection = reply.drop or reply.hold or bool(reply.missing)
        if reply.drop or reply.hold:
            return
        content = reply.content()
        self.send_response_only(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        whole, self.wfile = self.wfile, Trickle(self.wfile, reply.headers_in_pieces)
        with contextlib.suppress(OSError):
            self.end_headers()
        self.wfile = whole
        if reply.before_each_byte:
            for byte in content:
                reply.before_each_byte()
                self.wfile.write(bytes([byte]))
            return
        self.wfile.write(content[: len(content) - reply.missing])

    do_GET = _handle  # noqa: N815 - the name is the base class's
    do_POST = _handle  # noqa: N815 - the name is the base class's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Keep quiet: standard error belongs to the tests."""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


def serve(*, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server on a port of its own, until the test is over; with ``context`` it speaks TLS."""
    handler = type("Scripted", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        if context:
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        scheme = "https" if context else "http"
        server = Server(f"{scheme}://127.0.0.1:{httpd.server_port}/v1")
        handler.script = server  # type: ignore[attr-defined]  # the class was just made
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """Stock2Shop, as the test scripts it."""
    yield from serve()


class Clock:
    """A clock that only a wait moves on; a backoff is drawn as long as it may be."""

    def __init__(self) -> None:
        self.time = 100.0
        self.waits: list[float] = []
        self.ceilings: list[float] = []

    def wait(self, _: threading.Event, seconds: float) -> None:
        """Let the time pass at once."""
        self.waits.append(round(seconds, 6))
        self.time += seconds

    def draw(self, least: float, most: float) -> float:
        """The longest backoff that may be drawn."""
        assert least == 0.0
        self.ceilings.append(most)
        return most

    @property
    def timing(self) -> Timing:
        """This clock as the seam wants it."""
        return Timing(now=lambda: self.time, utc=lambda: NOON, wait=self.wait, draw=self.draw)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until somebody waits."""
    return Clock()


def settings(url: str, **changes: Any) -> Stock2ShopSettings:
    """Settings without a pace and with two retries, unless ``changes`` says otherwise."""
    given: dict[str, Any] = {"pace": 0, "retries": 2, "read_timeout": 10.0, **changes}
    return Stock2ShopSettings(source_id=57, username=USERNAME, password=PASSWORD, url=url, **given)


def send(server: Server, clock: Clock, *, items: int = 1, **changes: Any) -> Receipt:
    """Queue one batch in a session of its own."""
    with open_api(settings(server.url, **changes), timing=clock.timing) as api:
        return api.queue("/products/queue", b"{}", items=items)


def test_a_batch_goes_out_with_token_and_source_and_comes_back_as_a_receipt(server: Server, clock: Clock) -> None:
    """The address, the parameters and the body are the documented ones; the receipt says what was answered."""
    server.script(Reply({"system_products": {"sync_product": 2}}))
    with open_api(settings(server.url), timing=clock.timing) as api:
        receipt = api.queue("/products/queue", b'{"system_products": []}', items=2)
        made = api.requests_made
    assert receipt == Receipt(status=200, queued=2, answered_at=NOON, seconds=0.0)
    assert made == 2
    login, batch = server.seen
    assert json.loads(login.body) == {"system_user_auth": {"username": USERNAME, "password": PASSWORD}}
    assert login.query == {"format": "json"}
    assert batch.query == {"source_id": "57", "token": f"{TOKEN}-1"}
    assert batch.body == b'{"system_products": []}'
    assert batch.headers["Content-Type"] == "application/json"


def test_nothing_is_sent_before_the_first_call(server: Server) -> None:
    """Opening the session neither authenticates nor connects."""
    with open_api(settings(server.url)) as api:
        assert api.requests_made == 0
    assert server.seen == []


def test_one_connection_carries_every_request(server: Server, clock: Clock) -> None:
    """The session is kept alive, also over an error answer."""
    server.script(Reply(QUEUED), Reply(b"", 503), Reply(QUEUED))
    with open_api(settings(server.url), timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        api.queue("/products/queue", b"{}", items=1)
    assert len(server.seen) == 4
    assert len({one.connection for one in server.seen}) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_renewed_once_and_the_batch_sent_again(server: Server, clock: Clock, status: int) -> None:
    """A token may end at any time: the run authenticates again and goes on with the new token."""
    server.script(Reply({}, status), Reply(QUEUED), Reply(QUEUED))
    with open_api(settings(server.url), timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        api.queue("/products/queue", b"{}", items=1)
    assert server.tokens == ["-1", "-2", "-2"]


def test_a_token_that_another_login_ends_again_is_an_authentication_error(server: Server, clock: Clock) -> None:
    """One renewal a request: two programs that share a user must not fight for ever."""
    server.script(Reply({}, 401), Reply({"message": "not your source"}, 403))
    with pytest.raises(AuthenticationError) as caught:
        send(server, clock)
    assert "not your source" in caught.value.message
    assert "a user of its own" in caught.value.hint
    assert server.tokens == ["-1", "-2"]


@pytest.mark.parametrize(
    "login",
    [
        Reply({"errors": "no such user"}, 401),
        Reply({"errors": "no such user"}, 400),
        Reply({"errors": ["no such user"], "system_user": None}),
    ],
)
def test_a_wrong_password_is_an_authentication_error_and_not_retried(
    server: Server, clock: Clock, login: Reply
) -> None:
    """A refused login is told at once, whether by its status or in its body: retrying could lock the user out."""
    server.logins.append(login)
    with pytest.raises(AuthenticationError) as caught:
        send(server, clock)
    assert "no such user" in caught.value.message
    assert server.asked == ["POST /users/authenticate"]


@pytest.mark.parametrize("login", [Reply({}, 404), Reply({"system_user": {}}), Reply([])])
def test_a_login_that_gives_no_token_is_never_taken_for_a_refused_batch(
    server: Server, clock: Clock, login: Reply
) -> None:
    """A wrong address must not make the sender look for a bad item."""
    server.logins.append(login)
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "`url`" in caught.value.hint


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Mon, 02 Mar 2026 12:01:30 GMT"}, 90.0),
        (
            {"Retry-After": "Mon, 02 Mar 2026 09:01:30 GMT", "Date": "Mon, 02 Mar 2026 09:01:00 GMT"},
            30.0,
        ),
        ({"Retry-After": "soon"}, 1.0),
        ({}, 1.0),
    ],
    ids=["seconds", "date", "date by the server's clock", "malformed", "none"],
)
def test_retry_after_is_honoured(
    server: Server, clock: Clock, status: int, headers: dict[str, str], expected: float
) -> None:
    """The wait is what Stock2Shop asks for, as a number or as a date; without it, the backoff's."""
    server.script(Reply({}, status, headers), Reply(QUEUED))
    send(server, clock)
    assert clock.waits == [expected]


def test_a_retry_after_in_the_past_does_not_wait(server: Server, clock: Clock) -> None:
    """A date that has gone by means now."""
    server.script(Reply({}, 503, {"Retry-After": "Mon, 02 Mar 2026 11:00:00 GMT"}), Reply(QUEUED))
    send(server, clock)
    assert clock.waits == []


def test_a_retry_after_of_hours_is_left_to_the_next_run(server: Server, clock: Clock) -> None:
    """A run does not hold the project's lock for an hour: it says so and ends."""
    server.script(Reply({}, 429, {"Retry-After": "3600"}))
    with pytest.raises(UnavailableError) as caught:
        send(server, clock)
    assert "asks to wait 3600 s" in caught.value.message
    assert clock.waits == []


def test_backoff_doubles_up_to_a_cap_and_ends_with_the_retries(server: Server, clock: Clock) -> None:
    """Eight retries wait at most 1, 2, 4 … 60, 60 s, drawn from zero on; the error then says what was tried."""
    server.script(*[Reply({}, 502)] * 9)
    with pytest.raises(UnavailableError) as caught:
        send(server, clock, retries=8)
    assert clock.ceilings == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert "502" in caught.value.message
    assert "POST /products/queue was tried 9 times" in caught.value.message
    assert "the next run sends the same changes again" in caught.value.hint
    assert len(server.seen) == 10


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_passing_failure_is_tried_again(server: Server, clock: Clock, status: int) -> None:
    """What a moment later may go well is asked again."""
    server.script(Reply({}, status), Reply(QUEUED))
    assert send(server, clock).queued == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drop=True),
        Reply({"system_products": {"sync_product": 1}}, missing=5),
        Reply(b'{"queued": 1}  ', missing=2),
        Reply(b'{"system_products": {"sync_'),
        Reply(b""),
        Reply(b"{} trailing"),
        Reply(b'{"queued": NaN}'),
        Reply(b"\xff\xfe\xfd"),
        Reply(b"[" * 200_000),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=[
        "dropped",
        "half",
        "whole JSON but short",
        "cut JSON",
        "empty",
        "trailing",
        "NaN",
        "bytes",
        "too deep",
        "not gzip",
    ],
)
def test_a_broken_answer_is_tried_again(server: Server, clock: Clock, reply: Reply) -> None:
    """Stock2Shop upserts by source code, so what may or may not have been taken is sent once more."""
    server.script(reply, Reply(QUEUED))
    assert send(server, clock).queued == 1
    assert server.asked == ["POST /users/authenticate", "POST /products/queue", "POST /products/queue"]


def test_half_an_answer_is_noticed_where_the_http_library_does_not(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older urllib3 takes a body that is shorter than it said; here it is no answer all the same."""
    urlopen = HTTPConnectionPool.urlopen
    lenient = functools.partialmethod(urlopen, enforce_content_length=False)
    monkeypatch.setattr(HTTPConnectionPool, "urlopen", lenient)
    server.script(Reply(b'{"queued": 9}  ', missing=2), Reply(QUEUED))
    assert send(server, clock).queued == 1


def test_an_answer_that_trickles_in_is_given_up(server: Server, clock: Clock) -> None:
    """No byte of it is late, so no timeout ever ends it; the run must not stand still for that."""

    def a_minute_passes() -> None:
        clock.time += 60

    server.script(Reply(QUEUED, before_each_byte=a_minute_passes))
    with pytest.raises(UnavailableError) as caught:
        send(server, clock)
    assert "did not come to the end of its answer within 600 s (POST /products/queue)" in caught.value.message
    assert RETRY_HINT in caught.value.hint


def test_headers_that_trickle_in_are_late(server: Server, clock: Clock) -> None:
    """Each byte of them is in time, and all together they are not."""
    server.logins.extend([Reply({}, headers_in_pieces=0.05)] * 3)
    error = unreachable(server.url, clock, read_timeout=0.5)
    assert "did not answer within 0.5 s" in error.message


def test_headers_that_come_in_pieces_are_read(server: Server, clock: Clock) -> None:
    """Slow is not too slow, and the connection is kept."""
    server.script(Reply(QUEUED, headers_in_pieces=0.001), Reply(QUEUED))
    with open_api(settings(server.url), timing=clock.timing) as api:
        for _ in range(2):
            assert api.queue("/products/queue", b"{}", items=1).queued == 1
    assert len({one.connection for one in server.seen}) == 1


def test_an_answer_that_comes_in_pieces_is_taken_whole(server: Server, clock: Clock) -> None:
    """Slow is not too slow."""
    server.script(Reply(QUEUED, before_each_byte=lambda: None))
    assert send(server, clock).queued == 1


def test_an_answer_without_an_end_does_not_fill_the_memory(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is larger than any page of products is not Stock2Shop's."""
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1_000_000)
    server.script(Reply(b" " * 1_000_001))
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "answers with more than 1 MB" in caught.value.message
    assert "`url`" in caught.value.hint


def test_broken_json_that_stays_broken_is_an_answer_error(server: Server, clock: Clock) -> None:
    """After the retries the error names the request and the state of things."""
    server.script(*[Reply(b"{")] * 3)
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "broken JSON" in caught.value.message
    assert "was tried 3 times" in caught.value.message


@pytest.mark.parametrize(
    "reply", [Reply(b"<html>hi</html>", headers={"Content-Type": "text/html"}), Reply(b"\n <!doctype html>")]
)
def test_a_web_page_is_an_answer_error_at_once(server: Server, clock: Clock, reply: Reply) -> None:
    """HTML with 200 means a wrong address, which no retry fixes."""
    server.script(reply)
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "a web page where JSON belongs" in caught.value.message
    assert "`url`" in caught.value.hint
    assert clock.waits == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, clock: Clock, status: int) -> None:
    """A redirect would turn a POST into a GET or carry the token elsewhere: the error names the host only."""
    place = f"https://elsewhere.example/x?token={quote(TOKEN)}"
    server.script(Reply({}, status, {"Location": place}))
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "to elsewhere.example, which is not followed" in caught.value.message
    assert_no_secret(caught.value)


@pytest.mark.parametrize("place", ["http://[::1", "http://a:b/", "", "//", "\\\\"])
def test_a_redirect_to_nowhere_is_a_redirect_all_the_same(server: Server, clock: Clock, place: str) -> None:
    """A Location that is no address is not blamed on the project's `url`."""
    server.script(Reply({}, 302, {"Location": place}))
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert "with a redirect (302 Found)" in caught.value.message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"errors": ["title is blank", "sku is blank"]}', "title is blank; sku is blank"),
        (b'{"message": "too dear"}', '{"message": "too dear"}'),
        (b"plain\x00 \x1b[31m words\n", "plain [31m words"),
        (b"<html><style>p {}</style><p>too &amp; large</p>", "too & large"),
        (b"", "422"),
    ],
    ids=["errors", "other JSON", "control characters", "page", "empty"],
)
def test_another_4xx_is_a_refusal_with_stock2shops_own_words(
    server: Server, clock: Clock, body: bytes, reason: str
) -> None:
    """The reason is readable text, and never tried again."""
    server.script(Reply(body, 422))
    with pytest.raises(RefusedError) as caught:
        send(server, clock)
    assert caught.value.reason.removesuffix(" Unprocessable Entity").removesuffix(" Unprocessable Content") == reason
    assert caught.value.status == 422
    assert len(server.seen) == 2


@pytest.mark.parametrize("status", [402, 404, 405, 415, 423, 451])
def test_an_answer_about_the_account_or_the_address_is_no_refusal_of_rows(
    server: Server, clock: Clock, status: int
) -> None:
    """Nothing is quarantined for it: the rows go as soon as the account is in order again."""
    server.script(Reply({"error": "The account is suspended"}, status=status))
    rows = [{"_key": code, "_group": code, "kind": "insert"} for code in "ABC"]
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError) as caught:
        list(Sender(api, "/products/queue", document=lambda _: b"{}").send(rows))
    assert f"({status}): The account is suspended" in caught.value.message
    assert "Nothing was quarantined" in caught.value.hint
    assert server.asked.count("POST /products/queue") == 1


@pytest.mark.parametrize(
    ("bad", "most"), [({"C07"}, 10), ({"C00"}, 11), ({"C31"}, 11), ({"C00", "C31"}, 19), ({"C07", "C08"}, 18)]
)
def test_bad_rows_are_found_in_few_requests(server: Server, clock: Clock, bad: set[str], most: int) -> None:
    """One of 32, wherever it is, in a request for each half and the two that became of it."""

    def answer(seen: Seen) -> Reply:
        codes = json.loads(seen.body)
        return Reply({"error": "no"}, status=400) if bad & set(codes) else Reply({"queued": len(codes)})

    server.answer = answer
    rows = [{"_key": f"C{number:02}", "_group": f"C{number:02}", "kind": "insert"} for number in range(32)]
    with open_api(settings(server.url), timing=clock.timing) as api:
        sender = Sender(
            api, "/products/queue", document=lambda part: json.dumps([row["_key"] for row in part]).encode()
        )
        deliveries = [*sender.send(rows), *sender.finish()]
    assert {row["_key"] for one in deliveries if one.receipt is None for row in one.rows} == bad
    assert sorted(row["_key"] for one in deliveries for row in one.rows) == [row["_key"] for row in rows]
    assert server.asked.count("POST /products/queue") <= most + 1


def test_a_batch_that_is_too_large_is_a_refusal_with_the_setting_to_lower(server: Server, clock: Clock) -> None:
    """413 is refused like the rest, so that the sender halves the batch."""
    server.script(Reply(b"x" * 2_000, 413))
    with pytest.raises(RefusedError) as caught:
        send(server, clock)
    assert caught.value.status == 413
    assert caught.value.reason == "x" * 500
    assert "batch_variants" in caught.value.hint


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"errors": "no title", "queued": 1}, "no title"),
        ({"system_products": [{"errors": [{"sku": "taken"}]}]}, '{"sku": "taken"}'),
        ({"system_products": {"sync_product": 1, "errors": {"A": "bad"}}}, '{"A": "bad"}'),
        ({"success": False, "message": "no"}, "no"),
        ({"errors": 2}, "2"),
    ],
)
def test_errors_in_a_2xx_answer_are_a_refusal(server: Server, clock: Clock, body: dict[str, Any], reason: str) -> None:
    """A batch is acknowledged only where nothing in the answer speaks against it."""
    server.script(Reply(body))
    with pytest.raises(RefusedError) as caught:
        send(server, clock)
    assert caught.value.reason == reason
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("body", "queued"),
    [
        ({"system_products": {"sync_product": 3}}, 3),
        ({"system_products": {"sync_product": 2, "delete_product_variant": 1}}, 3),
        ({"queued": "3"}, 3),
        ({"products_queued": 4}, 4),
        (3, 3),
        ({"errors": [], "error": False, "success": True}, None),
        ({"status": "success"}, None),
        ({"system_products": [{"source": {"sync_token": "0", "source_id": 1}}] * 3}, 3),
    ],
)
def test_the_number_queued_is_found_where_there_is_one(
    server: Server, clock: Clock, body: Any, queued: int | None
) -> None:
    """The answer's shape is not public: known and likely forms are read; outright success may go without a number."""
    server.script(Reply(body))
    assert send(server, clock, items=3).queued == queued


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply({"status": "error", "message": "The queue is closed"}), "status is error. It says: The queue is closed"),
        (Reply({"status": "failed", "queued": 1}), "status is failed"),
        (Reply({"failed": 5}), "failed is 5"),
        (Reply({"system_products": {"sync_product": 1, "failed": 1}}), "failed is 1"),
        (Reply({"code": 403}), "code is 403"),
        (Reply({}), "it does not say how many items were queued"),
        (Reply(None), "it does not say how many items were queued"),
        (Reply(b"", 204), "it does not say how many items were queued"),
        (Reply([]), "it does not say how many items were queued"),
        (Reply({"system_products": []}), "it does not say how many items were queued"),
        (Reply("thanks"), "it does not say how many items were queued"),
        (Reply(True), "it does not say how many items were queued"),
    ],
)
def test_a_success_that_does_not_count_is_not_a_receipt(server: Server, clock: Clock, reply: Reply, words: str) -> None:
    """Stock2Shop says how many items it queued; an answer of 2xx that does not must not count as acknowledged."""
    server.script(reply)
    with pytest.raises(AnswerError) as caught:
        send(server, clock)
    assert words in caught.value.message
    assert "the next run sends the same changes again" in caught.value.hint


def test_the_words_of_an_echoed_item_are_not_those_of_the_answer(server: Server, clock: Clock) -> None:
    """A product may have a failed state of its own, and an address a code of 8001."""
    item = {"product": {"state": "failed", "code": "8001"}, "status": "error", "code": 8001}
    server.script(Reply({"system_products": [item]}))
    assert send(server, clock).queued == 1


def test_fewer_queued_than_sent_is_a_refusal(server: Server, clock: Clock) -> None:
    """An item that Stock2Shop dropped without a word must not count as acknowledged."""
    server.script(Reply({"system_products": {"sync_product": 2}}))
    with pytest.raises(RefusedError) as caught:
        send(server, clock, items=3)
    assert caught.value.reason == "it queued 2 of 3 items"


def test_the_project_source_is_found_among_the_users(server: Server, clock: Clock) -> None:
    """Its sync token is what products echo; ids may come as text, a missing token is the documented 0."""
    found = [{"id": 1}, {"id": "57", "sync_token": 8, "description": "Acme\x07 ERP"}]
    server.script(Reply({"system_sources": found}), Reply(found))
    with open_api(settings(server.url), timing=clock.timing) as api:
        assert api.source() == RemoteSource(id=57, sync_token="8", description="Acme ERP")
        assert api.sources()[0] == RemoteSource(id=1, sync_token="0", description="")


@pytest.mark.parametrize(
    "token",
    ["", "x" * 256, 8.5, True, ["8"], {"a": 1}, "a\nb"],
    ids=["empty", "long", "float", "bool", "list", "dict", "lines"],
)
def test_a_sync_token_that_cannot_be_one_is_an_answer_error(server: Server, clock: Clock, token: object) -> None:
    """It is echoed with each item and stored with each row, so it is never taken as it happens to come."""
    server.script(Reply({"system_sources": [{"id": 57, "sync_token": token}]}))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError) as caught:
        api.source()
    assert "sync_token of the source" in caught.value.message


def test_what_another_source_says_of_itself_does_no_harm(server: Server, clock: Clock) -> None:
    """Only the project's own source has to be right; a long description is cut."""
    server.script(
        Reply({"system_sources": [{"id": 57}, {"id": 5, "sync_token": [], "description": "x" * 200_000}]}),
    )
    with open_api(settings(server.url), timing=clock.timing) as api:
        own, other = api.sources()
    assert own.sync_token == "0"
    assert other.description == "x" * 200


def test_texts_lose_what_neither_a_database_nor_utf_8_can_hold(server: Server, clock: Clock) -> None:
    """NUL and halves of surrogate pairs go, whole pairs and other escapes stay."""
    source = b'{"id": 57, "sync_token": "a\\u0000b\\ud83d", "description": "\\ud83d\\ude00 \\udc00\\u00e9"}'
    server.script(Reply(b'{"system_sources": [%b]}' % source))
    with open_api(settings(server.url), timing=clock.timing) as api:
        assert api.source() == RemoteSource(id=57, sync_token="ab", description="😀 é")


def test_an_unknown_source_is_an_authentication_error_that_names_the_known_ones(server: Server, clock: Clock) -> None:
    """A mistyped source_id is fixed by reading the message."""
    server.script(Reply({"system_sources": [{"id": 5, "description": "Acme"}, {"id": 6}]}))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AuthenticationError) as caught:
        api.source()
    assert caught.value.message == "Stock2Shop gives this user no source 57. It gives: 5 (Acme), 6."


@pytest.mark.parametrize("body", [{"other": []}, {"system_sources": [1]}, {"system_sources": [{}]}, 1])
def test_sources_of_an_unknown_shape_are_an_answer_error(server: Server, clock: Clock, body: Any) -> None:
    """What cannot be read is not taken for no sources."""
    server.script(Reply(body))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError):
        api.source()


@dataclass
class Index:
    """Elasticsearch as far as the read-back asks for it: filter by source and id, sort by id, cut to size."""

    products: dict[int, dict[str, Any]]
    gone: tuple[int, ...] = ()
    between: Callable[[int], object] = str
    pages: int = 0

    def __call__(self, seen: Seen) -> Reply:
        """The page that the query asks for."""
        query = json.loads(seen.body)
        term, above = query["query"]["bool"]["filter"]
        assert term == {"term": {"source_id": 57}}
        assert query["from"] == 0
        assert query["sort"]["id"]["order"] == "asc"
        known = sorted([*self.products, *self.gone])
        ids = [number for number in known if number > above["range"]["id"]["gt"]][: query["size"]]
        self.between(self.pages)
        self.pages += 1
        live = [self.products[number] for number in ids if number in self.products]
        return Reply({"hits": {"hits": [{"_id": str(number)} for number in ids]}, "system_products": live})


def product(number: int) -> dict[str, Any]:
    """A product of the project's source."""
    return {"id": number, "source_id": 57, "source_product_code": f"P{number}"}


def read(server: Server, clock: Clock) -> list[dict[str, Any]]:
    """The whole read-back."""
    with open_api(settings(server.url), timing=clock.timing) as api:
        return list(api.read_back())


def test_the_read_back_gives_every_product_once_while_the_catalogue_changes(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A product removed and one added between two pages shift nothing; one only in the index is passed over."""
    monkeypatch.setattr(paging, "PAGE_PRODUCTS", 2)
    products = {number: product(number) for number in (3, 5, 8, 13, 21)}

    def between(page: int) -> None:
        if page == 1:
            del products[3]
            products[34] = product(34)

    server.answer = Index(products, gone=(6, 7), between=between)
    assert [one["id"] for one in read(server, clock)] == [3, 5, 8, 13, 21, 34]


def test_the_read_back_is_lazy(server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is asked for when the one before is used up."""
    monkeypatch.setattr(paging, "PAGE_PRODUCTS", 2)
    server.answer = Index({number: product(number) for number in range(1, 10)})
    with open_api(settings(server.url), timing=clock.timing) as api:
        products = api.read_back()
        assert api.requests_made == 0
        next(products)
        next(products)
        assert api.requests_made == 2
        next(products)
        assert api.requests_made == 3


def test_the_read_back_keeps_every_digit_of_a_price(server: Server, clock: Clock) -> None:
    """Prices are Decimals: a float would differ from what was sent."""
    body = b'{"system_products": [{"id": 1, "variants": [{"price": 1.10, "qty": 9}]}]}'
    server.script(Reply(body), Reply({"system_products": []}))
    (only,) = read(server, clock)
    assert only["variants"] == [{"price": Decimal("1.10"), "qty": 9}]
    assert str(only["variants"][0]["price"]) == "1.10"


def test_the_read_back_leaves_other_sources_products_alone(server: Server, clock: Clock) -> None:
    """Where the filter is ignored, a product of another source is still not this project's."""
    page = [product(1), {**product(2), "source_id": 99}, {**product(3), "source_id": "57"}]
    server.script(Reply({"system_products": page}), Reply({"system_products": []}))
    assert [one["id"] for one in read(server, clock)] == [1, 3]


@pytest.mark.parametrize(
    "second", [{"system_products": [product(1)]}, {"system_products": [{"title": "no id"}]}, {"took": 3}]
)
def test_a_read_back_that_does_not_move_on_is_an_answer_error(
    server: Server, clock: Clock, second: dict[str, Any]
) -> None:
    """A server that ignores the query must not be asked for ever, nor its answer be taken for the catalogue."""
    server.script(Reply({"system_products": [product(1)]}), Reply(second))
    with pytest.raises(AnswerError):
        read(server, clock)


def test_a_read_back_of_other_sources_only_ends(server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that does not filter by source must not be followed through everybody's products."""
    monkeypatch.setattr(client, "MAX_FOREIGN_PAGES", 3)
    server.script(*[Reply({"system_products": [{**product(number), "source_id": 99}]}) for number in range(1, 9)])
    with pytest.raises(AnswerError) as caught:
        read(server, clock)
    assert "3 pages in a row hold nothing of the source 57" in caught.value.message


def test_a_read_back_without_an_end_ends(server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that makes up a new page for ever is not a catalogue."""
    monkeypatch.setattr(client, "MAX_READ_BACK_PAGES", 5)
    server.script(*[Reply({"system_products": [product(number)]}) for number in range(1, 9)])
    with pytest.raises(AnswerError) as caught:
        read(server, clock)
    assert "the search does not end after 5 pages" in caught.value.message


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply({"system_user": {"id": 1, "token": TOKEN}}), True),
        (Reply(True), True),
        (Reply({"system_user": None}), False),
        (Reply({"valid": False}), False),
        (Reply({"errors": "expired"}), False),
        (Reply(False), False),
        (Reply({}, 401), False),
        (Reply({}, 404), False),
    ],
)
def test_a_token_is_judged_by_stock2shop(server: Server, clock: Clock, reply: Reply, expected: bool) -> None:  # noqa: FBT001 - the expected value of a parametrized test
    """The token travels in the path, and one that is not good is not used again."""
    server.script(reply, Reply(QUEUED))
    with open_api(settings(server.url), timing=clock.timing) as api:
        assert api.valid_token() is expected
        api.queue("/products/queue", b"{}", items=1)
    assert server.seen[1].path == f"/v1/users/valid_token/{quote(f'{TOKEN}-1', safe='')}"
    assert server.tokens == ["-1" if expected else "-2"]


def test_the_queue_is_read_by_status_and_instruction(server: Server, clock: Clock) -> None:
    """Only what was asked for becomes a parameter; the list is found under likely names."""
    server.script(Reply({"add_order": 2}), Reply({"system_queue": [{"id": 1}]}), Reply([]))
    with open_api(settings(server.url), timing=clock.timing) as api:
        assert api.queue_summary() == {"add_order": 2}
        assert api.queue_items(status="failed", limit=5) == [{"id": 1}]
        assert api.queue_items(instructions="add_order") == []
    asked = [dict(one.query) for one in server.seen[2:]]
    for query in asked:
        del query["token"]
    assert asked == [
        {"format": "json", "source_id": "57", "limit": "5", "status": "failed"},
        {"format": "json", "source_id": "57", "limit": "100", "instructions": "add_order"},
    ]


def test_money_in_the_queue_is_no_float(server: Server, clock: Clock) -> None:
    """An order's totals keep all their digits."""
    server.script(Reply({"system_queue": [{"data": {"id": 1, "total": 0.1}}]}))
    with open_api(settings(server.url), timing=clock.timing) as api:
        (item,) = api.queue_items(instructions="add_order")
    assert repr(item["data"]["total"]) == "Decimal('0.1')"


def test_a_summary_of_an_unknown_shape_is_an_answer_error(server: Server, clock: Clock) -> None:
    """The error repeats what Stock2Shop says of it, where it says something."""
    server.script(Reply([{"error": "queue is closed"}]))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError) as caught:
        api.queue_summary()
    assert "It says: queue is closed" in caught.value.message


@pytest.mark.parametrize("body", ["text", {"system_queue": {"a": 1}}])
def test_a_queue_of_an_unknown_shape_is_an_answer_error(server: Server, clock: Clock, body: Any) -> None:
    """What cannot be read is not taken for an empty queue."""
    server.script(Reply(body))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError):
        api.queue_items()


def test_the_pace_spaces_all_requests_evenly(server: Server, clock: Clock) -> None:
    """At two a second, half a second apart; time that went by anyway counts, and a login takes no turn."""
    server.script(*[Reply(QUEUED)] * 4)
    with open_api(settings(server.url, pace=2), timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        api.queue("/products/queue", b"{}", items=1)
        clock.time += 0.3
        api.queue("/products/queue", b"{}", items=1)
        clock.time += 10
        api.queue("/products/queue", b"{}", items=1)
    assert clock.waits == [0.5, 0.2]


def test_a_long_pause_earns_no_burst(server: Server, clock: Clock) -> None:
    """The bucket holds one token: after a slow batch the next requests do not come all at once."""
    server.script(*[Reply(QUEUED)] * 3)
    with open_api(settings(server.url, pace=1), timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        clock.time += 60
        api.queue("/products/queue", b"{}", items=1)
        api.queue("/products/queue", b"{}", items=1)
    assert clock.waits == [1.0]


def test_a_pace_of_zero_never_waits(server: Server, clock: Clock) -> None:
    """Zero turns the pace off."""
    server.script(*[Reply(QUEUED)] * 3)
    with open_api(settings(server.url, pace=0), timing=clock.timing) as api:
        for _ in range(3):
            api.queue("/products/queue", b"{}", items=1)
    assert clock.waits == []


def test_sessions_that_share_their_tokens_log_in_once(server: Server, clock: Clock) -> None:
    """Each login ends the user's other tokens, so programs that share a user may share its token."""
    server.script(Reply(QUEUED), Reply(QUEUED), Reply({}, 401), Reply(QUEUED), Reply(QUEUED))
    user = User(tokens=SessionTokens(), pace=SteadyPace(0, now=lambda: clock.time))
    for _ in range(4):
        with open_api(settings(server.url), timing=clock.timing, user=user) as api:
            api.queue("/products/queue", b"{}", items=1)
    assert server.tokens == ["-1", "-1", "-1", "-2", "-2"]


def test_a_token_that_was_renewed_meanwhile_is_not_discarded() -> None:
    """Of two sessions whose shared token expired, the second takes the token that the first just got."""
    tokens = SessionTokens()
    tokens.get(lambda: "old", wait=time.sleep)
    tokens.discard("old")
    tokens.get(lambda: "new", wait=time.sleep)
    tokens.discard("old")
    assert tokens.get(lambda: "newest", wait=time.sleep) == "new"


def test_sessions_that_share_their_pace_take_turns(server: Server, clock: Clock) -> None:
    """Stock2Shop's limit is the user's, however many sessions it has."""
    server.script(*[Reply(QUEUED)] * 4)
    pace = SteadyPace(1.0, now=lambda: clock.time)
    for _ in range(4):
        user = User(tokens=SessionTokens(), pace=pace)
        with open_api(settings(server.url, pace=1_000), timing=clock.timing, user=user) as api:
            api.queue("/products/queue", b"{}", items=1)
    assert clock.waits == [1.0, 1.0, 1.0]


def test_a_turn_comes_while_the_caller_does_something_else(server: Server, clock: Clock) -> None:
    """A run plans its turn, connects to the source, and then waits only for what is left of the time."""
    server.script(*[Reply(QUEUED)] * 2)
    with open_api(settings(server.url, pace=1), timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        api.plan_turn()
        clock.time += 0.75
        api.queue("/products/queue", b"{}", items=1)
    assert clock.waits == [0.25]


def test_a_stop_interrupts_a_wait(server: Server, clock: Clock) -> None:
    """The real wait of minutes ends as soon as another thread asks for it."""
    server.script(Reply({}, 503, {"Retry-After": "500"}))
    stop = threading.Event()

    def wait(event: threading.Event, seconds: float) -> None:
        assert event is stop
        threading.Thread(target=stop.set).start()
        threading.Event.wait(event, seconds)

    timing = Timing(now=lambda: clock.time, utc=lambda: NOON, wait=wait, draw=clock.draw)
    with open_api(settings(server.url), stop=stop, timing=timing) as api, pytest.raises(CancelledError) as caught:
        api.queue("/products/queue", b"{}", items=1)
    assert "the next run sends the same changes again" in caught.value.hint
    assert server.replies == deque()


def test_after_a_stop_no_request_begins(server: Server) -> None:
    """A run that was stopped between two batches sends nothing more."""
    stop = threading.Event()
    stop.set()
    with open_api(settings(server.url), stop=stop) as api, pytest.raises(CancelledError):
        api.queue("/products/queue", b"{}", items=1)
    assert server.seen == []


def test_a_batch_that_was_taken_is_acknowledged_although_a_stop_came_meanwhile(server: Server, clock: Clock) -> None:
    """What Stock2Shop accepted is recorded before the run ends."""
    stop = threading.Event()

    def answer(seen: Seen) -> Reply:
        stop.set()
        return Reply(QUEUED)

    server.answer = answer
    with open_api(settings(server.url), stop=stop, timing=clock.timing) as api:
        assert api.queue("/products/queue", b"{}", items=1).queued == 1


def test_a_stop_counts_before_the_deadline(server: Server, clock: Clock) -> None:
    """A run that somebody stopped says that it was stopped, also when its time is up."""
    stop = threading.Event()
    stop.set()
    with (
        open_api(settings(server.url), stop=stop, until=clock.time - 1, timing=clock.timing) as api,
        pytest.raises(CancelledError),
    ):
        api.queue("/products/queue", b"{}", items=1)


def test_after_the_deadline_no_request_begins(server: Server, clock: Clock) -> None:
    """A run whose time is up sends nothing more, even where it need not wait."""
    with (
        open_api(settings(server.url), until=clock.time - 1, timing=clock.timing) as api,
        pytest.raises(DeadlineError),
    ):
        api.queue("/products/queue", b"{}", items=1)
    assert server.seen == []


def test_no_backoff_sleeps_past_the_deadline(server: Server, clock: Clock) -> None:
    """Where the wait would end too late, the run ends now and says why."""
    server.script(Reply({}, 503, {"Retry-After": "4"}), Reply({}, 503, {"Retry-After": "10"}))
    with (
        open_api(settings(server.url), until=clock.time + 12, timing=clock.timing) as api,
        pytest.raises(DeadlineError) as caught,
    ):
        api.queue("/products/queue", b"{}", items=1)
    assert "deadline" in caught.value.message
    assert "503" in caught.value.message
    assert "the next run sends the same changes again" in caught.value.hint
    assert clock.waits == [4.0]


def test_no_pace_wait_sleeps_past_the_deadline(server: Server, clock: Clock) -> None:
    """The deadline also holds where nothing failed."""
    server.script(Reply(QUEUED))
    with open_api(settings(server.url, pace=0.1), until=clock.time + 5, timing=clock.timing) as api:
        api.queue("/products/queue", b"{}", items=1)
        with pytest.raises(DeadlineError) as caught:
            api.queue("/products/queue", b"{}", items=1)
    assert "deadline" in caught.value.message
    assert server.asked == ["POST /users/authenticate", "POST /products/queue"]
    assert clock.waits == []


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def unreachable(url: str, clock: Clock, **changes: Any) -> UnavailableError:
    """The error that asking at ``url`` ends with."""
    with open_api(settings(url, **changes), timing=clock.timing) as api, pytest.raises(UnavailableError) as caught:
        api.sources()
    assert "the next run sends the same changes again" in caught.value.hint
    assert_no_secret(caught.value)
    return caught.value


def test_a_refused_connection_says_so(clock: Clock) -> None:
    """Nobody listens: the message names host and port, and what was tried."""
    port = closed_port()
    error = unreachable(f"http://127.0.0.1:{port}/v1", clock)
    assert error.message == (
        f"Stock2Shop at 127.0.0.1:{port} refuses the connection (POST /users/authenticate was tried 3 times)"
    )
    assert "firewall" in error.hint


def test_a_name_that_is_not_found_says_so(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of DNS is told apart from a server that is down."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = unreachable("http://no-such-host.invalid/v1", clock)
    assert "no-such-host.invalid has a name that this machine cannot look up" in error.message
    assert "DNS" in error.hint


def test_a_network_that_is_cut_off_says_so(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a route is told apart from a server that is down."""

    def cut_off(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", cut_off)
    assert "has no route from this machine" in unreachable("http://127.0.0.1:9/v1", clock).message


def test_an_answer_that_does_not_come_says_so(server: Server, clock: Clock) -> None:
    """The message names the time that was waited, and the hint the setting that eases it."""
    server.logins.extend([Reply(hold=True)] * 3)
    error = unreachable(server.url, clock, read_timeout=0.05)
    assert "did not answer within 0.05 s" in error.message
    assert "batch_variants" in error.hint


def test_a_dropped_connection_says_so(server: Server, clock: Clock) -> None:
    """A connection that is cut before an answer is its own message."""
    server.logins.extend([Reply(drop=True)] * 3)
    assert "dropped the connection without an answer" in unreachable(server.url, clock).message


def test_half_an_answer_says_so(server: Server, clock: Clock) -> None:
    """A body shorter than it said is no answer, even where it is an error's."""
    server.logins.extend([Reply(b"{}      ", 401, missing=6)] * 3)
    assert "broke off in the middle of its answer" in unreachable(server.url, clock).message


def test_a_proxy_that_cannot_be_used_says_so(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is named as the cause, its own password is not."""
    monkeypatch.setenv("http_proxy", f"http://proxyuser:proxypass@127.0.0.1:{closed_port()}")
    error = unreachable("http://s2s.example/v1", clock)
    assert "is behind a proxy that cannot be used" in error.message
    assert "HTTPS_PROXY" in error.hint
    assert "proxypass" not in everything(error)


def test_a_proxy_whose_answer_trickles_in_is_late(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header of it that never ends, each byte in time: what comes before TLS is bounded as the rest is."""

    def drip(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                peer.sendall(b"x")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = threading.Thread(target=drip, args=(listener,))
        proxy.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
        began = time.monotonic()
        unreachable("https://s2s.example/v1", clock, connect_timeout=0.5, retries=0)
        assert time.monotonic() - began < 5
        proxy.join()


def test_a_sandbox_on_this_machine_is_behind_no_proxy(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows' settings leave `localhost` out of their proxy, and not its number."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    server.script(Reply({"system_products": {"sync_product": 1}}))
    assert send(server, clock).queued == 1


def test_a_proxy_that_wants_a_login_is_not_asked_again(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """407 is the proxy's answer, not Stock2Shop's: no batch is refused for it."""
    server.logins.append(Reply({}, 407))
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    with (
        open_api(settings("http://s2s.example/v1"), timing=clock.timing) as api,
        pytest.raises(UnavailableError) as caught,
    ):
        api.sources()
    assert "proxy" in caught.value.message
    assert len(server.seen) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, its key beside it."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-keyout", "key.pem", "-out", "certificate.pem"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path / "certificate.pem"


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    """Stock2Shop behind that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    yield from serve(context=context)


def test_a_certificate_that_is_not_trusted_stops_at_once(tls_server: Server, clock: Clock) -> None:
    """No request and no retry reaches a server that cannot prove who it is; the hint names REQUESTS_CA_BUNDLE."""
    error = unreachable(tls_server.url, clock)
    assert "shows a TLS certificate that this machine does not trust" in error.message
    assert "REQUESTS_CA_BUNDLE" in error.hint
    assert tls_server.seen == []
    assert clock.waits == []


def test_a_certificate_of_the_named_bundle_is_trusted(
    tls_server: Server, certificate: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hint says works."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    tls_server.script(Reply(QUEUED))
    assert send(tls_server, clock).queued == 1


def test_a_bundle_that_is_not_there_says_so(clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistyped REQUESTS_CA_BUNDLE is told as such."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    error = unreachable("https://127.0.0.1/v1", clock)
    assert "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there" in error.message


def test_https_to_a_server_that_speaks_http_says_so(server: Server, clock: Clock) -> None:
    """The other failure of TLS has its own message, and hints at the scheme."""
    error = unreachable(server.url.replace("http:", "https:"), clock)
    assert "could not agree on TLS" in error.message
    assert "https" in error.hint


@pytest.mark.parametrize("url", ["app.stock2shop.com/v1", "ftp://app.stock2shop.com", "https://", "http://[::1"])
def test_an_address_that_is_none_is_a_fault_of_the_project(url: str) -> None:
    """A url without a scheme or a host is told before anything is sent."""
    with pytest.raises(ProjectError) as caught, open_api(settings(url)):
        pass
    assert "`url`" in caught.value.message


def test_netrc_is_not_read(server: Server, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that this machine keeps for other programs are not sent along."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.script(Reply(QUEUED))
    send(server, clock)
    assert ["Authorization" in one.headers for one in server.seen] == [False, False]


def everything(error: BaseException) -> str:
    """All that could be printed of ``error`` and of what it came from."""
    texts = traceback.format_exception(type(error), error, error.__traceback__)
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            texts += [str(one), repr(one), repr(vars(one))]
            waiting += [one.__cause__, one.__context__]
    return "\n".join(texts)


FORMS = [form for text in (PASSWORD, TOKEN, USERNAME) for form in (text, quote(text), quote(text, safe=""))]


def assert_no_secret(error: ApiError) -> None:
    """No form of a secret is in ``error``, and nothing hangs on it that could hold one."""
    text = everything(error)
    assert [form for form in FORMS if form in text] == []
    assert error.__cause__ is None
    assert error.__context__ is None


ECHO = f"{USERNAME} {PASSWORD} {TOKEN}-1 {quote(TOKEN, safe='')}-1 {quote(PASSWORD)} {quote(PASSWORD, safe='')}"


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(drop=True)] * 3,
        [Reply(hold=True)] * 3,
        [Reply({"a": 1}, missing=3)] * 3,
        [Reply(ECHO.encode())] * 3,
        [Reply({"message": ECHO}, 500)] * 3,
        [Reply({"message": ECHO}, 403)] * 2,
        [Reply({"errors": ECHO}, 422)],
        [Reply(ECHO.encode(), 400)],
        [Reply({"errors": [ECHO]})],
        [Reply(f"<p>{ECHO}</p>".encode())],
        [Reply({}, 302, {"Location": f"/login?token={quote(TOKEN)}-1"})],
    ],
    ids=["drop", "timeout", "half", "json", "500", "403", "422", "400", "2xx", "page", "redirect"],
)
def test_no_error_holds_a_secret(
    server: Server, clock: Clock, replies: list[Reply], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither token, user nor password is in a message, hint, repr, traceback, chain or log, even if echoed."""
    caplog.set_level(logging.DEBUG)
    server.script(*replies)
    with pytest.raises(ApiError) as caught:
        send(server, clock, read_timeout=0.2 if replies[0].hold else 10)
    assert_no_secret(caught.value)
    assert caplog.messages
    assert [form for form in FORMS if form in caplog.text] == []


def test_the_log_of_the_http_library_holds_no_token(
    server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 logs whole addresses when it is asked to; the token in them is blotted out."""
    caplog.set_level(logging.DEBUG)
    server.script(Reply(QUEUED))
    send(server, clock)
    addresses = [record.getMessage() for record in caplog.records if record.name == "urllib3.connectionpool"]
    assert any("token=[secret]" in address for address in addresses)
    assert [form for form in FORMS if form in caplog.text] == []
    assert logging.getLogger("urllib3.connectionpool").filters == []


def test_a_reason_is_not_cut_within_a_secret(server: Server, clock: Clock) -> None:
    """A long answer is shortened after its secrets are gone: half a token would not be known for one."""
    server.script(Reply({"errors": f"{'x' * 490} {TOKEN}-1"}, 422))
    with pytest.raises(RefusedError) as caught:
        send(server, clock)
    assert caught.value.reason == f"{'x' * 490} [secret]"


def test_a_refused_login_does_not_repeat_the_password(server: Server, clock: Clock) -> None:
    """A server that repeats what it was told does not put it in the error."""
    server.logins.append(Reply({"errors": f"{USERNAME} / {PASSWORD} is wrong"}, 401))
    with pytest.raises(AuthenticationError) as caught:
        send(server, clock)
    assert "[secret] / [secret] is wrong" in caught.value.message
    assert_no_secret(caught.value)


def test_retries_are_logged_with_their_cause(server: Server, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A run that waits says in its log for what, and how long."""
    server.script(Reply({}, 503), Reply(QUEUED))
    send(server, clock)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "engine.stock2shop.transport"]
    assert "answers 503 Service Unavailable; attempt 1 of 3, the next in 1.0 s" in line


def test_the_offset_of_the_clocks_is_known_from_an_answer(server: Server, clock: Clock) -> None:
    """An answer's Date against this machine's time, positive where this machine is behind."""
    server.script(Reply({}), Reply({}, headers={"Date": "Mon, 02 Mar 2026 12:03:00 GMT"}))
    with open_api(settings(server.url), timing=clock.timing) as api:
        api.queue_summary()
        assert api.clock_offset is None
        api.queue_summary()
        assert api.clock_offset == 180.0


def test_time_passes_by_itself_where_no_clock_is_given(server: Server) -> None:
    """With the real clock, a receipt's time is UTC and lies between before and after."""
    server.script(Reply(QUEUED))
    before = datetime.now(timezone.utc)
    with open_api(settings(server.url, pace=1_000)) as api:
        receipt = api.queue("/products/queue", b"{}", items=1)
    assert before <= receipt.answered_at <= datetime.now(timezone.utc)
    assert receipt.answered_at.utcoffset() == timedelta(0)
    assert receipt.seconds > 0


PERSON = {"email": "zoë@example.co.za", "last_name": "van der Merwe", "address1.address1": "12 Loop Street"}

ECHOES = [
    "zo\\u00eb@example.co.za",
    "zo%C3%AB%40example.co.za",
    "Customer VAN DER MERWE of 12 Loop St",
    "&#122;o&euml;&#64;example&period;co.za",
    "zoÃ«@example.co.za",
]

TELLTALE = re.compile(r"(?i)zo|example|merwe|loop")


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize(
    "replies",
    [
        lambda echo: [Reply({"message": echo}, 401)] * 2,
        lambda echo: [Reply({"error": f"may not: {echo}"}, 403)] * 2,
        lambda echo: [Reply({"errors": [{"email": echo}]}, 422)] * 2,
        lambda echo: [Reply(echo.encode(), 402)],
        lambda echo: [Reply(f"<p>{echo}</p>".encode(), 413)] * 2,
        lambda echo: [Reply({"status": "error", "message": echo})],
        lambda echo: [Reply({"errors": echo})] * 2,
    ],
    ids=["401", "403", "422", "402", "413", "unknown", "2xx"],
)
def test_no_answer_on_the_customers_queue_shows_a_person(
    server: Server,
    clock: Clock,
    echo: str,
    replies: Callable[[str], list[Reply]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither an error nor a reason nor the log repeats what the request held, in whatever spelling it comes back."""
    caplog.set_level(logging.DEBUG)
    server.script(*replies(echo))
    shown = ""
    row = {"_key": "C1", "_group": None, "kind": "insert", **PERSON}
    with open_api(settings(server.url), timing=clock.timing) as api:
        sender = Sender(api, "/customers/queue", document=lambda _: b"{}", personal=tuple(PERSON))
        try:
            shown = "".join(one.reason for one in [*sender.send([row]), *sender.finish()])
        except ApiError as error:
            shown = everything(error) + error.hint
    assert "***" in shown
    assert TELLTALE.search(shown) is None
    assert TELLTALE.search(caplog.text) is None


def test_what_is_read_back_of_customers_shows_nobody(server: Server, clock: Clock) -> None:
    """Whose data an odd answer holds is not known, so only Stock2Shop's own words are shown."""
    server.script(Reply({"error": "Thandi Example is not valid"}))
    with open_api(settings(server.url), timing=clock.timing) as api, pytest.raises(AnswerError) as caught:
        list(api.read_back("/customers/elastic_search", "system_customers"))
    assert "It says: *** is not valid" in caught.value.message
