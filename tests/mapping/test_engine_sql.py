"""The engine's own SQL files are compiled once, and no code is taken from where somebody else may write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2
import pytest

from engine.mapping import engine_sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of compiled files of a user who has none yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    engine_sql._engine_environment.cache_clear()
    yield tmp_path / "s2s" / "sql"
    engine_sql._engine_environment.cache_clear()


def render(monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """What a process renders that begins now, and how many files it compiled for that."""
    engine_sql._engine_environment.cache_clear()
    compiled: list[object] = []
    generate = jinja2.Environment._generate

    def count(*arguments: object, **named: object) -> str:
        compiled.append(arguments)
        return generate(*arguments, **named)  # type: ignore[arg-type] # whatever it takes

    with monkeypatch.context() as patched:
        patched.setattr(jinja2.Environment, "_generate", count)
        text = engine_sql.render_sql("runs.sql", limit=7)
    return text, len(compiled)


def test_a_file_is_compiled_once_for_all_processes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again where what was kept is torn."""
    text, compiled = render(monkeypatch)
    assert (compiled, "7" in text) == (1, True)
    assert render(monkeypatch) == (text, 0)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert render(monkeypatch) == (text, 1)
    assert render(monkeypatch) == (text, 0)


def test_compiled_code_is_not_taken_from_a_folder_that_others_may_write_to(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be run with this user's rights."""
    text, _ = render(monkeypatch)
    for mode in (0o770, 0o707):
        cache.chmod(mode)
        assert render(monkeypatch) == (text, 1)


def test_without_a_folder_files_are_compiled_as_they_are_needed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that may write nowhere."""
    cache.parent.mkdir()
    cache.write_text("no folder")
    assert [render(monkeypatch)[1] for _ in range(2)] == [1, 1]
