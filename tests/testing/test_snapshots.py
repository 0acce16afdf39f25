"""Snapshots say what a mapping comes to, the same on every machine, and nothing of them goes missing unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from support.command import run_command
from support.mapping import ITEM, PRICE, VIEW, offline, produced, write, write_project
from support.output import read_result

from engine.config.workspace import discover
from engine.errors import ConfigError, FixtureError
from engine.testing.fixture_run import fixture_session
from engine.testing.snapshots import (
    build_snapshots,
    compare_snapshots,
    format_json,
    normalize_sql,
    render_order_statements,
    update_snapshots,
)

ROOT = Path(__file__).parents[2]


def s2s(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a workspace, with no variable of the project set."""
    return run_command(*words, folder=workspace, variables={})


def pytested(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a plain pytest in a workspace, with the plugin that the package brings."""
    plugin = [] if _installed() else ["-p", "engine.testing.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *words],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(found.value == "engine.testing.pytest_plugin" for found in entry_points(group="pytest11"))


def snapshot(workspace: Path, name: str) -> Path:
    """A snapshot of ``acme``."""
    return workspace / "snapshots" / "acme" / name


def test_a_project_comes_to_its_files(tmp_path: Path) -> None:
    """SQL, documents, quarantine and mapping, each ending with one line end."""
    write_project(tmp_path)
    files = produced(tmp_path).files
    assert sorted(files) == ["mapping.md", "products.json", "products.sql", "quarantine.json"]
    assert files["products.sql"] == VIEW
    assert [item["source"]["source_product_code"] for item in json.loads(files["products.json"])] == ["A1", "B2"]
    (held,) = json.loads(files["quarantine.json"])["products"]
    assert (held["key"], held["column"], held["rule"]) == ("C3", "title", "blank_field")
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in files.values())


def test_what_is_produced_is_the_same_each_time(tmp_path: Path) -> None:
    """Nothing of the time, the place or the order of rows is in a snapshot."""
    lines = ITEM.splitlines()
    write_project(tmp_path / "one")
    turned = "\n".join([lines[0], *reversed(lines[1:])]) + "\n"
    write_project(tmp_path / "two", fixtures={"item": turned.replace("\n", "\r\n"), "price": PRICE})
    assert produced(tmp_path / "one").files == produced(tmp_path / "two").files


def test_updated_snapshots_are_as_committed(tmp_path: Path) -> None:
    """What was written compares as equal, also after a checkout turned its line ends."""
    write_project(tmp_path)
    made = produced(tmp_path)
    assert {each.state for each in update_snapshots(made)} == {"missing"}
    assert compare_snapshots(made) == ()
    for path in snapshot(tmp_path, "").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert compare_snapshots(made) == ()


def test_a_changed_mapping_shows_as_a_diff(tmp_path: Path) -> None:
    """The diff names the file, what stood there and what stands there now."""
    root = write_project(tmp_path)
    update_snapshots(produced(tmp_path))
    write(root / "views" / "products.sql", VIEW.replace("item.qty as", "item.qty * 2 as"))
    found = {each.path.name: each for each in compare_snapshots(produced(tmp_path))}
    assert set(found) >= {"products.json", "products.sql"}
    assert '-    item.qty as "variants.qty",\n+    item.qty * 2 as "variants.qty",' in found["products.sql"].diff
    assert found["products.sql"].diff.startswith("--- snapshots/acme/products.sql\n+++ snapshots/acme/products.sql")


def test_missing_and_unused_snapshots_differ(tmp_path: Path) -> None:
    """A file too few and a file too many are both told, and both fixed by an update."""
    write_project(tmp_path)
    update_snapshots(produced(tmp_path))
    snapshot(tmp_path, "mapping.md").unlink()
    write(snapshot(tmp_path, "old.sql"), "select 1\n")
    found = [(each.path.name, each.state) for each in compare_snapshots(produced(tmp_path))]
    assert found == [("mapping.md", "missing"), ("old.sql", "unused")]
    update_snapshots(produced(tmp_path))
    assert compare_snapshots(produced(tmp_path)) == ()


def test_what_did_not_change_is_not_rehearsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time costs no database, and gives the same."""
    root = write_project(tmp_path)
    write(root / "tests" / "dear.sql", "select * from products where csv_price_tiers = '100'")
    first = produced(tmp_path)
    monkeypatch.setattr("engine.testing.fixture_run._load_all_fixtures", None)
    assert produced(tmp_path) == first
    assert [test.keys for test in first.failed] == [("B2",)]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("views/products.sql", "item.qty as", "item.qty * 2 as"),
        ("fixtures/item.csv", "Hammer", "Mallet"),
        (
            "fixtures/schema.sql",
            "",
            "create table item (code varchar, descr varchar, web varchar, qty int, brand int);",
        ),
        ("tests/dear.sql", "'100'", "'99.5'"),
        ("project.toml", "source_id = 57", "source_id = 58"),
    ],
)
def test_what_changed_is_rehearsed_again(tmp_path: Path, path: str, old: str, new: str) -> None:
    """Nothing that a result comes from can change without the result."""
    root = write_project(tmp_path)
    write(root / "tests" / "dear.sql", "select * from products where csv_price_tiers = '100'")
    before = produced(tmp_path)
    text = (root / path).read_text("utf-8") if old else ""
    write(root / path, text.replace(old, new) if old else new)
    try:
        after = produced(tmp_path)
    except ConfigError:
        return
    assert (after.files, after.failed) != (before.files, before.failed)


