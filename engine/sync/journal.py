"""Advance published, and only by what Stock2Shop acknowledged.

A receipt is appended to a journal in one transaction as it arrives; the journal is folded into published when the
run ends or, after a crash, when the next one begins. So each batch is durable by itself at the price of its own
rows, however large the catalogue is.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from engine.mapping.render import render_sql
from engine.sync.stage import fill_slice, slices

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.model.settings import Counts
    from engine.state.store import State
    from engine.sync.stage import Layout, Staged


PART = 250_000
"""Of how many rows the fingerprints are refreshed at a time: with 500,000, DuckDB needs more than it has at first."""


def now() -> datetime:
    """Return the time in UTC, without a zone, as the state keeps all times."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def fold(state: State, layout: Layout) -> int:
    """Fold the journal into published; gives how many receipts' rows it held."""
    count = int(state.value(render_sql("count.sql", table=layout.acknowledged)))
    if count:
        state.transact(lambda: state.run(render_sql("fold.sql", **layout.tables, entity=layout.entity.name)))
    # What the journal does not answer was never answered: from here on it is not of a batch under way.
    state.run("update tried set under_way = false where entity = $1 and under_way", [layout.entity.name])
    return count


def begin(state: State, *, entity: str, command: str) -> int:
    """Open a run in history; gives its number."""
    return int(
        state.value(
            "insert into runs (run_id, entity, command, started_at, outcome)"
            " values (nextval('run_ids'), $1, $2, $3, 'running') returning run_id",
            [entity, command, now()],
        )
    )


def finish(
    state: State,
    run_id: int,
    *,
    outcome: str,
    digest: str = "",
    counts: Counts | None = None,
    figures: dict[str, Any] | None = None,
    message: str = "",
) -> None:
    """Close a run in history with what became of it."""
    kept = {**(asdict(counts) if counts else {}), **(figures or {})}
    state.run(
        "update runs set finished_at = $2, outcome = $3, digest = $4, counts = $5, message = $6 where run_id = $1",
        [run_id, now(), outcome, digest, json.dumps(kept), message],
    )


def allow(state: State, *, entity: str, run_id: int, counts: Counts) -> None:
    """Remember what this run may send, from before the first request until all of it is sent."""
    state.remember(f"allowed:{entity}", f"{run_id} {counts.inserts + counts.updates} {counts.removals}")


def left(state: State, entity: str) -> tuple[int, int]:
    """The changes and the removals that the last run was allowed to send and did not come to."""
    run_id, changes, removals = (int(part) for part in (state.meta(f"allowed:{entity}") or "0 0 0").split())
    changed, removed = state.row(
        "select count(*) filter (kind in ('insert', 'update')), count(*) filter (kind = 'delete') from changes"
        " where run_id = $1",
        [run_id],
    )
    return max(changes - changed, 0), max(removals - removed, 0)


def complete(state: State, entity: str) -> None:
    """Forget what the run was allowed: it has sent all of it."""
    state.run("delete from meta where name = $1", [f"allowed:{entity}"])


def attempt(state: State, *, entity: str, after: int, upto: int) -> None:
    """Remember the inserts of a batch that is about to be sent, which stand in ``run.slice``.

    Without that, a row that Stock2Shop took just before a crash, and that left the source just after it, would stay at
    Stock2Shop for good: nothing here would know of it.
    """
    sql = render_sql("try.sql", entity=entity, after=after, upto=upto)
    state.transact(lambda: state.run(sql))


def settle(state: State, staged: Staged) -> None:
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
        parts=1 + int(state.value("select count(*) from run.verdict")) // PART,
        now=now(),
    )

    def settled() -> None:
        state.run(sql)
        for name, value in (("definition", layout.definition), ("mapping", layout.mapping)):
            if state.meta(f"{name}:{entity}") != value:
                state.remember(f"{name}:{entity}", value)

    state.transact(settled)


def record(
    state: State,
    layout: Layout,
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
    state.transact(lambda: state.run(sql))


def assume(state: State, staged: Staged, *, stamp: str) -> None:
    """Take everything that stands compared as sent and acknowledged.

    For a state to throw away: what another mapping would send after this one is then a plain comparison.
    """
    layout = staged.layout
    settle(state, staged)
    for place in slices(state, staged):
        fill_slice(state, layout, **place)
        record(state, layout, **place, kinds={"update", "delete"}, run_id=0, stamp=stamp, status=0)
    fold(state, layout)


def refuse(
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


def prune(state: State, *, keep_days: int) -> None:
    """Drop history, and quarantine that was resolved, older than ``keep_days``; once a day at most."""
    today = now().date().isoformat()
    if state.meta("pruned_at") == today:
        return

    def pruned() -> None:
        state.run(render_sql("prune.sql", before=now() - timedelta(days=keep_days)))
        state.remember("pruned_at", today)

    state.transact(pruned)
