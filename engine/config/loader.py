"""``project.toml`` to a :class:`Project`, with every fault at once, each with its file and line."""

from __future__ import annotations

import codecs
import re
import sys
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from engine.errors import Fault, ProjectError
from engine.files import is_dir, is_file, listed, unseen
from engine.model.fields import ACTIVE_WORDS, ENTITIES
from engine.model.settings import (
    EntitySettings,
    Expect,
    Fresh,
    Limit,
    OrderSettings,
    Project,
    PullSettings,
    ReceiverSettings,
    SourceSettings,
    Stock2ShopSettings,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from engine.model.settings import Flag

DIALECTS = {
    "tsql": "tsql",
    "sqlserver": "tsql",
    "mssql": "tsql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgres": "postgres",
    "postgresql": "postgres",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "oracle": "oracle",
    "snowflake": "snowflake",
    "redshift": "redshift",
    "bigquery": "bigquery",
    "access": "access",
    "pervasive": "pervasive",
    "hana": "hana",
    "firebird": "firebird",
}
"""What a project may call its database's SQL, and the name that the engine goes by."""

FLAGS: tuple[Flag, ...] = ("Active", "Delete", "Ignore")
_VARIABLE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<name>[^{}]*)(?P<end>\}?)")
_SECRET = re.compile(r"(?i)(?:pwd|password)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{\s][^;]*)")
_WRITTEN = re.compile(r"""(?i)([\w-]*(?:password|token|secret)[\w-]*\s*=\s*)("(?!\$\{)[^"]+"|'(?!\$\{)[^']+')""")
_WRITTEN_IN_CONNECTION = re.compile(
    r"""(?i)\b((?:pwd|password)\s*=\s*)(?!\$\{)(\{(?:[^}]|\}\})*\}|[^;{}\s"'][^;"']*)"""
)
_SECRET_KEY = re.compile(r"(?i)password|username|connection|secret|token")
_LOGIN = re.compile(r"(?i)(?:^|;)\s*(?:uid|user|user id|username|pwd|password)\s*=\s*$")
_OPTION = re.compile(r"\s*(?P<name>[^=;{}]+?)\s*=\s*(?:\{(?:[^}]|\}\})*\}|[^;{][^;]*)?\s*(?:;|$)|\s*;|\s+$")
_URL = "https://app.stock2shop.com/v1"
_PATH = r"^/[\w./-]+$"
_ADDRESS = r"^([Hh][Tt]{2}[Pp][Ss]://[^@/]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/.*)?$"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def find_workspace(start: Path, *, environ: Mapping[str, str]) -> Path:
    """The nearest folder from ``start`` upwards that holds ``projects/``; ``S2S_WORKSPACE`` wins.

    Raises :class:`ProjectError` when there is none.
    """
    named = environ.get("S2S_WORKSPACE")
    if named:
        if is_dir(Path(named) / "projects"):
            return Path(named).resolve()
        raise ProjectError([Fault(message=f"S2S_WORKSPACE is {named}, which holds no projects/ folder.")])
    start = start.resolve()
    for folder in (start, *start.parents):
        if is_dir(folder / "projects"):
            return folder
    raise ProjectError(
        [
            Fault(
                message=f"There is no workspace here: neither {start} nor a folder above it holds projects/.",
                hint="Change to the workspace, name it with --workspace, or begin one with `s2s init NAME`.",
            )
        ]
    )


def discover(workspace: Path) -> tuple[str, ...]:
    """The names of the workspace's projects, sorted; one that may not be looked into fails when it is read."""
    return tuple(folder.name for folder in listed(workspace / "projects", "*") if _is_project(folder))


def _is_project(folder: Path) -> bool:
    try:
        return is_file(folder / "project.toml")
    except PermissionError:
        return True


def load(name: str, *, workspace: Path, environ: Mapping[str, str], offline: bool | Collection[str] = False) -> Project:
    """Read the project ``name``, or the one in the folder that ``name`` is a path of.

    Variables come from ``environ``, else from ``.env`` in the project's folder, else from the workspace's. With
    ``offline`` each stands for itself, so that ``${NAME}`` is the text NAME on every machine: for what neither
    connects nor sends. As the names of tables, it holds in these: who only reads the source needs no Stock2Shop.
    Raises :class:`ProjectError` with every fault that was found.
    """
    if name in discover(workspace):
        # By its exact name: where the file system takes ACME for acme, the state would be another's.
        root = workspace / "projects" / name
    elif is_file(Path(name) / "project.toml"):
        root = Path(name).resolve()
    else:
        raise ProjectError([_unknown(name, workspace)])
    path = root / "project.toml"
    return _Reading(path, workspace=workspace, environ=environ, offline=offline).project()


def schema() -> dict[str, Any]:
    """The JSON Schema of ``project.toml``, for editors."""
    made = _with_variables(_document().model_json_schema())
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "project.toml"
    return dict(made)


