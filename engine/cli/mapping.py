"""The commands that say what a mapping does: ``test``, ``review``, ``docs``, ``fixtures``."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.terminal import (
    EXIT_CODE_SEVERITY,
    FAILED,
    Output,
    OutputFormat,
    ProjectName,
    exit_code,
    json_text,
    load_project,
    print_text,
    report_error,
    run_controls,
    session,
    show_json,
    workspace_folder,
)
from engine.errors import ConfigError, SyncError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.settings import Project
    from engine.review.model import Review
    from engine.testing.snapshots import ProjectSnapshots, SnapshotDifference

DIFF_LINES = 120
"""How much of one file's difference is printed; --output json has all of it."""


class ReviewOutput(str, Enum):
    """How a review is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"
    html = "html"


fixtures_app = typer.Typer(no_args_is_help=True, help="Make the rows that a mapping is tested on.")


def register(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command("test")(rehearse_all)
    app.command()(review)
    app.command()(docs)
    app.add_typer(fixtures_app, name="fixtures")


def rehearse_all(
    projects: Annotated[list[str] | None, typer.Argument(help="The projects; all when none is named.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the snapshots as they are now.")] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Run the views on their fixtures; compare with the committed snapshots; run the data tests. No database."""
    from engine.config.workspace import discover
    from engine.testing.fixture_run import fixture_session
    from engine.testing.snapshots import build_snapshots, compare_snapshots, orphaned_folders
    from engine.testing.snapshots import update_snapshots as rewrite

    workspace = workspace_folder()
    if not (projects or discover(workspace)):
        raise UsageError("There are no projects to test.", hint="Begin one with `s2s init NAME`.")
    code = 0
    results: list[dict[str, Any]] = []

    def failed(name: str, error: ConfigError) -> None:
        nonlocal code
        code = max(code, error.exit_code, key=EXIT_CODE_SEVERITY.__getitem__)
        report_error(error, project=name, lead=not error.faults)
        results.append({"project": name, "outcome": "failed", "error": str(error)})

    loaded: list[Project] = []
    for name in projects or discover(workspace):
        try:
            loaded.append(_offline(name))
        except ConfigError as error:
            failed(name, error)
    with fixture_session(loaded) as fixtures:
        for project in loaded:
            try:
                produced = build_snapshots(fixtures, project)
                differences = rewrite(produced) if update else compare_snapshots(produced)
            except ConfigError as error:
                failed(project.name, error)
                continue
            broken = [each for each in produced.failed if each.severity == "error"]
            if broken or (differences and not update):
                code = max(code, FAILED, key=EXIT_CODE_SEVERITY.__getitem__)
            results.append(_result(produced, differences, update=update))
            if output is Output.text:
                _say(produced, differences, update=update)
    if not projects:
        for folder in orphaned_folders(workspace):
            code = max(code, 0 if update else FAILED, key=EXIT_CODE_SEVERITY.__getitem__)
            _orphan(folder, results, update=update, output=output)
    if output is Output.json:
        show_json(results)
    raise typer.Exit(code)


def review(
    projects: Annotated[list[str] | None, typer.Argument(help="The projects; all when none is named.")] = None,
    against: Annotated[str, typer.Option(help="A branch, tag or commit to compare with.", metavar="REF")] = "HEAD",
    everything: Annotated[bool, typer.Option("--all", help="Every project of the workspace.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Over the rows of the live source, not the fixtures.")] = False,
    output: Annotated[ReviewOutput, typer.Option(help="How to print it.")] = ReviewOutput.text,
    to: Annotated[Path | None, typer.Option(help="Write it to this file.", metavar="FILE")] = None,
) -> None:
    """Show what a change to the mappings does: SQL, fields, and what becomes of rows. Without --live no database."""
    if projects and everything:
        raise UsageError("--all is every project, so none is named besides.", hint="Leave out the one or the other.")
    workspace = workspace_folder()
    found, code = _reviewed(projects or (), workspace=workspace, against=against, live=live)
    # Of many projects only those that the change touches are worth a reader's time.
    shown = found if projects else [each for each in found if each.changed]
    text = _written(shown, found, output, against, workspace=workspace)
    if to is None:
        print_text(text)
    else:
        try:
            to.write_text(session.clean(text) + "\n", "utf-8", newline="\n")
        except OSError as error:
            raise UsageError(f"{to} cannot be written: {error.strerror}.", hint="Name another file.") from None
        print_text(f"wrote {to}: {', '.join(each.project for each in shown) or 'nothing changes'}")
    if not all(each.runs for each in found):
        code = max(code, FAILED, key=EXIT_CODE_SEVERITY.__getitem__)
    raise typer.Exit(code)


