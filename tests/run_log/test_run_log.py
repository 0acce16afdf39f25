"""The run log: what runs write to it, what anybody reads from it, and that it never stops a run."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from support.erp import open_ledger

from engine.clock import now
from engine.embedded import connect_own_sqlite
from engine.errors import GuardError, StateLockedError
from engine.run_log import record
from engine.run_log.file import SQL_FOLDER, run_log_path
from engine.run_log.read import open_run_log
from engine.run_log.record import RunLog, RunRecord, record_broken_off, record_failure, record_order_changes, record_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def test_a_run_is_seen_while_it_runs_and_after_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its step and rows, what it sent, and how it ended; a secret in its message is masked."""
    monkeypatch.setattr(record, "PROGRESS_INTERVAL_SECONDS", 0.0)
    seen: list[str] = []
    with record_run(tmp_path, project="acme", entity="products", command="run", secrets=["hunter22"]) as run:
        run.begin(7)
        run.progress(lambda *step: seen.append(step[0]))("reading", 5_000, None)
        with open_run_log(tmp_path) as log:
            (now_running,) = log.running()
        run.facts = {"outcome": "attention", "exit_code": 4, "sent": 3, "requests": 2, "message": "with hunter22"}
    assert (now_running.project, now_running.run_id, now_running.step, now_running.done) == ("acme", 7, "reading", 5000)
    assert seen == ["reading"]
    with pytest.raises(GuardError), record_run(tmp_path, project="acme", entity="products", command="run"):
        raise GuardError("90 published rows would be removed")
    with pytest.raises(StateLockedError), record_run(tmp_path, project="acme", entity="products", command="run"):
        raise StateLockedError("Another run holds it")
    with open_run_log(tmp_path) as log:
        assert log.running() == []
        locked, guarded, attention = log.project_runs("acme", limit=10)
        assert [guarded] == log.last_runs()
        assert [attention] == log.last_good_runs()
        (day,) = log.days(now().date() - timedelta(days=1))["acme"]
        count, _ = log.failures_since_good()["acme"]
    assert (locked.outcome, locked.exit_code) == ("locked", 75)
    assert (day.runs, day.failed, day.sent, day.requests) == (2, 1, 3, 2)
    assert (guarded.outcome, guarded.message, count) == ("guarded", "90 published rows would be removed", 1)
    assert (attention.outcome, attention.message) == ("attention", "with ***")


