"""The command line as a person or a scheduler meets it: one clear message, the right exit code, no traceback."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import requests
from support.client import VIEW
from support.command import run_command, run_process
from support.output import read_result
from support.rights import powerless
from support.servers import free_port

from engine.cli.session import Session
from engine.cli.signals import run_controls
from engine.errors import StateError, StateLockedError
from engine.sandbox.server import Sandbox
from engine.sandbox.settings import SandboxSettings
from engine.state.store import open_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.client import Client
    from support.servers import Postgres


ROOT = Path(__file__).parents[2]


class S2s:
    """Runs the command in the client's workspace."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def environment(self) -> dict[str, str]:
        """What the process sees."""
        return {**os.environ, **self.client.environment, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def __call__(self, *words: str, encoding: str = "utf-8", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; ``more`` are variables that it sees besides."""
        run = run_command if encoding == "utf-8" else run_process
        return run(
            *words, folder=self.client.workspace, variables={**self.client.environment, **more}, encoding=encoding
        )

    def without_rights(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the rights of files count."""
        return run_process(
            *words, folder=self.client.workspace, variables=self.client.environment, before=tuple(powerless())
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            # Who runs the tests in the background ignores Ctrl-C, and what they start would, too.
            ["env", "--default-signal=INT", sys.executable, "-m", "engine", *words],
            cwd=self.client.workspace,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )


@pytest.fixture
def s2s(client: Client) -> S2s:
    """The command, beside a client."""
    return S2s(client)


def failed(ran: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """One clear message with what is wrong and what to do; the exit code; no traceback."""
    everything = ran.stdout + ran.stderr
    assert ran.returncode == code, everything
    for word in said:
        assert word in everything
    assert "Traceback" not in everything
    assert "leaked" not in everything


def test_a_sound_run_ends_with_0(s2s: S2s) -> None:
    """And says in a line what was done."""
    s2s.client.item("A")
    ran = s2s("run", "acme")
    assert ran.returncode == 0
    assert "1 acknowledged (1 new)" in ran.stdout


def test_a_run_with_quarantine_ends_with_4(s2s: S2s) -> None:
    """Done, but somebody should look."""
    s2s.client.item("A")
    s2s.client.item("B", title="")
    ran = s2s("run", "acme")
    assert ran.returncode == 4
    assert "s2s quarantine list acme" in ran.stdout
    assert "title" in s2s("quarantine", "list", "acme").stdout


def test_a_run_that_a_guard_stops_ends_with_3_and_names_the_way_on(s2s: S2s) -> None:
    """The command in the hint works as it is printed."""
    s2s.client.items(100)
    s2s("run", "acme")
    s2s.client.sql("delete from item where code > 'I050'")
    failed(s2s("plan", "acme"), 3, "STOPPED BY max_deletes")
    stopped = s2s("run", "acme")
    failed(stopped, 3, "max_deletes allows 10", "--approve-deletes 49")
    command = stopped.stderr.split("exactly this plan: `s2s ")[1].split("`")[0]
    assert s2s(*command.split()).returncode == 0


def test_an_approval_is_for_one_project_and_one_entity(s2s: S2s) -> None:
    """What was looked at for one may not let another through."""
    s2s.client.item("A")
    for approval in (("--expect", "0123456789ab"), ("--approve-deletes", "5"), ("--approve-changes", "5")):
        failed(s2s("run", "--all", *approval), 2, "An approval is for one project")
        failed(s2s("run", "acme", "other", *approval), 2, "An approval is for one project")
    customers = "select 'C' as source_customer_code, 'A' as customer_active, 'a@b.co' as email, 'A' as first_name,"
    (s2s.client.root / "views" / "customers.sql").write_text(f"{customers} 'B' as last_name", "utf-8")
    s2s.client.write(more="[customers]")
    failed(s2s("run", "acme", "--approve-deletes", "5"), 2, "s2s run acme --entity products")
    failed(s2s("run", "acme", TEST_PASSWORD="wrong"), 1, "acme products: ", "acme customers: ")
    assert s2s.client.held() == {}
    assert s2s("run", "acme", "--entity", "products", "--approve-deletes", "5").returncode == 0


def test_a_run_tells_how_much_of_its_plan_was_acknowledged(s2s: S2s) -> None:
    """Where Stock2Shop refused a row the plan's numbers are not the run's."""
    s2s.client.items(3)
    s2s.client.sandbox.faults.refuse_sku("I001")
    ran = s2s("run", "acme")
    assert ran.returncode == 4
    assert "2 of 3 acknowledged (3 new)" in ran.stdout


def test_python_m_engine_and_json_output(s2s: S2s) -> None:
    """What a machine reads is JSON, whole, on standard output."""
    s2s.client.item("A")
    (plan,) = read_result(s2s("plan", "acme", "--output", "json").stdout)
    assert plan["counts"]["inserts"] == 1
    (outcome,) = read_result(s2s("run", "acme", "--output", "json").stdout)
    assert (outcome["sent"], outcome["plan"]["digest"]) == (1, plan["digest"])


def test_json_logs_tell_errors_and_with_debug_progress(s2s: S2s) -> None:
    """Each line of standard error is one JSON document; a run is one line without --debug."""
    s2s.client.item("A")
    ran = s2s("--log-format", "json", "--debug", "run", "acme")
    events = [json.loads(line)["event"] for line in ran.stderr.splitlines()]
    assert (events[0], events[-1]) == ("reading", "done")
    (line,) = s2s("--log-format", "json", "run", "acme").stderr.splitlines()
    assert (json.loads(line)["event"], json.loads(line)["exit_code"]) == ("done", 0)
    ran = s2s("--log-format", "json", "run", "nobody")
    error = json.loads(ran.stderr.splitlines()[-1])
    assert (error["exit_code"], error["project"]) == (2, "nobody")


def test_a_json_log_tells_what_became_of_a_run(s2s: S2s) -> None:
    """A scheduler's log says when which project sent how much, without the output beside it."""
    s2s.client.item("A")
    s2s.client.item("B", title="")
    (line,) = s2s("--log-format", "json", "run", "acme").stderr.splitlines()
    ended = json.loads(line)
    assert (ended["at"][-6:], ended["exit_code"]) == ("+00:00", 4)
    assert (ended["event"], ended["project"], ended["entity"], ended["run_id"]) == ("attention", "acme", "products", 1)
    assert (ended["source"], ended["sent"], ended["quarantined"], ended["refused"]) == (2, 1, 1, 0)


def test_json_logs_hold_nothing_but_json(s2s: S2s) -> None:
    """Not for a request that is tried again, nor for a mistyped option; an error names its project."""
    s2s.client.item("A")
    s2s.client.sandbox.faults.server_errors(1000)
    events = [json.loads(line) for line in s2s("--log-format", "json", "run", "acme").stderr.splitlines()]
    assert [(event["event"], event["project"]) for event in events] == [("warning", "acme"), ("error", "acme")]
    assert "attempt 1 of 2" in events[0]["message"]
    ran = s2s("--log-format", "json", "run", "--nope")
    assert json.loads(ran.stderr)["exit_code"] == ran.returncode == 2


def test_one_project_that_fails_does_not_stop_the_others(s2s: S2s) -> None:
    """`run --all` goes on, and gives the gravest exit code."""
    s2s.client.item("A")
    broken = s2s.client.workspace / "projects" / "aaa"
    broken.mkdir()
    (broken / "project.toml").write_text("[source]\n")
    ran = s2s("run", "--all", "--jobs", "1")
    failed(ran, 2, "aaa", "1 acknowledged")
    assert sorted(s2s.client.held()) == ["A"]


def test_no_project_is_named(s2s: S2s) -> None:
    """`s2s run` alone does not guess."""
    failed(s2s("run"), 2, "--all")


def test_an_unknown_project_is_guessed(s2s: S2s) -> None:
    """Did you mean."""
    failed(s2s("run", "acmee"), 2, "Did you mean acme?")


def test_no_workspace_says_how_to_begin(tmp_path: Path) -> None:
    """In an empty folder."""
    failed(run_command("run", "acme", folder=tmp_path, variables={}), 2, "s2s init")


def test_a_run_without_a_workspace_says_nothing_of_notifications(tmp_path: Path) -> None:
    """There is nobody that could be notified."""
    ended = run_command("run", "acme", folder=tmp_path, variables={})
    assert ended.returncode == 2
    assert "There is no workspace here" in ended.stderr
    assert "notified" not in ended.stderr


def test_a_schedule_over_no_projects_is_no_success(tmp_path: Path) -> None:
    """A mistyped --workspace, or a folder that was emptied: nothing is in step, and the exit code says so."""

    def s2s(*words: str) -> subprocess.CompletedProcess[str]:
        return run_command("--workspace", str(tmp_path), *words, folder=tmp_path, variables={})

    for words in (("run", "--all"), ("check",), ("list",), ("run", "acme")):
        failed(s2s(*words), 2, f"--workspace is {tmp_path}", "s2s init")
    (tmp_path / "projects").mkdir()
    for words in (("run", "--all"), ("check",)):
        failed(s2s(*words), 2, "There are no projects", "s2s init")


def test_an_unknown_option_is_usage(s2s: S2s) -> None:
    """Exit code 2, without a traceback."""
    failed(s2s("run", "acme", "--nonsense"), 2, "--nonsense")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("select 1 as title\nfrom {{ vars.nope }}", "products.sql:2"),
        ("select 1 as title {% if %}", "products.sql:1"),
        ("select * from item", "`*`"),
        ("delete from item", "not one SELECT"),
        ("select 1 as title; select 2 as title", "more than one statement"),
        (VIEW.replace("title,", "title as titel,"), "Did you mean title"),
        (VIEW.replace("    title,\n", ""), "The required field 'title'"),
        (VIEW.replace("    tags,\n", "    tags,\n    title,\n"), "appears twice"),
        (VIEW.replace('"variants.qty"', "variants.qty"), "must be quoted"),
    ],
)
def test_a_view_that_cannot_be_is_refused_before_anything_is_read(s2s: S2s, view: str, said: str) -> None:
    """`check` finds what `run` would refuse, with file, line and remedy."""
    s2s.client.item("A")
    s2s.client.write(view=view)
    failed(s2s("check", "acme"), 2, said, "products.sql")
    failed(s2s("run", "acme"), 2, said)
    assert s2s.client.held() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[source\n", "project.toml:1"),
        ("[source]\ndialect = 'duckdb'\ndatabase = 'x'\ndatabse = 'y'\n[stock2shop]\n", "Did you mean database"),
        ("[source]\ndialect = 'tsgl'\ndatabase = 'x'\n", "project.toml"),
        ("[source]\ndialect = 'duckdb'\ndatabase = '${ERP_FILE}'\n", "ERP_FILE is not set"),
        ("[source]\ndialect = 'duckdb'\n[stock2shop]\nsource_id = 'x'\nusername='u'\npassword='p'\n", "source_id"),
    ],
)
def test_a_project_file_that_is_wrong_names_the_line(s2s: S2s, text: str, said: str) -> None:
    """Every fault at once, each with its place."""
    (s2s.client.root / "project.toml").write_text(text)
    failed(s2s("check", "acme"), 2, said)


