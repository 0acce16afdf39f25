"""Ask Stock2Shop's queue for orders, raise them, and answer with their codes.

How orders are asked for and answered is not public: ``[orders.pull]`` in project.toml configures it.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.errors import OrderError, RefusedError
from engine.orders import pipeline
from engine.orders.document import parse_document
from engine.orders.identity import is_derived, order_id_of
from engine.orders.pipeline import OrderProcessor
from engine.orders.settings import order_settings
from engine.stock2shop.client import open_api
from engine.stock2shop.exchange import Contents
from engine.stock2shop.local_user import local_user
from engine.stock2shop.personal_data import own_words

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.settings import Project, PullSettings
    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledger, Ledgers
    from engine.stock2shop.client import Stock2Shop
    from engine.stock2shop.user import User


OF_ORDERS = Contents(redact=own_words)
"""An answer about an order may repeat what it holds of a customer, which is not looked up for that."""


def pull_orders(project: Project, ledgers: Ledgers, *, stop: threading.Event, user: User | None = None) -> list[Entry]:
    """Ask Stock2Shop for orders, raise them, and answer those that are raised and not answered yet.

    Those that the queue still has are answered, too, whichever way they came by: who sent them may not have heard it.
    ``user`` has the token and the pace of the project's Stock2Shop user, this machine's where there is none. Orders
    from before that are due are raised too. Returns what became of each. Raises :class:`OrderError`, after all
    others are done, where a document of the queue cannot be read or an answer is refused, and :class:`ApiError` where
    Stock2Shop cannot be asked.
    """
    settings = order_settings(project)
    done: dict[int, Entry] = {}
    problems: list[str] = []
    user = user or local_user(project.stock2shop, project.state.parent)
    with (
        ledgers.opened(project) as ledger,
        open_api(project.stock2shop, stop=stop, user=user) as api,
        closing(OrderProcessor(project)) as processor,
    ):
        queue = settings.pull
        for item in _iterate_queue(api, queue):
            if stop.is_set():
                break
            document = next((item[name] for name in queue.document if item.get(name)), item)
            try:
                parsed = parse_document(json.dumps(document, default=str).encode())
            except OrderError as error:
                problems.append(error.message)
                continue
            if is_derived(order_id_of(parsed)):
                problems.append("The order has no id, so Stock2Shop could not be answered.")
                continue
            entry = processor.receive(ledger, parsed, via="pull")
            done[entry.order_id] = entry
        queued = tuple(done)
        for entry in ledger.list_due():
            if not stop.is_set():
                done[entry.order_id] = processor.raise_one(ledger, entry.order_id)
        for entry in _list_unanswered(ledger, queued):
            if stop.is_set():
                break
            pipeline.crash_point("before the answer")
            try:
                api.queue(queue.answer_path, encode_answer(project, entry), items=1, counted=False, contents=OF_ORDERS)
            except RefusedError as error:
                problems.append(error.message)
                continue
            ledger.mark_answered(entry.order_id, via="pull")
            done[entry.order_id] = ledger.get_entry(entry.order_id)
        ledger.prune(keep_days=settings.keep_days)
    if problems:
        raise OrderError(
            f"{len(problems)} of Stock2Shop's orders could not be read or answered; all others were. {problems[0]}",
            hint="Look into Stock2Shop's queue of orders: it comes again with every pull.",
        )
    return list(done.values())


def _list_unanswered(ledger: Ledger, queued: Sequence[int]) -> list[Entry]:
    """Return the raised orders to answer: pulled ones, and of those in the queue what was answered on no such way.

    Raises :class:`OriginChangedError` where somebody rebound the ledger meanwhile: these may be another account's.
    """
    pulled = ledger.list_entries("status = 'raised' and via = 'pull'")
    entries = [entry for order_id in queued for entry in ledger.list_entries("order_id = ?", order_id)]
    ledger.bind()
    return pulled + [entry for entry in entries if entry.status in {"raised", "answered"} and entry.via != "pull"]


def _iterate_queue(api: Stock2Shop, queue: PullSettings) -> Iterator[Mapping[str, Any]]:
    """Yield the orders of the queue, page by page: those that wait stay in it, and must not hide newer ones.

    Stops where a page holds nothing new: Stock2Shop may not know the parameter that asks for the next page.
    """
    seen: set[str] = set()
    while True:
        more = {queue.offset: str(len(seen))} if queue.offset and seen else {}
        page = api.queue_items(status=queue.status, instructions=queue.instructions, limit=queue.limit, more=more)
        new = {json.dumps(item, default=str, sort_keys=True): item for item in page}
        new = {text: item for text, item in new.items() if text not in seen}
        yield from new.values()
        seen.update(new)
        if not new or len(page) < queue.limit or not queue.offset:
            return


def answer_body(project: Project, entry: Entry) -> dict[str, Any]:
    """Return what Stock2Shop is answered for a raised order, in the shape of its public pages."""
    return {
        "source_id": project.stock2shop.source_id,
        "source_order_code": entry.source_order_code,
        "source_customer_code": entry.source_customer_code,
    }


def encode_answer(project: Project, entry: Entry) -> bytes:
    """Return the body of the request that answers a pulled order."""
    return json.dumps({"system_order": {"id": entry.order_id, "sources": [answer_body(project, entry)]}}).encode()
