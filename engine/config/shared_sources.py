"""Projects that send to the same source of the same Stock2Shop account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.settings import EntitySettings, Project


def shared_sources(project: Project, others: Iterable[Project]) -> list[Diagnostic]:
    """A warning for each entity that ``project`` and another one send to the same address and source id.

    After ``s2s adopt`` each takes what the other sent for its own, and removes it, because its own view does not have
    it. Only sources that are all ``linked`` and keep what is missing may share one: they remove nothing, and another
    source owns the products.
    """
    found: list[Diagnostic] = []
    account = project.stock2shop.account
    if not project.stock2shop.source_id:
        return found
    same = [each for each in others if each.root != project.root and each.stock2shop.account == account]
    for name, entity in project.entities.items():
        names = [
            each.name
            for each in same
            if name in each.entities and not (_only_enriches(entity) and _only_enriches(each.entities[name]))
        ]
        if names:
            found.append(
                Diagnostic(
                    path=project.root / "project.toml",
                    severity="warning",
                    message=f"{', '.join(names)} also {'sends' if len(names) == 1 else 'send'} {name} to source"
                    f" {project.stock2shop.source_id} of {project.stock2shop.url}.",
                    hint="After `s2s adopt` each would remove what another sent. Give each project a source_id of its"
                    " own; or, where they only enrich what another source owns, set linked = true in all of them, and"
                    ' leave missing at "keep".',
                )
            )
    return found


def _only_enriches(entity: EntitySettings) -> bool:
    return entity.linked and entity.missing == "keep"
