"""Every command, on a hostile branch, database and account, in a home folder with canaries.

After each, no canary stands in any output, nothing in it would be obeyed by a terminal, and no file changed that is
none of the command's. A new command is in none of the lists below, and the first test says so.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.command import run_command
from support.erp import order_document, order_line
from support.mapping import ITEM, VIEW, write, write_project
from typer.main import get_command

from engine.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.erp import Erp

    from engine.sandbox.server import Sandbox

CANARY = "canary-8c20e1"
ESCAPE = "\x1b]0;owned\x07\x9b2J\u202e"
LOUD = f"{ESCAPE} @octocat <script> '); drop table item; --"

BRANCH = {
    "list": (("list",), ("list", "--output", "json")),
    "check": (("check",),),
    "status": (("status",), ("status", "--output", "json")),
    "render": (("render", "loud"), ("render", "named"), ("render", "view-3")),
    "test": (("test", "--update"), ("test", "loud")),
    "review": (
        ("review", "--all"),
        ("review", "loud", "--output", "json"),
        ("review", "loud", "--output", "html", "--to", "../review.html"),
        ("review", "loud", "--output", "markdown", "--to", "../review.md"),
    ),
    "docs": (("docs", "--to", "site"),),
}
"""Commands that are made for a stranger's branch, and what they are called with."""

LIVE = {
    **{name: ((name, "acme"),) for name in ("check", "render", "test", "doctor", "history", "adopt", "rebind")},
    "list": (("list",),),
    "status": (("status",), ("status", "--output", "json"), ("status", "--output", "prometheus")),
    "docs": (("docs", "--to", "site"),),
    "review": (("review", "acme", "--live"),),
    "preview": (("preview", "acme"), ("preview", "acme", "--output", "json"), ("preview", "acme", "--where", "A")),
    "plan": (("plan", "acme", "--full"), ("plan", "acme", "--output", "json")),
    "run": (("run", "acme"), ("--log-format", "json", "run", "acme", "--full"), ("--debug", "run", "acme")),
    "explain": (("explain", "acme", "A"), ("explain", "acme", LOUD.replace("\0", ""))),
    "verify": (("verify", "acme"), ("verify", "acme", "--repair")),
    "quarantine list": (("quarantine", "list", "acme"), ("quarantine", "list", "acme", "--output", "json")),
    "quarantine retry": (("quarantine", "retry", "acme"),),
    "fixtures capture": (("fixtures", "capture", "acme", "--replace"),),
    "orders import": (("orders", "import", "acme", "orders"),),
    "orders pull": (("orders", "pull", "acme"),),
    "orders list": (("orders", "list", "acme"),),
    "orders show": (("orders", "show", "acme", "1001"), ("orders", "show", "acme", "1002", "--output", "json")),
    "orders plan": (("orders", "plan", "acme"),),
    "orders retry": (("orders", "retry", "acme"),),
    "orders raise": (("orders", "raise", "acme", "1002", "--by", "me"),),
    "orders verify": (("orders", "verify", "acme"),),
    "orders skip": (("orders", "skip", "acme", "1002"),),
    "orders former": (("orders", "former", "acme"), ("orders", "former", "acme", "1001")),
}
"""Commands that connect, and those that show what connecting found."""

