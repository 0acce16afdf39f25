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
from typing import TYPE_CHECKING, Any

from engine.errors import ViewError
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import ParseFailure, parse, parse_cached, start_offset
from engine.mapping.transpile.facts import FOR_XML, KNOWN_DIALECTS, PADDED_TYPES, TEXT_TYPES, construct_name
from engine.mapping.transpile.rewrite import is_read_differently, rewrite
from engine.mapping.transpile.rewrite_text import rewrite_xml_lists
from engine.mapping.transpile.unsupported import CHECKS, find_unsupported, scan_text
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query

USE_MACRO = "Import macros/dialect.sql as sql, and write"

ARITHMETIC = frozenset({"Div", "IntDiv", "Mod", "Avg"})
"""Arithmetic that no macro writes, so that it is the view's own."""

MISREAD = ARITHMETIC | {"Anonymous", "DateDiff", "Fetch", "GroupConcat", "Limit"}
"""Refused constructs that DuckDB accepts, but with another meaning."""

MISREAD_IF_KNOWN = frozenset({"Like", "Pad", "RegexpLike", "StrPosition", "Substring", "Trim"})
"""The same for known dialects; for others these are always refused, and macros write them as DuckDB does."""


def to_duckdb(query: Query, *, dialect: str) -> str:
    """Return the view in DuckDB's SQL; tables are called by the last part of their names, in lower case.

    1. Parse it.
    2. Refuse every construct that is not known to mean the same in DuckDB.
    3. Rename the tables to their fixtures.
    4. Rewrite what means something else in DuckDB.

    Raises :class:`ViewError` with everything that was refused.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if dialect == "duckdb":
        return query.sql
    statement = _parse_view(query, dialect)
    problems = [*_unsupported_parts(query, statement, dialect), *_rename_tables(query, statement)]
    if problems:
        raise ViewError(problems)
    statement = rewrite(statement, dialect)
    try:
        return str(
            statement.sql(dialect="duckdb", copy=False, unsupported_level=sqlglot.ErrorLevel.RAISE, comments=False)
        )
    except SqlglotError as error:
        raise ViewError(
            [_unsupported_diagnostic(query, None, str(error).splitlines()[0], "another spelling.")]
        ) from None


def check_own_sql(own: Query, query: Query, *, dialect: str) -> None:
    """Check ``own``, the view rendered for DuckDB, for what was written by hand and may mean something else to DuckDB.

    ``query`` is the view rendered for ``dialect``: what is refused or rewritten of it and stands in ``own`` too is no
    macro's, and of what is only unknown a macro's text is let through. Raises :class:`ViewError` that names it, such as
    a division that may be one of integers.
    """
    keywords = {name for _, name, _ in scan_text(query.sql, dialect)}
    problems = [_unsupported_diagnostic(own, *found) for found in scan_text(own.sql, dialect) if found[1] in keywords]
    statements, others = (
        parse_cached(text.sql.lstrip("\ufeff"), of) for text, of in ((own, "duckdb"), (query, dialect))
    )
    if not isinstance(statements, ParseFailure):
        nodes = [] if isinstance(others, ParseFailure) else [node for other in others for node in other.walk()]
        misread = {_structure(node) for node in nodes if _is_misread(node, dialect)}
        kinds = {structure[0] for structure in misread} & ARITHMETIC
        unknown = {_structure(node) for node in nodes if find_unsupported(node, dialect)}
        is_handwritten = _is_handwritten(own)
        for node in (node for statement in statements for node in statement.walk()):
            refused = find_unsupported(node, dialect)
            name, instead = refused or (
                f"{construct_name(node)}, which means something else in DuckDB",
                "a macro for it.",
            )
            same = _structure(node) in misread or (type(node).__name__ in kinds and refused)
            known = refused and (_structure(node) in unknown or _stands_in(query, own, node))
            if same or (known and is_handwritten(node)):
                problems.append(_unsupported_diagnostic(own, _nearest_offset(node), name, instead))
    if problems:
        raise ViewError(list(dict.fromkeys(problems)))


def _stands_in(query: Query, own: Query, node: Any) -> bool:
    """Return whether the other rendering has the same call, compared up to its first argument."""
    call = re.match(r"\w+\s*\([^,()]+", own.sql.lstrip("\ufeff")[node.meta.get("start", len(own.sql)) :])
    return call is not None and call[0] in query.sql


def _is_handwritten(query: Query) -> Callable[[Any], bool]:
    """Return a function that tells whether a part is written in the view itself, and not by a macro of another file."""
    if query.source_map is None:
        return lambda _: True
    source_map = query.source_map

    def is_handwritten(node: Any) -> bool:
        offset = _nearest_offset(node)
        place = None if offset is None else source_map(query.sql)(offset)
        return place is None or place.called_from is None or place.path == place.called_from.path

    return is_handwritten


def _is_misread(node: Any, dialect: str) -> bool:
    """Return whether DuckDB would accept a part of the view as it is, with another meaning."""
    misread = MISREAD | MISREAD_IF_KNOWN if dialect in KNOWN_DIALECTS else MISREAD
    return bool(type(node).__name__ in misread and find_unsupported(node, dialect)) or is_read_differently(
        node, dialect
    )


def _structure(node: Any) -> tuple[Any, ...]:
    """Return what a part is made of, comparable between dialects: without what parsers note beside it."""
    name = type(node).__name__
    if name in {"Identifier", "Literal", "Var"}:
        return (name, node.name.lower() if name == "Identifier" else node.name)
    if name == "Cast" and node.to.this.name in TEXT_TYPES | PADDED_TYPES:  # DuckDB's parser drops the length
        added = type(node.parent).__name__ in {"Length", "Left", "Right"}  # sqlglot's parser of T-SQL adds it
        return _structure(node.this) if added else (name, "text", _structure(node.this))
    more = (str(node.this).lower(),) if name in {"Anonymous", "DataType"} else ()
    return (name, *more, *map(_structure, node.iter_expressions()))


def _parse_view(query: Query, dialect: str) -> Any:
    """Return the parsed view. Raises :class:`ViewError` where it cannot be parsed."""
    from sqlglot import exp

    found = parse(query.sql.lstrip("\ufeff"), dialect)
    if not isinstance(found, ParseFailure) and len(found) == 1 and isinstance(found[0], exp.Query):
        for call in list(found[0].find_all(exp.Anonymous)):
            if str(call.this).lower() == "now" and not call.expressions:  # not every dialect of sqlglot knows it
                call.replace(exp.CurrentTimestamp())
        return found[0]
    failure = found if isinstance(found, ParseFailure) else ParseFailure(message="it is not one SELECT")
    message = f"The view cannot be parsed as {dialect}: {failure.message}."
    unsupported = [_unsupported_diagnostic(query, *found) for found in scan_text(query.sql, dialect)]
    unparsed = diagnostic_at(query, failure.offset, message, f"{USE_MACRO} what is special with them.")
    raise ViewError([*unsupported, unparsed])


def _unsupported_parts(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    """Yield what is refused of the view; of nested constructs only the outer one."""
    rewritten = rewrite_xml_lists(statement) if dialect == "tsql" else 0
    has_other_xml = rewritten < len(re.findall(r"(?i)\bfor\s+xml\b", blanked(query.sql, dialect)))
    for at, name, instead in scan_text(query.sql, dialect):
        if name != FOR_XML or has_other_xml:
            yield _unsupported_diagnostic(query, at, name, instead)
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
            yield _unsupported_diagnostic(query, _nearest_offset(node), _function_name(query, node) or name, instead)
        if unsupported is not None or id(node.parent) in refused:
            refused.add(id(node))


def _function_name(query: Query, node: Any) -> str:
    """Return the name of an unknown function as the view writes it; empty for anything else."""
    from sqlglot import exp

    start, end = node.meta.get("start"), node.meta.get("end")
    if start is None or type(node).__name__ in CHECKS or not isinstance(node, exp.Func):
        return ""
    name = query.sql.lstrip("\ufeff")[start : end + 1]
    return f"{name}()" if re.fullmatch(r"\w+", name) else ""


def _rename_tables(query: Query, statement: Any) -> Iterator[Diagnostic]:
    """Rename each table to the last part of its name, as its fixture is named; yield the tables that share one."""
    from sqlglot import exp

    common = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    qualified_names: dict[str, str] = {}
    for table in list(statement.find_all(exp.Table)):
        whole = ".".join(part.name for part in table.parts).lower()
        if "." not in whole and whole in common:
            continue
        if whole == "dual" and isinstance(table.parent, exp.From) and _has_no_joins(table.parent):
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


def _nearest_offset(node: Any) -> int | None:
    """Return the offset in the rendered SQL of a part, or of the nearest part around it whose offset is known."""
    while node is not None:
        at = start_offset(node)
        if at is not None:
            return at
        node = node.parent
    return None


def _unsupported_diagnostic(query: Query, offset: int | None, name: str, instead: str) -> Diagnostic:
    return diagnostic_at(
        query,
        offset,
        f"The view has {name}, which cannot run on fixtures as the database would run it.",
        f"{USE_MACRO} {instead}" if "sql." in instead else f"Write {instead}",
    )
