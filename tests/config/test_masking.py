"""A review of ``project.toml`` shows what changed, and no secret that is written in it, however it is spelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.config.loader import load
from engine.config.masking import mask_connection, mask_settings, mask_sql

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = """\
[source]
dialect = "tsql"
connection = "Driver={ODBC Driver 18 for SQL Server};Server=db;UID=${U};PWD=${P};Encrypt=no"

[stock2shop]
source_id = 57
username = "${S}"
password = "${S2S_PASSWORD}"
"""

WRITTEN = [
    ('password = "${S2S_PASSWORD}"', 'password = "hunter2"'),
    ('password = "${S2S_PASSWORD}"', "password = 'hunter2'"),
    ('password = "${S2S_PASSWORD}"', '"password" = "hunter2"'),
    ('password = "${S2S_PASSWORD}"', "'password'='hunter2'"),
    ('password = "${S2S_PASSWORD}"', 'password = """hunter2"""'),
    ('password = "${S2S_PASSWORD}"', "password = '''\nhunter2'''"),
    ('password = "${S2S_PASSWORD}"', 'password = "${X}hunter2"'),
    ('password = "${S2S_PASSWORD}"', 'password = "hunter2${X}"'),
    ('password = "${S2S_PASSWORD}"', 'password = "$${hunter2}"'),
    ('password = "${S2S_PASSWORD}"', 'password = "\\u0068unter2"'),
    ("PWD=${P}", "PWD=hunter2"),
    ("PWD=${P}", "pwd = hunter2"),
    ("PWD=${P}", "Password=hunter2"),
    ("PWD=${P}", "PWD={hunter2}"),
    ("PWD=${P}", "PWD={${A}hunter2}"),
    ("PWD=${P}", "PWD=${A}hunter2"),
    ("PWD=${P}", "AccessToken=hunter2"),
    ("PWD=${P}", "ApiKey=hunter2"),
    ("PWD=${P}", "SharedAccessKey=hunter2"),
    ("PWD=${P}", "ProxyPwd=hunter2"),
    ("PWD=${P}", "SSLKeyPassphrase=hunter2"),
]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *WRITTEN,
        ("PWD=${P}", "SomeOption=hunter2"),
        ("Server=db;", "Server=db;hunter2;"),
        ("[stock2shop]", "session = [\"PRAGMA key='hunter2'\"]\n[stock2shop]"),
        ("[stock2shop]", 'session = ["PRAGMA key=hunter2"]\n[stock2shop]'),
        ("[stock2shop]", "session = [\"exec login 'hunter2'\"]\n[stock2shop]"),
        ("[stock2shop]", 'passwort = "hunter2"\n[stock2shop]'),
        ("[stock2shop]", "# the password is hunter2\n[stock2shop]"),
        ("[stock2shop]", "[stock2shop]  # hunter2"),
        ("[stock2shop]", '[vars]\napi_key = "hunter2"\n[stock2shop]'),
        ("[stock2shop]", '[vars]\napi_token = ["hunter2"]\n[stock2shop]'),
        ("[stock2shop]", '[vars.secrets]\nerp = "hunter2"\n[stock2shop]'),
        ("[stock2shop]", '[vars]\nlinked = "Server=x;Pwd=hunter2"\n[stock2shop]'),
        ("[stock2shop]", '[stock2shop]\nurl = "https://u:hunter2@app.stock2shop.com/v1"'),
        ("[stock2shop]", '[orders.serve]\ntoken = "hunter2"\n[stock2shop]'),
        ("[stock2shop]", "[vars]\npassword = 1234567\n[stock2shop]"),
        ("[stock2shop]", '[vars]\npin_code_password = "hunter2"\n[stock2shop]'),
    ],
)
def test_a_written_secret_is_never_shown_and_that_it_changed_is(old: str, new: str) -> None:
    """As it was, and as it is; and beside it what is harmless stays readable."""
    written = PLAIN.replace(old, new)
    assert written != PLAIN
    for pair in ((PLAIN, written), (written, PLAIN), ("", written)):
        masked = mask_settings(*pair)
        assert masked is not None
        for each in masked:
            assert "hunter2" not in each
            assert "1234567" not in each
            assert each == "" or "source_id = 57" in each
        assert masked[0] != masked[1]


def test_another_password_shows_as_a_change_though_both_are_masked() -> None:
    """A reviewer has to know that the login is another one."""
    masked = mask_settings(PLAIN.replace("${S2S_PASSWORD}", "hunter2"), PLAIN.replace("${S2S_PASSWORD}", "hunter3"))
    assert masked is not None
    assert 'password = "***"' in masked[0].splitlines()
    assert 'password = "***"  # changed' in masked[1].splitlines()


def test_what_is_harmless_is_shown_as_it_is_written() -> None:
    """Variables, drivers, servers, limits, words of flags, vars, statements that set the session."""
    text = PLAIN + (
        '\n[products]\nmax_deletes = "5%"\nactive = { Active = ["A"], Delete = ["D"] }\n\n'
        '[vars]\nwarehouses = ["JHB", "CPT"]\nprice_lists = { 1 = "Trade" }\nkey_column = "CODE"\ntoken_column = "T"\n'
        '\n[tests]\nno_blank_password = "warning"\n'
    )
    text = text.replace("[stock2shop]", "session = [\"set datestyle = 'ISO'\"]\n\n[stock2shop]")
    masked = mask_settings("", text)
    assert masked == ("", text.replace("\n\nsession", "\nsession").strip())


@pytest.mark.parametrize("broken", ["password = hunter2", "[source\n", 'a = "hunter2\n'])
def test_what_is_no_toml_is_not_shown_at_all(broken: str) -> None:
    """What cannot be parsed cannot be masked."""
    assert mask_settings(PLAIN, broken) is None
    assert mask_settings(broken, PLAIN) is None


def test_comments_alone_show_as_a_change_without_their_words() -> None:
    """They may hold anything."""
    masked = mask_settings(PLAIN, f"# hunter2\n{PLAIN}")
    assert masked is not None
    assert masked[1].endswith("# Only comments or the layout changed, which are not shown.")


@pytest.mark.parametrize(
    ("connection", "shown"),
    [
        ("${CONNECTION}", "${CONNECTION}"),
        ("DSN=erp;UID=reader;PWD={${P}}", "DSN=erp;UID=reader;PWD={${P}}"),
        ("DSN=erp;PWD=a;b", "***"),
        ("hunter2", "***"),
        ("Driver={a;b};PWD={a;b}}c};Odd=1", "Driver={a;b};PWD=***;Odd=***"),
    ],
)
def test_a_connection_shows_its_harmless_options(connection: str, shown: str) -> None:
    """And nothing where a driver could not tell its options apart."""
    assert mask_connection(connection) == shown


def test_sql_that_holds_a_login_is_shown_without_it() -> None:
    """Of an order's statement or a data test."""
    masked = mask_sql("select 'ok', openrowset('MSDASQL', 'Server=x;PWD=hunter2') identified by 'hunter2'")
    assert masked == "select 'ok', openrowset('MSDASQL', '***') identified by '***'"


