"""What workers of the tests run in place of projects: jobs that end, die and hang."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping


def run(job: Mapping[str, Any], stop: threading.Event, report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Do what the job is called after; gives the number of the process."""
    if job["name"] == "dies":
        os._exit(9)
    if job["name"] == "hangs":
        time.sleep(600)  # and does not listen to `stop`
    report({"name": job["name"], "stopping": stop.is_set()})
    return {"process": os.getpid()}
