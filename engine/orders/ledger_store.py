"""What a ledger needs of the place where its rows are kept.

One machine keeps each project's ledger in a file, see :mod:`engine.orders.ledger_file`; several machines keep all of
them in one database. Both have the tables of :data:`TABLES`, and are asked in SQL that both understand, with ``?`` for
each value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

_ORDERS = (
    *("order_id", "status", "via", "document", "rule", "reason", "uncertain", "attempts", "next_attempt_at"),
    *("source_order_code", "source_customer_code", "received_at", "raised_at", "answered_at", "note"),
    *("expected_code", "commit_sent_at", "rolled_back", "approved_by", "latest", "finished_at", "gone_at"),
    "channel_key",
)

_TRANSITIONS = ("order_id", "at", "status", "reason")

_FORMER = ("account", "database", "put_aside_at")

TABLES: Mapping[str, tuple[str, ...]] = {
    "orders": _ORDERS,
    "transitions": _TRANSITIONS,
    "maintenance": ("task", "done_at"),
    "order_origin": ("account", "database"),
    "former_orders": (*_FORMER, *_ORDERS),
    "former_transitions": (*_FORMER, *_TRANSITIONS),
}
"""A ledger's tables and their columns: the orders, each status that they had, when old documents were deleted, whose
orders they are, and the same of orders that were put aside."""

ROW_ORDER: Mapping[str, str] = {
    "orders": "order_id",
    "transitions": "rowid",
    "maintenance": "task",
    "order_origin": "account",
    "former_orders": "put_aside_at, order_id",
    "former_transitions": "rowid",
}
"""By what the rows of each table are in order."""


class LedgerStore(Protocol):
    """The rows of one project's ledger, for one thread."""

    @property
    def scope(self) -> Mapping[str, object]:
        """The columns that tell this project's rows from others', with their values; none where a ledger is alone."""

    @property
    def holders_may_return(self) -> bool:
        """Whether a process that lost its turn to raise orders may still be alive, and wake up later.

        It can write nothing here any more, but a commit that it was about to send may still arrive in the database.
        """

    def now(self) -> str:
        """The time in UTC, by the clock that counts for all who use the ledger."""

    def read(self, sql: str, values: Sequence[object]) -> list[Any]:
        """Give the rows of a query."""

    def write(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement inside of :meth:`change`; gives how many rows it changed."""

    def change(self) -> AbstractContextManager[None]:
        """Have the block be one transaction, which is kept when it ends, or undone; no other change is made meanwhile.

        Raises what the store raises where it cannot be used, also where the turn to raise orders was lost meanwhile.
        """

    def raising(self) -> AbstractContextManager[None]:
        """Have the turn to raise orders of the project, which one thread of one process has at a time.

        Raises :class:`StateLockedError` where others have it for minutes.
        """

    def close(self) -> None:
        """Give back what the store needs."""
