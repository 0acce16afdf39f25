"""What ``--output json`` gives for the commands that make something: shapes that :mod:`engine.cli.results` puts in.

Nothing is built from them but the reference and its JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from engine.scaffold.introspect import Proposal


class CreatedProject(TypedDict):
    """A project that was created, or whose database was inspected."""

    project: str
    written: Annotated[list[str], "The files that were written."]
    kept: Annotated[list[str], "Views that somebody has edited, so that no proposal was written over them."]
    differences: Annotated[list[str], "With --from: what the view means otherwise than the statement does."]
    proposals: Annotated[list[Proposal], "With --introspect: what was found for each entity."]


class RenderedView(TypedDict):
    """The SQL that a view renders to; what comes from a variable is masked."""

    entity: str
    sql: str


class WrittenSite(TypedDict):
    """A static site of the workspace."""

    page: Annotated[str, "Its first page."]
    clients: list[WrittenClient]


class WrittenClient(TypedDict):
    """A client of the site, and why something of it is missing."""

    project: str
    faults: list[str]


class CapturedFixture(TypedDict):
    """A fixture that was written from rows of the live source."""

    path: str
    rows: int
    rows_read: int
    replaced: Annotated[list[str], "The columns in which values were replaced."]


class StoredSecret(TypedDict):
    """A secret that the system's store has, or has no longer; never its value."""

    project: str
    name: str
    reference: Annotated[str, "How project.toml names it."]
    store: Annotated[str | None, "Where it is; null once it is removed."]


class ServiceSteps(TypedDict):
    """What installing or removing a service of the system's takes."""

    name: str
    scheduler: str
    steps: Annotated[list[str], "Files to write or remove, and programs to call; none where it is not installed."]
    performed: Annotated[bool, "Whether that was done; with --print it was not."]


class ServiceState(TypedDict):
    """Whether the system keeps a service running."""

    name: str
    scheduler: str
    active: bool


class Notified(TypedDict):
    """Whom a test could be sent to; what is news is sent without saying to whom."""

    addresses: Annotated[int | None, "How many were tried; null without --test."]
    failed: Annotated[list[str], "What went wrong."]
