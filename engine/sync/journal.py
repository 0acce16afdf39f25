"""Record what became of rows: advance published, and only by what Stock2Shop acknowledged.

A receipt is appended to a journal in one transaction as it arrives; the journal is folded into published when the
run ends or, after a crash, when the next one begins. So each batch is durable by itself at the price of its own
rows, however large the catalogue is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import now
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES
from engine.sync.layout import table_names
from engine.sync.stage import create_tables, load_window, windows

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.state.store import State
    from engine.sync.layout import Staged, StagingLayout, Window

REFRESH_ROWS = 250_000
"""How many fingerprints are refreshed at a time: with 500,000, DuckDB needs more memory than a run begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is recorded with the rows of a receipt: the run, the delivery key that they were sent under, the status."""

    run_id: int
    delivery_key: str
    status: int


def compact_journal(state: State, entity: str) -> int:
    """Fold the journal of ``entity`` into published; gives how many rows it held."""
    tables = table_names(entity)
    create_tables(state, entity)
    (facts,) = state.dicts(render_sql("journal_facts.sql", **tables, entity=entity))
    if facts["entries"]:
        sql = render_sql(
            "compact_journal.sql", **tables, **facts, entity=entity, shared=_product_columns(state, entity)
        )
        state.transaction_with_retry(lambda: state.run(sql))
    if facts["has_refused"] and "_own" in state.columns(tables["published"]):
        state.run_with_retry(render_sql("refused_speakers.sql", published=tables["published"], entity=entity))
    if facts["has_doubts"]:
        # What was not answered stays in doubt, whatever run it was of.
        state.run("update in_doubt set position = null where entity = $1 and position is not null", [entity])
    return int(facts["entries"])


def _product_columns(state: State, entity: str) -> list[str]:
    """The columns of published that all variants of a product have in common.

    None where an older version wrote the state: it has every variant's own values as published, and is converted later.
    """
    catalogue = ENTITIES[entity]
    columns = state.columns(table_names(entity)["published"])
    if catalogue.group is None or "_own" not in columns:
        return []
    fields = (catalogue.resolve(column) for column in columns)
    return [field.name for field in fields if field is not None and field.level == "product"]


def mark_in_flight(state: State, *, entity: str, window: Window) -> None:
    """Remember, durably, every row of a batch that is about to be sent, whose rows are in ``run.window_rows``.

    Until it is answered it is in doubt: Stock2Shop may have taken it, however the run ends. The next run sends what the
    key is then, removes it where it is gone, and counts it as published.
    """
    sql = render_sql("mark_in_flight.sql", entity=entity)
    state.transaction_with_retry(lambda: state.run(sql, window.bounds))


def withdraw_in_flight(state: State, *, entity: str, window: Window) -> None:
    """Take back :func:`mark_in_flight` for a batch of which nothing went out: nobody can have taken it."""
    sql = "delete from in_doubt where entity = $entity and position > $after and position <= $upto"
    state.run(sql, {"entity": entity, **window.bounds})


def record_local_outcomes(state: State, staged: Staged) -> None:
    """Persist what needs no reply from Stock2Shop: ignored rows, quarantine, refreshed fingerprints."""
    layout = staged.layout
    entity = layout.entity.name
    sql = render_sql(
        "local_outcomes.sql",
        **layout.tables,
        facts={
            fact
            for (fact,) in state.rows(render_sql("local_facts.sql", settled=layout.tables["settled"], entity=entity))
        },
        entity=entity,
        incremental=staged.incremental,
        current=state.meta(f"definition:{entity}") == layout.definition,
        fingerprint=layout.fingerprint,
        parts=1 + staged.landed // REFRESH_ROWS,
    )

    def record() -> None:
        state.run(sql, {"now": now()})
        for name, value in (("definition", layout.definition), ("mapping", layout.mapping)):
            if state.meta(f"{name}:{entity}") != value:
                state.set_meta(f"{name}:{entity}", value)

    state.transaction_with_retry(record)


def record_receipt(
    state: State, layout: StagingLayout, window: Window, *, kinds: Collection[str], ends_doubt: bool, receipt: Receipt
) -> None:
    """Record one receipt, of the rows of ``run.window_rows`` in ``window``; with it these rows are no longer in doubt.

    ``kinds`` are the kinds of change that are among them, or may be: an update has differences to be kept.
    ``ends_doubt`` tells that something of these keys may be in doubt from before this batch.
    """
    sql = render_sql(
        "receipt.sql",
        acknowledged=layout.acknowledged,
        published=layout.published,
        entity=layout.entity.name,
        fields=layout.fields,
        carried=layout.carried,
        kinds=kinds,
        ends_doubt=ends_doubt,
        delivery_key=receipt.delivery_key,
    )
    values = {"run_id": receipt.run_id, "status": receipt.status, "now": now(), **window.bounds}
    state.transaction_with_retry(lambda: state.run(sql, values))


def acknowledge_all(state: State, staged: Staged, *, delivery_key: str) -> None:
    """Take everything that was compared as sent and acknowledged.

    For a state that is thrown away: what another mapping would send after this one is then a plain comparison.
    """
    layout = staged.layout
    record_local_outcomes(state, staged)
    receipt = Receipt(run_id=0, delivery_key=delivery_key, status=0)
    for window in windows(state, staged):
        load_window(state, layout, window)
        record_receipt(state, layout, window, kinds={"update"}, ends_doubt=False, receipt=receipt)
    compact_journal(state, layout.entity.name)


def record_refusal(state: State, *, entity: str, position: int, reason: str, taken: bool) -> None:
    """Quarantine the row at ``position``, which Stock2Shop refused, until it changes or somebody asks to retry it.

    ``taken`` says that Stock2Shop may hold it nevertheless: then it stays in doubt. So does a variant that was to leave
    its product for another one: published will have it in that one alone, and Stock2Shop has it in both.
    """

    def record() -> None:
        if not taken:
            state.run(
                "delete from in_doubt where entity = $1 and position = $2 and not exists"
                " (from run.outgoing where position = $2 and kind = 'delete' and cause = 'replaced')",
                [entity, position],
            )
        state.run(
            "insert into quarantine select $1, _key, _group, coalesce(_raw, 0), _fingerprint, 'the row', 'refused',"
            " kind, $3, $4, $4, null from run.outgoing where position = $2",
            [entity, position, reason, now()],
        )

    state.transaction_with_retry(record)
