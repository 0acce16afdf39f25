"""A rendered view of another dialect as DuckDB's SQL, so that it can be rehearsed on fixtures.

sqlglot reads and writes; what a construct means is decided here. It is let through where it is known to mean the same
in DuckDB, rewritten where DuckDB can be made to mean the same, and refused otherwise, with its place and what would do
instead: a rehearsal that is silently different from a live run would be worse than none. What remains different is said
in ``docs/mapping-reviews.md``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.errors import ViewError
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import parse_cached, parsed, start_of
from engine.mapping.transpile.facts import KNOWN, PADDED, TEXTS, XML, construct_name
from engine.mapping.transpile.rewrite import reads_otherwise, rewrite
from engine.mapping.transpile.rewrite_text import xml_lists
from engine.mapping.transpile.unsupported import CHECKS, find_unsupported, scan_text
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.errors import Diagnostic
    from engine.model.query import Query, SourceLocation

MACROS = "Import macros/dialect.sql as sql, and write"

CALCULATED = frozenset({"Div", "IntDiv", "Mod", "Avg"})
"""What no macro writes, so that it is of the view whatever its parts became."""

MISREAD = CALCULATED | {"Anonymous", "DateDiff", "Fetch", "GroupConcat", "Limit"}
"""What DuckDB would run, in its own way, where it is refused."""

MISREAD_IF_KNOWN = frozenset({"Like", "Pad", "RegexpLike", "StrPosition", "Substring", "Trim"})
"""The same of dialects that are known; of others these are refused altogether, and macros write them as DuckDB does."""


def to_duckdb(query: Query, *, dialect: str) -> str:
    """The view in DuckDB's SQL; tables go by the last part of their names, in lower case.

    Raises :class:`ViewError` with every construct that cannot be known to mean the same there.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if dialect == "duckdb":
        return query.sql
    statement = _read(query, dialect)
    faults = [*_refusals(query, statement, dialect), *_renamed(query, statement)]
    if faults:
        raise ViewError(faults)
    statement = rewrite(statement, dialect)
    try:
        return str(
            statement.sql(dialect="duckdb", copy=False, unsupported_level=sqlglot.ErrorLevel.RAISE, comments=False)
        )
    except SqlglotError as error:
        raise ViewError([_refusal(query, None, str(error).splitlines()[0], "another spelling.")]) from None


def check_own(own: Query, query: Query, *, dialect: str) -> None:
    """Check ``own``, the view rendered for DuckDB, for what was written by hand and may mean something else to DuckDB.

    ``query`` is the view rendered for ``dialect``: what is refused or rewritten of it and stands in ``own`` too is no
    macro's, and of what is only unknown a macro's text is let through. Raises :class:`ViewError` that names it, such as
    a division that may be one of integers.
    """
    here = {name for _, name, _ in scan_text(query.sql, dialect)}
    faults = [_refusal(own, *words) for words in scan_text(own.sql, dialect) if words[1] in here]
    statements, others = (
        parse_cached(text.sql.lstrip("\ufeff"), of) for text, of in ((own, "duckdb"), (query, dialect))
    )
    if not isinstance(statements, str):
        nodes = [] if isinstance(others, str) else [node for other in others for node in other.walk()]
        suspects = {_form(node) for node in nodes if _means_more(node, dialect)}
        kinds = {form[0] for form in suspects} & CALCULATED
        unknown = {_form(node) for node in nodes if find_unsupported(node, dialect)}
        by_hand = _by_hand(own)
        for node in (node for statement in statements for node in statement.walk()):
            no = find_unsupported(node, dialect)
            said = no or (f"{construct_name(node)}, which DuckDB reads in another way", "a macro for it.")
            same = _form(node) in suspects or (type(node).__name__ in kinds and no)
            if same or (no and (_form(node) in unknown or _is_in(query, own, node)) and by_hand(node)):
                faults.append(_refusal(own, _at(node), *said))
    if faults:
        raise ViewError(list(dict.fromkeys(faults)))


def _is_in(query: Query, own: Query, node: Any) -> bool:
    """Whether a call stands in the other text too, as far as its first value; readers give it names of their own."""
    begun = re.match(r"\w+\s*\([^,()]+", own.sql.lstrip("\ufeff")[node.meta.get("start", len(own.sql)) :])
    return begun is not None and begun[0] in query.sql


def _by_hand(query: Query) -> Callable[[Any], bool]:
    """Tell whether a part of the view is of its own text, as far as is known, and not of a macro from another file."""
    find = query.places
    if find is None:
        return lambda _: True

    @cache
    def places() -> Callable[[int], SourceLocation | None]:
        return find(query.sql)  # which renders the templates: only where it is asked

    def of(node: Any) -> bool:
        at = _at(node)
        place = None if at is None else places()(at)
        return place is None or place.call is None or place.path == place.call.path

    return of


