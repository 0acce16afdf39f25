"""Data tests see every row of the entity, changed or not, and stop what they are to stop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.client import VIEW
from support.mapping import offline, rehearsed, write, write_project

from engine.errors import ConfigError, GuardError, ProjectError, ViewError
from engine.state.store import open_state
from engine.sync import history
from engine.sync.data_tests import data_tests

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client

    from engine.model.plan import Plan


def add(client: Client, name: str, sql: str) -> None:
    """Write a data test."""
    write(client.root / "tests" / f"{name}.sql", sql)


def messages(plan: Plan) -> list[str]:
    """What stops the plan because of a test."""
    return [breach.message for breach in plan.violations if breach.guard == "test"]


def test_a_failed_test_stops_the_entity_before_anything_is_sent(client: Client) -> None:
    """It is a guard: exit code 3, nothing posted, the run in history as guarded."""
    client.item("A")
    client.item("B", price="0")
    add(client, "no_free_items", "select * from products where csv_price_tiers = '0'")
    with pytest.raises(GuardError, match="no_free_items finds 1 row of products that must not exist: B") as caught:
        client.run()
    assert caught.value.exit_code == 3
    assert client.posted() == 0
    with open_state(client.project.state) as state:
        assert history.runs(state, limit=1)[0]["outcome"] == "guarded"


def test_a_test_that_holds_costs_nothing(client: Client) -> None:
    """A plan with tests that hold is the plan without them."""
    client.item("A")
    before = client.plan().digest
    add(client, "no_free_items", "select * from products where csv_price_tiers = '0';\n-- that is all\n")
    plan = client.plan()
    assert (plan.digest, plan.violations, plan.notes) == (before, (), ())


def test_a_test_sees_rows_that_did_not_change(client: Client) -> None:
    """Unchanged rows are dropped as they arrive, and yet a test sees them whole."""
    client.item("A", vendor="Karoo", qty="3")
    client.shirt("S", "M", "L")
    client.run()
    assert client.plan().counts.unchanged == 3
    add(
        client,
        "all_of_it",
        'select source_variant_code, source_product_code, vendor, "variants.qty", "variants.option1_value" as size'
        " from products where (vendor = 'Karoo' and \"variants.qty\" = 3) or \"variants.option1_value\" = 'L'",
    )
    assert messages(client.plan()) == ["The test all_of_it finds 2 rows of products that must not exist: A, S-L."]


def test_a_test_sees_changed_rows_as_they_are_now(client: Client) -> None:
    """A row that changed is seen once, with its new value; one that is gone is not seen."""
    client.item("A", vendor="old")
    client.item("B", vendor="same")
    client.item("C", vendor="gone")
    client.run()
    client.sql("update item set vendor = 'new' where code = 'A'", "delete from item where code = 'C'")
    client.item("D", vendor="added")
    add(client, "vendors", "select *, 'x' as source_variant_code_2 from products where vendor is not null")
    assert messages(client.plan()) == ["The test vendors finds 3 rows of products that must not exist: A, B, D."]
    add(client, "vendors", "select 1 from products having list(vendor order by vendor) <> ['added', 'new', 'same']")
    assert messages(client.plan()) == []


def test_a_test_does_not_see_what_is_never_sent(client: Client) -> None:
    """Rows in quarantine, Ignore rows and Delete rows are not among the entity's rows."""
    client.item("A")
    client.item("Q", title=None)
    client.item("I", active="")
    client.item("D", active="Delete")
    add(client, "one_row", "select count(*) from products having count(*) <> 1")
    assert messages(client.plan()) == []
    client.run()
    assert messages(client.plan()) == []


def test_an_unchanged_row_that_comes_to_break_a_rule_is_not_seen(client: Client) -> None:
    """A new row with its SKU puts both in quarantine, so that a test sees neither."""
    client.item("A", sku="SAME")
    client.run()
    client.item("B", sku="SAME")
    add(client, "nothing", "select * from products")
    assert messages(client.plan()) == []


def test_a_full_comparison_sees_the_same_rows(client: Client) -> None:
    """Whether rows were dropped by their fingerprints or all compared is one to a test."""
    for code in "ABC":
        client.item(code)
    client.run()
    client.sql("update item set qty = '9' where code = 'B'")
    add(client, "count", "select count(*) from products having count(*) <> 3")
    assert messages(client.plan()) == []
    assert messages(client.plan(full=True)) == []


