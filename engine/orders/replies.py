"""What the receiver answers: an HTTP status and a JSON body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP status, its JSON body, and after how many seconds to try again (0: the header is left out)."""

    status: int
    body: dict[str, Any]
    retry_after: int = 0


def error_reply(status: int, reason: str, what_to_do: str, *, retry_after: int = 0) -> Reply:
    """Return the reply to a request that was refused: the reason, and what its sender can do."""
    return Reply(status=status, body={"error": {"reason": reason, "what_to_do": what_to_do}}, retry_after=retry_after)
