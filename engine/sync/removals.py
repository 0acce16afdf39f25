"""What was removed within the last day: a source that loses a little with each read is emptied run by run otherwise.

In: the state's history. Out: how many rows are gone already, which the guard on a day counts, and the keys that come
back after they were removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.clock import now
from engine.mapping.engine_sql import render_sql

if TYPE_CHECKING:
    from engine.model.plan import Counts
    from engine.state.store import State

WINDOW_HOURS = 24
"""How far back removals are counted."""

WINDOW_RUNS = 5
"""Keys that come back within so many runs are named, however seldom runs are."""

FORGOTTEN_RUN = "forgotten_run"
"""What the state calls the last run whose removals were forgotten, because the account became another one."""

MAX_NAMED_KEYS = 5
"""How many of the keys that came back a note names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentRemovals:
    """The published rows removed within the last day, and the keys that a plan creates again after that."""

    removed: int = 0
    returned: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What to say of the keys that came back; empty where none did."""
        if not self.returned:
            return ""
        count = len(self.returned)
        named = ", ".join(self.returned[:MAX_NAMED_KEYS]) + (", …" if count > MAX_NAMED_KEYS else "")
        return (
            f"{count:,} {'key that was' if count == 1 else 'keys that were'} removed within the last {WINDOW_HOURS}"
            f" hours or {WINDOW_RUNS} runs came back: {named}. A source that shows other rows with each read does this:"
            " a replica that is being loaded, a table that is filled again every night, a read without locks (NOLOCK)."
        )


def forget_removals(state: State) -> None:
    """Forget what was removed up to now: those were another account's items. History stays."""
    state.set_meta(FORGOTTEN_RUN, str(state.value("select coalesce(max(run_id), 0) from runs")))


def _last_forgotten_run(state: State) -> int:
    """The last run whose removals were forgotten; 0 where none were."""
    return int(state.meta(FORGOTTEN_RUN) or 0)


def recent_removals(state: State, entity: str, counts: Counts) -> RecentRemovals:
    """Look into history, as far as the plan whose ``counts`` are given can have to do with it."""
    moment, window = now(), timedelta(hours=WINDOW_HOURS)
    since = moment - window
    forgotten = _last_forgotten_run(state)
    removed, returned = 0, ()
    if counts.removals:
        sql = render_sql("recent_removals.sql", entity=entity, since=since, until=moment + window, after_run=forgotten)
        removed = int(state.value(sql))
    if counts.inserts and counts.published:
        sql = render_sql("returned.sql", entity=entity, since=since, runs=WINDOW_RUNS, after_run=forgotten)
        returned = tuple(key for (key,) in state.rows(sql))
    return RecentRemovals(removed=removed, returned=returned)
