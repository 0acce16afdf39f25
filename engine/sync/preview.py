"""What a view gives right now, as Stock2Shop would get it: a few rows with their faults, and the document of one.

Nothing is sent, and the project's state is neither read nor written, so a preview works while a run goes on.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.mapping.check import resolve_column
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES, masked, unmasked
from engine.state.store import open_state
from engine.sync.compare import compare
from engine.sync.context import RunContext, RunOptions
from engine.sync.documents import Documents
from engine.sync.layout import Window
from engine.sync.rules import RULES
from engine.sync.stage import load_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from engine.errors import Diagnostic
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.sync.compare import Comparison

    Masking = Callable[[str, str, Any], Any]

MAX_ROWS = 5_000
"""How many rows of a view are read for a preview: rules that compare rows see these."""

SYNC_TOKEN = "0"  # noqa: S105 - a version that Stock2Shop counts, no secret
"""The token of a source that was never synced: a preview does not ask for the real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFault:
    """A rule that a row breaks, in which of its fields, and whether that holds the row back."""

    key: str | None
    field: str
    value: Any
    rule: str
    severity: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A few rows of a view.

    ``fields`` are the view's columns as fields of Stock2Shop's, in its order. ``rows`` have their values by field, and
    under ``_key``, ``_group`` and ``_flag`` what identifies the row, its product, and what becomes of it. ``read`` is
    how many rows were read, and ``partial`` whether the view has more. ``document`` is what would be sent of
    ``document_key``; None where no row would be sent.
    """

    entity: str
    fields: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    faults: tuple[PreviewFault, ...]
    warnings: tuple[Diagnostic, ...]
    read: int
    partial: bool
    document_key: str | None
    document: Mapping[str, Any] | None


def preview(
    project: Project,
    entity: str,
    *,
    limit: int,
    where: tuple[str, str] | None = None,
    reveal: bool = False,
) -> Preview:
    """Run the view and show ``limit`` rows of it; with ``where`` only rows in which a field has a value.

    At most :data:`MAX_ROWS` rows are read, unless ``where`` is given. Personal data is masked unless ``reveal`` is
    asked for. Raises :class:`UsageError` where ``where`` names a field that the view does not map, and what a plan
    raises where the view is wrong or the database cannot be read.
    """
    from engine.mapping.views import render_checked_view

    shown = unmasked if reveal else masked
    view = render_checked_view(project, entity)
    passing = _Passing(entity, where)
    with (
        tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True) as folder,
        open_state(Path(folder) / "preview.duckdb") as state,
    ):
        state.run("detach run; attach ':memory:' as run")
        context = RunContext(
            state=state,
            project=replace(project, state=state.path),
            entity=entity,
            ask_sync_token=lambda: SYNC_TOKEN,
            options=RunOptions(full=True),
        )
        comparison = compare(context, query=view.query, on_batch=passing)
        fields = tuple(each.name for each in comparison.staged.layout.fields)
        rows = state.dicts("select * from run.landed order by rowid limit $1", [limit])
        keys = {row["_key"] for row in rows}
        faults = [each for each in _faults(state, entity, shown) if each.key in keys or each.key is None]
        document_key, document = _document(state, project, comparison, reveal=reveal)
        return Preview(
            entity=entity,
            fields=fields,
            rows=tuple(
                {name: shown(entity, name, row[name]) for name in ("_key", "_group", "_flag", *fields)} for row in rows
            ),
            faults=tuple(faults[: 5 * limit]),
            warnings=view.warnings,
            read=passing.read,
            partial=passing.partial,
            document_key=document_key,
            document=document,
        )


class _Passing:
    """Lets the batches of a view pass: only its first rows, or only those in which a field has a value."""

    def __init__(self, entity: str, where: tuple[str, str] | None) -> None:
        self._entity = entity
        self._where = where
        self.read = 0
        self.partial = False

    def __call__(self, columns: tuple[str, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        place = None if self._where is None else self._place(columns, self._where[0])
        return self._pass(batches, place)

    def _place(self, columns: tuple[str, ...], name: str) -> int:
        entity = ENTITIES[self._entity]
        wanted = resolve_column(name, entity)
        found = [resolve_column(each, entity) for each in columns]
        names = [None if each is None else each.name for each in found]
        if wanted is None or wanted.name not in names:
            raise UsageError(
                f"The view maps no {name!r}.", hint=f"It maps: {', '.join(each for each in names if each)}."
            )
        return names.index(wanted.name)

    def _pass(self, batches: Iterator[pa.RecordBatch], place: int | None) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc

        for batch in batches:
            if place is not None:
                assert self._where is not None
                texts = pc.utf8_trim_whitespace(batch.column(place).cast("string"))
                self.read += batch.num_rows
                yield batch.filter(pc.fill_null(pc.equal(texts, self._where[1].strip()), False))
                continue
            taken = batch.slice(0, MAX_ROWS - self.read)
            self.read += taken.num_rows
            yield taken
            if self.read >= MAX_ROWS:
                self.partial = taken.num_rows < batch.num_rows or next(batches, None) is not None
                return


def _faults(state: State, entity: str, shown: Masking) -> Iterator[PreviewFault]:
    for row in state.dicts("select key, column_name, rule, value from run.fault order by key, rule"):
        rule = RULES[row["rule"]]
        yield PreviewFault(
            key=row["key"],
            field=row["column_name"] or "",
            value=shown(entity, row["column_name"] or "", row["value"]),
            rule=row["rule"],
            severity=rule.severity,
            reason=rule.reason,
            remedy=rule.remedy,
        )


def _document(
    state: State, project: Project, comparison: Comparison, *, reveal: bool
) -> tuple[str | None, Mapping[str, Any] | None]:
    """The key and the document of the first row that would be sent."""
    layout = comparison.staged.layout
    found = state.rows("select position from run.outgoing where kind <> 'delete' order by position limit 1")
    if not found:
        return None, None
    window = Window(found[0][0] - 1, found[0][0])
    load_window(state, layout, window)
    personal = [field.name for field in layout.fields if field.personal]
    if personal and not reveal:
        state.run(render_sql("mask.sql", columns=personal))
    made = Documents(
        layout=layout,
        source_id=project.stock2shop.source_id,
        sync_token=SYNC_TOKEN,
        prices=comparison.settings.prices,
    )
    (row,) = made.rows(state, window)
    return str(row["_key"]), json.loads(made.body([row["item"]]))
