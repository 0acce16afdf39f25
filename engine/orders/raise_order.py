"""Raise one order in the client's database: run the statements of ``orders/`` in one transaction.

:func:`raise_order` does, in this order:

1. Lock the order in the database, where that has such locks.
2. ``lookup.sql``: is the order in the database already? Then nothing is raised, and what is found must agree with what
   the ledger knows.
3. ``item.sql`` and ``stock.sql`` for each line; ``find_customer.sql``, and ``customer.sql`` where a new one is wanted.
4. The numbered statements, in the order of their numbers. What one of them returns is there for the next ones, under
   its name in ``results``. Each of them must touch a row.
5. ``lookup.sql`` again, in the same transaction: it must find exactly what was just raised.
6. Commit, if one of the statements returned a ``source_order_code``.

Most statements were rendered before, by :mod:`~engine.orders.render_ahead`. They see plain values, which are bound as
parameters and never become SQL.
"""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, ViewError, WriteError
from engine.orders.order_lock import acquire_order_lock
from engine.orders.render_ahead import fill_in
from engine.orders.rules import RuleError
from engine.orders.statements import (
    FrozenValues,
    StatementRenderer,
    customer_values,
    freeze,
    iterate_executions,
    list_statements,
    may_write_no_row,
    statement_exists,
    template_values,
    writes_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.database.connection import Writer, WriteResult
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order
    from engine.orders.entry import Entry
    from engine.orders.former import FormerOrder
    from engine.orders.render_ahead import Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedOrder:
    """The codes of an order in the database; ``found`` where it was there already."""

    source_order_code: str
    source_customer_code: str | None
    found: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAttempt:
    """What the ledger knows of earlier attempts to raise an order.

    ``expected_code`` is the code under which its commit was sent, which nobody confirmed; None where that is not
    known. ``commit_sent`` is False where no commit was sent, so that the order cannot be in the database through an
    attempt. ``rolled_back`` means that statements were run for it and undone. ``interrupted`` means that the process
    of the last attempt died.
    """

    expected_code: str | None = None
    commit_sent: bool = False
    rolled_back: bool = False
    interrupted: bool = False


class SupersededError(Exception):
    """An order is not in the database after all, and newer content of it is to be raised instead."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt to raise one order over one connection.

    ``rendered`` are the statements that were rendered ahead. ``superseded`` means that newer content of the order
    arrived while it was unknown whether this one is in the database. ``find_holder`` returns another order that has a
    code, or may have it, if the ledger knows one, and ``find_former_holder`` one of a former account. ``before_commit``
    is called with the order's code directly before the commit is sent. ``crash_point`` is called with the name of each
    point where a process may die. ``wrote`` becomes True with the first statement that may write. ``notes`` collects
    what an operator should know.
    """

    project: Project
    settings: OrderSettings
    order: Order
    writer: Writer = field(init=False)
    rendered: Rendered = field(default_factory=dict)
    superseded: bool = False
    earlier: EarlierAttempt = EarlierAttempt()
    find_holder: Callable[[str], Entry | None] = lambda _code: None
    find_former_holder: Callable[[str], FormerOrder | None] = lambda _code: None
    before_commit: Callable[[str], None] = lambda _code: None
    crash_point: Callable[[str], None] = lambda _name: None
    wrote: bool = False
    notes: list[str] = field(default_factory=list)
    _renderer: StatementRenderer | None = None
    _values: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What every statement sees, with the customer's code that the document has."""
        self._values = self._values or template_values(self.order)
        return self._values

    def path(self, name: str) -> Path:
        """Return the file of a named statement, whether it exists or not."""
        return self.project.root / "orders" / f"{name}.sql"

    def settle_doubt(self) -> None:
        """Note that the lookup did not find the order: whatever was sent in earlier attempts is not there."""
        if statement_exists(self.path("lookup")):
            undone = self.earlier.rolled_back or self.earlier.commit_sent or self.earlier.interrupted
            self.earlier = EarlierAttempt(rolled_back=undone)

    def run(
        self,
        path: Path,
        values: Mapping[str, Any],
        *,
        number: int | None = None,
        must_write: bool = False,
    ) -> WriteResult:
        """Run one statement, for the line with the index ``number``; render it, unless that was done ahead.

        With ``must_write`` a statement that writes and finds nothing to write raises :class:`RuleError`, which names
        the line.
        """
        self._renderer = self._renderer or StatementRenderer(self.project, self.settings)
        ahead = self.rendered.get((path, number))
        filled = fill_in(ahead, values) if ahead is not None else None
        query = self._renderer.write(filled) if filled is not None else self._renderer.render(path, values)
        try:
            result = self.writer.execute(query.sql, query.binds)
        except WriteError as error:
            raise error.at(path) from None
        if must_write and writes_rows(query.sql):
            self._check_written(path, result, values.get("line"))
        return result

    def _check_written(self, path: Path, result: WriteResult, line: Mapping[str, Any] | None) -> None:
        if result.touched is None:
            note = f"The driver does not tell how many rows orders/{path.name} wrote."
            if note not in self.notes:
                self.notes.append(note)
        elif result.touched == 0:
            where = f" for line {line['number']}, {line['sku']}" if line else ""
            raise RuleError("nothing_written", f"orders/{path.name}{where}")


def raise_order(attempt: Attempt) -> RaisedOrder:
    """Run the project's statements for an order and commit them, unless the order is in the database already.

    Raises :class:`RuleError` where the order must wait, :class:`SupersededError` where newer content of it arrived
    while it was in doubt and is not there, :class:`WriteError` as the writer does, and
    :class:`ConfigError` where a statement cannot be rendered. Nothing is committed then; the caller rolls back.
    """
    names = {"source_id": attempt.project.stock2shop.source_id, "order_id": attempt.order.id}
    dialect = attempt.settings.source.dialect
    release = acquire_order_lock(attempt.writer, dialect, **names)
    try:
        found = look_up_order(attempt)
        if found is None:
            doubtful = attempt.earlier.commit_sent or attempt.earlier.interrupted
            attempt.settle_doubt()
            if doubtful and attempt.superseded:
                raise SupersededError
            return _raise_new_order(attempt)
        _check_found(attempt, found.source_order_code)
        return found
    finally:
        if release:
            with suppress(WriteError):  # the lock is freed with the connection, too
                attempt.writer.execute(release, ())


def _raise_new_order(attempt: Attempt) -> RaisedOrder:
    attempt.crash_point("in the transaction")
    values = attempt.values
    if _check_items(attempt, values):
        values = template_values(attempt.order)
    code = _resolve_customer(attempt, values) or attempt.order.customer["code"]
    values = {**values, **customer_values(attempt.order, code)}
    result = _run_statements(attempt, values)
    raised = read_code(result, "source_order_code")
    if raised is None:
        raise RuleError("no_code")
    _check_holder(attempt, raised, said_by="")
    _check_raised(attempt, raised)
    attempt.before_commit(raised)
    attempt.crash_point("before the commit")
    attempt.writer.commit()
    return RaisedOrder(source_order_code=raised, source_customer_code=read_code(result, "source_customer_code") or code)


def _run_statements(attempt: Attempt, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run the numbered statements; return the last row that has the order's code."""
    results: dict[str, Any] = {}
    coded: Mapping[str, Any] = {}
    for statement in list_statements(attempt.project):
        optional = may_write_no_row(attempt.project, statement.path)
        for number, parts in iterate_executions(statement, values):
            attempt.wrote = True
            seen = {name: tuple(rows) if isinstance(rows, list) else rows for name, rows in results.items()}
            result = attempt.run(
                statement.path, {**values, **parts, "results": seen}, number=number, must_write=not optional
            )
            row = freeze(result.rows[-1]) if result.rows else FrozenValues()
            if number is None:
                _check_one_order(attempt, statement.path, result)
                results[statement.name] = row
            else:
                results.setdefault(statement.name, []).append(row)
            if read_code(row, "source_order_code") is not None:
                coded = row
        if statement.per != "order":
            results.setdefault(statement.name, [])
    return coded


def look_up_order(attempt: Attempt) -> RaisedOrder | None:
    """Ask ``lookup.sql`` whether the order is in the database; None where it is not, or there is no such statement.

    Raises :class:`RuleError` where it returns a row without a code, or several rows or codes.
    """
    path = attempt.path("lookup")
    rows = attempt.run(path, attempt.values).rows if statement_exists(path) else []
    if not rows:
        return None
    if len(rows) > 1:
        codes = sorted({str(read_code(row, "source_order_code")) for row in rows})
        raise RuleError("ambiguous_lookup", f"{len(rows)} rows, with {', '.join(codes[:3])}")
    if sum(column.lower() == "source_order_code" for column in rows[0]) > 1:
        raise RuleError("ambiguous_lookup", "two columns source_order_code")
    code = read_code(rows[0], "source_order_code")
    if code is None:
        raise RuleError("uncertain", "orders/lookup.sql returned a row without a source_order_code")
    customer = read_code(rows[0], "source_customer_code") or attempt.order.customer["code"]
    return RaisedOrder(source_order_code=code, source_customer_code=customer, found=True)


def _check_found(attempt: Attempt, code: str) -> None:
    """Check that what the lookup found agrees with the ledger. Raises :class:`RuleError` where it does not."""
    earlier = attempt.earlier
    _check_holder(attempt, code, said_by="orders/lookup.sql found ")
    former = attempt.find_former_holder(code)
    if former is not None and code != earlier.expected_code:
        raise RuleError("code_taken", f"orders/lookup.sql found {code}, which is the code of {former.title}")
    if earlier.expected_code is not None and code != earlier.expected_code:
        raise RuleError("uncertain", f"it was being raised as {earlier.expected_code}, and lookup.sql found {code}")
    if earlier.rolled_back and not earlier.commit_sent:
        raise RuleError("half_raised", f"orders/lookup.sql found {code}")


def _check_holder(attempt: Attempt, code: str, *, said_by: str) -> None:
    """Check that a code is not another order's.

    Raises :class:`RuleError` where it is, and :class:`WriteError`, retriable, where the other order was being raised
    under it and may be there: that is found out by itself.
    """
    holder = attempt.find_holder(code)
    if holder is None:
        return
    if holder.source_order_code != code:
        raise WriteError(
            f"{said_by}{code} may be the code of order {holder.order_id}, whose commit was not confirmed.",
            hint="It is retried automatically, once that order is raised.",
            retriable=True,
        )
    which = f"{said_by}{code}, which is" if said_by else f"{code} is"
    raise RuleError("code_taken", f"{which} the code of order {holder.order_id}")


def _check_raised(attempt: Attempt, code: str) -> None:
    """Check that the lookup finds exactly what was just raised; else it could not find it after a crash either.

    Raises :class:`RuleError` where it does not, with what to look at.
    """
    if not statement_exists(attempt.path("lookup")):
        return
    try:
        found = look_up_order(attempt)
    except RuleError as broken:
        raise RuleError("lookup_differs", f"raised as {code}; {broken.reason}") from None
    if found is None:
        raise RuleError(
            "lookup_differs",
            f"raised as {code}, and lookup.sql finds nothing. Is what it looks for stored as it is: no shorter column,"
            " no upper(), no trim(), no other type?",
        )
    if found.source_order_code != code:
        raise RuleError(
            "lookup_differs",
            f"raised as {code}, and lookup.sql finds {found.source_order_code}. Does it compare with LIKE, or return"
            " the code in another form?",
        )


def _check_items(attempt: Attempt, values: dict[str, Any]) -> bool:
    """Check that every SKU is in the database, and that there is stock where the project wants that.

    Marks lines as back orders where there is too little, and returns whether that changed one. Raises
    :class:`RuleError` for what is missing.
    """
    item, stock = attempt.path("item"), attempt.path("stock")
    has_item = statement_exists(item)
    has_stock = attempt.settings.stock != "allow" and statement_exists(stock)
    wanted: defaultdict[str, Decimal] = defaultdict(Decimal)
    changed = False
    for number, (line, kept) in enumerate(zip(values["lines"], attempt.order.lines, strict=True)):
        wanted[line["sku"]] += line["qty"]
        if has_item and not attempt.run(item, {**values, "line": line}, number=number).rows:
            raise RuleError("unknown_sku", line["sku"])
        if not has_stock:
            continue
        rows = attempt.run(stock, {**values, "line": line}, number=number).rows
        if len(rows) > 1:
            message, hint = f"It returned {len(rows)} rows for one line.", "Have it return one, such as their sum."
            raise ViewError([Diagnostic(path=stock, message=message, hint=hint)])
        available = _read_quantity(next(iter(rows[0].values()), None) if rows else None, path=stock)
        short = available < wanted[line["sku"]]
        if short and attempt.settings.stock == "refuse":
            raise RuleError("short_stock", f"{line['sku']}: {available} of {wanted[line['sku']]}")
        changed = changed or short is not kept["backorder"]
        kept["backorder"] = short  # of an earlier attempt, too: there may be stock by now
    return changed


def _resolve_customer(attempt: Attempt, values: dict[str, Any]) -> str | None:
    """Return the customer's code in the database, of a new one where the project wants that; None to use the default.

    Raises :class:`RuleError` where there is no customer.
    """
    find, create = attempt.path("find_customer"), attempt.path("customer")
    known = attempt.order.customer["code"]
    if statement_exists(find):
        rows = attempt.run(find, values).rows
        codes = list(dict.fromkeys(read_code(row, "source_customer_code") for row in rows))
        if len(codes) > 1:
            raise RuleError("ambiguous_customer", ", ".join(map(str, codes[:3])))
        if rows and not (codes[0] or known):
            raise RuleError("no_customer", "orders/find_customer.sql returned a row without a source_customer_code")
        if rows:
            return codes[0] or known
        if not attempt.settings.create_customer:
            if known is None:
                raise RuleError("no_customer", "and orders/find_customer.sql found none")
            if attempt.order.customer["default"]:
                return None
            raise RuleError("unknown_customer", str(known))
    elif known is not None:
        return None
    if not statement_exists(create):
        raise RuleError("unknown_customer", "there is no orders/customer.sql to create one")
    attempt.wrote = True
    rows = attempt.run(create, values, must_write=not may_write_no_row(attempt.project, create)).rows
    code = (read_code(rows[-1], "source_customer_code") if rows else None) or known
    if code is None:
        raise RuleError("no_customer", "orders/customer.sql returned no source_customer_code")
    return code


def _check_one_order(attempt: Attempt, path: Path, result: WriteResult) -> None:
    """Check that a statement that is run once an order made one order of it, as far as it tells.

    Raises :class:`RuleError` where it returned the codes of several. Where no lookup counts what was raised, the
    order's note says that it wrote several rows.
    """
    codes = sorted({code for row in result.rows if (code := read_code(row, "source_order_code")) is not None})
    if len(codes) > 1:
        raise RuleError("ambiguous_code", f"orders/{path.name} returned {', '.join(codes[:3])}")
    if (result.touched or 0) > 1 and not statement_exists(attempt.path("lookup")):
        attempt.notes.append(
            f"orders/{path.name} wrote or returned {result.touched} rows, and there is no lookup.sql that would see"
            " two orders."
        )


def _read_quantity(found: object, *, path: Path) -> Decimal:
    """Read a quantity from the database; NULL is 0."""
    try:
        quantity = Decimal(str(found or 0).strip())
    except InvalidOperation:
        quantity = Decimal("NaN")
    if quantity.is_nan():
        hint = "Its first column must be the quantity that can be sold."
        raise ViewError([Diagnostic(path=path, message="Its result is not a number.", hint=hint)])
    return quantity


def read_code(row: Mapping[str, Any], name: str) -> str | None:
    """Read a code from a row. Column names match in any case: databases fold them.

    A whole number has no decimals, and bytes are the text that they hold.
    """
    value = next((value for column, value in row.items() if column.lower() == name), None)
    if value is None:
        return None
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value).decode("utf-8", "backslashreplace")
    return (format(value, "f") if isinstance(value, Decimal) else str(value).strip()) or None
