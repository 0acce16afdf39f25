"""Lock one order in the client's database, so that two processes on two machines never raise it at once.

The lock belongs to the transaction or the session in the database. A commit that is still on its way there therefore
holds it: whoever gets the lock afterwards sees what that commit left. Databases in a file have one writer at a time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.errors import WriteError

if TYPE_CHECKING:
    from engine.database.connection import Writer

LOCK_WAIT_SECONDS = 20
"""How long the database waits for another process that raises the same order."""


def acquire_order_lock(writer: Writer, dialect: str, *, source_id: int, order_id: int) -> str:
    """Wait for the lock of an order, where ``dialect`` has such locks.

    Returns the statement that releases it, blank where it ends with the transaction. Raises :class:`WriteError`,
    retriable, where another process keeps it.
    """
    name = _lock_name(source_id, order_id)
    if dialect == "postgres":
        return _acquire_postgres_lock(writer, _lock_number(name))
    if dialect == "mysql":
        # Of the session; 1 where it was given: https://mariadb.com/kb/en/get_lock/
        result = writer.execute(f"select get_lock('{name}', {LOCK_WAIT_SECONDS}) as granted", ())
        _require_granted(result.rows, {1})
        return f"select release_lock('{name}')"
    if dialect == "tsql":
        # Of the session; 0 and 1 where it was given: https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-getapplock-transact-sql
        result = writer.execute(
            "set nocount on; declare @granted int; exec @granted = sp_getapplock"
            f" @Resource = '{name}', @LockMode = 'Exclusive', @LockOwner = 'Session',"
            f" @LockTimeout = {LOCK_WAIT_SECONDS * 1000}; select @granted as granted",
            (),
        )
        _require_granted(result.rows, {0, 1})
        return f"exec sp_releaseapplock @Resource = '{name}', @LockOwner = 'Session'"
    return ""


def _acquire_postgres_lock(writer: Writer, number: int) -> str:
    """Wait for PostgreSQL's advisory lock: https://www.postgresql.org/docs/current/functions-admin.html.

    It is the transaction's, unless its isolation level is stricter than the usual one: then the transaction sees the
    database as it was before it waited, without what the other process left. So the session holds the lock, and a new
    transaction begins.
    """
    sql = f"select pg_advisory_xact_lock({number}), current_setting('transaction_isolation') as isolation"
    (row,) = writer.execute(sql, ()).rows
    if str(row["isolation"]) in {"read committed", "read uncommitted"}:
        return ""
    writer.execute(f"select pg_advisory_lock({number})", ())
    writer.rollback()
    return f"select pg_advisory_unlock({number})"


def _lock_name(source_id: int, order_id: int) -> str:
    """Return a name of digits, letters and dots: it is written into the SQL."""
    return f"s2s.order.{source_id}.{order_id}"


def _lock_number(name: str) -> int:
    """Return a signed number of 64 bits for a name, always the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _require_granted(rows: list[dict[str, object]], granted: set[int]) -> None:
    value = next(iter(rows[0].values()), None) if rows else None
    if value not in granted:
        raise WriteError(
            "Another process is raising this order and holds its lock in the database.",
            hint="It is retried automatically.",
            retriable=True,
        )