def test_a_run_whose_process_died_is_not_taken_for_running(tmp_path: Path) -> None:
    """At once where the process is gone; and the next run of the project notes it for good."""
    program = (
        "import os, sys; from pathlib import Path; from engine.run_log.record import record_run\n"
        "with record_run(Path(sys.argv[1]), project='acme', entity='products', command='run') as run:\n"
        "    run.begin(1); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    with open_run_log(tmp_path) as log:
        if os.name == "posix":
            assert log.running() == []
            assert [run.outcome for run in log.last_runs()] == ["broken off"]
            record_broken_off(tmp_path, "other")
            assert [run.finished_at for run in log.last_runs()] == [None]
            record_broken_off(tmp_path, "acme")
            (dead,) = log.last_runs()
            assert dead.finished_at is not None
            took = (dead.finished_at - dead.started_at).total_seconds()
            assert dead.seconds == pytest.approx(took, abs=0.1)
    with record_run(tmp_path, project="acme", entity="customers", command="run") as run:
        run.begin(2)
    with open_run_log(tmp_path) as log:
        assert {run.entity: run.outcome for run in log.last_runs()} == {"products": "broken off", "customers": "done"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process began")
def test_a_process_that_has_the_number_of_one_that_is_gone_runs_nothing(tmp_path: Path) -> None:
    """After a restart of the machine another program has it; the run of yesterday is not taken for running."""
    for project in ("today", "yesterday"):
        run_log = RunLog(tmp_path)
        RunRecord(run_log, project=project, entity="products", command="run").begin(1)
        run_log.close()
    with closing(connect_own_sqlite(run_log_path(tmp_path), timeout=1)) as connection:
        moment = f"{now() - timedelta(days=1):%Y-%m-%d %H:%M:%S.000}"
        connection.execute("update runs set started_at = ? where project = 'yesterday'", [moment])
    with open_run_log(tmp_path) as log:
        assert [run.project for run in log.running()] == ["today"]
        assert [(run.project, run.outcome) for run in log.last_runs()] == [("yesterday", "broken off")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_what_the_status_reads_can_be_read_in_a_folder_that_is_read_only() -> None:
    """As on a disk that the system took from writers after a fault, or in a backup; nothing is written beside it."""
    program = (
        "import os, sys, urllib.parse; from pathlib import Path; from engine.run_log.read import open_run_log\n"
        "from engine.orders.ledger_file import LocalLedgers\n"
        "if os.getuid() == 0: os.setuid(65534)\n"  # to whom rights apply
        "with open_run_log(Path(sys.argv[1])) as log: print([run.outcome for run in log.last_runs()])\n"
        "print(LocalLedgers(Path(sys.argv[1])).count_pending(['acme']))"
    )
    with TemporaryDirectory() as name:  # that of pytest is its owner's alone
        folder = Path(name)
        record_failure(folder, GuardError("no"), project="acme", command="run")
        ledger = folder / "acme.orders.sqlite"
        with open_ledger(folder) as orders:
            orders.receive(1001, {}, via="serve")
        files = {run_log_path(folder), ledger}
        for lock in {*folder.iterdir()} - files:
            lock.unlink()
        for path in files:
            path.chmod(0o444)
        folder.chmod(0o555)
        ran = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=False)
        folder.chmod(0o755)
        assert ran.stdout == "['guarded']\n{'acme': {'received': 1}}\n", ran.stderr
        assert {*folder.iterdir()} == files


def test_the_text_of_an_error_that_nobody_foresaw_is_not_kept(tmp_path: Path) -> None:
    """It may be a customer's value, and whoever is notified of a failure would read it."""

    def run(error: BaseException) -> None:
        with pytest.raises(type(error)), record_run(tmp_path, project="acme", entity="customers", command="run"):
            raise error

    run(ValueError("invalid literal for int(): 'Jan Jansen'"))
    run(PermissionError(13, "Permission denied", "/srv/acme.duckdb"))
    run(KeyboardInterrupt())
    with open_run_log(tmp_path) as log:
        assert [each.message for each in log.project_runs("acme", limit=9)] == [
            "It was interrupted.",
            "/srv/acme.duckdb cannot be used: Permission denied.",
            "Something unforeseen went wrong: ValueError.",
        ]


def test_a_run_log_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of once; a damaged one is made anew."""
    run_log_path(tmp_path).mkdir()
    for _ in range(2):
        with record_run(tmp_path, project="acme", entity="products", command="run") as run:
            run.begin(1)
    assert [each.getMessage().count("cannot be written") for each in caplog.records] == [1]
    run_log_path(tmp_path).rmdir()
    run_log_path(tmp_path).write_bytes(b"this is no database" * 100)
    with record_run(tmp_path, project="acme", entity="products", command="run") as run:
        run.begin(1)
    with open_run_log(tmp_path) as log:
        assert [each.outcome for each in log.last_runs()] == ["done"]
    # What no column takes, or no text is, costs no other run its place in the log.
    wrong = RunLog(tmp_path)
    wrong.write(lambda connection: connection.execute("insert into runs (project) values (null)").close())
    wrong.close()
    with record_run(tmp_path, project="M\udcfcller", entity="products", command="run") as run:
        run.begin(2)
    with open_run_log(tmp_path) as log:
        assert [each.project for each in log.last_runs()] == ["acme"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_the_run_log_is_its_owners(tmp_path: Path) -> None:
    """It names what a client's rows break."""
    record_failure(tmp_path / ".state", GuardError("no"), project="acme", command="run")
    log = RunLog(tmp_path / ".state")
    record_order_changes(log, "acme", [(7, "2026-01-31 10:20:30.000", "received")])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / ".state").iterdir()}
    log.close()
    assert modes == {0o600}


