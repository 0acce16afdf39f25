"""What must hold of an entity's rows: data tests as SQL, and what project.toml declares.

A data test is a file ``tests/NAME.sql`` of the project: one SELECT, in DuckDB's SQL, of rows that must not exist. It
sees the rows of one entity under the entity's name, with Stock2Shop's field names as columns: those that are sound
and Active, canonical and whole, whether they changed or not. So the same test runs over fixtures and, before anything
is sent, over the live rows. What fails is a guard that the project wrote itself: it stops the entity like the other
guards, or is a note where it is only a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.errors import Diagnostic, ProjectError, StateError, ViewError
from engine.files import WorkspaceFiles
from engine.mapping.check import resolve_column
from engine.mapping.engine_sql import render_sql
from engine.mapping.render import render_bound
from engine.model.fields import ENTITIES
from engine.model.plan import GuardViolation
from engine.quoting import blanked
from engine.sync.stage import PLAIN_TYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from engine.model.fields import Entity, Field
    from engine.model.query import Query
    from engine.model.settings import Expect, Project, Severity
    from engine.state.store import State
    from engine.sync.layout import Staged, StagingLayout

MAX_SAMPLE_KEYS = 5
"""How many keys a failed test names."""

_SEVERITY = re.compile(r"--\s*severity\s*:\s*(\S+)")
_SQL_ERRORS = frozenset(
    {"ParserException", "BinderException", "CatalogException", "ConversionException", "PermissionException"}
) | frozenset({"InvalidInputException", "OutOfRangeException", "NotImplementedException", "SyntaxException"})
"""DuckDB's errors that are about the SQL, not about the state file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTest:
    """A rendered data test of one entity."""

    name: str
    entity: str
    severity: Severity
    query: Query


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTest:
    """What did not hold: how many rows, the keys of the first of them, and the file of the test."""

    name: str
    entity: str
    severity: Severity
    found: int
    keys: tuple[str, ...]
    message: str
    path: Path


def data_tests(project: Project) -> tuple[DataTest, ...]:
    """The project's data tests by name, rendered for DuckDB and with their severities.

    Raises :class:`ViewError` or :class:`RenderError` with what is wrong with them, and :class:`ProjectError` where
    ``[tests]`` names one that there is not.
    """
    duck = replace(project, source=replace(project.source, dialect="duckdb"))
    tests, faults = [], []
    files = WorkspaceFiles.of(project.workspace, project.root)
    for path in files.list_paths(project.root / "tests", "*.sql"):
        query = render_bound(duck, path, {})
        query = replace(query, sql=_strip_semicolon(query.sql))
        entity, wrong = _find_entity(query, project)
        severity, unknown = _severity(path, project)
        faults += [Diagnostic(path=path, message=message, hint=hint) for message, hint in (*wrong, *unknown)]
        if entity is not None:
            tests.append(DataTest(name=path.stem, entity=entity, severity=severity, query=query))
    if faults:
        raise ViewError(faults)
    _check_names([test.name for test in tests], project)
    return tuple(tests)


def has_data_tests(project: Project, entity: str) -> bool:
    """Whether the project says anything of the rows of ``entity``; raises what :func:`data_tests` raises."""
    return _declares_something(project.entities[entity].expect) or bool(_data_tests_of(project, entity))


def run_data_tests(state: State, project: Project, staged: Staged, *, live: bool = True) -> tuple[FailedTest, ...]:
    """Run the data tests and check what is declared, for the entity that stands compared in the working set.

    ``live`` rows have an age and are all there are; fixtures are a sample without one, so ``fresh`` and ``min_rows``
    are left out for them. Costs nothing where the project says nothing of the entity. Raises :class:`ConfigError` where
    a test itself is wrong.
    """
    layout = staged.layout
    expect = project.entities[layout.entity.name].expect
    tests = _data_tests_of(project, layout.entity.name)
    if not (tests or _declares_something(expect)):
        return ()
    state.run(
        render_sql(
            "valid_rows.sql",
            fields=layout.fields,
            key=layout.entity.key,
            group=layout.entity.group,
            flag=layout.entity.flag,
            published=layout.published,
            incremental=staged.incremental,
        )
    )
    failed = list(_check_declared(state, project, layout, expect, live=live))
    for test in tests:
        failed += run_test(state, test)
    return tuple(failed)


def _data_tests_of(project: Project, entity: str) -> list[DataTest]:
    return [test for test in data_tests(project) if test.entity == entity]


def _declares_something(expect: Expect) -> bool:
    return bool(expect.min_rows is not None or expect.not_null or expect.accepted_values or expect.fresh)


def violations(failed: Iterable[FailedTest]) -> tuple[GuardViolation, ...]:
    """The failed tests that stop the entity, as violations of a guard."""
    return tuple(
        GuardViolation(
            guard="test",
            found=test.found,
            allowed=0,
            message=test.message,
            hint=f"The test is {test.path}. Fix the rows in the source, or the view; or lower the test's severity to"
            " warning.",
        )
        for test in failed
        if test.severity == "error"
    )


