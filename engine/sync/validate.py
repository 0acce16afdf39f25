"""Find the staged rows that break a rule.

In: the rows in ``run.landed``. Out: ``run.violation`` and ``run.warning``, one row for each rule and column that a row
breaks. What the rules are is in :mod:`engine.sync.rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.model.plan import Problem
from engine.sync.clearing import find_unclearable
from engine.sync.email_addresses import find_malformed_emails
from engine.sync.layout import STAGING_TYPES
from engine.sync.rules import ERRORS, RULES
from engine.sync.suspects import MAX_ROWS, RowRules, narrow_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.layout import Staged


def validate(state: State, staged: Staged, *, settings: EntitySettings) -> None:
    """Fill ``run.violation`` and ``run.warning`` from what landed, and make the staged rows what would be sent.

    1. Find what a row breaks by itself, and the rows to compare it with.
    2. Find which of the rules over several rows may be broken, and by which rows.
    3. Have the variants of a product agree: they are sent with the product fields of one of them, and unchanged rows
       whose product is now sent with other values are staged as well. A data test, the delta and the documents all see
       the rows as they are sent.
    """
    layout = staged.layout
    emails = [field.name for field in layout.fields if field.type == "email"]
    if emails:
        find_malformed_emails(state, emails)
    unclearable = find_unclearable(layout, settings)

    def find_faults() -> bool:
        differing = _find_faults_of_several_rows(state, staged, settings=settings, emails=emails)
        state.run(
            render_sql(
                "violations.sql",
                **layout.tables,
                entity=layout.entity.name,
                in_doubt=staged.in_doubt,
                unclearable=unclearable,
                errors=ERRORS,
            )
        )
        return differing

    if state.with_retry(find_faults):
        _apply_sent_values(state, staged)


def _find_faults_of_several_rows(
    state: State, staged: Staged, *, settings: EntitySettings, emails: Sequence[str]
) -> bool:
    """Fill ``run.fault`` with what rows break by themselves and together; whether variants of a product differ."""
    layout = staged.layout
    entity = layout.entity
    few = staged.landed <= MAX_ROWS
    unique = [
        ("_key", "", "similar_key"),
        *([("_group", "", "similar_value")] if entity.group else []),
        *((column, repeated, similar) for column, repeated, similar in entity.unique if layout.has(column)),
    ]
    titled = entity.group is not None and layout.has("title")
    alike = [*(column for column, _, _ in unique), *(["title"] if titled else [])]
    options = layout.options if entity.group else ()
    overridden = bool(
        layout.shared
        and staged.incremental
        and state.value(render_sql("has_overridden.sql", published=layout.published))
    )
    values: dict[str, Any] = {
        "published": layout.published,
        "incremental": staged.incremental,
        "overridden": overridden,
        "shared": layout.shared,
        "shared_fingerprint": layout.shared_fingerprint,
    }
    wanted = {*alike, *options}
    state.run(
        render_sql(
            "validate.sql",
            **values,
            few=few,
            key=entity.key,
            alike=alike,
            compared=[field for field in layout.fields if field.name in wanted],
            email_columns=emails,
            types=STAGING_TYPES,
        )
    )
    rules = RowRules(
        unique=tuple(unique),
        titled=titled,
        missing=options,
        similar=options,
        repeated_options=bool(entity.group) and (not settings.linked or bool(options)),
        differing=bool(layout.shared),
    )
    if few:
        rules = narrow_rules(state, rules)
    differing = overridden or rules.differing
    state.run(
        render_sql(
            "several_rows.sql",
            **values,
            rules=rules,
            names={"_key": entity.key, "_group": entity.group},
            options=options,
            group=entity.group,
            differing=differing,
        )
    )
    if differing and state.value("select count(*) from run.differing_product"):
        state.run(render_sql("differing.sql", **values))
        return True
    return False


def _apply_sent_values(state: State, staged: Staged) -> None:
    layout = staged.layout
    sql = render_sql(
        "as_sent.sql",
        published=layout.published,
        incremental=staged.incremental,
        fields=layout.fields,
        shared=layout.shared,
        fingerprint=layout.fingerprint,
        shared_fingerprint=layout.shared_fingerprint,
    )
    state.transaction_with_retry(lambda: state.run(sql))


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


def count_by_rule(state: State, table: Literal["violation", "warning"]) -> dict[str, int]:
    """How many rows break each rule."""
    return dict(
        state.rows(
            f"select rule, count(distinct (key, raw)) from run.{table} group by rule order by rule"  # noqa: S608 - one of two names
        )
    )
