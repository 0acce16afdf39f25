"""What a reviewer must agree to: every change of a price, a quantity, a flag or a key, with how far it goes."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pytest
from support.mapping import ITEM, PRICE
from support.output import read_result

from engine.review.decisions import decisions, verdict

if TYPE_CHECKING:
    from support.branch import Branch

MANY = {
    "item": ITEM + "".join(f"M{n},Peg {n},Yes,{n},Karoo\n" for n in range(1, 41)),
    "price": PRICE + "".join(f"M{n},{n}.00\n" for n in range(1, 41)),
}
"""Fixtures in which a change of a row or two is no guard's business."""


@pytest.fixture
def many(branch: Branch) -> Branch:
    """A workspace whose project has 44 items, of which 42 are sent."""
    for table, text in MANY.items():
        (branch.root / "fixtures" / f"{table}.csv").write_text(text, "utf-8")
    branch.commit("Second")
    return branch


def test_a_change_of_every_price_is_stopped_on_fixtures_as_it_would_be_live(branch: Branch) -> None:
    """However few fixtures there are: the share of them counts."""
    branch.view("price.amount as csv_price_tiers", "price.amount * 2 as csv_price_tiers")
    reviewed = branch.reviewed()
    assert verdict(reviewed) == "a run would stop"
    stop, price = decisions(reviewed)
    assert "On the fixtures: 2 rows would be inserted or updated, against 2 published" in stop
    assert price == "Products: csv_price_tiers changes in 2 of 4 rows, by +100 %. The largest: A1 Hammer, 99.5 → 199."


def test_all_forms_of_a_review_have_the_same_verdict_and_decisions(branch: Branch) -> None:
    """And none says that nothing is stopped."""
    branch.view("price.amount as csv_price_tiers", "price.amount * 2 as csv_price_tiers")
    found = {form: branch.s2s("--output", form).stdout for form in ("text", "markdown", "json", "html")}
    (reviewed,) = read_result(found["json"])
    assert reviewed["verdict"] == "a run would stop"
    for form, text in found.items():
        assert "Nothing is lost" not in text
        flat = " ".join(html.unescape(text).split()).lower()
        assert "a run would stop" in flat, form
        for decision in reviewed["decisions"]:
            assert decision.lower() in flat, form


def test_how_far_prices_go_is_a_range_and_the_largest_change(many: Branch) -> None:
    """A guard does not mind a few rows; a reviewer does."""
    many.view(
        "price.amount as csv_price_tiers",
        "case item.code when 'A1' then 9.95 when 'B2' then 105 else price.amount end as csv_price_tiers",
    )
    reviewed = many.reviewed()
    assert verdict(reviewed) == "read this first"
    assert decisions(reviewed) == [
        "Products: csv_price_tiers changes in 2 of 44 rows, by -90 % to +5 %. The largest: A1 Hammer, 99.5 → 9.95."
    ]


def test_prices_in_tiers_are_compared_tier_by_tier(many: Branch) -> None:
    """The default price may stay while another doubles."""
    tiers = "case item.code when 'A1' then 'retail:10,\"trade, 1\":{}' end as csv_price_tiers"
    many.view("price.amount as csv_price_tiers", tiers.format(8))
    many.commit("Third")
    many.view(tiers.format(8), tiers.format(16))
    (decision,) = decisions(many.reviewed())
    assert "csv_price_tiers changes in 1 of 44 rows, by +100 %" in decision


CHANGES = {
    "variants.qty changes in 1 of 44 rows, by -75 %. The largest: M8 Peg 8, 8 → 2.": (
        "item.qty as",
        "case item.code when 'M8' then 2 else item.qty end as",
    ),
    "variants.qty changes in 1 of 44 rows. Such as: B2 Tent, (blank) → 7.": (
        "item.qty as",
        "case item.code when 'B2' then 7 else item.qty end as",
    ),
    "variants.sku changes in 1 of 44 rows. Such as: A1 Hammer, A1 → X1.": (
        'item.code as "variants.sku"',
        "case item.code when 'A1' then 'X1' else item.code end as \"variants.sku\"",
    ),
    "1 row of products is moved to another product.": (
        "item.code as source_product_code",
        "case item.code when 'A1' then 'P9' else item.code end as source_product_code",
    ),
    "1 row of products is removed from Stock2Shop.": (
        "item.web as product_active",
        "case item.code when 'A1' then 'Delete' else item.web end as product_active",
    ),
}


