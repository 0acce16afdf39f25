"""Run a project's views on its fixtures, through the same steps as a live run.

The source is replaced by a DuckDB file that the fixtures were loaded into, and the state by a temporary one. Staging,
validation, comparison and documents are those of :func:`engine.sync.compare.compare` and
:mod:`engine.sync.documents`, so that the results cannot differ from a live run's.

How a view in another dialect is run on DuckDB:

1. Render it for its own dialect, check it as a live run would, and transpile the whole text to DuckDB's SQL.
2. Where that fails, render it with ``dialect = "duckdb"``, so that macros write DuckDB's own SQL, and run it without
   transpiling. DuckDB refuses what it does not know.
3. Where that fails too, report the error of step 1: it names the construct, and the macro to use instead.

A text is never a mixture: transpiling what macros have already written for DuckDB would read one language as another,
and where a double quote means a name in one and a text in the other, the result would be wrong without an error.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.open import open_source
from engine.errors import ConfigError, Diagnostic, FixtureError, QueryError, ViewError
from engine.files import WorkspaceFiles, list_paths
from engine.mapping.engine_sql import render_sql
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.model.settings import SourceSettings
from engine.quoting import ident
from engine.state.store import open_state
from engine.sync import data_tests as expectations
from engine.sync.compare import Comparison, compare
from engine.sync.context import RunContext, RunOptions
from engine.sync.documents import Documents
from engine.sync.layout import Window
from engine.sync.stage import load_window
from engine.sync.validate import problems
from engine.testing.assumptions import assume, require_usual_session
from engine.testing.catalogue_types import read_rows
from engine.testing.column_types import Capture, read_capture
from engine.testing.fixture_database import (
    DEFAULT_TIME,
    create_fixture_database,
    freeze_time,
    load_fixtures,
    uncollated_texts,
)
from engine.testing.fixtures import has_fixtures
from engine.testing.limits import MAX_SECONDS, MEMORY_LIMIT, RowLimit, limited, rare_collections
from engine.testing.own_rendering import UndecidedBranchError, render_own_sql
from engine.testing.row_order import require_certain_order
from engine.testing.run_errors import DIALECT_DIFFERENCE, explain_error, lacks_fixture
from engine.testing.session_settings import read_statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.mapping.transpile.kinds import Columns
    from engine.model.plan import Counts, Problem
    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.state.store import State
    from engine.sync.data_tests import FailedTest

SYNC_TOKEN = "0"  # noqa: S105 - a version that Stock2Shop counts, no secret
"""The token of a Stock2Shop source that has never been synced, which is what an offline run begins with."""

DIALECTS_SORTING_NULLS_HIGH = frozenset({"postgres", "oracle", "redshift", "snowflake"})
"""Dialects that sort NULL after all values; the others sort it before them."""

DIALECTS_IGNORING_CASE = frozenset({"tsql", "mysql"})
"""Dialects whose usual collations ignore case."""

FIXTURE_SETTINGS = (
    "set threads = 1",
    # To DuckDB 2.0 an interval of 30 days equals one of a month, and so may be put in its place.
    "set disabled_optimizers = 'common_subexpressions'",
    f"set memory_limit = '{MEMORY_LIMIT}'",
)
"""Settings of the database of fixtures. They hold for all of its connections."""

USUAL_SETTINGS = ("set default_null_order = 'nulls_last'", "set default_collation = ''")
"""What one project's session may set otherwise. To DuckDB it is one setting for all connections, so each begins so."""

