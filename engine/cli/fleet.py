"""The commands of a fleet, several machines that run the projects of one workspace: ``s2s fleet``."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.fleet_state import fleet_connections, keep_taking_in_runs
from engine.cli.options import OutputFormat, ProjectName  # noqa: TC001 - typer reads annotations at run time
from engine.cli.run import RunRequest, default_jobs, print_event, run_one_after_the_other
from engine.cli.session import Output, session_of
from engine.cli.signals import run_controls
from engine.cli.stored import zoned_rows
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.agent.workers import Ended, Json
    from engine.cli.session import FleetConnections, Session
    from engine.fleet.database import FleetDatabase

fleet_app = typer.Typer(
    no_args_is_help=True, help="Run the projects on several machines, with PostgreSQL between them."
)

_NO_FLEET = 'Write [fleet] and below it database = "${S2S_FLEET}" into workspace.toml; `s2s help fleet` says more.'


@fleet_app.command()
def init(context: typer.Context) -> None:
    """Create the fleet's tables in PostgreSQL, or bring them up to date, and try its object store; nothing is lost."""
    from engine.fleet.database import initialise

    session = session_of(context)
    fleet = _fleet(session)
    done, left = initialise(fleet.database.url)
    if fleet.objects is not None:
        fleet.objects.check()
        done.append(f"a try: {fleet.objects.address} takes, gives and removes an object")
    session.terminal.print_text("\n".join(f"Made {each}." for each in done) or "Everything is up to date.")
    if left:
        session.terminal.print_text(
            f"Left for when no older worker runs any more, {', '.join(left)}: run `s2s fleet init` once more then."
        )


@fleet_app.command()
def run(context: typer.Context, project: ProjectName) -> None:
    """Run one project under its lease, on this machine; exit code 75 where another one has it."""
    session = session_of(context)
    _database(session)
    code, _ = run_one_after_the_other(session, [project], RunRequest())
    raise typer.Exit(code)


@fleet_app.command()
def worker(
    context: typer.Context,
    every: Annotated[
        str | None,
        typer.Option(help="How often projects run that have no cadence of their own, such as 3m.", metavar="CADENCE"),
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, max=64, help="Runs at a time; otherwise the machine's cores, at most 8.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where its web page, its orders, /health, /ready and /metrics are.")
    ] = 8059,
    run_limit: Annotated[float, typer.Option(min=1, help="Stop a run that takes longer than so many seconds.")] = 6
    * 3600.0,
) -> None:
    """Run this machine's share of the projects at their cadence, and take orders, until it is stopped or drained."""
    from engine.agent.agent import Projects
    from engine.agent.lanes import LaneLimits
    from engine.cli.agent import print_run, scheduled_job, serving_pages
    from engine.cli.agent_jobs import project_schedules
    from engine.fleet.worker import FleetWorker, WorkerSettings

    session = session_of(context)
    database = _database(session)
    database.rows("select 1")  # where it cannot be reached at all, a person should see that now
    workspace = session.workspace()
    request = RunRequest(several=True)
    printing = threading.Lock()

    def on_event(event: Json) -> None:
        with printing:
            print_event(session, event)

    def on_end(ended: Ended, seconds: float) -> None:
        with printing:
            print_run(session, ended, request, seconds)

    projects = Projects(
        run="engine.cli.run:run_job",
        schedules=project_schedules(session, every, keeps_copy=True),
        request=lambda name: scheduled_job(session, workspace, name, last_good=False),
        on_event=on_event,
        on_end=on_end,
    )

    count = slots or default_jobs()
    running = FleetWorker(
        projects, WorkerSettings(url=database.url, slots=count, limits=LaneLimits(run_seconds=run_limit))
    )
    with ExitStack() as stack:
        stop, _ = stack.enter_context(run_controls(session, ""))
        address = stack.enter_context(serving_pages(session, running, port, besides="the other worker"))
        session.terminal.print_text(
            f"This worker runs {count:,} projects at a time, and a long one. {address}/ shows how all do; Ctrl-C stops"
            " it."
        )
        sys.stdout.flush()
        stack.enter_context(keep_taking_in_runs(session))
        running.serve(stop)
    session.terminal.print_text("Stopped; what was not sent is sent by the next run.")


@fleet_app.command()
def status(context: typer.Context, output: OutputFormat = Output.text) -> None:
    """Show the fleet's projects, its workers, and how many projects wait."""
    from engine.fleet.overview import PROJECT_COLUMNS, count_queue, find_outdated, list_projects, list_workers

    session = session_of(context)
    database = _database(session)
    projects, workers, queue = list_projects(database), list_workers(database), count_queue(database)
    if output is Output.json:
        session.answer.give({"projects": zoned_rows(projects), "workers": zoned_rows(workers), "queue": queue})
        return
    session.print_result(projects, PROJECT_COLUMNS, output)
    if workers:
        session.terminal.print_text("")
        session.print_result(workers, tuple(workers[0]), output)
    outdated = find_outdated(database)
    if outdated:
        session.terminal.print_text("\n" + "\n".join(outdated))
    waiting = ", ".join(f"{lane}: {each['waiting']:,} wait, {each['running']:,} run" for lane, each in queue.items())
    session.terminal.print_text(f"\nQueue: {waiting or 'empty'}.")


