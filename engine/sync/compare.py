"""Compare the rows of a view with what Stock2Shop acknowledged: the part that plan, run, explain and review share.

In: a context, and another query or an open connection where the project's own are not meant. Out: a
:class:`Comparison`, whose rows are in the working set of the state, in the tables of the schema ``run``.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.database.open import open_source
from engine.errors import AccountingError, UnpackableError
from engine.mapping.engine_sql import render_sql
from engine.mapping.render import render_view
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.stock2shop.delivery import MAX_BATCH_BYTES, batches
from engine.sync.diff import compute_delta, count_unchanged
from engine.sync.extract import extract
from engine.sync.journal import compact_journal, remember_wide_rows, wide_row_bytes
from engine.sync.layout import MAX_WINDOW_ROWS, Window, build_layout
from engine.sync.reader_check import check_reader
from engine.sync.stage import land, prepare, widest_row
from engine.sync.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from engine.database.connection import Connection
    from engine.model.plan import Counts
    from engine.model.query import Query
    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.context import RunContext
    from engine.sync.layout import Staged

    BatchObserver = Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
    """Takes the names of the columns and the batches, and gives the batches on as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The numbers of a comparison; its rows are in the working set.

    ``batch_ends`` are the positions in ``run.outgoing`` after which a batch ends, ``batch_bytes`` about how large each
    is. ``unsent`` are the fields that the view maps and that are not sent, since Stock2Shop has no public place for
    them.
    """

    entity: str
    settings: EntitySettings
    staged: Staged
    counts: Counts
    batch_ends: tuple[int, ...]
    batch_bytes: tuple[int, ...]
    unsent: tuple[str, ...]


def compare(
    context: RunContext,
    *,
    query: Query | None = None,
    source: Connection | None = None,
    on_batch: BatchObserver | None = None,
    may_skip: bool = False,
) -> Comparison:
    """Stage, validate and diff one entity; nothing is kept but what makes the next comparison faster.

    1. Render and check the view, unless ``query`` is given: that one is run as it is. Where the project's reader is not
       pyodbc, compare both on a sample of a view that is new to it.
    2. Fold the journal of the last run into published.
    3. Extract the rows, from ``source`` where that is open already, and stage those that are new or differ.
    4. Validate them, give each the product fields that it is sent with, and work out the delta.
    5. Check that every row is accounted for. Where only an incremental comparison does not add up, a known row was
       there twice: every row is compared, from step 3, so that validation names the repeated key. The runs after it
       begin so as well, until the key is no longer repeated.

    With ``may_skip``, where every row is known, none is missing and nothing waits to be closed, there is nothing to
    validate or to compare: the rows are counted, and the working set has no tables (``staged.unchanged``).
    ``on_batch`` sees the columns and every batch as they arrive. Raises :class:`UsageError` when the project has no
    such entity and :class:`AccountingError` when the rows do not add up.
    """
    state, entity = context.state, context.entity
    settings = context.settings
    query = query or render_once_checked(context)
    if source is None:
        check_reader(context, query)
    compact_journal(state, entity)
    repeated_key = f"repeats:{entity}"
    full = context.options.full or state.meta(repeated_key) is not None
    while True:
        staged, columns = _read(context, query, full=full, source=source, on_batch=on_batch, may_skip=may_skip)
        if staged.unchanged:
            counts = count_unchanged(state, staged)
        else:
            context.progress("comparing", 0, None)
            validate(state, staged, settings=settings)
            counts = compute_delta(state, staged, settings=settings, delivery_key=context.delivery_key)
        if counts.balanced:
            break
        if not staged.incremental:
            raise AccountingError(
                f"The rows of {entity} do not add up, so nothing is sent: {counts}.",
                hint="This is a fault of s2s, not of the project: report it with this message.",
            )
        state.set_meta(repeated_key, "yes")
        full = True
    if full and not context.options.full and not _has_repeated_keys(state):
        state.forget_meta(repeated_key)
    resolved = (staged.layout.entity.resolve(column) for column in columns)
    limit = context.project.stock2shop.batch_variants
    ends = [] if staged.unchanged else [*_find_batches(state, staged, limit=limit)]
    return Comparison(
        entity=entity,
        settings=settings,
        staged=staged,
        counts=counts,
        batch_ends=tuple(end for end, _ in ends),
        batch_bytes=tuple(size for _, size in ends),
        unsent=tuple(field.name for field in resolved if field is not None and not field.sent),
    )


def render_once_checked(context: RunContext) -> Query:
    """The entity's query; it is parsed and checked unless that was done before for the very same text."""
    state, project, entity = context.state, context.project, context.entity
    query = render_view(project, entity)
    check_key = f"{project.source.dialect} {context.settings.linked} {query.digest}"
    if state.meta(f"checked:{entity}") != check_key:
        render_checked_view(project, entity)
        state.set_meta(f"checked:{entity}", check_key)
    return query


