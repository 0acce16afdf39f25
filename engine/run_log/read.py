"""Read the run log: at any time, also while runs write to it, and without any project's configuration."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.embedded import read_own_sqlite
from engine.errors import StateError
from engine.files import exists
from engine.run_log.file import VERSION, connect_run_log, run_log_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READ_TIMEOUT_SECONDS = 10

UNSEEN_AFTER = timedelta(hours=1)
"""After so long without progress a run of another machine or of Windows counts as broken off."""


BROKEN_OFF = "The process ended before the run did."
"""The message of a run whose process died."""

NUMBER_GRACE = timedelta(minutes=1)
"""By so much a process may have begun after its run was noted: the clock may have been set meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """One run of one entity; times are UTC, without a zone.

    ``entity`` is empty where the project's configuration could not be read. ``run_id`` is the run's number in the
    state. ``outcome`` is running, done, attention, stopped, guarded, failed, locked (another run held the project) or
    broken off (its process died). ``step``, ``done`` and ``total`` are its progress.
    """

    id: int
    project: str
    entity: str
    command: str
    run_id: int | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    exit_code: int | None
    step: str | None
    done: int | None
    total: int | None
    source: int | None
    sent: int | None
    quarantined: int | None
    refused: int | None
    requests: int | None
    seconds: float | None
    digest: str | None
    message: str

    def as_history(self) -> dict[str, Any]:
        """The run as :func:`engine.sync.history.runs` gives it."""
        names = (
            "run_id",
            "entity",
            "command",
            "started_at",
            "seconds",
            "outcome",
            "digest",
            "source",
            "sent",
            "message",
        )
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Day:
    """What the runs came to that began on a day of the zone of the machine that ran them.

    ``withheld`` are the rows in quarantine and refused as of the last run of the day, ``seconds`` those of all runs.
    """

    day: date
    runs: int
    failed: int
    sent: int
    requests: int
    withheld: int
    seconds: float


_COLUMNS = ", ".join([*LoggedRun.__dataclass_fields__, "host", "process", "progress_at"])


