"""The schedulers that there are, and which of them a machine has."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.files import exists
from engine.service import cron, launchd, systemd, task_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.service.definition import Service
    from engine.service.steps import Step

BOOTED_WITH_SYSTEMD = Path("/run/systemd/system")
"""Where this folder is, systemd runs: https://www.freedesktop.org/software/systemd/man/latest/sd_booted.html."""

SHORTEST_SECONDS = 60
"""No system's scheduler is for more often than once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """One scheduler: the steps that install and remove a service, and how it is.

    ``keeps_up`` is whether it can start a service again that ended.
    """

    name: str
    keeps_up: bool
    install: Callable[[Service], Sequence[Step]]
    remove: Callable[[Service], Sequence[Step]]
    is_running: Callable[[Service], bool]
    advice: Callable[[Service], str]


SCHEDULERS: Mapping[str, Scheduler] = {
    name: Scheduler(
        name=name,
        keeps_up=name != "cron",
        install=module.install,
        remove=module.remove,
        is_running=module.is_running,
        advice=module.advice,
    )
    for name, module in (
        ("systemd", systemd),
        ("cron", cron),
        ("launchd", launchd),
        ("task-scheduler", task_scheduler),
    )
}


def default_scheduler(platform: str = sys.platform) -> str:
    """The name of this machine's own scheduler."""
    if platform == "win32":
        return "task-scheduler"
    if platform == "darwin":
        return "launchd"
    return "systemd" if shutil.which(systemd.PROGRAM) and exists(BOOTED_WITH_SYSTEMD) else "cron"


def install_steps(service: Service, scheduler: Scheduler) -> Sequence[Step]:
    """The steps that install a service. Raises :class:`UsageError` where the scheduler is not for it."""
    if service.every is None and not scheduler.keeps_up:
        raise UsageError(
            f"{scheduler.name} starts what ends, and would not start the agent again should it end.",
            hint=f"`s2s schedule install --scheduler {scheduler.name}` has all projects run without an agent.",
        )
    if service.every is not None and service.every.total_seconds() < SHORTEST_SECONDS:
        raise UsageError(
            "The system's scheduler runs something once a minute at most.", hint="`s2s agent` runs more often."
        )
    return scheduler.install(service)
