"""What is recorded as published is what Stock2Shop was sent, so that the next comparison is the truth."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.client import VIEW

from engine.errors import CancelledError
from engine.state.store import open_state
from engine.sync import history
from engine.sync import pipeline as sync
from engine.sync.adopt import adopt, verify

if TYPE_CHECKING:
    from support.client import Client


LEAVES = (
    "delete from item where code = 'S-A'",
    "update item set active = 'Delete' where code = 'S-A'",
    "update item set product = 'T' where code = 'S-A'",
    "update item set sku = null where code = 'S-A'",
)
"""How the first variant leaves: removed, flagged, moved, or in quarantine."""


def titles(client: Client) -> dict[str, str]:
    """The titles that Stock2Shop holds, by variant code."""
    return {code: row["title"] for code, row in client.held().items()}


def in_step(client: Client) -> bool:
    """Whether neither the next run nor one that compares every row again has anything to send."""
    return (client.run().sent, client.run(full=True).sent) == (0, 0)


def run_and_break_off(client: Client, *, after: int) -> None:
    """Run, and stop once so many changes were acknowledged."""
    stop = threading.Event()

    def progress(step: str, done: int, _total: int | None) -> None:
        if step == "sending" and done >= after:
            stop.set()

    with pytest.raises(CancelledError):
        sync.run(client.project, "products", cancel=stop, progress=progress)


@pytest.fixture
def shirts(client: Client) -> Client:
    """One product of three variants, each with a title of its own; the first speaks for all."""
    client.write(settings="max_deletes = 100")
    for code, title in {"S-A": "First", "S-B": "Second", "S-C": "Third"}.items():
        client.item(code, product="S", title=title, size=code)
    client.item("Z")
    client.run()
    assert titles(client) == {"S-A": "First", "S-B": "First", "S-C": "First", "Z": "Item Z"}
    return client


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("full", ["no", "yes"])
def test_the_next_variant_speaks_when_the_first_leaves(shirts: Client, leaves: str, full: str) -> None:
    """Removed, flagged, moved or in quarantine: nothing of the others changed, and still their titles are sent."""
    shirts.sql(leaves)
    shirts.run(full=full == "yes")
    assert {code: title for code, title in titles(shirts).items() if code != "S-A"} == {
        "S-B": "Second",
        "S-C": "Second",
        "Z": "Item Z",
    }
    assert in_step(shirts)


@pytest.mark.parametrize("leaves", [*LEAVES, "update item set active = 'Ignore' where code = 'S-A'"])
@pytest.mark.parametrize("full", ["no", "yes"])
def test_the_next_variant_speaks_after_a_run_that_broke_off_when_the_first_had_left(
    shirts: Client, leaves: str, full: str
) -> None:
    """Its removal was acknowledged; what all others are now sent with was not."""
    shirts.write(settings="max_deletes = 100", remote="pace = 0\nbatch_variants = 1")
    shirts.sql(leaves)
    run_and_break_off(shirts, after=1)
    shirts.run(full=full == "yes")
    assert (titles(shirts)["S-B"], titles(shirts)["S-C"]) == ("Second", "Second")
    assert in_step(shirts)


def test_the_next_variant_speaks_where_the_first_was_removed_by_hand_and_then_left(shirts: Client) -> None:
    """A repair takes over that Stock2Shop lacks it; the source lacks it, too, before the next run."""
    shirts.sandbox.store.remove_variant(57, "S-A")
    verify(shirts.project, "products", repair=True)
    shirts.sql("delete from item where code = 'S-A'")
    shirts.run()
    assert titles(shirts) == {"S-B": "Second", "S-C": "Second", "Z": "Item Z"}
    assert in_step(shirts)


@pytest.mark.parametrize("leaves", LEAVES[:3])
@pytest.mark.parametrize("asked", ["no", "yes"])
def test_the_next_variant_speaks_when_a_refused_first_one_leaves(shirts: Client, leaves: str, asked: str) -> None:
    """It was never published, so nothing is missing when it leaves; what was refused may be asked for again by then."""
    shirts.item("S-0", product="S", title="Zeroth", size="0")
    shirts.sandbox.faults.refuse_sku("S-0")
    assert shirts.run().refused == 1
    assert titles(shirts)["S-C"] == "Zeroth"
    assert shirts.run().sent == 0
    shirts.sandbox.faults.clear()
    if asked == "yes":
        with open_state(shirts.project.state) as state:
            history.retry(state, keys=())
    shirts.sql(leaves.replace("S-A", "S-0"))
    shirts.run()
    assert {titles(shirts)[code] for code in ("S-A", "S-B", "S-C")} == {"First"}
    assert in_step(shirts)


@pytest.mark.parametrize(
    "columns",
    [
        {"code": "S-A", "product": "T"},
        {"code": "S-A", "product": "T", "active": "Ignore"},
        {"code": "X", "product": "T", "sku": "S-A"},
    ],
    ids=["code", "ignored", "sku"],
)
@pytest.mark.parametrize("full", ["no", "yes"])
def test_the_next_variant_speaks_when_another_row_has_the_first_one_held(
    shirts: Client, columns: dict[str, str], full: str
) -> None:
    """The first variant's own row did not change: a rule over several rows holds it, and the others are sent anew."""
    shirts.item(**columns)
    assert "S-A" in {problem.key for problem in shirts.run(full=full == "yes").plan.quarantine}
    assert (titles(shirts)["S-B"], titles(shirts)["S-C"]) == ("Second", "Second")
    assert in_step(shirts)


