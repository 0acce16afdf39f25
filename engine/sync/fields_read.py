"""Which fields were read when Stock2Shop was adopted: of the others it may hold anything.

``adopt`` reads the fields that the view maps then. When another one is mapped later, published has no value of it, and
Stock2Shop may have one. So no row is unchanged that was not sent since the field was mapped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.model.fields import ENTITIES
from engine.text import plural

if TYPE_CHECKING:
    from engine.state.store import State
    from engine.sync.layout import StagingLayout

NEWLY_MAPPED = "newly mapped"
"""The cause of a change for a row that is sent again since a field was not read; see ``diff.sql``."""

NEVER = 2**62
"""A run that comes after all others."""


def remember_fields_read(state: State, layout: StagingLayout) -> None:
    """Keep which fields an adoption has read."""
    state.set_meta(
        _meta_name(layout.entity.name), json.dumps({"read": [field.name for field in layout.fields], "since": {}})
    )


def remember_fields_mapped(state: State, layout: StagingLayout, *, run_id: int) -> None:
    """Keep that the run ``run_id`` is the first to send the fields that are mapped now and were not read."""
    first_sent = {name: run_id for name, first in first_runs(state, layout).items() if first == NEVER}
    if first_sent:
        known = _known(state, layout)
        since = {**known["since"], **first_sent}
        state.set_meta(_meta_name(layout.entity.name), json.dumps({**known, "since": since}))


def forget_fields_read(state: State) -> None:
    """Forget what was read: it was another account's."""
    for entity in ENTITIES:
        state.forget_meta(_meta_name(entity))


def first_runs(state: State, layout: StagingLayout) -> dict[str, int]:
    """The first run that sent each of the fields that are mapped now and were not read; :data:`NEVER` for none yet."""
    known = _known(state, layout)
    if not known:
        return {}
    unread = [field.name for field in layout.fields if field.name not in known["read"]]
    return {name: known["since"].get(name, NEVER) for name in unread}


def describe_newly_mapped(state: State) -> tuple[list[str], int]:
    """A note of the rows of the delta that are sent again since a field was not read, and how many they are."""
    count = int(state.value("select count(*) from run.outgoing where cause = $1", [NEWLY_MAPPED]))
    if not count:
        return [], 0
    are = "is" if count == 1 else "are"
    note = (
        f"{count:,} {plural(count, 'row')} that did not change {are} sent once more: a field was mapped after"
        " Stock2Shop was adopted, and nobody knows what it holds of it."
    )
    return [note], count


def _known(state: State, layout: StagingLayout) -> dict[str, Any]:
    """What was read, and since which run the other fields are sent; empty where nothing was ever adopted."""
    found: dict[str, Any] = json.loads(state.meta(_meta_name(layout.entity.name)) or "{}")
    return found


def _meta_name(entity: str) -> str:
    return f"fields_read:{entity}"
