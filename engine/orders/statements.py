"""The SQL statements of a project's ``orders/`` folder: which there are, when each is run, and what it sees.

``10_header.sql`` is run once for an order, ``20_lines.line.sql`` once for each line and ``30_fees.shipping.sql`` once
for each shipping line, in the order of their numbers. The statements of :data:`NAMED_STATEMENTS` are asked for by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import Diagnostic, RenderError, ViewError
from engine.files import WorkspaceFiles, is_file, unreadable
from engine.mapping.render import BoundStatement
from engine.orders.optional_values import OptionalValues
from engine.orders.parameters import PARAMETER, write_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import OrderSettings, Project
    from engine.orders.document import Order

NAMED_STATEMENTS = ("lookup", "find_customer", "customer", "item", "stock")
"""Statements that are asked for by name: find the order, find a customer, create one, find an item, read its stock."""

PER_LINE_STATEMENTS = ("item", "stock")
"""Those of them that are run once for each line."""

_FILE = re.compile(r"(?P<number>\d+)_(?P<name>[A-Za-z]\w*)(?:\.(?P<per>line|shipping))?\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A numbered statement. ``name`` is its name in ``results``; ``per`` says for what it is run once."""

    path: Path
    name: str
    per: Literal["order", "line", "shipping"]


DIRECTIVE = re.compile(r"^[ \t]*--[ \t]*s2s:(?P<text>.*)$", re.MULTILINE | re.IGNORECASE)
"""A comment in a statement's file that says something to the engine."""

MAY_WRITE_NO_ROW = "may write no row"
"""The only directive there is: the statement may find nothing to write."""

_WRITING = re.compile(r"\b(insert|update|delete|merge|replace\s+into|call|exec|execute)\b", re.IGNORECASE)
_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'", re.DOTALL)


@lru_cache(maxsize=1_000)
def writes_rows(sql: str) -> bool:
    """Return whether SQL may write rows, rather than only read some."""
    return bool(_WRITING.search(without_comments(sql)))


def without_comments(sql: str) -> str:
    """Return SQL without its comments and without what its quotes hold."""
    return _NOT_CODE.sub(" ", sql)


def may_write_no_row(project: Project, path: Path) -> bool:
    """Return whether a statement's file says that it may find nothing to write."""
    return MAY_WRITE_NO_ROW in list_directives(project, path)


def list_directives(project: Project, path: Path) -> list[str]:
    """Return the directives of a statement's file, in lower case."""
    return [" ".join(found["text"].lower().split()) for found in DIRECTIVE.finditer(read_statement(project, path))]


def read_statement(project: Project, path: Path) -> str:
    """Return the text of a statement's file, before it is rendered.

    Raises :class:`ViewError` where it cannot be read.
    """
    try:
        return WorkspaceFiles.of(project.workspace, project.root).read(path).decode("utf-8-sig", "replace")
    except OSError as error:
        raise ViewError([unreadable(path, error, folder="orders")]) from None


def list_statements(project: Project) -> tuple[Statement, ...]:
    """Return the project's numbered statements in the order of their numbers.

    Raises :class:`ViewError` for a file whose name does not say when it is run, where there is no statement, and where
    the folder cannot be read.
    """
    folder = project.root / "orders"
    found: list[tuple[int, str, Statement]] = []
    faults = []
    try:
        paths = WorkspaceFiles.of(project.workspace, project.root).list_paths(folder, "*.sql")
    except OSError as error:
        raise ViewError([unreadable(folder, error, folder="orders")]) from None
    for path in paths:
        if path.stem in NAMED_STATEMENTS:
            continue
        named = _FILE.fullmatch(path.name)
        if named is None:
            hint = (
                "Call it 10_header.sql, 20_lines.line.sql or 30_fees.shipping.sql; or one of"
                f" {', '.join(NAMED_STATEMENTS)}."
            )
            faults.append(Diagnostic(path=path, message="The file's name does not say when it is run.", hint=hint))
            continue
        per: Any = named["per"] or "order"
        found.append((int(named["number"]), path.name, Statement(path=path, name=named["name"], per=per)))
    if not found and not faults:
        hint = "Write orders/10_header.sql; `s2s help orders` has statements for each kind of database."
        faults.append(Diagnostic(path=folder, message="There are no statements that raise an order.", hint=hint))
    if faults:
        raise ViewError(faults)
    return tuple(statement for _, _, statement in sorted(found, key=lambda entry: entry[:2]))


