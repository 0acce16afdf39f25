"""What the fleet does: its projects, its workers and its queue, as PostgreSQL has them; and who is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.fleet import versions
from engine.fleet.lease import shown_holder
from engine.fleet.versions import NEEDS_SQL, WORKERS_SQL, Versions, Worker, needs_of, workers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.fleet.database import FleetDatabase


def set_paused(database: FleetDatabase, project: str, *, paused: bool) -> str:
    """Pause a project or let it run again; gives who has it now, blank where nobody has."""
    row = database.row(
        "insert into lease (project, paused) values (%(project)s, %(paused)s)"
        " on conflict (project) do update set paused = excluded.paused, failures = 0"
        " returning case when expires_at > now() then holder else '' end",
        {"project": project, "paused": paused},
    )
    return shown_holder(row[0]) if row else ""


def is_paused(database: FleetDatabase, project: str) -> bool:
    """Whether no machine runs a project until it is resumed."""
    row = database.row("select paused from lease where project = %s", [project])
    return row is not None and bool(row[0])


PROJECT_COLUMNS = (
    "project",
    "held_by",
    "paused",
    "last_run_at",
    "seconds",
    "exit_code",
    "failures",
    "epoch",
    "stored_bytes",
    "readable_by",
)


def list_projects(database: FleetDatabase) -> list[dict[str, Any]]:
    """Each project that ever ran in the fleet, by :data:`PROJECT_COLUMNS`; times are UTC."""
    rows = database.rows(
        "select project, case when expires_at > now() then holder end, paused, ended_at at time zone 'UTC',"
        " round(seconds::numeric, 1)::double precision,"
        " exit_code, failures, epoch, snapshot_bytes + journal_bytes from lease"
        " where project not like '%/%' order by project"
    )
    needs, workers = needs_of(database.rows(NEEDS_SQL)), _taking_workers(database)
    found = [
        dict(zip(PROJECT_COLUMNS, (*row, _readable_by(needs.get(row[0], Versions()), workers)), strict=True))
        for row in rows
    ]
    return [{**each, "held_by": each["held_by"] and shown_holder(each["held_by"])} for each in found]


def _readable_by(needed: Versions, workers: Sequence[Worker]) -> str | None:
    reading = sum(worker.known.reads(needed) for worker in workers)
    if not workers:
        return None
    return "all workers" if reading == len(workers) else f"{reading} of {len(workers)} workers"


def find_outdated(database: FleetDatabase) -> list[str]:
    """What workers leave to newer ones, in sentences; there are some during a deploy only."""
    workers, needs = _taking_workers(database), needs_of(database.rows(NEEDS_SQL))
    found = []
    for worker in workers:
        missing = [each for each in map(worker.known.missing, needs.values()) if each.numbers]
        if missing:
            found.append(
                f"{worker.name} leaves {len(missing):,} projects to newer workers: it does not read"
                f" {', '.join(sorted(set(map(str, missing))))}. Drain it, and update s2s and DuckDB there."
            )
    found += [
        f"No worker reads the state of {project}, which wants {needed}: start one of the version that wrote it."
        for project, needed in sorted(needs.items())
        if workers and not any(worker.known.reads(needed) for worker in workers)
    ]
    return found


def _taking_workers(database: FleetDatabase) -> list[Worker]:
    return workers_of(database.rows(WORKERS_SQL, {"alive": versions.ALIVE_SECONDS}))


def list_workers(database: FleetDatabase) -> list[dict[str, Any]]:
    """Each worker that was heard from in the last minutes; times are UTC."""
    rows = database.rows(
        "select name, slots, started_at at time zone 'UTC',"
        " round(extract(epoch from now() - seen_at))::double precision, draining, versions from worker order by name"
    )
    names = ("worker", "slots", "started_at", "seen_seconds_ago", "draining", "versions")
    return [dict(zip(names, row, strict=True)) for row in rows]


def count_queue(database: FleetDatabase) -> dict[str, dict[str, int]]:
    """How many projects wait and run, by lane."""
    rows = database.rows(
        "select split_part(queue_name, '-', 1) as lane,"
        " count(*) filter (where status = 'todo'), count(*) filter (where status = 'doing')"
        " from procrastinate_jobs where status in ('todo', 'doing') group by lane order by lane"
    )
    return {lane: {"waiting": waiting, "running": running} for lane, waiting, running in rows}


def drain(database: FleetDatabase, words: str) -> list[str]:
    """Have the workers take no more whose name begins with ``words``, such as a host's; gives their names."""
    rows = database.rows(
        "update worker set draining = true where starts_with(name, %(words)s) returning name", {"words": words}
    )
    return sorted(name for (name,) in rows)
