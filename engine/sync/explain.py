"""One key's whole story: its source row, how it was staged, what it breaks, what is published, what would be sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.characters import SQL_CLASSES, clean, trim
from engine.errors import UnknownKeyError
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES, masked, unmasked
from engine.quoting import ident
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
    from engine.state.store import State
    from engine.sync.layout import StagingLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of one key. ``source`` and ``staged`` hold each row that has it: more than one is a fault.

    ``found_by`` is the field by whose value the key was found, and ``also`` are other keys with that value. ``held``
    are the reasons for which the last runs held it back, each with ``since``, in UTC.
    """

    entity: str
    key: str
    found_by: str
    also: tuple[str, ...]
    held: tuple[dict[str, Any], ...]
    source: tuple[dict[str, Any], ...]
    staged: tuple[dict[str, Any], ...]
    faults: tuple[dict[str, Any], ...]
    published: dict[str, Any] | None
    verdict: str
    changes: tuple[dict[str, Any], ...]
    document: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]


SEARCHED_FIELDS = ("variants.sku", "variants.barcode")
"""Fields by which a row is found where no key is equal to what was asked for, in this order."""


def explain(project: Project, entity: str, code: str, *, reveal: bool = False) -> Story:
    """Read the source once and tell the story of the row with ``code``: a key, a SKU or a barcode; nothing is sent.

    Personal data is masked unless ``reveal`` is asked for.

    Raises :class:`UnknownKeyError` when neither the source nor the state knows the code.
    """
    code = trim(clean(code))
    source_rows: list[dict[str, Any]] = []
    shown = unmasked if reveal else masked
    with open_state(project.state) as state:
        token = state.meta("sync_token") or "0"
        context = RunContext(
            state=state, project=project, entity=entity, ask_sync_token=lambda: token, options=RunOptions(full=True)
        )
        contract = ENTITIES[entity]
        work = compare(context, on_batch=_watch(code, source_rows, (contract.key, *SEARCHED_FIELDS)))
        layout = work.staged.layout
        key, found_by, also = _find_key(state, layout, code)
        source_rows = [row for row in source_rows if trim(clean(str(row[contract.key] or ""))) in {key, ""}]
        staged = state.dicts("select * from run.landed where _key = $1", [key])
        published = state.dicts(render_sql("row.sql", table=layout.published, key=key))
        past_changes = history.changes(state, limit=20, entity=entity, key=key, reveal=reveal)
        if not (staged or published or past_changes or source_rows):
            searched = " or ".join((contract.key, *(name for name in SEARCHED_FIELDS if layout.has(name))))
            raise UnknownKeyError(
                f"{project.name} knows no {searched} {code!r}, in the source or in the state.",
                key=code,
                hint="Codes compare by case and without outer blanks. Is the row left out by the view's WHERE?",
            )
        faults = state.dicts("select column_name, rule, value from run.fault where key = $1 order by rule", [key])
        for fault in faults:
            fault["value"] = shown(entity, fault["column_name"], fault["value"])
            rule = RULES[fault["rule"]]
            fault |= {"severity": rule.severity, "reason": rule.reason, "remedy": rule.remedy}
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
            found_by=found_by,
            also=also,
            held=tuple(_held(state, entity, key, shown)),
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


def _find_key(state: State, layout: StagingLayout, code: str) -> tuple[str, str, tuple[str, ...]]:
    """The key of the row with a code, the field that has it, and the keys of other rows that have it as well."""
    for name in ("_key", *SEARCHED_FIELDS):
        if name != "_key" and not layout.has(name):
            continue
        for table in ("run.landed", ident(layout.published, "duckdb")):
            sql = (
                f"select distinct _key from {table} where {ident(name, 'duckdb')} = $1 and _key is not null order by 1"  # noqa: S608 - names
            )
            keys = [str(key) for (key,) in state.rows(sql, [code])]
            if keys:
                return keys[0], layout.entity.key if name == "_key" else name, tuple(keys[1:])
    return code, layout.entity.key, ()


def _held(state: State, entity: str, key: str, shown: Callable[[str, str, Any], Any]) -> Iterator[dict[str, Any]]:
    """Why the last runs held a row back, and since when."""
    for row in state.dicts(
        "select column_name, rule, value, reason, first_seen_at as since from quarantine"
        " where entity = $1 and key = $2 and resolved_at is null order by first_seen_at, rule",
        [entity, key],
    ):
        rule = RULES[row["rule"]]
        more = f": {row['reason']}" if row["reason"] else ""
        value = shown(entity, row["column_name"], row["value"])
        yield {**row, "value": value, "reason": f"{rule.reason}{more}", "remedy": rule.remedy}


def _watch(
    code: str, source_rows: list[dict[str, Any]], searched: tuple[str, ...]
) -> Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Keep the raw rows that have ``code`` in one of the searched columns as they pass by."""

    def watch(columns: tuple[str, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        places = [columns.index(name) for name in searched if name in columns]
        for batch in batches:
            wanted = None
            for place in places:
                texts = batch.column(place).cast("string")
                if pc.any(pc.match_substring_regex(texts, SQL_CLASSES["unclean"])).as_py():
                    texts = pa.array([None if text is None else clean(text) for text in texts.to_pylist()], "string")
                equal = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), code), False)
                wanted = equal if wanted is None else pc.or_(wanted, equal)
            found = batch.filter(wanted).to_pylist()
            source_rows.extend(dict(zip(columns, row.values(), strict=True)) for row in found)
            yield batch

    return watch


def _verdict(found: list[dict[str, Any]]) -> str:
    return str(found[0]["verdict"]) if found else "unknown to the source"
