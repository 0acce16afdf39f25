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


def acquire_order_lock(writer: Writer, dialect: str, *, source_id: int, order_id: int) -> None:
    """Wait for the lock of an order, where ``dialect`` has such locks.

    Raises :class:`WriteError`, retriable, where another process keeps it.
    """
    name = _lock_name(source_id, order_id)
    if dialect == "postgres":
        # Until the end of the transaction: https://www.postgresql.org/docs/current/functions-admin.html
        writer.execute(f"select pg_advisory_xact_lock({_lock_number(name)})", ())
    elif dialect == "mysql":
        # Of the session; 1 where it was given: https://mariadb.com/kb/en/get_lock/
        result = writer.execute(f"select get_lock('{name}', {LOCK_WAIT_SECONDS}) as granted", ())
        _require_granted(result.rows, {1})
    elif dialect == "tsql":
        # Of the session; 0 and 1 where it was given: https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-getapplock-transact-sql
        result = writer.execute(
            "set nocount on; declare @granted int; exec @granted = sp_getapplock"
            f" @Resource = '{name}', @LockMode = 'Exclusive', @LockOwner = 'Session',"
            f" @LockTimeout = {LOCK_WAIT_SECONDS * 1000}; select @granted as granted",
            (),
        )
        _require_granted(result.rows, {0, 1})


def release_order_lock(writer: Writer, dialect: str, *, source_id: int, order_id: int) -> None:
    """Release the lock where it belongs to the session and would outlive the transaction."""
    name = _lock_name(source_id, order_id)
    if dialect == "mysql":
        writer.execute(f"select release_lock('{name}')", ())
    elif dialect == "tsql":
        writer.execute(f"exec sp_releaseapplock @Resource = '{name}', @LockOwner = 'Session'", ())


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