@pytest.mark.parametrize("decision", CHANGES)
def test_quantities_keys_and_flags_are_decisions(many: Branch, decision: str) -> None:
    """One row in forty-four is enough."""
    many.view(*CHANGES[decision])
    assert any(each.endswith(decision) for each in decisions(many.reviewed())), decisions(many.reviewed())


def test_an_item_is_called_by_its_sku_and_prices_are_counted_by_how_far_they_go(many: Branch) -> None:
    """The key is the engine's business; a client knows the SKU."""
    many.view('item.code as "variants.sku"', "'SKU-' || item.code as \"variants.sku\"")
    many.commit("Third")
    many.view(
        "price.amount as csv_price_tiers",
        "price.amount * case item.code when 'A1' then 0.6 when 'B2' then 1.05 when 'M1' then 3 when 'M7' then 1.05"
        " else 1 end"
        " as csv_price_tiers",
    )
    reviewed = many.reviewed()
    (decision,) = decisions(reviewed)
    assert decision.endswith("The largest: SKU-M1 Peg 1, 1 → 3.")
    (products,) = reviewed.entities
    assert products.impact is not None
    bands = {(band.lowest, band.highest): band.rows for band in products.impact.columns[0].distribution}
    assert {ends: rows for ends, rows in bands.items() if rows} == {(-50, -20): 1, (0, 5): 2, (100, None): 1}
    assert {(sample.key, sample.sku) for sample in products.impact.columns[0].samples} >= {("A1", "SKU-A1")}
    assert "SKU-A1" in many.s2s("--output", "html").stdout


def test_filters_that_are_new_or_gone_are_marked(branch: Branch) -> None:
    """And the tables and joins that stay are there as well."""
    branch.view("price.code = item.code", "price.code = item.code\nwhere item.web = 'Yes'")
    (products,) = branch.reviewed().entities
    assert [rule.kind for rule in products.rules] == ["same", "same", "added"]
    assert products.rules[-1].words == 'Only rows where item.web is "Yes".'
    branch.commit("Second")
    branch.view("item.web = 'Yes'", "item.qty > 1")
    (products,) = branch.reviewed().entities
    assert [(rule.kind, rule.words) for rule in products.rules[2:]] == [
        ("added", "Only rows where item.qty is more than 1."),
        ("removed", 'Only rows where item.web is "Yes".'),
    ]


def test_a_change_of_words_is_no_decision_but_is_read(many: Branch) -> None:
    """A title is shown with its samples, and what the fixtures cannot tell is said."""
    many.view("item.brand as vendor", "case item.code when 'A1' then 'KAROO' else item.brand end as vendor")
    assert decisions(many.reviewed()) == []
    said = many.s2s("--output", "markdown").stdout
    assert "**Read this first.** On the fixtures no row is removed or quarantined" in said
    assert "--live looks at all of them" in said


def test_only_what_changes_nothing_is_safe_to_merge(branch: Branch) -> None:
    """A comment in the SQL is a change that somebody reads: fixtures are not all rows."""
    assert verdict(branch.reviewed()) == "safe to merge"
    assert "Safe to merge: nothing changes." in branch.s2s("acme").stdout
    branch.view("select", "select -- the items")
    assert verdict(branch.reviewed()) == "read this first"


def test_a_view_that_does_not_run_would_stop_a_run(branch: Branch) -> None:
    """Whatever else changes."""
    branch.view("item.qty as", "item.quantity as")
    assert verdict(branch.reviewed()) == "a run would stop"
