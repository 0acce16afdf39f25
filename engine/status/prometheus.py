"""Statuses as Prometheus reads them, from a text file or over HTTP.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.status.collect import ProjectStatus

    Measure = Callable[[ProjectStatus, datetime], float | None]

METRICS: Sequence[tuple[str, str, Measure]] = (
    (
        "seconds_since_good_run",
        "Seconds since the last good run ended, of the entity that has waited longest.",
        lambda s, at: None if s.last_good_at is None else (at - s.last_good_at).total_seconds(),
    ),
    (
        "seconds_since_run",
        "Seconds since the last run began.",
        lambda s, at: None if s.last_run_at is None else (at - s.last_run_at).total_seconds(),
    ),
    ("run_seconds", "Seconds that the last run took.", lambda s, _: s.run_seconds),
    ("failing", "1 where the last run failed, else 0.", lambda s, _: s.condition == "failed"),
    ("guarded", "1 where a guard stopped the last run, else 0.", lambda s, _: s.condition == "guarded"),
    ("failed_runs", "Failed runs since the last good one.", lambda s, _: s.failures),
    ("late_seconds", "Seconds by which the next run is late by its cadence.", lambda s, _: s.late_seconds),
    ("running", "1 while a command runs, else 0.", lambda s, _: s.activity is not None),
    ("runs_today", "Runs since midnight.", lambda s, _: s.runs),
    ("rows_sent_today", "Rows sent since midnight.", lambda s, _: s.sent),
    ("requests_today", "Requests to Stock2Shop since midnight.", lambda s, _: s.requests),
    ("rows_quarantined", "Rows in quarantine.", lambda s, _: s.quarantined),
    ("rows_refused", "Rows that Stock2Shop refused.", lambda s, _: s.refused),
    ("orders_waiting", "Orders that wait for a person.", lambda s, _: s.orders_waiting),
    ("orders_failed", "Orders that are retried automatically.", lambda s, _: s.orders_failed),
)
"""The name of each metric behind ``s2s_``, what it means, and its value; None where there is none."""


def metrics_text(statuses: Sequence[ProjectStatus], moment: datetime) -> str:
    """All metrics of ``statuses`` at a moment in UTC; each has the label ``project``."""
    lines = []
    for name, meaning, measure in METRICS:
        lines += [f"# HELP s2s_{name} {meaning}", f"# TYPE s2s_{name} gauge"]
        for status in sorted(statuses, key=lambda each: each.project):
            value = measure(status, moment)
            if value is not None:
                lines.append(f's2s_{name}{{project="{_label(status.project)}"}} {float(value):.15g}')
    return "\n".join(lines)


def _label(text: str) -> str:
    """A label's value; bytes of a folder's name that are no UTF-8 are shown by their numbers."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return shown.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
