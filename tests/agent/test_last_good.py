"""A broken edit of a project: the agent checks files that have changed, and keeps the last good version running."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from support.console import write_users
from support.erp import order_document

from engine.cli import versions
from engine.cli.agent_jobs import project_schedules
from engine.cli.agent_orders import keep_receiving
from engine.cli.console import read_settings
from engine.cli.run import RunRequest, job_message, run_job
from engine.cli.session import GlobalOptions, LogFormat, Session
from engine.config.last_good import find_copy, read_files
from engine.config.notifications import read_all_notify
from engine.errors import ConfigError
from engine.orders.ledger_file import LocalLedgers
from engine.orders.receiver import Receiver
from engine.status.collect import ProjectStatus, collect_statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.client import Client
    from support.erp import Erp


def run(
    client: Client, *, by_agent: bool = True, report: Callable[[Mapping[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Run acme as the agent has its workers do it, or as `s2s run --all` does; ``report`` gets its JSON log."""
    versions._found.clear()  # as a new worker
    request = RunRequest(several=True, last_good=by_agent)
    with mock.patch.dict("os.environ", client.environment):
        options = GlobalOptions(
            workspace=client.workspace, log_format=LogFormat.text if report is None else LogFormat.json
        )
        job = job_message(options, client.workspace, "acme", request)
        return run_job(job, threading.Event(), report or (lambda _event: None))


def status(client: Client) -> ProjectStatus:
    """How acme does."""
    (found,) = collect_statuses(
        client.workspace,
        ["acme"],
        state_folder=client.workspace / ".state",
        ledgers=LocalLedgers(client.workspace / ".state"),
    )
    return found


