"""dispatch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.errors import DeadlineError
from engine.mapping.engine_sql import render_sql
from engine.stock2shop import documents as payload
from engine.stock2shop.delivery import deliver
from engine.sync import journal as acknowledge
from engine.sync.extract import cancelled
from engine.sync.stage import load_window

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from engine.model.settings import Project
    from engine.state.store import State
    from engine.stock2shop.api import Api
    from engine.sync.compare import Comparison


def send_delta(
    state: State,
    project: Project,
    work: Comparison,
    api: Api,
    *,
    run_id: int,
    sync_token: str,
    until: float | None,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None],
) -> tuple[int, int, str]:
    """Send the delta batch by batch; gives the rows acknowledged, the rows refused, and why it stopped early."""
    layout = work.staged.layout
    sent = refused = position = sliced = 0
    total = work.cuts[-1] if work.cuts else 0

    def document(rows: Iterable[object]) -> bytes:
        return payload.document(
            work.entity,
            rows,  # type: ignore[arg-type]  # the rows are those that this function asked for below
            fields=layout.fields,
            source_id=project.stock2shop.source_id,
            sync_token=sync_token,
            default_price_tier=work.settings.default_price_tier,
        )

    for cut in work.cuts:
        if stop.is_set():
            raise cancelled()
        if until is not None and time.monotonic() >= until:
            return sent, refused, _late(total - sent - refused)
        if cut > sliced:
            sliced = max(end for end in work.cuts if end <= max(cut, position + work.staged.in_hand))
            load_window(state, layout, after=position, upto=sliced)
        rows = state.dicts(
            render_sql("batch.sql", fields=layout.fields, shared=layout.shared, after=position, upto=cut)
        )
        acknowledge.mark_in_flight(state, entity=work.entity, after=position, upto=cut)
        try:
            for delivery in deliver(
                api,
                work.settings.path,
                rows,
                document=document,
                accepted_before=sent > 0,
                personal=[field.name for field in layout.fields if field.personal],
            ):
                if delivery.receipt is None:
                    (row,) = delivery.rows
                    acknowledge.record_refusal(
                        state,
                        entity=work.entity,
                        key=row["_key"],
                        kind=row["kind"],
                        reason=delivery.reason,
                        taken=delivery.taken,
                    )
                    refused += 1
                    continue
                acknowledge.record_receipt(
                    state,
                    layout,
                    after=delivery.rows[0]["position"] - 1,
                    upto=delivery.rows[-1]["position"],
                    kinds={row["kind"] for row in delivery.rows},
                    run_id=run_id,
                    stamp=work.settings.stamp(sync_token),
                    status=delivery.receipt.status,
                )
                sent += len(delivery.rows)
                progress("sending", sent, total)
        except DeadlineError:
            return sent, refused, _late(total - sent - refused)
        position = cut
    return sent, refused, ""


def _late(left: int) -> str:
    return f"The deadline came with {left:,} changes left; the next run sends them."
