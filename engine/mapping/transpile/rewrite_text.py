"""rewrite_text."""

from __future__ import annotations

import re
from typing import Any

from engine.mapping.transpile.facts import is_text, numeric, operands, summands
from engine.mapping.transpile.snippets import LETTERS, UNTYPED, _is_known, _sql, _sum, _text, _with

BLANKABLE = frozenset({"Trim", "Substring", "Replace", "Left", "Right", "DPipe", "Concat", "Lower", "Upper"})
"""What may give a blank text, which is NULL in Oracle."""

TEXT_ONLY = """
    case when typeof(VALUE) <> 'VARCHAR' and VALUE is not null
    then error('databases differ in a number or a date compared with a text: write sql.cast_text(…)') else VALUE end"""

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


def _joined(parts: list[Any], *, null: str = "") -> Any:
    """Texts one after the other; NULL where one of them is, or that ``null`` for it."""
    from sqlglot import exp

    made = None
    for part in parts:
        text = _sql("coalesce(VALUE, '')", value=_text(part)) if null == "blank" else _text(part)
        text = exp.Paren(this=text) if isinstance(text, exp.Binary) else text
        made = text if made is None else exp.DPipe(this=made, expression=text)
    return exp.Paren(this=made)


def _concat(node: Any, dialect: str) -> Any:
    """MySQL's CONCAT is NULL where one of its values is; in the others NULL is blank."""
    return _joined(node.expressions, null="" if dialect == "mysql" else "blank")


def _concat_ws(node: Any, _: str) -> Any:
    from sqlglot import exp

    return exp.Anonymous(this="concat_ws", expressions=[_text(part) for part in node.expressions])


def _piped(node: Any, dialect: str) -> Any:
    """In Oracle NULL is blank; that a blank text is NULL in turn is for :func:`rewritten`."""
    return _joined([node.left, node.right], null="blank" if dialect == "oracle" else "")


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


def _character(node: Any, _: str) -> Any:
    return _text(node.this)


def _blank(node: Any, dialect: str) -> Any:
    """Oracle's blank text is NULL; as what REPLACE puts in, it is a blank."""
    from sqlglot import exp

    if dialect != "oracle" or not node.is_string or node.name:
        return None
    return None if node.arg_key in {"replacement", "separator"} else exp.null()
