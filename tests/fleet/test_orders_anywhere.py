"""Any machine of a fleet takes and raises orders of any project, each once."""

from __future__ import annotations

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest
import requests
from support.erp import NOTHING_UNIQUE, Erp, on_server, order_document, parsed
from support.output import read_envelope
from support.servers import free_port

from engine.database.origin import Origin
from engine.fleet.order_ledgers import FleetLedgers
from engine.orders.ledger_file import LocalLedgers
from engine.orders.origin import order_origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import Popen

    from support.fleet import Fleet
    from support.servers import Postgres

    from engine.orders.ledger import Ledger
    from engine.sandbox.server import Sandbox


@pytest.fixture
def erp(fleet: Fleet, postgres: Postgres) -> Erp:
    """The client's ERP, in PostgreSQL, whose orders the fleet raises."""
    made = on_server(postgres, "postgres", fleet.client.workspace, fleet.client.sandbox)
    made.write('default_customer = "CASH"')
    (made.root / "views" / "products.sql").unlink()
    return made


def serve(fleet: Fleet, machine: str) -> tuple[Popen[bytes], str]:
    """A receiver on a machine, and where it takes orders."""
    port = free_port()
    process = fleet.start(machine, "orders", "serve", "acme", "--port", str(port))
    fleet.wait(lambda: f":{port}/orders" in fleet.printed(process), process)
    return process, f"http://127.0.0.1:{port}/orders"


def send(number: int, addresses: list[str]) -> None:
    """Send an order until it is answered with its code, to one receiver after the other, as a load balancer does."""
    for turn in range(600):
        try:
            answer = requests.post(addresses[(number + turn) % 2], json=order_document(number), timeout=60)
        except requests.ConnectionError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return
        sleep(0.1)
    pytest.fail(f"Order {number} was not raised.")


def test_orders_over_two_machines_are_raised_once_each_though_one_is_killed(fleet: Fleet, erp: Erp) -> None:
    """Whoever sends an order that was not answered sends it to the other one."""
    erp.write('default_customer = "CASH"', statements=NOTHING_UNIQUE)
    (killed, first), (other, second) = serve(fleet, "a"), serve(fleet, "b")
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number, [first, second]) for number in range(1, 25)]
        fleet.wait(lambda: len(erp.orders()) >= 6, killed, other)
        killed.kill()
        for each in sent:
            each.result()
    assert sorted(erp.rows("select s2s_id, count(*) from erp_order group by s2s_id")) == [(n, 1) for n in range(1, 25)]
    listed = read_envelope(fleet.run("c", "orders", "list", "acme", "--output", "json"))["result"]
    assert [(each["order_id"], each["status"]) for each in listed] == [(number, "answered") for number in range(1, 25)]
    other.terminate()
    fleet.end(other, code=0)


@pytest.mark.parametrize(("point", "found"), [("note", ""), ("commit", "found in the database")])
def test_a_machine_that_is_frozen_in_an_orders_commit_raises_it_once(
    fleet: Fleet, erp: Erp, point: str, found: str
) -> None:
    """Before it says that it commits, and right before it does: who takes over waits for the lock in the database."""
    erp.write('default_customer = "CASH"', statements=NOTHING_UNIQUE)
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    zombie = fleet.start("a", "orders", "import", "acme", str(path), freeze=point, at=1)
    fleet.wait_until_frozen(zombie)
    other = fleet.start("b", "orders", "import", "acme", str(path))
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'advisory'"
    fleet.wait(lambda: erp.rows(waits) == [(1,)], other)
    zombie.send_signal(signal.SIGCONT)
    assert "took acme/orders over" in fleet.end(zombie, code=75)
    fleet.end(other, code=0)
    assert len(erp.orders()) == 1
    (raised,) = read_envelope(fleet.run("c", "orders", "list", "acme", "--output", "json"))["result"]
    assert (raised["status"], raised["reason"]) == ("raised", found)


