"""``project.toml`` to a :class:`Project`, with every fault at once, each with its file and line."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from engine.contract import ACTIVE_WORDS, ENTITIES
from engine.errors import Fault, ProjectError
from engine.model import EntitySettings, Limit, Project, SourceSettings, Stock2ShopSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model import Flag

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
_VARIABLE = re.compile(r"\$(?:\$\{[^}]*\}|\{(?P<name>[^}]*)\})")
_SECRET = re.compile(r"(?i)(?:pwd|password)\s*=\s*(?!\$\{)([^;{}\s][^;]*)")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def find_workspace(start: Path, *, environ: Mapping[str, str]) -> Path:
    """The nearest folder from ``start`` upwards that holds ``projects/``; ``S2S_WORKSPACE`` wins.

    Raises :class:`ProjectError` when there is none.
    """
    named = environ.get("S2S_WORKSPACE")
    if named:
        if (Path(named) / "projects").is_dir():
            return Path(named).resolve()
        raise ProjectError([Fault(message=f"S2S_WORKSPACE is {named}, which holds no projects/ folder.")])
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "projects").is_dir():
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
    """The names of the workspace's projects, sorted."""
    return tuple(sorted(path.parent.name for path in (workspace / "projects").glob("*/project.toml")))


def load(name: str, *, workspace: Path, environ: Mapping[str, str]) -> Project:
    """Read the project ``name``, or the one in the folder that ``name`` is a path of.

    Variables come from ``environ``, else from ``.env`` in the project's folder, else from the workspace's. Raises
    :class:`ProjectError` with every fault that was found.
    """
    root = workspace / "projects" / name
    if not (root / "project.toml").is_file() and (Path(name) / "project.toml").is_file():
        root = Path(name).resolve()
    path = root / "project.toml"
    if not path.is_file():
        raise ProjectError([_unknown(name, workspace)])
    return _Reading(path, workspace=workspace, environ=environ).project()


def schema() -> dict[str, Any]:
    """The JSON Schema of ``project.toml``, for editors."""
    made = _document().model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "project.toml"
    return dict(made)


def _unknown(name: str, workspace: Path) -> Fault:
    names = discover(workspace)
    close = get_close_matches(name, names, n=1)
    known = f"There are: {', '.join(names)}." if names else f"Begin it with `s2s init {name}`."
    return Fault(
        message=f"There is no project {name!r} in {workspace / 'projects'}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + known,
    )


