"""Turn rows that a driver fetched into Arrow record batches.

Texts, integers and booleans keep their type; every other value becomes text, as
:mod:`engine.database.connection` describes. A column's type may differ from batch to batch: it is that of the values
in it. Batches are limited by rows and by bytes.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.database.binary import BinaryValueError, UndecodedBytes, decode_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

FETCH_ROWS = 500
"""Rows that are fetched and transposed at a time: few enough to stay in the processor's cache. Compared with 2,000
this was measured to save 5 to 20 % of a run's CPU time."""

MAX_BATCH_BYTES = 4_000_000
"""About how large a batch may be: of rows with descriptions of 100 KB, 2,000 would take 200 MB."""

MIN_BATCH_ROWS = 8
"""Rows that a batch has at least, however wide they are, and that the first one has."""

MAX_MIN_BATCH_ROWS = 80
"""Rows that a batch has at least where they have hundreds of columns: each costs as much for few rows as for many."""


@dataclass
class BatchResult:
    """Batches from a generator, with its columns known before the first row."""

    columns: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]
    packed: bool = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches


@contextmanager
def _no_collections() -> Iterator[None]:
    """Switch the garbage collector off: fetching makes many small objects that it would search in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class FetchedColumn:
    """A column of the rows that a driver gives.

    ``kind`` is the Python type under which the driver describes it, None where it says nothing. Values of bytes are
    bits where ``byte_count`` is given and they have another length: a BIT column of n bits is described as n bytes.
    """

    name: str
    kind: type | None = None
    byte_count: int | None = None


def fetch_batch(
    fetch: Callable[[int], Sequence[Sequence[Any]]], columns: Sequence[FetchedColumn], size: int
) -> pa.RecordBatch:
    """Up to ``size`` rows as a record batch; fewer only where there are no more.

    Raises :class:`BinaryValueError` for bytes that are no text.
    """
    import pyarrow as pa

    chunks: list[list[pa.Array]] = [[] for _ in columns]
    remaining = size
    with _no_collections():
        while remaining:
            requested = min(remaining, FETCH_ROWS)
            rows = fetch(requested)
            for chunk, column, values in zip(chunks, columns, zip(*rows, strict=True), strict=bool(rows)):
                chunk.append(_array(values, column))
            remaining -= len(rows)
            if len(rows) < requested:
                break
    arrays = [_concatenated(chunk) for chunk in chunks]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{number}" for number in range(len(columns))])


def next_batch_rows(batch: pa.RecordBatch, limit: int) -> int:
    """How many rows the next batch should have, judged by the last batch's bytes a row; ``limit`` at most."""
    least = min(MAX_MIN_BATCH_ROWS, max(MIN_BATCH_ROWS, int(batch.num_columns) // 4))
    return min(limit, max(least, MAX_BATCH_BYTES * int(batch.num_rows) // max(int(batch.nbytes), 1)))


def _concatenated(chunks: Sequence[pa.Array]) -> pa.Array:
    import pyarrow as pa

    if len(chunks) == 1:
        return chunks[0]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [chunk.cast(pa.string()) for chunk in chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


def _array(values: Sequence[Any], column: FetchedColumn) -> pa.Array:
    """One column's values: texts, integers and booleans as Arrow has them, anything else as text."""
    import pyarrow as pa

    if column.kind is str:
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):  # an output converter may have made something else
            return pa.array(values, pa.string())
    kinds = set(map(type, values))
    has_nulls = type(None) in kinds
    kinds.discard(type(None))
    if kinds <= {str}:
        return pa.array(values, pa.string())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int}:
        with suppress(pa.ArrowInvalid, OverflowError):  # beyond 64 bits it goes on as text
            return pa.array(values, pa.int64())
    if UndecodedBytes in kinds:
        raise BinaryValueError(column.name)
    if not kinds.isdisjoint({bytes, bytearray}):
        values = [_decoded(value, column) if isinstance(value, (bytes, bytearray)) else value for value in values]
    texts: list[str | None]
    if kinds == {Decimal}:
        texts = list(map(str, values))
        if has_nulls or "E" in "".join(map(str, values)):
            texts = [None if value is None else format(value, "f") for value in values]
    else:
        texts = [None if value is None else _text(value) for value in values]
    return pa.array(texts, pa.string())


def _text(value: Any) -> str:
    """The text of one value; equal to what Arrow makes of it where a whole column has its type."""
    return _TEXTS.get(type(value), str)(value)


def float_text(value: float) -> str:
    """The shortest digits that read back the same; whole numbers as such, because an ERP may keep a code in a float."""
    return expand_exponent(repr(value)).removesuffix(".0")


def expand_exponent(text: str) -> str:
    """A number's text with all its digits in place of an exponent: 1.2e+06 is 1200000."""
    return format(Decimal(text), "f") if "e" in text else text


def expand_exponents(values: pa.Array) -> pa.Array:
    """An array of floats' texts, each as :func:`expand_exponent` gives it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring(values, "e")).as_py():
        return values
    return pa.array([None if value is None else expand_exponent(value) for value in values.to_pylist()], pa.string())


def _decoded(value: bytes | bytearray, column: FetchedColumn) -> str:
    if column.byte_count not in {None, len(value)}:
        raise BinaryValueError(column.name, bits=True)
    return decode_bytes(value, column.name)


_TEXTS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: float_text,
    Decimal: lambda value: format(value, "f"),
    date: date.isoformat,
    datetime: lambda value: value.isoformat(" "),
    time: time.isoformat,
}
