"""How each dialect writes values and names, and where in its SQL texts, quoted names and comments stand.

Pure text work, below both the module that renders SQL and the one that parses it. The facts of quoting agree with
the tokenizers of sqlglot 30; those about T-SQL, MySQL and Oracle with their makers' reference manuals.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["text", "name", "comment"]

QUOTES = {"tsql": ("[", "]"), "access": ("[", "]"), "mysql": ("`", "`"), "bigquery": ("`", "`")}
"""How a dialect quotes names, where it is not the standard's double quote."""

BRACKETS = frozenset({"tsql", "access", "sqlite"})
"""Dialects that read ``[name]`` as a quoted name; elsewhere brackets are arrays."""

DOUBLE_QUOTED_TEXTS = frozenset({"mysql", "bigquery", "access"})
"""Dialects in which double quotes hold a text, not a name."""

BACKSLASHES = frozenset({"mysql", "snowflake", "redshift", "bigquery"})
"""Dialects in which a backslash in a text escapes what follows it."""

BACKTICKS = frozenset({"mysql", "bigquery", "sqlite", "access", "duckdb"})
"""Dialects in which backticks quote a name; DuckDB's since 2.0."""

_NO_NAME = r"\x00-/:-@\[-^`{-\x7f"
"""The characters that are no part of a name. Python takes ten times as long to compile the set of those that are."""

NO_NAME_BEFORE = rf"(?<![^{_NO_NAME}]|\$)"
"""No character before that PostgreSQL and DuckDB would take for part of a name: any that is not ASCII is."""

DOTLESS = frozenset({"access"})
"""Dialects in which no name can hold a dot, however it is quoted."""

NESTED_COMMENTS = frozenset({"tsql", "postgres", "duckdb", "redshift"})
"""Dialects in which ``/* /* */ */`` is one comment."""

BITS = frozenset({"tsql", "sqlite", "oracle", "pervasive", "firebird"})
"""Dialects that write a boolean as 1 or 0. Access writes TRUE: there a ticked box is -1, and equals no 1."""

PLAIN_DATES = frozenset({"sqlite", "pervasive"})
"""Dialects that write a point in time as a plain ISO text."""

ZONED = frozenset({"postgres", "duckdb", "redshift"})
"""Dialects with the literal ``TIMESTAMPTZ '…'``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A stretch of SQL that is not syntax: ``sql[start:end]``, quotes and comment marks included.

    One that is not ``closed`` reaches to the end of the SQL, because its quotes or comment marks do not end.
    """

    start: int
    end: int
    kind: Kind
    closed: bool = True


def ident(name: str, dialect: str) -> str:
    """``name`` as a quoted identifier of ``dialect``. Raises :class:`ValueError` for a blank one or one with a NUL."""
    if not name.strip() or "\x00" in name:
        raise ValueError("A name cannot be blank or hold a NUL character.")
    left, right = QUOTES.get(dialect, ('"', '"'))
    return f"{left}{name.replace(right, right * 2)}{right}"


def alias(field: str, dialect: str) -> str:
    """A field's name as a column's alias: quoted, and with two underscores where a name of ``dialect`` holds no dot."""
    return field.replace(".", "__") if dialect in DOTLESS else ident(field, dialect)


def literal(value: object, dialect: str) -> str:
    """``value`` as a literal of ``dialect``; a list as its items' literals with commas between.

    Raises :class:`ValueError` for what has none: NaN, a NUL character, an empty list, a table.
    """
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return ", ".join(_literal(item, dialect) for item in items(value))
    return _literal(value, dialect)


def items(value: Iterable[object]) -> tuple[object, ...]:
    """The items of a list that is written as values. Raises :class:`ValueError` for an empty one."""
    found = tuple(value)
    if not found:
        raise ValueError("The list is empty: `in ()` is not valid SQL. Leave the condition out when it is empty.")
    return found


def scalar(value: object) -> object:
    """``value``, if it is one that SQL can hold. Raises :class:`ValueError` that says why not."""
    if isinstance(value, Mapping):
        raise ValueError("A table has no literal: name one of its keys, or loop over .items().")  # noqa: TRY004 - a template's fault
    finite = value.is_finite() if isinstance(value, Decimal) else not isinstance(value, float) or math.isfinite(value)
    if not finite:
        raise ValueError(f"{value} has no literal in SQL.")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("A text with half a character (a lone surrogate) has no literal in SQL.") from None
    elif value is not None and not isinstance(value, (bool, int, float, Decimal, date, time)):
        raise ValueError(f"A {type(value).__name__} has no literal in SQL.")
    return value


def _literal(value: object, dialect: str) -> str:
    value = scalar(value)
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        words = ("0", "1") if dialect in BITS else ("FALSE", "TRUE")
        return words[value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (date, time)):
        return _moment(value, dialect)
    return _text(str(value), dialect)


