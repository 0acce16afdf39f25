"""Secrets of the operating system's store, here one in memory: written without an echo, read by a project, hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError, PasswordDeleteError
from support.command import run_command
from support.output import read_result

from engine.config.loader import load
from engine.config.plain_secrets import plain_secrets
from engine.errors import ProjectError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """
[source]
dialect = "postgres"
connection = "Driver={PostgreSQL Unicode};Server=127.0.0.1;Port=1;UID=reader;PWD=${keyring:acme/db_password}"
[stock2shop]
source_id = 57
username = "me"
password = "${keyring:acme/PASSWORD}"
url = "http://127.0.0.1:1/v1"
retries = 0
"""
VIEW = """
select code as source_variant_code, code as source_product_code, name as title, 'Yes' as product_active,
    code as "variants.sku" from item
"""


class MemoryStore(KeyringBackend):
    """A store like the system's, for one test."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the library's
        self.secrets: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """The password, or None."""
        return self.secrets.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep the password."""
        self.secrets[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Forget the password."""
        try:
            del self.secrets[service, username]
        except KeyError:
            raise PasswordDeleteError(service) from None


class ClosedStore(MemoryStore):
    """A machine without a store."""

    def get_password(self, service: str, username: str) -> str | None:
        """Refuse."""
        raise NoKeyringError(f"{service} {username}")


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    """The store in memory, in place of the system's."""
    before = keyring.get_keyring()
    found = MemoryStore()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace whose project takes its passwords from the store."""
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "project.toml").write_text(PROJECT, "utf-8")
    (root / "views" / "products.sql").write_text(VIEW, "utf-8")
    return tmp_path


def s2s(workspace: Path, *words: str, piped: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command, with a line on its standard input."""
    return run_command(*words, folder=workspace, variables={}, piped=piped)


def test_a_secret_is_written_and_read_by_the_project(workspace: Path, store: MemoryStore) -> None:
    """In whatever case it is named; it is hidden wherever it would be printed, and removed again."""
    for name, value in (("DB_PASSWORD", "a;b}c"), ("password", "hunter2hunter2")):
        written = s2s(workspace, "secret", "set", "acme", name, piped=f"{value}\n")
        assert written.returncode == 0, written.stderr
        assert value not in written.stdout
        assert f"${{keyring:acme/{name.lower()}}}" in written.stdout
    assert store.secrets == {
        ("s2s/acme/db_password", "s2s"): "a;b}c",
        ("s2s/acme/password", "s2s"): "hunter2hunter2",
    }
    project = load("acme", workspace=workspace, environ={})
    assert project.source.connection == "Driver={PostgreSQL Unicode};Server=127.0.0.1;Port=1;UID=reader;PWD={a;b}}c}"
    assert {"a;b}c", "hunter2hunter2"} <= set(project.secrets)
    doctor = s2s(workspace, "doctor", "acme").stdout
    assert "none stands in a plain file" in doctor
    assert "hunter2" not in doctor
    assert s2s(workspace, "secret", "remove", "acme", "PASSWORD").returncode == 0
    as_json = s2s(workspace, "secret", "set", "acme", "PASSWORD", "--output", "json", piped="hunter2hunter2\n").stdout
    stored = read_result(as_json)
    assert (stored["reference"], "hunter2" in as_json) == ("${keyring:acme/password}", False)
    removed = s2s(workspace, "secret", "remove", "acme", "PASSWORD", "--output", "json")
    assert read_result(removed.stdout) == {**stored, "store": None}
    again = s2s(workspace, "secret", "remove", "acme", "PASSWORD")
    assert (again.returncode, "no acme/password" in again.stderr) == (2, True)


def test_a_check_does_not_open_the_store(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made for branches, and for machines that have none; what connects says how to write the secret."""
    monkeypatch.setattr("engine.config.loader.read_secret", lambda *_: pytest.fail("it was opened"))
    assert s2s(workspace, "check", "acme").returncode == 0
    monkeypatch.setattr("engine.config.loader.read_secret", lambda *_: None)
    with pytest.raises(ProjectError) as raised:
        load("acme", workspace=workspace, environ={})
    assert [each.line for each in raised.value.diagnostics] == [4, 8]
    assert "s2s secret set acme PASSWORD" in raised.value.diagnostics[1].hint


def test_a_machine_without_a_store_says_so(workspace: Path, store: MemoryStore) -> None:
    """And what to do there; nothing that the store says is repeated."""
    keyring.set_keyring(ClosedStore())
    refused = s2s(workspace, "plan", "acme")
    assert refused.returncode == 2
    assert "The system's store of secrets cannot be used: NoKeyringError." in refused.stderr
    assert "write the secret to .env" in refused.stderr


@pytest.mark.parametrize(("name", "piped"), [("PASS WORD", "x"), ("PASSWORD", ""), ("PASSWORD", "\n")])
def test_what_cannot_be_a_secret_is_refused(workspace: Path, store: MemoryStore, name: str, piped: str) -> None:
    """A name with blanks, or no secret at all."""
    assert s2s(workspace, "secret", "set", "acme", name, piped=piped).returncode == 2
    assert store.secrets == {}


def test_doctor_names_the_secrets_in_plain_files_and_who_may_read_them(tmp_path: Path) -> None:
    """Its own .env before the workspace's; what the environment sets is in neither."""
    root = tmp_path / "projects" / "acme"
    root.mkdir(parents=True)
    (root / "project.toml").write_text("# ${OWN_PASSWORD} ${SHARED_TOKEN} ${SET_PASSWORD} ${HOST}", "utf-8")
    (root / ".env").write_text("OWN_PASSWORD=x\nHOST=db\nSET_PASSWORD=z\n", "utf-8")
    (tmp_path / ".env").write_text("SHARED_TOKEN=y\nOWN_PASSWORD=w\nUNUSED_PASSWORD=v\n", "utf-8")
    found = [*plain_secrets(root, workspace=tmp_path, environ={"SET_PASSWORD": "s"})]
    assert found == [(root / ".env", ("OWN_PASSWORD",)), (tmp_path / ".env", ("SHARED_TOKEN",))]
