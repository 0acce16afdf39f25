"""What a reader of a review must agree to before the change is merged, and the verdict in three words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from engine.review.samples import item_name, sample_values
from engine.text import plural, short

if TYPE_CHECKING:
    from engine.review.model import ColumnImpact, EntityReview, FileChange, Impact, Review, SettingChange

Verdict = Literal["safe to merge", "read this first", "a run would stop"]

REMOVED_PROJECT = (
    "The client is not in the workspace any more: nothing is synced for it, no order is raised, and what Stock2Shop"
    " holds of it stays as it is."
)

RENAMED_PROJECT = "If it was only renamed, rename its state files with it; without them everything counts as new."

NEW_PROJECT = "This client is new: everything counts as new, and is sent for the first time."

NO_DECISIONS = {
    "fixtures": "On the fixtures no row is removed or quarantined, and no price, quantity, flag or key changes. The"
    " client's own rows may differ: --live looks at all of them.",
    "live": "No row is removed or quarantined, no price, quantity, flag or key changes, and no guard would stop a run.",
    "none": "There are no fixtures, so what happens to rows is not known.",
}
"""What a review without decisions says, by its rows. Only live rows can tell that no run would stop."""


def verdict(reviewed: Review) -> Verdict:
    """Whether the change can be merged without reading further.

    - ``a run would stop``: a view, test or statement does not run, or a guard or data test would stop a run.
    - ``safe to merge``: nothing changes.
    - ``read this first``: everything else.
    """
    stops = any(each.impact is not None and each.impact.stops for each in reviewed.entities)
    if not reviewed.runs or stops or any(each.stops for each in reviewed.setting_changes):
        return "a run would stop"
    return "read this first" if reviewed.changed else "safe to merge"


def decisions(reviewed: Review) -> list[str]:
    """Sentences on what the reader must agree to.

    They say what does not run, what would stop a run, which rows are new, removed, moved, quarantined or no longer
    synced, each change of a price, a quantity, a flag, a key, or of what a customer sees, and each setting and file
    that changes what a run does. Keys and values in them are as they are: a printer has to escape them.
    """
    if reviewed.gone:
        return [REMOVED_PROJECT, RENAMED_PROJECT]
    sentences = [f"This is wrong: {fault}" for fault in reviewed.faults]
    sentences += [
        f"{each.file}: the next run would stop. {each.stops}" for each in reviewed.setting_changes if each.stops
    ]
    for each in reviewed.entities:
        name = each.entity.capitalize()
        sentences += [f"{failure_heading(each)}: {fault}" for fault in each.faults]
        if not (each.mapping or each.faults):
            sentences.append(f"{name} are no longer synced. What Stock2Shop holds of them stays as it is.")
            continue
        sentences += [
            f"{name}: {change.field} is no longer mapped."
            for change in each.fields
            if change.kind == "removed" and not reviewed.new
        ]
        if each.impact is None:
            continue
        sentences += [f"{name}: a run would be stopped before anything is sent. {stop}" for stop in each.impact.stops]
        if not reviewed.new:
            sentences += _row_decisions(each.entity, each.impact)
            sentences += [
                f"{name}: {_column_decision(column, each.impact)}"
                for column in each.impact.columns
                if column.reviewed or column.blanked
            ]
    sentences += map(_setting_decision, reviewed.setting_changes)
    return sentences + [_file_decision(each) for each in reviewed.file_changes if not reviewed.new]


def no_decisions(reviewed: Review) -> str:
    """What can be said of a review without decisions."""
    if reviewed.new:
        return NEW_PROJECT
    return NO_DECISIONS[reviewed.rows] if reviewed.changed and not reviewed.shared else "Nothing changes."


def failure_heading(each: EntityReview) -> str:
    """The words that introduce a fault of an entity."""
    return f"A data test of {each.entity} does not run" if each.impact else f"{each.entity.capitalize()} do not run"


def _setting_decision(change: SettingChange) -> str:
    """Such as: project.toml: products.min_rows changes from 1, the default, to 5. Fewer rows … stop the run."""
    before, after = (None if value is None else short(value) for value in (change.before, change.after))
    if not (before or after):
        words = "is gone" if change.after is None else "is new"
    elif before == after:
        words = "changes in what is masked"
    elif before is None:
        words = f"is {after}"
    elif after is None:
        words = f"is no longer set; it was {before}"
    else:
        words = f"changes from {before}{',' if before.endswith('default') else ''} to {after}"
    return f"{change.file}: {change.name} {words}. {change.effect}"


FILE_EFFECTS = {
    "orders/": "It says what is written to the client's database when an order is raised.",
    "tests/": "A run is stopped, or warned of, by its data tests.",
    "": "It is a part of what runs render, and what it comes to in a live run is not all shown by fixtures.",
}
"""What a change of a file does, by how its path begins."""


def _file_decision(change: FileChange) -> str:
    """Such as: tests/free.sql is gone. A run is stopped, or warned of, by its data tests."""
    words = {"new": "is new", "changed": "changes", "gone": "is gone"}[change.kind]
    effect = next(effect for begin, effect in FILE_EFFECTS.items() if change.path.startswith(begin))
    return f"{change.path} {words}. {effect}"


def _row_decisions(entity: str, impact: Impact) -> list[str]:
    moved = impact.sent_otherwise
    counted = [
        (impact.inserts, "is new in Stock2Shop", "are new in Stock2Shop"),
        (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
        (
            impact.unsent_removals,
            "is marked Delete where it was not sent: its removal is sent all the same",
            "are marked Delete where they were not sent: their removal is sent all the same",
        ),
        (
            impact.after.replaced,
            "is removed and created again: its product is another one, or turns variable or simple",
            "are removed and created again: their product is another one, or turns variable or simple",
        ),
        (
            impact.after.resends,
            f"is sent again, {'with another price' if moved else 'without a change'}",
            f"are sent again, {'some of them with other prices' if moved else 'without a change'}",
        ),
        (impact.quarantined, "is newly held back", "are newly held back"),
        (
            impact.ignored,
            "is ignored by its flag from now on: what Stock2Shop holds of it stays as it is",
            "are ignored by their flag from now on: what Stock2Shop holds of them stays as it is",
        ),
        (
            impact.after.retained,
            "is gone from the view and kept: what Stock2Shop holds of it stays as it is",
            "are gone from the view and kept: what Stock2Shop holds of them stays as it is",
        ),
        (
            impact.after.withheld,
            "is gone from the view and not removed, since a row without a code may be it",
            "are gone from the view and not removed, since rows without a code may be they",
        ),
    ]
    return [
        f"{count:,} {plural(count, 'row')} of {entity} {one if count == 1 else many}."
        for count, one, many in counted
        if count > 0
    ]


def _column_decision(column: ColumnImpact, impact: Impact) -> str:
    """Such as: csv_price_tiers changes in 2 of 3 rows, by +5 % to +100 %. The largest: A1 Hammer, 99.5 → 199."""
    if not column.reviewed:
        return f"{column.column} becomes blank in {column.blanked:,} {plural(column.blanked, 'row')}."
    total = impact.after.source
    text = f"{column.column} changes in {column.rows:,} of {total:,} {plural(total, 'row')}"
    if column.percent is not None:
        bounds = dict.fromkeys(f"{bound:+,.4g} %" for bound in (column.percent.lowest, column.percent.highest))
        text += f", by {' to '.join(bounds)}"
    if column.blanked:
        text += f"; in {column.blanked:,} of them to blank"
    example = column.largest or next(iter(column.samples), None)
    if example is None:
        return f"{text}."
    before, after = (short(value) for value in sample_values(example))
    return f"{text}. {'The largest' if column.largest else 'Such as'}: {item_name(example)}, {before} → {after}."


def review_json(review: Review) -> dict[str, Any]:
    """A review for machines; names and meanings as in :class:`Review`."""
    values = {**asdict(review), "verdict": verdict(review), "decisions": decisions(review)}
    for entity, entity_values in zip(review.entities, values["entities"], strict=True):
        if entity.impact is not None:
            entity_values["impact"]["freed"] = [row.key for row in entity.impact.freed]
    return values
