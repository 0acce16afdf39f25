"""Translate a rendered view of another dialect to DuckDB's SQL, so that it runs on fixtures.

sqlglot parses and writes; this package decides what a construct means. A construct is kept where it is known to mean
the same in DuckDB, rewritten where DuckDB can be made to mean the same, and refused otherwise, with its place and what
to write instead: a run on fixtures that is silently different from a live run would be worse than none. The differences
that remain are listed in ``docs/mapping-reviews.md``.

- :mod:`engine.mapping.transpile.unsupported` refuses.
- :mod:`engine.mapping.transpile.rewrite` rewrites.
- :mod:`engine.mapping.transpile.facts` holds what is known of the dialects.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from engine.errors import ViewError
from engine.mapping.case_twins import find_case_twins
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import ParseFailure, parse_cached, plain_reason, start_offset, write_sql
from engine.mapping.scopes import is_star
from engine.mapping.transpile.facts import FOR_XML, is_refused_live
from engine.mapping.transpile.kinds import infer_kinds
from engine.mapping.transpile.name_case import find_name_case
from engine.mapping.transpile.output_names import find_output_names
from engine.mapping.transpile.rewrite import rewrite
from engine.mapping.transpile.rewrite_text import rewrite_xml_lists
from engine.mapping.transpile.unsupported import (
    CHECKS,
    USE_MACRO,
    find_unsupported,
    nearest_offset,
    scan_text,
    unsupported_diagnostic,
)
from engine.mapping.transpile.unsupported_text import BACKSLASH_PATTERN_DIALECTS
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.mapping.transpile.kinds import Columns
    from engine.model.query import Query


BYTE_ORDER_MARK = "\ufeff"


DEPENDENT_COLUMNS_DIALECTS = frozenset({"mysql", "postgres"})
"""Dialects that take a column in a SELECT with GROUP BY that is not grouped, where it depends on what is."""


DUAL_LACKING_DIALECTS = frozenset({"postgres", "sqlite", "tsql"})
"""Dialects without a table DUAL of one row: there it is a table like others."""


def to_duckdb(query: Query, *, dialect: str, columns: Columns | None = None) -> str:
    """Return the view in DuckDB's SQL; tables are called by the last part of their names, in lower case.

    ``columns`` has the kinds of the fixtures' columns, as :mod:`engine.mapping.transpile.kinds` has them.

    1. Parse it.
    2. Infer the kinds of its parts.
    3. Refuse every construct that is not known to mean the same in DuckDB.
    4. Rename the tables to their fixtures.
    5. Rewrite what means something else in DuckDB.

    Raises :class:`ViewError` with everything that was refused.
    """
    from sqlglot.errors import SqlglotError

    if dialect == "duckdb":
        return query.sql
    statement = _parse_view(query, dialect)
    infer_kinds(statement, dialect, columns or {})
    problems = [*_unsupported_parts(query, statement, dialect), *find_case_twins(query, statement, dialect)]
    for node, name, instead in (
        *find_output_names(statement, dialect, columns or {}),
        *find_name_case(statement, dialect, columns or {}),
    ):
        problems.append(unsupported_diagnostic(query, nearest_offset(node), name, instead))
    problems += _rename_tables(query, statement, dialect)
    if problems:
        raise ViewError(problems)
    try:
        return _write_duckdb(statement, dialect)
    except SqlglotError as error:
        raise ViewError(
            [unsupported_diagnostic(query, None, str(error).splitlines()[0], "another spelling.")]
        ) from None


def split_view(query: Query, *, dialect: str, columns: Columns | None = None) -> Iterator[tuple[int, str]]:
    """Yield parts of a view as SELECTs of their own in DuckDB's SQL, each with its offset in the view's SQL.

    Where DuckDB refuses the whole, the error is in the first part that it refuses, too: first the rows that FROM and
    its joins give, then those that WHERE, GROUP BY and HAVING leave, then each output column. Raises
    :class:`ViewError` as :func:`to_duckdb` does.
    """
    from sqlglot import exp

    statement = _parse_view(query, dialect)
    if not isinstance(statement, exp.Select) or any(map(is_star, statement.selects)):
        return
    infer_kinds(statement, dialect, columns or {})
    deque(_rename_tables(query, statement, dialect), maxlen=0)

    def part(expression: Any, *without: str) -> str:
        made = statement.copy()
        for clause in ("order", "limit", "offset", "distinct", *without):
            made.set(clause, None)
        made.set("expressions", [expression.copy()])
        return _write_duckdb(made, dialect)

    clauses = [statement.args.get(name) for name in ("from_", "where", "group", "having")]
    given = [(clause, _first_offset(clause)) for clause in clauses if clause is not None]
    for place, (clause, offset) in enumerate(given):
        later = [type(other).__name__.lower() for other, _ in given[place + 1 :]]
        if offset is not None and type(clause).__name__ != "Group":
            yield offset, part(exp.Literal.number(1), *later)
    for output in statement.selects:
        offset = _first_offset(output)
        if offset is not None:
            yield offset, part(output)


def _first_offset(node: Any) -> int | None:
    return min((int(part.meta["start"]) for part in node.walk() if "start" in part.meta), default=None)


def _write_duckdb(statement: Any, dialect: str) -> str:
    import sqlglot

    made = rewrite(statement, dialect)
    # All names in quotes: what is a word of DuckDB alone, such as a column "at", is a name elsewhere.
    level = sqlglot.ErrorLevel.RAISE
    return str(made.sql(dialect="duckdb", copy=False, unsupported_level=level, comments=False, identify=True))


def _parse_view(query: Query, dialect: str) -> Any:
    """Return the parsed view. Raises :class:`ViewError` where it cannot be parsed."""
    from sqlglot import exp

    found = parse_cached(query.sql.lstrip("\ufeff"), dialect)
    if not isinstance(found, ParseFailure) and len(found) == 1 and isinstance(found[0], exp.Query):
        statement = found[0].copy()
        for call in list(statement.find_all(exp.Anonymous)):
            if str(call.this).lower() == "now" and not call.expressions:  # not every dialect of sqlglot knows it
                call.replace(exp.CurrentTimestamp())
        if dialect in BACKSLASH_PATTERN_DIALECTS:
            for part in list(statement.find_all(exp.Like, exp.ILike)):
                _name_escape(part)
        if dialect in DEPENDENT_COLUMNS_DIALECTS:
            for select in list(statement.find_all(exp.Select)):
                _take_one_value(select)
        return statement
    failure = found if isinstance(found, ParseFailure) else ParseFailure(message="it is not one SELECT")
    message = f"The view cannot be parsed as {dialect}: {plain_reason(failure, query.sql.lstrip(BYTE_ORDER_MARK))}."
    unsupported = [unsupported_diagnostic(query, *found) for found in scan_text(query.sql, dialect)]
    unparsed = diagnostic_at(query, failure.offset, message, f"{USE_MACRO} what is special with them.")
    raise ViewError([*unsupported, unparsed])


def _unsupported_parts(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    """Yield what is refused of the view; of nested constructs only the outer one."""
    rewritten = rewrite_xml_lists(statement) if dialect == "tsql" else 0
    has_other_xml = rewritten < len(re.findall(r"(?i)\bfor\s+xml\b", blanked(query.sql, dialect)))
    for at, name, instead in scan_text(query.sql, dialect):
        if name != FOR_XML or has_other_xml:
            yield unsupported_diagnostic(query, at, name, instead)
    refused: set[int] = set()
    for node in statement.walk():
        unsupported = find_unsupported(node, dialect)
        if (
            has_other_xml
            and unsupported is not None
            and type(node).__name__ in {"Stuff", "Select", "ForClause", "XMLKeyValueOption", "Dot"}
        ):
            continue  # part of FOR XML, which is already refused by its keywords
        if unsupported is not None and id(node.parent) not in refused:
            name, instead = unsupported
            called = "" if is_refused_live(name) else _function_name(query, node)
            yield unsupported_diagnostic(query, nearest_offset(node), called or name, instead)
        if unsupported is not None or id(node.parent) in refused:
            refused.add(id(node))


def _take_one_value(select: Any) -> None:
    """Put ANY_VALUE around the columns of a SELECT with GROUP BY that are neither grouped nor aggregated.

    Some databases take those that depend on what is grouped, as all columns of a table do on its primary key.
    """
    from sqlglot import exp

    group = select.args.get("group")
    if group is None or any(isinstance(part, exp.Literal) for part in group.expressions):
        return
    aliases = {part.alias.lower(): part.unalias() for part in select.selects if part.alias}
    grouped = {write_sql(part, None) for part in group.expressions}
    terms = [part.name.lower() for part in group.expressions if isinstance(part, exp.Column) and not part.table]
    grouped |= {write_sql(aliases[name], None) for name in terms if name in aliases}
    clauses = [select.args.get(name) for name in ("having", "order")]
    for place in [*select.selects, *(clause for clause in clauses if clause is not None)]:
        for column in list(place.find_all(exp.Column)):
            named = place not in select.selects and not column.table and column.name.lower() in aliases
            if named or is_star(column) or column.parent_select is not select or not column.name:
                continue
            at, single = column, False
            while at is not select and at is not None and not single:
                single = isinstance(at, (exp.AggFunc, exp.Filter, exp.WithinGroup)) or write_sql(at, None) in grouped
                at = at.parent
            if not single:
                made = exp.AnyValue(this=column.copy())
                made.meta.update({key: column.meta[key] for key in ("start", "end") if key in column.meta})
                column.replace(made)


def _name_escape(like: Any) -> None:
    """Give a LIKE with a backslash, which escapes a wildcard in some databases, an ESCAPE with another sign."""
    from sqlglot import exp

    pattern = like.expression.name if isinstance(like.expression, exp.Literal) else ""
    sign = next((sign for sign in "!~^|" if sign not in pattern), "")
    if "\\" not in pattern or not sign or isinstance(like.parent, exp.Escape):
        return
    if re.fullmatch(r"(?:[^\\]|\\[%_])*", pattern, flags=re.DOTALL):
        escaped = like.copy()
        escaped.set("expression", exp.Literal.string(pattern.replace("\\", sign)))
        like.replace(exp.Escape(this=escaped, expression=exp.Literal.string(sign)))


def _function_name(query: Query, node: Any) -> str:
    """Return the name of an unknown function as the view writes it; empty for anything else."""
    from sqlglot import exp

    start, end = node.meta.get("start"), node.meta.get("end")
    if start is None or type(node).__name__ in CHECKS or not isinstance(node, exp.Func):
        return ""
    name = query.sql.lstrip("\ufeff")[start : end + 1]
    return f"{name}()" if re.fullmatch(r"\w+", name) else ""


def _rename_tables(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    """Rename each table to the last part of its name, as its fixture is named; yield the tables that share one."""
    from sqlglot import exp

    common = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    qualified_names: dict[str, str] = {}
    for table in list(statement.find_all(exp.Table)):
        whole = ".".join(part.name for part in table.parts).lower()
        if "." not in whole and whole in common:
            continue
        if (
            whole == "dual"
            and dialect not in DUAL_LACKING_DIALECTS
            and isinstance(table.parent, exp.From)
            and _has_no_joins(table.parent)
        ):
            table.parent.pop()
            continue
        name = table.name.lower()
        other = qualified_names.setdefault(name, whole)
        if other != whole:
            yield diagnostic_at(
                query,
                start_offset(table),
                f"The view reads {other} and {whole}, but there is one fixture {name}.csv for both.",
                "Give one of them another name in the database, or write the view in DuckDB's own SQL.",
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


def _has_no_joins(source: Any) -> bool:
    """Return whether a FROM has no joins beside it."""
    return not source.parent.args.get("joins")
