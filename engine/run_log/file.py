"""The file of the run log: where it is, opening it, and dropping what is old."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import now
from engine.embedded import connect_own_sqlite
from engine.files import create_private_file, make_private_folder

if TYPE_CHECKING:
    import sqlite3

SQL_FOLDER = Path(__file__).parent / "sql"

MIGRATIONS = ("run_log.sql", "run_log_2.sql", "run_log_3.sql")
"""The scripts that lead from no tables to version 1, from there to version 2, and so on.

A statement ends before an empty line.
"""

VERSION = len(MIGRATIONS)
"""The version of the tables, kept as SQLite's ``user_version``. A log of a newer version is left alone."""

WRITE_TIMEOUT_SECONDS = 2
"""How long a run waits for another process that writes to the log, before it goes on without."""

KEEP_DAYS = 30
"""How long a run is kept that sent something or failed, and an order's change of status."""

KEEP_QUIET_DAYS = 1
"""How long a run is kept that had nothing to send: there are hundreds a day of each project."""


def run_log_path(state_folder: Path) -> Path:
    """Where the run log of all projects is whose states are in a folder."""
    return state_folder / "runs.sqlite"


def connect_run_log(path: Path) -> sqlite3.Connection:
    """Open the run log, which is made where there is none, for its owner alone.

    Raises :class:`OSError`, :class:`StateError` and :class:`sqlite3.Error` where it cannot be used.
    """
    make_private_folder(path.parent)
    create_private_file(path)  # SQLite gives the files beside it the same rights
    connection = connect_own_sqlite(path, timeout=WRITE_TIMEOUT_SECONDS)
    try:
        connection.execute("pragma journal_mode = wal")
        # No run waits for the disk. A process may be killed at any moment; after a power cut the file may be damaged,
        # and the next run begins a new one: see :func:`remove_damaged`.
        connection.execute("pragma synchronous = off")
        if connection.execute("pragma user_version").fetchone()[0] < VERSION:
            _create_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def remove_damaged(path: Path) -> None:
    """Delete a run log that SQLite cannot read: all that it had are copies."""
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        each.unlink(missing_ok=True)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables, or bring those of an older version up to date."""
    connection.execute("begin immediate")
    try:
        version = connection.execute("pragma user_version").fetchone()[0]  # another one may have done it meanwhile
        for script in MIGRATIONS[version:]:
            for statement in (SQL_FOLDER / script).read_text("utf-8").split(";\n\n"):
                connection.execute(statement)
        if version < VERSION:
            connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")
    finally:
        if connection.in_transaction:
            connection.execute("rollback")


def prune(connection: sqlite3.Connection) -> None:
    """Drop what is older than :data:`KEEP_DAYS` and :data:`KEEP_QUIET_DAYS`, once a day, inside a transaction.

    The newest run of each entity stays.
    """
    today = time_text(now())[:10]
    done = connection.execute("select done_at from maintenance where task = 'prune'").fetchone()
    if done is not None and done[0] == today:  # a later day was noted while the clock was wrong
        return
    before, quiet = (time_text(now() - timedelta(days=days)) for days in (KEEP_DAYS, KEEP_QUIET_DAYS))
    connection.execute(
        "delete from runs where started_at < :quiet and outcome <> 'running'"
        " and id not in (select last_id from latest union all select good_id from latest where good_id is not null)"
        " and (started_at < :before or outcome = 'locked' or (outcome in ('done', 'attention') and sent = 0))",
        {"quiet": quiet, "before": before},
    )
    connection.execute("delete from days where day < ?", [before[:10]])
    connection.execute("delete from order_changes where at < ?", [before])
    connection.execute("insert or replace into maintenance values ('prune', ?)", [today])


def time_text(moment: datetime) -> str:
    """A time in UTC, without a zone, as the log keeps all times: ``2026-01-31 10:20:30.000``."""
    return moment.isoformat(" ", timespec="milliseconds")
