"""Check a view that is rendered for DuckDB itself: the second way to run a view on fixtures, where the first fails.

Macros may then write DuckDB's own SQL. What people wrote by hand is the same text as for the database, so DuckDB must
not read it in another way: everything that the first way would have rewritten or refused is refused here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import ViewError
from engine.mapping.parse import ParseFailure, parse_cached, write_sql
from engine.mapping.transpile.facts import KNOWN_DIALECTS, PADDED_TYPES, TEXT_TYPES, construct_name
from engine.mapping.transpile.kinds import infer_kinds
from engine.mapping.transpile.own_types import find_misuse
from engine.mapping.transpile.rewrite import is_read_differently, rewrite_node
from engine.mapping.transpile.snippets import remember_types
from engine.mapping.transpile.text_order import guard_statement
from engine.mapping.transpile.unsupported import find_unsupported, nearest_offset, scan_text, unsupported_diagnostic
from engine.mapping.transpile.unsupported_kinds import find_type_difference
from engine.quoting import regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.mapping.transpile.kinds import Columns
    from engine.model.query import Query, SourceLocation

ARITHMETIC = frozenset({"Div", "IntDiv", "Mod", "Avg"})
"""Arithmetic that no macro writes, so that it is the view's own."""

MISREAD = ARITHMETIC | {"Anonymous", "DateDiff", "Fetch", "GroupConcat", "Limit"}
"""Refused constructs that DuckDB accepts, but with another meaning."""

MISREAD_IF_KNOWN = frozenset({"Like", "Pad", "RegexpLike", "StrPosition", "Substring", "Trim"})
"""The same for known dialects; for others these are always refused, and macros write them as DuckDB does."""


def check_own_sql(own: Query, query: Query, *, dialect: str, columns: Columns | None = None) -> Query:
    """Check ``own``, the view rendered for DuckDB, for what may mean something else there than in ``dialect``.

    ``query`` is the view rendered for ``dialect``, ``columns`` has the kinds of the fixtures' columns. Refused is

    1. a text of ``query`` that DuckDB would read as a name, and all of ``own`` where it cannot be parsed,
    2. a part of ``query`` that is refused or rewritten in it, and that ``own`` has too, so that no macro changed it;
    3. a part of ``own`` that is written by hand, and that would be rewritten in ``dialect``.

    Returns ``own``, guarded against an order of texts that is not certain. Raises :class:`ViewError` with all that is
    refused.
    """
    keywords = {name for _, name, _ in scan_text(query.sql, dialect)}
    problems = [unsupported_diagnostic(own, *found) for found in scan_text(own.sql, dialect) if found[1] in keywords]
    quoted = {query.sql[region.start : region.end] for region in regions(query.sql, dialect) if region.kind == "text"}
    problems += [
        unsupported_diagnostic(own, region.start, "a text in double quotes", "it in single ones.")
        for region in regions(own.sql, "duckdb")
        if region.kind == "name" and own.sql[region.start : region.end] in quoted
    ]
    statements = _statements(_with_double_quotes(own), "duckdb")
    if not statements:
        instead = "it so that it can be parsed, or a macro that depends on the dialect."
        raise ViewError([unsupported_diagnostic(own, 0, "what cannot be parsed as DuckDB's own SQL", instead)])
    others = _statements(query, dialect)
    for statement in (*statements, *others):
        infer_kinds(statement, dialect, columns or {})
    nodes = [node for other in others for node in other.walk()]
    misread = {_structure(node) for node in nodes if _is_misread(node, dialect)}
    kinds = {structure[0] for structure in misread} & ARITHMETIC
    refusals = [(node, found) for node in nodes if (found := find_unsupported(node, dialect))]
    unknown = {_structure(node) for node, _ in refusals}
    # What stands in a part that is refused as a whole may be a macro's, and so be another there than here.
    reasons = {(type(node).__name__, name) for node, (name, _) in refusals}
    rewritten = {_structure(node) for other in others for node in _rewritten_parts(other, dialect)}
    is_handwritten = _is_handwritten(own, query)
    for statement in statements:
        changed = {id(node) for node in _rewritten_parts(statement, dialect)}
        for node in statement.walk():
            refused = find_unsupported(node, dialect)
            structure = _structure(node)
            typed = find_misuse(node, dialect) or (find_type_difference(node, dialect) if dialect == "mysql" else None)
            if typed:  # a macro's own SQL as well: fixtures keep other values in such a column than the database
                problems.append(unsupported_diagnostic(own, nearest_offset(node), *typed))
                continue
            same = structure in misread or (structure in rewritten and not _is_text_cast(node))
            known = refused and (
                structure in unknown or (structure[0], refused[0]) in reasons or _stands_in(query, own, node)
            )
            if same or (structure[0] in kinds and refused) or ((known or id(node) in changed) and is_handwritten(node)):
                name, instead = refused or (construct_name(node), "it in a macro that depends on the dialect.")
                problems.append(unsupported_diagnostic(own, nearest_offset(node), name, instead))
    if problems:
        raise ViewError(list(dict.fromkeys(problems)))
    if len(statements) != 1:
        return own
    guarded = guard_statement(statements[0], dialect)
    return own if guarded == statements[0] else replace(own, sql=write_sql(guarded, "duckdb"))


