"""What every kind of connection does when it is opened: check its file, and run the project's session statements."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.error_messages import plain_message
from engine.errors import ConnectError
from engine.files import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def closed_on_error(connection: Any) -> Iterator[None]:
    """Close the connection where the block raises: its caller will never hold it, and could not close it."""
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
    message_of: Callable[[Exception], str] = str,
) -> None:
    """Run the project's ``session`` statements on a new connection.

    Raises :class:`ConnectError` for one that the database refuses, with its number and what ``message_of`` makes of the
    error. The statement itself is not shown: it may hold a secret.
    """
    for number, statement in enumerate(session, start=1):
        try:
            execute(statement)
        except errors as error:
            raise ConnectError(
                f"The database refuses statement {number} of `session`. It says: {plain_message(message_of(error))}",
                hint="Fix the statement under [source] in project.toml, or under [orders] where it raises orders.",
            ) from None


def require_file(file: str) -> None:
    """Raise :class:`ConnectError` where ``file`` is missing, before a driver makes an empty one.

    A blank name passes: the connection names no file.
    """
    try:
        there = not file or exists(Path(file))
    except OSError as error:
        hint = "Check its rights for the account that runs s2s."
        if sys.platform == "win32" and isinstance(error, PermissionError):
            hint = f"If another program has it open, close that program. {hint}"
        raise ConnectError(f"The file {file} cannot be read: {error.strerror}.", hint=hint) from None
    if not there:
        raise ConnectError(f"There is no file {file}.", hint="Check the file's path in the connection.")
