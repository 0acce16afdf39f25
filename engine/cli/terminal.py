"""The one place that prints: to standard output and standard error, for people and as JSON.

Everything printed passes through :class:`Terminal`, which masks the secrets of the command's projects and escapes what
a terminal would obey, whoever wrote the text.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from engine.cli.colour import paint_table, wants_colour
from engine.cli.tables import cut, table_text
from engine.clock import local_text
from engine.text import escape_controls, mask_secrets

if TYPE_CHECKING:
    from engine.cli.colour import Paint
    from engine.cli.log_file import LogFile

OWN_COLUMNS = frozenset({"_key", "_group", "_flag", "_acknowledged_at"})
"""The engine's own columns that are worth showing; the others are left out of a row."""


FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors that say that there is no room for what is written."""

_HTML_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})
"""As the pages' template engine escapes text."""


class Write(Protocol):
    """Takes a line, or lines, for standard output or standard error."""

    def __call__(self, text: str, *, err: bool) -> None:
        """Print them, or keep them."""


class Terminal:
    """Prints for one command, by ``write``, which takes what is ready to be printed and whether it is an error.

    It holds the secrets of the projects that this command has read, so nothing of another command's is kept, and one
    process may run many commands one after another.
    """

    def __init__(self, write: Write | None = None) -> None:
        self._write = write or _write_to_streams
        self._is_on_streams = write is None
        self._log: LogFile | None = None
        self._goes_on_unread = False
        self._secrets: set[str] = set()

    def log_to(self, log: LogFile) -> None:
        """From now on write to ``log`` what would go to standard error."""
        self._log = log

    def close(self) -> None:
        """Close the log, where there is one."""
        if self._log is not None:
            self._log.close()

    def hide(self, secrets: Iterable[str]) -> None:
        """From now on print ``***`` in place of each of ``secrets``, also as it stands in HTML and in JSON."""
        for secret in secrets:
            page = secret.translate(_HTML_ESCAPES)
            self._secrets |= {secret, page, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}

    def mask(self, text: str) -> str:
        """``text`` with ``***`` in place of every secret."""
        return mask_secrets(text, self._secrets)

    def print_text(self, text: str = "", *, paint: Paint | None = None) -> None:
        """Print a line, or lines, to standard output, coloured by ``paint`` where the output is a terminal."""
        shown = escape_controls(self.mask(text))
        if paint is not None and self._is_on_streams and wants_colour(sys.stdout):
            shown = paint(shown)
        try:
            self._write(shown, err=False)
        except OSError as error:
            if not (self._goes_on_unread and is_closed_pipe(error)):
                raise
            _lead_nowhere(sys.stdout)

    def go_on_unread(self) -> None:
        """Have whoever reads standard output, such as `head`, leave without ending a command that is at work."""
        self._goes_on_unread = True

    def print_error(self, text: str) -> None:
        """Print a line, or lines, to standard error."""
        self._print_error_line(escape_controls(self.mask(text)))

    def print_table(self, rows: Sequence[Sequence[object]], headers: Sequence[str]) -> None:
        """Print rows under headers; a table for a terminal fits its width."""
        cells = [[self._cell(value) for value in row] for row in rows]
        width = shutil.get_terminal_size().columns if self._is_on_streams and sys.stdout.isatty() else None
        self.print_text(table_text(cells, headers, width=width), paint=paint_table)

    def print_row(self, title: str, row: Mapping[str, object]) -> None:
        """Print one row under a title, a column a line."""
        displayed = {name: value for name, value in row.items() if name in OWN_COLUMNS or not name.startswith("_")}
        self.print_text(f"\n{title}")
        width = max(len(name) for name in displayed)
        for name, value in displayed.items():
            self.print_text(f"  {name.ljust(width)}  {shown_value(value) if value is not None else '(blank)'}")

    def print_json_line(self, text: str, *, err: bool = False) -> None:
        """Print what :meth:`json_text` made; masked once more, an escape in front of a secret would be cut in two."""
        if err:
            self._print_error_line(escape_controls(text))
        else:
            self._write(escape_controls(text), err=False)

    def json_text(self, value: object, *, indent: int | None = 2) -> str:
        """A value as JSON, with every secret in its keys and texts masked."""
        return json.dumps(self._masked(value), indent=indent, ensure_ascii=False)

    def show_progress(self, text: str) -> None:
        """Replace the last line of standard error, which has to be a terminal."""
        line = " ".join(escape_controls(self.mask(text)).split())
        sys.stderr.write(f"{_blank_line()}{cut(line, shutil.get_terminal_size().columns - 1)}")
        sys.stderr.flush()

    def clear_progress(self) -> None:
        """Empty the line that :meth:`show_progress` wrote."""
        sys.stderr.write(_blank_line())
        sys.stderr.flush()

    def _print_error_line(self, text: str) -> None:
        if self._log is None:
            self._write(text, err=True)
        else:
            self._log.write(text)

    def _cell(self, value: object) -> object:
        """A value of a table, as it will be printed: so that its width is known."""
        shown = shown_value(value)
        return escape_controls(self.mask(shown)) if isinstance(shown, str) else shown

    def _masked(self, value: object) -> object:
        """``value`` in JSON's own types, masked before it is written: an escape never hides or cuts a secret."""
        value = plain(value)
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(key) if isinstance(key, str) else key: self._masked(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._masked(each) for each in value]
        return value


