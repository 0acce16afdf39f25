"""Rewrites of operations on text; see :mod:`engine.mapping.transpile.rewrite`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import is_text_literal, literal_integer, summands
from engine.mapping.transpile.snippets import (
    ASCII_LETTERS,
    add_all,
    as_text,
    copy_with,
    is_known_number,
    snippet,
)
from engine.mapping.transpile.text_equality import counts_all, folded, part_fold

if TYPE_CHECKING:
    from collections.abc import Callable

BLANK_RESULTS = frozenset({"Trim", "Substring", "Replace", "Left", "Right", "DPipe", "Concat", "Lower", "Upper"})
"""Parts that may give a blank text, which is NULL in Oracle."""

TEXT_ONLY = """
    case when typeof(VALUE) <> 'VARCHAR' and VALUE is not null
    then error('databases differ in a number or a date compared with a text: write sql.cast_text(…)') else VALUE end"""

XML_VALUE = re.compile(r"(?i)value\(N?'(\.|\(\./text\(\)\)\[1\]|(\./)?text\(\)\[1\])'")
"""How T-SQL reads a text out of XML."""


def rewrite_xml_lists(statement: Any) -> int:
    """Rewrite each ``STUFF((SELECT … FOR XML PATH('')), …)`` to an aggregate, and return how many there were.

    With ``TYPE`` and ``.value('.', …)`` the texts are what they were; without, &, < and > are written as XML has them.
    """
    from sqlglot import exp

    found = 0
    for stuff in list(statement.find_all(exp.Stuff)):
        read = isinstance(stuff.this, exp.Dot) and re.match(XML_VALUE, stuff.this.expression.sql("tsql"))
        inner = stuff.this.this if read else stuff.this
        select = inner.this if isinstance(inner, exp.Subquery) else None
        if not isinstance(select, exp.Select) or not select.args.get("for_"):
            continue
        options = [option.sql("tsql").upper() for option in select.args["for_"].expressions]
        order, parts = select.args.get("order"), list(summands(select.expressions[0]))
        lead = parts[0].this if isinstance(parts[0], exp.National) else parts[0]
        length = len(lead.name) if is_text_literal(lead) else None
        cut = (
            literal_integer(stuff.args["start"]) == 1
            and literal_integer(stuff.args["length"]) == length
            and is_text_literal(stuff.expression)
            and not stuff.expression.name
        )
        plain = order and not any(select.args.get(key) for key in ("distinct", "limit", "group", "having"))
        if not (plain and cut and len(select.expressions) == 1 and len(parts) > 1):
            continue
        if options != (["PATH('')", "TYPE"] if read else ["PATH('')"]):
            continue
        for dot in list(select.find_all(exp.Dot)):  # as the parser takes a.b before .value(…)
            if isinstance(dot.this, exp.Identifier) and isinstance(dot.expression, exp.Identifier):
                dot.replace(exp.column(dot.expression, table=dot.this))
        _, *rest = summands(select.expressions[0])
        text = add_all(rest)
        for letter, written in () if read else (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = exp.func("replace", text, exp.Literal.string(letter), exp.Literal.string(written))
        ordered = exp.Order(this=text, expressions=[part.copy() for part in select.args["order"].expressions])
        select.set("expressions", [exp.GroupConcat(this=ordered, separator=exp.Literal.string(lead.name))])
        select.set("order", None)
        select.set("for_", None)
        stuff.replace(exp.Subquery(this=select.copy()))
        found += 1
    return found


def _stuff(node: Any, _: str) -> Any:
    """Replace a part of a text; NULL where it begins after the text's end."""
    start, length = int(node.args["start"].name), int(node.args["length"].name)
    return snippet(
        "case when length(VALUE) >= START"
        " then left(VALUE, BEFORE) || coalesce(PART, '') || substring(VALUE, AFTER) end",
        value=as_text(node.this),
        start=str(start),
        before=str(start - 1),
        part=as_text(node.expression),
        after=str(start + length),
    )


def _space(node: Any, _: str) -> Any:
    return snippet("repeat(' ', TIMES)", times=node.this)


def concatenate(parts: list[Any], *, null: str = "") -> Any:
    """Return the concatenation of texts: NULL where one of them is, or with ``null="blank"`` a blank in its place."""
    from sqlglot import exp

    made = None
    for part in parts:
        text = snippet("coalesce(VALUE, '')", value=as_text(part)) if null == "blank" else as_text(part)
        text = exp.Paren(this=text) if isinstance(text, exp.Binary) else text
        made = text if made is None else exp.DPipe(this=made, expression=text)
    return exp.Paren(this=made)


