"""model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.mapping.lineage import MappingRow
    from engine.model.plan import Counts, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A Stock2Shop field that is new, gone, or fed by something else; ``before`` and ``after`` are expressions."""

    field: str
    kind: Literal["added", "removed", "fed by something else"]
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row that changes: its key, what people call it, and for a column the value before and after."""

    key: str
    label: str | None = None
    before: str | None = None
    after: str | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnImpact:
    """A Stock2Shop field whose values change: in how many rows, in how many to blank, and samples of them."""

    column: str
    rows: int
    blanked: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What the new mapping would send after the old one, over the same rows.

    ``before`` and ``after`` tell where each mapping's rows went. ``moved`` are variants that are removed and created
    anew, because their product changes. ``quarantined`` and ``released`` count the rows that only the new or only the
    old mapping holds back. ``stops`` are the guards and data tests that would stop a run; samples are of each kind.
    """

    before: Counts
    after: Counts
    columns: tuple[ColumnImpact, ...]
    inserted: tuple[Sample, ...]
    removed: tuple[Sample, ...]
    moved: tuple[Sample, ...]
    quarantined: int
    released: int
    held: tuple[Problem, ...]
    freed: tuple[str, ...]
    stops: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def inserts(self) -> int:
        """Rows that are sent for the first time."""
        return self.after.inserts - self.after.replaced

    @property
    def removals(self) -> int:
        """Rows that are taken out of Stock2Shop."""
        return self.after.deleted + self.after.marked

    @property
    def changed(self) -> bool:
        """Whether any row is sent, held back or let go, or the client's own flag now says otherwise."""
        sent = self.after.changed or self.after.deletes
        return bool(sent or self.quarantined or self.released or self.after.ignored != self.before.ignored)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityReview:
    """One entity: its SQL as a unified diff, its mapping with what changed of it, and the impact on rows.

    ``mapping`` is the new one. ``impact`` is None where nothing could be run, or nothing needed to be because the view
    and its settings are the same; ``faults`` say why the view does not run, or, where there is an impact, a data test.
    """

    entity: str
    sql: str
    fields: tuple[FieldChange, ...]
    mapping: tuple[MappingRow, ...]
    impact: Impact | None
    faults: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to review."""
        return bool(self.sql or self.fields or self.faults or (self.impact and self.impact.changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a change does to one project. ``settings`` and ``orders`` are unified diffs.

    ``rows`` tells which rows the mappings were run over. ``new`` is a project that the reference does not have,
    ``gone`` one that only the reference has. ``faults`` say why it cannot be read, or its order statements
    not be rendered.
    """

    project: str
    description: str
    against: str
    rows: Literal["fixtures", "live", "none"]
    new: bool
    settings: str
    orders: str
    entities: tuple[EntityReview, ...]
    gone: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to review."""
        own = self.gone or self.settings or self.orders or self.faults
        return bool(own) or any(each.changed for each in self.entities)

    @property
    def runs(self) -> bool:
        """Whether all views and order statements of the project run."""
        return not (self.faults or any(each.faults for each in self.entities))
