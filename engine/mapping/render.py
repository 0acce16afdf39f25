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
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine import quoting
from engine.errors import Fault, RenderError
from engine.files import is_dir, is_file
from engine.mapping.source_map import Places, marks
from engine.model.settings import Query
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jinja2 import Environment, Template
    from markupsafe import Markup

    from engine.model.settings import Place, Project

    Placed = Callable[[], Callable[[int], Place | None]]

__all__ = ["ident", "literal", "render_bound", "render_sql", "render_view", "search_path"]

ENGINE = Path(__file__).parents[1]

VALUE_FILTERS = frozenset(
    {"abs", "capitalize", "float", "int", "lower", "replace", "round", "string", "title", "trim", "upper"}
)
"""Jinja's filters that work on a text or a number. SQL is neither."""

ITEM_FILTERS = frozenset(
    {"batch", "count", "d", "default", "dictsort", "first", "groupby", "items", "last", "length", "list", "map", "max"}
    | {"min", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "sort", "sum", "unique"}
)
"""Jinja's filters that hand items on as they are. The filters in neither list make Markup of values, or vary."""

_MARK = re.compile("\ue000(\\d+)\ue001")
_AGAINST = {
    "value": (re.compile("[\\w$@#.'\"`\\]\ue001]"), re.compile("[\\w$@#.'\"`]")),
    "name": (re.compile("[\\w$@#'\"`\\]\ue001]"), re.compile("[\\w$@#'\"`]")),
}
"""What may stand neither before nor after a mark: it would become one word or one text with it."""


class _ValueError(Exception):
    """A value that cannot be written as SQL; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A value, or a name, that waits for its place in the SQL as ``text``.

    ``items`` are the values to bind. ``by`` is the template that wrote it, if any, and its compiled line.
    """

    kind: Literal["value", "name"]
    text: str
    items: tuple[object, ...] = ()
    by: tuple[Template | None, int]

    @property
    def path(self) -> Path | None:
        """The template's file."""
        template, _ = self.by
        return Path(str(template.filename)) if template else None

    @property
    def line(self) -> int | None:
        """The template's line, which takes Jinja longer to find than to render it."""
        template, compiled = self.by
        return template.get_corresponding_lineno(compiled) if template else None


def render_sql(name: str, **values: object) -> str:
    """Render the engine's own SQL file ``name``; values become DuckDB literals."""
    return str(_engine_environment().get_template(name).render(**values))


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
    writer = _Writer(write)
    marked, used = _render(path, writer, project=project, values=values)

    def places() -> Callable[[int], Place | None]:
        """The places of the text with marks, from another rendering; of none where the two differ."""
        found = Places()
        again, _ = _render(path, _Writer(write), project=project, values=values, marked=True)
        return found.at if found.read(again) == marked else lambda _: None

    sql, gaps = _written(marked, writer.marks, dialect, path=path, places=places)

    def of(text: str) -> Callable[[int], Place | None]:
        at = places() if text == sql else lambda _: None
        return lambda offset: at(_before_writing(gaps, offset))

    bound = (item for found in _MARK.finditer(marked) for item in writer.marks[int(found[1])].items)
    return Query(sql=sql, path=path, binds=tuple(bound), sources=used, places=of)


def _said(project: Project, dialect: str) -> dict[str, object]:
    return {"vars": copy.deepcopy(dict(project.vars)), "project": project.name, "dialect": dialect}


