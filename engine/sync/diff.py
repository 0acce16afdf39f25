"""Staged against published: the delta; the guard.

Removals are counted by cause. A variant that moves to another product, or whose product turns from simple to
variable, is removed and created anew, as Stock2Shop's help pages ask; that is no loss, so the guard on deletes
does not count it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from engine.mapping.render import render_sql
from engine.model.fields import masked, unmasked
from engine.model.settings import Breach, Change, Counts, Plan
from engine.stock2shop.client import OPENING
from engine.sync.stage import slices
from engine.sync.validate import by_rule, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.settings import EntitySettings, Project
    from engine.state.store import State
    from engine.sync.stage import Staged

SAMPLE = 20
"""How many changes a plan shows unless all are asked for."""

PROBLEMS = 5
"""How many violations and warnings of each rule it shows."""


def compare(state: State, staged: Staged, *, settings: EntitySettings, stamp: str) -> Counts:
    """Fill ``run.verdict``, ``run.gone`` and ``run.outgoing``, the delta; count where every row went.

    ``stamp`` is what a row must have been acknowledged under, see :meth:`EntitySettings.stamp`.
    """
    layout = staged.layout
    current = state.meta(f"definition:{layout.entity.name}") == layout.definition
    fingerprint = "_fingerprint" if current else layout.fingerprint
    state.rerun(render_sql("base.sql", published=layout.published, fast=staged.fast, fingerprint=fingerprint))
    # The same text for all views of an entity, whatever they map.
    state.rerun(
        render_sql("diff.sql", **layout.tables, entity=layout.entity.name, missing=settings.missing, stamp=stamp)
    )
    (counted,) = state.dicts(render_sql("counts.sql", published=layout.published))
    return Counts(source=staged.rows, **counted)


def tell_apart(state: State, staged: Staged, places: Iterable[Mapping[str, int]] | None = None) -> None:
    """Fill ``run.difference``, which :func:`compare` left empty: a rehearsal neither shows nor records it.

    ``places`` are positions in ``run.outgoing``, as :func:`slices` gives them all.
    """
    layout = staged.layout
    for place in slices(state, staged) if places is None else places:
        state.rerun(render_sql("difference.sql", published=layout.published, fields=layout.fields, **place))


def guard(
    counts: Counts,
    settings: EntitySettings,
    *,
    project: str,
    left: tuple[int, int] = (0, 0),
    approved_deletes: int | None = None,
    approved_changes: int | None = None,
) -> tuple[Breach, ...]:
    """The limits that this plan breaks. Nothing is limited before something was published, but an empty source is.

    ``left`` are the changes and removals that a run may still send because it ended early the last time, after it
    had been allowed to: so the rest of a first load goes on by itself.
    """
    found = []
    if counts.source < settings.min_rows and counts.published:
        found.append(
            Breach(
                guard="min_rows",
                found=counts.source,
                allowed=settings.min_rows,
                message=f"The view gave {counts.source:,} rows; at least {settings.min_rows:,} are expected.",
                hint=f"Run the view by hand: a filter, a login's rights or a broken join may hide the rows. If it is"
                f" right, lower min_rows under [{settings.name}] in project.toml.",
            )
        )
    deletes, allowed = counts.removals, settings.max_deletes.allows(counts.published)
    limit = max(allowed + left[1], approved_deletes or 0)
    if deletes > limit:
        found.append(
            Breach(
                guard="max_deletes",
                found=deletes,
                allowed=limit,
                message=f"{deletes:,} of {counts.published:,} published rows would be removed;"
                f" max_deletes allows {limit:,}.",
                hint=f"Look with `s2s plan {project} --entity {settings.name} --all-changes`. If they are right, go on"
                f" with `s2s run {project} --entity {settings.name} --approve-deletes {deletes}`.",
            )
        )
    changes, allowed = counts.inserts + counts.updates, settings.max_changes.allows(counts.published)
    limit = max(allowed + left[0], approved_changes or 0)
    if counts.published and changes > limit:
        found.append(
            Breach(
                guard="max_changes",
                found=changes,
                allowed=limit,
                message=f"{changes:,} rows would be inserted or updated, against {counts.published:,} published;"
                f" max_changes allows {limit:,}.",
                hint=f"Look with `s2s plan {project} --entity {settings.name}`. If they are right, go on with"
                f" `s2s run {project} --entity {settings.name} --approve-changes {changes}`.",
            )
        )
    return tuple(found)


def plan(
    state: State,
    counts: Counts,
    *,
    project: Project,
    entity: str,
    breaches: Sequence[Breach],
    notes: Sequence[str],
    batches: int,
    everything: bool = False,
    reveal: bool = False,
) -> Plan:
    """What stands in the working set, as a :class:`Plan`; samples unless ``everything`` is asked for.

    Personal data is masked unless ``reveal`` is asked for.
    """
    limit, each = (None, None) if everything else (SAMPLE, PROBLEMS)
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
    requests = OPENING + batches
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