def test_what_the_first_variant_says_anew_is_said_of_all(shirts: Client) -> None:
    """The others did not change, and are sent with what is now sent of the product."""
    shirts.sql("update item set title = 'New' where code = 'S-A'")
    shirts.run()
    assert titles(shirts) == {"S-A": "New", "S-B": "New", "S-C": "New", "Z": "Item Z"}
    assert in_step(shirts)


def test_a_variant_that_speaks_for_none_may_change_its_title_unsent(shirts: Client) -> None:
    """It is not sent for that, and has its own title once it speaks."""
    shirts.sql("update item set title = 'Else' where code = 'S-B'")
    assert in_step(shirts)
    shirts.sql("delete from item where code = 'S-A'")
    shirts.run()
    assert titles(shirts)["S-C"] == "Else"
    assert in_step(shirts)


@pytest.mark.parametrize("active", ["Yes", "Ignore"])
@pytest.mark.parametrize("likeness", [{"barcode": "111"}, {"code": "s-c", "sku": "other"}, {"sku": "S-C"}])
def test_a_row_that_is_like_a_variant_does_not_have_it_speak(
    client: Client, likeness: dict[str, str], active: str
) -> None:
    """The variant is compared with the other row, and still its product's title is that of the lowest code."""
    for code, title in {"S-A": "First", "S-B": "Second", "S-C": "Third"}.items():
        client.item(code, product="S", title=title, size=code, barcode="111" if code == "S-C" else None)
    client.run()
    client.item(**{"code": "NEW", "product": "T", "active": active, **likeness})
    client.run()
    assert {title for code, title in titles(client).items() if code.startswith("S-")} == {"First"}
    assert client.run().sent == 0


def test_a_new_first_variant_speaks_for_the_others(shirts: Client) -> None:
    """And no longer, when it breaks a rule."""
    shirts.item("S-0", product="S", title="Zeroth", size="0")
    shirts.run()
    assert set(titles(shirts).values()) == {"Zeroth", "Item Z"}
    assert in_step(shirts)
    shirts.sql("update item set qty = 'many' where code = 'S-0'")
    shirts.run()
    assert titles(shirts)["S-C"] == "First"
    assert in_step(shirts)


