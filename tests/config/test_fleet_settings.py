"""Whether a workspace is a fleet's is said in workspace.toml, and what is wrong with it is said with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.config.fleet import read_fleet
from engine.config.last_good import keep_workspace_file
from engine.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_workspace_without_a_fleet_is_run_by_one_machine(tmp_path: Path) -> None:
    """Without the file, and without the table, whatever else names a fleet there."""
    assert read_fleet(tmp_path, environ={}) is None
    (tmp_path / "workspace.toml").write_text('[schedule]\nevery = "3m"  # fleet\n', "utf-8")
    assert read_fleet(tmp_path, environ={}) is None


def test_the_address_comes_from_variables_and_shows_in_nothing(tmp_path: Path) -> None:
    """Those of the environment and of the workspace's .env."""
    (tmp_path / "workspace.toml").write_text('[fleet]\ndatabase = "postgresql://s2s:${SECRET}@${HOST}/s2s"\n', "utf-8")
    (tmp_path / ".env").write_text("SECRET=hunter22\n", "utf-8")
    settings = read_fleet(tmp_path, environ={"HOST": "db"})
    assert settings is not None
    assert settings.database == "postgresql://s2s:hunter22@db/s2s"
    assert "hunter22" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fleet]\n", "has the key `database`"),
        ('[fleet]\ndatabase = "x"\nlease = 3\n', "has the key `database`"),
        ('[fleet]\ndatabase = "${NOT_SET}"\n', "the variable NOT_SET is not set"),
        ('[fleet]\ndatabase = "x"\nsnapshots = "s3://key:secret@bucket"\n', "no address of an object store"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """And with what to write."""
    (tmp_path / "workspace.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        read_fleet(tmp_path, environ={})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.path == tmp_path / "workspace.toml"
    assert ("s3://bucket/prefix" if "snapshots" in text else "S2S_FLEET") in diagnostic.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[schedule", "This is not TOML: "),
        (b"[fleet", "This is not TOML: "),
        ("[schedule]".encode("utf-16"), "The file is not UTF-8."),
        ("[schedule]  # für alle".encode("cp1252"), "The file is not UTF-8."),
        (b"", ""),
    ],
    ids=["cut off", "broken", "UTF-16", "cp1252", "emptied"],
)
def test_a_broken_edit_makes_no_machine_of_a_fleet_run_on_its_own(tmp_path: Path, content: bytes, says: str) -> None:
    """The last good version says whether the workspace is a fleet's; what is no TOML, or no text, says nothing."""
    state = tmp_path / ".state"
    (tmp_path / "workspace.toml").write_bytes(content)
    keep_workspace_file(state, b'[fleet]\ndatabase = "x"\n')
    if content:
        with pytest.raises(ConfigError, match=says):
            read_fleet(tmp_path, environ={})
    else:  # is TOML: somebody has taken the table out
        assert read_fleet(tmp_path, environ={}) is None
    keep_workspace_file(state, b"[schedule]  # no fleet\n")
    assert read_fleet(tmp_path, environ={}) is None


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_fleet_is_found_in_a_file_that_is_no_utf_8(tmp_path: Path, encoding: str) -> None:
    """Where no good version is known; the message names the encoding, and not a table that is there."""
    (tmp_path / "workspace.toml").write_bytes('[fleet]  # für alle\ndatabase = "x"\n'.encode(encoding))
    with pytest.raises(ConfigError, match="The file is not UTF-8") as caught:
        read_fleet(tmp_path, environ={})
    (diagnostic,) = caught.value.diagnostics
    assert "Save it as UTF-8." in diagnostic.hint
    assert ("UTF-16" in diagnostic.hint) == (encoding == "utf-16")
