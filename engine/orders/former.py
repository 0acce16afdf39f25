"""Orders of former accounts and databases: what a ledger knows besides the orders of the one that it belongs to.

Orders of another account, or raised in another database, are other orders, whatever their numbers. They are put aside
when the ledger comes to belong to another origin, and are there again when it comes back to theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import zoned_text
from engine.database.origin import Origin
from engine.orders.entry import ENTRY_COLUMNS, Entry, read_entry
from engine.orders.ledger_table import LedgerTable

if TYPE_CHECKING:
    from engine.orders.ledger_store import LedgerStore

_OF = "account = ? and database = ? and put_aside_at = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerOrder:
    """An order of a former account or database that was put aside; ``put_aside_at`` is when that was, in UTC."""

    entry: Entry
    origin: Origin
    put_aside_at: str

    @property
    def title(self) -> str:
        """What it is called beside the ledger's orders: ``order 1001 of https://…, source 57``."""
        return f"order {self.entry.order_id} of {self.origin.account}"

    def as_json(self) -> dict[str, Any]:
        """Return it as commands print it: the entry's fields, and whose order it is."""
        return {**self.entry.as_json(), **self.origin.as_json(), "put_aside_at": zoned_text(self.put_aside_at)}


class FormerOrders:
    """The orders of a ledger that are put aside. What changes them is called inside of a change of the ledger.

    ``origin`` is that of the ledger's own orders, None for one that is only looked at.
    """

    def __init__(self, store: LedgerStore, origin: Origin | None) -> None:
        self._origin = origin
        self._present = LedgerTable(store, "orders")
        self._orders = LedgerTable(store, "former_orders")
        self._transitions = LedgerTable(store, "former_transitions")
        self._moves = (
            (LedgerTable(store, "transitions"), self._transitions),
            (self._present, self._orders),
        )

    def put_aside(self, origin: Origin, *, at: str) -> int:
        """Put all orders of the ledger aside, which are those of ``origin``; return how many there were."""
        adding = {"account": origin.account, "database": origin.database, "put_aside_at": at}
        counts = [present.move(former, adding) for present, former in self._moves]
        return counts[-1]

    def bring_back(self, origin: Origin) -> int:
        """Have the orders of ``origin`` in the ledger again; return how many there were.

        One that the ledger has by now, because it was told that another account is the same, stays aside.
        """
        own = (origin.account, origin.database)
        periods = self._orders.select(
            "distinct put_aside_at", "account = ? and database = ?", own, "order by put_aside_at desc"
        )
        count = 0
        for (put_aside_at,) in periods:
            values = (*own, put_aside_at)
            known = {order_id for (order_id,) in self._present.select("order_id")}
            stays = [order_id for (order_id,) in self._orders.select("order_id", _OF, values) if order_id in known]
            condition = f"{_OF} and order_id not in ({', '.join(map(str, stays))})" if stays else _OF
            counts = [former.move(present, {}, condition, values) for present, former in self._moves]
            count += counts[-1]
        return count

    def list_newest(self, *, limit: int) -> list[FormerOrder]:
        """Return the ``limit`` newest orders, by when they were received."""
        return self._list("true", (), f"order by received_at desc, order_id desc limit {limit}")

    def find(self, order_id: int) -> list[FormerOrder]:
        """Return the orders with an id, the one that was put aside last first."""
        return self._list("order_id = ?", (order_id,), "order by put_aside_at desc")

    def find_with_code(self, code: str, *, besides: int) -> FormerOrder | None:
        """Return an order of another account that was raised as ``code`` in this database; None for none.

        The order ``besides`` of this account does not count: it was put aside itself where this account was taken for
        another one.
        """
        assert self._origin is not None
        found = self._list(
            "database = ? and not (account = ? and order_id = ?) and gone_at is null"
            " and (source_order_code = ? or expected_code = ?)",
            (self._origin.database, self._origin.account, besides, code, code),
            "limit 1",
        )
        return found[0] if found else None

    def was_raised_elsewhere(self, order_id: int, code: str) -> bool:
        """Return whether an order of this account was raised as ``code`` in another database."""
        assert self._origin is not None
        condition = "order_id = ? and account = ? and database <> ? and source_order_code = ?"
        values = (order_id, self._origin.account, self._origin.database, code)
        return bool(self._orders.select("1", condition, values, "limit 1"))

    def status_history(self, former: FormerOrder) -> list[tuple[str, str, str]]:
        """Return an order's past as (time in UTC, status, reason), the oldest first."""
        values = (former.origin.account, former.origin.database, former.put_aside_at, former.entry.order_id)
        return self._transitions.select("at, status, reason", f"{_OF} and order_id = ?", values, "order by rowid")

    def prune(self, *, before: str) -> None:
        """Delete the documents of orders that were finished, or else put aside, before a time."""
        self._orders.update(
            {"document": None, "latest": None},
            "document is not null and coalesce(finished_at, put_aside_at) < ?",
            before,
        )

    def _list(self, condition: str, values: tuple[object, ...], order: str) -> list[FormerOrder]:
        columns = f"account, database, put_aside_at, {ENTRY_COLUMNS}"
        return [
            FormerOrder(
                entry=read_entry(entry), origin=Origin(account=account, database=database), put_aside_at=put_aside_at
            )
            for account, database, put_aside_at, *entry in self._orders.select(columns, condition, values, order)
        ]
