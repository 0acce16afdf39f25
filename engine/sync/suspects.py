"""Tell which rules over several rows can be broken at all, where there are few rows to compare.

Most runs have a few rows that differ, and no two of them alike. A rule over several rows takes several statements, each
of which costs more than such rows do; so the rows are looked at here first, and the statements of the other rules are
not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.mapping.engine_sql import render_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.state.store import State

MAX_ROWS = 1_000
"""Up to so many rows are looked at."""

Unique = tuple[str, str, str]
"""A column, the rule that a repeated value breaks (or an empty text), and the rule that a similar one breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """Rules over several rows, by the columns that they look at.

    ``unique`` are the columns whose values must be unique, ``titled`` tells that titles must be. Of the option columns
    ``missing`` are those that all variants of a product have or none, ``similar`` those whose values within a product
    must differ in more than their spelling; ``repeated_options`` tells that no two variants of a product may have the
    same ones. ``differing`` tells that variants of a product are to be looked at for different product fields.
    """

    unique: tuple[Unique, ...]
    titled: bool
    missing: tuple[str, ...]
    similar: tuple[str, ...]
    repeated_options: bool
    differing: bool


def narrow_rules(state: State, rules: RowRules) -> RowRules:
    """Those of ``rules`` that a row of ``run.compared`` may break; all of them where there are many rows."""
    columns = dict.fromkeys(column for column, _, _ in rules.unique)
    columns |= dict.fromkeys([*(["title"] if rules.titled else []), *rules.missing, *rules.similar])
    rows = state.dicts(render_sql("suspects.sql", columns=list(columns), most=MAX_ROWS))
    if len(rows) > MAX_ROWS:
        return rules
    groups = [row["_group"] for row in rows]
    options = [[row[option] for option in rules.similar] for row in rows]
    titles = {(row["folded title"], row["_group"]) for row in rows if row["title"] is not None} if rules.titled else ()
    return RowRules(
        unique=tuple(each for each in rules.unique if _is_repeated(rows, each)),
        titled=_has_twins([title for title, _ in titles]),
        missing=tuple(option for option in rules.missing if _is_partly_there(rows, option)),
        similar=tuple(option for option in rules.similar if _is_spelt_twice(rows, option)),
        repeated_options=rules.repeated_options and _has_twins([(g, *o) for g, o in zip(groups, options, strict=True)]),
        differing=rules.differing
        and _has_twins([group for group, _ in {(row["_group"], row["_shared"]) for row in rows}]),
    )


def _has_twins(values: Sequence[object]) -> bool:
    return len(set(values)) < len(values)


def _is_repeated(rows: Sequence[dict[str, Any]], unique: Unique) -> bool:
    column, repeated, _ = unique
    values = [row[column] for row in rows if row[column] is not None]
    folded = {row[f"folded {column}"] for row in rows if row[column] is not None}
    return len(folded) < len(values if repeated else set(values))


def _is_partly_there(rows: Sequence[dict[str, Any]], option: str) -> bool:
    """Whether some variants of a product have the option and others have not."""
    return _has_twins([group for group, _ in {(row["_group"], row[option] is None) for row in rows}])


def _is_spelt_twice(rows: Sequence[dict[str, Any]], option: str) -> bool:
    """Whether a product has two values of the option that differ in their spelling only."""
    spelt = {(row["_group"], row[option], row[f"folded {option}"]) for row in rows}
    return _has_twins([(group, folded) for group, _, folded in spelt])