def _write_to_streams(text: str, *, err: bool) -> None:
    import typer

    try:
        # Only colours hold an escape here: everything else was escaped before.
        typer.echo(text, err=err, color=True if "\x1b" in text else None)
    except OSError as error:
        # A line of the log that has no room stops no run, nor does one that nobody reads.
        if err and is_closed_pipe(error):
            _lead_nowhere(sys.stderr)
        elif not err or error.errno not in FULL_DISK:
            raise


def is_closed_pipe(error: OSError) -> bool:
    """Whether nobody reads the output any more; Windows says of such a pipe that the argument is invalid."""
    if isinstance(error, BrokenPipeError):
        return True
    if sys.platform == "win32":
        return error.errno == errno.EINVAL and error.winerror is None and error.filename is None
    return False


def _lead_nowhere(stream: TextIO) -> None:
    """Drop what a stream still holds, and whatever is written to it from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def shown_value(value: Any) -> Any:
    """A value as people read it: a time whose zone is known in this machine's zone."""
    return local_text(value) if isinstance(value, datetime) and value.tzinfo else plain(value)


def plain(value: Any) -> Any:
    """A value as JSON has it: times, decimals and paths as text. A time without a zone is one of the client's data."""
    if isinstance(value, datetime):
        return value.isoformat(sep="T" if value.tzinfo else " ", timespec="seconds")
    if isinstance(value, (date, Decimal, Path)):
        return str(value)
    return value


def flush_errors() -> None:
    """Write what standard error still holds, or drop it where there is no room: Python would end with its own code."""
    try:
        sys.stderr.flush()
    except OSError:
        _lead_nowhere(sys.stderr)


def open_missing_streams() -> None:
    """Have standard input, output and error lead nowhere where whoever started this process closed them.

    The next file that is opened, such as a state, would otherwise have their number, and get what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for as long as it runs


def configure_encoding() -> None:
    """Let standard output and standard error take any character, also where Windows' code page lacks it.

    What is no terminal becomes UTF-8, as Python 3.15 has it by default (PEP 686), unless PYTHONIOENCODING is set;
    a terminal shows a character that it lacks by its number.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            keep = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if keep else "utf-8", errors="backslashreplace")


def _blank_line() -> str:
    """Blanks over the terminal's line: older consoles of Windows print the escape sequence for it as letters."""
    return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r"
