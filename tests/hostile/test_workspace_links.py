"""A branch that somebody else wrote: its links lead to a home folder, and nothing of that is read or changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.mapping import VIEW, write, write_project

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-5d1f7c"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a link needs a right of its own on Windows")


def files_of(folder: Path) -> list[Path]:
    """All files below a folder; nothing is looked for behind a link."""
    paths = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return [path for path in paths if not path.is_symlink()]


class Home:
    """A home folder with secrets, and a workspace beside it that was checked out from a stranger's branch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self.workspace = folder / "work"
        write(self.folder / ".env", f"TOKEN={CANARY}\n")
        write(self.folder / "secret.sql", f"select '{CANARY}' as source_product_code\n")
        write(self.folder / "item.csv", f"code,descr,web,qty,brand\n{CANARY},Hammer,Yes,5,Karoo\n")
        write(self.folder / "order.json", json.dumps({"id": CANARY}))
        write(self.folder / "snapshots" / "products.sql", f"{CANARY}\n")
        write(self.folder / "project.toml", f"# {CANARY}\n")
        self.root = write_project(self.workspace)
        self.before = self.contents()

    def contents(self) -> dict[str, bytes]:
        """All files of the home folder."""
        return {str(path): path.read_bytes() for path in files_of(self.folder)}

    def link(self, at: str, to: str) -> None:
        """Put a link into the workspace, in place of what is there."""
        path = self.workspace / at
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rename(path.with_name("moved"))
        path.unlink(missing_ok=True)
        path.symlink_to(self.folder / to)

    def s2s(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace."""
        return run_command(*words, folder=self.workspace, variables={})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home folder with secrets beside a workspace."""
    return Home(tmp_path)


def include_a_link_of_the_project(home: Home) -> None:
    """A view that includes a template of its own folder."""
    home.link("projects/acme/part.sql", "secret.sql")
    write(home.root / "views" / "products.sql", VIEW + "{% include 'part.sql' %}")


def include_a_link_of_the_workspace(home: Home) -> None:
    """A view that includes a template of all projects."""
    home.link("templates/sql/part.sql", "secret.sql")
    write(home.root / "views" / "products.sql", VIEW + "{% include 'part.sql' %}")


def name_a_view_outside(home: Home) -> None:
    """A project.toml with a path that climbs out."""
    settings = home.root / "project.toml"
    write(settings, settings.read_text("utf-8") + '[products]\nview = "../../../home/secret.sql"\n')


LINKS: dict[str, Callable[[Home], None]] = {
    "a view": lambda home: home.link("projects/acme/views/products.sql", "secret.sql"),
    "an included template": include_a_link_of_the_project,
    "a template of the workspace": include_a_link_of_the_workspace,
    "a view by its path": name_a_view_outside,
    "a fixture": lambda home: home.link("projects/acme/fixtures/item.csv", "item.csv"),
    "the folder of fixtures": lambda home: home.link("projects/acme/fixtures", "."),
    "the schema of fixtures": lambda home: home.link("projects/acme/fixtures/schema.sql", "secret.sql"),
    "a data test": lambda home: home.link("projects/acme/tests/none.sql", "secret.sql"),
    "the folder of data tests": lambda home: home.link("projects/acme/tests", "."),
    "project.toml": lambda home: home.link("projects/acme/project.toml", "project.toml"),
    "the project": lambda home: home.link("projects/acme", "."),
    "a snapshot": lambda home: home.link("snapshots/acme/products.sql", "snapshots/products.sql"),
    "the folder of snapshots": lambda home: home.link("snapshots/acme", "snapshots"),
    "all snapshots": lambda home: home.link("snapshots", "."),
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_out_of_the_workspace_is_neither_read_nor_written(home: Home, what: str) -> None:
    """Whatever it stands in place of, and whatever command comes upon it."""
    LINKS[what](home)
    for words in (("check", "acme"), ("test", "--update"), ("docs", "--to", "site")):
        ran = home.s2s(*words)
        assert CANARY not in ran.stdout + ran.stderr, words
    written = [path for path in files_of(home.workspace) if CANARY.encode() in path.read_bytes()]
    assert written == []
    assert home.contents() == home.before


@pytest.mark.parametrize("what", [what for what in LINKS if "snapshot" not in what])
def test_a_link_out_of_the_workspace_is_refused_with_what_to_do(home: Home, what: str) -> None:
    """The command fails, and names the path."""
    LINKS[what](home)
    ran = home.s2s("test", "acme")
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "leads out of the workspace" in ran.stderr
    assert "in place of the link" in ran.stderr


HIDDEN = {
    "a view to the project's .env": ("projects/acme/views/products.sql", "../.env"),
    "a view to git's settings": ("projects/acme/views/products.sql", "../../../.git/config"),
    "an included template": ("projects/acme/views/part.sql", "../.env"),
    "a fixture": ("projects/acme/fixtures/item.csv", "../.env"),
    "a schema": ("projects/acme/fixtures/schema.sql", "../../../.env"),
    "a data test": ("projects/acme/tests/a.sql", "../.env"),
    "a snapshot": ("snapshots/acme/products.sql", "../../.env"),
    "all snapshots": ("snapshots/acme", "../.git"),
    "a view by a path of the same name": ("projects/acme/.git/../views/products.sql", "../../../.git/config"),
    "a view in a folder of the same name": ("projects/acme/.git/products.sql", "../../../.git/config"),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_link_to_a_hidden_file_of_the_workspace_is_neither_read_nor_written(home: Home, what: str) -> None:
    """Such as the passwords of whoever looks at the branch, or git's settings with CI's token."""
    at, to = HIDDEN[what]
    for secret in (home.root / ".env", home.workspace / ".env", home.workspace / ".git" / "config"):
        write(secret, f"TEST_HOST={CANARY}\n")
    before = {path: path.read_bytes() for path in files_of(home.workspace) if CANARY.encode() in path.read_bytes()}
    path = Path(os.path.normpath(home.workspace / at))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(to)
    if "acme/.git" in at:
        settings = home.root / "project.toml"
        (home.root / ".git").mkdir(exist_ok=True)
        write(settings, settings.read_text("utf-8") + f'[products]\nview = "{at.removeprefix("projects/acme/")}"\n')
    if path.name == "part.sql":
        write(home.root / "views" / "products.sql", VIEW + "{% include 'views/part.sql' %}")
    for words in (("render", "acme"), ("test", "--update")):
        ran = home.s2s(*words)
        assert CANARY not in ran.stdout + ran.stderr, words
    assert "which no link of the workspace may" in ran.stderr
    assert {
        path: path.read_bytes() for path in files_of(home.workspace) if CANARY.encode() in path.read_bytes()
    } == before


def test_a_link_to_another_file_of_the_workspace_is_followed(home: Home) -> None:
    """Clients may share a view."""
    shared = home.root / "views" / "shared.sql"
    (home.root / "views" / "products.sql").rename(shared)
    (home.root / "views" / "products.sql").symlink_to("shared.sql")
    ran = home.s2s("test", "acme", "--update")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_committed_site_and_schema_are_replaced_and_not_followed(home: Home) -> None:
    """What they lead to stays as it is."""
    write(home.workspace / "site" / "s2s-site.txt", "")
    home.link("site/index.html", "item.csv")
    home.link("project.schema.json", "order.json")
    docs, init = home.s2s("docs", "--to", "site"), home.s2s("init", "other", "--database", "erp.db")
    assert home.contents() == home.before
    assert docs.returncode == 0, docs.stderr
    assert init.returncode == 2, init.stdout
    assert "leads out of the workspace" in init.stderr


def test_a_review_shows_nothing_of_a_file_that_a_branch_links_to(home: Home) -> None:
    """Neither as settings nor as a statement, whatever the form."""
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=t", "-c", "user.email=t@e.com", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *words], cwd=home.workspace, check=True)
    home.link("projects/acme/project.toml", "project.toml")
    home.link("projects/acme/orders/10_header.sql", "secret.sql")
    for output in ("text", "markdown", "json", "html"):
        ran = home.s2s("review", "--all", "--output", output)
        assert CANARY not in ran.stdout + ran.stderr
        assert "leads out of the workspace" in ran.stdout


def test_a_result_that_a_branch_brings_with_it_is_not_believed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are cached for the user, in a folder of theirs alone."""
    cache = home.folder / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert home.s2s("test", "acme", "--update").returncode == 0
    (cached,) = cache.rglob("acme.json")
    assert cached.stat().st_mode & 0o077 == 0
    assert cached.parent.stat().st_mode & 0o077 == 0
    assert list(home.workspace.rglob("tested")) == []
    cached.write_text(cached.read_text("utf-8").replace("Hammer", "Anvil"), "utf-8")
    cached.chmod(0o666)
    assert home.s2s("test", "acme").returncode == 0, "a file that others may write is not read"
