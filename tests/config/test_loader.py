"""``project.toml`` becomes a project, or every fault at once, each on its line and with what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest
import tomli

from engine.config.loader import load
from engine.config.schema import schema
from engine.config.variables import dotenv_line
from engine.config.workspace import discover, find_workspace
from engine.database.connection_string import parse_options, unquote
from engine.errors import ProjectError
from engine.model.settings import Limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.errors import Diagnostic
    from engine.model.settings import Project

FILE = '[source]\ndatabase = "erp.db"\ndialect = "duckdb"\n'

ENVIRON = {
    "ERP_USER": "erp-reader",
    "ERP_PASSWORD": "hunter2hunter2",
    "S2S_USER": "sync@acme",
    "S2S_PASSWORD": "correct-horse",
}

SOUND = """\
[source]
dialect = "sqlserver"
connection = "Driver={ODBC Driver 18 for SQL Server};Server=db;UID=${ERP_USER};PWD=${ERP_PASSWORD}"

[stock2shop]
source_id = 57
username = "${S2S_USER}"
password = "${S2S_PASSWORD}"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a project into a workspace; gives the workspace."""

    def go(text: str | bytes = SOUND, *, name: str = "acme", view: bool = True, env: str = "") -> Path:
        root = tmp_path / "projects" / name
        (root / "views").mkdir(parents=True, exist_ok=True)
        (root / "project.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        if view:
            (root / "views" / "products.sql").write_text("select 1")
        if env:
            (root / ".env").write_text(env, "utf-8")
        return tmp_path

    return go


def read(workspace: Path, **environ: str) -> Project:
    """Load the project acme."""
    return load("acme", workspace=workspace, environ={**ENVIRON, **environ})


def faults(workspace: Path, **environ: str) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with the project acme."""
    with pytest.raises(ProjectError) as raised:
        read(workspace, **environ)
    return tuple(each for each in raised.value.diagnostics if each.severity == "error")


def test_a_sound_project_is_read(write: Callable[..., Path]) -> None:
    """With its variables filled in and its defaults."""
    project = read(write())
    assert (project.name, project.source.dialect, project.source.database) == ("acme", "tsql", None)
    assert project.source.connection == (
        "Driver={ODBC Driver 18 for SQL Server};Server=db;UID=erp-reader;PWD=hunter2hunter2"
    )
    assert (project.stock2shop.source_id, project.stock2shop.password) == (57, "correct-horse")
    assert project.state == project.workspace / ".state" / "acme.duckdb"
    products = project.entities["products"]
    assert products.view == project.root / "views" / "products.sql"
    assert (products.max_deletes, products.active["ignore"]) == (Limit(share=0.1, floor=10, floor_share=0.5), "Ignore")
    assert project.warnings == ()


def test_a_projects_secrets_are_not_in_its_repr(write: Callable[..., Path]) -> None:
    """Property 8; the list of what must be hidden holds them."""
    project = read(write())
    assert {"hunter2hunter2", "correct-horse", "sync@acme", "erp-reader"} <= set(project.secrets)
    assert [secret for secret in project.secrets if secret in repr(project)] == []


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + SOUND.encode(), SOUND.replace("\n", "\r\n").encode()])
def test_a_file_from_windows_is_read(write: Callable[..., Path], text: bytes) -> None:
    """A byte-order mark and CRLF do not matter."""
    assert read(write(text)).stock2shop.source_id == 57


def test_every_fault_is_reported_at_once(write: Callable[..., Path]) -> None:
    """Unknown keys, wrong values, missing variables and wrong addresses, each on its line."""
    text = SOUND.replace("sqlserver", "sqlsever").replace("57", "true").replace("${S2S_USER}", "${NOBODY}") + (
        'url = "http://stock2shop.example"\npase = 2\n\n'
        "[products]\n"
        'max_deletes = "lots"\n'
        'missing = "remove"\n'
        'active = { Activ = ["yes"], Delete = ["x"], Ignore = ["X "] }\n\n'
        "[prodcts]\n"
    )
    assert [(fault.line, fault.message.split(":")[0]) for fault in faults(write(text))] == [
        (2, "'sqlsever' is not a dialect that s2s knows."),
        (6, "true stands where a number is required."),
        (7, "The variable NOBODY is not set."),
        (9, "Plain http would send the password unencrypted."),
        (10, "There is no key stock2shop.pase."),
        (13, "'lots' is neither a number of rows nor a percentage."),
        (14, "products.missing should be 'delete' or 'keep'."),
        (15, "'Activ' is not Active, Delete or Ignore."),
        (15, "The word 'X ' means both Delete and Ignore."),
        (17, "There is no table [prodcts]."),
    ]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("sqlserver", "postgre"), "Did you mean postgres?"),
        (("source_id", "sourceid"), "Did you mean source_id?"),
        (("[stock2shop]", "[stock2shops]"), "Did you mean stock2shop?"),
        (("${ERP_USER}", "${ERP_USR}"), "ERP_USR=… in "),
        (("${ERP_USER}", "${ERP USER}"), "$${"),
        (("${ERP_USER};", "${ERP_USER;"), "$${"),
    ],
)
def test_a_fault_says_what_to_do(write: Callable[..., Path], change: tuple[str, str], hint: str) -> None:
    """A guess where there is one, else the step."""
    assert hint in " ".join(fault.hint for fault in faults(write(SOUND.replace(*change))))


