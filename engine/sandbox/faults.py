"""Faults that the sandbox is asked for: errors, dropped connections, broken answers, refused items."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Faults:
    """The faults that are still to come; each count goes down by one as it is used."""

    latency: float = 0.0
    errors: int = 0
    error_status: int = 500
    drops: int = 0
    drops_after: int = 0
    halves: int = 0
    malformed: int = 0
    pages: int = 0
    complaints: int = 0
    short_counts: int = 0
    refused_skus: set[str] = field(default_factory=set)
    breaking_skus: set[str] = field(default_factory=set)

    def server_errors(self, count: int, *, status: int = 500) -> None:
        """Answer the next ``count`` requests with ``status``."""
        self.errors, self.error_status = count, status

    def drop_before(self, count: int) -> None:
        """Close the connection of the next ``count`` requests unread."""
        self.drops = count

    def drop_after(self, count: int) -> None:
        """Take the next ``count`` queued requests, then close the connection unanswered."""
        self.drops_after = count

    def half_answers(self, count: int) -> None:
        """Break off the next ``count`` answers in their middle."""
        self.halves = count

    def malformed_answers(self, count: int) -> None:
        """Answer the next ``count`` requests with broken JSON."""
        self.malformed = count

    def html_answers(self, count: int) -> None:
        """Answer the next ``count`` requests with a page and status 200, as a captive portal does."""
        self.pages = count

    def complain(self, count: int) -> None:
        """Answer the next ``count`` queued requests with 200 and errors in the body."""
        self.complaints = count

    def count_short(self, count: int) -> None:
        """Say of the next ``count`` queued requests that one item fewer was queued."""
        self.short_counts = count

    def refuse_sku(self, *skus: str) -> None:
        """Refuse every request that has an item with one of ``skus``."""
        self.refused_skus |= set(skus)

    def break_on_sku(self, *skus: str) -> None:
        """Answer 500 to every request that has an item with one of ``skus``."""
        self.breaking_skus |= set(skus)

    def clear(self) -> None:
        """No more faults."""
        self.__init__()  # type: ignore[misc]  # back to the defaults

    def take(self, name: str) -> bool:
        """Whether the fault ``name`` is due; uses it up."""
        left = int(getattr(self, name))
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0
