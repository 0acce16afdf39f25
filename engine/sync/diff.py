"""Compare staged rows with published ones: the delta, as rows and as a plan.

Removals are counted by cause. A variant that moves to another product, or whose product turns from simple to
variable, is removed and created again, as Stock2Shop's help pages ask; nothing is lost by that, so the guard on
deletes does not count it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.model.plan import Change, Counts, GuardViolation, Plan
from engine.stock2shop.client import LOGIN_REQUESTS
from engine.sync.stage import windows
from engine.sync.validate import count_by_rule, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.compare import Comparison
    from engine.sync.context import RunContext
    from engine.sync.layout import Staged, Window

MAX_SAMPLE_CHANGES = 20
"""How many changes a plan lists, unless everything is asked for."""

MAX_SAMPLE_PROBLEMS = 5
"""How many violations and warnings of each rule it lists."""


def compute_delta(state: State, staged: Staged, *, settings: EntitySettings, delivery_key: str) -> Counts:
    """Fill ``run.verdict``, ``run.missing`` and ``run.outgoing``, the delta; count what became of every row.

    A row that was acknowledged under another ``delivery_key`` is sent again, see :meth:`EntitySettings.delivery_key`.
    """
    layout = staged.layout
    current = state.meta(f"definition:{layout.entity.name}") == layout.definition
    fingerprint = "_fingerprint" if current else layout.fingerprint
    state.run_with_retry(
        render_sql("base.sql", published=layout.published, incremental=staged.incremental, fingerprint=fingerprint)
    )
    # The same text for all views of an entity, whatever they map.
    state.run_with_retry(
        render_sql(
            "diff.sql",
            **layout.tables,
            entity=layout.entity.name,
            missing=settings.missing,
            delivery_key=delivery_key,
            in_doubt=staged.in_doubt,
        )
    )
    (counted,) = state.dicts(
        render_sql("counts.sql", published=layout.published, entity=layout.entity.name, in_doubt=staged.in_doubt)
    )
    return Counts(source=staged.rows, **counted)


def diff_columns(state: State, staged: Staged, parts: Iterable[Window] | None = None) -> None:
    """Fill ``run.difference``, which :func:`compute_delta` left empty, for the whole delta or for ``parts`` of it."""
    layout = staged.layout
    for part in windows(state, staged) if parts is None else parts:
        state.run_with_retry(
            render_sql("difference.sql", published=layout.published, fields=layout.fields, **part.bounds)
        )


def build_plan(
    context: RunContext, comparison: Comparison, *, violations: Sequence[GuardViolation], notes: Sequence[str]
) -> Plan:
    """The delta in the working set, as a :class:`Plan`; with samples, unless the options ask for everything.

    Personal data is masked, unless the options ask to reveal it.
    """
    state, options, entity = context.state, context.options, comparison.entity
    limit, each = (None, None) if options.everything else (MAX_SAMPLE_CHANGES, MAX_SAMPLE_PROBLEMS)
    shown = unmasked if options.reveal else masked
    changes = tuple(
        Change(
            key=key,
            group=group,
            kind=kind,
            cause=cause,
            columns=tuple(
                (name, shown(entity, name, old), shown(entity, name, new))
                for name, old, new in json.loads(columns or "[]")
            ),
        )
        for key, group, kind, cause, columns in state.rows(render_sql("changes.sql", limit=limit))
    )
    pace = context.project.stock2shop.pace
    requests = LOGIN_REQUESTS + len(comparison.batch_ends)
    return Plan(
        project=context.project.name,
        entity=entity,
        counts=comparison.counts,
        changes=changes,
        columns=dict(
            state.rows("select column_name, count(*) from run.difference group by column_name order by 2 desc, 1")
        ),
        quarantine=problems(state, entity, "violation", limit=each, reveal=options.reveal),
        quarantine_rules=count_by_rule(state, "violation"),
        warnings=problems(state, entity, "warning", limit=each, reveal=options.reveal),
        warning_rules=count_by_rule(state, "warning"),
        violations=tuple(violations),
        notes=tuple(notes),
        digest=compute_digest(state),
        batches=len(comparison.batch_ends),
        requests=requests,
        seconds=math.ceil((requests - 1) / pace) if pace else 0,
    )


def compute_digest(state: State) -> str:
    """Twelve hexadecimal digits that stand for exactly this delta."""
    count, mixed = state.row(
        "select count(*), coalesce(bit_xor(hash(_key, _group, kind, _fingerprint)), 0) from run.outgoing"
    )
    return f"{mixed ^ (count * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF):016x}"[:12]