def test_what_is_old_is_dropped_but_for_the_last_of_each(tmp_path: Path) -> None:
    """Runs without changes after a day, others after a month; the newest run and the newest good one stay."""
    record_failure(tmp_path, GuardError("x"), project="acme", command="run")
    connection = connect_own_sqlite(run_log_path(tmp_path), timeout=1)
    insert = (
        "insert into runs (project, entity, command, host, process, started_at, outcome, sent)"
        " values ('acme', 'products', 'run', '', 0, ?, ?, ?)"
    )
    for days, outcome, sent in (
        (40, "done", 5),
        (20, "failed", None),
        (10, "done", 0),
        (3, "done", 0),
        (2, "failed", 0),
    ):
        connection.execute(insert, [f"{now() - timedelta(days=days):%Y-%m-%d %H:%M:%S.000}", outcome, sent])
    connection.execute("update maintenance set done_at = '2099-12-31'")  # the clock was wrong
    connection.close()
    record_failure(tmp_path, GuardError("x"), project="beta", command="run")
    with open_run_log(tmp_path) as log:
        ages = [(now() - run.started_at).days for run in log.project_runs("acme", limit=9) if run.entity]
    assert ages == [2, 3, 20]


def test_a_log_of_the_first_version_is_brought_up_to_date_by_whoever_opens_it(tmp_path: Path) -> None:
    """What each project did last and since when it fails is as it was; runs from then on count as well."""
    path = run_log_path(tmp_path)
    connection = connect_own_sqlite(path, timeout=1)
    for statement in (SQL_FOLDER / "run_log.sql").read_text("utf-8").split(";\n\n"):
        connection.execute(statement)
    connection.execute("pragma user_version = 1")
    insert = (
        "insert into runs (project, entity, command, host, process, started_at, outcome, sent, quarantined, seconds)"
        " values (?, ?, 'run', '', 0, ?, ?, ?, 2, 1.5)"
    )
    today = now().replace(hour=12, minute=0, second=0, microsecond=0)
    for project, entity, outcome in (
        ("acme", "products", "failed"),
        ("acme", "products", "done"),
        ("acme", "customers", "guarded"),
        ("acme", "customers", "failed"),
        ("acme", "customers", "locked"),
        ("beta", "products", "done"),
        ("beta", "", "failed"),
    ):
        today += timedelta(seconds=1)
        connection.execute(insert, [project, entity, today.isoformat(" ", timespec="milliseconds"), outcome, 3])
    connection.close()
    with open_run_log(tmp_path) as log:
        assert [(run.id, run.outcome) for run in log.last_runs()] == [
            (2, "done"),
            (4, "failed"),
            (6, "done"),
            (7, "failed"),
        ]
        assert [run.id for run in log.last_good_runs()] == [2, 6]
        assert {name: count for name, (count, _) in log.failures_since_good().items()} == {"acme": 2, "beta": 1}
        (day,) = log.days(today.date() - timedelta(days=1), project="acme")["acme"]
        assert (day.runs, day.failed, day.sent, day.withheld, day.seconds) == (4, 3, 12, 4, 6.0)
    with record_run(tmp_path, project="beta", entity="products", command="run") as run:
        run.begin(1)
    with pytest.raises(GuardError), record_run(tmp_path, project="acme", entity="customers", command="run"):
        raise GuardError("no")
    with open_run_log(tmp_path) as log:
        assert {name: count for name, (count, _) in log.failures_since_good().items()} == {"acme": 3}
        assert [run.id for run in log.last_good_runs()] == [2, 8]


def test_what_is_asked_of_each_project_reads_no_more_runs_however_many_there_are(tmp_path: Path) -> None:
    """The status of two hundred projects answers at once, with a hundred thousand runs in the log."""
    record_failure(tmp_path, GuardError("x"), project="acme", command="run")
    plans: list[str] = []
    with open_run_log(tmp_path) as log:
        read = log._read

        def explained(sql: str, values: Sequence[object] | Mapping[str, object]) -> list[object]:
            plans.extend(str(row[3]) for row in read(f"explain query plan {sql}", values))
            return read(sql, values)

        with mock.patch.object(log, "_read", explained):
            log.last_runs()
            log.last_good_runs()
            log.running()
            log.failures_since_good()
            log.days(now().date())
            log.broken_edits()
            log.project_runs("acme", limit=5)
    assert len(plans) > 7
    assert [plan for plan in plans if re.match(r"SCAN runs(?! USING INDEX runs_under_way)", plan)] == []
