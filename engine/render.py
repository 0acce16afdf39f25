"""A template and values to a :class:`Query`.

Values are never syntax: what a template writes as ``{{ value }}`` becomes a correctly quoted literal of the view's
dialect. Jinja's autoescape does the telling apart: SQL that a template, a macro or a block wrote arrives as
``Markup``, everything else is a value. The engine's own SQL files go the same way, in DuckDB's dialect.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, RenderError
from engine.model import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment
    from markupsafe import Markup

    from engine.model import Project

ENGINE = Path(__file__).parent
QUOTES = {"tsql": ("[", "]"), "mysql": ("`", "`"), "access": ("[", "]")}
"""How a dialect quotes identifiers, where it is not the standard's double quote."""

BACKSLASHES = frozenset({"mysql"})
"""Dialects in which a backslash in a text literal escapes what follows it."""

BITS = frozenset({"tsql", "sqlite", "oracle", "access", "pervasive", "firebird"})
"""Dialects that write a boolean as 1 or 0."""


class _ValueError(Exception):
    """A value that cannot be written as SQL; the message says why."""


def literal(value: object, dialect: str) -> str:
    """``value`` as a literal of ``dialect``; a list as literals with commas between.

    Raises :class:`ValueError` for what has no literal: NaN, a NUL character, an empty list, other types.
    """
    try:
        return _literal(value, dialect)
    except _ValueError as error:
        raise ValueError(str(error)) from None


def ident(name: str, dialect: str) -> str:
    """``name`` as a quoted identifier of ``dialect``."""
    if not name or "\x00" in name:
        raise ValueError("an identifier cannot be blank or hold a NUL character")
    left, right = QUOTES.get(dialect, ('"', '"'))
    return f"{left}{name.replace(right, right * 2)}{right}"


def render_sql(name: str, **values: object) -> str:
    """Render the engine's own SQL file ``name``; values become DuckDB literals."""
    return str(_engine_environment().get_template(name).render(**values))


def render_view(project: Project, entity: str) -> Query:
    """Render the view of ``entity``. Raises :class:`RenderError` that names template, line and the next step.

    Templates see ``vars``, ``project`` (its name), ``dialect``, ``entity`` and ``linked``, the filter ``ident`` that
    quotes a name, and ``col("table.column")`` that quotes each part of one.
    """
    settings = project.entities[entity]
    values = {
        "vars": dict(project.vars),
        "project": project.name,
        "dialect": project.source.dialect,
        "entity": entity,
        "linked": settings.linked,
    }
    return _render(settings.view, project=project, values=values)


def search_path(project: Project) -> tuple[Path, ...]:
    """Where templates are looked for, in order: the project, the workspace's templates, the engine's own."""
    own = ENGINE / "templates" / "sql"
    candidates = (
        project.root,
        project.workspace / "templates" / "sql",
        own if own.is_dir() else ENGINE.parent / "templates" / "sql",
    )
    return tuple(dict.fromkeys(candidates))


def _render(path: Path, *, project: Project, values: Mapping[str, object]) -> Query:
    import jinja2

    folders = search_path(project)
    environment = _environment(project.source.dialect)
    used: list[Path] = []
    environment.loader = _loader(folders, used)
    # As globals they are seen in imported macros too.
    environment.globals.update(values)
    name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else str(path)
    try:
        sql = str(environment.get_template(name).render())
    except jinja2.TemplateNotFound as error:
        places = "\n".join(str(folder) for folder in folders)
        if error.name == name:
            fault = Fault(message=f"There is no view {path}.", hint="Write it, or set `view` in project.toml.")
        else:
            fault = Fault(
                path=path,
                line=_mention(path, str(error.name)),
                message=f"There is no template {error.name!r}.",
                hint=f"It was looked for in:\n{places}",
            )
        raise RenderError([fault]) from None
    except jinja2.TemplateSyntaxError as error:
        file = Path(error.filename) if error.filename else path
        raise RenderError([Fault(path=file, line=error.lineno, message=str(error.message))]) from None
    except (jinja2.UndefinedError, jinja2.exceptions.SecurityError, _ValueError, TypeError) as error:
        raise RenderError([_located(error, folders, path, values)]) from None
    except UnicodeDecodeError as error:
        raise RenderError(
            [Fault(path=path, message=f"The file is not UTF-8: {error.reason}.", hint="Save it as UTF-8.")]
        ) from None
    return Query(sql=sql, path=path, sources=tuple(dict.fromkeys(used)))


