"""The agent takes the orders of all projects on its one port, and pulls those that are pulled."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import requests
from support.erp import order_document

from engine.agent.http import monitor_routes, serve_http
from engine.cli import agent_orders
from engine.cli.agent import scheduled_job
from engine.cli.agent_jobs import project_schedules
from engine.cli.agent_orders import keep_receiving
from engine.cli.run import run_job
from engine.cli.session import GlobalOptions, Session
from engine.errors import StateError
from engine.http_server import Listener
from engine.orders.connections import OpenConnections, limited_protocol
from engine.orders.http import order_routes
from engine.orders.ledger_file import LocalLedgers
from engine.status.collect import collect_statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.erp import Erp

    from engine.orders.receivers import Receivers

TOKEN = "a-long-token-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Port:
    """The agent's port, as far as orders go."""

    def __init__(self, erp: Erp, receivers: Receivers, address: str) -> None:
        self.erp = erp
        self.receivers = receivers
        self.address = address

    def refresh(self) -> None:
        """Look for changes of the projects' files, as the agent does every few seconds."""
        self.receivers.refresh(agent_orders._versions(self.erp.workspace, {}))

    def send(self, project: str, number: int, **headers: str) -> requests.Response:
        """Send an order as Stock2Shop's tunnel does."""
        url = f"{self.address}/orders/{project}"
        return requests.post(url, json=order_document(number), headers=HEADERS | headers, timeout=30)


@pytest.fixture
def port(erp: Erp) -> Iterator[Port]:
    """Two projects that take orders, and one that takes none."""
    erp.write(f'default_customer = "CASH"\n[orders.serve]\ntoken = "{TOKEN}"\nmax_body = 100000')
    projects = erp.workspace / "projects"
    shutil.copytree(erp.root, projects / "other")
    text = (projects / "other" / "project.toml").read_text("utf-8")
    (projects / "plain").mkdir()
    (projects / "plain" / "project.toml").write_text(text[: text.index("[orders]")], "utf-8")
    session = Session(options=GlobalOptions(workspace=erp.workspace))
    connections = OpenConnections()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", erp.environment))
        receivers = stack.enter_context(keep_receiving(session, open_to_others=True))
        listener = Listener(host="127.0.0.1", port=0, protocol=limited_protocol(connections, None))
        routes = order_routes(receivers.find, connections)
        yield Port(erp, receivers, stack.enter_context(serve_http(routes, listener)))


def test_numbers_that_cannot_be_told_are_an_answer_of_their_own() -> None:
    """A monitor sees that it has no numbers now, and why; the agent goes on."""

    def metrics() -> str:
        raise StateError("The run log cannot be read.")

    routes = monitor_routes(is_alive=lambda: True, metrics=metrics, may_read=lambda _: True)
    listener = Listener(host="127.0.0.1", port=0, protocol=limited_protocol(OpenConnections(), None))
    with serve_http(routes, listener) as address:
        answer = requests.get(f"{address}/metrics", timeout=10)
        assert (answer.status_code, answer.text) == (503, "The run log cannot be read.\n")
        assert requests.get(f"{address}/health", timeout=10).status_code == 200


