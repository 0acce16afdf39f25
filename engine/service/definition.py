"""What the operating system is to start, and the mark by which it is known again."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import SchedulerError, UsageError
from engine.files import exists

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")

STOP_SECONDS = 120
"""How long ``s2s`` may take to stop; it stops within 90 seconds."""

RUN_HOURS = 6
"""After so long the system ends a scheduled run that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is to be started; ``every`` is how often, or None for what stays up.

    ``system`` is for a service of the machine, which runs as ``account``; otherwise it is the user's own. ``log`` is
    where its log goes where the system keeps none, and ``error_log`` what Python itself prints then. ``environment`` is
    given to the command, and ``writable`` are the folders that it writes to.
    """

    name: str
    description: str
    command: tuple[str, ...]
    workspace: Path
    log: Path
    every: timedelta | None = None
    system: bool = False
    account: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Raises :class:`UsageError` where it cannot be written down."""
        if not NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no name for a service.", hint="Use letters, digits, dots and dashes.")
        texts = (*self.command, *self.environment.values(), self.account, str(self.log))
        if any(ord(character) < ord(" ") for text in texts for character in text):
            raise UsageError("A line break or another control character cannot be written for the system's scheduler.")

    @property
    def error_log(self) -> Path:
        """Where standard error goes where the system keeps no log: hardly ever anything."""
        return self.log.with_suffix(".err")

    @property
    def mark(self) -> str:
        """What each file has that is written for this workspace, in ASCII.

        >>> Service(name="s2s", description="", command=(), workspace=Path("/clients"), log=Path()).mark
        'Written by s2s for workspace fc61159b'
        """
        return f"Written by s2s for workspace {workspace_id(self.workspace)}"


def workspace_id(workspace: Path) -> str:
    """Eight hexadecimal digits that are the same for a folder whenever it is asked."""
    return hashlib.sha256(str(workspace).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def this_program() -> tuple[str, ...]:
    """The command that starts this very installation of ``s2s``."""
    script = Path(sys.executable).with_name("s2s.exe" if sys.platform == "win32" else "s2s")
    return (str(script),) if exists(script) else (sys.executable, "-m", "engine")


def check_mark(service: Service, where: str, content: bytes) -> None:
    """Raises :class:`SchedulerError` where ``content``, found at ``where``, is not this workspace's."""
    text = content.replace(b"\0", b"")  # UTF-16
    if service.mark.encode() in text:
        return
    whose = "another workspace" if b"Written by s2s for workspace " in text else "somebody else"
    raise SchedulerError(
        f"{where} is there already, written by {whose}; nothing was changed.",
        hint="Choose another name with --name, or remove it first.",
    )
