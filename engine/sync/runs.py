"""The runs of a project in its state: begin one, close it, drop old history."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.mapping.engine_sql import render_sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.state.store import State


def begin_run(state: State, *, entity: str, command: str) -> int:
    """Open a run in history; gives its number."""
    return int(
        state.value(
            "insert into runs (run_id, entity, command, started_at, outcome)"
            " values (nextval('run_ids'), $1, $2, $3, 'running') returning run_id",
            [entity, command, now()],
        )
    )


def record_counts(state: State, run_id: int, figures: Mapping[str, Any]) -> None:
    """Keep the counts of a run that goes on to send: they are known then, however it ends."""
    state.run("update runs set counts = $2 where run_id = $1", [run_id, json.dumps(figures)])


def finish_run(
    state: State,
    run_id: int,
    *,
    outcome: str,
    digest: str = "",
    figures: Mapping[str, Any] | None = None,
    message: str = "",
) -> None:
    """Close a run in history with its outcome and its ``figures``, which are kept as JSON in place of its counts."""
    state.run(
        "update runs set finished_at = $2, outcome = $3, digest = $4, counts = coalesce($5, counts), message = $6"
        " where run_id = $1",
        [run_id, now(), outcome, digest, None if figures is None else json.dumps(figures), message],
    )


def prune_history(state: State, *, keep_days: int) -> None:
    """Drop history, and quarantine that was resolved, older than ``keep_days``; once a day at most."""
    today = now().date().isoformat()
    if state.meta("pruned_at") == today:
        return

    def pruned() -> None:
        state.run(render_sql("prune.sql", before=now() - timedelta(days=keep_days)))
        state.set_meta("pruned_at", today)

    state.transaction_with_retry(pruned)
