"""What a plan says of rows that are easily overlooked: ignored ones that stay, and columns that change by themselves.

In: the rows in the working set, and what earlier runs remembered of columns. Out: notes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.text import plural

if TYPE_CHECKING:
    from engine.state.store import State
    from engine.sync.layout import Staged

SHARE_OF_ROWS = 0.9
"""The share of the published rows in which a column must change in one run."""

MIN_ROWS = 2
"""How many rows there must be: of a single one, nothing can be told."""


def describe_ignored(state: State, staged: Staged) -> list[str]:
    """A note of how many rows are flagged Ignore that Stock2Shop holds: they stay there as they were sent."""
    layout = staged.layout
    count = int(state.value(render_sql("ignored.sql", published=layout.published, unchanged=staged.unchanged)))
    if not count:
        return []
    are, them = ("is", "it") if count == 1 else ("are", "them")
    kept = (
        f"{count:,} {plural(count, 'row')} that Stock2Shop holds {are} flagged Ignore: nothing is sent for {them}, and"
        f" Stock2Shop keeps {them} as last sent."
    )
    return [f"{kept} To remove {them}, have the flag say Delete: its words are `active` under [{layout.entity.name}]."]


def describe_self_changing(state: State, staged: Staged) -> list[str]:
    """A note for each column that changes in nearly every row, as it did in the run before.

    It reads the differences in the working set, and what :func:`remember_changing` kept.
    """
    before = _remembered(state, staged)
    if not before:
        return []
    return [
        f"{name} changes in {count:,} rows, nearly all, as it did in the run before. If it changes by itself, as a time"
        " or a random number does, everything is sent in every run: leave it out of the view."
        for name, count in _changing(state, staged).items()
        if name in before
    ]


def remember_changing(state: State, staged: Staged) -> None:
    """Keep for the next run which columns change in nearly every row of this one."""
    changing = [] if staged.unchanged else sorted(_changing(state, staged))
    if changing != _remembered(state, staged):
        state.set_meta(_meta_name(staged), json.dumps(changing))


def _changing(state: State, staged: Staged) -> dict[str, int]:
    published = int(state.value(f"select count(*) from {staged.layout.published}"))  # noqa: S608 - a name of ours
    if published < MIN_ROWS:
        return {}
    return dict(
        state.rows(
            "select column_name, count(*) from run.difference group by column_name having count(*) >= $1 order by 1",
            [max(published * SHARE_OF_ROWS, MIN_ROWS)],
        )
    )


def _remembered(state: State, staged: Staged) -> list[str]:
    found = state.meta(_meta_name(staged))
    return [] if found is None else json.loads(found)


def _meta_name(staged: Staged) -> str:
    return f"changing:{staged.layout.entity.name}"
