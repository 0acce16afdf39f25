"""compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import AccountingError, UsageError
from engine.mapping.render import render_view
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.stock2shop.delivery import batches
from engine.sync import diff
from engine.sync import journal as acknowledge
from engine.sync.extract import extract
from engine.sync.layout import MAX_WINDOW_ROWS, Staged, StagingLayout, build_layout
from engine.sync.stage import land, prepare
from engine.sync.validate import validate

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from engine.database.connection import Connection
    from engine.model.plan import Counts
    from engine.model.query import Query
    from engine.model.settings import EntitySettings, Project
    from engine.state.store import State


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line asks of one plan or run.

    ``full`` compares every row anew; ``expect`` is the digest of the plan that was approved; the approvals are
    ceilings for this run only. ``deadline`` is seconds from the start. ``reveal`` shows personal data in the plan.
    """

    full: bool = False
    everything: bool = False
    expect: str | None = None
    approve_deletes: int | None = None
    approve_changes: int | None = None
    deadline: float | None = None
    offline: bool = False
    reveal: bool = False


def no_progress(_step: str, _done: int, _total: int | None) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What stands in the working set after a comparison, and the numbers that it comes to."""

    entity: str
    settings: EntitySettings
    staged: Staged
    counts: Counts
    cuts: tuple[int, ...]
    unsent: tuple[str, ...]


def compare(
    state: State,
    project: Project,
    entity: str,
    sync_token: str,
    *,
    options: RunOptions,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None] = no_progress,
    tap: Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] | None = None,
    query: Query | None = None,
    source: Connection | None = None,
) -> Comparison:
    """Stage, validate and diff one entity into the working set; nothing is kept but what speeds up the next time.

    ``tap`` sees the columns and every batch as it passes by. ``query`` is run instead of the project's view, as it is,
    and on ``source`` where that is open already.
    Raises :class:`UsageError` when the project has no such entity and :class:`AccountingError` when the rows do not add
    up.
    """
    settings = project.entities.get(entity)
    if settings is None:
        raise UsageError(
            f"{project.name} has no {entity}.",
            hint=f"Write views/{entity}.sql and a [{entity}] table in its project.toml.",
        )
    query = query or _checked(state, project, entity)
    full = options.full or state.meta(f"repeats:{entity}") is not None
    while True:
        staged, columns = _landed(
            state,
            project,
            query,
            entity=entity,
            sync_token=sync_token,
            full=full,
            stop=stop,
            progress=progress,
            tap=tap,
            source=source,
        )
        progress("comparing", 0, None)
        validate(state, staged, settings=settings)
        counts = diff.compare(state, staged, settings=settings, stamp=settings.stamp(sync_token))
        if counts.balanced:
            break
        if not staged.fast:
            raise AccountingError(
                f"The rows of {entity} do not add up, so nothing is sent: {counts}.",
                hint="This is a fault of s2s, not of the project: report it with this message.",
            )
        # A row that is known came twice, which shows only as a sum that is off. Every row is compared then, so that
        # the repeated key is named; and until the source is mended each run starts so.
        state.set_meta(f"repeats:{entity}", "yes")
        full = True
    if full and not options.full and not _repeats(state):
        state.run("delete from meta where name = $1", [f"repeats:{entity}"])
    return Comparison(
        entity=entity,
        settings=settings,
        staged=staged,
        counts=counts,
        cuts=_cuts(state, limit=project.stock2shop.batch_variants),
        unsent=_unsent(columns, staged.layout),
    )


def _landed(
    state: State,
    project: Project,
    query: Query,
    *,
    entity: str,
    sync_token: str,
    full: bool,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None],
    tap: Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] | None,
    source: Connection | None,
) -> tuple[Staged, tuple[str, ...]]:
    """Read the source into the working set; once more, from its beginning, where that needs more memory."""
    settings = project.entities[entity]
    version = str(state.value("select version()"))

    def read() -> tuple[Staged, tuple[str, ...]]:
        progress("reading", 0, None)  # a database may take minutes before its first row
        with extract(project, query, entity=entity, stop=stop, pack=tap is None, source=source) as (
            columns,
            packed,
            arriving,
        ):
            layout = build_layout(ENTITIES[entity], columns, settings=settings, version=version, packed=packed)
            prepare(state, layout)
            acknowledge.compact_journal(state, layout)
            staged = land(
                state,
                tap(columns, arriving) if tap else arriving,
                layout=layout,
                settings=settings,
                stamp=settings.stamp(sync_token),
                full=full,
                progress=lambda rows: progress("reading", rows, None),
            )
        return staged, columns

    staged, columns = state.with_retry(read)
    if staged.fast:  # a first load needs more than the runs after it
        state.save_memory_limit()
    return staged, columns


def _repeats(state: State) -> bool:
    return bool(state.value("select count(*) from run.violation where rule = 'repeated_key'"))


def _unsent(columns: Iterable[str], layout: StagingLayout) -> tuple[str, ...]:
    fields = (layout.entity.resolve(column) for column in columns)
    return tuple(field.name for field in fields if field is not None and not field.sent)


def _checked(state: State, project: Project, entity: str) -> Query:
    """The entity's query; parsed and checked only where it is not the very text that was checked before."""
    query = render_view(project, entity)
    known = state.meta(f"checked:{entity}")
    seal = f"{project.source.dialect} {project.entities[entity].linked} {query.digest}"
    if known != seal:
        render_checked_view(project, entity)
        state.set_meta(f"checked:{entity}", seal)
    return query


def _cuts(state: State, *, limit: int) -> tuple[int, ...]:
    """Positions in ``run.outgoing`` after which a batch ends. Removals and upserts never share one."""
    removals, total = state.row("select count(*) filter (where kind = 'delete'), count(*) from run.outgoing")
    cuts: list[int] = []
    for after, upto in ((0, removals), (removals, total)):
        cuts += [after + cut for cut in batches(_sizes(state, after, upto), limit=limit)]
    return tuple(cuts)


def _sizes(state: State, after: int, upto: int) -> Iterator[int]:
    """How many rows each product has in ``run.outgoing``, in its order, of those above ``after`` and up to ``upto``."""
    product: str | None = None
    size = 0
    for start in range(after, upto, MAX_WINDOW_ROWS):
        for group, count in state.rows(
            "select _group, count(*) from run.outgoing where position > $1 and position <= $2"
            " group by _group order by min(position)",
            [start, min(start + MAX_WINDOW_ROWS, upto)],
        ):
            if group != product and size:
                yield size
                size = 0
            product, size = group, size + count
    if size:
        yield size
