"""What all commands share: the session, printing, progress, errors in words, exit codes. The only place that prints."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator  # noqa: TC003 - typer reads annotations at run time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from queue import Full, Queue, SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import ConfigError, SyncError, UsageError
from engine.files import is_dir

if TYPE_CHECKING:
    from engine.model.settings import Project

FAILED = 1
ATTENTION = 4
EXIT_CODE_SEVERITY = {0: 0, 4: 1, 75: 2, 3: 3, 130: 4, 2: 5, 1: 6}
"""Which exit code speaks for several projects: the gravest."""

OWN = frozenset({"_key", "_group", "_flag", "_acknowledged_at"})
"""Columns of the engine's own that tell people something."""

STEERING = (
    *(*range(9), *range(11, 32), *range(127, 160)),  # control characters, but for tabs and line ends
    *(0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # what turns a line around
)
CONTROLS = {number: f"\\u{number:04x}" for number in STEERING}
"""What texts may hold and a terminal would obey, written so that JSON and people can read it."""


class Output(str, Enum):
    """How a command prints its result."""

    text = "text"
    json = "json"


class LogFormat(str, Enum):
    """How progress and errors are written to standard error."""

    text = "text"
    json = "json"


@dataclass
class Session:
    """What the options before the command set, for every command."""

    workspace: Path | None = None
    debug: bool = False
    log_format: LogFormat = LogFormat.text
    project: str = ""
    secrets: set[str] = field(default_factory=set)

    def clean(self, text: str) -> str:
        """``text`` without any value that came from a secret variable."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) > 3:  # noqa: PLR2004 - shorter ones would black out half of every message
                text = text.replace(secret, "***")
        return text


session = Session()

ProjectName = Annotated[
    str, typer.Argument(help="The project: its name, or the path of its folder.", metavar="PROJECT")
]
EntityName = Annotated[str | None, typer.Option("--entity", help="Only this entity; otherwise all of the project's.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show personal data; on a terminal only.")]
OutputFormat = Annotated[Output, typer.Option("--output", help="How to print the result.")]


def configure_encoding() -> None:
    """Let standard output and error take whatever a client's database holds, where Windows' code page does not.

    What is no terminal becomes UTF-8, as Python 3.15 has it by itself (PEP 686), unless PYTHONIOENCODING says
    otherwise; a terminal shows the letters that it lacks by their numbers.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            told = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if told else "utf-8", errors="backslashreplace")


class _Log(logging.Handler):
    """What the engine logs of its own accord, such as a request that is tried again, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        message = session.clean(record.getMessage())
        if session.log_format is LogFormat.json:
            _log(record.levelname.lower(), session.project, message=message)
            return
        over = _cleared() if sys.stderr.isatty() else ""  # the line of progress
        typer.echo(f"{over}{message}", err=True)


def _cleared() -> str:
    """What empties the terminal's line, in blanks: an older console of Windows shows the sequence for it as letters."""
    return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r"


def take_logs() -> None:
    """Have warnings of the engine's modules written as everything else is."""
    logging.getLogger("engine").addHandler(_Log(logging.WARNING))


def exit_code(error: Exception) -> int:
    """The exit code that an error stands for."""
    return int(getattr(error, "exit_code", FAILED))


def report_error(error: Exception, *, project: str = "", entity: str = "", lead: bool = False) -> None:
    """Say on standard error what went wrong and what to do next; people hear whose error it is with ``lead`` only."""
    from engine.text import diagnostics_text

    if session.debug:
        typer.echo(session.clean("".join(traceback.format_exception(error))), err=True)
    if isinstance(error, ConfigError):
        message, hint = diagnostics_text(error.faults), error.hint
    elif isinstance(error, SyncError):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError) and error.filename:
        message = f"{error.filename} cannot be used: {error.strerror}."
        hint = "Check the path, and its rights for the account that runs s2s. With --debug it says where it was needed."
    else:
        message = f"Something unforeseen went wrong: {type(error).__name__}: {error}"
        hint = "This is a fault of s2s. Run again with --debug, and report what it prints."
    message, hint = _printable(session.clean(message)), _printable(session.clean(hint))
    if session.log_format is LogFormat.json:
        _log("error", project or session.project, entity, message=message, hint=hint, exit_code=exit_code(error))
        return
    typer.echo(f"{project} {entity}".rstrip() + f": {message}" if lead else message, err=True)
    for line in hint.splitlines():
        typer.echo(f"  → {line}", err=True)


