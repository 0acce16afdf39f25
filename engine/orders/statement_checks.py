"""Check the statements of ``orders/`` before there is an order, by rendering them.

Two invented orders stand in for real ones: one in which every field has a value, and one that says no more than an
order must. :mod:`engine.orders.statement_trial` tries the statements in the database.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, RenderError
from engine.orders.document import ADDRESS_FIELDS, read_order
from engine.orders.statements import (
    MAY_WRITE_NO_ROW,
    NAMED_STATEMENTS,
    PER_LINE_STATEMENTS,
    StatementRenderer,
    iterate_executions,
    list_directives,
    list_statements,
    placeholder_results,
    statement_exists,
    template_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order

SAMPLE_ID = 987_654_321
"""The id of the invented orders: nothing else in them has this value."""

SAMPLE_CHANNEL = "123987"
"""The channel of the invented orders; its number is no part of another value."""

FULL_ORDER: Mapping[str, Any] = {
    **dict.fromkeys(("channel_order_code", "notes", "state", "status"), "1"),
    **dict.fromkeys(("created", "modified", "ordered_date"), "2026-01-31 10:20:30"),
    **dict.fromkeys(("line_item_sub_total", "line_item_tax", "shipping_sub_total", "shipping_tax"), Decimal(1)),
    **dict.fromkeys(("sub_total", "tax", "total", "total_discount"), Decimal(1)),
    **dict.fromkeys(("billing_address", "shipping_address"), dict.fromkeys(ADDRESS_FIELDS, "a")),
    "id": Decimal(SAMPLE_ID),
    "channel_id": SAMPLE_CHANNEL,
    "customer": dict.fromkeys(
        ("source_customer_code", "email", "first_name", "last_name", "channel_customer_code"), "a"
    ),
    "line_items": [
        {
            **dict.fromkeys(("sku", "source_variant_code", "title", "barcode"), "a"),
            **dict.fromkeys(("grams", "qty", "price", "total_discount", "sub_total", "tax", "total"), Decimal(1)),
            "tax_lines": [{"code": "a", "rate": Decimal(1), "price": Decimal(1)}],
        }
    ],
}
"""An order in which every field has a value."""

MINIMAL_ORDER: Mapping[str, Any] = {
    "id": Decimal(SAMPLE_ID),
    "line_items": [{"sku": "a", "qty": Decimal(1)}],
}
"""An order that says no more than the rules ask for."""


def check_statements(project: Project, settings: OrderSettings) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the files of ``orders/``, and what is doubtful, found by rendering them.

    Raises :class:`ViewError` as :func:`~engine.orders.statements.list_statements` does.
    """
    problems: list[Diagnostic] = []
    for path in statement_files(project):
        problems += [
            Diagnostic(
                path=path,
                message=f"There is no directive {directive!r}.",
                hint=f"The only one is: -- s2s: {MAY_WRITE_NO_ROW}",
            )
            for directive in list_directives(project, path)
            if directive != MAY_WRITE_NO_ROW
        ]
    problems += _render_problems(project, settings, sample_order(project, settings, FULL_ORDER))
    if not problems:
        for problem in _render_problems(project, settings, sample_order(project, settings, MINIMAL_ORDER)):
            hint = "Such an order would wait. Write what it should be then, as {{ (order.notes or '')[:30] }}."
            message = f"For an order that does not say every value: {problem.message}"
            problems.append(replace(problem, message=message, hint=hint, severity="warning"))
        problems += _lookup_problems(project, settings)
    return tuple(dict.fromkeys(problems))


def sample_order(project: Project, settings: OrderSettings, document: Mapping[str, Any]) -> Order:
    """Return an invented order, with a shipping line, for each statement to be rendered for."""
    order = read_order(document, settings, source_id=project.stock2shop.source_id)
    return replace(order, shipping_lines=order.lines)  # checked even where the project leaves shipping out


def statement_files(project: Project) -> list[Path]:
    """Return the files of all statements, those that are asked for by name first."""
    named = (project.root / "orders" / f"{name}.sql" for name in NAMED_STATEMENTS)
    return [*filter(statement_exists, named), *(statement.path for statement in list_statements(project))]


def iterate_runs(project: Project, order: Order) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each statement's file with what it sees besides the order."""
    values = template_values(order)
    (line,) = values["lines"]
    statements = list_statements(project)
    results = placeholder_results(statements, values)
    for path in statement_files(project):
        if path.stem in NAMED_STATEMENTS:
            yield path, {"line": line} if path.stem in PER_LINE_STATEMENTS else {}
    for statement in statements:
        for _, parts in iterate_executions(statement, values):
            yield statement.path, {"results": results, **parts}


def _render_problems(project: Project, settings: OrderSettings, order: Order) -> Iterator[Diagnostic]:
    renderer = StatementRenderer(project, settings)
    values = template_values(order)
    for path, parts in iterate_runs(project, order):
        try:
            renderer.render(path, {**values, **parts})
        except RenderError as error:
            yield from error.diagnostics


def _lookup_problems(project: Project, settings: OrderSettings) -> Iterator[Diagnostic]:
    """Yield warnings about statements that are missing, or that would find the wrong order."""
    folder = project.root / "orders"
    if not statement_exists(folder / "item.sql"):
        yield Diagnostic(
            path=folder / "item.sql",
            message="There is no item.sql.",
            hint="Write it: without it a SKU that the database does not know is found out by no rule.",
            severity="warning",
        )
    path = folder / "lookup.sql"
    if not statement_exists(path):
        yield Diagnostic(
            path=path,
            message="There is no lookup.sql.",
            hint="Write it: without it an order whose raising was interrupted waits for somebody to look.",
            severity="warning",
        )
        return
    order = sample_order(project, settings, FULL_ORDER)
    binds = [str(value) for value in StatementRenderer(project, settings).render(path, template_values(order)).binds]
    if not any(str(SAMPLE_ID) in value or SAMPLE_CHANNEL in value for value in binds):
        yield Diagnostic(
            path=path,
            message="It does not look for order.id: two channels may have the same order number.",
            hint="Let a statement store {{ order.id }}, and look for that.",
            severity="warning",
        )
