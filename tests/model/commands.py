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
    """How a command ended: its exit code, or the negative number of the signal, and what it printed.

    One that was frozen with SIGSTOP has not ended: :meth:`Commands.wake` takes this.
    """

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    pid: int
    printed: tuple[Path, Path]

    @property
    def is_frozen(self) -> bool:
        """Whether the process is stopped, and may go on at any time."""
        return self.code == -signal.SIGSTOP


class Commands:
    """Runs commands one after the other, in a process that has imported the engine, or in forks of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = 0
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
        self._begun += 1  # one that was frozen may still write
        printed = (self._folder / f"{self._begun}.out", self._folder / f"{self._begun}.err")
        if fresh:
            with printed[0].open("wb") as out, printed[1].open("wb") as err:
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
                {"argv": list(argv), "env": dict(env), "out": str(printed[0]), "err": str(printed[1]), "here": warm}
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
        return _result(tuple(argv), code, pid, printed)

    def wake(self, frozen: Result) -> Result:
        """Have a command go on that was frozen, and wait until it ends."""
        self._ask({"wake": frozen.pid})
        return _result(frozen.argv, int(self._answer("status")), frozen.pid, frozen.printed)

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


def _result(argv: tuple[str, ...], code: int, pid: int, printed: tuple[Path, Path]) -> Result:
    out, err = (path.read_text() for path in printed)
    result = Result(argv=argv, code=code, out=out, err=err, pid=pid, printed=printed)
    if not result.is_frozen:
        for path in printed:
            path.unlink()
    return result
