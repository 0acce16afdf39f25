"""The commands that say what a mapping does: ``test``, ``review``, ``docs``, ``fixtures``."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.colour import paint_diff, paint_review
from engine.cli.failures import FAILED, exit_code, gravest, report_error
from engine.cli.options import OutputFormat, ProjectName, ProjectNames  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, session_of
from engine.cli.signals import run_controls
from engine.errors import ConfigError, SyncError, UsageError
from engine.files import replace_file
from engine.text import escape_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.review.model import Review
    from engine.testing.snapshots import ProjectSnapshots, SnapshotDifference

DIFF_LINES = 120
"""Lines of one file's difference that are printed; --output json has all of it."""


class ReviewOutput(str, Enum):
    """How a review is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"
    html = "html"


fixtures_app = typer.Typer(no_args_is_help=True, help="Make the rows that a mapping is tested on.")


def run_tests(
    context: typer.Context,
    projects: ProjectNames = None,
    update: Annotated[bool, typer.Option("--update", help="Write the snapshots as they are now.")] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Run the views on their fixtures; compare with the committed snapshots; run the data tests. No database."""
    from engine.config.workspace import discover
    from engine.testing.fixture_run import fixture_session
    from engine.testing.snapshots import build_snapshots, compare_snapshots, orphaned_folders, update_snapshots

    session = session_of(context)
    workspace = session.workspace()
    if not (projects or discover(workspace)):
        raise UsageError("There are no projects to test.", hint="Create one with `s2s init NAME`.")
    code = 0
    results: list[dict[str, Any]] = []

    def failed(name: str, error: ConfigError) -> None:
        nonlocal code
        code = gravest(code, error.exit_code)
        report_error(session, error, project=name, lead=not error.diagnostics)
        results.append({"project": name, "outcome": "failed", "snapshots": [], "tests": [], "notes": []})

    loaded: list[Project] = []
    for name in projects or discover(workspace):
        try:
            loaded.append(session.load(name, offline=True))
        except ConfigError as error:
            failed(name, error)
    with fixture_session(loaded) as fixtures:
        for project in loaded:
            try:
                produced = build_snapshots(fixtures, project)
                differences = update_snapshots(produced) if update else compare_snapshots(produced)
            except ConfigError as error:
                failed(project.name, error)
                continue
            broken = [each for each in produced.failed if each.severity == "error"]
            if broken or (differences and not update):
                code = gravest(code, FAILED)
            results.append(_result(produced, differences, update=update))
            if output is Output.text:
                _print_tested(session, produced, differences, update=update)
    if not projects:
        for folder in orphaned_folders(workspace):
            code = code if update else gravest(code, FAILED)
            results.append(_orphan(session, folder, update=update, output=output))
    if output is Output.json:
        session.answer.give(results)
    raise typer.Exit(code)


def review(
    context: typer.Context,
    projects: ProjectNames = None,
    against: Annotated[str, typer.Option(help="A branch, tag or commit to compare with.", metavar="REF")] = "HEAD",
    everything: Annotated[bool, typer.Option("--all", help="Every project of the workspace.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Over the rows of the live source, not the fixtures.")] = False,
    output: Annotated[ReviewOutput, typer.Option(help="How to print it.")] = ReviewOutput.text,
    to: Annotated[Path | None, typer.Option(help="Write it to this file.", metavar="FILE")] = None,
) -> None:
    """Show what a change to the mappings does: SQL, fields, and what becomes of rows. Without --live no database."""
    if projects and everything:
        raise UsageError(
            "--all means every project, so no project may be named with it.", hint="Leave out one of them."
        )
    from engine.review.decisions import review_json

    session = session_of(context)
    found, code = _reviewed(session, projects or (), against=against, live=live)
    # Of many projects only those that the change touches are worth a reader's time.
    displayed = found if projects else [each for each in found if each.changed]
    if output is ReviewOutput.json:
        session.answer.give([review_json(each) for each in found])
        text = "" if to is None else session.take_answer()
    else:
        text = session.terminal.mask(_review_text(session, displayed, output, against))
    if to is not None:
        _write_review(session, to, text, displayed)
    elif text:
        session.terminal.print_text(text, paint=paint_review if output is ReviewOutput.text else None)
    if not all(each.runs for each in found):
        code = gravest(code, FAILED)
    raise typer.Exit(code)


