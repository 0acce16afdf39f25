"""What a plan and a run come to: counts, changes, problems, and how they ended.

Plain values that the comparison makes, and that reports, history and reviews read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
    """What became of every row. ``source`` is counted as the rows arrive, all others from what became of them.

    Rows of the source: ``unchanged``, ``inserts``, ``updates``, ``resends`` (sent again without a change),
    ``flagged_delete`` (the flag says Delete and the removal is sent), ``ignored`` (the flag says Ignore),
    ``quarantined`` (a rule is broken) and ``refused`` (by Stock2Shop before, and unchanged since).

    Keys that are ``missing`` from the source: ``deleted`` (the removal is sent), ``retained`` (the project says
    ``missing = "keep"``), ``withheld`` (a row with a blank code, ignored or in quarantine, may be one of them) and
    ``missing_refused`` (Stock2Shop refused the removal before).

    ``removals`` are the deletes that the guard counts, and ``replaced`` those that are created again at once.
    ``published`` is how many keys Stock2Shop holds as far as anybody knows: those that it acknowledged and those that
    are in doubt, since they were sent and the answer was lost. ``strays`` are removals of such a key from a product
    that it was sent under then and is not sent under now, and ``strays_refused`` those that Stock2Shop refused before.
    """

    source: int
    unchanged: int = 0
    inserts: int = 0
    updates: int = 0
    resends: int = 0
    flagged_delete: int = 0
    ignored: int = 0
    quarantined: int = 0
    refused: int = 0
    missing: int = 0
    deleted: int = 0
    retained: int = 0
    withheld: int = 0
    missing_refused: int = 0
    removals: int = 0
    replaced: int = 0
    strays: int = 0
    strays_refused: int = 0
    published: int = 0

    @property
    def deletes(self) -> int:
        """Removals that will be sent: missing keys, rows flagged Delete, variants that are replaced, and strays."""
        return self.deleted + self.flagged_delete + self.replaced + self.strays

    @property
    def changed(self) -> int:
        """Source rows that something will be sent for."""
        return self.inserts + self.updates + self.resends + self.flagged_delete

    @property
    def balanced(self) -> bool:
        """Whether every source row and every missing key is accounted for."""
        rows = self.unchanged + self.changed + self.ignored + self.quarantined + self.refused
        fates = self.deleted + self.retained + self.withheld + self.missing_refused
        return self.source == rows and self.missing == fates


_HISTORY_NAMES = {
    "flagged_delete": "marked",
    "missing": "gone",
    "retained": "kept",
    "withheld": "held",
    "missing_refused": "gone_refused",
}


def history_counts(counts: Counts) -> dict[str, int]:
    """The counts by the names that history keeps them under."""
    return {_HISTORY_NAMES.get(name, name): value for name, value in asdict(counts).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardViolation:
    """A limit that a plan exceeds: what was found, what is allowed, and the command that goes on nevertheless."""

    guard: Literal["max_deletes", "max_deletes_per_day", "max_changes", "min_rows", "test"]
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
    changes: tuple[Change, ...] = ()
    columns: Mapping[str, int] = field(default_factory=dict)
    quarantine: tuple[Problem, ...] = ()
    quarantine_rules: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    warning_rules: Mapping[str, int] = field(default_factory=dict)
    violations: tuple[GuardViolation, ...]
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
    def needs_attention(self) -> bool:
        """Whether something is quarantined or refused, however the run ended."""
        counts = self.plan.counts
        refused = counts.refused + counts.missing_refused + counts.strays_refused + self.refused
        return bool(self.plan.quarantine or refused)
