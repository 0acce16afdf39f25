"""What workers of the tests run in place of projects: jobs that end, die and hang."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _answers() -> int:
    """The pipe on which the worker answers: the highest one that it has."""
    return max(each for each in range(3, 20) if _is_pipe(each))


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def run(job: Mapping[str, Any], stop: threading.Event, report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Do what the job is called after; gives the number of the process."""
    if job["name"] == "dies":
        os._exit(9)
    if job["name"] == "hangs":
        time.sleep(600)  # and does not listen to `stop`
    if job["name"] == "dies_once" and not (marker := Path(job["marker"])).exists():
        marker.touch()
        os._exit(9)
    if job["name"].startswith("waits"):
        stop.wait(600)
        return {"process": os.getpid(), "code": 130}
    if job["name"] == "garbage":  # what a process writes that is killed in the middle of its answer
        os.write(_answers(), b'{"answer": {"pro')
        os._exit(9)
    if job["name"] == "stays":  # and does not end when it is let go
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    report({"name": job["name"], "stopping": stop.is_set()})
    return {"process": os.getpid()}
