"""The console: who is let in, what a page shows and hides, and that nothing of an order or a database runs in it."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.console import DIGEST, HOSTILE, PASSWORD, Served, add_order, fill, serve_console, write_users
from support.erp import order_document, parsed

from engine.config.console import read_console
from engine.console import login
from engine.console.access import Passwords
from engine.console.masking import masked_document
from engine.errors import ConfigError
from engine.orders.document import parse_document
from engine.run_log.file import connect_run_log, run_log_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = (
    "/",
    "/?show=guarded",
    "/clients/acme",
    "/clients/acme/runs/2",
    "/clients/acme/runs/3",
    "/clients/acme/key?code=K-1",
    "/clients/acme/orders/1001",
    "/clients/acme/plan/products",
    "/search?q=e",
    "/search?q=P-1",
    "/search?q=%22%3E%3Cscript%3E",
)


@pytest.fixture
def open_console(tmp_path: Path) -> Iterator[Served]:
    """A console on this machine without users."""
    fill(tmp_path)
    document = order_document(notes=HOSTILE, customer={"email": "thandi@example.com", "last_name": HOSTILE})
    add_order(tmp_path, parsed(document))
    with serve_console(tmp_path) as served:
        yield served


@pytest.fixture
def console(open_console: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """One with an operator, olga, and a viewer, victor."""
    monkeypatch.setattr(login, "FAILED_LOGIN_DELAY_SECONDS", 0.0)
    write_users(open_console.workspace)
    return open_console


def audited(served: Served) -> list[tuple[str, str]]:
    """Who did what, the newest first."""
    return [(each["who"], each["what"]) for each in served.console.audit.newest(limit=100)]


def test_nobody_has_to_log_in_on_this_machine_to_look_and_then_nothing_can_be_changed(open_console: Served) -> None:
    """Every page is there; none has a form that changes something, and none is taken."""
    visit = open_console.visit()
    for path in PAGES:
        page = visit.get(path)
        assert page.status_code == 200, path
        assert 'method="post"' not in page.text, path
    for path in ("run", "key", "plan/products", "orders/1001/reveal", "orders/1001/retry", "orders/1001/skip"):
        assert visit.post(f"/clients/acme/{path}", {"digest": DIGEST, "code": "x"}).status_code == 403
    assert open_console.asked == []
    assert visit.get("/login").status_code == 303
    assert visit.get("/audit").status_code == 404


def test_no_text_of_an_order_or_a_database_becomes_markup(open_console: Served) -> None:
    """Wherever it comes in: values, keys, reasons, plans, documents, statements, and what is searched for."""
    visit = open_console.visit()
    seen = 0
    for path in PAGES:
        page = visit.get(path)
        assert "<img" not in page.text, path
        assert re.findall(r"<script(?! src=\"/static/console\.js)", page.text) == [], path
        assert re.search(r"\son\w+=", re.sub(r"&lt;.*?&gt;", "", page.text)) is None, path
        seen += page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (page.headers["X-Content-Type-Options"], page.headers["Cache-Control"]) == ("nosniff", "no-store")
    assert seen > 8
    link = re.search(r'href="(/clients/acme/key\?code=[^"]+)"', visit.get("/clients/acme").text)
    assert link is not None
    assert visit.get(link[1]).status_code == 200


def test_an_order_that_is_made_to_break_pages_breaks_none(open_console: Served) -> None:
    """Half a character, a number of many digits, a text that turns the line around, and lists where none belong."""
    text = json.dumps(order_document(1002, total=None, created=None, line_items={"sku": {}, "qty": [[[[1]]]]}))[:-1]
    text += ', "modified": "\\ud800\\u202e", "tax": 1e40, "sku": "\\u0000", "tax_lines": "</pre><script>"}'
    add_order(open_console.workspace, parse_document(text.encode()))
    page = open_console.visit().get("/clients/acme/orders/1002")
    assert page.status_code == 200
    assert "&#34;tax&#34;: &#34;NaN&#34;" in page.text
    assert "<script>" not in page.text


def test_what_may_be_about_a_person_is_masked_until_an_operator_asks_for_it(console: Served) -> None:
    """And who asked is noted; a viewer cannot."""
    for name in ("victor", "olga"):
        page = console.as_user(name).get("/clients/acme/orders/1001").text
        assert "thandi@example.com" not in page
        assert "***" in page
        assert "Duplicate entry &#39;***&#39;" in page  # what the database said of it
        assert "thandi" not in console.as_user(name).get("/clients/acme").text
        assert "&#34;sku&#34;: &#34;A&#34;" in page
    assert console.as_user("victor").post("/clients/acme/orders/1001/reveal").status_code == 403
    shown = console.as_user("olga").post("/clients/acme/orders/1001/reveal")
    assert (shown.status_code, "thandi@example.com" in shown.text) == (200, True)
    assert "<script>alert" not in shown.text
    assert audited(console)[0] == ("olga", "reveal order")


def test_a_document_is_masked_by_what_is_known_to_be_harmless() -> None:
    """A key that nobody knows may be a name as well as its value."""
    document = {
        "id": 5,
        "line_items": [{"sku": "A", "qty": 2, "title": "For Ann"}],
        "customer": {"id": 7},
        "Ann Smith": 1,
        "sku": "ann@example.com",
        "status": "a very long text in which somebody may have written whatever they liked",
    }
    assert masked_document(document) == {
        "id": 5,
        "line_items": [{"sku": "A", "qty": 2, "***": "1 masked"}],
        "sku": "***",
        "status": "***",
        "***": "2 masked",
    }


def test_an_operator_approves_exactly_the_plan_that_was_shown(console: Served) -> None:
    """Another digest is refused, and so is one that was shown before it changed."""
    olga = console.as_user("olga")
    page = olga.get("/clients/acme/plan/products").text
    assert f'name="digest" value="{DIGEST}"' in page
    assert "1,409" in page
    assert olga.post("/clients/acme/plan/products", {"digest": "000000000000"}).status_code == 409
    assert console.asked == []
    assert console.as_user("victor").post("/clients/acme/plan/products", {"digest": DIGEST}).status_code == 403
    done = olga.post("/clients/acme/plan/products", {"digest": DIGEST})
    assert (done.status_code, done.headers["Location"]) == (303, "/clients/acme?notice=approved")
    assert console.asked == [("approve", "acme", "products", DIGEST)]
    assert audited(console)[0] == ("olga", "approve plan")
    assert "The plan is approved" in olga.get("/clients/acme?notice=approved").text
    assert HOSTILE not in olga.get(f"/clients/acme?notice={HOSTILE}").text


def test_a_plan_of_another_version_is_not_shown_half(console: Served) -> None:
    """It says so; the next run of the client stores it again."""
    with closing(connect_run_log(run_log_path(console.workspace / ".state"))) as connection:
        connection.execute("update plans set plan = ?", [json.dumps({"digest": DIGEST, "breaches": []})])
    page = console.as_user("olga").get("/clients/acme/plan/products")
    assert (page.status_code, "by another version" in page.text) == (404, True)


def test_a_plan_of_an_entity_that_was_taken_out_is_not_offered(console: Served) -> None:
    """The project has customers now, and no products."""
    offer = "/clients/acme/plan/products"
    olga = console.as_user("olga")
    assert offer in olga.get("/clients/acme").text
    views = console.workspace / "projects" / "acme" / "views"
    views.mkdir()
    (views / "customers.sql").write_text("select 1", "utf-8")
    assert offer not in olga.get("/clients/acme").text


def test_an_operator_runs_explains_retries_and_skips(console: Served) -> None:
    """Each is asked of the agent, and noted with its facts."""
    olga = console.as_user("olga")
    assert olga.post("/clients/acme/run").status_code == 303
    assert olga.post("/clients/acme/orders/1001/retry").status_code == 303
    assert olga.post("/clients/acme/orders/1001/skip", {"code": "SO9"}).status_code == 303
    assert olga.post("/clients/acme/key", {"code": "HAM/500"}).status_code == 303
    assert console.asked == [
        ("run", "acme"),
        ("retry", "acme", 1001),
        ("skip", "acme", 1001, "SO9"),
        ("explain", "acme", "HAM/500"),
    ]
    assert "is being read" in olga.get("/clients/acme/key?code=HAM%2F500").text
    story = {"entity": "products", "key": "HAM/500", "found_by": "key", "also": (), "verdict": "unchanged"}
    rows = {"source": [{"title": HOSTILE}], "published": {"title": "x"}, "faults": [], "changes": []}
    console.console.explanations.end("acme", "HAM/500", [story | rows], "")
    page = olga.get("/clients/acme/key?code=HAM%2F500").text
    assert "unchanged" in page
    assert "<script>alert" not in page
    assert olga.post("/clients/nobody/run").status_code == 404
    assert olga.post("/clients/acme/orders/77/retry").status_code == 404
    page = olga.get("/audit").text
    assert "skip order" in page
    assert "order 1001, code SO9" in page
    assert console.as_user("victor").get("/audit").status_code == 404


def test_what_cannot_be_noted_is_not_done(console: Served) -> None:
    """A full disk must not let somebody act unseen."""
    olga = console.as_user("olga")
    path = console.workspace / ".state" / "console.log"
    path.unlink()
    path.mkdir()
    assert olga.post("/clients/acme/run").status_code == 503
    assert console.asked == []
    assert console.visit().log_in("olga").status_code == 503


def test_whoever_does_not_log_in_sees_nothing(console: Served) -> None:
    """Every page leads to the login, every action too; a session that was ended or never was is none."""
    visit = console.visit()
    for path in PAGES:
        answer = visit.get(path)
        assert (answer.status_code, answer.headers["Location"], answer.text) == (303, "/login", ""), path
    assert visit.post("/clients/acme/run").headers["Location"] == "/login"
    visit.session.cookies.set("s2s-console", "x" * 43)
    assert visit.get("/").status_code == 303
    olga = console.as_user("olga")
    cookie = next(each for each in olga.session.cookies if each.name == "s2s-console")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert olga.get("/").status_code == 200
    olga.session.cookies.set("kept", "yes")
    token = cookie.value
    assert olga.post("/logout").status_code == 303
    visit.session.cookies.set("s2s-console", token or "")
    assert visit.get("/").status_code == 303
    other = console.as_user("victor")
    write_users(console.workspace)  # all passwords are new
    assert other.get("/").status_code == 303


def test_passwords_are_guessed_slowly_and_never_written_down(console: Served) -> None:
    """Nobody and somebody with a wrong password look the same; after ten of them an address has to wait."""
    visit = console.visit()
    answers = {(visit.log_in(name, "wrong").status_code) for name in ("olga", "nobody", "")}
    assert answers == {401}
    assert visit.log_in("olga").status_code == 303
    codes = [visit.log_in("olga", f"guess {number}").status_code for number in range(9)]
    assert codes == [401] * 7 + [429] * 2
    assert console.visit().log_in("olga").status_code == 429
    text = (console.workspace / ".state" / "console.log").read_text("utf-8")
    assert "guess" not in text
    assert PASSWORD not in text
    assert '"who": ""' in text


def test_no_other_page_acts_in_an_operators_name(console: Served) -> None:
    """Not with another origin, not from another port of this machine, and not without the token."""
    olga = console.as_user("olga")
    path = "/clients/acme/run"
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null", "http://localhost", ""):
        assert olga.post(path, Origin=origin).status_code == 403, origin
    assert olga.post(path, None, **{"Sec-Fetch-Site": "same-site"}).status_code == 403
    for token in ("", "0" * 64, "x"):
        assert olga.post(path, {"token": token}).status_code == 403
    victor = console.as_user("victor")
    page = victor.get("/").text
    stolen = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert stolen is not None
    assert olga.post(path, {"token": stolen[1]}).status_code == 403
    assert olga.get(path).status_code == 405
    assert console.asked == []
    assert console.visit().post("/login", {"token": "0" * 64, "name": "olga", "password": PASSWORD}).status_code == 403


def test_no_other_name_leads_to_the_console(open_console: Served) -> None:
    """A page whose own name was made to lead here gets nothing, not even what anybody at this machine may see."""
    visit = open_console.visit()
    for host in ("evil.example", "evil.example:8059", "127.0.0.1.evil.example", "0.0.0.0", "[::2]"):
        assert visit.get("/", Host=host).status_code == 421, host
        assert visit.post("/clients/acme/run", Host=host).status_code == 421, host
    assert visit.get("/", Host="localhost:8059").status_code == 200
    assert visit.get("/", Host="[::1]").status_code == 200


def test_a_search_leads_to_the_one_thing_that_is_found(open_console: Served) -> None:
    """By SKU, by any number of an order, by a client's name; several are listed, and where there is none it says so."""
    visit = open_console.visit()
    for text, page in (
        ("SKU-77", "/clients/acme/key?code=K-1"),
        ("K-1", "/clients/acme/key?code=K-1"),
        ("1001", "/clients/acme/orders/1001"),
        ("%231001", "/clients/acme/orders/1001"),
        ("WELL", "/clients/well"),
    ):
        assert visit.get(f"/search?q={text}").headers["Location"] == page
    assert "K-1" in visit.get("/search?q=P-1").text
    assert "No order has this number" in visit.get("/search?q=nothing").text
    assert visit.get("/search").status_code == 200


