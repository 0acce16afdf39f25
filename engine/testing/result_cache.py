"""Cache the snapshots of a project, so that ``s2s test`` over fifty projects runs only those that have changed.

The result of an offline run depends on the rendered SQL, the fixtures, the settings, the engine and the versions of its
libraries, and on nothing else. :func:`cache_key` is a digest of all of these, and a result is used only while its key
is the same.

The cache is in the user's cache folder and never in the workspace: a branch could bring a result with it that its views
do not have. To run everything again, delete the folder that :func:`cache_folder` names.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import StateError
from engine.files import (
    WorkspaceFiles,
    belongs_to_this_user,
    is_file,
    make_private_folder,
    replace_file,
    user_cache_folder,
)
from engine.sync.data_tests import FailedTest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.model.settings import Project

_ENGINE_FOLDER = Path(__file__).parents[1]


def cache_key(project: Project, texts: Iterable[str]) -> str:
    """A hexadecimal digest of everything that a project's result depends on; ``texts`` are its rendered SQL."""
    digest = hashlib.sha256(_engine_digest().encode())
    parts = [repr(project).encode(), *(text.encode() for text in texts)]
    folder = project.root / "fixtures"
    files = WorkspaceFiles.of(project.workspace, project.root)
    for path in (path for path in files.list_paths(folder, "*") if is_file(path)):
        parts += [path.name.encode(), files.read(path)]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def load(project: Project, key: str) -> dict[str, Any] | None:
    """The arguments that :func:`store` was last called with for ``project``, or None where ``key`` was another."""
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        path = _cache_file(project)
        if not (belongs_to_this_user(path) and belongs_to_this_user(path.parent)):
            return None
        cached = json.loads(path.read_text("utf-8"))
        if cached["digest"] == key:
            failed = [
                FailedTest(**{**test, "keys": tuple(test["keys"]), "path": Path(test["path"])})
                for test in cached["failed"]
            ]
            duckdb_digests = dict(cached["duckdb_digests"])
            return {
                "files": dict(cached["files"]),
                "notes": tuple(cached["notes"]),
                "failed": tuple(failed),
                "duckdb_digests": duckdb_digests,
            }
    return None


def store(
    project: Project,
    key: str,
    *,
    files: Mapping[str, str],
    notes: Iterable[str],
    failed: Iterable[FailedTest],
    duckdb_digests: Mapping[str, str],
) -> None:
    """Write a result to the cache; a folder that cannot be written to is not an error.

    ``duckdb_digests`` are the digests of the views that were run in DuckDB's own SQL, by entity.
    """
    cached = {
        "digest": key,
        "files": dict(files),
        "notes": list(notes),
        "failed": [{**asdict(test), "path": str(test.path)} for test in failed],
        "duckdb_digests": dict(duckdb_digests),
    }
    with suppress(OSError, RuntimeError, StateError):
        path = _cache_file(project)
        make_private_folder(path.parent)
        replace_file(path, json.dumps(cached).encode(), mode=0o600)


def cache_folder() -> Path:
    """The folder of this user's cached results, such as ``~/.cache/s2s/tested``.

    Raises :class:`RuntimeError` where this account has no home folder.
    """
    return user_cache_folder() / "tested"


def _cache_file(project: Project) -> Path:
    workspace = hashlib.sha256(os.path.realpath(project.workspace).encode()).hexdigest()[:16]
    return cache_folder() / workspace / f"{project.name}.json"


@cache
def _engine_digest() -> str:
    """A digest of the engine's own code and of the versions of Python and the libraries that results depend on."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted((*_ENGINE_FOLDER.rglob("*.py"), *_ENGINE_FOLDER.rglob("*.sql"))):
        digest.update(path.read_bytes())
    for name in ("duckdb", "jinja2", "pyarrow", "sqlglot"):
        digest.update(f"{name} {metadata.version(name)}".encode())
    return digest.hexdigest()
