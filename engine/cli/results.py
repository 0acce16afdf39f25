"""What ``--output json`` gives as the result of each command: the shapes that the reference and its JSON Schema show.

Nothing is built from them: ``docs/generate.py`` writes the schema by them, and a test holds each command's output to
it. Of a dataclass all fields are keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from engine.cli.fleet_results import Fleet, Time
from engine.cli.order_results import (
    ExplainedOrder,
    FormerOrder,
    OrderDetail,
    OrderEntry,
    PlannedOrder,
    Rebound,
    VerifiedOrder,
)
from engine.cli.review_results import ReviewedProject
from engine.cli.setup_results import (
    CapturedFixture,
    CreatedProject,
    Notified,
    RenderedView,
    ServiceState,
    ServiceSteps,
    StoredSecret,
    WrittenSite,
)
from engine.doctor import Finding
from engine.model.plan import Counts, GuardViolation, Problem
from engine.status.collect import Condition
from engine.sync.preview import PreviewFault


class ErrorEntry(TypedDict):
    """What kept a command from its result, or a part of it; the same for every command."""

    kind: Annotated[str, "Such as config, connect, guard, state_locked, usage, interrupted, system or internal."]
    message: str
    hint: Annotated[str, "What to do next."]
    exit_code: int
    project: str | None
    entity: str | None
    key: Annotated[str | None, "The row or order that it is about."]
    file: str | None
    line: int | None
    column: int | None


class Diagnostic(TypedDict):
    """Something wrong with a project; a warning does not stop a run."""

    severity: Literal["error", "warning"]
    message: str
    hint: str
    file: str | None
    line: int | None
    column: int | None


class ListedProject(TypedDict):
    """A project of the workspace."""

    project: str
    entities: Annotated[str, "Separated by commas; empty where project.toml cannot be read."]
    dialect: str
    description: str
    state: Annotated[str, "ok, or what is wrong."]


class CheckedProject(TypedDict):
    """What was found wrong with a project without its database."""

    project: str
    ready: bool
    diagnostics: list[Diagnostic]


class SnapshotChange(TypedDict):
    """A snapshot that is not as committed."""

    path: str
    state: str
    diff: str


class FailedTest(TypedDict):
    """A data test that found rows."""

    name: str
    entity: str
    severity: str
    found: int | None
    message: str


class TestedProject(TypedDict):
    """What the views of a project gave on its fixtures."""

    project: str
    outcome: Literal["ok", "updated", "failed"]
    snapshots: list[SnapshotChange]
    tests: list[FailedTest]
    notes: list[str]


class PreviewedEntity(TypedDict):
    """A few rows of a view, as Stock2Shop would get them."""

    entity: str
    read: int
    partial: Annotated[bool, "Whether the view has more rows."]
    rows: list[dict[str, Any]]
    faults: list[PreviewFault]
    warnings: list[Diagnostic]
    document_key: str | None
    document: dict[str, Any] | None


class ColumnChange(TypedDict):
    """A column that changes."""

    column: str
    old: str | None
    new: str | None


class PlannedChange(TypedDict):
    """What will be sent for one key."""

    key: str
    group: str
    kind: Literal["insert", "update", "delete", "resend"]
    cause: str
    columns: list[ColumnChange]


class PlannedEntity(TypedDict):
    """What a run would do for one entity."""

    project: str
    entity: str
    counts: Counts
    changes: Annotated[list[PlannedChange], "A sample, unless --all-changes is given."]
    columns: Annotated[Mapping[str, int], "How many changes each column has."]
    quarantine: Annotated[list[Problem], "A sample."]
    quarantine_rules: Mapping[str, int]
    warnings: Annotated[list[Problem], "A sample."]
    warning_rules: Mapping[str, int]
    violations: Annotated[list[GuardViolation], "The guards that would stop the run."]
    notes: list[str]
    digest: Annotated[str, "What `s2s run --expect` takes."]
    batches: int
    requests: int
    seconds: float


class RanEntity(TypedDict):
    """What a run came to for one entity; where it failed, what is not known is null, and ``errors`` says why."""

    project: str
    entity: Annotated[str | None, "Null where the project could not be read."]
    outcome: Literal["done", "attention", "stopped", "failed"]
    exit_code: int
    run_id: int | None
    sent: int | None
    refused: int | None
    requests: int | None
    seconds: float | None
    message: str
    extra: dict[str, Any]
    plan: PlannedEntity | None


class LoggedActivity(TypedDict):
    """What a project does now."""

    command: str
    entity: str
    since: Time
    step: str | None
    done: int | None
    total: int | None


class StatusOfProject(TypedDict):
    """What a project does now, and how it did last. ``sent``, ``requests`` and ``runs`` are today's."""

    project: str
    condition: Condition
    message: str
    last_run_at: Time | None
    last_good_at: Time | None
    seconds_since_good: float | None
    failures: int
    failing_since: Time | None
    activity: LoggedActivity | None
    runs: int
    sent: int
    requests: int
    quarantined: int
    refused: int
    orders_waiting: int
    orders_failed: int
    every_seconds: float | None
    late_seconds: float
    run_seconds: float | None


