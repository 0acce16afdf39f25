"""The properties that always hold, each from the outside: a client's database here, Stock2Shop there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from support.client import VIEW, Client

from engine.clock import Deadline, now
from engine.database.duckdb_file import DuckDbSource
from engine.embedded import connect_duckdb
from engine.errors import (
    AccountingError,
    CancelledError,
    GuardError,
    StateError,
    StateLockedError,
    StateMemoryError,
    UnavailableError,
    ViewError,
)
from engine.mapping.engine_sql import render_sql
from engine.state.store import DUCKDB_SETTINGS, State, open_state
from engine.stock2shop import delivery as send
from engine.sync import fingerprints, history, layout, report
from engine.sync import pipeline as sync
from engine.sync.adopt import adopt, verify
from engine.sync.clearing import find_unclearable
from engine.sync.compare import compare
from engine.sync.context import RunContext
from engine.sync.diff import diff_columns
from engine.sync.journal import Receipt, acknowledge_all, mark_in_flight, record_receipt
from engine.sync.layout import Window
from engine.sync.runs import begin_run, prune_history
from engine.sync.stage import load_window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.database.arrow import BatchResult


def test_a_first_run_sends_everything_that_is_sound(client: Client) -> None:
    """Every sound row arrives, in Stock2Shop's own shape."""
    client.item("A", price="12.50", tags="b,a")
    client.shirt("S", "M", "L")
    client.run()
    held = client.held()
    assert sorted(held) == ["A", "S-L", "S-M"]
    assert held["A"]["price"] == 12.5
    assert held["S-M"]["option1"] == "M"


def test_an_unchanged_source_sends_nothing(client: Client) -> None:
    """Property 7: the second run posts no item."""
    client.item("A")
    client.shirt("S", "M", "L")
    client.run()
    before = client.posted()
    outcome = client.run()
    assert outcome.sent == 0
    assert client.posted() == before


def test_only_the_variant_that_changed_is_sent(client: Client) -> None:
    """A new price of one of four items is one item on the wire, with old and new in the plan."""
    for code in "ABCD":
        client.item(code)
    client.run()
    before = client.posted()
    client.sql("update item set price = '120.00' where code = 'C'")
    (change,) = client.plan().changes
    assert (change.key, change.kind, change.columns) == ("C", "update", (("csv_price_tiers", "100", "120"),))
    client.run()
    assert client.posted() - before == 1
    assert client.held()["C"]["price"] == 120


def test_published_advances_only_with_a_receipt(client: Client) -> None:
    """Property 1: what was not acknowledged is planned again."""
    client.item("A")
    client.sandbox.faults.server_errors(1000)
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()
    assert [change.key for change in client.plan().changes] == ["A"]
    client.run()
    assert client.plan().changes == ()


def test_a_batch_that_was_taken_but_not_answered_is_sent_again_harmlessly(client: Client) -> None:
    """Property 1: delivery is at least once, and Stock2Shop upserts."""
    client.item("A")
    client.sandbox.faults.drop_after(1)
    client.run()
    assert sorted(client.held()) == ["A"]
    assert client.plan().changes == ()


def test_a_receipt_is_recorded_whole_or_not_at_all(client: Client) -> None:
    """Property 1: published and history never differ over a batch, wherever its recording breaks off."""
    client.item("A")
    with open_state(client.project.state) as state:
        context = RunContext(state=state, project=client.project, entity="products", ask_sync_token=lambda: "0")
        work = compare(context)
        layout = work.staged.layout
        window, receipt = Window(0, 1), Receipt(run_id=1, delivery_key="0", status=10**10)
        load_window(state, layout, window)
        with pytest.raises(StateError):
            record_receipt(state, layout, window, kinds={"insert"}, ends_doubt=False, receipt=receipt)
        assert state.value(render_sql("count.sql", table=layout.acknowledged)) == 0
    assert [change.key for change in client.plan().changes] == ["A"]


def unanswered(client: Client, codes: str) -> None:
    """Have Stock2Shop take an item for each letter, and drop the connection before it answers."""
    for code in codes:
        client.item(code)
    client.sandbox.faults.drop_after(2)
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()


def test_a_row_that_left_the_source_before_it_was_acknowledged_is_removed(client: Client) -> None:
    """Stock2Shop took it and the answer was lost: nothing of it may stay behind."""
    unanswered(client, "AB")
    client.sql("delete from item where code = 'B'")
    plan = client.plan()
    assert [(change.key, change.kind) for change in plan.changes] == [("B", "delete"), ("A", "insert")]
    assert plan.counts.balanced
    client.run()
    assert sorted(client.held()) == ["A"]
    assert client.run().sent == 0