def test_orders_of_one_machine_become_the_fleets_and_go_back(fleet: Fleet, erp: Erp) -> None:
    """Every command sees them from any machine. What is not adopted yet, or was taken out, is refused."""
    shared = fleet.client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    shared.unlink()
    path = erp.workspace / "order.json"
    path.write_text(json.dumps([]), "utf-8")
    assert fleet.run("a", "orders", "import", "acme", str(path), code=4)
    for number, changes in ((1, {}), (2, {"line_items": [{"sku": "Z", "qty": 1, "price": 10}], "total": None})):
        path.write_text(json.dumps(order_document(number, **changes)), "utf-8")
        fleet.run("a", "orders", "import", "acme", str(path), code=4 if changes else 0)
    shared.write_text(settings, "utf-8")
    assert "adopt-local acme" in fleet.run("a", "orders", "list", "acme", code=1)
    assert "its orders are the fleet's now" in fleet.run("a", "fleet", "adopt-local")
    assert "no state and no orders" in fleet.run("a", "fleet", "adopt-local", "acme")

    assert "unknown_sku" in fleet.run("b", "orders", "show", "acme", "2", "--output", "json")
    (status,) = read_envelope(fleet.run("b", "status", "--output", "json", code=4))["result"]
    assert status["orders_waiting"] == 1
    assert "order 1: raised as SO1" in fleet.run("b", "explain", "acme", "#1")
    erp.rows("insert into erp_item values ('Z', 5) returning code")
    fleet.run("c", "orders", "retry", "acme", "2")
    assert [name for name, _ in erp.orders()] == ["#1", "#2"]
    assert "acme/orders" not in fleet.run("b", "fleet", "status")

    assert "the fleet takes no more" in fleet.run("c", "fleet", "export-local", "acme")
    assert "brought them to one machine" in fleet.run("b", "orders", "list", "acme", code=1)
    assert "There is" in fleet.run("c", "fleet", "export-local", "acme", code=1)
    shared.unlink()
    path.write_text(json.dumps(order_document(3)), "utf-8")
    fleet.run("c", "orders", "import", "acme", str(path))
    assert fleet.run("c", "orders", "list", "acme").count("raised") == 3
    shared.write_text(settings, "utf-8")
    assert "2 of them, such as 1" in fleet.run("c", "fleet", "adopt-local", "acme", code=1)
    fleet.run("c", "fleet", "adopt-local", "acme", "--replace")
    assert fleet.run("a", "orders", "list", "acme").count("raised") == 3


def test_a_worker_takes_orders_and_pulls_them(fleet: Fleet, erp: Erp) -> None:
    """On its port, for each project; and from Stock2Shop's queue, at the project's cadence."""
    erp.write("[orders.pull]\nlimit = 5")
    erp.sandbox.place_order(order_document(2))
    port = str(free_port())
    worker = fleet.start("a", "fleet", "worker", "--every", "1s", "--slots", "1", "--port", port)
    fleet.wait(lambda: "Ctrl-C stops it" in fleet.printed(worker), worker)
    answer = requests.post(f"http://127.0.0.1:{port}/orders/acme", json=order_document(1), timeout=60)
    assert (answer.status_code, answer.json()["source_customer_code"]) == (200, "C1")
    fleet.wait(lambda: erp.sandbox.orders()[2].get("sources", [{}])[0].get("source_order_code"), worker)
    assert sorted(name for name, _ in erp.orders()) == ["#1", "#2"]
    worker.terminate()
    fleet.end(worker, code=0)
    fleet.run("b", "orders", "pull", "acme")
    assert len([request for request in erp.sandbox.requests if request.path.endswith("authenticate")]) == 1


