"""sampling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.sync.extract import cancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    import pyarrow as pa

FEW = 12
"""A column with at most so many values shows each of them."""

LONGEST = 40
"""A key is no longer than this: descriptions join nothing."""


@dataclass(slots=True)
class SampledTable:
    """A table while its rows are chosen."""

    name: str
    columns: tuple[str, ...]
    people: bool
    fed: dict[str, str] = field(default_factory=dict)
    kinds: list[str | None] = field(default_factory=list)
    kept: dict[tuple[str | None, ...], None] = field(default_factory=dict)
    seen: int = 0
    matched: bool = False


def choose_rows(
    read: Any, *, keys: frozenset[str], rows: int, stop: threading.Event, progress: Callable[[int], None]
) -> SampledTable:
    """Read a result once and keep the rows that the module's head tells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = SampledTable(name="", columns=tuple(read.columns), people=False)
    width = len(found.columns)
    shown: list[dict[str | None, tuple[str | None, ...]]] = [{} for _ in range(width)]
    many = [False] * width
    matching: dict[tuple[str | None, ...], None] = {}
    first: dict[tuple[str | None, ...], None] = {}
    wanted = pa.array(sorted(keys), pa.string())
    kinds: list[set[str]] = [set() for _ in range(width)]
    for batch in read:
        if stop.is_set():
            raise cancelled()
        texts = [column.cast(pa.string()) for column in batch.columns]
        for kind, column in zip(kinds, batch.columns, strict=True):
            kind.add("integer" if pa.types.is_integer(column.type) else "other")
        found.seen += batch.num_rows
        progress(found.seen)

        def row(number: int, texts: Sequence[pa.Array] = texts) -> tuple[str | None, ...]:
            return tuple(column[number].as_py() for column in texts)

        if keys and len(matching) < rows * 5:
            hits = None
            for column in texts:
                hit = pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(column), value_set=wanted), False)
                hits = hit if hits is None else pc.or_(hits, hit)
            for number in pc.indices_nonzero(hits).to_pylist()[: rows * 5 - len(matching)]:
                matching[row(number)] = None
        for place, column in enumerate(texts):
            for value in _candidate_values(column, many=many[place]):
                if value in shown[place]:
                    continue
                if value is not None and value.strip() and (many[place] or len(shown[place]) >= FEW):
                    many[place] = True
                    continue
                where = pc.is_null(column) if value is None else pc.equal(column, value)
                shown[place][value] = row(pc.index(pc.fill_null(where, False), True).as_py())
        for number in range(min(batch.num_rows, rows - len(first))):
            first[row(number)] = None
    few = [
        example
        for place, examples in enumerate(shown)
        for value, example in examples.items()
        if not many[place] or value is None or not value.strip()
    ]
    found.matched = bool(matching)
    found.kept = dict.fromkeys((*matching, *few))
    for example in first:
        if len(found.kept) >= rows:
            break
        found.kept.setdefault(example)
    found.kinds = ["bigint" if kind == {"integer"} else None for kind in kinds]
    return found


def _candidate_values(column: pa.Array, *, many: bool) -> list[str | None]:
    """The distinct values of a column; of one with many values only those that are NULL or blank."""
    import pyarrow.compute as pc

    if many:
        blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
        column = column.filter(blank)
    values: list[str | None] = pc.unique(column).to_pylist()
    return values


def join_key(value: str | None) -> str:
    """A value as it is compared between tables: trimmed, and empty where it is too long to be a key."""
    trimmed = (value or "").strip()
    return trimmed if len(trimmed) <= LONGEST else ""
