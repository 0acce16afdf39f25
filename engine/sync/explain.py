"""One key's whole story: its source row, how it was staged, what it breaks, what is published, what would be sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES, masked, unmasked
from engine.state.store import open_state
from engine.sync import history
from engine.sync.compare import compare
from engine.sync.context import RunContext, RunOptions
from engine.sync.diff import diff_columns
from engine.sync.documents import Documents
from engine.sync.layout import Window
from engine.sync.rules import RULES
from engine.sync.stage import load_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from engine.model.settings import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of one key. ``source`` and ``staged`` hold each row that has it: more than one is a fault."""

    entity: str
    key: str
    source: tuple[dict[str, Any], ...]
    staged: tuple[dict[str, Any], ...]
    faults: tuple[dict[str, Any], ...]
    published: dict[str, Any] | None
    verdict: str
    changes: tuple[dict[str, Any], ...]
    document: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]


def explain(project: Project, entity: str, key: str, *, reveal: bool = False) -> Story:
    """Read the source once and tell the story of ``key``; nothing is sent or kept.

    Personal data is masked unless ``reveal`` is asked for.

    Raises :class:`UsageError` when neither the source nor the state knows the key.
    """
    source_rows: list[dict[str, Any]] = []
    shown = unmasked if reveal else masked
    with open_state(project.state) as state:
        token = state.meta("sync_token") or "0"
        context = RunContext(
            state=state, project=project, entity=entity, ask_sync_token=lambda: token, options=RunOptions(full=True)
        )
        work = compare(context, on_batch=_watch(key, source_rows, ENTITIES[entity].key))
        layout = work.staged.layout
        staged = state.dicts("select * from run.landed where _key = $1", [key])
        published = state.dicts(render_sql("row.sql", table=layout.published, key=key))
        past_changes = history.changes(state, limit=20, entity=entity, key=key, reveal=reveal)
        if not (staged or published or past_changes or source_rows):
            raise UsageError(
                f"{project.name} knows no {layout.entity.key} {key!r}, in the source or in the state.",
                hint="Codes compare by case and without outer blanks. Is the row left out by the view's WHERE?",
            )
        faults = state.dicts("select column_name, rule, value from run.fault where key = $1 order by rule", [key])
        for fault in faults:
            fault["value"] = shown(entity, fault["column_name"], fault["value"])
            rule = RULES[fault["rule"]]
            fault |= {"severity": rule.severity, "reason": rule.reason, "mend": rule.remedy}
        changes = state.dicts("select kind, cause, position from run.outgoing where _key = $1 order by position", [key])
        document = None
        positions = [Window(change["position"] - 1, change["position"]) for change in changes]
        diff_columns(state, work.staged, positions)
        if positions:
            load_window(state, layout, positions[-1])
            personal = [field.name for field in layout.fields if field.personal]
            if personal and not reveal:
                state.run(render_sql("mask.sql", columns=personal))
            documents = Documents(
                layout=layout,
                source_id=project.stock2shop.source_id,
                sync_token=token,
                prices=work.settings.prices,
            )
            items = [row["item"] for row in documents.rows(state, positions[-1])]
            document = json.loads(documents.body(items))
        for change in changes:
            change["columns"] = [
                {"column": name, "old": shown(entity, name, old), "new": shown(entity, name, new)}
                for name, old, new in state.rows(
                    "select column_name, old, new from run.difference where position = $1 order by 1",
                    [change.pop("position")],
                )
            ]
        verdict = _verdict(state.dicts(render_sql("verdict.sql", key=key)))
        return Story(
            entity=entity,
            key=key,
            source=tuple(_shown(row, entity, shown) for row in source_rows),
            staged=tuple(_shown(row, entity, shown) for row in staged),
            faults=tuple(faults),
            published=_shown(published[0], entity, shown) if published else None,
            verdict=verdict,
            changes=tuple(changes),
            document=document,
            history=tuple(past_changes),
        )


def _shown(row: dict[str, Any], entity: str, shown: Callable[[str, str, Any], Any]) -> dict[str, Any]:
    return {name: shown(entity, name, value) for name, value in row.items() if name not in {"_faults", "_own"}}


def _watch(
    key: str, source_rows: list[dict[str, Any]], column: str
) -> Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Keep the raw rows of ``key`` as they pass by."""

    def watch(columns: tuple[str, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc

        place = columns.index(column)
        for batch in batches:
            wanted = pc.equal(pc.utf8_trim_whitespace(batch.column(place).cast("string")), key)
            found = batch.filter(pc.fill_null(wanted, False)).to_pylist()
            source_rows.extend(dict(zip(columns, row.values(), strict=True)) for row in found)
            yield batch

    return watch


def _verdict(found: list[dict[str, Any]]) -> str:
    return str(found[0]["verdict"]) if found else "unknown to the source"