_AS_TEXT = {
    "integer": r"\$\{|^\s*[+-]?\d+(\.0+)?\s*$",
    "number": r"\$\{|^\s*[+-]?\d+(\.\d+)?\s*$",
    "boolean": r"\$\{|^([Tt]rue|[Ff]alse|yes|no|on|off|[01])$",
}
"""What a text may be where a number or a flag is wanted: ${NAME}, or the value in quotes."""


def _with_variables(node: Any) -> Any:
    """A schema in which ``${NAME}`` may stand for any value, as it may in ``project.toml``."""
    if isinstance(node, list):
        return [_with_variables(each) for each in node]
    if not isinstance(node, dict):
        return node
    beside = {key: node[key] for key in ("enum", "pattern") if "anyOf" in node and key in node}
    if beside:
        options = [{**each, **beside} if each.get("type") == "string" else each for each in node["anyOf"]]
        return _with_variables({**{key: node[key] for key in node if key not in beside}, "anyOf": options})
    kind = node.get("type")
    if kind in _AS_TEXT or (kind == "string" and ("enum" in node or "pattern" in node)):
        about = {key: node[key] for key in ("title", "description", "default") if key in node}
        core = {key: value for key, value in node.items() if key not in about}
        return {**about, "anyOf": [core, {"type": "string", "pattern": _AS_TEXT.get(kind, r"\$\{")}]}
    return {key: each if key == "propertyNames" else _with_variables(each) for key, each in node.items()}


def without_passwords(text: str) -> str:
    """Lines of a ``project.toml`` with ``***`` for the passwords and tokens that are written out in them."""
    return _WRITTEN_IN_CONNECTION.sub(r"\1***", _WRITTEN.sub(r'\1"***"', text))


def _unknown(name: str, workspace: Path) -> Fault:
    names = discover(workspace)
    close = get_close_matches(name, names, n=1)
    known = f"There are: {', '.join(names)}." if names else f"Begin it with `s2s init {name}`."
    return Fault(
        message=f"There is no project {name!r} in {workspace / 'projects'}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + known,
    )


def variables(
    root: Path, *, workspace: Path, environ: Mapping[str, str], faults: list[Fault] | None = None
) -> dict[str, str]:
    """What ``${NAME}`` may stand for in the project at ``root``: the environment over its .env over the workspace's.

    A file that cannot be read goes to ``faults``.
    """
    wrong: list[Fault] = [] if faults is None else faults
    found = {**_dotenv(workspace / ".env", wrong), **_dotenv(root / ".env", wrong)}
    return {**found, **{name: environ[_spelt(name)] for name in found if _spelt(name) in environ}, **environ}


def _spelt(name: str) -> str:
    """The name of a variable as the environment has it: in capitals on Windows, which takes it in any case."""
    return name.upper() if sys.platform == "win32" else name


