"""What a row may break, what becomes of it, and the forms that values are brought into before they are compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.client import VIEW

from engine.state.store import open_state
from engine.sync import history
from engine.sync.rules import RULES

if TYPE_CHECKING:
    from support.client import Client

SHIRT: dict[str, Any] = {"product": "S", "title": "Shirt"}

ERRORS: dict[str, list[dict[str, Any]]] = {
    "blank_key": [{"code": " ", "product": "A"}],
    "blank_field": [{"code": "A", "title": ""}],
    "repeated_key": [{"code": "A"}, {"code": "A", "title": "Another"}],
    "repeated_sku": [{"code": "A", "sku": "X"}, {"code": "B", "sku": "X"}],
    "malformed_prices": [{"code": "A", "price": "Trade:10,Trade:11"}],
    "negative_price": [{"code": "A", "trade": "-1"}],
    "not_a_number": [{"code": "A", "trade": "1,5"}],
    "unknown_flag": [{"code": "A", "active": "perhaps"}],
    "options_missing": [{**SHIRT, "code": "S-1", "size": "M"}, {**SHIRT, "code": "S-2", "colour": "Red", "size": None}],
    "repeated_options": [{**SHIRT, "code": "S-1", "size": "M"}, {**SHIRT, "code": "S-2", "size": "M"}],
}
WARNINGS: dict[str, list[dict[str, Any]]] = {
    "differs_within_product": [
        {**SHIRT, "code": "S-1", "size": "M"},
        {**SHIRT, "code": "S-2", "size": "L", "title": "Other"},
    ],
    "similar_key": [{"code": "Ab", "title": "One"}, {"code": "AB", "title": "Two"}],
    "large_quantity": [{"code": "A", "qty": "99999999999"}],
    "blank_quantity": [{"code": "A", "qty": None}],
    "repeated_price": [{"code": "A", "price": "10,Trade:9", "trade": "8"}],
    "repeated_title": [{"code": "A", "title": "Hammer"}, {"code": "B", "title": "hammer"}],
    "similar_value": [{"code": "A", "sku": "x"}, {"code": "B", "sku": "X"}],
    "repeated_barcode": [{"code": "A", "barcode": "600"}, {"code": "B", "barcode": "600"}],
    "negative_quantity": [{"code": "A", "qty": "-3"}],
    "fractional_quantity": [{"code": "A", "qty": "2.5"}],
    "control_characters": [{"code": "A", "title": "Ham\x07mer"}],
}


def rows(client: Client, *items: dict[str, Any]) -> None:
    """Put items into the client's database."""
    for item in items:
        client.item(**item)


@pytest.mark.parametrize("rule", ERRORS)
def test_a_row_that_breaks_a_rule_is_held_with_its_reason(client: Client, rule: str) -> None:
    """It is not sent, the sound ones are, and it leaves quarantine by itself when its source is fixed."""
    client.item("Z")
    rows(client, *ERRORS[rule])
    outcome = client.run()
    assert (outcome.outcome, set(outcome.plan.quarantine_rules)) == ("attention", {rule})
    assert sorted(client.held()) == ["Z"]
    with open_state(client.project.state) as state:
        kept = history.quarantine(state)
    assert {entry["rule"] for entry in kept} == {rule}
    assert all(entry["reason"].startswith(RULES[rule].reason) for entry in kept)
    client.sql("delete from item where code <> 'Z'")
    assert client.run().outcome == "done"
    with open_state(client.project.state) as state:
        assert history.quarantine(state) == []
        assert all(entry["resolved_at"] is not None for entry in history.quarantine(state, resolved=True))


@pytest.mark.parametrize("rule", WARNINGS)
def test_a_warning_is_sent_all_the_same(client: Client, rule: str) -> None:
    """And told."""
    rows(client, *WARNINGS[rule])
    outcome = client.run()
    assert (outcome.outcome, set(outcome.plan.warning_rules)) == ("done", {rule})
    assert len(client.held()) == len(WARNINGS[rule])


def test_every_rule_of_products_has_a_test() -> None:
    """The others are customers', Stock2Shop's own, or of a column that the tests' view does not map."""
    elsewhere = {"malformed_email", "repeated_email", "refused", "not_a_boolean", "cannot_be_cleared"}
    assert set(ERRORS) | set(WARNINGS) | elsewhere == set(RULES)
    assert {name for name in ERRORS if RULES[name].severity != "error"} == set()
    assert {name for name in WARNINGS if RULES[name].severity != "warning"} == set()


@pytest.mark.parametrize("ignored", ["min", "max"])
def test_a_code_that_an_ignored_row_repeats_stays_held(client: Client, ignored: str) -> None:
    """Run after run, whichever of the two rows is the one that was sent."""
    client.items(2)
    client.run()
    client.sql(
        "insert into item from item where code = 'I001'",
        f"update item set active = 'Ignore' where rowid = (select {ignored}(rowid) from item where code = 'I001')",
    )
    for _ in range(3):
        plan = client.run().plan
        assert (plan.quarantine_rules, plan.counts.quarantined, plan.counts.ignored) == ({"repeated_key": 1}, 1, 1)
    client.sql("delete from item where active = 'Ignore'")
    assert client.run().plan.counts.unchanged == 2


