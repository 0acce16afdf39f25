"""Secrets kept out of messages and logs, in every form in which they may be repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable


class Secrets:
    """Tokens, passwords and user names that must not be printed.

    :meth:`filter` is for urllib3's log, which holds the addresses of requests and with them the token.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Keep ``secret`` out too, in each form in which it may be repeated: as it is, URL-encoded, JSON-escaped."""
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
        self._forms |= forms - {""}

    def without(self, text: str) -> str:
        """``text`` with every secret replaced by ``[secret]``, the longest first: one may be part of another."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, "[secret]")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        record.msg, record.args = self.without(record.getMessage()), ()
        return True