def test_variants_that_come_to_agree_are_sent_what_they_agree_on(shirts: Client) -> None:
    """The first leaves, and the others have the same title by then."""
    shirts.sql("update item set title = 'Third' where code = 'S-B'")
    assert in_step(shirts)
    shirts.sql("delete from item where code = 'S-A'")
    shirts.run()
    assert (titles(shirts)["S-B"], titles(shirts)["S-C"]) == ("Third", "Third")
    assert in_step(shirts)
    assert verify(shirts.project, "products") == ()


def test_what_speaks_in_doubt_is_said_again(shirts: Client) -> None:
    """The first variant's new title was taken and not answered, and it went back to the old one."""
    shirts.sql("update item set title = 'Wrong' where code = 'S-A'")
    shirts.run_unanswered()
    assert titles(shirts)["S-B"] == "Wrong"
    shirts.sql("update item set title = 'First' where code = 'S-A'")
    shirts.run()
    assert set(titles(shirts).values()) == {"First", "Item Z"}
    assert in_step(shirts)


def test_a_variant_that_was_not_sent_is_known_to_have_the_products_title(client: Client) -> None:
    """The second's title was sent while the first was in quarantine; the second goes, and the first is as it was."""
    client.write(settings="max_deletes = 100")
    client.item("S-A", product="S", title="First", size="A")
    client.item("S-B", product="S", title="Second", size="B")
    client.run()
    client.sql("update item set qty = 'many' where code = 'S-A'")
    client.run()
    assert titles(client) == {"S-A": "Second", "S-B": "Second"}
    client.sql("update item set qty = '5' where code = 'S-A'", "delete from item where code = 'S-B'")
    client.run()
    assert titles(client) == {"S-A": "First"}
    assert in_step(client)


def test_a_variant_that_was_only_removed_elsewhere_is_known_to_have_the_products_title(client: Client) -> None:
    """The run broke off when it was removed from its old product, where that had been refused, and another was sent."""
    client.write(settings="max_deletes = 100", remote="pace = 0\nbatch_variants = 1")
    client.item("A", product="S", title="Title", size="A")
    client.item("B", product="OLD", title="Title", size="B")
    client.run()
    client.sql("update item set product = 'S', sku = 'NEW' where code = 'B'")
    client.sandbox.faults.refuse_sku("B")
    assert client.run().refused == 1
    client.sandbox.faults.clear()
    client.sql("update item set title = 'Other' where code = 'A'", "update item set qty = '9' where code = 'B'")
    run_and_break_off(client, after=2)
    assert titles(client) == {"A": "Other", "B": "Other"}
    client.sql("delete from item where code = 'A'", "update item set qty = '5' where code = 'B'")
    client.run()
    assert titles(client) == {"B": "Title"}
    assert in_step(client)


def test_a_title_that_is_in_doubt_is_said_again_with_another_variant(client: Client) -> None:
    """The first variant's new title may have been taken for the product, and then the first variant went."""
    client.write(settings="max_deletes = 100", remote="pace = 0\nbatch_variants = 1")
    client.item("S-A", product="S", title="Title", size="A")
    client.item("S-B", product="S", title="Title", size="B")
    client.run()
    client.sql("update item set title = 'Wrong' where code = 'S-A'")
    client.run_unanswered()
    assert set(titles(client).values()) == {"Wrong"}
    client.sql("delete from item where code = 'S-A'")
    client.run()
    assert titles(client) == {"S-B": "Title"}
    assert in_step(client)


def test_a_title_that_is_in_doubt_is_no_difference_of_another_variant(shirts: Client) -> None:
    """Stock2Shop took the last variant's new title for all; it is gone now, and so are the others, and all are kept."""
    shirts.write(settings="missing = 'keep'", remote="pace = 0\nbatch_variants = 1")
    shirts.sql("update item set title = 'New' where code = 'S-A'")
    shirts.run_unanswered()
    shirts.sql("delete from item where product = 'S'")
    shirts.run()
    assert titles(shirts)["S-B"] == "New"
    assert verify(shirts.project, "products") == ()