def workspace_folder() -> Path:
    """The workspace that the command works in. Raises :class:`ProjectError` when there is none."""
    from engine.config.workspace import find_workspace

    named = session.workspace
    if named is not None and not is_dir(named / "projects"):
        raise UsageError(
            f"--workspace is {named}, which holds no projects/ folder.",
            hint="Name the folder that holds projects/, or begin one there with `s2s init NAME`.",
        )
    return named or find_workspace(Path.cwd(), environ=os.environ)


def every_project() -> tuple[str, ...]:
    """The names of the workspace's projects. Raises :class:`UsageError` when there are none: that is no success."""
    from engine.config.workspace import discover

    workspace = workspace_folder()
    names = discover(workspace)
    if not names:
        raise UsageError(
            f"There are no projects in {workspace / 'projects'}.",
            hint="Begin one with `s2s init NAME`. Where there should be some: may this account read the folder?",
        )
    return names


def load_project(name: str) -> Project:
    """The project ``name``; from now on nothing that is printed holds one of its secrets."""
    from engine.config.loader import load

    project = load(name, workspace=workspace_folder(), environ=os.environ)
    session.project = project.name
    session.secrets.update(project.secrets)
    return project


def chosen_entities(project: Project, entity: str | None) -> tuple[str, ...]:
    """The entities that a command is about. Raises :class:`UsageError` for one that the project does not have."""
    if entity is None:
        return tuple(project.entities)
    if entity not in project.entities:
        raise UsageError(
            f"{project.name} has no {entity}.", hint=f"It has: {', '.join(project.entities)}. Name one of them."
        )
    return (entity,)


@contextmanager
def run_controls(
    project: str, entity: str = ""
) -> Iterator[tuple[threading.Event, Callable[[str, int, int | None], None]]]:
    """A stop signal that Ctrl-C and SIGTERM set, and a place to report progress to."""
    what = f"{project} {entity}".rstrip()
    stop = threading.Event()
    terminal = sys.stderr.isatty() and session.log_format is LogFormat.text
    last = 0.0
    step_shown = ""

    def report(step: str, done: int, total: int | None) -> None:
        nonlocal last, step_shown
        now = time.monotonic()
        if session.log_format is LogFormat.json:
            if step != step_shown or now - last > 10:  # noqa: PLR2004 - seconds between two lines
                _log(step, project, entity, done=done, total=total)
                last, step_shown = now, step
        elif terminal and (now - last > 0.1 or step != step_shown):  # noqa: PLR2004 - seconds between two frames
            of = f" of {total:,}" if total else ""
            sys.stderr.write(f"{_cleared()}{what}: {step}" + (f" {done:,}{of}" if done else ""))
            sys.stderr.flush()
            last, step_shown = now, step

    def say_so() -> None:
        if session.log_format is LogFormat.json:
            _log("stopping", project, entity)
        else:
            typer.echo("\nStopping after the batch in hand …", err=True)

    with _handle_signals(stop, say_so):
        try:
            yield stop, report
        finally:
            if terminal:
                sys.stderr.write(_cleared())
                sys.stderr.flush()


