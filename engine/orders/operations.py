"""What operators ask for with ``s2s orders``: import documents, retry orders, and skip one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.errors import OrderError, UsageError
from engine.files import is_dir, is_file, list_paths
from engine.orders.document import parse_document
from engine.orders.entry import NO_DOUBT
from engine.orders.pipeline import OrderProcessor
from engine.orders.rules import ONLY_BY_ID_RULES
from engine.orders.settings import order_settings
from engine.orders.verify import verify_orders

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.settings import Project
    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledger, Ledgers


def import_orders(
    project: Project, ledgers: Ledgers, path: Path, *, stop: threading.Event, hold: bool = False
) -> Iterator[tuple[Path, Entry | None, str]]:
    """Raise the orders in a JSON file, or in each ``*.json`` file of a folder.

    Yields, for each file, its path, the order's entry in the ledger (None where the file holds no order) and what is
    wrong with the file. The files stay where they are: the ledger knows an order that is imported again by its id.
    Earlier orders that are due are raised last, and are yielded with ``path`` itself. With ``hold`` nothing is raised:
    new orders wait until somebody retries them. Raises :class:`UsageError` where there is no file.
    """
    files = list_paths(path, "*.json") if is_dir(path) else [path]
    if not files or not all(map(is_file, files)):
        raise UsageError(f"There is no order in {path}.", hint="Name a JSON file, or a folder of them.")
    with ledgers.opened(project) as ledger, closing(OrderProcessor(project)) as processor:
        for file in files:
            if stop.is_set():
                return
            try:
                document = parse_document(file.read_bytes())
            except OrderError as error:
                yield file, None, error.message
                continue
            except OSError as error:
                yield file, None, f"The file cannot be read: {error.strerror}."
                continue
            take = processor.enqueue_for_review if hold else processor.receive
            yield file, take(ledger, document, via="import"), ""
        for entry in () if hold else ledger.list_due():
            if stop.is_set():
                return
            yield path, processor.raise_one(ledger, entry.order_id), ""
        ledger.prune(keep_days=processor.settings.keep_days)


def retry_orders(
    project: Project, ledgers: Ledgers, order_ids: tuple[int, ...], *, stop: threading.Event
) -> list[Entry]:
    """Raise the named orders, which wait or failed; where none is named, all of those and all that are due.

    Without ids, orders that may be in the database already, and cancelled ones, are left as they are. Returns what
    became of each order. Raises :class:`UsageError` for an id that is not known, and for an order whose document was
    deleted.
    """
    with ledgers.opened(project) as ledger, closing(OrderProcessor(project)) as processor:
        entries = [ledger.get_entry(each) for each in order_ids] or ledger.list_entries(
            "status in ('waiting', 'failed')"
        )
        done = [] if order_ids else [processor.raise_one(ledger, entry.order_id) for entry in ledger.list_due()]
        entries = [entry for entry in entries if entry.order_id not in {each.order_id for each in done}]
        for entry in entries:
            if stop.is_set():
                break
            if not order_ids and (entry.uncertain or entry.rule in ONLY_BY_ID_RULES):
                done.append(entry)
                continue
            # A pending order is raised anyway, as soon as nobody else holds the lock. Without ids, one that another
            # process has raised meanwhile is left as it is.
            current = ledger.get_entry(entry.order_id)
            if not order_ids and current.status != entry.status:
                done.append(current)
                continue
            if entry.status not in {"received", "raising"}:
                # Whoever retries an uncertain order has looked for it in the database.
                looked = entry.rule == "uncertain"
                _require_document(ledger, entry.order_id, keep_days=processor.settings.keep_days)
                doubt: dict[str, Any] = {"uncertain": 0, "expected_code": None, "commit_sent_at": None}
                ledger.move(entry.order_id, "received", reason="retried by hand", **(doubt if looked else {}))
            done.append(processor.raise_one(ledger, entry.order_id))
        return done


def raise_on_purpose(project: Project, ledgers: Ledgers, order_id: int, *, by: str, stop: threading.Event) -> Entry:
    """Raise an order because ``by`` wants it: one that was cancelled, or that is gone from the database.

    Returns what became of it. Raises :class:`UsageError` for an id that is not known, a blank name, an order whose
    document was deleted, and one that is in the database.
    """
    if not (by.strip() and by.isprintable()):
        raise UsageError("It must be known who wants that.", hint="Give a name: --by NAME.")
    with ledgers.opened(project) as ledger, closing(OrderProcessor(project)) as processor:
        entry = ledger.get_entry(order_id)
        _require_document(ledger, order_id, keep_days=processor.settings.keep_days)
        if entry.status in {"raised", "answered"}:
            (found,) = verify_orders(project, ledgers, [entry], stop=stop)
            if found.state != "gone":
                raise UsageError(f"Order {order_id} is not gone from the database: {found.detail}.")
        ledger.reopen(order_id, by=by.strip())
        return processor.raise_one(ledger, order_id)


def _require_document(ledger: Ledger, order_id: int, *, keep_days: int) -> None:
    """Raise :class:`UsageError` where the document of an order, without which it cannot be raised, was deleted."""
    if ledger.load_raw_document(order_id) is None:
        raise UsageError(
            f"The document of order {order_id} was deleted: it was finished, or put aside, more than {keep_days}"
            " days ago.",
            hint="Send it again from Stock2Shop, or enter it by hand.",
        )


def skip_order(project: Project, ledgers: Ledgers, order_id: int, *, code: str | None = None) -> Entry:
    """Mark an order as skipped, or with ``code`` as raised by hand under that code; return its entry.

    Raises :class:`UsageError` for an id that is not known, an unusable code, and an order whose status forbids it.
    """
    order_settings(project)
    if code is not None and not (code.strip() and code.isprintable()):
        raise UsageError("An order cannot have a blank code.", hint="Give the code that it has in the database.")
    with ledgers.opened(project) as ledger:
        if code is None:
            # Its code may be given to another order by now; that it may be there itself stays known.
            ledger.move(order_id, "skipped", reason="skipped by hand", expected_code=None)
        else:
            facts = {"source_order_code": code.strip(), "raised_at": ledger.now()}
            ledger.move(order_id, "raised", reason="raised by hand", **{**NO_DOUBT, **facts})
        return ledger.get_entry(order_id)
