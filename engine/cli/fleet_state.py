"""A project's state where a command can use it: this machine's own, or the fleet's, brought here under a lease."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.session import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from engine.cli.session import Session
    from engine.fleet.checkout import Checkout
    from engine.fleet.database import FleetDatabase
    from engine.model.settings import Project


@contextmanager
def state_at_hand(session: Session, project: Project) -> Iterator[tuple[Project, Checkout | None]]:
    """Give the project with its state on this machine, and the checkout where the workspace is a fleet's.

    Raises :class:`LeaseError` where another machine of the fleet has the project.
    """
    database = fleet_database(session)
    if database is None:
        yield project, None
        return
    from engine.fleet.checkout import check_out

    with check_out(database, project.name, project.state) as checkout:
        yield replace(project, state=checkout.path), checkout


def project_at_hand(context: typer.Context, project: Project) -> tuple[Project, Checkout | None]:
    """What :func:`state_at_hand` gives, until the command of ``context`` ends."""
    return context.with_resource(state_at_hand(session_of(context), project))


def fleet_database(session: Session) -> FleetDatabase | None:
    """The fleet's PostgreSQL, which nothing that is printed names; None where one machine runs the workspace."""
    from engine.config.fleet import read_fleet

    settings = read_fleet(session.workspace(), environ=os.environ)
    if settings is None:
        return None
    session.terminal.hide([settings.database])
    if session.fleet is None or session.fleet.url != settings.database:
        from engine.fleet.database import FleetDatabase

        session.fleet = session.resources.enter_context(closing(FleetDatabase(settings.database)))
    return session.fleet


def require_orders_here(session: Session, project: Project, *, takes: bool) -> None:
    """Raise :class:`UsageError` where another machine of the fleet keeps the orders of a project.

    ``takes`` says that orders are about to be taken, which makes this machine keep them where none does.
    """
    database = fleet_database(session)
    if database is not None:
        from engine.fleet.order_home import require_order_home

        require_order_home(database, project.name, project.state.parent, takes=takes)


def take_in_runs(session: Session) -> None:
    """Have the runs of the fleet's other machines in this machine's run log, where there is a fleet."""
    database = fleet_database(session)
    if database is not None:
        from engine.config.workspace import state_folder
        from engine.fleet.shared_runs import take_in_runs as take_in

        take_in(database, state_folder(session.workspace(), os.environ))
