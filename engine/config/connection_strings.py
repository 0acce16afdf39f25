"""ODBC connection strings as ``project.toml`` holds them: ``NAME=value;NAME={a value with ; in it}``.

In braces a value may hold anything, and ``}`` is written twice, as Microsoft's page on ``SQLDriverConnect`` has it.
"""

from __future__ import annotations

import re

from engine.config.secret_names import is_secret_name

_PASSWORD = re.compile(r"(?i)(?:pwd|password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{\s][^;]*)")

_LOGIN_OPTION = re.compile(r"(?i)(?:^|;)\s*(?:uid|user|user id|username|pwd|password)\s*=\s*$")

_OPTION = re.compile(
    r"\s*(?P<name>[^=;{}]+?)\s*=\s*(?P<value>\{(?:[^}]|\}\})*\}|[^;{][^;]*)?\s*(?:;|$)|\s*;|\s+$", re.DOTALL
)


def parse_connection(connection: str) -> tuple[list[tuple[str, str]], bool]:
    """The options, each a name and a value with its braces, and whether that is the whole of ``connection``."""
    options: list[tuple[str, str]] = []
    position = 0
    while found := _OPTION.match(connection, position):
        if found.end() == position:
            break
        position = found.end()
        if found["name"] is not None:
            options.append((found["name"], (found["value"] or "").strip()))
    return options, position >= len(connection)


def without_braces(value: str) -> str:
    """An option's value as it is meant: ``{a}}b}`` is ``a}b``."""
    return value[1:-1].replace("}}", "}") if value.startswith("{") and value.endswith("}") else value


def passwords_in(connection: str) -> list[str]:
    """The values of options such as PWD, AccessToken or ApiKey, each in braces and without them."""
    options, whole = parse_connection(connection)
    found = [value for name, value in options if value and is_secret_name(name)]
    if not whole:  # what a driver could not read may hold one all the same
        found += [text.strip() for text in _PASSWORD.findall(connection)]
    return list(dict.fromkeys([*found, *(without_braces(value) for value in found)]))


def brace_login(value: str, *, before: str, after: str) -> str:
    """A variable's value as it stands in a connection string between ``before`` and ``after``.

    A user or a password that is one whole option gets braces where it needs them: ``a;b`` becomes ``{a;b}``.
    """
    whole = _LOGIN_OPTION.search(before) and (not after or after.startswith(";"))
    if not whole or not re.search(r"[;{}]|^\s|\s$", value) or re.fullmatch(r"\{(?:[^}]|\}\})*\}", value):
        return value
    return "{" + value.replace("}", "}}") + "}"


def unreadable_after(connection: str) -> str | None:
    """The name of the option after which a driver would misread ``connection``.

    None where it can be read, ``""`` where it cannot from its beginning.
    """
    options, whole = parse_connection(connection)
    if whole:
        return None
    return options[-1][0] if options else ""
