"""The files of a workspace, and whether they exist.

A workspace is read with the rights of whoever runs ``s2s``, and may be a branch that somebody else wrote. So its files
are read and written through :class:`WorkspaceFiles`, which follows links only as long as they stay inside.

What the engine keeps of a client, its state, ledger and locks, is its owner's alone: :func:`make_private_folder` and
:func:`create_private_file`. Windows has no such modes: there the folder's rights decide, which nothing here checks.

A missing right to look is an error and never taken for absence. Python's own ``Path.is_file`` and its like also return
False where the answer cannot be known, from 3.14 on for every reason, and ``Path.glob`` skips folders that it may not
read on every version.
"""

from __future__ import annotations

import codecs
import errno
import os
import secrets
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, Diagnostic, OutsideWorkspaceError, StateError

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""Errors that mean that there is no such file, or cannot be one of this name."""


@dataclass(frozen=True, slots=True)
class WorkspaceFiles:
    """The files below some folders. A path that leads out of all of them raises :class:`OutsideWorkspaceError`.

    Symbolic links are followed first, so ``fixtures/item.csv`` may be a link to another file of the workspace, but not
    to one in a home folder, nor to ``.env``, ``.git`` or another hidden one: a branch is not to show or replace those.

    >>> WorkspaceFiles.of(Path("/clients"), Path("/clients/projects/acme")).folders == (Path("/clients"),)
    True
    """

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, workspace: Path, root: Path) -> WorkspaceFiles:
        """Those of ``workspace``, and of the project in ``root`` where that was named by a path outside of it."""
        return cls((workspace,) if root.is_relative_to(workspace) else (workspace, root))

    def resolve(self, path: Path) -> Path:
        """Give ``path`` with its links followed. What it leads to need not exist."""
        resolved = Path(os.path.realpath(path))
        message = "This path leads out of the workspace."
        for folder in self.folders:
            real = Path(os.path.realpath(folder))
            if resolved.is_relative_to(real):
                hidden = next((part for part in resolved.relative_to(real).parts if part.startswith(".")), "")
                if not hidden or resolved == real / os.path.relpath(path, folder):  # named, and no link led there
                    return resolved
                message = f"This link leads to {hidden}, which no link of the workspace may."
        raise OutsideWorkspaceError(
            [
                Diagnostic(
                    path=path,
                    message=message,
                    hint="Put the file itself here, in place of the link, or a link to a file of the workspace.",
                )
            ]
        )

    def read(self, path: Path) -> bytes:
        """The content of a file. Raises :class:`OSError` where it cannot be read."""
        return self.resolve(path).read_bytes()

    def read_utf8(self, path: Path) -> str:
        """The text of a file, without a byte-order mark.

        Raises :class:`OSError` where it cannot be read, and :class:`ConfigError` where it is not UTF-8.
        """
        content = self.read(path)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError([not_utf8(path, content, error)]) from None

    def list_paths(self, folder: Path, pattern: str) -> list[Path]:
        """The paths of ``folder`` that match ``pattern``, sorted, as the function of that name gives them."""
        self.resolve(folder)
        return list_paths(folder, pattern)

    def write(self, path: Path, content: bytes, *, mode: int = 0o666) -> None:
        """Replace a file by a new one, with its folder; a reader sees the old content or the new, never a part.

        ``mode`` has the permissions of the new file, less the process's mask. Raises :class:`OSError` where it cannot
        be written.
        """
        target = self.resolve(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, content, mode=mode)

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder with all that it holds; of a link only the link."""
        self.resolve(path.parent)
        if path.is_symlink() or not is_dir(path):
            path.unlink()
        else:
            shutil.rmtree(path)


def replace_file(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a new file and rename it to ``path``: where that is a link, the link is replaced and not what it leads to.

    ``mode`` has the permissions of the new file, less the process's mask. Raises :class:`OSError` where it cannot be
    written.
    """
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(new, flags, mode), "wb") as file:
            file.write(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    Raises :class:`StateError` where there is one that every user of this machine may write to: they could hold its
    locks, or put files of their own in place of those that are there.
    """
    missing, parent = [folder], folder.parent
    while not exists(parent) and parent != parent.parent:
        missing.append(parent)
        parent = parent.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    check_private_folder(folder)


def check_private_folder(folder: Path) -> None:
    """Raise :class:`StateError` for a folder that every user of this machine may write to."""
    if "anybody" in may_write(folder):
        raise StateError(
            f"Every user of this machine may write to the folder {folder}, which is for a client's state.",
            hint=f"Take that right away (chmod o-w {folder}), or set S2S_STATE to another folder.",
        )


def create_private_file(path: Path) -> None:
    """Create an empty file that its owner alone may read, unless there is one.

    From one that there is, others' rights are taken where it belongs to this user. It is not opened for that: SQLite
    would lose the locks that this process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if sys.platform != "win32":
            found = path.stat()
            if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
                path.chmod(0o600)


def user_cache_folder() -> Path:
    """The folder of what this user's runs of the engine keep to be faster, such as ``~/.cache/s2s``.

    On Windows it is below ``%LOCALAPPDATA%``, on macOS below ``~/Library/Caches``, elsewhere where the XDG base
    directory specification says. Raises :class:`RuntimeError` where this account has no home folder.
    """
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        parent = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        parent = named if Path(named).is_absolute() else Path.home() / ".cache"
    return Path(parent) / "s2s"


def belongs_to_this_user(path: Path) -> bool:
    """Whether a file or folder is this user's, and nobody else may write to it; of Windows nothing is known: True."""
    if sys.platform == "win32":
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def may_write(path: Path) -> tuple[str, ...]:
    """Who may write to a file or folder besides its owner: its group, anybody. Of Windows nothing is known.

    >>> may_write(Path("/"))
    ()
    """
    if sys.platform == "win32":
        return ()
    mode = path.stat().st_mode
    return tuple(who for who, right in (("its group", stat.S_IWGRP), ("anybody", stat.S_IWOTH)) if mode & right)


def is_open_to_others(path: Path) -> bool:
    """Whether there is a file that others than its owner may read or write. Of Windows nothing is known."""
    return sys.platform != "win32" and bool(stat.S_IMODE(_mode(path)) & 0o077)


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``. Raises :class:`OSError` where that cannot be known."""
    return _mode(path) != 0


def read_sql_line(path: Path, line: int) -> str | None:
    """A line of a file of SQL, counted from 1, to show it; None for other files and where there is none.

    Other files may hold what is secret.
    """
    if path.suffix.lower() != ".sql":
        return None
    try:
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except OSError:
        return None
    return lines[line - 1] if 0 < line <= len(lines) else None


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


def not_utf8(path: Path, content: bytes, error: UnicodeDecodeError) -> Diagnostic:
    """The diagnostic for a file of text whose ``content`` is not UTF-8, with the line of the first wrong byte."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = "It is UTF-16, as `>` of Windows PowerShell writes. Save it as UTF-8."
        return Diagnostic(path=path, message="The file is not UTF-8.", hint=hint)
    line = content[: error.start].count(b"\n") + 1
    return Diagnostic(path=path, line=line, message="The file is not UTF-8.", hint="Save it as UTF-8.")


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    except ValueError:  # a path cannot hold a NUL
        pass
    return 0
