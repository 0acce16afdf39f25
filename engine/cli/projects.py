"""The commands that look at projects without sending anything: ``list``, ``check``, ``render``, ``doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.colour import paint_findings
from engine.cli.contract import diagnostic_json
from engine.cli.failures import FAILED
from engine.cli.fleet_state import fleet_database, order_ledgers, project_at_hand
from engine.cli.options import OutputFormat, ProjectName, ProjectNames  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import CONNECTING_TABLES, Output, check_reveal, selected_entities, session_of
from engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.cli.session import Session
    from engine.doctor import Finding
    from engine.errors import Diagnostic
    from engine.fleet.database import FleetDatabase
    from engine.model.settings import Project


def list_projects(context: typer.Context, output: OutputFormat = Output.text) -> None:
    """List the workspace's projects, what each syncs and whether its project.toml is right."""
    from engine.config.shared_sources import shared_sources
    from engine.config.workspace import discover
    from engine.text import plural

    session = session_of(context)
    workspace = session.loadable_projects()
    session.hide_variables(*workspace)
    headers = ("project", "entities", "dialect", "description", "state")
    rows: list[dict[str, object]] = []
    for name in discover(session.workspace()):
        try:
            project = session.load(name)
            session.hide_variables(project)
            shared = shared_sources(project, workspace)
            state = f"ok, but {shared[0].message}" if shared else "ok"
            values = (name, ", ".join(project.entities), project.source.dialect, project.description, state)
        except ConfigError as error:
            count = sum(each.severity == "error" for each in error.diagnostics)
            values = (name, "", "", "", f"{count} {plural(count, 'fault')}: s2s check {name}")
        rows.append(dict(zip(headers, values, strict=True)))
    session.print_result(rows, headers, output)


def check(
    context: typer.Context,
    projects: ProjectNames = None,
    output: OutputFormat = Output.text,
) -> None:
    """Check project.toml, the views and the statements of orders, without a database."""
    from engine.files import read_sql_line
    from engine.text import diagnostics_text

    session = session_of(context)
    found: list[dict[str, Any]] = []
    wrong = False
    names = projects or session.project_names()
    workspace = session.loadable_projects()
    session.hide_variables(*workspace)
    for name in names:
        diagnostics = _checked(session, name, workspace)
        bad = any(each.severity == "error" for each in diagnostics)
        wrong = wrong or bad
        if output is Output.text:
            if diagnostics:
                session.terminal.print_text(
                    diagnostics_text(diagnostics, read_line=read_sql_line), paint=paint_findings
                )
            session.terminal.print_text(f"{name}: {'not ready' if bad else 'ready'}", paint=paint_findings)
        found.append(
            {"project": name, "ready": not bad, "diagnostics": [diagnostic_json(each) for each in diagnostics]}
        )
    if output is Output.json:
        session.answer.give(found)
    if wrong:
        raise typer.Exit(2)


def _checked(session: Session, name: str, workspace: Sequence[Project]) -> list[Diagnostic]:
    """Everything that is wrong with a project, as far as it can be known without its database."""
    from engine.config.shared_sources import shared_sources

    try:
        project = session.load(name, lenient=CONNECTING_TABLES)
    except ConfigError as error:
        return [*error.diagnostics]
    session.hide_variables(project)
    return [*project.warnings, *shared_sources(project, workspace), *check_files(project)]


def check_files(project: Project) -> list[Diagnostic]:
    """Everything that is wrong with the views, the tests and the statements of a project."""
    from engine.mapping.todos import standing_todos
    from engine.mapping.views import render_checked_view
    from engine.orders.statement_checks import check_statements
    from engine.sync.check_tests import check_tests

    diagnostics: list[Diagnostic] = []
    try:
        fields = {}
        for entity in project.entities:
            try:
                view = render_checked_view(project, entity)
            except ConfigError as error:
                diagnostics += error.diagnostics
                continue
            diagnostics += view.warnings
            diagnostics += standing_todos(view.query, dialect=project.source.dialect)
            if view.fields is not None:
                fields[entity] = view.fields
        diagnostics += check_tests(project, fields)
        if project.orders is not None:
            diagnostics += check_statements(project, project.orders)
    except ConfigError as error:
        diagnostics += error.diagnostics
    return diagnostics


def render(
    context: typer.Context,
    project: ProjectName,
    entity: Annotated[str, typer.Argument(help="products or customers.")] = "products",
    reveal: Annotated[bool, typer.Option("--reveal", help="Show what variables hold; on a terminal only.")] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Print the SQL that an entity's view renders to; what comes from a variable is masked without --reveal."""
    from engine.mapping.render import render_view

    session = session_of(context)
    loaded = session.load(project)
    if not check_reveal(reveal=reveal):
        session.hide_variables(loaded)
    selected_entities(loaded, entity)
    sql = render_view(loaded, entity).sql.rstrip()
    if output is Output.json:
        session.answer.give({"entity": entity, "sql": sql})
    else:
        session.terminal.print_text(sql)


def doctor(
    context: typer.Context,
    project: Annotated[
        str | None, typer.Argument(help="The project; without one only this machine is checked.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Also what must hold before it runs for a client: see `s2s help go-live`.")
    ] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Check everything that a run needs, and say how to fix what is wrong."""
    from engine.config.shared_sources import shared_sources
    from engine.doctor import Finding, check_live, check_machine, check_project

    session = session_of(context)
    if live and project is None:
        raise UsageError("--live is about a project.", hint="Name it: s2s doctor acme --live")
    findings = list(check_machine())
    if project is not None:
        loaded, _ = project_at_hand(context, session.load(project), even_paused=True)
        findings += check_project(loaded, order_ledgers(session))
        fleet = fleet_database(session)
        if fleet is not None:
            findings += _check_fleet(fleet, loaded.name)
        findings += check_live(loaded) if live else ()
        findings += [
            Finding(name="source id", state="warn", detail=each.message, todo=each.hint)
            for each in shared_sources(loaded, session.loadable_projects())
        ]
    if output is Output.json:
        session.answer.give([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            session.terminal.print_text(f"{finding.state:<5} {finding.name}: {finding.detail}", paint=paint_findings)
            for line in finding.todo.splitlines():
                session.terminal.print_text(f"      → {line}")
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(FAILED)


def _check_fleet(fleet: FleetDatabase, project: str) -> Iterator[Finding]:
    """Whether the fleet's machines run a project."""
    from engine.doctor import Finding
    from engine.fleet.overview import is_paused

    if is_paused(fleet, project):
        todo = f"`s2s fleet resume {project}` lets it run again."
        yield Finding(name="fleet", state="warn", detail=f"{project} is paused", todo=todo)