class RunLogReader:
    """The open run log of a folder of states; an empty one where nothing has run yet."""

    def __init__(self, connection: sqlite3.Connection | None, path: Path) -> None:
        self._connection = connection
        self._path = path

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def last_runs(self, project: str | None = None) -> list[LoggedRun]:
        """The newest run of each entity of each project that has ended; one that found the project locked is none.

        Pulls of orders are runs of the entity orders. With a ``project`` only those of that one.
        """
        of = [project, project]
        ended = self._runs("id in (select last_id from latest where ? is null or project = ?)", *of)
        died = self._runs("outcome = 'running' and command in ('run', 'pull') and (? is null or project = ?)", *of)
        newest = {(run.project, run.entity): run for run in ended}
        return [*(newest | {(run.project, run.entity): run for run in died if run.outcome != "running"}).values()]

    def last_good_runs(self) -> list[LoggedRun]:
        """The newest run of each entity of each project that came to its end."""
        return self._runs("id in (select good_id from latest)")

    def before_stop(self, run: LoggedRun) -> LoggedRun | None:
        """The newest run of the same entity before ``run`` that nobody stopped; None where there is none."""
        of = "project = ? and entity = ? and command = ? and id < ?"
        ended = "outcome not in ('stopped', 'locked', 'running')"
        values = (run.project, run.entity, run.command, run.id)
        return next(iter(self._runs(f"{of} and {ended} order by id desc limit 1", *values)), None)

    def running(self) -> list[LoggedRun]:
        """What runs now, other commands included."""
        return [run for run in self._runs("outcome = 'running'") if run.outcome == "running"]

    def project_runs(self, project: str, *, limit: int) -> list[LoggedRun]:
        """The last runs of a project, the newest first."""
        return self._runs("project = ? order by id desc limit ?", project, limit)

    def run(self, run: int) -> LoggedRun | None:
        """One run by its number in the log; None where there is none."""
        return next(iter(self._runs("id = ?", run)), None)

    def days(self, since: date, *, project: str | None = None) -> dict[str, list[Day]]:
        """By project, what the runs of each day came to from ``since`` on, of all entities together."""
        sql = (
            "select project, day, sum(runs), sum(failed), sum(sent), sum(requests), sum(withheld), sum(seconds)"
            " from days where day >= ? and (? is null or project = ?) group by project, day order by project, day"
        )
        found: dict[str, list[Day]] = {}
        for name, day, *numbers in self._read(sql, [since.isoformat(), project, project]):
            found.setdefault(name, []).append(Day(date.fromisoformat(day), *numbers))
        return found

    def totals_since(self, since: datetime) -> dict[str, tuple[int, int, int]]:
        """By project, how many runs began since a time in UTC, and how many rows and requests they sent."""
        sql = (
            "select project, count(*), coalesce(sum(sent), 0), coalesce(sum(requests), 0) from runs"
            " where started_at >= ? and command = 'run' and outcome <> 'locked' group by project"
        )
        rows = self._read(sql, [since.isoformat(" ", timespec="milliseconds")])
        return {project: (runs, sent, requests) for project, runs, sent, requests in rows}

    def failures_since_good(
        self, counts: Callable[[str, str], bool] = lambda _project, _entity: True
    ) -> dict[str, tuple[int, datetime]]:
        """By project, how many runs have failed since the last good one of the same entity, and since when.

        Only of entities for which ``counts`` gives True, which takes a project and an entity of it.
        """
        sql = "select project, entity, failures, failing_since from latest where failing_since is not null"
        found: dict[str, tuple[int, datetime]] = {}
        for project, entity, failures, since in self._read(sql, []):
            if counts(project, entity):
                at = datetime.fromisoformat(since)
                count, first = found.get(project, (0, at))
                found[project] = (count + failures, min(first, at))
        return found

    def failures_since(self, since: datetime) -> dict[str, int]:
        """By project, how many runs that began since a time in UTC failed, or were stopped by a guard."""
        sql = (
            "select project, count(*) from runs where started_at >= ? and command = 'run'"
            " and outcome in ('failed', 'guarded', 'broken off') group by project"
        )
        return dict(self._read(sql, [since.isoformat(" ", timespec="milliseconds")]))

    def quarantine(self, project: str, entity: str | None = None) -> list[dict[str, Any]]:
        """Rows in quarantine as of the last run, personal data masked, as :mod:`engine.sync.history` gives them."""
        names = "entity, key, product, column_name, rule, value, reason, first_seen_at, last_seen_at"
        sql = f"select {names} from quarantine where project = ? and entity = coalesce(?, entity) order by rule, key"  # noqa: S608 - names
        found = self._named(sql, [project, entity])
        return [{**row, **_times(row, "first_seen_at", "last_seen_at"), "resolved_at": None} for row in found]

    def changes(
        self, project: str, *, limit: int, entity: str | None = None, key: str | None = None, run_id: int | None = None
    ) -> list[dict[str, Any]]:
        """The newest changes that Stock2Shop acknowledged, as :mod:`engine.sync.history` gives them."""
        names = "run_id, entity, key, product, kind, columns, status, acknowledged_at"
        sql = (
            f"select {names} from changes where project = ? and entity = coalesce(?, entity)"  # noqa: S608 - names
            " and key = coalesce(?, key) and run_id = coalesce(?, run_id) order by id desc limit ?"
        )
        found = self._named(sql, [project, entity, key, run_id, limit])
        return [{**row, "columns": json.loads(row["columns"]), **_times(row, "acknowledged_at")} for row in found]

    def changed_columns(self, project: str) -> list[tuple[str, str, int, int]]:
        """The columns that the copied changes of a project are about: entity, column, and how many inserts and others.

        The most frequent first.
        """
        sql = (
            "select entity, json_extract(value, '$.column'), count(*) filter (where kind = 'insert'),"
            " count(*) filter (where kind <> 'insert') from changes, json_each(columns) where project = ?"
            " group by 1, 2 order by 4 desc, 3 desc, 1, 2"
        )
        return self._read(sql, [project])

    def broken_edits(self) -> dict[str, tuple[datetime, str]]:
        """The projects whose last edit has errors, so that the version before it runs: since when, and the first."""
        rows = self._read("select project, found_at, message from broken_edits", [])
        return {project: (datetime.fromisoformat(at), message) for project, at, message in rows}

    def stopped_plan(self, project: str, entity: str) -> tuple[int, dict[str, Any]] | None:
        """The plan that a guard stopped last, unless a good run followed: the number of the run in the log, the plan.

        The plan is as ``s2s plan --output json`` prints it, personal data masked.
        """
        found = self._read("select run, plan from plans where project = ? and entity = ?", [project, entity])
        return None if not found else (found[0][0], json.loads(found[0][1]))

    def find_keys(self, code: str, *, limit: int, project: str | None = None) -> list[tuple[str, str, str]]:
        """Where a code is a key, a product, a SKU or a barcode of what runs have copied: project, entity and key.

        With a ``project`` only there.
        """
        sql = (
            "select project, entity, key from (select project, entity, key from quarantine"
            " where key = :code or product = :code"
            " union select project, entity, key from changes where key = :code or product = :code"
            " union select project, entity, key from changes where instr(columns, :text) and exists ("
            "select 1 from json_each(columns) where json_extract(value, '$.column') in"
            " ('variants.sku', 'variants.barcode') and json_extract(value, '$.new') = :code))"
            " where key is not null and (:project is null or project = :project) order by 1, 2, 3 limit :limit"
        )
        values = {"code": code, "text": json.dumps(code)[1:-1], "limit": limit, "project": project}
        found = self._read(sql, values)
        return [(name, entity, key) for name, entity, key in found]

    def snapshot_at(self, project: str) -> datetime | None:
        """When the quarantine of a project was last copied; None where it never was."""
        ((found,),) = self._read("select min(taken_at) from snapshots where project = ?", [project]) or [(None,)]
        return None if found is None else datetime.fromisoformat(found)

    def _runs(self, condition: str, *values: object) -> list[LoggedRun]:
        sql = f"select {_COLUMNS} from runs where {condition}"  # noqa: S608 - conditions of this module
        return [_run(row) for row in self._named(sql, values)]

    def _named(self, sql: str, values: Sequence[object]) -> list[dict[str, Any]]:
        names = sql.removeprefix("select ").partition(" from ")[0].split(", ")
        return [dict(zip(names, row, strict=True)) for row in self._read(sql, values)]

    def _read(self, sql: str, values: Sequence[object] | Mapping[str, object]) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error


