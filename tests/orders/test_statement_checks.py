"""What check and doctor say of the statements of orders/ before there is an order."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.erp import STATEMENTS, order_document
from support.output import read_result

from engine.orders import operations

if TYPE_CHECKING:
    from support.erp import Erp

HEADER = STATEMENTS["10_header.sql"]


def test_statements_that_are_right_pass_the_check_without_a_word(any_erp: Erp) -> None:
    """And doctor, which tries them in the database and leaves nothing there."""
    checked = any_erp.s2s("check", "acme")
    assert (checked.returncode, "orders/" in checked.stdout, "acme: ready" in checked.stdout) == (0, False, True)
    found = [each for each in findings(any_erp) if each["name"] == "orders"]
    assert [each["state"] for each in found] == ["ok"], found
    assert any_erp.orders() == []


def findings(erp: Erp) -> list[dict[str, str]]:
    """What doctor finds."""
    found: list[dict[str, str]] = read_result(erp.s2s("doctor", "acme", "--output", "json").stdout)
    return found


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("10_header.sql", HEADER.replace("{{ order.notes }}", "{{ order.notes[:30] }}")),
        ("20_lines.line.sql", "insert into erp_line (sku, price) values ({{ line.sku }}, {{ line.price * 2 }})"),
        ("90_code.sql", "select {{ order.shipping_address.city.upper() }} as source_order_code"),
    ],
)
def test_a_statement_that_needs_what_an_order_may_not_say_is_named(erp: Erp, name: str, sql: str) -> None:
    """As a warning, with its file; such an order waits, and is not tried again and again."""
    erp.write(statements={name: sql})
    checked = erp.s2s("check", "acme")
    assert (checked.returncode, "warning: For an order that does not say every value" in checked.stdout) == (0, True)
    assert f"orders/{name}:1" in checked.stdout
    lines = [{"sku": "A", "qty": 1}]
    (entry,) = erp.receive(order_document(notes=None, shipping_address=None, line_items=lines, total=None))
    assert (entry.status, entry.rule, erp.orders()) == ("waiting", "template", [])
    assert name in entry.reason


@pytest.mark.parametrize(
    ("lookup", "warned"),
    [
        ("reference = {{ order.reference }}", True),
        ("reference = {{ order.channel_order_code }}", True),
        ("s2s_id = {{ order.id }}", False),
        ("reference = {{ 'S2S-' ~ order.id }}", False),
        ("reference = {{ order.reference }} and channel = {{ order.channel_id }}", False),
        ("reference = {{ order.channel_id ~ '/' ~ order.reference }}", False),
    ],
)
def test_a_lookup_by_the_channels_number_alone_is_warned_of(erp: Erp, lookup: str, *, warned: bool) -> None:
    """Two channels may have the same one."""
    erp.write(statements={"lookup.sql": f"select 'SO' as source_order_code from erp_order where {lookup}"})
    checked = erp.s2s("check", "acme")
    assert (checked.returncode, "two channels may have the same order number" in checked.stdout) == (0, warned)


@pytest.mark.parametrize("name", ["item.sql", "lookup.sql"])
def test_a_missing_statement_is_warned_of(erp: Erp, name: str) -> None:
    """By check and by doctor."""
    erp.write(statements={name: None})
    assert f"There is no {name}." in erp.s2s("check", "acme").stdout
    assert [each["state"] for each in findings(erp) if f"There is no {name}." in each["detail"]] == ["warn"]


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("lookup.sql", "select id as source_order_code from nowhere where s2s_id = {{ order.id }}"),
        ("10_header.sql", HEADER.replace("warehouse)", "no_such_column)")),
        ("20_lines.line.sql", "insert into nowhere (order_id, sku) values ({{ results.header.id }}, {{ line.sku }})"),
        ("90_code.sql", "selec 'SO' as source_order_code"),
        ("customer.sql", "insert into erp_customer (code, name) vales ({{ customer.code }}, 'x')"),
    ],
)
def test_doctor_finds_what_the_database_would_refuse(any_erp: Erp, name: str, sql: str) -> None:
    """A table or a column that is not there, and mistakes of SQL; nothing is written."""
    any_erp.write(statements={name: sql})
    bad = [each["detail"] for each in findings(any_erp) if each["name"] == "orders" and each["state"] == "bad"]
    assert bad
    assert all(f"orders/{name}" in each for each in bad), bad
    assert any_erp.orders() == []


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
@pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
def test_doctor_names_tables_that_undo_nothing(any_erp: Erp, engine: str) -> None:
    """With what to do; a table of which no statement speaks is not named."""
    for table in ("erp_line", "erp_customer"):
        with suppress(Exception):  # no rows
            any_erp.rows(f"alter table {table} engine = {engine}")
    with suppress(Exception):  # no rows
        any_erp.rows("create table erp_lines_of_old (x int) engine = MyISAM")
    bad = {(each["detail"], each["todo"]) for each in findings(any_erp) if each["state"] == "bad"}
    assert {todo for _, todo in bad} >= {
        "alter table erp_line engine = InnoDB",
        "alter table erp_customer engine = InnoDB",
    }
    assert not any("of_old" in todo for _, todo in bad)


WRITING = {
    "sqlite": ("create table made (x int)", "pragma user_version = 7"),
    "postgres": (
        "create table made (x int)",
        "truncate erp_item",
        "select bump()",
        "select nextval('erp_order_id_seq')",
    ),
    "mysql": ("create table made (x int)", "truncate erp_item", "select bump()"),
}
BUMP = {
    "sqlite": (),
    "postgres": (
        "create function bump() returns int language sql as $$ insert into erp_item values ('bumped', 1); select 1 $$",
    ),
    "mysql": (
        "set global log_bin_trust_function_creators = 1",
        "create function bump() returns int begin insert into erp_item values ('bumped', 1); return 1; end",
    ),
}


def test_doctor_writes_nothing_whatever_a_statement_does(any_erp: Erp) -> None:
    """What cannot be tried without running it is named, and not run: DDL, a function that writes, a sequence."""
    for statement in BUMP[any_erp.dialect]:
        with suppress(Exception):  # no rows
            any_erp.rows(statement)
    writing = {f"{number}_x.sql": sql for number, sql in enumerate(WRITING[any_erp.dialect], 50)}
    any_erp.write(statements=dict(writing))
    before = any_erp.rows("select code from erp_item order by code")
    (found,) = [each for each in findings(any_erp) if each["name"] == "orders"]
    assert (found["state"], [name for name in writing if name not in found["todo"]]) == ("ok", []), found
    assert any_erp.rows("select code from erp_item order by code") == before
    if any_erp.dialect == "postgres":
        assert any_erp.rows("select is_called from erp_order_id_seq") == [("0",)]
    with pytest.raises(Exception, match="made"):
        any_erp.rows("select x from made")


def test_a_statement_with_a_comment_before_it_is_tried(any_erp: Erp) -> None:
    """As the one that says that it may write nothing."""
    sql = "-- s2s: may write no row\ninsert into nowhere (x) values ({{ order.id }})"
    any_erp.write(statements={"40_more.sql": sql})
    assert [each["detail"] for each in findings(any_erp) if each["state"] == "bad"]


def test_a_statement_that_nobody_can_render_is_tried_again_once_it_is_fixed(erp: Erp) -> None:
    """The mistake is the project's, not the order's: no order waits for a person."""
    erp.write(statements={"10_header.sql": HEADER.replace("order.notes", "order.nots")})
    (entry,) = erp.receive(order_document())
    assert (entry.status, "nots" in entry.reason) == ("failed", True)
    erp.write()
    (entry,) = operations.retry_orders(erp.project, erp.ledgers, (1001,), stop=threading.Event())
    assert entry.status == "raised"
