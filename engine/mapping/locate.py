"""Find which place in a template a problem with the rendered SQL is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import Diagnostic
from engine.quoting import regions

if TYPE_CHECKING:
    from engine.model.query import Query

_QUOTED_NAMES = re.compile(r"[\"'`\[](\w[\w.$# ]*)[\"'`\]]|(?:no such \w+:|column|relation) ([\w.$#]+)|\w+ ([\w.]+)\(")
"""Names in databases' error messages: in quotes, after words such as ``column``, or before a bracket."""


def find_word(sql: str, text: str) -> int | None:
    """Return the offset at which ``sql`` first has ``text`` as a whole word, in any case; None where it has not."""
    found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", sql, flags=re.IGNORECASE)
    return found.start() if found else None


def locate_error(query: Query, message: str, *, dialect: str) -> int | None:
    """Return the offset in a view's SQL that a database's error message is about, or None where it tells none.

    DuckDB and MySQL name a line; of other messages the first name in them that the view has is taken.
    """
    line = re.search(r"LINE (\d+):|at line (\d+)", message) if dialect in {"duckdb", "mysql"} else None
    if line:
        start = sum(len(each) + 1 for each in query.sql.split("\n")[: int(line[1] or line[2]) - 1])
        return len(query.sql) - len(query.sql[start:].lstrip())
    sql = list(query.sql)
    for region in regions(query.sql, dialect):
        if region.kind != "name":
            sql[region.start : region.end] = " " * (region.end - region.start)
    quoted = _QUOTED_NAMES.findall(message)
    names = (name.rpartition(".")[2] for found in quoted for name in found if name)
    return next((at for name in names if (at := find_word("".join(sql), name)) is not None), None)


def diagnostic_at(query: Query, offset: int | None, message: str, hint: str) -> Diagnostic:
    """Return a diagnostic at the template's place for an offset of the rendered SQL; at its file where that is unknown.

    Inside a macro of another file, the hint also names the place from which the macro is called.
    """
    place = None if offset is None or query.source_map is None else query.source_map(query.sql)(offset)
    if place is None:
        return Diagnostic(path=query.path, message=message, hint=hint)
    if place.called_from is not None:
        caller = place.called_from
        where = Diagnostic(path=caller.path, line=caller.line, column=caller.column, message="").where
        hint = f"The macro is called at {where}. {hint}"
    return Diagnostic(path=place.path, line=place.line, column=place.column, message=message, hint=hint)
