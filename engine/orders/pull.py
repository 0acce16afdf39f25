"""pull."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.errors import OrderError, RefusedError
from engine.orders import document as inbox
from engine.orders.ledger import open_ledger
from engine.orders.pipeline import Raiser, at_boundary, settings_of
from engine.stock2shop.client import open_api

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from engine.model.settings import Project, PullSettings
    from engine.orders.ledger import Entry
    from engine.stock2shop.client import Stock2Shop


def pull_orders(project: Project, *, stop: threading.Event) -> list[Entry]:
    """Ask Stock2Shop for orders, raise them, and answer those that are raised and not answered yet.

    How orders are asked for and answered is not public: ``[orders.pull]`` configures it. Raises :class:`OrderError`,
    when all others are done, where a document of the queue cannot be read or its answer is refused.
    """
    settings = settings_of(project)
    done: dict[int, Entry] = {}
    wrong: list[str] = []
    with (
        open_api(project.stock2shop, stop=stop) as api,
        open_ledger(project) as ledger,
        closing(Raiser(project)) as raiser,
    ):
        wanted = settings.pull
        for item in _queued(api, wanted):
            if stop.is_set():
                break
            document = next((item[name] for name in wanted.document if item.get(name)), item)
            try:
                parsed = inbox.parse(json.dumps(document, default=str).encode())
            except OrderError as error:
                # The others are not to blame for it.
                wrong.append(error.message)
                continue
            entry = raiser.receive(ledger, parsed, via="pull")
            done[entry.order_id] = entry
        for entry in ledger.due():
            if not stop.is_set():
                done[entry.order_id] = raiser.raise_one(ledger, entry.order_id)
        for entry in ledger.entries("standing = 'raised' and via = 'pull'"):
            if stop.is_set():
                break
            at_boundary("before the answer")
            try:
                api.queue(wanted.answer_path, answer_document(project, entry), items=1)
            except RefusedError as error:
                wrong.append(error.message)
                continue
            ledger.answered(entry.order_id)
            done[entry.order_id] = ledger.entry(entry.order_id)
        ledger.prune(keep_days=settings.keep_days)
    if wrong:
        raise OrderError(
            f"{len(wrong)} of Stock2Shop's orders could not be read or answered; all others were. {wrong[0]}",
            hint="Look into Stock2Shop's queue of orders: such a one comes again with every pull.",
        )
    return list(done.values())


def _queued(api: Stock2Shop, wanted: PullSettings) -> Iterator[Mapping[str, Any]]:
    """The orders of the queue, page by page: those that wait stay in it, and must not hide newer ones.

    Where the parameter that asks for the next page means nothing to Stock2Shop, the same page comes again: the last.
    """
    seen: set[str] = set()
    while True:
        more = {wanted.offset: str(len(seen))} if wanted.offset and seen else {}
        page = api.queue_items(status=wanted.status, instructions=wanted.instructions, limit=wanted.limit, more=more)
        new = {json.dumps(item, default=str, sort_keys=True): item for item in page}
        new = {text: item for text, item in new.items() if text not in seen}
        yield from new.values()
        seen.update(new)
        if not new or len(page) < wanted.limit or not wanted.offset:
            return


def answer(project: Project, entry: Entry) -> dict[str, Any]:
    """What Stock2Shop hears of an order that was raised, as its public pages have it."""
    return {
        "source_id": project.stock2shop.source_id,
        "source_order_code": entry.source_order_code,
        "source_customer_code": entry.source_customer_code,
    }


def answer_document(project: Project, entry: Entry) -> bytes:
    """The body that answers a pulled order."""
    return json.dumps({"system_order": {"id": entry.order_id, "sources": [answer(project, entry)]}}).encode()
