r"""What a mapping comes to, as files that are committed and read in pull requests, under ``snapshots/<project>/``.

- ``<entity>.sql``: the view as it is rendered for the project's own dialect. It is not formatted: a formatter's next
  release would change every client's file at once, drop comments, and stumble over the dialects that it does not know.
  Only line ends, blanks at the ends of lines and repeated blank lines are evened out, outside of quotes.
- ``<entity>.json``: the documents that come of the fixtures, by key, as they would be sent. The keys of objects are
  sorted; an object in a list that holds plain values only stands on one line.
- ``quarantine.json``: the rows that would be held back, and why.
- ``mapping.md``: which source columns feed which Stock2Shop field.
- ``orders.sql``: what raising the order in ``fixtures/order.json`` would run, with a ``?`` for every value, and the
  values.

Files are UTF-8 with ``\n`` and end with one; a checkout that turned line ends round compares as equal.
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
from engine.files import is_dir, is_file, listed
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
    from engine.testing.fixture_run import FixtureSession, Rehearsal


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What a project comes to: its snapshots by file name, its data tests, and what to tell people."""

    project: str
    folder: Path
    files: Mapping[str, str]
    rehearsed: bool
    tests: tuple[str, ...]
    failed: tuple[FailedTest, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A snapshot that is not as it should be; ``diff`` is unified, from the committed file to what it is now."""

    path: Path
    state: Literal["changed", "missing", "unused"]
    diff: str


def folder_of(project: Project) -> Path:
    """Where a project's snapshots stand."""
    return project.workspace / "snapshots" / project.name


def produce(stage: FixtureSession, project: Project) -> Produced:
    """Render, rehearse and trace everything that ``project`` maps; what nothing changed of is recalled.

    Without fixtures there are no documents and no quarantine, which a note says. Raises :class:`ConfigError` with the
    faults of all entities.
    """
    faults: list[Diagnostic] = []
    queries: dict[str, Query] = {}
    tests: tuple[DataTest, ...] = ()
    statements: str | None = None
    try:
        tests = data_tests(project)
    except ConfigError as error:
        faults += error.faults
    try:
        statements = order_statements(project)
    except ConfigError as error:
        faults += error.faults
    for entity in entities(project):
        try:
            queries[entity] = render_view(project, entity)
        except ConfigError as error:
            faults += error.faults
    rehearsed = has_fixtures(project.root)
    rendered = [f"{test.name} {test.severity} {test.query.sql} {test.query.binds!r}" for test in tests]
    rendered += [f"{entity} {query.sql}" for entity, query in queries.items()]
    named = cache_key(project, [*rendered, statements or ""])
    kept = None if faults else load(project, named)
    # A view that was run in DuckDB's own SQL depends on what macros made of it there, too.
    if kept is None or kept["own"] != _own(project, kept["own"]):
        kept = _worked_out(stage, project, faults, rehearsed=rehearsed)
        if statements is not None:
            kept["files"]["orders.sql"] = statements
        kept["files"] = {name: f"{text.strip(chr(10))}\n" for name, text in sorted(kept["files"].items())}
        store(project, named, **kept)
    if listed(project.root / "orders", "*.sql") and statements is None:
        kept["notes"] = (
            *kept["notes"],
            "Its order statements are not compared: there is no order in fixtures/order.json.",
        )
    return Produced(
        project=project.name,
        folder=folder_of(project),
        files=kept["files"],
        rehearsed=rehearsed,
        tests=tuple(test.name for test in tests),
        failed=tuple(kept["failed"]),
        notes=tuple(kept["notes"]),
    )


def _worked_out(
    stage: FixtureSession, project: Project, faults: list[Diagnostic], *, rehearsed: bool
) -> dict[str, Any]:
    """What :func:`produce` gives, rehearsed and traced anew; ``faults`` are those that were found before."""
    done: list[Rehearsal] = []
    queries: dict[str, Query] = {}
    for entity in entities(project):
        try:
            if rehearsed:
                done.append(run_on_fixtures(stage, project, entity))
                queries[entity] = done[-1].query
            else:
                queries[entity] = render_checked_view(project, entity).query
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ViewError(list(dict.fromkeys(faults)))
    files = {f"{entity}.sql": tidy(query.sql, project.source.dialect) for entity, query in queries.items()}
    files |= {f"{each.entity}.json": pretty([document for _, document in each.documents]) for each in done}
    notes = [note for each in done for note in each.notes]
    if done:
        files["quarantine.json"] = pretty(
            {
                each.entity: [
                    {"key": row.key, "column": row.column, "rule": row.rule, "value": row.value, "reason": row.reason}
                    for row in each.quarantine
                ]
                for each in done
            }
        )
    else:
        notes.append(
            f"{project.name} has no fixtures, so only its SQL and its mapping are compared:"
            f" s2s fixtures capture {project.name}"
        )
    files["mapping.md"] = _mapping(project, queries)
    return {
        "files": files,
        "notes": notes,
        "failed": [test for each in done for test in each.failed],
        "own": _own(project, [each.entity for each in done if each.notes]),
    }


def _own(project: Project, names: Iterable[str]) -> dict[str, str]:
    """What names the DuckDB SQL of those entities that were not translated."""
    with suppress(ConfigError):
        return {entity: render_view(project, entity, dialect="duckdb").digest for entity in names}
    return {}


def compare(produced: Produced) -> tuple[Difference, ...]:
    """How the committed snapshots differ from what was produced, by file name."""
    found = []
    for name, text in produced.files.items():
        path = produced.folder / name
        committed = read(path)
        if committed is None:
            found.append(Difference(path=path, state="missing", diff=_diff(path, "", text)))
        elif committed != text:
            found.append(Difference(path=path, state="changed", diff=_diff(path, committed, text)))
    found += [
        Difference(path=path, state="unused", diff=_diff(path, read(path) or "", ""))
        for path in unused(produced.folder, produced.files)
    ]
    return tuple(sorted(found, key=lambda each: each.path))


def update(produced: Produced) -> tuple[Difference, ...]:
    """Make the committed snapshots what was produced; gives what differed before."""
    differences = compare(produced)
    for each in differences:
        if each.state == "unused":
            each.path.unlink()
        else:
            write(each.path, produced.files[each.path.name])
    return differences


def unused(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The files in ``folder`` that no snapshot of the project has the name of."""
    known = {folder / name for name in names}
    return tuple(
        path
        for path in sorted(folder.glob("**/*"))
        if is_file(path) and path not in known and not path.name.startswith(".")
    )


def orphans(workspace: Path) -> tuple[Path, ...]:
    """The folders under ``snapshots/`` whose project there is no more."""
    names = set(discover(workspace))
    folder = workspace / "snapshots"
    return tuple(path for path in sorted(folder.glob("*")) if is_dir(path) and path.name not in names)


def read(path: Path) -> str | None:
    """A committed snapshot with its line ends evened out, or None where there is none.

    Raises :class:`FixtureError` where it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise FixtureError(
            [Diagnostic(path=path, message="The snapshot is not UTF-8.", hint="Write it again: s2s test --update.")]
        ) from None


def write(path: Path, text: str) -> None:
    """Write a snapshot as every platform reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def tidy(sql: str, dialect: str) -> str:
    """Rendered SQL with even line ends, no blanks at the ends of lines and no two blank lines on end, but in quotes."""
    sql = sql.replace("\r\n", "\n")
    parts, position = [], 0
    for region in regions(sql, dialect):
        if region.kind == "comment":
            continue
        parts += [_even(sql[position : region.start]), sql[region.start : region.end]]
        position = region.end
    return "".join([*parts, _even(sql[position:])])


def _even(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+(?=\n)", "", text))


def pretty(value: object) -> str:
    """``value`` as JSON that reads well in a diff: sorted keys, all digits of a number, one line a plain list item."""
    parts: list[str] = []
    _pretty(value, "\n", parts.append, inline=False)
    return "".join(parts)


def _pretty(value: object, lead: str, put: Callable[[str], None], *, inline: bool) -> None:
    """Put ``value`` piece by piece; ``lead`` begins a line at its depth."""
    if isinstance(value, str):
        put(encode_basestring(value))
    elif isinstance(value, dict) and value:
        plain = inline and not any(isinstance(item, (dict, list)) for item in value.values())
        gap = "" if plain else f"{lead}  "
        put("{" + gap)
        between = ", " if plain else f",{gap}"
        for number, key in enumerate(sorted(value)):
            put(f"{between if number else ''}{encode_basestring(key)}: ")
            _pretty(value[key], gap, put, inline=False)
        put("}" if plain else f"{lead}}}")
    elif isinstance(value, list) and value:
        put("[")
        for number, item in enumerate(value):
            put(f",{lead}  " if number else f"{lead}  ")
            _pretty(item, f"{lead}  ", put, inline=True)
        put(f"{lead}]")
    elif isinstance(value, Decimal):
        put(format(value, "f"))
    else:
        put(json.dumps(value))


def order_statements(project: Project) -> str | None:
    """What raising the order in ``fixtures/order.json`` would run: statements under their files' names, with values.

    None where the project raises no orders, or has no such order; that is a document as Stock2Shop sends it. Raises
    :class:`FixtureError` where it is none.
    """
    path = project.root / "fixtures" / "order.json"
    settings = project.orders
    if settings is None or not is_file(path):
        return None
    try:
        order = inbox.read_order(
            inbox.parse_document(path.read_bytes()), settings, source_id=project.stock2shop.source_id
        )
    except OrderError as error:
        hint = error.hint or "Write an order as Stock2Shop has it: docs/orders.md."
        raise FixtureError([Diagnostic(path=path, message=error.message, hint=hint)]) from None
    parts = []
    try:
        check_order(project, order, settings)
    except RuleError as broken:
        parts.append(f"-- This order would wait: {broken.reason}.\n")
    shown: set[str] = set()
    for statement, query in plan_queries(project, settings, order) if not order.reason else ():
        values = "".join(f"--   {number}: {display_value(value)}\n" for number, value in enumerate(query.binds, 1))
        sql = f"-- orders/{statement.name}\n{tidy(query.sql, settings.source.dialect).strip()}\n"
        parts.append(values and f"-- orders/{statement.name}, again\n{values}" if sql in shown else sql + values)
        shown.add(sql)
    return "\n".join(parts)


def _mapping(project: Project, queries: Mapping[str, Query]) -> str:
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


def _diff(path: Path, before: str, after: str) -> str:
    name = "/".join(path.parts[-3:])
    lines = difflib.unified_diff(
        before.split("\n"),
        after.split("\n"),
        fromfile=name if before else "/dev/null",
        tofile=name if after else "/dev/null",
        lineterm="",
    )
    return "\n".join(lines)
