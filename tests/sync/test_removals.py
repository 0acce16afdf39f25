"""Removals are limited over a day as well as in a run, and keys that come and go are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command import run_command
from support.output import read_result

from engine.errors import GuardError, SyncError
from engine.state.store import open_state
from engine.sync import history
from engine.sync.journal import mark_in_flight
from engine.sync.origin import rebind

if TYPE_CHECKING:
    from support.client import Client

    from engine.state.store import State


def remove(client: Client, count: int) -> None:
    """Take the first ``count`` items out of the source."""
    client.sql(
        f"delete from item where code in (select code from item where code like 'I%' order by code limit {count})"
    )


def a_day_passes(client: Client, *, hours: int = 25) -> None:
    """Let everything in history be a day older."""
    with open_state(client.project.state) as state:
        state.run(f"update changes set acknowledged_at = acknowledged_at - interval '{hours} hours'")


def test_a_source_that_loses_a_tenth_with_each_read_is_not_emptied(client: Client) -> None:
    """The second tenth within a day stops, and nothing more is removed."""
    client.items(100)
    client.run()
    remove(client, 10)
    assert client.run().sent == 10
    for _ in range(3):
        remove(client, 3)
        with pytest.raises(GuardError, match="max_deletes_per_day allows 10"):
            client.run()
    assert len(client.held()) == 90


def test_the_next_day_has_a_limit_of_its_own(client: Client) -> None:
    """A shop that drops a few items each day needs no approval."""
    client.items(100)
    client.run()
    for left in (90, 81, 73):
        remove(client, len(client.held()) - left)
        client.run()
        assert len(client.held()) == left
        a_day_passes(client)


@pytest.mark.parametrize(("ahead", "stops"), [(1, True), (23, True), (24 * 365, False)])
def test_a_clock_that_was_ahead_holds_up_removals_for_days_at_most(client: Client, ahead: int, *, stops: bool) -> None:
    """What was removed by a clock that is wrong by an hour still counts; by a year, it would count for a year."""
    client.items(100)
    client.run()
    remove(client, 10)
    client.run()
    a_day_passes(client, hours=-ahead)
    remove(client, 5)
    if stops:
        with pytest.raises(GuardError, match="after 10 of 100 within the last 24 hours"):
            client.run()
    else:
        assert client.run().sent == 5
        remove(client, 6)
        with pytest.raises(GuardError, match="after 5 of 90 within the last 24 hours"):
            client.run()


def test_an_approval_lets_more_go_within_a_day(client: Client) -> None:
    """By the command that the message gives."""
    client.items(100)
    client.run()
    remove(client, 10)
    client.run()
    remove(client, 5)
    with pytest.raises(GuardError) as stopped:
        client.run()
    assert "--approve-deletes 5" in stopped.value.hint
    assert client.run(approve_deletes=5).sent == 5


def test_a_project_may_allow_more_in_a_day_than_in_a_run(client: Client) -> None:
    """It says so in project.toml."""
    client.write(settings='max_deletes_per_day = "50%"')
    client.items(100)
    client.run()
    for left in (90, 81, 73):
        remove(client, len(client.held()) - left)
        client.run()
    assert len(client.held()) == 73


@pytest.mark.parametrize("limit", ["5", '"5%"', "0", '"0%"'])
def test_the_first_run_of_a_day_has_its_limit_too(client: Client, limit: str) -> None:
    """Where a day may remove less than a run: nothing needs to have been removed before."""
    client.write(settings=f"max_deletes = 50\nmax_deletes_per_day = {limit}")
    client.items(200)
    client.run()
    remove(client, 11)
    allowed = {'"5%"': 10}.get(limit, int(limit.strip('"%')))
    with pytest.raises(GuardError, match=f"after 0 of 200 within .*; max_deletes_per_day allows {allowed}"):
        client.run()
    client.run(approve_deletes=11)
    assert len(client.held()) == 189


def test_what_is_left_of_an_approval_counts_beside_the_limit_of_a_day(client: Client) -> None:
    """A run that goes on after it was interrupted may remove what any other may, and what was approved."""
    client.items(100)
    client.run()
    remove(client, 20)
    client.sandbox.faults.drop_after(2)
    with pytest.raises(SyncError):
        client.run(approve_deletes=20)
    remove(client, 5)
    assert client.run().sent == 25


def test_what_another_account_lost_is_not_removed_today(client: Client) -> None:
    """After `rebind --forget` the limit of a day is the new account's, and its items are no keys that came back."""
    client.items(100)
    client.run()
    remove(client, 10)
    client.run()
    with open_state(client.project.state) as state:
        rebind(state, client.project, forget=True)
    client.items(10)
    assert client.run().plan.notes == ()
    remove(client, 10)
    assert client.run().sent == 10


