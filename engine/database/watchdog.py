"""Wait for a driver's calls, but not for ever.

A database may fall silent without a word: a VPN or a firewall forgets a connection, a server hangs. No driver tells: it
waits in C, where neither a time limit in Python nor Ctrl-C reaches it. So the driver is called in a thread of its
own, and whoever waits for that thread can stop to.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import QueryError, UnresponsiveError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CANCEL_GRACE_SECONDS = 15
"""Seconds that a call may take to end once it was cancelled; where a connection must be made for that, most of them."""


class Watchdog:
    """Makes one connection's calls, one at a time and all in one thread, for whichever thread asks.

    Where a call did not even end when it was cancelled, the connection is ``given_up``: it must never be used again,
    nor closed, for the thread is still inside the driver. It ends with the process.
    """

    def __init__(self) -> None:
        self.given_up = False
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = False

    def wait(self, call: Callable[[], T], *, seconds: float, cancel: Callable[[], object] | None = None) -> T:
        """Give what ``call`` gives and raise what it raises; ``cancel`` it, where that can be done, after ``seconds``.

        Raises :class:`QueryError` where it was cancelled, and :class:`UnresponsiveError` where it could not be, or an
        earlier call could not.
        """
        if self.given_up:
            raise UnresponsiveError
        if self._ended:
            return call()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="driver", daemon=True)
            self._thread.start()
        try:
            self._calls.put(call)
            answer, raised = self._answer(seconds)
        except Empty:
            self._break_off(cancel)
            raise QueryError(
                f"The view took too long: the database did not answer within {seconds:g} s, so it was cancelled.",
                hint="Raise query_timeout under [source], or make the view faster: an index, fewer joins.",
            ) from None
        except BaseException:  # somebody pressed Ctrl-C twice
            with suppress(UnresponsiveError):
                self._break_off(cancel)
            raise
        if raised is not None:
            raise raised
        return answer  # type: ignore[no-any-return]  # it is what the call gave

    def end(self) -> None:
        """Let the thread go: the connection is closed, and says so to whoever calls it still."""
        self._ended = True
        if self._thread is not None and not self.given_up:
            self._calls.put(None)
            self._thread.join()

    def _break_off(self, cancel: Callable[[], object] | None) -> None:
        """Cancel the call under way and wait until it has ended: while it is inside the driver, nothing may be closed.

        Raises :class:`UnresponsiveError` where it does not end.
        """

        def stop() -> None:
            with suppress(Exception):  # what cannot be cancelled goes on
                if cancel is not None:
                    cancel()

        # Drivers connect once more to cancel, and may wait for that as long as for the call itself.
        stopping = threading.Thread(target=stop, name="cancelling", daemon=True)
        stopping.start()
        try:
            self._answer(CANCEL_GRACE_SECONDS)
        except Empty:
            self.given_up = True
            raise UnresponsiveError from None
        except BaseException:  # and once more
            self.given_up = True
            raise
        # Until it ends, it holds the cursor; if that is let go there while the connection is closed here, drivers write
        # into memory that is no longer theirs.
        stopping.join(CANCEL_GRACE_SECONDS)
        self.given_up = stopping.is_alive()

    def _answer(self, seconds: float) -> tuple[Any, BaseException | None]:
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                # Python on Windows hears Ctrl-C only when a wait is over.
                return self._answers.get(timeout=max(min(left, 1), 0))
            except Empty:
                if left <= 1:
                    raise

    def _serve(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            try:
                answer: tuple[Any, BaseException | None] = (call(), None)
            except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
                answer = (None, error)
            del call  # what it holds is done with, and may be large
            self._answers.put(answer)
            del answer
            if self.given_up:  # it came back after all, and nobody waits: with the call, the connection was let go
                return