class _Reading:
    """One reading of one ``project.toml``: its text, its variables and the faults found so far."""

    def __init__(self, path: Path, *, workspace: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.root = path.parent
        self.workspace = workspace
        self.environ = environ
        self.faults: list[Fault] = []
        self.secrets: set[str] = set()
        self.variables = {**_dotenv(workspace / ".env"), **_dotenv(self.root / ".env"), **environ}

    def project(self) -> Project:
        text = self._text()
        data = self._toml(text)
        self.lines = _Lines(text)
        literal = self._literal_passwords(data)
        data = self._fill(data, ())
        document = self._validated(data)
        if document is not None:
            made = self._built(document)
            if not self.faults:
                return replace(made, warnings=literal)
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
                        hint="Texts stand in double quotes; a Windows path needs \\\\ or single quotes: 'C:\\ERP'.",
                    )
                ]
            ) from None

    def _literal_passwords(self, data: dict[str, Any]) -> tuple[Fault, ...]:
        found = []
        for at, value in _texts(data):
            secret = "${" not in value and at[-1:] == ("password",)
            if secret or (at[-1:] == ("connection",) and _SECRET.search(value)):
                self.secrets.update([value] if secret else _SECRET.findall(value))
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

    def _fill(self, value: Any, at: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, at) for item in value]
        if not isinstance(value, str):
            return value
        secret = at[-1] in {"connection", "password", "username"}

        def variable(found: re.Match[str]) -> str:
            name = found["name"]
            if name is None:
                return found[0][1:]
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                self.fault(at, f"${{{name}}} is no variable's name.", "Write $${ for the text ${ itself.")
                return ""
            if name not in self.variables:
                self.fault(
                    at,
                    f"The variable {name} is not set.",
                    f"Set it in the environment, or write {name}=… in {self.root / '.env'}.",
                )
                return ""
            if secret and self.variables[name]:
                self.secrets.add(self.variables[name])
            return self.variables[name]

        return _VARIABLE.sub(variable, value)

    def _validated(self, data: dict[str, Any]) -> Any:
        from pydantic import ValidationError

        try:
            return _document().model_validate(data)
        except ValidationError as error:
            for problem in error.errors():
                at = tuple(str(part) for part in problem["loc"] if not _synthetic(part))
                self.fault(at, *_said(problem, at))
            return None

    def _built(self, document: Any) -> Project:
        source = self._source(document.source)
        entities = {
            name: self._entity(name, getattr(document, name) or _entity_table()())
            for name in ENTITIES
            if getattr(document, name) is not None or (self.root / "views" / f"{name}.sql").is_file()
        }
        if not entities:
            self.fault(
                (),
                "The project syncs nothing.",
                f"Write views/products.sql, or one of the tables {', '.join(f'[{name}]' for name in ENTITIES)}.",
            )
        remote = document.stock2shop
        url = urlsplit(remote.url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            self.fault(("stock2shop", "url"), "This is no web address.", "Leave it out for Stock2Shop's own.")
        elif url.scheme == "http" and url.hostname not in _LOOPBACK:
            self.fault(
                ("stock2shop", "url"), "Plain http would send the password readable by others.", "Write https://."
            )
        folder = Path(self.environ.get("S2S_STATE") or self.workspace / ".state")
        return Project(
            name=self.root.name,
            root=self.root,
            workspace=self.workspace,
            description=document.project.description,
            source=source,
            stock2shop=Stock2ShopSettings(**remote.model_dump()),
            entities=entities,
            vars=document.vars,
            state=folder / f"{self.root.name}.duckdb",
            keep_days=document.history.keep_days,
            secrets=tuple(sorted(self.secrets)),
        )

    def _source(self, table: Any) -> SourceSettings:
        if (table.connection is None) == (table.database is None):
            self.fault(
                ("source",),
                "A source needs either `connection` or `database`.",
                "connection is an ODBC connection string; database is a DuckDB or SQLite file.",
            )
        if table.dialect not in DIALECTS:
            close = get_close_matches(table.dialect, DIALECTS, n=1)
            self.fault(
                ("source", "dialect"),
                f"{table.dialect!r} is no dialect that s2s knows.",
                (f"Did you mean {close[0]}? " if close else "") + f"Known are: {', '.join(DIALECTS)}.",
            )
        values = table.model_dump()
        values["dialect"] = DIALECTS.get(table.dialect, table.dialect)
        values["attributes"] = {int(number): value for number, value in table.attributes.items()}
        values["session"] = tuple(table.session)
        values["database"] = None if table.database is None else self.root / table.database
        return SourceSettings(**values)

    def _entity(self, name: str, table: Any) -> EntitySettings:
        active: dict[str, Flag] = dict(ACTIVE_WORDS)
        said: dict[str, str] = {}
        for flag, words in table.active.items():
            if flag not in FLAGS:
                close = get_close_matches(flag.capitalize(), FLAGS, n=1)
                self.fault(
                    (name, "active"),
                    f"{flag!r} is none of Active, Delete and Ignore.",
                    f"Did you mean {close[0]}?" if close else "",
                )
                continue
            for word in words:
                key = word.strip().lower()
                if said.setdefault(key, flag) != flag:
                    self.fault((name, "active"), f"The word {word!r} stands under {said[key]} and under {flag}.")
                active[key] = flag
        names = [*table.option_names, *(f"Option {n}" for n in range(len(table.option_names) + 1, 4))]
        return EntitySettings(
            name=name,
            view=self.root / (table.view or f"views/{name}.sql"),
            missing=table.missing,
            max_deletes=self._limit(table.max_deletes, Limit(share=0.1), (name, "max_deletes")),
            max_changes=self._limit(table.max_changes, Limit(share=0.5, floor=100), (name, "max_changes")),
            min_rows=table.min_rows,
            active=active,
            linked=table.linked,
            option_names=(names[0], names[1], names[2]),
            default_price_tier=table.default_price_tier,
        )

    def _limit(self, value: int | str | None, default: Limit, at: tuple[str, ...]) -> Limit:
        if value is None:
            return default
        if isinstance(value, int):
            return Limit(rows=value)
        share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value)
        if not share:
            self.fault(at, f"{value!r} is neither a number of rows nor a share.", 'Write 250, or "10%".')
            return default
        return replace(default, share=float(share[1]) / 100)


