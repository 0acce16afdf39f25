"""The receivers of all projects of a workspace that take orders, for the agent's one port.

Each has its own settings, its own connection and its own thread for orders that are due. One whose configuration breaks
goes on with what it was, and holds up no other.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import SyncError
from engine.orders.receiver import RETRY_INTERVAL_SECONDS, Receiver
from engine.orders.replies import Reply, error_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from engine.model.settings import Project
    from engine.orders.ledger import Ledgers

STOP_SECONDS = 60.0
"""How long orders that are being raised are waited for when the agent stops."""


@dataclass(slots=True)
class _Serving:
    """A receiver with its thread."""

    receiver: Receiver
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def begin(self) -> None:
        """Raise what is due, again and again, in a thread."""
        self.thread = threading.Thread(target=self._serve, name="orders due", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while not self.stop.is_set():
            self.receiver.raise_due(self.stop)
            self.stop.wait(RETRY_INTERVAL_SECONDS)
        self.receiver.close()


class Receivers:
    """Gives the receiver of a project by its name.

    ``load`` reads a project, and ``ledgers`` are where its orders are kept. ``on_event`` is called with a project's
    name, a sentence about one of its orders, and its facts as keyword arguments. With ``open_to_others`` other machines
    reach the port, and no project takes orders without a token.
    """

    def __init__(
        self,
        load: Callable[[str], Project],
        ledgers: Ledgers,
        *,
        on_event: Callable[..., None],
        open_to_others: bool = False,
    ) -> None:
        self._load = load
        self._ledgers = ledgers
        self._on_event = on_event
        self._open_to_others = open_to_others
        self._serving: dict[str, _Serving] = {}
        self._versions: dict[str, Hashable] = {}
        self._ended: list[_Serving] = []

    def refresh(self, versions: Mapping[str, Hashable]) -> None:
        """Serve the projects that are named, and no others.

        A version that differs from the last one means that a project's files have changed, and that it is read again.
        """
        for name in [name for name in self._versions if name not in versions]:
            del self._versions[name]
            self._end(self._serving.pop(name, None))
        for name, version in versions.items():
            if self._versions.get(name) == version:
                continue
            self._versions[name] = version
            try:
                project = self._load(name)
                on_event = self._events_of(name)
                receiver = Receiver(project, self._ledgers, on_event=on_event) if project.orders is not None else None
            except (SyncError, OSError) as error:
                kept = "Orders are taken as before." if name in self._serving else "Its orders are not taken."
                self._on_event(name, f"The project cannot be read. {kept} {error}")
                continue
            before = self._serving.pop(name, None)
            if receiver is not None:
                self._serving[name] = _Serving(receiver)
                self._serving[name].begin()
            self._end(before)

    def find(self, name: str) -> Receiver | Reply:
        """The receiver of a project, or what to answer where it takes no orders."""
        serving = self._serving.get(name)
        if serving is None and name in self._versions:
            reason = "The project's configuration cannot be read, so its orders are not taken now."
            return error_reply(503, reason, "Send it again later.", retry_after=60)
        if serving is None:
            return error_reply(404, "No orders are taken here.", "POST orders to /orders/PROJECT.")
        if self._open_to_others and serving.receiver.access.is_open:
            reason = "Other machines reach this port, and the project has no token."
            return error_reply(403, reason, "Set a token under [orders.serve].")
        return serving.receiver

    def close(self) -> None:
        """Stop serving; an order that is being raised is waited for."""
        for name in [*self._serving]:
            self._end(self._serving.pop(name))
        until = time.monotonic() + STOP_SECONDS
        for each in self._ended:
            if each.thread is not None:
                each.thread.join(max(0.0, until - time.monotonic()))

    def _end(self, serving: _Serving | None) -> None:
        if serving is not None:
            serving.stop.set()
            self._ended = [each for each in self._ended if each.thread is not None and each.thread.is_alive()]
            self._ended.append(serving)

    def _events_of(self, name: str) -> Callable[..., None]:
        return lambda text, **facts: self._on_event(name, text, **facts)
