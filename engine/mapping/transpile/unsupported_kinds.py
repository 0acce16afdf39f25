"""Parts of a view that a column's own type gives another meaning than DuckDB's type of its values does."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms
from engine.mapping.transpile.facts import (
    COMPARISONS,
    construct_name,
    decides_rows,
    decimal_places,
    is_text_literal,
    literal_integer,
    operands,
    sorted_part,
)
from engine.mapping.transpile.kind_parts import BRANCHING_PARTS, branches
from engine.mapping.transpile.kinds import fold_of, has_own_decimals, is_kind, kind
from engine.mapping.transpile.strict_types import find_strict_type
from engine.mapping.transpile.text_equality import counts_all, is_written_text
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from engine.mapping.transpile.facts import Unsupported

ARITHMETIC = frozenset(
    {"Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "Round", "Trunc", "Sum", "Avg", "Floor", "Ceil", "Sign", "Abs"}
    | {"Pow", "Sqrt"}
)
"""Parts that calculate."""

NUMBER_USES = COMPARISONS | frozenset(
    {"Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "Sum", "Avg", "Max", "Min", "Count", "Round", "Abs"}
    | {"Alias", "Select", "Paren", "Ordered", "Group", "Is", "Case", "If", "Distinct", "Window"}
)
"""Parts to which a number with zeros in front is the number."""

MAX_SHORT_YEAR = 99
"""The largest number that MySQL takes for a year without its century."""

MAX_SINGLE_DECIMALS = 4
"""Decimals that a number of single precision with less than six digits has exactly in every database."""

DATE_LETTERS, TIME_LETTERS = len("2024-01-31"), len("2024-01-31 10:20:30")

TEXT_FIELDS = frozenset({"text", "code", "html", "tags", "url", "email"})
"""Types of fields that keep a number as it is written."""

SAME_BESIDE_LONGER = {"LTE", "GT"}
SAME_BESIDE_SHORTER = {"GTE", "LT"}
"""Comparisons of a date with one that has a time, or the other way round, that are the same between texts."""


def find_type_difference(node: Any, dialect: str) -> Unsupported:
    """Return why a column's type gives a part another meaning, and what to write instead; None where it does not."""
    if _calculates_with_single(node, dialect):
        return (
            "a calculation with a number of single precision",
            "a cast of it to a decimal, such as numeric(12,2), first.",
        )
    if dialect == "mysql":
        return _date_of_mysql(node) or _own_type_of_mysql(node)
    if dialect == "sqlite":
        return _loose_type_of_sqlite(node)
    return _own_type_of_postgres(node) or find_strict_type(node) if dialect == "postgres" else None


def _own_type_of_postgres(node: Any) -> Unsupported:
    """Refuse what an ENUM, a CHAR or a number without a scale is beside its value."""
    name = type(node).__name__
    if _orders_enum(node):
        return "an order of an ENUM, which is that of its list", "CASE, or the same of its ::text."
    if has_own_decimals(node) and _is_shown_as_text(node.output_name):
        return "a text of a number whose decimals differ by value, such as 0 and 1.50", "ROUND(…, 2) around it."
    if name in COMPARISONS | {"Nullif", "Case"} and _compares_padding(node):
        return "a text with blanks at its end beside a CHAR", "the text without them."
    if name in {"Concat", "ConcatWs", "Format"} and any(_is_padded(part) for part in node.iter_expressions()):
        return f"{construct_name(node)} of a CHAR, whose blanks count there", "|| instead."
    return None


def _orders_enum(node: Any) -> bool:
    """Return whether the order in which a type lists its values decides about rows, or about what is in them."""
    name = type(node).__name__
    if name == "Ordered":
        return is_kind(sorted_part(node), "listed") and decides_rows(node)
    return name in _EXTREMES | _RANGES and any(is_kind(part, "listed") for part in node.iter_expressions())


def _calculates_with_single(node: Any, dialect: str) -> bool:
    """Return whether a number of single precision is calculated or compared with, or becomes one of another kind."""
    name = type(node).__name__
    if name in _SET_OPERATIONS:
        arms = [arm.selects for arm in union_arms(node)]
        return any(_mixes_single([part.unalias() for part in parts], "") for parts in zip(*arms, strict=False))
    if name in {"Lag", "Lead", "FirstValue"} and type(node.this).__name__ in BRANCHING_PARTS:
        return is_kind(node.this, "single")
    if name in BRANCHING_PARTS - {"Nullif"}:
        compared = name == "Case" and any(is_kind(value, "single") for value in operands(node))
        return compared or _mixes_single(branches(node), dialect)
    if name == "Cast" and is_kind(node.this, "single"):
        places = decimal_places(node.to) if node.to.this.name == "DECIMAL" else 0
        fine = places is not None and (dialect == "postgres" or places <= MAX_SINGLE_DECIMALS)
        return not fine or node.to.this.name in {"DOUBLE", "FLOAT"}
    calculates = name in ARITHMETIC | COMPARISONS | {"Nullif"}
    return calculates and any(is_kind(part, "single") for part in node.iter_expressions())


