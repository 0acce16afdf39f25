"""`s2s status`: what each project does and how it did last, in one look, without a password, while runs hold states."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.command import run_command
from support.output import read_result

from engine.cli.session import Session
from engine.cli.status import status_table
from engine.clock import now
from engine.config.schedule import parse_duration
from engine.run_log.record import RunLog, RunRecord, record_run
from engine.status.collect import ProjectStatus
from engine.status.prometheus import metrics_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.client import Client

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def s2s(client: Client, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the client's workspace, with these variables alone."""
    return run_command(*words, folder=client.workspace, variables=variables)


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Another process holds a state, as a run does."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(b"")


def add_run(folder: Path, project: str, *, ago: timedelta, **facts: Any) -> None:
    """Note a run that began so long ago, and ended at once."""
    log = RunLog(folder)
    entity, command = facts.pop("entity", "products"), facts.pop("command", "run")
    record = RunRecord(log, project=project, entity=entity, command=command)
    moment = f"{now() - ago:%Y-%m-%d %H:%M:%S.000}"
    record.facts = {"outcome": "done", "exit_code": 0, "sent": 0, "started_at": moment, "finished_at": moment, **facts}
    record.finish()
    log.close()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[schedule]\nevery = "1h"\n'.encode("utf-16"), "workspace.toml: The file is not UTF-8."),
        ('# für alle\n[schedule]\nevery = "1h"\n'.encode("cp1252"), "workspace.toml:1: The file is not UTF-8."),
        (b"[schedule\n", "workspace.toml:1:10: This is not TOML: Expected ']' at the end of a table declaration."),
    ],
    ids=["UTF-16", "cp1252", "no TOML"],
)
def test_a_broken_workspace_file_is_every_projects_failure_and_stops_no_run(
    client: Client, content: bytes, says: str
) -> None:
    """As the page on schedules says; and the message names what is wrong with it."""
    client.item("A")
    (client.workspace / "workspace.toml").write_bytes(content)
    run = run_command("run", "acme", folder=client.workspace, variables=client.environment)
    assert run.returncode == 0, run.stderr
    shown = s2s(client, "status")
    assert shown.returncode == 5, shown.stderr
    assert says in shown.stdout