def _means_more(node: Any, dialect: str) -> bool:
    """Whether DuckDB would take a part of the view, as it stands, for something else."""
    misread = MISREAD | MISREAD_IF_KNOWN if dialect in KNOWN else MISREAD
    return bool(type(node).__name__ in misread and find_unsupported(node, dialect)) or reads_otherwise(node, dialect)


def _form(node: Any) -> tuple[Any, ...]:
    """What a part is made of, without what parsers note down beside it."""
    name = type(node).__name__
    if name in {"Identifier", "Literal", "Var"}:
        return (name, node.name.lower() if name == "Identifier" else node.name)
    if name == "Cast" and node.to.this.name in TEXTS | PADDED:  # whose length DuckDB's reading drops
        added = type(node.parent).__name__ in {"Length", "Left", "Right"}  # by T-SQL's reading
        return _form(node.this) if added else (name, "text", _form(node.this))
    more = (str(node.this).lower(),) if name in {"Anonymous", "DataType"} else ()
    return (name, *more, *map(_form, node.iter_expressions()))


def _read(query: Query, dialect: str) -> Any:
    """The parsed view. Raises :class:`ViewError` where it cannot be read."""
    from sqlglot import exp

    found = parsed(query.sql.lstrip("\ufeff"), dialect)
    if not isinstance(found, str) and len(found) == 1 and isinstance(found[0], exp.Query):
        for call in list(found[0].find_all(exp.Anonymous)):
            if str(call.this).lower() == "now" and not call.expressions:  # which not every reader knows
                call.replace(exp.CurrentTimestamp())
        return found[0]
    at, said = found.split(" ", 1) if isinstance(found, str) else ("", "it is not one SELECT")
    why = f"The view cannot be read as {dialect}: {said}."
    refusals = [_refusal(query, *words) for words in scan_text(query.sql, dialect)]
    unread = diagnostic_at(query, int(at) if at else None, why, f"{MACROS} what is special with them.")
    raise ViewError([*refusals, unread])


def _refusals(query: Query, statement: Any, dialect: str) -> Iterator[Diagnostic]:
    """What is refused of the view; of parts within each other the outer one."""
    lists = xml_lists(statement) if dialect == "tsql" else 0
    lost = lists < len(re.findall(r"(?i)\bfor\s+xml\b", blanked(query.sql, dialect)))
    for at, name, instead in scan_text(query.sql, dialect):
        if name != XML or lost:
            yield _refusal(query, at, name, instead)
    within: set[int] = set()
    for node in statement.walk():
        said = find_unsupported(node, dialect)
        if (
            lost
            and said is not None
            and type(node).__name__ in {"Stuff", "Select", "ForClause", "XMLKeyValueOption", "Dot"}
        ):
            continue  # the same as FOR XML, which is refused by its words
        if said is not None and id(node.parent) not in within:
            yield _refusal(query, _at(node), _written(query, node) or said[0], said[1])
        if said is not None or id(node.parent) in within:
            within.add(id(node))


def _written(query: Query, node: Any) -> str:
    """The name of a function that nothing is known of, as the view writes it."""
    from sqlglot import exp

    start, end = node.meta.get("start"), node.meta.get("end")
    if start is None or type(node).__name__ in CHECKS or not isinstance(node, exp.Func):
        return ""
    name = query.sql.lstrip("\ufeff")[start : end + 1]
    return f"{name}()" if re.fullmatch(r"\w+", name) else ""


def _renamed(query: Query, statement: Any) -> Iterator[Diagnostic]:
    """Call each table by the last part of its name, as fixtures are called."""
    from sqlglot import exp

    common = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    seen: dict[str, str] = {}
    for table in list(statement.find_all(exp.Table)):
        whole = ".".join(part.name for part in table.parts).lower()
        if "." not in whole and whole in common:
            continue
        if whole == "dual" and isinstance(table.parent, exp.From) and _alone(table.parent):
            table.parent.pop()
            continue
        name = table.name.lower()
        other = seen.setdefault(name, whole)
        if other != whole:
            yield diagnostic_at(
                query,
                start_of(table),
                f"The view reads {other} and {whole}, but there is one fixture {name}.csv for both.",
                "Give one of them another name in the database, or rehearse the view in DuckDB's own SQL.",
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


def _alone(source: Any) -> bool:
    """Whether a FROM has no joins beside it."""
    return not source.parent.args.get("joins")


def _at(node: Any) -> int | None:
    """The offset in the rendered SQL of a part, or of what it is part of, as far as the parser kept it."""
    while node is not None:
        at = start_of(node)
        if at is not None:
            return at
        node = node.parent
    return None


def _refusal(query: Query, at: int | None, name: str, instead: str) -> Diagnostic:
    return diagnostic_at(
        query,
        at,
        f"The view has {name}, which cannot be rehearsed on fixtures as the database would run it.",
        f"{MACROS} {instead}" if "sql." in instead else f"Write {instead}",
    )