def _loader(folders: tuple[Path, ...], used: list[Path]) -> Any:
    import jinja2

    class Loader(jinja2.FileSystemLoader):
        """Remembers what it read; a byte-order mark, which Windows editors write, is no SQL."""

        def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
            source, filename, fresh = super().get_source(environment, template)
            used.append(Path(filename))
            return source.removeprefix("\ufeff"), filename, fresh

    return Loader([str(folder) for folder in folders])


def _mention(path: Path, text: str) -> int | None:
    """The line of ``path`` that first mentions ``text``."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((number for number, line in enumerate(lines, 1) if text in line), None)


def _located(error: Exception, folders: tuple[Path, ...], path: Path, values: Mapping[str, object]) -> Fault:
    """Find the template line that was being rendered: Jinja maps its frames to the templates' lines."""
    place, line = path, None
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.suffix == ".sql" or any(folder in file.parents for folder in folders if folder != ENGINE):
            place, line = file, trace.tb_lineno
        trace = trace.tb_next
    message, hint = str(error), ""
    missing = _undefined_name(message)
    if missing:
        container = values.get("vars")
        known = [*values, *(f"vars.{name}" for name in (container if isinstance(container, dict) else ()))]
        close = get_close_matches(missing, known, n=1, cutoff=0.5) or get_close_matches(
            f"vars.{missing}", known, n=1, cutoff=0.6
        )
        message = f"{missing!r} is not defined."
        hint = f"Did you mean {close[0]}? " if close else ""
        hint += f"Defined are: {', '.join(known)}. A project's own values stand under [vars] in project.toml."
    return Fault(path=place, line=line, message=message, hint=hint)


def _undefined_name(message: str) -> str | None:
    for lead in ("'dict object' has no attribute ", ""):
        if message.startswith(lead) and message.endswith(" is undefined"):
            return message.removesuffix(" is undefined").strip("'")
        if lead and message.startswith(lead):
            return "vars." + message.removeprefix(lead).strip("'")
    return None