def test_a_warning_is_a_note_and_does_not_stop(client: Client) -> None:
    """The comment at the head of the test says so."""
    client.item("A", price="0")
    add(client, "no_free_items", "-- severity: warning\nselect * from products where csv_price_tiers = '0'")
    outcome = client.run()
    assert outcome.sent == 1
    assert outcome.plan.notes == ("The test no_free_items finds 1 row of products that must not exist: A.",)


def test_project_toml_decides_how_grave_a_test_is(client: Client) -> None:
    """What project.toml says of a test is worth more than its own head."""
    client.item("A", price="0")
    client.write(more='[tests]\nno_free_items = "warning"\n')
    add(client, "no_free_items", "select * from products where csv_price_tiers = '0'")
    assert client.run().sent == 1


def test_exactly_this_plan_can_be_approved(client: Client) -> None:
    """A plan that a person has read goes through by its digest, as with any guard."""
    client.item("A", price="0")
    add(client, "no_free_items", "select * from products where csv_price_tiers = '0'")
    assert client.run(expect=client.plan().digest).sent == 1


def test_an_approval_is_none_of_a_test_that_fails_since(client: Client) -> None:
    """The plan that was read said nothing of it, although the changes are the same ones."""
    client.item("A")
    approved = client.plan().digest
    add(client, "no_items", "select * from products")
    with pytest.raises(GuardError, match="the source changed since, or something else stops it"):
        client.run(expect=approved)
    assert client.posted() == 0
    assert client.run(expect=client.plan().digest).sent == 1


def test_an_approval_ends_when_rows_outside_of_the_plan_move_what_stops_it(client: Client) -> None:
    """A row that comes into quarantine is no change of the plan, but there are fewer sound rows than somebody read."""
    client.write(settings="expect = { min_rows = 5 }")
    for code in ("A", "B", "C"):
        client.item(code)
    client.run(expect=client.plan().digest)
    client.sql("update item set title = 'New' where code = 'A'")
    approved = client.plan().digest
    client.sql("update item set price = 'none' where code = 'B'")
    with pytest.raises(GuardError, match="Nothing was sent"):
        client.run(expect=approved)
    assert client.run(expect=client.plan().digest).sent == 1


def test_a_test_is_a_template_with_bound_values(client: Client) -> None:
    """Values of project.toml are bound, never spliced."""
    client.item("A", vendor="it's")
    client.write(more='[vars]\nvendor = "it\'s"\n')
    add(client, "vendor", "select *\nfrom products\nwhere vendor = {{ vars.vendor }}")
    assert messages(client.plan()) == ["The test vendor finds 1 row of products that must not exist: A."]


@pytest.mark.parametrize(
    ("sql", "line", "said"),
    [
        ("select *\nfrom products\nwhere vendr = 'x'", 3, "vendr"),
        ("select *\nfrom products\nwhere", None, "syntax error"),
        ("select 1; drop table products", None, "more than one statement"),
        ("select 1 from nowhere", None, "names no entity"),
        ("select * from products, customers", None, "products and customers"),
        ("-- severity: grave\nselect * from products", None, "no severity"),
        ("delete from products", None, "not one SELECT"),
        ("select 1 from products --\r; drop table meta", None, "more than one statement"),
        ("select 1 from products) select 1; drop table meta; select (1", None, "more than one statement"),
        ("select 1 as x from products union select content from read_text('/etc/passwd')", None, "reads read_text()"),
        ("copy products to '/tmp/x.csv'", None, "not one SELECT"),
        ("select * from products where {{ vars.nothing }}", 1, "nothing"),
    ],
)
def test_a_wrong_test_is_named_with_its_line(client: Client, sql: str, line: int | None, said: str) -> None:
    """A test that cannot run stops the entity as a fault of the project, and nothing is sent."""
    client.item("A")
    add(client, "wrong", sql)
    with pytest.raises(ConfigError) as caught:
        client.run()
    (fault,) = caught.value.diagnostics
    assert said in fault.message
    assert fault.path == client.root / "tests" / "wrong.sql"
    assert line in {None, fault.line}
    assert client.posted() == 0


