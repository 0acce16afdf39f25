"""What was sent and not answered is in doubt: whatever the source does next, Stock2Shop ends up as the source is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import GuardError, UnavailableError
from engine.state.store import open_state
from engine.sync import history
from engine.sync.adopt import adopt, verify
from engine.sync.journal import mark_in_flight

if TYPE_CHECKING:
    from support.client import Client

    from engine.state.store import State


def run_without_stock2shop(client: Client, monkeypatch: pytest.MonkeyPatch, **options: int) -> None:
    """Have Stock2Shop go away just before the first batch is sent, and come back after the run."""

    def mark(state: State, **batch: Any) -> None:
        mark_in_flight(state, **batch)
        client.sandbox.faults.drop_before(2)

    with monkeypatch.context() as patched:
        patched.setattr("engine.sync.dispatch.mark_in_flight", mark)
        with pytest.raises(UnavailableError):
            client.run(**options)
    client.sandbox.faults.clear()


def doubted(client: Client) -> list[str]:
    """The keys that are in doubt."""
    with open_state(client.project.state) as state:
        return [key for (key,) in state.rows("select distinct key from in_doubt order by key")]


@pytest.mark.parametrize("full", [False, True])
def test_an_update_that_was_not_answered_is_undone_when_the_source_goes_back(client: Client, *, full: bool) -> None:
    """Stock2Shop took the wrong price; the comparison alone would say that nothing changed."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set price = '0.01' where code = 'A'")
    client.run_unanswered()
    assert client.held()["A"]["price"] == 0.01
    client.sql("update item set price = '100.00' where code = 'A'")
    (change,) = client.plan(full=full).changes
    assert (change.key, change.kind, change.cause) == ("A", "resend", "in doubt")
    client.run(full=full)
    assert client.held()["A"]["price"] == 100
    assert (doubted(client), client.run().sent) == ([], 0)


@pytest.mark.parametrize(
    "gone", ["update item set active = 'Delete' where code = 'A'", "delete from item where code = 'A'"]
)
def test_a_removal_that_was_not_answered_is_undone_when_the_row_comes_back(client: Client, gone: str) -> None:
    """Flagged Delete or vanished: the item is for sale again."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("create table kept as select * from item where code = 'A'", gone)
    client.run_unanswered()
    assert sorted(client.held()) == ["B"]
    client.sql("delete from item where code = 'A'", "insert into item select * from kept")
    client.run()
    assert sorted(client.held()) == ["A", "B"]
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_removal_that_was_not_answered_is_sent_again(client: Client) -> None:
    """And it is counted once."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("delete from item where code = 'A'")
    client.run_unanswered()
    counts = client.plan().counts
    assert (counts.deletes, counts.removals, counts.published) == (1, 1, 2)
    assert client.run().sent == 1
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_first_load_that_was_not_answered_is_taken_away_from_its_old_product(client: Client) -> None:
    """Stock2Shop may hold the variant under the product code that it was sent with."""
    client.item("A", product="P")
    client.run_unanswered()
    client.sql("update item set product = 'Q'")
    assert [(change.kind, change.group) for change in client.plan().changes] == [("delete", "P"), ("insert", "Q")]
    client.run()
    assert client.held()["A"]["source_product_code"] == "Q"
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_move_that_was_not_answered_and_is_undone_ends_where_it_began(client: Client) -> None:
    """It was published under P, may be held under Q, and is P's again."""
    client.item("A", product="P")
    client.item("B")
    client.run()
    client.sql("update item set product = 'Q' where code = 'A'")
    client.sandbox.faults.drop_after(2)
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()
    client.sql("update item set product = 'P' where code = 'A'")
    client.run()
    assert client.held()["A"]["source_product_code"] == "P"
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_row_that_was_refused_is_not_in_doubt(client: Client) -> None:
    """Stock2Shop said that it did not take it."""
    client.item("A")
    client.item("B")
    client.sandbox.faults.refuse_sku("B")
    client.run()
    assert doubted(client) == []


