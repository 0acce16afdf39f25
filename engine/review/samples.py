"""How example rows are displayed, on a terminal and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text import WIDTH, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import ColumnImpact, Impact, Sample

CONTEXT_LETTERS = 24
"""How many letters are shown before and behind the part of an expression that has changed."""


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
    """Rows that are new, removed, moved or no longer synced: a sign, what happens, samples, and how many there are."""
    return [
        ("+", "new", impact.inserted, impact.inserts),
        ("-", "removed", impact.removed, impact.removals),
        ("±", "removed and created again", impact.moved, impact.after.replaced),
        ("=", "no longer synced", impact.unsynced, impact.unsynced_rows),
    ]


def sample_values(row: Sample) -> tuple[str | None, str | None]:
    """A sample's values before and after, cut to what is around the difference."""
    before, after = changed_part(row.before or "", row.after or "")
    return before or None, after or None


def sample_name(row: Sample) -> str:
    """The key of a row, and its title where it has one."""
    return f"{row.key} {short(row.label)}" if row.label else row.key


def item_name(row: Sample) -> str:
    """What a client calls a row: its SKU, or its key where it has none, and its title."""
    name = row.sku or row.key
    return f"{name} {short(row.label)}" if row.label else name


def sample_cause(row: Sample) -> str:
    """Why a row changes, in brackets, or nothing where the kind of change says it."""
    return f" ({row.cause})" if row.cause and row.cause != "replaced" else ""


def remainder_text(count: int, shown: Sequence[object]) -> str:
    """How many more there are than the shown ones."""
    return f" and {count - len(shown):,} more" if count > len(shown) else ""


def blanked_text(column: ColumnImpact) -> str:
    """How many of a column's changes are to blank, or nothing."""
    return f", {column.blanked:,} of them to blank" if column.blanked else ""
