"""Tables that fit a terminal: cells by the width that they are displayed with, long ones on several lines."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "

MAX_WORD_WIDTH = 24
"""A longer word may be cut in two where a table has to become narrower."""

EMOJI_SELECTOR = "\ufe0f"
"""Has the character before it drawn as an emoji, which is two columns wide."""


def display_width(text: str) -> int:
    """How many columns of a terminal ``text`` takes: Chinese, Japanese, Korean letters and emoji take two.

    >>> display_width("Ham"), display_width("锤子"), display_width("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    width, last = 0, 0
    for character in text:
        if character == EMOJI_SELECTOR:
            own = 2 - last if last else 0
        elif unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            continue
        else:
            own = last = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        width += own
    return width


def pad(text: str, width: int, *, right: bool = False) -> str:
    """``text`` with blanks behind it, or in front of it, so that it takes ``width`` columns."""
    blanks = " " * (width - display_width(text))
    return blanks + text if right else text + blanks


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns; what is cut off is a ``…``."""
    if display_width(text) <= width:
        return text
    return f"{_split(text, max(width - 1, 0))[0]}…"


def wrap(text: str, width: int) -> list[str]:
    """The lines of ``text`` where each takes at most ``width`` columns.

    A word that is too long is parted behind a dot, an underscore or the like, else anywhere.
    """
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if display_width(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for piece in _pieces(word) if display_width(word) > width else (word,):
            if lines[-1] and display_width(lines[-1] + piece) > width:
                lines.append("")
            left = lines[-1] + piece
            while display_width(left) > width:
                lines[-1], left = _split(left, width)
                lines.append("")
            lines[-1] = left
    return lines


def table_text(rows: Sequence[Sequence[object]], headers: Sequence[str], *, width: int | None = None) -> str:
    """Rows under headers, each column as wide as its widest cell; numbers are aligned to the right.

    For a terminal of ``width`` columns, columns without a value are left out. Where the others do not fit, the widest
    become narrower, and their cells take several lines; where no word would fit, each row is a block of lines, a line
    a cell.
    """
    cells = [[cell_text(value) for value in row] for row in rows]
    if width is not None and rows:
        kept = [n for n in range(len(headers)) if any(row[n] for row in cells)]
        headers = [headers[n] for n in kept]
        cells, rows = [[row[n] for n in kept] for row in cells], [[row[n] for n in kept] for row in rows]
    columns = [[header, *(row[n] for row in cells)] for n, header in enumerate(headers)]
    widths = [max(map(display_width, column)) for column in columns]
    if width is not None:
        room = width - len(GAP) * (len(widths) - 1)
        least = [max(map(_widest_word, column)) for column in columns]
        if sum(least) > room:
            least = [max(map(_widest_piece, column)) for column in columns]
        if sum(least) > room:
            return "\n\n".join(_block(row, headers, width) for row in cells)
        widths = _narrowed(widths, least, room)
    right = [all(isinstance(row[n], (int, float)) for row in rows) and bool(rows) for n in range(len(headers))]

    def lines(values: Sequence[str]) -> list[str]:
        wrapped = [[value] if width is None else wrap(value, own) for value, own in zip(values, widths, strict=True)]
        height = max(map(len, wrapped))
        padded = (
            [pad(line, own, right=to_right) for line in (*each, *[""] * (height - len(each)))]
            for each, own, to_right in zip(wrapped, widths, right, strict=True)
        )
        return [GAP.join(parts).rstrip() for parts in zip(*padded, strict=True)]

    body = (line for row in cells for line in lines(row))
    return "\n".join([*lines(headers), *lines(["-" * own for own in widths]), *body])


def cell_text(value: object) -> str:
    """A value on one line: thousands of a number are parted, and nothing stands for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.replace("\t", " ").splitlines())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _widest_word(cell: str) -> int:
    return min(MAX_WORD_WIDTH, max(map(display_width, cell.split()), default=0))


def _widest_piece(cell: str) -> int:
    pieces = (piece for word in cell.split() for piece in _pieces(word))
    return min(MAX_WORD_WIDTH, max(map(display_width, pieces), default=0))


def _pieces(word: str) -> list[str]:
    """Where a word may be parted: behind dots, underscores and the like; nowhere in a number, a date or a SKU."""
    return re.findall(r"[^._/:]*[._/:]+|[^._/:]+", word) if any(map(str.isalpha, word)) else [word]


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths that fit into ``room``: the widest column gives way first, none below its least width."""
    found = [min(own, room) for own in widths]
    while sum(found) > room:
        widest = max((n for n in range(len(found)) if found[n] > least[n]), key=found.__getitem__)
        found[widest] -= 1
    return found


def _block(row: Sequence[str], headers: Sequence[str], width: int) -> str:
    """A row as lines of a header and a value each; blank values are left out."""
    margin = max(map(display_width, headers)) + len(GAP)
    lines = []
    for header, value in zip(headers, row, strict=True):
        if value:
            first, *others = wrap(value, max(width - margin, MAX_WORD_WIDTH))
            lines += [pad(header, margin) + first, *(" " * margin + other for other in others)]
    return "\n".join(lines)


def _split(text: str, width: int) -> tuple[str, str]:
    """``text`` in two: as many characters as take at most ``width`` columns, at least one, and the others."""
    taken = 1
    while taken < len(text) and display_width(text[: taken + 1]) <= width:
        taken += 1
    return text[:taken], text[taken:]