SORT_NULLS_HIGH = "set default_null_order = 'nulls_last_on_asc_first_on_desc'"
SORT_NULLS_LOW = "set default_null_order = 'nulls_first_on_asc_last_on_desc'"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureResult:
    """The result of running one entity's view on the fixtures.

    ``query`` is the view in the project's own dialect. ``documents`` are pairs of a key and the item as it would be
    sent, sorted by key, with numbers as :class:`~decimal.Decimal` or int. ``quarantine`` and ``warnings`` are complete,
    sorted by rule and key. ``failed`` are the data tests that failed. ``notes`` say what differs from a live run, and
    ``assumptions`` what the fixtures do not say and the run took for granted.
    """

    entity: str
    query: Query
    documents: tuple[tuple[str, Mapping[str, Any]], ...]
    quarantine: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    failed: tuple[FailedTest, ...]
    counts: Counts
    notes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The view, rendered for the project's own dialect."""
        return self.query.sql


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureDatabase:
    """The fixtures of several projects in one DuckDB file, and a temporary state.

    ``schemas`` and ``tables`` have the schema of each project and the kinds of its tables' columns, by the project's
    folder; ``captures`` what is known of their capture, and ``faults`` the errors of projects whose fixtures could not
    be loaded; ``uncollated`` the texts that the database may compare without regard to case, and of whose columns no
    collation is known.
    """

    state: State
    database: Path
    schemas: Mapping[Path, str]
    tables: Mapping[Path, Columns]
    captures: Mapping[Path, Capture]
    faults: Mapping[Path, ConfigError]
    uncollated: Mapping[Path, frozenset[str]]


class FixtureSession:
    """Runs views of several projects on their fixtures. The database is made when it is first needed."""

    def __init__(self, projects: Sequence[Project], stack: ExitStack) -> None:
        self._projects = projects
        self._stack = stack
        self._loaded: FixtureDatabase | None = None

    def load(self) -> FixtureDatabase:
        """The fixtures of all projects, loaded on the first call."""
        if self._loaded is None:
            self._loaded = _load_all_fixtures(self._projects, self._stack)
        return self._loaded


@contextmanager
def fixture_session(projects: Sequence[Project]) -> Iterator[FixtureSession]:
    """A session for rehearsals of ``projects``; what is made for them is gone when this ends."""
    with ExitStack() as stack:
        stack.enter_context(rare_collections())
        yield FixtureSession(projects, stack)


def _load_all_fixtures(projects: Sequence[Project], stack: ExitStack) -> FixtureDatabase:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2s-", ignore_cleanup_errors=True)))
    database = folder / "fixtures.duckdb"
    schemas: dict[Path, str] = {}
    clocks: dict[str, datetime | None] = {}
    tables: dict[Path, Columns] = {}
    captures: dict[Path, Capture] = {}
    faults: dict[Path, ConfigError] = {}
    uncollated: dict[Path, frozenset[str]] = {}
    with create_fixture_database(database) as connection:
        for project in projects:
            if not has_fixtures(project.root) or project.root in schemas:
                continue
            schemas[project.root] = schema = f"client{len(schemas)}"
            captures[project.root], clocks[schema] = Capture(), None
            files = WorkspaceFiles.of(project.workspace, project.root)
            try:
                captures[project.root] = read_capture(project.root / "fixtures", files)
                clocks[schema] = captures[project.root].database_time
                tables[project.root] = load_fixtures(
                    connection,
                    project.root,
                    schema=schema,
                    dialect=project.source.dialect,
                    files=files,
                )
                if project.source.dialect in DIALECTS_IGNORING_CASE:
                    uncollated[project.root] = uncollated_texts(connection, tables[project.root])
            except ConfigError as error:
                faults[project.root] = error
        moments = freeze_time(connection, clocks)
    for root, schema in schemas.items():
        captures[root] = replace(captures[root], moment=captures[root].moment or moments[schema])
    # Held open, so that each run's own connection finds the database already loaded.
    stack.enter_context(open_source(SourceSettings(dialect="duckdb", database=database, session=FIXTURE_SETTINGS)))
    state = stack.enter_context(in_memory_state(folder / "state.duckdb"))
    return FixtureDatabase(
        state=state,
        database=database,
        schemas=schemas,
        tables=tables,
        captures=captures,
        faults=faults,
        uncollated=uncollated,
    )


@contextmanager
def in_memory_state(path: Path) -> Iterator[State]:
    """A temporary state for a few dozen rows: in memory, and without query optimization, which would cost more time."""
    with open_state(path) as state:
        state.run("detach run; attach ':memory:' as run; pragma disable_optimizer")
        yield state


