"""The command that runs every project of a workspace at its cadence: ``s2s agent``.

Commands below it are in :mod:`engine.cli.service`.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.agent_orders import keep_receiving
from engine.cli.notify import keep_notifying
from engine.cli.run import RunRequest, default_jobs, job_message, print_ended, print_event
from engine.cli.session import session_of
from engine.cli.signals import run_controls
from engine.clock import now
from engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from engine.agent.workers import Ended, Json
    from engine.cli.session import Session
    from engine.config.schedule import Schedule

agent_app = typer.Typer(invoke_without_command=True)

HOST = "127.0.0.1"

ORDERS_JOB = "/orders"
"""What follows a project's name in the name of the job that pulls its orders; no folder's name has a slash."""


@agent_app.callback()
def agent(
    context: typer.Context,
    every: Annotated[
        str | None,
        typer.Option(help="How often projects run that have no cadence of their own, such as 3m.", metavar="CADENCE"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Runs at a time; otherwise the machine's cores, at most 8.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where /health, /ready and /metrics are, on this machine alone.")
    ] = 8059,
    run_limit: Annotated[float, typer.Option(min=1, help="Stop a run that takes longer than so many seconds.")] = 6
    * 3600.0,
) -> None:
    """Run every project of the workspace by its schedule, until it is stopped, and take its orders.

    New and changed projects are found.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    from engine.agent.agent import Agent, AgentSettings, Projects
    from engine.agent.http import Listener, monitor_routes, serve_http
    from engine.agent.lanes import LaneLimits
    from engine.orders.connections import OpenConnections, limited_protocol
    from engine.orders.http import order_routes

    session = session_of(context)
    names = session.project_names()
    schedules = project_schedules(session, every)
    scheduled = schedules()
    workspace = session.workspace()
    printing = threading.Lock()

    def request(name: str) -> Json:
        project, _, orders = name.partition(ORDERS_JOB)
        return job_message(
            session.options, workspace, project, RunRequest(several=True, pull=bool(orders), text=not session.logs_json)
        )

    def on_event(event: Json) -> None:
        with printing:
            print_event(session, event)

    def on_end(ended: Ended, seconds: float) -> None:
        with printing:
            print_run(session, ended, RunRequest(several=True), seconds)

    count = workers or default_jobs()
    seconds, began = _last_runs(session)
    running = Agent(
        Projects(
            run="engine.cli.run:run_job",
            schedules=schedules,
            request=request,
            on_event=on_event,
            on_end=on_end,
            seconds=seconds,
            began=began,
        ),
        AgentSettings(workers=count, limits=LaneLimits(run_seconds=run_limit)),
    )
    connections = OpenConnections()
    with ExitStack() as stack:
        stop, _ = stack.enter_context(run_controls(session, ""))
        receivers = stack.enter_context(keep_receiving(session, open_to_others=False))
        routes = [
            *monitor_routes(is_alive=lambda: running.is_alive, metrics=lambda: run_metrics(session)),
            *order_routes(receivers.find, connections),
        ]
        listener = Listener(host=HOST, port=port, protocol=limited_protocol(connections, None))
        try:
            address = stack.enter_context(serve_http(routes, listener))
        except OSError as error:
            raise UsageError(str(error), hint="Choose another port with --port, or stop the other agent.") from None
        session.terminal.print_text(
            f"{len([each for each in scheduled if ORDERS_JOB not in each]):,} of {len(names):,} projects run at their"
            f" cadence, {count:,} at a time. {address}/metrics has the numbers; Ctrl-C stops it."
        )
        sys.stdout.flush()
        stack.enter_context(keep_notifying(session))
        running.serve(stop)
    session.terminal.print_text("Stopped; what was not sent is sent by the next run.")


