"""The token and the pace of a Stock2Shop user, shared by all runs of one machine; the sandbox ends older tokens."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import AuthenticationError, CancelledError
from engine.file_lock import file_lock
from engine.model.settings import Stock2ShopSettings
from engine.stock2shop.client import open_api
from engine.stock2shop.local_user import SharedPace, UserFile, local_user, user_path

if TYPE_CHECKING:
    from pathlib import Path

    from engine.sandbox.server import Sandbox


def settings(sandbox: Sandbox, **changes: Any) -> Stock2ShopSettings:
    """A project's settings for the sandbox, without a pace."""
    given: dict[str, Any] = {"username": "sandbox", "password": "sandbox", "pace": 0.0, "retries": 0, **changes}
    return Stock2ShopSettings(source_id=57, url=sandbox.url, **given)


def run(chosen: Stock2ShopSettings, folder: Path) -> None:
    """What a run without changes asks, in a session of its own."""
    with open_api(chosen, user=local_user(chosen, folder)) as api:
        api.source()


def asked(sandbox: Sandbox) -> list[tuple[str, int]]:
    """The requests since this was last called: the end of the path, and the status of the answer."""
    found = [(request.path.rpartition("/")[2], request.status) for request in sandbox.requests]
    sandbox.requests.clear()
    return found


LOGIN, OK, DENIED = ("authenticate", 200), ("sources", 200), ("sources", 401)


def test_a_token_is_kept_between_runs_until_stock2shop_refuses_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """The first run logs in, the others do not; after a 401 the run that met it does, and goes on."""
    for _ in range(3):
        run(settings(sandbox), tmp_path)
    assert asked(sandbox) == [LOGIN, OK, OK, OK]
    sandbox.expire_tokens()
    for _ in range(2):
        run(settings(sandbox), tmp_path)
    assert asked(sandbox) == [DENIED, LOGIN, OK, OK]


