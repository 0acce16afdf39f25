"""Columns of types that DuckDB has not, or not alike: fixtures keep their values as texts, as the database writes them.

The text is the value where it is only passed on. Where it is compared, ordered or counted, the database looks at what
it means: ``'8:30'`` equals the time ``08:30:00``, an interval of 24 hours one of a day, and a time with a zone the same
moment in another zone. Such a use is refused, unless the texts decide alike, or it can be rewritten.

A column of such a type is of the kind ``typed:`` and the type's name, as :func:`own_kind` gives it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms
from engine.mapping.transpile.facts import (
    COMPARISONS,
    PADDED_TYPES,
    REFUSED_LIVE,
    TEXT_TYPES,
    construct_name,
    decides_rows,
    is_condition,
    operands,
    sorted_part,
)
from engine.mapping.transpile.functions_common import text_of
from engine.mapping.transpile.kind_parts import BRANCHING_PARTS, branches
from engine.mapping.transpile.kinds import is_kind, kind
from engine.mapping.transpile.snippets import snippet

if TYPE_CHECKING:
    from engine.mapping.transpile.facts import Unsupported

PREFIX = "typed:"

JSON = "json"
"""The kind of what has rules of its own, and is compared by what it means all the same."""

_OWN = re.compile(
    r"(time|timetz|timestamptz|datetimeoffset|interval|uuid|uniqueidentifier|json|xml|inet|cidr|macaddr8?|array"
    r"|sql_variant|hierarchyid|rowversion|geometry|geography)\b.*|timestamp\b.* with\b.*"
)

MONEY = "money"
"""PostgreSQL's type, which is kept as a number, and whose text has the signs of its locale."""

UUID, INET, BYTES = "uuid", "inet", "bytea"

_OTHERWISE_JOINED = frozenset({INET, "array", "char", '"char"', "bit", "bit varying", "varbit"})
"""PostgreSQL's types whose text has another form beside ``||``, or that it joins as lists."""

_OF_POSTGRES = frozenset({"boolean", "bool", "char", "json", "jsonb"})
"""Types of PostgreSQL, beside numbers, texts and dates, whose values mean the same in DuckDB, or have rules."""

ZONED = frozenset({"timestamp with time zone", "timestamptz"})
_TIMES = frozenset({"time", "time without time zone"})
_EQUAL_AS_TEXTS = ZONED | _TIMES | {MONEY, "oid", "uuid", "uniqueidentifier", "inet", "cidr", "macaddr"}
"""Types whose values are equal where their texts are."""

_ORDERED_AS_TEXTS = {"postgres": ZONED | _TIMES | {MONEY, "uuid"}}
"""Types whose values have the order of their texts; where clocks are put back, an hour of a zone aside."""

_WRITTEN = {
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time": r"[0-2]\d:[0-5]\d:[0-5]\d",
    "time without time zone": r"[0-2]\d:[0-5]\d:[0-5]\d",
}
"""How a value stands in SQL as the database writes it."""

_WRITTEN_MOMENT = re.compile(r"\d{4}-\d\d?-\d\d?([ T]\d\d?:\d\d(:\d\d(\.\d+)?)?)?")

_PASSING = frozenset(
    {"Alias", "Select", "Paren", "Is", "Count", "Group", "Distinct", "Ordered", "Window", "Concat", "ConcatWs", "DPipe"}
    | {"If", "Subquery", "AnyValue", "Max", "Min", "Filter", "Union", "Join", "Tuple", "Lag", "Lead", "FirstValue"}
    | {"Values", "Exists", "Except", "Intersect"}
    | BRANCHING_PARTS
    | COMPARISONS
)
"""Parts that PostgreSQL has for a value of any type."""

_OF_JSON = frozenset({"Cast", "JSONExtract", "JSONExtractScalar", "JSONBExtractScalar"})
"""Further parts that have a rule for JSON."""

_EXTREMES = frozenset({"Max", "Min", "Greatest", "Least"})
_TEXTS = frozenset({"Concat", "ConcatWs", "DPipe"})
_ORDERING = frozenset({"LT", "LTE", "GT", "GTE", "Between"})


def own_kind(name: str, dialect: str, *, known: bool) -> str:
    """Return the kind of a column of the type ``name``; blank where it is none of these types.

    ``known`` says that DuckDB has a type for it.
    """
    if dialect in {"sqlite", "duckdb"} or (dialect == "postgres" and name in _OF_POSTGRES):
        return ""
    own = _OWN.fullmatch(name) is not None or (dialect == "postgres" and (name == MONEY or not known))
    return f"{PREFIX}{name}" if own else ""


def _type(node: Any) -> str:
    found = kind(node)
    return found[len(PREFIX) :] if found.startswith(PREFIX) else found if found == JSON else ""


