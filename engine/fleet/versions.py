"""What a machine must know to run a project, and which of several machines do: for deploys, machine by machine.

A project's state is brought up to date by the first newer version that runs it, and an older one can read it no more.
So whoever stores a state says what must be known to read it, and each worker says what it knows, both as names with
numbers. A name that a worker does not know is of a version that is newer than its own: it cannot read that either.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.embedded import duckdb_version
from engine.state.store import VERSION as STATE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SNAPSHOT_VERSION = 2
"""How whole files are stored: 1 in parts in PostgreSQL, 2 also in an object store; see
:mod:`engine.fleet.stored_states`."""

ALIVE_SECONDS = 30.0
"""A worker that was not heard of for so long takes no jobs."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Numbers by name, such as ``state=4 duckdb=2.0``: of what somebody knows, or of what must be known."""

    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Versions:
        """The versions that a text names.

        >>> str(Versions.parse("state=4 duckdb=2.0"))
        'duckdb=2.0 state=4'
        """
        named = (each.partition("=") for each in text.split())
        return cls({name: tuple(int(part) for part in number.split(".")) for name, _, number in named})

    def __str__(self) -> str:
        return " ".join(f"{name}={'.'.join(map(str, number))}" for name, number in sorted(self.numbers.items()))

    def missing(self, needed: Versions) -> Versions:
        """What is needed, and is newer here.

        >>> str(Versions.parse("state=4 duckdb=2.0").missing(Versions.parse("state=5 duckdb=1.5 other=1")))
        'other=1 state=5'
        """
        return Versions({name: each for name, each in needed.numbers.items() if self.numbers.get(name, ()) < each})

    def reads(self, needed: Versions) -> bool:
        """Whether nothing that is needed is missing."""
        return not self.missing(needed).numbers


def known_versions() -> Versions:
    """What this s2s reads, and writes."""
    duckdb = tuple(int(part) for part in duckdb_version().lstrip("v").split(".")[:2])
    return Versions({"duckdb": duckdb, "state": (STATE_VERSION,), "snapshot": (SNAPSHOT_VERSION,)})


def written_versions() -> str:
    """What must be known to read what this s2s writes to a state, however the state is stored."""
    return str(Versions({name: each for name, each in known_versions().numbers.items() if name != "snapshot"}))


def needed_versions(written: str, snapshot_version: int) -> Versions:
    """What must be known to read a state, by what its last writer noted and how its file is stored."""
    return Versions({**Versions.parse(written).numbers, "snapshot": (snapshot_version,)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that takes jobs: its name, its slots, and what it knows."""

    name: str
    slots: int
    known: Versions


WORKERS_SQL = (
    "select name, slots, versions from worker where not draining"
    " and seen_at > now() - make_interval(secs => %(alive)s) order by name"
)
"""The workers that take jobs, for :func:`workers_of`; ``alive`` is :data:`ALIVE_SECONDS`."""

NEEDS_SQL = "select project, written_versions, format from lease"
"""What each project needs, for :func:`needs_of`."""


def workers_of(rows: Iterable[tuple[Any, ...]]) -> list[Worker]:
    """The workers of :data:`WORKERS_SQL`."""
    return [Worker(name=name, slots=slots, known=Versions.parse(versions)) for name, slots, versions in rows]


def needs_of(rows: Iterable[tuple[Any, ...]]) -> dict[str, Versions]:
    """What the projects of :data:`NEEDS_SQL` need."""
    return {project: needed_versions(written, snapshot) for project, written, snapshot in rows}


def own_queue(lane: str, known: Versions) -> str:
    """The queue of a lane for the workers that know the same.

    A hash, since the name of a queue is part of a name that PostgreSQL limits to 63 bytes.
    """
    return f"{lane}-{hashlib.sha256(str(known).encode()).hexdigest()[:8]}"


def choose_queue(lane: str, needed: Versions, workers: Iterable[Worker]) -> str | None:
    """The queue for a project of a lane: that of all workers, where all can read its state.

    Otherwise that of those who can: where their versions differ, of the most slots, and then the newest. None where
    nobody can.
    """
    groups: dict[str, tuple[int, str]] = {}
    all_can = True
    for worker in workers:
        if worker.known.reads(needed):
            queue = own_queue(lane, worker.known)
            groups[queue] = (groups.get(queue, (0, ""))[0] + worker.slots, str(worker.known))
        else:
            all_can = False
    if all_can:
        return lane
    return max(groups, key=lambda queue: groups[queue], default=None)
