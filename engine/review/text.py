"""Reviews in words: as text for a terminal, as Markdown for a pull request, and what a reader must decide; pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.text import WIDTH, plural, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import ColumnImpact, EntityReview, Impact, Review, Sample

SCREEN = 80
"""How wide a terminal is, at the least."""

MANY = 30
"""How many names are listed."""

CONTEXT = 24
"""Letters around what differs in an expression."""

ROWS = {
    "fixtures": "worked out on the fixtures",
    "live": "worked out on the rows of the live source",
    "none": "without fixtures only the SQL and the mapping are compared",
}

GONE = (
    "The client is not in the workspace any more: nothing is synced for it, no order is raised, and what Stock2Shop"
    " holds of it stays as it is."
)

RENAMED = "If it was only renamed, rename its state files with it; without them everything counts as new."

NEW = "This client is new: everything counts as new."


def impact_sentence(impact: Impact, noun: str) -> str:
    """What a change to a mapping does to rows, in words that need no other."""
    parts = _happens(impact)
    if not parts:
        return f"None of the {impact.after.source:,} rows of {noun} changes."
    return f"On {max(impact.after.source, impact.before.source):,} rows of {noun}: {', '.join(parts)}."


def _happens(impact: Impact) -> list[str]:
    said = [
        (impact.inserts, "is new", "are new"),
        (impact.after.updates, "changes", "change"),
        (impact.after.replaced, "is moved to another product", "are moved to another product"),
        (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
        (impact.quarantined, "is newly held back", "are newly held back"),
        (impact.released, "is no longer held back", "are no longer held back"),
        (impact.after.ignored - impact.before.ignored, "more is ignored", "more are ignored"),
        (impact.before.ignored - impact.after.ignored, "fewer is ignored", "fewer are ignored"),
    ]
    return [f"{count:,} {one if count == 1 else many}" for count, one, many in said if count > 0]


def review_summary(reviewed: Review) -> str:
    """What changes for a client, in one line."""
    if reviewed.gone:
        return "no longer in the workspace"
    parts = []
    for each in reviewed.entities:
        if each.impact is None:
            said = "does not run" if each.faults else "another mapping" if each.changed else ""
        else:
            said = ", ".join(_happens(each.impact)) or ("another mapping, no row changes" if each.changed else "")
        if said:
            parts.append(f"{each.entity}: {said}")
    if reviewed.settings:
        parts.append("settings")
    if reviewed.orders:
        parts.append("order statements")
    if reviewed.faults:
        parts.append("faulty")
    return ("new client; " if reviewed.new else "") + ("; ".join(parts) or "nothing changes")


def to_decide(reviewed: Review) -> list[str]:
    """What of a change somebody has to want: what does not run, what is lost, what is held back."""
    if reviewed.gone:
        return [GONE, RENAMED]
    said = [f"This is wrong: {fault}" for fault in reviewed.faults]
    for each in reviewed.entities:
        noun, impact = each.entity, each.impact
        said += [f"{does_not_run(each)}: {fault}" for fault in each.faults]
        said += [
            f"{noun.capitalize()}: {change.field} is no longer mapped."
            for change in each.fields
            if change.kind == "removed" and not reviewed.new
        ]
        if impact is None:
            continue
        said += [
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
        said += [
            f"{count:,} {plural(count, 'row')} of {noun} {one if count == 1 else many}."
            for count, one, many in counted
            if count > 0
        ]
        said += [
            f"{noun.capitalize()}: {column.column} becomes blank in {column.blanked:,} {plural(column.blanked, 'row')}."
            for column in impact.columns
            if column.blanked
        ]
    return said


def does_not_run(each: EntityReview) -> str:
    """What the faults of an entity are about."""
    return f"A data test of {each.entity} does not run" if each.impact else f"{each.entity.capitalize()} do not run"


def review_text(reviewed: Review) -> str:
    """A review as people read it on a terminal."""
    if reviewed.gone:
        lines = [f"{reviewed.project} · against {reviewed.against}", *_wrapped(GONE), *_wrapped(RENAMED)]
    else:
        lines = [f"{reviewed.project} · against {reviewed.against} · {ROWS[reviewed.rows]}"]
    if not reviewed.changed:
        return "\n".join([*lines, "  Nothing changes."])
    if reviewed.new:
        lines.append(f"  {NEW}")
    for note in reviewed.notes:
        lines += _wrapped(f"note: {note}")
    for fault in reviewed.faults:
        lines += _wrapped(f"WRONG: {fault}")
    for each in reviewed.entities:
        if each.changed:
            lines += ["", each.entity, *_entity_text(each)]
    for title, diff in (("settings", reviewed.settings), ("order statements", reviewed.orders)):
        if diff:
            lines += ["", title, *(f"  {line}" for line in diff.splitlines())]
    return "\n".join(lines)


def reviews_text(reviews: Sequence[Review]) -> str:
    """Reviews as people read them on a terminal: of several first a line each."""
    texts = [review_text(each) for each in reviews]
    if len(reviews) > 1:
        lines = [line for each in reviews for line in _wrapped(f"{each.project}: {review_summary(each)}")]
        texts = ["\n".join([f"{len(reviews)} clients change.", *lines]), *texts]
    return "\n\n".join(texts)


def _wrapped(text: str) -> list[str]:
    """A sentence on lines of a terminal, with no word or path broken."""
    return textwrap.wrap(
        text,
        SCREEN,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _entity_text(each: EntityReview) -> list[str]:
    lines = []
    for fault in each.faults:
        lines += _wrapped(f"{'A DATA TEST DOES NOT RUN' if each.impact else 'DOES NOT RUN'}: {fault}")
    impact = each.impact
    if impact is not None:
        lines += _wrapped(impact_sentence(impact, each.entity))
        for stop in impact.stops:
            lines += _wrapped(f"STOPS A RUN: {stop}")
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
            lines += _wrapped(f"note: {note}")
    if each.fields:
        lines.append("  fields")
        signs = {"added": "+", "removed": "-", "fed by something else": "~"}
        for change in each.fields:
            parts = [short(part) for part in differing(change.before, change.after) if part]
            lead = f"    {signs[change.kind]} {change.field}:"
            if len(parts) > 1 and len(f"{lead} {parts[0]} → {parts[1]}") > SCREEN:
                lines += [lead, f"        {parts[0]}", f"      → {parts[1]}"]
            else:
                lines.append(f"{lead} {' → '.join(parts)}")
    if each.sql:
        lines += ["  SQL", *(f"    {line}" for line in each.sql.splitlines())]
    return lines


def differing(before: str, after: str) -> tuple[str, str]:
    """Two long expressions from a little before they differ to a little after; short ones, and one alone, whole."""
    if not (before and after) or max(len(before), len(after)) <= WIDTH:
        return before, after
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    start = max(before.rfind(" ", 0, max(start - CONTEXT, 0)) + 1, 0)
    stop = max(end - CONTEXT, 0)
    return tuple(  # type: ignore[return-value]  # two of them
        f"{'… ' if start else ''}{text[start : len(text) - stop]}{' …' if stop else ''}" for text in (before, after)
    )


def _alike(one: str, other: str) -> int:
    """How many letters two texts have in common at their beginning."""
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
    """A value before and after; of long ones what is around the difference, which may stand far behind."""
    before, after = differing(row.before or "", row.after or "")
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
