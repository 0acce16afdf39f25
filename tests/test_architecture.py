"""What no linter holds of the engine's structure; packages, layers and libraries are held by import-linter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "engine"
MODULES = sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))


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


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_small_enough_to_read(name: str) -> None:
    """At most 450 lines: a module with more has two reasons to change."""
    assert len((ENGINE / name).read_text("utf-8").splitlines()) <= 450


def test_the_engine_knows_no_client_and_a_client_no_python() -> None:
    """What differs between clients is SQL and TOML in their own folders."""
    root = ENGINE.parent
    names = [path.parent.name for path in root.glob("projects/*/project.toml")]
    assert names
    sources = {path: path.read_text("utf-8") for path in ENGINE.rglob("*") if path.suffix in {".py", ".sql"}}
    assert [path.name for path, text in sources.items() if any(name in text for name in names)] == []
    assert [*root.glob("projects/**/*.py"), *root.glob("templates/**/*.py")] == []
