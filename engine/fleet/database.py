"""The fleet's PostgreSQL: connect, connect again where the connection was lost, and create or migrate its tables.

Everything is in the schema ``s2s_fleet``. Whatever is done is one statement, or one transaction that may be repeated:
after a lost connection nobody knows whether it was done.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import FleetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg

    Row = tuple[Any, ...]
    Values = Mapping[str, object] | Sequence[object]

T = TypeVar("T")

VERSION = 6
"""The version of the tables; ``sql/migrations.sql`` has a block for each version."""

SCHEMA = "s2s_fleet"

RETRY_SECONDS = 10.0
"""How long to try to get a lost connection back: less than a lease lasts."""

RETRY_INTERVAL_SECONDS = 0.25

SQL_FOLDER = Path(__file__).parent / "sql"

AWAY_HINT = (
    "Nothing more is sent while PostgreSQL is away, and nothing is lost: the next run goes on. Check the address in"
    " [fleet] of workspace.toml, and that PostgreSQL runs and accepts this user."
)

_INIT_LOCK = 735_019_220
"""The number of the lock that one of several `s2s fleet init` holds."""


def connection_options(name: str) -> dict[str, Any]:
    """How to connect, besides the address: with limits on time, so that a partition shows as an error.

    The server ends a transaction of a process that was frozen in it, which would hold its locks.
    """
    return {
        "application_name": f"s2s {name}",
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "options": f"-c search_path={SCHEMA} -c statement_timeout=60s -c idle_in_transaction_session_timeout=20s"
        " -c client_min_messages=warning",
    }


class FleetDatabase:
    """A connection to the fleet's PostgreSQL, opened when it is first needed; threads wait for each other."""

    def __init__(self, url: str, *, name: str = "run") -> None:
        self.url = url
        self._name = name
        self._connection: psycopg.Connection[Row] | None = None
        self._in_use = threading.RLock()
        self.fleet_id = ""

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        with self._in_use:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def rows(self, sql: str, values: Values | None = None) -> list[Row]:
        """Run one statement, which may be repeated, and give its rows."""

        def work(connection: psycopg.Connection[Row]) -> list[Row]:
            cursor = connection.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

        return self._with_retry(work)

    def row(self, sql: str, values: Values | None = None) -> Row | None:
        """Run one statement, which may be repeated, and give its only row, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def transact(self, work: Callable[[psycopg.Connection[Row]], T]) -> T:
        """Call ``work`` in a transaction, and again from its beginning where the connection is lost."""

        def transaction(connection: psycopg.Connection[Row]) -> T:
            with connection.transaction():
                return work(connection)

        return self._with_retry(transaction)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Row]]:
        """Have the block be one transaction, which is not repeated: where it fails, it may have been done or not.

        A connection that was lost before is opened again.
        """
        import psycopg

        with self._in_use:
            connection = self._with_retry(_begin)
            try:
                yield connection
                connection.execute("commit")
            except BaseException as error:
                with suppress(psycopg.Error):
                    connection.execute("rollback")
                if isinstance(error, psycopg.Error):
                    self.close()
                    raise _translated(error) from error
                raise

    def _with_retry(self, work: Callable[[psycopg.Connection[Row]], T]) -> T:
        import psycopg

        until = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                with self._in_use:
                    return work(self._connected())
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.close()
                if time.monotonic() >= until:
                    raise _translated(error) from error
                time.sleep(RETRY_INTERVAL_SECONDS)
            except psycopg.Error as error:
                raise _translated(error) from error

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is None:
            connection = connect(self.url, self._name)
            try:
                self.fleet_id = _checked_version(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def connect(url: str, name: str) -> psycopg.Connection[Row]:
    """Open a connection in which each statement is a transaction. Raises :class:`UsageError` without the library."""
    try:
        import psycopg
    except ImportError:
        raise UsageError(
            "The library for PostgreSQL is not installed.", hint="Install it: pip install 'stock2shop-sync[fleet]'."
        ) from None
    try:
        return psycopg.connect(url, autocommit=True, **connection_options(name))
    except psycopg.ProgrammingError:  # its text repeats the address, and with it the password
        raise UsageError(
            "`database` under [fleet] is no address of PostgreSQL.",
            hint="Write it like postgresql://user:password@host:5432/database, the password URL-encoded.",
        ) from None


def _checked_version(connection: psycopg.Connection[Row]) -> str:
    """The id of the fleet. Raises :class:`FleetError` where its tables are missing, or older than this s2s knows."""
    import psycopg

    hint = "Run `s2s fleet init` once, with the newest s2s of the fleet."
    try:
        row = connection.execute("select id::text, version from fleet").fetchone()
    except psycopg.errors.UndefinedTable:
        raise FleetError("The fleet's PostgreSQL has no tables of the fleet yet.", hint=hint) from None
    if row is None or row[1] < VERSION:
        raise FleetError("The fleet's tables are of an older version.", hint=hint)
    return str(row[0])


def initialise(url: str) -> tuple[list[str], list[str]]:
    """Create the fleet's tables and those of its job queue, or bring them up to date.

    Gives what was done, and what is left for when no older worker runs any more, in words.
    """
    import psycopg

    from engine.fleet.queue import migrate_queue

    done = []
    with connect(url, "init") as connection:
        try:
            connection.execute("select pg_advisory_lock(%s)", [_INIT_LOCK])
            connection.execute(f"create schema if not exists {SCHEMA}")
            found = connection.execute("select to_regclass('fleet') is not null").fetchone()
            row = connection.execute("select version from fleet").fetchone() if found and found[0] else None
            version = int(row[0]) if row else 0
            blocks = re.split(
                r"^-- version (\d+)$", (SQL_FOLDER / "migrations.sql").read_text("utf-8"), flags=re.MULTILINE
            )
            for number, block in zip(blocks[1::2], blocks[2::2], strict=True):
                if int(number) > version:
                    with connection.transaction():
                        connection.execute(block.encode())
                        connection.execute("update fleet set version = %s", [int(number)])
                    done.append(f"the fleet's tables, version {number}")
            of_queue, left = migrate_queue(connection)
        except psycopg.Error as error:
            raise FleetError(
                f"The fleet's tables cannot be created: {_first_line(error)}.",
                hint="Its user needs the right to create a schema in the database: grant create on database … to …;",
            ) from error
    return done + of_queue, left


def _begin(connection: psycopg.Connection[Row]) -> psycopg.Connection[Row]:
    connection.execute("begin")
    return connection


def _translated(error: psycopg.Error) -> FleetError:
    import psycopg

    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return FleetError(f"The fleet's PostgreSQL is away: {_first_line(error)}.", hint=AWAY_HINT)
    return FleetError(
        f"The fleet's PostgreSQL refused a statement: {_first_line(error)}.",
        hint="`s2s fleet init` creates what is missing. Check the rights of its user.",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
