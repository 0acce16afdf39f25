"""The command ``s2s``, run inside the test's own process or in one of its own.

A process of its own costs a second of CPU time, most of it imports. So it is for what only a process shows: signals,
kills, rights, encodings, pipes, terminals. Everything else runs the very same ``main()`` here.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "engine")


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What the command sees: the test's own environment, this checkout, and ``variables``."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", **variables}


def run_command(
    *words: str, folder: Path, variables: Mapping[str, str], encoding: str = "utf-8", piped: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run ``s2s words`` in ``folder`` to its end, in this process; its output is what a pipe would get.

    ``piped`` stands on its standard input.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("The working folder is the whole process's: use run_process in a thread.")
    output, errors = _pipe(encoding), _pipe(encoding)
    with ExitStack() as stack:
        stack.enter_context(_Folder(folder))
        stack.enter_context(mock.patch.dict(os.environ, environment(variables), clear=True))
        stack.enter_context(mock.patch.object(sys, "argv", ["s2s", *words]))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO(piped)))
        stack.enter_context(mock.patch.object(logging.getLogger("engine"), "handlers", []))
        stack.enter_context(redirect_stdout(output))
        stack.enter_context(redirect_stderr(errors))
        code = _main()
    return subprocess.CompletedProcess(words, code, _text(output, encoding), _text(errors, encoding))


def run_process(
    *words: str,
    folder: Path,
    variables: Mapping[str, str],
    encoding: str = "utf-8",
    before: tuple[str, ...] = (),
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run ``s2s words`` in ``folder`` to its end, in a process of its own; ``before`` is what starts it."""
    return subprocess.run(
        [*before, *PROGRAM, *words],
        cwd=folder,
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=encoding,
        check=False,
        timeout=timeout,
    )


def _main() -> int:
    from engine.cli.app import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def _pipe(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")


def _text(stream: io.TextIOWrapper, encoding: str) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


class _Folder:
    """The working folder, and the mask of new files' rights, for as long as a command runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._before = Path.cwd()
        self._mask = os.umask(0o022)
        os.chdir(self._folder)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.chdir(self._before)
        os.umask(self._mask)
