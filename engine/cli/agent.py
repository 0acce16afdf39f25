"""The command that runs every project of a workspace at its cadence: ``s2s agent``.

Commands below it are in :mod:`engine.cli.service`.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.notify import keep_notifying
from engine.cli.run import RunRequest, default_jobs, job_message, print_ended, print_event
from engine.cli.session import session_of
from engine.cli.signals import run_controls
from engine.clock import now
from engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from engine.agent.workers import Ended, Json
    from engine.cli.session import Session

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
        int, typer.Option(min=0, max=65535, help="Where /health, /ready and /metrics are, on this machine alone.")
    ] = 8059,
    run_limit: Annotated[float, typer.Option(min=1, help="Stop a run that takes longer than so many seconds.")] = 6
    * 3600.0,
) -> None:
    """Run every project of the workspace at its cadence, until it is stopped; new and changed projects are found."""
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    from engine.agent.agent import Agent, AgentSettings, Projects
    from engine.agent.http import serve_monitor
    from engine.agent.lanes import LaneLimits

    session = session_of(context)
    names = session.project_names()
    cadences = project_cadences(session, every)
    scheduled = cadences()
    workspace = session.workspace()
    request = RunRequest(several=True)
    printing = threading.Lock()

    def on_event(event: Json) -> None:
        with printing:
            print_event(session, event)

    def on_end(ended: Ended, seconds: float) -> None:
        with printing:
            _print_run(session, ended, request, seconds)

    count = workers or default_jobs()
    running = Agent(
        Projects(
            run="engine.cli.run:run_job",
            cadences=cadences,
            request=lambda name: job_message(session.options, workspace, name, request),
            on_event=on_event,
            on_end=on_end,
            seconds=_last_seconds(session),
        ),
        AgentSettings(workers=count, limits=LaneLimits(run_seconds=run_limit)),
    )
    with ExitStack() as stack:
        stop, _ = stack.enter_context(run_controls(session, ""))
        try:
            address = stack.enter_context(
                serve_monitor(port, is_alive=lambda: running.is_alive, metrics=lambda: _metrics(session))
            )
        except OSError as error:
            raise UsageError(str(error), hint="Choose another port with --port, or stop the other agent.") from None
        session.terminal.print_text(
            f"{len(scheduled):,} of {len(names):,} projects run at their cadence, {count:,} at a time."
            f" {address}/metrics has the numbers; Ctrl-C stops it."
        )
        sys.stdout.flush()
        stack.enter_context(keep_notifying(session))
        running.serve(stop)
    session.terminal.print_text("Stopped; what was not sent is sent by the next run.")


def project_cadences(session: Session, every: str | None) -> Callable[[], Mapping[str, timedelta]]:
    """What gives the cadence of each project that has one, ``every`` being that of projects without one.

    Raises :class:`UsageError` where no project has one, or ``every`` is none.
    """
    from engine.config.schedule import parse_duration

    try:
        default = None if every is None else parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every is {every}: {error}.", hint="For example `s2s agent --every 3m`.") from None
    cadences = _Cadences(session, default)
    if not cadences():
        raise UsageError(
            "No project has a cadence, so nothing would ever run.",
            hint='Write [schedule] and below it every = "3m" into workspace.toml, or pass --every 3m.',
        )
    return cadences


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


class _Cadences:
    """The cadence of each project that has one, read again at each call; a broken one keeps what it was."""

    def __init__(self, session: Session, default: timedelta | None) -> None:
        self._session = session
        self._default = default
        self._known: dict[str, timedelta] = {}
        self._wrong: set[str] = set()

    def __call__(self) -> dict[str, timedelta]:
        from engine.config.schedule import read_cadence
        from engine.config.workspace import discover

        workspace = self._session.workspace()
        found: dict[str, timedelta] = {}
        try:
            names = discover(workspace)
        except OSError:  # a share that is away for a moment
            return self._known
        for name in names:
            try:
                every = read_cadence(workspace, name) or self._default
                self._wrong.discard(name)
            except ConfigError as error:
                every = self._known.get(name, self._default)
                if name not in self._wrong:
                    self._wrong.add(name)
                    self._session.terminal.print_error(f"{name}: {error} Its cadence stays as it was.")
            if every is not None:
                found[name] = every
        self._known = found
        return found


def _print_run(session: Session, ended: Ended, request: RunRequest, seconds: float) -> None:
    """Print what a run came to; of one that had nothing to send and nothing to say, nothing."""
    quiet = ended.answer is not None and ended.answer["code"] == 0
    if quiet and not any(result.get("sent") for result in (ended.answer or {})["results"]):
        return
    code, _ = print_ended(session, ended, request)
    if not session.logs_json:
        session.terminal.print_text(f"{ended.job.name}: exit code {code} after {seconds:.1f} s")
    sys.stdout.flush()


def _last_seconds(session: Session) -> dict[str, float]:
    """How long the last run of each project took, as the run log knows."""
    from engine.config.workspace import state_folder
    from engine.run_log.read import open_run_log

    found: dict[str, float] = {}
    with open_run_log(state_folder(session.workspace(), os.environ)) as log:
        for run in log.last_good_runs():
            found[run.project] = found.get(run.project, 0.0) + (run.seconds or 0.0)
    return found


def _metrics(session: Session) -> str:
    from engine.config.workspace import discover, state_folder
    from engine.status.collect import collect_statuses
    from engine.status.prometheus import metrics_text

    workspace = session.workspace()
    statuses = collect_statuses(workspace, discover(workspace), state_folder=state_folder(workspace, os.environ))
    return metrics_text(statuses, now())