def run_on_fixtures(session: FixtureSession, project: Project, entity: str) -> FixtureResult:
    """Run the view of ``entity`` on the project's fixtures.

    Raises :class:`RenderError` and :class:`ViewError` as a check does, :class:`FixtureError` where the fixtures are
    wrong or lack what the view reads, or its rows depend on the order of theirs, and :class:`ViewError` that names the
    construct where the view cannot be transpiled.
    """
    loaded = session.load()
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
    ran = run_view(loaded, project, entity, query)
    require_certain_order(ran.source, ran.query, query, loaded.tables[project.root])
    comparison, notes = ran.comparison, ran.notes
    state, layout = loaded.state, comparison.staged.layout
    everything = Window(0, comparison.batch_ends[-1] if comparison.batch_ends else 0)
    load_window(state, layout, everything)
    made = Documents(
        layout=layout,
        source_id=project.stock2shop.source_id,
        sync_token=SYNC_TOKEN,
        prices=comparison.settings.prices,
    ).rows(state, everything)
    documents = [(str(row["_key"]), json.loads(row["item"], parse_float=Decimal)) for row in made]
    with data_test_limits(loaded, project, state):
        failed = expectations.run_data_tests(state, project, comparison.staged, live=False)
    return FixtureResult(
        entity=entity,
        query=query,
        documents=tuple(sorted(documents, key=lambda pair: pair[0])),
        quarantine=problems(state, entity, "violation", limit=None, reveal=True),
        warnings=problems(state, entity, "warning", limit=None, reveal=True),
        failed=failed,
        counts=comparison.counts,
        notes=notes,
        assumptions=assume(project, query, uncollated=loaded.uncollated.get(project.root, frozenset())),
    )


@contextmanager
def data_test_limits(loaded: FixtureDatabase, project: Project, state: State) -> Iterator[None]:
    """Within it the data tests of ``project`` see the time at which its fixtures were captured, and have to end."""
    if list_paths(project.root / "tests", "*.sql"):
        capture = loaded.captures.get(project.root, Capture())
        state.run(render_sql("clock.sql", schema=None, moment=capture.moment or DEFAULT_TIME))
    with limited(project.root / "tests", "A data test", interrupt=state.interrupt):
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class RanView:
    """A view that was run on fixtures: what came of it, in which of DuckDB's SQL, and over which source.

    ``notes`` say what is not as live.
    """

    comparison: Comparison
    query: Query
    source: SourceSettings
    notes: tuple[str, ...] = ()


def run_view(
    loaded: FixtureDatabase,
    project: Project,
    entity: str,
    query: Query,
    *,
    state: State | None = None,
    fixtures: Path | None = None,
) -> RanView:
    """Run the view over the fixtures, and compare its rows with what ``state`` has as published.

    The state is the session's, and the fixtures are those of the project's folder, unless others are given. Raises
    :class:`ConfigError` where the view does not run.
    """

    def run(sql: Query, *session: str) -> RanView:
        source = _fixture_source(loaded, fixtures or project.root, session)
        if dialect == "sqlite":
            sql = replace(sql, sql=_with_floats(sql.sql, source))
        comparison = _compare_rows(replace(project, source=source), entity, sql, state or loaded.state)
        return RanView(comparison=comparison, query=sql, source=source)

    dialect = project.source.dialect
    require_usual_session(project, loaded.captures.get(fixtures or project.root), fixtures or project.root)
    if dialect == "duckdb":
        try:
            return run(query, *read_statements(project.source.session, dialect).followed)
        except QueryError as error:
            raise _explain(error, loaded, project, query) from None
    # Finding line numbers renders the templates again, so it is done only for an error that is reported.
    placeless = replace(query, source_map=None)
    first: ViewError | QueryError
    try:
        return run(replace(query, sql=_transpile(placeless, dialect, loaded, fixtures or project.root)))
    except (ViewError, QueryError) as error:
        first = error
    try:
        if isinstance(first, QueryError) and DIALECT_DIFFERENCE.search(first.bare_message):
            raise first  # DuckDB's own SQL would give another value without an error
        if isinstance(first, ViewError) and _is_refused_live(first):
            raise first  # macros write the same for the database, which refuses it there
        ran = run(
            render_own_sql(project, entity, query, loaded.tables.get(fixtures or project.root)),
            SORT_NULLS_HIGH if dialect in DIALECTS_SORTING_NULLS_HIGH else SORT_NULLS_LOW,
        )
    except QueryError as error:
        if lacks_fixture(error):  # which is what is wrong, whatever was refused before
            raise _explain(error, loaded, project, query) from None
        raise _translation_error(first, loaded, project, query) from None
    except UndecidedBranchError as error:
        translation = _translation_error(first, loaded, project, query)
        raise ViewError([*translation.diagnostics, *error.diagnostics]) from None
    except ConfigError:
        raise _translation_error(first, loaded, project, query) from None
    (fault, *_) = _translation_error(first, loaded, project, placeless).diagnostics
    why = f"because the view in {dialect} cannot be transpiled: {fault.message}"
    return replace(ran, notes=(f"{entity} was run in DuckDB's own SQL, {why}",))