def find_misuse(node: Any, dialect: str) -> Unsupported:
    """Return why a use of a value that fixtures keep as its text is refused; None where it is not."""
    name = type(node).__name__
    if name in COMPARISONS | {"Nullif", "Case"} and any(map(_type, [*operands(node), node.args.get("query")])):
        return _compared(node, dialect)
    for values in _merged(node):
        types = {_type(value) for value in values if not _is_null(value)}
        if len(types) > 1:
            return _refused(next(filter(None, types)), "beside a value of another type")
    merges = name in {"Select", "Union"} and bool(node.args.get("distinct"))
    outputs = [part.unalias() for arm in union_arms(node) for part in arm.selects] if merges else []
    parts = [sorted_part(node)] if name == "Ordered" else node.iter_expressions()
    for part in [*parts, *outputs]:
        found = _type(part)
        use = _misuse(node, part, dialect, merges=merges) if found else ""
        if use:
            return _refused(found, use)
    return None


def _merged(node: Any) -> list[list[Any]]:
    """Return the values of which one is the value of a part, or of an output of a UNION."""
    name = type(node).__name__
    if name in BRANCHING_PARTS:
        return [branches(node)]
    if name not in {"Union", "Except", "Intersect"}:
        return []
    arms = [arm.selects for arm in union_arms(node)]
    return [[part.unalias() for part in parts] for parts in zip(*arms, strict=False)]


def _misuse(node: Any, part: Any, dialect: str, *, merges: bool) -> str:
    """Return how a value of such a type, a part of ``node``, is used that is refused; blank for another use."""
    name, found = type(node).__name__, _type(part)
    ordered = found in _ORDERED_AS_TEXTS.get(dialect, ())
    grouped = merges or name in {"Group", "Distinct"} or part.arg_key == "partition_by"
    lacking = dialect == "postgres" and name in {"Max", "Min"} and found == UUID
    uses = {
        "as a condition": is_condition(part),
        "of which equal ones are made one": grouped and found not in _EQUAL_AS_TEXTS,
        "of which the first or the last is taken": name in _EXTREMES and not ordered,
        f"of which the first or the last is taken{REFUSED_LIVE}": lacking,
        "whose order decides": name == "Ordered" and not ordered and decides_rows(node),
        "in a text": name in _TEXTS and (found in {MONEY, BYTES} or (name == "DPipe" and found in _OTHERWISE_JOINED)),
        "that is cast to another type": name in {"Cast", "TryCast"} and found != JSON and not _is_shown(node, found),
        "that is calculated with": name in {"Add", "Sub", "Mul", "Div", "Mod", "Sum", "Avg"},
    }
    if dialect == "postgres" and name not in _PASSING | (_OF_JSON if found == JSON else {"Cast"}):
        uses[f"in {construct_name(node)}"] = True
    return next((use for use, refused in uses.items() if refused), "")


def _refused(found: str, use: str) -> tuple[str, str]:
    cast = "number" if found == MONEY else "text or its date" if found in ZONED else "text"
    return f"a value of the type {found} {use}", f"its {cast}, by a CAST, or another column."


def _is_null(node: Any) -> bool:
    return type(node.unnest()).__name__ == "Null"


def _is_shown(node: Any, found: str) -> bool:
    """Return whether a cast gives the text of a value, or of a moment the day."""
    to = node.to.this.name if hasattr(node.to.this, "name") else ""
    if found == MONEY:
        return to == "DECIMAL"
    whole = to in TEXT_TYPES | PADDED_TYPES and not node.to.expressions and found not in {INET, BYTES}
    return whole or (to == "DATE" and found in ZONED)


def _compared(node: Any, dialect: str) -> Unsupported:
    """Refuse a comparison in which the texts of values do not decide as the values do."""
    name = type(node).__name__
    values = operands(node)
    (found, *others) = sorted({_type(value) for value in [*values, node.args.get("query")] if _type(value)})
    if dialect == "postgres" and found in ZONED and not others:
        return None if compare_zoned(node) is not None else _refused(found, "beside one that is none without a zone")
    ordering = name in _ORDERING
    alike = _ORDERED_AS_TEXTS.get(dialect, frozenset()) if ordering else _EQUAL_AS_TEXTS
    written = _WRITTEN.get(found, "(?!)")
    fine = all(_type(value) == found or re.fullmatch(written, text_of(value) or "") for value in values)
    inner = node.args.get("query")
    if not others and found in alike and fine and (inner is None or _type(inner) == found):
        return None
    return _refused(found, "beside one that is written otherwise")


def compare_zoned(node: Any) -> Any:
    """Compare PostgreSQL's moments with a zone as the local times that the session shows; None where one is none.

    Its session reads a moment without a zone as such a time as well.
    """
    from sqlglot import exp

    copy = node.copy()
    if type(node).__name__ not in COMPARISONS or node.args.get("query") is not None:
        return None
    if not any(_type(value) in ZONED for value in operands(node)):
        return None
    zoned = all(_type(value) in ZONED for value in operands(node))
    for value in operands(copy):
        written = text_of(value)
        if zoned:
            made = exp.cast(value.copy(), "timestamptz")
        elif _type(value) in ZONED:
            made = snippet("cast(regexp_replace(VALUE, '[+-][0-9:]+$', '') as timestamp)", value=value)
        elif (written is not None and _WRITTEN_MOMENT.fullmatch(written)) or is_kind(value, "date", "timestamp"):
            made = snippet("cast(VALUE as timestamp)", value=value)
        else:
            return None
        value.replace(made)
    return copy
