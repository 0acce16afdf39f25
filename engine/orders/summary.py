"""Read a project's ledger without the project's configuration: how many orders are in each status, and each of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from engine.embedded import read_own_sqlite
from engine.files import exists
from engine.orders.ledger import Ledger
from engine.orders.ledger_file import LEDGER_SUFFIX, OPEN_TIMEOUT_SECONDS, connect_ledger, translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def count_orders(state_folder: Path, project: str) -> Mapping[str, int]:
    """The number of orders by status, but for those that are finished; empty where there is no ledger.

    Raises :class:`StateError` where the ledger cannot be read.
    """
    path = state_folder / f"{project}{LEDGER_SUFFIX}"
    with translate_errors(path):
        if not exists(path) or not path.stat().st_size:
            return {}
        with closing(read_own_sqlite(path, timeout=OPEN_TIMEOUT_SECONDS)) as connection:
            sql = "select status, count(*) from orders where status in ('received', 'raising', 'waiting', 'failed')"
            try:
                return dict(connection.execute(f"{sql} group by status").fetchall())
            except sqlite3.OperationalError as error:
                if "no such" in str(error):  # it is being made, or is older than this engine, which migrates it
                    return {}
                raise


@contextmanager
def open_ledger_of(state_folder: Path, project: str) -> Iterator[Ledger | None]:
    """The open ledger of a project; None where there is none. Raises :class:`StateError` where it cannot be read."""
    path = state_folder / f"{project}{LEDGER_SUFFIX}"
    with translate_errors(path):
        there = exists(path) and path.stat().st_size > 0
    if not there:
        yield None
        return
    with closing(Ledger(connect_ledger(path), path)) as ledger:
        yield ledger
