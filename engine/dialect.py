"""Parse and check SQL. The way out only reads: a view must be one SELECT, and its columns must fit the contract."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Fault
from engine.quoting import blanked, ident, regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.contract import Entity, Field
    from engine.model import Query

PARSED = frozenset({"tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "snowflake", "redshift", "bigquery"})
"""Dialects that sqlglot knows by the engine's name for them."""

NEAREST = {"access": "tsql"}
"""The nearest that sqlglot knows to another dialect. All others are read as sqlglot's own, which takes most of SQL."""

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

CALLS = frozenset(
    {"nextval", "setval", "set_config", "dblink_exec", "lo_import", "lo_export", "lo_unlink", "pg_terminate_backend"}
    | {"pg_cancel_backend", "pg_reload_conf", "get_lock", "release_lock"}
)
"""Functions that change something in the database, though a SELECT calls them."""

UPPER = frozenset({"oracle", "snowflake", "hana", "firebird"})
LOWER = frozenset({"postgres", "redshift"})
"""Dialects that fold a name without quotes to one case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """What parsing told of a view: its output columns, or None where it could not be parsed."""

    columns: tuple[str, ...] | None


def check_view(query: Query, *, dialect: str, entity: Entity, linked: bool) -> tuple[ViewFacts, tuple[Fault, ...]]:
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

    found = parsed(sql, dialect)
    if isinstance(found, str):
        faults = tuple(_read_only(query, sql, dialect, parsed=False))
        return unread, faults or (_unparsed(query, sql, dialect, found),)
    if not found:
        return unread, (fault_at(query, 1, "The view is empty.", "Write one SELECT."),)
    if len(found) > 1:
        line = _line_of_second(sql, dialect)
        return unread, (
            fault_at(query, line, "The view is more than one statement.", "Keep the one SELECT; CTEs may help."),
        )
    (statement,) = found
    word = _writes(statement) or ("" if isinstance(statement, exp.Query) else _called(statement))
    if word:
        line = _mention(blanked(sql, dialect), word.split()[0])
        return unread, (
            fault_at(
                query,
                line,
                f"The view is not one SELECT: it has {word}.",
                "Views only read. Write one SELECT, WITH first.",
            ),
        )
    for arm in _arms(statement):
        star = next((part for part in arm.selects if part.is_star), None)
        if star is not None:
            line = line_of(star) or _mention(blanked(sql, dialect), "*")
            return unread, (
                fault_at(
                    query,
                    line,
                    "The view selects `*`.",
                    "Name each column, with Stock2Shop's field name as its alias: a column that is added to a table"
                    " would change what is sent.",
                ),
            )
    faults = tuple(_dotted(query, sql, dialect))
    if faults:
        return unread, faults
    return _columns(query, statement, dialect=dialect, entity=entity, linked=linked)


def check_columns(columns: Sequence[str], *, entity: Entity, linked: bool, path: Path) -> tuple[Fault, ...]:
    """Check output names against the contract: each known, none twice, the required ones there."""
    return tuple(
        Fault(path=path, message=message, hint=hint)
        for _, message, hint in _column_faults(columns, entity=entity, linked=linked)
    )


def _columns(
    query: Query, statement: Any, *, dialect: str, entity: Entity, linked: bool
) -> tuple[ViewFacts, tuple[Fault, ...]]:
    """Check the output columns of a parsed view, each fault on the line of its column."""
    parts = statement.selects
    columns = tuple(part.output_name for part in parts)
    faults = [
        fault_at(query, line_of(part), f"Column {number} of the view has no name.", "Give it a field's name with AS.")
        for number, (part, name) in enumerate(zip(parts, columns, strict=True), 1)
        if not name
    ]
    if faults:
        return ViewFacts(columns=columns), tuple(faults)
    for position, message, hint in _column_faults(columns, entity=entity, linked=linked):
        line = None if position is None else line_of(parts[position])
        faults.append(fault_at(query, line, message, hint))
    for part, name in zip(parts, columns, strict=True):
        field = resolve_column(name, entity)
        folded = name.upper() if dialect in UPPER else name.lower() if dialect in LOWER else name
        arrives = resolve_column(folded, entity)
        if field and arrives and not _quoted(part) and arrives.part != field.part:
            faults.append(
                fault_at(
                    query,
                    line_of(part),
                    f"The alias {name} has no quotes: {dialect} makes {folded} of it, and {arrives.part!r} is not"
                    f" {field.part!r} to Stock2Shop.",
                    f"Write: as {ident(name, dialect)}",
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


def parsed(sql: str, dialect: str) -> list[Any] | str:
    """Give the statements of ``sql``, or what sqlglot says of it, as ``line:column message``."""
    import sqlglot
    from sqlglot import errors, exp

    reader = dialect if dialect in PARSED else NEAREST.get(dialect)
    try:
        with _quiet():
            found = sqlglot.parse(sql, dialect=reader, error_level=sqlglot.ErrorLevel.RAISE)
    except errors.ParseError as error:
        details = error.errors[0] if error.errors else {}
        said = details.get("description") or str(error).splitlines()[0]
        return f"{details.get('line') or ''}:{details.get('col') or ''} {said}"
    except errors.SqlglotError as error:
        return f": {str(error).splitlines()[0]}"
    except RecursionError:
        return ": it is nested too deeply"
    return [statement for statement in found if statement is not None and not isinstance(statement, exp.Semicolon)]


def _arms(statement: Any) -> Iterator[Any]:
    """The SELECTs of a UNION, or the one SELECT that it is."""
    from sqlglot import exp

    if isinstance(statement, exp.SetOperation):
        yield from _arms(statement.left)
        yield from _arms(statement.right)
    elif isinstance(statement, exp.Subquery):
        yield from _arms(statement.this)
    elif isinstance(statement, exp.Query):
        yield statement


def _writes(statement: Any) -> str:
    """The first thing in a parsed statement that does more than read; empty where there is none."""
    from sqlglot import exp

    kinds = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
    found = statement.find(*kinds)
    if found is not None:
        return _called(found)
    if statement.find(exp.Lock) is not None:
        return "FOR UPDATE, which locks rows"
    if statement.find(exp.NextValueFor) is not None:
        return "NEXT VALUE FOR"
    calls = (call.name for call in statement.find_all(exp.Anonymous))
    return next((f"{name}(), which changes the database" for name in calls if name.lower() in CALLS), "")


def _called(statement: Any) -> str:
    """What a statement begins with, in capitals."""
    from sqlglot import exp

    return str(statement.this if isinstance(statement, exp.Command) else statement.key).upper()


def _quoted(part: Any) -> bool:
    from sqlglot import exp

    name = part.args.get("alias") or part.this
    return isinstance(name, exp.Identifier) and bool(name.quoted)


def line_of(part: Any) -> int | None:
    """Find the line of the rendered SQL on which an output column gets its name."""
    from sqlglot import exp

    alias = part.args.get("alias")
    lines = [node.meta.get("line") for node in ([alias] if alias else part.walk()) if isinstance(node, exp.Expression)]
    return next((int(line) for line in lines if line), None)


def _dotted(query: Query, sql: str, dialect: str) -> Iterator[Fault]:
    """Find ``x.qty`` without a name, where ``as variants.qty`` was likely meant, and parsed away."""
    for found in re.finditer(r"(?i)\bas\s+(variants|address\d+)\s*\.\s*(\w+)", blanked(sql, dialect)):
        name = f"{found[1]}.{found[2]}"
        yield fault_at(
            query,
            sql.count("\n", 0, found.start()) + 1,
            f"The alias {name} has a dot and must be quoted.",
            f"Write: as {ident(name, dialect)}",
        )


def _read_only(query: Query, sql: str, dialect: str, *, parsed: bool) -> Iterator[Fault]:
    """The rules that need no parser; the first that is broken.

    ``parsed`` leaves those out that the parser knows better, except in T-SQL: there a statement needs no semicolon
    before it, and what the parser takes for an alias may be one.
    """
    text = blanked(sql, dialect)

    def fault(position: int, message: str) -> Fault:
        return fault_at(query, text.count("\n", 0, position) + 1, message, "Views only read. Write one SELECT.")

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


def _unparsed(query: Query, sql: str, dialect: str, said: str) -> Fault:
    place, _, message = said.partition(" ")
    line, _, column = place.partition(":")
    hint = "The database decides; its columns are checked when it runs."
    named = re.search(r"(?i)\bas\s+(variants\.\w+)", blanked(sql, dialect))
    if named:
        line = str(sql.count("\n", 0, named.start()) + 1)
        return fault_at(
            query,
            int(line),
            f"The alias {named[1]} has a dot and must be quoted.",
            f"Write: as {ident(named[1], dialect)}",
        )
    at = _template_line(query, int(line) if line else None)
    return Fault(
        path=query.path,
        line=at,
        column=int(column) if column and at else None,
        severity="warning",
        message=f"The view does not parse as {dialect}: {message}.",
        hint=hint,
    )


def _line_of_second(sql: str, dialect: str) -> int | None:
    found = re.compile(r";[\s;]*(?=\S)").search(blanked(sql, dialect).lstrip(";"))
    return None if found is None else sql.count("\n", 0, found.end()) + 1


def _mention(sql: str, text: str) -> int | None:
    """The line that first has ``text`` as a word."""
    found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", sql, flags=re.IGNORECASE)
    return sql.count("\n", 0, found.start()) + 1 if found else None


def fault_at(query: Query, line: int | None, message: str, hint: str) -> Fault:
    """Make a fault at a line of the rendered SQL: in the template where the two have that line in common."""
    return Fault(path=query.path, line=_template_line(query, line), message=message, hint=hint)


def _template_line(query: Query, line: int | None) -> int | None:
    """The template's line that reads as the rendered ``line`` does; None where no single one does."""
    if line is None:
        return None
    try:
        written = query.path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    rendered = query.sql.split("\n")[line - 1].strip()
    same = [number for number, text in enumerate(written, 1) if text.strip() == rendered]
    if line in same:
        return line
    return same[0] if len(same) == 1 else None
