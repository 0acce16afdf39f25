"""Check a rendered view without a database: it must be one SELECT, and its columns must be Stock2Shop's fields.

Two layers check that a view only reads: the parser's tree, and its text (:mod:`engine.mapping.text_checks`), for what
does not parse and for T-SQL, where a statement may follow another without a semicolon.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.embedded import find_syntax_error
from engine.mapping.column_hazards import find_column_hazards
from engine.mapping.hazards import find_hazards
from engine.mapping.locate import diagnostic_at, find_word, locate_error
from engine.mapping.parse import (
    LOWERCASE_DIALECTS,
    UPPERCASE_DIALECTS,
    ParseFailure,
    is_quoted,
    parse_cached,
    plain_reason,
    start_offset,
    statement_kind,
    union_arms,
)
from engine.mapping.text_checks import check_keywords, check_semicolons, check_text, unquoted_dots
from engine.quoting import alias, blanked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.errors import Diagnostic
    from engine.model.fields import Entity, Field
    from engine.model.query import Query

MODIFYING_FUNCTIONS = frozenset(
    {"nextval", "setval", "set_config", "dblink_exec", "lo_import", "lo_export", "lo_unlink", "pg_terminate_backend"}
    | {"pg_cancel_backend", "pg_reload_conf", "get_lock", "release_lock"}
)
"""Functions that change something in the database, although a SELECT calls them."""


def check_view(
    query: Query, *, dialect: str, entity: Entity, linked: bool, is_file: bool = False
) -> tuple[tuple[str, ...] | None, tuple[Diagnostic, ...]]:
    """Check a rendered view, and return its output columns and what is wrong with it.

    ``is_file`` tells that the database is a DuckDB or SQLite file, which this process reads itself. The columns are
    None where they cannot be told. Of what is wrong, the first of these is returned:

    1. What no database accepts, such as a quote without an end, and a keyword that writes.
    2. That the view does not parse, which is a warning: ERPs have unusual dialects, and the database decides. It is an
       error where a semicolon in it may begin another statement, and where a file's database does not read the view,
       whatever the parser makes of it.
    3. No statement, several statements, or one that is no SELECT.
    4. A ``*`` among the output columns.
    5. Everything about the output columns: without a name, unknown, repeated, missing, or with an alias that the
       database would change; and warnings of what is likely a mistake.
    """
    sql = query.sql.lstrip("\ufeff")
    problems = tuple(check_text(query, sql, dialect)) or tuple(check_keywords(query, sql, dialect, parsed=True))
    if problems:
        return None, problems
    statements = parse_cached(sql, dialect)
    refusal = find_syntax_error(sql, dialect) if is_file else ""
    if isinstance(statements, ParseFailure):
        problems = (
            *check_keywords(query, sql, dialect, parsed=False),
            *check_semicolons(query, sql, dialect, parsed=False),
            *unquoted_dots(query, sql, dialect),
        )
        return None, problems[:1] or (_parse_problem(query, dialect, statements, sql, refusal=refusal),)
    problem = _check_statement(query, sql, statements, dialect)
    if problem is not None:
        return None, (problem,)
    problems = (*check_semicolons(query, sql, dialect, parsed=True), *unquoted_dots(query, sql, dialect))
    if not problems and refusal:
        place = locate_error(query, refusal, dialect=dialect)
        hint = "Look at what stands before it: a comma, an operator or a bracket may be missing."
        problems = (diagnostic_at(query, place, f"The database does not read the view: {refusal}.", hint),)
    if problems:
        return None, problems
    return _check_parsed_columns(query, statements[0], dialect=dialect, entity=entity, linked=linked)


def _check_statement(query: Query, sql: str, statements: list[Any], dialect: str) -> Diagnostic | None:
    """Return why parsed statements are not one SELECT with named columns; None where they are."""
    from sqlglot import exp

    if not statements:
        return diagnostic_at(query, 0, "The view is empty.", "Write one SELECT.")
    plain = blanked(sql, dialect)
    if len(statements) > 1:
        second = re.compile(r";[\s;]*(?=\S)").search(plain.lstrip(";"))
        offset = second.end() + len(sql) - len(sql.lstrip(";")) if second else None
        return diagnostic_at(query, offset, "The view is more than one statement.", "Keep one SELECT; CTEs may help.")
    (statement,) = statements
    word = _writing_part(statement) or ("" if isinstance(statement, exp.Query) else statement_kind(statement))
    if word:
        return diagnostic_at(
            query,
            find_word(plain, word.split()[0]),
            f"The view is not one SELECT: it has {word}.",
            "Views only read. Write one SELECT, or WITH and then SELECT.",
        )
    for arm in union_arms(statement):
        star = next((part for part in arm.selects if part.is_star), None)
        if star is not None:
            offset = start_offset(star)
            return diagnostic_at(
                query,
                find_word(plain, "*") if offset is None else offset,
                "The view selects `*`.",
                "Name each column, with Stock2Shop's field name as its alias: a column that is added to a table"
                " would change what is sent.",
            )
    return None


def check_columns(query: Query, columns: Sequence[str], *, entity: Entity, linked: bool) -> tuple[Diagnostic, ...]:
    """Check the columns that the database returns for a view: each known, none repeated, all required ones there."""
    return tuple(
        diagnostic_at(query, None if position is None else find_word(query.sql, columns[position]), message, hint)
        for position, message, hint in _find_column_faults(columns, entity=entity, linked=linked)
    )


def _check_parsed_columns(
    query: Query, statement: Any, *, dialect: str, entity: Entity, linked: bool
) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """Check the output columns of a parsed view; each diagnostic stands on the line of its column."""
    parts = statement.selects
    columns = tuple(part.output_name for part in parts)
    problems = [
        diagnostic_at(
            query, start_offset(part), f"Column {number} of the view has no name.", "Give it a field's name with AS."
        )
        for number, (part, name) in enumerate(zip(parts, columns, strict=True), 1)
        if not name
    ]
    if problems:
        return columns, tuple(problems)
    for position, message, hint in _find_column_faults(columns, entity=entity, linked=linked):
        at = None if position is None else start_offset(parts[position])
        problems.append(diagnostic_at(query, at, message, hint))
    if not problems:
        fields = [resolve_column(name, entity) for name in columns]
        problems += find_column_hazards(query, parts, fields, entity=entity, linked=linked)
    if linked and not any(problem.severity == "error" for problem in problems):
        problems += _missing_for_api(query, columns, entity=entity)
    for part, name in zip(parts, columns, strict=True):
        field = resolve_column(name, entity)
        folded = (
            name.upper() if dialect in UPPERCASE_DIALECTS else name.lower() if dialect in LOWERCASE_DIALECTS else name
        )
        arrives = resolve_column(folded, entity)
        if field and arrives and not is_quoted(part) and arrives.placeholder_value != field.placeholder_value:
            problems.append(
                diagnostic_at(
                    query,
                    start_offset(part),
                    f"The alias {name} is not quoted: {dialect} changes it to {folded}, and to Stock2Shop"
                    f" {arrives.placeholder_value!r} is not {field.placeholder_value!r}.",
                    f"Write: as {alias(name, dialect)}",
                )
            )
    if not any(problem.severity == "error" for problem in problems):
        problems += find_hazards(query, statement, dialect=dialect)
    return columns, tuple(problems)


def _find_column_faults(
    columns: Sequence[str], *, entity: Entity, linked: bool
) -> Iterator[tuple[int | None, str, str]]:
    """Yield what is wrong with output names: the position of the column, or None for all; the message and the hint."""
    seen: dict[str, str] = {}
    for position, column in enumerate(columns):
        field = resolve_column(column, entity)
        if field is None:
            close = entity.suggest(column)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            yield (
                position,
                f"Stock2Shop has no field {column!r} for {entity.name}.",
                f"{hint}A column of your own is an attribute: call it meta_NAME, price_NAME or qty_NAME.",
            )
        elif field.name in seen:
            other = seen[field.name]
            also = "" if other == column else f" ({other!r} is the same field)"
            yield position, f"The field {column!r} appears twice{also}.", "Keep one of them."
        else:
            seen[field.name] = column
    for field in entity.required(linked=linked):
        if field.name not in seen:
            yield (
                None,
                f"The required field {field.name!r} is not among the view's columns.",
                f"Add it: {field.meaning}",
            )


def _missing_for_api(query: Query, columns: Sequence[str], *, entity: Entity) -> Iterator[Diagnostic]:
    """Yield a warning for each field that a linked view may leave out, but that Stock2Shop's API requires."""
    seen = {field.name for column in columns if (field := resolve_column(column, entity)) is not None}
    for field in entity.required(linked=False):
        if field.name not in seen and field.name != entity.flag:
            yield replace(
                diagnostic_at(
                    query,
                    None,
                    f"Stock2Shop's API requires {field.name!r} with every item, and may refuse the items of this view.",
                    "Map it too: which of its fields a linked source may write is set in Stock2Shop's console.",
                ),
                severity="warning",
            )


