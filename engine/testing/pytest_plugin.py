"""pytest checks a workspace's snapshots: each ``projects/<name>/project.toml`` gives one test a snapshot.

The tests are called after the files, ``projects/acme/project.toml::products.sql``; ``unused`` finds files that no
snapshot has the name of, ``tests/<name>`` are the data tests. syrupy compares and reports, and ``--snapshot-update``
rewrites, as for any other snapshot. Installing the package is enough; a plain ``pytest`` in a workspace finds them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.files import is_dir, is_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.testing.snapshots import ProjectSnapshots


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the projects of a workspace, and the snapshots of projects that no longer exist."""
    if file_path.name == "project.toml" and file_path.parent.parent.name == "projects":
        return ProjectFile.from_parent(parent, path=file_path)
    folder = file_path.parent
    if folder.parent.name == "snapshots" and is_dir(folder.parent.parent / "projects"):
        project = folder.parent.parent / "projects" / folder.name / "project.toml"
        if not is_file(project) and file_path == min(filter(is_file, folder.iterdir())):
            return OrphanFile.from_parent(parent, path=file_path)
    return None


class ProjectFile(pytest.File):
    """One project: its snapshots and data tests."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each snapshot and data test, one for unused files; a project with faults is one failing test."""
        from engine.config.loader import load
        from engine.errors import ConfigError
        from engine.testing.fixture_run import fixture_session
        from engine.testing.snapshots import build_snapshots

        if not self.config.pluginmanager.has_plugin("syrupy"):
            raise pytest.UsageError("Snapshots are compared by syrupy, which is not installed: pip install syrupy")
        try:
            # The workspace comes from the file's path, because pytest may have been started anywhere.
            project = load(
                self.path.parent.name, workspace=self.path.parent.parent.parent, environ=os.environ, offline=True
            )
            with fixture_session([project]) as session:
                produced = build_snapshots(session, project)
        except ConfigError as error:
            yield _item(self, "project", _fail_with(f"{error.message}\n{_hints(error)}"))
            return
        for name in produced.files:
            yield _item(self, name, _compare_with_snapshot(produced, name))
        yield _item(self, "unused", _find_unused(produced))
        failed = {test.name: test for test in produced.failed if test.severity == "error"}
        for name in dict.fromkeys((*produced.tests, *failed) if produced.ran_on_fixtures else ()):
            yield _item(self, f"tests/{name}", _fail_with(failed[name].message if name in failed else ""))


class OrphanFile(pytest.File):
    """The snapshots of a project that no longer exists."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test, which fails."""
        folder = self.path.parent
        yield _item(
            self, "unused", _fail_with(f"{folder}: there is no project {folder.name}. Remove: s2s test --update")
        )


def _item(parent: pytest.Collector, name: str, check: Callable[..., None]) -> pytest.Item:
    # syrupy counts only functions, and every reporting plugin knows them.
    item: pytest.Item = pytest.Function.from_parent(parent, name=name, callobj=check)
    return item


def _compare_with_snapshot(produced: ProjectSnapshots, name: str) -> Callable[..., None]:
    from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

    from engine.testing.snapshots import read_snapshot, write_snapshot

    class SnapshotFile(SingleFileSnapshotExtension):
        """A snapshot under its own exact name, read and written as ``s2s test`` does."""

        _write_mode = WriteMode.TEXT
        file_extension = ""

        @classmethod
        def dirname(cls, **_: Any) -> str:
            return str(produced.folder)

        @classmethod
        def discovery_dirname(cls, **_: Any) -> str:
            return str(produced.folder)

        @classmethod
        def get_snapshot_name(cls, **_: Any) -> str:
            return name

        @classmethod
        def matches_test_location(cls, **_: Any) -> bool:
            return True

        def discover_snapshots(self, **_: Any) -> Any:
            # Unused files have a test of their own, which also runs where only some tests are selected.
            from syrupy.data import SnapshotCollections

            return SnapshotCollections()

        def read_snapshot_data_from_location(self, **_: Any) -> str | None:
            return read_snapshot(produced.folder, name)

        @classmethod
        def write_snapshot_collection(cls, *, snapshot_collection: Any, **_: Any) -> None:
            write_snapshot(produced.folder, name, next(iter(snapshot_collection)).data)

    def check(snapshot: Any) -> None:
        assert produced.files[name] == snapshot(extension_class=SnapshotFile)

    return check


def _find_unused(produced: ProjectSnapshots) -> Callable[..., None]:
    from engine.testing.snapshots import remove_snapshot, unused_files

    def check(request: pytest.FixtureRequest) -> None:
        found = unused_files(produced.folder, produced.files)
        if request.config.getoption("update_snapshots"):
            for path in found:
                remove_snapshot(produced.folder, path)
        elif found:
            pytest.fail("\n".join(f"{path}: no snapshot has this name" for path in found), pytrace=False)

    return check


def _fail_with(message: str) -> Callable[..., None]:
    def check() -> None:
        if message:
            pytest.fail(message, pytrace=False)

    return check


def _hints(error: Any) -> str:
    return "\n".join(fault.hint for fault in error.diagnostics if fault.hint)
