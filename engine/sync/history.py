"""What the state remembers: runs, changes and quarantine, as rows for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.errors import UsageError
from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.sync.rules import RULES

if TYPE_CHECKING:
    from engine.state.store import State


def runs(state: State, *, limit: int) -> list[dict[str, Any]]:
    """The last ``limit`` runs, the newest first; times in UTC."""
    return state.dicts(render_sql("runs.sql", limit=limit))


def changes(
    state: State,
    *,
    limit: int,
    entity: str | None = None,
    key: str | None = None,
    run_id: int | None = None,
    reveal: bool = False,
) -> list[dict[str, Any]]:
    """What Stock2Shop acknowledged, the newest first, of one entity, key or run where given; times in UTC.

    Personal data is masked unless ``reveal`` is asked for.
    """
    shown = unmasked if reveal else masked
    found = state.dicts(render_sql("history.sql", limit=limit, entity=entity, key=key, run_id=run_id))
    for row in found:
        columns = json.loads(row["columns"] or "[]")
        row["columns"] = [
            {"column": name, "old": shown(row["entity"], name, old), "new": shown(row["entity"], name, new)}
            for name, old, new in columns
        ]
    return found


def quarantine(
    state: State, *, entity: str | None = None, resolved: bool = False, reveal: bool = False
) -> list[dict[str, Any]]:
    """What stands in quarantine, with the reason in words; with ``resolved`` what left it as well.

    Personal data is masked unless ``reveal`` is asked for.
    """
    shown = unmasked if reveal else masked
    found = state.dicts(render_sql("quarantine.sql", entity=entity, resolved=resolved))
    for row in found:
        row["value"] = shown(row["entity"], row["column_name"], row["value"])
        row["reason"] = RULES[row["rule"]].reason + (f": {row['reason']}" if row["reason"] else "")
    return found


def retry(state: State, *, keys: tuple[str, ...]) -> int:
    """Let rows that Stock2Shop refused be sent again by the next run; all of them when no key is given.

    Gives how many. Raises :class:`UsageError` for a key that was not refused: a row that breaks a rule is looked at
    on each run by itself.
    """
    refused = {
        key
        for (key,) in state.rows("select distinct key from quarantine where rule = 'refused' and resolved_at is null")
    }
    unknown = [key for key in keys if key not in refused]
    if unknown:
        raise UsageError(
            f"Stock2Shop has not refused {', '.join(unknown)}.",
            hint="Rows that break a rule leave quarantine by themselves when they are fixed in the source."
            " `s2s quarantine list` shows both.",
        )
    wanted = sorted(keys or refused)
    state.run(
        "update quarantine set resolved_at = $1 where rule = 'refused' and resolved_at is null"
        " and list_contains($2::varchar[], key)",
        [now(), wanted],
    )
    return len(wanted)
