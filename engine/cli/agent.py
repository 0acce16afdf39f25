"""The command that runs every project of a workspace at its cadence: ``s2s agent``.

Commands below it are in :mod:`engine.cli.service`.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.agent_jobs import ORDERS_JOB, project_schedules
from engine.cli.agent_orders import keep_receiving
from engine.cli.console import make_console_routes, read_settings
from engine.cli.fleet_state import order_ledgers
from engine.cli.log import write_warning
from engine.cli.notify import keep_notifying
from engine.cli.run import RunRequest, default_jobs, job_message, print_ended, print_event
from engine.cli.session import session_of
from engine.cli.signals import run_controls
from engine.clock import now
from engine.errors import StateError, StateLockedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from engine.agent.agent import Agent, LastRuns
    from engine.agent.workers import Ended, Json
    from engine.cli.session import Session
    from engine.fleet.worker import FleetWorker

LOCK_SECONDS = 2.0
"""How long an agent waits for another one of the workspace that is just ending."""

agent_app = typer.Typer(invoke_without_command=True)


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
        int, typer.Option(min=0, max=65535, help="Where its web page, its orders, /health, /ready and /metrics are.")
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
    from engine.agent.lanes import LaneLimits

    session = session_of(context)
    names = session.project_names()
    schedules = project_schedules(session, every, keeps_copy=True)
    scheduled = schedules()
    workspace = session.workspace()
    printing = threading.Lock()

    def on_event(event: Json) -> None:
        with printing:
            print_event(session, event)

    def on_end(ended: Ended, seconds: float) -> None:
        _note_end(session, ended)
        with printing:
            print_run(session, ended, RunRequest(several=True), seconds)

    count = workers or default_jobs()
    running = Agent(
        Projects(
            run="engine.cli.run:run_job",
            schedules=schedules,
            request=lambda name: scheduled_job(session, workspace, name, last_good=True),
            on_event=on_event,
            on_end=on_end,
            last=_last_runs(session),
        ),
        AgentSettings(workers=count, limits=LaneLimits(run_seconds=run_limit)),
    )
    with ExitStack() as stack:
        stack.enter_context(_only_agent(session))
        stop, _ = stack.enter_context(run_controls(session, ""))
        address = stack.enter_context(serving_pages(session, running, port, besides="the other agent"))
        session.terminal.print_text(
            f"{len([each for each in scheduled if ORDERS_JOB not in each]):,} of {len(names):,} projects run at their"
            f" cadence, {count:,} at a time. {address}/ shows how they do; Ctrl-C stops it."
        )
        sys.stdout.flush()
        stack.enter_context(keep_notifying(session))
        running.serve(stop)
    session.terminal.print_text("Stopped; what was not sent is sent by the next run.")


@contextmanager
def serving_pages(session: Session, running: Agent | FleetWorker, port: int, *, besides: str) -> Iterator[str]:
    """Serve the web page, the orders and the numbers of ``running`` until the block ends; gives the address.

    Raises :class:`UsageError` where the port is taken, perhaps by what ``besides`` names.
    """
    from engine.agent.http import monitor_routes, serve_http
    from engine.config.console import ConsoleSettings
    from engine.console.access import may_read_metrics
    from engine.http_server import Listener
    from engine.orders.connections import OpenConnections, limited_protocol
    from engine.orders.http import order_routes
    from engine.orders.serve import tls_context

    console = read_settings(session)
    listens = console or ConsoleSettings()
    connections = OpenConnections()
    with ExitStack() as stack:
        receivers = stack.enter_context(keep_receiving(session, open_to_others=listens.is_open_to_others))
        routes = [
            *monitor_routes(
                is_alive=lambda: running.is_alive,
                metrics=lambda: run_metrics(session),
                may_read=lambda request: may_read_metrics(listens, request),
            ),
            *order_routes(receivers.find, connections),
            *(
                []
                if console is None
                else make_console_routes(session, running, console, on_accepted=connections.accept)
            ),
        ]
        tls = tls_context(listens.tls_certificate, listens.tls_key, table="[console]")
        listener = Listener(host=listens.host, port=port, protocol=limited_protocol(connections, tls), tls=tls)
        try:
            address = stack.enter_context(serve_http(routes, listener))
        except OSError as error:
            raise UsageError(str(error), hint=f"Choose another port with --port, or stop {besides}.") from None
        yield address


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


@contextmanager
def _only_agent(session: Session) -> Iterator[None]:
    """Be the only agent of the workspace for as long as the block lasts; the system ends that with the process.

    Raises :class:`StateLockedError` where there is another one. Where that cannot be known, a warning says so.
    """
    from engine.config.workspace import state_folder
    from engine.file_lock import file_lock

    with ExitStack() as stack:
        try:
            path = state_folder(session.workspace(), os.environ) / "agent.lock"
            held = stack.enter_context(file_lock(path, seconds=LOCK_SECONDS))
        except (OSError, StateError) as error:
            write_warning(session, f"It is not known whether another agent runs this workspace: {error}")
            held = True
        if not held:
            raise StateLockedError(
                f"Another agent runs the projects of {session.workspace()}.",
                hint="Two would run each project twice as often. Stop the other one first; where the system keeps it"
                " running, with `systemctl stop s2s-agent`.",
            )
        yield


def _note_end(session: Session, ended: Ended) -> None:
    """Say that a run gave way; have the run log know at once that the process of one has died, and how long it ran."""
    from engine.config.workspace import state_folder
    from engine.run_log.record import record_broken_off

    if ended.gave_way and not ended.is_good:
        text = "It takes long, and others wait: it is begun again where it holds up none of them."
        write_warning(session, text, ended.job.name)
    if ended.answer is None:
        record_broken_off(state_folder(session.workspace(), os.environ), ended.job.name.partition(ORDERS_JOB)[0])


def scheduled_job(session: Session, workspace: Path, name: str, *, last_good: bool) -> Json:
    """The message for a job that is due: a project's run, or its pull of orders."""
    project, orders, _ = name.partition(ORDERS_JOB)
    task = {"do": "pull"} if orders else None
    asked = RunRequest(several=True, text=not session.logs_json, last_good=last_good)
    return job_message(session.options, workspace, project, asked, task)


