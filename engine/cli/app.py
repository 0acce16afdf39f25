"""The commands.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a guard stopped it, 4 done but something is quarantined or
refused, 75 another run holds the project, 130 stopped by a signal.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import __version__
from engine.cli import init as cli_init
from engine.cli import mapping as cli_review
from engine.cli import orders as cli_orders
from engine.cli.terminal import (
    ATTENTION,
    EXIT_CODE_SEVERITY,
    FAILED,
    EntityName,
    LogFormat,
    Output,
    OutputFormat,
    ProjectName,
    Reveal,
    allowed,
    chosen_entities,
    configure_encoding,
    every_project,
    exit_code,
    load_project,
    log_result,
    plain,
    print_text,
    report_error,
    run_controls,
    section,
    session,
    show,
    show_json,
    take_logs,
    workspace_folder,
)
from engine.errors import ConfigError, SyncError, UsageError
from engine.sync.compare import RunOptions

if TYPE_CHECKING:
    from engine.model.settings import Project

app = typer.Typer(
    name="s2s",
    help="Keep a client's database and Stock2Shop in step. Start with `s2s demo`, or `s2s init`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
quarantine_app = typer.Typer(no_args_is_help=True, help="Look at rows that are held back, and send refused ones again.")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(cli_orders.orders_app, name="orders")
cli_init.register(app)  # Commands stand in --help in the order in which they come here: as a project needs them.


@app.callback()
def main_options(
    workspace: Annotated[
        Path | None,
        typer.Option(help="The folder that holds projects/. Otherwise the nearest one upwards, or $S2S_WORKSPACE."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="How progress and errors are written to standard error.")
    ] = LogFormat.text,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda value: _version(value=value), help="Print the version."
        ),
    ] = False,
) -> None:
    """Keep the options that stand before the command."""
    del version
    session.workspace, session.debug, session.log_format = workspace, debug, log_format


def _version(*, value: bool) -> None:
    if value:
        typer.echo(f"s2s {__version__}")
        raise typer.Exit


@app.command("list")
def list_projects(output: OutputFormat = Output.text) -> None:
    """List the workspace's projects, what each syncs and whether its project.toml is right."""
    from engine.config.workspace import discover
    from engine.text import plural

    workspace = workspace_folder()
    rows = []
    for name in discover(workspace):
        try:
            project = load_project(name)
            rows.append((name, ", ".join(project.entities), project.source.dialect, project.description, "ok"))
        except ConfigError as error:
            many = len(error.faults)
            rows.append((name, "", "", "", f"{many} {plural(many, 'fault')}: s2s check {name}"))
    show(rows, ("project", "entities", "dialect", "description", "state"), output)