def names_that_stop(failed: Iterable[FailedTest]) -> list[str]:
    """The names of the failed tests that stop the entity, each with how many rows failed it."""
    return [f"{test.name} {test.found}" for test in failed if test.severity == "error"]


def notes(failed: Iterable[FailedTest]) -> list[str]:
    """The failed tests that are only warnings."""
    return [test.message for test in failed if test.severity == "warning"]


def _strip_semicolon(sql: str) -> str:
    """``sql`` without its last semicolon and what comes after it, unless that is another statement."""
    text = blanked(sql, "duckdb")
    end = text.find(";")
    return sql[:end] if end >= 0 and not text[end:].strip("; \t\r\n") else sql


def _find_entity(query: Query, project: Project) -> tuple[str | None, list[tuple[str, str]]]:
    """The one entity that a test is about, or what is wrong with it."""
    text = blanked(query.sql, "duckdb")
    if ";" in text:
        return None, [("The test is more than one statement.", "Keep the one SELECT; CTEs may help.")]
    named = [name for name in ENTITIES if re.search(rf"(?i)\b{name}\b", text)]
    if len(named) != 1:
        return None, [
            (
                f"The test names {' and '.join(named) if named else 'no entity'}: it looks at the rows of one.",
                f"Select from one of: {', '.join(project.entities)}.",
            )
        ]
    if named[0] not in project.entities:
        return None, [(f"The test is about {named[0]}, which {project.name} does not sync.", "")]
    return named[0], []


def _severity(path: Path, project: Project) -> tuple[Severity, list[tuple[str, str]]]:
    """What project.toml says of the test, else the comment at its head, else an error."""
    if path.stem in project.tests:
        return project.tests[path.stem], []
    content = WorkspaceFiles.of(project.workspace, project.root).read(path)
    for line in content.decode("utf-8-sig", "replace").splitlines():
        if not line.strip().startswith(("--", "{#")):
            break
        found = _SEVERITY.search(line)
        if found and found[1] == "warning":
            return "warning", []
        if found and found[1] != "error":
            return "error", [(f"{found[1]!r} is no severity.", "Write `-- severity: error` or `-- severity: warning`.")]
    return "error", []


def _check_names(names: list[str], project: Project) -> None:
    faults = []
    for name in project.tests:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            listed = f"There are: {', '.join(names)}." if names else f"Write it as tests/{name}.sql."
            faults.append(
                Diagnostic(
                    path=project.root / "project.toml",
                    message=f"[tests] names {name}, but there is no tests/{name}.sql.",
                    hint=(f"Did you mean {close[0]}? " if close else "") + listed,
                )
            )
    if faults:
        raise ProjectError(faults)


def _check_declared(
    state: State, project: Project, layout: StagingLayout, expect: Expect, *, live: bool
) -> Iterable[FailedTest]:
    """What ``[ENTITY.expect]`` says and does not hold."""
    entity, path = layout.entity, project.root / "project.toml"
    fields = {**{field.name: field for field in layout.fields}, **_code_fields(entity)}
    unknown = unknown_columns(project, entity, fields)
    if unknown:
        raise ProjectError(unknown)

    def field(column: str) -> Field:
        found = resolve_column(column, entity)
        assert found is not None
        return fields[found.name]

    not_null = [field(column).name for column in expect.not_null]
    accepted = [(field(column), values) for column, values in expect.accepted_values.items()]
    fresh = field(expect.fresh.column).name if expect.fresh and live else None
    min_rows = expect.min_rows if live else None
    if not (not_null or accepted or fresh or min_rows is not None):
        return
    (measured,) = state.dicts(
        render_sql(
            "expect.sql",
            key=entity.key,
            not_null=not_null,
            accepted_values=[(each.name, each.type, values) for each, values in accepted],
            plain_types=PLAIN_TYPES,
            fresh=fresh,
            timezone=expect.fresh.timezone if expect.fresh else None,
            now=now(),
        )
    )

    def failed(name: str, found: int, keys: Iterable[str], message: str) -> FailedTest:
        return FailedTest(
            name=f"{entity.name}.{name}",
            entity=entity.name,
            severity=expect.severity,
            found=found,
            keys=tuple(keys)[:MAX_SAMPLE_KEYS],
            message=message,
            path=path,
        )

    if min_rows is not None and measured["found"] < min_rows:
        yield failed(
            "min_rows",
            measured["found"],
            (),
            f"{_rows(measured['found'])} of {entity.name}, sound and Active; at least {min_rows:,} are wanted.",
        )
    claims = [(f"not_null.{column}", f"a blank {column}") for column in not_null]
    claims += [(f"accepted_values.{each.name}", f"a {each.name} that is not accepted") for each, _ in accepted]
    for name, what in claims:
        found, keys = measured[name], measured[f"{name}.keys"] or []
        if found:
            yield failed(name, found, keys, f"{_rows(found)} of {entity.name} with {what}: {_listed(keys)}.")
    if fresh is not None and expect.fresh is not None:
        newest, age, future = measured["newest"], measured["age"], measured["future"]
        if future:
            yield replace(
                failed(
                    "fresh_future",
                    future,
                    (),
                    f"{_rows(future)} of {entity.name} with a {fresh} in the future, up to {measured['last']}: they do"
                    " not count as fresh. If the database writes local time, say its zone: timezone under"
                    f" [{entity.name}.expect.fresh].",
                ),
                severity="warning",
            )
        if newest is None or age > expect.fresh.hours:
            message = f"is {age:,.1f} hours old ({newest})" if newest else "is no time until now"
            yield failed(
                "fresh",
                1,
                (),
                f"The newest {fresh} of {entity.name} {message}; at most {_hours(expect.fresh.hours)} expected.",
            )


