"""The Jinja environment of views: sandboxed, strict, and with SQL and values kept apart.

Jinja's own rules are changed where they would let a value become SQL: ``~``, ``+``, filters and attributes refuse SQL,
``autoescape`` cannot be switched off, and an undefined name is an error that lists what is defined.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, RenderError
from engine.files import is_file, not_utf8
from engine.mapping.limits import RenderLimits
from engine.mapping.placeholders import (
    InvalidVariableError,
    TemplateFailedError,
    UnwritableValueError,
    plain_value,
    require_defined,
)
from engine.mapping.source_map import marking_extension

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from engine.files import WorkspaceFiles
    from engine.mapping.placeholders import ValueWriter

VALUE_FILTERS = frozenset(
    {"abs", "capitalize", "float", "int", "lower", "replace", "round", "string", "title", "trim", "upper"}
)
"""Jinja's filters that work on a text or a number. SQL is neither."""

ITEM_FILTERS = frozenset(
    {"batch", "count", "d", "default", "dictsort", "first", "groupby", "items", "last", "length", "list", "map", "max"}
    | {"min", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "sort", "sum", "unique"}
)
"""Jinja's filters that return items as they are. Those in neither list make Markup of values, or are not
deterministic."""


def named_templates(text: str) -> set[str] | None:
    """The names of the templates that a template's ``text`` includes, imports or extends.

    None where it computes one of them, or cannot be parsed.
    """
    import jinja2
    from jinja2.meta import find_referenced_templates

    if "{%" not in text:
        return set()
    try:
        names = set(find_referenced_templates(jinja2.Environment(autoescape=False).parse(text)))  # noqa: S701 - of SQL
    except (jinja2.TemplateSyntaxError, RecursionError):
        return None
    found = {name for name in names if name is not None}
    return found if len(found) == len(names) else None


def template_loader(
    name: str, view: Path, folders: tuple[Path, ...], used: list[Path], *, files: WorkspaceFiles
) -> Any:
    """Return Jinja's loader for one view: ``name`` is the file ``view``, any other name a ``.sql`` file of ``folders``.

    The folders are searched in order. ``files`` reads what is found. Each file that is read is added to ``used``.
    """
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
            content = files.read(file)
            # Editors on Windows write a byte-order mark, which is not SQL.
            return content.decode("utf-8-sig"), str(file), lambda: True
        except UnicodeDecodeError as error:
            problem = not_utf8(file, content, error)
        except OSError as error:
            problem = _unreadable(error, file)
        raise RenderError([problem])

    return jinja2.FunctionLoader(read)


def _unreadable(error: OSError, path: Path) -> Diagnostic:
    return Diagnostic(path=Path(error.filename or path), message=f"The file cannot be read: {error.strerror}.")