def test_what_macros_write_for_duckdb_alone_is_rehearsed_again_when_it_changes(tmp_path: Path) -> None:
    """And recalled until then, like what is translated."""
    macros = """{% macro first(x) -%}
    {% if dialect == "duckdb" %}split_part({{ x }}, ' ', 1){% else %}substr_before({{ x }}, ' '){% endif %}
    {%- endmacro %}"""
    view = "{% import 'own.sql' as own %}" + VIEW.replace("item.descr", "{{ own.first('item.descr') }}")
    root = write_project(tmp_path, dialect="hana", view=view)
    write(root / "own.sql", macros)
    first = produced(tmp_path)
    assert "DuckDB's own SQL" in first.notes[0]
    with fixture_session([]) as nothing:
        assert build_snapshots(nothing, offline(tmp_path)) == first
    write(root / "own.sql", macros.replace("1)", "2)"))
    assert produced(tmp_path).files != first.files


def test_a_damaged_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The views are run again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    write_project(tmp_path)
    first = produced(tmp_path)
    (cached,) = (tmp_path / "cache").rglob("acme.json")
    write(cached, "{")
    assert produced(tmp_path) == first


def test_a_project_without_fixtures_has_its_sql_and_its_mapping(tmp_path: Path) -> None:
    """What needs no rows is compared all the same, and a note says how to get the rest."""
    write_project(tmp_path, fixtures={})
    made = produced(tmp_path)
    assert sorted(made.files) == ["mapping.md", "products.sql"]
    assert "s2s fixtures capture acme" in made.notes[0]


def test_faults_of_all_entities_are_said_at_once(tmp_path: Path) -> None:
    """A broken view does not hide another one."""
    root = write_project(tmp_path, view="select 1 as nonsense from item")
    write(root / "views" / "customers.sql", "select 1 as rubbish from item")
    with pytest.raises(ConfigError) as caught:
        produced(tmp_path)
    assert {fault.path.name for fault in caught.value.diagnostics if fault.path} == {"products.sql", "customers.sql"}


def test_rendered_sql_is_evened_out_but_not_in_quotes() -> None:
    """Blanks at line ends and repeated blank lines go; what a text says stays."""
    sql = "select  \r\n\n\n\n  'a  \n\n\n b' as x, -- why  \n  1 as y\t\n"
    assert normalize_sql(sql, "duckdb") == "select\n\n  'a  \n\n\n b' as x, -- why\n  1 as y\n"


def test_documents_read_well_in_a_diff() -> None:
    """Keys are sorted, numbers keep their digits, and a plain item of a list stands on one line."""
    value = {"b": [{"tier": "Trade", "price": Decimal("0.10")}], "a": {"x": None, "y": "é"}, "c": []}
    expected = (
        '{\n  "a": {\n    "x": null,\n    "y": "é"\n  },\n'
        '  "b": [\n    {"price": 0.10, "tier": "Trade"}\n  ],\n  "c": []\n}'
    )
    assert format_json(value) == expected
    assert json.loads(format_json(value), parse_float=Decimal) == value


def test_order_statements_are_shown_with_their_values(tmp_path: Path) -> None:
    """What raising an order of the fixtures would run, in the order in which it would be run; by a rule too."""
    root = write_project(tmp_path)
    write(root / "orders" / "10_header.sql", "insert into ord (id) values ({{ order.reference }}) returning id\n")
    lines = "insert into line values ({{ results.header.id }}, {{ line.sku }}, {{ line.qty }})\n"
    write(root / "orders" / "20_lines.line.sql", lines)
    write(root / "orders" / "lookup.sql", "select id as source_order_code from ord where id = {{ order.reference }}\n")
    settings = '\n[orders]\ndatabase = "erp.sqlite"\ndialect = "sqlite"\ndefault_customer = "CASH"\n'
    write(root / "project.toml", (root / "project.toml").read_text("utf-8") + settings)
    assert render_order_statements(offline(tmp_path)) is None
    assert any("no order in fixtures/order.json" in note for note in produced(tmp_path).notes)
    order = {"id": 7, "line_items": [{"sku": "A1", "qty": "2.50"}]}
    write(root / "fixtures" / "order.json", json.dumps(order))
    assert produced(tmp_path).files["orders.sql"] == (
        "-- orders/lookup.sql\nselect id as source_order_code from ord where id = ?\n--   1: 7\n\n"
        "-- orders/10_header.sql\ninsert into ord (id) values (?) returning id\n--   1: 7\n\n"
        "-- orders/20_lines.line.sql\ninsert into line values (?, ?, ?)\n"
        "--   1: <header.id>\n--   2: A1\n--   3: 2.50\n"
    )
    write(root / "fixtures" / "order.json", json.dumps({**order, "line_items": []}))
    assert "This order would wait: the order has no lines." in produced(tmp_path).files["orders.sql"]
    write(root / "fixtures" / "order.json", "[]")
    with pytest.raises(FixtureError, match=r"order\.json: The document is not an order"):
        render_order_statements(offline(tmp_path))