def project_schedules(session: Session, every: str | None) -> Callable[[], Mapping[str, Schedule]]:
    """What gives the schedule of each job: a project's runs, and its pulls. ``every`` is the cadence of those without.

    Raises :class:`UsageError` where nothing would ever be done, or ``every`` is no cadence.
    """
    from engine.config.schedule import Schedule, parse_duration

    try:
        default = Schedule(every=None if every is None else parse_duration(every))
    except ValueError as error:
        raise UsageError(f"--every is {every}: {error}.", hint="For example `s2s agent --every 3m`.") from None
    schedules = _Schedules(session, default)
    if not schedules() and not schedules.orders_taken:
        raise UsageError(
            "No project has a cadence or takes orders, so nothing would ever be done.",
            hint='Write [schedule] and below it every = "3m" into workspace.toml, or pass --every 3m.',
        )
    return schedules


def _refuse_options(context: typer.Context, command: str) -> None:
    """Options of the agent itself stand behind ``install``, which writes them down; before it nothing reads them."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} stands before {command}, where it means nothing.",
                hint=f"For example `s2s agent install {option} …`.",
            )


class _Schedules:
    """The schedule of each project that has one, read again at each call; a broken one keeps what it was."""

    def __init__(self, session: Session, default: Schedule) -> None:
        self._session = session
        self._default = default
        self._known: dict[str, Schedule] = {}
        self._wrong: set[str] = set()
        self.orders_taken = False
        """Whether any project takes orders."""

    def __call__(self) -> dict[str, Schedule]:
        from engine.config.schedule import read_order_ways, read_schedule
        from engine.config.workspace import discover

        workspace = self._session.workspace()
        found: dict[str, Schedule] = {}
        try:
            names = discover(workspace)
        except OSError:  # a share that is away for a moment
            return self._known
        for name in names:
            try:
                schedule = read_schedule(workspace, name)
                orders = read_order_ways(workspace, name)
                self._wrong.discard(name)
            except ConfigError as error:
                found |= {job: self._known[job] for job in (name, name + ORDERS_JOB) if job in self._known}
                if self._default.runs:
                    found.setdefault(name, self._default)
                if name not in self._wrong:
                    self._wrong.add(name)
                    self._session.terminal.print_error(f"{name}: {error} Its schedule stays as it was.")
                continue
            schedule = schedule if schedule.runs else replace(schedule, every=self._default.every)
            self.orders_taken = self.orders_taken or orders.taken
            if schedule.runs:
                found[name] = schedule
                if orders.pulled:
                    found[name + ORDERS_JOB] = schedule
        self._known = found
        return found


def print_run(session: Session, ended: Ended, request: RunRequest, seconds: float) -> None:
    """Print what a run came to; of one that had nothing to send and nothing to say, nothing."""
    quiet = ended.answer is not None and ended.answer["code"] == 0
    if quiet and not any(result.get("sent") for result in (ended.answer or {})["results"]):
        return
    code, _ = print_ended(session, ended, request)
    if not session.logs_json:
        session.terminal.print_text(f"{ended.job.name}: exit code {code} after {seconds:.1f} s")
    sys.stdout.flush()


def _last_runs(session: Session) -> tuple[dict[str, float], dict[str, datetime]]:
    """How long the last run of each project took, and when it began, as the run log knows."""
    from engine.config.workspace import state_folder
    from engine.run_log.read import open_run_log

    seconds: dict[str, float] = {}
    began: dict[str, datetime] = {}
    with open_run_log(state_folder(session.workspace(), os.environ)) as log:
        for run in log.last_good_runs():
            job = run.project + ORDERS_JOB if run.command == "pull" else run.project
            seconds[job] = seconds.get(job, 0.0) + (run.seconds or 0.0)
        for run in log.last_runs():
            job = run.project + ORDERS_JOB if run.command == "pull" else run.project
            began[job] = max(run.started_at, began.get(job, run.started_at))
    return seconds, began


def run_metrics(session: Session) -> str:
    """What the run log of this machine knows of its projects, as a monitor reads it."""
    from engine.config.workspace import discover, state_folder
    from engine.status.collect import collect_statuses
    from engine.status.prometheus import metrics_text

    workspace = session.workspace()
    statuses = collect_statuses(workspace, discover(workspace), state_folder=state_folder(workspace, os.environ))
    return metrics_text(statuses, now())
