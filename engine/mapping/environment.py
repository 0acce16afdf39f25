"""environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic, RenderError
from engine.files import is_file
from engine.mapping.placeholders import UnwritableValueError, plain_value, require_defined
from engine.mapping.source_map import marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from engine.mapping.placeholders import ValueWriter

VALUE_FILTERS = frozenset(
    {"abs", "capitalize", "float", "int", "lower", "replace", "round", "string", "title", "trim", "upper"}
)
"""Jinja's filters that work on a text or a number. SQL is neither."""

ITEM_FILTERS = frozenset(
    {"batch", "count", "d", "default", "dictsort", "first", "groupby", "items", "last", "length", "list", "map", "max"}
    | {"min", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "sort", "sum", "unique"}
)
"""Jinja's filters that hand items on as they are. The filters in neither list make Markup of values, or vary."""


def template_loader(name: str, view: Path, folders: tuple[Path, ...], used: list[Path]) -> Any:
    """Return Jinja's loader for one view: ``name`` is the file ``view``, any other name a ``.sql`` file of ``folders``.

    The folders are searched in order. Each file that is read is added to ``used``.
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
            # Editors on Windows write a byte-order mark, which is no SQL.
            return file.read_bytes().decode("utf-8-sig"), str(file), lambda: True
        except UnicodeDecodeError as error:
            line = file.read_bytes()[: error.start].count(b"\n") + 1
            fault = Diagnostic(path=file, line=line, message="The file is not UTF-8.", hint="Save it as UTF-8.")
        except OSError as error:
            fault = _unreadable(error, file)
        raise RenderError([fault])

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
    return (f"Did you mean {close[0]}? " if close else "") + f"There are: {', '.join(known)}."


def _glue(parts: tuple[object, ...]) -> str:
    """What ``~`` does: join texts, and refuse SQL."""
    from markupsafe import Markup

    for part in parts:
        require_defined(part)
        if isinstance(part, Markup):
            raise UnwritableValueError("`~` glues texts, never SQL. Write SQL parts beside each other, or use `||`.")
    return "".join(map(str, parts))


def _join(value: Iterable[object], d: object = "") -> str:
    """The filter ``join``, of texts only: Jinja's own would make SQL of a value that stands beside SQL."""
    return str(plain_value(d)).join([str(plain_value(item)) for item in value])


def _of_values(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``filter_`` see values only."""

    @wraps(filter_)
    def checked(*arguments: object, **named: object) -> Any:
        for argument in (*arguments, *named.values()):
            plain_value(argument)
        return filter_(*arguments, **named)

    return checked


def view_environment(writer: ValueWriter, *, names: Mapping[str, object], marked: bool = False) -> Environment:
    """Return the sandboxed Jinja environment of a view: values go to ``writer``, which returns placeholders for them.

    ``names`` are the template's variables, listed in the error for an undefined one. With ``marked``, the rendered text
    also holds the marks that :class:`engine.mapping.source_map.SourceMap` reads.
    """
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
                raise UnwritableValueError(f"`{operator}` works on values, not SQL: it stands outside of the braces.")
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            # A var may be called `items` or `values`, as a table's methods are.
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(plain_value(obj), attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            return super().getitem(plain_value(obj), argument)

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
    raise UnwritableValueError(message)


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
