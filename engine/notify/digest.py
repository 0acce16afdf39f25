"""The message of a day: what ran, what failed, what is withheld and what waits; without reading or sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import local_text
from engine.notify.changes import LABELS, MAX_PROJECTS, MAX_TEXT, TROUBLES
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.status.collect import ProjectStatus


def compose_digest(
    statuses: Sequence[ProjectStatus],
    *,
    since: datetime,
    totals: Mapping[str, tuple[int, int, int]],
    failures: Mapping[str, int],
) -> tuple[str, str]:
    """The title and the text of a digest: of the runs since a moment in UTC, and of how projects are now.

    ``totals`` are runs, rows sent and requests by project, ``failures`` the runs that failed.
    """
    names = [each.project for each in statuses]
    runs, sent = (sum(totals.get(name, (0, 0, 0))[n] for name in names) for n in (0, 1))
    failed = sum(failures.get(name, 0) for name in names)
    troubled = [each for each in statuses if each.condition in TROUBLES]
    withheld = [(each.project, each.quarantined + each.refused) for each in statuses if each.quarantined + each.refused]
    waiting = [(each.project, each.orders_waiting) for each in statuses if each.orders_waiting]
    idle = [name for name in names if not totals.get(name, (0, 0, 0))[0]]
    counts = f"{runs:,} {plural(runs, 'run')}, {sent:,} {plural(sent, 'row')} sent, {failed:,} {plural(failed, 'run')}"
    lines = [f"Since {local_text(since)}: {counts} failed."]
    lines += [
        f"{each.project} {LABELS[each.condition][0]}: {each.message}"[:MAX_TEXT] for each in troubled[:MAX_PROJECTS]
    ]
    if len(troubled) > MAX_PROJECTS:
        lines.append(f"… and {len(troubled) - MAX_PROJECTS:,} more: `s2s status`")
    lines += _list("Rows are withheld", (f"{name} {count:,}" for name, count in withheld))
    lines += _list("Orders wait", (f"{name} {count:,}" for name, count in waiting))
    lines += _list("Not run", idle)
    well = len(names) - len(troubled)
    lines.append(f"{well:,} of {len(names):,} {plural(len(names), 'project')} {'is' if well == 1 else 'are'} well.")
    title = f"{len(troubled):,} of {len(names):,} need somebody" if troubled else f"{len(names):,} well"
    return f"Stock2Shop: the day of {len(names):,} {plural(len(names), 'project')}, {title}", "\n".join(lines)


def _list(head: str, items: Iterable[str]) -> list[str]:
    found = [*items]
    if not found:
        return []
    more = f" and {len(found) - MAX_PROJECTS:,} more" if len(found) > MAX_PROJECTS else ""
    return [f"{head}: {', '.join(found[:MAX_PROJECTS])}{more}."]
