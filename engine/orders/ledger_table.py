"""Read and change one table of a project's ledger; wherever its rows are kept, no other project's are touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.orders.ledger_store import ROW_ORDER, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.orders.ledger_store import LedgerStore


class LedgerTable:
    """The project's rows of a table. What changes them is called inside of the store's :meth:`~.LedgerStore.change`.

    Columns and conditions are SQL that is written in this package; values are bound. Each method raises what the store
    raises.
    """

    def __init__(self, store: LedgerStore, name: str) -> None:
        self.name = name
        self._store = store
        self._scope = "".join(f"{column} = ? and " for column in store.scope)

    def select(
        self, columns: str, condition: str = "true", values: Sequence[object] = (), order: str = ""
    ) -> list[Any]:
        """Return the columns of the rows that fit an SQL condition; ``order`` is the SQL that follows it."""
        sql = f"select {columns} from {self.name} where {self._scope}({condition}) {order}"  # noqa: S608 - as said above
        return self._store.read(sql, [*self._store.scope.values(), *values])

    def update(self, columns: Mapping[str, object], condition: str = "true", *values: object) -> int:
        """Change the rows that fit an SQL condition; return how many there were."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        sql = f"update {self.name} set {assignments} where {self._scope}({condition})"  # noqa: S608 - as said above
        return self._store.write(sql, [*columns.values(), *self._store.scope.values(), *values])

    def insert(self, **columns: object) -> None:
        """Add a row."""
        row = {**self._store.scope, **columns}
        sql = f"insert into {self.name} ({', '.join(row)}) values ({', '.join('?' * len(row))})"  # noqa: S608 - as said above
        self._store.write(sql, [*row.values()])

    def move(
        self, to: LedgerTable, adding: Mapping[str, object], condition: str = "true", values: Sequence[object] = ()
    ) -> int:
        """Move the rows that fit an SQL condition to another table; return how many there were.

        They keep their order and the columns that both tables have; there they get the values of ``adding`` as well.
        """
        scope = self._store.scope
        kept = [*scope, *(name for name in TABLES[self.name] if name in TABLES[to.name])]
        where = f"where {self._scope}({condition})"
        chosen = [*scope.values(), *values]
        self._store.write(
            f"insert into {to.name} ({', '.join([*adding, *kept])})"  # noqa: S608 - as said above
            f" select {', '.join([*('?' for _ in adding), *kept])} from {self.name} {where}"
            f" order by {ROW_ORDER[self.name]}",
            [*adding.values(), *chosen],
        )
        return self._store.write(f"delete from {self.name} {where}", chosen)  # noqa: S608 - as said above
