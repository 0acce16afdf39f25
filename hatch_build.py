"""Have the source archive hold the files that git tracks, and the wheel the documentation.

The archive holds nothing else that lies in the checkout: hatchling leaves out only what ``.gitignore`` names, so a
note, a dump of a client's database or a ``.env.bak`` that nobody committed would be packed and handed on.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackedFiles(BuildHookInterface):
    """Adds each tracked file to a source archive, which holds nothing by itself; to a wheel the pages of ``docs``."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; ``version`` is the kind of archive."""
        del version
        root = Path(self.root)
        if self.target_name == "wheel":
            for path in (*(root / "docs").rglob("*.md"), root / "CHANGELOG.md"):
                name = path.relative_to(root / "docs") if path.is_relative_to(root / "docs") else path.name
                build_data["force_include"][str(path)] = (Path("engine/docs") / name).as_posix()
            return
        if (root / "PKG-INFO").exists():  # an archive that was unpacked holds what was tracked
            files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        else:
            command = ["git", "ls-files", "-z"]
            listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout  # noqa: S603 - as written
            files = [Path(name) for name in listed.decode().split("\0") if name]
        for path in files:
            if (root / path).is_file() and path.name != "PKG-INFO":
                build_data["force_include"][str(root / path)] = path.as_posix()
