"""The offline run: a project's views on its fixtures, through the very same steps as a live run.

The source is exchanged for a DuckDB file that the fixtures were loaded into, and the state for one that is thrown
away; what then stages, validates, compares and builds documents is :func:`engine.sync.compare.compare` and
:mod:`engine.stock2shop.documents`, so that a rehearsal cannot differ from a run.

A view is written in the project's dialect, and so is what macros make of it when it is rendered for that dialect: the
whole text is in one language. So it is rendered as for a live run, checked as for a live run, and transpiled to DuckDB
as a whole. Only where that fails is the view rendered with ``dialect = "duckdb"``, where macros give DuckDB's own SQL,
and run as it is, untranspiled: then again the whole text is in one language, and DuckDB refuses what is not. To
transpile a text that macros have already half turned into DuckDB's would read one language as another, and where a
double quote is a name here and a text there, nobody would notice. If the second way fails too, the fault of the first
is reported: it names the construct, and the macro that would do instead.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.open import open_source
from engine.errors import ConfigError, Diagnostic, FixtureError, QueryError, ViewError
from engine.mapping.engine_sql import render_sql
from engine.mapping.locate import diagnostic_at, find_word, locate_error
from engine.mapping.render import render_view
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.model.settings import SourceSettings
from engine.state.store import open_state
from engine.stock2shop import documents as payload
from engine.sync import data_tests as expectations
from engine.sync.compare import Comparison, RunOptions, compare
from engine.sync.stage import load_window
from engine.sync.validate import problems
from engine.testing.fixtures import building, freeze_time, has_fixtures, load_fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.plan import Counts, Problem
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.sync.data_tests import FailedTest

SYNC_TOKEN = "0"  # noqa: S105 - a version that Stock2Shop counts, no secret
"""Stock2Shop's own first one: a rehearsal is the first contact with an empty source."""

DIFFERS = re.compile("databases (differ in [^:]+)(?:: (.+))?")
"""What a translated view says of values that databases take in different ways."""

NULLS_LARGE = frozenset({"postgres", "oracle", "redshift", "snowflake"})
"""Dialects that sort NULL after all values; the others sort it before them."""

LARGE_NULLS = "set default_null_order = 'nulls_last_on_asc_first_on_desc'"
SMALL_NULLS = "set default_null_order = 'nulls_first_on_asc_last_on_desc'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of one entity's view on the fixtures.

    ``query`` is the view in the project's own dialect. ``documents`` are the keys and the items as they would be sent,
    by key, with numbers as :class:`~decimal.Decimal` or int. ``quarantine`` and ``warnings`` are complete, by rule and
    key. ``notes`` tell people what is not as in a live run.
    """

    entity: str
    query: Query
    documents: tuple[tuple[str, Mapping[str, Any]], ...]
    quarantine: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    failed: tuple[FailedTest, ...]
    counts: Counts
    notes: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The view, rendered for the project's own dialect."""
        return self.query.sql


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureDatabase:
    """The fixtures of several projects in one file, and one state to throw away.

    ``schemas`` are where each project's fixtures stand, by the project's folder; ``faults`` why they do not.
    """

    state: State
    database: Path
    schemas: Mapping[Path, str]
    tables: Mapping[Path, tuple[str, ...]]
    faults: Mapping[Path, FixtureError]


class FixtureSession:
    """Where rehearsals are run. Nothing is made before the first one needs it."""

    def __init__(self, projects: Sequence[Project], stack: ExitStack) -> None:
        self._projects = projects
        self._stack = stack
        self._loaded: FixtureDatabase | None = None

    def load(self) -> FixtureDatabase:
        """The fixtures of all projects, loaded when this is first asked for. One database serves all of them."""
        if self._loaded is None:
            self._loaded = _load(self._projects, self._stack)
        return self._loaded


@contextmanager
def rehearsals(projects: Sequence[Project]) -> Iterator[FixtureSession]:
    """A stage for rehearsals of ``projects``; what is made for them is gone when this ends."""
    with ExitStack() as stack:
        yield FixtureSession(projects, stack)


