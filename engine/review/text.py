"""Reviews as sentences: the text for a terminal, and the lists and summaries that Markdown and HTML show as well."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.text import WIDTH, plural, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import ColumnImpact, EntityReview, Impact, Review, Sample

TERMINAL_WIDTH = 80
"""The width in letters that text is wrapped to."""

MAX_NAMES = 30
"""How many names of projects a list shows."""

CONTEXT_LETTERS = 24
"""How many letters are shown before and behind the part of an expression that has changed."""

ROWS_DESCRIPTION = {
    "fixtures": "worked out on the fixtures",
    "live": "worked out on the rows of the live source",
    "none": "without fixtures only the SQL and the mapping are compared",
}

REMOVED_PROJECT = (
    "The client is not in the workspace any more: nothing is synced for it, no order is raised, and what Stock2Shop"
    " holds of it stays as it is."
)

RENAMED_PROJECT = "If it was only renamed, rename its state files with it; without them everything counts as new."

NEW_PROJECT = "This client is new: everything counts as new."


def impact_sentence(impact: Impact, noun: str) -> str:
    """One sentence on what a change does to the rows of an entity, whose name is ``noun``."""
    parts = _row_changes(impact)
    if not parts:
        return f"None of the {impact.after.source:,} rows of {noun} changes."
    return f"On {max(impact.after.source, impact.before.source):,} rows of {noun}: {', '.join(parts)}."


def _row_changes(impact: Impact) -> list[str]:
    sentences = [
        (impact.inserts, "is new", "are new"),
        (impact.after.updates, "changes", "change"),
        (impact.after.replaced, "is moved to another product", "are moved to another product"),
        (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
        (impact.quarantined, "is newly held back", "are newly held back"),
        (impact.released, "is no longer held back", "are no longer held back"),
        (impact.after.ignored - impact.before.ignored, "more is ignored", "more are ignored"),
        (impact.before.ignored - impact.after.ignored, "fewer is ignored", "fewer are ignored"),
    ]
    return [f"{count:,} {one if count == 1 else many}" for count, one, many in sentences if count > 0]


def review_summary(reviewed: Review) -> str:
    """One line on what changes for a client."""
    if reviewed.gone:
        return "no longer in the workspace"
    parts = []
    for each in reviewed.entities:
        if each.impact is None:
            sentences = "does not run" if each.faults else "another mapping" if each.changed else ""
        else:
            sentences = ", ".join(_row_changes(each.impact)) or (
                "another mapping, no row changes" if each.changed else ""
            )
        if sentences:
            parts.append(f"{each.entity}: {sentences}")
    if reviewed.settings:
        parts.append("settings")
    if reviewed.orders:
        parts.append("order statements")
    if reviewed.faults:
        parts.append("faulty")
    return ("new client; " if reviewed.new else "") + ("; ".join(parts) or "nothing changes")


def decisions(reviewed: Review) -> list[str]:
    """Sentences on what the reader must agree to: what does not run, is stopped, lost or quarantined."""
    if reviewed.gone:
        return [REMOVED_PROJECT, RENAMED_PROJECT]
    sentences = [f"This is wrong: {fault}" for fault in reviewed.faults]
    for each in reviewed.entities:
        noun, impact = each.entity, each.impact
        sentences += [f"{failure_heading(each)}: {fault}" for fault in each.faults]
        sentences += [
            f"{noun.capitalize()}: {change.field} is no longer mapped."
            for change in each.fields
            if change.kind == "removed" and not reviewed.new
        ]
        if impact is None:
            continue
        sentences += [
            f"{noun.capitalize()}: a run would be stopped before anything is sent. {stop}" for stop in impact.stops
        ]
        if reviewed.new:
            continue
        counted = [
            (impact.inserts, "is new in Stock2Shop", "are new in Stock2Shop"),
            (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
            (impact.quarantined, "is newly held back", "are newly held back"),
            (impact.after.ignored - impact.before.ignored, "more is ignored", "more are ignored"),
        ]
        sentences += [
            f"{count:,} {plural(count, 'row')} of {noun} {one if count == 1 else many}."
            for count, one, many in counted
            if count > 0
        ]
        sentences += [
            f"{noun.capitalize()}: {column.column} becomes blank in {column.blanked:,} {plural(column.blanked, 'row')}."
            for column in impact.columns
            if column.blanked
        ]
    return sentences


def failure_heading(each: EntityReview) -> str:
    """The words that introduce a fault of an entity."""
    return f"A data test of {each.entity} does not run" if each.impact else f"{each.entity.capitalize()} do not run"


def review_text(reviewed: Review) -> str:
    """One review as text for a terminal."""
    if reviewed.gone:
        lines = [f"{reviewed.project} · against {reviewed.against}", *_wrap(REMOVED_PROJECT), *_wrap(RENAMED_PROJECT)]
    else:
        lines = [f"{reviewed.project} · against {reviewed.against} · {ROWS_DESCRIPTION[reviewed.rows]}"]
    if not reviewed.changed:
        return "\n".join([*lines, "  Nothing changes."])
    if reviewed.new:
        lines.append(f"  {NEW_PROJECT}")
    for note in reviewed.notes:
        lines += _wrap(f"note: {note}")
    for fault in reviewed.faults:
        lines += _wrap(f"WRONG: {fault}")
    for each in reviewed.entities:
        if each.changed:
            lines += ["", each.entity, *_entity_text(each)]
    for title, diff in (("settings", reviewed.settings), ("order statements", reviewed.orders)):
        if diff:
            lines += ["", title, *(f"  {line}" for line in diff.splitlines())]
    return "\n".join(lines)


def reviews_text(reviews: Sequence[Review]) -> str:
    """Reviews as text for a terminal; several begin with a summary of one line each."""
    texts = [review_text(each) for each in reviews]
    if len(reviews) > 1:
        lines = [line for each in reviews for line in _wrap(f"{each.project}: {review_summary(each)}")]
        texts = ["\n".join([f"{len(reviews)} clients change.", *lines]), *texts]
    return "\n\n".join(texts)


def _wrap(text: str) -> list[str]:
    """A sentence wrapped into lines, without breaking words or paths."""
    return textwrap.wrap(
        text,
        TERMINAL_WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _entity_text(each: EntityReview) -> list[str]:
    lines = []
    for fault in each.faults:
        lines += _wrap(f"{'A DATA TEST DOES NOT RUN' if each.impact else 'DOES NOT RUN'}: {fault}")
    impact = each.impact
    if impact is not None:
        lines += _wrap(impact_sentence(impact, each.entity))
        for stop in impact.stops:
            lines += _wrap(f"STOPS A RUN: {stop}")
        for column in impact.columns:
            lines.append(f"  ~ {column.column}: {column.rows:,} {plural(column.rows, 'row')}{blanked_text(column)}")
            for row in column.samples:
                before, after = sample_values(row)
                lines.append(f"      {sample_name(row)}  {short(before)} → {short(after)}")
        for sign, title, rows, count in transitions(impact):
            if count:
                lines.append(f"  {sign} {title}: {count:,}")
                lines += [f"      {sample_name(row)}{sample_cause(row)}" for row in rows]
        lines += [
            f"  ! held back: {row.key or '(no code)'}  {row.column}: {short(row.value)}: {row.reason}"
            for row in impact.held
        ]
        if impact.released:
            lines.append(
                f"  no longer held back: {', '.join(impact.freed)}{remainder_text(impact.released, impact.freed)}"
            )
        for note in impact.notes:
            lines += _wrap(f"note: {note}")
    if each.fields:
        lines.append("  fields")
        signs = {"added": "+", "removed": "-", "fed by something else": "~"}
        for change in each.fields:
            parts = [short(part) for part in changed_part(change.before, change.after) if part]
            lead = f"    {signs[change.kind]} {change.field}:"
            if len(parts) > 1 and len(f"{lead} {parts[0]} → {parts[1]}") > TERMINAL_WIDTH:
                lines += [lead, f"        {parts[0]}", f"      → {parts[1]}"]
            else:
                lines.append(f"{lead} {' → '.join(parts)}")
    if each.sql:
        lines += ["  SQL", *(f"    {line}" for line in each.sql.splitlines())]
    return lines


def changed_part(before: str, after: str) -> tuple[str, str]:
    """The parts of two long expressions around what differs between them; short ones are given whole."""
    if not (before and after) or max(len(before), len(after)) <= WIDTH:
        return before, after
    start = _common_letters(before, after)
    end = _common_letters(before[start:][::-1], after[start:][::-1])
    start = max(before.rfind(" ", 0, max(start - CONTEXT_LETTERS, 0)) + 1, 0)
    stop = max(end - CONTEXT_LETTERS, 0)
    return tuple(  # type: ignore[return-value]  # a generator of two
        f"{'… ' if start else ''}{text[start : len(text) - stop]}{' …' if stop else ''}" for text in (before, after)
    )


def _common_letters(one: str, other: str) -> int:
    """The length of the longest common beginning of two texts."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def transitions(impact: Impact) -> list[tuple[str, str, tuple[Sample, ...], int]]:
    """Rows that are new, removed or moved: a sign, what happens, samples, and how many there are."""
    return [
        ("+", "new", impact.inserted, impact.inserts),
        ("-", "removed", impact.removed, impact.removals),
        ("±", "moved to another product", impact.moved, impact.after.replaced),
    ]


def sample_values(row: Sample) -> tuple[str | None, str | None]:
    """A sample's values before and after, cut to what is around the difference."""
    before, after = changed_part(row.before or "", row.after or "")
    return before or None, after or None


def sample_name(row: Sample) -> str:
    """The key of a row, and its title where it has one."""
    return f"{row.key} {short(row.label)}" if row.label else row.key


def sample_cause(row: Sample) -> str:
    """Why a row changes, in brackets, or nothing where the kind of change says it."""
    return f" ({row.cause})" if row.cause and row.cause != "replaced" else ""


def remainder_text(count: int, shown: Sequence[object]) -> str:
    """How many more there are than the shown ones."""
    return f" and {count - len(shown):,} more" if count > len(shown) else ""


def blanked_text(column: ColumnImpact) -> str:
    """How many of a column's changes are to blank, or nothing."""
    return f", {column.blanked:,} of them to blank" if column.blanked else ""
