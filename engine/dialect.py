"""Parse and check SQL. The way out only reads: a view must be one SELECT, and its columns must fit the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.contract import Entity, Field
    from engine.model import Query

QUOTED = {"tsql": "[{}]", "access": "[{}]", "mysql": "`{}`"}
"""How an alias with a dot is written, where it is not in the standard's double quotes."""

PARSED = frozenset({"tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "snowflake", "redshift", "bigquery"})
"""Dialects that sqlglot knows; the others are read as standard SQL, and what does not parse is only a warning."""

WRITES = frozenset(
    (
        "insert",
        "update",
        "delete",
        "merge",
        "into",
        "drop",
        "create",
        "alter",
        "truncate",
        "grant",
        "revoke",
        "exec",
        "execute",
        "call",
        "replace",
        "upsert",
        "set",
        "attach",
        "detach",
        "copy",
        "vacuum",
        "pragma",
        "lock",
        "use",
        "begin",
        "commit",
        "rollback",
    )
)
"""Words that begin a statement which does more than read; ``into`` makes a SELECT write a table."""

FUNCTIONS = frozenset({"replace", "insert", "truncate"})
"""Words among them that are functions too, where a parenthesis follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """What parsing told of a view: its output columns, or None where it could not be parsed."""

    columns: tuple[str, ...] | None


def check_view(query: Query, *, dialect: str, entity: Entity, linked: bool) -> tuple[ViewFacts, tuple[Fault, ...]]:
    """Check a rendered view without a database: one SELECT, no ``*`` at the top, columns that the contract knows.

    What cannot be parsed is a warning, because ERPs have odd dialects; it may still hold no word that writes.
    """
    import sqlglot
    from sqlglot import errors, exp

    sql = query.sql.lstrip("\ufeff")
    try:
        statements = [
            statement
            for statement in sqlglot.parse(
                sql, dialect=dialect if dialect in PARSED else None, error_level=sqlglot.ErrorLevel.RAISE
            )
            if statement is not None and not isinstance(statement, exp.Semicolon)
        ]
    except errors.SqlglotError as error:
        return ViewFacts(columns=None), (*_read_only(query, sql), _unparsed(query, sql, dialect, error))
    if not statements:
        return ViewFacts(columns=None), (_fault(query, 1, "The view is empty.", "Write one SELECT."),)
    if len(statements) > 1:
        line = _line_of_second(sql)
        return ViewFacts(columns=None), (
            _fault(query, line, "The view is more than one statement.", "Keep the one SELECT; CTEs may help."),
        )
    (statement,) = statements
    writes = _writes(statement)
    if not isinstance(statement, exp.Query) or writes:
        word = writes or statement.key.upper()
        line = _mention(sql, word)
        return ViewFacts(columns=None), (
            _fault(
                query,
                line,
                f"The view is not one SELECT: it has {word}.",
                "Views only read. Write one SELECT, WITH first.",
            ),
        )
    if any(isinstance(part, exp.Star) or (isinstance(part, exp.Column) and part.is_star) for part in statement.selects):
        return ViewFacts(columns=None), (
            _fault(
                query,
                _mention(sql, "*"),
                "The view selects `*`.",
                "Name each column, with Stock2Shop's field name as its alias: a column that is added to a table"
                " would change what is sent.",
            ),
        )
    faults = list(_dotted(query, sql, dialect))
    if faults:
        return ViewFacts(columns=None), tuple(faults)
    columns = tuple(part.output_name for part in statement.selects)
    unnamed = [number for number, name in enumerate(columns, 1) if not name]
    if unnamed:
        faults.append(
            _fault(query, None, f"Column {unnamed[0]} of the view has no name.", "Give it a field's name with AS.")
        )
        return ViewFacts(columns=columns), tuple(faults)
    for fault in check_columns(columns, entity=entity, linked=linked, path=query.path):
        name = re.search(r"'([^']+)'", fault.message)
        line = _mention(sql, name[1]) if name else None
        faults.append(_fault(query, line, fault.message, fault.hint))
    return ViewFacts(columns=columns), tuple(faults)


def check_columns(columns: Sequence[str], *, entity: Entity, linked: bool, path: Path) -> tuple[Fault, ...]:
    """Check output names against the contract: each known, none twice, the required ones there."""
    faults = []
    seen: dict[str, str] = {}
    for column in columns:
        field = resolve_column(column, entity)
        if field is None:
            close = entity.suggest(column)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            faults.append(
                Fault(
                    path=path,
                    message=f"Stock2Shop has no field {column!r} for {entity.name}.",
                    hint=f"{hint}A column of your own is an attribute: call it meta_NAME, price_NAME or qty_NAME.",
                )
            )
        elif field.name in seen:
            other = seen[field.name]
            also = "" if other == column else f" ({other!r} is the same field)"
            faults.append(
                Fault(path=path, message=f"The field {column!r} stands twice{also}.", hint="Keep one of them.")
            )
        else:
            seen[field.name] = column
    faults += [
        Fault(
            path=path,
            message=f"The required field {field.name!r} is not among the view's columns.",
            hint=f"Add it: {field.meaning}",
        )
        for field in entity.required(linked=linked)
        if field.name not in seen
    ]
    return tuple(faults)


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
    for lead in ("price_", "qty_", "meta_", "image"):
        if column.lower().startswith(lead):
            return entity.resolve(lead + column[len(lead) :])
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
    return "" if found is None else str(found.key).upper()


def _dotted(query: Query, sql: str, dialect: str) -> Iterator[Fault]:
    """Find ``x.qty`` without a name, where ``as variants.qty`` was likely meant, and parsed away."""
    for found in re.finditer(r"(?i)\bas\s+(variants|address\d+)\s*\.\s*(\w+)", _blanked(sql)):
        name = f"{found[1]}.{found[2]}"
        quoted = QUOTED.get(dialect, '"{}"').format(name)
        yield _fault(
            query,
            sql.count("\n", 0, found.start()) + 1,
            f"The alias {name} has a dot and must be quoted.",
            f"Write: as {quoted}",
        )


def _read_only(query: Query, sql: str) -> Iterator[Fault]:
    """The rules that hold even where SQL cannot be parsed: it begins as a SELECT, ends once, and no word writes."""
    words = [(found[0].lower(), found.end(), found.start()) for found in re.finditer(r"\w+|;", _blanked(sql))]
    if not words:
        return
    if words[0][0] not in {"select", "with"}:
        yield _fault(
            query, 1, f"The view begins with {words[0][0].upper()}, not with SELECT or WITH.", "Views only read."
        )
        return
    for position, (word, end, start) in enumerate(words):
        line = sql.count("\n", 0, start) + 1
        if word == ";" and position < len(words) - 1:
            yield _fault(query, line, "The view is more than one statement.", "Keep the one SELECT.")
            return
        called = word in FUNCTIONS and _blanked(sql)[end:].lstrip().startswith("(")
        if word in WRITES and not called:
            yield _fault(
                query, line, f"The view has the word {word.upper()}, which does more than read.", "Views only read."
            )
            return


def _unparsed(query: Query, sql: str, dialect: str, error: Any) -> Fault:
    details = getattr(error, "errors", None) or [{}]
    line, column = details[0].get("line"), details[0].get("col")
    said = details[0].get("description") or str(error).splitlines()[0]
    hint = "The database decides; its columns are checked when it runs."
    named = re.search(r"(?i)\bas\s+(variants\.\w+)", _blanked(sql))
    if named:
        quoted = QUOTED.get(dialect, '"{}"').format(named[1])
        hint = f"The alias {named[1]} has a dot and must be quoted: as {quoted}"
    return Fault(
        path=query.path,
        line=line,
        column=column,
        severity="error" if named else "warning",
        message=f"The view does not parse as {dialect}: {said}",
        hint=hint,
    )


def _blanked(sql: str) -> str:
    """``sql`` with comments, texts and quoted names blanked out, each character in its place."""
    pattern = r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\[[^\]]*\]|`[^`]*`"
    return re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found[0]), sql, flags=re.DOTALL)


def _line_of_second(sql: str) -> int | None:
    blank = _blanked(sql)
    end = blank.find(";")
    if end < 0:
        return None
    rest = len(blank[end + 1 :]) - len(blank[end + 1 :].lstrip())
    return blank.count("\n", 0, end + 1 + rest) + 1


def _mention(sql: str, text: str) -> int | None:
    found = re.search(re.escape(text), sql, flags=re.IGNORECASE)
    return sql.count("\n", 0, found.start()) + 1 if found else None


def _fault(query: Query, line: int | None, message: str, hint: str) -> Fault:
    """A fault at a line of the rendered SQL: in the template where the two have that line in common."""
    return Fault(path=query.path, line=_template_line(query, line), message=message, hint=hint)


def _template_line(query: Query, line: int | None) -> int | None:
    """The template's line that reads as the rendered ``line`` does; None where no single one does."""
    if line is None:
        return None
    try:
        written = query.path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    rendered = query.sql.splitlines()[line - 1].strip()
    same = [number for number, text in enumerate(written, 1) if text.strip() == rendered]
    if line in same:
        return line
    return same[0] if len(same) == 1 else None
