"""Errors in words, and exit codes.

0 done, 1 failed, 2 usage or configuration, 3 a guard stopped it, 4 done but something is quarantined or refused,
75 another run holds the project, 130 stopped by a signal.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from engine.cli.contract import error_entries, error_kind
from engine.cli.log import write_event
from engine.cli.session import Output
from engine.cli.terminal import FULL_DISK
from engine.errors import ConfigError, SyncError, is_out_of_memory

if TYPE_CHECKING:
    from engine.cli.session import Session

FAILED = 1
ATTENTION = 4
INTERRUPTED = 130
EXIT_CODE_SEVERITY = {0: 0, 4: 1, 75: 2, 3: 3, 130: 4, 2: 5, 1: 6}
"""How grave each exit code is."""


def gravest(*codes: int) -> int:
    """The exit code that speaks for several projects."""
    return max(codes, key=EXIT_CODE_SEVERITY.__getitem__)


def exit_code(error: Exception) -> int:
    """The exit code that an error stands for."""
    return int(getattr(error, "exit_code", FAILED))


def report_error(
    session: Session, error: Exception, *, project: str = "", entity: str = "", lead: bool = False
) -> None:
    """Say on standard error what went wrong and what to do next, and keep it for ``--output json``.

    With ``lead`` the text begins with the project and the entity; a line of JSON always names them.
    """
    terminal = session.terminal
    if session.output is Output.json:
        message, hint = _described(error, with_source=False)
        session.answer.errors += error_entries(
            error,
            message=message,
            hint=hint,
            exit_code=exit_code(error),
            project=project or session.project or session.subject,
            entity=entity,
        )
    trace = "".join(traceback.format_exception(error)) if session.options.debug else ""
    message, hint = _described(error, with_source=not session.logs_json)
    if session.logs_json:
        write_event(
            session,
            "error",
            project or session.project,
            entity,
            kind=error_kind(error),
            message=message,
            hint=hint,
            exit_code=exit_code(error),
            **({"traceback": trace} if trace else {}),
        )
        return
    if trace:
        terminal.print_error(trace)
    terminal.print_error(f"{project} {entity}".rstrip() + f": {message}" if lead else message)
    for line in hint.splitlines():
        terminal.print_error(f"  → {line}")


def _described(error: Exception, *, with_source: bool) -> tuple[str, str]:
    """What is wrong, and what to do next; with the lines of the templates that it is about."""
    from engine.files import read_sql_line
    from engine.text import diagnostics_text

    if isinstance(error, ConfigError):
        return diagnostics_text(error.diagnostics, read_line=read_sql_line if with_source else None), error.hint
    if isinstance(error, SyncError):
        return error.message, error.hint
    if is_out_of_memory(error):
        return (
            f"There is too little memory: {type(error).__name__}. Nothing was lost.",
            "Close other programs, or raise the limit of the container or of the account that runs s2s.",
        )
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        where = f" {error.filename} cannot be written." if error.filename else ""
        return f"The disk is full.{where}", "Free some space, also where the output and temporary files are written."
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename} cannot be used: {error.strerror}.",
            "Check the path and its rights for the account that runs s2s. --debug shows where it was needed.",
        )
    return (
        f"Something unforeseen went wrong: {type(error).__name__}: {error}",
        "This is a fault of s2s. Run again with --debug, and report what it prints.",
    )
