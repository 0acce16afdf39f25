"""Begin a project: a folder that checks clean once its values are filled in."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from engine.config.schema import schema
from engine.errors import UsageError
from engine.files import exists, is_dir, is_file
from engine.mapping.render import ENGINE_FOLDER
from engine.model.fields import PRODUCTS
from engine.quoting import alias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.model.settings import Project

SCHEMA = "project.schema.json"
"""The JSON Schema of project.toml in a workspace; editors that know Taplo's ``#:schema`` complete and check with it."""

LOGIN = re.compile(
    r"(?i)\b(?P<option>uid|user|user id|username|pwd|password)\s*=\s*(?P<value>\{(?:[^}]|\}\})*\}|[^;{}\s][^;]*)"
)
"""A user or a password in a connection string, as far as the next option."""

_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""What Windows takes for a device, with any extension: a workspace may be checked out there."""

CONNECTIONS = {
    "tsql": "Driver={{ODBC Driver 18 for SQL Server}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
    "postgres": "Driver={{PostgreSQL Unicode}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
    "mysql": "Driver={{MariaDB Unicode}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
}
FALLBACK = "DSN=${{{0}_DSN}};UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}"


def scaffold(
    workspace: Path,
    name: str,
    *,
    dialect: str,
    connection: str | None,
    database: str | None,
    source_id: int,
    values: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write ``projects/<name>`` under ``workspace``; gives the files. Never touches what is there already.

    A login that is written out in ``connection`` goes to .env, as do ``values``, by the names of their variables. Next
    to ``projects/`` stands the JSON Schema that editors check project.toml with; it is always that of this version.

    Raises :class:`UsageError` for a name that is no folder's name, and when the project exists.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?", name) or _DEVICE.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a project's name.",
            hint="Use letters, digits, dots, dashes and underscores, but no dot at the end, and no name of a device of"
            " Windows, such as con or nul.",
        )
    root = workspace / "projects" / name
    if exists(root):
        raise UsageError(f"{root} exists already.", hint=f"Look at it with `s2s check {name}`.")
    prefix = prefix_of(name)
    secrets = dict(values or {})
    if connection is not None:
        connection, found = without_login(connection, prefix)
        secrets.update(found)
    elif database is None:
        connection = default_connection(name, dialect)
    files = {
        root / "project.toml": _project(
            name, prefix, dialect=dialect, connection=connection, database=database, source_id=source_id
        ),
        root / "views" / "products.sql": _view(dialect),
        root / ".env": _env(wanted_values(name, connection), secrets),
        root / ".gitignore": ".env\n",
        workspace / SCHEMA: json.dumps(schema(), indent=2) + "\n",
    }
    ignore = workspace / ".gitignore"
    if not exists(ignore):
        files[ignore] = ".state/\n.env\n.venv/\nsite/\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        if path.name == ".env":
            path.chmod(0o600)
    return tuple(files)


def scaffold_template(
    workspace: Path,
    name: str,
    template: str,
    *,
    dialect: str | None,
    connection: str | None,
    source_id: int,
    values: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write ``projects/<name>`` as an extension of a template, with its vars and fixtures; gives the files.

    Raises :class:`UsageError` for a template that is not there, and for a dialect that it is not written for.
    """
    import shutil

    folder, about, known = _template(workspace, template)
    dialect = dialect or known[0]
    if dialect not in known:
        raise UsageError(
            f"The template {template} is not written for {dialect}.", hint=f"It is for: {', '.join(known)}."
        )
    made = scaffold(
        workspace, name, dialect=dialect, connection=connection, database=None, source_id=source_id, values=values
    )
    root = workspace / "projects" / name
    project = root / "project.toml"
    head = project.read_text("utf-8").partition("[vars]")[0]
    project.write_bytes((head + "[vars]" + about.rpartition("[vars]")[2]).encode())
    views = []
    for entity in ("products", "customers"):
        if is_file(folder / f"{entity}.sql"):
            view = root / "views" / f"{entity}.sql"
            view.write_bytes(f'{{% extends "{template}/{entity}.sql" %}}\n'.encode())
            views.append(view)
    shutil.copytree(folder / "fixtures", root / "fixtures")
    readme = root / "README.md"
    readme.write_bytes(_to_confirm(name, template, about).encode())
    return tuple(dict.fromkeys((*made, *views, root / "fixtures", readme)))


def dialects_of(workspace: Path, template: str) -> list[str]:
    """The dialects that a template is written for, the usual one first. Raises :class:`UsageError` for none such."""
    return _template(workspace, template)[2]


def _template(workspace: Path, template: str) -> tuple[Path, str, list[str]]:
    """A template's folder, what it says of itself, and its dialects."""
    found = templates(workspace)
    if template not in found:
        close = get_close_matches(template, found, n=1)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(f"There is no template {template!r}.", hint=f"{guess}There are: {', '.join(found) or 'none'}.")
    about = (found[template] / "template.toml").read_text("utf-8")
    dialects = re.search(r"(?m)^dialects = \[(.*)\]", about)
    return found[template], about, re.findall(r'"(\w+)"', dialects[1] if dialects else "")