def at_batch(number: int, fault: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``fault`` happen when that batch of a run is about to be sent."""
    batches = count(1)

    def mark(state: State, **batch: Any) -> None:
        mark_in_flight(state, **batch)
        if next(batches) == number:
            fault()

    monkeypatch.setattr("engine.sync.dispatch.mark_in_flight", mark)


def test_what_was_never_answered_is_not_forgotten_by_the_batches_of_later_runs(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that comes no further than to try something else leaves the removal to the next one."""
    unanswered(client, "AB")
    client.sql("delete from item where code = 'B'")
    at_batch(1, lambda: client.sandbox.faults.drop_before(2), monkeypatch)
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()
    client.run()
    assert sorted(client.held()) == ["A"]


def test_a_row_that_was_created_anew_but_not_acknowledged_is_removed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moved to another product: its removal was acknowledged, what came after it was not, and then it left."""
    client.item("A", product="P")
    client.run()
    client.sql("update item set product = 'Q' where code = 'A'")
    assert [change.kind for change in client.plan().changes] == ["delete", "insert"]
    at_batch(2, lambda: client.sandbox.faults.drop_after(2), monkeypatch)
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()
    assert sorted(client.held()) == ["A"]
    client.sql("delete from item where code = 'A'")
    client.item("B")
    client.run(approve_deletes=1)
    assert sorted(client.held()) == ["B"]


def test_what_was_acknowledged_is_not_taken_for_tried(client: Client) -> None:
    """Its removal, later on, is sent once and no more."""
    unanswered(client, "AB")
    client.run()
    client.sql("delete from item where code = 'B'")
    assert client.run(approve_deletes=1).sent == 1
    assert client.run().sent == 0
    with open_state(client.project.state) as state:
        assert state.rows("select key from in_doubt") == []


def test_a_row_that_is_still_there_is_only_sent_again(client: Client) -> None:
    """Also where it is quarantined or ignored by then: that is not gone."""
    unanswered(client, "ABC")
    client.sql("update item set qty = 'many' where code = 'B'", "update item set active = '' where code = 'C'")
    assert [(change.key, change.kind) for change in client.plan().changes] == [("A", "insert")]
    client.run()
    client.sql("update item set qty = '5', active = 'Yes'")
    assert client.run().sent == 2
    assert client.plan().changes == ()


def test_a_refused_row_that_leaves_the_source_is_forgotten(client: Client) -> None:
    """Stock2Shop never held it, so there is nothing to remove."""
    client.item("A")
    client.item("B")
    client.sandbox.faults.refuse_sku("B")
    client.run()
    client.sql("delete from item where code = 'B'")
    assert client.plan().changes == ()


def test_every_row_is_accounted_for(client: Client) -> None:
    """Property 2: source rows = unchanged + changed + ignored + quarantined, and keys gone are too."""
    client.item("A")
    client.item("B")
    client.item("I", active="")
    client.item("Q", title=None)
    client.item("D", active="Delete")
    client.run()
    client.sql("delete from item where code = 'B'", "update item set qty = '7' where code = 'A'")
    client.item("N")
    counts = client.plan().counts
    assert counts.balanced
    assert (counts.source, counts.updates, counts.inserts, counts.ignored, counts.quarantined) == (5, 1, 1, 1, 1)
    assert (counts.missing, counts.deleted, counts.unchanged) == (1, 1, 1)


def test_a_key_that_is_gone_and_unaccounted_for_is_noticed(client: Client) -> None:
    """Property 2: the keys that are gone are a sum of their own."""
    client.item("A")
    counts = client.plan().counts
    assert counts.balanced
    assert not replace(counts, missing=1).balanced
    assert not replace(counts, source=2).balanced


def test_rows_that_do_not_add_up_stop_the_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Property 2: a sum that is off sends nothing."""
    client.item("A")
    monkeypatch.setattr("engine.model.plan.Counts.balanced", False)
    with pytest.raises(AccountingError):
        client.run()
    assert client.held() == {}


def test_a_row_that_comes_to_break_a_rule_is_not_removed(client: Client) -> None:
    """Property 3: quarantined is not missing."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set title = null where code = 'A'")
    outcome = client.run()
    assert outcome.plan.counts.deletes == 0
    assert sorted(client.held()) == ["A", "B"]
    assert outcome.plan.quarantine[0].key == "A"


def test_a_row_that_is_marked_ignore_is_neither_sent_nor_removed(client: Client) -> None:
    """Property 3: Ignore leaves Stock2Shop as it is."""
    client.item("A")
    client.run()
    client.sql("update item set active = 'Ignore', price = '1' where code = 'A'")
    assert client.run().sent == 0
    assert client.held()["A"]["price"] == 100
    assert client.run().sent == 0


def test_an_ignored_row_that_is_published_stays_when_others_change(client: Client) -> None:
    """Property 3: being settled by its flag is not being gone."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set active = 'Ignore' where code = 'A'")
    client.run()
    client.sql("update item set price = '7' where code = 'B'")
    assert client.run().plan.counts.missing == 0
    assert sorted(client.held()) == ["A", "B"]


def test_an_empty_extract_removes_nothing(client: Client) -> None:
    """Property 3: no rows at all is a fault, not a delisting."""
    for code in "ABC":
        client.item(code)
    client.run()
    client.sql("delete from item")
    with pytest.raises(GuardError, match="0 rows"):
        client.run()
    assert sorted(client.held()) == ["A", "B", "C"]


def test_a_code_that_turns_blank_removes_nothing(client: Client) -> None:
    """Property 3: a key that cannot be read might be any key that is gone."""
    for code in "ABC":
        client.item(code)
    client.run()
    client.sql("update item set code = ' ' where code = 'B'")
    assert client.run().plan.counts.withheld == 1
    assert client.run().plan.counts.withheld == 1
    assert sorted(client.held()) == ["A", "B", "C"]
    client.sql("delete from item where code = ' '")
    client.run()
    assert sorted(client.held()) == ["A", "C"]


@pytest.mark.parametrize("flag", ["Active", "Ignore"])
def test_an_adopted_item_is_held_whose_row_lost_its_code_before(client: Client, flag: str) -> None:
    """The state had not known the item when the row was first read without a code."""
    for code in "ABC":
        client.item(code)
    client.run()
    client.project.state.unlink()
    client.sql(f"update item set code = ' ', active = '{flag}' where code = 'B'")
    client.run()
    adopt(client.project, "products")
    for _ in range(2):
        assert client.run().plan.counts.withheld == 1
    assert sorted(client.held()) == ["A", "B", "C"]
    client.sql("delete from item where code = ' '")
    client.run()
    assert sorted(client.held()) == ["A", "C"]


def test_an_item_that_is_delisted_is_removed_beside_an_old_blank_row(client: Client) -> None:
    """A row without a code that was always there does not hold every delete."""
    for code in "ABC":
        client.item(code)
    client.item("", sku="X")
    client.run()
    client.sql("delete from item where code = 'B'")
    client.run()
    assert sorted(client.held()) == ["A", "C"]


