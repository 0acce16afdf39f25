"""A client in git whose changes are reviewed over the rows of its database."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from engine.review.compare import Checkouts, review_live, review_on_fixtures
from engine.review.git import at_reference

if TYPE_CHECKING:
    from engine.review.model import Review
    from support.client import Client


class Live:
    """A client whose view is committed, and whose database can be read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.git("init", "-q")
        self.commit()

    def git(self, *words: str) -> None:
        """Run git in the workspace."""
        subprocess.run(["git", *words], cwd=self.client.workspace, check=True, capture_output=True)

    def commit(self) -> None:
        """Commit everything that is not the database."""
        (self.client.workspace / ".gitignore").write_text("*.duckdb\n.state\n.env\n", "utf-8")
        self.git("add", ".")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "First")

    def reviewed(self) -> Review:
        """What the working tree changes, over the live rows."""
        with at_reference(self.client.workspace, "HEAD") as earlier:
            return review_live(
                "acme",
                Checkouts(self.client.workspace, earlier, "HEAD"),
                environ=self.client.environment,
            )

    def reviewed_on_fixtures(self) -> Review:
        """What the working tree changes, over the fixtures."""
        with at_reference(self.client.workspace, "HEAD") as earlier:
            return review_on_fixtures("acme", Checkouts(self.client.workspace, earlier, "HEAD"))
