"""Send the delta to Stock2Shop batch by batch, and record each answer before the next batch is sent.

In: a comparison whose delta is in ``run.outgoing``. Out: how many rows were acknowledged and refused, and why sending
stopped early, if it did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import CancelledError, DeadlineError, ServerError
from engine.mapping.engine_sql import render_sql
from engine.stock2shop.delivery import Sender
from engine.sync.clearing import find_unclearable
from engine.sync.documents import Documents
from engine.sync.extract import cancelled
from engine.sync.journal import Receipt, mark_in_flight, record_receipt, record_refusal, withdraw_in_flight
from engine.sync.layout import Window, documents_end, window_end
from engine.sync.stage import load_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from engine.state.store import State
    from engine.stock2shop.api import Api
    from engine.stock2shop.delivery import Delivery
    from engine.sync.compare import Comparison
    from engine.sync.context import RunContext
    from engine.sync.layout import StagingLayout

MAX_RUNS_ALONE = 5
"""In so many runs one after the other Stock2Shop answered 500 for a row alone, with nothing else to send: the row is
refused then, so that it does not fail every run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """How many rows were acknowledged and refused; ``message`` says why sending stopped early, blank if it did not."""

    sent: int
    refused: int
    message: str = ""


def send_delta(context: RunContext, comparison: Comparison, api: Api, *, run_id: int) -> Dispatched:
    """Send the delta, removals first.

    1. Load the whole rows of the next window, where the batch is not in the one that is loaded, and make the documents
       of the next batches, where its own are not made yet.
    2. Remember the rows of the batch, durably, as in doubt before they are sent; also where other machines look. Where
       the deadline or a stop comes while it waits for its turn, take that back.
    3. Send the batch, and record every receipt and refusal as it arrives.

    Raises :class:`DeadlineError` when the deadline comes before anything is sent, :class:`CancelledError` when the run
    is cancelled, and what :meth:`~engine.stock2shop.delivery.Sender.send` raises.
    """
    state, layout, entity = context.state, comparison.staged.layout, comparison.entity

    documents = Documents(
        layout=layout,
        source_id=context.project.stock2shop.source_id,
        sync_token=context.sync_token,
        prices=comparison.settings.prices,
    )
    personal = [field.name for field in layout.fields if field.personal]

    def published_values(rows: Sequence[Mapping[str, Any]]) -> Iterable[object]:
        resolved = {column: layout.entity.resolve(column) for column in state.columns(layout.published)}
        columns = [column for column, field in resolved.items() if field is not None and field.personal]
        sql = render_sql("personal_values.sql", published=layout.published, columns=columns)
        return (value for values in state.rows(sql, [[row["_key"] for row in rows]]) for value in values)

    sender = Sender(
        api,
        comparison.settings.path,
        document=lambda rows: documents.body(row["item"] for row in rows),
        personal=personal,
        known_values=published_values,
        blamable=[digest for digest, runs in _runs_alone(state, entity).items() if runs >= MAX_RUNS_ALONE - 1],
    )
    try:
        dispatched = _send_batches(context, comparison, sender, documents, api, run_id=run_id)
    except ServerError:
        _count_runs_alone(state, entity, sender.alone_with_500)
        raise
    _count_runs_alone(state, entity, [])
    return dispatched


def _send_batches(
    context: RunContext, comparison: Comparison, sender: Sender, documents: Documents, api: Api, *, run_id: int
) -> Dispatched:
    state, layout, ends = context.state, comparison.staged.layout, comparison.batch_ends
    sent = refused = position = loaded = made = 0
    prepared: list[dict[str, Any]] = []
    total = ends[-1] if ends else 0
    unclearable = find_unclearable(layout, comparison.settings)
    state.set_merging(merges=False)  # of the journal, which is folded and emptied at the end
    for number, end in enumerate(ends):
        if context.cancel.is_set():
            raise cancelled()
        if context.deadline.has_come:
            return _late(sent, refused, total)
        if end > loaded:
            loaded = window_end(ends, comparison.batch_bytes, number)
            load_window(state, layout, Window(position, loaded), unclearable=unclearable)
        if end > made:
            made = min(loaded, documents_end(ends, comparison.batch_bytes, number))
            prepared = documents.rows(state, Window(position, made))
        batch, requests = Window(position, end), api.requests_made
        rows, prepared = prepared[: end - position], prepared[end - position :]
        mark_in_flight(state, entity=comparison.entity, window=batch)
        if context.replica is not None:
            context.replica.secure(state)
        try:
            for delivery in sender.send(rows, read_values=partial(_whole_rows, state, layout, batch)):
                if _record(context, comparison, delivery, run_id=run_id):
                    sent += len(delivery.rows)
                    context.progress("sending", sent, total)
                else:
                    refused += 1
        except (DeadlineError, CancelledError) as error:
            if api.requests_made == requests:
                withdraw_in_flight(state, entity=comparison.entity, window=batch)
            if isinstance(error, CancelledError):
                raise
            return _late(sent, refused, total)
        position = end
    for delivery in sender.finish():
        _record(context, comparison, delivery, run_id=run_id)
        refused += 1
    message = ""
    if sender.rows_left:
        message = (
            f"Stock2Shop refuses too many rows to find them all in one run: {refused:,} were found and quarantined,"
            f" and {sender.rows_left:,} rows of refused batches wait for the next run."
        )
    return Dispatched(sent=sent, refused=refused, message=message)


def _whole_rows(state: State, layout: StagingLayout, batch: Window) -> list[dict[str, Any]]:
    return state.dicts(render_sql("batch.sql", fields=layout.fields), batch.bounds)


def _runs_alone(state: State, entity: str) -> dict[str, int]:
    """In how many runs Stock2Shop answered 500 for a row alone, by the digest of the request's body."""
    counts: dict[str, int] = json.loads(state.meta(f"alone:{entity}") or "{}")
    return counts


def _count_runs_alone(state: State, entity: str, digests: Iterable[str]) -> None:
    """Count this run for ``digests``, and forget those of earlier runs that are not among them."""
    known = _runs_alone(state, entity)
    counts = {digest: known.get(digest, 0) + 1 for digest in digests}
    if counts != known:
        state.set_meta(f"alone:{entity}", json.dumps(counts))


def _record(context: RunContext, comparison: Comparison, delivery: Delivery, *, run_id: int) -> bool:
    """Record what became of some rows; gives whether Stock2Shop acknowledged them."""
    if delivery.receipt is None:
        (row,) = delivery.rows
        record_refusal(
            context.state,
            entity=comparison.entity,
            position=row["position"],
            reason=delivery.reason,
            taken=delivery.may_be_stored,
        )
        return False
    record_receipt(
        context.state,
        comparison.staged.layout,
        Window(delivery.rows[0]["position"] - 1, delivery.rows[-1]["position"]),
        kinds={row["kind"] for row in delivery.rows},
        # What is in doubt about a variant that was removed in this run went over to another one.
        ends_doubt=comparison.staged.in_doubt or any(row["is_doubted"] for row in delivery.rows),
        receipt=Receipt(run_id=run_id, delivery_key=context.delivery_key, status=delivery.receipt.status),
    )
    return True


def _late(sent: int, refused: int, total: int) -> Dispatched:
    """What became of ``total`` changes when the deadline came. Raises :class:`DeadlineError` where nothing did."""
    message = f"The deadline came with {total - sent - refused:,} changes left; the next run sends them."
    if not (sent or refused):
        raise DeadlineError(message)
    return Dispatched(sent=sent, refused=refused, message=message)