@pytest.mark.parametrize(("name", "code"), [("views", 2), ("tests", 1)])
def test_a_folder_that_the_account_may_not_look_into_is_said(s2s: S2s, name: str, code: int) -> None:
    """Schedulers run under accounts of their own; a data test that cannot be seen is not one that there is not."""
    folder = s2s.client.root / name
    folder.mkdir(exist_ok=True)
    folder.chmod(0o000)
    ran = s2s.without_rights("run", "acme")
    folder.chmod(0o700)
    failed(ran, code, name, "Permission denied", "the account that runs s2s")
    assert "fault of s2s" not in ran.stderr


@pytest.mark.parametrize("hidden", ["projects/zebra", "projects/zebra/views"])
def test_a_project_that_the_account_may_not_look_into_fails_alone(s2s: S2s, hidden: str) -> None:
    """It is not left out in silence, and holds up no other."""
    client, other = s2s.client, s2s.client.root.with_name("zebra")
    (other / "views").mkdir(parents=True)
    for name in ("project.toml", "views/products.sql"):
        (other / name).write_bytes((client.root / name).read_bytes())
    client.item("A")
    folder = client.workspace / hidden
    folder.chmod(0o000)
    ran = s2s.without_rights("run", "--all", "--jobs", "1")
    listed, checked = s2s.without_rights("list"), s2s.without_rights("check")
    folder.chmod(0o700)
    assert [line.split()[0] for line in listed.stdout.splitlines()[2:]] == ["acme", "zebra"]
    assert "1 fault: s2s check zebra" in listed.stdout
    assert ("acme: ready" in checked.stdout, "zebra: not ready" in checked.stdout) == (True, True)
    assert "zebra: " in ran.stderr
    failed(ran, ran.returncode, hidden, "Permission denied")
    assert ran.returncode in {1, 2}
    assert [held["source_variant_code"] for held in client.held().values()] == ["A"]


