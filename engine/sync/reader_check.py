"""Compare what two readers give of a view, before the one that is not pyodbc counts.

At a reader's first use for a view, and whenever the view changes, a sample is read both ways,
staged, and compared in the canonical forms that are sent. Where anything differs the reader is refused.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.open import PYODBC
from engine.errors import SourceError
from engine.model.fields import ENTITIES, masked
from engine.state.store import open_state
from engine.stock2shop.sent_values import plain
from engine.sync.context import RunContext, RunOptions
from engine.sync.extract import extract
from engine.sync.layout import build_layout
from engine.sync.stage import land, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from engine.model.query import Query
    from engine.model.settings import Project

SAMPLE_ROWS = 1_000
"""How many rows are read both ways."""


def check_reader(context: RunContext, query: Query) -> None:
    """Compare the project's reader with pyodbc on a sample of the view, unless that was done for this very text.

    Raises :class:`SourceError` where a value differs, and where the samples have no row in common.
    """
    project, entity, state = context.project, context.entity, context.state
    reader = project.source.reader
    if reader == PYODBC:
        return
    name, key = f"reader:{entity}", f"{reader} {query.digest}"
    if state.meta(name) == key:
        return
    context.progress(f"comparing {reader} with pyodbc", 0, None)
    trusted = _staged(replace(project, source=replace(project.source, reader=PYODBC)), entity, query)
    found = _staged(project, entity, query)
    common = [each for each in found if each in trusted]
    if (found or trusted) and not common:
        raise SourceError(
            f"{reader} and pyodbc gave no row in common of the first {SAMPLE_ROWS:,}, so it cannot be told whether they"
            " agree.",
            hint="Give the view an ORDER BY, or remove `reader` under [source].",
        )
    for row in common:
        for column, value in trusted[row].items():
            if found[row][column] != value:
                theirs, ours = (_shown(entity, column, each) for each in (found[row][column], value))
                raise SourceError(
                    f"{reader} gives {column} of {row} in another way than pyodbc: {theirs}, not {ours}.",
                    hint="Remove `reader` under [source]. If the row was just changed, run again.",
                )
    state.set_meta(name, key)


def _staged(project: Project, entity: str, query: Query) -> dict[str, Mapping[str, Any]]:
    """The first rows of a view in their canonical forms, by key; a key that is there twice is left out."""
    with (
        tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True) as folder,
        open_state(Path(folder) / "sample.duckdb") as state,
    ):
        context = RunContext(
            state=state,
            project=replace(project, state=state.path),
            entity=entity,
            ask_sync_token=lambda: "0",
            options=RunOptions(full=True),
        )
        with extract(project, query, entity=entity, cancel=context.cancel) as (columns, packed, arriving):
            layout = build_layout(
                ENTITIES[entity], columns, settings=context.settings, version=state.version, packed=packed
            )
            layout = prepare(state, layout)
            land(context, _first(arriving), layout=layout, full=True)
        names = ", ".join(f'"{name}"' for name in ("_key", "_group", "_flag", *(each.name for each in layout.fields)))
        rows = state.dicts(f"select {names} from run.landed where _key is not null")  # noqa: S608 - fields' names
    keys = [row["_key"] for row in rows]
    repeated = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    return {row["_key"]: row for row in rows if row["_key"] not in repeated}


def _shown(entity: str, column: str, value: Any) -> str:
    """A value as it may be printed; a decimal without the digits that it was staged with."""
    shown = masked(entity, column, value)
    return plain(shown) if isinstance(shown, Decimal) else repr(shown)


def _first(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    left = SAMPLE_ROWS
    for batch in batches:
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return
