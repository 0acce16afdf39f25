"""Hand on what the run log of this machine has of ended runs, and take in what other machines' have.

Runs of a project are taken in before its next run is noted here, so that the newest is the last one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from engine.run_log.record import RunLog

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    Row = Mapping[str, Any]

T = TypeVar("T")

MAX_RUNS = 50
"""How many runs of a project are handed on at most: more, and this machine ran it before others did."""

MAX_COPIED_ROWS = 500
"""How many rows in quarantine, and how many changes, are handed on with a run."""

RUN_COLUMNS = (
    *("project", "entity", "command", "run_id", "host", "process", "started_at", "finished_at", "outcome"),
    *("exit_code", "source", "sent", "quarantined", "refused", "requests", "seconds", "digest", "message"),
)

COPY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "snapshots": ("entity", "taken_at", "quarantined"),
    "quarantine": (
        *("entity", "key", "product", "column_name", "rule", "value", "reason", "first_seen_at", "last_seen_at"),
    ),
    "changes": ("entity", "run_id", "key", "product", "kind", "columns", "status", "acknowledged_at"),
}
"""The tables with copies of what a state has, and their columns besides the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """Runs of a project that were not handed on yet, up to the log's own number ``upto``.

    ``copies`` are rows by table, as of the last of these runs; none where none of them copied anything.
    """

    runs: Sequence[Row]
    copies: Mapping[str, Sequence[Row]]
    upto: int


class RunExchange:
    """The run log of a folder of states, for handing on; nothing here raises, as nothing of the run log does."""

    def __init__(self, state_folder: Path) -> None:
        self._log = RunLog(state_folder)

    def __enter__(self) -> RunExchange:  # noqa: PYI034 - as it is, nothing inherits from it
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def machine(self) -> str:
        """A name for this run log, always the same."""

        def work(connection: sqlite3.Connection) -> str:
            return _note(connection, "machine") or _set_note(connection, "machine", secrets.token_hex(8))

        return self._do(work, "")

    def unsent(self, project: str) -> Unsent:
        """What was not handed on yet of a project."""

        def work(connection: sqlite3.Connection) -> Unsent:
            sent = int(_note(connection, f"sent {project}") or 0)
            own = "project = ? and id > ? and outcome not in ('running', 'locked')"
            runs = _rows(
                connection, "runs", (*RUN_COLUMNS, "id"), f"{own} order by id desc limit {MAX_RUNS}", project, sent
            )
            runs.reverse()
            copied = _rows(connection, "snapshots", ("taken_at",), "project = ?", project)
            copies: dict[str, Sequence[Row]] = {}
            if runs and any(each["taken_at"] >= runs[0]["started_at"] for each in copied):
                limit = f"project = ? order by rowid desc limit {MAX_COPIED_ROWS}"
                copies = {
                    table: _rows(connection, table, columns, "project = ?" if table == "snapshots" else limit, project)
                    for table, columns in COPY_COLUMNS.items()
                }
            return Unsent(runs=runs, copies=copies, upto=max((run["id"] for run in runs), default=sent))

        return self._do(work, Unsent(runs=(), copies={}, upto=0))

    def mark_sent(self, project: str, *, upto: int, cursor: int) -> None:
        """Note that the runs of a project were handed on up to a number of this log, as the entry ``cursor``."""

        def work(connection: sqlite3.Connection) -> None:
            _set_note(connection, f"sent {project}", str(upto))
            _set_note(connection, f"cursor {project}", str(cursor))

        self._do(work, None)

    def cursors(self) -> Mapping[str, int]:
        """By project, the last entry of other machines' that was taken in."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            sql = "select substr(task, 8), done_at from maintenance where task like 'cursor %'"
            return {project: int(cursor) for project, cursor in connection.execute(sql).fetchall()}

        none: Mapping[str, int] = {}
        return self._do(work, none)

    def add(self, project: str, runs: Iterable[Row], copies: Mapping[str, Sequence[Row]], *, cursor: int) -> None:
        """Take in an entry, unless it was already."""

        def work(connection: sqlite3.Connection) -> None:
            if int(_note(connection, f"cursor {project}") or 0) >= cursor:
                return
            _set_note(connection, f"cursor {project}", str(cursor))
            last = 0
            for run in runs:
                last = _insert(connection, "runs", RUN_COLUMNS, run)
            # What other machines ran is not to be handed on from here.
            _set_note(connection, f"sent {project}", str(max(last, int(_note(connection, f"sent {project}") or 0))))
            for table, columns in COPY_COLUMNS.items():
                if table in copies:
                    connection.execute(f"delete from {table} where project = ?", [project])  # noqa: S608 - a name of ours
                    for row in reversed(copies[table]):
                        _insert(connection, table, ("project", *columns), {**row, "project": project})

        self._do(work, None)

    def _do(self, work: Callable[[sqlite3.Connection], T], default: T) -> T:
        found = default

        def keep(connection: sqlite3.Connection) -> None:
            nonlocal found
            found = work(connection)

        self._log.write(keep)
        return found


def _note(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("select done_at from maintenance where task = ?", [name]).fetchone()
    return str(row[0]) if row else ""


def _set_note(connection: sqlite3.Connection, name: str, value: str) -> str:
    connection.execute("insert or replace into maintenance values (?, ?)", [name, value])
    return value


def _rows(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], condition: str, *values: object
) -> list[dict[str, Any]]:
    sql = f"select {', '.join(columns)} from {table} where {condition}"  # noqa: S608 - names of this module
    return [dict(zip(columns, row, strict=True)) for row in connection.execute(sql, values).fetchall()]


def _insert(connection: sqlite3.Connection, table: str, columns: Sequence[str], row: Row) -> int:
    marks = ", ".join("?" * len(columns))
    sql = f"insert into {table} ({', '.join(columns)}) values ({marks})"  # noqa: S608 - names of this module
    return int(connection.execute(sql, [row.get(name) for name in columns]).lastrowid or 0)
