"""Check the statements of ``orders/`` before there is an order: by rendering them, and by trying them in the database.

Two invented orders stand in for real ones: one in which every field has a value, and one that says no more than an
order must. Nothing is written: what only reads is run, what writes is explained by the database, and all is rolled
back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, RenderError, WriteError
from engine.orders.document import ADDRESS_FIELDS, read_order
from engine.orders.statements import (
    MAY_WRITE_NO_ROW,
    NAMED_STATEMENTS,
    PER_LINE_STATEMENTS,
    StatementRenderer,
    UnknownValue,
    iterate_executions,
    list_directives,
    list_statements,
    placeholder_results,
    read_statement,
    statement_exists,
    template_values,
    writes_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.database.connection import Writer
    from engine.model.query import Query
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

INVALID_VALUE_STATES = re.compile(r"\[22\w{3}\]$|onversion")
"""What databases say of an invented value that does not fit a column; of a real order it may fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying the statements in the database: ``problems``, and the files that could not be tried."""

    problems: tuple[Diagnostic, ...]
    untried: tuple[Path, ...]


def check_statements(project: Project, settings: OrderSettings) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the files of ``orders/``, and what is doubtful, found by rendering them.

    Raises :class:`ViewError` as :func:`~engine.orders.statements.list_statements` does.
    """
    problems: list[Diagnostic] = []
    for path in _statement_files(project):
        problems += [
            Diagnostic(
                path=path,
                message=f"There is no directive {directive!r}.",
                hint=f"The only one is: -- s2s: {MAY_WRITE_NO_ROW}",
            )
            for directive in list_directives(project, path)
            if directive != MAY_WRITE_NO_ROW
        ]
    problems += _render_problems(project, settings, _sample(project, settings, FULL_ORDER))
    if not problems:
        for problem in _render_problems(project, settings, _sample(project, settings, MINIMAL_ORDER)):
            hint = "Such an order would wait. Write what it should be then, as {{ (order.notes or '')[:30] }}."
            message = f"For an order that does not say every value: {problem.message}"
            problems.append(replace(problem, message=message, hint=hint, severity="warning"))
        problems += _lookup_problems(project, settings)
    return tuple(dict.fromkeys(problems))


def try_statements(project: Project, settings: OrderSettings, writer: Writer) -> Trial:
    """Try the statements in the database without writing anything; all is rolled back.

    Raises :class:`RenderError` where one of them cannot be rendered, and :class:`WriteError` where the connection
    breaks.
    """
    renderer = StatementRenderer(project, settings)
    problems: list[Diagnostic] = []
    untried: list[Path] = []
    for document in (FULL_ORDER, MINIMAL_ORDER):
        for path, parts in _runs(project, order := _sample(project, settings, document)):
            try:
                query = renderer.render(path, {**template_values(order), **parts})
            except RenderError:
                continue  # check_statements says so
            trial = query.sql
            if writes_rows(trial):
                if not _can_explain(query, settings.source.dialect):
                    untried.append(path)
                    continue
                trial = f"explain {trial}"
            binds = [None if isinstance(value, UnknownValue) else value for value in query.binds]
            try:
                writer.execute(trial, binds)
            except WriteError as error:
                if error.retriable:
                    raise
                if not INVALID_VALUE_STATES.search(error.message):
                    problems.append(Diagnostic(path=path, message=error.message, hint="Fix the statement."))
            finally:
                writer.rollback()
    problems += _table_problems(project, settings, writer)
    return Trial(problems=tuple(dict.fromkeys(problems)), untried=tuple(dict.fromkeys(untried)))


def _sample(project: Project, settings: OrderSettings, document: Mapping[str, Any]) -> Order:
    order = read_order(document, settings, source_id=project.stock2shop.source_id)
    return replace(order, shipping_lines=order.lines)  # checked even where the project leaves shipping out


def _statement_files(project: Project) -> list[Path]:
    named = (project.root / "orders" / f"{name}.sql" for name in NAMED_STATEMENTS)
    return [*filter(statement_exists, named), *(statement.path for statement in list_statements(project))]


def _runs(project: Project, order: Order) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each statement's file with what it sees besides the order."""
    values = template_values(order)
    (line,) = values["lines"]
    statements = list_statements(project)
    results = placeholder_results(statements, values)
    for path in _statement_files(project):
        if path.stem in NAMED_STATEMENTS:
            yield path, {"line": line} if path.stem in PER_LINE_STATEMENTS else {}
    for statement in statements:
        for _, parts in iterate_executions(statement, values):
            yield statement.path, {"results": results, **parts}


def _render_problems(project: Project, settings: OrderSettings, order: Order) -> Iterator[Diagnostic]:
    renderer = StatementRenderer(project, settings)
    values = template_values(order)
    for path, parts in _runs(project, order):
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
    order = _sample(project, settings, FULL_ORDER)
    binds = [str(value) for value in StatementRenderer(project, settings).render(path, template_values(order)).binds]
    if not any(str(SAMPLE_ID) in value or SAMPLE_CHANNEL in value for value in binds):
        yield Diagnostic(
            path=path,
            message="It does not look for order.id: two channels may have the same order number.",
            hint="Let a statement store {{ order.id }}, and look for that.",
            severity="warning",
        )


def _can_explain(query: Query, dialect: str) -> bool:
    """Return whether the database can check a statement that writes without running it."""
    first = query.sql.split(None, 1)[0].lower()
    single = ";" not in query.sql
    return (
        single
        and dialect in {"postgres", "mysql", "sqlite", "duckdb"}
        and first
        in {
            "insert",
            "update",
            "delete",
            "replace",
            "with",
        }
    )


def _table_problems(project: Project, settings: OrderSettings, writer: Writer) -> Iterator[Diagnostic]:
    """Yield the tables of MySQL and MariaDB that statements name and whose engine cannot undo anything."""
    if settings.source.dialect != "mysql":
        return
    sql = (
        "select t.table_name as name, t.engine as engine from information_schema.tables as t"
        " join information_schema.engines as e on e.engine = t.engine"
        " where e.transactions <> 'YES' and t.table_schema = database()"
    )
    rows = [{column.lower(): value for column, value in row.items()} for row in writer.execute(sql, ()).rows]
    writer.rollback()
    for path in _statement_files(project):
        text = read_statement(project, path)
        for row in rows:
            if re.search(rf"(?<!\w){re.escape(str(row['name']))}(?!\w)", text, re.IGNORECASE):
                yield Diagnostic(
                    path=path,
                    message=f"The table {row['name']} is {row['engine']}, which undoes nothing: half an order stays.",
                    hint=f"alter table {row['name']} engine = InnoDB",
                )
