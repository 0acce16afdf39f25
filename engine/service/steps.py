"""The steps that install or remove a service: files to write and programs to call, as data; and performing them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import SchedulerError
from engine.files import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CALL_SECONDS = 180
"""How long a call of the system's program may take: stopping a service waits for its batch."""

RIGHTS_HINT = "Run it with the rights of an administrator (sudo), or leave --system out."


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Write a text to a file, in place of what it has."""

    path: Path
    text: str
    encoding: str = "utf-8"

    @property
    def content(self) -> bytes:
        """The text as it is written."""
        return self.text.encode(self.encoding, "surrogateescape" if self.encoding == "utf-8" else "strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    """Remove a file."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Call a program, with a text on its standard input.

    With ``may_fail`` it is not looked at how it ended. With ``asks`` it may ask for a password on the terminal.
    """

    words: tuple[str, ...]
    piped: str | None = None
    may_fail: bool = False
    asks: bool = False


Step = WriteFile | RemoveFile | Call


def perform(steps: Sequence[Step]) -> None:
    """Perform steps in their order. Raises :class:`SchedulerError` at the first that fails.

    Nothing is done where the system has not the programs that they call.
    """
    for step in steps:
        if isinstance(step, Call):
            _find_program(step.words[0])
    for step in steps:
        if isinstance(step, Call):
            _perform_call(step)
            continue
        files = WorkspaceFiles((step.path.parent,))
        try:
            if isinstance(step, RemoveFile):
                files.remove(step.path)
            else:
                files.write(step.path, step.content, mode=0o644)
        except OSError as error:
            verb = "removed" if isinstance(step, RemoveFile) else "written"
            raise SchedulerError(f"{step.path} cannot be {verb}: {error.strerror}.", hint=RIGHTS_HINT) from None


def _perform_call(step: Call) -> None:
    ended = call_program(*step.words, piped=step.piped, asks=step.asks)
    if ended.returncode == 0 or step.may_fail:
        return
    message = ((ended.stderr or b"") + (ended.stdout or b"")).decode("utf-8", "replace").strip()
    raise SchedulerError(
        f"`{shlex.join(step.words)}` failed with exit code {ended.returncode}{': ' if message else ''}{message}",
        hint="May this account do that, or is it for an administrator (sudo)? Then run the command again: what was"
        " written is written again.",
    )


def call_program(*words: str, piped: str | None = None, asks: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Call a program of the system to its end; its messages are in English where it has them.

    Raises :class:`SchedulerError` where there is none, or it does not end.
    """
    program = _find_program(words[0])
    try:
        return subprocess.run(  # noqa: S603 - a program that the engine names, without a shell
            [program, *words[1:]],
            input=None if piped is None else piped.encode("utf-8", "surrogateescape"),
            stdin=subprocess.DEVNULL if piped is None and not asks else None,
            capture_output=not asks,
            env={**os.environ, "LC_ALL": "C"},
            timeout=CALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SchedulerError(f"{program} cannot be used: {error}.") from None


def _find_program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise SchedulerError(
            f"There is no program {name} on this machine.", hint="Name another scheduler with --scheduler."
        )
    return program


def steps_text(steps: Sequence[Step]) -> str:
    """What steps would do, for people to read."""
    parts = []
    for step in steps:
        if isinstance(step, WriteFile):
            parts.append(f"Write {step.path} ({step.encoding}):\n\n{step.text}")
        elif isinstance(step, RemoveFile):
            parts.append(f"Remove {step.path}\n")
        else:
            piped = "" if step.piped is None else f" with this on its standard input:\n\n{step.piped}"
            parts.append(f"Call {shlex.join(step.words)}{piped}\n")
    return "\n".join(parts).rstrip("\n")
