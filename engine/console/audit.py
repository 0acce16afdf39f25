"""The log of who did what with the console: a file beside the states to which lines are only added."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.files import WorkspaceFiles, create_private_file, exists, make_private_folder

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "console.log"

MAX_SHOWN_BYTES = 200_000
"""So much of the end of the file is shown at most."""


class AuditLog:
    """The log in a folder of states: a JSON document a line, with the time in UTC."""

    def __init__(self, state_folder: Path) -> None:
        self._path = state_folder / FILE_NAME
        self._writing = threading.Lock()

    def note(self, who: str, what: str, *, address: str, project: str = "", **facts: Any) -> None:
        """Add a line. Raises :class:`OSError` where it cannot be written: then what it is about must not be done."""
        at = now().replace(tzinfo=timezone.utc).isoformat(timespec="seconds")
        of = {"project": project} if project else {}
        line = json.dumps({"at": at, "who": who, "from": address, "what": what, **of, **facts}) + "\n"
        with self._writing:
            make_private_folder(self._path.parent)
            create_private_file(self._path)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The last lines, the newest first; one that cannot be read is left out."""
        if not exists(self._path):
            return []
        text = WorkspaceFiles((self._path.parent,)).read(self._path)[-MAX_SHOWN_BYTES:].decode("utf-8", "replace")
        found = []
        for line in reversed(text.splitlines()):
            try:
                entry = json.loads(line)
                datetime.fromisoformat(entry["at"])
            except (ValueError, TypeError, KeyError):
                continue
            found.append(entry)
        return found[:limit]
