"""What becomes of a value that is not there: prices, quantities, flags, and rows that nobody looks at any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.client import VIEW

from engine.sync.adopt import adopt, verify

if TYPE_CHECKING:
    from support.client import Client


def test_a_price_that_turns_blank_is_said_as_the_project_says(client: Client) -> None:
    """With `blank_price` it is sent, recorded and verified as that price; without it again the row is held."""
    client.write(settings="blank_price = 0")
    client.item("A", price="10")
    client.item("B", price=None)
    client.run()
    assert {code: one["price"] for code, one in client.held().items()} == {"A": 10, "B": 0}
    client.sql("update item set price = null")
    assert client.run().plan.counts.updates == 1
    assert {code: one["price"] for code, one in client.held().items()} == {"A": 0, "B": 0}
    assert verify(client.project, "products") == ()
    client.write()
    plan = client.run().plan
    assert (plan.quarantine_rules, plan.counts.quarantined) == ({"cannot_be_cleared": 2}, 2)


def test_a_row_that_was_held_for_its_blank_price_goes_once_the_project_says_how(client: Client) -> None:
    """What was held leaves quarantine by itself."""
    client.item("A", price="10")
    client.run()
    client.sql("update item set price = null")
    assert client.run().plan.quarantine_rules == {"cannot_be_cleared": 1}
    client.write(settings="blank_price = 0.5")
    assert client.run().outcome == "done"
    assert client.held()["A"]["price"] == 0.5


def test_a_blank_price_of_a_tier_is_sent_where_channels_want_each(client: Client) -> None:
    """It does not stand in for a blank default price, and is no difference afterwards."""
    client.write(settings='blank_tier_price = 0\ndefault_price_tier = "Trade"')
    client.item("A", price="10")
    client.item("B", price="10", trade="8")
    client.item("C", price=None)
    client.run()
    held = client.held()
    assert [held[code]["price_tiers"] for code in "ABC"] == [
        [{"tier": "Trade", "price": 0}],
        [{"tier": "Trade", "price": 8}],
        [{"tier": "Trade", "price": 0}],
    ]
    assert "price" not in held["C"] or held["C"]["price"] in {None, ""}
    assert (verify(client.project, "products"), client.run().sent) == ((), 0)


def test_rows_that_stay_although_they_are_ignored_are_told_in_every_plan(client: Client) -> None:
    """They are on sale as they were: an unmarked tick box removes nothing, and somebody may think so."""
    client.item("A")
    client.item("B")
    client.item("C", active="No")
    assert not any("Ignore" in note for note in client.run().plan.notes)
    client.sql("update item set active = 'false' where code = 'A'")
    for _ in range(3):
        notes = [note for note in client.run().plan.notes if "Ignore" in note]
        assert [note.partition(":")[0] for note in notes] == ["1 row that Stock2Shop holds is flagged Ignore"]
    client.sql("update item set active = 'Delete' where code = 'A'")
    client.run()
    assert not any("Ignore" in note for note in client.run().plan.notes)


def test_a_column_that_changes_by_itself_is_named(client: Client) -> None:
    """Once it has changed in nearly every row twice; what changes in a few rows is not."""
    client.write(view=VIEW.replace("    vendor,", "    vendor,\n    stamp as meta_stamp,"))
    client.sql("alter table item add column stamp varchar")
    client.items(20)
    client.run()
    told = []
    for turn in range(1, 5):
        client.sql(f"update item set vendor = 'v' where code = 'I00{turn}'")
        client.sql(f"update item set stamp = {turn}" if turn < 4 else "select 1")
        notes = client.run(approve_changes=20).plan.notes
        told.append([note.partition(" ")[0] for note in notes if "by itself" in note])
    assert told == [[], ["meta_stamp"], ["meta_stamp"], []]


def test_what_is_held_of_a_blank_value_is_known_after_an_adoption(client: Client) -> None:
    """Its blank does not clear it, so the row is held instead of being sent without a word of its price."""
    view = VIEW.replace("    vendor,", '    vendor as "variants.price",')
    client.write(view=view)
    client.item("A", vendor="12.50", price="Trade:9")
    client.run()
    client.sql("update item set vendor = null, price = 'Trade:8'")
    client.project.state.unlink()  # so that nothing but Stock2Shop knows of the price
    adopt(client.project, "products")
    plan = client.run().plan
    assert (plan.quarantine_rules, plan.changes) == ({"cannot_be_cleared": 1}, ())
    assert client.held()["A"]["price"] == 12.5


def test_a_held_price_of_0_counts_as_none_where_the_view_says_none(client: Client) -> None:
    """Stock2Shop may give 0 for a price that was never sent."""
    client.write(view=VIEW.replace("    vendor,", '    vendor as "variants.price",'))
    client.item("A", vendor="0", price=None)
    client.item("B", vendor="3", price=None)
    client.run()
    client.sql("update item set vendor = null where code = 'A'")
    client.project.state.unlink()
    adopt(client.project, "products")
    plan = client.plan()
    assert (plan.quarantine, plan.changes) == ((), ())


def test_a_price_that_somebody_typed_is_left_alone_where_a_list_of_tiers_never_has_one(client: Client) -> None:
    """A view with tiers only does not speak of the default price."""
    client.item("A", price="12.50,Trade:9")
    client.run()
    client.sql("update item set price = 'Trade:9'")
    client.project.state.unlink()  # so that nothing but Stock2Shop knows of the price
    adopt(client.project, "products")
    assert client.plan().quarantine == ()
    client.sql("update item set title = 'Other'")
    assert client.run().outcome == "done"