def _render(
    path: Path, writer: _Writer, *, project: Project, values: Mapping[str, object], marked: bool = False
) -> tuple[str, tuple[Path, ...]]:
    """The SQL with the writer's marks in it, ``marked`` with those of places too, and the files that it came from."""
    import jinja2

    folders = search_path(project)
    name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()
    used: list[Path] = []
    environment = _environment(writer, names=values, marked=marked)
    environment.loader = _loader(name, path, folders, used)
    # As globals they are seen in imported macros too.
    environment.globals.update(values)
    try:
        sql = str(environment.get_template(name).render())
    except RenderError:
        raise
    except jinja2.TemplateNotFound as error:
        if error.name == name:
            fault = Fault(path=path, message="There is no such view.", hint="Write it, or set `view` in project.toml.")
        else:
            fault = _not_found(str(error.name), path, used, folders)
        raise RenderError([fault]) from None
    except jinja2.TemplateSyntaxError as error:
        file = Path(error.filename) if error.filename else path
        said = str(error.message)
        column = _column(file, error.lineno, said)
        hint = _filter_hint(said, environment)
        raise RenderError([Fault(path=file, line=error.lineno, column=column, message=said, hint=hint)]) from None
    except Exception as error:  # noqa: BLE001 - a template's expressions raise whatever Python raises for them
        raise RenderError([_located(error, used, path)]) from None
    return sql, tuple(dict.fromkeys(used))


def _loader(name: str, view: Path, folders: tuple[Path, ...], used: list[Path]) -> Any:
    import jinja2
    from jinja2.loaders import split_template_path

    def found(template: str) -> Path | None:
        if template == name:
            return view if is_file(view) else None
        # Only SQL: a template never reads .env, though it lies in the same folder.
        if not template.endswith(".sql"):
            return None
        parts = split_template_path(template)
        return next((file for folder in folders if is_file(file := folder.joinpath(*parts))), None)

    def read(template: str) -> tuple[str, str, Callable[[], bool]]:
        try:
            file = found(template)
        except OSError as error:
            raise RenderError([_unreadable(error, view)]) from None
        if file is None:
            raise jinja2.TemplateNotFound(template)
        used.append(file)
        try:
            # Editors on Windows write a byte-order mark, which is no SQL.
            return file.read_bytes().decode("utf-8-sig"), str(file), lambda: True
        except UnicodeDecodeError as error:
            line = file.read_bytes()[: error.start].count(b"\n") + 1
            fault = Fault(path=file, line=line, message="The file is not UTF-8.", hint="Save it as UTF-8.")
        except OSError as error:
            fault = _unreadable(error, file)
        raise RenderError([fault])

    return jinja2.FunctionLoader(read)


def _unreadable(error: OSError, path: Path) -> Fault:
    return Fault(path=Path(error.filename or path), message=f"The file cannot be read: {error.strerror}.")


def _not_found(template: str, path: Path, used: list[Path], folders: tuple[Path, ...]) -> Fault:
    mentions = ((file, _mention(file, template)) for file in reversed(used))
    place, line = next(((file, line) for file, line in mentions if line), (path, None))
    known = {
        file.relative_to(folder).as_posix() for folder in folders for file in folder.glob("**/*.sql") if file != path
    }
    close = get_close_matches(template, known, n=1)
    places = "\n".join(str(folder) for folder in folders)
    return Fault(
        path=place,
        line=line,
        message=f"There is no template {template!r}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + f"Files that end in .sql were looked for in:\n{places}",
    )