def test_a_plan_says_what_a_run_would_stop_at(client: Client) -> None:
    """With the numbers of the day."""
    client.items(100)
    client.run()
    remove(client, 10)
    client.run()
    remove(client, 1)
    (violation,) = client.plan().violations
    assert (violation.guard, violation.found, violation.allowed) == ("max_deletes_per_day", 11, 10)


def test_a_variant_that_moves_to_another_product_is_not_a_removal_of_the_day(client: Client) -> None:
    """It is removed and created again."""
    client.items(100)
    client.run()
    client.sql("update item set product = 'X' || code where code < 'I010'")
    client.run()
    remove(client, 9)
    assert client.run().sent == 9


@pytest.mark.parametrize("ends", ["with an error", "killed"])
def test_what_a_run_that_broke_off_took_away_to_move_it_is_not_a_removal_of_the_day(
    client: Client, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Nor what was flagged Delete and never there: what it was to remove is counted, and no more."""
    client.write(remote="pace = 0\nbatch_variants = 20")
    client.items(100)
    client.run()
    client.sql("update item set product = 'X' || code where code < 'I010'")
    for number in range(10):
        client.item(f"D{number}", active="Delete")

    def mark(state: State, **batch: Any) -> None:
        mark_in_flight(state, **batch)
        if len(client.held()) == 90:
            raise KeyboardInterrupt if ends == "killed" else SyncError("The machine is out of luck.")

    with monkeypatch.context() as patched:
        patched.setattr("engine.sync.dispatch.mark_in_flight", mark)
        with pytest.raises((SyncError, KeyboardInterrupt)):
            client.run()
    remove(client, 9)
    assert (client.run().plan.counts.removals, len(client.held())) == (9, 91)


def test_items_that_were_flagged_delete_and_never_there_are_not_removals_of_the_day(client: Client) -> None:
    """Their removal is sent once, to be sure, and nothing was lost by it."""
    client.items(100)
    client.run()
    for number in range(20):
        client.item(f"D{number:02}", active="Delete")
    assert client.run().sent == 20
    remove(client, 9)
    assert client.run().sent == 9


def test_keys_that_come_back_after_they_were_removed_are_named(client: Client) -> None:
    """With their number: a source that shows other rows with each read does this."""
    client.items(100)
    client.run()
    client.sql(
        "update item set code = '', product = '', active = 'Ignore' where code = 'I007'",
        "delete from item where code = 'I008'",
    )
    client.sql("delete from item where code = ''")
    client.run()
    client.item("I007")
    client.item("I008")
    client.item("NEW")
    (note,) = [note for note in client.plan().notes if "came back" in note]
    assert note.startswith("2 keys that were removed within the last 24 hours or 5 runs came back: I007, I008.")
    words = ("--log-format", "json", "run", "acme", "--output", "json")
    ran = run_command(*words, folder=client.workspace, variables=client.environment)
    assert json.loads(ran.stderr.splitlines()[-1])["returned"] == ["I007", "I008"]
    assert read_result(ran.stdout)[0]["extra"] == {"returned": ["I007", "I008"]}
    with open_state(client.project.state) as state:
        assert note in history.runs(state, limit=1)[0]["message"]


def test_keys_that_come_back_are_named_where_runs_are_seldom_too(client: Client) -> None:
    """Once a night: the night after is more than a day later. What was away for longer is news."""
    client.items(100)
    client.run()
    remove(client, 1)
    client.run()
    a_day_passes(client)
    client.item("I000")
    assert len([note for note in client.plan().notes if "came back" in note]) == 1
    client.sql("delete from item where code = 'I000'")
    for _ in range(5):
        client.run()
    client.item("I000")
    assert [note for note in client.plan().notes if "came back" in note] == []