@pytest.mark.parametrize("leaves", LEAVES[:3])
@pytest.mark.parametrize("breaks_off", [False, True], ids=["", "breaks off"])
def test_a_title_that_is_in_doubt_stays_so_when_its_variant_has_left(
    shirts: Client, leaves: str, *, breaks_off: bool
) -> None:
    """The first variant may have been taken with a new title, and is removed; the others come back as they were."""
    shirts.write(settings="max_deletes = 100", remote="pace = 0\nbatch_variants = 1")
    shirts.sql("update item set title = 'New' where code = 'S-A'")
    shirts.run_unanswered()
    assert set(titles(shirts).values()) == {"New", "Item Z"}
    shirts.sql("update item set title = 'First' where code = 'S-B'")
    if not breaks_off:
        shirts.sql("update item set active = 'Ignore' where code in ('S-B', 'S-C')")
    shirts.sql(leaves)
    if breaks_off:
        run_and_break_off(shirts, after=1)
    else:
        shirts.run()
        shirts.sql("update item set active = 'Active' where code in ('S-B', 'S-C')")
    assert titles(shirts)["S-B"] == "New"
    shirts.run()
    assert (titles(shirts)["S-B"], titles(shirts)["S-C"]) == ("First", "First")
    assert in_step(shirts)


def test_a_title_that_is_in_doubt_goes_with_the_last_variant(shirts: Client) -> None:
    """All variants of the product are removed one by one: nothing of it is in doubt any more."""
    shirts.write(settings="max_deletes = 100", remote="pace = 0\nbatch_variants = 1")
    shirts.sql("update item set title = 'New' where code = 'S-A'")
    shirts.run_unanswered()
    shirts.sql("update item set active = 'Delete' where product = 'S'")
    assert shirts.run().sent == 3
    assert titles(shirts) == {"Z": "Item Z"}
    assert in_step(shirts)
    with open_state(shirts.project.state) as state:
        assert state.value("select count(*) from in_doubt") == 0


def test_a_title_that_is_in_doubt_is_said_once_with_another_variant(client: Client) -> None:
    """The first variant is flagged Ignore and stays in doubt; the second is not sent for that in every run."""
    client.write(remote="pace = 0\nbatch_variants = 1")
    client.item("S-A", product="S", title="Title", size="A")
    client.item("S-B", product="S", title="Title", size="B")
    client.run()
    client.sql("update item set title = 'Wrong' where code = 'S-A'")
    client.run_unanswered()
    client.sql("update item set active = '' where code = 'S-A'")
    client.run()
    assert set(titles(client).values()) == {"Title"}
    assert in_step(client)


def test_a_row_that_was_refused_for_its_product_is_sent_when_that_is_another(client: Client) -> None:
    """The product code is part of what was refused."""
    client.item("A", product="bad")
    client.item("B")
    client.sandbox.faults.refuse_sku("A")
    assert client.run().refused == 1
    client.sandbox.faults.clear()
    assert client.run().sent == 0
    client.sql("update item set product = 'good' where code = 'A'")
    assert client.run().sent == 1
    assert client.held()["A"]["source_product_code"] == "good"


def test_a_price_that_turns_blank_is_held(client: Client) -> None:
    """A blank price is left out of a document, so Stock2Shop would keep the old one and nobody would know."""
    client.item("A")
    client.item("B", price=None)
    client.run()
    client.sql("update item set price = null, qty = '7'")
    outcome = client.run()
    assert (outcome.sent, outcome.plan.quarantine_rules) == (1, {"cannot_be_cleared": 1})
    assert (client.held()["A"]["price"], client.held()["A"]["qty"]) == (100, 5)
    client.sql("update item set price = '0' where code = 'A'")
    assert client.run().outcome == "done"
    assert (client.held()["A"]["price"], client.held()["A"]["qty"]) == (0, 7)
    assert in_step(client)


def test_a_price_that_is_in_doubt_and_turns_blank_is_held(client: Client) -> None:
    """It was not published, but it may have been taken."""
    client.item("A", price=None)
    client.run()
    client.sql("update item set price = '0.01'")
    client.run_unanswered()
    client.sql("update item set price = null")
    assert client.run().plan.quarantine_rules == {"cannot_be_cleared": 1}


