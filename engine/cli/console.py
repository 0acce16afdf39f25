"""The console of the agent: what it is made of, and the command for its passwords, ``s2s console password``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from engine.cli.agent_jobs import ORDERS_JOB
from engine.cli.fleet_state import order_ledgers
from engine.cli.log import write_warning
from engine.cli.run import RunRequest, job_message
from engine.cli.session import STORED_TABLES, session_of
from engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine.agent.workers import Ended, Json
    from engine.cli.session import Session
    from engine.config.console import ConsoleSettings
    from engine.console.pages import Routes
    from engine.console.work import Work
    from engine.model.settings import Project

console_app = typer.Typer(
    no_args_is_help=True, help="Let people in to the web page of `s2s agent` and `s2s fleet worker`."
)

MIN_PASSWORD_LENGTH = 12


@console_app.command()
def password(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who is to log in.")],
    operator: Annotated[
        bool, typer.Option("--operator", help="May also approve, retry, skip and reveal personal data.")
    ] = False,
) -> None:
    """Ask for a password, and print the lines for workspace.toml that let somebody in; the password is not in them."""
    from engine.console.access import Passwords

    session = session_of(context)
    if sys.stdin.isatty():
        value = str(typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True))
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    if len(value) < MIN_PASSWORD_LENGTH:
        raise UsageError(f"A password has at least {MIN_PASSWORD_LENGTH} letters.", hint="Four words are good ones.")
    session.terminal.hide([value])
    key = name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'
    if '"' in name or "\\" in name or not name.isprintable():
        raise UsageError("A name has no quotes and no backslashes.", hint="Choose another one.")
    role = "operator" if operator else "viewer"
    session.terminal.print_text(f'[console.users.{key}]\nrole = "{role}"\npassword = "{Passwords().hash(value)}"')


def read_settings(session: Session) -> ConsoleSettings | None:
    """The settings of the console; None where they are wrong, which is said: orders and metrics need none."""
    from engine.config.console import read_console
    from engine.config.last_good import find_workspace_file
    from engine.config.workspace import state_folder

    workspace = session.workspace()
    try:
        return read_console(workspace)
    except ConfigError as error:
        copy = find_workspace_file(state_folder(workspace, os.environ))
        if copy is not None:
            with suppress(ConfigError):
                found = read_console(workspace, shared=copy)
                write_warning(session, f"{error} The console is as the last version of the file says.")
                return found
        write_warning(session, f"{error} The console is not served until the agent starts again.")
        return None


class Workers(Protocol):
    """Whoever has jobs done that people ask for: see :meth:`engine.agent.agent.Agent.ask`."""

    def ask(self, name: str, request: Json, on_end: Callable[[Ended], None] = ..., /) -> bool:
        """Have a job begun; gives whether it was taken."""


def make_console_routes(
    session: Session,
    workers: Workers,
    settings: ConsoleSettings,
    *,
    on_accepted: Callable[[tuple[str, int] | None], None],
) -> Routes:
    """The routes of the console, whose settings are read again when they change."""
    from engine.config.workspace import state_folder
    from engine.console.access import Access, Passwords
    from engine.console.application import Console
    from engine.console.audit import AuditLog
    from engine.console.facts import Workspace
    from engine.console.pages import console_routes

    workspace = session.workspace()
    states = state_folder(workspace, os.environ)
    console = Console(
        access=Access(_Settings(session, workspace, settings), Passwords()),
        workspace=Workspace(workspace, states, order_ledgers(session)),
        audit=AuditLog(states),
        work=_work(session, workers, workspace),
        on_accepted=on_accepted,
    )
    return console_routes(console)


class _Settings:
    """The settings as the file has them now; where it is wrong, as they were. Where the agent listens stays."""

    def __init__(self, session: Session, workspace: Path, settings: ConsoleSettings) -> None:
        self._session = session
        self._workspace = workspace
        self._settings = settings
        self._first = settings
        self._stamp: object = None

    def __call__(self) -> ConsoleSettings:
        from engine.config.console import read_console

        try:
            found = (self._workspace / "workspace.toml").stat()
            stamp: object = (found.st_mtime_ns, found.st_size)
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._settings = self._checked(read_console(self._workspace))
            except ConfigError as error:
                write_warning(self._session, f"{error} The console lets in whom it did.")
        return self._settings

    def _checked(self, found: ConsoleSettings) -> ConsoleSettings:
        """Settings that need a login if the first ones did: the port is open to whom it was."""
        return found if found.needs_login or not self._first.needs_login else self._settings


def _work(session: Session, workers: Workers, workspace: Path) -> Work:
    from engine.console.work import Work

    def ask(name: str, task: Mapping[str, Any] | None = None, *, suffix: str = "", **request: Any) -> bool:
        asked = RunRequest(several=True, text=not session.logs_json, last_good=True, **request)
        message = job_message(session.options, workspace, name, asked, task)
        return workers.ask(name + suffix, message)

    def explain(name: str, code: str, keep: Callable[[Sequence[Mapping[str, Any]], str], None]) -> bool:
        task = {"do": "explain", "code": code}
        asked = RunRequest(several=True, text=not session.logs_json)
        message = job_message(session.options, workspace, name, asked, task)
        return workers.ask(name, message, lambda ended: keep(*_stories(ended)))

    def load(name: str) -> Project:
        from engine.config.loader import load

        project = load(name, workspace=workspace, environ=os.environ, lenient=STORED_TABLES)
        session.terminal.hide(project.secrets)
        return project

    def skip(name: str, order: int, code: str | None) -> None:
        from engine.orders.operations import skip_order

        skip_order(load(name), order_ledgers(session), order, code=code)

    def statements(name: str, order: int, reveal: bool) -> list[tuple[str, str, list[str]]]:  # noqa: FBT001 - of Work
        from engine.cli.orders import bound_text
        from engine.orders.plan import plan_orders

        (found,) = plan_orders(load(name), order_ledgers(session), (order,))
        return [
            (f"orders/{path.name}", query.sql, [bound_text(each, reveal=reveal) for each in query.binds])
            for path, query in found.queries
        ]

    return Work(
        run=ask,
        approve=lambda name, entity, digest: ask(name, entity=entity, expect=digest),
        retry=lambda name, order: ask(name, {"do": "retry", "order": order}, suffix=ORDERS_JOB),
        explain=explain,
        skip=skip,
        statements=statements,
    )


def _stories(ended: Ended) -> tuple[list[Mapping[str, Any]], str]:
    """What a worker found of a code, and what went wrong."""
    if ended.answer is None:
        return [], "The process that read the source ended before it was done."
    results = ended.answer["results"]
    errors = [each["error"] for each in results if "error" in each]
    return [each["story"] for each in results if "story" in each], "\n".join(errors)
