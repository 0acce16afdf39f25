"""One invocation of the command line: its options, where it prints, and the projects that it names."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.contract import Answer, build_envelope
from engine.cli.terminal import Terminal
from engine.errors import ConfigError, UsageError
from engine.files import is_dir

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection

    import typer

    from engine.config.fleet import FleetSettings
    from engine.fleet.database import FleetDatabase
    from engine.fleet.object_store import ObjectStore
    from engine.fleet.order_ledgers import FleetLedgers
    from engine.model.settings import Project


CONNECTING_TABLES = ("source", "stock2shop", "orders")
"""Tables whose variables are needed only by commands that connect."""

STORED_TABLES = (*CONNECTING_TABLES, "vars")
"""Tables whose variables are needed by no command that only looks at what is stored."""


class Output(str, Enum):
    """How a command prints its result."""

    text = "text"
    json = "json"


class LogFormat(str, Enum):
    """How progress and errors are written to standard error."""

    text = "text"
    json = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """The options given before the command."""

    workspace: Path | None = None
    debug: bool = False
    log_format: LogFormat = LogFormat.text


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConnections:
    """What reaches the fleet: its PostgreSQL for one thing at a time, and for orders of several threads.

    ``objects`` is its object store, None where all states are in PostgreSQL. This was made of ``settings``.
    """

    settings: FleetSettings
    database: FleetDatabase
    objects: ObjectStore | None
    ledgers: FleetLedgers


@dataclass(slots=True, kw_only=True)
class Session:
    """What one command needs of its surroundings; typer hands it on as ``context.obj``.

    ``output`` is how the command prints its result, and ``command`` its name, such as ``orders list``. ``subject`` is
    the one project that it is about, as the command line names it. ``project`` is the name of the project that was read
    last: a log line that names no other is about it. ``stop`` is set by whoever ends the command early; where it is
    None, signals do. ``fleet`` is what was opened of the fleet's PostgreSQL.
    ``resources`` are closed when the command has ended.
    """

    options: GlobalOptions = field(default_factory=GlobalOptions)
    terminal: Terminal = field(default_factory=Terminal)
    output: Output = Output.text
    command: str = ""
    subject: str | None = None
    answer: Answer = field(default_factory=Answer)
    project: str = ""
    stop: threading.Event | None = None
    fleet: FleetConnections | None = None
    resources: ExitStack = field(default_factory=ExitStack)

    @property
    def logs_json(self) -> bool:
        """Whether standard error is one JSON document a line."""
        return self.options.log_format is LogFormat.json

    @property
    def may_ask(self) -> bool:
        """Whether somebody is there to answer a question: who reads JSON is a program."""
        return self.output is not Output.json and sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def shows_progress(self) -> bool:
        """Whether the last line of standard error shows how far the command is."""
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return self.stop is None and is_terminal and not self.logs_json

    def take_answer(self) -> str:
        """The document that ``--output json`` prints, with secrets masked; what it holds is not printed again."""
        answer, self.answer = self.answer, Answer()
        # The project's own name where the command line has the path of its folder.
        about = None if self.subject is None else self.project or self.subject
        return self.terminal.json_text(build_envelope(answer, command=self.command, project=about))

    def workspace(self) -> Path:
        """The workspace that the command works in. Raises :class:`ProjectError` when there is none."""
        from engine.config.workspace import find_workspace

        named = self.options.workspace
        if named is not None and not is_dir(named / "projects"):
            raise UsageError(
                f"--workspace is {named}, which holds no projects/ folder.",
                hint="Name the folder that holds projects/, or create a project there with `s2s init NAME`.",
            )
        return named or find_workspace(Path.cwd(), environ=os.environ)

    def project_names(self) -> tuple[str, ...]:
        """The names of the workspace's projects. Raises :class:`UsageError` when there are none."""
        from engine.config.workspace import discover

        workspace = self.workspace()
        names = discover(workspace)
        if not names:
            raise UsageError(
                f"There are no projects in {workspace / 'projects'}.",
                hint="Create one with `s2s init NAME`. Where there should be some: may this account read the folder?",
            )
        return names

    def load(
        self,
        name: str,
        *,
        offline: bool | Collection[str] = False,
        lenient: Collection[str] = (),
        files: Path | None = None,
    ) -> Project:
        """Read the project ``name``; from now on nothing that is printed holds one of its secrets.

        ``offline``, ``lenient`` and ``files`` are those of :func:`engine.config.loader.load`. Raises
        :class:`ProjectError` with everything that is wrong with it.
        """
        from engine.config.loader import load

        workspace = self.workspace()
        project = load(name, workspace=workspace, environ=os.environ, offline=offline, lenient=lenient, files=files)
        self.project = project.name
        self.terminal.hide(project.secrets)
        return project

    def load_to_run(self, name: str, *, files: Path | None = None) -> Project:
        """Read the project ``name``, as :meth:`load` does; where it cannot be read, the run log has that."""
        from engine.config.workspace import discover, state_folder
        from engine.run_log.record import record_failure

        try:
            return self.load(name, files=files)
        except (ConfigError, OSError) as error:
            workspace = self.workspace()
            if name in discover(workspace):
                diagnostics = error.diagnostics if isinstance(error, ConfigError) else ()
                wrong = [each for each in diagnostics if each.severity == "error"]
                places = [f"{each.relative_location(workspace)}: {each.message}".removeprefix(": ") for each in wrong]
                folder = state_folder(workspace, os.environ)
                record_failure(folder, error, project=name, command="run", message="\n".join(places))
            raise

    def load_stored(self, name: str) -> Project:
        """Read the project ``name`` for a command that looks at what is stored: it needs no variable's value."""
        return self.load(name, lenient=STORED_TABLES)

    def hide_variables(self, *projects: Project) -> None:
        """From now on print nothing that a variable of these projects holds: a branch may name any variable."""
        for project in projects:
            self.terminal.hide(project.variable_values)

    def hide_written_secrets(self, workspace: Path) -> None:
        """Hide the secrets that are written out in any project.toml of a workspace, such as that of another commit."""
        from engine.config.loader import load
        from engine.config.workspace import discover

        for name in discover(workspace):
            with suppress(ConfigError, OSError):
                self.terminal.hide(load(name, workspace=workspace, environ={}, offline=True).secrets)

    def loadable_projects(self) -> list[Project]:
        """All projects of the workspace but for those with errors, with or without values for their variables."""
        from engine.config.loader import load
        from engine.config.workspace import discover

        workspace, found = self.workspace(), []
        for name in discover(workspace):
            try:
                found.append(load(name, workspace=workspace, environ=os.environ, lenient=CONNECTING_TABLES))
            except (ConfigError, OSError):
                continue  # its own check says why
            self.terminal.hide(found[-1].secrets)
        return found

    def print_text(self, text: str = "") -> None:
        """Print a line, or lines, for people: nothing where the result is printed as JSON."""
        if self.output is not Output.json:
            self.terminal.print_text(text)

    def print_result(self, rows: list[dict[str, object]], headers: tuple[str, ...], output: Output) -> None:
        """Print rows as JSON, or as a table of the columns ``headers``."""
        if output is Output.json:
            self.answer.give(rows)
        else:
            self.terminal.print_table([[row[name] for name in headers] for row in rows], headers)


def session_of(context: typer.Context) -> Session:
    """The session of a command's context, which is made where there is none."""
    return context.ensure_object(Session)


def selected_entities(project: Project, entity: str | None) -> tuple[str, ...]:
    """The entities that a command is about. Raises :class:`UsageError` for one that the project does not have."""
    if entity is None:
        return tuple(project.entities)
    if entity not in project.entities:
        raise UsageError(
            f"{project.name} has no {entity}.", hint=f"It has: {', '.join(project.entities)}. Name one of them."
        )
    return (entity,)


def check_reveal(*, reveal: bool) -> bool:
    """``reveal`` as it is. Raises :class:`UsageError` where personal data would end up in a file or a pipe."""
    if reveal and not sys.stdout.isatty():
        raise UsageError(
            "--reveal shows personal data on a terminal only, not in a file or a pipe.",
            hint="Leave --reveal out, or run the command by hand.",
        )
    return reveal
