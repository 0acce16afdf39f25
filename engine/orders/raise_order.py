"""Raise one order in the client's database: run the statements of ``orders/`` in one transaction.

:func:`raise_order` does, in this order:

1. ``lookup.sql``: is the order in the database already? Then nothing is raised.
2. ``item.sql`` and ``stock.sql`` for each line; ``find_customer.sql``, and ``customer.sql`` where a new one is wanted.
3. The numbered statements, in the order of their numbers. What one of them returns is there for the next ones, under
   its name in ``results``.
4. Commit, if one of them returned a ``source_order_code``.

Statements see plain values, which are bound as parameters and never become SQL.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, ViewError, WriteError
from engine.orders.rules import RuleError
from engine.orders.statements import (
    iterate_executions,
    list_statements,
    render_statement,
    statement_exists,
    template_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.database.connection import Writer
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedOrder:
    """The codes of an order in the database; ``found`` where it was there already."""

    source_order_code: str
    source_customer_code: str | None
    found: bool = False


def raise_order(
    project: Project,
    settings: OrderSettings,
    order: Order,
    writer: Writer,
    *,
    crash_point: Callable[[str], None] = lambda _: None,
) -> RaisedOrder:
    """Run the project's statements for ``order`` and commit them, unless the order is in the database already.

    ``crash_point`` is called with the name of each point where a process may die. Raises :class:`RuleError` where the
    order must wait, :class:`WriteError` as the writer does, and :class:`ConfigError` where a statement cannot be
    rendered. Nothing is committed then; the caller rolls back.
    """
    found = look_up_order(project, settings, order, writer)
    if found is not None:
        return found
    crash_point("in the transaction")
    values = template_values(order)
    code = order.customer["code"]
    _check_items(project, settings, order, writer, values)
    code = _resolve_customer(project, settings, order, writer, values) or code
    values["order"]["customer_code"] = values["customer"]["code"] = code
    results: dict[str, Any] = {}
    result: dict[str, Any] = {}
    for statement in list_statements(project):
        for number, parts in iterate_executions(statement, order):
            rows = _run(project, settings, statement.path, {**values, **parts, "results": results}, writer)
            row = dict(rows[-1]) if rows else {}
            if number is None:
                results[statement.name] = row
            else:
                results.setdefault(statement.name, []).append(row)
            if _read_code(row, "source_order_code") is not None:
                result = row
        if statement.per != "order":
            results.setdefault(statement.name, [])
    raised = _read_code(result, "source_order_code")
    if raised is None:
        raise RuleError("no_code")
    crash_point("before the commit")
    writer.commit()
    return RaisedOrder(
        source_order_code=raised, source_customer_code=_read_code(result, "source_customer_code") or code
    )


def look_up_order(project: Project, settings: OrderSettings, order: Order, writer: Writer) -> RaisedOrder | None:
    """Ask ``lookup.sql`` whether the order is in the database; None where it is not, or there is no such statement.

    Raises :class:`RuleError` where a row without a code is found: the order may be there.
    """
    path = project.root / "orders" / "lookup.sql"
    rows = _run(project, settings, path, template_values(order), writer) if statement_exists(path) else []
    if not rows:
        return None
    code = _read_code(rows[0], "source_order_code")
    if code is None:
        raise RuleError("uncertain", "orders/lookup.sql returned a row without a source_order_code")
    own = _read_code(rows[0], "source_customer_code") or order.customer["code"]
    return RaisedOrder(source_order_code=code, source_customer_code=own, found=True)


def _run(
    project: Project, settings: OrderSettings, path: Path, values: Mapping[str, Any], writer: Writer
) -> list[dict[str, Any]]:
    query = render_statement(project, settings, path, values)
    try:
        return writer.execute(query.sql, query.binds)
    except WriteError as error:
        raise error.at(path) from None


def _check_items(
    project: Project, settings: OrderSettings, order: Order, writer: Writer, values: dict[str, Any]
) -> None:
    """Check that every SKU is in the database, and that there is stock where the project wants that.

    Marks lines as back orders where there is too little. Raises :class:`RuleError` for what is missing.
    """
    item, stock = project.root / "orders" / "item.sql", project.root / "orders" / "stock.sql"
    wanted: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in values["lines"]:
        wanted[line["sku"]] += line["qty"]
        if statement_exists(item) and not _run(project, settings, item, {**values, "line": line}, writer):
            raise RuleError("unknown_sku", line["sku"])
        if settings.stock == "allow" or not statement_exists(stock):
            continue
        rows = _run(project, settings, stock, {**values, "line": line}, writer)
        available = _read_quantity(next(iter(rows[0].values()), None) if rows else None, path=stock)
        if available < wanted[line["sku"]]:
            if settings.stock == "refuse":
                raise RuleError("short_stock", f"{line['sku']}: {available} of {wanted[line['sku']]}")
            line["backorder"] = True
    backordered = {line["number"] for line in values["lines"] if line["backorder"]}
    for line in order.lines:
        if line["number"] in backordered and isinstance(line, dict):
            line["backorder"] = True


def _resolve_customer(
    project: Project, settings: OrderSettings, order: Order, writer: Writer, values: dict[str, Any]
) -> str | None:
    """Return the customer's code in the database, of a new one where the project wants that; None to use the default.

    Raises :class:`RuleError` where there is no customer.
    """
    find, create = (project.root / "orders" / f"{name}.sql" for name in ("find_customer", "customer"))
    if statement_exists(find):
        rows = _run(project, settings, find, values, writer)
        if rows:
            return _read_code(rows[0], "source_customer_code") or order.customer["code"]
        if not settings.create_customer:
            if order.customer["code"] is None:
                raise RuleError("no_customer", "and orders/find_customer.sql found none")
            if order.customer["default"]:
                return None
            raise RuleError("unknown_customer", str(order.customer["code"]))
    elif order.customer["code"] is not None:
        return None
    if not statement_exists(create):
        raise RuleError("unknown_customer", "there is no orders/customer.sql to create one")
    rows = _run(project, settings, create, values, writer)
    code = _read_code(rows[-1], "source_customer_code") if rows else None
    code = code or order.customer["code"]
    if code is None:
        raise RuleError("no_customer", "orders/customer.sql returned no source_customer_code")
    return code


def _read_quantity(found: object, *, path: Path) -> Decimal:
    """Read a quantity from the database; NULL is 0."""
    try:
        return Decimal(str(found or 0).strip())
    except InvalidOperation:
        hint = "Its first column must be the quantity that can be sold."
        raise ViewError([Diagnostic(path=path, message="Its result is not a number.", hint=hint)]) from None


def _read_code(row: Mapping[str, Any], name: str) -> str | None:
    """Read a code from a row. Column names match in any case: databases fold them."""
    value = next((value for column, value in row.items() if column.lower() == name), None)
    if value is None:
        return None
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return text.strip() or None
