"""``project.toml`` to a :class:`Project`, or every error at once, each with its file and line."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.build import build_project
from engine.config.connection_strings import brace_login, unreadable_after
from engine.config.consistency import check_consistency
from engine.config.document import document_model
from engine.config.masking import has_variable, secret_texts, written_secrets
from engine.config.secret_names import is_secret_name
from engine.config.secret_store import REFERENCE, read_secret
from engine.config.toml_lines import TomlLines
from engine.config.toml_text import parse_toml
from engine.config.validation_messages import describe_problem, is_synthetic
from engine.config.values import STOCK2SHOP_URL, InvalidValueError
from engine.config.variables import LOGIN_KEY, VARIABLE, environment_name, read_variables
from engine.config.workspace import discover
from engine.errors import ConfigError, Diagnostic, OutsideWorkspaceError, ProjectError, UsageError
from engine.files import WorkspaceFiles, is_file, list_paths, unreadable
from engine.model.fields import ENTITIES
from engine.text import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from engine.model.settings import Project


PLACEHOLDER_LENGTH = 16
"""The least length of what stands for a variable without a value: that of the longest string that a rule asks for."""


def load(
    name: str,
    *,
    workspace: Path,
    environ: Mapping[str, str],
    offline: bool | Collection[str] = False,
    lenient: Collection[str] = (),
    files: Path | None = None,
) -> Project:
    """Read the project ``name``, or the one in the folder that ``name`` is a path of.

    Variables come from ``environ``, else from ``.env`` in the project's folder, else from the workspace's. With
    ``offline`` each stands for itself, so that ``${NAME}`` is the text NAME on every machine: for what neither
    connects nor sends. As the names of tables, it holds in these: reading the source needs no Stock2Shop login.
    In the tables ``lenient`` a variable that has no value is a warning, and stands for itself. With ``files`` its
    ``project.toml``, views, statements and tests are those of another folder; all else is as it is, such as the
    ``.env`` and a database file that is named from the project's folder.
    Raises :class:`ProjectError` with everything that is wrong.
    """
    if name in discover(workspace):
        # By its exact name: where the file system takes ACME for acme, the state would be another's.
        root = workspace / "projects" / name
    elif is_file(Path(name) / "project.toml"):
        root = Path(name).resolve()
    else:
        raise ProjectError([_unknown(name, workspace)])
    path = (files or root) / "project.toml"
    reader = _ProjectReader(path, root, workspace=workspace, environ=environ, offline=offline, lenient=lenient)
    return reader.read()


def _unknown(name: str, workspace: Path) -> Diagnostic:
    hidden = workspace / "projects" / name / "project.toml.txt"
    if is_file(hidden):
        return Diagnostic(path=hidden, message=f"There is no project {name!r}.", hint=_ending_hint(hidden))
    names = discover(workspace)
    close = get_close_matches(name, names, n=1)
    known = f"There are: {', '.join(names)}." if names else f"Create it with `s2s init {name}`."
    return Diagnostic(
        message=f"There is no project {name!r} in {workspace / 'projects'}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + known,
    )


def _ending_hint(path: Path) -> str:
    return f"There is {path.name}, whose last ending Windows does not show: rename it to {path.stem}."


class _ProjectReader:
    """Reads one ``project.toml``, and gathers what is wrong with it on the way.

    A place in the document is a tuple of keys, such as ``("stock2shop", "password")``.
    """

    def __init__(
        self,
        path: Path,
        base: Path,
        *,
        workspace: Path,
        environ: Mapping[str, str],
        offline: bool | Collection[str],
        lenient: Collection[str],
    ) -> None:
        self._path = path
        self._root = path.parent
        self._base = base
        self._workspace = workspace
        self._environ = environ
        self._offline_tables = offline
        self._lenient_tables = lenient
        self._diagnostics: list[Diagnostic] = []
        self._secrets: set[str] = set()
        self._values: set[str] = set()
        self._unfilled: set[tuple[str, ...]] = set()
        self._placeholders: set[tuple[str, ...]] = set()
        self._stand_ins: set[str] = set()
        self._source_unknown = False
        self._variables: dict[str, str] = {}

    def read(self) -> Project:
        """The project. Raises :class:`ProjectError` with everything that is wrong.

        1. Read the ``.env`` files, the file's text and its TOML.
        2. Warn of passwords that are written in it.
        3. Fill in the variables.
        4. Check each value, then those that depend on others.
        5. Build the settings.
        """
        if self._offline_tables is not True:
            self._variables, problems = read_variables(self._base, workspace=self._workspace, environ=self._environ)
            self._diagnostics += problems
        text, data = self._toml()
        self._lines = TomlLines(text)
        self._warn_of_passwords(data)
        stock2shop = data.get("stock2shop")
        if self._is_offline(("stock2shop",)) and isinstance(stock2shop, dict) and stock2shop.get("source_id") == 0:
            stock2shop["source_id"] = 1  # `s2s init` writes 0 for "not known yet", and nothing is sent
        data = self._filled(data, ())
        document = self._validated(data)
        views = tuple(name for name in ENTITIES if self._has_view(name))
        misnamed = self._misnamed_views()
        for at, message, hint in check_consistency(data, (*views, *misnamed)):
            self._report(at, message, hint)
        diagnostics = sorted(self._diagnostics, key=lambda each: each.line or 0)
        if document is None or any(each.severity == "error" for each in diagnostics):
            raise ProjectError([self._without_values(each) for each in diagnostics])
        project = build_project(
            document, self._root, base=self._base, workspace=self._workspace, environ=self._environ, views=views
        )
        if self._source_unknown:
            project = replace(project, stock2shop=replace(project.stock2shop, source_id=0))
        return replace(
            project,
            secrets=tuple(sorted(self._secrets)),
            variable_values=tuple(sorted(self._values)),
            warnings=tuple(self._without_values(each) for each in diagnostics),
        )

    def _without_values(self, diagnostic: Diagnostic) -> Diagnostic:
        """A diagnostic without what variables hold: a branch may name any of them."""
        path = diagnostic.path
        return replace(
            diagnostic,
            message=mask_secrets(diagnostic.message, self._values),
            hint=mask_secrets(diagnostic.hint, self._values),
            path=path if path in {None, self._path} else Path(mask_secrets(str(path), self._values)),
        )

    def _is_offline(self, at: tuple[str, ...]) -> bool:
        """Whether the variables at a place are replaced by their own names."""
        return self._offline_tables if isinstance(self._offline_tables, bool) else at[0] in self._offline_tables

    def _report(self, at: tuple[str, ...], message: str, hint: str = "", *, warning: bool = False) -> None:
        self._diagnostics.append(
            Diagnostic(
                path=self._path,
                line=self._lines.of(at),
                severity="warning" if warning else "error",
                message=message,
                hint=hint,
            )
        )

    def _toml(self) -> tuple[str, dict[str, Any]]:
        """The text of project.toml, and what it says."""
        files = WorkspaceFiles.of(self._workspace, self._root)
        try:
            text = files.read_utf8(self._path).replace("\r\n", "\n")
            return text, parse_toml(text, path=self._path)
        except OSError as error:
            raise ProjectError(
                [Diagnostic(path=self._path, message=f"The file cannot be read: {error.strerror}.")]
            ) from None
        except OutsideWorkspaceError:
            raise
        except ConfigError as error:
            raise ProjectError(error.diagnostics) from None

    def _warn_of_passwords(self, data: dict[str, Any]) -> None:
        """Warn of each password that is written in the file itself, even if only a part of it."""
        for at, value in _strings(data):
            written = written_secrets(value, at)
            if written:
                # One with a variable in it is a secret once that is filled in.
                self._secrets.update(each.replace("$${", "${") for each in written if not has_variable(each))
                self._report(
                    at,
                    f"A password is written in {'.'.join(at)}, where git keeps it.",
                    "Write ${NAME} there, and NAME=… in the project's .env.",
                    warning=True,
                )

    def _filled(self, value: Any, at: tuple[str, ...]) -> Any:
        """``value`` with its variables filled in."""
        if isinstance(value, dict):
            return {key: self._filled(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, at) for item in value]
        if not isinstance(value, str):
            return value
        filled = VARIABLE.sub(lambda found: self._value_of(found, value, at), value)
        if at == ("stock2shop", "url") and self._is_offline(at) and filled != value:
            return STOCK2SHOP_URL
        if self._is_offline(at):
            return filled
        self._secrets.update(text for text in secret_texts(filled, at) if text and text not in self._stand_ins)
        if at[-1] == "connection":
            last = unreadable_after(filled)
            if last is not None and at not in self._unfilled:
                self._report(
                    at,
                    f"The connection cannot be read {f'behind {last}=' if last else 'from its beginning'}.",
                    "It is NAME=value;NAME=value. A value with ; or { in it must be in braces, {like;this}, and a } in"
                    " there is written twice. A password that is a variable, PWD=${NAME}, needs none of that.",
                )
        return filled

    def _value_of(self, found: re.Match[str], text: str, at: tuple[str, ...]) -> str:
        """What a match of :data:`VARIABLE` in ``text`` becomes."""
        if found["name"] is None:
            return "${"
        stored = REFERENCE.fullmatch(found["name"]) if found["end"] else None
        if stored is not None:
            return self._stored(stored, found, text, at)
        name = self._known_name(found["name"])
        if not found["end"] or not re.fullmatch(r"[A-Za-z_]\w*", name):
            self._unfilled.add(at)
            wrong = f"${{{name}}} is not a variable's name." if found["end"] else f"${{{name} has no closing brace."
            self._report(at, wrong, "Write $${ for the text ${ itself.")
            return ""
        if self._is_offline(at):
            return self._placeholder(name, at)
        missing = name not in self._variables
        if missing or (not self._variables[name] and found[0] == text):
            lenient = at[0] in self._lenient_tables
            self._report(
                at,
                f"The variable {name} is not set." if missing else f"The variable {name} is empty.",
                f"Set it in the environment, or write {name}=… in {self._base / '.env'}.{self._dotenv_hint()}",
                warning=lenient,
            )
            if lenient:
                return self._placeholder(name, at)
            self._unfilled.add(at)
            return ""
        value = self._variables[name]
        if value and LOGIN_KEY.search(at[-1]):
            self._secrets.add(value)
        return self._filled_in(value, found, text, at)

    def _filled_in(self, value: str, found: re.Match[str], text: str, at: tuple[str, ...]) -> str:
        """A variable's value as it stands in ``text``."""
        self._values.add(value)
        if at[-1] == "connection":
            return brace_login(value, before=text[: found.start()], after=text[found.end() :])
        return value

    def _stored(self, stored: re.Match[str], found: re.Match[str], text: str, at: tuple[str, ...]) -> str:
        """The secret of the system's store that ``found`` in ``text`` names; only commands that connect read it."""
        if self._is_offline(at) or at[0] in self._lenient_tables:
            return self._placeholder(f"{stored['project']}_{stored['name']}", at)
        try:
            value = read_secret(stored["project"], stored["name"])
        except UsageError as error:
            self._report(at, error.message, error.hint)
            value = ""
        else:
            if not value:
                self._report(
                    at,
                    f"The system's store holds no {stored['project']}/{stored['name']} for this account.",
                    f"Write it with `s2s secret set {stored['project']} {stored['name'].upper()}`, as the account that"
                    " runs s2s.",
                )
        if not value:
            self._unfilled.add(at)
            return ""
        self._secrets.add(value)
        return self._filled_in(value, found, text, at)

    def _placeholder(self, name: str, at: tuple[str, ...]) -> str:
        """What stands for a variable without a value; long enough for any rule."""
        self._placeholders.add(at)
        text = name.ljust(PLACEHOLDER_LENGTH, "_") if is_secret_name(at[-1]) else name
        self._stand_ins.add(text)
        return text

    def _dotenv_hint(self) -> str:
        hidden = self._base / ".env.txt"
        return f" {_ending_hint(hidden)}" if is_file(hidden) else ""

    def _known_name(self, name: str) -> str:
        """The variable's name as it is known."""
        upper = environment_name(name)
        return upper if upper in self._variables and name not in self._variables else name

    def _validated(self, data: dict[str, Any]) -> Any:
        """The document, or None where a value breaks a rule, which is reported."""
        from pydantic import ValidationError

        try:
            return document_model().model_validate(data)
        except ValidationError as error:
            problems = [
                (tuple(str(part) for part in each["loc"] if not is_synthetic(part)), each) for each in error.errors()
            ]
            if any(self._drop_placeholder(at, data) for at, _ in problems):
                return self._validated(data)
            for at, problem in problems:
                if at in self._unfilled:
                    continue
                cause = problem.get("ctx", {}).get("error")
                found = cause.problems if isinstance(cause, InvalidValueError) else [describe_problem(problem, at)]
                for message, hint in found:
                    self._report(at, message, hint)
            return None

    def _drop_placeholder(self, at: tuple[str, ...], data: dict[str, Any]) -> bool:
        """Whether a placeholder at a place that takes no string was replaced: by a number, or the key's default."""
        if at not in self._placeholders:
            return False
        self._placeholders.remove(at)
        table = data
        for name in at[:-1]:
            table = table[name]
        if at == ("stock2shop", "source_id"):
            table[at[-1]] = 1
            self._source_unknown = not self._is_offline(at)
        elif isinstance(table, dict):
            table.pop(at[-1], None)
        return True

    def _misnamed_views(self) -> list[str]:
        """Report views that were saved as ``products.sql.txt``, unless there are ones without that ending, too."""
        names = []
        paths: list[Path] = []
        with suppress(OSError):  # a folder whose files may be read, but not listed
            paths = list_paths(self._root / "views", "*.sql.txt")
        for path in paths:
            if not is_file(path.with_suffix("")):
                self._diagnostics.append(
                    Diagnostic(path=path, message="This is not read as a view.", hint=_ending_hint(path))
                )
                names.append(path.name.partition(".")[0])
        return names

    def _has_view(self, entity: str) -> bool:
        path = self._root / "views" / f"{entity}.sql"
        try:
            return is_file(path)
        except OSError as error:
            raise ProjectError([unreadable(path, error, folder="views")]) from None


def _strings(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string in tables and lists, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, (*at, key))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, at)
    elif isinstance(value, str):
        yield at, value
