"""Parameters carry their type: no amount changes with its being whole or not, and nothing is cut in silence."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import order_document, order_line

from engine.orders.parameters import PARAMETER, write_parameters

if TYPE_CHECKING:
    from support.erp import Erp

EXPRESSIONS = {
    "{{ line.price }} / 2": 2,
    "({{ line.price }}) / 2": 2,
    "{{ line.price }} * 2 / 4": 2,
    "coalesce({{ line.price }}, 0)": 1,
    "coalesce({{ line.price }}, 0) / 2": 2,
    "case when 1 = 1 then {{ line.price }} else 0 end": 1,
    "case when {{ line.price }} > 1000 then 0 else {{ line.price }} / 2 end": 2,
    "round({{ line.price }} / 2, 2)": 2,
}


@pytest.mark.parametrize("price", ["121", "121.5", "0.99"])
def test_no_amount_changes_with_its_being_whole_or_not(any_erp: Erp, price: str) -> None:
    """Whatever is calculated with it, on every database."""
    lines = "; ".join(EXPRESSIONS)
    statements: dict[str, str | None] = {"20_lines.line.sql": None, "30_shipping.shipping.sql": None}
    for number, expression in enumerate(EXPRESSIONS, 20):
        statements[f"{number}_price.line.sql"] = (
            f"insert into erp_line (order_id, sku, qty, price) values ({number}, 'A', 1, {expression})"
        )
    any_erp.write(statements=statements)
    (entry,) = any_erp.receive(order_document(line_items=[order_line(price=price)], total=None))
    assert (entry.status, entry.reason) == ("raised", ""), lines
    found = dict(any_erp.rows("select order_id, price from erp_line"))
    wanted = {number: Decimal(price) / by for number, by in enumerate(EXPRESSIONS.values(), 20)}
    for number, amount in wanted.items():
        assert abs(Decimal(str(found[number])) - amount) <= Decimal("0.005"), list(EXPRESSIONS)[number - 20]


@pytest.mark.parametrize("any_erp", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("concat('S2S-', {{ order.reference }})", "S2S-#1001"),
        ("{{ order.reference }} || {{ order.reference }}", "#1001#1001"),
        ("to_char({{ order.date }} + interval '7 days', 'YYYY-MM-DD')", "2026-03-08"),
        ("'R' || {{ order.total }}", "R79.15"),
        ("format('%s', {{ order.reference }})", "#1001"),
    ],
)
def test_texts_and_times_are_what_they_are_in_expressions(any_erp: Erp, expression: str, wanted: str) -> None:
    """PostgreSQL would refuse them, or take them for something else."""
    any_erp.write(statements={"15_notes.sql": f"update erp_order set notes = {expression}"})
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.reason) == ("raised", "")
    assert any_erp.rows("select notes from erp_order") == [(wanted,)]


@pytest.mark.parametrize("any_erp", ["postgres"], indirect=True)
def test_a_quantity_with_decimals_is_refused_by_a_column_of_whole_numbers(any_erp: Erp) -> None:
    """It is not rounded: what is inserted as it is takes the column's type."""
    with suppress(Exception):  # no rows
        any_erp.rows("alter table erp_line alter column qty type integer")
    (entry,) = any_erp.receive(order_document(line_items=[order_line(qty=2.5)], total=None))
    assert (entry.status, entry.rule, any_erp.orders()) == ("waiting", "refused", [])


@pytest.mark.parametrize("any_erp", ["mysql"], indirect=True)
def test_nothing_is_cut_in_silence_whatever_the_servers_mode(any_erp: Erp) -> None:
    """MariaDB and MySQL do so where their sessions are not strict."""
    with suppress(Exception):  # no rows
        any_erp.rows("set global sql_mode = ''")
    try:
        (entry,) = any_erp.receive(order_document(channel_order_code="#" + "9" * 150))
        with suppress(Exception):  # no rows
            any_erp.rows("alter table erp_order modify notes varchar(100) character set latin1")
        (other,) = any_erp.receive(order_document(1002, notes="\N{PARTY POPPER}"))
        assert [(each.status, each.rule) for each in (entry, other)] == [("waiting", "refused")] * 2
        header = "insert into erp_order (s2s_id, reference, customer, notes) values ({{ order.id }},"
        header += " {{ order.reference }}, 'C1', {{ order.notes | charset('cp1252') }}) returning id"
        any_erp.write(statements={"10_header.sql": header})
        (third,) = any_erp.receive(order_document(1003, notes="Caf\u00e9 \N{PARTY POPPER} \u2018x\u2019 \ufb01n"))
        assert third.status == "raised", third.reason
        assert any_erp.rows("select notes from erp_order where s2s_id = 1003") == [("Caf\u00e9  \u2018x\u2019 fin",)]
    finally:
        with suppress(Exception):  # no rows
            any_erp.rows("set global sql_mode = default")


def test_an_amount_of_whole_tens_has_no_exponent_in_a_text(erp: Erp) -> None:
    """100 reads 100, also where a statement makes a text of it."""
    line = "insert into erp_line (order_id, sku, qty, price) values (1, {{ line.qty ~ ' x R' ~ line.price }}, 1, 1)"
    erp.write(statements={"20_lines.line.sql": line})
    erp.receive(order_document(line_items=[order_line(qty=20, price=100, sub_total=2000)], total=None))
    assert erp.rows("select sku from erp_line") == [("20 x R100",)]


def _written(sql: str, binds: tuple[Any, ...], dialect: str = "postgres") -> str:
    return write_parameters(sql.replace("?", PARAMETER), binds, dialect)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("insert into t values (?, ?)", "insert into t values (?, ?)"),
        ("update t set a = ?, b = b + ? where c = ?", "update t set a = ?, b = b + cast(? as numeric) where c = ?"),
        ("select my_function(?, ?)", "select my_function(?, ?)"),
        ("select '? / 2', ? /* ? */ / 2", "select '? / 2', cast(? as numeric) /* ? */ / 2"),
        ("insert into t select ?, a from u where b in (?, ?)", "insert into t select ?, a from u where b in (?, ?)"),
        ("select greatest(?, (1 + 2))", "select greatest(cast(? as numeric), (1 + 2))"),
    ],
)
def test_a_parameter_that_stands_alone_takes_the_columns_type(sql: str, wanted: str) -> None:
    """Only what is calculated with is cast."""
    marked = sql.replace("'? / 2'", "'x / 2'").replace("/* ? */", "/* x */")
    expected = wanted.replace("'? / 2'", "'x / 2'").replace("/* ? */", "/* x */")
    assert _written(marked, (Decimal(1),) * marked.count("?")) == expected
