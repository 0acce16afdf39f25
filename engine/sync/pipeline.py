"""The way out, top to bottom: a client's view becomes what Stock2Shop holds.

    render ─▶ extract ─▶ stage ─▶ validate ─▶ diff ─▶ guard ─▶ plan ─▶ payload ─▶ send ─▶ acknowledge

:func:`plan` stops before anything leaves or is kept; :func:`run` goes on. Both do the same until then, so that a plan
never promises what a run would not do. Nothing is sent unless every row of the source is accounted for.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.database.odbc import open_source
from engine.errors import (
    AccountingError,
    CancelledError,
    DeadlineError,
    GuardError,
    QueryError,
    SyncError,
    UnavailableError,
    UsageError,
    ViewError,
)
from engine.mapping.check import blamed, check_columns, check_view, fault_at, resolve_columns
from engine.mapping.render import render_sql, render_view
from engine.model.fields import ENTITIES
from engine.model.settings import Outcome
from engine.state.store import open_state
from engine.stock2shop import documents as payload
from engine.stock2shop.client import open_api
from engine.stock2shop.delivery import batches, deliver
from engine.sync import data_tests as expectations
from engine.sync import diff
from engine.sync import journal as acknowledge
from engine.sync.stage import SLICE, Layout, Staged, fill_slice, land, lay_out, prepare
from engine.sync.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from engine.database.odbc import Connection
    from engine.errors import Fault
    from engine.model.settings import Counts, EntitySettings, Plan, Project, Query
    from engine.state.store import State
    from engine.stock2shop.client import Api


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
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


def silent(_step: str, _done: int, _total: int | None) -> None:
    """Report progress to nobody."""


def plan(
    project: Project,
    entity: str,
    *,
    options: Options | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = silent,
) -> Plan:
    """Work out what :func:`run` would do for ``entity``; send and keep nothing.

    When Stock2Shop cannot be reached the plan is made with its last known sync token and says so.
    """
    options, stop = options or Options(), stop or threading.Event()
    contact = nullcontext() if options.offline else open_api(project.stock2shop, stop=stop)
    with open_state(project.state) as state, contact as api:
        sync_token, notes = _last_known(state, api)
        work = compare(state, project, entity, sync_token, options=options, stop=stop, progress=progress)
        return _planned(state, project, work, options, notes)


def run(
    project: Project,
    entity: str,
    *,
    options: Options | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = silent,
) -> Outcome:
    """Bring ``entity`` in step. Raises :class:`GuardError`, with nothing sent, when the plan is too large.

    Whatever ends a run early, published holds what Stock2Shop acknowledged up to then, and the next run sends the
    rest.
    """
    options, stop = options or Options(), stop or threading.Event()
    started = time.monotonic()
    deadline = options.deadline or project.stock2shop.deadline
    until = started + deadline if deadline else None
    with open_state(project.state) as state:
        run_id = acknowledge.begin(state, entity=entity, command="run")
        try:
            with open_api(project.stock2shop, until=until, stop=stop) as api:
                sync_token, notes = _sync_token(state, api)
                work = compare(state, project, entity, sync_token, options=options, stop=stop, progress=progress)
                planned = _planned(state, project, work, options, notes)
                _approve(planned, options)
                acknowledge.allow(state, entity=entity, run_id=run_id, counts=work.counts)
                acknowledge.settle(state, work.staged)
                sent, refused, message = _send(
                    state,
                    project,
                    work,
                    api,
                    run_id=run_id,
                    sync_token=sync_token,
                    until=until,
                    stop=stop,
                    progress=progress,
                )
                acknowledge.fold(state, work.staged.layout)
                if not message:
                    acknowledge.complete(state, entity)
                state.remember("sync_token", sync_token)
                requests = api.requests_made
        except SyncError as error:
            ended = "guarded" if isinstance(error, GuardError) else "failed"
            acknowledge.finish(state, run_id, outcome=ended, message=error.message)
            raise
        outcome = Outcome(
            plan=planned,
            run_id=run_id,
            outcome="stopped" if message else "done",
            sent=sent,
            refused=refused,
            requests=requests,
            seconds=time.monotonic() - started,
            message=message,
        )
        if outcome.attention and not message:
            outcome = replace(outcome, outcome="attention")
        acknowledge.finish(
            state,
            run_id,
            outcome=outcome.outcome,
            digest=planned.digest,
            counts=work.counts,
            figures={"sent": sent, "refused_now": refused, "requests": requests, "seconds": outcome.seconds},
            message=message,
        )
        acknowledge.prune(state, keep_days=project.keep_days)
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What stands in the working set after a comparison, and the numbers that it comes to."""

    entity: str
    settings: EntitySettings
    staged: Staged
    counts: Counts
    cuts: tuple[int, ...]
    unsent: tuple[str, ...]


