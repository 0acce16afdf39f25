"""Measure what a change to a mapping does to the rows: run both mappings over them, and count what differs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.errors import ConfigError, QueryError, located_messages
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES, masked, unmasked
from engine.model.plan import Counts
from engine.model.settings import Limit
from engine.review.model import SENT_SUFFIX, ChangeBand, ColumnImpact, HeldRow, Impact, NumberRange, Sample
from engine.sync import diff
from engine.sync import journal as acknowledge
from engine.sync.data_tests import run_data_tests
from engine.sync.documents import Documents
from engine.sync.guard import find_violations
from engine.sync.rules import RULES
from engine.sync.stage import load_window, windows
from engine.testing.fixture_run import SYNC_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.query import Query
    from engine.model.settings import PriceSettings
    from engine.review.rows import RowSource
    from engine.state.store import State
    from engine.sync.compare import Comparison
    from engine.sync.layout import StagingLayout

MAX_SAMPLES = 5
"""How many example rows a review shows for each kind of change and for each column."""

NUMERIC_TYPES = frozenset({"number", "integer", "prices"})
"""Types of fields whose change has a size: prices and quantities."""

BAND_ENDS_PERCENT = (None, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, None)
"""Where the bands end into which changes of a number are counted; None is without an end."""

REVIEWED_TYPES = NUMERIC_TYPES | {"boolean", "flag", "code"}
REVIEWED_FIELDS = frozenset({"email", "price_tier", "qty_availability", "variants.barcode"})
"""Fields whose change somebody must agree to: prices, quantities, flags, keys, and what a customer may see."""


@dataclass(frozen=True, slots=True)
class _Range:
    """How far the numbers of one column change."""

    percent: NumberRange
    largest: Sample
    distribution: tuple[ChangeBand, ...]


def measure_impact(rows: RowSource, old: Query | None, new: Query, *, reveal: bool) -> tuple[Impact, tuple[str, ...]]:
    """Run the old mapping, record it as acknowledged, and compare the new one with it.

    Gives the impact, and the messages of data tests that do not run.
    """
    notes: tuple[str, ...] = ()
    with rows.state() as state:
        before = Counts(**{each.name: 0 for each in fields(Counts)})
        state.run("create table run.held_before (key varchar)")
        if old is not None and rows.before is not None:
            try:
                comparison = rows.compare(state, rows.before, old)
            except (ConfigError, QueryError) as error:
                reason = (
                    "; ".join(each.message for each in error.diagnostics) if isinstance(error, ConfigError) else error
                )
                notes = (f"The mapping as it was does not run on these rows, so all of them count as new: {reason}",)
            else:
                before = comparison.counts
                state.run("insert into run.held_before select distinct key from run.violation")
                diff.diff_columns(state, comparison.staged)
                acknowledge.acknowledge_all(
                    state, comparison.staged, delivery_key=comparison.settings.delivery_key(SYNC_TOKEN)
                )
        comparison = rows.compare(state, rows.now, new)
        wrong: tuple[str, ...] = ()
        stops = []
        try:
            with rows.data_test_limits(state):
                failed = run_data_tests(state, rows.now, comparison.staged, live=rows.live)
        except ConfigError as error:
            wrong = located_messages(error, rows.now.workspace)
        else:
            stops += [test.message for test in failed if test.severity == "error"]
            notes += tuple(f"A warning only: {test.message}" for test in failed if test.severity == "warning")
        stops += _violated_guards(comparison, project=rows.now.name, live=rows.live)
        impact = _summarize(state, comparison, before=before, reveal=reveal, stops=stops, notes=(*rows.notes, *notes))
        was = rows.before.entities.get(rows.entity) if rows.before is not None else None
        if was is not None and was.prices != comparison.settings.prices:
            sent = _prices_as_sent(state, comparison, before=was.prices)
            impact = replace(impact, columns=(*impact.columns, *sent))
        return impact, wrong


def _violated_guards(comparison: Comparison, *, project: str, live: bool) -> Iterator[str]:
    """The messages of the guards that would stop a run.

    A few fixtures stand for all rows, so for them a limit is only its share: its floor, a limit in rows and
    ``min_rows`` say nothing about a sample.
    """
    settings = comparison.settings
    if not live:
        deletes, changes = (Limit(share=limit.share, floor=0) for limit in (settings.max_deletes, settings.max_changes))
        settings = replace(settings, max_deletes=deletes, max_changes=changes, min_rows=0)
    for violation in find_violations(comparison.counts, settings, project=project):
        yield violation.message if live else f"On the fixtures: {violation.message}"


def _prices_as_sent(state: State, comparison: Comparison, *, before: PriceSettings) -> tuple[ColumnImpact, ...]:
    """The prices that are sent otherwise than under the settings ``before``, though the view gives the same ones."""
    layout, after = comparison.staged.layout, comparison.settings.prices
    prices = [each for each in layout.fields if each.role in {"price", "prices", "tier"}]
    if not prices:
        return ()
    default_tiers = {before.default_tier, after.default_tier}
    default = [each.name for each in prices if each.role != "tier" or each.placeholder_value in default_tiers]
    sides = [
        (side, Documents(layout=layout, source_id=0, sync_token=SYNC_TOKEN, prices=settings).sql().rstrip().rstrip(";"))
        for side, settings in (("before", before), ("after", after))
    ]
    state.run(
        "create or replace table run.sent_price (position bigint, column_name varchar, before varchar, after varchar,"
        " sku varchar, label varchar)"
    )
    columns = [each.name for each in prices]
    sql = render_sql("sent_prices.sql", sides=sides, columns=columns, default_columns=default, **_naming(layout))
    for window in windows(state, comparison.staged):
        load_window(state, layout, window)
        state.run(sql, window.bounds)
    return tuple(
        ColumnImpact(
            column=f"{column}{SENT_SUFFIX}",
            rows=rows,
            blanked=blanked,
            samples=tuple(
                Sample(key=key, sku=sku, label=label, before=was, after=will)
                for key, sku, label, was, will in state.rows(
                    "select outgoing._key, price.sku, price.label, price.before, price.after"
                    " from run.sent_price as price join run.outgoing as outgoing using (position)"
                    " where price.column_name = $name order by position limit $limit",
                    {"name": column, "limit": MAX_SAMPLES},
                )
            ),
            reviewed=True,
        )
        for column, rows, blanked in state.rows(
            "select column_name, count(*), count(*) filter (where after is null) from run.sent_price"
            " group by column_name order by column_name"
        )
    )


def _naming(layout: StagingLayout) -> dict[str, str | None]:
    """The columns that say what a row is called: its title (``label``) and its SKU, None where they are not mapped."""
    names = {each.name for each in layout.fields}
    return {
        "label": "title" if "title" in names else None,
        "sku": "variants.sku" if "variants.sku" in names else None,
    }


def _must_be_reviewed(entity: str, column: str) -> bool:
    field = ENTITIES[entity].resolve(column)
    return field is not None and (field.type in REVIEWED_TYPES or field.name in REVIEWED_FIELDS)


def _summarize(
    state: State, comparison: Comparison, *, before: Counts, reveal: bool, stops: Sequence[str], notes: Sequence[str]
) -> Impact:
    """The compared rows as numbers and examples."""
    layout, entity = comparison.staged.layout, comparison.entity
    displayed = unmasked if reveal else masked
    naming = _naming(layout)
    samples: dict[tuple[str, str], list[Sample]] = {}
    diff.diff_columns(state, comparison.staged, replaced=True)
    for sort, what, key, sku, name, old, new in state.rows(
        render_sql("impact.sql", **layout.tables, **naming, limit=MAX_SAMPLES)
    ):
        if sort == "update":
            before_text, after_text = displayed(entity, what, old), displayed(entity, what, new)
            found = Sample(key=key, sku=sku, label=name, before=before_text, after=after_text)
            samples.setdefault((sort, what), []).append(found)
        else:
            samples.setdefault((sort, ""), []).append(Sample(key=key, sku=sku, label=name, cause=what))
    columns = state.rows(
        "select column_name, count(*), count(*) filter (where new is null) from run.difference"
        " group by column_name order by 2 desc, 1"
    )
    numeric = [each.name for each in layout.fields if each.type in NUMERIC_TYPES]
    bands = tuple(pairwise(BAND_ENDS_PERCENT))
    ranges = {
        column: _Range(
            percent=NumberRange(lowest=lowest, highest=highest),
            largest=Sample(
                key=key,
                sku=sku,
                label=name,
                before=displayed(entity, column, old),
                after=displayed(entity, column, new),
            ),
            distribution=tuple(
                ChangeBand(lowest=low, highest=high, rows=count)
                for (low, high), count in zip(bands, counts, strict=True)
            ),
        )
        for column, lowest, highest, counts, key, sku, name, old, new in (
            state.rows(render_sql("ranges.sql", **layout.tables, **naming, columns=numeric, bands=bands))
            if numeric
            else ()
        )
    }
    fresh = "from run.violation where coalesce(key, '') not in (select coalesce(key, '') from run.held_before)"
    gone = "from run.held_before where coalesce(key, '') not in (select coalesce(key, '') from run.violation)"
    return Impact(
        before=before,
        after=comparison.counts,
        columns=tuple(
            ColumnImpact(
                column=name,
                rows=count,
                blanked=blank,
                samples=tuple(samples.get(("update", name), ())),
                percent=ranges[name].percent if name in ranges else None,
                largest=ranges[name].largest if name in ranges else None,
                distribution=ranges[name].distribution if name in ranges else (),
                reviewed=_must_be_reviewed(entity, name),
            )
            for name, count, blank in columns
        ),
        inserted=tuple(samples.get(("insert", ""), ())),
        removed=tuple(samples.get(("delete", ""), ())),
        moved=tuple(samples.get(("replace", ""), ())),
        unsynced=tuple(samples.get(("unsynced", ""), ())),
        ignored=int(state.value(render_sql("newly_ignored.sql", **layout.tables))),
        quarantined=int(state.value(f"select count(distinct coalesce(key, '')) {fresh}")),
        released=int(state.value(f"select count(*) {gone}")),
        held=tuple(
            HeldRow(
                key=key,
                sku=sku,
                label=title,
                group=product,
                column=column,
                rule=rule,
                value=displayed(entity, column, value),
                reason=RULES[rule].reason,
            )
            for key, product, column, rule, value, sku, title in state.rows(
                render_sql("quarantined.sql", **naming, limit=MAX_SAMPLES)
            )
        ),
        freed=tuple(
            Sample(key=key or "(no code)", sku=sku, label=title)
            for key, sku, title in state.rows(render_sql("released.sql", **naming, limit=MAX_SAMPLES))
        ),
        stops=tuple(stops),
        notes=tuple(notes),
    )
