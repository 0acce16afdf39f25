"""``s2s demo``: an example client, a local Stock2Shop, and what each command prints.

Every command is the real one, in a process of its own, against a real database file and a real HTTP server. The
example's files stand beside this module.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from engine.embedded import connect_duckdb
from engine.errors import UsageError
from engine.files import exists, replace_file
from engine.sandbox.server import Sandbox
from engine.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO_FOLDER = Path(__file__).parent
NAME = "karoo"
SANDBOX_PORT = 8057
SANDBOX_FILE = "sandbox.json"
TOKEN = "a-token-of-the-demo-only"  # noqa: S105 - it lets into a receiver that lives for seconds, on this machine


def run_demo(folder: Path | None, *, say: Callable[[str], object]) -> None:
    """Create the workspace in ``folder`` (by default ``s2s-demo`` in the current folder) and run every chapter.

    ``say`` is called with each piece of text.

    Raises :class:`UsageError` when the folder exists already and is not an earlier demo.
    """
    workspace = (folder or Path("s2s-demo")).resolve()
    project = _prepare(workspace)
    with _sandbox(workspace) as sandbox:
        dotenv = {
            "DEMO_URL": sandbox.url,
            "DEMO_USER": "sandbox",
            "DEMO_PASSWORD": "sandbox",
            "DEMO_ORDERS_TOKEN": TOKEN,
        }
        lines = "".join(f"{name}={value}\n" for name, value in dotenv.items())
        replace_file(workspace / ".env", lines.encode(), mode=0o600)
        environment = {
            **os.environ,
            **dotenv,
            "PYTHONPATH": str(DEMO_FOLDER.parent.parent),
            "PYTHONIOENCODING": "utf-8",
        }

        def command(*words: str) -> None:
            say(f"\n$ s2s {' '.join(words)}")
            ran = subprocess.run(  # noqa: S603 - this very program, with words from this file
                [sys.executable, "-m", "engine", *words],
                cwd=workspace,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            say(_brief((ran.stdout + ran.stderr).rstrip()))
            say(f"(exit code {ran.returncode})")

        def chapter(title: str, text: str) -> None:
            say(f"\n━━ {title} {'━' * max(0, 88 - len(title))}\n{text}")

        chapter(
            "The client",
            f"Karoo Outfitters has about 2,000 items in a database: {project / 'erp.duckdb'}\n"
            f"Its mapping is two files:  {project / 'project.toml'}\n"
            f"                           {project / 'views' / 'products.sql'}\n"
            f"A local Stock2Shop listens on {sandbox.url}; it is empty.",
        )
        chapter("1. Check", "Is the mapping right? This needs no database.")
        command("check", NAME)
        chapter("2. Plan", "What would a first run do? Nothing is sent yet.")
        command("plan", NAME)
        chapter("3. First run", "Valid rows are sent; broken ones are quarantined, with the reason.")
        command("run", NAME)
        say(f"\nThe sandbox holds {len(sandbox.products(57)):,} variants now.")
        chapter(
            "4. The client works",
            "In the database: a price changes, a quantity changes, a shirt gets a new size, an item is delisted and\n"
            "another one loses its description.",
        )
        _change(project / "erp.duckdb")
        command("plan", NAME)
        chapter("5. Second run", "Only those are sent.")
        command("run", NAME)
        chapter("6. Third run", "Nothing has changed, so nothing is sent.")
        command("run", NAME)
        chapter("7. Quarantine and history", "Quarantined rows are never sent and never removed.")
        command("quarantine", "list", NAME)
        command("history", NAME)
        command("explain", NAME, "TOOL-0600")
        chapter(
            "8. Customers",
            f"One more file, {project / 'views' / 'customers.sql'}, and customers are sent too.\n"
            "Personal data is masked wherever it would be printed.",
        )
        (project / "views" / "customers.sql").write_bytes((DEMO_FOLDER / "customers.sql").read_bytes())
        command("run", NAME, "--entity", "customers")
        chapter(
            "9. An order is raised",
            f"A shop sells two items. Stock2Shop pushes the order to the receiver, which raises it in the database\n"
            f"with the statements in {project / 'orders'}, in one transaction, and answers with the order's code.",
        )
        _order(sandbox, workspace, project, environment, say=say)
        command("orders", "show", NAME, "90001")
        port = urllib.parse.urlsplit(sandbox.url).port
    chapter(
        "What next",
        f"The workspace goes on living: {workspace}\n"
        "The same Stock2Shop, with what it holds, in a second terminal there:\n"
        f"  s2s sandbox --port {port} --state {SANDBOX_FILE}\n"
        f"Then, beside it, change {Path('projects', NAME, 'views', 'products.sql')} and see what that does:\n"
        f"  s2s preview {NAME} --entity products --limit 5\n"
        f"  s2s plan {NAME}\n"
        f"  s2s doctor {NAME}\n"
        "Begin with your own client, and read on:\n"
        "  s2s init acme --dialect tsql\n"
        "  s2s help tutorial",
    )


def _sandbox(workspace: Path) -> Sandbox:
    """The demo's Stock2Shop, for the port that `s2s sandbox` takes as well, or a free one where that is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        taken = probe.connect_ex(("127.0.0.1", SANDBOX_PORT)) == 0
    return Sandbox(SandboxSettings(port=0 if taken else SANDBOX_PORT, path=workspace / SANDBOX_FILE))