def _dotenv(path: Path, faults: list[Fault]) -> dict[str, str]:
    """``NAME=value`` lines, ``#`` comments, and values in quotes; nothing where there is no file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        faults.append(Fault(path=path, message="The file is not UTF-8.", hint="Save it as UTF-8."))
        return {}
    except OSError as error:
        faults.append(Fault(path=path, message=f"The file cannot be read: {error.strerror}."))
        return {}
    found = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        name = name.removeprefix("export ").strip()
        if not separator or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found


class _Reading:
    """One reading of one ``project.toml``: its text, its variables and the faults found so far."""

    def __init__(
        self, path: Path, *, workspace: Path, environ: Mapping[str, str], offline: bool | Collection[str]
    ) -> None:
        self.path = path
        self.root = path.parent
        self.workspace = workspace
        self.environ = environ
        self._without = offline
        self.faults: list[Fault] = []
        self.secrets: set[str] = set()
        self.unfilled: set[tuple[str, ...]] = set()
        self.variables = (
            {} if offline is True else variables(self.root, workspace=workspace, environ=environ, faults=self.faults)
        )

    def offline(self, at: tuple[str, ...]) -> bool:
        """Whether the variables at a place stand for themselves."""
        return self._without if isinstance(self._without, bool) else at[0] in self._without

    def project(self) -> Project:
        text = self._text()
        data = self._toml(text)
        self.lines = _Lines(text)
        literal = self._literal_passwords(data)
        sent_to = data.get("stock2shop")
        if self.offline(("stock2shop",)) and isinstance(sent_to, dict) and sent_to.get("source_id") == 0:
            sent_to["source_id"] = 1  # nothing is sent, so a source without its number is no fault yet
        data = self._fill(data, ())
        document = self._validated(data)
        self._consistent(data)
        if document is not None and not self.faults:
            return replace(self._built(document), warnings=literal)
        raise ProjectError(sorted(self.faults, key=lambda fault: fault.line or 0))

    def fault(self, at: tuple[str, ...], message: str, hint: str = "") -> None:
        self.faults.append(Fault(path=self.path, line=self.lines.of(at), message=message, hint=hint))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise ProjectError(
                [Fault(path=self.path, message="The file is not UTF-8.", hint="Save it as UTF-8.")]
            ) from None
        except OSError as error:
            raise ProjectError([Fault(path=self.path, message=f"The file cannot be read: {error.strerror}.")]) from None

    def _toml(self, text: str) -> dict[str, Any]:
        import tomli

        try:
            return tomli.loads(text)
        except tomli.TOMLDecodeError as error:
            message = re.sub(r" \(at .*\)$", "", str(error))
            raise ProjectError(
                [
                    Fault(
                        path=self.path,
                        line=getattr(error, "lineno", None),
                        column=getattr(error, "colno", None),
                        message=f"This is not TOML: {message}.",
                        hint="A Windows path needs \\\\ for each \\, or single quotes: 'C:\\ERP'."
                        if "escape" in message or "hex" in message
                        else 'Texts stand in double quotes: key = "value".',
                    )
                ]
            ) from None

    def _literal_passwords(self, data: dict[str, Any]) -> tuple[Fault, ...]:
        found = []
        for at, value in _texts(data):
            said = [value] if at[-1:] == ("password",) else _passwords(value) if at[-1:] == ("connection",) else []
            written = [text for text in said if not any(part["name"] is not None for part in _VARIABLE.finditer(text))]
            if written:
                self.secrets.update(text.replace("$${", "${") for text in written)
                found.append(
                    Fault(
                        path=self.path,
                        line=self.lines.of(at),
                        severity="warning",
                        message=f"A password is written in {'.'.join(at)}, where git keeps it.",
                        hint="Write ${NAME} there, and NAME=… in the project's .env.",
                    )
                )
        return tuple(found)

    def _known(self, name: str) -> str:
        """The variable's name as it is known."""
        return _spelt(name) if _spelt(name) in self.variables and name not in self.variables else name

    def _fill(self, value: Any, at: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, at) for item in value]
        if not isinstance(value, str):
            return value
        secret = bool(_SECRET_KEY.search(at[-1]))

        def variable(found: re.Match[str]) -> str:
            if found["name"] is None:
                return "${"
            name = self._known(found["name"])
            if not found["end"] or (name not in self.variables and not self.offline(at)):
                self.unfilled.add(at)
            if not found["end"]:
                self.fault(at, f"${{{name} has no closing brace.", "Write $${ for the text ${ itself.")
                return ""
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                self.fault(at, f"${{{name}}} is no variable's name.", "Write $${ for the text ${ itself.")
                return ""
            if self.offline(at):
                return name
            if name not in self.variables:
                self.fault(
                    at,
                    f"The variable {name} is not set.",
                    f"Set it in the environment, or write {name}=… in {self.root / '.env'}.",
                )
                return ""
            if not self.variables[name] and found[0] == value:
                self.unfilled.add(at)
                self.fault(at, f"The variable {name} is empty.", f"Give it a value in {self.root / '.env'}.")
            elif secret and self.variables[name]:
                self.secrets.add(self.variables[name])
            text = self.variables[name]
            return _login(text, value[: found.start()], value[found.end() :]) if at[-1] == "connection" else text

        filled = _VARIABLE.sub(variable, value)
        if at == ("stock2shop", "url") and self.offline(at) and filled != value:
            return _URL
        if at[-1] == "connection" and not self.offline(at):
            self.secrets.update(_passwords(filled))
            self._readable(filled, at)
        return filled

    def _readable(self, connection: str, at: tuple[str, ...]) -> None:
        """Options that a driver would read differently from what is meant; their values are not told."""
        position, last = 0, ""
        while found := _OPTION.match(connection, position):
            if found.end() == position:
                break
            position, last = found.end(), found["name"] or last
        if position < len(connection) and at not in self.unfilled:
            self.fault(
                at,
                f"The connection cannot be read {f'behind {last}=' if last else 'from its beginning'}.",
                "It is NAME=value;NAME=value. A value with ; or { in it stands in braces, {like;this}, and a } in there"
                " is written twice. A password that is a variable, PWD=${NAME}, needs none of that.",
            )

    def _validated(self, data: dict[str, Any]) -> Any:
        from pydantic import ValidationError

        try:
            return _document().model_validate(data)
        except ValidationError as error:
            for problem in error.errors():
                at = tuple(str(part) for part in problem["loc"] if not _synthetic(part))
                if at in self.unfilled:
                    continue
                broken = problem.get("ctx", {}).get("error")
                for said in broken.faults if isinstance(broken, _BrokenError) else [_said(problem, at)]:
                    self.fault(at, *said)
            return None

    def _consistent(self, data: dict[str, Any]) -> None:
        """The rules that look at more than one key."""
        source = data.get("source")
        if isinstance(source, dict):
            if ("connection" in source) == ("database" in source):
                self.fault(
                    ("source",),
                    "A source needs either `connection` or `database`.",
                    "connection is an ODBC connection string; database is a DuckDB or SQLite file.",
                )
            elif "database" in source and DIALECTS.get(str(source.get("dialect"))) not in {"duckdb", "sqlite", None}:
                self.fault(
                    ("source", "dialect"),
                    f"A `database` file is read as DuckDB or SQLite, not as {source['dialect']}.",
                    'Write dialect = "duckdb" or "sqlite", or a `connection` instead of the file.',
                )
        self._consistent_orders(data.get("orders"))
        if "orders" not in data and not any(name in data or self._has_view(name) for name in ENTITIES):
            self.fault(
                (),
                "The project syncs nothing.",
                f"Write views/products.sql, or one of the tables {', '.join(f'[{name}]' for name in ENTITIES)}.",
            )

    def _consistent_orders(self, orders: Any) -> None:
        if not isinstance(orders, dict):
            return
        if ("connection" in orders) == ("database" in orders):
            self.fault(
                ("orders",),
                "Orders need either `connection` or `database`: a login that may write.",
                "It is another login than that of [source], which only reads.",
            )
        serve = orders.get("serve")
        if isinstance(serve, dict):
            shut = "token" in serve or ("username" in serve and "password" in serve)
            if str(serve.get("host", "127.0.0.1")) not in _LOOPBACK and not shut:
                self.fault(
                    ("orders", "serve", "host"),
                    "Whoever reaches this address could raise orders.",
                    'Give a token: token = "${ORDERS_TOKEN}", or username and password.',
                )
            if ("tls_certificate" in serve) != ("tls_key" in serve):
                self.fault(("orders", "serve"), "TLS needs both tls_certificate and tls_key.")

    def _view(self, entity: str) -> Path:
        return self.root / "views" / f"{entity}.sql"

    def _has_view(self, entity: str) -> bool:
        try:
            return is_file(self._view(entity))
        except OSError as error:
            raise ProjectError([unseen(self._view(entity), error, folder="views")]) from None

    def _built(self, document: Any) -> Project:
        folder = Path(self.environ.get("S2S_STATE") or self.workspace / ".state")
        return Project(
            name=self.root.name,
            root=self.root,
            workspace=self.workspace,
            description=document.project.description,
            source=self._source(document.source),
            stock2shop=Stock2ShopSettings(**document.stock2shop.model_dump()),
            entities={
                name: self._entity(name, getattr(document, name) or _entity_tables()[name]())
                for name in ENTITIES
                if getattr(document, name) is not None or self._has_view(name)
            },
            vars=document.vars,
            state=folder / f"{self.root.name}.duckdb",
            keep_days=document.history.keep_days,
            tests=document.tests,
            orders=None if document.orders is None else self._orders(document),
            secrets=tuple(sorted(self.secrets)),
        )

    def _orders(self, document: Any) -> OrderSettings:
        table = document.orders
        values = table.model_dump(exclude={"connection", "database", "dialect", "session", "serve", "pull"})
        own = {"connection": table.connection, "database": None if not table.database else self.root / table.database}
        source = replace(
            self._source(document.source),
            **own,
            dialect=DIALECTS[table.dialect or document.source.dialect],
            session=tuple(table.session),
        )
        receiver = table.serve.model_dump()
        for name in ("tls_certificate", "tls_key"):
            receiver[name] = None if receiver[name] is None else self.root / receiver[name]
        values["tolerance"] = Decimal(str(table.tolerance))
        return OrderSettings(
            source=source,
            receiver=ReceiverSettings(**receiver),
            pull=PullSettings(**table.pull.model_dump()),
            **values,
        )

    def _source(self, table: Any) -> SourceSettings:
        values = table.model_dump()
        values["dialect"] = DIALECTS[table.dialect]
        values["session"] = tuple(table.session)
        values["database"] = None if table.database is None else self.root / table.database
        return SourceSettings(**values)

    def _entity(self, name: str, table: Any) -> EntitySettings:
        own: dict[str, Any] = {}
        missing = table.missing
        if name == "customers":
            own = {"path": table.path, "search_path": table.search_path}
        else:
            names = [*table.option_names, *(f"Option {n}" for n in range(len(table.option_names) + 1, 4))]
            own = {
                "linked": table.linked,
                "option_names": (names[0], names[1], names[2]),
                "default_price_tier": table.default_price_tier,
            }
            if table.linked and "missing" not in table.model_fields_set:
                # What another source owns is not removed because this one has no more to say of it.
                missing = "keep"
        return EntitySettings(
            name=name,
            view=self.root / table.view if table.view else self._view(name),
            missing=missing,
            max_deletes=table.max_deletes or Limit(share=0.1),
            max_changes=table.max_changes or Limit(share=0.5, floor=100),
            min_rows=table.min_rows,
            active=table.active or ACTIVE_WORDS,
            expect=_expect(table.expect),
            **own,
        )


