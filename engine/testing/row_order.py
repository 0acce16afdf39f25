"""Find out whether a view's rows on the fixtures depend on the order in which its tables are read.

Where two rows are equal in what a LIMIT, a window function or a list is ordered by, a database takes whichever it finds
first: a price may be another in each run, and on fixtures. So such a view is run twice more, and once over tables
whose rows stand in the other direction.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.database.open import open_source
from engine.errors import FixtureError
from engine.mapping.locate import diagnostic_at
from engine.quoting import blanked, ident

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.query import Query
    from engine.model.settings import SourceSettings

ORDERED_PARTS = re.compile(
    r"(?i)\b(over|limit|fetch|qualify|any_value|string_agg|group_concat|listagg|list|array_agg|first|last|distinct\s+on)\b"
)
"""Parts of a view in DuckDB's SQL that may depend on the order of rows."""

SIGNIFICANT_DIGITS = 9
"""Digits in which floating numbers agree whatever is added first."""


def require_certain_order(source: SourceSettings, query: Query, written: Query, tables: Iterable[str]) -> None:
    """Raise :class:`FixtureError` where the rows of a view depend on the order in which tables are read.

    ``query`` is the view in DuckDB's SQL, to be run on ``source``, and ``written`` the same as rendered for its
    database; ``tables`` are those of the fixtures.
    """
    if not ORDERED_PARTS.search(blanked(query.sql, "duckdb")):
        return
    turned = tuple(
        f"create temp table {name} as select * from {name} order by rowid desc"  # noqa: S608 - names in quotes
        for name in (ident(table, "duckdb") for table in tables if re.search(rf"(?i){re.escape(table)}", query.sql))
    )
    columns, rows = _read(source, query.sql)
    _, others = _read(replace(source, session=(*source.session, *turned)), query.sql)
    if Counter(rows) == Counter(others):
        return
    pairs = zip(columns, zip(*rows, strict=True), zip(*others, strict=True), strict=True) if rows and others else ()
    different = [name for name, values, turned_values in pairs if Counter(values) != Counter(turned_values)]
    what = ", ".join(different) or "which rows there are"
    message = (
        f"The view's rows depend on which of several rows the database happens to read first: {what}. They are equal in"
        " what a LIMIT, a window function or a list is ordered by."
    )
    hint = "Add columns to its ORDER BY until no two rows are equal in them, the last one a key."
    raise FixtureError([diagnostic_at(written, _only_order(written.sql), message, hint)])


def _only_order(sql: str) -> int | None:
    """Return the offset of the view's ORDER BY; None where it has several."""
    found = list(re.finditer(r"(?i)\border\s+by\b", sql))
    return found[0].start() if len(found) == 1 else None


def _read(source: SourceSettings, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with open_source(source) as connection:
        result = connection.read(sql)
        rows = [row for batch in result for row in _rows(batch)]
    return tuple(result.columns), rows


def _rows(batch: Any) -> Iterator[tuple[Any, ...]]:
    columns = [list(map(_comparable, column.to_pylist())) for column in batch.columns]
    yield from zip(*columns, strict=True)


def _comparable(value: Any) -> Any:
    """Return a value without the digits in which sums of floating numbers differ by their order."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", value) or value.isdigit():
        return value
    return f"{float(value):.{SIGNIFICANT_DIGITS}g}"
