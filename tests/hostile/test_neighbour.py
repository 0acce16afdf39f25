"""Another user of the same machine: reads nothing of a client's state, holds none of its locks, replaces no file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command import run_command, run_process
from support.erp import order_document

from engine.errors import StateError
from engine.files import create_private_file, make_private_folder
from engine.orders import ledger_file
from engine.scaffold.answers import SourceAnswers
from engine.scaffold.scaffold import create_project
from engine.state.store import open_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.client import Client
    from support.erp import Erp

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")

NOBODY = 65534


def mode(path: Path) -> int:
    """The rights of a file or a folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def generous() -> Iterator[None]:
    """An account whose mask takes no right away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous")
def test_everything_beside_the_state_is_its_owners(erp: Erp) -> None:
    """The state, the ledger, the lock under which orders are raised, what is written beside them, and the folder."""
    erp.receive(order_document())
    folder = erp.project.state.parent
    with (
        open_state(erp.project.state) as state,
        erp.ledger(),
        ledger_file.raising_lock(erp.project.state.parent, "acme"),
    ):
        state.set_meta("sync_token", "1")
        modes = {path.relative_to(folder).as_posix(): mode(path) for path in folder.iterdir()}
    assert {"acme.duckdb", "acme.orders.sqlite", "acme.orders.sqlite-wal", "acme.raising.sqlite"} <= {*modes}
    assert {name for name, rights in modes.items() if rights & 0o077} == set()
    assert mode(folder) == 0o700


@pytest.mark.usefixtures("generous")
def test_a_lock_is_its_owners_before_sqlite_opens_it(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it open when its rights are taken away keeps it."""
    seen: list[int] = []

    def connect(path: Path, *, timeout: float) -> sqlite3.Connection:
        seen.append(mode(path))
        return sqlite3.connect(path, isolation_level=None, timeout=timeout)

    monkeypatch.setattr(ledger_file, "connect_own_sqlite", connect)
    monkeypatch.setattr("engine.file_lock.connect_own_sqlite", connect)
    erp.receive(order_document())
    assert set(seen) == {0o600}


@pytest.mark.usefixtures("generous")
def test_files_that_an_earlier_version_left_open_are_closed(erp: Erp) -> None:
    """Also a state that was copied here."""
    erp.receive(order_document())
    with open_state(erp.project.state):
        pass
    paths = [erp.project.state.with_name(f"acme{end}") for end in (".duckdb", ".orders.sqlite", ".raising.sqlite")]
    for path in paths:
        path.chmod(0o666)
    with open_state(erp.project.state):
        pass
    erp.receive(order_document(1002))
    assert [mode(path) for path in paths] == [0o600] * 3


def test_a_file_that_is_open_elsewhere_keeps_its_locks(tmp_path: Path) -> None:
    """SQLite's are lost where the process closes the file once more."""
    path = tmp_path / "lock.sqlite"
    create_private_file(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin exclusive")
    path.chmod(0o644)
    create_private_file(path)
    code = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('begin exclusive')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    holder.close()
    assert "locked" in other.stderr
    assert mode(path) == 0o600


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can be somebody else")
def test_a_neighbour_cannot_hold_the_lock_of_orders(erp: Erp) -> None:
    """Though the folder was opened to everybody to look into."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        with ledger_file.raising_lock(folder, "acme"):
            pass
        lock = folder / "acme.raising.sqlite"
        assert lock.exists()
        for opened in ('<"$1"', '<>"$1"'):  # to read it and to write it: SQLite's locks need one or the other
            words = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "sh", "-c", f": {opened}", "sh", str(lock)]
            held = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
            assert held.returncode != 0
            assert "Permission denied" in held.stderr
    finally:
        shutil.rmtree(folder)


def test_a_folder_that_everybody_may_write_to_is_refused(client: Client) -> None:
    """By runs, orders and doctor, with what to do."""
    folder = client.workspace / ".state"
    folder.mkdir()
    folder.chmod(0o1777)
    client.item("A")
    ran = run_command("run", "acme", folder=client.workspace, variables=client.environment)
    assert (ran.returncode, "chmod o-w" in ran.stderr) == (1, True)
    assert [*folder.iterdir()] == []
    (folder / "acme.duckdb").touch()
    looked = run_command("doctor", "acme", folder=client.workspace, variables=client.environment)
    assert "Every user of this machine may write" in looked.stdout
    assert looked.returncode == 1


def test_a_ledger_is_not_made_in_a_folder_that_everybody_may_write_to(erp: Erp) -> None:
    """Whoever comes first would hold it."""
    erp.project.state.parent.mkdir(mode=0o700)
    erp.project.state.parent.chmod(0o777)
    with pytest.raises(StateError, match="Every user of this machine"), erp.ledger():
        pass
    with (
        pytest.raises(StateError, match="Every user of this machine"),
        ledger_file.raising_lock(erp.project.state.parent, "acme"),
    ):
        pass


def test_doctor_names_a_folder_that_the_group_may_write_to(client: Client) -> None:
    """That may be meant, so that runs go on."""
    client.item("A")
    assert run_command("run", "acme", folder=client.workspace, variables=client.environment).returncode == 0
    (client.workspace / ".state").chmod(0o770)
    looked = run_command("doctor", "acme", folder=client.workspace, variables=client.environment)
    assert "its group may write to" in looked.stdout
    assert run_command("run", "acme", folder=client.workspace, variables=client.environment).returncode == 0


@pytest.mark.usefixtures("generous")
def test_folders_that_are_missing_are_made_for_their_owner(tmp_path: Path) -> None:
    """Each of them, not the last alone."""
    make_private_folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / each) for each in ("a", "a/b", "a/b/c")] == [0o700] * 3


@pytest.mark.usefixtures("generous")
def test_a_new_project_has_its_secrets_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The rest of it is for everybody to read, as a checkout is."""
    create_project(tmp_path, "acme", SourceAnswers(database="erp.db"))
    assert mode(tmp_path / "projects" / "acme" / ".env") == 0o600
    assert mode(tmp_path / "projects" / "acme" / "project.toml") == 0o666


def test_no_plugin_of_another_program_is_loaded(client: Client, tmp_path: Path) -> None:
    """What happens to be installed beside the engine takes no part in reading a project and its passwords."""
    beside = tmp_path / "beside"
    (beside / "guest-1.dist-info").mkdir(parents=True)
    (beside / "guest-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1\n")
    (beside / "guest-1.dist-info" / "entry_points.txt").write_text("[pydantic]\nguest = guest:plugin\n")
    (beside / "guest.py").write_text("import sys\nsys.stderr.write('the guest is here')\nplugin = None\n")
    path = os.pathsep.join((str(Path(__file__).parents[2]), str(beside)))
    ran = run_process("check", "acme", folder=client.workspace, variables={**client.environment, "PYTHONPATH": path})
    assert (ran.returncode, ran.stderr) == (0, "")
