"""Check the text of a view without a parser: what every database refuses, and what does more than read.

The parser knows more of SQL, but not every ERP's dialect, and what it reads as one statement may be two to a database.
So these checks hold for every view, whether it parses or not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.mapping.locate import diagnostic_at
from engine.mapping.token_checks import find_missing_parts
from engine.quoting import alias, blanked, regions
from engine.text import describe_lookalike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query
    from engine.quoting import Region

WRITE_KEYWORDS = frozenset(
    {"insert", "update", "delete", "merge", "into", "drop", "create", "alter", "truncate", "grant", "revoke", "exec"}
    | {"execute"}
)
"""Keywords that write wherever they stand; ``into`` makes a SELECT write a table or a file."""

TSQL_STATEMENT_KEYWORDS = WRITE_KEYWORDS | frozenset(
    {"backup", "begin", "checkpoint", "commit", "dbcc", "deallocate", "declare", "deny", "goto", "kill", "print"}
    | {"raiserror", "reconfigure", "restore", "return", "revert", "rollback", "save", "set", "shutdown", "updatetext"}
    | {"use", "waitfor", "while", "writetext"}
)
"""Keywords that begin a statement in T-SQL, which needs no semicolon before one, and that can be no unquoted name."""

SCRIPT_HINTS = {
    "set": 'Write what a session needs under [source], as `session = ["set …"]`, and only the SELECT here.',
    "use": "Name the database in the connection, or before the table: database.schema.table.",
    "declare": "Write values under [vars] in project.toml, and {{ vars.name }} in their place.",
    "go": "GO is a command of SQL Server's tools, not SQL: remove it.",
    "exec": "A view cannot call a procedure: write its SELECT here, or ask for a view in the database.",
    "execute": "A view cannot call a procedure: write its SELECT here, or ask for a view in the database.",
    "call": "A view cannot call a procedure: write its SELECT here, or ask for a view in the database.",
}
"""What to write instead of a statement that scripts have, and that views cannot have."""

TRAILING_COMMA_DIALECTS = frozenset({"duckdb", "bigquery", "snowflake"})
"""Dialects that accept a comma after the last column."""

_ENDS = ";" + "".join(filter(str.isspace, map(chr, range(0x3001))))
"""What may stand at the end of a statement, in any number."""

UNCERTAIN = re.compile(r"[\\$`\[\]#\r]|/\*|--|//|[^\W\d_]'", re.ASCII)
"""What databases read in different ways: after it, nobody can say without the database what is inside of quotes."""


def check_text(query: Query, sql: str, dialect: str) -> Iterator[Diagnostic]:
    """Yield what no database accepts in a view: quotes without an end, odd characters, missing columns, scripts.

    ``sql`` is the SQL of ``query`` without a byte-order mark.
    """
    found = list(regions(sql, dialect))
    open_region = next((region for region in found if not region.closed), None)
    if open_region is not None:
        yield _unclosed(query, sql, open_region)
        return
    text = blanked(sql, dialect)
    characters = tuple(_check_characters(query, text, dialect))
    yield from characters
    if characters:
        return
    yield from _check_script(query, text, dialect)
    yield from _check_commas(query, _filled(sql, found), dialect)
    yield from _check_brackets(query, text)
    for offset, message, hint in find_missing_parts(_filled(sql, found), dialect):
        yield diagnostic_at(query, offset, message, hint)


def _check_characters(query: Query, text: str, dialect: str) -> Iterator[Diagnostic]:
    """Yield the first character outside of texts, quoted names and comments that only looks like one of SQL's."""
    for found in re.finditer(r"[^\x00-\x7f]", text):
        hint = describe_lookalike(found[0])
        if hint is None or (dialect == "duckdb" and found[0].isspace()):  # DuckDB reads any space as one
            continue
        yield diagnostic_at(query, found.start(), "The view has a character that SQL does not read as it looks.", hint)
        return


def _filled(sql: str, found: list[Region]) -> str:
    """Return ``sql`` with a letter for each character of a text or a quoted name, and blanks for comments."""
    parts, position = [], 0
    for region in found:
        letter = " " if region.kind == "comment" else "x"
        parts += [sql[position : region.start], letter * (region.end - region.start)]
        position = region.end
    return "".join([*parts, sql[position:]])


def _unclosed(query: Query, sql: str, region: Region) -> Diagnostic:
    what = {"text": "a text", "name": "a quoted name", "comment": "a comment"}[region.kind]
    opener = "/*" if region.kind == "comment" else sql[region.start]
    closer = {"/*": "*/", "[": "]"}.get(opener, opener)
    message = f"{what.capitalize()} begins here with {opener} and does not end."
    return diagnostic_at(query, region.start, message, f"Write {closer} where {what} ends.")


def _check_script(query: Query, text: str, dialect: str) -> Iterator[Diagnostic]:
    """Yield the first word of a script: GO on a line of its own, or SET, USE, DECLARE, EXEC at the beginning."""
    found = re.match(r"[\s;(]*(\w+)", text)
    words = [(found[1], found.start(1))] if found else []
    if dialect == "tsql":
        words += [
            (found[1], found.start(1)) for found in re.finditer(r"(?im)^[ \t]*(go)(?:[ \t]+\d+)?[ \t]*;?[ \t]*$", text)
        ]
    for word, offset in words:
        if word.lower() in SCRIPT_HINTS:
            message = f"The view has {word.upper()}: it must be one SELECT, not a script."
            yield diagnostic_at(query, offset, message, SCRIPT_HINTS[word.lower()])
            return