def do_everything(ledger: Ledger, own: Origin) -> list[Any]:
    """Do all that can be done with a ledger; gives what it says of it, without times."""
    twin = {**order_document(7), "id": None}
    derived = 8 * 10**15 + 5
    said: list[Any] = [ledger.receive(number, parsed(order_document(number)), via="serve") for number in (3, 1, 2, 1)]
    ledger.receive(7, parsed(order_document(7)), via="pull")
    ledger.receive(derived, parsed(twin), via="serve")
    said += [ledger.find_twin(7), ledger.find_twin(derived), ledger.find_twin(1)]
    ledger.move(1, "raising")
    ledger.mark_commit_sent(1, "SO9")
    said += [ledger.find_order_with_code("SO9", besides=2), ledger.find_order_with_code("SO9", besides=1)]
    ledger.receive(1, parsed(order_document(1, notes="Other\0wise")), via="serve")
    said += [ledger.corrections(1), ledger.has_newer_content(1)]
    ledger.mark_failed(1, reason="It is away\0.", rolled_back=1)
    said.append([entry.order_id for entry in ledger.list_due()])
    ledger.move(1, "raising")
    ledger.move(1, "raised", source_order_code="SO1", raised_at=ledger.now(), uncertain=0)
    ledger.mark_gone(1, gone=True)
    ledger.mark_gone(1, gone=True)
    ledger.mark_gone(1, gone=False)
    ledger.mark_answered(1)
    ledger.mark_answered(1)
    ledger.reopen(1, by="Thandi")
    ledger.take_newest_content(1, uncertain=0)
    ledger.move(2, "waiting", rule="held", reason="held back")
    ledger.move(3, "skipped", reason="by hand")
    said += [ledger.find_entries("#1"), ledger.find_entries("SO1"), ledger.find_entries("3"), ledger.find_entries("1/")]
    said += [ledger.list_newest(status="waiting", limit=5), len(ledger.list_newest(limit=2))]
    said += [ledger.load_document(number) for number in (1, 2)]
    ledger.prune(keep_days=-1)
    said += [ledger.load_document(number) is None for number in (2, 3)]
    said += [ledger.status_history(number) for number in (1, 2, 3, 7)]
    said += [ledger.list_entries()]
    other = Origin(account="https://other, source 1", database="the file other.sqlite")
    said += [ledger.rebind(other, forget=False), ledger.rebind(own, forget=True), ledger.list_entries()]
    said += [ledger.former.list_newest(limit=5), ledger.former.find(3), ledger.former.find_with_code("SO1", besides=9)]
    said += [
        ledger.former.was_raised_elsewhere(1, "SO1", unless=""),
        ledger.former.find_by_number("SO1"),
        ledger.former.status_history(ledger.former.find(1)[0]),
    ]
    ledger.receive(2, parsed(order_document(2)), via="pull")
    said += [ledger.rebind(other, forget=True), ledger.list_entries(), ledger.rebind(own, forget=False)]
    said += [ledger.former.list_newest(limit=5), ledger.list_entries(), ledger.status_history(2)]
    return said


def without_times(said: Any) -> Any:
    """What a ledger says, without when it was and with NULs as PostgreSQL has them."""
    return re.sub(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "TIME", repr(said).replace("\\x00", "\N{REPLACEMENT CHARACTER}")
    )


def test_a_ledger_of_the_fleet_says_what_a_file_does(fleet: Fleet, erp: Erp, tmp_path: Path) -> None:
    """Whatever is done with it; and projects do not see each other's orders."""
    ledgers = FleetLedgers(fleet.client.environment["S2S_FLEET"], tmp_path / "a")
    acme, other = erp.project, replace(erp.project, name="other")
    own = order_origin(acme)
    with closing(ledgers), LocalLedgers(tmp_path / "b").opened(acme) as file:
        with ledgers.opened(other) as opened:
            opened.receive(1, parsed(order_document(1)), via="serve")
        with ledgers.opened(acme) as stored:
            assert without_times(do_everything(stored, own)) == without_times(do_everything(file, own))
        assert ledgers.count_pending(["acme", "other", "new"]) == {
            "acme": {"received": 3, "waiting": 1},
            "other": {"received": 1},
            "new": {},
        }
        assert (ledgers.has_ledger("other"), ledgers.has_ledger("new")) == (True, False)
        with ledgers.opened(other) as opened:
            assert [entry.status for entry in opened.list_entries()] == ["received"]


def test_a_ledger_of_the_fleet_belongs_to_one_account(
    fleet: Fleet, erp: Erp, make_sandbox: Callable[..., Sandbox]
) -> None:
    """Whichever machine asks; what is rebound on one is so on all, and one of an older version takes what it finds."""
    erp.sandbox.place_order(order_document(1))
    fleet.run("a", "orders", "pull", "acme")
    for table in ("order_origin", "former_orders", "former_transitions"):
        fleet.sql(f"drop table s2s_fleet.{table}")
    fleet.sql("update s2s_fleet.fleet set version = 5")
    assert "s2s fleet init" in fleet.run("a", "orders", "pull", "acme", code=1)
    assert "version 6" in fleet.run("a", "fleet", "init")
    fleet.run("b", "orders", "plan", "acme")
    erp.sandbox = fleet.client.sandbox = make_sandbox()
    erp.write(statements={"lookup.sql": None, **NOTHING_UNIQUE})
    erp.sandbox.place_order(order_document(1))
    assert "The order ledger of acme belongs to" in fleet.run("a", "orders", "pull", "acme", code=3)
    assert "1 order put aside" in fleet.run("b", "rebind", "acme", "--forget", "--only", "orders")
    fleet.run("a", "orders", "pull", "acme")
    assert len(erp.orders()) == 2
    assert "SO1" in fleet.run("c", "orders", "former", "acme")


