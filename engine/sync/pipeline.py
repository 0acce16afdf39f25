"""Bring Stock2Shop in step with a client's view: the one page that shows the whole way.

    render ─▶ check ─▶ extract ─▶ stage ─▶ validate ─▶ diff ─▶ guard ─▶ plan ─▶ send ─▶ record

:func:`plan` ends before anything is sent or recorded; :func:`run` goes on. Both take the same steps until then, so that
a plan never announces what a run would not do. Nothing is sent unless every row of the source is accounted for.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from engine.clock import Deadline
from engine.errors import DeadlineError, GuardError, SyncError, UnavailableError
from engine.model.plan import Outcome, history_counts
from engine.state.store import open_state
from engine.stock2shop.client import open_api
from engine.stock2shop.local_user import local_user
from engine.sync import data_tests
from engine.sync.approval import clear_approval, count_approved, drop_stale_approvals, remember_approval
from engine.sync.compare import compare
from engine.sync.context import RunContext, RunOptions, no_progress
from engine.sync.departed import describe_departed
from engine.sync.diff import diff_columns
from engine.sync.dispatch import send_delta
from engine.sync.fields_read import describe_newly_mapped, remember_fields_mapped
from engine.sync.guard import approved_kinds, exceeds_limits, find_violations, require_approval
from engine.sync.journal import compact_journal, record_local_outcomes
from engine.sync.observations import describe_ignored, describe_self_changing, remember_changing
from engine.sync.origin import record_origin, require_same_origin
from engine.sync.plan import build_plan
from engine.sync.recording import outcome_facts, publish, recorded
from engine.sync.removals import recent_removals
from engine.sync.report import plan_json
from engine.sync.runs import begin_run, finish_run, prune_history, record_counts
from engine.sync.steps import Steps
from engine.sync.unanswered import doubt_unanswered
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.plan import Plan
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.stock2shop.api import Api
    from engine.stock2shop.user import User
    from engine.sync.compare import Comparison
    from engine.sync.context import Replica
    from engine.sync.removals import RecentRemovals


def plan(
    project: Project,
    entity: str,
    *,
    options: RunOptions | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
    replica: Replica | None = None,
) -> Plan:
    """Work out what :func:`run` would do for ``entity``; send and record nothing.

    1. Open the state.
    2. Compare the view's rows with what Stock2Shop acknowledged, see :func:`engine.sync.compare.compare`. Stock2Shop is
       asked for the source's sync token when the source is open. Where it cannot be reached, the last known token is
       used, and a note says so.
    3. Run the data tests and the guards, and put the plan together.
    """
    options, cancel = options or RunOptions(), cancel or threading.Event()
    user = _user(project, replica)
    contact = nullcontext() if options.offline else open_api(project.stock2shop, stop=cancel, user=user)
    with open_state(project.state) as state, contact as api:
        require_same_origin(state, project)
        notes: list[str] = []
        context = RunContext(
            state=state,
            project=project,
            entity=entity,
            ask_sync_token=cache(partial(_last_known_sync_token, state, api, notes)),
            options=options,
            cancel=cancel,
            progress=progress,
        )
        return _compare_and_plan(context, notes)[2]


def run(
    project: Project,
    entity: str,
    *,
    options: RunOptions | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
    replica: Replica | None = None,
) -> Outcome:
    """Bring ``entity`` in step; ``replica`` keeps the state elsewhere, too, where several machines run the project.

    Raises :class:`GuardError`, with nothing sent, when the plan is too large, and :class:`DeadlineError` when the
    deadline comes before anything is sent.

    1. Open the state, open a run in history, and reserve the turn in which Stock2Shop is asked for the sync token.
    2. Compare, test, guard and plan, as :func:`plan` does.
    3. Stop here unless the guards let the plan pass, or this plan was approved. What exceeds the limits is remembered
       by its changes, so that a run that is interrupted needs no second approval.
    4. Record what needs no reply from Stock2Shop: ignored rows, quarantine, refreshed fingerprints.
    5. Send the delta batch by batch; each receipt is recorded in a journal before the next batch is sent.
    6. Fold the journal into published, and close the run in history.

    The run log has the run, its progress and how it ended, see :mod:`engine.run_log`.

    Whatever ends a run early, published holds what Stock2Shop acknowledged until then, and the next run sends the rest.
    """
    options, cancel = options or RunOptions(), cancel or threading.Event()
    started = time.monotonic()
    deadline = options.deadline or Deadline.after(project.stock2shop.deadline)
    kept = open_state(project.state, keep_journal=replica is not None)
    with recorded(project, entity, command="run") as record, kept as state:
        steps = Steps(record.progress(progress))
        run_id = begin_run(state, entity=entity, command="run")
        record.begin(run_id)
        try:
            require_same_origin(state, project)
            user = _user(project, replica)
            with open_api(project.stock2shop, until=deadline.at, stop=cancel, user=user) as api:
                api.plan_turn()
                notes: list[str] = []

                @cache
                def ask_sync_token() -> str:
                    with steps.asking():
                        return _sync_token(state, api, notes)

                context = RunContext(
                    state=state,
                    project=project,
                    entity=entity,
                    ask_sync_token=ask_sync_token,
                    options=options,
                    cancel=cancel,
                    progress=steps.report,
                    deadline=deadline,
                    replica=replica,
                )
                doubt_unanswered(state, entity, replica=replica, read_timeout=project.stock2shop.read_timeout)
                comparison, recent, planned = _compare_and_plan(context, notes)
                if planned.violations and not options.reveal:
                    record.plan = plan_json(planned)
                _admit(context, comparison, planned, recent, run_id=run_id)
                dispatched = send_delta(context, comparison, api, run_id=run_id)
                if comparison.batch_ends:
                    compact_journal(state, entity)
                if not (dispatched.message or comparison.staged.unchanged):
                    clear_approval(state, entity)
                if state.meta("sync_token") != context.sync_token:
                    state.set_meta("sync_token", context.sync_token)
                requests = api.requests_made
        except DeadlineError as error:
            late = steps.deadline_error(error, deadline)
            finish_run(state, run_id, outcome="failed", message=late.message)
            raise late from None
        except SyncError as error:
            ended = "guarded" if isinstance(error, GuardError) else "failed"
            finish_run(state, run_id, outcome=ended, message=error.message)
            raise
        outcome = Outcome(
            plan=planned,
            run_id=run_id,
            outcome="stopped" if dispatched.message else "done",
            sent=dispatched.sent,
            refused=dispatched.refused,
            requests=requests,
            seconds=time.monotonic() - started,
            message=dispatched.message,
            extra={"returned": recent.returned} if recent.returned else {},
        )
        if outcome.needs_attention and not outcome.message:
            outcome = replace(outcome, outcome="attention")
        finish_run(
            state,
            run_id,
            outcome=outcome.outcome,
            digest=planned.digest,
            figures={
                **history_counts(comparison.counts),
                "sent": outcome.sent,
                "refused_now": outcome.refused,
                "requests": requests,
                "seconds": outcome.seconds,
            },
            message=" ".join(filter(None, (outcome.message, recent.note))),
        )
        prune_history(state, keep_days=project.keep_days)
        if not (comparison.staged.unchanged and record.is_published):
            publish(record, state, entity, run_id=run_id)
        record.facts = outcome_facts(outcome)
        return outcome


def _user(project: Project, replica: Replica | None) -> User:
    """The token and the pace of the project's Stock2Shop user: those of this machine, or of all that share it."""
    if replica is not None:
        return replica.user(project.stock2shop)
    return local_user(project.stock2shop, project.state.parent)


