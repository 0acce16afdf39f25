"""The command line put together: the options given before a command, the commands in their order, and ``main``."""

from __future__ import annotations

import os
import sys
from copy import copy
from functools import cache
from itertools import takewhile
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from engine import __version__
from engine.cli import (
    agent,
    console,
    explain,
    fleet,
    help_pages,
    init,
    mapping,
    notify,
    orders,
    origins,
    preview,
    projects,
    secret,
    service,
    status,
    sync,
    try_out,
)
from engine.cli.command_line import (
    PANELS,
    CommandGroup,
    PanelGroup,
    add_examples,
    arrange_words,
    command_name,
    name_types,
    note_project,
    option_value,
    walk_commands,
    words_of_command,
)
from engine.cli.contract import error_entries
from engine.cli.failures import FAILED, INTERRUPTED, exit_code, report_error
from engine.cli.log import engine_warnings
from engine.cli.log_file import LogFile
from engine.cli.session import GlobalOptions, LogFormat, Output, Session, session_of
from engine.cli.terminal import configure_encoding, flush_errors, is_closed_pipe, open_missing_streams
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer.models import CommandInfo

app = typer.Typer(
    name="s2s",
    cls=PanelGroup,
    help="Keep Stock2Shop in sync with a client's database. Start with `s2s demo`, or `s2s init`.",
    epilog="`s2s help` lists the pages of the documentation. The options above, and `--output` where a command has it,"
    " may stand before or after the command.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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
    log_file: Annotated[
        Path | None,
        typer.Option(help="Write the log to this file instead; at 10 MB it is renamed, and five older ones are kept."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Keep the options given before the command."""
    del version  # printed while the options were read
    session = session_of(context)
    session.options = GlobalOptions(workspace=workspace, debug=debug, log_format=log_format)
    if log_file is not None:
        session.terminal.log_to(LogFile(log_file))


SET_UP, MAPPING, SYNC, ORDERS, OPERATE, LEARN = PANELS


def _add_group(group: typer.Typer, name: str, panel: str, short_help: str) -> None:
    """Have ``s2s`` list a group of commands under a panel, and the group its own commands with whole sentences."""
    app.add_typer(group, cls=CommandGroup, name=name, rich_help_panel=panel, short_help=short_help)


# --help lists the commands in this order, under their panels.
app.command(rich_help_panel=SET_UP, short_help="Create a project.")(init.init)
app.command("list", rich_help_panel=SET_UP, short_help="List the workspace's projects.")(projects.list_projects)
app.command(rich_help_panel=SET_UP, short_help="Check everything that a run needs.")(projects.doctor)
_add_group(secret.secret_app, "secret", SET_UP, "Keep secrets in the system's store.")
app.command(rich_help_panel=MAPPING, short_help="Check settings, views and statements; no database.")(projects.check)
app.command(rich_help_panel=MAPPING, short_help="Print the SQL that a view renders to.")(projects.render)
app.command(rich_help_panel=MAPPING, short_help="Show what the views give right now.")(preview.preview)
app.command("test", rich_help_panel=MAPPING, short_help="Run the views on their fixtures.")(mapping.run_tests)
_add_group(mapping.fixtures_app, "fixtures", MAPPING, "Make the rows for tests.")
app.command(rich_help_panel=MAPPING, short_help="Show what a change to the mappings does.")(mapping.review)
app.command(rich_help_panel=MAPPING, short_help="Write the workspace as a static site.")(mapping.docs)
app.command(rich_help_panel=SYNC, short_help="Show what a run would do; send nothing.")(sync.plan)
app.command(rich_help_panel=SYNC, short_help="Send what changed to Stock2Shop.")(sync.run)
app.command(rich_help_panel=SYNC, short_help="Show everything known of one code.")(explain.explain)
app.command(rich_help_panel=SYNC, short_help="Show the last runs and changes.")(sync.history)
_add_group(sync.quarantine_app, "quarantine", SYNC, "Look at rows that are held back.")
app.command(rich_help_panel=SYNC, short_help="Take what Stock2Shop holds as published.")(sync.adopt)
app.command(rich_help_panel=SYNC, short_help="Compare published with what Stock2Shop holds.")(sync.verify)
app.command(rich_help_panel=SYNC, short_help="Bind what is remembered to another account.")(origins.rebind)
_add_group(orders.orders_app, "orders", ORDERS, "Raise orders in the database.")
orders.orders_app.command()(origins.former)
app.command(rich_help_panel=OPERATE, short_help="Show how every project does.")(status.status)
_add_group(agent.agent_app, "agent", OPERATE, "Run every project at its cadence.")
_add_group(service.schedule_app, "schedule", OPERATE, "Run all by the system's scheduler.")
_add_group(console.console_app, "console", OPERATE, "Let people in to the agent's web page.")
_add_group(fleet.fleet_app, "fleet", OPERATE, "Run them on several machines.")
app.command(rich_help_panel=OPERATE, short_help="Notify people of what is news.")(notify.notify)
app.command(rich_help_panel=LEARN, short_help="Show the story with an example client.")(try_out.demo)
app.command(rich_help_panel=LEARN, short_help="Serve a local Stock2Shop to try things out.")(try_out.sandbox)
app.command("help", rich_help_panel=LEARN, short_help="Print a page of the documentation.")(help_pages.show_help)


def command_tree(words: Sequence[str] = ()) -> Any:
    """The commands as typer builds them, with their examples; each tells its session which project it is about.

    Where ``words`` begin with one of them, it is the only one: building all of them takes a process 24 ms.
    """
    name = next(words_of_command(words), "")
    asks_for_help = not {"-h", "--help"}.isdisjoint(takewhile(lambda word: word != name, words))
    return _build_tree("" if asks_for_help else name)


@cache
def _build_tree(name: str) -> Any:
    chosen = copy(app)
    chosen.registered_commands = [each for each in app.registered_commands if _name_of(each) == name]
    chosen.registered_groups = [each for each in app.registered_groups if each.name == name]
    tree = get_command(chosen if chosen.registered_commands or chosen.registered_groups else app)
    add_examples(tree)
    name_types(tree)
    for _, command in walk_commands(tree):
        if command.callback is not None and not hasattr(command, "commands"):
            note_project(command, _note_subject)
    return tree


def _name_of(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def _note_subject(context: typer.Context, project: str | None) -> None:
    session_of(context).subject = project


def main() -> None:
    """Run the command line; every error becomes a message, a hint and an exit code."""
    # NumPy's library for linear algebra, which nothing here needs, starts a thread a core when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pydantic would look through all that is installed for plugins, and run code of theirs.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    open_missing_streams()
    configure_encoding()
    words = arrange_words(sys.argv[1:])
    output = Output.json if option_value(words, "--output") == Output.json.value else Output.text
    tree = command_tree(words)
    session = Session(output=output, command=command_name(tree, words))
    try:
        code = _run_command(tree, words, session)
        if output is Output.json and not session.answer.is_empty:
            session.terminal.print_json_line(session.take_answer())
        sys.stdout.flush()
    except OSError as error:
        if not is_closed_pipe(error):
            session.terminal.print_error(f"The result cannot be printed: {error.strerror}.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    finally:
        session.terminal.close()
        flush_errors()
    sys.exit(code)


def _run_command(tree: Any, words: list[str], session: Session) -> int:
    """Run one command, and give its exit code; only a closed pipe is raised."""
    try:
        with engine_warnings(session):
            # Outside its standalone mode typer gives a command's exit code back instead of leaving with it.
            return tree.main(args=words, prog_name="s2s", standalone_mode=False, obj=session) or 0
    except (typer.Abort, KeyboardInterrupt) as error:
        if session.output is Output.json:
            session.answer.errors += error_entries(error, message="It was interrupted.", hint="", exit_code=INTERRUPTED)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and is_closed_pipe(error):
            raise
        show = getattr(error, "show", None)  # typer's own errors have it; their class is not public
        if not callable(show):
            report_error(session, error)
        elif session.logs_json or session.output is Output.json:
            lookup = " ".join(filter(None, ("s2s", session.command, "--help")))
            usage = UsageError(error.format_message(), hint=f"`{lookup}` lists what it takes.")  # type: ignore[attr-defined] # as above
            report_error(session, usage)
        else:
            show()
        return exit_code(error)
    finally:
        session.resources.close()
