r"""Snapshots: the results of a mapping as files under ``snapshots/<project>/``, committed and read in pull requests.

- ``<entity>.sql``: the view as it is rendered for the project's own dialect. It is not reformatted, because a new
  release of a formatter would change every client's file, drop comments, and fail on dialects it does not know. Only
  line ends, trailing blanks and repeated blank lines are normalized, outside of quotes.
- ``<entity>.json``: the documents for the rows of the fixtures, sorted by key, as they would be sent. Keys of objects
  are sorted; an object in a list that holds only plain values stands on one line.
- ``quarantine.json``: the rows that would be quarantined, and why.
- ``mapping.md``: which source columns feed which Stock2Shop field.
- ``orders.sql``: what raising the order in ``fixtures/order.json`` would run, with a ``?`` for every value, and the
  values.

Files are UTF-8, have ``\n`` line ends and end with one; a checkout with ``\r\n`` compares as equal.
"""

from __future__ import annotations

import difflib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Literal

from engine.config.workspace import discover
from engine.errors import ConfigError, Diagnostic, FixtureError, OrderError, ViewError
from engine.files import WorkspaceFiles, is_dir, is_file, list_paths
from engine.mapping.render import render_view
from engine.mapping.views import render_checked_view
from engine.model.fields import ENTITIES
from engine.orders import document as inbox
from engine.orders.plan import display_value, plan_queries
from engine.orders.rules import RuleError, check_order
from engine.quoting import regions
from engine.sync.data_tests import data_tests
from engine.testing.fixture_run import entities, run_on_fixtures
from engine.testing.fixtures import has_fixtures
from engine.testing.result_cache import cache_key, load, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from engine.model.query import Query
    from engine.model.settings import Project
    from engine.sync.data_tests import DataTest, FailedTest
    from engine.testing.fixture_run import FixtureResult, FixtureSession


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSnapshots:
    """The snapshots of one project by file name, the names of its data tests, those that failed, and notes to print.

    ``ran_on_fixtures`` is false where there are no fixtures: then only SQL and mapping are compared.
    """

    project: str
    folder: Path
    files: Mapping[str, str]
    ran_on_fixtures: bool
    tests: tuple[str, ...]
    failed: tuple[FailedTest, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDifference:
    """A snapshot that differs from the committed file; ``diff`` is a unified diff from that file to the new one."""

    path: Path
    state: Literal["changed", "missing", "unused"]
    diff: str


def snapshot_folder(project: Project) -> Path:
    """The folder that a project's snapshots are in."""
    return project.workspace / "snapshots" / project.name


def build_snapshots(session: FixtureSession, project: Project) -> ProjectSnapshots:
    """Make all snapshots of ``project``, from the cache where nothing has changed.

    1. Render data tests, order statements and views.
    2. Look in the cache for a result of the same inputs.
    3. Otherwise run each view on the fixtures; without fixtures there are no documents and no quarantine, as a note
       says.

    Raises :class:`ConfigError` with the faults of all entities.
    """
    faults: list[Diagnostic] = []
    queries: dict[str, Query] = {}
    tests: tuple[DataTest, ...] = ()
    statements: str | None = None
    try:
        tests = data_tests(project)
    except ConfigError as error:
        faults += error.diagnostics
    try:
        statements = render_order_statements(project)
    except ConfigError as error:
        faults += error.diagnostics
    for entity in entities(project):
        try:
            queries[entity] = render_view(project, entity)
        except ConfigError as error:
            faults += error.diagnostics
    ran_on_fixtures = has_fixtures(project.root)
    rendered = [f"{test.name} {test.severity} {test.query.sql} {test.query.binds!r}" for test in tests]
    rendered += [f"{entity} {query.sql}" for entity, query in queries.items()]
    key = cache_key(project, [*rendered, statements or ""])
    cached = None if faults else load(project, key)
    # A view that was run in DuckDB's own SQL depends on how its macros rendered for DuckDB as well.
    if cached is None or cached["duckdb_digests"] != _duckdb_digests(project, cached["duckdb_digests"]):
        cached = _run_all(session, project, faults, ran_on_fixtures=ran_on_fixtures)
        if statements is not None:
            cached["files"]["orders.sql"] = statements
        cached["files"] = {name: f"{text.strip(chr(10))}\n" for name, text in sorted(cached["files"].items())}
        store(project, key, **cached)
    if list_paths(project.root / "orders", "*.sql") and statements is None:
        cached["notes"] = (
            *cached["notes"],
            "Its order statements are not compared: there is no order in fixtures/order.json.",
        )
    return ProjectSnapshots(
        project=project.name,
        folder=snapshot_folder(project),
        files=cached["files"],
        ran_on_fixtures=ran_on_fixtures,
        tests=tuple(test.name for test in tests),
        failed=tuple(cached["failed"]),
        notes=tuple(cached["notes"]),
    )


def _run_all(
    session: FixtureSession, project: Project, faults: list[Diagnostic], *, ran_on_fixtures: bool
) -> dict[str, Any]:
    """Run all views, and give what the cache stores; ``faults`` are those found so far."""
    results: list[FixtureResult] = []
    queries: dict[str, Query] = {}
    for entity in entities(project):
        try:
            if ran_on_fixtures:
                results.append(run_on_fixtures(session, project, entity))
                queries[entity] = results[-1].query
            else:
                queries[entity] = render_checked_view(project, entity).query
        except ConfigError as error:
            faults += error.diagnostics
    if faults:
        raise ViewError(list(dict.fromkeys(faults)))
    files = {f"{entity}.sql": normalize_sql(query.sql, project.source.dialect) for entity, query in queries.items()}
    files |= {f"{each.entity}.json": format_json([document for _, document in each.documents]) for each in results}
    notes = [note for each in results for note in each.notes]
    notes += dict.fromkeys(assumption for each in results for assumption in each.assumptions)
    if results:
        files["quarantine.json"] = format_json(
            {
                each.entity: [
                    {"key": row.key, "column": row.column, "rule": row.rule, "value": row.value, "reason": row.reason}
                    for row in each.quarantine
                ]
                for each in results
            }
        )
    else:
        notes.append(
            f"{project.name} has no fixtures, so only its SQL and its mapping are compared:"
            f" s2s fixtures capture {project.name}"
        )
    files["mapping.md"] = _mapping_page(project, queries)
    return {
        "files": files,
        "notes": notes,
        "failed": [test for each in results for test in each.failed],
        "duckdb_digests": _duckdb_digests(project, [each.entity for each in results if each.notes]),
    }


def _duckdb_digests(project: Project, names: Iterable[str]) -> dict[str, str]:
    """Digests of the views as rendered for DuckDB, for the entities in ``names``."""
    with suppress(ConfigError):
        return {entity: render_view(project, entity, dialect="duckdb").digest for entity in names}
    return {}


def compare_snapshots(produced: ProjectSnapshots) -> tuple[SnapshotDifference, ...]:
    """How the committed snapshots differ from ``produced``, sorted by path."""
    found = []
    for name, text in produced.files.items():
        path = produced.folder / name
        committed = read_snapshot(produced.folder, name)
        if committed is None:
            found.append(SnapshotDifference(path=path, state="missing", diff=_unified_diff(path, "", text)))
        elif committed != text:
            found.append(SnapshotDifference(path=path, state="changed", diff=_unified_diff(path, committed, text)))
    for path in unused_files(produced.folder, produced.files):
        committed = read_snapshot(produced.folder, path) or ""
        found.append(SnapshotDifference(path=path, state="unused", diff=_unified_diff(path, committed, "")))
    return tuple(sorted(found, key=lambda each: each.path))


def update_snapshots(produced: ProjectSnapshots) -> tuple[SnapshotDifference, ...]:
    """Write the snapshots that differ and delete those that no longer exist; gives the differences."""
    differences = compare_snapshots(produced)
    for each in differences:
        if each.state == "unused":
            remove_snapshot(produced.folder, each.path)
        else:
            write_snapshot(produced.folder, each.path.name, produced.files[each.path.name])
    return differences


def unused_files(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The files in ``folder`` and below that are not snapshots of the project, which has those called ``names``."""
    known = {folder / name for name in names}
    _files(folder).resolve(folder)
    return tuple(
        path
        for path in sorted(folder.glob("**/*"))
        if is_file(path) and path not in known and not path.name.startswith(".")
    )


def orphaned_folders(workspace: Path) -> tuple[Path, ...]:
    """The folders under ``snapshots/`` that no project of the workspace has the name of."""
    names = set(discover(workspace))
    paths = WorkspaceFiles((workspace,)).list_paths(workspace / "snapshots", "*")
    return tuple(path for path in paths if is_dir(path) and path.name not in names)


def read_snapshot(folder: Path, name: str | Path) -> str | None:
    r"""A committed snapshot with ``\n`` line ends, or None where there is none.

    Raises :class:`FixtureError` where it is not UTF-8.
    """
    path = folder / name
    try:
        return _files(folder).read(path).decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise FixtureError(
            [Diagnostic(path=path, message="The snapshot is not UTF-8.", hint="Write it again: s2s test --update.")]
        ) from None


def write_snapshot(folder: Path, name: str, text: str) -> None:
    """Write a snapshot as UTF-8, with the line ends that it has."""
    _files(folder).write(folder / name, text.encode("utf-8"))


def remove_snapshot(folder: Path, path: Path) -> None:
    """Delete a file of a project's snapshot folder."""
    _files(folder).remove(path)


def remove_orphaned_folder(workspace: Path, folder: Path) -> None:
    """Delete a folder that :func:`orphaned_folders` gave."""
    WorkspaceFiles((workspace,)).remove(folder)


def _files(folder: Path) -> WorkspaceFiles:
    """The files of the workspace that a project's snapshot folder is in."""
    return WorkspaceFiles((folder.parents[1],))


def normalize_sql(sql: str, dialect: str) -> str:
    r"""Rendered SQL without ``\r``, trailing blanks and repeated blank lines; quoted text stays as it is."""
    sql = sql.replace("\r\n", "\n")
    parts, position = [], 0
    for region in regions(sql, dialect):
        if region.kind == "comment":
            continue
        parts += [_normalize_blanks(sql[position : region.start]), sql[region.start : region.end]]
        position = region.end
    return "".join([*parts, _normalize_blanks(sql[position:])])


def _normalize_blanks(text: str) -> str:
    *lines, last = text.split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*(line.rstrip(" \t") for line in lines), last]))


