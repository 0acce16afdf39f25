"""Which version of a project's files the agent runs: the one that is there, or the last one without errors."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from engine.cli.log import write_warning
from engine.cli.session import CONNECTING_TABLES
from engine.clock import local_text
from engine.errors import ConfigError, StateError, located_messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.cli.session import Session
    from engine.errors import Diagnostic
    from engine.model.settings import Project


def good_files(session: Session, name: str, report: Callable[[str], None] | None = None) -> Path | None:
    """The folder whose files a run of a project takes; None for its own.

    Files that have changed are checked first, as `s2s check` does. Those without errors become the last good version;
    where there are some, it is that version's folder, the run log has the first error, and ``report`` is called with
    it, in place of the session's standard error. A project that never had a good version runs as it is.
    """
    from engine.config.last_good import find_copy, keep_copy, read_files, version_of
    from engine.config.workspace import state_folder

    workspace = session.workspace()
    states = state_folder(workspace, os.environ)
    try:
        files = read_files(workspace / "projects" / name, workspace)
    except (ConfigError, OSError):
        files = {}  # who loads the project says why
    if not files:
        return None
    version, copied = version_of(files), find_copy(states, name)
    if copied is not None and copied.version == version:
        _note_edit(states, name, "")
        return None
    errors = _errors(session, name, version)
    if not errors:
        try:
            keep_copy(states, name, files)
        except Exception as error:  # noqa: BLE001 - no run needs the copy; its lock has errors of its own, too
            write_warning(session, f"Its files cannot be kept as the last good version: {error}", name)
    _note_edit(states, name, errors[0] if errors and copied is not None else "")
    if not errors or copied is None:
        return None
    text = f"{errors[0]} The last good version runs, which is of {local_text(copied.at)}."
    if report is None:
        write_warning(session, text, name)
    else:
        report(text)
    return copied.folder


def load_good(session: Session, name: str) -> Project:
    """Read the version of a project that :func:`good_files` finds, for a job of the agent's."""
    return session.load_to_run(name, files=good_files(session, name))


def load_present(session: Session, name: str) -> Project:
    """Read the files of a project as they are, for a command that runs them: no version before them runs from then on.

    An agent that comes upon an edit with errors notes that again.
    """
    from engine.config.workspace import state_folder

    project = session.load_to_run(name)
    _note_edit(state_folder(session.workspace(), os.environ), project.name, "")
    return project


_found: dict[tuple[Path, str], tuple[str, list[str]]] = {}
"""What was found wrong with the version of a project that was checked last: it is checked once in a process."""


def _errors(session: Session, name: str, version: str) -> list[str]:
    """What is wrong with a version of a project's files, each with its place; nothing that a variable holds."""
    workspace = session.workspace()
    known = _found.get((workspace, name))
    if known is None or known[0] != version:
        known = _found[workspace, name] = (version, _check(session, name, workspace))
    return known[1]


def _check(session: Session, name: str, workspace: Path) -> list[str]:
    from engine.cli.projects import check_files
    from engine.config.loader import load

    found: list[Diagnostic] = []
    try:
        project = load(name, workspace=workspace, environ=os.environ, lenient=CONNECTING_TABLES)
        session.terminal.hide(project.secrets)
        session.hide_variables(project)
        found += check_files(project)
    except ConfigError as error:
        found += error.diagnostics
    except OSError as error:
        return [f"{error.strerror or error}."]
    wrong = [each for each in found if each.severity == "error"]
    return [session.terminal.mask(text) for text in located_messages(ConfigError(wrong), workspace)]


def _note_edit(states: Path, name: str, message: str) -> None:
    """Have the run log know of a broken edit, or that there is none."""
    from engine.run_log.read import open_run_log
    from engine.run_log.record import RunLog, record_edit

    try:
        with open_run_log(states) as log:
            if log.broken_edits().get(name, (None, ""))[1] == message:
                return
    except StateError:
        return  # it is warned of where it is written
    with closing(RunLog(states)) as run_log:
        record_edit(run_log, name, message)