def resolve_column(column: str, entity: Entity) -> Field | None:
    """Return the field that a column name means, in any case, as databases change it; None where there is none."""
    field = entity.resolve(column)
    if field is not None:
        return field
    folded = {
        name.lower(): name for known in entity.fields if not known.dynamic for name in (known.name, *known.aliases)
    }
    if column.lower() in folded:
        return entity.resolve(folded[column.lower()])
    for name in (name for known in entity.fields if known.dynamic for name in (known.name, *known.aliases)):
        before, after = name.split("NAME" if "NAME" in name else "N")
        part = column[len(before) : len(column) - len(after)]
        if part and f"{before}{part}{after}".lower() == column.lower():
            found = entity.resolve(f"{before}{part}{after}")
            if found is not None:
                return found
    return None


def resolve_columns(columns: Sequence[str], *, entity: Entity) -> tuple[str, ...]:
    """Return the field name of each column. Raises :class:`KeyError` for a column that means no field."""
    names = []
    for column in columns:
        field = resolve_column(column, entity)
        if field is None:
            raise KeyError(column)
        names.append(field.name)
    return tuple(names)


def _writing_part(statement: Any) -> str:
    """Return the name of the first part of a statement that does more than read; empty where there is none."""
    from sqlglot import exp

    kinds = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
    for part in statement.walk():
        if isinstance(part, kinds):
            return statement_kind(part)
        if isinstance(part, exp.Lock):
            return "FOR UPDATE, which locks rows"
        if isinstance(part, exp.NextValueFor):
            return "NEXT VALUE FOR"
        if isinstance(part, exp.Anonymous) and part.name.lower() in MODIFYING_FUNCTIONS:
            return f"{part.name}(), which changes the database"
    return ""


def _parse_problem(query: Query, dialect: str, failure: ParseFailure, sql: str, *, refusal: str) -> Diagnostic:
    """Return what is said of a view that does not parse.

    It is an error where the database's own parser says ``refusal``, else a warning: ERPs have unusual dialects.
    """
    message = f"The view does not parse as {dialect}: {plain_reason(failure, sql)}."
    if refusal:
        return diagnostic_at(query, failure.offset, message, f"The database does not read it either: {refusal}.")
    hint = "The database may accept it all the same; its columns are checked when it runs."
    return replace(diagnostic_at(query, failure.offset, message, hint), severity="warning")