SAME_VALUES = (
    ("price", "9", "9.00"),
    ("price", "9.5", " 9.5000 "),
    ("price", "100,Trade:80,Export:70", "100.0, Export:70.00 ,Trade:80"),
    ("price", "Trade:5,Retail:6", "Retail:6.00, Trade:5"),
    ("price", "0", "-0.00"),
    ("price", "1500", "1.5e3"),
    ("qty", "5", "5.0"),
    ("qty", "-0", "0"),
    ("qty", "0", "-7"),
    ("qty", "5", "5.9"),
    ("trade", None, "  "),
    ("trade", "1e2", "100"),
    ("trade", "19.99", "19.989999999999998"),
    ("title", "Hammer {code}", "Hammer {code}   "),
    ("title", "Hammer {code}", "Ham\x01mer {code}"),
    ("vendor", None, ""),
    ("vendor", "", "   "),
    ("tags", "a,b,c", " c,b , a,,b"),
    ("code", "{code}", "  {code} "),
    ("active", "Yes", " yES "),
    ("active", "Yes", "publish"),
)
"""A column, and two values that mean the same."""


def test_a_value_that_means_the_same_sends_nothing(client: Client) -> None:
    """However the database writes it: types are canonical before they are compared."""

    def write(column: str, code: str, value: str | None) -> str:
        written = _literal(None if value is None else value.format(code=code))
        return f"update item set {column} = {written} where trim(code) = '{code}'"

    cases = {f"A{number}": case for number, case in enumerate(SAME_VALUES)}
    for code in cases:
        client.item(code)
    client.sql(*(write(column, code, before) for code, (column, before, _) in cases.items()))
    assert client.run().sent == len(cases)
    client.sql(*(write(column, code, after) for code, (column, _, after) in cases.items()))
    assert client.plan(everything=True).changes == ()
    outcome = client.run()
    assert (outcome.sent, outcome.plan.counts.unchanged) == (0, len(cases))


def test_prices_that_cannot_be_are_held(client: Client) -> None:
    """A price is never guessed."""
    prices = (
        *("1.000,50", "R100", "1 000", "NaN", "Infinity", ":5", "Trade:", "5,6", "Trade:5,6", "9" * 40, 'Trade:"5"'),
        *("Trade:8;Retail:10", "Trade:8|Retail:9", "Trade:8 Retail:10", "5,A:B:6", '"A:B":5,C:D:6'),
        *("0x10", "1_000", '5"', '"Trade:5', 'Trade":5', '" ":5', '"Trade ":5,Trade:6', '"Trade",Retail:5'),
    )
    for number, price in enumerate(prices):
        client.item(f"A{number}", price=price)
    plan = client.plan(everything=True)
    assert plan.changes == ()
    assert {problem.key: problem.rule for problem in plan.quarantine} == {
        f"A{number}": "malformed_prices" for number in range(len(prices))
    }


def test_a_tier_in_quotes_may_have_any_sign_in_its_name(client: Client) -> None:
    """A comma, a colon, a semicolon, and a quote that is doubled."""
    client.item("A", price='5,"A:B; C, D:E":6,"13"" tyres":7,F:8')
    assert client.run().sent == 1
    (variant,) = client.held().values()
    assert {tier["tier"] for tier in variant["price_tiers"]} == {"A:B; C, D:E", '13" tyres', "F"}


@pytest.mark.parametrize(("word", "tracked"), [("1.00", "true"), ("-1", "true"), ("0.000", "false"), (" N ", "false")])
def test_a_boolean_may_be_any_databases(client: Client, word: str, tracked: str) -> None:
    """A decimal column says 1.00, Access says -1."""
    client.write(view=VIEW.replace("true as", "vendor as").replace("    vendor,\n", ""))
    client.item("A", vendor=word)
    assert client.run().sent == 1
    assert client.held()["A"]["inventory_management"] == tracked


def test_a_document_is_the_one_that_stock2shop_documents(client: Client) -> None:
    """One variant an item as an object; numbers as numbers, with all their digits."""
    client.item(
        "S-1",
        product="S",
        title="Shirt",
        price="100.10,Export:70.333",
        size="M",
        colour="Red",
        trade="80.5",
        tags="b,a",
        barcode="600",
        vendor="Karoo",
        html="<p>\n</p>",
        qty="9",
    )
    client.run()
    (request,) = [each for each in client.sandbox.requests if each.path.endswith("/products/queue")]
    assert json.loads(request.body or b"") == {
        "system_products": [
            {
                "source": {
                    "source_id": 57,
                    "product_active": "true",
                    "source_product_code": "S",
                    "sync_token": "0",
                    "fetch_token": "0",
                },
                "product": {
                    "title": "Shirt",
                    "body_html": "<p>\n</p>",
                    "tags": "a,b",
                    "vendor": "Karoo",
                    "options": [{"name": "Option 1", "position": 1}, {"name": "Option 2", "position": 2}],
                    "variants": {
                        "source_variant_code": "S-1",
                        "sku": "S-1",
                        "barcode": "600",
                        "qty": 9,
                        "price": 100.1,
                        "price_tiers": [{"tier": "Export", "price": 70.333}, {"tier": "Trade", "price": 80.5}],
                        "inventory_management": "true",
                        "option1": "M",
                        "option2": "Red",
                    },
                },
            }
        ]
    }


def _literal(value: object) -> str:
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"
