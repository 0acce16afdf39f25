"""`--output json`: one envelope for every command, its errors, and the schema that describes it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import run_command
from support.erp import order_document, order_line
from support.output import read_envelope
from typer.main import get_command

from engine.cli.app import app
from engine.cli.command_line import GLOBAL_OPTIONS, arrange_words, walk_commands
from engine.cli.results import RESULTS

if TYPE_CHECKING:
    from support.branch import Branch
    from support.client import Client
    from support.erp import Erp


class Looked:
    """Runs commands with ``--output json``, and keeps the envelope of each."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = variables
        self.seen: set[str] = set()

    def __call__(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run one, which ends with ``code``; gives the envelope, which was held to the schema."""
        ran = run_command(*words, "--output", "json", folder=self.folder, variables=self.variables)
        assert ran.returncode == code, ran.stdout + ran.stderr
        envelope = read_envelope(ran.stdout)
        name = envelope["command"]
        assert name == " ".join(words[: len(name.split())])
        self.seen.add(name)
        return envelope


SYNC = {
    "list",
    "check",
    "plan",
    "preview",
    "run",
    "history",
    "quarantine list",
    "explain",
    "verify",
    "status",
    "doctor",
    "adopt",
    "rebind",
    "quarantine retry",
    "init",
    "render",
    "fixtures capture",
}
MAPPING = {"review", "test", "docs"}
SECRETS = {"secret set", "secret remove"}
ORDERS = {
    f"orders {name}"
    for name in ("import", "pull", "list", "show", "retry", "verify", "raise", "plan", "skip", "former")
}
FLEET = {"fleet status"}
SERVICES = {f"{name} {command}" for name in ("agent", "schedule") for command in ("install", "remove", "status")}
NOTIFICATIONS = {"notify"}
"""The commands that each of the histories below looks at; the others are looked at where there is what they need."""


def with_json() -> set[str]:
    """The commands that have JSON output."""
    return {
        path
        for path, command in walk_commands(get_command(app))
        if any("--output" in parameter.opts for parameter in command.params)
    }


def test_the_schema_has_every_command_with_json_output() -> None:
    """Whoever adds one says what its result is."""
    assert {*RESULTS} == with_json() == SYNC | MAPPING | SECRETS | ORDERS | FLEET | SERVICES | NOTIFICATIONS


def test_what_every_command_of_a_sync_prints_is_as_the_schema_says(client: Client) -> None:
    """With a row that is sent, one that is held back, one that differs in Stock2Shop, and a project that is broken."""
    looked = Looked(client.workspace, client.environment)
    client.item("A", barcode="600", html="<b>x</b>")
    client.item("B", title="")
    broken = client.workspace / "projects" / "broken"
    broken.mkdir()
    (broken / "project.toml").write_text("[project]\n", "utf-8")

    listed = looked("list")
    assert (listed["project"], [each["project"] for each in listed["result"]]) == (None, ["acme", "broken"])
    checked = looked("check", code=2)
    assert [each["ready"] for each in checked["result"]] == [True, False]
    assert checked["result"][1]["diagnostics"][0]["file"].endswith("project.toml")
    (planned,) = looked("plan", "projects/acme")["result"]
    assert (planned["counts"]["quarantined"], planned["changes"][0]["key"]) == (1, "A")
    assert looked("preview", "acme")["result"][0]["faults"][0]["key"] == "B"
    ran = looked("run", "acme", "broken", "--jobs", "1", code=2)
    assert [(each["project"], each["outcome"], each["exit_code"]) for each in ran["result"]] == [
        ("acme", "attention", 4),
        ("broken", "failed", 2),
    ]
    assert {(each["kind"], each["project"]) for each in ran["errors"]} == {("project", "broken")}
    assert looked("run", "acme", code=4)["project"] == "acme"
    history = looked("history", "acme")["result"]
    assert (history["runs"][0]["started_at"][-6:], history["changes"]) == ("+00:00", [])
    assert looked("history", "acme", "--key", "A")["result"]["changes"][0]["acknowledged_at"].endswith("+00:00")
    assert looked("quarantine", "list", "acme")["result"][0]["first_seen_at"].endswith("+00:00")
    assert looked("explain", "acme", "B")["result"]["rows"][0]["held"][0]["since"].endswith("+00:00")
    assert looked("explain", "acme", "B", "--stored")["result"]["stored"][0]["held"]
    assert looked("quarantine", "retry", "acme")["result"] == {"rows": 0}
    assert looked("adopt", "acme")["result"][0]["remote"] == 1
    assert looked("rebind", "acme", "--keep")["result"]["forgotten"] is False
    client.sandbox.change(57, "A", price=1)
    assert looked("verify", "acme", code=4)["result"][0]["kind"] == "differs"
    assert looked("status", code=5)["result"][0]["project"] == "broken"
    assert looked("doctor", "acme")["result"]
    assert "from item" in looked("render", "acme")["result"]["sql"]
    (captured,) = looked("fixtures", "capture", "acme")["result"]
    assert (captured["rows"], captured["rows_read"]) == (2, 2)
    created = looked("init", "second", "--database", str(client.root / "erp.duckdb"), "--introspect", "--yes")
    made = created["result"]
    assert (created["project"], made["project"]) == ("second", "second")
    view = client.workspace / "projects" / "second" / "views" / "products.sql"
    assert (made["proposals"][0]["table"], str(view) in made["written"], made["kept"]) == ("item", True, [])
    assert looked.seen == SYNC


def test_what_the_commands_of_a_mapping_print_is_as_the_schema_says(branch: Branch) -> None:
    """A view that has changed since its snapshots were written."""
    looked = Looked(branch.workspace, {})
    branch.view("item.qty as", "item.qty + 1 as")
    (reviewed,) = looked("review")["result"]
    assert reviewed["entities"][0]["impact"]["after"]["updates"]
    (tested,) = looked("test", "acme", code=1)["result"]
    assert tested["snapshots"][0]["state"]
    written = looked("docs", "--to", str(branch.workspace / "site"))["result"]
    assert (written["clients"][0], Path(written["page"]).is_file()) == ({"project": "acme", "faults": []}, True)
    assert looked.seen == MAPPING


def test_what_the_commands_of_orders_print_is_as_the_schema_says(erp: Erp) -> None:
    """An order that is raised, one that waits, and a file that holds none."""
    looked = Looked(erp.workspace, erp.environment)
    inbox = erp.workspace / "inbox"
    inbox.mkdir()
    (inbox / "a.json").write_text(json.dumps(order_document(1)), "utf-8")
    (inbox / "b.json").write_text(json.dumps(order_document(2, line_items=[order_line(sku="Z")], total=None)), "utf-8")
    (inbox / "c.json").write_text("{", "utf-8")
    imported = looked("orders", "import", "acme", str(inbox), code=4)
    assert [entry["status"] for entry in imported["result"]] == ["raised", "waiting"]
    (rejected,) = imported["errors"]
    assert (rejected["kind"], rejected["file"], rejected["exit_code"]) == ("order", str(inbox / "c.json"), 4)
    looked("orders", "pull", "acme")
    assert looked("orders", "list", "acme")["result"][0]["received_at"].endswith("+00:00")
    shown = looked("orders", "show", "acme", "2")["result"]
    assert (shown["status_history"][0]["at"][-6:], shown["document"]) == ("+00:00", None)
    looked("orders", "retry", "acme", "2", code=4)
    (planned,) = looked("orders", "plan", "acme", "2")["result"]
    assert (planned["order_id"], planned["statements"][0]["file"][-4:]) == (2, ".sql")
    assert looked("orders", "skip", "acme", "2")["result"]["status"] == "skipped"
    looked("orders", "verify", "acme")
    assert looked("explain", "acme", "1", "--entity", "orders")["result"]["orders"][0]["source_order_code"] == "SO1"
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as database, database:
        database.execute("delete from erp_order")
    looked("orders", "verify", "acme", code=4)
    assert looked("orders", "raise", "acme", "1", "--by", "Thandi")["result"][0]["approved_by"] == "Thandi"
    toml = erp.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("source_id = 57", "source_id = 58"), "utf-8")
    (error,) = looked("orders", "pull", "acme", code=3)["errors"]
    assert error["kind"] == "origin_changed", error
    assert looked("rebind", "acme", "--forget")["result"]["orders"]["put_aside"] == 2
    assert [each["order_id"] for each in looked("orders", "former", "acme")["result"]] == [2, 1]
    assert looked.seen - {"explain", "rebind"} == ORDERS


def test_an_error_has_its_kind_its_place_and_its_exit_code(client: Client) -> None:
    """Also one of the command line itself, and one that is about a row; the result is null then."""
    looked = Looked(client.workspace, client.environment)
    client.item("A")
    (client.root / "views" / "products.sql").write_text("select *\nfrom {{ nothing }}\n", "utf-8")
    broken = looked("plan", "acme", code=2)
    (error,) = broken["errors"]
    assert (broken["project"], broken["result"], error["kind"], error["project"]) == ("acme", None, "render", "acme")
    assert (error["file"], error["line"], error["exit_code"]) == (str(client.root / "views" / "products.sql"), 2, 2)
    (error,) = looked("orders", "list", "acme", "--limit", "none", code=2)["errors"]
    assert (error["kind"], "--limit" in error["message"], error["file"]) == ("usage", True, None)
    unknown = looked("explain", "acme", "NOPE", "--stored", code=2)
    assert [(each["kind"], each["key"]) for each in unknown["errors"]] == [("unknown_key", "NOPE")]


@pytest.mark.parametrize(
    ("written", "arranged"),
    [
        ("plan acme --debug", "--debug plan acme"),
        ("orders list acme --workspace=w --log-format json", "--workspace=w --log-format json orders list acme"),
        ("--output json orders list acme", "orders list acme --output json"),
        ("--output json --workspace w explain acme -- --debug", "--workspace w explain acme --output json -- --debug"),
        ("run --all --output json", "run --all --output json"),
        ("plan acme --workspace", "--workspace plan acme"),
    ],
)
def test_options_of_every_command_may_stand_before_and_after_it(written: str, arranged: str) -> None:
    """And what follows two dashes is left as it is."""
    assert arrange_words(written.split()) == arranged.split()


def test_no_command_has_an_option_of_every_command_for_itself() -> None:
    """Behind the command it would be taken from it."""
    own = {option for _, command in walk_commands(get_command(app)) for each in command.params for option in each.opts}
    assert own & {*GLOBAL_OPTIONS} == set()
    assert {*GLOBAL_OPTIONS} | {"--version"} == {
        option for each in get_command(app).params for option in each.opts if "completion" not in option
    }
