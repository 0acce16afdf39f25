"""Copy the tables of a run's working set that a statement was changing when it ran out of memory."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from engine.errors import StateMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_WRITTEN = re.compile(r"^\s*(?:insert into|update|delete from)\s+run\.(\w+)", flags=re.MULTILINE)
"""A table of the working set that SQL changes."""


class Database(Protocol):
    """Where the tables are."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement that may be repeated, with more memory while it needs it; gives its rows."""


class TornTables:
    """The tables of the working set that are not to be changed again as they are.

    Where DuckDB cannot commit an `insert` for want of memory, the rows are not in the table, but they are in its
    columns: what is appended next is read from other rows' places, without an error. What was there before is as it
    was. The state's own tables are as they were once the file is opened again.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._transaction: list[str] = []

    @contextmanager
    def watching(self, sql: str, *, in_transaction: bool) -> Iterator[None]:
        """Note what ``sql`` was changing, and its transaction before it, where it runs out of memory in the block."""
        if not in_transaction and sql != "commit":
            self._transaction = []
        self._transaction.append(sql)
        try:
            yield
        except StateMemoryError:
            for each in self._transaction:
                self._names.update(_WRITTEN.findall(each))
            raise

    def replace(self, database: Database) -> None:
        """Copy each table that was noted, as it was."""
        if not self._names:
            return
        found = database.rows("select table_name from duckdb_tables() where database_name = 'run'")
        for name in sorted(self._names.intersection(name for (name,) in found)):
            database.rows(f"create or replace table run.{name} as select * from run.{name}")  # noqa: S608 - see _WRITTEN
        self._names.clear()