def _last_known_sync_token(state: State, api: Api | None, notes: list[str]) -> str:
    """The sync token for a plan: the last known one, with a note, when Stock2Shop cannot be asked."""
    if api is not None:
        try:
            return _sync_token(state, api, notes)
        except UnavailableError as error:
            notes.append(
                f"Stock2Shop could not be reached, so this plan uses the last known sync token. {error.message}"
            )
    return state.meta("sync_token") or "0"


def _sync_token(state: State, api: Api, notes: list[str]) -> str:
    """The source's sync token, and a note when it changed."""
    known = state.meta("sync_token")
    token = api.source().sync_token
    if known is not None and token != known:
        notes.append(
            f"The source's sync token changed from {known} to {token}: Stock2Shop wants everything again, so every"
            " row is sent."
        )
    return token


def _compare_and_plan(context: RunContext, notes: list[str]) -> tuple[Comparison, RecentRemovals, Plan]:
    """What a plan and a run do alike: compare the view's rows, test and guard the difference, and plan it."""
    may_skip = not data_tests.has_data_tests(context.project, context.entity)
    comparison = compare(context, may_skip=may_skip)
    recent = recent_removals(context.state, context.entity, comparison.counts)
    return comparison, recent, _make_plan(context, comparison, recent, notes)


def _make_plan(context: RunContext, comparison: Comparison, recent: RecentRemovals, notes: list[str]) -> Plan:
    """Run the data tests and the guards over what was compared, and put the plan together."""
    state, counts = context.state, comparison.counts
    unchanged = comparison.staged.unchanged
    violations = find_violations(
        counts,
        comparison.settings,
        project=context.project.name,
        remaining=(0, 0) if unchanged else count_approved(state, comparison.entity),
        removed_today=recent.removed,
        options=context.options,
    )
    failed = () if unchanged else data_tests.run_data_tests(state, context.project, comparison.staged)
    violations += data_tests.violations(failed)
    notes += data_tests.notes(failed)
    doubted, resent = (0, 0) if unchanged else _count_in_doubt(state)
    if doubted:
        notes.append(
            f"{doubted:,} {plural(doubted, 'change')} of keys that an earlier run sent without an answer:"
            " they are sent as they are now, whether they changed or not."
        )
    newly_mapped, unread = ([], 0) if unchanged else describe_newly_mapped(state)
    notes += newly_mapped
    if counts.resends > resent + unread and not any("sync token" in note for note in notes):
        notes.append(
            "Rows that did not change are sent again: default_price_tier, blank_price or"
            " blank_tier_price changed, or they were never sent under it."
        )
    notes += [
        f"{name} is mapped, but Stock2Shop has no public place for it: it is not sent." for name in comparison.unsent
    ]
    notes += describe_departed(state, comparison.staged)
    if counts.ignored:
        notes += describe_ignored(state, comparison.staged)
    if counts.withheld:
        notes.append(
            f"{counts.withheld:,} {plural(counts.withheld, 'key')} of those that are missing from the source may be the"
            " key of a row whose code is blank. They are held, not deleted, as long as the view shows such a row: give"
            " it its code, or leave it out in the view's WHERE."
        )
    if recent.note:
        notes.append(recent.note)
    if not unchanged:
        diff_columns(state, comparison.staged)
        notes += describe_self_changing(state, comparison.staged)
    return build_plan(
        context, comparison, violations=violations, notes=notes, failed_tests=data_tests.names_that_stop(failed)
    )


