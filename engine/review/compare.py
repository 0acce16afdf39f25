"""Compare a project with the same project at a git reference.

1. Run the earlier mapping over the rows, and record all of it as acknowledged in a temporary state.
2. Run the new mapping over the same rows, and compare it with that state, as a run would.

So a review shows what a run would send. The rows are those of the fixtures, which needs no database, or those of the
live source, read in one transaction where the database supports it.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.config.loader import load
from engine.config.shared_sources import shared_sources
from engine.config.variables import read_variables
from engine.config.workspace import discover
from engine.database.open import open_source
from engine.errors import ConfigError, SourceError, located_messages
from engine.mapping.lineage import mapping_rows, trace_columns
from engine.mapping.render import render_view
from engine.mapping.row_rules import row_rules
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.review.diffs import file_diffs, unified_diff
from engine.review.impact import measure_impact
from engine.review.model import EntityReview, FieldChange, Impact, Review, RowRule, SettingChange
from engine.review.rows import FixtureRows, LiveRows, LiveSource
from engine.review.settings import setting_changes
from engine.sync.context import no_progress
from engine.sync.data_tests import data_tests
from engine.testing.fixture_run import entities, fixture_session
from engine.testing.fixtures import has_fixtures
from engine.testing.snapshots import normalize_sql, render_order_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.mapping.lineage import MappingRow, Trace
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.review.diffs import FileDiff
    from engine.review.model import FileChange
    from engine.review.rows import RowSource


READING = ("encoding", "decoding", "wide_decoding", "attributes", "session", "reader")
"""The settings of a source that say how it is read, not which it is: each mapping is run with its own."""

RENAMED = "If the client was renamed, rename its state files with it; without them everything counts as new."


@dataclass(frozen=True, slots=True)
class Checkouts:
    """The workspace as it is now and as it was at the reference, which ``against`` names as the user wrote it."""

    workspace: Path
    earlier: Path
    against: str


def review_on_fixtures(name: str, checkouts: Checkouts) -> Review:
    """Compare the project ``name`` as it is now with the same project at the reference, on fixtures.

    Faults of the project as it is now are in ``faults`` of the
    review, those of a view in ``faults`` of its entity. Raises :class:`ConfigError` where there is no such project.
    """
    if is_removed(name, checkouts):
        return _review_removed(name, checkouts)
    try:
        now = load(name, workspace=checkouts.workspace, environ={}, offline=True)
    except ConfigError as error:
        if name not in discover(checkouts.workspace):
            raise
        return _review_files(name, checkouts, faults=located_messages(error, checkouts.workspace))
    before, notes = _load_reference(now, checkouts.earlier, environ={}, offline=True)
    projects = [each for each in (now, before) if each is not None]
    rows: Literal["fixtures", "none"] = "fixtures" if has_fixtures(now.root) else "none"
    with fixture_session(projects) as session:
        found = [
            _review_entity(FixtureRows(session, now, before, entity), reveal=True)
            for entity in _entities_of_both(now, before)
        ]
    return _build_review(now, before, checkouts, rows=rows, found=found, notes=notes)


def review_live(
    name: str,
    checkouts: Checkouts,
    *,
    environ: Mapping[str, str],
    stop: threading.Event | None = None,
    progress: Callable[[str, int, int | None], None] = no_progress,
) -> Review:
    """Compare the project ``name`` as it is now with the same at the reference, over the rows of its live source.

    The source is read through the connection of the project as it is now, in one snapshot transaction where the
    database has such; where the session or the encoding differs, each mapping is read with its own. Nothing is sent,
    and the project's own state is not touched. Personal data is masked. ``environ`` has the variables of project.toml.
    Raises :class:`ConfigError` where the project cannot be loaded, and :class:`SourceError` where the source cannot be
    read.
    """
    if is_removed(name, checkouts):
        return _review_removed(name, checkouts)
    now = load(name, workspace=checkouts.workspace, environ=environ)
    # .env files are not in git, so the present ones are used for both.
    values, _ = read_variables(now.root, workspace=checkouts.workspace, environ=environ)
    before, notes = _load_reference(now, checkouts.earlier, environ=values, offline=False)
    if before is not None:
        read = {name: getattr(before.source, name) for name in ("dialect", *READING)}
        before = replace(before, source=replace(now.source, **read))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True)))
        connection = stack.enter_context(open_source(now.source))
        earlier = connection
        reading: tuple[str, ...] = ()
        if before is not None and any(getattr(before.source, name) != getattr(now.source, name) for name in READING):
            try:
                earlier = stack.enter_context(open_source(before.source))
            except SourceError as error:
                reading = (f"Both mappings read the source as it is read now, since as before it cannot be: {error}",)
        live = LiveSource(
            connection=connection,
            earlier=earlier,
            folder=folder,
            stop=stop or threading.Event(),
            progress=progress,
        )
        at_once = connection.begin_snapshot() and earlier is connection
        changing = () if at_once else ("The two mappings were read one after the other: the source may have changed.",)
        found = [
            _review_entity(LiveRows(now, before, entity, source=live, notes=(*reading, *changing)), reveal=False)
            for entity in _entities_of_both(now, before)
        ]
    return _build_review(now, before, checkouts, rows="live", found=found, notes=notes)


def is_removed(name: str, checkouts: Checkouts) -> bool:
    """Whether a project exists at the reference only."""
    return name not in discover(checkouts.workspace) and name in discover(checkouts.earlier)


def _review_removed(name: str, checkouts: Checkouts) -> Review:
    """Review a project that has been removed."""
    found = _review_files(name, checkouts, faults=())
    try:
        description = load(name, workspace=checkouts.earlier, environ={}, offline=True).description
    except ConfigError:
        description = ""
    return replace(found, gone=True, description=description)


def _review_files(name: str, checkouts: Checkouts, *, faults: tuple[str, ...]) -> Review:
    """Review a project of which only the files can be compared."""
    files = list(file_diffs(name, checkouts.earlier, checkouts.workspace))
    return Review(
        project=name,
        description="",
        against=checkouts.against,
        rows="none",
        new=name not in discover(checkouts.earlier),
        faults=faults,
        settings="".join(each.diff for each in files),
        orders="",
        entities=(),
        setting_changes=_setting_changes(files),
        file_changes=_file_changes(files),
    )


def _load_reference(
    now: Project, earlier: Path, *, environ: Mapping[str, str], offline: bool
) -> tuple[Project | None, tuple[str, ...]]:
    """The project at the reference, None where it has none or it cannot be loaded; and a note that says why not."""
    if now.name not in discover(earlier):
        return None, ()
    try:
        return load(now.name, workspace=earlier, environ=environ, offline=offline), ()
    except ConfigError as error:
        reason = "; ".join(located_messages(error, earlier))
        return None, (f"The project as it was cannot be read, so everything counts as new: {reason}",)


def _entities_of_both(now: Project, before: Project | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*entities(now), *(entities(before) if before else ()))))


def _build_review(
    now: Project,
    before: Project | None,
    checkouts: Checkouts,
    *,
    rows: Literal["fixtures", "live", "none"],
    found: Sequence[EntityReview],
    notes: tuple[str, ...],
) -> Review:
    orders, faults = _order_statements(now)
    files = list(file_diffs(now.name, checkouts.earlier, now.workspace, root=now.root))
    return Review(
        project=now.name,
        description=now.description,
        against=checkouts.against,
        rows=rows,
        new=now.name not in discover(checkouts.earlier),
        settings="".join(each.diff for each in files),
        orders="" if faults else unified_diff(_order_statements(before)[0], orders, "orders.sql"),
        entities=tuple(found),
        setting_changes=(
            *_setting_changes(files, before, now),
            *_shared_accounts(now, before, checkouts),
        ),
        file_changes=_file_changes(files),
        faults=faults,
        notes=notes,
    )


def _file_changes(files: Sequence[FileDiff]) -> tuple[FileChange, ...]:
    return tuple(each.change for each in files if each.path != "project.toml")


def _setting_changes(
    files: Sequence[FileDiff], before: Project | None = None, now: Project | None = None
) -> tuple[SettingChange, ...]:
    """The settings that differ; none of a project that is new or gone, of which all of them do."""
    projects = (before, now) if before and now else None
    return tuple(
        change
        for each in files
        if each.path == "project.toml" and each.change.kind == "changed"
        for change in setting_changes(each.before, each.after, each.path, projects=projects)
    )


def _shared_accounts(now: Project, before: Project | None, checkouts: Checkouts) -> Iterator[SettingChange]:
    """Who else sends to the source that a project sends to from now on, or sent to it before this change."""
    if not now.stock2shop.source_id or (before is not None and before.stock2shop.account == now.stock2shop.account):
        return
    others = list(_other_projects(now.name, checkouts.workspace))
    effects = [each.message + " Each would remove what the other sent." for each in shared_sources(now, others)]
    names = {*discover(checkouts.workspace), now.name}
    effects += [
        f"{each.name}, which is no longer in the workspace, sent to this source. {RENAMED}"
        for each in _other_projects(now.name, checkouts.earlier)
        if each.name not in names and each.stock2shop.account == now.stock2shop.account
    ]
    for effect in effects:
        yield SettingChange(
            file="project.toml",
            name="stock2shop.source_id",
            before=None,
            after=str(now.stock2shop.source_id),
            effect=effect,
        )


def _other_projects(name: str, workspace: Path) -> Iterator[Project]:
    """The projects of a workspace that can be loaded, but for one; variables stand for their names."""
    for other in discover(workspace):
        if other != name:
            with suppress(ConfigError):
                yield load(other, workspace=workspace, environ={}, offline=True)


def _order_statements(project: Project | None) -> tuple[str, tuple[str, ...]]:
    """The rendered order statements, or the messages of what is wrong with them."""
    try:
        return (render_order_statements(project) if project else None) or "", ()
    except ConfigError as error:
        return "", located_messages(error, project.workspace) if project else ()


def _review_entity(rows: RowSource, *, reveal: bool) -> EntityReview:
    """Review one entity over ``rows``."""
    now, before, entity = rows.now, rows.before, rows.entity
    faults: list[str] = []
    queries: dict[str, Query] = {}
    for side, project in (("before", before), ("after", now)):
        if project is None or entity not in project.entities:
            continue
        try:
            # Only the new mapping is checked: faults of the old one no longer matter.
            queries[side] = render_checked_view(now, entity).query if side == "after" else render_view(project, entity)
        except ConfigError as error:
            if side == "after":
                faults += located_messages(error, now.workspace)
    old, new = queries.get("before"), queries.get("after")
    impact: Impact | None = None
    wrong: tuple[str, ...] = ()
    if (
        new is not None
        and not (rows.live is False and not has_fixtures(now.root))
        and not _is_unchanged(rows, old, new)
    ):
        try:
            impact, wrong = measure_impact(rows, old, new, reveal=reveal)
        except ConfigError as error:
            faults += located_messages(error, now.workspace)
    was, will = (normalize_sql(query.sql, now.source.dialect) if query else "" for query in (old, new))
    return EntityReview(
        entity=entity,
        sql=unified_diff(was, will, f"{entity}.sql") if new or not faults else "",
        fields=tuple(_field_changes(_traces(old, before, entity), _traces(new, now, entity))) if not faults else (),
        mapping=_mapping(new, now, entity),
        impact=impact,
        faults=(*faults, *wrong),
        rules=_row_rules(old, new, rows),
    )


def _is_unchanged(rows: RowSource, old: Query | None, new: Query) -> bool:
    """Whether view, settings, data tests and how the source is read are all the same, so that no row can change."""
    before = rows.before
    if before is None or old is None:
        return False
    was, will = (replace(each.entities[rows.entity], view=Path()) for each in (before, rows.now))
    read = [each.source if rows.live else each.source.dialect for each in (before, rows.now)]
    try:
        tests = [
            [(each.name, each.severity, each.query.sql, each.query.binds) for each in data_tests(project)]
            for project in (before, rows.now)
        ]
    except ConfigError:
        return False
    return old.sql == new.sql and was == will and tests[0] == tests[1] and read[0] == read[1]


def _mapping(query: Query | None, project: Project, entity: str) -> tuple[MappingRow, ...]:
    if query is None:
        return ()
    try:
        return mapping_rows(
            query,
            dialect=project.source.dialect,
            entity=ENTITIES[entity],
            linked=project.entities[entity].linked,
        )
    except ConfigError:
        return ()


def _row_rules(old: Query | None, new: Query | None, rows: RowSource) -> tuple[RowRule, ...]:
    """The rules of the new view in its order, then those that only the old one has."""
    was = _rules_in_words(old, rows.before)
    will = _rules_in_words(new, rows.now)
    if not was:
        return tuple(RowRule(words=words, kind="same") for words in will)
    kept = [RowRule(words=words, kind="same" if words in was else "added") for words in will]
    return (*kept, *(RowRule(words=words, kind="removed") for words in was if words not in will))


def _rules_in_words(query: Query | None, project: Project | None) -> tuple[str, ...]:
    if query is None or project is None:
        return ()
    try:
        return row_rules(query, dialect=project.source.dialect)
    except ConfigError:
        return ()


def _traces(query: Query | None, project: Project | None, entity: str) -> dict[str, Trace]:
    if query is None or project is None:
        return {}
    try:
        found = trace_columns(query, dialect=project.source.dialect, entity=ENTITIES[entity])
    except ConfigError:
        return {}
    return {each.field.name: each for each in found}


def _field_changes(before: Mapping[str, Trace], after: Mapping[str, Trace]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old is None or new is None or (old.sources, old.expression) != (new.sources, new.expression):
            yield FieldChange(
                field=name,
                kind="added" if old is None else "removed" if new is None else "fed by something else",
                before=old.expression if old else "",
                after=new.expression if new else "",
            )
