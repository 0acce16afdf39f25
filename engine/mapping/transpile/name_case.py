"""Find names in another case than the database has them in.

``ItemCode`` without quotes is ``itemcode`` in PostgreSQL, and ``ITEMCODE`` in Oracle: an output or a table that was
named ``"ItemCode"`` in quotes is not found by it. DuckDB finds it, whatever its case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.case_twins import CASED_DIALECTS, database_name
from engine.mapping.scopes import Scopes
from engine.mapping.transpile.facts import REFUSED_LIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.mapping.transpile.kinds import Columns


def find_name_case(statement: Any, dialect: str, columns: Columns) -> Iterator[tuple[Any, str, str]]:
    """Yield the names that the database would not find, each with what is wrong and what to write instead.

    Those of its own tables' columns are not looked at: fixtures have them as the view writes them.
    """
    from sqlglot import exp

    if dialect not in CASED_DIALECTS:
        return
    scopes = Scopes(statement, {table: list(kinds) for table, kinds in columns.items()})
    for column in statement.find_all(exp.Column, bfs=False):
        if isinstance(column.this, exp.Identifier) and column.name:
            given = [name for source in scopes.givers(column) for name in _given_names(source, dialect)]
            yield from _compare(column, column.this, given or _output_names(column, scopes, dialect), dialect)
            if column.table:
                yield from _compare(column, column.args["table"], _table_names(column, dialect), dialect)
    for table in statement.find_all(exp.Table, bfs=False):
        if isinstance(table.this, exp.Identifier) and not table.args.get("db"):
            named = [cte.args["alias"].this for cte in statement.find_all(exp.CTE) if cte.alias]
            yield from _compare(table, table.this, _spelled(named, dialect), dialect)


def _compare(node: Any, written: Any, names: Iterable[str], dialect: str) -> Iterator[tuple[Any, str, str]]:
    """Yield what is wrong with a name where one of ``names`` is the same but for its case, and none is the same."""
    read = database_name(written, dialect)
    alike = [name for name in names if name.lower() == read.lower()]
    if alike and read not in alike:
        quoted = f'"{alike[0]}"'
        yield (
            node,
            f"the name {written.name}, which is {read} there, and not {quoted}{REFUSED_LIVE}",
            f"{quoted}, in quotes.",
        )


def _spelled(identifiers: Iterable[Any], dialect: str) -> list[str]:
    return [database_name(each, dialect) for each in identifiers]


def _given_names(source: Any, dialect: str) -> list[str]:
    """How an output of a query, which a column is of, spells its name; empty for a table, of which it is not known."""
    if isinstance(source, str):
        return []
    named = source.args.get("alias") or source.this
    return _spelled([named], dialect) if hasattr(named, "quoted") else []


def _output_names(column: Any, scopes: Scopes, dialect: str) -> list[str]:
    """How the outputs of a SELECT that ORDER BY or GROUP BY may name are spelled, where no table has the column."""
    from sqlglot import exp

    select = column.parent_select
    clause = column.find_ancestor(exp.Order, exp.Group, exp.Having)
    if column.table or clause is None or clause.parent is not select or not scopes.lacks(column):
        return []
    return _spelled((part.args["alias"] for part in select.selects if isinstance(part, exp.Alias)), dialect)


def _table_names(column: Any, dialect: str) -> list[str]:
    """How the tables are spelled that stand beside the one that a column names, in the innermost SELECT that has it."""
    from sqlglot import exp

    select = column.parent_select
    while select is not None:
        joined = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or ())]
        sources = [each.this for each in joined if each is not None] + list(select.args.get("laterals") or ())
        named = [each.args["alias"].this if each.args.get("alias") else each.this for each in sources]
        found = _spelled((each for each in named if isinstance(each, exp.Identifier)), dialect)
        if any(each.lower() == column.table.lower() for each in found):
            return found
        select = select.parent_select
    return []
