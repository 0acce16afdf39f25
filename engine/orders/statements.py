"""statements."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import Diagnostic, RenderError, ViewError
from engine.files import is_file, listed, unreadable
from engine.mapping.render import render_bound
from engine.orders.document import ADDRESS, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order

SPECIAL = ("lookup", "find_customer", "customer", "item", "stock")
"""Statements that are asked for by name: is the order there, is the customer, make one, is the item, how many of it."""

LINEWISE = ("item", "stock")
"""Those of them that are asked once a line."""

_SAMPLE: Mapping[str, Any] = {
    **dict.fromkeys(("channel_id", "channel_order_code", "notes", "state", "status"), "1"),
    **dict.fromkeys(("created", "modified", "ordered_date"), "2026-01-31 10:20:30"),
    **dict.fromkeys(("line_item_sub_total", "line_item_tax", "shipping_sub_total", "shipping_tax"), Decimal(1)),
    **dict.fromkeys(("sub_total", "tax", "total", "total_discount"), Decimal(1)),
    **dict.fromkeys(("billing_address", "shipping_address"), dict.fromkeys(ADDRESS, "a")),
    "id": Decimal(1),
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
"""An order that says everything, for looking at statements before there is one."""

_FILE = re.compile(r"(?P<number>\d+)_(?P<name>[A-Za-z]\w*)(?:\.(?P<each>line|shipping))?\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement of ``orders/``, and whether it is run once an order, a line or a shipping line."""

    path: Path
    name: str
    each: Literal["order", "line", "shipping"]


def statements(project: Project) -> tuple[Statement, ...]:
    """The project's statements in the order of their numbers.

    Raises :class:`ViewError` for a file whose name says nothing, where there is none, and where they cannot be seen.
    """
    folder = project.root / "orders"
    found: list[tuple[int, str, Statement]] = []
    faults = []
    try:
        paths = listed(folder, "*.sql")
    except OSError as error:
        raise ViewError([unreadable(folder, error, folder="orders")]) from None
    for path in paths:
        if path.stem in SPECIAL:
            continue
        named = _FILE.fullmatch(path.name)
        if named is None:
            hint = f"Call it 10_header.sql, 20_lines.line.sql or 30_fees.shipping.sql; or one of {', '.join(SPECIAL)}."
            faults.append(Diagnostic(path=path, message="The file's name does not say when it is run.", hint=hint))
            continue
        each: Any = named["each"] or "order"
        found.append((int(named["number"]), path.name, Statement(path=path, name=named["name"], each=each)))
    if not found and not faults:
        hint = "Write orders/10_header.sql; docs/orders.md has statements for each kind of database."
        faults.append(Diagnostic(path=folder, message="There are no statements that raise an order.", hint=hint))
    if faults:
        raise ViewError(faults)
    return tuple(statement for _, _, statement in sorted(found, key=lambda entry: entry[:2]))


def is_there(path: Path) -> bool:
    """Whether the project has this statement. Raises :class:`ViewError` where that cannot be told.

    Taken for absent, a lookup.sql that is there would let an order be raised twice.
    """
    try:
        return is_file(path)
    except OSError as error:
        raise ViewError([unreadable(path, error, folder="orders")]) from None


def check_statements(project: Project, settings: OrderSettings) -> tuple[Diagnostic, ...]:
    """What is wrong with the files of ``orders/``, as far as rendering them for an invented order tells.

    Raises :class:`ViewError` as :func:`statements` does.
    """
    found = statements(project)
    order = read(_SAMPLE, settings, source_id=project.stock2shop.source_id)
    order = replace(order, shipping_lines=order.lines)  # whether they are raised or not
    values = template_values(order)
    (line,) = values["lines"]
    results = placeholder_results(found, order)
    folder = project.root / "orders"
    special = [path for name in SPECIAL if is_there(path := folder / f"{name}.sql")]
    runs = [(path, {"line": line} if path.stem in LINEWISE else {}) for path in special]
    runs += [
        (statement.path, {"results": results, **parts})
        for statement in found
        for _, parts in executions(statement, order)
    ]
    faults: list[Diagnostic] = []
    for path, parts in runs:
        try:
            render_statement(project, settings, path, {**values, **parts})
        except RenderError as error:
            faults += error.faults
    return tuple(dict.fromkeys(faults))


class UnknownValue(str):
    """What only the database can tell; whatever is calculated with it is as unknown."""

    __slots__ = ()

    def _same(self, *_others: object) -> UnknownValue:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _same
    __neg__ = __pos__ = _same


class DeferredResult(dict[str, str]):
    """The result of a statement that was not run: each of its columns is its own name in brackets."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, column: str) -> str:
        return UnknownValue(f"<{self._name}.{column}>")

    def __deepcopy__(self, _memo: object) -> DeferredResult:
        return self


def placeholder_results(found: Iterable[Statement], order: Order) -> dict[str, Any]:
    """What stands for the results of statements that are not run: one for each time that they would be."""
    return {
        statement.name: DeferredResult(statement.name)
        if statement.each == "order"
        else [DeferredResult(statement.name) for _ in executions(statement, order)]
        for statement in found
    }


def template_values(order: Order) -> dict[str, Any]:
    """Return a fresh copy of what every statement sees: ``order``, ``customer``, ``lines`` and ``shipping_lines``."""
    return {
        "order": dict(order.order),
        "customer": dict(order.customer),
        "lines": [dict(line) for line in order.lines],
        "shipping_lines": [dict(line) for line in order.shipping_lines],
    }


def executions(statement: Statement, order: Order) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """What a statement sees besides, each time that it is run."""
    if statement.each == "order":
        yield None, {}
        return
    lines: Sequence[Mapping[str, Any]] = order.lines if statement.each == "line" else order.shipping_lines
    yield from ((number, {"line": line}) for number, line in enumerate(lines))


def render_statement(project: Project, settings: OrderSettings, path: Path, values: Mapping[str, Any]) -> Query:
    """Render one statement of ``orders/`` for the orders' database, its values bound as parameters.

    Raises :class:`RenderError` where it cannot be rendered or comes out empty.
    """
    own = replace(project, source=replace(project.source, dialect=settings.source.dialect))
    query = render_bound(own, path, values)
    sql = query.sql.strip().rstrip(";")
    if not sql:
        raise RenderError(
            [Diagnostic(path=path, message="The statement is empty.", hint="Write one, or delete the file.")]
        )
    return replace(query, sql=sql)