def _mixes_single(values: list[Any], dialect: str) -> bool:
    """Return whether some values are of single precision and others of another kind; PostgreSQL keeps it beside 0."""
    if not any(is_kind(value, "single") for value in values):
        return False
    others = [value for value in values if not is_kind(value, "single") and type(value).__name__ != "Null"]
    return any(dialect != "postgres" or literal_integer(value) != 0 for value in others)


def _is_shown_as_text(column: str) -> bool:
    """Return whether an output column feeds a field in which 1.50 is not 1.5."""
    fields = [field for entity in ENTITIES.values() if (field := entity.resolve(column)) is not None]
    return any(field.type in TEXT_FIELDS for field in fields)


def _is_padded(node: Any) -> bool:
    return "padded" in fold_of(node).split("-")


def _compares_padding(node: Any) -> bool:
    """Return whether PostgreSQL would leave out the blanks at the end of a text that is compared with a CHAR."""
    values = operands(node)
    ends = any(is_text_literal(value) and value.name.endswith(" ") for value in values)
    return ends and any(map(_is_padded, values))


def _own_type_of_mysql(node: Any) -> Unsupported:
    """Refuse what an ENUM, a SET, a YEAR, a BIT or a number with ZEROFILL is beside its value."""
    name = type(node).__name__
    parts = list(node.iter_expressions())
    if name in {"Max", "Min"} and any(is_kind(part, "bit") for part in parts):
        return "MAX or MIN of a BIT, which its driver may read as false", "its number, as in flag + 0."
    if name not in NUMBER_USES and any(is_kind(part, "zerofill") for part in parts):
        return "the text of a number with ZEROFILL", "LPAD of the number plus 0."
    if name not in NUMBER_USES and any(is_kind(part, "bit") for part in parts):
        return "the text of a BIT, which is its bytes", "its number, as in flag + 0."
    compared = operands(node) if name in COMPARISONS | {"Nullif", "Case"} else []
    if any(is_kind(part, "year") for part in compared) and any(map(_is_short_year, compared)):
        return "a year without its century", "the year with four digits."
    if name in ARITHMETIC and any(is_kind(part, "listed") for part in parts):
        return "a calculation with an ENUM or a SET, which takes its place in the list", "CASE."
    if name in _SEARCHES or str(node.this).lower() in _SEARCHES:
        texts = [part for part in parts if is_kind(part, "text")]
        sought = [part.name for part in texts if is_text_literal(part)]
        cased = not sought or any(text.lower() != text.upper() for text in sought)
        if len(texts) > 1 and cased and all(is_written_text(part, "mysql") for part in texts):
            return "a search in a text of the view's own, whose case may count or not", "a comparison with =."
    counted = node.this.expressions if name == "Count" and type(node.this).__name__ == "Distinct" else []
    if any(map(_is_ambiguous, [*(node.args.get("partition_by") or ()), *counted])):
        return "groups of texts of the view's own that differ in case, accents or blanks alone", "texts that differ."
    if name == "Ordered" and is_kind(sorted_part(node), "listed") and decides_rows(node):
        return "an order by an ENUM or a SET, which is that of its list", "an order by another column."
    return None


def _date_of_mysql(node: Any) -> Unsupported:
    """Refuse a date beside a text that is none, and a time whose parts of a second MySQL writes though they are 0."""
    name = type(node).__name__
    compared = operands(node) if name in COMPARISONS | {"Nullif", "Case"} else []
    timed = any(is_text_literal(part) and _WITH_TIME.fullmatch(part.name) for part in compared)
    if timed and any(is_kind(part, "date") for part in compared):
        return "a date beside a text with a time, which makes a time of it", "the text of a date."
    select = node.parent if node.arg_key == "expressions" and type(node.parent).__name__ == "Select" else None
    shown = select is not None and type(select.parent).__name__ not in {"Subquery", "CTE", "Exists", "In"}
    if shown and is_kind(node.unalias(), "bit") and _is_shown_as_text(node.output_name):
        return "a BIT in a field of text, which its driver gives as true or false", "its number, as in flag + 0."
    if shown and _shows_decimals(node):
        return "a text of a rounded floating number, whose zeros MySQL writes", "CAST(… AS DECIMAL(12, 2)) of it."
    if shown and _shows_fraction(node):
        return "a time with parts of a second, whose zeros MySQL writes", "DATE_FORMAT(…, '%Y-%m-%d %H:%i:%s') of it."
    if name in BRANCHING_PARTS - {"Nullif"} and _mixes_written_dates(branches(node)):
        return "a date beside a text that is not written as the date is", "the text in full, as '2024-01-31'."
    return None


def _shows_decimals(output: Any) -> bool:
    """Return whether an output column in a field of text may be a rounded floating number, other than ROUND itself."""
    value = output.unalias().unnest()
    plain = type(value).__name__ == "Round"
    return not plain and "decimals" in fold_of(value).split("-") and _is_shown_as_text(output.output_name)


