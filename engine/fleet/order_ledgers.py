"""The ledgers of orders in the fleet's PostgreSQL: any machine takes and raises orders of any project.

Orders of a project are raised under a lease of their own, PROJECT/orders. Each change of a ledger locks that lease's
row, so that one is made at a time; what a machine changes while it raises orders names its epoch besides. A machine
that was frozen, and wakes up after another one took over, can therefore neither note that it is about to commit in the
client's database, nor commit there without that. What it was committing at that very moment is held up by the lock in
the client's database, see :mod:`engine.orders.order_lock`, or waited for.

No change is repeated where the connection is lost: that is the same as a process that died there.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from engine.errors import FleetError, LeaseError, StateError, StateLockedError, SyncError
from engine.files import exists
from engine.fleet import database
from engine.fleet.database import FleetDatabase
from engine.fleet.lease import ORDERS_SUFFIX, renewing, take_lease
from engine.orders.ledger import Ledger
from engine.orders.ledger_file import LOCK_TIMEOUT_SECONDS, ledger_path
from engine.orders.origin import order_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import psycopg

    from engine.database.origin import Origin
    from engine.fleet.lease import Lease
    from engine.model.settings import Project

TURN_POLL_SECONDS = 0.05
"""How often to look whether another machine has raised its order."""

MAX_CONNECTIONS = 8
"""How many connections one process has for orders, however many come at once: an order needs one for milliseconds."""

_NOW = "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"

HAS_ORDERS = (
    "select exists (select 1 from orders where project = %s) or exists (select 1 from former_orders where project = %s)"
)
"""Whether a project has a ledger: orders, or such that are put aside, which come back or are looked up there."""

_LOCK = (
    "with held as materialized (select epoch, paused from lease where project = %s for update)"  # noqa: S608 - no value
    f" select epoch, paused, {_NOW} from held"
)
"""Lock the ledger; the time is that at which it is locked."""


def orders_lease(project: str) -> str:
    """The name of the lease under which orders of a project are raised."""
    return f"{project}{ORDERS_SUFFIX}"


class OrderConnections:
    """Connections that threads share: each has one for a statement or a transaction, and gives it back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._idle: list[FleetDatabase] = []

    @contextmanager
    def borrowed(self) -> Iterator[FleetDatabase]:
        """A connection, in the block alone. Raises :class:`FleetError` where none gets free."""
        if not self._free.acquire(timeout=database.RETRY_SECONDS):
            raise FleetError("The fleet's PostgreSQL is too slow for the orders that come.", hint=database.AWAY_HINT)
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = FleetDatabase(self._url, name="orders")
            try:
                yield connection
            finally:
                self._idle.append(connection)
        finally:
            self._free.release()

    def row(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The only row of a query."""
        with self.borrowed() as connection:
            return connection.row(sql, values)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows of a query."""
        with self.borrowed() as connection:
            return connection.rows(sql, values)

    def close(self) -> None:
        """Close what nobody uses."""
        while self._idle:
            self._idle.pop().close()


class StoredLedger:
    """The rows of a project's ledger, see :class:`engine.orders.ledger_store.LedgerStore`."""

    holders_may_return = True

    def __init__(self, connections: OrderConnections, project: str) -> None:
        self._connections = connections
        self._project = project
        self._lease: Lease | None = None
        self._transaction: psycopg.Connection[tuple[Any, ...]] | None = None
        self._locked_at = ""

    @property
    def scope(self) -> Mapping[str, object]:
        """What tells this project's rows from others'."""
        return {"project": self._project}

    def join(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """From now on read and write in a transaction of ``connection``, in which the ledger is locked."""
        (now,) = connection.execute(f"select {_NOW}").fetchone() or ("",)
        self._transaction, self._locked_at = connection, str(now)

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def now(self) -> str:
        """The time by PostgreSQL's clock; inside of a change the time at which it began."""
        if self._transaction is not None:
            return self._locked_at
        row = self._connections.row(f"select {_NOW}")
        return str(row[0]) if row else ""

    def read(self, sql: str, values: Sequence[object]) -> list[Any]:
        """Give the rows of a query."""
        if self._transaction is not None:
            return self._transaction.execute(_own(sql).encode(), _own_values(values)).fetchall()
        return self._connections.rows(_own(sql), _own_values(values))

    def write(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement inside of a change; gives how many rows it changed."""
        assert self._transaction is not None
        return self._transaction.execute(_own(sql).encode(), _own_values(values)).rowcount

    @contextmanager
    def change(self) -> Iterator[None]:
        """Have the block be one transaction.

        Raises :class:`LeaseError` where another machine took over the raising of orders, :class:`StateError` where the
        ledger is not the fleet's any more.
        """
        with self._connections.borrowed() as borrowed, borrowed.transaction() as connection:
            self._lock(connection)
            self._transaction = connection
            try:
                yield
            finally:
                self._transaction = None

    def _lock(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        name = orders_lease(self._project)
        row = connection.execute(_LOCK, [name]).fetchone()
        if row is None:
            connection.execute("insert into lease (project) values (%s) on conflict do nothing", [name])
            row = connection.execute(_LOCK, [name]).fetchone()
        assert row is not None
        epoch, is_away, self._locked_at = row
        if is_away:
            raise _away(self._project)
        if self._lease is not None and self._lease.epoch != epoch:
            raise self._lease.lost()

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Have the turn to raise orders of the project, under its lease."""
        self._lease = lease = self._take()
        try:
            with renewing(lease):
                yield
        except FleetError:
            raise  # PostgreSQL is away: the lease expires by itself
        except BaseException:
            _give_back(lease)
            raise
        else:
            _give_back(lease)
        finally:
            self._lease = None

    def _take(self) -> Lease:
        until = time.monotonic() + LOCK_TIMEOUT_SECONDS
        while True:
            try:
                with self._connections.borrowed() as borrowed:
                    return take_lease(borrowed, orders_lease(self._project))
            except LeaseError as error:
                require_in_fleet(self._connections, self._project)
                if time.monotonic() >= until:
                    raise StateLockedError(
                        f"Another process has been raising orders of {self._project} for {LOCK_TIMEOUT_SECONDS:.0f} s:"
                        f" {error.message}",
                        hint="Wait until it ends. Where its machine died, the lease ends by itself.",
                    ) from None
            time.sleep(TURN_POLL_SECONDS)


def stored_in(connection: psycopg.Connection[tuple[Any, ...]], project: str) -> StoredLedger:
    """The rows of a project's ledger, in a transaction whose owner has locked the ledger."""
    store = StoredLedger(OrderConnections(""), project)
    store.join(connection)
    return store


class FleetLedgers:
    """The ledgers of the fleet, see :class:`engine.orders.ledger.Ledgers`; for several threads.

    ``state_folder`` is this machine's, with its run log.
    """

    def __init__(self, url: str, state_folder: Path) -> None:
        self._connections = OrderConnections(url)
        self._folder = state_folder

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._connections.close()

    @contextmanager
    def opened(self, project: Project) -> Iterator[Ledger]:
        """A project's ledger, opened.

        Raises :class:`StateError` where this machine has one of its own that the fleet did not take over, or another
        machine has taken it out of the fleet.
        """
        with self._open(project.name, order_origin(project)) as ledger:
            ledger.bind()
            yield ledger

    def viewed(self, name: str) -> AbstractContextManager[Ledger]:
        """The ledger of the project ``name``, opened to be looked at, or rebound; raises what :meth:`opened` does."""
        return self._open(name, None)

    @contextmanager
    def _open(self, project: str, origin: Origin | None) -> Iterator[Ledger]:
        own = ledger_path(self._folder, project)
        if exists(own):
            raise StateError(
                f"{own} is a ledger of this machine's own, which the fleet does not know.",
                hint=f"`s2s fleet adopt-local {project}` takes it over; or move the file away.",
            )
        require_in_fleet(self._connections, project)
        store = StoredLedger(self._connections, project)
        with closing(Ledger(store, project, self._folder, origin=origin)) as ledger:
            yield ledger

    def has_ledger(self, project: str) -> bool:
        """Whether there is an order of a project, or one that was put aside."""
        row = self._connections.row(HAS_ORDERS, [project, project])
        return bool(row and row[0])

    def count_pending(self, projects: Sequence[str]) -> Mapping[str, Mapping[str, int] | SyncError]:
        """The number of each project's unfinished orders by status, or why none can be counted."""
        found: dict[str, dict[str, int]] = {project: {} for project in projects}
        sql = (
            "select project, status, count(*) from orders where project = any(%s)"
            " and status in ('received', 'raising', 'waiting', 'failed') group by project, status"
        )
        try:
            for project, status, count in self._connections.rows(sql, [[*projects]]):
                found[project][status] = count
        except SyncError as error:
            return dict.fromkeys(projects, error)
        return found


def require_in_fleet(connections: OrderConnections, project: str) -> None:
    """Raise :class:`StateError` where the ledger of a project was brought back to one machine."""
    row = connections.row("select paused from lease where project = %s", [orders_lease(project)])
    if row is not None and row[0]:
        raise _away(project)


def _away(project: str) -> StateError:
    return StateError(
        f"The orders of {project} are not the fleet's any more: `s2s fleet export-local` brought them to one machine.",
        hint=f"Bring them back with `s2s fleet adopt-local {project} --replace` there.",
    )


def _give_back(lease: Lease) -> None:
    """End a lease; where that fails it expires."""
    with suppress(SyncError):
        lease.give_back(seconds=0.0, exit_code=None)


def _own(sql: str) -> str:
    """SQL of the ledger with the places of values as this library writes them."""
    return sql.replace("?", "%s")


def _own_values(values: Sequence[object]) -> list[object]:
    """Values of which no text has a NUL, which PostgreSQL does not take: a message of another database may have one."""
    return [value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value for value in values]
