"""Rules of PostgreSQL that search texts; see :mod:`engine.mapping.transpile.functions`. Source: manual, chapter 9."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import literal_integer
from engine.mapping.transpile.functions_common import (
    finds_alike,
    finds_nothing,
    plain_pattern,
    portable_replacement,
    searched,
    text_literal,
    text_of,
)
from engine.mapping.transpile.kinds import is_kind
from engine.mapping.transpile.snippets import snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


OTHER_CASES = r"""
    case when regexp_matches(VALUE, '[\x{17f}\x{212a}]')
    then error('databases differ in the long s and the sign of Kelvin, which have the case of a letter: replace them')
    else VALUE end"""
"""A text without the signs beyond ASCII that some databases find for an s or a k where case does not count."""


def _regexp_replace(node: Any) -> Any:
    flags = text_of(node.args.get("modifiers")) or ""
    if node.args.get("modifiers") is not None and flags != "g":
        return None
    pattern, replacement = text_of(node.expression), text_of(node.args.get("replacement"))
    if not portable_replacement(pattern, replacement) or not is_kind(node.this, "text"):
        return None
    if flags and replacement and finds_nothing(pattern or ""):
        return None
    call = "regexp_replace(A, B, C, 'g')" if flags else "regexp_replace(A, B, C)"
    made = text_literal(plain_pattern(pattern or ""))
    return snippet(call, a=searched(node.this, pattern or ""), b=made, c=node.args["replacement"])


def _substring(node: Any) -> Any:
    """SUBSTRING(text FROM pattern): what a regular expression finds first, NULL for nothing."""
    pattern = text_of(node.args.get("start"))
    if pattern is None or node.args.get("length") is not None or not is_kind(node.this, "text"):
        return None
    plain = plain_pattern(pattern)
    if not finds_alike(plain):
        return None
    text = "case when regexp_matches(A, B) then regexp_extract(A, B) end"
    return snippet(text, a=searched(node.this, pattern), b=text_literal(plain))


def _escaped_text(node: Any) -> Any:
    r"""E'…', whose escapes sqlglot has read; one that it leaves as it is stands behind a backslash.

    It reads ``\v`` as another sign, which PostgreSQL takes for the letter.
    """
    return None if re.search("[\\\\\v]", node.this) else text_literal(node.this)


def _split_part(node: Any) -> Any:
    """SPLIT_PART from the end."""
    letters, place = text_of(node.args.get("delimiter")), literal_integer(node.args.get("part_index"))
    if not letters or place is None or place >= 0 or not is_kind(node.this, "text"):
        return None
    return snippet(f"split_part(A, B, {place})", a=node.this, b=node.args["delimiter"])


def _regexp_match(node: Any) -> Any:
    """``~`` and ``~*`` with what all engines read alike; a dot matches a line break, too."""
    pattern = text_of(node.expression)
    if pattern is None or not is_kind(node.this, "text"):
        return None
    outside = re.sub(r"\[\^?[-\w. /,:;#()+*]+\]", "x", pattern, flags=re.ASCII)
    if not re.fullmatch(r"\^?(?:[\w ,/:;#.()|-][+*?]?)+\$?", outside, flags=re.ASCII) or "(?" in outside:
        return None
    if type(node).__name__ == "RegexpILike" and re.search("(?i)[sk[]", pattern):
        return snippet("regexp_matches(A, B, 'is')", a=snippet(OTHER_CASES, value=node.this), b=node.expression)
    flags = "'is'" if type(node).__name__ == "RegexpILike" else "'s'"
    return snippet(f"regexp_matches(A, B, {flags})", a=node.this, b=node.expression)


POSTGRES_TEXT_RULES: Mapping[str, Callable[[Any], Any]] = {
    "RegexpReplace": _regexp_replace,
    "RegexpLike": _regexp_match,
    "RegexpILike": _regexp_match,
    "Substring": _substring,
    "ByteString": _escaped_text,
    "SplitPart": _split_part,
}
"""The rule of each kind of part that searches a text."""
