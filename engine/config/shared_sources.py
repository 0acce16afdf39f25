"""Projects that send to the same source of the same Stock2Shop account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.settings import Project


def shared_sources(project: Project, others: Iterable[Project]) -> list[Diagnostic]:
    """A warning for each entity that ``project`` and another one send to the same address and source id.

    After ``s2s adopt`` each takes what the other sent for its own, and removes it, because its own view does not have
    it. Only sources that are all ``linked`` may share one: they remove nothing, and another source owns the products.
    """
    found = []
    account = _account(project)
    same = [each for each in others if each.root != project.root and _account(each) == account]
    for name, entity in project.entities.items():
        names = [
            each.name for each in same if name in each.entities and not (entity.linked and each.entities[name].linked)
        ]
        if names:
            found.append(
                Diagnostic(
                    path=project.root / "project.toml",
                    severity="warning",
                    message=f"{', '.join(names)} also {'sends' if len(names) == 1 else 'send'} {name} to source"
                    f" {project.stock2shop.source_id} of {project.stock2shop.url}.",
                    hint="After `s2s adopt` each would remove what another sent. Give each project a source_id of its"
                    " own; or, where they only enrich what another source owns, set linked = true in all of them.",
                )
            )
    return found


def _account(project: Project) -> tuple[str, int]:
    return project.stock2shop.url.rstrip("/").lower(), project.stock2shop.source_id