@contextmanager
def _handle_signals(stop: threading.Event, say_so: Callable[[], None]) -> Iterator[None]:
    """Set ``stop`` and ``say_so`` when a signal asks for it; a second one interrupts at once.

    A signal may come while the main thread writes a line or holds the event's lock, so its handler can neither write
    nor set the event: it puts a word into a queue that is made for this, and a thread of its own does both.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: SimpleQueue[bool] = SimpleQueue()
    already = False

    def ask(_number: int, _frame: object) -> None:
        nonlocal already
        if already:
            raise KeyboardInterrupt
        already = True
        asked.put(True)

    def listen() -> None:
        if asked.get():
            stop.set()
            with suppress(OSError):  # nobody may be left to read it
                say_so()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    asking = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        asking.append(signal.SIGBREAK)
    previous = {number: signal.signal(number, ask) for number in asking}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        asked.put(False)
        listener.join()


def _log(event: str, project: str, entity: str = "", **more: object) -> None:
    typer.echo(_line(event, project, entity, **more), err=True)


def _line(event: str, project: str, entity: str = "", **more: object) -> str:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = {"at": at, "event": event, "project": project, **({"entity": entity} if entity else {}), **more}
    return json.dumps(line, default=plain)


def log_result(event: str, project: str, entity: str, **facts: object) -> None:
    """Write what became of a run as a line of JSON on standard error, where the log is asked for as JSON."""
    if session.log_format is LogFormat.json:
        _log(event, project, entity, **facts)


LOG_QUEUE_SIZE = 1_000
"""Lines that wait for a reader; more are left out, and counted."""


@contextmanager
def event_log(project: str) -> Iterator[Callable[..., None]]:
    """Give what prints a line with the time, for a process that runs for ever; it never waits for a reader.

    A thread of its own writes. Output stands still where somebody has marked text in a console of Windows, or where
    nobody reads a pipe: an order must not wait for that.
    """
    lines: Queue[str | None] = Queue(LOG_QUEUE_SIZE)
    as_json = session.log_format is LogFormat.json
    counting = threading.Lock()
    left_out = 0

    def tell(text: str, **facts: object) -> None:
        nonlocal left_out
        if as_json:
            line = _line("order", project, "orders", message=text, **facts)
        else:
            at = datetime.now(timezone.utc).isoformat(" ", timespec="seconds").removesuffix("+00:00")
            line = _printable(session.clean(f"{at} UTC  {text}"))
        try:
            lines.put_nowait(line)
        except Full:
            with counting:
                left_out += 1

    def write() -> None:
        nonlocal left_out
        for line in iter(lines.get, None):
            with suppress(OSError):  # nobody may be left to read it
                typer.echo(line, err=as_json)
                sys.stdout.flush()
            if left_out and lines.empty():
                with counting:
                    many, left_out = left_out, 0
                tell(
                    f"{many:,} lines were left out, for nobody read them: `s2s orders list {project}` has every order."
                )

    writer = threading.Thread(target=write, name="telling", daemon=True)
    writer.start()
    try:
        yield tell
    finally:
        with suppress(Full):
            lines.put(None, timeout=5)
        writer.join(timeout=5)


def allowed(*, reveal: bool) -> bool:
    """Whether personal data is shown. Raises :class:`UsageError` where it would end up in a file."""
    if reveal and not sys.stdout.isatty():
        raise UsageError(
            "--reveal shows personal data on a terminal only, not in a file or a pipe.",
            hint="Leave --reveal out, or run the command by hand.",
        )
    return reveal


def print_text(text: str) -> None:
    """Print a text without the secrets in it, and with nothing that a terminal obeys."""
    typer.echo(_printable(session.clean(text)))


def _printable(text: str) -> str:
    return text.replace("\r\n", "\n").translate(CONTROLS)


def show(rows: Any, headers: Any, output: Output) -> None:
    """Print rows as a table, or as JSON."""
    from engine.text import table

    if output is Output.json:
        show_json([dict(zip(headers, row, strict=True)) for row in rows])
    else:
        print_text(table(rows, headers))


def section(title: str, row: dict[str, Any]) -> None:
    """Print one row, a line a column."""
    shown = {name: value for name, value in row.items() if name in OWN or not name.startswith("_")}
    print_text(f"\n{title}")
    width = max(len(name) for name in shown)
    for name, value in shown.items():
        print_text(f"  {name.ljust(width)}  {plain(value) if value is not None else '(blank)'}")


def show_json(value: object) -> None:
    """Print a value as JSON."""
    print_text(json_text(value))


def json_text(value: object) -> str:
    """A value as JSON, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=plain)


def plain(value: Any) -> Any:
    """A value as JSON and tables have it."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (date, Decimal, Path)):
        return str(value)
    return value
