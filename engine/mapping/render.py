"""Render a template and its values to a :class:`Query`.

Values are never syntax. Whatever a template writes as ``{{ value }}`` goes into the SQL as a placeholder; once the
whole text stands, each placeholder becomes a literal of the view's dialect, or a ``?`` and a bound value. So the text
never depends on how a value is written, and a placeholder inside quotes, in a comment or directly beside a word is
found where it really ended up, whatever blocks, loops and macros it came through. Jinja's autoescape tells SQL from
values: what a template, a macro or a block wrote arrives as ``Markup``, everything else is a value.

Start with :func:`render_view`. The engine's own SQL is rendered by :mod:`engine.mapping.engine_sql`.
"""

from __future__ import annotations

import copy
import re
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Diagnostic, OutsideWorkspaceError, RenderError
from engine.files import WorkspaceFiles, is_dir
from engine.mapping.environment import filter_hint, template_loader, view_environment
from engine.mapping.placeholders import (
    PLACEHOLDER,
    TemplateFailedError,
    UnwritableValueError,
    ValueWriter,
    offset_before_writing,
    write_values,
)
from engine.mapping.source_map import SourceMap
from engine.model.query import Query
from engine.quoting import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.model.query import SourceLocation
    from engine.model.settings import Project

JINJA_HINT = (
    "{{, {% and {# belong to the template. Where SQL itself has them, as in LIKE '{%', write {% raw %}{%{% endraw %}."
)

ENGINE_FOLDER = Path(__file__).parents[1]


def render_view(project: Project, entity: str, *, dialect: str | None = None) -> Query:
    """Render the view of ``entity``. Raises :class:`RenderError` with the template, the line and what to do.

    Templates see ``vars``, ``project`` (its name), ``dialect``, ``entity`` and ``linked``, the filter ``ident`` that
    quotes a name, and ``col("table.column")`` that quotes each part of one. ``dialect`` renders the view for another
    database than the project's.
    """
    settings = project.entities[entity]
    dialect = dialect or project.source.dialect
    values = {**_common_names(project, dialect), "entity": entity, "linked": settings.linked}
    return _render_query(settings.view, partial(literal, dialect=dialect), dialect, project=project, values=values)


def render_bound(project: Project, path: Path, values: Mapping[str, object]) -> Query:
    """Render the statement in ``path`` with every value bound: ``{{ order.id }}`` becomes ``?``, and its value a bind.

    A list becomes as many ``?`` as it has items. Templates see ``values`` beside ``vars``, ``project`` and ``dialect``.
    Raises :class:`RenderError` as :func:`render_view` does.
    """
    dialect = project.source.dialect
    names = {**_common_names(project, dialect), **copy.deepcopy(dict(values))}
    return _render_query(path, lambda _: "?", dialect, project=project, values=names)


def search_path(project: Project) -> tuple[Path, ...]:
    """Return the folders in which templates are searched, in order: the project's, the workspace's, the engine's."""
    own = ENGINE_FOLDER / "templates" / "sql"
    candidates = (
        project.root,
        project.workspace / "templates" / "sql",
        own if is_dir(own) else ENGINE_FOLDER.parent / "templates" / "sql",
    )
    return tuple(dict.fromkeys(candidates))


def template_files(project: Project) -> WorkspaceFiles:
    """Return the files that templates may be: the workspace's, the project's, and the engine's own templates."""
    own = WorkspaceFiles.of(project.workspace, project.root)
    return WorkspaceFiles((*own.folders, search_path(project)[-1]))


def _render_query(
    path: Path,
    write: Callable[[object], str],
    dialect: str,
    *,
    project: Project,
    values: Mapping[str, object],
) -> Query:
    """Render the template ``path``; ``write`` returns the SQL for a value.

    1. Render it with a placeholder for each value.
    2. Replace each placeholder, or raise for one that stands where no value may.
    3. Where a place is asked for, render it again with markers, and read the places from those.
    """
    writer = ValueWriter(write)
    text, used = _render(path, writer, project=project, values=values)

    @cache
    def locate() -> Callable[[int], SourceLocation | None]:
        source_map = SourceMap()
        marked, _ = _render(path, ValueWriter(write), project=project, values=values, with_markers=True)
        return source_map.at if source_map.read(marked) == text else lambda _: None

    sql, written = write_values(text, writer.placeholders, dialect, path=path, locate=locate)

    def locate_in(rendered: str) -> Callable[[int], SourceLocation | None]:
        at = locate() if rendered == sql else lambda _: None
        return lambda offset: at(offset_before_writing(written, offset))

    bound = (item for found in PLACEHOLDER.finditer(text) for item in writer.placeholders[int(found[1])].items)
    return Query(sql=sql, path=path, binds=tuple(bound), sources=used, source_map=locate_in)


