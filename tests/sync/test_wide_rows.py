"""Rows with descriptions of many KB: what they cost in memory and requests, and that nothing of them is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StateError
from engine.mapping.engine_sql import render_sql
from engine.state.store import State, open_state
from engine.sync import journal
from engine.sync.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.client import Client

SETTINGS = 'max_changes = "100%"\nmax_deletes = "100%"\n'


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any rows count as wide, and few of them are folded at a time."""
    monkeypatch.setattr(journal, "MIN_WIDE_ROW_BYTES", 1)
    monkeypatch.setattr(journal, "MIN_WIDE_BYTES", 1)
    monkeypatch.setattr(journal, "PART_BYTES", 500)


def describe(client: Client, *, rows: int, size: int) -> None:
    """Insert rows with HTML of so many bytes, none of which is like another."""
    client.sql(
        "insert into item (product, code, title, active, price, qty, sku, html)"
        " select c, c, 'Item ' || c, 'Yes', '100.00', '5', c,"
        f" (select string_agg('<p>' || md5(c || n) || '</p>', '') from range({size // 39}) as parts(n))"
        f" from (select printf('I%05d', n) as c from range({rows}) as numbers(n))"
    )


def published(client: Client) -> list[tuple[object, ...]]:
    """What the state believes of each row."""
    with open_state(client.project.state) as state:
        return state.rows('select _key, _group, title, "variants.qty" from published_products order by _key')


def test_a_first_load_of_long_descriptions_needs_no_more_memory_than_hundreds_of_them(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB would hold thousands of them; nor does a run that changes many of them."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["192MB"])
    monkeypatch.setattr(State, "increase_memory_limit", lambda _: pytest.fail("more memory is asked for"))
    client.write(settings=SETTINGS)
    describe(client, rows=2_200, size=60_000)
    assert client.run().sent == 2_200
    client.sql("update item set qty = '6' where code < 'I00700'")
    assert client.run().sent == 700
    assert client.run().sent == 0
    assert [row[3] for row in published(client)] == [*([6] * 700), *([5] * 1_500)]


@pytest.mark.parametrize("column", ["html", "vendor"])
def test_a_plan_counts_the_requests_that_long_texts_need(client: Client, column: str) -> None:
    """A request takes 8 MB; the short ones beside them travel together as ever."""
    client.write(settings=SETTINGS)
    describe(client, rows=100, size=200_000)
    client.sql("update item set html = 'short' where code < 'I00060'")
    if column != "html":
        client.sql(f"update item set {column} = html, html = null")
    plan = client.plan()
    requests = len([one for one in client.sandbox.requests if one.path.endswith("/queue")])
    client.run()
    made = [one for one in client.sandbox.requests if one.path.endswith("/queue")][requests:]
    assert plan.batches == len(made) == 2


def test_few_long_texts_among_many_short_ones_are_not_held_together(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On average the rows are short, and all the long ones are sent one after the other."""
    client.write(settings=SETTINGS)
    describe(client, rows=40, size=500_000)
    client.items(1_000)
    held: list[int] = []
    rows = Documents.rows

    def weighed(*asked: Any) -> list[dict[str, Any]]:
        made = rows(*asked)
        held.append(sum(len(row["item"]) for row in made))
        return made

    monkeypatch.setattr(Documents, "rows", weighed)
    for number in range(2):
        client.sql(f"update item set qty = '{number}'")
        assert client.run().sent == 1_040
    assert max(held) < 8_000_000
    assert {len(row.get("body_html") or "") for row in client.held().values()} == {0, 500_000 // 39 * 39}


def test_what_a_fold_in_parts_leaves_is_folded_by_the_next_run(
    client: Client, in_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut between two parts: nothing is lost, and nothing is sent again."""
    client.write(settings=SETTINGS)
    client.items(12)
    client.shirt("T", "S", "M", "L")
    client.run()
    client.sql("update item set qty = '9', title = 'New ' || product", "delete from item where code = 'I003'")
    transaction = State.transaction_with_retry
    parts = 0

    def cut(state: State, work: Callable[[], None]) -> None:
        nonlocal parts
        folding = state.value("select count(*) from acknowledged_products") == 15
        if folding or parts:
            parts += 1
            if parts > 2:
                raise StateError("The power is cut.")
        transaction(state, work)

    monkeypatch.setattr(State, "transaction_with_retry", cut)
    with pytest.raises(StateError, match="power"):
        client.run()
    monkeypatch.setattr(State, "transaction_with_retry", transaction)
    with open_state(client.project.state) as state:
        left = state.value("select count(*) from acknowledged_products")
        assert 0 < left < 14
    assert client.run().sent == 0
    rows = published(client)
    assert len(rows) == 14
    assert {row[3] for row in rows} == {9}
    assert {row[2] for row in rows} == {f"New {row[1]}" for row in rows}


def test_a_table_of_wide_rows_keeps_few_parts_and_few_deleted_rows(
    client: Client, in_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run adds a part, and leaves the rows behind that it replaced: they do not pile up."""
    monkeypatch.setattr(journal, "MAX_SMALL_PARTS", 3)
    client.write(settings=SETTINGS)
    client.items(30)
    client.run()
    for number in range(12):
        client.sql(f"update item set qty = '{100 + number}' where code <= 'I00{number % 10}'")
        client.run()
        with open_state(client.project.state) as state:
            (facts,) = state.dicts(render_sql("table_parts.sql", table="published_products"))
        assert facts["live"] == 30
        assert facts["held"] <= 60 + 10
    assert client.run().sent == 0
    assert [int(str(row[3])) for row in published(client)][:10] == [
        max(100 + number for number in range(12) if number % 10 >= place) for place in range(10)
    ]
