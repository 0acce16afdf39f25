"""What a review consists of: one model for the terminal, Markdown, JSON and HTML. Its field names are the JSON keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.model.plan import Problem

if TYPE_CHECKING:
    from engine.mapping.lineage import MappingRow
    from engine.model.plan import Counts


SENT_SUFFIX = " (as sent)"
"""What stands behind the name of a price that settings move, and no field of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A Stock2Shop field that is new, gone, or fed by something else; ``before`` and ``after`` are expressions."""

    field: str
    kind: Literal["added", "removed", "fed by something else"]
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An example of a row that changes: its key, its SKU and title (``label``), and for a column both values."""

    key: str
    sku: str | None = None
    label: str | None = None
    before: str | None = None
    after: str | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """The lowest and the highest change of a number, in per cent of its value before, such as -5.0 and 100.0."""

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBand:
    """In how many rows a number changes by ``lowest`` to ``highest`` per cent; None where the band has no such end."""

    lowest: float | None
    highest: float | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow(Problem):
    """A row that only the new mapping quarantines, with its SKU and title where it has them."""

    sku: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRule:
    """A sentence on which rows the view reads: a table, a join or a filter.

    ``kind`` says whether both mappings have it, the new one alone (``added``), or the old one alone (``removed``).
    """

    words: str
    kind: Literal["same", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnImpact:
    """A Stock2Shop field whose values change: in how many rows, in how many of them to blank, and example rows.

    Of prices and quantities, ``percent`` is the range of the changes and ``largest`` the row with the largest one; None
    where no value before was a number other than 0. ``distribution`` counts their rows by how far the number changes
    (of several prices, the one that changes most). ``reviewed`` says that somebody must agree to the change, because
    the field is a price, a quantity, a flag, a key, or decides what a customer sees. A price that only settings move
    has the name of its place in what is sent, such as ``price (as sent)``.
    """

    column: str
    rows: int
    blanked: int
    samples: tuple[Sample, ...]
    percent: NumberRange | None = None
    largest: Sample | None = None
    reviewed: bool = False
    distribution: tuple[ChangeBand, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What a run with the new mapping would send after one with the old mapping, over the same rows.

    ``before`` and ``after`` count what each mapping does with the rows. ``moved`` are variants that are removed and
    created again because their product is another one, or turns variable or simple. ``unsynced`` are examples of rows
    that stay in Stock2Shop as they are, and ``ignored`` counts those of them that the old mapping sends and the new one
    ignores by their flag. ``quarantined`` and ``released`` count the rows that only the new or only the old mapping
    quarantines; ``held`` and ``freed`` are examples of these. ``stops`` are the messages of guards and data tests that
    would stop a run.
    """

    before: Counts
    after: Counts
    columns: tuple[ColumnImpact, ...]
    inserted: tuple[Sample, ...]
    removed: tuple[Sample, ...]
    moved: tuple[Sample, ...]
    unsynced: tuple[Sample, ...]
    ignored: int
    quarantined: int
    released: int
    held: tuple[HeldRow, ...]
    freed: tuple[Sample, ...]
    stops: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def inserts(self) -> int:
        """Rows that are sent for the first time."""
        return self.after.inserts - self.after.replaced

    @property
    def removals(self) -> int:
        """Rows that are taken out of Stock2Shop."""
        return self.after.removals

    @property
    def unsent_removals(self) -> int:
        """Rows that are marked Delete and that the old mapping did not send: their removal is sent all the same."""
        return self.after.deleted + self.after.flagged_delete - self.after.removals

    @property
    def unsynced_rows(self) -> int:
        """Rows that were synced and are no longer: ignored, or gone from the view and not removed."""
        return self.ignored + self.after.retained + self.after.withheld

    @property
    def sent_otherwise(self) -> bool:
        """Whether settings move a price of a row that is the same in the source."""
        return any(each.column.endswith(SENT_SUFFIX) for each in self.columns)

    @property
    def changed(self) -> bool:
        """Whether any row is sent, quarantined, released or no longer synced."""
        sent = self.after.changed or self.after.deletes
        return bool(sent or self.quarantined or self.released or self.unsynced_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityReview:
    """One entity: ``sql`` is a unified diff, ``mapping`` the new mapping, ``fields`` what has changed of it.

    ``impact`` is None where the view does not run, or did not have to because view and settings are the same.
    ``rules`` say which rows are read. ``faults`` say why the view, or, where there is an impact, a data test does not
    run.
    """

    entity: str
    sql: str
    fields: tuple[FieldChange, ...]
    mapping: tuple[MappingRow, ...]
    impact: Impact | None
    faults: tuple[str, ...] = ()
    rules: tuple[RowRule, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to review."""
        return bool(self.sql or self.fields or self.faults or (self.impact and self.impact.changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A key of project.toml or workspace.toml that changes, and what that does to runs.

    ``name`` is dotted, such as ``stock2shop.pace``, or a whole table that is new or gone. ``before`` and ``after`` are
    values in TOML, secrets masked, None where there is none. ``stops`` says why the next run would stop, if it would.
    """

    file: str
    name: str
    before: str | None
    after: str | None
    effect: str
    stops: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that a run reads and fixtures do not show all of: a statement, a data test, or a template of these."""

    path: str
    kind: Literal["new", "changed", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a change does to one project, or to workspace.toml. ``settings`` and ``orders`` are unified diffs.

    ``rows`` says which rows the mappings were run over. ``new`` is a project that the reference does not have, ``gone``
    one that only the reference has. ``setting_changes`` and ``file_changes`` name what ``settings`` shows. ``shared``
    is workspace.toml, which is every project's. ``faults`` say why the project cannot be read or its order statements
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
    setting_changes: tuple[SettingChange, ...] = ()
    file_changes: tuple[FileChange, ...] = ()
    gone: bool = False
    shared: bool = False
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
