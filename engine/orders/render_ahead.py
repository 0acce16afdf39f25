"""Render an order's statements before its turn: before the lock of the project, and the transaction in the database.

Rendering takes longer than most databases take for the statement itself, and other orders wait for neither. What only
the database can give is not known yet: results of earlier statements, the code of a customer that is looked up, whether
there is too little of an item. Where a statement does no more than write such a value, as ``{{ results.header.id }}``,
a :class:`DeferredValue` stands for it until the statement is run. A statement that does more with it, such as
calculate, compare or choose, is rendered when its turn comes, and so is one that cannot be rendered ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import SyncError
from engine.mapping.written_values import ALL_FIELDS, only_writes
from engine.orders.statements import (
    NAMED_STATEMENTS,
    PER_LINE_STATEMENTS,
    FrozenValues,
    iterate_executions,
    list_statements,
    read_statement,
    statement_exists,
)
from engine.quoting import scalar

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.statements import Statement, StatementRenderer

    Rendered = Mapping[tuple[Path, int | None], Query]
    """What was rendered ahead, by the statement's file and the index of its line; None for once an order."""


class DeferredValue(str):
    """Stands for a value that a statement writes and only the database gives; ``place`` is where it will be found."""

    __slots__ = ("place",)
    place: tuple[str | int, ...]

    @classmethod
    def at(cls, *place: str | int) -> DeferredValue:
        """Return what stands for the value at ``place`` in what the statement sees."""
        value = cls("")
        value.place = place
        return value


class _DeferredRow(dict[str, Any]):
    """Stands for the row that a statement will return."""

    def __init__(self, *place: str | int) -> None:
        super().__init__()
        self._place = place

    def __missing__(self, column: str) -> DeferredValue:
        return DeferredValue.at(*self._place, column)


def render_ahead(
    project: Project, settings: OrderSettings, order: Order, values: Mapping[str, Any], renderer: StatementRenderer
) -> Rendered:
    """Render what can be rendered of an order before the database is asked.

    ``values`` are what every statement sees. What is wrong with a statement is found out when it is run.
    """
    rendered: dict[tuple[Path, int | None], Query] = {}
    texts: dict[str, str] = {}

    def render(path: Path, number: int | None, seen: Mapping[str, Any]) -> bool:
        try:
            query = renderer.render_unwritten(path, seen)
        except SyncError:
            return False
        # An order of thousands of lines has few different texts.
        query = replace(query, sql=texts.setdefault(query.sql, query.sql), source_map=None)
        rendered[path, number] = query
        return True

    try:
        folder = project.root / "orders"
        for name in NAMED_STATEMENTS:
            path = folder / f"{name}.sql"
            if not statement_exists(path) or (name == "stock" and settings.stock == "allow"):
                continue
            if name in PER_LINE_STATEMENTS:
                all(render(path, number, {**values, "line": line}) for number, line in enumerate(values["lines"]))
            else:
                render(path, None, values)
        statements = list_statements(project)
        unknown = _unknown_values(project, settings, order)
        seen = {**_with_deferred_values(values, unknown), "results": _deferred_results(statements, values)}
        for statement in statements:
            if not only_writes(read_statement(project, statement.path), unknown):
                continue
            for number, parts in iterate_executions(statement, values):
                if "line" in parts:
                    parts = {"line": _deferred(parts["line"], "line", unknown)}  # noqa: PLW2901 - the same, to be written
                if not render(statement.path, number, {**seen, **parts}):
                    break
    except SyncError:
        pass
    return rendered


def fill_in(query: Query, seen: Mapping[str, Any]) -> Query | None:
    """Return a query with its deferred values from what its statement sees now; None where one of them is not there."""
    try:
        binds = tuple(_find(seen, value.place) if isinstance(value, DeferredValue) else value for value in query.binds)
    except (KeyError, ValueError):
        return None
    return replace(query, binds=binds)


def _find(seen: Mapping[str, Any], place: tuple[str | int, ...]) -> object:
    found: Any = seen
    for part in place:
        table = isinstance(found, Mapping)
        if table is not isinstance(part, str) or (part not in found if table else not 0 <= int(part) < len(found)):
            raise KeyError(part)
        found = found[part]
    return scalar(found)


def _unknown_values(project: Project, settings: OrderSettings, order: Order) -> dict[str, frozenset[str]]:
    """Return the values that only the database gives for this order, as :func:`only_writes` takes them."""
    folder = project.root / "orders"
    unknown = {"results": ALL_FIELDS}
    if order.customer["code"] is None or statement_exists(folder / "find_customer.sql"):
        unknown |= {"order": frozenset({"customer_code"}), "customer": frozenset({"code"})}
    if settings.stock == "backorder" and statement_exists(folder / "stock.sql"):
        unknown |= {"line": frozenset({"backorder"}), "lines": ALL_FIELDS}
    return unknown


def _with_deferred_values(values: Mapping[str, Any], unknown: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    return {**values, **{name: _deferred(values[name], name, unknown) for name in ("order", "customer")}}


def _deferred(table: Mapping[str, Any], name: str, unknown: Mapping[str, frozenset[str]]) -> Mapping[str, Any]:
    """Return a table of values in which deferred values stand for those that are not known."""
    fields = unknown.get(name, ())
    return FrozenValues({**table, **{field: DeferredValue.at(name, field) for field in fields}}) if fields else table


def _deferred_results(statements: tuple[Statement, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        statement.name: _DeferredRow("results", statement.name)
        if statement.per == "order"
        else [
            _DeferredRow("results", statement.name, index)
            for index, _ in enumerate(iterate_executions(statement, values))
        ]
        for statement in statements
    }
