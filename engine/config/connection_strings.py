"""ODBC connection strings as ``project.toml`` holds them: ``NAME=value;NAME={a value with ; in it}``.

In braces a value may hold anything, and ``}`` is written twice, as Microsoft's page on ``SQLDriverConnect`` has it.
"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?i)(?:pwd|password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{\s][^;]*)")

_LOGIN_OPTION = re.compile(r"(?i)(?:^|;)\s*(?:uid|user|user id|username|pwd|password)\s*=\s*$")

_OPTION = re.compile(r"\s*(?P<name>[^=;{}]+?)\s*=\s*(?:\{(?:[^}]|\}\})*\}|[^;{][^;]*)?\s*(?:;|$)|\s*;|\s+$")


def passwords_in(connection: str) -> list[str]:
    """The passwords in a connection string, each in braces and without them."""
    found = [text.strip() for text in _PASSWORD.findall(connection)]
    return found + [text[1:-1].replace("}}", "}") for text in found if text.startswith("{")]


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
    position, last = 0, ""
    while found := _OPTION.match(connection, position):
        if found.end() == position:
            break
        position, last = found.end(), found["name"] or last
    return last if position < len(connection) else None
