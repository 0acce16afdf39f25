"""Which Stock2Shop account and which database a project names now: what a state and a ledger of orders belong to."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from engine.database.connection_string import parse_options, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.settings import Project, SourceSettings

WHERE = {
    "server": (
        *("server", "servername", "server name", "host", "hostname", "host name", "address", "addr", "network address"),
        *("data source", "servernode", "system", "enginename", "eng", "links", "commlinks"),
    ),
    "port": ("port", "portnumber", "port number"),
    "socket": ("socket",),
    "database": (
        *("database", "databasename", "dbname", "db", "dbn", "dbq", "initial catalog", "serverdsn", "dbalias"),
        *("servicename", "service name", "service", "sid", "servicedatasource", "sdsn"),
        *("databasefile", "dbf", "attachdbfilename", "sourcedb"),
    ),
    "schema": ("currentschema", "current schema", "schema", "defaultlibraries"),
    "dsn": ("dsn", "filedsn"),
}
"""What drivers call the options that say which database it is; all others say how to reach it."""

_STATEMENTS = ("initstmt", "stmt", "connsettings", "pqopt")
"""What drivers call SQL, or settings, that a session begins with."""

_CHOICES = {
    "database": re.compile(r"(?i)^use\s+(?!role\b|warehouse\b)(?:(?:database|catalog|schema)\s+)?(.+)"),
    "schema": re.compile(
        r"(?i)(?:(?:\b|-c)search_path|\bcurrent_schema|\b(?:set|current)\s+schema)\b\s*(?:=|\bto\b)?\s*(.+)"
    ),
}
"""How statements that a session begins with choose where names are looked up."""

_DEFAULT_PORTS = {"postgres": "5432", "mysql": "3306"}

_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "[::1]", ".", "(local)"})
"""What a machine calls itself; with MySQL, localhost may be another server than 127.0.0.1, by a socket."""

_FILE = "the file "


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """An account and a database, as text that is compared and shown; no login is in it.

    Such as ``https://app.stock2shop.com/v1, source 57`` and ``server erp, database Evo``. ``dialect`` is the kind of
    database, of what a project names now.
    """

    account: str
    database: str
    dialect: str = field(default="", compare=False, repr=False)

    def as_json(self) -> dict[str, str]:
        """Return it as commands print it."""
        return {"account": self.account, "database": self.database}

    def is_same(self, recorded: Origin) -> bool:
        """Whether ``recorded`` is this account and this database, however it was written then."""
        return recorded.account == self.account and self.names(recorded.database)

    def names(self, database: str) -> bool:
        """Whether ``database`` is this one, only that its connection was written otherwise."""
        return database == self.database or _normal(database, self.dialect) == _normal(self.database, self.dialect)


def origin_of(project: Project, source: SourceSettings | None = None) -> Origin:
    """The account and the database that ``project.toml`` names now.

    It is the database that products and customers come from, unless ``source`` says another one.
    """
    source = source or project.source
    return Origin(account=project.stock2shop.account, database=_database(source, project), dialect=source.dialect)


def _database(source: SourceSettings, project: Project) -> str:
    if source.database is not None:
        path, workspace = (PurePath(os.path.normpath(each)) for each in (source.database, project.workspace))
        inside = path.is_relative_to(workspace)
        return f"{_FILE}{(path.relative_to(workspace) if inside else path).as_posix()}"
    options: dict[str, list[str]] = {}
    for name, value in parse_options(source.connection or ""):
        options.setdefault(name.lower(), []).append(unquote(value))
    parts = [
        f"{part} {value if part in {'database', 'schema', 'socket'} else value.lower()}"
        for part, names in WHERE.items()
        for name in names
        for value in options.get(name, ())
        if value
    ]
    written = [unquote_plus(value) for name in _STATEMENTS for value in options.get(name, ())]
    parts += _chosen_by((*written, *source.session))
    return ", ".join(dict.fromkeys(parts)) or "a connection that names no server"


def _chosen_by(texts: Sequence[str]) -> Iterator[str]:
    """What statements choose that a session begins with: ``schema test`` of ``set search_path to test``."""
    for statement in (part.strip() for text in texts for part in text.split(";")):
        for part, pattern in _CHOICES.items():
            found = pattern.search(statement)
            if found:
                yield f"{part} {' '.join(found[1].split())}"


def _normal(database: str, dialect: str) -> str:
    """A database's text without what says the same in other words."""
    if database.startswith(_FILE):
        return _FILE + PurePath(os.path.normpath(database.removeprefix(_FILE))).as_posix()
    parts = re.split(rf", (?=(?:{'|'.join(WHERE)}) )", database)
    kinds = {part.partition(" ")[0] for part in parts}
    usual_port = "" if kinds & {"dsn", "socket"} else f"port {_DEFAULT_PORTS.get(dialect)}"
    return ", ".join(_normal_server(part, dialect) for part in parts if part != usual_port)


def _normal_server(part: str, dialect: str) -> str:
    kind, _, value = part.partition(" ")
    if kind != "server":
        return part
    if dialect == "tsql":
        value = value.removeprefix("tcp:")
        if "\\" not in value:  # beside the name of an instance a port says which one it is
            value = re.sub(r"\s*,\s*1433$", "", value)
    host = re.split(r"[,\\]", value, maxsplit=1)[0]
    rest = value[len(host) :]
    if dialect != "mysql" and host in _OWN_NAMES:
        host = "localhost"
    return f"server {host.removesuffix('.') or host}{rest}"
