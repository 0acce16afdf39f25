"""Lay out the chart of how far the numbers of a field change: a bar for each band of per cent.

Coordinates are in the units of the SVG's view box, which is narrow enough for a phone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import ChangeBand

MIN_CHART_ROWS = 3
"""With fewer rows the samples say as much as a chart."""

BAR_HEIGHT = 20
"""The height of a bar with the gap under it."""

LABEL_WIDTH = 120
"""The width of the labels on the left."""

MAX_BAR_WIDTH = 130
"""The width of the longest bar."""

COUNT_WIDTH = 70
"""The width of the numbers on the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A band: its label, such as ``+5 to +10 %``, the number of its rows, and where its bar is drawn."""

    label: str
    rows: int
    direction: Literal["down", "up"]
    y: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The whole chart; ``summary`` says the same in words, for whom does not see it."""

    bars: tuple[Bar, ...]
    summary: str
    height: int
    width: int = LABEL_WIDTH + MAX_BAR_WIDTH + COUNT_WIDTH


def change_chart(bands: Sequence[ChangeBand]) -> Chart | None:
    """Lay out the bands from the first to the last with rows; None where there are too few rows for a chart."""
    if sum(band.rows for band in bands) < MIN_CHART_ROWS:
        return None
    filled = [number for number, band in enumerate(bands) if band.rows]
    shown = bands[filled[0] : filled[-1] + 1]
    most = max(band.rows for band in shown)
    bars = tuple(
        Bar(
            label=_label(band),
            rows=band.rows,
            direction="down" if band.highest is not None and band.highest <= 0 else "up",
            y=number * BAR_HEIGHT,
            width=max(round(MAX_BAR_WIDTH * band.rows / most), 2) if band.rows else 0,
        )
        for number, band in enumerate(shown)
    )
    return Chart(
        bars=bars,
        summary="Rows by change: " + "; ".join(f"{bar.label}: {bar.rows:,}" for bar in bars if bar.rows) + ".",
        height=len(bars) * BAR_HEIGHT,
    )


def _label(band: ChangeBand) -> str:
    """Such as ``below -50 %``, ``-10 to -5 %``, ``0 to +5 %``, ``above +100 %``."""
    low, high = (None if end is None else f"{end:+g}" if end else "0" for end in (band.lowest, band.highest))
    if low is None or high is None:
        return f"below {high} %" if low is None else f"above {low} %"
    return f"{low} to {high} %"
