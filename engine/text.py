"""Plain text for people: plurals, durations, diagnostics, and text that is safe to print.

Text of a database or of Stock2Shop is foreign: it may hold what a terminal obeys, or repeat a password. Whatever prints
or stores it passes it through :func:`mask_secrets` and :func:`escape_controls` first.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from engine.characters import VISIBLE_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from engine.errors import Diagnostic

WIDTH = 72
"""The widest value on one line of a report, in characters."""

MAX_SOURCE_WIDTH = 100
"""How much of a line of a source is shown around a place, in characters."""

MIN_SECRET_LENGTH = 4
"""Shorter secrets are not masked: they would black out parts of ordinary words."""

MIN_WHOLE_SECONDS = 10
"""From here on seconds have no decimals."""

MAX_SECONDS_TEXT = 90
"""Up to a minute and a half people count in seconds."""

MAX_MINUTES_TEXT = 90
"""Up to an hour and a half people count in minutes."""

_LOOKALIKES = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),  # curly, low and angle quotes
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
    **dict.fromkeys("\u2013\u2014\u2212", "-"),
    "\uff1d": "=",
    **dict.fromkeys("\u00a0\u2007\u202f\u3000", " "),
}
"""Characters that word processors and web pages put in place of others."""


def escape_controls(text: str) -> str:
    r"""``text`` with each character that a terminal would obey, or nobody could see, as its number, ``\u001b``.

    JSON reads the numbers back. Tabs and line ends stay; a Windows line end becomes a plain one.
    """
    return text.replace("\r\n", "\n").translate(VISIBLE_CODES)


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """``text`` with ``***`` for each of ``secrets`` in it, the longest first; see :data:`MIN_SECRET_LENGTH`."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET_LENGTH:
            text = text.replace(secret, "***")
    return text


def describe_lookalike(text: str) -> str | None:
    """What to write instead of the first character of ``text`` that only looks right; None where there is none."""
    for character in text:
        plain = _LOOKALIKES.get(character)
        if plain is None and unicodedata.category(character) != "Cf":
            continue
        name = unicodedata.name(character, "unnamed").lower()
        code = f"U+{ord(character):04X}, {name}"
        if plain is None:
            return f"There is an invisible character ({code}): delete it."
        if plain == " ":
            return f"There is a special space ({code}): write a plain one."
        return f"There is a {character} ({code}): write {plain} instead."
    return None


def diagnostics_text(
    diagnostics: Iterable[Diagnostic], *, read_line: Callable[[Path, int], str | None] | None = None
) -> str:
    """Diagnostics, one a line with its place, each hint under it.

    With ``read_line``, which gives a line of a file, an error shows the line of its source, a caret under the place.
    """
    lines = []
    for each in diagnostics:
        place = f"{each.where}: " if each.where else ""
        lines.append(f"{place}{each.severity}: {each.message}")
        is_error = each.severity == "error"
        if read_line is not None and is_error and each.path is not None and each.line and each.column:
            lines += _source_lines(read_line(each.path, each.line), each.line, each.column)
        if each.hint:
            lines += [f"  {line}" for line in each.hint.splitlines()]
    return "\n".join(lines)


def _source_lines(source: str | None, line: int, column: int) -> list[str]:
    """A line of a source with its number, and a caret under one of its columns; none where there is no such column."""
    if source is None or not 0 < column <= len(source):
        return []
    begin = max(0, column - MAX_SOURCE_WIDTH * 3 // 4)
    shown = "".join(" " if letter.isspace() else letter for letter in source[begin : begin + MAX_SOURCE_WIDTH])
    margin = f"{line:>6} | "
    return [f"{margin}{shown.rstrip()}", f"{' ' * (len(margin) - 2)}| {' ' * (column - 1 - begin)}^"]


def plural(count: int, word: str) -> str:
    """``word``, with an s unless ``count`` is 1."""
    return word if count == 1 else f"{word}s"


def short(value: str | None) -> str:
    """A value on one line of a report: at most :data:`WIDTH` characters, and ``(blank)`` for None."""
    if value is None:
        return "(blank)"
    flat = " ".join(value.split())
    return flat if len(flat) <= WIDTH else f"{flat[: WIDTH - 1]}…"


def duration_text(seconds: float) -> str:
    """How long something takes, in the unit in which people count it.

    >>> duration_text(4.25), duration_text(89), duration_text(600), duration_text(9000)
    ('4.2 s', '89 s', '10 min', '2.5 h')
    """
    if seconds < MAX_SECONDS_TEXT:
        return f"{seconds:.1f} s" if seconds < MIN_WHOLE_SECONDS else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < MAX_MINUTES_TEXT else f"{minutes / 60:.1f} h"
