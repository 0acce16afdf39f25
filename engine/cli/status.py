"""The command that answers what each project does, how it did last, and what needs a person: ``s2s status``."""

from __future__ import annotations

import os
import shutil
import sys
import time
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.failures import ATTENTION
from engine.cli.fleet_state import order_ledgers, take_in_runs
from engine.cli.options import ProjectNames  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import session_of
from engine.clock import local_text, now
from engine.errors import UsageError
from engine.text import escape_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from engine.cli.session import Session
    from engine.status.collect import ProjectStatus

NEEDS_PERSON = 5
"""The exit code where a project fails, was stopped by a guard or is late."""

WATCH_SECONDS = 2.0

HEADERS = ("project", "status", "last good", "now", "sent", "held", "refused", "orders", "requests", "what")

WIDE_COLUMNS = 110
"""From this width of the terminal on, all counts are shown."""

COUNTS = frozenset({"sent", "held", "refused", "orders", "requests"})

STYLES = {"failed": "bold red", "guarded": "red", "late": "yellow", "held": "yellow", "ok": "green"}


class StatusOutput(str, Enum):
    """How the status is printed."""

    text = "text"
    json = "json"
    prometheus = "prometheus"


def status(
    context: typer.Context,
    projects: ProjectNames = None,
    all_projects: Annotated[bool, typer.Option("--all", help="All projects, also beside names.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it every two seconds, on a terminal only.")] = False,
    output: Annotated[StatusOutput, typer.Option("--output", help="How to print the result.")] = StatusOutput.text,
) -> None:
    """Show what each project does now and how it did last, what needs a person first; reads no password.

    Exit code 0: all is well. 4: rows or orders are held. 5: a project fails, was stopped by a guard, or is late.
    """
    session = session_of(context)
    known = session.project_names()
    names = list(known) if all_projects or not projects else list(projects)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"There is no project {unknown[0]!r}.", hint="`s2s list` shows the projects.")
    if watch:
        _watch(session, names, output)
        return
    found = _collect(session, names)
    _print(session, found, output)
    raise typer.Exit(_exit_code(found))


def _collect(session: Session, names: Sequence[str]) -> list[ProjectStatus]:
    from engine.config.workspace import state_folder
    from engine.status.collect import collect_statuses

    workspace = session.workspace()
    take_in_runs(session)
    return collect_statuses(
        workspace, names, state_folder=state_folder(workspace, os.environ), ledgers=order_ledgers(session)
    )


def _exit_code(found: Sequence[ProjectStatus]) -> int:
    conditions = {each.condition for each in found}
    if conditions & {"failed", "guarded", "late"}:
        return NEEDS_PERSON
    return ATTENTION if "held" in conditions else 0


def _print(session: Session, found: Sequence[ProjectStatus], output: StatusOutput) -> None:
    from engine.status.prometheus import metrics_text

    terminal = session.terminal
    if output is StatusOutput.json:
        session.answer.give([each.as_json(now()) for each in found])
    elif output is StatusOutput.prometheus:
        terminal.print_text(metrics_text(found, now()))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(status_table(session, found))
    else:
        terminal.print_table([_cells(each) for each in found], HEADERS)


def _watch(session: Session, names: Sequence[str], output: StatusOutput) -> None:
    """Show the table until Ctrl-C."""
    if not sys.stdout.isatty() or output is not StatusOutput.text:
        raise UsageError("--watch is for a terminal.", hint="Leave it out, or run the command by hand.")
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        while True:
            live.update(status_table(session, _collect(session, names)), refresh=True)
            time.sleep(WATCH_SECONDS)


def status_table(session: Session, found: Sequence[ProjectStatus]) -> Table:
    """The statuses as a table that fits the terminal: counts that are 0 everywhere are left out, and texts wrap.

    On a narrow one what was sent and asked is left out, too.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    rows = [[escape_controls(session.terminal.mask(str(cell))) for cell in _cells(each)] for each in found]
    # What it does now and what needs a person share the last column: seldom is there both.
    for row in rows:
        row[-1] = "; ".join(filter(None, (row.pop(HEADERS.index("now")), row[-1])))
    headers = [name for name in HEADERS if name != "now"]
    left_out = {"sent", "requests"} if shutil.get_terminal_size().columns < WIDE_COLUMNS else set()
    counted = {name for n, name in enumerate(headers) if name in COUNTS and any(row[n] != "0" for row in rows)}
    shown = [n for n, name in enumerate(headers) if name in counted - left_out or name not in COUNTS]
    table = Table(box=box.SIMPLE, caption=local_text(now()), caption_justify="left", pad_edge=False, expand=True)
    for n in shown:
        if headers[n] == "what":
            table.add_column("what", overflow="fold", ratio=1)
        else:
            width = max(cell_len(text) for text in (headers[n], *(row[n] for row in rows)))
            table.add_column(headers[n], justify="right" if headers[n] in COUNTS else "left", min_width=width)
    for row, each in zip(rows, found, strict=True):
        style = STYLES.get(each.condition, "")
        table.add_row(*(Text(row[n], style=style if headers[n] == "status" else "") for n in shown))
    return table


def _cells(status: ProjectStatus) -> tuple[object, ...]:
    """One line of the table."""
    from engine.status.collect import age_text

    good = "never" if status.last_good_at is None else f"{age_text(now() - status.last_good_at)} ago"
    return (
        status.project,
        status.condition,
        good,
        _activity_text(status),
        status.sent,
        status.quarantined,
        status.refused,
        status.orders_waiting + status.orders_failed,
        status.requests,
        _what(status),
    )


def _activity_text(status: ProjectStatus) -> str:
    """What a project does now: its step and how far that is, or how long it has been at it."""
    from engine.status.collect import age_text

    activity = status.activity
    if activity is None:
        return ""
    age = age_text(now() - activity.since)
    if activity.step is None:
        return f"{activity.command} {activity.entity}, {age}"
    share = f" {activity.done:,}" if activity.done else ""
    share += f" of {activity.total:,}" if activity.done and activity.total else ""
    return f"{activity.entity}: {activity.step}{share}, {age}"


def _what(status: ProjectStatus) -> str:
    """Why a project needs a person, and since when."""
    if status.failing_since is None:
        return status.message
    runs = f"{status.failures:,} runs " if status.failures > 1 else ""
    return f"{status.message} ({runs}since {local_text(status.failing_since)})"
