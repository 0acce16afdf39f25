"""Worker processes that stay warm: each runs one job at a time, and takes the next one when it is done.

A job that takes long holds up no other as long as there is a second worker. A worker that dies costs the job that it
was running; the next job gets a new one. Nothing of a job is kept in the process that starts the workers.

>>> with Workers("engine.cli.run:run_job", count=2) as workers:  # doctest: +SKIP
...     for ended in workers.run([Job("acme", {"project": "acme"})]):
...         print(ended.job.name, ended.answer)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from engine.agent import worker
from engine.agent.worker import END_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Self

    Json = Mapping[str, Any]

POLL_SECONDS = 0.5
"""How long to wait for workers at a time: between two waits, Windows hears Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do in a worker: ``name`` is what it is called, ``request`` what its function takes, as JSON.

    One that ``gives_way`` may be stopped where it takes long and others wait, to be begun again elsewhere. One that
    ``repeats`` another is that of a worker that died.
    """

    name: str
    request: Callable[[], Json] | Json
    gives_way: bool = False
    repeats: bool = False

    def message(self) -> bytes:
        """The line that a worker takes; a request that is a function is made when the job begins."""
        return json.dumps({"job": self.request() if callable(self.request) else self.request}).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a job: its answer, or the exit code of the worker that died of it; negative ones are signals.

    ``gave_way`` is whether it was asked to stop so that others could run.
    """

    job: Job
    answer: Json | None = None
    exit_code: int = 0
    gave_way: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the job came to its end: its code says that it is done, or that rows are held back."""
        return self.answer is not None and self.answer.get("code", 0) in {0, 4}


class Workers:
    """At most ``count`` processes that run jobs with the function ``run``, such as ``engine.cli.run:run_job``."""

    def __init__(self, run: str, *, count: int) -> None:
        self._run = run
        self._count = count
        self._stopping = False
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._changing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the workers end; at once where this process was interrupted."""
        self.stop()
        if kind is not None and not issubclass(kind, Exception):
            self.kill()
        for process in self._processes:
            with suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
        until = time.monotonic() + END_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            if process.stdout is not None:
                process.stdout.close()

    def run(
        self,
        jobs: Iterable[Job],
        *,
        on_begin: Callable[[Job], None] = lambda _: None,
        on_event: Callable[[Json], None] = lambda _: None,
    ) -> Iterator[Ended]:
        """Run ``jobs``, begun in their order; yields what became of each, in the order of ending.

        ``on_begin`` is called before a job begins, ``on_event`` with what a running one reports; all of it by the
        thread that iterates. After :meth:`stop` no further job begins, and those that did not are not yielded.
        """
        waiting: SimpleQueue[Job] = SimpleQueue()
        for job in jobs:
            waiting.put(job)
        news: SimpleQueue[tuple[Callable[..., None], Any] | Ended | None] = SimpleQueue()

        def serve() -> None:
            try:
                self._serve(
                    waiting,
                    on_begin=lambda job: news.put((on_begin, job)),
                    on_event=lambda event: news.put((on_event, event)),
                    on_end=news.put,
                )
            finally:
                news.put(None)

        left = min(self._count, waiting.qsize())
        for _ in range(left):
            thread = threading.Thread(target=serve, name="worker", daemon=True)
            thread.start()
            self._threads.append(thread)
        while left:
            try:
                one = news.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            if one is None:
                left -= 1
            elif isinstance(one, Ended):
                yield one
            else:
                call, argument = one
                call(argument)

    def stop(self) -> None:
        """Begin no further job, and ask those that run to stop; may be called by any thread."""
        with self._changing:
            self._stopping = True
            for process in self._processes:
                ask_to_stop(process)

    def kill(self) -> None:
        """End all workers now, whatever they do."""
        with self._changing:
            for process in self._processes:
                process.kill()

    def _serve(
        self,
        waiting: SimpleQueue[Job],
        *,
        on_begin: Callable[[Job], None],
        on_event: Callable[[Json], None],
        on_end: Callable[[Ended], None],
    ) -> None:
        """Have one worker, and where it dies another one, run jobs until there are none left."""
        process: subprocess.Popen[bytes] | None = None
        while not self._stopping:
            try:
                job = waiting.get_nowait()
            except Empty:
                return
            on_begin(job)
            try:
                process = process or self._start()
            except OSError:  # the machine is short of memory or of processes
                ended = Ended(job=job, exit_code=1)
            else:
                ended = run_in_worker(process, job, on_event)
            on_end(ended)
            if ended.answer is None:
                process = None

    def _start(self) -> subprocess.Popen[bytes]:
        with self._changing:
            process = start_worker(self._run)
            self._processes.append(process)
            if self._stopping:
                ask_to_stop(process)
            return process


def start_worker(run: str) -> subprocess.Popen[bytes]:
    """Start a worker that runs jobs with the function ``run``.

    It finds modules where this process does, and not in the folder that it is started in: that is a workspace, which
    may hold a file that is called like a module.
    """
    folders = [folder for folder in sys.path if folder]
    isolated = "-P" if sys.version_info >= (3, 11) else "-I"
    return subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, isolated, worker.__file__, json.dumps(folders), run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for this process, which asks its workers to stop.
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def run_in_worker(process: subprocess.Popen[bytes], job: Job, on_event: Callable[[Json], None]) -> Ended:
    """Have a worker run one job to its end, or to the worker's own; one that writes what is no message is killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job.message())
        process.stdin.flush()
        for line in process.stdout:
            message = _parse_message(line)
            if message is None:
                process.kill()
                break
            if "answer" in message:
                return Ended(job=job, answer=message["answer"])
            on_event(message["event"])
    except OSError:  # it died before it read the job
        pass
    return Ended(job=job, exit_code=process.wait())


def _parse_message(line: bytes) -> Json | None:
    """What a worker writes; None for anything else, such as the first half of what it wrote when it was killed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.keys() & {"answer", "event"} else None


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the job that a worker runs to stop; one that has died does not listen."""
    if process.stdin is not None and not process.stdin.closed:
        with suppress(OSError, ValueError):  # it may be closed at this moment
            process.stdin.write(b'{"stop": true}\n')
            process.stdin.flush()
