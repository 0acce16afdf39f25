"""Take the ledger of a machine's own orders over into the fleet, and bring it back to one machine."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.errors import StateError
from engine.files import exists
from engine.fleet.lease import renewing, take_lease
from engine.fleet.order_ledgers import HAS_ORDERS, orders_lease, stored_in
from engine.orders.former import FormerOrders
from engine.orders.ledger_file import connect_ledger, raising_lock, translate_errors
from engine.orders.ledger_store import ROW_ORDER, TABLES
from engine.orders.origin import recorded_origin

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from engine.fleet.database import FleetDatabase
    from engine.fleet.lease import Lease

    Connection = psycopg.Connection[tuple[Any, ...]]


def adopt_orders(database: FleetDatabase, project: str, own: Path, *, replace: bool) -> bool:
    """Store the ledger in the file ``own`` as the fleet's, and put it aside; False where there is none.

    What the fleet has of other orders stays, unless all is to be replaced. Raises :class:`StateError` where it has one
    of these, unless all is to be replaced, and :class:`StateLockedError` where a process of this machine takes orders.
    """
    if not exists(own):
        return False
    with raising_lock(own.parent, project):
        rows = _read_file(own)
        lease = take_lease(database, orders_lease(project), even_paused=True)
        with renewing(lease):
            try:
                database.transact(lambda connection: _store(connection, lease, project, rows, replace=replace))
            finally:
                lease.give_back(seconds=0.0, exit_code=None)
        with translate_errors(own):
            own.replace(own.with_name(f"{own.name}.adopted"))
    return True


def export_orders(database: FleetDatabase, project: str, own: Path) -> bool:
    """Bring the fleet's ledger of a project to the file ``own``; False where it has none.

    From then on the fleet takes no orders of the project, until they are brought back. Raises :class:`StateError` where
    there is such a file already.
    """
    if database.row(HAS_ORDERS, [project, project]) != (True,):
        return False
    if exists(own):
        raise StateError(f"There is {own} already.", hint="Move it away: the fleet's ledger is newer.")
    lease = take_lease(database, orders_lease(project), even_paused=True)
    with renewing(lease):
        try:
            rows = database.transact(lambda connection: _take_out(connection, lease, project))
            _write_file(own, rows)
        finally:
            lease.give_back(seconds=0.0, exit_code=None)
    return True


def _read_file(own: Path) -> dict[str, list[Any]]:
    with closing(connect_ledger(own)) as connection, translate_errors(own):
        # Only who is alone with the file may do that; and everything is in this one file then.
        connection.execute("pragma journal_mode = delete")
        return {
            table: connection.execute(
                f"select {', '.join(columns)} from {table} order by {ROW_ORDER[table]}"  # noqa: S608 - names of this package
            ).fetchall()
            for table, columns in TABLES.items()
        }


def _write_file(own: Path, rows: dict[str, list[Any]]) -> None:
    with closing(connect_ledger(own)) as connection, translate_errors(own):
        connection.execute("begin immediate")
        for table, columns in TABLES.items():
            marks = ", ".join("?" * len(columns))
            sql = f"insert into {table} ({', '.join(columns)}) values ({marks})"  # noqa: S608 - as above
            connection.executemany(sql, rows[table])
        connection.execute("commit")


def _store(connection: Connection, lease: Lease, project: str, rows: dict[str, list[Any]], *, replace: bool) -> None:
    _lock(connection, lease, away=False)
    if not replace:
        known = connection.execute(
            "select count(*), min(order_id) from orders where project = %s and order_id = any(%s)",
            [project, [row[0] for row in rows["orders"]]],
        ).fetchone()
        if known is not None and known[0]:
            raise StateError(
                f"The fleet has orders of {project} already that this machine has, {known[0]:,} of them, such as"
                f" {known[1]}.",
                hint="To replace them all by this machine's, which may not know what the fleet raised: --replace.",
            )
        _require_same_origin(connection, project, rows)
        rows = _without_known(connection, project, rows)
    for table, columns in TABLES.items():
        if replace:
            connection.execute(f"delete from {table} where project = %s".encode(), [project])  # noqa: S608 - as above
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        sql = f"insert into {table} (project, {names}) values (%s, {marks}) on conflict do nothing"  # noqa: S608 - as above
        with connection.cursor() as cursor:
            cursor.executemany(sql.encode(), [(project, *row) for row in rows[table]])
    store = stored_in(connection, project)
    origin = recorded_origin(store)
    if origin is not None:  # what one of the two had put aside may be what the other one belongs to
        FormerOrders(store, origin).bring_back(origin, at=store.now())


def _without_known(connection: Connection, project: str, rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """``rows`` without the orders put aside that the fleet has aside as well, as after it gave them to a machine."""
    sql = "select account, database, put_aside_at, order_id from former_orders where project = %s"
    known = set(connection.execute(sql, [project]).fetchall())
    former = ("former_orders", "former_transitions")  # which begin with these columns
    return {**rows, **{table: [row for row in rows[table] if tuple(row[:4]) not in known] for table in former}}


def _require_same_origin(connection: Connection, project: str, rows: dict[str, list[Any]]) -> None:
    """Raise :class:`StateError` where the fleet has orders of another account or database than this machine has.

    Where only this machine has orders, the fleet's ledger belongs to theirs from now on.
    """
    found = connection.execute("select account, database from order_origin where project = %s", [project]).fetchone()
    if found is None or not (rows["orders"] and rows["order_origin"]) or tuple(rows["order_origin"][0]) == found:
        return
    if connection.execute("select 1 from orders where project = %s limit 1", [project]).fetchone() is not None:
        raise StateError(
            f"The fleet's order ledger of {project} belongs to {found[0]}; {found[1]}, and this machine's to"
            f" {'; '.join(rows['order_origin'][0])}.",
            hint=f"Rebind the fleet's to the other one first: `s2s rebind {project}`. Or replace it by this machine's,"
            " which may not know what the fleet raised: --replace.",
        )
    connection.execute("delete from order_origin where project = %s", [project])


def _take_out(connection: Connection, lease: Lease, project: str) -> dict[str, list[Any]]:
    _lock(connection, lease, away=True)
    return {
        table: connection.execute(
            f"select {', '.join(columns)} from {table} where project = %s order by {ROW_ORDER[table]}".encode(),  # noqa: S608 - as above
            [project],
        ).fetchall()
        for table, columns in TABLES.items()
    }


def _lock(connection: Connection, lease: Lease, *, away: bool) -> None:
    """Keep all others from changing the ledger until the transaction ends; from then on it is the fleet's or not."""
    held = connection.execute(
        "update lease set paused = %s where project = %s and epoch = %s", [away, lease.project, lease.epoch]
    )
    if not held.rowcount:
        raise lease.lost()
