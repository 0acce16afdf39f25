"""A console of the tests' own: a workspace with runs and orders in it, served over HTTP, and browsers for it."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from engine.agent.http import serve_http
from engine.clock import now
from engine.config.console import read_console
from engine.console.access import Access, Passwords
from engine.console.application import Console
from engine.console.audit import AuditLog
from engine.console.facts import Workspace
from engine.console.pages import console_routes
from engine.console.work import Work
from engine.errors import GuardError
from engine.http_server import Listener
from engine.model.plan import Counts
from engine.orders.connections import OpenConnections, limited_protocol
from engine.orders.ledger_file import LocalLedgers
from engine.run_log.record import record_run
from support.erp import open_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "four invented words here"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
DIGEST = "9f2c41d07ab3"

PLAN = {
    "project": "acme",
    "entity": "products",
    "digest": DIGEST,
    "counts": asdict(Counts(source=8, unchanged=1, inserts=2, updates=3, deleted=1_409, published=9_520)),
    "violations": [{"guard": "max_deletes", "message": "1,409 of 9,520 published rows would be removed."}],
    "requests": 5,
    "columns": {"title": 3},
    "changes": [
        {"key": "A'\"<b>", "kind": "update", "cause": "", "columns": [{"column": "title", "old": "x", "new": HOSTILE}]}
    ],
    "notes": [HOSTILE],
}


@dataclass
class Visit:
    """What somebody does with the console, over HTTP as a browser does it."""

    address: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Look at a page."""
        return self.session.get(self.address + path, headers=headers, timeout=30, allow_redirects=False)

    def post(self, path: str, values: dict[str, str] | None = None, **headers: str) -> requests.Response:
        """Send a form, with the token of the page on which it stands, and from there."""
        page = self.get("/login" if path == "/login" else "/")
        found = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
        token = {"token": found[1]} if found else {}
        return self.session.post(
            self.address + path,
            data={**token, **(values or {})},
            headers={"Origin": self.address, **headers},
            timeout=30,
            allow_redirects=False,
        )

    def log_in(self, name: str, password: str = PASSWORD) -> requests.Response:
        """Log in."""
        return self.post("/login", {"name": name, "password": password})


@dataclass
class Served:
    """A console, and what it was asked to have done."""

    workspace: Path
    address: str
    asked: list[tuple[Any, ...]]
    console: Console

    def visit(self) -> Visit:
        """A browser that knows nothing yet."""
        return Visit(self.address)

    def as_user(self, name: str) -> Visit:
        """A browser in which somebody has logged in."""
        visit = self.visit()
        assert visit.log_in(name).status_code == 303
        return visit


def write_users(workspace: Path, more: str = "") -> None:
    """Let an operator and a viewer in."""
    hashed = Passwords().hash(PASSWORD)
    (workspace / "workspace.toml").write_text(
        f'[console]\n{more}\n[console.users.olga]\nrole = "operator"\npassword = "{hashed}"\n'
        f'[console.users.victor]\npassword = "{hashed}"\n',
        "utf-8",
    )


@contextmanager
def serve_console(workspace: Path, statements: Any = None) -> Iterator[Served]:
    """Serve the console of a workspace; what it has done is only noted."""
    asked: list[tuple[Any, ...]] = []

    def note(*words: Any) -> bool:
        asked.append(words)
        return True

    console = Console(
        access=Access(lambda: read_console(workspace), Passwords()),
        workspace=Workspace(workspace, workspace / ".state", LocalLedgers(workspace / ".state")),
        audit=AuditLog(workspace / ".state"),
        work=Work(
            run=lambda *words: note("run", *words),
            approve=lambda *words: note("approve", *words),
            retry=lambda *words: note("retry", *words),
            explain=lambda project, code, _keep: note("explain", project, code),
            skip=lambda *words: asked.append(("skip", *words)),
            statements=statements or (lambda *_: [("orders/10_header.sql", "insert …", ["(text of 9)", HOSTILE])]),
        ),
    )
    protocol = limited_protocol(OpenConnections(), None)
    with serve_http(console_routes(console), Listener(host="127.0.0.1", port=0, protocol=protocol)) as address:
        yield Served(workspace, address, asked, console)


def fill(workspace: Path) -> None:
    """Two projects: one with hostile texts wherever a database or an order can bring them, and one that is well."""
    for name in ("acme", "well"):
        (workspace / "projects" / name).mkdir(parents=True)
        (workspace / "projects" / name / "project.toml").write_text("[project]\n", "utf-8")
    state = workspace / ".state"
    with record_run(state, project="well", entity="products", command="run") as run:
        run.facts |= {"sent": 3, "source": 9, "requests": 2}
    names = {"project": "acme", "entity": "products", "command": "run"}
    with record_run(state, **names) as run:
        run.begin(7)
        row = {"key": HOSTILE, "product": "P-1", "column_name": "title", "rule": "refused", "value": HOSTILE}
        seen = {"reason": HOSTILE, "first_seen_at": now(), "last_seen_at": now()}
        columns = [
            {"column": "variants.sku", "old": None, "new": "SKU-77"},
            {"column": "title", "old": "", "new": HOSTILE},
        ]
        change = {"run_id": 7, "key": "K-1", "product": "P-1", "kind": "insert", "columns": columns, "status": 200}
        run.publish([row | seen], [change | {"acknowledged_at": now()}], quarantined=1)
        run.facts |= {"outcome": "attention", "sent": 1, "refused": 1, "source": 2}
    with suppress(GuardError), record_run(state, **names) as run:
        run.begin(8)
        run.plan = PLAN
        raise GuardError(HOSTILE)


def add_order(workspace: Path, document: dict[str, Any]) -> None:
    """An order in acme's ledger that waits."""
    order = int(document["id"])
    with open_ledger(workspace / ".state") as ledger:
        ledger.receive(order, document, via="serve")
        ledger.move(order, "raising")
        ledger.move(order, "waiting", rule="unknown_sku", reason=f"Duplicate entry 'thandi@example.com' {HOSTILE}")
