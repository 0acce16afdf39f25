"""A project's state where a command can use it: this machine's own, or the fleet's, brought here under a lease."""

from __future__ import annotations

import os
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.session import FleetConnections, session_of
from engine.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from engine.cli.session import Session
    from engine.config.fleet import FleetSettings
    from engine.fleet.checkout import Checkout
    from engine.fleet.database import FleetDatabase
    from engine.model.settings import Project
    from engine.orders.ledger import Ledgers
    from engine.stock2shop.user import User


TAKE_IN_SECONDS = 5.0
"""How often a worker looks what other machines did."""

STOP_SECONDS = 10.0
"""How long that is waited for at the end."""


@contextmanager
def state_at_hand(
    session: Session, project: Project, *, even_paused: bool = False
) -> Iterator[tuple[Project, Checkout | None]]:
    """Give the project with its state on this machine, and the checkout where the workspace is a fleet's.

    Raises :class:`LeaseError` where another machine of the fleet has the project, and where it is paused, unless
    ``even_paused``.
    """
    fleet = fleet_connections(session)
    if fleet is None:
        yield project, None
        return
    from engine.fleet.checkout import check_out

    with check_out(fleet.database, fleet.objects, project.name, project.state, even_paused=even_paused) as checkout:
        yield replace(project, state=checkout.path), checkout


def project_at_hand(
    context: typer.Context, project: Project, *, even_paused: bool = False
) -> tuple[Project, Checkout | None]:
    """What :func:`state_at_hand` gives, until the command of ``context`` ends."""
    return context.with_resource(state_at_hand(session_of(context), project, even_paused=even_paused))


def fleet_connections(session: Session) -> FleetConnections | None:
    """What reaches the fleet, of whose secrets nothing is printed; None where one machine runs the workspace."""
    from engine.config.fleet import read_fleet

    settings = read_fleet(session.workspace(), environ=os.environ)
    if settings is None:
        return None
    session.terminal.hide([settings.database, *settings.secrets])
    if session.fleet is None or session.fleet.settings != settings:
        session.fleet = _connections(session, settings)
    return session.fleet


def fleet_database(session: Session) -> FleetDatabase | None:
    """The fleet's PostgreSQL; None where one machine runs the workspace."""
    fleet = fleet_connections(session)
    return None if fleet is None else fleet.database


def order_ledgers(session: Session) -> Ledgers:
    """Where the orders of the workspace's projects are kept: in files of this machine, or in the fleet's PostgreSQL."""
    fleet = fleet_connections(session)
    if fleet is not None:
        return fleet.ledgers
    from engine.config.workspace import state_folder
    from engine.orders.ledger_file import LocalLedgers

    return LocalLedgers(state_folder(session.workspace(), os.environ))


@contextmanager
def user_of_pull(session: Session, project: Project) -> Iterator[User | None]:
    """The token and the pace with which a project's orders are pulled, where the workspace is a fleet's; else None.

    Raises :class:`LeaseError` where another machine of the fleet pulls them.
    """
    database = fleet_database(session)
    if database is None:
        yield None
        return
    from engine.fleet.users import user_of_pull as user_of

    with user_of(database, project.name, project.stock2shop) as user:
        yield user


def _connections(session: Session, settings: FleetSettings) -> FleetConnections:
    """What reaches a fleet until the command ends; nothing is connected before it is needed."""
    from engine.config.workspace import state_folder
    from engine.fleet.database import FleetDatabase
    from engine.fleet.object_store import ObjectStore
    from engine.fleet.order_ledgers import FleetLedgers

    address = settings.database
    return FleetConnections(
        settings=settings,
        database=session.resources.enter_context(closing(FleetDatabase(address))),
        objects=ObjectStore(settings.snapshots, settings.store_variables) if settings.snapshots else None,
        ledgers=session.resources.enter_context(
            closing(FleetLedgers(address, state_folder(session.workspace(), os.environ)))
        ),
    )


@contextmanager
def keep_taking_in_runs(session: Session) -> Iterator[None]:
    """Have what other machines did in this machine's run log all the while, until the block ends."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(TAKE_IN_SECONDS):
            with suppress(SyncError, OSError):  # the workspace or PostgreSQL is away for a moment
                take_in_runs(session)

    thread = threading.Thread(target=serve, name="run logs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)


def take_in_runs(session: Session) -> None:
    """Have the runs of the fleet's other machines in this machine's run log, where there is a fleet."""
    database = fleet_database(session)
    if database is not None:
        from engine.config.workspace import state_folder
        from engine.fleet.shared_runs import take_in_runs as take_in

        take_in(database, state_folder(session.workspace(), os.environ))
