"""Reviews as Markdown: one comment for a pull request."""

from __future__ import annotations

import re
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
from engine.review.text import MAX_NAMES, clients_text, impact_sentence, review_summary, rows_description
from engine.text import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import EntityReview, Review

MAX_COMMENT_LETTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""

NO_WIDTH = "\u200b"
"""A zero width space."""

MAX_DIFF_LETTERS = 8_000
"""How many characters of one diff are shown."""


def reviews_markdown(reviews: Sequence[Review]) -> str:
    """Reviews as one comment for a pull request, no longer than GitHub takes; several begin with a table."""
    lines = []
    if len(reviews) > 1:
        lines += [
            f"## {clients_text(reviews)} change",
            "",
            "| client | verdict | what changes | to decide |",
            "| --- | --- | --- | --: |",
        ]
        for each in reviews:
            cells = (escape(each.project), verdict(each), escape(review_summary(each)), len(decisions(each)) or "")
            lines.append(f"| {' | '.join(map(str, cells))} |")
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
            f"\n_A comment holds no more. Left out: {escape(', '.join(omitted[:MAX_NAMES]))}{more}."
            " `--output html` has all of it._\n"
        )
    return comment.rstrip("\n")


def review_markdown(reviewed: Review) -> str:
    """One review as a part of a comment."""
    what = "" if reviewed.shared else "the mapping "
    lines = [f"## {escape(reviewed.project)}: {what}against {_code(reviewed.against)}", ""]
    reason = "" if decisions(reviewed) else f" {no_decisions(reviewed)}"
    lines += [f"**{verdict(reviewed).capitalize()}.**{reason}", ""]
    if not reviewed.changed:
        return "\n".join(lines)
    if not reviewed.gone:
        lines += [f"_{rows_description(reviewed).capitalize()}.{f' {NEW_PROJECT}' if reviewed.new else ''}_", ""]
    if decisions(reviewed):
        lines += ["**To decide**", "", *(f"- {escape(each)}" for each in decisions(reviewed)), ""]
    lines += [f"- {escape(note)}" for note in reviewed.notes]
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
        lines += [f"- {escape(note)}" for note in impact.notes]
        if impact.columns:
            lines += ["", "| field | rows | such as | before | after |", "| --- | --: | --- | --- | --- |"]
            for column in impact.columns:
                for number, row in enumerate(column.samples):
                    lead = (
                        f"| {escape(column.column)} | {column.rows:,}{blanked_text(column)} |"
                        if not number
                        else "| | |"
                    )
                    before, after = (_code(value) for value in sample_values(row))
                    lines.append(f"{lead} {escape(sample_name(row))} | {before} | {after} |")
        for _, title, rows, count in transitions(impact):
            if count:
                named = ", ".join(escape(sample_name(row) + sample_cause(row)) for row in rows)
                lines += ["", f"{title.capitalize()} ({count:,}): {named}{remainder_text(count, rows)}"]
        if impact.held:
            lines += ["", f"Newly held back ({impact.quarantined:,}):", ""]
            lines += [
                f"- {escape(row.key or '(no code)')}: {escape(row.column)} {_code(row.value)}: {row.reason}"
                for row in impact.held
            ]
        if impact.released:
            more = remainder_text(impact.released, impact.freed)
            lines += ["", f"No longer held back: {escape(', '.join(row.key for row in impact.freed))}{more}"]
    if each.fields:
        lines += ["", "| field | | before | after |", "| --- | --- | --- | --- |"]
        for change in each.fields:
            before, after = (_code(part) for part in changed_part(change.before, change.after))
            lines.append(f"| {escape(change.field)} | {change.kind} | {before} | {after} |")
    if each.sql:
        lines += ["", *_fence(each.sql)]
    return [*lines, ""]


def escape(text: str) -> str:
    """Text from a database, a project or an error, as Markdown that displays it as it is, on one line.

    It becomes neither HTML, markup nor a table cell; nobody is mentioned and nothing is linked, because a character of
    no width stands behind each ``@`` and ``#`` and inside of addresses.
    """
    flat = " ".join(text.split())
    flat = re.sub(r"[\\`*\[\]<>|~&!]|(?<!\w)_|_(?!\w)|^[-+=#]", r"\\\g<0>", flat)
    flat = re.sub(r"^(\d+)([.)])", r"\1\\\2", flat)
    return re.sub(r"(?i)[@#]|(?<=:)//|\bwww(?=\.)|\bGH(?=-\d)|\b(?:mailto|xmpp):", f"\\g<0>{NO_WIDTH}", flat)


def _code(text: str | None) -> str:
    """Text as code, in which nothing is mentioned or linked; blank for a blank."""
    flat = " ".join(short(text).split()).replace("`", "'").replace("|", "\\|") if text else ""
    return f"`{flat}`" if flat else ""
