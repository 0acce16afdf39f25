"""Whether files are there, so that "no" means no: where an account may not look, that is an error, never an absence.

Python's own ``is_file`` and its like say no as well where the answer cannot be had, from 3.14 on for every reason; and
``glob`` passes over folders that it may not read on every version.
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
"""There is no such file, or can be none of such a name."""


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``. Raises :class:`OSError` where that cannot be told."""
    return _mode(path) != 0


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``. Raises :class:`OSError` where that cannot be told."""
    return stat.S_ISREG(_mode(path))


def is_dir(path: Path) -> bool:
    """Whether there is a folder at ``path``. Raises :class:`OSError` where that cannot be told."""
    return stat.S_ISDIR(_mode(path))


def listed(folder: Path, pattern: str) -> list[Path]:
    """What ``folder`` holds under such names, sorted; nothing where it is not there.

    Raises :class:`OSError` where it may not be read.
    """
    if is_dir(folder):
        os.scandir(folder).close()
    return sorted(folder.glob(pattern))


def unreadable(path: Path, error: OSError, *, folder: str) -> Diagnostic:
    """Say that it cannot be told whether ``path`` is there, in the project's ``folder``."""
    return Diagnostic(
        path=path,
        message=f"It cannot be told whether this is there: {error.strerror}.",
        hint=f"Give the account that runs s2s the right to read the folder {folder}/ and its files.",
    )


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    except ValueError:  # no name holds a NUL
        pass
    return 0
