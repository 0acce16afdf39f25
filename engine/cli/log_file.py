"""A log in a file of its own, which never grows for ever: ``--log-file``."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from engine.errors import UsageError

MAX_BYTES = 10_000_000
"""From this size on the log is renamed, and a new one is begun."""

KEPT_FILES = 5
"""How many older logs are kept, as ``s2s.log.1``, the newest, to ``s2s.log.5``."""

RETRY_SECONDS = 60
"""How long the log goes on where it cannot be renamed: on Windows nobody may rename what another process has open."""


class LogFile:
    """Takes lines from any thread. A line that cannot be written is named on standard error, and stops nothing.

    Several processes may write to one log: each of their lines is whole.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT_FILES) -> None:
        """Open the log. Raises :class:`UsageError` where that cannot be."""
        try:
            self._handler = _Handler(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8")
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


class _Handler(RotatingFileHandler):
    """The standard library's, which would lose lines, and the older logs, where the log cannot be renamed."""

    _retry_at = 0.0

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802 - the library's name
        return int(time.monotonic() >= self._retry_at and super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - the library's name
        log = Path(self.baseFilename)
        if self.stream is not None:
            self.stream.close()
            self.stream = None  # the next line opens it where that cannot be now
        try:
            log.replace(f"{log}.0")
        except OSError:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        else:
            for number in range(self.backupCount, 0, -1):
                with suppress(OSError):
                    Path(f"{log}.{number - 1}").replace(f"{log}.{number}")
        self.stream = self._open()
