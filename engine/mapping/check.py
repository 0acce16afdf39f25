"""Parse and check SQL. The way out only reads: a view must be one SELECT, and its columns must fit the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.mapping.locate import diagnostic_at, find_word
from engine.mapping.parse import CALLS, LOWER, UPPER, is_quoted, parse_cached, start_of, statement_kind, union_arms
from engine.quoting import alias, blanked, regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.errors import Diagnostic
    from engine.model.fields import Entity, Field
    from engine.model.query import Query

WRITES = frozenset(
    {"insert", "update", "delete", "merge", "into", "drop", "create", "alter", "truncate", "grant", "revoke", "exec"}
    | {"execute"}
)
"""Words that do more than read wherever they stand; ``into`` makes a SELECT write a table or a file."""

RESERVED = WRITES | frozenset(
    {"backup", "begin", "checkpoint", "commit", "dbcc", "deallocate", "declare", "deny", "goto", "kill", "print"}
    | {"raiserror", "reconfigure", "restore", "return", "revert", "rollback", "save", "set", "shutdown", "updatetext"}
    | {"use", "waitfor", "while", "writetext"}
)
"""Words that begin a statement in T-SQL, where no semicolon need come before one, and that can be no bare name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """What parsing told of a view: its output columns, or None where it could not be parsed."""

    columns: tuple[str, ...] | None


def check_view(query: Query, *, dialect: str, entity: Entity, linked: bool) -> tuple[ViewFacts, tuple[Diagnostic, ...]]:
    """Check a rendered view without a database: one SELECT, no ``*`` at the top, columns that the contract knows.

    What cannot be parsed is a warning, because ERPs have odd dialects; it may still hold no word that writes.
    Importing the parser costs a third of a second: the answer depends only on the arguments, so keep it by
    ``query.digest``.
    """
    sql = query.sql.lstrip("\ufeff")
    unread = ViewFacts(columns=None)
    faults = tuple(_read_only(query, sql, dialect, parsed=True))
    if faults:
        return unread, faults
    from sqlglot import exp

    found = parse_cached(sql, dialect)
    if isinstance(found, str):
        faults = tuple(_read_only(query, sql, dialect, parsed=False))
        return unread, faults or (_unparsed(query, sql, dialect, found),)
    if not found:
        return unread, (diagnostic_at(query, 0, "The view is empty.", "Write one SELECT."),)
    if len(found) > 1:
        second = re.compile(r";[\s;]*(?=\S)").search(blanked(sql, dialect).lstrip(";"))
        at = second.end() + len(sql) - len(sql.lstrip(";")) if second else None
        return unread, (
            diagnostic_at(query, at, "The view is more than one statement.", "Keep the one SELECT; CTEs may help."),
        )
    (statement,) = found
    word = _writes(statement) or ("" if isinstance(statement, exp.Query) else statement_kind(statement))
    if word:
        return unread, (
            diagnostic_at(
                query,
                find_word(blanked(sql, dialect), word.split()[0]),
                f"The view is not one SELECT: it has {word}.",
                "Views only read. Write one SELECT, WITH first.",
            ),
        )
    for arm in union_arms(statement):
        star = next((part for part in arm.selects if part.is_star), None)
        if star is not None:
            return unread, (
                diagnostic_at(
                    query,
                    find_word(blanked(sql, dialect), "*") if (at := start_of(star)) is None else at,
                    "The view selects `*`.",
                    "Name each column, with Stock2Shop's field name as its alias: a column that is added to a table"
                    " would change what is sent.",
                ),
            )
    faults = tuple(_dotted(query, sql, dialect))
    if faults:
        return unread, faults
    return _columns(query, statement, dialect=dialect, entity=entity, linked=linked)


def check_columns(query: Query, columns: Sequence[str], *, entity: Entity, linked: bool) -> tuple[Diagnostic, ...]:
    """Check the names that the database gives to a view's columns: each known, none twice, the required ones there."""
    return tuple(
        diagnostic_at(query, None if position is None else find_word(query.sql, columns[position]), message, hint)
        for position, message, hint in _column_faults(columns, entity=entity, linked=linked)
    )


def _columns(
    query: Query, statement: Any, *, dialect: str, entity: Entity, linked: bool
) -> tuple[ViewFacts, tuple[Diagnostic, ...]]:
    """Check the output columns of a parsed view, each fault on the line of its column."""
    parts = statement.selects
    columns = tuple(part.output_name for part in parts)
    faults = [
        diagnostic_at(
            query, start_of(part), f"Column {number} of the view has no name.", "Give it a field's name with AS."
        )
        for number, (part, name) in enumerate(zip(parts, columns, strict=True), 1)
        if not name
    ]
    if faults:
        return ViewFacts(columns=columns), tuple(faults)
    for position, message, hint in _column_faults(columns, entity=entity, linked=linked):
        at = None if position is None else start_of(parts[position])
        faults.append(diagnostic_at(query, at, message, hint))
    if linked and not faults:
        faults += _wanted(query, columns, entity=entity)
    for part, name in zip(parts, columns, strict=True):
        field = resolve_column(name, entity)
        folded = name.upper() if dialect in UPPER else name.lower() if dialect in LOWER else name
        arrives = resolve_column(folded, entity)
        if field and arrives and not is_quoted(part) and arrives.part != field.part:
            faults.append(
                diagnostic_at(
                    query,
                    start_of(part),
                    f"The alias {name} has no quotes: {dialect} makes {folded} of it, and {arrives.part!r} is not"
                    f" {field.part!r} to Stock2Shop.",
                    f"Write: as {alias(name, dialect)}",
                )
            )
    return ViewFacts(columns=columns), tuple(faults)


