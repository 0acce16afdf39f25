"""The documentation tells the truth about the code, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from engine.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_page_is_what_the_code_says(path: Path) -> None:
    """`just docs` was run after the code changed."""
    assert path.read_text("utf-8") == GENERATED[path]


@pytest.mark.parametrize("example", sorted(ROOT.glob("docs/examples/*.y*ml")), ids=lambda example: example.name)
def test_an_example_calls_commands_that_there_are(example: Path) -> None:
    """With options that they know; and it is YAML."""
    text = example.read_text("utf-8")
    assert yaml.safe_load(text)
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group has commands
    called = re.findall(r"(?m)^\s*(?:run: |entry: |- run: )?s2s (\w+)(.*)$", text)
    assert called
    for name, words in called:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert [word for word in re.findall(r"--[\w-]+", words) if word not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    """No page points to a file that is not there."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_every_command() -> None:
    """A command that is not in the README would not be found."""
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group has commands
    assert [name for name in commands if f"s2s {name}" not in readme and name not in {"demo", "list", "render"}] == []
