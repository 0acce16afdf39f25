"""The run logs of all machines, through PostgreSQL: each hands on its runs, and takes in the others' before it looks.

A run of a project is stored while its lease is held, so the entries of one project come in the order of its runs. What
cannot be stored or fetched is missing from `s2s status` for a while, and stops nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.errors import SyncError
from engine.run_log.exchange import RunExchange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.fleet.database import FleetDatabase
    from engine.fleet.lease import Lease


def hand_on_runs(lease: Lease, state_folder: Path) -> None:
    """Store what this machine's run log has of the project's last runs."""
    with suppress(SyncError), RunExchange(state_folder) as exchange:
        unsent = exchange.unsent(lease.project)
        if not unsent.runs:
            return
        row = lease.database.row(
            "with stored as (select id from run_log where project = %(project)s and id > %(cursor)s"
            " and machine = %(machine)s and runs = %(runs)s),"
            " entry as (insert into run_log (project, machine, runs) select project, %(machine)s, %(runs)s"
            " from lease where project = %(project)s and epoch = %(epoch)s"
            # Where the answer was lost, it is there already.
            " and not exists (select 1 from stored) returning id, project),"
            " copy as (insert into run_copy (project, id, body) select project, id, %(copies)s from entry"
            " where %(copies)s::text is not null"
            " on conflict (project) do update set id = excluded.id, body = excluded.body)"
            " select id from entry union all select id from stored",
            {
                **lease.key,
                "cursor": exchange.cursors().get(lease.project, 0),
                "machine": exchange.machine(),
                "runs": json.dumps(unsent.runs),
                "copies": json.dumps(unsent.copies) if unsent.copies else None,
            },
        )
        if row is not None:
            exchange.mark_sent(lease.project, upto=unsent.upto, cursor=row[0])


def take_in_runs(database: FleetDatabase, state_folder: Path, projects: Sequence[str] | None = None) -> None:
    """Have the runs of ``projects``, or of all, that other machines handed on in this machine's run log."""
    with suppress(SyncError), RunExchange(state_folder) as exchange:
        cursors = exchange.cursors()
        known = {project: cursors.get(project, 0) for project in (cursors if projects is None else projects)}
        rows = database.rows(
            "select lease.project, entry.id, machine, runs, body from lease"
            " left join unnest(%(names)s::text[], %(ids)s::bigint[]) as seen(project, id)"
            " on seen.project = lease.project"
            " cross join lateral (select * from run_log where run_log.project = lease.project"
            " and id > coalesce(seen.id, 0) order by id desc limit 50) as entry"
            " left join run_copy on run_copy.id = entry.id"
            " where seen.project is not null or %(all)s order by entry.id",
            {"names": [*known], "ids": [*known.values()], "all": projects is None},
        )
        own = exchange.machine() if rows else ""
        for project, number, machine, runs, copies in rows:
            found: Any = [] if machine == own else json.loads(runs)
            exchange.add(project, found, {} if machine == own else json.loads(copies or "{}"), cursor=number)