def test_orders_that_are_pulled_are_no_run_of_the_products(client: Client) -> None:
    """A project whose orders alone come in is late, and its last good run is not that of its orders."""
    folder = client.workspace / ".state"
    with (client.root / "project.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'\n[orders]\ndatabase = "{client.root / "erp.duckdb"}"\n\n[orders.pull]\n')
    (client.workspace / "workspace.toml").write_text('[schedule]\nevery = "1h"\n', "utf-8")
    add_run(folder, "acme", ago=timedelta(minutes=1), entity="orders", command="orders pull")
    (acme,) = read_result(s2s(client, "status", "--output", "json").stdout)
    assert (acme["condition"], acme["last_run_at"], acme["last_good_at"]) == ("late", None, None)
    add_run(folder, "acme", ago=timedelta(hours=3))
    (acme,) = read_result(s2s(client, "status", "--output", "json").stdout)
    assert (acme["condition"], acme["message"]) == ("late", "It has not run for 3 h.")
    add_run(folder, "acme", ago=timedelta(minutes=2))
    (acme,) = read_result(s2s(client, "status", "--output", "json").stdout)
    assert acme["condition"] == "ok"


def test_what_needs_a_person_stands_first(client: Client) -> None:
    """A project that fails, one that a guard stopped, one that is late, one with held rows, one that is well."""
    folder = client.workspace / ".state"
    for name in ("broken", "guarded", "late", "new", "well"):
        (client.workspace / "projects" / name).mkdir()
        (client.workspace / "projects" / name / "project.toml").write_text("[project]\n", "utf-8")
    (client.workspace / "workspace.toml").write_text('[schedule]\nevery = "1h"\n', "utf-8")
    (client.workspace / "projects" / "late" / "project.toml").write_text('[schedule]\nevery = "3m"\n', "utf-8")
    (client.workspace / "projects" / "new" / "project.toml").write_text("this is no TOML", "utf-8")
    add_run(folder, "guarded", ago=timedelta(minutes=9), outcome="guarded", message="90 rows would be removed")
    add_run(folder, "guarded", ago=timedelta(minutes=8), outcome="stopped")  # by somebody, and nothing is better for it
    for name in ("late", "well"):
        add_run(folder, name, ago=timedelta(minutes=8), sent=2, requests=3)
    client.item("A")
    client.item("B", title="")
    assert s2s(client, "run", "acme", **client.environment).returncode == 4
    assert s2s(client, "run", "broken").returncode == 2

    looked = s2s(client, "status", "--output", "json")
    assert looked.returncode == 5, looked.stderr
    found = {each["project"]: each for each in read_result(looked.stdout)}
    assert [(name, each["condition"]) for name, each in found.items()] == [
        ("broken", "failed"),
        ("new", "failed"),
        ("guarded", "guarded"),
        ("late", "late"),
        ("acme", "held"),
        ("well", "ok"),
    ]
    assert "source" in found["broken"]["message"]
    assert "not TOML" in found["new"]["message"]
    assert (found["guarded"]["message"], found["guarded"]["failures"]) == ("products: 90 rows would be removed", 1)
    assert found["late"]["message"] == "It has not run for 8 min."
    acme = found["acme"]
    assert (acme["sent"], acme["quarantined"], acme["every_seconds"], acme["activity"]) == (1, 1, 3600.0, None)
    assert acme["last_good_at"].endswith("+00:00")
    assert s2s(client, "status", "acme").returncode == 4
    assert s2s(client, "status", "well").returncode == 0
    assert s2s(client, "status", "nobody").returncode == 2
    text = s2s(client, "status").stdout
    assert [line.split()[0] for line in text.splitlines()[2:]] == [*found]
    metrics = s2s(client, "status", "--all", "--output", "prometheus").stdout
    assert 's2s_failing{project="broken"} 1\n' in metrics
    assert 's2s_rows_quarantined{project="acme"} 1\n' in metrics


def test_what_is_stored_is_read_while_a_run_holds_the_state_and_without_passwords(client: Client) -> None:
    """Runs, changes and quarantine come from the run log then, and the status says what runs."""
    client.item("A")
    client.item("B", title="")
    s2s(client, "run", "acme", **client.environment)
    commands = (("history", "acme"), ("history", "acme", "--run", "1"), ("quarantine", "list", "acme"))
    free = [s2s(client, *words) for words in commands]
    story = s2s(client, "explain", "acme", "B", "--stored").stdout
    assert story.startswith("acme · B: held back by the last run; the source was not read\n\nheld back since ")
    assert "insert acknowledged (200), run 1" in s2s(client, "explain", "acme", "A", "--stored").stdout
    assert s2s(client, "explain", "acme", "NOPE", "--stored").returncode == 2
    with (
        held(client.workspace / ".state" / "acme.duckdb"),
        record_run(client.workspace / ".state", project="acme", entity="products", command="run") as run,
    ):
        run.begin(2)
        locked = [s2s(client, *words) for words in commands]
        assert s2s(client, "explain", "acme", "B", **client.environment).stdout == story
        (status,) = read_result(s2s(client, "status", "--output", "json").stdout)
    for before, after in zip(free, locked, strict=True):
        assert (before.returncode, before.stderr) == (0, "")
        assert after.returncode == 0, after.stderr
        assert "A run of acme is under way" in after.stderr
    assert "running" in locked[0].stdout
    assert [each.stdout.splitlines()[-1].split()[1:] for each in locked[1:]] == [
        each.stdout.splitlines()[-1].split()[1:] for each in free[1:]
    ]
    assert (status["activity"]["command"], status["activity"]["entity"]) == ("run", "products")


@pytest.mark.skipif(os.name == "nt", reason="the mode of a folder says who may write to it")
def test_a_folder_in_which_no_run_can_work_is_each_projects_fault(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, or where anybody may write. The run log lies there, and knows nothing of the runs that fail."""
    folder = client.workspace / ".state"
    with record_run(folder, project="acme", entity="products", command="run"):
        pass
    assert s2s(client, "status").returncode == 0
    folder.chmod(0o777)
    shown = s2s(client, "status")
    assert (shown.returncode, "Every user of this machine may write to the folder" in shown.stdout) == (5, True)
    folder.chmod(0o700)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=200_000))
    shown = s2s(client, "status")
    assert (shown.returncode, f"The disk is full: {folder} has no room" in shown.stdout) == (5, True)


def test_metrics_are_exact_and_name_any_project() -> None:
    """A count of millions has all its digits; quotes, line breaks and bytes that are no text spoil no other line."""
    odd = ProjectStatus(project='a "b" \\ \n M\udcfcller', condition="ok", sent=12_345_678, late_seconds=0.1)
    lines = metrics_text([odd, ProjectStatus(project="acme", condition="ok")], now()).encode().decode().splitlines()
    label = r'{project="a \"b\" \\ \n M\\udcfcller"}'
    assert f"s2s_rows_sent_today{label} 12345678" in lines
    assert f"s2s_late_seconds{label} 0.1" in lines
    assert 's2s_rows_sent_today{project="acme"} 0' in lines
    assert not [line for line in lines if not line.startswith(("#", "s2s_"))]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal_and_cuts_no_reason(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts that are 0 everywhere are left out; what a message would have a terminal do is shown, not done."""
    monkeypatch.setenv("COLUMNS", str(width))
    message = "products: The database refuses the login 株式会社, \x1b]0;owned\x07 and says why, at length, room."
    found = [
        ProjectStatus(project="durban-tools", condition="failed", message=message, failures=4, failing_since=now()),
        ProjectStatus(project="karoo-trading", condition="ok", last_good_at=now(), sent=12_345, requests=7),
    ]
    console = Console(file=io.StringIO(), width=width)
    console.print(status_table(Session(), found))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    shown = "".join(text.split())
    for word in ("株式会社", "room.", "4runssince", "durban-tools", "failed", "never"):
        assert word in shown
    assert ("refused" in text, "12345" in text) == (False, width == 120)


def test_a_cadence_is_a_number_and_a_unit() -> None:
    """Anything else is an error that says how it is written."""
    assert [parse_duration(text).total_seconds() for text in ("90s", "3m", "2 h", "1d")] == [90, 180, 7200, 86400]
    for wrong in ("", "3", "m", "0m", "1.5h", "3 minutes"):
        with pytest.raises(ValueError, match="3m"):
            parse_duration(wrong)
