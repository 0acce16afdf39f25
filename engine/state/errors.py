"""errors."""

from __future__ import annotations

import errno
import re
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StateError, StateLockedError, StateMemoryError, SyncError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIN_FREE_BYTES = 16_000_000
"""Bytes that DuckDB may want at once: a write that failed with less than that free was refused for want of room."""

_HELD = frozenset({32, 33})
"""Windows' numbers for a file that another process has open, or has locked in part."""

_FORBIDDEN = frozenset({5, 19})
"""Windows' numbers for access that is denied, and for a medium that may not be written."""


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn what DuckDB and the file system say into what to do about it."""
    import duckdb

    try:
        yield
    except SyncError:
        raise
    except (duckdb.Error, OSError, MemoryError) as error:
        raise _explain(error, path) from error


def _explain(error: Exception, path: Path) -> StateError:
    text = str(error)
    low = text.lower()
    asked = "cannot open file" in low and str(path) in text  # any other, this process may hold itself by now
    number = getattr(error, "winerror", None) or (_refusal(path) if asked else 0)
    # The second is what DuckDB adds on Windows, whose own words are in the language of the machine.
    if ("lock" in low and ("conflicting" in low or "could not set" in low)) or "file is already open in" in low:
        holder = re.search(r"PID (\d+)", text)
        by = f" (process {holder[1]})" if holder else ""
        return StateLockedError(
            f"Another run holds {path}{by}.",
            hint="Wait until it ends and run again. The lock goes with the process: nothing needs to be deleted.",
        )
    if number in _HELD or "being used by another process" in low:
        return StateLockedError(
            f"Another run or program holds {path}, or did just now: a backup, or a virus scanner.",
            hint="Run again. If it stays so, leave the folder out of the backup's and the scanner's work.",
        )
    if "out of memory" in low or "failed to pin" in low or isinstance(error, MemoryError):
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
            f"The state file {path} is damaged or is no DuckDB file.",
            hint="Restore it from a backup; or move it away and run `s2s adopt`, which reads from Stock2Shop"
            " what it holds, so that nothing is deleted or sent twice for a lost state.",
        )
    if "newer" in low or "storage version" in low or "version number" in low:
        return StateError(
            f"The state file {path} was written by a newer DuckDB.",
            hint="Install the DuckDB version that wrote it, or move the file away and run `s2s adopt`.",
        )
    if number in _FORBIDDEN or "permission denied" in low or "read-only" in low or isinstance(error, PermissionError):
        return StateError(
            f"The state file {path} cannot be written.",
            hint="Give the account that runs s2s the right to write the folder, or set S2S_STATE to another one.",
        )
    return StateError(
        f"The state file {path} could not be used: {text.splitlines()[0] if text else type(error).__name__}",
        hint="Run again with --debug for the details.",
    )


def _refusal(path: Path) -> int:
    """Windows' number for why the file cannot be opened to write, whose words are in the machine's language; else 0."""
    if sys.platform == "win32":
        import _winapi

        access = _winapi.GENERIC_READ | _winapi.GENERIC_WRITE
        try:
            _winapi.CloseHandle(_winapi.CreateFile(str(path), access, 0, 0, _winapi.OPEN_EXISTING, 0, 0))
        except OSError as error:
            return error.winerror or 0
    return 0


def _is_full(path: Path) -> bool:
    """Whether the disk hardly has room for anything DuckDB writes at a time."""
    try:
        return shutil.disk_usage(path.parent).free < MIN_FREE_BYTES
    except OSError:
        return False
