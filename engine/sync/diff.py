"""Staged against published: the delta; the guard.

Removals are counted by cause. A variant that moves to another product, or whose product turns from simple to
variable, is removed and created anew, as Stock2Shop's help pages ask; that is no loss, so the guard on deletes
does not count it.
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
from engine.sync.validate import by_rule, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.settings import EntitySettings, Project
    from engine.state.store import State
    from engine.sync.layout import Staged

MAX_SAMPLE_CHANGES = 20
"""How many changes a plan shows unless all are asked for."""

MAX_SAMPLE_PROBLEMS = 5
"""How many violations and warnings of each rule it shows."""


def compare(state: State, staged: Staged, *, settings: EntitySettings, stamp: str) -> Counts:
    """Fill ``run.verdict``, ``run.gone`` and ``run.outgoing``, the delta; count where every row went.

    ``stamp`` is what a row must have been acknowledged under, see :meth:`EntitySettings.stamp`.
    """
    layout = staged.layout
    current = state.meta(f"definition:{layout.entity.name}") == layout.definition
    fingerprint = "_fingerprint" if current else layout.fingerprint
    state.run_with_retry(render_sql("base.sql", published=layout.published, fast=staged.fast, fingerprint=fingerprint))
    # The same text for all views of an entity, whatever they map.
    state.run_with_retry(
        render_sql("diff.sql", **layout.tables, entity=layout.entity.name, missing=settings.missing, stamp=stamp)
    )
    (counted,) = state.dicts(render_sql("counts.sql", published=layout.published))
    return Counts(source=staged.rows, **counted)


def diff_columns(state: State, staged: Staged, places: Iterable[Mapping[str, int]] | None = None) -> None:
    """Fill ``run.difference``, which :func:`compare` left empty: a rehearsal neither shows nor records it.

    ``places`` are positions in ``run.outgoing``, as :func:`windows` gives them all.
    """
    layout = staged.layout
    for place in windows(state, staged) if places is None else places:
        state.run_with_retry(render_sql("difference.sql", published=layout.published, fields=layout.fields, **place))


def plan(
    state: State,
    counts: Counts,
    *,
    project: Project,
    entity: str,
    breaches: Sequence[GuardViolation],
    notes: Sequence[str],
    batches: int,
    everything: bool = False,
    reveal: bool = False,
) -> Plan:
    """What stands in the working set, as a :class:`Plan`; samples unless ``everything`` is asked for.

    Personal data is masked unless ``reveal`` is asked for.
    """
    limit, each = (None, None) if everything else (MAX_SAMPLE_CHANGES, MAX_SAMPLE_PROBLEMS)
    shown = unmasked if reveal else masked
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
    pace = project.stock2shop.pace
    requests = LOGIN_REQUESTS + batches
    return Plan(
        project=project.name,
        entity=entity,
        counts=counts,
        changes=changes,
        columns=dict(
            state.rows("select column_name, count(*) from run.difference group by column_name order by 2 desc, 1")
        ),
        quarantine=problems(state, entity, "violation", limit=each, reveal=reveal),
        quarantine_rules=by_rule(state, "violation"),
        warnings=problems(state, entity, "warning", limit=each, reveal=reveal),
        warning_rules=by_rule(state, "warning"),
        breaches=tuple(breaches),
        notes=tuple(notes),
        digest=digest(state),
        batches=batches,
        requests=requests,
        seconds=math.ceil((requests - 1) / pace) if pace else 0,
    )


def digest(state: State) -> str:
    """Twelve hexadecimal digits that name exactly this delta."""
    count, mixed = state.row(
        "select count(*), coalesce(bit_xor(hash(_key, _group, kind, _fingerprint)), 0) from run.outgoing"
    )
    return f"{mixed ^ (count * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF):016x}"[:12]