def _shows_fraction(output: Any) -> bool:
    """Return whether an output column may be the time of a column that has parts of a second."""
    name = type(output).__name__
    if name in BRANCHING_PARTS:
        return any(map(_shows_fraction, branches(output)))
    if name == "Cast":
        return type(output.this).__name__ == "Literal" and "." in output.this.name and is_kind(output, "timestamp")
    if name in {"Alias", "Paren", "Max", "Min", "Window", "Filter", "AnyValue", "FirstValue", "Lag", "Lead"}:
        return _shows_fraction(output.this)
    return "fraction" in fold_of(output).split("-")


def _mixes_written_dates(values: list[Any]) -> bool:
    """Return whether some values are dates or times and others texts of such in another length, which MySQL keeps."""
    kinds = {kind(value) for value in values} & {"date", "timestamp"}
    lengths = {DATE_LETTERS if each == "date" else TIME_LETTERS for each in kinds}
    written = [value.name for value in values if is_text_literal(value) and _DATE.match(value.name)]
    return bool(lengths) and any(len(text) not in lengths for text in written)


_DATE = re.compile(r"\s*\d+-\d+-\d")

_WITH_TIME = re.compile(r"\s*[\d-]{6,10}[ T]+\d.*", re.DOTALL)
"""The text of a date with a time of the day."""


def _is_ambiguous(value: Any) -> bool:
    """Return whether a text of the view's own may be two that a collation may take for one."""
    if not is_written_text(value, "mysql"):
        return False
    written = {part.name for part in value.walk() if is_text_literal(part)}
    return len({_without_marks(text) for text in written}) < len(written)


def _without_marks(text: str) -> str:
    parts = unicodedata.normalize("NFD", text.rstrip(" ").casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


_RANGES = frozenset({"GT", "GTE", "LT", "LTE", "Between"})

_SEARCHES = frozenset({"Like", "StrPosition", "field", "find_in_set"})


def _is_short_year(node: Any) -> bool:
    number = literal_integer(node)
    return number is not None and 0 <= number <= MAX_SHORT_YEAR


def _loose_type_of_sqlite(node: Any) -> Unsupported:
    """Refuse what SQLite compares by the texts of dates, without numbers in mind, or without regard to case."""
    name = type(node).__name__
    if name in COMPARISONS | {"Nullif", "Case"}:
        values = operands(node)
        numbers = any(is_kind(value, "number") for value in values)
        if numbers and any(is_kind(value, "text") and not _has_affinity(value) for value in values):
            return "a comparison of a calculated text with a number", "CAST(… AS INTEGER), or a text in quotes."
        if _compares_lengths(name, values):
            return "a comparison of a date with a time, which are texts", "date(…) or datetime(…) around both."
    if {"date", "timestamp"} <= {kind(part) for part in _united(node)}:
        return "dates beside times, which are texts of two lengths", "date(…) or datetime(…) around them."
    folded = (
        [part for part in (node.this, *node.expressions) if not counts_all(fold_of(part))] if name in _EXTREMES else []
    )
    if folded or (name == "Ordered" and not counts_all(fold_of(sorted_part(node))) and decides_rows(node)):
        return "an order of texts whose collation ignores case or blanks", "lower(…) around them."
    return None


def _united(node: Any) -> list[Any]:
    """Return the parts of which one is the value of a part; of a UNION those of the first column that mixes kinds."""
    name = type(node).__name__
    if name in BRANCHING_PARTS:
        return branches(node)
    if name in _EXTREMES:
        return [node.this, *node.expressions]
    if name in _SET_OPERATIONS:
        for parts in zip(*(arm.selects for arm in union_arms(node)), strict=False):
            if len({kind(part.unalias()) for part in parts}) > 1:
                return [part.unalias() for part in parts]
    return []


_SET_OPERATIONS = frozenset({"Union", "Except", "Intersect"})

_EXTREMES = frozenset({"Max", "Min", "Greatest", "Least"})


def _has_affinity(node: Any) -> bool:
    """Return whether a text is a column, whose type decides how it is compared, or written out."""
    return type(node.unnest()).__name__ in {"Column", "Literal"}


def _compares_lengths(name: str, values: list[Any]) -> bool:
    """Return whether a date is compared with one that has a time, so that the shorter text decides at midnight."""
    if not any(is_kind(value, "date", "timestamp") for value in values):
        return False
    written = [value.name for value in values if is_text_literal(value)]
    if any(not re.fullmatch(_MOMENT, text) and re.match(r"\d{4}-\d", text) for text in written):
        return True  # as '2024-1-31', '2024-01-31T10:20' or '2024-01-31 10:20:30.000'
    lengths = [_letters(value) for value in values]
    if None in lengths or len(set(lengths)) == 1:
        return False
    same = SAME_BESIDE_LONGER if lengths[0] == DATE_LETTERS else SAME_BESIDE_SHORTER
    return name not in same


_MOMENT = r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?"
"""A date or a time as SQLite's own functions write it, and so all of a column."""


def _letters(node: Any) -> int | None:
    """Return how many letters a date has, with or without a time; None for what is neither."""
    if is_text_literal(node):
        return len(node.name) if len(node.name) in {DATE_LETTERS, TIME_LETTERS} else None
    return {"date": DATE_LETTERS, "timestamp": TIME_LETTERS}.get(kind(node))