@pytest.mark.parametrize("full", [False, True])
def test_an_ignored_row_whose_code_turns_blank_stays_as_it_is(client: Client, *, full: bool) -> None:
    """Nobody can tell which item it was, and Ignore means that Stock2Shop keeps it; a sound row is not held back."""
    for code in "ABC":
        client.item(code)
    client.run()
    client.sql("update item set code = ' ', active = 'Ignore' where code = 'B'")
    (note,) = client.plan(full=full).notes
    assert note.startswith(
        "1 key of those that are missing from the source may be the key of a row whose code is blank."
    )
    for _ in range(2):
        assert client.run(full=full).plan.counts.withheld == 1
    client.sql("update item set price = '7' where code = 'A'", "delete from item where code = 'C'")
    client.run(full=full)
    assert sorted(client.held()) == ["A", "B"]
    client.sql("update item set price = '8' where code = ' '")
    client.run(full=full)
    assert sorted(client.held()) == ["A", "B"]
    client.sql("delete from item where code = ' '")
    client.run(full=full, approve_deletes=1)
    assert sorted(client.held()) == ["A"]


def test_an_item_that_is_delisted_is_removed_beside_an_old_ignored_row_without_a_code(client: Client) -> None:
    """Such rows are common in an ERP; they must not hold every delete."""
    for code in "ABC":
        client.item(code)
    client.item("", sku="X", active="Ignore")
    client.run()
    client.sql("delete from item where code = 'B'")
    client.run()
    assert sorted(client.held()) == ["A", "C"]


def test_a_view_that_writes_is_refused(client: Client) -> None:
    """Property 5: the way out only reads."""
    client.item("A")
    client.write(view="delete from item")
    with pytest.raises(ViewError):
        client.run()
    client.write()
    assert client.plan().counts.source == 1


def test_mass_deletes_stop_before_anything_is_sent(client: Client) -> None:
    """Property 6: the guard names the command that goes on."""
    client.items(100)
    client.run()
    client.sql("delete from item where code >= 'I050'", "update item set price = '1' where code = 'I000'")
    before = client.posted()
    with pytest.raises(GuardError) as stopped:
        client.run()
    assert "--approve-deletes 50" in stopped.value.hint
    assert client.posted() == before
    client.run(approve_deletes=50)
    assert len(client.held()) == 50


def test_a_mass_of_delete_flags_stops_before_anything_is_sent(client: Client) -> None:
    """Property 6: a flag that was set on everything removes as much as rows that are gone."""
    client.items(100)
    client.run()
    client.sql("update item set active = 'Delete' where code >= 'I050'")
    with pytest.raises(GuardError, match="50 of 100"):
        client.run()
    assert len(client.held()) == 100


def test_an_approval_is_a_ceiling(client: Client) -> None:
    """Property 6: one row more than was approved, and nothing is sent."""
    client.items(300)
    client.run()
    client.sql("delete from item where code >= 'I250'")
    with pytest.raises(GuardError, match="max_deletes allows 49"):
        client.run(approve_deletes=49)
    client.run(approve_deletes=50)
    client.sql("update item set price = '1'")
    with pytest.raises(GuardError, match="max_changes allows 249"):
        client.run(approve_changes=249)
    assert client.run(approve_changes=250).sent == 250


def test_an_approved_plan_is_approved_with_its_values(client: Client) -> None:
    """Property 6: the same keys with other prices are another plan."""
    client.item("A")
    client.run()
    client.sql("update item set price = '110'")
    digest = client.plan().digest
    client.sql("update item set price = '11'")
    with pytest.raises(GuardError, match="the source changed since"):
        client.run(expect=digest)
    assert client.held()["A"]["price"] == 100


def test_what_a_run_that_was_cut_short_had_left_goes_on_by_itself(client: Client) -> None:
    """Property 6: it was allowed already; what came up in the meantime was not."""
    client.write(remote="pace = 0\nbatch_variants = 100")
    client.items(300)
    stop = threading.Event()

    def progress(step: str, _done: int, _total: int | None) -> None:
        if step == "sending":
            stop.set()

    with pytest.raises(CancelledError):
        sync.run(client.project, "products", cancel=stop, progress=progress)
    assert len(client.held()) == 100
    client.sql(
        "insert into item (product, code, title, active, price, qty, sku) select c, c, c, 'Yes', '1', '5', c"
        " from (select printf('N%03d', n) as c from range(101) as numbers(n))"
    )
    with pytest.raises(GuardError, match="max_changes allows 300"):
        client.run()
    client.sql("delete from item where code = 'N100'")
    assert client.run().sent == 300


def test_an_approval_holds_for_its_plan_only(client: Client) -> None:
    """Property 6: the digest approves this plan, and no other."""
    client.items(100)
    client.run()
    client.sql("delete from item where code >= 'I050'")
    digest = client.plan().digest
    client.sql("delete from item where code >= 'I040'")
    with pytest.raises(GuardError):
        client.run(expect=digest)
    assert len(client.held()) == 100
    client.run(expect=client.plan().digest)
    assert len(client.held()) == 40


def test_mass_changes_stop_before_anything_is_sent(client: Client) -> None:
    """Property 6: a price list that went wrong for every item is looked at first."""
    client.items(300)
    client.run()
    client.sql("update item set price = '1'")
    with pytest.raises(GuardError) as stopped:
        client.run()
    assert "--approve-changes 300" in stopped.value.hint
    assert client.run(approve_changes=300).sent == 300


def test_missing_keys_are_kept_where_the_project_says_so(client: Client) -> None:
    """``missing = "keep"`` sends no delete, and says how many are kept."""
    client.write(settings='missing = "keep"')
    client.item("A")
    client.item("B")
    client.run()
    client.sql("delete from item where code = 'B'")
    assert client.run().plan.counts.retained == 1
    assert sorted(client.held()) == ["A", "B"]


