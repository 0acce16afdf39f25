"""A change to a mapping, read from a branch alone: what the SQL became, what feeds each field, what rows become."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.mapping import ITEM, PRICE, PROJECT, VIEW

from engine.errors import UsageError
from engine.review import Review, at_reference, review, review_markdown

ROOT = Path(__file__).parents[1]


class Branch:
    """A workspace in git, with one commit."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.root = workspace / "projects" / "acme"
        for path, text in {
            "project.toml": PROJECT.format(dialect="postgres"),
            "views/products.sql": VIEW,
            "fixtures/item.csv": ITEM,
            "fixtures/price.csv": PRICE,
        }.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text, "utf-8")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "First")

    def git(self, *words: str) -> None:
        """Run git in the workspace."""
        subprocess.run(["git", *words], cwd=self.workspace, check=True, capture_output=True)

    def view(self, old: str, new: str) -> None:
        """Change the view."""
        path = self.root / "views" / "products.sql"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def reviewed(self) -> Review:
        """What the working tree changes."""
        with at_reference(self.workspace, "HEAD") as then:
            return review("acme", workspace=self.workspace, then=then, against="HEAD")

    def s2s(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "engine", "review", *words],
            cwd=self.workspace,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    """A workspace in git."""
    return Branch(tmp_path)


def test_without_a_change_there_is_nothing_to_review(branch: Branch) -> None:
    """And that is said in a line."""
    assert not branch.reviewed().changed
    assert "Nothing changes" in branch.s2s().stdout


def test_another_source_of_a_field_shows_its_sql_its_columns_and_its_rows(branch: Branch) -> None:
    """Before and after, for each."""
    branch.view("price.amount as csv_price_tiers", "price.amount * 2 as csv_price_tiers")
    (products,) = branch.reviewed().entities
    assert "+    price.amount * 2 as csv_price_tiers" in products.sql
    (field,) = products.fields
    assert (field.field, field.kind, field.before, field.after) == (
        "csv_price_tiers",
        "fed by something else",
        "price.amount",
        "price.amount * 2",
    )
    changes = {change.key: (change.kind, change.values) for change in products.documents}
    assert changes["A1"] == ("update", (("product.variants.price", "99.5", "199"),))


def test_a_field_that_is_added_or_removed_is_named(branch: Branch) -> None:
    """Each with its expression."""
    branch.view("    item.brand as vendor\n", "    item.brand as collection\n")
    (products,) = branch.reviewed().entities
    assert {(change.field, change.kind) for change in products.fields} == {
        ("vendor", "removed"),
        ("collection", "added"),
    }


def test_a_lost_condition_shows_as_rows_that_come_and_go(branch: Branch) -> None:
    """The most dangerous change is one of few letters."""
    branch.view("from item\n", "from item where item.code <> 'A1'\n") if "from item\n" in VIEW else None
    (products,) = branch.reviewed().entities
    text = review_markdown(branch.reviewed())
    assert [(change.key, change.kind) for change in products.documents if change.kind == "delete"] == [("A1", "delete")]
    assert "1 delete" in text


def test_a_macro_that_changes_shows_every_client_that_it_touches(branch: Branch) -> None:
    """And no other."""
    macro = branch.workspace / "templates" / "sql" / "own.sql"
    macro.parent.mkdir(parents=True)
    macro.write_text("{% macro shown(x) %}upper({{ x }}){% endmacro %}", "utf-8")
    branch.view("item.descr as title", '{{ own.shown(col("item.descr")) }} as title')
    path = branch.root / "views" / "products.sql"
    path.write_text('{% import "own.sql" as own %}\n' + path.read_text("utf-8"), "utf-8")
    other = branch.workspace / "projects" / "other"
    for name, text in {
        "project.toml": PROJECT.format(dialect="postgres"),
        "views/products.sql": VIEW,
        "fixtures/item.csv": ITEM,
        "fixtures/price.csv": PRICE,
    }.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text, "utf-8")
    branch.git("add", ".")
    branch.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "Second")
    macro.write_text("{% macro shown(x) %}lower({{ x }}){% endmacro %}", "utf-8")
    said = branch.s2s().stdout
    assert "## acme" in said
    assert "## other" not in said
    assert "`HAMMER` | `hammer`" in said


def test_a_view_that_no_longer_runs_says_why_and_fails(branch: Branch) -> None:
    """In the review itself: it is what the reviewer must know."""
    branch.view("item.descr as title", "item.descr as titel")
    ran = branch.s2s("acme")
    assert ran.returncode == 1
    assert "It does not run" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_settings_and_order_statements_are_compared_too(branch: Branch) -> None:
    """They decide as much as the SQL."""
    (branch.root / "orders").mkdir()
    (branch.root / "orders" / "10_header.sql").write_text("insert into o values ({{ order.id }})\n", "utf-8")
    settings = branch.reviewed().settings
    assert "b/orders/10_header.sql" in settings
    assert "+insert into o values ({{ order.id }})" in settings


def test_a_reference_that_is_not_there_is_usage(branch: Branch) -> None:
    """With what to write."""
    ran = branch.s2s("acme", "--against", "nowhere")
    assert (ran.returncode, "--against main" in ran.stderr) == (2, True)
    with pytest.raises(UsageError), at_reference(branch.workspace, "--output=x"):
        pass


def test_a_review_is_json_for_machines(branch: Branch) -> None:
    """Whole."""
    branch.view("item.qty as", "item.qty + 1 as")
    (found,) = json.loads(branch.s2s("acme", "--output", "json").stdout)
    assert found["entities"][0]["fields"][0]["field"] == "variants.qty"
