"""What no linter holds of the engine's structure; packages, layers and libraries are held by import-linter."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "engine"
MODULES = sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))

DOORS = {
    "anyio": {"console", "orders"},
    "apprise": {"notify"},
    "cronsim": {"config"},
    "argon2": {"console"},
    "typer": {"cli"},
    "tomli": {"config"},
    "dotenv": {"config"},
    "keyring": {"config"},
    "email_validator": {"sync"},
    "pydantic": {"config"},
    "jinja2": {"html_templates", "mapping"},
    "markupsafe": {"mapping"},
    "sqlglot": {"mapping"},
    "pyodbc": {"database"},
    "mssql_python": {"database"},
    "sqlite3": {"embedded", "file_lock", "database", "orders", "stock2shop", "run_log"},
    "duckdb": {"embedded", "database", "state", "testing", "doctor"},
    "numpy": {"state", "sync"},
    "obstore": {"fleet"},
    "procrastinate": {"fleet"},
    "psycopg": {"fleet"},
    "psycopg_pool": {"fleet"},
    "pyarrow": {"database", "fleet", "state", "sync", "testing"},
    "requests": {"stock2shop", "notify"},
    "rich": {"cli"},
    "urllib3": {"stock2shop"},
    "starlette": {"agent", "console", "sandbox", "orders"},
    "uvicorn": {"http_server", "sandbox", "orders"},
    "typing_extensions": {"agent", "sandbox"},
    "pytest": {"testing"},
    "syrupy": {"testing"},
}
"""The packages that may import a third-party library, or one of the standard library's databases."""


def libraries(name: str) -> set[str]:
    """The libraries that a module imports which are not the standard library's, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ENGINE / name).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"engine"} | (found & {"sqlite3"})


@pytest.mark.parametrize("name", MODULES)
def test_each_library_has_its_door(name: str) -> None:
    """A library is imported in its own packages only: who replaces it knows where to look."""
    package = name.partition("/")[0].removesuffix(".py")
    assert {library for library in libraries(name) if package not in DOORS.get(library, set())} == set()


@pytest.mark.parametrize("name", sorted({*MODULES} - {"files.py"}))
def test_what_cannot_be_seen_is_not_taken_for_absent(name: str) -> None:
    """Whether a file is there is asked in one place: Python's own way takes "may not look" for "no"."""
    asked = {"exists", "is_file", "is_dir"}
    methods = {
        node.func.attr
        for node in ast.walk(ast.parse((ENGINE / name).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert methods & asked == set()


FILE_READERS = {
    "agent/memory.py": "how much memory a process has, as Linux says",
    "agent/worker.py": "its standard input",
    "cli/app.py": "the null device",
    "cli/terminal.py": "the null device",
    "cli/help_pages.py": "the documentation's pages",
    "cli/init.py": "the statement of an agent that the command line names",
    "config/variables.py": "a .env file, which is never committed and may be a link to where secrets are kept",
    "console/audit.py": "the log of who did what",
    "console/render.py": "the console's style and script",
    "database/open.py": "the client's database",
    "demo/__init__.py": "the demo's own workspace",
    "files.py": "the door itself",
    "fleet/checkout.py": "the state, which is a cache of what the fleet has",
    "fleet/database.py": "the engine's SQL",
    "fleet/queue.py": "the library's SQL",
    "mapping/engine_sql.py": "itself",
    "orders/ledger_file.py": "the engine's SQL",
    "run_log/read.py": "when a process began, as Linux says",
    "orders/operations.py": "an order that the command line names",
    "orders/serve.py": "TLS files",
    "pages/render.py": "the engine's style and script",
    "pages/site.py": "pages that it has written",
    "review/git.py": "links in a temporary folder",
    "run_log/file.py": "the engine's SQL, and a run log that is damaged",
    "sandbox/store.py": "the sandbox's own state",
    "state/store.py": "the state and the engine's SQL",
    "state/working_folder.py": "what lies beside the state",
    "state/spill_file.py": "what does not fit into memory, in the working folder of the state",
    "stock2shop/local_user.py": "the token and the pace of a user, beside the state",
    "sync/adopt.py": "what is read back, in the working folder of the state",
    "sync/layout.py": "the engine's SQL",
    "testing/result_cache.py": "the cache and the engine's code",
}
"""The modules that open files without :class:`engine.files.WorkspaceFiles`, and which."""


@pytest.mark.parametrize("name", MODULES)
def test_the_files_of_a_workspace_have_one_door(name: str) -> None:
    """A workspace may be a stranger's branch: its links are followed in one place, which stays inside of it."""
    opening = {"read_text", "read_bytes", "write_text", "write_bytes", "open", "unlink", "rmtree", "copytree"}
    calls = [
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse((ENGINE / name).read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert (opening & {*calls} != set()) == (name in FILE_READERS)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_small_enough_to_read(name: str) -> None:
    """At most 450 lines: a module with more has two reasons to change."""
    assert len((ENGINE / name).read_text("utf-8").splitlines()) <= 450


def test_each_exception_from_a_check_says_why() -> None:
    """A ``noqa`` or ``type: ignore`` without a reason is one that nobody dares to remove."""
    reasonless = re.compile(r"# noqa(: [A-Z0-9, ]+)?$|# type: ignore(\[[a-z, -]+\])?$")
    found = [
        f"{path.relative_to(ENGINE.parent)}:{number}"
        for folder in ("engine", "tests", "docs", "benchmarks")
        for path in (ENGINE.parent / folder).rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if reasonless.search(line)
    ]
    assert found == []


def test_the_engine_knows_no_client_and_a_client_no_python() -> None:
    """What differs between clients is SQL and TOML in their own folders."""
    root = ENGINE.parent
    names = [path.parent.name for path in root.glob("projects/*/project.toml")]
    assert names
    sources = {path: path.read_text("utf-8") for path in ENGINE.rglob("*") if path.suffix in {".py", ".sql"}}
    assert [path.name for path, text in sources.items() if any(name in text for name in names)] == []
    assert [*root.glob("projects/**/*.py"), *root.glob("templates/**/*.py")] == []
