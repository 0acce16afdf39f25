"""writer."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.database.arrow import column_names
from engine.database.error_messages import (
    ROLLED_BACK_SQLSTATES,
    TRANSIENT_SQLSTATES,
    TRANSIENT_WORDS,
    plain,
    redact_values,
    state_and_text,
)
from engine.errors import QueryError, UnresponsiveError, WriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.database.odbc import T
    from engine.database.watchdog import Watchdog


@dataclass
class DbApiWriter:
    """A DB-API connection that writes; they differ in how values go in and how errors speak."""

    connection: Any
    close: Callable[[], None]
    bound: Callable[[object], object] = lambda value: value
    errors: tuple[type[Exception], ...] = ()
    begin: str = ""
    cleaned: Callable[[str], str] = str
    written: Callable[[str], str] = str
    own_cursor: bool = True
    patience: Watchdog | None = None
    _open: bool = False

    def execute(self, sql: str, binds: Sequence[object]) -> list[dict[str, Any]]:
        """Run one statement with its values; gives the rows of the first result that has columns."""
        sql = self.written(sql)
        try:
            # Another cursor of DuckDB's is another transaction.
            cursor = self._asked(self.connection.cursor) if self.own_cursor else self.connection
            if self.begin and not self._open:
                cursor.execute(self.begin)
            self._open = True
            values = [self.bound(value) for value in binds]

            def executed() -> list[dict[str, Any]]:
                cursor.execute(sql, values) if values else cursor.execute(sql)
                return _first_result(cursor)

            return self._asked(executed, cursor.cancel if self.patience else None)
        except UnresponsiveError as error:
            raise WriteError(error.message, hint=RETRY_HINT, retriable=True) from None
        except QueryError:
            raise WriteError(
                f"A statement of the order took more than {STATEMENT_TIMEOUT_SECONDS} s:"
                " somebody may hold a lock on its rows.",
                hint=RETRY_HINT,
                retriable=True,
            ) from None
        except self.errors as error:
            raise self._failed(error, binds=binds) from None

    def commit(self) -> None:
        """Commit the transaction."""
        try:
            # Not given up: it might arrive after the order was looked up and raised again. The network itself gives up
            # what it cannot deliver, after about a quarter of an hour.
            self._asked(self.connection.commit, seconds=math.inf)
        except self.errors as error:
            raise self._failed(error, committing=True) from None
        self._open = False

    def rollback(self) -> None:
        """Roll the transaction back, where one is open."""
        if self._open:
            with suppress(Exception):  # a connection that is lost has undone it
                self._asked(self.connection.rollback)
        self._open = False

    def _asked(
        self, call: Callable[[], T], cancel: Callable[[], object] | None = None, *, seconds: float | None = None
    ) -> T:
        if self.patience is None:
            return call()
        return self.patience.wait(
            call, seconds=STATEMENT_TIMEOUT_SECONDS if seconds is None else seconds, cancel=cancel
        )

    def _failed(self, error: Exception, *, committing: bool = False, binds: Sequence[object] = ()) -> WriteError:
        state, text = state_and_text(error)
        text = self.cleaned(plain(text))
        # The words of a constraint's error are the order's as much as the database's.
        refused = state[:2] in {"22", "23"} or any(
            kind.__name__ in {"IntegrityError", "DataError"} for kind in type(error).__mro__
        )
        passing = not refused and bool(TRANSIENT_SQLSTATES.fullmatch(state) or TRANSIENT_WORDS.search(text))
        # Whatever breaks while committing, but for a refusal, leaves open whether the order was kept.
        uncertain = committing and not refused and state not in ROLLED_BACK_SQLSTATES
        text = redact_values(text, binds)
        said = f"The database says: {text} [{state}]" if state else f"The database says: {text}"
        if passing or uncertain:
            return WriteError(
                f"The database could not take the order just now. {said}",
                hint=RETRY_HINT,
                retriable=True,
                uncertain=uncertain,
            )
        return WriteError(
            f"The database refused a statement of the order. {said}",
            hint="Mend the statement in orders/, or what it runs into, then retry the order.",
        )


STATEMENT_TIMEOUT_SECONDS = 30
"""Seconds that a statement of an order may take, most of which is waiting for somebody else's lock."""

RETRY_HINT = "It is tried again by itself."


def _first_result(cursor: Any) -> list[dict[str, Any]]:
    """The rows of the first result that has columns, with all results read: an error may come after the last row."""
    more = getattr(cursor, "nextset", bool)  # only ODBC has several
    rows: list[dict[str, Any]] | None = None
    while True:
        if cursor.description is not None:
            names = column_names(cursor.description)
            fetched = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            rows = fetched if rows is None else rows
        # Statements that come before, and triggers, give counts first.
        if not more():
            return rows or []


def to_sqlite_value(value: object) -> object:
    """SQLite has neither decimals nor times; a column's affinity makes numbers of what looks like one."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, (date, time)) else value
