"""Which Stock2Shop account and which database a project names now: what a state and a ledger of orders belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.database.connection_string import parse_options, unquote

if TYPE_CHECKING:
    from engine.model.settings import Project, SourceSettings

WHERE = {
    "server": (
        *("server", "servername", "server name", "host", "hostname", "host name", "address", "addr", "network address"),
        *("data source", "servernode", "system", "enginename", "eng", "links", "commlinks"),
    ),
    "port": ("port", "portnumber", "port number"),
    "database": ("database", "databasename", "dbname", "db", "dbq", "initial catalog", "servicename", "service", "sid"),
    "schema": ("currentschema", "current schema", "schema", "defaultlibraries"),
    "dsn": ("dsn", "filedsn"),
}
"""What drivers call the options that say which database it is; all others say how to reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """An account and a database, as text that is compared and shown; no login is in it.

    Such as ``https://app.stock2shop.com/v1, source 57`` and ``server erp, database Evo``.
    """

    account: str
    database: str


def origin_of(project: Project, source: SourceSettings | None = None) -> Origin:
    """The account and the database that ``project.toml`` names now.

    It is the database that products and customers come from, unless ``source`` says another one.
    """
    return Origin(account=project.stock2shop.account, database=_database(source or project.source, project))


def _database(source: SourceSettings, project: Project) -> str:
    if source.database is not None:
        inside = source.database.is_relative_to(project.workspace)
        path = source.database.relative_to(project.workspace) if inside else source.database
        return f"the file {path.as_posix()}"
    options = {name.lower(): unquote(value) for name, value in parse_options(source.connection or "")}
    parts = []
    for part, names in WHERE.items():
        value = next((options[name] for name in names if options.get(name)), "")
        if value:
            parts.append(f"{part} {value if part in {'database', 'schema'} else value.lower()}")
    return ", ".join(parts) or "a connection that names no server"
