"""Reviews as sentences: the text for a terminal, and the lists and summaries that Markdown and HTML show as well."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from engine.review.decisions import NEW_PROJECT, decisions, no_decisions, verdict
from engine.review.samples import (
    blanked_text,
    changed_part,
    remainder_text,
    sample_cause,
    sample_name,
    sample_values,
    transitions,
)
from engine.text import plural, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import EntityReview, Impact, Review

TERMINAL_WIDTH = 80
"""The width in letters that text is wrapped to."""

MAX_NAMES = 30
"""How many names of projects a list shows."""

ROWS_DESCRIPTION = {
    "fixtures": "worked out on the fixtures",
    "live": "worked out on the rows of the live source",
    "none": "without fixtures only the SQL and the mapping are compared",
}


SHARED_DESCRIPTION = "which all clients share"


def rows_description(reviewed: Review) -> str:
    """What a review is worked out on."""
    return SHARED_DESCRIPTION if reviewed.shared else ROWS_DESCRIPTION[reviewed.rows]


def clients_text(reviews: Sequence[Review]) -> str:
    """How many clients change, and workspace.toml where it does: such as ``2 clients and workspace.toml``."""
    clients = [each for each in reviews if not each.shared]
    parts = [f"{len(clients):,} {plural(len(clients), 'client')}"] if clients else []
    return " and ".join([*parts, *(each.project for each in reviews if each.shared)])


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
        (impact.after.replaced, "is removed and created again", "are removed and created again"),
        (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
        (
            impact.unsent_removals,
            "is marked Delete where it was not sent",
            "are marked Delete where they were not sent",
        ),
        (impact.after.resends, "is sent again", "are sent again"),
        (impact.quarantined, "is newly held back", "are newly held back"),
        (impact.released, "is no longer held back", "are no longer held back"),
        (impact.unsynced_rows, "is no longer synced", "are no longer synced"),
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


def review_text(reviewed: Review) -> str:
    """One review as text for a terminal."""
    if reviewed.gone:
        lines = [f"{reviewed.project} · against {reviewed.against}", *_decision_lines(reviewed)]
    else:
        lines = [f"{reviewed.project} · against {reviewed.against} · {rows_description(reviewed)}"]
    if not reviewed.changed:
        return "\n".join([*lines, f"  {verdict(reviewed).capitalize()}: nothing changes."])
    if reviewed.new:
        lines.append(f"  {NEW_PROJECT}")
    if not reviewed.gone:
        lines += _decision_lines(reviewed)
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
        texts = ["\n".join([f"{clients_text(reviews)} change.", *lines]), *texts]
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


def _decision_lines(reviewed: Review) -> list[str]:
    """The verdict, and under it what the reader must agree to."""
    found = decisions(reviewed)
    lines = _wrap(f"{verdict(reviewed).upper()}{'' if found else f'. {no_decisions(reviewed)}'}")
    return [*lines, *(line for each in found for line in _wrap(f"- {each}"))]


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
            freed = ", ".join(row.key for row in impact.freed)
            lines.append(f"  no longer held back: {freed}{remainder_text(impact.released, impact.freed)}")
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
