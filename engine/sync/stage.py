"""Stage extracted batches: drop known rows, make the others canonical, and write them to the working set.

Rows stream from the reader to DuckDB. A row whose raw fingerprint is already known is counted and dropped on the
way; only rows that are new or differ are made canonical and written. So a run on an unchanged source writes nothing,
its cost is that of fetching, and a row that is known takes one bit of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.sync.fingerprints import FingerprintIndex, UnknownRows
from engine.sync.layout import SQL, STAGING_TYPES, Staged, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from engine.model.fields import Field
    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.context import RunContext
    from engine.sync.layout import StagingLayout


def prepare(state: State, layout: StagingLayout) -> None:
    """Create what is missing of the entity's tables, their columns, and the macros of the canonical forms."""
    state.run_once((SQL / "canonical.sql").read_text("utf-8"))
    state.run_once(render_sql("tables.sql", **layout.tables))
    for table in (layout.published, layout.acknowledged):
        present = state.columns(table)
        for field in layout.fields:
            if field.name not in present:
                # Only these: a live run was slower by a tenth where each column was added `if not exists`.
                state.run(render_sql("add_column.sql", table=table, column=field.name, type=STAGING_TYPES[field.type]))


def land(
    context: RunContext,
    batches: Iterable[pa.RecordBatch],
    *,
    layout: StagingLayout,
    full: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Staged:
    """Stream ``batches``, whose columns are in the order of ``layout``, into ``run.landed``.

    ``full`` makes every row canonical again; so are those that were acknowledged under another delivery key.
    ``progress`` is called with the number of rows that arrived. Whatever the reader raises is raised as it is.
    """
    state, settings = context.state, context.settings
    trusted = not full and state.meta(f"mapping:{layout.entity.name}") == layout.mapping
    state.run(
        render_sql(
            "known.sql",
            **layout.tables,
            trusted=trusted,
            delivery_key=context.delivery_key,
        )
    )
    sql = render_sql(
        "land.sql",
        columns=layout.columns,
        packed=layout.packed,
        fields=layout.fields,
        fingerprint=layout.fingerprint,
        shared_fingerprint=layout.shared_fingerprint,
        required=_required_fields(layout, settings),
        key=layout.entity.key,
        group=layout.entity.group,
        flag=layout.entity.flag,
        active=dict(settings.active),
        options=layout.options,
        option_names=[
            (f"option{option[15]}_name", option, settings.option_names[int(option[15]) - 1])
            for option in layout.options
        ],
        types=STAGING_TYPES,
    )
    with state.spill_file() as blocks:
        known = FingerprintIndex(state, blocks)
        state.release_buffers()
        state.run(render_sql("landing_table.sql", fields=layout.fields, types=STAGING_TYPES))
        reader = UnknownRows(batches, ("_packed",) if layout.packed else layout.columns, known, progress)
        for portion in reader.portions():
            with state.registered("incoming", portion):
                try:
                    state.run(sql)
                except BaseException:
                    # DuckDB wraps what the reader raised in an error of its own, and may lose it.
                    if reader.raised is not None:
                        raise reader.raised from None
                    raise
        state.run("create or replace table run.missing_raw (raw ubigint)")
        for missing in known.missing():
            with state.registered("missing", missing):
                state.run_with_retry("insert into run.missing_raw from missing")
    unmatched = known.untrusted or state.value("select count(*) from run.missing_raw")
    state.run_with_retry(render_sql("unmatched.sql", any=bool(unmatched)))
    return Staged(layout=layout, rows=reader.rows, incremental=trusted, width=reader.bytes // max(reader.landed, 1))


def windows(state: State, staged: Staged) -> Iterator[Window]:
    """The windows that cover ``run.outgoing``, in its order."""
    total = int(state.value("select count(*) from run.outgoing"))
    for after in range(0, total, staged.window_rows):
        yield Window(after, after + staged.window_rows)


def load_window(state: State, layout: StagingLayout, window: Window) -> None:
    """Fill ``run.window_rows`` with the whole rows of the delta in ``window``."""
    state.run_with_retry(
        render_sql("window.sql", **layout.tables, entity=layout.entity.name, fields=layout.fields, **window.bounds)
    )


def _required_fields(layout: StagingLayout, settings: EntitySettings) -> tuple[Field, ...]:
    if settings.linked:
        return ()
    names = {field.name for field in layout.entity.required(linked=False)}
    return tuple(field for field in layout.fields if field.name in names)
