"""What the run log is given of a run: how it ended, and what readers want of the state while it is locked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.run_log.record import MAX_CHANGE_ROWS, record_run
from engine.sync import history

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.model.plan import Outcome
    from engine.model.settings import Project
    from engine.run_log.record import RunRecord
    from engine.state.store import State


def recorded(project: Project, entity: str, *, command: str) -> AbstractContextManager[RunRecord]:
    """Note the block in the run log as a run of one entity of a project."""
    return record_run(
        project.state.parent, project=project.name, entity=entity, command=command, secrets=project.secrets
    )


def publish(record: RunRecord, state: State, entity: str, *, run_id: int) -> None:
    """Copy the open quarantine of an entity, and the changes of this run, to the run log; personal data is masked."""
    quarantined = history.quarantine(state, entity=entity)
    changes = history.changes(state, limit=MAX_CHANGE_ROWS, entity=entity, run_id=run_id)
    record.publish(quarantined, changes, quarantined=len(quarantined))


def outcome_facts(outcome: Outcome) -> dict[str, Any]:
    """How a run ended, by the columns of the run log."""
    counts = outcome.plan.counts
    return {
        "outcome": outcome.outcome,
        "exit_code": 4 if outcome.needs_attention else 0,
        "source": counts.source,
        "sent": outcome.sent,
        "quarantined": counts.quarantined,
        "refused": counts.refused + counts.missing_refused + counts.strays_refused + outcome.refused,
        "requests": outcome.requests,
        "digest": outcome.plan.digest,
        "message": outcome.message,
    }
