"""Reviews as Markdown: one comment for a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.review.text import (
    MAX_NAMES,
    NEW_PROJECT,
    ROWS_DESCRIPTION,
    blanked_text,
    changed_part,
    decisions,
    impact_sentence,
    remainder_text,
    review_summary,
    sample_cause,
    sample_name,
    sample_values,
    transitions,
)
from engine.text import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import EntityReview, Review

MAX_COMMENT_LETTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""

MAX_DIFF_LETTERS = 8_000
"""How many characters of one diff are shown."""


def reviews_markdown(reviews: Sequence[Review]) -> str:
    """Reviews as one comment for a pull request, no longer than GitHub takes; several begin with a table."""
    lines = []
    if len(reviews) > 1:
        lines += [
            f"## {len(reviews)} clients change",
            "",
            "| client | what changes | to decide |",
            "| --- | --- | --: |",
        ]
        lines += [
            f"| {each.project} | {_cell_markdown(review_summary(each))} | {len(decisions(each)) or ''} |"
            for each in reviews
        ]
        lines.append("")
    comment, omitted = "\n".join(lines), []
    for each in reviews:
        text = review_markdown(each)
        if len(comment) + len(text) > MAX_COMMENT_LETTERS:
            omitted.append(each.project)
        else:
            comment += f"{text}\n" if not comment else f"\n{text}\n"
    if omitted:
        more = remainder_text(len(omitted), omitted[:MAX_NAMES])
        comment += (
            f"\n_A comment holds no more. Left out: {', '.join(omitted[:MAX_NAMES])}{more}."
            " `--output html` has all of it._\n"
        )
    return comment.rstrip("\n")


def review_markdown(reviewed: Review) -> str:
    """One review as a part of a comment."""
    lines = [f"## {reviewed.project}: the mapping against `{reviewed.against}`", ""]
    if not reviewed.changed:
        return "\n".join([*lines, "Nothing changes.", ""])
    if not reviewed.gone:
        lines += [f"_{ROWS_DESCRIPTION[reviewed.rows].capitalize()}.{f' {NEW_PROJECT}' if reviewed.new else ''}_", ""]
    if decisions(reviewed):
        lines += ["**To decide**", "", *(f"- {_flat(each)}" for each in decisions(reviewed)), ""]
    lines += [f"- {_flat(note)}" for note in reviewed.notes]
    for each in reviewed.entities:
        if each.changed:
            lines += _entity_markdown(each)
    for title, diff in (("Settings, data tests and order statements", reviewed.settings), ("Orders", reviewed.orders)):
        if diff:
            lines += [f"### {title}", "", *_fence(diff), ""]
    return "\n".join(lines)


def _fence(diff: str) -> list[str]:
    """A diff in a code block, cut to a length that fits a comment; nothing in the diff can end the block."""
    shown = diff.rstrip()
    if len(shown) > MAX_DIFF_LETTERS:
        shown = shown[:MAX_DIFF_LETTERS].rpartition("\n")[0]
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
            before, after = (_code(part) for part in changed_part(change.before, change.after))
            lines.append(f"| {change.field} | {change.kind} | {before} | {after} |")
    if each.sql:
        lines += ["", *_fence(each.sql)]
    return [*lines, ""]


def _flat(text: str) -> str:
    """A text on one line, of which Markdown takes nothing for HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _cell_markdown(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def _code(text: str | None) -> str:
    flat = _cell_markdown(short(text)).replace("`", "'").replace("&lt;", "<") if text else ""
    return f"`{flat}`" if flat else ""
