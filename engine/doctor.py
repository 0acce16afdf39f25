"""``s2s doctor``: check everything that a run needs, one by one, and say what to do about what is missing.

:func:`check_machine` and :func:`check_project` yield a :class:`Finding` for each thing that was checked. Nothing is
written to a client's database or to Stock2Shop.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from engine.clock import local_text
from engine.config.plain_secrets import plain_secrets
from engine.database.odbc_driver import find_driver_logs, installed_drivers
from engine.database.open import open_source, open_writer
from engine.database.sql_server_network import look_at_network
from engine.errors import ConfigError, StateLockedError, SyncError
from engine.files import WorkspaceFiles, exists, is_dir, is_file, is_open_to_others, may_write
from engine.mapping.todos import standing_todos
from engine.mapping.views import render_checked_view
from engine.orders.origin import order_origin
from engine.orders.statement_checks import check_statements
from engine.orders.statement_trial import try_statements
from engine.orders.statements import list_statements
from engine.state.store import open_state
from engine.stock2shop.client import open_api
from engine.stock2shop.local_user import local_user, user_path
from engine.sync import history
from engine.sync.origin import holds_rows, require_same_origin
from engine.testing.fixtures import has_fixtures
from engine.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.errors import Diagnostic
    from engine.model.settings import Project
    from engine.orders.ledger import Ledgers
    from engine.stock2shop.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was checked: what it is, how it is, what was found, and what to do where it is not ok."""

    name: str
    state: Literal["ok", "warn", "bad"]
    detail: str
    todo: str = ""


def check_machine() -> Iterator[Finding]:
    """Check this machine: Python, DuckDB, the ODBC driver manager and the drivers it knows."""
    import duckdb

    yield Finding(
        name="python",
        state="ok",
        detail=f"{platform.python_version()}, {sys.maxsize.bit_length() + 1} bits, {platform.platform()};"
        f" DuckDB {duckdb.__version__}",
    )
    try:
        drivers = installed_drivers()
    except SyncError as error:
        yield Finding(name="ODBC", state="warn", detail=error.message, todo=error.hint)
        return
    yield Finding(
        name="ODBC",
        state="ok" if drivers else "warn",
        detail=f"drivers: {', '.join(drivers)}" if drivers else "a driver manager, but no drivers",
        todo="" if drivers else "Install the driver of the client's database; DuckDB and SQLite files need none.",
    )


def check_project(project: Project, ledgers: Ledgers) -> Iterator[Finding]:
    """Check one project: its views, source, Stock2Shop account, state and orders.

    Connects to the client's database and to Stock2Shop. What cannot be checked is a finding, not an exception.
    """
    yield from _check_views(project)
    yield from _check_secrets(project)
    yield from _check_source(project)
    yield from _check_stock2shop(project)
    yield from _check_state(project)
    yield from _check_orders(project)
    yield from _check_ledger(project, ledgers)


def check_live(project: Project) -> Iterator[Finding]:
    """Check what differs between trying a mapping and running it for a client, as the page *go live* lists it.

    1. The address is Stock2Shop's, over HTTPS, and no sandbox on this machine.
    2. Nobody left a question open: TODOs in the views, and unticked boxes in the project's README.
    3. ``min_rows`` would notice a view that suddenly gives little.
    4. The mapping has fixtures, so that a change to it can be reviewed.
    5. The state holds what Stock2Shop acknowledged, or adopted: the first run would not send everything again.
    """
    yield _live_address(project.stock2shop.url)
    todos = []
    for entity in project.entities:
        with suppress(ConfigError):
            query = render_checked_view(project, entity).query
            todos += [*standing_todos(query, dialect=project.source.dialect)]
    readme = project.root / "README.md"
    files = WorkspaceFiles.of(project.workspace, project.root)
    text = files.read(readme).decode("utf-8", "replace") if is_file(readme) else ""
    asked = len(re.findall(r"(?m)^\s*- \[ \]", text))
    for todo in todos:
        yield Finding(name="live: questions", state="bad", detail=f"{todo.where}: {todo.message}", todo=todo.hint)
    if asked:
        yield Finding(
            name="live: questions",
            state="warn",
            detail=f"{asked} {plural(asked, 'question')} in {readme} {'is' if asked == 1 else 'are'} not ticked",
            todo="Ask on site, and tick each: - [x].",
        )
    if not (todos or asked):
        yield Finding(name="live: questions", state="ok", detail="none is open")
    for entity, settings in project.entities.items():
        low = settings.min_rows <= 1
        yield Finding(
            name=f"live: {entity}",
            state="warn" if low else "ok",
            detail=f"a run stops below {settings.min_rows:,} {plural(settings.min_rows, 'row')} (min_rows)",
            todo=f"Write min_rows under [{entity}], half of what the view gives: an empty warehouse or a lost right"
            " then stops the run."
            if low
            else "",
        )
    fixtures = has_fixtures(project.root)
    yield Finding(
        name="live: fixtures",
        state="ok" if fixtures else "warn",
        detail="there are some" if fixtures else "there are none, so nobody sees what a change to the mapping does",
        todo="" if fixtures else f"s2s fixtures capture {project.name}, then s2s test {project.name} --update",
    )
    yield from _live_state(project)