def unknown_columns(project: Project, entity: Entity, fields: Collection[str]) -> list[Diagnostic]:
    """What is wrong with the columns that ``[ENTITY.expect]`` names, where the view maps ``fields`` alone."""
    expect = project.entities[entity.name].expect
    columns = [*expect.not_null, *expect.accepted_values, *((expect.fresh.column,) if expect.fresh else ())]
    known = dict.fromkeys((*fields, *_code_fields(entity)))
    found = []
    for column in dict.fromkeys(columns):
        field = resolve_column(column, entity)
        if field is not None and field.name in known:
            continue
        close = get_close_matches(column, known, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        found.append(
            Diagnostic(
                path=project.root / "project.toml",
                message=f"[{entity.name}.expect] names {column!r}, which the view does not map.",
                hint=f"{hint}Mapped are: {', '.join(known)}.",
            )
        )
    return found


def _code_fields(entity: Entity) -> dict[str, Field]:
    names = (entity.key, entity.group, entity.flag)
    return {field.name: field for field in entity.fields if field.name in names and field.type != "flag"}


def run_test(state: State, test: DataTest) -> Iterable[FailedTest]:
    """Run a data test over ``run.valid_rows``, and give it where it finds rows. Raises :class:`ViewError`."""
    sql = render_sql("failing_rows.sql", entity=test.entity, test=test.query.sql, limit=MAX_SAMPLE_KEYS)
    try:
        # By DuckDB's own count, of the test alone and of what it stands in: another reader may not see a second one.
        if not (state.is_one_select(test.query.sql) and state.is_one_select(sql)):
            raise ViewError(
                [
                    Diagnostic(
                        path=test.query.path,
                        message="The test is not one SELECT.",
                        hint="Keep the one SELECT; CTEs may help.",
                    )
                ]
            )
        foreign = state.find_foreign_relations(test.query.sql, own=test.entity)
        if foreign:
            raise ViewError(
                [
                    Diagnostic(
                        path=test.query.path,
                        message=f"The test reads {', '.join(foreign)}: it sees the rows of {test.entity} alone.",
                        hint=f"Select from {test.entity}; a name in WITH must be none of the state's.",
                    )
                ]
            )
        rows = state.read_only_dicts(sql, test.query.binds)
    except StateError as error:
        if type(error.__cause__).__name__ not in _SQL_ERRORS:
            raise
        raise ViewError([_wrong(test, str(error.__cause__), before=1)]) from None
    if not rows:
        return
    found, key = int(rows[0]["_found"]), ENTITIES[test.entity].key
    keys = [str(row[key]) for row in rows if row.get(key) is not None]
    which = f": {_listed(keys, found)}" if keys else ""
    yield FailedTest(
        name=test.name,
        entity=test.entity,
        severity=test.severity,
        found=found,
        keys=tuple(keys),
        message=f"The test {test.name} finds {_rows(found)} of {test.entity} that must not exist{which}.",
        path=test.query.path,
    )


def _wrong(test: DataTest, message: str, *, before: int) -> Diagnostic:
    """What DuckDB says of a test's SQL, at the line of the test, of which ``before`` lines stand before it."""
    place = re.search(r"^LINE (\d+):", message, re.MULTILINE)
    line = int(place[1]) - before if place else None
    message = re.sub(r"^\w+ Error: ", "", message.strip().splitlines()[0])
    known = "Its columns are Stock2Shop's field names, in double quotes where they have a dot."
    return Diagnostic(
        path=test.query.path,
        line=line if line and line <= test.query.sql.count("\n") + 1 else None,
        message=f"DuckDB refuses the test: {message}",
        hint=f"A data test is one query in DuckDB's SQL over {test.entity}. {known}",
    )


def _hours(hours: float) -> str:
    return "1 hour is" if hours == 1 else f"{hours:g} hours are"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _listed(keys: list[Any], found: int | None = None) -> str:
    shown = ", ".join(str(key) for key in keys[:MAX_SAMPLE_KEYS])
    return f"{shown}, …" if (found or len(keys)) > len(keys[:MAX_SAMPLE_KEYS]) else shown
