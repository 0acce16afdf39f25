"""blocks."""

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
    """Arrays of 64-bit numbers that lie on disk, one of them in memory at a time."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.sizes: list[int] = []

    def append(self, numbers: npt.NDArray[np.uint64]) -> None:
        """Write ``numbers`` behind those that are there."""
        with translate_errors(self._path):
            self._file.seek(0, os.SEEK_END)
            left = numbers.data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        self.sizes.append(len(numbers))

    def __iter__(self) -> Iterator[npt.NDArray[np.uint64]]:
        """Read them, in order; each until the next one is asked for."""
        import numpy as np

        memory = np.empty(max(self.sizes, default=0), dtype=np.uint64)
        self._file.seek(0)
        for size in self.sizes:
            block = memory[:size]
            with translate_errors(self._path):
                if self._file.readinto(block.data) != block.nbytes:
                    raise OSError(errno.EIO, "The working set was cut short")
            yield block