@app.command()
def check(
    projects: Annotated[list[str] | None, typer.Argument(help="The projects; all when none is named.")] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Check project.toml, the views and the statements of orders, without a database."""
    from engine.mapping.views import render_checked_view as check_view
    from engine.orders.statements import check_statements
    from engine.text import diagnostics_text

    found: list[dict[str, Any]] = []
    wrong = False
    for name in projects or every_project():
        faults: list[Any] = []
        try:
            project = load_project(name)
            faults += project.warnings
            for entity in project.entities:
                try:
                    faults += check_view(project, entity).warnings
                except ConfigError as error:
                    faults += error.faults
            if project.orders is not None:
                faults += check_statements(project, project.orders)
        except ConfigError as error:
            faults += error.faults
        bad = any(fault.severity == "error" for fault in faults)
        wrong = wrong or bad
        if output is Output.text:
            if faults:
                typer.echo(session.clean(diagnostics_text(faults)))
            typer.echo(f"{name}: {'not ready' if bad else 'ready'}")
        found += [
            {
                "project": name,
                "severity": fault.severity,
                "message": session.clean(fault.message),
                "hint": fault.hint,
                "path": str(fault.path) if fault.path else None,
                "line": fault.line,
                "column": fault.column,
            }
            for fault in faults
        ]
    if output is Output.json:
        show_json(found)
    if wrong:
        raise typer.Exit(2)


@app.command()
def render(
    project: ProjectName, entity: Annotated[str, typer.Argument(help="products or customers.")] = "products"
) -> None:
    """Print the SQL that an entity's view renders to."""
    from engine.mapping.render import render_view

    loaded = load_project(project)
    chosen_entities(loaded, entity)
    typer.echo(render_view(loaded, entity).sql.rstrip())


cli_review.register(app)


@app.command()
def plan(
    project: ProjectName,
    entity: EntityName = None,
    full: Annotated[bool, typer.Option("--full", help="Compare every row anew; shows all warnings.")] = False,
    all_changes: Annotated[bool, typer.Option("--all-changes", help="Show every change, not a sample.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Stock2Shop for its sync token.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show what a run would do; send nothing."""
    from engine.sync import pipeline as sync
    from engine.sync import report

    loaded = load_project(project)
    plans = []
    for name in chosen_entities(loaded, entity):
        with run_controls(loaded.name, name) as (stop, progress):
            plans.append(
                sync.plan(
                    loaded,
                    name,
                    options=RunOptions(
                        full=full, everything=all_changes, offline=offline, reveal=allowed(reveal=reveal)
                    ),
                    stop=stop,
                    progress=progress,
                )
            )
    if output is Output.json:
        show_json([report.plan_json(made) for made in plans])
    else:
        print_text("\n\n".join(report.plan_text(made) for made in plans))
    if any(made.breaches for made in plans):
        raise typer.Exit(3)


@app.command()
def run(
    projects: Annotated[list[str] | None, typer.Argument(help="The projects to run.")] = None,
    all_projects: Annotated[bool, typer.Option("--all", help="Run every project of the workspace.")] = False,
    entity: EntityName = None,
    expect: Annotated[
        str | None, typer.Option(help="Send exactly the plan with this digest, or nothing.", metavar="DIGEST")
    ] = None,
    approve_deletes: Annotated[int | None, typer.Option(min=0, help="Allow so many deletes, this once.")] = None,
    approve_changes: Annotated[
        int | None, typer.Option(min=0, help="Allow so many inserts and updates, this once.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare every row anew.")] = False,
    deadline: Annotated[
        float | None, typer.Option(min=0, help="Stop between two batches after so many seconds.")
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Send what changed to Stock2Shop."""
    from engine.sync import pipeline as sync
    from engine.sync import report

    names = list(projects or [])
    if all_projects == bool(names):
        raise UsageError("Name the projects to run, or say --all.", hint="`s2s list` shows the projects.")
    names = names or list(every_project())
    approved = expect is not None or approve_deletes is not None or approve_changes is not None
    if approved and (all_projects or len(names) > 1):
        raise UsageError("An approval is for one project.", hint="Run the project that you looked at by itself.")
    options = RunOptions(
        full=full,
        expect=expect,
        approve_deletes=approve_deletes,
        approve_changes=approve_changes,
        deadline=deadline,
    )
    code = 0
    results: list[dict[str, Any]] = []

    def failed(name: str, entity: str | None, error: Exception, *, among: int = 1) -> None:
        nonlocal code
        code = max(code, exit_code(error), key=EXIT_CODE_SEVERITY.__getitem__)
        report_error(error, project=name, entity=entity or "", lead=len(names) * among > 1)
        results.append({"project": name, "entity": entity, "outcome": "failed", "error": session.clean(str(error))})

    for name in names:
        try:
            loaded = load_project(name)
            chosen = chosen_entities(loaded, entity)
            if approved and len(chosen) > 1:
                raise UsageError(
                    f"An approval is for one entity; {name} has {', '.join(chosen)}.",
                    hint=f"Say which: `s2s run {name} --entity {chosen[0]}` with the approval.",
                )
        except (SyncError, OSError) as error:
            failed(name, None, error)
            continue
        for each in chosen:
            try:
                with run_controls(loaded.name, each) as (stop, progress):
                    outcome = sync.run(loaded, each, options=options, stop=stop, progress=progress)
            except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
                failed(name, each, error, among=len(chosen))
                if getattr(error, "exit_code", 0) == signal.SIGINT + 128:
                    break
                continue
            if outcome.attention:
                code = max(code, ATTENTION, key=EXIT_CODE_SEVERITY.__getitem__)
            results.append(report.outcome_json(outcome))
            counts = outcome.plan.counts
            log_result(
                outcome.outcome,
                loaded.name,
                each,
                run_id=outcome.run_id,
                source=counts.source,
                sent=outcome.sent,
                quarantined=counts.quarantined,
                refused=outcome.refused,
                seconds=round(outcome.seconds, 1),
            )
            if output is Output.text:
                print_text(report.outcome_text(outcome))
        if code == signal.SIGINT + 128:
            break
    if output is Output.json:
        show_json(results)
    raise typer.Exit(code)


@app.command()
def explain(
    project: ProjectName,
    key: Annotated[str, typer.Argument(help="The row's key, such as a source_variant_code.")],
    entity: Annotated[str | None, typer.Option(help="The entity that the key is of; otherwise the first.")] = None,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Tell one key's story: source row, staged row, faults, what is published, what would be sent."""
    from dataclasses import asdict

    from engine.sync.explain import explain as tell

    loaded = load_project(project)
    (entity, *_) = chosen_entities(loaded, entity)
    story = tell(loaded, entity, key, reveal=allowed(reveal=reveal))
    if output is Output.json:
        show_json(asdict(story))
        return
    print_text(f"{loaded.name} · {entity} · {key}: {story.verdict}")
    for title, rows in (("source row", story.source), ("staged", story.staged)):
        for row in rows:
            section(title, row)
        if not rows:
            print_text(f"\n{title}: none")
    for fault in story.faults:
        print_text(
            f"\n{fault['severity']} {fault['rule']} in {fault['column_name']}: {fault['reason']}\n  {fault['mend']}"
        )
    if story.published:
        section("published", story.published)
    else:
        print_text("\npublished: nothing: Stock2Shop has not acknowledged this key")
    for change in story.changes:
        print_text(f"\nwould send: {change['kind']} {change['cause']}".rstrip())
        for column in change["columns"]:
            print_text(f"  {column['column']}: {column['old']} → {column['new']}")
    if story.document:
        print_text("\nas this document:\n" + json.dumps(story.document, indent=2, ensure_ascii=False))
    for entry in story.history:
        at = f"{entry['acknowledged_at']:%Y-%m-%d %H:%M:%S} UTC"
        print_text(f"\n{at}: {entry['kind']} acknowledged ({entry['status']}), run {entry['run_id']}")


@app.command()
def history(
    project: ProjectName,
    key: Annotated[str | None, typer.Option(help="Only the changes of this key.")] = None,
    run_id: Annotated[int | None, typer.Option("--run", help="Only the changes of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many lines at most.")] = 20,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show the last runs; with --key or --run what Stock2Shop acknowledged."""
    from engine.state.store import open_state
    from engine.sync import history as kept

    loaded = load_project(project)
    with open_state(loaded.state) as state:
        headers: tuple[str, ...]
        if key is None and run_id is None:
            rows = kept.runs(state, limit=limit)
            for row in rows:
                counts = json.loads(row.pop("counts") or "{}")
                row["source"], row["sent"] = counts.get("source"), counts.get("sent")
            headers = (
                "run_id",
                "entity",
                "command",
                "started_at",
                "seconds",
                "outcome",
                "source",
                "sent",
                "message",
            )
        else:
            rows = kept.changes(state, limit=limit, key=key, run_id=run_id, reveal=allowed(reveal=reveal))
            headers = ("acknowledged_at", "run_id", "entity", "key", "kind", "columns", "status")
            if output is Output.text:
                for row in rows:
                    row["columns"] = "; ".join(f"{c['column']}: {c['old']} → {c['new']}" for c in row["columns"])
    if output is Output.json:
        show_json(rows)
    else:
        show([[plain(row[name]) for name in headers] for row in rows], headers, output)


@quarantine_app.command("list")
def quarantine_list(
    project: ProjectName,
    entity: EntityName = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also what has left quarantine.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show rows that are held back, each with its column, value and reason."""
    from engine.state.store import open_state
    from engine.sync import history as kept

    loaded = load_project(project)
    with open_state(loaded.state) as state:
        rows = kept.quarantine(state, entity=entity, resolved=resolved, reveal=allowed(reveal=reveal))
    headers = (
        "key",
        "column_name",
        "value",
        "rule",
        "reason",
        "first_seen_at",
        *(("resolved_at",) if resolved else ()),
    )
    if output is Output.json:
        show_json(rows)
    elif rows:
        show([[plain(row[name]) for name in headers] for row in rows], headers, output)
    else:
        print_text("Quarantine is empty.")


@quarantine_app.command("retry")
def quarantine_retry(
    project: ProjectName,
    keys: Annotated[
        list[str] | None, typer.Argument(help="The keys; all that were refused when none is named.")
    ] = None,
) -> None:
    """Let rows that Stock2Shop refused be sent again by the next run."""
    from engine.state.store import open_state
    from engine.sync import history as kept

    loaded = load_project(project)
    with open_state(loaded.state) as state:
        count = kept.retry(state, keys=tuple(keys or ()))
    print_text(f"{count} will be sent again by the next run: s2s run {loaded.name}")


@app.command()
def adopt(project: ProjectName, entity: EntityName = None) -> None:
    """Take what Stock2Shop holds as published, so that the next run sends only true differences."""
    from engine.model.fields import ENTITIES
    from engine.sync.adopt import adopt as take

    loaded = load_project(project)
    for name in _readable(loaded, entity):
        with run_controls(loaded.name, name) as (stop, progress):
            taken = take(loaded, name, stop=stop, progress=progress)
        print_text(
            f"{loaded.name} · {name}: Stock2Shop holds {taken.remote:,} {ENTITIES[name].plural_name};"
            f" {taken.published:,} are published now, {taken.before:,} were before.\n"
            f"Nothing was sent. Look at the difference: s2s plan {loaded.name}"
        )


def _readable(project: Project, entity: str | None) -> tuple[str, ...]:
    """The entities that Stock2Shop reads back; one that was named is always among them, to fail with its reason."""
    names = chosen_entities(project, entity)
    if entity is not None:
        return names
    for name in names:
        if project.entities[name].search_path is None:
            left_out = f"{project.name} · {name}: left out, Stock2Shop has no public way to read them back."
            typer.echo(left_out, err=True)
    return tuple(name for name in names if project.entities[name].search_path is not None)


@app.command()
def verify(
    project: ProjectName,
    entity: EntityName = None,
    repair: Annotated[bool, typer.Option("--repair", help="Let the next run send what differs.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Compare what is published with what Stock2Shop really holds."""
    from dataclasses import asdict

    from engine.sync.adopt import verify as compare

    loaded = load_project(project)
    found: list[dict[str, Any]] = []
    for name in _readable(loaded, entity):
        with run_controls(loaded.name, name) as (stop, progress):
            drifts = compare(loaded, name, repair=repair, reveal=allowed(reveal=reveal), stop=stop, progress=progress)
        found += [{"entity": name, **asdict(drift)} for drift in drifts]
        if output is Output.json:
            continue
        if not drifts:
            print_text(f"{loaded.name} · {name}: Stock2Shop holds what is published.")
            continue
        show(
            [(d.key, d.kind, d.column, d.published, d.remote) for d in drifts],
            ("key", "drift", "column", "published", "Stock2Shop"),
            output,
        )
        if any(drift.kind == "unknown" for drift in drifts):
            print_text("Keys that only Stock2Shop knows are left alone.")
        if all(drift.kind == "unknown" for drift in drifts):
            continue
        print_text(
            f"The next run sends what is missing or differs: s2s run {loaded.name}"
            if repair
            else f"To have the next run send what is missing or differs: s2s verify {loaded.name} --repair"
        )
    if output is Output.json:
        show_json(found)
    if found and not repair:
        raise typer.Exit(ATTENTION)


@app.command()
def doctor(
    project: Annotated[
        str | None, typer.Argument(help="The project; without one only this machine is looked at.")
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Look at everything that a run needs, and say what to do about what is wrong."""
    from dataclasses import asdict

    from engine.doctor import check_machine, check_project

    findings = list(check_machine())
    if project is not None:
        findings += check_project(load_project(project))
    if output is Output.json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print_text(f"{finding.state:<5} {finding.name}: {finding.detail}")
            if finding.todo:
                print_text("".join(f"      → {line}\n" for line in finding.todo.splitlines()).rstrip("\n"))
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on this machine; 0 for a free one.")] = 8057,
    state: Annotated[Path | None, typer.Option(help="Keep what is received in this file; otherwise in memory.")] = None,
    pace: Annotated[float, typer.Option(min=0, help="Requests a second before 429; 0 for no limit.")] = 0.0,
    source_id: Annotated[int, typer.Option(min=1, help="The source's number, as in your project.toml.")] = 57,
) -> None:
    """Serve a local Stock2Shop to try a mapping against; user and password are `sandbox`."""
    from engine.sandbox.server import SandboxSettings, serve

    def ready(url: str) -> None:
        print_text(f"A Stock2Shop sandbox listens on {url}; Ctrl-C stops it.")
        print_text(f"User and password are `sandbox`, the source is {source_id}.")
        print_text(f"What it holds, and the faults that it can play: {url.removesuffix('/v1')}/_sandbox")

    serve(SandboxSettings(port=port, path=state, pace=pace, source_id=source_id), ready=ready)


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to put the demo's workspace; a new folder otherwise.")
    ] = None,
) -> None:
    """Show the story: an example client, a local Stock2Shop, a few runs, an order."""
    from engine.demo import run_demo

    run_demo(folder, say=typer.echo)


def main() -> None:
    """Run the command line; every error becomes a message, a hint and an exit code."""
    configure_encoding()
    take_logs()
    try:
        # Outside its standalone mode the framework gives a command's exit code back instead of leaving with it.
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.exit(signal.SIGINT + 128)
    except KeyboardInterrupt:
        sys.exit(signal.SIGINT + 128)
    except Exception as error:  # noqa: BLE001 - a traceback shown to a user is a bug
        if _unread(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        show = getattr(error, "show", None)
        if callable(show) and session.log_format is LogFormat.json:
            # What has `show` is typer's own, whose class it does not give out.
            report_error(UsageError(error.format_message(), hint="`s2s --help` shows what there is."))  # type: ignore[attr-defined]
        elif callable(show):
            show()
        else:
            report_error(error)
        sys.exit(exit_code(error))


def _unread(error: Exception) -> bool:
    """Whether nobody reads the output any more; Windows says of such a pipe that the argument is invalid."""
    if isinstance(error, BrokenPipeError):
        return True
    if sys.platform == "win32" and isinstance(error, OSError):
        return error.errno == errno.EINVAL and error.winerror is None and error.filename is None
    return False