def test_a_test_sees_no_other_table_of_the_state(client: Client) -> None:
    """What was published, earlier runs and settings are none of a branch's business."""
    client.item("A")
    client.run()
    for sql, foreign in (
        ("select (select max(value) from meta) as source_variant_code from products", "meta"),
        ("from run.valid_rows, products", "run.valid_rows"),
        ("with meta as (from meta) from products, meta", "meta"),
    ):
        add(client, "curious", sql)
        with pytest.raises(ViewError) as caught:
            client.plan()
        (fault,) = caught.value.diagnostics
        assert fault.message == f"The test reads {foreign}: it sees the rows of products alone."
    add(client, "curious", "with a as (from PRODUCTS), b as (from a union from a) from b, range(2) where false")
    assert client.plan().violations == ()


def test_a_severity_for_a_test_that_is_not_there_is_a_fault(client: Client) -> None:
    """A test that was renamed does not lose its severity in silence."""
    client.write(more='[tests]\nno_fre_items = "warning"\n')
    add(client, "no_free_items", "select * from products where false")
    with pytest.raises(ProjectError) as caught:
        client.plan()
    assert "Did you mean no_free_items" in caught.value.diagnostics[0].hint


def test_what_is_declared_is_checked_over_all_rows(client: Client) -> None:
    """min_rows, not_null and accepted_values look at unchanged rows as well as at changed ones."""
    client.item("A", vendor="Karoo")
    client.item("B", vendor="Other")
    client.item("C")
    client.run()
    client.write(
        settings='expect = { min_rows = 4, not_null = ["vendor"], accepted_values = { vendor = ["Karoo ", "Veld"] } }'
    )
    assert messages(client.plan()) == [
        "3 rows of products, sound and Active; at least 4 are wanted.",
        "1 row of products with a blank vendor: C.",
        "1 row of products with a vendor that is not accepted: B.",
    ]


def test_what_is_declared_and_holds_stops_nothing(client: Client) -> None:
    """Accepted numbers compare as numbers, and a column may go by any of its names."""
    client.item("A", qty="5.00")
    client.write(
        settings='expect = { min_rows = 1, not_null = ["title"], accepted_values = { "variants.qty" = ["5"] } }'
    )
    assert client.plan().violations == ()


@pytest.mark.parametrize(
    ("column", "value", "accepted"),
    [
        ("source_variant_code", None, " A "),
        ("title", "Braai  grid", "Braai  grid "),
        ("body_html", "<p>one\ntwo</p>", "<p>one\ntwo</p>"),
        ("csv_price_tiers", "19.90", "19.9"),
        ("variants.qty", "5.00", "5"),
        ("price_Trade", "12.50", "12.5"),
        ("variants.inventory_management", None, "yes"),
        ("tags", "blue, red", "blue,red"),
    ],
)
def test_a_value_of_any_type_is_compared_as_it_is_read(
    client: Client, column: str, value: str | None, accepted: str
) -> None:
    """Both ways of writing a value are one; another value is not accepted."""
    source = {
        "body_html": "html",
        "csv_price_tiers": "price",
        "variants.qty": "qty",
        "price_Trade": "trade",
    }.get(column, column)
    client.item("A", **({source: value} if value is not None else {}))
    expect = f'expect = {{{{ accepted_values = {{{{ "{column}" = [{{value}}] }}}} }}}}'
    client.write(settings=expect.format(value=json.dumps(accepted)))
    assert messages(client.plan()) == []
    client.write(settings=expect.format(value='"0"'))
    assert messages(client.plan()) == [f"1 row of products with a {column} that is not accepted: A."]


def test_only_a_minimum_of_rows_can_be_declared(client: Client) -> None:
    """One claim alone is enough."""
    client.item("A")
    client.write(settings="expect = { min_rows = 2 }")
    assert messages(client.plan()) == ["1 row of products, sound and Active; at least 2 are wanted."]


def test_what_is_declared_can_be_a_warning(client: Client) -> None:
    """The severity of the table is that of all its claims."""
    client.item("A")
    client.write(settings='expect = { min_rows = 2, severity = "warning" }')
    assert client.run().sent == 1