ELSEWHERE = {
    "agent": "tests/agent/test_agent.py",
    "agent install": "tests/service/test_service.py",
    "agent remove": "tests/service/test_service.py",
    "agent status": "tests/service/test_service.py",
    "schedule install": "tests/service/test_service.py",
    "schedule remove": "tests/service/test_service.py",
    "schedule status": "tests/service/test_service.py",
    "fleet init": "tests/fleet/test_fleet.py",
    "fleet run": "tests/fleet/test_fleet.py",
    "fleet status": "tests/fleet/test_worker.py",
    "fleet worker": "tests/fleet/test_worker.py",
    "fleet drain": "tests/fleet/test_worker.py",
    "fleet pause": "tests/fleet/test_fleet.py",
    "fleet resume": "tests/fleet/test_fleet.py",
    "fleet adopt-local": "tests/fleet/test_fleet.py",
    "fleet export-local": "tests/fleet/test_fleet.py",
    "console password": "tests/console/test_console.py",
    "notify": "tests/notify/test_notify.py",
    "init": "tests/scaffold/test_introspect.py",
    "orders serve": "tests/orders/test_receiver.py",
    "help": "tests/cli/test_help.py",
    "sandbox": "tests/sandbox/test_server.py",
    "secret set": "tests/config/test_secret_store.py",
    "secret remove": "tests/config/test_secret_store.py",
    "demo": "tests/cli/test_commands.py",
}
"""Commands that read neither a branch nor a client's account, and where they are tested."""


