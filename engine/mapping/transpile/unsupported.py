"""Find what of another dialect's SQL is not known to mean the same in DuckDB, and cannot be made to.

The tables list what is known, not what is suspected: a part of a statement that no table has is refused. The meanings
are those of the makers' reference manuals; those of PostgreSQL, MariaDB and SQLite are compared with the real
databases in ``tests/mapping/transpile/test_to_duckdb.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import start_offset
from engine.mapping.transpile.facts import (
    COMPARISONS,
    FOR_XML,
    KNOWN_DIALECT_NODES,
    KNOWN_DIALECTS,
    PORTABLE_NODES,
    SELECT_PARTS,
    construct_name,
    is_count,
    is_numeric,
    is_refused_live,
    is_text_literal,
    is_top_100_percent,
    operands,
    output_of,
)
from engine.mapping.transpile.foreign_words import find_foreign, scan_foreign
from engine.mapping.transpile.functions import apply_rule
from engine.mapping.transpile.kinds import fold_of, is_kind
from engine.mapping.transpile.own_types import find_misuse
from engine.mapping.transpile.text_equality import comparison_fold, counts_all, part_fold
from engine.mapping.transpile.unsupported_kinds import find_type_difference
from engine.mapping.transpile.unsupported_numbers import NUMBER_CHECKS
from engine.mapping.transpile.unsupported_text import TEXT_CHECKS
from engine.mapping.transpile.unsupported_types import TYPE_CHECKS
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from engine.errors import Diagnostic
    from engine.mapping.transpile.facts import Unsupported
    from engine.model.query import Query

USE_MACRO = "Import macros/dialect.sql as sql, and write"
"""How a hint begins that names a macro."""

UNSUPPORTED_KEYWORDS = (
    (
        r"\bfor\s+xml\b",
        FOR_XML,
        (
            "sql.list_of(…), which joins rows for every database, or STUFF((SELECT ',' + …"
            " ORDER BY … FOR XML PATH('')), 1, 1, ''), with its order."
        ),
    ),
    (r"\{\s*(fn|d|t|ts)\b", "an ODBC escape {…}", "the database's own function or literal, or a macro."),
    (r"\bcollate\b", "COLLATE", "the comparison without it: fixtures compare texts exactly."),
    (r"\b(un)?pivot\b", "PIVOT", "a sum of CASE for each column."),
    (r"\(\s*\+\s*\)", "Oracle's (+)", "LEFT JOIN."),
    (r"\bconnect\s+by\b", "CONNECT BY", "a recursive WITH."),
)
"""Constructs that sqlglot drops or changes silently, found in the text of the SQL: pattern, name, what to write."""

MYSQL_PIPES = (r"\|\|", "||, which MySQL reads as OR", "sql.concat([…]).")

STANDARD_WINDOW_DIALECTS = KNOWN_DIALECTS | {"hana", "firebird"}
"""Dialects whose window functions are the standard's, as SAP's and Firebird's references have them."""

RANKING_FUNCTIONS = frozenset({"RowNumber", "Rank", "DenseRank"})
"""Window functions that number rows."""


PATTERN_MATCHES = frozenset({"Like", "ILike", "RegexpLike", "RegexpILike", "SimilarTo"})
"""Comparisons with a pattern."""


def scan_text(sql: str, dialect: str) -> Iterator[tuple[int, str, str]]:
    """Yield what is refused by its keywords: the offset in the SQL, the name, and what to write instead."""
    text = blanked(sql, dialect)
    for pattern, name, instead in (*UNSUPPORTED_KEYWORDS, MYSQL_PIPES) if dialect == "mysql" else UNSUPPORTED_KEYWORDS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            yield found.start(), name, instead
    yield from scan_foreign(text, dialect)


def nearest_offset(node: Any) -> int | None:
    """Return the offset in the rendered SQL of a part, or of the nearest part around it whose offset is known."""
    while node is not None:
        at = start_offset(node)
        if at is not None:
            return at
        node = node.parent
    return None


def unsupported_diagnostic(query: Query, offset: int | None, name: str, instead: str) -> Diagnostic:
    """Return the diagnostic of what is refused: its name, and what to write instead."""
    why = "" if is_refused_live(name) else ", which cannot run on fixtures as the database would run it"
    return diagnostic_at(
        query,
        offset,
        f"The view has {name}{why}.",
        f"{USE_MACRO} {instead}" if "sql." in instead else f"Write {instead}",
    )


_COMPARING = COMPARISONS | {"Nullif"}


