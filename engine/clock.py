"""The time, in the one form in which the state keeps it, and the moment at which a command must end."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

MAX_ZONE_LETTERS = 5
"""How many letters a zone's name may have, such as SAST, to be printed instead of its offset."""


def now() -> datetime:
    """Return the time in UTC, without a zone, as the state keeps all times."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def zoned(moment: datetime) -> datetime:
    """A time in UTC, without a zone, with its zone."""
    return moment.replace(tzinfo=timezone.utc)


def zoned_text(at: str | None) -> str | None:
    """A time in UTC as the ledger of orders keeps it, with its zone: ``2026-03-01T07:14:02.500+00:00``."""
    return None if at is None else zoned(datetime.fromisoformat(at)).isoformat(timespec="milliseconds")


def local_text(moment: datetime) -> str:
    """A time in UTC, without a zone, as people read it: in this machine's zone, which is named.

    Where the zone has no short name, as on Windows, its offset stands there: ``2026-03-01 09:14:02 UTC+02:00``.
    """
    local = moment.replace(tzinfo=timezone.utc).astimezone()
    name = local.strftime("%Z")
    offset = local.strftime("%z")
    if not (name.isascii() and name.isalpha() and len(name) <= MAX_ZONE_LETTERS):
        name = f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{local:%Y-%m-%d %H:%M:%S} {name}"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which a command must end: ``at`` on the clock :func:`time.monotonic`, ``seconds`` after its begin.

    Both are infinite where there is none. ``stop``, where there is one, ends the command as soon as it is set.
    """

    at: float = math.inf
    seconds: float = math.inf
    stop: threading.Event | None = field(default=None, compare=False)

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The deadline in so many seconds from now; none for None or 0."""
        return cls(time.monotonic() + seconds, seconds) if seconds else cls()

    @property
    def left(self) -> float:
        """The seconds until it comes; 0 once it has come."""
        return max(0.0, self.at - time.monotonic())

    @property
    def has_come(self) -> bool:
        """Whether it has come."""
        return self.left == 0

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked the command to stop."""
        return self.stop is not None and self.stop.is_set()
