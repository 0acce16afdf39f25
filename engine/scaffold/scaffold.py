"""Create a project: a folder that passes ``s2s check`` once its values are filled in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from engine.config.schema import schema
from engine.config.variables import dotenv_line, read_dotenv
from engine.errors import UsageError
from engine.files import WorkspaceFiles, exists, is_dir, is_file, list_paths
from engine.mapping.render import ENGINE_FOLDER
from engine.model.fields import PRODUCTS
from engine.quoting import alias
from engine.scaffold.take_over import taken_over_readme

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.model.settings import Project
    from engine.scaffold.answers import SourceAnswers
    from engine.scaffold.take_over import TakenOver

SCHEMA_FILE = "project.schema.json"
"""The JSON Schema of project.toml in a workspace; editors that know Taplo's ``#:schema`` complete and check with it."""

LOGIN_OPTION = re.compile(
    r"(?i)\b(?P<option>uid|user|user id|username|pwd|password)\s*=\s*(?P<value>\{(?:[^}]|\}\})*\}|[^;{}\s][^;]*)"
)
"""A user or password option of a connection string with its value."""

_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""Names of devices on Windows, with any extension: a workspace may be checked out there."""

MIN_KNOWN_TABLES = 3
"""From how many tables on a database is told by their names."""

CONNECTIONS = {
    "tsql": "Driver={{ODBC Driver 18 for SQL Server}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
    "postgres": "Driver={{PostgreSQL Unicode}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
    "mysql": "Driver={{MariaDB Unicode}};Server=${{{0}_HOST}};Database=${{{0}_DATABASE}};"
    "UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}",
}
DSN_CONNECTION = "DSN=${{{0}_DSN}};UID=${{{0}_USER}};PWD=${{{0}_PASSWORD}}"


def create_project(workspace: Path, name: str, answers: SourceAnswers) -> tuple[Path, ...]:
    """Write ``projects/<name>`` under ``workspace``; gives the files. An existing project is never changed.

    A login that is written out in the connection is moved to .env. The dialect is ``tsql`` where none is given.
    The JSON Schema of project.toml is written next to ``projects/``, for editors.

    Raises :class:`UsageError` for a name that cannot be a folder's name on every system, and where the project exists.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?", name) or _WINDOWS_DEVICE.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a project's name.",
            hint="Use letters, digits, dots, dashes and underscores, but no dot at the end, and no name of a device of"
            " Windows, such as con or nul.",
        )
    root = workspace / "projects" / name
    if exists(root):
        raise UsageError(f"{root} exists already.", hint=f"Look at it with `s2s check {name}`.")
    prefix = variable_prefix(name)
    dialect, connection, database = answers.dialect or "tsql", answers.connection, answers.database
    secrets = dict(answers.values)
    if connection is not None:
        connection, found = extract_login(connection, prefix)
        secrets.update(found)
    elif database is None:
        connection = default_connection(name, dialect)
    files = {
        root / "project.toml": _project_toml(
            name, prefix, dialect=dialect, connection=connection, database=database, source_id=answers.source_id
        ),
        root / "views" / "products.sql": _first_view(dialect),
        root / ".env": _env_file(workspace, required_variables(name, connection), secrets),
        root / ".gitignore": ".env\n",
        workspace / SCHEMA_FILE: json.dumps(schema(), indent=2) + "\n",
    }
    ignore = workspace / ".gitignore"
    if not exists(ignore):
        files[ignore] = ".state/\n.env\n.venv/\nsite/\n/*.log*\n/*.err\n"
    own = WorkspaceFiles((workspace,))
    for path, text in files.items():
        own.write(path, text.encode(), mode=0o600 if path.name == ".env" else 0o666)
    return tuple(files)


def create_from_template(workspace: Path, name: str, template: str, answers: SourceAnswers) -> tuple[Path, ...]:
    """Write ``projects/<name>`` with views that extend a template, and its vars and fixtures; gives the files.

    Raises :class:`UsageError` for an unknown template, and for a dialect that it is not written for.
    """
    folder, about, known = _template(workspace, template)
    dialect = answers.dialect or known[0]
    if dialect not in known:
        raise UsageError(
            f"The template {template} is not written for {dialect}.", hint=f"It is for: {', '.join(known)}."
        )
    made = create_project(workspace, name, replace(answers, dialect=dialect, database=None))
    root = workspace / "projects" / name
    project = root / "project.toml"
    files = WorkspaceFiles((workspace,))
    head = files.read_utf8(project).partition("[vars]")[0]
    files.write(project, (head + "[vars]" + about.rpartition("[vars]")[2]).encode())
    views = []
    for entity in ("products", "customers"):
        if is_file(folder / f"{entity}.sql"):
            view = root / "views" / f"{entity}.sql"
            files.write(view, f'{{% extends "{template}/{entity}.sql" %}}\n'.encode())
            views.append(view)
    examples = _template_files(workspace)
    for path in examples.list_paths(folder / "fixtures", "*"):
        files.write(root / "fixtures" / path.name, examples.read(path))
    readme = root / "README.md"
    files.write(readme, _confirm_readme(name, template, about).encode())
    return tuple(dict.fromkeys((*made, *views, root / "fixtures", readme)))


