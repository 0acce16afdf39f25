"""Ask ``lookup.sql`` whether raised orders are still in the database: after a restore, or a deletion, some are not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.database.open import open_writer
from engine.errors import UsageError
from engine.orders.document import read_order
from engine.orders.entry import FINISHED_STATUSES
from engine.orders.ledger import add_seconds
from engine.orders.raise_order import Attempt, look_up_order
from engine.orders.rules import RuleError
from engine.orders.settings import order_settings
from engine.orders.statements import statement_exists

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from engine.model.settings import Project
    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledger, Ledgers


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedOrder:
    """A raised order, and whether it is in the database: ``detail`` says it in words.

    ``unknown`` means that the lookup does not find it and did not have to: somebody else raised it there, and may have
    stored nothing that the lookup looks for.
    """

    entry: Entry
    state: Literal["there", "gone", "different", "unknown"]
    detail: str


def list_raised(ledgers: Ledgers, project: Project, *, days: int) -> list[Entry]:
    """Return the orders that were raised in the last ``days`` days."""
    with ledgers.opened(project) as ledger:
        since = add_seconds(ledger.now(), -86_400 * days)
        return ledger.list_entries("status in ('raised', 'answered') and raised_at >= ?", since)


def verify_orders(
    project: Project, ledgers: Ledgers, entries: Sequence[Entry], *, stop: threading.Event
) -> list[VerifiedOrder]:
    """Look each order up in the database, where nothing is written; the ledger notes which are gone.

    Raises :class:`UsageError` where the project has no ``lookup.sql``, and :class:`SourceError` where the database
    cannot be asked.
    """
    settings = order_settings(project)
    if not statement_exists(project.root / "orders" / "lookup.sql"):
        raise UsageError("There is no orders/lookup.sql to ask.", hint="Write it: `s2s help orders` says how.")
    verified = []
    with ledgers.opened(project) as ledger, open_writer(settings.source) as writer:
        for entry in entries:
            if stop.is_set():
                break
            # Of an order whose document was deleted only its id is known, which is what a lookup should look for.
            document = ledger.load_document(entry.order_id) or {"id": str(entry.order_id)}
            order = read_order(document, settings, source_id=project.stock2shop.source_id)
            attempt = Attempt(project=project, settings=settings, order=order)
            attempt.writer = writer
            verified.append(_verify(entry, attempt, own=_is_own(ledger, entry)))
            ledger.mark_gone(entry.order_id, gone=verified[-1].state == "gone")
    return verified


def _is_own(ledger: Ledger, entry: Entry) -> bool:
    """Return whether the engine raised an order, or found it; else somebody, or Stock2Shop, gave its code."""
    statuses = [status for _, status, _ in ledger.status_history(entry.order_id)]
    own = True
    for before, after in itertools.pairwise(statuses):
        if after == "raised" and before not in FINISHED_STATUSES:
            own = before == "raising"
    return own


def _verify(entry: Entry, attempt: Attempt, *, own: bool) -> VerifiedOrder:
    try:
        found = look_up_order(attempt)
    except RuleError as broken:
        return VerifiedOrder(entry=entry, state="different", detail=broken.reason)
    finally:
        attempt.writer.rollback()
    if found is None and not own:
        detail = "it was not raised by s2s, and lookup.sql does not find it"
        return VerifiedOrder(entry=entry, state="unknown", detail=detail)
    if found is None:
        return VerifiedOrder(entry=entry, state="gone", detail="lookup.sql does not find it")
    if found.source_order_code != entry.source_order_code:
        detail = f"lookup.sql finds it as {found.source_order_code}, not as {entry.source_order_code}"
        return VerifiedOrder(entry=entry, state="different", detail=detail)
    return VerifiedOrder(entry=entry, state="there", detail=f"lookup.sql finds it as {found.source_order_code}")
