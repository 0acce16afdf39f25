"""diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.mapping.lineage import MappingRow

STEP = 22
"""The height of a line of the lineage drawing, in its own units."""

SPAN = 190
"""How far columns and fields stand apart in the drawing."""

LETTER = 7.6
"""How wide a letter of the drawing is taken to be; too wide costs blank space, too narrow cuts names off."""

VALUE = 300
"""How many letters of a value a page shows; of longer ones, what is around the difference."""

TEXT = 34
"""How many letters of a name the drawing shows; the whole name stands in its tooltip, and in the table."""

FIXED = "fixed values"
"""What the drawing calls the source of a field that no column feeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text of the drawing at ``y``: a table's name, a column or a field, and what became of it."""

    text: str
    whole: str
    y: int
    kind: Literal["table", "column", "field"]
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the drawing from a column at ``start`` to a field at ``end``, both heights."""

    start: int
    end: int
    state: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Which column feeds which field: columns by their tables to the left, fields to the right."""

    left: tuple[Label, ...]
    right: tuple[Label, ...]
    lines: tuple[Line, ...]
    from_left: int
    width: int
    height: int


def drawing(mapping: Iterable[MappingRow], states: Mapping[str, str]) -> Drawing:
    """Lay out the lineage of a mapping; ``states`` tells of some fields what became of them.

    Tables, and columns in them, stand in the order of the fields that they feed on average, so that few lines cross.
    """
    rows = list(mapping)
    fed: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        for source in row.sources or ("",):
            table, _, column = source.rpartition(".")
            table = table or (FIXED if not source else "?")
            fed.setdefault(table, {}).setdefault(column or row.expression, []).append(number)

    def middle(numbers: Iterable[int]) -> float:
        found = list(numbers)
        return sum(found) / len(found)

    left: list[Label] = []
    at: dict[tuple[str, str], int] = {}
    y = STEP
    for table, columns in sorted(
        fed.items(),
        key=lambda each: (each[0] == FIXED, middle(number for numbers in each[1].values() for number in numbers)),
    ):
        left.append(_label(table if table != "?" else "some table", y, "table"))
        for column in sorted(columns, key=lambda each: middle(columns[each])):
            y += STEP
            at[table, column] = y
            left.append(_label(column, y, "column"))
        y += STEP + STEP // 2
    top = max((y - STEP - len(rows) * STEP) // 2, STEP // 2)
    places = [top + (number + 1) * STEP for number in range(len(rows))]
    lines = [
        Line(
            start=at[table, column],
            end=places[number],
            state=states.get(rows[number].field, ""),
            says=f"{column if table == FIXED else f'{table}.{column}'} feeds {rows[number].field}",
        )
        for table, columns in fed.items()
        for column, numbers in columns.items()
        for number in numbers
    ]
    right = [
        _label(row.field, place, "field", states.get(row.field, "")) for row, place in zip(rows, places, strict=True)
    ]
    return Drawing(
        left=tuple(left),
        right=tuple(right),
        # What changed is drawn last, above the rest.
        lines=tuple(sorted(lines, key=lambda line: bool(line.state))),
        from_left=-_room(left),
        width=_room(left) + SPAN + _room(right, more=len(" (changed)")),
        height=max(y, places[-1] if places else 0) + STEP // 2,
    )


def _room(labels: Iterable[Label], *, more: int = 0) -> int:
    """How wide labels are, with the gap to their dots, and ``more`` letters behind those of which something became."""
    letters = (len(label.text) + (more if label.state else 0) + (label.kind == "table") for label in labels)
    return 14 + round(LETTER * max(letters, default=0))


def _label(text: str, y: int, kind: Literal["table", "column", "field"], state: str = "") -> Label:
    shown = text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"
    return Label(text=shown, whole=text, y=y, kind=kind, state=state)
