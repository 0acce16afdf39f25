"""Record what became of rows: advance published, and only by what Stock2Shop acknowledged.

A receipt is appended to a journal in one transaction as it arrives; the journal is folded into published when the
run ends or, after a crash, when the next one begins. So each batch is durable by itself at the price of its own
rows, however large the catalogue is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from engine.clock import now
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES
from engine.sync.layout import table_names
from engine.sync.stage import create_tables, load_window, windows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.state.store import State
    from engine.sync.layout import Staged, StagingLayout, Window

MIN_WIDE_ROW_BYTES = 2_000
MIN_WIDE_BYTES = 64_000_000
"""Rows so wide, and so many bytes of them, are folded and merged a part at a time: DuckDB would hold them all in memory
that it writes into one part of a table, which has up to 122,880 rows."""

PART_BYTES = 32_000_000
"""About how many bytes of wide rows are folded or merged at a time."""

MAX_SMALL_PARTS = 100
"""A table of wide rows may have so many parts more than it needs before they are merged: each run adds one at least."""

REFRESH_ROWS = 250_000
"""How many fingerprints are refreshed at a time: with 500,000, DuckDB needs more memory than a run begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is recorded with the rows of a receipt: the run, the delivery key that they were sent under, the status."""

    run_id: int
    delivery_key: str
    status: int


def remember_wide_rows(state: State, staged: Staged) -> None:
    """Remember that the state holds many wide rows, so that they are folded and merged a part at a time."""
    if staged.width >= MIN_WIDE_ROW_BYTES and staged.bytes >= MIN_WIDE_BYTES and staged.width > wide_row_bytes(state):
        state.set_meta("wide_row_bytes", str(staged.width))


def wide_row_bytes(state: State) -> int:
    """About how many bytes a row has where the state holds many wide ones; 0 where it does not."""
    return int(state.meta("wide_row_bytes") or 0)


def compact_journal(state: State, entity: str) -> int:
    """Fold the journal of ``entity`` into published; gives how many rows it held.

    Where nothing is published yet, the journal becomes the table itself. Many wide rows are folded a part at a time,
    each in a transaction: what is left in the journal then is what a run that is interrupted leaves there. The
    removals are folded with the first part, since they went first.
    """
    tables = table_names(entity)
    create_tables(state, entity)
    width = wide_row_bytes(state)
    state.set_merging(merges=not width)
    (facts,) = state.dicts(render_sql("journal_facts.sql", **tables, entity=entity))
    part_rows = max(PART_BYTES // width, 1) if width else 0
    remaining = facts["entries"]
    if remaining:
        facts |= state.dicts(render_sql("journal_contents.sql", **tables))[0]
        if facts["is_all"] and _have_same_columns(state, tables):
            sql = render_sql("take_journal.sql", **tables, **facts, entity=entity)
            state.transaction_with_retry(partial(state.run, sql))
            remaining = 0
    while remaining:
        in_parts = 0 < part_rows < remaining
        if in_parts:
            state.run_with_retry(render_sql("journal_part.sql", **tables, rows=part_rows))
        sql = render_sql(
            "compact_journal.sql",
            **tables,
            **facts,
            entity=entity,
            shared=_product_columns(state, entity),
            in_parts=in_parts,
        )
        state.transaction_with_retry(partial(state.run, sql))
        remaining = state.value(render_sql("count.sql", table=tables["acknowledged"])) if in_parts else 0
    if facts["entries"] and width:
        _merge_parts(state, tables["published"], part_rows)
    if facts["has_refused"] and "_own" in state.columns(tables["published"]):
        state.run_with_retry(render_sql("refused_speakers.sql", published=tables["published"], entity=entity))
    if facts["has_doubts"]:
        # What was not answered stays in doubt, whatever run it was of.
        state.run("update in_doubt set position = null where entity = $1 and position is not null", [entity])
    return int(facts["entries"])


def _have_same_columns(state: State, tables: Mapping[str, str]) -> bool:
    """Whether the journal has the columns of published and no others, so that each can stand for the other."""
    return {*state.columns(tables["published"]), "_kind"} == {*state.columns(tables["acknowledged"])}


def _merge_parts(state: State, table: str, part_rows: int) -> None:
    """Move all rows of a wide table behind its end, a part at a time, where half of it is deleted or in small parts.

    What DuckDB does by itself otherwise, with all rows in memory.
    """
    (facts,) = state.dicts(render_sql("table_parts.sql", table=table))
    needed = facts["live"] // part_rows
    if facts["held"] <= 2 * facts["live"] and facts["parts"] <= 2 * needed + MAX_SMALL_PARTS:
        return
    remaining = facts["live"]

    def merge(rows: int) -> None:
        # Read in the transaction: where parts are removed, the rows behind them get other numbers.
        last = state.value(render_sql("first_rows.sql", table=table), [rows])
        state.run(render_sql("merge_part.sql", table=table), {"last": last})

    while remaining > 0:  # what was moved is behind the rest
        state.transaction_with_retry(partial(merge, min(part_rows, remaining)))
        remaining -= part_rows


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
