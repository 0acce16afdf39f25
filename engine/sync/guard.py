"""Stop a plan that would change more than the project allows.

In: the counts of a comparison and the project's limits. Out: the limits that it exceeds; :func:`require_approval`
raises unless there are none, or somebody approved this plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import GuardError
from engine.model.plan import Counts, GuardViolation

if TYPE_CHECKING:
    from engine.model.plan import Plan
    from engine.model.settings import EntitySettings
    from engine.sync.context import RunOptions


def find_violations(
    counts: Counts,
    settings: EntitySettings,
    *,
    project: str,
    remaining: tuple[int, int] = (0, 0),
    removed_today: int = 0,
    options: RunOptions | None = None,
) -> tuple[GuardViolation, ...]:
    """The limits that a plan exceeds. Inserts and updates are not limited before anything was published.

    ``remaining`` are how many of the plan's changes and removals an earlier run was allowed to send and did not come
    to: so the rest of a first load needs no approval. ``removed_today`` are the removals of the last 24 hours.
    The approvals in ``options`` take the place of the limits, where they are higher.
    """
    approved_deletes = (options.approve_deletes if options else None) or 0
    approved_changes = (options.approve_changes if options else None) or 0
    found = []
    if counts.source < settings.min_rows:
        found.append(
            GuardViolation(
                guard="min_rows",
                found=counts.source,
                allowed=settings.min_rows,
                message=f"The view gave {counts.source:,} rows; at least {settings.min_rows:,} are expected.",
                hint=f"Run the view by hand: a filter, a warehouse, the login's rights or a join may hide the rows."
                f" If it is right, lower min_rows under [{settings.name}] in project.toml.",
            )
        )
    deletes, allowed = counts.removals, settings.max_deletes.allows(counts.published)
    limit = max(allowed + remaining[1], approved_deletes)
    if deletes > limit:
        found.append(
            GuardViolation(
                guard="max_deletes",
                found=deletes,
                allowed=limit,
                message=f"{deletes:,} of {counts.published:,} published rows would be removed;"
                f" max_deletes allows {limit:,}.",
                hint=f"Look with `s2s plan {project} --entity {settings.name} --all-changes`. If they are right, go on"
                f" with `s2s run {project} --entity {settings.name} --approve-deletes {deletes}`.",
            )
        )
    else:
        found += _day_violations(
            counts,
            settings,
            project=project,
            removed_today=removed_today,
            remaining=remaining[1],
            approved=approved_deletes,
        )
    changes, allowed = counts.inserts + counts.updates, settings.max_changes.allows(counts.published)
    limit = max(allowed + remaining[0], approved_changes)
    if counts.published and changes > limit:
        found.append(
            GuardViolation(
                guard="max_changes",
                found=changes,
                allowed=limit,
                message=f"{changes:,} rows would be inserted or updated, against {counts.published:,} published;"
                f" max_changes allows {limit:,}.",
                hint=f"Look with `s2s plan {project} --entity {settings.name}`. If they are right, go on with"
                f" `s2s run {project} --entity {settings.name} --approve-changes {changes}`.",
            )
        )
    return tuple(found)


def _day_violations(
    counts: Counts,
    settings: EntitySettings,
    *,
    project: str,
    removed_today: int,
    remaining: int = 0,
    approved: int = 0,
) -> tuple[GuardViolation, ...]:
    """The limit on a day's removals, where a plan exceeds it.

    The ``remaining`` removals that an earlier run was allowed pass beside those that are left of the limit, and at
    least as many as are ``approved`` now.
    """
    known = counts.published + removed_today
    allowed = settings.deletes_per_day.allows(known)
    left = max(max(allowed - removed_today, 0) + remaining, approved)
    if counts.removals <= left:
        return ()
    cause = "A source that loses rows with each read looks like this. " if removed_today else ""
    return (
        GuardViolation(
            guard="max_deletes_per_day",
            found=removed_today + counts.removals,
            allowed=allowed,
            message=f"{counts.removals:,} published rows would be removed, after {removed_today:,} of {known:,} within"
            f" the last 24 hours; max_deletes_per_day allows {allowed:,}.",
            hint=f"{cause}Look with"
            f" `s2s plan {project} --entity {settings.name} --all-changes`. If they are right, go on with"
            f" `s2s run {project} --entity {settings.name} --approve-deletes {counts.removals}`.",
        ),
    )


def exceeds_limits(counts: Counts, settings: EntitySettings, *, removed_today: int = 0) -> bool:
    """Whether a plan changes or removes more than the limits allow, whoever approved it, first loads included."""
    changes = counts.inserts + counts.updates
    return (
        changes > settings.max_changes.allows(counts.published)
        or counts.removals > settings.max_deletes.allows(counts.published)
        or bool(_day_violations(counts, settings, project="", removed_today=removed_today))
    )


def approved_kinds(counts: Counts, options: RunOptions) -> tuple[bool, bool]:
    """Whether a plan's inserts and updates, and whether its removals, are approved by what ``options`` say themselves.

    A first load needs nobody's approval. What passes by the limits, or by what is left of an earlier approval, is not
    approved by that.
    """
    changes, removals = options.approve_changes, options.approve_deletes
    return (
        options.expect is not None
        or not counts.published
        or (changes is not None and counts.inserts + counts.updates <= changes),
        options.expect is not None or (removals is not None and counts.removals <= removals),
    )


def require_approval(planned: Plan, options: RunOptions) -> None:
    """Raise :class:`GuardError` unless this very plan was approved, or exceeds no limit."""
    if options.expect is not None:
        if options.expect != planned.digest:
            raise GuardError(
                f"The plan is now {planned.digest}, not {options.expect}: the source changed since, or something else"
                " stops it. Nothing was sent.",
                hint=f"Look again with `s2s plan {planned.project} --entity {planned.entity}`, then approve the new"
                " digest.",
            )
        return
    if planned.violations:
        exactly = f"s2s run {planned.project} --entity {planned.entity} --expect {planned.digest}"
        raise GuardError(
            "\n".join(violation.message for violation in planned.violations) + "\nNothing was sent.",
            hint="\n".join(
                [*(violation.hint for violation in planned.violations), f"Or approve exactly this plan: `{exactly}`."]
            ),
        )
