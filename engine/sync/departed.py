"""Tell what becomes of a field at Stock2Shop that the view no longer maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.text import plural

if TYPE_CHECKING:
    from engine.state.store import State
    from engine.sync.layout import Staged


def describe_departed(state: State, staged: Staged) -> list[str]:
    """A note for each field that left the mapping since the last run and of which Stock2Shop holds values."""
    layout = staged.layout
    before = state.meta(f"mapping:{layout.entity.name}")
    if before is None or before == layout.mapping:
        return []
    mapped = {field.name for field in layout.fields}
    columns = state.columns(layout.published)
    names = [name for name in columns if not name.startswith("_") and name not in mapped]
    if not names:
        return []
    (counts,) = state.dicts(render_sql("departed.sql", published=layout.published, columns=names))
    notes = []
    for name, count in counts.items():
        if not count:
            continue
        fate = (
            "Stock2Shop keeps the last value of each, since nothing is sent for it any more"
            if name in layout.carried
            else "Stock2Shop keeps it for each until the row is sent again, and then without it"
        )
        notes.append(f"{name} is no longer mapped. It was sent for {count:,} {plural(count, 'row')}: {fate}.")
    return notes
