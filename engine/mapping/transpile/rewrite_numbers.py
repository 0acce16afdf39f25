"""rewrite_numbers."""

from __future__ import annotations

import re
from typing import Any

from engine.mapping.transpile.facts import DATE_STYLES, INTEGERS, MONEY, PADDED, PLACES, TEXTS, is_text, places
from engine.mapping.transpile.snippets import NULLS_WIN, SHORT_DECIMAL, _cast_to, _sql, _text

NULL_QUOTIENT = frozenset({"mysql", "sqlite"})
"""Dialects in which a division by zero is NULL; it is an error elsewhere, and infinity in DuckDB."""

HALFWAY = """
    error('databases differ in how they round a floating number halfway between two: say the type of its column in the
    header of the fixture, as in price:decimal(12,4), or give it another value')"""

TIE = f"""
    case when DOUBLES and abs(abs(try_cast(VALUE as double) * SCALE) % 1 - 0.5) < 0.000001
    then {HALFWAY} else MADE end"""

NUMBER_ONLY = """
    case when typeof(VALUE) = 'VARCHAR' and VALUE is not null
    then error('databases differ in a text compared with a number: write sql.try_number(…)') else VALUE end"""

STYLED = """
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

INTEGER_OF = """
    cast(case when typeof(VALUE) = 'VARCHAR' and not regexp_full_match(cast(VALUE as varchar), '\\s*[-+]?[0-9]+\\s*')
    then error('databases differ in a text that is no whole number: write sql.try_int(…)') else NUMBER end as KIND)"""

TRY = """
    try_cast(case when typeof(VALUE) <> 'VARCHAR'
        or regexp_full_match(cast(VALUE as varchar), '\\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)\\s*')
        then VALUE end as KIND)"""
"""T-SQL's TRY_CAST to a decimal reads no exponent."""

EXTREME = "case when UNKNOWN then null else EXTREME end"


def _divided(node: Any, dialect: str) -> Any:
    """A quotient with ten decimals, exactly rounded, so that 1.005 is not 1.00499999999999989."""
    return _sql("cast(DIVIDEND / DIVISOR as decimal(24, 10))", dividend=node.left, divisor=_divisor(node, dialect))


def _divisor(node: Any, dialect: str) -> Any:
    """What a division by zero is to the database."""
    by = node.right
    if type(by).__name__ == "Literal" and by.name.strip("0."):
        return by
    if dialect in NULL_QUOTIENT:
        return _sql("nullif(VALUE, 0)", value=by)
    return _sql("case when VALUE = 0 then error('division by zero') else VALUE end", value=by)


def _averaged(node: Any, _: str) -> Any:
    windowed = type(node.parent).__name__ in {"Window", "Filter"}
    return None if windowed else _sql("cast(VALUE as decimal(24, 10))", value=node)


def _left_over(node: Any, dialect: str) -> Any:
    if dialect == "oracle":
        return _sql("case when BY = 0 then VALUE else mod(VALUE, BY) end", value=node.left, by=node.right)
    return _sql("mod(VALUE, BY)", value=node.left, by=_divisor(node, dialect))


def _casted(node: Any, dialect: str) -> Any:
    return _cast(node.this, node.to, dialect)


def _converted(node: Any, dialect: str) -> Any:
    from sqlglot import exp

    style = node.args.get("style")
    if style is not None:
        moment = DATE_STYLES[style.name]
        day = re.sub(r"[ T]?%H.*", "", moment)
        parts = {"moment": exp.Literal.string(moment), "day": exp.Literal.string(day)}
        made = _sql(STYLED, value=node.expression, **parts)
        made = _sql("left(VALUE, LENGTH)", value=made, length=node.this.expressions[0].name)
        padded = node.this.this.name in PADDED
        return _sql("rpad(VALUE, LENGTH, ' ')", value=made, length=node.this.expressions[0].name) if padded else made
    if node.args.get("safe"):
        return _tried(exp.TryCast(this=node.expression.copy(), to=node.this.copy()), dialect)
    made = _cast(node.expression, node.this, dialect)
    return exp.Cast(this=node.expression.copy(), to=node.this.copy()) if made is None else made


def _cast(value: Any, to: Any, dialect: str) -> Any:
    from sqlglot import exp

    kind = to.this.name
    if kind in INTEGERS:
        return _to_integer(value, to, dialect)
    if kind in TEXTS | PADDED:
        return _to_text(value, to, dialect)
    if kind == "BIT":
        return _sql("cast(VALUE as boolean)", value=value)
    if kind == "FLOAT":
        return exp.cast(value.copy(), "double")
    if kind in MONEY:
        return _untied(value, exp.cast(value.copy(), MONEY[kind]), 4, dialect)
    if kind != "DECIMAL":
        return None
    if dialect == "sqlite" or not (to.expressions or dialect in SHORT_DECIMAL):
        return exp.cast(value.copy(), "decimal(24, 10)")
    made = exp.Cast(this=value.copy(), to=to.copy() if to.expressions else exp.DataType.build(SHORT_DECIMAL[dialect]))
    return _untied(value, made, places(to) or 0, dialect)