def check(project: Project, entity: str) -> tuple[Query, tuple[Fault, ...]]:
    """Render and check an entity's view without a database; gives the query and the warnings.

    Raises :class:`RenderError` or :class:`ViewError` with every fault that was found.
    """
    query = render_view(project, entity)
    _, faults = check_view(
        query,
        dialect=project.source.dialect,
        entity=ENTITIES[entity],
        linked=project.entities[entity].linked,
    )
    return query, _sorted_out(faults)


@contextmanager
def extracted(
    project: Project,
    query: Query,
    *,
    entity: str,
    stop: threading.Event,
    pack: bool = False,
    source: Connection | None = None,
) -> Iterator[tuple[tuple[str, ...], bool, Iterator[pa.RecordBatch]]]:
    """Run the view; gives the canonical names of its columns, whether its rows are packed into one, and its batches.

    It is run on ``source`` where that is open already. The batches raise :class:`CancelledError` when ``stop`` is set.
    """
    import pyarrow as pa

    # Arrow's own allocators keep what a batch took for the next one; the system's gives it back.
    pa.set_memory_pool(pa.system_memory_pool())
    settings = project.entities[entity]
    with nullcontext(source) if source else open_source(project.source) as connection:
        try:
            read = connection.read(query.sql, pack=pack)
        except QueryError as error:
            raise _placed(error, query, project.source.dialect) from None
        _sorted_out(check_columns(query, read.columns, entity=ENTITIES[entity], linked=settings.linked))

        def until_stopped() -> Iterator[pa.RecordBatch]:
            for batch in read:
                if stop.is_set():
                    raise stopped()
                yield batch

        yield resolve_columns(read.columns, entity=ENTITIES[entity]), read.packed, until_stopped()


def _placed(error: QueryError, query: Query, dialect: str) -> QueryError:
    """What the database refused of a view, with the place in its template that it is about."""
    fault = fault_at(query, blamed(query, error.said, dialect=dialect), error.said, error.hint)
    return QueryError(error.said, hint=fault.hint, where=fault.where)


def stopped() -> CancelledError:
    """Say that the run was asked to stop."""
    return CancelledError(
        "Stopped as asked. What Stock2Shop acknowledged is recorded.", hint="Run again to go on with the rest."
    )