def _with_double_quotes(own: Query) -> Query:
    """Return a view for DuckDB with names in double quotes where it has backticks, which only DuckDB itself reads."""
    parts, position = [], 0
    for region in regions(own.sql, "duckdb"):
        text = own.sql[region.start : region.end]
        name = '"' + text[1:-1].replace('"', '""') + '"' if text[0] + text[-1] == "``" else text
        parts += [own.sql[position : region.start], name]
        position = region.end
    return replace(own, sql="".join([*parts, own.sql[position:]]))


def _statements(query: Query, dialect: str) -> list[Any]:
    """Return the parsed statements of a view; none where it cannot be parsed."""
    found = parse_cached(query.sql.lstrip("\ufeff"), dialect)
    return [] if isinstance(found, ParseFailure) else [statement.copy() for statement in found]


def _rewritten_parts(statement: Any, dialect: str) -> Iterator[Any]:
    """Yield the parts of a statement that mean something else in DuckDB, unless they are rewritten."""
    nodes = list(statement.copy().walk())
    remember_types(nodes, dialect)
    for original, node in zip(statement.walk(), nodes, strict=True):
        if find_unsupported(original, dialect) is None:
            made = rewrite_node(node, dialect, text_order=False)
            if made is not None and write_sql(made, "duckdb") != write_sql(node, "duckdb"):
                yield original


def _stands_in(query: Query, own: Query, node: Any) -> bool:
    """Return whether the other rendering has the same call, compared up to its first argument."""
    call = re.match(r"\w+\s*\([^,()]+", own.sql.lstrip("\ufeff")[node.meta.get("start", len(own.sql)) :])
    return call is not None and call[0] in query.sql


def _is_handwritten(own: Query, query: Query) -> Callable[[Any], bool]:
    """Return a function that tells whether a part of ``own`` is written by hand, and so for the database too.

    A part is written by hand if any of it stands in the view itself, outside of what only DuckDB gets, or if it puts
    together what several macro calls write.
    """
    if own.source_map is None or query.source_map is None:
        return lambda _: True
    locate, locate_in_query = own.source_map(own.sql), query.source_map(query.sql)
    in_query = {_key(place) for offset in range(len(query.sql)) if (place := locate_in_query(offset)) is not None}

    def is_handwritten(node: Any) -> bool:
        start = _operator_offset(node, own.sql)
        starts = [start] if start is not None else [part.meta.get("start") for part in node.walk()]
        places = [locate(int(start)) for start in starts if start is not None]
        calls = {None if place is None or place.called_from is None else _key(place.called_from) for place in places}
        by_hand = (place is None or (_is_in_view(place) and _key(place) in in_query) for place in places)
        return len(calls - {None}) > 1 or any(by_hand)

    return is_handwritten


def _operator_offset(node: Any, sql: str) -> int | None:
    """Return the offset of a function's name, or of the operator between two operands; None for other parts."""
    from sqlglot import exp

    start = node.meta.get("start")
    if start is not None or not isinstance(node, exp.Binary):
        return None if start is None else int(start)
    starts = [int(part.meta["start"]) for part in node.right.walk() if "start" in part.meta]
    before = sql[: min(starts)].rstrip("\"'`[( \t\r\n") if starts else ""
    return len(before) - 1 if before else None


def _key(place: SourceLocation) -> tuple[str, int, int]:
    return str(place.path), place.line, place.column


def _is_in_view(place: SourceLocation) -> bool:
    """Return whether a place is not inside of a macro of another file."""
    return place.called_from is None or place.path == place.called_from.path


def _is_misread(node: Any, dialect: str) -> bool:
    """Return whether DuckDB would accept a part of the view as it is, with another meaning."""
    misread = MISREAD | MISREAD_IF_KNOWN if dialect in KNOWN_DIALECTS else MISREAD
    if type(node).__name__ in misread and find_unsupported(node, dialect):
        return True
    return is_read_differently(node, dialect)


def _is_text_cast(node: Any) -> bool:
    """Return whether it is a cast to a text, whose length DuckDB's parser drops."""
    return type(node).__name__ == "Cast" and node.to.this.name in TEXT_TYPES | PADDED_TYPES


def _structure(node: Any) -> tuple[Any, ...]:
    """Return what a part is made of, comparable between dialects: without what parsers note beside it."""
    name = type(node).__name__
    if name in {"Identifier", "Literal", "Var"}:
        return (name, node.name.lower() if name == "Identifier" else node.name, bool(node.args.get("is_string")))
    if _is_text_cast(node):
        added = type(node.parent).__name__ in {"Length", "Left", "Right"}  # sqlglot's parser of T-SQL adds it
        return _structure(node.this) if added else (name, "text", _structure(node.this))
    # MySQL's TIMESTAMP '…' is parsed as one with a zone.
    more = (str(node.this).lower().replace("timestamptz", "timestamp"),) if name in {"Anonymous", "DataType"} else ()
    return (name, *more, *map(_structure, node.iter_expressions()))
