"""A view that never ends, or fills the memory, stops by itself: a review is made of branches that nobody has read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.mapping import VIEW, offline, rehearsed, write, write_project

from engine.config.masking import mask_sql
from engine.errors import ConfigError, FixtureError, RenderError
from engine.mapping.render import render_view

if TYPE_CHECKING:
    from pathlib import Path


LONG = "more than 1,000,000 letters or items"
GROWING = "{% set n = namespace(s='aa') %}{% for a in range(64) %}{% set n.s = EXPRESSION %}{% endfor %}"
TEMPLATES = {
    "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}": "more than 1,000,000 steps",
    "{% for a in range(100000) %}{{ 'a' * 100000 }}{% endfor %}": "writes more than 10,000,000 letters",
    "{{ 'a' * 100000000 }}": LONG,
    "{{ [0] * 100000000 }}": LONG,
    GROWING.replace("EXPRESSION", "n.s ~ n.s"): LONG,
    GROWING.replace("EXPRESSION", "n.s + n.s"): LONG,
    GROWING.replace("EXPRESSION", "n.s | replace('a', n.s)"): LONG,
    GROWING.replace("EXPRESSION", "n.s.replace('a', n.s)"): LONG,
    "{{ ('a' * 100000).join(['b'] * 100000) }}": LONG,
    "{{ (['b'] * 100000) | join('a' * 100000) }}": LONG,
    "{{ 'a'.ljust(100000000) }}": LONG,
    "{{ '%100000000d' % 1 }}": "padded to a width",
    "{{ '{:100000000}'.format(1) }}": "padded to a width",
    "{{ '{:{}}'.format(1, 100000000) }}": "padded to a width",
    "{{ 10 ** 100000 }}": "A power has more than",
    "{{ [1] | batch(100000000, 0) | list | length }}": LONG,
    "{{ [1] | slice(100000000) | list | length }}": LONG,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_that_does_too_much_is_refused(tmp_path: Path, template: str) -> None:
    """In seconds, and with the reason."""
    write_project(tmp_path, view=VIEW + template)
    began = time.monotonic()
    with pytest.raises(RenderError, match=TEMPLATES[template]):
        render_view(offline(tmp_path), "products")
    assert time.monotonic() - began < 45


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(100000) %}{{ range(100000) | sum }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    ],
)
def test_a_template_is_stopped_by_the_clock(tmp_path: Path, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does."""
    monkeypatch.setattr("engine.mapping.limits.MAX_SECONDS", 1)
    write_project(tmp_path, view=VIEW + template)
    with pytest.raises(RenderError, match="takes more than 1 s"):
        render_view(offline(tmp_path), "products")


def test_what_templates_do_is_far_from_the_limits(tmp_path: Path) -> None:
    """Loops over lists, their length, lists in lists, and texts that are put together."""
    loops = (
        "where 'x' <> {{ 'a' ~ 'b' * 3 }} and 'x' <> {{ '%5.2f' % 1.5 }}{% for a in [[1, 2], [3]] %}{% for b in a %}"
        " and {{ b * 2 ** 3 }} <> {{ loop.length }} + {{ 7 if loop.last else 8 }}{% endfor %}{% endfor %}"
    )
    write_project(tmp_path, view=VIEW + loops)
    sql = render_view(offline(tmp_path), "products").sql
    assert sql.endswith("where 'x' <> 'abbb' and 'x' <> ' 1.50' and 8 <> 2 + 8 and 16 <> 2 + 7 and 24 <> 1 + 7")


CROSS = "from range(100000) as a, range(100000) as b"


def test_a_view_with_too_many_rows_is_stopped(tmp_path: Path) -> None:
    """Such as a join without a condition."""
    write_project(tmp_path, view=VIEW.replace("from item\n", "from range(100000) as a, range(100000) as b, item\n"))
    with pytest.raises(FixtureError, match="gives more than 20,000 rows on the fixtures") as caught:
        rehearsed(tmp_path)
    assert "join without a condition" in caught.value.diagnostics[0].hint


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on fixtures may take three seconds."""
    for module in ("limits", "fixture_database", "fixture_run"):
        monkeypatch.setattr(f"engine.testing.{module}.MAX_SECONDS", 3)


@pytest.mark.parametrize(
    "written",
    [f"{VIEW}where 1 = 1{' ' * 300_000}and 2 = 2", f"{VIEW}/* {'an old line; ' * 20_000}*/ where 1 = 1"],
    ids=["blanks", "a comment"],
)
def test_a_view_with_very_much_of_nothing_is_checked_and_run_at_once(tmp_path: Path, written: str) -> None:
    """Each took minutes: expressions for what stands at an end were tried again behind every blank."""
    write_project(tmp_path, view=written)
    for words in (("check",), ("test", "--update"), ("docs", "--to", "site")):
        ran = run_command(*words, folder=tmp_path, variables={})
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("text", ["x" * 300_000, f"password{' ' * 300_000}x"], ids=["a word", "blanks"])
def test_a_line_with_very_much_of_nothing_is_masked_at_once(text: str) -> None:
    """As every changed line of a branch is."""
    assert mask_sql(f"{text}\nset password = 'hunter2'") == f"{text}\nset password = '***'"


@pytest.mark.usefixtures("impatient")
def test_a_view_that_computes_without_end_is_stopped(tmp_path: Path) -> None:
    """Though it gives no row."""
    view = VIEW.replace("item.descr as title", f"(select sum(sqrt(a.range + b.range)) {CROSS})::text as title")
    write_project(tmp_path, view=view)
    with pytest.raises(ConfigError, match=r"did not answer within 3 s|takes more than 3 s"):
        rehearsed(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_data_test_that_computes_without_end_is_stopped(tmp_path: Path) -> None:
    """It is interrupted where it runs."""
    root = write_project(tmp_path)
    write(
        root / "tests" / "endless.sql",
        f"select * from products where (select sum(sqrt(a.range + b.range)) {CROSS}) < 0",
    )
    with pytest.raises(FixtureError, match="A data test takes more than 3 s"):
        rehearsed(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_schema_that_computes_without_end_is_stopped(tmp_path: Path) -> None:
    """A table may be created from a query."""
    root = write_project(tmp_path)
    write(root / "fixtures" / "schema.sql", f"create table t as select sum(sqrt(a.range + b.range)) as s {CROSS}")
    with pytest.raises(FixtureError, match=r"DuckDB refuses it: .*[Ii]nterrupt"):
        rehearsed(tmp_path)
