"""plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key's delta: what will be sent for it, and for an update the columns as ``(name, old, new)``."""

    key: str
    group: str
    kind: Literal["insert", "update", "delete", "resend"]
    cause: str = ""
    columns: tuple[tuple[str, str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A rule that a row breaks: the row's key and product, the column, the raw value and the reason in words."""

    key: str | None
    group: str | None
    column: str
    rule: str
    value: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where every row went. ``source`` is counted as the rows arrive, all others from what became of them."""

    source: int
    unchanged: int
    inserts: int
    updates: int
    resends: int
    marked: int
    ignored: int
    quarantined: int
    refused: int
    gone: int
    deleted: int
    kept: int
    held: int
    gone_refused: int
    removals: int
    replaced: int
    published: int

    @property
    def deletes(self) -> int:
        """Removals that will be sent: keys that are gone, rows marked Delete, and variants that are replaced."""
        return self.deleted + self.marked + self.replaced

    @property
    def changed(self) -> int:
        """Source rows that something will be sent for."""
        return self.inserts + self.updates + self.resends + self.marked

    @property
    def balanced(self) -> bool:
        """Whether every source row and every key that is gone is accounted for."""
        rows = self.unchanged + self.changed + self.ignored + self.quarantined + self.refused
        return self.source == rows and self.gone == self.deleted + self.kept + self.held + self.gone_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardViolation:
    """A guard that a plan breaks: what it found, what it allows, and the command that goes on all the same."""

    guard: Literal["max_deletes", "max_changes", "min_rows", "test"]
    found: int
    allowed: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do for one entity. ``changes``, ``quarantine`` and ``warnings`` may be samples.

    ``digest`` names exactly these changes. ``requests`` are those of the whole run, its ``batches`` and the login, and
    ``seconds`` what they take at the configured pace, where none has to be repeated and no batch is refused.
    """

    project: str
    entity: str
    counts: Counts
    changes: tuple[Change, ...]
    columns: Mapping[str, int]
    quarantine: tuple[Problem, ...]
    quarantine_rules: Mapping[str, int]
    warnings: tuple[Problem, ...]
    warning_rules: Mapping[str, int]
    breaches: tuple[GuardViolation, ...]
    notes: tuple[str, ...]
    digest: str
    batches: int
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did for one entity: its plan, what was acknowledged and refused, and how it ended."""

    plan: Plan
    run_id: int
    outcome: Literal["done", "attention", "stopped"]
    sent: int
    refused: int
    requests: int
    seconds: float
    message: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attention(self) -> bool:
        """Whether something is quarantined or refused, however the run ended."""
        counts = self.plan.counts
        return bool(self.plan.quarantine or counts.refused or counts.gone_refused or self.refused)
