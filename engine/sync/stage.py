"""Stage extracted batches: drop known rows, make the others canonical, and write them to the working set.

Rows stream from the reader to DuckDB. A row whose raw fingerprint is already known is counted and dropped on the
way; only rows that are new or differ are made canonical and written. So a run on an unchanged source writes nothing,
its cost is that of fetching, and a row that is known takes one bit of memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.sync.fingerprints import FingerprintIndex, UnknownRows
from engine.sync.layout import (
    MAX_WINDOW_BYTES,
    MAX_WINDOW_ROWS,
    STAGING_TYPES,
    Staged,
    Window,
    canonical_macros,
    table_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from engine.model.fields import Field
    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.clearing import Unclearable
    from engine.sync.context import RunContext
    from engine.sync.fingerprints import Portion
    from engine.sync.layout import StagingLayout


PLAIN_TYPES = ("text", "code", "url", "email", "html")
"""Types of the contract whose clean text is read as it is, and breaks no rule by itself."""


MAX_ADDED_COLUMNS = 40
"""So many columns are added one by one to tables without rows; for more, the tables are made again: each addition costs
as much as the table has columns."""

MEGABYTES_PER_ROW_BYTE = 0.0015
"""About how much memory DuckDB takes to stage rows, by how wide they are: it holds hundreds of them at once."""

MEGABYTES_PER_COLUMN = 0.6
"""About how much memory DuckDB takes to stage one column, however few rows there are."""

MAX_UNEVEN_BYTES = 4 * MAX_WINDOW_BYTES
"""How large a window may be if all of its rows were as wide as the widest, before rows are weighed."""

MANY_KNOWN_ROWS = 100_000
"""Reading the fingerprints of so many rows leaves MB in DuckDB's buffers."""


def create_tables(state: State, entity: str) -> None:
    """Create what is missing of the entity's tables; nothing where the state says that they are as they are now."""
    script = render_sql("tables.sql", **table_names(entity), fields=[], types={})
    name, current = f"tables:{entity}", hashlib.sha256(script.encode()).hexdigest()[:16]
    if state.meta(name) != current:
        state.run_with_retry(script)
        state.set_meta(name, current)


def prepare(state: State, layout: StagingLayout) -> StagingLayout:
    """Create what is missing of the entity's tables, and their columns.

    Gives the layout with the columns that are carried on.
    """
    create_tables(state, layout.entity.name)
    present = state.columns(layout.published)
    missing = [field for field in layout.fields if field.name not in present]
    if len(missing) > MAX_ADDED_COLUMNS and not _has_rows(state, layout):
        drop = f"drop table if exists {layout.published}; drop table if exists {layout.acknowledged};"
        create = render_sql("tables.sql", **layout.tables, fields=layout.fields, types=STAGING_TYPES)
        state.transaction_with_retry(lambda: state.run(f"{drop}\n{create}"))
        present = state.columns(layout.published)
    for table, columns in ((layout.published, present), (layout.acknowledged, state.columns(layout.acknowledged))):
        for field in layout.fields:
            if field.name not in columns:
                # Only these: a live run was slower by a tenth where each column was added `if not exists`.
                sql = render_sql("add_column.sql", table=table, column=field.name, type=STAGING_TYPES[field.type])
                state.run_with_retry(sql)
    if "_own" not in present:
        _convert_published(state, layout)
    return replace(layout, carried=_carried(layout, present))


def _has_rows(state: State, layout: StagingLayout) -> bool:
    tables = (layout.published, layout.acknowledged)
    return any(state.value(render_sql("count.sql", table=table)) for table in tables)


def _convert_published(state: State, layout: StagingLayout) -> None:
    """Have the tables of a state that an older version wrote hold every row as it was sent."""
    if layout.shared:
        state.run_with_retry(
            render_sql(
                "published_as_sent.sql",
                published=layout.published,
                shared=layout.shared,
                shared_fingerprint=layout.shared_fingerprint,
            )
        )

    def convert() -> None:
        for table in (layout.published, layout.acknowledged):
            state.run(render_sql("add_column.sql", table=table, column="_own", type="varchar"))
        if layout.shared:
            state.run(render_sql("convert_published.sql", published=layout.published, fingerprint=layout.fingerprint))

    state.transaction_with_retry(convert)


def _carried(layout: StagingLayout, present: Iterable[str]) -> tuple[str, ...]:
    """The published columns that the view no longer maps and of which Stock2Shop keeps what it has.

    A price tier, a warehouse or an attribute is a member of a list: while the list is sent, it is sent without it.
    """
    mapped = {field.name for field in layout.fields}
    lists = {_LISTS[field.role] for field in layout.fields if field.role in _LISTS}
    gone = [layout.entity.resolve(name) for name in present if not name.startswith("_") and name not in mapped]
    return tuple(field.name for field in gone if field is not None and _LISTS.get(field.role) not in lists)


_LISTS = {"prices": "price tiers", "tier": "price tiers", "warehouse": "warehouses", "meta": "attributes"}
"""The list of a document that a field of a role is a member of."""