def _concat(node: Any, dialect: str) -> Any:
    """MySQL's CONCAT is NULL where one of its values is; in the others NULL is blank."""
    return concatenate(node.expressions, null="" if dialect == "mysql" else "blank")


def _concat_ws(node: Any, _: str) -> Any:
    from sqlglot import exp

    return exp.Anonymous(this="concat_ws", expressions=[as_text(part) for part in node.expressions])


def _pipes(node: Any, dialect: str) -> Any:
    """In Oracle NULL is a blank text; :func:`engine.mapping.transpile.rewrite.rewrite_node` makes a blank text NULL."""
    return concatenate([node.left, node.right], null="blank" if dialect == "oracle" else "")


def _like(node: Any, dialect: str) -> Any:
    """SQLite's LIKE ignores the case of the 26 letters of ASCII."""
    if dialect != "sqlite":
        return None
    return copy_with(node, this=_lower_ascii(node.this), expression=_lower_ascii(node.expression))


def _ilike(node: Any, dialect: str) -> Any:
    """In the words of LOWER, which knows of the letters that have a case in the database; see ``letter_case.sql``."""
    from sqlglot import exp

    if dialect != "postgres":
        return None
    sides = {key: snippet("lower(VALUE)", value=node.args[key]) for key in ("this", "expression")}
    return exp.Like(**sides, negate=node.args.get("negate"))


def _lower_ascii(node: Any) -> Any:
    return snippet(f"translate(VALUE, '{ASCII_LETTERS.upper()}', '{ASCII_LETTERS}')", value=node)


RARE_LETTERS = (
    r"[\x{B5}\x{FF}\x{178}\x{192}\x{19A}\x{19E}\x{220}\x{23A}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}"
    r"\x{37B}-\x{37D}\x{37F}\x{3CF}\x{3D7}-\x{3D9}\x{3F2}-\x{3F5}\x{3F7}-\x{3FB}\x{48A}\x{48B}\x{4C0}"
    r"\x{4C5}\x{4C6}\x{4C9}\x{4CA}\x{4CD}-\x{4CF}\x{4F6}-\x{4FF}\x{500}-\x{52F}\x{10A0}-\x{10FF}"
    r"\x{13A0}-\x{13FD}\x{1C80}-\x{1CBF}\x{1D79}-\x{1D8E}\x{1E9E}\x{1EFA}-\x{1EFF}\x{2132}\x{214E}\x{2183}"
    r"\x{2184}\x{2C00}-\x{2D2D}\x{A640}-\x{AB7F}]"
)
"""Letters that have a case in some of MySQL's and MariaDB's character sets and collations only, such as µ and ÿ."""

REJECT_RARE_LETTERS = f"""
    case when regexp_matches(VALUE, '{RARE_LETTERS}')
    then error('databases differ in the case of letters such as µ and ÿ: write it without a change of case')
    else VALUE end"""


def _may_raise(node: Any) -> bool:
    """Return whether an error may stand in a part: not in what DuckDB sorts, groups or aggregates by."""
    from sqlglot import exp

    return node.find_ancestor(exp.Window, exp.Ordered, exp.AggFunc, exp.Group, exp.Select).__class__ is exp.Select


def _lower(node: Any, dialect: str) -> Any:
    if dialect == "mysql" and _may_raise(node):
        return snippet(f"lower({REJECT_RARE_LETTERS})", value=node.this)
    return _lower_ascii(node.this) if dialect == "sqlite" else None


def _upper(node: Any, dialect: str) -> Any:
    """SQLite changes the case of 26 letters only; no database but DuckDB has an upper case for ß."""
    if dialect == "sqlite":
        return snippet(f"translate(VALUE, '{ASCII_LETTERS}', '{ASCII_LETTERS.upper()}')", value=node.this)
    if dialect == "mysql" and _may_raise(node):
        return snippet(uppercase(REJECT_RARE_LETTERS), value=node.this)
    return snippet(uppercase("VALUE"), value=node.this)


def uppercase(text: str) -> str:
    """Return SQL for a text, given as SQL, in capitals, and with every ß as it is."""
    return f"replace(upper(replace({text}, 'ß', chr(57344))), chr(57344), 'ß')"