def _admit(context: RunContext, comparison: Comparison, planned: Plan, recent: RecentRemovals, *, run_id: int) -> None:
    """Let the plan pass, or raise :class:`GuardError`; record that it passed, and what needs no reply."""
    state, entity, staged = context.state, context.entity, comparison.staged
    try:
        require_approval(planned, context.options)
    except GuardError:
        if comparison.counts.source >= comparison.settings.min_rows and not staged.unchanged:
            drop_stale_approvals(state, entity)
        raise
    record_origin(state, context.project)
    if exceeds_limits(comparison.counts, comparison.settings, removed_today=recent.removed):
        changes, removals = approved_kinds(comparison.counts, context.options)
        remember_approval(state, entity, run_id=run_id, changes=changes, removals=removals)
    elif not staged.unchanged:
        clear_approval(state, entity)
    remember_changing(state, staged)
    remember_fields_mapped(state, staged.layout, run_id=run_id)
    if comparison.batch_ends:
        record_counts(state, run_id, history_counts(comparison.counts))
    if not staged.unchanged:
        record_local_outcomes(state, staged)


def _count_in_doubt(state: State) -> tuple[int, int]:
    """How many changes of the delta are made since their key is in doubt, and how many of those change nothing."""
    changes, resends = state.row(
        "select count(*) filter (cause = 'in doubt'), count(*) filter (cause = 'in doubt' and kind = 'resend')"
        " from run.outgoing"
    )
    return int(changes), int(resends)