def _mention(path: Path, text: str) -> int | None:
    """The line of ``path`` that first mentions ``text``."""
    lines = path.read_text("utf-8-sig", "replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if text in line), None)


def _filter_hint(message: str, environment: Environment) -> str:
    found = re.fullmatch(r"No (filter|test) named '(\w+)'\.?", message)
    if not found:
        return ""
    known = sorted(environment.filters if found[1] == "filter" else environment.tests)
    close = get_close_matches(found[2], known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"There are: {', '.join(known)}."


def _located(error: Exception, used: Sequence[Path], path: Path) -> Fault:
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
        return Fault(path=place, message="The templates or macros call each other without end.")
    known = isinstance(error, (jinja2.TemplateError, _ValueError))
    message = str(error) if known else f"The template cannot be worked out: {error} ({type(error).__name__})."
    column = _column(place, line, message)
    return Fault(path=place, line=line, column=column, message=message, hint=getattr(error, "hint", ""))


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


def _written(
    sql: str, marks: Sequence[_Mark], dialect: str, *, path: Path, places: Placed
) -> tuple[str, list[tuple[int, int, int, int]]]:
    """``sql`` with each mark written out, and where each begins and ends there, and did before.

    Raises :class:`RenderError` for every mark that stands where it may not.
    """
    wrong: dict[int, tuple[_Mark, str, str]] = {}
    parts, gaps, position, length = [], [], 0, 0
    regions = list(quoting.regions(sql, dialect))
    for found in _MARK.finditer(sql):
        mark = marks[int(found[1])]
        misplaced = _misplaced(sql, found, mark, regions)
        if misplaced:
            wrong[found.start()] = (mark, *misplaced)
            continue
        text = ident(mark.text, dialect) if mark.kind == "name" else mark.text
        # Two minus signs would begin a comment.
        gap = " " if text.startswith("-") and sql[: found.start()].endswith("-") else ""
        parts += [sql[position : found.start()], gap + text]
        start = length + len(parts[-2])
        length = start + len(parts[-1])
        gaps.append((start, length, found.start(), found.end()))
        position = found.end()
    if wrong:
        raise RenderError(list(dict.fromkeys(_misplaced_faults(wrong, path=path, places=places))))
    return "".join([*parts, sql[position:]]), gaps


def _misplaced_faults(wrong: Mapping[int, tuple[_Mark, str, str]], *, path: Path, places: Placed) -> Iterator[Fault]:
    at = places()
    for offset, (mark, message, hint) in wrong.items():
        place = at(offset)
        exact = place is not None and (place.path, place.line) == (mark.path, mark.line)
        column = place.column if place is not None and exact else None
        yield Fault(path=mark.path or path, line=mark.line, column=column, message=message, hint=hint)


def _before_writing(gaps: Sequence[tuple[int, int, int, int]], offset: int) -> int:
    """Where a letter of the written SQL stood while the values were marks."""
    number = bisect_right(gaps, offset, key=lambda gap: gap[0]) - 1
    if number < 0:
        return offset
    _, end, before, behind = gaps[number]
    return before if offset < end else behind + offset - end


def _misplaced(
    sql: str, found: re.Match[str], mark: _Mark, regions: Sequence[quoting.Region]
) -> tuple[str, str] | None:
    """What is wrong with the place of a mark, and what to do; None where nothing is."""
    region = next((region for region in regions if region.start < found.start() < region.end), None)
    names = '{{ ("price_" ~ value) | ident }}'
    what = "A value" if mark.kind == "value" else "A name"
    plain = "{{ value }}" if mark.kind == "value" else "{{ value | ident }}"
    if region is not None and region.kind == "comment":
        return f"{what} stands inside a comment.", "Write {# #} around a comment that is the template's."
    if region is not None:
        return (
            f"{what} stands inside quotes: write {plain} without them; it is quoted for the dialect by itself.",
            f'Build a text as {{{{ "%" ~ value ~ "%" }}}} or with the concat macro, and a name as {names}.',
        )
    before, after = _AGAINST[mark.kind]
    left, right = sql[: found.start()][-1:], sql[found.end() :][:1]
    if before.match(left) or after.match(right):
        return (
            f"{what} stands right against other text and would become one word with it.",
            f"Leave a blank or an operator between them; build a name as {names}.",
        )
    return None


class _Writer:
    """Keeps the values and names of one rendering, and gives the marks that stand for them."""

    def __init__(self, write: Callable[[object], str]) -> None:
        self.marks: list[_Mark] = []
        self._write = write

    def value(self, value: object) -> Markup:
        """What Jinja's finalize makes of an expression; SQL stays as it is."""
        from markupsafe import Markup

        _defined(value)
        if isinstance(value, Markup):
            return value
        try:
            if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
                items = tuple(quoting.scalar(_plain(item)) for item in quoting.items(value))
            else:
                items = (quoting.scalar(value),)
            text = ", ".join(map(self._write, items))
        except ValueError as error:
            raise _ValueError(str(error)) from None
        return self._mark(kind="value", text=text, items=items)

    def identifier(self, value: object) -> Markup:
        """A text as a quoted name: the filter ``ident``."""
        name = str(_plain(value))
        try:
            ident(name, "")
        except ValueError as error:
            raise _ValueError(str(error)) from None
        return self._mark(kind="name", text=name)

    def column(self, name: object) -> Markup:
        """A dotted text as quoted names: the function ``col``."""
        from markupsafe import Markup

        return Markup(".").join(self.identifier(part) for part in str(_plain(name)).split("."))

    def _mark(self, *, kind: Literal["value", "name"], text: str, items: tuple[object, ...] = ()) -> Markup:
        from markupsafe import Markup

        self.marks.append(_Mark(kind=kind, text=text, items=items, by=_place()))
        return Markup(f"\ue000{len(self.marks) - 1}\ue001")  # noqa: S704 - a number between two marks


def _place() -> tuple[Template | None, int]:
    """The template that is being rendered, and the line of what it was compiled to."""
    frame = sys._getframe(1)  # noqa: SLF001 - Python gives frames by no other name
    while frame.f_back is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return template, frame.f_lineno
        frame = frame.f_back
    return None, 0


def _defined(value: object) -> None:
    """Raise for an undefined name: Jinja would print whatever finalize makes of it."""
    from jinja2 import StrictUndefined

    if isinstance(value, StrictUndefined):
        str(value)


def _plain(value: object) -> object:
    """``value``, if it is defined and no SQL."""
    from markupsafe import Markup

    _defined(value)
    if isinstance(value, Markup):
        raise _ValueError("SQL stands where a value is wanted. Write SQL parts beside each other, never mixed.")
    return value


def _glue(parts: tuple[object, ...]) -> str:
    """What ``~`` does: join texts, and refuse SQL."""
    from markupsafe import Markup

    for part in parts:
        _defined(part)
        if isinstance(part, Markup):
            raise _ValueError("`~` glues texts, never SQL. Write SQL parts beside each other, or use `||`.")
    return "".join(map(str, parts))


def _join(value: Iterable[object], d: object = "") -> str:
    """The filter ``join``, of texts only: Jinja's own would make SQL of a value that stands beside SQL."""
    return str(_plain(d)).join([str(_plain(item)) for item in value])


def _of_values(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``filter_`` see values only."""

    @wraps(filter_)
    def checked(*arguments: object, **named: object) -> Any:
        for argument in (*arguments, *named.values()):
            _plain(argument)
        return filter_(*arguments, **named)

    return checked


def _environment(writer: _Writer, *, names: Mapping[str, object], marked: bool = False) -> Environment:
    from jinja2 import nodes
    from jinja2.compiler import CodeGenerator
    from jinja2.sandbox import SandboxedEnvironment
    from markupsafe import Markup

    class Generator(CodeGenerator):
        """Compiles templates so that SQL and values stay apart."""

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

        def visit_ScopedEvalContextModifier(self, node: Any, frame: Any) -> None:  # noqa: ARG002, N802 - Jinja's
            self.fail("`autoescape` tells SQL from values and cannot be switched.", node.lineno)

    class Strict(SandboxedEnvironment):
        """An environment in which values and SQL do not mix."""

        code_generator_class = Generator
        intercepted_binops = frozenset({"+", "%"})
        glue = staticmethod(_glue)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if isinstance(left, Markup) or isinstance(right, Markup):
                raise _ValueError(f"`{operator}` works on values, not SQL: it stands outside of the braces.")
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            # A var may be called `items` or `values`, as a table's methods are.
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(_plain(obj), attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            return super().getitem(_plain(obj), argument)

    environment = Strict(
        undefined=_undefined(names),
        autoescape=True,
        finalize=writer.value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # A name that were quoted while compiling would be a mark of this writer in the code of all others.
        optimized=False,
        bytecode_cache=_compiled(marked=marked),
        extensions=[marks()] if marked else [],
    )
    given = environment.filters
    environment.filters = {
        **{name: given[name] for name in ITEM_FILTERS},
        **{name: _of_values(given[name]) for name in VALUE_FILTERS},
        "join": _join,
        "ident": writer.identifier,
    }
    environment.globals = {name: environment.globals[name] for name in ("range", "dict", "namespace")}
    environment.globals |= {"col": writer.column, "fail": _fail}
    return environment


@cache
def _compiled(*, marked: bool) -> Any:  # noqa: ARG001 - one cache for each
    """Compiled templates by file, for as long as the file stays as it is: macros serve many views of many projects."""
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        """Keeps code in memory."""

        def __init__(self) -> None:
            self._kept: dict[str, tuple[str, Any]] = {}

        def load_bytecode(self, bucket: Any) -> None:
            checksum, code = self._kept.get(bucket.key, ("", None))
            if checksum == bucket.checksum:
                bucket.code = code

        def dump_bytecode(self, bucket: Any) -> None:
            self._kept[bucket.key] = (bucket.checksum, bucket.code)

    return Compiled()


def _fail(message: str) -> None:
    raise _ValueError(message)


def _undefined(names: Mapping[str, object]) -> Any:
    """Jinja's strict undefined, with an error that says what there is instead."""
    from jinja2 import StrictUndefined, UndefinedError
    from jinja2.utils import missing

    class MissingError(UndefinedError):
        """A name that is not there."""

        def __init__(self, message: str | None = None, *, hint: str = "") -> None:
            super().__init__(message)
            self.hint = hint

    class Undefined(StrictUndefined):
        """A name that is not there, and may be asked only whether it is."""

        def __init__(
            self,
            hint: str | None = None,
            obj: Any = missing,
            name: str | None = None,
            exc: Any = UndefinedError,
        ) -> None:
            if exc is UndefinedError and hint is None and name is not None:
                said, advice = _missing(str(name), obj, names=names, absent=obj is missing)
                hint, exc = said, partial(MissingError, hint=advice)
            super().__init__(hint, obj, name, exc)

    return Undefined


def _missing(name: str, holder: object, *, names: Mapping[str, object], absent: bool) -> tuple[str, str]:
    """What to say of a name that is not there, and what there is."""
    given = names["vars"]
    variables = [f"vars.{key}" for key in given] if isinstance(given, Mapping) else []
    if absent or holder is given:
        full = name if absent else f"vars.{name}"
        known = [*names, *variables] if absent else variables
        close = get_close_matches(full, known, n=1) or get_close_matches(f"vars.{name}", variables, n=1)
        listed = f"Defined are: {', '.join(known)}. " if known else ""
        hint = f"{listed}A project's own values stand under [vars] in project.toml."
        return f"{full!r} is not defined.", (f"Did you mean {close[0]}? " if close else "") + hint
    if isinstance(holder, Mapping):
        known = [str(key) for key in holder]
    else:
        known = [key for key in getattr(holder, "__dict__", ()) if not key.startswith("_")]
    close = get_close_matches(name, known, n=1)
    listed = f"There are: {', '.join(known)}." if known else ""
    return f"{name!r} is not defined there.", (f"Did you mean {close[0]}? " if close else "") + listed


@cache
def _engine_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def written(value: object) -> Markup:
        _defined(value)
        return value if isinstance(value, Markup) else Markup(literal(value, "duckdb"))  # noqa: S704 - quoted

    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in sorted(ENGINE.glob("*/sql"))]),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=written,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ident"] = lambda name: Markup(ident(str(name), "duckdb"))  # noqa: S704 - quoted
    environment.filters["sql"] = Markup  # the engine's own SQL, never a value
    return environment