def open_run_log(state_folder: Path) -> closing[RunLogReader]:
    """Open the run log for reading. Raises :class:`StateError` where it cannot be read.

    One of an older version is brought up to date first, which takes the right to write to it.
    """
    path = run_log_path(state_folder)
    try:
        if not exists(path) or not path.stat().st_size:
            return closing(RunLogReader(None, path))
        connection, version = _open(path)
        if 0 < version < VERSION:
            connection.close()
            connect_run_log(path).close()
            connection, version = _open(path)
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error
    if version != VERSION:
        connection.close()
        if version == 0:  # it is being made
            return closing(RunLogReader(None, path))
        raise StateError(f"The run log {path} was written by a newer s2s.", hint="Install the newer s2s again.")
    return closing(RunLogReader(connection, path))


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    """The open file, and the version of its tables."""
    connection = read_own_sqlite(path, timeout=READ_TIMEOUT_SECONDS)
    try:
        return connection, connection.execute("pragma user_version").fetchone()[0]
    except BaseException:
        connection.close()
        raise


def _unusable(path: Path, error: Exception) -> StateError:
    return StateError(
        f"The run log {path} cannot be read: {error}.",
        hint="Check its rights for the account that runs s2s. A damaged one is replaced by the next run; nothing else"
        " is lost.",
    )


def _run(row: dict[str, Any]) -> LoggedRun:
    host, process, progress_at = (row.pop(name) for name in ("host", "process", "progress_at"))
    seen_at = datetime.fromisoformat(progress_at or row["started_at"])
    run = LoggedRun(**{**row, **_times(row, "started_at", "finished_at")})
    if run.outcome == "running" and not is_alive(host, process, seen_at):
        return replace(run, outcome="broken off", message=BROKEN_OFF)
    return run


def _times(row: dict[str, Any], *names: str) -> dict[str, datetime | None]:
    return {name: None if row[name] is None else datetime.fromisoformat(row[name]) for name in names}


def is_alive(host: str, process: int, seen_at: datetime) -> bool:
    """Whether a process that noted a run still exists, as far as this machine can know."""
    if host != socket.gethostname() or os.name != "posix":
        return now() - seen_at < UNSEEN_AFTER
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _began_after(process, seen_at + NUMBER_GRACE)


def _began_after(process: int, moment: datetime) -> bool:
    """Whether a process began later than a moment in UTC, as Linux knows: it has the number of one that is gone.

    After a restart of the machine or of a container the same numbers are given out again. Fields of the files are those
    of https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
    """
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text("utf-8").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):  # another system, or not to be looked at
        return False
    began = datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), timezone.utc).replace(tzinfo=None)
    return began > moment
