"""placeholders."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine import quoting
from engine.errors import Diagnostic, RenderError
from engine.quoting import ident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jinja2 import Template
    from markupsafe import Markup

    from engine.model.query import SourceLocation

    Placed = Callable[[], Callable[[int], SourceLocation | None]]

PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")

_AGAINST = {
    "value": (re.compile("[\\w$@#.'\"`\\]\ue001]"), re.compile("[\\w$@#.'\"`]")),
    "name": (re.compile("[\\w$@#'\"`\\]\ue001]"), re.compile("[\\w$@#'\"`]")),
}
"""What may stand neither before nor after a mark: it would become one word or one text with it."""


class UnwritableValueError(Exception):
    """A value that cannot be written as SQL; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A value, or a name, that waits for its place in the SQL as ``text``.

    ``items`` are the values to bind. ``by`` is the template that wrote it, if any, and its compiled line.
    """

    kind: Literal["value", "name"]
    text: str
    items: tuple[object, ...] = ()
    by: tuple[Template | None, int]

    @property
    def path(self) -> Path | None:
        """The template's file."""
        template, _ = self.by
        return Path(str(template.filename)) if template else None

    @property
    def line(self) -> int | None:
        """The template's line, which takes Jinja longer to find than to render it."""
        template, compiled = self.by
        return template.get_corresponding_lineno(compiled) if template else None


def write_values(
    sql: str, marks: Sequence[_Mark], dialect: str, *, path: Path, places: Placed
) -> tuple[str, list[tuple[int, int, int, int]]]:
    """``sql`` with each mark written out, and where each begins and ends there, and did before.

    Raises :class:`RenderError` for every mark that stands where it may not.
    """
    wrong: dict[int, tuple[_Mark, str, str]] = {}
    parts, gaps, position, length = [], [], 0, 0
    regions = list(quoting.regions(sql, dialect))
    for found in PLACEHOLDER.finditer(sql):
        mark = marks[int(found[1])]
        misplaced = _misplaced(sql, found, mark, regions)
        if misplaced:
            wrong[found.start()] = (mark, *misplaced)
            continue
        text = ident(mark.text, dialect) if mark.kind == "name" else mark.text
        # Two minus signs would begin a comment.
        gap = " " if text.startswith("-") and sql[: found.start()].endswith("-") else ""
        parts += [sql[position : found.start()], gap + text]
        start = length + len(parts[-2])
        length = start + len(parts[-1])
        gaps.append((start, length, found.start(), found.end()))
        position = found.end()
    if wrong:
        raise RenderError(list(dict.fromkeys(_misplaced_faults(wrong, path=path, places=places))))
    return "".join([*parts, sql[position:]]), gaps


def _misplaced_faults(
    wrong: Mapping[int, tuple[_Mark, str, str]], *, path: Path, places: Placed
) -> Iterator[Diagnostic]:
    at = places()
    for offset, (mark, message, hint) in wrong.items():
        place = at(offset)
        exact = place is not None and (place.path, place.line) == (mark.path, mark.line)
        column = place.column if place is not None and exact else None
        yield Diagnostic(path=mark.path or path, line=mark.line, column=column, message=message, hint=hint)


def offset_before_writing(gaps: Sequence[tuple[int, int, int, int]], offset: int) -> int:
    """Where a letter of the written SQL stood while the values were marks."""
    number = bisect_right(gaps, offset, key=lambda gap: gap[0]) - 1
    if number < 0:
        return offset
    _, end, before, behind = gaps[number]
    return before if offset < end else behind + offset - end


def _misplaced(
    sql: str, found: re.Match[str], mark: _Mark, regions: Sequence[quoting.Region]
) -> tuple[str, str] | None:
    """What is wrong with the place of a mark, and what to do; None where nothing is."""
    region = next((region for region in regions if region.start < found.start() < region.end), None)
    names = '{{ ("price_" ~ value) | ident }}'
    what = "A value" if mark.kind == "value" else "A name"
    plain = "{{ value }}" if mark.kind == "value" else "{{ value | ident }}"
    if region is not None and region.kind == "comment":
        return f"{what} stands inside a comment.", "Write {# #} around a comment that is the template's."
    if region is not None:
        return (
            f"{what} stands inside quotes: write {plain} without them; it is quoted for the dialect by itself.",
            f'Build a text as {{{{ "%" ~ value ~ "%" }}}} or with the concat macro, and a name as {names}.',
        )
    before, after = _AGAINST[mark.kind]
    left, right = sql[: found.start()][-1:], sql[found.end() :][:1]
    if before.match(left) or after.match(right):
        return (
            f"{what} stands right against other text and would become one word with it.",
            f"Leave a blank or an operator between them; build a name as {names}.",
        )
    return None


class ValueWriter:
    """Keeps the values and names of one rendering, and gives the marks that stand for them."""

    def __init__(self, write: Callable[[object], str]) -> None:
        self.marks: list[_Mark] = []
        self._write = write

    def value(self, value: object) -> Markup:
        """What Jinja's finalize makes of an expression; SQL stays as it is."""
        from markupsafe import Markup

        require_defined(value)
        if isinstance(value, Markup):
            return value
        try:
            if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
                items = tuple(quoting.scalar(plain_value(item)) for item in quoting.items(value))
            else:
                items = (quoting.scalar(value),)
            text = ", ".join(map(self._write, items))
        except ValueError as error:
            raise UnwritableValueError(str(error)) from None
        return self._mark(kind="value", text=text, items=items)

    def identifier(self, value: object) -> Markup:
        """A text as a quoted name: the filter ``ident``."""
        name = str(plain_value(value))
        try:
            ident(name, "")
        except ValueError as error:
            raise UnwritableValueError(str(error)) from None
        return self._mark(kind="name", text=name)

    def column(self, name: object) -> Markup:
        """A dotted text as quoted names: the function ``col``."""
        from markupsafe import Markup

        return Markup(".").join(self.identifier(part) for part in str(plain_value(name)).split("."))

    def _mark(self, *, kind: Literal["value", "name"], text: str, items: tuple[object, ...] = ()) -> Markup:
        from markupsafe import Markup

        self.marks.append(_Mark(kind=kind, text=text, items=items, by=_place()))
        return Markup(f"\ue000{len(self.marks) - 1}\ue001")  # noqa: S704 - a number between two marks


def _place() -> tuple[Template | None, int]:
    """The template that is being rendered, and the line of what it was compiled to."""
    frame = sys._getframe(1)  # noqa: SLF001 - Python gives frames by no other name
    while frame.f_back is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return template, frame.f_lineno
        frame = frame.f_back
    return None, 0


def require_defined(value: object) -> None:
    """Raise for an undefined name: Jinja would print whatever finalize makes of it."""
    from jinja2 import StrictUndefined

    if isinstance(value, StrictUndefined):
        str(value)


def plain_value(value: object) -> object:
    """``value``, if it is defined and no SQL."""
    from markupsafe import Markup

    require_defined(value)
    if isinstance(value, Markup):
        raise UnwritableValueError(
            "SQL stands where a value is wanted. Write SQL parts beside each other, never mixed."
        )
    return value
