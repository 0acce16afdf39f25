"""Parse SQL with sqlglot, and answer questions about what was parsed.

sqlglot takes a third of a second to import, so every function here imports it only when it is called.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SQLGLOT_DIALECTS = frozenset(
    {"tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "snowflake", "redshift", "bigquery"}
)
"""Dialects that have the same name in sqlglot."""

NEAREST_DIALECT = {"access": "tsql"}
"""The closest dialect that sqlglot has for one that it lacks; all others are read as sqlglot's own, a superset."""

UPPERCASE_DIALECTS = frozenset({"oracle", "snowflake", "hana", "firebird"})
"""Dialects that change an unquoted name to upper case."""

LOWERCASE_DIALECTS = frozenset({"postgres", "redshift"})
"""Dialects that change an unquoted name to lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseFailure:
    """Why SQL could not be parsed, and the offset in it of the problem, where sqlglot tells one."""

    message: str
    offset: int | None = None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep sqlglot from logging warnings: this engine reports them itself."""
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def write_sql(node: Any, dialect: str | None) -> str:
    """Return a part of a statement as SQL of one of sqlglot's dialects, without comments.

    What that dialect lacks is left out, and nothing is said of it: it is for comparing and for showing.
    """
    with _quiet():
        return str(node.sql(dialect=dialect, comments=False))


def sqlglot_dialect(dialect: str) -> str | None:
    """Return sqlglot's name for a dialect; None stands for sqlglot's own."""
    return dialect if dialect in SQLGLOT_DIALECTS else NEAREST_DIALECT.get(dialect)


@lru_cache(maxsize=16)
def parse_cached(sql: str, dialect: str) -> list[Any] | ParseFailure:
    """Return the same as :func:`parse`, from a cache: only for callers that do not change the statements."""
    return parse(sql, dialect)


def parse(sql: str, dialect: str) -> list[Any] | ParseFailure:
    """Return the statements of ``sql`` as sqlglot's expressions, or why it could not be parsed."""
    import sqlglot
    from sqlglot import errors, exp

    try:
        with _quiet():
            found = sqlglot.parse(sql, dialect=sqlglot_dialect(dialect), error_level=sqlglot.ErrorLevel.RAISE)
    except errors.ParseError as error:
        details = error.errors[0] if error.errors else {}
        message = details.get("description") or str(error).splitlines()[0]
        # sqlglot's column is that of the end of the text that it highlights, or of the SQL, where nothing is left.
        end = _end_offset(sql, details.get("line"), details.get("col"))
        offset = None if end is None else end - len(details.get("highlight") or "")
        return ParseFailure(message=message, offset=offset)
    except errors.SqlglotError as error:
        return ParseFailure(message=str(error).splitlines()[0])
    except RecursionError:
        return ParseFailure(message="it is nested too deeply")
    except Exception:  # noqa: BLE001 - of what is not SQL, sqlglot may raise anything
        return ParseFailure(message="it is not understood")
    return [statement for statement in found if statement is not None and not isinstance(statement, exp.Semicolon)]


def plain_reason(failure: ParseFailure, sql: str) -> str:
    """Return why SQL could not be parsed, in SQL's words and not in those of the parser."""
    near = re.match(r"\w+|\S", sql[failure.offset :]) if failure.offset is not None else None
    at = f" at {near[0]!r}" if near else ""
    if failure.message.startswith("Required keyword"):
        return f"something is missing{at}"
    if "Unexpected token" in failure.message:
        return f"it is not understood{at}"
    if failure.message.startswith("Expected table name"):
        return f"a table's name is missing{at}"
    if failure.message.startswith("Error tokenizing"):
        return "its quotes are not understood"
    return failure.message.splitlines()[0].rstrip(".")


def _end_offset(sql: str, line: int | None, column: int | None) -> int | None:
    """Return the offset after the character ``column`` of a line."""
    if not line or column is None:
        return None
    return sum(len(each) + 1 for each in sql.split("\n")[: line - 1]) + column


def union_arms(statement: Any) -> Iterator[Any]:
    """Yield the SELECTs of a UNION, or the one SELECT that the statement is."""
    from sqlglot import exp

    if isinstance(statement, exp.SetOperation):
        yield from union_arms(statement.left)
        yield from union_arms(statement.right)
    elif isinstance(statement, exp.Subquery):
        yield from union_arms(statement.this)
    elif isinstance(statement, exp.Query):
        yield statement


def statement_kind(statement: Any) -> str:
    """Return the keyword that a statement begins with, in upper case."""
    from sqlglot import exp

    return str(statement.this if isinstance(statement, exp.Command) else statement.key).upper()


def is_quoted(part: Any) -> bool:
    """Return whether the name of an output column is quoted."""
    from sqlglot import exp

    name = part.args.get("alias") or part.this
    return isinstance(name, exp.Identifier) and bool(name.quoted)


def start_offset(part: Any) -> int | None:
    """Return the offset in the SQL at which a part begins; for an output column with an alias, that of the alias."""
    from sqlglot import exp

    alias = part.args.get("alias")
    nodes = [alias] if isinstance(alias, exp.Identifier) else part.walk()
    starts = (node.meta.get("start") for node in nodes)
    return min((int(start) for start in starts if start is not None), default=None)