def test_an_error_that_nobody_foresaw_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without its text, which may name a person, and without a traceback; the next request is answered."""

    def metrics() -> str:
        raise ValueError("Thandi Nkosi")

    routes = monitor_routes(is_alive=lambda: True, metrics=metrics, may_read=lambda _: True)
    listener = Listener(host="127.0.0.1", port=0, protocol=limited_protocol(OpenConnections(), None))
    with serve_http(routes, listener) as address:
        assert requests.get(f"{address}/metrics", timeout=10).status_code == 500
        assert requests.get(f"{address}/health", timeout=10).status_code == 200
    assert [(each.name, each.getMessage()) for each in caplog.records if each.levelname == "WARNING"] == [
        ("engine.http_server", "Exception in ASGI application: ValueError")
    ]
    assert capfd.readouterr().err == ""


def test_each_project_has_its_own_address_and_a_broken_one_holds_up_no_other(port: Port) -> None:
    """The checks are those of `s2s orders serve`; a broken edit leaves the last good version in service."""
    assert port.send("acme", 1).json()["source_order_code"] == "SO1"
    assert port.send("other", 2).json()["source_order_code"] == "SO2"
    assert port.send("plain", 3).status_code == 404
    assert port.send("nobody", 3).status_code == 404
    assert port.send("acme", 3, Authorization="Bearer wrong").status_code == 401
    assert port.send("acme", 3, **{"Content-Encoding": "br"}).status_code == 415
    projects = port.erp.workspace / "projects"
    good = (projects / "acme" / "project.toml").read_text("utf-8")
    (projects / "acme" / "project.toml").write_text(good + "this is no TOML", "utf-8")
    shutil.copytree(projects / "acme", projects / "new")
    port.refresh()
    assert port.send("acme", 4).json()["source_order_code"] == "SO3"
    assert port.send("other", 5).json()["source_order_code"] == "SO4"
    refused = port.send("new", 6)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    (projects / "acme" / "project.toml").write_text(good.replace(TOKEN, TOKEN[::-1]), "utf-8")
    (projects / "other" / "project.toml").write_text(good[: good.index("[orders]")], "utf-8")
    port.refresh()
    assert port.send("acme", 7).status_code == 401
    assert port.send("acme", 7, Authorization=f"Bearer {TOKEN[::-1]}").status_code == 200
    assert port.send("other", 8).status_code == 404
    (projects / "acme" / "project.toml").write_text(good.replace(f'token = "{TOKEN}"', ""), "utf-8")
    port.refresh()
    assert port.send("acme", 9).status_code == 403  # nobody without a token, where other machines reach the port


def test_a_database_that_hangs_keeps_no_other_projects_orders_waiting(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many orders of its project come in meanwhile; each of them is answered in the end."""
    monkeypatch.setattr("engine.orders.http.MAX_ORDERS_AT_ONCE", 2)
    other = port.erp.workspace / "other.sqlite"
    shutil.copy(port.erp.workspace / "erp.sqlite", other)
    settings = port.erp.workspace / "projects" / "other" / "project.toml"
    settings.write_text(settings.read_text("utf-8").replace("/erp.sqlite", "/other.sqlite"), "utf-8")
    port.refresh()
    with ThreadPoolExecutor(50) as pool:
        with closing(sqlite3.connect(port.erp.workspace / "erp.sqlite", isolation_level=None)) as holder:
            holder.execute("begin exclusive")
            waiting = [pool.submit(port.send, "acme", number) for number in range(1, 46)]
            began = time.monotonic()
            assert [port.send("other", number).status_code for number in range(101, 104)] == [200] * 3
            assert time.monotonic() - began < 10
            assert not any(each.done() for each in waiting)
            holder.execute("rollback")
        codes = [each.result().status_code for each in waiting]
    assert {*codes} <= {200, 503}
    assert len(port.erp.orders()) >= codes.count(200) > 0


def test_orders_that_are_pulled_are_pulled_by_a_worker_and_the_status_knows_of_it(erp: Erp) -> None:
    """Also when that fails."""
    erp.write("[orders.pull]\nlimit = 2")
    erp.sandbox.place_order(order_document(1))
    session = Session(options=GlobalOptions(workspace=erp.workspace))
    (name,) = (each for each in project_schedules(session, "1m")() if each != "acme")

    def pull() -> dict[str, Any]:
        with mock.patch.dict("os.environ", erp.environment):
            job = scheduled_job(session, erp.workspace, name, last_good=True)
            return run_job(job, threading.Event(), lambda _event: None)

    answer = pull()
    assert (answer["code"], answer["lines"]) == (0, [(False, "acme: order 1 is answered as SO1")])
    assert pull()["results"] == []
    (status,) = collect_statuses(
        erp.workspace, ["acme"], state_folder=erp.workspace / ".state", ledgers=LocalLedgers(erp.workspace / ".state")
    )
    assert (status.condition, status.runs) == ("ok", 0)
    erp.sandbox.place_order({**order_document(), "id": 0})
    assert pull()["code"] == 1
    (status,) = collect_statuses(
        erp.workspace, ["acme"], state_folder=erp.workspace / ".state", ledgers=LocalLedgers(erp.workspace / ".state")
    )
    assert status.condition == "failed"
    assert status.message.startswith("orders: 1 of Stock2Shop's orders")
