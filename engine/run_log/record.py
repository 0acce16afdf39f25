"""Write to the run log: runs with their progress, orders' changes of status, and what readers ask of a locked state.

Nothing here raises: a log that cannot be written is warned of once a process, and the run goes on.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.errors import CancelledError, GuardError, StateError, StateLockedError, SyncError, is_out_of_memory
from engine.run_log.file import connect_run_log, prune, remove_damaged, run_log_path, time_text
from engine.run_log.read import BROKEN_OFF, is_alive
from engine.text import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    Progress = Callable[[str, int, int | None], None]

PROGRESS_INTERVAL_SECONDS = 1.0
"""How often the progress of a run is written: one that ends within a second writes none."""

MAX_QUARANTINE_ROWS = 1_000
"""How many rows in quarantine are copied for each entity."""

MAX_CHANGE_ROWS = 500
"""How many changes of a run are copied."""

MAX_PROJECT_CHANGE_ROWS = 5_000
"""How many changes of a project are kept, the newest."""

log = logging.getLogger(__name__)

_warned: set[str] = set()


class RunLog:
    """The run log of a state's folder, opened when it is first written to; for one thread."""

    def __init__(self, state_folder: Path) -> None:
        self._path = run_log_path(state_folder)
        self._connection: sqlite3.Connection | None = None
        self._failed = False

    def write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do ``work`` in one transaction; where it fails, warn once and write no more."""
        if self._failed:
            return
        try:
            try:
                self._write(work)
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # locked, not to be written, or nothing for the file
                    raise
                self.close()
                remove_damaged(self._path)
                self._write(work)
        except (sqlite3.Error, OSError, StateError, UnicodeError) as error:  # the last: a name that is no UTF-8
            self._failed = True
            _warn(self._path, error)

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self._connection is None:
            self._connection = connect_run_log(self._path)
        self._connection.execute("begin immediate")
        try:
            work(self._connection)
            self._connection.execute("commit")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("rollback")

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def record_broken_off(state_folder: Path, project: str) -> None:
    """Note the end of a project's runs whose process has died, now that somebody saw it die."""
    run_log = RunLog(state_folder)

    def work(connection: sqlite3.Connection) -> None:
        sql = "select id, host, process, started_at from runs where project = ? and outcome = 'running'"
        for number, host, process, started in connection.execute(sql, [project]).fetchall():
            began = datetime.fromisoformat(started)
            if not is_alive(host, process, began):
                connection.execute(
                    "update runs set outcome = 'broken off', message = ?, finished_at = ?, seconds = ? where id = ?",
                    [BROKEN_OFF, time_text(now()), round((now() - began).total_seconds(), 3), number],
                )

    run_log.write(work)
    run_log.close()


