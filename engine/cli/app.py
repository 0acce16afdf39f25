"""The command line put together: the options given before a command, the commands in their order, and ``main``."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from engine import __version__
from engine.cli import (
    agent,
    explain,
    help_pages,
    init,
    mapping,
    notify,
    orders,
    preview,
    projects,
    secret,
    service,
    status,
    sync,
    try_out,
)
from engine.cli.failures import FAILED, INTERRUPTED, exit_code, report_error
from engine.cli.log import engine_warnings
from engine.cli.session import GlobalOptions, LogFormat, Session, session_of
from engine.cli.terminal import configure_encoding
from engine.errors import UsageError

app = typer.Typer(
    name="s2s",
    help="Keep Stock2Shop in sync with a client's database. Start with `s2s demo`, or `s2s init`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(context: typer.Context, *, value: bool) -> None:
    if value:
        session_of(context).terminal.print_text(f"s2s {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="The folder that holds projects/. Otherwise the nearest one upwards, or $S2S_WORKSPACE."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="How progress and errors are written to standard error.")
    ] = LogFormat.text,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Keep the options given before the command."""
    del version  # printed while the options were read
    session_of(context).options = GlobalOptions(workspace=workspace, debug=debug, log_format=log_format)


# --help lists the commands in this order, in which a project needs them.
app.command()(init.init)
app.command("list")(projects.list_projects)
app.command()(projects.check)
app.command()(projects.render)
app.command("test")(mapping.run_tests)
app.command()(mapping.review)
app.command()(mapping.docs)
app.command()(preview.preview)
app.command()(sync.plan)
app.command()(sync.run)
app.add_typer(agent.agent_app, name="agent")
app.add_typer(service.schedule_app, name="schedule")
app.command()(status.status)
app.command()(notify.notify)
app.command()(explain.explain)
app.command()(sync.history)
app.command()(sync.adopt)
app.command()(sync.verify)
app.command()(sync.rebind)
app.command()(projects.doctor)
app.command()(try_out.sandbox)
app.command()(try_out.demo)
app.command("help")(help_pages.show_help)
app.add_typer(sync.quarantine_app, name="quarantine")
app.add_typer(orders.orders_app, name="orders")
app.add_typer(mapping.fixtures_app, name="fixtures")
app.add_typer(secret.secret_app, name="secret")


def main() -> None:
    """Run the command line; every error becomes a message, a hint and an exit code."""
    # NumPy's library for linear algebra, which nothing here needs, starts a thread a core when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pydantic would look through all that is installed for plugins, and run code of theirs.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    configure_encoding()
    session = Session()
    try:
        with engine_warnings(session):
            # Outside its standalone mode typer gives a command's exit code back instead of leaving with it.
            sys.exit(app(standalone_mode=False, obj=session))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a traceback shown to a user is a bug
        if _is_closed_pipe(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        show = getattr(error, "show", None)  # typer's own errors have it; their class is not public
        if callable(show) and session.logs_json:
            usage = UsageError(error.format_message(), hint="`s2s --help` lists the commands and options.")  # type: ignore[attr-defined]
            report_error(session, usage)
        elif callable(show):
            show()
        else:
            report_error(session, error)
        sys.exit(exit_code(error))


def _is_closed_pipe(error: Exception) -> bool:
    """Whether nobody reads the output any more; Windows says of such a pipe that the argument is invalid."""
    if isinstance(error, BrokenPipeError):
        return True
    if sys.platform == "win32" and isinstance(error, OSError):
        return error.errno == errno.EINVAL and error.winerror is None and error.filename is None
    return False
