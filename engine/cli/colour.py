"""Colour on a terminal: for what is added, changed and removed, and for what needs a person."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Paint = Callable[[str], str]

GREEN, YELLOW, RED, BOLD_RED, DIM = "32", "33", "31", "1;31", "2"
"""Codes of ECMA-48: the terminal's own colours, which its user has chosen for a dark or a light ground."""

_CHANGE = re.compile(r"(?m)^  (?P<sign>[+~=-]) .*$")
_STOP = re.compile(r"(?m)^STOPPED BY .*$")
_DIFF = re.compile(r"(?m)^(?P<sign>[+-]|@@).*$")
_REVIEWED = re.compile(r"(?m)^    (?P<sign>[+~-]|@@).*$")
_STATE = re.compile(r"(?m)^(?P<state>ok|warn|bad)(?= )")
_SEVERITY = re.compile(r"(?m)(?:(?<=: )|^)(?P<state>error|warning)(?=: )")
_READY = re.compile(r"(?m)(?<=: )(?P<state>ready|not ready)$")
_TONES = {
    "+": GREEN,
    "~": YELLOW,
    "-": RED,
    "=": DIM,
    "@@": DIM,
    "ok": GREEN,
    "warn": YELLOW,
    "bad": BOLD_RED,
    "error": BOLD_RED,
    "warning": YELLOW,
    "ready": GREEN,
    "not ready": BOLD_RED,
}
_CELLS = {
    "insert": GREEN,
    "update": YELLOW,
    "delete": RED,
    "missing": RED,
    "differs": YELLOW,
    "done": GREEN,
    "attention": YELLOW,
    "failed": BOLD_RED,
    "guarded": RED,
    "broken off": RED,
    "raised": GREEN,
    "answered": GREEN,
    "waiting": YELLOW,
}
_CELL = re.compile(rf"(?m)(?:(?<=^)|(?<=  ))(?:{'|'.join(_CELLS)})(?=  |$)")


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether text for ``stream`` is coloured: on a terminal that is not dumb.

    ``NO_COLOR`` and ``FORCE_COLOR``, where they are not empty, decide, the former first: https://no-color.org,
    https://force-color.org.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def paint_plan(text: str) -> str:
    """A plan: inserts green, updates yellow, deletes red, and what a guard stopped."""
    return _STOP.sub(_bold, _CHANGE.sub(_by_sign, text))


def paint_diff(text: str) -> str:
    """Unified diffs, as git colours them."""
    return _DIFF.sub(_by_sign, text)


def paint_review(text: str) -> str:
    """A review: the fields and lines of SQL that are new, changed or gone, which it shows indented."""
    return _REVIEWED.sub(_by_sign, text)


def paint_findings(text: str) -> str:
    """Findings of ``doctor`` and ``check``: their states and severities."""
    for pattern in (_STATE, _SEVERITY, _READY):
        text = pattern.sub(lambda found: _coloured(found[0], _TONES[found["state"]]), text)
    return text


def paint_table(text: str) -> str:
    """A table: cells that say what became of a row, a run or an order, and nothing else."""
    return _CELL.sub(lambda found: _coloured(found[0], _CELLS[found[0]]), text)


def _by_sign(found: re.Match[str]) -> str:
    return _coloured(found[0], _TONES[found["sign"]])


def _bold(found: re.Match[str]) -> str:
    return _coloured(found[0], BOLD_RED)


def _coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
