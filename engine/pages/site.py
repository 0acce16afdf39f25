"""A workspace as a small static site: every client's mapping, to be read and searched without the tool or a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.config.loader import load
from engine.config.workspace import discover
from engine.errors import ConfigError, UsageError
from engine.files import is_dir, is_file
from engine.mapping.lineage import mapping_rows
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.pages.render import render_page
from engine.sync.data_tests import data_tests
from engine.testing.fixture_run import entities
from engine.testing.snapshots import folder_of, order_statements, read, tidy, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.mapping.lineage import MappingRow
    from engine.model.settings import EntitySettings, Project
    from engine.sync.data_tests import DataTest

MARK = "s2s-site.txt"
"""The file by which a folder is known as a site that may be written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPage:
    """One entity of a client: its settings, its mapping, its SQL, and its documents as they were committed."""

    name: str
    settings: EntitySettings
    mapping: tuple[MappingRow, ...]
    sql: str
    documents: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPage:
    """One client. ``faults`` say why something of it is missing; ``project`` is None where all of it is.

    ``guards`` are what holds a run back, in words, by entity; ``source_id`` is 0 where project.toml has no number yet.
    """

    name: str
    project: Project | None
    source_id: int = 0
    entities: tuple[EntityPage, ...] = ()
    tests: tuple[DataTest, ...] = ()
    orders: str = ""
    quarantine: str = ""
    faults: tuple[str, ...] = ()
    guards: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def build_site(workspace: Path, to: Path) -> tuple[ClientPage, ...]:
    """Write the site of ``workspace`` into the folder ``to``: a page a client, and an index that searches them.

    No database is needed, and no secret: variables stand for their own names. A folder that holds anything else is left
    alone. Raises :class:`UsageError` where there are no projects or the folder cannot be used.
    """
    names = discover(workspace)
    if not names:
        raise UsageError("There are no projects here.", hint="Begin one with `s2s init NAME`.")
    clients = tuple(_client(name, workspace) for name in names)
    pages = {f"{client.name}.html": render_page("client.html", client=client) for client in clients}
    pages["index.html"] = render_page("index.html", clients=clients, searchable=True)
    try:
        if is_dir(to) and any(to.iterdir()) and not is_file(to / MARK):
            raise UsageError(f"{to} holds other files.", hint="Name an empty folder, or one that s2s docs has written.")
        to.mkdir(parents=True, exist_ok=True)
        for old in to.glob("*.html"):
            if old.name not in pages:
                old.unlink()
        for name, text in {**pages, MARK: "Written by s2s docs; what is here is overwritten.\n"}.items():
            write(to / name, text)
    except OSError as error:
        raise UsageError(
            f"The site cannot be written to {to}: {error.strerror}.", hint="Name another folder."
        ) from None
    return clients


def _client(name: str, workspace: Path) -> ClientPage:
    try:
        project = load(name, workspace=workspace, environ={}, offline=True)
    except ConfigError as error:
        return ClientPage(name=name, project=None, faults=_said(error, workspace))
    faults: list[str] = []
    found = []
    for entity in entities(project):
        try:
            query = render_checked_view(project, entity).query
            rows = mapping_rows(
                query,
                dialect=project.source.dialect,
                entity=ENTITIES[entity],
                linked=project.entities[entity].linked,
            )
            documents = read(folder_of(project) / f"{entity}.json") or ""
        except ConfigError as error:
            faults += _said(error, workspace)
            continue
        found.append(
            EntityPage(
                name=entity,
                settings=project.entities[entity],
                mapping=rows,
                sql=tidy(query.sql, project.source.dialect).strip("\n"),
                documents=documents,
            )
        )
    tests: tuple[DataTest, ...] = ()
    orders = quarantine = ""
    try:
        tests = data_tests(project)
        orders = order_statements(project) or ""
        quarantine = read(folder_of(project) / "quarantine.json") or ""
    except ConfigError as error:
        faults += _said(error, workspace)
    # What is loaded offline has a number in any case.
    unset = re.search(r"(?m)^source_id\s*=\s*0\b", (project.root / "project.toml").read_text("utf-8-sig"))
    return ClientPage(
        name=name,
        project=project,
        source_id=0 if unset else project.stock2shop.source_id,
        entities=tuple(found),
        tests=tests,
        orders=orders,
        quarantine=quarantine,
        faults=tuple(faults),
        guards={each.name: _guards(each.settings) for each in found},
    )


def _guards(settings: EntitySettings) -> tuple[tuple[str, str], ...]:
    """What holds a run back, in words."""
    said = []
    for name, limit in (("removals in one run", settings.max_deletes), ("changes in one run", settings.max_changes)):
        if limit.rows is not None:
            allowed = f"at most {limit.rows:,}"
        elif limit.share is not None:
            allowed = f"at most {limit.share:.0%} of what is published, or {limit.floor:,}"
        else:
            allowed = "any number"
        said.append((name, allowed))
    gone = "are removed from Stock2Shop" if settings.missing == "delete" else "stay in Stock2Shop"
    return (*said, ("rows of the view", f"at least {settings.min_rows:,}"), ("rows that are gone", gone))


def _said(error: ConfigError, workspace: Path) -> tuple[str, ...]:
    """What is wrong, with its place in the workspace."""
    return tuple(f"{fault.within(workspace)}: {fault.message}".removeprefix(": ") for fault in error.faults)
