"""How the agent's jobs are called, and when each is due."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.log import write_warning
from engine.errors import ConfigError, SyncError, UsageError
from engine.files import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.cli.session import Session
    from engine.config.schedule import Schedule

ORDERS_JOB = "/orders"
"""What follows a project's name in the name of the job that pulls its orders; no folder's name has a slash.

It is that of :data:`engine.fleet.lease.ORDERS_SUFFIX`."""


def project_schedules(session: Session, every: str | None, *, keeps_copy: bool = False) -> Schedules:
    """What gives the schedule of each job: a project's runs, and its pulls. ``every`` is the cadence of those without.

    With ``keeps_copy`` the state's folder has a copy of the last good workspace.toml. Raises :class:`UsageError` where
    nothing would ever be done, or ``every`` is no cadence, and :class:`ConfigError` where workspace.toml cannot be read
    and there is no copy of it.
    """
    from engine.config.schedule import Schedule, parse_duration, read_schedule

    try:
        default = Schedule(every=None if every is None else parse_duration(every))
    except ValueError as error:
        raise UsageError(f"--every is {every}: {error}.", hint="For example `s2s agent --every 3m`.") from None
    schedules = Schedules(session, default, keeps_copy=keeps_copy)
    if not schedules() and not schedules.orders_taken:
        read_schedule(session.workspace(), "")  # which says what is wrong with workspace.toml, if that is it
        raise UsageError(
            "No project has a cadence or takes orders, so nothing would ever be done.",
            hint='Write [schedule] and below it every = "3m" into workspace.toml, or pass --every 3m.',
        )
    return schedules


class Schedules:
    """The schedule of each job: of a project's runs, and of its pulls.

    They are read again at each call; a broken one keeps what it was.
    """

    def __init__(self, session: Session, default: Schedule, *, keeps_copy: bool) -> None:
        self._session = session
        self._default = default
        self._known: dict[str, Schedule] = {}
        self._wrong: set[str] = set()
        self._keeps_copy = keeps_copy
        self._stamp: tuple[int, int] | None = None
        self.orders_taken = False
        """Whether any project takes orders."""

    def __call__(self) -> Mapping[str, Schedule]:
        """Look at all projects."""
        from engine.config.workspace import discover

        found: dict[str, Schedule] = {}
        if self._keeps_copy:
            self._keep_workspace_file()
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

    def _keep_workspace_file(self) -> None:
        """Keep a copy of workspace.toml whenever it has changed and nothing is wrong with it."""
        from engine.config.console import read_console
        from engine.config.last_good import keep_workspace_file
        from engine.config.notifications import read_notify
        from engine.config.schedule import read_schedule
        from engine.config.workspace import discover, state_folder

        with suppress(OSError, SyncError):
            workspace = self._session.workspace()
            path = workspace / "workspace.toml"
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                read_schedule(workspace, "")
                read_console(workspace)
                name = next(iter(discover(workspace)), "")
                read_notify(workspace, name, environ=os.environ, shared_only=True)
                keep_workspace_file(state_folder(workspace, os.environ), WorkspaceFiles((workspace,)).read(path))
                self._stamp = stamp

    def _read(
        self, workspace: Path, name: str, root: Path | None = None, shared: Path | None = None
    ) -> dict[str, Schedule]:
        """The jobs of a project. Raises :class:`ConfigError` where a file cannot be read."""
        from engine.config.schedule import read_order_ways, read_schedule

        schedule = read_schedule(workspace, name, root=root, shared=shared)
        orders = read_order_ways(workspace, name, root=root)
        schedule = schedule if schedule.runs else replace(schedule, every=self._default.every)
        self.orders_taken = self.orders_taken or orders.taken
        if not schedule.runs:
            return {}
        return {name: schedule, **({name + ORDERS_JOB: schedule} if orders.pulled else {})}

    def _read_last(self, workspace: Path, name: str) -> dict[str, Schedule]:
        """The jobs of a project whose file, or that of the workspace, was broken before this agent began.

        They are those of the version that runs in its place. Where there is none the workspace says when it runs, so
        that its runs say what is wrong with it.
        """
        from engine.config.last_good import find_copy, find_workspace_file
        from engine.config.workspace import state_folder

        states = state_folder(workspace, os.environ)
        copied = find_copy(states, name)
        nothing = workspace / "projects" / name / "nothing"
        roots = [None, nothing] if copied is None else [None, copied.folder, nothing]
        for shared in {None: 0, find_workspace_file(states): 1}:
            for root in roots:
                with suppress(ConfigError):
                    return self._read(workspace, name, root, shared)
        return {name: self._default} if self._default.runs else {}
