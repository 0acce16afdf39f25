"""Run the engine's commands in processes of their own without paying for Python's start each time.

A process that has imported the engine, and made some runs so that what is read once has been read, forks for every
command; the child is what ``python -m engine …`` would be a moment after its start. So each command is a real
process that can really be killed.

Reads one JSON object a line from standard input, ``{"argv": […], "env": {…}, "out": path, "err": path, "here": …}``,
and writes two lines for it: ``{"pid": …}`` when the command runs, and ``{"status": …}`` when it has ended: its exit
code, or the number of the signal that ended it, negative. With ``here`` it runs in this process, as in an agent's
worker, which does one run after the other.

A command that was frozen with SIGSTOP has that signal's number for its status, too; ``{"wake": pid}`` has it go on, and
is answered with how it ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import fleet_machine

from model import oracle, sources

if TYPE_CHECKING:
    from engine.sandbox.server import Sandbox

MODULES = (
    "duckdb",
    "psycopg",
    "pyarrow",
    "pyodbc",
    "requests",
    "sqlglot",
    "engine.cli.app",
    "engine.config.loader",
    "engine.fleet.checkout",
    "engine.fleet.order_ledgers",
    "engine.fleet.transfer",
    "engine.fleet.users",
    "engine.mapping.views",
    "engine.sync.adopt",
    "engine.sync.history",
    "engine.sync.pipeline",
    "engine.sync.report",
)


def be_command(argv: list[str], env: dict[str, str], out: str, err: str) -> NoReturn:
    """Be the command in a process of its own, and end with its exit code."""
    code = 1
    try:
        for number, path in ((0, os.devnull), (1, out), (2, err)):
            _redirect(number, path)
        code = _call(argv, env)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_here(argv: list[str], env: dict[str, str], out: str, err: str) -> int:
    """Run the command in this process, as an agent's worker does; gives its exit code."""
    kept = [os.dup(number) for number in (0, 1, 2)]
    environ = dict(os.environ)
    try:
        for number, path in ((0, os.devnull), (1, out), (2, err)):
            _redirect(number, path)
        return _call(argv, env)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.environ.clear()
        os.environ.update(environ)
        for number, file in enumerate(kept):
            os.dup2(file, number)
            os.close(file)


def _redirect(number: int, path: str) -> None:
    file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, number)
    os.close(file)


def _call(argv: list[str], env: dict[str, str]) -> int:
    from engine.cli.app import main

    os.environ.update(env)
    sys.argv = ["s2s", *argv]
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0


VIEWS = (("products", "csv"), ("products", "columns"), ("products", "both"), ("customers", ""))
"""The entities, and how a view of them says prices: every view that a history can have."""


def warm() -> None:
    """Import what commands import, and run a project of each view twice, with a change between.

    What is kept for as long as a process lives, such as its own statements that DuckDB has parsed, is there then.
    """
    for module in MODULES:
        importlib.import_module(module)
    from engine.sandbox.server import Sandbox
    from engine.sandbox.settings import SandboxSettings

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        Sandbox(SandboxSettings(pace=0)) as sandbox,
    ):
        os.environ["S2S_STATE"] = str(Path(folder, "state"))
        for entity, pricing in VIEWS:
            _warm_view(Path(folder), sandbox, entity, pricing)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at


def _warm_view(folder: Path, sandbox: Sandbox, entity: str, pricing: str) -> None:
    from engine.cli.app import main

    name = f"warm-{entity}-{pricing}".rstrip("-")
    root = folder / "projects" / name
    (root / "views").mkdir(parents=True)
    mapped = oracle.MAPPINGS[entity] | oracle.PRICES.get(pricing, {})
    view = sources.view(entity, "sqlite", mapped)
    (root / "views" / f"{entity}.sql").write_text(view, "utf-8")
    (root / "project.toml").write_text(
        '[source]\ndialect = "sqlite"\ndatabase = "erp.sqlite"\n'
        f'[stock2shop]\nurl = "{sandbox.url}"\nsource_id = {sandbox.settings.source_id}\n'
        'username = "sandbox"\npassword = "sandbox"\n',
        "utf-8",
    )
    source = sources.Sqlite(root)
    sources.create(source, entity)
    for title in ("Old", "New"):
        values = {"code": "K1", "product": "P1", "title": title, "last": title, "active": "Active", "sku": "S1"}
        row = dict.fromkeys(sources.COLUMNS[entity]) | {**values, "email": "one@example.com", "track": "true"}
        sources.write(source, entity, {1: {key: row[key] for key in sources.COLUMNS[entity]}}, frozenset(), "whole")
        sys.argv = ["s2s", "--workspace", str(folder), "run", name]
        try:
            main()
        except SystemExit as left:
            if left.code:
                raise RuntimeError(f"the run of {name} that warms up ended with exit code {left.code}") from left


def serve() -> None:
    """Answer until standard input ends."""
    fleet_machine.shorten()
    warm()
    _say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wake" in asked:
            os.kill(asked["wake"], signal.SIGCONT)
            _say(status=_wait(asked["wake"]))
            continue
        words = (asked["argv"], asked["env"], asked["out"], asked["err"])
        if asked["here"]:
            _say(pid=os.getpid())
            _say(status=run_here(*words))
            continue
        pid = os.fork()
        if pid == 0:
            be_command(*words)
        _say(pid=pid)
        _say(status=_wait(pid))
    gc.unfreeze()  # or DuckDB's module says at the end that it was not tidied up


def _wait(pid: int) -> int:
    """How a command ends, or that it was frozen."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    return -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)


def _say(**line: int) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        serve()
