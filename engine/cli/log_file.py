"""A log in a file of its own, which never grows for ever: ``--log-file``."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 10_000_000
"""From this size on the log is renamed, and a new one is begun."""

KEPT_FILES = 5
"""How many older logs are kept, as ``s2s.log.1``, the newest, to ``s2s.log.5``."""


class LogFile:
    """Takes lines from any thread. A line that cannot be written is named on standard error, and stops nothing.

    Several processes may write to one log: each of their lines is whole.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT_FILES) -> None:
        """Open the log. Raises :class:`UsageError` where that cannot be."""
        try:
            self._handler = RotatingFileHandler(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"The log {path} cannot be written: {error.strerror}.", hint="Name another file with --log-file."
            ) from None

    def close(self) -> None:
        """Close the file; a line that comes later opens it again."""
        self._handler.close()

    def write(self, text: str) -> None:
        """Write a line, or lines."""
        self._handler.handle(logging.makeLogRecord({"msg": text}))
