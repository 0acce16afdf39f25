"""Take the orders of all projects on the agent's port."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.fleet_state import order_ledgers
from engine.cli.log import order_log
from engine.cli.versions import good_files
from engine.errors import ConfigError
from engine.files import list_paths

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.orders.receivers import Receivers

REFRESH_SECONDS = 5.0
"""How often projects are looked at for changes of how they take orders."""


@contextmanager
def keep_receiving(session: Session, *, open_to_others: bool) -> Iterator[Receivers]:
    """Give the receivers of the workspace's projects, which are kept up to date until the block ends."""
    from engine.orders.receivers import Receivers

    workspace, stop = session.workspace(), threading.Event()

    with order_log(session) as log:

        def load(name: str) -> Project:
            from engine.config.loader import load

            files = good_files(session, name, lambda text: log(name, text))
            project = load(name, workspace=workspace, environ=os.environ, files=files)
            session.terminal.hide(project.secrets)
            return project

        receivers = Receivers(load, order_ledgers(session), on_event=log, open_to_others=open_to_others)
        known: dict[str, Hashable] = {}

        def refresh() -> None:
            nonlocal known
            known = _versions(workspace, known)
            receivers.refresh(known)

        def serve() -> None:
            while not stop.wait(REFRESH_SECONDS):
                try:
                    refresh()
                except Exception as error:  # noqa: BLE001 - it is tried again, and orders are taken as before
                    log("", f"Projects could not be looked at for changes: {type(error).__name__}")

        refresh()
        thread = threading.Thread(target=serve, name="orders", daemon=True)
        thread.start()
        try:
            yield receivers
        finally:
            stop.set()
            thread.join()
            receivers.close()


def _versions(workspace: Path, known: dict[str, Hashable]) -> dict[str, Hashable]:
    """The projects that take orders, with what tells whether their files have changed; ``known`` are the last ones."""
    from engine.config.schedule import read_order_ways
    from engine.config.workspace import discover

    try:
        names = discover(workspace)
        shared = _stamp(workspace / ".env")
    except OSError:  # a share that is away for a moment
        return known
    found: dict[str, Hashable] = {}
    for name in names:
        root = workspace / "projects" / name
        try:
            taken = read_order_ways(workspace, name).taken
        except ConfigError:
            taken = True  # whoever reads it whole says what is wrong with it
        try:
            files = [root / "project.toml", root / ".env", *list_paths(root / "orders", "*.sql")]
            if taken:
                found[name] = (shared, *map(_stamp, files))
        except OSError:
            if name in known:
                found[name] = known[name]
    return found


def _stamp(path: Path) -> tuple[str, int, int] | None:
    """What tells whether a file has changed; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return path.name, found.st_mtime_ns, found.st_size
