"""Run the engine's commands in processes of their own without paying for Python's start each time.

A process that has imported the engine, and made one run so that what is read once has been read, forks for every
command; the child is what ``python -m engine …`` would be a moment after its start. So each command is a real
process that can really be killed.

Reads one JSON object a line from standard input, ``{"argv": […], "env": {…}, "out": path, "err": path}``, and writes
two lines for it: ``{"pid": …}`` when the child runs, ``{"status": …}`` when it has ended: its exit code, or the number
of the signal that ended it, negative.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sqlite3
import sys
import tempfile
from pathlib import Path

MODULES = (
    "duckdb",
    "pyarrow",
    "pyodbc",
    "requests",
    "sqlglot",
    "engine.cli.app",
    "engine.config.loader",
    "engine.mapping.views",
    "engine.sync.adopt",
    "engine.sync.history",
    "engine.sync.pipeline",
    "engine.sync.report",
)


def run(argv: list[str], env: dict[str, str], out: str, err: str) -> None:
    """Be the command, and end with its exit code."""
    code = 1
    try:
        for number, path in ((1, out), (2, err)):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(env)
        sys.argv = ["s2s", *argv]
        from engine.cli.app import main

        main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def warm() -> None:
    """Import what commands import, and run a project of one item once."""
    for module in MODULES:
        importlib.import_module(module)
    from engine.cli.app import main
    from engine.sandbox.server import Sandbox
    from engine.sandbox.settings import SandboxSettings

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        Sandbox(SandboxSettings(pace=0)) as sandbox,
    ):
        root = Path(folder, "projects", "warm")
        (root / "views").mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(root / "erp.sqlite")) as source:
            source.executescript("create table item (code text); insert into item values ('A')")
        names = ("source_product_code", "source_variant_code", "title", "product_active", "variants.sku")
        columns = ", ".join(f"'1' as \"{name}\"" for name in names)
        (root / "views" / "products.sql").write_text(f"select {columns} from item", "utf-8")
        (root / "project.toml").write_text(
            '[source]\ndialect = "sqlite"\ndatabase = "erp.sqlite"\n'
            f'[stock2shop]\nurl = "{sandbox.url}"\nsource_id = 1\nusername = "sandbox"\npassword = "sandbox"\n',
            "utf-8",
        )
        os.environ["S2S_STATE"] = str(Path(folder, "state"))
        sys.argv = ["s2s", "--workspace", folder, "run", "warm"]
        with contextlib.suppress(SystemExit):
            main()


def serve() -> None:
    """Answer until standard input ends."""
    warm()
    _say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(asked["argv"], asked["env"], asked["out"], asked["err"])
        _say(pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(status=os.waitstatus_to_exitcode(status))


def _say(**line: int) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        serve()
