"""Rewrites of numbers and casts; see :mod:`engine.mapping.transpile.rewrite`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    DATE_STYLES,
    EXACT_QUOTIENT_DECIMALS,
    INTEGER_TYPES,
    MONEY_TYPES,
    PADDED_TYPES,
    TEXT_TYPES,
    decimal_places,
    is_shown,
    is_text_literal,
    literal_integer,
)
from engine.mapping.transpile.kinds import is_kind, scale_of
from engine.mapping.transpile.snippets import (
    DEFAULT_DECIMAL,
    NULL_WINS_DIALECTS,
    as_text,
    has_known_type,
    is_known_number,
    snippet,
    typed_snippet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NULL_QUOTIENT_DIALECTS = frozenset({"mysql", "sqlite"})
"""Dialects in which a division by zero is NULL; it is an error elsewhere, and infinity in DuckDB."""

TIE_ERROR = """
    error('databases differ in how they round a floating number halfway between two: say the type of its column in the
    header of the fixture, as in price:decimal(12,4), or give it another value')"""

REJECT_TIE = f"""
    case when DOUBLES and abs(abs(try_cast(VALUE as double) * SCALE) % 1 - 0.5) < 0.000001
    then {TIE_ERROR} else MADE end"""

NUMBER_ONLY = """
    case when typeof(VALUE) = 'VARCHAR' and VALUE is not null
    then error('databases differ in a text compared with a number: write sql.try_number(…)') else VALUE end"""

CONVERT_STYLE = """
    case when VALUE is null then null
        when typeof(VALUE) in ('DATE', 'TIMESTAMP')
        then strftime(
            cast(cast(VALUE as varchar) as timestamp), case when typeof(VALUE) = 'DATE' then DAY else MOMENT end)
    else error('databases differ in CONVERT with a style of what is no date: write sql.cast_text(…)') end"""

TRY_INTEGER = """
    case when typeof(VALUE) <> 'VARCHAR'
        then try_cast(trunc(try_cast(cast(VALUE as varchar) as decimal(38, 10))) as KIND)
        when trim(cast(VALUE as varchar), ' ') = '' then 0
        when regexp_full_match(cast(VALUE as varchar), ' *[-+]?[0-9]+ *')
        then try_cast(trim(cast(VALUE as varchar), ' ') as KIND)
        when regexp_full_match(cast(VALUE as varchar), '\\s*[-+]?\\s*[0-9]*\\s*')
        then error('databases differ in a text that is almost a whole number: write sql.try_int(…)')
    end"""
"""T-SQL takes a blank text for 0, and of other blanks and signs nothing is known."""

NO_DATE = """
    case when typeof(VALUE) = 'DATE'
    then error('databases differ in a sum with a date: compare the dates') else VALUE end"""

AS_INTEGER = """
    cast(case when typeof(VALUE) = 'VARCHAR' and not regexp_full_match(cast(VALUE as varchar), '\\s*[-+]?[0-9]+\\s*')
    then error('databases differ in a text that is no whole number: write sql.try_int(…)') else NUMBER end as KIND)"""

TRY_DECIMAL = """
    try_cast(case when typeof(VALUE) <> 'VARCHAR'
        or regexp_full_match(cast(VALUE as varchar), '\\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)\\s*')
        then VALUE end as KIND)"""
"""T-SQL's TRY_CAST to a decimal reads no exponent."""

GREATEST_OR_LEAST = "case when UNKNOWN then null else EXTREME end"


def _division(node: Any, dialect: str) -> Any:
    """Give a quotient ten exactly rounded decimals, so that 1.005 is not 1.00499999999999989."""
    return snippet("cast(DIVIDEND / DIVISOR as decimal(24, 10))", dividend=node.left, divisor=_divisor(node, dialect))


def _divisor(node: Any, dialect: str) -> Any:
    """Return the divisor, with what a division by zero does in the database."""
    by = node.right
    if type(by).__name__ == "Literal" and by.name.strip("0."):
        return by
    if dialect in NULL_QUOTIENT_DIALECTS:
        return snippet("nullif(VALUE, 0)", value=by)
    return snippet("case when VALUE = 0 then error('division by zero') else VALUE end", value=by)


def _average(node: Any, _: str) -> Any:
    windowed = type(node.parent).__name__ in {"Window", "Filter"}
    return None if windowed else snippet("cast(VALUE as decimal(24, 10))", value=node)


def _modulo(node: Any, dialect: str) -> Any:
    if dialect == "oracle":
        return snippet("case when BY = 0 then VALUE else mod(VALUE, BY) end", value=node.left, by=node.right)
    return snippet("mod(VALUE, BY)", value=node.left, by=_divisor(node, dialect))


def _cast(node: Any, dialect: str) -> Any:
    return _cast_value(node.this, node.to, dialect)


def _convert(node: Any, dialect: str) -> Any:
    from sqlglot import exp

    style = node.args.get("style")
    if style is not None:
        moment = DATE_STYLES[str(literal_integer(style))]
        day = re.sub(r"[ T]?%H.*", "", moment)
        parts = {"moment": exp.Literal.string(moment), "day": exp.Literal.string(day)}
        made = snippet(CONVERT_STYLE, value=node.expression, **parts)
        made = snippet("left(VALUE, LENGTH)", value=made, length=node.this.expressions[0].name)
        padded = node.this.this.name in PADDED_TYPES
        return snippet("rpad(VALUE, LENGTH, ' ')", value=made, length=node.this.expressions[0].name) if padded else made
    if node.args.get("safe"):
        return _try_cast(exp.TryCast(this=node.expression.copy(), to=node.this.copy()), dialect)
    made = _cast_value(node.expression, node.this, dialect)
    return exp.Cast(this=node.expression.copy(), to=node.this.copy()) if made is None else made


def _cast_value(value: Any, to: Any, dialect: str) -> Any:
    from sqlglot import exp

    kind = to.this.name
    if kind in INTEGER_TYPES:
        return _to_integer(value, to, dialect)
    if kind in TEXT_TYPES | PADDED_TYPES:
        return _to_text(value, to, dialect)
    if kind == "BIT":
        return snippet("cast(VALUE as boolean)", value=value)
    if kind == "FLOAT":
        return exp.cast(value.copy(), "double")
    if kind in MONEY_TYPES:
        return _reject_tie(value, exp.cast(value.copy(), MONEY_TYPES[kind]), 4, dialect)
    if kind != "DECIMAL":
        return None
    if dialect == "sqlite" or not (to.expressions or dialect in DEFAULT_DECIMAL):
        return exp.cast(value.copy(), "decimal(24, 10)")
    made = exp.Cast(this=value.copy(), to=to.copy() if to.expressions else exp.DataType.build(DEFAULT_DECIMAL[dialect]))
    return _reject_tie(value, made, decimal_places(to) or 0, dialect)


def _reject_tie(value: Any, made: Any, decimals: int, dialect: str) -> Any:
    """Raise in DuckDB where a floating number is halfway: how it is rounded depends on its last bit.

    All of SQLite's fractions are floating numbers.
    """
    from sqlglot import exp

    decimal = isinstance(value, exp.Cast) and value.to.is_type("decimal") and value.find(exp.Div, exp.Avg) is None
    exact = isinstance(value, exp.Literal) or decimal
    if decimals > EXACT_QUOTIENT_DECIMALS or (exact and dialect != "sqlite"):  # no price is so fine
        return made
    doubles = "true" if dialect == "sqlite" else _is_floating(value)
    if doubles is None:
        return made
    return snippet(REJECT_TIE, value=value, made=made, doubles=doubles, scale=str(10**decimals))


def _is_floating(value: Any) -> Any:
    """Return SQL for whether any operand of a number is a floating number; None where all are known to be none."""
    from sqlglot import exp

    kinds = [] if has_known_type(value, "text") else [value]
    for node in value.copy().walk(prune=lambda node: isinstance(node, (exp.Query, exp.Lambda))):
        if isinstance(node, exp.Column) and is_kind(node, "text", "integer", "decimal", "date", "timestamp"):
            continue
        if isinstance(node, exp.Column):
            grouped = node.find_ancestor(exp.AggFunc, exp.Query, exp.Window)
            over = grouped is not None and isinstance(grouped.parent, (exp.Window, exp.Filter))
            any_value = isinstance(grouped, exp.AggFunc) and not over
            kinds.append(exp.func("any_value", node.copy()) if any_value else node)
        elif isinstance(node, exp.Cast) and not isinstance(node.this, exp.Query):
            kinds.append(exp.Cast(this=exp.null(), to=node.to.copy()))
    asked = {kind.sql("duckdb"): snippet("typeof(VALUE) in ('DOUBLE', 'FLOAT')", value=kind) for kind in kinds}
    return exp.or_(*asked.values()) if asked else None


def _round(node: Any, dialect: str) -> Any:
    """Give the result the type that it has in the database: floating in SQLite, with all decimals in PostgreSQL."""
    decimals = node.args.get("decimals")
    count = literal_integer(decimals) or 0
    kind = "double" if dialect == "sqlite" else f"decimal(28, {count})" if dialect == "postgres" else ""
    if dialect == "mysql" and count > 0 and is_kind(node.this, "double") and is_shown(node):
        kind = f"decimal(38, {count})"  # it has so many decimals in a text
    if dialect == "mysql" and count > (scale_of(node.this) or count):
        kind = f"decimal(30, {count})"  # as above
    made = typed_snippet("cast(VALUE as KIND)", kind, value=node) if kind else node
    return _reject_tie(node.this, made, count, dialect)


def _floor(node: Any, dialect: str) -> Any:
    """SQLite's FLOOR and CEIL return floating numbers, which shows in their text; MySQL's never -0."""
    if dialect == "mysql" and is_kind(node.this, "integer"):
        return node.this.copy()  # DuckDB makes a floating number of it, which has fewer digits
    if dialect == "mysql" and is_kind(node.this, "double"):
        return snippet("VALUE + cast(0 as double)", value=node)
    return snippet("cast(VALUE as double)", value=node) if dialect == "sqlite" else None


def _to_integer(value: Any, to: Any, dialect: str) -> Any:
    """Round or truncate a number as the database does; raise in DuckDB for a text that is not a whole number."""
    kind = to.sql("duckdb")
    exact = snippet("cast(VALUE as decimal(38, 10))", value=value)
    cut = snippet("trunc(VALUE)", value=exact)
    if dialect == "sqlite":
        return typed_snippet("cast(VALUE as KIND)", kind, value=cut)
    whole = type(value).__name__ in {"Floor", "Ceil"}
    number = cut if dialect == "tsql" else exact if whole else _reject_tie(value, exact, 0, dialect)
    if is_known_number(value):
        return typed_snippet("cast(NUMBER as KIND)", kind, number=number)
    return typed_snippet(AS_INTEGER, kind, value=value, number=number)


def _to_text(value: Any, to: Any, dialect: str) -> Any:
    """Truncate a text that is too long; raise in DuckDB for a number that is too long."""
    from sqlglot import exp

    text = as_text(value)
    kind = to.this.name
    length = to.expressions[0].name if to.expressions else ""
    if not length and dialect == "tsql" and kind != "TEXT":
        length = "30"
    elif not length and kind in PADDED_TYPES and dialect == "oracle":
        length = "1"
    if not length.isdigit() or dialect == "sqlite":  # nvarchar(max)
        return exp.Paren(this=text)
    made = snippet("left(VALUE, LENGTH)", value=text, length=length)
    if dialect not in {"postgres", "mysql"} and not is_text_literal(value):
        made = snippet(
            "case when typeof(VALUE) <> 'VARCHAR' and length(WHOLE) > LENGTH"
            " then error('databases differ in a number that is longer than its text may be: give the text more room')"
            " else MADE end",
            value=value,
            whole=text,
            length=length,
            made=made,
        )
    if kind in PADDED_TYPES and dialect != "mysql":
        made = snippet("rpad(VALUE, LENGTH, ' ')", value=made, length=length)
    return made


def _try_cast(node: Any, _: str) -> Any:
    if node.to.this.name in INTEGER_TYPES:
        return typed_snippet(TRY_INTEGER, node.to.sql("duckdb"), value=node.this)
    return typed_snippet(TRY_DECIMAL, node.to.sql("duckdb"), value=node.this)


def _greatest_or_least(node: Any, dialect: str) -> Any:
    from sqlglot import exp

    if dialect not in NULL_WINS_DIALECTS:
        return None
    unknown = exp.or_(*(snippet("VALUE is null", value=value) for value in (node.this, *node.expressions)))
    values = [part.copy() for part in (node.this, *node.expressions)]
    return snippet(
        GREATEST_OR_LEAST, unknown=unknown, extreme=exp.Anonymous(this=node.sql_name().lower(), expressions=values)
    )


NUMBER_REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Div": _division,
    "Avg": _average,
    "Mod": _modulo,
    "Round": _round,
    "Floor": _floor,
    "Ceil": _floor,
    "Cast": _cast,
    "TryCast": _try_cast,
    "Convert": _convert,
    "Greatest": _greatest_or_least,
    "Least": _greatest_or_least,
}
"""The rewrite of each kind of part, as :func:`engine.mapping.transpile.rewrite.rewrite_node` runs it."""
