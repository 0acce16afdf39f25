"""What raising orders would run: the statements with their values, without running any."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.orders.document import read_order
from engine.orders.pipeline import find_known_code, known_already
from engine.orders.rules import RuleError, check_order
from engine.orders.settings import order_settings
from engine.orders.statements import (
    StatementRenderer,
    UnknownValue,
    iterate_executions,
    list_statements,
    placeholder_results,
    statement_exists,
    template_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.ledger import Ledgers


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlan:
    """What raising one order would run.

    ``queries`` are the statements' files and what they render to, in the order in which they would be run. ``rule``
    and ``reason`` say which rule the order breaks, if it breaks one. Without a rule, ``reason`` says why nothing is run
    for an order that counts as raised.
    """

    order_id: int
    queries: tuple[tuple[Path, Query], ...]
    rule: str = ""
    reason: str = ""


def plan_orders(project: Project, ledgers: Ledgers, order_ids: tuple[int, ...]) -> list[OrderPlan]:
    """Plan the named orders; where none is named, all that are due or wait.

    Raises :class:`UsageError` for an id that is not known, and :class:`ConfigError` where a statement is wrong.
    """
    settings = order_settings(project)
    list_statements(project)
    plans = []
    with ledgers.opened(project) as ledger:
        entries = [ledger.get_entry(each) for each in order_ids] or ledger.list_entries(
            "status in ('received', 'waiting', 'failed', 'raising')"
        )
        for entry in entries:
            document = ledger.load_document(entry.order_id)
            if document is None:
                continue
            order = read_order(document, settings, source_id=project.stock2shop.source_id)
            rule = reason = ""
            code = None
            try:
                code = find_known_code(ledger, entry, order)
                if code is None:
                    check_order(project, order, settings, approved=bool(entry.approved_by))
                else:
                    reason = known_already(code)
            except RuleError as broken:
                rule, reason = broken.rule, broken.reason
            plans.append(
                OrderPlan(
                    order_id=entry.order_id,
                    queries=() if code or rule == "unreadable" else tuple(plan_queries(project, settings, order)),
                    rule=rule,
                    reason=reason,
                )
            )
    return plans


def plan_queries(project: Project, settings: OrderSettings, order: Order) -> Iterator[tuple[Path, Query]]:
    """Yield every statement's file with what it renders to for ``order``, in the order in which they would be run.

    A value that only the database can give is its own name in angle brackets, such as ``<header.id>``. Raises
    :class:`RenderError` where a statement cannot be rendered.
    """
    renderer = StatementRenderer(project, settings)
    values = template_values(order)
    folder = project.root / "orders"

    def render_if_present(name: str, **more: object) -> Iterator[tuple[Path, Query]]:
        path = folder / f"{name}.sql"
        if statement_exists(path):
            yield path, renderer.render(path, {**values, **more})

    yield from render_if_present("lookup")
    for line in values["lines"]:
        yield from render_if_present("item", line=line)
        if settings.stock != "allow":
            yield from render_if_present("stock", line=line)
    yield from render_if_present("find_customer")
    if settings.create_customer:
        yield from render_if_present("customer")
    if order.customer["code"] is None or statement_exists(folder / "find_customer.sql"):
        values = template_values(order, customer_code=UnknownValue("<source_customer_code>"))
    found = list_statements(project)
    results = placeholder_results(found, values)
    for statement in found:
        for _, parts in iterate_executions(statement, values):
            yield (
                statement.path,
                renderer.render(statement.path, {**values, **parts, "results": results}),
            )


def display_value(value: object) -> str:
    """Write a bound value for people: ``NULL``, ``true``, ``12.50``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "NULL" if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)
