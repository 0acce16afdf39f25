"""Put together the status of projects from the run log, their ledgers and their cadence."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from engine.clock import now
from engine.config.schedule import read_run_parts, read_schedule
from engine.errors import ConfigError, StateError, SyncError
from engine.files import check_private_folder
from engine.model.fields import ENTITIES
from engine.run_log.read import open_run_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.orders.ledger import Ledgers
    from engine.run_log.read import LoggedRun, RunLogReader

Condition = Literal["failed", "guarded", "late", "held", "never run", "ok"]

SEVERITY: Mapping[Condition, int] = {"failed": 0, "guarded": 1, "late": 2, "held": 3, "never run": 4, "ok": 5}
"""What needs a person first: the order in which projects are listed."""


MIN_FREE_BYTES = 1_000_000
"""With less room on the disk no run works, and none can be noted in the run log: a state grows by so much at once."""

EDIT_NOTE = "The last good version runs."
"""What follows the error of an edit that is not in service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a project does now: the command, the entity, the step and how far it is; ``since`` is in UTC."""

    command: str
    entity: str
    since: datetime
    step: str | None
    done: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """One project. Times are UTC, without a zone.

    ``condition`` is what it comes to: ``failed`` and ``guarded`` by the last run of an entity, ``late`` by its
    schedule, ``held`` where rows are in quarantine or refused or orders wait. ``message`` says why. ``last_good_at`` is
    when the last good run of the entity ended that has waited longest for one; ``failures`` counts failed runs since.
    ``sent``, ``requests`` and ``runs`` are of today, in this machine's zone; ``quarantined`` and ``refused`` are of the
    last good run. ``every_seconds`` is the cadence, None where there is none or ``cron`` says when it runs.
    """

    project: str
    condition: Condition
    message: str = ""
    last_run_at: datetime | None = None
    last_good_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    activity: Activity | None = None
    runs: int = 0
    sent: int = 0
    requests: int = 0
    quarantined: int = 0
    refused: int = 0
    orders_waiting: int = 0
    orders_failed: int = 0
    every_seconds: float | None = None
    late_seconds: float = 0.0
    run_seconds: float | None = None

    def as_json(self, moment: datetime) -> dict[str, Any]:
        """Its values as commands print them, times with their zone."""
        facts = asdict(self)
        if self.activity is not None:
            facts["activity"]["since"] = _zoned(self.activity.since)
        facts |= {name: _zoned(facts[name]) for name in ("last_run_at", "last_good_at", "failing_since")}
        age = None if self.last_good_at is None else round((moment - self.last_good_at).total_seconds(), 1)
        return {**facts, "seconds_since_good": age}


def collect_statuses(
    workspace: Path, names: Sequence[str], *, state_folder: Path, ledgers: Ledgers
) -> list[ProjectStatus]:
    """The status of each of ``names``, what needs a person first, then by name.

    Raises :class:`StateError` where the run log cannot be read.
    """
    moment = now()
    with open_run_log(state_folder) as log:
        statuses, edits = _from_log(log, names, moment, workspace), log.broken_edits()
    found, orders = [], ledgers.count_pending(names)
    fault = _folder_fault(state_folder)
    for name in names:
        status = _with_orders(statuses[name], orders.get(name, {}))
        status = _worsen(status, "failed", fault) if fault else status
        if name in edits:
            status = _worsen(status, "failed", f"{edits[name][1]} {EDIT_NOTE}")
        found.append(_with_schedule(status, workspace, moment))
    return sorted(found, key=lambda each: (SEVERITY[each.condition], each.project))


def _folder_fault(state_folder: Path) -> str:
    """Why no run of any project can work, which the run log cannot know where it cannot be written; or blank."""
    try:
        check_private_folder(state_folder)
        free = shutil.disk_usage(state_folder).free
    except StateError as error:
        return error.message
    except OSError:  # there is none yet, or it may not be looked at
        return ""
    return f"The disk is full: {state_folder} has no room for what a run writes." if free < MIN_FREE_BYTES else ""


def current_parts(workspace: Path) -> Callable[[str, str], bool]:
    """Gives a function of a project and an entity: whether its runs still count.

    Those of an entity that was taken out of the project say nothing of it any more. Where the project's files cannot be
    read, all count.
    """
    known: dict[str, frozenset[str]] = {}

    def counts(project: str, entity: str) -> bool:
        if project not in known:
            try:
                known[project] = read_run_parts(workspace, project)
            except (ConfigError, OSError):
                known[project] = frozenset()
        return not entity or not known[project] or entity in known[project]

    return counts


def _synced_entities(workspace: Path, project: str) -> frozenset[str]:
    """The entities that a project sends; none where its files cannot be read."""
    try:
        return read_run_parts(workspace, project) & frozenset(ENTITIES)
    except (ConfigError, OSError):
        return frozenset()


def _from_log(log: RunLogReader, names: Iterable[str], moment: datetime, workspace: Path) -> dict[str, ProjectStatus]:
    counts = current_parts(workspace)
    last, good = (
        _by_project(_decided(log, run) for run in runs if counts(run.project, run.entity))
        for runs in (log.last_runs(), log.last_good_runs())
    )
    activities = {run.project: run for run in log.running()}
    today, failures = log.days(_local_day(moment)), log.failures_since_good(counts)
    found = {}
    for name in names:
        day = next(iter(today.get(name, ())), None)
        running = activities.get(name)
        status = _last_outcome(name, last.get(name, []), good.get(name, []), _synced_entities(workspace, name))
        if status.condition in {"failed", "guarded"}:
            count, since = failures.get(name, (1, status.last_run_at))
            status = replace(status, failures=count, failing_since=since)
        if running is not None:
            first = status.condition == "never run"
            status = replace(status, activity=_activity(running), message="" if first else status.message)
        found[name] = replace(status, runs=day.runs, sent=day.sent, requests=day.requests) if day else status
    return found


def _decided(log: RunLogReader, run: LoggedRun) -> LoggedRun:
    """A last run; one that somebody stopped came to nothing, and leaves what the one before it came to."""
    before = log.before_stop(run) if run.outcome == "stopped" else None
    return run if before is None else replace(before, id=run.id, started_at=run.started_at)


def _last_outcome(
    name: str, last: Sequence[LoggedRun], good: Sequence[LoggedRun], entities: frozenset[str]
) -> ProjectStatus:
    """What the last runs of a project's entities come to.

    Orders that were pulled are no run of a project that sends ``entities``: it may be late all the same.
    """
    if not last:
        return ProjectStatus(project=name, condition="never run", message="It has not run yet.")
    newest = max(last, key=lambda run: run.id)
    # Where the newest has an entity, the configuration can be read again.
    last = [run for run in last if run.entity] if newest.entity else [newest]
    sent = [run for run in last if run.entity != "orders"] if entities else last
    ever_good = entities <= {run.entity for run in good}
    status = ProjectStatus(
        project=name,
        condition="ok",
        last_run_at=max((run.started_at for run in sent), default=None),
        last_good_at=min((run.finished_at or run.started_at for run in good), default=None) if ever_good else None,
        quarantined=sum(run.quarantined or 0 for run in good),
        refused=sum(run.refused or 0 for run in good),
        run_seconds=sum(run.seconds or 0.0 for run in last),
    )
    wrong = {run.outcome: run for run in last}
    for outcome in ("failed", "broken off"):
        if outcome in wrong:
            return replace(status, condition="failed", message=_message(wrong[outcome]))
    if "guarded" in wrong:
        return replace(status, condition="guarded", message=_message(wrong["guarded"]))
    if not sent:
        return replace(status, condition="never run", message="It has not run yet.")
    if status.quarantined or status.refused:
        return replace(status, condition="held", message=f"s2s quarantine list {name}")
    return status


def _message(run: LoggedRun) -> str:
    lines = run.message.splitlines() or [run.outcome]
    return f"{run.entity}: {lines[0]}" if run.entity else lines[0]


def _with_orders(status: ProjectStatus, counts: Mapping[str, int] | SyncError) -> ProjectStatus:
    if isinstance(counts, SyncError):
        return _worsen(status, "failed", counts.message)
    waiting, failed = counts.get("waiting", 0), counts.get("failed", 0)
    status = replace(status, orders_waiting=waiting, orders_failed=failed)
    return _worsen(status, "held", f"s2s orders list {status.project} --status waiting") if waiting else status


def _with_schedule(status: ProjectStatus, workspace: Path, moment: datetime) -> ProjectStatus:
    try:
        schedule = read_schedule(workspace, status.project)
    except ConfigError as error:
        return _worsen(status, "failed", str(error).splitlines()[0])
    if schedule.every is not None:
        status = replace(status, every_seconds=schedule.every.total_seconds())
    if not schedule.runs or status.activity is not None:
        return status
    if status.last_run_at is None:
        # When it first counted is not known: a moment that cron names may be to come.
        return status if schedule.cron else _worsen(status, "late", "It has a schedule, and has not run yet.")
    last = status.last_run_at
    late = schedule.late_by(last, moment)
    if late is None:
        return status
    status = replace(status, late_seconds=round(late.total_seconds(), 1))
    return _worsen(status, "late", f"It has not run for {age_text(moment - last)}.")


def _worsen(status: ProjectStatus, condition: Condition, message: str) -> ProjectStatus:
    """The status with another condition, unless it has a graver one."""
    if SEVERITY[condition] < SEVERITY[status.condition]:
        return replace(status, condition=condition, message=message)
    return status


def _activity(run: LoggedRun) -> Activity:
    return Activity(
        command=run.command, entity=run.entity, since=run.started_at, step=run.step, done=run.done, total=run.total
    )


def _by_project(runs: Iterable[LoggedRun]) -> dict[str, list[LoggedRun]]:
    found: dict[str, list[LoggedRun]] = {}
    for run in runs:
        found.setdefault(run.project, []).append(run)
    return found


def _local_day(moment: datetime) -> date:
    """The day of a moment in UTC, in this machine's zone."""
    return moment.replace(tzinfo=timezone.utc).astimezone().date()


def _zoned(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=timezone.utc).isoformat(timespec="seconds")


def age_text(age: timedelta) -> str:
    """How long something took, in the largest unit of which there are at least two.

    >>> age_text(timedelta(minutes=90)), age_text(timedelta(seconds=59))
    ('90 min', '59 s')
    """
    seconds = max(0, int(age.total_seconds()))
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:,} {name}"
    return f"{seconds} s"
