"""Compare staged rows with published ones: the delta.

Removals are counted by cause. A variant that moves to another product, or whose product turns from simple to
variable, is removed and created again, as Stock2Shop's help pages ask; nothing is lost by that, so the guard on
deletes does not count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.model.plan import Counts
from engine.sync.fields_read import first_runs
from engine.sync.stage import windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.layout import Staged, Window


def compute_delta(state: State, staged: Staged, *, settings: EntitySettings, delivery_key: str) -> Counts:
    """Fill ``run.verdict``, ``run.missing`` and ``run.outgoing``, the delta; count what became of every row.

    A row that was acknowledged under another ``delivery_key`` is sent again, see :meth:`EntitySettings.delivery_key`.
    """
    layout = staged.layout
    current = state.meta(f"definition:{layout.entity.name}") == layout.definition
    fingerprint = "_fingerprint" if current else layout.fingerprint
    state.run_with_retry(
        render_sql(
            "base.sql",
            published=layout.published,
            incremental=staged.incremental,
            fingerprint=fingerprint,
            first_run=max(first_runs(state, layout).values(), default=0),
        )
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


def count_unchanged(state: State, staged: Staged) -> Counts:
    """Count what became of every row where every one is known and none is missing.

    A row that came twice makes the counts unbalanced, as it does in :func:`compute_delta`.
    """
    unchanged, ignored, published = state.row(render_sql("unchanged.sql"))
    return Counts(source=staged.rows, unchanged=unchanged, ignored=ignored, published=published)


def diff_columns(
    state: State, staged: Staged, parts: Iterable[Window] | None = None, *, replaced: bool = False
) -> None:
    """Fill ``run.difference``, which :func:`compute_delta` left empty, for the whole delta or for ``parts`` of it.

    It has the columns of updates, and with ``replaced`` those of the rows that are removed and created again, too.
    """
    layout = staged.layout
    first, last = state.row(
        "select min(position), max(position) from run.outgoing"
        " where kind = 'update' or ($replaced and kind = 'insert' and cause = 'replaced')",
        {"replaced": replaced},
    )
    for part in windows(state, staged) if parts is None else parts:
        if (
            first is not None and part.after < last and first <= part.upto
        ):  # for hundreds of columns the SQL itself is dear
            state.run_with_retry(
                render_sql("difference.sql", published=layout.published, fields=layout.fields, replaced=replaced),
                part.bounds,
            )