def test_a_snippet_that_may_not_be_read_is_not_taken_from_elsewhere(s2s: S2s) -> None:
    """A template of the same name, farther away, would give another view."""
    client = s2s.client
    for folder in (client.root / "shared", client.workspace / "templates" / "sql" / "shared"):
        folder.mkdir(parents=True)
        (folder / "view.sql").write_text((client.root / "views" / "products.sql").read_text("utf-8"), "utf-8")
    client.write(view='{% include "shared/view.sql" %}')
    (client.root / "shared").chmod(0o000)
    ran = s2s.without_rights("check", "acme")
    (client.root / "shared").chmod(0o700)
    failed(ran, 2, "acme/shared/view.sql", "cannot be read: Permission denied")


def test_fixtures_that_may_not_be_seen_are_not_overwritten(s2s: S2s) -> None:
    """Nor are they counted as none."""
    folder = s2s.client.root / "fixtures"
    folder.mkdir()
    folder.chmod(0o300)
    captured, tested = s2s.without_rights("fixtures", "capture", "acme"), s2s.without_rights("test", "acme")
    folder.chmod(0o700)
    for ran in (captured, tested):
        failed(ran, 1, "fixtures", "Permission denied")
    assert list(folder.iterdir()) == []


def test_a_database_that_is_not_there_ends_with_1(s2s: S2s) -> None:
    """Nothing is sent; the file is named."""
    (s2s.client.root / "erp.duckdb").unlink()
    failed(s2s("run", "acme"), 1, "erp.duckdb", "database")


def test_a_table_that_is_not_there_ends_with_1(s2s: S2s) -> None:
    """The database's own word is in the message."""
    s2s.client.sql("drop table item")
    failed(s2s("run", "acme"), 1, "item", "s2s render")