def format_json(value: object) -> str:
    """``value`` as JSON that reads well in a diff: sorted keys, all digits of a number, plain items on one line."""
    parts: list[str] = []
    _append_json(value, "\n", parts.append, inline=False)
    return "".join(parts)


def _append_json(value: object, lead: str, put: Callable[[str], None], *, inline: bool) -> None:
    """Call ``put`` with the parts of ``value``; ``lead`` is a line end with the indentation of its depth."""
    if isinstance(value, str):
        put(encode_basestring(value))
    elif isinstance(value, dict) and value:
        plain = inline and not any(isinstance(item, (dict, list)) for item in value.values())
        gap = "" if plain else f"{lead}  "
        put("{" + gap)
        between = ", " if plain else f",{gap}"
        for number, key in enumerate(sorted(value)):
            put(f"{between if number else ''}{encode_basestring(key)}: ")
            _append_json(value[key], gap, put, inline=False)
        put("}" if plain else f"{lead}}}")
    elif isinstance(value, list) and value:
        put("[")
        for number, item in enumerate(value):
            put(f",{lead}  " if number else f"{lead}  ")
            _append_json(item, f"{lead}  ", put, inline=True)
        put(f"{lead}]")
    elif isinstance(value, Decimal):
        put(format(value, "f"))
    else:
        put(json.dumps(value))


