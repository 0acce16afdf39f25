"""Send once more what a machine of a fleet had sent when it vanished.

Whoever takes over sends what the vanished machine got no answer to, as it is now, or reads back what Stock2Shop made of
it. Stock2Shop may still be at work on what that machine had sent a moment before, and then holds the older values. So
these keys are in doubt again once the time is over in which Stock2Shop would have answered.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES
from engine.sync.layout import table_names
from engine.sync.stage import create_tables

if TYPE_CHECKING:
    from engine.state.store import State
    from engine.sync.context import Replica


def doubt_unanswered(state: State, entity: str, *, replica: Replica | None, read_timeout: float) -> None:
    """Remember what a machine left unanswered that vanished less than ``read_timeout`` seconds ago.

    Later, have what was remembered be in doubt again. Nothing else may have been done with the state in this run.
    """
    name = _name(entity)
    age = None if replica is None else replica.seconds_since_vanished
    known = state.meta(name)
    if age is not None and age < read_timeout:
        rows = state.rows(
            "select key, product, kind, fingerprint, shared, unclearable from in_doubt where entity = $1", [entity]
        )
        if rows:
            before = [] if known is None else json.loads(known)
            state.transaction_with_retry(lambda: state.set_meta(name, json.dumps([*before, *rows])))
    elif known is not None:
        create_tables(state, entity)
        sql = render_sql("doubt_again.sql", published=table_names(entity)["published"])

        def doubt_again() -> None:
            state.run(sql, {"entity": entity, "rows": known})
            state.forget_meta(name)

        state.transaction_with_retry(doubt_again)


def forget_unanswered(state: State) -> None:
    """Forget what was remembered: it was sent to another account."""
    for entity in ENTITIES:
        state.forget_meta(_name(entity))


def _name(entity: str) -> str:
    return f"unanswered:{entity}"
