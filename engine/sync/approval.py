"""What of an earlier plan was approved and not answered yet, so that it needs no second approval.

A plan that exceeds a limit is let pass when somebody approves it, or when it is a first load. Its changes are
remembered before the first of them is sent: each by its kind, key, product and fingerprint. A run that goes on after
it was interrupted may send these and no others beyond the limits; it approves nothing itself, or each interrupted run
would allow the next one as much again. The approval ends with the run that sends all of it, and with any later run that
stays within the limits; that of a change ends with the first read that it is no part of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql

if TYPE_CHECKING:
    from engine.state.store import State


def count_approved(state: State, entity: str) -> tuple[int, int]:
    """How many inserts and updates, and how many removals, of the delta in ``run.outgoing`` are approved already."""
    if not _has_approvals(state, entity):
        return 0, 0
    changes, removals = state.row(render_sql("approved.sql", entity=entity))
    return int(changes), int(removals)


def remember_approval(state: State, entity: str, *, run_id: int, changes: bool, removals: bool) -> None:
    """Remember the delta's inserts and updates, its removals, or both as approved; of the others, what already was."""
    sql = render_sql("remember_approval.sql", entity=entity, changes=changes, removals=removals)
    state.transaction_with_retry(lambda: state.run(sql, {"run_id": run_id}))


def drop_stale_approvals(state: State, entity: str) -> None:
    """Forget the approval of each change that is no part of the delta any more, though others were stopped.

    Where a row is back under another product, its old variant goes as before, but nobody approved that this row goes.
    """
    if _has_approvals(state, entity):
        state.run(
            "delete from approved where entity = $1"
            " and change not in (select hash(kind, _key, _group, _fingerprint) from run.outgoing"
            " where cause is distinct from 'replaced')",
            [entity],
        )


def clear_approval(state: State, entity: str) -> None:
    """Forget what was approved: all of it is sent, or this run stays within the limits."""
    if _has_approvals(state, entity):
        state.run("delete from approved where entity = $1", [entity])


def _has_approvals(state: State, entity: str) -> bool:
    return bool(state.value("select count(*) from approved where entity = $1", [entity]))
