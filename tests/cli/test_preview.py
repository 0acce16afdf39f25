"""`s2s preview` shows what a view gives right now, and again whenever a file of the project is saved."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.output import read_result

from engine.cli import preview

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

VIEW = """
select code as source_variant_code, code as source_product_code, name as title, 'Yes' as product_active,
    price as "variants.price", qty as "variants.qty", code as "variants.sku" from item order by code
"""
PROJECT = """
[source]
dialect = "sqlite"
database = "../../erp.db"
[stock2shop]
source_id = 57
username = "${ACME_S2S_USER}"
password = "${ACME_S2S_PASSWORD}"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace whose project reads three items; one has no title, and one no whole quantity."""
    with closing(sqlite3.connect(tmp_path / "erp.db")) as connection, connection:
        connection.execute("create table item (code text, name text, price numeric, qty numeric)")
        rows = [("A1", "Hammer", 10.5, 3), ("A2", "", 4, 1), ("A3", "Rope", 2, 1.5)]
        connection.executemany("insert into item values (?, ?, ?, ?)", rows)
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "project.toml").write_text(PROJECT, "utf-8")
    (root / "views" / "products.sql").write_text(VIEW, "utf-8")
    return tmp_path


def s2s(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command without a login to Stock2Shop."""
    return run_command(*words, folder=workspace, variables={})


def test_rows_are_shown_with_their_faults_and_the_document_of_one(workspace: Path) -> None:
    """Without a login to Stock2Shop, and without a state."""
    shown = s2s(workspace, "preview", "acme")
    assert shown.returncode == 0, shown.stderr
    assert "acme · products: 3 of 3 rows read\n" in shown.stdout
    assert "2  Active  A2" in shown.stdout
    assert "! (blank)" in shown.stdout
    assert "  ! A2  title: a required field is blank. " in shown.stdout
    assert "  ~ A3  variants.qty = 1.5: " in shown.stdout
    assert "A1 as it would be sent:" in shown.stdout
    assert json.loads(shown.stdout.partition("sent:\n")[2])["system_products"][0]["product"]["title"] == "Hammer"
    assert not (workspace / ".state").exists()


@pytest.mark.parametrize("where", ["A3", "variants.sku=A3", "title = Rope"])
def test_one_row_is_looked_for(workspace: Path, where: str) -> None:
    """By its key, or by any field that the view maps."""
    shown = s2s(workspace, "preview", "acme", "--where", where, "--output", "json")
    (found,) = read_result(shown.stdout)
    assert [row["_key"] for row in found["rows"]] == ["A3"]
    assert found["document_key"] == "A3"


def test_a_field_that_is_not_mapped_is_said(workspace: Path) -> None:
    """With those that are."""
    shown = s2s(workspace, "preview", "acme", "--where", "vendor=x")
    assert shown.returncode == 2
    assert "It maps: source_variant_code" in shown.stderr


def test_a_wide_view_is_shown_in_blocks_of_columns(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fits into a line."""
    monkeypatch.setattr(preview, "PIPE_WIDTH", 60)
    shown = s2s(workspace, "preview", "acme", "--limit", "2")
    table = shown.stdout.partition("! is held")[0].splitlines()[1:]
    assert max(map(len, table)) <= 60
    assert sum(line.startswith("1  Active") for line in table) > 1


def test_no_more_rows_are_read_than_are_needed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that there are more."""
    monkeypatch.setattr("engine.sync.preview.MAX_ROWS", 2)
    assert "2 of 2 rows read, and there are more" in s2s(workspace, "preview", "acme").stdout


def test_it_is_shown_again_when_a_file_is_saved(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file is wrong for a while; Ctrl-C ends it."""
    view = workspace / "projects" / "acme" / "views" / "products.sql"
    saves = [VIEW.replace("name as title", "name as"), VIEW.replace("name as title", "upper(name) as title")]

    def save(_: float) -> None:
        if not saves:
            raise KeyboardInterrupt
        view.write_text(saves.pop(0), "utf-8")

    monkeypatch.setattr("engine.cli.preview.time.sleep", save)
    shown = s2s(workspace, "preview", "acme", "--watch")
    assert shown.returncode == 130
    assert "Hammer" in shown.stdout
    assert "HAMMER" in shown.stdout
    assert "products.sql" in shown.stderr