def _load(projects: Sequence[Project], stack: ExitStack) -> FixtureDatabase:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True)))
    database = folder / "fixtures.duckdb"
    schemas: dict[Path, str] = {}
    tables: dict[Path, tuple[str, ...]] = {}
    faults: dict[Path, FixtureError] = {}
    with building(database) as connection:
        for project in projects:
            if not has_fixtures(project.root) or project.root in schemas:
                continue
            schemas[project.root] = f"client{len(schemas)}"
            try:
                tables[project.root] = load_fixtures(connection, project.root, schema=schemas[project.root])
            except FixtureError as error:
                faults[project.root] = error
        freeze_time(connection, list(schemas.values()))
    # Held open, so that each rehearsal's own connection finds the database already there.
    stack.enter_context(open_source(SourceSettings(dialect="duckdb", database=database)))
    state = stack.enter_context(in_memory_state(folder / "state.duckdb"))
    return FixtureDatabase(state=state, database=database, schemas=schemas, tables=tables, faults=faults)


@contextmanager
def in_memory_state(path: Path) -> Iterator[State]:
    """A state to throw away, for a few dozen rows: they need neither a file nor a good plan, which take time."""
    with open_state(path, cached_scripts=256) as state:
        state.run("detach run; attach ':memory:' as run; pragma disable_optimizer")
        yield state


def run_on_fixtures(stage: FixtureSession, project: Project, entity: str) -> Rehearsal:
    """Run the view of ``entity`` on the project's fixtures.

    Raises :class:`RenderError` and :class:`ViewError` as a check does, :class:`FixtureError` where the fixtures are
    wrong or lack what the view reads, and :class:`ViewError` that names the construct where the view cannot be
    transpiled.
    """
    loaded = stage.load()
    if project.root in loaded.faults:
        raise loaded.faults[project.root]
    if project.root not in loaded.schemas:
        raise FixtureError(
            [
                Diagnostic(
                    path=project.root / "fixtures",
                    message=f"{project.name} has no fixtures.",
                    hint=f"Make them from the live source with `s2s fixtures capture {project.name}`, or write"
                    " fixtures/<table>.csv.",
                )
            ]
        )
    query = render_checked_view(project, entity).query
    work, notes = compared(loaded, project, entity, query)
    state, layout = loaded.state, work.staged.layout
    upto = work.cuts[-1] if work.cuts else 0
    load_window(state, layout, after=0, upto=upto)
    rows = state.dicts(render_sql("batch.sql", fields=layout.fields, shared=layout.shared, after=0, upto=upto))
    body = payload.document(
        entity,
        rows,
        fields=layout.fields,
        source_id=project.stock2shop.source_id,
        sync_token=SYNC_TOKEN,
        default_price_tier=work.settings.default_price_tier,
    )
    (items,) = json.loads(body, parse_float=Decimal).values()
    documents = sorted(zip([str(row["_key"]) for row in rows], items, strict=True), key=lambda pair: pair[0])
    return Rehearsal(
        entity=entity,
        query=query,
        documents=tuple(documents),
        quarantine=problems(state, entity, "violation", limit=None, reveal=True),
        warnings=problems(state, entity, "warning", limit=None, reveal=True),
        failed=expectations.run_data_tests(state, project, work.staged, live=False),
        counts=work.counts,
        notes=notes,
    )


def compared(
    loaded: FixtureDatabase,
    project: Project,
    entity: str,
    query: Query,
    *,
    state: State | None = None,
    fixtures: Path | None = None,
) -> tuple[Comparison, tuple[str, ...]]:
    """Compare the view's rows on the fixtures with what ``state`` has as acknowledged, and say what is not as live.

    The state is the loaded one, and the fixtures are those of the project's folder, unless others are given.
    """

    def run(sql: Query, *session: str) -> Comparison:
        return _run(
            loaded,
            project,
            entity,
            sql,
            state=state or loaded.state,
            fixtures=fixtures or project.root,
            session=session,
        )

    dialect = project.source.dialect
    if dialect == "duckdb":
        try:
            return run(query), ()
        except QueryError as error:
            raise _wanting(error, loaded, project, query) from None
    # To find places the templates are rendered once more: only where somebody is told of them.
    placeless = replace(query, source_map=None)
    first: ViewError | QueryError
    try:
        return run(replace(query, sql=_transpiled(placeless, dialect))), ()
    except (ViewError, QueryError) as error:
        first = error
    try:
        if isinstance(first, QueryError) and DIFFERS.search(first.said):
            raise first  # what macros write for DuckDB would not even notice
        work = run(_own(project, entity, query, dialect), LARGE_NULLS if dialect in NULLS_LARGE else SMALL_NULLS)
    except (ConfigError, QueryError):
        raise _told(first, loaded, project, query) from None
    (said, *_) = _told(first, loaded, project, placeless).faults
    why = f"because the view in {dialect} cannot be transpiled: {said.message}"
    return work, (f"{entity} was rehearsed in DuckDB's own SQL, {why}",)