def _moment(value: date | time, dialect: str) -> str:
    """A date or time, in a spelling that no language or date order of the login can turn round."""
    text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, (datetime, time)) and value.tzinfo is not None:
        if dialect == "tsql":
            return f"'{value.isoformat()}'"
        if dialect in ZONED and isinstance(value, datetime):
            return f"TIMESTAMPTZ '{text}'"
        raise ValueError(f"A time with a zone has no literal in {dialect}: write it without one, in the database's.")
    if dialect == "tsql":
        return "'" + (text.replace("-", "") if type(value) is date else value.isoformat()) + "'"
    if dialect == "access":
        return f"#{text}#"
    if dialect in PLAIN_DATES or (isinstance(value, time) and dialect == "oracle"):
        return f"'{text}'"
    lead = "TIME" if isinstance(value, time) else "TIMESTAMP" if isinstance(value, datetime) else "DATE"
    return f"{lead} '{text}'"


def _text(text: str, dialect: str) -> str:
    if "\x00" in text:
        raise ValueError("A text with a NUL character has no literal in SQL.")
    if dialect in BACKSLASHES:
        text = text.replace("\\", "\\\\")
    if dialect == "bigquery":
        return "'" + text.replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"
    text = text.replace("'", "''")
    if dialect != "tsql":
        return f"'{text}'"
    # T-SQL drops a backslash before a line's end from a text, and the line's end with it.
    parts = re.split(r"(?<=\\)(?=\r?\n)", text)
    quoted = " + ".join(f"'{part}'" if part.isascii() else f"N'{part}'" for part in parts)
    return quoted if len(parts) == 1 else f"({quoted})"


def regions(sql: str, dialect: str) -> Iterator[Region]:
    """Yield the texts, quoted names and comments of ``sql``, in order."""
    opener, adjacent = _opener(dialect)
    position = 0
    while found := (adjacent.match(sql, position) if position else None) or opener.search(sql, position):
        kind, end = _closed(sql, found, dialect)
        yield Region(start=found.start(), end=len(sql) if end is None else end, kind=kind, closed=end is not None)
        position = len(sql) if end is None else end


def blanked(sql: str, dialect: str) -> str:
    """``sql`` with its texts, quoted names and comments blanked out, every other character in its place."""
    parts, position = [], 0
    for region in regions(sql, dialect):
        parts += [sql[position : region.start], re.sub(r"[^\n]", " ", sql[region.start : region.end])]
        position = region.end
    return "".join([*parts, sql[position:]])


@cache
def _opener(dialect: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the pattern of what begins a text, a quoted name or a comment; and that directly after another."""
    choices = [r"--(?=\s|$)" if dialect == "mysql" else "--", r"/\*", "'", '"']
    if dialect in BACKTICKS:
        choices.append("`")
    if dialect in {"mysql", "bigquery"}:
        choices.append("#")
    if dialect == "snowflake":
        choices.append("//")
    if dialect in BRACKETS:
        choices.append(r"\[")
    if dialect in {"postgres", "duckdb", "redshift", "snowflake"}:
        choices.insert(0, rf"{NO_NAME_BEFORE}\$(?:[^0-9{_NO_NAME}][^{_NO_NAME}]*)?\$")
    if dialect in {"postgres", "duckdb"}:
        choices.insert(0, rf"{NO_NAME_BEFORE}[eE]'")
    if dialect == "oracle":
        choices.insert(0, r"(?<!\w)[nN]?[qQ]'.")
    if dialect == "bigquery":
        choices[:0] = ["'''", '"""']
    pattern = "|".join(choices)
    return re.compile(pattern, re.DOTALL), re.compile(pattern.replace(NO_NAME_BEFORE, ""), re.DOTALL)


def _closed(sql: str, found: re.Match[str], dialect: str) -> tuple[Kind, int | None]:
    """Return what an opener begins, and the offset after its end; None where it does not end."""
    opener = found[0]
    if opener in {"--", "#", "//"}:
        # Some databases end such a comment at a carriage return too: what follows may be SQL, so it is taken for it.
        end = re.compile(r"[\r\n]").search(sql, found.end())
        return "comment", end.start() if end else len(sql)
    if opener == "/*":
        return "comment", _after_comment(sql, found.end(), nested=dialect in NESTED_COMMENTS)
    if opener.startswith("$") or opener in {"'''", '"""'}:
        return "text", _after(sql, opener, found.end())
    if opener[-2:-1] == "'":
        closer = {"[": "]", "(": ")", "{": "}", "<": ">"}.get(opener[-1], opener[-1])
        return "text", _after(sql, f"{closer}'", found.end())
    quote = "]" if opener == "[" else opener[-1]
    text = quote == "'" or (quote == '"' and dialect in DOUBLE_QUOTED_TEXTS)
    escapes = text and (dialect in BACKSLASHES or opener in {"e'", "E'"})
    body = rf"(?:\\.|[^\\{re.escape(quote)}])*" if escapes else rf"[^{re.escape(quote)}]*"
    closed = re.compile(rf"{body}(?:{re.escape(quote) * 2}{body})*{re.escape(quote)}", re.DOTALL).match(
        sql, found.end()
    )
    return "text" if text else "name", closed.end() if closed else None


def _after(sql: str, closer: str, position: int) -> int | None:
    end = sql.find(closer, position)
    return None if end < 0 else end + len(closer)


def _after_comment(sql: str, position: int, *, nested: bool) -> int | None:
    if not nested:  # a /* in there takes no star away from the end
        return _after(sql, "*/", position)
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += -1 if found[0] == "*/" else 1
        if depth == 0:
            return found.end()
    return None
