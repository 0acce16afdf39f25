"""`s2s doctor --live` walks the page *go live*: what differs between trying a mapping and running it for a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.command import run_command

from engine.doctor import check_live

if TYPE_CHECKING:
    from support.client import Client


def test_what_was_tried_is_not_live_yet(client: Client) -> None:
    """A sandbox, open questions, no least number of rows, no fixtures, nothing published: each with what to do."""
    client.item("A")
    view = client.root / "views" / "products.sql"
    view.write_text("-- TODO: which warehouse?\n" + view.read_text("utf-8"), "utf-8")
    (client.root / "README.md").write_text("- [ ] With or without VAT für alle?\n- [x] Which list?\n", "cp1252")
    ran = run_command("doctor", "acme", "--live", folder=client.workspace, variables=client.environment)
    assert ran.returncode == 1
    for text in (
        "/v1 is on this machine, and not the real Stock2Shop\n",  # the password is the word sandbox, and masked
        "products.sql:1:4: 1 TODO of this view is not decided: which warehouse?",
        "warn  live: questions: 1 question in ",
        "warn  live: products: a run stops below 1 row (min_rows)",
        "warn  live: fixtures: ",
        "warn  live: state: nothing counts as published",
    ):
        assert text in ran.stdout
    nameless = run_command("doctor", "--live", folder=client.workspace, variables=client.environment)
    assert nameless.returncode == 2


def test_what_is_ready_is_said_to_be(client: Client) -> None:
    """By an address that is Stock2Shop's, and a state that holds something."""
    client.item("A")
    client.run()
    found = {each.name: each.state for each in check_live(client.project)}
    assert found["live: questions"] == found["live: state"] == "ok"