def test_a_run_takes_the_token_that_another_one_got_meanwhile(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each login ends the user's other tokens, so a second login would end the first one's."""
    one = settings(sandbox)
    with open_api(one, user=local_user(one, tmp_path)) as first, open_api(one, user=local_user(one, tmp_path)) as other:
        first.source()
        other.source()
        sandbox.expire_tokens()
        first.source()
        assert asked(sandbox) == [LOGIN, OK, OK, DENIED, LOGIN, OK]
        other.source()
    assert asked(sandbox) == [DENIED, OK]


def test_runs_that_begin_together_log_in_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """The others wait for the one that logs in, however long its login takes."""
    sandbox.faults.latency = 0.3
    with ThreadPoolExecutor(4) as pool:
        for ran in [pool.submit(run, settings(sandbox), tmp_path) for _ in range(4)]:
            ran.result()
    sandbox.faults.latency = 0
    assert sorted(asked(sandbox)) == [LOGIN, *[OK] * 4]


def test_a_run_that_waits_for_anothers_login_can_be_stopped(sandbox: Sandbox, tmp_path: Path) -> None:
    """By Ctrl-C, and by its deadline in the same way."""
    one, stop = settings(sandbox), threading.Event()
    lock = user_path(one, tmp_path).with_suffix(".login.sqlite")

    def wait_for_login() -> None:
        with open_api(one, user=local_user(one, tmp_path), stop=stop) as api:
            api.source()

    with file_lock(lock, seconds=0), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_for_login)
        with pytest.raises(futures.TimeoutError):  # before Python 3.11 not the built-in one
            waiting.result(timeout=0.2)
        stop.set()
        with pytest.raises(CancelledError):
            waiting.result(timeout=5)
    assert asked(sandbox) == []


def test_a_changed_password_is_tried_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """The old one's token may still be good, but a typing error must not wait for the night in which it ends."""
    run(settings(sandbox), tmp_path)
    with pytest.raises(AuthenticationError):
        run(settings(sandbox, password="mistyped"), tmp_path)
    run(settings(sandbox), tmp_path)
    assert asked(sandbox) == [LOGIN, OK, ("authenticate", 401), OK]


def test_other_users_and_other_addresses_have_tokens_of_their_own(sandbox: Sandbox, tmp_path: Path) -> None:
    """A run against the sandbox never touches the real account's token; how an address is written is nothing."""
    one = settings(sandbox)
    others = [settings(sandbox, username="jane"), replace(one, url="https://app.stock2shop.com/v1")]
    assert len({user_path(each, tmp_path) for each in (one, *others)}) == 3
    assert user_path(replace(one, url=sandbox.url.upper().replace("/V1", "/v1/")), tmp_path) == user_path(one, tmp_path)


@pytest.mark.parametrize("damage", ["torn", "garbage", "empty", "foreign"])
def test_a_damaged_file_costs_a_login_and_no_more(sandbox: Sandbox, tmp_path: Path, damage: str) -> None:
    """After a power cut, a full disk, or a restored half."""
    run(settings(sandbox), tmp_path)
    path = user_path(settings(sandbox), tmp_path)
    if damage == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("drop table stock2shop_user; create table t (x); pragma user_version = 77")
    else:
        whole = path.read_bytes()
        path.write_bytes({"torn": whole[:5_000], "garbage": b"\xff" * 9_000, "empty": b""}[damage])
    for _ in range(2):
        run(settings(sandbox), tmp_path)
    assert asked(sandbox) == [LOGIN, OK, LOGIN, OK, OK]


def test_the_file_is_its_owners_and_holds_neither_password_nor_user(sandbox: Sandbox, tmp_path: Path) -> None:
    """From its first moment on, in the folder and beside it, whatever the account's mask allows."""
    one = settings(sandbox, username="sandbox", password="sandbox", pace=1_000.0)
    before = os.umask(0)
    try:
        run(one, tmp_path / "state")
    finally:
        os.umask(before)
    files = [*(tmp_path / "state").iterdir()]
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    for path in files:
        assert b"sandbox" not in path.read_bytes() + path.name.encode()


def test_where_nothing_can_be_kept_a_run_logs_in_by_itself(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And says once what is wrong with the file."""
    one = settings(sandbox, pace=1_000.0)
    user_path(one, tmp_path).mkdir()
    for _ in range(2):
        run(one, tmp_path)
    assert asked(sandbox) == [LOGIN, OK, LOGIN, OK]
    assert [record.getMessage().count("logs in to Stock2Shop") for record in caplog.records] == [1, 1]


class Machine:
    """A machine's clock, which may be set."""

    def __init__(self, tmp_path: Path) -> None:
        self.time = 1_000_000.0
        self._path = tmp_path / "user.sqlite"

    def reserve(self, pace: float = 1.0) -> float:
        """Reserve a turn, as a process that knows nothing of the others."""
        return round(SharedPace(UserFile(self._path, host="x"), pace, now=lambda: self.time).reserve(), 3)


def test_all_runs_of_a_user_share_one_pace(tmp_path: Path) -> None:
    """A run that waits has its turn, and the next one plans the turn after it; a pause earns no burst."""
    machine = Machine(tmp_path)
    assert [machine.reserve() for _ in range(3)] == [0, 1, 2]
    machine.time += 2.5
    assert machine.reserve() == 0.5
    assert machine.reserve(0) == 0
    machine.time += 60
    assert [machine.reserve(4), machine.reserve(4), machine.reserve(1)] == [0, 0.25, 0.5]


@pytest.mark.parametrize("seconds", [-3_600, -1e9, 1e9])
def test_a_clock_that_is_set_holds_up_no_run(tmp_path: Path, seconds: float) -> None:
    """Neither while a time comes again, nor because one is far away."""
    machine = Machine(tmp_path)
    machine.reserve()
    machine.time += seconds
    assert machine.reserve() <= 1
    assert machine.reserve() <= 2
