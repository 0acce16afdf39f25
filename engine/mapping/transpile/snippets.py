"""snippets."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from engine.mapping.transpile.facts import is_textual

NULLS_WIN = frozenset({"mysql", "sqlite", "oracle"})
"""Dialects in which GREATEST and LEAST are NULL where one of the values is."""

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

LETTERS = "abcdefghijklmnopqrstuvwxyz"

TEXT_OF = """
    case when VALUE is null
        or regexp_full_match(typeof(VALUE), 'VARCHAR|U?[A-Z]*INT(EGER)?|DECIMAL[(][0-9]+,0[)]')
    then cast(VALUE as varchar)
    else error('databases differ in the text of a number, a date or a truth: write sql.number_text(…)') end"""
"""Texts and whole numbers are the same text everywhere."""

UNTYPED = frozenset({"Column", "Case", "Coalesce", "If", "Max", "Min", "Nullif", "Greatest", "Least"})
"""What is a text or a number as its columns are."""


def _sum(parts: list[Any]) -> Any:
    from sqlglot import exp

    made = parts[0].copy()
    for part in parts[1:]:
        made = exp.Add(this=made, expression=part.copy())
    return made


def _known(node: Any, dialect: str) -> str:
    """``text`` for what is always one, ``digits`` for a number whose text its type tells, or nothing."""
    if is_textual(node):
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
