"""Record what became of rows: advance published, and only by what Stock2Shop acknowledged.

A receipt is appended to a journal in one transaction as it arrives; the journal is folded into published when the
run ends or, after a crash, when the next one begins. So each batch is durable by itself at the price of its own
rows, however large the catalogue is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.clock import now
from engine.mapping.engine_sql import render_sql
from engine.sync.layout import table_names
from engine.sync.stage import load_window, windows

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
    state.with_retry(lambda: state.run_once(render_sql("tables.sql", **tables)))
    count = int(state.value(render_sql("count.sql", table=tables["acknowledged"])))
    if count:
        state.transaction_with_retry(lambda: state.run(render_sql("compact_journal.sql", **tables, entity=entity)))
    # A key that the journal does not answer was never answered: it is no longer part of a batch under way.
    state.run("update tried set under_way = false where entity = $1 and under_way", [entity])
    return count


def mark_in_flight(state: State, *, entity: str, window: Window) -> None:
    """Remember the inserts of a batch that is about to be sent, whose rows are in ``run.window_rows``.

    Without this, a row that Stock2Shop took just before a crash, and that left the source just after it, would stay at
    Stock2Shop forever: nothing here would know of it.
    """
    sql = render_sql("mark_in_flight.sql", entity=entity, **window.bounds)
    state.transaction_with_retry(lambda: state.run(sql))


def record_local_outcomes(state: State, staged: Staged) -> None:
    """Persist what needs no reply from Stock2Shop: ignored rows, quarantine, refreshed fingerprints."""
    layout = staged.layout
    entity = layout.entity.name
    sql = render_sql(
        "local_outcomes.sql",
        **layout.tables,
        entity=entity,
        incremental=staged.incremental,
        current=state.meta(f"definition:{entity}") == layout.definition,
        fingerprint=layout.fingerprint,
        parts=1 + int(state.value("select count(*) from run.verdict")) // REFRESH_ROWS,
        now=now(),
    )

    def record() -> None:
        state.run(sql)
        for name, value in (("definition", layout.definition), ("mapping", layout.mapping)):
            if state.meta(f"{name}:{entity}") != value:
                state.set_meta(f"{name}:{entity}", value)

    state.transaction_with_retry(record)


def record_receipt(
    state: State, layout: StagingLayout, window: Window, *, kinds: Collection[str], receipt: Receipt
) -> None:
    """Record one receipt, of the rows of ``run.window_rows`` in ``window``.

    ``kinds`` are the kinds of change that are among them, or may be: an update has differences to be kept, and a
    removal ends the doubt whether Stock2Shop holds the key.
    """
    sql = render_sql(
        "receipt.sql",
        acknowledged=layout.acknowledged,
        entity=layout.entity.name,
        fields=layout.fields,
        kinds=kinds,
        run_id=receipt.run_id,
        delivery_key=receipt.delivery_key,
        status=receipt.status,
        now=now(),
        **window.bounds,
    )
    state.transaction_with_retry(lambda: state.run(sql))


def acknowledge_all(state: State, staged: Staged, *, delivery_key: str) -> None:
    """Take everything that was compared as sent and acknowledged.

    For a state that is thrown away: what another mapping would send after this one is then a plain comparison.
    """
    layout = staged.layout
    record_local_outcomes(state, staged)
    receipt = Receipt(run_id=0, delivery_key=delivery_key, status=0)
    for window in windows(state, staged):
        load_window(state, layout, window)
        record_receipt(state, layout, window, kinds={"update", "delete"}, receipt=receipt)
    compact_journal(state, layout.entity.name)


def record_refusal(
    state: State,
    *,
    entity: str,
    key: str,
    kind: Literal["insert", "update", "delete", "resend"],
    reason: str,
    taken: bool,
) -> None:
    """Quarantine a row that Stock2Shop refused, until its content changes or somebody asks to retry it.

    ``taken`` says that Stock2Shop may hold it nevertheless.
    """
    at = now()
    state.run(
        "update tried set under_way = false where entity = $1 and key = $2"
        if taken
        else "delete from tried where entity = $1 and key = $2",
        [entity, key],
    )
    state.run(
        "insert into quarantine select $1, _key, _group, coalesce(_raw, 0), _fingerprint, 'the row', 'refused',"
        " kind, $4, $5, $5, null from run.outgoing where _key = $2 and kind = $3",
        [entity, key, kind, reason, at],
    )
