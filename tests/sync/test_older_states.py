"""A state that an older version wrote opens with nothing to send but what is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from engine.state.store import open_state

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client

VERSION_3 = (
    "create table tried (entity varchar not null, key varchar not null, product varchar, under_way boolean)",
    "insert into tried values ('products', 'T', 'T', true)",
    "drop table in_doubt",
    "drop table approved",
    "insert into meta values ('allowed:products', '1 500 500')",
    "update meta set value = '3' where name = 'version'",
    "alter table published_products drop column _own",
    "alter table acknowledged_products drop column _own",
    "update published_products set title = 'Two' where _key = 'V2'",
)
"""What was otherwise: new keys are tried, counts are allowed, and each variant's own title is published."""


def downgrade(path: Path) -> None:
    """Make of a state what the version before would have written."""
    with duckdb.connect(str(path)) as connection:
        for statement in VERSION_3:
            connection.execute(statement)


@pytest.mark.parametrize("full", ["no", "yes"])
def test_a_state_of_version_3_sends_nothing_but_what_was_tried(client: Client, full: str) -> None:
    """Also where variants differ in a field of their product, and every row is compared again."""
    client.items(20)
    client.item("V1", product="V", title="One", size="1")
    client.item("V2", product="V", title="Two", size="2")
    client.item("Q", qty="many")
    client.item("G", active="")
    client.sandbox.faults.refuse_sku("I007")
    client.run()
    downgrade(client.project.state)
    plan = client.plan(full=full == "yes")
    assert [(change.key, change.kind) for change in plan.changes] == [("T", "delete")]
    assert (plan.counts.refused, plan.counts.quarantined, plan.counts.ignored) == (1, 1, 1)
    with open_state(client.project.state) as state:
        assert state.rows("select key, product, kind from in_doubt") == [("T", "T", "insert")]
        assert state.meta("allowed:products") is None
    client.sql("delete from item where code = 'V1'")
    client.run(approve_deletes=2)
    assert client.held()["V2"]["title"] == "Two"


def test_a_state_of_version_3_whose_run_broke_off_goes_on(client: Client) -> None:
    """Its journal is folded as it was written, before its rows are made what was sent."""
    client.item("V1", product="V", title="One", size="1")
    client.item("V2", product="V", title="Two", size="2")
    client.run()
    with open_state(client.project.state) as state:
        state.run(
            "insert into acknowledged_products by name select *, 'upsert' as _kind from published_products"
            " where _key = 'V1'"
        )
    downgrade(client.project.state)
    client.item("T")
    assert [(change.key, change.kind) for change in client.plan().changes] == [("T", "insert")]