def find_unsupported(node: Any, dialect: str) -> Unsupported:
    """Return why a part of a parsed statement is refused: its name, and what to write instead; None if it is not."""
    name = type(node).__name__
    if name in COMPARISONS | {"Nullif"} and comparison_fold(node, dialect) == "?":
        return "a comparison of columns whose collations differ", "a column of one collation."
    own = find_foreign(node, dialect) or find_misuse(node, dialect) or find_type_difference(node, dialect)
    if own is not None:
        return own
    if name in PATTERN_MATCHES and "padded" in fold_of(node.this).split("-"):
        return f"{construct_name(node)} of a CHAR, whose blanks count there", "= or a cast to text before it."
    if apply_rule(node, dialect) is not None:
        return None
    if name == "Is" and is_kind(node.this, "zerodate", "zerotime") and not fold_of(node.this):
        return "IS NULL of a date that may be 0000-00-00", "types.toml, which says whether the column may be NULL."
    zero = any(is_kind(value, "zerodate", "zerotime") for value in operands(node)) if name in _COMPARING else False
    if zero and (name != "Nullif" or not node.expression.name):  # a blank text is 0000-00-00 there
        return "a comparison of a date that may be 0000-00-00", "another date, or a text as '2024-01-31', beside it."
    check = CHECKS.get(name)
    if check is not None:
        return check(node, dialect)
    if (
        name in PORTABLE_NODES
        or (name in KNOWN_DIALECT_NODES and dialect in KNOWN_DIALECTS)
        or (name in RANKING_FUNCTIONS and dialect in STANDARD_WINDOW_DIALECTS)
    ):
        return None
    return construct_name(node), "a macro, or CASE."


def _select(node: Any, dialect: str) -> Unsupported:
    others = sorted(key for key, value in node.args.items() if value and key not in SELECT_PARTS)
    if others == ["windows"]:
        return "a WINDOW with a name", "what it says in OVER (…)."
    if others:
        return others[0].strip("_").upper(), "plainer SQL."
    distinct = node.args.get("distinct")
    if _names_an_output_twice(node, dialect):
        return "GROUP BY of a name that an output column has, too", "another alias, or the column with its table."
    if distinct is not None and distinct.args.get("on") is not None:
        if not node.args.get("order"):
            return "DISTINCT ON without ORDER BY", "ORDER BY too."
        groups = list(distinct.args["on"].expressions)
        deciding = [part.this for part in node.args["order"].expressions if part.this not in groups]
        if not all(is_kind(part, "number", "date", "timestamp", "boolean") for part in deciding):
            return "DISTINCT ON that an order of texts decides", "an order by numbers or dates."
    if dialect == "tsql" or any(not counts_all(fold_of(part)) for part in node.walk()):
        return _merged_rows(node)
    return None


def _names_an_output_twice(node: Any, dialect: str) -> bool:
    """Return whether the alias of an output that is made of a column of that name is grouped without regard to case.

    Databases take it for the column or for the output, and DuckDB for the one in GROUP BY and the other in QUALIFY.
    """
    from sqlglot import exp

    group = node.args.get("group")
    for part in group.expressions if group is not None else ():
        output = output_of(node, part)
        if output is part or type(output).__name__ == "Column":
            continue
        same = [column for column in output.find_all(exp.Column) if column.name.lower() == part.name.lower()]
        if same and not all(counts_all(part_fold(each, dialect)) for each in (output, *same)):
            return True
    return False


def _merged_rows(node: Any) -> Unsupported:
    """Refuse window functions over rows of T-SQL that trailing blanks may merge."""
    windows = [part.unalias() for part in node.selects if type(part.unalias()).__name__ == "Window"]
    if node.args.get("distinct") and not all(map(_is_numeric_window, windows)):
        return "DISTINCT of a window function that may give a text", "the window function in a subquery."
    if (
        node.args.get("group")
        and node.args.get("having")
        and any(type(part).__name__ == "Window" for part in node.walk())
    ):
        return "HAVING beside a window function", "the groups in a subquery."
    return None


def _is_numeric_window(window: Any) -> bool:
    return type(window.this).__name__ in RANKING_FUNCTIONS | {"Count", "Sum", "Avg"}


def _join(node: Any, _: str) -> Unsupported:
    method = node.args.get("method")
    if method == "NATURAL":
        return "NATURAL JOIN, which joins on the columns that a fixture happens to have", "JOIN … ON."
    if node.args.get("using") and not counts_all(fold_of(node)):
        return "JOIN … USING of texts that are compared without regard to case or blanks", "JOIN … ON."
    return (f"{method} JOIN", "JOIN … ON.") if method else None


def _tuple(node: Any, _: str) -> Unsupported:
    """Refuse row values: with NULL among them, DuckDB compares them in another way."""
    if type(node.parent).__name__ in {"Values", "Distinct"}:  # that of DISTINCT ON (a, b)
        return None
    return "row values, as (a, b) = (c, d)", "a condition for each of the columns."


