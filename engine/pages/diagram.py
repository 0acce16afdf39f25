"""Lay out the diagram of a mapping: source columns on the left, Stock2Shop fields on the right, lines between them.

Coordinates are in the units of the SVG's view box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.mapping.lineage import MappingRow

LINE_HEIGHT = 22
"""The height of a line of text."""

COLUMN_GAP = 190
"""The distance between the columns on the left and the fields on the right."""

LETTER_WIDTH = 7.6
"""The assumed width of a letter. Too wide wastes space, too narrow cuts names off."""

MAX_VALUE_LETTERS = 300
"""How many letters of a value a page shows; longer ones are cut to what is around the difference."""

MAX_NAME_LETTERS = 34
"""How many letters of a name the diagram shows; its tooltip has the whole name."""

FIXED_VALUES = "fixed values"
"""The table name under which fields without a source column stand."""

UNKNOWN_TABLE = "some table"
"""The table name under which columns stand whose table cannot be told without the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text at the height ``y``: ``text`` is displayed, ``whole`` is its tooltip, ``state`` says e.g. ``added``."""

    text: str
    whole: str
    y: int
    kind: Literal["table", "column", "field"]
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line from the height ``start`` of a column to the height ``end`` of a field; ``says`` is its tooltip."""

    start: int
    end: int
    state: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """The whole diagram; ``from_left`` is the left edge of its view box, a negative number."""

    left: tuple[Label, ...]
    right: tuple[Label, ...]
    lines: tuple[Line, ...]
    from_left: int
    width: int
    height: int


def lineage_diagram(mapping: Iterable[MappingRow], states: Mapping[str, str]) -> Diagram:
    """Lay out a mapping; ``states`` says which fields are ``added`` or ``changed``.

    Tables, and the columns in them, are sorted by the mean position of the fields that they feed, so that few lines
    cross.
    """
    rows = list(mapping)
    fed = _fed_fields(rows)

    def middle(numbers: Iterable[int]) -> float:
        found = list(numbers)
        return sum(found) / len(found)

    left: list[Label] = []
    at: dict[tuple[str, str], int] = {}
    y = LINE_HEIGHT
    for table, columns in sorted(
        fed.items(),
        key=lambda each: (
            each[0] == FIXED_VALUES,
            middle(number for numbers in each[1].values() for number in numbers),
        ),
    ):
        left.append(_label(table, y, "table"))
        for column in sorted(columns, key=lambda each: middle(columns[each])):
            y += LINE_HEIGHT
            at[table, column] = y
            left.append(_label(column, y, "column"))
        y += LINE_HEIGHT + LINE_HEIGHT // 2
    top = max((y - LINE_HEIGHT - len(rows) * LINE_HEIGHT) // 2, LINE_HEIGHT // 2)
    places = [top + (number + 1) * LINE_HEIGHT for number in range(len(rows))]
    lines = [
        Line(
            start=at[table, column],
            end=places[number],
            state=states.get(rows[number].field, ""),
            says=f"{column if table == FIXED_VALUES else f'{table}.{column}'} feeds {rows[number].field}",
        )
        for table, columns in fed.items()
        for column, numbers in columns.items()
        for number in numbers
    ]
    right = [
        _label(row.field, place, "field", states.get(row.field, "")) for row, place in zip(rows, places, strict=True)
    ]
    return Diagram(
        left=tuple(left),
        right=tuple(right),
        # Lines of changed fields are drawn last, on top of the others.
        lines=tuple(sorted(lines, key=lambda line: bool(line.state))),
        from_left=-_label_width(left),
        width=_label_width(left) + COLUMN_GAP + _label_width(right, more=len(" (changed)")),
        height=max(y, places[-1] if places else 0) + LINE_HEIGHT // 2,
    )


def lineage_list(mapping: Iterable[MappingRow]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """The same as a list, for a screen that is too narrow for the diagram: tables, columns, and the fields they feed.

    Example: ``[("item", [("code", ["source_variant_code", "variants.sku"])])]``.
    """
    rows = list(mapping)
    return [
        (table, [(column, [rows[number].field for number in numbers]) for column, numbers in columns.items()])
        for table, columns in sorted(_fed_fields(rows).items(), key=lambda each: each[0] == FIXED_VALUES)
    ]


def _fed_fields(rows: list[MappingRow]) -> dict[str, dict[str, list[int]]]:
    """The places in ``rows`` of the fields that each column feeds, by table and column."""
    fed: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        for source in row.sources or ("",):
            table, _, column = source.rpartition(".")
            table = table or (FIXED_VALUES if not source else UNKNOWN_TABLE)
            fed.setdefault(table, {}).setdefault(column or row.expression, []).append(number)
    return fed


def _label_width(labels: Iterable[Label], *, more: int = 0) -> int:
    """The width of labels with the gap to their dots; those with a state have ``more`` letters."""
    letters = (len(label.text) + (more if label.state else 0) + (label.kind == "table") for label in labels)
    return 14 + round(LETTER_WIDTH * max(letters, default=0))


def _label(text: str, y: int, kind: Literal["table", "column", "field"], state: str = "") -> Label:
    shown = text if len(text) <= MAX_NAME_LETTERS else f"{text[: MAX_NAME_LETTERS - 1]}…"
    return Label(text=shown, whole=text, y=y, kind=kind, state=state)
