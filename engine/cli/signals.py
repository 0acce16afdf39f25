"""Ctrl-C, SIGTERM and progress: what a long command listens to and shows while it works."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from engine.cli.log import write_event
from engine.cli.progress import StepProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.cli.session import Session

LOG_INTERVAL_SECONDS = 10
FRAME_INTERVAL_SECONDS = 0.1


@contextmanager
def run_controls(
    session: Session, project: str, entity: str = "", *, on_stop: Callable[[], None] = lambda: None
) -> Iterator[tuple[threading.Event, Callable[[str, int, int | None], None]]]:
    """Give an event that Ctrl-C and SIGTERM set, and a function to report progress to: step, done, total.

    Progress is shown on a terminal, and is in the JSON log with ``--debug``.

    ``on_stop`` is called besides, in a thread of its own. Where the session has an event of its own, signals are
    somebody else's.
    """
    name = f"{project} {entity}".rstrip()
    stop = session.stop or threading.Event()
    terminal = session.terminal
    animated = session.shows_progress
    last_time = 0.0
    current = StepProgress("", 0, 0.0)

    def report(step: str, done: int, total: int | None) -> None:
        nonlocal last_time, current
        now = time.monotonic()
        interval = LOG_INTERVAL_SECONDS if session.logs_json else FRAME_INTERVAL_SECONDS
        if step != current.step:
            current = StepProgress(step, done, now)
        elif now - last_time <= interval:
            return
        if session.logs_json and session.options.debug:
            write_event(session, step, project, entity, done=done, total=total)
        elif animated:
            terminal.show_progress(f"{name}: {current.text(done, total, now)}")
        last_time = now

    def announce() -> None:
        on_stop()
        if session.logs_json:
            write_event(session, "stopping", project, entity)
        else:
            terminal.print_error("\nStopping after the current batch …")

    with nullcontext() if session.stop else _handle_signals(stop, announce):
        try:
            yield stop, report
        finally:
            if animated:
                terminal.clear_progress()


@contextmanager
def _handle_signals(stop: threading.Event, announce: Callable[[], None]) -> Iterator[None]:
    """Set ``stop`` and call ``announce`` at the first signal; a second one interrupts at once.

    A signal may come while the main thread writes a line or holds the event's lock, so its handler can neither write
    nor set the event: it puts a word into a queue that is made for this, and a thread of its own does both.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    requests: SimpleQueue[bool] = SimpleQueue()
    requested = False

    def request(_number: int, _frame: object) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        requests.put(True)

    def listen() -> None:
        if requests.get():
            stop.set()
            with suppress(OSError):  # nobody may be left to read it
                announce()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    previous = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        requests.put(False)
        listener.join()
