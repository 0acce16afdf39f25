"""``project.toml`` to a :class:`Project`, with every fault at once, each with its file and line."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.schema import (
    DIALECTS,
    LOOPBACK_HOSTS,
    STOCK2SHOP_URL,
    InvalidValueError,
    describe_problem,
    document_model,
    entity_tables,
    is_synthetic,
)
from engine.config.toml_lines import TomlLines
from engine.config.variables import (
    CONNECTION_OPTION,
    SECRET_KEY,
    VARIABLE,
    brace_login,
    environment_name,
    passwords_in,
    variables,
)
from engine.config.workspace import discover
from engine.errors import Diagnostic, ProjectError
from engine.files import is_file, unreadable
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
    from collections.abc import Collection, Iterator, Mapping


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


def _unknown(name: str, workspace: Path) -> Diagnostic:
    names = discover(workspace)
    close = get_close_matches(name, names, n=1)
    known = f"There are: {', '.join(names)}." if names else f"Begin it with `s2s init {name}`."
    return Diagnostic(
        message=f"There is no project {name!r} in {workspace / 'projects'}.",
        hint=(f"Did you mean {close[0]}? " if close else "") + known,
    )


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
        self.faults: list[Diagnostic] = []
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
        self.lines = TomlLines(text)
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
        self.faults.append(Diagnostic(path=self.path, line=self.lines.of(at), message=message, hint=hint))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise ProjectError(
                [Diagnostic(path=self.path, message="The file is not UTF-8.", hint="Save it as UTF-8.")]
            ) from None
        except OSError as error:
            raise ProjectError(
                [Diagnostic(path=self.path, message=f"The file cannot be read: {error.strerror}.")]
            ) from None

    def _toml(self, text: str) -> dict[str, Any]:
        import tomli

        try:
            return tomli.loads(text)
        except tomli.TOMLDecodeError as error:
            message = re.sub(r" \(at .*\)$", "", str(error))
            raise ProjectError(
                [
                    Diagnostic(
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

    def _literal_passwords(self, data: dict[str, Any]) -> tuple[Diagnostic, ...]:
        found = []
        for at, value in _texts(data):
            said = [value] if at[-1:] == ("password",) else passwords_in(value) if at[-1:] == ("connection",) else []
            written = [text for text in said if not any(part["name"] is not None for part in VARIABLE.finditer(text))]
            if written:
                self.secrets.update(text.replace("$${", "${") for text in written)
                found.append(
                    Diagnostic(
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
        return (
            environment_name(name) if environment_name(name) in self.variables and name not in self.variables else name
        )

    def _fill(self, value: Any, at: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, at) for item in value]
        if not isinstance(value, str):
            return value
        secret = bool(SECRET_KEY.search(at[-1]))

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
            return brace_login(text, value[: found.start()], value[found.end() :]) if at[-1] == "connection" else text

        filled = VARIABLE.sub(variable, value)
        if at == ("stock2shop", "url") and self.offline(at) and filled != value:
            return STOCK2SHOP_URL
        if at[-1] == "connection" and not self.offline(at):
            self.secrets.update(passwords_in(filled))
            self._readable(filled, at)
        return filled

    def _readable(self, connection: str, at: tuple[str, ...]) -> None:
        """Options that a driver would read differently from what is meant; their values are not told."""
        position, last = 0, ""
        while found := CONNECTION_OPTION.match(connection, position):
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
            return document_model().model_validate(data)
        except ValidationError as error:
            for problem in error.errors():
                at = tuple(str(part) for part in problem["loc"] if not is_synthetic(part))
                if at in self.unfilled:
                    continue
                broken = problem.get("ctx", {}).get("error")
                for said in broken.faults if isinstance(broken, InvalidValueError) else [describe_problem(problem, at)]:
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
            if str(serve.get("host", "127.0.0.1")) not in LOOPBACK_HOSTS and not shut:
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
            raise ProjectError([unreadable(self._view(entity), error, folder="views")]) from None

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
                name: self._entity(name, getattr(document, name) or entity_tables()[name]())
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


def _texts(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*at, key))
    elif isinstance(value, str):
        yield at, value
