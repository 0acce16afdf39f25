"""Choose the few rows of a table that make good fixtures, in one pass over it.

A query's batches and the keys that other tables use go in, a :class:`SampledTable` with the chosen rows comes out.
Chosen are rows that hold one of the keys in the column that has such, one row for each value of a column that has few
values, one for a NULL and one for a blank of each column, and the first rows until there are enough. A row is known by
where it stands: each of several that are alike may be chosen, because a sum, a count or a join finds them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.sync.extract import cancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pyarrow as pa

MAX_DISTINCT_VALUES = 12
"""A column with at most so many distinct values has a row chosen for each of them."""

MAX_KEY_LETTERS = 40
"""Longer values are not taken for keys: they are descriptions."""


@dataclass(slots=True)
class SampledTable:
    """A table and the rows that were chosen of it.

    ``holds_people`` says that the customers' view reads it. ``field_kinds`` are the kinds of personal data by column
    (lower case), as told by the Stock2Shop fields that the columns feed. ``arrived_types`` are ``"bigint"`` for a
    column whose values all arrived as integers, else None. ``chosen`` has the rows, in order. ``sql_name``
    is the table as the views name it, ``spelled`` are the columns as the database spells them, where it was asked,
    ``codes`` those (lower case) that feed the fields which are keys, and ``joined`` these and those that join tables.
    ``plain`` are those (lower case) that only feed fields which say nothing of a person, such as a country.
    ``compared`` are the texts that the views write beside a column (lower case), and compare it with.
    """

    name: str
    columns: tuple[str, ...]
    holds_people: bool
    field_kinds: dict[str, str] = field(default_factory=dict)
    arrived_types: list[str | None] = field(default_factory=list)
    chosen: list[tuple[str | None, ...]] = field(default_factory=list)
    rows_read: int = 0
    sql_name: str = ""
    spelled: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    compared: dict[str, frozenset[str]] = field(default_factory=dict)


def choose_rows(
    read: Any,
    *,
    keys: Mapping[int, frozenset[str]],
    rows: int,
    stop: threading.Event,
    progress: Callable[[int], None],
) -> SampledTable:
    """Read a result once and choose about ``rows`` of its rows, at most five times as many by their keys.

    ``keys`` are those that a column may hold, by the column's place. ``progress`` is called with the number of rows
    read so far. Raises :class:`CancelledError` once ``stop`` is set.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = SampledTable(name="", columns=tuple(read.columns), holds_people=False)
    width = len(found.columns)
    examples_of: list[dict[str | None, int]] = [{} for _ in range(width)]
    many = [False] * width
    rows_at: dict[int, tuple[str | None, ...]] = {}
    matching: list[int] = []
    first: list[int] = []
    key_values = {place: pa.array(sorted(values), pa.string()) for place, values in keys.items()}
    kinds: list[set[str]] = [set() for _ in range(width)]
    for batch in read:
        if stop.is_set():
            raise cancelled()
        texts = [column.cast(pa.string()) for column in batch.columns]
        for kind, column in zip(kinds, batch.columns, strict=True):
            kind.add("integer" if pa.types.is_integer(column.type) else "other")
        before = found.rows_read
        found.rows_read += batch.num_rows
        progress(found.rows_read)

        def keep(number: int, texts: Sequence[pa.Array] = texts, before: int = before) -> int:
            """Keep a row of this batch; gives its place among all rows."""
            if before + number not in rows_at:
                rows_at[before + number] = tuple(column[number].as_py() for column in texts)
            return before + number

        if key_values and len(matching) < rows * 5:
            hits = None
            for place, values in key_values.items():
                hit = pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(texts[place]), value_set=values), False)
                hits = hit if hits is None else pc.or_(hits, hit)
            matching += map(keep, pc.indices_nonzero(hits).to_pylist()[: rows * 5 - len(matching)])
        for place, column in enumerate(texts):
            for value in _candidate_values(column, many=many[place]):
                if value in examples_of[place]:
                    continue
                if (
                    value is not None
                    and value.strip()
                    and (many[place] or len(examples_of[place]) >= MAX_DISTINCT_VALUES)
                ):
                    many[place] = True
                    continue
                where = pc.is_null(column) if value is None else pc.equal(column, value)
                examples_of[place][value] = keep(pc.index(pc.fill_null(where, False), True).as_py())
        first += map(keep, range(min(batch.num_rows, rows - len(first))))
    few = [
        example
        for place, examples in enumerate(examples_of)
        for value, example in examples.items()
        if not many[place] or value is None or not value.strip()
    ]
    chosen = dict.fromkeys((*matching, *few))
    for example in first:
        if len(chosen) >= rows:
            break
        chosen.setdefault(example)
    found.chosen = [rows_at[place] for place in chosen]
    found.arrived_types = ["bigint" if kind == {"integer"} else None for kind in kinds]
    return found


def join_keys(table: SampledTable, columns: Collection[str]) -> Iterator[str]:
    """Yield the keys in the chosen rows of a table, of some of its columns (lower case)."""
    for place, column in enumerate(table.columns):
        if column.lower() in columns:
            yield from (key for row in table.chosen if (key := join_key(row[place])))


def _candidate_values(column: pa.Array, *, many: bool) -> list[str | None]:
    """The distinct values of a column; of one with many values only those that are NULL or blank."""
    import pyarrow.compute as pc

    if many:
        blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
        column = column.filter(blank)
    values: list[str | None] = pc.unique(column).to_pylist()
    return values


def join_key(value: str | None) -> str:
    """The form in which a value is compared between tables: trimmed; empty where it is NULL or too long for a key."""
    trimmed = (value or "").strip()
    return trimmed if len(trimmed) <= MAX_KEY_LETTERS else ""
