"""Reviews and mappings as HTML: pages that stand in one file, ask nothing of a network, and print.

A page holds its style and its drawings itself, and says by its content security policy that it loads nothing. Texts
are escaped by the template engine, whoever wrote them.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.review.text import NEW, differing, impact_sentence, review_summary, to_decide
from engine.sync.report import plural, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import Environment

    from engine.mapping.lineage import Mapped
    from engine.review.compare import Review

FOLDER = Path(__file__).parent / "html"

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


def review_page(reviews: Sequence[Review], *, against: str, version: str = "") -> str:
    """Reviews as one page, to be read by people who have never seen the tool and signed off by the client.

    ``version`` says which states were compared, so that a signature is below something that can be found again.
    """
    return _environment().get_template("review.html").render(reviews=reviews, against=against, version=version, new=NEW)


def render_page(name: str, **values: Any) -> str:
    """The page ``name`` of the engine's templates."""
    return _environment().get_template(name).render(**values)


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


def drawing(mapping: Iterable[Mapped], states: Mapping[str, str]) -> Drawing:
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


def long_values(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """A value before and after; of long ones what is around the first and the last difference."""
    if max(len(before or ""), len(after or "")) <= VALUE:
        return before, after
    return differing(before or "", after or "")


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """A unified diff as its lines, each with what it is: ``file``, ``place``, ``added``, ``removed`` or ``same``."""
    kinds = {"+++": "file", "---": "file", "@@ ": "place"}
    signs = {"+": "added", "-": "removed"}
    return [(kinds.get(line[:3]) or signs.get(line[:1], "same"), line) for line in diff.splitlines()]


def _hashed(text: str) -> str:
    """What a content security policy calls an inline script or style that it lets through."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "drawing": drawing,
        "diff_lines": diff_lines,
        "differing": differing,
        "long_values": long_values,
        "sentence": impact_sentence,
        "summary": review_summary,
        "to_decide": to_decide,
        "plural": plural,
        "style": (FOLDER / "page.css").read_text("utf-8"),
        "script": (FOLDER / "search.js").read_text("utf-8"),
        "hashed": _hashed,
        "span": SPAN,
        "value_length": VALUE,
    }
    environment.filters["zip"] = zip
    environment.globals["dict"] = dict
    environment.filters["as_json"] = lambda value: json.dumps(value, ensure_ascii=False, default=str)
    environment.filters["shortened"] = short
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment
