"""The way out, top to bottom: a client's view becomes what Stock2Shop holds.

    render ─▶ extract ─▶ stage ─▶ validate ─▶ diff ─▶ guard ─▶ plan ─▶ payload ─▶ send ─▶ acknowledge

:func:`plan` stops before anything leaves or is kept; :func:`run` goes on. Both do the same until then, so that a plan
never promises what a run would not do. Nothing is sent unless every row of the source is accounted for.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import GuardError, SyncError, UnavailableError
from engine.model.plan import Outcome
from engine.state.store import open_state
from engine.stock2shop.client import open_api
from engine.sync import data_tests as expectations
from engine.sync import diff
from engine.sync import journal as acknowledge
from engine.sync.compare import RunOptions, compare, no_progress
from engine.sync.dispatch import send_delta
from engine.sync.guard import find_violations, require_approval
from engine.sync.runs import begin_run, clear_budget, finish_run, grant_budget, prune_history, remaining_budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.plan import Plan
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.stock2shop.api import Api
    from engine.sync.compare import Comparison


def plan(
    project: Project,
    entity: str,
    *,
    options: RunOptions | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> Plan:
    """Work out what :func:`run` would do for ``entity``; send and keep nothing.

    When Stock2Shop cannot be reached the plan is made with its last known sync token and says so.
    """
    options, stop = options or RunOptions(), stop or threading.Event()
    contact = nullcontext() if options.offline else open_api(project.stock2shop, stop=stop)
    with open_state(project.state) as state, contact as api:
        sync_token, notes = _last_known(state, api)
        work = compare(state, project, entity, sync_token, options=options, stop=stop, progress=progress)
        return _planned(state, project, work, options, notes)


def run(
    project: Project,
    entity: str,
    *,
    options: RunOptions | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> Outcome:
    """Bring ``entity`` in step. Raises :class:`GuardError`, with nothing sent, when the plan is too large.

    Whatever ends a run early, published holds what Stock2Shop acknowledged up to then, and the next run sends the
    rest.
    """
    options, stop = options or RunOptions(), stop or threading.Event()
    started = time.monotonic()
    deadline = options.deadline or project.stock2shop.deadline
    until = started + deadline if deadline else None
    with open_state(project.state) as state:
        run_id = begin_run(state, entity=entity, command="run")
        try:
            with open_api(project.stock2shop, until=until, stop=stop) as api:
                sync_token, notes = _sync_token(state, api)
                work = compare(state, project, entity, sync_token, options=options, stop=stop, progress=progress)
                planned = _planned(state, project, work, options, notes)
                require_approval(planned, options)
                grant_budget(state, entity=entity, run_id=run_id, counts=work.counts)
                acknowledge.record_local_outcomes(state, work.staged)
                sent, refused, message = send_delta(
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
                acknowledge.compact_journal(state, work.staged.layout)
                if not message:
                    clear_budget(state, entity)
                state.set_meta("sync_token", sync_token)
                requests = api.requests_made
        except SyncError as error:
            ended = "guarded" if isinstance(error, GuardError) else "failed"
            finish_run(state, run_id, outcome=ended, message=error.message)
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
        finish_run(
            state,
            run_id,
            outcome=outcome.outcome,
            digest=planned.digest,
            counts=work.counts,
            figures={"sent": sent, "refused_now": refused, "requests": requests, "seconds": outcome.seconds},
            message=message,
        )
        prune_history(state, keep_days=project.keep_days)
        return outcome


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


def _planned(state: State, project: Project, work: Comparison, options: RunOptions, notes: list[str]) -> Plan:
    breaches = find_violations(
        work.counts,
        work.settings,
        project=project.name,
        left=remaining_budget(state, work.entity),
        approved_deletes=options.approve_deletes,
        approved_changes=options.approve_changes,
    )
    failed = expectations.run_data_tests(state, project, work.staged)
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
    diff.diff_columns(state, work.staged)
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
