"""Find the staged rows that break a rule.

In: the rows in ``run.landed``. Out: ``run.violation`` and ``run.warning``, one row for each rule and column that a row
breaks. What the rules are is in :mod:`engine.sync.rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.mapping.engine_sql import render_sql
from engine.model.fields import masked, unmasked
from engine.model.plan import Problem
from engine.sync.clearing import find_unclearable
from engine.sync.email_addresses import find_malformed_emails
from engine.sync.layout import STAGING_TYPES
from engine.sync.rules import ERRORS, RULES

if TYPE_CHECKING:
    from engine.model.settings import EntitySettings
    from engine.state.store import State
    from engine.sync.layout import Staged, StagingLayout


def validate(state: State, staged: Staged, *, settings: EntitySettings) -> None:
    """Fill ``run.violation`` and ``run.warning`` from what landed."""
    layout = staged.layout
    entity = layout.entity
    own = [(column, repeated, similar) for column, repeated, similar in entity.unique if layout.has(column)]
    codes = [("_key", "", "similar_key"), *([("_group", "", "similar_value")] if entity.group else [])]
    titled = entity.group is not None and layout.has("title")
    wanted = {*layout.options, *(column for column, _, _ in own), *(["title"] if titled else [])}
    emails = [field.name for field in layout.fields if field.type == "email"]
    if emails:
        find_malformed_emails(state, emails)
    rows = render_sql(
        "validate.sql",
        **layout.tables,
        types=STAGING_TYPES,
        incremental=staged.incremental,
        key=entity.key,
        group=entity.group,
        compared=[field for field in layout.fields if field.name in wanted],
        unique=[*codes, *own],
        titled=titled,
        names={"_key": entity.key, "_group": entity.group},
        email_columns=emails,
        options=layout.options,
        guarded_options=not settings.linked or bool(layout.options),
        shared=layout.shared,
        shared_fingerprint=layout.shared_fingerprint,
    )
    violations = render_sql(
        "violations.sql",
        **layout.tables,
        entity=entity.name,
        in_doubt=staged.in_doubt,
        unclearable=find_unclearable(layout, settings),
        errors=ERRORS,
    )

    def find_faults() -> None:
        state.run(rows)
        if _has_differing_variants(state, layout):
            state.run(render_sql("differing.sql", shared=layout.shared))
        state.run(violations)

    state.with_retry(find_faults)


def _has_differing_variants(state: State, layout: StagingLayout) -> bool:
    return bool(layout.shared and state.value("select count(*) from run.differing_variant"))


def apply_sent_values(state: State, staged: Staged) -> None:
    """Make the staged rows what would be sent: with the product fields of the variant that speaks for its product.

    Unchanged rows whose product is now sent with other values are staged as well. Call it once, after
    :func:`validate`; a data test, the delta and the documents all see the rows as they are sent.
    """
    layout = staged.layout
    if not _has_differing_variants(state, layout):
        return
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
