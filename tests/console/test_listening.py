"""The agent's port as other machines reach it: over TLS, behind a login, and with tokens for orders."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import requests
from support.agent import running_agent
from support.console import Visit, write_users
from support.erp import order_document

from engine.cli.console import read_settings
from engine.cli.session import GlobalOptions, Session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from support.erp import Erp

LISTENING = 'host = "0.0.0.0"\nnames = ["s2s.example.com"]\ntls_certificate = "own.pem"\ntls_key = "own.key"'


def test_other_machines_reach_it_over_tls_and_with_a_login_alone(erp: Erp) -> None:
    """The session's cookie goes over TLS only, and a project without a token takes no orders there."""
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    files = (
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        erp.workspace / "own.key",
        "-out",
        erp.workspace / "own.pem",
    )
    subprocess.run([*words, *files], check=True, capture_output=True)
    write_users(erp.workspace, LISTENING)
    with running_agent(erp.workspace, erp.environment, "--every", "23h") as agent:
        port = re.findall(r"https://0\.0\.0\.0:(\d+)", agent.address)[0]
        _look(Visit(f"https://127.0.0.1:{port}"), erp.workspace / "own.pem")
        try:
            plain = requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code
        except requests.ConnectionError:
            plain = 0
        assert plain == 0


def _look(visit: Visit, certificate: Path) -> None:
    visit.session.verify = str(certificate)
    visit.session.trust_env = False  # another certificate may be named there
    assert visit.get("/").headers["Location"] == "/login"
    assert visit.get("/", Host="s2s.example.com").headers["Location"] == "/login"
    assert visit.get("/", Host="0.0.0.0").status_code == 421
    assert visit.get("/metrics").status_code == 200
    assert visit.get("/metrics", Host="s2s.example.com").status_code == 403
    assert visit.log_in("victor").status_code == 303
    cookie = next(each for each in visit.session.cookies if each.name == "__Host-s2s-console")
    assert cookie.secure
    assert "acme" in visit.get("/").text
    sent = visit.session.post(f"{visit.address}/orders/acme", json=order_document(), timeout=30)
    assert (sent.status_code, sent.json()["error"]["what_to_do"]) == (403, "Set a token under [orders.serve].")


def test_settings_that_are_wrong_stop_no_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clients are synced and orders taken; only the console is not there, and it says so."""
    (tmp_path / "projects").mkdir()
    (tmp_path / "workspace.toml").write_text('[console]\nhost = "0.0.0.0"\n', "utf-8")
    assert read_settings(Session(options=GlobalOptions(workspace=tmp_path))) is None
    assert "no users with a password. The console is not served" in capsys.readouterr().err.replace("\n", " ")
