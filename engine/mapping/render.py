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
    InvalidVariableError,
    TemplateFailedError,
    UnwritableValueError,
    ValueWriter,
    offset_before_writing,
    write_values,
)
from engine.mapping.source_map import SourceMap
from engine.model.query import Query
from engine.quoting import BACKSLASHES, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.mapping.placeholders import Placeholder
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
    write = partial(literal, dialect=dialect)
    return _render_query(_Template(settings.view, write, project=project, names=values), dialect, values=values)


def render_bound(project: Project, path: Path, values: Mapping[str, object]) -> Query:
    """Render the statement in ``path`` with every value bound: ``{{ order.id }}`` becomes ``?``, and its value a bind.

    A list becomes as many ``?`` as it has items. Templates see ``values`` beside ``vars``, ``project`` and ``dialect``.
    Raises :class:`RenderError` as :func:`render_view` does.
    """
    return BoundStatement(project, path).render(copy.deepcopy(dict(values)))


class BoundStatement:
    """A statement that is rendered many times with every value bound, as :func:`render_bound` does. It is read once.

    ``parameter`` is what stands in the SQL for each value. The values are not copied, so they must be such that a
    template cannot change them.
    """

    def __init__(self, project: Project, path: Path, *, parameter: str = "?") -> None:
        self._project = project
        self._path = path
        self._write: Callable[[object], str] = lambda _value: parameter
        self._template: _Template | None = None

    def render(self, values: Mapping[str, object]) -> Query:
        """Render the statement with other values than before, of the same names."""
        dialect = self._project.source.dialect
        names = {**_common_names(self._project, dialect), **values}
        if self._template is None:
            self._template = _Template(self._path, self._write, project=self._project, names=names)
        return _render_query(self._template, dialect, values=names)


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


def _render_query(template: _Template, dialect: str, *, values: Mapping[str, object]) -> Query:
    """Render a template to a query.

    1. Render it with a placeholder for each value.
    2. Replace each placeholder, or raise for one that stands where no value may.
    3. Where a place is asked for, render it again with markers, and read the places from those.
    """
    path = template.path
    text, placeholders = template.render(values)

    @cache
    def locate() -> Callable[[int], SourceLocation | None]:
        source_map = SourceMap()
        marked, _ = template.with_markers(values).render(values)
        return source_map.at if source_map.read(marked) == text else lambda _: None

    sql, written = write_values(text, placeholders, dialect, path=path, locate=locate)

    def locate_in(rendered: str) -> Callable[[int], SourceLocation | None]:
        at = locate() if rendered == sql else lambda _: None
        return lambda offset: at(offset_before_writing(written, offset))

    bound = (item for found in PLACEHOLDER.finditer(text) for item in placeholders[int(found[1])].items)
    escaped = (span.start for span in written if "\\" in sql[span.start : span.end]) if dialect in BACKSLASHES else ()
    return Query(
        sql=sql,
        path=path,
        binds=tuple(bound),
        sources=template.used,
        source_map=locate_in,
        escaped_at=next(iter(escaped), None),
    )


def _common_names(project: Project, dialect: str) -> dict[str, object]:
    """Return the names that every template sees."""
    return {"vars": copy.deepcopy(dict(project.vars)), "project": project.name, "dialect": dialect}


class _Template:
    """A template with all that rendering it needs; ``write`` returns the SQL for a value."""

    def __init__(
        self,
        path: Path,
        write: Callable[[object], str],
        *,
        project: Project,
        names: Mapping[str, object],
        with_markers: bool = False,
    ) -> None:
        self.path = path
        self._project = project
        self._write = write
        self._writer = ValueWriter(write)
        self._folders = search_path(project)
        self._files = template_files(project)
        self._used: list[Path] = []
        self._name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()
        self._environment = view_environment(self._writer, names=names, with_markers=with_markers)
        self._environment.loader = template_loader(self._name, path, self._folders, self._used, files=self._files)

    @property
    def used(self) -> tuple[Path, ...]:
        """The files that it was rendered from."""
        return tuple(dict.fromkeys(self._used))

    def with_markers(self, names: Mapping[str, object]) -> _Template:
        """Return the same template, which also writes the markers of the source map."""
        return _Template(self.path, self._write, project=self._project, names=names, with_markers=True)

    def render(self, values: Mapping[str, object]) -> tuple[str, Sequence[Placeholder]]:
        """Return the SQL with placeholders in it, and those."""
        import jinja2

        self._writer.placeholders = []
        self._environment.restart_limits()  # type: ignore[attr-defined]  # of the environment of views
        # As globals they are seen in imported macros too.
        self._environment.globals.update(values)
        for template in self._environment.cache.values() if self._environment.cache else ():
            template._module = None  # noqa: SLF001 - what a macro's file set from the values of before
        try:
            return str(self._environment.get_template(self._name).render()), self._writer.placeholders
        except (RenderError, OutsideWorkspaceError):
            raise
        except jinja2.TemplateNotFound as error:
            if error.name == self._name:
                problem = Diagnostic(
                    path=self.path, message="There is no such view.", hint="Write it, or set `view` in project.toml."
                )
            else:
                problem = _not_found(str(error.name), self.path, self._used, self._folders, self._files)
            raise RenderError([problem]) from None
        except jinja2.TemplateSyntaxError as error:
            file = Path(error.filename) if error.filename else self.path
            message = str(error.message)
            column = _column(self._files, file, error.lineno, message)
            hint = filter_hint(message, self._environment) or JINJA_HINT
            raise RenderError(
                [Diagnostic(path=file, line=error.lineno, column=column, message=message, hint=hint)]
            ) from None
        except Exception as error:  # noqa: BLE001 - a template's expressions raise whatever Python raises for them
            if isinstance(error, InvalidVariableError):
                settings = self._project.root / "project.toml"
                raise RenderError([_variable_diagnostic(error, settings, self._files)]) from None
            raise RenderError([_error_diagnostic(error, self._used, self.path, self._files)]) from None


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


def _variable_diagnostic(error: InvalidVariableError, path: Path, files: WorkspaceFiles) -> Diagnostic:
    """Describe a variable of the wrong kind at its line in project.toml."""
    try:
        text = files.read(path).decode("utf-8-sig", "replace")
    except OSError:
        text = ""
    before, table, after = text.partition("[vars]")
    found = re.search(rf"(?m)^[ \t]*[\"']?{re.escape(error.variable)}[\"']?[ \t]*=", after)
    line = (before + table + after[: found.start()]).count("\n") + 1 if found else None
    return Diagnostic(path=path, line=line, message=str(error))


def _error_diagnostic(error: Exception, used: Sequence[Path], path: Path, files: WorkspaceFiles) -> Diagnostic:
    """Describe an exception at the template line that was being rendered: Jinja maps its frames to those lines."""
    import jinja2

    place, line = path, None
    templates = {str(file): file for file in used}
    trace = error.__traceback__
    while trace is not None:
        file = templates.get(trace.tb_frame.f_code.co_filename)
        in_macro = trace.tb_frame.f_code.co_name == "template"  # as Jinja's tracebacks call a macro
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