class _Writer:
    """Writes values and names as SQL of one dialect; what is SQL already stays as it is."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def value(self, value: object) -> Markup:
        from markupsafe import Markup

        _defined(value)
        return value if isinstance(value, Markup) else Markup(_literal(value, self._dialect))  # noqa: S704 - quoted

    def identifier(self, value: object) -> Markup:
        from markupsafe import Markup

        _defined(value)
        try:
            return Markup(ident(str(value), self._dialect))  # noqa: S704 - quoted for the dialect
        except ValueError as error:
            raise _ValueError(str(error)) from None

    def column(self, name: object) -> Markup:
        from markupsafe import Markup

        _defined(name)
        return Markup(".").join(self.identifier(part) for part in str(name).split("."))


def _defined(value: object) -> None:
    """Raise for an undefined name: Jinja would print whatever finalize makes of it."""
    from jinja2 import StrictUndefined

    if isinstance(value, StrictUndefined):
        str(value)


def _glue(parts: tuple[object, ...]) -> str:
    """What ``~`` does: join texts, and refuse SQL."""
    from markupsafe import Markup

    for part in parts:
        _defined(part)
        if isinstance(part, Markup):
            raise _ValueError("`~` glues texts, never SQL. Write SQL parts beside each other, or use `||`.")
    return "".join(map(str, parts))


def _environment(dialect: str) -> Environment:
    from jinja2 import StrictUndefined, nodes
    from jinja2.compiler import CodeGenerator
    from jinja2.sandbox import SandboxedEnvironment

    class Generator(CodeGenerator):
        """Compiles ``~`` to a function that glues texts, and refuses SQL."""

        def _output_child_to_const(self, node: Any, frame: Any, finalize: Any) -> str:
            # Jinja escapes a constant, which makes Markup of it, before finalize could tell it from SQL.
            if not isinstance(node, nodes.TemplateData):
                raise nodes.Impossible
            return str(super()._output_child_to_const(node, frame, finalize))

        def visit_Concat(self, node: Any, frame: Any) -> None:  # noqa: N802 - Jinja's name
            self.write("environment.glue((")
            for part in node.nodes:
                self.visit(part, frame)
                self.write(", ")
            self.write("))")

    class Strict(SandboxedEnvironment):
        """An environment in which values and SQL do not mix."""

        code_generator_class = Generator
        glue = staticmethod(_glue)

    writer = _Writer(dialect)
    environment = Strict(
        undefined=StrictUndefined,
        autoescape=True,
        finalize=writer.value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[_guards()],
    )
    for name in ("safe", "escape", "e", "forceescape", "xmlattr", "urlize", "tojson", "striptags"):
        environment.filters.pop(name, None)
    environment.filters["ident"] = writer.identifier
    environment.globals["col"] = writer.column
    environment.globals["fail"] = _fail
    return environment


def _fail(message: str) -> None:
    raise _ValueError(message)


def _guards() -> Any:
    """Refuse, where the template is read, a value inside quotes or a comment."""
    from jinja2 import TemplateSyntaxError
    from jinja2.ext import Extension

    class Guards(Extension):
        """``'{{ value }}'`` would quote twice."""

        def filter_stream(self, stream: Any) -> Any:
            quote = ""
            for token in stream:
                if token.type == "data":
                    quote = _open_quote(token.value, quote)
                elif token.type == "variable_begin" and quote in {"'", "--", "/*"}:
                    where = "quotes" if quote == "'" else "a comment"
                    raise TemplateSyntaxError(
                        f"A value stands inside {where}: write {{{{ value }}}} without quotes; it is quoted"
                        " for the dialect by itself. To build a text, use the concat macro or `||`.",
                        token.lineno,
                        stream.name,
                        stream.filename,
                    )
                yield token

    return Guards


def _open_quote(text: str, quote: str) -> str:
    """Which quote or comment is open after ``text``, given what was open before."""
    position = 0
    while position < len(text):
        two, one = text[position : position + 2], text[position]
        if quote == "":
            if two in {"--", "/*"}:
                quote = two
                position += 1
            elif one in {"'", '"'}:
                quote = one
        elif (quote == "--" and one == "\n") or (quote in {"'", '"'} and one == quote):
            quote = ""
        elif quote == "/*" and two == "*/":
            quote = ""
            position += 1
        position += 1
    return quote


def _literal(value: object, dialect: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        if dialect in BITS:
            return "1" if value else "0"
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, Decimal)):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _ValueError(f"{value} has no literal in SQL.")
        return repr(value)
    if isinstance(value, (datetime, date, time)):
        return _quoted(value.isoformat(" ") if isinstance(value, datetime) else value.isoformat(), "")
    if isinstance(value, str):
        return _quoted(value, dialect)
    if isinstance(value, (list, tuple, set, frozenset)):
        if not value:
            raise _ValueError("The list is empty: `in ()` is no SQL. Leave the condition out when it is.")
        return ", ".join(_literal(item, dialect) for item in value)
    if isinstance(value, dict):
        raise _ValueError("A table has no literal: name one of its keys, or loop over .items().")
    raise _ValueError(f"A {type(value).__name__} has no literal in SQL.")


def _quoted(text: str, dialect: str) -> str:
    if "\x00" in text:
        raise _ValueError("A text with a NUL character has no literal in SQL.")
    if dialect in BACKSLASHES:
        text = text.replace("\\", "\\\\")
    quoted = "'" + text.replace("'", "''") + "'"
    return f"N{quoted}" if dialect == "tsql" and not text.isascii() else quoted


@cache
def _engine_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    writer = _Writer("duckdb")
    environment = Environment(
        loader=FileSystemLoader(str(ENGINE / "sql")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=writer.value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ident"] = writer.identifier
    environment.filters["sql"] = Markup  # the engine's own SQL, never a value
    return environment
