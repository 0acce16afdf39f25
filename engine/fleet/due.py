"""Which projects are due, and in which lane of the queue they run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from engine.agent.agent import CATCH_UP_SECONDS, LONG_RUN_SECONDS, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config.schedule import Schedule

LANES = ("runs", "long")
"""The queues: ordinary runs, and runs of projects whose last run took long."""

FAILURES_TO_BACK_OFF = 3
"""After so many failed runs in a row a project is run less often."""

MAX_BACKOFF_SECONDS = 900.0
"""How long a project waits at most that keeps failing; its cadence, where that is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """How the last run of a project ended: its seconds, and how many in a row have failed."""

    paused: bool = False
    seconds: float = 0.0
    failures: int = 0


def find_due(
    schedules: Mapping[str, Schedule], last_runs: Mapping[str, LastRun], *, after: datetime, upto: datetime
) -> dict[str, str]:
    """The lane of each project whose turn came after ``after`` and until ``upto``, both in UTC.

    The turns of a cadence are at a moment of it that is the project's own, so that they do not all come at once. Turns
    that nobody looked at meanwhile are one. In quiet hours there is none; of a long cadence it comes when they end.
    """
    due = {}
    for name, schedule in schedules.items():
        last = last_runs.get(name, LastRun())
        if not last.paused and not schedule.is_quiet(upto) and _has_turn(name, schedule, last, after, upto):
            due[name] = LANES[last.seconds > LONG_RUN_SECONDS]
    return due


def _has_turn(name: str, schedule: Schedule, last: LastRun, after: datetime, upto: datetime) -> bool:
    if schedule.every is None:
        return bool(schedule.cron) and schedule.next_moment(after) <= upto
    seconds = schedule.every.total_seconds()
    offset = spread(name) * seconds
    before, turn = (
        math.floor((moment.replace(tzinfo=timezone.utc).timestamp() - offset) / seconds) for moment in (after, upto)
    )
    skipped = _cadences_a_run(last.failures, seconds)
    if turn // skipped > before // skipped:
        return True
    if seconds <= CATCH_UP_SECONDS or not schedule.is_quiet(after):
        return False
    # Quiet hours have just ended, and all turns of a long cadence might be in them.
    at = datetime.fromtimestamp(turn * seconds + offset, timezone.utc).replace(tzinfo=None)
    return turn % skipped == 0 and schedule.is_quiet(at)


def _cadences_a_run(failures: int, seconds: float) -> int:
    """Every how many cadences a project is run that failed so often in a row.

    >>> [_cadences_a_run(failures, 180) for failures in (0, 2, 3, 4, 10)], _cadences_a_run(10, 86_400)
    ([1, 1, 2, 4, 5], 1)
    """
    if failures < FAILURES_TO_BACK_OFF:
        return 1
    wanted: int = 2 ** min(failures - FAILURES_TO_BACK_OFF + 1, 10)
    return max(1, min(wanted, int(MAX_BACKOFF_SECONDS / seconds)))
