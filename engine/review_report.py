"""Reviews as text for a terminal, and as Markdown for a pull request; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.report import WIDTH, plural, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review import EntityReview, Impact, Review, Sample

CONTEXT = 24
"""Letters around what differs in an expression."""

ROWS = {
    "fixtures": "worked out on the fixtures",
    "live": "worked out on the rows of the live source",
    "none": "without fixtures only the SQL and the mapping are compared",
}


def impact_sentence(impact: Impact, noun: str) -> str:
    """What a change to a mapping does to rows, in words that need no other."""
    said = [
        (impact.inserts, "is new", "are new"),
        (impact.after.updates, "changes", "change"),
        (impact.after.replaced, "is moved to another product", "are moved to another product"),
        (impact.removals, "is removed from Stock2Shop", "are removed from Stock2Shop"),
        (impact.quarantined, "is newly held back", "are newly held back"),
        (impact.released, "is no longer held back", "are no longer held back"),
    ]
    parts = [f"{count:,} {one if count == 1 else many}" for count, one, many in said if count]
    if not parts:
        return f"None of the {impact.after.source:,} rows of {noun} changes."
    return f"On {max(impact.after.source, impact.before.source):,} rows of {noun}: {', '.join(parts)}."


def review_text(reviewed: Review) -> str:
    """A review as people read it on a terminal."""
    lines = [f"{reviewed.project} · against {reviewed.against} · {ROWS[reviewed.rows]}"]
    if not reviewed.changed:
        return "\n".join([*lines, "  Nothing changes."])
    for each in reviewed.entities:
        if each.changed:
            lines += ["", each.entity, *_entity_text(each)]
    for title, diff in (("settings", reviewed.settings), ("order statements", reviewed.orders)):
        if diff:
            lines += ["", title, *(f"  {line}" for line in diff.splitlines())]
    return "\n".join(lines)


def _entity_text(each: EntityReview) -> list[str]:
    lines = [f"  DOES NOT RUN: {fault}" for fault in each.faults]
    impact = each.impact
    if impact is not None:
        lines.append(f"  {impact_sentence(impact, each.entity)}")
        lines += [f"  STOPS A RUN: {stop}" for stop in impact.stops]
        for column in impact.columns:
            lines.append(f"  ~ {column.column}: {column.rows:,} {plural(column.rows, 'row')}")
            lines += [f"      {_called(row)}  {short(row.before)} → {short(row.after)}" for row in column.samples]
        for sign, title, rows, count in _moves(impact):
            if count:
                lines.append(f"  {sign} {title}: {count:,}")
                lines += [f"      {_called(row)}{_because(row)}" for row in rows]
        lines += [
            f"  ! held back: {row.key or '(no code)'}  {row.column}: {short(row.value)}: {row.reason}"
            for row in impact.held
        ]
        if impact.released:
            lines.append(f"  no longer held back: {', '.join(impact.freed)}{_more(impact.released, impact.freed)}")
        lines += [f"  note: {note}" for note in impact.notes]
    if each.fields:
        lines.append("  fields")
        signs = {"added": "+", "removed": "-", "fed by something else": "~"}
        for change in each.fields:
            parts = differing(change.before, change.after)
            said = " → ".join(short(part) for part in parts if part)
            lines.append(f"    {signs[change.kind]} {change.field}: {said}")
    if each.sql:
        lines += ["  SQL", *(f"    {line}" for line in each.sql.splitlines())]
    return lines


def review_markdown(reviewed: Review) -> str:
    """A review as a comment for a pull request."""
    lines = [f"## {reviewed.project}: the mapping against `{reviewed.against}`", ""]
    if not reviewed.changed:
        return "\n".join([*lines, "Nothing changes.", ""])
    lines += [f"_{ROWS[reviewed.rows].capitalize()}._", ""]
    for each in reviewed.entities:
        if each.changed:
            lines += _entity_markdown(each)
    for title, diff in (("Settings, data tests and order statements", reviewed.settings), ("Orders", reviewed.orders)):
        if diff:
            lines += [f"### {title}", "", "```diff", diff.rstrip(), "```", ""]
    return "\n".join(lines)


def _entity_markdown(each: EntityReview) -> list[str]:
    lines = [f"### {each.entity.capitalize()}", ""]
    lines += [f"**It does not run:** {fault}" for fault in each.faults]
    impact = each.impact
    if impact is not None:
        lines += [f"**{impact_sentence(impact, each.entity)}**", ""]
        lines += [f"- **A run would be stopped:** {stop}" for stop in impact.stops]
        lines += [f"- {note}" for note in impact.notes]
        if impact.columns:
            lines += ["", "| field | rows | such as | before | after |", "| --- | --: | --- | --- | --- |"]
            for column in impact.columns:
                for number, row in enumerate(column.samples):
                    lead = f"| {column.column} | {column.rows:,} |" if not number else "| | |"
                    lines.append(f"{lead} {_cell_markdown(_called(row))} | {_code(row.before)} | {_code(row.after)} |")
        for _, title, rows, count in _moves(impact):
            if count:
                named = ", ".join(_cell_markdown(_called(row) + _because(row)) for row in rows)
                lines += ["", f"{title.capitalize()} ({count:,}): {named}{_more(count, rows)}"]
        if impact.held:
            lines += ["", f"Newly held back ({impact.quarantined:,}):", ""]
            lines += [
                f"- {_cell_markdown(row.key or '(no code)')}: {row.column} {_code(row.value)}: {row.reason}"
                for row in impact.held
            ]
        if impact.released:
            lines += ["", f"No longer held back: {', '.join(impact.freed)}{_more(impact.released, impact.freed)}"]
    if each.fields:
        lines += ["", "| field | | before | after |", "| --- | --- | --- | --- |"]
        for change in each.fields:
            before, after = (_code(part) for part in differing(change.before, change.after))
            lines.append(f"| {change.field} | {change.kind} | {before} | {after} |")
    if each.sql:
        lines += ["", "```diff", each.sql.rstrip(), "```"]
    return [*lines, ""]


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


def _moves(impact: Impact) -> list[tuple[str, str, tuple[Sample, ...], int]]:
    return [
        ("+", "new", impact.inserted, impact.inserts),
        ("-", "removed", impact.removed, impact.removals),
        ("±", "moved to another product", impact.moved, impact.after.replaced),
    ]


def _called(row: Sample) -> str:
    return f"{row.key} {row.label}" if row.label else row.key


def _because(row: Sample) -> str:
    return f" ({row.cause})" if row.cause and row.cause != "replaced" else ""


def _more(count: int, shown: Sequence[object]) -> str:
    return f" and {count - len(shown):,} more" if count > len(shown) else ""


def _cell_markdown(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _code(text: str | None) -> str:
    flat = _cell_markdown(short(text)).replace("`", "'").replace("&lt;", "<") if text else ""
    return f"`{flat}`" if flat else ""
