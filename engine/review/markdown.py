"""markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.review.text import (
    MANY,
    NEW,
    ROWS,
    blanked_text,
    differing,
    impact_sentence,
    remainder_text,
    review_summary,
    sample_cause,
    sample_name,
    sample_values,
    to_decide,
    transitions,
)
from engine.text import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import EntityReview, Review

COMMENT = 60_000
"""How many letters of Markdown are written: GitHub takes 65,536 for a comment."""

DIFF = 8_000
"""How many letters of one difference Markdown holds."""


def reviews_markdown(reviews: Sequence[Review]) -> str:
    """Reviews as one comment for a pull request: of several first a table, and no more in all than GitHub takes."""
    lines = []
    if len(reviews) > 1:
        lines += [
            f"## {len(reviews)} clients change",
            "",
            "| client | what changes | to decide |",
            "| --- | --- | --: |",
        ]
        lines += [
            f"| {each.project} | {_cell_markdown(review_summary(each))} | {len(to_decide(each)) or ''} |"
            for each in reviews
        ]
        lines.append("")
    said, left = "\n".join(lines), []
    for each in reviews:
        text = review_markdown(each)
        if len(said) + len(text) > COMMENT:
            left.append(each.project)
        else:
            said += f"{text}\n" if not said else f"\n{text}\n"
    if left:
        said += (
            f"\n_A comment holds no more. Left out: {', '.join(left[:MANY])}{remainder_text(len(left), left[:MANY])}."
            " `--output html` has all of it._\n"
        )
    return said.rstrip("\n")


def review_markdown(reviewed: Review) -> str:
    """A review as a part of a comment for a pull request."""
    lines = [f"## {reviewed.project}: the mapping against `{reviewed.against}`", ""]
    if not reviewed.changed:
        return "\n".join([*lines, "Nothing changes.", ""])
    if not reviewed.gone:
        lines += [f"_{ROWS[reviewed.rows].capitalize()}.{f' {NEW}' if reviewed.new else ''}_", ""]
    if to_decide(reviewed):
        lines += ["**To decide**", "", *(f"- {_flat(each)}" for each in to_decide(reviewed)), ""]
    lines += [f"- {_flat(note)}" for note in reviewed.notes]
    for each in reviewed.entities:
        if each.changed:
            lines += _entity_markdown(each)
    for title, diff in (("Settings, data tests and order statements", reviewed.settings), ("Orders", reviewed.orders)):
        if diff:
            lines += [f"### {title}", "", *_fenced(diff), ""]
    return "\n".join(lines)


def _fenced(diff: str) -> list[str]:
    """A difference between fences that nothing in it can close, and no longer than a comment bears."""
    shown = diff.rstrip()
    if len(shown) > DIFF:
        shown = shown[:DIFF].rpartition("\n")[0]
        shown += f"\n… {diff.rstrip().count(chr(10)) - shown.count(chr(10)):,} lines more"
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", shown)), 3)
    return [f"{fence}diff", shown, fence]


def _entity_markdown(each: EntityReview) -> list[str]:
    lines = [f"### {each.entity.capitalize()}", ""]
    impact = each.impact
    if impact is not None:
        lines += [f"**{impact_sentence(impact, each.entity)}**", ""]
        lines += [f"- {_flat(note)}" for note in impact.notes]
        if impact.columns:
            lines += ["", "| field | rows | such as | before | after |", "| --- | --: | --- | --- | --- |"]
            for column in impact.columns:
                for number, row in enumerate(column.samples):
                    lead = f"| {column.column} | {column.rows:,}{blanked_text(column)} |" if not number else "| | |"
                    before, after = (_code(value) for value in sample_values(row))
                    lines.append(f"{lead} {_cell_markdown(sample_name(row))} | {before} | {after} |")
        for _, title, rows, count in transitions(impact):
            if count:
                named = ", ".join(_cell_markdown(sample_name(row) + sample_cause(row)) for row in rows)
                lines += ["", f"{title.capitalize()} ({count:,}): {named}{remainder_text(count, rows)}"]
        if impact.held:
            lines += ["", f"Newly held back ({impact.quarantined:,}):", ""]
            lines += [
                f"- {_cell_markdown(row.key or '(no code)')}: {row.column} {_code(row.value)}: {row.reason}"
                for row in impact.held
            ]
        if impact.released:
            lines += [
                "",
                f"No longer held back: {', '.join(impact.freed)}{remainder_text(impact.released, impact.freed)}",
            ]
    if each.fields:
        lines += ["", "| field | | before | after |", "| --- | --- | --- | --- |"]
        for change in each.fields:
            before, after = (_code(part) for part in differing(change.before, change.after))
            lines.append(f"| {change.field} | {change.kind} | {before} | {after} |")
    if each.sql:
        lines += ["", *_fenced(each.sql)]
    return [*lines, ""]


def _flat(text: str) -> str:
    """A text on one line, of which Markdown takes nothing for HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _cell_markdown(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def _code(text: str | None) -> str:
    flat = _cell_markdown(short(text)).replace("`", "'").replace("&lt;", "<") if text else ""
    return f"`{flat}`" if flat else ""
