"""A workspace in git, and what a change to it comes to."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.review.compare import Checkouts, review_on_fixtures
from engine.review.git import at_reference
from support.command import run_command
from support.mapping import ITEM, PRICE, PROJECT, VIEW

if TYPE_CHECKING:
    from pathlib import Path

    from engine.review.model import Review


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
        self.commit("First")

    def commit(self, message: str) -> None:
        """Commit everything that is there."""
        self.git("add", ".")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", message, "--allow-empty")

    def git(self, *words: str) -> bytes:
        """Run git in the workspace; gives what it prints."""
        return subprocess.run(["git", *words], cwd=self.workspace, check=True, capture_output=True).stdout

    def view(self, old: str, new: str) -> None:
        """Change the view."""
        path = self.root / "views" / "products.sql"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def reviewed(self) -> Review:
        """What the working tree changes."""
        with at_reference(self.workspace, "HEAD") as earlier:
            return review_on_fixtures("acme", Checkouts(self.workspace, earlier, "HEAD"))

    def s2s(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return run_command("review", *words, folder=self.workspace, variables={})


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    """A workspace in git."""
    return Branch(tmp_path)