def _expect(table: Any) -> Expect:
    if table is None:
        return Expect()
    return Expect(
        min_rows=table.min_rows,
        not_null=tuple(table.not_null),
        accepted_values={name: tuple(values) for name, values in table.accepted_values.items()},
        fresh=Fresh(column=table.fresh.column, hours=table.fresh.hours) if table.fresh else None,
        severity=table.severity,
    )


def _passwords(connection: str) -> list[str]:
    """The passwords in a connection string, in braces and without them."""
    found = [text.strip() for text in _SECRET.findall(connection)]
    return found + [text[1:-1].replace("}}", "}") for text in found if text.startswith("{")]


def _login(text: str, before: str, after: str) -> str:
    """A variable's value in a connection string; in braces where it is a user or a password that needs them."""
    whole = _LOGIN.search(before) and (not after or after.startswith(";"))
    if not whole or not re.search(r"[;{}]|^\s|\s$", text) or re.fullmatch(r"\{(?:[^}]|\}\})*\}", text):
        return text
    return "{" + text.replace("}", "}}") + "}"


class _BrokenError(ValueError):
    """A value breaks a rule; ``faults`` are messages and hints, which reach the user as they are."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__(faults[0][0])
        self.faults = faults


def _close(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1)
    return next((f"Did you mean {name}? " for name in known if close and name.lower() == close[0]), "")


def _codec(word: str | None) -> str | None:
    if word is not None:
        try:
            codecs.lookup(word)
        except LookupError:
            raise _BrokenError(
                (f"{word!r} is no encoding that Python knows.", 'Such as "utf-8", "cp1252" or "utf-16le".')
            ) from None
    return word


def _dialect(word: str) -> str:
    if word not in DIALECTS:
        raise _BrokenError(
            (f"{word!r} is no dialect that s2s knows.", f"{_close(word, DIALECTS)}Known are: {', '.join(DIALECTS)}.")
        )
    return word


def _optional_dialect(word: str | None) -> str | None:
    return None if word is None else _dialect(word)


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown one is a KeyError, a folder an OSError
        raise _BrokenError((f"{name!r} is no time zone.", 'Write one such as "Africa/Johannesburg".')) from None
    return name


def _address(text: str) -> str:
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in {"http", "https"} or not host:
        raise _BrokenError(("This is no web address.", "Leave it out for Stock2Shop's own."))
    if "@" in url.netloc:
        raise _BrokenError(
            ("The address holds a user name.", "Write it as username and password, and ${NAME} for each.")
        )
    if url.scheme == "http" and host not in _LOOPBACK:
        raise _BrokenError(("Plain http would send the password readable by others.", "Write https://."))
    return text


def _path(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(_PATH, text):
        raise _BrokenError((f"{text!r} is no path below Stock2Shop's address.", 'Write it as "/customers/queue".'))
    return text


def _vocabulary(table: dict[str, list[str]]) -> dict[str, Flag]:
    """The default words with the project's own over them, in lower case and trimmed."""
    faults: list[tuple[str, str]] = []
    said: dict[str, Flag] = {}
    for name, words in table.items():
        flag = next((flag for flag in FLAGS if flag == name), None)
        if flag is None:
            faults.append((f"{name!r} is none of Active, Delete and Ignore.", _close(name, FLAGS).strip()))
            continue
        for word in words:
            other = said.setdefault(word.strip().lower(), flag)
            if other != flag:
                faults.append((f"The word {word!r} stands under {other} and under {flag}.", "Keep one of them."))
    if faults:
        raise _BrokenError(*faults)
    return {**ACTIVE_WORDS, **said}


