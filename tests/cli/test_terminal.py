"""Everything that is printed passes one place: no secret, and nothing that a terminal obeys, whoever wrote the text."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import duckdb
import pytest
from support.command import PROGRAM, environment, run_command

from engine.cli.failures import report_error
from engine.cli.log import order_log, write_event
from engine.cli.log_file import LogFile
from engine.cli.session import GlobalOptions, LogFormat, Session
from engine.cli.terminal import Terminal
from engine.clock import zoned
from engine.run_log.read import open_run_log

if TYPE_CHECKING:
    from support.client import Client

CLEAR = "\x1b[2J"
SHOWN = "\\u001b[2J"


@pytest.fixture
def terminal() -> Terminal:
    """One that knows two secrets, of which one begins as an escape of JSON ends."""
    made = Terminal()
    made.hide(["nabcdef", 'pass"word'])
    return made


def test_json_is_masked_before_it_is_written(terminal: Terminal) -> None:
    r"""The ``n`` of ``\n`` is no letter of a secret, and a quote in one is no end of a text."""
    text = terminal.json_text({'pass"word': ["\nabcdef", "a nabcdef b", 'the pass"word'], "n": 12345})
    assert json.loads(text) == {"***": ["\nabcdef", "a *** b", "the ***"], "n": 12345}


def test_json_has_times_decimals_and_paths_as_text(terminal: Terminal) -> None:
    """In lists of lists, too; of a time whose zone is known, with the zone."""
    moment = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as a client's database has it
    text = terminal.json_text([(moment, zoned(moment), Decimal("1.50"), Path("a", "nabcdef"))])
    times = ["2026-01-02 03:04:05", "2026-01-02T03:04:05+00:00"]
    assert json.loads(text) == [[*times, "1.50", str(Path("a", "***"))]]


def test_a_secret_of_less_than_four_letters_is_not_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of every message would be."""
    terminal = Terminal()
    terminal.hide(["abc", ""])
    terminal.print_text("abc is in abcd")
    assert capsys.readouterr().out == "abc is in abcd\n"


def test_one_commands_secrets_are_not_anothers(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that runs many projects holds no list of all their passwords."""
    first, second = Session(), Session()
    first.terminal.hide(["hunter2"])
    second.terminal.print_text("hunter2")
    first.terminal.print_text("hunter2")
    assert capsys.readouterr().out == "hunter2\n***\n"


def test_a_traceback_and_a_log_line_are_masked_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of a library may repeat a login, and a client's text beside it."""
    session = Session(options=GlobalOptions(debug=True))
    session.terminal.hide(["hunter2"])
    report_error(session, RuntimeError(f"hunter2 {CLEAR}"))
    session.options = GlobalOptions(debug=True, log_format=LogFormat.json)
    report_error(session, RuntimeError(f"hunter2 {CLEAR}"))
    write_event(session, "warning", "acme", message=f"hunter2 {CLEAR}\x7f")
    with order_log(session, "acme") as log:
        log(f"hunter2 {CLEAR}")
    said = capsys.readouterr()
    assert said.out == ""
    assert [word for word in ("hunter2", CLEAR, "\x7f") if word in said.err] == []
    assert said.err.startswith(f"RuntimeError: *** {SHOWN}\n")
    lines = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert "traceback" in lines[0]
    assert [line["message"].rpartition(": ")[2] for line in lines] == [
        f"*** {CLEAR}",
        f"*** {CLEAR}\x7f",
        f"*** {CLEAR}",
    ]


@pytest.mark.parametrize("command", [("check",), ("list",), ("docs",), ("--debug", "plan", f"x{CLEAR}"), ("test",)])
def test_a_project_does_not_steer_the_terminal(client: Client, command: tuple[str, ...]) -> None:
    """A branch of somebody else's is checked, tested and built as a site; its folders may be called anything."""
    root = client.workspace / "projects" / f"x{CLEAR}"
    root.mkdir()
    (root / "project.toml").write_text('[project]\ndescription = "\\u001b[2J"\n', "utf-8")
    ran = run_command(*command, folder=client.workspace, variables=client.environment)
    assert CLEAR not in ran.stdout + ran.stderr
    assert SHOWN in ran.stdout + ran.stderr


def test_a_view_does_not_steer_the_terminal(client: Client) -> None:
    """Its SQL is printed with what a terminal would obey as numbers."""
    view = client.root / "views" / "products.sql"
    view.write_text(f"{view.read_text('utf-8')}\n-- {CLEAR}", "utf-8")
    ran = run_command("render", "acme", folder=client.workspace, variables=client.environment)
    assert ran.stdout.endswith(f"-- {SHOWN}\n")


@pytest.mark.parametrize("command", [("list",), ("check",), ("test",), ("docs",), ("review",), ("plan", "acme")])
def test_a_password_that_is_written_in_a_project_is_hidden_by_every_command(
    client: Client, command: tuple[str, ...]
) -> None:
    """Also where it comes back in a message of another project's, or in the name of a file."""
    toml = client.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("${TEST_PASSWORD}", "hunter2"), "utf-8")
    (client.workspace / "projects" / "hunter2").mkdir()
    (client.workspace / "projects" / "hunter2" / "project.toml").write_text('[project]\ndescription = "x"\n', "utf-8")
    client.sql("drop table item")
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=client.workspace, check=True)
    if command == ("review",):  # it shows the one of the commit, too
        toml.write_text(toml.read_text("utf-8").replace("hunter2", "hunter3"), "utf-8")
    ran = run_command(*command, folder=client.workspace, variables=client.environment)
    assert ran.stdout + ran.stderr
    assert [word for word in ("hunter2", "hunter3") if word in ran.stdout + ran.stderr] == []


