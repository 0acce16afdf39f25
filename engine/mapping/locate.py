"""locate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import Diagnostic
from engine.mapping.parse import NAMED_IN_ERROR
from engine.quoting import regions

if TYPE_CHECKING:
    from engine.model.query import Query


def find_word(sql: str, text: str) -> int | None:
    """The offset at which ``sql`` first has ``text`` as a word."""
    found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", sql, flags=re.IGNORECASE)
    return found.start() if found else None


def locate_error(query: Query, said: str, *, dialect: str) -> int | None:
    """The offset in a view of what a database's message is about: its line, or the first of its names that is there."""
    line = re.search(r"LINE (\d+):|at line (\d+)", said) if dialect in {"duckdb", "mysql"} else None
    if line:
        start = sum(len(each) + 1 for each in query.sql.split("\n")[: int(line[1] or line[2]) - 1])
        return len(query.sql) - len(query.sql[start:].lstrip())
    sql = list(query.sql)
    for region in regions(query.sql, dialect):
        if region.kind != "name":
            sql[region.start : region.end] = " " * (region.end - region.start)
    quoted = NAMED_IN_ERROR.findall(said)
    names = (name.rpartition(".")[2] for found in quoted for name in found if name)
    return next((at for name in names if (at := find_word("".join(sql), name)) is not None), None)


def diagnostic_at(query: Query, offset: int | None, message: str, hint: str) -> Diagnostic:
    """Make a fault at an offset of the rendered SQL: at its place in the template that it came from, if that is known.

    Where that is within a macro, the hint says where the macro is called.
    """
    place = None if offset is None or query.places is None else query.places(query.sql)(offset)
    if place is None:
        return Diagnostic(path=query.path, message=message, hint=hint)
    if place.call is not None:
        call = Diagnostic(path=place.call.path, line=place.call.line, column=place.call.column, message="").where
        hint = f"The macro is called at {call}. {hint}"
    return Diagnostic(path=place.path, line=place.line, column=place.column, message=message, hint=hint)
