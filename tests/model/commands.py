"""The engine's command line as somebody at a keyboard has it: commands, exit codes, printed text, and ``kill -9``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
MAX_COMMAND_SECONDS = 120
"""A command of a tiny catalogue that takes longer hangs."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a command ended: its exit code, or the negative number of the signal, and what it printed."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended the process before it could."""
        return self.code < 0


class Commands:
    """Runs commands one after the other, in a process that has imported the engine, or in forks of it."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "out.txt", folder / "err.txt"
        # Half of what a tiny run costs is threads that have nothing to do.
        own = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forkserver.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **own},
            text=True,
        )
        self._answer("ready")

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        started: Callable[[int], object] = lambda _: None,
        kill_after: float | None = None,
        fresh: bool = False,
        warm: bool = False,
    ) -> Result:
        """Run one command to its end.

        ``started`` is given the process's number; ``kill_after`` sends SIGKILL after so many seconds; ``fresh`` starts
        ``python -m engine`` instead of a fork, and ``warm`` runs it in the process that else forks.
        """
        done = threading.Event()
        child: subprocess.Popen[bytes] | None = None
        if fresh:
            with self._out.open("wb") as out, self._err.open("wb") as err:
                child = subprocess.Popen(
                    [sys.executable, "-m", "engine", *argv],
                    env={**os.environ, **env},
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                )
            pid = child.pid
        else:
            self._ask(
                {"argv": list(argv), "env": dict(env), "out": str(self._out), "err": str(self._err), "here": warm}
            )
            pid = int(self._answer("pid"))
        started(pid)

        def watch() -> None:
            if not done.wait(MAX_COMMAND_SECONDS if kill_after is None else kill_after):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        code = int(self._answer("status")) if child is None else child.wait()
        done.set()
        watcher.join()
        return Result(argv=tuple(argv), code=code, out=self._out.read_text(), err=self._err.read_text())

    def close(self) -> None:
        """End the process that forks."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def _ask(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def _answer(self, name: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The process that runs the commands has ended.")
        return json.loads(line)[name]
