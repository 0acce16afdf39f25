"""Orders of former accounts and databases: what a ledger knows besides the orders of the one that it belongs to.

Orders of another account, or raised in another database, are other orders, whatever their numbers. They are put aside
when the ledger comes to belong to another origin, and are there again when it comes back to theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.clock import zoned_text
from engine.database.origin import Origin
from engine.orders.entry import ENTRY_COLUMNS, Entry, read_entry
from engine.orders.ledger_table import LedgerTable

if TYPE_CHECKING:
    from engine.orders.ledger_store import LedgerStore

_Period = tuple[str, str, str]
"""An account, a database, and when its orders were put aside."""

_OF = "account = ? and database = ? and put_aside_at = ?"

HAS_NUMBER = (
    "cast(order_id as text) = ? or source_order_code = ? or expected_code = ?"
    " or substr(ltrim(channel_key, '0123456789'), 2) = ?"
)
"""SQL that is true of orders that go by a number, four times bound: Stock2Shop's, the channel's, or the database's."""

_DEPTH = (
    "case when status in ('raised', 'answered') then 3 when status in ('raising', 'skipped') or uncertain = 1 then 2"
    " when rolled_back = 1 then 1 else 0 end"
)
"""How near to the database an order is: raised; maybe, or left to a person; maybe in part, as it was undone; not."""


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

    def bring_back(self, origin: Origin, *, at: str) -> int:
        """Have the orders of ``origin`` in the ledger again; return how many there were.

        One that the ledger has by now as well, because it was told that another account is the same, is one order that
        is known twice. What is nearer to the database counts: one that was raised is never pending again. The newest
        of equals does; the others stay aside, or are put aside, ``at`` now.
        """
        present: dict[int, int] = dict(self._present.select(f"order_id, {_DEPTH}"))
        counting: dict[int, tuple[int, _Period | None]] = {each: (depth, None) for each, depth in present.items()}
        periods: dict[_Period, list[int]] = {}
        databases = self._databases_named(origin)
        condition = f"account = ? and database in ({', '.join('?' * len(databases))})"
        values = (origin.account, *databases)
        columns = f"order_id, {_DEPTH}, account, database, put_aside_at"
        for order_id, depth, *of in self._orders.select(columns, condition, values, "order by put_aside_at desc"):
            period = (of[0], of[1], of[2])
            periods.setdefault(period, []).append(order_id)
            if order_id not in counting or depth > counting[order_id][0]:
                counting[order_id] = (depth, period)
        for order_id in present:
            better = counting[order_id][1]
            if better is not None:
                self._replace(order_id, better, origin, at=at)
        count = 0
        for period, order_ids in periods.items():
            stays = [order_id for order_id in order_ids if counting[order_id][1] != period]
            condition = f"{_OF} and order_id not in ({', '.join(map(str, stays))})" if stays else _OF
            counts = [former.move(present, {}, condition, period) for present, former in self._moves]
            count += counts[-1]
        return count

    def _replace(self, order_id: int, period: _Period, origin: Origin, *, at: str) -> None:
        """Put a present order aside for a former one of the same id, which keeps its newest content beside its own."""
        (newest,) = self._present.select("coalesce(latest, document)", "order_id = ?", [order_id])
        adding = {"account": origin.account, "database": origin.database, "put_aside_at": at}
        for present, former in self._moves:
            present.move(former, adding, "order_id = ?", [order_id])
        condition = f"{_OF} and order_id = ? and document <> ?"
        self._orders.update({"latest": newest[0]}, condition, *period, order_id, newest[0])

    def rename(self, before: Origin, now: Origin) -> None:
        """Have all that is put aside of an account or a database be of the one that was said to be the same."""
        databases = self._databases_named(replace(before, dialect=now.dialect))
        for table in (self._orders, self._transitions):
            table.update({"account": now.account}, "account = ?", before.account)
            for database in databases:
                table.update({"database": now.database}, "database = ?", database)

    def _databases_named(self, origin: Origin) -> list[str]:
        """The database of an origin, in each way in which it is written here."""
        written = {database for (database,) in self._orders.select("distinct database")}
        return [origin.database, *sorted(each for each in written - {origin.database} if origin.names(each))]

    def list_newest(self, *, limit: int) -> list[FormerOrder]:
        """Return the ``limit`` newest orders, by when they were received."""
        return self._list("true", (), f"order by received_at desc, order_id desc limit {limit}")

    def find(self, order_id: int) -> list[FormerOrder]:
        """Return the orders with an id, the one that was put aside last first."""
        return self._list("order_id = ?", (order_id,), "order by put_aside_at desc")

    def find_by_number(self, number: str) -> list[FormerOrder]:
        """Return the orders with a number, as :meth:`.Ledger.find_entries` does, the one put aside last first."""
        return self._list(HAS_NUMBER, (number,) * 4, "order by put_aside_at desc")

    def whereabouts(self, project: str, number: int | str) -> str:
        """Say where an order with a number is, for somebody who misses it; blank where none was put aside."""
        found = self.find_by_number(str(number))
        if not found:
            return ""
        return (
            f"One of another account or database was put aside: `s2s orders former {project}"
            f" {found[0].entry.order_id}`. It is there again once project.toml names these, and somebody calls"
            f" `s2s rebind {project}`."
        )

    def find_with_code(self, code: str, *, besides: int) -> FormerOrder | None:
        """Return an order of another account that was raised as ``code`` in this database; None for none.

        The order ``besides`` of this account does not count: it was put aside itself where this account was taken for
        another one.
        """
        origin = self._origin
        assert origin is not None
        found = self._list(
            "(source_order_code = ? or expected_code = ?) and gone_at is null and not (account = ? and order_id = ?)",
            (code, code, origin.account, besides),
            "order by put_aside_at desc",
        )
        return next((each for each in found if origin.names(each.origin.database)), None)

    def was_raised_elsewhere(self, order_id: int, code: str, *, unless: str) -> bool:
        """Return whether an order of this account was raised as ``code`` in another database.

        One whose reason is ``unless`` was not: Stock2Shop knew the code before, wherever the order is.
        """
        origin = self._origin
        assert origin is not None
        condition = "order_id = ? and source_order_code = ? and account = ? and reason <> ?"
        found = self._orders.select("database", condition, (order_id, code, origin.account, unless))
        return any(not origin.names(database) for (database,) in found)

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
