"""Run jobs as they come, in worker processes that stay warm, are renewed, and are replaced where they die or hang."""

from __future__ import annotations

import logging
import math
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.agent.memory import resident_bytes
from engine.agent.worker import END_SECONDS
from engine.agent.workers import Ended, ask_to_stop, run_in_worker, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

    from engine.agent.workers import Job, Json

KILL_AFTER_SECONDS = 60.0
"""How long a run that is asked to stop may take to do so: a request to Stock2Shop is waited for."""

WAITING_SECONDS = 0.5
"""How often a run that takes long looks whether others wait."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """When a worker is renewed, and for how long one run may take.

    A worker is renewed after so many runs, or once it has so much memory; a run that takes longer than ``run_seconds``
    is asked to stop, and its worker is killed :data:`KILL_AFTER_SECONDS` later. So is one that gives way and takes
    longer than ``waited_seconds``, once others wait.
    """

    max_runs: int = 500
    max_bytes: int = 300_000_000
    run_seconds: float = 6 * 3600.0
    waited_seconds: float = math.inf


class Lane:
    """One worker process and the thread that gives it jobs from ``waiting``, until it takes None."""

    def __init__(
        self,
        waiting: SimpleQueue[Job | None],
        *,
        run: str,
        limits: LaneLimits,
        on_event: Callable[[Json], None],
        on_end: Callable[[Ended, float], None],
    ) -> None:
        self._waiting = waiting
        self._run = run
        self._limits = limits
        self._on_event = on_event
        self._on_end = on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self._worn = False
        self._changing = threading.Lock()
        self.thread = threading.Thread(target=self._serve, name="lane", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ask the running job to stop."""
        with self._changing:
            self._worn = True
            if self._process is not None:
                ask_to_stop(self._process)

    def kill(self) -> None:
        """End the worker now, whatever it does."""
        with self._changing:
            if self._process is not None:
                self._process.kill()

    def _serve(self) -> None:
        try:
            while (job := self._waiting.get()) is not None:
                began = time.monotonic()
                try:
                    ended = self._run_one(job)
                except (OSError, RuntimeError):  # no worker or thread can be started: the machine is short of memory
                    ended = Ended(job=job, exit_code=1)
                if ended.answer is None or self._is_worn():
                    self._retire()
                try:
                    self._on_end(ended, time.monotonic() - began)
                except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
                    log.warning("What became of %s could not be noted: %s.", job.name, type(error).__name__)
        finally:
            self._retire()

    def _run_one(self, job: Job) -> Ended:
        with self._changing:
            if self._process is None or self._process.poll() is not None:
                self._process, self._runs = start_worker(self._run), 0
            process = self._process
            if self._worn:
                ask_to_stop(process)
        self._runs += 1
        done = threading.Event()
        gave_way = threading.Event()
        watch = threading.Thread(target=self._watch, args=(job, done, gave_way), name="run limit", daemon=True)
        watch.start()
        try:
            ended = run_in_worker(process, job, self._on_event)
        finally:
            done.set()
            watch.join()
        return replace(ended, gave_way=gave_way.is_set())

    def _watch(self, job: Job, done: threading.Event, gave_way: threading.Event) -> None:
        """Stop a run that takes too long, and kill its worker where that does not help."""
        left = self._limits.run_seconds
        if job.gives_way and self._limits.waited_seconds < left:
            if done.wait(self._limits.waited_seconds):
                return
            left -= self._limits.waited_seconds
            while self._waiting.empty() and left > 0:
                if done.wait(WAITING_SECONDS):
                    return
                left -= WAITING_SECONDS
            if left > 0:
                gave_way.set()
        elif done.wait(left):
            return
        self.stop()
        if not done.wait(KILL_AFTER_SECONDS):
            self.kill()

    def _is_worn(self) -> bool:
        assert self._process is not None
        return (
            self._worn
            or self._runs >= self._limits.max_runs
            or resident_bytes(self._process.pid) > self._limits.max_bytes
        )

    def _retire(self) -> None:
        """Let the worker end, or take note that it has."""
        with self._changing:
            process, self._worn = self._process, False
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(END_SECONDS + 5)  # it ends by itself within END_SECONDS, unless a library holds all of it
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        with self._changing:
            self._process = None  # not before: until it has ended it can be killed
