"""The time, in the one form in which the state keeps it."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> datetime:
    """Return the time in UTC, without a zone, as the state keeps all times."""
    return datetime.now(timezone.utc).replace(tzinfo=None)
