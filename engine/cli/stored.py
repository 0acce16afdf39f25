"""Read what is stored of a project: its state, or the run log while a run holds the state."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.cli.fleet_state import state_at_hand, take_in_runs
from engine.clock import local_text, zoned
from engine.errors import StateLockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.run_log.read import RunLogReader
    from engine.state.store import State

    Rows = list[dict[str, Any]]


def read_stored(
    session: Session,
    project: Project,
    from_state: Callable[[State], Rows],
    from_log: Callable[[RunLogReader], Rows],
) -> Rows:
    """The rows that ``from_state`` reads; where a run holds the state, those of ``from_log``, and a note says so.

    The run log has copies as of the last run: personal data is masked in them, and what is resolved is left out.
    """
    from engine.run_log.read import open_run_log
    from engine.state.store import open_state

    try:
        with state_at_hand(session, project) as (at_hand, _), open_state(at_hand.state) as state:
            return from_state(state)
    except StateLockedError:
        take_in_runs(session)
        with open_run_log(project.state.parent) as log:
            copied_at = log.snapshot_at(project.name)
            rows = from_log(log)
        as_of = "" if copied_at is None else f", as of {local_text(copied_at)}"
        session.terminal.print_error(
            f"A run of {project.name} is under way, so this is what the run log has{as_of}: the newest, masked."
        )
        return rows


def zoned_rows(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows of the engine's own tables, whose times are in UTC, with the zone of each time."""
    return [{name: zoned(each) if isinstance(each, datetime) else each for name, each in row.items()} for row in rows]
