"""Whether files exist, where a missing right to look is an error and never taken for absence.

Python's own ``Path.is_file`` and its like also return False where the answer cannot be known, from 3.14 on for every
reason, and ``Path.glob`` skips folders that it may not read on every version.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from pathlib import Path

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""Errors that mean that there is no such file, or cannot be one of this name."""


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``. Raises :class:`OSError` where that cannot be known."""
    return _mode(path) != 0


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``. Raises :class:`OSError` where that cannot be known."""
    return stat.S_ISREG(_mode(path))


def is_dir(path: Path) -> bool:
    """Whether there is a folder at ``path``. Raises :class:`OSError` where that cannot be known."""
    return stat.S_ISDIR(_mode(path))


def list_paths(folder: Path, pattern: str) -> list[Path]:
    """The paths in ``folder`` that match the glob ``pattern``, sorted; none where there is no such folder.

    Raises :class:`OSError` where this account may not read it.
    """
    if is_dir(folder):
        os.scandir(folder).close()
    return sorted(folder.glob(pattern))


def unreadable(path: Path, error: OSError, *, folder: str) -> Diagnostic:
    """The diagnostic for a ``path`` in the project's ``folder`` that this account may not look for."""
    return Diagnostic(
        path=path,
        message=f"Whether this exists cannot be known: {error.strerror}.",
        hint=f"Give the account that runs s2s the right to read the folder {folder}/ and its files.",
    )


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    except ValueError:  # a path cannot hold a NUL
        pass
    return 0
