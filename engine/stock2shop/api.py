"""What the engine needs of Stock2Shop, as a protocol, and the values that its calls give.

:class:`engine.stock2shop.client.Stock2Shop` is the implementation over HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from engine.stock2shop.exchange import Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """A source as Stock2Shop knows it.

    Each product echoes ``sync_token``; a source whose token changed wants everything again (I).
    """

    id: int
    sync_token: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What Stock2Shop answered for a batch that it took.

    ``queued`` is its own count, or None where the answer holds none. ``answered_at`` is UTC; ``seconds`` is how
    long the successful request took, waits and failed attempts not counted.
    """

    status: int
    queued: int | None
    answered_at: datetime
    seconds: float


class Api(Protocol):
    """What the engine needs of Stock2Shop: the seam between a run and the network."""

    @property
    def requests_made(self) -> int:
        """How many requests went out so far, failed attempts and authentications included."""

    def plan_turn(self) -> None:
        """Reserve the turn of the next request now, so that it comes while the caller does something else."""

    def sources(self) -> tuple[RemoteSource, ...]:
        """Every source of the user."""

    def source(self) -> RemoteSource:
        """The project's own source."""

    def queue(
        self,
        path: str,
        document: bytes,
        *,
        items: int,
        retries: int | None = None,
        contents: Contents | None = None,
    ) -> Receipt:
        """Queue ``document``, which holds ``items`` items.

        ``retries`` replaces the project's own number. ``contents`` is what is known of the document, to read
        the answer.
        """

    def read_back(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        """Everything of the source that Stock2Shop holds now, as the list ``name`` of what ``path`` answers."""

    def valid_token(self) -> bool:
        """Whether the token in use is good."""

    def queue_summary(self) -> dict[str, Any]:
        """The counts of what Stock2Shop has not worked through yet."""

    def queue_items(
        self,
        *,
        status: str | None = None,
        instructions: str | None = None,
        limit: int = 100,
        more: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """The items of the source's queue."""
