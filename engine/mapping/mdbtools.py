"""What mdbtools cannot run, said before it is asked: it reads the columns of one table of an Access file, as they are.

Measured with mdbtools 1.0.0 and 1.0.1. Its own answers to the rest are a syntax error without a place, or rows that the
view did not ask for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.mapping.locate import diagnostic_at, find_word
from engine.mapping.parse import ParseFailure, parse_cached, start_offset
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query

NOTICE = (
    "mdbtools reads the columns of one table as they are: it knows no JOIN, ORDER BY, GROUP BY, alias or expression,"
    " and ignores WHERE on some columns. Let a table or a make-table query in Access have a column for each field, such"
    " as source_variant_code or variants__sku, and select these; or read the file on Windows."
)
"""What somebody who begins a project with mdbtools has to know."""

_HINT = (
    "Let a make-table query in Access do this, with columns that are called as Stock2Shop's fields (variants__sku), and"
    " select those here; or read the file on Windows, with Microsoft's driver."
)


def uses_mdbtools(connection: str | None) -> bool:
    """Whether a connection string names mdbtools' driver; of a data source's name nothing is known."""
    return bool(re.search(r"(?i)driver\s*=\s*\{?[^;}]*(mdbtools|libmdbodbc)", connection or ""))


def find_unmappable(query: Query, *, dialect: str) -> Iterator[Diagnostic]:
    """Yield an error for each thing in a view that mdbtools does not know, and a warning for a WHERE."""
    from sqlglot import exp

    statements = parse_cached(query.sql.lstrip("\ufeff"), dialect)
    if isinstance(statements, ParseFailure) or len(statements) != 1:
        return
    (statement,) = statements
    plain = blanked(query.sql, dialect)
    clauses: tuple[tuple[Any, str, str], ...] = (
        (exp.Join, "joins tables", "join"),
        (exp.SetOperation, "combines several SELECTs", "union"),
        (exp.With, "begins with a WITH", "with"),
        (exp.Subquery, "has a SELECT in it", "select"),
        (exp.Order, "sorts", "order"),
        (exp.Group, "groups", "group"),
    )
    for kind, what, word in clauses:
        if statement.find(kind) is not None:
            yield diagnostic_at(query, find_word(plain, word), f"The view {what}, which mdbtools cannot.", _HINT)
    for part in getattr(statement, "selects", ()):
        inner = part.unalias()
        if not isinstance(inner, exp.Column):
            what = f"The column {part.output_name or '?'} is an expression, which mdbtools cannot give."
        elif part is not inner and part.output_name != inner.name:
            what = f"The column {inner.name} gets the alias {part.output_name}, which mdbtools does not know."
        else:
            continue
        yield diagnostic_at(query, start_offset(part), what, _HINT)
    if isinstance(statement, exp.Select) and statement.args.get("where") is not None:
        message = (
            "mdbtools ignores WHERE on some columns, money among them: the view may give more rows than it asks for."
        )
        hint = "Compare the number of rows with Access, or give rows that should go the flag Ignore."
        yield replace(diagnostic_at(query, find_word(plain, "where"), message, hint), severity="warning")
