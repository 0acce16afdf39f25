"""A template and values to a :class:`Query`.

Values are never syntax. Whatever a template writes as ``{{ value }}`` goes into the SQL as a mark; when all text
stands, each mark becomes a literal of the view's dialect, or a ``?`` and a bound value. So the text never depends on
how a value is written, and a mark inside quotes, in a comment or right against a word is found where it really ended
up, whatever blocks, loops and macros it came through. Jinja's autoescape tells SQL from values: what a template, a
macro or a block wrote arrives as ``Markup``, everything else is a value.

The engine's own SQL files are rendered straight to DuckDB's literals.
"""

from __future__ import annotations

import copy
import re
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Diagnostic, RenderError
from engine.files import is_dir
from engine.mapping.environment import filter_hint, template_loader, view_environment
from engine.mapping.placeholders import (
    PLACEHOLDER,
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

ENGINE = Path(__file__).parents[1]


def render_view(project: Project, entity: str, *, dialect: str | None = None) -> Query:
    """Render the view of ``entity``. Raises :class:`RenderError` that names template, line and the next step.

    Templates see ``vars``, ``project`` (its name), ``dialect``, ``entity`` and ``linked``, the filter ``ident`` that
    quotes a name, and ``col("table.column")`` that quotes each part of one. ``dialect`` renders the view for another
    database than the project's.
    """
    settings = project.entities[entity]
    dialect = dialect or project.source.dialect
    values = {**_said(project, dialect), "entity": entity, "linked": settings.linked}
    return _queried(settings.view, partial(literal, dialect=dialect), dialect, project=project, values=values)


def render_bound(project: Project, path: Path, values: Mapping[str, object]) -> Query:
    """Render the statement in ``path`` with every value bound: ``{{ order.id }}`` is a ``?``, and its value a bind.

    A list is as many ``?`` as it has items. Templates see ``values`` beside ``vars``, ``project`` and ``dialect``.
    Raises :class:`RenderError` as :func:`render_view` does.
    """
    dialect = project.source.dialect
    names = {**_said(project, dialect), **copy.deepcopy(dict(values))}
    return _queried(path, lambda _: "?", dialect, project=project, values=names)


def search_path(project: Project) -> tuple[Path, ...]:
    """Where templates are looked for, in order: the project, the workspace's templates, the engine's own."""
    own = ENGINE / "templates" / "sql"
    candidates = (
        project.root,
        project.workspace / "templates" / "sql",
        own if is_dir(own) else ENGINE.parent / "templates" / "sql",
    )
    return tuple(dict.fromkeys(candidates))


def _queried(
    path: Path,
    write: Callable[[object], str],
    dialect: str,
    *,
    project: Project,
    values: Mapping[str, object],
) -> Query:
    writer = ValueWriter(write)
    marked, used = _render(path, writer, project=project, values=values)

    def places() -> Callable[[int], SourceLocation | None]:
        """The places of the text with marks, from another rendering; of none where the two differ."""
        found = SourceMap()
        again, _ = _render(path, ValueWriter(write), project=project, values=values, marked=True)
        return found.at if found.read(again) == marked else lambda _: None

    sql, gaps = write_values(marked, writer.marks, dialect, path=path, places=places)

    def of(text: str) -> Callable[[int], SourceLocation | None]:
        at = places() if text == sql else lambda _: None
        return lambda offset: at(offset_before_writing(gaps, offset))

    bound = (item for found in PLACEHOLDER.finditer(marked) for item in writer.marks[int(found[1])].items)
    return Query(sql=sql, path=path, binds=tuple(bound), sources=used, places=of)


def _said(project: Project, dialect: str) -> dict[str, object]:
    return {"vars": copy.deepcopy(dict(project.vars)), "project": project.name, "dialect": dialect}


def _render(
    path: Path, writer: ValueWriter, *, project: Project, values: Mapping[str, object], marked: bool = False
) -> tuple[str, tuple[Path, ...]]:
    """The SQL with the writer's marks in it, ``marked`` with those of places too, and the files that it came from."""
    import jinja2

    folders = search_path(project)
    name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()
    used: list[Path] = []
    environment = view_environment(writer, names=values, marked=marked)
    environment.loader = template_loader(name, path, folders, used)
    # As globals they are seen in imported macros too.
    environment.globals.update(values)
    try:
        sql = str(environment.get_template(name).render())
    except RenderError:
        raise
    except jinja2.TemplateNotFound as error:
        if error.name == name:
            fault = Diagnostic(
                path=path, message="There is no such view.", hint="Write it, or set `view` in project.toml."
            )
        else:
            fault = _not_found(str(error.name), path, used, folders)
        raise RenderError([fault]) from None
    except jinja2.TemplateSyntaxError as error:
        file = Path(error.filename) if error.filename else path
        said = str(error.message)
        column = _column(file, error.lineno, said)
        hint = filter_hint(said, environment)
        raise RenderError([Diagnostic(path=file, line=error.lineno, column=column, message=said, hint=hint)]) from None
    except Exception as error:  # noqa: BLE001 - a template's expressions raise whatever Python raises for them
        raise RenderError([_located(error, used, path)]) from None
    return sql, tuple(dict.fromkeys(used))


def _not_found(template: str, path: Path, used: list[Path], folders: tuple[Path, ...]) -> Diagnostic:
    mentions = ((file, _mention(file, template)) for file in reversed(used))
    place, line = next(((file, line) for file, line in mentions if line), (path, None))
    known = {
        file.relative_to(folder).as_posix() for folder in folders for file in folder.glob("**/*.sql") if file != path
    }
    close = get_close_matches(template, known, n=1)
    places = "\n".join(str(folder) for folder in folders)
    return Diagnostic(
        path=place,
        line=line,
        message=f"There is no template {template!r}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + f"Files that end in .sql were looked for in:\n{places}",
    )


def _mention(path: Path, text: str) -> int | None:
    """The line of ``path`` that first mentions ``text``."""
    lines = path.read_text("utf-8-sig", "replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if text in line), None)


def _located(error: Exception, used: Sequence[Path], path: Path) -> Diagnostic:
    """Find the template line that was being rendered: Jinja maps its frames to the templates' lines."""
    import jinja2

    place, line = path, None
    files = {str(file): file for file in used}
    trace = error.__traceback__
    while trace is not None:
        file = files.get(trace.tb_frame.f_code.co_filename)
        if file is not None:
            place, line = file, trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, RecursionError):
        return Diagnostic(path=place, message="The templates or macros call each other without end.")
    known = isinstance(error, (jinja2.TemplateError, UnwritableValueError))
    message = str(error) if known else f"The template cannot be worked out: {error} ({type(error).__name__})."
    column = _column(place, line, message)
    return Diagnostic(path=place, line=line, column=column, message=message, hint=getattr(error, "hint", ""))


def _column(path: Path, line: int | None, said: str) -> int | None:
    """The column of what a message quotes first, else of the braces, where the line has it once: Jinja keeps lines."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")[(line or 0) - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    quoted = re.search(r"'([^']+)'", said)
    for sought in (rf"(?<![\w.]){re.escape(quoted[1])}(?!\w)" if quoted else "", r"\{[{%]"):
        found = list(re.finditer(sought, text)) if sought and line else []
        if len(found) == 1:
            return found[0].start() + 1
    return None
