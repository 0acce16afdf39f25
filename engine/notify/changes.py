"""What is news of projects, and how it reads; without reading or sending anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.clock import local_text
from engine.config.schedule import CRON_GRACE, LATE_CADENCES, LATE_GRACE
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.config.notifications import NotifySettings
    from engine.status.collect import ProjectStatus

LABELS: Mapping[str, tuple[str, str]] = {
    "failed": ("fails", "fail"),
    "guarded": ("was stopped by a guard", "were stopped by a guard"),
    "late": ("does not run", "do not run"),
    "held": ("holds rows back", "hold rows back"),
    "orders": ("has orders that wait", "have orders that wait"),
    "recovered": ("is well again", "are well again"),
}
"""What a project's name is followed by, and several names."""

TROUBLES = frozenset({"failed", "guarded", "late"})
"""What a project recovers from."""

MAX_TEXT = 500
"""So many characters of a reason are sent."""

MAX_PARAGRAPHS = 20
"""So many causes are in one message: services refuse those that are too long, such as Teams above 28 KB."""

MAX_PROJECTS = 30
"""So many projects are named in one list."""


@dataclass(frozen=True, slots=True)
class Change:
    """One piece of news: ``kind`` is a key of :data:`LABELS`, ``text`` says why and what to do."""

    project: str
    kind: str
    text: str


def find_changes(
    before: Collection[str], status: ProjectStatus, settings: NotifySettings, *, failing: bool, up_for: timedelta | None
) -> tuple[list[Change], list[str]]:
    """What is news of a project of which people know ``before`` already, and what they know then.

    ``failing`` is whether a run of it failed since the last good one. ``up_for`` is how long an agent has run: what did
    not run before that is not late. None where there is no agent, which alone sees that nothing runs.
    """
    alarms = _alarms(before, status, settings, up_for=up_for)
    found = [Change(status.project, kind, text[:MAX_TEXT]) for kind, text in alarms.items() if kind not in before]
    if TROUBLES & {*alarms} or not TROUBLES & {*before}:
        return found, [*alarms]
    if status.condition in {"ok", "held"} and not failing:
        return [*found, Change(status.project, "recovered", "")], [*alarms]
    # A run that was stopped is no recovery, nor is one that failed once after a guard stopped the one before.
    return found, [*alarms, *(kind for kind in before if kind in TROUBLES)]


def _alarms(
    before: Collection[str], status: ProjectStatus, settings: NotifySettings, *, up_for: timedelta | None
) -> dict[str, str]:
    name = status.project
    found: dict[str, str] = {}
    if status.condition == "failed" and (
        "failed" in before or not status.failures or status.failures >= settings.failures
    ):
        found["failed"] = status.message
        if status.failing_since is not None:
            runs = f"{status.failures:,} {plural(status.failures, 'run')}"
            found["failed"] += f" ({runs} since {local_text(status.failing_since)})"
    if status.condition == "guarded":
        found["guarded"] = f"{status.message} Look with `s2s plan {name}`, which says how to approve it."
    if status.condition == "late" and up_for is not None:
        every = timedelta(seconds=status.every_seconds or 0.0)
        limit = settings.late or (every * LATE_CADENCES + LATE_GRACE if every else CRON_GRACE)
        age = timedelta(seconds=status.late_seconds) + every if status.late_seconds else up_for
        if min(age, up_for) > limit:
            found["late"] = status.message
    held = status.quarantined + status.refused
    if held > settings.held:
        found["held"] = f"{held:,} rows: `s2s quarantine list {name}`"
    if status.orders_waiting:
        found["orders"] = f"{status.orders_waiting:,}: `s2s orders list {name} --status waiting`"
    return found


def compose(changes: Sequence[Change]) -> tuple[str, str]:
    """The title and the text of one message with all of them; projects with the same cause stand in one paragraph."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        name = rf"(?<![\w-]){re.escape(change.project)}(?![\w-])"  # and not a part of another word
        groups.setdefault((change.kind, re.sub(name, "PROJECT", change.text)), []).append(change)
    paragraphs = []
    for (kind, cause), members in [*groups.items()][:MAX_PARAGRAPHS]:
        text = cause if len(members) > 1 else members[0].text
        names = [each.project for each in members[:MAX_PROJECTS]]
        more = f" and {len(members) - len(names):,} more" if len(members) > len(names) else ""
        paragraphs.append(f"{', '.join(names)}{more} {LABELS[kind][len(members) > 1]}.\n{text}".rstrip())
    if len(groups) > MAX_PARAGRAPHS:
        paragraphs.append(f"… and {len(groups) - MAX_PARAGRAPHS:,} more: `s2s status`")
    if len(changes) == 1:
        title = f"{changes[0].project} {LABELS[changes[0].kind][0]}"
    elif len(groups) == 1:
        title = f"{len(changes):,} projects {LABELS[changes[0].kind][1]}"
    else:
        count = len({each.project for each in changes})
        title = f"News of {count:,} {plural(count, 'project')}"
    return f"Stock2Shop: {title}", "\n\n".join(paragraphs)