def _live_address(url: str) -> Finding:
    address = urlsplit(url)
    local = address.hostname in {"localhost", "127.0.0.1", "::1"}
    if not local and address.scheme == "https":
        return Finding(name="live: address", state="ok", detail=url)
    return Finding(
        name="live: address",
        state="bad",
        detail=f"{url} is {'on this machine, and not the real Stock2Shop' if local else 'not encrypted'}",
        todo="Remove `url` from [stock2shop], or the variable in it: without it, it is the real Stock2Shop.",
    )


def _live_state(project: Project) -> Iterator[Finding]:
    try:
        if exists(project.state):
            with open_state(project.state) as state:
                require_same_origin(state, project)
                published = holds_rows(state)
        else:
            published = False
    except (SyncError, OSError) as error:
        yield Finding(name="live: state", state="bad", detail=str(error), todo=getattr(error, "hint", ""))
        return
    yield Finding(
        name="live: state",
        state="ok" if published else "warn",
        detail="it holds what counts as published" if published else "nothing counts as published",
        todo=""
        if published
        else f"Where Stock2Shop already holds this client's items: s2s adopt {project.name}."
        " Otherwise the first run sends all.",
    )


def _failed(name: str, error: SyncError) -> Finding:
    return Finding(name=name, state="bad", detail=error.message, todo=error.hint)


def _check_views(project: Project) -> Iterator[Finding]:
    for warning in project.warnings:
        yield Finding(name="project", state="warn", detail=f"{warning.where}: {warning.message}", todo=warning.hint)
    for entity in project.entities:
        try:
            view = render_checked_view(project, entity)
        except ConfigError as error:
            for fault in error.diagnostics:
                yield Finding(
                    name=f"view {entity}", state="bad", detail=f"{fault.where}: {fault.message}", todo=fault.hint
                )
            continue
        for fault in view.warnings:
            yield Finding(
                name=f"view {entity}", state="warn", detail=f"{fault.where}: {fault.message}", todo=fault.hint
            )
        if not view.warnings:
            yield Finding(name=f"view {entity}", state="ok", detail=str(view.query.path))


def _check_secrets(project: Project) -> Iterator[Finding]:
    """Name the secrets that stand in plain files, and who may read those; Windows' rights are not read."""
    plain = [*plain_secrets(project.root, workspace=project.workspace, environ=os.environ)]
    if not plain:
        yield Finding(name="secrets", state="ok", detail="none stands in a plain file")
    for path, names in plain:
        wide = is_open_to_others(path)
        who = "others than its owner" if wide else "its owner alone"
        readers = "see who may read it with: icacls" if sys.platform == "win32" else f"{who} may read it"
        yield Finding(
            name="secrets",
            state="warn" if wide else "ok",
            detail=f"{path} holds {', '.join(names)} in plain text; {readers}",
            todo=f"chmod 600 {path}" if wide else "",
        )


def _check_source(project: Project) -> Iterator[Finding]:
    if project.source.dialect == "tsql" and project.source.connection:
        for step in look_at_network(project.source.connection):
            yield Finding(name="network", state=step.state, detail=step.detail, todo=step.todo)
    try:
        with open_source(project.source) as connection:
            facts = connection.describe()
    except SyncError as error:
        yield _failed("source", error)
        return
    yield Finding(
        name="source",
        state="ok",
        detail=f"{facts.dbms} {facts.dbms_version}, through {facts.driver} {facts.driver_version}",
    )
    if facts.login_may_write or facts.read_only is False:
        refuses = "the connection refuses to write, but " if facts.read_only else ""
        yield Finding(
            name="read-only",
            state="warn",
            detail=f"{refuses}this login may write",
            todo="Views only read; ask for a login with SELECT alone. The driver's page has the SQL.",
        )
    else:
        known = "the connection refuses to write" if facts.read_only else "this driver does not tell"
        if facts.login_may_write is False:
            known = f"{known}, and the login has no right to" if facts.read_only else "the login has no right to write"
        yield Finding(name="read-only", state="ok", detail=known)
    for note in facts.notes:
        yield Finding(
            name="driver", state="warn", detail=note, todo="The driver's page says more: `s2s help` lists them."
        )
    for log in find_driver_logs():
        yield Finding(
            name="driver",
            state="warn",
            detail=f"the driver begins a log file for each process, such as {log}",
            todo="Write `Debug = 0` and `CommLog = 0` for the driver in odbcinst.ini, and take them out of"
            " `connection`: `odbcinst -j` says where the file is.",
        )


