"""Where in the templates each letter of rendered SQL comes from.

Jinja keeps lines, and those only while it renders. So when something is wrong, and only then, the templates are
rendered once more with marks in their text: where each line of it and each value begins, and around each macro. A mark
says its place itself, so that what a file is compiled to serves every rendering of it. Where the marked text without
its marks is not the text that was rendered before, nothing is told rather than something wrong.
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

_MARK = re.compile("\ue002(\\d+) (\\d+) (text|value) ([^\ue003]*)\ue003|\ue004|\ue005")
_OPEN, _CLOSE = "\ue004", "\ue005"


class SourceMap:
    """The places of one rendering, from a text that was marked by :func:`marks`: give it to :meth:`read`."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._places: list[tuple[SourceLocation, bool]] = []

    def read(self, marked: str) -> str:
        """Take the marks out of a rendered text, and remember where they stood; gives the text without them."""
        parts, position, length = [], 0, 0
        calls: list[SourceLocation | None] = []
        for found in _MARK.finditer(marked):
            parts.append(marked[position : found.start()])
            length += len(parts[-1])
            position = found.end()
            if found[1] is not None:
                self._starts.append(length)
                place = SourceLocation(
                    path=Path(found[4]),
                    line=int(found[1]),
                    column=int(found[2]),
                    call=calls[0] if calls else None,
                )
                self._places.append((place, found[3] == "text"))
            elif found[0] == _OPEN:
                calls.append(self.at(length))
            elif calls:
                calls.pop()
        return "".join([*parts, marked[position:]])

    def at(self, offset: int) -> SourceLocation | None:
        """The place of the letter at ``offset`` of the text; what a value came to stands where its braces open."""
        number = bisect_right(self._starts, offset) - 1
        if number < 0:
            return None
        place, text = self._places[number]
        return replace(place, column=place.column + offset - self._starts[number]) if text else place


@cache
def marks() -> Any:
    """The extension of an environment that puts marks into the text of templates while they are read."""
    from jinja2.ext import Extension
    from jinja2.lexer import Token

    class Marks(Extension):
        """Puts marks into the text of templates."""

        def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
            self._source = re.sub("\r\n|\r", "\n", source)
            self._read = (name, filename)
            return source

        def filter_stream(self, stream: Any) -> Iterator[Any]:
            starts = _starts(self._source, self.environment.lexer.tokeniter(self._source, *self._read))
            mark = partial(_mark, self._read[1] or self._read[0] or "", self._source)
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
                    yield Token(token.lineno, "data", _marked(token.value, next(starts), mark))
                else:
                    if token.type == "variable_begin":
                        yield Token(token.lineno, "data", mark(next(starts), kind="value"))
                    yield token
                if macro and token.type == "block_end":
                    yield Token(token.lineno, "data", _OPEN)
                    macro = False

    return Marks


def _mark(path: str, source: str, offset: int, *, kind: Literal["text", "value"]) -> str:
    """What stands in a template for an offset of it; ``kind`` tells whether its own text or a value follows."""
    line, column = source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)
    return f"\ue002{line} {column} {kind} {path}\ue003"


def _starts(source: str, tokens: Iterable[tuple[int, str, str]]) -> Iterator[int]:
    """Where each piece of a template's text, and each value in braces, begins."""
    position = 0
    for _, kind, value in tokens:
        # Nothing but blanks that the braces eat stands between two tokens.
        position = source.index(value, position)
        if kind == "variable_begin" or (kind == "data" and value):
            yield position
        position += len(value)


def _marked(text: str, start: int, mark: Callable[..., str]) -> str:
    lines = []
    for line in text.split("\n"):
        lines.append(mark(start, kind="text") + line)
        start += len(line) + 1
    return "\n".join(lines)