def test_a_name_of_a_test_or_a_column_makes_no_secret_of_its_value(tmp_path: Path) -> None:
    """Else the word warning would be missing in all output."""
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "views" / "products.sql").write_text("select 1", "utf-8")
    more = '[tests]\nno_blank_password = "warning"\n[vars]\npassword_column = "WebPin"\n'
    more += "[products.expect.accepted_values]\n"
    (root / "project.toml").write_text(f'{PLAIN}{more}meta_token = ["Trade"]\n', "utf-8")
    environ = {"U": "reader", "P": "pppp", "S": "sync", "S2S_PASSWORD": "ssss"}
    project = load("acme", workspace=tmp_path, environ=environ)
    assert (set(project.secrets), project.warnings) == ({"reader", "pppp", "sync", "ssss"}, ())


def test_marks_of_the_masking_itself_may_stand_in_a_file() -> None:
    """A branch may hold any character."""
    assert mask_connection("PWD=\ue0007\ue001;Server=\ue000x") == "PWD=***;Server=\ufffdx"


@pytest.mark.parametrize(("old", "new"), WRITTEN)
def test_a_written_secret_is_a_warning_and_hidden_in_all_output(tmp_path: Path, old: str, new: str) -> None:
    """Whatever a driver or Stock2Shop repeats of it."""
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "views" / "products.sql").write_text("select 1", "utf-8")
    (root / "project.toml").write_text(PLAIN.replace(old, new), "utf-8")
    environ = {"U": "reader", "P": "pppp", "S": "sync", "S2S_PASSWORD": "ssss", "X": "prefix", "A": "prefix"}
    project = load("acme", workspace=tmp_path, environ=environ)
    assert [warning.severity for warning in project.warnings] == ["warning"]
    assert "hunter2" not in project.warnings[0].message + project.warnings[0].hint
    text = f"{project.source.connection} {project.stock2shop.password}"
    for secret in sorted(project.secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    assert "hunter2" not in text