def test_the_command_says_what_differs_and_how_to_take_it_over(tmp_path: Path) -> None:
    """Missing snapshots fail; after an update the same command is content."""
    write_project(tmp_path)
    ran = s2s(tmp_path, "test")
    assert ran.returncode == 1, ran.stderr
    assert "products.json: missing" in ran.stdout
    assert "s2s test acme --update" in ran.stdout
    assert s2s(tmp_path, "test", "--update").returncode == 0
    ran = s2s(tmp_path, "test", "acme")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "acme: 4 snapshots as committed\n", "")


def test_the_command_fails_for_a_failed_data_test(tmp_path: Path) -> None:
    """Snapshots that fit do not make up for a row that must not exist."""
    root = write_project(tmp_path)
    s2s(tmp_path, "test", "--update")
    write(root / "tests" / "dear.sql", "select * from products where csv_price_tiers = '100'")
    ran = s2s(tmp_path, "test", "--output", "json")
    (result,) = read_result(ran.stdout)
    assert (ran.returncode, result["outcome"]) == (1, "failed")
    assert result["tests"][0]["name"] == "dear"


def test_one_broken_project_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its fault is told with exit code 2, and the next project is tested."""
    write_project(tmp_path, name="acme", view="select 1 as nonsense")
    write_project(tmp_path, name="zeta")
    ran = s2s(tmp_path, "test", "--update")
    assert ran.returncode == 2
    assert "nonsense" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (tmp_path / "snapshots" / "zeta" / "products.json").is_file()


def test_snapshots_of_a_project_that_is_gone_fail(tmp_path: Path) -> None:
    """A folder that nothing uses any more is told, and removed by an update."""
    write_project(tmp_path)
    s2s(tmp_path, "test", "--update")
    write(tmp_path / "snapshots" / "gone" / "products.sql", "select 1\n")
    ran = s2s(tmp_path, "test")
    assert ran.returncode == 1
    assert "there is no project gone" in ran.stdout
    assert s2s(tmp_path, "test", "--update").returncode == 0
    assert not (tmp_path / "snapshots" / "gone").exists()


def test_a_plain_pytest_checks_the_snapshots(tmp_path: Path) -> None:
    """What the command wrote passes, one test a snapshot; a change fails and names the file."""
    root = write_project(tmp_path)
    s2s(tmp_path, "test", "--update")
    ran = pytested(tmp_path, "-vv")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "projects/acme/project.toml::products.json PASSED" in ran.stdout
    assert "projects/acme/project.toml::unused PASSED" in ran.stdout
    write(root / "views" / "products.sql", VIEW.replace("item.qty as", "item.qty * 2 as"))
    ran = pytested(tmp_path)
    assert ran.returncode == 1
    assert "project.toml::products.sql" in ran.stdout
    assert "item.qty * 2" in ran.stdout


def test_pytest_rewrites_the_snapshots(tmp_path: Path) -> None:
    """The option that syrupy has writes what the command would."""
    write_project(tmp_path)
    assert pytested(tmp_path).returncode == 1
    write(snapshot(tmp_path, "old.sql"), "select 1\n")
    ran = pytested(tmp_path, "--snapshot-update")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert compare_snapshots(produced(tmp_path)) == ()


def test_pytest_finds_snapshots_that_nothing_uses(tmp_path: Path) -> None:
    """A file too many fails, and so does a folder whose project is gone."""
    write_project(tmp_path)
    s2s(tmp_path, "test", "--update")
    write(snapshot(tmp_path, "old.sql"), "select 1\n")
    write(tmp_path / "snapshots" / "gone" / "a.sql", "select 1\n")
    ran = pytested(tmp_path)
    assert ran.returncode == 1
    assert "old.sql: no snapshot has this name" in ran.stdout
    assert "there is no project gone" in ran.stdout


def test_pytest_runs_the_data_tests(tmp_path: Path) -> None:
    """Each is a test of its own; a fault of the project is one that fails with what to do."""
    root = write_project(tmp_path)
    s2s(tmp_path, "test", "--update")
    write(root / "tests" / "dear.sql", "select * from products where csv_price_tiers = '100'")
    ran = pytested(tmp_path)
    assert ran.returncode == 1
    assert "project.toml::tests/dear" in ran.stdout
    write(root / "tests" / "dear.sql", "select 1")
    ran = pytested(tmp_path)
    assert "names no entity" in ran.stdout
    assert "Traceback" not in ran.stdout


@pytest.mark.parametrize("name", discover(ROOT))
def test_the_examples_come_to_what_is_committed(tmp_path: Path, name: str) -> None:
    """They are what newcomers read first."""
    for folder in ("projects", "snapshots"):
        shutil.copytree(ROOT / folder / name, tmp_path / folder / name)
    ran = s2s(tmp_path, "test", name)
    assert ran.returncode == 0, ran.stdout + ran.stderr