@pytest.mark.parametrize("text", ["[source\n", 'a = "\\x"\n', "a = \n", "a = 1\na = 2\n"])
def test_what_is_no_toml_names_its_line(write: Callable[..., Path], text: str) -> None:
    """As the parser says."""
    (fault,) = faults(write(text))
    assert "This is not TOML" in fault.message
    assert fault.line in {1, 2}


def test_a_backslash_in_a_path_gets_its_own_hint(write: Callable[..., Path]) -> None:
    """The most likely fault of a Windows path."""
    (fault,) = faults(write('[source]\ndatabase = "C:\\xerp"\n'))
    assert "single quotes: 'C:\\ERP'" in fault.hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("view = \u201cviews/a.sql\u201d", 'There is a \u201c (U+201C, left double quotation mark): write " instead.'),
        ("view = \u2018a\u2019", "(U+2018, left single quotation mark): write ' instead."),
        ("view\u00a0= 'a'", "There is a special space (U+00A0, no-break space): write a plain one."),
        ("min_rows = 1\u00a0", "(U+00A0, no-break space): write a plain one."),
        ("min_rows = \u200b1", "There is an invisible character (U+200B, zero width space): delete it."),
        ("min_rows = \u22121", "(U+2212, minus sign): write - instead."),
        ("code = 001", 'A code such as 001 is a string: "001".'),
        ("codes = [1, 002]", 'A code such as 001 is a string: "001".'),
        ("max_deletes = 10%", 'A percentage is a string: "10%".'),
        ("share = 1,5", "A decimal number has a point: 1.5."),
        ("linked = True", "Booleans are true and false, in lower case."),
        ("view = null", "TOML has no null: leave the key out."),
        ("view = views", 'Strings must be in double quotes: key = "value".'),
        ("view = 'it\u2019s' x", 'Strings must be in double quotes: key = "value".'),
    ],
)
def test_a_slip_in_toml_is_named_with_what_to_write(write: Callable[..., Path], line: str, hint: str) -> None:
    """A word processor's quotes and a code with zeros look right to whoever wrote them."""
    (fault,) = faults(write(f"{SOUND}\n[products]\n{line}\n"))
    assert fault.line == 11
    assert fault.hint.endswith(hint)


def test_a_file_that_is_not_utf8_is_a_clear_error(write: Callable[..., Path]) -> None:
    """Nothing of its content is shown."""
    (fault,) = faults(write(b'# caf\xe9\npassword = "x"'))
    assert (fault.message, fault.hint) == ("The file is not UTF-8.", "Save it as UTF-8.")


def test_an_empty_file_names_both_tables_that_it_needs(write: Callable[..., Path]) -> None:
    """And what they are for."""
    assert [fault.message for fault in faults(write(""))] == [
        "The table [source] is missing.",
        "The table [stock2shop] is missing.",
    ]


def test_a_view_is_an_sql_file(write: Callable[..., Path]) -> None:
    """A project never reads another file of the workspace, such as .env, as a view."""
    (found,) = faults(write(SOUND + '[products]\nview = "../../.env"\n'))
    assert (found.message, found.line) == ("../../.env is not an SQL file.", SOUND.count("\n") + 2)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "A source needs either"),
        ('connection = "DSN=x"\ndatabase = "x.duckdb"', "A source needs either"),
        ('database = "x.duckdb"', "A `database` file is read as DuckDB or SQLite, not as tsql."),
    ],
)
def test_a_source_is_one_connection_or_one_file(write: Callable[..., Path], keys: str, message: str) -> None:
    """And a file is read in its own dialect."""
    text = f'[source]\ndialect = "tsql"\n{keys}\n' + SOUND[SOUND.index("[stock2shop]") :]
    (fault,) = faults(write(text))
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    ("dialect", "ignored"),
    [
        ("duckdb", ["encoding", "decoding", "wide_decoding", "attributes", "connect_timeout"]),
        ("sqlite", ["encoding", "wide_decoding", "attributes"]),
    ],
)
def test_a_setting_that_a_file_has_no_use_for_is_not_ignored_in_silence(
    write: Callable[..., Path], dialect: str, ignored: list[str]
) -> None:
    """Whoever wrote it believes that it does something."""
    keys = (
        'encoding = "utf-8"\ndecoding = "cp1252"\nwide_decoding = "utf-16le"\n'
        "attributes = { 1 = 2 }\nconnect_timeout = 5\n"
    )
    text = FILE.replace("duckdb", dialect) + keys + SOUND[SOUND.index("[stock2shop]") :]
    assert [fault.message.split()[0] for fault in faults(write(text))] == ignored


