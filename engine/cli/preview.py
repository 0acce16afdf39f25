"""The command that shows what a view gives right now, once or whenever a file of the project is saved."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.contract import diagnostic_json
from engine.cli.failures import report_error
from engine.cli.options import EntityName, OutputFormat, ProjectName, Reveal  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, check_reveal, selected_entities, session_of
from engine.cli.tables import cut, display_width, pad
from engine.clock import local_text, now
from engine.errors import SyncError, UsageError
from engine.files import list_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.sync.preview import Preview

MAX_CELL_WIDTH = 28
"""How many columns of the terminal a value takes."""

PIPE_WIDTH = 160
"""How many letters a line has where the output is no terminal."""

WATCH_SECONDS = 0.4
"""How often the files of a project are looked at with ``--watch``."""

WATCHED = ("*.toml", ".env", "views/*.sql", "tests/*.sql", "templates/**/*.sql")
"""The files of a project or a workspace that change what its views give."""


def preview(
    context: typer.Context,
    project: ProjectName,
    entity: EntityName = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many rows.")] = 20,
    where: Annotated[
        str | None,
        typer.Option(metavar="FIELD=VALUE", help="Only rows with this value, such as variants.sku=HAM-1; a key alone."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again whenever a file of the project is saved, until Ctrl-C.")
    ] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show what the views give right now: rows as Stock2Shop would get them, with their faults; send nothing."""
    session = session_of(context)
    if watch and output is Output.json:
        raise UsageError("--watch shows text.", hint="Leave --output json out.")
    show = _Show(session, entity, limit, where, reveal=check_reveal(reveal=reveal), output=output)
    loaded = _load(session, project)
    if not watch:
        show(loaded)
        return
    root, workspace = loaded.root, loaded.workspace
    for _ in saved(root, workspace):
        session.terminal.print_text(f"\n{local_text(now())}  {project}")
        try:
            show(_load(session, project))
        except SyncError as error:
            report_error(session, error, project=project)


def _load(session: Session, name: str) -> Project:
    """The project without its login to Stock2Shop, whose password is hidden all the same: the data may repeat it."""
    from engine.config.plain_secrets import named_secrets

    project = session.load(name, offline={"stock2shop", "orders"})
    session.terminal.hide(named_secrets(project.root, workspace=project.workspace, environ=os.environ))
    return project


class _Show:
    """Prints one preview of a project after another, with the options of the command line."""

    def __init__(
        self, session: Session, entity: str | None, limit: int, where: str | None, *, reveal: bool, output: Output
    ) -> None:
        self._session = session
        self._entity = entity
        self._limit = limit
        self._where = where
        self._reveal = reveal
        self._output = output

    def __call__(self, project: Project) -> None:
        from engine.model.fields import ENTITIES
        from engine.sync.preview import preview as read_preview

        found = []
        for name in selected_entities(project, self._entity):
            where = None
            if self._where is not None:
                field, equals, value = self._where.partition("=")
                where = (field.strip(), value) if equals else (ENTITIES[name].key, field)
            found.append(read_preview(project, name, limit=self._limit, where=where, reveal=self._reveal))
            if self._output is Output.text:
                self._session.terminal.print_text(preview_text(project.name, found[-1], _width()))
        if self._output is Output.json:
            self._session.answer.give([_as_json(each) for each in found])


def saved(root: Path, workspace: Path) -> Iterator[None]:
    """Yield at once, and again whenever one of the watched files of a project changed, came or went."""
    before = None
    while True:
        times = _times(root, workspace)
        if times != before:
            before = times
            yield
        else:
            time.sleep(WATCH_SECONDS)


def _times(root: Path, workspace: Path) -> Mapping[Path, int]:
    """When each watched file was last written, in nanoseconds."""
    found: dict[Path, int] = {}
    for folder in (root, workspace):
        for pattern in WATCHED:
            for path in list_paths(folder, pattern):
                try:
                    found[path] = path.stat().st_mtime_ns
                except OSError:  # an editor is just putting a new file in its place
                    continue
    return found


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def preview_text(project: str, found: Preview, width: int) -> str:
    """A preview as people read it: blocks of columns, then faults, then the document of one row."""
    from engine.model.fields import ENTITIES
    from engine.text import plural

    more = ", and there are more" if found.partial else ""
    read = f"{found.read:,} {plural(found.read, 'row')} read"
    lines = [f"{project} · {found.entity}: {len(found.rows)} of {read}{more}"]
    marks = {(each.key, each.field): "!" if each.severity == "error" else "~" for each in found.faults}
    contract = ENTITIES[found.entity]
    codes = [[contract.key, *(_short(row["_key"]) for row in found.rows)]]
    if contract.group is not None:
        codes.append([contract.group, *(_short(row["_group"]) for row in found.rows)])
    columns = [*codes, *(_column(found, name, marks) for name in found.fields)]
    numbers = ["", *(str(number) for number in range(1, len(found.rows) + 1))]
    flags = ["", *(str(row["_flag"] or "?") for row in found.rows)]
    for block in _blocks(columns, width - _width_of(numbers) - _width_of(flags) - 4):
        lines.append("")
        for cells in zip(numbers, flags, *block, strict=True):
            parts = zip(cells, (numbers, flags, *block), strict=True)
            lines.append("  ".join(pad(cell, _width_of(column)) for cell, column in parts).rstrip())
    if found.faults:
        lines += ["", "! is held back, ~ is sent with a warning:"]
    for each in found.faults:
        value = "" if each.value in {None, ""} else f" = {_short(each.value)}"
        mark = "!" if each.severity == "error" else "~"
        lines.append(f"  {mark} {each.key or '(no key)'}  {each.field}{value}: {each.reason}. {each.remedy}")
    for warning in found.warnings:
        place = f"{warning.where}: " if warning.where else ""
        lines.append(f"  {place}{warning.message}")
    if found.document is not None:
        body = json.dumps(found.document, indent=2, ensure_ascii=False)
        lines += ["", f"{found.document_key} as it would be sent:", body]
    elif found.rows:
        lines += ["", "None of these rows would be sent."]
    return "\n".join(lines)


def _column(found: Preview, name: str, marks: Mapping[tuple[str | None, str], str]) -> list[str]:
    """A field's heading and its value in each row, marked where a rule is broken."""
    cells = [name]
    for row in found.rows:
        mark = marks.get((row["_key"], name))
        cells.append(f"{mark} {_short(row[name])}" if mark else _short(row[name]))
    return cells


def _blocks(columns: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """The columns in as many blocks as it takes for each to fit into a line."""
    block: list[list[str]] = []
    room = width
    for column in columns:
        need = _width_of(column) + 2
        if block and need > room:
            yield block
            block, room = [], width
        block.append(column)
        room -= need
    if block:
        yield block


def _short(value: object) -> str:
    text = "(blank)" if value is None else " ".join(str(value).split()) or "(blank)"
    return cut(text, MAX_CELL_WIDTH)


def _width_of(column: Sequence[str]) -> int:
    """How wide a column is displayed."""
    return max(map(display_width, column))


def _as_json(found: Preview) -> dict[str, Any]:
    return {
        "entity": found.entity,
        "read": found.read,
        "partial": found.partial,
        "rows": [dict(row) for row in found.rows],
        "faults": [asdict(each) for each in found.faults],
        "warnings": [diagnostic_json(each) for each in found.warnings],
        "document_key": found.document_key,
        "document": found.document,
    }
