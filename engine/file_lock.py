"""Lock a name for one thread of one process of this machine; the operating system frees the lock with the process.

SQLite locks files with the operating system's locks, on every system. The file of a lock holds nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.embedded import connect_own_sqlite
from engine.files import create_private_file, make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_thread_locks: dict[Path, threading.RLock] = {}
_thread_locks_guard = threading.Lock()


@contextmanager
def file_lock(path: Path, *, seconds: float) -> Iterator[bool]:
    """Hold the lock ``path`` inside the block; gives whether it came free within ``seconds``, and it is held.

    The file is created for its owner alone: an account that may open it may hold the lock. Raises :class:`OSError` and
    :class:`StateError` where it cannot be used.
    """
    with _thread_locks_guard:
        thread_lock = _thread_locks.setdefault(path, threading.RLock())
    if not thread_lock.acquire(timeout=seconds):
        yield False
        return
    try:
        make_private_folder(path.parent)
        create_private_file(path)
        connection, held = _lock(path, seconds)
        try:
            yield held
        finally:
            connection.close()
    finally:
        thread_lock.release()


def _lock(path: Path, seconds: float) -> tuple[sqlite3.Connection, bool]:
    try:
        connection = connect_own_sqlite(path, timeout=seconds)
        try:
            return connection, _is_locked_now(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise OSError(f"the lock {path} cannot be used: {error}") from error


def _is_locked_now(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        if is_locked_error(error):
            return False
        raise
    return True


def is_locked_error(error: Exception) -> bool:
    """Whether SQLite's error means that another process or connection holds the file.

    >>> is_locked_error(sqlite3.OperationalError("database is locked"))
    True
    >>> is_locked_error(PermissionError(13, "Permission denied", "/srv/blocked/acme"))  # its text has the path
    False
    """
    return isinstance(error, sqlite3.Error) and ("locked" in str(error) or "busy" in str(error))