def _check_commas(query: Query, text: str, dialect: str) -> Iterator[Diagnostic]:
    """Yield a comma after which a column is missing."""
    after = r",|as\b|\)" if dialect in TRAILING_COMMA_DIALECTS else r",|as\b|from\b|where\b|\)"
    found = re.search(rf"(?i),\s*({after})", text)
    if found is None and (first := re.search(r"(?i)\bselect\s+(,|as\b)", text)):
        found = first
    if found is None or (found[1] == ")" and dialect in TRAILING_COMMA_DIALECTS):
        return
    word = found[1].upper() if found[1].isalpha() else found[1]
    message = (
        f"A column is missing: there is a comma, and then {word}."
        if found[0][0] == ","
        else (f"A column is missing before {word}.")
    )
    yield diagnostic_at(query, found.start(), message, "Write the column, or remove the comma.")


def _check_brackets(query: Query, text: str) -> Iterator[Diagnostic]:
    """Yield a round bracket without its counterpart."""
    open_offsets: list[int] = []
    for found in re.finditer(r"[()]", text):
        if found[0] == "(":
            open_offsets.append(found.start())
        elif open_offsets:
            open_offsets.pop()
        else:
            yield diagnostic_at(query, found.start(), "A bracket ) closes nothing.", "Remove it, or write ( before.")
            return
    if open_offsets:
        yield diagnostic_at(query, open_offsets[-1], "A bracket ( is not closed.", "Write ) where it ends.")


def check_keywords(query: Query, sql: str, dialect: str, *, parsed: bool) -> Iterator[Diagnostic]:
    """Yield the first keyword of a view that does more than read.

    ``parsed`` leaves out what the parser finds more exactly. Not in T-SQL: there a statement needs no semicolon before
    it, so that what the parser takes for an alias may be a statement.
    """
    text = blanked(sql, dialect)

    def problem(position: int, message: str) -> Diagnostic:
        return diagnostic_at(query, position, message, "Views only read. Write one SELECT.")

    if dialect == "mysql":
        for region in regions(sql, dialect):
            if sql.startswith(("/*!", "/*M!"), region.start):
                yield problem(region.start, "The view has a comment that MySQL executes: /*! … */.")
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
            yield problem(tokens[0][1], f"The view begins with {tokens[0][0].upper()}, not with SELECT or WITH.")
        return
    banned = TSQL_STATEMENT_KEYWORDS if dialect == "tsql" else WRITE_KEYWORDS
    for number, (word, position) in enumerate(tokens):
        before = tokens[number - 1][0] if number else ""
        after = tokens[number + 1][0] if number + 1 < len(tokens) else ""
        if word not in banned or before == "." or after == ".":
            continue
        if _is_harmless(word, before, after):
            continue
        yield problem(position, f"The view has the word {word.upper()}, which does more than read.")
        return


def _is_harmless(word: str, before: str, after: str) -> bool:
    """Return whether a keyword that begins a statement elsewhere is part of a SELECT here."""
    functions = {"insert", "truncate"}
    hints = {("merge", "join"), ("merge", "union"), ("use", "hint"), ("use", "plan")}
    return (word in functions and after == "(") or (word, after) in hints or (word == "set" and before == "character")


def check_semicolons(query: Query, sql: str, dialect: str, *, parsed: bool) -> Iterator[Diagnostic]:
    """Yield the first semicolon of a view after which another statement may stand.

    A semicolon is harmless at the end, and inside of quotes: of any quotes in a view that was ``parsed``, else only of
    those that all databases read alike.
    """
    found = list(regions(sql, dialect))
    text = blanked(sql, dialect)
    # An expression that is tried behind each blank takes minutes where comments leave 100,000 of them in a row.
    end = len(text.rstrip(_ENDS))
    begin = len(text) - len(text.lstrip(_ENDS))
    for offset in (match.start() for match in re.finditer(";", sql)):
        region = next((region for region in found if region.start <= offset < region.end), None)
        if region is None and (offset < begin or offset >= end):
            continue
        if region is not None and (parsed or _is_certain(sql, region)):
            continue
        message = (
            "The view is more than one statement."
            if region is None
            else ("The view cannot be parsed, and a semicolon in it may begin another statement.")
        )
        yield diagnostic_at(query, offset, message, "Keep one SELECT, without semicolons.")
        return


def _is_certain(sql: str, region: Region) -> bool:
    """Return whether all databases take a region for a text or a quoted name."""
    inside = sql[region.start : region.end]
    return region.kind != "comment" and "\\" not in inside and not UNCERTAIN.search(sql, 0, region.start + 1)


def unquoted_dots(query: Query, sql: str, dialect: str) -> Iterator[Diagnostic]:
    """Yield the aliases with an unquoted dot, such as ``as variants.qty``, which some parsers accept and change."""
    for found in re.finditer(r"(?i)\bas\s+(variants|address\d+)\s*\.\s*(\w+)", blanked(sql, dialect)):
        name = f"{found[1]}.{found[2]}"
        message = f"The alias {name} has a dot and must be quoted."
        yield diagnostic_at(query, found.start(1), message, f"Write: as {alias(name, dialect)}")