def test_a_secret_in_a_view_is_not_rendered(client: Client) -> None:
    """Such as the password of a linked server, which comes from a variable."""
    toml = client.root / "project.toml"
    toml.write_text(toml.read_text("utf-8") + '\n[vars]\nlinked_password = "${LINKED}"\n', "utf-8")
    view = client.root / "views" / "products.sql"
    view.write_text(f"{view.read_text('utf-8')}\nwhere {{{{ vars.linked_password }}}} <> ''", "utf-8")
    ran = run_command("render", "acme", folder=client.workspace, variables={**client.environment, "LINKED": "hunter2"})
    assert "hunter2" not in ran.stdout
    assert "'***' <> ''" in ran.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_disk_without_room_for_the_output_stops_no_run(tmp_path: Path) -> None:
    """Every project has its turn, also where standard output is closed; a result that cannot be printed says so."""
    for name in ("acme", "beta"):
        (tmp_path / "projects" / name).mkdir(parents=True)
        (tmp_path / "projects" / name / "project.toml").write_text("", "utf-8")

    def call(words: str) -> subprocess.CompletedProcess[str]:
        line = f"{shlex.join(PROGRAM)} {words}"
        buffered = environment({"PYTHONUNBUFFERED": ""})  # as it is, unless somebody asks for other
        return subprocess.run(
            ["/bin/sh", "-c", line], cwd=tmp_path, env=buffered, capture_output=True, text=True, check=False
        )

    assert call("run --all --jobs 1 2>/dev/full >&- <&-").returncode == 2
    looked = call("status --output json >/dev/full")
    assert (looked.returncode, looked.stderr) == (1, "The result cannot be printed: No space left on device.\n")
    with open_run_log(tmp_path / ".state") as log:
        assert [run.project for run in log.last_runs()] == ["acme", "beta"]
    shown = call("status >/dev/full")
    assert (shown.returncode, shown.stderr.splitlines()[0]) == (1, "The disk is full.")


@pytest.mark.parametrize("words", ["run --all --jobs 1", "run --all --jobs 2", "run --all --jobs 1 2>&1"])
def test_a_reader_that_leaves_stops_no_run(words: str, client: Client) -> None:
    """Such as `head`: what it would have read is dropped, and every project is sent."""
    other = client.root.with_name("beta")
    shutil.copytree(client.root, other)
    client.item("A", price="-1")
    client.item("B")
    with duckdb.connect(str(other / "erp.duckdb")) as connection:
        connection.execute(
            "insert into item (product, code, title, active, price, sku) values ('C', 'C', 'C', 'a', '1', 'C')"
        )
    line = f"exec 3>&1; ({shlex.join(PROGRAM)} {words}; echo $? >&3) | true"
    ran = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=client.workspace,
        env=environment(client.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("4\n", "")
    assert sorted(client.held()) == ["B", "C"]


def test_a_log_of_its_own_is_kept_small(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would go to standard error stands there; at its size it is renamed, and so many older ones are kept."""
    log = tmp_path / "logs" / "s2s.log"
    words = ("--log-format", "json", "--log-file", str(log))
    refused = run_command(*words, "run", "acme", folder=client.workspace, variables=client.environment)
    assert (refused.returncode, "--log-file" in refused.stderr) == (2, True)
    log.parent.mkdir()
    client.item("A")
    for _ in range(2):
        ran = run_command("run", "acme", *words, folder=client.workspace, variables=client.environment)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert [json.loads(line)["event"] for line in log.read_text("utf-8").splitlines()] == ["done", "done"]

    small = LogFile(log, max_bytes=100, kept=2)
    for number in range(40):
        small.write(f"line {number} of text")
    with monkeypatch.context() as windows:
        windows.setattr(Path, "replace", Mock(side_effect=PermissionError))
        for number in range(40, 80):
            small.write(f"line {number} of text")
        assert log.read_text("utf-8").endswith("line 78 of text\nline 79 of text\n")
        assert log.stat().st_size > 300
    small.close()
    log.write_bytes(log.read_bytes()[:100])
    assert {path.name for path in log.parent.iterdir()} == {"s2s.log", "s2s.log.1", "s2s.log.2"}
    assert max(path.stat().st_size for path in log.parent.iterdir()) <= 100
