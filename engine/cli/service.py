"""The commands that have the operating system start ``s2s``: ``s2s agent install`` and ``s2s schedule install``.

Beside each are ``remove`` and ``status``.
"""

from __future__ import annotations

import getpass
import os
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.agent import agent_app
from engine.cli.agent_jobs import project_schedules
from engine.cli.options import OutputFormat  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, session_of
from engine.cli.status import NEEDS_PERSON
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.cli.session import Session
    from engine.service.definition import Service
    from engine.service.schedulers import Scheduler
    from engine.service.steps import Step

schedule_app = typer.Typer(
    no_args_is_help=True, help="Have the system's own scheduler run all projects, without an agent."
)

AGENT_NAME = "s2s-agent"
SCHEDULE_NAME = "s2s"


class SchedulerName(str, Enum):
    """The schedulers of :data:`engine.service.schedulers.SCHEDULERS`."""

    systemd = "systemd"
    cron = "cron"
    launchd = "launchd"
    task_scheduler = "task-scheduler"


SchedulerOption = Annotated[
    SchedulerName | None, typer.Option("--scheduler", help="The system's scheduler; otherwise this machine's own.")
]
SystemOption = Annotated[
    bool, typer.Option("--system", help="For the machine instead of this user; needs an administrator's rights.")
]
AccountOption = Annotated[
    str | None,
    typer.Option(help="With --system and on Windows, who runs it; otherwise the workspace's owner, on Windows you."),
]
PrintOption = Annotated[bool, typer.Option("--print", help="Show what would be done, and change nothing.")]
NameOption = Annotated[str, typer.Option(help="Its name, where a machine has several workspaces.")]


