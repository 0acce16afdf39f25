"""Send a message by apprise, and ask for the address of a monitor of scheduled jobs, as healthchecks.io is one."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PING_SECONDS = 10
"""How long the parts of an answer to a ping may take."""

SEND_SECONDS = 60.0
"""How long one message or ping may take in all: a server that answers for ever must not keep the next run waiting."""


def send_message(urls: Sequence[str], title: str, body: str) -> list[str]:
    """Send a message to each address; gives what went wrong, without any address."""
    try:
        import apprise
    except ImportError:
        return ['apprise is not installed: pip install "stock2shop-sync[notify]"'] * len(urls)
    logging.getLogger("apprise").disabled = True  # it repeats parts of addresses
    # A project is named after its folder, whose name may be no text, or have line breaks.
    title, body = (text.encode("utf-8", "backslashreplace").decode() for text in (" ".join(title.split()), body))
    wrong = []
    for number, url in enumerate(urls, 1):
        where = f"Address {number} ({url.partition(':')[0]}://…)"
        sender = apprise.Apprise()
        if not sender.add(url):
            wrong.append(f"{where} is none that apprise knows")
            continue

        def send(sender: apprise.Apprise = sender) -> str:
            taken = sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
            return "" if taken else "took no message"

        failed = _call_in_time(send)
        if failed:
            wrong.append(f"{where} {failed}")
    return wrong


def ping(url: str, *, failing: bool) -> list[str]:
    """Ask for ``url``, or for ``url/fail``; gives what went wrong, without the address.

    See https://healthchecks.io/docs/http_api/.
    """
    import requests

    def ask() -> str:
        address = f"{url}/fail" if failing else url
        # What the answer says does not matter, and may be without an end.
        with requests.get(address, timeout=PING_SECONDS, allow_redirects=False, stream=True) as answer:
            if answer.is_redirect:  # nobody was asked who counts
                return f"was answered {answer.status_code}, a redirect: write the address that it leads to"
            return "" if answer.ok else f"was answered {answer.status_code}"

    failed = _call_in_time(ask)
    return [f"The ping to {urlsplit(url).hostname} {failed}"] if failed else []


def _call_in_time(send: Callable[[], str]) -> str:
    """What went wrong with what ``send`` does, which gives that itself or raises; empty where nothing did.

    After :data:`SEND_SECONDS` it is left alone, in a thread that ends with the process.
    """
    found: list[str] = []

    def run() -> None:
        try:
            found.append(send())
        except Exception as error:  # noqa: BLE001 - a service's own code; its text may repeat the address
            found.append(f"failed: {type(error).__name__}")

    thread = threading.Thread(target=run, name="send", daemon=True)
    thread.start()
    thread.join(SEND_SECONDS)
    return found[0] if found else f"did not answer within {SEND_SECONDS:g} s"
