"""Rewrite what means something else in DuckDB, so that it means the same.

A rewrite is DuckDB's SQL with names in capitals for the parts that it takes, as in
:mod:`engine.mapping.transpile.snippets`. Where it depends on a type that the SQL does not tell, such as a column's,
``typeof`` asks DuckDB for it: what cannot be made the same then fails the whole query, and never gives another row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    COMPARISONS,
    INTEGER_TYPES,
    LOOSELY_TYPED_DIALECTS,
    PADDED_TYPES,
    TEXT_TYPES,
    is_condition,
    is_numeric,
    is_text_literal,
    is_top_100_percent,
    is_whole_literal,
    literal_integer,
    operands,
)
from engine.mapping.transpile.functions import apply_rule
from engine.mapping.transpile.kinds import is_kind
from engine.mapping.transpile.rewrite_numbers import NO_DATE, NUMBER_ONLY, NUMBER_REWRITES
from engine.mapping.transpile.rewrite_text import (
    BLANK_RESULTS,
    TEXT_ONLY,
    TEXT_REWRITES,
    concatenate,
)
from engine.mapping.transpile.snippets import (
    LONG_TEXT_LENGTH,
    READ_DIFFERENTLY,
    UNTYPED_NODES,
    copy_with,
    has_known_type,
    is_known_number,
    keep_types,
    remember_types,
    snippet,
)
from engine.mapping.transpile.text_equality import (
    TEXT_EQUALITY_REWRITES,
    compare_folded,
    comparison_fold,
    guard_written_texts,
)
from engine.mapping.transpile.text_order import guard_text_order

if TYPE_CHECKING:
    from collections.abc import Callable

NUMERIC_CONDITION_DIALECTS = frozenset({"mysql", "sqlite"})
"""Dialects in which a condition is the number 1 or 0, and a number a condition."""

CONDITIONS = COMPARISONS | {"And", "Or", "Not", "Is", "Like", "ILike", "Escape", "Exists", "RegexpLike", "Glob", "Xor"}

DATE_OR_TEXT = """
    cast_to_type(
        case when typeof(TYPED) in ('DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') then DATE else GIVEN end, TYPED)"""


NEARLY_EQUAL = "(VALUE <> round(VALUE) and abs(VALUE - OTHER) < 0.000000001)"

REJECT_NEAR_SUM = """
    case when NEAR then error('databases differ in a sum of floating numbers beside what it is about: compare
    ROUND(…, 2) of it') else VALUE end"""


def rewrite(statement: Any, dialect: str) -> Any:
    """Return the parsed statement, changed so that it means the same in DuckDB."""
    from sqlglot import exp

    nodes = list(statement.walk(bfs=True))
    remember_types(nodes, dialect)
    for node in reversed(nodes):
        for key in ("operation_modifiers", "options"):  # which change no result
            if key in node.args:
                node.set(key, None)
        if type(node).__name__ == "Limit" and is_top_100_percent(node):
            node.pop()
            continue
        made = rewrite_node(node, dialect)
        if made is not None:
            keep_types(node, made)
            if node is statement:
                statement = made
            else:
                node.replace(made)
    for join in statement.find_all(exp.Join):
        if dialect == "mysql" and join.kind == "STRAIGHT_JOIN":  # MySQL's, which only says in which order to read
            join.set("kind", None)
        if isinstance(join.this, exp.Lateral) and join.this.args.get("cross_apply") is not None:
            join.set("side", None if join.this.args["cross_apply"] else "LEFT")
            join.set("on", exp.true())
            join.this.set("cross_apply", None)
    for clause in statement.find_all(exp.With):  # a word that T-SQL and Oracle do without
        named = [(cte.alias.lower(), cte) for cte in clause.expressions]
        if any(table.name.lower() == name for name, cte in named for table in cte.find_all(exp.Table)):
            clause.set("recursive", True)
    return statement


def rewrite_node(node: Any, dialect: str, *, text_order: bool = True) -> Any:
    """Return the replacement in DuckDB for one part of a statement; None where it can stay.

    Without ``text_order`` the part is not guarded against an uncertain order of texts.
    """
    name = type(node).__name__
    made = apply_rule(node, dialect)
    if made is None and name in REWRITES:
        made = REWRITES[name](node, dialect)
    if dialect == "tsql" and name in COMPARISONS | {"Nullif", "Case"}:
        made = _compare_as_dates(node, made)
    if name in COMPARISONS | {"Nullif", "Case"}:
        made = compare_folded(node, made, comparison_fold(node, dialect))
        made = guard_written_texts(node, made, dialect)
    if name in TEXT_EQUALITY_REWRITES:
        made = TEXT_EQUALITY_REWRITES[name](made or node, dialect) or made
    if text_order:
        made = guard_text_order(node, made, dialect)
    if dialect in LOOSELY_TYPED_DIALECTS and name in COMPARISONS | {"Nullif", "Case"}:
        made = _guard_comparison(node, made)
    if dialect == "sqlite" and name in COMPARISONS | {"Nullif", "Case"}:
        made = _guard_sums(node, made)
    if dialect == "sqlite" and name in {"Add", "Sub", "Mul"} and is_kind(node, "decimal"):
        made = _with_floats(node, made)
    if dialect in NUMERIC_CONDITION_DIALECTS:
        made = _condition(node, made, name)
    if dialect == "oracle" and name in BLANK_RESULTS:
        made = snippet("nullif(VALUE, '')", value=made or node)
    return made


def _guard_sums(node: Any, made: Any) -> Any:
    """Raise in DuckDB where a sum of SQLite's decimals is compared with what it is about, and is no whole number."""
    from sqlglot import exp

    values = operands(node)
    summed = any(is_kind(part, "decimal") for value in values for part in value.find_all(exp.Sum))
    if not summed or any(has_known_type(value, "text") or is_text_literal(value) for value in values):
        return made
    copy = (made or node).copy()
    first, *others = operands(copy)
    near = [snippet(NEARLY_EQUAL, value=first, other=other) for other in others]
    first.replace(snippet(REJECT_NEAR_SUM, near=exp.or_(*near), value=first))
    return copy


def _with_floats(node: Any, made: Any) -> Any:
    """Return a calculation with SQLite's decimals, which are floating numbers there: 1.15 * 100 is not 115."""
    from sqlglot import exp

    copy = (made or node).copy()
    for key in ("this", "expression"):
        if is_kind(node.args[key], "decimal"):
            copy.set(key, exp.cast(copy.args[key].copy(), "double"))
    return copy


def is_read_differently(node: Any, dialect: str) -> bool:
    """Return whether DuckDB, without the rewrite of a part, would take it for something else."""
    name = type(node).__name__
    if name in {"Cast", "Convert"}:
        to = node.to if name == "Cast" else node.this
        length = to.expressions[0].name if to.expressions else "30" if dialect == "tsql" else ""
        added = type(node.parent).__name__ in {"Length", "Left", "Right"}
        short = (
            to.this.name in TEXT_TYPES | PADDED_TYPES
            and length.isdigit()
            and int(length) < LONG_TEXT_LENGTH
            and not added
        )
        return bool(short or (to.this.name in INTEGER_TYPES and dialect in {"tsql", "sqlite"}))
    if name == "DPipe":
        given = all(
            type(side).__name__ in {"Coalesce", "DPipe", "Literal", "Paren"} for side in node.iter_expressions()
        )
        return dialect == "oracle" and not given
    if name == "Like" and is_text_literal(node.expression) and not re.search("[A-Za-z]", node.expression.name):
        return False
    return dialect in READ_DIFFERENTLY.get(name, ())


def _coalesce(node: Any, _: str) -> Any:
    """T-SQL's ISNULL has the type of its first value, so that its 0.00 is 0 beside a whole number."""
    if not node.args.get("is_null") or not is_whole_literal(node.expressions[0]):
        return None
    return snippet("coalesce(VALUE, OTHER)", value=node.this, other=node.expressions[0].name.partition(".")[0] or "0")


def _addition(node: Any, dialect: str) -> Any:
    """T-SQL's + between texts. What is no text there is an error in DuckDB too, not another result."""
    if dialect == "tsql" and has_known_type(node, "text"):
        parts = [
            part if has_known_type(part, "text") else snippet("rtrim(VALUE, '')", value=part)
            for part in (node.left, node.right)
        ]
        for part in parts:
            part.meta["known"] = "text"
        return concatenate(parts)
    return _arithmetic(node, dialect)


def _arithmetic(node: Any, dialect: str) -> Any:
    """T-SQL and Oracle add days to a time; MySQL and SQLite take a date for a number in a calculation."""
    days = node.right
    now = node.left.unnest()
    adds_days = dialect in {"tsql", "oracle"} and type(days).__name__ == "Literal" and days.name.isdigit()
    if adds_days and now == _current_time(now, dialect):
        return copy_with(node, expression=snippet("to_days(DAYS)", days=days))
    if dialect not in NUMERIC_CONDITION_DIALECTS or not any(
        type(side).__name__ == "Column" for side in (node.left, node.right)
    ):
        return None
    sides = [
        snippet(NO_DATE, value=side) if type(side).__name__ == "Column" else side.copy()
        for side in (node.left, node.right)
    ]
    return copy_with(node, this=sides[0], expression=sides[1])


def _guard_comparison(node: Any, made: Any) -> Any:
    """Raise in DuckDB where a text would be compared with a number."""
    values = operands(node)
    text = any(_is_known_text(value) and not is_text_literal(value) for value in values)
    guard = NUMBER_ONLY if any(map(is_known_number, values)) else TEXT_ONLY if text else None
    if guard is None:
        return made
    is_certain = is_known_number if guard is NUMBER_ONLY else _is_known_text
    if all(is_certain(value) for value in values if type(value).__name__ in UNTYPED_NODES):
        return made
    copy = (made or node).copy()
    for value in operands(copy):
        if type(value).__name__ in UNTYPED_NODES and not is_certain(value):
            value.replace(snippet(guard, value=value))
    return copy


def _is_known_text(node: Any) -> bool:
    return has_known_type(node, "text")


def _compare_as_dates(node: Any, made: Any) -> Any:
    """Compare T-SQL's ``'20240131'`` as a date where the other side is one, and as a text otherwise."""
    values = operands(node)
    typed = next((value for value in values if type(value).__name__ in {"Column", "Coalesce", "Max", "Min"}), None)
    copy = (made or node).copy()
    for value in operands(copy) if typed is not None else ():
        found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", value.name) if is_text_literal(value) else None
        if found:
            date = f"'{found[1]}-{found[2]}-{found[3]}'"
            value.replace(snippet(DATE_OR_TEXT, typed=typed, date=date, given=value))
            made = copy
    return made


def _substring_index(node: Any, _: str) -> Any:
    count = str(literal_integer(node.args["count"]))
    return snippet("split_part(VALUE, LETTER, COUNT)", value=node.this, letter=node.args["delimiter"], count=count)


def _current_time(_: Any, __: str) -> Any:
    """Return this machine's time without a zone, as most databases return theirs."""
    return snippet("cast(current_timestamp as timestamp)")


def _condition(node: Any, made: Any, name: str) -> Any:
    """Return a condition that is used as a value as a number, and a number that is used as a condition as one."""
    asked = is_condition(node)
    if type(node.parent).__name__ == "Escape":
        return made
    if name == "Boolean" and not asked and type(node.parent).__name__ != "Is":
        return snippet(str(int(node.this)))
    if name in CONDITIONS and not asked:
        return snippet("cast(VALUE as integer)", value=made or node)
    if asked and name not in CONDITIONS | {"Paren", "Boolean", "Null"}:
        value = made or node
        return snippet("VALUE <> 0", value=value if is_numeric(node) else snippet(NUMBER_ONLY, value=value))
    return made


REWRITES: dict[str, Callable[[Any, str], Any]] = {
    **NUMBER_REWRITES,
    **TEXT_REWRITES,
    "Add": _addition,
    "Sub": _arithmetic,
    "Coalesce": _coalesce,
    "SubstringIndex": _substring_index,
    "CurrentTimestamp": _current_time,
}
"""The rewrite of each kind of part."""
