"""Write DuckDB's SQL from snippets, and remember of each part of a statement whether it is a text.

``meta["known"]`` and ``meta["number"]`` of a part hold what was known of its type before anything was rewritten, since
the rewrite of a text may not look like one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from engine.mapping.transpile.facts import is_numeric, is_textual

NULL_WINS_DIALECTS = frozenset({"mysql", "sqlite", "oracle"})
"""Dialects in which GREATEST and LEAST are NULL where one of the values is."""

FIXED_SCALE_DIALECTS = frozenset({"tsql", "mysql", "postgres"})
"""Dialects in which a decimal has the digits of its type, also in its text; elsewhere those of its value."""

DEFAULT_DECIMAL = {"mysql": "decimal(10, 0)", "tsql": "decimal(18, 0)", "oracle": "decimal(38, 0)"}
"""What DECIMAL is without digits; elsewhere a number with as many digits as it has."""

READ_DIFFERENTLY = {
    "Concat": {"mysql"},
    "Greatest": NULL_WINS_DIALECTS,
    "Least": NULL_WINS_DIALECTS,
    "Length": {"tsql"},
    "Like": {"sqlite"},
    "Lower": {"sqlite"},
    "Upper": {"sqlite"},
}
"""Parts that DuckDB would take for something else, not only in rare cases, and the dialects of which this is true."""

LONG_TEXT_LENGTH = 1_000
"""Characters of a text type that is long enough to truncate nothing."""

ASCII_LETTERS = "abcdefghijklmnopqrstuvwxyz"

AS_TEXT = """
    case when VALUE is null
        or regexp_full_match(typeof(VALUE), 'VARCHAR|U?[A-Z]*INT(EGER)?|DECIMAL[(][0-9]+,0[)]')
    then cast(VALUE as varchar)
    else error('databases differ in the text of a number, a date or a truth: write sql.number_text(…)') end"""
"""Texts and whole numbers have the same text in every database."""

UNTYPED_NODES = frozenset({"AnyValue", "Column", "Case", "Coalesce", "If", "Max", "Min", "Nullif", "Greatest", "Least"})
"""Parts whose type is that of their columns."""


def add_all(parts: list[Any]) -> Any:
    """Return the sum of copies of ``parts``."""
    from sqlglot import exp

    made = parts[0].copy()
    for part in parts[1:]:
        made = exp.Add(this=made, expression=part.copy())
    return made


def known_type(node: Any, dialect: str) -> str:
    """Return ``text`` for what is always a text, ``digits`` for a number whose type tells its text, else a blank."""
    # A sum is a text in T-SQL where one of both is, but only if the other can be one too.
    if is_textual(node) or (node.meta.get("kind") == "text" and type(node.unnest()).__name__ != "Add"):
        return "text"
    inner = node.unnest()
    cast = type(inner).__name__ == "Cast" and inner.to.this.name == "DECIMAL" and inner.to.expressions
    declared = type(inner).__name__ == "Column" and str(inner.meta.get("kind") or "").startswith("decimal:")
    return "digits" if (cast or declared) and dialect in FIXED_SCALE_DIALECTS else ""


class Notes(dict[str, Any]):
    """What is noted of a part. Copies share the values, which nobody changes: to copy these took half of a rewrite."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Notes:
        return Notes(self)


def _set_notes(node: Any, notes: Notes | None) -> None:
    node._meta = notes  # noqa: SLF001 - ``meta`` only gives a plain dictionary


@lru_cache(maxsize=256)
def _parse_snippet(text: str) -> Any:
    import sqlglot

    parsed = sqlglot.parse_one(text, dialect="duckdb")
    for node in parsed.walk():
        _set_notes(node, None)  # the places in a snippet are none of the view
    return parsed


def snippet(text: str, **parts: Any) -> Any:
    """Return DuckDB's SQL as an expression; names in capitals stand for ``parts``: expressions, or DuckDB's SQL.

    ``snippet("left(VALUE, 3)", value=column)`` is ``left(<column>, 3)``.
    """
    from sqlglot import exp

    made = _parse_snippet(text).copy()
    for column in list(made.find_all(exp.Column)):
        part = parts.get(column.name.lower()) if column.name.isupper() else None
        if part is not None:
            part = _parse_snippet(part).copy() if isinstance(part, str) else part.copy()
            column.replace(exp.Paren(this=part) if isinstance(part, (exp.Binary, exp.Unary)) else part)
    return made


def typed_snippet(text: str, kind: str, **parts: Any) -> Any:
    """Return :func:`snippet` of ``text`` with the type ``kind`` for ``KIND``."""
    return snippet(text.replace("KIND", kind), **parts)


def copy_with(node: Any, **parts: Any) -> Any:
    """Return a copy of a part with some of its arguments replaced."""
    made = node.copy()
    for key, part in parts.items():
        made.set(key, part)
    return made


def remember_types(nodes: list[Any], dialect: str) -> None:
    """Note in each part what is known of its type, before any is rewritten."""
    for node in nodes:
        _set_notes(node, Notes(node.meta))
        node.meta["known"] = known_type(node, dialect)
        kind = str(node.meta.get("kind") or "")
        node.meta["number"] = is_numeric(node) or kind in {"integer", "double", "numeric"} or kind.startswith("decimal")


def keep_types(node: Any, made: Any) -> None:
    """Note in what stands for a part what was known of the part's type."""
    for key in ("known", "number", "kind", "fold"):
        if key in node.meta:
            made.meta[key] = node.meta[key]


def is_known_number(node: Any) -> bool:
    """Return whether a part was a number, whatever the types of its columns are, before it was rewritten."""
    return bool(node.meta["number"] if "number" in node.meta else is_numeric(node))


def named_query(query: Any, columns: list[str]) -> Any:
    """Return a query as the table ``listed`` with these columns, for a FROM."""
    from sqlglot import exp

    inner = query.this if isinstance(query, exp.Subquery) else query
    alias = exp.TableAlias(this=exp.to_identifier("listed"), columns=[exp.to_identifier(name) for name in columns])
    return exp.Subquery(this=inner.copy(), alias=alias)


def aliased(expressions: list[Any], names: list[str]) -> list[Any]:
    """Return output columns with these names; a blank name leaves a column without one."""
    from sqlglot import exp

    pairs = zip(expressions, names, strict=True)
    return [exp.alias_(part.copy(), name, quoted=True) if name else part.copy() for part, name in pairs]


def has_known_type(node: Any, kind: str) -> bool:
    """Return whether a part was found to be ``text`` or ``digits``, as :func:`known_type` has it."""
    return bool(node.meta.get("known") == kind)


def as_text(value: Any) -> Any:
    """Return the text of a value that may be no text."""
    if has_known_type(value, "text"):
        return value.copy()
    if value.meta.get("kind") == "year":  # 0 is 0000 there
        return snippet("lpad(cast(VALUE as varchar), 4, '0')", value=value)
    return snippet("cast(VALUE as varchar)" if has_known_type(value, "digits") else AS_TEXT, value=value)
