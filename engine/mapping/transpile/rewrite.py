"""What stands in DuckDB for a part of another dialect's SQL that means something else there.

Each is written as DuckDB's SQL with names in capitals for the parts that it takes. Where a type
decides that the SQL does not tell, such as a column's, ``typeof`` asks DuckDB for it: what cannot be made the same is
then an error of the whole query, never another row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    COMPARISONS,
    INTEGERS,
    LOOSE,
    PADDED,
    TEXTS,
    is_text,
    is_whole,
    numeric,
    operands,
    takes_all,
)
from engine.mapping.transpile.rewrite_numbers import (
    NO_DATE,
    NUMBER_ONLY,
    _averaged,
    _casted,
    _converted,
    _divided,
    _extreme,
    _floored,
    _left_over,
    _rounded,
    _tried,
)
from engine.mapping.transpile.rewrite_text import (
    BLANKABLE,
    TEXT_ONLY,
    _blank,
    _character,
    _concat,
    _concat_ws,
    _ended,
    _joined,
    _liked,
    _listed,
    _lower,
    _matched,
    _measured,
    _padded,
    _part,
    _piped,
    _spaced,
    _stuffed,
    _trimmed,
    _upper,
)
from engine.mapping.transpile.snippets import LONG, OTHERWISE, UNTYPED, _is_known, _known, _sql, _with

if TYPE_CHECKING:
    from collections.abc import Callable

NUMERIC_TRUTH = frozenset({"mysql", "sqlite"})
"""Dialects in which a condition is the number 1 or 0, and a number a condition."""

CONDITIONS = COMPARISONS | {"And", "Or", "Not", "Is", "Like", "ILike", "Escape", "Exists", "RegexpLike"}

DATE_OR_TEXT = """
    cast_to_type(
        case when typeof(TYPED) in ('DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') then DATE else GIVEN end, TYPED)"""


def rewrite(statement: Any, dialect: str) -> Any:
    """The parsed statement with what stands in DuckDB for its parts."""
    from sqlglot import exp

    nodes = list(statement.walk(bfs=True))
    for node in nodes:  # while nothing is rewritten yet, since what stands for a text does not look like one
        node.meta["known"] = _known(node, dialect)
    for node in reversed(nodes):
        for key in ("operation_modifiers", "options"):  # which change no result
            if key in node.args:
                node.set(key, None)
        if type(node).__name__ == "Limit" and takes_all(node):
            node.pop()
            continue
        made = rewritten(node, dialect)
        if made is not None:
            made.meta["known"] = node.meta["known"]
            node.replace(made)
    for join in statement.find_all(exp.Join):
        if isinstance(join.this, exp.Lateral) and join.this.args.get("cross_apply") is not None:
            join.set("side", None if join.this.args["cross_apply"] else "LEFT")
            join.set("on", exp.true())
            join.this.set("cross_apply", None)
    for clause in statement.find_all(exp.With):  # a word that T-SQL and Oracle do without
        named = [(cte.alias.lower(), cte) for cte in clause.expressions]
        if any(table.name.lower() == name for name, cte in named for table in cte.find_all(exp.Table)):
            clause.set("recursive", True)
    return statement


def rewritten(node: Any, dialect: str) -> Any:
    """What stands for one part of a statement in DuckDB; None where it stands for itself."""
    name = type(node).__name__
    made = REWRITES[name](node, dialect) if name in REWRITES else None
    if dialect == "tsql" and name in COMPARISONS | {"Nullif", "Case"}:
        made = _padded(node, _dated(node, made))
    if dialect in LOOSE and name in COMPARISONS | {"Nullif", "Case"}:
        made = _compared(node, made)
    if dialect in NUMERIC_TRUTH:
        made = _truth(node, made, name)
    if dialect == "oracle" and name in BLANKABLE:
        made = _sql("nullif(VALUE, '')", value=made or node)
    return made


def reads_otherwise(node: Any, dialect: str) -> bool:
    """Whether a part that is rewritten would be read by DuckDB, without the rewrite, as something else."""
    name = type(node).__name__
    if name in {"Cast", "Convert"}:
        to = node.to if name == "Cast" else node.this
        length = to.expressions[0].name if to.expressions else "30" if dialect == "tsql" else ""
        added = type(node.parent).__name__ in {"Length", "Left", "Right"}
        short = to.this.name in TEXTS | PADDED and length.isdigit() and int(length) < LONG and not added
        return bool(short or (to.this.name in INTEGERS and dialect in {"tsql", "sqlite"}))
    if name == "DPipe":
        given = all(
            type(side).__name__ in {"Coalesce", "DPipe", "Literal", "Paren"} for side in node.iter_expressions()
        )
        return dialect == "oracle" and not given
    if name == "Like" and is_text(node.expression) and not re.search("[A-Za-z]", node.expression.name):
        return False
    return dialect in OTHERWISE.get(name, ())


def _filled(node: Any, _: str) -> Any:
    """T-SQL's ISNULL has the type of its first value, so that its 0.00 is 0 beside a whole number."""
    if not node.args.get("is_null") or not is_whole(node.expressions[0]):
        return None
    return _sql("coalesce(VALUE, OTHER)", value=node.this, other=node.expressions[0].name.partition(".")[0] or "0")


