"""What a rehearsal takes for granted of a source, and what it refuses to.

What is told here stands neither in the view nor in the rows: the session that the view runs in, and whether its texts
are equal that differ only in case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import Diagnostic, ViewError
from engine.testing.column_types import FILE_NAME
from engine.testing.session_settings import read_statements

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.testing.column_types import Capture

_REVIEW_LIVE = "Otherwise review it on the live rows: s2s review {} --live"


def assume(project: Project, query: Query, *, uncollated: frozenset[str]) -> tuple[str, ...]:
    """What the rows depend on and the fixtures do not say.

    ``uncollated`` are the texts of which it is not known whether their column is compared without regard to case.
    """
    return (*assume_session(project), *_assume_case(project, query, uncollated))


def require_usual_session(project: Project, capture: Capture | None, fixtures: Path) -> None:
    """Raise :class:`ViewError` where a view means something else in the source's session than in a rehearsal.

    ``capture`` is what is known of the capture of the fixtures in the project's folder ``fixtures``.
    """
    unusual = read_statements(project.source.session, project.source.dialect).unusual
    faults = [
        Diagnostic(
            path=project.root / "project.toml",
            message=f"Statement {number} of `session` under [source] sets {name}: with it a view may give something"
            " else than a rehearsal.",
            hint=f"Leave it out if no view needs it. {_REVIEW_LIVE.format(project.name)}",
        )
        for number, name in unusual
    ]
    said = {name for _, name in unusual}
    faults += [
        Diagnostic(
            path=fixtures / "fixtures" / FILE_NAME,
            message=f"The database's session had {setting}: with it a view may give something else than a rehearsal.",
            hint="Have it as is usual for these views, by a statement of `session` under [source], and capture again."
            f" {_REVIEW_LIVE.format(project.name)}",
        )
        for setting in (capture.settings if capture is not None else ())
        if setting.partition(":")[0] not in said
    ]
    if faults:
        raise ViewError(faults)


def assume_session(project: Project) -> tuple[str, ...]:
    """Which statements of the source's session may make another run of a live one."""
    unknown = read_statements(project.source.session, project.source.dialect).unknown
    if not unknown:
        return ()
    several = len(unknown) > 1
    named = f"statement{'s' if several else ''} {', '.join(map(str, unknown))}"
    are = "are" if several else "is"
    return (f"{named} of `session` under [source] {are} not run on fixtures, and taken to change no row of a view",)


def _assume_case(project: Project, query: Query, unknown: frozenset[str]) -> tuple[str, ...]:
    """Whether texts that differ only in case are equal."""
    literals = {found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", query.sql)}
    folded: dict[str, str] = {}
    certain = all(folded.setdefault(_without_case(text), text) == text for text in unknown) and all(
        folded.get(_without_case(text), text) == text for text in literals
    )
    if certain:
        return ()
    said = (
        "texts that differ only in case or in blanks at their end are taken for different, as fixtures/types.toml says"
        f" no collation of theirs; {project.source.dialect} may take them for equal"
    )
    return (said,)


def _without_case(text: str) -> str:
    return text.rstrip(" ").lower()
