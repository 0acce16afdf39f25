"""Find rows that break a rule; quarantine them.

The rules are data: a severity, the reason in words, and what to do. The conditions are SQL, in ``sql/land.sql`` for a
row by itself and in ``sql/validate.sql`` for rows among others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.model.plan import Problem
from engine.sync.rules import ERRORS, RULES

if TYPE_CHECKING:
    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.layout import Staged


def validate(state: State, staged: Staged, *, settings: EntitySettings) -> None:
    """Fill ``run.violation`` and ``run.warning`` from what landed."""
    layout = staged.layout
    unique = [(column, rule) for column, rule in layout.entity.unique if layout.has(column)]
    wanted = {*layout.options, *(column for column, _ in unique)}
    state.run_with_retry(
        render_sql(
            "validate.sql",
            **layout.tables,
            fast=staged.fast,
            key=layout.entity.key,
            group=layout.entity.group,
            compared=[field for field in layout.fields if field.name in wanted],
            unique_columns=[column for column, _ in unique],
            unique_rules=unique,
            options=layout.options,
            guarded_options=not settings.linked or bool(layout.options),
            shared=layout.shared,
            shared_fingerprint=layout.shared_fingerprint,
            errors=ERRORS,
        )
    )


def problems(
    state: State, entity: str, table: Literal["violation", "warning"], *, limit: int | None, reveal: bool = False
) -> tuple[Problem, ...]:
    """The violations or warnings of this run, by rule and key; at most ``limit`` of each rule.

    Personal data is masked unless ``reveal`` is asked for.
    """
    shown = unmasked if reveal else masked
    found = state.rows(render_sql("problems.sql", table=table, limit=limit))
    return tuple(
        Problem(
            key=key,
            group=group,
            column=column,
            rule=rule,
            value=shown(entity, column, value),
            reason=RULES[rule].reason,
        )
        for key, group, column, rule, value in found
    )


def by_rule(state: State, table: Literal["violation", "warning"]) -> dict[str, int]:
    """How many rows break each rule."""
    return dict(
        state.rows(
            f"select rule, count(distinct (key, raw)) from run.{table} group by rule order by rule"  # noqa: S608 - one of two names
        )
    )
