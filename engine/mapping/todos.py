"""Find the TODOs that stand in a view: what was proposed, and what nobody has decided yet."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.mapping.locate import diagnostic_at
from engine.quoting import regions
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query

MAX_LINES = 8
"""How many lines with a TODO are named."""


def standing_todos(query: Query, *, dialect: str) -> Iterator[Diagnostic]:
    """Yield one warning where comments of a view begin with TODO, at the first, with the lines of the others."""
    found = [
        each.start + begun.end() - len("TODO")
        for each in regions(query.sql, dialect)
        if each.kind == "comment" and (begun := re.match(r"\W*TODO\b", query.sql[each.start : each.end]))
    ]
    if not found:
        return
    first = query.sql[found[0] :].partition("\n")[0].removeprefix("TODO").strip(" :")
    places = [diagnostic_at(query, offset, "", "").line for offset in found[1:]]
    lines = ", ".join(str(line) for line in places[:MAX_LINES] if line is not None)
    more = f" Others: {'line' if len(places) == 1 else 'lines'} {lines}{', …' if len(places) > MAX_LINES else ''}."
    message = f"{len(found)} {plural(len(found), 'TODO')} of this view {'is' if len(found) == 1 else 'are'} not decided"
    hint = f"Check what the proposal says, then remove the comment.{more if lines else ''}"
    yield replace(diagnostic_at(query, found[0], f"{message}: {first}", hint), severity="warning")
