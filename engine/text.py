"""text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.errors import Diagnostic

WIDTH = 72


def diagnostics_text(faults: Iterable[Diagnostic]) -> str:
    """Faults, one a line with its place, each hint under it."""
    lines = []
    for fault in faults:
        place = f"{fault.where}: " if fault.where else ""
        lines.append(f"{place}{fault.severity}: {fault.message}")
        if fault.hint:
            lines += [f"  {line}" for line in fault.hint.splitlines()]
    return "\n".join(lines)


def table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """Rows under headers, each column as wide as its widest cell; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(header), *(len(row[n]) for row in cells), 0) for n, header in enumerate(headers)]
    right = [all(isinstance(row[n], (int, float)) for row in rows) and bool(rows) for n in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *(line(row) for row in cells)])


def plural(count: int, word: str) -> str:
    """``word``, with an s unless it is one."""
    return word if count == 1 else f"{word}s"


def short(value: str | None) -> str:
    """A value on one line of a report: no wider than it may be, and blank in words."""
    if value is None:
        return "(blank)"
    flat = " ".join(value.split())
    return flat if len(flat) <= WIDTH else f"{flat[: WIDTH - 1]}…"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.splitlines())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