class RunRecord:
    """One run of one entity in the run log."""

    def __init__(self, run_log: RunLog, *, project: str, entity: str, command: str) -> None:
        self._log = run_log
        self._of = {"project": project, "entity": entity, "command": command}
        self._id: int | None = None
        self._started = time_text(now())
        self._began = self._progress_at = time.monotonic()
        self.facts: dict[str, Any] = {"outcome": "done", "exit_code": 0}
        self.plan: Mapping[str, Any] | None = None
        """The plan that a guard stops, as it is printed in JSON, personal data masked."""
        self.is_published = True
        """Whether the quarantine was copied by an earlier run, or cannot be."""

    def begin(self, run_id: int | None) -> None:
        """Note that the run has begun; ``run_id`` is its number in the state, which it holds.

        So whatever else of the project is still noted as running was killed.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "update runs set outcome = 'broken off', message = ? where project = ? and outcome = 'running'",
                [BROKEN_OFF, self._of["project"]],
            )
            self._id = _insert(connection, {**self._of, "started_at": self._started, "run_id": run_id})
            sql = "select count(*) from snapshots where project = ? and entity = ?"
            found = connection.execute(sql, [self._of["project"], self._of["entity"]]).fetchone()
            self.is_published = bool(found[0])

        self._log.write(work)

    def progress(self, further: Progress) -> Progress:
        """A function that notes progress (step, done, total) every second, and always hands it on to ``further``."""

        def report(step: str, done: int, total: int | None) -> None:
            further(step, done, total)
            moment = time.monotonic()
            if self._id is not None and moment - self._progress_at >= PROGRESS_INTERVAL_SECONDS:
                self._progress_at = moment
                values = [step, done, total, time_text(now()), self._id]
                sql = "update runs set step = ?, done = ?, total = ?, progress_at = ? where id = ?"
                self._log.write(lambda connection: connection.execute(sql, values).close())

        return report

    def publish(
        self, quarantine: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]], *, quarantined: int
    ) -> None:
        """Copy the open quarantine of the entity and the changes of this run, personal data masked.

        They are what :mod:`engine.sync.history` gives; ``quarantined`` is how many there are in all.
        """
        project, entity = self._of["project"], self._of["entity"]

        def work(connection: sqlite3.Connection) -> None:
            of = [project, entity]
            connection.execute("delete from quarantine where project = ? and entity = ?", of)
            connection.executemany(
                "insert into quarantine values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *of,
                        *(row[name] for name in ("key", "product", "column_name", "rule", "value", "reason")),
                        time_text(row["first_seen_at"]),
                        time_text(row["last_seen_at"]),
                    )
                    for row in quarantine[:MAX_QUARANTINE_ROWS]
                ],
            )
            connection.executemany(
                "insert into changes (project, entity, run_id, key, product, kind, columns, status, acknowledged_at)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *of,
                        *(row[name] for name in ("run_id", "key", "product", "kind")),
                        json.dumps(row["columns"], default=str),
                        row["status"],
                        time_text(row["acknowledged_at"]),
                    )
                    for row in reversed(changes[:MAX_CHANGE_ROWS])
                ],
            )
            connection.execute(
                "delete from changes where project = ? and id <= ("
                "select id from changes where project = ? order by id desc limit 1 offset ?)",
                [project, project, MAX_PROJECT_CHANGE_ROWS],
            )
            connection.execute(
                "insert or replace into snapshots values (?, ?, ?, ?)", [*of, time_text(now()), quarantined]
            )

        self._log.write(work)

    def finish(self) -> None:
        """Note how the run ended: what ``facts`` hold by column."""
        facts = {
            "finished_at": time_text(now()),
            "seconds": round(time.monotonic() - self._began, 3),
            **self.facts,
        }

        def work(connection: sqlite3.Connection) -> None:
            if self._id is None:
                self._id = _insert(connection, {**self._of, "started_at": self._started, **facts})
            else:
                marks = ", ".join(f"{name} = ?" for name in facts)
                sql = f"update runs set {marks} where id = ?"  # noqa: S608 - names of this module's columns
                connection.execute(sql, [*facts.values(), self._id])
            if facts["outcome"] == "guarded" and self.plan is not None:
                values = [self._of["project"], self._of["entity"], self._id, json.dumps(self.plan, default=str)]
                connection.execute("insert or replace into plans values (?, ?, ?, ?)", values)
            elif facts["outcome"] in {"done", "attention"}:
                sql = "delete from plans where project = ? and entity = ?"
                connection.execute(sql, [self._of["project"], self._of["entity"]])
            prune(connection)

        self._log.write(work)


@contextmanager
def record_run(
    state_folder: Path, *, project: str, entity: str, command: str, secrets: Collection[str] = ()
) -> Iterator[RunRecord]:
    """Note a run of ``entity``, which is the block, and how it ended: an error of it, or the ``facts`` that it gives.

    ``secrets`` are masked in what is noted.
    """
    run_log = RunLog(state_folder)
    record = RunRecord(run_log, project=project, entity=entity, command=command)
    try:
        try:
            yield record
        except BaseException as error:
            record.facts = _failure(error, secrets)
            if record.plan is not None:
                record.facts["digest"] = record.plan["digest"]
            raise
        finally:
            record.facts["message"] = mask_secrets(str(record.facts.get("message", "")), secrets)
            record.finish()
    finally:
        run_log.close()


def record_failure(state_folder: Path, error: Exception, *, project: str, command: str, message: str = "") -> None:
    """Note a run that could not begin, because the project's configuration cannot be read; ``message`` says why."""
    run_log = RunLog(state_folder)
    try:
        record = RunRecord(run_log, project=project, entity="", command=command)
        record.facts = _failure(error, ())
        record.facts["message"] = message or record.facts["message"]
        record.finish()
    finally:
        run_log.close()


def record_edit(run_log: RunLog, project: str, message: str) -> None:
    """Note that the last edit of a project has errors, which ``message`` says; an empty one that it has none."""

    def work(connection: sqlite3.Connection) -> None:
        if not message:
            connection.execute("delete from broken_edits where project = ?", [project])
        else:
            row = [project, time_text(now()), message]
            connection.execute("insert or replace into broken_edits values (?, ?, ?)", row)

    run_log.write(work)


def record_order_changes(run_log: RunLog, project: str, changes: Sequence[tuple[int, str, str]]) -> None:
    """Note changes of orders' status: each is the order's id, the time in UTC and the status."""
    sql = "insert into order_changes (project, order_id, at, status) values (?, ?, ?, ?)"
    rows = [(project, *change) for change in changes]
    run_log.write(lambda connection: connection.executemany(sql, rows).close())


def _failure(error: BaseException, secrets: Collection[str]) -> dict[str, Any]:
    """The columns of a run that ended with ``error``."""
    outcome = "failed"
    if isinstance(error, GuardError):
        outcome = "guarded"
    elif isinstance(error, StateLockedError):
        outcome = "locked"
    elif isinstance(error, CancelledError) or not isinstance(error, Exception):
        outcome = "stopped"
    return {
        "outcome": outcome,
        "exit_code": int(getattr(error, "exit_code", 1)),
        "message": mask_secrets(_message(error), secrets),
    }


def _message(error: BaseException) -> str:
    """What is noted of an error, and sent to people: the text of one that nobody foresaw may be a customer's value."""
    if isinstance(error, SyncError):
        return error.message
    if not isinstance(error, Exception):
        return "It was interrupted."
    if is_out_of_memory(error):
        return f"There is too little memory: {type(error).__name__}."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be used: {error.strerror}."
    return f"Something unforeseen went wrong: {type(error).__name__}."


def _insert(connection: sqlite3.Connection, values: Mapping[str, Any]) -> int:
    row = {"outcome": "running", "host": socket.gethostname(), "process": os.getpid(), **values}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    sql = f"insert into runs ({names}) values ({marks})"  # noqa: S608 - names of this module's columns
    return int(connection.execute(sql, [*row.values()]).lastrowid or 0)


def _warn(path: Path, error: Exception) -> None:
    """Say once in this process that the log cannot be written."""
    if str(path) not in _warned:
        _warned.add(str(path))
        log.warning(
            "The run log %s cannot be written (%s), so `s2s status` does not know of this run. Nothing else is"
            " affected.",
            path,
            error,
        )
