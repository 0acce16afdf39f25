"""Raise one order in the client's database: the statements of ``orders/`` in one transaction.

What the statements see is plain data, bound as values; what one gives is there for the next under its name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import Fault, RenderError, ViewError, WriteError
from engine.files import is_file, listed, unseen
from engine.mapping.render import render_bound
from engine.orders.document import ADDRESS, read, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.database.odbc import Writer
    from engine.model.settings import OrderSettings, Project, Query
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
class Rule:
    """What an order may break; it waits then. The words are for somebody in the shop."""

    reason: str
    mend: str


RULES: dict[str, Rule] = {
    "unreadable": Rule(
        reason="a value of the order cannot be used",
        mend="Correct the order in the channel or in Stock2Shop, and send it again under a new id; or skip it.",
    ),
    "no_lines": Rule(reason="the order has no lines", mend="Skip it; there is nothing to deliver."),
    "blank_sku": Rule(
        reason="a line has no SKU",
        mend="Give the product its SKU in the channel, or enter the order by hand and skip it.",
    ),
    "unknown_sku": Rule(
        reason="a line's SKU is not in the database", mend="Make the item, or mend its code, then retry the order."
    ),
    "repeated_sku": Rule(
        reason="a SKU stands on more than one line",
        mend='Write repeated_skus = "allow" or "merge" under [orders]; or enter it by hand and skip it.',
    ),
    "bad_quantity": Rule(
        reason="a line's quantity is not above 0", mend="It may be a return: enter it by hand and skip it."
    ),
    "foreign_line": Rule(
        reason="a line belongs to another source", mend="Check in Stock2Shop which source fulfils the order."
    ),
    "unknown_channel": Rule(
        reason="the order is from a channel that project.toml does not know",
        mend="Add it under [orders.channels], then retry the order.",
    ),
    "no_customer": Rule(
        reason="the order has no customer, and there is no default",
        mend="Link the customer in Stock2Shop, or set default_customer under [orders], then retry the order.",
    ),
    "unknown_customer": Rule(
        reason="the customer is not in the database",
        mend="Make the customer, or set create_customer = true under [orders], then retry the order.",
    ),
    "totals_differ": Rule(
        reason="the lines do not add up to the order's total",
        mend="Look at the order in Stock2Shop: a discount or a fee may be missing from its lines.",
    ),
    "short_stock": Rule(reason="there is too little stock of an item", mend="Retry the order when there is stock."),
    "no_code": Rule(
        reason="no statement gave a source_order_code, so nothing was kept",
        mend="Let the last statement in orders/ give a column source_order_code, then retry the order.",
    ),
    "refused": Rule(reason="the database refused it", mend="Mend what it says, then retry the order."),
    "held": Rule(
        reason="it was imported to be looked at first",
        mend="Look with `s2s orders plan`, then raise it with `s2s orders retry`.",
    ),
    "uncertain": Rule(
        reason="raising was broken off, and nothing tells whether the order is in the database",
        mend="Look for it there. If it is there: s2s orders skip PROJECT ID --as CODE. If not: s2s orders retry. With"
        " an orders/lookup.sql this is found out by itself.",
    ),
}


LONGEST = 500
"""So many characters of what an order says are in a reason."""


class RuleError(Exception):
    """The order breaks a rule; ``reason`` says which, and where.

    Codes of the order are in it, and it goes to logs and terminals: it is one line of printable characters, so that no
    order can write a line of its own there, or turn one around.
    """

    def __init__(self, rule: str, said: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said[:LONGEST])
        self.reason = RULES[rule].reason + (f": {shown}" if shown else "") + ("…" if len(said) > LONGEST else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement of ``orders/``, and whether it is run once an order, a line or a shipping line."""

    path: Path
    name: str
    each: Literal["order", "line", "shipping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """As what an order stands in the database."""

    source_order_code: str
    source_customer_code: str | None
    found: bool = False


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
        raise ViewError([unseen(folder, error, folder="orders")]) from None
    for path in paths:
        if path.stem in SPECIAL:
            continue
        named = _FILE.fullmatch(path.name)
        if named is None:
            hint = f"Call it 10_header.sql, 20_lines.line.sql or 30_fees.shipping.sql; or one of {', '.join(SPECIAL)}."
            faults.append(Fault(path=path, message="The file's name does not say when it is run.", hint=hint))
            continue
        each: Any = named["each"] or "order"
        found.append((int(named["number"]), path.name, Statement(path=path, name=named["name"], each=each)))
    if not found and not faults:
        hint = "Write orders/10_header.sql; docs/orders.md has statements for each kind of database."
        faults.append(Fault(path=folder, message="There are no statements that raise an order.", hint=hint))
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
        raise ViewError([unseen(path, error, folder="orders")]) from None


def check_statements(project: Project, settings: OrderSettings) -> tuple[Fault, ...]:
    """What is wrong with the files of ``orders/``, as far as rendering them for an invented order tells.

    Raises :class:`ViewError` as :func:`statements` does.
    """
    found = statements(project)
    order = read(_SAMPLE, settings, source_id=project.stock2shop.source_id)
    order = replace(order, shipping_lines=order.lines)  # whether they are raised or not
    values = _values(order)
    (line,) = values["lines"]
    results = _stand_ins(found, order)
    folder = project.root / "orders"
    special = [path for name in SPECIAL if is_there(path := folder / f"{name}.sql")]
    runs = [(path, {"line": line} if path.stem in LINEWISE else {}) for path in special]
    runs += [
        (statement.path, {"results": results, **parts}) for statement in found for _, parts in _runs(statement, order)
    ]
    faults: list[Fault] = []
    for path, parts in runs:
        try:
            _bound(project, settings, path, {**values, **parts})
        except RenderError as error:
            faults += error.faults
    return tuple(dict.fromkeys(faults))


def check(project: Project, order: Order, settings: OrderSettings) -> None:
    """Hold the order against the rules that need no database. Raises :class:`RuleError`."""
    source_id = project.stock2shop.source_id
    if order.reason:
        raise RuleError("unreadable", order.reason)
    if not order.lines:
        raise RuleError("no_lines")
    if settings.known_channels_only and str(order.order["channel_id"]) not in {str(id_) for id_ in settings.channels}:
        raise RuleError("unknown_channel", f"channel {order.order['channel_id'] or '(none)'}")
    for line in order.lines:
        if line["sku"] is None:
            raise RuleError("blank_sku", f"line {line['number']}")
        if line["qty"] is None or line["qty"] <= 0:
            raise RuleError("bad_quantity", f"line {line['number']}, {line['sku']}: {line['qty']}")
        if line["source_id"] is not None and line["source_id"] != str(source_id):
            raise RuleError("foreign_line", f"line {line['number']}, {line['sku']}: source {line['source_id']}")
    if settings.repeated_skus == "refuse":
        repeated = [sku for sku, count in Counter(line["sku"] for line in order.lines).items() if count > 1]
        if repeated:
            raise RuleError("repeated_sku", ", ".join(repeated))
    found = settings.create_customer or is_there(project.root / "orders" / "find_customer.sql")
    if order.customer["code"] is None and not found:
        raise RuleError("no_customer")
    _add_up(order, settings)


def _add_up(order: Order, settings: OrderSettings) -> None:
    """What is on the lines must be the total, where the document says both. Shipping counts whether raised or not."""
    stated = order.order["total"]
    totals = [total for line in order.lines if (total := whole(line)) is not None]
    if stated is None or len(totals) < len(order.lines):
        return
    found = sum(totals, Decimal(0)) + order.shipping
    if abs(found - stated) > settings.tolerance:
        raise RuleError("totals_differ", f"{found} on the lines and for shipping, {stated} in all")


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
    values = _values(order)
    code = order.customer["code"]
    _items(project, settings, order, writer, values)
    code = _customer(project, settings, order, writer, values) or code
    values["order"]["customer_code"] = values["customer"]["code"] = code
    results: dict[str, Any] = {}
    result: dict[str, Any] = {}
    for statement in statements(project):
        for given, parts in _runs(statement, order):
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
    rows = _run(project, settings, path, _values(order), writer) if is_there(path) else []
    if not rows:
        return None
    code = _code(rows[0], "source_order_code")
    if code is None:
        raise RuleError("uncertain", "orders/lookup.sql gave a row without a source_order_code")
    own = _code(rows[0], "source_customer_code") or order.customer["code"]
    return Raised(source_order_code=code, source_customer_code=own, found=True)


def queries(project: Project, settings: OrderSettings, order: Order) -> Iterator[tuple[Path, Query]]:
    """Every statement with its values, in the order in which it would be run, for a plan.

    What only the database can tell is its own name in angle brackets.
    """
    values = _values(order)
    folder = project.root / "orders"

    def asked(name: str, **more: object) -> Iterator[tuple[Path, Query]]:
        path = folder / f"{name}.sql"
        if is_there(path):
            yield path, _bound(project, settings, path, {**values, **more})

    yield from asked("lookup")
    for line in values["lines"]:
        yield from asked("item", line=line)
        if settings.stock != "allow":
            yield from asked("stock", line=line)
    yield from asked("find_customer")
    if settings.create_customer:
        yield from asked("customer")
    if order.customer["code"] is None or is_there(folder / "find_customer.sql"):
        values["order"]["customer_code"] = values["customer"]["code"] = Unknown("<source_customer_code>")
    found = statements(project)
    results = _stand_ins(found, order)
    for statement in found:
        for _, parts in _runs(statement, order):
            yield statement.path, _bound(project, settings, statement.path, {**values, **parts, "results": results})


def written(value: object) -> str:
    """A bound value as people read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "NULL" if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


class Unknown(str):
    """What only the database can tell; whatever is calculated with it is as unknown."""

    __slots__ = ()

    def _same(self, *_others: object) -> Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _same
    __neg__ = __pos__ = _same


class _Later(dict[str, str]):
    """The result of a statement that was not run: each of its columns is its own name in brackets."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, column: str) -> str:
        return Unknown(f"<{self._name}.{column}>")

    def __deepcopy__(self, _memo: object) -> _Later:
        return self


def _stand_ins(found: Iterable[Statement], order: Order) -> dict[str, Any]:
    """What stands for the results of statements that are not run: one for each time that they would be."""
    return {
        statement.name: _Later(statement.name)
        if statement.each == "order"
        else [_Later(statement.name) for _ in _runs(statement, order)]
        for statement in found
    }


def _values(order: Order) -> dict[str, Any]:
    return {
        "order": dict(order.order),
        "customer": dict(order.customer),
        "lines": [dict(line) for line in order.lines],
        "shipping_lines": [dict(line) for line in order.shipping_lines],
    }


def _runs(statement: Statement, order: Order) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """What a statement sees besides, each time that it is run."""
    if statement.each == "order":
        yield None, {}
        return
    lines: Sequence[Mapping[str, Any]] = order.lines if statement.each == "line" else order.shipping_lines
    yield from ((number, {"line": line}) for number, line in enumerate(lines))


def _bound(project: Project, settings: OrderSettings, path: Path, values: Mapping[str, Any]) -> Query:
    own = replace(project, source=replace(project.source, dialect=settings.source.dialect))
    query = render_bound(own, path, values)
    sql = query.sql.strip().rstrip(";")
    if not sql:
        raise RenderError([Fault(path=path, message="The statement is empty.", hint="Write one, or delete the file.")])
    return replace(query, sql=sql)


def _run(
    project: Project, settings: OrderSettings, path: Path, values: Mapping[str, Any], writer: Writer
) -> list[dict[str, Any]]:
    query = _bound(project, settings, path, values)
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
        raise ViewError([Fault(path=path, message="What it gives is no number.", hint=hint)]) from None


def _code(row: Mapping[str, Any], name: str) -> str | None:
    """A code in a row, whose column names a database may have folded to one case."""
    value = next((value for column, value in row.items() if column.lower() == name), None)
    if value is None:
        return None
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return text.strip() or None