def land(
    context: RunContext,
    batches: Iterable[pa.RecordBatch],
    *,
    layout: StagingLayout,
    full: bool = False,
    may_skip: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Staged:
    """Stream ``batches``, whose columns are in the order of ``layout``, into ``run.landed``.

    ``full`` makes every row canonical again; so are those that were acknowledged under another delivery key. With
    ``may_skip`` no tables are made where nothing differs. ``progress`` is called with the number of rows that arrived.
    Whatever the reader raises is raised as it is.
    """
    state, settings = context.state, context.settings
    trusted = not full and state.meta(f"mapping:{layout.entity.name}") == layout.mapping
    in_doubt = bool(state.value("select count(*) from in_doubt where entity = $1", [layout.entity.name]))
    state.run_with_retry(
        render_sql(
            "known.sql",
            **layout.tables,
            entity=layout.entity.name,
            trusted=trusted,
            in_doubt=in_doubt,
            delivery_key=context.delivery_key,
        )
    )
    sql = ""
    with state.spill_file() as blocks:
        known = FingerprintIndex(state, blocks)
        if known.size > MANY_KNOWN_ROWS:
            state.release_buffers()
        columns = ("_packed",) if layout.packed else layout.columns
        reader = UnknownRows(batches, columns, known, progress, values=len(layout.columns) if layout.packed else 0)
        for portion in reader.portions(state):
            sql = sql or _make_landing(state, layout, settings)
            state.ensure_memory_limit(MEGABYTES_PER_ROW_BYTE * reader.bytes / reader.landed)
            state.with_retry(partial(_land_portion, state, sql, portion, reader))
        staged = Staged(
            layout=layout,
            rows=reader.rows,
            landed=reader.landed,
            incremental=trusted,
            width=reader.bytes // max(reader.landed, 1),
            in_doubt=in_doubt,
        )
        missing = known.missing()
        first = next(missing, None)
        differs = bool(reader.landed or known.untrusted or first is not None)
        if may_skip and trusted and not differs and _nothing_waits(state, layout):
            return replace(staged, unchanged=True)
        if not sql:
            _make_landing(state, layout, settings)
        state.run_with_retry("create or replace table run.missing_raw (raw ubigint)")
        for part in () if first is None else chain((first,), missing):
            with state.registered("missing", part):
                state.run_with_retry("insert into run.missing_raw from missing")
    state.run_with_retry("alter table run.landed add column if not exists _own varchar")
    state.run_with_retry(render_sql("unmatched.sql", any=bool(known.untrusted or first is not None)))
    return staged


def _land_portion(state: State, sql: str, portion: Portion, reader: UnknownRows) -> None:
    with state.registered("incoming", portion.read()):
        try:
            state.run(sql)
        except BaseException:
            # DuckDB wraps what the reader raised in an error of its own, and may lose it.
            if reader.raised is not None:
                raise reader.raised from None
            raise


def _make_landing(state: State, layout: StagingLayout, settings: EntitySettings) -> str:
    """Create the table for rows that land, empty, and the macros of the canonical forms; gives what lands a portion."""
    state.ensure_memory_limit(MEGABYTES_PER_COLUMN * len(layout.columns))
    state.with_retry(lambda: state.run_once(canonical_macros()))
    state.run_with_retry(render_sql("landing_table.sql", fields=layout.fields, types=STAGING_TYPES))
    html = [field.name for field in layout.fields if field.type == "html"]
    judged = {field.name for field in layout.fields if field.type not in PLAIN_TYPES or field.type == "html"}
    return render_sql(
        "land.sql",
        columns=layout.columns,
        html_columns=html,
        only_unclean=[column for column in layout.columns if column not in judged],
        plain_types=PLAIN_TYPES,
        own_prices=[
            (field.name, field.placeholder_value or None)
            for field in layout.fields
            if field.role in {"price", "tier"} and field.name in layout.columns
        ],
        quantities=[field.name for field in layout.fields if field.role == "warehouse" or field.name == "variants.qty"],
        plain_columns=[column for column in layout.columns if column not in html and column != layout.entity.key],
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


def _nothing_waits(state: State, layout: StagingLayout) -> bool:
    """Whether a run that finds no difference has nothing to record either."""
    entity = layout.entity.name
    if state.meta(f"definition:{entity}") != layout.definition:
        return False
    return bool(state.value(render_sql("nothing_waits.sql", entity=entity)))


def windows(state: State, staged: Staged) -> Iterator[Window]:
    """The windows that cover ``run.outgoing``, in its order."""
    total = int(state.value("select count(*) from run.outgoing"))
    if staged.bytes > MAX_WINDOW_BYTES and widest_row(state) * staged.window_rows > MAX_UNEVEN_BYTES:
        sql = render_sql("window_ends.sql", rows=MAX_WINDOW_ROWS, bytes=MAX_WINDOW_BYTES)
        for after, upto in pairwise([0, *(end for (end,) in state.rows(sql))]):
            yield Window(after, upto)
        return
    for after in range(0, total, staged.window_rows):
        yield Window(after, after + staged.window_rows)


def widest_row(state: State) -> int:
    """How many bytes the widest row has that landed."""
    return int(state.value("select coalesce(max(_size), 0) from run.landed"))


def load_window(
    state: State, layout: StagingLayout, window: Window, *, unclearable: Sequence[Unclearable] = ()
) -> None:
    """Fill ``run.window_rows`` with the whole rows of the delta in ``window``.

    ``unclearable`` are the fields that a blank does not clear: each row has the names of those that it has a value of.
    """
    removes = state.value(
        "select exists (from run.outgoing where kind = 'delete' and position > $after and position <= $upto)",
        window.bounds,
    )
    state.run_with_retry(
        render_sql(
            "window.sql",
            published=layout.published,
            removes=bool(removes),
            fields=layout.fields,
            carried=layout.carried,
            unclearable=unclearable,
            carried_shared=[name for name in layout.carried if _is_shared(layout, name)],
        ),
        window.bounds,
    )


def _is_shared(layout: StagingLayout, name: str) -> bool:
    """Whether all variants of a product have the column ``name`` in common."""
    field = layout.entity.resolve(name)
    return layout.entity.group is not None and field is not None and field.level == "product"


def _required_fields(layout: StagingLayout, settings: EntitySettings) -> tuple[Field, ...]:
    if settings.linked:
        return ()
    names = {field.name for field in layout.entity.required(linked=False)}
    return tuple(field for field in layout.fields if field.name in names)