def test_the_last_good_version_runs_while_an_edit_is_broken(client: Client) -> None:
    """With the data and the passwords of now; the log and the status say so, and stop saying so once it is fixed."""
    client.item("A")
    assert run(client)["code"] == 0
    view = client.root / "views" / "products.sql"
    good = view.read_text("utf-8")
    view.write_text(good.replace("from item", "from item where {{ nobody }}"), "utf-8")
    client.item("B")
    ran = run(client)
    assert ran["code"] == 0
    ((_, message),) = [line for line in ran["lines"] if line[0]]
    assert message.startswith("acme: projects/acme/views/products.sql:")
    assert "The last good version runs, which is of " in message
    assert sorted(client.held()) == ["A", "B"]
    found = status(client)
    assert (found.condition, found.failures) == ("failed", 0)
    assert "nobody" in found.message
    assert found.message.endswith("The last good version runs.")

    settings = client.root / "project.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text + "\n[products", "utf-8")
    view.write_text(good, "utf-8")
    client.item("C")
    assert run(client)["code"] == 0
    assert sorted(client.held()) == ["A", "B", "C"]
    assert "project.toml" in status(client).message
    events: list[Mapping[str, Any]] = []
    run(client, report=events.append)
    lines = [json.loads(event["line"]) for event in events]
    (warning,) = [line for line in lines if line["event"] == "warning"]
    assert (warning["project"], "The last good version runs" in warning["message"]) == ("acme", True)

    # A copy is no need of a run: one that cannot be made is a warning.
    (client.workspace / ".state" / "last-good" / "lock.sqlite").write_bytes(b"this is no database" * 100)
    settings.write_text(f"{text}\n", "utf-8")
    ran = run(client)
    assert ran["code"] == 0
    assert any("cannot be kept as the last good version" in line for _, line in ran["lines"])
    (client.workspace / ".state" / "last-good" / "lock.sqlite").unlink()

    settings.write_text(text, "utf-8")
    # Whether or not the agent is still there: cron may have taken its place.
    assert run(client, by_agent=False)["code"] == 0
    assert status(client).condition == "ok"
    ran = run(client)
    assert [line for line in ran["lines"] if line[0]] == []
    assert status(client).condition == "ok"


def test_an_agent_that_begins_while_an_edit_is_broken_keeps_the_cadence(client: Client) -> None:
    """That of the version that runs; what never had one runs when the workspace says, and fails."""
    client.write(more='[schedule]\nevery = "7m"')
    client.item("A")
    assert run(client)["code"] == 0
    settings = client.root / "project.toml"
    settings.write_text(settings.read_text("utf-8") + "\n[products", "utf-8")
    new = client.workspace / "projects" / "new"
    new.mkdir()
    (new / "project.toml").write_text("[source", "utf-8")
    (client.workspace / "workspace.toml").write_text('[schedule]\nevery = "3m"', "utf-8")
    session = Session(options=GlobalOptions(workspace=client.workspace))
    with mock.patch.dict("os.environ", client.environment):
        schedules = project_schedules(session, None)()
    assert {name: each.every for name, each in schedules.items()} == {
        "acme": timedelta(minutes=7),
        "new": timedelta(minutes=3),
    }


def test_an_agent_that_begins_while_workspace_toml_is_broken_goes_by_the_last_good_one(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """When projects run, who may look, and who hears of it. Where there is none it says what is wrong."""
    more = '[schedule]\nevery = "3m"\n[notify]\nurls = ["json://127.0.0.1:1"]\n'
    write_users(client.workspace)
    shared = client.workspace / "workspace.toml"
    shared.write_text(f"{more}{shared.read_text('utf-8')}", "utf-8")
    session = Session(options=GlobalOptions(workspace=client.workspace))
    before = dict(project_schedules(session, None, keeps_copy=True)())
    assert [each.every for each in before.values()] == [timedelta(minutes=3)]
    shared.write_text("[schedule\n", "utf-8")
    assert project_schedules(session, None, keeps_copy=True)() == before
    console = read_settings(session)
    assert console is not None
    assert {*console.users} == {"olga", "victor"}
    settings, wrong = read_all_notify(client.workspace, environ={})
    assert settings["acme"].urls == ("json://127.0.0.1:1",)
    assert "This is not TOML" in wrong[0]
    assert capsys.readouterr().err.count("This is not TOML") == 2
    (client.workspace / ".state" / "last-good" / ".workspace.toml").unlink()
    with pytest.raises(ConfigError, match="This is not TOML"):
        project_schedules(session, None)


def test_a_project_that_never_was_good_fails_as_it_does(client: Client) -> None:
    """There is nothing else that could run; and a copy that was tampered with is none."""
    client.write(view="select {{ nobody }} as source_variant_code")
    assert run(client)["code"] == 2
    assert status(client).condition == "failed"
    client.write()
    client.item("A")
    assert run(client)["code"] == 0
    state = client.workspace / ".state"
    copied = find_copy(state, "acme")
    assert copied is not None
    assert sorted(read_files(copied.folder, copied.folder)) == ["project.toml", "views/products.sql"]
    (copied.folder / "views" / "products.sql").write_text("select 1", "utf-8")
    assert find_copy(state, "acme") is None
    shutil.rmtree(copied.folder)
    client.write(view="select {{ nobody }} as source_variant_code")
    assert run(client)["code"] == 2


def test_orders_are_raised_by_the_last_good_statements(erp: Erp) -> None:
    """An order that comes in while a statement is broken is raised all the same."""
    erp.write('default_customer = "CASH"')
    header = erp.root / "orders" / "10_header.sql"
    session = Session(options=GlobalOptions(workspace=erp.workspace))
    with mock.patch.dict("os.environ", erp.environment):
        versions._found.clear()
        with keep_receiving(session, open_to_others=False):
            pass
        header.write_text("insert into {{ nobody }}", "utf-8")
        with keep_receiving(session, open_to_others=False) as receivers:
            receiver = receivers.find("acme")
            assert isinstance(receiver, Receiver)
            with closing(receiver), erp.ledger() as ledger:
                ledger.receive(1001, order_document(), via="serve")
                receiver.raise_due(threading.Event())
                assert ledger.get_entry(1001).status == "raised"
    assert len(erp.orders()) == 1


@pytest.mark.parametrize("link", ["/etc/passwd", "../../../.env"])
def test_no_link_brings_a_file_of_elsewhere_into_the_copy(client: Client, link: str) -> None:
    """A project with one is not copied, and its check says what is wrong."""
    (client.workspace / ".env").write_text("SECRET=hunter22", "utf-8")
    (client.root / "views" / "more.sql").symlink_to(link)
    run(client)
    assert find_copy(client.workspace / ".state", "acme") is None
