"""session."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.error_messages import plain
from engine.errors import ConnectError
from engine.files import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def closed_on_error(connection: Any) -> Iterator[None]:
    """Close a connection that cannot be made ready: nobody else will get hold of it to do so."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def run_session_statements(
    session: Sequence[str],
    execute: Callable[[str], object],
    *,
    errors: type[Exception] | tuple[type[Exception], ...],
    said: Callable[[Exception], str] = str,
) -> None:
    """Run the project's own statements of a new connection; what one may hold is nobody's business but its number.

    Raises :class:`ConnectError` for one that the database refuses, with what it ``said``.
    """
    for number, statement in enumerate(session, start=1):
        try:
            execute(statement)
        except errors as error:
            raise ConnectError(
                f"The database refuses statement {number} of `session`. It says: {plain(said(error))}",
                hint="Mend the statement under [source] in project.toml, or under [orders] where it raises orders.",
            ) from None


def require_file(file: str) -> None:
    """Say that a file is missing before a driver does so in its own way, or makes an empty one."""
    try:
        there = not file or exists(Path(file))
    except OSError as error:
        hint = "Check its rights for the account that runs s2s."
        if sys.platform == "win32" and isinstance(error, PermissionError):
            hint = f"If another program holds it, let that end. {hint}"
        raise ConnectError(f"The file {file} cannot be read: {error.strerror}.", hint=hint) from None
    if not there:
        raise ConnectError(f"There is no file {file}.", hint="Check the file's path in the connection.")
