"""Find the name of an output column where only DuckDB takes it for that column.

``SELECT price * 2 AS double_price, double_price + 1`` runs in DuckDB, and so does an output's name in WHERE. Other
databases look for a column of that name in the tables alone, and refuse it, or find another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.scopes import Scopes
from engine.mapping.transpile.facts import KNOWN_DIALECTS, REFUSED_LIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.mapping.transpile.kinds import Columns

_NOWHERE = {"where": "WHERE", "joins": "ON"}
_TAKEN_IN = {
    "sqlite": frozenset({"where", "joins", "having", "group", "order"}),
    "mysql": frozenset({"having", "group", "order"}),
}
"""The clauses in which databases take an output's name, inside of a calculation too."""


def find_output_names(statement: Any, dialect: str, columns: Columns) -> Iterator[tuple[Any, str, str]]:
    """Yield the columns that are names of outputs in vain, each with what is wrong and what to write instead."""
    from sqlglot import exp

    if dialect not in KNOWN_DIALECTS:
        return
    scopes = Scopes(statement, {table: list(names) for table, names in columns.items()})
    for select in statement.find_all(exp.Select):
        outputs = {part.alias.lower(): part.unalias() for part in select.selects if part.alias}
        for column in select.find_all(exp.Column) if outputs else ():
            name = column.name.lower()
            if column.table or name not in outputs or column.parent_select is not select:
                continue
            clause = _clause(column, select)
            if clause == "having" and dialect != "mysql" and _means_another(outputs[name], name):
                yield column, f"{column.name} in HAVING, which is a column and an output", "another alias."
            elif clause not in _TAKEN_IN.get(dialect, ()) and not _is_plain(column, clause) and scopes.lacks(column):
                where = _NOWHERE.get(clause, clause.upper()) if clause != "expressions" else "another output"
                instead = "its expression again, or a subquery around it."
                yield column, f"the name of the output {column.name} in {where}{REFUSED_LIVE}", instead


def _clause(column: Any, select: Any) -> str:
    at = column
    while at.parent is not select:
        at = at.parent
    return str(at.arg_key).strip("_")


def _is_plain(column: Any, clause: str) -> bool:
    """Return whether a term of ORDER BY or GROUP BY is the name alone, which all take that have it in that clause."""
    return (clause == "order" and type(column.parent).__name__ == "Ordered") or (
        clause == "group" and type(column.parent).__name__ == "Group"
    )


def _means_another(output: Any, name: str) -> bool:
    """Return whether an output of a column's name is made of that column, and is another value."""
    from sqlglot import exp

    made_of = any(each.name.lower() == name for each in output.find_all(exp.Column))
    return made_of and not isinstance(output, exp.Column)
