"""Raise in DuckDB where the order of texts decides about the rows, and databases may disagree about it.

DuckDB orders texts by their code points, as SQLite does. The default collations of the other databases first compare
letters without case and accents, and put punctuation before digits and digits before letters (Unicode's Collation
Algorithm; glibc from 2.28). SQL Server and Access also skip hyphens and apostrophes at first ("word sort", Microsoft's
"Windows collation sorting styles"). So each ordering is done in all of these ways, and raises unless they agree.

Lists of texts are those of :mod:`engine.mapping.transpile.list_order`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import DATE_NODES, literal_integer, operands, output_of
from engine.mapping.transpile.list_order import guard_list
from engine.mapping.transpile.snippets import (
    aliased,
    copy_with,
    has_known_type,
    is_known_number,
    keep_types,
    named_query,
    remember_types,
    snippet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BINARY_DIALECTS = frozenset({"sqlite"})
"""Dialects that order texts by their code points."""

WORD_SORT_DIALECTS = frozenset({"tsql", "access"})
"""Dialects that skip hyphens and apostrophes at first."""

ORDERINGS = frozenset({"LT", "LTE", "GT", "GTE", "Between"})
"""Comparisons that depend on the order of values."""

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

BELOW_DIGITS = "".join(map(chr, range(3, 3 + len(PUNCTUATION))))
"""What stands for punctuation in a key: characters that come before the digits; U+0002 stands for a blank."""


def _key_sql(punctuation: str) -> str:
    """Return the SQL of what most collations compare first: letters without case and accents, punctuation first."""
    quoted = punctuation.replace("'", "''")
    return f"translate(lower(strip_accents(cast(VALUE as varchar))), ' {quoted}', '\x02{BELOW_DIGITS}')"


KEYS = (_key_sql(PUNCTUATION), _key_sql(PUNCTUATION[::-1]))
"""Two keys, because collations differ in the order of punctuation itself."""

WORD_KEY = KEYS[0].replace("cast(VALUE as varchar)", "translate(cast(VALUE as varchar), '-''', '')")
"""The key that skips hyphens and apostrophes."""

REVERSED = "translate(hex(cast(VALUE as varchar)), '0123456789ABCDEF', 'FEDCBA9876543210')"
"""What sorts texts with equal keys the other way round, such as those that differ in case or accents."""

REJECT_ORDER = """
    case when DIFFERENT then error('databases differ in the order of texts with upper and lower case, accents or
    punctuation: write upper(…) around them, or order by a number or a date') else VALUE end"""


def _guard_comparison(node: Any, made: Any, dialect: str) -> Any:
    """Return ``<``, ``>``, ``<=``, ``>=`` or BETWEEN, raising where the order of two texts is not certain.

    ``made`` is what the comparison was rewritten to so far.
    """
    from sqlglot import exp

    if dialect in BINARY_DIALECTS or not all(map(_may_be_text, operands(node))):
        return made
    made = (made or node).copy()
    first, *others = operands(made)
    different = []
    for other in others:
        texts = [exp.func("typeof", side.copy()).eq("VARCHAR") for side in (first, other) if not _is_text(side)]
        disagree = [
            exp.NEQ(
                this=exp.Paren(this=kind(this=first.copy(), expression=other.copy())),
                expression=exp.Paren(this=kind(this=key(first), expression=key(other))),
            )
            for key in _keys(dialect)
            for kind in (exp.LT, exp.GT)
        ]
        different.append(exp.and_(*texts, exp.or_(*disagree)))
    return snippet(REJECT_ORDER, different=exp.or_(*different), value=made)


def _may_be_text(node: Any) -> bool:
    return not is_known_number(node) and type(node).__name__ not in DATE_NODES


def _is_text(node: Any) -> bool:
    return has_known_type(node, "text")


def _keys(dialect: str) -> Iterator[Callable[[Any], Any]]:
    """Yield functions from a text to what a collation compares first."""
    for text in (*KEYS, WORD_KEY) if dialect in WORD_SORT_DIALECTS else KEYS:
        trimmed = text.replace("cast(VALUE as varchar)", "rtrim(cast(VALUE as varchar), ' ')")
        yield partial(_key, trimmed if dialect == "tsql" else text)


def _key(text: str, value: Any) -> Any:
    return snippet(text, value=value)


def _extreme(node: Any, dialect: str) -> Any:
    """Return MAX, MIN or either with FILTER, raising where the order of texts decides and is not certain."""
    if type(node.parent).__name__ in {"Window", "Filter"}:
        return None
    return _guard_extreme(node, dialect, lambda aggregate: aggregate)


def _guard_extreme(node: Any, dialect: str, over: Callable[[Any], Any]) -> Any:
    """Return MAX or MIN guarded, each aggregate put into its window by ``over``; None for any other aggregate."""
    from sqlglot import exp

    if isinstance(node, exp.Filter):
        return _guard_extreme(node.this, dialect, lambda aggregate: over(copy_with(node, this=aggregate)))
    if not isinstance(node, (exp.Max, exp.Min)):
        return None
    value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if dialect in BINARY_DIALECTS or not _may_be_text(value):
        return None
    arg = exp.ArgMax if type(node).__name__ == "Max" else exp.ArgMin
    result = over(node.copy())
    others = [
        over(arg(this=value.copy(), expression=snippet("KEY || chr(1) || TIE", key=key(value), tie=tie)))
        for key in _keys(dialect)
        for tie in (snippet("cast(VALUE as varchar)", value=value), snippet(REVERSED, value=value))
    ]
    different = exp.or_(*(exp.NEQ(this=result.copy(), expression=other) for other in others))
    if not _is_text(value):
        different = exp.and_(exp.func("typeof", result.copy()).eq("VARCHAR"), different)
    return snippet(REJECT_ORDER, different=different, value=result)


def _window(node: Any, dialect: str) -> Any:
    """Return a window function, raising where its result depends on the order of texts and that is not certain."""
    from sqlglot import exp

    if dialect in BINARY_DIALECTS:
        return None

    made = _guard_extreme(node.this, dialect, lambda aggregate: copy_with(node, this=aggregate))
    order = node.args.get("order")
    orders = list(_orders(order.expressions, dialect)) if order is not None else []
    if not orders:
        return made
    others = [copy_with(node, order=exp.Order(expressions=terms)) for terms in orders]
    different = exp.or_(*(exp.NullSafeNEQ(this=node.copy(), expression=other) for other in others))
    return snippet(REJECT_ORDER, different=different, value=made or node)


def _list(node: Any, dialect: str) -> Any:
    """Return an aggregate of texts, raising where the order of its list is not certain."""
    if dialect in BINARY_DIALECTS:
        return None
    ties = ("cast(VALUE as varchar)", REVERSED)
    return guard_list(node, partial(_orders, dialect=dialect), _keys(dialect), ties)


def _orders(terms: list[Any], dialect: str) -> Iterator[list[Any]]:
    """Yield the orders by which databases may sort by some terms; none where only numbers and dates are among them."""
    if not any(_may_be_text(term.this) for term in terms):
        return
    for key in _keys(dialect):
        for tie in ("binary", "reversed", "none"):
            yield [part for term in terms for part in _sort_parts(term, key, tie)]


def _sort_parts(term: Any, key: Callable[[Any], Any], tie: str) -> Iterator[Any]:
    """Yield what one term of an ORDER BY becomes where texts are sorted by a key first; all else keeps its order."""
    value = term.this
    if not _may_be_text(value):
        yield term.copy()
        return
    when_text = "case when typeof(VALUE) = 'VARCHAR' then KEY end"
    when_other = "case when typeof(VALUE) <> 'VARCHAR' then VALUE end"
    parts = [snippet(when_text, value=value, key=key(value))]
    if tie == "reversed":
        parts.append(snippet(when_text, value=value, key=snippet(REVERSED, value=value)))
    parts.append(value.copy() if tie == "binary" else snippet(when_other, value=value))
    for part in parts:
        yield copy_with(term, this=part)


def _select(node: Any, dialect: str) -> Any:
    """Return a SELECT with a LIMIT, raising where the order of texts decides which rows it keeps and is not certain."""
    from sqlglot import exp

    limit, order = node.args.get("limit"), node.args.get("order")
    if dialect in BINARY_DIALECTS or limit is None or order is None:
        return None
    terms = [copy_with(term, this=output_of(node, term.this).copy()) for term in order.expressions]
    if not any(_may_be_text(term.this) for term in terms):
        return None
    made = node.copy()
    if any(call.name.lower() == "error" for term in terms for call in term.find_all(exp.Anonymous)):
        made, terms = _with_sorting_columns(node, terms)
    distinct, qualify = made.args.get("distinct"), made.args.get("qualify")
    ranking = exp.RowNumber() if distinct is None else exp.DenseRank()
    last = literal_integer(limit.args.get("expression") or limit.args.get("count")) or 0
    offset = node.args.get("offset")
    first = (literal_integer(offset.expression) or 0) if offset is not None else 0

    def is_kept(by: list[Any]) -> Any:
        number = exp.Window(this=ranking.copy(), order=exp.Order(expressions=[term.copy() for term in by]))
        low, high = exp.Literal.number(first + 1), exp.Literal.number(first + last)
        return exp.Paren(this=exp.Between(this=number, low=low, high=high))

    others = (is_kept(by) for by in _orders(terms, dialect))
    different = exp.or_(*(exp.NEQ(this=is_kept(terms), expression=other) for other in others))
    condition = qualify.this if qualify is not None else exp.true()
    made.set("qualify", exp.Qualify(this=snippet(REJECT_ORDER, different=different, value=condition)))
    return made


def _with_sorting_columns(node: Any, terms: list[Any]) -> tuple[Any, list[Any]]:
    """Return a SELECT with what it sorts by as columns of a subquery, and its ORDER BY by those columns.

    DuckDB refuses a window that is ordered by an expression that may raise ("cannot be volatile").
    """
    from sqlglot import exp

    inner = node.copy()
    clauses = {key: inner.args.get(key) for key in ("with_", "order", "limit", "offset")}
    for key in clauses:
        inner.set(key, None)
    names = [part.output_name for part in node.selects]
    values = [f"value_{number}" for number in range(len(names))]
    sorts = [f"sort_{number}" for number in range(len(terms))]
    inner.set("expressions", [*inner.expressions, *aliased([term.this for term in terms], sorts)])
    made = exp.Select(
        expressions=aliased([exp.column(value, table="listed") for value in values], names),
        from_=exp.From(this=named_query(inner, [*values, *sorts])),
    )
    terms = [copy_with(term, this=exp.column(sort, table="listed")) for term, sort in zip(terms, sorts, strict=True)]
    clauses["order"] = exp.Order(expressions=[term.copy() for term in terms])
    for key, clause in clauses.items():
        made.set(key, clause)
    return made, terms


def _guard_greatest(node: Any, made: Any, dialect: str) -> Any:
    """Return GREATEST or LEAST, raising where its values are texts; ``made`` is what it was rewritten to so far."""
    from sqlglot import exp

    values = [node.this, *node.expressions]
    if dialect in BINARY_DIALECTS or not all(map(_may_be_text, values)):
        return made
    different = exp.func("typeof", node.this.copy()).eq("VARCHAR")
    return snippet(REJECT_ORDER, different=different, value=made or node)


def guard_text_order(node: Any, made: Any, dialect: str) -> Any:
    """Return a part guarded against an uncertain order of texts; ``made`` is what it was rewritten to so far."""
    name = type(node).__name__
    if name in ORDERINGS:
        return _guard_comparison(node, made, dialect)
    if name in {"Greatest", "Least"}:
        return _guard_greatest(node, made, dialect)
    if name in {"GroupConcat", "WithinGroup"} and type(node.parent).__name__ in {"Filter", "WithinGroup", "Window"}:
        return made  # what is around it is guarded
    if name in TEXT_ORDER_REWRITES:
        return TEXT_ORDER_REWRITES[name](made or node, dialect) or made
    return made


def guard_statement(statement: Any, dialect: str) -> Any:
    """Return a copy of a statement of DuckDB's own SQL, guarded; ``dialect`` is the one whose order of texts counts."""
    statement = statement.copy()
    nodes = list(statement.walk(bfs=True))
    remember_types(nodes, dialect)
    for node in reversed(nodes):
        made = guard_text_order(node, None, dialect)
        if made is not None:
            keep_types(node, made)
            if node is statement:
                statement = made
            else:
                node.replace(made)
    return statement


TEXT_ORDER_REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Max": _extreme,
    "Min": _extreme,
    "Filter": lambda node, dialect: _extreme(node, dialect) or _list(node, dialect),
    "GroupConcat": _list,
    "WithinGroup": _list,
    "Window": _window,
    "Select": _select,
}
"""The rewrite of each kind of part that depends on the order of texts, besides comparisons."""
