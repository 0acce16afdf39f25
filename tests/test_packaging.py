"""What is handed on: the source archive holds what git tracks, and production installs what the lock names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import tomli

ROOT = Path(__file__).parents[1]


def tracked() -> list[str]:
    """The files that git tracks here, or would once they are added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_the_source_archive_holds_tracked_files_only(tmp_path: Path) -> None:
    """Not what lies beside them: a dump, a copy of .env, an editor's file, a link."""
    checkout = tmp_path / "checkout"
    names = tracked()
    for name in names:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, checkout / name)
    for words in (("init", "-q"), ("add", "--force", ".")):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    for name in ("client.sql", ".env.bak", "engine/canary.txt", "projects/karoo-trading/dump.csv", "docs/canary.md"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("canary", "utf-8")
    (checkout / "engine" / "link").symlink_to("/etc")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path / "dist")]
    built = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as packed:
        found = sorted(name.partition("/")[2] for name in packed.getnames())
    assert [name for name in found if name != "PKG-INFO"] == names


def requirements() -> dict[tuple[str, str], set[str]]:
    """The hashes of each name and version in requirements.txt."""
    text = (ROOT / "requirements.txt").read_text("utf-8").replace("\\\n", " ")
    found: dict[tuple[str, str], set[str]] = {}
    for line in filter(None, text.splitlines()):
        pinned = re.match(r"([a-z0-9._-]+)==(\S+)", line)
        assert pinned, line
        found[pinned[1], pinned[2]] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
    return found


def locked() -> dict[tuple[str, str], set[str]]:
    """The same of uv.lock, of what the engine needs in production."""
    packages: list[dict[str, Any]] = tomli.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    wanted, found = {"stock2shop-sync"}, dict[tuple[str, str], set[str]]()
    names: set[str] = set()
    while names != wanted:
        names = set(wanted)
        for package in packages:
            if package["name"] in names:
                # Of Linux alone is only what keyring needs there, which production installs elsewhere.
                needed = [each for each in package.get("dependencies", ()) if "'linux'" not in each.get("marker", "")]
                wanted |= {each["name"] for each in needed}
    for package in packages:
        if package["name"] in names - {"stock2shop-sync"}:
            files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
            found[package["name"], package["version"]] = {each["hash"] for each in files}
    return found


def test_production_installs_what_the_lock_names() -> None:
    """`just requirements` was run after the lock changed: the same packages, versions and hashes, and no more."""
    named = requirements()
    assert named == locked()
    assert all(named.values())
    assert not {name for name, _ in named} & {"pytest", "hatchling", "ruff"}