def _set_operation(node: Any, dialect: str) -> Unsupported:
    """Refuse EXCEPT and INTERSECT where trailing blanks, case or accents do not count; UNION is rewritten."""
    if dialect != "tsql" and all(counts_all(fold_of(part)) for part in node.walk()):
        return None
    return type(node).__name__.upper(), "EXISTS or NOT EXISTS with a condition."


def _group_by(node: Any, _: str) -> Unsupported:
    others = [key for key, value in node.args.items() if value and key != "expressions"]
    return ("GROUP BY with more than columns", "a UNION of groups.") if others else None


def _column(node: Any, dialect: str) -> Unsupported:
    from sqlglot import exp

    if not isinstance(node.this, (exp.Identifier, exp.Star)):
        return "a value with a currency sign", "the number alone."
    pseudo = {"rownum", "rowid", "level", "systimestamp", "nextval", "currval"}
    if (
        dialect not in {"tsql", "mysql", "postgres"}
        and node.name.lower() in pseudo
        and not node.this.args.get("quoted")
    ):
        return node.name.upper(), "ROW_NUMBER() with an order, or a macro."
    return None


def _in(node: Any, _: str) -> Unsupported:
    kinds = {is_text_literal(part) for part in node.expressions if is_text_literal(part) or is_numeric(part)}
    return ("IN with texts and numbers", "one kind of them.") if len(kinds) > 1 else None


def _limit(node: Any, _: str) -> Unsupported:
    from sqlglot import exp

    if is_top_100_percent(node):
        return None
    options = node.args.get("limit_options")
    if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
        return "TOP or FETCH with PERCENT or TIES", "a number of rows."
    if not is_count(node.args.get("expression") or node.args.get("count")):
        return "TOP or LIMIT with a calculated number", "the number."
    if node.parent.args.get("order") or isinstance(node.parent.parent, exp.Exists):
        return None
    return "TOP or LIMIT without ORDER BY", "ORDER BY too."


def _lateral(node: Any, _: str) -> Unsupported:
    return None if type(node.this).__name__ == "Subquery" else ("APPLY with a function", "a join.")


def _is(node: Any, _: str) -> Unsupported:
    kind = type(node.expression).__name__
    return None if kind in {"Null", "Boolean"} else ("IS between values", "=.")


def _window(node: Any, dialect: str) -> Unsupported:
    if dialect not in STANDARD_WINDOW_DIALECTS:
        return "a window", "a join with a group."
    if type(node.this).__name__ in RANKING_FUNCTIONS and not node.args.get("order"):
        return "ROW_NUMBER or RANK without ORDER BY", "ORDER BY in it."
    return None


def _offset_function(node: Any, dialect: str) -> Unsupported:
    """LAG, LEAD and FIRST_VALUE are standard in the known dialects, if there is an order."""
    at = node.parent
    while type(at).__name__ in {"IgnoreNulls", "RespectNulls"}:
        return f"{construct_name(node)} with NULLs ignored or respected", "a subquery."
    ordered = type(at).__name__ == "Window" and at.args.get("order") is not None
    fine = dialect in KNOWN_DIALECTS and ordered and (node.args.get("offset") is None or is_count(node.args["offset"]))
    return (
        None if fine else (f"{construct_name(node)} without ORDER BY, or with a calculated offset", "ORDER BY in it.")
    )


def _only_of(dialects: Collection[str], name: str, instead: str) -> Callable[[Any, str], Unsupported]:
    return lambda _, dialect: None if dialect in dialects else (name, instead)


CHECKS: dict[str, Callable[[Any, str], Unsupported]] = {
    **NUMBER_CHECKS,
    **TYPE_CHECKS,
    **TEXT_CHECKS,
    "Select": _select,
    "Join": _join,
    "Tuple": _tuple,
    "Except": _set_operation,
    "Intersect": _set_operation,
    "Group": _group_by,
    "Column": _column,
    "In": _in,
    "Limit": _limit,
    "Fetch": _limit,
    "Lateral": _lateral,
    "Mod": _only_of(KNOWN_DIALECTS - {"sqlite"}, "a remainder, which each database takes of other numbers", "CASE."),
    "IntDiv": _only_of((), "a division without a remainder", "FLOOR(…) of a division."),
    "Is": _is,
    "Window": _window,
    "Lag": _offset_function,
    "Lead": _offset_function,
    "FirstValue": _offset_function,
    "Dot": _only_of((), "a function of a schema, or of a value", "its expression."),
    "Placeholder": _only_of((), "a parameter", "the value as {{ value }}."),
    "Parameter": _only_of((), "a parameter", "the value as {{ value }}."),
}
"""The check of each kind of part that means the same only in some cases."""
