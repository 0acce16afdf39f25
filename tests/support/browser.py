"""The browser in which pages are looked at: Debian's Chromium, or Google's Chrome."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def faults(page: Page, *, widths: tuple[int, ...]) -> list[tuple[str, int, str, list[str]]]:
    """What axe finds in the light and in the dark, in windows of these ``widths``, and where a page is wider than one.

    What is folded away is opened. Of the dark only the colours are looked at: all else is the same.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = []
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        found += [("wider", width, "by", [str(overflow(page))])] if overflow(page) else []
        for scheme, rules in (("dark", {"runOnly": ["color-contrast"]}), ("light", {})):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            for each in Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]:
                found.append((each["id"], width, scheme, [node["html"] for node in each["nodes"]]))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Open for a module of tests: playwright has an event loop of its own in the thread, which others may not want."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "There is no Chromium here: sh tests/system-packages.sh installs it."
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield found
        found.close()