def test_a_stock2shop_that_is_not_there_ends_with_1_and_loses_nothing(s2s: S2s) -> None:
    """The plan still works, with a note."""
    s2s.client.item("A")
    s2s.client.environ["TEST_URL"] = f"http://127.0.0.1:{free_port()}/v1"
    failed(s2s("run", "acme"), 1, "next run sends the same changes again")
    planned = s2s("plan", "acme")
    assert planned.returncode == 0
    assert "could not be reached" in planned.stdout
    del s2s.client.environ["TEST_URL"]
    assert s2s("run", "acme").returncode == 0


def test_a_wrong_password_for_stock2shop_ends_with_1(s2s: S2s) -> None:
    """And never repeats it."""
    ran = s2s("run", "acme", TEST_PASSWORD="not-the-password")
    failed(ran, 1, "password")
    assert "not-the-password" not in ran.stdout + ran.stderr


def test_a_wrong_source_id_names_those_that_exist(s2s: S2s) -> None:
    """The number is looked up in the console, and here."""
    path = s2s.client.root / "project.toml"
    path.write_text(path.read_text().replace("source_id = 57", "source_id = 58"))
    failed(s2s("run", "acme"), 1, "58", "57")


@pytest.mark.rubbish
def test_a_page_instead_of_json_is_said(s2s: S2s) -> None:
    """As a captive portal or a wrong address answers."""
    s2s.client.sandbox.faults.html_answers(50)
    failed(s2s("run", "acme"), 1, "url")


