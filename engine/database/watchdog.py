"""Call a database driver in a thread of its own, so that a call that never returns can be abandoned.

A database may stop responding without an error: a VPN or a firewall forgets a connection, a server hangs. The driver
then waits in C, where neither a time limit in Python nor Ctrl-C reaches it. Since the call is made in another thread,
whoever waits for its result can stop waiting.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from engine.clock import Deadline
from engine.errors import CancelledError, DeadlineError, QueryError, UnresponsiveError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CANCEL_GRACE_SECONDS = 15
"""Seconds that a call may take to end once it was cancelled; where a connection must be made for that, most of them."""


class Watchdog:
    """Makes one connection's calls, one at a time and all in one thread, whichever thread asks for them.

    Where a call did not end even after it was cancelled, the connection is ``abandoned``: it must never be used again,
    because the thread is still inside the driver. Only that thread may close it, once the call returns after all; else
    the thread ends with the process.

    Nothing is asked of the database beyond ``deadline``, nor once its ``stop`` is set.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.abandoned = False
        self._deadline = deadline or Deadline()
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._cancelling: threading.Thread | None = None
        self._ended = False

    def call(
        self,
        function: Callable[[], T],
        *,
        seconds: float,
        cancel: Callable[[], object] | None = None,
        after_deadline: bool = False,
        discard: Callable[[T], object] | None = None,
    ) -> T:
        """Call ``function`` and give its result; raises what it raises.

        After ``seconds`` it is cancelled by ``cancel``, where that can be done. Raises :class:`QueryError` where it was
        cancelled, and :class:`UnresponsiveError` where it could not be, or an earlier call could not. What can be
        cancelled is cancelled at the deadline too, and within a second of its stop, and not begun after these, unless
        ``after_deadline`` says that it ends something: it raises :class:`DeadlineError` or :class:`CancelledError`
        then. Where ``function`` returns after its connection was abandoned, ``discard`` gets what it gives, in the
        driver's thread.
        """
        if sys.is_finalizing():
            # Python has ended its threads and begins no others: a call would wait for ever. The system closes what is
            # still open.
            self.abandoned = True
        if self.abandoned:
            raise UnresponsiveError
        if self._ended:
            return function()
        deadline = Deadline() if cancel is None or after_deadline else self._deadline
        if (ended := _end_of(deadline)) is not None:
            raise ended
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="driver", daemon=True)
            thread.start()  # which fails where there is no memory for it
            self._thread = thread

        def discarded() -> T:
            answer = function()
            if self.abandoned and discard is not None:
                discard(answer)
            return answer

        try:
            self._calls.put(discarded if discard is not None else function)
            answer, raised = self._answer(min(seconds, deadline.left), deadline)
        except Empty:
            self._break_off(cancel)
            raise _end_of(deadline) or QueryError(
                f"The view took too long: the database did not answer within {seconds:g} s, so it was cancelled.",
                hint="Raise query_timeout under [source], or make the view faster: an index, fewer joins.",
            ) from None
        except BaseException:  # somebody pressed Ctrl-C twice
            with suppress(UnresponsiveError):
                self._break_off(cancel)
            raise
        if raised is not None:
            raise raised
        return answer  # type: ignore[no-any-return]  # it is what the function gave

    def close(self, function: Callable[[], object], *, seconds: float) -> None:
        """Close the connection by ``function``, within ``seconds``, and end the thread. Raises as :meth:`call` does.

        An abandoned connection is closed later, as soon as its last call returns, and nobody waits for that: what the
        database lost sight of for a while would keep its transaction and its locks until this process ends.
        """
        try:
            if self.abandoned:
                self._calls.put(partial(self._close_late, function))
            else:
                self.call(function, seconds=seconds)
        finally:
            self.end()

    def _close_late(self, function: Callable[[], object]) -> None:
        if self._cancelling is not None:
            self._cancelling.join()
        function()

    def end(self) -> None:
        """End the thread, once the connection is closed; later calls are made in the caller's own thread."""
        self._ended = True
        if self._thread is not None:
            self._calls.put(None)
            if not self.abandoned:
                self._thread.join()

    def _break_off(self, cancel: Callable[[], object] | None) -> None:
        """Cancel the call under way and wait until it has ended: while it is inside the driver, nothing may be closed.

        Raises :class:`UnresponsiveError` where it does not end.
        """

        def stop() -> None:
            with suppress(Exception):  # what cannot be cancelled continues
                if cancel is not None:
                    cancel()

        # Drivers connect once more to cancel, and may wait for that as long as for the call itself.
        stopping = self._cancelling = threading.Thread(target=stop, name="cancelling", daemon=True)
        stopping.start()
        try:
            self._answer(CANCEL_GRACE_SECONDS)
        except Empty:
            self.abandoned = True
            raise UnresponsiveError from None
        except BaseException:  # and once more
            self.abandoned = True
            raise
        # Until it ends, it holds the cursor; if that is let go there while the connection is closed here, drivers write
        # into memory that is no longer theirs.
        stopping.join(CANCEL_GRACE_SECONDS)
        self.abandoned = stopping.is_alive()

    def _answer(self, seconds: float, deadline: Deadline | None = None) -> tuple[Any, BaseException | None]:
        """The answer of the call under way. Raises :class:`Empty` after ``seconds``, or at the ``deadline``'s stop."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                # Python on Windows hears Ctrl-C only when a wait is over.
                return self._answers.get(timeout=max(min(left, 1), 0))
            except Empty:
                if left <= 1 or (deadline is not None and deadline.is_stopped):
                    raise

    def _serve(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            try:
                answer: tuple[Any, BaseException | None] = (call(), None)
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
                answer = (None, error)
            del call  # what it holds is done with, and may be large
            if not self.abandoned:  # else it returned after all, and nobody waits for its result
                self._answers.put(answer)
            del answer


def _end_of(deadline: Deadline) -> DeadlineError | CancelledError | None:
    """What ends the command: a stop, or its deadline; None where neither came."""
    if deadline.is_stopped:
        return CancelledError(
            "Stopped as asked, while the database was working on the view, so the view was cancelled.",
            hint="Run again to go on with the rest.",
        )
    if deadline.has_come:
        return DeadlineError("The deadline came while the database was working on the view, so the view was cancelled.")
    return None
