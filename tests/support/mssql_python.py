"""A stand-in for Microsoft's library ``mssql-python``: the part of it that is used, over a SQLite file.

It gives Arrow batches with the types that the library documents for SQL Server's. No SQL Server was asked.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

import pyarrow as pa

from engine.database.connection_string import parse_options

SPOIL: dict[str, Any] = {}
"""Columns of which the stand-in gives another value than pyodbc."""

OPENED: list[str] = []
"""The connection strings that it was given."""


class Error(Exception):
    """What the library raises."""


class ConnectionStringParseError(Exception):
    """What it raises for an option that it does not know."""


def connect(connection_str: str, *, autocommit: bool, timeout: int) -> Connection:
    """Open the file that the connection names."""
    assert not autocommit
    assert timeout
    names = {name.lower(): value for name, value in parse_options(connection_str)}
    if "driver" in names:
        raise ConnectionStringParseError("Driver is reserved")
    OPENED.append(connection_str)
    return Connection(sqlite3.connect(names["database"], check_same_thread=False))


class Connection:
    """A connection of the library's."""

    timeout = 0

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cursor(self) -> Cursor:
        """A cursor."""
        return Cursor(self._connection.cursor())

    def commit(self) -> None:
        """Keep everything."""
        self._connection.commit()

    def rollback(self) -> None:
        """Undo everything."""
        self._connection.rollback()

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class Cursor:
    """A cursor of the library's."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    @property
    def description(self) -> Any:
        """The columns of the result."""
        return self._cursor.description

    def execute(self, sql: str) -> None:
        """Run a statement."""
        try:
            self._cursor.execute(sql)
        except sqlite3.Error as error:
            raise Error(f"Driver Error: {error}; DDBC Error: [Microsoft]{error}") from None

    def arrow_reader(self, size: int) -> Reader:
        """The result in columns."""
        return Reader(self._cursor, size)

    def close(self) -> None:
        """Close it."""
        self._cursor.close()


class Reader:
    """A result in columns; prices are decimals, as SQL Server has them."""

    def __init__(self, cursor: sqlite3.Cursor, size: int) -> None:
        self._cursor = cursor
        self._size = size

    def read_next_batch(self) -> pa.RecordBatch:
        """The next rows."""
        rows = self._cursor.fetchmany(self._size)
        if not rows:
            raise StopIteration
        names = [column[0] for column in self._cursor.description]
        arrays = []
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            spoilt = [SPOIL.get(name, value) for value in values]
            if "price" in name:
                arrays.append(pa.array([Decimal(str(value)) for value in spoilt], pa.decimal128(18, 4)))
            else:
                arrays.append(pa.array(spoilt))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def close(self) -> None:
        """Close it."""