def test_a_state_file_that_is_damaged_says_how_to_go_on(s2s: S2s) -> None:
    """Nothing is deleted or resent for it."""
    s2s.client.item("A")
    s2s("run", "acme")
    state = s2s.client.workspace / ".state" / "acme.duckdb"
    whole = state.read_bytes()
    state.write_bytes(b"rubbish" * 5000)
    failed(s2s("run", "acme"), 1, "acme.duckdb", "s2s adopt")
    state.write_bytes(whole[: len(whole) // 2])
    failed(s2s("run", "acme"), 1, "damaged", "s2s adopt")
    state.unlink()
    with closing(sqlite3.connect(state)) as other, other:
        other.execute("create table item (code text)")
    failed(s2s("run", "acme"), 1, "is not a DuckDB file", "s2s adopt")


def test_a_state_file_of_a_newer_version_is_left_alone(s2s: S2s) -> None:
    """An older engine does not guess."""
    s2s("run", "acme")
    state = s2s.client.workspace / ".state" / "acme.duckdb"
    with duckdb.connect(str(state)) as connection:
        connection.execute("update meta set value = '999' where name = 'version'")
    failed(s2s("run", "acme"), 1, "newer s2s")


def test_a_disk_that_is_full_while_staging_loses_nothing(s2s: S2s) -> None:
    """Nothing is sent, published is as it was, and the next run goes on."""
    s2s.client.items(20)
    assert s2s("run", "acme").returncode == 0
    s2s.client.sql(
        "insert into item (product, code, title, active, price, qty, sku, html) select c, c, c, 'Yes', '1', '1', c,"
        " repeat('<p>' || c || md5(c) || '</p>', 200) from (select printf('J%04d', n) as c from range(2000) as t(n))"
    )
    cramped = subprocess.run(
        ["bash", "-c", f"ulimit -f 2048; exec {sys.executable} -m engine run acme --approve-changes 9999"],
        cwd=s2s.client.workspace,
        env=s2s.environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    failed(cramped, 1, "The disk is full", "S2S_STATE")
    assert len(s2s.client.held()) == 20
    assert s2s("run", "acme", "--approve-changes", "9999").returncode == 0
    assert len(s2s.client.held()) == 2020


def test_a_state_folder_that_cannot_be_is_said(s2s: S2s, tmp_path: Path) -> None:
    """Such as a file where the folder should be."""
    (tmp_path / "taken").write_text("")
    s2s.client.item("A")
    failed(s2s("run", "acme", S2S_STATE=str(tmp_path / "taken")), 1, "taken")


def test_what_a_terminal_would_obey_is_shown_and_not_sent_to_it(s2s: S2s) -> None:
    """A client's texts may hold anything; JSON says the same."""
    s2s.client.item("A", title="Ham\x1b[2Jmer\u009b")
    s2s.client.item("B", price="1\x1b]0;x\x07")
    ran = s2s("run", "acme")
    assert ran.returncode == 4
    listed = s2s("quarantine", "list", "acme")
    planned = s2s("plan", "acme", "--full")
    machine = s2s("plan", "acme", "--full", "--output", "json")
    for said in (ran, listed, planned, machine):
        assert not {"\x1b", "\u009b", "\x07"} & set(said.stdout)
    assert "\\u001b]0;x" in listed.stdout
    assert "Ham\\u001b[2Jmer\\u009b" in planned.stdout
    assert read_result(machine.stdout)[0]["warnings"][0]["value"] == "Ham\x1b[2Jmer\u009b"


def test_a_state_folder_that_takes_no_new_file_is_said(s2s: S2s) -> None:
    """Though the state file itself may be written: the working set needs room beside it."""
    s2s.client.item("A")
    s2s("run", "acme")
    folder = s2s.client.workspace / ".state"
    folder.chmod(0o500)
    ran = s2s.without_rights("run", "acme")
    folder.chmod(0o700)
    failed(ran, 1, "cannot be written", "S2S_STATE")


def test_what_a_run_writes_beside_the_state_is_its_owners(tmp_path: Path) -> None:
    """The journal holds the same customers as the file."""
    with open_state(tmp_path / "acme.duckdb") as state:
        state.set_meta("sync_token", "1")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert modes == {"acme.duckdb": 0o600, "acme.duckdb.wal": 0o600}


def test_two_runs_of_one_project_do_not_meet(s2s: S2s, client: Client) -> None:
    """The second ends with 75 at once, and its lock needs no mending."""
    client.item("A")
    client.sandbox.faults.latency = 3.0
    first = s2s.start("run", "acme")
    state = client.workspace / ".state" / "acme.duckdb"
    while not state.exists():
        time.sleep(0.01)
    time.sleep(0.5)
    failed(s2s("run", "acme"), 75, "Another run holds")
    client.sandbox.faults.latency = 0.0
    first.communicate()
    assert first.returncode == 0
    assert s2s("run", "acme").returncode == 0


def test_a_run_that_is_asked_to_stop_ends_between_two_batches(s2s: S2s, client: Client) -> None:
    """SIGTERM: what was acknowledged is recorded, and the next run sends the rest."""
    client.write(remote="batch_variants = 1\npace = 20\n")
    client.items(200)
    process = s2s.start("run", "acme")
    while client.posted() < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    sent = len(client.held())
    assert 0 < sent < 200
    client.write()
    assert client.run().sent == 200 - sent


@pytest.mark.parametrize(
    ("dialect", "numbers"),
    [
        ("sqlite", "(with recursive n(i) as (select 1 union all select i + 1 from n) select i from n)"),
        ("duckdb", "range(1000000000000) as n(i)"),
    ],
)
def test_a_read_that_is_asked_to_stop_ends_at_once(s2s: S2s, client: Client, dialect: str, numbers: str) -> None:
    """However much there would be to read; and a log of JSON stays one."""
    sqlite3.connect(client.root / "erp.sqlite").execute("create table item (code)").connection.close()
    client.write(
        view="select i as source_product_code, i as source_variant_code, i as title, 'Yes' as product_active,"
        f' i as "variants.sku" from {numbers}'
    )
    toml = client.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("duckdb", dialect), "utf-8")
    with s2s.start("--log-format", "json", "--debug", "run", "acme") as process:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        while len(client.sandbox.requests) < 2:  # the login and the sync token, then the query
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        said += process.stderr.readlines()
        assert process.wait(timeout=60) == 130, said
    assert [json.loads(line)["event"] for line in said] == ["reading", "stopping", "error"]
    assert "Stopped as asked" in said[-1]
    assert client.posted() == 0


def test_a_stop_that_is_asked_for_while_a_line_is_written_is_taken_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line is finished, and what follows is said behind it."""
    written = bytearray()

    class Interrupted(io.RawIOBase):
        """Standard error, where the signal comes with the first letters of the first line."""

        def writable(self) -> bool:
            return True

        def write(self, letters: Any) -> int:
            if not written:
                os.kill(os.getpid(), signal.SIGTERM)
            written.extend(letters)
            return len(letters)

    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Interrupted()), encoding="utf-8"))
    with run_controls(Session(), "acme", "products") as (stop, _):
        sys.stderr.write("A line of another's\n")
        sys.stderr.flush()
        assert stop.wait(60)
    assert written.decode() == "A line of another's\n\nStopping after the current batch …\n"


@pytest.mark.parametrize("moment", [1, 7, 23])
def test_a_run_that_is_killed_loses_and_doubles_nothing(s2s: S2s, client: Client, moment: int) -> None:
    """`kill -9` in the middle: the next run sends what was not recorded, and then there is nothing left."""
    client.write(remote="batch_variants = 5\npace = 40\n")
    client.items(200)
    process = s2s.start("run", "acme")
    while client.posted() < moment * 5:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    client.write()
    outcome = client.run()
    names = [path.name for path in (client.workspace / ".state").iterdir()]
    assert [name for name in names if not name.startswith(("stock2shop-", "runs.sqlite"))] == ["acme.duckdb"]
    assert outcome.sent <= 200 - (moment - 1) * 5
    assert len(client.held()) == 200
    assert client.run().sent == 0


def test_no_secret_is_ever_printed(s2s: S2s) -> None:
    """Not even with --debug."""
    s2s.client.item("A")
    s2s.client.sandbox.faults.server_errors(1000)
    ran = s2s("--debug", "run", "acme", TEST_PASSWORD="a-very-secret-word")
    assert "a-very-secret-word" not in ran.stdout + ran.stderr
    assert "token=" not in ran.stdout + ran.stderr


def test_doctor_finds_all_well(s2s: S2s) -> None:
    """Each line says what was looked at."""
    ran = s2s("doctor", "acme")
    assert ran.returncode == 0, ran.stdout
    for word in ("ODBC", "view products", "source", "read-only", "Stock2Shop", "clock", "state"):
        assert word in ran.stdout


def test_doctor_says_what_to_do(s2s: S2s) -> None:
    """A wrong password, a missing file."""
    (s2s.client.root / "erp.duckdb").unlink()
    ran = s2s("doctor", "acme", TEST_PASSWORD="wrong")
    failed(ran, 1, "erp.duckdb", "→")


def test_explain_tells_a_keys_story(s2s: S2s) -> None:
    """Source, staged, published, what would be sent, and when it was sent before."""
    s2s.client.item("A", price="10.00")
    s2s("run", "acme")
    s2s.client.sql("update item set price = '12' where code = 'A'")
    told = s2s("explain", "acme", "A").stdout
    for word in ("update", "csv_price_tiers: 10 → 12", '"price": 12', "insert acknowledged (200)"):
        assert word in told
    failed(s2s("explain", "acme", "NOPE"), 2, "NOPE")


def test_init_writes_a_project_that_checks_clean(tmp_path: Path) -> None:
    """Once its .env is filled in."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return run_command(*words, folder=tmp_path, variables={})

    assert command("init", "acme", "--dialect", "tsql", "--source-id", "57").returncode == 0
    unfilled = command("check", "acme")
    assert (unfilled.returncode, "warning: The variable ACME_S2S_USER is empty." in unfilled.stdout) == (0, True)
    failed(command("plan", "acme"), 2, "The variable ACME_S2S_USER is empty.")
    dotenv = tmp_path / "projects" / "acme" / ".env"
    dotenv.write_text("".join(f"{line}x\n" for line in dotenv.read_text().splitlines() if "=" in line))
    checked = command("check", "acme")
    assert (checked.returncode, checked.stdout) == (0, "acme: ready\n"), checked.stdout + checked.stderr
    failed(command("init", "acme"), 2, "exists already")


def test_init_does_not_hide_what_the_workspace_has_a_value_for(tmp_path: Path) -> None:
    """An empty line in the project's .env would win over it."""
    (tmp_path / ".env").write_text("ACME_S2S_USER=shared\nACME_USER=\n", "utf-8")
    made = run_command("init", "acme", "--dialect", "tsql", "--source-id", "57", folder=tmp_path, variables={})
    assert made.returncode == 0, made.stderr
    lines = (tmp_path / "projects" / "acme" / ".env").read_text("utf-8").splitlines()
    assert "ACME_S2S_USER=" not in lines
    assert {"ACME_S2S_PASSWORD=", "ACME_USER="} <= set(lines)
    assert "ACME_S2S_USER" not in run_command("check", "acme", folder=tmp_path, variables={}).stdout


def test_git_never_sees_what_is_secret_or_made(tmp_path: Path) -> None:
    """State, secrets, an environment, the written site and logs stay out of a workspace's history."""
    command = [sys.executable, "-m", "engine", "init", "acme", "--source-id", "57", "--dialect", "postgres"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    for name in (
        ".state/acme.duckdb",
        ".env",
        ".venv/pyvenv.cfg",
        "site/index.html",
        "s2s.log",
        "s2s.log.1",
        "s2s.err",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run(["git", "ls-files"], cwd=tmp_path, check=True, capture_output=True, encoding="utf-8")
    assert listed.stdout.splitlines() == [
        ".gitignore",
        "project.schema.json",
        "projects/acme/.gitignore",
        "projects/acme/project.toml",
        "projects/acme/views/products.sql",
    ]


def test_help_lists_commands_as_a_project_needs_them(s2s: S2s) -> None:
    """A newcomer reads from the top: begin, check, test, look, run; each part has a heading, and -h is --help."""
    said = s2s("--help").stdout
    assert (s2s("-h").stdout, "\nOrders:\n" in said) == (said, True)
    names = [line.split()[0] for line in said.partition("Set up:")[2].splitlines() if re.match(r"  \w", line)]
    wanted = ["init", "check", "test", "plan", "run", "explain", "verify"]
    assert [name for name in names if name in wanted] == wanted


@pytest.mark.parametrize(
    "template", ["iq_retail", "omni", "sage_300", "sage_evolution", "sage_pastel", "sap_business_one", "syspro"]
)
def test_init_from_a_template_is_green_at_once(tmp_path: Path, template: str) -> None:
    """Its views run on the template's fixtures, and what must be asked on site is in its README."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return run_command(*words, folder=tmp_path, variables={})

    made = command("init", "acme", "--template", template)
    assert made.returncode == 0, made.stderr
    tested = command("test", "acme")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "To ask on site" in (tmp_path / "projects" / "acme" / "README.md").read_text("utf-8")


def test_a_mistyped_template_is_guessed(tmp_path: Path) -> None:
    """Did you mean."""
    ran = run_command("init", "other", "--template", "sage_30", folder=tmp_path, variables={})
    failed(ran, 2, "Did you mean sage_300?")


def test_help_imports_nothing_heavy() -> None:
    """`s2s --help` answers at once."""
    code = (
        "import sys; sys.argv = ['s2s', '--help']\nfrom engine.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('duckdb', 'pyarrow', 'sqlglot', 'requests', 'jinja2', 'pydantic', 'pyodbc', 'rich')"
        " if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.stdout.rstrip().endswith("[]")


def test_a_title_that_the_code_page_lacks_stops_nothing(s2s: S2s) -> None:
    """Windows' code page has no 漢: what goes to a file is UTF-8, and where it cannot be, the letter is escaped."""
    s2s.client.item("A", title="漢 ✓")
    plain = s2s("explain", "acme", "A", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert plain.returncode == 0, plain.stderr
    assert "漢 ✓" in plain.stdout
    told = s2s("explain", "acme", "A", PYTHONIOENCODING="cp1252", encoding="cp1252")
    assert told.returncode == 0, told.stderr
    assert "\\u6f22 \\u2713" in told.stdout


CANNOT_OPEN = r'IO Error: Cannot open file "C:\acme.duckdb":'
IN_USE = "The process cannot access the file because it is being used by another process."
OPEN_IN = "File is already open in \nC:\\python.exe (PID 3528)"


def refuse(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Have DuckDB open no file, and say why."""

    def connect(*_: object, **__: object) -> None:
        raise duckdb.IOException(said)

    monkeypatch.setattr(duckdb, "connect", connect)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"{CANNOT_OPEN} {IN_USE}\r\n\r\n{OPEN_IN}", "Another run holds .*process 3528"),
        (
            f"{CANNOT_OPEN} Der Prozess kann nicht auf die Datei zugreifen.\r\n{OPEN_IN}",
            "Another run holds .*process 3528",
        ),
        (f"{CANNOT_OPEN} {IN_USE}", "a virus scanner"),
    ],
)
def test_a_state_that_windows_will_not_open_is_one_that_another_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: str
) -> None:
    """As DuckDB's users report its words from there: there is no Windows to ask here."""
    refuse(monkeypatch, said)
    with pytest.raises(StateLockedError, match=expected) as held, open_state(tmp_path / "acme.duckdb"):
        pass
    assert held.value.exit_code == 75


@pytest.mark.parametrize("name", ["nul", "Con.old", "acme.", "a b", "../acme"])
def test_a_project_has_a_name_that_every_system_takes_for_a_folders(s2s: S2s, name: str) -> None:
    """A workspace in git is checked out anywhere."""
    failed(s2s("init", name, "--dialect", "sqlite"), 2, "cannot be a project's name")


@pytest.mark.parametrize(
    ("number", "expected", "code"), [(32, "Another run or program holds", 75), (5, "cannot be written", 1)]
)
def test_windows_numbers_tell_why_a_state_cannot_be_opened_where_its_words_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str, code: int
) -> None:
    """They are in the language of the machine."""
    state = tmp_path / "acme.duckdb"
    refuse(monkeypatch, f'IO Error: Cannot open file "{state}": Das geht nicht.')
    monkeypatch.setattr("engine.state.errors._open_error", lambda path: number if path == state else 0)
    with pytest.raises(StateError, match=expected) as refused, open_state(state):
        pass
    assert refused.value.exit_code == code


def test_a_write_that_failed_on_a_disk_without_room_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the language that Windows says it in."""
    refuse(monkeypatch, 'IO Error: Could not write file "acme.duckdb.wal": Es ist zu wenig Speicherplatz da.')
    with pytest.raises(StateError, match="could not be used"), open_state(tmp_path / "acme.duckdb"):
        pass
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(StateError, match="The disk is full"), open_state(tmp_path / "acme.duckdb"):
        pass


def test_a_state_that_windows_cannot_read_to_its_end_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB has words of its own for it there."""
    refuse(monkeypatch, 'IO Error: Could not read all bytes from file "acme.duckdb": wanted=262144 read=124928')
    with pytest.raises(StateError, match="is damaged"), open_state(tmp_path / "acme.duckdb"):
        pass


def test_the_demo_tells_its_story(tmp_path: Path) -> None:
    """From an empty folder, with every command's exit code as it should be."""
    ran = subprocess.run(
        [sys.executable, "-m", "engine", "demo", str(tmp_path / "demo")],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    codes = [line for line in ran.stdout.splitlines() if line.startswith("(exit code")]
    assert codes == [f"(exit code {code})" for code in (0, 0, 4, 0, 4, 4, 0, 0, 0, 4, 0)]
    assert ran.stdout.count('"source_order_code":"SO5001"') == 2
    assert "4 acknowledged (1 new, 2 changed, 1 removed)" in ran.stdout
    assert "nothing to send" in ran.stdout
    # What it ends with works as it is typed there: its Stock2Shop is there again, with all that it held.
    sandbox, *after = re.findall(r"(?m)^  s2s (.*)$", ran.stdout.partition("━━ What next")[2])
    options = shlex.split(sandbox)
    folder = tmp_path / "demo"
    settings = SandboxSettings(port=int(options[2]), path=folder / options[4])
    with Sandbox(settings):
        for words in after:
            told = run_command(*words.split(), folder=folder, variables={})
            assert told.returncode == 0, told.stderr
            assert words != "plan karoo" or "nothing: Stock2Shop has it all" in told.stdout


def test_verify_finds_and_fixes_drift(s2s: S2s, client: Client) -> None:
    """What somebody changed in the console is found, and sent again when asked."""
    for code in "ABC":
        client.item(code)
    client.run()
    assert s2s("verify", "acme").returncode == 0
    client.sandbox.change(57, "A", price=1)
    client.sandbox.forget(57, "B")
    ran = s2s("verify", "acme")
    failed(ran, 4, "csv_price_tiers", "missing", "--repair")
    found = read_result(s2s("verify", "acme", "--output", "json").stdout)
    assert [(drift["entity"], drift["key"]) for drift in found] == [("products", "A"), ("products", "B")]
    assert s2s("verify", "acme", "--repair").returncode == 0
    assert client.run().sent == 2
    assert (client.held()["A"]["price"], sorted(client.held())) == (100, ["A", "B", "C"])
    state = client.project.state
    state.unlink()
    ran = s2s("verify", "acme")
    failed(ran, 4, "unknown", "left alone")
    assert "--repair" not in ran.stdout


def test_reading_back_tells_how_far_it_came(s2s: S2s, client: Client) -> None:
    """A large account takes minutes at the usual pace."""
    client.items(3)
    client.run()
    for command in ("adopt", "verify"):
        told = [
            json.loads(line) for line in s2s("--log-format", "json", "--debug", command, "acme").stderr.splitlines()
        ]
        assert ("reading back", "acme", "products") in {
            (line["event"], line["project"], line["entity"]) for line in told
        }


def test_where_no_row_was_refused_nothing_is_said_to_be_sent_again(s2s: S2s) -> None:
    """Nor does it lead to a run."""
    s2s.client.item("A")
    assert s2s("quarantine", "retry", "acme").stdout == "None of these is held back because Stock2Shop refused it.\n"


@pytest.mark.parametrize("command", ["plan", "run", "verify", "adopt", "preview"])
def test_an_empty_view_is_a_fault_of_the_project_whatever_reads_it(s2s: S2s, command: str) -> None:
    """With its file; nothing asks the database for it."""
    (s2s.client.root / "views" / "products.sql").write_text("", "utf-8")
    failed(s2s(command, "acme"), 2, "products.sql: error: The view is empty.", "Write one SELECT.")


def test_adopt_takes_what_stock2shop_holds(s2s: S2s, client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    """A lost state file is no reason to send or delete everything."""
    client.shirt("S", "M", "L", trade="80", tags="b,a", vendor="Kudu")
    client.item("A")
    client.run()
    before = client.posted()
    (client.workspace / ".state" / "acme.duckdb").unlink()
    client.sql("update item set qty = '6' where code = 'A'")
    ran = s2s("adopt", "acme")
    assert "3 variants" in ran.stdout
    assert client.posted() == before
    assert [change.key for change in client.plan().changes] == ["A"]


def test_a_second_ctrl_c_ends_a_query_that_takes_for_ever(s2s: S2s, client: Client, postgres: Postgres) -> None:
    """No driver hears it while it waits; and the database is not left with the query."""
    view = "select code as source_product_code, code as source_variant_code, code as title, 'Yes' as product_active,"
    client.write(view=view + ' code as "variants.sku", pg_sleep(600) as vendor from (select 1 as code) as v')
    settings = client.root / "project.toml"
    source = f"connection = {json.dumps(postgres.connection('postgres'))}"
    settings.write_text(
        settings.read_text("utf-8").replace('"duckdb"', '"postgres"').replace('database = "erp.duckdb"', source),
        "utf-8",
    )
    running = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    process = s2s.start("run", "acme")
    while postgres.row("postgres", running) != (1,):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    assert "Stopping" in lines[1]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert postgres.row("postgres", running) == (0,)


def test_the_sandbox_says_where_it_listens_and_ends_quietly(s2s: S2s, tmp_path: Path) -> None:
    """With the project's own source number, after it listens, and with Ctrl-C as its end."""
    process = s2s.start("sandbox", "--port", "0", "--source-id", "12", "--state", str(tmp_path / "held.json"))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    shown = requests.get(lines[2].split()[-1], timeout=10)
    assert shown.json()["source"]["id"] == 12
    assert "the source is 12" in lines[1]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")


def test_a_sandbox_that_cannot_start_says_why(s2s: S2s, client: Client, tmp_path: Path) -> None:
    """A port in use, a number that is no port, a file of something else, a folder that is not there."""
    port = client.sandbox.url.split(":")[2].removesuffix("/v1")
    failed(s2s("sandbox", "--port", port), 2, f"127.0.0.1:{port}", "in use", "--port")
    failed(s2s("sandbox", "--port", "99999"), 2, "--port", "65535")
    failed(s2s("sandbox", "--pace", "-1"), 2, "--pace")
    (tmp_path / "bad.json").write_text("[]", "utf-8")
    failed(s2s("sandbox", "--port", "0", "--state", str(tmp_path / "bad.json")), 2, "bad.json is not a sandbox's file")
    failed(s2s("sandbox", "--port", "0", "--state", str(tmp_path / "none" / "x.json")), 2, "none", "--state")
