"""Put a plan together: the delta in the working set as people and machines read it.

In: a comparison, the limits that it exceeds, and notes. Out: a :class:`~engine.model.plan.Plan` with its digest.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.model.plan import Change, GuardViolation, Plan
from engine.stock2shop.client import OPENING_REQUESTS
from engine.sync.validate import count_by_rule, problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.state.store import State
    from engine.sync.compare import Comparison
    from engine.sync.context import RunContext

MAX_SAMPLE_CHANGES = 20
"""How many changes a plan lists, unless everything is asked for."""

MAX_SAMPLE_PROBLEMS = 5
"""How many violations and warnings of each rule it lists."""


def build_plan(
    context: RunContext,
    comparison: Comparison,
    *,
    violations: Sequence[GuardViolation],
    notes: Sequence[str],
    failed_tests: Sequence[str] = (),
) -> Plan:
    """The delta in the working set, as a :class:`Plan`; with samples, unless the options ask for everything.

    ``failed_tests`` name the data tests that stop it. Personal data is masked, unless the options ask to reveal it.
    """
    requests = OPENING_REQUESTS + len(comparison.batch_ends)
    pace = context.project.stock2shop.pace
    # Limits on changes and removals look at the delta itself; these look at all rows.
    beside = [*failed_tests, *(f"{one.guard} {one.found}" for one in violations if one.guard == "min_rows")]
    plan = Plan(
        project=context.project.name,
        entity=comparison.entity,
        counts=comparison.counts,
        violations=tuple(violations),
        notes=tuple(notes),
        digest=_digest_of(0, 0, beside),
        batches=len(comparison.batch_ends),
        requests=requests,
        seconds=math.ceil((requests - 1) / pace) if pace else 0,
    )
    return plan if comparison.staged.unchanged else _add_rows(plan, context, beside)


def _add_rows(plan: Plan, context: RunContext, beside: Sequence[str]) -> Plan:
    """The plan with what is in the working set: the changes and problems that it lists, and its digest."""
    state, options, entity = context.state, context.options, plan.entity
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
    return replace(
        plan,
        changes=changes,
        columns=dict(
            state.rows("select column_name, count(*) from run.difference group by column_name order by 2 desc, 1")
        ),
        quarantine=problems(state, entity, "violation", limit=each, reveal=options.reveal),
        quarantine_rules=count_by_rule(state, "violation"),
        warnings=problems(state, entity, "warning", limit=each, reveal=options.reveal),
        warning_rules=count_by_rule(state, "warning"),
        digest=compute_digest(state, beside),
    )


def compute_digest(state: State, beside: Sequence[str] = ()) -> str:
    """Twelve hexadecimal digits that stand for exactly this delta, and for what stops it ``beside`` what it changes."""
    count, mixed = state.row(
        "select count(*), coalesce(bit_xor(hash(_key, _group, kind, _fingerprint)), 0) from run.outgoing"
    )
    return _digest_of(count, mixed, beside)


def _digest_of(count: int, mixed: int, beside: Sequence[str]) -> str:
    """The digest of ``count`` changes whose hashes come to ``mixed`` by exclusive or."""
    if beside:
        mixed ^= int.from_bytes(hashlib.sha256("\n".join(beside).encode()).digest()[:8], "big")
    return f"{mixed ^ (count * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF):016x}"[:12]