def create_from_statement(
    workspace: Path, name: str, statement: TakenOver, file: str, answers: SourceAnswers
) -> tuple[Path, ...]:
    """Write ``projects/<name>`` with a view that was taken over from an agent; gives the files.

    In a project that exists the view is added, if there is none of its entity, and nothing else is changed. Raises
    :class:`UsageError` where there is one.
    """
    root = workspace / "projects" / name
    project, view, readme = root / "project.toml", root / "views" / f"{statement.entity}.sql", root / "README.md"
    files = WorkspaceFiles((workspace,))
    if is_file(project):
        if exists(view):
            raise UsageError(
                f"{view} exists already.", hint="Move it away, or take the statement over into another project."
            )
        files.write(view, statement.sql.encode())
        toml = files.read_utf8(project)
        if statement.delete_words and f"[{statement.entity}]" not in toml:
            table = f"\n[{statement.entity}]\nactive = {_delete_table(statement.delete_words)}\n"
            files.write(project, (toml.rstrip() + "\n" + table).encode())
        return (view,)
    made = create_project(workspace, name, answers)
    toml = files.read_utf8(project).partition("[vars]")[0].rstrip() + "\n"
    if statement.delete_words:
        words = f"active = {_delete_table(statement.delete_words)}"
        toml = re.sub(r"(?m)^# active = .*$", lambda _: f"{words}   # as the agent has it", toml)
    if statement.entity != "products":
        toml = toml.replace("[products]", f"[{statement.entity}]")
        files.remove(root / "views" / "products.sql")
    files.write(project, toml.encode())
    files.write(view, statement.sql.encode())
    files.write(readme, taken_over_readme(name, file, statement.differences).encode())
    return tuple(dict.fromkeys((*(each for each in made if exists(each)), view, readme)))


def _delete_table(words: Sequence[str]) -> str:
    return f"{{ Delete = [{', '.join(_toml(each) for each in words)}] }}"


def known_system(workspace: Path, tables: Collection[str]) -> tuple[str, str] | None:
    """The template whose tables a database has, and its system's title; None where it has those of none.

    All tables of a template's fixtures have to be there, behind whatever prefix, and three at least.
    """
    names = {each.lower() for each in tables}
    files = _template_files(workspace)
    for template, folder in templates(workspace).items():
        about = files.read_utf8(folder / "template.toml")
        prefix = re.search(r'(?m)^prefix = "(\w*)"', about)
        stems = [
            path.stem.lower().removeprefix(prefix[1] if prefix else "")
            for path in files.list_paths(folder / "fixtures", "*.csv")
        ]
        if len(stems) >= MIN_KNOWN_TABLES and all(
            any(name == stem or (prefix and name.endswith(f"_{stem}")) for name in names) for stem in stems
        ):
            title = re.search(r'(?m)^title = "(.*)"', about)
            return template, title[1] if title else template
    return None


def template_dialects(workspace: Path, template: str) -> list[str]:
    """The dialects that a template is written for, its default first. Raises :class:`UsageError` for an unknown one."""
    return _template(workspace, template)[2]


def _template(workspace: Path, template: str) -> tuple[Path, str, list[str]]:
    """A template's folder, the text of its template.toml, and its dialects."""
    found = templates(workspace)
    if template not in found:
        close = get_close_matches(template, found, n=1)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(f"There is no template {template!r}.", hint=f"{guess}There are: {', '.join(found) or 'none'}.")
    about = _template_files(workspace).read_utf8(found[template] / "template.toml")
    dialects = re.search(r"(?m)^dialects = \[(.*)\]", about)
    return found[template], about, re.findall(r'"(\w+)"', dialects[1] if dialects else "")


