"""Keep a rendering's values out of its SQL: a placeholder stands for each until the whole text is known.

A placeholder is ``U+E000 number U+E001``, two characters of Unicode's private use area that SQL does not have.
"""

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

    Locate = Callable[[], Callable[[int], SourceLocation | None]]
    """Returns the function from an offset in the text with placeholders to its place in a template."""

PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")

_ADJACENT = {
    "value": (re.compile("[\\w$@#.'\"`\\]\ue001]"), re.compile("[\\w$@#.'\"`]")),
    "name": (re.compile("[\\w$@#'\"`\\]\ue001]"), re.compile("[\\w$@#'\"`]")),
}
"""What may not stand directly before and directly after a placeholder: the two would become one word or one text."""


class UnwritableValueError(Exception):
    """A value cannot be written as SQL; the message says why."""


class TemplateFailedError(UnwritableValueError):
    """A template called ``fail``: what is wrong is what it was given, at the place of the outermost macro call."""


class InvalidVariableError(UnwritableValueError):
    """A variable of project.toml is not of the kind that a template requires; ``variable`` is its name."""

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(message)
        self.variable = variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A value or a quoted name that is to be written into the SQL as ``text``.

    ``items`` are the values to bind. ``written_by`` is the template that wrote it, if any, and its compiled line.
    """

    kind: Literal["value", "name"]
    text: str
    items: tuple[object, ...] = ()
    written_by: tuple[Template | None, int]

    @property
    def path(self) -> Path | None:
        """The file of the template that wrote it."""
        template, _ = self.written_by
        return Path(str(template.filename)) if template else None

    @property
    def line(self) -> int | None:
        """The line in that file: a property, because Jinja takes longer to find it than to render the template."""
        template, compiled = self.written_by
        return template.get_corresponding_lineno(compiled) if template else None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSpan:
    """The range of a written value in the SQL, and that of its placeholder in the text before."""

    start: int
    end: int
    start_before: int
    end_before: int


def write_values(
    sql: str, placeholders: Sequence[Placeholder], dialect: str, *, path: Path, locate: Locate
) -> tuple[str, list[WrittenSpan]]:
    """Return ``sql`` with each placeholder replaced, and where each of them stands now and stood before.

    Raises :class:`RenderError` with every placeholder that stands where no value may.
    """
    misplaced: dict[int, tuple[Placeholder, str, str]] = {}
    parts: list[str] = []
    spans: list[WrittenSpan] = []
    position, length = 0, 0
    regions = list(quoting.regions(sql, dialect))
    for found in PLACEHOLDER.finditer(sql):
        placeholder = placeholders[int(found[1])]
        problem = _misplacement(sql, found, placeholder, regions)
        if problem:
            misplaced[found.start()] = (placeholder, *problem)
            continue
        text = ident(placeholder.text, dialect) if placeholder.kind == "name" else placeholder.text
        # Two minus signs would begin a comment.
        gap = " " if text.startswith("-") and sql[: found.start()].endswith("-") else ""
        parts += [sql[position : found.start()], gap + text]
        start = length + len(parts[-2])
        length = start + len(parts[-1])
        spans.append(WrittenSpan(start=start, end=length, start_before=found.start(), end_before=found.end()))
        position = found.end()
    if misplaced:
        raise RenderError(list(dict.fromkeys(_misplacement_diagnostics(misplaced, path=path, locate=locate))))
    return "".join([*parts, sql[position:]]), spans


def _misplacement_diagnostics(
    misplaced: Mapping[int, tuple[Placeholder, str, str]], *, path: Path, locate: Locate
) -> Iterator[Diagnostic]:
    at = locate()
    for offset, (placeholder, message, hint) in misplaced.items():
        place = at(offset)
        line = placeholder.line
        exact = place is not None and (place.path, place.line) == (placeholder.path, line)
        column = place.column if place is not None and exact else None
        yield Diagnostic(path=placeholder.path or path, line=line, column=column, message=message, hint=hint)


def offset_before_writing(spans: Sequence[WrittenSpan], offset: int) -> int:
    """Return the offset in the text with placeholders for an offset in the text with values."""
    number = bisect_right(spans, offset, key=lambda span: span.start) - 1
    if number < 0:
        return offset
    span = spans[number]
    return span.start_before if offset < span.end else span.end_before + offset - span.end


def _misplacement(
    sql: str, found: re.Match[str], placeholder: Placeholder, regions: Sequence[quoting.Region]
) -> tuple[str, str] | None:
    """Return what is wrong with the position of a placeholder, and what to do; None where nothing is."""
    region = next((region for region in regions if region.start < found.start() < region.end), None)
    names = '{{ ("price_" ~ value) | ident }}'
    what = "A value" if placeholder.kind == "value" else "A name"
    plain = "{{ value }}" if placeholder.kind == "value" else "{{ value | ident }}"
    if region is not None and region.kind == "comment":
        return f"{what} stands inside a comment.", "Write {# … #} around a comment that is only for the template."
    if region is not None:
        return (
            f"{what} stands inside quotes: write {plain} without them; it is quoted automatically.",
            f'Build a text as {{{{ "%" ~ value ~ "%" }}}} or with the concat macro, and a name as {names}.',
        )
    before, after = _ADJACENT[placeholder.kind]
    left, right = sql[: found.start()][-1:], sql[found.end() :][:1]
    if before.match(left) or after.match(right):
        return (
            f"{what} stands directly beside other text and would become one word with it.",
            f"Put a blank or an operator between them; build a name as {names}.",
        )
    return None


class ValueWriter:
    """Collects the values and names of one rendering, and returns placeholders for them.

    ``write`` returns the SQL for one value. The placeholders are numbered in the order of :attr:`placeholders`.
    """

    def __init__(self, write: Callable[[object], str]) -> None:
        self.placeholders: list[Placeholder] = []
        self._write = write

    def value(self, value: object) -> Markup:
        """Return the placeholder for the value of an expression (Jinja's ``finalize``); SQL is returned as it is."""
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
        return self._add_placeholder(kind="value", text=text, items=items)

    def identifier(self, value: object) -> Markup:
        """Return the placeholder for a text as a quoted name: the filter ``ident``."""
        name = str(plain_value(value))
        try:
            ident(name, "")
        except ValueError as error:
            raise UnwritableValueError(str(error)) from None
        return self._add_placeholder(kind="name", text=name)

    def column(self, name: object) -> Markup:
        """Return the placeholders for each part of a dotted text as a quoted name: the function ``col``."""
        from markupsafe import Markup

        return Markup(".").join(self.identifier(part) for part in str(plain_value(name)).split("."))

    def _add_placeholder(self, *, kind: Literal["value", "name"], text: str, items: tuple[object, ...] = ()) -> Markup:
        from markupsafe import Markup

        self.placeholders.append(Placeholder(kind=kind, text=text, items=items, written_by=_calling_template()))
        return Markup(f"\ue000{len(self.placeholders) - 1}\ue001")  # noqa: S704 - a number between two private characters


def _calling_template() -> tuple[Template | None, int]:
    """Return the template that is being rendered, and the current line of what it was compiled to."""
    frame = sys._getframe(1)  # noqa: SLF001 - Python gives frames by no other name
    while frame.f_back is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return template, frame.f_lineno
        frame = frame.f_back
    return None, 0


def require_defined(value: object) -> None:
    """Raise Jinja's error for an undefined name, which ``finalize`` would otherwise turn into a value."""
    from jinja2 import StrictUndefined

    if isinstance(value, StrictUndefined):
        str(value)


def plain_value(value: object) -> object:
    """Return ``value``. Raises :class:`UnwritableValueError` for SQL, and Jinja's error for an undefined name."""
    from markupsafe import Markup

    require_defined(value)
    if isinstance(value, Markup):
        raise UnwritableValueError(
            "A value is required here, but this is SQL. Write SQL and values beside each other, not mixed."
        )
    return value
