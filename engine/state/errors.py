"""Translate DuckDB's and the file system's errors about the state into what is wrong and what to do next."""

from __future__ import annotations

import errno
import re
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StateError, StateLockedError, StateMemoryError, SyncError, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIN_FREE_BYTES = 16_000_000
"""Bytes that DuckDB may write at once: where a write failed and less than that is free, the disk is full."""

_LOCKED_ERRORS = frozenset({32, 33})
"""Windows' numbers for a file that another process has open, or has locked in part."""

_DENIED_ERRORS = frozenset({5, 19})
"""Windows' numbers for access that is denied, and for a medium that may not be written."""


@contextmanager
def translate_errors(path: Path, *, memory_limit: str = "") -> Iterator[None]:
    """Raise errors of DuckDB, the file system and memory as :class:`StateError`; ``path`` is the state file.

    ``memory_limit`` is what DuckDB was given, such as 48MB, where it can be given more; else blank.
    """
    import duckdb

    try:
        yield
    except SyncError:
        raise
    except (duckdb.Error, OSError, MemoryError) as error:
        raise _translated(error, path, memory_limit) from error


def _translated(error: Exception, path: Path, memory_limit: str) -> StateError:
    text = str(error)
    low = text.lower()
    # Of any other file it would say nothing: this process itself may have it open by now.
    could_not_open = "cannot open file" in low and str(path) in text
    number = getattr(error, "winerror", None) or (_open_error(path) if could_not_open else 0)
    # The second is what DuckDB adds on Windows, whose own words are in the language of the machine.
    if ("lock" in low and ("conflicting" in low or "could not set" in low)) or "file is already open in" in low:
        holder = re.search(r"PID (\d+)", text)
        by = f" (process {holder[1]})" if holder else ""
        return StateLockedError(
            f"Another run holds {path}{by}.",
            hint="Wait until it ends and run again. The lock ends with its process: nothing needs to be deleted.",
        )
    if number in _LOCKED_ERRORS or "being used by another process" in low:
        return StateLockedError(
            f"Another run or program holds {path}, or did a moment ago: a backup, or a virus scanner.",
            hint="Run again. If it happens again, exclude the folder from the backup and from the scanner.",
        )
    # DuckDB adds how much it used where it came to its own limit, and not where the system gave it nothing.
    if memory_limit and re.search(r"out of memory.*\bused\)|failed to pin", low, re.DOTALL):
        return StateMemoryError(
            f"A step of the run needs more memory than the {memory_limit} that it was given. Nothing was lost.",
            hint="Run again: the next run begins with more memory.",
        )
    if "failed to pin" in low or is_out_of_memory(error):
        return StateMemoryError(
            "The rows of the view need more memory than this machine has free. Nothing was lost.",
            hint="Close other programs, or leave very long texts out of the view.",
        )
    if (
        "no space" in low
        or "disk full" in low
        or "file too large" in low
        or "enospc" in low
        or "max_temp_directory_size" in low
        or getattr(error, "errno", None) == errno.ENOSPC
        or ("could not write" in low and _is_full(path))
    ):
        return StateError(
            f"The disk is full: {path.parent} could not take the working set of the run. Nothing was lost.",
            hint="Free some space there, or set S2S_STATE to a folder on a larger disk, and run again.",
        )
    if re.search("not a valid duckdb|corrupt|checksum|deserializ|could not read (enough|all) bytes|extension", low):
        return StateError(
            f"The state file {path} is damaged or is not a DuckDB file.",
            hint="Restore it from a backup; or move it away and run `s2s adopt`, which reads what"
            " Stock2Shop has, so that nothing is deleted or sent twice because of a lost state.",
        )
    if "newer" in low or "storage version" in low or "version number" in low:
        return StateError(
            f"The state file {path} was written by a newer DuckDB.",
            hint="Install the DuckDB version that wrote it, or move the file away and run `s2s adopt`.",
        )
    if (
        number in _DENIED_ERRORS
        or "permission denied" in low
        or "read-only" in low
        or isinstance(error, PermissionError)
    ):
        return StateError(
            f"The state file {path} cannot be written.",
            hint="Give the account that runs s2s the right to write the folder, or set S2S_STATE to another one.",
        )
    return StateError(
        f"The state file {path} could not be used: {text.splitlines()[0] if text else type(error).__name__}",
        hint="Run again with --debug for the details.",
    )


def _open_error(path: Path) -> int:
    """Windows' error number for why the file cannot be opened to write, 0 where it can be, or on other systems."""
    if sys.platform == "win32":
        import _winapi

        access = _winapi.GENERIC_READ | _winapi.GENERIC_WRITE
        try:
            _winapi.CloseHandle(_winapi.CreateFile(str(path), access, 0, 0, _winapi.OPEN_EXISTING, 0, 0))
        except OSError as error:
            return error.winerror or 0
    return 0


def _is_full(path: Path) -> bool:
    """Whether the disk has less room than DuckDB may write at a time."""
    try:
        return shutil.disk_usage(path.parent).free < MIN_FREE_BYTES
    except OSError:
        return False
