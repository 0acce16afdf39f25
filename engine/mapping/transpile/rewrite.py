"""What stands in DuckDB for a part of another dialect's SQL that means something else there.

Each is written as DuckDB's SQL with names in capitals for the parts that it takes. Where a type
decides that the SQL does not tell, such as a column's, ``typeof`` asks DuckDB for it: what cannot be made the same is
then an error of the whole query, never another row.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.unsupported import (
    COMPARISONS,
    DATE_STYLES,
    INTEGERS,
    LOOSE,
    MONEY,
    PADDED,
    PLACES,
    TEXTS,
    is_text,
    is_whole,
    numeric,
    operands,
    places,
    summands,
    takes_all,
    texty,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NUMERIC_TRUTH = frozenset({"mysql", "sqlite"})
"""Dialects in which a condition is the number 1 or 0, and a number a condition."""

NULLS_WIN = frozenset({"mysql", "sqlite", "oracle"})
"""Dialects in which GREATEST and LEAST are NULL where one of the values is."""

NULL_QUOTIENT = frozenset({"mysql", "sqlite"})
"""Dialects in which a division by zero is NULL; it is an error elsewhere, and infinity in DuckDB."""

DIGITS = frozenset({"tsql", "mysql", "postgres"})
"""Dialects in which a decimal has the digits of its type, also in its text; elsewhere those of its value."""

SHORT_DECIMAL = {"mysql": "decimal(10, 0)", "tsql": "decimal(18, 0)", "oracle": "decimal(38, 0)"}
"""What DECIMAL is without digits; elsewhere a number with as many digits as it has."""

OTHERWISE = {
    "Concat": {"mysql"},
    "Greatest": NULLS_WIN,
    "Least": NULLS_WIN,
    "Length": {"tsql"},
    "Like": {"sqlite"},
    "Lower": {"sqlite"},
    "Upper": {"sqlite"},
}
"""What DuckDB would read as something else, not only in rare cases, and of which dialects."""

LONG = 1_000
"""Letters of a text that is so long that none is cut off."""

CONDITIONS = COMPARISONS | {"And", "Or", "Not", "Is", "Like", "ILike", "Escape", "Exists", "RegexpLike"}

BLANKABLE = frozenset({"Trim", "Substring", "Replace", "Left", "Right", "DPipe", "Concat", "Lower", "Upper"})
"""What may give a blank text, which is NULL in Oracle."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

TEXT_OF = """
    case when VALUE is null
        or regexp_full_match(typeof(VALUE), 'VARCHAR|U?[A-Z]*INT(EGER)?|DECIMAL[(][0-9]+,0[)]')
    then cast(VALUE as varchar)
    else error('databases differ in the text of a number, a date or a truth: write sql.number_text(…)') end"""
"""Texts and whole numbers are the same text everywhere."""

HALFWAY = """
    error('databases differ in how they round a floating number halfway between two: say the type of its column in the
    header of the fixture, as in price:decimal(12,4), or give it another value')"""

TIE = f"""
    case when DOUBLES and abs(abs(try_cast(VALUE as double) * SCALE) % 1 - 0.5) < 0.000001
    then {HALFWAY} else MADE end"""

NUMBER_ONLY = """
    case when typeof(VALUE) = 'VARCHAR' and VALUE is not null
    then error('databases differ in a text compared with a number: write sql.try_number(…)') else VALUE end"""

TEXT_ONLY = """
    case when typeof(VALUE) <> 'VARCHAR' and VALUE is not null
    then error('databases differ in a number or a date compared with a text: write sql.cast_text(…)') else VALUE end"""

UNTYPED = frozenset({"Column", "Case", "Coalesce", "If", "Max", "Min", "Nullif", "Greatest", "Least"})
"""What is a text or a number as its columns are."""

DATE_OR_TEXT = """
    cast_to_type(
        case when typeof(TYPED) in ('DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') then DATE else GIVEN end, TYPED)"""

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


XML_TEXT = re.compile(r"(?i)value\(N?'(\.|\(\./text\(\)\)\[1\]|(\./)?text\(\)\[1\])'")
"""How T-SQL reads the text back out of XML."""


