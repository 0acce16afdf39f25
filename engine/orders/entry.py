"""What the order ledger knows of one order: its status, those that may follow it, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.clock import zoned_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OrderStatus = Literal["received", "raising", "waiting", "failed", "raised", "answered", "skipped"]

TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    "received": frozenset({"raising", "waiting", "raised", "skipped"}),
    "raising": frozenset({"raised", "waiting", "failed"}),
    "waiting": frozenset({"received", "raised", "skipped"}),
    "failed": frozenset({"raising", "received", "raised", "waiting", "skipped"}),
    "raised": frozenset({"answered"}),
    "answered": frozenset(),
    "skipped": frozenset({"received"}),
}
"""The statuses that may follow each status; ``docs/orders.md`` draws them. :meth:`.Ledger.reopen` is the exception."""

FINISHED_STATUSES: frozenset[OrderStatus] = frozenset({"raised", "answered", "skipped"})
"""The statuses of orders of which nothing more is to be raised."""

PENDING_STATUSES: frozenset[OrderStatus] = frozenset({"received", "raising", "failed"})
"""The statuses of orders that are raised without anybody asking for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order of the ledger. Times are UTC, as text such as ``2026-01-31 10:20:30.000``.

    ``via`` is how it arrived, and on which way it was answered last: serve, pull or import. ``rule`` names the rule
    that a waiting order breaks, and ``reason`` says it in words. ``uncertain`` means that the order may be in the
    client's database already: its commit was sent at ``commit_sent_at``, under ``expected_code``, and never confirmed.
    ``rolled_back`` means that statements were run for it and undone. ``approved_by`` is who had it raised although it
    was cancelled, or raised before. ``attempts`` counts failed attempts to raise it, and ``next_attempt_at`` is when it
    is due again. ``note`` is what an operator should know besides, such as that the order arrived again with other
    content.
    """

    order_id: int
    status: OrderStatus
    via: str
    rule: str
    reason: str
    uncertain: bool
    attempts: int
    next_attempt_at: str | None
    source_order_code: str | None
    source_customer_code: str | None
    received_at: str
    raised_at: str | None
    answered_at: str | None
    note: str
    expected_code: str | None
    commit_sent_at: str | None
    rolled_back: bool
    approved_by: str
    gone_at: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry as commands print it: its fields, times with their zone."""
        return {name: zoned_text(value) if name.endswith("_at") else value for name, value in asdict(self).items()}


NO_DOUBT: Mapping[str, Any] = {"uncertain": 0, "expected_code": None, "commit_sent_at": None, "rolled_back": 0}
"""The columns about earlier attempts, of an order of which nothing is in doubt."""

ENTRY_COLUMNS = ", ".join(Entry.__dataclass_fields__)


def read_entry(row: Sequence[Any]) -> Entry:
    """Make an entry of its row, which has :data:`ENTRY_COLUMNS`."""
    columns: dict[str, Any] = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    return Entry(**{**columns, "uncertain": bool(columns["uncertain"]), "rolled_back": bool(columns["rolled_back"])})