def test_a_row_marked_delete_is_sent_once(client: Client) -> None:
    """Delete removes, and is remembered."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set active = 'Delete' where code = 'A'")
    assert client.run().plan.counts.flagged_delete == 1
    assert sorted(client.held()) == ["B"]
    assert client.run().sent == 0
    client.sql("update item set title = 'Renamed' where code = 'A'")
    assert client.run().sent == 0


def test_a_variant_that_moves_and_is_marked_delete_is_removed_where_it_was(client: Client) -> None:
    """Stock2Shop knows it under its old product's code."""
    client.shirt("S", "M", "L")
    client.run()
    client.sql("update item set product = 'T', active = 'Delete' where code = 'S-L'")
    assert [(change.kind, change.group) for change in client.plan().changes] == [("delete", "S")]
    client.run()
    assert sorted(client.held()) == ["S-M"]
    assert client.run().sent == 0


def test_a_refused_row_does_not_hold_the_others(client: Client) -> None:
    """A refused batch is halved until the bad row is alone; it is not sent again until it changes."""
    for number in range(20):
        client.item(f"I{number:02}")
    client.sandbox.faults.refuse_sku("I07")
    outcome = client.run()
    assert (outcome.sent, outcome.refused, outcome.outcome) == (19, 1, "attention")
    before = client.posted()
    assert client.run().sent == 0
    assert client.posted() == before
    client.sandbox.faults.clear()
    client.sql("update item set price = '2' where code = 'I07'")
    assert client.run().sent == 1


