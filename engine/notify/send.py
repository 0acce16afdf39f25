"""Send a message by apprise, and ask for the address of a monitor of scheduled jobs, as healthchecks.io is one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

PING_SECONDS = 10
"""How long an answer to a ping may take."""


def send_message(urls: Sequence[str], title: str, body: str) -> list[str]:
    """Send a message to each address; gives what went wrong, without any address."""
    try:
        import apprise
    except ImportError:
        return ['apprise is not installed: pip install "stock2shop-sync[notify]"'] * len(urls)
    noisy = logging.getLogger("apprise")
    before, noisy.disabled = noisy.disabled, True  # it repeats parts of addresses
    wrong = []
    try:
        for number, url in enumerate(urls, 1):
            where = f"Address {number} ({urlsplit(url).scheme}://…)"
            sender = apprise.Apprise()
            if not sender.add(url):
                wrong.append(f"{where} is none that apprise knows")
            elif not sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                wrong.append(f"{where} took no message")
    finally:
        noisy.disabled = before
    return wrong


def ping(url: str, *, failing: bool) -> list[str]:
    """Ask for ``url``, or for ``url/fail``; gives what went wrong, without the address.

    See https://healthchecks.io/docs/http_api/.
    """
    import requests

    try:
        answer = requests.get(f"{url}/fail" if failing else url, timeout=PING_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return [f"The ping to {urlsplit(url).hostname} failed: {type(error).__name__}"]
    return [] if answer.ok else [f"The ping to {urlsplit(url).hostname} was answered {answer.status_code}"]
