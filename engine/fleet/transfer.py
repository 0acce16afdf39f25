"""Take a machine's own state over into the fleet, and bring it back to one machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.files import create_private_file, exists, make_private_folder
from engine.fleet.checkout import check_out
from engine.fleet.overview import set_paused
from engine.state.store import open_state

if TYPE_CHECKING:
    from pathlib import Path

    from engine.fleet.database import FleetDatabase
    from engine.fleet.object_store import ObjectStore


def adopt_state(
    database: FleetDatabase, objects: ObjectStore | None, project: str, own_state: Path, *, replace: bool
) -> bool:
    """Store the state file ``own_state`` as the fleet's, and put it aside; False where there is none.

    Raises :class:`StateError` where the fleet has a state of the project already, unless that is to be replaced.
    """
    if not exists(own_state):
        return False
    aside = own_state.with_name(f"{own_state.name}.adopted")
    with open_state(own_state):
        pass  # nobody else has it open, and its journal is in it
    with check_out(database, objects, project, own_state, even_paused=True, adopts=True) as checkout:
        if checkout.was_known and not replace:
            raise StateError(
                f"The fleet has a state of {project} already.",
                hint="To replace it by this machine's, which may send what the fleet sent already: --replace.",
            )
        checkout.replace_by(own_state)
        own_state.replace(aside)
    return True


def export_state(database: FleetDatabase, objects: ObjectStore | None, project: str, own_state: Path) -> bool:
    """Pause a project and bring its state to ``own_state``; False where the fleet has none.

    Raises :class:`StateError` where there is such a file already.
    """
    if database.row("select 1 from lease where project = %(p)s and snapshot_seq > 0", {"p": project}) is None:
        return False
    if exists(own_state):
        raise StateError(f"There is {own_state} already.", hint="Move it away: the fleet's state is newer.")
    set_paused(database, project, paused=True)
    with check_out(database, objects, project, own_state, even_paused=True) as checkout:
        with open_state(checkout.path):
            pass  # its journal is in it now
        make_private_folder(own_state.parent)
        create_private_file(own_state)
        shutil.copyfile(checkout.path, own_state)
    return True