def _decoded(node: Any, _: str) -> Any:
    """Oracle's DECODE, for which NULL is equal to NULL."""
    from sqlglot import exp

    value, *rest = node.expressions
    case = exp.Case(ifs=[])
    for given, then in zip(rest[::2], rest[1::2], strict=False):
        case = case.when(exp.NullSafeEQ(this=value.copy(), expression=given.copy()), then.copy())
    return case.else_(rest[-1].copy()) if len(rest) % 2 else case


def _added(node: Any, dialect: str) -> Any:
    """T-SQL's + between texts. What is no text there is an error in DuckDB too, not another result."""
    if dialect == "tsql" and _is_known(node, "text"):
        parts = [
            part if _is_known(part, "text") else _sql("rtrim(VALUE, '')", value=part)
            for part in (node.left, node.right)
        ]
        for part in parts:
            part.meta["known"] = "text"
        return _joined(parts)
    return _calculated(node, dialect)


def _calculated(node: Any, dialect: str) -> Any:
    """T-SQL and Oracle add days to a time; MySQL and SQLite take a date for a number in a calculation."""
    days = node.right
    now = node.left.unnest()
    adds_days = dialect in {"tsql", "oracle"} and type(days).__name__ == "Literal" and days.name.isdigit()
    if adds_days and now == _now(now, dialect):
        return _with(node, expression=_sql("to_days(DAYS)", days=days))
    if dialect not in NUMERIC_TRUTH or not any(type(side).__name__ == "Column" for side in (node.left, node.right)):
        return None
    sides = [
        _sql(NO_DATE, value=side) if type(side).__name__ == "Column" else side.copy()
        for side in (node.left, node.right)
    ]
    return _with(node, this=sides[0], expression=sides[1])


def _compared(node: Any, made: Any) -> Any:
    """A text is never compared with a number."""
    values = operands(node)
    text = any(_is_known(value, "text") and not is_text(value) for value in values)
    guard = NUMBER_ONLY if any(map(numeric, values)) else TEXT_ONLY if text else None
    if guard is None:
        return made
    copy = (made or node).copy()
    for value in operands(copy):
        if type(value).__name__ in UNTYPED:
            value.replace(_sql(guard, value=value))
    return copy


def _dated(node: Any, made: Any) -> Any:
    """T-SQL's 20240131 is a date where it is compared with one, and a text otherwise."""
    values = operands(node)
    typed = next((value for value in values if type(value).__name__ in {"Column", "Coalesce", "Max", "Min"}), None)
    copy = (made or node).copy()
    for value in operands(copy) if typed is not None else ():
        found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", value.name) if is_text(value) else None
        if found:
            date = f"'{found[1]}-{found[2]}-{found[3]}'"
            value.replace(_sql(DATE_OR_TEXT, typed=typed, date=date, given=value))
            made = copy
    return made


def _first(node: Any, _: str) -> Any:
    return _sql("split_part(VALUE, LETTER, 1)", value=node.this, letter=node.args["delimiter"])


def _now(_: Any, __: str) -> Any:
    """The time of this machine, without a zone, as most databases have it of theirs."""
    return _sql("cast(current_timestamp as timestamp)")


def _truth(node: Any, made: Any, name: str) -> Any:
    """A condition as the number that it is to the database, where it is a value; a value as a condition."""
    asked = _asked(node)
    if type(node.parent).__name__ == "Escape":
        return made
    if name == "Boolean" and not asked and type(node.parent).__name__ != "Is":
        return _sql(str(int(node.this)))
    if name in CONDITIONS and not asked:
        return _sql("cast(VALUE as integer)", value=made or node)
    if asked and name not in CONDITIONS | {"Paren", "Boolean", "Null"}:
        value = made or node
        return _sql("VALUE <> 0", value=value if numeric(node) else _sql(NUMBER_ONLY, value=value))
    return made


def _asked(node: Any) -> bool:
    """Whether a part stands where a condition is asked for."""
    at = node
    while type(at.parent).__name__ == "Paren":
        at = at.parent
    parent, key = type(at.parent).__name__, at.arg_key
    if parent == "If":
        case = at.parent.parent
        return key == "this" and not (type(case).__name__ == "Case" and case.this is not None)
    if parent == "Join":
        return bool(key == "on")
    if parent == "Is":
        return key == "this" and type(at.parent.expression).__name__ == "Boolean"
    return parent in {"Where", "Having", "And", "Or", "Not"}


REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Add": _added,
    "Sub": _calculated,
    "Coalesce": _filled,
    "Stuff": _stuffed,
    "Space": _spaced,
    "Div": _divided,
    "Avg": _averaged,
    "Mod": _left_over,
    "Round": _rounded,
    "Floor": _floored,
    "Ceil": _floored,
    "Cast": _casted,
    "TryCast": _tried,
    "Convert": _converted,
    "ToChar": _character,
    "Literal": _blank,
    "Like": _liked,
    "RegexpLike": _matched,
    "Upper": _upper,
    "Lower": _lower,
    "Length": _measured,
    "Trim": _trimmed,
    "Substring": _part,
    "Left": _ended,
    "Right": _ended,
    "Concat": _concat,
    "ConcatWs": _concat_ws,
    "DPipe": _piped,
    "Greatest": _extreme,
    "Least": _extreme,
    "GroupConcat": _listed,
    "SubstringIndex": _first,
    "CurrentTimestamp": _now,
}
"""What stands for a part of a statement in DuckDB, by its kind."""
