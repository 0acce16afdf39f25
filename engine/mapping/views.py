"""Render a view and check it, without a database: the first step of everything that is done with a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.characters import fold
from engine.errors import Diagnostic, ViewError
from engine.mapping.check import check_view, resolve_column, resolve_columns
from engine.mapping.mdbtools import find_unmappable, uses_mdbtools
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    The parser takes a third of a second to load; the answer depends only on the SQL, the dialect, and the entity's
    ``linked`` and ``default_price_tier``, whether mdbtools reads it and whether it is a file, so callers may keep it by
    ``query.digest`` and those.
    Raises :class:`ViewError` with every error that was found.
    """
    columns, diagnostics = check_view(
        query,
        dialect=project.source.dialect,
        entity=ENTITIES[entity],
        linked=project.entities[entity].linked,
        is_file=project.source.database is not None,
    )
    warnings = raise_errors(diagnostics)
    fields = None if columns is None else resolve_columns(columns, entity=ENTITIES[entity])
    warnings += raise_errors(_check_default_tier(project, entity, fields))
    if uses_mdbtools(project.source.connection):
        warnings += raise_errors(find_unmappable(query, dialect=project.source.dialect))
    return CheckedView(query=query, warnings=warnings, fields=fields)


def _check_default_tier(project: Project, entity: str, fields: tuple[str, ...] | None) -> Iterator[Diagnostic]:
    """Report a ``default_price_tier`` that no column maps: no default price would be sent, without a word.

    A list of prices may hold any tier, so beside one only a tier is reported that is a column's in other letters.
    """
    tier = project.entities[entity].prices.default_tier
    if tier is None or fields is None:
        return
    found = [resolve_column(name, ENTITIES[entity]) for name in fields]
    tiers = [each.placeholder_value for each in found if each is not None and each.role == "tier"]
    listed = "csv_price_tiers" in fields
    close = next((name for name in tiers if fold(name) == fold(tier)), "")
    if tier not in tiers and (close or not listed):
        guess = f"Did you mean {close}? " if close else ""
        known = f"It maps: {', '.join(tiers)}." if tiers else f"Add a column price_{tier}, or remove the setting."
        yield Diagnostic(
            path=project.root / "project.toml",
            message=f"{entity}.default_price_tier is {tier!r}, but the view maps no price tier of that name.",
            hint=f"{guess}{known}",
            severity="warning" if listed else "error",
        )


def raise_errors(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the warnings of ``diagnostics``. Raises :class:`ViewError` with all errors, if there is one."""
    found = tuple(diagnostics)
    errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
    if errors:
        raise ViewError(errors)
    return found