def print_run(session: Session, ended: Ended, request: RunRequest, seconds: float) -> None:
    """Print what a run came to; of one that had nothing to send and nothing to say, nothing."""
    quiet = ended.answer is not None and ended.answer["code"] == 0
    if quiet and not any(result.get("sent") for result in (ended.answer or {})["results"]):
        return
    code, _ = print_ended(session, ended, request)
    if not session.logs_json:
        session.terminal.print_text(f"{ended.job.name}: exit code {code} after {seconds:.1f} s")
    sys.stdout.flush()


def _last_runs(session: Session) -> LastRuns:
    """What the run log knows of the last run of each project."""
    from engine.agent.agent import LastRuns
    from engine.config.workspace import state_folder
    from engine.run_log.read import open_run_log

    seconds: dict[str, float] = {}
    began: dict[str, datetime] = {}
    failing: set[str] = set()
    broken_off: set[str] = set()
    try:
        with open_run_log(state_folder(session.workspace(), os.environ)) as log:
            last = log.last_runs()
    except StateError as error:  # all that it has are copies, and the next run replaces a damaged one
        write_warning(session, f"{error.message} It is not known when projects ran last.")
        return LastRuns()
    for run in last:
        job = run.project + ORDERS_JOB if run.command == "pull" else run.project
        # One that was broken off, such as by the end of the agent, may have hung ever since it began.
        took = run.seconds if run.finished_at else (now() - run.started_at).total_seconds()
        if run.finished_at is None:
            broken_off.add(job)
        seconds[job] = seconds.get(job, 0.0) + (took or 0.0)
        began[job] = max(run.started_at, began.get(job, run.started_at))
        if run.outcome in {"failed", "broken off"}:
            failing.add(job)
    return LastRuns(seconds=seconds, failing=frozenset(failing), broken_off=frozenset(broken_off), began=began)


def run_metrics(session: Session) -> str:
    """What the run log of this machine knows of its projects, as a monitor reads it."""
    from engine.config.workspace import discover, state_folder
    from engine.status.collect import collect_statuses
    from engine.status.prometheus import metrics_text

    workspace = session.workspace()
    statuses = collect_statuses(
        workspace,
        discover(workspace),
        state_folder=state_folder(workspace, os.environ),
        ledgers=order_ledgers(session),
    )
    return metrics_text(statuses, now())