@pytest.mark.parametrize("prices", ["80", "Retail:80", "Retail:80,Trade:70"])
def test_a_price_tier_that_stood_in_for_the_default_price_does_not_just_go(client: Client, prices: str) -> None:
    """Its price is the default price at Stock2Shop."""
    client.write(settings='default_price_tier = "Retail"')
    client.item("A", price=prices)
    client.run()
    client.sql("update item set price = 'Trade:70'")
    assert client.plan().quarantine_rules == {"cannot_be_cleared": 1}


def test_another_default_price_tier_that_a_row_lacks_holds_the_row(client: Client) -> None:
    """The old tier's price would stay its default price."""
    client.write(settings='default_price_tier = "Trade"')
    client.item("A", price=None, trade="80")
    client.item("B", price="Retail:90", trade="80")
    client.run()
    client.write(settings='default_price_tier = "Retail"')
    plan = client.plan()
    assert (plan.counts.resends, plan.quarantine_rules) == (1, {"cannot_be_cleared": 1})


def test_a_boolean_that_turns_blank_is_held(client: Client) -> None:
    """As a price."""
    client.write(view=VIEW.replace("true as", "vendor as").replace("    vendor,\n", ""))
    client.item("A", vendor="yes")
    client.item("B", vendor=None)
    client.run()
    client.sql("update item set vendor = null, qty = '7'")
    outcome = client.run()
    assert (outcome.sent, outcome.plan.quarantine_rules) == (1, {"cannot_be_cleared": 1})
    assert client.held()["A"]["inventory_management"] == "true"


def test_a_field_that_left_the_mapping_is_still_known_as_it_was_sent(client: Client) -> None:
    """Nothing is sent for it, so Stock2Shop keeps it; when it is mapped again and blank, that is a change."""
    client.item("A", vendor="Acme")
    client.run()
    client.write(view=VIEW.replace("    vendor,\n", ""))
    plan = client.plan()
    (note,) = plan.notes
    assert plan.changes == ()
    assert note.startswith("vendor is no longer mapped. It was sent for 1 row: Stock2Shop keeps the last value of each")
    client.sql("update item set price = '7', vendor = null")
    client.run()
    assert client.held()["A"]["vendor"] == "Acme"
    assert client.plan().notes == ()
    client.write()
    (change,) = client.plan().changes
    assert change.columns == (("vendor", "Acme", None),)
    client.run()
    assert client.held()["A"]["vendor"] == ""
    assert in_step(client)


def test_a_new_variant_has_what_its_product_keeps_of_a_field_that_left_the_mapping(client: Client) -> None:
    """So the others are not sent for it, and what is kept is still known when the field is mapped again and blank."""
    client.item("S-B", product="S", title="Title", size="B", vendor="Acme")
    client.run()
    client.write(view=VIEW.replace("    vendor,\n", ""))
    client.item("S-A", product="S", title="Title", size="A")
    assert client.run().sent == 1
    assert in_step(client)
    client.sql("update item set vendor = null")
    client.write()
    client.run()
    assert {row["vendor"] for row in client.held().values()} == {""}
    assert in_step(client)


def test_a_product_that_an_unanswered_variant_kept_has_what_it_was_sent_of_a_field_that_left_the_mapping(
    client: Client,
) -> None:
    """The others left after it was taken, so the product did not go with the last of them."""
    client.write(settings="max_deletes = 100")
    client.item("S-B", product="S", title="Title", size="B", vendor="Acme")
    client.run()
    client.write(settings="max_deletes = 100", view=VIEW.replace("    vendor,\n", ""))
    client.item("S-A", product="S", title="Title", size="A")
    client.run_unanswered()
    client.sql("delete from item where code = 'S-B'")
    client.run()
    assert {code: row["vendor"] for code, row in client.held().items()} == {"S-A": "Acme"}
    client.write(settings="max_deletes = 100")
    client.run()
    assert {code: row["vendor"] for code, row in client.held().items()} == {"S-A": ""}
    assert in_step(client)


