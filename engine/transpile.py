"""A rendered view of another dialect as DuckDB's SQL, so that it can be rehearsed on fixtures.

sqlglot does the translating. What it gets wrong, or what cannot be known to mean the same, is refused with its place
and the macro that would do instead: a rehearsal that is silently different from a live run would be worse than none.
What remains different is said in ``docs/mapping-reviews.md``: comparisons without regard to case or trailing blanks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.dialect import PARSED, fault_at, parsed, start_of
from engine.errors import ViewError
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Fault
    from engine.model import Query

MACROS = "Import macros/dialect.sql as sql, and write"

REFUSED = (
    (r"\bfor\s+xml\b", "FOR XML", "sql.list_of(…), which joins rows for every database."),
    (r"\{\s*fn\b", "the ODBC escape {fn …}", "the database's own function, or a macro."),
    (r"\bcollate\b", "COLLATE", "the comparison without it: fixtures compare texts exactly."),
    (r"\bpivot\b", "PIVOT", "a sum of CASE for each column."),
    (r"\(\s*\+\s*\)", "Oracle's (+)", "LEFT JOIN."),
    (r"\bconnect\s+by\b", "CONNECT BY", "a recursive WITH."),
)
"""Constructs that sqlglot drops or changes without a word, found in the text."""

INTEGER_DIVISION = frozenset({"tsql", "postgres", "redshift", "sqlite"})
"""Dialects in which 1/2 is 0."""

TRUNCATING = frozenset({"tsql", "sqlite"})
"""Dialects that cut a number off when it is cast to an integer; DuckDB rounds."""

SAME = frozenset({"replace", "nullif", "greatest", "least", "reverse", "sign"})
"""Functions that sqlglot does not know by name and that are the same in DuckDB."""


def to_duckdb(query: Query, *, dialect: str) -> str:
    """The view in DuckDB's SQL; tables go by the last part of their names, in lower case.

    Raises :class:`ViewError` with every construct that cannot be known to mean the same there.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if dialect == "duckdb":
        return query.sql
    faults = list(_found_in_text(query, dialect))
    statements = parsed(query.sql.lstrip("\ufeff"), dialect)
    if isinstance(statements, str) or len(statements) != 1:
        said = statements if isinstance(statements, str) else " it is not one statement"
        at, _, said = said.partition(" ")
        why = f"The view cannot be read as {dialect}: {said}."
        faults.append(fault_at(query, int(at) if at else None, why, f"{MACROS} what is special with them."))
        raise ViewError(faults)
    statement = statements[0].copy()
    faults += _found_in_tree(query, statement, dialect)
    faults += _renamed(query, statement)
    if faults:
        raise ViewError(faults)
    for cast in list(statement.find_all(exp.Cast)) if dialect in TRUNCATING else ():
        if cast.to.this in exp.DataType.INTEGER_TYPES and not isinstance(cast.this, exp.Literal):
            number = exp.Cast(this=cast.this.copy(), to=exp.DataType.build("decimal(38, 10)"))
            cast.set("this", exp.Anonymous(this="trunc", expressions=[number]))
    if dialect == "sqlite":
        for cast in list(statement.find_all(exp.Cast)):
            if cast.to.is_type("decimal"):  # a number with an affinity, and as many digits as it has
                cast.set("to", exp.DataType.build("decimal(38, 10)"))
    if dialect == "tsql":
        for length in list(statement.find_all(exp.Length)):
            length.set("this", exp.Anonymous(this="rtrim", expressions=[length.this.copy()]))
    try:
        return str(statement.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE, comments=False))
    except SqlglotError as error:
        raise ViewError([_refusal(query, None, str(error).splitlines()[0], "another spelling.")]) from None


def _found_in_text(query: Query, dialect: str) -> Iterator[Fault]:
    text = blanked(query.sql, dialect)
    patterns = (
        [*REFUSED, (r"\|\|", "||, which MySQL reads as OR", "sql.concat([…]).")] if dialect == "mysql" else REFUSED
    )
    for pattern, name, instead in patterns:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            yield _refusal(query, found.start(), name, instead)