def _limit(value: object, *, floor: int) -> Limit:
    """A guard's limit: 250, ``"10%"``, or ``{ share = "10%", floor = 20 }``."""
    wrong = _BrokenError(
        (f"{value!r} is neither a number of rows nor a share.", 'Write 250, "10%" or { share = "10%", floor = 20 }.')
    )
    if isinstance(value, dict):
        floor = value.get("floor", floor)
        share = value.get("share")
        if set(value) - {"share", "floor"} or type(floor) is not int or floor < 0 or not isinstance(share, str):
            raise wrong
        value = share
    if type(value) is int and value >= 0:
        return Limit(rows=value)
    percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if percent and float(percent[1]) <= 100:  # noqa: PLR2004 - per cent
        return Limit(share=float(percent[1]) / 100, floor=floor)
    rows = re.fullmatch(r"\s*\d+\s*", value) if isinstance(value, str) else None
    if rows:
        return Limit(rows=int(rows[0]))
    raise wrong


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise _BrokenError((f"{str(value).lower()} stands where a number is wanted.", ""))
    return value


def _said(problem: Mapping[str, Any], at: tuple[str, ...]) -> tuple[str, str]:
    kind, name = problem["type"], ".".join(at)
    if kind == "extra_forbidden":
        table = _table(at[:-1])
        known = tuple(table.model_fields) if table else ()
        close = get_close_matches(at[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known here are: {', '.join(known)}." if known else ""
        what = f"table [{name}]" if len(at) == 1 else f"key {name}"
        return f"There is no {what}.", hint
    table = _table(at[:-1])
    field = table.model_fields.get(at[-1]) if table and at else None
    about = (field.description if field else "") or ""
    if kind == "missing":
        return f"The table [{name}] is missing." if len(at) == 1 else f"{name} is missing.", about
    if kind == "string_too_short" and problem["input"]:
        return f"{name} is shorter than {problem['ctx']['min_length']} characters.", about
    if kind == "string_too_short":
        return f"{name} is blank.", about
    said = _WANTED.get(kind) or str(problem["msg"]).removeprefix("Input should be ")
    return f"{name} should be {said}.", about


_WANTED = {
    "model_type": "a table",
    "dict_type": "a table",
    "list_type": "a list in brackets",
    "too_long": "a shorter list",
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""What pydantic's kinds of error ask for, in words of TOML."""


def _table(at: tuple[str, ...]) -> Any:
    table = _document()
    for part in at:
        field = table.model_fields.get(part)
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        table = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if table is None:
            return None
    return table


def _synthetic(part: object) -> bool:
    """Whether pydantic, not the file, put this part into a location: an index, or that it is about a key."""
    return isinstance(part, int) or part == "[key]"


@cache
def _entity_tables() -> dict[str, Any]:
    from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

    share: Any = {"type": "string", "pattern": r"^\s*(\d+|(100(\.0+)?|\d{1,2}(\.\d+)?)\s*%)\s*$"}
    table: Any = {
        "type": "object",
        "properties": {"share": share, "floor": {"type": "integer", "minimum": 0}},
        "required": ["share"],
        "additionalProperties": False,
    }
    spelling = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, share, table]})
    words: Any = {"type": "array", "items": {"type": "string"}}
    vocabulary = WithJsonSchema(
        {"type": "object", "properties": dict.fromkeys(FLAGS, words), "additionalProperties": False}
    )

    below: Any = {"pattern": _PATH}

    number = BeforeValidator(_no_flag)

    class FreshTable(BaseModel):
        """How old the newest value of a column may be."""

        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
        column: str = Field(min_length=1, description="A column of the view that holds a time.")
        hours: Annotated[float, number] = Field(gt=0, description="Hours; a time without a zone is UTC.")

    class ExpectTable(BaseModel):
        """What must hold of the entity's sound, Active rows."""

        model_config = ConfigDict(extra="forbid")
        min_rows: Annotated[int | None, number] = Field(None, ge=0, description="There are at least so many rows.")
        not_null: list[str] = Field(default_factory=list, description="Columns that are never blank.")
        accepted_values: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
            default_factory=dict, description="The values that a column may have; blank is left to not_null."
        )
        fresh: FreshTable | None = Field(None, description='{ column = "…", hours = 24 }, checked on live rows only.')
        severity: Literal["error", "warning"] = Field("error", description="error stops the entity, warning is a note.")

    class EntityTable(BaseModel):
        """What all entities have in common."""

        model_config = ConfigDict(extra="forbid")
        view: str | None = Field(
            None,
            description="The view's file, from the project's folder; otherwise the entity's in views/.",
        )
        missing: Literal["delete", "keep"] = Field(
            "delete", description="What to do with keys gone from the view. A linked source keeps them unless told."
        )
        max_deletes: Annotated[Any, BeforeValidator(partial(_limit, floor=10)), spelling] = Field(
            None,
            description='The most removals a run: 250, or "10%" of what is published but at least 10, or'
            ' { share = "10%", floor = 20 }. Without it "10%".',
        )
        max_changes: Annotated[Any, BeforeValidator(partial(_limit, floor=100)), spelling] = Field(
            None,
            description='The most inserts and updates a run: 250, or "50%" of what is published but at least 100, or'
            ' { share = "50%", floor = 200 }. Without it "50%". A first load is not limited.',
        )
        min_rows: Annotated[int, BeforeValidator(_no_flag)] = Field(
            1, ge=0, description="Fewer rows from the view than this stop the run."
        )
        active: Annotated[dict[str, list[str]], AfterValidator(_vocabulary), vocabulary] = Field(
            default_factory=dict, description="The flag's words: { Active = [...], Delete = [...], Ignore = [...] }."
        )
        expect: ExpectTable | None = Field(
            None,
            description="What must hold of the rows: { min_rows, not_null, accepted_values, fresh, severity }.",
        )

    class ProductsTable(EntityTable):
        """Products: their view, their flag's vocabulary and their guards."""

        linked: bool = Field(default=False, description="The source only enriches products that another one owns.")
        option_names: list[str] = Field(
            default_factory=list, max_length=3, description="Names of options that the view does not name."
        )
        default_price_tier: str | None = Field(None, description="The tier that gives the default price.")

    class CustomersTable(EntityTable):
        """Customers: their view, their flag's vocabulary and their guards."""

        path: Annotated[str, AfterValidator(_path)] = Field(
            "/customers/queue",
            description="Where Stock2Shop queues customers. It is not public: confirm it with Stock2Shop.",
            json_schema_extra=below,
        )
        search_path: Annotated[str | None, AfterValidator(_path)] = Field(
            None,
            description="Where Stock2Shop reads customers back, for adopt and verify. None is public.",
            json_schema_extra=below,
        )

    return {"products": ProductsTable, "customers": CustomersTable}