def xml_lists(statement: Any) -> int:
    """Turn what T-SQL joins by way of XML into what joins texts, and count them: STUFF of a subquery FOR XML PATH('').

    With ``TYPE`` and ``.value('.', …)`` the texts are what they were; without, &, < and > are written as XML has them.
    """
    from sqlglot import exp

    found = 0
    for stuff in list(statement.find_all(exp.Stuff)):
        read = isinstance(stuff.this, exp.Dot) and re.match(XML_TEXT, stuff.this.expression.sql("tsql"))
        inner = stuff.this.this if read else stuff.this
        select = inner.this if isinstance(inner, exp.Subquery) else None
        if not isinstance(select, exp.Select) or not select.args.get("for_"):
            continue
        options = [option.sql("tsql").upper() for option in select.args["for_"].expressions]
        order, parts = select.args.get("order"), list(summands(select.expressions[0]))
        lead = parts[0].this if isinstance(parts[0], exp.National) else parts[0]
        length = str(len(lead.name)) if is_text(lead) else ""
        cut = (stuff.args["start"].name, stuff.args["length"].name, stuff.expression.name) == ("1", length, "")
        plain = order and not any(select.args.get(key) for key in ("distinct", "limit", "group", "having"))
        if not (plain and cut and len(select.expressions) == 1 and len(parts) > 1):
            continue
        if options != (["PATH('')", "TYPE"] if read else ["PATH('')"]):
            continue
        for dot in list(select.find_all(exp.Dot)):  # as the parser takes a.b before .value(…)
            if isinstance(dot.this, exp.Identifier) and isinstance(dot.expression, exp.Identifier):
                dot.replace(exp.column(dot.expression, table=dot.this))
        _, *rest = summands(select.expressions[0])
        text = _sum(rest)
        for letter, written in () if read else (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = exp.func("replace", text, exp.Literal.string(letter), exp.Literal.string(written))
        ordered = exp.Order(this=text, expressions=[part.copy() for part in select.args["order"].expressions])
        select.set("expressions", [exp.GroupConcat(this=ordered, separator=exp.Literal.string(lead.name))])
        select.set("order", None)
        select.set("for_", None)
        stuff.replace(exp.Subquery(this=select.copy()))
        found += 1
    return found


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


def _sum(parts: list[Any]) -> Any:
    from sqlglot import exp

    made = parts[0].copy()
    for part in parts[1:]:
        made = exp.Add(this=made, expression=part.copy())
    return made


def _known(node: Any, dialect: str) -> str:
    """``text`` for what is always one, ``digits`` for a number whose text its type tells, or nothing."""
    if texty(node):
        return "text"
    inner = node.unnest()
    cast = type(inner).__name__ == "Cast" and inner.to.this.name == "DECIMAL" and inner.to.expressions
    return "digits" if cast and dialect in DIGITS else ""


@lru_cache(maxsize=256)
def _template(text: str) -> Any:
    import sqlglot

    return sqlglot.parse_one(text, dialect="duckdb")


def _sql(text: str, **parts: Any) -> Any:
    """DuckDB's SQL, in which names in capitals stand for ``parts``: expressions, or DuckDB's SQL themselves."""
    from sqlglot import exp

    made = _template(text).copy()
    for column in list(made.find_all(exp.Column)):
        part = parts.get(column.name.lower()) if column.name.isupper() else None
        if part is not None:
            part = _template(part).copy() if isinstance(part, str) else part.copy()
            column.replace(exp.Paren(this=part) if isinstance(part, (exp.Binary, exp.Unary)) else part)
    return made


def _cast_to(text: str, kind: str, **parts: Any) -> Any:
    return _sql(text.replace("KIND", kind), **parts)


def _with(node: Any, **parts: Any) -> Any:
    """A part of the statement with other parts in it."""
    made = node.copy()
    for key, part in parts.items():
        made.set(key, part)
    return made


def _is_known(node: Any, kind: str) -> bool:
    return bool(node.meta.get("known") == kind)


def _text(value: Any) -> Any:
    """The text of a value that may be none."""
    if _is_known(value, "text"):
        return value.copy()
    return _sql("cast(VALUE as varchar)" if _is_known(value, "digits") else TEXT_OF, value=value)


def _filled(node: Any, _: str) -> Any:
    """T-SQL's ISNULL has the type of its first value, so that its 0.00 is 0 beside a whole number."""
    if not node.args.get("is_null") or not is_whole(node.expressions[0]):
        return None
    return _sql("coalesce(VALUE, OTHER)", value=node.this, other=node.expressions[0].name.partition(".")[0] or "0")


def _stuffed(node: Any, _: str) -> Any:
    """A part of a text replaced; NULL where it begins behind the text's end."""
    start, length = int(node.args["start"].name), int(node.args["length"].name)
    return _sql(
        "case when length(VALUE) >= START"
        " then left(VALUE, BEFORE) || coalesce(PART, '') || substring(VALUE, AFTER) end",
        value=_text(node.this),
        start=str(start),
        before=str(start - 1),
        part=_text(node.expression),
        after=str(start + length),
    )


def _spaced(node: Any, _: str) -> Any:
    return _sql("repeat(' ', TIMES)", times=node.this)


def _decoded(node: Any, _: str) -> Any:
    """Oracle's DECODE, for which NULL is equal to NULL."""
    from sqlglot import exp

    value, *rest = node.expressions
    case = exp.Case(ifs=[])
    for given, then in zip(rest[::2], rest[1::2], strict=False):
        case = case.when(exp.NullSafeEQ(this=value.copy(), expression=given.copy()), then.copy())
    return case.else_(rest[-1].copy()) if len(rest) % 2 else case


def _joined(parts: list[Any], *, null: str = "") -> Any:
    """Texts one after the other; NULL where one of them is, or that ``null`` for it."""
    from sqlglot import exp

    made = None
    for part in parts:
        text = _sql("coalesce(VALUE, '')", value=_text(part)) if null == "blank" else _text(part)
        text = exp.Paren(this=text) if isinstance(text, exp.Binary) else text
        made = text if made is None else exp.DPipe(this=made, expression=text)
    return exp.Paren(this=made)


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


def _concat(node: Any, dialect: str) -> Any:
    """MySQL's CONCAT is NULL where one of its values is; in the others NULL is blank."""
    return _joined(node.expressions, null="" if dialect == "mysql" else "blank")


def _concat_ws(node: Any, _: str) -> Any:
    from sqlglot import exp

    return exp.Anonymous(this="concat_ws", expressions=[_text(part) for part in node.expressions])


def _piped(node: Any, dialect: str) -> Any:
    """In Oracle NULL is blank; that a blank text is NULL in turn is for :func:`rewritten`."""
    return _joined([node.left, node.right], null="blank" if dialect == "oracle" else "")


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


def _padded(node: Any, made: Any) -> Any:
    """To T-SQL trailing blanks make no difference between texts, whatever the collation."""
    values = operands(node)
    if any(map(numeric, values)) or node.args.get("query") is not None:
        return made
    copy = (made or node).copy()
    for was, value in zip(values, operands(copy), strict=True):
        if _is_known(was, "text") and is_text(was) == is_text(value):
            value.replace(_sql("rtrim(VALUE, ' ')", value=value))
        elif type(was).__name__ in UNTYPED:
            value.replace(_sql("cast_to_type(rtrim(cast(VALUE as varchar), ' '), VALUE)", value=value))
    return copy


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


def _liked(node: Any, dialect: str) -> Any:
    """SQLite's LIKE does not regard the case of the 26 letters."""
    if dialect != "sqlite":
        return None
    return _with(node, this=_lower_26(node.this), expression=_lower_26(node.expression))


def _lower_26(node: Any) -> Any:
    return _sql(f"translate(VALUE, '{LETTERS.upper()}', '{LETTERS}')", value=node)


def _lower(node: Any, dialect: str) -> Any:
    return _lower_26(node.this) if dialect == "sqlite" else None


def _upper(node: Any, dialect: str) -> Any:
    """SQLite knows the case of 26 letters; nobody but DuckDB has a capital for ß."""
    if dialect == "sqlite":
        return _sql(f"translate(VALUE, '{LETTERS}', '{LETTERS.upper()}')", value=node.this)
    return _sql("replace(upper(replace(VALUE, 'ß', chr(57344))), chr(57344), 'ß')", value=node.this)


def _measured(node: Any, dialect: str) -> Any:
    if dialect == "tsql":
        return _sql("length(rtrim(VALUE, ' '))", value=node.this)
    return _sql("strlen(VALUE)" if node.args.get("binary") else "length(VALUE)", value=node.this)


def _trimmed(node: Any, _: str) -> Any:
    """Blanks only: DuckDB would take every blank of Unicode."""
    side = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    return _sql(f"{side}(VALUE, LETTERS)", value=node.this, letters=node.expression or "' '")


def _part(node: Any, _: str) -> Any:
    """A place before the first letter, and a negative length, are each database's own affair: an error."""
    start, length = node.args["start"], node.args.get("length")
    begin = (
        start
        if type(start).__name__ == "Literal"
        else _checked(start, 1, "databases differ in a place before the first letter")
    )
    if length is None:
        return _sql("substring(VALUE, BEGIN)", value=node.this, begin=begin)
    return _sql("substring(VALUE, BEGIN, LENGTH)", value=node.this, begin=begin, length=_length(length))


def _ended(node: Any, _: str) -> Any:
    side = "left" if type(node).__name__ == "Left" else "right"
    return _sql(f"{side}(VALUE, LENGTH)", value=node.this, length=_length(node.expression))


def _length(length: Any) -> Any:
    return (
        length if type(length).__name__ == "Literal" else _checked(length, 0, "databases differ in a negative length")
    )


def _checked(value: Any, least: int, said: str) -> Any:
    return _sql(f"case when VALUE < {least} then error('{said}') else VALUE end", value=value)


def _extreme(node: Any, dialect: str) -> Any:
    from sqlglot import exp

    if dialect not in NULLS_WIN:
        return None
    unknown = exp.or_(*(_sql("VALUE is null", value=value) for value in (node.this, *node.expressions)))
    values = [part.copy() for part in (node.this, *node.expressions)]
    return _sql(EXTREME, unknown=unknown, extreme=exp.Anonymous(this=node.sql_name().lower(), expressions=values))


def _listed(node: Any, _: str) -> Any:
    """The texts of several rows: each is made one where it may be a number."""
    from sqlglot import exp

    made = node.copy()
    order = made.this if isinstance(made.this, exp.Order) else None
    inner = order.this if order else made.this
    value = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner
    text = _sql("rtrim(VALUE, '')", value=value) if isinstance(inner, exp.Distinct) else _text(value)
    for by in order.expressions if order else ():
        if by.this == value:  # DuckDB wants the very same where it is DISTINCT
            by.set("this", text.copy())
    value.replace(text)
    return made


def _matched(node: Any, dialect: str) -> Any:
    """In MySQL the end of a text is also before its last line break."""
    from sqlglot import exp

    if dialect != "mysql" or not node.expression.name.endswith("$"):
        return None
    pattern = exp.Literal.string(node.expression.name[:-1] + "\n?$")
    return _with(node, expression=pattern)


def _first(node: Any, _: str) -> Any:
    return _sql("split_part(VALUE, LETTER, 1)", value=node.this, letter=node.args["delimiter"])


def _now(_: Any, __: str) -> Any:
    """The time of this machine, without a zone, as most databases have it of theirs."""
    return _sql("cast(current_timestamp as timestamp)")


def _character(node: Any, _: str) -> Any:
    return _text(node.this)


def _blank(node: Any, dialect: str) -> Any:
    """Oracle's blank text is NULL; as what REPLACE puts in, it is a blank."""
    from sqlglot import exp

    if dialect != "oracle" or not node.is_string or node.name:
        return None
    return None if node.arg_key in {"replacement", "separator"} else exp.null()


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
