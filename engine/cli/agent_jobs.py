"""How the agent's jobs are called, and when each is due."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.log import write_warning
from engine.errors import ConfigError, SyncError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.cli.session import Session
    from engine.config.schedule import Schedule

ORDERS_JOB = "/orders"
"""What follows a project's name in the name of the job that pulls its orders; no folder's name has a slash.

It is that of :data:`engine.fleet.lease.ORDERS_SUFFIX`."""


def project_schedules(session: Session, every: str | None) -> Schedules:
    """What gives the schedule of each job: a project's runs, and its pulls. ``every`` is the cadence of those without.

    Raises :class:`UsageError` where nothing would ever be done, or ``every`` is no cadence.
    """
    from engine.config.schedule import Schedule, parse_duration

    try:
        default = Schedule(every=None if every is None else parse_duration(every))
    except ValueError as error:
        raise UsageError(f"--every is {every}: {error}.", hint="For example `s2s agent --every 3m`.") from None
    schedules = Schedules(session, default)
    if not schedules() and not schedules.orders_taken:
        raise UsageError(
            "No project has a cadence or takes orders, so nothing would ever be done.",
            hint='Write [schedule] and below it every = "3m" into workspace.toml, or pass --every 3m.',
        )
    return schedules


class Schedules:
    """The schedule of each job: of a project's runs, and of its pulls.

    They are read again at each call; a broken one keeps what it was.
    """

    def __init__(self, session: Session, default: Schedule) -> None:
        self._session = session
        self._default = default
        self._known: dict[str, Schedule] = {}
        self._wrong: set[str] = set()
        self.orders_taken = False
        """Whether any project takes orders."""

    def __call__(self) -> Mapping[str, Schedule]:
        """Look at all projects."""
        from engine.config.workspace import discover

        found: dict[str, Schedule] = {}
        try:
            workspace = self._session.workspace()
            names = discover(workspace)
        except (OSError, SyncError):  # a share that is away for a moment, or a folder that is being replaced
            return self._known
        for name in names:
            try:
                found |= self._read(workspace, name)
                self._wrong.discard(name)
            except ConfigError as error:
                jobs = {job: self._known[job] for job in (name, name + ORDERS_JOB) if job in self._known}
                found |= jobs or self._read_last(workspace, name)
                if name not in self._wrong:
                    self._wrong.add(name)
                    with suppress(OSError):  # nobody may be left to read it
                        write_warning(self._session, f"{error} Its schedule stays as it was.", name)
        self._known = found
        return found

    def _read(self, workspace: Path, name: str, root: Path | None = None) -> dict[str, Schedule]:
        """The jobs of a project. Raises :class:`ConfigError` where a file cannot be read."""
        from engine.config.schedule import read_order_ways, read_schedule

        schedule, orders = read_schedule(workspace, name, root=root), read_order_ways(workspace, name, root=root)
        schedule = schedule if schedule.runs else replace(schedule, every=self._default.every)
        self.orders_taken = self.orders_taken or orders.taken
        if not schedule.runs:
            return {}
        return {name: schedule, **({name + ORDERS_JOB: schedule} if orders.pulled else {})}

    def _read_last(self, workspace: Path, name: str) -> dict[str, Schedule]:
        """The jobs of a project whose file was broken before this agent began.

        They are those of the version that runs in its place. Where there is none the workspace says when it runs, so
        that its runs say what is wrong with it.
        """
        from engine.config.last_good import find_copy
        from engine.config.workspace import state_folder

        copied = find_copy(state_folder(workspace, os.environ), name)
        for root in ([] if copied is None else [copied.folder]) + [workspace / "projects" / name / "nothing"]:
            with suppress(ConfigError):
                return self._read(workspace, name, root)
        return {name: self._default} if self._default.runs else {}
