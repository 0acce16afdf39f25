"""views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ViewError
from engine.mapping.check import check_view
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Diagnostic
    from engine.model.query import Query
    from engine.model.settings import Project


def render_checked_view(project: Project, entity: str) -> tuple[Query, tuple[Diagnostic, ...]]:
    """Render and check an entity's view without a database; gives the query and the warnings.

    Raises :class:`RenderError` or :class:`ViewError` with every fault that was found.
    """
    query = render_view(project, entity)
    _, faults = check_view(
        query,
        dialect=project.source.dialect,
        entity=ENTITIES[entity],
        linked=project.entities[entity].linked,
    )
    return query, raise_errors(faults)


def raise_errors(faults: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the warnings of ``faults``. Raises :class:`ViewError` with all errors, if there is one."""
    found = tuple(faults)
    if any(fault.severity == "error" for fault in found):
        raise ViewError([fault for fault in found if fault.severity == "error"])
    return found
