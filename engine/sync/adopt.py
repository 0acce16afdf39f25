"""First contact with a live account: read Stock2Shop back, take it as published, or compare it with published.

So a lost state file, or an agent that is replaced, is never a reason to delete or resend everything. What is read
back goes through the very same canonical forms as the source's rows. Stock2Shop's search endpoint is public; which
fields it always gives is not, so a field that it leaves out counts as blank.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.errors import UsageError
from engine.mapping.engine_sql import render_sql
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES, masked, unmasked
from engine.state.store import open_state
from engine.stock2shop.client import open_api
from engine.stock2shop.documents import texts
from engine.sync.context import RunContext, no_progress
from engine.sync.extract import extract
from engine.sync.journal import compact_journal
from engine.sync.layout import build_layout
from engine.sync.origin import record_origin, require_same_origin
from engine.sync.runs import begin_run, finish_run
from engine.sync.stage import land, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from engine.model.settings import Project
    from engine.state.store import State
    from engine.sync.layout import StagingLayout

BATCH_ROWS = 2_000
"""How many rows that were read back are staged at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One way in which Stock2Shop and published differ for a key: missing there, unknown here, or a column."""

    key: str
    kind: str
    column: str = ""
    published: str | None = None
    remote: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """How many rows Stock2Shop holds, and how many were published before and now."""

    remote: int
    before: int
    published: int
    unreadable: int


def adopt(
    project: Project,
    entity: str,
    *,
    cancel: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> Adoption:
    """Take what Stock2Shop holds as published, in place of whatever was; the next run sends only true differences.

    Nothing is sent. What Stock2Shop holds and the source does not show is removed by the next run, as far as the
    guards allow.
    """
    with open_state(project.state) as state:
        require_same_origin(state, project)
        run_id = begin_run(state, entity=entity, command="adopt")
        layout, token, rows = _read_back(state, project, entity, cancel or threading.Event(), progress)
        before = int(state.value(render_sql("count.sql", table=layout.published)))
        state.run_with_retry(render_sql("remote.sql", fields=layout.fields, entity=layout.entity))
        readable = int(state.value("select count(*) from run.remote"))
        sql = render_sql(
            "take_remote.sql",
            **layout.tables,
            entity=entity,
            fields=layout.fields,
            differing_only=False,
            delivery_key=project.entities[entity].delivery_key(token),
            run_id=run_id,
            now=now(),
        )

        def take() -> None:
            state.run(sql)
            record_origin(state, project)
            state.set_meta("sync_token", token)
            state.set_meta(f"definition:{entity}", layout.definition)

        state.transaction_with_retry(take)
        finish_run(state, run_id, outcome="done", figures={"adopted": readable})
        return Adoption(remote=rows, before=before, published=readable, unreadable=rows - readable)


def verify(
    project: Project,
    entity: str,
    *,
    repair: bool = False,
    reveal: bool = False,
    cancel: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> tuple[Drift, ...]:
    """Compare published with what Stock2Shop really holds.

    ``repair`` takes what Stock2Shop holds for the keys that differ as published, so that the next run sends them
    again. Keys that only Stock2Shop knows are named and left alone. Personal data is masked unless ``reveal`` is asked
    for.
    """
    shown = unmasked if reveal else masked
    with open_state(project.state) as state:
        require_same_origin(state, project)
        layout, token, _ = _read_back(state, project, entity, cancel or threading.Event(), progress)
        state.run_with_retry(render_sql("remote.sql", fields=layout.fields, entity=layout.entity))
        state.run_with_retry(
            render_sql("verify.sql", published=layout.published, fields=layout.fields, shared=layout.shared)
        )
        drifts = tuple(
            Drift(
                key=key,
                kind=kind,
                column=column,
                published=shown(entity, column, published),
                remote=shown(entity, column, remote),
            )
            for key, kind, column, published, remote in state.rows(
                "select key, kind, column_name, published, remote from run.drift order by key, column_name"
            )
        )
        if repair and drifts:
            run_id = begin_run(state, entity=entity, command="verify --repair")
            sql = render_sql(
                "take_remote.sql",
                **layout.tables,
                entity=entity,
                fields=layout.fields,
                differing_only=True,
                delivery_key=project.entities[entity].delivery_key(token),
                run_id=run_id,
                now=now(),
            )
            state.transaction_with_retry(lambda: state.run(sql))
            finish_run(state, run_id, outcome="done", figures={"drifts": len(drifts)})
        return drifts


def _read_back(
    state: State,
    project: Project,
    entity: str,
    cancel: threading.Event,
    progress: Callable[[str, int, int | None], None],
) -> tuple[StagingLayout, str, int]:
    """Land what Stock2Shop holds, laid out as the view's columns; gives the layout, the sync token and the rows."""
    settings = project.entities.get(entity)
    if settings is None:
        raise UsageError(f"{project.name} has no {entity}.", hint=f"Write its views/{entity}.sql first.")
    if settings.search_path is None:
        raise UsageError(
            f"Stock2Shop has no public way to read {entity} back.",
            hint=f"If your account has one, give its address as search_path under [{entity}] in project.toml.",
        )
    with extract(project, render_view(project, entity), entity=entity, cancel=cancel) as (columns, _, _):
        version = str(state.value("select version()"))
        mapped = build_layout(ENTITIES[entity], columns, settings=settings, version=version)
    layout = state.with_retry(lambda: prepare(state, mapped))
    compact_journal(state, entity)
    with open_api(project.stock2shop, stop=cancel) as api:
        token = api.source().sync_token
        context = RunContext(state=state, project=project, entity=entity, sync_token=token)
        search_path = settings.search_path
        # With too little memory it is read again: what was landed until then is not complete.
        staged = state.with_retry(
            lambda: land(
                context,
                _batches(api.read_back(search_path, f"system_{entity}"), layout, progress),
                layout=layout,
                full=True,
            )
        )
    return layout, token, staged.rows


def _batches(
    documents: Iterable[dict[str, Any]], layout: StagingLayout, progress: Callable[[str, int, int | None], None]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    fields = [_must(layout, column) for column in layout.columns]
    waiting: list[Sequence[str | None]] = []
    done = 0

    def batch() -> pa.RecordBatch:
        columns = [pa.array(list(column), pa.string()) for column in zip(*waiting, strict=True)]
        waiting.clear()
        return pa.RecordBatch.from_arrays(columns, names=list(layout.columns))

    for document in documents:
        rows = texts(layout.entity.name, document, fields)
        waiting += rows
        done += len(rows)
        progress("reading back", done, None)
        if len(waiting) >= BATCH_ROWS:
            yield batch()
    if waiting:
        yield batch()


def _must(layout: StagingLayout, column: str) -> Any:
    field = layout.entity.resolve(column)
    assert field is not None
    return field
