"""The commands of a sync: plan, run, history, quarantine, adopt, verify."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.colour import paint_plan
from engine.cli.failures import ATTENTION, INTERRUPTED
from engine.cli.fleet_state import project_at_hand
from engine.cli.notify import notify_now
from engine.cli.options import (
    EntityName,
    OutputFormat,
    ProjectName,
    Reveal,
    complete_projects,
)
from engine.cli.session import Output, check_reveal, selected_entities, session_of
from engine.cli.signals import run_controls
from engine.cli.stored import read_stored, zoned_rows
from engine.clock import Deadline
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.cli.session import Session
    from engine.model.settings import Project

quarantine_app = typer.Typer(no_args_is_help=True, help="Look at rows that are held back, and send refused ones again.")


def plan(
    context: typer.Context,
    project: ProjectName,
    entity: EntityName = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Compare every row again, ignoring cached fingerprints, which also shows every warning."
        ),
    ] = False,
    all_changes: Annotated[bool, typer.Option("--all-changes", help="Show every change, not a sample.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Stock2Shop for its sync token.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show what a run would do; send nothing."""
    from engine.sync import pipeline, report
    from engine.sync.context import RunOptions

    session = session_of(context)
    loaded, checkout = project_at_hand(context, session.load(project))
    options = RunOptions(full=full, everything=all_changes, offline=offline, reveal=check_reveal(reveal=reveal))
    plans = []
    for name in selected_entities(loaded, entity):
        with run_controls(session, loaded.name, name) as (stop, progress):
            planned = pipeline.plan(loaded, name, options=options, cancel=stop, progress=progress, replica=checkout)
            plans.append(planned)
    if output is Output.json:
        session.answer.give([report.plan_json(each) for each in plans])
    else:
        session.terminal.print_text("\n\n".join(report.plan_text(each) for each in plans), paint=paint_plan)
    if any(each.violations for each in plans):
        raise typer.Exit(3)


