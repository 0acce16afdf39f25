"""redaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable


class Secrets:
    """What must not be read anywhere. Its filter is for urllib3's log, which holds the addresses of requests."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Know ``secret`` too, in each form in which it may turn up."""
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
        self._forms |= forms - {""}

    def without(self, text: str) -> str:
        """``text`` with every secret blotted out, the longest first: one may be part of another."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, "[secret]")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        record.msg, record.args = self.without(record.getMessage()), ()
        return True
