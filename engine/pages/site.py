"""Write a workspace as a small static site: the mapping of every client, searchable without a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.loader import load
from engine.config.workspace import discover
from engine.errors import ConfigError, UsageError, located_messages
from engine.files import WorkspaceFiles, is_dir, is_file, replace_file
from engine.mapping.lineage import mapping_rows
from engine.mapping.row_rules import row_rules
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.pages.render import render_page
from engine.review.model import RowRule
from engine.sync.data_tests import data_tests
from engine.testing.fixture_run import entities
from engine.testing.snapshots import (
    normalize_sql,
    read_snapshot,
    render_order_statements,
    snapshot_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.mapping.lineage import MappingRow
    from engine.model.settings import EntitySettings, Project
    from engine.sync.data_tests import DataTest

MARKER_FILE = "s2s-site.txt"
"""The file that marks a folder as one that this module has written and may overwrite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPage:
    """One entity of a client: settings, mapping, SQL, the committed snapshot of its documents, and ``rules``.

    ``rules`` say in words which rows are read.
    """

    name: str
    settings: EntitySettings
    mapping: tuple[MappingRow, ...]
    sql: str
    documents: str
    rules: tuple[RowRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPage:
    """One client. ``project`` is None where it cannot be loaded; ``faults`` say why something is missing.

    ``guards`` describe what stops a run, by entity, as pairs of a name and a limit. ``source_id`` is 0 where
    project.toml has none yet.
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

    @property
    def searched(self) -> str:
        """What a search looks through: name, description, database, and the SQL of views and tests.

        It is as it is written, because secrets in it are masked by their letters.
        """
        parts: list[object] = [self.name]
        if self.project is not None:
            parts += [self.project.description, self.project.source.dialect, self.source_id]
        parts += [text for entity in self.entities for text in (entity.name, entity.sql)]
        parts += [text for test in self.tests for text in (test.name, test.query.sql)]
        return " ".join(map(str, parts))

    @property
    def page(self) -> str:
        """The file of the client's page: that of a client called index is not the site's own."""
        return f"{'_' if self.name.lower() == 'index' else ''}{self.name}.html"


def build_site(
    workspace: Path, to: Path, *, version: str = "", mask: Callable[[str], str] = str
) -> tuple[ClientPage, ...]:
    """Write the site of ``workspace`` into the folder ``to``: a page a client, and an index that searches them.

    ``version`` is a sentence on the state of the workspace, which stands on each page.
    ``mask`` takes out of a page what must not be displayed: the secrets that are written out in a project.toml.

    Needs neither a database nor secrets: variables are shown by their names. Raises :class:`UsageError` where there are
    no projects, and where the folder has other files or cannot be written to.
    """
    names = discover(workspace)
    if not names:
        raise UsageError("There are no projects here.", hint="Begin one with `s2s init NAME`.")
    clients = tuple(_client_page(name, workspace) for name in names)
    pages = {client.page: render_page("client.html", client=client, version=version) for client in clients}
    pages["index.html"] = render_page("index.html", clients=clients, version=version, searchable=True)
    if Path.cwd().joinpath(to).is_relative_to(workspace):
        WorkspaceFiles((workspace,)).resolve(to)
    try:
        if is_dir(to) and any(to.iterdir()) and not is_file(to / MARKER_FILE):
            raise UsageError(f"{to} holds other files.", hint="Name an empty folder, or one that s2s docs has written.")
        to.mkdir(parents=True, exist_ok=True)
        for old in to.glob("*.html"):
            if old.name not in pages:
                old.unlink()
        for name, text in {**pages, MARKER_FILE: "Written by s2s docs; what is here is overwritten.\n"}.items():
            replace_file(to / name, mask(text).encode())
    except OSError as error:
        raise UsageError(
            f"The site cannot be written to {to}: {error.strerror}.", hint="Name another folder."
        ) from None
    return clients


def _client_page(name: str, workspace: Path) -> ClientPage:
    try:
        project = load(name, workspace=workspace, environ={}, offline=True)
    except ConfigError as error:
        return ClientPage(name=name, project=None, faults=located_messages(error, workspace))
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
            documents = read_snapshot(snapshot_folder(project), f"{entity}.json") or ""
        except ConfigError as error:
            faults += located_messages(error, workspace)
            continue
        found.append(
            EntityPage(
                name=entity,
                settings=project.entities[entity],
                mapping=rows,
                sql=normalize_sql(query.sql, project.source.dialect).strip("\n"),
                documents=documents,
                rules=tuple(
                    RowRule(words=words, kind="same") for words in row_rules(query, dialect=project.source.dialect)
                ),
            )
        )
    tests: tuple[DataTest, ...] = ()
    orders = quarantine = ""
    try:
        tests = data_tests(project)
        orders = render_order_statements(project) or ""
        quarantine = read_snapshot(snapshot_folder(project), "quarantine.json") or ""
    except ConfigError as error:
        faults += located_messages(error, workspace)
    # A project that is loaded offline always has a number, so the file says whether there really is one.
    text = WorkspaceFiles.of(workspace, project.root).read_utf8(project.root / "project.toml")
    unset = re.search(r"(?m)^source_id\s*=\s*0\b", text)
    return ClientPage(
        name=name,
        project=project,
        source_id=0 if unset else project.stock2shop.source_id,
        entities=tuple(found),
        tests=tests,
        orders=orders,
        quarantine=quarantine,
        faults=tuple(faults),
        guards={each.name: _describe_guards(each.settings) for each in found},
    )


def _describe_guards(settings: EntitySettings) -> tuple[tuple[str, str], ...]:
    """The limits of an entity in words."""
    limits = []
    for name, limit in (
        ("removals in one run", settings.max_deletes),
        ("removals in a day", settings.deletes_per_day),
        ("changes in one run", settings.max_changes),
    ):
        if limit.rows is not None:
            allowed = f"at most {limit.rows:,}"
        elif limit.share is not None:
            floor = f", or {limit.floor:,}" if limit.floor else ""
            half = f" (at most {limit.floor_share:.0%})" if limit.floor and limit.floor_share < 1 else ""
            allowed = f"at most {100 * limit.share:.6g}% of what is published{floor}{half}"
        else:
            allowed = "any number"
        limits.append((name, allowed))
    gone = "are removed from Stock2Shop" if settings.missing == "delete" else "stay in Stock2Shop"
    return (*limits, ("rows of the view", f"at least {settings.min_rows:,}"), ("rows that are gone", gone))