def render_order_statements(project: Project) -> str | None:
    """The statements that raising the order in ``fixtures/order.json`` would run, with their values as comments.

    The order is a document as Stock2Shop sends it. None where the project raises no orders, or has no such file. Raises
    :class:`FixtureError` where the document cannot be read.
    """
    path = project.root / "fixtures" / "order.json"
    settings = project.orders
    if settings is None or not is_file(path):
        return None
    try:
        content = WorkspaceFiles.of(project.workspace, project.root).read(path)
        order = inbox.read_order(inbox.parse_document(content), settings, source_id=project.stock2shop.source_id)
    except OrderError as error:
        hint = error.hint or "Write an order as Stock2Shop has it: `s2s help orders`."
        raise FixtureError([Diagnostic(path=path, message=error.message, hint=hint)]) from None
    parts = []
    try:
        check_order(project, order, settings)
    except RuleError as broken:
        parts.append(f"-- This order would wait: {broken.reason}.\n")
    shown: set[str] = set()
    for statement, query in plan_queries(project, settings, order) if not order.reason else ():
        values = "".join(f"--   {number}: {display_value(value)}\n" for number, value in enumerate(query.binds, 1))
        sql = f"-- orders/{statement.name}\n{normalize_sql(query.sql, settings.source.dialect).strip()}\n"
        parts.append(values and f"-- orders/{statement.name}, again\n{values}" if sql in shown else sql + values)
        shown.add(sql)
    return "\n".join(parts)


def _mapping_page(project: Project, queries: Mapping[str, Query]) -> str:
    from engine.mapping.lineage import mapping_markdown, mapping_rows

    parts = [f"# Mapping of {project.name}\n"]
    for entity, query in queries.items():
        rows = mapping_rows(
            query,
            dialect=project.source.dialect,
            entity=ENTITIES[entity],
            linked=project.entities[entity].linked,
        )
        parts.append(f"## {entity.capitalize()}\n\n{mapping_markdown(rows).strip()}\n")
    return "\n".join(parts)


def _unified_diff(path: Path, before: str, after: str) -> str:
    name = "/".join(path.parts[-3:])
    lines = difflib.unified_diff(
        before.split("\n"),
        after.split("\n"),
        fromfile=name if before else "/dev/null",
        tofile=name if after else "/dev/null",
        lineterm="",
    )
    return "\n".join(lines)