@pytest.mark.parametrize(
    ("newest", "stopped"),
    [
        *(("now()", False), ("now() - interval 30 hour", True), ("null", True), ("'not a time'", True)),
        ("now() + interval 2 hour", True),
    ],
)
def test_a_source_that_stands_still_is_told_by_its_newest_time(client: Client, newest: str, stopped: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The newest value of a column may be so many hours old."""
    view = "select code as source_product_code, code as source_variant_code, title, active as product_active,"
    view += ' sku as "variants.sku", vendor as meta_changed from item'
    client.write(view=view, settings='expect = { fresh = { column = "meta_changed", hours = 24 } }')
    client.item("A")
    client.sql(f"update item set vendor = cast({newest} as varchar)")
    assert len(messages(client.plan())) == stopped


@pytest.mark.parametrize("ahead", ["10 minute", "2 hour", "73 year"])
def test_times_in_the_future_do_not_count_and_are_told(client: Client, ahead: str) -> None:
    """One row dated 2099, or a clock of another zone, would have the source look fresh for ever."""
    client.write(
        view=VIEW.replace("    vendor,", "    vendor as meta_changed,"),
        settings='expect = { fresh = { column = "meta_changed", hours = 24 } }',
    )
    client.item("A", vendor="2020-01-01 00:00:00")
    client.item("B")
    client.sql(f"update item set vendor = cast(now() + interval {ahead} as varchar) where code = 'B'")
    plan = client.plan()
    assert ["hours old (2020-01-01" in message for message in messages(plan)] == [True]
    assert ["1 row of products with a meta_changed in the future" in note for note in plan.notes] == [True]


def test_local_times_are_read_in_the_zone_that_the_project_says(client: Client) -> None:
    """South Africa is two hours ahead of UTC; a time that names its zone is read with that one."""
    zone = "Africa/Johannesburg"
    client.write(
        view=VIEW.replace("    vendor,", "    vendor as meta_changed,"),
        settings=f'expect = {{ fresh = {{ column = "meta_changed", hours = 1, timezone = "{zone}" }} }}',
    )
    client.item("A")
    for hours, zoned, stopped in ((0, "", 0), (-2, "", 1), (-2, "+00", 0), (-4, "+00", 1)):
        client.sql(
            "set timezone = 'UTC'",
            "update item set vendor = strftime(now()::timestamp + interval 2 hour + interval"
            f" ({hours}) hour, '%Y-%m-%d %H:%M:%S') || '{zoned}'",
        )
        plan = client.plan()
        assert (len(messages(plan)), plan.notes) == (stopped, ())


@pytest.mark.parametrize(
    ("hours", "words"), [("1", "at most 1 hour is expected."), ("1.5", "at most 1.5 hours are expected.")]
)
def test_an_age_is_told_in_proper_words(client: Client, hours: str, words: str) -> None:
    """One hour is one hour."""
    client.write(
        view="select code as source_product_code, code as source_variant_code, title, active as product_active,"
        ' sku as "variants.sku", vendor as meta_changed from item',
        settings=f'expect = {{ fresh = {{ column = "meta_changed", hours = {hours} }} }}',
    )
    client.item("A", vendor="2020-01-01 00:00:00")
    (message,) = messages(client.plan())
    assert message.endswith(words)


def test_a_column_that_is_not_mapped_cannot_be_expected(client: Client) -> None:
    """The message names the column and what is mapped."""
    client.item("A")
    client.write(settings='expect = { not_null = ["vendr"] }')
    with pytest.raises(ProjectError) as caught:
        client.plan()
    assert "Did you mean vendor" in caught.value.diagnostics[0].hint


def test_the_same_tests_run_on_fixtures(tmp_path: Path) -> None:
    """A rehearsal reports what fails; fixtures are a sample without an age, so both are left out."""
    expected = 'min_rows = 3\nnot_null = ["variants.qty"]\nfresh = { column = "title", hours = 1 }'
    root = write_project(tmp_path, settings=f"\n[products.expect]\n{expected}\n")
    write(root / "tests" / "dear.sql", "select * from products where csv_price_tiers = '100'")
    failed = rehearsed(tmp_path).failed
    assert [(test.name, test.severity, test.keys) for test in failed] == [
        ("products.not_null.variants.qty", "error", ("B2",)),
        ("dear", "error", ("B2",)),
    ]


def test_all_that_is_wrong_with_the_tests_is_said_at_once(tmp_path: Path) -> None:
    """Two wrong tests are two faults."""
    root = write_project(tmp_path)
    write(root / "tests" / "a.sql", "select 1")
    write(root / "tests" / "b.sql", "select * from customers")
    with pytest.raises(ViewError) as caught:
        data_tests(offline(tmp_path))
    assert len(caught.value.diagnostics) == 2
