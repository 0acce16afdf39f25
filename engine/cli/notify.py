"""The command that notifies people: ``s2s notify``; and what runs and the agent call for that."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.failures import FAILED
from engine.cli.fleet_state import order_ledgers, take_in_runs
from engine.cli.options import OutputFormat  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, session_of
from engine.clock import now
from engine.errors import SyncError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.cli.session import Session

INTERVAL_SECONDS = 60.0
"""How often the agent looks for news."""

CLOCK_JUMP_SECONDS = 30.0
"""Once the clock was set by more, or the machine slept for longer, the agent counts as having just begun.

What did not run meanwhile is not late: it runs within its cadence.
"""

STOP_SECONDS = 20
"""How long the agent waits for a message that is being sent when it stops."""


def notify(
    context: typer.Context,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test to every address, and say what went wrong.")
    ] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Send what is news to the addresses of [notify], as every run and the agent do; --test tries them."""
    from engine.config.notifications import read_all_notify
    from engine.notify.notify import send_test

    session = session_of(context)
    session.project_names()
    settings, wrong = read_all_notify(session.workspace(), environ=os.environ)
    session.terminal.hide([secret for each in settings.values() for secret in each.secrets])
    if not test:
        notify_now(session)
        if output is Output.json:
            session.answer.give({"addresses": None, "failed": []})
        return
    if not wrong and not any(each.secrets for each in settings.values()):
        raise UsageError("No [notify] has an address.", hint="`s2s help schedule` has an example for workspace.toml.")
    count, failed = send_test(settings)
    messages = [*dict.fromkeys(wrong + failed)]
    for message in messages:
        session.terminal.print_error(f"{message}.")
    session.print_text(f"{count - len(failed):,} of {count:,} addresses took a test.")
    if output is Output.json:
        session.answer.give({"addresses": count, "failed": messages})
    raise typer.Exit(FAILED if wrong + failed else 0)


def notify_now(session: Session, *, up_for: timedelta | None = None) -> None:
    """Send what is news of the workspace's projects; where it cannot be sent, a warning says so, and nothing fails."""
    from engine.notify.notify import warn

    try:
        _notify_now(session, up_for=up_for)
    except SyncError as error:  # the workspace is away for a moment, or the fleet's database
        warn([str(error).partition("\n")[0].rstrip(".")])
    except Exception as error:  # noqa: BLE001 - a notification never fails a run, nor the notifications after it
        warn([type(error).__name__])


def _notify_now(session: Session, *, up_for: timedelta | None) -> None:
    from engine.config.notifications import read_all_notify
    from engine.config.workspace import state_folder
    from engine.notify.notify import notify as send
    from engine.notify.notify import warn

    workspace = session.workspace()
    settings, wrong = read_all_notify(workspace, environ=os.environ)
    secrets = [secret for each in settings.values() for secret in each.secrets]
    session.terminal.hide(secrets)
    warn(wrong)
    if secrets:
        take_in_runs(session)
        folder = state_folder(workspace, os.environ)
        send(workspace, folder, settings, ledgers=order_ledgers(session), up_for=up_for)


@contextmanager
def keep_notifying(session: Session) -> Iterator[None]:
    """Send what is news, again and again, in a thread, until the block ends."""
    stop = threading.Event()
    up_since, ahead = time.monotonic(), _clock_ahead()

    def serve() -> None:
        nonlocal up_since, ahead
        while not stop.wait(INTERVAL_SECONDS):
            if abs(_clock_ahead() - ahead) > CLOCK_JUMP_SECONDS:
                up_since, ahead = time.monotonic(), _clock_ahead()
            notify_now(session, up_for=timedelta(seconds=time.monotonic() - up_since))

    thread = threading.Thread(target=serve, name="notify", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)


def _clock_ahead() -> float:
    """By how many seconds the clock is ahead of the time for which the machine has been awake."""
    return (now() - datetime(1970, 1, 1)).total_seconds() - time.monotonic()  # noqa: DTZ001 - as ``now`` has it
