"""Warn of what parses and runs, and is likely a mistake: rows that leave a view are removed from Stock2Shop."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.mapping.locate import diagnostic_at, find_word
from engine.mapping.parse import start_offset
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query

CURRENT_TIME = frozenset({"CurrentTimestamp", "CurrentDate", "CurrentDatetime", "CurrentTime", "Localtimestamp"})
"""Parts of a statement that are the present time, by sqlglot's classes."""

CURRENT_TIME_NAMES = frozenset(
    {"now", "sysdate", "getdate", "sysdatetime", "current_timestamp", "current_date", "curdate"}
)
"""Functions and words for the present time that a parser may take for any name."""

NAMED_NODES = frozenset({"Anonymous", "Column", "Var", "Literal"})

QUANTITY_PARTS = frozenset({"qty_on_hand", "qty_on_sales_order"})
"""Columns of the agent's statement that are no warehouses: it takes the second from the first for variants.qty."""

TIME_ARITHMETIC = frozenset(
    {"Sub", "Add", "DateSub", "DateAdd", "TsOrDsAdd", "TimestampSub", "TimestampAdd", "Interval"}
)


RANDOM_NAMES = frozenset({"rand", "random", "newid", "uuid", "gen_random_uuid", "newsequentialid", "sys_guid"})
"""Functions that give another value each time."""

DIRTY_HINTS = frozenset({"nolock", "readuncommitted"})
"""T-SQL's hints for a table that read what was not committed."""

LOCKING_HINTS = frozenset({"tablock", "tablockx", "xlock", "updlock", "holdlock", "serializable", "repeatableread"})
"""T-SQL's hints for a table that keep locks until the view is read."""

SQLITE_TIMES = frozenset({"date", "time", "datetime", "julianday", "strftime", "unixepoch"})
"""SQLite's functions for which the text 'now' is the present time."""


def find_hazards(query: Query, statement: Any, *, dialect: str) -> Iterator[Diagnostic]:
    """Yield warnings about a parsed view: rows that leave it, values that change by themselves, texts like columns."""
    yield from _row_limits(query, statement, dialect)
    yield from _moving_windows(query, statement)
    yield from _column_like_texts(query, statement)
    yield from _quantities(query, statement)
    yield from _changing_values(query, statement)
    if dialect == "tsql":
        yield from _table_hints(query)


def _table_hints(query: Query) -> Iterator[Diagnostic]:
    """Warn of T-SQL's hints that read what is not committed, or lock what the ERP writes."""
    for found in re.finditer(r"(?i)\bwith\s*\(([^()]*)\)", blanked(query.sql, "tsql")):
        hints = {each.lower() for each in re.findall(r"\w+", found[1])}
        if hints & DIRTY_HINTS:
            yield _warning(
                query,
                found.start(),
                f"The view reads {found[0].upper()}: while the ERP writes, rows can be skipped or appear twice, and a"
                " row that is skipped is removed from Stock2Shop.",
                "Remove it, and have read committed snapshot isolation switched on: `s2s help sql-server` says how.",
            )
        elif hints & LOCKING_HINTS:
            yield _warning(
                query,
                found.start(),
                f"The view reads {found[0].upper()}, which locks what it reads: the ERP waits until the view is read.",
                "Remove it: a view only reads.",
            )


def _warning(query: Query, offset: int | None, message: str, hint: str) -> Diagnostic:
    return replace(diagnostic_at(query, offset, message, hint), severity="warning")


def _decides_about_rows(node: Any) -> bool:
    """Return whether a SELECT's rows become rows of the view: it is the view, a CTE, or in a FROM; not in a value."""
    from sqlglot import exp

    at = node
    while at.parent is not None:
        parent = at.parent
        if isinstance(parent, (exp.Lateral, exp.Exists, exp.In)):
            return False
        if isinstance(parent, exp.Subquery) and not isinstance(parent.parent, (exp.From, exp.Join, exp.SetOperation)):
            return parent.parent is None
        at = parent
    return True