def _told(first: ViewError | QueryError, loaded: FixtureDatabase, project: Project, query: Query) -> ConfigError:
    """What was wrong with the translation, at the places that ``query`` can tell."""
    if isinstance(first, QueryError):
        return _wanting(first, loaded, project, query)
    if query.source_map is not None:
        try:
            _transpiled(query, project.source.dialect)
        except ViewError as error:
            return error
    return first


def _transpiled(query: Query, dialect: str) -> str:
    from engine.mapping.transpile.to_duckdb import to_duckdb

    return to_duckdb(query, dialect=dialect)


def _own(project: Project, entity: str, query: Query, dialect: str) -> Query:
    """The view with the macros' own SQL for DuckDB, if nothing else of it means something else there."""
    from engine.mapping.transpile.to_duckdb import check_own_sql

    own = render_view(project, entity, dialect="duckdb")
    check_own_sql(own, query, dialect=dialect)
    return own


def _run(
    loaded: FixtureDatabase,
    project: Project,
    entity: str,
    query: Query,
    *,
    state: State,
    fixtures: Path,
    session: Sequence[str] = (),
) -> Comparison:
    offline = replace(
        project,
        state=state.path,
        source=SourceSettings(
            dialect="duckdb",
            database=loaded.database,
            session=("set threads = 1", f"set schema = '{loaded.schemas[fixtures]}'", *session),
        ),
    )
    return compare(
        state,
        offline,
        entity,
        SYNC_TOKEN,
        # Nothing of another project's rehearsal is taken for known.
        options=RunOptions(full=True),
        stop=threading.Event(),
        query=query,
    )


def _wanting(error: QueryError, loaded: FixtureDatabase, project: Project, query: Query) -> ConfigError:
    """What DuckDB refused, as what is wrong with the fixtures or with the view."""
    said = error.said
    at = locate_error(query, said, dialect=project.source.dialect)
    table = re.search(r"(?i)Table with name \"?([\w$ ]+?)\"? does not exist", said)
    column = re.search(r"(?i)column \"?([\w$ .]+?)\"? not found|does not have a column named \"(.+?)\"", said)
    folder = project.root / "fixtures"
    if table:
        known = ", ".join(loaded.tables.get(project.root, ()))
        message = f"The view reads the table {table[1]}, of which there is no fixture."
        hint = (
            f"Write {folder / (table[1].lower() + '.csv')}, or capture it: s2s fixtures capture {project.name}."
            f" There are: {known or 'none'}."
        )
        found = re.search(rf"(?i)(?:from|join|,)\s+[\w.\[\"`]*?(?<!\w){re.escape(table[1])}(?![\w.])", query.sql)
        at = found.end() - len(table[1]) if found else find_word(query.sql, table[1])
    elif column:
        name = (column[1] or column[2]).rpartition(".")[2]
        message = f"The view reads the column {name}, which the fixtures do not have: {_first(said)}"
        hint = (
            f"Add it to its table's file in {folder}, or capture again with"
            f" `s2s fixtures capture {project.name} --replace`."
        )
        at = find_word(query.sql, name)
    elif differs := DIFFERS.search(re.sub(r"\s+", " ", said)):
        message = f"The view cannot be rehearsed on the fixtures as the database would run it: databases {differs[1]}."
        instead = differs[2] or "write it in another way"
        lead = "Import macros/dialect.sql as sql, and " if "sql." in instead else ""
        hint = f"{lead}{instead if lead else instead.capitalize()}."
    else:
        message = f"The view does not run on the fixtures: {_first(said)}"
        hint = (
            "Where a column's type is the reason, say it in the fixture's header, as in code:text or"
            " qty:decimal(12,2); where a function is, use the macro that writes it for every dialect."
        )
    return FixtureError([diagnostic_at(query, at, message, hint)])


def _first(said: str) -> str:
    """DuckDB's own words, without all the functions that it would have taken instead."""
    return (said.partition("The database says: ")[2] or said).partition(" Candidate functions:")[0]


def entities(project: Project) -> tuple[str, ...]:
    """The project's entities in the contract's order."""
    return tuple(name for name in ENTITIES if name in project.entities)
