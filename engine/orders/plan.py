"""plan."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.orders.statements import (
    UnknownValue,
    executions,
    is_there,
    placeholder_results,
    render_statement,
    statements,
    template_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order


def planned_queries(project: Project, settings: OrderSettings, order: Order) -> Iterator[tuple[Path, Query]]:
    """Every statement with its values, in the order in which it would be run, for a plan.

    What only the database can tell is its own name in angle brackets.
    """
    values = template_values(order)
    folder = project.root / "orders"

    def asked(name: str, **more: object) -> Iterator[tuple[Path, Query]]:
        path = folder / f"{name}.sql"
        if is_there(path):
            yield path, render_statement(project, settings, path, {**values, **more})

    yield from asked("lookup")
    for line in values["lines"]:
        yield from asked("item", line=line)
        if settings.stock != "allow":
            yield from asked("stock", line=line)
    yield from asked("find_customer")
    if settings.create_customer:
        yield from asked("customer")
    if order.customer["code"] is None or is_there(folder / "find_customer.sql"):
        values["order"]["customer_code"] = values["customer"]["code"] = UnknownValue("<source_customer_code>")
    found = statements(project)
    results = placeholder_results(found, order)
    for statement in found:
        for _, parts in executions(statement, order):
            yield (
                statement.path,
                render_statement(project, settings, statement.path, {**values, **parts, "results": results}),
            )


def display_value(value: object) -> str:
    """A bound value as people read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "NULL" if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)
