"""Compare texts as the database does: without their trailing blanks, or without regard to case and accents.

T-SQL ignores trailing blanks everywhere, under every collation (Microsoft's "How SQL Server compares strings with
trailing spaces"); what else is ignored is said by the collations of the columns, which ``types.toml`` of the fixtures
has. Where one of two equal texts must be chosen, for GROUP BY, DISTINCT and UNION, databases return either of them:
DuckDB's query then raises, unless they are the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms
from engine.mapping.transpile.facts import DATE_NODES, is_text_literal, operands, output_of
from engine.mapping.transpile.kind_parts import branches
from engine.mapping.transpile.kinds import fold_of, kind
from engine.mapping.transpile.snippets import (
    ASCII_LETTERS,
    aliased,
    copy_with,
    has_known_type,
    is_known_number,
    named_query,
    snippet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_KINDS = frozenset({"text", "listed"})
"""Kinds of texts: any, and the members of a list."""

FOLDED = "cast_to_type(TEXT, VALUE)"
"""A value without what counts in no comparison, if it is a text: only DuckDB may know its type."""

UNCERTAIN_LETTERS = """
    case when regexp_matches(VALUE, '[ßæÆœŒøØåÅđĐłŁıİþÞ]') then error('databases differ in letters such as ß, æ and å
    that are compared without regard to accents: compare another column') else VALUE end"""

REJECT_AMBIGUOUS = """
    case when AMBIGUOUS then error('databases differ in which of two texts they return from GROUP BY, DISTINCT or UNION,
    that are equal but for trailing blanks, case or accents: write upper(rtrim(…)) around the column')
    else CONDITION end"""

REJECT_WRITTEN = """
    case when ALIKE then error('databases differ in texts of the view that are equal but for case, accents or blanks:
    write them alike') else VALUE end"""

COLLATING_DIALECTS = frozenset({"mysql", "tsql"})
"""Dialects whose usual collations ignore case."""

REJECT_LIKE = """
    case when MATCHED is distinct from TRIMMED then error('databases differ in trailing blanks before LIKE: write
    rtrim(…) around the value') else MATCHED end"""


def comparison_fold(node: Any, dialect: str) -> str:
    """Return what does not count where the operands of a part are compared; ``?`` where their columns disagree.

    SQLite compares as the left column says, or else the right one; PostgreSQL's citext only beside texts without a
    column; the others as all columns say.
    """
    query = node.args.get("query")
    listed = query.unnest().selects[:1] if query is not None else []
    compared = [*operands(node), *(part.unalias() for part in listed)]
    values = [value for value in compared if kind(value) in {"", *TEXT_KINDS}]
    if dialect == "sqlite":
        first = next((value for value in values if type(value.unnest()).__name__ == "Column"), None)
        return "" if first is None else fold_of(first)
    if dialect == "postgres":
        exact = [value for value in values if not fold_of(value) and not is_text_literal(value)]
        folds = {fold_of(value) for value in values} - {""}
        return "" if exact or len(folds) != 1 else folds.pop().replace("padded", "")
    folds = {fold_of(value) for value in values} - {"", "decimals"}
    found = folds.pop() if len(folds) == 1 else "?" if folds else ""
    return found or default_fold(dialect)


def default_fold(dialect: str) -> str:
    """Return what counts in no comparison of a database, whatever its columns say."""
    return "pad" if dialect == "tsql" else ""


def part_fold(node: Any, dialect: str) -> str:
    """Return what does not count where the texts of one part are grouped; of no column, by the usual collations."""
    usual = "ci-ai-pad" if is_written_text(node, dialect) else ""
    return fold_of(node).replace("padded", "") or usual or default_fold(dialect)


def is_written_text(node: Any, dialect: str) -> bool:
    """Return whether a text has no column in it, so that the connection's or the database's collation compares it."""
    return dialect in COLLATING_DIALECTS and kind(node) == "text" and not _has_text_column(node)


def folded_text(text: str, fold: str, *, guarded: bool = True) -> str:
    """Return SQL for a text, given as SQL, without what does not count by ``fold``.

    Where it is ``guarded`` it raises for letters that collations take in different ways; a PARTITION BY must not raise.
    """
    parts = fold.split("-")
    if guarded and ("ci" in parts or "ai" in parts):
        text = UNCERTAIN_LETTERS.replace("VALUE", text)
    if "pad" in parts:
        text = f"rtrim({text}, ' ')"
    if "ai" in parts:
        text = f"strip_accents({text})"
    if "ascii" in parts:
        text = f"translate({text}, '{ASCII_LETTERS.upper()}', '{ASCII_LETTERS}')"
    return f"lower({text})" if "ci" in parts else text


def counts_all(fold: str) -> bool:
    """Return whether texts are equal only where they are the same."""
    return not {"ci", "ai", "pad", "ascii", "?"} & set(fold.split("-"))


def compare_folded(node: Any, made: Any, fold: str) -> Any:
    """Return a comparison, NULLIF or CASE with its operands folded; ``made`` is what it was rewritten to so far."""
    from sqlglot import exp

    values = operands(node)
    if counts_all(fold) or any(map(is_known_number, values)):
        return made
    if isinstance(node, exp.Nullif):
        # NULLIF returns its first operand, which may keep its blanks: only the comparison may see it trimmed.
        left, right = operands(made or node)
        equal = exp.EQ(this=folded(left, fold), expression=folded(right, fold))
        return snippet("case when EQUAL then null else VALUE end", equal=equal, value=node.this)
    copy = (made or node).copy()
    for was, value in zip(values, operands(copy), strict=True):
        if is_text_literal(was) == is_text_literal(value):
            value.replace(folded(value, fold))
    query = copy.args.get("query")
    if query is not None:
        value = folded(exp.column("value", table="listed"), fold)
        copy.set("query", exp.Subquery(this=exp.select(value).from_(named_query(query, ["value"]))))
    return copy


def guard_written_texts(node: Any, made: Any, dialect: str) -> Any:
    """Return a comparison of texts of the view's own, raising where they differ in case, accents or blanks alone.

    No column is among them, so that the connection's or the database's collation decides, which nobody knows here.
    """
    from sqlglot import exp

    values = operands(node)
    if len(values) < 2 or not all(is_written_text(value, dialect) for value in values):  # noqa: PLR2004 - a pair
        return made
    copy = (made or node).copy()
    first, *others = operands(copy)
    alike = [
        exp.and_(
            exp.EQ(this=_without_letters(first), expression=_without_letters(other)),
            exp.NEQ(this=first.copy(), expression=other.copy()),
        )
        for other in others
    ]
    first.replace(snippet(REJECT_WRITTEN, alike=exp.or_(*alike), value=first))
    return copy


def _has_text_column(node: Any) -> bool:
    """Return whether a column gives a text its letters; one in the condition of a CASE does not."""
    from sqlglot import exp

    inner = node.unnest()
    if type(inner).__name__ in {"Case", "If"}:
        return any(map(_has_text_column, branches(inner)))
    return any(kind(column) in {"", *TEXT_KINDS} for column in node.find_all(exp.Column, exp.Subquery))


def _without_letters(value: Any) -> Any:
    return snippet(folded_text("VALUE", "ci-ai-pad", guarded=False), value=value)


def folded(value: Any, fold: str, *, guarded: bool = True) -> Any:
    """Return a value without what counts in no comparison, if it is a text, else as it is; see :func:`folded_text`."""
    other = kind(value) not in {"", *TEXT_KINDS}
    if counts_all(fold) or other or is_known_number(value) or type(value).__name__ in DATE_NODES:
        return value.copy()
    if has_known_type(value, "text"):
        return snippet(folded_text("VALUE", fold, guarded=guarded), value=value)
    text = folded_text("cast(VALUE as varchar)", fold, guarded=guarded)
    return snippet(FOLDED.replace("TEXT", text), value=value)


def _select(node: Any, dialect: str) -> Any:
    """Raise in DuckDB where GROUP BY or DISTINCT would merge texts that differ.

    HAVING becomes part of QUALIFY, because it may see only the merged groups.
    """
    from sqlglot import exp

    group = node.args.get("group")
    named = [output_of(node, part) for part in group.expressions] if group is not None else []
    grouped = _folded_keys(named, dialect)
    listed: list[tuple[Any, str]] = []
    if node.args.get("distinct") is not None:
        outputs = (part.unalias() for part in node.selects)
        listed = [(key, fold) for key, fold in _folded_keys(outputs, dialect) if not isinstance(key, exp.Window)]
    if not grouped and not listed:
        return None
    made = node.copy()
    if grouped:
        having = made.args.get("having")
        condition = having.this if having is not None else exp.true()
        made.set("having", None)
        made.set("qualify", exp.Qualify(this=_reject_ambiguous(grouped, condition)))
    if listed:
        qualify = made.args.get("qualify")
        condition = qualify.this if qualify is not None else exp.true()
        made.set("qualify", exp.Qualify(this=_reject_ambiguous(listed, condition)))
    return made


def _union(node: Any, dialect: str) -> Any:
    """Write UNION as a DISTINCT of UNION ALL, whose keys can be checked."""
    from sqlglot import exp

    arms = [arm.selects for arm in union_arms(node)]
    folds = [_common_fold(parts, dialect) for parts in zip(*arms, strict=False)]
    if not node.args.get("distinct") or all(map(counts_all, folds)):
        return None
    names = [part.output_name for part in node.selects]
    listed = [f"value_{number}" for number in range(len(names))]
    arms = node.copy()
    clauses = {key: arms.args.get(key) for key in ("with_", "order", "limit", "offset")}
    for key in clauses:
        arms.set(key, None)
    arms.set("distinct", False)
    columns = [exp.column(column, table="listed") for column in listed]
    keys = [(column, fold) for column, fold in zip(columns, folds, strict=False) if not counts_all(fold)]
    select = exp.Select(
        expressions=aliased(columns, names),
        from_=exp.From(this=named_query(arms, listed)),
        distinct=exp.Distinct(),
        qualify=exp.Qualify(this=_reject_ambiguous(keys, exp.true())),
    )
    for key, clause in clauses.items():
        select.set(key, clause)
    return select


def _common_fold(parts: Any, dialect: str) -> str:
    """Return what does not count in an output of a UNION: the most that one of its arms ignores."""
    return max((part_fold(part.unalias(), dialect) for part in parts), key=lambda fold: (not counts_all(fold), fold))


def _folded_keys(expressions: Any, dialect: str) -> list[tuple[Any, str]]:
    """Return those of some expressions that may be texts of which not all counts, each with what does not."""
    return [
        (part, fold)
        for part in expressions
        if not is_known_number(part) and type(part).__name__ not in {"Literal", *DATE_NODES}
        if not counts_all(fold := part_fold(part, dialect))
    ]


def _reject_ambiguous(keys: list[tuple[Any, str]], condition: Any) -> Any:
    """Return ``condition``, raising in DuckDB where keys are equal without being the same."""
    from sqlglot import exp

    texts = [exp.cast(key.copy(), "varchar") for key, _ in keys]
    folds = [fold for _, fold in keys]
    partition = [
        snippet(folded_text("VALUE", fold, guarded=False), value=text) for text, fold in zip(texts, folds, strict=True)
    ]

    def over(kind: Any, text: Any) -> Any:
        return exp.Window(this=kind(this=text.copy()), partition_by=[part.copy() for part in partition])

    ambiguous = exp.or_(*(exp.NullSafeNEQ(this=over(exp.Min, text), expression=over(exp.Max, text)) for text in texts))
    return snippet(REJECT_AMBIGUOUS, ambiguous=ambiguous, condition=condition)


def _partition(node: Any, dialect: str) -> Any:
    """Fold the keys of PARTITION BY."""
    keys = node.args.get("partition_by")
    if not keys:
        return None
    return copy_with(node, partition_by=[folded(key, part_fold(key, dialect), guarded=False) for key in keys])


def _distinct(node: Any, dialect: str) -> Any:
    """Fold what COUNT(DISTINCT …) counts."""
    if type(node.parent).__name__ != "Count":
        return None
    return copy_with(node, expressions=[folded(part, part_fold(part, dialect)) for part in node.expressions])


def _without_padding(fold: str) -> str:
    return "-".join(part for part in fold.split("-") if part in {"ci", "ai", "ascii"})


def _like(node: Any, dialect: str) -> Any:
    """LIKE ignores case as ``=`` does, but no trailing blanks; in T-SQL these count for NVARCHAR, not for VARCHAR."""
    if type(node.parent).__name__ == "Escape":
        return None
    matched = node.copy()
    like = matched.this if type(node).__name__ == "Escape" else matched
    fold = _without_padding(fold_of(like.this))
    if fold and dialect != "sqlite":
        like.set("this", folded(like.this, fold))
        like.set("expression", folded(like.expression, fold))
    if dialect != "tsql":
        return matched if fold and dialect != "sqlite" else None
    without = matched.copy()
    inner = without.this if type(node).__name__ == "Escape" else without
    inner.set("this", folded(inner.this, "pad"))
    return snippet(REJECT_LIKE, matched=matched, trimmed=without)


def _position(node: Any, dialect: str) -> Any:
    """A search for a text finds it as ``=`` would, in MySQL and SQL Server."""
    if dialect not in {"mysql", "tsql"} or type(node).__name__ != "StrPosition":
        return None
    fold = _without_padding(fold_of(node.this) or fold_of(node.args["substr"]))
    if not fold:
        return None
    return copy_with(node, this=folded(node.this, fold), substr=folded(node.args["substr"], fold))


def _replace(node: Any, dialect: str) -> Any:
    """SQL Server's REPLACE finds texts as ``=`` does."""
    sought: Any = node.args.get("expression") if type(node).__name__ == "Replace" else None
    if dialect != "tsql" or "ci" not in fold_of(node.this).split("-") or not is_text_literal(sought):
        return None
    if not re.search("[^\\W\\d_]", sought.name):
        return None
    pattern = re.sub(r"(\W)", r"\\\1", sought.name).replace("'", "''")
    replacement = snippet("replace(VALUE, '\\', '\\\\')", value=node.args["replacement"])
    return snippet(f"regexp_replace(VALUE, '{pattern}', OTHER, 'gi')", value=node.this, other=replacement)


TEXT_EQUALITY_REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Select": _select,
    "Union": _union,
    "Window": _partition,
    "Distinct": _distinct,
    "Like": _like,
    "Escape": _like,
    "StrPosition": _position,
    "Replace": _replace,
}
"""The rewrite of each kind of part that compares texts, besides comparisons themselves."""