def test_a_database_counts_from_the_projects_folder(write: Callable[..., Path]) -> None:
    """Wherever the command runs."""
    text = '[source]\ndialect = "sqlite"\ndatabase = "data/erp.db"\n' + SOUND[SOUND.index("[stock2shop]") :]
    workspace = write(text)
    assert read(workspace).source.database == workspace / "projects" / "acme" / "data" / "erp.db"


def test_variables_come_from_the_environment_then_the_project_then_the_workspace(write: Callable[..., Path]) -> None:
    """The nearest wins; quotes, `export` and comments in .env are understood."""
    workspace = write(
        SOUND + '[vars]\na = "${A}"\nb = "${B}"\nc = "${C}"\n',
        env="# A=no\nexport A='from project'\nB=from project\n",
    )
    (workspace / ".env").write_bytes(b'\xef\xbb\xbfB=from workspace\r\nC="from workspace"\r\n')
    assert read(workspace, A="from environment").vars == {
        "a": "from environment",
        "b": "from project",
        "c": "from workspace",
    }


def test_variables_may_be_written_in_any_case_on_windows(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes them so, and Python gives those of its environment in capitals."""
    workspace = write(SOUND + '[vars]\na = "${Acme_A}"\nb = "${Acme_B}"\n', env="Acme_B=from project\n")
    monkeypatch.setattr("sys.platform", "win32")
    environment = {"ACME_A": "from environment", "ACME_B": "from environment"}
    assert read(workspace, **environment).vars == {"a": "from environment", "b": "from environment"}


def test_variables_are_filled_in_lists_and_tables_and_can_be_escaped(write: Callable[..., Path]) -> None:
    """`$${` writes the text itself; a value with `${` in it is not filled again."""
    text = SOUND + '[vars]\nlist = ["${A}"]\ntable = { a = "x${A}y" }\nraw = "$${A} $5"\n'
    assert read(write(text), A="${B}").vars == {"list": ["${B}"], "table": {"a": "x${B}y"}, "raw": "${A} $5"}


def test_a_variable_that_is_set_but_empty_is_named(write: Callable[..., Path]) -> None:
    """As in a .env that was never filled in."""
    (fault,) = faults(write(), S2S_PASSWORD="")
    assert (fault.line, fault.message) == (8, "The variable S2S_PASSWORD is empty.")


def test_a_number_may_come_from_a_variable(write: Callable[..., Path]) -> None:
    """A variable is always text."""
    assert read(write(SOUND.replace("57", '"${ID}"')), ID="8").stock2shop.source_id == 8


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PW=open  # a note", "open"),
        ('PW="open" # a note', "open"),
        ("PW='a # b' # a note", "a # b"),
        ("PW=a#b", "a#b"),
        ('PW="a\\"b"', 'a"b'),
        ("PW='C:\\new'", "C:\\new"),
        ("PW=C:\\new", "C:\\new"),
        ("PW = it's ", "it's"),
        ("export PW=$5${NAME}", "$5${NAME}"),
        ("PW=", ""),
    ],
)
def test_an_env_file_is_read_as_dotenv_files_are(write: Callable[..., Path], line: str, value: str) -> None:
    """Comments are left out, quotes hold what would end a value, and nothing in it is filled in."""
    workspace = write(SOUND + '[vars]\npw = "x${PW}"\n', env=f"{line}\n")
    assert read(workspace).vars == {"pw": f"x{value}"}


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "a b",
        "a # b",
        "it's",
        'say "x"',
        "C:\\new",
        "ends in \\",
        "a\\' # b",
        "$5 ${X}",
        " outer ",
        "{a;b}",
        "é漢",
        "'a'",
        '"a"',
        "#a",
        "a\nb",
    ],
)
def test_what_init_writes_to_an_env_file_is_read_back(write: Callable[..., Path], value: str) -> None:
    """Whatever a password holds; and the line after it is not swallowed."""
    lines = f"{dotenv_line('PW', value)}\n{dotenv_line('NEXT', 'x')}\n"
    workspace = write(SOUND + '[vars]\npw = "${PW}"\nnext = "${NEXT}"\n', env=lines)
    assert read(workspace).vars == {"pw": value, "next": "x"}


@pytest.mark.parametrize("line", ['PW="open', "PW='it's'", "just words", "A B=c"])
def test_a_line_of_an_env_file_that_cannot_be_read_is_an_error(write: Callable[..., Path], line: str) -> None:
    """Another file's value for the same name would be taken instead; the line's content is not repeated."""
    workspace = write(env=f"# A comment\n\n{line}\n")
    (problem,) = faults(workspace)
    assert (problem.path, problem.line) == (workspace / "projects" / "acme" / ".env", 3)
    assert line not in problem.message + problem.hint


def test_an_env_file_that_is_not_utf8_is_named(write: Callable[..., Path]) -> None:
    """Its variables would be missing for no visible reason."""
    workspace = write()
    (workspace / ".env").write_bytes(b"A=caf\xe9")
    (fault,) = faults(workspace)
    assert (fault.path, fault.message) == (workspace / ".env", "The file is not UTF-8.")


@pytest.mark.parametrize(
    ("old", "new", "secret"),
    [
        ("${S2S_PASSWORD}", "opensesame", "opensesame"),
        ("${S2S_PASSWORD}", "$${opensesame}", "${opensesame}"),
        ("PWD=${ERP_PASSWORD}", "PWD=opensesame", "opensesame"),
        ("PWD=${ERP_PASSWORD}", "pwd = {open;ses}}ame}", "open;ses}ame"),
    ],
)
def test_a_password_that_git_would_keep_is_a_warning(
    write: Callable[..., Path], old: str, new: str, secret: str
) -> None:
    """The project works, the password is hidden, and is not in the warning."""
    project = read(write(SOUND.replace(old, new)))
    (warning,) = project.warnings
    assert (warning.severity, warning.line) == ("warning", 8 if "S2S" in old else 3)
    assert secret in project.secrets
    assert secret not in warning.message + warning.hint


def test_a_password_inside_a_variables_connection_is_a_secret(write: Callable[..., Path]) -> None:
    """A driver may repeat it alone."""
    text = SOUND.replace(SOUND[SOUND.index('"Driver') : SOUND.index("\n\n[stock")], '"${CONNECTION}"')
    project = read(write(text), CONNECTION="DSN=x;PWD=opensesame")
    assert ("opensesame" in project.secrets, project.warnings) == (True, ())


@pytest.mark.parametrize("password", ["a;b", "{a", "a}b", "a;b}c", "a}}b", "{a}b", " a ", "plain", "a=b", "é;漢"])
def test_a_login_from_a_variable_may_hold_any_letter(write: Callable[..., Path], password: str) -> None:
    """The driver gets it whole, and it is a secret in every spelling."""
    project = read(write(), ERP_PASSWORD=password)
    given = dict(parse_options(project.source.connection or ""))
    assert (unquote(given["PWD"]), given["UID"], given["Server"]) == (password, "erp-reader", "db")
    assert {password, given["PWD"]} <= set(project.secrets)


def test_a_login_that_is_in_braces_already_stays_as_it_is(write: Callable[..., Path]) -> None:
    """In the variable, or around it."""
    assert "PWD={a;b}}c}" in (read(write(), ERP_PASSWORD="{a;b}}c}").source.connection or "")
    around = SOUND.replace("PWD=${ERP_PASSWORD}", "PWD={${ERP_PASSWORD}}")
    assert "PWD={a;b}}c}" in (read(write(around), ERP_PASSWORD="a;b}}c").source.connection or "")


@pytest.mark.parametrize(
    ("connection", "place"),
    [
        ("PWD={a}b};Server=db", "its beginning"),
        ("Server=db;PWD={ab;UID=x", "behind Server="),
        ("UID=x;PWD={${ERP_PASSWORD}}", "behind UID="),
        ("Server=db;hunter2hunter2", "behind Server="),
        ("my server", "its beginning"),
    ],
)
def test_a_connection_that_a_driver_would_misread_is_a_fault(
    write: Callable[..., Path], connection: str, place: str
) -> None:
    """It tells the last option that it understood, and none of the values."""
    line = SOUND[SOUND.index('"Driver') : SOUND.index("\n\n[stock")]
    (fault,) = faults(write(SOUND.replace(line, f'"{connection}"')), ERP_PASSWORD="hunter2}hunter2")
    assert (fault.line, place in fault.message) == (3, True)
    assert "hunter2" not in fault.message + fault.hint


@pytest.mark.parametrize(
    "connection", ["DSN=x", "DSN = x ; ", "DSN=x;;PWD=", "Driver={a};Server=tcp:h,1{2};PWD={};", "A b=c;\nD={e;}}}\n"]
)
def test_a_connection_that_a_driver_reads_is_no_fault(write: Callable[..., Path], connection: str) -> None:
    """Stray blanks, empty values and line breaks do no harm."""
    line = SOUND[SOUND.index('"Driver') : SOUND.index("\n\n[stock")]
    assert read(write(SOUND.replace(line, '"""' + connection + '"""'))).source.connection == connection


@pytest.mark.parametrize("key", ["encoding", "decoding", "wide_decoding"])
def test_an_encoding_that_is_none_is_a_fault(write: Callable[..., Path], key: str) -> None:
    """Before a driver is asked to use it."""
    (fault,) = faults(write(SOUND.replace("\n\n[stock", f'\n{key} = "ansi-7"\n\n[stock')))
    assert (fault.line, "'ansi-7'" in fault.message) == (4, True)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/v1", "http://127.0.0.1:1/v1", "http://[::1]:1", "https://app.stock2shop.com/v1"]
)
def test_plain_http_is_for_this_machine_only(write: Callable[..., Path], url: str) -> None:
    """Everywhere else the password would be readable."""
    assert read(write(SOUND + f'url = "{url}"\n')).stock2shop.url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://stock2shop.com",
        "ftp://x",
        "https://",
        "x",
        "https://u:p@stock2shop.com",
        "http://[",
        "http://127.0.0.1.evil.example",
    ],
)
def test_a_wrong_address_is_refused(write: Callable[..., Path], url: str) -> None:
    """Before anything is sent there; a password in it is not repeated."""
    (fault,) = faults(write(SOUND + f'url = "{url}"\n'))
    assert fault.line == 9
    assert "u:p" not in fault.message + fault.hint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"10%"', Limit(share=0.1, floor=10, floor_share=0.5)),
        ('" 2.5 % "', Limit(share=0.025, floor=10, floor_share=0.5)),
        ('"0%"', Limit(share=0.0)),
        ('{ share = "0%" }', Limit(share=0.0)),
        ('{ share = "0%", floor = 3 }', Limit(share=0.0, floor=3)),
        ("250", Limit(rows=250)),
        ('"250"', Limit(rows=250)),
        ("0", Limit(rows=0)),
        ('{ share = "5%", floor = 3 }', Limit(share=0.05, floor=3)),
    ],
)
def test_a_limit_is_a_number_or_a_share_with_a_floor(write: Callable[..., Path], value: str, expected: Limit) -> None:
    """The floor lets small catalogues breathe."""
    project = read(write(SOUND + f"[products]\nmax_deletes = {value}\n"))
    assert project.entities["products"].max_deletes == expected


@pytest.mark.parametrize(
    ("value", "published", "allowed"),
    [
        ('"10%"', 1000, 100),
        ('"10%"', 40, 10),
        ('"10%"', 12, 6),
        ('"10%"', 3, 1),
        ('"10%"', 1, 1),
        ('"0%"', 1000, 0),
        ('"0%"', 5, 0),
        ("0", 5, 0),
        ('{ share = "10%", floor = 20 }', 20, 20),
        ('{ share = "10%", floor = 0 }', 5, 0),
        ('"29%"', 100, 29),
        ('"0.7%"', 10_000, 70),
    ],
)
def test_a_small_list_is_guarded_too(write: Callable[..., Path], value: str, published: int, allowed: int) -> None:
    """A floor lets it change, but not go to more than half unless the project says so; none is none."""
    project = read(write(SOUND + f"[products]\nmax_deletes = {value}\n"))
    assert project.entities["products"].max_deletes.allows(published) == allowed


@pytest.mark.parametrize(
    "value", ["-1", "0.1", "true", '"-5%"', '"150%"', '"ten"', "[]", "{ share = 5 }", '{ share = "5%", flor = 3 }']
)
def test_a_limit_that_means_nothing_is_refused(write: Callable[..., Path], value: str) -> None:
    """0.1 might be a tenth or none at all."""
    (fault,) = faults(write(SOUND + f"[products]\nmax_changes = {value}\n"))
    assert (fault.line, '"10%"' in fault.hint) == (10, True)


def test_a_projects_words_stand_over_the_defaults(write: Callable[..., Path]) -> None:
    """In any case and trimmed; the other words stay."""
    project = read(write(SOUND + '[products]\nactive = { Delete = [" NO "], Active = [""] }\n'))
    active = project.entities["products"].active
    assert (active["no"], active[""], active["yes"]) == ("Delete", "Active", "Active")


def test_words_that_a_source_cannot_tell_apart_mean_one_thing(write: Callable[..., Path]) -> None:
    """Where they differ by case or by decimals only."""
    for one, two in (("AKTİF", "aktif"), ("ΕΝΕΡΓΟΣ", "ενεργοσ"), ("2", "2.0")):
        (fault,) = faults(write(SOUND + f'[products]\nactive = {{ Active = ["{one}"], Delete = ["{two}"] }}\n'))
        assert f"{two!r} means both Active and Delete" in fault.message


def test_option_names_are_filled_up_to_three(write: Callable[..., Path]) -> None:
    """What is not said keeps its default."""
    project = read(write(SOUND + '[products]\noption_names = ["Size"]\n'))
    assert project.entities["products"].option_names == ("Size", "Option 2", "Option 3")


@pytest.mark.parametrize(
    "keys",
    [
        "[stock2shop]\nbatch_variants = 501",
        "[stock2shop]\npace = nan",
        "[stock2shop]\npace = inf",
        "[stock2shop]\nretries = -1",
        "[stock2shop]\ndeadline = 0",
        "[history]\nkeep_days = 0",
        "[products]\nmin_rows = true",
        "[products]\nmin_rows = -1",
        '[products]\noption_names = ["a", "b", "c", "d"]',
        '[products]\nlinked = "perhaps"',
        "[source]\nattributes = { x = 1 }",
        "[source]\nbatch_rows = 0",
    ],
)
def test_a_setting_out_of_its_range_is_refused_on_its_line(write: Callable[..., Path], keys: str) -> None:
    """Never a traceback."""
    header, _, key = keys.partition("\n")
    text = SOUND.replace(header, keys) if header in SOUND else SOUND + keys + "\n"
    (fault,) = faults(write(text))
    assert fault.line == text.split("\n").index(key) + 1
    assert fault.message


def test_variables_without_a_value_are_warnings_where_nothing_connects(write: Callable[..., Path]) -> None:
    """A check in CI has no passwords; what is set is used and hidden, and other faults still count."""
    text = SOUND.replace("57", '"${ID}"') + (
        '\n[vars]\nstore = "${STORE}"\n\n[orders]\nconnection = "DSN=x;PWD=${NOBODY}"\nserve = { token = "${T}" }\n'
    )
    workspace = write(text)
    environ = {"ERP_USER": "reader", "S2S_USER": "sync@acme", "S2S_PASSWORD": "", "STORE": "JHB"}
    lenient = ("source", "stock2shop", "orders")
    project = load("acme", workspace=workspace, environ=environ, lenient=lenient)
    assert [(each.severity, each.line, each.message) for each in project.warnings] == [
        ("warning", 3, "The variable ERP_PASSWORD is not set."),
        ("warning", 6, "The variable ID is not set."),
        ("warning", 8, "The variable S2S_PASSWORD is empty."),
        ("warning", 14, "The variable NOBODY is not set."),
        ("warning", 15, "The variable T is not set."),
    ]
    assert (project.stock2shop.username, "sync@acme" in project.secrets) == ("sync@acme", True)
    with pytest.raises(ProjectError, match="The variable STORE is empty"):
        load("acme", workspace=workspace, environ={**environ, "STORE": ""}, lenient=lenient)


def test_offline_a_variable_may_stand_for_anything(write: Callable[..., Path]) -> None:
    """A number, a flag, a token of a least length: none of them is a text of that name."""
    text = SOUND.replace("57", '"${ID}"') + (
        'pace = "${PACE}"\n[products]\nlinked = "${LINKED}"\n'
        '[orders]\nconnection = "DSN=x"\n[orders.serve]\nport = "${PORT}"\ntoken = "${T}"\n'
    )
    project = load("acme", workspace=write(text), environ={}, offline=True)
    assert project.orders is not None
    assert (project.stock2shop.source_id, project.stock2shop.pace, project.orders.receiver.port) == (1, 1.0, 8058)


def test_a_file_with_an_ending_that_windows_hides_is_named(write: Callable[..., Path]) -> None:
    """Notepad adds .txt, and the folder does not show it."""
    workspace = write(view=False)
    root = workspace / "projects" / "acme"
    (root / "views" / "products.sql.txt").write_text("select 1")
    (fault,) = faults(workspace)
    assert (
        "There is products.sql.txt, whose last ending Windows does not show: rename it to products.sql." in fault.hint
    )
    (root / "views" / "products.sql").write_text("select 1")
    assert read(workspace).warnings == ()
    (root / ".env.txt").write_text("NOBODY=x")
    (root / "project.toml").write_text(SOUND.replace("S2S_USER", "NOBODY"))
    (fault,) = faults(workspace)
    assert "rename it to .env." in fault.hint
    (root / "project.toml").rename(root / "project.toml.txt")
    (fault,) = faults(workspace)
    assert "rename it to project.toml." in fault.hint


def test_attributes_of_the_driver_are_numbers(write: Callable[..., Path]) -> None:
    """TOML's keys are texts."""
    assert read(write(SOUND.replace("[source]", "[source]\nattributes = { 103 = 5 }"))).source.attributes == {103: 5}


def test_a_text_over_several_lines_does_not_confuse_the_line_numbers(write: Callable[..., Path]) -> None:
    """What looks like a table in it is none."""
    text = SOUND + "[vars]\na = '''\n[products]\nmissing = 1\n'''\n[products]\nmissing = 1\n"
    (fault,) = faults(write(text))
    assert fault.line == 15


def test_an_entity_is_synced_when_its_view_or_its_table_is_there(write: Callable[..., Path]) -> None:
    """And a project with neither says what to write."""
    (fault,) = faults(write(view=False))
    assert fault.message == "The project syncs nothing."
    assert list(read(write(SOUND + "[products]\n", view=False)).entities) == ["products"]


def test_the_state_may_live_elsewhere(write: Callable[..., Path], tmp_path: Path) -> None:
    """As S2S_STATE says."""
    assert read(write(), S2S_STATE=str(tmp_path / "s")).state == tmp_path / "s" / "acme.duckdb"


def test_projects_are_found_by_their_file(write: Callable[..., Path]) -> None:
    """Sorted; other folders are none."""
    workspace = write(name="beta")
    write(name="acme")
    (workspace / "projects" / "notes").mkdir()
    assert discover(workspace) == ("acme", "beta")


def test_an_unknown_project_is_guessed(write: Callable[..., Path]) -> None:
    """Among those that there are."""
    with pytest.raises(ProjectError) as raised:
        load("acne", workspace=write(), environ=ENVIRON)
    assert raised.value.diagnostics[0].hint == "Did you mean acme? There are: acme."


def test_in_an_empty_workspace_the_hint_is_to_begin(tmp_path: Path) -> None:
    """With the command."""
    (tmp_path / "projects").mkdir()
    with pytest.raises(ProjectError) as raised:
        load("acme", workspace=tmp_path, environ={})
    assert "`s2s init acme`" in raised.value.diagnostics[0].hint


def test_a_token_that_is_too_short_is_not_called_blank(write: Callable[..., Path]) -> None:
    """Nobody would look for a blank one; the token itself is not shown."""
    orders = '[orders]\nconnection = "DSN=x"\n[orders.serve]\ntoken = "${TOKEN}"\n'
    (fault,) = faults(write(SOUND + orders), TOKEN="hunter2")
    assert fault.message == "orders.serve.token is shorter than 16 characters."
    (fault,) = faults(write(SOUND + orders.replace("${TOKEN}", "")))
    assert fault.message == "orders.serve.token is blank."


@pytest.mark.parametrize("form", ["{root}", "{root}/", "."])
def test_a_project_may_be_named_by_its_folder(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The same project, so the same state."""
    workspace = write()
    monkeypatch.chdir(workspace / "projects" / "acme")
    path = form.format(root=workspace / "projects" / "acme")
    project = load(path, workspace=workspace, environ=ENVIRON)
    assert (project.name, project.state) == ("acme", read(workspace).state)


def test_the_workspace_is_the_nearest_folder_with_projects(write: Callable[..., Path]) -> None:
    """From anywhere inside it."""
    workspace = write()
    assert find_workspace(workspace / "projects" / "acme" / "views", environ={}) == workspace


def test_the_environment_may_name_the_workspace(write: Callable[..., Path], tmp_path: Path) -> None:
    """It wins over the folder; one without projects is an error."""
    workspace = write()
    assert find_workspace(Path(os.sep), environ={"S2S_WORKSPACE": str(workspace)}) == workspace
    with pytest.raises(ProjectError, match="holds no projects/ folder"):
        find_workspace(workspace, environ={"S2S_WORKSPACE": str(workspace / "projects")})


def test_without_a_workspace_the_hint_is_to_begin_one(tmp_path: Path) -> None:
    """With the command."""
    with pytest.raises(ProjectError) as raised:
        find_workspace(tmp_path, environ={})
    assert "`s2s init NAME`" in raised.value.diagnostics[0].hint


def test_the_schema_takes_a_sound_project_and_refuses_an_unknown_key() -> None:
    """Editors say the same as the engine."""
    made = schema()
    jsonschema_rs.meta.validate(made)
    text = (
        SOUND
        + '[products]\nmax_deletes = "10%"\nmax_changes = { share = "50%", floor = 5 }\nactive = { Active = ["A"] }\n'
    )
    jsonschema_rs.validate(made, tomli.loads(text))
    for wrong in ("[product]\n", "[products]\nview = 1\n", '[products]\nactive = { On = ["A"] }\n'):
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(made, tomli.loads(SOUND + wrong))


@pytest.mark.parametrize(
    "more",
    [
        '[products]\nmax_deletes = "101%"\n',
        '[products]\nmax_deletes = "250"\n',
        '[products]\nmax_deletes = "7.5 %"\n',
        "[products]\nmax_deletes = { floor = 20 }\n",
        '[products]\nmax_deletes = { share = "10%", flor = 20 }\n',
        '[products]\nmax_deletes = { share = "10" }\n',
        "[products]\nmax_deletes = {}\n",
        '[products]\nmin_rows = "5"\n',
        "[products]\nmin_rows = true\n",
        '[products]\nlinked = "${FLAG}"\n',
        '[products]\nmissing = "${KEEP}"\n',
        '[products]\nmissing = "drop"\n',
        '[customers]\npath = "a b"\n',
        '[customers]\npath = "/customers/queue"\n',
        '[customers]\nsearch_path = "${PATH_OF_IT}"\n',
        "[orders]\n",
        '[orders]\nconnection = "DSN=x"\n',
        '[orders]\nconnection = "DSN=x"\ndatabase = "y"\n',
        '[orders]\nconnection = "DSN=x"\nchannels = { x = { warehouse = "A" } }\n',
        '[orders]\nconnection = "DSN=x"\nchannels = { 4 = { warehouse = "A" } }\n',
        '[orders]\nconnection = "DSN=x"\n[orders.serve]\ntls_key = "k.pem"\n',
        '[orders]\nconnection = "DSN=x"\n[orders.serve]\nport = "${PORT}"\n',
        '[orders]\nconnection = "DSN=x"\ndialect = "${DIALECT}"\n',
        '[orders]\nconnection = "DSN=x"\ndialect = "mysqll"\n',
        "source.attributes = { x = 1 }\n",
        "source.attributes = { 1 = true }\n",
        "source.attributes = { 1 = 2 }\n",
        'source.database = "erp.duckdb"\n',
        'source.encoding = "utf-8"\n',
        f'{FILE}decoding = "cp1252"\n',
        f"{FILE}connect_timeout = 5\n",
        f"{FILE}query_timeout = 5\n",
        f"{FILE}attributes = {{ 1 = 2 }}\n",
        f'{FILE.replace("duckdb", "sqlite")}encoding = "utf-8"\n',
        f'{FILE.replace("duckdb", "sqlite")}decoding = "cp1252"\n',
        f"{FILE.replace('duckdb', 'sqlite')}connect_timeout = 5\n",
        'stock2shop.url = "http://example.com/v1"\n',
        'stock2shop.url = "http://localhost:8057/v1"\n',
        'stock2shop.url = "https://u:p@example.com"\n',
        'stock2shop.url = "${URL}"\n',
        'stock2shop.pace = "${PACE}"\n',
    ],
)
def test_an_editor_says_of_a_project_what_the_engine_says(tmp_path: Path, more: str) -> None:
    """What the schema lets through is read, and what it refuses is refused."""
    head, _, value = more.partition(" = ")
    table, dot, key = head.partition(".")
    text = SOUND.replace(f"[{table}]\n", f"[{table}]\n{key} = {value}") if dot and "[" not in head else SOUND + more
    if more.startswith(FILE[:8]):
        text = more + SOUND[SOUND.index("[stock2shop]") :]
    environ = ENVIRON | {
        "FLAG": "true",
        "DIALECT": "mysql",
        "KEEP": "keep",
        "PATH_OF_IT": "/customers",
        "PORT": "80",
        "URL": "https://example.com",
        "PACE": "0.5",
    }
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "views" / "products.sql").write_text("select 1", "utf-8")
    (root / "project.toml").write_text(text, "utf-8")
    read = True
    try:
        load("acme", workspace=tmp_path, environ=environ)
    except ProjectError:
        read = False
    assert jsonschema_rs.Draft202012Validator(schema()).is_valid(tomli.loads(text)) == read
