"""What the sandbox holds: products, customers, orders, tokens, the faults that were asked for, and the requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.sandbox.endpoints import Endpoints
from engine.sandbox.faults import Faults
from engine.sandbox.store import Store

if TYPE_CHECKING:
    from datetime import datetime

    from engine.sandbox.checks import Json
    from engine.sandbox.settings import SandboxSettings

MAX_RECORDED_REQUESTS = 20_000
"""How many requests are remembered, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request that came in; never a token or a password. ``body`` is kept only when the settings ask for it."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    items: int
    received_at: datetime
    body: bytes | None = None


class Account:
    """A Stock2Shop account that is held here, and what a person or a test may do to it."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.faults = Faults()
        self.requests: deque[Recorded] = deque(maxlen=MAX_RECORDED_REQUESTS)
        self.store = Store(source_id=settings.source_id, path=settings.path)
        self.endpoints = Endpoints(settings, self.store, self.faults)

    def reset(self) -> None:
        """Forget products, customers, orders, requests, tokens and faults."""
        with self.store.lock:
            self.faults.clear()
            self.requests.clear()
            self.endpoints.tokens.clear()
            self.store.clear()

    def products(self, source_id: int) -> dict[str, Json]:
        """The variants that are held, by their code: each with its product's fields beside its own."""
        return self.store.variants(source_id)

    def customers(self, source_id: int) -> dict[str, Json]:
        """The customers that are held, by their code."""
        return self.store.customers(source_id)

    def orders(self) -> dict[int, Json]:
        """Every order by its id: ``status`` is new or done, ``sources`` what was answered for it."""
        return self.store.orders()

    def place_order(self, order: Json) -> None:
        """Put a ``system_order`` into the queue, as a channel's sale does."""
        self.store.place_order(order)

    def change(self, source_id: int, variant_code: str, **values: object) -> None:
        """Change a variant, or its product's fields, behind the engine's back, as somebody in the console might."""
        self.store.change_variant(source_id, variant_code, **values)

    def forget(self, source_id: int, variant_code: str) -> None:
        """Remove a variant behind the engine's back."""
        self.store.remove_variant(source_id, variant_code)

    def set_sync_token(self, source_id: int, token: str) -> None:
        """Give the source another sync token: it wants everything again."""
        self.store.set_sync_token(source_id, token)

    def expire_tokens(self) -> None:
        """Make every token stale, as may happen at any time."""
        with self.store.lock:
            self.endpoints.tokens.clear()
