"""First contact with a live account: read Stock2Shop back, take it as published, or compare it with published.

So a lost state file, or an agent that is replaced, is never a reason to delete or resend everything. What is read
back goes through the very same canonical forms as the source's rows. Stock2Shop's search endpoint is public; which
fields it always gives is not, so a field that it leaves out counts as blank.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.errors import UsageError
from engine.mapping.engine_sql import render_sql
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES, masked, unmasked
from engine.state.store import open_state
from engine.stock2shop.client import open_api
from engine.stock2shop.local_user import local_user
from engine.stock2shop.read_back import Reader, held_rows
from engine.sync.clearing import find_unclearable
from engine.sync.compare import compare
from engine.sync.context import RunContext, RunOptions, no_progress
from engine.sync.extract import extract
from engine.sync.fields_read import first_runs, remember_fields_read
from engine.sync.journal import compact_journal
from engine.sync.layout import build_layout
from engine.sync.origin import record_origin, require_same_origin
from engine.sync.recording import recorded
from engine.sync.runs import begin_run, finish_run
from engine.sync.stage import land, prepare
from engine.sync.unanswered import doubt_unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from engine.model.settings import EntitySettings, Project
    from engine.state.store import State
    from engine.stock2shop.read_back import Held
    from engine.sync.context import Replica
    from engine.sync.layout import StagingLayout

BATCH_ROWS = 5_000
"""How many rows that were read back are compared with their source at a time."""

BATCH_BYTES = 32_000_000
"""About how many bytes of them."""


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
    replica: Replica | None = None,
) -> Adoption:
    """Take what Stock2Shop holds as published, in place of whatever was; the next run sends only true differences.

    Nothing is sent. The source is read, because one document may be what several rows come to: where what is held is
    what is sent of a row, the row itself is taken as published. What Stock2Shop holds and the source does not show is
    removed by the next run, as far as the guards allow. A variant that it holds in several products is taken in the one
    where the source has it, and removed from the others by the next run. What a machine of a fleet had sent a moment
    before it vanished may still be taken after this has looked: ``replica`` says so, and a later run sends it once
    more.
    """
    with recorded(project, entity, command="adopt") as record, open_state(project.state) as state:
        require_same_origin(state, project)
        run_id = begin_run(state, entity=entity, command="adopt")
        record.begin(run_id)
        doubt_unanswered(state, entity, replica=replica, read_timeout=project.stock2shop.read_timeout)
        report = record.progress(progress)
        held = _read_back(state, project, entity, cancel or threading.Event(), report, with_source=True)
        layout, token, rows = held.layout, held.token, held.rows
        before = int(state.value(render_sql("count.sql", table=layout.published)))
        readable = int(state.value("select count(*) from run.remote"))
        elsewhere = int(state.value("select count(*) from run.elsewhere"))
        sql = render_sql(
            "take_remote.sql",
            **layout.tables,
            entity=entity,
            fields=layout.fields,
            carried=(),
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
            remember_fields_read(state, layout)

        state.transaction_with_retry(take)
        finish_run(state, run_id, outcome="done", figures={"adopted": readable})
        return Adoption(remote=rows, before=before, published=readable, unreadable=rows - readable - elsewhere)


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

    ``repair`` takes what Stock2Shop holds for the keys that differ as published, so that the next run sends them again.
    It also takes over that Stock2Shop holds nothing of what was sent and not answered. Keys that only Stock2Shop knows
    are named and left alone. Personal data is masked unless ``reveal`` is asked for.
    """
    shown = unmasked if reveal else masked
    with recorded(project, entity, command="verify") as record, open_state(project.state) as state:
        require_same_origin(state, project)
        record.begin(None)
        report = record.progress(progress)
        held = _read_back(state, project, entity, cancel or threading.Event(), report, with_source=False)
        layout, token = held.layout, held.token
        state.run_with_retry(
            render_sql(
                "verify.sql",
                entity=entity,
                published=layout.published,
                fields=layout.fields,
                shared=layout.shared,
                carried=layout.carried,
                first_runs=first_runs(state, layout),
            )
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
        in_doubt = bool(state.value("select count(*) from in_doubt where entity = $1", [entity]))
        if repair and (drifts or in_doubt):
            run_id = begin_run(state, entity=entity, command="verify --repair")
            sql = render_sql(
                "take_remote.sql",
                **layout.tables,
                entity=entity,
                fields=layout.fields,
                carried=layout.carried,
                differing_only=True,
                delivery_key=project.entities[entity].delivery_key(token),
                run_id=run_id,
                now=now(),
            )
            state.transaction_with_retry(lambda: state.run(sql))
            finish_run(state, run_id, outcome="done", figures={"drifts": len(drifts)})
        return drifts


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What Stock2Shop holds, staged: the layout, the source's sync token, and how many rows there are."""

    layout: StagingLayout
    token: str
    rows: int


def _read_back(
    state: State,
    project: Project,
    entity: str,
    cancel: threading.Event,
    progress: Callable[[str, int, int | None], None],
    *,
    with_source: bool,
) -> ReadBack:
    """Stage what Stock2Shop holds, laid out as the view's columns, into ``run.remote``.

    1. Take the rows that it should hold: those of the source, in ``run.reference``, or else the published ones.
    2. Read every product or customer back, and write it as a row of the view: with a row's own values wherever what is
       held is what is sent for them. Into a file, since DuckDB cannot look rows up while it is reading others.
    3. Stage the rows like those of a source. Where a variant is held in several products, one of them is where it
       should be; the others come into ``run.elsewhere``.
    """
    settings = project.entities.get(entity)
    if settings is None:
        raise UsageError(f"{project.name} has no {entity}.", hint=f"Write its views/{entity}.sql first.")
    if settings.search_path is None:
        raise UsageError(
            f"Stock2Shop has no public way to read {entity} back.",
            hint=f"If your account has one, give its address as search_path under [{entity}] in project.toml.",
        )
    user = local_user(project.stock2shop, project.state.parent)
    with open_api(project.stock2shop, stop=cancel, user=user) as api:
        token = api.source().sync_token
        context = RunContext(
            state=state,
            project=project,
            entity=entity,
            ask_sync_token=lambda: token,
            options=RunOptions(full=True),
            cancel=cancel,
            progress=progress,
        )
        if with_source:
            layout = compare(context).staged.layout
            state.run_with_retry(render_sql("reference.sql", fields=layout.fields))
        else:
            layout = _published_layout(context)
        # What is read back never arrives packed.
        layout = replace(layout, packed=False)
        reference = "run.reference" if with_source else layout.published
        path = state.scratch / "read_back"
        rows = _write_rows(
            context,
            path,
            api.read_back(settings.search_path, f"system_{entity}"),
            layout=layout,
            find_rows=render_sql("rows_of_keys.sql", table=reference),
            # What was published says nothing of what somebody typed at Stock2Shop for a row that is blank.
            stated=_find_stated(state, layout, settings) if with_source else frozenset(),
        )
    state.with_retry(lambda: land(context, _read_rows(path), layout=layout, full=True))
    path.unlink()
    unclearable = find_unclearable(layout, settings)
    state.run_with_retry(render_sql("remote.sql", reference=reference, fields=layout.fields, unclearable=unclearable))
    return ReadBack(layout, token, rows)


def _find_stated(state: State, layout: StagingLayout, settings: EntitySettings) -> frozenset[str]:
    """The columns that a blank does not clear and that the view speaks of.

    A column of its own is mapped in order to be sent. A list of price tiers may be one without default prices: it
    speaks of them where any row of the source has one.
    """
    own = {field.name for field in layout.fields if field.role in {"price", "variant"}}
    stated = set()
    for each in find_unclearable(layout, settings):
        sql = f"select exists (from run.reference as staged where {each.staged})"
        if each.column in own or state.value(sql):
            stated.add(each.column)
    return frozenset(stated)


def _published_layout(context: RunContext) -> StagingLayout:
    """The layout of the view's columns; the journal is folded into published."""
    state, project, entity = context.state, context.project, context.entity
    query = render_checked_view(project, entity).query
    with extract(project, query, entity=entity, cancel=context.cancel) as (columns, _, _):
        mapped = build_layout(ENTITIES[entity], columns, settings=context.settings, version=state.version)
    layout = state.with_retry(lambda: prepare(state, mapped))
    compact_journal(state, entity)
    return layout


def _write_rows(
    context: RunContext,
    path: Path,
    documents: Iterable[dict[str, Any]],
    *,
    layout: StagingLayout,
    find_rows: str,
    stated: frozenset[str],
) -> int:
    """Write ``documents`` as rows of the view to ``path``; gives how many rows they are.

    ``find_rows`` is the SQL of the rows of a list of keys.
    """
    import pyarrow as pa

    schema = pa.schema([(column, pa.string()) for column in layout.columns])
    columns = [field for column in layout.columns if (field := layout.entity.resolve(column)) is not None]
    reader = Reader(
        layout.entity,
        columns,
        fields=layout.fields,
        price_settings=context.settings.prices,
        stated=stated,
    )
    done = 0
    with path.open("wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for batch in _gather(row for document in documents for row in held_rows(layout.entity, document)):
            keys = [held.key for held in batch if held is not None]
            known = {row["_key"]: row for row in context.state.dicts(find_rows, [keys])}
            texts = [
                [None] * len(layout.columns) if held is None else reader.texts(held, known.get(held.key))
                for held in batch
            ]
            arrays = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            done += len(batch)
            context.progress("reading back", done, None)
    return done


def _read_rows(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
        yield from stream


def _gather(rows: Iterable[Held | None]) -> Iterator[list[Held | None]]:
    """``rows`` in batches, none of which is much larger than the limits."""
    batch: list[Held | None] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += 0 if row is None else row.size
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
