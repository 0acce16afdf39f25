"""Functions and operators whose meaning depends on the database and on the kinds of their values.

A rule takes a part of a parsed view and returns it in DuckDB's SQL, or None where it does not know the part: then
:mod:`engine.mapping.transpile.unsupported` decides. There are rules for databases whose results could be compared with
DuckDB's, row by row: ``tests/mapping/constructs`` has what was compared, and a test holds that no other rule is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.functions_mysql import MYSQL_RULES
from engine.mapping.transpile.functions_postgres import POSTGRES_RULES
from engine.mapping.transpile.functions_sqlite import SQLITE_RULES
from engine.mapping.transpile.functions_tsql import TSQL_RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RULES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "postgres": POSTGRES_RULES,
    "mysql": MYSQL_RULES,
    "sqlite": SQLITE_RULES,
    "tsql": TSQL_RULES,
}
"""The rules of each dialect: by the class of a part, or for a function that has none by its name, as ``elt()``."""


def apply_rule(node: Any, dialect: str) -> Any:
    """Return a part in DuckDB's SQL by its rule; None where it has none, or its values are of other kinds."""
    rules = RULES.get(dialect)
    if rules is None:
        return None
    from sqlglot import exp

    name = type(node).__name__
    rule = rules.get(f"{str(node.this).lower()}()" if name == "Anonymous" else name)
    made = None if rule is None else rule(node)
    if isinstance(made, (exp.Binary, exp.Unary)) and type(made) is not type(node):
        return exp.Paren(this=made)
    return made