def test_a_row_that_was_refused_is_sent_when_the_source_goes_back_to_what_is_in_doubt(client: Client) -> None:
    """Its first content may have been taken; its second was refused, and tells nothing of the first."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set price = '1' where code = 'A'")
    client.run_unanswered()
    client.sql("update item set price = '2' where code = 'A'")
    client.sandbox.faults.refuse_sku("A")
    client.run()
    client.sandbox.faults.clear()
    client.sql("update item set price = '100.00' where code = 'A'")
    client.run()
    assert client.held()["A"]["price"] == 100


def test_an_ignored_row_of_which_something_is_in_doubt_is_sent_once_it_is_active(client: Client) -> None:
    """Ignore means hands off, for as long as it stands."""
    client.item("A")
    client.item("B")
    client.run()
    client.sql("update item set price = '0.01' where code = 'A'")
    client.run_unanswered()
    client.sql("update item set price = '100.00', active = '' where code = 'A'")
    assert client.run().sent == 0
    client.sql("update item set active = 'Yes' where code = 'A'")
    client.run()
    assert client.held()["A"]["price"] == 100


def test_a_variant_marked_delete_is_removed_once_whatever_is_in_doubt_about_its_product(client: Client) -> None:
    """What a kept variant was sent with stays in doubt for ever, and a removal has no product fields."""
    client.write(settings='missing = "keep"\nmax_deletes = 10')
    client.shirt("S", "L", "M")
    client.run()
    client.sql("update item set title = 'Other' where code = 'S-L'")
    client.run_unanswered()
    client.sql("delete from item where code = 'S-L'", "update item set active = 'Delete' where code = 'S-M'")
    assert client.run().sent == 1
    assert (client.run(full=True).sent, client.run().sent) == (0, 0)


@pytest.mark.parametrize("change", [None, "price = '3'", "product = 'P'"], ids=["inserted", "changed", "moved"])
def test_what_is_in_doubt_and_kept_is_no_difference(change: str | None, client: Client) -> None:
    """It was this project that sent it: Stock2Shop may hold what was sent, or what is published."""
    client.write(settings='missing = "keep"')
    for code in ("A", "B") if change else ("A",):
        client.item(code)
    client.run()
    if change:
        client.sql(f"update item set {change} where code = 'B'")
    else:
        client.item("B")
    client.run_unanswered()
    client.sql("delete from item where code = 'B'")
    client.run()
    assert verify(client.project, "products") == ()


def test_what_is_in_doubt_counts_as_published_in_every_guard(client: Client) -> None:
    """A first load that was taken and not answered, then a view that lost most of its rows."""
    client.items(300)
    client.run_unanswered()
    assert len(client.held()) == 300
    client.sql("delete from item where code >= 'I030'")
    with pytest.raises(GuardError, match="270 of 300 published rows would be removed; max_deletes allows 30"):
        client.run()
    client.sql("delete from item")
    with pytest.raises(GuardError, match="The view gave 0 rows"):
        client.run()
    assert len(client.held()) == 300


@pytest.mark.parametrize("found", [0, 40])
def test_a_first_read_below_min_rows_is_stopped(client: Client, found: int) -> None:
    """As the hundredth would be: the filter or the rights may be wrong from the beginning."""
    client.write(settings="min_rows = 50")
    client.items(found)
    with pytest.raises(GuardError, match=f"The view gave {found} rows; at least 50 are expected"):
        client.run()
    assert client.posted() == 0


def test_an_approval_is_of_its_own_keys(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 removals were approved and Stock2Shop was away; the 60 came back and 55 others vanished."""
    client.items(200)
    client.run()
    client.sql("create table kept as from item where code < 'I060'", "delete from item where code < 'I060'")
    run_without_stock2shop(client, monkeypatch, approve_deletes=60)
    client.sql("insert into item from kept", "delete from item where code >= 'I145'")
    with pytest.raises(GuardError, match="55 of 200 published rows would be removed; max_deletes allows 20"):
        client.run()
    assert len(client.held()) == 200