def _said(problem: Mapping[str, Any], at: tuple[str, ...]) -> tuple[str, str]:
    kind, name = problem["type"], ".".join(at)
    if kind == "extra_forbidden":
        table = _table(at[:-1])
        known = tuple(table.model_fields) if table else ()
        close = get_close_matches(at[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known here are: {', '.join(known)}." if known else ""
        what = f"table [{name}]" if len(at) == 1 else f"key {name}"
        return f"There is no {what}.", hint
    if kind == "missing":
        table = _table(at[:-1])
        about = table.model_fields[at[-1]].description if table and at[-1] in table.model_fields else ""
        return f"{name} is missing.", about or ""
    message = str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{name} should be {message}.", ""


def _table(at: tuple[str, ...]) -> Any:
    document = _document()
    if not at:
        return document
    field = document.model_fields.get(at[0])
    kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
    return next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


def _synthetic(part: object) -> bool:
    """Whether pydantic, not the file, put this part into a location: an index, or the branch of a union."""
    return isinstance(part, int) or part in {"int", "str", "float", "constrained-str", "constrained-int"}


@cache
def _entity_table() -> Any:
    from pydantic import BaseModel, ConfigDict, Field, StrictInt

    class EntityTable(BaseModel):
        """One entity: its view, its flag's vocabulary and its guards."""

        model_config = ConfigDict(extra="forbid")
        view: str | None = Field(None, description="The view's file, from the project's folder.")
        missing: Literal["delete", "keep"] = Field("delete", description="What to do with keys gone from the view.")
        max_deletes: StrictInt | str | None = Field(None, description='The most removals a run, as 250 or "10%".')
        max_changes: StrictInt | str | None = Field(None, description='The most inserts and updates, as 250 or "50%".')
        min_rows: int = Field(1, ge=0, description="Fewer rows from the view than this stop the run.")
        active: dict[str, list[str]] = Field(
            default_factory=dict, description="The flag's words: { Active = [...], Delete = [...], Ignore = [...] }."
        )
        linked: bool = Field(default=False, description="The source only enriches products that another one owns.")
        option_names: list[str] = Field(
            default_factory=list, max_length=3, description="Names of options that the view does not name."
        )
        default_price_tier: str | None = Field(None, description="The tier that gives the default price.")

    return EntityTable


@cache
def _document() -> Any:
    from pydantic import BaseModel, ConfigDict, Field, create_model

    strict = ConfigDict(extra="forbid")

    class ProjectTable(BaseModel):
        """What the project is."""

        model_config = strict
        description: str = Field("", description="Who the client is, for people.")

    class SourceTable(BaseModel):
        """How to reach the client's database."""

        model_config = strict
        dialect: str = Field(description='How the views are written, such as "tsql" or "mysql".')
        connection: str | None = Field(None, description="The ODBC connection string of a read-only login.")
        database: str | None = Field(None, description="A DuckDB or SQLite file, from the project's folder.")
        encoding: str | None = Field(None, description="How texts are sent to the driver.")
        decoding: str | None = Field(None, description="How the driver's narrow texts are read.")
        wide_decoding: str | None = Field(None, description="How the driver's wide texts are read.")
        attributes: dict[str, int] = Field(default_factory=dict, description="ODBC connection attributes by number.")
        session: list[str] = Field(default_factory=list, description="Statements to run once after connecting.")
        connect_timeout: int = Field(15, ge=1, description="Seconds.")
        query_timeout: int = Field(600, ge=1, description="Seconds.")
        batch_rows: int = Field(2_000, ge=1, le=100_000, description="Rows fetched at a time.")

    class Stock2ShopTable(BaseModel):
        """How to reach Stock2Shop."""

        model_config = strict
        source_id: int = Field(ge=1, description="The source's number in the Stock2Shop console.")
        username: str = Field(min_length=1, description='Write "${S2S_USER}" and set it in .env.')
        password: str = Field(min_length=1, description='Write "${S2S_PASSWORD}" and set it in .env.')
        url: str = Field("https://app.stock2shop.com/v1", description="Stock2Shop's address.")
        pace: float = Field(1.0, ge=0, description="Requests a second; 0 for no limit.")
        batch_variants: int = Field(500, ge=1, le=500, description="Variants a request.")
        connect_timeout: float = Field(10.0, gt=0, description="Seconds.")
        read_timeout: float = Field(120.0, gt=0, description="Seconds.")
        retries: int = Field(6, ge=0, description="How often a failing request is tried again.")
        deadline: float | None = Field(None, gt=0, description="Seconds after which a run stops between two batches.")

    class HistoryTable(BaseModel):
        """What is remembered."""

        model_config = strict
        keep_days: int = Field(90, ge=1, description="History and resolved quarantine older than this are dropped.")

    entities: Any = {name: (_entity_table() | None, None) for name in ENTITIES}
    return create_model(
        "Document",
        __config__=strict,
        project=(ProjectTable, Field(default_factory=lambda: ProjectTable.model_validate({}))),
        source=(SourceTable, Field(description="The table [source] says how to reach the client's database.")),
        stock2shop=(Stock2ShopTable, Field(description="The table [stock2shop] says how to reach Stock2Shop.")),
        vars=(dict[str, Any], Field(default_factory=dict, description="Values for the views.")),
        history=(HistoryTable, Field(default_factory=lambda: HistoryTable.model_validate({}))),
        **entities,
    )


def _texts(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*at, key))
    elif isinstance(value, str):
        yield at, value


def _dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines, ``#`` comments, and values in quotes; nothing where there is no file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
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


class _Lines:
    """Where each table and key of a TOML text stands. TOML parsers do not say; headers and keys are easy to see."""

    _HEADER = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]")
    _KEY = re.compile(r"""^\s*(?P<name>"[^"]+"|'[^']+'|[\w-]+(?:\s*\.\s*[\w-]+)*)\s*=""")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
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
