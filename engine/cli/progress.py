"""How far a command is, in one line: its step, its share, its rate and the time that is left."""

from __future__ import annotations

from dataclasses import dataclass

from engine.text import duration_text

MIN_SECONDS = 1.0
"""Before a step has taken so long, its rate says little."""


@dataclass(slots=True)
class StepProgress:
    """One step of a command: ``first`` and ``began`` are what was done of it, and when, as it was first reported."""

    step: str
    first: int
    began: float

    def text(self, done: int, total: int | None, at: float) -> str:
        """The step as people read it: ``sending 1,200 of 5,000, 24 %, 240/s, 16 s left``.

        ``at`` is the time on the clock of ``began``, in seconds.
        """
        if not done:
            return self.step
        parts = [f"{self.step} {done:,}" + (f" of {total:,}" if total else "")]
        if total:
            parts.append(f"{min(done, total) * 100 // total} %")
        seconds = at - self.began
        rate = (done - self.first) / seconds if seconds >= MIN_SECONDS else 0.0
        if rate > 0:
            parts.append(f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.0f}/min")
            if total and done < total:
                parts.append(f"{duration_text((total - done) / rate)} left")
        return ", ".join(parts)