def _read(
    context: RunContext,
    query: Query,
    *,
    full: bool,
    source: Connection | None,
    on_batch: BatchObserver | None,
    may_skip: bool,
) -> tuple[Staged, tuple[str, ...]]:
    """Read the source into the working set, once, whatever memory that needs.

    A view with a row that does not arrive as one text is read again, column by column, and so it is by every later run
    until its SQL changes.
    """
    state, entity = context.state, context.entity
    unpackable = f"unpackable:{entity}"

    def read() -> tuple[Staged, tuple[str, ...]]:
        context.progress("reading", 0, None)  # a database may take minutes before its first row
        with extract(
            context.project,
            query,
            entity=entity,
            cancel=context.cancel,
            pack=on_batch is None and state.meta(unpackable) != query.digest,
            source=nullcontext(source) if source else _open_source(context),
        ) as (columns, packed, arriving):
            layout = build_layout(
                ENTITIES[entity], columns, settings=context.settings, version=state.version, packed=packed
            )
            layout = prepare(state, layout)
            staged = land(
                context,
                on_batch(columns, arriving) if on_batch else arriving,
                layout=layout,
                full=full,
                may_skip=may_skip,
                progress=lambda rows: context.progress("reading", rows, None),
            )
        return staged, columns

    try:
        staged, columns = read()
    except UnpackableError:
        state.set_meta(unpackable, query.digest)
        staged, columns = read()
    if staged.incremental:  # a first load needs more than the runs after it
        state.save_memory_limit()
    remember_wide_rows(state, staged)
    return staged, columns


@contextmanager
def _open_source(context: RunContext) -> Iterator[Connection]:
    """Open the project's source, and have Stock2Shop's sync token by then.

    Connecting takes as long as waiting for Stock2Shop's turn, so the one is done during the other. The query comes
    after both: nobody's rows are locked while Stock2Shop does not answer.
    """
    with open_source(context.project.source, deadline=replace(context.deadline, stop=context.cancel)) as connection:
        context.ask_sync_token()
        yield connection


def _has_repeated_keys(state: State) -> bool:
    return bool(state.value("select count(*) from run.violation where rule = 'repeated_key'"))


def _find_batches(state: State, staged: Staged, *, limit: int) -> Iterator[tuple[int, int]]:
    """The positions in ``run.outgoing`` after which a batch ends, and about how large it is.

    Removals and upserts never share a batch.
    """
    removals, total = state.row("select count(*) filter (where kind = 'delete'), count(*) from run.outgoing")
    width = max(staged.width, wide_row_bytes(state))  # what is removed did not arrive
    for end, _ in batches(_measure_products(state, 0, removals, limit=limit), limit=limit):
        yield end, width * min(limit, end)
    weigh = staged.bytes > MAX_BATCH_BYTES and widest_row(state) * limit > MAX_BATCH_BYTES
    start = 0
    for end, size in batches(_measure_products(state, removals, total, limit=limit, weigh=weigh), limit=limit):
        yield removals + end, size if weigh else staged.width * (end - start)
        start = end


def _measure_products(
    state: State, after: int, upto: int, *, limit: int, weigh: bool = False
) -> Iterator[tuple[int, int]]:
    """How many rows each product has in ``run.outgoing``, in its order, of those above ``after`` and up to ``upto``.

    With ``weigh`` also how many bytes they have, else 0. Rows that fit into one batch of ``limit`` are counted as if
    they were of one product where they are not weighed.
    """
    if upto - after <= limit and not weigh:
        if upto > after:
            yield upto - after, 0
        return
    product: str | None = None
    rows = size = 0
    for start in range(after, upto, MAX_WINDOW_ROWS):
        for group, count, weight in state.rows(
            render_sql("product_sizes.sql", weigh=weigh), Window(start, min(start + MAX_WINDOW_ROWS, upto)).bounds
        ):
            if group != product and rows:
                yield rows, size
                rows = size = 0
            product, rows, size = group, rows + count, size + weight
    if rows:
        yield rows, size
