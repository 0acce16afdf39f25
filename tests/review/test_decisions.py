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
    "1 row of products is removed and created again: its product is another one, or turns variable or simple.": (
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


def write(branch: Branch, path: str, text: str) -> None:
    """Write a file of the workspace."""
    (branch.workspace / path).parent.mkdir(parents=True, exist_ok=True)
    (branch.workspace / path).write_text(text, "utf-8")


PROJECT_FILE = "projects/acme/project.toml"
ORDER = "insert into o values ({{ order.id }})"

UNSEEN = {
    "a branch of a view that only a variable's value takes": (
        {
            "[vars]": '\n[vars]\nmode = "${ACME_MODE}"\n',
            "item.descr as": "{% if vars.mode == 'x' %}1{% endif %}item.descr as",
        },
        "projects/acme/views/products.sql",
        ("'x' %}1", "'x' %}2"),
    ),
    "a macro that a view calls in such a branch": (
        {
            "[vars]": '\n[vars]\nmode = "${ACME_MODE}"\n',
            "select\n": "{% import 'shop/a.sql' as shop %}\nselect\n{% if vars.mode == 'x' %}{{ shop.a() }}{% endif %}",
            "templates/sql/shop/a.sql": "{% macro a() %}1 as meta_a,{% endmacro %}",
        },
        "templates/sql/shop/a.sql",
        ("1 as", "2 as"),
    ),
    "a template of an order statement that no order of the fixtures renders": (
        {
            "projects/acme/orders/10_header.sql": "{% include 'shop/order.sql' %}",
            "templates/sql/shop/order.sql": ORDER,
        },
        "templates/sql/shop/order.sql",
        ("order.id", "order.id + 1"),
    ),
    "a value in a statement that is masked": (
        {"projects/acme/orders/10_header.sql": "insert into o (password) values (password = 'one')"},
        "projects/acme/orders/10_header.sql",
        ("'one'", "'two'"),
    ),
    "a password in the settings": (
        {"[vars]": "\n[orders]\nconnection = 'DSN=x;PWD=one'\n"},
        PROJECT_FILE,
        ("PWD=one", "PWD=two"),
    ),
    "a default of a var": (
        {"[vars]": "\n[vars]\nrate = 1\n"},
        PROJECT_FILE,
        ("rate = 1", "rate = 1.001"),
    ),
    "a limit of a guard": (
        {"[vars]": '\n[products]\nmax_deletes = "10%"\n'},
        PROJECT_FILE,
        ("10%", "90%"),
    ),
    "the severity of a data test": (
        {"projects/acme/tests/x.sql": "-- severity: error\nselect source_variant_code from products where false"},
        "projects/acme/tests/x.sql",
        ("severity: error", "severity: warning"),
    ),
}
"""What the fixtures show nothing of: the files before the change, and what changes in which one."""


@pytest.mark.parametrize("what", UNSEEN)
def test_what_the_fixtures_show_nothing_of_is_never_safe_to_merge(branch: Branch, what: str) -> None:
    """A run would take it all the same."""
    files, path, (old, new) = UNSEEN[what]
    for name, text in files.items():
        if name == "[vars]":
            write(branch, PROJECT_FILE, (branch.workspace / PROJECT_FILE).read_text("utf-8") + text)
        elif name.endswith(".sql"):
            write(branch, name, text)
        else:
            branch.view(name, text)
    branch.commit("Before")
    assert verdict(branch.reviewed()) == "safe to merge"
    changed = branch.workspace / path
    write(branch, path, changed.read_text("utf-8").replace(old, new))
    reviewed = branch.reviewed()
    assert verdict(reviewed) == "read this first"
    assert path.removeprefix("projects/acme/") in reviewed.settings


@pytest.mark.parametrize(
    ("old", "new", "decision"),
    [
        ("price.amount as", "price.amount + 0.001 as", "csv_price_tiers changes in 42 of 44 rows"),
        (
            "item.web as",
            "case when item.code = 'M7' then 'Del' else item.web end as",
            "1 row of products is newly held back",
        ),
        ("item.code as source_variant_code", "lower(item.code) as source_variant_code", "are new in Stock2Shop"),
        ("left join price on", "join price on price.amount <> 7 and", "1 row of products is removed from Stock2Shop"),
        (
            "left join price on",
            "join (select code from price where amount < 40) cheap on cheap.code = item.code\nleft join price on",
            "are removed from Stock2Shop",
        ),
        ("item.qty as", "case when item.qty < 40 then item.qty else 40 end as", "variants.qty changes in"),
    ],
)
def test_a_small_change_is_decided_upon_like_a_large_one(many: Branch, old: str, new: str, decision: str) -> None:
    """One row, or the third decimal."""
    many.view(old, new)
    assert any(decision in sentence for sentence in decisions(many.reviewed())), decisions(many.reviewed())


def test_a_view_that_does_not_run_would_stop_a_run(branch: Branch) -> None:
    """Whatever else changes."""
    branch.view("item.qty as", "item.quantity as")
    assert verdict(branch.reviewed()) == "a run would stop"