def _is_refused_live(error: ViewError) -> bool:
    from engine.mapping.transpile.facts import refuses_for_sure

    return any(refuses_for_sure(fault.message) for fault in error.diagnostics)


def _translation_error(
    first: ViewError | QueryError, loaded: FixtureDatabase, project: Project, query: Query
) -> ConfigError:
    """What was wrong with the translation, at the places that ``query`` can tell."""
    if isinstance(first, QueryError):
        return _explain(first, loaded, project, query)
    if query.source_map is not None:
        try:
            _transpile(query, project.source.dialect, loaded, project.root)
        except ViewError as error:
            return error
    return first


def _explain(error: QueryError, loaded: FixtureDatabase, project: Project, query: Query) -> ConfigError:
    """What is wrong with the fixtures or the view, and where: the first part of the view that fails, too."""
    tables = loaded.tables.get(project.root, {})
    dialect = project.source.dialect
    offset = None
    if dialect != "duckdb" and query.source_map is not None and not lacks_fixture(error):
        from engine.mapping.transpile.to_duckdb import split_view

        with suppress(ViewError), open_source(_fixture_source(loaded, project.root, ())) as connection:
            for place, sql in split_view(query, dialect=dialect, columns=tables):
                try:
                    deque(connection.read(sql), maxlen=0)
                except QueryError:
                    offset = place
                    break
    return explain_error(error, project, query, tables=tuple(tables), offset=offset)


def _transpile(query: Query, dialect: str, loaded: FixtureDatabase, fixtures: Path) -> str:
    from engine.mapping.transpile.to_duckdb import to_duckdb

    return to_duckdb(query, dialect=dialect, columns=loaded.tables.get(fixtures))


def _fixture_source(loaded: FixtureDatabase, fixtures: Path, session: Sequence[str]) -> SourceSettings:
    """The fixtures of a project's folder as a source, with further statements for its session."""
    return SourceSettings(
        dialect="duckdb",
        database=loaded.database,
        session=(f"set schema = '{loaded.schemas[fixtures]}'", *USUAL_SETTINGS, *session),
        query_timeout=MAX_SECONDS,
    )


def _with_floats(sql: str, source: SourceSettings) -> str:
    """A view of SQLite's in DuckDB's SQL with its decimals as floating numbers, which all of them are there."""
    try:
        with open_source(source) as connection:
            rows = list(read_rows(connection, f"describe {sql}"))
    except QueryError:  # which the view itself tells better
        return sql
    decimals = [ident(str(name), "duckdb") for name, kind, *_ in rows if str(kind).startswith("DECIMAL")]
    if not decimals:
        return sql
    replaced = ", ".join(f"cast({name} as double) as {name}" for name in decimals)
    view = sql.rstrip().rstrip(";")
    return f"select * replace ({replaced}) from (\n{view}\n)"  # noqa: S608 - names in quotes, and a checked view


def _compare_rows(project: Project, entity: str, query: Query, state: State) -> Comparison:
    limit = RowLimit()
    context = RunContext(
        state=state,
        project=replace(project, state=state.path),
        entity=entity,
        ask_sync_token=lambda: SYNC_TOKEN,
        # The state may hold fingerprints of another project.
        options=RunOptions(full=True),
        cancel=limit.cancel,
        progress=limit,
    )
    with limited(query.path, "The view", interrupt=limit.cancel.set, rows=limit):
        return compare(context, query=query)


def entities(project: Project) -> tuple[str, ...]:
    """The entities that a project maps, in the order of :data:`engine.model.fields.ENTITIES`."""
    return tuple(name for name in ENTITIES if name in project.entities)