def statement_exists(path: Path) -> bool:
    """Return whether the project has this statement. Raises :class:`ViewError` where that cannot be found out.

    If a lookup.sql were wrongly taken to be absent, an order could be raised twice.
    """
    try:
        return is_file(path)
    except OSError as error:
        raise ViewError([unreadable(path, error, folder="orders")]) from None


class UnknownValue(str):
    """A value that only the database can give; whatever is calculated with it is unknown too."""

    __slots__ = ()

    def _same(self, *_others: object) -> UnknownValue:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _same
    __neg__ = __pos__ = _same


class DeferredResult(dict[str, str]):
    """The result of a statement that was not run: each column is an :class:`UnknownValue`, ``<name.column>``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, column: str) -> str:
        return UnknownValue(f"<{self._name}.{column}>")

    def __deepcopy__(self, _memo: object) -> DeferredResult:
        return self


def placeholder_results(found: Iterable[Statement], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``results`` of statements that are not run: one for each time that they would be run."""
    return {
        statement.name: DeferredResult(statement.name)
        if statement.per == "order"
        else [DeferredResult(statement.name) for _ in iterate_executions(statement, values)]
        for statement in found
    }


class FrozenValues(dict[str, Any]):
    """Values by name that a template cannot change: the next statement sees them, too."""

    def _refuse(self, *_arguments: object, **_names: object) -> Any:
        raise TypeError("the values of an order cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse


def template_values(order: Order, *, customer_code: str | None = None) -> dict[str, Any]:
    """Return what every statement sees: ``order``, ``customer``, ``lines`` and ``shipping_lines``; none can be changed.

    ``customer_code`` replaces the code that the document has.
    """
    code = order.customer["code"] if customer_code is None else customer_code
    lines = {"lines": freeze(order.lines), "shipping_lines": freeze(order.shipping_lines)}
    return {**customer_values(order, code), **lines}


def customer_values(order: Order, code: str | None) -> dict[str, Any]:
    """Return those of :func:`template_values` that hold the customer's code."""
    return {
        "order": freeze({**order.order, "customer_code": code}),
        "customer": freeze({**order.customer, "code": code}),
    }


def freeze(value: Any) -> Any:
    """Return a copy of plain values that cannot be changed. Values that may be missing stay so."""
    if isinstance(value, (FrozenValues, OptionalValues, DeferredResult)):
        return value
    if isinstance(value, dict):
        return FrozenValues((name, freeze(each)) for name, each in value.items())
    return tuple(map(freeze, value)) if isinstance(value, (list, tuple)) else value


def iterate_executions(statement: Statement, values: Mapping[str, Any]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Yield, for each time that a statement is run, the line's index (None once an order) and what it sees besides.

    ``values`` are what every statement sees, as :func:`template_values` returns them.
    """
    if statement.per == "order":
        yield None, {}
        return
    lines = values["lines" if statement.per == "line" else "shipping_lines"]
    yield from ((number, {"line": line}) for number, line in enumerate(lines))


class StatementRenderer:
    """Renders the statements of ``orders/`` for the orders' database, each file read once.

    Values are bound as parameters, which carry their type where the database would guess it.
    """

    def __init__(self, project: Project, settings: OrderSettings) -> None:
        self._project = replace(project, source=replace(project.source, dialect=settings.source.dialect))
        self._dialect = settings.source.dialect
        self._statements: dict[Path, BoundStatement] = {}

    def render(self, path: Path, values: Mapping[str, Any]) -> Query:
        """Render one statement. Raises :class:`RenderError` where it cannot be rendered or comes out empty."""
        return self.write(self.render_unwritten(path, values))

    def render_unwritten(self, path: Path, values: Mapping[str, Any]) -> Query:
        """Render one statement as :meth:`render` does, but for its parameters, whose types may not be known yet."""
        statement = self._statements.setdefault(path, BoundStatement(self._project, path, parameter=PARAMETER))
        query = statement.render(values)
        sql = query.sql.strip().rstrip(";")
        if not sql:
            raise RenderError(
                [Diagnostic(path=path, message="The statement is empty.", hint="Write one, or delete the file.")]
            )
        return replace(query, sql=sql)

    def write(self, query: Query) -> Query:
        """Write the parameters of a statement that was rendered."""
        return replace(query, sql=write_parameters(query.sql, query.binds, self._dialect))
