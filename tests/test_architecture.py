"""The layers hold: imports point down, and each third-party library has one door."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "engine"

LAYERS = [
    {"errors"},
    {"model"},
    {"contract", "quoting", "inbox", "places", "drivers", "complaints", "files", "patience", "serving"},
    {"refusals"},
    {"render", "project", "dialect", "source", "state", "api", "rewrites"},
    {"stage", "payload", "ledger", "lineage", "transpile"},
    {"validate", "acknowledge", "raising"},
    {"diff", "report", "send", "history", "expectations"},
    {"sync", "orders"},
    {"adopt", "explain", "doctor", "scaffold", "sandbox", "fixtures", "receiver"},
    {"rehearsal", "remembered"},
    {"snapshots", "capture"},
    {"review", "introspect"},
    {"review_report"},
    {"page"},
    {"site"},
    {"demo"},
    {"terminal", "pytest_plugin"},
    {"cli_orders", "cli_review", "cli_init"},
    {"cli"},
    {"__main__"},
]

DOORS = {
    "typer": {"cli", "cli_init", "cli_orders", "cli_review", "terminal"},
    "pytest": {"pytest_plugin"},
    "syrupy": {"pytest_plugin"},
    "tomli": {"project"},
    "pydantic": {"project"},
    "jinja2": {"render", "page", "places"},
    "markupsafe": {"render"},
    "sqlglot": {"dialect", "lineage", "transpile", "refusals", "rewrites"},
    "pyodbc": {"source"},
    "sqlite3": {"source", "ledger"},
    "duckdb": {"state", "source", "doctor", "demo", "fixtures"},
    "requests": {"api"},
    "urllib3": {"api"},
    "orjson": {"payload"},
    "starlette": {"sandbox", "receiver"},
    "uvicorn": {"sandbox", "receiver", "serving"},
    "numpy": {"state", "stage"},
    "pyarrow": {"state", "stage", "source", "sync", "adopt", "explain", "capture"},
    "typing_extensions": {"sandbox"},
}


def modules() -> dict[str, ast.Module]:
    """Every module of the engine by name; a package is one module."""
    found = {path.stem: path for path in ENGINE.glob("*.py") if path.stem != "__init__"}
    found["demo"] = ENGINE / "demo" / "__init__.py"
    return {name: ast.parse(path.read_text("utf-8")) for name, path in found.items()}


def imported(tree: ast.Module) -> set[str]:
    """Full names of what a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def test_every_module_has_its_layer() -> None:
    """A new module says where it stands."""
    assert set().union(*LAYERS) == set(modules())


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    """A module imports only from layers below its own."""
    height = {module: number for number, layer in enumerate(LAYERS) for module in layer}
    used = {part.split(".")[1] for part in imported(modules()[name]) if part.startswith("engine.")}
    assert {other for other in used & set(height) if height[other] >= height[name]} == set()


@pytest.mark.parametrize("name", sorted(modules()))
def test_each_library_has_its_door(name: str) -> None:
    """A third-party library is imported only where the table says."""
    libraries = {part.split(".")[0] for part in imported(modules()[name])}
    third_party = libraries - set(sys.stdlib_module_names) - {"engine"} | (libraries & {"sqlite3"})
    assert {library for library in third_party if name not in DOORS[library]} == set()


@pytest.mark.parametrize("name", sorted(set(modules()) - {"files"}))
def test_what_cannot_be_seen_is_not_taken_for_absent(name: str) -> None:
    """Whether a file is there is asked in one place: Python's own way takes "may not look" for "no"."""
    asked = {"exists", "is_file", "is_dir"}
    methods = {
        node.func.attr
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert methods & asked == set()


def test_the_engine_knows_no_client_and_a_client_no_python() -> None:
    """What differs between clients is SQL and TOML in their own folders."""
    root = ENGINE.parent
    names = [path.parent.name for path in root.glob("projects/*/project.toml")]
    assert names
    sources = {path: path.read_text("utf-8") for path in ENGINE.rglob("*") if path.suffix in {".py", ".sql"}}
    assert [path.name for path, text in sources.items() if any(name in text for name in names)] == []
    assert [*root.glob("projects/**/*.py"), *root.glob("templates/**/*.py")] == []
