"""Render a view for DuckDB itself, where it cannot be translated, and see to it that it is the same view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ViewError
from engine.mapping.dialect_branches import undecided_branches
from engine.mapping.render import render_view, search_path, template_files

if TYPE_CHECKING:
    from pathlib import Path

    from engine.mapping.transpile.kinds import Columns
    from engine.model.query import Query
    from engine.model.settings import Project


class UndecidedBranchError(ViewError):
    """A template writes something else for a database, and does not say what DuckDB gets."""


def render_own_sql(project: Project, entity: str, query: Query, columns: Columns | None) -> Query:
    """The view as its macros write it for DuckDB. Raises :class:`ViewError` where its meaning changes."""
    from engine.mapping.transpile.own_sql import check_own_sql

    own = render_view(project, entity, dialect="duckdb")
    _require_decided_branches(project, query, own)
    return check_own_sql(own, query, dialect=project.source.dialect, columns=columns)


def _require_decided_branches(project: Project, query: Query, own: Query) -> None:
    """Raise :class:`ViewError` where a template of the project's leaves open what DuckDB gets."""
    files, engines = template_files(project), search_path(project)[-1]
    lines: dict[Path, set[int]] = {}
    for each in (query, own):
        at = each.source_map(each.sql) if each.source_map is not None else lambda _: None
        for place in (at(offset) for offset in range(len(each.sql))):
            if place is not None:
                lines.setdefault(place.path, set()).add(place.line)
    undecided = [
        fault
        for path in dict.fromkeys((*query.sources, *own.sources))
        if not path.is_relative_to(engines)
        for fault in undecided_branches(
            path,
            files.read_utf8(path),
            dialect=project.source.dialect,
            lines=lines.get(path, set()),
        )
    ]
    if undecided:
        raise UndecidedBranchError(undecided)
