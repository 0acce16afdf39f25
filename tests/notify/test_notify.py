"""`[notify]`: people hear of a change, once, with all projects of the same cause together, and of no person."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from support.command import run_command
from support.output import read_result

from engine.cli import notify as command
from engine.cli.session import GlobalOptions, Session
from engine.clock import now
from engine.config.notifications import NotifySettings, is_quiet, read_all_notify, read_notify
from engine.config.schedule import parse_quiet
from engine.errors import ConfigError
from engine.notify import notify, send
from engine.notify.changes import Change, compose, find_changes
from engine.orders.ledger_file import LocalLedgers
from engine.run_log.record import RunLog, RunRecord
from engine.status.collect import EDIT_NOTE, ProjectStatus

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise imports what Python is about to drop


@dataclass(slots=True)
class Office:
    """A workspace of two projects whose people are told by JSON, and a monitor that is pinged."""

    workspace: Path
    port: int = 0
    status: int = 200
    endless: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)

    def s2s(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the workspace."""
        return run_command(*words, folder=self.workspace, variables={})

    def configure(self, **settings: object) -> None:
        """Write [notify] into workspace.toml."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        (self.workspace / "workspace.toml").write_text("\n".join(["[notify]", *lines]), "utf-8")

    def run(self, project: str, *, entity: str = "products", **facts: Any) -> None:
        """Note a run of a project, as a run does."""
        log = RunLog(self.workspace / ".state")
        record = RunRecord(log, project=project, entity=entity, command="run")
        record.facts = {"outcome": "done", "exit_code": 0, **facts}
        record.finish()
        log.close()

    def news(self) -> list[tuple[str, str]]:
        """What is sent now: titles and texts."""
        assert self.s2s("notify").returncode == 0
        found = [(each["title"], each["message"]) for each in self.messages]
        self.messages.clear()
        return found


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """The workspace, and a server for both."""
    office = Office(tmp_path)
    monkeypatch.setattr(notify, "_warned", set())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            office.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        def do_GET(self) -> None:
            office.pings.append(self.path)
            self._answer()

        def _answer(self) -> None:
            if office.status != 200:
                office.messages.clear()
            self.send_response(office.status)
            if office.status == 301:
                self.send_header("Location", "/elsewhere")
            if not office.endless:
                self.send_header("Content-Length", "0")
            self.end_headers()
            while office.endless:
                self.wfile.write(b"and so on ")
                time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    office.port = server.server_port
    for name in ("acme", "beta"):
        (tmp_path / "projects" / name).mkdir(parents=True)
        (tmp_path / "projects" / name / "project.toml").write_text("", "utf-8")
    (tmp_path / ".env").write_text(f"NOTIFY_URL=json://me:geheim@127.0.0.1:{office.port}/told\n", "utf-8")
    office.configure(urls=["${NOTIFY_URL}"], failures=2, ping=f"http://127.0.0.1:{office.port}/ping/4711")
    yield office
    office.endless = False
    server.shutdown()
    server.server_close()


def test_people_hear_of_a_change_once(office: Office) -> None:
    """Of failures in a row, recovery, and a guard with its numbers and the command; what did not arrive comes later."""
    for project in ("acme", "beta"):
        office.run(project)
    assert office.news() == []
    assert office.pings == ["/ping/4711"]
    broken: dict[str, Any] = {"outcome": "failed", "exit_code": 1, "message": "The database refuses the login."}
    for project in ("acme", "beta"):
        office.run(project, **broken)
    assert office.news() == []
    assert office.pings == ["/ping/4711", "/ping/4711/fail"]
    for project in ("acme", "beta"):
        office.run(project, **broken)
    ((title, text),) = office.news()
    assert title == "Stock2Shop: 2 projects fail"
    assert text.startswith("acme, beta fail.\nproducts: The database refuses the login. (2 runs since ")
    office.run("acme", **broken)
    assert office.news() == []
    office.run("acme", outcome="stopped", exit_code=130)
    assert office.news() == []
    for project in ("acme", "beta"):
        office.run(project)
    assert office.news() == [("Stock2Shop: 2 projects are well again", "acme, beta are well again.")]

    office.run("beta", outcome="guarded", exit_code=3, message="90 rows would be deleted.\nNothing was sent.")
    hour = datetime.now().astimezone().hour
    always = f"{hour:02}:00-{(hour + 2) % 24:02}:00"
    office.configure(urls=["${NOTIFY_URL}"], quiet=always)
    assert office.news() == []
    office.configure(urls=["${NOTIFY_URL}"])
    office.status = 500
    failed = office.s2s("notify")
    assert (failed.returncode, office.messages) == (0, [])
    assert "Somebody may not be notified: Address 1 (json://…) took no message." in failed.stderr
    assert "geheim" not in failed.stderr
    office.status = 200
    ((title, text),) = office.news()
    assert title == "Stock2Shop: beta was stopped by a guard"
    assert text.endswith(
        "\nproducts: 90 rows would be deleted. Look with `s2s plan beta`, which says how to approve it."
    )
    assert office.news() == []


def test_one_message_a_day_says_how_all_is(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its time, in its zone, once; what did not arrive comes later; of a day in which nothing ran, too."""
    zone = ZoneInfo("Africa/Johannesburg")
    at = (now() + timedelta(hours=2)).strftime("%H:%M")
    office.configure(urls=["${NOTIFY_URL}"], failures=9, held=9, digest=f"{at} {zone.key}")
    office.run("acme", sent=1234, quarantined=3)
    office.run("beta", outcome="failed", exit_code=1, message="The database refuses the login.")
    assert office.news() == []
    moment = now() + timedelta(days=1)
    monkeypatch.setattr(notify, "now", lambda: moment)
    office.status = 500
    assert office.news() == []
    office.status = 200
    ((title, text),) = office.news()
    assert title == "Stock2Shop: the day of 2 projects, 1 of 2 need somebody"
    first, *others = text.splitlines()
    assert first.endswith(": 2 runs, 1,234 rows sent, 1 run failed.")
    assert others == [
        "beta fails: products: The database refuses the login.",
        "Rows are withheld: acme 3.",
        "1 of 2 projects is well.",
    ]
    assert office.news() == []
    moment += timedelta(days=1)
    ((title, text),) = office.news()
    assert "\nNot run: beta, acme.\n" in text
    for wrong, said in (("7 o'clock", "is written like"), ("07:00 Nowhere/There", "has 'Nowhere/There'")):
        office.configure(urls=["${NOTIFY_URL}"], digest=wrong)
        assert f"[notify] digest {said}" in office.s2s("notify").stderr