def _string_length(node: Any, dialect: str) -> Any:
    if dialect == "tsql":
        return snippet("length(rtrim(VALUE, ' '))", value=node.this)
    return snippet("strlen(VALUE)" if node.args.get("binary") else "length(VALUE)", value=node.this)


def _trim(node: Any, _: str) -> Any:
    """Trim blanks only: DuckDB would trim every white space of Unicode."""
    side = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    return snippet(f"{side}(VALUE, LETTERS)", value=node.this, letters=node.expression or "' '")


def _substring(node: Any, _: str) -> Any:
    """Raise in DuckDB for a start before the first character and for a negative length: databases differ in them."""
    start, length = node.args["start"], node.args.get("length")
    begin = (
        start
        if type(start).__name__ == "Literal"
        else _at_least(start, 1, "databases differ in a place before the first letter")
    )
    if length is None:
        return snippet("substring(VALUE, BEGIN)", value=node.this, begin=begin)
    return snippet("substring(VALUE, BEGIN, LENGTH)", value=node.this, begin=begin, length=_checked_length(length))


def _left_or_right(node: Any, _: str) -> Any:
    side = "left" if type(node).__name__ == "Left" else "right"
    return snippet(f"{side}(VALUE, LENGTH)", value=node.this, length=_checked_length(node.expression))


def _checked_length(length: Any) -> Any:
    return (
        length if type(length).__name__ == "Literal" else _at_least(length, 0, "databases differ in a negative length")
    )


def _at_least(value: Any, least: int, said: str) -> Any:
    return snippet(f"case when VALUE < {least} then error('{said}') else VALUE end", value=value)


REJECT_LOST = """
    case when count(distinct PLAIN) <> count(distinct FOLDED) then error('databases differ in which of two texts they
    keep of those that are equal but for trailing blanks, case or accents: write upper(rtrim(…)) around the column')
    else VALUE end"""


def _group_concat(node: Any, dialect: str) -> Any:
    """Aggregate the texts of several rows; a value that may be a number becomes its text.

    Without duplicates it raises where texts are equal without being the same: databases keep either of them.
    """
    from sqlglot import exp

    made = node.copy()
    order = made.this if isinstance(made.this, exp.Order) else None
    inner = order.this if order else made.this
    value = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner
    text = snippet("rtrim(VALUE, '')", value=value) if isinstance(inner, exp.Distinct) else as_text(value)
    for by in order.expressions if order else ():
        if isinstance(inner, exp.Distinct) and by.this == value:  # DuckDB requires the same expression
            by.set("this", text.copy())
    value.replace(text)
    fold = part_fold(value, dialect)
    if not isinstance(inner, exp.Distinct) or is_known_number(value) or counts_all(fold):
        return made
    return snippet(REJECT_LOST, plain=text, folded=folded(text, fold), value=made)


def _regexp(node: Any, dialect: str) -> Any:
    """In MySQL ``$`` also matches before a text's last line break."""
    from sqlglot import exp

    if dialect != "mysql" or not node.expression.name.endswith("$"):
        return None
    pattern = exp.Literal.string(node.expression.name[:-1] + "\n?$")
    return copy_with(node, expression=pattern)


def _to_char(node: Any, _: str) -> Any:
    return as_text(node.this)


def _blank_literal(node: Any, dialect: str) -> Any:
    """Oracle's blank text is NULL, except as the third argument of REPLACE."""
    from sqlglot import exp

    if dialect != "oracle" or not node.is_string or node.name:
        return None
    return None if node.arg_key in {"replacement", "separator"} else exp.null()


TEXT_REWRITES: dict[str, Callable[[Any, str], Any]] = {
    "Stuff": _stuff,
    "Space": _space,
    "ToChar": _to_char,
    "Literal": _blank_literal,
    "Like": _like,
    "ILike": _ilike,
    "RegexpLike": _regexp,
    "Upper": _upper,
    "Lower": _lower,
    "Length": _string_length,
    "Trim": _trim,
    "Substring": _substring,
    "Left": _left_or_right,
    "Right": _left_or_right,
    "Concat": _concat,
    "ConcatWs": _concat_ws,
    "DPipe": _pipes,
    "GroupConcat": _group_concat,
}
"""The rewrite of each kind of part, as :func:`engine.mapping.transpile.rewrite.rewrite_node` runs it."""
