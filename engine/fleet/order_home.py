"""Which machine of a fleet keeps a project's orders: their ledger is a file, and only one machine may raise them.

The first machine that takes orders of a project keeps them, until another one is told to.
"""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

from engine.errors import StateError, UsageError
from engine.files import make_private_folder, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from engine.fleet.database import FleetDatabase


def require_order_home(database: FleetDatabase, project: str, state_folder: Path, *, takes: bool) -> None:
    """Raise :class:`UsageError` where another machine keeps the orders of a project.

    ``takes`` says that orders are about to be taken: where no machine keeps them, this one does from now on.
    """
    machine = _machine(state_folder)
    if takes:
        database.rows(
            "insert into order_home values (%(project)s, %(machine)s, %(host)s) on conflict do nothing",
            {"project": project, "machine": machine, "host": socket.gethostname()},
        )
    row = database.row("select machine, host from order_home where project = %(project)s", {"project": project})
    if row is not None and row[0] != machine:
        raise UsageError(
            f"The orders of {project} are kept on another machine of the fleet, {row[1]}.",
            hint=f"Run the command there. To move them: stop taking orders there, bring {project}.orders.sqlite over to"
            f" {state_folder}, and call `s2s fleet take-orders {project}` here.",
        )


def move_order_home(database: FleetDatabase, project: str, state_folder: Path) -> str:
    """Have this machine keep the orders of a project; gives the host that did before, blank where none did."""
    values = {"project": project, "machine": _machine(state_folder), "host": socket.gethostname()}
    row = database.row("select host from order_home where project = %(project)s", values)
    database.rows(
        "insert into order_home values (%(project)s, %(machine)s, %(host)s)"
        " on conflict (project) do update set machine = excluded.machine, host = excluded.host",
        values,
    )
    return str(row[0]) if row else ""


def _machine(state_folder: Path) -> str:
    """A name for the folder in which this machine keeps ledgers, always the same."""
    path = state_folder / "machine"
    try:
        make_private_folder(state_folder)
        try:
            return path.read_text("ascii")
        except FileNotFoundError:
            name = secrets.token_hex(16)
            replace_file(path, name.encode(), mode=0o600)
            return name
    except OSError as error:
        raise StateError(f"{path} cannot be used: {error.strerror}.", hint="Check its rights.") from error