def filter_hint(message: str, environment: Environment) -> str:
    """Return a hint for Jinja's error of an unknown filter or test: what exists instead. Empty for another message."""
    found = re.fullmatch(r"No (filter|test) named '(\w+)'\.?", message)
    if not found:
        return ""
    known = sorted(environment.filters if found[1] == "filter" else environment.tests)
    close = get_close_matches(found[2], known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"These exist: {', '.join(known)}."


def plain_text(value: object) -> str:
    """Return a value as text; a Decimal without an exponent, as ``100`` and not ``1E+2``."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _keep_charset(value: object, charset: str) -> str | None:
    """Do what the filter ``charset`` does: keep the characters of a text that a column's character set can hold.

    What it cannot hold is taken apart where Unicode has parts for it, as the ligature fi, and left out otherwise.
    ``utf8mb3`` is MySQL's UTF-8 without characters such as emoji. Raises for a character set that is not known.
    """
    if value is None:
        return None
    codec = "utf-8" if charset.lower() in {"utf8mb3", "utf8"} else charset
    try:
        codecs.lookup(codec)
    except LookupError:
        hint = "charset() takes a name such as latin1, cp1252 or utf8mb3"
        raise UnwritableValueError(f"{charset!r} is no character set that is known here: {hint}.") from None
    kept = []
    for letter in plain_text(value):
        parts = (letter, *unicodedata.normalize("NFKD", letter))
        fitting = [part for part in parts if _fits(part, codec, basic=codec != charset)]
        kept.append(letter if letter in fitting[:1] else "".join(fitting))
    return "".join(kept)


def _fits(letter: str, codec: str, *, basic: bool) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return not basic or ord(letter) <= 0xFFFF  # noqa: PLR2004 - the end of Unicode's basic plane


def _concatenate(parts: tuple[object, ...]) -> str:
    """Do what ``~`` does: join texts. Raises for SQL."""
    from markupsafe import Markup

    for part in parts:
        require_defined(part)
        if isinstance(part, Markup):
            raise UnwritableValueError("`~` joins texts, not SQL. Write SQL parts beside each other, or use `||`.")
    return "".join(map(plain_text, parts))


def _join(value: Iterable[object], d: object = "") -> str:
    """Do what the filter ``join`` does, for texts only: Jinja's own makes SQL of a value that stands beside SQL."""
    return str(plain_value(d)).join([plain_text(plain_value(item)) for item in value])


def _reject_sql(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``filter_``, raising where one of its arguments is SQL."""

    @wraps(filter_)
    def checked(*arguments: object, **named: object) -> Any:
        for argument in (*arguments, *named.values()):
            plain_value(argument)
        return filter_(*arguments, **named)

    return checked


def _limit_filter(name: str, filter_: Callable[..., Any], limits: RenderLimits) -> Callable[..., Any]:
    """Return ``filter_``, raising where it would make a text or list that is too long."""

    @wraps(filter_)
    def checked(*arguments: Any, **named: Any) -> Any:
        given = [each for each in (*arguments, *named.values()) if not hasattr(each, "autoescape")]
        if name == "join":
            given[0] = list(given[0])
            limits.joined(given[0])
            limits.text_call(str(given[1]) if given[1:] else "", name, (given[0],))
            return filter_(*given)
        limits.text_call(str(given[0]), name, tuple(given[1:]))
        return filter_(*arguments, **named)

    return checked


def view_environment(writer: ValueWriter, *, names: Mapping[str, object], with_markers: bool = False) -> Environment:
    """Return the sandboxed Jinja environment of a view: values go to ``writer``, which returns placeholders for them.

    ``names`` are the template's variables, listed in the error for an undefined one. With ``with_markers``, the
    rendered text also holds the markers that :class:`engine.mapping.source_map.SourceMap` reads.
    """
    from jinja2 import nodes
    from jinja2.compiler import CodeGenerator
    from jinja2.sandbox import SandboxedEnvironment
    from markupsafe import Markup

    limits = RenderLimits()

    class Generator(CodeGenerator):
        """Compiles templates so that SQL and values stay apart."""

        def _output_child_to_const(self, node: Any, frame: Any, finalize: Any) -> str:
            # Jinja escapes a constant, which makes Markup of it, before finalize could tell it from SQL.
            if not isinstance(node, nodes.TemplateData):
                raise nodes.Impossible
            return str(super()._output_child_to_const(node, frame, finalize))

        def visit_Concat(self, node: Any, frame: Any) -> None:  # noqa: N802 - Jinja's name
            self.write("environment.concatenate((")
            for part in node.nodes:
                self.visit(part, frame)
                self.write(", ")
            self.write("))")

        def visit_For(self, node: Any, frame: Any) -> None:  # noqa: N802 - Jinja's name
            counted = nodes.Call(nodes.EnvironmentAttribute("loop_limit"), [node.iter], [], None, None)
            node.iter = counted.set_lineno(node.lineno)
            super().visit_For(node, frame)

        def visit_ScopedEvalContextModifier(self, node: Any, frame: Any) -> None:  # noqa: ARG002, N802 - Jinja's
            self.fail("`autoescape` tells SQL from values and cannot be switched off.", node.lineno)

    class Strict(SandboxedEnvironment):
        """An environment in which values and SQL do not mix."""

        code_generator_class = Generator
        intercepted_binops = frozenset({"+", "%", "*", "**"})
        loop_limit = staticmethod(limits.loop)
        restart_limits = staticmethod(limits.restart)
        concat = staticmethod(limits.output)

        @staticmethod
        def concatenate(parts: tuple[object, ...]) -> str:
            limits.joined(parts)
            return _concatenate(parts)

        def call(self, context: Any, function: Any, *arguments: Any, **named: Any) -> Any:
            limits.call(function, (*arguments, *named.values()))
            return super().call(context, function, *arguments, **named)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            limits.operation(operator, left, right)
            if operator in {"+", "%"} and (isinstance(left, Markup) or isinstance(right, Markup)):
                raise UnwritableValueError(f"`{operator}` works on values, not on SQL: write it outside of the braces.")
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            # A var may be called `items` or `values`, as a table's methods are.
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            if isinstance(obj, str) and attribute in {"format", "format_map"}:
                limits.text_call(obj, attribute, ())
            return super().getattr(plain_value(obj), attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            return super().getitem(plain_value(obj), argument)

    environment = Strict(
        undefined=_undefined(names),
        autoescape=True,
        finalize=limits.counted(writer.value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # A name quoted at compile time would put this writer's placeholder into compiled code that others share.
        optimized=False,
        bytecode_cache=_template_cache(with_markers=with_markers),
        extensions=[marking_extension()] if with_markers else [],
    )
    environment.filters = _filters(environment.filters, writer, limits)
    environment.globals = {name: environment.globals[name] for name in ("range", "dict", "namespace")}
    environment.globals |= {"col": writer.column, "fail": _fail, "var": partial(_variable, names["vars"])}
    return environment


def _filters(known: Mapping[str, Callable[..., Any]], writer: ValueWriter, limits: RenderLimits) -> dict[str, Any]:
    """Return the filters of a view, from those that Jinja has."""
    found: dict[str, Any] = {
        **{name: known[name] for name in ITEM_FILTERS},
        **{name: _reject_sql(known[name]) for name in VALUE_FILTERS},
        "join": _join,
        "charset": _reject_sql(_keep_charset),
        "ident": writer.identifier,
    }
    return found | {name: _limit_filter(name, found[name], limits) for name in ("batch", "slice", "replace", "join")}


@cache
def _template_cache(*, with_markers: bool) -> Any:  # noqa: ARG001 - one cache for each
    """Return a cache of compiled templates, by file and content: many views of many projects share the same macros."""
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        """Keeps compiled templates in memory."""

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
    raise TemplateFailedError(message)


VARIABLE_KINDS = {
    "text": "a text",
    "number": "a whole number",
    "table": 'a table such as { 2 = "Trade" }',
    "names": 'a list such as ["JHB"], or a table such as { JHB = "Johannesburg" }',
}
"""The kinds of a template's variable, as an error names them."""


def _variable(variables: object, name: str, default: object, kind: str) -> object:
    """Return ``vars.name``, or ``default`` where it is not set: the function ``var``.

    Raises :class:`InvalidVariableError` where the value is not of ``kind``, a key of :data:`VARIABLE_KINDS`.
    """
    value = variables.get(name, default) if isinstance(variables, Mapping) else default
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    plain = isinstance(value, (str, int)) and not isinstance(value, bool)
    valid = {
        "text": plain,
        "number": plain and re.fullmatch(r"\s*\d+\s*", str(value), re.ASCII) is not None,
        "table": isinstance(value, Mapping),
        "names": items is not None,
    }[kind]
    if not valid or any(isinstance(item, (bool, list, Mapping)) or not str(item).strip() for item in items or ()):
        raise InvalidVariableError(name, f"vars.{name} must be {VARIABLE_KINDS[kind]}, not {value!r}.")
    return value


def _undefined(names: Mapping[str, object]) -> Any:
    """Return Jinja's strict undefined type, with an error that lists what is defined."""
    from jinja2 import StrictUndefined, UndefinedError
    from jinja2.utils import missing

    class MissingError(UndefinedError):
        """A template uses a name that is not defined."""

        def __init__(self, message: str | None = None, *, hint: str = "") -> None:
            super().__init__(message)
            self.hint = hint

    class Undefined(StrictUndefined):
        """An undefined name: only ``is defined`` and ``default`` may use it."""

        def __init__(
            self,
            hint: str | None = None,
            obj: Any = missing,
            name: str | None = None,
            exc: Any = UndefinedError,
        ) -> None:
            if exc is UndefinedError and hint is None and name is not None:
                message, advice = _describe_missing(str(name), obj, names=names, absent=obj is missing)
                hint, exc = message, partial(MissingError, hint=advice)
            super().__init__(hint, obj, name, exc)

    return Undefined


def _describe_missing(name: str, holder: object, *, names: Mapping[str, object], absent: bool) -> tuple[str, str]:
    """Return the message for an undefined name, and a hint that lists what is defined.

    ``holder`` is what the name was looked up in; ``absent`` that it was none, so that the name is a variable.
    """
    given = names["vars"]
    variables = [f"vars.{key}" for key in given] if isinstance(given, Mapping) else []
    if absent or holder is given:
        full = name if absent else f"vars.{name}"
        known = [*names, *variables] if absent else variables
        close = get_close_matches(full, known, n=1) or get_close_matches(f"vars.{name}", variables, n=1)
        listed = f"These are defined: {', '.join(known)}. " if known else ""
        hint = f"{listed}A project's own values stand under [vars] in project.toml."
        return f"{full!r} is not defined.", (f"Did you mean {close[0]}? " if close else "") + hint
    if isinstance(holder, Mapping):
        known = [str(key) for key in holder]
    else:
        known = [key for key in getattr(holder, "__dict__", ()) if not key.startswith("_")]
    close = get_close_matches(name, known, n=1)
    listed = f"These exist: {', '.join(known)}." if known else ""
    return f"{name!r} is not defined there.", (f"Did you mean {close[0]}? " if close else "") + listed
