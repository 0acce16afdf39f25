"""Read and write ODBC connection strings, such as ``Driver={PostgreSQL Unicode};Server=erp;UID=reader;PWD={a;b}``.

A value that holds a semicolon or a brace stands in braces, in which a closing brace is written twice (Microsoft's
reference of SQLDriverConnect). What the project writes stays as it is written; options that the driver needs are added
behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.database.driver_profile import DriverProfile
    from engine.model.settings import SourceSettings


def parse_options(connection: str) -> list[tuple[str, str]]:
    """The connection string's options in their order; a value keeps the braces around it."""
    found = re.findall(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", connection)
    return [(name, value.strip()) for name, value in found]


def unquote(value: str) -> str:
    """An option's value without the braces of ODBC."""
    if value.startswith("{") and value.endswith("}"):
        return value[1:-1].replace("}}", "}")
    return value


def secret_values(options: Sequence[tuple[str, str]]) -> list[str]:
    """The options' values that must never be shown: passwords, secrets, tokens and keys, without their braces."""
    return [unquote(value) for name, value in options if re.search("pwd|pass|secret|token|key", name.lower())]


def password_hint(connection: str) -> str:
    """What may be wrong with a password because of the driver; blank for nothing.

    FreeTDS 1.3 does not read a closing brace that is written twice, so it logs in with another password.
    """
    options = {name.lower(): unquote(value) for name, value in parse_options(connection)}
    password = options.get("pwd", options.get("password", ""))
    if "}" in password and re.search(r"(?i)freetds|tdsodbc", options.get("driver", "")):
        return "FreeTDS 1.3 does not read a } in a password: use Microsoft's driver, or another password."
    return ""


def connection_string(
    written: Sequence[tuple[str, str]], profile: DriverProfile, settings: SourceSettings, *, read_only: bool
) -> str:
    """The connection string that is handed to the driver manager: what the project wrote, and the profile's options.

    An option that the project wrote itself keeps its value; those that the profile supersedes are left out.
    """
    names = {name.lower() for name, _ in written if name.lower() not in profile.superseded_options}
    kept = [
        (name, _without_flags(value, profile.refused_flags.get(name.lower(), 0)) if read_only else value)
        for name, value in written
        if name.lower() in names
    ]
    seconds = {
        "connect_timeout": settings.connect_timeout,
        "query_timeout": settings.query_timeout,
        # The network comes last: a query that is cancelled in time still hears of it.
        "network_timeout": settings.query_timeout + 30 if settings.query_timeout else 0,
    }
    added = [
        (name, value.format(**seconds))
        for name, value in profile.options
        if name.lower() not in names and (read_only or name != "ApplicationIntent")
    ]
    return ";".join(f"{name}={value}" for name, value in (*kept, *added))


def _without_flags(value: str, flags: int) -> str:
    """An option's number without the bits ``flags``; whatever is no number stays as it is."""
    number = unquote(value).strip()
    return str(int(number) & ~flags) if flags and number.isdigit() else value
