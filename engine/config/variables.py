"""variables."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<name>[^{}]*)(?P<end>\}?)")

_SECRET = re.compile(r"(?i)(?:pwd|password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{\s][^;]*)")

_WRITTEN = re.compile(r"""(?i)([\w-]*(?:password|token|secret)[\w-]*\s*=\s*)("(?!\$\{)[^"]+"|'(?!\$\{)[^']+')""")

_WRITTEN_IN_CONNECTION = re.compile(
    r"""(?i)\b((?:pwd|password)\s*=\s*)(?!\$\{)(\{(?:[^}]|\}\})*\}|[^;{}\s"'][^;"']*)"""
)

SECRET_KEY = re.compile(r"(?i)password|username|connection|secret|token")

_LOGIN = re.compile(r"(?i)(?:^|;)\s*(?:uid|user|user id|username|pwd|password)\s*=\s*$")

CONNECTION_OPTION = re.compile(r"\s*(?P<name>[^=;{}]+?)\s*=\s*(?:\{(?:[^}]|\}\})*\}|[^;{][^;]*)?\s*(?:;|$)|\s*;|\s+$")


def without_passwords(text: str) -> str:
    """Lines of a ``project.toml`` with ``***`` for the passwords and tokens that are written out in them."""
    return _WRITTEN_IN_CONNECTION.sub(r"\1***", _WRITTEN.sub(r'\1"***"', text))


def variables(
    root: Path, *, workspace: Path, environ: Mapping[str, str], faults: list[Diagnostic] | None = None
) -> dict[str, str]:
    """What ``${NAME}`` may stand for in the project at ``root``: the environment over its .env over the workspace's.

    A file that cannot be read goes to ``faults``.
    """
    wrong: list[Diagnostic] = [] if faults is None else faults
    found = {**_dotenv(workspace / ".env", wrong), **_dotenv(root / ".env", wrong)}
    return {
        **found,
        **{name: environ[environment_name(name)] for name in found if environment_name(name) in environ},
        **environ,
    }


def environment_name(name: str) -> str:
    """The name of a variable as the environment has it: in capitals on Windows, which takes it in any case."""
    return name.upper() if sys.platform == "win32" else name


def _dotenv(path: Path, faults: list[Diagnostic]) -> dict[str, str]:
    """``NAME=value`` lines, ``#`` comments, and values in quotes; nothing where there is no file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        faults.append(Diagnostic(path=path, message="The file is not UTF-8.", hint="Save it as UTF-8."))
        return {}
    except OSError as error:
        faults.append(Diagnostic(path=path, message=f"The file cannot be read: {error.strerror}."))
        return {}
    found = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        name = name.removeprefix("export ").strip()
        if not separator or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found


def passwords_in(connection: str) -> list[str]:
    """The passwords in a connection string, in braces and without them."""
    found = [text.strip() for text in _SECRET.findall(connection)]
    return found + [text[1:-1].replace("}}", "}") for text in found if text.startswith("{")]


def brace_login(text: str, before: str, after: str) -> str:
    """A variable's value in a connection string; in braces where it is a user or a password that needs them."""
    whole = _LOGIN.search(before) and (not after or after.startswith(";"))
    if not whole or not re.search(r"[;{}]|^\s|\s$", text) or re.fullmatch(r"\{(?:[^}]|\}\})*\}", text):
        return text
    return "{" + text.replace("}", "}}") + "}"
