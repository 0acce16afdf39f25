"""Several machines run one workspace: each project on one of them at a time, with all that is known of it."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fleet_machine import LEASE_SECONDS
from support.output import read_envelope
from support.servers import cutting, falling_silent

from engine.fleet import database, lease, users
from engine.fleet.checkout import check_out
from engine.sync import pipeline

if TYPE_CHECKING:
    from support.client import Client
    from support.fleet import Fleet

BATCHES = "pace = 0\nbatch_variants = 7"


def prices(client: Client) -> dict[str, float]:
    """What Stock2Shop holds."""
    return {code: float(each["price"]) for code, each in client.held().items()}


def test_a_project_goes_on_where_another_machine_left_it(fleet: Fleet) -> None:
    """What was sent, what is quarantined and the whole history travel; an unchanged row is sent by nobody again."""
    client = fleet.client
    assert "up to date" in fleet.run("a", "fleet", "init")
    client.items(3)
    fleet.run("a", "fleet", "run", "acme")
    client.sql("update item set price = '7' where code = 'I001'", "update item set qty = 'many' where code = 'I002'")
    fleet.run("b", "run", "acme", code=4)
    assert client.posted() == 4
    fleet.run("a", "run", "acme", code=4)
    client.sql("delete from item where code = 'I000'")
    fleet.run("b", "run", "acme", code=4)
    (status,) = read_envelope(fleet.run("a", "status", "--output", "json", code=4))["result"]
    assert (status["runs"], status["sent"], status["quarantined"]) == (4, 5, 1)
    (elsewhere,) = read_envelope(fleet.run("c", "status", "--output", "json", code=4))["result"]
    assert {**elsewhere, "seconds_since_good": 0} == {**status, "seconds_since_good": 0}
    assert client.posted() == 5
    assert prices(client) == {"I001": 7.0, "I002": 100.0}
    assert len([request for request in client.sandbox.requests if request.path.endswith("authenticate")]) == 1


def test_a_machine_hands_its_projects_over_and_gets_them_back(fleet: Fleet) -> None:
    """What it has sent before is known to the fleet, and to it again; every command sees the one state there is."""
    client = fleet.client
    client.items(3)
    shared = client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    shared.unlink()
    fleet.run("a", "run", "acme")
    shared.write_text(settings, "utf-8")
    assert "adopt-local acme" in fleet.run("a", "run", "acme", code=1)
    assert "the fleet's now" in fleet.run("a", "fleet", "adopt-local")
    assert "nothing was taken over" in fleet.run("c", "fleet", "adopt-local")
    fleet.run("b", "run", "acme")
    assert client.posted() == 3
    client.sql("update item set price = '7' where code = 'I001'")
    assert "changes: 1 changed" in fleet.run("a", "plan", "acme")
    assert "I001" in fleet.run("b", "explain", "acme", "I001")
    assert fleet.run("b", "history", "acme").count("products") == 2

    fleet.run("a", "fleet", "pause", "acme")
    assert "acme is paused" in fleet.run("b", "run", "acme", code=75)
    assert "warn  fleet: acme is paused" in fleet.run("b", "doctor", "acme")
    fleet.run("a", "fleet", "resume", "acme")
    fleet.run("b", "run", "acme")
    assert client.posted() == 4
    assert "the fleet has paused it" in fleet.run("c", "fleet", "export-local", "acme")
    assert "acme is paused" in fleet.run("b", "run", "acme", code=75)
    shared.unlink()
    fleet.run("c", "run", "acme")
    assert client.posted() == 4


def test_what_cannot_be_read_is_left_to_others_and_never_begun_from_nothing(fleet: Fleet) -> None:
    """A state that a newer DuckDB wrote, and one of which an entry is missing, stop the run before anything is sent."""
    client = fleet.client
    client.items(3)
    fleet.sql("drop schema s2s_fleet cascade")
    assert "Run `s2s fleet init`" in fleet.run("a", "run", "acme", code=1)
    fleet.run("a", "fleet", "init")
    fleet.run("a", "run", "acme")
    written = fleet.postgres.row(fleet.database, "select written_versions from s2s_fleet.lease")[0]
    fleet.sql("update s2s_fleet.lease set written_versions = 'duckdb=99.0 state=4'")
    assert "this one does not read duckdb=99.0" in fleet.run("b", "run", "acme", code=1)
    fleet.sql(f"update s2s_fleet.lease set written_versions = '{written}', last_seq = last_seq + 1")
    assert "has a gap" in fleet.run("b", "run", "acme", code=1)
    fleet.sql("update s2s_fleet.lease set last_seq = last_seq - 1")
    fleet.run("b", "run", "acme")
    assert client.posted() == 3
    # A backup that has as many entries as this machine's cache, and other ones.
    fleet.sql("create table backup as select * from s2s_fleet.lease")
    fleet.sql("create table journal as select * from s2s_fleet.journal")
    client.sql("update item set price = '7' where code = 'I001'")
    fleet.run("b", "run", "acme")
    entries = fleet.postgres.row(fleet.database, "select last_seq from s2s_fleet.lease")
    fleet.sql("delete from s2s_fleet.lease; insert into s2s_fleet.lease select * from backup")
    fleet.sql("delete from s2s_fleet.journal; insert into s2s_fleet.journal select * from journal")
    client.sql("update item set price = '8' where code = 'I002'")
    fleet.run("a", "run", "acme")
    assert fleet.postgres.row(fleet.database, "select last_seq from s2s_fleet.lease") == entries
    posted = client.posted()
    fleet.run("b", "run", "acme")
    assert client.posted() == posted


@pytest.mark.parametrize(("point", "at", "other"), [("post", 2, "b"), ("receipt", 2, "b"), ("store", 1, "a")])
def test_a_machine_that_wakes_up_after_another_took_over_changes_nothing(
    fleet: Fleet, point: str, at: int, other: str
) -> None:
    """Frozen before it sends a batch, before it records a receipt, before it stores the rest: it ends with 75.

    Also where the one that took over is a process of the same machine.
    """
    client = fleet.client
    client.write(remote=BATCHES, settings="max_changes = 100\nmax_deletes = 100")
    client.items(20)
    zombie = fleet.start("a", "run", "acme", freeze=point, at=at)
    fleet.wait_until_frozen(zombie)
    client.sql("update item set price = '7'", "delete from item where code in ('I003', 'I009')")
    fleet.run(other, "run", "acme")
    sold = {f"I{number:03}": 7.0 for number in range(20) if number not in {3, 9}}
    assert prices(client) == sold
    posted = client.posted()
    zombie.send_signal(signal.SIGCONT)
    assert "took acme over" in fleet.end(zombie, code=75)
    assert client.posted() == posted
    for machine in "ba":
        fleet.run(machine, "run", "acme")
    assert client.posted() == posted
    assert prices(client) == sold


def test_what_stock2shop_works_on_late_is_sent_once_more(fleet: Fleet) -> None:
    """What a machine had sent before it vanished may arrive after what was sent since; also of rows that are gone."""
    client = fleet.client
    client.write(settings="max_changes = 100\nmax_deletes = 100")
    client.items(7)
    vanished = fleet.start("a", "run", "acme", freeze="post", at=1)
    fleet.wait_until_frozen(vanished)
    client.sql("update item set price = '7'", "delete from item where code = 'I003'")
    fleet.run("b", "run", "acme")
    sold = {f"I00{number}": 7.0 for number in range(7) if number != 3}
    assert prices(client) == sold
    for code in sold:
        client.sandbox.change(57, code, price=100)
    posted = client.posted()
    fleet.run("c", "run", "acme")
    assert client.posted() == posted
    fleet.sql("update s2s_fleet.lease set vanished_at = vanished_at - interval '2 minutes'")
    fleet.run("b", "run", "acme")
    assert client.posted() == posted + 7
    assert prices(client) == sold
    fleet.run("c", "run", "acme")
    assert client.posted() == posted + 7


def test_an_answer_of_postgresql_that_is_lost_changes_nothing(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one of a run's is lost once: the run finds what it had done already, and does nothing twice."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 60.0)
    monkeypatch.setattr(database, "RETRY_SECONDS", 30.0)
    monkeypatch.setattr(database, "RETRY_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(users, "MAX_LOGIN_WAIT_SECONDS", 1.0)
    client = fleet.client
    client.items(3)
    fleet.run("a", "run", "acme")

    def run(cut_after: int) -> list[int]:
        """Run on the other machine, with a cut after so many bytes; gives the bytes after each answer."""
        fleet.sql("update s2s_fleet.stock2shop_user set token = ''")
        with cutting(fleet.postgres.port, cut_after=cut_after, once=True) as proxy:
            address = client.environ["S2S_FLEET"].replace(f":{fleet.postgres.port}/", f":{proxy.port}/")
            own_state = fleet.folder / "b" / "acme.duckdb"
            with (
                closing(database.FleetDatabase(address)) as connected,
                check_out(connected, None, "acme", own_state) as checkout,
            ):
                project = replace(client.project, state=checkout.path)
                assert pipeline.run(project, "products", replica=checkout).sent == 0
                checkout.exit_code = 1
            return proxy.passed

    run(sys.maxsize)  # which fetches the state
    answers = run(sys.maxsize)
    for number, begins in enumerate([0, *answers[:-1]]):
        run(begins + 1)
        row = fleet.postgres.row(fleet.database, "select failures, expires_at = '-infinity' from s2s_fleet.lease")
        assert (row[0], bool(int(row[1]))) == (number + 3, True), answers
    (status,) = read_envelope(fleet.run("c", "status", "--output", "json"))["result"]
    assert status["runs"] == len(answers) + 3
    assert client.posted() == 3


def test_nobody_waits_for_the_login_of_a_machine_that_died(fleet: Fleet) -> None:
    """It had begun to log in, so that no other would: that ends with its lease."""
    client = fleet.client
    client.items(3)
    dead = fleet.start("a", "run", "acme", freeze="login", at=1)
    fleet.wait_until_frozen(dead)
    dead.kill()
    fleet.sql("update s2s_fleet.stock2shop_user set login_until = now() + interval '1 hour'")
    fleet.run("b", "run", "acme")
    assert client.posted() == 3


@pytest.mark.parametrize("checkpoints", ["64MB", "1KB"])
def test_a_killed_run_is_taken_over_and_one_batch_is_sent_twice(fleet: Fleet, checkpoints: str) -> None:
    """The other machine waits for the lease to end, knows every receipt, and needs no second approval.

    Also where DuckDB folds its journal into the file in the middle of the run.
    """
    client = fleet.client
    client.environ["CHECKPOINTS"] = checkpoints
    client.write(remote=BATCHES, settings="max_changes = 5")
    client.items(40)
    client.sandbox.faults.latency = 0.1
    killed = fleet.start("a", "run", "acme", "--approve-changes", "50")
    fleet.wait(lambda: client.posted() >= 14, killed)
    killed.kill()
    killed.wait()
    client.sandbox.faults.clear()
    assert "acme is held by" in fleet.run("b", "run", "acme", code=75)
    time.sleep(LEASE_SECONDS)
    fleet.run("b", "run", "acme")
    assert prices(client) == {f"I{number:03}": 100.0 for number in range(40)}
    assert client.posted() <= 40 + 7


def test_a_machine_that_is_cut_off_for_longer_than_its_lease_sends_nothing_more(fleet: Fleet) -> None:
    """The network falls silent, another machine takes over, and the network is back."""
    client = fleet.client
    client.write(remote=BATCHES, settings="max_changes = 100\nmax_deletes = 100")
    client.items(40)
    client.sandbox.faults.latency = 0.1
    direct = client.environ["S2S_FLEET"]
    with falling_silent(fleet.postgres.port) as proxy:
        client.environ["S2S_FLEET"] = direct.replace(f":{fleet.postgres.port}/", f":{proxy.port}/")
        cut_off = fleet.start("a", "run", "acme")
        client.environ["S2S_FLEET"] = direct
        fleet.wait(lambda: client.posted() >= 14, cut_off)
        proxy.silence()
        time.sleep(LEASE_SECONDS + 0.5)
        client.sandbox.faults.clear()
        client.sql("update item set price = '7'")
        fleet.run("b", "run", "acme")
        posted = client.posted()
        proxy.speak()
        assert "took acme over" in fleet.end(cut_off, code=75)
    assert client.posted() == posted
    assert prices(client) == {f"I{number:03}": 7.0 for number in range(40)}


def test_nobody_sends_while_postgresql_is_away(fleet: Fleet) -> None:
    """A run that cannot say what it is about to send ends; afterwards the rest goes, one batch of it twice."""
    client = fleet.client
    client.write(remote=BATCHES, settings="max_changes = 100\nmax_deletes = 100")
    client.items(40)
    client.sandbox.faults.latency = 0.1
    process = fleet.start("a", "run", "acme")
    fleet.wait(lambda: client.posted() >= 14, process)
    fleet.postgres.stop()
    try:
        assert "PostgreSQL is away" in fleet.end(process, code=1)
        assert client.posted() <= 14 + 7
        client.sandbox.faults.clear()
        assert "PostgreSQL is away" in fleet.run("b", "run", "acme", code=1)
    finally:
        fleet.postgres.start()
    time.sleep(LEASE_SECONDS)
    fleet.run("b", "run", "acme")
    assert prices(client) == {f"I{number:03}": 100.0 for number in range(40)}
    assert client.posted() <= 40 + 7