def test_who_runs_notifies_and_never_fails_by_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does at its end, the agent again and again; a broken [notify] is a warning, and no other exit code."""
    office.configure(urls=["${NOTIFY_URL}"], failures=1)
    assert office.s2s("run", "acme").returncode == 2
    assert [each["title"] for each in office.messages] == ["Stock2Shop: acme fails"]
    office.configure(urls=["${NOWHERE}"])
    ran = office.s2s("run", "acme")
    assert (ran.returncode, "names the variable NOWHERE, which is not set" in ran.stderr) == (2, True)
    office.messages.clear()

    office.configure(urls=["${NOTIFY_URL}"], failures=1)
    office.run("beta", outcome="failed", exit_code=1, message="Gone.")
    monkeypatch.setattr(command, "INTERVAL_SECONDS", 0.02)
    with command.keep_notifying(Session(options=GlobalOptions(workspace=office.workspace))):
        until = time.monotonic() + 20
        while not office.messages and time.monotonic() < until:
            time.sleep(0.02)
    assert [each["title"] for each in office.messages] == ["Stock2Shop: beta fails"]


def test_a_machine_that_slept_or_whose_clock_was_set_alarms_nobody(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ran meanwhile, and all of it runs within its cadence: the agent counts as having just begun."""
    looked: SimpleQueue[timedelta] = SimpleQueue()
    ahead = timedelta()

    def look(_session: Session, *, up_for: timedelta) -> None:
        nonlocal ahead
        looked.put(up_for)
        ahead = timedelta(hours=8)

    monkeypatch.setattr(command, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(command, "notify_now", look)
    monkeypatch.setattr(command, "now", lambda: now() + ahead)
    with command.keep_notifying(Session(options=GlobalOptions(workspace=office.workspace))):
        before, after, later = (looked.get(timeout=60) for _ in range(3))
    assert after < before < timedelta(minutes=1)
    assert after < later


def test_a_server_that_answers_for_ever_keeps_nobody_waiting(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and of the answer to a ping nothing is read; a password with a bracket in it is no fault."""
    monkeypatch.setattr(send, "SEND_SECONDS", 0.5)
    office.endless = True
    urls = (f"json://127.0.0.1:{office.port}/told",)
    assert send.send_message(urls, "title", "text") == ["Address 1 (json://…) did not answer within 0.5 s"]
    assert send.ping(f"http://127.0.0.1:{office.port}/ping", failing=True) == []
    office.endless = False
    assert send.send_message(urls, "Stock2Shop: M\udcfcller\nBcc: me fails", "text") == []
    assert office.messages[-1]["title"] == "Stock2Shop: M\\udcfcller Bcc: me fails"
    office.status = 301
    (wrong,) = send.ping(f"http://127.0.0.1:{office.port}/ping/4711", failing=False)
    assert wrong.startswith("The ping to 127.0.0.1 was answered 301, a redirect")
    (wrong,) = send.send_message(["mailtos://me:p[a]ss@localhost:1"], "title", "text")
    assert "p[a]ss" not in wrong
    # Python 3.10 takes brackets anywhere in a web address.
    for address in (*(("https://me:p[a]ss@example.com",) if sys.version_info >= (3, 11) else ()), "https://"):
        office.configure(ping=address)
        with pytest.raises(ConfigError) as raised:
            read_notify(office.workspace, "acme", environ={})
        assert "[notify] ping is no web address" in str(raised.value)
        assert "p[a]ss" not in str(raised.value)


def test_nobody_is_sent_the_same_again_because_the_disk_is_full(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent knows what it sent although it cannot note it, says so, and notes it once it can."""
    state, settings = office.workspace / ".state", read_all_notify(office.workspace, environ={})[0]
    office.run("acme", outcome="guarded", exit_code=3, message="90 rows would be removed.")

    def write_nothing(_path: Path, _content: bytes, *, mode: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(notify, "replace_file", write_nothing)
        for _ in range(3):
            notify.notify(office.workspace, state, settings, ledgers=LocalLedgers(state), up_for=None)
    assert len(office.messages) == 1
    assert any("No space left on device" in each for each in notify._warned)
    assert not (state / "notified.json").exists()
    office.messages.clear()
    notify.notify(office.workspace, state, settings, ledgers=LocalLedgers(state), up_for=None)
    assert office.news() == []


def test_people_hear_of_a_project_whose_own_settings_are_broken(office: Office) -> None:
    """Those of the workspace do, as long as the file that names others cannot be read."""
    office.configure(urls=["${NOTIFY_URL}"], failures=1)
    path = office.workspace / "projects" / "acme" / "project.toml"
    path.write_text('[notify]\nurls = ["json://elsewhere"]\n[source\n', "utf-8")
    assert [title for title, _ in office.news()] == ["Stock2Shop: acme fails"]


def test_an_entity_that_is_taken_out_of_a_project_takes_its_troubles_along(office: Office) -> None:
    """It no longer fails, and holds nothing back; people hear that the project is well, and of its next failure."""
    office.configure(urls=["${NOTIFY_URL}"], failures=1, held=3)
    project = office.workspace / "projects" / "acme"
    (project / "views").mkdir()
    (project / "views" / "products.sql").write_text("select 1", "utf-8")
    (project / "project.toml").write_text("[customers]\n", "utf-8")
    office.run("acme")
    office.run("acme", entity="customers", outcome="attention", exit_code=4, quarantined=9)
    office.run("acme", entity="customers", outcome="failed", exit_code=1, message="Gone.")
    assert [title for title, _ in office.news()] == ["Stock2Shop: News of 1 project"]
    (project / "project.toml").write_text("", "utf-8")
    assert office.news() == [("Stock2Shop: acme is well again", "acme is well again.")]
    assert office.s2s("status", "acme").returncode == 0
    office.run("acme", outcome="failed", exit_code=1, message="Gone.")
    assert [title for title, _ in office.news()] == ["Stock2Shop: acme fails"]


def test_a_test_says_which_address_takes_nothing(office: Office) -> None:
    """Without printing it; where there is none it says how to write one."""
    sent = office.s2s("notify", "--test")
    assert (sent.returncode, sent.stdout) == (0, "2 of 2 addresses took a test.\n"), sent.stderr
    assert [each["title"] for each in office.messages] == ["Stock2Shop: a test"]
    office.configure(urls=["${NOTIFY_URL}", "nonsense://geheim"])
    sent = office.s2s("notify", "--test")
    assert (sent.returncode, sent.stdout) == (1, "1 of 2 addresses took a test.\n")
    assert sent.stderr == "Address 2 (nonsense://…) is none that apprise knows.\n"
    as_json = read_result(office.s2s("notify", "--test", "--output", "json").stdout)
    assert as_json == {"addresses": 2, "failed": ["Address 2 (nonsense://…) is none that apprise knows"]}
    assert read_result(office.s2s("notify", "--output", "json").stdout) == {"addresses": None, "failed": []}
    (office.workspace / "workspace.toml").unlink()
    assert office.s2s("notify", "--test").returncode == 2


def status(**facts: Any) -> ProjectStatus:
    """A status of the project acme."""
    return ProjectStatus(**{"project": "acme", "condition": "ok", **facts})


def test_what_is_news_follows_from_the_status() -> None:
    """A late project only where an agent has been up for long enough; orders and held rows beside everything else."""
    settings = NotifySettings(held=10, late=timedelta(minutes=30))
    edit = status(condition="failed", message=f"views/products.sql:3: no such column. {EDIT_NOTE}")
    ((news,), known) = find_changes((), edit, settings, failing=False, up_for=None)
    assert (news.kind, news.text, known) == ("failed", edit.message, ["failed"])  # at once: nobody waits for three runs
    ((news,), _) = find_changes(known, status(condition="ok"), settings, failing=False, up_for=None)
    assert news.kind == "recovered"
    late = status(condition="late", message="It has not run for 40 min.", every_seconds=180.0, late_seconds=2220.0)
    for minutes, kinds in ((None, []), (20, []), (31, ["late"])):
        up_for = None if minutes is None else timedelta(minutes=minutes)
        changes, after = find_changes([], late, settings, failing=False, up_for=up_for)
        assert ([each.kind for each in changes], after) == (kinds, kinds)
    assert find_changes(["late"], late, settings, failing=False, up_for=None) == ([], ["late"])
    held = status(condition="held", quarantined=8, refused=3, orders_waiting=2)
    changes, after = find_changes(["held"], held, settings, failing=False, up_for=None)
    assert [each.text for each in changes] == ["2: `s2s orders list acme --status waiting`"]
    assert after == ["held", "orders"]
    assert find_changes(after, status(quarantined=10), settings, failing=False, up_for=None) == ([], [])
    title, text = compose([*changes, Change("beta", "recovered", "")])
    assert title == "Stock2Shop: News of 2 projects"
    assert text.endswith("\n\nbeta is well again.")
    changes = [Change(name, "held", f"some rows: `s2s quarantine list {name}`") for name in ("e", "o")]
    assert compose(changes)[1] == "e, o hold rows back.\nsome rows: `s2s quarantine list PROJECT`"
    changes = [Change(f"client_{n}", "failed", f"{'cause ' * 80}{n % 100}") for n in range(200)]
    _, text = compose(changes)
    assert len(text) < 28_000
    assert text.endswith("… and 80 more: `s2s status`")


def test_quiet_hours_may_go_over_midnight(office: Office) -> None:
    """They end with the minute that is named; those that end when they begin are refused, as in [schedule]."""
    office.configure(quiet="20:00-20:00")
    with pytest.raises(ConfigError, match="quiet hours end when they begin"):
        read_notify(office.workspace, "acme", environ={})
    night = NotifySettings(quiet=parse_quiet("20:00-06:30"))
    day = now().replace(hour=0, minute=0)
    quiet = [hour for hour in range(24) if is_quiet(night, day.replace(hour=hour, minute=30))]
    assert quiet == [*range(6), *range(20, 24)]