def _untied(value: Any, made: Any, decimals: int, dialect: str) -> Any:
    """A rounded number: what is halfway for a floating number depends on its last bit. SQLite has no other numbers."""
    from sqlglot import exp

    decimal = isinstance(value, exp.Cast) and value.to.is_type("decimal") and value.find(exp.Div, exp.Avg) is None
    exact = isinstance(value, exp.Literal) or decimal
    if decimals > PLACES or (exact and dialect != "sqlite"):  # no price is so fine
        return made
    doubles = "true" if dialect == "sqlite" else _floating(value)
    return _sql(TIE, value=value, made=made, doubles=doubles, scale=str(10**decimals))


def _floating(value: Any) -> Any:
    """Whether anything that a number is made of is a floating one."""
    from sqlglot import exp

    kinds = [value]
    for node in value.copy().walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column):
            grouped = node.find_ancestor(exp.AggFunc, exp.Query, exp.Window)
            kinds.append(exp.func("any_value", node.copy()) if isinstance(grouped, exp.AggFunc) else node)
        elif isinstance(node, exp.Cast) and not isinstance(node.this, exp.Query):
            kinds.append(exp.Cast(this=exp.null(), to=node.to.copy()))
    asked = {kind.sql("duckdb"): _sql("typeof(VALUE) in ('DOUBLE', 'FLOAT')", value=kind) for kind in kinds}
    return exp.or_(*asked.values())


def _rounded(node: Any, dialect: str) -> Any:
    """What comes of it is a number with a floating point in SQLite, with all its decimals in PostgreSQL."""
    decimals = node.args.get("decimals")
    count = int(decimals.name) if decimals is not None else 0
    kind = "double" if dialect == "sqlite" else f"decimal(28, {count})" if dialect == "postgres" else ""
    made = _cast_to("cast(VALUE as KIND)", kind, value=node) if kind else node
    return _untied(node.this, made, count, dialect)


def _floored(node: Any, dialect: str) -> Any:
    """SQLite's are floating numbers, as their texts show."""
    return _sql("cast(VALUE as double)", value=node) if dialect == "sqlite" else None


def _to_integer(value: Any, to: Any, dialect: str) -> Any:
    """A number is rounded or cut off as the database does it; a text that is no whole number is an error."""
    kind = to.sql("duckdb")
    exact = _sql("cast(VALUE as decimal(38, 10))", value=value)
    cut = _sql("trunc(VALUE)", value=exact)
    if dialect == "sqlite":
        return _cast_to("cast(VALUE as KIND)", kind, value=cut)
    number = cut if dialect == "tsql" else _untied(value, exact, 0, dialect)
    return _cast_to(INTEGER_OF, kind, value=value, number=number)


def _to_text(value: Any, to: Any, dialect: str) -> Any:
    """A text that is too long is cut off; a number that is too long is an error."""
    from sqlglot import exp

    text = _text(value)
    kind = to.this.name
    length = to.expressions[0].name if to.expressions else ""
    if not length and dialect == "tsql" and kind != "TEXT":
        length = "30"
    elif not length and kind in PADDED and dialect == "oracle":
        length = "1"
    if not length.isdigit() or dialect == "sqlite":  # nvarchar(max)
        return exp.Paren(this=text)
    made = _sql("left(VALUE, LENGTH)", value=text, length=length)
    if dialect not in {"postgres", "mysql"} and not is_text(value):
        made = _sql(
            "case when typeof(VALUE) <> 'VARCHAR' and length(WHOLE) > LENGTH"
            " then error('databases differ in a number that is longer than its text may be: give the text more room')"
            " else MADE end",
            value=value,
            whole=text,
            length=length,
            made=made,
        )
    if kind in PADDED and dialect != "mysql":
        made = _sql("rpad(VALUE, LENGTH, ' ')", value=made, length=length)
    return made


def _tried(node: Any, _: str) -> Any:
    if node.to.this.name in INTEGERS:
        return _cast_to(TRY_INTEGER, node.to.sql("duckdb"), value=node.this)
    return _cast_to(TRY, node.to.sql("duckdb"), value=node.this)


def _extreme(node: Any, dialect: str) -> Any:
    from sqlglot import exp

    if dialect not in NULLS_WIN:
        return None
    unknown = exp.or_(*(_sql("VALUE is null", value=value) for value in (node.this, *node.expressions)))
    values = [part.copy() for part in (node.this, *node.expressions)]
    return _sql(EXTREME, unknown=unknown, extreme=exp.Anonymous(this=node.sql_name().lower(), expressions=values))