def _reviewed(names: Sequence[str], *, workspace: Path, against: str, live: bool) -> tuple[list[Review], int]:
    """The reviews of those projects, or of all, that can be reviewed, and the exit code for the others."""
    from engine.config.loader import load
    from engine.config.workspace import discover
    from engine.review.compare import is_removed, review_live
    from engine.review.compare import review_on_fixtures as compare_mappings
    from engine.review.git import at_reference

    code = 0
    found: list[Review] = []
    with at_reference(workspace, against) as earlier, run_controls("review") as (stop, progress):
        for name in names or sorted({*discover(workspace), *discover(earlier)}):
            try:
                if live and not is_removed(name, workspace=workspace, earlier=earlier):
                    session.secrets.update(load(name, workspace=workspace, environ=os.environ).secrets)
                    found.append(
                        review_live(
                            name,
                            workspace=workspace,
                            earlier=earlier,
                            against=against,
                            environ=os.environ,
                            stop=stop,
                            progress=progress,
                        )
                    )
                else:
                    found.append(compare_mappings(name, workspace=workspace, earlier=earlier, against=against))
            except SyncError as error:
                code = max(code, exit_code(error), key=EXIT_CODE_SEVERITY.__getitem__)
                report_error(error, project=name, lead=not (isinstance(error, ConfigError) and error.faults))
    return found, code


def _written(
    shown: Sequence[Review], found: Sequence[Review], output: ReviewOutput, against: str, *, workspace: Path
) -> str:
    from dataclasses import asdict

    from engine.review.markdown import reviews_markdown
    from engine.review.text import reviews_text

    if output is ReviewOutput.json:
        return json_text([asdict(each) for each in found])
    if output is ReviewOutput.html:
        from engine.pages.review import review_page
        from engine.review.git import compared_states

        return review_page(shown, against=against, version=compared_states(workspace, against))
    if not shown:
        return f"Nothing changes against {against}."
    return reviews_text(shown) if output is ReviewOutput.text else reviews_markdown(shown)


def docs(
    to: Annotated[Path, typer.Option(help="The folder to write it to.", metavar="FOLDER")] = Path("site"),
) -> None:
    """Write the workspace as a small static site: clients, mapping tables, lineage; searchable without a network."""
    from engine.pages.site import build_site

    clients = build_site(workspace_folder(), to)
    for client in clients:
        for fault in client.faults:
            typer.echo(session.clean(fault), err=True)
    print_text(f"wrote {to / 'index.html'}: {_count(len(clients), 'client')}")
    raise typer.Exit(FAILED if any(client.faults for client in clients) else 0)


@fixtures_app.command("capture")
def capture(
    project: ProjectName,
    rows: Annotated[int, typer.Option(min=1, help="About so many rows a table.")] = 40,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the fixtures that there are.")] = False,
) -> None:
    """Make fixtures from the live source: a few rows of what the views read, personal data replaced."""
    from engine.testing.capture import capture_fixtures as take

    loaded = load_project(project)
    with run_controls(loaded.name, "fixtures") as (stop, progress):
        taken = take(loaded, rows=rows, replace=replace, stop=stop, progress=progress)
    for each in taken:
        replaced = f"; replaced: {', '.join(each.replaced)}" if each.replaced else ""
        print_text(f"wrote {each.path}: {each.rows:,} of {each.rows_read:,} rows{replaced}")
    print_text(
        "\nRead the files before you commit them: what is personal was told by the columns' names and the shapes of"
        f" values.\nNext: s2s test {loaded.name} --update"
    )


def _offline(name: str) -> Project:
    from engine.config.loader import load

    return load(name, workspace=workspace_folder(), environ=os.environ, offline=True)


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


def _say(produced: ProjectSnapshots, differences: tuple[SnapshotDifference, ...], *, update: bool) -> None:
    """One line where all is well; else what differs, and the command that takes it over."""
    errors = [each for each in produced.failed if each.severity == "error"]
    if update:
        for each in differences:
            print_text(f"{'removed' if each.state == 'unused' else 'wrote'} {_shown(each.path)}")
        differences = ()
    else:
        for each in differences:
            print_text(f"{_shown(each.path)}: {each.state}")
            if each.state == "changed":
                print_text(f"{_shortened(each.diff)}\n")
    for test_ in produced.failed:
        print_text(f"{_shown(test_.path)}: {test_.severity}: {test_.message}")
    for note in produced.notes:
        print_text(f"note: {note}")
    said = []
    if differences:
        said.append(f"{len(differences)} of {_count(len(produced.files), 'snapshot')} differ")
    else:
        said.append(f"{_count(len(produced.files), 'snapshot')} {'written' if update else 'as committed'}")
    if errors:
        said.append(f"{_count(len(errors), 'data test')} failed")
    elif produced.tests and produced.ran_on_fixtures:
        said.append(f"{_count(len(produced.tests), 'data test')} passed")
    print_text(f"{produced.project}: {', '.join(said)}")
    if differences:
        print_text(f"  → If this is meant: s2s test {produced.project} --update")


def _shown(path: Path) -> str:
    """A file's path from the workspace on."""
    workspace = workspace_folder()
    return path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else str(path)


def _shortened(diff: str) -> str:
    lines = diff.split("\n")
    if len(lines) <= DIFF_LINES:
        return diff
    return "\n".join([*lines[:DIFF_LINES], f"… and {len(lines) - DIFF_LINES} lines more; git shows all after --update"])


def _orphan(folder: Path, results: list[dict[str, Any]], *, update: bool, output: Output) -> None:
    """Snapshots of a project that there is no more."""
    import shutil

    if update:
        shutil.rmtree(folder)
    results.append({"project": folder.name, "outcome": "updated" if update else "failed", "unused": str(folder)})
    if output is Output.text:
        print_text(f"removed {folder}" if update else f"{folder}: unused: there is no project {folder.name}.")
        if not update:
            print_text("  → If it is gone for good: s2s test --update")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
