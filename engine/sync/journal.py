"""Advance published, and only by what Stock2Shop acknowledged.

A receipt is appended to a journal in one transaction as it arrives; the journal is folded into published when the
run ends or, after a crash, when the next one begins. So each batch is durable by itself at the price of its own
rows, however large the catalogue is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.clock import now
from engine.mapping.engine_sql import render_sql
from engine.sync.stage import load_window, windows

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.state.store import State
    from engine.sync.layout import Staged, StagingLayout

REFRESH_ROWS = 250_000
"""Of how many rows the fingerprints are refreshed at a time: with 500,000, DuckDB needs more than it has at first."""


def compact_journal(state: State, layout: StagingLayout) -> int:
    """Fold the journal into published; gives how many receipts' rows it held."""
    count = int(state.value(render_sql("count.sql", table=layout.acknowledged)))
    if count:
        state.transaction_with_retry(
            lambda: state.run(render_sql("fold.sql", **layout.tables, entity=layout.entity.name))
        )
    # What the journal does not answer was never answered: from here on it is not of a batch under way.
    state.run("update tried set under_way = false where entity = $1 and under_way", [layout.entity.name])
    return count


def mark_in_flight(state: State, *, entity: str, after: int, upto: int) -> None:
    """Remember the inserts of a batch that is about to be sent, which stand in ``run.slice``.

    Without that, a row that Stock2Shop took just before a crash, and that left the source just after it, would stay at
    Stock2Shop for good: nothing here would know of it.
    """
    sql = render_sql("try.sql", entity=entity, after=after, upto=upto)
    state.transaction_with_retry(lambda: state.run(sql))


def record_local_outcomes(state: State, staged: Staged) -> None:
    """Record what a read of the source settles by itself: Ignore rows, quarantine, and refreshed fingerprints."""
    layout = staged.layout
    entity = layout.entity.name
    sql = render_sql(
        "settle.sql",
        **layout.tables,
        entity=entity,
        fast=staged.fast,
        current=state.meta(f"definition:{entity}") == layout.definition,
        fingerprint=layout.fingerprint,
        parts=1 + int(state.value("select count(*) from run.verdict")) // REFRESH_ROWS,
        now=now(),
    )

    def settled() -> None:
        state.run(sql)
        for name, value in (("definition", layout.definition), ("mapping", layout.mapping)):
            if state.meta(f"{name}:{entity}") != value:
                state.set_meta(f"{name}:{entity}", value)

    state.transaction_with_retry(settled)


def record_receipt(
    state: State,
    layout: StagingLayout,
    *,
    after: int,
    upto: int,
    kinds: Collection[str],
    run_id: int,
    stamp: str,
    status: int,
) -> None:
    """Record one receipt: of the rows of ``run.slice`` at the positions above ``after`` up to ``upto``.

    ``kinds`` are those that are among them, or may be: an update has differences to be kept, and a removal settles
    what was tried.
    """
    sql = render_sql(
        "record.sql",
        acknowledged=layout.acknowledged,
        entity=layout.entity.name,
        fields=layout.fields,
        after=after,
        upto=upto,
        kinds=kinds,
        run_id=run_id,
        stamp=stamp,
        status=status,
        now=now(),
    )
    state.transaction_with_retry(lambda: state.run(sql))


def acknowledge_all(state: State, staged: Staged, *, stamp: str) -> None:
    """Take everything that stands compared as sent and acknowledged.

    For a state to throw away: what another mapping would send after this one is then a plain comparison.
    """
    layout = staged.layout
    record_local_outcomes(state, staged)
    for place in windows(state, staged):
        load_window(state, layout, **place)
        record_receipt(state, layout, **place, kinds={"update", "delete"}, run_id=0, stamp=stamp, status=0)
    compact_journal(state, layout)


def record_refusal(
    state: State,
    *,
    entity: str,
    key: str,
    kind: Literal["insert", "update", "delete", "resend"],
    reason: str,
    taken: bool,
) -> None:
    """Quarantine the variant that Stock2Shop refused, until its content changes or somebody asks again.

    ``taken`` says that it may hold the variant all the same.
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