def test_orders_of_two_accounts_do_not_become_one_ledger(
    fleet: Fleet, erp: Erp, make_sandbox: Callable[..., Sandbox]
) -> None:
    """A machine's own orders and the fleet's; what was put aside goes along, there and back."""
    shared = fleet.client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    fleet.run("a", "rebind", "acme", "--keep", "--only", "orders")
    erp.sandbox.place_order(order_document(1))
    fleet.run("a", "orders", "pull", "acme")
    shared.unlink()
    first, second = erp.sandbox, make_sandbox()
    for sandbox, number in ((first, 2), (second, 3)):
        erp.sandbox = fleet.client.sandbox = sandbox
        sandbox.place_order(order_document(number))
        fleet.run("b", "rebind", "acme", "--forget", "--only", "orders")
        fleet.run("b", "orders", "pull", "acme")
    shared.write_text(settings, "utf-8")
    said = fleet.run("b", "fleet", "adopt-local", "acme", code=1)
    assert f"belongs to {first.url}, source 57; server" in said.replace("\n", " ")
    assert "s2s rebind acme" in said
    fleet.run("a", "rebind", "acme", "--forget", "--only", "orders")
    fleet.run("b", "fleet", "adopt-local", "acme")
    assert "3" in fleet.run("a", "orders", "list", "acme")
    assert fleet.run("a", "orders", "former", "acme").count("SO") == 2
    fleet.run("c", "fleet", "export-local", "acme")
    shared.unlink()
    assert fleet.run("c", "orders", "former", "acme").count("SO") == 2


def test_a_fleet_whose_orders_are_all_put_aside_still_has_them(
    fleet: Fleet, erp: Erp, make_sandbox: Callable[..., Sandbox]
) -> None:
    """They are listed, go to one machine and come back without being there twice, and are there again in the end."""
    shared = fleet.client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    first = erp.sandbox
    for number in (1, 2):
        first.place_order(order_document(number))
    fleet.run("a", "orders", "pull", "acme")
    erp.sandbox = fleet.client.sandbox = make_sandbox()
    assert "2 orders put aside" in fleet.run("b", "rebind", "acme", "--forget", "--only", "orders")
    assert fleet.run("a", "orders", "former", "acme").count("SO") == 2
    assert "the fleet takes no more" in fleet.run("c", "fleet", "export-local", "acme")
    shared.unlink()
    assert fleet.run("c", "orders", "former", "acme").count("SO") == 2
    shared.write_text(settings, "utf-8")
    fleet.run("c", "fleet", "adopt-local", "acme")
    assert fleet.run("a", "orders", "former", "acme").count("SO") == 2
    erp.sandbox = fleet.client.sandbox = first
    assert "bad   order ledger: The order ledger of acme belongs to" in fleet.run("a", "doctor", "acme", code=1)
    assert "2 orders put aside before, there again" in fleet.run("a", "rebind", "acme", "--forget", "--only", "orders")
    shown = read_envelope(fleet.run("b", "orders", "show", "acme", "1", "--output", "json"))["result"]
    assert [each["status"] for each in shown["status_history"]] == ["received", "raising", "raised", "answered"]
    fleet.run("b", "orders", "pull", "acme")
    assert len(erp.orders()) == 2


def test_a_machines_own_orders_are_not_left_aside_in_a_fleet_that_belongs_to_their_account(
    fleet: Fleet, erp: Erp, make_sandbox: Callable[..., Sandbox]
) -> None:
    """The machine put them aside for another account, and the fleet's ledger is theirs."""
    shared = fleet.client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    first, second = erp.sandbox, make_sandbox()
    shared.unlink()
    first.place_order(order_document(1))
    fleet.run("b", "orders", "pull", "acme")
    erp.sandbox = fleet.client.sandbox = second
    fleet.run("b", "rebind", "acme", "--forget", "--only", "orders")
    shared.write_text(settings, "utf-8")
    erp.sandbox = fleet.client.sandbox = first
    first.place_order(order_document(2))
    fleet.run("a", "orders", "pull", "acme")
    fleet.run("b", "fleet", "adopt-local", "acme")
    assert fleet.run("a", "orders", "list", "acme").count("SO") == 2
    assert "no such orders" in fleet.run("a", "orders", "former", "acme")
