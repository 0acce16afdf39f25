"""What ``${NAME}`` stands for in a project: the environment over the project's ``.env`` over the workspace's."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<name>[^{}]*)(?P<end>\}?)")
"""``${NAME}``, or ``$${`` for the text ``${`` itself. Without ``end`` the brace was never closed."""

LOGIN_KEY = re.compile(r"(?i)username|connection")
"""Keys of ``project.toml`` whose variables are secret, besides those with a secret name: they are logins."""


def read_variables(
    root: Path, *, workspace: Path, environ: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Diagnostic, ...]]:
    """The variables by name for the project at ``root``, and what is wrong with its ``.env`` files."""
    shared, shared_problems = read_dotenv(workspace / ".env")
    own, own_problems = read_dotenv(root / ".env")
    found = {**shared, **own}
    values = {
        **found,
        **{name: environ[environment_name(name)] for name in found if environment_name(name) in environ},
        **environ,
    }
    return values, (*shared_problems, *own_problems)


def environment_name(name: str) -> str:
    """The name of a variable as the environment has it: in capitals on Windows, which takes it in any case."""
    return name.upper() if sys.platform == "win32" else name


def read_dotenv(path: Path) -> tuple[dict[str, str], tuple[Diagnostic, ...]]:
    """The variables of a ``.env`` file, and what is wrong with it; nothing where there is no file.

    It is read as python-dotenv reads it: ``NAME=value``, ``export NAME=value``, comments behind ``#``, and quotes
    around what holds ``#`` or blanks. ``${NAME}`` in a value is not filled in.
    """
    from dotenv.parser import parse_stream

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}, ()
    except UnicodeDecodeError:
        return {}, (Diagnostic(path=path, message="The file is not UTF-8.", hint="Save it as UTF-8."),)
    except OSError as error:
        return {}, (Diagnostic(path=path, message=f"The file cannot be read: {error.strerror}."),)
    bindings = list(parse_stream(io.StringIO(text)))
    problems = tuple(
        Diagnostic(
            path=path,
            line=_first_line(each.original.string, each.original.line),
            message="This line cannot be read.",
            hint="Write NAME=value. Put a value that holds a quote or a # in single quotes: NAME='a # b'.",
        )
        for each in bindings
        if each.error
    )
    return {each.key: each.value for each in bindings if each.key is not None and each.value is not None}, problems


def dotenv_line(name: str, value: str) -> str:
    """A line of a ``.env`` file that is read back as it is meant, whatever the value holds.

    Raises :class:`ValueError` where no way of quoting does.
    """
    from dotenv.parser import parse_stream

    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    for line in (f'{name}="{value}"', f"{name}={value}", f"{name}='{escaped}'"):
        first, *_ = parse_stream(io.StringIO(f"{line}\nNEXT='value'\n"))
        if (first.key, first.value) == (name, value):
            return line
    raise ValueError(f"The value of {name} cannot be written to .env.")


def _first_line(text: str, line: int) -> int:
    """The number of the first line of ``text`` that is not blank, where ``text`` begins on ``line``."""
    return line + text[: len(text) - len(text.lstrip())].count("\n")
