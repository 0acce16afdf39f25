"""The console in a browser, against a real agent: by keyboard, in the dark, on a phone, and as axe sees it."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from support.agent import running_agent
from support.browser import overflow
from support.console import PASSWORD, serve_console, write_users

from engine.errors import SourceError
from engine.run_log.record import record_failure

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.client import Client

WAIT_MS = 60_000

IDLE = ("--every", "23h")
"""An agent that runs nothing until somebody asks."""


class Watched:
    """A page, with what it complained of and asked for from elsewhere."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "request", lambda request: None if request.url.startswith((address, "data:")) else self._note(request.url)
        )

    def _note(self, url: str) -> None:
        self.complaints.append(url)

    def check(self) -> None:
        """Nothing that axe finds, in the light and in the dark, and nothing that a phone cuts off."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            found = Axe().run(self.page).response["violations"]
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], scheme
        self.page.set_viewport_size({"width": 390, "height": 844})
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wider) == 0, self.page.url
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")


def test_an_operator_sees_what_needs_them_and_approves_a_plan(client: Client, browser: Browser) -> None:
    """From the login to what Stock2Shop holds, without a mouse; beside a client that fails and one that is broken."""
    client.items(5)
    client.run()
    client.sql("delete from item where code <> 'I000'")
    client.item("NEW", title="<img src=x onerror=alert(1)>")
    projects = client.workspace / "projects"
    shutil.copytree(client.root, projects / "down")
    (projects / "down" / "erp.duckdb").unlink()
    (projects / "broken").mkdir()
    (projects / "broken" / "project.toml").write_text("[source]\n", "utf-8")
    write_users(client.workspace)
    with running_agent(client.workspace, client.environment, *IDLE) as agent:
        address = agent.address
        watched = Watched(browser, address)
        page = watched.page
        page.goto(f"{address}/clients/acme")
        expect(page).to_have_title("Log in · s2s")
        watched.check()
        page.get_by_label("Name").fill("olga")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Clients")).to_be_visible()
        for name in ("broken", "down", "acme"):
            page.goto(f"{address}/clients/{name}")
            page.get_by_role("button", name="Run now").focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_contain_text("It runs as soon as")
        _look_at_the_plan(watched, address)
        page.get_by_role("button", name="Send exactly this plan").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The plan is approved")
        until = time.monotonic() + WAIT_MS / 1000
        while sorted(client.held()) != ["I000", "NEW"] and time.monotonic() < until:
            time.sleep(0.1)
        assert sorted(client.held()) == ["I000", "NEW"]
        page.goto(address)
        _reload_until(page, "ok")
        _explain_and_look_at_the_log(watched, address)
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_title("Log in · s2s")
        assert watched.complaints == []
        page.close()


def test_a_client_with_a_long_name_leaves_room_for_what_is_wrong(tmp_path: Path, browser: Browser) -> None:
    """On a screen and on a phone."""
    for name in ("kwazulu-natal-building-supplies-and-hardware-wholesale", "k" * 60):
        project = tmp_path / "projects" / name / "project.toml"
        project.parent.mkdir(parents=True)
        project.write_text("[source]\n", "utf-8")
        error = SourceError("The view names a column that its tables do not have, as it did not yesterday. " * 2)
        record_failure(tmp_path / ".state", error, project=name, command="run")
    with serve_console(tmp_path) as served:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(served.address)
        what = page.locator("td.what").first.bounding_box()
        assert what is not None
        assert what["width"] > 200
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert overflow(page) == 0
        page.close()


def _reload_until(page: Page, text: str) -> None:
    """Look again until a page has a text in its table, and nothing beside it: "broken" has an "ok" in it."""
    until = time.monotonic() + WAIT_MS / 1000
    while page.get_by_role("cell", name=text, exact=True).count() == 0 and time.monotonic() < until:
        time.sleep(0.5)
        page.reload()


def _look_at_the_plan(watched: Watched, address: str) -> None:
    """From the list of clients, on which what needs somebody stands first, to what a guard stopped."""
    page = watched.page
    page.goto(address)
    _reload_until(page, "guarded")
    rows = page.get_by_role("row").all_inner_texts()
    assert [row.split()[:2] for row in rows[1:]] == [["broken", "failed"], ["down", "failed"], ["acme", "guarded"]]
    watched.check()
    page.get_by_role("link", name="acme").focus()
    page.keyboard.press("Enter")
    watched.check()
    page.get_by_role("link", name="Look at the plan").click()
    expect(page.get_by_text("4 of 5 published rows would be removed")).to_be_visible()
    watched.check()


def _explain_and_look_at_the_log(watched: Watched, address: str) -> None:
    """Search for a code, have the source read for it, and see that this was noted."""
    page = watched.page
    page.get_by_role("searchbox").fill("NEW")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Read the source and explain").click()
    expect(page.get_by_text("unchanged")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    watched.check()
    page.goto(f"{address}/audit")
    assert page.get_by_role("row").all_inner_texts()[1].split("\t")[1:3] == ["olga", "explain"]
    watched.check()