def _order(
    sandbox: Sandbox, workspace: Path, project: Path, environment: dict[str, str], *, say: Callable[[str], object]
) -> None:
    """Push the order to a receiver twice, and show what is in the database after each time."""
    order = json.loads((DEMO_FOLDER / "order.json").read_text("utf-8"))
    sandbox.place_order(order)
    words = ("orders", "serve", NAME, "--port", "0")
    say(f"\n$ s2s {' '.join(words)} &")
    receiver = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "engine", *words],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    try:
        first_line = receiver.stdout.readline().rstrip() if receiver.stdout else ""
        say(first_line)
        address = first_line.partition(" at ")[2].partition(";")[0]
        # Do not use a proxy that Windows' settings or the environment may name.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for time in ("", " a second time, because its answer was lost on the way"):
            say(f"\nStock2Shop pushes order {order['id']}{time}:")
            request = urllib.request.Request(  # noqa: S310 - the receiver's own address
                address, json.dumps(order).encode(), {"Authorization": f"Bearer {TOKEN}"}
            )
            with direct.open(request, timeout=60) as answer:
                say(f"  {answer.status} {answer.read().decode()}")
            for row in _rows(project / "erp.duckdb"):
                say("  in the database: " + ", ".join(str(value) for value in row))
    finally:
        receiver.terminate()
        receiver.wait(timeout=60)


def _rows(database: Path) -> list[tuple[object, ...]]:
    with connect_duckdb(database, read_only=True) as connection:
        return connection.execute(
            "select 'order ' || number, account, reference, count(*) || ' lines' from sales_order"
            " join sales_line using (number) group by all order by 1"
        ).fetchall()


def _brief(text: str, *, lines: int = 44) -> str:
    """Cut long output in its middle, so that a chapter fits on the screen."""
    every = text.splitlines()
    if len(every) <= lines:
        return text
    head, tail = every[: lines - 8], every[-6:]
    return "\n".join([*head, f"  … {len(every) - len(head) - len(tail)} more lines …", *tail])


def _prepare(workspace: Path) -> Path:
    project = workspace / "projects" / NAME
    if exists(workspace):
        if any(workspace.iterdir()) and not exists(project / "erp.duckdb"):
            raise UsageError(
                f"{workspace} exists already and is not an earlier demo.", hint="Name another folder: s2s demo FOLDER"
            )
        again = (workspace / SANDBOX_FILE, project / "erp.duckdb", project / "views" / "customers.sql")
        for old in (*again, *(workspace / ".state").glob("*")):
            old.unlink(missing_ok=True)
    (project / "views").mkdir(parents=True, exist_ok=True)
    (project / "project.toml").write_bytes((DEMO_FOLDER / "project.toml").read_bytes())
    (project / "views" / "products.sql").write_bytes((DEMO_FOLDER / "products.sql").read_bytes())
    (project / "orders").mkdir(exist_ok=True)
    for statement in (DEMO_FOLDER / "orders").glob("*.sql"):
        (project / "orders" / statement.name).write_bytes(statement.read_bytes())
    (workspace / ".gitignore").write_bytes(f".state/\n.env\n{SANDBOX_FILE}\n".encode())
    _execute(project / "erp.duckdb", "setup.sql")
    return project


def _change(database: Path) -> None:
    _execute(database, "changes.sql")


def _execute(database: Path, script: str) -> None:
    with connect_duckdb(database) as connection:
        connection.execute((DEMO_FOLDER / script).read_text("utf-8"))
