"""How a project raises orders, for all that do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.model.settings import OrderSettings, Project


def order_settings(project: Project) -> OrderSettings:
    """Return how the project raises orders. Raises :class:`UsageError` where it does not raise any."""
    if project.orders is None:
        raise UsageError(
            f"{project.name} raises no orders.",
            hint="Write an [orders] table in its project.toml, and the statements in orders/.",
        )
    return project.orders