def _row_limits(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    from sqlglot import exp

    plain = blanked(query.sql, dialect)
    for limit in statement.find_all(exp.Limit, exp.Fetch):
        select = limit.parent
        options = limit.args.get("limit_options")
        if (options is not None and options.args.get("percent")) or select is None or not _decides_about_rows(select):
            continue
        word = next((word for word in ("TOP", "FETCH", "LIMIT", "ROWS") if find_word(plain, word) is not None), "LIMIT")
        yield _warning(
            query,
            find_word(plain, word),
            f"The view has {word}: a row that is no longer among the first is removed from Stock2Shop.",
            "Remove it for a run: every row of the view must be there each time.",
        )
        return


def _moving_windows(query: Query, statement: Any) -> Iterator[Diagnostic]:
    from sqlglot import exp

    for where in statement.find_all(exp.Where):
        if not isinstance(where.parent, exp.Select) or not _decides_about_rows(where.parent):
            continue
        for comparison in where.find_all(exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between):
            newer, older = (
                (comparison.this, comparison.args["low"])
                if isinstance(comparison, exp.Between)
                else (comparison.left, comparison.right)
                if isinstance(comparison, (exp.GT, exp.GTE))
                else (comparison.right, comparison.left)
            )
            if comparison.parent_select is where.parent and _is_moving(older) and newer.find(exp.Column) is not None:
                yield _warning(
                    query,
                    start_offset(comparison),
                    "The view has the rows of a moving time window: a row that leaves it is removed from Stock2Shop.",
                    "Remove the condition: only what changed is sent, whatever the view returns.",
                )
                return


def _is_moving(node: Any) -> bool:
    """Return whether an expression is the present time, less or more something."""
    parts = list(node.walk())
    now = any(
        type(part).__name__ in CURRENT_TIME
        or (type(part).__name__ in NAMED_NODES and part.name.lower() in CURRENT_TIME_NAMES)
        for part in parts
    )
    return now and any(
        type(part).__name__ in TIME_ARITHMETIC
        or (type(part).__name__ == "Literal" and part.is_string and re.match(r"[-+]\s*\d", part.name))  # SQLite's
        for part in parts
    )


def _changing_values(query: Query, statement: Any) -> Iterator[Diagnostic]:
    for part in statement.selects:
        if any(_gives_another_value(node) for node in part.walk()):
            yield _warning(
                query,
                start_offset(part),
                f"The column {part.output_name} has the present time or a random value: if it is another in each run,"
                " every row is sent in every run.",
                "Leave it out, or map a column that changes with the row.",
            )


def _gives_another_value(node: Any) -> bool:
    """Return whether a part of an expression is the present time or a random value, and not part of a condition."""
    from sqlglot import exp

    if node.find_ancestor(exp.Predicate, exp.If, exp.Where) is not None:
        return False
    if isinstance(node, exp.Literal):  # SQLite's date('now')
        around = "" if node.parent is None else node.parent.name.lower()
        is_time = around in SQLITE_TIMES or type(node.parent).__name__.startswith("TsOrDs")
        return node.name.lower() == "now" and is_time
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    return (
        type(node).__name__ in CURRENT_TIME
        or isinstance(node, (exp.Rand, exp.Uuid))
        or name in CURRENT_TIME_NAMES
        or name in RANDOM_NAMES
    )


def _column_like_texts(query: Query, statement: Any) -> Iterator[Diagnostic]:
    from sqlglot import exp

    tables = {table.alias_or_name.lower() for table in statement.find_all(exp.Table)}
    for text in statement.find_all(exp.Literal):
        found = re.fullmatch(r"(\w+)\.(\w+)", text.name) if text.is_string else None
        if found and found[1].lower() in tables:
            yield _warning(
                query,
                start_offset(text),
                f"The text {text.name!r} looks like a column: it is sent as these words.",
                f'For the column write {{{{ col("{text.name}") }}}}, or {text.name} outside of braces and quotes.',
            )


def _quantities(query: Query, statement: Any) -> Iterator[Diagnostic]:
    """Warn of what the agent's statement calls a part of the quantity, and would be a warehouse here."""
    for part in statement.selects:
        if part.output_name.lower() in QUANTITY_PARTS:
            yield _warning(
                query,
                start_offset(part),
                f"The column {part.output_name} is sent as the quantity of a warehouse"
                f" {part.output_name.removeprefix('qty_')!r}.",
                "For what is available write on hand less sales orders as variants.qty: sql.available(…) does so.",
            )