@cache
def _document() -> Any:
    from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

    strict = ConfigDict(extra="forbid", allow_inf_nan=False)
    # What _consistent and _consistent_orders say, for editors.
    either: Any = {"oneOf": [{"required": ["connection"]}, {"required": ["database"]}]}
    file: Any = {"dependentSchemas": {"database": {"properties": {"dialect": {"enum": ["duckdb", "sqlite"]}}}}}
    tls: Any = {"dependentRequired": {"tls_certificate": ["tls_key"], "tls_key": ["tls_certificate"]}}
    by_number: Any = {"propertyNames": {"pattern": r"^\d+$"}}
    number = BeforeValidator(_no_flag)

    class ProjectTable(BaseModel):
        """What the project is."""

        model_config = strict
        description: str = Field("", description="Who the client is, for people.")

    class SourceTable(BaseModel):
        """How to reach the client's database."""

        model_config = ConfigDict(**strict, json_schema_extra={**either, **file})
        dialect: Annotated[str, AfterValidator(_dialect)] = Field(
            description='How the views are written, such as "tsql" or "mysql".',
            json_schema_extra={"enum": list(DIALECTS)},
        )
        connection: str | None = Field(
            None, min_length=1, description="The ODBC connection string of a read-only login."
        )
        database: str | None = Field(
            None, min_length=1, description="A DuckDB or SQLite file, from the project's folder."
        )
        encoding: Annotated[str | None, AfterValidator(_codec)] = Field(
            None, description="How texts are sent to the driver."
        )
        decoding: Annotated[str | None, AfterValidator(_codec)] = Field(
            None, description="How the driver's narrow texts are read."
        )
        wide_decoding: Annotated[str | None, AfterValidator(_codec)] = Field(
            None, description="How the driver's wide texts are read."
        )
        attributes: dict[int, Annotated[int, number]] = Field(
            default_factory=dict, description="ODBC connection attributes by number.", json_schema_extra=by_number
        )
        session: list[str] = Field(default_factory=list, description="Statements to run once after connecting.")
        connect_timeout: Annotated[int, number] = Field(15, ge=1, description="Seconds.")
        query_timeout: Annotated[int, number] = Field(
            600, ge=1, description="Seconds to wait for the first rows, and for the next ones each time."
        )
        batch_rows: Annotated[int, number] = Field(2_000, ge=1, le=100_000, description="Rows fetched at a time.")

    class Stock2ShopTable(BaseModel):
        """How to reach Stock2Shop."""

        model_config = strict
        source_id: Annotated[int, number] = Field(ge=1, description="The source's number in the Stock2Shop console.")
        username: str = Field(min_length=1, description='Write "${S2S_USER}" and set it in .env.')
        password: str = Field(min_length=1, description='Write "${S2S_PASSWORD}" and set it in .env.')
        url: Annotated[str, AfterValidator(_address)] = Field(
            _URL, description="Stock2Shop's address.", json_schema_extra={"pattern": _ADDRESS}
        )
        pace: Annotated[float, number] = Field(1.0, ge=0, description="Requests a second; 0 for no limit.")
        batch_variants: Annotated[int, number] = Field(500, ge=1, le=500, description="Variants a request.")
        connect_timeout: Annotated[float, number] = Field(10.0, gt=0, description="Seconds.")
        read_timeout: Annotated[float, number] = Field(120.0, gt=0, description="Seconds.")
        retries: Annotated[int, number] = Field(6, ge=0, description="How often a failing request is tried again.")
        deadline: Annotated[float | None, number] = Field(
            None, gt=0, description="Seconds after which a run stops between two batches."
        )

    class HistoryTable(BaseModel):
        """What is remembered."""

        model_config = strict
        keep_days: Annotated[int, number] = Field(
            90, ge=1, description="History and resolved quarantine older than this are dropped."
        )

    severities: Any = dict[str, Literal["error", "warning"]]

    class ChannelTable(BaseModel):
        """What differs for the orders of one channel."""

        model_config = strict
        warehouse: str | None = Field(None, description="The warehouse's code.")
        sales_rep: str | None = Field(None, description="The sales representative's code.")
        document_type: str | None = Field(None, description="Such as order, invoice or quotation.")
        customer: str | None = Field(None, description="The customer of orders that have none.")

    class ServeTable(BaseModel):
        """How `s2s orders serve` listens."""

        model_config = ConfigDict(**strict, json_schema_extra=tls)
        host: str = Field("127.0.0.1", description="The address; anything but this machine's own needs a token.")
        port: Annotated[int, number] = Field(8058, ge=0, le=65535, description="The port.")
        token: str | None = Field(None, min_length=16, description='The bearer token. Write "${ORDERS_TOKEN}".')
        username: str | None = Field(None, min_length=1, description="For basic authentication instead.")
        password: str | None = Field(None, min_length=8, description="For basic authentication instead.")
        tls_certificate: str | None = Field(None, description="A PEM file, from the project's folder.")
        tls_key: str | None = Field(None, description="A PEM file, from the project's folder.")
        max_body: Annotated[int, number] = Field(2_000_000, ge=1_000, description="The largest order in bytes.")

    class PullTable(BaseModel):
        """Where `s2s orders pull` asks for orders and answers them. Not public: confirm it with Stock2Shop."""

        model_config = strict
        instructions: str = Field("add_order", description="The instruction that marks an order in the queue.")
        status: str | None = Field(None, description="Only items with this status.")
        limit: Annotated[int, number] = Field(100, ge=1, le=1000, description="Orders asked for at a time.")
        offset: str = Field(
            "offset", description='The parameter that says how many orders to leave out; "" asks for one page only.'
        )
        document: tuple[str, ...] = Field(
            ("data", "system_order"), description="The keys of a queue item of which the first has the order."
        )
        answer_path: Annotated[str, AfterValidator(_path)] = Field(
            "/orders/sources",
            description="Where the source's order code goes.",
            json_schema_extra={"pattern": _PATH},
        )

    class OrdersTable(BaseModel):
        """How orders are raised."""

        model_config = ConfigDict(**strict, json_schema_extra=either)
        connection: str | None = Field(
            None, min_length=1, description="The ODBC connection string of a read-write login."
        )
        database: str | None = Field(
            None, min_length=1, description="A DuckDB or SQLite file, from the project's folder."
        )
        dialect: Annotated[str | None, AfterValidator(_optional_dialect)] = Field(
            None, description="Where it is not the source's.", json_schema_extra={"enum": list(DIALECTS)}
        )
        session: list[str] = Field(default_factory=list, description="Statements to run once after connecting.")
        default_customer: str | None = Field(None, description="The customer of orders that have none.")
        create_customer: bool = Field(default=False, description="Run orders/customer.sql for one that is not there.")
        shipping_item: str | None = Field(
            None, description="The item code of shipping lines; without it they are left out."
        )
        warehouse: str | None = Field(None, description="The warehouse's code.")
        sales_rep: str | None = Field(None, description="The sales representative's code.")
        document_type: str | None = Field(None, description="Such as order, invoice or quotation.")
        channels: dict[int, ChannelTable] = Field(
            default_factory=dict, description="What differs by channel id.", json_schema_extra=by_number
        )
        known_channels_only: bool = Field(default=False, description="Let orders of other channels wait.")
        tax_codes: dict[str, str] = Field(
            default_factory=dict,
            description='The codes of the database: { taxed = "1", exempt = "0" }, or by tax code.',
        )
        prices: Literal["excluding", "including"] = Field("excluding", description="What `line.price` is.")
        stock: Literal["allow", "refuse", "backorder"] = Field(
            "allow", description="When orders/stock.sql shows too little: raise, let wait, or mark the line."
        )
        repeated_skus: Literal["allow", "merge", "refuse"] = Field(
            "allow", description="When a SKU stands on two lines: raise both, add them up, or let wait."
        )
        timezone: Annotated[str, AfterValidator(_zone)] = Field(
            "UTC", description="The zone of the dates that are raised."
        )
        tolerance: Annotated[float, number] = Field(0.05, ge=0, description="By how much totals may differ.")
        keep_days: Annotated[int, number] = Field(
            30, ge=1, description="Documents of finished orders are dropped then."
        )
        serve: ServeTable = Field(default_factory=lambda: ServeTable.model_validate({}))
        pull: PullTable = Field(default_factory=lambda: PullTable.model_validate({}))

    entities: Any = {name: (table | None, None) for name, table in _entity_tables().items()}
    return create_model(
        "Document",
        __config__=strict,
        project=(ProjectTable, Field(default_factory=lambda: ProjectTable.model_validate({}))),
        source=(SourceTable, Field(description="The table [source] says how to reach the client's database.")),
        stock2shop=(Stock2ShopTable, Field(description="The table [stock2shop] says how to reach Stock2Shop.")),
        vars=(dict[str, Any], Field(default_factory=dict, description="Values for the views.")),
        orders=(OrdersTable | None, None),
        history=(HistoryTable, Field(default_factory=lambda: HistoryTable.model_validate({}))),
        tests=(
            severities,
            Field(default_factory=dict, description='How grave a failed data test is: no_free_items = "warning".'),
        ),
        **entities,
    )


def _texts(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*at, key))
    elif isinstance(value, str):
        yield at, value


class _Lines:
    """Where each table and key of a TOML text stands. TOML parsers do not say; headers and keys are easy to see."""

    _HEADER = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]")
    _KEY = re.compile(r"""^\s*(?P<name>"[^"]+"|'[^']+'|[\w-]+(?:\s*\.\s*[\w-]+)*)\s*=""")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        inside = ""
        for number, line in enumerate(text.split("\n"), 1):
            if inside:
                # A line of a text over several lines is neither header nor key.
                inside = "" if line.count(inside) % 2 else inside
                continue
            inside = next((quotes for quotes in ('"""', "'''") if line.count(quotes) % 2), "")
            header, key = self._HEADER.match(line), self._KEY.match(line)
            if header:
                table = tuple(part.strip(" \"'") for part in header["name"].split("."))
                self._found.setdefault(table, number)
            elif key:
                names = tuple(part.strip(" \"'") for part in key["name"].split("."))
                self._found.setdefault((*table, *names), number)

    def of(self, at: tuple[str, ...]) -> int | None:
        """The line of the longest part of ``at`` that is written out."""
        while at:
            if at in self._found:
                return self._found[at]
            at = at[:-1]
        return None
