"""The folder of a state's working set, and a state file that a killed run was creating: what lies beside a state."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.files import create_private_file, exists, make_private_folder
from engine.state.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


HEADER_BYTES = 3 * 4096
"""DuckDB's headers, which it writes one after the other as it creates a file."""


def prepare_file(path: Path) -> None:
    """Make the folder of the state at ``path``, for its owner alone, and leave no file there that is not to be opened.

    Raises :class:`StateError` where the file cannot be written.
    """
    with translate_errors(path):
        make_private_folder(path.parent)
        if exists(path) and not os.access(path, os.W_OK):
            raise StateError(
                f"The state file {path} cannot be written.",
                hint="Give the account that runs s2s the right to write it, or set S2S_STATE to another folder.",
            )
        _remove_unfinished_file(path)
        if exists(path):
            create_private_file(path)  # a state that was copied here may be anybody's to read


def _remove_unfinished_file(path: Path) -> None:
    """Remove a state file that a run left that was killed as it created it: without a byte, or without all headers.

    Not while another process holds it, which may be about to write. DuckDB locks its file in the same way.
    """
    if sys.platform == "win32":
        with suppress(FileNotFoundError, PermissionError):  # whoever holds the file keeps it from being removed
            with path.open("rb") as file:
                unfinished = _is_unfinished(path, file)
            if unfinished:
                path.unlink()
        return
    import fcntl

    with suppress(FileNotFoundError, BlockingIOError), path.open("r+b") as file:
        if _is_unfinished(path, file):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_unfinished(path, file):
                path.unlink()


def _is_unfinished(path: Path, file: BinaryIO) -> bool:
    """Whether nothing was ever kept in the file: DuckDB has not written all headers, nor a journal.

    A file that lost its end is another matter: its second header counts the journals that were written into it.
    """
    size = os.fstat(file.fileno()).st_size
    if size >= HEADER_BYTES or exists(path.with_name(f"{path.name}.wal")):
        return False
    file.seek(0)
    headers = file.read(4096 + 16)
    return not size or (headers[8:12] == b"DUCK" and not any(headers[4096 + 8 :]))


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
