"""What goes to standard error beside the result: log lines as JSON, and the engine's own warnings.

A line of the JSON log is ``{"at", "event", "project", "entity", …}``, where ``at`` is in UTC.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from queue import Full, Queue
from typing import TYPE_CHECKING

from engine.clock import local_text, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.cli.session import Session

LOG_QUEUE_SIZE = 1_000
"""Lines that may wait for a reader; more are left out, and counted."""


class _LogHandler(logging.Handler):
    """Writes warnings of the engine, such as a request that is tried again, to standard error."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # nobody may be left to read it
            self._print(record)

    def _print(self, record: logging.LogRecord) -> None:
        session, message = self._session, record.getMessage()
        if session.logs_json:
            write_event(session, record.levelname.lower(), session.project, message=message)
            return
        if session.shows_progress:
            session.terminal.clear_progress()
        session.terminal.print_error(message)


@contextmanager
def engine_warnings(session: Session) -> Iterator[None]:
    """Write the warnings of the engine's modules as the session writes everything else."""
    logger, handler = logging.getLogger("engine"), _LogHandler(session)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def write_warning(session: Session, message: str, project: str = "") -> None:
    """Warn on standard error of what stops nothing: a line of text, or of JSON, which names the ``project``."""
    if session.logs_json:
        write_event(session, "warning", project, message=message)
    else:
        session.terminal.print_error(f"{project}: {message}" if project else message)


def write_event(session: Session, event: str, project: str, entity: str = "", **facts: object) -> None:
    """Write a line of JSON to standard error, where ``--log-format json`` asks for it; nothing otherwise."""
    if session.logs_json:
        session.terminal.print_json_line(_line(session, event, project, entity, **facts), err=True)


def _line(session: Session, event: str, project: str, entity: str = "", **facts: object) -> str:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = {"at": at, "event": event, "project": project, **({"entity": entity} if entity else {}), **facts}
    return session.terminal.json_text(line, indent=None)


@contextmanager
def order_log(session: Session, project: str = "") -> Iterator[Callable[..., None]]:
    """Give a function that writes a line with the time, for a process that runs for ever; it never waits for a reader.

    Without a ``project`` its first argument is one, which the line begins with. Text goes to standard output, JSON to
    standard error. A thread of its own writes: output stands still where somebody has marked text in a console of
    Windows, or where nobody reads a pipe, and an order must not wait for that.
    """
    lines: Queue[str | None] = Queue(LOG_QUEUE_SIZE)
    counting = threading.Lock()
    left_out = 0

    def log_of(name: str, text: str, **facts: object) -> None:
        nonlocal left_out
        if session.logs_json:
            line = _line(session, "order", name, "orders", message=text, **facts)
        else:
            at = local_text(now())
            line = f"{at}  {text}" if project or not name else f"{at}  {name}: {text}"
        try:
            lines.put_nowait(line)
        except Full:
            with counting:
                left_out += 1

    def write() -> None:
        nonlocal left_out
        for line in iter(lines.get, None):
            with suppress(OSError):  # nobody may be left to read it
                if session.logs_json:
                    session.terminal.print_json_line(line, err=True)
                else:
                    session.terminal.print_text(line)
                sys.stdout.flush()
            if left_out and lines.empty():
                with counting:
                    count, left_out = left_out, 0
                log_of(
                    project,
                    f"{count:,} lines were left out, because nobody read them:"
                    f" `s2s orders list {project or 'PROJECT'}` has every order.",
                )

    writer = threading.Thread(target=write, name="order log", daemon=True)
    writer.start()
    try:
        yield partial(log_of, project) if project else log_of
    finally:
        with suppress(Full):
            lines.put(None, timeout=5)
        writer.join(timeout=5)
