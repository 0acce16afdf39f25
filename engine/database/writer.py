"""Write the statements of an order in one transaction, through any DB-API connection.

What a database says is translated into a :class:`WriteError`: whether the same may succeed later, and whether the
order may have been committed although an error came back.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.database.connection import WriteResult
from engine.database.driver_sql import column_names
from engine.database.error_messages import (
    ROLLED_BACK_SQLSTATES,
    is_transient,
    plain_message,
    redact_values,
    state_and_text,
)
from engine.errors import QueryError, UnresponsiveError, WriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.database.watchdog import T, Watchdog


@dataclass
class DbApiWriter:
    """A DB-API connection that writes orders.

    ``to_driver_value`` and ``to_driver_sql`` turn values and statements into what the driver takes; ``errors`` are the
    exceptions that it raises. ``begin_statement`` begins a transaction where the driver does not by itself.
    ``own_cursor`` is False where another cursor would be another transaction. ``count_column`` is the column in which
    the driver returns how many rows a statement wrote, where it returns that as a row. ``confirm_statement`` is run
    after each commit, where the driver may call one a success that never reached the server.
    """

    connection: Any
    close: Callable[[], None]
    to_driver_value: Callable[[object], object] = lambda value: value
    errors: tuple[type[Exception], ...] = ()
    begin_statement: str = ""
    without_secrets: Callable[[str], str] = str
    to_driver_sql: Callable[[str], str] = str
    own_cursor: bool = True
    count_column: str = ""
    confirm_statement: str = ""
    watchdog: Watchdog | None = None
    _in_transaction: bool = False

    def execute(self, sql: str, binds: Sequence[object]) -> WriteResult:
        """Run one statement with its values."""
        sql = self.to_driver_sql(sql)
        try:
            cursor = self._call(self.connection.cursor) if self.own_cursor else self.connection
            if self.begin_statement and not self._in_transaction:
                cursor.execute(self.begin_statement)
            self._in_transaction = True
            values = [self.to_driver_value(value) for value in binds]

            def execute() -> WriteResult:
                cursor.execute(sql, values) if values else cursor.execute(sql)
                counts = self.count_column if WRITING.search(sql) and not RETURNING.search(sql) else ""
                return _read_results(cursor, count_column=counts)

            try:
                return self._call(execute, cursor.cancel if self.watchdog else None)
            finally:
                if self.own_cursor:
                    # In the driver's thread, as after some errors MariaDB's lets no other one near its connection; and
                    # not in the call above, whose cancelling may still hold the cursor.
                    with suppress(UnresponsiveError, *self.errors):
                        self._call(cursor.close)
        except UnresponsiveError as error:
            raise WriteError(error.message, hint=RETRY_HINT, retriable=True) from None
        except QueryError:
            raise WriteError(
                f"A statement of the order took more than {STATEMENT_TIMEOUT_SECONDS} s:"
                " another session may hold a lock on its rows.",
                hint=RETRY_HINT,
                retriable=True,
            ) from None
        except self.errors as error:
            raise self._failed(error, binds=binds) from None

    def commit(self) -> None:
        """Commit the transaction."""
        try:
            # Never abandoned: it might arrive after the order was looked up and raised again. The network itself drops
            # what it cannot deliver, after about a quarter of an hour.
            self._call(self.connection.commit, seconds=math.inf)
            if self.confirm_statement:
                self._call(self._confirm, seconds=math.inf)
        except self.errors as error:
            raise self._failed(error, committing=True) from None
        self._in_transaction = bool(self.confirm_statement)

    def _confirm(self) -> None:
        """Have the server answer over the connection of the commit.

        psqlODBC says that a commit succeeded where it learned, with the result of the statement before, that the
        server ended the connection. Every later statement fails then.
        """
        self.connection.cursor().execute(self.confirm_statement).fetchall()

    def rollback(self) -> None:
        """Roll the transaction back, where one is open."""
        if self._in_transaction:
            with suppress(Exception):  # a connection that is lost has undone it
                self._call(self.connection.rollback)
        self._in_transaction = False

    def _call(
        self, call: Callable[[], T], cancel: Callable[[], object] | None = None, *, seconds: float | None = None
    ) -> T:
        if self.watchdog is None:
            return call()
        return self.watchdog.call(
            call, seconds=STATEMENT_TIMEOUT_SECONDS if seconds is None else seconds, cancel=cancel
        )

    def _failed(self, error: Exception, *, committing: bool = False, binds: Sequence[object] = ()) -> WriteError:
        state, text = state_and_text(error)
        transient = is_transient(state, text)
        text = self.without_secrets(plain_message(text))
        # The words of a constraint's error are the order's as much as the database's.
        refused = state[:2] in {"22", "23"} or any(
            kind.__name__ in {"IntegrityError", "DataError"} for kind in type(error).__mro__
        )
        transient = transient and not refused
        # Whatever breaks while committing, but for a refusal, leaves open whether the order was kept.
        uncertain = committing and not refused and state not in ROLLED_BACK_SQLSTATES
        text = redact_values(text, binds)
        message = f"The database says: {text} [{state}]" if state else f"The database says: {text}"
        if transient or uncertain:
            return WriteError(
                f"The database could not take the order right now. {message}",
                hint=RETRY_HINT,
                retriable=True,
                uncertain=uncertain,
            )
        return WriteError(
            f"The database refused a statement of the order. {message}",
            hint="Fix the statement in orders/, or the data that it runs into, then retry the order.",
        )


WRITING = re.compile(r"\b(insert|update|delete|merge)\b", re.IGNORECASE)
RETURNING = re.compile(r"\breturning\b", re.IGNORECASE)

STATEMENT_TIMEOUT_SECONDS = 30
"""Seconds that a statement of an order may take, most of which is spent waiting for another session's lock."""

RETRY_HINT = "It is retried automatically."


def _read_results(cursor: Any, *, count_column: str) -> WriteResult:
    """Read all results: an error may come after the last row of one, and counts may come before the rows."""
    next_result = getattr(cursor, "nextset", bool)  # only ODBC has several results
    rows: list[dict[str, Any]] | None = None
    touched = 0
    uncounted = False
    while True:
        if cursor.description is None:
            # Negative where the driver does not know.
            touched += max(cursor.rowcount, 0)
            uncounted = uncounted or cursor.rowcount < 0
        else:
            names = column_names(cursor.description)
            fetched = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            if count_column and names == (count_column,) and len(fetched) <= 1:
                touched += sum(int(row[count_column]) for row in fetched)
            else:
                touched += len(fetched)
                rows = fetched if rows is None else rows
        if not next_result():
            return WriteResult(rows=rows or [], touched=None if uncounted and not touched else touched)


def to_sqlite_value(value: object) -> object:
    """A value as SQLite takes it: decimals, dates and times as text.

    A column's affinity makes a number of a text that looks like one.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, (date, time)) else value
