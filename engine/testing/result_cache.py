"""What a project came to the last time, kept by what it came from: of fifty projects only those that changed cost time.

What a rehearsal gives depends on nothing but the rendered SQL, the fixtures, the settings, the engine and the libraries
that it stands on. A digest of all of these is kept beside the result, in the folder of the state files; where it is the
same, so is the result. To have everything done anew, delete the folder ``tested`` there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import is_file, listed
from engine.sync.data_tests import FailedTest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.model.settings import Project

_ENGINE = Path(__file__).parents[1]


def cache_key(project: Project, texts: Iterable[str]) -> str:
    """What names everything that ``project`` comes from; ``texts`` are all that was rendered for it."""
    mixed = hashlib.sha256(_engine().encode())
    parts = [repr(project).encode(), *(text.encode() for text in texts)]
    folder = project.root / "fixtures"
    for path in (path for path in listed(folder, "*") if is_file(path)):
        parts += [path.name.encode(), path.read_bytes()]
    for part in parts:
        mixed.update(len(part).to_bytes(8, "big"))
        mixed.update(part)
    return mixed.hexdigest()


def load(project: Project, named: str) -> dict[str, Any] | None:
    """The result that was kept under ``named``, or None: files, notes, failed data tests, own views."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_path(project).read_text("utf-8"))
        if kept["digest"] == named:
            failed = [
                FailedTest(**{**test, "keys": tuple(test["keys"]), "path": Path(test["path"])})
                for test in kept["failed"]
            ]
            own = dict(kept["own"])
            return {"files": dict(kept["files"]), "notes": tuple(kept["notes"]), "failed": tuple(failed), "own": own}
    return None


def store(
    project: Project,
    named: str,
    *,
    files: Mapping[str, str],
    notes: Iterable[str],
    failed: Iterable[FailedTest],
    own: Mapping[str, str],
) -> None:
    """Keep a result; where the folder cannot be written, the next time costs what this one did.

    ``own`` are the digests of the views that were run in DuckDB's own SQL, by entity.
    """
    kept = {
        "digest": named,
        "files": dict(files),
        "notes": list(notes),
        "failed": [{**asdict(test), "path": str(test.path)} for test in failed],
        "own": dict(own),
    }
    path = _path(project)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Two tests at once write the same, or each its own: a half-written file is read as none.
        path.write_text(json.dumps(kept), "utf-8")


def _path(project: Project) -> Path:
    return project.state.parent / "tested" / f"{project.name}.json"


@cache
def _engine() -> str:
    """What names this engine and what it stands on."""
    mixed = hashlib.sha256(sys.version.encode())
    for path in sorted((*_ENGINE.rglob("*.py"), *_ENGINE.rglob("*.sql"))):
        mixed.update(path.read_bytes())
    for name in ("duckdb", "jinja2", "orjson", "pyarrow", "sqlglot"):
        mixed.update(f"{name} {metadata.version(name)}".encode())
    return mixed.hexdigest()