def _found_in_tree(query: Query, statement: Any, dialect: str) -> Iterator[Fault]:
    """What the parser understood, and DuckDB may not understand the same."""
    from sqlglot import exp

    checks: tuple[tuple[type, Any], ...] = (
        (exp.Add, lambda node: dialect == "tsql" and _joins_texts(node) and ("+ between texts", "sql.concat([…]).")),
        (exp.Div, lambda node: _division(node, dialect)),
        (exp.Anonymous, lambda node: str(node.this).lower() not in SAME and (f"{node.this}()", "a macro, or CASE.")),
        (exp.Dot, lambda node: isinstance(node.expression, exp.Func) and ("a function of a schema", "its expression.")),
        (exp.Convert, lambda node: node.args.get("style") and ("CONVERT with a style", "sql.cast_text(…).")),
        (exp.Lateral, lambda node: not isinstance(node.this, exp.Subquery) and ("APPLY with a function", "a join.")),
        (
            exp.DateDiff,
            lambda _: dialect != "tsql" and ("a difference of dates", "a condition on the dates themselves."),
        ),
        (exp.StrPosition, lambda _: dialect not in PARSED and ("LOCATE", "sql.first_word(…), or a macro of your own.")),
        (
            exp.Limit,
            lambda node: not node.parent.args.get("order") and ("TOP or LIMIT without ORDER BY", "ORDER BY too."),
        ),
        (exp.Placeholder, lambda _: ("a parameter", "the value as {{ value }}.")),
    )
    for kind, wrong in checks:
        for node in statement.find_all(kind):
            said = wrong(node)
            if said:
                yield _refusal(query, start_of(node), *said)


def _joins_texts(node: Any) -> bool:
    """Whether a + has a text on one of its sides, however deep."""
    from sqlglot import exp

    for side in (node.this, node.expression):
        inner = side.unnest() if isinstance(side, exp.Paren) else side
        texts = (exp.Concat, exp.Trim, exp.Upper, exp.Lower, exp.Substring)
        if (isinstance(inner, exp.Literal) and inner.is_string) or isinstance(inner, texts):
            return True
        if isinstance(inner, exp.Cast) and inner.to.this in exp.DataType.TEXT_TYPES:
            return True
        if isinstance(inner, exp.Add) and _joins_texts(inner):
            return True
    return False


def _division(node: Any, dialect: str) -> tuple[str, str] | None:
    """Why a division is not the same: it would be one of integers, or of another precision."""
    from sqlglot import exp

    def fractional(side: Any) -> bool:
        if isinstance(side, exp.Paren):
            return fractional(side.this)
        if isinstance(side, exp.Literal):
            return not side.is_string and "." in side.name
        if isinstance(side, exp.Cast):
            return side.to.this in exp.DataType.REAL_TYPES or side.to.is_type("decimal")
        return isinstance(side, (exp.Mul, exp.Sub, exp.Add)) and (fractional(side.this) or fractional(side.expression))

    if dialect in INTEGER_DIVISION and not (fractional(node.this) or fractional(node.expression)):
        return "a division that may be one of integers", "one side as sql.cast_number(…)."
    if node.find_ancestor(exp.Round, exp.Cast) is None:
        return "a division whose digits each database rounds in its own way", "ROUND(…, 2) around it."
    return None


def _renamed(query: Query, statement: Any) -> Iterator[Fault]:
    """Call each table by the last part of its name, as fixtures are called."""
    from sqlglot import exp

    common = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    seen: dict[str, str] = {}
    for table in statement.find_all(exp.Table):
        whole = ".".join(part.name for part in table.parts).lower()
        if "." not in whole and whole in common:
            continue
        name = table.name.lower()
        other = seen.setdefault(name, whole)
        if other != whole:
            yield fault_at(
                query,
                start_of(table),
                f"The view reads {other} and {whole}, but there is one fixture {name}.csv for both.",
                "Give one of them another name in the database, or rehearse the view in DuckDB's own SQL.",
            )
        if table.args.get("db"):
            table.set(
                "alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
            )
        table.set("this", exp.to_identifier(name, quoted=True))
        table.set("db", None)
        table.set("catalog", None)
    for column in statement.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)


def _refusal(query: Query, at: int | None, name: str, instead: str) -> Fault:
    return fault_at(
        query,
        at,
        f"The view has {name}, which cannot be rehearsed on fixtures as the database would run it.",
        f"{MACROS} {instead}" if "sql." in instead or "macro" in instead else f"Write {instead}",
    )