def run(
    context: typer.Context,
    projects: Annotated[
        list[str] | None, typer.Argument(help="The projects to run.", autocompletion=complete_projects)
    ] = None,
    all_projects: Annotated[bool, typer.Option("--all", help="Run every project of the workspace.")] = False,
    entity: EntityName = None,
    expect: Annotated[
        str | None, typer.Option(help="Send exactly the plan with this digest, or nothing.", metavar="DIGEST")
    ] = None,
    approve_deletes: Annotated[
        int | None, typer.Option(min=0, help="Allow up to so many deletes for this run.")
    ] = None,
    approve_changes: Annotated[
        int | None, typer.Option(min=0, help="Allow up to so many inserts and updates for this run.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compare every row again, ignoring cached fingerprints.")
    ] = False,
    deadline: Annotated[
        float | None,
        typer.Option(min=0, help="End the whole command after so many seconds, between two batches; 0 for never."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Run so many projects at a time; otherwise as many as the machine has cores, at most 8."
        ),
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Send what changed to Stock2Shop."""
    from engine.cli.run import RunRequest, default_jobs, run_in_workers, run_one_after_the_other

    session = session_of(context)
    session.terminal.go_on_unread()
    names = list(dict.fromkeys(projects or []))
    if all_projects == bool(names):
        raise UsageError("Name the projects to run, or pass --all.", hint="`s2s list` shows the projects.")
    session.workspace()  # without one no project runs, and there is nobody to notify
    names = names or list(session.project_names())
    request = RunRequest(
        entity=entity,
        expect=expect,
        approve_deletes=approve_deletes,
        approve_changes=approve_changes,
        full=full,
        deadline=None if deadline is None else Deadline.after(deadline),
        several=len(names) > 1,
        text=output is Output.text,
    )
    if request.approved and (all_projects or len(names) > 1):
        raise UsageError("An approval is for one project.", hint="Run the project that you looked at by itself.")
    count = min(jobs or default_jobs(), len(names))
    if count > 1:
        code, results = run_in_workers(session, names, request, count=count)
    else:
        code, results = run_one_after_the_other(session, names, request)
    if output is Output.json:
        session.answer.give(results)
    if code != INTERRUPTED:
        notify_now(session)
    raise typer.Exit(code)


def history(
    context: typer.Context,
    project: ProjectName,
    key: Annotated[str | None, typer.Option(help="Only the changes of this key.")] = None,
    run_id: Annotated[int | None, typer.Option("--run", help="Only the changes of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many lines at most.")] = 20,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show the last runs; with --key or --run what Stock2Shop acknowledged."""
    from engine.sync import history as ledger

    session = session_of(context)
    loaded = session.load_stored(project)
    reveal = check_reveal(reveal=reveal)
    headers: tuple[str, ...]
    if key is None and run_id is None:
        headers = ("run_id", "entity", "command", "started_at", "seconds", "outcome", "source", "sent", "message")
        rows = read_stored(
            session,
            loaded,
            lambda state: ledger.runs(state, limit=limit),
            lambda log: [each.as_history() for each in log.project_runs(loaded.name, limit=limit)],
        )
        rows = zoned_rows(rows)
        for row in rows:
            counts = json.loads(row.pop("counts", None) or "{}")
            row["source"], row["sent"] = counts.get("source", row.get("source")), counts.get("sent", row.get("sent"))
    else:
        headers = ("acknowledged_at", "run_id", "entity", "key", "kind", "columns", "status")
        rows = read_stored(
            session,
            loaded,
            lambda state: ledger.changes(state, limit=limit, key=key, run_id=run_id, reveal=reveal),
            lambda log: log.changes(loaded.name, limit=limit, key=key, run_id=run_id),
        )
        rows = zoned_rows(rows)
        if output is Output.text:
            for row in rows:
                row["columns"] = "; ".join(f"{c['column']}: {c['old']} → {c['new']}" for c in row["columns"])
    if output is Output.json:
        is_runs = key is None and run_id is None
        session.answer.give({"runs": rows if is_runs else [], "changes": [] if is_runs else rows})
    else:
        session.print_result(rows, headers, output)


@quarantine_app.command("list")
def quarantine_list(
    context: typer.Context,
    project: ProjectName,
    entity: EntityName = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also what has left quarantine.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show rows that are held back, each with its column, value and reason."""
    from engine.sync.history import quarantine

    session = session_of(context)
    loaded = session.load_stored(project)
    reveal = check_reveal(reveal=reveal)
    rows = read_stored(
        session,
        loaded,
        lambda state: quarantine(state, entity=entity, resolved=resolved, reveal=reveal),
        lambda log: log.quarantine(loaded.name, entity),
    )
    rows = zoned_rows(rows)
    headers = ("key", "column_name", "value", "rule", "reason", "first_seen_at")
    if rows or output is Output.json:
        session.print_result(rows, (*headers, "resolved_at") if resolved else headers, output)
    else:
        session.terminal.print_text("Quarantine is empty.")


@quarantine_app.command("retry")
def quarantine_retry(
    context: typer.Context,
    project: ProjectName,
    keys: Annotated[
        list[str] | None, typer.Argument(help="The keys; all that were refused when none is named.")
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Let rows that Stock2Shop refused be sent again by the next run."""
    from engine.state.store import open_state
    from engine.sync.history import retry

    session = session_of(context)
    loaded, _ = project_at_hand(context, session.load(project))
    with open_state(loaded.state) as state:
        count = retry(state, keys=tuple(keys or ()))
    if output is Output.json:
        session.answer.give({"rows": count})
    else:
        text = f"{count} will be sent again by the next run: s2s run {loaded.name}"
        session.terminal.print_text(text if count else "None of these is held back because Stock2Shop refused it.")


def adopt(
    context: typer.Context, project: ProjectName, entity: EntityName = None, output: OutputFormat = Output.text
) -> None:
    """Take what Stock2Shop holds as published, so that the next run sends only true differences."""
    from engine.model.fields import ENTITIES
    from engine.sync.adopt import adopt as adopt_entity

    session = session_of(context)
    loaded, checkout = project_at_hand(context, session.load(project))
    found = []
    for name in _readable_entities(session, loaded, entity):
        with run_controls(session, loaded.name, name) as (stop, progress):
            adopted = adopt_entity(loaded, name, cancel=stop, progress=progress, replica=checkout)
        found.append({"entity": name, **asdict(adopted)})
        if output is Output.json:
            continue
        session.terminal.print_text(
            f"{loaded.name} · {name}: Stock2Shop holds {adopted.remote:,} {ENTITIES[name].plural_name};"
            f" {adopted.published:,} are published now, {adopted.before:,} were before.\n"
            f"Nothing was sent. Look at the difference: s2s plan {loaded.name}"
        )
    if output is Output.json:
        session.answer.give(found)


def verify(
    context: typer.Context,
    project: ProjectName,
    entity: EntityName = None,
    repair: Annotated[bool, typer.Option("--repair", help="Let the next run send what differs.")] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Compare what is published with what Stock2Shop really holds."""
    from engine.sync.adopt import verify as verify_entity

    session = session_of(context)
    terminal = session.terminal
    loaded, _ = project_at_hand(context, session.load(project))
    found: list[dict[str, Any]] = []
    for name in _readable_entities(session, loaded, entity):
        with run_controls(session, loaded.name, name) as (stop, progress):
            drifts = verify_entity(
                loaded, name, repair=repair, reveal=check_reveal(reveal=reveal), cancel=stop, progress=progress
            )
        found += [{"entity": name, **asdict(drift)} for drift in drifts]
        if output is Output.json:
            continue
        if not drifts:
            terminal.print_text(f"{loaded.name} · {name}: Stock2Shop holds what is published.")
            continue
        terminal.print_table(
            [(each.key, each.kind, each.column, each.published, each.remote) for each in drifts],
            ("key", "drift", "column", "published", "Stock2Shop"),
        )
        if any(drift.kind == "unknown" for drift in drifts):
            terminal.print_text("Keys that only Stock2Shop knows are left alone.")
        if all(drift.kind == "unknown" for drift in drifts):
            continue
        terminal.print_text(
            f"The next run sends what is missing or differs: s2s run {loaded.name}"
            if repair
            else f"To have the next run send what is missing or differs: s2s verify {loaded.name} --repair"
        )
    if output is Output.json:
        session.answer.give(found)
    if found and not repair:
        raise typer.Exit(ATTENTION)


def _readable_entities(session: Session, project: Project, entity: str | None) -> tuple[str, ...]:
    """The entities that Stock2Shop reads back; one that was named is always among them, to fail with its reason."""
    names = selected_entities(project, entity)
    if entity is not None:
        return names
    readable = tuple(name for name in names if project.entities[name].search_path is not None)
    for name in names:
        if name not in readable:
            session.terminal.print_error(
                f"{project.name} · {name}: left out, because Stock2Shop has no public way to read them back."
            )
    return readable
