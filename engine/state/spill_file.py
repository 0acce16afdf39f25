"""Keep numbers and rows on disk while a run needs them, in the run's working folder."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.state.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MAX_BYTES_IN_MEMORY = 8_000_000
"""Up to so many bytes of record batches are kept in memory."""


class SpillFile:
    """Arrays of 64-bit numbers on disk, of which one at a time is in memory.

    Raises :class:`~engine.errors.StateError` where the disk is full or fails.
    """

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.sizes: list[int] = []

    def append(self, numbers: npt.NDArray[np.uint64]) -> None:
        """Write ``numbers`` behind those that are there already."""
        with translate_errors(self._path):
            self._file.seek(0, os.SEEK_END)
            remaining = numbers.data.cast("B")
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
        self.sizes.append(len(numbers))

    def __iter__(self) -> Iterator[npt.NDArray[np.uint64]]:
        """Read the arrays in the order in which they were appended; each is valid until the next one is read."""
        import numpy as np

        memory = np.empty(max(self.sizes, default=0), dtype=np.uint64)
        self._file.seek(0)
        for size in self.sizes:
            block = memory[:size]
            with translate_errors(self._path):
                if self._file.readinto(block.data) != block.nbytes:
                    raise OSError(errno.EIO, "The working set was cut short")
            yield block


class BatchLog:
    """Record batches that can be read again, in memory while they are few, else in the file ``path``.

    Raises :class:`~engine.errors.StateError` where the disk is full or fails.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._written = 0
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._file: pa.OSFile | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep ``batch`` behind those that are there already."""
        import pyarrow as pa

        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes < MAX_BYTES_IN_MEMORY:
            return
        with translate_errors(self._path):
            if self._writer is None:
                self._file = pa.OSFile(str(self._path), "wb")
                self._writer = pa.ipc.new_stream(self._file, self._schema)
            for each in self._batches:
                self._writer.write_batch(each)
        self._written += len(self._batches)
        self._batches, self._bytes = [], 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Read the batches in the order in which they were appended."""
        import pyarrow as pa

        if self._written:
            with translate_errors(self._path), pa.OSFile(str(self._path), "rb") as file:
                reader = pa.ipc.open_stream(file)
                for _ in range(self._written):
                    yield reader.read_next_batch()
        yield from self._batches

    def clear(self) -> None:
        """Forget all batches, and delete the file."""
        self._batches, self._bytes, self._written = [], 0, 0
        if self._writer is not None and self._file is not None:
            # The writer ends its file by a mark; on a full disk that fails, and nobody will read it.
            for close in (self._writer.close, self._file.close):
                with suppress(OSError):
                    close()
            with suppress(OSError):
                self._path.unlink()
            self._writer = self._file = None
