"""The commands of a sync: plan, run, history, quarantine, adopt, rebind, verify."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.failures import ATTENTION, INTERRUPTED, exit_code, gravest, report_error
from engine.cli.log import write_event
from engine.cli.session import (
    EntityName,
    Output,
    OutputFormat,
    ProjectName,
    Reveal,
    check_reveal,
    selected_entities,
    session_of,
)
from engine.cli.signals import run_controls
from engine.clock import Deadline
from engine.errors import DeadlineError, SyncError, UsageError

if TYPE_CHECKING:
    from engine.cli.session import Session
    from engine.model.plan import Outcome
    from engine.model.settings import Project
    from engine.sync.context import RunOptions

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
    loaded = session.load(project)
    options = RunOptions(full=full, everything=all_changes, offline=offline, reveal=check_reveal(reveal=reveal))
    plans = []
    for name in selected_entities(loaded, entity):
        with run_controls(session, loaded.name, name) as (stop, progress):
            plans.append(pipeline.plan(loaded, name, options=options, cancel=stop, progress=progress))
    if output is Output.json:
        session.terminal.print_json([report.plan_json(each) for each in plans])
    else:
        session.terminal.print_text("\n\n".join(report.plan_text(each) for each in plans))
    if any(each.violations for each in plans):
        raise typer.Exit(3)


def run(
    context: typer.Context,
    projects: Annotated[list[str] | None, typer.Argument(help="The projects to run.")] = None,
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
    output: OutputFormat = Output.text,
) -> None:
    """Send what changed to Stock2Shop."""
    from engine.sync import report
    from engine.sync.context import RunOptions

    session = session_of(context)
    names = list(projects or [])
    if all_projects == bool(names):
        raise UsageError("Name the projects to run, or pass --all.", hint="`s2s list` shows the projects.")
    names = names or list(session.project_names())
    approved = expect is not None or approve_deletes is not None or approve_changes is not None
    if approved and (all_projects or len(names) > 1):
        raise UsageError("An approval is for one project.", hint="Run the project that you looked at by itself.")
    whole = None if deadline is None else Deadline.after(deadline)
    options = RunOptions(full=full, expect=expect, approve_deletes=approve_deletes, approve_changes=approve_changes)
    code = 0
    results: list[dict[str, Any]] = []

    def fail(name: str, entity: str | None, error: Exception, *, among: int = 1) -> None:
        nonlocal code
        code = gravest(code, exit_code(error))
        report_error(session, error, project=name, entity=entity or "", lead=len(names) * among > 1)
        results.append({"project": name, "entity": entity, "outcome": "failed", "error": str(error)})

    for name in names:
        if whole is not None and whole.has_come:
            fail(name, entity, _not_begun(whole))
            continue
        try:
            loaded = session.load(name)
            selected = _approved_entities(loaded, entity) if approved else selected_entities(loaded, entity)
        except (SyncError, OSError) as error:
            fail(name, None, error)
            continue
        limit = whole or Deadline.after(loaded.stock2shop.deadline)
        for each in selected:
            if limit.has_come:
                fail(name, each, _not_begun(limit), among=len(selected))
                continue
            try:
                outcome = _run_entity(session, loaded, each, replace(options, deadline=limit))
            except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
                fail(name, each, error, among=len(selected))
                if exit_code(error) == INTERRUPTED:
                    break
                continue
            if outcome.needs_attention:
                code = gravest(code, ATTENTION)
            results.append(report.outcome_json(outcome))
            if output is Output.text:
                session.terminal.print_text(report.outcome_text(outcome))
        if code == INTERRUPTED:
            break
    if output is Output.json:
        session.terminal.print_json(results)
    raise typer.Exit(code)


def _approved_entities(project: Project, entity: str | None) -> tuple[str, ...]:
    """The one entity that an approval is for. Raises :class:`UsageError` where it could be several."""
    selected = selected_entities(project, entity)
    if len(selected) > 1:
        raise UsageError(
            f"An approval is for one entity; {project.name} has {', '.join(selected)}.",
            hint=f"Say which: `s2s run {project.name} --entity {selected[0]}` with the approval.",
        )
    return selected


def _not_begun(deadline: Deadline) -> DeadlineError:
    return DeadlineError(
        f"Not begun: the deadline of {deadline.seconds:g} s came before.",
        hint="Raise the deadline, or run what takes long by a schedule of its own.",
    )


def _run_entity(session: Session, project: Project, entity: str, options: RunOptions) -> Outcome:
    """Run one entity, and log what became of it."""
    from engine.sync import pipeline

    with run_controls(session, project.name, entity) as (stop, progress):
        outcome = pipeline.run(project, entity, options=options, cancel=stop, progress=progress)
    counts = outcome.plan.counts
    write_event(
        session,
        outcome.outcome,
        project.name,
        entity,
        run_id=outcome.run_id,
        source=counts.source,
        sent=outcome.sent,
        quarantined=counts.quarantined,
        refused=outcome.refused,
        seconds=round(outcome.seconds, 1),
        **outcome.extra,
    )
    return outcome


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
    from engine.state.store import open_state
    from engine.sync import history as ledger

    session = session_of(context)
    loaded = session.load(project)
    headers: tuple[str, ...]
    with open_state(loaded.state) as state:
        if key is None and run_id is None:
            headers = ("run_id", "entity", "command", "started_at", "seconds", "outcome", "source", "sent", "message")
            rows = ledger.runs(state, limit=limit)
            for row in rows:
                counts = json.loads(row.pop("counts") or "{}")
                row["source"], row["sent"] = counts.get("source"), counts.get("sent")
        else:
            headers = ("acknowledged_at", "run_id", "entity", "key", "kind", "columns", "status")
            rows = ledger.changes(state, limit=limit, key=key, run_id=run_id, reveal=check_reveal(reveal=reveal))
            if output is Output.text:
                for row in rows:
                    row["columns"] = "; ".join(f"{c['column']}: {c['old']} → {c['new']}" for c in row["columns"])
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
    from engine.state.store import open_state
    from engine.sync.history import quarantine

    session = session_of(context)
    loaded = session.load(project)
    with open_state(loaded.state) as state:
        rows = quarantine(state, entity=entity, resolved=resolved, reveal=check_reveal(reveal=reveal))
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
) -> None:
    """Let rows that Stock2Shop refused be sent again by the next run."""
    from engine.state.store import open_state
    from engine.sync.history import retry

    session = session_of(context)
    loaded = session.load(project)
    with open_state(loaded.state) as state:
        count = retry(state, keys=tuple(keys or ()))
    session.terminal.print_text(f"{count} will be sent again by the next run: s2s run {loaded.name}")


def adopt(context: typer.Context, project: ProjectName, entity: EntityName = None) -> None:
    """Take what Stock2Shop holds as published, so that the next run sends only true differences."""
    from engine.model.fields import ENTITIES
    from engine.sync.adopt import adopt as adopt_entity

    session = session_of(context)
    loaded = session.load(project)
    for name in _readable_entities(session, loaded, entity):
        with run_controls(session, loaded.name, name) as (stop, progress):
            adopted = adopt_entity(loaded, name, cancel=stop, progress=progress)
        session.terminal.print_text(
            f"{loaded.name} · {name}: Stock2Shop holds {adopted.remote:,} {ENTITIES[name].plural_name};"
            f" {adopted.published:,} are published now, {adopted.before:,} were before.\n"
            f"Nothing was sent. Look at the difference: s2s plan {loaded.name}"
        )


def rebind(
    context: typer.Context,
    project: ProjectName,
    keep: Annotated[
        bool, typer.Option("--keep", help="It is the same account, or the same items: keep what is published.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="It is another account: nothing counts as published there.")
    ] = False,
) -> None:
    """Have a project's state belong to the account and the database that project.toml names now."""
    from engine.state.store import open_state
    from engine.sync.origin import origin_of
    from engine.sync.origin import rebind as rebind_state

    if keep == forget:
        raise UsageError(
            "Say what becomes of what is published: --keep or --forget.",
            hint="--keep where it is the same account, or a database with the same items; --forget where the account"
            " is another one.",
        )
    session = session_of(context)
    loaded = session.load(project)
    with open_state(loaded.state) as state:
        before = rebind_state(state, loaded, forget=forget)
    now = origin_of(loaded)
    came_from = f"It belonged to {before.account}; {before.database}." if before else "It belonged to the same before."
    kept = "Nothing counts as published any more" if forget else "What is published was kept"
    session.terminal.print_text(
        f"The state of {loaded.name} belongs to {now.account}; {now.database}.\n{came_from}\n"
        f"{kept}, and nothing was sent. Look at the difference: s2s plan {loaded.name}"
    )


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
    loaded = session.load(project)
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
        terminal.print_json(found)
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