def _check_orders(project: Project) -> Iterator[Finding]:
    if project.orders is None:
        return
    try:
        problems = check_statements(project, project.orders)
        yield from _statement_findings(problems)
        if any(problem.severity == "error" for problem in problems):
            return
        with open_writer(project.orders.source) as writer:
            trial = try_statements(project, project.orders, writer)
        yield from _statement_findings(trial.problems)
    except ConfigError as error:
        yield from _statement_findings(error.diagnostics)
        return
    except SyncError as error:
        yield _failed("orders", error)
        return
    untried = ", ".join(path.name for path in trial.untried)
    yield Finding(
        name="orders",
        state="ok",
        detail=f"{len(list_statements(project))} statements; the login that writes connects",
        todo=f"Not tried, for this database cannot check them without running them: {untried}." if untried else "",
    )


def _check_ledger(project: Project, ledgers: Ledgers) -> Iterator[Finding]:
    try:
        if project.orders is None or not ledgers.has_ledger(project.name):
            return
        with ledgers.opened(project) as ledger:
            waiting = ledger.list_entries("status in ('waiting', 'failed')")
    except SyncError as error:
        yield _failed("order ledger", error)
        return
    origin = order_origin(project)
    yield Finding(name="order ledger", state="ok", detail=f"it belongs to {origin.account}; {origin.database}")
    if waiting:
        yield Finding(
            name="order ledger",
            state="warn",
            detail=f"{len(waiting):,} orders wait or failed",
            todo=f"s2s orders list {project.name} --status waiting",
        )


def _statement_findings(problems: Iterable[Diagnostic]) -> Iterator[Finding]:
    for problem in problems:
        state: Literal["warn", "bad"] = "bad" if problem.severity == "error" else "warn"
        yield Finding(name="orders", state=state, detail=f"{problem.where}: {problem.message}", todo=problem.hint)


def _check_stock2shop(project: Project) -> Iterator[Finding]:
    settings = project.stock2shop
    try:
        with open_api(settings, user=_find_user(project)) as api:
            source = api.source()
            yield Finding(
                name="Stock2Shop",
                state="ok",
                detail=f"{settings.url} answers; source {source.id} {source.description}",
            )
            yield from _check_clock(api.clock_offset)
    except SyncError as error:
        yield _failed("Stock2Shop", error)


def _find_user(project: Project) -> User | None:
    """The token and the pace of the project's runs, which would end by a login; None where there is no state yet."""
    folder = project.state.parent
    with suppress(OSError):  # what is wrong with the folder is another check's
        if is_dir(folder):
            return local_user(project.stock2shop, folder)
    return None


def _check_clock(offset: float | None) -> Iterator[Finding]:
    if offset is None:
        yield Finding(name="clock", state="ok", detail="Stock2Shop does not send the time")
    elif abs(offset) > 120:  # noqa: PLR2004 - two minutes: beyond it, tokens and certificates may be refused as expired
        yield Finding(
            name="clock",
            state="warn",
            detail=f"this machine's clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} Stock2Shop's",
            todo="Set the clock by the network: w32tm /resync on Windows, timedatectl set-ntp true on Linux.",
        )
    else:
        yield Finding(name="clock", state="ok", detail=f"within {max(1, round(abs(offset)))} s of Stock2Shop's")


def _check_state(project: Project) -> Iterator[Finding]:
    try:
        new = not exists(project.state)
    except OSError as error:
        yield Finding(
            name="state",
            state="bad",
            detail=f"{project.state} cannot be read: {error.strerror}",
            todo="Give the account that runs s2s the right to the folder, or set S2S_STATE to another one.",
        )
        return
    if new:
        yield Finding(
            name="state",
            state="ok",
            detail=f"{project.state} does not exist yet: the first run creates it",
            todo=f"If Stock2Shop already holds this client's products, begin with `s2s adopt {project.name}`.",
        )
        return
    try:
        with open_state(project.state) as state:
            version = state.meta("version")
            last = history.runs(state, limit=1)
            require_same_origin(state, project)
    except StateLockedError as error:
        yield Finding(name="state", state="warn", detail=error.message, todo=error.hint)
        return
    except SyncError as error:
        yield _failed("state", error)
        return
    yield from _check_rights(project)
    size = project.state.stat().st_size / 1e6
    last_run = f"last run {local_text(last[0]['started_at'])}, {last[0]['outcome']}" if last else "no run yet"
    yield Finding(name="state", state="ok", detail=f"{project.state}, {size:.1f} MB, version {version}, {last_run}")


def _check_rights(project: Project) -> Iterator[Finding]:
    """Name the files and the folder of the state that others may read or write; Windows' rights are not read."""
    folder = project.state.parent
    writers = may_write(folder)
    if writers:
        yield Finding(
            name="state folder",
            state="warn",
            detail=f"{' and '.join(writers)} may write to {folder}, hold its locks and replace what is there",
            todo=f"chmod 700 {folder}, unless the group is meant to.",
        )
    own = (".duckdb.wal", ".orders.sqlite", ".raising.sqlite")
    names = (project.state.name, *(project.name + end for end in own), user_path(project.stock2shop, folder).name)
    wide = [name for name in names if is_open_to_others(folder / name)]
    if wide:
        yield Finding(
            name="state folder",
            state="warn",
            detail=f"in {folder} others may read {', '.join(wide)}",
            todo=f"chmod 600 {' '.join(str(folder / name) for name in wide)}",
        )
