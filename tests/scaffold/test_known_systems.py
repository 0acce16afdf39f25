"""A database whose tables are those of a known system: init says so, and its template leads to a green plan."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from support.command import run_command

from engine.scaffold.scaffold import known_system
from engine.testing.fixtures import read_fixture

if TYPE_CHECKING:
    import subprocess

LIBRARY = Path(__file__).parents[2] / "templates" / "sql"


def s2s(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a scheduler would, without a terminal."""
    variables = {"ACME_S2S_USER": "me", "ACME_S2S_PASSWORD": "secret", "ACME_DSN": "x", "ACME_USER": "x"}
    return run_command(*words, folder=workspace, variables={**variables, "ACME_PASSWORD": "x"})


def tables_of(template: str) -> list[str]:
    """The tables that a template reads."""
    return [path.stem for path in (LIBRARY / template / "fixtures").glob("*.csv")]


@pytest.mark.parametrize(
    ("tables", "template"),
    [
        (tables_of("opencart"), "opencart"),
        ([name.replace("ps_", "shop7_") for name in tables_of("prestashop")], "prestashop"),
        ([name.lower() for name in tables_of("sap_business_one")], "sap_business_one"),
        (["STOCK", "DEBTORS"], None),
        (["oc_product", "oc_customer", "note"], None),
    ],
)
def test_a_system_is_known_by_its_tables(tmp_path: Path, tables: list[str], template: str | None) -> None:
    """All of them, behind whatever prefix; two with ordinary names are not enough."""
    found = known_system(tmp_path, [*tables, "other"])
    assert (found and found[0]) == template


def test_from_an_erps_template_to_a_green_plan(tmp_path: Path) -> None:
    """Told by its tables, begun from its template, tested on its fixtures, planned on its database."""
    with closing(duckdb.connect(str(tmp_path / "erp.duckdb"))) as connection:
        for path in (LIBRARY / "syspro" / "fixtures").glob("*.csv"):
            fixture = read_fixture(path)
            columns = ", ".join(
                f'"{name}" {kind}' for name, kind in zip(fixture.columns, fixture.inferred, strict=True)
            )
            connection.execute(f'create table "{path.stem}" ({columns})')
            marks = ", ".join("?" * len(fixture.columns))
            connection.executemany(f'insert into "{path.stem}" values ({marks})', fixture.rows)
    looked = s2s(tmp_path, "init", "first", "--database", "erp.duckdb", "--introspect")
    assert "These are the tables of Syspro" in looked.stdout
    begun = s2s(tmp_path, "init", "acme", "--template", "syspro", "--source-id", "57")
    assert begun.returncode == 0, begun.stderr
    assert s2s(tmp_path, "test", "acme").returncode == 0
    toml = tmp_path / "projects" / "acme" / "project.toml"
    lines = toml.read_text("utf-8").replace('dialect = "tsql"', 'dialect = "duckdb"').splitlines()
    lines = ['database = "../../erp.duckdb"' if line.startswith("connection") else line for line in lines]
    toml.write_text("\n".join(lines) + "\n", "utf-8")
    assert "acme: ready" in s2s(tmp_path, "check", "acme").stdout
    planned = s2s(tmp_path, "plan", "acme", "--offline")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "+ B100" in planned.stdout
