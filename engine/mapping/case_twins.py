"""Names of a view that differ only in case: two to databases that tell quoted names apart so, and one to DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import LOWERCASE_DIALECTS, UPPERCASE_DIALECTS, start_offset
from engine.mapping.scopes import Scopes, qualified_name
from engine.quoting import ident

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query

CASED_DIALECTS = UPPERCASE_DIALECTS | LOWERCASE_DIALECTS
"""Dialects in which a name in quotes keeps its case, and so may be another's than the same without quotes."""


def database_name(identifier: Any, dialect: str) -> str:
    """The name that the database has for one of a parsed view; the same text in dialects that ignore its case."""
    name: str = identifier.name
    if identifier.args.get("quoted") or dialect not in CASED_DIALECTS:
        return name
    return name.upper() if dialect in UPPERCASE_DIALECTS else name.lower()


def find_case_twins(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    """Yield the tables, and the columns of one table, whose names differ from another's only in case."""
    from sqlglot import exp

    if dialect not in CASED_DIALECTS:
        return
    scopes: Scopes | None = None
    names: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    for table in statement.find_all(exp.Table, bfs=False):
        whole = ".".join(database_name(part, dialect) for part in table.parts)
        other = known.setdefault(("", whole.lower()), whole)
        if other != whole:
            yield _diagnostic(query, table, f"the tables {other} and {whole}")
    columns = [column for column in statement.find_all(exp.Column, bfs=False) if column.name]
    twins = {
        column.name.lower()
        for column in columns
        if names.setdefault(column.name.lower(), database_name(column.this, dialect))
        != database_name(column.this, dialect)
    }
    for column in columns if twins else ():
        if column.name.lower() in twins:
            scopes = scopes or Scopes(statement, {})
            name = database_name(column.this, dialect)
            for source, _ in scopes.direct(column):
                other = known.setdefault((source.lower(), name.lower()), name)
                if other != name:
                    yield _diagnostic(query, column, f"the columns {other} and {name} of {source}")


def table_names(statement: Any, dialect: str) -> Iterator[tuple[str, str, str]]:
    """Yield how a view names each table: without quotes, as the database has the name, and as SQL."""
    from sqlglot import exp

    for table in statement.find_all(exp.Table, bfs=False):
        written = (ident(part.name, dialect) if part.args.get("quoted") else part.name for part in table.parts)
        yield (
            qualified_name(table),
            ".".join(database_name(part, dialect) for part in table.parts),
            ".".join(written),
        )


def _diagnostic(query: Query, node: Any, both: str) -> Diagnostic:
    return diagnostic_at(
        query,
        start_offset(node),
        f"The view reads {both}, which fixtures cannot tell apart: their names differ only in case.",
        "Give one of them another name in a view of the database, and read that.",
    )
