"""Raise one order in the client's database: the statements of ``orders/`` in one transaction.

What the statements see is plain data, bound as values; what one gives is there for the next under its name.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, ViewError, WriteError
from engine.orders.rules import RuleError
from engine.orders.statements import executions, is_there, render_statement, statements, template_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.database.connection import Writer
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """As what an order stands in the database."""

    source_order_code: str
    source_customer_code: str | None
    found: bool = False


def raise_order(
    project: Project,
    settings: OrderSettings,
    order: Order,
    writer: Writer,
    *,
    at: Callable[[str], None] = lambda _: None,
) -> Raised:
    """Run the statements and keep them, unless the order is in the database already.

    Raises :class:`RuleError` with nothing kept, :class:`WriteError` as the writer does, and :class:`ConfigError` where
    a statement cannot be rendered. ``at`` is told the name of each boundary that is passed.
    """
    found = lookup(project, settings, order, writer)
    if found is not None:
        return found
    at("in the transaction")
    values = template_values(order)
    code = order.customer["code"]
    _items(project, settings, order, writer, values)
    code = _customer(project, settings, order, writer, values) or code
    values["order"]["customer_code"] = values["customer"]["code"] = code
    results: dict[str, Any] = {}
    result: dict[str, Any] = {}
    for statement in statements(project):
        for given, parts in executions(statement, order):
            rows = _run(project, settings, statement.path, {**values, **parts, "results": results}, writer)
            row = dict(rows[-1]) if rows else {}
            if given is None:
                results[statement.name] = row
            else:
                results.setdefault(statement.name, []).append(row)
            if _code(row, "source_order_code") is not None:
                result = row
        if statement.each != "order":
            results.setdefault(statement.name, [])
    raised = _code(result, "source_order_code")
    if raised is None:
        raise RuleError("no_code")
    at("before the commit")
    writer.commit()
    return Raised(source_order_code=raised, source_customer_code=_code(result, "source_customer_code") or code)


def lookup(project: Project, settings: OrderSettings, order: Order, writer: Writer) -> Raised | None:
    """Ask ``orders/lookup.sql`` whether the order is in the database; None too where there is no such statement.

    Raises :class:`RuleError` where it finds something without saying under which code: that is no "no".
    """
    path = project.root / "orders" / "lookup.sql"
    rows = _run(project, settings, path, template_values(order), writer) if is_there(path) else []
    if not rows:
        return None
    code = _code(rows[0], "source_order_code")
    if code is None:
        raise RuleError("uncertain", "orders/lookup.sql gave a row without a source_order_code")
    own = _code(rows[0], "source_customer_code") or order.customer["code"]
    return Raised(source_order_code=code, source_customer_code=own, found=True)


def _run(
    project: Project, settings: OrderSettings, path: Path, values: Mapping[str, Any], writer: Writer
) -> list[dict[str, Any]]:
    query = render_statement(project, settings, path, values)
    try:
        return writer.execute(query.sql, query.binds)
    except WriteError as error:
        raise error.at(path) from None


def _items(project: Project, settings: OrderSettings, order: Order, writer: Writer, values: dict[str, Any]) -> None:
    """Every SKU must be in the database, and in stock as far as the project wants it."""
    item, stock = project.root / "orders" / "item.sql", project.root / "orders" / "stock.sql"
    wanted: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in values["lines"]:
        wanted[line["sku"]] += line["qty"]
        if is_there(item) and not _run(project, settings, item, {**values, "line": line}, writer):
            raise RuleError("unknown_sku", line["sku"])
        if settings.stock == "allow" or not is_there(stock):
            continue
        rows = _run(project, settings, stock, {**values, "line": line}, writer)
        there = _quantity(next(iter(rows[0].values()), None) if rows else None, path=stock)
        if there < wanted[line["sku"]]:
            if settings.stock == "refuse":
                raise RuleError("short_stock", f"{line['sku']}: {there} of {wanted[line['sku']]}")
            line["backorder"] = True
    backordered = {line["number"] for line in values["lines"] if line["backorder"]}
    for kept in order.lines:
        if kept["number"] in backordered and isinstance(kept, dict):
            kept["backorder"] = True


def _customer(
    project: Project, settings: OrderSettings, order: Order, writer: Writer, values: dict[str, Any]
) -> str | None:
    """The customer's code as the database has it; a new one where the project wants that."""
    find, make = (project.root / "orders" / f"{name}.sql" for name in ("find_customer", "customer"))
    if is_there(find):
        rows = _run(project, settings, find, values, writer)
        if rows:
            return _code(rows[0], "source_customer_code") or order.customer["code"]
        if not settings.create_customer:
            if order.customer["code"] is None:
                raise RuleError("no_customer", "and orders/find_customer.sql found none")
            if order.customer["default"]:
                return None
            raise RuleError("unknown_customer", str(order.customer["code"]))
    elif order.customer["code"] is not None:
        return None
    if not is_there(make):
        raise RuleError("unknown_customer", "there is no orders/customer.sql to make one")
    rows = _run(project, settings, make, values, writer)
    code = _code(rows[-1], "source_customer_code") if rows else None
    code = code or order.customer["code"]
    if code is None:
        raise RuleError("no_customer", "orders/customer.sql gave no source_customer_code")
    return code


def _quantity(found: object, *, path: Path) -> Decimal:
    """A quantity of the database's; none is 0."""
    try:
        return Decimal(str(found or 0).strip())
    except InvalidOperation:
        hint = "Its first column is the quantity that can be sold."
        raise ViewError([Diagnostic(path=path, message="What it gives is no number.", hint=hint)]) from None


def _code(row: Mapping[str, Any], name: str) -> str | None:
    """A code in a row, whose column names a database may have folded to one case."""
    value = next((value for column, value in row.items() if column.lower() == name), None)
    if value is None:
        return None
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return text.strip() or None
