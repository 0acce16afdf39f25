"""parse."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PARSED = frozenset({"tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "snowflake", "redshift", "bigquery"})
"""Dialects that sqlglot knows by the engine's name for them."""

NEAREST = {"access": "tsql"}
"""The nearest that sqlglot knows to another dialect. All others are read as sqlglot's own, which takes most of SQL."""

CALLS = frozenset(
    {"nextval", "setval", "set_config", "dblink_exec", "lo_import", "lo_export", "lo_unlink", "pg_terminate_backend"}
    | {"pg_cancel_backend", "pg_reload_conf", "get_lock", "release_lock"}
)
"""Functions that change something in the database, though a SELECT calls them."""

NAMED_IN_ERROR = re.compile(r"[\"'`\[](\w[\w.$# ]*)[\"'`\]]|(?:no such \w+:|column|relation) ([\w.$#]+)|\w+ ([\w.]+)\(")
"""Names in what databases say of a query."""

UPPER = frozenset({"oracle", "snowflake", "hana", "firebird"})

LOWER = frozenset({"postgres", "redshift"})
"""Dialects that fold a name without quotes to one case."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep sqlglot from printing what this module reports itself."""
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@lru_cache(maxsize=16)
def parse_cached(sql: str, dialect: str) -> list[Any] | str:
    """The same as :func:`parsed`, kept for all who only look at the statements of a text, and change none."""
    return parsed(sql, dialect)


def parsed(sql: str, dialect: str) -> list[Any] | str:
    """Give the statements of ``sql``, or what sqlglot says of it, as ``offset message``; the offset may be blank."""
    import sqlglot
    from sqlglot import errors, exp

    reader = dialect if dialect in PARSED else NEAREST.get(dialect)
    try:
        with _quiet():
            found = sqlglot.parse(sql, dialect=reader, error_level=sqlglot.ErrorLevel.RAISE)
    except errors.ParseError as error:
        details = error.errors[0] if error.errors else {}
        said = details.get("description") or str(error).splitlines()[0]
        # What it highlights ends at its column; where nothing is left, it says where the text ends.
        at = _end_of(sql, details.get("line"), details.get("col"))
        return f"{'' if at is None else at - len(details.get('highlight') or '')} {said}"
    except errors.SqlglotError as error:
        return f" {str(error).splitlines()[0]}"
    except RecursionError:
        return " it is nested too deeply"
    return [statement for statement in found if statement is not None and not isinstance(statement, exp.Semicolon)]


def _end_of(sql: str, line: int | None, column: int | None) -> int | None:
    """The offset behind a line's letter ``column``."""
    if not line or column is None:
        return None
    return sum(len(each) + 1 for each in sql.split("\n")[: line - 1]) + column


def union_arms(statement: Any) -> Iterator[Any]:
    """The SELECTs of a UNION, or the one SELECT that it is."""
    from sqlglot import exp

    if isinstance(statement, exp.SetOperation):
        yield from union_arms(statement.left)
        yield from union_arms(statement.right)
    elif isinstance(statement, exp.Subquery):
        yield from union_arms(statement.this)
    elif isinstance(statement, exp.Query):
        yield statement


def statement_kind(statement: Any) -> str:
    """What a statement begins with, in capitals."""
    from sqlglot import exp

    return str(statement.this if isinstance(statement, exp.Command) else statement.key).upper()


def is_quoted(part: Any) -> bool:
    """Return whether the name of an output column is quoted."""
    from sqlglot import exp

    name = part.args.get("alias") or part.this
    return isinstance(name, exp.Identifier) and bool(name.quoted)


def start_of(part: Any) -> int | None:
    """Find the offset in the rendered SQL at which a part begins; of an output column, at which it gets its name."""
    from sqlglot import exp

    named = part.args.get("alias")
    nodes = [named] if isinstance(named, exp.Identifier) else part.walk()
    starts = (node.meta.get("start") for node in nodes)
    return min((int(start) for start in starts if start is not None), default=None)
