"""One worker process: takes jobs from its standard input, one after the other, and answers on its standard output.

Both carry a JSON document a line. The worker ends when its input does, which is also how it learns that the process
that started it is gone: what is running then is asked to stop. This file is run as a program, whose arguments are where
Python finds modules, as JSON, and the name of the function that runs a job.

    in   {"job": {…}}       run this
         {"stop": true}     ask the running job, and each later one, to stop
    out  {"event": {…}}     something that the running job reports
         {"answer": {…}}    what became of it
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    Json = Mapping[str, Any]

    Run = Callable[[Json, threading.Event, Callable[[Json], None]], Json]
    """Takes a job, the event that asks it to stop, and a function to report events to; gives the answer."""


END_SECONDS = 60.0
"""How long a job may take to stop when the input has ended; a request to Stock2Shop is waited for."""


def serve(run: str) -> None:
    """Run jobs until the input ends; ``run`` names the function for them, such as ``engine.cli.run:run_job``."""
    given, answers = _take_over_pipes()
    # A signal to the whole group is for the process that started this one, which says what to do.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    stop = threading.Event()
    jobs: SimpleQueue[Json | None] = SimpleQueue()

    def listen() -> None:
        for line in given:
            message = json.loads(line)
            if "stop" in message:
                stop.set()
            else:
                jobs.put(message["job"])
        stop.set()
        jobs.put(None)
        time.sleep(END_SECONDS)
        os._exit(1)  # a database that does not answer must not keep a process that nobody knows of

    threading.Thread(target=listen, name="jobs", daemon=True).start()
    module, _, name = run.partition(":")
    function: Run = getattr(import_module(module), name)
    writing = threading.Lock()

    def send(message: Json) -> None:
        with writing, suppress(OSError):  # nobody may be left to read it
            answers.write(json.dumps(message).encode() + b"\n")
            answers.flush()

    while (job := jobs.get()) is not None:
        answer = function(job, stop, lambda event: send({"event": event}))
        send({"answer": answer})


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Give the two pipes; whatever else reads standard input finds nothing, and what it prints goes to standard error.

    On Windows, a library that is loaded while a thread reads standard input would wait for that thread.
    """
    given, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the descriptor that was just made
    return given, answers


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    serve(sys.argv[2])