def _write_review(session: Session, path: Path, text: str, displayed: Sequence[Review]) -> None:
    """Write a review to a file, and name the projects that it shows."""
    try:
        replace_file(path, (escape_controls(text) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", hint="Name another file.") from None
    names = ", ".join(each.project for each in displayed)
    session.terminal.print_text(f"wrote {path}: {names or 'nothing changes'}")


def _reviewed(session: Session, names: Sequence[str], *, against: str, live: bool) -> tuple[list[Review], int]:
    """The reviews of those projects, or of all, that can be reviewed, and the exit code for the others."""
    from engine.config.workspace import discover
    from engine.review.compare import Checkouts, is_removed, review_live, review_on_fixtures
    from engine.review.git import at_reference
    from engine.review.workspace import review_workspace

    code = 0
    found: list[Review] = []
    workspace = session.workspace()
    with at_reference(workspace, against) as earlier, run_controls(session, "review") as (stop, progress):
        session.hide_written_secrets(workspace)
        session.hide_written_secrets(earlier)
        checkouts = Checkouts(workspace, earlier, against)
        shared = review_workspace(workspace, earlier, against=against)
        found += [shared] if shared else []
        for name in names or sorted({*discover(workspace), *discover(earlier)}):
            try:
                if live and not is_removed(name, checkouts):
                    session.load(name)
                    found.append(review_live(name, checkouts, environ=os.environ, stop=stop, progress=progress))
                else:
                    found.append(review_on_fixtures(name, checkouts))
            except SyncError as error:
                code = gravest(code, exit_code(error))
                report_error(
                    session, error, project=name, lead=not (isinstance(error, ConfigError) and error.diagnostics)
                )
    return found, code


def _review_text(session: Session, displayed: Sequence[Review], output: ReviewOutput, against: str) -> str:
    from engine.review.markdown import reviews_markdown
    from engine.review.text import reviews_text

    if output is ReviewOutput.html:
        from engine.pages.review import review_page
        from engine.review.git import compared_states

        return review_page(displayed, against=against, version=compared_states(session.workspace(), against))
    if not displayed:
        return f"Nothing changes against {against}."
    return reviews_text(displayed) if output is ReviewOutput.text else reviews_markdown(displayed)


def docs(
    context: typer.Context,
    to: Annotated[Path, typer.Option(help="The folder to write it to.", metavar="FOLDER")] = Path("site"),
    output: OutputFormat = Output.text,
) -> None:
    """Write the workspace as a small static site: clients, mapping tables, lineage; searchable without a network."""
    from engine.pages.site import build_site
    from engine.review.git import workspace_state

    session = session_of(context)
    session.hide_written_secrets(session.workspace())
    version = workspace_state(session.workspace())
    clients = build_site(session.workspace(), to, version=version, mask=session.terminal.mask)
    for client in clients:
        for fault in client.faults:
            session.terminal.print_error(fault)
    session.print_text(f"wrote {to / 'index.html'}: {_count(len(clients), 'client')}")
    if output is Output.json:
        found = [{"project": client.name, "faults": list(client.faults)} for client in clients]
        session.answer.give({"page": str(to / "index.html"), "clients": found})
    raise typer.Exit(FAILED if any(client.faults for client in clients) else 0)


@fixtures_app.command("capture")
def capture(
    context: typer.Context,
    project: ProjectName,
    rows: Annotated[int, typer.Option(min=1, help="About so many rows a table.")] = 40,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the fixtures that there are.")] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Make fixtures from the live source: a few rows of what the views read, personal data replaced."""
    from engine.testing.capture import capture_fixtures

    session = session_of(context)
    loaded = session.load(project)
    with run_controls(session, loaded.name, "fixtures") as (stop, progress):
        captured = capture_fixtures(loaded, rows=rows, replace=replace, stop=stop, progress=progress)
    for each in captured:
        replaced = f"; replaced: {', '.join(each.replaced)}" if each.replaced else ""
        session.print_text(f"wrote {each.path}: {each.rows:,} of {each.rows_read:,} rows{replaced}")
    if output is Output.json:
        session.answer.give([asdict(each) for each in captured])
    session.print_text(
        "\nRead the files before you commit them: personal data was recognised by the columns' names and the shapes of"
        f" values.\nNext: s2s test {loaded.name} --update"
    )


def _result(produced: ProjectSnapshots, differences: tuple[SnapshotDifference, ...], *, update: bool) -> dict[str, Any]:
    broken = any(each.severity == "error" for each in produced.failed)
    return {
        "project": produced.project,
        "outcome": "failed" if broken or (differences and not update) else "updated" if differences else "ok",
        "snapshots": [{"path": str(each.path), "state": each.state, "diff": each.diff} for each in differences],
        "tests": [
            {
                "name": each.name,
                "entity": each.entity,
                "severity": each.severity,
                "found": each.found,
                "message": each.message,
            }
            for each in produced.failed
        ],
        "notes": list(produced.notes),
    }


def _print_tested(
    session: Session, produced: ProjectSnapshots, differences: tuple[SnapshotDifference, ...], *, update: bool
) -> None:
    """Print one line where everything is as committed; otherwise what differs, and the command that accepts it."""
    print_text = session.terminal.print_text
    errors = [each for each in produced.failed if each.severity == "error"]
    if update:
        for each in differences:
            print_text(f"{'removed' if each.state == 'unused' else 'wrote'} {_relative(session, each.path)}")
        differences = ()
    else:
        for each in differences:
            print_text(f"{_relative(session, each.path)}: {each.state}")
            if each.state == "changed":
                print_text(f"{_shortened(each.diff)}\n", paint=paint_diff)
    for test_ in produced.failed:
        print_text(f"{_relative(session, test_.path)}: {test_.severity}: {test_.message}")
    for note in produced.notes:
        print_text(f"note: {note}")
    summary = []
    if differences:
        summary.append(f"{len(differences)} of {_count(len(produced.files), 'snapshot')} differ")
    else:
        summary.append(f"{_count(len(produced.files), 'snapshot')} {'written' if update else 'as committed'}")
    if errors:
        summary.append(f"{_count(len(errors), 'data test')} failed")
    elif produced.tests and produced.ran_on_fixtures:
        summary.append(f"{_count(len(produced.tests), 'data test')} passed")
    print_text(f"{produced.project}: {', '.join(summary)}")
    if differences:
        print_text(f"  → If this is meant: s2s test {produced.project} --update")


def _relative(session: Session, path: Path) -> str:
    """A file's path from the workspace on."""
    workspace = session.workspace()
    return path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else str(path)


def _shortened(diff: str) -> str:
    lines = diff.split("\n")
    if len(lines) <= DIFF_LINES:
        return diff
    return "\n".join([*lines[:DIFF_LINES], f"… and {len(lines) - DIFF_LINES} lines more; git shows all after --update"])


def _orphan(session: Session, folder: Path, *, update: bool, output: Output) -> dict[str, Any]:
    """The result for snapshots of a project that no longer exists; ``update`` deletes them."""
    from engine.testing.snapshots import remove_orphaned_folder

    if update:
        remove_orphaned_folder(folder.parents[1], folder)
    if output is Output.text:
        session.terminal.print_text(
            f"removed {folder}" if update else f"{folder}: unused: there is no project {folder.name}."
        )
        if not update:
            session.terminal.print_text("  → If it is gone for good: s2s test --update")
    unused = {"path": str(folder), "state": "unused", "diff": ""}
    outcome = "updated" if update else "failed"
    return {"project": folder.name, "outcome": outcome, "snapshots": [unused], "tests": [], "notes": []}


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
