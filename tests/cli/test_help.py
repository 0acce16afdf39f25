"""`s2s help` prints the documentation that is installed with the engine."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.command import run_command

from engine.cli.app import command_tree
from engine.cli.command_line import walk_commands
from engine.cli.examples import EXAMPLES
from engine.cli.help_pages import page_text, pages

ROOT = Path(__file__).parents[2]


def shown(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command outside of any workspace."""
    return run_command("help", *words, folder=Path("/"), variables={})


def test_topics_are_listed_and_printed() -> None:
    """By name, by path, and by the last part of it; links become commands."""
    listed = shown().stdout
    assert re.search(r"\ntutorial +\S", listed)
    assert "drivers/sql-server" in listed
    assert shown("sql-server").stdout.startswith("# SQL Server")
    assert shown("docs/drivers/sql-server.md").stdout == shown("drivers/sql-server").stdout
    assert shown("changelog").stdout.startswith("# Changelog")
    assert page_text("[A page](../docs/sub/page.md#part) and [a site](https://x.example) and [code](x.py)") == (
        "A page (s2s help page) and a site <https://x.example> and code"
    )


def test_a_topic_that_is_no_page_leads_to_those_that_write_of_it() -> None:
    """And to one that is spelt alike."""
    refused = shown("tutorail")
    assert (refused.returncode, "Did you mean tutorial?" in refused.stderr) == (2, True)
    assert "These pages write of it: " in shown("quarantine").stderr


def test_no_message_names_a_page_that_is_not_installed() -> None:
    """A path below docs/ is there only in a clone; `s2s help TOPIC` is there everywhere, and names a page."""
    topics = {name.rpartition("/")[2] for name in pages()}
    for path in (ROOT / "engine").rglob("*.py"):
        code = re.sub(r'"""(?:.|\n)*?"""', "", path.read_text("utf-8"))
        assert not re.search(r"(?<![\w./])docs/[\w/-]+\.md", code), path
        assert {*re.findall(r"s2s help ([a-z][\w-]+)`", code)} <= topics, path


def test_the_wheel_holds_the_documentation(tmp_path: Path) -> None:
    """Each page, the changelog and the templates."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"engine/docs/{name}.md" for name in pages() if name != "changelog"} <= names
    assert {"engine/docs/CHANGELOG.md", "engine/templates/sql/syspro/template.toml"} <= names
    assert not [name for name in names if name.startswith("engine/docs/") and not name.endswith(".md")]


def test_every_command_has_an_example_in_its_help(tmp_path: Path) -> None:
    """Each stands as it is written, and a group shows one of its commands."""
    paths = {path for path, _ in walk_commands(command_tree())}
    assert {*EXAMPLES} == paths
    for path, examples in EXAMPLES.items():
        assert all(example.startswith(f"s2s {path}") for example in examples), path
    printed = run_command("orders", "list", "-h", folder=tmp_path, variables={}).stdout
    assert "  Examples:\n    s2s orders list acme\n    s2s orders list acme --status waiting --output json\n" in printed


@pytest.mark.parametrize("words", [(), ("-h",), ("--help", "plan"), ("--debug", "-h", "plan", "acme")])
def test_help_before_a_command_lists_all_commands(words: tuple[str, ...], tmp_path: Path) -> None:
    """Although a command that is called is the only one to be built."""
    ran = run_command(*words, folder=tmp_path, variables={})
    printed = ran.stdout or ran.stderr
    listed = {name for name, _ in walk_commands(command_tree()) if " " not in name}
    assert {line.split()[0] for line in printed.splitlines() if re.match(r"  [a-z]+ ", line)} >= listed


def test_a_command_that_is_not_there_leads_to_the_one_that_is_like_it(tmp_path: Path) -> None:
    """Of all commands, and of those of a group."""
    for words, meant in ((("rnu", "acme"), "run"), (("orders", "lits"), "list")):
        assert f"Did you mean '{meant}'" in run_command(*words, folder=tmp_path, variables={}).stderr


def test_help_cuts_no_sentence_and_names_types_in_plain_words(tmp_path: Path) -> None:
    """Of every command, and of the commands that a group lists."""
    for path, command in walk_commands(command_tree()):
        printed = run_command(*path.split(), "--help", folder=tmp_path, variables={}).stdout
        assert re.findall(r"(?m)[\w,]\.\.\.$|<str>|<int|<float|<list", printed) == [], path
        for name, each in (getattr(command, "commands", None) or {}).items():
            listed = re.sub(r"\s+", " ", printed.partition("Commands:")[2])
            assert f"{name} {each.get_short_help_str(1_000)}" in listed, path