def templates(workspace: Path) -> dict[str, Path]:
    """The folders of all templates by name: the engine's own, and the workspace's, which come before those."""
    folders = (_own_templates(), workspace / "templates" / "sql")
    return {path.parent.name: path.parent for folder in folders for path in list_paths(folder, "*/template.toml")}


def _own_templates() -> Path:
    """The engine's own templates: in its package where it is installed, else beside it."""
    own = ENGINE_FOLDER / "templates" / "sql"
    return own if is_dir(own) else ENGINE_FOLDER.parent / "templates" / "sql"


def _template_files(workspace: Path) -> WorkspaceFiles:
    return WorkspaceFiles((workspace, _own_templates()))


def write_views(project: Project, views: Mapping[str, str]) -> tuple[Path, ...]:
    """Write views by entity, unless there is one that differs from the example of a new project; gives the files."""
    written = []
    files = WorkspaceFiles.of(project.workspace, project.root)
    for entity, sql in views.items():
        path = project.root / "views" / f"{entity}.sql"
        if not exists(path) or files.read(path) == _first_view(project.source.dialect).encode():
            files.write(path, sql.encode())
            written.append(path)
    return tuple(written)


def leave_out_products(project: Project) -> bool:
    """Make a project one of customers alone, unless somebody wrote its view of products; gives whether it is now."""
    files = WorkspaceFiles.of(project.workspace, project.root)
    view, toml = project.root / "views" / "products.sql", project.root / "project.toml"
    if not exists(view) or files.read(view) != _first_view(project.source.dialect).encode():
        return False
    files.remove(view)
    text = files.read_utf8(toml)
    if "[customers]" not in text:
        files.write(toml, text.replace("[products]", "[customers]", 1).encode())
    return True


def variable_prefix(name: str) -> str:
    """The prefix of the names of a project's variables, such as ``ACME``."""
    return re.sub(r"\W", "_", name).upper()


def default_connection(name: str, dialect: str) -> str:
    """The ODBC connection string of a new project."""
    return CONNECTIONS.get(dialect, DSN_CONNECTION).format(variable_prefix(name))


def extract_login(connection: str, prefix: str) -> tuple[str, dict[str, str]]:
    """``connection`` with variables in place of the user and the password, and the values of these."""
    found: dict[str, str] = {}

    def variable(option: re.Match[str]) -> str:
        if "${" in option["value"]:
            return option[0]
        name = f"{prefix}_{'USER' if option['option'].lower().startswith('u') else 'PASSWORD'}"
        found[name] = option["value"]
        return f"{option['option']}=${{{name}}}"

    return LOGIN_OPTION.sub(variable, connection), found


def required_variables(name: str, connection: str | None) -> tuple[str, ...]:
    """The variables that a project's .env lists: those of the connection, and Stock2Shop's user and password."""
    prefix = variable_prefix(name)
    names = re.findall(r"\$\{(\w+)\}", connection or "")
    return tuple(dict.fromkeys((*names, f"{prefix}_S2S_USER", f"{prefix}_S2S_PASSWORD")))


def _confirm_readme(name: str, template: str, about: str) -> str:
    """The README of a project with the questions to ask on site, from the template's own notes."""
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


def _project_toml(
    name: str, prefix: str, *, dialect: str, connection: str | None, database: str | None, source_id: int
) -> str:
    reach = f"database = {_toml(database)}" if database is not None else f"connection = {_toml(connection or '')}"
    return f"""\
#:schema ../../{SCHEMA_FILE}
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


def _first_view(dialect: str) -> str:
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
    return FIRST_VIEW.replace("COLUMNS", lines)


FIRST_VIEW = """\
-- One row a variant; the aliases are Stock2Shop's field names (`s2s help fields` lists them all).
-- Put the client's own table and columns in place of these.
select
COLUMNS
from items
where warehouse = {{ vars.warehouse }}
"""


def _env_file(workspace: Path, names: Sequence[str], values: Mapping[str, str]) -> str:
    """A ``.env`` with the known values, and the other names to fill in.

    A name that the workspace's ``.env`` has a value for is a comment: left empty here, it would hide that value.
    """
    shared, _ = read_dotenv(workspace / ".env")
    lines = ["# Secrets of this project; never commit this file."]
    for name in names:
        if values.get(name):
            lines.append(dotenv_line(name, values[name]))
        elif shared.get(name):
            lines.append(f"# {name} has its value in the .env of the workspace.")
        else:
            lines.append(f"{name}=")
    return "\n".join(lines) + "\n"