def test_a_batch_of_long_descriptions_is_parted_between_products(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is larger than a server takes, and no product is torn apart for that."""
    monkeypatch.setattr(send, "MAX_BODY_BYTES", 8_000)
    for product in ("R", "S", "T"):
        client.shirt(product, "M", "L", html="<p>é</p>" * 300)
    client.item("Z", html="<p>é</p>" * 2_000)
    client.run()
    assert sorted(client.held()) == ["R-L", "R-M", "S-L", "S-M", "T-L", "T-M", "Z"]
    bodies = [request.body or b"" for request in client.sandbox.requests if request.path.endswith("/products/queue")]
    sent = [[item["source"]["source_product_code"] for item in json.loads(body)["system_products"]] for body in bodies]
    assert sent == [["R", "R"], ["S", "S"], ["T", "T"], ["Z"]]
    assert [len(body) > 8_000 for body in bodies] == [False, False, False, True]


def test_a_product_of_more_variants_than_a_batch_holds_is_sent_whole_all_the_same(client: Client) -> None:
    """In more than one request, none of which is too large."""
    client.write(remote="pace = 0\nbatch_variants = 5")
    client.item("A")
    client.shirt("S", *(f"{number:02}" for number in range(12)))
    client.item("Z")
    client.run()
    items = [request.items for request in client.sandbox.requests if request.path.endswith("/products/queue")]
    assert len(client.held()) == 14
    assert (max(items), sum(items)) == (5, 14)
    assert client.run().sent == 0


def test_a_run_that_could_not_send_all_says_how_much_of_it(client: Client) -> None:
    """That nothing was acknowledged is not that there was nothing to send."""
    for code in "ABC":
        client.item(code)
    client.sandbox.faults.refuse_sku("A", "B", "C")
    assert "0 of 3 acknowledged (3 new)" in report.outcome_text(client.run())
    client.item("D")
    client.item("E")
    client.sandbox.faults.refuse_sku("E")
    assert "1 of 2 acknowledged (2 new)" in report.outcome_text(client.run())
    assert "nothing to send" in report.outcome_text(client.run())


def test_a_refused_row_is_sent_again_when_somebody_asks(client: Client) -> None:
    """``quarantine retry`` lets the next run send the row as it is."""
    for code in "ABC":
        client.item(code)
    client.sandbox.faults.refuse_sku("B")
    client.run()
    client.sandbox.faults.clear()
    with open_state(client.project.state) as state:
        assert history.retry(state, keys=("B",)) == 1
    client.run()
    assert sorted(client.held()) == ["A", "B", "C"]


@pytest.mark.parametrize("bad", ["I000", "I07", "I19"])
def test_a_row_that_breaks_stock2shop_does_not_hold_up_the_others(client: Client, bad: str) -> None:
    """A batch that is always answered with 500 is halved too, wherever the row stands in it."""
    for number in range(20):
        client.item(f"I{number:02}")
    client.item("I000")
    client.sandbox.faults.break_on_sku(bad)
    outcome = client.run()
    assert (outcome.sent, outcome.refused) == (20, 1)
    assert bad not in client.held()
    with open_state(client.project.state) as state:
        (held,) = history.quarantine(state)
    assert (held["key"], "500" in held["reason"]) == (bad, True)
    assert client.run().sent == 0


def test_no_row_is_blamed_while_stock2shop_answers_500_to_everything(client: Client) -> None:
    """It is broken then, whatever it is sent; the next run sends all of it."""
    client.items(30)
    client.sandbox.faults.break_on_sku(*(f"I{number:03}" for number in range(30)))
    with pytest.raises(UnavailableError, match="500"):
        client.run()
    client.sandbox.faults.clear()
    assert client.run().sent == 30


class _Once(set[str]):
    """SKUs, each of which is found here once."""

    def __contains__(self, sku: object) -> bool:
        found = super().__contains__(sku)
        self.discard(str(sku))
        return found


def test_a_row_is_not_blamed_for_a_single_500(client: Client) -> None:
    """However few retries the project allows: it is tried again first, and here nothing is wrong with it."""
    client.write(remote="pace = 0\nbatch_variants = 1")
    settings = client.root / "project.toml"
    settings.write_text(settings.read_text("utf-8").replace("retries = 1", "retries = 0"), "utf-8")
    client.items(3)
    client.sandbox.faults.breaking_skus = _Once({"I001"})
    outcome = client.run()
    assert (outcome.sent, outcome.refused, outcome.outcome) == (3, 0, "done")


def test_a_row_alone_with_a_500_fails_no_more_than_a_few_runs(client: Client) -> None:
    """With nothing else to send nobody can tell whose fault it is; after five runs it is taken for the row's."""
    client.item("A")
    client.item("B")
    client.run()
    client.sandbox.faults.break_on_sku("B")
    client.sql("update item set price = '2' where code = 'B'")
    for _ in range(4):
        with pytest.raises(UnavailableError, match="500"):
            client.run()
    assert client.run().refused == 1
    assert client.run().outcome == "attention"
    client.sql("update item set price = '3' where code = 'B'")
    with pytest.raises(UnavailableError, match="500"):
        client.run()


def test_a_removal_that_is_refused_is_not_tried_on_each_run(client: Client) -> None:
    """Nor is it lost: it stands in quarantine until somebody asks for it again."""
    client.item("A")
    client.item("B")
    client.run()
    client.sandbox.faults.refuse_sku("B")
    client.sql("delete from item where code = 'B'")
    assert client.run().refused == 1
    before = client.posted()
    outcome = client.run()
    assert (outcome.plan.counts.missing_refused, outcome.outcome, client.posted()) == (1, "attention", before)
    client.sandbox.faults.clear()
    with open_state(client.project.state) as state:
        history.retry(state, keys=("B",))
    client.run()
    assert sorted(client.held()) == ["A"]


def test_a_changed_sync_token_sends_everything_again(client: Client) -> None:
    """The plan announces the full resend; guards do not stand in its way."""
    client.items(150)
    client.run()
    client.sandbox.set_sync_token(57, "9")
    plan = client.plan()
    assert plan.counts.resends == 150
    assert any("sync token" in note for note in plan.notes)
    assert client.run().sent == 150
    assert client.run().sent == 0


def test_another_tier_for_the_default_price_sends_the_rows_again(client: Client) -> None:
    """No row changed, but what is sent of it did; once, and what is adopted counts as sent under the tier."""
    client.item("A", price=None, trade="80")
    client.item("B", price="100", trade="90")
    client.run()
    client.write(settings='default_price_tier = "Trade"')
    plan = client.plan()
    assert plan.counts.resends == 2
    assert any("default_price_tier" in note for note in plan.notes)
    client.run()
    assert client.held()["A"]["price"] == 80
    assert client.plan().counts.changed == 0


def test_a_variant_that_moves_leaves_its_old_product_first(client: Client) -> None:
    """A changed product code is a delete of the old and an insert of the new."""
    client.shirt("S", "M", "L")
    client.shirt("T", "M")
    client.run()
    client.sql("update item set product = 'T', title = 'Shirt T' where code = 'S-L'")
    assert [(c.kind, c.group) for c in client.plan().changes] == [("delete", "S"), ("insert", "T")]
    client.run()
    assert client.held()["S-L"]["source_product_code"] == "T"
    assert client.run().sent == 0


def test_a_simple_product_that_turns_variable_is_removed_and_created_anew(client: Client) -> None:
    """Stock2Shop's help asks for it: a product's type must not change while it is active."""
    client.item("A")
    client.run()
    client.sql("update item set size = 'M'")
    plan = client.plan()
    assert [(change.kind, change.cause) for change in plan.changes] == [("delete", "replaced"), ("insert", "replaced")]
    assert plan.counts.removals == 0
    client.run()
    assert client.held()["A"]["option1"] == "M"
    assert client.run().sent == 0


def test_a_new_column_sends_only_rows_that_have_a_value(client: Client) -> None:
    """Mapping one more field is no reason to send what has none."""
    client.write(view=VIEW.replace("    vendor,\n", ""))
    client.item("A", vendor="Kudu")
    client.item("B")
    client.run()
    client.write()
    assert [change.key for change in client.plan().changes] == ["A"]


def test_a_dropped_column_sends_nothing(client: Client) -> None:
    """The fingerprint's definition changes; the rows did not."""
    client.item("A", vendor="Kudu")
    client.run()
    client.write(view=VIEW.replace("    vendor,\n", ""))
    assert client.run().sent == 0
    client.write()
    assert client.run().sent == 0


def test_the_same_row_twice_is_quarantined_and_not_sent(client: Client) -> None:
    """A join that fans out repeats keys; also when nothing else changed."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("insert into item select * from item where code = 'B'")
    plan = client.plan()
    counts = plan.counts
    assert (counts.quarantined, counts.unchanged, counts.deletes) == (2, 1, 0)
    assert "…" not in report.plan_text(plan)
    client.run()
    client.sql("delete from item where code = 'B'")
    client.item("B")
    assert client.run().plan.counts.quarantined == 0


def test_where_variants_differ_the_lowest_code_speaks_for_the_product(client: Client) -> None:
    """Nothing flaps, and no variant is sent for a sibling's sake."""
    client.shirt("S", "A", "B")
    client.sql("update item set title = 'Other' where code = 'S-B'")
    outcome = client.run()
    assert outcome.plan.warning_rules == {"differs_within_product": 2}
    assert client.held()["S-B"]["title"] == "Shirt S"
    assert client.run().sent == 0
    client.sql("update item set qty = '9' where code = 'S-B'")
    assert client.run().sent == 1
    assert client.held()["S-B"]["title"] == "Shirt S"


def test_variants_that_differ_in_a_field_of_their_product_are_no_drift(client: Client) -> None:
    """Stock2Shop holds one title for all of them; another one than any of theirs is drift."""
    client.shirt("S", "A", "B", "C")
    client.sql("update item set title = 'Other', html = '<b>B</b>' where code = 'S-B'")
    client.run()
    assert verify(client.project, "products") == ()
    client.sandbox.change(57, "S-A", title="Typed in the console")
    assert {(drift.key, drift.column) for drift in verify(client.project, "products", repair=True)} == {
        (key, "title") for key in ("S-A", "S-B", "S-C")
    }
    assert client.run().sent == 3
    assert verify(client.project, "products") == ()
    assert client.held()["S-B"]["title"] == "Shirt S"


def test_a_plan_keeps_and_sends_nothing(client: Client) -> None:
    """Planning twice says the same twice."""
    client.item("A")
    assert client.plan().digest == client.plan().digest
    assert client.held() == {}
    assert client.run().sent == 1


def test_a_deadline_stops_between_batches_and_the_next_run_goes_on(client: Client) -> None:
    """What is left is sent by the next run."""
    client.write(remote="batch_variants = 1\npace = 4\n")
    for number in range(30):
        client.item(f"I{number:02}")
    outcome = client.run(deadline=Deadline.after(4))
    assert outcome.outcome == "stopped"
    assert f"{30 - outcome.sent} changes left" in outcome.message
    client.write()
    assert client.run().sent == 30 - outcome.sent


def test_history_tells_what_was_acknowledged(client: Client) -> None:
    """Each acknowledged change is kept with its columns, old and new."""
    client.item("A")
    client.run()
    client.sql("update item set qty = '8'")
    client.run()
    with open_state(client.project.state) as state:
        told = history.changes(state, limit=10, key="A")
    assert [entry["kind"] for entry in told] == ["update", "insert"]
    assert told[0]["columns"] == [{"column": "variants.qty", "old": "5", "new": "8"}]


def test_a_run_that_was_killed_is_told_as_broken_off(client: Client) -> None:
    """Whoever reads history holds the state, so nothing can be running."""
    with open_state(client.project.state) as state:
        begin_run(state, entity="products", command="run")
    with open_state(client.project.state) as state:
        assert [run["outcome"] for run in history.runs(state, limit=1)] == ["broken off"]


def test_a_run_that_the_deadline_stopped_wants_attention_for_what_is_quarantined(client: Client) -> None:
    """As one that came to its end does."""
    client.item("A")
    assert not replace(client.run(), outcome="stopped").needs_attention
    client.item("Q", title=None)
    assert replace(client.run(), outcome="stopped").needs_attention


def test_what_is_old_is_forgotten_but_for_what_still_stands(client: Client) -> None:
    """History and resolved quarantine go after ``keep_days``; published and what is quarantined still do not."""
    client.item("A")
    client.item("Q", title=None)
    client.item("R", title=None)
    client.run()
    client.sql("update item set title = 'Mended' where code = 'R'")
    client.run()
    with open_state(client.project.state) as state:
        for table, column in (("runs", "started_at"), ("changes", "acknowledged_at"), ("quarantine", "first_seen_at")):
            state.run(f"update {table} set {column} = {column} - interval 91 day")
        state.run("update quarantine set resolved_at = resolved_at - interval 91 day")
        prune_history(state, keep_days=90)
        assert len(history.runs(state, limit=9)) == 2
        state.set_meta("pruned_at", (now() - timedelta(days=1)).date().isoformat())
    client.run()
    with open_state(client.project.state) as state:
        assert [run["run_id"] for run in history.runs(state, limit=9)] == [3]
        assert history.changes(state, limit=9) == []
        assert [row["key"] for row in history.quarantine(state, resolved=True)] == ["Q"]
    assert client.plan().counts.unchanged == 2


class Starved:
    """A connection to DuckDB where every statement over a project's rows is out of memory at the first try."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, tried: set[str]) -> None:
        self.connection = connection
        self.tried = tried

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, statement: Any, *parameters: Any) -> duckdb.DuckDBPyConnection:
        """Run ``statement``, unless this is the first time that it is tried."""
        sql = str(getattr(statement, "query", statement))
        if re.search(r"run\.\w|_products\b", sql) and "attach" not in sql and sql not in self.tried:
            self.tried.add(sql)
            raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block")
        return self.connection.execute(statement, *parameters)


def test_whatever_needs_more_memory_gets_it_and_nothing_is_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view may have grown since the last run: each step is done again with more memory, and goes out once.

    The source is read once by each run, whatever it needs.
    """
    tried: set[str] = set()
    connect = connect_duckdb
    reads: list[str] = []
    read = DuckDbSource.read

    def counted(source: DuckDbSource, sql: str, *, pack: bool = False) -> BatchResult:
        reads.append(sql)
        return read(source, sql, pack=pack)

    monkeypatch.setattr(DuckDbSource, "read", counted)
    monkeypatch.setattr("engine.state.store.connect_duckdb", lambda *args, **kw: Starved(connect(*args, **kw), tried))
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["64MB"] * 1000)
    client.items(20)
    client.item("Q", title=None)
    client.run()
    client.sql("update item set price = '7' where code = 'I003'", "delete from item where code = 'I004'")
    outcome = client.run(approve_deletes=1)
    assert outcome.sent == 2
    assert len(reads) == 2
    assert client.posted() == 22
    assert len(client.held()) == 19
    steps = ["run.known", "into run.landed", "run.unmatched", "run.violation", "run.outgoing", "run.window_rows"]
    steps += ["into in_doubt", "into quarantine", 'into "acknowledged_products"', 'from "published_products"']
    assert [step for step in steps if not any(step in sql for sql in tried)] == []