def _sorted_out(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    found = tuple(faults)
    if any(fault.severity == "error" for fault in found):
        raise ViewError([fault for fault in found if fault.severity == "error"])
    return found


def _last_known(state: State, api: Api | None) -> tuple[str, list[str]]:
    """The sync token for a plan: the remembered one, with a note, when Stock2Shop cannot be asked."""
    if api is None:
        return state.meta("sync_token") or "0", []
    try:
        return _sync_token(state, api)
    except UnavailableError as error:
        note = f"Stock2Shop could not be reached, so this is planned with what was last known. {error.message}"
        return state.meta("sync_token") or "0", [note]


def _sync_token(state: State, api: Api) -> tuple[str, list[str]]:
    """The source's sync token, and what to say when it changed."""
    known = state.meta("sync_token")
    token = api.source().sync_token
    notes = []
    if known is not None and token != known:
        notes.append(
            f"The source's sync token changed from {known} to {token}: Stock2Shop wants everything again, so every"
            " row is sent."
        )
    return token, notes


def compare(
    state: State,
    project: Project,
    entity: str,
    sync_token: str,
    *,
    options: Options,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None] = silent,
    tap: Callable[[tuple[str, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] | None = None,
    query: Query | None = None,
    source: Connection | None = None,
) -> Work:
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
        state.remember(f"repeats:{entity}", "yes")
        full = True
    if full and not options.full and not _repeats(state):
        state.run("delete from meta where name = $1", [f"repeats:{entity}"])
    return Work(
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
        with extracted(project, query, entity=entity, stop=stop, pack=tap is None, source=source) as (
            columns,
            packed,
            arriving,
        ):
            layout = lay_out(ENTITIES[entity], columns, settings=settings, version=version, packed=packed)
            prepare(state, layout)
            acknowledge.fold(state, layout)
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

    staged, columns = state.with_memory(read)
    if staged.fast:  # a first load needs more than the runs after it
        state.keep_memory()
    return staged, columns


def _repeats(state: State) -> bool:
    return bool(state.value("select count(*) from run.violation where rule = 'repeated_key'"))


def _unsent(columns: Iterable[str], layout: Layout) -> tuple[str, ...]:
    fields = (layout.entity.resolve(column) for column in columns)
    return tuple(field.name for field in fields if field is not None and not field.sent)


def _checked(state: State, project: Project, entity: str) -> Query:
    """The entity's query; parsed and checked only where it is not the very text that was checked before."""
    query = render_view(project, entity)
    known = state.meta(f"checked:{entity}")
    seal = f"{project.source.dialect} {project.entities[entity].linked} {query.digest}"
    if known != seal:
        check(project, entity)
        state.remember(f"checked:{entity}", seal)
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
    for start in range(after, upto, SLICE):
        for group, count in state.rows(
            "select _group, count(*) from run.outgoing where position > $1 and position <= $2"
            " group by _group order by min(position)",
            [start, min(start + SLICE, upto)],
        ):
            if group != product and size:
                yield size
                size = 0
            product, size = group, size + count
    if size:
        yield size


def _planned(state: State, project: Project, work: Work, options: Options, notes: list[str]) -> Plan:
    breaches = diff.guard(
        work.counts,
        work.settings,
        project=project.name,
        left=acknowledge.left(state, work.entity),
        approved_deletes=options.approve_deletes,
        approved_changes=options.approve_changes,
    )
    failed = expectations.examine(state, project, work.staged)
    breaches += expectations.breaches(failed)
    notes += expectations.notes(failed)
    if work.counts.resends and not any("sync token" in note for note in notes):
        notes.append(
            "Rows are sent again that did not change: default_price_tier did, or they were never sent under it."
        )
    notes += [f"{name} is mapped, but Stock2Shop has no public place for it: it is not sent." for name in work.unsent]
    if work.counts.held:
        notes.append(
            f"{work.counts.held:,} keys are gone while a row with a blank code stands in quarantine. They are held,"
            " not deleted, until that row is mended."
        )
    diff.tell_apart(state, work.staged)
    return diff.plan(
        state,
        work.counts,
        project=project,
        entity=work.entity,
        breaches=breaches,
        notes=notes,
        batches=len(work.cuts),
        everything=options.everything,
        reveal=options.reveal,
    )


def _approve(planned: Plan, options: Options) -> None:
    """Raise :class:`GuardError` unless this very plan was approved or breaks no guard."""
    if options.expect is not None:
        if options.expect != planned.digest:
            raise GuardError(
                f"The plan is now {planned.digest}, not {options.expect}: the source changed since. Nothing was sent.",
                hint=f"Look again with `s2s plan {planned.project} --entity {planned.entity}`, then approve the new"
                " digest.",
            )
        return
    if planned.breaches:
        exactly = f"s2s run {planned.project} --entity {planned.entity} --expect {planned.digest}"
        raise GuardError(
            "\n".join(breach.message for breach in planned.breaches) + "\nNothing was sent.",
            hint="\n".join(
                [*(breach.hint for breach in planned.breaches), f"Or approve exactly this plan: `{exactly}`."]
            ),
        )


def _send(
    state: State,
    project: Project,
    work: Work,
    api: Api,
    *,
    run_id: int,
    sync_token: str,
    until: float | None,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None],
) -> tuple[int, int, str]:
    """Send the delta batch by batch; gives the rows acknowledged, the rows refused, and why it stopped early."""
    layout = work.staged.layout
    sent = refused = position = sliced = 0
    total = work.cuts[-1] if work.cuts else 0

    def document(rows: Iterable[object]) -> bytes:
        return payload.document(
            work.entity,
            rows,  # type: ignore[arg-type]  # the rows are those that this function asked for below
            fields=layout.fields,
            source_id=project.stock2shop.source_id,
            sync_token=sync_token,
            default_price_tier=work.settings.default_price_tier,
        )

    for cut in work.cuts:
        if stop.is_set():
            raise stopped()
        if until is not None and time.monotonic() >= until:
            return sent, refused, _late(total - sent - refused)
        if cut > sliced:
            sliced = max(end for end in work.cuts if end <= max(cut, position + work.staged.in_hand))
            fill_slice(state, layout, after=position, upto=sliced)
        rows = state.dicts(
            render_sql("batch.sql", fields=layout.fields, shared=layout.shared, after=position, upto=cut)
        )
        acknowledge.attempt(state, entity=work.entity, after=position, upto=cut)
        try:
            for delivery in deliver(
                api,
                work.settings.path,
                rows,
                document=document,
                accepted_before=sent > 0,
                personal=[field.name for field in layout.fields if field.personal],
            ):
                if delivery.receipt is None:
                    (row,) = delivery.rows
                    acknowledge.refuse(
                        state,
                        entity=work.entity,
                        key=row["_key"],
                        kind=row["kind"],
                        reason=delivery.reason,
                        taken=delivery.taken,
                    )
                    refused += 1
                    continue
                acknowledge.record(
                    state,
                    layout,
                    after=delivery.rows[0]["position"] - 1,
                    upto=delivery.rows[-1]["position"],
                    kinds={row["kind"] for row in delivery.rows},
                    run_id=run_id,
                    stamp=work.settings.stamp(sync_token),
                    status=delivery.receipt.status,
                )
                sent += len(delivery.rows)
                progress("sending", sent, total)
        except DeadlineError:
            return sent, refused, _late(total - sent - refused)
        position = cut
    return sent, refused, ""


def _late(left: int) -> str:
    return f"The deadline came with {left:,} changes left; the next run sends them."
