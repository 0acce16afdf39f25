"""Keep arrays of numbers on disk while a run needs them, in the run's working folder."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from engine.state.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


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