def _column_faults(columns: Sequence[str], *, entity: Entity, linked: bool) -> Iterator[tuple[int | None, str, str]]:
    """What is wrong with output names: the position of the column, the message and the hint."""
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
            yield position, f"The field {column!r} stands twice{also}.", "Keep one of them."
        else:
            seen[field.name] = column
    for field in entity.required(linked=linked):
        if field.name not in seen:
            yield (
                None,
                f"The required field {field.name!r} is not among the view's columns.",
                f"Add it: {field.meaning}",
            )


def _wanted(query: Query, columns: Sequence[str], *, entity: Entity) -> Iterator[Diagnostic]:
    """Warn of what a linked view may leave out, and Stock2Shop's API asks for with every item all the same."""
    seen = {field.name for column in columns if (field := resolve_column(column, entity)) is not None}
    for field in entity.required(linked=False):
        if field.name not in seen and field.name != entity.flag:
            yield replace(
                diagnostic_at(
                    query,
                    None,
                    f"Stock2Shop's API asks for {field.name!r} with every item, and may refuse those of this view.",
                    "Map it too: which of its fields a linked source may write is set in Stock2Shop's console.",
                ),
                severity="warning",
            )


def resolve_column(column: str, entity: Entity) -> Field | None:
    """The field that a column means; where only its case is off, as databases fold it, the one that it must mean."""
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
    """The canonical field name of each column. Raises :class:`KeyError` for one that means no field."""
    names = []
    for column in columns:
        field = resolve_column(column, entity)
        if field is None:
            raise KeyError(column)
        names.append(field.name)
    return tuple(names)


def _writes(statement: Any) -> str:
    """The first thing in a parsed statement that does more than read; empty where there is none."""
    from sqlglot import exp

    kinds = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
    found = statement.find(*kinds)
    if found is not None:
        return statement_kind(found)
    if statement.find(exp.Lock) is not None:
        return "FOR UPDATE, which locks rows"
    if statement.find(exp.NextValueFor) is not None:
        return "NEXT VALUE FOR"
    calls = (call.name for call in statement.find_all(exp.Anonymous))
    return next((f"{name}(), which changes the database" for name in calls if name.lower() in CALLS), "")


def _dotted(query: Query, sql: str, dialect: str) -> Iterator[Diagnostic]:
    """Find ``x.qty`` without a name, where ``as variants.qty`` was likely meant, and parsed away."""
    for found in re.finditer(r"(?i)\bas\s+(variants|address\d+)\s*\.\s*(\w+)", blanked(sql, dialect)):
        name = f"{found[1]}.{found[2]}"
        yield diagnostic_at(
            query,
            found.start(1),
            f"The alias {name} has a dot and must be quoted.",
            f"Write: as {alias(name, dialect)}",
        )


def _read_only(query: Query, sql: str, dialect: str, *, parsed: bool) -> Iterator[Diagnostic]:
    """The rules that need no parser; the first that is broken.

    ``parsed`` leaves those out that the parser knows better, except in T-SQL: there a statement needs no semicolon
    before it, and what the parser takes for an alias may be one.
    """
    text = blanked(sql, dialect)

    def fault(position: int, message: str) -> Diagnostic:
        return diagnostic_at(query, position, message, "Views only read. Write one SELECT.")

    if dialect == "mysql":
        for region in regions(sql, dialect):
            if sql.startswith(("/*!", "/*M!"), region.start):
                yield fault(region.start, "The view has a comment that MySQL runs: /*! … */.")
                return
    if parsed and dialect != "tsql":
        return
    tokens = [(found[0].lower(), found.start()) for found in re.finditer(r"[\w@#$]+|[.;()]", text)]
    while tokens and tokens[0][0] in {";", "("}:
        tokens.pop(0)
    if not tokens:
        return
    if tokens[0][0] not in {"select", "with"}:
        if not parsed:
            yield fault(tokens[0][1], f"The view begins with {tokens[0][0].upper()}, not with SELECT or WITH.")
        return
    banned = RESERVED if dialect == "tsql" else WRITES
    for number, (word, position) in enumerate(tokens):
        before = tokens[number - 1][0] if number else ""
        after = tokens[number + 1][0] if number + 1 < len(tokens) else ""
        if word == ";" and after not in {"", ";"} and not parsed:
            yield fault(position, "The view is more than one statement.")
            return
        if word not in banned or before == "." or after == ".":
            continue
        if _harmless(word, before, after):
            continue
        yield fault(position, f"The view has the word {word.upper()}, which does more than read.")
        return


def _harmless(word: str, before: str, after: str) -> bool:
    """Whether a word that begins a statement elsewhere is part of a SELECT here."""
    functions = {"insert", "truncate"}
    hints = {("merge", "join"), ("merge", "union"), ("use", "hint"), ("use", "plan")}
    return (word in functions and after == "(") or (word, after) in hints or (word == "set" and before == "character")


def _unparsed(query: Query, sql: str, dialect: str, said: str) -> Diagnostic:
    named = re.search(r"(?i)\bas\s+(variants\.\w+)", blanked(sql, dialect))
    if named:
        return diagnostic_at(
            query,
            named.start(1),
            f"The alias {named[1]} has a dot and must be quoted.",
            f"Write: as {alias(named[1], dialect)}",
        )
    place, _, message = said.partition(" ")
    return replace(
        diagnostic_at(
            query,
            int(place) if place else None,
            f"The view does not parse as {dialect}: {message}.",
            "The database decides; its columns are checked when it runs.",
        ),
        severity="warning",
    )
