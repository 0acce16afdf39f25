"""Render a view and check it, without a database: the first step of everything that is done with a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ViewError
from engine.mapping.check import check_view, resolve_columns
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Diagnostic
    from engine.model.query import Query
    from engine.model.settings import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedView:
    """A view that was rendered and passed every check that needs no database.

    ``fields`` are Stock2Shop's field names of its columns, in order; None where the view could not be parsed, so that
    only the database knows its columns. ``warnings`` do not stop a run.
    """

    query: Query
    warnings: tuple[Diagnostic, ...]
    fields: tuple[str, ...] | None


def render_checked_view(project: Project, entity: str) -> CheckedView:
    """Render and check the view of ``entity`` (``products`` or ``customers``).

    Raises :class:`RenderError` or :class:`ViewError` with every error that was found.
    """
    return check_rendered_view(project, entity, render_view(project, entity))


def check_rendered_view(project: Project, entity: str, query: Query) -> CheckedView:
    """Check the rendered view of ``entity``.

    The parser takes a third of a second to load; the answer depends only on the SQL, the dialect and whether the source
    is linked, so callers may keep it by ``query.digest`` and those two.
    Raises :class:`ViewError` with every error that was found.
    """
    columns, diagnostics = check_view(
        query,
        dialect=project.source.dialect,
        entity=ENTITIES[entity],
        linked=project.entities[entity].linked,
    )
    warnings = raise_errors(diagnostics)
    fields = None if columns is None else resolve_columns(columns, entity=ENTITIES[entity])
    return CheckedView(query=query, warnings=warnings, fields=fields)


def raise_errors(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the warnings of ``diagnostics``. Raises :class:`ViewError` with all errors, if there is one."""
    found = tuple(diagnostics)
    errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
    if errors:
        raise ViewError(errors)
    return found
