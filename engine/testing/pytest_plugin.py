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

    from engine.testing.snapshots import Produced


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the projects of a workspace, and what is left in ``snapshots/`` of projects that are gone."""
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
        """One test a snapshot, one for files that nothing uses, one a data test; a fault of the project fails alone."""
        from engine.config.loader import load
        from engine.errors import ConfigError
        from engine.testing.fixture_run import rehearsals
        from engine.testing.snapshots import produce

        if not self.config.pluginmanager.has_plugin("syrupy"):
            raise pytest.UsageError("Snapshots are compared by syrupy, which is not installed: pip install syrupy")
        try:
            # A project is found by its folder, whatever pytest was started in.
            project = load(
                self.path.parent.name, workspace=self.path.parent.parent.parent, environ=os.environ, offline=True
            )
            with rehearsals([project]) as stage:
                produced = produce(stage, project)
        except ConfigError as error:
            yield _item(self, "project", _failing(f"{error.message}\n{_hints(error)}"))
            return
        for name in produced.files:
            yield _item(self, name, _comparing(produced, name))
        yield _item(self, "unused", _nothing_unused(produced))
        failed = {test.name: test for test in produced.failed if test.severity == "error"}
        for name in dict.fromkeys((*produced.tests, *failed) if produced.rehearsed else ()):
            yield _item(self, f"tests/{name}", _failing(failed[name].message if name in failed else ""))


class OrphanFile(pytest.File):
    """The snapshots of a project that there is no more."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test, which fails."""
        folder = self.path.parent
        yield _item(self, "unused", _failing(f"{folder}: there is no project {folder.name}. Remove: s2s test --update"))


def _item(parent: pytest.Collector, name: str, check: Callable[..., None]) -> pytest.Item:
    # A function is what syrupy counts, and what every plugin knows how to report.
    item: pytest.Item = pytest.Function.from_parent(parent, name=name, callobj=check)
    return item


def _comparing(produced: Produced, name: str) -> Callable[..., None]:
    from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

    from engine.testing.snapshots import read, write

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
            # Files that nothing uses have a test of their own, which also runs when other tests do not.
            from syrupy.data import SnapshotCollections

            return SnapshotCollections()

        def read_snapshot_data_from_location(self, **_: Any) -> str | None:
            return read(produced.folder / name)

        @classmethod
        def write_snapshot_collection(cls, *, snapshot_collection: Any, **_: Any) -> None:
            write(produced.folder / name, next(iter(snapshot_collection)).data)

    def check(snapshot: Any) -> None:
        assert produced.files[name] == snapshot(extension_class=SnapshotFile)

    return check


def _nothing_unused(produced: Produced) -> Callable[..., None]:
    from engine.testing.snapshots import unused

    def check(request: pytest.FixtureRequest) -> None:
        found = unused(produced.folder, produced.files)
        if request.config.getoption("update_snapshots"):
            for path in found:
                path.unlink()
        elif found:
            pytest.fail("\n".join(f"{path}: no snapshot has this name" for path in found), pytrace=False)

    return check


def _failing(message: str) -> Callable[..., None]:
    def check() -> None:
        if message:
            pytest.fail(message, pytrace=False)

    return check


def _hints(error: Any) -> str:
    return "\n".join(fault.hint for fault in error.faults if fault.hint)
