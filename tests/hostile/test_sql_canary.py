"""A branch's SQL, run by whoever reviews it: nothing of their files and variables stands in any output."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.mapping import VIEW, write, write_project

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-8c20e1"
READERS = (
    "(select content from read_text('{home}/.env'))",
    "(select max(column0) from read_csv('{home}/.env', header = false, sep = '|'))",
    "(select max(column0) from '{home}/secret.csv')",
    "(select string_agg(file, ',') from glob('{home}/*'))",
    "(select content from read_text('/proc/self/environ'))",
    "getenv('S2S_CANARY')",
)
"""Expressions of DuckDB that read what is outside of the database."""


@pytest.mark.parametrize("place", ["view", "data test", "schema", "data test behind a line"])
@pytest.mark.parametrize("reader", READERS)
def test_sql_of_a_branch_reads_nothing_outside_of_its_fixtures(tmp_path: Path, reader: str, place: str) -> None:
    """Neither as a view, a data test nor a schema, whatever the command prints."""
    home, workspace = tmp_path / "home", tmp_path / "work"
    write(home / ".env", f"TOKEN={CANARY}\n")
    write(home / "secret.csv", f"{CANARY}\n")
    write(home / f"{CANARY}.txt", "")
    expression = reader.format(home=home.as_posix())
    root = write_project(workspace)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for step in (("init", "-q"), ("add", "."), ("commit", "-qm", "First")):
        subprocess.run([*git, *step], cwd=workspace, check=True)
    if place == "view":
        write(root / "views" / "products.sql", VIEW.replace("item.descr as title", f"{expression} as title"))
    elif place == "schema":
        write(root / "fixtures" / "schema.sql", f"create table other as select {expression} as s")
    else:
        lead = "-- \r" if "behind" in place else ""
        write(root / "tests" / "leak.sql", f"{lead}select {expression} as source_variant_code from products")
    before = {path: path.read_bytes() for path in home.rglob("*")}
    for words in (("check", "acme"), ("test", "acme", "--update"), ("review", "acme", "--output", "json"), ("docs",)):
        ran = run_command(*words, folder=workspace, variables={"S2S_CANARY": f"variable-{CANARY}"})
        assert CANARY not in ran.stdout + ran.stderr, words
    written = [path for folder in ("snapshots", "site") for path in (workspace / folder).rglob("*") if path.is_file()]
    assert [path for path in written if CANARY in path.read_text("utf-8")] == []
    assert {path: path.read_bytes() for path in home.rglob("*")} == before