def test_names_of_clients_lead_to_clients_alone(open_console: Served) -> None:
    """No path leads to another folder's files."""
    visit = open_console.visit()
    for path in (
        "/clients/..%2f..%2fetc",
        "/clients/..%2facme",
        "/clients/acme%00",
        "/clients/nobody/orders/1",
        "/clients/acme/orders/99999999999999999999999",
        "/clients/well/runs/2",
        "/clients/well/plan/products",
        "/static/../application.py",
        "/static/base.html",
        "/elsewhere",
    ):
        assert visit.get(path).status_code == 404, path


def test_behind_a_proxy_its_header_says_who_it_is(open_console: Served) -> None:
    """Without it nobody is let in, and a password neither."""
    names = 'names = ["s2s.example.com"]\nproxy_header = "X-Remote-User"'
    write_users(open_console.workspace, names)
    visit = open_console.visit()
    assert visit.get("/").status_code == 403
    assert visit.get("/login").status_code == 303
    assert "victor" in visit.get("/", **{"X-Remote-User": "victor", "Host": "s2s.example.com"}).text
    path, olga = "/clients/acme/run", {"X-Remote-User": "olga"}
    page = visit.get("/clients/acme", **olga).text
    token = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert token is not None
    form = {"token": token[1]}
    public = {"Origin": "https://s2s.example.com"}
    assert visit.post(path, form, **{"X-Remote-User": "victor"}, **public).status_code == 403
    assert visit.post(path, form, **olga, Origin="https://evil.example").status_code == 403
    assert visit.post(path, form, **olga, **public).status_code == 303
    assert audited(open_console)[0] == ("olga", "run")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('host = "0.0.0.0"', "no users"),
        ('host = "10.0.0.5"\nUSERS', "without TLS"),
        ('host = "0.0.0.0"\ntls_certificate = "a"\ntls_key = "b"\nUSERS', "names has to say"),
        ('host = "10.0.0.5"\nproxy_header = "X-User"\nUSERS', "proxy on this machine"),
        ('names = ["s2s.example.com"]', "anybody could look"),
        ('tls_key = "b"', "both"),
        ('[console.users.anna]\npassword = "secret word"', "no hash"),
        ('[console.users.anna]\nrole = "operator"', "none has a password"),
        ('[console.users.anna]\nrole = "root"', "neither"),
        ("port = 80", "none of host"),
        ('users = "anna"', "no table of tables"),
    ],
)
def test_settings_that_would_let_in_more_than_is_meant_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """With what is wrong, and no password."""
    users = '[console.users.anna]\npassword = "$argon2id$v=19$x"'
    (tmp_path / "workspace.toml").write_text(f"[console]\n{text.replace('USERS', users)}\n", "utf-8")
    with pytest.raises(ConfigError, match=says) as raised:
        read_console(tmp_path)
    assert "secret word" not in str(raised.value)
    assert "argon2id$v" not in str(raised.value)


def test_a_password_is_asked_for_and_printed_as_a_hash_alone(tmp_path: Path) -> None:
    """The lines let its owner in; one that is too short is refused."""
    (tmp_path / "projects").mkdir()
    words = ("console", "password", "anna b", "--operator")
    ran = run_command(*words, folder=tmp_path, variables={}, piped=f"{PASSWORD}\n")
    assert ran.returncode == 0, ran.stderr
    assert PASSWORD not in ran.stdout
    (tmp_path / "workspace.toml").write_text(ran.stdout, "utf-8")
    user = read_console(tmp_path).users["anna b"]
    assert user.role == "operator"
    assert Passwords().check(user.password, PASSWORD, address="")
    assert not Passwords().check(user.password, PASSWORD[1:], address="")
    assert run_command(*words, folder=tmp_path, variables={}, piped="short\n").returncode == 2