@agent_app.command("install")
def install_agent(
    context: typer.Context,
    every: Annotated[
        str | None,
        typer.Option(help="How often projects run that have no cadence of their own, such as 3m.", metavar="CADENCE"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="As that of `s2s agent`.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="As that of `s2s agent`.")] = None,
    run_limit: Annotated[float | None, typer.Option(min=1, help="As that of `s2s agent`.")] = None,
    scheduler: SchedulerOption = None,
    system: SystemOption = False,
    account: AccountOption = None,
    name: NameOption = AGENT_NAME,
    print_only: PrintOption = False,
    output: OutputFormat = Output.text,
) -> None:
    """Have the system keep the agent running: it starts with the machine, and again should it end.

    Installing again puts other options and a newer s2s into service.
    """
    del output  # it is the session's
    session = session_of(context)
    project_schedules(session, every)
    options = {"--every": every, "--workers": workers, "--port": port, "--run-limit": run_limit}
    chosen = _scheduler(scheduler)
    service = _service(session, name, chosen, system=system, account=account, words=("agent", *_given(options)))
    _install(session, service, chosen, print_only=print_only)


@schedule_app.command("install")
def install_schedule(
    context: typer.Context,
    every: Annotated[str, typer.Option(help="How often all projects run, such as 3m.", metavar="CADENCE")] = "3m",
    jobs: Annotated[int | None, typer.Option(min=1, help="As that of `s2s run`.")] = None,
    deadline: Annotated[float | None, typer.Option(min=0, help="As that of `s2s run`.")] = None,
    scheduler: SchedulerOption = None,
    system: SystemOption = False,
    account: AccountOption = None,
    name: NameOption = SCHEDULE_NAME,
    print_only: PrintOption = False,
    output: OutputFormat = Output.text,
) -> None:
    """Have the system's own scheduler run all projects, again and again; the agent needs none of it."""
    from engine.config.schedule import parse_duration

    del output  # it is the session's
    session = session_of(context)
    try:
        cadence = parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every is {every}: {error}.") from None
    words = ("run", "--all", *_given({"--jobs": jobs, "--deadline": deadline}))
    chosen = _scheduler(scheduler)
    service = _service(session, name, chosen, system=system, account=account, words=words, every=cadence)
    _install(session, service, chosen, print_only=print_only)


def _add_remove_and_status(app: typer.Typer, default_name: str, what: str, *, every: timedelta | None) -> None:
    """Add the two commands that need to know no more of a service than its name, and whether a timer starts it."""

    @app.command("remove", help=f"Stop {what}, and remove what `install` wrote.")
    def remove(
        context: typer.Context,
        scheduler: SchedulerOption = None,
        system: SystemOption = False,
        account: AccountOption = None,
        name: NameOption = default_name,
        print_only: PrintOption = False,
        output: OutputFormat = Output.text,
    ) -> None:
        del output  # it is the session's
        session, chosen = session_of(context), _scheduler(scheduler)
        service = _service(session, name, chosen, system=system, account=account, every=every)
        _remove(session, service, chosen, print_only=print_only)

    @app.command("status", help=f"Exit code 0 where {what} is installed and active, otherwise 5.")
    def status(
        context: typer.Context,
        scheduler: SchedulerOption = None,
        system: SystemOption = False,
        account: AccountOption = None,
        name: NameOption = default_name,
        output: OutputFormat = Output.text,
    ) -> None:
        del output  # it is the session's
        session, chosen = session_of(context), _scheduler(scheduler)
        _print_state(session, _service(session, name, chosen, system=system, account=account, every=every), chosen)


_add_remove_and_status(agent_app, AGENT_NAME, "the agent", every=None)
_add_remove_and_status(schedule_app, SCHEDULE_NAME, "the schedule", every=timedelta(days=1))


def _install(session: Session, service: Service, scheduler: Scheduler, *, print_only: bool) -> None:
    from engine.service.schedulers import install_steps

    _perform(session, service, scheduler, install_steps(service, scheduler), print_only=print_only)
    if not print_only:
        session.print_text(f"{service.name} is installed ({scheduler.name}). {scheduler.advice(service)}")


def _remove(session: Session, service: Service, scheduler: Scheduler, *, print_only: bool) -> None:
    steps = scheduler.remove(service)
    if not steps:
        session.print_text(f"{service.name} is not installed ({scheduler.name}); nothing was changed.")
    _perform(session, service, scheduler, steps, print_only=print_only)
    if steps and not print_only:
        session.print_text(f"{service.name} is removed ({scheduler.name}).")


def _perform(
    session: Session, service: Service, scheduler: Scheduler, steps: Sequence[Step], *, print_only: bool
) -> None:
    from engine.service.steps import perform, steps_text

    if not print_only:
        perform(steps)
    elif steps:
        session.print_text(steps_text(steps))
    if session.output is Output.json:
        described = [steps_text([step]) for step in steps]
        session.answer.give(
            {"name": service.name, "scheduler": scheduler.name, "steps": described, "performed": not print_only}
        )


def _print_state(session: Session, service: Service, scheduler: Scheduler) -> None:
    running = scheduler.is_running(service)
    what = "is installed and active" if running else "is not installed, or does not run"
    session.print_text(f"{service.name} {what} ({scheduler.name}).")
    if session.output is Output.json:
        session.answer.give({"name": service.name, "scheduler": scheduler.name, "active": running})
    raise typer.Exit(0 if running else NEEDS_PERSON)


def _scheduler(named: SchedulerName | None) -> Scheduler:
    from engine.service.schedulers import SCHEDULERS, default_scheduler

    return SCHEDULERS[default_scheduler() if named is None else named.value]


def _service(
    session: Session,
    name: str,
    scheduler: Scheduler,
    *,
    system: bool,
    account: str | None,
    words: tuple[str, ...] = (),
    every: timedelta | None = None,
) -> Service:
    """The service that has ``s2s words`` started for this workspace."""
    from engine.config.workspace import state_folder
    from engine.service.definition import Service, this_program

    workspace = session.workspace().resolve()
    log = workspace / f"{name}.log"
    own_log = () if scheduler.name == "systemd" else ("--log-file", str(log))
    state = state_folder(workspace, os.environ).resolve()
    if account and not system and scheduler.name != "task-scheduler":
        raise UsageError("--account is for --system: otherwise it runs as you.", hint="Leave it out, or pass --system.")
    if scheduler.name == "task-scheduler":
        domain = os.environ.get("USERDOMAIN", "")
        account = account or f"{domain}\\{getpass.getuser()}".removeprefix("\\")
    elif system:
        account = account or _owner(workspace)
    return Service(
        name=name,
        description="Stock2Shop agent" if every is None else "Stock2Shop sync",
        command=(*this_program(), "--workspace", str(workspace), "--log-format", "json", *own_log, *words),
        workspace=workspace,
        log=log,
        every=every,
        system=system,
        account=account or "",
        environment={"S2S_STATE": str(state)} if os.environ.get("S2S_STATE") else {},
        writable=(workspace,) if state.is_relative_to(workspace) else (workspace, state),
    )


def _owner(workspace: Path) -> str:
    """The account that a workspace belongs to. Raises :class:`UsageError` where it has no name here."""
    try:
        return workspace.owner()
    except (KeyError, OSError, NotImplementedError):
        raise UsageError(
            f"Whom {workspace} belongs to is not known.", hint="Name the account with --account."
        ) from None


def _given(options: Mapping[str, object]) -> tuple[str, ...]:
    """The options that have a value, as a command line has them."""
    return tuple(word for name, value in options.items() if value is not None for word in (name, f"{value}"))
