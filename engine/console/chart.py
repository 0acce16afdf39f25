"""Lay out the small charts of a project's last days as SVG paths: a bar a day, of numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.run_log.read import Day

BAR_WIDTH, GAP = 4, 2
"""In the units of the SVG's view box."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of equal width, the last one today: those of good days and of days on which runs failed, as SVG paths.

    ``empty`` are days without a run. ``summary`` says the same in words, for whom does not see it.
    """

    title: str
    good: str
    failed: str
    empty: str
    width: int
    height: int
    most: float
    summary: str


def day_chart(
    title: str, days: Sequence[Day], value: Callable[[Day], float], *, today: date, count: int, height: int
) -> Chart:
    """Lay out what ``value`` gives for each of the last ``count`` days."""
    known = {each.day: each for each in days}
    shown = [known.get(today - timedelta(days=count - 1 - number)) for number in range(count)]
    values = [0.0 if each is None else value(each) for each in shown]
    most = max(values, default=0.0)
    paths: dict[str, list[str]] = {"good": [], "failed": [], "empty": []}
    for number, (day, amount) in enumerate(zip(shown, values, strict=True)):
        kind = "empty" if day is None else "failed" if day.failed else "good"
        tall = 1 if not most or day is None else max(1, round((height - 1) * amount / most))
        paths[kind].append(f"M{number * (BAR_WIDTH + GAP)} {height}v-{tall}h{BAR_WIDTH}v{tall}z")
    return Chart(
        title=title,
        **{kind: "".join(parts) for kind, parts in paths.items()},
        width=count * (BAR_WIDTH + GAP) - GAP,
        height=height,
        most=most,
        summary=_summary(title, shown, values),
    )


def seconds_a_run(day: Day) -> float:
    """How long a run of a day took on average."""
    return day.seconds / day.runs if day.runs else 0.0


def _summary(title: str, shown: Sequence[Day | None], values: Sequence[float]) -> str:
    ran = sum(each is not None for each in shown)
    bad = sum(each is not None and each.failed > 0 for each in shown)
    failed = f"; runs failed on {bad:,}" if bad else ""
    numbers = f"today {_amount(values[-1])}, at most {_amount(max(values))}"
    return f"{title}, {len(shown)} {plural(len(shown), 'day')}: {numbers}; runs on {ran:,}{failed}"


def _amount(value: float) -> str:
    return f"{value:,.1f}" if value % 1 else f"{value:,.0f}"