class AcknowledgedChange(TypedDict):
    """A change that Stock2Shop acknowledged."""

    run_id: int
    entity: str
    key: str
    product: str | None
    kind: str
    columns: list[ColumnChange]
    status: Annotated[int, "The HTTP status of Stock2Shop's answer."]
    acknowledged_at: Time


class PastRun(TypedDict):
    """A run of the project."""

    run_id: int | None
    entity: str
    command: str
    started_at: Time
    seconds: float | None
    outcome: str
    digest: str | None
    source: int | None
    sent: int | None
    message: str | None


class History(TypedDict):
    """The last runs, or with ``--key`` or ``--run`` the changes; the other one is empty."""

    runs: list[PastRun]
    changes: list[AcknowledgedChange]


class QuarantinedRow(TypedDict):
    """A reason for which a row is held back."""

    entity: str
    key: str | None
    product: str | None
    column_name: str
    rule: str
    value: str | None
    reason: str
    first_seen_at: Time
    last_seen_at: Time
    resolved_at: Time | None


class HeldReason(TypedDict):
    """Why the last runs held a row back."""

    column_name: str
    rule: str
    value: str | None
    reason: str
    remedy: str
    since: Time


class StoredReason(QuarantinedRow):
    """Why the last runs held a row back, as they stored it."""

    since: Time
    remedy: str


class RowFault(TypedDict):
    """A rule that a row breaks now."""

    column_name: str
    rule: str
    value: str | None
    severity: str
    reason: str
    remedy: str


class ExplainedRow(TypedDict):
    """Everything known of one row."""

    project: str
    entity: str
    key: str
    found_by: str
    also: list[str]
    held: list[HeldReason]
    source: list[dict[str, Any]]
    staged: list[dict[str, Any]]
    faults: list[RowFault]
    published: dict[str, Any] | None
    verdict: str
    changes: list[PlannedChange]
    document: dict[str, Any] | None
    history: list[AcknowledgedChange]


class StoredRow(TypedDict):
    """What the last runs stored of one key."""

    project: str
    key: str
    held: list[StoredReason]
    history: list[AcknowledgedChange]


class Explanation(TypedDict):
    """Everything known of a code, in one project or in all."""

    rows: list[ExplainedRow]
    stored: Annotated[list[StoredRow], "With --stored, and while a run holds the state."]
    orders: list[ExplainedOrder]


class FoundDrift(TypedDict):
    """A way in which Stock2Shop and published differ: a key that one of them lacks, or a column."""

    entity: str
    key: str
    kind: Annotated[str, "missing, unknown or differs."]
    column: str
    published: str | None
    remote: str | None


class Adopted(TypedDict):
    """How many rows of an entity Stock2Shop holds, and how many were published before and are now."""

    entity: str
    remote: int
    before: int
    published: int
    unreadable: int


class RetriedRows(TypedDict):
    """How many refused rows the next run sends again."""

    rows: int


RESULTS: dict[str, Any] = {
    "init": CreatedProject,
    "list": list[ListedProject],
    "check": list[CheckedProject],
    "render": RenderedView,
    "test": list[TestedProject],
    "fixtures capture": list[CapturedFixture],
    "review": list[ReviewedProject],
    "docs": WrittenSite,
    "preview": list[PreviewedEntity],
    "plan": list[PlannedEntity],
    "run": list[RanEntity],
    "status": list[StatusOfProject],
    "agent install": ServiceSteps,
    "agent remove": ServiceSteps,
    "agent status": ServiceState,
    "schedule install": ServiceSteps,
    "schedule remove": ServiceSteps,
    "schedule status": ServiceState,
    "notify": Notified,
    "fleet status": Fleet,
    "explain": Explanation,
    "history": History,
    "adopt": list[Adopted],
    "verify": list[FoundDrift],
    "rebind": Rebound,
    "doctor": list[Finding],
    "secret set": StoredSecret,
    "secret remove": StoredSecret,
    "quarantine list": list[QuarantinedRow],
    "quarantine retry": RetriedRows,
    "orders import": list[OrderEntry],
    "orders pull": list[OrderEntry],
    "orders list": list[OrderEntry],
    "orders show": OrderDetail,
    "orders plan": list[PlannedOrder],
    "orders retry": list[OrderEntry],
    "orders raise": list[OrderEntry],
    "orders verify": list[VerifiedOrder],
    "orders skip": OrderEntry,
    "orders former": list[FormerOrder],
}
"""The type of each command's result, by the command's name."""