def test_reading_back_gets_more_memory_where_it_needs_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """To verify and to adopt a catalogue takes what runs over it take."""
    client.items(20)
    client.run()
    tried: set[str] = set()
    connect = connect_duckdb
    monkeypatch.setattr("engine.state.store.connect_duckdb", lambda *args, **kw: Starved(connect(*args, **kw), tried))
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["64MB"] * 1000)
    assert verify(client.project, "products") == ()
    assert adopt(client.project, "products").published == 20
    assert [
        step for step in ("into run.landed", "run.remote", "run.drift") if not any(step in sql for sql in tried)
    ] == []


def test_a_removal_of_more_rows_than_fit_into_memory_is_made_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB does not take back what it deleted until then; also of a catalogue of millions, no run may get stuck."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["8MB", "300MB"])
    with open_state(tmp_path / "acme.duckdb") as state:
        state.run_with_retry("create table many as select range as n from range(1_000_000)")
        state.run("create table run.few as select 100 * range as n from range(10_000)")
        assert state.value("select current_setting('memory_limit')") == "7.6 MiB"
        state.transaction_with_retry(lambda: state.run("delete from many where n in (select n from run.few)"))
        assert state.value("select current_setting('memory_limit')") == "286.1 MiB"
        assert state.value("select count(*) from many") == 990_000