def test_a_product_that_is_created_again_keeps_nothing_of_a_field_that_left_the_mapping(client: Client) -> None:
    """It went with its last variant, whose options changed."""
    client.item("S", vendor="Acme")
    client.run()
    client.write(view=VIEW.replace("    vendor,\n", ""))
    client.sql("update item set size = 'L'")
    client.run()
    assert "vendor" not in client.held()["S"]
    client.write()
    client.run()
    assert client.held()["S"]["vendor"] == "Acme"
    assert in_step(client)


@pytest.mark.parametrize("read", ["adopted", "repaired"])
def test_a_field_that_is_mapped_after_stock2shop_was_read_is_sent_though_it_is_blank(client: Client, read: str) -> None:
    """What was read says nothing of it, and Stock2Shop holds what was sent before, by whomever."""
    for code, vendor in {"A": "Acme", "B": "Bolt", "C": "Acme", "D": "Acme"}.items():
        client.item(code, vendor=vendor)
    client.run()
    client.write(view=VIEW.replace("    vendor,\n", ""))
    if read == "adopted":
        client.project.state.unlink()
        adopt(client.project, "products")
    else:
        client.run()
        client.sandbox.store.all_products()[0]["variants"]["A"]["qty"] = 77
        verify(client.project, "products", repair=True)
    client.sql("update item set qty = '9' where code = 'C'", "update item set active = 'Ignore' where code = 'D'")
    assert client.run().sent == {"adopted": 1, "repaired": 2}[read]
    client.write()
    assert [drift.key for drift in verify(client.project, "products")] == []
    client.sql("update item set vendor = null where code <> 'B'")
    plan = client.plan()
    if read == "adopted":
        assert {(change.key, change.kind, change.cause) for change in plan.changes} == {
            ("A", "resend", "newly mapped"),
            ("B", "update", ""),
            ("C", "resend", "newly mapped"),
        }
        assert "2 rows that did not change are sent once more: a field was mapped after" in plan.notes[0]
    client.run()
    client.sql("update item set active = 'Active' where code = 'D'")
    client.run()
    assert {code: row["vendor"] for code, row in client.held().items()} == {
        "A": "",
        "B": "Bolt",
        "C": "",
        "D": "",
    }
    assert in_step(client)


def test_a_price_tier_that_left_the_mapping_is_sent_anew_when_it_is_mapped_again(client: Client) -> None:
    """The list of tiers was sent without it in the meantime."""
    client.item("A", price="100,Retail:90", trade="80")
    client.run()
    client.write(view=VIEW.replace('    trade as "price_Trade",\n', ""))
    (note,) = client.plan().notes
    assert note.startswith("price_Trade is no longer mapped. It was sent for 1 row: Stock2Shop keeps it for each until")
    client.sql("update item set qty = '7'")
    client.run()
    client.write()
    assert client.run().sent == 1
    assert {tier["tier"] for tier in client.held()["A"]["price_tiers"]} == {"Retail", "Trade"}


def test_history_keeps_of_a_long_text_what_tells_it_from_another(client: Client) -> None:
    """Its beginning, its length and a number of its content: a description of 100 KB would fill the disk in 90 days."""
    client.item("A", html="<p>" + "x" * 100_000)
    client.run()
    client.sql("update item set html = html || 'y'")
    plan = client.run().plan
    ((name, old, new),) = plan.changes[0].columns
    assert old is not None
    assert new is not None
    with open_state(client.project.state) as state:
        (changed,) = [each for each in history.changes(state, limit=10) if each["kind"] == "update"]
    assert len(str(changed["columns"])) < 3_000
    assert (name, old[:1000], old == new) == ("body_html", new[:1000], False)
    assert [f"({count} characters" in text for count, text in ((100_003, old), (100_004, new))] == [True, True]
    assert client.held()["A"]["body_html"].endswith("xy")
