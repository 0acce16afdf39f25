"""Tell rows that are known from rows that are new or differ, by 64 bits of each row as it arrives.

In: batches from the reader, and the fingerprints of rows that need nothing more. Out: the rows to stage, each with its
raw fingerprint, and the known fingerprints that did not arrive.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from engine.database.arrow import MAX_BATCH_BYTES, next_batch_rows
from engine.database.connection import SEPARATOR
from engine.errors import UnpackableError
from engine.mapping.engine_sql import render_sql
from engine.state.hashing import hash_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from engine.state.spill_file import BatchLog, SpillFile
    from engine.state.store import State

HASH_ROWS = 4096
"""How many rows are fingerprinted, and land, at a time, unless they are wide."""

INDEX_BLOCK_ROWS = 262_144
"""About how many known fingerprints are in memory at a time: 2 MB."""

MAX_FEW_ROWS = 1_000
"""Up to so many rows are worked on without ``pyarrow.compute``, whose import takes 60 ms."""

LANDING_ROWS = 65_536
"""How many rows one statement stages: DuckDB keeps what it knows of a table's parts in memory until it ends."""

LANDING_BYTES = 32_000_000
"""About how large they may be together: of what one statement stages, DuckDB holds 2,048 rows in memory at its end."""


class FingerprintIndex:
    """The raw fingerprints of rows that need nothing more as they are, and which of them arrived.

    They are kept sorted in ``blocks``, which are read through for each few thousand rows that arrive, with a bit for
    each in memory: a hash join in DuckDB takes 56 bytes of memory for each.
    """

    def __init__(self, state: State, blocks: SpillFile) -> None:
        import numpy as np

        self.size, self.untrusted = state.row("select count(raw), count(*) - count(raw) from run.known")
        parts = -(-self.size // INDEX_BLOCK_ROWS)
        # A fingerprint is as likely to be any number as any other.
        bounds = [(part << 64) // max(parts, 1) for part in range(parts + 1)]
        for first, end in pairwise(bounds):
            block = state.numbers("select raw from run.known where raw between $1 and $2", [first, end - 1])
            block.sort()
            blocks.append(block)
        self._blocks = blocks
        self._bounds = np.array(bounds[1:-1], dtype=np.uint64)
        self._arrived = [np.zeros(-(-size // 8), dtype=np.uint8) for size in blocks.sizes]

    def find_unknown(self, raws: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of ``raws`` are not known; the others are marked as arrived."""
        import numpy as np

        if not self._arrived:
            return np.ones(len(raws), dtype=bool)
        arrived = np.sort(raws)  # so that each search begins in the cache where the last one ended
        found = np.zeros(len(raws), dtype=bool)
        parts = np.split(np.arange(len(raws)), arrived.searchsorted(self._bounds))
        for block, bits, part in zip(self._blocks, self._arrived, parts, strict=True):
            places = block.searchsorted(arrived[part])
            places[places == len(block)] = 0
            found[part] = block[places] == arrived[part] if len(block) else False
            here = np.zeros(len(block), dtype=bool)
            here[places[found[part]]] = True
            np.bitwise_or(bits, np.packbits(here), out=bits)
        return np.isin(raws, arrived[~found]) if not found.all() else np.zeros(len(raws), dtype=bool)

    def missing(self) -> Iterator[pa.Table]:
        """The known fingerprints that did not arrive, in the column ``raw``, a part at a time."""
        import numpy as np
        import pyarrow as pa

        for block, bits in zip(self._blocks, self._arrived, strict=True):
            arrived = np.unpackbits(bits, count=len(block)).astype(bool)
            if not arrived.all():
                yield pa.table({"raw": pa.array(block[~arrived], pa.uint64())})


class UnknownRows:
    """Gives DuckDB the rows that are not known, as text: one form for every driver, cast in one place.

    ``values`` is how many values a packed row has, 0 where rows are not packed. ``rows`` is how many rows arrived,
    ``landed`` and ``bytes`` how many of them are not known and their size, and ``raised`` what the reader raised, if it
    did. Raises :class:`UnpackableError` for a row that did not arrive as one text.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        columns: Sequence[str],
        known: FingerprintIndex,
        progress: Callable[[int], None],
        *,
        values: int = 0,
    ) -> None:
        self._batches = batches
        self._values = values
        self._columns = columns
        self._known = known
        self._progress = progress
        self.rows = self.landed = self.bytes = 0
        self.raised: BaseException | None = None

    def portions(self, state: State) -> Iterator[Portion]:
        """The rows, each with its raw fingerprint in the column ``_raw``; each portion is read before the next one.

        There is none where all rows are known, as they are most of the time: DuckDB would take 20 MB to get ready.
        """
        import pyarrow as pa

        texts = pa.schema([(column, pa.string()) for column in self._columns])
        schema = texts.append(pa.field("_raw", pa.uint64()))
        differing = self._differing(texts, schema)
        with state.batch_log(schema) as log:
            for first in differing:
                log.append(first)
                yield Portion(schema, differing, log)
                log.clear()

    def _differing(self, texts: pa.Schema, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            with hash_function(render_sql("fingerprint.sql", columns=self._columns)) as fingerprint:
                yield from map(pa.concat_batches, _gathered(self._unknown(fingerprint, texts, schema)))
        except BaseException as error:
            self.raised = error
            raise

    def _unknown(
        self,
        fingerprint: Callable[[Sequence[pa.RecordBatch]], npt.NDArray[np.uint64]],
        texts: pa.Schema,
        schema: pa.Schema,
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batches in _gathered(self._texts(texts)):
            raws = fingerprint(batches)
            unknown = self._known.find_unknown(raws)
            start = 0
            for batch in batches if unknown.any() else ():
                rows = slice(start, start := start + batch.num_rows)
                numbers = pa.Array.from_buffers(pa.uint64(), batch.num_rows, [None, pa.py_buffer(raws[rows])])
                whole = pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
                landing = whole if unknown.all() else _rows_where(whole, unknown[rows])
                if self._values and not _is_packed(landing.column(0), self._values):
                    raise UnpackableError("A row of the view did not arrive as one text.")
                self.landed += landing.num_rows
                self.bytes += landing.nbytes
                yield landing

    def _texts(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches as text, in parts that are small enough to be held several at a time."""
        import pyarrow as pa

        for batch in self._batches:
            self.rows += batch.num_rows
            self._progress(self.rows)
            whole = pa.RecordBatch.from_arrays([_as_text(column) for column in batch.columns], schema=schema)
            step = next_batch_rows(whole, max(whole.num_rows, 1))
            for start in range(0, whole.num_rows, step):
                yield whole.slice(start, step)


def _as_text(column: pa.Array) -> pa.Array:
    """A column of texts, integers or booleans as text."""
    import pyarrow as pa

    if column.type == pa.string():
        return column
    if len(column) > MAX_FEW_ROWS:
        return column.cast(pa.string())
    texts = [None if value is None else str(value).lower() for value in column.to_pylist()]
    return pa.array(texts, pa.string())


def _rows_where(batch: pa.RecordBatch, chosen: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows of a batch that are ``chosen``."""
    import pyarrow as pa

    if batch.num_rows > MAX_FEW_ROWS:
        return batch.filter(pa.array(chosen))
    slices = [batch.slice(int(row), 1) for row in chosen.nonzero()[0]]
    return pa.concat_batches(slices) if slices else batch.slice(0, 0)


def _is_packed(rows: pa.Array, values: int) -> bool:
    """Whether each of ``rows`` has so many values: none has fewer, so it is enough to count all separators."""
    import numpy as np

    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int32)[[rows.offset, rows.offset + len(rows)]]
    texts = np.frombuffer(data, np.uint8)[ends[0] : ends[1]] if data else np.empty(0, np.uint8)
    separators = np.count_nonzero(texts == ord(SEPARATOR))
    return rows.null_count == 0 and int(separators) == len(rows) * (values - 1)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches together, so many that what is done once for all of them costs nothing for each row."""
    together: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        together.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= HASH_ROWS or size >= MAX_BATCH_BYTES:
            yield together
            together, rows, size = [], 0, 0
    if together:
        yield together


class Portion:
    """So many rows as one statement stages: they can be read again, without asking their database again."""

    def __init__(self, schema: pa.Schema, more: Iterator[pa.RecordBatch], log: BatchLog) -> None:
        self._schema = schema
        self._more = more
        self._log = log

    def read(self) -> pa.RecordBatchReader:
        """A reader of all rows, from the first one."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """What was read before, and then as many rows as make :data:`LANDING_ROWS` or :data:`LANDING_BYTES`."""
        rows = size = 0
        for batch in self._log:
            rows += batch.num_rows
            size += batch.nbytes
            yield batch
        while rows < LANDING_ROWS and size < LANDING_BYTES and (batch := next(self._more, None)) is not None:
            rows += batch.num_rows
            size += batch.nbytes
            self._log.append(batch)
            yield batch