def test_a_run_in_which_every_row_changed_needs_no_more_memory_than_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices rise once a year, and then all rows differ: what is compared whole is compared a part at a time."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["40MB"])
    monkeypatch.setattr(State, "increase_memory_limit", lambda _: pytest.fail("more memory is asked for"))
    client.sql(
        "insert into item (product, code, title, active, price, qty, sku, barcode, html)"
        " select c, c, 'Item ' || c, 'Yes', '100.00', '5', c, '6' || c, repeat(md5(c), 22)"
        " from (select printf('I%05d', n) as c from range(60_000) as numbers(n))"
    )
    for changed in (60_000, 60_000, 0):
        with open_state(client.project.state) as state:
            context = RunContext(state=state, project=client.project, entity="products", ask_sync_token=lambda: "0")
            work = compare(context)
            assert work.counts.inserts + work.counts.updates == changed
            diff_columns(state, work.staged)
            acknowledge_all(state, work.staged, delivery_key=context.delivery_key)
        if changed:
            client.sql("update item set price = '7', barcode = '7' || code")


@pytest.mark.parametrize("part", [1, 7, 1_000])
def test_rows_that_were_compared_anew_are_known_again(
    client: Client, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Each of them, in however many parts that is written down: the next run reads past them."""
    monkeypatch.setattr("engine.sync.journal.REFRESH_ROWS", part)
    client.items(20)
    client.item("A", active="")
    client.run()
    assert client.run(full=True).sent == 0
    with open_state(client.project.state) as state:
        assert state.value("select count(*) from published_products where _raw is null") == 0
        compare(RunContext(state=state, project=client.project, entity="products", ask_sync_token=lambda: "0"))
        assert state.value("select count(*) from run.landed") == 0


def test_a_batch_leaves_nothing_in_memory_behind_it(client: Client) -> None:
    """DuckDB keeps handles of the parts of each join for a while: after thousands of batches that is tens of MB."""
    client.items(20)
    with open_state(client.project.state) as state:
        context = RunContext(state=state, project=client.project, entity="products", ask_sync_token=lambda: "0")
        work = compare(context)
        layout = work.staged.layout
        unclearable = find_unclearable(layout, work.settings)
        assert unclearable
        load_window(state, layout, Window(0, 20), unclearable=unclearable)
        values = {"after": 0, "upto": 10, "run_id": 1, "status": 200, "now": datetime(2026, 1, 1)}  # noqa: DTZ001 - as the state keeps it
        receipt = {"entity": "products", "fields": layout.fields, "carried": (), "delivery_key": "0"}

        def plans(kinds: set[str], *, ends_doubt: bool = False) -> str:
            scripts = (
                render_sql("mark_in_flight.sql", entity="products"),
                render_sql("receipt.sql", **layout.tables, **receipt, kinds=kinds, ends_doubt=ends_doubt),
            )
            statements = [one for script in scripts for one in script.split(";") if one.strip()]
            return str([state.rows(f"explain {statement}", values) for statement in statements]).lower()

        assert "join" in plans({"insert"}, ends_doubt=True)  # what an earlier run left is little
        assert "join" not in plans({"insert", "update", "resend", "delete"})


@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_what_is_known_is_recognised_in_however_many_parts_it_is_read(
    client: Client, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """What is known of a large catalogue lies on disk; rows that changed, came or went are seen in each part of it."""
    monkeypatch.setattr(fingerprints, "INDEX_BLOCK_ROWS", block)
    client.items(50)
    client.run()
    assert client.run().sent == 0
    client.sql("update item set price = '7' where code in ('I003', 'I049')")
    client.sql("delete from item where code in ('I000', 'I020')")
    client.item("N")
    counts = client.plan().counts
    assert counts.balanced
    assert (counts.inserts, counts.updates, counts.deletes, counts.unchanged) == (1, 2, 2, 46)


def test_a_disk_that_is_full_when_what_is_known_is_written_is_called_so(tmp_path: Path) -> None:
    """It is the same trouble as when rows land."""
    with open_state(tmp_path / "acme.duckdb") as state:
        (state.scratch / "blocks").symlink_to("/dev/full")
        with state.spill_file() as blocks, pytest.raises(StateError, match="The disk is full"):
            blocks.append(np.arange(1_000, dtype=np.uint64))


def test_a_state_that_another_took_when_it_was_opened_anew_is_called_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run folds what this one wrote."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["8MB", "300MB"])

    def taken(path: Path, **_: object) -> None:
        raise duckdb.IOException(
            f'Cannot open file "{path}": Could not set lock: Conflicting lock is held in x (PID 7)'
        )

    def short() -> None:
        monkeypatch.setattr("engine.state.store.connect_duckdb", taken)
        raise StateMemoryError("There is too little.")

    with pytest.raises(StateLockedError, match="process 7"), open_state(tmp_path / "acme.duckdb") as state:
        state.transaction_with_retry(short)


def test_the_state_is_its_owners_alone(client: Client) -> None:
    """Property 8: it holds what the client's database holds."""
    client.item("A")
    client.run()
    assert oct(client.project.state.stat().st_mode & 0o777) == "0o600"
    assert oct(client.project.state.parent.stat().st_mode & 0o777) == "0o700"


MUCH = f"create table filler ({', '.join(f'c{n} varchar' for n in range(25))});" + 60 * (
    f"insert into filler select {', '.join(f'md5({n} || range::varchar)' for n in range(25))} from range(1_000);"
)
"""About 50 MB: more than DuckDB may hold in memory at first."""


def test_what_a_run_wrote_is_in_the_state_when_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it was: else every run from then on would begin by reading the journal."""
    monkeypatch.setitem(DUCKDB_SETTINGS, "wal_autocheckpoint", "1GB")
    with open_state(tmp_path / "acme.duckdb") as state:
        state.run(MUCH)
    assert [path.name for path in tmp_path.iterdir()] == ["acme.duckdb"]


def test_a_run_that_was_killed_with_much_unwritten_is_gone_on_with(tmp_path: Path) -> None:
    """The journal that it left is more than may be held in memory."""
    path = tmp_path / "acme.duckdb"
    killed = f"""
import os
from pathlib import Path
from engine.state.store import DUCKDB_SETTINGS, open_state

DUCKDB_SETTINGS["wal_autocheckpoint"] = "1GB"
with open_state(Path({str(path)!r})) as state:
    state.run({MUCH!r})
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert (tmp_path / "acme.duckdb.wal").stat().st_size > 40_000_000
    with open_state(path) as state:
        assert state.value("select count(*) from filler") == 60_000


def test_the_same_plan_stands_behind_plan_and_run(client: Client) -> None:
    """Property: a plan never promises what a run does not do."""
    client.item("A")
    client.item("Q", price="1,5")
    planned = client.plan()
    ran = sync.run(client.project, "products").plan
    assert planned.digest == ran.digest
    assert planned.counts == ran.counts


def test_a_linked_source_removes_nothing_unless_told(client: Client) -> None:
    """Property 6: that it has no more to say of a product is no reason to remove what another source owns."""
    client.write(settings="linked = true")
    client.item("A")
    client.item("B")
    client.run()
    client.sql("delete from item where code = 'B'")
    assert client.plan().counts.retained == 1
    client.write(settings='linked = true\nmissing = "delete"')
    assert client.plan().counts.deleted == 1


@pytest.mark.parametrize("more", ["", ', qty as "qty_Shop"'])
def test_a_linked_source_may_map_little_more_than_its_codes(client: Client, more: str) -> None:
    """It enriches what another source owns, so no column but the codes is always there."""
    client.write(
        settings="linked = true",
        view=f"select product as source_product_code, code as source_variant_code{more} from item",
    )
    client.item("A")
    assert [(change.key, change.kind) for change in client.plan().changes] == [("A", "insert")]


def test_a_plan_counts_the_requests_that_the_run_makes(client: Client) -> None:
    """Also where there is nothing to send; removals have batches of their own."""
    client.write(remote="pace = 0\nbatch_variants = 2")
    client.items(5)
    assert (client.plan().batches, client.plan().requests) == (3, client.run().requests)
    client.sql("delete from item where code = 'I004'", "update item set price = '2' where code = 'I000'")
    assert (client.plan().batches, client.plan().requests) == (2, client.run().requests)
    assert (client.plan().batches, client.plan().requests) == (0, client.run().requests)


def test_a_product_that_fits_into_a_request_is_not_parted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few of the changes are counted at a time."""
    monkeypatch.setattr("engine.sync.compare.MAX_WINDOW_ROWS", 2)
    client.write(remote="pace = 0\nbatch_variants = 3")
    for code, product in {"A": "A", "B1": "B", "B2": "B", "B3": "B", "C1": "C", "C2": "C", "D": "D"}.items():
        client.item(code, product=product, title=product, size=code if product in "BC" else None)
    client.run()
    assert [each.items for each in client.sandbox.requests if each.path.endswith("/products/queue")] == [1, 3, 3]


@pytest.mark.parametrize(("rows", "size"), [(4, 40_000_000), (10_000, 1)], ids=["rows", "bytes"])
def test_more_changes_than_are_in_hand_at_a_time_are_all_sent_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    """Upserts and removals, also of a product that is parted by it; wide rows are in hand by fewer."""
    monkeypatch.setattr(layout, "MAX_WINDOW_ROWS", rows)
    monkeypatch.setattr(layout, "MAX_WINDOW_BYTES", size)
    client.write(remote="pace = 0\nbatch_variants = 3")
    client.items(20)
    for number in range(8):
        client.item(f"V{number}", product="ONE", title="One", size=f"S{number}")
    assert (client.run().sent, len(client.held())) == (28, 28)
    client.sql("delete from item where code >= 'V2'", "update item set price = '2' where product <> 'ONE'")
    assert client.run(approve_deletes=True, approve_changes=True).sent == 26
    assert {code: held["price"] for code, held in client.held().items()} == {
        **{f"I{number:03}": 2 for number in range(20)},
        "V0": 100,
        "V1": 100,
    }
    assert client.run().sent == 0


def test_a_delete_of_what_was_never_published_has_its_own_title_and_sku(client: Client) -> None:
    """Stock2Shop needs both, even to remove."""
    client.item("A", active="Delete", title="Own title", sku="S1")
    assert client.run().sent == 1
    (request,) = [each for each in client.sandbox.requests if each.path.endswith("/products/queue")]
    (item,) = json.loads(request.body or b"")["system_products"]
    assert item["source"]["product_active"] == "false"
    assert (item["product"]["title"], item["product"]["variants"]["sku"]) == ("Own title", "S1")