def templates(workspace: Path) -> dict[str, Path]:
    """The templates that a project can extend, by name: the workspace's, and the engine's own."""
    own = ENGINE_FOLDER / "templates" / "sql"
    folders = (own if is_dir(own) else ENGINE_FOLDER.parent / "templates" / "sql", workspace / "templates" / "sql")
    return {path.parent.name: path.parent for folder in folders for path in sorted(folder.glob("*/template.toml"))}


def write_views(project: Project, views: Mapping[str, str]) -> tuple[Path, ...]:
    """Write views, by entity, where there is none, or still the one that a project begins with; gives those files."""
    written = []
    for entity, sql in views.items():
        path = project.root / "views" / f"{entity}.sql"
        if not exists(path) or path.read_text("utf-8") == _view(project.source.dialect):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(sql.encode())
            written.append(path)
    return tuple(written)


def prefix_of(name: str) -> str:
    """What the names of a project's variables begin with."""
    return re.sub(r"\W", "_", name).upper()


def default_connection(name: str, dialect: str) -> str:
    """The ODBC connection string that a project begins with."""
    return CONNECTIONS.get(dialect, FALLBACK).format(prefix_of(name))


def without_login(connection: str, prefix: str) -> tuple[str, dict[str, str]]:
    """``connection`` with variables where a user and a password stand, and their values."""
    found: dict[str, str] = {}

    def variable(said: re.Match[str]) -> str:
        if "${" in said["value"]:
            return said[0]
        name = f"{prefix}_{'USER' if said['option'].lower().startswith('u') else 'PASSWORD'}"
        found[name] = said["value"]
        return f"{said['option']}=${{{name}}}"

    return LOGIN.sub(variable, connection), found


def wanted_values(name: str, connection: str | None) -> tuple[str, ...]:
    """The variables that a project's .env gives values to: those of the connection, and Stock2Shop's user."""
    prefix = prefix_of(name)
    names = re.findall(r"\$\{(\w+)\}", connection or "")
    return tuple(dict.fromkeys((*names, f"{prefix}_S2S_USER", f"{prefix}_S2S_PASSWORD")))


def _to_confirm(name: str, template: str, about: str) -> str:
    """What an engineer asks on site, from the template's own notes."""
    questions = re.search(r"(?ms)^questions = \[\n(.*?)^\]", about)
    confirm = re.search(r"(?ms)^\[facts\.confirm\][^\n]*\n(.*?)(?=^\[)", about)
    made_up = re.search(r"(?ms)^\[facts\.placeholder\][^\n]*\n(.*?)(?=^\[)", about)
    parts = [f"# {name}\n\nIts views extend the template `{template}`, block by block where the client differs.\n"]
    if questions:
        asked = re.findall(r'"(.*)"', questions[1])
        parts.append("\n## To ask on site\n\n" + "".join(f"- [ ] {question}\n" for question in asked))
    for title, found in (("To confirm in the database", confirm), ("To replace: no database has these", made_up)):
        facts = re.findall(r'(?m)^"(.*?)" = "(.*)"', found[1]) if found else []
        if facts:
            parts.append(f"\n## {title}\n\n" + "".join(f"- [ ] `{column}`: {said}\n" for column, said in facts))
    return "".join(parts).replace('\\"', '"')


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _project(
    name: str, prefix: str, *, dialect: str, connection: str | None, database: str | None, source_id: int
) -> str:
    reach = f"database = {_toml(database)}" if database is not None else f"connection = {_toml(connection or '')}"
    return f"""\
#:schema ../../{SCHEMA}
[project]
description = {_toml(name)}

[source]                     # a read-only login
dialect = {_toml(dialect)}
{reach}

[stock2shop]
source_id = {source_id}                # the source's number in the Stock2Shop console
username = "${{{prefix}_S2S_USER}}"
password = "${{{prefix}_S2S_PASSWORD}}"

[products]
missing = "delete"           # or "keep": what to do with a key that is gone from the view
max_deletes = "10%"          # more than that stops the run before anything is sent
max_changes = "50%"
# active = {{ Active = ["Yes"], Delete = ["Del"], Ignore = [""] }}

[vars]                       # {{{{ vars.warehouse }}}} in the view
warehouse = "MAIN"
"""


def _view(dialect: str) -> str:
    wanted = [field for field in PRODUCTS.fields if field.recommended and "option" not in field.name]
    columns = {
        "source_product_code": "item_code",
        "source_variant_code": "item_code",
        "title": "description",
        "product_active": "s2s_active",
        "csv_price_tiers": "price",
        "variants.qty": "qty_on_hand",
        "variants.sku": "item_code",
        "variants.inventory_management": "1",
    }
    lines = ",\n".join(f"    {columns[field.name]} as {alias(field.name, dialect)}" for field in wanted)
    return VIEW.replace("COLUMNS", lines)


VIEW = """\
-- One row a variant; the aliases are Stock2Shop's field names (docs/reference/fields.md lists them all).
-- Put the client's own table and columns in place of these.
select
COLUMNS
from items
where warehouse = {{ vars.warehouse }}
"""


def _env(names: Sequence[str], values: Mapping[str, str]) -> str:
    lines = (f'{name}="{values[name]}"\n' if values.get(name) else f"{name}=\n" for name in names)
    return "# Secrets of this project; never commit this file.\n" + "".join(lines)
