"""Find what is missing in a view by its words alone: a value, a bracket's content, the END of a CASE, a join's ON.

A parser that knows a database's SQL in part cannot tell what is wrong from what it does not know. What is found here is
wrong in every database of a dialect, whatever else it has: no word that some database takes for a name decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Fault = tuple[int, str, str]
"""Where it is in the SQL, what is wrong, and what to do."""

_TOKEN = re.compile(r"[\w@#$:]*\w|[-~!@#%^&*=<>|/+?:]+|[(),;.]|\S")

_OPERATORS = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "||", "/", "+", "-"})
"""Operators that need a value on each side, or that a value follows."""

_WORDS_BEFORE_A_VALUE = frozenset(
    {"and", "or", "not", "like", "between", "from", "where", "having", "group by", "order by", "partition by", "on"}
    | {"join", "when", "then", "else", "union", "union all", "is", "in", "select"}
)

_ENDS = frozenset({")", ",", ";", ""})

_CLAUSES = frozenset({"from", "where", "having", "group by", "order by", "union", "union all"})

_INSIDE_CASE = frozenset({"when", "then", "else", "end"})
"""Words that a database may take for a name outside of a CASE."""

_BEFORE_NO_VALUE = _ENDS | _CLAUSES | _INSIDE_CASE | frozenset({"and", "or", "on", "select"})
"""What no value begins with."""

_AFTER_A_QUERY = frozenset({"union", "union all"})
"""Words after which a SELECT stands without a bracket."""

_SHORT_SELECT_DIALECTS = frozenset({"postgres", "duckdb", "redshift"})
"""Dialects in which a SELECT may have no columns, or FROM may stand first."""

_STRICT_JOIN_DIALECTS = frozenset({"tsql", "mysql", "postgres", "oracle", "firebird", "access"})
"""Dialects in which an outer join without a condition is an error."""

_STRICT_ALIAS_DIALECTS = frozenset({"tsql", "mysql", "oracle", "firebird", "access"})
"""Dialects in which FROM and WHERE are no names even after AS."""

_TRAILING_COMMA_DIALECTS = frozenset({"duckdb", "bigquery", "snowflake"})


_RESERVED_CASE_DIALECTS = frozenset({"tsql", "mysql", "sqlite"})
"""Dialects in which WHEN, THEN and ELSE are no names."""

_RESERVED_END_DIALECTS = frozenset({"tsql", "postgres", "duckdb"})
"""Dialects in which END is no name."""

_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!="})

_SPLIT_OPERATORS = frozenset({"<>", "<=", ">="})
"""Operators that some databases read with a blank inside."""

BETWEEN = "Write a comma or an operator between both, or remove one of them."


@dataclass(frozen=True, slots=True)
class _Token:
    """A word in lower case, an operator, or a sign; ``depth`` is how many brackets are open around it."""

    text: str
    start: int
    depth: int
    scope: int


def find_missing_parts(text: str, dialect: str) -> Iterator[Fault]:
    """Yield the first place where a part of the SQL is certainly missing.

    ``text`` is the SQL with letters in place of texts and quoted names, and blanks in place of comments.
    """
    tokens = _tokens(text)
    for find in (_missing_values, _missing_signs, _broken_cases, _half_betweens, _bare_words, _joins_without_condition):
        found = next(find(tokens, dialect), None)
        if found is not None:
            yield found
            return


def _tokens(text: str) -> list[_Token]:
    """The tokens of the SQL; words of two parts, such as GROUP BY, are one, and one without text ends them."""
    found: list[_Token] = []
    scopes, count = [0], 0
    for match in _TOKEN.finditer(text):
        word = match[0].lower()
        if word == ")" and len(scopes) > 1:
            scopes.pop()
        token = _Token(word, match.start(), len(scopes) - 1, scopes[-1])
        before = found[-1].text if found else ""
        if (before, word) in {("group", "by"), ("order", "by"), ("partition", "by"), ("union", "all")}:
            found[-1] = _Token(f"{before} {word}", found[-1].start, token.depth, token.scope)
        else:
            found.append(token)
        if word == "(":
            count += 1
            scopes.append(count)
    return [*found, _Token("", len(text), 0, 0)]


def _is_name(tokens: list[_Token], place: int, dialect: str) -> bool:
    """Whether a word is a name because of what stands before it: a table and a dot, or AS."""
    before = tokens[place - 1].text if place else ""
    strict = dialect in _STRICT_ALIAS_DIALECTS and tokens[place].text in {"from", "where"}
    return before == "." or (before == "as" and not strict)


def _missing_values(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    cases: list[int] = []
    clauses: dict[int, str] = {}
    for place, (token, after) in enumerate(pairwise(tokens)):
        word, following = token.text, after.text
        before = tokens[place - 1].text if place else ""
        if word.isidentifier() and _is_name(tokens, place, dialect):
            continue
        if word in {"select", "from"}:
            clauses[token.scope] = word
        if word == "join" and clauses.get(token.scope) != "from":
            continue  # outside of FROM some databases take it for a name
        if word == "case":
            cases.append(place)
        elif word == "end" and cases:
            cases.pop()
        if word in _INSIDE_CASE and not cases:
            continue
        if following in _INSIDE_CASE and (not cases or (following == "end" and dialect not in _RESERVED_END_DIALECTS)):
            following = "name"
        if _needs_value(word, before, dialect) and _begins_no_value(word, following, dialect):
            name = word.upper()
            yield (
                token.start,
                f"Something is missing after {name}.",
                f"Write what {name} is to be used with, or remove it.",
            )
        if word == "(" and following in {"and", "or", "on", "then", "else", ","}:
            name = following.upper()
            yield (
                after.start,
                f"Something is missing between ( and {name}.",
                f"Write what {name} is to be used with, or remove it.",
            )


def _missing_signs(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    """Two values, or two comparisons, beside each other; and parts of a CASE outside of one."""
    cases = 0
    certain = dialect in _RESERVED_CASE_DIALECTS and not _has_column_end(tokens, dialect)
    for place, (token, after) in enumerate(pairwise(tokens)):
        word, following = token.text, after.text
        before = tokens[place - 1].text if place else ""
        qualified = [each.text for each in tokens[place + 1 : place + 4]]
        is_qualified = len(qualified) > 1 and qualified[1] == "." and _is_word(qualified[0])
        number = following.isdigit()
        if word.isdigit() and number and before != ".":
            yield after.start, f"Something is missing before {following}.", BETWEEN
        elif _is_word(word) and before == "." and (number or is_qualified):
            yield (
                after.start,
                f"Something is missing before {'.'.join(qualified[::2]) if is_qualified else following}.",
                BETWEEN,
            )
        elif _is_word(word) and before == "as" and is_qualified:
            yield after.start, f"Something is missing before {'.'.join(qualified[::2])}.", BETWEEN
        elif word == "by" and number and before != ".":
            yield token.start, "GROUP or ORDER is missing before BY.", "Write GROUP BY or ORDER BY."
        elif word in _COMPARISONS and following in _COMPARISONS and word + following not in _SPLIT_OPERATORS:
            yield (
                after.start,
                f"A value is missing between {word} and {following}.",
                "Write the value, or remove one of them.",
            )
        elif word in {"then", "else", "when"} and not cases and certain and not _is_name(tokens, place, dialect):
            yield token.start, f"{word.upper()} stands outside of a CASE.", "Write CASE before it, or remove it."
        if word == "case":
            cases += 1
        elif word == "end":
            cases = max(cases - 1, 0)


def _has_column_end(tokens: list[_Token], dialect: str) -> bool:
    """Whether one of the words END is a name, which it may be in some databases: there are more of them than CASEs."""
    counts = {word: sum(token.text == word for token in tokens) for word in ("case", "end")}
    return dialect not in _RESERVED_END_DIALECTS and counts["end"] > counts["case"]


def _is_word(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z_]\w*", text))


def _needs_value(word: str, before: str, dialect: str) -> bool:
    if word in _OPERATORS:
        return before not in {"(", "."}  # Oracle's (+), PostgreSQL's OPERATOR(pg_catalog.=)
    if word == "between":  # PostgreSQL takes it for a name where no value stands before it
        return bool(re.fullmatch(r"\w+|\)", before)) and before not in _WORDS_BEFORE_A_VALUE
    if word == "as":
        return dialect in _STRICT_ALIAS_DIALECTS
    if word == "join":
        return before not in {"merge", "hash", "loop", "remote"}  # hints of T-SQL
    if word == ",":
        return True
    return word in _WORDS_BEFORE_A_VALUE or word == "case"


def _begins_no_value(word: str, following: str, dialect: str) -> bool:
    if word == "as":
        return following in _ENDS | {"from", "where"}
    if word == "case":
        return following in {"then", "else", "end"}
    if word == ",":
        ends = frozenset() if dialect in _TRAILING_COMMA_DIALECTS else _CLAUSES
        return following in ends | {"and", "or", "on", "then", "else", "select"}
    if word == "select":
        return following in {"and", "or", "on", "select"} or (
            dialect not in _SHORT_SELECT_DIALECTS and following in _ENDS | _CLAUSES
        )
    if following == "select":
        return word not in _AFTER_A_QUERY
    return following in _BEFORE_NO_VALUE


def _broken_cases(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    """A CASE without END, or a WHEN without THEN, in the brackets around it."""
    if _has_column_end(tokens, dialect):
        return
    opened: list[tuple[_Token, str]] = []
    for place, token in enumerate(tokens):
        if token.text.isidentifier() and _is_name(tokens, place, dialect):
            continue
        if opened and token.scope != opened[-1][0].scope and token.depth < opened[-1][0].depth:
            break
        if token.text == "case":
            opened.append((token, ""))
        elif opened and token.scope == opened[-1][0].scope:
            case, last = opened[-1]
            fault = _case_fault(case, last, token)
            if fault is not None:
                yield fault
                return
            if token.text == "end":
                opened.pop()
            elif token.text in _INSIDE_CASE:
                opened[-1] = (case, token.text)
    if opened:
        yield opened[-1][0].start, "CASE has no END.", "Write END behind the last value of the CASE."


def _case_fault(case: _Token, last: str, token: _Token) -> Fault | None:
    """What is wrong with a part of a CASE behind its ``last`` WHEN, THEN or ELSE; None where it may stand there."""
    if token.text in {"when", "else", "end"} and last == "when":
        return case.start, "A WHEN of the CASE has no THEN.", "Write THEN and a value behind the condition."
    if token.text == "then" and last != "when":
        return token.start, "THEN has no WHEN before it.", "Write WHEN and a condition before it."
    if token.text in {"when", "else"} and last == "else":
        return token.start, f"{token.text.upper()} stands behind ELSE.", "Write ELSE as the last part of the CASE."
    if token.text in (_CLAUSES - {"from"}) | {";"}:  # FROM is part of IS DISTINCT FROM
        return case.start, "CASE has no END.", "Write END behind the last value of the CASE."
    return None


def _half_betweens(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    """A BETWEEN without its AND."""
    for place, token in enumerate(tokens):
        if token.text != "between" or _is_name(tokens, place, dialect):
            continue
        cases = 0
        for other in tokens[place + 1 :]:
            cases += (other.text == "case") - (other.text == "end" and cases > 0)
            if other.scope == token.scope and other.text == "and" and not cases:
                break
            ends = other.depth < token.depth or other.text == ""
            words = {",", "or", "then", "where", "group by", "having"}
            if ends or (other.scope == token.scope and not cases and other.text in words):
                yield token.start, "BETWEEN has no AND.", "Write both ends: between 1 and 5."
                return


def _bare_words(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    """GROUP and ORDER without BY."""
    for place, (token, after) in enumerate(pairwise(tokens)):
        if _is_name(tokens, place, dialect) or token.text not in {"group", "order"}:
            continue
        before = tokens[place - 1].text if place else ""
        fine = {"group": {"("}, "order": {"siblings"}}[token.text]
        if after.text not in fine and before not in {"", "select", ",", "("}:
            name = token.text.upper()
            yield token.start, f"BY is missing after {name}.", f"Write {name} BY."


def _joins_without_condition(tokens: list[_Token], dialect: str) -> Iterator[Fault]:
    """An outer join without ON or USING, before the clause ends that it is in."""
    if dialect not in _STRICT_JOIN_DIALECTS:
        return
    pending: dict[int, list[_Token]] = {}
    for place, token in enumerate(tokens):
        waiting = pending.setdefault(token.scope, [])
        if token.text == "join" and not _is_name(tokens, place, dialect):
            words = [each.text for each in tokens[max(place - 3, 0) : place]]
            outer = words[-1:] in (["left"], ["right"], ["full"]) or words[-1:] == ["outer"]
            if outer and "natural" not in words:
                waiting.append(token)
        elif token.text in {"on", "using"} and waiting:
            waiting.pop()
        elif token.text in {"where", "having", "group by", "order by", "union", "union all", ""} and waiting:
            yield (
                waiting[-1].start,
                "The join has no condition.",
                "Write ON and the columns by which the tables belong together.",
            )
            return
        elif token.text == ")":
            closed = [each for scope, joins in pending.items() if scope > token.scope for each in joins]
            if closed:
                yield (
                    closed[-1].start,
                    "The join has no condition.",
                    "Write ON and the columns by which the tables belong together.",
                )
                return