def _common_names(project: Project, dialect: str) -> dict[str, object]:
    """Return the names that every template sees."""
    return {"vars": copy.deepcopy(dict(project.vars)), "project": project.name, "dialect": dialect}


def _render(
    path: Path, writer: ValueWriter, *, project: Project, values: Mapping[str, object], with_markers: bool = False
) -> tuple[str, tuple[Path, ...]]:
    """Return the SQL with placeholders in it, and the files that it came from."""
    import jinja2

    folders = search_path(project)
    name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()
    used: list[Path] = []
    environment = view_environment(writer, names=values, with_markers=with_markers)
    files = template_files(project)
    environment.loader = template_loader(name, path, folders, used, files=files)
    # As globals they are seen in imported macros too.
    environment.globals.update(values)
    try:
        sql = str(environment.get_template(name).render())
    except (RenderError, OutsideWorkspaceError):
        raise
    except jinja2.TemplateNotFound as error:
        if error.name == name:
            problem = Diagnostic(
                path=path, message="There is no such view.", hint="Write it, or set `view` in project.toml."
            )
        else:
            problem = _not_found(str(error.name), path, used, folders, files)
        raise RenderError([problem]) from None
    except jinja2.TemplateSyntaxError as error:
        file = Path(error.filename) if error.filename else path
        message = str(error.message)
        column = _column(files, file, error.lineno, message)
        hint = filter_hint(message, environment) or JINJA_HINT
        raise RenderError(
            [Diagnostic(path=file, line=error.lineno, column=column, message=message, hint=hint)]
        ) from None
    except Exception as error:  # noqa: BLE001 - a template's expressions raise whatever Python raises for them
        raise RenderError([_error_diagnostic(error, used, path, files)]) from None
    return sql, tuple(dict.fromkeys(used))


def _not_found(
    template: str, path: Path, used: list[Path], folders: tuple[Path, ...], files: WorkspaceFiles
) -> Diagnostic:
    """Describe a template that does not exist, at the place that names it."""
    mentions = ((file, _line_of(files.read(file), template)) for file in reversed(used))
    place, line = next(((file, line) for file, line in mentions if line), (path, None))
    known = {
        file.relative_to(folder).as_posix() for folder in folders for file in folder.glob("**/*.sql") if file != path
    }
    close = get_close_matches(template, known, n=1)
    searched = "\n".join(str(folder) for folder in folders)
    return Diagnostic(
        path=place,
        line=line,
        message=f"There is no template {template!r}.",
        hint=(f"Did you mean {close[0]}? " if close else "")
        + f"These folders were searched for .sql files:\n{searched}",
    )


def _line_of(content: bytes, text: str) -> int | None:
    """Return the first line number of a file's ``content`` whose line has ``text``."""
    lines = content.decode("utf-8-sig", "replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if text in line), None)


def _error_diagnostic(error: Exception, used: Sequence[Path], path: Path, files: WorkspaceFiles) -> Diagnostic:
    """Describe an exception at the template line that was being rendered: Jinja maps its frames to those lines."""
    import jinja2

    place, line = path, None
    templates = {str(file): file for file in used}
    trace = error.__traceback__
    while trace is not None:
        file = templates.get(trace.tb_frame.f_code.co_filename)
        in_macro = trace.tb_frame.f_code.co_name == "macro"  # as Jinja compiles one
        if file is not None and not (isinstance(error, TemplateFailedError) and in_macro and line is not None):
            place, line = file, trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, RecursionError):
        return Diagnostic(path=place, message="The templates or macros call each other endlessly.")
    known = isinstance(error, (jinja2.TemplateError, UnwritableValueError))
    message = str(error) if known else f"The template cannot be evaluated: {error} ({type(error).__name__})."
    column = _column(files, place, line, message)
    return Diagnostic(path=place, line=line, column=column, message=message, hint=getattr(error, "hint", ""))


def _column(files: WorkspaceFiles, path: Path, line: int | None, message: str) -> int | None:
    """Return the column of what a message quotes first, else of the braces, where the line has that exactly once."""
    try:
        text = files.read(path).decode("utf-8-sig").replace("\r\n", "\n").split("\n")[(line or 0) - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    quoted = re.search(r"'([^']+)'", message)
    for sought in (rf"(?<![\w.]){re.escape(quoted[1])}(?!\w)" if quoted else "", r"\{[{%]"):
        found = list(re.finditer(sought, text)) if sought and line else []
        if len(found) == 1:
            return found[0].start() + 1
    return None
