"""What ``--output json`` gives of reviews; see :mod:`engine.cli.results`."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from engine.mapping.lineage import MappingRow
from engine.model.plan import Counts
from engine.review.decisions import Verdict
from engine.review.model import ColumnImpact, FieldChange, FileChange, HeldRow, RowRule, Sample, SettingChange


class ReviewedImpact(TypedDict):
    """What a run with the new mapping would send after one with the old mapping."""

    before: Counts
    after: Counts
    columns: list[ColumnImpact]
    inserted: list[Sample]
    removed: list[Sample]
    moved: list[Sample]
    unsynced: Annotated[list[Sample], "Rows that stay in Stock2Shop as they are: ignored, or gone from the view."]
    ignored: int
    quarantined: int
    released: int
    held: list[HeldRow]
    freed: list[str]
    stops: list[str]
    notes: list[str]


class ReviewedEntity(TypedDict):
    """One entity of a review."""

    entity: str
    sql: Annotated[str, "A unified diff."]
    fields: list[FieldChange]
    mapping: list[MappingRow]
    impact: ReviewedImpact | None
    faults: list[str]
    rules: list[RowRule]


class ReviewedProject(TypedDict):
    """What a change does to one project, or to workspace.toml, which then stands in the place of a project's name."""

    project: str
    description: str
    against: str
    rows: Literal["fixtures", "live", "none"]
    new: bool
    gone: bool
    settings: Annotated[str, "A unified diff."]
    orders: Annotated[str, "A unified diff."]
    entities: list[ReviewedEntity]
    setting_changes: list[SettingChange]
    file_changes: list[FileChange]
    shared: Annotated[bool, "It is workspace.toml."]
    faults: list[str]
    notes: list[str]
    verdict: Verdict
    decisions: list[str]