def command_names(group: Any, lead: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command of the command line, with the groups that it is in; a group may be one itself."""
    for name, command in group.commands.items():
        is_group = bool(getattr(command, "commands", None))
        if is_group:
            yield from command_names(command, (*lead, name))
        if not is_group or command.invoke_without_command:
            yield " ".join((*lead, name))


def test_every_command_is_run_on_what_is_hostile() -> None:
    """Whoever adds one decides here what it is for."""
    assert {*command_names(get_command(app))} == {*BRANCH, *LIVE, *ELSEWHERE}
    assert not {*ELSEWHERE} & {*BRANCH, *LIVE}


class World:
    """A canary home, and a workspace beside it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.work = folder / "home", folder / "work"
        write(self.home / ".env", f"TOKEN={CANARY}\n")
        write(self.home / "secret.csv", f"{CANARY}\n")
        write(self.home / f"{CANARY}.txt", "")
        write(self.home / ".ssh" / "id_ed25519", f"{CANARY}\n")
        self.variables = {"S2S_CANARY": f"variable-{CANARY}", "HOME": str(self.home)}
        self.variables["XDG_CACHE_HOME"] = str(folder / "cache")
        self.codes: dict[tuple[str, ...], int] = {}
        self.said = ""

    def files(self, *left_out: str) -> dict[str, bytes]:
        """All files of the home and the workspace, but for what is below these folders of the workspace."""
        found = [*self.home.rglob("*"), *self.work.rglob("*")]
        skipped = [self.work / name for name in left_out]
        return {
            str(path): path.read_bytes()
            for path in found
            if path.is_file() and not any(path.is_relative_to(each) for each in skipped)
        }

    def run(self, *words: str) -> None:
        """Run a command; its output holds no canary and nothing that a terminal obeys."""
        ran = run_command(*words, folder=self.work, variables=self.variables)
        said = ran.stdout + ran.stderr
        assert CANARY not in said, (words, said)
        obeyed = {character for character in ESCAPE if character in said and not character.isprintable()}
        assert obeyed == set(), (words, said)
        assert "fault of s2s" not in said, (words, said)
        self.codes[words] = ran.returncode
        self.said += said


READERS = (
    "(select content from read_text('{home}/.env'))",
    "(select max(column0) from read_csv('{home}/.env', header = false, sep = '|'))",
    "(select max(column0) from '{home}/secret.csv')",
    "(select string_agg(file, ',') from glob('{home}/*'))",
    "(select content from read_text('/proc/self/environ'))",
    "getenv('S2S_CANARY')",
)
"""Expressions of DuckDB that read what is outside of the database."""

SECRETS = f"""
[orders]
"connection" = '''Driver=X;Server=erp;"PWD"={{{{a}}}}{CANARY};AccessToken={CANARY}'''  # {CANARY}
session = ["PRAGMA key = '{CANARY}'"]

[vars]
"api_key" = \"\"\"{CANARY}<&'é"x\"\"\"
loud = {json.dumps(LOUD)}
named = "${{S2S_CANARY}}"

[products]
active = {{ Active = ["Yes", "${{S2S_CANARY}}"] }}
"""


def write_branch(world: World) -> None:
    """A project for each way to read something in each place, and a loud one with written-out secrets."""
    for number, reader in enumerate(READERS):
        expression = reader.format(home=world.home.as_posix())
        root = write_project(world.work, name=f"view-{number}")
        write(root / "views" / "products.sql", VIEW.replace("item.descr as title", f"{expression} as title"))
        if number % 2 == 0:
            root = write_project(world.work, name=f"schema-{number}")
            write(root / "fixtures" / "schema.sql", f"create table other as select {expression} as s")
        else:
            root = write_project(world.work, name=f"data-{number}")
            write(root / "tests" / "a.sql", f"select {expression} as source_variant_code from products")
            write(root / "tests" / "b.sql", f"-- \rselect {expression} as source_variant_code from products")
    loud = write_project(world.work, name="loud", settings=SECRETS, fixtures={"item": ITEM, "price": "code,amount\n"})
    item = ITEM.replace("Hammer", f'"{LOUD}"').replace("\x1b", "").replace("B2", f'"{LOUD}"')
    write(loud / "fixtures" / "item.csv", item)
    write(
        loud / "views" / "products.sql",
        f"-- {LOUD}\n{VIEW.replace('item.brand', 'coalesce({{ vars.loud }}, {{ vars.named }})')}",
    )
    named = write_project(world.work, name="named", settings='\n[vars]\nnamed = "${S2S_CANARY}"\n')
    write(named / "views" / "products.sql", VIEW.replace("item.brand", "{{ vars.named }}"))
    write_project(world.work, name="faulty", settings='\n[products]\nmax_deletes = "${S2S_CANARY}"\n')
    for folder in (world.work, loud):
        write(
            folder / ".env", f"TEST_PASSWORD={CANARY}\nTEST_USER={CANARY}\nTEST_HOST=h\nTEST_URL=http://localhost/v1\n"
        )
    write(world.work / ".gitignore", ".env\n")
    for step in (("init", "-q"), ("add", "."), ("commit", "-qm", "First")):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@e.com", *step], cwd=world.work, check=True)
    for view in (world.work / "projects").glob("*/views/products.sql"):
        view.write_bytes(view.read_bytes().replace(b"item.qty as", b"item.qty + 1 as"))
    settings = loud / "project.toml"
    write(settings, settings.read_text("utf-8").replace(CANARY, f"{CANARY}-new"))


def test_nothing_that_a_branch_contains_gets_out(tmp_path: Path) -> None:
    """Its SQL, its settings and its rows, with every command that is made for it."""
    world = World(tmp_path)
    write_branch(world)
    before = world.files("snapshots", "site", ".git")
    for calls in BRANCH.values():
        for words in calls:
            world.run(*words)
    assert world.files("snapshots", "site", ".git") == before
    paths = [*tmp_path.glob("review.*"), *(world.work / "site").iterdir(), *(world.work / "snapshots").rglob("*.*")]
    written = {path.name: path.read_text("utf-8") for path in paths}
    assert {"loud.html", "review.html", "review.md", "mapping.md"} <= {*written}
    assert [name for name, text in written.items() if CANARY in text] == []
    assert not {"\x1b", "\x07", "\x9b"} & {*written["review.md"]}
    assert "octocat" in written["review.md"]
    assert "@octocat" not in "".join(written["review.md"].split("`")[::2])
    assert (world.codes["test", "loud"], world.codes["render", "named"]) == (0, 0), world.said
    assert "'***' as vendor" in world.said
    assert len({*re.findall(r"(?:view|schema|data)-\d", world.said)}) == 2 * len(READERS)


def write_client(erp: Erp, world: World, url: str) -> None:
    """The client's project with a view of products: every text of its database is loud, and repeats the password."""
    world.work = erp.workspace
    world.variables |= {"TEST_URL": url, "TEST_USER": "sandbox", "TEST_PASSWORD": CANARY}
    erp.write("[orders.serve]\nport = 0", statements={"stock.sql": None})
    write(
        erp.root / "views" / "products.sql",
        "select code as source_product_code, code as source_variant_code, title, active as product_active,"
        ' price as csv_price_tiers, 1 as "variants.qty", code as "variants.sku",'
        ' 1 as "variants.inventory_management", title as vendor from item',
    )
    text = f"{LOUD}\n{CANARY}"
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as database, database:
        database.execute("create table item (code text, title text, active text, price text)")
        rows = [("A", text, "Yes", "1"), (text, text, "Yes", "2"), ("C", text, text, "3"), ("D", text, "Yes", text)]
        database.executemany("insert into item values (?, ?, ?, ?)", rows)
        database.execute("insert into erp_item values (?, 1)", (LOUD,))
    lines = [order_line(sku=LOUD, title=text)]
    orders = [
        order_document(1001, notes=text, channel_order_code=f"{text}-1"),
        order_document(1002, line_items=lines, total=None, notes=text, channel_order_code=text),
    ]
    for number, order in enumerate(orders):
        write(erp.workspace / "orders" / f"{number}.json", json.dumps(order))
    write(erp.workspace / "orders" / "9.json", json.dumps({"id": text, "line_items": text}))


def run_live(world: World) -> None:
    """Run each command that connects, in an order in which each finds what the earlier ones left."""
    own = (".state", "snapshots", "site", "projects/acme/fixtures", "erp.sqlite", "beside/cache")
    before = world.files(*own)
    first = ("plan", "run", "orders import", "orders pull")
    for name in (*first, *(name for name in LIVE if name not in first)):
        for words in LIVE[name]:
            world.run(*words)
    assert world.files(*own) == before


@pytest.mark.rubbish
def test_nothing_that_a_database_or_an_order_says_gets_out(
    tmp_path: Path, erp: Erp, make_sandbox: Callable[..., Sandbox]
) -> None:
    """Though it repeats the password, and speaks to the terminal."""
    world = World(tmp_path / "beside")
    sandbox = make_sandbox(password=CANARY)
    write_client(erp, world, sandbox.url)
    run_live(world)
    assert world.codes["run", "acme"] == 4, world.said
    assert ("#1001" in world.said, "\\u001b]0;owned" in world.said, "***" in world.said) == (False, True, True)
    with closing(sqlite3.connect(erp.workspace / "erp.sqlite")) as database:
        assert database.execute("select count(*) from item").fetchone() == (4,)
        assert database.execute("select count(*) from erp_order").fetchone()[0] >= 1


@contextmanager
def repeating_account(*, logs_in: bool) -> Iterator[str]:
    """An account that repeats whatever it is sent, passwords and tokens too, in errors and in odd documents."""

    class Repeats(BaseHTTPRequestHandler):
        count = 0

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            type(self).count += 1
            said: Any = f"{LOUD} {sent} {self.path} {self.headers}"
            status = (400, 422, 500, 200, 403)[self.count % 5]
            if logs_in and self.path.endswith("/users/authenticate"):
                said, status = {"system_user": {"token": f"{CANARY}-token", "sources": said, "id": 1}}, 200
            elif self.count % 3:
                said = {"message": said, "errors": [{said: said}], "data": {said: "\ud800\0"}, "system_products": said}
            body = json.dumps(said).encode()
            self.send_response(status, "Said" + LOUD.replace("\x1b", ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Repeats)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("logs_in", [True, False])
def test_nothing_that_an_account_repeats_gets_out(tmp_path: Path, erp: Erp, *, logs_in: bool) -> None:
    """Neither the password nor the token, in whatever it answers."""
    world = World(tmp_path / "beside")
    with repeating_account(logs_in=logs_in) as url:
        write_client(erp, world, url)
        settings = erp.root / "project.toml"
        settings.write_text(settings.read_text("utf-8").replace("pace = 0", "pace = 0\nretries = 0"), "utf-8")
        run_live(world)
    assert world.codes["run", "acme"] == 1, world.said
