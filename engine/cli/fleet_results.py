"""What ``--output json`` gives of a fleet; see :mod:`engine.cli.results`."""

from __future__ import annotations

from typing import Annotated, NewType, TypedDict

Time = NewType("Time", str)
"""A time with its zone, as in ISO 8601: ``2026-03-01T07:14:02+00:00``."""


class FleetProject(TypedDict):
    """A project that ran in the fleet."""

    project: str
    held_by: Annotated[str | None, "The machine and process that runs it now."]
    paused: bool
    last_run_at: Time | None
    seconds: float | None
    exit_code: int | None
    failures: Annotated[int, "How many runs in a row have failed."]
    epoch: Annotated[int, "Rises each time its lease is taken."]
    stored_bytes: Annotated[int, "What is stored of its state, packed, in PostgreSQL and the object store."]
    readable_by: Annotated[
        str | None,
        "Which of the workers that take jobs read its state: 'all workers', or '2 of 3 workers' in a deploy.",
    ]


class FleetWorker(TypedDict):
    """A worker that was heard from in the last minutes."""

    worker: str
    slots: int
    started_at: Time
    seen_seconds_ago: float
    draining: bool
    versions: Annotated[str, "What it reads, such as 'duckdb=2.0 state=4'."]


class FleetLane(TypedDict):
    """How many projects wait and run in a lane of the queue."""

    waiting: int
    running: int


class Fleet(TypedDict):
    """The fleet: its projects, its workers, and its queue by lane."""

    projects: list[FleetProject]
    workers: list[FleetWorker]
    queue: dict[str, FleetLane]