@fleet_app.command()
def drain(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="The worker, or how its name begins: that of its machine.", metavar="WORKER")
    ],
) -> None:
    """Have a worker take no more projects, and end when what it runs has ended."""
    from engine.fleet.overview import drain as drain_workers

    session = session_of(context)
    found = drain_workers(_database(session), name)
    if not found:
        raise UsageError(f"No worker's name begins with {name}.", hint="`s2s fleet status` shows the workers.")
    session.terminal.print_text("\n".join(f"{each} takes no more projects." for each in found))


@fleet_app.command()
def pause(context: typer.Context, project: ProjectName) -> None:
    """Let no machine run a project until it is resumed; a run that is under way ends first."""
    from engine.fleet.overview import set_paused

    session = session_of(context)
    loaded = _known(session, project)
    holder = set_paused(_database(session), loaded, paused=True)
    session.terminal.print_text(
        f"{loaded} is paused." + (f" The run on {holder} goes on to its end." if holder else "")
    )


@fleet_app.command()
def resume(context: typer.Context, project: ProjectName) -> None:
    """Let a project run again that was paused."""
    from engine.fleet.overview import set_paused

    session = session_of(context)
    loaded = _known(session, project)
    set_paused(_database(session), loaded, paused=False)
    session.terminal.print_text(f"{loaded} runs again at its cadence.")


@fleet_app.command("adopt-local")
def adopt_local(
    context: typer.Context,
    projects: Annotated[list[str] | None, typer.Argument(help="The projects; otherwise all that have a state.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the fleet has a state already, which is then lost.")
    ] = False,
) -> None:
    """Take over the states and the orders that this machine has of its own; once, before the first worker runs."""
    from engine.fleet.order_transfer import adopt_orders
    from engine.fleet.transfer import adopt_state
    from engine.orders.ledger_file import ledger_path

    session = session_of(context)
    fleet = _fleet(session)
    found = False
    for name in projects or session.project_names():
        loaded = session.load_stored(name)
        states = loaded.state.parent
        has_state = adopt_state(fleet.database, fleet.objects, loaded.name, loaded.state, replace=replace)
        if has_state:
            session.terminal.print_text(f"{loaded.name}: its state is the fleet's now.")
        has_orders = adopt_orders(fleet.database, loaded.name, ledger_path(states, loaded.name), replace=replace)
        if has_orders:
            session.terminal.print_text(f"{loaded.name}: its orders are the fleet's now.")
        elif projects and not has_state:
            session.terminal.print_text(f"{loaded.name} has no state and no orders in {states}.")
        found = found or has_state or has_orders
    if not projects and not found:
        session.terminal.print_text("No project has a state or orders of this machine's own: nothing was taken over.")


@fleet_app.command("export-local")
def export_local(
    context: typer.Context,
    projects: Annotated[list[str] | None, typer.Argument(help="The projects; otherwise all.")] = None,
) -> None:
    """Bring states and orders back to this machine, and pause the projects: the way back to one machine."""
    from engine.fleet.order_transfer import export_orders
    from engine.fleet.transfer import export_state
    from engine.orders.ledger_file import ledger_path

    session = session_of(context)
    fleet = _fleet(session)
    for name in projects or session.project_names():
        loaded = session.load_stored(name)
        ledger = ledger_path(loaded.state.parent, loaded.name)
        has_state = export_state(fleet.database, fleet.objects, loaded.name, loaded.state)
        if has_state:
            session.terminal.print_text(f"{loaded.name}: its state is {loaded.state}; the fleet has paused it.")
        if export_orders(fleet.database, loaded.name, ledger):
            session.terminal.print_text(f"{loaded.name}: its orders are in {ledger}; the fleet takes no more.")
        elif projects and not has_state:
            session.terminal.print_text(f"The fleet has no state and no orders of {loaded.name}.")


def _fleet(session: Session) -> FleetConnections:
    """What reaches the fleet. Raises :class:`UsageError` where the workspace is no fleet's."""
    fleet = fleet_connections(session)
    if fleet is None:
        raise UsageError("This workspace is run by one machine: workspace.toml has no [fleet].", hint=_NO_FLEET)
    return fleet


def _database(session: Session) -> FleetDatabase:
    """The fleet's PostgreSQL. Raises :class:`UsageError` where the workspace is no fleet's."""
    return _fleet(session).database


def _known(session: Session, name: str) -> str:
    """The name of a project of the workspace, whether or not its configuration is sound."""
    from engine.config.workspace import discover

    return name if name in discover(session.workspace()) else session.load_stored(name).name
