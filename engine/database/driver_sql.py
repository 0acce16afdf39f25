"""Write a view's SQL so that its driver takes it, and so that every column's value arrives unharmed.

Three things are done to a view: comments become blanks and letters beyond ASCII become hexadecimal where the driver
mistakes them (:func:`to_driver_sql`); columns whose type the driver garbles are cast in a SELECT around the view
(:func:`cast_columns`); and the columns may be packed into one text, where fetching that is cheaper
(:func:`pack_columns`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.database.drivers import OTHER
from engine.database.odbc_values import Column
from engine.errors import QueryError
from engine.quoting import blanked, regions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.database.driver_profile import DriverProfile

_COMMENT_START = re.compile(r"--|/\*|#")


_NOT_LINE_BREAK = re.compile(r"[^\n]")


_EXPRESSION_WORDS = {
    *("all", "and", "between", "binary", "by", "case", "distinct", "div", "else", "escape", "from", "having", "if"),
    *("in", "like", "limit", "mod", "not", "on", "or", "regexp", "return", "rlike", "select", "sounds", "then"),
    *("union", "values", "when", "where", "xor"),
}
"""Words of SQL behind which a text is a value."""


HINT_MARKS = {"mysql": ("/*+", "/*!"), "oracle": ("/*+", "--+")}
"""What begins a comment that the database reads, by dialect; in every other dialect it is ``/*+`` alone."""


SERVER_CURSOR = "s2s_view"
"""The name of the server's cursor through which a view is fetched."""


MAX_ARGUMENTS = 90
"""How many values are put together at a time: a function of PostgreSQL takes 100 arguments."""


def declare_cursor(sql: str, *, counted: bool, name: str = SERVER_CURSOR) -> str:
    """SQL of PostgreSQL that opens the cursor ``name`` over a view, in a transaction that only reads.

    Where the view is ``counted``, it travels as a text, and the server reads it by its own rules: OPEN … FOR EXECUTE
    takes one statement that gives rows, and refuses several before any of them runs (42P11). With its quotes and
    backslashes doubled no reading of a text, the driver's included, ends it too early.
    """
    if not counted:
        return f"declare {name} no scroll cursor for\n{sql}"
    block = (
        f"declare view refcursor := '{name}'; begin set transaction read only;"
        f" open view no scroll for execute {_escaped(sql)}; end"
    )
    return f"do {_escaped(block)}"


def _escaped(text: str) -> str:
    """``text`` as a literal of PostgreSQL that means the same whatever ``standard_conforming_strings`` is."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'"


def text_literal(text: str, profile: DriverProfile) -> str:
    """``text`` as a literal that arrives whole with this driver, quoted."""
    return profile.text_literal.format(text.replace("'", "''"), text.encode().hex())


def to_driver_sql(sql: str, profile: DriverProfile, dialect: str) -> str:
    """The view without what the driver cannot take: letters of texts in hexadecimal, and blanks for comments.

    Drivers look for parameters, statements and escapes in comments too: sqliteodbc 0.9998 takes a question mark in
    one for a parameter that has no value, and a semicolon for a second statement; 0.99991 leaves out all that
    follows ``--``, a WHERE too. Hints stay as they are.
    """
    rewrites_texts = not sql.isascii() and profile.text_literal != OTHER.text_literal
    if not (rewrites_texts or _COMMENT_START.search(sql)):
        return sql
    parts, position = [], 0
    for region in regions(sql, dialect):
        part = sql[region.start : region.end]
        parts.append(sql[position : region.start])
        position = region.end
        if region.kind == "comment" and not part.startswith(HINT_MARKS.get(dialect, ("/*+",))):
            parts.append(_NOT_LINE_BREAK.sub(" ", part))
        elif (
            rewrites_texts
            and region.kind == "text"
            and not (part.isascii() or "\\" in part)
            and _is_expression("".join(parts[-3:]), sql[position:])
        ):
            parts.append(text_literal(part[1:-1].replace(part[0] * 2, part[0]), profile))
        else:
            parts.append(part)
    return "".join([*parts, sql[position:]])


def _is_expression(before: str, after: str) -> bool:
    """Whether a text between this SQL is a value, and neither a name, a part of another literal nor a separator."""
    if after.lstrip().startswith(("'", '"')):
        return False
    found = re.search(r"(\w+|\S)(\s*)$", before)
    if found is None:
        return True
    word, blanks = found[1], found[2]
    if re.fullmatch(r"\w+", word):
        # Directly behind a word stands a prefix such as N, and as `_utf8mb4 '…'` one that is apart.
        return bool(blanks) and word.lower() in _EXPRESSION_WORDS
    return word not in {")", "'", '"', "`"}


def refuse_question_marks(sql: str, dialect: str) -> None:
    """Raise :class:`QueryError` for a question mark outside of texts, which ODBC takes for a parameter."""
    code = blanked(sql, dialect) if "?" in sql else ""
    if "?" not in code:
        return
    operator = re.search(r"\?[|&]?", code)
    functions = {"?": "jsonb_exists", "?|": "jsonb_exists_any", "?&": "jsonb_exists_all"}
    written = operator[0] if operator else "?"
    hint = "Leave it out of the SQL; within quotes it may stand."
    if dialect == "postgres":
        hint = f"Write {functions[written]}(a, b) for a {written} b."
    raise QueryError(f"The view has the operator {written}, which ODBC takes for a parameter.", hint=hint)


def needs_cast(column: Column, profile: DriverProfile) -> bool:
    """Whether the driver garbles values of the column's type unless they are cast."""
    return _cast(profile.casts, column) is not None


def cast_columns(sql: str, columns: Sequence[Column], profile: DriverProfile) -> str:
    """The view with those columns cast that the driver would garble; the view itself where there are none."""
    if not any(needs_cast(column, profile) for column in columns):
        return sql
    expressions = _expressions(columns, profile.casts, profile.quote)
    listed = ",\n".join(f"{expression} as c{number}" for number, expression in enumerate(expressions))
    return f"select {listed} from (\n{sql}\n) as v"  # noqa: S608 - the view is trusted SQL


def pack_columns(sql: str, columns: Sequence[Column], profile: DriverProfile) -> str:
    """The view with the columns of each row in one text, as :class:`~engine.database.connection.Batches` says."""
    separator, null = profile.packed_marks
    names = _expressions(columns, {}, profile.quote)
    values = [profile.packed_text.format(each) for each in _expressions(columns, profile.packed_casts, profile.quote)]
    parts = [
        f"case when {name} is null then {null} else {value} end" for name, value in zip(names, values, strict=True)
    ]
    while len(parts) > 1 or parts[0].startswith("case"):
        groups = [parts[start : start + MAX_ARGUMENTS] for start in range(0, len(parts), MAX_ARGUMENTS)]
        parts = [f"concat_ws({separator}, {', '.join(group)})" for group in groups]
    return f"select {parts[0]} as packed from (\n{sql}\n) as v"  # noqa: S608 - the view is trusted SQL


def _expressions(columns: Sequence[Column], casts: Mapping[tuple[str, int | None], str], quote: str) -> list[str]:
    names = [f"v.{quote}{column.name.replace(quote, quote * 2)}{quote}" for column in columns]
    return [(_cast(casts, column) or "{0}").format(name) for column, name in zip(columns, names, strict=True)]


def _cast(casts: Mapping[tuple[str, int | None], str], column: Column) -> str | None:
    return casts.get((column.type_name, column.size)) or casts.get((column.type_name, None))


def described_columns(description: Sequence[Any]) -> tuple[Column, ...]:
    """The columns of a cursor's description, by the names that the driver gives."""
    names = column_names(description)
    return tuple(Column(name, each[1].__name__, each[3]) for name, each in zip(names, description, strict=True))


def column_names(description: Sequence[Any]) -> tuple[str, ...]:
    """The columns' names; sqliteodbc puts a NUL behind those that are not ASCII."""
    return tuple(column[0].rstrip("\0") for column in description)