@pytest.mark.parametrize("product", ["product", "'M' || product"], ids=["as they were", "under another product"])
def test_an_approval_does_not_outlive_a_read_in_which_its_keys_were_back(
    product: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were seen again, in a run that others stopped: when they vanish anew, somebody has to look anew."""
    client.items(300)
    client.run()
    client.sql("create table kept as select * from item where code < 'I060'", "delete from item where code < 'I060'")
    run_without_stock2shop(client, monkeypatch, approve_deletes=60)
    client.sql(f"update kept set product = {product}", "insert into item select * from kept")
    client.sql("create table others as select * from item where code >= 'I245'")
    client.sql("delete from item where code >= 'I245'")
    with pytest.raises(GuardError):
        client.run()
    client.sql("insert into item select * from others", "delete from item where code < 'I060'")
    with pytest.raises(GuardError, match="60 of 300"):
        client.run()
    assert len(client.held()) == 300


def test_what_was_approved_and_not_answered_needs_no_second_approval(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the same removals goes on; more of them do not."""
    client.write(remote="pace = 0\nbatch_variants = 20")
    client.items(200)
    client.run()
    client.sql("delete from item where code < 'I060'")
    run_without_stock2shop(client, monkeypatch, approve_deletes=60)
    client.sql("delete from item where code >= 'I179'")
    with pytest.raises(GuardError, match="81 of 200 published rows would be removed; max_deletes allows 80"):
        client.run()
    client.item("I199")
    assert client.run().plan.counts.removals == 80
    assert len(client.held()) == 120


def test_interrupted_runs_approve_nothing_themselves(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each may send beside the rest of an approval does not add up, however long Stock2Shop is down."""
    client.items(100)
    client.run()
    client.sql("delete from item where code < 'I011'")
    run_without_stock2shop(client, monkeypatch, approve_deletes=11)
    client.sql("delete from item where code < 'I021'")
    run_without_stock2shop(client, monkeypatch)
    client.sql("delete from item where code < 'I022'")
    for _ in range(2):
        with pytest.raises(GuardError, match="22 of 100 published rows would be removed; max_deletes allows 21"):
            client.run()
    assert len(client.held()) == 100
    run_without_stock2shop(client, monkeypatch, approve_deletes=22)
    client.sql("delete from item where code < 'I032'", "update item set price = '7'")
    run_without_stock2shop(client, monkeypatch, approve_changes=68)
    client.sql("delete from item where code < 'I033'")
    with pytest.raises(GuardError, match="33 of 100 published rows would be removed; max_deletes allows 32"):
        client.run()
    client.item("I032")
    client.run(approve_changes=68)
    assert len(client.held()) == 68


def test_the_rest_of_a_first_load_does_not_grow(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the limit lets pass beside it with each interrupted run is no part of it."""
    client.write(settings="max_changes = 20", remote="pace = 0\nbatch_variants = 20")
    client.items(60)
    run_without_stock2shop(client, monkeypatch)
    for more in range(20):
        client.item(f"M{more}")
    run_without_stock2shop(client, monkeypatch)
    client.item("ONE")
    with pytest.raises(GuardError, match="max_changes allows"):
        client.run()
    client.sql("delete from item where code = 'ONE'")
    client.run()
    assert len(client.held()) == 80


def test_an_approval_ends_with_the_run_that_stays_within_the_limits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows came back, all was well, and a week later they vanish again: that is to be looked at again."""
    client.items(200)
    client.run()
    client.sql("create table kept as from item where code < 'I060'", "delete from item where code < 'I060'")
    run_without_stock2shop(client, monkeypatch, approve_deletes=60)
    client.sql("insert into item from kept")
    client.run()
    client.sql("delete from item where code < 'I060'")
    with pytest.raises(GuardError, match="max_deletes allows 20"):
        client.run()


@pytest.mark.parametrize("again", ["asked", "changed", "gone"])
def test_a_variant_whose_removal_from_its_old_product_is_refused_is_not_forgotten_there(
    client: Client, again: str
) -> None:
    """Stock2Shop has it in both: that stands in quarantine, nothing is sent for it, and later it is tried again."""
    client.shirt("P", "S")
    client.item("B")
    client.run()
    client.sql("update item set product = 'Q', sku = 'NEW' where code = 'P-S'")
    client.sandbox.faults.refuse_sku("P-S")
    outcome = client.run()
    assert (outcome.sent, outcome.refused) == (1, 1)
    for full in (False, True):
        outcome = client.run(full=full)
        assert (outcome.sent, outcome.refused, outcome.outcome) == (0, 0, "attention")
    client.sandbox.faults.clear()
    if again == "asked":
        with open_state(client.project.state) as state:
            assert history.retry(state, keys=("P-S",)) == 1
    elif again == "changed":
        client.sql("update item set price = '7' where code = 'P-S'")
    else:
        client.sql("delete from item where code = 'P-S'")
    client.run()
    with open_state(client.project.state) as state:
        acknowledged = history.changes(state, limit=9, key="P-S")
    assert ("delete", "P") in {(change["kind"], change["product"]) for change in acknowledged}
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_price_that_a_refused_removal_left_is_held_where_it_turns_blank(client: Client) -> None:
    """It is published in the other product alone, and Stock2Shop has it in both, with its price."""
    client.item("A", product="P")
    client.item("B")
    client.run()
    client.sql("update item set product = 'Q', sku = 'NEW' where code = 'A'")
    client.sandbox.faults.refuse_sku("A")
    client.run()
    client.sandbox.faults.clear()
    client.sql("update item set product = 'P', price = null where code = 'A'")
    assert client.run().plan.quarantine_rules == {"cannot_be_cleared": 1}
    client.sql("update item set price = '7' where code = 'A'")
    client.run()
    assert (client.held()["A"]["source_product_code"], client.held()["A"]["price"]) == ("P", 7)
    assert (doubted(client), client.run().sent) == ([], 0)


@pytest.mark.parametrize(
    "gone", ["delete from item where code = 'A'", "update item set active = 'Delete' where code = 'A'"]
)
def test_a_removal_that_is_refused_from_one_product_does_not_hold_up_that_from_another(
    client: Client, gone: str
) -> None:
    """An earlier run had sent it under another product, and did not hear of it."""
    client.write(settings="max_deletes = 10")
    client.item("A", product="P")
    client.item("B")
    client.run()
    client.sql(gone, "update item set price = '7' where code = 'B'")
    client.sandbox.faults.refuse_sku("A")
    assert client.run().refused == 1
    client.sandbox.faults.clear()
    with open_state(client.project.state) as state:
        state.run("insert into in_doubt values ('products', 'A', 'OLD', 'insert', 1, 1, null, null)")
    assert [(change.kind, change.group) for change in client.plan().changes] == [("delete", "OLD")]
    assert client.run().sent == 1
    assert (doubted(client), client.run().sent) == ([], 0)


def hold_twice(client: Client) -> None:
    """Let Stock2Shop hold A, which is P's, in the product B as well."""
    client.write(settings="max_deletes = 10")
    client.item("A", product="P")
    client.item("B", size="B")
    client.run()
    other, product = sorted(client.sandbox.store.all_products(), key=lambda each: str(each["source_product_code"]))
    other["variants"]["A"] = {**product["variants"]["A"], "price": 1}


def removed_from(client: Client, key: str) -> set[str]:
    """The products from which Stock2Shop acknowledged that a variant was removed."""
    with open_state(client.project.state) as state:
        return {change["product"] for change in history.changes(state, limit=9, key=key) if change["kind"] == "delete"}


@pytest.mark.parametrize("gone", [False, True])
def test_a_variant_that_stock2shop_holds_in_two_products_is_adopted_in_its_own(client: Client, *, gone: bool) -> None:
    """The next run removes it from the other one, and from both where the source has it no more."""
    hold_twice(client)
    client.project.state.unlink()
    if gone:
        client.sql("delete from item where code = 'A'")
    taken = adopt(client.project, "products")
    assert (taken.remote, taken.published, taken.unreadable) == (3, 2, 0)
    client.run()
    assert removed_from(client, "A") == ({"B", "P"} if gone else {"B"})
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_variant_that_stock2shop_holds_in_two_products_is_a_difference(client: Client) -> None:
    """In the one where nothing of it was sent; a repair has the next run remove it from there."""
    hold_twice(client)
    (drift,) = verify(client.project, "products", repair=True)
    assert (drift.key, drift.column, drift.published, drift.remote) == ("A", "product", "P", "B")
    client.run()
    assert removed_from(client, "A") == {"B"}
    assert (doubted(client), client.run().sent) == ([], 0)


def test_a_variant_whose_removal_is_refused_is_no_difference_in_either_product(client: Client) -> None:
    """That it is in both is known, and a repair forgets neither."""
    client.shirt("P", "L", "S")
    client.run()
    (product,) = client.sandbox.store.all_products()
    old = product["variants"]["P-S"]
    client.sql("update item set product = 'Q', price = '7', sku = 'NEW' where code = 'P-S'")
    client.sandbox.faults.refuse_sku("P-S")
    client.run()
    product["variants"]["P-S"] = old
    assert verify(client.project, "products", repair=True) == ()


@pytest.mark.parametrize("taken", ["removal", "nothing"])
def test_a_blank_price_is_sent_once_a_repair_has_seen_that_nothing_is_held(
    client: Client, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """A removal was taken and not answered, or a first load was not taken; then the row shows no price."""
    client.item("B")
    client.run()
    client.item("A")
    if taken == "removal":
        client.run()
        client.sql("create table kept as select * from item where code = 'A'", "delete from item where code = 'A'")
        client.run_unanswered()
        client.sql("insert into item from kept")
    else:
        run_without_stock2shop(client, monkeypatch)
    client.sql("update item set price = null where code = 'A'")
    assert client.run().plan.quarantine_rules == {"cannot_be_cleared": 1}
    assert verify(client.project, "products", repair=True) == ()
    assert client.run().plan.quarantine_rules == {}
    assert sorted(client.held()) == ["A", "B"]
    assert (doubted(client), client.run().sent) == ([], 0)
