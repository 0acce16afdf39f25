"""The folder of a state's working set, and an empty state file that a killed run left: what lies beside a state."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine.state.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def remove_empty_file(path: Path) -> None:
    """Remove a state file without a byte, which a run left that was killed when it had just created it.

    Not while another process holds it, which may be about to write. DuckDB locks its file in the same way.
    """
    if sys.platform == "win32":
        with suppress(FileNotFoundError, PermissionError):  # whoever holds the file keeps it from being removed
            if not path.stat().st_size:
                path.unlink()
        return
    import fcntl

    with suppress(FileNotFoundError, BlockingIOError), path.open("r+b") as file:
        if not os.fstat(file.fileno()).st_size:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file.fileno()).st_size:
                path.unlink()


@contextmanager
def working_folder(path: Path, scratch: Path) -> Iterator[None]:
    """Create the folder ``scratch`` beside the state at ``path``, for its owner alone, and delete it at the end.

    The state is locked, so no other run is active: folders that killed runs left behind are deleted too.
    """
    with translate_errors(path):
        for folder in path.parent.iterdir():
            if folder != scratch and re.fullmatch(rf"\.{re.escape(path.stem)}-[a-z0-9_]{{8}}", folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        scratch.mkdir(mode=0o700, exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
