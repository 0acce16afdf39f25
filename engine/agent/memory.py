"""How much memory another process has."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def resident_bytes(process: int) -> int:
    """The bytes that a process has in memory; 0 where that is not known: of Linux alone it is.

    >>> resident_bytes(-1)
    0
    """
    if sys.platform != "linux":
        return 0
    try:
        pages = Path(f"/proc/{process}/statm").read_text("ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
