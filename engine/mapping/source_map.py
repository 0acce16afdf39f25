"""Map each character of rendered SQL back to its place in the templates.

Jinja keeps line numbers only while it renders. So when there is a problem to report, and only then, the templates are
rendered once more with markers in their text: one where each line and each value begins, and one around each macro.
A marker holds its own place, so that a compiled template can be used for every rendering. Where the text without its
markers is not the text that was rendered first, no place is given rather than a wrong one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.model.query import SourceLocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MARKER = re.compile("\ue002(\\d+) (\\d+) (text|value) ([^\ue003]*)\ue003|\ue004|\ue005")
_OPEN, _CLOSE = "\ue004", "\ue005"


class SourceMap:
    """The places of one rendered text, read from the markers of :func:`marking_extension`."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._places: list[tuple[SourceLocation, bool]] = []

    def read(self, marked: str) -> str:
        """Record the places of a rendered text's markers, and return the text without them."""
        parts, position, length = [], 0, 0
        calls: list[SourceLocation | None] = []
        for found in _MARKER.finditer(marked):
            parts.append(marked[position : found.start()])
            length += len(parts[-1])
            position = found.end()
            if found[1] is not None:
                self._starts.append(length)
                place = SourceLocation(
                    path=Path(found[4]),
                    line=int(found[1]),
                    column=int(found[2]),
                    called_from=calls[0] if calls else None,
                )
                self._places.append((place, found[3] == "text"))
            elif found[0] == _OPEN:
                calls.append(self.at(length))
            elif calls:
                calls.pop()
        return "".join([*parts, marked[position:]])

    def at(self, offset: int) -> SourceLocation | None:
        """Return the place of the character at ``offset``, or None; of a value it is where its braces open."""
        number = bisect_right(self._starts, offset) - 1
        if number < 0:
            return None
        place, text = self._places[number]
        return replace(place, column=place.column + offset - self._starts[number]) if text else place


@cache
def marking_extension() -> Any:
    """Return the Jinja extension that puts markers into the text of templates while they are read."""
    from jinja2.ext import Extension
    from jinja2.lexer import Token

    class Markers(Extension):
        """Puts markers into the text of templates."""

        def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
            self._source = re.sub("\r\n|\r", "\n", source)
            self._read = (name, filename)
            return source

        def filter_stream(self, stream: Any) -> Iterator[Any]:
            starts = _token_offsets(self._source, self.environment.lexer.tokeniter(self._source, *self._read))
            mark = partial(_mark_at, self._read[1] or self._read[0] or "", self._source)
            begin, macro = None, False
            for token in stream:
                if begin is not None:
                    if token.test("name:endmacro"):
                        yield Token(token.lineno, "data", _CLOSE)
                    yield begin
                    begin, macro = None, token.test("name:macro")
                if token.type == "block_begin":
                    begin = token
                elif token.type == "data":
                    yield Token(token.lineno, "data", _mark_lines(token.value, next(starts), mark))
                else:
                    if token.type == "variable_begin":
                        yield Token(token.lineno, "data", mark(next(starts), kind="value"))
                    yield token
                if macro and token.type == "block_end":
                    yield Token(token.lineno, "data", _OPEN)
                    macro = False

    return Markers


def _mark_at(path: str, source: str, offset: int, *, kind: Literal["text", "value"]) -> str:
    """Return the marker for an offset in a template; ``kind`` is what follows it: its own text or a value."""
    line, column = source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)
    return f"\ue002{line} {column} {kind} {path}\ue003"


def _token_offsets(source: str, tokens: Iterable[tuple[int, str, str]]) -> Iterator[int]:
    """Yield the offset at which each piece of a template's text, and each value in braces, begins."""
    position = 0
    for _, kind, value in tokens:
        # Nothing but blanks that the braces eat stands between two tokens.
        position = source.index(value, position)
        if kind == "variable_begin" or (kind == "data" and value):
            yield position
        position += len(value)


def _mark_lines(text: str, start: int, mark: Callable[..., str]) -> str:
    """Return a piece of a template's text with a marker before each of its lines."""
    lines = []
    for line in text.split("\n"):
        lines.append(mark(start, kind="text") + line)
        start += len(line) + 1
    return "\n".join(lines)
